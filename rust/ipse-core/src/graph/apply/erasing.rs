//! Erasing: the profile's nodes are emptied, the identifiers' text is blanked, and what was
//! remembered of either is forgotten.
//!
//! Numbers stay: rows and nodes are never given twice, because records and other people's
//! warehouses name them.

use crate::change::{
    Change, Erased, ErasedIdentifier, ErasureCompleted, ProfileNumber, Record, WorkspaceDeleted,
};
use crate::erasure::{Redactor, value_hash};
use crate::graph::Graph;
use crate::graph::attributions::attribution_hash;
use crate::graph::departures::departure_hash;
use crate::graph::erasures::{
    PendingErasure, Receipt, pending_hash, receipt_hash, suppression_hash,
};
use crate::graph::evidence::evidence_hash;
use crate::graph::holders::holder_hash;
use crate::graph::identifiers::IdentifierId;
use crate::graph::links::{Link, link_hash, remove_link};
use crate::graph::partings::parting_hash;
use crate::graph::remembered::{RememberedEvent, event_hash};
use crate::graph::traits::trait_hash;
use crate::union_find::Node;

impl Graph {
    pub(super) fn erase(&mut self, erased: &Erased) {
        let identifiers = self.hashed(&erased.identifiers);
        let rows: Vec<IdentifierId> =
            identifiers.iter().filter_map(|identifier| identifier.row).map(IdentifierId).collect();
        let roots = erased.profiles.iter().map(|p| self.profiles.root(p.0 - 1)).collect();
        self.remove_links(&rows, roots);
        for profile in &erased.profiles {
            let node = self.profiles.node(*profile).expect("the record erases what exists");
            self.empty_node(node);
        }
        rows.iter().for_each(|&id| self.blank(id));
        for profile in &erased.profiles {
            self.erase_node(profile.0 - 1);
        }
        self.note_erasure(erased, identifiers);
        self.forget_remembered(erased);
    }

    pub(super) fn complete_erasure(&mut self, completed: ErasureCompleted) {
        if let Some(pending) = self.erasures.remove_pending(completed.erasure) {
            self.state.remove(pending_hash(&pending));
        }
        if let Some(before) = self.erasures.complete(completed) {
            self.state.remove(receipt_hash(&before));
            let after = Receipt { completed: Some(completed), ..before };
            self.state.add(receipt_hash(&after));
        }
    }

    /// The identifiers with the hashes of the values that are still here: a record that was
    /// rewritten has them no more.
    fn hashed(&self, identifiers: &[ErasedIdentifier]) -> Vec<ErasedIdentifier> {
        let key = &self.workspace().profile_key;
        let hashed = |identifier: &ErasedIdentifier| {
            // What a record that was redacted gave the row is a pseudonym: only the hash tells.
            let id = identifier.row.map(IdentifierId).filter(|_| identifier.hash == 0);
            let there = id.filter(|&id| !self.identifiers.rows.row(id).is_blank());
            let hash = there.map(|id| self.text_of(id));
            let hash = hash.map_or(identifier.hash, |(name, value)| value_hash(key, name, value));
            ErasedIdentifier { hash, ..*identifier }
        };
        identifiers.iter().map(hashed).collect()
    }

    /// Removes the links between what goes and what is on the same profiles, or on those with
    /// these roots. One with an identifier that has left them since is left: two numbers, one of
    /// them of nobody.
    pub(super) fn remove_links(&mut self, rows: &[IdentifierId], mut roots: Vec<Node>) {
        let rows = &sorted(rows.to_vec())[..];
        let mut around: Vec<IdentifierId> = rows.to_vec();
        roots.extend(rows.iter().flat_map(|&id| self.roots_of(id)));
        around.extend(sorted(roots).into_iter().flat_map(|root| self.identifiers_of_profile(root)));
        let around = sorted(around);
        for link in self.links_between(rows, &around) {
            self.unlink_pair(link);
        }
    }

    fn unlink_pair(&mut self, link: Link) {
        remove_link(&mut self.identifiers, &mut self.further_links, link);
        self.link_count -= 1;
        self.state.remove(link_hash(link));
        self.uncount_pair(link);
    }

    /// Takes off a node all that it holds. Its counts are for [`Graph::erase_node`].
    fn empty_node(&mut self, node: Node) {
        for id in self.holders.of_node(node).to_vec() {
            for gone in self.holders.remove(id, |holder| holder.node == node) {
                self.state.remove(holder_hash(id, &gone));
            }
            self.refresh_further(id);
        }
        let listed: Vec<IdentifierId> = self.listed_of_node(node).collect();
        self.profiles.set_first_identifier(node, 0);
        for id in listed {
            self.unlist(id);
            self.refresh_further(id);
        }
    }

    /// Takes an identifier off everyone who holds it, and its value out of memory.
    pub(super) fn blank(&mut self, id: IdentifierId) {
        for root in self.roots_of(id) {
            self.detach(root, id);
        }
        for link in self.evidence.remove_of(id) {
            self.state.remove(evidence_hash(id, &link));
        }
        for side in self.partings.remove_of(id) {
            self.state.remove(parting_hash(id, side));
        }
        self.forget_last_seen(id);
        self.past.holdings.remove_a(id.0);
        self.state.remove(self.identifier_hash(id));
        self.identifiers.blank(id);
        self.state.add(self.identifier_hash(id));
    }

