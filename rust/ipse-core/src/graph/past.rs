//! The past: who held what as of any record for as long as history is kept, from memory.
//!
//! Most of it needs nothing that is not there anyway: an identifier says which record attached
//! it, a node which record created it and which merged it, and trees are joined by edges that
//! never change, so a climb by edges up to a number gives the root as of then. Whose id a root
//! bore follows: that of the newest child merged by then whose side survived. What is kept
//! besides is what has ended (identifiers that left a node, edges that were cut), and when each
//! record was logged.
//!
//! This is an index over the log: it follows from the records and is forgotten with them, at
//! different times on different machines. So it is part of neither the state hash nor the dump,
//! and nothing is decided by it. What was erased or has expired is not in it: as of any number,
//! nobody held such an identifier.

use crate::change::{ProfileNumber, SequenceNumber};
use crate::decide::Refusal;
use crate::limits::PAST_ROWS_MAX;
use crate::time::Timestamp;
use crate::union_find::Node;

use super::chunked::PackedTime;
use super::ended::{Ended, EndedTable};
use super::holders::Holder;
use super::identifiers::IdentifierId;
use super::timeline::Timeline;
use super::view::ProfileView;
use super::{Graph, each_once};

/// How an identifier was held. It and its node are the ends of the row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PastHolding {
    /// Event time of the attachment.
    pub(crate) time: PackedTime,
    /// Whether others held it, too, when it left.
    pub(crate) several: bool,
}

/// How an edge was. The child and its parent are the ends of the row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PastEdge {
    /// Whose id the child bore when it was merged.
    pub(crate) bearer: ProfileNumber,
    /// Where the merge stood among those of its record.
    pub(crate) rank: u16,
    /// Whether the child's side survived.
    pub(crate) survived: bool,
}

/// What has ended, and when everything was logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    pub(crate) holdings: EndedTable<PastHolding>,
    pub(crate) edges: EndedTable<PastEdge>,
    pub(crate) timeline: Timeline,
    /// The first number as of which it can answer.
    pub(crate) oldest: SequenceNumber,
}

/// A node below another, as of some record.
pub(crate) struct Child {
    pub(crate) node: Node,
    /// The record that merged it.
    pub(crate) merged: SequenceNumber,
    pub(crate) how: PastEdge,
}

/// Why there is no answer as of a record or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// It is not kept any more.
    Expired {
        /// The first number as of which there is an answer.
        oldest: SequenceNumber,
    },
    /// It has not come yet.
    Future {
        /// The newest number.
        newest: SequenceNumber,
    },
}

impl Past {
    /// That of a graph of which nothing is left before a record.
    pub(crate) fn beginning_at(oldest: SequenceNumber) -> Past {
        Past { oldest, ..Past::default() }
    }

    /// About what it takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.holdings.bytes() + self.edges.bytes() + self.timeline.bytes()
    }

    /// Notes that an identifier has left a node, and whether others held it, too.
    pub(crate) fn end_holding(
        &mut self,
        id: IdentifierId,
        holder: &Holder,
        several: bool,
        until: SequenceNumber,
    ) {
        let how = PastHolding { time: PackedTime::new(holder.time), several };
        let ended = Ended::new((id.0, holder.node), holder.sequence, until, how);
        add(&mut self.holdings, ended, &mut self.oldest);
    }
}

/// Adds what was there as of some record; the oldest gives way, and with it the number as of which
/// it ended.
fn add<T: Copy>(table: &mut EndedTable<T>, ended: Ended<T>, oldest: &mut SequenceNumber) {
    if ended.from() == ended.until() {
        return;
    }
    if table.len() >= PAST_ROWS_MAX {
        *oldest = (*oldest).max(table.oldest().unwrap_or_default());
        table.forget_first();
    }
    table.add(ended);
}

