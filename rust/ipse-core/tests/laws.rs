//! What must hold for any rules and any course of events.

mod support;

use ipse_core::change::{ProfileNumber, Record, Verdict};
use ipse_core::{Change, Graph, SequenceNumber, Target, Timestamp};
use proptest::collection::vec;
use proptest::prelude::*;
use support::backend::{Backend, assert_same};
use support::core::{CoreBackend, reload};
use support::model::{Model, ModelEvent, ModelRules};
use support::world::{self, Step};
use support::{scenario, timestamp};

fn now(step: usize) -> Timestamp {
    timestamp::at_millis(timestamp::START_MS + 1_000 * step as i64)
}

fn begin(rules: &ModelRules) -> CoreBackend {
    let mut backend = CoreBackend::new();
    backend.create_workspace("laws", &world::toml(rules), now(0));
    backend
}

/// Sends an event; says whether it was answered.
fn send(backend: &mut CoreBackend, event: &ModelEvent, step: usize) -> bool {
    scenario::resolve(backend, &world::core_event(event), now(step), false).is_ok()
}

fn set_rules(backend: &mut impl Backend, rules: &ModelRules, step: usize) {
    let text = world::toml(rules);
    let change = backend.read(|graph| graph.decide_rules(&text, None)).expect("good rules");
    if let Some(change) = change {
        backend.commit(now(step), change);
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    /// Every verdict is the one that the plain model gives, and so are the people that come
    /// of it, whatever replays and snapshots lie between.
    #[test]
    fn decisions_are_the_models(rules in world::tight_rules(), steps in world::steps(40)) {
        let mut model = Model::new(rules.clone());
        let mut backend = begin(&rules);
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::Event(event) | Step::Ask(event) => {
                    let read_only = matches!(step, Step::Ask(_));
                    let expected = model.resolve(event);
                    let core_event = world::core_event(event);
                    let decided =
                        scenario::resolve(&mut backend, &core_event, now(number), read_only);
                    prop_assert_eq!(&world::answer(decided.as_ref()), &expected, "{:?}", event);
                    if let (Ok(answer), false) = (&expected, read_only)
                        && answer.teaches
                    {
                        model.learn(event, answer);
                    }
                }
                Step::Rules(rules) => {
                    set_rules(&mut backend, rules, number);
                    model.rules = rules.clone();
                }
                Step::Crash => backend.crash(),
                Step::Checkpoint | Step::Restart => backend.checkpoint(),
            }
            world::assert_agrees(backend.graph(), &model);
        }
        backend.crash();
    }

    /// The records alone give the same graph, after each of them.
    #[test]
    fn replay_gives_the_same_state_at_every_step(
        rules in world::tight_rules(),
        events in vec(world::event(), 1..25),
    ) {
        let mut backend = begin(&rules);
        let mut replica = Graph::new(99);
        replica.apply(&backend.records()[0]);
        for (step, event) in events.iter().enumerate() {
            let before = backend.records().len();
            send(&mut backend, event, step);
            for record in &backend.records()[before..] {
                prop_assert_eq!(replica.validate(record), Ok(()));
                replica.apply(record);
            }
            assert_same("a follower", backend.graph(), &replica);
        }
    }

    /// A graph that went through a snapshot decides everything as the one that did not.
    #[test]
    fn a_snapshot_is_the_graph(
        rules in world::tight_rules(),
        before in vec(world::event(), 0..20),
        after in vec(world::event(), 1..20),
    ) {
        let mut backend = begin(&rules);
        for (step, event) in before.iter().enumerate() {
            send(&mut backend, event, step);
        }
        let frozen = backend.graph().freeze();
        let mut loaded = reload(backend.graph(), 7);
        assert_same("loaded", backend.graph(), &loaded);
        let (hash, sequence) = (backend.graph().state_hash(), backend.graph().sequence());
        for (step, event) in after.iter().enumerate() {
            let known = backend.records().len();
            let core_event = world::core_event(event);
            let here = backend.graph().decide(&core_event, now(20 + step));
            let there = loaded.decide(&core_event, now(20 + step));
            prop_assert_eq!(here, there);
            send(&mut backend, event, 20 + step);
            backend.records()[known..].iter().for_each(|record| loaded.apply(record));
            assert_same("going on", backend.graph(), &loaded);
        }
        // The view taken before is still of that moment.
        prop_assert_eq!(frozen.sequence(), sequence);
        let mut loader = ipse_core::snapshot::Loader::new(3);
        for part in frozen.into_parts() {
            prop_assert_eq!(loader.add(part), Ok(()));
        }
        prop_assert_eq!(loader.finish().map(|graph| graph.state_hash()), Ok(hash));
    }

    /// What was just said teaches nothing when it is said again, and finds the same person.
    #[test]
    fn a_repeat_teaches_nothing(
        rules in world::tight_rules(),
        events in vec(world::event(), 1..25),
    ) {
        let mut backend = begin(&rules);
        for (step, event) in events.iter().enumerate() {
            if !send(&mut backend, event, step) {
                continue;
            }
            let core_event = world::core_event(event);
            let again = backend.graph().decide(&core_event, now(step));
            let again = again.expect("it was accepted a moment ago");
            prop_assert!(!again.teaches, "{:?} taught again {:?}", event, again);
            if !event.event_id.is_empty() {
                continue;
            }
            let absorbed = again.resolved.target.absorbed().len();
            prop_assert_eq!(absorbed, 0);
            let attaches = again.resolved.identifiers.iter().any(|seen| seen.verdict == Verdict::Attached);
            prop_assert!(!attaches);
        }
    }

    /// Where no rule bites, people do not depend on the order of what was heard.
    #[test]
    fn order_does_not_matter_without_limits(
        (events, shuffled) in vec(world::event(), 1..15).prop_flat_map(|events| {
            (Just(events.clone()), Just(events).prop_shuffle())
        }),
    ) {
        let people = |events: &[ModelEvent]| {
            let mut backend = begin(&world::loose_rules());
            for (step, event) in events.iter().enumerate() {
                let anonymous = ModelEvent {
                    event_id: String::new(),
                    profile: None,
                    traits: Vec::new(),
                    ..event.clone()
                };
                assert!(send(&mut backend, &anonymous, step));
            }
            let people = world::partition(backend.graph());
            let mut people: Vec<_> = people.into_values().map(|(ids, _)| ids).collect();
            people.sort();
            people
        };
        prop_assert_eq!(people(&events), people(&shuffled));
    }

    /// No attachment takes a profile past a limit or a cap, and the oldest always survives.
    #[test]
    fn bounds_hold_and_the_oldest_survives(
        rules in world::tight_rules(),
        events in vec(world::event(), 1..40),
    ) {
        let mut backend = begin(&rules);
        for (step, event) in events.iter().enumerate() {
            let known = backend.records().len();
            send(&mut backend, event, step);
            for record in &backend.records()[known..] {
                check_bounds(backend.graph(), record, &rules)?;
            }
        }
    }

    /// Records that could not have been decided are refused in words, whatever is wrong.
    #[test]
    fn impossible_records_are_refused(
        rules in world::tight_rules(),
        events in vec(world::event(), 1..15),
        spoil in 0..SPOILERS.len(),
    ) {
        let mut backend = begin(&rules);
        for (step, event) in events.iter().enumerate() {
            let core_event = world::core_event(event);
            let decided = backend.graph().decide(&core_event, now(step)).ok();
            let decided = decided.filter(|decision| decision.teaches);
            if let Some(decision) = decided {
                let good = Record {
                    sequence: SequenceNumber(backend.graph().sequence().0 + 1),
                    log_time: now(step),
                    change: Change::EventResolved(decision.resolved.to_static()),
                };
                prop_assert_eq!(backend.graph().validate(&good), Ok(()));
                let mut bad = good.clone();
                let (name, spoiler) = SPOILERS[spoil];
                if spoiler(&mut bad, backend.graph()) {
                    let refused = backend.graph().validate(&bad).is_err();
                    prop_assert!(refused, "{}: {:?}", name, bad);
                }
            }
            send(&mut backend, event, step);
        }
    }
}

