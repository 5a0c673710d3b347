//! Counters of what was answered, for monitoring. They say how much, never who.

use std::sync::atomic::{AtomicU64, Ordering};

use ipse_core::Target;

/// Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) calls: Counter,
    pub(crate) calls_refused: Counter,
    pub(crate) panics: Counter,
    /// Events that were only asked about; the counters of events leave them out.
    pub(crate) previews: Counter,
    pub(crate) events_unresolved: Counter,
    pub(crate) events_created: Counter,
    pub(crate) events_found: Counter,
    pub(crate) events_merged: Counter,
    pub(crate) events_refused: Counter,
    pub(crate) events_recorded: Counter,
    pub(crate) events_repeated: Counter,
    pub(crate) profiles_read: Counter,
}

/// Goes up only.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Metrics {
    /// Counts one answered event by what became of profiles.
    pub(crate) fn count_event(&self, target: &Target) {
        match target {
            Target::Unresolved => self.events_unresolved.add(1),
            Target::Created(_) => self.events_created.add(1),
            Target::Found(_) => self.events_found.add(1),
            Target::Merged { .. } => self.events_merged.add(1),
        }
    }

    /// Name and count of each.
    pub(crate) fn counts(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("calls_total", self.calls.get()),
            ("calls_refused_total", self.calls_refused.get()),
            ("panics_total", self.panics.get()),
            ("previews_total", self.previews.get()),
            ("events_unresolved_total", self.events_unresolved.get()),
            ("events_created_total", self.events_created.get()),
            ("events_found_total", self.events_found.get()),
            ("events_merged_total", self.events_merged.get()),
            ("events_refused_total", self.events_refused.get()),
            ("events_recorded_total", self.events_recorded.get()),
            ("events_repeated_total", self.events_repeated.get()),
            ("profiles_read_total", self.profiles_read.get()),
        ]
    }
}

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
