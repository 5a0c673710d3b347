//! Counts of calls by method and outcome, and how long they took: what only a transport can know.
//!
//! Every call is counted, on any thread, and nobody waits for it: each thread counts on cache
//! lines that few others use. Read as it stands: a count may then be a call behind another, which
//! the next look puts right.

use std::array::from_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::methods::METHODS;

/// Upper bounds of the times that calls take, in microseconds.
pub const TIMES_US: [u64; 13] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000,
];

/// Names that callers make up are one: they must not fill the memory.
const UNKNOWN_METHOD: &str = "unknown";
/// Numbers of google.rpc.Code, from OK to UNAUTHENTICATED.
const CODES: usize = 17;
const SHARDS: usize = 8;

/// What was answered since the start.
pub struct Tally {
    shards: [Shard; SHARDS],
}

/// A histogram of the times of a method's calls.
#[derive(Debug)]
pub struct Times {
    /// Those above the bound before and not above this one; the last are above all.
    pub counts: Vec<u64>,
    /// Of all of them.
    pub sum: Duration,
}

#[repr(align(128))]
struct Shard(Vec<Counts>);

#[derive(Default)]
struct Counts {
    codes: [AtomicU64; CODES],
    times: [AtomicU64; TIMES_US.len() + 1],
    nanoseconds: AtomicU64,
}

impl Default for Tally {
    fn default() -> Tally {
        let counts = || METHODS.iter().map(|_| Counts::default()).chain([Counts::default()]);
        Tally { shards: from_fn(|_| Shard(counts().collect())) }
    }
}

impl Tally {
    /// Counts a call that has ended.
    pub fn count(&self, method: &str, code: i32, took: Duration) {
        let at = METHODS.iter().position(|known| known.name == method).unwrap_or(METHODS.len());
        let counts = &self.shards[shard()].0[at];
        let code = usize::try_from(code).ok().filter(|code| *code < CODES).unwrap_or(UNKNOWN_CODE);
        let time = TIMES_US.partition_point(|bound| u128::from(*bound) < took.as_micros());
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counts.codes[code].fetch_add(1, Ordering::Relaxed);
        counts.times[time].fetch_add(1, Ordering::Relaxed);
        counts.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// How many calls of a method ended with a code, of those that any did.
    pub fn codes(&self) -> Vec<(&'static str, i32, u64)> {
        let each = names().flat_map(|named| (0..CODES).map(move |code| (named, code)));
        let counted = each.map(|((at, name), code)| {
            (name, code as i32, self.sum(at, |counts| &counts.codes[code]))
        });
        counted.filter(|(_, _, count)| *count > 0).collect()
    }

    /// How long the calls of each method took, from their being read to their answer.
    pub fn times(&self) -> Vec<(&'static str, Times)> {
        let times = |(at, name)| {
            let counts =
                (0..=TIMES_US.len()).map(|time| self.sum(at, |counts| &counts.times[time]));
            let sum = Duration::from_nanos(self.sum(at, |counts| &counts.nanoseconds));
            (name, Times { counts: counts.collect(), sum })
        };
        names().map(times).filter(|(_, times)| times.counts.iter().any(|n| *n > 0)).collect()
    }

    fn sum(&self, at: usize, counter: impl Fn(&Counts) -> &AtomicU64) -> u64 {
        self.shards.iter().map(|shard| counter(&shard.0[at]).load(Ordering::Relaxed)).sum()
    }
}

const UNKNOWN_CODE: usize = 2;

/// Places of the counts, and whose they are.
fn names() -> impl Iterator<Item = (usize, &'static str)> {
    METHODS.iter().map(|method| method.name).chain([UNKNOWN_METHOD]).enumerate()
}

/// Where this thread counts.
fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
    }
    OWN.with(|own| *own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_all_threads_are_counted_by_method_code_and_time() {
        let tally = Tally::default();
        let known = METHODS[0].name;
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| tally.count(known, 0, Duration::from_micros(500)));
            }
        });
        tally.count(known, 5, Duration::from_micros(501));
        tally.count("/made/Up", 12, Duration::from_secs(11));
        tally.count("/made/Up2", -1, Duration::ZERO);
        let codes = [(known, 0, 16), (known, 5, 1), ("unknown", 2, 1), ("unknown", 12, 1)];
        assert_eq!(tally.codes(), codes);
        let times = tally.times();
        assert_eq!((times[0].0, &times[0].1.counts[..3]), (known, &[16, 1, 0][..]));
        assert_eq!(times[0].1.sum, Duration::from_micros(8_501));
        assert_eq!((times[1].0, times[1].1.counts.last()), ("unknown", Some(&1)));
    }
}