fn check_bounds(
    graph: &Graph,
    record: &Record<'_>,
    rules: &ModelRules,
) -> Result<(), TestCaseError> {
    let Change::EventResolved(event) = &record.change else {
        return Ok(());
    };
    let Some(view) = event.target.profile().and_then(|number| graph.profile(number)) else {
        return Ok(());
    };
    prop_assert!(view.merge_count() <= rules.merges_max);
    prop_assert!(view.identifier_count() <= rules.identifiers_max);
    prop_assert_eq!(view.identifiers().len() as u32, view.identifier_count());
    prop_assert_eq!(view.absorbed().len() as u32, view.merge_count());
    for older in event.target.absorbed() {
        prop_assert!(view.number() < *older, "the oldest survives");
    }
    let moment = event.timestamp.as_millis();
    for namespace in &rules.namespaces {
        let held = view.identifiers();
        let times = held.iter().filter(|held| held.namespace == namespace.name);
        let times: Vec<i64> = times.map(|held| held.attached_time.as_millis()).collect();
        let length = namespace.window.map_or(i64::MAX / 4, |(_, length)| length);
        let until = times.iter().filter(|t| (moment - length + 1..=moment).contains(t)).count();
        let from = times.iter().filter(|t| (moment..moment + length).contains(t)).count();
        let attached = event
            .identifiers
            .iter()
            .any(|seen| seen.verdict == Verdict::Attached && seen.namespace == namespace.name);
        if attached {
            prop_assert!(until.max(from) <= namespace.limit as usize, "{:?}", namespace);
        }
    }
    Ok(())
}

