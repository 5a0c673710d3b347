//! When what may expire was last seen, to the day of the log: identifiers, and profiles that
//! nobody is known by ([`super::anonymous`]).
//!
//! Only what the rules let expire is here: nothing else pays for it. A day is read off the
//! records, so that replay gives the same; an event that would move it is recorded, once a day for
//! each identifier.

use std::collections::BTreeSet;
use std::hash::Hash;

use crate::time::Day;

use super::identifiers::IdentifierId;
use super::sharded::Sharded;
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// The days of all identifiers that may expire, by row, in groups by namespace.
pub(crate) type LastSeen = Days<u16, IdentifierId>;

/// A day of each of some things, in groups that expire apart.
#[derive(Clone, Debug)]
pub(crate) struct Days<G, K> {
    by_key: Sharded<K, Day>,
    /// The same, by group and day: what expires first comes first.
    by_day: BTreeSet<(G, Day, K)>,
}

impl<G, K> Default for Days<G, K> {
    fn default() -> Days<G, K> {
        Days { by_key: Sharded::default(), by_day: BTreeSet::new() }
    }
}

impl<G: Copy + Ord, K: Copy + Default + Hash + Ord> Days<G, K> {
    /// Bytes of an entry in a tree whose nodes are two thirds full.
    const TREE_ENTRY_BYTES: u64 = (size_of::<(G, Day, K)>() * 3 / 2) as u64;

    /// When it was last seen, if that is kept of it.
    pub(crate) fn of(&self, key: K) -> Option<Day> {
        self.by_key.get(&key).copied()
    }

    /// Sets it; gives the day before.
    pub(crate) fn set(&mut self, group: G, key: K, day: Day) -> Option<Day> {
        let before = self.by_key.insert(key, day);
        if let Some(before) = before {
            self.by_day.remove(&(group, before, key));
        }
        self.by_day.insert((group, day, key));
        before
    }

    /// Forgets it; gives it.
    pub(crate) fn remove(&mut self, group: G, key: K) -> Option<Day> {
        let day = self.by_key.remove(&key)?;
        self.by_day.remove(&(group, day, key));
        Some(day)
    }

    /// What was last seen before a day, of one group, by day and key.
    pub(crate) fn before(&self, group: G, day: Day) -> impl Iterator<Item = (K, Day)> {
        let range = (group, Day(0), K::default())..(group, day, K::default());
        self.by_day.range(range).map(|&(_, day, key)| (key, day))
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, Day)> {
        self.by_key.iter().map(|(&key, &day)| (key, day))
    }

    /// How many there are, and how many in order.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.by_key.len(), self.by_day.len())
    }

    /// About what the tables take in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.by_key.bytes() + Self::TREE_ENTRY_BYTES * self.by_day.len() as u64
    }

    /// A view.
    pub(crate) fn freeze(&self) -> Sharded<K, Day> {
        self.by_key.clone()
    }
}

/// What the state hash takes of the day of an identifier.
pub(crate) fn last_seen_hash(id: IdentifierId, day: Day) -> RecordHash {
    RecordHasher::new(Kind::LastSeen).number(u64::from(id.0)).number(u64::from(day.0)).finish()
}
