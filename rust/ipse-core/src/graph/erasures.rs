//! Erasures: what the files still have to be searched for, receipts, and what is kept out.
//!
//! Holds hashes and numbers only. A pending erasure is state, so that a process that ends
//! before its files are rewritten leaves the work to the next.

use std::collections::VecDeque;

use crate::change::{Erased, ErasedIdentifier, ErasureCompleted, SequenceNumber, WorkspaceDeleted};
use crate::limits::ERASURE_RECEIPTS_MAX;
use crate::time::Timestamp;

use super::sharded::Sharded;
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// What became of an erasure. Names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The record that erased: the erasure's number.
    pub sequence: SequenceNumber,
    /// When it was.
    pub time: Timestamp,
    /// Profiles, those that they had absorbed included.
    pub profiles: u32,
    /// Identifiers.
    pub identifiers: u32,
    /// Traits.
    pub traits: u32,
    /// Whether the identifiers are kept out from then on.
    pub suppress: bool,
    /// How the files were rewritten, once they are; `None` before.
    pub completed: Option<ErasureCompleted>,
    pub(crate) operation: u128,
    pub(crate) digest: u128,
}

impl Receipt {
    /// What the receipt would be of an erasure that is only asked about.
    pub fn planned(erased: &Erased, time: Timestamp) -> Receipt {
        Receipt::of(erased, SequenceNumber(0), time)
    }

    /// The same of a workspace.
    pub fn planned_deletion(deleted: &WorkspaceDeleted, time: Timestamp) -> Receipt {
        Receipt::of_deletion(deleted, SequenceNumber(0), time)
    }

    /// The receipt of a whole workspace.
    pub(crate) fn of_deletion(
        deleted: &WorkspaceDeleted,
        sequence: SequenceNumber,
        time: Timestamp,
    ) -> Receipt {
        let WorkspaceDeleted { operation, digest, profiles, identifiers, .. } = *deleted;
        let erased = Erased { operation, digest, ..Erased::default() };
        Receipt { profiles, identifiers, ..Receipt::of(&erased, sequence, time) }
    }

    pub(crate) fn of(erased: &Erased, sequence: SequenceNumber, time: Timestamp) -> Receipt {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Receipt {
            sequence,
            time,
            profiles: count(erased.profiles.len()),
            identifiers: count(erased.identifiers.len()),
            traits: erased.traits,
            suppress: erased.suppress,
            completed: None,
            operation: erased.operation,
            digest: erased.digest,
        }
    }
}

/// An erasure whose values may still be in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingErasure {
    /// The record that erased.
    pub sequence: SequenceNumber,
    /// The numbers of the erased profile.
    pub profiles: Vec<u32>,
    /// The identifiers.
    pub identifiers: Vec<ErasedIdentifier>,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Erasures {
    /// By number; the oldest give way.
    receipts: VecDeque<Receipt>,
    /// By number.
    pending: Vec<PendingErasure>,
    suppressed: Sharded<u128, ()>,
}

impl Erasures {
    /// About what the suppressed hashes take in memory; the rest is bounded.
    pub(crate) fn bytes(&self) -> u64 {
        self.suppressed.bytes()
    }

    /// The receipt of an operation id's hash.
    pub(crate) fn of_operation(&self, operation: u128) -> Option<&Receipt> {
        let is_it = |receipt: &&Receipt| operation != 0 && receipt.operation == operation;
        self.receipts.iter().find(is_it)
    }

    pub(crate) fn receipts(&self) -> impl DoubleEndedIterator<Item = &Receipt> {
        self.receipts.iter()
    }

    pub(crate) fn pending(&self) -> &[PendingErasure] {
        &self.pending
    }

    pub(crate) fn is_pending(&self, sequence: SequenceNumber) -> bool {
        self.pending.iter().any(|pending| pending.sequence == sequence)
    }

