//! The component that an event touches: its members and the links among them.

use std::borrow::Cow;

use hashbrown::HashMap;

use crate::graph::Graph;
use crate::graph::evidence::LinkState;
use crate::graph::identifiers::IdentifierId;
use crate::graph::partings::Sides;
use crate::identifier::FORMER_ID;
use crate::time::Timestamp;

use crate::decide::candidates::{Candidate, Found, Role};

/// An identifier of the component.
pub(super) struct Member<'c> {
    pub(super) namespace: &'c str,
    pub(super) value: &'c str,
    pub(super) index: Option<u16>,
    pub(super) priority: u32,
    pub(super) id: Option<IdentifierId>,
    /// The root of its profile, if it is on one.
    pub(super) root: Option<u32>,
    /// Its place on the event, if it is there.
    pub(super) candidate: Option<usize>,
}

/// A link between two members, `a` before `b`.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) hold: Hold,
    /// When it was seen last: event time, and record.
    pub(super) last: (Timestamp, u64),
    /// Whether the two were not on one profile before the event.
    pub(super) is_new: bool,
}

/// By what a link holds, strongest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hold {
    /// Someone said so.
    Forced,
    /// The caller named the profile that the event belongs to.
    Named,
    /// Events showed it.
    Seen,
    /// The two are on one profile: what came there under other rules, or by a command, stays
    /// where it is as long as no link takes it elsewhere.
    Implied,
}

/// The members of a component, strongest first, and the roots of their profiles.
pub(super) struct Component<'c> {
    pub(super) roots: Vec<u32>,
    pub(super) members: Vec<Member<'c>>,
    /// The sides of partings that each member is on.
    pub(super) sides: Vec<Sides>,
    /// The strongest member of each profile.
    strongest: Vec<(u32, usize)>,
}

/// Whether an identifier is several profiles', as it may have become under other rules: it
/// stays with each of them, and has no part.
pub(super) fn is_several(graph: &Graph, candidate: &Candidate<'_>) -> bool {
    let row = |id| graph.identifiers.rows.row(id);
    candidate.found.is_some_and(|found| row(found.id).has_further_holders())
}

impl<'c> Component<'c> {
    /// The members of every profile that the event's joining identifiers are on, and those
    /// that are new. A profile that is out of it has no part.
    pub(super) fn of(
        graph: &'c Graph,
        candidates: &'c [Candidate<'_>],
        named: Option<u32>,
        is_out: impl Fn(u32) -> bool,
    ) -> Component<'c> {
        let joins = |c: &Candidate<'_>| {
            let is_in = !c.found.is_some_and(|found| is_out(found.root));
            c.dropped.is_none() && c.role == Role::Joins && is_in && !is_several(graph, c)
        };
        let joining: Vec<(usize, &Candidate<'_>)> =
            candidates.iter().enumerate().filter(|(_, candidate)| joins(candidate)).collect();
        let mut roots: Vec<u32> = named.into_iter().collect();
        for found in joining.iter().filter_map(|(_, candidate)| candidate.found) {
            if !roots.contains(&found.root) {
                roots.push(found.root);
            }
        }
        let mut members: Vec<Member<'c>> = Vec::new();
        let places: HashMap<IdentifierId, usize, foldhash::fast::FixedState> =
            joining.iter().filter_map(|(at, c)| Some((c.found?.id, *at))).collect();
        for &root in &roots {
            let ids = graph.identifiers_of_profile(root).into_iter();
            members.extend(ids.map(|id| Member::held(graph, id, root, places.get(&id).copied())));
        }
        members.retain(|member| member.namespace != FORMER_ID && member.joins(graph));
        let new = joining.iter().filter(|(_, candidate)| candidate.found.is_none());
        members.extend(new.map(|&(at, candidate)| Member::new(graph, candidate, at)));
        members.sort_by_key(|member| (member.priority, member.namespace, member.value));
        let of =
            |member: &Member<'_>| member.id.map_or_else(Sides::default, |id| Sides::of(graph, id));
        let sides = match graph.partings.is_empty() {
            true => vec![Sides::default(); members.len()],
            false => members.iter().map(of).collect(),
        };
        let mut strongest: Vec<(u32, usize)> = Vec::new();
        for (at, member) in members.iter().enumerate() {
            let Some(root) = member.root else { continue };
            if !strongest.iter().any(|(known, _)| *known == root) {
                strongest.push((root, at));
            }
        }
        Component { roots, members, sides, strongest }
    }

    /// The strongest member that the profile with a root has here.
    pub(super) fn strongest(&self, root: u32) -> Option<usize> {
        self.strongest.iter().find(|(known, _)| *known == root).map(|(_, at)| *at)
    }

    /// The links, those that the event shows at `time` among them.
    /// `forces` says that the event is someone's word.
    pub(super) fn links(
        &self,
        graph: &Graph,
        time: Timestamp,
        forces: bool,
        named: Option<u32>,
    ) -> Vec<Edge> {
        let next = (time, graph.sequence.0 + 1);
        let known = self.members.iter().enumerate().filter_map(|(at, m)| Some((m.id?, at)));
        let places: HashMap<IdentifierId, usize, foldhash::fast::FixedState> = known.collect();
        let mut edges = Vec::new();
        for (a, member) in self.members.iter().enumerate() {
            let evidence = member.id.map_or(&[][..], |id| graph.evidence.of(id));
            edges.extend(self.implied(graph, a));
            for link in evidence {
                let Some(&b) = places.get(&link.other).filter(|&&b| a < b) else { continue };
                let is_said = forces && self.shows(a, b);
                let hold = match link.state {
                    _ if is_said => Hold::Forced,
                    LinkState::Active => Hold::Seen,
                    LinkState::Forced => Hold::Forced,
                    LinkState::Displaced { .. } => continue,
                };
                let last = (link.last_time, link.last_sequence.0);
                let last = if self.shows(a, b) { last.max(next) } else { last };
                edges.push(Edge { a, b, hold, last, is_new: false });
            }
        }
        let seen = if forces { Hold::Forced } else { Hold::Seen };
        self.add_first_seen(graph, seen, next, &mut edges);
        edges.extend(named.and_then(|root| self.named(root, next)));
        edges
    }

    /// Whether the event shows both of two members.
    pub(super) fn shows(&self, a: usize, b: usize) -> bool {
        self.members[a].candidate.is_some() && self.members[b].candidate.is_some()
    }

    /// The pairs of the event that have no link yet, or one that was displaced.
    fn add_first_seen(
        &self,
        graph: &Graph,
        hold: Hold,
        last: (Timestamp, u64),
        edges: &mut Vec<Edge>,
    ) {
        let shown: Vec<usize> =
            (0..self.members.len()).filter(|&at| self.members[at].candidate.is_some()).collect();
        for (at, &a) in shown.iter().enumerate() {
            for &b in &shown[at + 1..] {
                let ends = self.members[a].id.zip(self.members[b].id);
                let link = ends.and_then(|(a, b)| graph.evidence.between(a, b));
                let is_new = match link.map(|link| link.state) {
                    None => true,
                    // What is someone's word stands among the links already.
                    Some(LinkState::Displaced { .. }) => hold == Hold::Seen,
                    Some(LinkState::Active | LinkState::Forced) => false,
                };
                if is_new {
                    let root = self.members[a].root;
                    let is_new = root.is_none() || root != self.members[b].root;
                    edges.push(Edge { a, b, hold, last, is_new });
                }
            }
        }
    }

    /// What holds the event to the profile that the caller named, unless it shows what that
    /// holds.
    fn named(&self, root: u32, last: (Timestamp, u64)) -> Option<Edge> {
        let is_its = |member: &Member<'_>| member.candidate.is_some() && member.root == Some(root);
        if self.members.iter().any(is_its) {
            return None;
        }
        let strongest = self.strongest(root)?;
        let shown = self.members.iter().position(|member| member.candidate.is_some())?;
        let (a, b) = (strongest.min(shown), strongest.max(shown));
        (a < b).then_some(Edge { a, b, hold: Hold::Named, last, is_new: false })
    }

    /// Whether one profile holds two members as things are.
    pub(super) fn are_together(&self, a: usize, b: usize) -> bool {
        self.members[a].root.is_some() && self.members[a].root == self.members[b].root
    }

    /// What holds a member to its profile before all else.
    pub(super) fn pin(&self, graph: &Graph, id: IdentifierId) -> Option<Edge> {
        let at = self.members.iter().position(|member| member.id == Some(id))?;
        let edge = self.implied(graph, at)?;
        Some(Edge { hold: Hold::Forced, ..edge })
    }

    /// What holds a member to the strongest of its profile.
    fn implied(&self, graph: &Graph, at: usize) -> Option<Edge> {
        let (root, id) = (self.members[at].root?, self.members[at].id?);
        let strongest = self.strongest(root)?;
        let row = graph.identifiers.rows.row(id);
        let last = (row.attached_time(), row.attached_sequence().0);
        (strongest < at).then_some(Edge {
            a: strongest,
            b: at,
            hold: Hold::Implied,
            last,
            is_new: false,
        })
    }
}

