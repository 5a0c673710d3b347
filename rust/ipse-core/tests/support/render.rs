//! Decisions, profiles and refusals in the words of scenario texts.

use std::fmt::Write;

use ipse_core::change::{
    HistoryAttribution, IgnoredTrait, MergeVerdict, Move, MoveCause, Reason, Rule, SourceMerge,
    TraitReason, Verdict,
};
use ipse_core::graph::ProfileView;
use ipse_core::identifier::FORMER_ID;
use ipse_core::{AttributedBy, Decision, ObservedIdentifier, Refusal, Target, TraitValue};

use super::timestamp::START_MS;

/// Longest value that is printed in full, in characters.
const VALUE_CHARS_MAX: usize = 64;

/// What an event or command did, or why it was refused.
pub(crate) fn answer(decided: Result<&Decision<'_>, &Refusal>, read_only: bool) -> String {
    match decided {
        Err(why) => refusal(why),
        Ok(decided) => decision(decided, read_only),
    }
}

/// What an event or command did.
pub(crate) fn decision(decision: &Decision<'_>, read_only: bool) -> String {
    let resolved = &decision.resolved;
    let seen = resolved.identifiers.iter().filter(|seen| seen.namespace != FORMER_ID);
    let attached: Vec<String> =
        seen.clone().filter(|seen| seen.verdict == Verdict::Attached).map(identifier).collect();
    let mut effects: String = seen.map(effect).collect();
    effects.extend(resolved.moves().iter().map(|moved| moving(moved, read_only)));
    if let Some(extra) = &resolved.extra {
        effects.extend(extra.merges.iter().map(source));
    }
    let does_something = resolved
        .identifiers
        .iter()
        .any(|seen| matches!(seen.verdict, Verdict::Transferred { .. } | Verdict::Removed))
        || !resolved.moves().is_empty();
    let mut text = match resolved.extra.as_ref().and_then(|extra| extra.attribution.as_ref()) {
        Some(attribution) => history(attribution),
        None => headline(&resolved.target, &attached, does_something),
    };
    text += if decision.repeated.is_some() { " (repeated)" } else { "" };
    text += if read_only { " (preview)" } else { "" };
    text.push('\n');
    if matches!(resolved.target, Target::Merged { .. }) {
        attached.iter().for_each(|shown| text += &format!("  attached {shown}\n"));
    }
    effects.extend(resolved.ignored_traits().iter().map(ignored_trait));
    text + &effects + &attributed_by(decision)
}

fn headline(target: &Target, attached: &[String], does_something: bool) -> String {
    match target {
        Target::Unresolved => "unresolved".into(),
        Target::Created(profile) => format!("profile {profile} created"),
        Target::Found(profile) if !attached.is_empty() => {
            format!("profile {profile}: attached {}", attached.join(" "))
        }
        Target::Found(profile) if does_something => format!("profile {profile}"),
        Target::Found(profile) => format!("profile {profile}: nothing new"),
        Target::Merged { survivor, absorbed } => {
            let absorbed: Vec<String> = absorbed.iter().map(ToString::to_string).collect();
            format!("merged: survivor {survivor}, absorbed {}", absorbed.join(" "))
        }
    }
}

fn history(attribution: &HistoryAttribution) -> String {
    let (source, destination) = (attribution.source, attribution.destination);
    match attribution.refused {
        None => format!("history of {source} is {destination}'s"),
        Some(why) => format!("history of {source} stays: {}", rule(why)),
    }
}

/// What became of an identifier, unless it was attached or already was.
fn effect(seen: &ObservedIdentifier<'_>) -> String {
    let shown = identifier(seen);
    match &seen.verdict {
        Verdict::Attached | Verdict::AlreadyAttached => String::new(),
        Verdict::Dropped(why) => format!("  dropped {shown}: {}\n", reason(why)),
        Verdict::Refused(why) => format!("  refused {shown}: {}\n", reason(why)),
        Verdict::Transferred { from } => format!("  took {shown} from {from}\n"),
        Verdict::Removed => format!("  removed {shown}\n"),
    }
}

