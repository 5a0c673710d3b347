//! The hash of tables whose keys callers choose: identifiers, ids of events.
//!
//! All that it multiplies by comes from the seed, which is drawn when a log is opened, kept in
//! memory only and shown to nobody. So keys that were chosen to collide, against another server or
//! from the source, do not collide here. It does not resist someone who measures how long
//! thousands of calls of theirs take, to the nanosecond and across a network, and works back to
//! the seed: SipHash, which is made for that, adds a seventh to the cost of a steady event.

use std::fmt;
use std::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::quality::FoldHasher;

/// A secret, and hashes under it.
pub(crate) struct Keyed {
    seed: u64,
    multipliers: SharedSeed,
}

impl Keyed {
    pub(crate) fn new(seed: u64) -> Keyed {
        // Those that the library has in it are the same in every process.
        Keyed { seed, multipliers: SharedSeed::from_u64(seed) }
    }

    /// The hash of a text.
    pub(crate) fn hash(&self, text: &str) -> u64 {
        self.hash_within(0, text.as_bytes())
    }

    /// The hash of bytes under a number.
    pub(crate) fn hash_within(&self, number: u16, bytes: &[u8]) -> u64 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.multipliers);
        hasher.write(bytes);
        hasher.write_u16(number);
        hasher.finish()
    }
}

/// Whoever knows the seed can choose keys that collide.
impl fmt::Debug for Keyed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Keyed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOD: usize = 4_096;
    const SEEDS: [u64; 5] = [0, 2, 3, 1 << 63, 0x9e37_79b9_7f4a_7c15];

    /// The most of the values that share 12 bits of their hashes, at either end.
    fn crowding(values: &[String], hash: impl Fn(&str) -> u64) -> usize {
        let (mut high, mut low) = (vec![0; FLOOD], vec![0; FLOOD]);
        for value in values {
            let hash = hash(value);
            high[(hash >> 52) as usize] += 1;
            low[hash as usize % FLOOD] += 1;
        }
        high.into_iter().chain(low).max().unwrap_or(0)
    }

    /// Values that collide in 8 bits at either end under a hash that the attacker knows.
    fn chosen(hash: impl Fn(&str) -> u64) -> Vec<String> {
        let collide = |value: &String| {
            let hash = hash(value);
            hash >> 56 == 7 && hash & 0x0f == 7
        };
        (0_u32..).map(|number| format!("user-{number}")).filter(collide).take(FLOOD).collect()
    }

    /// 1 is the mean, and chance alone passes 12 once in very many runs.
    fn assert_spread(values: &[String], seed: u64) {
        let keyed = Keyed::new(seed);
        let found = crowding(values, |value| keyed.hash(value));
        assert!(found < 12, "seed {seed}: {found} of {} share a place", values.len());
    }

    #[test]
    fn values_chosen_to_collide_do_so_under_no_other_seed() {
        let known = Keyed::new(1);
        let values = chosen(|value| known.hash(value));
        let found = crowding(&values, |value| known.hash(value));
        assert!(found > 64, "they do under the one they are chosen for: {found}");
        for seed in SEEDS {
            assert_spread(&values, seed);
        }
    }

    #[test]
    fn values_chosen_to_collide_under_the_librarys_own_multipliers_do_not_under_a_seed() {
        let librarys = |value: &str| {
            let mut hasher = FoldHasher::with_seed(0, SharedSeed::global_fixed());
            hasher.write(value.as_bytes());
            hasher.write_u16(0);
            hasher.finish()
        };
        let values = chosen(librarys);
        for seed in SEEDS {
            assert_spread(&values, seed);
        }
    }

    #[test]
    fn values_that_differ_little_are_spread_like_any_others() {
        let long = "x".repeat(500);
        for filler in ["", "0", "00000000", "0000000000000000", long.as_str()] {
            let values: Vec<String> =
                (0..FLOOD).map(|n| format!("{filler}{n:05}{filler}")).collect();
            assert_spread(&values, 5);
        }
    }

    #[test]
    fn the_seed_is_not_shown() {
        assert_eq!(format!("{:?}", Keyed::new(77)), "Keyed");
    }
}
