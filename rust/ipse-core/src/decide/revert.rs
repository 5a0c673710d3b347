//! Undoing a merge: both sides are profiles again, with the ids that they bore and with what they
//! held.
//!
//! What came to the whole after the merge goes to the side that its evidence names: to that of
//! the strongest identifier that it was first seen with. Where nothing says, it stays with the
//! survivor. A merge that others were built on is undone after these, newest first, and only if
//! that is asked for.

use std::borrow::Cow;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::change::{Extra, Move, MoveCause, ProfileNumber, RevertedMerge, SequenceNumber};
use crate::command::RevertMerge;
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::graph::links::Link;
use crate::graph::merges::Merge;
use crate::limits::REVERTED_MERGES_MAX;
use crate::time::Timestamp;
use crate::union_find::Node;

use super::fields::{bound, invalid};
use super::resolve::{Resolved, with_verdicts};
use super::{Decision, Refusal, survivor};
use crate::change::Verb;

impl Graph {
    /// Decides what undoing a merge gives back.
    pub fn decide_revert<'a>(
        &self,
        command: &'a RevertMerge<'a>,
        now: Timestamp,
    ) -> Result<Decision<'a>, Refusal> {
        self.operate(&command.operation, Verb::Revert, now, |_| {
            let whole = self.root_to_change(command.absorbed)?;
            let Some(named) = self.profiles.merge_of(command.absorbed) else {
                let problem = "is not merged into another profile: there is no merge to undo";
                return invalid("absorbed_profile_id", problem);
            };
            let mut merges = self.profiles.built_on(&named);
            if let Some(next) = merges.last().filter(|_| !command.chain) {
                return Err(Refusal::MergeBuiltOn {
                    absorbed: self.profile_id(next.absorbed),
                    sequence: next.order.0,
                    count: merges.len(),
                });
            }
            merges.push(named);
            bound("absorbed_profile_id", "merges to undo", merges.len(), REVERTED_MERGES_MAX)?;
            Ok(resolve(self, whole, &merges))
        })
    }
}

/// `merges` are those to undo, newest first, of the profile with the root `whole`.
fn resolve<'a>(graph: &Graph, whole: Node, merges: &[Merge]) -> Resolved<'a> {
    let parts = Parts::new(graph, whole, merges);
    let moves = parts.moves();
    let reverted = merges.iter().map(|merge| RevertedMerge {
        absorbed: merge.absorbed,
        survivor: merge.survivor,
        merged: merge.order.0,
    });
    let extra = Extra { moves, reverted: reverted.collect(), ..Extra::default() };
    let target = survivor::target(graph, &[whole], true);
    let mut resolved = with_verdicts(graph, Vec::new(), &[whole], target, |_, _| {
        unreachable!("there is no identifier to judge")
    });
    resolved.known = parts.survivor_is_known();
    resolved.extra = Some(Box::new(extra));
    resolved
}

/// A profile that falls apart into parts, each named by its root.
struct Parts<'g> {
    graph: &'g Graph,
    whole: Node,
    /// The nodes that are roots again.
    cut: HashSet<Node, FixedState>,
    /// Part by part, the identifiers that it holds in the end, each once.
    held: HashMap<Node, Vec<IdentifierId>, FixedState>,
}

/// Where an identifier is held, and since which record.
type Holding = (SequenceNumber, IdentifierId, Node);

