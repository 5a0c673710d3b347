//! The resolve loop: which identifiers stay on the event, and whose it is.
//!
//! The loop is Segment's: match every identifier that is left; if the profile that would
//! result violates a limit, take one identifier off and match again. It ends, because one
//! identifier that is left matches at most one profile and adds nothing to it. Then the caps
//! on one profile have their say, which take nothing off but refuse the merge as a whole, or
//! single identifiers that have no room.

use crate::change::{
    ObservedIdentifier, PassedLimit, ProfileNumber, Reason, Rule, Target, Verdict,
};
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::graph::links::is_linked;
use crate::rules::{Conflict, Window};
use crate::time::Timestamp;

use super::candidates::Candidate;
use super::limits::{Holding, Violation, first_violation};

/// What became of an event's identifiers and of profiles.
pub(super) struct Resolved<'a> {
    pub(super) target: Target,
    pub(super) identifiers: Vec<ObservedIdentifier<'a>>,
    /// Whether the target is known after the event.
    pub(super) known: bool,
    /// Whether an identifier is attached.
    pub(super) attaches: bool,
    /// Whether two identifiers that were attached before are seen together for the first time.
    pub(super) links: bool,
}

/// Decides for candidates, strongest first. `named` is the root of the profile that the
/// caller named: a match before all others, which nothing takes off.
pub(super) fn resolve<'a>(
    graph: &Graph,
    mut candidates: Vec<Candidate<'a>>,
    named: Option<u32>,
    time: Timestamp,
) -> Resolved<'a> {
    let mut holdings: Vec<Holding> = Vec::new();
    let mut matched = matched_roots(&candidates, named);
    while let Some(violation) = violation(graph, &candidates, &matched, &mut holdings, time) {
        let at = weakest(graph, &candidates, &violation);
        candidates[at].dropped = Some(limit_reason(&violation));
        matched = matched_roots(&candidates, named);
    }
    let cap = passed_cap(graph, &matched);
    conclude(graph, candidates, &matched, cap)
}

/// The distinct profiles that the remaining candidates are on, the strongest's first.
fn matched_roots(candidates: &[Candidate<'_>], named: Option<u32>) -> Vec<u32> {
    let mut roots: Vec<u32> = named.into_iter().collect();
    let remaining = candidates.iter().filter(|candidate| candidate.dropped.is_none());
    for found in remaining.filter_map(|candidate| candidate.found) {
        if !roots.contains(&found.root) {
            roots.push(found.root);
        }
    }
    roots
}

/// The limit that the event would exceed as it stands. Profiles are counted once each, and
/// only if there is something to exceed.
fn violation<'a>(
    graph: &Graph,
    candidates: &[Candidate<'a>],
    matched: &[u32],
    holdings: &mut Vec<Holding>,
    time: Timestamp,
) -> Option<Violation<'a>> {
    if matched.len() < 2 && !candidates.iter().any(Candidate::is_new) {
        return None;
    }
    for &root in matched {
        if !holdings.iter().any(|holding| holding.root == root) {
            holdings.push(Holding::of(graph, root));
        }
    }
    let of_matched: Vec<&Holding> =
        holdings.iter().filter(|holding| matched.contains(&holding.root)).collect();
    first_violation(graph, &of_matched, candidates, time)
}

