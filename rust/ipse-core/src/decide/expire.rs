//! Which identifiers expire, and whether an event keeps some from it.

use crate::change::{Expired, ExpiredIdentifier, ObservedIdentifier};
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::limits::EXPIRED_IDENTIFIERS_MAX;
use crate::time::{Day, Timestamp};

impl Graph {
    /// Decides which identifiers expire at `now` by the server's clock, as many as one record
    /// may name; `None` if none does. To be asked again until none does.
    pub fn decide_expiry(&self, now: Timestamp) -> Option<Expired<'static>> {
        if !self.rules().has_expiry() {
            return None;
        }
        let today = Day::of(now.max(self.log_time));
        let namespaces = self.namespaces();
        let expiring = (0u16..).zip(namespaces.names()).filter_map(|(index, _)| {
            let days = namespaces.rules_of(index)?.expires_after_days?;
            Some((index, today.minus(days)))
        });
        let identifiers: Vec<ExpiredIdentifier<'static>> = expiring
            .flat_map(|(index, day)| self.last_seen.before(index, day))
            .take(EXPIRED_IDENTIFIERS_MAX)
            .map(|(id, last_seen)| self.expired(id, last_seen))
            .collect();
        (!identifiers.is_empty()).then_some(Expired { identifiers })
    }

    /// Whether an event is the first of its day to show an identifier of its profile that may
    /// expire: it is recorded, so that replay knows the day, too.
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
            id.and_then(|id| self.last_seen.of(id)).is_some_and(|day| day < today)
        })
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
