//! A small fuzzer that runs on a stable compiler: mutates inputs and keeps those whose outcome
//! was not seen before, because what is near them is likely new, too.
//!
//! A plain run tries the corpus and a fixed number of inputs from a fixed seed. For longer:
//! `IPSE_FUZZ_SECONDS=600 cargo test -p ipse-store -p ipse-rpc --test fuzz`, which takes a new
//! seed each time and says which (`IPSE_FUZZ_SEED` sets it). With `IPSE_FUZZ_KEEP=1` inputs
//! with new outcomes are added to `tests/corpus/<target>`. What breaks something is always
//! written there, so that it is tried first from then on.

#![allow(dead_code, reason = "each crate's fuzzers use a part")]

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Inputs that are mutated; above this, a new one takes the place of another.
const POOL_MAX: usize = 4_000;
const INPUT_BYTES_MAX: usize = 64 << 10;

/// What is fuzzed, and with what.
pub(crate) struct Target<'t> {
    /// Names the corpus.
    pub(crate) name: &'t str,
    /// Inputs to begin with beside the corpus.
    pub(crate) seeds: Vec<Vec<u8>>,
    /// Pieces that mean something in such an input.
    pub(crate) words: &'t [&'t [u8]],
    /// How many inputs a plain run tries.
    pub(crate) inputs: u64,
}

/// Tries inputs; `outcome` says in words what one led to, and panics if that must not be.
pub(crate) fn fuzz(target: &Target<'_>, mut outcome: impl FnMut(&[u8]) -> String) {
    let seed = seed();
    let mut fuzzer = Fuzzer { random: Random(seed), pool: Vec::new(), seen: BTreeSet::new() };
    for input in target.seeds.iter().cloned().chain(corpus(target.name)) {
        let told = tried(target, seed, &input, &mut outcome);
        fuzzer.seen.insert(without_digits(&told));
        fuzzer.pool.push(input);
    }
    let until = seconds().map(|seconds| Instant::now() + seconds);
    let mut count = 0;
    while until.map_or(count < target.inputs, |until| Instant::now() < until) {
        let input = fuzzer.input(target.words);
        let told = without_digits(&tried(target, seed, &input, &mut outcome));
        if fuzzer.seen.insert(told) {
            fuzzer.keep(target.name, input);
        }
        count += 1;
    }
    let outcomes = fuzzer.seen.len();
    assert!(outcomes > 3, "{}: {count} inputs led to {outcomes} outcomes", target.name);
    report(target.name, seed, count, outcomes);
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("addresses have 64 bits");
        usize::try_from(self.next() % bound.max(1)).expect("below an address")
    }
}

struct Fuzzer {
    random: Random,
    pool: Vec<Vec<u8>>,
    seen: BTreeSet<String>,
}

impl Fuzzer {
    fn input(&mut self, words: &[&[u8]]) -> Vec<u8> {
        let chosen = self.random.below(self.pool.len());
        let mut bytes = self.pool[chosen].clone();
        for _ in 0..=self.random.below(4) {
            self.mutate(&mut bytes, words);
        }
        bytes.truncate(INPUT_BYTES_MAX);
        bytes
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, words: &[&[u8]]) {
        let at = self.random.below(bytes.len() + 1);
        let end = (at + 1 + self.random.below(12)).min(bytes.len());
        match self.random.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.random.below(8),
            1 if at < bytes.len() => bytes[at] = self.byte(),
            2 if at < end => drop(bytes.drain(at..end)),
            3 if at < end => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 if at + 8 <= bytes.len() => {
                let number = self.number();
                let length = [1, 2, 4, 8][self.random.below(4)];
                bytes[at..at + length].copy_from_slice(&number.to_le_bytes()[..length]);
            }
            5 => {
                let other = self.random.below(self.pool.len());
                let other = &self.pool[other];
                let from = self.random.0 as usize % (other.len() + 1);
                let piece = other[from..(from + 16).min(other.len())].to_vec();
                bytes.splice(at..end.max(at), piece);
            }
            6 if !words.is_empty() => {
                let word = words[self.random.below(words.len())];
                bytes.splice(at..at, word.iter().copied());
            }
            7 if !words.is_empty() && at < end => {
                let word = words[self.random.below(words.len())];
                bytes.splice(at..end, word.iter().copied());
            }
            _ => {
                let byte = self.byte();
                bytes.insert(at, byte);
            }
        }
    }

    fn byte(&mut self) -> u8 {
        self.random.next().to_le_bytes()[0]
    }

    fn number(&mut self) -> u64 {
        let known = [0, 1, 2, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];
        match self.random.below(3) {
            0 => self.random.next(),
            _ => known[self.random.below(known.len())],
        }
    }

    fn keep(&mut self, name: &str, input: Vec<u8>) {
        if std::env::var_os("IPSE_FUZZ_KEEP").is_some() && self.pool.len() < POOL_MAX {
            write(name, "new", &input);
        }
        if self.pool.len() < POOL_MAX {
            self.pool.push(input);
        } else {
            let place = self.random.below(POOL_MAX);
            self.pool[place] = input;
        }
    }
}

fn tried(
    target: &Target<'_>,
    seed: u64,
    input: &[u8],
    outcome: &mut impl FnMut(&[u8]) -> String,
) -> String {
    catch_unwind(AssertUnwindSafe(|| outcome(input))).unwrap_or_else(|panic| {
        let path = write(target.name, "broke", input);
        report(&format!("{} broke with {}", target.name, path.display()), seed, 0, 0);
        resume_unwind(panic)
    })
}

fn seed() -> u64 {
    match std::env::var("IPSE_FUZZ_SEED") {
        Ok(seed) => seed.parse().expect("IPSE_FUZZ_SEED is a number"),
        Err(_) if seconds().is_none() => 1,
        Err(_) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            now.as_secs()
        }
    }
}

fn seconds() -> Option<Duration> {
    let seconds = std::env::var("IPSE_FUZZ_SECONDS").ok()?;
    Some(Duration::from_secs(seconds.parse().expect("IPSE_FUZZ_SECONDS is a number")))
}

/// An outcome without the places that it names: they differ and mean the same.
fn without_digits(told: &str) -> String {
    told.chars().filter(|letter| !letter.is_ascii_digit()).take(200).collect()
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory(name)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file of the corpus")).collect()
}

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

fn write(name: &str, what: &str, input: &[u8]) -> PathBuf {
    let directory = directory(name);
    fs::create_dir_all(&directory).expect("the corpus can be written");
    let path = directory.join(format!("{what}-{:08x}", name_of(input)));
    fs::write(&path, input).expect("the corpus can be written");
    path
}

/// FNV-1a.
fn name_of(input: &[u8]) -> u32 {
    input.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// To standard error: a run that passes shows it with `--nocapture`.
#[allow(clippy::print_stderr, reason = "what was tried is for whoever runs it")]
fn report(name: &str, seed: u64, inputs: u64, outcomes: usize) {
    eprintln!("{name}: seed {seed}, {inputs} inputs, {outcomes} outcomes");
}
