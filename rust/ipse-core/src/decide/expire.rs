//! Which identifiers expire, and whether an event keeps some from it.

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use crate::change::{Expired, ExpiredIdentifier, ObservedIdentifier};
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::limits::EXPIRED_IDENTIFIERS_MAX;
use crate::time::{Day, Timestamp};
use crate::union_find::Node;

impl Graph {
    /// Decides which identifiers expire at `now` by the server's clock, as many as one record
    /// may name; `None` if none does. To be asked again until none does.
    pub fn decide_expiry(&self, now: Timestamp) -> Option<Expired<'static>> {
        if !self.rules().has_expiry() {
            return None;
        }
        let today = Day::of(now.max(self.log_time));
        let mut identifiers = self.expiring_by_namespace(today);
        if identifiers.is_empty() {
            identifiers = self.expiring_by_profile(today);
        }
        (!identifiers.is_empty()).then_some(Expired { identifiers })
    }

    /// Whether an event is the first of its day to show an identifier of its profile that may
    /// expire, or whose holder may: it is recorded, so that replay knows the day, too.
    pub(super) fn is_seen_anew(
        &self,
        identifiers: &[ObservedIdentifier<'_>],
        now: Timestamp,
    ) -> bool {
        if !self.rules().has_expiry() {
            return false;
        }
        let today = Day::of(now.max(self.log_time));
        identifiers.iter().filter(|observed| observed.verdict.is_kept()).any(|observed| {
            let id = self.find_identifier(&observed.namespace, &observed.value);
            id.is_some_and(|id| self.seen_days(id).any(|day| day < today))
        })
    }

    fn seen_days(&self, id: IdentifierId) -> impl Iterator<Item = Day> {
        let holders = self.rules().anonymous_expires_after_days.map(|_| self.days_of_holders(id));
        let of_holders = holders.into_iter().flatten().filter_map(|(_, day)| day);
        self.last_seen.of(id).into_iter().chain(of_holders)
    }

    fn expiring_by_namespace(&self, today: Day) -> Vec<ExpiredIdentifier<'static>> {
        let namespaces = self.namespaces();
        let expiring = (0u16..).zip(namespaces.names()).filter_map(|(index, _)| {
            let days = namespaces.rules_of(index)?.expires_after_days?;
            Some((index, today.minus(days)))
        });
        expiring
            .flat_map(|(index, day)| self.last_seen.before(index, day))
            .take(EXPIRED_IDENTIFIERS_MAX)
            .map(|(id, last_seen)| self.expired(id, last_seen))
            .collect()
    }

    /// The identifiers of anonymous profiles, of each all or, if they are too many for one
    /// record, as many as one may name.
    fn expiring_by_profile(&self, today: Day) -> Vec<ExpiredIdentifier<'static>> {
        let Some(days) = self.rules().anonymous_expires_after_days else { return Vec::new() };
        let end = today.minus(days);
        let mut once: HashSet<IdentifierId, FixedState> = HashSet::default();
        let mut expiring = Vec::new();
        for (root, last_seen) in self.anonymous_seen.before((), end) {
            let mut ids = self.leaving_with(root, end);
            ids.retain(|id| !once.contains(id));
            let room = EXPIRED_IDENTIFIERS_MAX - expiring.len();
            if room == 0 || ids.len() > room && !expiring.is_empty() {
                break;
            }
            ids.truncate(room);
            once.extend(&ids);
            expiring.extend(ids.into_iter().map(|id| self.expired(id, last_seen)));
        }
        expiring
    }

    /// What leaves with a profile that was not seen since before a day: all but what a profile
    /// that stays holds, too. Former ids come first: they alone would keep no day.
    fn leaving_with(&self, root: Node, end: Day) -> Vec<IdentifierId> {
        let goes = |day: Option<Day>| day.is_some_and(|day| day < end);
        let mut ids = self.identifiers_of_profile(root);
        ids.retain(|&id| self.days_of_holders(id).all(|(_, day)| goes(day)));
        ids.sort_by_key(|&id| !self.is_former_id(id));
        ids
    }

    fn expired(&self, id: IdentifierId, last_seen: Day) -> ExpiredIdentifier<'static> {
        let (namespace, value) = self.text_of(id);
        let roots = self.roots_of(id).into_iter();
        ExpiredIdentifier {
            row: id.0,
            namespace: namespace.to_owned().into(),
            value: value.to_owned().into(),
            profiles: roots.map(|root| self.profiles.bearer(root)).collect(),
            last_seen: last_seen.start(),
        }
    }
}
