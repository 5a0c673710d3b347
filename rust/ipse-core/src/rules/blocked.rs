//! Values that name nobody, such as `null` or all zeros.
//!
//! Every identifier of every event is asked for, so patterns are compiled into one automaton
//! that leaves an ordinary value at its first byte. Patterns that would make it too large are
//! searched by the general engine instead, with the same answers.

use regex::RegexSet;
use regex_automata::dfa::{Automaton, dense};
use regex_automata::nfa::thompson;
use regex_automata::{Anchored, Input};

/// Largest automaton, in bytes: a table that stays in the cache.
const AUTOMATON_BYTES_MAX: usize = 64 * 1024;

/// The blocked values of a namespace.
#[derive(Clone, Debug)]
pub struct Blocked {
    exact: Vec<Box<str>>,
    patterns: Patterns,
    /// Most characters; a value has at most as many as it has bytes.
    characters_max: usize,
}

#[derive(Clone, Debug, Default)]
enum Patterns {
    #[default]
    None,
    Automaton {
        table: Box<dense::DFA<Vec<u32>>>,
        /// Whether no pattern can match but from the first byte on.
        anchored: Anchored,
        /// By first byte: whether nothing that begins with it matches. Most values end here.
        hopeless: Box<[bool; 256]>,
    },
    Engine(RegexSet),
}

impl Default for Blocked {
    fn default() -> Blocked {
        Blocked { exact: Vec::new(), patterns: Patterns::None, characters_max: usize::MAX }
    }
}

impl Blocked {
    /// Values, patterns, which are known to be good, one by one, and most characters.
    pub(super) fn new(
        exact: Vec<Box<str>>,
        patterns: &[&str],
        longer_than: Option<u32>,
    ) -> Result<Blocked, regex::Error> {
        let patterns = match automaton(patterns) {
            _ if patterns.is_empty() => Patterns::None,
            Some(automaton) => automaton,
            None => Patterns::Engine(RegexSet::new(patterns)?),
        };
        let characters_max = longer_than.map_or(usize::MAX, |most| most as usize);
        Ok(Blocked { exact, patterns, characters_max })
    }

    /// Whether nothing is blocked.
    pub fn is_empty(&self) -> bool {
        let has_patterns = !matches!(self.patterns, Patterns::None);
        self.exact.is_empty() && !has_patterns && self.characters_max == usize::MAX
    }

    /// Whether a normalised value is blocked.
    pub fn contains(&self, value: &str) -> bool {
        self.exact.iter().any(|blocked| **blocked == *value)
            || self.patterns.match_part_of(value)
            || self.is_too_long(value)
    }

    fn is_too_long(&self, value: &str) -> bool {
        value.len() > self.characters_max && value.chars().count() > self.characters_max
    }
}

impl Patterns {
    fn match_part_of(&self, value: &str) -> bool {
        match self {
            Patterns::None => false,
            Patterns::Automaton { table, anchored, hopeless } => {
                let first = value.as_bytes().first();
                if first.is_some_and(|&byte| hopeless[usize::from(byte)]) {
                    return false;
                }
                let input = Input::new(value).anchored(*anchored).earliest(true);
                let found = table.try_search_fwd(&input);
                found.expect("the automaton has no byte that it gives up on").is_some()
            }
            Patterns::Engine(set) => set.is_match(value),
        }
    }
}

/// The patterns as one table; `None` if it would be too large, or if they need what a table
/// cannot do (word boundaries beyond ASCII).
fn automaton(patterns: &[&str]) -> Option<Patterns> {
    let nfa = thompson::Compiler::new().build_many(patterns).ok()?;
    let config = dense::Config::new()
        .dfa_size_limit(Some(AUTOMATON_BYTES_MAX))
        .determinize_size_limit(Some(AUTOMATON_BYTES_MAX));
    let table = dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()?;
    let anchored = if nfa.is_always_start_anchored() { Anchored::Yes } else { Anchored::No };
    let hopeless = Box::new(hopeless(&table, anchored)?);
    Some(Patterns::Automaton { table: Box::new(table), anchored, hopeless })
}

/// The first bytes after which the automaton is dead. A match that is empty shows one byte
/// late, as a state that is not dead.
fn hopeless(table: &dense::DFA<Vec<u32>>, anchored: Anchored) -> Option<[bool; 256]> {
    if anchored == Anchored::No {
        return Some([false; 256]);
    }
    let start = table.start_state_forward(&Input::new("").anchored(anchored)).ok()?;
    let is_dead = |byte| table.is_dead_state(table.next_state(start, byte));
    Some(std::array::from_fn(|byte| is_dead(byte as u8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automaton_and_engine_agree() {
        let cases: [&[&str]; 7] = [
            &["^[0-]*$"],
            &["^[0-]*$", "test"],
            &["(?i)^undefined$|^n/?a$"],
            &["@test\\.com$", "^.{1,2}$"],
            &["é+", "^$"],
            &["\\bfoo\\b"],
            &["^a*"],
        ];
        let values =
            ["", "0", "00-00", "0a", "a test", "TEST", "UNDEFINED", "n/a", "na", "x@test.com"];
        let more = ["x@test.community", "ab", "abc", "ééé", "a foo b", "afoob"];
        for patterns in cases {
            let blocked = Blocked::new(Vec::new(), patterns, None).expect("good patterns");
            let engine = RegexSet::new(patterns).expect("good patterns");
            for value in values.iter().chain(&more) {
                assert_eq!(blocked.contains(value), engine.is_match(value), "{patterns:?} {value}");
            }
        }
        assert!(matches!(automaton(&["^[0-]*$"]), Some(Patterns::Automaton { .. })));
    }
}
