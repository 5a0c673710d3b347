//! Further holders: profile nodes that hold an identifier beside the node in its own row.
//!
//! Only identifiers of shared namespaces have any. Both directions are kept, so that an
//! identifier finds its profiles and a profile its identifiers. The first holder lies in the
//! identifier's row; when it goes, the oldest further one takes its place.

use std::sync::Arc;

use crate::change::SequenceNumber;
use crate::time::Timestamp;
use crate::union_find::Node;

use super::identifiers::IdentifierId;
use super::memory::lists_bytes;
use super::sharded::Sharded;
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// A node that holds an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) node: Node,
    /// The record that attached it.
    pub(crate) sequence: SequenceNumber,
    /// Event time of the attachment.
    pub(crate) time: Timestamp,
}

impl Holder {
    /// What the holders of an identifier are ordered by.
    pub(crate) fn place(&self) -> (SequenceNumber, Node) {
        (self.sequence, self.node)
    }
}

/// The further holders of all identifiers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holders {
    /// In order of attachment: of sequence numbers, and of nodes where one record moved the
    /// identifier to several.
    by_identifier: Sharded<u32, Arc<Vec<Holder>>>,
    /// By number.
    by_node: Sharded<Node, Arc<Vec<IdentifierId>>>,
    len: usize,
}

impl Holders {
    /// About what the tables take in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let (identifiers, nodes) = (&self.by_identifier, &self.by_node);
        identifiers.bytes()
            + nodes.bytes()
            + lists_bytes::<Holder>(identifiers.len(), self.len)
            + lists_bytes::<IdentifierId>(nodes.len(), self.len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_identifier.is_empty()
    }

    /// The further holders of an identifier, in order of attachment.
    pub(crate) fn of(&self, id: IdentifierId) -> &[Holder] {
        self.by_identifier.get(&id.0).map_or(&[], |holders| holders)
    }

    /// The identifiers that a node holds as a further holder, by number.
    pub(crate) fn of_node(&self, node: Node) -> &[IdentifierId] {
        self.by_node.get(&node).map_or(&[], |ids| ids)
    }

    /// Adds a holder that is not there.
    pub(crate) fn add(&mut self, id: IdentifierId, holder: Holder) {
        let holders = Arc::make_mut(self.by_identifier.entry(id.0));
        let at = holders.partition_point(|held| held.place() < holder.place());
        holders.insert(at, holder);
        let ids = Arc::make_mut(self.by_node.entry(holder.node));
        let at = ids.partition_point(|&held| held < id);
        ids.insert(at, id);
        self.len += 1;
    }

    /// Takes the holders out for which `leaves` holds.
    pub(crate) fn remove(
        &mut self,
        id: IdentifierId,
        leaves: impl Fn(&Holder) -> bool,
    ) -> Vec<Holder> {
        if !self.of(id).iter().any(&leaves) {
            return Vec::new();
        }
        let holders = Arc::make_mut(self.by_identifier.entry(id.0));
        let (gone, stay): (Vec<Holder>, Vec<Holder>) = holders.drain(..).partition(leaves);
        *holders = stay;
        if holders.is_empty() {
            self.by_identifier.remove(&id.0);
        }
        self.len -= gone.len();
        gone.iter().for_each(|holder| self.forget_node(holder.node, id));
        gone
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (IdentifierId, Holder)> {
        let rows = |(&id, holders): (&u32, &'_ Arc<Vec<Holder>>)| {
            let holders = holders.to_vec();
            holders.into_iter().map(move |holder| (IdentifierId(id), holder))
        };
        self.by_identifier.iter().flat_map(rows)
    }

    /// All nodes that are further holders, with what they hold, in no order.
    pub(crate) fn iter_nodes(&self) -> impl Iterator<Item = (Node, &[IdentifierId])> {
        self.by_node.iter().map(|(&node, ids)| (node, ids.as_slice()))
    }

    /// All of them, in lists that are given back one by one.
    pub(crate) fn into_shards(self) -> impl Iterator<Item = Vec<(IdentifierId, Holder)>> + Send {
        self.by_identifier.into_shards().map(|shard| {
            let rows = shard.iter().flat_map(|(&id, holders)| {
                holders.iter().map(move |&holder| (IdentifierId(id), holder))
            });
            rows.collect()
        })
    }

    fn forget_node(&mut self, node: Node, id: IdentifierId) {
        let ids = Arc::make_mut(self.by_node.entry(node));
        ids.retain(|&held| held != id);
        if ids.is_empty() {
            self.by_node.remove(&node);
        }
    }
}

/// What the state hash takes of a further holder.
pub(crate) fn holder_hash(id: IdentifierId, holder: &Holder) -> RecordHash {
    RecordHasher::new(Kind::Holder)
        .number(u64::from(id.0))
        .number(u64::from(holder.node))
        .number(holder.sequence.0)
        .number(holder.time.as_millis() as u64)
        .finish()
}
