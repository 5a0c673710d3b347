//! Side tables that can be shared with a view: hash maps in shards, copied before they change.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

const SHARDS: usize = 64;

pub(crate) type Shard<K, V> = HashMap<K, V, FixedState>;

/// A map in shards. Keys are our own numbers, so a fixed seed does no harm; nothing may
/// depend on the order in which it is iterated.
#[derive(Clone, Debug)]
pub(crate) struct Sharded<K, V> {
    shards: Vec<Arc<Shard<K, V>>>,
}

impl<K, V> Default for Sharded<K, V> {
    fn default() -> Self {
        let empty = || Arc::new(HashMap::with_hasher(FixedState::with_seed(0)));
        Sharded { shards: (0..SHARDS).map(|_| empty()).collect() }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Sharded<K, V> {
    /// The value of a key.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.shards[shard(key)].get(key)
    }

    /// Sets the value of a key; gives the old one.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        Arc::make_mut(&mut self.shards[shard(&key)]).insert(key, value)
    }

    /// The value of a key, to change it.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        Arc::make_mut(&mut self.shards[shard(key)]).get_mut(key)
    }

    /// The shards one by one, each given back when it has passed.
    pub(crate) fn into_shards(self) -> impl Iterator<Item = Arc<Shard<K, V>>> {
        self.shards.into_iter()
    }

    /// All entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }
}

fn shard<K: Hash>(key: &K) -> usize {
    // Another seed than the maps': inside a shard all keys agree on these bits.
    FixedState::with_seed(1).hash_one(key) as usize % SHARDS
}
