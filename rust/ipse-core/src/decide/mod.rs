//! Decide: what an event, a command, or new rules mean for a graph. Reads only.
//!
//! An event that shows again what is known is answered at once ([`steady`]). Any other goes
//! through five steps, a file each: its fields are checked ([`fields`]), its
//! identifiers become candidates ([`candidates`]), a repeat gets its recorded answer
//! ([`repeat`]), a policy of the rules chooses whose it is and which candidates stay
//! ([`resolve`], and [`drop_lowest`], [`greedy`], [`explicit`] or [`replay`] behind it), and
//! what it teaches is found out ([`teach`]). Commands on profiles go the same way
//! ([`commands`], [`modify`], [`import`], [`revert`], [`constraints`]). What policies share has its file, too: limits and
//! caps ([`fit`], [`limits`], [`pairs`]), identifiers that find and never join ([`finders`],
//! [`narrow`]), room on a full profile ([`evict`]), room in memory ([`ceiling`]) and whose id a
//! merge keeps ([`survivor`]).
//!
//! A decision carries its evidence whole, so that it can be logged, answered and explained
//! from one value. Refusals come in a fixed order: fields, time, the named profile, the
//! event id, the key, capacity. Rules change what may be a key: a repeat is not asked again.

mod candidates;
mod ceiling;
mod commands;
mod constraints;
mod drop_lowest;
mod erase;
mod evict;
mod expire;
mod explicit;
mod fields;
mod finders;
mod fit;
mod greedy;
mod import;
mod limits;
mod modify;
mod narrow;
mod pairs;
mod repeat;
mod replay;
mod resolve;
mod revert;
mod steady;
mod survivor;
mod teach;
#[cfg(test)]
mod tests;
mod unshare;

use std::borrow::Cow;

use crate::change::{
    Change, EventResolved, Extra, IgnoredTrait, ProfileNumber, RulesVersion, SequenceNumber,
    Target, Verb,
};
use crate::command::Operation;
use crate::event::Event;
use crate::graph::Graph;
pub use crate::graph::attributed::AttributedBy;
use crate::limits::{NAMESPACES_MAX, PROFILES_MAX, RECORD_DISPLACED_MAX, RECORD_MOVES_MAX};
use crate::profile_id::ProfileId;
use crate::rules::{RulesProblem, RulesText};
use crate::time::Timestamp;

use resolve::Resolved;

pub use ceiling::{Ceiling, CeilingOf, Moment, Room};
pub use erase::ErasureDecision;

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
    /// What of the graph it rests on.
    pub rests_on: RestsOn,
}

