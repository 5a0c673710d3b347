//! Who holds what, read out of a graph by asking it as a caller would, and whether what a
//! decision says of it is so. Knows no policy: what must hold for one policy alone is said
//! where the law is.

use std::collections::{BTreeMap, BTreeSet};

use ipse_core::change::{MergeVerdict, MoveCause, ProfileNumber, Verb, Verdict};
use ipse_core::graph::{IdentifierView, PastView, ProfileView};
use ipse_core::identifier::FORMER_ID;
use ipse_core::{AttributedBy, Decision, Graph, Refusal, Target, Timestamp};
use proptest::prelude::*;

/// An identifier: namespace and normal value.
pub(crate) type Id = (String, String);

/// Outcome of a check.
pub(crate) type Holds = Result<(), TestCaseError>;

/// A profile as the graph shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Person {
    /// Identifiers, each with the time of its attachment.
    pub(crate) held: BTreeMap<Id, Timestamp>,
    pub(crate) known: bool,
    pub(crate) merges: u32,
    pub(crate) former_ids: BTreeSet<String>,
}

/// Whom the number of an erased profile answers to.
pub(crate) const ERASED: u32 = 0;

/// Everybody, and whom each number ever given out answers to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct People {
    pub(crate) persons: BTreeMap<u32, Person>,
    survivors: Vec<u32>,
    /// Owners of each identifier that anybody holds, in order of attachment.
    owners: BTreeMap<Id, Vec<u32>>,
}

impl People {
    /// Reads all of a graph.
    pub(crate) fn of(graph: &Graph) -> People {
        let counts = graph.counts();
        let total = (counts.profiles + counts.absorbed_profiles + counts.erased_profiles) as u32;
        let mut people = People::read(total, |number| {
            let view = graph.profile(number);
            assert!(view.is_some() || graph.is_erased(number), "numbers are dense");
            view
        });
        let all: BTreeSet<Id> =
            people.persons.values().flat_map(|p| p.held.keys().cloned()).collect();
        people.read_owners(&all, |(namespace, value)| graph.owners(namespace, value));
        people
    }

    /// Reads all that a graph says of a time when there were so many numbers. Who was known is
    /// left out: that goes by the rules of now.
    pub(crate) fn as_of(then: &PastView<'_>, total: u32, all: &BTreeSet<Id>) -> People {
        let mut people = People::read(total, |number| then.profile(number));
        people.read_owners(all, |(namespace, value)| then.owners(namespace, value));
        // A former id answers by another call, and is in no list.
        people.owners.retain(|id, owners| id.0 != FORMER_ID && !owners.is_empty());
        people.persons.values_mut().for_each(|person| person.known = false);
        people
    }

