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
//! profile begins a new one. Where several profiles' sides are one, they become one profile,
//! as far as the caps on a merge allow; a profile that is too much stays out of it.

mod component;
mod parts;

use crate::change::{LinkPair, Move, MoveCause, ProfileNumber, Reason, Rule};
use crate::graph::Graph;
use crate::graph::evidence::{EvidenceLink, LinkState};
use crate::graph::identifiers::IdentifierId;
use crate::time::Timestamp;

use super::candidates::{Candidate, Role};
use super::fit::{Fit, passed_cap};
use super::resolve::{Choice, Fate, because};
use super::{finders, survivor};
use component::{Component, Member, is_several};
use parts::{Parts, rebuild, whole};

/// What a rebuild found out that the next has to begin with.
#[derive(Default)]
struct Fixed {
    /// Profiles that a cap keeps out of a merge, and which cap it was.
    kept_out: Vec<(u32, Reason)>,
    /// Identifiers that the event shows and that stay on its profile, whatever holds them
    /// there: the event does not take apart what it shows.
    pinned: Vec<IdentifierId>,
}

/// Chooses for candidates, strongest first.
pub(super) fn choose<'a>(
    fit: &mut Fit<'_>,
    candidates: &[Candidate<'_>],
    named: Option<u32>,
) -> Choice<'a> {
    let mut fixed = Fixed::default();
    loop {
        // It ends: each time one more profile or identifier is fixed.
        match rebuilt(fit, candidates, named, &fixed) {
            Ok(choice) => return choice,
            Err(more) => {
                fixed.kept_out.extend(more.kept_out);
                fixed.pinned.extend(more.pinned);
            }
        }
    }
}

/// The choice, or what must be fixed before there can be one.
fn rebuilt<'a>(
    fit: &mut Fit<'_>,
    candidates: &[Candidate<'_>],
    named: Option<u32>,
    fixed: &Fixed,
) -> Result<Choice<'a>, Fixed> {
    let (graph, forces) = (fit.graph, fit.is_said);
    let is_out = |root: u32| fixed.kept_out.iter().any(|(out, _)| *out == root);
    let component = Component::of(graph, candidates, named, is_out);
    let parts = whole(graph, &component).unwrap_or_else(|| {
        let mut links = component.links(graph, fit.time, forces, named);
        links.extend(fixed.pinned.iter().filter_map(|&id| component.pin(graph, id)));
        rebuild(graph, &component, links, forces)
    });
    let outcome = Outcome::of(&component, &parts, named);
    let more = Fixed { kept_out: outcome.passes_caps(graph), pinned: outcome.left_behind() };
    if !more.kept_out.is_empty() || !more.pinned.is_empty() {
        return Err(more);
    }
    let mut choice = Choice::new(graph, None, candidates);
    choice.joined = outcome.joined();
    choice.creates = outcome.target.is_some();
    choice.links = outcome.shows_news(graph, fit.time, forces);
    outcome.settle_shown(graph, &mut choice);
    refuse_kept_out(graph, candidates, &fixed.kept_out, &mut choice);
    choice.extra.displaced = outcome.displaced(graph);
    // What finds may yet give the event its profile, and the moves name that.
    settle_several(graph, candidates, &mut choice);
    fit.along = outcome.comes_along();
    finders::settle(fit, candidates, &mut choice, true);
    choice.extra.moves = outcome.moves(graph, &choice.joined);
    Ok(choice)
}

