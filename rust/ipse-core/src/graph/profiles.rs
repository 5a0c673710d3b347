//! The table of profile nodes: a node for each profile ever created, joined by union-find.
//!
//! A profile is a tree of nodes. What it holds hangs on the nodes: each node has a list of
//! the identifiers that were attached to it, and a list of the nodes joined below it, so
//! that reading a profile is walking its tree.

use std::collections::BTreeMap;
use std::hint::black_box;

use crate::change::{ProfileNumber, SequenceNumber};
use crate::time::Timestamp;
use crate::union_find::{Node, Union, UnionFind};

use super::chunked::{Chunked, Packed48, PackedTime};
use super::identifiers::IdentifierId;
use super::merges::Merge;
use super::sizes::Sizes;
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// The subtree holds an identifier of a login namespace, or a node that is marked known.
const KNOWN: u8 = 1;
/// A command marked the node known.
const MARKED_KNOWN: u8 = 2;
/// The node was merged below another, and its side's id went on.
const SURVIVED: u8 = 4;
/// The profile was erased.
const ERASED: u8 = 8;
/// The command that merged the node below another made the whole known.
const JOINED_KNOWN: u8 = 16;

/// What is kept of every node.
#[derive(Clone, Debug, Default)]
struct ProfileRow {
    /// Identifiers in the subtree, former ids left out; one that two of its nodes hold counts
    /// twice.
    identifiers: u32,
    /// The newest identifier attached to this node, counted from 1; 0 for none.
    first_identifier: u32,
    created_sequence: Packed48,
    created_time: PackedTime,
    flags: u8,
}

const _: () = assert!(size_of::<ProfileRow>() == 24, "most of what a profile costs");

/// What is kept of a node that was merged with another, at its place in the forest.
#[derive(Clone, Copy, Debug, Default)]
struct Family {
    /// The profile whose id this root bears; what it bore last, once it is no root. 0 for its
    /// own.
    bearer: u32,
    /// The newest child, counted from 1; 0 for none.
    first_child: u32,
    /// The next older child of the same parent, counted from 1; 0 for none.
    next_sibling: u32,
    /// Where the merge of this child stands among those of its record, from 0.
    merge_rank: u16,
}

/// The table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Profiles {
    forest: UnionFind,
    rows: Chunked<ProfileRow>,
    families: Chunked<Family>,
    absorbed: u32,
    /// Roots that were erased.
    erased: u32,
    sizes: Sizes,
}

impl Profiles {
    /// How many profiles were ever created.
    pub(crate) fn len(&self) -> u32 {
        self.rows.len()
    }

