//! Identifiers that were not seen for long leave, and what keeps them.

mod support;

use ipse_core::change::ProfileNumber;
use ipse_core::command::{Erasable, Erase, MergeProfiles, Operation, SplitProfile, Taken};
use ipse_core::decide::ErasureDecision;
use ipse_core::limits::EXPIRED_IDENTIFIERS_MAX;
use ipse_core::{Change, Event, Graph, Record, SequenceNumber, Target, Timestamp};
use support::core::reload;
use support::small::{self, seen};
use support::timestamp;

const RULES: &str = "[namespaces.email]\npriority = 1\nlimit = \"none\"\n\
                     [namespaces.session]\npriority = 2\nlimit = \"none\"\n";

const ANONYMOUS: &str = "[workspace]\nanonymous_expires_after_days = 2\n\
                         [namespaces.user]\npriority = 1\nlogin = true\nlimit = \"none\"\n\
                         [namespaces.cookie]\npriority = 2\nlimit = \"none\"\n";

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

#[test]
fn an_anonymous_profile_expires_as_a_whole() {
    let mut graph = small::graph(ANONYMOUS, day(0));
    observe(&mut graph, 0, &["cookie=a", "cookie=b"]);
    observe(&mut graph, 1, &["cookie=c"]);

    assert_eq!(expire(&mut graph, 2), [""; 0]);
    let gone = expire(&mut graph, 3);

    let one = |value| format!("{value} of [ProfileNumber(1)] seen 2026-01-01T00:00:00.000Z");
    assert_eq!(gone, [one("cookie=a"), one("cookie=b")]);
    assert_eq!((graph.counts().identifiers, graph.counts().links), (1, 0));
    assert_eq!(expire(&mut graph, 4).len(), 1);
    assert_eq!(expire(&mut graph, 99), [""; 0], "a profile without identifiers has nothing left");
    let target = observe(&mut graph, 99, &["cookie=a"]);
    assert_eq!(target, Some(Target::Created(ProfileNumber(3))));
    assert_eq!(graph.state_hash(), reload(&graph, 5).state_hash());
}

#[test]
fn what_is_seen_of_an_anonymous_profile_keeps_all_of_it_and_is_recorded_once_a_day() {
    let mut graph = small::graph(ANONYMOUS, day(0));
    observe(&mut graph, 0, &["cookie=a", "cookie=b"]);
    assert!(observe(&mut graph, 2, &["cookie=a"]).is_some(), "the day is news");
    assert_eq!(observe(&mut graph, 2, &["cookie=a"]), None);
    assert_eq!(observe(&mut graph, 2, &["cookie=b"]), None, "its profile's day is known");
    assert_eq!(expire(&mut graph, 4), [""; 0]);
    assert!(observe(&mut graph, 4, &["cookie=b", "cookie=c"]).is_some());
    assert_eq!(expire(&mut graph, 6), [""; 0]);
    assert_eq!(expire(&mut graph, 7).len(), 3);
}

#[test]
fn who_is_known_does_not_expire_nor_what_was_merged_into_them() {
    let mut graph = small::graph(ANONYMOUS, day(0));
    observe(&mut graph, 0, &["user=ann", "cookie=a"]);
    observe(&mut graph, 0, &["cookie=b"]);
    observe(&mut graph, 0, &["cookie=c"]);
    observe(&mut graph, 1, &["cookie=b", "cookie=c"]);
    observe(&mut graph, 2, &["user=ann", "cookie=b"]);
    assert_eq!(graph.counts().profiles, 1);
    assert_eq!(expire(&mut graph, 99), [""; 0]);
    assert_eq!(observe(&mut graph, 99, &["cookie=c"]), None, "no day is kept of them");
}

#[test]
fn who_is_anonymous_again_expires_from_that_day_on() {
    let mut graph = small::graph(ANONYMOUS, day(0));
    observe(&mut graph, 0, &["user=ann", "cookie=a", "cookie=b", "cookie=c"]);
    split(&mut graph, 5, "cookie=c");
    split(&mut graph, 6, "user=ann");
    let of = |number: u32, value: &str, seen: &str| {
        format!("cookie={value} of [ProfileNumber({number})] seen 2026-01-{seen}T00:00:00.000Z")
    };
    assert_eq!(expire(&mut graph, 7), [""; 0]);
    assert_eq!(expire(&mut graph, 8), [of(2, "c", "06")]);
    assert_eq!(expire(&mut graph, 9), [of(1, "a", "07"), of(1, "b", "07")]);
    assert_eq!(expire(&mut graph, 99), [""; 0], "whoever has the login is known");
    assert_eq!(graph.state_hash(), reload(&graph, 5).state_hash());
}

