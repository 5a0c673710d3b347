//! How fast the log is, as measured, and how long what waits for it will wait.
//!
//! Small groups say nothing about what the disk can do: they are as slow as a sync, and larger
//! ones would be as quick. So only groups that are worth a measurement count, and what is
//! written with one or two syncs is never said to wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Groups from this size on tell how fast the disk is.
const MEASURED_BYTES_MIN: u64 = 256 << 10;
/// Less than this is on disk with the next group or the one after it, however slow a sync is.
const WAITING_BYTES_MIN: u64 = 1 << 20;
/// Bounds of the time to write and sync a group, in microseconds.
const SYNC_BOUNDS_US: &[u64] = &[
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];
/// Bounds of a group's size, in bytes.
const GROUP_BOUNDS_BYTES: &[u64] =
    &[256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20];
const BOUNDS_MAX: usize = 16;

/// What is known of the log's speed.
pub(crate) struct Pace {
    began: Instant,
    waiting_bytes: AtomicU64,
    /// 0: nothing large enough was written yet.
    bytes_per_s: AtomicU64,
    /// When the group in flight began, in microseconds since `began`; 0: none is.
    in_flight_since_us: AtomicU64,
    pub(crate) syncs: Histogram,
    pub(crate) groups: Histogram,
}

/// Counts of what was at most so much.
pub(crate) struct Histogram {
    bounds: &'static [u64],
    /// One more than there are bounds: what was above them all.
    counts: [AtomicU64; BOUNDS_MAX],
    sum: AtomicU64,
}

/// A histogram as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// Upper bounds, ascending.
    pub bounds: &'static [u64],
    /// How many were above the bound before and not above this one; the last is of those above
    /// all bounds.
    pub counts: Vec<u64>,
    /// The sum of all.
    pub sum: u64,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            began: Instant::now(),
            waiting_bytes: AtomicU64::new(0),
            bytes_per_s: AtomicU64::new(0),
            in_flight_since_us: AtomicU64::new(0),
            syncs: Histogram::new(SYNC_BOUNDS_US),
            groups: Histogram::new(GROUP_BOUNDS_BYTES),
        }
    }
}

impl Pace {
    /// So many bytes are not on disk yet.
    pub(crate) fn set_waiting(&self, bytes: usize) {
        self.waiting_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes.load(Ordering::Relaxed)
    }

    /// A group is about to be written.
    pub(crate) fn begin_group(&self) {
        self.in_flight_since_us.store(self.now_us(), Ordering::Relaxed);
    }

    /// It is on disk.
    pub(crate) fn end_group(&self, bytes: u64) {
        let since_us = self.in_flight_since_us.swap(0, Ordering::Relaxed);
        let took_us = self.now_us().saturating_sub(since_us).max(1);
        self.syncs.add(took_us);
        self.groups.add(bytes);
        if bytes >= MEASURED_BYTES_MIN {
            self.measure(bytes.saturating_mul(1_000_000) / took_us);
        }
    }

    /// How long a record that is queued now will wait, or nothing if that is not worth telling.
    pub(crate) fn expected_wait(&self) -> Duration {
        let waiting = self.waiting_bytes();
        if waiting < WAITING_BYTES_MIN {
            return Duration::ZERO;
        }
        let rate = self.bytes_per_s.load(Ordering::Relaxed);
        let drain_us = waiting.saturating_mul(1_000_000).checked_div(rate).unwrap_or(0);
        // A disk that hangs was quick until then.
        Duration::from_micros(drain_us.max(self.in_flight_us()))
    }

    fn in_flight_us(&self) -> u64 {
        match self.in_flight_since_us.load(Ordering::Relaxed) {
            0 => 0,
            since_us => self.now_us().saturating_sub(since_us),
        }
    }

    fn measure(&self, bytes_per_s: u64) {
        let before = self.bytes_per_s.load(Ordering::Relaxed);
        let smoothed = if before == 0 { bytes_per_s } else { (before * 3 + bytes_per_s) / 4 };
        self.bytes_per_s.store(smoothed.max(1), Ordering::Relaxed);
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }
}

impl Histogram {
    fn new(bounds: &'static [u64]) -> Histogram {
        assert!(bounds.len() < BOUNDS_MAX, "there is a place above the last bound");
        Histogram { bounds, counts: Default::default(), sum: AtomicU64::new(0) }
    }

    fn add(&self, value: u64) {
        let at = self.bounds.partition_point(|&bound| bound < value);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    pub(crate) fn distribution(&self) -> Distribution {
        let counts = self.counts[..=self.bounds.len()].iter();
        Distribution {
            bounds: self.bounds,
            counts: counts.map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_little_never_waits_however_slow_the_disk_was() {
        let pace = Pace::default();
        pace.measure(1);
        pace.set_waiting(WAITING_BYTES_MIN as usize - 1);
        assert_eq!(pace.expected_wait(), Duration::ZERO);
    }

    #[test]
    fn much_waits_as_long_as_it_takes_to_write() {
        let pace = Pace::default();
        pace.set_waiting(20 << 20);
        assert_eq!(pace.expected_wait(), Duration::ZERO, "nothing was measured");
        pace.measure(10 << 20);
        assert_eq!(pace.expected_wait(), Duration::from_secs(2));
        pace.measure(50 << 20);
        assert_eq!(pace.expected_wait(), Duration::from_secs(1), "a quarter of the way");
    }

    #[test]
    fn a_disk_that_hangs_is_not_taken_at_its_word() {
        let pace = Pace::default();
        pace.measure(1 << 40);
        pace.set_waiting(2 << 20);
        pace.begin_group();
        std::thread::sleep(Duration::from_millis(2));
        assert!(pace.expected_wait() >= Duration::from_millis(2));
        pace.end_group(1);
        assert!(pace.expected_wait() < Duration::from_millis(2));
    }

    #[test]
    fn each_value_is_counted_under_the_first_bound_that_holds_it() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [1, 10, 11, 20, 21] {
            histogram.add(value);
        }
        let found = histogram.distribution();
        assert_eq!((found.counts, found.sum), (vec![2, 2, 1], 63));
    }
}
