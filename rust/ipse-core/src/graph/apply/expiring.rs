//! Expiring: identifiers leave everyone, as if they had been erased, and who was seen is noted.

use crate::change::{EventResolved, Expired};
use crate::graph::Graph;
use crate::graph::identifiers::IdentifierId;
use crate::graph::last_seen::last_seen_hash;
use crate::time::Day;

impl Graph {
    pub(super) fn expire(&mut self, expired: &Expired<'_>) {
        for id in expired.identifiers.iter().map(|identifier| IdentifierId(identifier.row)) {
            // One by one: most are on profiles of their own, and have few around them.
            self.remove_links(&[id], Vec::new());
            self.blank(id);
        }
    }

    /// Notes that the identifiers of an event's profile were seen on the day of its record. What
    /// a rule kept off the event is left out: a record that is redacted names it no more.
    pub(super) fn note_seen(&mut self, event: &EventResolved<'_>) {
        let today = Day::of(self.log_time);
        for observed in event.identifiers.iter().filter(|observed| observed.verdict.is_kept()) {
            let id = self.find_recorded(&observed.namespace, &observed.value);
            if let Some(id) = id.filter(|&id| self.may_expire(id)) {
                self.set_last_seen(id, today);
            }
        }
    }

    /// Other rules: what may expire from now on counts as seen today.
    pub(super) fn recount_last_seen(&mut self) {
        let kept = self.last_seen.iter().map(|(id, _)| id);
        let needless: Vec<IdentifierId> = kept.filter(|&id| !self.may_expire(id)).collect();
        needless.into_iter().for_each(|id| self.forget_last_seen(id));
        let today = Day::of(self.log_time);
        for id in (0..self.identifiers.rows.len()).map(IdentifierId) {
            if self.last_seen.of(id).is_none() && self.may_expire(id) {
                self.set_last_seen(id, today);
            }
        }
    }

    pub(crate) fn set_last_seen(&mut self, id: IdentifierId, day: Day) {
        let namespace = self.identifiers.rows.row(id).namespace;
        if let Some(before) = self.last_seen.set(namespace, id, day) {
            self.state.remove(last_seen_hash(id, before));
        }
        self.state.add(last_seen_hash(id, day));
    }

    pub(super) fn forget_last_seen(&mut self, id: IdentifierId) {
        let namespace = self.identifiers.rows.row(id).namespace;
        if let Some(day) = self.last_seen.remove(namespace, id) {
            self.state.remove(last_seen_hash(id, day));
        }
    }
}
