//! From the strongest identifier on, what fits is joined; what does not stays where it is, or
//! moves (Mixpanel's first binding, eSputnik's key).

use crate::change::{Reason, Rule};
use crate::rules::{Conflict, Trigger};

use super::candidates::{Candidate, Role};
use super::finders;
use super::fit::Fit;
use super::resolve::{Choice, Fate, because};

/// Chooses for candidates, strongest first.
pub(super) fn choose<'a>(
    fit: &mut Fit<'_>,
    candidates: &[Candidate<'_>],
    named: Option<u32>,
) -> Choice<'a> {
    let names_key = names_key(fit, candidates);
    let joins = fit.graph.rules().trigger != Trigger::Key || names_key;
    let mut choice = Choice::new(named, candidates.len());
    for at in 0..candidates.len() {
        join_one(fit, candidates, &mut choice, at, joins);
    }
    finders::settle(fit, candidates, &mut choice, joins);
    if fit.graph.rules().conflict == Conflict::Refuse && has_conflict(&choice) {
        return alone(fit, candidates, named);
    }
    choice
}

fn names_key(fit: &Fit<'_>, candidates: &[Candidate<'_>]) -> bool {
    candidates.iter().any(|c| c.dropped.is_none() && *c.namespace == *fit.key)
}

fn join_one(
    fit: &mut Fit<'_>,
    candidates: &[Candidate<'_>],
    choice: &mut Choice<'_>,
    at: usize,
    joins: bool,
) {
    let candidate = &candidates[at];
    let collided = candidate.found.map(|found| fit.graph.profiles.bearer(found.root));
    if let Some(reason) = &candidate.dropped {
        let collided = collided.filter(|_| !choice.holds(fit.graph, candidate));
        choice.fates[at] = Some(Fate::Drop(Reason { collided, ..(**reason).clone() }));
        return;
    }
    let Some(found) = candidate.found else {
        return choice.take(fit, candidates, at, Fate::Attach);
    };
    if choice.holds(fit.graph, candidate) {
        choice.fates[at] = Some(Fate::Held);
        return;
    }
    if candidate.role != Role::Joins {
        return;
    }
    let joined = match choice.joined.is_empty() || joins {
        true => choice.join(fit, candidates, found.root),
        false => Err(because(Rule::HeldElsewhere)),
    };
    match joined {
        Ok(()) => choice.fates[at] = Some(Fate::Held),
        Err(reason) => keep_or_move(fit, candidates, choice, at, Reason { collided, ..reason }),
    }
}

fn keep_or_move(
    fit: &mut Fit<'_>,
    candidates: &[Candidate<'_>],
    choice: &mut Choice<'_>,
    at: usize,
    reason: Reason,
) {
    let found = candidates[at].found.expect("only what is attached can be kept or moved");
    let attached_time = fit.graph.identifiers.rows.row(found.id).attached_time();
    let moves = fit.graph.rules().conflict == Conflict::Transfer && fit.time >= attached_time;
    match moves {
        true => choice.take(fit, candidates, at, Fate::Transfer(found.root)),
        false => choice.fates[at] = Some(Fate::Refuse(reason)),
    }
}

fn has_conflict(choice: &Choice<'_>) -> bool {
    choice.fates.iter().any(|fate| matches!(fate, Some(Fate::Refuse(_))))
}

/// The event as its strongest identifier alone would have it; the others stay where they are.
fn alone<'a>(fit: &mut Fit<'_>, candidates: &[Candidate<'_>], named: Option<u32>) -> Choice<'a> {
    let mut choice = Choice::new(named, candidates.len());
    for at in 0..candidates.len() {
        let candidate = &candidates[at];
        let collided = candidate.found.map(|found| fit.graph.profiles.bearer(found.root));
        let has_profile = !choice.joined.is_empty() || choice.creates;
        choice.fates[at] = Some(match (&candidate.dropped, candidate.found) {
            (Some(reason), _) => Fate::Drop(Reason { collided, ..(**reason).clone() }),
            (None, Some(found)) if !has_profile => {
                choice.joined.push(found.root);
                Fate::Held
            }
            (None, None) if !has_profile => {
                choice.creates = true;
                Fate::Attach
            }
            _ if choice.holds(fit.graph, candidate) => Fate::Held,
            _ => Fate::Refuse(Reason { collided, ..because(Rule::HeldElsewhere) }),
        });
    }
    choice
}