    fn erase_node(&mut self, node: Node) {
        for row in self.traits.remove_of(node) {
            self.state.remove(trait_hash(node, &row));
        }
        for attribution in self.attributions.remove_of(node) {
            self.state.remove(attribution_hash(&attribution));
        }
        self.past.holdings.remove_b(node);
        if let Some(departure) = self.departures.remove(node) {
            self.state.remove(departure_hash(node, departure));
        }
        self.rewrite_profile(node, |profiles| profiles.erase(node));
    }

    fn note_erasure(&mut self, erased: &Erased, identifiers: Vec<ErasedIdentifier>) {
        let receipt = Receipt::of(erased, self.sequence, self.log_time);
        self.restore_receipt(receipt);
        if erased.suppress {
            identifiers.iter().for_each(|identifier| {
                self.restore_suppression(identifier.hash);
            });
        }
        let profiles = erased.profiles.iter().map(|profile| profile.0).collect();
        self.restore_pending(PendingErasure { sequence: self.sequence, profiles, identifiers });
    }

    /// Forgets events of erased profiles, makes the records of others name nobody, and forgets
    /// all refusals: they are hashes, and nobody can say of whom. Each is recorded once more.
    fn forget_remembered(&mut self, erased: &Erased) {
        let redactor = self.redactor();
        let (state, profiles) = (&mut self.state, &erased.profiles);
        let is_theirs = |event: &RememberedEvent| {
            event.target.profile().is_some_and(|profile| profiles.binary_search(&profile).is_ok())
        };
        self.remembered_events.remove(is_theirs, |event| state.remove(event_hash(event)));
        self.remembered_events
            .redact(|event, record| redactor.redact_event(record, event.sequence));
        for refusal in self.remembered_refusals.take() {
            self.state.remove(refusal.state());
        }
    }

    /// What the files are to be searched for.
    pub fn redactor(&self) -> Redactor {
        self.redactor_with(&[])
    }

    /// The same with erasures that were completed, oldest first, for files that are older.
    pub fn redactor_with(&self, completed: &[PendingErasure]) -> Redactor {
        if self.is_gone() {
            let deletion = self.erasures.receipts().next().map(|receipt| receipt.sequence);
            return deletion.map_or_else(Redactor::default, Redactor::of_deleted);
        }
        let mut redactor = Redactor::new(self.workspace().profile_key);
        let is_pending = |known: &&PendingErasure| self.erasures.is_pending(known.sequence);
        let completed = completed.iter().filter(|known| !is_pending(known));
        for pending in completed.chain(self.erasures.pending()) {
            redactor.add(pending.sequence, &pending.profiles, &pending.identifiers);
        }
        redactor
    }

    /// The erasures that the files have not followed, as records that could bring them about.
    pub fn pending_records(&self) -> impl Iterator<Item = Record<'static>> {
        self.erasures.pending().iter().map(|pending| {
            let is_it = |known: &&Receipt| known.sequence == pending.sequence;
            let receipt = self.erasures.receipts().find(is_it).copied();
            // The oldest receipts give way.
            let receipt = receipt.unwrap_or_else(|| {
                Receipt::of(&Erased::default(), pending.sequence, self.log_time)
            });
            let change = match self.is_gone() {
                true => self.deletion_of(&receipt),
                false => erasure_of(&receipt, pending).into(),
            };
            Record { sequence: pending.sequence, log_time: receipt.time, change }
        })
    }

    fn deletion_of(&self, receipt: &Receipt) -> Change<'static> {
        let Receipt { operation, digest, profiles, identifiers, .. } = *receipt;
        let key = self.workspace().profile_key;
        WorkspaceDeleted { key, operation, digest, profiles, identifiers }.into()
    }

    pub(crate) fn restore_receipt(&mut self, receipt: Receipt) {
        self.state.add(receipt_hash(&receipt));
        if let Some(gone) = self.erasures.add_receipt(receipt) {
            self.state.remove(receipt_hash(&gone));
        }
    }

    pub(crate) fn restore_pending(&mut self, pending: PendingErasure) {
        self.state.add(pending_hash(&pending));
        self.erasures.add_pending(pending);
    }

    /// Keeps a value out; `false` if it was already.
    pub(crate) fn restore_suppression(&mut self, hash: u128) -> bool {
        let is_new = self.erasures.suppress(hash);
        if is_new {
            self.state.add(suppression_hash(hash));
        }
        is_new
    }
}

fn erasure_of(receipt: &Receipt, pending: &PendingErasure) -> Erased {
    Erased {
        operation: receipt.operation,
        digest: receipt.digest,
        profiles: pending.profiles.iter().map(|&profile| ProfileNumber(profile)).collect(),
        identifiers: pending.identifiers.clone(),
        traits: receipt.traits,
        suppress: receipt.suppress,
    }
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list
}