    fn read<'g>(total: u32, profile: impl Fn(ProfileNumber) -> Option<ProfileView<'g>>) -> People {
        let mut people = People::default();
        for number in 1..=total {
            let Some(view) = profile(ProfileNumber(number)) else {
                people.survivors.push(ERASED);
                continue;
            };
            people.survivors.push(view.number().0);
            if view.number().0 == number {
                let id =
                    |held: &IdentifierView<'_>| (held.namespace.to_owned(), held.value.to_owned());
                let held = view.identifiers();
                let person = Person {
                    held: held.iter().map(|held| (id(held), held.attached_time)).collect(),
                    known: view.known(),
                    merges: view.merge_count(),
                    former_ids: view.former_ids().into_iter().map(str::to_owned).collect(),
                };
                people.persons.insert(number, person);
            }
        }
        people
    }

    fn read_owners<'g>(
        &mut self,
        all: &BTreeSet<Id>,
        owners: impl Fn(&Id) -> Result<Vec<ProfileView<'g>>, Refusal>,
    ) {
        for id in all {
            let owners = owners(id).expect("what is held can be looked up");
            self.owners.insert(id.clone(), owners.iter().map(|view| view.number().0).collect());
        }
    }

    /// The same without some identifiers and profiles, and who was known.
    pub(crate) fn without(
        &self,
        is_gone: &dyn Fn(&Id) -> bool,
        is_erased: impl Fn(ProfileNumber) -> bool,
    ) -> People {
        let mut left = self.clone();
        let is_erased = |number: u32| number == ERASED || is_erased(ProfileNumber(number));
        left.persons.retain(|number, _| !is_erased(*number));
        for person in left.persons.values_mut() {
            person.known = false;
            person.held.retain(|id, _| !is_gone(id));
            person.former_ids.retain(|id| !is_gone(&(FORMER_ID.to_owned(), id.clone())));
        }
        left.survivors.iter_mut().filter(|n| is_erased(**n)).for_each(|n| *n = ERASED);
        left.owners.values_mut().for_each(|owners| owners.retain(|owner| !is_erased(*owner)));
        left.owners.retain(|id, owners| !is_gone(id) && !owners.is_empty());
        left
    }

    /// How many numbers were given out.
    pub(crate) fn total(&self) -> u32 {
        self.survivors.len() as u32
    }

    /// Whom a number answers to.
    pub(crate) fn survivor(&self, number: u32) -> u32 {
        self.survivors[number as usize - 1]
    }

    /// Whose an identifier is, first owner first.
    pub(crate) fn owners(&self, id: &Id) -> &[u32] {
        self.owners.get(id).map_or(&[], |owners| owners)
    }

    /// How many values of a namespace a profile holds.
    pub(crate) fn count(&self, number: u32, namespace: &str) -> usize {
        let person = self.persons.get(&number);
        person.map_or(0, |p| p.held.keys().filter(|id| id.0 == namespace).count())
    }

    /// Every identifier that anybody holds, with its owners.
    pub(crate) fn all_owners(&self) -> impl Iterator<Item = (&Id, &[u32])> {
        self.owners.iter().map(|(id, owners)| (id, owners.as_slice()))
    }

    /// The same owners, by whom they answer to in `later`.
    fn owners_later(&self, id: &Id, later: &People) -> Vec<u32> {
        let mut owners = Vec::new();
        for owner in self.owners(id) {
            let survivor = later.survivor(*owner);
            if !owners.contains(&survivor) {
                owners.push(survivor);
            }
        }
        owners
    }

    /// That lists and lookups agree, and that every number ever given out leads somewhere.
    pub(crate) fn check(&self, graph: &Graph) -> Holds {
        for (number, person) in &self.persons {
            let view = graph.profile(ProfileNumber(*number)).expect("it was just read");
            prop_assert_eq!(view.identifier_count() as usize, person.held.len());
            prop_assert_eq!(view.identifiers().len(), person.held.len(), "an identifier twice");
            prop_assert_eq!(view.absorbed().len() as u32, person.merges);
            for id in person.held.keys() {
                prop_assert!(self.owners(id).contains(number), "{:?} does not find {}", id, number);
            }
            for former in &person.former_ids {
                let found = graph.find_former(former).map(|view| view.number().0);
                prop_assert_eq!(found, Some(*number), "former id {}", former);
            }
        }
        for (id, owners) in &self.owners {
            let distinct: BTreeSet<u32> = owners.iter().copied().collect();
            prop_assert_eq!(distinct.len(), owners.len(), "{:?} has an owner twice", id);
            for owner in owners {
                prop_assert!(self.persons[owner].held.contains_key(id));
            }
        }
        for number in 1..=self.total() {
            let id = graph.profile_id(ProfileNumber(number));
            prop_assert_eq!(graph.profile_number(id.as_str()), Some(ProfileNumber(number)));
            let survivor = self.survivor(number);
            prop_assert!(survivor == ERASED || self.persons.contains_key(&survivor));
        }
        let live: Vec<u32> = graph
            .profiles_after(None)
            .filter_map(|(number, view)| view.map(|_| number.0))
            .collect();
        prop_assert!(live.iter().eq(self.persons.keys()));
        Ok(())
    }

    /// That what was decided, and nothing else, has happened between `self` and `after`.
    pub(crate) fn check_decision(&self, decision: &Decision<'_>, after: &People) -> Holds {
        let resolved = &decision.resolved;
        self.check_target(decision, after)?;
        let mut mentioned = BTreeSet::new();
        for seen in &resolved.identifiers {
            let id = (seen.namespace.to_string(), seen.value.to_string());
            self.check_verdict(&id, &seen.verdict, resolved.target.profile(), after)?;
            mentioned.insert(id);
        }
        for moved in resolved.moves() {
            let id = (moved.namespace.to_string(), moved.value.to_string());
            prop_assert!(!mentioned.contains(&id), "{:?} has a verdict and moves", id);
            prop_assert!(self.owners(&id).contains(&moved.from.0), "{:?}", moved);
            if let Some(to) = moved.to {
                prop_assert!(after.owners(&id).contains(&to.0), "{:?}", moved);
            }
            let is_gone = !after.owners(&id).contains(&after.survivor(moved.from.0));
            prop_assert!(is_gone, "{:?} is still there", moved);
            let others = self.owners(&id).len() - 1 + usize::from(moved.to.is_some());
            prop_assert!(after.owners(&id).len() <= others, "{:?} is on too many", moved);
            mentioned.insert(id);
        }
        for (id, owners) in after.all_owners().filter(|(id, _)| !mentioned.contains(*id)) {
            let before = self.owners_later(id, after);
            prop_assert_eq!(owners, before.as_slice(), "{:?} moved without a word", id);
        }
        for id in self.owners.keys().filter(|id| !mentioned.contains(*id)) {
            prop_assert!(!after.owners(id).is_empty(), "{:?} was lost without a word", id);
        }
        self.check_extra(decision, after)
    }

    fn check_target(&self, decision: &Decision<'_>, after: &People) -> Holds {
        let resolved = &decision.resolved;
        let mut expected: Vec<u32> = self.survivors.clone();
        let created_by_moves = resolved.moves().iter().filter_map(|moved| moved.to);
        let newest = created_by_moves.map(|to| to.0).max().unwrap_or(0);
        match &resolved.target {
            Target::Unresolved => {}
            Target::Created(number) => {
                prop_assert_eq!(number.0, self.total() + 1);
                let holds = !after.persons[&number.0].held.is_empty();
                prop_assert!(holds || resolved.verb != Verb::Observe, "a profile of nothing");
            }
            Target::Found(number) => prop_assert!(self.persons.contains_key(&number.0)),
            Target::Merged { survivor, absorbed } => {
                prop_assert!(!absorbed.is_empty() && !absorbed.contains(survivor));
                for part in absorbed.iter().chain([survivor]) {
                    prop_assert!(self.persons.contains_key(&part.0), "{} is no profile", part);
                }
                for old in &mut expected {
                    if absorbed.iter().any(|part| part.0 == *old) {
                        *old = survivor.0;
                    }
                }
            }
        }
        let target = resolved.target.profile().map_or(0, |target| target.0);
        expected.extend(self.total() + 1..=newest.max(target).max(self.total()));
        prop_assert_eq!(&after.survivors, &expected, "whom numbers answer to");
        if let Some(person) = after.persons.get(&target) {
            prop_assert_eq!(decision.known, person.known, "whether it is known");
        }
        Ok(())
    }

    fn check_verdict(
        &self,
        id: &Id,
        verdict: &Verdict,
        target: Option<ProfileNumber>,
        after: &People,
    ) -> Holds {
        // A former id answers by another call, and is in no list.
        if id.0 == ipse_core::identifier::FORMER_ID {
            let target = target.expect("an import has a target");
            let kept = after.persons[&target.0].former_ids.contains(&id.1);
            prop_assert_eq!(kept, verdict.is_kept(), "{:?}", id);
            return Ok(());
        }
        let target = target.map(|target| target.0);
        let (before, now) = (self.owners_later(id, after), after.owners(id));
        let is_on_target = target.is_some_and(|target| now.contains(&target));
        match verdict {
            Verdict::Attached => {
                prop_assert!(is_on_target, "{:?} is not attached", id);
                prop_assert!(!before.contains(&target.unwrap_or(0)), "{:?} was there", id);
                prop_assert_eq!(now.len(), before.len() + 1, "{:?}", id);
            }
            Verdict::AlreadyAttached => {
                prop_assert!(is_on_target, "{:?} is not there", id);
                prop_assert_eq!(now, before.as_slice(), "{:?}", id);
            }
            Verdict::Transferred { from } => {
                prop_assert!(is_on_target, "{:?} did not come", id);
                prop_assert!(self.owners(id).contains(&from.0), "{:?} came from nowhere", id);
                prop_assert!(!now.contains(&after.survivor(from.0)), "{:?} stayed, too", id);
            }
            Verdict::Removed => {
                prop_assert!(before.contains(&target.unwrap_or(0)), "{:?} was not there", id);
                prop_assert!(!is_on_target, "{:?} is still there", id);
            }
            Verdict::Dropped(reason) | Verdict::Refused(reason) => {
                prop_assert_eq!(now, before.as_slice(), "{:?} {:?}", id, reason);
                let elsewhere = !now.is_empty() && !is_on_target;
                prop_assert_eq!(reason.collided.is_some(), elsewhere, "{:?} {:?}", id, reason);
                if let Some(collided) = reason.collided {
                    prop_assert!(now.contains(&collided.0), "{:?} {:?} by {:?}", id, reason, now);
                }
            }
        }
        Ok(())
    }

    fn check_extra(&self, decision: &Decision<'_>, after: &People) -> Holds {
        let resolved = &decision.resolved;
        if let AttributedBy::Identifier(place) = decision.attributed_by {
            prop_assert!(resolved.identifiers[usize::from(place)].verdict.is_kept());
        }
        if resolved.target == Target::Unresolved {
            prop_assert_eq!(decision.attributed_by, AttributedBy::Nobody);
        }
        let Some(extra) = &resolved.extra else { return Ok(()) };
        let target = resolved.target.profile().map_or(0, |target| target.0);
        for merge in &extra.merges {
            let profile = merge.profile.map(|profile| after.survivor(profile.0));
            match &merge.verdict {
                MergeVerdict::Merged | MergeVerdict::AlreadyMerged => {
                    prop_assert_eq!(profile, Some(target), "{:?}", merge);
                }
                MergeVerdict::NotFound => prop_assert_eq!(profile, None),
                MergeVerdict::Refused(_) => {
                    prop_assert!(profile.is_some() && profile != Some(target), "{:?}", merge);
                }
            }
        }
        let of = |cause| extra.moves.iter().filter(move |moved| moved.cause == cause);
        let touched = self.touched(decision);
        for moved in of(MoveCause::Displaced) {
            prop_assert!(touched.contains(&moved.from.0), "{:?} is no part of this", moved);
        }
        for moved in of(MoveCause::Evicted) {
            prop_assert_eq!(after.survivor(moved.from.0), target, "{:?}", moved);
            prop_assert_eq!(moved.to, None);
        }
        prop_assert!(resolved.verb == Verb::Split || of(MoveCause::Split).count() == 0);
        Ok(())
    }

    /// The profiles that a decision is about: those that hold what it names, and its target.
    fn touched(&self, decision: &Decision<'_>) -> BTreeSet<u32> {
        let resolved = &decision.resolved;
        let seen = resolved
            .identifiers
            .iter()
            .map(|seen| (seen.namespace.to_string(), seen.value.to_string()));
        let owners = seen.flat_map(|id| self.owners(&id).to_vec());
        let target = resolved.target.profile().into_iter();
        let parts = target.chain(resolved.target.absorbed().iter().copied());
        owners.chain(parts.map(|part| part.0)).collect()
    }

    /// The profiles before that a profile of `after` is made of.
    pub(crate) fn parts_of(&self, number: u32, after: &People) -> Vec<u32> {
        let held = after.persons[&number].held.keys();
        let before = held.flat_map(|id| self.owners(id)).copied();
        let absorbed = (1..=self.total()).filter(|old| after.survivor(*old) == number);
        let parts: BTreeSet<u32> =
            before.filter(|old| after.survivor(*old) == number).chain(absorbed).collect();
        parts.into_iter().filter(|part| self.persons.contains_key(part)).collect()
    }
}
