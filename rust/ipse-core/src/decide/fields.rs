//! The bounds on an event's fields, and on its time.

use crate::command::Operation;
use crate::event::{Event, SentIdentifier, SentTrait, TraitValue};
use crate::graph::Graph;
use crate::identifier::is_namespace_name;
use crate::limits::{
    EVENT_ID_BYTES_MAX, EVENT_IDENTIFIERS_MAX, EVENT_TIME_AHEAD_MS_MAX, EVENT_TRAITS_MAX,
    EVENT_TYPE_BYTES_MAX, IDENTIFIER_VALUE_BYTES_MAX, NAMESPACE_BYTES_MAX, SOURCE_BYTES_MAX,
    TRAIT_NAME_BYTES_MAX, TRAIT_VALUE_BYTES_MAX,
};
use crate::rules::Trigger;
use crate::time::Timestamp;

use super::Refusal;

/// Refuses a key that would do nothing: one that rules do not have, or that joins no profiles
/// where a key has to.
pub(super) fn check_key(graph: &Graph, key: &str) -> Result<(), Refusal> {
    let rules = graph.namespaces().rules_for(graph.namespaces().index(key));
    let joins_by_key = graph.rules().trigger == Trigger::Key;
    let problem = match rules {
        None => "is no namespace of the rules",
        Some(rules) if joins_by_key && rules.exclusive => "is exclusive: it moves, and is no key",
        Some(rules) if joins_by_key && rules.shared => "is shared: it joins nobody, and is no key",
        Some(_) => return Ok(()),
    };
    invalid("event.key_namespace", problem)
}

/// Refuses a field that passes a bound or is not what it must be, the first in their order.
#[inline]
pub(super) fn check(event: &Event<'_>) -> Result<(), Refusal> {
    bound("event.event_id", "bytes", event.event_id.len(), EVENT_ID_BYTES_MAX)?;
    bound("event.type", "bytes", event.kind.len(), EVENT_TYPE_BYTES_MAX)?;
    bound("event.source", "bytes", event.source.len(), SOURCE_BYTES_MAX)?;
    if !event.key_namespace.is_empty() {
        namespace(event.key_namespace, || "event.key_namespace".to_owned())?;
    }
    let identifiers = event.identifiers.len();
    bound("event.identifiers", "identifiers", identifiers, EVENT_IDENTIFIERS_MAX)?;
    let all = identifiers + event.sources.len();
    bound("sources", "identifiers", all, EVENT_IDENTIFIERS_MAX)?;
    check_traits("event.traits", event.traits.iter())
}

/// Refuses traits that pass a bound or are not what they must be.
pub(super) fn check_traits<'t, 'a: 't>(
    field: &str,
    traits: impl ExactSizeIterator<Item = &'t SentTrait<'a>> + Clone,
) -> Result<(), Refusal> {
    bound(field, "traits", traits.len(), EVENT_TRAITS_MAX)?;
    for (at, sent) in traits.clone().enumerate() {
        check_trait(field, at, sent)?;
        if traits.clone().take(at).any(|earlier| earlier.name == sent.name) {
            return invalid(&format!("{field}[{at}].name"), "stands on this event twice");
        }
    }
    Ok(())
}

/// The bounds on what every command carries.
pub(super) fn check_operation(operation: &Operation<'_>, now: Timestamp) -> Result<(), Refusal> {
    bound("operation_id", "bytes", operation.operation_id.len(), EVENT_ID_BYTES_MAX)?;
    bound("source", "bytes", operation.source.len(), SOURCE_BYTES_MAX)?;
    check_not_ahead("timestamp", operation.timestamp.unwrap_or(now), now)
}

/// Refuses a time that lies more than a day ahead, in a field that says when something was.
pub(super) fn check_not_ahead(field: &str, time: Timestamp, now: Timestamp) -> Result<(), Refusal> {
    if time.as_millis() - now.as_millis() > EVENT_TIME_AHEAD_MS_MAX {
        return invalid(field, "is more than a day ahead of the server's clock");
    }
    Ok(())
}

/// Refuses an identifier that cannot be one under any rules. `is_known` says that the
/// workspace has the namespace, so that its name needs no second look.
pub(super) fn check_identifier(
    list: &str,
    at: usize,
    sent: &SentIdentifier<'_>,
    is_known: bool,
) -> Result<(), Refusal> {
    if !is_known {
        namespace(&sent.namespace, || format!("{list}[{at}].namespace"))?;
    }
    value(&sent.value, || format!("{list}[{at}].value"))
}

/// Refuses an event that claims to come from more than a day ahead. The past is not refused.
pub(super) fn check_time(event: &Event<'_>, now: Timestamp) -> Result<(), Refusal> {
    let time = event.timestamp.unwrap_or(now);
    let ahead_ms = time.as_millis() - now.as_millis();
    if ahead_ms > EVENT_TIME_AHEAD_MS_MAX {
        return Err(Refusal::TimestampInFuture { ahead_ms });
    }
    Ok(())
}

fn namespace(name: &str, field: impl Fn() -> String) -> Result<(), Refusal> {
    if is_namespace_name(name) {
        return Ok(());
    }
    bound(&field(), "bytes", name.len(), NAMESPACE_BYTES_MAX)?;
    invalid(&field(), "a namespace is 1 to 64 of a-z 0-9 _ . -, a letter first")
}

/// A value that is empty only after normalising is dropped by its rule; one that was sent
/// empty, or longer than any rule could make right, is the caller's mistake.
fn value(value: &str, field: impl Fn() -> String) -> Result<(), Refusal> {
    if value.is_empty() {
        return invalid(&field(), "is empty");
    }
    // Normalising may shorten: white space around the longest value is let through.
    let is_short = value.len() <= IDENTIFIER_VALUE_BYTES_MAX
        || value.len() <= 2 * IDENTIFIER_VALUE_BYTES_MAX
            && value.trim().len() <= IDENTIFIER_VALUE_BYTES_MAX;
    if is_short {
        return Ok(());
    }
    bound(&field(), "bytes", value.len(), IDENTIFIER_VALUE_BYTES_MAX)
}

fn check_trait(list: &str, at: usize, sent: &SentTrait<'_>) -> Result<(), Refusal> {
    let field = || format!("{list}[{at}]");
    if sent.name.is_empty() {
        return invalid(&format!("{}.name", field()), "is empty");
    }
    if sent.name.len() > TRAIT_NAME_BYTES_MAX {
        return bound(&format!("{}.name", field()), "bytes", sent.name.len(), TRAIT_NAME_BYTES_MAX);
    }
    match &sent.value {
        Some(TraitValue::Text(text) | TraitValue::Json(text))
            if text.len() > TRAIT_VALUE_BYTES_MAX =>
        {
            bound(&format!("{}.value", field()), "bytes", text.len(), TRAIT_VALUE_BYTES_MAX)
        }
        Some(TraitValue::Number(number)) if !number.is_finite() => {
            invalid(&format!("{}.value", field()), "is not a finite number")
        }
        _ => Ok(()),
    }
}

#[inline]
pub(super) fn bound(
    field: &str,
    what: &'static str,
    found: usize,
    bound: usize,
) -> Result<(), Refusal> {
    if found <= bound {
        return Ok(());
    }
    Err(Refusal::LimitExceeded { field: field.to_owned(), what, bound, found })
}

pub(super) fn invalid<T>(field: &str, problem: &str) -> Result<T, Refusal> {
    Err(Refusal::InvalidField { field: field.to_owned(), problem: problem.to_owned() })
}
