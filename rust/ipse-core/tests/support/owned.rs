//! Records that outlive the event they were decided from.

use std::borrow::Cow;

use ipse_core::change::{ObservedIdentifier, Record};
use ipse_core::rules::RulesText;
use ipse_core::{Change, EventResolved, TraitSet, TraitValue};

/// The same record, borrowing nothing.
pub(crate) fn record(record: &Record<'_>) -> Record<'static> {
    Record { sequence: record.sequence, log_time: record.log_time, change: change(&record.change) }
}

fn change(change: &Change<'_>) -> Change<'static> {
    match change {
        Change::WorkspaceCreated { name, profile_key, rules } => Change::WorkspaceCreated {
            name: text(name),
            profile_key: *profile_key,
            rules: RulesText::unparsed(text(rules.text())),
        },
        Change::RulesSet { version, rules } => {
            Change::RulesSet { version: *version, rules: RulesText::unparsed(text(rules.text())) }
        }
        Change::EventResolved(resolved) => Change::EventResolved(event(resolved)),
    }
}

/// The same event, borrowing nothing.
pub(crate) fn event(event: &EventResolved<'_>) -> EventResolved<'static> {
    EventResolved {
        event_id: text(&event.event_id),
        digest: event.digest,
        kind: text(&event.kind),
        source: text(&event.source),
        timestamp: event.timestamp,
        rules_version: event.rules_version,
        named_profile: event.named_profile,
        key_namespace: text(&event.key_namespace),
        target: event.target.clone(),
        identifiers: event.identifiers.iter().map(identifier).collect(),
        traits: event.traits.iter().map(trait_set).collect(),
    }
}

fn identifier(seen: &ObservedIdentifier<'_>) -> ObservedIdentifier<'static> {
    ObservedIdentifier {
        namespace: text(&seen.namespace),
        value: text(&seen.value),
        raw: seen.raw.as_deref().map(text),
        verdict: seen.verdict.clone(),
    }
}

fn trait_set(set: &TraitSet<'_>) -> TraitSet<'static> {
    TraitSet { name: text(&set.name), value: set.value.as_ref().map(value) }
}

fn value(value: &TraitValue<'_>) -> TraitValue<'static> {
    match value {
        TraitValue::Text(t) => TraitValue::Text(text(t)),
        TraitValue::Integer(number) => TraitValue::Integer(*number),
        TraitValue::Number(number) => TraitValue::Number(*number),
        TraitValue::Bool(yes) => TraitValue::Bool(*yes),
        TraitValue::Json(t) => TraitValue::Json(text(t)),
    }
}

fn text(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}
