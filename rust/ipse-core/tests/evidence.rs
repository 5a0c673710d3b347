//! What a record keeps beside the answer, and what a graph keeps for a time only: things
//! that the stories of `tests/scenarios` cannot show.

mod support;

use ipse_core::change::{ProfileNumber, Verdict};
use ipse_core::decide::Decision;
use ipse_core::{Event, Graph, Refusal, SentIdentifier, Timestamp, limits};
use support::backend::Backend;
use support::core::CoreBackend;
use support::{scenario, timestamp};

const RULES: &str = r#"
[namespaces.user_id]
priority = 1
limit = 1
login = true
normalise = "trim"
[namespaces.email]
priority = 2
limit = 2
normalise = "email"
[namespaces.anonymous_id]
priority = 3
limit = 5
"#;

fn at(seconds: i64) -> Timestamp {
    timestamp::at_millis(timestamp::START_MS + seconds * 1_000)
}

fn begin() -> CoreBackend {
    let mut backend = CoreBackend::new();
    backend.create_workspace("evidence", RULES, at(0));
    backend
}

fn event<'a>(event_id: &'a str, identifiers: &[(&'a str, &'a str)]) -> Event<'a> {
    let sent = |(namespace, value): &(&'a str, &'a str)| SentIdentifier::new(*namespace, *value);
    Event {
        event_id,
        kind: "track",
        source: "app",
        identifiers: identifiers.iter().map(sent).collect(),
        ..Event::default()
    }
}

fn resolve<'e>(backend: &mut CoreBackend, event: &'e Event<'e>, now: Timestamp) -> Decision<'e> {
    match scenario::resolve(backend, event, now, false) {
        Ok(decision) => decision,
        Err(refusal) => panic!("refused: {refusal:?}"),
    }
}

#[test]
fn the_raw_value_is_kept_where_normalising_changed_it() {
    let mut backend = begin();
    let sent = event(
        "",
        &[
            ("email", " Ann@Example.com"),
            ("user_id", "u1"),
            ("anonymous_id", " a "),
            ("email", "no"),
        ],
    );
    let seen = resolve(&mut backend, &sent, at(1)).resolved.identifiers;
    let kept: Vec<_> = seen.iter().map(|seen| (seen.value.as_ref(), seen.raw.as_deref())).collect();
    assert!(kept.contains(&("ann@example.com", Some(" Ann@Example.com"))), "{kept:?}");
    assert!(kept.contains(&("u1", None)), "{kept:?}");
    assert!(kept.contains(&(" a ", None)), "{kept:?}");
    assert_eq!(seen.len(), 4, "what was dropped is evidence too");
}

#[test]
fn a_record_holds_the_whole_event() {
    let mut backend = begin();
    let sent = Event {
        timestamp: Some(at(-86_400)),
        key_namespace: "email",
        ..event("e1", &[("user_id", "u1"), ("email", "e@x.com"), ("card", "1")])
    };
    let resolved = resolve(&mut backend, &sent, at(1)).resolved;
    assert_eq!((resolved.event_id.as_ref(), resolved.kind.as_ref()), ("e1", "track"));
    assert_eq!((resolved.source.as_ref(), resolved.key_namespace.as_ref()), ("app", "email"));
    assert_eq!(resolved.timestamp, at(-86_400));
    assert_eq!(resolved.rules_version.0, 1);
    assert_ne!(resolved.digest, 0);
    assert!(resolved.identifiers.iter().any(|seen| matches!(seen.verdict, Verdict::Dropped(_))));
}

#[test]
fn without_a_time_it_is_the_log_s() {
    let mut backend = begin();
    let sent = event("", &[("user_id", "u1")]);
    let resolved = resolve(&mut backend, &sent, at(77)).resolved;
    assert_eq!((resolved.timestamp, resolved.digest), (at(77), 0));
    let view = backend.graph().profile(ProfileNumber(1)).expect("just created");
    assert_eq!(view.created_time(), at(77));
    assert_eq!(view.identifiers()[0].attached_time, at(77));
}

#[test]
fn a_login_identifier_makes_a_profile_known_for_good() {
    let mut backend = begin();
    let (anonymous, login) = (
        event("", &[("anonymous_id", "a1")]),
        event("", &[("anonymous_id", "a1"), ("user_id", "u1")]),
    );
    assert!(!resolve(&mut backend, &anonymous, at(1)).known);
    assert!(resolve(&mut backend, &login, at(2)).known);
    assert!(resolve(&mut backend, &anonymous, at(3)).known);
    backend.checkpoint();
    let view = backend.graph().profile(ProfileNumber(1)).expect("created above");
    assert!(view.known());
    // Merged into an older one that was not.
    resolve(&mut backend, &event("", &[("anonymous_id", "a2")]), at(4));
    resolve(&mut backend, &event("", &[("email", "e@x.com")]), at(5));
    let merging = event("", &[("anonymous_id", "a2"), ("email", "e@x.com"), ("user_id", "u2")]);
    assert!(resolve(&mut backend, &merging, at(6)).known);
}

#[test]
fn an_event_id_is_remembered_for_a_day() {
    let day = limits::REMEMBERED_EVENTS_AGE_MS_MAX / 1_000;
    let mut backend = begin();
    let (first, other) = (event("e1", &[("user_id", "u1")]), event("e1", &[("user_id", "u2")]));
    resolve(&mut backend, &first, at(1));
    let refused = scenario::resolve(&mut backend, &other, at(day), false);
    assert!(matches!(refused, Err(Refusal::EventIdReused { .. })), "{refused:?}");
    assert!(resolve(&mut backend, &first, at(day)).repeated.is_some());
    // Another record moves the log's time on, and the memory with it.
    resolve(&mut backend, &event("", &[("user_id", "u3")]), at(day + 60));
    let decision = resolve(&mut backend, &other, at(day + 61));
    assert_eq!(decision.repeated, None);
    backend.checkpoint();
    backend.crash();
}

#[test]
fn profile_ids_are_stable_and_of_one_workspace() {
    let mut backend = begin();
    resolve(&mut backend, &event("", &[("anonymous_id", "a1")]), at(1));
    resolve(&mut backend, &event("", &[("anonymous_id", "a2")]), at(2));
    let ids = |graph: &Graph| [1, 2].map(|n| graph.profile_id(ProfileNumber(n)).to_string());
    let before = ids(backend.graph());
    resolve(&mut backend, &event("", &[("anonymous_id", "a1"), ("anonymous_id", "a2")]), at(3));
    backend.checkpoint();
    assert_eq!(ids(backend.graph()), before);
    for (id, number) in before.iter().zip(1..) {
        assert!(id.len() == 16 && id.starts_with("ip_"), "{id}");
        assert_eq!(backend.graph().profile_number(id), Some(ProfileNumber(number)));
        assert_eq!(backend.graph().profile_number(&id.to_uppercase()), None);
        assert_eq!(backend.graph().profile_number(&id[..15]), None);
    }
    let never = backend.graph().profile_id(ProfileNumber(3)).to_string();
    assert_eq!(backend.graph().profile_number(&never), None, "never given out");
    assert_eq!(backend.graph().profile_number(""), None);
    assert_eq!(backend.graph().profile_number("ip_é"), None);
}

#[test]
fn a_clock_that_went_back_does_not_move_the_log_back() {
    let mut backend = begin();
    resolve(&mut backend, &event("", &[("user_id", "u1")]), at(100));
    let sent = event("", &[("user_id", "u2")]);
    let decision = backend.graph().decide(&sent, at(50)).expect("a clock is no one's fault");
    assert!(decision.resolved.timestamp <= at(100));
}
