//! Apply: the only code that changes a graph.
//!
//! It decides nothing and cannot fail. What it is given was decided on this very state, or
//! was read back and validated against it; anything else is a bug and panics.

use std::sync::Arc;

use crate::change::{
    Change, EventResolved, ObservedIdentifier, ProfileNumber, Record, RulesVersion, SequenceNumber,
    Target, TraitSet, Verdict,
};
use crate::event::TraitValue;
use crate::rules::{Rules, RulesText};
use crate::time::Timestamp;
use crate::union_find::Node;

use super::identifiers::IdentifierId;
use super::links::{Link, add_link, is_linked, link_hash};
use super::namespaces::Namespaces;
use super::remembered::{RefusalHash, RememberedEvent, event_hash};
use super::traits::{TraitRow, trait_hash};
use super::{Graph, Workspace};

impl Graph {
    /// Applies the next record.
    ///
    /// # Panics
    ///
    /// If the record was neither decided on this graph nor accepted by [`Graph::validate`].
    pub fn apply(&mut self, record: &Record<'_>) {
        assert_eq!(
            record.sequence.0,
            self.sequence.0 + 1,
            "records are applied in the order of their sequence numbers"
        );
        self.sequence = record.sequence;
        self.log_time = record.log_time;
        match &record.change {
            Change::WorkspaceCreated { name, profile_key, rules } => {
                self.create_workspace(name, *profile_key, rules);
            }
            Change::RulesSet { version, rules } => self.set_rules(*version, rules),
            Change::EventResolved(event) => self.apply_event(event),
        }
    }

    fn create_workspace(&mut self, name: &str, profile_key: [u8; 16], rules: &RulesText<'_>) {
        self.workspace = Some(Workspace {
            name: name.into(),
            profile_key,
            created_time: self.log_time,
            rules_version: RulesVersion(1),
            rules_text: rules.text().into(),
            namespaces: Namespaces::new(parsed(rules)),
        });
    }

    fn set_rules(&mut self, version: RulesVersion, rules: &RulesText<'_>) {
        let workspace = self.workspace.as_mut().expect("record 1 created the workspace");
        workspace.rules_version = version;
        workspace.rules_text = rules.text().into();
        let before = workspace.namespaces.rules().clone();
        workspace.namespaces.set_rules(parsed(rules));
        if !workspace.namespaces.rules().has_logins_of(&before) {
            self.recount_known();
        }
    }

    fn apply_event(&mut self, event: &EventResolved<'_>) {
        let root = self.apply_target(&event.target);
        if let Some(root) = root {
            self.attach_all(root, event);
            self.link_all(&event.identifiers);
            for trait_set in &event.traits {
                self.set_trait(root, trait_set, event.timestamp);
            }
        }
        self.remember_refusals(event);
        self.remember_event(event, root);
    }

    /// Gives the target its final shape; gives its root.
    fn apply_target(&mut self, target: &Target) -> Option<Node> {
        match target {
            Target::Unresolved => None,
            Target::Created(_) => {
                let node = self.profiles.create(self.sequence, self.log_time);
                self.state.add(self.profiles.hash(node));
                Some(node)
            }
            Target::Found(profile) => Some(self.root_of_profile(*profile)),
            Target::Merged { survivor, absorbed } => {
                for &profile in absorbed {
                    self.merge(*survivor, profile);
                }
                Some(self.root_of_profile(*survivor))
            }
        }
    }

    fn merge(&mut self, survivor: ProfileNumber, absorbed: ProfileNumber) {
        let (a, b) = (self.root_of_profile(survivor), self.root_of_profile(absorbed));
        for root in [a, b] {
            self.state.remove(self.profiles.hash(root));
        }
        self.profiles.merge(a, b, survivor, self.sequence);
        for node in [a, b] {
            self.state.add(self.profiles.hash(node));
        }
    }

    fn attach_all(&mut self, root: Node, event: &EventResolved<'_>) {
        for observed in &event.identifiers {
            if observed.verdict == Verdict::Attached {
                self.attach(root, observed, event.timestamp);
            }
        }
    }

    fn attach(&mut self, root: Node, observed: &ObservedIdentifier<'_>, time: Timestamp) {
        let workspace = self.workspace.as_mut().expect("record 1 created the workspace");
        let namespace = workspace.namespaces.add(&observed.namespace);
        let login = workspace.namespaces.rules_of(namespace).is_some_and(|rules| rules.login);
        let id = self.identifiers.insert(namespace, &observed.value, root, self.sequence, time);
        self.identifiers.row_mut(id).next = self.profiles.attach(root, id, login);
        self.state.add(self.identifier_hash(id));
    }

