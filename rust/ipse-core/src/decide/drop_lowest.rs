//! Drop and try again: what Segment does.
//!
//! Match every identifier that is left; if the profile that would result violates a limit,
//! take one identifier off and match again. It ends, because one identifier that is left
//! matches at most one profile and adds nothing to it. Then the caps on one profile have
//! their say, which take nothing off but refuse the merge as a whole, or single identifiers
//! that have no room. Identifiers that never join are settled last.

use crate::change::{Reason, Rule, Verb, Verdict};
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::graph::partings::Sides;
use crate::rules::{Conflict, OverLimit};
use crate::time::Timestamp;

use super::candidates::{Candidate, Role};
use super::fit::{Fit, limit_reason, passed_whole, sides_of};
use super::limits::{Holding, Tally, Violation, Whole, first_violation};
use super::resolve::{Choice, Fate, Resolved, because, capped, conclude, with_verdicts};
use super::{finders, survivor};

/// Decides for candidates, strongest first.
pub(super) fn resolve<'a>(
    graph: &Graph,
    verb: Verb,
    mut candidates: Vec<Candidate<'a>>,
    named: Option<u32>,
    time: Timestamp,
) -> Resolved<'a> {
    let is_said = verb == Verb::Link;
    if !is_said && !graph.partings.is_empty() {
        keep_apart(graph, &mut candidates, named);
    }
    let mut holdings: Vec<Holding> = Vec::new();
    let mut matched = matched_roots(&candidates, named);
    while let Some(violation) = violation(graph, &candidates, &matched, &mut holdings, time) {
        let at = weakest(graph, &candidates, &violation);
        candidates[at].dropped = Some(Box::new(limit_reason(&violation)));
        matched = matched_roots(&candidates, named);
    }
    let cap = if matched.len() < 2 {
        None
    } else {
        passed_whole(graph, &matched, &whole(&holdings, &matched), 0, &candidates)
    };
    let joined = if cap.is_some() { &matched[..1] } else { &matched[..] };
    let all_join = candidates.iter().all(|candidate| candidate.role == Role::Joins);
    if all_join && graph.rules().over_limit == OverLimit::Refuse {
        return plain(graph, candidates, joined, cap.as_ref());
    }
    with_finders(graph, is_said, candidates, joined, cap.as_ref(), time)
}

/// Where every identifier joins and a full profile refuses: no fate needs to be kept.
fn plain<'a>(
    graph: &Graph,
    candidates: Vec<Candidate<'a>>,
    joined: &[u32],
    cap: Option<&Reason>,
) -> Resolved<'a> {
    let has_candidate = candidates.iter().any(|candidate| candidate.dropped.is_none());
    let target = survivor::target(graph, joined, has_candidate);
    let mut room = room(graph, joined);
    with_verdicts(graph, candidates, joined, target, |_, candidate| {
        verdict(graph, candidate, joined, cap, &mut room)
    })
}

fn with_finders<'a>(
    graph: &Graph,
    is_said: bool,
    candidates: Vec<Candidate<'a>>,
    joined: &[u32],
    cap: Option<&Reason>,
    time: Timestamp,
) -> Resolved<'a> {
    let mut room = match graph.rules().over_limit {
        OverLimit::Refuse => room(graph, joined),
        _ => u32::MAX,
    };
    let mut choice = Choice { joined: joined.to_vec(), ..Choice::default() };
    for candidate in &candidates {
        let is_finder = candidate.role != Role::Joins && candidate.found.is_some();
        let fate = (!is_finder || candidate.dropped.is_some())
            .then(|| verdict(graph, candidate, joined, cap, &mut room));
        choice.fates.push(fate.map(Fate::from_verdict));
    }
    let mut fit = Fit::new(graph, "", time).said(is_said);
    finders::settle(&mut fit, &candidates, &mut choice, true);
    conclude(graph, candidates, choice)
}

