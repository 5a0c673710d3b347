//! Which value of a trait a merged profile has: folded when it is read.
//!
//! A merge copies nothing: each node keeps the rows that were set while it was a root. A
//! profile's value is found by going through its merges in their order, each combining what
//! both sides had by the rule that is in force for the trait. A row that was set on the whole
//! after a merge overrides what that merge brought.

use std::borrow::Cow;

use crate::change::SequenceNumber;
use crate::event::TraitValue;
use crate::rules::Survivorship;
use crate::time::Timestamp;
use crate::union_find::Node;

use super::Graph;
use super::combine::{combined, union};
use super::traits::TraitRow;

/// A profile's value of a trait.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Folded<'a> {
    /// `None`: it was removed.
    pub(crate) value: Option<Cow<'a, TraitValue<'static>>>,
    /// Event time of the newest assignment that the value is made of.
    pub(crate) time: Timestamp,
    /// Its record.
    pub(crate) sequence: SequenceNumber,
}

/// The traits of a profile, or of one that profiles would be merged into.
#[derive(Debug)]
pub(crate) struct FoldedTraits<'a> {
    graph: &'a Graph,
    /// The survivor's root, then those that are merged into it, in order.
    roots: Vec<Node>,
    /// The nodes of all of them that have traits.
    nodes: Vec<Node>,
    /// The newest merge that counts.
    at: SequenceNumber,
}

impl Graph {
    /// The traits of the profile that would come of profiles with these roots: the survivor's,
    /// then the others' in the order of their merges.
    pub(crate) fn folded_traits(&self, roots: Vec<Node>) -> FoldedTraits<'_> {
        self.folded_traits_at(roots, self.sequence)
    }

    /// The same of profiles as they were made up as of a record, with the values of now.
    pub(crate) fn folded_traits_at(
        &self,
        roots: Vec<Node>,
        at: SequenceNumber,
    ) -> FoldedTraits<'_> {
        let nodes = roots.iter().flat_map(|&root| self.tree_at(root, at));
        let nodes = nodes.filter(|&node| !self.traits.of_node(node).is_empty()).collect();
        FoldedTraits { graph: self, roots, nodes, at }
    }
}

impl<'a> FoldedTraits<'a> {
    /// The names of all traits, removed ones too, in order.
    pub(crate) fn names(&self) -> Vec<&'a str> {
        let graph = self.graph;
        let rows = self.nodes.iter().flat_map(|&node| graph.traits.of_node(node));
        let mut names: Vec<&'a str> = rows.map(|row| &*row.name).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The value of a trait, if it was ever set.
    pub(crate) fn get(&self, name: &str) -> Option<Folded<'a>> {
        match self.graph.rules().survivorship_of(name) {
            Survivorship::Newest => self.newest(name),
            Survivorship::Union => self.union(name),
            survivorship => {
                let fold = Fold { graph: self.graph, name, survivorship, at: self.at };
                let sides = self.roots.iter().map(|&root| fold.of_node(root));
                sides.reduce(|survivor, absorbed| fold.join(survivor, absorbed)).flatten()
            }
        }
    }

    /// Whether a trait has a value of a record that does not count.
    pub(crate) fn is_set_later(&self, name: &str) -> bool {
        let rows = self.nodes.iter().filter_map(|&node| self.graph.traits.newest_of(node, name));
        rows.into_iter().any(|row| row.sequence > self.at)
    }

    /// All values in one go: joined two by two, each would be read once for every one after it.
    fn union(&self, name: &str) -> Option<Folded<'a>> {
        let survivorship = Survivorship::Union;
        let fold = Fold { graph: self.graph, name, survivorship, at: self.at };
        let mut sides: Vec<Folded<'a>> =
            self.roots.iter().flat_map(|&root| fold.sides_of(root)).collect();
        if sides.iter().any(|side| side.value.is_some()) {
            sides.retain(|side| side.value.is_some());
        }
        let newest = sides.iter().max_by_key(|side| side.age())?.clone();
        let values: Vec<&TraitValue<'_>> =
            sides.iter().filter_map(|side| side.value.as_deref()).collect();
        Some(match values.len() {
            0 | 1 => newest,
            _ => Folded { value: Some(Cow::Owned(union(&values))), ..newest },
        })
    }

    fn newest(&self, name: &str) -> Option<Folded<'a>> {
        let graph = self.graph;
        let rows = self.nodes.iter().filter_map(|&node| graph.traits.newest_of(node, name));
        rows.reduce(|best, row| if row.outranks(best) { row } else { best }).map(Folded::of)
    }
}

