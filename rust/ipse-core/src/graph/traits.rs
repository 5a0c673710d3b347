//! Traits: what is said about a person, as each profile node holds it.
//!
//! A node keeps what was set while it was a root. A profile's traits are those of all its
//! nodes, the newest by event time; so merging copies nothing, and a part that is cut off
//! again has the traits it had. For that, a row from before a merge stays below the one that
//! replaces it after.

use std::sync::Arc;

use crate::change::SequenceNumber;
use crate::event::TraitValue;
use crate::time::Timestamp;

use super::memory::{PIECE_BYTES, lists_bytes};
use super::sharded::{Shard, Sharded};
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// One trait of one node. A removed trait stays, so that late news do not revive it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TraitRow {
    pub(crate) name: Box<str>,
    pub(crate) value: Option<TraitValue<'static>>,
    pub(crate) time: Timestamp,
    pub(crate) sequence: SequenceNumber,
    /// The strongest identifier of the event that set it, counted from 1; 0 if it kept none.
    /// Where a merge is undone the trait goes where that goes.
    pub(crate) by: u32,
}

impl TraitRow {
    /// What its texts take, each in a piece of its own.
    fn text_bytes(&self) -> u64 {
        let value = self.value.as_ref().map_or(0, text_bytes);
        self.name.len() as u64 + PIECE_BYTES + value
    }

    /// Whether this row outranks another of the same name: newer by event time; at the same
    /// time, later in the log.
    pub(crate) fn outranks(&self, other: &TraitRow) -> bool {
        (self.time, self.sequence) > (other.time, other.sequence)
    }
}

/// What the text of a value takes; 0 if it has none.
pub(crate) fn text_bytes(value: &TraitValue<'_>) -> u64 {
    match value {
        TraitValue::Text(text) | TraitValue::Json(text) => text.len() as u64 + PIECE_BYTES,
        TraitValue::Integer(_) | TraitValue::Number(_) | TraitValue::Bool(_) => 0,
    }
}

/// The traits of all nodes, each node's sorted by name and record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traits {
    by_node: Sharded<u32, Arc<Vec<TraitRow>>>,
    rows: usize,
    text_bytes: u64,
}

impl Traits {
    /// About what the table takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let rows = lists_bytes::<TraitRow>(self.by_node.len(), self.rows);
        self.by_node.bytes() + rows + self.text_bytes
    }

    /// The traits that a node itself holds, the rows of one name by record.
    pub(crate) fn of_node(&self, node: u32) -> &[TraitRow] {
        self.by_node.get(&node).map_or(&[], |rows| rows)
    }

    /// How many traits a node itself holds.
    pub(crate) fn names_of(&self, node: u32) -> usize {
        self.of_node(node).chunk_by(|a, b| a.name == b.name).count()
    }

    /// The newest row of a trait that a node itself holds.
    pub(crate) fn newest_of(&self, node: u32, name: &str) -> Option<&TraitRow> {
        let rows = self.of_node(node);
        let end = rows.partition_point(|row| *row.name <= *name);
        rows[..end].last().filter(|row| *row.name == *name)
    }

    /// Sets a trait of a node by a newer record than all that it has; gives the row it replaced.
    /// One that was set before the record `kept` stays.
    pub(crate) fn set(
        &mut self,
        node: u32,
        row: TraitRow,
        kept: Option<SequenceNumber>,
    ) -> Option<TraitRow> {
        self.rows += 1;
        self.text_bytes += row.text_bytes();
        let Some(rows) = self.by_node.get_mut(&node) else {
            self.by_node.insert(node, Arc::new(vec![row]));
            return None;
        };
        // Copied only if a view still holds it.
        let rows = Arc::make_mut(rows);
        let end = rows.partition_point(|held| held.name <= row.name);
        let replaces = |held: &TraitRow| {
            held.name == row.name && kept.is_none_or(|kept| held.sequence >= kept)
        };
        match end.checked_sub(1).filter(|&at| replaces(&rows[at])) {
            Some(at) => {
                self.rows -= 1;
                self.text_bytes -= rows[at].text_bytes();
                Some(std::mem::replace(&mut rows[at], row))
            }
            None => {
                rows.insert(end, row);
                None
            }
        }
    }

    /// Takes out the traits of a node that were set by a record or after it.
    pub(crate) fn remove_since(&mut self, node: u32, record: SequenceNumber) -> Vec<TraitRow> {
        let (later, kept): (Vec<_>, Vec<_>) =
            self.remove_of(node).into_iter().partition(|row| row.sequence >= record);
        self.rows += kept.len();
        self.text_bytes += kept.iter().map(TraitRow::text_bytes).sum::<u64>();
        if !kept.is_empty() {
            self.by_node.insert(node, Arc::new(kept));
        }
        later
    }

    /// Takes out all traits of a node.
    pub(crate) fn remove_of(&mut self, node: u32) -> Vec<TraitRow> {
        let Some(rows) = self.by_node.remove(&node) else { return Vec::new() };
        self.rows -= rows.len();
        self.text_bytes -= rows.iter().map(TraitRow::text_bytes).sum::<u64>();
        rows.to_vec()
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
        .numbers(u64::from(row.by), row.sequence.0);
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
