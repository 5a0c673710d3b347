//! When identifiers that may expire were last seen, to the day of the log.
//!
//! Only those of namespaces that the rules let expire are here: nothing else pays for it. A day
//! is read off the records, so that replay gives the same; an event that would move it is
//! recorded, once a day for each identifier.

use std::collections::BTreeSet;

use crate::time::Day;

use super::identifiers::IdentifierId;
use super::sharded::Sharded;
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// Bytes of an entry in a tree whose nodes are two thirds full.
const TREE_ENTRY_BYTES: u64 = (size_of::<(u16, Day, IdentifierId)>() * 3 / 2) as u64;

/// The days of all identifiers that may expire.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastSeen {
    by_identifier: Sharded<u32, Day>,
    /// The same, by namespace and day: what expires first comes first.
    by_day: BTreeSet<(u16, Day, IdentifierId)>,
}

impl LastSeen {
    /// When an identifier was last seen, if that is kept of it.
    pub(crate) fn of(&self, id: IdentifierId) -> Option<Day> {
        self.by_identifier.get(&id.0).copied()
    }

    /// Sets it; gives the day before.
    pub(crate) fn set(&mut self, namespace: u16, id: IdentifierId, day: Day) -> Option<Day> {
        let before = self.by_identifier.insert(id.0, day);
        if let Some(before) = before {
            self.by_day.remove(&(namespace, before, id));
        }
        self.by_day.insert((namespace, day, id));
        before
    }

    /// Forgets it; gives it.
    pub(crate) fn remove(&mut self, namespace: u16, id: IdentifierId) -> Option<Day> {
        let day = self.by_identifier.remove(&id.0)?;
        self.by_day.remove(&(namespace, day, id));
        Some(day)
    }

    /// The identifiers of a namespace that were last seen before a day, by day and number.
    pub(crate) fn before(
        &self,
        namespace: u16,
        day: Day,
    ) -> impl Iterator<Item = (IdentifierId, Day)> {
        let first = (namespace, Day(0), IdentifierId(0));
        let end = (namespace, day, IdentifierId(0));
        self.by_day.range(first..end).map(|&(_, day, id)| (id, day))
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (IdentifierId, Day)> {
        self.by_identifier.iter().map(|(&id, &day)| (IdentifierId(id), day))
    }

    /// How many there are, and how many in order.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.by_identifier.len(), self.by_day.len())
    }

    /// About what the tables take in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.by_identifier.bytes() + TREE_ENTRY_BYTES * self.by_day.len() as u64
    }

    /// A view.
    pub(crate) fn freeze(&self) -> Sharded<u32, Day> {
        self.by_identifier.clone()
    }
}

/// What the state hash takes of the day of an identifier.
pub(crate) fn last_seen_hash(id: IdentifierId, day: Day) -> RecordHash {
    RecordHasher::new(Kind::LastSeen).number(u64::from(id.0)).number(u64::from(day.0)).finish()
}