    /// What the table takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.forest.bytes() + self.rows.bytes() + self.families.bytes()
    }

    /// How many of them were merged away.
    pub(crate) fn absorbed(&self) -> u32 {
        self.absorbed
    }

    /// How many profiles were erased, those that they had absorbed left out.
    pub(crate) fn erased_profiles(&self) -> u32 {
        self.erased
    }

    /// Whether a node's profile was erased.
    pub(crate) fn is_erased(&self, node: Node) -> bool {
        self.rows.get(node).flags & ERASED != 0
    }

    /// Erases what a node says of its profile. Its edges stay: numbers that nobody holds.
    pub(crate) fn erase(&mut self, node: Node) {
        let row = self.rows.get_mut(node);
        let held = std::mem::take(&mut row.identifiers);
        row.first_identifier = 0;
        row.flags = ERASED;
        row.created_time = PackedTime::default();
        if self.parent(node).is_none() {
            self.erased += 1;
            self.sizes.change(node, held, 0);
        }
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

    /// Fetches what is read of a profile that was never merged, the node of which this is.
    pub(crate) fn fetch(&self, node: Node) {
        black_box((self.forest.place(node), self.known(node)));
    }

    /// Whose id the profile with this root bears.
    pub(crate) fn bearer(&self, root: Node) -> ProfileNumber {
        match self.family(root).bearer {
            0 => ProfileNumber(root + 1),
            bearer => ProfileNumber(bearer),
        }
    }

    /// How many merges made the profile with this root.
    pub(crate) fn merges(&self, root: Node) -> u32 {
        self.forest.size(root) - 1
    }

    /// How many identifiers the subtree of a node holds, former ids left out; one that two of
    /// its nodes hold counts twice.
    pub(crate) fn identifier_count(&self, node: Node) -> u32 {
        self.rows.get(node).identifiers
    }

    /// The root that holds most identifiers and how many, as [`Profiles::identifier_count`]
    /// counts them. Where it has shrunk since, another that is as large is not told.
    pub(crate) fn largest(&self) -> (u32, Option<Node>) {
        let Some((size, root)) = self.sizes.largest() else { return (0, None) };
        let has_it = self.parent(root).is_none() && self.identifier_count(root) == size;
        (size, has_it.then_some(root))
    }

    /// How many roots there are of each size.
    pub(super) fn sizes(&self) -> BTreeMap<u32, u32> {
        self.sizes.roots()
    }

    /// Whether the subtree of a node holds an identifier of a login namespace, or was marked
    /// known.
    pub(crate) fn known(&self, node: Node) -> bool {
        self.rows.get(node).flags & KNOWN != 0
    }

    /// Whether a command marked a node known, itself or by what it merged below it.
    pub(crate) fn marked_known(&self, node: Node) -> bool {
        let joined = |child: Node| self.rows.get(child).flags & JOINED_KNOWN != 0;
        self.rows.get(node).flags & MARKED_KNOWN != 0 || self.children(node).any(joined)
    }

    /// Whether the id of a node's side went on when the node was merged below another.
    pub(crate) fn survived(&self, node: Node) -> bool {
        self.rows.get(node).flags & SURVIVED != 0
    }

    /// Where the merge of a node below another stands among those of its record.
    pub(crate) fn merge_rank(&self, node: Node) -> u16 {
        self.family(node).merge_rank
    }

    /// The record that created a node's profile, and when: its log time, or what an import said.
    pub(crate) fn created(&self, node: Node) -> (SequenceNumber, Timestamp) {
        let row = self.rows.get(node);
        (SequenceNumber(row.created_sequence.get()), row.created_time.get())
    }

    /// The parent of a node and the record that merged it; `None` for a root.
    pub(crate) fn parent(&self, node: Node) -> Option<(Node, SequenceNumber)> {
        self.forest.parent(node)
    }

    /// The first identifier in a node's own list.
    pub(crate) fn first_identifier(&self, node: Node) -> Option<IdentifierId> {
        self.rows.get(node).first_identifier.checked_sub(1).map(IdentifierId)
    }

    pub(crate) fn set_first_identifier(&mut self, node: Node, first: u32) {
        self.rows.get_mut(node).first_identifier = first;
    }

    /// The nodes joined below a node itself, newest first as long as no snapshot was loaded.
    pub(crate) fn children(&self, node: Node) -> impl Iterator<Item = Node> + Clone {
        let first = self.family(node).first_child.checked_sub(1);
        std::iter::successors(first, |&child| self.family(child).next_sibling.checked_sub(1))
    }

    /// The nodes of the tree below and with `root`, parents before children.
    pub(crate) fn tree(&self, root: Node) -> Vec<Node> {
        let mut nodes = Vec::with_capacity(self.forest.size(root) as usize);
        nodes.push(root);
        let mut at = 0;
        while at < nodes.len() {
            nodes.extend(self.children(nodes[at]));
            at += 1;
        }
        nodes
    }

    /// Adds the next profile, alone in its tree.
    pub(crate) fn create(&mut self, sequence: SequenceNumber, time: Timestamp) -> Node {
        let node = self.forest.add();
        self.rows.push(ProfileRow {
            created_sequence: Packed48::new(sequence.0),
            created_time: PackedTime::new(time),
            ..ProfileRow::default()
        });
        node
    }

    /// Joins the profile with the root `absorbed` to the one with the root `survivor`, whose id
    /// goes on, as the merge of this rank in its record.
    pub(crate) fn merge(
        &mut self,
        survivor: Node,
        absorbed: Node,
        sequence: SequenceNumber,
        rank: u16,
    ) {
        let bearer = self.bearer(survivor);
        let Union::Joined { root, child } = self.forest.union(survivor, absorbed, sequence) else {
            unreachable!("a merge joins different profiles: decide and validate see to it");
        };
        self.hang(child, root);
        self.family_mut(root).bearer = bearer.0;
        self.family_mut(child).merge_rank = rank;
        if child == survivor {
            self.rows.get_mut(child).flags |= SURVIVED;
        }
    }

    /// Undoes a merge that nothing was built on: both its sides are profiles again and bear the
    /// ids that they bore before it.
    pub(crate) fn cut(&mut self, merge: &Merge) {
        let Merge { child, parent, .. } = *merge;
        self.unhang(child, parent);
        self.forest.cut(child);
        self.rows.get_mut(child).flags &= !(SURVIVED | JOINED_KNOWN);
        self.family_mut(child).merge_rank = 0;
        self.family_mut(parent).bearer = self.bearer_before(parent, None).0;
    }

    /// Takes an identifier into a node's own list; gives the one that was first.
    pub(crate) fn attach(&mut self, node: Node, identifier: IdentifierId) -> u32 {
        std::mem::replace(&mut self.rows.get_mut(node).first_identifier, identifier.0 + 1)
    }

    /// Counts an identifier at a node and all above it.
    pub(crate) fn count_up(&mut self, node: Node, login: bool, counts: bool) {
        self.climb(node, |row| {
            row.identifiers += u32::from(counts);
            row.flags |= if login { KNOWN } else { 0 };
        });
    }

    /// Counts one identifier less at a node and all above it.
    pub(crate) fn count_down(&mut self, node: Node) {
        self.climb(node, |row| row.identifiers -= 1);
    }

    /// Marks a node known, and so all above it.
    pub(crate) fn mark_known(&mut self, node: Node) {
        self.rows.get_mut(node).flags |= MARKED_KNOWN;
        self.climb(node, |row| row.flags |= KNOWN);
    }

    /// Marks what a node was merged into known for as long as the merge is in force.
    pub(crate) fn mark_joined_known(&mut self, child: Node) {
        self.rows.get_mut(child).flags |= JOINED_KNOWN;
        if let Some((parent, _)) = self.parent(child) {
            self.climb(parent, |row| row.flags |= KNOWN);
        }
    }

    /// Sets when a node's profile was created.
    pub(crate) fn set_created_time(&mut self, node: Node, time: Timestamp) {
        self.rows.get_mut(node).created_time = PackedTime::new(time);
    }

    /// Puts back a node from a snapshot. Edges follow by [`Profiles::restore_edge`].
    pub(crate) fn restore(
        &mut self,
        bearer: ProfileNumber,
        created_sequence: SequenceNumber,
        created_time: Timestamp,
        marks: NodeMarks,
        is_root: bool,
    ) {
        let node = self.create(created_sequence, created_time);
        if bearer != self.bearer(node) || marks.merge_rank != 0 {
            let family = self.family_mut(node);
            family.bearer = bearer.0;
            family.merge_rank = marks.merge_rank;
        }
        let row = self.rows.get_mut(node);
        row.flags |= if marks.known { KNOWN | MARKED_KNOWN } else { 0 };
        row.flags |= if marks.survived { SURVIVED } else { 0 };
        row.flags |= if marks.joined_known { JOINED_KNOWN } else { 0 };
        row.flags |= if marks.erased { ERASED } else { 0 };
        self.erased += u32::from(marks.erased && is_root);
    }

    /// Puts back the edge of a merge. Edges come in the order of their merges, so that each
    /// child is a root until its own edge comes.
    pub(crate) fn restore_edge(&mut self, child: Node, root: Node, sequence: SequenceNumber) {
        self.forest.link(child, root, sequence);
        self.hang(child, root);
    }

    /// Sets whether the subtree of a node makes it known.
    pub(crate) fn set_known(&mut self, node: Node, known: bool) {
        if self.known(node) != known {
            self.rows.get_mut(node).flags ^= KNOWN;
        }
    }

    /// What was noted of a node itself.
    pub(crate) fn marks(&self, node: Node) -> NodeMarks {
        NodeMarks {
            known: self.rows.get(node).flags & MARKED_KNOWN != 0,
            joined_known: self.rows.get(node).flags & JOINED_KNOWN != 0,
            survived: self.survived(node),
            erased: self.is_erased(node),
            merge_rank: self.merge_rank(node),
        }
    }

    /// What the state hash takes of a node.
    pub(crate) fn hash(&self, node: Node) -> RecordHash {
        let (created, created_time) = self.created(node);
        let (parent, merged) = match self.parent(node) {
            Some((parent, merged)) => (parent + 1, merged),
            None => (0, SequenceNumber(0)),
        };
        let (bearer, marks) = (self.bearer(node), self.marks(node));
        profile_hash(&ProfileRecord { node, parent, merged, bearer, created, created_time, marks })
    }

    fn hang(&mut self, child: Node, root: Node) {
        let below = self.rows.get(child);
        let (identifiers, known) = (below.identifiers, below.flags & (KNOWN | JOINED_KNOWN) != 0);
        let row = self.rows.get_mut(root);
        let before = row.identifiers;
        row.identifiers += identifiers;
        row.flags |= if known { KNOWN } else { 0 };
        let sibling = std::mem::replace(&mut self.family_mut(root).first_child, child + 1);
        self.family_mut(child).next_sibling = sibling;
        self.sizes.change(child, identifiers, 0);
        self.sizes.change(root, before, before + identifiers);
        self.absorbed += 1;
    }

    /// Takes a child off a root. Whether the root is known is for the caller to find out.
    fn unhang(&mut self, child: Node, root: Node) {
        let next = std::mem::take(&mut self.family_mut(child).next_sibling);
        let before = self.children(root).take_while(|&sibling| sibling != child).last();
        match before {
            Some(before) => self.family_mut(before).next_sibling = next,
            None => self.family_mut(root).first_child = next,
        }
        let identifiers = self.rows.get(child).identifiers;
        let row = self.rows.get_mut(root);
        let held = row.identifiers;
        row.identifiers -= identifiers;
        self.sizes.change(root, held, held - identifiers);
        self.sizes.change(child, 0, identifiers);
        self.absorbed -= 1;
    }

    fn family(&self, node: Node) -> Family {
        let place = self.forest.place(node).filter(|&place| place < self.families.len());
        place.map_or_else(Family::default, |place| *self.families.get(place))
    }

    fn family_mut(&mut self, node: Node) -> &mut Family {
        let place = self.forest.take_place(node);
        while self.families.len() <= place {
            self.families.push(Family::default());
        }
        self.families.get_mut(place)
    }

    /// Changes the row of a node and of all above it.
    fn climb(&mut self, node: Node, change: impl Fn(&mut ProfileRow)) {
        let mut at = node;
        loop {
            let row = self.rows.get_mut(at);
            let before = row.identifiers;
            change(row);
            let after = row.identifiers;
            let Some((parent, _)) = self.parent(at) else {
                return self.sizes.change(at, before, after);
            };
            at = parent;
        }
    }
}

/// What is noted of a node itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeMarks {
    /// A command marked it known.
    pub(crate) known: bool,
    /// The command that merged it below another made the whole known.
    pub(crate) joined_known: bool,
    /// It was merged below another, and its side's id went on.
    pub(crate) survived: bool,
    /// Where its merge stands among those of its record, from 0.
    pub(crate) merge_rank: u16,
    /// Its profile was erased.
    pub(crate) erased: bool,
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
    pub(crate) marks: NodeMarks,
}

pub(crate) fn profile_hash(record: &ProfileRecord) -> RecordHash {
    let NodeMarks { known, joined_known, survived, erased, merge_rank } = record.marks;
    let flags = [known, survived, erased, joined_known];
    let marks = flags.iter().rev().fold(0, |marks, &flag| marks << 1 | u64::from(flag));
    let marks = marks | u64::from(merge_rank) << 8;
    RecordHasher::new(Kind::Profile)
        .numbers(u64::from(record.node) << 32 | u64::from(record.bearer.0), record.created.0)
        .numbers(u64::from(record.parent) | marks << 32, record.merged.0)
        .number(record.created_time.as_millis() as u64)
        .finish()
}
