//! Partings: which identifiers someone said to be of different people.
//!
//! A parting has sides, and every identifier that was on its profiles is on one of them. Sides
//! hang on identifiers, so that they go where those go: into the profiles that survive, and
//! through any policy. Two identifiers on different sides of one parting are never on one
//! profile, until someone says that they are one person after all: then their sides become one.

use std::sync::Arc;

use crate::change::SequenceNumber;
use crate::limits::PARTINGS_MAX;

use super::Graph;
use super::identifiers::IdentifierId;
use super::memory::lists_bytes;
use super::sharded::Sharded;
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// A side of a parting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Side {
    /// The record that parted them.
    pub(crate) by: SequenceNumber,
    /// Which of its sides: 0 is what stayed.
    pub(crate) side: u32,
}

/// The sides of all identifiers that have one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Partings {
    /// Each identifier's, by record: one of each.
    sides: Sharded<u32, Arc<Vec<Side>>>,
}

impl Partings {
    /// About what the table takes in memory: most have a few.
    pub(crate) fn bytes(&self) -> u64 {
        self.sides.bytes() + lists_bytes::<Side>(self.sides.len(), 0)
    }

    /// Whether nothing was ever parted.
    pub(crate) fn is_empty(&self) -> bool {
        self.sides.is_empty()
    }

    /// The sides that an identifier is on, by record.
    pub(crate) fn of(&self, id: IdentifierId) -> &[Side] {
        self.sides.get(&id.0).map_or(&[], |sides| sides)
    }

    /// Puts an identifier on a side; gives what that replaced: its side of the same parting
    /// before, or of the oldest, if there are too many.
    pub(crate) fn set(&mut self, id: IdentifierId, side: Side) -> Option<Side> {
        let sides = Arc::make_mut(self.sides.entry(id.0));
        match sides.binary_search_by_key(&side.by, |held| held.by) {
            Ok(at) => Some(std::mem::replace(&mut sides[at], side)),
            Err(at) => {
                sides.insert(at, side);
                (sides.len() > PARTINGS_MAX).then(|| sides.remove(0))
            }
        }
    }

    /// Takes an identifier off all its sides; gives them.
    pub(crate) fn remove_of(&mut self, id: IdentifierId) -> Vec<Side> {
        self.sides.remove(&id.0).map_or_else(Vec::new, |sides| sides.to_vec())
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (IdentifierId, Side)> {
        let each = |(&id, sides): (&u32, &'_ Arc<Vec<Side>>)| {
            (0..sides.len()).map(move |at| (IdentifierId(id), at))
        };
        self.sides.iter().flat_map(each).map(|(id, at)| (id, self.of(id)[at]))
    }

    /// All of them, in lists that are given back one by one.
    pub(crate) fn into_shards(self) -> impl Iterator<Item = Vec<(IdentifierId, Side)>> + Send {
        self.sides.into_shards().map(|shard| {
            let each = |(&id, sides): (&u32, &'_ Arc<Vec<Side>>)| {
                let sides = sides.clone();
                (0..sides.len()).map(move |at| (IdentifierId(id), sides[at]))
            };
            shard.iter().flat_map(each).collect()
        })
    }
}

/// The sides that some identifiers are on together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sides(Vec<Side>);

impl Sides {
    /// Those of one identifier. One that several profiles may hold keeps nobody apart.
    pub(crate) fn of(graph: &Graph, id: IdentifierId) -> Sides {
        let row = graph.identifiers.rows.row(id);
        let rules = graph.namespaces().rules_of(row.namespace);
        let is_shared = row.has_further_holders() || rules.is_some_and(|rules| rules.shared);
        Sides(if is_shared { Vec::new() } else { graph.partings.of(id).to_vec() })
    }

    /// Those of all that the profile with this root holds.
    pub(crate) fn of_profile(graph: &Graph, root: u32) -> Sides {
        let mut sides = Sides::default();
        for id in graph.identifiers_of_profile(root) {
            if !graph.partings.of(id).is_empty() {
                sides.0.extend(Sides::of(graph, id).0);
            }
        }
        sides.0.sort_unstable();
        sides.0.dedup();
        sides
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Side> {
        self.0.iter()
    }

    /// Whether something here and something there are on different sides of one parting.
    pub(crate) fn meet(&self, other: &Sides) -> bool {
        self.0.iter().any(|a| other.0.iter().any(|b| a.by == b.by && a.side != b.side))
    }

    /// Takes others in.
    pub(crate) fn extend(&mut self, other: &Sides) {
        if !other.is_empty() {
            self.0.extend_from_slice(&other.0);
            self.0.sort_unstable();
            self.0.dedup();
        }
    }

    /// The sides that are several here, each with the one that they become when they are said
    /// to be one.
    pub(crate) fn reunited(&self) -> Vec<(Side, Side)> {
        let pairs = self.0.iter().map(|side| {
            let first = self.0.iter().find(|first| first.by == side.by);
            (*side, *first.expect("it is there itself"))
        });
        pairs.filter(|(side, first)| side != first).collect()
    }

    /// Puts what is on one side on another.
    pub(crate) fn rename(&mut self, pairs: &[(Side, Side)]) {
        for side in &mut self.0 {
            if let Some((_, to)) = pairs.iter().find(|(from, _)| from == side) {
                *side = *to;
            }
        }
        self.0.sort_unstable();
        self.0.dedup();
    }
}

/// What the state hash takes of a side.
pub(crate) fn parting_hash(id: IdentifierId, side: Side) -> RecordHash {
    RecordHasher::new(Kind::Parting)
        .number(u64::from(id.0))
        .number(side.by.0)
        .number(u64::from(side.side))
        .finish()
}
