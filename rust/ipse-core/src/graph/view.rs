//! Reading: profiles as they are now, or were as of some record.

use std::borrow::Cow;

use crate::change::{ProfileNumber, SequenceNumber};
use crate::event::TraitValue;
use crate::time::Timestamp;
use crate::union_find::Node;

use super::Graph;
use super::attributions::AttributionView;
use super::holders::Holder;
use super::identifiers::IdentifierId;

/// A profile, seen now or as of some record.
///
/// As of a record it shows the identifiers, ids and merges of then. What rules make of them
/// (whether it is known, its canonical id, which value of a trait counts) goes by the rules in
/// force now; that a command marked a profile known is not dated, and counts from the beginning.
#[derive(Clone, Copy, Debug)]
pub struct ProfileView<'a> {
    graph: &'a Graph,
    root: Node,
    /// The newest record that counts.
    at: SequenceNumber,
}

/// An identifier as a profile holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentifierView<'a> {
    /// Its namespace's name.
    pub namespace: &'a str,
    /// Its normalised value.
    pub value: &'a str,
    /// Event time of the attachment.
    pub attached_time: Timestamp,
    /// The record that made it.
    pub sequence: SequenceNumber,
}

impl<'a> ProfileView<'a> {
    /// The profile that had a root as of a record.
    pub(crate) fn as_of(graph: &'a Graph, root: Node, at: SequenceNumber) -> ProfileView<'a> {
        ProfileView { graph, root, at }
    }

    /// Whose id the profile bears.
    pub fn number(&self) -> ProfileNumber {
        self.graph.bearer_at(self.root, self.at)
    }

    /// Whether it holds an identifier of a login namespace, or was marked known.
    pub fn known(&self) -> bool {
        let graph = self.graph;
        if self.is_now() {
            return graph.profiles.known(self.root);
        }
        let logs_in = |id: IdentifierId| {
            let rules = graph.namespaces().rules_of(graph.identifiers.rows.row(id).namespace);
            rules.is_some_and(|rules| rules.login)
        };
        self.held().any(|(id, _)| logs_in(id))
            || self.nodes().into_iter().any(|node| graph.profiles.marked_known(node))
    }

    /// When the oldest of its parts was created: log time, or what an import said.
    pub fn created_time(&self) -> Timestamp {
        let nodes = self.nodes().into_iter();
        let times = nodes.map(|node| self.graph.profiles.created(node).1);
        times.min().expect("a tree has a root")
    }

    /// How many identifiers it holds, former ids left out.
    pub fn identifier_count(&self) -> u32 {
        match self.is_now() {
            true => self.graph.identifier_count(self.root),
            false => self.held().filter(|(id, _)| !self.graph.is_former_id(*id)).count() as u32,
        }
    }

    /// How many merges made it.
    pub fn merge_count(&self) -> u32 {
        match self.is_now() {
            true => self.graph.profiles.merges(self.root),
            false => self.nodes().len() as u32 - 1,
        }
    }

    /// Its identifiers, strongest namespace first, then oldest first; former ids are left out.
    pub fn identifiers(&self) -> Vec<IdentifierView<'a>> {
        let graph = self.graph;
        let namespaces = graph.namespaces();
        let mut held: Vec<(IdentifierId, Holder)> =
            self.held().filter(|(id, _)| !graph.is_former_id(*id)).collect();
        held.sort_by_cached_key(|&(id, _)| {
            let namespace = graph.identifiers.rows.row(id).namespace;
            (namespaces.order_of(Some(namespace), namespaces.name(namespace)), id)
        });
        held.into_iter().map(|(id, holder)| self.identifier(id, holder)).collect()
    }

    /// Whether it holds an identifier of a namespace.
    pub fn has_namespace(&self, namespace: &str) -> bool {
        let Some(index) = self.graph.namespaces().index(namespace) else { return false };
        self.held().any(|(id, _)| self.graph.identifiers.rows.row(id).namespace == index)
    }

