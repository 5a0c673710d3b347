//! Departures: the newest record that changed a profile node and left no other trace on it.
//!
//! What is attached carries the record that attached it; what left a node, and that a node
//! was marked known, does not. Without this, such a change of a profile could not be found.

use crate::change::SequenceNumber;
use crate::union_find::Node;

use super::sharded::Sharded;
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// The departures of all nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Departures {
    by_node: Sharded<Node, u64>,
}

impl Departures {
    /// What the table takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.by_node.bytes()
    }

    /// The newest one of a node.
    pub(crate) fn of(&self, node: Node) -> Option<SequenceNumber> {
        self.by_node.get(&node).copied().map(SequenceNumber)
    }

    /// Notes the newest one of a node; gives the one before.
    pub(crate) fn set(&mut self, node: Node, sequence: SequenceNumber) -> Option<SequenceNumber> {
        self.by_node.insert(node, sequence.0).map(SequenceNumber)
    }

    /// Forgets that of a node; gives it.
    pub(crate) fn remove(&mut self, node: Node) -> Option<SequenceNumber> {
        self.by_node.remove(&node).map(SequenceNumber)
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Node, SequenceNumber)> {
        self.by_node.iter().map(|(&node, &sequence)| (node, SequenceNumber(sequence)))
    }

    /// All of them, in lists that are given back one by one.
    pub(crate) fn into_shards(self) -> impl Iterator<Item = Vec<(Node, SequenceNumber)>> + Send {
        self.by_node.into_shards().map(|shard| {
            shard.iter().map(|(&node, &sequence)| (node, SequenceNumber(sequence))).collect()
        })
    }
}

/// What the state hash takes of a departure.
pub(crate) fn departure_hash(node: Node, sequence: SequenceNumber) -> RecordHash {
    RecordHasher::new(Kind::Departure).number(u64::from(node)).number(sequence.0).finish()
}
