//! Wire types to core types, and refusals of the core to statuses.
//!
//! What is judged here is what only the wire can get wrong: forms, times, numbers that are
//! not numbers, JSON text. Everything else is the core's to judge, once.

use std::borrow::Cow;

use ipse_core::change::ProfileNumber;
use ipse_core::rules::{Mapping, RulesProblem};
use ipse_core::{Event, Refusal, SentIdentifier, SentTrait, Timestamp, TraitValue};

use crate::extract::{self, Ignored};
use crate::json::{Kind, Node, canonical};
use crate::limits::{JSON_DEPTH_MAX, RAW_JSON_BYTES_MAX};
use crate::request;
use crate::status::{Reason, Status};

/// An event that was read, before it is known which profile its `profile_id` is.
#[derive(Debug)]
pub(crate) struct ReadEvent<'a> {
    event_id: Cow<'a, str>,
    kind: Cow<'a, str>,
    source: &'a str,
    timestamp: Option<Timestamp>,
    key_namespace: &'a str,
    identifiers: Vec<SentIdentifier<'a>>,
    traits: Vec<SentTrait<'a>>,
    /// The profile that the caller named; empty if it named none.
    pub(crate) profile_id: &'a str,
    /// Raw events only.
    pub(crate) ignored: Vec<Ignored>,
    pub(crate) place: Place,
}

/// Where in a request the core's fields come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An event with explicit identifiers: the core names its fields as the wire does.
    Event,
    /// An event whose identifiers stand in JSON.
    RawEvent,
    /// The identifier of a lookup.
    Lookup,
    /// The request itself.
    Request,
}

impl<'a> ReadEvent<'a> {
    /// Reads an event in whichever form it was sent.
    pub(crate) fn read(
        event: &'a request::Event<'a>,
        mapping: &'a Mapping,
    ) -> Result<Self, Status> {
        if event.raw_json.is_empty() {
            return ReadEvent::explicit(event);
        }
        if !event.identifiers.is_empty() || !event.traits.is_empty() {
            return Err(Status::of_field(
                Reason::EventFormAmbiguous,
                "event.raw_json",
                "sent together with identifiers or traits: send one or the other",
            ));
        }
        ReadEvent::raw(event, mapping)
    }

    /// Hands the event to the core. Empties this one.
    pub(crate) fn take(&mut self, profile: Option<ProfileNumber>) -> Event<'_> {
        Event {
            event_id: &self.event_id,
            kind: &self.kind,
            source: self.source,
            timestamp: self.timestamp,
            profile,
            key_namespace: self.key_namespace,
            identifiers: std::mem::take(&mut self.identifiers),
            traits: std::mem::take(&mut self.traits),
        }
    }

    fn explicit(event: &'a request::Event<'a>) -> Result<Self, Status> {
        let traits = event.traits.iter().enumerate();
        Ok(ReadEvent {
            event_id: Cow::Borrowed(event.event_id),
            kind: Cow::Borrowed(event.kind),
            source: event.source,
            timestamp: sent_time(event)?,
            key_namespace: event.key_namespace,
            identifiers: event.identifiers.iter().map(sent_identifier).collect(),
            traits: traits
                .map(|(index, sent)| sent_trait(index, sent))
                .collect::<Result<_, _>>()?,
            profile_id: event.profile_id,
            ignored: Vec::new(),
            place: Place::Event,
        })
    }

    fn raw(event: &'a request::Event<'a>, mapping: &'a Mapping) -> Result<Self, Status> {
        let size = event.raw_json.len();
        if size > RAW_JSON_BYTES_MAX {
            return Err(Status::limit_exceeded(
                "event.raw_json",
                "bytes",
                RAW_JSON_BYTES_MAX,
                size,
            ));
        }
        let node = extract::parse(event.raw_json)?;
        let extracted = extract::extract(&node, mapping);
        Ok(ReadEvent {
            event_id: or_else(event.event_id, || extract::event_id(&node))?,
            kind: or_else(event.kind, || extract::kind(&node))?,
            source: event.source,
            timestamp: match sent_time(event)? {
                Some(time) => Some(time),
                None => extract::timestamp(&node)?,
            },
            key_namespace: event.key_namespace,
            identifiers: extracted.identifiers,
            traits: extracted.traits,
            profile_id: event.profile_id,
            ignored: extracted.ignored,
            place: Place::RawEvent,
        })
    }
}

/// The status of a refusal of the core.
pub(crate) fn refused(refusal: Refusal, place: Place) -> Status {
    match refusal {
        Refusal::InvalidField { field, problem } => {
            let problem =
                if place == Place::RawEvent { format!("{field}: {problem}") } else { problem };
            Status::invalid_field(place.field(field), problem)
        }
        Refusal::LimitExceeded { field, what, bound, found } => {
            // What was taken from JSON keeps its name, since its place does not tell it.
            let what = match place {
                Place::RawEvent if is_taken_from_json(&field) => format!("{what} of {field}"),
                _ => what.to_owned(),
            };
            Status::limit_exceeded(&place.field(field), &what, bound, found)
        }
        Refusal::TimestampInFuture { ahead_ms } => in_future(ahead_ms, place),
        Refusal::EventIdReused { sequence } => event_id_reused(sequence.0, place),
        Refusal::UnknownProfile => unknown_profile("event.profile_id"),
        Refusal::CapacityExceeded { what, bound } => Status::new(
            Reason::CapacityExceeded,
            format!("the workspace holds {bound} {what}, the most it can"),
        )
        .with("bound", bound),
        Refusal::RulesVersionMismatch { expected, actual } => Status::of_field(
            Reason::RulesVersionMismatch,
            "expected_version",
            format!("version {actual} is in force, not {expected}: read the rules again"),
        )
        .with("expected_version", expected)
        .with("version", actual),
        Refusal::InvalidRules(problems) => invalid_rules(&problems),
    }
}

