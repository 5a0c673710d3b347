//! The table of profile nodes: a node for each profile ever created, joined by union-find.
//!
//! A profile is a tree of nodes. What it holds hangs on the nodes: each node has a list of
//! the identifiers that were attached to it, and a list of the nodes joined below it, so
//! that reading a profile is walking its tree.

use crate::change::{ProfileNumber, SequenceNumber};
use crate::time::Timestamp;
use crate::union_find::{Node, Union, UnionFind};

use super::chunked::{Chunked, Packed48, PackedTime};
use super::identifiers::IdentifierId;
use super::state_hash::{Kind, RecordHash, RecordHasher};

#[derive(Clone, Debug, Default)]
struct ProfileRow {
    /// The profile whose id this root bears; what it bore last, once it is no root.
    bearer: u32,
    /// Identifiers in the subtree.
    identifiers: u32,
    /// The newest identifier attached to this node, counted from 1; 0 for none.
    first_identifier: u32,
    /// The newest child, counted from 1; 0 for none.
    first_child: u32,
    /// The next older child of the same parent, counted from 1; 0 for none.
    next_sibling: u32,
    created_sequence: Packed48,
    created_time: PackedTime,
    /// Whether the subtree holds an identifier of a login namespace.
    known: bool,
}

/// The table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profiles {
    forest: UnionFind,
    rows: Chunked<ProfileRow>,
    absorbed: u32,
}

impl Profiles {
    /// How many profiles were ever created.
    pub(crate) fn len(&self) -> u32 {
        self.rows.len()
    }

    /// How many of them were merged away.
    pub(crate) fn absorbed(&self) -> u32 {
        self.absorbed
    }

    /// The node of a profile, if it was created.
    pub(crate) fn node(&self, profile: ProfileNumber) -> Option<Node> {
        let node = profile.0.checked_sub(1)?;
        (node < self.len()).then_some(node)
    }

    /// The root of the profile that `node` belongs to now.
    pub(crate) fn root(&self, node: Node) -> Node {
        self.forest.find(node)
    }

    /// Whose id the profile with this root bears.
    pub(crate) fn bearer(&self, root: Node) -> ProfileNumber {
        ProfileNumber(self.rows.get(root).bearer)
    }

    /// How many merges made the profile with this root.
    pub(crate) fn merges(&self, root: Node) -> u32 {
        self.forest.size(root) - 1
    }

    /// How many identifiers the subtree of a node holds.
    pub(crate) fn identifier_count(&self, node: Node) -> u32 {
        self.rows.get(node).identifiers
    }

    /// Whether the profile with this root holds an identifier of a login namespace.
    pub(crate) fn known(&self, root: Node) -> bool {
        self.rows.get(root).known
    }

    /// The record that created a node's profile, and its log time.
    pub(crate) fn created(&self, node: Node) -> (SequenceNumber, Timestamp) {
        let row = self.rows.get(node);
        (SequenceNumber(row.created_sequence.get()), row.created_time.get())
    }

    /// The parent of a node and the record that merged it; `None` for a root.
    pub(crate) fn parent(&self, node: Node) -> Option<(Node, SequenceNumber)> {
        self.forest.parent(node)
    }

    /// The newest identifier attached to a node itself.
    pub(crate) fn first_identifier(&self, node: Node) -> Option<IdentifierId> {
        self.rows.get(node).first_identifier.checked_sub(1).map(IdentifierId)
    }

    /// The nodes of the tree below and with `root`, parents before children.
    pub(crate) fn tree(&self, root: Node) -> Vec<Node> {
        let mut nodes = Vec::with_capacity(self.forest.size(root) as usize);
        nodes.push(root);
        let mut at = 0;
        while at < nodes.len() {
            let mut child = self.rows.get(nodes[at]).first_child;
            while let Some(node) = child.checked_sub(1) {
                nodes.push(node);
                child = self.rows.get(node).next_sibling;
            }
            at += 1;
        }
        nodes
    }

