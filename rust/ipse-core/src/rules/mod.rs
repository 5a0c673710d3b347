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
    /// What may join two profiles.
    pub trigger: Trigger,
    /// With [`Trigger::Key`]: the namespace that is an event's key if it names none.
    pub key: Option<Box<str>>,
    /// What happens to identifiers that cannot all be on one profile.
    pub conflict: Conflict,
    /// Whose id a merge keeps.
    pub survivor: Survivor,
    /// Most merges of one profile, those of all its parts counted.
    pub merges_max: u32,
    /// Most identifiers of one profile.
    pub identifiers_max: u32,
    /// What happens to an identifier beyond that.
    pub over_limit: OverLimit,
    /// Most identifiers that one merge may move: those of all but the survivor.
    pub moved_max: u32,
    /// Most profiles that one shared identifier may be on.
    pub holders_max: u32,
    /// What an event with two values of a namespace that allows one comes to.
    pub ambiguous_event: AmbiguousEvent,
    /// By what an anonymous event is attributed.
    pub anonymous_history: AnonymousHistory,
    /// The namespaces whose value is a profile's canonical id, best first; none: no such id.
    pub canonical_id: Vec<Box<str>>,
    /// What a new login id does to an anonymous profile.
    pub new_known: NewKnown,
    /// Whose the events after a logout are.
    pub logout: Logout,
    /// What guards the sources of `Login`.
    pub login_guards: Guards,
    /// What guards the sources of `Link`.
    pub link_guards: Guards,
    /// What guards the sources of `Merge`.
    pub merge_guards: Guards,
    /// Whether history may be attributed from one profile to another.
    pub attributes_history: bool,
    /// Which of two values of a trait a merged profile has, where nothing is said of the trait.
    pub survivorship: Survivorship,
    /// The same, by trait.
    pub trait_survivorship: HashMap<Box<str>, Survivorship, foldhash::fast::FixedState>,
    auto_add: Option<NamespaceRules>,
    namespaces: Vec<NamespaceRules>,
    by_name: HashMap<Box<str>, usize, foldhash::fast::FixedState>,
    mapping: Mapping,
}

/// What may join two profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// That an event shows their identifiers together.
    SeenTogether,
    /// That an event with a key shows them together; one without finds, and joins nothing.
    Key,
    /// A command only. An event is found its profile by narrowing: strongest namespace first,
    /// the profiles that hold its identifier, until one is left.
    Explicit,
}

/// What happens to identifiers that cannot all be on one profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The event's lowest-priority identifier, whatever the violated namespace, is dropped,
    /// and the event is tried again (Segment today).
    DropLowest,
    /// If the violated namespace allows one value for ever, the lowest-priority identifier is
    /// dropped; otherwise an identifier of the violated namespace (Segment's rules page of 2020).
    Legacy2020,
    /// Nothing is joined; the event is its strongest identifier's.
    Refuse,
    /// From the strongest on, what fits is joined; what does not stays where it is.
    KeepFirst,
    /// From the strongest on, what fits is joined; what does not moves to the event's profile,
    /// unless it was attached by a newer event.
    Transfer,
    /// Links are evidence: those of the touched component are put in order (those of the
    /// latest event, then by the sum of the priorities, then the newest) and the ones that
    /// would put too many values of a namespace together are displaced (Adobe).
    Replay,
}

/// Whose id a merge keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivor {
    /// The profile that was created first.
    Oldest,
    /// The profile that the event or command leads to: its strongest identifier's.
    Target,
    /// The profile that holds the strongest identifier of all.
    StrongestIdentifier,
}

/// What happens to an identifier that a full profile has no room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverLimit {
    /// It is refused.
    Refuse,
    /// It takes the place of the oldest.
    EvictOldest,
    /// It takes the place of the oldest of the first kind in this order of which there is one.
    /// Kinds that are not named come last, all together.
    EvictByKind(Vec<Kind>),
}

/// What an event with two values of a namespace that allows one comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmbiguousEvent {
    /// The conflict policy judges them.
    Judge,
    /// All its identifiers are dropped.
    Refuse,
}

/// By what an event is attributed; whose it is later is a lookup of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnonymousHistory {
    /// By the profile: what the event's profile is merged into takes the event along.
    Retroactive,
    /// By the event's strongest identifier: it follows that.
    Moves,
    /// An event with an identifier of a login namespace by its profile, another by nobody.
    Nobody,
}

/// What a login id that no profile holds does to the anonymous profile of the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewKnown {
    /// It is attached to it.
    Convert,
    /// It begins a new profile.
    Create,
}

/// Whose the events after a logout are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logout {
    /// Whoever's the identifiers of the call are.
    Stay,
    /// A new profile's, always.
    Create,
    /// An anonymous profile's that holds the identifiers, or a new one's.
    Return,
}

/// What a source must be, to be joined by a command.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// A source on a known profile is refused.
    pub unknown_source: bool,
    /// A source whose value does not match is refused.
    pub source_pattern: Option<regex::Regex>,
    /// A source that was a source of such a command before is refused.
    pub source_once: bool,
    /// A command with a source marks its target known.
    pub marks_known: bool,
}

/// Which of two values of a trait a merged profile has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Survivorship {
    /// The newer one, by event time.
    #[default]
    Newest,
    /// The older one, by event time.
    Oldest,
    /// The survivor's; the absorbed profile's where the survivor has none.
    Survivor,
    /// The absorbed profile's; the survivor's where that has none.
    Absorbed,
    /// The survivor's, and nothing of the absorbed profile.
    SurvivorOnly,
    /// All values of both, each once, as a JSON array, at most as long as a value may be.
    Union,
    /// The sum of numbers.
    Sum,
    /// The smaller number, or the text that sorts first.
    Min,
    /// The larger number, or the text that sorts last.
    Max,
}

/// What kind of thing an identifier names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person, in some system.
    Person,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A device.
    Device,
    /// A browser's cookie.
    Cookie,
    /// A push token.
    Token,
    /// A partner's id.
    Partner,
}

/// The rules of one namespace.
#[derive(Clone, Debug)]
pub struct NamespaceRules {
    /// Its name.
    pub name: Box<str>,
    /// Its place among the namespaces, from 1 for the strongest; without one, after those
    /// that have one, by name.
    pub priority: Option<u32>,
    /// What kind of thing it names.
    pub kind: Option<Kind>,
    /// How many values a profile may take.
    pub limit: Limit,
    /// Whether one of its identifiers makes a profile known.
    pub login: bool,
    /// Whether a profile's value, once set, can neither be changed nor removed. Such a profile
    /// is only found by an event that carries the value, where [`Trigger::Explicit`] finds.
    pub immutable: bool,
    /// Whether an identifier is one profile's and moves to its newest owner, by event time,
    /// instead of joining two.
    pub exclusive: bool,
    /// Whether an identifier may be on several profiles; it finds, and never joins.
    pub shared: bool,
    /// How many identifiers of another namespace one of this may be seen with.
    pub pair_limits: Vec<(Box<str>, u32)>,
    /// The namespace whose values this one's are the SHA-256 of, in lower-case hex. An event
    /// that carries the plain value carries this one, too.
    pub sha256_of: Option<Box<str>>,
    /// What stands before the value in a canonical id.
    pub canonical_prefix: Box<str>,
    /// How its values are brought into one form.
    pub normaliser: Normaliser,
    /// What a value must look like, else it is invalid.
    pub pattern: Option<regex::Regex>,
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