/// PROFILE_NOT_FOUND, for an id.
pub(crate) fn unknown_profile(field: &str) -> Status {
    Status::of_field(Reason::ProfileNotFound, field, "no profile of this workspace has this id")
}

/// INVALID_RULES: line and key of each problem, as far as a status has room.
pub(crate) fn invalid_rules(problems: &[RulesProblem]) -> Status {
    let summary = match problems {
        [only] => format!("rules_toml: {}", only),
        [first, ..] => format!("rules_toml: {} problems; {}", problems.len(), first),
        [] => "rules_toml: not usable".to_owned(),
    };
    let status = Status::new(Reason::InvalidRules, summary).with("problem_count", problems.len());
    problems
        .iter()
        .fold(status, |status, problem| status.violation("rules_toml", problem.to_string()))
}

/// A time as the wire has it.
pub(crate) fn wire_time(time: Timestamp) -> prost_types::Timestamp {
    let millis = time.as_millis();
    prost_types::Timestamp {
        seconds: millis.div_euclid(1_000),
        nanos: (millis.rem_euclid(1_000) * 1_000_000) as i32,
    }
}

impl Place {
    /// The core's field as the request's sender knows it.
    fn field(self, field: String) -> String {
        match self {
            Place::Event => field,
            // Positions in what was taken from a raw event mean nothing to its sender.
            Place::RawEvent if is_taken_from_json(&field) => "event.raw_json".to_owned(),
            Place::RawEvent => field,
            Place::Lookup => format!("lookup.identifier.{field}"),
            Place::Request => field,
        }
    }
}

fn is_taken_from_json(field: &str) -> bool {
    !matches!(field, "event.source" | "event.profile_id" | "event.key_namespace")
}

fn in_future(ahead_ms: i64, place: Place) -> Status {
    let hours = ahead_ms / 3_600_000;
    Status::of_field(
        Reason::TimestampInFuture,
        place.field("event.timestamp".to_owned()),
        format!("the event's time is {hours} hours ahead of the server, at most 24 are allowed"),
    )
    .with("ahead_ms", ahead_ms)
}

fn event_id_reused(sequence: u64, place: Place) -> Status {
    Status::of_field(
        Reason::EventIdReused,
        place.field("event.event_id".to_owned()),
        format!(
            "an event of this id with another type, timestamp, identifiers or traits \
             wrote record {sequence}: give each event an id of its own"
        ),
    )
    .with("sequence_number", sequence)
}

fn or_else<'a>(
    sent: &'a str,
    extracted: impl FnOnce() -> Result<Cow<'a, str>, Status>,
) -> Result<Cow<'a, str>, Status> {
    if sent.is_empty() { extracted() } else { Ok(Cow::Borrowed(sent)) }
}

fn sent_time(event: &request::Event<'_>) -> Result<Option<Timestamp>, Status> {
    let Some(time) = &event.timestamp else {
        return Ok(None);
    };
    (0..1_000_000_000)
        .contains(&time.nanos)
        .then(|| time.seconds.checked_mul(1_000)?.checked_add(i64::from(time.nanos / 1_000_000)))
        .flatten()
        .and_then(Timestamp::from_millis)
        .map(Some)
        .ok_or_else(|| Status::invalid_field("event.timestamp", "outside the years 1 to 9999"))
}

fn sent_identifier<'a>(identifier: &request::Identifier<'a>) -> SentIdentifier<'a> {
    SentIdentifier {
        namespace: Cow::Borrowed(identifier.namespace),
        value: Cow::Borrowed(identifier.value),
    }
}

fn sent_trait<'a>(index: usize, sent: &request::Trait<'a>) -> Result<SentTrait<'a>, Status> {
    let problem = |field, problem: &str| {
        Status::invalid_field(format!("event.traits[{index}].{field}"), problem)
    };
    let value = match &sent.value {
        Some(TraitValue::Number(number)) if !number.is_finite() => {
            return Err(problem("number_value", "not a finite number"));
        }
        Some(TraitValue::Json(text)) => {
            let text = json_text(text).map_err(|why| problem("json_value", why))?;
            Some(TraitValue::Json(Cow::Owned(text)))
        }
        value => value.clone(),
    };
    Ok(SentTrait { name: Cow::Borrowed(sent.name), value })
}

fn json_text(text: &str) -> Result<String, &'static str> {
    let node = Node::parse(text).map_err(|_| "not JSON")?;
    if !matches!(node.kind(), Kind::Array | Kind::Object) {
        return Err("neither an array nor an object: use the field of the value's kind");
    }
    canonical(&node, JSON_DEPTH_MAX).ok_or("nested too deeply, or half of a surrogate pair")
}
