//! From parts back to a graph. Everything a part claims is checked before it is used.

use std::sync::Arc;

use crate::change::{ProfileNumber, SequenceNumber};
use crate::graph::namespaces::Namespaces;
use crate::graph::remembered::RefusalHash;
use crate::graph::{Graph, Workspace};
use crate::identifier::is_namespace_name;
use crate::limits::{IDENTIFIER_VALUE_BYTES_MAX, NAMESPACES_MAX};
use crate::rules::Rules;

use super::rows::{Checked, columns, ensure, events_of, links_of, sequence, time, traits_of};
use super::{
    IdentifiersPart, InvalidPart, LinksPart, Part, ProfilesPart, RememberedEventsPart,
    RememberedRefusalsPart, TraitsPart, WorkspacePart,
};

/// Builds a graph from parts.
#[derive(Debug)]
pub struct Loader {
    graph: Graph,
    /// Of the part before: parts come in the order of their kinds.
    kind: u8,
    /// Parent (from 1) and merge of each profile node; edges are set when all nodes are there.
    edges: Vec<(u32, SequenceNumber)>,
    state_hash: u128,
}

impl Loader {
    /// Begins an empty graph with a seed for its hash tables.
    pub fn new(hash_seed: u64) -> Loader {
        Loader { graph: Graph::new(hash_seed), kind: 0, edges: Vec::new(), state_hash: 0 }
    }

    /// Takes the next part, or says what is impossible about it.
    pub fn add(&mut self, part: Part) -> Checked {
        let kind = kind_of(&part);
        let in_order = if kind == 1 { self.kind == 0 } else { self.kind >= 1 && kind >= self.kind };
        ensure(in_order, || "its parts are out of order".to_owned())?;
        self.kind = kind;
        match part {
            Part::Workspace(part) => self.add_workspace(part),
            Part::Profiles(part) => self.add_profiles(&part),
            Part::Identifiers(part) => self.add_identifiers(&part),
            Part::Links(part) => self.add_links(&part),
            Part::Traits(part) => self.add_traits(part),
            Part::RememberedEvents(part) => self.add_events(part),
            Part::RememberedRefusals(part) => self.add_refusals(&part),
        }
    }

    /// The graph, if the parts were whole and give the state hash that they promised.
    pub fn finish(mut self) -> Result<Graph, InvalidPart> {
        ensure(self.kind >= 1, || "it has no workspace part".to_owned())?;
        self.set_edges()?;
        self.graph.restore_profile_hashes();
        let (found, promised) = (self.graph.state_hash(), self.state_hash);
        ensure(found == promised, || {
            format!("its state hash is {found:032x}, but {promised:032x} was promised")
        })?;
        Ok(self.graph)
    }

    fn add_workspace(&mut self, part: WorkspacePart) -> Checked {
        let rules = check_workspace(&part)?;
        let namespaces = Namespaces::with_names(rules, &part.namespaces);
        ensure(namespaces.names().len() == part.namespaces.len(), || {
            "its namespaces lack some of its rules".to_owned()
        })?;
        self.graph.workspace = Some(Workspace {
            name: part.name.into(),
            profile_key: part.profile_key,
            created_time: part.created_time,
            rules_version: part.rules_version,
            rules_text: part.rules.into(),
            namespaces,
        });
        self.graph.sequence = part.sequence;
        self.graph.log_time = part.log_time;
        self.state_hash = part.state_hash;
        Ok(())
    }

    fn add_profiles(&mut self, part: &ProfilesPart) -> Checked {
        let rows = part.parent.len();
        columns(rows, &part.other_columns())?;
        for row in 0..rows {
            let created_time = time(part.created_time[row])?;
            let created = sequence(part.created_sequence[row])?;
            self.edges.push((part.parent[row], sequence(part.merged_sequence[row])?));
            self.graph.profiles.restore(ProfileNumber(part.bearer[row]), created, created_time);
        }
        Ok(())
    }

