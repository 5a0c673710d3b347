//! Links as evidence, under rules that replay.

use super::*;
use crate::change::LinkPair;
use crate::graph::evidence::LinkState;
use crate::graph::partings::Side;

const REPLAY: &str = r#"
[workspace]
conflict = "replay"
[namespaces.user]
limit = 1
[namespaces.device]
limit = 100
"#;

const A: (&str, &str) = ("user", "a");
const D1: (&str, &str) = ("device", "1");
const D2: (&str, &str) = ("device", "2");

fn state(world: &World, a: (&str, &str), b: (&str, &str)) -> Option<LinkState> {
    let (a, b) = (world.id(a), world.id(b));
    world.graph.evidence.between(a, b).map(|link| link.state)
}

fn pair(a: (&'static str, &'static str), b: (&'static str, &'static str)) -> LinkPair<'static> {
    LinkPair { a: (a.0.into(), a.1.into()), b: (b.0.into(), b.1.into()) }
}

fn shown(ids: &[(&'static str, &'static str)], time: i64) -> EventResolved<'static> {
    let shown = ids.iter().map(|&id| observed(id, Verdict::AlreadyAttached)).collect();
    let mut shown = event(found(1), shown);
    shown.timestamp = at(time);
    shown
}

#[test]
fn evidence_costs_nothing_where_no_rule_reads_it() {
    let mut world = World::new(RULES);
    world.create(&[A, D1]);
    assert_eq!(world.graph.evidence.iter().count(), 0);
}

#[test]
fn every_pair_of_a_record_is_a_link_that_keeps_its_first_and_last() {
    let mut world = World::new(REPLAY);
    world.create(&[A, D1, D2]);
    assert_eq!(world.graph.evidence.iter().count(), 3);
    world.resolve(shown(&[A, D1], 50));
    world.resolve(shown(&[A, D1], 20));
    let link = world.graph.evidence.between(world.id(D1), world.id(A)).expect("a link");
    assert_eq!((link.first, link.last_sequence), (SequenceNumber(2), SequenceNumber(4)));
    assert_eq!((link.last_time, link.state), (at(50), LinkState::Active));
}

#[test]
fn displaced_links_come_back_when_they_are_seen_and_what_is_split_is_parted() {
    let mut world = World::new(REPLAY);
    world.create(&[A, D1, D2]);
    let displaces = Extra {
        displaced: vec![pair(A, D1)],
        moves: vec![moved(D1, 1, Some(2), MoveCause::Displaced)],
        ..Extra::default()
    };
    world.resolve(with_verb(shown(&[A, D2], 1), Verb::Observe, displaces));
    assert_eq!(state(&world, A, D1), Some(LinkState::Displaced { by: SequenceNumber(3) }));
    assert_eq!((world.held(1), world.held(2)), ("device=2 user=a".into(), "device=1".into()));

    let back = vec![
        observed(A, Verdict::AlreadyAttached),
        observed(D1, Verdict::Transferred { from: ProfileNumber(2) }),
    ];
    world.resolve(event(found(1), back));
    assert_eq!(state(&world, A, D1), Some(LinkState::Active));

    let split = moves(vec![
        moved(D1, 1, Some(3), MoveCause::Split),
        moved(D2, 1, Some(4), MoveCause::Split),
    ]);
    world.resolve(with_verb(event(found(1), Vec::new()), Verb::Split, split));
    for (a, b) in [(A, D1), (A, D2), (D1, D2)] {
        assert_eq!(state(&world, a, b), Some(LinkState::Displaced { by: SequenceNumber(5) }));
    }
    let sides = |id| world.graph.partings.of(world.id(id)).to_vec();
    let side = |side| vec![Side { by: SequenceNumber(5), side }];
    assert_eq!((sides(A), sides(D1), sides(D2)), (side(0), side(1), side(2)));

    // A link makes the sides of its two one again, and leaves the third.
    let from = ProfileNumber(3);
    let seen =
        vec![observed(A, Verdict::AlreadyAttached), observed(D1, Verdict::Transferred { from })];
    let mut said = event(found(1), seen);
    said.verb = Verb::Link;
    world.resolve(said);
    let sides = |id| world.graph.partings.of(world.id(id)).to_vec();
    assert_eq!((sides(A), sides(D1), sides(D2)), (side(0), side(0), side(2)));
    assert_eq!(state(&world, A, D1), Some(LinkState::Forced));
    let mut said = shown(&[A, D1], 9);
    said.verb = Verb::Link;
    world.resolve(said);
    assert_eq!(state(&world, A, D1), Some(LinkState::Forced));
    world.resolve(shown(&[A, D1], 10));
    assert_eq!(state(&world, A, D1), Some(LinkState::Forced));
}

#[test]
fn links_split_off_together_hold() {
    let mut world = World::new(REPLAY);
    world.create(&[A, D1, D2]);
    let split = [D1, D2].map(|id| moved(id, 1, Some(2), MoveCause::Split)).to_vec();
    world.resolve(with_verb(event(found(1), Vec::new()), Verb::Split, moves(split)));
    assert_eq!(state(&world, D1, D2), Some(LinkState::Active));
    assert_eq!(state(&world, A, D2), Some(LinkState::Displaced { by: SequenceNumber(3) }));
}

#[test]
fn what_is_evicted_has_no_links_left() {
    let mut world = World::new(REPLAY);
    world.create(&[A, D1, D2]);
    let evicts = moves(vec![moved(D1, 1, None, MoveCause::Evicted)]);
    world.resolve(with_verb(shown(&[A, D2], 1), Verb::Observe, evicts));
    assert_eq!(state(&world, A, D1), None);
    assert_eq!(world.graph.evidence.of(world.id(D1)), []);
    assert_eq!(world.graph.evidence.iter().count(), 1);
}