/// Makes a good record impossible; false if this one gives no hold for it.
type Spoiler = fn(&mut Record<'static>, &Graph) -> bool;

const SPOILERS: &[(&str, Spoiler)] = &[
    ("a gap in the sequence", |record, _| {
        record.sequence.0 += 1;
        true
    }),
    ("a sequence number that was", |record, _| {
        record.sequence.0 -= 1;
        true
    }),
    ("a log time before the last", |record, graph| {
        record.log_time = timestamp::at_millis(graph.log_time().as_millis() - 1);
        true
    }),
    ("a new profile that is not the next", |record, _| {
        edit_target(record, |target| match target {
            Target::Created(number) => {
                number.0 += 1;
                true
            }
            _ => false,
        })
    }),
    ("a profile that never was", |record, graph| {
        let counts = graph.counts();
        let ghost = ProfileNumber((counts.profiles + counts.absorbed_profiles) as u32 + 2);
        edit_target(record, |target| match target {
            Target::Found(number) => {
                *number = ghost;
                true
            }
            Target::Merged { absorbed, .. } => {
                absorbed.push(ghost);
                true
            }
            _ => false,
        })
    }),
    ("a merge with itself", |record, _| {
        edit_target(record, |target| match target {
            Target::Merged { survivor, absorbed } => {
                absorbed[0] = *survivor;
                true
            }
            _ => false,
        })
    }),
    ("a merge of the same twice", |record, _| {
        edit_target(record, |target| match target {
            Target::Merged { absorbed, .. } => {
                absorbed.push(absorbed[0]);
                true
            }
            _ => false,
        })
    }),
    ("a merge of nobody", |record, _| {
        edit_target(record, |target| match target {
            Target::Merged { absorbed, .. } => {
                absorbed.clear();
                true
            }
            _ => false,
        })
    }),
    ("an absorbed profile as a target", |record, graph| {
        let Some(retired) = first_absorbed(graph) else {
            return false;
        };
        edit_target(record, |target| match target {
            Target::Found(number) => {
                *number = retired;
                true
            }
            Target::Merged { absorbed, .. } => {
                absorbed[0] = retired;
                true
            }
            _ => false,
        })
    }),
    ("an attachment of what is held", |record, _| {
        edit_verdicts(record, |verdict| match verdict {
            Verdict::AlreadyAttached => {
                *verdict = Verdict::Attached;
                true
            }
            _ => false,
        })
    }),
    ("no attachment where nothing is held", |record, _| {
        edit_verdicts(record, |verdict| match verdict {
            Verdict::Attached => {
                *verdict = Verdict::AlreadyAttached;
                true
            }
            _ => false,
        })
    }),
    ("an attachment of what another holds", |record, _| {
        edit_verdicts(record, |verdict| match verdict.reason() {
            Some(reason) if reason.collided.is_some() => {
                *verdict = Verdict::Attached;
                true
            }
            _ => false,
        })
    }),
    ("nobody's event with an attachment", |record, _| {
        let Change::EventResolved(event) = &mut record.change else {
            return false;
        };
        let attached = event.identifiers.iter().any(|seen| seen.verdict.is_kept());
        event.target = Target::Unresolved;
        attached
    }),
    ("an identifier twice", |record, _| {
        let Change::EventResolved(event) = &mut record.change else {
            return false;
        };
        let first = event.identifiers.first().cloned();
        event.identifiers.extend(first.clone());
        first.is_some_and(|seen| seen.verdict.is_kept())
    }),
];

fn first_absorbed(graph: &Graph) -> Option<ProfileNumber> {
    let counts = graph.counts();
    let all = (1..=(counts.profiles + counts.absorbed_profiles) as u32).map(ProfileNumber);
    all.into_iter()
        .find(|number| graph.profile(*number).is_some_and(|view| view.number() != *number))
}

fn edit_target(record: &mut Record<'static>, edit: impl FnOnce(&mut Target) -> bool) -> bool {
    match &mut record.change {
        Change::EventResolved(event) => edit(&mut event.target),
        _ => false,
    }
}

fn edit_verdicts(record: &mut Record<'static>, edit: impl Fn(&mut Verdict) -> bool) -> bool {
    match &mut record.change {
        Change::EventResolved(event) => {
            event.identifiers.iter_mut().any(|seen| edit(&mut seen.verdict))
        }
        _ => false,
    }
}
