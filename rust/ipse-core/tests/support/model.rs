//! A second opinion: the rules of resolving, written down as plainly as they can be.
//!
//! People are a list, everything is found by looking through all of it, and every count is
//! counted anew. It shares no code with the core and only its vocabulary of verdicts. It
//! knows none of: normalisers, bounds on sizes, records, memory that is given back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ipse_core::Target;
use ipse_core::change::{PassedLimit, ProfileNumber, Reason, Rule, Verdict};

/// Rules of a workspace.
#[derive(Clone, Debug)]
pub(crate) struct ModelRules {
    pub(crate) namespaces: Vec<ModelNamespace>,
    pub(crate) legacy: bool,
    pub(crate) merges_max: u32,
    pub(crate) identifiers_max: u32,
}

/// Rules of a namespace. Its priority is its place in the list.
#[derive(Clone, Debug)]
pub(crate) struct ModelNamespace {
    pub(crate) name: &'static str,
    pub(crate) limit: u32,
    /// The window's word and length; `None`: for ever.
    pub(crate) window: Option<(&'static str, i64)>,
    pub(crate) blocked: Vec<&'static str>,
    pub(crate) login: bool,
}

/// An identifier: namespace and value.
pub(crate) type Id = (&'static str, &'static str);

/// An event.
#[derive(Clone, Debug)]
pub(crate) struct ModelEvent {
    pub(crate) event_id: String,
    pub(crate) time_ms: i64,
    pub(crate) key: &'static str,
    pub(crate) profile: Option<u32>,
    pub(crate) identifiers: Vec<Id>,
    pub(crate) traits: Vec<(&'static str, i64)>,
}

/// What an event is judged on when its id comes again.
type Fingerprint = (i64, BTreeSet<Id>, BTreeMap<&'static str, i64>);

/// What becomes of an event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) target: Target,
    pub(crate) verdicts: BTreeMap<Id, Verdict>,
    /// The identifiers that took part in matching.
    pub(crate) strongest_first: Vec<Id>,
    pub(crate) known: bool,
    pub(crate) teaches: bool,
    pub(crate) repeated: bool,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    EventIdReused,
    UnknownProfile,
}

#[derive(Clone, Debug, Default)]
struct Person {
    merged_into: Option<u32>,
    merges: u32,
    /// Identifiers and the event time of their attachment.
    held: BTreeMap<Id, i64>,
    /// Traits: event time, order of arrival, value.
    traits: BTreeMap<&'static str, (i64, usize, i64)>,
}

/// Everybody. Number 1 is the first in the list.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) rules: ModelRules,
    people: Vec<Person>,
    pairs: HashSet<(Id, Id)>,
    kept_off: HashSet<(Option<ProfileNumber>, Id, Rule)>,
    answered: HashMap<String, (Fingerprint, Answer)>,
    arrivals: usize,
}

/// The event's identifiers as far as they still count, strongest first, and those that
/// do not, each with the reason.
struct Sifted {
    left: Vec<Id>,
    gone: BTreeMap<Id, (Rule, Option<PassedLimit>)>,
}

impl Model {
    pub(crate) fn new(rules: ModelRules) -> Model {
        Model {
            rules,
            people: Vec::new(),
            pairs: HashSet::new(),
            kept_off: HashSet::new(),
            answered: HashMap::new(),
            arrivals: 0,
        }
    }

    /// What would become of an event.
    pub(crate) fn resolve(&self, event: &ModelEvent) -> Result<Answer, NoAnswer> {
        if event.profile.is_some_and(|number| number as usize > self.people.len()) {
            return Err(NoAnswer::UnknownProfile);
        }
        if let Some((fingerprint, answer)) = self.answered.get(&event.event_id) {
            return match *fingerprint == self.fingerprint(event) {
                true => Ok(Answer { repeated: true, teaches: false, ..answer.clone() }),
                false => Err(NoAnswer::EventIdReused),
            };
        }
        let mut sifted = self.sift(event);
        while let Some(namespace) = self.violation(event, &sifted.left) {
            let victim = self.victim(event, namespace, &sifted.left);
            sifted.left.retain(|id| *id != victim);
            sifted.gone.insert(victim, limit_passed(namespace));
        }
        let (target, verdicts) = self.judge(event, &sifted);
        let mut answer = Answer {
            target,
            verdicts,
            strongest_first: sifted.left,
            known: false,
            teaches: false,
            repeated: false,
        };
        answer.teaches = self.teaches(event, &answer);
        answer.known = self.known(&answer);
        Ok(answer)
    }

