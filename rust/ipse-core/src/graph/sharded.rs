//! Side tables that can be shared with a view: hash maps in shards, copied before they change.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::memory::table_bytes;

const SHARDS: usize = 64;

pub(crate) type Shard<K, V> = HashMap<K, V, FixedState>;

/// A map in shards. Keys are our own numbers, so a fixed seed does no harm; nothing may
/// depend on the order in which it is iterated.
#[derive(Clone, Debug)]
pub(crate) struct Sharded<K, V> {
    /// None until the first entry: a workspace that does not use a table pays nothing for it.
    shards: Vec<Arc<Shard<K, V>>>,
    entries: usize,
}

impl<K, V> Default for Sharded<K, V> {
    fn default() -> Self {
        Sharded { shards: Vec::new(), entries: 0 }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Sharded<K, V> {
    /// Whether it has no entry.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        if self.shards.is_empty() {
            return None;
        }
        self.shards[shard(key)].get(key)
    }

    /// Sets the value of a key; gives the old one.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let old = self.shard_mut(&key).insert(key, value);
        self.entries += usize::from(old.is_none());
        old
    }

    /// The value of a key, to change it.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if self.shards.is_empty() {
            return None;
        }
        self.shard_mut(key).get_mut(key)
    }

    /// The same; the default value, if the key has none yet.
    pub(crate) fn entry(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        match shard_of(&mut self.shards, &key).entry(key) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(free) => {
                self.entries += 1;
                free.insert(V::default())
            }
        }
    }

    /// Takes a key out; gives its value.
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.get(key)?;
        self.entries -= 1;
        self.shard_mut(key).remove(key)
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// About what the table takes, without what values point to.
    pub(crate) fn bytes(&self) -> u64 {
        SHARDS as u64 * table_bytes(self.entries.div_ceil(SHARDS), size_of::<(K, V)>())
    }

    /// The shards one by one, each given back when it has passed.
    pub(crate) fn into_shards(self) -> impl Iterator<Item = Arc<Shard<K, V>>> {
        self.shards.into_iter()
    }

    /// All entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    fn shard_mut(&mut self, key: &K) -> &mut Shard<K, V> {
        shard_of(&mut self.shards, key)
    }
}

/// The shard of a key, to change it; made with the first.
fn shard_of<'s, K: Clone + Hash, V: Clone>(
    shards: &'s mut Vec<Arc<Shard<K, V>>>,
    key: &K,
) -> &'s mut Shard<K, V> {
    if shards.is_empty() {
        let empty = || Arc::new(HashMap::with_hasher(FixedState::with_seed(0)));
        *shards = (0..SHARDS).map(|_| empty()).collect();
    }
    Arc::make_mut(&mut shards[shard(key)])
}

fn shard<K: Hash>(key: &K) -> usize {
    // Another seed than the maps': inside a shard all keys agree on these bits.
    FixedState::with_seed(1).hash_one(key) as usize % SHARDS
}
