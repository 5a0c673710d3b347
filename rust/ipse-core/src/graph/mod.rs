//! stub
use crate::change::*; use crate::decide::{Decision, Refusal}; use crate::event::{Event, TraitValue}; use crate::profile_id::ProfileId; use crate::rules::Rules; use crate::snapshot::{Frozen}; use crate::time::Timestamp;
/// One workspace's identity graph.
#[derive(Debug)]
pub struct Graph { _p: () }
/// record is impossible here
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRecord(pub String);
/// counts
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts { /// not absorbed
  pub profiles: u64, /// absorbed
  pub absorbed_profiles: u64, /// ids
  pub identifiers: u64, /// links
  pub links: u64 }
#[allow(unused_variables)]
impl Graph {
    /// The graph before record 1. `hash_seed` hardens the index against chosen keys and shows nowhere.
    pub fn new(hash_seed: u64) -> Graph { todo!() }
    /// Decides what an event means. Writes nothing.
    pub fn decide<'a>(&self, event: &'a Event<'a>, log_time: Timestamp) -> Result<Decision<'a>, Refusal> { todo!() }
    /// Decides a change of rules: Ok(None) if the text is in force already.
    pub fn decide_rules<'a>(&self, rules: &'a str, expected: Option<RulesVersion>) -> Result<Option<Change<'a>>, Refusal> { todo!() }
    /// Checks a record read back, before apply.
    pub fn validate(&self, record: &Record<'_>) -> Result<(), InvalidRecord> { todo!() }
    /// Applies. Cannot fail; panics only on a bug (a record neither decided here nor validated).
    pub fn apply(&mut self, record: &Record<'_>) { todo!() }
    /// Newest record; 0 before the first.
    pub fn sequence(&self) -> SequenceNumber { todo!() }
    /// Log time of the newest record.
    pub fn log_time(&self) -> Timestamp { todo!() }
    /// name
    pub fn name(&self) -> &str { todo!() }
    /// log time of record 1
    pub fn created_time(&self) -> Timestamp { todo!() }
    /// rules in force
    pub fn rules(&self) -> &Rules { todo!() }
    /// their text
    pub fn rules_text(&self) -> &str { todo!() }
    /// their version
    pub fn rules_version(&self) -> RulesVersion { todo!() }
    /// counts
    pub fn counts(&self) -> Counts { todo!() }
    /// kept by apply
    pub fn state_hash(&self) -> u128 { todo!() }
    /// canonical text
    pub fn dump(&self) -> String { todo!() }
    /// Recomputes everything derived and compares.
    pub fn check(&self) -> Result<(), String> { todo!() }
    /// public id of a profile number
    pub fn profile_id(&self, profile: ProfileNumber) -> ProfileId { todo!() }
    /// number behind a public id, if this workspace gave it out
    pub fn profile_number(&self, id: &str) -> Option<ProfileNumber> { todo!() }
    /// The profile that a number, also an absorbed one, answers to now.
    pub fn profile(&self, profile: ProfileNumber) -> Option<ProfileView<'_>> { todo!() }
    /// The profile holding an identifier as sent (normalised here). Refusal::InvalidField if the namespace is unknown or value invalid.
    pub fn lookup(&self, namespace: &str, value: &str) -> Result<Option<ProfileView<'_>>, Refusal> { todo!() }
    /// consistent view for a snapshot
    pub fn freeze(&self) -> Frozen { todo!() }
}
/// A profile, seen now.
#[derive(Clone, Copy, Debug)]
pub struct ProfileView<'a> { graph: &'a Graph }
impl<'a> ProfileView<'a> {
    /// survivor's number
    pub fn number(&self) -> ProfileNumber { todo!() }
    /// known
    pub fn known(&self) -> bool { todo!() }
    /// log time of its creation
    pub fn created_time(&self) -> Timestamp { todo!() }
    /// how many identifiers
    pub fn identifier_count(&self) -> u32 { todo!() }
    /// strongest namespace first, then oldest (sequence, then value) first
    pub fn identifiers(&self) -> Vec<IdentifierView<'a>> { todo!() }
    /// by name; removed ones left out
    pub fn traits(&self) -> Vec<(&'a str, &'a TraitValue<'static>)> { todo!() }
    /// merged into it, oldest first
    pub fn absorbed(&self) -> Vec<ProfileNumber> { todo!() }
    /// how many merges
    pub fn merge_count(&self) -> u32 { todo!() }
}
/// An identifier as a profile holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentifierView<'a> { /// name
  pub namespace: &'a str, /// value
  pub value: &'a str, /// event time
  pub attached_time: Timestamp, /// record
  pub sequence: SequenceNumber }
