//! How a graph leaves and enters memory: parts, column by column.
//!
//! [`crate::Graph::freeze`] takes a consistent view at the cost of a few reference counts;
//! the graph copies a chunk before its first change while the view still holds it.
//! [`Frozen::into_parts`] then yields the graph as a sequence of [`Part`]s, dropping each
//! chunk as it passes; [`Loader`] takes the same sequence and gives back the graph, or
//! says what is impossible about it.
//!
//! Parts carry logical state only: indexes, sizes and counters are rebuilt, so that a
//! change of memory layout does not change a file.

mod freeze;
mod load;
mod rows;
mod verify;

use std::fmt;

use crate::change::{
    ErasedIdentifier, EventResolved, RulesVersion, SequenceNumber, Target, TraitReason, Verdict,
};
use crate::event::TraitValue;
use crate::time::Timestamp;

/// Most rows of one part.
pub const PART_ROWS_MAX: usize = 16_384;

/// A piece of a graph. The order is: one `Workspace`, then `Profiles`, `Identifiers`,
/// `Links`, `Holders`, `Evidence`, `Attributions`, `Departures`, `Partings`, `Traits`,
/// `RememberedEvents`, `RememberedRefusals`, `Suppressions`, `Erasures`, `PendingErasures`,
/// `LastSeen`, `AnonymousSeen`, `PastHoldings`, `PastEdges`, `Timeline`, each zero or more times.
///
/// All columns of one part have the same length, at most [`PART_ROWS_MAX`].
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// What there is one of.
    Workspace(WorkspacePart),
    /// Profile nodes, in order of their numbers.
    Profiles(ProfilesPart),
    /// Identifiers, in order of their first attachment.
    Identifiers(IdentifiersPart),
    /// Links, in no order.
    Links(LinksPart),
    /// Further holders of identifiers, in no order.
    Holders(HoldersPart),
    /// Links as evidence, each once, in no order.
    Evidence(EvidencePart),
    /// Attributions of history, in no order.
    Attributions(AttributionsPart),
    /// Departures, in no order.
    Departures(DeparturesPart),
    /// Sides of partings, in no order.
    Partings(PartingsPart),
    /// Traits, each as the profile node holds it, in no order.
    Traits(TraitsPart),
    /// Remembered events, oldest first.
    RememberedEvents(RememberedEventsPart),
    /// Remembered refusals, oldest first.
    RememberedRefusals(RememberedRefusalsPart),
    /// Hashes of erased identifiers that are kept out, in no order.
    Suppressions(SuppressionsPart),
    /// Receipts of erasures, oldest first.
    Erasures(ErasuresPart),
    /// Erasures that the files have not followed yet, oldest first.
    PendingErasures(PendingErasuresPart),
    /// When identifiers that may expire were last seen, in no order.
    LastSeen(LastSeenPart),
    /// When anonymous profiles that may expire were last seen, in no order.
    AnonymousSeen(AnonymousSeenPart),
    /// Identifiers that left profile nodes, in the order in which they did.
    PastHoldings(PastHoldingsPart),
    /// Merges that were undone, in that order.
    PastEdges(PastEdgesPart),
    /// When each record was logged, in order.
    Timeline(TimelinePart),
}

/// What there is one of in a workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkspacePart {
    /// The workspace's name.
    pub name: String,
    /// The key of its profile ids.
    pub profile_key: [u8; 16],
    /// Log time of record 1.
    pub created_time: Timestamp,
    /// The newest record.
    pub sequence: SequenceNumber,
    /// Its log time.
    pub log_time: Timestamp,
    /// The version of the rules in force.
    pub rules_version: RulesVersion,
    /// The rules in force.
    pub rules: String,
    /// Namespace names by index, as the identifiers part refers to them.
    pub namespaces: Vec<String>,
    /// The state hash that loading must reproduce.
    pub state_hash: u128,
    /// The first record as of which the past is known. No part of the past is in the state hash.
    pub oldest_past: SequenceNumber,
}

