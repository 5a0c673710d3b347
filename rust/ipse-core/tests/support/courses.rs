//! Laws asked of random courses: the same ones every day, new ones in a campaign.

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestError, TestRunner};

use super::people::Holds;

/// Courses tried for each set of rules, unless `PROPTEST_CASES` says how many.
const COURSES: u32 = 48;

/// Asks a law of each course; panics with the shortest course for which it does not hold.
pub(crate) fn run<S: Strategy>(courses: &S, law: impl Fn(&S::Value) -> Holds) {
    let chosen = std::env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let cases = if chosen { default.cases } else { COURSES };
    // A campaign searches; everyday runs are to fail because of a change only.
    let rng_seed = if chosen { default.rng_seed } else { RngSeed::Fixed(1) };
    let mut runner = TestRunner::new(ProptestConfig { cases, rng_seed, ..default });
    match runner.run(courses, |course| law(&course)) {
        Ok(()) => {}
        Err(TestError::Fail(why, course)) => panic!("{why}\nby the course {course:#?}"),
        Err(error) => panic!("{error}"),
    }
}
