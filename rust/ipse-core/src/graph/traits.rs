//! Traits: what is said about a person, as each profile node holds it.
//!
//! A node keeps what was set while it was a root. A profile's traits are those of all its
//! nodes, the newest by event time; so merging copies nothing, and a part that is cut off
//! again has the traits it had.

use std::sync::Arc;

use crate::change::SequenceNumber;
use crate::event::TraitValue;
use crate::time::Timestamp;

use super::sharded::{Shard, Sharded};
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// One trait of one node. A removed trait stays, so that late news do not revive it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TraitRow {
    pub(crate) name: Box<str>,
    pub(crate) value: Option<TraitValue<'static>>,
    pub(crate) time: Timestamp,
    pub(crate) sequence: SequenceNumber,
}

impl TraitRow {
    /// Whether this row outranks another of the same name: newer by event time; at the same
    /// time, later in the log.
    pub(crate) fn outranks(&self, other: &TraitRow) -> bool {
        (self.time, self.sequence) > (other.time, other.sequence)
    }
}

/// The traits of all nodes, each node's sorted by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traits {
    by_node: Sharded<u32, Arc<Vec<TraitRow>>>,
}

impl Traits {
    /// The traits that a node itself holds.
    pub(crate) fn of_node(&self, node: u32) -> &[TraitRow] {
        self.by_node.get(&node).map_or(&[], |rows| rows)
    }

    /// Sets a trait of a node; gives the row it replaced.
    pub(crate) fn set(&mut self, node: u32, row: TraitRow) -> Option<TraitRow> {
        let Some(rows) = self.by_node.get_mut(&node) else {
            self.by_node.insert(node, Arc::new(vec![row]));
            return None;
        };
        // Copied only if a view still holds it.
        let rows = Arc::make_mut(rows);
        match rows.binary_search_by(|held| held.name.cmp(&row.name)) {
            Ok(at) => Some(std::mem::replace(&mut rows[at], row)),
            Err(at) => {
                rows.insert(at, row);
                None
            }
        }
    }

    /// Takes out all traits of a node.
    pub(crate) fn remove_of(&mut self, node: u32) -> Vec<TraitRow> {
        self.by_node.remove(&node).map_or_else(Vec::new, |rows| rows.to_vec())
    }

    /// The traits of all nodes, in lists that are given back one by one.
    pub(crate) fn into_shards(self) -> impl Iterator<Item = Vec<(u32, Arc<Vec<TraitRow>>)>> + Send {
        let entries = |shard: Arc<Shard<u32, Arc<Vec<TraitRow>>>>| {
            shard.iter().map(|(&node, rows)| (node, rows.clone())).collect()
        };
        self.by_node.into_shards().map(entries)
    }

    /// All nodes with traits, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &[TraitRow])> {
        self.by_node.iter().map(|(&node, rows)| (node, rows.as_slice()))
    }
}

/// What the state hash takes of a trait.
pub(crate) fn trait_hash(node: u32, row: &TraitRow) -> RecordHash {
    let hasher = RecordHasher::new(Kind::Trait)
        .number(u64::from(node))
        .text(row.name.as_bytes())
        .number(row.time.as_millis() as u64)
        .number(row.sequence.0);
    hash_value(hasher, row.value.as_ref()).finish()
}

/// Adds a trait's value, with its type, to a hash.
pub(crate) fn hash_value(hasher: RecordHasher, value: Option<&TraitValue<'_>>) -> RecordHasher {
    match value {
        None => hasher.number(0),
        Some(TraitValue::Text(text)) => hasher.number(1).text(text.as_bytes()),
        Some(TraitValue::Integer(number)) => hasher.number(2).number(*number as u64),
        Some(TraitValue::Number(number)) => hasher.number(3).number(number.to_bits()),
        Some(TraitValue::Bool(value)) => hasher.number(4).number(u64::from(*value)),
        Some(TraitValue::Json(text)) => hasher.number(5).text(text.as_bytes()),
    }
}
