//! Erasing someone, or one identifier: what goes with it.
//!
//! With a profile go the identifiers that nobody else holds; one that others hold, too, only
//! leaves the profile. A forgotten identifier leaves everyone. Where rules derive hashes of a
//! value, they go with it.

use std::collections::BTreeSet;

use crate::change::{Change, Erased, ErasedIdentifier, ProfileNumber, Rule, WorkspaceDeleted};
use crate::command::{Erasable, Erase, Operation};
use crate::erasure::{keyed_hash, value_hash};
use crate::event::SentIdentifier;
use crate::graph::Graph;
use crate::graph::Receipt;
use crate::graph::identifiers::IdentifierId;
use crate::limits::ERASURES_PENDING_MAX;
use crate::time::Timestamp;

use super::Refusal;
use super::candidates::{Candidate, hashes_of, of_list};
use super::fields::invalid;

/// What is to come of a request to erase.
#[derive(Clone, Debug, PartialEq)]
pub enum ErasureDecision {
    /// It erases: the change to log.
    New(Erased),
    /// It was carried out before, under the same operation id.
    Repeated(Receipt),
}

impl Graph {
    /// Decides what to erase.
    pub fn decide_erase(
        &self,
        command: &Erase<'_>,
        now: Timestamp,
    ) -> Result<ErasureDecision, Refusal> {
        super::fields::check_operation(&command.operation, now)?;
        let (operation, digest) = self.operation_hashes(&command.operation);
        if let Some(receipt) = self.erasures.of_operation(operation) {
            return match receipt.digest == digest {
                true => Ok(ErasureDecision::Repeated(*receipt)),
                false => Err(Refusal::EventIdReused { sequence: receipt.sequence }),
            };
        }
        let mut erased = match &command.what {
            Erasable::Profile(profile) => self.erased_profiles(&[self.root_to_change(*profile)?]),
            Erasable::HolderOf(sent) => self.erased_profiles(&[self.only_holder(sent)?]),
            Erasable::Identifier(sent) => self.erased_identifier(sent)?,
        };
        if self.erasures.pending().len() >= ERASURES_PENDING_MAX {
            let what = "erasures that a checkpoint has yet to carry into the files";
            return Err(Refusal::CapacityExceeded { what, bound: ERASURES_PENDING_MAX });
        }
        (erased.operation, erased.digest) = (operation, digest);
        erased.suppress = command.suppress;
        Ok(ErasureDecision::New(erased))
    }

    /// Decides to delete the workspace, which is there.
    pub fn decide_deletion(
        &self,
        operation: &Operation<'_>,
        now: Timestamp,
    ) -> Result<WorkspaceDeleted, Refusal> {
        super::fields::check_operation(operation, now)?;
        let (operation, digest) = self.operation_hashes(operation);
        match self.erasures.of_operation(operation) {
            Some(receipt) => Err(Refusal::EventIdReused { sequence: receipt.sequence }),
            None => Ok(self.deletion(self.workspace().profile_key, operation, digest)),
        }
    }

    /// The receipt of a workspace that is gone, if this very request deleted it.
    pub fn repeated_deletion(&self, operation: &Operation<'_>) -> Option<Receipt> {
        let (operation, digest) = self.operation_hashes(operation);
        let receipt = self.erasures.of_operation(operation);
        receipt.filter(|receipt| self.is_gone() && receipt.digest == digest).copied()
    }

    /// What a later deletion takes out of this graph, which is of a moment before it.
    pub fn deleted_again(&self, later: &WorkspaceDeleted) -> WorkspaceDeleted {
        self.deletion(later.key, later.operation, later.digest)
    }

    fn deletion(&self, key: [u8; 16], operation: u128, digest: u128) -> WorkspaceDeleted {
        let identifiers = self.identifiers.rows.len() - self.identifiers.blanks();
        WorkspaceDeleted { key, operation, digest, profiles: self.profiles.len(), identifiers }
    }

    /// What a later erasure takes out of this graph, which is of a moment before it: what there is
    /// of its identifiers, and of its profiles with all that is on them now. Whatever else a
    /// profile gave away or was rid of until it was erased was theirs at this moment.
    pub fn erased_again(&self, later: &Erased) -> Erased {
        let is_here = |node: &u32| !self.profiles.is_erased(*node);
        let nodes = later.profiles.iter().filter_map(|profile| self.profiles.node(*profile));
        let roots: BTreeSet<u32> =
            nodes.filter(is_here).map(|node| self.profiles.root(node)).collect();
        let mut erased = self.erased_profiles(&Vec::from_iter(roots));
        let named = later.identifiers.iter().map(|known| self.here(known));
        let named: Vec<ErasedIdentifier> =
            named.filter(|known| known.row.is_some() || known.hash != 0).collect();
        erased.identifiers.retain(|held| named.iter().all(|known| known.row != held.row));
        erased.identifiers.extend(named);
        (erased.operation, erased.digest) = (later.operation, later.digest);
        erased.suppress = later.suppress;
        erased
    }