/// Takes off what was parted from something stronger: neither limits nor caps are asked of it.
fn keep_apart(graph: &Graph, candidates: &mut [Candidate<'_>], named: Option<u32>) {
    let mut roots: Vec<u32> = named.into_iter().collect();
    let mut all = named.map_or_else(Sides::default, |root| Sides::of_profile(graph, root));
    for candidate in candidates.iter_mut().filter(|candidate| candidate.dropped.is_none()) {
        let sides = match candidate.found {
            Some(found) if candidate.role != Role::Joins || roots.contains(&found.root) => continue,
            Some(found) => Sides::of_profile(graph, found.root),
            None => sides_of(graph, candidate),
        };
        if all.meet(&sides) {
            candidate.dropped = Some(Box::new(because(Rule::DeniedLink)));
            continue;
        }
        roots.extend(candidate.found.map(|found| found.root));
        all.extend(&sides);
    }
}

/// The distinct profiles that the remaining candidates are on, the strongest's first.
fn matched_roots(candidates: &[Candidate<'_>], named: Option<u32>) -> Vec<u32> {
    let mut roots: Vec<u32> = named.into_iter().collect();
    let joins = |c: &&Candidate<'_>| c.dropped.is_none() && c.role == Role::Joins;
    for found in candidates.iter().filter(joins).filter_map(|candidate| candidate.found) {
        if !roots.contains(&found.root) {
            roots.push(found.root);
        }
    }
    roots
}

/// The limit that the event would exceed as it stands. Profiles are counted once each, and
/// only if there is something to exceed.
fn violation(
    graph: &Graph,
    candidates: &[Candidate<'_>],
    matched: &[u32],
    holdings: &mut Vec<Holding>,
    time: Timestamp,
) -> Option<Violation> {
    if matched.len() < 2 && have_room(graph, candidates, matched.first().copied()) {
        return None;
    }
    for &root in matched {
        if !holdings.iter().any(|holding| holding.root == root) {
            holdings.push(Holding::of(graph, root));
        }
    }
    let new = candidates.iter().filter(|candidate| candidate.is_new());
    let new = Tally::of(graph, new, time);
    first_violation(graph, &whole(holdings, matched), &new, time, "")
}

/// Up to how many identifiers of a profile are looked through for each that is new.
const FEW: u32 = 16;

/// Whether what is new is within its limits beside all that one small profile ever held, which no
/// window holds more than. What is not is looked at closely.
fn have_room(graph: &Graph, candidates: &[Candidate<'_>], root: Option<u32>) -> bool {
    let is_small =
        |root| graph.profiles.merges(root) == 0 && graph.profiles.identifier_count(root) <= FEW;
    let mut new = candidates.iter().filter(|candidate| candidate.is_new());
    root.is_none_or(is_small)
        && new.all(|one| {
            let Some(index) = one.index else { return false };
            let Some(rules) = graph.namespaces().rules_of(index) else { return true };
            let most = if rules.immutable { 1 } else { rules.limit.values as usize };
            let is_alike = |c: &&Candidate<'_>| c.index == Some(index) && c.is_new();
            let held = root.into_iter().flat_map(|root| graph.identifiers_of_node(root));
            let is_of = |id: &IdentifierId| graph.identifiers.rows.row(*id).namespace == index;
            candidates.iter().filter(is_alike).count() + held.filter(is_of).count() <= most
        })
}

fn whole<'h>(holdings: &'h [Holding], matched: &[u32]) -> Whole<'h> {
    Whole::of(holdings.iter().filter(|holding| matched.contains(&holding.root)).collect())
}

/// The candidate that gives way to a violated limit.
fn weakest(graph: &Graph, candidates: &[Candidate<'_>], violation: &Violation) -> usize {
    let remaining = || {
        let may_give_way = |(_, c): &(usize, &Candidate<'_>)| {
            c.dropped.is_none() && (c.role == Role::Joins || c.found.is_none())
        };
        candidates.iter().enumerate().filter(may_give_way).rev()
    };
    let lowest = remaining().next().map(|(at, _)| at);
    let lowest = lowest.expect("a violation needs an identifier that causes it");
    if graph.rules().conflict != Conflict::Legacy2020 || violation.limit.is_unique() {
        return lowest;
    }
    let mut offending = remaining().filter(|(_, c)| *c.namespace == *violation.namespace);
    // What is on no profile yet moves nobody: it goes before what would join two.
    let newcomer = offending.clone().find(|(_, c)| c.found.is_none());
    newcomer.or_else(|| offending.next()).map_or(lowest, |(at, _)| at)
}

/// How many more identifiers the target may take.
fn room(graph: &Graph, joined: &[u32]) -> u32 {
    let held = graph.identifier_count_of(joined);
    graph.rules().identifiers_max.saturating_sub(held)
}

#[inline]
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
        let reason = Reason { collided, ..(**reason).clone() };
        return match reason.rule {
            Rule::DeniedLink => Verdict::Refused(reason),
            _ => Verdict::Dropped(reason),
        };
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
            let identifiers_max = graph.rules().identifiers_max;
            Verdict::Refused(capped(Rule::IdentifierLimit, identifiers_max))
        }
    }
}