    /// Takes an answer to heart.
    pub(crate) fn learn(&mut self, event: &ModelEvent, answer: &Answer) {
        assert!(answer.teaches);
        self.arrivals += 1;
        if !event.event_id.is_empty() {
            let remembered = (self.fingerprint(event), answer.clone());
            self.answered.insert(event.event_id.clone(), remembered);
        }
        for (id, verdict) in &answer.verdicts {
            if let Some(reason) = verdict.reason() {
                self.kept_off.insert((answer.target.profile(), *id, reason.rule));
            }
        }
        if let Some(target) = answer.target.profile() {
            self.learn_of(target, event, answer);
        }
    }

    fn learn_of(&mut self, target: ProfileNumber, event: &ModelEvent, answer: &Answer) {
        if matches!(answer.target, Target::Created(_)) {
            self.people.push(Person::default());
        }
        for absorbed in answer.target.absorbed() {
            self.absorb(target, *absorbed);
        }
        let news = self.news(event, &answer.target);
        let arrival = self.arrivals;
        let person = &mut self.people[target.0 as usize - 1];
        for (id, verdict) in &answer.verdicts {
            if *verdict == Verdict::Attached {
                person.held.insert(*id, event.time_ms);
            }
        }
        for (name, value) in news {
            person.traits.insert(name, (event.time_ms, arrival, value));
        }
        self.pairs.extend(pairs(answer));
    }

    fn absorb(&mut self, survivor: ProfileNumber, absorbed: ProfileNumber) {
        let retired = std::mem::take(&mut self.people[absorbed.0 as usize - 1]);
        self.people[absorbed.0 as usize - 1].merged_into = Some(survivor.0);
        let person = &mut self.people[survivor.0 as usize - 1];
        person.merges += retired.merges + 1;
        person.held.extend(retired.held);
        for (name, news) in retired.traits {
            let newest = person.traits.get(name).map_or(news, |held| (*held).max(news));
            person.traits.insert(name, newest);
        }
    }

    /// Everybody who is not absorbed: identifiers and traits.
    pub(crate) fn partition(&self) -> BTreeMap<u32, (BTreeSet<Id>, BTreeMap<&'static str, i64>)> {
        let everybody = self.people.iter().zip(1..);
        everybody
            .filter(|(person, _)| person.merged_into.is_none())
            .map(|(person, number)| {
                let traits = person.traits.iter().map(|(name, news)| (*name, news.2)).collect();
                (number, (person.held.keys().copied().collect(), traits))
            })
            .collect()
    }

    /// How many people there ever were.
    pub(crate) fn people_ever(&self) -> u32 {
        self.people.len() as u32
    }

    /// Whom a number answers to.
    pub(crate) fn survivor(&self, number: u32) -> u32 {
        match self.people[number as usize - 1].merged_into {
            Some(next) => self.survivor(next),
            None => number,
        }
    }

    fn fingerprint(&self, event: &ModelEvent) -> Fingerprint {
        let identifiers = event.identifiers.iter().copied().collect();
        (event.time_ms, identifiers, event.traits.iter().copied().collect())
    }

    /// Takes off what is unknown or blocked, whatever else is on the event.
    fn sift(&self, event: &ModelEvent) -> Sifted {
        let mut sifted = Sifted { left: Vec::new(), gone: BTreeMap::new() };
        let distinct: BTreeSet<Id> = event.identifiers.iter().copied().collect();
        for id in distinct {
            match self.namespace(id.0) {
                None => drop(sifted.gone.insert(id, (Rule::UnknownNamespace, None))),
                Some(namespace) if namespace.blocked.contains(&id.1) => {
                    drop(sifted.gone.insert(id, (Rule::BlockedValue, None)));
                }
                Some(_) => sifted.left.push(id),
            }
        }
        sifted.left.sort_by_key(|id| self.rank(event, id));
        sifted
    }

    fn namespace(&self, name: &str) -> Option<&ModelNamespace> {
        self.rules.namespaces.iter().find(|namespace| namespace.name == name)
    }

    /// Smaller is stronger.
    pub(crate) fn rank(&self, event: &ModelEvent, id: &Id) -> (bool, usize, &'static str) {
        let place = self.rules.namespaces.iter().position(|namespace| namespace.name == id.0);
        (id.0 != event.key, place.unwrap_or(usize::MAX), id.1)
    }

    fn holder(&self, id: &Id) -> Option<u32> {
        let everybody = self.people.iter().zip(1..);
        everybody.into_iter().find(|(person, _)| person.held.contains_key(id)).map(|(_, n)| n)
    }

