//! Identifiers that find and never join: exclusive ones, which move to the event's profile,
//! and shared ones, which may be on several.
//!
//! They are settled after the identifiers that join. Where those led to no profile, the
//! strongest finder's profile is the event's, if the event's new identifiers fit there.

use crate::change::{Reason, Rule};

use super::candidates::{Candidate, Role};
use super::fit::Fit;
use super::narrow;
use super::resolve::{Choice, Fate, because, capped};

/// Settles every candidate that has no fate yet. `may_move` says whether exclusive ones may
/// leave their owner for this event.
pub(super) fn settle(
    fit: &mut Fit<'_>,
    candidates: &[Candidate<'_>],
    choice: &mut Choice<'_>,
    may_move: bool,
) {
    let unsettled = |choice: &Choice<'_>, role: Role| -> Vec<usize> {
        let is_it = |at: &usize| choice.fates[*at].is_none() && candidates[*at].role == role;
        (0..candidates.len()).filter(is_it).collect()
    };
    for at in unsettled(choice, Role::Exclusive) {
        exclusive(fit, candidates, choice, at, may_move);
    }
    let shared = unsettled(choice, Role::Shared);
    find_by_shared(fit, candidates, choice, &shared);
    for at in shared {
        share(fit, candidates, choice, at);
    }
}

fn exclusive(
    fit: &mut Fit<'_>,
    candidates: &[Candidate<'_>],
    choice: &mut Choice<'_>,
    at: usize,
    may_move: bool,
) {
    let Some(found) = candidates[at].found else {
        return choice.take(fit, candidates, at, Fate::Attach);
    };
    let finds = choice.joined.is_empty() && choice.join(fit, candidates, found.root).is_ok();
    if finds || choice.holds(fit.graph, &candidates[at]) {
        choice.fates[at] = Some(Fate::Held);
        return;
    }
    let attached_time = fit.graph.identifiers.rows.row(found.id).attached_time();
    if may_move && fit.time >= attached_time {
        return choice.take(fit, candidates, at, Fate::Transfer(found.root));
    }
    let collided = Some(fit.graph.profiles.bearer(found.root));
    let reason = Reason { collided, ..because(Rule::ExclusiveOwner) };
    choice.fates[at] = Some(Fate::Refuse(reason));
}

/// Narrows the holders of shared identifiers down to the event's profile, if it has none.
fn find_by_shared(
    fit: &mut Fit<'_>,
    candidates: &[Candidate<'_>],
    choice: &mut Choice<'_>,
    shared: &[usize],
) {
    if choice.joined.is_empty() {
        let finders = shared.iter().map(|&at| &candidates[at]);
        if let Some(root) = narrow::select(fit.graph, finders, |_| true) {
            // Where it does not fit, the event begins a profile of its own.
            let _ = choice.join(fit, candidates, root);
        }
    }
}

/// Puts a shared identifier on the target beside the profiles that it is on.
pub(super) fn share(
    fit: &mut Fit<'_>,
    candidates: &[Candidate<'_>],
    choice: &mut Choice<'_>,
    at: usize,
) {
    if choice.holds(fit.graph, &candidates[at]) {
        choice.fates[at] = Some(Fate::Held);
        return;
    }
    let holders = candidates[at].found.map_or(0, |found| fit.graph.roots_of(found.id).len());
    let holders_max = fit.graph.rules().holders_max;
    if holders >= holders_max as usize {
        let collided = candidates[at].holder(fit.graph);
        let reason = Reason { collided, ..capped(Rule::HolderLimit, holders_max) };
        choice.fates[at] = Some(Fate::Refuse(reason));
        return;
    }
    choice.take(fit, candidates, at, Fate::Attach);
}
