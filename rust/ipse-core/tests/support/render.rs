//! Decisions, profiles and refusals in the words of scenario texts.

use std::fmt::Write;

use ipse_core::change::{Reason, Rule, Verdict};
use ipse_core::graph::ProfileView;
use ipse_core::{Decision, ObservedIdentifier, Refusal, Target, TraitValue};

/// Longest value that is printed in full, in characters.
const VALUE_CHARS_MAX: usize = 64;

/// What an event did.
pub(crate) fn decision(decision: &Decision<'_>, read_only: bool) -> String {
    let resolved = &decision.resolved;
    let attached: Vec<String> = resolved
        .identifiers
        .iter()
        .filter(|seen| seen.verdict == Verdict::Attached)
        .map(identifier)
        .collect();
    let mut text = headline(&resolved.target, &attached);
    text += if decision.repeated.is_some() { " (repeated)" } else { "" };
    text += if read_only { " (preview)" } else { "" };
    text.push('\n');
    if matches!(resolved.target, Target::Merged { .. }) {
        attached.iter().for_each(|shown| text += &format!("  attached {shown}\n"));
    }
    resolved.identifiers.iter().for_each(|seen| text += &kept_off(seen));
    text
}

fn headline(target: &Target, attached: &[String]) -> String {
    match target {
        Target::Unresolved => "unresolved".into(),
        Target::Created(profile) => format!("profile {profile} created"),
        Target::Found(profile) if attached.is_empty() => format!("profile {profile}: nothing new"),
        Target::Found(profile) => format!("profile {profile}: attached {}", attached.join(" ")),
        Target::Merged { survivor, absorbed } => {
            let absorbed: Vec<String> = absorbed.iter().map(ToString::to_string).collect();
            format!("merged: survivor {survivor}, absorbed {}", absorbed.join(" "))
        }
    }
}

fn kept_off(seen: &ObservedIdentifier<'_>) -> String {
    match &seen.verdict {
        Verdict::Attached | Verdict::AlreadyAttached => String::new(),
        Verdict::Transferred { from } => format!("  moved {} from {from}\n", identifier(seen)),
        Verdict::Removed => format!("  removed {}\n", identifier(seen)),
        Verdict::Dropped(why) => format!("  dropped {}: {}\n", identifier(seen), reason(why)),
        Verdict::Refused(why) => format!("  refused {}: {}\n", identifier(seen), reason(why)),
    }
}

fn reason(reason: &Reason) -> String {
    let mut text = String::from(rule(reason.rule));
    match &reason.limit {
        None => {}
        Some(passed) => match &passed.namespace {
            Some(namespace) => text += &format!(" ({namespace} limit {})", passed.value),
            None => text += &format!(" (limit {})", passed.value),
        },
    }
    if let Some(holder) = reason.collided {
        text += &format!(" held by {holder}");
    }
    text
}

/// A rule in words.
pub(crate) fn rule(rule: Rule) -> &'static str {
    match rule {
        Rule::UnknownNamespace => "unknown namespace",
        Rule::InvalidValue => "invalid value",
        Rule::BlockedValue => "blocked value",
        Rule::ValueLimit => "value limit",
        Rule::ValueTimeLimit => "value time limit",
        Rule::MergeLimit => "merge limit",
        Rule::IdentifierLimit => "identifier limit",
        Rule::Immutable => "immutable",
        Rule::HeldElsewhere => "held elsewhere",
        Rule::ExclusiveOwner => "exclusive owner",
        Rule::KnownSource => "known source",
        Rule::SourceShape => "source shape",
        Rule::SourceUsed => "source used",
        Rule::NoTarget => "no target",
        Rule::PairLimit => "pair limit",
        Rule::MovedLimit => "moved limit",
        Rule::HolderLimit => "holder limit",
        Rule::AmbiguousEvent => "ambiguous event",
        Rule::Displaced => "displaced",
        Rule::DeniedLink => "denied link",
        Rule::NotAttached => "not attached",
        Rule::AttributionOverlap => "attribution overlap",
        Rule::AttributionChain => "attribution chain",
        Rule::AttributionOff => "attribution off",
    }
}

fn identifier(seen: &ObservedIdentifier<'_>) -> String {
    pair(&seen.namespace, &seen.value)
}

fn pair(namespace: &str, value: &str) -> String {
    let length = value.chars().count();
    let quote = |c: char| c.is_whitespace() || c.is_control() || c == '"';
    if length > VALUE_CHARS_MAX {
        format!("{namespace}=<{length} characters>")
    } else if value.is_empty() || value.contains(quote) {
        format!("{namespace}={}", json_text(value))
    } else {
        format!("{namespace}={value}")
    }
}

/// What is held on a profile.
pub(crate) fn profile(asked: u32, view: &ProfileView<'_>) -> String {
    let mut text = String::new();
    if view.number().0 != asked {
        text += &format!("absorbed by profile {}\n", view.number());
    }
    for held in view.identifiers() {
        text += &pair(held.namespace, held.value);
        text.push('\n');
    }
    for (name, value) in view.traits() {
        writeln!(text, "trait.{name}={}", trait_value(value)).expect("text takes everything");
    }
    text
}

/// A trait's value as JSON.
pub(crate) fn trait_value(value: &TraitValue<'_>) -> String {
    match value {
        TraitValue::Text(text) => json_text(text),
        TraitValue::Integer(number) => number.to_string(),
        TraitValue::Number(number) => serde_json::Value::from(*number).to_string(),
        TraitValue::Bool(yes) => yes.to_string(),
        TraitValue::Json(text) => text.to_string(),
    }
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A refusal by the name that the wire gives it.
pub(crate) fn refusal(refusal: &Refusal) -> String {
    let reason = match refusal {
        Refusal::InvalidField { .. } => "INVALID_FIELD",
        Refusal::LimitExceeded { .. } => "LIMIT_EXCEEDED",
        Refusal::TimestampInFuture { .. } => "TIMESTAMP_IN_FUTURE",
        Refusal::EventIdReused { .. } => "EVENT_ID_REUSED",
        Refusal::UnknownProfile => "PROFILE_NOT_FOUND",
        Refusal::CapacityExceeded { .. } => "CAPACITY_EXCEEDED",
        Refusal::RulesVersionMismatch { .. } => "RULES_VERSION_MISMATCH",
        Refusal::InvalidRules(_) => "INVALID_RULES",
    };
    format!("refused: {reason}\n")
}
