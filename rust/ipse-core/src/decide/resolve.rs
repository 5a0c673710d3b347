//! Whose an event is, and what becomes of its identifiers: the frame around the policies.
//!
//! A policy (a file each: [`drop_lowest`], [`greedy`], [`explicit`], [`replay`]) makes a
//! [`Choice`]: which profiles become one, and the fate of each candidate. Here the choice
//! gets its target, its survivor and its verdicts, and is made to fit a full profile.

use std::borrow::Cow;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::change::{
    Extra, Move, ObservedIdentifier, PassedLimit, ProfileNumber, Reason, Rule, Target, Verb,
    Verdict,
};
use crate::event::Event;
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::graph::links::is_linked;
use crate::identifier::FORMER_ID;
use crate::rules::{Conflict, Guards, OverLimit, Trigger};
use crate::time::Timestamp;

use super::candidates::{Candidate, key_of};
use super::fit::Fit;
use super::limits::Tally;
use super::{drop_lowest, evict, explicit, greedy, replay, survivor};

/// What became of an event's identifiers and of profiles.
pub(super) struct Resolved<'a> {
    pub(super) target: Target,
    pub(super) identifiers: Vec<ObservedIdentifier<'a>>,
    /// Whether the target is known after the event.
    pub(super) known: bool,
    /// Whether an identifier is attached, transferred or removed.
    pub(super) attaches: bool,
    /// Whether two identifiers that were attached before are seen together for the first
    /// time, or links get a newer time that a rule reads.
    pub(super) links: bool,
    pub(super) extra: Option<Box<Extra<'a>>>,
}

/// What a policy chose.
#[derive(Default)]
pub(super) struct Choice<'a> {
    /// The roots of the profiles that become one, the target's first.
    pub(super) joined: Vec<u32>,
    /// Of each candidate; `None` until it is settled.
    pub(super) fates: Vec<Option<Fate>>,
    /// Whether the event has a profile even if it joins none and attaches nothing.
    pub(super) creates: bool,
    /// Whether links are news.
    pub(super) links: bool,
    pub(super) extra: Extra<'a>,
    /// What is new on the target, once that was asked for.
    pub(super) taken: Option<Tally>,
}

/// What becomes of a candidate.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fate {
    Attach,
    Held,
    /// From the profile with this root.
    Transfer(u32),
    Drop(Reason),
    Refuse(Reason),
}

/// Decides for candidates, strongest first, the last of which are `sources`. `named` is the
/// root of the profile that the caller named: a match before all others.
pub(super) fn resolve<'a>(
    graph: &Graph,
    event: &Event<'_>,
    candidates: Vec<Candidate<'a>>,
    sources: usize,
    named: Option<u32>,
    time: Timestamp,
) -> Resolved<'a> {
    let rules = graph.rules();
    let is_plain = matches!(rules.conflict, Conflict::DropLowest | Conflict::Legacy2020);
    if is_plain && rules.trigger == Trigger::SeenTogether {
        return drop_lowest::resolve(graph, event.verb, candidates, named, time);
    }
    let key = key_of(graph, event);
    let mut fit = Fit::new(graph, key, time).said(event.verb == Verb::Link);
    let choice = match (rules.trigger, rules.conflict) {
        (Trigger::Explicit, _) => explicit::choose(&mut fit, event, &candidates, sources, named),
        (_, Conflict::Replay) => replay::choose(&mut fit, &candidates, named),
        _ => greedy::choose(&mut fit, &candidates, named),
    };
    conclude(graph, candidates, choice)
}

impl Fate {
    /// The fate behind a verdict on an identifier that moves from no profile to another.
    pub(super) fn from_verdict(verdict: Verdict) -> Fate {
        match verdict {
            Verdict::Attached => Fate::Attach,
            Verdict::AlreadyAttached => Fate::Held,
            Verdict::Dropped(reason) => Fate::Drop(reason),
            Verdict::Refused(reason) => Fate::Refuse(reason),
            Verdict::Transferred { .. } | Verdict::Removed => {
                unreachable!("no identifier is moved or removed here")
            }
        }
    }
}

