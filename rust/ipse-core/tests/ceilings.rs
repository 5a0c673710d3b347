//! Memory that has reached its ceiling: who is known is answered, and nobody new comes in.

mod support;

use std::borrow::Cow;

use ipse_core::change::{ProfileNumber, Rule, TraitReason, Verdict};
use ipse_core::command::{IdentifierChange, ImportProfile, ImportedIdentifier, ModifyIdentifiers};
use ipse_core::command::{Operation, SplitProfile, Taken};
use ipse_core::decide::{Ceiling, CeilingOf, Decision, Moment, Room};
use ipse_core::{Change, Event, Graph, Refusal, SentTrait, Target, Timestamp, TraitValue};
use support::small::{self, seen, sent};
use support::timestamp;

const CEILING: Ceiling = Ceiling { of: CeilingOf::Workspace, what: "identifiers", bound: 3 };
const BYTES: Ceiling = Ceiling { of: CeilingOf::Process, what: "bytes", bound: 1 << 20 };

/// A workspace that may hold so many identifiers more.
fn with_room(identifiers: u64) -> Moment {
    Moment { now: now(), room: Room { identifiers, bytes: true, ceiling: CEILING } }
}

fn without_bytes() -> Moment {
    Moment { now: now(), room: Room { identifiers: 0, bytes: false, ceiling: BYTES } }
}

#[test]
fn known_people_are_answered_and_their_new_identifiers_dropped_by_name() {
    let mut graph = graph_with(&["email=ann", "device=d1"]);
    let event = seen(&["email=ann", "device=d2", "device=d3"]);

    let decision = graph.decide(&event, with_room(1)).expect("she is known");

    assert_eq!(decision.resolved.target, Target::Found(ProfileNumber(1)));
    assert_eq!(told(&decision), ["email=ann held", "device=d2 attached", "device=d3 ceiling"]);
    let decision = graph.decide(&event, with_room(0)).expect("she is known");
    assert_eq!(told(&decision), ["email=ann held", "device=d2 ceiling", "device=d3 ceiling"]);
    assert!(decision.teaches, "what is kept out is recorded the first time");
    apply(&mut graph, decision);
    assert_eq!(graph.counts().identifiers, 2);
    assert!(!graph.decide(&event, with_room(0)).expect("she is known").teaches);
}

#[test]
fn somebody_new_is_refused_and_may_try_again() {
    let graph = graph_with(&["email=ann"]);
    let event = Event { event_id: "e1", ..seen(&["email=bob", "device=d9"]) };

    let refused = graph.decide(&event, with_room(0));

    assert_eq!(refused, Err(Refusal::CeilingReached(CEILING)));
    let decision = graph.decide(&event, with_room(1)).expect("there is room for one");
    assert_eq!(told(&decision), ["email=bob attached", "device=d9 ceiling"]);
    let decision = graph.decide(&event, with_room(2)).expect("there is room");
    assert_eq!(decision.resolved.target, Target::Created(ProfileNumber(2)));
}

#[test]
fn an_event_that_wrote_is_answered_as_it_was_however_little_room_there_is() {
    let mut graph = graph_with(&[]);
    let event = Event { event_id: "e1", ..seen(&["email=ann"]) };
    let decision = graph.decide(&event, with_room(1)).expect("there is room");
    let first = decision.resolved.clone();
    apply(&mut graph, decision);

    let again = graph.decide(&event, with_room(0)).expect("it is a repeat");

    assert!(again.repeated.is_some());
    assert_eq!(again.resolved.target, first.target);
}

#[test]
fn rules_speak_before_the_ceiling() {
    let graph = graph_with(&["email=ann"]);
    let event = seen(&["nonsense=x"]);
    let unknown = graph.decide(&event, with_room(0)).expect("it is answered");
    assert_eq!(unknown.resolved.target, Target::Unresolved);
    assert_eq!(told(&unknown), ["nonsense=x unknown namespace"]);
}

#[test]
fn commands_obey_it_as_events_do() {
    let graph = graph_with(&["email=ann", "device=d1"]);
    let change = |old: Option<&'static str>, new: &'static str| IdentifierChange {
        namespace: "device".into(),
        old: old.map(Cow::Borrowed),
        new: Some(new.into()),
    };
    let modify = ModifyIdentifiers {
        operation: Operation::default(),
        profile: ProfileNumber(1),
        changes: vec![change(None, "d2"), change(Some("d1"), "d3")],
    };
    let decision = graph.decide_modify(&modify, with_room(0)).expect("the profile is there");
    assert_eq!(told(&decision), ["device=d2 ceiling", "device=d1 held", "device=d3 ceiling"]);
    let decision = graph.decide_modify(&modify, with_room(1)).expect("the profile is there");
    assert_eq!(told(&decision), ["device=d2 attached", "device=d1 held", "device=d3 ceiling"]);

    let import = |former_id, identifiers: &[&'static str]| ImportProfile {
        former_id: Cow::Borrowed(former_id),
        identifiers: identifiers
            .iter()
            .map(|text| ImportedIdentifier { sent: sent(text), time: None })
            .collect(),
        ..ImportProfile::default()
    };
    let refused = graph.decide_import(&import("old-7", &["email=bob"]), with_room(0)).err();
    assert_eq!(refused, Some(Refusal::CeilingReached(CEILING)));
    let import = import("old-7", &["email=ann"]);
    let decision = graph.decide_import(&import, with_room(0)).expect("she is known");
    assert_eq!(told(&decision), ["email=ann held", "former_id=old-7 ceiling"]);

    // What corrects adds nothing, and goes on.
    let split = SplitProfile {
        operation: Operation::default(),
        profile: ProfileNumber(1),
        taken: Taken::These(vec![sent("device=d1")]),
        together: false,
    };
    graph.decide_split(&split, now()).expect("it is hers");
}

