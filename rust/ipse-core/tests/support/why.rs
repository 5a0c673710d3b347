//! That what explains a graph is what the graph's dump says, and that nothing shorter does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ipse_core::change::ProfileNumber;
use ipse_core::graph::{Hop, Spot, Trace};
use ipse_core::{Graph, SequenceNumber};
use proptest::prelude::*;

use super::people::{Holds, Id, People};

/// The links that hold, by their rows, with their records.
type Links = BTreeMap<(u32, u32), u64>;

/// Explains every profile, and every pair of its identifiers.
pub(crate) fn check(graph: &Graph, people: &People) -> Holds {
    let links = links(&graph.dump());
    for (number, person) in &people.persons {
        let profile = ProfileNumber(*number);
        check_trail(graph, profile, person.held.len())?;
        let row = |id: &Id| (id.clone(), spot(graph, id));
        let held: BTreeMap<Id, u32> = person.held.keys().map(row).collect();
        for (a, b) in held.keys().flat_map(|a| held.keys().map(move |b| (a, b))) {
            check_chain(graph, profile, &held, (a, b), &links)?;
        }
    }
    Ok(())
}

fn check_trail(graph: &Graph, profile: ProfileNumber, held: usize) -> Holds {
    let trail = graph.trail(profile);
    // A link between two that it holds already shows on nobody.
    let mut shown = trail.iter().filter(|(_, trace)| !matches!(trace, Trace::Linked(_)));
    let newest = shown.next_back().map(|(sequence, _)| *sequence);
    prop_assert_eq!(newest, graph.profile(profile).map(|view| view.changed_sequence()));
    prop_assert!(trail.is_sorted_by_key(|(sequence, _)| *sequence));
    let attached = trail.iter().filter(|(_, trace)| matches!(trace, Trace::Attached(_))).count();
    let merged = trail.iter().filter(|(_, trace)| matches!(trace, Trace::Merged(_))).count();
    prop_assert_eq!((attached, merged + 1), (held, graph.numbers_of(profile).len()));
    for (_, trace) in &trail {
        if let Trace::Merged(merge) = trace {
            let bears = |number| graph.profile(number).map(|view| view.number());
            prop_assert_eq!(
                (bears(merge.survivor), bears(merge.absorbed)),
                (Some(profile), Some(profile))
            );
            prop_assert_ne!(merge.absorbed, profile);
        }
    }
    Ok(())
}

fn check_chain(
    graph: &Graph,
    profile: ProfileNumber,
    held: &BTreeMap<Id, u32>,
    (a, b): (&Id, &Id),
    links: &Links,
) -> Holds {
    let ends = [a, b].map(|id| Spot::Identifier(held[id]));
    let chain = graph.chain(profile, ends[0], ends[1]).expect("both are of the profile");
    let rows: BTreeSet<u32> = held.values().copied().collect();
    let shortest = distance(&rows, links, held[a], held[b]);
    let is_of_links = chain.iter().all(|(hop, _)| matches!(hop, Hop::Linked(_)));
    prop_assert_eq!(is_of_links.then_some(chain.len()), shortest, "{:?} {:?}: {:?}", a, b, chain);
    let mut at = ends[0];
    for (hop, to) in &chain {
        let (between, by) = spots(graph, hop);
        if let Some(between) = between {
            prop_assert_eq!(between, BTreeSet::from([at, *to]), "{:?}", hop);
        }
        if let (Spot::Identifier(one), Spot::Identifier(other)) = (at, *to) {
            prop_assert_eq!(links.get(&(one.min(other), one.max(other))), Some(&by.0));
        }
        at = *to;
    }
    prop_assert_eq!(at, ends[1]);
    Ok(())
}

/// What a hop joins; of a merge the ids may be others than those of the parts.
fn spots(graph: &Graph, hop: &Hop<'_>) -> (Option<BTreeSet<Spot>>, SequenceNumber) {
    let spot = |(namespace, value)| {
        graph.spot(namespace, value).expect("it is held").expect("it has a row")
    };
    match hop {
        Hop::Linked(link) => {
            (Some(BTreeSet::from([spot(link.stronger), spot(link.weaker)])), link.sequence)
        }
        Hop::Held { identifier, profile, sequence } => {
            (Some(BTreeSet::from([spot(*identifier), Spot::Profile(*profile)])), *sequence)
        }
        Hop::Merged(merge) => (None, merge.sequence),
    }
}

fn spot(graph: &Graph, (namespace, value): &Id) -> u32 {
    match graph.spot(namespace, value) {
        Ok(Some(Spot::Identifier(row))) => row,
        other => panic!("{namespace} {value} is held: {other:?}"),
    }
}

/// Reads the links of a dump, those left out that other evidence displaced.
fn links(dump: &str) -> Links {
    let mut links = Links::new();
    let pair = |a: &str, b: &str| -> Option<(u32, u32)> {
        let (a, b) = (a.parse().ok()?, b.parse().ok()?);
        Some((std::cmp::min(a, b), std::cmp::max(a, b)))
    };
    for line in dump.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["link", a, b, "since", by] => {
                let pair = pair(a, b).expect("two rows");
                links.insert(pair, by.parse().expect("a record"));
            }
            ["evidence", a, b, ..] if line.contains("Displaced") => {
                links.remove(&pair(a, b).expect("two rows"));
            }
            _ => {}
        }
    }
    links
}

/// How many links lead from one to another among these rows.
fn distance(rows: &BTreeSet<u32>, links: &Links, from: u32, to: u32) -> Option<usize> {
    let mut far = BTreeMap::from([(from, 0)]);
    let mut next = VecDeque::from([from]);
    while let Some(at) = next.pop_front() {
        for (a, b) in links.keys().filter(|(a, b)| rows.contains(a) && rows.contains(b)) {
            let other = if *a == at { *b } else { *a };
            if (*a == at || *b == at) && !far.contains_key(&other) {
                far.insert(other, far[&at] + 1);
                next.push_back(other);
            }
        }
    }
    far.get(&to).copied()
}
