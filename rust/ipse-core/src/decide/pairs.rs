//! Pair limits: with how many identifiers of another namespace one may be seen.
//!
//! Two identifiers are seen together by a record that keeps both: an event with its sources,
//! a command's changes, an import. What a command or an import adds to a profile is seen with
//! all that the profile holds, too. What was seen together stays so, wherever the two are now:
//! a merge, which shows no identifiers, brings nothing together and hides nothing.
//!
//! On an event the limited identifier gives way. What a command would add gives way itself.

use crate::change::{ObservedIdentifier, PassedLimit, Reason, Rule};
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;

use super::candidates::Candidate;
use super::resolve::is_new_link;

/// Drops an event's identifiers that would be seen with more of another namespace than they
/// may be.
pub(super) fn refuse(graph: &Graph, candidates: &mut [Candidate<'_>]) {
    for at in 0..candidates.len() {
        if candidates[at].dropped.is_none()
            && let Some(reason) = passed_on_event(graph, candidates, &candidates[at])
        {
            candidates[at].dropped = Some(Box::new(reason));
        }
    }
}

fn passed_on_event(
    graph: &Graph,
    candidates: &[Candidate<'_>],
    one: &Candidate<'_>,
) -> Option<Reason> {
    let id = id_of(graph, one);
    let limits = &graph.namespaces().rules_for(one.index)?.pair_limits;
    let passed = limits.iter().find(|(other, most)| {
        let shown = candidates.iter().filter(|c| c.dropped.is_none() && *c.namespace == **other);
        let new = shown.filter(|c| !is_seen(graph, id, id_of(graph, c))).count();
        let seen = graph.namespaces().index(other).map_or(0, |index| seen_with(graph, id, index));
        new > 0 && seen as usize + new > *most as usize
    });
    passed.map(|(other, most)| reason(other, *most))
}

/// Whether a record would show a limited pair for the first time.
pub(super) fn shows_new(graph: &Graph, identifiers: &[ObservedIdentifier<'_>]) -> bool {
    let kept = identifiers.iter().filter(|observed| observed.verdict.is_kept());
    let ends: Vec<(u16, Option<IdentifierId>)> = kept
        .filter_map(|observed| {
            let index = graph.namespaces().index(&observed.namespace)?;
            let is_limited = graph.namespaces().has_pair_limit(index);
            is_limited.then(|| (index, graph.identifiers.find(index, &observed.value)))
        })
        .collect();
    let is_pair = |a: u16, b: u16| graph.namespaces().is_pair_limited(a, b);
    ends.iter().enumerate().any(|(at, &(a, id))| {
        let mut others = ends[at + 1..].iter();
        others.any(|&(b, other)| is_pair(a, b) && !is_seen(graph, id, other))
    })
}

/// What a command's identifiers are seen with: what its profile holds, and one another.
pub(super) struct Company<'g> {
    graph: &'g Graph,
    members: Vec<Member>,
}

struct Member {
    index: u16,
    id: Option<IdentifierId>,
    /// Whether the profile held it before.
    is_held: bool,
    /// Whether the command names and keeps it.
    is_named: bool,
    /// With how many of a namespace the command shows it for the first time.
    new: Vec<(u16, u32)>,
}

impl<'g> Company<'g> {
    /// That of a profile, if rules limit pairs at all.
    pub(super) fn of(graph: &'g Graph, root: Option<u32>) -> Option<Company<'g>> {
        if !graph.rules().has_pair_limits() {
            return None;
        }
        let held = root.into_iter().flat_map(|root| graph.identifiers_of_profile(root));
        let member = |id: IdentifierId| {
            let index = graph.identifiers.rows.row(id).namespace;
            let is_limited = graph.namespaces().has_pair_limit(index);
            is_limited.then(|| Member::new(index, Some(id), true))
        };
        Some(Company { graph, members: held.filter_map(member).collect() })
    }

    /// Why a candidate cannot join this company, without the identifier that it replaces.
    pub(super) fn refuses(
        &self,
        candidate: &Candidate<'_>,
        replaced: Option<IdentifierId>,
    ) -> Option<Reason> {
        let stranger = self.stranger(candidate)?;
        let new = self.members.iter().filter(|m| m.id.is_none() || m.id != replaced);
        let new: Vec<&Member> = new.filter(|member| stranger.meets(member)).collect();
        let mut added = Member::new(stranger.index, stranger.id, false);
        new.iter().for_each(|member| added.count(member.index));
        let namespaces = self.graph.namespaces();
        let passes = |end: Option<IdentifierId>, before: u32, of: u16, other: u16, added: u32| {
            let most = namespaces.pair_limit(of, other)?;
            let is_passed = seen_with(self.graph, end, other) + before + added > most;
            is_passed.then(|| reason(namespaces.name(other), most))
        };
        let index = stranger.index;
        new.iter().find_map(|member| {
            let other = member.index;
            let before = stranger.own.map_or(0, |at| self.members[at].new_of(other));
            passes(stranger.id, before, index, other, added.new_of(other))
                .or_else(|| passes(member.id, member.new_of(index), other, index, 1))
        })
    }

    /// Takes a candidate in that the command keeps.
    pub(super) fn admit(&mut self, candidate: &Candidate<'_>) {
        let Some(stranger) = self.stranger(candidate) else { return };
        let mut met: Vec<u16> = Vec::new();
        for member in self.members.iter_mut().filter(|member| stranger.meets(member)) {
            member.count(stranger.index);
            met.push(member.index);
        }
        let own = stranger.own.unwrap_or_else(|| {
            self.members.push(Member::new(stranger.index, stranger.id, false));
            self.members.len() - 1
        });
        self.members[own].is_named = true;
        met.into_iter().for_each(|other| self.members[own].count(other));
    }

    /// Takes out what the command removes.
    pub(super) fn remove(&mut self, id: IdentifierId) {
        self.members.retain(|member| member.id != Some(id));
    }

    /// A candidate as the members meet it, if rules limit what it is seen with.
    fn stranger(&self, candidate: &Candidate<'_>) -> Option<Stranger<'g>> {
        let namespaces = self.graph.namespaces();
        let index = candidate.index.filter(|&index| namespaces.has_pair_limit(index))?;
        let id = id_of(self.graph, candidate);
        let own = id.and_then(|id| self.members.iter().position(|m| m.id == Some(id)));
        let names = 0..namespaces.names().len() as u16;
        let others = names.filter(|&other| namespaces.is_pair_limited(index, other)).collect();
        Some(Stranger { graph: self.graph, index, id, own, others })
    }
}

/// One that comes into company.
struct Stranger<'g> {
    graph: &'g Graph,
    index: u16,
    id: Option<IdentifierId>,
    /// Its place among the members, if the profile holds it.
    own: Option<usize>,
    /// The namespaces with which its pairs are limited.
    others: Vec<u16>,
}

impl Stranger<'_> {
    /// Whether it is seen with a member for the first time. One that the profile holds is seen
    /// with what else the command names; with what is new it was, already, when that came.
    fn meets(&self, member: &Member) -> bool {
        let is_news = self.own.is_none() || member.is_held && member.is_named;
        is_news && self.others.contains(&member.index) && !is_seen(self.graph, self.id, member.id)
    }
}

impl Member {
    fn new(index: u16, id: Option<IdentifierId>, is_held: bool) -> Member {
        Member { index, id, is_held, is_named: false, new: Vec::new() }
    }

    fn new_of(&self, namespace: u16) -> u32 {
        self.new.iter().find(|(index, _)| *index == namespace).map_or(0, |(_, count)| *count)
    }

    fn count(&mut self, namespace: u16) {
        match self.new.iter_mut().find(|(index, _)| *index == namespace) {
            Some((_, count)) => *count += 1,
            None => self.new.push((namespace, 1)),
        }
    }
}

fn reason(namespace: &str, most: u32) -> Reason {
    let limit = Some(PassedLimit { namespace: Some(namespace.into()), value: most });
    Reason { rule: Rule::PairLimit, limit, collided: None }
}

/// The identifier, whether anybody holds it or not.
fn id_of(graph: &Graph, candidate: &Candidate<'_>) -> Option<IdentifierId> {
    let found = candidate.found.map(|found| found.id);
    found.or_else(|| graph.identifiers.find(candidate.index?, &candidate.value))
}

fn seen_with(graph: &Graph, id: Option<IdentifierId>, namespace: u16) -> u32 {
    id.map_or(0, |id| graph.seen_with(id, namespace))
}

fn is_seen(graph: &Graph, a: Option<IdentifierId>, b: Option<IdentifierId>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if !is_new_link(graph, a, b))
}
