//! stub
use crate::change::{Change, EventResolved, RulesVersion, SequenceNumber};

/// What was decided about an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<'a> {
    /// Everything decided, with the evidence. The change to log, if `teaches`.
    pub resolved: EventResolved<'a>,
    /// Whether the target is known after the event.
    pub known: bool,
    /// Whether the event changes anything, and so is logged.
    pub teaches: bool,
    /// The record that this event id wrote before, if it comes again.
    pub repeated: Option<SequenceNumber>,
}

/// Why a request is refused. An ordinary value: nothing happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A field's value is not allowed.
    InvalidField { field: String, problem: String },
    /// More than a bound allows.
    LimitExceeded { field: String, what: &'static str, bound: usize, found: usize },
    /// The event's time is more than a day ahead of the log.
    TimestampInFuture { ahead_ms: i64 },
    /// Another event has had this id.
    EventIdReused { sequence: SequenceNumber },
    /// The named profile does not exist.
    UnknownProfile,
    /// The workspace holds as many profiles or identifiers as it can.
    CapacityExceeded { what: &'static str, bound: usize },
    /// Other rules are in force than the caller believed.
    RulesVersionMismatch { expected: RulesVersion, actual: RulesVersion },
    /// The rules have problems.
    InvalidRules(Vec<crate::rules::RulesProblem>),
}
#[allow(unused)] fn _p(_: Change<'_>) {}