    /// Whether a value's hash is kept out.
    pub(crate) fn is_suppressed(&self, hash: u128) -> bool {
        self.suppressed.get(&hash).is_some()
    }

    /// Whether nothing is.
    pub(crate) fn suppresses_none(&self) -> bool {
        self.suppressed.is_empty()
    }

    pub(crate) fn suppressed(&self) -> impl Iterator<Item = u128> {
        self.suppressed.iter().map(|(&hash, ())| hash)
    }

    /// The suppressed hashes, in lists that are given back one by one.
    pub(crate) fn into_suppressed_shards(self) -> impl Iterator<Item = Vec<u128>> + Send {
        self.suppressed.into_shards().map(|shard| shard.keys().copied().collect())
    }

    /// Keeps a hash out; `false` if it was already.
    pub(crate) fn suppress(&mut self, hash: u128) -> bool {
        self.suppressed.insert(hash, ()).is_none()
    }

    /// Adds the newest receipt; gives the one that had to give way.
    pub(crate) fn add_receipt(&mut self, receipt: Receipt) -> Option<Receipt> {
        self.receipts.push_back(receipt);
        (self.receipts.len() > ERASURE_RECEIPTS_MAX).then(|| self.receipts.pop_front()).flatten()
    }

    pub(crate) fn add_pending(&mut self, pending: PendingErasure) {
        self.pending.push(pending);
    }

    /// Takes out what is pending no more.
    pub(crate) fn remove_pending(&mut self, sequence: SequenceNumber) -> Option<PendingErasure> {
        let at = self.pending.iter().position(|pending| pending.sequence == sequence)?;
        Some(self.pending.remove(at))
    }

    /// Notes on the receipt, if it is still there, that the files are rewritten; gives it as
    /// it was.
    pub(crate) fn complete(&mut self, completed: ErasureCompleted) -> Option<Receipt> {
        let is_it = |receipt: &&mut Receipt| receipt.sequence == completed.erasure;
        let receipt = self.receipts.iter_mut().find(is_it)?;
        let before = *receipt;
        receipt.completed = Some(completed);
        Some(before)
    }
}

/// What the state hash takes of a suppressed hash.
pub(crate) fn suppression_hash(hash: u128) -> RecordHash {
    RecordHasher::new(Kind::Suppression).number(hash as u64).number((hash >> 64) as u64).finish()
}

/// What the state hash takes of a receipt.
pub(crate) fn receipt_hash(receipt: &Receipt) -> RecordHash {
    let completed = receipt.completed.unwrap_or_default();
    RecordHasher::new(Kind::Erasure)
        .number(receipt.sequence.0)
        .number(receipt.time.as_millis() as u64)
        .number(u64::from(receipt.profiles) | u64::from(receipt.identifiers) << 32)
        .number(u64::from(receipt.traits) | u64::from(receipt.suppress) << 32)
        .number(receipt.operation as u64)
        .number((receipt.operation >> 64) as u64)
        .number(receipt.digest as u64)
        .number((receipt.digest >> 64) as u64)
        .number(completed.erasure.0)
        .number(u64::from(completed.segments) | u64::from(completed.files) << 32)
        .number(completed.records)
        .finish()
}

/// What the state hash takes of a pending erasure. Its hashes are left out: a record that was
/// rewritten has them no more.
pub(crate) fn pending_hash(pending: &PendingErasure) -> RecordHash {
    let hasher = RecordHasher::new(Kind::Erasure)
        .number(pending.sequence.0)
        .number(pending.profiles.len() as u64);
    let add = |hasher: RecordHasher, profile: &u32| hasher.number(u64::from(*profile));
    let hasher = pending.profiles.iter().fold(hasher, add);
    let add = |hasher: RecordHasher, identifier: &ErasedIdentifier| {
        hasher.number(identifier.row.map_or(u64::MAX, u64::from))
    };
    pending.identifiers.iter().fold(hasher, add).finish()
}
