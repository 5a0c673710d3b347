//! The hash table from identifiers to their rows.
//!
//! Split into shards, so that growing moves one part in 256 at a time and no single insert
//! stalls the caller. An entry keeps 32 bits of the hash beside the row: growing does not read
//! the text again, and a false match is nearly always seen without leaving the table.

use super::keyed::Keyed;
use super::ordered::{Entry, Ordered, SHARDS, ShardedHash, ordered_bytes};

#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    row: u32,
}

impl Entry for Slot {
    const NONE: Slot = Slot { hash: u32::MAX, row: u32::MAX };

    fn hash(&self) -> u32 {
        self.hash
    }
}

/// The hash of an identifier under this process's seed. Never stored, never shown.
pub(crate) type IdentifierHash = ShardedHash;

/// The table.
#[derive(Debug)]
pub(crate) struct Index {
    keyed: Keyed,
    shards: Vec<Ordered<Slot>>,
}

/// What is to be in an index, by shard.
pub(crate) struct Shards(Vec<Vec<Slot>>);

impl Shards {
    /// Rows and the hashes of their identifiers, and about how many there are.
    pub(crate) fn of(rows: impl Iterator<Item = (IdentifierHash, u32)>, count: usize) -> Shards {
        let room = count / SHARDS + count / SHARDS / 16;
        let mut shards: Vec<_> = (0..SHARDS).map(|_| Vec::with_capacity(room)).collect();
        for (hash, row) in rows {
            shards[hash.shard()].push(Slot { hash: hash.kept(), row });
        }
        Shards(shards)
    }
}

impl Index {
    /// An empty table. The seed keeps callers from choosing values that collide.
    pub(crate) fn new(seed: u64) -> Index {
        Index { keyed: Keyed::new(seed), shards: vec![Ordered::default(); SHARDS] }
    }

    /// About what an index of so many rows takes in memory.
    pub(crate) fn bytes_of(rows: u32) -> u64 {
        ordered_bytes(rows as usize, size_of::<Slot>())
    }

    /// Fills an index that is empty; says whether no row is the same as another.
    pub(crate) fn fill(&mut self, shards: Shards, is_same: impl Fn(u32, u32) -> bool) -> bool {
        self.shards = shards.0.into_iter().map(Ordered::of).collect();
        self.shards.iter().all(|shard| shard.are_distinct(|a, b| is_same(a.row, b.row)))
    }

    /// The hash of a namespace and a value.
    pub(crate) fn hash(&self, namespace: u16, value: &[u8]) -> IdentifierHash {
        ShardedHash(self.keyed.hash_within(namespace, value))
    }

    /// The row with this hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: IdentifierHash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let found = self.shards[hash.shard()].find(hash.kept(), |slot| is_it(slot.row));
        found.map(|slot| slot.row)
    }

    /// Fetches the place where a look-up of this hash begins.
    pub(crate) fn fetch(&self, hash: IdentifierHash) {
        self.shards[hash.shard()].fetch(hash.kept());
    }

    /// Takes a row out.
    pub(crate) fn remove(&mut self, hash: IdentifierHash, row: u32) {
        self.shards[hash.shard()].remove(hash.kept(), |slot| slot.row == row);
    }

    /// Adds a row that is not there.
    pub(crate) fn insert(&mut self, hash: IdentifierHash, row: u32) {
        self.shards[hash.shard()].insert(Slot { hash: hash.kept(), row });
    }
}
