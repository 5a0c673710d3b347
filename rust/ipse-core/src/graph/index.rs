//! The hash table from identifiers to their rows.
//!
//! Split into shards, so that growing moves one part in 256 at a time and no single insert
//! stalls the caller. A slot keeps 32 bits of the hash beside the row: growing does not read
//! the text again, and a false match is nearly always seen without leaving the table.

use hashbrown::HashTable;

use super::keyed::Keyed;

use super::memory::table_bytes;

const SHARDS: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    row: u32,
}

/// The hash of an identifier under this process's seed. Never stored, never shown.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdentifierHash(u64);

/// The table.
#[derive(Debug)]
pub(crate) struct Index {
    keyed: Keyed,
    shards: Vec<HashTable<Slot>>,
}

impl Index {
    /// An empty table. The seed keeps callers from choosing values that collide.
    pub(crate) fn new(seed: u64) -> Index {
        Index { keyed: Keyed::new(seed), shards: (0..SHARDS).map(|_| HashTable::new()).collect() }
    }

    /// What an index of so many rows takes in memory.
    pub(crate) fn bytes_of(rows: u32) -> u64 {
        SHARDS as u64 * table_bytes((rows as usize).div_ceil(SHARDS), size_of::<Slot>())
    }

    /// The hash of a namespace and a value.
    pub(crate) fn hash(&self, namespace: u16, value: &[u8]) -> IdentifierHash {
        IdentifierHash(self.keyed.hash_within(namespace, value))
    }

    /// The row with this hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: IdentifierHash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let low = hash.0 as u32;
        self.shards[shard(hash)]
            .find(spread(low), |slot| slot.hash == low && is_it(slot.row))
            .map(|slot| slot.row)
    }

    /// Takes a row out.
    pub(crate) fn remove(&mut self, hash: IdentifierHash, row: u32) {
        let low = hash.0 as u32;
        if let Ok(slot) = self.shards[shard(hash)].find_entry(spread(low), |slot| slot.row == row) {
            slot.remove();
        }
    }

    /// Adds a row that is not there.
    pub(crate) fn insert(&mut self, hash: IdentifierHash, row: u32) {
        let low = hash.0 as u32;
        self.shards[shard(hash)]
            .insert_unique(spread(low), Slot { hash: low, row }, |slot| spread(slot.hash));
    }
}

fn shard(hash: IdentifierHash) -> usize {
    (hash.0 >> 56) as usize % SHARDS
}

/// The table reads both ends of a 64-bit hash; this gives both from the 32 bits of a slot.
fn spread(low: u32) -> u64 {
    u64::from(low).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}
