//! Decide: what an event, or new rules, mean for a graph. Reads only.
//!
//! An event goes through five steps, a file each: its fields are checked ([`fields`]), its
//! identifiers become candidates ([`candidates`]), a repeat gets its recorded answer
//! ([`repeat`]), limits and caps choose which candidates stay and whose the event is
//! ([`resolve`], [`limits`]), and what it teaches is found out ([`teach`]).
//!
//! A decision carries its evidence whole, so that it can be logged, answered and explained
//! from one value. Refusals come in a fixed order: fields, time, the named profile, the
//! event id, capacity.

mod candidates;
mod fields;
mod limits;
mod repeat;
mod resolve;
mod teach;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::change::{Change, EventResolved, RulesVersion, SequenceNumber, Target};
use crate::command::{
    AttributeHistory, ImportProfile, MergeProfiles, ModifyIdentifiers, SplitProfile,
};
use crate::event::Event;
use crate::graph::Graph;
use crate::limits::{NAMESPACES_MAX, PROFILES_MAX};
use crate::rules::{RulesProblem, RulesText};
use crate::time::Timestamp;

use resolve::Resolved;

/// What was decided about an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<'a> {
    /// Everything decided, with the evidence. The change to log, if the event teaches.
    pub resolved: EventResolved<'a>,
    /// Whether the target is known after the event.
    pub known: bool,
    /// Whether the event changes anything, and so is logged.
    pub teaches: bool,
    /// The record that this event id wrote before, if the event comes again.
    pub repeated: Option<SequenceNumber>,
    /// By what the event is attributed: whose it is later is a lookup of that.
    pub attributed_by: AttributedBy,
}

/// By what an event is attributed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributedBy {
    /// Nothing: it is nobody's.
    Nobody,
    /// Its profile.
    Profile,
    /// The identifier at this place of the record.
    Identifier(usize),
}

/// Why a request is refused. An ordinary value: nothing happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A field's value is not allowed.
    InvalidField {
        /// The field, as the wire names it, for example `event.identifiers[1].value`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// More than a bound allows.
    LimitExceeded {
        /// The field that holds too much.
        field: String,
        /// What is counted, for example `bytes`.
        what: &'static str,
        /// How many are allowed.
        bound: usize,
        /// How many there are.
        found: usize,
    },
    /// The event's time is more than a day ahead of the server's clock.
    TimestampInFuture {
        /// By how many milliseconds it is ahead.
        ahead_ms: i64,
    },
    /// The profile that the event names does not exist.
    UnknownProfile,
    /// Another event has had this id.
    EventIdReused {
        /// The record of that event.
        sequence: SequenceNumber,
    },
    /// The workspace is full.
    CapacityExceeded {
        /// What there is no room for, for example `identifiers`.
        what: &'static str,
        /// How many it can hold.
        bound: usize,
    },
    /// Other rules are in force than the caller believed.
    RulesVersionMismatch {
        /// What the caller believed.
        expected: RulesVersion,
        /// What is in force.
        actual: RulesVersion,
    },
    /// The rules have problems.
    InvalidRules(Vec<RulesProblem>),
}