#[test]
fn without_bytes_traits_may_change_and_not_grow() {
    let mut graph = graph_with(&["email=ann"]);
    let first = with_traits(&[("city", "Oslo")]);
    let decision = graph.decide(&first, now()).expect("there is room");
    apply(&mut graph, decision);
    let event = with_traits(&[("city", "Rome"), ("plan", "x")]);

    let decision = graph.decide(&event, without_bytes()).expect("she is known");

    let changed: Vec<&str> = decision.resolved.traits.iter().map(|set| &*set.name).collect();
    assert_eq!(changed, ["city"]);
    let ignored = decision.resolved.ignored_traits();
    let ignored: Vec<_> = ignored.iter().map(|i| (&*i.name, i.reason)).collect();
    assert_eq!(ignored, [("plan", TraitReason::Ceiling)]);
    let longer = with_traits(&[("city", "Trondheim")]);
    let decision = graph.decide(&longer, without_bytes()).expect("she is known");
    assert!(decision.resolved.traits.is_empty());
}

#[test]
fn without_bytes_an_empty_profile_is_not_made_either() {
    let graph = graph_with(&[]);
    let import = ImportProfile::default();
    let refused = graph.decide_import(&import, without_bytes()).err();
    assert_eq!(refused, Some(Refusal::CeilingReached(BYTES)));
}

#[test]
fn memory_grows_with_what_is_held_and_the_largest_profile_is_known() {
    let mut graph = graph_with(&["email=ann", "device=d1"]);
    let small = graph.memory();
    assert_eq!(graph.largest_profile(), (2, Some(ProfileNumber(1))));
    for n in 0..2_000 {
        let (email, device) = (format!("email=p{n}"), format!("device=x{n}"));
        let event = seen(&[&email, &device]);
        let decision = graph.decide(&event, now()).expect("a good event");
        apply(&mut graph, decision);
    }
    let large = graph.memory();
    assert_eq!(large.identifiers, small.identifiers + 4_000);
    assert!(large.bytes > small.bytes + 4_000 * 40, "{small:?} {large:?}");
    let event = seen(&["email=p7", "device=x7", "device=y7"]);
    let decision = graph.decide(&event, now()).expect("a good event");
    apply(&mut graph, decision);
    assert_eq!(graph.largest_profile(), (3, Some(ProfileNumber(9))));
}

fn graph_with(identifiers: &[&str]) -> Graph {
    let rules = "[namespaces.email]\npriority = 1\nlimit = \"none\"\n\
                 [namespaces.device]\npriority = 2\nlimit = \"none\"\n";
    let mut graph = small::graph(rules, now());
    if !identifiers.is_empty() {
        let event = seen(identifiers);
        let decision = graph.decide(&event, now()).expect("a good event");
        apply(&mut graph, decision);
    }
    graph
}

fn apply(graph: &mut Graph, decision: Decision<'_>) {
    small::commit(graph, now(), Change::EventResolved(decision.resolved));
}

fn with_traits(traits: &[(&'static str, &'static str)]) -> Event<'static> {
    let traits = traits.iter().map(|&(name, value)| SentTrait {
        name: name.into(),
        value: Some(TraitValue::Text(value.into())),
        set_once: false,
    });
    Event { traits: traits.collect(), ..seen(&["email=ann"]) }
}

fn told(decision: &Decision<'_>) -> Vec<String> {
    let word = |verdict: &Verdict| match verdict {
        Verdict::Attached => "attached",
        Verdict::AlreadyAttached => "held",
        other => match other.reason().expect("nothing moves here").rule {
            Rule::Ceiling => "ceiling",
            Rule::UnknownNamespace => "unknown namespace",
            rule => panic!("{rule:?}"),
        },
    };
    let identifiers = decision.resolved.identifiers.iter();
    identifiers.map(|o| format!("{}={} {}", o.namespace, o.value, word(&o.verdict))).collect()
}

fn now() -> Timestamp {
    timestamp::at_millis(timestamp::START_MS)
}
