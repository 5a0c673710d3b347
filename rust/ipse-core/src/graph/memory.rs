//! About how many bytes a graph takes in memory: what ceilings are compared with.
//!
//! Worked out from how much each table holds, so that asking reads a few counters and nothing
//! has to be walked. Tables of a fixed number of entries are left out. The example
//! `memory_cost` compares it with what the process takes.

use std::ops::{Add, Sub};

use super::Graph;

/// What the allocator adds to each piece, and rounds it up by.
pub(crate) const PIECE_BYTES: u64 = 16;

/// What a graph takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Identifiers that have a value.
    pub identifiers: u64,
    /// About how many bytes of memory everything takes.
    pub bytes: u64,
}

impl Graph {
    /// What the graph takes.
    pub fn memory(&self) -> Memory {
        let bytes = self.memory_parts().iter().map(|(_, bytes)| bytes).sum();
        Memory { identifiers: self.counts().identifiers, bytes }
    }

    /// What each kind of thing in it takes: those that every graph has, then those that some have.
    pub fn memory_parts(&self) -> [(&'static str, u64); 12] {
        let noted = self.departures.bytes() + self.partings.bytes() + self.erasures.bytes();
        let remembered = self.remembered_events.bytes() + self.remembered_refusals.bytes();
        [
            ("text", self.identifiers.text_bytes()),
            ("index", self.identifiers.index_bytes()),
            ("rows", self.identifiers.row_bytes()),
            ("further_links", self.further_links.bytes()),
            ("profiles", self.profiles.bytes()),
            ("traits", self.traits.bytes()),
            ("remembered", remembered),
            ("holders", self.holders.bytes()),
            ("evidence", self.evidence.bytes() + self.pair_counts.bytes()),
            ("last_seen", self.last_seen.bytes() + self.anonymous_seen.bytes()),
            ("noted", noted + self.attributions.bytes()),
            ("past", self.past.bytes()),
        ]
    }
}

impl Add for Memory {
    type Output = Memory;

    fn add(self, other: Memory) -> Memory {
        Memory {
            identifiers: self.identifiers + other.identifiers,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl Sub for Memory {
    type Output = Memory;

    fn sub(self, other: Memory) -> Memory {
        Memory {
            identifiers: self.identifiers - other.identifiers,
            bytes: self.bytes - other.bytes,
        }
    }
}

/// About what a hash table takes: a power of two of places, of which it fills seven eighths, and
/// a byte for each.
pub(crate) fn table_bytes(entries: usize, entry_bytes: usize) -> u64 {
    match entries {
        0 => 0,
        _ => ((entries * 8 / 7 + 1).next_power_of_two().max(4) * (entry_bytes + 1)) as u64,
    }
}

/// What a vector takes that stands behind a counted pointer, without its entries.
const SHARED_VEC_BYTES: u64 = 2 * PIECE_BYTES + size_of::<[usize; 5]>() as u64;

/// About what lists of entries take, each a vector behind a counted pointer. A vector has room
/// for four entries, and twice as many each time that it is full: half of that is used.
pub(crate) fn lists_bytes<T>(lists: usize, entries: usize) -> u64 {
    let places = (entries * 3 / 2).max(lists * 4);
    lists as u64 * SHARED_VEC_BYTES + (places * size_of::<T>()) as u64
}
