//! The parts that a component comes to when its links are added in their order.

use std::cmp::Reverse;

use crate::graph::Graph;
use crate::graph::partings::Sides;
use crate::rules::Window;

use super::component::{Component, Edge, Hold, Member};

/// The part of each member, and the links that found no place.
pub(super) struct Parts {
    pub(super) of: Vec<usize>,
    pub(super) displaced: Vec<(usize, usize)>,
    /// Of each part: the sides of partings that its members are on.
    pub(super) sides: Vec<Sides>,
}

/// The component as one part, if nothing stands against that: what the event shows is linked
/// with each other, and each profile with what the event shows of it, so that the order of
/// links makes no difference. Most events come to this.
pub(super) fn whole(graph: &Graph, component: &Component<'_>) -> Option<Parts> {
    let mut counts: Vec<Count<'_>> = Vec::new();
    let mut all = Sides::default();
    for (member, sides) in component.members.iter().zip(&component.sides) {
        if all.meet(sides) {
            return None;
        }
        all.extend(sides);
        let Some(count) = Count::of(graph, member) else { continue };
        match counts.iter_mut().find(|held| held.namespace == count.namespace) {
            Some(held) => held.found += 1,
            None => counts.push(count),
        }
    }
    if counts.iter().any(|count| count.found > count.limit) {
        return None;
    }
    let mut sides = vec![Sides::default(); component.members.len()];
    if let Some(first) = sides.first_mut() {
        *first = all;
    }
    Some(Parts { of: vec![0; component.members.len()], displaced: Vec::new(), sides })
}

/// Adds the links in their order, as far as no limit is broken and nothing meets that was
/// parted. What is said now takes back what was said before.
pub(super) fn rebuild(
    graph: &Graph,
    component: &Component<'_>,
    links: Vec<Edge>,
    is_said: bool,
) -> Parts {
    let mut work = Work::new(graph, component);
    for edge in in_order(component, links) {
        let (a, b) = (work.parts.of[edge.a], work.parts.of[edge.b]);
        if a == b {
            continue;
        }
        if is_said && component.shows(edge.a, edge.b) {
            work.reunite(a, b);
        }
        // What is held to its profile before all else is not taken apart by what keeps others out.
        let is_pinned = edge.hold == Hold::Forced && component.are_together(edge.a, edge.b);
        if work.are_parted(a, b) && !is_pinned {
            continue;
        }
        if edge.hold == Hold::Forced || !work.passes_limit(a, b) {
            work.join(a, b);
        } else if edge.hold == Hold::Seen {
            work.parts.displaced.push((edge.a, edge.b));
        }
    }
    work.parts
}

/// Forced links and a named profile, then those of the latest event, then by the sum of the two priorities, then
/// the newest first, of equal ones those that held before; last what is implied.
fn in_order(component: &Component<'_>, mut edges: Vec<Edge>) -> Vec<Edge> {
    let priority = |at: usize| u64::from(component.members[at].priority);
    let is_seen = |edge: &&Edge| matches!(edge.hold, Hold::Seen | Hold::Forced);
    let seen = edges.iter().filter(is_seen);
    let latest = seen.map(|edge| edge.last).max();
    edges.sort_by_key(|edge| {
        let sum = priority(edge.a) + priority(edge.b);
        let is_late = Some(edge.last) != latest;
        (edge.hold, is_late, sum, Reverse(edge.last), edge.is_new, edge.a, edge.b)
    });
    edges
}

struct Work<'c> {
    parts: Parts,
    /// Of each part: its members, and how many it has of each limited namespace.
    members: Vec<Vec<usize>>,
    counts: Vec<Vec<Count<'c>>>,
}

struct Count<'c> {
    namespace: &'c str,
    found: u32,
    limit: u32,
}

impl<'c> Count<'c> {
    /// What one member counts for, if its namespace is limited.
    fn of(graph: &Graph, member: &Member<'c>) -> Option<Count<'c>> {
        let rules = graph.namespaces().rules_for(member.index)?;
        let limit = if rules.immutable { 1 } else { rules.limit.values };
        let is_bound = rules.limit.window == Window::Ever || rules.immutable;
        is_bound.then_some(Count { namespace: member.namespace, found: 1, limit })
    }
}

impl<'c> Work<'c> {
    fn new(graph: &Graph, component: &'c Component<'c>) -> Work<'c> {
        let count = |member: &'c Member<'c>| Count::of(graph, member);
        let members = component.members.iter();
        let of: Vec<usize> = (0..component.members.len()).collect();
        Work {
            members: of.iter().map(|&at| vec![at]).collect(),
            counts: members.map(|member| count(member).into_iter().collect()).collect(),
            parts: Parts { of, displaced: Vec::new(), sides: component.sides.clone() },
        }
    }

    /// Whether something in one part was parted from something in the other.
    fn are_parted(&self, a: usize, b: usize) -> bool {
        self.parts.sides[a].meet(&self.parts.sides[b])
    }

    /// Makes the sides one that keep two parts apart.
    fn reunite(&mut self, a: usize, b: usize) {
        if self.are_parted(a, b) {
            let mut both = self.parts.sides[a].clone();
            both.extend(&self.parts.sides[b]);
            let reunited = both.reunited();
            self.parts.sides.iter_mut().for_each(|sides| sides.rename(&reunited));
        }
    }

    fn passes_limit(&self, a: usize, b: usize) -> bool {
        self.counts[a].iter().any(|of_a| {
            let of_b = self.counts[b].iter().find(|of_b| of_b.namespace == of_a.namespace);
            of_b.is_some_and(|of_b| of_a.found + of_b.found > of_a.limit)
        })
    }

    /// Takes the members of `b` into `a`.
    fn join(&mut self, a: usize, b: usize) {
        for at in std::mem::take(&mut self.members[b]) {
            self.parts.of[at] = a;
            self.members[a].push(at);
        }
        let sides = std::mem::take(&mut self.parts.sides[b]);
        self.parts.sides[a].extend(&sides);
        for count in std::mem::take(&mut self.counts[b]) {
            match self.counts[a].iter_mut().find(|held| held.namespace == count.namespace) {
                Some(held) => held.found += count.found,
                None => self.counts[a].push(count),
            }
        }
    }
}
