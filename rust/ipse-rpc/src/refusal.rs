//! Refusals of the core as statuses, with fields named as the request's sender knows them.

use ipse_core::Refusal;
use ipse_core::decide::{Ceiling, CeilingOf};
use ipse_core::profile_id::ProfileId;
use ipse_core::rules::RulesProblem;

use crate::status::{Reason, Status};

/// Where in a request the core's fields come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// An event with explicit identifiers: the core names its fields as the wire does.
    Event,
    /// The event of a login, whose sources are called `anonymous_identifiers`.
    Login,
    /// An event whose identifiers stand in JSON.
    RawEvent,
    /// The request itself.
    Request,
    /// A part of the request: what the core names is within this field.
    Within(&'a str),
}

/// The status of a refusal of the core.
pub(crate) fn refused(refusal: Refusal, place: Place<'_>) -> Status {
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
        Refusal::EventIdReused { sequence } => id_reused(sequence.0, place),
        Refusal::UnknownProfile => unknown_profile(&place.field("event.profile_id".to_owned())),
        Refusal::ProfileErased => erased_profile(&place.field("event.profile_id".to_owned())),
        Refusal::MergeBuiltOn { absorbed, sequence, count } => {
            merge_built_on(&absorbed, sequence.0, count)
        }
        Refusal::CapacityExceeded { what, bound } => Status::new(
            Reason::CapacityExceeded,
            format!("the workspace holds {bound} {what}, the most it can"),
        )
        .with("bound", bound),
        Refusal::CeilingReached(ceiling) => ceiling_reached(&ceiling),
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

/// CEILING_REACHED: which one, and what it allows.
fn ceiling_reached(ceiling: &Ceiling) -> Status {
    let (whose, of) = match ceiling.of {
        CeilingOf::Workspace => ("the workspace", "workspace"),
        CeilingOf::Process => ("this server", "process"),
    };
    let Ceiling { what, bound, .. } = ceiling;
    let problem = format!(
        "{whose} may hold {bound} {what}, and does: who is known is still answered, but nobody new"
    );
    Status::new(Reason::CeilingReached, problem).with("ceiling", of).with("bound", bound)
}

/// MERGE_BUILT_ON: what comes first.
fn merge_built_on(absorbed: &ProfileId, sequence: u64, count: usize) -> Status {
    let absorbed = absorbed.as_str();
    let problem = format!(
        "{count} later merges were built on this one: undo them first, the newest before the \
         others, or all with `chain`; the oldest of them, record {sequence}, retired {absorbed}"
    );
    Status::of_field(Reason::MergeBuiltOn, "absorbed_profile_id", problem)
        .with("absorbed_profile_id", absorbed)
        .with("sequence_number", sequence)
}

/// PROFILE_NOT_FOUND, for an id.
pub(crate) fn unknown_profile(field: &str) -> Status {
    Status::of_field(Reason::ProfileNotFound, field, "no profile of this workspace has this id")
}

/// ERASED, for an id.
pub(crate) fn erased_profile(field: &str) -> Status {
    Status::of_field(Reason::Erased, field, "the profile of this id was erased")
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

impl Place<'_> {
    /// Whether the request carries an event.
    fn has_event(self) -> bool {
        matches!(self, Place::Event | Place::Login | Place::RawEvent)
    }

    /// The core's field as the request's sender knows it.
    fn field(self, field: String) -> String {
        match self {
            Place::Event => of_sources(&field, "sources").unwrap_or(field),
            Place::Login => of_sources(&field, "anonymous_identifiers").unwrap_or(field),
            // Positions in what was taken from a raw event mean nothing to its sender.
            Place::RawEvent if is_taken_from_json(&field) => "event.raw_json".to_owned(),
            Place::RawEvent => field,
            Place::Request => within_event(&field).to_owned(),
            Place::Within(part) => format!("{part}.{}", within_event(&field)),
        }
    }
}

/// A field of the list of sources, which stands beside the event and not in it.
fn of_sources(field: &str, name: &str) -> Option<String> {
    let rest = within_event(field).strip_prefix("sources")?;
    Some(format!("{name}{rest}"))
}

fn within_event(field: &str) -> &str {
    field.strip_prefix("event.").unwrap_or(field)
}

fn is_taken_from_json(field: &str) -> bool {
    !matches!(field, "event.source" | "event.profile_id" | "event.key_namespace")
}

fn in_future(ahead_ms: i64, place: Place<'_>) -> Status {
    let hours = ahead_ms / 3_600_000;
    Status::of_field(
        Reason::TimestampInFuture,
        place.field("event.timestamp".to_owned()),
        format!("the time is {hours} hours ahead of the server, at most 24 are allowed"),
    )
    .with("ahead_ms", ahead_ms)
}

fn id_reused(sequence: u64, place: Place<'_>) -> Status {
    let (field, problem) = if place.has_event() {
        let problem = format!(
            "an event of this id that says something else (its type, timestamp, identifiers or \
             traits, or whom a login, a logout or a link names) wrote record {sequence}: give \
             each event an id of its own"
        );
        (place.field("event.event_id".to_owned()), problem)
    } else {
        let problem = format!(
            "another operation of this id wrote record {sequence}: give each operation an id \
             of its own"
        );
        ("operation_id".to_owned(), problem)
    };
    Status::of_field(Reason::EventIdReused, field, problem).with("sequence_number", sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_named_as_their_sender_knows_them() {
        let cases = [
            (Place::Event, "event.identifiers[1].value", "event.identifiers[1].value"),
            (Place::Event, "event.sources[1].value", "sources[1].value"),
            (Place::Login, "event.sources[0].namespace", "anonymous_identifiers[0].namespace"),
            (Place::Login, "event.type", "event.type"),
            (Place::RawEvent, "event.sources[0].value", "event.raw_json"),
            (Place::RawEvent, "event.key_namespace", "event.key_namespace"),
            (Place::Request, "changes[2].new_value", "changes[2].new_value"),
            (Place::Within("profiles[3]"), "traits[0].name", "profiles[3].traits[0].name"),
            (Place::Within("lookup.identifier"), "value", "lookup.identifier.value"),
        ];
        for (place, core, wire) in cases {
            assert_eq!(place.field(core.to_owned()), wire);
        }
    }
}
