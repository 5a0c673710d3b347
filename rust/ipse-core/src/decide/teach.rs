//! What an event teaches. One that teaches nothing writes nothing.
//!
//! It teaches when it creates, attaches or merges; when it shows two identifiers together for
//! the first time; when it changes a trait; and when a rule drops or refuses an identifier
//! for the first time. The recency of a trait that keeps its value is kept to the day.

use crate::change::{Target, TraitSet};
use crate::event::{Event, SentTrait};
use crate::graph::Graph;
use crate::graph::remembered::RefusalHash;
use crate::graph::traits::TraitRow;
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
    let traits = changed_traits(graph, event, resolved, time)?;
    let moves = matches!(resolved.target, Target::Created(_) | Target::Merged { .. });
    let teaches = moves
        || resolved.attaches
        || !traits.is_empty()
        || resolved.links
        || shows_new_refusal(graph, resolved);
    Ok(Lesson { teaches, traits })
}

fn shows_new_refusal(graph: &Graph, resolved: &Resolved<'_>) -> bool {
    RefusalHash::of_event(&resolved.target, &resolved.identifiers)
        .any(|refusal| !graph.remembered_refusals.contains(refusal))
}

/// The traits that the event changes. An event that is nobody's changes none.
fn changed_traits<'a>(
    graph: &Graph,
    event: &'a Event<'a>,
    resolved: &Resolved<'_>,
    time: Timestamp,
) -> Result<Vec<TraitSet<'a>>, Refusal> {
    if event.traits.is_empty() || resolved.target == Target::Unresolved {
        return Ok(Vec::new());
    }
    let nodes = target_nodes(graph, resolved);
    let mut changed: Vec<TraitSet<'a>> = event
        .traits
        .iter()
        .filter(|sent| changes(graph.strongest_trait(&nodes, &sent.name), sent, time))
        .map(|sent| TraitSet { name: Cow::Borrowed(&sent.name), value: sent.value.clone() })
        .collect();
    changed.sort_by(|a, b| a.name.cmp(&b.name));
    check_room(graph, &nodes, &changed)?;
    Ok(changed)
}

/// The nodes of all profiles that are the target's after the event.
fn target_nodes(graph: &Graph, resolved: &Resolved<'_>) -> Vec<u32> {
    let roots = resolved.target.profile().into_iter().chain(resolved.target.absorbed().to_vec());
    let root = |profile| graph.profiles.node(profile).map(|node| graph.profiles.root(node));
    roots.filter_map(root).flat_map(|root| graph.profiles.tree(root)).collect()
}

/// A removal counts where nothing is held, too: news from before it may still come.
fn changes(held: Option<&TraitRow>, sent: &SentTrait<'_>, time: Timestamp) -> bool {
    let Some(held) = held else {
        return true;
    };
    if time < held.time {
        return false;
    }
    let day = |time: Timestamp| time.as_millis().div_euclid(DAY_MS);
    held.value != sent.value || day(time) > day(held.time)
}

/// Refuses an event that would give a profile more traits than it may have; one that only
/// changes traits that are there is never refused.
fn check_room(graph: &Graph, nodes: &[u32], changed: &[TraitSet<'_>]) -> Result<(), Refusal> {
    let is_new = |set: &&TraitSet<'_>| graph.strongest_trait(nodes, &set.name).is_none();
    let new = changed.iter().filter(is_new).count();
    if new == 0 {
        return Ok(());
    }
    let rows = nodes.iter().flat_map(|&node| graph.traits.of_node(node));
    let mut names: Vec<&str> = rows.map(|row| &*row.name).collect();
    names.sort_unstable();
    names.dedup();
    let found = names.len() + new;
    if found <= PROFILE_TRAITS_MAX {
        return Ok(());
    }
    Err(Refusal::LimitExceeded {
        field: "event.traits".to_owned(),
        what: "traits of the profile",
        bound: PROFILE_TRAITS_MAX,
        found,
    })
}
