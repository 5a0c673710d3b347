//! Links as evidence: the component that an event touches is put together anew from its
//! links, and those that would break a limit are displaced (Adobe's graph linking rules).
//!
//! Adobe's text says: latest event, then the sum of the namespaces' priorities. What agrees
//! with all its examples is this order: the links of the latest event first, then ascending
//! sums, then the newest first. Only links that are active take part: one that was displaced
//! comes back when it is seen again, and never because of an event that has nothing to do
//! with it.
//!
//! Each profile keeps its id on the side of its strongest identifier; a side without a
//! profile begins a new one.

use std::borrow::Cow;
use std::cmp::Reverse;

use crate::change::{LinkPair, Move, MoveCause, ProfileNumber, Reason, Rule};
use crate::graph::Graph;
use crate::graph::evidence::LinkState;
use crate::graph::identifiers::IdentifierId;
use crate::identifier::FORMER_ID;
use crate::rules::Window;
use crate::time::Timestamp;

use super::candidates::{Candidate, Role};
use super::explicit::ids_of;
use super::finders;
use super::fit::Fit;
use super::resolve::{Choice, Fate, because};

/// An identifier of the component.
struct Member<'c> {
    namespace: &'c str,
    value: &'c str,
    index: Option<u16>,
    priority: u32,
    id: Option<IdentifierId>,
    /// The root of its profile, if it is on one.
    root: Option<u32>,
    /// Its place on the event, if it is there.
    candidate: Option<usize>,
}

/// A link between two members, `a` before `b`.
#[derive(Clone, Copy)]
struct Edge {
    a: usize,
    b: usize,
    hold: Hold,
    last: (Timestamp, u64),
}

/// By what a link holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// Someone said so.
    Forced,
    /// Events showed it.
    Seen,
    /// The two are on one profile and one of them has no link at all: it came there under
    /// other rules, or by a command.
    Implied,
}

/// The component of an event.
struct Component<'c> {
    roots: Vec<u32>,
    members: Vec<Member<'c>>,
}

/// The parts that a component comes to: the part of each member, and the displaced links.
struct Parts {
    of: Vec<usize>,
    displaced: Vec<(usize, usize)>,
}

/// Chooses for candidates, strongest first.
pub(super) fn choose<'a>(
    fit: &mut Fit<'_>,
    candidates: &[Candidate<'_>],
    named: Option<u32>,
) -> Choice<'a> {
    let mut choice = Choice::new(None, candidates.len());
    let component = Component::of(fit.graph, candidates, named);
    let parts = component.rebuild(fit.graph, fit.time);
    let claims = component.claims(&parts);
    let target = component.target_part(&parts, named);
    if let Some(target) = target {
        choice.joined.extend(claims.iter().filter(|(_, part)| *part == target).map(|c| c.0));
        choice.creates = true;
    }
    if let Some(root) = named.filter(|root| !claims.iter().any(|claim| claim.0 == *root)) {
        choice.joined.insert(0, root);
    }
    choice.links = shows_news(fit.graph, candidates, fit.time);
    place(fit.graph, candidates, &component, &parts, &claims, target, &mut choice);
    finders::settle(fit, candidates, &mut choice, true);
    choice
}

