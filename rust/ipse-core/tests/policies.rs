//! What must hold for every preset, for rules that mix the policies of several, and while
//! one is changed for another, whatever is asked of them.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use ipse_core::change::{ProfileNumber, Verb, Verdict};
use ipse_core::rules::{self, Conflict, Trigger, Window};
use ipse_core::{Change, Decision, Graph, Refusal, Rules, Target, Timestamp};
use proptest::prelude::*;
use support::backend::{Backend, assert_same};
use support::core::{CoreBackend, reload, replay};
use support::courses::run;
use support::past::Kept;
use support::people::{Holds, Id, People};
use support::timestamp;
use support::universe::{self, Act, Universe};
use support::why;

const MIXED: [(&str, &str); 3] = [
    ("key", include_str!("rules/mixed-key.toml")),
    ("replay", include_str!("rules/mixed-replay.toml")),
    ("explicit", include_str!("rules/mixed-explicit.toml")),
];

const ACTS_MAX: usize = 40;

#[test]
fn segment() {
    hold(preset("segment"));
}

#[test]
fn mparticle_conversion() {
    hold(preset("mparticle-conversion"));
}

#[test]
fn mparticle_link() {
    hold(preset("mparticle-link"));
}

#[test]
fn mparticle_isolation() {
    hold(preset("mparticle-isolation"));
}

#[test]
fn mparticle_best_match() {
    hold(preset("mparticle-best-match"));
}

#[test]
fn esputnik() {
    hold(preset("esputnik"));
}

#[test]
fn mixpanel_simplified() {
    hold(preset("mixpanel-simplified"));
}

#[test]
fn mixpanel_original() {
    hold(preset("mixpanel-original"));
}

#[test]
fn posthog() {
    hold(preset("posthog"));
}

#[test]
fn adobe() {
    hold(preset("adobe"));
}

#[test]
fn rules_that_mix_a_key_with_transfers() {
    hold(MIXED[0].1);
}

#[test]
fn rules_that_mix_replay_with_shared_and_exclusive() {
    hold(MIXED[1].1);
}

/// The same where a full profile takes nothing more.
#[test]
fn rules_that_mix_replay_with_full_profiles() {
    let evicts = "over_limit = \"evict_by_kind\"\nevict_order = [\"cookie\", \"device\"]\n";
    assert!(MIXED[1].1.contains(evicts));
    let text = MIXED[1].1.replace(evicts, "").replace("merges_max = 2", "merges_max = 100");
    hold(&text);
}

#[test]
fn rules_that_mix_every_guard() {
    hold(MIXED[2].1);
}

#[test]
fn every_preset_is_tried() {
    let tried = [
        "segment",
        "mparticle-conversion",
        "mparticle-link",
        "mparticle-isolation",
        "mparticle-best-match",
        "esputnik",
        "mixpanel-simplified",
        "posthog",
        "adobe",
        "mixpanel-original",
    ];
    assert!(rules::preset_names().eq(tried), "write a test above for the new preset");
}

/// Rules come and go; what was decided stands, and everything but their own promises holds.
#[test]
fn rules_may_change_from_any_to_any() {
    let mut texts: Vec<&'static str> = rules::preset_names().map(preset).collect();
    texts.extend(MIXED.map(|(_, text)| text));
    let universes: Vec<Universe> = texts.iter().map(|text| Universe::of(&parsed(text))).collect();
    let universe = Universe::joined(&universes);
    let change = (prop::sample::select(texts), universe.acts(8));
    run(&prop::collection::vec(change, 1..6), |course| {
        let mut world = World::begin(course[0].0);
        for (text, acts) in course {
            world.set_rules(text)?;
            acts.iter().try_for_each(|act| world.take(act, None))?;
        }
        world.end()
    });
}

fn preset(name: &str) -> &'static str {
    rules::preset(name).expect("the preset exists")
}

fn parsed(text: &str) -> Rules {
    match Rules::from_toml(text) {
        Ok(rules) => rules,
        Err(problems) => panic!("bad rules: {problems:?}"),
    }
}