/// One trait on its way through the merges of a profile.
struct Fold<'a, 'n> {
    graph: &'a Graph,
    name: &'n str,
    survivorship: Survivorship,
    at: SequenceNumber,
}

impl<'a> Fold<'a, '_> {
    /// The value of the subtree of a node. Joined by size, no tree is deeper than 32.
    fn of_node(&self, node: Node) -> Option<Folded<'a>> {
        let own = self.graph.traits.newest_of(node, self.name).map(Folded::of);
        let overrides = own.as_ref().map(|own| own.sequence);
        let mut value = own;
        for child in self.graph.children_at(node, self.at) {
            if overrides.is_some_and(|sequence| sequence >= child.merged) {
                continue;
            }
            let below = self.of_node(child.node);
            value =
                if child.how.survived { self.join(below, value) } else { self.join(value, below) };
        }
        value
    }

    /// The values of the subtree of a node that count, the survivor's first.
    fn sides_of(&self, node: Node) -> Vec<Folded<'a>> {
        let own = self.graph.traits.newest_of(node, self.name).map(Folded::of);
        let overrides = own.as_ref().map(|own| own.sequence);
        let mut sides: Vec<Folded<'a>> = own.into_iter().collect();
        for child in self.graph.children_at(node, self.at) {
            if overrides.is_some_and(|sequence| sequence >= child.merged) {
                continue;
            }
            let mut below = self.sides_of(child.node);
            if child.how.survived {
                std::mem::swap(&mut sides, &mut below);
            }
            sides.append(&mut below);
        }
        sides
    }

    fn join(
        &self,
        survivor: Option<Folded<'a>>,
        absorbed: Option<Folded<'a>>,
    ) -> Option<Folded<'a>> {
        match (survivor, absorbed) {
            (survivor, _) if self.survivorship == Survivorship::SurvivorOnly => survivor,
            (Some(survivor), Some(absorbed)) => {
                Some(join_both(self.survivorship, survivor, absorbed))
            }
            (survivor, absorbed) => survivor.or(absorbed),
        }
    }
}

/// The value of two sides that both have a row. A removed trait is as good as a value where
/// age decides; elsewhere what is there goes before what was removed.
fn join_both<'a>(
    survivorship: Survivorship,
    survivor: Folded<'a>,
    absorbed: Folded<'a>,
) -> Folded<'a> {
    let survivor_is_newer = survivor.age() > absorbed.age();
    let newer_if = |keep_survivor| if keep_survivor { &survivor } else { &absorbed };
    let chosen = match (survivorship, &survivor.value, &absorbed.value) {
        (Survivorship::Newest, _, _) => newer_if(survivor_is_newer),
        (Survivorship::Oldest, _, _) => newer_if(!survivor_is_newer),
        (_, None, None) => newer_if(survivor_is_newer),
        (_, Some(_), None) => &survivor,
        (_, None, Some(_)) => &absorbed,
        (Survivorship::Survivor | Survivorship::SurvivorOnly, _, _) => &survivor,
        (Survivorship::Absorbed, _, _) => &absorbed,
        (_, Some(a), Some(b)) => {
            let newer = newer_if(survivor_is_newer);
            let value = combined(survivorship, a, b).unwrap_or_else(|| {
                newer.value.as_deref().expect("both sides have a value").clone()
            });
            return Folded { value: Some(Cow::Owned(value)), ..newer.clone() };
        }
    };
    chosen.clone()
}

impl<'a> Folded<'a> {
    fn of(row: &'a TraitRow) -> Folded<'a> {
        let value = row.value.as_ref().map(Cow::Borrowed);
        Folded { value, time: row.time, sequence: row.sequence }
    }

    fn age(&self) -> (Timestamp, SequenceNumber) {
        (self.time, self.sequence)
    }
}
