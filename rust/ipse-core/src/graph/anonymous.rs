//! When profiles that nobody is known by were last seen, to the day of the log.
//!
//! Only where the rules let anonymous profiles expire: nothing else pays for it. A day is kept of
//! a profile and not of each of its identifiers, so that a merge, a login or a sighting is one
//! step, and what expires first comes first however much the profiles hold.

use crate::time::Day;
use crate::union_find::Node;

use super::Graph;
use super::identifiers::IdentifierId;
use super::last_seen::Days;
use super::state_hash::{Kind, RecordHash, RecordHasher};

/// The days of all anonymous profiles that hold identifiers, by root.
pub(crate) type AnonymousSeen = Days<(), Node>;

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