/// A profile that a preview would create has no id yet.
fn moving(moved: &Move<'_>, read_only: bool) -> String {
    let cause = match moved.cause {
        MoveCause::Displaced => "displaced",
        MoveCause::Evicted => "evicted",
        MoveCause::Split => "split",
        MoveCause::Reverted => "reverted",
        MoveCause::RevertedShared => "reverted, and stays,",
    };
    let is_there = matches!(moved.cause, MoveCause::Reverted | MoveCause::RevertedShared);
    let to = match moved.to {
        None => "nobody".into(),
        Some(_) if read_only && !is_there => "a profile".into(),
        Some(to) => to.to_string(),
    };
    format!("  {cause} {} from {} to {to}\n", pair(&moved.namespace, &moved.value), moved.from)
}

fn source(source: &SourceMerge) -> String {
    let profile = source.profile.map_or("nobody".into(), |profile| profile.to_string());
    let verdict = match &source.verdict {
        MergeVerdict::Merged => "merged".into(),
        MergeVerdict::AlreadyMerged => "merged already".into(),
        MergeVerdict::NotFound => "not found".into(),
        MergeVerdict::Refused(why) => {
            let why = Reason { collided: None, ..why.clone() };
            format!("refused: {}", reason(&why))
        }
    };
    format!("  source {profile} {verdict}\n")
}

fn ignored_trait(ignored: &IgnoredTrait<'_>) -> String {
    let why = match ignored.reason {
        TraitReason::Older => "older than the profile's",
        TraitReason::SetAlready => "set already",
        TraitReason::Unresolved => "the event is nobody's",
        TraitReason::Ceiling => "ceiling",
    };
    format!("  ignored trait.{}: {why}\n", ignored.name)
}

/// By what an event is attributed, where that is not simply its profile.
fn attributed_by(decision: &Decision<'_>) -> String {
    match decision.attributed_by {
        AttributedBy::Identifier(place) => {
            let by = &decision.resolved.identifiers[usize::from(place)];
            format!("  attributed by {}\n", identifier(by))
        }
        AttributedBy::Nobody if decision.resolved.target != Target::Unresolved => {
            "  attributed to nobody\n".into()
        }
        AttributedBy::Nobody | AttributedBy::Profile => String::new(),
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
        Rule::Suppressed => "suppressed",
        Rule::Ceiling => "ceiling",
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
        writeln!(text, "trait.{name}={}", trait_value(&value)).expect("text takes everything");
    }
    for name in view.traits_set_later() {
        writeln!(text, "trait.{name} set later").expect("text takes everything");
    }
    text
}

/// What is known of a profile besides. When it was created is told if an import said so: other
/// times are the clock's.
pub(crate) fn about(_asked: u32, view: &ProfileView<'_>) -> String {
    let mut text = String::from(if view.known() { "known\n" } else { "anonymous\n" });
    let mut line = |shown: String| text += &format!("{shown}\n");
    if view.created_time().as_millis() < START_MS {
        line(format!("created {}", view.created_time()));
    }
    if let Some(id) = view.canonical_id() {
        line(format!("canonical id {id}"));
    }
    view.former_ids().iter().for_each(|id| line(format!("former id {id}")));
    for history in view.attributions() {
        let (source, destination) = (history.source, history.destination);
        line(format!(
            "history of {source} from {} to {} is {destination}'s",
            history.start, history.end
        ));
    }
    text
}

/// Whose something is.
pub(crate) fn whose(found: Option<ProfileView<'_>>) -> String {
    found.map_or("nobody\n".into(), |view| format!("profile {}\n", view.number()))
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
        Refusal::ProfileErased => "ERASED",
        Refusal::MergeBuiltOn { .. } => "MERGE_BUILT_ON",
        Refusal::CapacityExceeded { .. } => "CAPACITY_EXCEEDED",
        Refusal::CeilingReached(_) => "CEILING_REACHED",
        Refusal::RulesVersionMismatch { .. } => "RULES_VERSION_MISMATCH",
        Refusal::InvalidRules(_) => "INVALID_RULES",
    };
    format!("refused: {reason}\n")
}
