//! Times of calls, counted in buckets that are at most 1.6 % wide whatever the time.

use std::time::Duration;

const STEP_BITS: u32 = 6;
const STEPS: usize = 1 << STEP_BITS;
const BUCKETS: usize = STEPS * (64 - STEP_BITS as usize + 1);

/// Durations in nanoseconds by bucket.
pub(crate) struct Histogram {
    counts: Vec<u64>,
    pub(crate) total: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS], total: 0, max_ns: 0 }
    }
}

impl Histogram {
    pub(crate) fn record(&mut self, took: Duration) {
        let ns = took.as_nanos() as u64;
        self.counts[bucket_of(ns)] += 1;
        self.total += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// The time that this share of the calls did not pass, in milliseconds (nearest rank).
    pub(crate) fn percentile_ms(&self, percent: f64) -> Option<f64> {
        let rank = ((percent / 100.0 * self.total as f64).ceil() as u64).max(1);
        let mut below = 0;
        let bucket = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        Some(upper_bound(bucket).min(self.max_ns) as f64 / 1e6)
    }
}

fn bucket_of(ns: u64) -> usize {
    // The highest bit and the STEP_BITS below it; the first STEPS buckets are exact.
    let shift = (64 - ns.leading_zeros()).saturating_sub(STEP_BITS + 1);
    shift as usize * STEPS + (ns >> shift) as usize
}

fn upper_bound(bucket: usize) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1) as u32;
    let top = (bucket - shift as usize * STEPS) as u64;
    ((top + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_all_times_without_a_gap() {
        for ns in [0, 1, 63, 64, 127, 128, 129, 255, 256, 1_000_000, u64::MAX / 3] {
            let bucket = bucket_of(ns);
            let bound = upper_bound(bucket);
            assert!(ns <= bound && bound as f64 <= ns as f64 * 1.017 + 1.0, "{ns} {bound}");
            assert_eq!(bucket_of(bound + 1), bucket + 1);
        }
        assert!(bucket_of(u64::MAX) < BUCKETS);
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile_ms(50.0), None);
        (1..=100).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        let near = |percent: f64, ms: f64| {
            let found = histogram.percentile_ms(percent).expect("not empty");
            assert!((found / ms - 1.0).abs() < 0.017, "{percent}: {found}");
        };
        near(50.0, 50.0);
        near(99.0, 99.0);
        assert_eq!(histogram.percentile_ms(100.0), Some(100.0));
    }
}
