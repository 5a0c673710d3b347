//! Random rules and events over small alphabets, so that everything collides with
//! everything, and the bridge between the model's words and the core's.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use ipse_core::change::{ObservedIdentifier, ProfileNumber, Verdict};
use ipse_core::decide::Decision;
use ipse_core::{Event, Graph, Refusal, SentIdentifier, SentTrait, TraitValue};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::model::{Answer, Id, Model, ModelEvent, ModelNamespace, ModelRules, NoAnswer};
use super::timestamp;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// 2021-01-01T00:00:00Z.
const FIRST_MS: i64 = 1_609_459_200_000;
const NAMESPACES: [&str; 4] = ["card", "device", "email", "user"];
const VALUES: [&str; 6] = ["A", "a", "b", "c", "d", "x"];
const TRAITS: [&str; 2] = ["city", "plan"];

/// One step of a random course of events.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Event(ModelEvent),
    Ask(ModelEvent),
    Rules(ModelRules),
    Crash,
    Checkpoint,
    Restart,
}

/// Rules with tight limits, windows and caps.
pub(crate) fn tight_rules() -> impl Strategy<Value = ModelRules> {
    let namespaces = Just(NAMESPACES.to_vec())
        .prop_shuffle()
        .prop_flat_map(|names| names.into_iter().map(namespace).collect::<Vec<_>>());
    let merges = prop_oneof![Just(100u32), 1..4u32];
    let identifiers = prop_oneof![Just(1_000u32), 2..8u32];
    (namespaces, any::<bool>(), merges, identifiers).prop_map(
        |(namespaces, legacy, merges_max, identifiers_max)| ModelRules {
            namespaces,
            legacy,
            merges_max,
            identifiers_max,
        },
    )
}

/// Rules under which nothing is ever dropped.
pub(crate) fn loose_rules() -> ModelRules {
    let namespaces = NAMESPACES.map(|name| ModelNamespace {
        name,
        limit: 1_000,
        window: None,
        blocked: Vec::new(),
        login: false,
    });
    ModelRules {
        namespaces: namespaces.to_vec(),
        legacy: false,
        merges_max: 1_000,
        identifiers_max: 1_000,
    }
}

fn namespace(name: &'static str) -> impl Strategy<Value = ModelNamespace> {
    let window = prop_oneof![
        3 => Just(None),
        1 => Just(Some(("daily", DAY_MS))),
        1 => Just(Some(("weekly", 7 * DAY_MS))),
    ];
    let blocked = prop_oneof![3 => Just(vec![]), 1 => Just(vec!["x"])];
    (1..4u32, window, blocked, any::<bool>()).prop_map(move |(limit, window, blocked, login)| {
        ModelNamespace { name, limit, window, blocked, login }
    })
}

/// An event of at most five identifiers within twelve days; times fall on half days, so
/// that the edges of windows are hit.
pub(crate) fn event() -> impl Strategy<Value = ModelEvent> {
    let id = (prop::sample::select(&NAMESPACES), prop::sample::select(&VALUES));
    let id = prop_oneof![40 => id, 1 => Just(("ghost", "a"))];
    let event_id =
        prop_oneof![4 => Just(String::new()), 1 => (0..4u8).prop_map(|n| format!("e{n}"))];
    let key = prop_oneof![8 => Just(""), 1 => prop::sample::select(&NAMESPACES)];
    let traits = vec((prop::sample::select(&TRAITS), any::<i64>()), 0..2);
    let profile = option::weighted(0.08, 1..6u32);
    (event_id, 0..24i64, key, profile, vec(id, 0..5), traits).prop_map(
        |(event_id, half_days, key, profile, identifiers, traits)| ModelEvent {
            event_id,
            time_ms: FIRST_MS + half_days * 12 * HOUR_MS,
            key,
            profile,
            identifiers,
            traits,
        },
    )
}

/// A course of events with disturbances that must not matter.
pub(crate) fn steps(count: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        30 => event().prop_map(Step::Event),
        3 => event().prop_map(Step::Ask),
        1 => tight_rules().prop_map(Step::Rules),
        1 => Just(Step::Crash),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Restart),
    ];
    vec(step, 1..count)
}