/// The candidate that gives way to a violated limit.
fn weakest(graph: &Graph, candidates: &[Candidate<'_>], violation: &Violation<'_>) -> usize {
    let remaining = || {
        let still_on = |(_, c): &(usize, &Candidate<'_>)| c.dropped.is_none();
        candidates.iter().enumerate().filter(still_on).rev()
    };
    let lowest = remaining().next().map(|(at, _)| at);
    let lowest = lowest.expect("a violation needs an identifier that causes it");
    if graph.rules().conflict != Conflict::Legacy2020 || violation.limit.is_unique() {
        return lowest;
    }
    let mut offending = remaining().filter(|(_, c)| c.namespace == violation.namespace);
    // What is on no profile yet moves nobody: it goes before what would join two.
    let newcomer = offending.clone().find(|(_, c)| c.found.is_none());
    newcomer.or_else(|| offending.next()).map_or(lowest, |(at, _)| at)
}

fn limit_reason(violation: &Violation<'_>) -> Reason {
    let rule = match violation.limit.window {
        Window::Ever => Rule::ValueLimit,
        Window::Millis(_) => Rule::ValueTimeLimit,
    };
    let limit = PassedLimit {
        namespace: Some(violation.namespace.as_ref().into()),
        value: violation.limit.values,
    };
    Reason { rule, limit: Some(limit), collided: None }
}

/// The cap that merging the matched profiles would pass.
fn passed_cap(graph: &Graph, matched: &[u32]) -> Option<Reason> {
    if matched.len() < 2 {
        return None;
    }
    let sum = |count: &dyn Fn(u32) -> u32| {
        matched.iter().map(|&root| u64::from(count(root))).sum::<u64>()
    };
    let merges = sum(&|root| graph.profiles.merges(root)) + matched.len() as u64 - 1;
    let identifiers = sum(&|root| graph.profiles.identifier_count(root));
    let rules = graph.rules();
    let cap = |rule, value| {
        Some(Reason { rule, limit: Some(PassedLimit { namespace: None, value }), collided: None })
    };
    if merges > u64::from(rules.merges_max) {
        return cap(Rule::MergeLimit, rules.merges_max);
    }
    if identifiers > u64::from(rules.identifiers_max) {
        return cap(Rule::IdentifierLimit, rules.identifiers_max);
    }
    None
}

/// Gives every candidate its verdict and the event its target. With a passed cap nothing is
/// merged, and the event is the strongest match's.
fn conclude<'a>(
    graph: &Graph,
    candidates: Vec<Candidate<'a>>,
    matched: &[u32],
    cap: Option<Reason>,
) -> Resolved<'a> {
    let joined = if cap.is_some() { &matched[..1] } else { matched };
    let has_candidate = candidates.iter().any(|candidate| candidate.dropped.is_none());
    let target = target(graph, joined, has_candidate);
    let mut room = room(graph, joined);
    let mut resolved = Resolved {
        identifiers: Vec::with_capacity(candidates.len()),
        known: joined.iter().any(|&root| graph.profiles.known(root)),
        attaches: false,
        links: false,
        target,
    };
    let mut strongest = None;
    for candidate in candidates {
        let verdict = verdict(graph, &candidate, joined, cap.as_ref(), &mut room);
        match (&verdict, candidate.found) {
            (Verdict::Attached, _) => {
                resolved.attaches = true;
                resolved.known |= logs_in(graph, &candidate);
            }
            (Verdict::AlreadyAttached, Some(found)) => {
                let strongest = *strongest.get_or_insert(found.id);
                resolved.links |= strongest != found.id && is_new_link(graph, strongest, found.id);
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

fn target(graph: &Graph, joined: &[u32], has_candidate: bool) -> Target {
    let bearer = |root: &u32| graph.profiles.bearer(*root);
    match joined {
        [] if has_candidate => Target::Created(ProfileNumber(graph.profiles.len() + 1)),
        [] => Target::Unresolved,
        [root] => Target::Found(bearer(root)),
        _ => {
            // Numbers are given in the order of creation: the smallest is the oldest.
            let mut bearers: Vec<ProfileNumber> = joined.iter().map(bearer).collect();
            bearers.sort_unstable();
            let survivor = bearers.remove(0);
            Target::Merged { survivor, absorbed: bearers }
        }
    }
}

/// How many more identifiers the target may take.
fn room(graph: &Graph, joined: &[u32]) -> u32 {
    let held: u32 = joined.iter().map(|&root| graph.profiles.identifier_count(root)).sum();
    graph.rules().identifiers_max.saturating_sub(held)
}

fn verdict(
    graph: &Graph,
    candidate: &Candidate<'_>,
    joined: &[u32],
    cap: Option<&Reason>,
    room: &mut u32,
) -> Verdict {
    let is_joined = |root| joined.contains(&root);
    let elsewhere = candidate.found.filter(|found| !is_joined(found.root));
    let collided = elsewhere.map(|found| graph.profiles.bearer(found.root));
    if let Some(reason) = &candidate.dropped {
        return Verdict::Dropped(Reason { collided, ..reason.clone() });
    }
    match (candidate.found, cap) {
        (Some(found), _) if is_joined(found.root) => Verdict::AlreadyAttached,
        (Some(_), Some(cap)) => Verdict::Refused(Reason { collided, ..cap.clone() }),
        (Some(_), None) => unreachable!("without a cap every match is joined"),
        (None, _) if *room > 0 => {
            *room -= 1;
            Verdict::Attached
        }
        (None, _) => {
            let value = graph.rules().identifiers_max;
            let limit = Some(PassedLimit { namespace: None, value });
            Verdict::Refused(Reason { rule: Rule::IdentifierLimit, limit, collided: None })
        }
    }
}

fn is_new_link(graph: &Graph, a: IdentifierId, b: IdentifierId) -> bool {
    !is_linked(&graph.identifiers, &graph.further_links, a, b)
}

fn logs_in(graph: &Graph, candidate: &Candidate<'_>) -> bool {
    graph.namespaces().rules_for(candidate.index).is_some_and(|rules| rules.login)
}
