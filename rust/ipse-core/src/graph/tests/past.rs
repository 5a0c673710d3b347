//! The past, where it takes what random courses do not reach.

use super::*;
use crate::graph::NotKept;
use crate::graph::ended::Ended;
use crate::graph::past::PastEdge;
use crate::snapshot::Part;

fn owners(graph: &Graph, at: u64, (namespace, value): (&str, &str)) -> Vec<u32> {
    let then = graph.as_of(SequenceNumber(at)).expect("it is kept");
    let owners = then.owners(namespace, value).expect("a namespace");
    owners.iter().map(|owner| owner.number().0).collect()
}

fn reloaded(graph: &Graph) -> Graph {
    let mut loader = Loader::new(1);
    graph.freeze().into_parts().for_each(|part| loader.add(part).expect("a possible part"));
    loader.finish().expect("a graph")
}

/// A merge that was undone: profile 2 was below 1 and gave it its id, as of 4 and 5, below 3 as
/// of 7, and is by itself now.
fn undone() -> World {
    let mut world = World::new(RULES);
    world.create(&[("user", "a")]);
    world.create(&[("user", "b")]);
    for value in ["1", "2", "3", "4", "5"] {
        world.create(&[("device", value)]);
    }
    let number = SequenceNumber;
    let edge = |rank, survived| PastEdge { bearer: ProfileNumber(2), rank, survived };
    let first = Ended::new((1, 0), number(4), number(6), edge(0, true));
    let second = Ended::new((1, 2), number(7), number(8), edge(1, false));
    world.graph.past.edges.add(first);
    world.graph.past.edges.add(second);
    world
}

#[test]
fn a_merge_that_was_undone_is_there_as_of_then() {
    let world = undone();
    for graph in [&world.graph, &reloaded(&world.graph)] {
        let user = |at, value| owners(graph, at, ("user", value));
        assert_eq!((user(3, "a"), user(3, "b")), (vec![1], vec![2]));
        assert_eq!((user(5, "a"), user(5, "b")), (vec![2], vec![2]));
        assert_eq!((user(6, "a"), user(6, "b")), (vec![1], vec![2]));
        assert_eq!((user(7, "a"), user(7, "b")), (vec![1], vec![3]));
        assert_eq!((user(8, "a"), user(8, "b")), (vec![1], vec![2]));
        let then = graph.as_of(SequenceNumber(5)).expect("it is kept");
        let merged = then.profile(ProfileNumber(1)).expect("it was there");
        assert_eq!((merged.merge_count(), merged.absorbed()), (1, vec![ProfileNumber(1)]));
        assert_eq!((merged.identifier_count(), merged.known()), (2, true));
    }
}

#[test]
fn a_past_that_is_forgotten_is_refused_and_the_rest_stands() {
    let mut world = World::new(RULES);
    world.create(&[("device", "1"), ("device", "2")]);
    world.create(&[("device", "3")]);
    let from = ProfileNumber(1);
    let taken = |value| vec![observed(("device", value), Verdict::Transferred { from })];
    world.resolve(event(found(2), taken("1")));
    world.resolve(event(found(2), taken("2")));
    let newest = world.graph.sequence();

    assert!(!world.graph.forget_past(SequenceNumber(4), 0), "a row of it is left");
    let oldest = SequenceNumber(4);
    assert_eq!(world.graph.as_of(SequenceNumber(3)).err(), Some(NotKept::Expired { oldest }));
    assert!(world.graph.forget_past(SequenceNumber(4), 9));
    assert_eq!(world.graph.as_of(SequenceNumber(6)).err(), Some(NotKept::Future { newest }));
    for graph in [&world.graph, &reloaded(&world.graph)] {
        assert_eq!(graph.past.holdings.len(), 1);
        assert_eq!(
            (owners(graph, 4, ("device", "1")), owners(graph, 4, ("device", "2"))),
            (vec![2], vec![1])
        );
        assert_eq!(graph.sequence_at(at(3)), Err(NotKept::Expired { oldest }));
        assert_eq!(graph.sequence_at(at(4)), Ok(SequenceNumber(4)));
        assert_eq!(graph.logged_time(SequenceNumber(4)), Some(at(4)));
    }
}

#[test]
fn traits_that_were_set_later_are_named_and_not_told() {
    let mut world = World::new(RULES);
    world.create(&[("user", "a")]);
    world.set(1, "plan", Some(1), 1);
    world.set(1, "city", Some(2), 2);
    world.set(1, "plan", Some(3), 3);
    let then = world.graph.as_of(SequenceNumber(4)).expect("it is kept");
    let view = then.profile(ProfileNumber(1)).expect("it was there");
    let traits = view.traits().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!((traits, view.traits_set_later()), (vec!["city"], vec!["plan"]));
    assert_eq!(view.changed_sequence(), SequenceNumber(4));
    assert!(then.profile(ProfileNumber(2)).is_none());
}

#[test]
fn nobody_held_anything_before_the_first_record() {
    let mut world = World::new(RULES);
    world.create(&[("user", "a")]);
    assert_eq!(world.graph.sequence_at(at(0)), Ok(SequenceNumber(0)));
    assert_eq!(owners(&world.graph, 0, ("user", "a")), [0; 0]);
}

#[test]
fn parts_of_an_impossible_past_are_refused() {
    let refused = |reason: &str, change: &dyn Fn(&mut Part)| {
        let mut loader = Loader::new(1);
        let mut refused = None;
        for mut part in undone().graph.freeze().into_parts() {
            change(&mut part);
            refused = refused.or_else(|| loader.add(part).err());
        }
        let refusal = refused.or_else(|| loader.finish().err()).expect("it is impossible").0;
        assert!(refusal.contains(reason), "{refusal:?} does not say {reason:?}");
    };
    refused("its past begins with 99", &|part| {
        if let Part::Workspace(part) = part {
            part.oldest_past = SequenceNumber(99);
        }
    });
    refused("profile 99 does not exist", &|part| {
        if let Part::PastEdges(part) = part {
            part.parent[0] = 99;
        }
    });
    refused("what began with 9 ended with 6", &|part| {
        if let Part::PastEdges(part) = part {
            part.from[0] = 9;
        }
    });
    refused("something ended with 99", &|part| {
        if let Part::PastEdges(part) = part {
            part.until[1] = 99;
        }
    });
    refused("something ended with 5", &|part| {
        if let Part::PastEdges(part) = part {
            (part.from[1], part.until[1]) = (4, 5);
        }
    });
    refused("no times from record 1 on", &|part| {
        if let Part::Timeline(part) = part {
            part.moments[0].push(0x80);
        }
    });
    refused("its times are those of records 1 to", &|part| {
        if let Part::Timeline(part) = part {
            part.moments[0].extend([1, 1]);
        }
    });
}
