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
    /// An event or a command taught something.
    EventResolved(EventResolved<'a>),
    /// Someone, or an identifier, was erased from the graph. The files follow.
    Erased(Erased),
    /// The files that the workspace had when something was erased name it no more.
    ErasureCompleted(ErasureCompleted),
    /// The workspace was deleted with all that was in it, its name included. The files follow;
    /// that they have is the only record after it.
    WorkspaceDeleted(WorkspaceDeleted),
    /// What stands in the place of a record of a workspace that was deleted later.
    Gone,
    /// Identifiers were not seen for as long as the rules keep them, and left everyone.
    Expired(Expired<'a>),
}

/// A workspace that was deleted: what is kept of it for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkspaceDeleted {
    /// The key of the hashes here; it was that of the workspace.
    pub key: [u8; 16],
    /// As in [`Erased`].
    pub operation: u128,
    /// As in [`Erased`].
    pub digest: u128,
    /// Profiles that were there, absorbed ones included.
    pub profiles: u32,
    /// Identifiers that were there.
    pub identifiers: u32,
}

/// Someone, or an identifier, that was erased: numbers and keyed hashes, no value.
///
/// Apply blanks the text of the identifiers and takes them off everyone, empties the profiles,
/// which answer ERASED from then on, and forgets what it remembered of either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Keyed hash of the caller's operation id, which may itself name someone; 0 if it gave none.
    pub operation: u128,
    /// Keyed hash of operation id and request, by which a repeat is told; 0 without an id.
    pub digest: u128,
    /// All numbers of the erased profile: its own and those it had absorbed.
    pub profiles: Vec<ProfileNumber>,
    /// The identifiers that are erased, whoever held them.
    pub identifiers: Vec<ErasedIdentifier>,
    /// How many traits went with the profile.
    pub traits: u32,
    /// Whether the identifiers are dropped from events that bring them again.
    pub suppress: bool,
}

/// An identifier that was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErasedIdentifier {
    /// Its row; `None` for one that no profile ever held, but that records may name.
    pub row: Option<u32>,
    /// Hash of namespace and value under the workspace's key, see [`crate::erasure`]; 0 in a
    /// record that was rewritten, because then no file names the value any more.
    pub hash: u128,
}

/// Identifiers that were not seen for as long as the rules keep them.
///
/// Apply takes them off everyone and their values out of memory. Their numbers are never given
/// again; a value that comes again is a new identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expired<'a> {
    /// By namespace, and by the day when they were last seen.
    pub identifiers: Vec<ExpiredIdentifier<'a>>,
}

/// An identifier that expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiredIdentifier<'a> {
    /// Its row.
    pub row: u32,
    /// The namespace's name.
    pub namespace: Cow<'a, str>,
    /// The value.
    pub value: Cow<'a, str>,
    /// The profiles that held it.
    pub profiles: Vec<ProfileNumber>,
    /// The first moment of the day when it was last seen.
    pub last_seen: Timestamp,
}

/// How the files were rewritten after an erasure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasureCompleted {
    /// The record that erased.
    pub erasure: SequenceNumber,
    /// Log segments that were rewritten for it and for others that were completed with it.
    pub segments: u32,
    /// Records that were redacted in them.
    pub records: u64,
    /// Snapshots and set-aside files that were deleted.
    pub files: u32,
}

/// An event or a command, and everything that was decided about it.
///
/// The evidence is whole: identifiers that were dropped are here with their verdict, because
/// explaining, undoing and trying other rules all read it. Apply follows it in this order:
/// the target, the moves, the identifiers, the links, the traits.
#[derive(Clone, Debug, PartialEq)]
pub struct EventResolved<'a> {
    /// The caller's id of the event or operation; empty if it gave none. A non-empty id is
    /// remembered with `digest`.
    pub event_id: Cow<'a, str>,
    /// What the event was judged on, see [`crate::decide`]; 0 if it has no id, or is not recorded.
    pub digest: u128,
    /// What was asked for.
    pub verb: Verb,
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
    /// What only some verbs and some rules bring; most events have none of it.
    pub extra: Option<Box<Extra<'a>>>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verb {
    /// An event was seen.
    #[default]
    Observe,
    /// A person logged in.
    Login,
    /// A person logged out; what follows on the device is anonymous.
    Logout,
    /// Identifiers were said to be one person's.
    Link,
    /// Identifiers of a profile were changed, added or removed.
    Modify,
    /// Profiles were said to be one person's.
    Merge,
    /// Identifiers were taken out of a profile into new ones.
    Split,
    /// A profile's history in a range of time was attributed to another profile.
    AttributeHistory,
    /// A profile came from another system.
    Import,
    /// A merge was undone.
    Revert,
    /// Two identifiers were said to be of different people.
    Deny,
}

