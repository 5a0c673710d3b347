//! Find and union over nodes; knows nothing about people.
//!
//! A forest of parents, joined by size so that climbing stays short, and never compressed:
//! each edge carries the sequence number that made it, so a climb that follows only older
//! edges answers as of then, and a node's subtree is what it was when it was joined. Finding
//! does not write, so a reader needs no lock against another reader.

use crate::change::SequenceNumber;
use crate::graph::chunked::{Chunked, Packed48};

/// A node, counted from 0.
pub(crate) type Node = u32;

/// What a union did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Union {
    /// Both were in one tree.
    AlreadyJoined {
        /// Its root.
        root: Node,
    },
    /// Two trees became one.
    Joined {
        /// The root of the larger, now of both; of equal ones, the first argument's.
        root: Node,
        /// The root of the other, now its child.
        child: Node,
    },
}

/// What is kept of a node that was joined with another.
#[derive(Clone, Copy, Debug, Default)]
struct Edge {
    /// The parent, counted from 1; 0 for a root.
    parent: u32,
    /// Nodes in the subtree, this one included.
    size: u32,
    /// The record that set the parent.
    sequence: Packed48,
}

/// The forest. Most nodes are never joined with any other, and take four bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct UnionFind {
    /// The place of each node's edge, counted from 1; 0 for none.
    places: Chunked<u32>,
    edges: Chunked<Edge>,
}

impl UnionFind {
    /// Adds a node that is its own root.
    pub(crate) fn add(&mut self) -> Node {
        self.places.push(0)
    }

    /// What the forest takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.places.bytes() + self.edges.bytes()
    }

    /// The root of a node's tree.
    #[inline]
    pub(crate) fn find(&self, node: Node) -> Node {
        let mut at = node;
        while let Some(parent) = self.edge(at).and_then(|edge| edge.parent.checked_sub(1)) {
            at = parent;
        }
        at
    }

    /// Nodes in the subtree below and with `node`.
    pub(crate) fn size(&self, node: Node) -> u32 {
        self.edge(node).map_or(1, |edge| edge.size)
    }

    /// The parent of a node and the record that set it; `None` for a root.
    pub(crate) fn parent(&self, node: Node) -> Option<(Node, SequenceNumber)> {
        let edge = self.edge(node)?;
        let parent = edge.parent.checked_sub(1)?;
        Some((parent, SequenceNumber(edge.sequence.get())))
    }

    /// A small number of a node's own, if it has one: any that was joined has. Who keeps more of
    /// such nodes finds it by that.
    pub(crate) fn place(&self, node: Node) -> Option<u32> {
        self.places.get(node).checked_sub(1)
    }

    /// The same; the next number, if it had none.
    pub(crate) fn take_place(&mut self, node: Node) -> u32 {
        self.place(node).unwrap_or_else(|| {
            let place = self.edges.push(Edge { size: 1, ..Edge::default() });
            *self.places.get_mut(node) = place + 1;
            place
        })
    }

    /// Joins the trees of two nodes by one edge from the smaller root to the larger.
    pub(crate) fn union(&mut self, a: Node, b: Node, sequence: SequenceNumber) -> Union {
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return Union::AlreadyJoined { root: a };
        }
        let (root, child) = if self.size(b) > self.size(a) { (b, a) } else { (a, b) };
        self.link(child, root, sequence);
        Union::Joined { root, child }
    }

    /// Hangs a root below another, as a union did before.
    pub(crate) fn link(&mut self, child: Node, root: Node, sequence: SequenceNumber) {
        let size = self.size(child);
        self.edge_mut(root).size += size;
        let edge = self.edge_mut(child);
        edge.parent = root + 1;
        edge.sequence = Packed48::new(sequence.0);
    }

    /// Cuts the edge above a node whose parent is a root: both are roots then, each of what it was
    /// the root of before they were joined, and of what was joined to the parent later.
    pub(crate) fn cut(&mut self, child: Node) -> Node {
        let (root, _) = self.parent(child).expect("a node that is cut has a parent");
        assert!(self.parent(root).is_none(), "what was joined later is cut before");
        let size = self.size(child);
        self.edge_mut(root).size -= size;
        let edge = self.edge_mut(child);
        (edge.parent, edge.sequence) = (0, Packed48::ZERO);
        root
    }

    fn edge(&self, node: Node) -> Option<&Edge> {
        self.place(node).map(|place| self.edges.get(place))
    }

    fn edge_mut(&mut self, node: Node) -> &mut Edge {
        let place = self.take_place(node);
        self.edges.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_tree_keeps_its_root_and_edges_say_when() {
        let mut forest = UnionFind::default();
        for _ in 0..4 {
            forest.add();
        }
        assert_eq!(forest.union(0, 1, SequenceNumber(5)), Union::Joined { root: 0, child: 1 });
        assert_eq!(forest.union(2, 1, SequenceNumber(6)), Union::Joined { root: 0, child: 2 });
        assert_eq!(forest.union(2, 0, SequenceNumber(7)), Union::AlreadyJoined { root: 0 });
        assert_eq!((forest.find(2), forest.find(3)), (0, 3));
        assert_eq!((forest.size(0), forest.size(2)), (3, 1));
        assert_eq!(forest.parent(2), Some((0, SequenceNumber(6))));
        assert_eq!(forest.parent(0), None);
        assert_eq!(forest.cut(2), 0);
        assert_eq!((forest.find(2), forest.find(1), forest.size(0)), (2, 0, 2));
        assert_eq!((forest.parent(2), forest.size(2)), (None, 1));
    }
}
