//! Side tables that can be shared with a view: hash maps in shards, copied before they change.
//!
//! A table begins with one shard. Whenever shards hold too many entries between them, the next in
//! turn gives half of its own to a new one, so that neither growing nor copying a shard that a view
//! holds ever takes long, however large the table.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::memory::table_bytes;

/// Entries of a shard in the mean; none holds many more than twice as many.
const SHARD_ENTRIES: usize = 2_048;

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
        self.shards[shard(key, self.shards.len())].get(key)
    }

    /// Sets the value of a key; gives the old one.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.make_room();
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
        self.make_room();
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
        let shards = self.shards.len().max(1);
        shards as u64 * table_bytes(self.entries.div_ceil(shards), size_of::<(K, V)>())
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

    /// Makes the first shard, or one more if there are too many entries.
    fn make_room(&mut self) {
        let count = self.shards.len();
        if self.entries < count * SHARD_ENTRIES {
            return;
        }
        let mut new = Shard::default();
        if count > 0 {
            let next = Arc::make_mut(&mut self.shards[in_turn(count)]);
            new.extend(next.extract_if(|key, _| shard(key, count + 1) == count));
        }
        self.shards.push(Arc::new(new));
    }
}

fn shard_of<'s, K: Clone + Hash, V: Clone>(
    shards: &'s mut [Arc<Shard<K, V>>],
    key: &K,
) -> &'s mut Shard<K, V> {
    let count = shards.len();
    Arc::make_mut(&mut shards[shard(key, count)])
}

/// The shard of a key among so many.
fn shard<K: Hash>(key: &K, count: usize) -> usize {
    // Another seed than the maps': inside a shard all keys agree on these bits.
    let hash = FixedState::with_seed(1).hash_one(key) as usize;
    let place = hash % count.next_power_of_two();
    if place < count { place } else { in_turn(place) }
}

/// The shard that gives to the one of this number when that is made.
fn in_turn(count: usize) -> usize {
    count - (1 << count.ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_stay_small_and_keep_what_they_hold() {
        let mut table: Sharded<u32, u32> = Sharded::default();
        for key in 0..100_000 {
            assert_eq!(table.get(&key), None);
            table.insert(key, key);
            assert_eq!(table.get(&(key / 2)), Some(&(key / 2)));
        }
        assert!(table.shards.iter().all(|shard| shard.len() < 3 * SHARD_ENTRIES));
        assert!((0..100_000).all(|key| table.get(&key) == Some(&key)));
        assert!((0..100_000).all(|key| table.remove(&key) == Some(key)));
        assert!(table.is_empty() && table.iter().next().is_none());
    }

    #[test]
    fn a_view_keeps_what_it_saw() {
        let mut table: Sharded<u32, u32> = Sharded::default();
        (0..5_000).for_each(|key| assert_eq!(table.insert(key, 1), None));
        let view = table.clone();
        (0..20_000).for_each(|key| *table.entry(key) = 2);
        assert_eq!(
            (view.len(), view.iter().filter(|(_, value)| **value == 1).count()),
            (5_000, 5_000)
        );
        assert_eq!((table.len(), table.iter().count()), (20_000, 20_000));
    }
}
