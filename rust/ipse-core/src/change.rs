//! Every change of state, and the evidence that caused it. The unit of the log.
//!
//! A change says what was decided, never what was wished: changing a rule later does not
//! change what an old record means. [`crate::Graph::apply`] is the only code that gives a
//! change its effect, for live writes, recovery and followers alike.
//!
//! Invariant: a change made by [`crate::Graph::decide`] on a graph can be applied to that
//! graph; one that was read back is first put through [`crate::Graph::validate`].

use std::borrow::Cow;
use std::fmt;

use crate::event::TraitValue;
use crate::rules::RulesText;
use crate::time::Timestamp;

/// Position of a record in its workspace: dense, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber(pub u64);

/// Number of a profile in its workspace: dense, from 1, in the order of creation.
///
/// Private: callers see the [`crate::profile_id::ProfileId`] made from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileNumber(pub u32);

/// Version of a workspace's rules, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RulesVersion(pub u32);

/// One entry of a workspace's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    /// Its position.
    pub sequence: SequenceNumber,
    /// When it was decided, by the server's clock; never before the record before it.
    pub log_time: Timestamp,
    /// What was decided.
    pub change: Change<'a>,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<'a> {
    /// The workspace began. Always its record 1, and never again.
    WorkspaceCreated {
        /// Its name.
        name: Cow<'a, str>,
        /// The key that turns profile numbers into profile ids: random, given once.
        profile_key: [u8; 16],
        /// Rules version 1, as TOML.
        rules: RulesText<'a>,
    },
    /// Other rules came into force, for the events after this record.
    RulesSet {
        /// The version: one more than the last.
        version: RulesVersion,
        /// The rules, as TOML.
        rules: RulesText<'a>,
    },
    /// An event taught something.
    EventResolved(EventResolved<'a>),
}

/// An event, and everything that was decided about it.
///
/// The evidence is whole: identifiers that were dropped are here with their verdict, because
/// explaining, undoing and trying other rules all read it.
#[derive(Clone, Debug, PartialEq)]
pub struct EventResolved<'a> {
    /// The caller's id; empty if it gave none. A non-empty id is remembered with `digest`.
    pub event_id: Cow<'a, str>,
    /// What the event was judged on, see [`crate::decide`]; 0 if it has no id.
    pub digest: u128,
    /// The event's type.
    pub kind: Cow<'a, str>,
    /// The app or feed that sent it.
    pub source: Cow<'a, str>,
    /// When it happened: the event's own time, or the record's log time.
    pub timestamp: Timestamp,
    /// The rules that decided.
    pub rules_version: RulesVersion,
    /// The profile that the caller named, if any.
    pub named_profile: Option<ProfileNumber>,
    /// The namespace that ranked first on this event; empty if none did.
    pub key_namespace: Cow<'a, str>,
    /// Whose the event is, and what became of profiles.
    pub target: Target,
    /// Each distinct identifier once, strongest first.
    pub identifiers: Vec<ObservedIdentifier<'a>>,
    /// The traits that changed, by name.
    pub traits: Vec<TraitSet<'a>>,
}

/// Whose an event is, and what became of profiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nobody's: no usable identifier.
    Unresolved,
    /// A new profile's: the next number.
    Created(ProfileNumber),
    /// An existing profile's.
    Found(ProfileNumber),
    /// Several became one.
    Merged {
        /// Whose id goes on.
        survivor: ProfileNumber,
        /// Whose ids retire, oldest first; at least one.
        absorbed: Vec<ProfileNumber>,
    },
}

/// One identifier of an event and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedIdentifier<'a> {
    /// The namespace's name.
    pub namespace: Cow<'a, str>,
    /// The value after normalising.
    pub value: Cow<'a, str>,
    /// The value as sent, where normalising changed it.
    pub raw: Option<Cow<'a, str>>,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of one identifier of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was on no profile and is now on the target.
    Attached,
    /// It was on the target, or on a profile that this event merged into it.
    AlreadyAttached,
    /// A rule took it off the event before matching.
    Dropped(Reason),
    /// It took part in matching, and a cap of the profile kept it where it was.
    Refused(Reason),
}

/// Why an identifier was dropped or refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The rule.
    pub rule: Rule,
    /// The limit or cap that would have been passed, if the rule has one.
    pub limit: Option<PassedLimit>,
    /// The profile that holds the identifier, if it is another than the target.
    pub collided: Option<ProfileNumber>,
}

/// A limit or cap that would have been passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedLimit {
    /// The namespace whose limit it is; `None` for a cap of the whole profile.
    pub namespace: Option<Box<str>>,
    /// The number allowed.
    pub value: u32,
}

/// A rule that keeps an identifier off a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The namespace is not in the rules, and `auto_add` is off.
    UnknownNamespace,
    /// The value is empty after normalising, or not one of its kind.
    InvalidValue,
    /// The value is blocked in its namespace.
    BlockedValue,
    /// A limit for the profile's lifetime.
    ValueLimit,
    /// A limit within a sliding window.
    ValueTimeLimit,
    /// The cap on merges of one profile.
    MergeLimit,
    /// The cap on identifiers of one profile.
    IdentifierLimit,
}

/// A trait that an event changed.
#[derive(Clone, Debug, PartialEq)]
pub struct TraitSet<'a> {
    /// The trait's name.
    pub name: Cow<'a, str>,
    /// The new value; `None` removes it.
    pub value: Option<TraitValue<'a>>,
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ProfileNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RulesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Target {
    /// The profile whose the event is.
    pub fn profile(&self) -> Option<ProfileNumber> {
        match self {
            Target::Unresolved => None,
            Target::Created(profile) | Target::Found(profile) => Some(*profile),
            Target::Merged { survivor, .. } => Some(*survivor),
        }
    }

    /// The profiles that this event merged away.
    pub fn absorbed(&self) -> &[ProfileNumber] {
        match self {
            Target::Merged { absorbed, .. } => absorbed,
            _ => &[],
        }
    }
}

impl Verdict {
    /// Whether the identifier is on the target after the event.
    pub fn is_kept(&self) -> bool {
        matches!(self, Verdict::Attached | Verdict::AlreadyAttached)
    }

    /// Why it is not, if it is not.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Verdict::Attached | Verdict::AlreadyAttached => None,
            Verdict::Dropped(reason) | Verdict::Refused(reason) => Some(reason),
        }
    }
}

impl Rule {
    /// The name that Segment's diagnostics give the violation of this rule; our own words
    /// where Segment has none.
    pub fn violation(self) -> &'static str {
        match self {
            Rule::UnknownNamespace => "Identifier type not in the rules",
            Rule::InvalidValue => "ID value invalid",
            Rule::BlockedValue => "ID value blocked",
            Rule::ValueLimit => "Identifier value limit exceeded",
            Rule::ValueTimeLimit => "Identifier value time limit exceeded",
            Rule::MergeLimit => "Profile merge limit exceeded",
            Rule::IdentifierLimit => "Identifier mapping limit exceeded",
        }
    }
}
