//! Records that are impossible here, refused by name.

use super::*;
use crate::change::{
    HistoryAttribution, Imported, LinkPair, MergeVerdict, Reason, Rule, SourceMerge,
};
use crate::graph::evidence::LinkState;
use crate::identifier::FORMER_ID;

const A: (&str, &str) = ("user", "a");
const D1: (&str, &str) = ("device", "1");
const D2: (&str, &str) = ("device", "2");
const K: (&str, &str) = ("kiosk", "k");

/// Profile 1 holds user a, device 1 and kiosk k; profile 2 holds device 2.
fn world() -> World {
    let mut world = World::new(RULES);
    world.create(&[A, D1, K]);
    world.create(&[D2]);
    world
}

fn one(
    target: Target,
    id: (&'static str, &'static str),
    verdict: Verdict,
) -> EventResolved<'static> {
    event(target, vec![observed(id, verdict)])
}

fn split(moved: Vec<Move<'static>>) -> EventResolved<'static> {
    with_verb(event(found(1), Vec::new()), Verb::Split, moves(moved))
}

fn observe(moved: Vec<Move<'static>>) -> EventResolved<'static> {
    with_verb(event(found(1), Vec::new()), Verb::Observe, moves(moved))
}

fn refused(event: EventResolved<'static>, reason: &str) {
    let refusal = world().refusal(event);
    assert!(refusal.contains(reason), "{refusal:?} does not say {reason:?}");
}

#[test]
fn verdicts_must_be_possible() {
    let from = |profile| Verdict::Transferred { from: ProfileNumber(profile) };
    refused(one(found(2), D1, Verdict::Attached), "device is attached already");
    refused(one(found(1), K, Verdict::Attached), "kiosk is on the target already");
    refused(one(found(2), K, Verdict::AlreadyAttached), "kiosk is on profile 1");
    refused(one(found(1), ("device", "9"), Verdict::AlreadyAttached), "is not attached");
    refused(one(Target::Unresolved, D1, Verdict::AlreadyAttached), "attached to nobody");
    refused(one(found(2), D1, from(2)), "moves within its profile");
    refused(one(found(1), ("device", "9"), from(2)), "is not attached");
    refused(one(found(1), D1, from(2)), "is not on profile 2");
    refused(one(found(1), D2, from(9)), "profile 9 does not exist");
    refused(one(found(1), D1, Verdict::Removed), "a Observe removes");
    let modify = with_verb(one(found(1), D2, Verdict::Removed), Verb::Modify, Extra::default());
    refused(modify, "device is on profile 2");
    refused(one(found(1), (FORMER_ID, "x"), Verdict::Attached), "attaches a former id");
    let twice =
        vec![observed(D1, Verdict::AlreadyAttached), observed(D1, Verdict::AlreadyAttached)];
    refused(event(found(1), twice), "stands twice");
}

/// Rows keep times in 48 bits: what is from further ahead would come back as another time.
#[test]
fn times_that_rows_cannot_keep_are_refused() {
    let mut late = one(Target::Created(ProfileNumber(3)), ("user", "b"), Verdict::Attached);
    late.timestamp = Timestamp::MAX;
    refused(late, "too far ahead");
}

#[test]
fn moves_must_be_possible() {
    let cause = MoveCause::Split;
    refused(split(vec![moved(D2, 1, Some(3), cause)]), "from profile 1, which has it not");
    refused(split(vec![moved(("device", "9"), 1, Some(3), cause)]), "which has it not");
    refused(split(vec![moved(D1, 1, Some(4), cause)]), "to profile 4, not 3");
    refused(split(vec![moved(D1, 1, Some(0), cause)]), "to profile 0");
    refused(split(vec![moved(D1, 1, Some(2), cause)]), "split off into profile 2");
    refused(split(vec![moved(D1, 1, None, cause)]), "or to none");
    refused(split(vec![moved(D2, 2, Some(3), cause)]), "taken apart from another profile");
    refused(split(vec![moved(D1, 9, Some(3), cause)]), "taken apart from another profile");
    let twice = vec![moved(D1, 1, Some(3), cause), moved(D1, 1, Some(3), cause)];
    refused(split(twice), "device moves twice");
    refused(observe(vec![moved(D1, 1, Some(3), cause)]), "a Observe moves an identifier: Split");
    refused(observe(vec![moved(D1, 1, Some(3), MoveCause::Evicted)]), "moves to a profile");
    refused(observe(vec![moved(D1, 1, Some(3), MoveCause::Displaced)]), "displace none");
    let mut own = observe(vec![moved(D1, 1, None, MoveCause::Evicted)]);
    own.identifiers = vec![observed(D1, Verdict::AlreadyAttached)];
    refused(own.clone(), "is the event's own and moves");
    let reason = Reason { rule: Rule::Displaced, limit: None, collided: None };
    own.identifiers = vec![observed(D1, Verdict::Refused(reason))];
    world().resolve(own);
}

#[test]
fn parts_must_go_with_the_verb() {
    let plain = |verb, extra| with_verb(event(found(1), Vec::new()), verb, extra);
    let merged = |profile, verdict| Extra {
        merges: vec![SourceMerge { profile: Some(ProfileNumber(profile)), verdict }],
        ..Extra::default()
    };
    refused(plain(Verb::Observe, Extra { sources: 1, ..Extra::default() }), "1 sources of fewer");
    refused(plain(Verb::Observe, merged(2, MergeVerdict::Merged)), "a Observe with merges");
    refused(plain(Verb::Merge, merged(2, MergeVerdict::Merged)), "not its target's");
    refused(plain(Verb::Merge, merged(2, MergeVerdict::AlreadyMerged)), "not merged as it says");
    refused(plain(Verb::Merge, merged(2, MergeVerdict::NotFound)), "does not exist");
    refused(plain(Verb::Import, Extra::default()), "without what it imported");
    refused(plain(Verb::AttributeHistory, Extra::default()), "attributes none");
    let imported =
        Imported { created_time: at(0), identifier_times: vec![at(0)], trait_times: Vec::new() };
    let imported = || Extra { imported: Some(imported.clone()), ..Extra::default() };
    refused(plain(Verb::Import, imported()), "1 times of 0 identifiers");
    refused(plain(Verb::Observe, imported()), "a Observe that imports");
    let nobody = with_verb(
        event(Target::Unresolved, Vec::new()),
        Verb::Login,
        Extra { marks_known: true, ..Extra::default() },
    );
    refused(nobody, "marks nobody known");
    let created = with_verb(
        event(Target::Created(ProfileNumber(3)), Vec::new()),
        Verb::Modify,
        Extra::default(),
    );
    refused(created, "a Modify whose target is");
}

#[test]
fn attributions_must_be_possible() {
    let attribution = |source, destination, start, end| {
        let attribution = HistoryAttribution {
            source: ProfileNumber(source),
            destination: ProfileNumber(destination),
            start: at(start),
            end: at(end),
            refused: None,
        };
        let extra = Extra { attribution: Some(attribution), ..Extra::default() };
        with_verb(event(found(1), Vec::new()), Verb::AttributeHistory, extra)
    };
    refused(attribution(1, 1, 0, 1), "goes to itself");
    refused(attribution(2, 1, 2, 1), "history from");
    refused(attribution(9, 1, 0, 1), "profile 9 does not exist");
    refused(attribution(1, 2, 0, 1), "not its target");
}

#[test]
fn displaced_links_must_be_of_identifiers_that_are_known() {
    let displaces = |a: (&'static str, &'static str), b: (&'static str, &'static str)| {
        let pair = LinkPair { a: (a.0.into(), a.1.into()), b: (b.0.into(), b.1.into()) };
        let extra = Extra { displaced: vec![pair], ..Extra::default() };
        with_verb(one(found(1), A, Verdict::AlreadyAttached), Verb::Observe, extra)
    };
    refused(displaces(A, D2), "under rules that keep none");
    let mut world = World::new(
        "[workspace]\nconflict = \"replay\"\n[namespaces.user]\nlimit = 1\n[namespaces.device]",
    );
    world.create(&[A, D1]);
    for (a, b) in [(A, A), (A, D2), (D2, A)] {
        assert!(world.refusal(displaces(a, b)).contains("displaced, not linked"));
    }
    world.create(&[D2]);
    world.resolve(displaces(A, D2));
    let link = world.graph.evidence.between(world.id(A), world.id(D2)).expect("it is kept");
    assert_eq!(link.state, LinkState::Displaced { by: SequenceNumber(4) });
}