    /// The people that an event is about, oldest first.
    fn matched(&self, event: &ModelEvent, left: &[Id]) -> BTreeSet<u32> {
        let named = event.profile.map(|number| self.survivor(number));
        left.iter().filter_map(|id| self.holder(id)).chain(named).collect()
    }

    /// The strongest namespace of which the person that would come of this has too many.
    fn violation(&self, event: &ModelEvent, left: &[Id]) -> Option<&ModelNamespace> {
        let matched = self.matched(event, left);
        self.rules.namespaces.iter().find(|namespace| {
            let held: Vec<Vec<i64>> =
                matched.iter().map(|number| self.times(*number, namespace.name)).collect();
            let fresh = left.iter().filter(|id| id.0 == namespace.name);
            let fresh = fresh.filter(|id| self.holder(id).is_none()).map(|_| event.time_ms);
            let together: Vec<i64> = held.iter().flatten().copied().chain(fresh).collect();
            let peak = |times: &[i64]| peak(times, event.time_ms, namespace.window);
            let before = held.iter().map(|times| peak(times)).max().unwrap_or(0);
            let after = peak(&together);
            after > namespace.limit as usize && after > before
        })
    }

    fn times(&self, number: u32, namespace: &str) -> Vec<i64> {
        let held = &self.people[number as usize - 1].held;
        held.iter().filter(|(id, _)| id.0 == namespace).map(|(_, time)| *time).collect()
    }

    /// Which identifier goes.
    fn victim(&self, event: &ModelEvent, namespace: &ModelNamespace, left: &[Id]) -> Id {
        let weakest = *left.last().expect("one identifier alone passes no limit");
        let unique = namespace.limit == 1 && namespace.window.is_none();
        if !self.rules.legacy || unique {
            return weakest;
        }
        let matched = self.matched(event, left);
        let of_namespace = || left.iter().filter(|id| id.0 == namespace.name);
        let on_a_match = |id: &&Id| self.holder(id).is_some_and(|n| matched.contains(&n));
        let fresh = of_namespace().filter(|id| !on_a_match(id)).max_by_key(|id| id.1);
        *fresh.or(of_namespace().max_by_key(|id| id.1)).unwrap_or(&weakest)
    }

    fn judge(&self, event: &ModelEvent, sifted: &Sifted) -> (Target, BTreeMap<Id, Verdict>) {
        let matched: Vec<u32> = self.matched(event, &sifted.left).into_iter().collect();
        let numbered = |numbers: &[u32]| numbers.iter().map(|n| ProfileNumber(*n)).collect();
        let (target, cap) = match matched.as_slice() {
            [] if sifted.left.is_empty() => (Target::Unresolved, None),
            [] => (Target::Created(ProfileNumber(self.people_ever() + 1)), None),
            [only] => (Target::Found(ProfileNumber(*only)), None),
            [oldest, others @ ..] => match self.cap_passed(&matched) {
                None => {
                    let survivor = ProfileNumber(*oldest);
                    (Target::Merged { survivor, absorbed: numbered(others) }, None)
                }
                cap => (Target::Found(self.strongest(event, &sifted.left)), cap),
            },
        };
        let verdicts = self.verdicts(&target, cap, sifted);
        (target, verdicts)
    }

    fn person(&self, number: u32) -> &Person {
        &self.people[number as usize - 1]
    }

    fn cap_passed(&self, matched: &[u32]) -> Option<(Rule, u32)> {
        let merges: u32 = matched.iter().map(|n| self.person(*n).merges).sum();
        let identifiers: usize = matched.iter().map(|n| self.person(*n).held.len()).sum();
        if merges + matched.len() as u32 - 1 > self.rules.merges_max {
            Some((Rule::MergeLimit, self.rules.merges_max))
        } else if identifiers > self.rules.identifiers_max as usize {
            Some((Rule::IdentifierLimit, self.rules.identifiers_max))
        } else {
            None
        }
    }

    fn strongest(&self, event: &ModelEvent, left: &[Id]) -> ProfileNumber {
        let named = event.profile.map(|number| self.survivor(number));
        let held = left.iter().find_map(|id| self.holder(id));
        ProfileNumber(named.or(held).expect("several people were matched"))
    }