    /// The ids it had in former systems, oldest first.
    pub fn former_ids(&self) -> Vec<&'a str> {
        let graph = self.graph;
        if !graph.namespaces().has_former_ids() {
            return Vec::new();
        }
        let former = self.held().filter(|(id, _)| graph.is_former_id(*id));
        former.map(|(id, _)| graph.identifiers.rows.value(id)).collect()
    }

    /// Its canonical id, if the rules give it one: the value that it has had longest of the
    /// first namespace of their list of which it has any, behind that namespace's prefix.
    pub fn canonical_id(&self) -> Option<String> {
        let rules = self.graph.rules();
        if rules.canonical_id.is_empty() {
            return None;
        }
        let identifiers = self.identifiers();
        let oldest = |name: &str| {
            let own = identifiers.iter().filter(|identifier| identifier.namespace == name);
            own.min_by_key(|identifier| identifier.sequence)
        };
        let name = rules.canonical_id.iter().find(|name| oldest(name).is_some())?;
        let prefix = rules.namespace(name).map_or("", |rules| &rules.canonical_prefix);
        Some(format!("{prefix}{}", oldest(name)?.value))
    }

    /// Its traits, by name, each with the value that the rules give a merged profile; removed
    /// ones are left out, and those that [`ProfileView::traits_set_later`] names.
    pub fn traits(&self) -> Vec<(&'a str, Cow<'a, TraitValue<'static>>)> {
        let folded = self.graph.folded_traits_at(vec![self.root], self.at);
        let value = |name| {
            let is_kept = self.is_now() || !folded.is_set_later(name);
            Some((name, is_kept.then(|| folded.get(name)).flatten()?.value?))
        };
        folded.names().into_iter().filter_map(value).collect()
    }

    /// The traits of which only a later value is kept: whether they had one then is not known.
    pub fn traits_set_later(&self) -> Vec<&'a str> {
        if self.is_now() {
            return Vec::new();
        }
        let folded = self.graph.folded_traits_at(vec![self.root], self.at);
        folded.names().into_iter().filter(|name| folded.is_set_later(name)).collect()
    }

    /// The profiles that were merged into it, oldest first.
    pub fn absorbed(&self) -> Vec<ProfileNumber> {
        let bearer = self.number();
        let nodes = self.nodes().into_iter();
        let mut numbers: Vec<ProfileNumber> =
            nodes.map(|node| ProfileNumber(node + 1)).filter(|&number| number != bearer).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The attributions of history in which it, or a part of it, is source or destination, in
    /// order of their records.
    pub fn attributions(&self) -> Vec<AttributionView> {
        let mut attributions = self.graph.attributions_of_nodes(self.nodes());
        attributions.retain(|attribution| attribution.sequence <= self.at);
        attributions
    }

    /// The newest record that changed it: as of some record, of those that it can be told of.
    pub fn changed_sequence(&self) -> SequenceNumber {
        let graph = self.graph;
        let of_node = |node: Node| {
            let merged = graph.parent_at(node, self.at).map(|(_, merged)| merged);
            let traits = graph.traits.of_node(node).iter().map(|row| row.sequence);
            let attributed = graph.attributions.of_node(node).iter().map(|a| a.sequence);
            let created = Some(graph.profiles.created(node).0);
            let single = [created, merged, graph.departures.of(node)].into_iter().flatten();
            single.chain(traits).chain(attributed).filter(|sequence| *sequence <= self.at)
        };
        let nodes = self.nodes().into_iter().flat_map(of_node);
        let attached = self.held().map(|(_, holder)| holder.sequence);
        nodes.chain(attached).max().expect("a profile was created")
    }

    fn is_now(&self) -> bool {
        self.at >= self.graph.sequence
    }

    fn nodes(&self) -> Vec<Node> {
        self.graph.tree_at(self.root, self.at)
    }

    fn held(&self) -> impl Iterator<Item = (IdentifierId, Holder)> + use<> {
        self.graph.held_at(self.nodes(), self.at).into_iter()
    }

    fn identifier(&self, id: IdentifierId, holder: Holder) -> IdentifierView<'a> {
        let row = self.graph.identifiers.rows.row(id);
        IdentifierView {
            namespace: self.graph.namespaces().name(row.namespace),
            value: self.graph.identifiers.rows.value(id),
            attached_time: holder.time,
            sequence: holder.sequence,
        }
    }
}

impl Graph {
    /// The namespace and value of an identifier.
    pub(crate) fn text_of(&self, id: IdentifierId) -> (&str, &str) {
        let row = self.identifiers.rows.row(id);
        (self.namespaces().name(row.namespace), self.identifiers.rows.value(id))
    }

    /// The profile with this root, now.
    pub(crate) fn view_of(&self, root: Node) -> ProfileView<'_> {
        ProfileView { graph: self, root, at: self.sequence }
    }

    /// The identifiers that a node itself holds, in no order that means anything.
    pub(crate) fn identifiers_of_node(&self, node: Node) -> impl Iterator<Item = IdentifierId> {
        self.listed_of_node(node).chain(self.holders.of_node(node).iter().copied())
    }

    /// The identifiers that a node was the first to hold.
    pub(crate) fn listed_of_node(&self, node: Node) -> impl Iterator<Item = IdentifierId> {
        let next = |id: &IdentifierId| {
            self.identifiers.rows.row(*id).next.checked_sub(1).map(IdentifierId)
        };
        std::iter::successors(self.profiles.first_identifier(node), next)
    }

    /// The attributions of history of the profile with this root, in order of their records.
    pub(crate) fn attributions_of(&self, root: Node) -> Vec<AttributionView> {
        self.attributions_of_nodes(self.profiles.tree(root))
    }

    fn attributions_of_nodes(&self, nodes: Vec<Node>) -> Vec<AttributionView> {
        let of_node = |node| self.attributions.of_node(node);
        let mut attributions: Vec<AttributionView> =
            nodes.into_iter().flat_map(of_node).copied().collect();
        attributions.sort_unstable_by_key(|attribution| attribution.sequence);
        attributions.dedup();
        attributions
    }
}