impl<'a> Choice<'a> {
    /// Where every policy begins: with the profile that was named, and with the candidates
    /// that rules took off the event settled.
    pub(super) fn new(
        graph: &Graph,
        named: Option<u32>,
        candidates: &[Candidate<'_>],
    ) -> Choice<'a> {
        let dropped = |candidate: &Candidate<'_>| {
            let reason = candidate.dropped.as_deref()?.clone();
            Some(Fate::Drop(Reason { collided: candidate.holder(graph), ..reason }))
        };
        Choice {
            joined: named.into_iter().collect(),
            fates: candidates.iter().map(dropped).collect(),
            ..Choice::default()
        }
    }

    /// Whether one of the joined profiles holds an identifier.
    pub(super) fn holds(&self, graph: &Graph, candidate: &Candidate<'_>) -> bool {
        let Some(found) = candidate.found else { return false };
        self.joined.contains(&found.root)
            || self.joined.iter().any(|&root| graph.holds(root, found.id))
    }

    /// Attaches a candidate, or transfers it from a root, if it fits; else refuses it.
    pub(super) fn take(
        &mut self,
        fit: &mut Fit<'_>,
        candidates: &[Candidate<'_>],
        at: usize,
        fate: Fate,
    ) {
        let collided = candidates[at].holder(fit.graph);
        let new = taken(&mut self.taken, fit, candidates, &self.fates);
        self.fates[at] = Some(match fit.check_one(&self.joined, new, &candidates[at]) {
            Ok(()) => {
                new.add(fit.graph, &candidates[at], fit.time);
                fate
            }
            Err(reason) => Fate::Refuse(Reason { collided, ..reason }),
        });
    }

    /// Joins the profile with a root, if it fits with what is joined and new already.
    pub(super) fn join(
        &mut self,
        fit: &mut Fit<'_>,
        candidates: &[Candidate<'_>],
        root: u32,
    ) -> Result<(), Reason> {
        let mut roots = self.joined.clone();
        roots.push(root);
        let new = taken(&mut self.taken, fit, candidates, &self.fates);
        fit.check(&roots, new, candidates)?;
        self.joined = roots;
        Ok(())
    }
}

/// What is new on the target so far: counted when it is first asked for, kept from then on.
fn taken<'t>(
    taken: &'t mut Option<Tally>,
    fit: &Fit<'_>,
    candidates: &[Candidate<'_>],
    fates: &[Option<Fate>],
) -> &'t mut Tally {
    taken.get_or_insert_with(|| {
        let is_new = |fate: &Option<Fate>| matches!(fate, Some(Fate::Attach | Fate::Transfer(_)));
        let new = candidates.iter().zip(fates).filter(|(_, fate)| is_new(fate));
        let mut tally = Tally::of(fit.graph, new.map(|(candidate, _)| candidate), fit.time);
        fit.along.iter().for_each(|candidate| tally.count_in(fit.graph, candidate, fit.time));
        tally
    })
}

/// Gives every candidate its verdict and the event its target.
pub(super) fn conclude<'a>(
    graph: &Graph,
    candidates: Vec<Candidate<'a>>,
    mut choice: Choice<'a>,
) -> Resolved<'a> {
    // What evidence puts together was not asked whether it fits.
    let is_unasked = graph.rules().keeps_evidence();
    if !is_unasked {
        hold_joined(graph, &candidates, &mut choice);
    }
    if graph.rules().over_limit != OverLimit::Refuse || is_unasked {
        evict::make_room(graph, &candidates, &mut choice);
    }
    if !choice.extra.displaced.is_empty() {
        forget_unknown_links(graph, &candidates, &mut choice);
    }
    let fates = std::mem::take(&mut choice.fates);
    let attaches = fates.iter().any(|fate| matches!(fate, Some(Fate::Attach | Fate::Transfer(_))));
    let has_profile = choice.creates || attaches;
    let target = survivor::target(graph, &choice.joined, has_profile);
    close_gaps(graph, &target, &mut choice.extra.moves);
    let verdict = |at: usize, candidate: &Candidate<'_>| {
        let is_held = choice.holds(graph, candidate);
        verdict_of(graph, fates[at].clone(), is_held)
    };
    let mut resolved = with_verdicts(graph, candidates, &choice.joined, target, verdict);
    if !choice.extra.moves.is_empty() {
        resolved.known = known_after(graph, &choice.joined, &resolved, &choice.extra.moves);
    }
    resolved.known |= choice.extra.marks_known;
    resolved.links |= choice.links;
    resolved.extra =
        (choice.extra != Extra::default()).then(|| Box::new(std::mem::take(&mut choice.extra)));
    resolved
}