/// Tries courses under one set of rules.
fn hold(text: &str) {
    let rules = parsed(text);
    run(&Universe::of(&rules).acts(ACTS_MAX), |acts| {
        let mut world = World::begin(text);
        for acts in acts.chunks(Graph::READ_AHEAD_EVENTS) {
            let ahead = world.read_ahead(acts);
            acts.iter()
                .zip(&ahead)
                .try_for_each(|(act, ahead)| world.take_read_ahead(act, ahead, Some(&rules)))?;
        }
        world.end()
    });
}

/// A graph, and one beside it that goes through snapshots and must not differ.
struct World {
    backend: CoreBackend,
    twin: Graph,
    people: People,
    kept: Kept,
    parted: Parted,
    seen: Seen,
    step: i64,
}

impl World {
    fn begin(rules: &str) -> World {
        let mut backend = CoreBackend::new();
        backend.create_workspace("laws", rules, now(0));
        let twin = reload(backend.graph(), 11);
        let (kept, parted, seen) = (Kept::default(), Parted::default(), Seen::default());
        World { backend, twin, people: People::default(), kept, parted, seen, step: 0 }
    }

    fn set_rules(&mut self, text: &str) -> Holds {
        self.step += 1;
        let decided = self.backend.graph().decide_rules(text, None);
        if let Err(Refusal::InvalidRules(_)) = decided {
            return self.check_unshared(&parsed(text));
        }
        let change = decided.expect("good rules");
        if let Some(change) = change {
            self.commit(change);
        }
        let rules = self.backend.graph().rules();
        self.parted.forget_shared(rules);
        // Who is known goes by the rules in force.
        self.people = People::of(self.backend.graph());
        Ok(())
    }

    /// Rules are refused if they take for one profile's what several hold.
    fn check_unshared(&self, rules: &Rules) -> Holds {
        let is_one = |name: &str| {
            let namespace = rules.namespace(name).or(rules.auto_add());
            namespace.is_some_and(|n| !n.shared)
        };
        let mut owners = self.people.all_owners();
        let is_due = owners.any(|(id, owners)| owners.len() > 1 && is_one(&id.0));
        prop_assert!(is_due, "good rules were refused");
        Ok(())
    }

    /// What is not shared is one profile's, whatever the rules were before.
    fn check_unique(&self) -> Holds {
        let rules = self.backend.graph().rules();
        for (id, owners) in self.people.all_owners() {
            let namespace = rules.namespace(&id.0).or(rules.auto_add());
            let is_one = namespace.is_some_and(|n| !n.shared);
            prop_assert!(!is_one || owners.len() == 1, "{:?} is on {:?}", id, owners);
        }
        Ok(())
    }

    /// The acts, with hints of where their identifiers are now.
    fn read_ahead(&self, acts: &[Act]) -> Vec<Act> {
        let mut ahead = acts.to_vec();
        for act in &mut ahead {
            if let Act::Event(event) = act {
                self.backend.graph().read_ahead([&mut event.identifiers]);
            }
        }
        ahead
    }

    fn take(&mut self, act: &Act, rules: Option<&Rules>) -> Holds {
        self.take_read_ahead(act, act, rules)
    }

