//! When profiles that nobody is known by were last seen, to the day of the log.
//!
//! Only where the rules let anonymous profiles expire: nothing else pays for it. A day is kept of
//! a profile and not of each of its identifiers, so that a merge, a login or a sighting is one
//! step, and what expires first comes first however much the profiles hold.

use std::collections::BTreeSet;

use crate::time::Day;
use crate::union_find::Node;

use super::Graph;
use super::identifiers::IdentifierId;
use super::sharded::Sharded;
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// Bytes of an entry in a tree whose nodes are two thirds full.
const TREE_ENTRY_BYTES: u64 = (size_of::<(Day, Node)>() * 3 / 2) as u64;

/// The days of all anonymous profiles that hold identifiers, by root.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnonymousSeen {
    by_root: Sharded<u32, Day>,
    by_day: BTreeSet<(Day, Node)>,
}

impl AnonymousSeen {
    /// When a profile was last seen, if that is kept of it.
    pub(crate) fn of(&self, root: Node) -> Option<Day> {
        self.by_root.get(&root).copied()
    }

    /// Sets it; gives the day before.
    pub(crate) fn set(&mut self, root: Node, day: Day) -> Option<Day> {
        let before = self.by_root.insert(root, day);
        if let Some(before) = before {
            self.by_day.remove(&(before, root));
        }
        self.by_day.insert((day, root));
        before
    }

    /// Forgets it; gives it.
    pub(crate) fn remove(&mut self, root: Node) -> Option<Day> {
        let day = self.by_root.remove(&root)?;
        self.by_day.remove(&(day, root));
        Some(day)
    }

    /// The profiles that were last seen before a day, by day and number.
    pub(crate) fn before(&self, day: Day) -> impl Iterator<Item = (Node, Day)> {
        self.by_day.range(..(day, 0)).map(|&(day, root)| (root, day))
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Node, Day)> {
        self.by_root.iter().map(|(&root, &day)| (root, day))
    }

    /// How many there are, and how many in order.
    pub(crate) fn len(&self) -> (usize, usize) {
        (self.by_root.len(), self.by_day.len())
    }

    /// About what the tables take in memory.
    pub(crate) fn bytes(&self) -> u64 {
        self.by_root.bytes() + TREE_ENTRY_BYTES * self.by_day.len() as u64
    }

    /// A view.
    pub(crate) fn freeze(&self) -> Sharded<u32, Day> {
        self.by_root.clone()
    }
}

impl Graph {
    /// Whether the rules let the profile of a node expire as a whole: it is a root that is not
    /// known and holds more than former ids.
    pub(crate) fn may_expire_whole(&self, node: Node) -> bool {
        self.rules().anonymous_expires_after_days.is_some()
            && self.profiles.parent(node).is_none()
            && !self.profiles.known(node)
            && self.profiles.identifier_count(node) > 0
    }

    /// The days of the anonymous profiles that hold an identifier; of the known ones none.
    pub(crate) fn days_of_holders(
        &self,
        id: IdentifierId,
    ) -> impl Iterator<Item = (Node, Option<Day>)> {
        let further = self.further_holders(id).iter();
        let further = further.map(|holder| self.profiles.root(holder.node));
        let roots = self.root_of(id).into_iter().chain(further);
        roots.map(|root| (root, self.anonymous_seen.of(root)))
    }
}

/// What the state hash takes of the day of a profile.
pub(crate) fn anonymous_seen_hash(root: Node, day: Day) -> RecordHash {
    RecordHasher::new(Kind::AnonymousSeen).number(u64::from(root)).number(u64::from(day.0)).finish()
}