impl Graph {
    /// The graph as of a record: with all up to it, and nothing that came later. The answer of
    /// now and for as long as it is kept: it never changes, but for what is erased or expires.
    pub fn as_of(&self, at: SequenceNumber) -> Result<PastView<'_>, NotKept> {
        if at > self.sequence {
            return Err(NotKept::Future { newest: self.sequence });
        }
        if at < self.past.oldest {
            return Err(NotKept::Expired { oldest: self.past.oldest });
        }
        Ok(PastView { graph: self, at })
    }

    /// The newest record that was logged at a time or before; 0 before record 1. A record of that
    /// very millisecond may still come, if it is the newest one's.
    pub fn sequence_at(&self, time: Timestamp) -> Result<SequenceNumber, NotKept> {
        let found = self.past.timeline.newest_at(time).unwrap_or_default();
        let oldest = self.past.oldest;
        if found < oldest { Err(NotKept::Expired { oldest }) } else { Ok(found) }
    }

    /// When a record was logged, if that is kept.
    pub fn logged_time(&self, sequence: SequenceNumber) -> Option<Timestamp> {
        self.past.timeline.time_of(sequence)
    }

    /// The first number as of which there is an answer.
    pub fn oldest_past(&self) -> SequenceNumber {
        self.past.oldest
    }

    /// Forgets the past before a record, of which this many rows at most; says whether all of it
    /// is gone. What is not gone is not answered from any more.
    pub fn forget_past(&mut self, before: SequenceNumber, rows_max: usize) -> bool {
        let past = &mut self.past;
        // Before the first record there was nothing, and that is kept.
        if before > SequenceNumber(1) {
            past.oldest = past.oldest.max(before.min(self.sequence));
        }
        past.timeline.forget(past.oldest);
        forget(&mut past.holdings, past.oldest, rows_max)
            && forget(&mut past.edges, past.oldest, rows_max)
    }

    /// Notes the edge of a node that this record cuts, before it does.
    pub(crate) fn note_cut_edge(&mut self, child: Node) {
        let Some((parent, merged)) = self.profiles.parent(child) else { return };
        let ended = Ended::new((child, parent), merged, self.sequence, self.edge_of(child));
        add(&mut self.past.edges, ended, &mut self.past.oldest);
    }

    /// Who held an identifier, in order of attachment.
    pub(crate) fn holders_at(&self, id: IdentifierId, at: SequenceNumber) -> Vec<Holder> {
        let mut held = Vec::new();
        for left in self.past.holdings.of_a(id.0, at) {
            if left.from() <= at {
                held.push(holder_of(left));
            }
            if !left.what.several {
                // Who held it before that had left it by then, and who holds it now came later.
                held.sort_unstable_by_key(Holder::place);
                return held;
            }
        }
        let first = self.identifiers.rows.row(id).holder();
        let now = first.into_iter().chain(self.further_holders(id).iter().copied());
        held.extend(now.filter(|holder| holder.sequence <= at));
        held.sort_by_key(Holder::place);
        held
    }

    /// The root of the tree that a node was in.
    pub(crate) fn root_at(&self, node: Node, at: SequenceNumber) -> Node {
        std::iter::successors(Some(node), |&node| Some(self.parent_at(node, at)?.0))
            .last()
            .expect("it begins with the node itself")
    }

    /// The parent of a node and the record that merged it.
    pub(crate) fn parent_at(
        &self,
        node: Node,
        at: SequenceNumber,
    ) -> Option<(Node, SequenceNumber)> {
        let now = self.profiles.parent(node).filter(|(_, merged)| *merged <= at);
        let cut = || self.past.edges.of_a(node, at).find(|cut| cut.from() <= at);
        now.or_else(|| cut().map(|cut| (cut.b, cut.from())))
    }

    /// The nodes that were right below a node, in the order of their merges.
    pub(crate) fn children_at(&self, node: Node, at: SequenceNumber) -> Vec<Child> {
        let mut children: Vec<Child> = self.below_at(node, at).collect();
        children.sort_unstable_by_key(|child| (child.merged, child.how.rank, child.node));
        children
    }

    /// The nodes of the tree that was below and with a node, parents before children.
    pub(crate) fn tree_at(&self, root: Node, at: SequenceNumber) -> Vec<Node> {
        if at >= self.sequence {
            return self.profiles.tree(root);
        }
        let mut nodes = vec![root];
        let mut next = 0;
        while next < nodes.len() {
            nodes.extend(self.below_at(nodes[next], at).map(|child| child.node));
            next += 1;
        }
        nodes
    }

    /// Whose id a root bore.
    pub(crate) fn bearer_at(&self, root: Node, at: SequenceNumber) -> ProfileNumber {
        if at >= self.sequence {
            return self.profiles.bearer(root);
        }
        let survivors = self.below_at(root, at).filter(|child| child.how.survived);
        let newest = survivors.max_by_key(|child| (child.merged, child.how.rank, child.node));
        newest.map_or(ProfileNumber(root + 1), |child| child.how.bearer)
    }

    /// The identifiers that nodes held, each once, by number, as the oldest holder did; former ids
    /// are among them.
    pub(crate) fn held_at(
        &self,
        nodes: Vec<Node>,
        at: SequenceNumber,
    ) -> Vec<(IdentifierId, Holder)> {
        let mut held = Vec::new();
        for node in nodes {
            let left = self.past.holdings.of_b(node, at).filter(|left| left.from() <= at);
            held.extend(left.map(|left| (IdentifierId(left.a), holder_of(left))));
            let now =
                self.identifiers_of_node(node).filter_map(|id| Some((id, self.on(node, id)?)));
            held.extend(now.filter(|(_, holder)| holder.sequence <= at));
        }
        held.sort_unstable_by_key(|(id, holder)| (*id, holder.place()));
        held.dedup_by_key(|(id, _)| *id);
        held
    }

    /// How a node itself holds an identifier.
    fn on(&self, node: Node, id: IdentifierId) -> Option<Holder> {
        let first = self.identifiers.rows.row(id).holder().into_iter();
        first.chain(self.further_holders(id).iter().copied()).find(|holder| holder.node == node)
    }

    fn below_at(&self, node: Node, at: SequenceNumber) -> impl Iterator<Item = Child> {
        let now = self.profiles.children(node).filter_map(move |child| {
            let (_, merged) = self.profiles.parent(child).filter(|(_, merged)| *merged <= at)?;
            Some(Child { node: child, merged, how: self.edge_of(child) })
        });
        let cut = self.past.edges.of_b(node, at).filter(move |cut| cut.from() <= at);
        now.chain(cut.map(|cut| Child { node: cut.a, merged: cut.from(), how: cut.what }))
    }

    fn edge_of(&self, child: Node) -> PastEdge {
        PastEdge {
            bearer: self.profiles.bearer(child),
            rank: self.profiles.merge_rank(child),
            survived: self.profiles.survived(child),
        }
    }
}