/// What only some verbs and some rules bring.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extra<'a> {
    /// Whether the target is known from now on, whatever its namespaces say.
    pub marks_known: bool,
    /// How many of the last identifiers came as sources, and not by force: to be joined to the
    /// profile that the others lead to. A source that a link joined is used up where the rules
    /// let each be used once.
    pub sources: u8,
    /// Identifiers that left a profile and are not among the event's own.
    pub moves: Vec<Move<'a>>,
    /// Links that evidence of this event displaced.
    pub displaced: Vec<LinkPair<'a>>,
    /// What became of the sources of a merge, in the order of the request.
    pub merges: Vec<SourceMerge>,
    /// The merges that were undone, in the order of that: newest first, the one that was named
    /// last. What was on the target and is on another profile since is among the moves.
    pub reverted: Vec<RevertedMerge>,
    /// What became of an attribution of history.
    pub attribution: Option<HistoryAttribution>,
    /// What an imported profile brought besides identifiers and traits.
    pub imported: Option<Imported>,
    /// The traits that did not count, by name.
    pub ignored_traits: Vec<IgnoredTrait<'a>>,
}

/// An identifier that left a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move<'a> {
    /// The namespace's name.
    pub namespace: Cow<'a, str>,
    /// The value after normalising.
    pub value: Cow<'a, str>,
    /// The profile that held it, before the event.
    pub from: ProfileNumber,
    /// The profile that holds it now; `None` if none does. A number beyond the newest is
    /// created: those follow the target's, if that is created, in order.
    pub to: Option<ProfileNumber>,
    /// Why it moved.
    pub cause: MoveCause,
}

/// Why an identifier left a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveCause {
    /// Newer evidence displaced the links that held it there.
    Displaced,
    /// The profile was full.
    Evicted,
    /// A caller split the profile.
    Split,
    /// A merge was undone, and it belongs to the other side.
    Reverted,
    /// A merge was undone, and both sides hold it: it is on the other side and stays, too.
    RevertedShared,
}

/// Two identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPair<'a> {
    /// Namespace and value of one.
    pub a: (Cow<'a, str>, Cow<'a, str>),
    /// Namespace and value of the other.
    pub b: (Cow<'a, str>, Cow<'a, str>),
}

/// A merge that was undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevertedMerge {
    /// The profile whose id had retired, and is borne again.
    pub absorbed: ProfileNumber,
    /// The profile whose id had gone on.
    pub survivor: ProfileNumber,
    /// The record that had merged them.
    pub merged: SequenceNumber,
}

/// What became of one source of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceMerge {
    /// The profile that was meant; `None` if there is none.
    pub profile: Option<ProfileNumber>,
    /// What became of it.
    pub verdict: MergeVerdict,
}

/// What became of one source of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeVerdict {
    /// It is part of the target now.
    Merged,
    /// It was the target, or part of it, already.
    AlreadyMerged,
    /// There is no such profile.
    NotFound,
    /// A rule kept it apart.
    Refused(Reason),
}

/// A range of time whose history goes from one profile to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryAttribution {
    /// Whose history it was.
    pub source: ProfileNumber,
    /// Whose it is to be.
    pub destination: ProfileNumber,
    /// First moment of the range.
    pub start: Timestamp,
    /// Last moment of the range.
    pub end: Timestamp,
    /// Why it was refused, if it was.
    pub refused: Option<Rule>,
}

