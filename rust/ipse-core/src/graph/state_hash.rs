//! The state hash: one number for a whole graph, kept up to date by apply.
//!
//! It is the sum, modulo 2^128, of a hash of each record of state (each profile node,
//! identifier, link, trait, remembered event, and so on), so it does not depend on any
//! order, and a change costs one subtraction and one addition. Two graphs with the same dump
//! have the same state hash.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// What kind of state a record is: keeps records of two kinds from cancelling out.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Workspace = 1,
    Profile = 2,
    Identifier = 3,
    Link = 4,
    Trait = 5,
    RememberedEvent = 6,
    RememberedRefusal = 7,
    Holder = 8,
    Evidence = 9,
    Attribution = 10,
    Departure = 11,
    Parting = 12,
    Suppression = 13,
    Erasure = 14,
    LastSeen = 15,
    AnonymousSeen = 16,
}

/// The sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateHash(u128);

impl StateHash {
    pub(crate) fn add(&mut self, record: RecordHash) {
        self.0 = self.0.wrapping_add(record.0);
    }

    pub(crate) fn remove(&mut self, record: RecordHash) {
        self.0 = self.0.wrapping_sub(record.0);
    }

    pub(crate) fn get(self) -> u128 {
        self.0
    }
}

/// The hash of one record of state.
#[derive(Clone, Copy)]
pub(crate) struct RecordHash(u128);

impl RecordHash {
    /// The hash as a number, for digests.
    pub(crate) fn get(self) -> u128 {
        self.0
    }
}

/// Builds a record's hash, field by field; text carries its length, so fields cannot run
/// into each other.
pub(crate) struct RecordHasher(SipHasher13);

impl RecordHasher {
    pub(crate) fn new(kind: Kind) -> RecordHasher {
        RecordHasher(SipHasher13::new_with_keys(kind as u64, 0))
    }

    pub(crate) fn number(mut self, number: u64) -> Self {
        // The bytes of the number, lowest first: as `write` would take them, and much faster.
        self.0.write_u64(number.to_le());
        self
    }

    pub(crate) fn text(mut self, text: &[u8]) -> Self {
        self = self.number(text.len() as u64);
        self.0.write(text);
        self
    }

    pub(crate) fn finish(self) -> RecordHash {
        RecordHash(self.0.finish128().as_u128())
    }
}
