//! Values that name nobody, such as `null` or all zeros.
//!
//! Every identifier of every event is asked for, so the first byte of an ordinary value says that
//! it is none of them, and patterns are compiled into one automaton. Patterns that would make it
//! too large are searched by the general engine instead, with the same answers.

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
    /// By first byte.
    chances: Box<[Chances; 256]>,
    /// Most characters; a value has at most as many as it has bytes.
    characters_max: usize,
}

/// What a value may match that begins with a byte. Most may match nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Chances {
    exact: bool,
    patterns: bool,
}

#[derive(Clone, Debug, Default)]
enum Patterns {
    #[default]
    None,
    Automaton {
        table: Box<dense::DFA<Vec<u32>>>,
        /// Whether no pattern can match but from the first byte on.
        anchored: Anchored,
    },
    Engine(RegexSet),
}

impl Default for Blocked {
    fn default() -> Blocked {
        Blocked {
            exact: Vec::new(),
            patterns: Patterns::None,
            chances: Box::new([Chances::default(); 256]),
            characters_max: usize::MAX,
        }
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
        let chances = Box::new(std::array::from_fn(|byte| Chances {
            exact: exact.iter().any(|value| value.as_bytes().first() == Some(&(byte as u8))),
            patterns: patterns.may_match_from(byte as u8),
        }));
        Ok(Blocked { exact, patterns, chances, characters_max })
    }

    /// Whether nothing is blocked.
    pub fn is_empty(&self) -> bool {
        let has_patterns = !matches!(self.patterns, Patterns::None);
        self.exact.is_empty() && !has_patterns && self.characters_max == usize::MAX
    }

    /// Whether a normalised value is blocked.
    #[inline]
    pub fn contains(&self, value: &str) -> bool {
        let first = value.as_bytes().first();
        let any = Chances { exact: true, patterns: true };
        let chances = first.map_or(any, |&byte| self.chances[usize::from(byte)]);
        chances.exact && self.exact.iter().any(|blocked| **blocked == *value)
            || chances.patterns && self.patterns.match_part_of(value)
            || self.is_too_long(value)
    }

    fn is_too_long(&self, value: &str) -> bool {
        value.len() > self.characters_max && value.chars().count() > self.characters_max
    }
}

impl Patterns {
    /// Whether anything that begins with a byte may match. A match that is empty shows one byte
    /// late, as a state that is not dead.
    fn may_match_from(&self, byte: u8) -> bool {
        match self {
            Patterns::None => false,
            Patterns::Automaton { table, anchored: Anchored::Yes } => {
                let start = table.start_state_forward(&Input::new("").anchored(Anchored::Yes));
                start.map_or(true, |start| !table.is_dead_state(table.next_state(start, byte)))
            }
            Patterns::Automaton { .. } | Patterns::Engine(_) => true,
        }
    }

    fn match_part_of(&self, value: &str) -> bool {
        match self {
            Patterns::None => false,
            Patterns::Automaton { table, anchored } => {
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
    Some(Patterns::Automaton { table: Box::new(table), anchored })
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
