//! Identifiers that were not seen for long leave, and what keeps them.

mod support;

use ipse_core::change::ProfileNumber;
use ipse_core::limits::EXPIRED_IDENTIFIERS_MAX;
use ipse_core::{Change, Event, Graph, Target, Timestamp};
use support::core::reload;
use support::small::{self, seen};
use support::timestamp;

const RULES: &str = "[namespaces.email]\npriority = 1\nlimit = \"none\"\n\
                     [namespaces.session]\npriority = 2\nlimit = \"none\"\n";

#[test]
fn what_was_not_seen_for_long_leaves_and_comes_again_as_new() {
    let mut graph = expiring(2);
    observe(&mut graph, 0, &["email=ann", "session=s1"]);

    assert_eq!(expire(&mut graph, 2), [""; 0]);
    let gone = expire(&mut graph, 3);

    assert_eq!(gone, ["session=s1 of [ProfileNumber(1)] seen 2026-01-01T00:00:00.000Z"]);
    assert!(graph.owners("session", "s1").expect("it is a namespace").is_empty());
    assert_eq!(graph.counts().identifiers, 1);
    assert_eq!(graph.counts().links, 0);
    let target = observe(&mut graph, 3, &["session=s1"]).expect("it is new");
    assert_eq!(target, Target::Created(ProfileNumber(2)));
    assert_eq!(graph.state_hash(), reload(&graph, 5).state_hash());
}

#[test]
fn being_seen_keeps_it_and_is_recorded_once_a_day() {
    let mut graph = expiring(2);
    observe(&mut graph, 0, &["email=ann", "session=s1"]);
    assert_eq!(observe(&mut graph, 0, &["session=s1"]), None, "that day is known");
    assert!(observe(&mut graph, 2, &["session=s1"]).is_some(), "the day is news");
    assert_eq!(observe(&mut graph, 2, &["session=s1"]), None);
    assert_eq!(observe(&mut graph, 2, &["email=ann"]), None, "e-mails do not expire");
    assert_eq!(expire(&mut graph, 4), [""; 0]);
    assert_eq!(expire(&mut graph, 5).len(), 1);
}

#[test]
fn new_rules_begin_to_count_on_their_day_and_cease_to() {
    let mut graph = small::graph(RULES, day(0));
    observe(&mut graph, 0, &["email=ann", "session=s1"]);
    set_rules(&mut graph, 10, &with_expiry(2));
    assert_eq!(expire(&mut graph, 12), [""; 0]);
    set_rules(&mut graph, 12, RULES);
    assert_eq!(expire(&mut graph, 99), [""; 0]);
    set_rules(&mut graph, 99, &with_expiry(1));
    assert_eq!(expire(&mut graph, 101).len(), 1);
}

#[test]
fn many_expire_in_bounded_records_and_make_room_for_as_many() {
    let mut graph = expiring(1);
    fill(&mut graph, 0, 2_500);
    let full = graph.memory();
    let mut records = 0;
    while let Some(expired) = graph.decide_expiry(day(2)) {
        assert!(expired.identifiers.len() <= EXPIRED_IDENTIFIERS_MAX);
        small::commit(&mut graph, day(2), Change::Expired(expired));
        records += 1;
    }
    assert_eq!(records, 2_500 / EXPIRED_IDENTIFIERS_MAX);
    assert_eq!(graph.counts().identifiers, 0);
    let empty = graph.memory();
    assert!(empty.bytes < full.bytes, "{empty:?} {full:?}");
    let before = empty.bytes;
    fill(&mut graph, 2, 2_500);
    // Rows and profiles are new; text and index take what was given back.
    assert!(graph.memory().bytes - before < 2_500 * 160, "{:?}", graph.memory());
}

fn expiring(days: u32) -> Graph {
    small::graph(&with_expiry(days), day(0))
}

fn with_expiry(days: u32) -> String {
    format!("{RULES}expires_after_days = {days}\n")
}

fn fill(graph: &mut Graph, at: i64, sessions: u32) {
    for number in 0..sessions {
        let session = format!("session=s{at}-{number:06}");
        let event = seen(&[&session]);
        let decision = graph.decide(&event, day(at)).expect("a good event");
        let sequence = ipse_core::SequenceNumber(graph.sequence().0 + 1);
        let change = Change::EventResolved(decision.resolved);
        graph.apply(&ipse_core::Record { sequence, log_time: day(at), change });
    }
}

/// The target of what was recorded; none if the event taught nothing.
fn observe(graph: &mut Graph, at: i64, identifiers: &[&str]) -> Option<Target> {
    let event = Event { timestamp: Some(day(0)), ..seen(identifiers) };
    let decision = graph.decide(&event, day(at)).expect("a good event");
    let target = decision.resolved.target.clone();
    decision.teaches.then(|| {
        small::commit(graph, day(at), Change::EventResolved(decision.resolved));
        target
    })
}

fn set_rules(graph: &mut Graph, at: i64, rules: &str) {
    let change = graph.decide_rules(rules, None).expect("good rules").expect("other rules");
    small::commit(graph, day(at), change);
}

fn expire(graph: &mut Graph, at: i64) -> Vec<String> {
    let Some(expired) = graph.decide_expiry(day(at)) else { return Vec::new() };
    let told = expired.identifiers.iter().map(|known| {
        let (namespace, value) = (&known.namespace, &known.value);
        format!("{namespace}={value} of {:?} seen {}", known.profiles, known.last_seen)
    });
    let told = told.collect();
    small::commit(graph, day(at), Change::Expired(expired));
    told
}

/// Some hour of the day with this number.
fn day(number: i64) -> Timestamp {
    timestamp::at_millis(timestamp::START_MS + number * 86_400_000 + 3_600_000)
}