    /// Adds the next profile, alone in its tree.
    pub(crate) fn create(&mut self, sequence: SequenceNumber, log_time: Timestamp) -> Node {
        let node = self.forest.add();
        self.rows.push(ProfileRow {
            bearer: node + 1,
            created_sequence: Packed48::new(sequence.0),
            created_time: PackedTime::new(log_time),
            ..ProfileRow::default()
        });
        node
    }

    /// Joins two profiles; the one that results bears `bearer`.
    pub(crate) fn merge(
        &mut self,
        a: Node,
        b: Node,
        bearer: ProfileNumber,
        sequence: SequenceNumber,
    ) {
        let Union::Joined { root, child } = self.forest.union(a, b, sequence) else {
            unreachable!("a merge joins different profiles: decide and validate see to it");
        };
        self.hang(child, root);
        self.rows.get_mut(root).bearer = bearer.0;
    }

    /// Takes an identifier into a node's own list; gives the one that was first.
    pub(crate) fn attach(&mut self, root: Node, identifier: IdentifierId, login: bool) -> u32 {
        let row = self.rows.get_mut(root);
        row.identifiers += 1;
        row.known |= login;
        std::mem::replace(&mut row.first_identifier, identifier.0 + 1)
    }

    /// Puts back a node from a snapshot. Edges follow by [`Profiles::restore_edge`].
    pub(crate) fn restore(
        &mut self,
        bearer: ProfileNumber,
        created_sequence: SequenceNumber,
        created_time: Timestamp,
    ) {
        let node = self.create(created_sequence, created_time);
        self.rows.get_mut(node).bearer = bearer.0;
    }

    /// Puts back the edge of a merge. Edges come in the order of their merges, so that each
    /// child is a root until its own edge comes.
    pub(crate) fn restore_edge(&mut self, child: Node, root: Node, sequence: SequenceNumber) {
        self.forest.link(child, root, sequence);
        self.hang(child, root);
    }

    /// Recounts who is known, after rules changed which namespaces log in.
    pub(crate) fn set_known(&mut self, node: Node, known: bool) {
        if self.rows.get(node).known != known {
            self.rows.get_mut(node).known = known;
        }
    }

    /// What the state hash takes of a node.
    pub(crate) fn hash(&self, node: Node) -> RecordHash {
        let (created, created_time) = self.created(node);
        let (parent, merged) = match self.parent(node) {
            Some((parent, merged)) => (parent + 1, merged),
            None => (0, SequenceNumber(0)),
        };
        let bearer = self.bearer(node);
        profile_hash(&ProfileRecord { node, parent, merged, bearer, created, created_time })
    }

    fn hang(&mut self, child: Node, root: Node) {
        let below = self.rows.get(child);
        let (identifiers, known) = (below.identifiers, below.known);
        let row = self.rows.get_mut(root);
        row.identifiers += identifiers;
        row.known |= known;
        let sibling = std::mem::replace(&mut row.first_child, child + 1);
        self.rows.get_mut(child).next_sibling = sibling;
        self.absorbed += 1;
    }
}

/// What the state hash takes of a node.
pub(crate) struct ProfileRecord {
    pub(crate) node: Node,
    /// Counted from 1; 0 for a root.
    pub(crate) parent: u32,
    pub(crate) merged: SequenceNumber,
    pub(crate) bearer: ProfileNumber,
    pub(crate) created: SequenceNumber,
    pub(crate) created_time: Timestamp,
}

pub(crate) fn profile_hash(record: &ProfileRecord) -> RecordHash {
    RecordHasher::new(Kind::Profile)
        .number(u64::from(record.node))
        .number(u64::from(record.parent))
        .number(record.merged.0)
        .number(u64::from(record.bearer.0))
        .number(record.created.0)
        .number(record.created_time.as_millis() as u64)
        .finish()
}
