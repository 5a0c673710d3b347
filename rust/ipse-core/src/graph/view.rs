//! Reading: profiles as they are now.

use crate::change::{ProfileNumber, SequenceNumber};
use crate::decide::Refusal;
use crate::event::TraitValue;
use crate::identifier::{is_namespace_name, normalise};
use crate::time::Timestamp;
use crate::union_find::Node;

use super::Graph;
use super::identifiers::IdentifierId;
use super::traits::TraitRow;

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

impl Graph {
    /// The profile that a number answers to now: for an absorbed one, its survivor.
    pub fn profile(&self, profile: ProfileNumber) -> Option<ProfileView<'_>> {
        let node = self.profiles.node(profile)?;
        Some(ProfileView { graph: self, root: self.profiles.root(node) })
    }

    /// The profile that holds an identifier, which is normalised here as an event's would be.
    ///
    /// Refuses a namespace that the workspace cannot have, and a value that is none of its
    /// namespace, by field: `namespace` or `value`.
    pub fn lookup(&self, namespace: &str, value: &str) -> Result<Option<ProfileView<'_>>, Refusal> {
        let Some(index) = self.namespaces().index(namespace) else {
            if self.rules().auto_add().is_some() && is_namespace_name(namespace) {
                return Ok(None);
            }
            return Err(Refusal::InvalidField {
                field: "namespace".to_owned(),
                problem: format!("{namespace:?} is not a namespace of this workspace"),
            });
        };
        // A namespace that rules no longer name keeps its identifiers as they were normalised.
        let normal = match self.namespaces().rules_of(index) {
            Some(rules) => normalise(rules.normaliser, value),
            None => Some(value.into()),
        };
        let Some(normal) = normal else {
            return Err(Refusal::InvalidField {
                field: "value".to_owned(),
                problem: format!("is empty, too long, or not a value of {namespace}"),
            });
        };
        let id = self.identifiers.find(index, &normal);
        Ok(id.map(|id| ProfileView { graph: self, root: self.root_of(id) }))
    }

    /// The trait of a name that outranks the others in a profile.
    pub(crate) fn strongest_trait(&self, nodes: &[Node], name: &str) -> Option<&TraitRow> {
        let of_node = |&node: &Node| {
            let rows = self.traits.of_node(node);
            let at = rows.binary_search_by(|row| (*row.name).cmp(name)).ok()?;
            Some(&rows[at])
        };
        nodes
            .iter()
            .filter_map(of_node)
            .reduce(|best, row| if row.outranks(best) { row } else { best })
    }
}

impl<'a> ProfileView<'a> {
    /// Whose id the profile bears.
    pub fn number(&self) -> ProfileNumber {
        self.graph.profiles.bearer(self.root)
    }

    /// Whether it holds an identifier of a login namespace.
    pub fn known(&self) -> bool {
        self.graph.profiles.known(self.root)
    }

    /// Log time of the creation of the profile whose id it bears.
    pub fn created_time(&self) -> Timestamp {
        let node = self.graph.profiles.node(self.number()).expect("a bearer was created");
        self.graph.profiles.created(node).1
    }

    /// How many identifiers it holds.
    pub fn identifier_count(&self) -> u32 {
        self.graph.profiles.identifier_count(self.root)
    }

    /// How many merges made it.
    pub fn merge_count(&self) -> u32 {
        self.graph.profiles.merges(self.root)
    }

    /// Its identifiers, strongest namespace first, then oldest first.
    pub fn identifiers(&self) -> Vec<IdentifierView<'a>> {
        let graph = self.graph;
        let namespaces = graph.namespaces();
        let mut ids: Vec<IdentifierId> = Vec::with_capacity(self.identifier_count() as usize);
        for node in graph.profiles.tree(self.root) {
            ids.extend(graph.identifiers_of_node(node));
        }
        ids.sort_by_cached_key(|&id| {
            let namespace = graph.identifiers.rows.row(id).namespace;
            (namespaces.order_of(Some(namespace), namespaces.name(namespace)), id)
        });
        ids.into_iter().map(|id| graph.identifier_view(id)).collect()
    }

    /// Its traits, by name; removed ones are left out.
    pub fn traits(&self) -> Vec<(&'a str, &'a TraitValue<'static>)> {
        let nodes = self.graph.profiles.tree(self.root);
        let mut names: Vec<&'a str> = nodes
            .iter()
            .flat_map(|&node| self.graph.traits.of_node(node))
            .map(|row| &*row.name)
            .collect();
        names.sort_unstable();
        names.dedup();
        let value = |name| Some((name, self.graph.strongest_trait(&nodes, name)?.value.as_ref()?));
        names.into_iter().filter_map(value).collect()
    }

    /// The profiles that were merged into it, oldest first.
    pub fn absorbed(&self) -> Vec<ProfileNumber> {
        let bearer = self.number();
        let nodes = self.graph.profiles.tree(self.root).into_iter();
        let mut numbers: Vec<ProfileNumber> =
            nodes.map(|node| ProfileNumber(node + 1)).filter(|&number| number != bearer).collect();
        numbers.sort_unstable();
        numbers
    }
}

impl Graph {
    /// The identifiers attached to a node itself, newest first.
    pub(crate) fn identifiers_of_node(&self, node: Node) -> impl Iterator<Item = IdentifierId> {
        let next = |id: &IdentifierId| {
            self.identifiers.rows.row(*id).next.checked_sub(1).map(IdentifierId)
        };
        std::iter::successors(self.profiles.first_identifier(node), next)
    }

    pub(crate) fn identifier_view(&self, id: IdentifierId) -> IdentifierView<'_> {
        let row = self.identifiers.rows.row(id);
        IdentifierView {
            namespace: self.namespaces().name(row.namespace),
            value: self.identifiers.rows.value(id),
            attached_time: row.attached_time(),
            sequence: row.attached_sequence(),
        }
    }
}