/// What a cap keeps out of a merge stays where it is.
fn refuse_kept_out(
    graph: &Graph,
    candidates: &[Candidate<'_>],
    kept_out: &[(u32, Reason)],
    choice: &mut Choice<'_>,
) {
    for (at, candidate) in candidates.iter().enumerate() {
        let joins = candidate.dropped.is_none() && candidate.role == Role::Joins;
        let Some(found) = candidate.found.filter(|_| joins && !is_several(graph, candidate)) else {
            continue;
        };
        if let Some((_, reason)) = kept_out.iter().find(|(out, _)| *out == found.root) {
            let collided = Some(graph.profiles.bearer(found.root));
            choice.fates[at] = Some(Fate::Refuse(Reason { collided, ..reason.clone() }));
        }
    }
}

/// What is several profiles' finds the first of them, if nothing else does, and stays.
fn settle_several(graph: &Graph, candidates: &[Candidate<'_>], choice: &mut Choice<'_>) {
    for (at, candidate) in candidates.iter().enumerate() {
        let joins = candidate.dropped.is_none() && candidate.role == Role::Joins;
        let Some(found) = candidate.found.filter(|_| joins && is_several(graph, candidate)) else {
            continue;
        };
        if choice.joined.is_empty() && !choice.creates {
            choice.joined.push(found.root);
        }
        choice.fates[at] = Some(if choice.holds(graph, candidate) {
            Fate::Held
        } else {
            let collided = Some(graph.profiles.bearer(found.root));
            Fate::Refuse(Reason { collided, ..because(Rule::HeldElsewhere) })
        });
    }
}

/// Who gets which part.
struct Outcome<'o> {
    component: &'o Component<'o>,
    parts: &'o Parts,
    /// The part that each profile goes to: that of its strongest identifier.
    claims: Vec<(u32, usize)>,
    /// The event's part: that of the profile that the caller named, or of its strongest
    /// identifier.
    target: Option<usize>,
    /// A named profile that holds nothing.
    empty_named: Option<u32>,
}

impl<'o> Outcome<'o> {
    fn of(component: &'o Component<'o>, parts: &'o Parts, named: Option<u32>) -> Outcome<'o> {
        // Members are in order of strength.
        let strongest = |root: u32| component.strongest(root);
        let claim = |&root: &u32| Some((root, parts.of[strongest(root)?]));
        let claims: Vec<(u32, usize)> = component.roots.iter().filter_map(claim).collect();
        let shown = component.members.iter().position(|member| member.candidate.is_some());
        let target = named.and_then(strongest).or(shown).map(|at| parts.of[at]);
        let empty_named = named.filter(|&root| strongest(root).is_none());
        Outcome { component, parts, claims, target, empty_named }
    }

    /// The roots of the profiles that are the event's.
    fn joined(&self) -> Vec<u32> {
        let claimed = self.claims.iter().filter(|(_, part)| Some(*part) == self.target);
        self.empty_named.into_iter().chain(claimed.map(|(root, _)| *root)).collect()
    }

    /// The profiles that would be one with the event's, were there no caps on a merge: from the
    /// strongest claim on, each has to fit with those before it.
    fn passes_caps(&self, graph: &Graph) -> Vec<(u32, Reason)> {
        let mut fitting: Vec<u32> = Vec::new();
        let mut passed = Vec::new();
        for root in self.joined() {
            fitting.push(root);
            if let Some(reason) = passed_cap(graph, &fitting).filter(|_| fitting.len() > 1) {
                fitting.pop();
                passed.push((root, reason));
            }
        }
        passed
    }

    /// What the event shows and refuses, although its profile is the event's.
    fn left_behind(&self) -> Vec<IdentifierId> {
        let joined = self.joined();
        let is_left = |&(at, member): &(usize, &Member<'_>)| {
            let is_targets = Some(self.parts.of[at]) == self.target;
            let is_there = member.root.is_some_and(|root| joined.contains(&root));
            member.candidate.is_some() && !is_targets && is_there
        };
        let members = self.component.members.iter().enumerate();
        members.filter(is_left).filter_map(|(_, member)| member.id).collect()
    }

    /// Whether a member's profile goes to the member's part.
    fn stays(&self, at: usize) -> bool {
        let root = self.component.members[at].root;
        root.is_some_and(|root| self.claims.contains(&(root, self.parts.of[at])))
    }

    /// Gives the event's own identifiers their fates.
    fn settle_shown(&self, graph: &Graph, choice: &mut Choice<'_>) {
        for (at, member) in self.component.members.iter().enumerate() {
            let Some(candidate) = member.candidate else { continue };
            let is_targets = Some(self.parts.of[at]) == self.target;
            choice.fates[candidate] = Some(match (is_targets, member.root) {
                (true, _) if self.stays(at) => Fate::Held,
                (true, Some(root)) => Fate::Transfer(root),
                (true, None) => Fate::Attach,
                (false, _) => Fate::Refuse(self.reason(graph, at)),
            });
        }
    }

    fn reason(&self, graph: &Graph, at: usize) -> Reason {
        let of_target = self.target.map(|target| &self.parts.sides[target]);
        let is_denied = of_target.is_some_and(|sides| sides.meet(&self.component.sides[at]));
        let rule = if is_denied { Rule::DeniedLink } else { Rule::Displaced };
        let collided = self.component.members[at].root.map(|root| graph.profiles.bearer(root));
        Reason { collided, ..because(rule) }
    }

    /// The members of the event's part that it does not show and no profile of its own holds.
    fn comes_along(&self) -> Vec<Candidate<'static>> {
        let members = self.component.members.iter().enumerate();
        let comes = members.filter(|&(at, member)| {
            member.candidate.is_none() && Some(self.parts.of[at]) == self.target && !self.stays(at)
        });
        comes.map(|(_, member)| member.to_candidate()).collect()
    }

    /// Where members go that are not with their profile any more and not on the event.
    fn moves<'a>(&self, graph: &Graph, joined: &[u32]) -> Vec<Move<'a>> {
        let mut numbers = Numbers::new(graph, self, joined);
        let mut moves = Vec::new();
        for (at, member) in self.component.members.iter().enumerate() {
            let part = self.parts.of[at];
            // One of the event's own that is not the target's has its verdict, and stays.
            let moves_on = member.candidate.is_none() && !self.stays(at);
            let Some(root) = member.root.filter(|_| moves_on) else {
                continue;
            };
            let (namespace, value) = member.name();
            let from = graph.profiles.bearer(root);
            let (to, cause) = (Some(numbers.of(part)), MoveCause::Displaced);
            // What only finds may have made its profile the target's.
            if to != Some(from) {
                moves.push(Move { namespace, value, from, to, cause });
            }
        }
        moves
    }

    /// The links that are displaced now and were not before, whose ends are both known after
    /// the event.
    fn displaced<'a>(&self, graph: &Graph) -> Vec<LinkPair<'a>> {
        let is_known = |at: usize| {
            self.component.members[at].id.is_some() || Some(self.parts.of[at]) == self.target
        };
        let members = &self.component.members;
        let is_news = |a: usize, b: usize| {
            let state = self.link(graph, a, b).map(|link| link.state);
            is_known(a) && is_known(b) && !matches!(state, Some(LinkState::Displaced { .. }))
        };
        let pairs = self.parts.displaced.iter().filter(|&&(a, b)| is_news(a, b));
        pairs.map(|&(a, b)| LinkPair { a: members[a].name(), b: members[b].name() }).collect()
    }

    /// Whether the event shows a pair that holds for the first time, again after it was
    /// displaced, or later than it was seen before: the order of links goes by that.
    fn shows_news(&self, graph: &Graph, time: Timestamp, forces: bool) -> bool {
        let members = &self.component.members;
        let shown: Vec<usize> =
            (0..members.len()).filter(|&at| members[at].candidate.is_some()).collect();
        let is_news = |a: usize, b: usize| {
            let holds = self.parts.of[a] == self.parts.of[b];
            holds
                && match self.link(graph, a, b) {
                    None => true,
                    Some(link) => match link.state {
                        state if forces => state != LinkState::Forced,
                        LinkState::Active | LinkState::Forced => link.last_time < time,
                        LinkState::Displaced { .. } => true,
                    },
                }
        };
        shown.iter().enumerate().any(|(at, &a)| shown[at + 1..].iter().any(|&b| is_news(a, b)))
    }

    fn link<'g>(&self, graph: &'g Graph, a: usize, b: usize) -> Option<&'g EvidenceLink> {
        let members = &self.component.members;
        graph.evidence.between(members[a].id?, members[b].id?)
    }
}

/// The profiles of parts: those that claim them, and new ones.
struct Numbers {
    known: Vec<(usize, ProfileNumber)>,
    next: u32,
}

impl Numbers {
    fn new(graph: &Graph, outcome: &Outcome<'_>, joined: &[u32]) -> Numbers {
        let bearer = |root: u32| graph.profiles.bearer(root);
        let claimed = outcome.claims.iter().map(|&(root, part)| (part, bearer(root)));
        let mut numbers = Numbers { known: claimed.collect(), next: graph.profiles.len() + 1 };
        match (outcome.target, joined) {
            (None, _) => {}
            (Some(target), []) => drop(numbers.of(target)),
            (Some(target), joined) => {
                let survivor = bearer(survivor::root(graph, joined));
                numbers.known.insert(0, (target, survivor));
            }
        }
        numbers
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