impl<'g> Parts<'g> {
    fn new(graph: &'g Graph, whole: Node, merges: &[Merge]) -> Parts<'g> {
        let cut = merges.iter().map(|merge| merge.child).collect();
        let mut parts = Parts { graph, whole, cut, held: HashMap::default() };
        let (before, after) = parts.holdings(merges);
        let mut part_of: HashMap<IdentifierId, Node, FixedState> =
            before.iter().map(|&(_, id, part)| (id, part)).collect();
        parts.follow(&after, &mut part_of);
        for (id, part) in before.into_iter().map(|(_, id, part)| (id, part)) {
            parts.held.entry(part).or_default().push(id);
        }
        for (_, id, _) in after {
            parts.held.entry(part_of[&id]).or_default().push(id);
        }
        for ids in parts.held.values_mut() {
            ids.sort_unstable();
            ids.dedup();
        }
        parts
    }

    /// The root of the part that a node belongs to.
    fn part(&self, node: Node) -> Node {
        let mut at = node;
        while let Some((parent, _)) = self.graph.profiles.parent(at) {
            if self.cut.contains(&at) {
                return at;
            }
            at = parent;
        }
        at
    }

    /// Whose id a part bears.
    fn bearer(&self, part: Node) -> ProfileNumber {
        let profiles = &self.graph.profiles;
        let oldest_cut = profiles.children(part).filter(|child| self.cut.contains(child));
        let oldest_cut = oldest_cut.filter_map(|child| profiles.order_of(child)).min();
        profiles.bearer_before(part, oldest_cut)
    }

    /// What the profile holds, each with the part that it is on as things are: what was there
    /// before the merges that are undone, and what came to the whole since. What several of its
    /// nodes hold counts as having been there: it is on both sides.
    fn holdings(&self, merges: &[Merge]) -> (Vec<Holding>, Vec<Holding>) {
        let graph = self.graph;
        let mut all: Vec<Holding> = Vec::new();
        let mut times: HashMap<IdentifierId, u32, FixedState> = HashMap::default();
        for node in graph.profiles.tree(self.whole) {
            let part = self.part(node);
            for id in graph.identifiers_of_node(node) {
                *times.entry(id).or_default() += 1;
                all.push((graph.held_since(node, id), id, part));
            }
        }
        let is_later = |&(since, id, part): &Holding| {
            let into = merges.iter().filter(|merge| merge.parent == part);
            let oldest = into.map(|merge| merge.order.0).min();
            times[&id] == 1 && oldest.is_some_and(|merged| since >= merged)
        };
        let (mut after, before): (Vec<_>, Vec<_>) = all.into_iter().partition(is_later);
        after.sort_unstable();
        (before, after)
    }

    /// Finds the part of each identifier that came later, record by record.
    fn follow(&self, after: &[Holding], part_of: &mut HashMap<IdentifierId, Node, FixedState>) {
        let survivor = self.survivor();
        let mut later: Vec<IdentifierId> = after.iter().map(|&(_, id, _)| id).collect();
        later.sort_unstable();
        let mut all: Vec<IdentifierId> = part_of.keys().copied().chain(later.clone()).collect();
        all.sort_unstable();
        let mut links: HashMap<SequenceNumber, Vec<Link>, FixedState> = HashMap::default();
        for link in self.graph.links_between(&later, &all) {
            links.entry(link.sequence).or_default().push(link);
        }
        for record in after.chunk_by(|a, b| a.0 == b.0) {
            let seen = links.get(&record[0].0).map_or(&[][..], Vec::as_slice);
            let ends = seen.iter().flat_map(|link| [link.stronger, link.weaker]);
            let with = ends.filter(|id| part_of.contains_key(id));
            let strongest = with.min_by_key(|&id| (self.graph.strength_of(id), id));
            let part = strongest.map_or(survivor, |id| part_of[&id]);
            part_of.extend(record.iter().map(|&(_, id, _)| (id, part)));
        }
    }

    /// The part that keeps the profile's id.
    fn survivor(&self) -> Node {
        let bearer = self.graph.profiles.bearer(self.whole);
        let mut parts = self.cut.iter().copied().chain([self.whole]);
        parts.find(|&part| self.bearer(part) == bearer).expect("one part goes on bearing the id")
    }

    /// What is on another profile in the end, by profile and identifier.
    fn moves<'a>(&self) -> Vec<Move<'a>> {
        let survivor = self.survivor();
        let from = self.graph.profiles.bearer(self.whole);
        let stays = |id: &IdentifierId| {
            self.held.get(&survivor).is_some_and(|ids| ids.binary_search(id).is_ok())
        };
        let others = self.held.iter().filter(|(part, _)| **part != survivor);
        let mut others: Vec<(ProfileNumber, &Vec<IdentifierId>)> =
            others.map(|(&part, ids)| (self.bearer(part), ids)).collect();
        others.sort_unstable_by_key(|(bearer, _)| *bearer);
        let moved = |to: ProfileNumber, id: IdentifierId| {
            let (namespace, value) = self.graph.text_of(id);
            Move {
                namespace: Cow::Owned(namespace.to_owned()),
                value: Cow::Owned(value.to_owned()),
                from,
                to: Some(to),
                cause: if stays(&id) { MoveCause::RevertedShared } else { MoveCause::Reverted },
            }
        };
        let of_part = |(to, ids): (ProfileNumber, &Vec<IdentifierId>)| {
            ids.iter().map(|&id| moved(to, id)).collect::<Vec<_>>()
        };
        others.into_iter().flat_map(of_part).collect()
    }

    fn survivor_is_known(&self) -> bool {
        let (graph, survivor) = (self.graph, self.survivor());
        let logs_in = |id: &IdentifierId| {
            let namespace = graph.identifiers.rows.row(*id).namespace;
            graph.namespaces().rules_of(namespace).is_some_and(|rules| rules.login)
        };
        let nodes = graph.profiles.tree(self.whole).into_iter();
        let mut own = nodes.filter(|&node| self.part(node) == survivor);
        let marks = |node: Node| {
            let mut merged =
                graph.profiles.children(node).filter(|child| !self.cut.contains(child));
            graph.profiles.marks(node).known
                || merged.any(|child| graph.profiles.marks(child).joined_known)
        };
        self.held.get(&survivor).is_some_and(|ids| ids.iter().any(logs_in)) || own.any(marks)
    }
}
