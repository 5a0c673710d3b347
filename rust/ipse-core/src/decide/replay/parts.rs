//! The parts that a component comes to when its links are added in their order.

use std::cmp::Reverse;

use crate::graph::Graph;
use crate::rules::Window;

use super::component::{Component, Edge, Hold, Links, Member};

/// The part of each member, and the links that found no place.
pub(super) struct Parts {
    pub(super) of: Vec<usize>,
    pub(super) displaced: Vec<(usize, usize)>,
    pub(super) denied: Vec<(usize, usize)>,
}

/// Adds the links in their order, as far as no limit is broken.
pub(super) fn rebuild(graph: &Graph, component: &Component<'_>, links: Links) -> Parts {
    let mut work = Work::new(graph, component, links.denied);
    for edge in in_order(component, links.edges) {
        let (a, b) = (work.parts.of[edge.a], work.parts.of[edge.b]);
        if a == b {
            continue;
        }
        if edge.hold == Hold::Forced || !work.clash(a, b) {
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

impl<'c> Work<'c> {
    fn new(graph: &Graph, component: &'c Component<'c>, denied: Vec<(usize, usize)>) -> Work<'c> {
        let count = |member: &'c Member<'c>| {
            let rules = graph.namespaces().rules_for(member.index)?;
            let values = if rules.immutable { 1 } else { rules.limit.values };
            let is_bound = rules.limit.window == Window::Ever || rules.immutable;
            is_bound.then_some(Count { namespace: member.namespace, found: 1, limit: values })
        };
        let members = component.members.iter();
        let of: Vec<usize> = (0..component.members.len()).collect();
        Work {
            members: of.iter().map(|&at| vec![at]).collect(),
            counts: members.map(|member| count(member).into_iter().collect()).collect(),
            parts: Parts { of, displaced: Vec::new(), denied },
        }
    }

    /// Whether two parts cannot be one: a limit would be passed, or a denied pair would meet.
    fn clash(&self, a: usize, b: usize) -> bool {
        let meets = |&(x, y): &(usize, usize)| {
            let (x, y) = (self.parts.of[x], self.parts.of[y]);
            (x, y) == (a, b) || (x, y) == (b, a)
        };
        self.parts.denied.iter().any(meets) || self.passes_limit(a, b)
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
        for count in std::mem::take(&mut self.counts[b]) {
            match self.counts[a].iter_mut().find(|held| held.namespace == count.namespace) {
                Some(held) => held.found += count.found,
                None => self.counts[a].push(count),
            }
        }
    }
}