/// Profile nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfilesPart {
    /// The node it was merged into, by union-find; 0 for a root.
    pub parent: Vec<u32>,
    /// The record that merged it; 0 for a root.
    pub merged_sequence: Vec<u64>,
    /// The profile whose id this root bears, or bore when it was merged.
    pub bearer: Vec<u32>,
    /// The record that created it.
    pub created_sequence: Vec<u64>,
    /// Log time of that record, or what an import said, milliseconds.
    pub created_time: Vec<i64>,
    /// Where its merge stands among those of its record, from 0; 0 for a root.
    pub merge_rank: Vec<u16>,
    /// [`ProfilesPart::MARKED_KNOWN`], [`ProfilesPart::SURVIVED`], [`ProfilesPart::ERASED`] and
    /// [`ProfilesPart::JOINED_KNOWN`].
    pub flags: Vec<u8>,
}

/// A column of texts, one after the other in one piece of memory: there are millions of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    /// Adds a text.
    pub fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(&start, &end)| &self.all[start..end])
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<T: IntoIterator<Item = &'a str>>(texts: T) -> Texts {
        let mut column = Texts::default();
        texts.into_iter().for_each(|text| column.push(text));
        column
    }
}

/// Identifiers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdentifiersPart {
    /// Index into [`WorkspacePart::namespaces`].
    pub namespace: Vec<u16>,
    /// The value after normalising; empty for one that was erased.
    pub value: Texts,
    /// The profile node it is attached to; 0 for none.
    pub profile: Vec<u32>,
    /// The record that attached it.
    pub attached_sequence: Vec<u64>,
    /// Event time of the attachment, milliseconds.
    pub attached_time: Vec<i64>,
    /// [`IdentifiersPart::SOURCE`].
    pub flags: Vec<u8>,
}

/// Links. Identifiers are numbered from 0 in the order of the identifiers parts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LinksPart {
    /// The identifier that was stronger on the event.
    pub stronger: Vec<u32>,
    /// The other one.
    pub weaker: Vec<u32>,
    /// The record that first saw them together.
    pub sequence: Vec<u64>,
}

/// Further holders of identifiers: profile nodes that hold one beside the node in its own row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HoldersPart {
    /// The identifier.
    pub identifier: Vec<u32>,
    /// The profile node.
    pub profile: Vec<u32>,
    /// The record that attached it there.
    pub sequence: Vec<u64>,
    /// Event time of the attachment, milliseconds.
    pub time: Vec<i64>,
}

/// Links as evidence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvidencePart {
    /// The identifier of the smaller number.
    pub a: Vec<u32>,
    /// The other one.
    pub b: Vec<u32>,
    /// The record that first saw them together.
    pub first: Vec<u64>,
    /// Event time of the newest event that did, milliseconds.
    pub last_time: Vec<i64>,
    /// The last record that did.
    pub last_sequence: Vec<u64>,
    /// 0 active, 1 displaced, 3 forced.
    pub state: Vec<u8>,
    /// The record that displaced it; 0 if it is not displaced.
    pub displaced_by: Vec<u64>,
}

/// Attributions of history.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttributionsPart {
    /// The profile whose history it was.
    pub source: Vec<u32>,
    /// The profile whose it is to be.
    pub destination: Vec<u32>,
    /// First moment of the range, milliseconds.
    pub start: Vec<i64>,
    /// Last moment of the range, milliseconds.
    pub end: Vec<i64>,
    /// The record that attributed it.
    pub sequence: Vec<u64>,
}

/// Departures: changes of profile nodes that left no other trace on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeparturesPart {
    /// The profile node.
    pub profile: Vec<u32>,
    /// The newest such record.
    pub sequence: Vec<u64>,
}

/// Partings: which identifiers were said to be of different people.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartingsPart {
    /// The identifier.
    pub identifier: Vec<u32>,
    /// The record that parted it from others.
    pub sequence: Vec<u64>,
    /// The side that it is on.
    pub side: Vec<u32>,
}

/// Traits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraitsPart {
    /// The profile node that holds it.
    pub profile: Vec<u32>,
    /// The trait's name.
    pub name: Vec<String>,
    /// The value; `None`: removed, and remembered as removed so that late news do not revive it.
    pub value: Vec<Option<TraitValue<'static>>>,
    /// Event time of the assignment, milliseconds.
    pub time: Vec<i64>,
    /// The record that made it.
    pub sequence: Vec<u64>,
    /// The strongest identifier of that record, by its row, counted from 1; 0 for none.
    pub by: Vec<u32>,
}