    /// An identifier that was erased later as it is here: its row may not be there yet.
    fn here(&self, later: &ErasedIdentifier) -> ErasedIdentifier {
        let rows = &self.identifiers.rows;
        let is_here = |row: &u32| *row < rows.len() && !rows.row(IdentifierId(*row)).is_blank();
        match later.row.filter(is_here) {
            Some(row) if later.hash == 0 => self.to_erase(IdentifierId(row)),
            row => ErasedIdentifier { row, hash: later.hash },
        }
    }

    /// Hashes of the operation id, and of it with the request; 0 without an id. A digest of the
    /// request alone could be found out by guessing.
    fn operation_hashes(&self, operation: &Operation<'_>) -> (u128, u128) {
        if operation.operation_id.is_empty() {
            return (0, 0);
        }
        let key = &self.workspace().profile_key;
        let id = operation.operation_id.as_bytes();
        let digest = keyed_hash(key, b"erasure", &[id, operation.fingerprint]);
        (keyed_hash(key, b"operation", &[id]), digest)
    }

    fn erased_profiles(&self, roots: &[u32]) -> Erased {
        let mut nodes: Vec<u32> = roots.iter().flat_map(|&root| self.profiles.tree(root)).collect();
        nodes.sort_unstable();
        let is_held_elsewhere =
            |id: &IdentifierId| self.roots_of(*id).iter().any(|holder| !roots.contains(holder));
        let held = roots.iter().flat_map(|&root| self.identifiers_of_profile(root));
        let mut seen = BTreeSet::new();
        let held = held.filter(|id| !is_held_elsewhere(id) && seen.insert(*id));
        let identifiers = held.map(|id| self.to_erase(id));
        let traits: usize = nodes.iter().map(|&node| self.traits.names_of(node)).sum();
        Erased {
            identifiers: identifiers.collect(),
            traits: u32::try_from(traits).unwrap_or(u32::MAX),
            profiles: nodes.into_iter().map(|node| ProfileNumber(node + 1)).collect(),
            ..Erased::default()
        }
    }

    /// The root of the profile that holds an identifier, if that is one.
    fn only_holder(&self, sent: &SentIdentifier<'_>) -> Result<u32, Refusal> {
        let candidate = self.read_to_erase(sent)?;
        let id = self.find_identifier(&candidate.namespace, &candidate.value);
        match id.map_or_else(Vec::new, |id| self.roots_of(id))[..] {
            [] => Err(Refusal::UnknownProfile),
            [root] => Ok(root),
            ref roots => invalid(
                "identifier",
                &format!("is on {} profiles: name the profile by its id", roots.len()),
            ),
        }
    }

    /// One that nobody ever held is erased, too: records may name it, and it may be suppressed.
    fn erased_identifier(&self, sent: &SentIdentifier<'_>) -> Result<Erased, Refusal> {
        let candidate = self.read_to_erase(sent)?;
        let hashes = hashes_of(self, &candidate);
        let mut identifiers: Vec<ErasedIdentifier> = Vec::new();
        for candidate in std::iter::once(&candidate).chain(&hashes) {
            let id = self.find_identifier(&candidate.namespace, &candidate.value);
            identifiers.push(id.map_or_else(|| self.unheld(candidate), |id| self.to_erase(id)));
        }
        Ok(Erased { identifiers, ..Erased::default() })
    }

    /// A value as an event would bring it. One that a rule drops may be in records.
    fn read_to_erase<'s>(&self, sent: &'s SentIdentifier<'s>) -> Result<Candidate<'s>, Refusal> {
        let list = std::slice::from_ref(sent);
        let candidate = of_list(self, list, &[], "identifier")
            .map_err(|refusal| refusal.at_field("identifier"))?
            .pop()
            .expect("one was read");
        match candidate.dropped.as_deref().map(|reason| reason.rule) {
            Some(Rule::InvalidValue) => invalid("identifier", "is no value of its namespace"),
            Some(Rule::Suppressed) => invalid("identifier", "is erased and suppressed already"),
            _ => Ok(candidate),
        }
    }

    fn to_erase(&self, id: IdentifierId) -> ErasedIdentifier {
        let (namespace, value) = self.text_of(id);
        let hash = value_hash(&self.workspace().profile_key, namespace, value);
        ErasedIdentifier { row: Some(id.0), hash }
    }

    fn unheld(&self, candidate: &Candidate<'_>) -> ErasedIdentifier {
        let key = &self.workspace().profile_key;
        ErasedIdentifier {
            row: None,
            hash: value_hash(key, &candidate.namespace, &candidate.value),
        }
    }
}

impl From<WorkspaceDeleted> for Change<'_> {
    fn from(deleted: WorkspaceDeleted) -> Self {
        Change::WorkspaceDeleted(deleted)
    }
}

impl From<Erased> for Change<'_> {
    fn from(erased: Erased) -> Self {
        Change::Erased(erased)
    }
}