/// Numbers the profiles that moves create densely: some moves may have been left out.
fn close_gaps(graph: &Graph, target: &Target, moves: &mut [Move<'_>]) {
    let first = graph.profiles.len() + 1 + u32::from(matches!(target, Target::Created(_)));
    let mut given: HashMap<ProfileNumber, u32, FixedState> = HashMap::default();
    for to in moves.iter_mut().filter_map(|moved| moved.to.as_mut()) {
        if graph.profiles.node(*to).is_some() || Some(*to) == target.profile() {
            continue;
        }
        let next = u32::try_from(given.len()).expect("moves are bounded");
        *to = ProfileNumber(first + *given.entry(*to).or_insert(next));
    }
}

/// Leaves out displaced links of identifiers that are on no profile after all.
fn forget_unknown_links(graph: &Graph, candidates: &[Candidate<'_>], choice: &mut Choice<'_>) {
    let fates = &choice.fates;
    let is_known = |end: &(Cow<'_, str>, Cow<'_, str>)| {
        let at = candidates.iter().position(|c| c.namespace == end.0 && c.value == end.1);
        let fate = at.and_then(|at| fates[at].as_ref());
        matches!(fate, Some(Fate::Attach | Fate::Held | Fate::Transfer(_)))
            || graph.find_identifier(&end.0, &end.1).is_some()
    };
    choice.extra.displaced.retain(|pair| is_known(&pair.a) && is_known(&pair.b));
}

/// Whether the target is known once identifiers have left it, and others have come.
pub(super) fn known_after(
    graph: &Graph,
    joined: &[u32],
    resolved: &Resolved<'_>,
    moves: &[Move<'_>],
) -> bool {
    let logs_in = |namespace: &str| {
        let index = graph.namespaces().index(namespace);
        graph.namespaces().rules_for(index).is_some_and(|rules| rules.login)
    };
    let name = |id: IdentifierId| {
        let row = graph.identifiers.rows.row(id);
        (graph.namespaces().name(row.namespace), graph.identifiers.rows.value(id))
    };
    let removed = resolved.identifiers.iter().filter(|o| o.verdict == Verdict::Removed);
    let removed = removed.map(|o| (&*o.namespace, &*o.value));
    let moved = moves.iter().map(|moved| (&*moved.namespace, &*moved.value));
    let gone: HashSet<(&str, &str), FixedState> = removed.chain(moved).collect();
    let is_marked = |&root: &u32| {
        graph.profiles.tree(root).into_iter().any(|node| graph.profiles.marked_known(node))
    };
    let is_target = |number: ProfileNumber| {
        let node = graph.profiles.node(number);
        Some(number) == resolved.target.profile()
            || node.is_some_and(|node| joined.contains(&graph.profiles.root(node)))
    };
    let mut held = joined.iter().flat_map(|&root| graph.identifiers_of_profile(root)).map(name);
    let mut kept = resolved.identifiers.iter().filter(|observed| observed.verdict.is_kept());
    let mut came = moves.iter().filter(|moved| moved.to.is_some_and(is_target));
    joined.iter().any(is_marked)
        || held.any(|held| logs_in(held.0) && !gone.contains(&held))
        || kept.any(|observed| logs_in(&observed.namespace))
        || came.any(|moved| logs_in(&moved.namespace))
}

/// Some candidates were judged before a profile was joined that holds them. What a guard says
/// of a source stands, and what may not be seen with others.
fn hold_joined(graph: &Graph, candidates: &[Candidate<'_>], choice: &mut Choice<'_>) {
    let is_guarded = |fate: &Option<Fate>| match fate {
        Some(Fate::Refuse(reason)) => {
            let guards = [Rule::SourceUsed, Rule::SourceShape, Rule::KnownSource, Rule::PairLimit];
            guards.contains(&reason.rule)
        }
        _ => false,
    };
    for (at, candidate) in candidates.iter().enumerate() {
        let is_free = candidate.dropped.is_none() && !is_guarded(&choice.fates[at]);
        if is_free && choice.holds(graph, candidate) {
            choice.fates[at] = Some(Fate::Held);
        }
    }
}

/// A fate as a verdict. What the target holds itself collides with nobody.
fn verdict_of(graph: &Graph, fate: Option<Fate>, is_held: bool) -> Verdict {
    let told = |reason: Reason| {
        let collided = reason.collided.filter(|_| !is_held);
        Reason { collided, ..reason }
    };
    match fate.expect("a policy settles every candidate") {
        Fate::Attach => Verdict::Attached,
        Fate::Held => Verdict::AlreadyAttached,
        Fate::Transfer(root) => Verdict::Transferred { from: graph.profiles.bearer(root) },
        Fate::Drop(reason) => Verdict::Dropped(told(reason)),
        Fate::Refuse(reason) => Verdict::Refused(told(reason)),
    }
}

/// Puts verdicts and target together, and finds out what they teach.
pub(super) fn with_verdicts<'a>(
    graph: &Graph,
    candidates: Vec<Candidate<'a>>,
    joined: &[u32],
    target: Target,
    mut verdict: impl FnMut(usize, &Candidate<'_>) -> Verdict,
) -> Resolved<'a> {
    let mut resolved = Resolved {
        identifiers: Vec::with_capacity(candidates.len()),
        known: joined.iter().any(|&root| graph.profiles.known(root)),
        attaches: false,
        links: false,
        target,
        extra: None,
    };
    let mut strongest = None;
    for (at, candidate) in candidates.into_iter().enumerate() {
        let verdict = verdict(at, &candidate);
        match (&verdict, candidate.found) {
            (Verdict::Attached | Verdict::Transferred { .. }, _) => {
                resolved.attaches = true;
                resolved.known |= logs_in(graph, &candidate);
            }
            (Verdict::AlreadyAttached, Some(found)) => {
                let strongest = *strongest.get_or_insert(found.id);
                resolved.links |= strongest != found.id
                    && is_new_link(graph, strongest, found.id)
                    && candidate.namespace != FORMER_ID;
            }
            _ => {}
        }
        resolved.identifiers.push(ObservedIdentifier {
            namespace: candidate.namespace,
            value: candidate.value,
            raw: candidate.raw,
            verdict,
        });
    }
    resolved
}

pub(super) fn is_new_link(graph: &Graph, a: IdentifierId, b: IdentifierId) -> bool {
    !is_linked(&graph.identifiers, &graph.further_links, a, b)
}

pub(super) fn logs_in(graph: &Graph, candidate: &Candidate<'_>) -> bool {
    graph.namespaces().rules_for(candidate.index).is_some_and(|rules| rules.login)
}

/// A reason that is a rule and nothing else.
pub(super) fn because(rule: Rule) -> Reason {
    Reason { rule, limit: None, collided: None }
}

/// A reason that is a cap on a whole profile.
pub(super) fn capped(rule: Rule, value: u32) -> Reason {
    Reason { rule, limit: Some(PassedLimit { namespace: None, value }), collided: None }
}

/// The guards of a verb, where it has any.
pub(super) fn guards(graph: &Graph, verb: Verb) -> Option<&Guards> {
    match verb {
        Verb::Login => Some(&graph.rules().login_guards),
        Verb::Link => Some(&graph.rules().link_guards),
        Verb::Merge => Some(&graph.rules().merge_guards),
        _ => None,
    }
}