fn holder_of(left: &Ended<PastHolding>) -> Holder {
    Holder { node: left.b, sequence: left.from(), time: left.what.time.get() }
}

fn forget<T: Copy>(table: &mut EndedTable<T>, before: SequenceNumber, rows_max: usize) -> bool {
    for _ in 0..rows_max {
        if table.oldest().is_none_or(|ended| ended > before) {
            return true;
        }
        table.forget_first();
    }
    table.is_empty()
}

/// A graph as of a record.
#[derive(Clone, Copy, Debug)]
pub struct PastView<'a> {
    graph: &'a Graph,
    at: SequenceNumber,
}

impl<'a> PastView<'a> {
    /// The record.
    pub fn sequence(&self) -> SequenceNumber {
        self.at
    }

    /// The profile that a number answered to; `None` for one that had not been created, or that
    /// was erased since.
    pub fn profile(&self, profile: ProfileNumber) -> Option<ProfileView<'a>> {
        let node = self.graph.profiles.node(profile)?;
        let was_there = self.graph.profiles.created(node).0 <= self.at;
        let root = was_there.then(|| self.graph.root_at(node, self.at))?;
        self.view_of(root)
    }

    /// The profile that held an identifier: otherwise as [`Graph::lookup`].
    pub fn lookup(&self, namespace: &str, value: &str) -> Result<Option<ProfileView<'a>>, Refusal> {
        let id = self.graph.find_sent(namespace, value)?;
        Ok(id.and_then(|id| self.holder_of(id)))
    }

    /// All profiles that held an identifier, in order of attachment: otherwise as
    /// [`Graph::owners`].
    pub fn owners(&self, namespace: &str, value: &str) -> Result<Vec<ProfileView<'a>>, Refusal> {
        let id = self.graph.find_sent(namespace, value)?;
        let mut roots = id.map_or_else(Vec::new, |id| self.roots_of(id).collect());
        each_once(&mut roots);
        Ok(roots.into_iter().filter_map(|root| self.view_of(root)).collect())
    }

    /// The profile that a canonical id led to, by the rules of now.
    pub fn find_canonical(&self, canonical_id: &str) -> Option<ProfileView<'a>> {
        self.graph.canonical(canonical_id).find_map(|id| self.holder_of(id))
    }

    /// The profile that had this id in a former system, or was joined with one that had.
    pub fn find_former(&self, former_id: &str) -> Option<ProfileView<'a>> {
        self.graph.former(former_id).and_then(|id| self.holder_of(id))
    }

    fn holder_of(&self, id: IdentifierId) -> Option<ProfileView<'a>> {
        self.roots_of(id).find_map(|root| self.view_of(root))
    }

    fn roots_of(&self, id: IdentifierId) -> impl Iterator<Item = Node> + use<'a> {
        let (graph, at) = (self.graph, self.at);
        let holders = graph.holders_at(id, at).into_iter();
        holders.map(move |holder| graph.root_at(holder.node, at))
    }

    fn view_of(&self, root: Node) -> Option<ProfileView<'a>> {
        let is_erased = self.graph.profiles.is_erased(root);
        (!is_erased).then(|| ProfileView::as_of(self.graph, root, self.at))
    }
}