    /// Takes one act; `ahead` is the same with hints that may be old by now. The promises of rules
    /// are checked where they have been in force always.
    fn take_read_ahead(&mut self, act: &Act, ahead: &Act, rules: Option<&Rules>) -> Holds {
        self.step += 1;
        let time = now(self.step);
        let Some(decided) = universe::decide(self.backend.graph(), ahead, time) else {
            self.twin = reload(self.backend.graph(), self.step as u64);
            assert_same("a snapshot", self.backend.graph(), &self.twin);
            return Ok(());
        };
        let elsewhere = universe::decide(&self.twin, act, time).expect("it decides, too");
        prop_assert_eq!(
            &decided,
            &elsewhere,
            "a graph that was loaded, without hints, decides otherwise"
        );
        let decision = match decided {
            Ok(decision) => decision,
            Err(refusal) => return check_refusal(&refusal),
        };
        if decision.repeated.is_some() {
            prop_assert!(!decision.teaches, "a recorded answer taught");
            return Ok(());
        }
        if decision.teaches {
            self.commit(Change::EventResolved(decision.resolved.clone()));
        } else {
            check_taught_nothing(&decision)?;
        }
        let before = std::mem::replace(&mut self.people, People::of(self.backend.graph()));
        self.people.check(self.backend.graph())?;
        self.parted.note(&decision, &before, &self.people, self.backend.graph().rules());
        self.parted.check(&self.people)?;
        self.check_unique()?;
        let mut holds = before.check_decision(&decision, &self.people);
        if let (Ok(()), Some(rules)) = (&holds, rules) {
            let moment = Moment { before: &before, after: &self.people, rules, act };
            holds = moment.check(&decision);
            self.seen.note(&decision);
            holds = holds.and_then(|()| self.seen.check(rules));
        }
        holds.map_err(|why| TestCaseError::fail(format!("{why}\nof {:?}", decision.resolved)))?;
        self.check_repeat(act, &decision, time)
    }

    fn commit(&mut self, change: Change<'_>) {
        let named: Option<BTreeSet<_>> = change.profiles().map(Iterator::collect);
        let before = shown(self.backend.graph());
        self.backend.commit(now(self.step), change);
        if let Some(named) = named {
            check_unnamed(&before, &shown(self.backend.graph()), &named);
        }
        let record = self.backend.records().last().expect("just committed");
        assert_eq!(self.twin.validate(record), Ok(()));
        self.twin.apply(record);
        self.kept.keep(self.backend.graph(), record);
        if let Err(problem) = self.backend.graph().check() {
            panic!("the graph does not hold together: {problem}");
        }
        assert_eq!(self.backend.graph().state_hash(), self.twin.state_hash(), "the twin differs");
    }

    /// The same again, at once.
    fn check_repeat(&self, act: &Act, first: &Decision<'_>, time: Timestamp) -> Holds {
        let again = universe::decide(self.backend.graph(), act, time).expect("it decided");
        let has_id = !first.resolved.event_id.is_empty();
        if !has_id && first.teaches {
            return Ok(());
        }
        let again = again.map_err(|refusal| TestCaseError::fail(format!("again: {refusal:?}")))?;
        prop_assert!(!again.teaches, "taught again {:?}", again);
        prop_assert_eq!(again.repeated.is_some(), first.teaches, "whether it is a repeat");
        prop_assert_eq!(&again.resolved.target, &first.resolved.target);
        prop_assert_eq!(&again.resolved.identifiers, &first.resolved.identifiers);
        prop_assert_eq!(&again.resolved.extra, &first.resolved.extra);
        prop_assert_eq!(again.known, first.known);
        prop_assert_eq!(again.attributed_by, first.attributed_by);
        Ok(())
    }

    fn end(mut self) -> Holds {
        let again = replay(self.backend.records(), 23);
        assert_same("a replay", self.backend.graph(), &again);
        assert_same("the twin", self.backend.graph(), &self.twin);
        for graph in [self.backend.graph(), &again, &self.twin] {
            self.kept.check(graph)?;
        }
        self.backend.checkpoint();
        self.kept.check(self.backend.graph())?;
        prop_assert_eq!(&People::of(self.backend.graph()), &self.people);
        prop_assert_eq!(&People::of(&again), &self.people);
        why::check(self.backend.graph(), &self.people)
    }
}

/// Pairs of identifiers that a split took apart, until someone says that they are one person's.
#[derive(Default)]
struct Parted(BTreeSet<(Id, Id)>);

