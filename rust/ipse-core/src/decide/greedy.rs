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
    let mut choice = Choice::new(fit.graph, named, candidates);
    for at in 0..candidates.len() {
        let is_key = *candidates[at].namespace == *fit.key;
        let joins = is_key || joins(fit, candidates, &choice);
        join_one(fit, candidates, &mut choice, at, joins);
    }
    let may_move = joins(fit, candidates, &choice);
    finders::settle(fit, candidates, &mut choice, may_move);
    match first_conflict(candidates, &choice) {
        Some(reason) if fit.graph.rules().conflict == Conflict::Refuse => {
            alone(fit, candidates, named, &reason)
        }
        _ => choice,
    }
}

/// Whether the event may join profiles and move identifiers: where a key is asked for, once
/// that is on the event's profile. Keys are the strongest and come first.
fn joins(fit: &Fit<'_>, candidates: &[Candidate<'_>], choice: &Choice<'_>) -> bool {
    let is_kept = |fate: &Option<Fate>| matches!(fate, Some(Fate::Attach | Fate::Held));
    let keys = candidates.iter().zip(&choice.fates).filter(|(c, _)| *c.namespace == *fit.key);
    fit.graph.rules().trigger != Trigger::Key || keys.into_iter().any(|(_, fate)| is_kept(fate))
}

fn join_one(
    fit: &mut Fit<'_>,
    candidates: &[Candidate<'_>],
    choice: &mut Choice<'_>,
    at: usize,
    joins: bool,
) {
    let candidate = &candidates[at];
    let collided = candidate.holder(fit.graph);
    if choice.fates[at].is_some() {
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

/// The first reason that kept an identifier from being joined.
fn first_conflict(candidates: &[Candidate<'_>], choice: &Choice<'_>) -> Option<Reason> {
    let joining = candidates.iter().zip(&choice.fates).filter(|(c, _)| c.role == Role::Joins);
    joining.into_iter().find_map(|(_, fate)| match fate {
        Some(Fate::Refuse(reason)) => Some(reason.clone()),
        _ => None,
    })
}

/// The event as its strongest identifier alone would have it; the others stay where they are,
/// because of the conflict.
fn alone<'a>(
    fit: &mut Fit<'_>,
    candidates: &[Candidate<'_>],
    named: Option<u32>,
    conflict: &Reason,
) -> Choice<'a> {
    let mut choice = Choice::new(fit.graph, named, candidates);
    for (at, candidate) in candidates.iter().enumerate() {
        if choice.fates[at].is_some() {
            continue;
        }
        let collided = candidate.holder(fit.graph);
        let has_profile = !choice.joined.is_empty() || choice.creates;
        choice.fates[at] = Some(match candidate.found {
            Some(found) if !has_profile => {
                choice.joined.push(found.root);
                Fate::Held
            }
            None if !has_profile => {
                choice.creates = true;
                Fate::Attach
            }
            _ if choice.holds(fit.graph, candidate) => Fate::Held,
            _ => Fate::Refuse(Reason { collided, ..conflict.clone() }),
        });
    }
    choice
}
