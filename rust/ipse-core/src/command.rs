//! What callers ask for besides events: commands on profiles that exist, and profiles of
//! another system. Nothing is judged yet; [`crate::decide`] does.

use std::borrow::Cow;

use crate::change::ProfileNumber;
use crate::event::{SentIdentifier, SentTrait};
use crate::time::Timestamp;

/// What every command carries.
#[derive(Clone, Debug, Default)]
pub struct Operation<'a> {
    /// The caller's id; empty if it gave none. A command with an id is always recorded, and
    /// gets the recorded answer when it comes again.
    pub operation_id: &'a str,
    /// What a repeat is judged on: the request's bytes, without what does not count.
    pub fingerprint: &'a [u8],
    /// The app or person that asks, kept as evidence.
    pub source: &'a str,
    /// When it happened; log time if absent.
    pub timestamp: Option<Timestamp>,
}

/// Change, add and remove identifiers of one profile.
#[derive(Clone, Debug)]
pub struct ModifyIdentifiers<'a> {
    /// The operation.
    pub operation: Operation<'a>,
    /// The profile.
    pub profile: ProfileNumber,
    /// In order, each judged by itself; no identifier stands twice.
    pub changes: Vec<IdentifierChange<'a>>,
}

/// One change: `old` and `new` change a value, `new` alone adds one, `old` alone removes one.
#[derive(Clone, Debug)]
pub struct IdentifierChange<'a> {
    /// The namespace's name.
    pub namespace: Cow<'a, str>,
    /// The value to give up.
    pub old: Option<Cow<'a, str>>,
    /// The value to take. One that another profile holds moves here, unless its namespace is
    /// shared.
    pub new: Option<Cow<'a, str>>,
}

/// Join profiles to a target, in order.
#[derive(Clone, Debug)]
pub struct MergeProfiles<'a> {
    /// The operation.
    pub operation: Operation<'a>,
    /// The target.
    pub target: ProfileNumber,
    /// The sources, as far as they exist.
    pub sources: Vec<Option<ProfileNumber>>,
    /// Pass over the guards of the rules' `commands.merge`.
    pub force: bool,
}

/// Take identifiers out of a profile.
#[derive(Clone, Debug)]
pub struct SplitProfile<'a> {
    /// The operation.
    pub operation: Operation<'a>,
    /// The profile; it keeps its id, its traits and all other identifiers.
    pub profile: ProfileNumber,
    /// What to take out.
    pub taken: Taken<'a>,
    /// Whether they become one new profile together, not one each.
    pub together: bool,
}

/// What leaves a profile that is split.
#[derive(Clone, Debug)]
pub enum Taken<'a> {
    /// These. One that the profile does not hold refuses the whole command.
    These(Vec<SentIdentifier<'a>>),
    /// All that it holds, but for one that it keeps, for former ids and for what is immutable.
    AllBut(SentIdentifier<'a>),
}

/// Undo a merge.
#[derive(Clone, Debug)]
pub struct RevertMerge<'a> {
    /// The operation.
    pub operation: Operation<'a>,
    /// The profile whose id the merge retired.
    pub absorbed: ProfileNumber,
    /// Undo the merges that were built on it, too, newest first. Without, they refuse it.
    pub chain: bool,
}

/// Say that two identifiers are of different people.
#[derive(Clone, Debug)]
pub struct DenyLink<'a> {
    /// The operation.
    pub operation: Operation<'a>,
    /// The two, in either order. Profiles hold them, and not the same one.
    pub identifiers: [SentIdentifier<'a>; 2],
}

/// Say that two identifiers are one person's.
#[derive(Clone, Debug)]
pub struct ForceLink<'a> {
    /// The operation.
    pub operation: Operation<'a>,
    /// The two. Profiles hold them.
    pub identifiers: [SentIdentifier<'a>; 2],
}

/// Attribute what one profile did in a range of time to another.
#[derive(Clone, Debug)]
pub struct AttributeHistory<'a> {
    /// The operation.
    pub operation: Operation<'a>,
    /// Whose history it was.
    pub history_of: ProfileNumber,
    /// Whose it is to be.
    pub destination: ProfileNumber,
    /// First moment.
    pub start: Timestamp,
    /// Last moment.
    pub end: Timestamp,
}

/// Erase someone, or one identifier.
#[derive(Clone, Debug)]
pub struct Erase<'a> {
    /// The operation. Of its id only a hash is kept, of its source and time nothing.
    pub operation: Operation<'a>,
    /// What to erase.
    pub what: Erasable<'a>,
    /// Whether the identifiers are dropped from events that bring them again.
    pub suppress: bool,
}

/// What can be erased.
#[derive(Clone, Debug)]
pub enum Erasable<'a> {
    /// A profile, with all that it holds.
    Profile(ProfileNumber),
    /// The profile that holds an identifier.
    HolderOf(SentIdentifier<'a>),
    /// One identifier, whoever holds it.
    Identifier(SentIdentifier<'a>),
}

/// A profile of another system.
#[derive(Clone, Debug, Default)]
pub struct ImportProfile<'a> {
    /// The app or file it comes from, kept as evidence.
    pub source: &'a str,
    /// The id it had there, which resolves for ever; empty if it had none.
    pub former_id: Cow<'a, str>,
    /// When it was created there; log time if absent.
    pub created_time: Option<Timestamp>,
    /// Whether it was known there.
    pub known: bool,
    /// Its identifiers.
    pub identifiers: Vec<ImportedIdentifier<'a>>,
    /// Its traits.
    pub traits: Vec<ImportedTrait<'a>>,
}

/// An identifier of a profile of another system.
#[derive(Clone, Debug)]
pub struct ImportedIdentifier<'a> {
    /// The identifier.
    pub sent: SentIdentifier<'a>,
    /// When it was attached; the profile's creation if absent.
    pub time: Option<Timestamp>,
}

/// A trait of a profile of another system.
#[derive(Clone, Debug)]
pub struct ImportedTrait<'a> {
    /// The trait.
    pub sent: SentTrait<'a>,
    /// When it was set; the profile's creation if absent.
    pub time: Option<Timestamp>,
}