impl<'c> Member<'c> {
    /// Whether it joins, and so has a part; what only finds stays with its profile.
    fn joins(&self, graph: &Graph) -> bool {
        let rules = graph.namespaces().rules_for(self.index);
        let is_several =
            self.id.is_some_and(|id| graph.identifiers.rows.row(id).has_further_holders());
        !is_several && !rules.is_some_and(|rules| rules.shared || rules.exclusive)
    }

    /// Namespace and value, on their own.
    pub(super) fn name<'a>(&self) -> (Cow<'a, str>, Cow<'a, str>) {
        (Cow::Owned(self.namespace.to_owned()), Cow::Owned(self.value.to_owned()))
    }

    /// The same as if an event showed it.
    pub(super) fn to_candidate(&self) -> Candidate<'static> {
        let (namespace, value) = self.name();
        let found = self.id.zip(self.root).map(|(id, root)| Found { id, root });
        let (index, priority) = (self.index, self.priority);
        let (raw, role, dropped) = (None, Role::Joins, None);
        Candidate { namespace, value, raw, index, priority, found, role, dropped }
    }

    fn held(graph: &'c Graph, id: IdentifierId, root: u32, candidate: Option<usize>) -> Member<'c> {
        let index = graph.identifiers.rows.row(id).namespace;
        let namespace = graph.namespaces().name(index);
        Member {
            namespace,
            value: graph.identifiers.rows.value(id),
            index: Some(index),
            priority: graph.namespaces().order_of(Some(index), namespace).0,
            id: Some(id),
            root: Some(root),
            candidate,
        }
    }

    /// One that is on no profile; it may have been on one.
    fn new(graph: &Graph, candidate: &'c Candidate<'_>, at: usize) -> Member<'c> {
        let find = |index| graph.identifiers.find(index, &candidate.value);
        Member {
            namespace: &candidate.namespace,
            value: &candidate.value,
            index: candidate.index,
            // A key ranks first on its event, not among the links of others.
            priority: graph.namespaces().order_of(candidate.index, &candidate.namespace).0,
            id: candidate.index.and_then(find),
            root: None,
            candidate: Some(at),
        }
    }
}
