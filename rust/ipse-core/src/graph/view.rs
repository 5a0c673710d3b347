//! Reading: profiles as they are now.

use std::borrow::Cow;

use crate::change::{ProfileNumber, SequenceNumber};
use crate::event::TraitValue;
use crate::time::Timestamp;
use crate::union_find::Node;

use super::Graph;
use super::attributions::AttributionView;
use super::identifiers::IdentifierId;

/// A profile, seen now.
#[derive(Clone, Copy, Debug)]
pub struct ProfileView<'a> {
    graph: &'a Graph,
    root: Node,
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
    /// Whose id the profile bears.
    pub fn number(&self) -> ProfileNumber {
        self.graph.profiles.bearer(self.root)
    }

    /// Whether it holds an identifier of a login namespace, or was marked known.
    pub fn known(&self) -> bool {
        self.graph.profiles.known(self.root)
    }

    /// When the oldest of its parts was created: log time, or what an import said.
    pub fn created_time(&self) -> Timestamp {
        let nodes = self.nodes().into_iter();
        let times = nodes.map(|node| self.graph.profiles.created(node).1);
        times.min().expect("a tree has a root")
    }

    /// How many identifiers it holds, former ids left out.
    pub fn identifier_count(&self) -> u32 {
        self.graph.identifier_count(self.root)
    }

    /// How many merges made it.
    pub fn merge_count(&self) -> u32 {
        self.graph.profiles.merges(self.root)
    }

    /// Its identifiers, strongest namespace first, then oldest first; former ids are left out.
    pub fn identifiers(&self) -> Vec<IdentifierView<'a>> {
        let graph = self.graph;
        let namespaces = graph.namespaces();
        let mut ids = graph.identifiers_of_profile(self.root);
        ids.retain(|&id| !graph.is_former_id(id));
        ids.sort_by_cached_key(|&id| {
            let namespace = graph.identifiers.rows.row(id).namespace;
            (namespaces.order_of(Some(namespace), namespaces.name(namespace)), id)
        });
        ids.into_iter().map(|id| self.identifier(id)).collect()
    }

    /// Whether it holds an identifier of a namespace.
    pub fn has_namespace(&self, namespace: &str) -> bool {
        let Some(index) = self.graph.namespaces().index(namespace) else { return false };
        let mut ids = self.graph.identifiers_of_profile(self.root).into_iter();
        ids.any(|id| self.graph.identifiers.rows.row(id).namespace == index)
    }

    /// The ids it had in former systems, oldest first.
    pub fn former_ids(&self) -> Vec<&'a str> {
        let graph = self.graph;
        if !graph.namespaces().has_former_ids() {
            return Vec::new();
        }
        let ids = graph.identifiers_of_profile(self.root).into_iter();
        ids.filter(|&id| graph.is_former_id(id))
            .map(|id| graph.identifiers.rows.value(id))
            .collect()
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
    /// ones are left out.
    pub fn traits(&self) -> Vec<(&'a str, Cow<'a, TraitValue<'static>>)> {
        let folded = self.graph.folded_traits(vec![self.root]);
        let value = |name| Some((name, folded.get(name)?.value?));
        folded.names().into_iter().filter_map(value).collect()
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
        self.graph.attributions_of(self.root)
    }

    /// The newest record that changed it.
    pub fn changed_sequence(&self) -> SequenceNumber {
        let graph = self.graph;
        let of_node = |node: Node| {
            let merged = graph.profiles.parent(node).map(|(_, merged)| merged);
            let traits = graph.traits.of_node(node).iter().map(|row| row.sequence).max();
            let attributed = graph.attributions.of_node(node).last().map(|a| a.sequence);
            let created = Some(graph.profiles.created(node).0);
            [created, merged, graph.departures.of(node), traits, attributed].into_iter().flatten()
        };
        let nodes = self.nodes().into_iter().flat_map(of_node);
        let ids = graph.identifiers_of_profile(self.root).into_iter();
        let attached = ids.filter_map(|id| graph.holding(self.root, id)).map(|held| held.sequence);
        nodes.chain(attached).max().expect("a profile was created")
    }

    fn nodes(&self) -> Vec<Node> {
        self.graph.profiles.tree(self.root)
    }

    fn identifier(&self, id: IdentifierId) -> IdentifierView<'a> {
        let row = self.graph.identifiers.rows.row(id);
        let held = self.graph.holding(self.root, id).expect("the profile holds it");
        IdentifierView {
            namespace: self.graph.namespaces().name(row.namespace),
            value: self.graph.identifiers.rows.value(id),
            attached_time: held.time,
            sequence: held.sequence,
        }
    }
}

impl Graph {
    /// The namespace and value of an identifier.
    pub(crate) fn text_of(&self, id: IdentifierId) -> (&str, &str) {
        let row = self.identifiers.rows.row(id);
        (self.namespaces().name(row.namespace), self.identifiers.rows.value(id))
    }

    /// The profile with this root.
    pub(crate) fn view_of(&self, root: Node) -> ProfileView<'_> {
        ProfileView { graph: self, root }
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
        let nodes = self.profiles.tree(root).into_iter();
        let mut attributions: Vec<AttributionView> =
            nodes.flat_map(|node| self.attributions.of_node(node)).copied().collect();
        attributions.sort_unstable_by_key(|attribution| attribution.sequence);
        attributions.dedup();
        attributions
    }
}
