//! What an event teaches. One that teaches nothing writes nothing.
//!
//! It teaches when it creates, attaches or merges; when it shows two identifiers together for
//! the first time; when it changes a trait; and when a rule drops or refuses an identifier
//! for the first time. The recency of a trait that keeps its value is kept to the day.

use crate::change::{Extra, Target, TraitSet};
use crate::command::ImportProfile;
use crate::event::{Event, SentTrait};
use crate::graph::Graph;
use crate::graph::remembered::RefusalHash;
use crate::graph::survivorship::{Folded, FoldedTraits};
use crate::limits::PROFILE_TRAITS_MAX;
use crate::time::{DAY_MS, Timestamp};

use super::Refusal;
use super::resolve::Resolved;
use std::borrow::Cow;

/// What an event teaches.
pub(super) struct Lesson<'a> {
    /// Whether it teaches anything.
    pub(super) teaches: bool,
    /// The traits that it changes, by name.
    pub(super) traits: Vec<TraitSet<'a>>,
}

/// Finds out what an event teaches, once its identifiers have their verdicts.
pub(super) fn lesson<'a>(
    graph: &Graph,
    event: &'a Event<'a>,
    resolved: &Resolved<'a>,
    time: Timestamp,
) -> Result<Lesson<'a>, Refusal> {
    let traits = changed_traits(graph, &event.traits, resolved, time)?;
    let teaches = !traits.is_empty() || changes_graph(graph, resolved);
    Ok(Lesson { teaches, traits })
}

/// The traits that an imported profile changes, by name, and when each was set.
pub(super) fn imported_traits<'a>(
    graph: &Graph,
    command: &'a ImportProfile<'a>,
    resolved: &Resolved<'_>,
    created_time: Timestamp,
) -> Result<(Vec<TraitSet<'a>>, Vec<Timestamp>), Refusal> {
    let mut changed: Vec<(TraitSet<'a>, Timestamp)> = Vec::new();
    for imported in &command.traits {
        let time = imported.time.unwrap_or(created_time);
        let sent = std::slice::from_ref(&imported.sent);
        let traits = changed_traits(graph, sent, resolved, time)?;
        changed.extend(traits.into_iter().map(|set| (set, time)));
    }
    changed.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    let (traits, times): (Vec<TraitSet<'a>>, Vec<Timestamp>) = changed.into_iter().unzip();
    let held = graph.folded_traits(graph.target_roots(&resolved.target));
    check_room(&held, &traits).map_err(|refusal| refusal.at_field("traits"))?;
    Ok((traits, times))
}

/// Whether anything but a trait changes, or is refused for the first time.
pub(super) fn changes_graph(graph: &Graph, resolved: &Resolved<'_>) -> bool {
    let moves = matches!(resolved.target, Target::Created(_) | Target::Merged { .. });
    let changes = |extra: &Extra<'_>| {
        extra.marks_known
            || !extra.moves.is_empty()
            || !extra.displaced.is_empty()
            || extra.attribution.as_ref().is_some_and(|told| told.refused.is_none())
    };
    moves
        || resolved.attaches
        || resolved.links
        || resolved.extra.as_deref().is_some_and(changes)
        || shows_new_refusal(graph, resolved)
}

fn shows_new_refusal(graph: &Graph, resolved: &Resolved<'_>) -> bool {
    RefusalHash::of_event(&resolved.target, &resolved.identifiers)
        .any(|refusal| !graph.remembered_refusals.contains(refusal))
}

/// The traits that the event changes. An event that is nobody's changes none.
fn changed_traits<'a>(
    graph: &Graph,
    sent: &'a [SentTrait<'a>],
    resolved: &Resolved<'_>,
    time: Timestamp,
) -> Result<Vec<TraitSet<'a>>, Refusal> {
    if sent.is_empty() || resolved.target == Target::Unresolved {
        return Ok(Vec::new());
    }
    let held = graph.folded_traits(graph.target_roots(&resolved.target));
    let mut changed: Vec<TraitSet<'a>> = sent
        .iter()
        .filter(|sent| changes(held.get(&sent.name), sent, time))
        .map(|sent| TraitSet { name: Cow::Borrowed(&sent.name), value: sent.value.clone() })
        .collect();
    changed.sort_by(|a, b| a.name.cmp(&b.name));
    check_room(&held, &changed)?;
    Ok(changed)
}

/// A removal counts where nothing is held, too: news from before it may still come.
fn changes(held: Option<Folded<'_>>, sent: &SentTrait<'_>, time: Timestamp) -> bool {
    let Some(held) = held else {
        return true;
    };
    if time < held.time || sent.set_once && held.value.is_some() {
        return false;
    }
    let day = |time: Timestamp| time.as_millis().div_euclid(DAY_MS);
    held.value.as_deref() != sent.value.as_ref() || day(time) > day(held.time)
}

/// Refuses an event that would give a profile more traits than it may have; one that only
/// changes traits that are there is never refused.
fn check_room(held: &FoldedTraits<'_>, changed: &[TraitSet<'_>]) -> Result<(), Refusal> {
    if changed.is_empty() {
        return Ok(());
    }
    let names = held.names();
    let is_new = |set: &&TraitSet<'_>| names.binary_search(&&*set.name).is_err();
    let new = changed.iter().filter(is_new).count();
    let found = names.len() + new;
    if new == 0 || found <= PROFILE_TRAITS_MAX {
        return Ok(());
    }
    Err(Refusal::LimitExceeded {
        field: "event.traits".to_owned(),
        what: "traits of the profile",
        bound: PROFILE_TRAITS_MAX,
        found,
    })
}
