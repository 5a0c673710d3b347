//! Who holds an identifier: attaching, and taking off again.
//!
//! A profile's counts stand on each of its nodes for the subtree below; whatever changes what
//! a node holds is put right there and on every node above it.

use crate::change::{ObservedIdentifier, SequenceNumber};
use crate::time::Timestamp;
use crate::union_find::Node;

use crate::graph::Graph;
use crate::graph::departures::departure_hash;
use crate::graph::holders::{Holder, holder_hash};
use crate::graph::identifiers::{IdentifierId, Interned};
use crate::graph::profiles::Profiles;

impl Graph {
    /// Attaches an identifier to a root that does not hold it.
    pub(super) fn attach(
        &mut self,
        root: Node,
        observed: &ObservedIdentifier<'_>,
        time: Timestamp,
    ) {
        let workspace = self.workspace.as_mut().expect("record 1 created the workspace");
        let namespace = workspace.namespaces.add(&observed.namespace);
        let holder = Holder { node: root, sequence: self.sequence, time };
        match self.identifiers.intern(namespace, &observed.value, holder) {
            Interned::Found(id) => self.hold(id, holder),
            Interned::Added(id) => self.list(id, root),
        }
    }

    /// Puts an identifier that is there on a node that does not hold it.
    pub(super) fn hold(&mut self, id: IdentifierId, holder: Holder) {
        if self.identifiers.rows.row(id).holder().is_some() {
            self.add_further_holder(id, holder);
            return;
        }
        self.state.remove(self.identifier_hash(id));
        self.identifiers.row_mut(id).set_holder(holder, 0);
        self.list(id, holder.node);
    }

    /// Adds a holder to those that an identifier has.
    pub(super) fn add_further_holder(&mut self, id: IdentifierId, holder: Holder) {
        self.identifiers.row_mut(id).set_further_holders(true);
        self.state.add(holder_hash(id, &holder));
        self.holders.add(id, holder);
        let (login, counts) = self.weight(id);
        self.profiles.count_up(holder.node, login, counts);
    }

    /// Takes an identifier off every node of a profile that holds it; gives the event time of
    /// its oldest attachment there. The oldest holder that is left is its first.
    pub(super) fn detach(&mut self, root: Node, id: IdentifierId) -> Timestamp {
        let holding = self.holding(root, id).expect("the profile holds the identifier");
        if self.identifiers.rows.row(id).has_further_holders() {
            let profiles = &self.profiles;
            let gone = self.holders.remove(id, |further| profiles.root(further.node) == root);
            for further in gone {
                self.state.remove(holder_hash(id, &further));
                self.count_off(id, further.node);
            }
        }
        let first = self.identifiers.rows.row(id).holder();
        if let Some(first) = first.filter(|first| self.profiles.root(first.node) == root) {
            self.unlist(id, first.node);
            self.count_off(id, first.node);
        }
        let has_further = !self.holders.of(id).is_empty();
        self.identifiers.row_mut(id).set_further_holders(has_further);
        holding.time
    }

    /// Notes that an identifier was a source.
    pub(super) fn mark_source(&mut self, observed: &ObservedIdentifier<'_>) {
        let id = self.expect_identifier(observed);
        if self.identifiers.rows.row(id).was_source() {
            return;
        }
        self.state.remove(self.identifier_hash(id));
        self.identifiers.row_mut(id).set_was_source();
        self.state.add(self.identifier_hash(id));
    }

    /// Notes that this record changed a node and leaves no other trace on it.
    pub(super) fn note_departure(&mut self, node: Node) {
        self.set_departure(node, self.sequence);
    }

    pub(super) fn set_departure(&mut self, node: Node, sequence: SequenceNumber) {
        self.state.add(departure_hash(node, sequence));
        if let Some(before) = self.departures.set(node, sequence) {
            self.state.remove(departure_hash(node, before));
        }
    }

    /// Changes what the state hash takes of a node.
    pub(super) fn rewrite_profile(&mut self, node: Node, change: impl FnOnce(&mut Profiles)) {
        self.state.remove(self.profiles.hash(node));
        change(&mut self.profiles);
        self.state.add(self.profiles.hash(node));
    }

    /// Takes an identifier, whose row names the node, into the node's list and counts.
    pub(super) fn list(&mut self, id: IdentifierId, node: Node) {
        let next = self.profiles.attach(node, id);
        self.identifiers.row_mut(id).next = next;
        let (login, counts) = self.weight(id);
        self.profiles.count_up(node, login, counts);
        self.state.add(self.identifier_hash(id));
    }

    /// Takes an identifier out of the list of its first holder, whose place the next takes.
    fn unlist(&mut self, id: IdentifierId, node: Node) {
        self.state.remove(self.identifier_hash(id));
        self.close_gap(id, node);
        let Some(&heir) = self.holders.of(id).first() else {
            self.identifiers.row_mut(id).clear_holder();
            self.state.add(self.identifier_hash(id));
            return;
        };
        self.holders.remove(id, |further| *further == heir);
        self.state.remove(holder_hash(id, &heir));
        let next = self.profiles.attach(heir.node, id);
        self.identifiers.row_mut(id).set_holder(heir, next);
        self.state.add(self.identifier_hash(id));
    }

    /// Joins the two ends of a node's list that an identifier leaves.
    fn close_gap(&mut self, id: IdentifierId, node: Node) {
        let next = self.identifiers.rows.row(id).next;
        let is_before = |&before: &IdentifierId| self.identifiers.rows.row(before).next == id.0 + 1;
        let before = self.listed_of_node(node).find(is_before);
        match before {
            Some(before) => self.identifiers.row_mut(before).next = next,
            None => self.profiles.set_first_identifier(node, next),
        }
    }

    /// Counts an identifier that has left a node's lists off it.
    fn count_off(&mut self, id: IdentifierId, node: Node) {
        let (login, counts) = self.weight(id);
        if counts {
            self.profiles.count_down(node);
        }
        if login {
            self.refresh_known(node);
        }
        self.note_departure(node);
    }

    /// Whether an identifier makes its holder known, and whether it counts.
    fn weight(&self, id: IdentifierId) -> (bool, bool) {
        let namespace = self.identifiers.rows.row(id).namespace;
        let login = self.namespaces().rules_of(namespace).is_some_and(|rules| rules.login);
        (login, !self.namespaces().is_former_id(namespace))
    }

    /// Whether what a node holds itself, or what was said of it, makes it known.
    pub(super) fn makes_itself_known(&self, node: Node) -> bool {
        self.profiles.marked_known(node)
            || self.identifiers_of_node(node).any(|id| self.weight(id).0)
    }

    /// Sets a node and all above it known.
    pub(super) fn set_known_up(&mut self, node: Node) {
        let mut at = Some(node);
        while let Some(node) = at {
            self.profiles.set_known(node, true);
            at = self.profiles.parent(node).map(|(parent, _)| parent);
        }
    }

    /// Finds out anew whether a node and those above it are known.
    fn refresh_known(&mut self, node: Node) {
        let mut at = Some(node);
        while let Some(node) = at {
            let below = self.profiles.children(node).any(|child| self.profiles.known(child));
            let known = below || self.makes_itself_known(node);
            self.profiles.set_known(node, known);
            at = self.profiles.parent(node).map(|(parent, _)| parent);
        }
    }
}