/// Remembered events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RememberedEventsPart {
    /// The event id.
    pub event_id: Vec<String>,
    /// What the event was judged on.
    pub digest: Vec<u128>,
    /// The record it wrote.
    pub sequence: Vec<u64>,
    /// Log time of that record, milliseconds.
    pub log_time: Vec<i64>,
    /// The rules that decided.
    pub rules_version: Vec<u32>,
    /// Whether the target was known after the event.
    pub known: Vec<bool>,
    /// Whose the event was.
    pub target: Vec<Target>,
    /// By what the event was attributed: 0 nothing, 1 its profile, n + 2 the identifier at place
    /// n.
    pub attributed_by: Vec<u32>,
    /// What became of its identifiers, in the order of (namespace, value).
    pub verdicts: Vec<Vec<Verdict>>,
    /// The places of the same, strongest first.
    pub ranks: Vec<Vec<u16>>,
    /// The traits that did not count: hashes of their names.
    pub ignored_names: Vec<Vec<u32>>,
    /// Why not, each.
    pub ignored_reasons: Vec<Vec<TraitReason>>,
    /// The record itself, where target and verdicts are not the whole answer.
    pub record: Vec<Option<EventResolved<'static>>>,
}

/// Remembered refusals, each as the hash of profile, identifier and rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RememberedRefusalsPart {
    /// Hashes, oldest first.
    pub hash: Vec<u64>,
    /// The first record that has it.
    pub sequence: Vec<u64>,
}

/// Hashes of erased identifiers that are kept out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SuppressionsPart {
    /// The hashes, see [`crate::erasure`].
    pub hash: Vec<u128>,
}

/// Receipts of erasures.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErasuresPart {
    /// The record that erased.
    pub sequence: Vec<u64>,
    /// When it did, milliseconds.
    pub time: Vec<i64>,
    /// Hash of the operation id; 0 for none.
    pub operation: Vec<u128>,
    /// Hash of the request; 0 for none.
    pub digest: Vec<u128>,
    /// How many profiles.
    pub profiles: Vec<u32>,
    /// How many identifiers.
    pub identifiers: Vec<u32>,
    /// How many traits.
    pub traits: Vec<u32>,
    /// [`ErasuresPart::SUPPRESS`] and [`ErasuresPart::COMPLETED`].
    pub flags: Vec<u8>,
    /// Segments rewritten, once completed.
    pub segments: Vec<u32>,
    /// Records redacted, once completed.
    pub records: Vec<u64>,
    /// Files deleted, once completed.
    pub files: Vec<u32>,
}

/// Erasures that the files have not followed yet.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PendingErasuresPart {
    /// The record that erased.
    pub sequence: Vec<u64>,
    /// The numbers of the erased profile.
    pub profiles: Vec<Vec<u32>>,
    /// The identifiers.
    pub identifiers: Vec<Vec<ErasedIdentifier>>,
}

/// When identifiers that may expire were last seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LastSeenPart {
    /// The identifier.
    pub identifier: Vec<u32>,
    /// The day, counted from 0001-01-01.
    pub day: Vec<u32>,
}

/// When anonymous profiles that may expire were last seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnonymousSeenPart {
    /// The root, counted from 0.
    pub profile: Vec<u32>,
    /// The day, counted from 0001-01-01.
    pub day: Vec<u32>,
}

/// Identifiers that left profile nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastHoldingsPart {
    /// The identifier.
    pub identifier: Vec<u32>,
    /// The profile node that held it.
    pub profile: Vec<u32>,
    /// The record that attached it there.
    pub from: Vec<u64>,
    /// The record that took it off.
    pub until: Vec<u64>,
    /// Event time of the attachment, milliseconds.
    pub time: Vec<i64>,
    /// Whether others held it, too, when it left.
    pub several: Vec<bool>,
}

/// Merges that were undone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PastEdgesPart {
    /// The node that was below another.
    pub profile: Vec<u32>,
    /// The node that it was right below.
    pub parent: Vec<u32>,
    /// The record that merged it.
    pub from: Vec<u64>,
    /// The record that undid that.
    pub until: Vec<u64>,
    /// The profile whose id it bore before the merge.
    pub bearer: Vec<u32>,
    /// Where the merge stood among those of its record, from 0.
    pub merge_rank: Vec<u16>,
    /// Whether that id went on.
    pub survived: Vec<bool>,
}

/// When records were logged, in blocks that follow each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimelinePart {
    /// The first record of the block.
    pub first: Vec<u64>,
    /// When it was logged, milliseconds.
    pub time: Vec<i64>,
    /// For each time at which records were logged: milliseconds since the one before (since that
    /// of the block, for its first), and how many records; each as LEB128.
    pub moments: Vec<Vec<u8>>,
}