/// What an imported profile brought besides identifiers and traits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// When the former system created it.
    pub created_time: Timestamp,
    /// When each identifier was attached there; as many as the record has identifiers.
    pub identifier_times: Vec<Timestamp>,
    /// When each trait was set there; as many as the record has traits.
    pub trait_times: Vec<Timestamp>,
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
        /// Whose ids retire, at least one, in the order of their merges: oldest first; of a
        /// command, the target if it retires, then the sources as the request names them.
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
    /// It is now on the target, and was on no profile, or is of a shared namespace.
    Attached,
    /// It was on the target, or on a profile that this event merged into it.
    AlreadyAttached,
    /// A rule took it off the event before matching.
    Dropped(Reason),
    /// It took part in matching, and a rule kept it where it was.
    Refused(Reason),
    /// It was on another profile and is now on the target.
    Transferred {
        /// The profile that held it.
        from: ProfileNumber,
    },
    /// It was on the target and is now on none.
    Removed,
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
    /// A value of an immutable namespace is set already.
    Immutable,
    /// The identifier is another profile's, and these rules neither join the two nor move it.
    HeldElsewhere,
    /// An exclusive identifier stays with its owner: the event does not name the key, or is
    /// older than the attachment.
    ExclusiveOwner,
    /// A source that is known already is not joined.
    KnownSource,
    /// A source's value has not the shape that the rules ask of it.
    SourceShape,
    /// A source was a source before.
    SourceUsed,
    /// The identifiers that the source was to be joined to are not usable.
    NoTarget,
    /// An identifier would be seen with more of another namespace than it may be.
    PairLimit,
    /// A merge would move more identifiers than it may.
    MovedLimit,
    /// A shared identifier is on as many profiles as it may be.
    HolderLimit,
    /// Two values of a namespace that allows one, on one event.
    AmbiguousEvent,
    /// Newer or stronger evidence keeps it apart from the event's profile.
    Displaced,
    /// Someone said that the two are different people.
    DeniedLink,
    /// The value to change or remove is not on the profile.
    NotAttached,
    /// The history of the source in that range is attributed already.
    AttributionOverlap,
    /// The source was a destination before, or the destination a source.
    AttributionChain,
    /// The rules attribute no history.
    AttributionOff,
    /// The identifier was erased, and is to stay so.
    Suppressed,
    /// Memory has reached its ceiling, and the identifier would be one more.
    Ceiling,
}

/// A trait that an event changed.
#[derive(Clone, Debug, PartialEq)]
pub struct TraitSet<'a> {
    /// The trait's name.
    pub name: Cow<'a, str>,
    /// The new value; `None` removes it.
    pub value: Option<TraitValue<'a>>,
}

/// A trait that was sent and is not what the profile has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredTrait<'a> {
    /// The trait's name.
    pub name: Cow<'a, str>,
    /// Why it did not count.
    pub reason: TraitReason,
}

/// Why a trait did not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraitReason {
    /// The profile's value is newer than the event.
    Older,
    /// It was to be set once, and the profile has another value.
    SetAlready,
    /// The event is nobody's.
    Unresolved,
    /// Memory has reached its ceiling, and the trait is new or its value longer.
    Ceiling,
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

impl Expired<'_> {
    /// The same, on its own.
    pub fn to_static(&self) -> Expired<'static> {
        let to_static = |identifier: &ExpiredIdentifier<'_>| ExpiredIdentifier {
            row: identifier.row,
            namespace: identifier.namespace.clone().into_owned().into(),
            value: identifier.value.clone().into_owned().into(),
            profiles: identifier.profiles.clone(),
            last_seen: identifier.last_seen,
        };
        Expired { identifiers: self.identifiers.iter().map(to_static).collect() }
    }
}

impl Change<'_> {
    /// The profiles that it may have changed, by the numbers that they bear after it, some of them
    /// more than once; `None` if it may have changed any. Every other profile shows what it showed
    /// before, and is found by the same identifiers and ids.
    pub fn profiles(&self) -> Option<impl Iterator<Item = ProfileNumber>> {
        match self {
            Change::EventResolved(event) if event.names_all_it_changes() => Some(event.profiles()),
            _ => None,
        }
    }
}