impl Graph {
    /// Decides what an event means, were it the next record, at `now` by the server's clock.
    /// Writes nothing. A clock that was ahead once and was put right does not age events: only
    /// the order of records goes by the newest log time.
    pub fn decide<'a>(
        &self,
        event: &'a Event<'a>,
        now: Timestamp,
    ) -> Result<Decision<'a>, Refusal> {
        fields::check(event)?;
        let candidates = candidates::of_event(self, event)?;
        fields::check_time(event, now)?;
        let named = self.named_root(event)?;
        let digest = repeat::digest(event, &candidates);
        if let Some(decision) =
            repeat::recorded(self, event, &candidates, digest, now.max(self.log_time))?
        {
            return Ok(decision);
        }

        let timestamp = event.timestamp.unwrap_or(now);
        let resolved = resolve::resolve(self, candidates, named, timestamp);
        self.check_capacity(&resolved)?;
        let lesson = teach::lesson(self, event, &resolved, timestamp)?;
        Ok(Decision {
            known: resolved.known,
            teaches: lesson.teaches,
            repeated: None,
            attributed_by: AttributedBy::Profile,
            resolved: EventResolved {
                event_id: Cow::Borrowed(event.event_id),
                digest,
                verb: event.verb,
                kind: Cow::Borrowed(event.kind),
                source: Cow::Borrowed(event.source),
                timestamp,
                rules_version: self.rules_version(),
                named_profile: event.profile,
                key_namespace: Cow::Borrowed(event.key_namespace),
                target: resolved.target,
                identifiers: resolved.identifiers,
                traits: lesson.traits,
                extra: None,
            },
        })
    }

    /// Decides a change of rules; `None` if the text is in force already. A text that was
    /// parsed before is not parsed again.
    pub fn decide_rules<'a>(
        &self,
        rules: impl Into<RulesText<'a>>,
        expected: Option<RulesVersion>,
    ) -> Result<Option<Change<'a>>, Refusal> {
        let rules = rules.into().parsed().map_err(Refusal::InvalidRules)?;
        let parsed = rules.rules().map_err(Refusal::InvalidRules)?;
        let actual = self.rules_version();
        if let Some(expected) = expected.filter(|&expected| expected != actual) {
            return Err(Refusal::RulesVersionMismatch { expected, actual });
        }
        if !self.namespaces().has_room_for(&parsed) {
            return Err(Refusal::CapacityExceeded { what: "namespaces", bound: NAMESPACES_MAX });
        }
        let is_new = *rules.text() != *self.rules_text();
        let version = RulesVersion(actual.0 + 1);
        Ok(is_new.then_some(Change::RulesSet { version, rules }))
    }

    fn named_root(&self, event: &Event<'_>) -> Result<Option<u32>, Refusal> {
        let Some(profile) = event.profile else {
            return Ok(None);
        };
        let node = self.profiles.node(profile).ok_or(Refusal::UnknownProfile)?;
        Ok(Some(self.profiles.root(node)))
    }

    /// Refuses what the tables cannot address.
    fn check_capacity(&self, resolved: &Resolved<'_>) -> Result<(), Refusal> {
        let creates = matches!(resolved.target, Target::Created(_));
        if creates && self.profiles.len() as usize >= PROFILES_MAX {
            return Err(Refusal::CapacityExceeded { what: "profiles", bound: PROFILES_MAX });
        }
        if resolved.attaches && !self.identifiers.has_room() {
            let bound = crate::limits::IDENTIFIERS_MAX;
            return Err(Refusal::CapacityExceeded { what: "identifiers", bound });
        }
        Ok(())
    }
}

/// Commands on profiles that exist, and profiles of another system.
impl Graph {
    /// Decides which identifiers of a profile change.
    pub fn decide_modify<'a>(
        &self,
        _command: &'a ModifyIdentifiers<'a>,
        _now: Timestamp,
    ) -> Result<Decision<'a>, Refusal> {
        Err(Refusal::UnknownProfile)
    }

    /// Decides which profiles become one.
    pub fn decide_merge<'a>(
        &self,
        _command: &'a MergeProfiles<'a>,
        _now: Timestamp,
    ) -> Result<Decision<'a>, Refusal> {
        Err(Refusal::UnknownProfile)
    }

    /// Decides which identifiers leave a profile.
    pub fn decide_split<'a>(
        &self,
        _command: &'a SplitProfile<'a>,
        _now: Timestamp,
    ) -> Result<Decision<'a>, Refusal> {
        Err(Refusal::UnknownProfile)
    }

    /// Decides whether history goes from one profile to another.
    pub fn decide_attribution<'a>(
        &self,
        _command: &'a AttributeHistory<'a>,
        _now: Timestamp,
    ) -> Result<Decision<'a>, Refusal> {
        Err(Refusal::UnknownProfile)
    }

    /// Decides what of a profile of another system comes in.
    pub fn decide_import<'a>(
        &self,
        _command: &'a ImportProfile<'a>,
        _now: Timestamp,
    ) -> Result<Decision<'a>, Refusal> {
        Err(Refusal::UnknownProfile)
    }
}