/// The parts do not make a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidPart(pub String);

impl ProfilesPart {
    /// A command marked the node known.
    pub const MARKED_KNOWN: u8 = 1;
    /// The node was merged below another, and its side's id went on.
    pub const SURVIVED: u8 = 2;
    /// The profile was erased.
    pub const ERASED: u8 = 4;
    /// The command that merged it below another made the whole known.
    pub const JOINED_KNOWN: u8 = 8;

    fn other_columns(&self) -> [usize; 6] {
        [
            self.merged_sequence.len(),
            self.bearer.len(),
            self.created_sequence.len(),
            self.created_time.len(),
            self.merge_rank.len(),
            self.flags.len(),
        ]
    }
}

impl IdentifiersPart {
    /// It was a source of a login or a link.
    pub const SOURCE: u8 = 1;

    fn other_columns(&self) -> [usize; 5] {
        [
            self.value.len(),
            self.profile.len(),
            self.attached_sequence.len(),
            self.attached_time.len(),
            self.flags.len(),
        ]
    }
}

impl LinksPart {
    fn other_columns(&self) -> [usize; 2] {
        [self.weaker.len(), self.sequence.len()]
    }
}

impl HoldersPart {
    fn other_columns(&self) -> [usize; 3] {
        [self.profile.len(), self.sequence.len(), self.time.len()]
    }
}

impl EvidencePart {
    fn other_columns(&self) -> [usize; 6] {
        [
            self.b.len(),
            self.first.len(),
            self.last_time.len(),
            self.last_sequence.len(),
            self.state.len(),
            self.displaced_by.len(),
        ]
    }
}

impl AttributionsPart {
    fn other_columns(&self) -> [usize; 4] {
        [self.destination.len(), self.start.len(), self.end.len(), self.sequence.len()]
    }
}

impl DeparturesPart {
    fn other_columns(&self) -> [usize; 1] {
        [self.sequence.len()]
    }
}

impl PartingsPart {
    fn other_columns(&self) -> [usize; 2] {
        [self.sequence.len(), self.side.len()]
    }
}

impl TraitsPart {
    fn other_columns(&self) -> [usize; 5] {
        [self.name.len(), self.value.len(), self.time.len(), self.sequence.len(), self.by.len()]
    }
}

impl RememberedEventsPart {
    fn other_columns(&self) -> [usize; 12] {
        [
            self.attributed_by.len(),
            self.ranks.len(),
            self.ignored_names.len(),
            self.ignored_reasons.len(),
            self.digest.len(),
            self.sequence.len(),
            self.log_time.len(),
            self.rules_version.len(),
            self.known.len(),
            self.target.len(),
            self.verdicts.len(),
            self.record.len(),
        ]
    }
}

impl ErasuresPart {
    /// The identifiers are kept out.
    pub const SUPPRESS: u8 = 1;
    /// The files are rewritten.
    pub const COMPLETED: u8 = 2;

    fn other_columns(&self) -> [usize; 10] {
        [
            self.time.len(),
            self.operation.len(),
            self.digest.len(),
            self.profiles.len(),
            self.identifiers.len(),
            self.traits.len(),
            self.flags.len(),
            self.segments.len(),
            self.records.len(),
            self.files.len(),
        ]
    }
}

impl PendingErasuresPart {
    fn other_columns(&self) -> [usize; 2] {
        [self.profiles.len(), self.identifiers.len()]
    }
}

impl AnonymousSeenPart {
    fn other_columns(&self) -> [usize; 1] {
        [self.day.len()]
    }
}

impl LastSeenPart {
    fn other_columns(&self) -> [usize; 1] {
        [self.day.len()]
    }
}

impl PastHoldingsPart {
    fn other_columns(&self) -> [usize; 5] {
        let Self { profile, from, until, time, several, .. } = self;
        [profile.len(), from.len(), until.len(), time.len(), several.len()]
    }
}

impl PastEdgesPart {
    fn other_columns(&self) -> [usize; 6] {
        let Self { parent, from, until, bearer, merge_rank, survived, .. } = self;
        [parent.len(), from.len(), until.len(), bearer.len(), merge_rank.len(), survived.len()]
    }
}

impl fmt::Display for InvalidPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidPart {}

pub use freeze::Frozen;
pub use load::Loader;
pub use verify::Verifier;