    fn add_identifiers(&mut self, part: &IdentifiersPart) -> Checked {
        let rows = part.namespace.len();
        columns(rows, &part.other_columns())?;
        for row in 0..rows {
            let (namespace, value) = (part.namespace[row], &part.value[row]);
            let known = self.graph.namespaces().names().len();
            ensure(usize::from(namespace) < known, || format!("namespace {namespace} of {known}"))?;
            ensure((1..=IDENTIFIER_VALUE_BYTES_MAX).contains(&value.len()), || {
                format!("an identifier has {} bytes", value.len())
            })?;
            ensure(self.graph.identifiers.find(namespace, value).is_none(), || {
                "an identifier stands twice".to_owned()
            })?;
            ensure(self.graph.identifiers.has_room(), || "too many identifiers".to_owned())?;
            let node = self.node(part.profile[row])?;
            let attached = sequence(part.attached_sequence[row])?;
            let time = time(part.attached_time[row])?;
            self.graph.restore_identifier(namespace, value, node, attached, time);
        }
        Ok(())
    }

    fn add_links(&mut self, part: &LinksPart) -> Checked {
        let identifiers = self.graph.identifiers.rows.len();
        for link in links_of(part)? {
            let (stronger, weaker) = (link.stronger.0, link.weaker.0);
            let possible = stronger != weaker && stronger.max(weaker) < identifiers;
            ensure(possible, || format!("a link of {stronger} and {weaker} of {identifiers}"))?;
            self.graph.restore_link(link);
        }
        Ok(())
    }

    fn add_traits(&mut self, part: TraitsPart) -> Checked {
        for (profile, row) in traits_of(part)? {
            let node = self.node(profile)?;
            self.graph.restore_trait(node, row);
        }
        Ok(())
    }

    fn add_events(&mut self, part: RememberedEventsPart) -> Checked {
        for event in events_of(part)? {
            let held = self.graph.remembered_events.find(&event.event_id, event.log_time);
            ensure(held.is_none(), || "a remembered event stands twice".to_owned())?;
            self.graph.restore_event(event);
        }
        Ok(())
    }

    fn add_refusals(&mut self, part: &RememberedRefusalsPart) -> Checked {
        columns(part.hash.len(), &[])?;
        for &hash in &part.hash {
            let refusal = RefusalHash(hash);
            let is_new = !self.graph.remembered_refusals.contains(refusal);
            ensure(is_new, || "a remembered refusal stands twice".to_owned())?;
            self.graph.restore_refusal(refusal);
        }
        Ok(())
    }

    /// Sets the edges of all merges, children before their parents, so that each node's
    /// counts are whole when it is hung below another.
    fn set_edges(&mut self) -> Checked {
        let nodes = self.edges.len();
        let mut children = vec![0u32; nodes];
        for &(parent, _) in &self.edges {
            if parent != 0 {
                let parent = self.node(parent)?;
                children[parent as usize] += 1;
            }
        }
        let is_leaf = |&node: &usize| children[node] == 0;
        let mut ready: Vec<usize> = (0..nodes).filter(is_leaf).collect();
        let mut done = 0;
        while let Some(node) = ready.pop() {
            done += 1;
            let (parent, merged) = self.edges[node];
            let Some(parent) = parent.checked_sub(1) else {
                continue;
            };
            self.graph.profiles.restore_edge(node as u32, parent, merged);
            children[parent as usize] -= 1;
            if children[parent as usize] == 0 {
                ready.push(parent as usize);
            }
        }
        ensure(done == nodes, || "its merges go in a circle".to_owned())?;
        let bears = |node: u32| self.node(self.graph.profiles.bearer(node).0).map(|_| ());
        (0..nodes as u32).try_for_each(bears)
    }

    fn node(&self, profile: u32) -> Result<u32, InvalidPart> {
        let node = self.graph.profiles.node(ProfileNumber(profile));
        node.ok_or_else(|| InvalidPart(format!("profile {profile} does not exist")))
    }
}

/// What a workspace part says, if it can be one; gives its rules.
pub(super) fn check_workspace(part: &WorkspacePart) -> Result<Arc<Rules>, InvalidPart> {
    let rules = Rules::from_toml(&part.rules)
        .map_err(|problems| InvalidPart(format!("its rules have {} problems", problems.len())))?;
    let names = &part.namespaces;
    let named = names.len() <= NAMESPACES_MAX && names.iter().all(|n| is_namespace_name(n));
    ensure(named, || "it has impossible namespaces".to_owned())?;
    Ok(Arc::new(rules))
}

fn kind_of(part: &Part) -> u8 {
    match part {
        Part::Workspace(_) => 1,
        Part::Profiles(_) => 2,
        Part::Identifiers(_) => 3,
        Part::Links(_) => 4,
        Part::Traits(_) => 5,
        Part::RememberedEvents(_) => 6,
        Part::RememberedRefusals(_) => 7,
    }
}