#[test]
fn two_anonymous_profiles_that_are_merged_were_seen_when_either_was() {
    for (target, source) in [(1, 2), (2, 1)] {
        let mut graph = small::graph(ANONYMOUS, day(0));
        observe(&mut graph, 0, &["cookie=a"]);
        observe(&mut graph, 2, &["cookie=b"]);
        let command = MergeProfiles {
            operation: Operation::default(),
            target: ProfileNumber(target),
            sources: vec![Some(ProfileNumber(source))],
            force: false,
        };
        let decision = graph.decide_merge(&command, day(2)).expect("both are there");
        let change = Change::EventResolved(decision.resolved.to_static());
        small::commit(&mut graph, day(2), change);
        assert_eq!(expire(&mut graph, 4), [""; 0]);
        assert_eq!(expire(&mut graph, 5).len(), 2);
    }
}

#[test]
fn what_a_known_profile_holds_too_stays() {
    let rules = format!("{ANONYMOUS}shared = true\n[namespaces.tab]\nlimit = \"none\"\n");
    let mut graph = small::graph(&rules, day(0));
    observe(&mut graph, 0, &["user=ann", "cookie=kiosk"]);
    observe(&mut graph, 0, &["tab=t"]);
    observe(&mut graph, 0, &["tab=t", "cookie=kiosk"]);
    assert_eq!(graph.owners("cookie", "kiosk").expect("a namespace").len(), 2);
    assert_eq!(expire(&mut graph, 3).len(), 1);
    assert_eq!(graph.owners("cookie", "kiosk").expect("a namespace").len(), 2);
    assert_eq!(expire(&mut graph, 99), [""; 0]);
    split(&mut graph, 99, "user=ann");
    assert_eq!(expire(&mut graph, 101), [""; 0]);
    assert_eq!(expire(&mut graph, 102).len(), 1, "nobody is known by it any more");
}

#[test]
fn a_large_anonymous_profile_leaves_in_bounded_records() {
    let mut graph = small::graph(ANONYMOUS, day(0));
    for number in 0..250 {
        observe(&mut graph, 0, &["cookie=first", &format!("cookie={number:03}")]);
    }
    let counts = [(); 4].map(|()| expire(&mut graph, 3).len());
    assert_eq!(counts, [EXPIRED_IDENTIFIERS_MAX, EXPIRED_IDENTIFIERS_MAX, 51, 0]);
}

#[test]
fn anonymous_profiles_expire_under_rules_that_say_so_only() {
    let without = ANONYMOUS.replace("anonymous_expires_after_days = 2\n", "");
    let mut graph = small::graph(&without, day(0));
    observe(&mut graph, 0, &["cookie=a"]);
    assert_eq!(observe(&mut graph, 3, &["cookie=a"]), None);
    set_rules(&mut graph, 10, ANONYMOUS);
    assert_eq!(expire(&mut graph, 12), [""; 0]);
    set_rules(&mut graph, 12, &without);
    assert_eq!(expire(&mut graph, 99), [""; 0]);
    set_rules(&mut graph, 99, ANONYMOUS);
    set_rules(&mut graph, 100, &ANONYMOUS.replace("limit = \"none\"\n[", "limit = 9\n["));
    assert_eq!(expire(&mut graph, 102).len(), 1);
}

#[test]
fn what_came_back_after_an_erasure_and_expired_is_still_named_in_between() {
    let mut graph = expiring(1);
    observe(&mut graph, 0, &["session=s1"]);
    let erase = Erase {
        operation: Operation::default(),
        what: Erasable::Identifier(small::sent("session=s1")),
        suppress: false,
    };
    let Ok(ErasureDecision::New(erased)) = graph.decide_erase(&erase, day(0)) else {
        panic!("it is there to be erased")
    };
    small::commit(&mut graph, day(0), Change::Erased(erased));
    let event = seen(&["session=s1"]);
    let decision = graph.decide(&event, day(0)).expect("a good event");
    let change = Change::EventResolved(decision.resolved.to_static());
    let again = Record { sequence: SequenceNumber(4), log_time: day(0), change };
    graph.apply(&again);
    let expired = graph.decide_expiry(day(2)).expect("it was seen two days ago");
    let expired =
        Record { sequence: SequenceNumber(5), log_time: day(2), change: Change::Expired(expired) };
    let mut redactor = graph.redactor();
    redactor.learn(&expired);
    assert_eq!(redactor.redact(&again), None);
}

fn split(graph: &mut Graph, at: i64, identifier: &str) {
    let command = SplitProfile {
        operation: Operation::default(),
        profile: ProfileNumber(1),
        taken: Taken::These(vec![small::sent(identifier)]),
        together: true,
    };
    let decision = graph.decide_split(&command, day(at)).expect("the profile holds it");
    let change = Change::EventResolved(decision.resolved.to_static());
    small::commit(graph, day(at), change);
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
        let sequence = SequenceNumber(graph.sequence().0 + 1);
        let change = Change::EventResolved(decision.resolved);
        graph.apply(&Record { sequence, log_time: day(at), change });
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
