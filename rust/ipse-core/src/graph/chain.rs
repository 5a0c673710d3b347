//! Chains of evidence: why two things are of one person.
//!
//! The shortest chain of links between two identifiers of a profile; of several that are as
//! short, one whose identifiers are of stronger namespaces. Where links alone do not lead from
//! one to the other, because a command put an identifier there or merged profiles, the chain also
//! goes through the profiles that hold them and the merges that joined these: that way there
//! always is one.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};

use crate::change::{ProfileNumber, SequenceNumber};
use crate::decide::Refusal;
use crate::union_find::Node;

use super::Graph;
use super::held::LinkView;
use super::identifiers::IdentifierId;
use super::trail::Merge;

/// One end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Spot {
    /// An identifier.
    Identifier(u32),
    /// A profile, by a number that it has or had.
    Profile(ProfileNumber),
}

/// One step from one spot to the next.
#[derive(Clone, Debug, PartialEq)]
pub enum Hop<'a> {
    /// Two identifiers were seen together.
    Linked(LinkView<'a>),
    /// A profile holds, or held before it was merged, an identifier.
    Held {
        /// Namespace and value.
        identifier: (&'a str, &'a str),
        /// The profile.
        profile: ProfileNumber,
        /// The record that attached it.
        sequence: SequenceNumber,
    },
    /// Two profiles became one.
    Merged(Merge),
}

/// How a search reached a spot: from which, and by what.
type Reached<'n, 'a> = BTreeMap<Spot, Option<(Spot, &'n Hop<'a>)>>;

impl Graph {
    /// The spot of an identifier as callers send it, if it was ever held; refused as by
    /// [`Graph::lookup`].
    pub fn spot(&self, namespace: &str, value: &str) -> Result<Option<Spot>, Refusal> {
        Ok(self.find_sent(namespace, value)?.map(|id| Spot::Identifier(id.0)))
    }

    /// The profiles that a spot is of, by the numbers that they bear now.
    pub fn profiles_at(&self, spot: Spot) -> Vec<ProfileNumber> {
        let roots = match spot {
            Spot::Identifier(row) => self.roots_of(IdentifierId(row)),
            Spot::Profile(number) => {
                let node = self.profiles.node(number);
                node.map(|node| self.profiles.root(node)).into_iter().collect()
            }
        };
        roots.into_iter().map(|root| self.profiles.bearer(root)).collect()
    }

    /// Namespace and value of a spot that is an identifier.
    pub fn identifier_at(&self, spot: Spot) -> Option<(&str, &str)> {
        match spot {
            Spot::Identifier(row) => Some(self.text_of(IdentifierId(row))),
            Spot::Profile(_) => None,
        }
    }

    /// The shortest chain of evidence from one spot of a profile to another, each hop with where
    /// it leads; none if one of them is not of the profile.
    pub fn chain(
        &self,
        profile: ProfileNumber,
        from: Spot,
        to: Spot,
    ) -> Option<Vec<(Hop<'_>, Spot)>> {
        let is_there = |spot| self.profiles_at(spot).contains(&profile);
        if !is_there(from) || !is_there(to) {
            return None;
        }
        let mut neighbours = Neighbours::of_links(self, profile);
        neighbours.chain(from, to).or_else(|| {
            neighbours.add_profiles(self, profile);
            neighbours.chain(from, to)
        })
    }
}

/// What lies one hop from each spot of a profile.
#[derive(Default)]
struct Neighbours<'a>(BTreeMap<Spot, Vec<(Spot, Hop<'a>)>>);

impl<'a> Neighbours<'a> {
    /// Links among the identifiers of a profile, stronger namespaces first.
    fn of_links(graph: &'a Graph, profile: ProfileNumber) -> Neighbours<'a> {
        let mut neighbours = Neighbours::default();
        let Some(node) = graph.profiles.node(profile) else { return neighbours };
        let ids = graph.identifiers_of_profile(graph.profiles.root(node));
        for link in graph.links_between(&ids, &ids) {
            if !graph.is_displaced(link.stronger, link.weaker) {
                let (a, b) = (Spot::Identifier(link.stronger.0), Spot::Identifier(link.weaker.0));
                neighbours.add(a, b, Hop::Linked(graph.link_view(link)));
            }
        }
        let strength = |spot: &Spot| match spot {
            Spot::Identifier(row) => {
                let (namespace, _) = graph.text_of(IdentifierId(*row));
                let index = graph.namespaces().index(namespace);
                (graph.namespaces().order_of(index, namespace), *row)
            }
            Spot::Profile(number) => ((u32::MAX, ""), number.0),
        };
        for around in neighbours.0.values_mut() {
            around.sort_by(|(a, _), (b, _)| strength(a).cmp(&strength(b)));
        }
        neighbours
    }

    /// The profiles that hold the identifiers, and the merges that joined them.
    fn add_profiles(&mut self, graph: &'a Graph, profile: ProfileNumber) {
        for number in graph.numbers_of(profile) {
            let node: Node = number.0 - 1;
            for id in graph.identifiers_of_node(node) {
                let first = graph.identifiers.rows.row(id).holder();
                let mut holders = first.iter().chain(graph.further_holders(id));
                if let Some(holder) = holders.find(|holder| holder.node == node) {
                    let (identifier, sequence) = (graph.text_of(id), holder.sequence);
                    let hop = Hop::Held { identifier, profile: number, sequence };
                    self.add(Spot::Identifier(id.0), Spot::Profile(number), hop);
                }
            }
            for (child, merge) in graph.merges_below(node) {
                let child = Spot::Profile(ProfileNumber(child + 1));
                self.add(Spot::Profile(number), child, Hop::Merged(merge));
            }
        }
    }

    fn add(&mut self, a: Spot, b: Spot, hop: Hop<'a>) {
        self.0.entry(a).or_default().push((b, hop.clone()));
        self.0.entry(b).or_default().push((a, hop));
    }

    /// The shortest way, found breadth first.
    fn chain(&self, from: Spot, to: Spot) -> Option<Vec<(Hop<'a>, Spot)>> {
        let mut reached: Reached<'_, 'a> = BTreeMap::from([(from, None)]);
        let mut next = VecDeque::from([from]);
        while let Some(at) = next.pop_front().filter(|_| !reached.contains_key(&to)) {
            for (spot, hop) in self.0.get(&at).into_iter().flatten() {
                if let Entry::Vacant(entry) = reached.entry(*spot) {
                    entry.insert(Some((at, hop)));
                    next.push_back(*spot);
                }
            }
        }
        let mut hops = Vec::new();
        let mut at = to;
        while let Some((before, hop)) = reached.remove(&at)? {
            hops.push((hop.clone(), at));
            at = before;
        }
        hops.reverse();
        Some(hops)
    }
}