/// What of the graph a decision rests on, besides the rules: what is not on disk yet of that, the
/// answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestsOn {
    /// What its target holds, and nothing that another profile holds or does not.
    Target,
    /// Anything.
    Everything,
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
    /// The profile was erased.
    ProfileErased,
    /// Another event has had this id.
    EventIdReused {
        /// The record of that event.
        sequence: SequenceNumber,
    },
    /// Other merges were built on the one that is to be undone.
    MergeBuiltOn {
        /// The profile whose id the oldest of them retired.
        absorbed: ProfileId,
        /// The record of that.
        sequence: SequenceNumber,
        /// How many there are.
        count: usize,
    },
    /// The workspace is full.
    CapacityExceeded {
        /// What there is no room for, for example `identifiers`.
        what: &'static str,
        /// How many it can hold.
        bound: usize,
    },
    /// Memory has reached its ceiling.
    CeilingReached(Ceiling),
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
    /// Decides what an event means, were it the next record, at a moment by the server's clock.
    /// Writes nothing. A clock that was ahead once and was put right does not age events: only
    /// the order of records goes by the newest log time.
    pub fn decide<'a>(
        &self,
        event: &'a Event<'a>,
        moment: impl Into<Moment>,
    ) -> Result<Decision<'a>, Refusal> {
        let Moment { now, room } = moment.into();
        if let Some(steady) = steady::find(self, event, now) {
            let decided = Ok(steady.decide(self, event, now));
            debug_assert_eq!(self.decide_in_steps(event, now, &room), decided);
            return decided;
        }
        self.decide_in_steps(event, now, &room)
    }

    fn decide_in_steps<'a>(
        &self,
        event: &'a Event<'a>,
        now: Timestamp,
        room: &Room,
    ) -> Result<Decision<'a>, Refusal> {
        fields::check(event)?;
        let (mut candidates, sources) = candidates::of_event(self, event)?;
        fields::check_time(event, now)?;
        let named = self.named_root(event)?;
        let digest = repeat::digest(event, &candidates);
        if let Some(decision) =
            repeat::recorded(self, event, &candidates, digest, now.max(self.log_time))?
        {
            return Ok(decision);
        }

        if !event.key_namespace.is_empty() {
            fields::check_key(self, event.key_namespace)?;
        }
        let timestamp = event.timestamp.unwrap_or(now);
        let is_short = room.keep_out(self, &mut candidates);
        let resolved = resolve::resolve(self, event, candidates, sources, named, timestamp);
        room.check(&resolved, is_short)?;
        self.check_capacity(&resolved)?;
        let lesson = teach::lesson(self, &event.traits, &resolved, timestamp, room)?;
        // A command with an id is recorded whatever it comes to, for its repeat.
        let is_command = event.verb != Verb::Observe && !event.event_id.is_empty();
        let teaches = lesson.teaches || is_command || self.is_seen_anew(&resolved.identifiers, now);
        Ok(Decision {
            known: resolved.known,
            teaches,
            repeated: None,
            attributed_by: self.attributed_by(&resolved.target, &resolved.identifiers),
            rests_on: if teaches {
                RestsOn::Everything
            } else {
                steady::rests_on(self, event, &resolved)
            },
            resolved: EventResolved {
                event_id: Cow::Borrowed(event.event_id),
                digest: if teaches { digest } else { 0 },
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
                extra: with_ignored(resolved.extra, lesson.ignored),
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
        if *rules.text() == *self.rules_text() {
            return Ok(None);
        }
        let problems = unshare::problems(self, &parsed, rules.text());
        if !problems.is_empty() {
            return Err(Refusal::InvalidRules(problems));
        }
        let version = RulesVersion(actual.0 + 1);
        Ok(Some(Change::RulesSet { version, rules }))
    }

    fn named_root(&self, event: &Event<'_>) -> Result<Option<u32>, Refusal> {
        let Some(profile) = event.profile else {
            return Ok(None);
        };
        self.root_to_change(profile).map(Some)
    }

    /// The root of a profile that is neither unknown nor erased.
    fn root_to_change(&self, profile: ProfileNumber) -> Result<u32, Refusal> {
        let node = self.profiles.node(profile).ok_or(Refusal::UnknownProfile)?;
        if self.profiles.is_erased(node) {
            return Err(Refusal::ProfileErased);
        }
        Ok(self.profiles.root(node))
    }

    /// The decision on a command.
    fn decision_of<'a>(
        &self,
        operation: &Operation<'a>,
        verb: Verb,
        digest: u128,
        timestamp: Timestamp,
        resolved: Resolved<'a>,
    ) -> Decision<'a> {
        let teaches = !operation.operation_id.is_empty() || teach::changes_graph(self, &resolved);
        Decision {
            known: resolved.known,
            teaches,
            repeated: None,
            attributed_by: self.attributed_by(&resolved.target, &resolved.identifiers),
            rests_on: RestsOn::Everything,
            resolved: EventResolved {
                event_id: Cow::Borrowed(operation.operation_id),
                digest,
                verb,
                kind: Cow::Borrowed(""),
                source: Cow::Borrowed(operation.source),
                timestamp,
                rules_version: self.rules_version(),
                named_profile: None,
                key_namespace: Cow::Borrowed(""),
                target: resolved.target,
                identifiers: resolved.identifiers,
                traits: Vec::new(),
                extra: resolved.extra,
            },
        }
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
        let extra = resolved.extra.as_deref();
        let moves = extra.map_or(0, |extra| extra.moves.len());
        fields::bound("event", "identifiers that it moves", moves, RECORD_MOVES_MAX)?;
        let displaced = extra.map_or(0, |extra| extra.displaced.len());
        fields::bound("event", "links that it displaces", displaced, RECORD_DISPLACED_MAX)
    }
}

/// An extra that names the traits that did not count, if there are any.
fn with_ignored<'a>(
    extra: Option<Box<Extra<'a>>>,
    ignored_traits: Vec<IgnoredTrait<'a>>,
) -> Option<Box<Extra<'a>>> {
    if ignored_traits.is_empty() {
        return extra;
    }
    let extra = extra.map_or_else(Extra::default, |extra| *extra);
    Some(Box::new(Extra { ignored_traits, ..extra }))
}

impl Refusal {
    /// The same of an item that was judged in a list of its own: what the field says of the
    /// place within an item stays.
    fn of_item(self, item: &str) -> Refusal {
        let field = match &self {
            Refusal::InvalidField { field, .. } | Refusal::LimitExceeded { field, .. } => field,
            _ => return self,
        };
        let within = field.split_once(']').map_or("", |(_, within)| within);
        let field = format!("{item}{within}");
        self.at_field(&field)
    }

    /// The same of another field.
    fn at_field(self, field: &str) -> Refusal {
        match self {
            Refusal::InvalidField { problem, .. } => {
                Refusal::InvalidField { field: field.to_owned(), problem }
            }
            Refusal::LimitExceeded { what, bound, found, .. } => {
                Refusal::LimitExceeded { field: field.to_owned(), what, bound, found }
            }
            other => other,
        }
    }
}