impl Parted {
    fn note(&mut self, decision: &Decision<'_>, before: &People, after: &People, rules: &Rules) {
        let resolved = &decision.resolved;
        let target = resolved.target.profile().map_or(0, |target| target.0);
        match resolved.verb {
            Verb::Split if decision.teaches => {
                let held: Vec<&Id> = before.persons[&target].held.keys().collect();
                let owner = |id: &Id| after.owners(id).to_vec();
                for (at, a) in held.iter().enumerate() {
                    let others = held[at + 1..].iter().filter(|b| owner(a) != owner(b));
                    self.0.extend(others.map(|b| ((*a).clone(), (*b).clone())));
                }
                self.forget_shared(rules);
            }
            Verb::Link | Verb::Merge | Verb::Modify => {
                self.0.retain(|(a, b)| {
                    ![a, b].into_iter().all(|id| after.owners(id).contains(&target))
                });
            }
            _ => {}
        }
    }

    /// What several profiles may hold keeps nobody apart.
    fn forget_shared(&mut self, rules: &Rules) {
        let is_shared = |id: &Id| rules.namespace(&id.0).is_some_and(|n| n.shared);
        self.0.retain(|(a, b)| !is_shared(a) && !is_shared(b));
    }

    fn check(&self, people: &People) -> Holds {
        for (a, b) in &self.0 {
            if let ([of_a], [of_b]) = (people.owners(a), people.owners(b)) {
                prop_assert!(of_a != of_b, "{:?} and {:?} were parted and meet", a, b);
            }
        }
        Ok(())
    }
}

/// What each identifier was shown and kept with, by namespace.
#[derive(Default)]
struct Seen(BTreeMap<(Id, String), BTreeSet<String>>);

impl Seen {
    fn note(&mut self, decision: &Decision<'_>) {
        let kept = decision.resolved.identifiers.iter().filter(|seen| seen.verdict.is_kept());
        let kept: Vec<Id> =
            kept.map(|seen| (seen.namespace.to_string(), seen.value.to_string())).collect();
        for one in &kept {
            for (namespace, value) in kept.iter().filter(|other| other.0 != one.0) {
                let with = self.0.entry((one.clone(), namespace.clone())).or_default();
                with.insert(value.clone());
            }
        }
    }

    /// No identifier is seen with more than its pair limits allow.
    fn check(&self, rules: &Rules) -> Holds {
        for ((one, other), with) in &self.0 {
            let limits = rules.namespace(&one.0).map_or(&[][..], |rules| &rules.pair_limits);
            for (_, most) in limits.iter().filter(|(name, _)| **name == **other) {
                prop_assert!(with.len() <= *most as usize, "{:?} was seen with {:?}", one, with);
            }
        }
        Ok(())
    }
}

/// What each number ever given out answers, and whose number that is.
fn shown(graph: &Graph) -> BTreeMap<ProfileNumber, (ProfileNumber, String)> {
    let numbers = graph.profiles_after(None).map(|(number, _)| number);
    let show = |number| {
        let view = graph.profile(number)?;
        let text = format!(
            "{:?} {} {:?} {:?} {:?} {:?} {:?} {:?}",
            view.identifiers(),
            view.known(),
            view.traits(),
            view.absorbed(),
            view.former_ids(),
            view.attributions(),
            view.canonical_id(),
            view.changed_sequence(),
        );
        Some((number, (view.number(), text)))
    };
    numbers.filter_map(show).collect()
}

/// Who is not named by a change shows what it showed before, and may be told before the change is
/// on disk.
fn check_unnamed(
    before: &BTreeMap<ProfileNumber, (ProfileNumber, String)>,
    after: &BTreeMap<ProfileNumber, (ProfileNumber, String)>,
    named: &BTreeSet<ProfileNumber>,
) {
    for (number, shown) in after.iter().filter(|(_, shown)| !named.contains(&shown.0)) {
        assert_eq!(before.get(number), Some(shown), "{number:?} changed unnamed");
    }
    for (number, shown) in before.iter().filter(|(number, _)| !after.contains_key(number)) {
        assert!(named.contains(&shown.0), "{number:?} went unnamed");
    }
}

fn now(step: i64) -> Timestamp {
    timestamp::at_millis(timestamp::START_MS + 1_000 * step)
}