/// Rules as the core reads them.
pub(crate) fn toml(rules: &ModelRules) -> String {
    let policy = if rules.legacy { "legacy_2020" } else { "drop_lowest" };
    let mut toml = format!(
        "[workspace]\nconflict = \"{policy}\"\nmerges_max = {}\nidentifiers_max = {}\n",
        rules.merges_max, rules.identifiers_max
    );
    for (namespace, priority) in rules.namespaces.iter().zip(1..) {
        let window = namespace.window.map_or("ever", |(word, _)| word);
        write!(
            toml,
            "[namespaces.{}]\npriority = {priority}\nlogin = {}\nblocked = {:?}\nlimit = {{ values = {}, window = \"{window}\" }}\n",
            namespace.name, namespace.login, namespace.blocked, namespace.limit
        )
        .expect("text takes everything");
    }
    toml
}

/// An event as the core takes it.
pub(crate) fn core_event(event: &ModelEvent) -> Event<'_> {
    let traits: BTreeMap<&str, i64> = event.traits.iter().copied().collect();
    Event {
        event_id: &event.event_id,
        kind: "track",
        source: "",
        timestamp: Some(timestamp::at_millis(event.time_ms)),
        profile: event.profile.map(ProfileNumber),
        key_namespace: event.key,
        identifiers: event
            .identifiers
            .iter()
            .map(|(namespace, value)| SentIdentifier::new(*namespace, *value))
            .collect(),
        traits: traits
            .into_iter()
            .map(|(name, value)| SentTrait {
                name: name.into(),
                value: Some(TraitValue::Integer(value)),
                set_once: false,
            })
            .collect(),
        ..Event::default()
    }
}

/// The core's decision in the model's words.
pub(crate) fn answer(decision: Result<&Decision<'_>, &Refusal>) -> Result<Answer, NoAnswer> {
    let decision = match decision {
        Ok(decision) => decision,
        Err(Refusal::EventIdReused { .. }) => return Err(NoAnswer::EventIdReused),
        Err(Refusal::UnknownProfile) => return Err(NoAnswer::UnknownProfile),
        Err(other) => panic!("no such refusal was due: {other:?}"),
    };
    let seen = &decision.resolved.identifiers;
    let id = |seen: &ObservedIdentifier<'_>| intern(&seen.namespace, &seen.value);
    let verdicts = seen.iter().map(|seen| (id(seen), seen.verdict.clone()));
    let matched = seen.iter().filter(|seen| !matches!(seen.verdict, Verdict::Dropped(_)));
    Ok(Answer {
        target: decision.resolved.target.clone(),
        verdicts: verdicts.collect(),
        strongest_first: matched.map(id).collect(),
        known: decision.known,
        teaches: decision.teaches,
        repeated: decision.repeated.is_some(),
    })
}

/// The alphabets' own text, so that identifiers compare as the model's.
fn intern(namespace: &str, value: &str) -> Id {
    let find = |alphabet: &[&'static str], text: &str| {
        *alphabet.iter().find(|known| **known == text).expect("of the alphabet")
    };
    let namespaces: Vec<&'static str> = NAMESPACES.into_iter().chain(["ghost"]).collect();
    (find(&namespaces, namespace), find(&VALUES, value))
}

/// Everybody in the graph, in the model's words.
pub(crate) fn partition(
    graph: &Graph,
) -> BTreeMap<u32, (BTreeSet<Id>, BTreeMap<&'static str, i64>)> {
    let counts = graph.counts();
    let mut partition = BTreeMap::new();
    for number in 1..=(counts.profiles + counts.absorbed_profiles) as u32 {
        let view = graph.profile(ProfileNumber(number)).expect("numbers are dense");
        if view.number().0 != number {
            continue;
        }
        let ids =
            view.identifiers().iter().map(|held| intern(held.namespace, held.value)).collect();
        let traits = view.traits().into_iter().map(|(name, value)| {
            let name = *TRAITS.iter().find(|known| **known == name).expect("of the alphabet");
            match *value {
                TraitValue::Integer(number) => (name, number),
                ref other => panic!("another kind of value came back: {other:?}"),
            }
        });
        partition.insert(number, (ids, traits.collect()));
    }
    partition
}

/// Panics unless the graph holds what the model holds.
pub(crate) fn assert_agrees(graph: &Graph, model: &Model) {
    assert_eq!(partition(graph), model.partition());
    for number in 1..=model.people_ever() {
        let view = graph.profile(ProfileNumber(number)).expect("numbers are dense");
        assert_eq!(view.number().0, model.survivor(number), "whom {number} answers to");
        let id = graph.profile_id(ProfileNumber(number));
        assert_eq!(graph.profile_number(id.as_str()), Some(ProfileNumber(number)));
    }
    let ghost = ProfileNumber(model.people_ever() + 1);
    assert!(graph.profile(ghost).is_none());
}
