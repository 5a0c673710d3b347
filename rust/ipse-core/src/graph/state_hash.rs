//! The state hash: one number for a whole graph, kept up to date by apply.
//!
//! It is the sum, modulo 2^128, of a hash of each record of state (each profile node,
//! identifier, link, trait, remembered event, and so on), so it does not depend on any
//! order, and a change costs one subtraction and one addition. Two graphs with the same dump
//! have the same state hash.
//!
//! It finds faults, and is no defence against a forger, who could write any sum into a file: so
//! it has no key, and is as fast as the rest of apply can use. Every attachment and link is
//! hashed when it is made, and again when a snapshot is loaded.

use super::words::ends;

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
/// into each other. Each word goes into two halves that know nothing of each other.
pub(crate) struct RecordHasher {
    upper: u64,
    lower: u64,
}

/// The first digits of pi after its point, the last made odd.
const UPPER: u64 = 0x243f_6a88_85a3_08d3;
const LOWER: u64 = 0x1319_8a2e_0370_7345;

impl RecordHasher {
    #[inline]
    pub(crate) fn new(kind: Kind) -> RecordHasher {
        RecordHasher { upper: LOWER, lower: UPPER }.number(kind as u64)
    }

    #[inline]
    pub(crate) fn number(self, number: u64) -> Self {
        RecordHasher {
            upper: folded(self.upper ^ number, UPPER),
            lower: folded(self.lower ^ number, LOWER),
        }
    }

    /// Two at once, for what it costs to take one.
    #[inline]
    pub(crate) fn numbers(self, first: u64, second: u64) -> Self {
        RecordHasher {
            upper: folded(self.upper ^ first, second ^ UPPER),
            lower: folded(self.lower ^ second, first ^ LOWER),
        }
    }

    #[inline]
    pub(crate) fn text(mut self, text: &[u8]) -> Self {
        let (pairs, rest) = text.as_chunks::<16>();
        for pair in pairs {
            let pair = u128::from_le_bytes(*pair);
            self = self.numbers(pair as u64, (pair >> 64) as u64);
        }
        // Of the rest both ends, which together are all of it.
        let (first, last) = ends(rest);
        self.numbers(first, last).number(text.len() as u64)
    }

    pub(crate) fn finish(self) -> RecordHash {
        let RecordHasher { upper, lower } = self;
        let mixed = [folded(upper ^ LOWER, lower ^ UPPER), folded(upper ^ UPPER, lower ^ LOWER)];
        RecordHash(u128::from(upper ^ mixed[0]) << 64 | u128::from(lower ^ mixed[1]))
    }
}

/// Both halves of a product: every bit of the factors shows in all of it.
#[inline]
fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn halves(hash: &RecordHash) -> [u64; 2] {
        [(hash.0 >> 64) as u64, hash.0 as u64]
    }

    /// Whether no two of them agree in half of their bits.
    fn assert_distinct(hashes: &[RecordHash]) {
        for half in [0, 1] {
            let distinct: HashSet<u64> = hashes.iter().map(|hash| halves(hash)[half]).collect();
            assert_eq!(distinct.len(), hashes.len());
        }
    }

    #[test]
    fn texts_that_differ_in_anything_differ_in_both_halves() {
        let text = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let parts =
            (0..text.len()).flat_map(|start| (start + 1..=text.len()).map(move |end| start..end));
        let hasher = || RecordHasher::new(Kind::Identifier);
        let mut hashes: Vec<RecordHash> =
            parts.map(|part| hasher().text(&text[part]).finish()).collect();
        hashes.extend((0..20).map(|zeros| hasher().text(&vec![0; zeros]).finish()));
        assert_distinct(&hashes);
    }

    #[test]
    fn numbers_that_differ_in_anything_differ_in_both_halves() {
        let mut hashes = Vec::new();
        for kind in [Kind::Identifier, Kind::Link] {
            for first in [0, 1, 2, 3, 1 << 31, 1 << 32, u64::MAX - 1, u64::MAX] {
                let second = |second| RecordHasher::new(kind).number(first).number(second).finish();
                hashes.extend((0..1_000).map(second));
            }
        }
        assert_distinct(&hashes);
    }

    #[test]
    fn every_bit_of_a_number_moves_about_half_of_all_bits() {
        let hash = |number: u64| RecordHasher::new(Kind::Profile).number(7).number(number).finish();
        for number in [0, 1, 0x1234_5678, u64::MAX] {
            for bit in 0..64 {
                let moved = (hash(number).0 ^ hash(number ^ 1 << bit).0).count_ones();
                assert!((32..96).contains(&moved), "bit {bit} of {number} moves {moved}");
            }
        }
    }
}