fn check_refusal(refusal: &Refusal) -> Holds {
    let is_due = matches!(
        refusal,
        Refusal::EventIdReused { .. } | Refusal::UnknownProfile | Refusal::InvalidField { .. }
    );
    prop_assert!(is_due, "no such refusal was due: {:?}", refusal);
    Ok(())
}

fn check_taught_nothing(decision: &Decision<'_>) -> Holds {
    let resolved = &decision.resolved;
    prop_assert!(matches!(resolved.target, Target::Unresolved | Target::Found(_)));
    prop_assert!(resolved.traits.is_empty() && resolved.moves().is_empty());
    for seen in &resolved.identifiers {
        let changes = seen.verdict.is_kept() && seen.verdict != Verdict::AlreadyAttached;
        prop_assert!(!changes && seen.verdict != Verdict::Removed, "{:?}", seen);
    }
    Ok(())
}

/// A decision between two states, under rules that were in force from the beginning.
struct Moment<'m> {
    before: &'m People,
    after: &'m People,
    rules: &'m Rules,
    act: &'m Act,
}

impl Moment<'_> {
    fn check(&self, decision: &Decision<'_>) -> Holds {
        self.check_holders()?;
        self.check_limits(decision)?;
        self.check_known()?;
        self.check_immutables(decision)?;
        self.check_transfers(decision)?;
        if matches!(decision.resolved.verb, Verb::Observe | Verb::Logout) {
            self.check_joins(decision)?;
        }
        Ok(())
    }

    /// An identifier is one profile's; a shared one is on as many as it may be.
    fn check_holders(&self) -> Holds {
        for (id, owners) in self.after.all_owners() {
            let shared = self.rules.namespace(&id.0).is_some_and(|n| n.shared);
            let most = if shared { self.rules.holders_max as usize } else { 1 };
            prop_assert!(owners.len() <= most, "{:?} is on {:?}", id, owners);
        }
        Ok(())
    }

    /// No profile has more than it may, unless one of its parts had as much before.
    fn check_limits(&self, decision: &Decision<'_>) -> Holds {
        let evidence_is_forced = self.rules.conflict == Conflict::Replay
            && matches!(decision.resolved.verb, Verb::Link | Verb::Merge | Verb::Split);
        for (&number, person) in &self.after.persons {
            let mut parts = self.before.parts_of(number, self.after);
            // What someone's word holds together moves together.
            let moves = decision.resolved.moves().iter();
            let came = moves.filter(|moved| moved.to.is_some_and(|to| to.0 == number));
            let came = came.map(|moved| moved.from.0);
            parts.extend(came.filter(|from| self.before.persons.contains_key(from)));
            if decision.resolved.target.profile() == Some(ProfileNumber(number)) {
                let verdicts = decision.resolved.identifiers.iter().map(|seen| &seen.verdict);
                parts.extend(verdicts.filter_map(|verdict| match verdict {
                    Verdict::Transferred { from } => Some(from.0),
                    _ => None,
                }));
            }
            let fullest =
                |of: &dyn Fn(u32) -> usize| parts.iter().map(|p| of(*p)).max().unwrap_or(0);
            for namespace in self.rules.namespaces() {
                if namespace.limit.window != Window::Ever || evidence_is_forced {
                    continue;
                }
                let count = self.after.count(number, &namespace.name);
                let most = fullest(&|part| self.before.count(part, &namespace.name));
                let allowed = most.max(namespace.limit.values as usize);
                prop_assert!(count <= allowed, "{} has {} of {}", number, count, namespace.name);
            }
            let most = fullest(&|part| self.before.persons[&part].held.len());
            let allowed = most.max(self.rules.identifiers_max as usize);
            prop_assert!(person.held.len() <= allowed, "{} has {:?}", number, person);
            let most = fullest(&|part| self.before.persons[&part].merges as usize);
            let allowed = most.max(self.rules.merges_max as usize);
            prop_assert!(person.merges as usize <= allowed, "{} has {:?}", number, person);
        }
        if let Target::Merged { survivor, absorbed } = &decision.resolved.target {
            let of = |part: &ProfileNumber| self.before.persons[&part.0].held.keys();
            let kept: BTreeSet<&Id> = of(survivor).collect();
            let moved: BTreeSet<&Id> = absorbed.iter().flat_map(of).collect();
            let moved = moved.difference(&kept).count();
            prop_assert!(moved <= self.rules.moved_max as usize, "into {}", survivor);
        }
        Ok(())
    }

    fn check_known(&self) -> Holds {
        for (number, person) in &self.after.persons {
            let logs_in = |name: &str| self.rules.namespace(name).is_some_and(|n| n.login);
            let has_login = person.held.keys().any(|id| logs_in(&id.0));
            prop_assert!(person.known || !has_login, "{} holds a login id", number);
        }
        Ok(())
    }

    /// What is immutable stays where it is, whatever is asked, unless an operator splits it off.
    fn check_immutables(&self, decision: &Decision<'_>) -> Holds {
        if decision.resolved.verb == Verb::Split {
            return Ok(());
        }
        for (id, owners) in self.before.all_owners() {
            if self.rules.namespace(&id.0).is_some_and(|n| n.immutable) {
                let stays = self.after.owners(id) == [self.after.survivor(owners[0])];
                prop_assert!(stays, "{:?} left {:?} by {:?}", id, owners, decision.resolved.verb);
            }
        }
        Ok(())
    }

    /// What moves is exclusive, and was attached by no newer event.
    fn check_transfers(&self, decision: &Decision<'_>) -> Holds {
        let resolved = &decision.resolved;
        for seen in &resolved.identifiers {
            let Verdict::Transferred { from } = seen.verdict else { continue };
            if matches!(self.rules.conflict, Conflict::Replay) || resolved.verb == Verb::Modify {
                continue;
            }
            let id = (seen.namespace.to_string(), seen.value.to_string());
            let namespace = self.rules.namespace(&id.0).expect("it was usable");
            let may_move = namespace.exclusive || self.rules.conflict == Conflict::Transfer;
            prop_assert!(may_move && !namespace.shared, "{:?} moved", id);
            let attached = self.before.persons[&from.0].held[&id];
            prop_assert!(resolved.timestamp >= attached, "{:?} moved by a late event", id);
        }
        Ok(())
    }

    /// What seeing identifiers together may join.
    fn check_joins(&self, decision: &Decision<'_>) -> Holds {
        let resolved = &decision.resolved;
        let Target::Merged { survivor, absorbed } = &resolved.target else { return Ok(()) };
        prop_assert!(self.rules.trigger != Trigger::Explicit, "joined by being seen together");
        let parts: Vec<u32> = absorbed.iter().chain([survivor]).map(|part| part.0).collect();
        let Act::Event(event) = self.act else {
            return Err(TestCaseError::fail("not an event"));
        };
        let named = event.profile.map(|profile| self.before.survivor(profile.0));
        for part in &parts {
            let joins = resolved.identifiers.iter().any(|seen| {
                let id = (seen.namespace.to_string(), seen.value.to_string());
                let namespace = self.rules.namespace(&seen.namespace);
                let finds_only = namespace.is_none_or(|n| n.shared || n.exclusive);
                !finds_only && seen.verdict.is_kept() && self.before.owners(&id).contains(part)
            });
            prop_assert!(joins || named == Some(*part), "{} was joined by nothing", part);
        }
        if self.rules.trigger == Trigger::Key {
            let named = Some(event.key_namespace).filter(|name| !name.is_empty());
            let key = named.or(self.rules.key.as_deref()).expect("rules with a key name it");
            let has_key = resolved
                .identifiers
                .iter()
                .any(|seen| seen.namespace == key && seen.verdict.is_kept());
            prop_assert!(has_key || event.profile.is_some(), "joined without a key");
            let keyed = parts.iter().filter(|part| self.before.count(**part, key) > 0).count();
            prop_assert!(keyed <= 1, "two contacts with a key of their own became one");
        }
        Ok(())
    }
}
