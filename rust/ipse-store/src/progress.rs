//! How far the reading of a data directory has come, for whoever waits for it.
//!
//! Two counters that recovery adds to and another thread looks at. They decide nothing.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of the snapshot and of the log after it: those to be read, and those that were.
///
/// Before recovery knows what there is, and of a new directory, both are 0.
#[derive(Debug, Default)]
pub struct RecoveryProgress {
    bytes_read: AtomicU64,
    bytes_to_read: AtomicU64,
}

impl RecoveryProgress {
    /// (bytes that were read and applied, bytes to be read in all, these included).
    pub fn now(&self) -> (u64, u64) {
        // In this order: what is to be read never falls below what was read before.
        let read = self.bytes_read.load(Ordering::Acquire);
        (read, self.bytes_to_read.load(Ordering::Acquire))
    }

    /// So much is still to be read, whatever was thought before.
    pub(crate) fn expect(&self, more: u64) {
        let read = self.bytes_read.load(Ordering::Relaxed);
        self.bytes_to_read.store(read.saturating_add(more), Ordering::Release);
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Release);
    }
}
