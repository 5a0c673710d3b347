//! Rules as data: what may join two profiles, and what keeps an identifier off one.
//!
//! A workspace's rules are a TOML text, which the log keeps as it was written, and what this
//! module makes of it. [`Rules::from_toml`] accepts a text whole or says everything that is
//! wrong with it, by line and key; nothing behind it checks again.
//!
//! Rules never look at a graph: [`crate::decide`] asks them.

mod blocked;
mod mapping;
mod parse;
mod table;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::identifier::Normaliser;

pub use blocked::Blocked;
pub use mapping::{Condition, Literal, Mapping, NamespaceSources, Source};

/// The presets that ship with ipse, by name.
const PRESETS: &[(&str, &str)] = &[("segment", include_str!("presets/segment.toml"))];

/// The name of the preset that a new workspace gets if it names none.
pub const DEFAULT_PRESET: &str = "segment";

/// The rules of a workspace.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What gives way when a limit would be exceeded.
    pub drop_policy: DropPolicy,
    /// Whose id a merge keeps.
    pub survivor: Survivor,
    /// Most merges of one profile, those of all its parts counted.
    pub merges_max: u32,
    /// Most identifiers of one profile.
    pub identifiers_max: u32,
    auto_add: Option<NamespaceRules>,
    namespaces: Vec<NamespaceRules>,
    by_name: HashMap<Box<str>, usize, foldhash::fast::FixedState>,
    mapping: Mapping,
}

/// What gives way when an event would exceed a namespace's limit on the profile it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropPolicy {
    /// The event's lowest-priority identifier, whatever the violated namespace, then try
    /// again (Segment today).
    DropLowest,
    /// If the violated namespace allows one value for ever, the lowest-priority identifier;
    /// otherwise an identifier of the violated namespace (Segment's rules page of 2020).
    Legacy2020,
}

/// Whose id a merge keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivor {
    /// The profile that was created first.
    Oldest,
}

/// The rules of one namespace.
#[derive(Clone, Debug)]
pub struct NamespaceRules {
    /// Its name.
    pub name: Box<str>,
    /// Its place among the namespaces, from 1 for the strongest; without one, after those
    /// that have one, by name.
    pub priority: Option<u32>,
    /// How many values a profile may take.
    pub limit: Limit,
    /// Whether one of its identifiers makes a profile known.
    pub login: bool,
    /// How its values are brought into one form.
    pub normaliser: Normaliser,
    /// Values that name nobody.
    pub blocked: Blocked,
}

/// How many values of a namespace a profile may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The number, at least 1.
    pub values: u32,
    /// Within which time.
    pub window: Window,
}

/// A sliding window of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The profile's lifetime.
    Ever,
    /// This many milliseconds.
    Millis(i64),
}

/// A rules text and, if it was parsed here already, what it says: compiling patterns takes
/// time, so a text is parsed once on its way from the request to the graph.
#[derive(Clone, Debug)]
pub struct RulesText<'a> {
    text: Cow<'a, str>,
    parsed: Option<Arc<Rules>>,
}

/// One thing that is wrong with a rules text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesProblem {
    /// The line, from 1; 0 if it is about the whole.
    pub line: u32,
    /// The key, for example `namespaces.email.limit`; empty if it is about the whole.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// The text of a preset, or `None` if there is none of that name.
pub fn preset(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

impl Rules {
    /// Reads and checks a rules text. Gives every problem, in the order of lines.
    pub fn from_toml(text: &str) -> Result<Rules, Vec<RulesProblem>> {
        parse::parse(text)
    }

    /// The namespaces, strongest first.
    pub fn namespaces(&self) -> &[NamespaceRules] {
        &self.namespaces
    }

    /// The rules of a namespace that the text names.
    pub fn namespace(&self, name: &str) -> Option<&NamespaceRules> {
        self.position(name).map(|at| &self.namespaces[at])
    }

    /// Where a namespace stands in [`Rules::namespaces`].
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The rules of a namespace that the text does not name, if events may add those.
    pub fn auto_add(&self) -> Option<&NamespaceRules> {
        self.auto_add.as_ref()
    }

    /// Whether the same namespaces log in under other rules.
    pub(crate) fn has_logins_of(&self, other: &Rules) -> bool {
        fn logins(rules: &Rules) -> impl Iterator<Item = &str> {
            rules.namespaces.iter().filter(|namespace| namespace.login).map(|n| &*n.name)
        }
        let is_login = |rules: &Rules, name: &str| rules.namespace(name).is_some_and(|n| n.login);
        logins(self).all(|name| is_login(other, name))
            && logins(other).all(|name| is_login(self, name))
    }

    /// How raw events are read.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

impl<'a> RulesText<'a> {
    /// A text that is parsed when it is needed.
    pub fn unparsed(text: impl Into<Cow<'a, str>>) -> RulesText<'a> {
        RulesText { text: text.into(), parsed: None }
    }

    /// Reads and checks a text.
    pub fn parse(text: impl Into<Cow<'a, str>>) -> Result<RulesText<'a>, Vec<RulesProblem>> {
        RulesText::unparsed(text).parsed()
    }

    /// The same, parsed.
    pub fn parsed(self) -> Result<RulesText<'a>, Vec<RulesProblem>> {
        let rules = self.rules()?;
        Ok(RulesText { text: self.text, parsed: Some(rules) })
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says.
    pub fn rules(&self) -> Result<Arc<Rules>, Vec<RulesProblem>> {
        match &self.parsed {
            Some(rules) => Ok(rules.clone()),
            None => Rules::from_toml(&self.text).map(Arc::new),
        }
    }
}

impl<'a, T: AsRef<str> + ?Sized> From<&'a T> for RulesText<'a> {
    fn from(text: &'a T) -> RulesText<'a> {
        RulesText::unparsed(text.as_ref())
    }
}

/// Texts are equal, whether they were parsed or not.
impl PartialEq for RulesText<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Limit {
    /// Whether the namespace allows one value for ever: what Segment calls unique.
    pub fn is_unique(self) -> bool {
        self.values == 1 && self.window == Window::Ever
    }
}

impl fmt::Display for RulesProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.key.as_str()) {
            (0, "") => write!(f, "{}", self.message),
            (0, key) => write!(f, "{key}: {}", self.message),
            (line, "") => write!(f, "line {line}: {}", self.message),
            (line, key) => write!(f, "line {line}: {key}: {}", self.message),
        }
    }
}