    fn verdicts(
        &self,
        target: &Target,
        cap: Option<(Rule, u32)>,
        sifted: &Sifted,
    ) -> BTreeMap<Id, Verdict> {
        let sides: BTreeSet<u32> =
            target.profile().iter().chain(target.absorbed()).map(|number| number.0).collect();
        let elsewhere = |id: &Id| self.holder(id).filter(|n| !sides.contains(n));
        let living = sides.iter().filter(|n| **n <= self.people_ever());
        let held: usize = living.map(|n| self.person(*n).held.len()).sum();
        let mut room = (self.rules.identifiers_max as usize).saturating_sub(held);
        let mut verdicts = BTreeMap::new();
        for id in &sifted.left {
            let verdict = match (self.holder(id), elsewhere(id)) {
                (_, Some(other)) => refused(cap.expect("merged otherwise"), Some(other)),
                (Some(_), None) => Verdict::AlreadyAttached,
                (None, None) if room == 0 => {
                    refused((Rule::IdentifierLimit, self.rules.identifiers_max), None)
                }
                (None, None) => {
                    room -= 1;
                    Verdict::Attached
                }
            };
            verdicts.insert(*id, verdict);
        }
        for (id, (rule, limit)) in &sifted.gone {
            let collided = elsewhere(id).map(ProfileNumber);
            let reason = Reason { rule: *rule, limit: limit.clone(), collided };
            verdicts.insert(*id, Verdict::Dropped(reason));
        }
        verdicts
    }

    /// The traits of an event that change something.
    fn news(&self, event: &ModelEvent, target: &Target) -> BTreeMap<&'static str, i64> {
        let sides = target.profile().into_iter().chain(target.absorbed().iter().copied());
        let sides: Vec<&Person> =
            sides.filter_map(|number| self.people.get(number.0 as usize - 1)).collect();
        let newest = |name| sides.iter().filter_map(|side| side.traits.get(name)).max();
        let news = event.traits.iter().filter(|(name, value)| match newest(name) {
            Some((time, _, held)) => event.time_ms >= *time && held != value,
            None => target.profile().is_some(),
        });
        news.copied().collect()
    }

    fn teaches(&self, event: &ModelEvent, answer: &Answer) -> bool {
        let whose = answer.target.profile();
        matches!(answer.target, Target::Created(_) | Target::Merged { .. })
            || !self.news(event, &answer.target).is_empty()
            || pairs(answer).iter().any(|pair| !self.pairs.contains(pair))
            || answer.verdicts.iter().any(|(id, verdict)| match verdict.reason() {
                Some(reason) => !self.kept_off.contains(&(whose, *id, reason.rule)),
                None => *verdict == Verdict::Attached,
            })
    }

    fn known(&self, answer: &Answer) -> bool {
        let sides = answer.target.profile().into_iter().chain(answer.target.absorbed().to_vec());
        let people = sides.filter_map(|number| self.people.get(number.0 as usize - 1));
        let held = people.flat_map(|person| person.held.keys());
        let kept = answer.verdicts.iter().filter(|(_, verdict)| verdict.is_kept());
        let mut all = held.chain(kept.map(|(id, _)| id));
        all.any(|id| self.namespace(id.0).is_some_and(|namespace| namespace.login))
    }
}

/// Most values within one window that holds the moment. Windows are half open: two values
/// exactly one length apart share none.
fn peak(times: &[i64], moment: i64, window: Option<(&'static str, i64)>) -> usize {
    let Some((_, length)) = window else {
        return times.len();
    };
    let starts = times.iter().copied().chain([moment]);
    let starts = starts.filter(|start| (moment - length + 1..=moment).contains(start));
    let within = |start: i64| times.iter().filter(|t| (start..start + length).contains(t)).count();
    starts.map(within).max().unwrap_or(0)
}

fn limit_passed(namespace: &ModelNamespace) -> (Rule, Option<PassedLimit>) {
    let rule = match namespace.window {
        None => Rule::ValueLimit,
        Some(_) => Rule::ValueTimeLimit,
    };
    let passed = PassedLimit { namespace: Some(namespace.name.into()), value: namespace.limit };
    (rule, Some(passed))
}

fn refused((rule, value): (Rule, u32), other: Option<u32>) -> Verdict {
    let limit = Some(PassedLimit { namespace: None, value });
    Verdict::Refused(Reason { rule, limit, collided: other.map(ProfileNumber) })
}

/// What an event links on one person: its strongest identifier and each other one. Which of
/// two is the stronger does not matter to a link.
fn pairs(answer: &Answer) -> Vec<(Id, Id)> {
    let kept = |id: &&Id| answer.verdicts[*id].is_kept();
    let mut kept = answer.strongest_first.iter().filter(kept);
    let Some(strongest) = kept.next() else {
        return Vec::new();
    };
    kept.map(|id| (*id.min(strongest), *id.max(strongest))).collect()
}
