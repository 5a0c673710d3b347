//! Rules as data: what may join two profiles, and what keeps an identifier off one.
//!
//! A workspace's rules are a TOML text, which the log keeps as it was written, and what this
//! module makes of it. [`Rules::from_toml`] accepts a text whole or says everything that is
//! wrong with it, by line and key; nothing behind it checks again.
//!
//! Rules never look at a graph: [`crate::decide`] asks them.

mod blocked;
mod explain;
mod lists;
mod mapping;
mod parse;
mod policies;
mod presets;
mod table;
#[cfg(test)]
mod tests;
mod text;

use hashbrown::HashMap;

use crate::identifier::Normaliser;

pub use blocked::Blocked;
pub use lists::{blocked_list, blocked_list_names};
pub use mapping::{
    Condition, Literal, Mapping, NameSource, NamespaceSources, PairSource, Path, RefuseRule,
    Source, Step, TimeSource, TimeUnit, ValueSource, VerbRule,
};
pub use policies::{
    AmbiguousEvent, AnonymousHistory, Conflict, Guards, Kind, Logout, MarksKnown, NewKnown,
    OverLimit, Survivor, Survivorship, Trigger,
};
pub use presets::{DEFAULT_PRESET, preset, preset_names};
pub use text::{RulesProblem, RulesText};

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
    /// Days without being seen after which a profile that is not known loses its identifiers;
    /// none: never.
    pub anonymous_expires_after_days: Option<u32>,
    auto_add: Option<NamespaceRules>,
    namespaces: Vec<NamespaceRules>,
    by_name: HashMap<Box<str>, usize, foldhash::fast::FixedState>,
    mapping: Mapping,
    uses: Uses,
}

/// Which of the rules that cost something are in use by any namespace: found out once, so that
/// an event under rules without them pays one test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Uses {
    logins: bool,
    shared: bool,
    pair_limits: bool,
    hashes: bool,
    expiry: bool,
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
    /// What a value must look like, else it is invalid; anywhere in it, unless anchored.
    pub pattern: Option<regex::Regex>,
    /// Values that name nobody.
    pub blocked: Blocked,
    /// Days without being seen after which an identifier expires; none: never.
    pub expires_after_days: Option<u32>,
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

impl Rules {
    /// Reads and checks a rules text. Gives every problem, in the order of lines: those of
    /// single keys or, if there are none, the contradictions between keys.
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

    /// Whether an identifier of a namespace is one profile's at a time.
    pub fn is_one_profiles(&self, namespace: &str) -> bool {
        self.namespace(namespace).or(self.auto_add()).is_some_and(|rules| !rules.shared)
    }

    /// Which of two values of a trait a merged profile has.
    pub fn survivorship_of(&self, name: &str) -> Survivorship {
        if self.trait_survivorship.is_empty() {
            return self.survivorship;
        }
        self.trait_survivorship.get(name).copied().unwrap_or(self.survivorship)
    }

    /// Whether links are kept as evidence.
    pub fn keeps_evidence(&self) -> bool {
        self.conflict == Conflict::Replay
    }

    /// Whether any namespace makes a profile known.
    pub fn has_logins(&self) -> bool {
        self.uses.logins
    }

    /// Whether any namespace is shared.
    pub fn has_shared(&self) -> bool {
        self.uses.shared
    }

    /// Whether any namespace limits what its identifiers may be seen with.
    pub fn has_pair_limits(&self) -> bool {
        self.uses.pair_limits
    }

    /// Whether any namespace's values are the SHA-256 of another's.
    pub fn derives_hashes(&self) -> bool {
        self.uses.hashes
    }

    /// Whether identifiers of any namespace expire, or those of anonymous profiles.
    pub fn has_expiry(&self) -> bool {
        self.uses.expiry
    }

    /// The namespaces whose values are the SHA-256 of a namespace's: at most one, in good rules.
    fn hash_names_of(&self, plain: &str) -> impl Iterator<Item = &str> {
        let is_hash = move |n: &&NamespaceRules| n.sha256_of.as_deref() == Some(plain);
        self.namespaces.iter().filter(is_hash).map(|namespace| &*namespace.name)
    }

    fn note_what_is_used(&mut self) {
        let any = |has: fn(&NamespaceRules) -> bool| self.namespaces.iter().any(has);
        self.uses = Uses {
            logins: any(|n| n.login),
            shared: any(|n| n.shared),
            pair_limits: any(|n| !n.pair_limits.is_empty()),
            hashes: any(|n| n.sha256_of.is_some()),
            expiry: self.anonymous_expires_after_days.is_some()
                || any(|n| n.expires_after_days.is_some()),
        };
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

    /// Whether the same pairs of namespaces are limited under other rules, to however many.
    pub(crate) fn has_pair_limits_of(&self, other: &Rules) -> bool {
        fn pairs(rules: &Rules) -> Vec<(&str, &str)> {
            let namespaces = rules.namespaces.iter();
            let mut pairs: Vec<_> = namespaces
                .flat_map(|n| n.pair_limits.iter().map(|(other, _)| (&*n.name, &**other)))
                .collect();
            pairs.sort_unstable();
            pairs
        }
        pairs(self) == pairs(other)
    }

    /// Whether a pair limit is a namespace's own, or speaks of it.
    pub(crate) fn has_pair_limits_with(&self, name: &str) -> bool {
        let speaks = |n: &NamespaceRules| {
            let of_name = &*n.name == name && !n.pair_limits.is_empty();
            of_name || n.pair_limits.iter().any(|(other, _)| &**other == name)
        };
        self.uses.pair_limits && self.namespaces.iter().any(speaks)
    }

    /// How raw events are read.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }
}

impl Limit {
    /// Whether the namespace allows one value for ever: what Segment calls unique.
    pub fn is_unique(self) -> bool {
        self.values == 1 && self.window == Window::Ever
    }
}