impl<'c> Component<'c> {
    /// The members of every profile that the event's joining identifiers are on, and those
    /// that are new.
    fn of(graph: &'c Graph, candidates: &'c [Candidate<'_>], named: Option<u32>) -> Component<'c> {
        let joining = |c: &&Candidate<'_>| c.dropped.is_none() && c.role == Role::Joins;
        let mut roots: Vec<u32> = named.into_iter().collect();
        for found in candidates.iter().filter(joining).filter_map(|c| c.found) {
            if !roots.contains(&found.root) {
                roots.push(found.root);
            }
        }
        let mut members: Vec<Member<'c>> = Vec::new();
        for &root in &roots {
            let ids = ids_of(graph, root).into_iter();
            members.extend(ids.map(|id| Member::held(graph, id, root)));
        }
        members.retain(|member| member.namespace != FORMER_ID);
        for (at, candidate) in candidates.iter().enumerate().filter(|(_, c)| joining(c)) {
            let is_it = |member: &&mut Member<'_>| {
                member.namespace == candidate.namespace && member.value == candidate.value
            };
            match members.iter_mut().find(is_it) {
                Some(member) => member.candidate = Some(at),
                None => members.push(Member::new(candidate, at)),
            }
        }
        members.sort_by_key(|member| (member.priority, member.namespace, member.value));
        Component { roots, members }
    }

    /// Adds the links in their order, as far as no limit is broken.
    fn rebuild(&self, graph: &Graph, time: Timestamp) -> Parts {
        let (mut edges, denied) = self.edges(graph, time);
        let latest = edges.iter().map(|edge| edge.last).max();
        edges.sort_by_key(|edge| {
            let sum =
                u64::from(self.members[edge.a].priority) + u64::from(self.members[edge.b].priority);
            let is_late = Some(edge.last) != latest;
            (edge.hold != Hold::Forced, is_late, sum, Reverse(edge.last), edge.a, edge.b)
        });
        let mut parts = Parts { of: (0..self.members.len()).collect(), displaced: Vec::new() };
        for edge in &edges {
            let (a, b) = (parts.of[edge.a], parts.of[edge.b]);
            if a == b {
                continue;
            }
            if edge.hold == Hold::Forced || !self.clash(graph, &parts, &denied, a, b) {
                parts.of.iter_mut().filter(|part| **part == b).for_each(|part| *part = a);
            } else if edge.hold == Hold::Seen {
                parts.displaced.push((edge.a, edge.b));
            }
        }
        parts
    }

    /// The links among the members that may hold, and the pairs that must not.
    fn edges(&self, graph: &Graph, time: Timestamp) -> (Vec<Edge>, Vec<(usize, usize)>) {
        let (mut edges, mut denied): (Vec<Edge>, Vec<(usize, usize)>) = (Vec::new(), Vec::new());
        let next = graph.sequence.0 + 1;
        for (a, member) in self.members.iter().enumerate() {
            let links = member.id.map_or(&[][..], |id| graph.evidence.of(id));
            if links.is_empty() {
                edges.extend(self.implied(graph, a));
            }
            for link in links {
                let Some(b) = self.members.iter().position(|m| m.id == Some(link.other)) else {
                    continue;
                };
                let last = (link.last_time, link.last_sequence.0);
                match link.state {
                    _ if b < a => {}
                    LinkState::Denied => denied.push((a, b)),
                    LinkState::Displaced { .. } => {}
                    LinkState::Active => edges.push(Edge { a, b, hold: Hold::Seen, last }),
                    LinkState::Forced => edges.push(Edge { a, b, hold: Hold::Forced, last }),
                }
            }
        }
        let shown: Vec<usize> =
            (0..self.members.len()).filter(|&at| self.members[at].candidate.is_some()).collect();
        for (at, &a) in shown.iter().enumerate() {
            for &b in &shown[at + 1..] {
                self.see(&mut edges, &denied, a, b, (time, next));
            }
        }
        (edges, denied)
    }

    /// Notes that the event shows two members together.
    fn see(
        &self,
        edges: &mut Vec<Edge>,
        denied: &[(usize, usize)],
        a: usize,
        b: usize,
        last: (Timestamp, u64),
    ) {
        if denied.contains(&(a, b)) {
            return;
        }
        match edges.iter_mut().find(|edge| (edge.a, edge.b) == (a, b)) {
            Some(edge) if edge.hold == Hold::Implied => {
                *edge = Edge { a, b, hold: Hold::Seen, last };
            }
            Some(edge) => edge.last = edge.last.max(last),
            None => edges.push(Edge { a, b, hold: Hold::Seen, last }),
        }
    }

    /// The link that holds a member without evidence to the strongest of its profile.
    fn implied(&self, graph: &Graph, at: usize) -> Option<Edge> {
        let (root, id) = (self.members[at].root?, self.members[at].id?);
        let strongest = self.members.iter().position(|member| member.root == Some(root))?;
        let row = graph.identifiers.rows.row(id);
        let last = (row.attached_time(), row.attached_sequence().0);
        (strongest < at).then_some(Edge { a: strongest, b: at, hold: Hold::Implied, last })
    }

    /// Whether two parts cannot be one: a limit would be passed, or a denied pair would meet.
    fn clash(
        &self,
        graph: &Graph,
        parts: &Parts,
        denied: &[(usize, usize)],
        a: usize,
        b: usize,
    ) -> bool {
        let meets = |&(x, y): &(usize, usize)| {
            let (x, y) = (parts.of[x], parts.of[y]);
            (x, y) == (a, b) || (x, y) == (b, a)
        };
        denied.iter().any(meets) || self.passes_limit(graph, parts, a, b)
    }

    fn passes_limit(&self, graph: &Graph, parts: &Parts, a: usize, b: usize) -> bool {
        let count = |part: usize, index: Option<u16>| {
            let is_it =
                |(at, member): &(usize, &Member<'_>)| parts.of[*at] == part && member.index == index;
            self.members.iter().enumerate().filter(is_it).count()
        };
        let of_b = self.members.iter().enumerate().filter(|(at, _)| parts.of[*at] == b);
        of_b.map(|(_, member)| member.index).any(|index| {
            let Some(rules) = graph.namespaces().rules_for(index) else { return false };
            let (in_a, in_b) = (count(a, index), count(b, index));
            let is_bound = rules.limit.window == Window::Ever;
            is_bound && in_a > 0 && in_a + in_b > rules.limit.values as usize
        })
    }

    /// The part that each profile goes to: that of its strongest identifier. Members are in
    /// order of strength.
    fn claims(&self, parts: &Parts) -> Vec<(u32, usize)> {
        let part = |&root: &u32| {
            let strongest = self.members.iter().position(|member| member.root == Some(root))?;
            Some((root, parts.of[strongest]))
        };
        self.roots.iter().filter_map(part).collect()
    }

    /// The part that the event belongs to: that of its strongest identifier, or of the
    /// profile that the caller named.
    fn target_part(&self, parts: &Parts, named: Option<u32>) -> Option<usize> {
        let of_event = self.members.iter().position(|member| member.candidate.is_some());
        let of_named = named.and_then(|root| self.members.iter().position(|m| m.root == Some(root)));
        of_named.or(of_event).map(|at| parts.of[at])
    }
}

impl<'c> Member<'c> {
    fn held(graph: &'c Graph, id: IdentifierId, root: u32) -> Member<'c> {
        let index = graph.identifiers.rows.row(id).namespace;
        let namespace = graph.namespaces().name(index);
        Member {
            namespace,
            value: graph.identifiers.rows.value(id),
            index: Some(index),
            priority: graph.namespaces().order_of(Some(index), namespace).0,
            id: Some(id),
            root: Some(root),
            candidate: None,
        }
    }

    fn new(candidate: &'c Candidate<'_>, at: usize) -> Member<'c> {
        Member {
            namespace: &candidate.namespace,
            value: &candidate.value,
            index: candidate.index,
            priority: candidate.priority,
            id: candidate.found.map(|found| found.id),
            root: None,
            candidate: Some(at),
        }
    }

    fn name<'a>(&self) -> (Cow<'a, str>, Cow<'a, str>) {
        (Cow::Owned(self.namespace.to_owned()), Cow::Owned(self.value.to_owned()))
    }
}

/// Whether the event shows a pair for the first time, again after it was displaced, or later
/// than it was seen before: the order of links goes by that.
fn shows_news(graph: &Graph, candidates: &[Candidate<'_>], time: Timestamp) -> bool {
    let held = candidates.iter().filter(|c| c.dropped.is_none() && c.role == Role::Joins);
    let ids: Vec<IdentifierId> = held.filter_map(|c| Some(c.found?.id)).collect();
    let is_news = |a: IdentifierId, b: IdentifierId| match graph.evidence.between(a, b) {
        None => true,
        Some(link) => match link.state {
            LinkState::Active | LinkState::Forced => link.last_time < time,
            LinkState::Displaced { .. } => true,
            LinkState::Denied => false,
        },
    };
    ids.iter().enumerate().any(|(at, &a)| ids[at + 1..].iter().any(|&b| is_news(a, b)))
}

/// Gives each member its place: the fate of the event's own, a move for the others.
fn place(
    graph: &Graph,
    candidates: &[Candidate<'_>],
    component: &Component<'_>,
    parts: &Parts,
    claims: &[(u32, usize)],
    target: Option<usize>,
    choice: &mut Choice<'_>,
) {
    for (at, candidate) in candidates.iter().enumerate() {
        if let Some(reason) = &candidate.dropped {
            let collided = candidate.found.map(|found| graph.profiles.bearer(found.root));
            choice.fates[at] = Some(Fate::Drop(Reason { collided, ..reason.clone() }));
        }
    }
    let mut numbers = Numbers::new(graph, claims, target, choice.joined.is_empty());
    for (at, member) in component.members.iter().enumerate() {
        let part = parts.of[at];
        let stays = member.root.is_some_and(|root| claims.contains(&(root, part)));
        let is_targets = Some(part) == target;
        if let Some(candidate) = member.candidate {
            let collided = member.root.map(|root| graph.profiles.bearer(root));
            choice.fates[candidate] = Some(match (is_targets, member.root) {
                (true, _) if stays => Fate::Held,
                (true, Some(root)) => Fate::Transfer(root),
                (true, None) => Fate::Attach,
                (false, _) => Fate::Refuse(Reason { collided, ..because(Rule::Displaced) }),
            });
        }
        let is_own = member.candidate.is_some() && is_targets;
        if let (Some(root), false, false) = (member.root, stays, is_own) {
            let (namespace, value) = member.name();
            let from = graph.profiles.bearer(root);
            let to = Some(numbers.of(part));
            let cause = MoveCause::Displaced;
            choice.extra.moves.push(Move { namespace, value, from, to, cause });
        }
    }
    let pair = |&(a, b): &(usize, usize)| {
        let both_known = [a, b].iter().all(|&at| {
            let member = &component.members[at];
            member.id.is_some() || Some(parts.of[at]) == target
        });
        both_known.then(|| LinkPair {
            a: component.members[a].name(),
            b: component.members[b].name(),
        })
    };
    choice.extra.displaced = parts.displaced.iter().filter_map(pair).collect();
}

/// The profiles of parts: those that claim them, and new ones.
struct Numbers {
    known: Vec<(usize, ProfileNumber)>,
    next: u32,
}

impl Numbers {
    fn new(
        graph: &Graph,
        claims: &[(u32, usize)],
        target: Option<usize>,
        creates_target: bool,
    ) -> Numbers {
        let claimed = claims.iter().map(|&(root, part)| (part, graph.profiles.bearer(root)));
        let mut known: Vec<(usize, ProfileNumber)> = claimed.collect();
        let mut next = graph.profiles.len() + 1;
        if let Some(target) = target.filter(|_| creates_target) {
            known.push((target, ProfileNumber(next)));
            next += 1;
        }
        Numbers { known, next }
    }

    fn of(&mut self, part: usize) -> ProfileNumber {
        if let Some((_, number)) = self.known.iter().find(|(known, _)| *known == part) {
            return *number;
        }
        let number = ProfileNumber(self.next);
        self.next += 1;
        self.known.push((part, number));
        number
    }
}
