//! Attributions of history: ranges of time whose events are another profile's.
//!
//! Each hangs on the node of its source and on that of its destination, so that it stays
//! with both through every merge.

use std::sync::Arc;

use crate::change::{ProfileNumber, SequenceNumber};
use crate::time::Timestamp;
use crate::union_find::Node;

use super::memory::lists_bytes;
use super::sharded::Sharded;
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// A range of time whose history went from one profile to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributionView {
    /// Whose history it was; may be absorbed by now.
    pub source: ProfileNumber,
    /// Whose it is; may be absorbed by now.
    pub destination: ProfileNumber,
    /// First moment of the range.
    pub start: Timestamp,
    /// Last moment of the range.
    pub end: Timestamp,
    /// The record that said so.
    pub sequence: SequenceNumber,
}

/// The attributions of all nodes, each node's in order of their records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributions {
    by_node: Sharded<Node, Arc<Vec<AttributionView>>>,
}

impl Attributions {
    /// About what the table takes in memory: most have a few.
    pub(crate) fn bytes(&self) -> u64 {
        self.by_node.bytes() + lists_bytes::<AttributionView>(self.by_node.len(), 0)
    }

    /// Those in which a node is source or destination, in order of their records.
    pub(crate) fn of_node(&self, node: Node) -> &[AttributionView] {
        self.by_node.get(&node).map_or(&[], |attributions| attributions)
    }

    /// Adds one that is not there. Source and destination are different.
    pub(crate) fn add(&mut self, attribution: AttributionView) {
        for profile in [attribution.source, attribution.destination] {
            let list = Arc::make_mut(self.by_node.entry(profile.0 - 1));
            let at = list.partition_point(|held| held.sequence <= attribution.sequence);
            list.insert(at, attribution);
        }
    }

    /// Takes out those in which a node is source or destination, at both ends.
    pub(crate) fn remove_of(&mut self, node: Node) -> Vec<AttributionView> {
        let Some(gone) = self.by_node.remove(&node) else { return Vec::new() };
        for attribution in gone.iter() {
            for end in [attribution.source.0 - 1, attribution.destination.0 - 1] {
                self.remove_end(end, attribution);
            }
        }
        gone.to_vec()
    }

    fn remove_end(&mut self, node: Node, attribution: &AttributionView) {
        let Some(list) = self.by_node.get_mut(&node) else { return };
        let list = Arc::make_mut(list);
        list.retain(|held| held != attribution);
        if list.is_empty() {
            self.by_node.remove(&node);
        }
    }

    /// Each once, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &AttributionView> {
        self.by_node.iter().flat_map(|(&node, list)| {
            list.iter().filter(move |attribution| attribution.source.0 == node + 1)
        })
    }

    /// How many ends they have: two each.
    pub(crate) fn ends(&self) -> usize {
        self.by_node.iter().map(|(_, list)| list.len()).sum()
    }

    /// Each once, in lists that are given back one by one.
    pub(crate) fn into_shards(self) -> impl Iterator<Item = Vec<AttributionView>> + Send {
        self.by_node.into_shards().map(|shard| {
            let own = shard.iter().flat_map(|(&node, list)| {
                list.iter().filter(move |attribution| attribution.source.0 == node + 1)
            });
            own.copied().collect()
        })
    }
}

/// What the state hash takes of an attribution.
pub(crate) fn attribution_hash(attribution: &AttributionView) -> RecordHash {
    RecordHasher::new(Kind::Attribution)
        .number(u64::from(attribution.source.0))
        .number(u64::from(attribution.destination.0))
        .number(attribution.start.as_millis() as u64)
        .number(attribution.end.as_millis() as u64)
        .number(attribution.sequence.0)
        .finish()
}