impl EventResolved<'_> {
    /// Whether it changes its target, and those that identifiers left or went to, and nobody else.
    fn names_all_it_changes(&self) -> bool {
        let is_command = !matches!(self.verb, Verb::Observe | Verb::Login | Verb::Logout);
        let reaches_others = |extra: &Extra<'_>| {
            let Extra { merges, attribution, imported, .. } = extra;
            !merges.is_empty() || attribution.is_some() || imported.is_some()
        };
        !is_command && !self.extra.as_deref().is_some_and(reaches_others)
    }

    /// The target, and those that identifiers left or went to.
    fn profiles(&self) -> impl Iterator<Item = ProfileNumber> {
        let former = self.identifiers.iter().filter_map(|observed| match observed.verdict {
            Verdict::Transferred { from } => Some(from),
            _ => None,
        });
        let ends = self.moves().iter().flat_map(|moved| [Some(moved.from), moved.to]).flatten();
        self.target.profile().into_iter().chain(former).chain(ends)
    }

    /// Identifiers that left a profile and are not among the event's own.
    pub fn moves(&self) -> &[Move<'_>] {
        self.extra.as_ref().map_or(&[], |extra| &extra.moves)
    }

    /// The traits that did not count.
    pub fn ignored_traits(&self) -> &[IgnoredTrait<'_>] {
        self.extra.as_ref().map_or(&[], |extra| &extra.ignored_traits)
    }

    /// Whether target, verdicts and ignored traits are the whole answer, and the event brings
    /// the rest along when it comes again.
    pub(crate) fn is_plain(&self) -> bool {
        let is_bare = |extra: &Extra<'_>| {
            let Extra { marks_known, sources, moves, displaced, merges, .. } = extra;
            let lists = [moves.is_empty(), displaced.is_empty(), merges.is_empty()];
            let others =
                [extra.reverted.is_empty(), extra.attribution.is_none(), extra.imported.is_none()];
            !marks_known && *sources == 0 && lists == [true; 3] && others == [true; 3]
        };
        self.verb == Verb::Observe && self.extra.as_deref().is_none_or(is_bare)
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
        matches!(self, Verdict::Attached | Verdict::AlreadyAttached | Verdict::Transferred { .. })
    }

    /// Why it is not, if it is not.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Verdict::Dropped(reason) | Verdict::Refused(reason) => Some(reason),
            _ => None,
        }
    }
}

impl Rule {
    /// Every rule, for tests and tables.
    pub const ALL: [Rule; 26] = [
        Rule::UnknownNamespace,
        Rule::InvalidValue,
        Rule::BlockedValue,
        Rule::ValueLimit,
        Rule::ValueTimeLimit,
        Rule::MergeLimit,
        Rule::IdentifierLimit,
        Rule::Immutable,
        Rule::HeldElsewhere,
        Rule::ExclusiveOwner,
        Rule::KnownSource,
        Rule::SourceShape,
        Rule::SourceUsed,
        Rule::NoTarget,
        Rule::PairLimit,
        Rule::MovedLimit,
        Rule::HolderLimit,
        Rule::AmbiguousEvent,
        Rule::Displaced,
        Rule::DeniedLink,
        Rule::NotAttached,
        Rule::AttributionOverlap,
        Rule::AttributionChain,
        Rule::AttributionOff,
        Rule::Suppressed,
        Rule::Ceiling,
    ];

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
            Rule::Immutable => "Immutable identifier",
            Rule::HeldElsewhere => "Identifier held by another profile",
            Rule::ExclusiveOwner => "Exclusive identifier stays with its owner",
            Rule::KnownSource => "Source is known already",
            Rule::SourceShape => "Source value has the wrong shape",
            Rule::SourceUsed => "Source was used before",
            Rule::NoTarget => "Target is not usable",
            Rule::PairLimit => "Identifier pair limit exceeded",
            Rule::MovedLimit => "Moved identifiers limit exceeded",
            Rule::HolderLimit => "Identifier holder limit exceeded",
            Rule::AmbiguousEvent => "Several values of a unique identifier type",
            Rule::Displaced => "Displaced by other evidence",
            Rule::DeniedLink => "Link denied",
            Rule::NotAttached => "Identifier not on the profile",
            Rule::AttributionOverlap => "History attributed already",
            Rule::AttributionChain => "Attributed history of a source or destination",
            Rule::AttributionOff => "Attribution of history is off",
            Rule::Suppressed => "Identifier erased and suppressed",
            Rule::Ceiling => "Memory ceiling reached",
        }
    }
}
