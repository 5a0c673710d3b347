//! Who holds an identifier: attaching, and taking off again.
//!
//! A profile's counts stand on each of its nodes for the subtree below; whatever changes what
//! a node holds is put right there and on every node above it.

use crate::change::{ObservedIdentifier, SequenceNumber};
use crate::erasure::is_pseudonym;
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
    ) -> IdentifierId {
        let workspace = self.workspace.as_mut().expect("record 1 created the workspace");
        let namespace = workspace.namespaces.add(&observed.namespace);
        let holder = Holder { node: root, sequence: self.sequence, time };
        let interned = if is_pseudonym(&observed.value) {
            match self.find_recorded(&observed.namespace, &observed.value) {
                Some(id) => Interned::Found(id),
                None => Interned::Added(self.identifiers.add_blank(namespace, holder)),
            }
        } else {
            self.identifiers.intern(namespace, &observed.value, holder)
        };
        match interned {
            Interned::Found(id) => {
                self.hold(id, holder);
                id
            }
            Interned::Added(id) => {
                self.list(id, root);
                id
            }
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
        self.unlink(&[(root, id)]);
        let mut left = Vec::new();
        let time = self.let_go(root, id, &mut left);
        self.refresh_known(left);
        time
    }

    /// The same of an identifier that [`Graph::unlink`] took out of the profile's list. Nodes
    /// that may not be known any more are `left` for later.
    pub(super) fn let_go(
        &mut self,
        root: Node,
        id: IdentifierId,
        left: &mut Vec<Node>,
    ) -> Timestamp {
        let holding = self.holding(root, id).expect("the profile holds the identifier");
        let several = self.identifiers.rows.row(id).has_further_holders();
        if several {
            let profiles = &self.profiles;
            let gone = self.holders.remove(id, |further| profiles.root(further.node) == root);
            for further in gone {
                self.state.remove(holder_hash(id, &further));
                self.past.end_holding(id, &further, several, self.sequence);
                self.count_off(id, further.node, left);
            }
        }
        let first = self.identifiers.rows.row(id).holder();
        if let Some(first) = first.filter(|first| self.profiles.root(first.node) == root) {
            self.unlist(id);
            self.past.end_holding(id, &first, several, self.sequence);
            self.count_off(id, first.node, left);
        }
        self.refresh_further(id);
        holding.time
    }

    pub(super) fn refresh_further(&mut self, id: IdentifierId) {
        let has_further = !self.holders.of(id).is_empty();
        self.identifiers.row_mut(id).set_further_holders(has_further);
    }

    /// Takes identifiers out of the lists of profiles that are their first holders: each list
    /// is walked once, for however many.
    pub(super) fn unlink(&mut self, leaving: &[(Node, IdentifierId)]) {
        let first_node = |&(root, id): &(Node, IdentifierId)| {
            let node = self.identifiers.rows.row(id).holder()?.node;
            (self.profiles.root(node) == root).then_some((node, id))
        };
        let mut by_node: Vec<(Node, IdentifierId)> =
            leaving.iter().filter_map(first_node).collect();
        by_node.sort_unstable();
        for of_node in by_node.chunk_by(|a, b| a.0 == b.0) {
            self.unlink_from(of_node[0].0, of_node);
        }
    }

    fn unlink_from(&mut self, node: Node, leaving: &[(Node, IdentifierId)]) {
        let mut left = leaving.len();
        let mut before: Option<IdentifierId> = None;
        let mut at = self.profiles.first_identifier(node);
        while let Some(id) = at.filter(|_| left > 0) {
            let next = self.identifiers.rows.row(id).next;
            if leaving.binary_search(&(node, id)).is_err() {
                before = Some(id);
            } else {
                left -= 1;
                match before {
                    Some(before) => self.identifiers.row_mut(before).next = next,
                    None => self.profiles.set_first_identifier(node, next),
                }
            }
            at = next.checked_sub(1).map(IdentifierId);
        }
    }

    /// Notes that an identifier was a source.
    pub(super) fn mark_source(&mut self, id: IdentifierId) {
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

    /// Takes the first holder off an identifier that is out of its list; the next takes its
    /// place.
    pub(super) fn unlist(&mut self, id: IdentifierId) {
        self.state.remove(self.identifier_hash(id));
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

    /// Counts an identifier that has left a node's lists off it.
    fn count_off(&mut self, id: IdentifierId, node: Node, left: &mut Vec<Node>) {
        let (login, counts) = self.weight(id);
        if counts {
            self.profiles.count_down(node);
        }
        if login {
            left.push(node);
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

    /// Finds out anew whether nodes and those above them are known.
    pub(super) fn refresh_known(&mut self, mut nodes: Vec<Node>) {
        nodes.sort_unstable();
        nodes.dedup();
        for node in nodes {
            let mut at = Some(node);
            while let Some(node) = at {
                let below = self.profiles.children(node).any(|child| self.profiles.known(child));
                let known = below || self.makes_itself_known(node);
                self.profiles.set_known(node, known);
                at = self.profiles.parent(node).map(|(parent, _)| parent);
            }
        }
    }
}