    /// Links the strongest identifier that the target holds with each of the others.
    fn link_all(&mut self, identifiers: &[ObservedIdentifier<'_>]) {
        let mut kept = identifiers.iter().filter(|observed| observed.verdict.is_kept());
        let Some(strongest) = kept.next() else { return };
        let stronger = self.expect_identifier(strongest);
        for observed in kept {
            let weaker = self.expect_identifier(observed);
            self.link(Link { stronger, weaker, sequence: self.sequence });
        }
    }

    fn link(&mut self, link: Link) {
        if is_linked(&self.identifiers, &self.further_links, link.stronger, link.weaker) {
            return;
        }
        add_link(&mut self.identifiers, &mut self.further_links, link);
        self.link_count += 1;
        self.state.add(link_hash(link));
    }

    fn set_trait(&mut self, root: Node, set: &TraitSet<'_>, time: Timestamp) {
        let row = TraitRow {
            name: set.name.as_ref().into(),
            value: set.value.as_ref().map(TraitValue::to_static),
            time,
            sequence: self.sequence,
        };
        self.state.add(trait_hash(root, &row));
        if let Some(old) = self.traits.set(root, row) {
            self.state.remove(trait_hash(root, &old));
        }
    }

    fn remember_refusals(&mut self, event: &EventResolved<'_>) {
        for refusal in RefusalHash::of_event(&event.target, &event.identifiers) {
            if self.remembered_refusals.contains(refusal) {
                continue;
            }
            self.state.add(refusal.state());
            if let Some(forgotten) = self.remembered_refusals.insert(refusal) {
                self.state.remove(forgotten.state());
            }
        }
    }

    fn remember_event(&mut self, event: &EventResolved<'_>, root: Option<Node>) {
        if event.event_id.is_empty() {
            return;
        }
        let mut sorted: Vec<&ObservedIdentifier<'_>> = event.identifiers.iter().collect();
        sorted.sort_by_key(|observed| (&observed.namespace, &observed.value));
        let remembered = RememberedEvent {
            event_id: event.event_id.as_ref().into(),
            digest: event.digest,
            sequence: self.sequence,
            log_time: self.log_time,
            rules_version: event.rules_version,
            known: root.is_some_and(|root| self.profiles.known(root)),
            target: event.target.clone(),
            verdicts: sorted.iter().map(|observed| observed.verdict.clone()).collect(),
        };
        self.state.add(event_hash(&remembered));
        let state = &mut self.state;
        self.remembered_events.insert(remembered, |forgotten| state.remove(event_hash(forgotten)));
    }

    /// Who is known depends on which namespaces log in: after a change of rules, count anew.
    fn recount_known(&mut self) {
        for node in 0..self.profiles.len() {
            self.profiles.set_known(node, false);
        }
        for id in (0..self.identifiers.rows.len()).map(IdentifierId) {
            let row = self.identifiers.rows.row(id);
            let rules = self.namespaces().rules_of(row.namespace);
            if rules.is_some_and(|rules| rules.login) {
                self.mark_known(row.node);
            }
        }
    }

    /// Marks a node and every node above it.
    fn mark_known(&mut self, node: Node) {
        let mut at = Some(node);
        while let Some(node) = at {
            self.profiles.set_known(node, true);
            at = self.profiles.parent(node).map(|(parent, _)| parent);
        }
    }

    fn root_of_profile(&self, profile: ProfileNumber) -> Node {
        let node = self.profiles.node(profile).expect("the record names profiles that exist");
        self.profiles.root(node)
    }

    fn expect_identifier(&self, observed: &ObservedIdentifier<'_>) -> IdentifierId {
        self.find_identifier(&observed.namespace, &observed.value)
            .expect("an identifier that was kept is attached")
    }
}

fn parsed(rules: &RulesText<'_>) -> Arc<Rules> {
    rules.rules().expect("rules are checked before they are decided")
}

/// Only for [`crate::snapshot`]: puts back state that was validated part by part.
impl Graph {
    pub(crate) fn restore_identifier(
        &mut self,
        namespace: u16,
        value: &str,
        node: Node,
        sequence: SequenceNumber,
        time: Timestamp,
    ) {
        let login = self.namespaces().rules_of(namespace).is_some_and(|rules| rules.login);
        let id = self.identifiers.insert(namespace, value, node, sequence, time);
        self.identifiers.row_mut(id).next = self.profiles.attach(node, id, login);
        self.state.add(self.identifier_hash(id));
    }

    pub(crate) fn restore_link(&mut self, link: Link) {
        self.link(link);
    }

    pub(crate) fn restore_trait(&mut self, node: Node, row: TraitRow) {
        self.state.add(trait_hash(node, &row));
        self.traits.set(node, row);
    }

    pub(crate) fn restore_event(&mut self, event: RememberedEvent) {
        self.state.add(event_hash(&event));
        let state = &mut self.state;
        self.remembered_events.insert(event, |forgotten| state.remove(event_hash(forgotten)));
    }

    pub(crate) fn restore_refusal(&mut self, refusal: RefusalHash) {
        self.state.add(refusal.state());
        self.remembered_refusals.insert(refusal);
    }

    /// Adds up the profile nodes, once their edges stand.
    pub(crate) fn restore_profile_hashes(&mut self) {
        for node in 0..self.profiles.len() {
            self.state.add(self.profiles.hash(node));
        }
    }
}
