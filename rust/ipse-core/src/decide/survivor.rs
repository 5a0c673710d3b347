//! Whose id a merge keeps.

use crate::change::{ProfileNumber, Target};
use crate::graph::Graph;
use crate::rules::Survivor;
use crate::time::Timestamp;

/// What profiles come to that become one; the target's root is the first.
pub(super) fn target(graph: &Graph, joined: &[u32], creates: bool) -> Target {
    match joined {
        [] if creates => Target::Created(ProfileNumber(graph.profiles.len() + 1)),
        [] => Target::Unresolved,
        [root] => Target::Found(graph.profiles.bearer(*root)),
        _ => {
            let survivor = graph.profiles.bearer(root(graph, joined));
            let bearers = joined.iter().map(|&root| graph.profiles.bearer(root));
            let mut absorbed: Vec<ProfileNumber> = bearers.filter(|&b| b != survivor).collect();
            absorbed.sort_unstable_by_key(|&profile| age(graph, profile));
            Target::Merged { survivor, absorbed }
        }
    }
}

/// The same where the caller gave the order: absorbed profiles stay in that.
pub(super) fn ordered_target(graph: &Graph, joined: &[u32]) -> Target {
    match target(graph, joined, true) {
        Target::Merged { survivor, .. } => {
            let bearers = joined.iter().map(|&root| graph.profiles.bearer(root));
            Target::Merged { survivor, absorbed: bearers.filter(|&b| b != survivor).collect() }
        }
        target => target,
    }
}

/// The root of the profile whose id is kept, of at least one.
pub(super) fn root(graph: &Graph, joined: &[u32]) -> u32 {
    let age = |root: &u32| age(graph, graph.profiles.bearer(*root));
    let chosen = match graph.rules().survivor {
        Survivor::Target => joined.first(),
        Survivor::Oldest => joined.iter().min_by_key(|root| age(root)),
        Survivor::StrongestIdentifier => {
            joined.iter().min_by_key(|root| (strongest(graph, **root), age(root)))
        }
    };
    *chosen.expect("a merge has profiles")
}

/// Profiles are as old as they were created; imported ones say when that was.
fn age(graph: &Graph, profile: ProfileNumber) -> (Timestamp, ProfileNumber) {
    let node = graph.profiles.node(profile).expect("a bearer was created");
    (graph.profiles.created(node).1, profile)
}

/// The priority of the strongest identifier that a profile holds.
fn strongest(graph: &Graph, root: u32) -> u32 {
    let ids = graph.identifiers_of_profile(root).into_iter();
    ids.map(|id| graph.strength_of(id)).min().unwrap_or(u32::MAX)
}
