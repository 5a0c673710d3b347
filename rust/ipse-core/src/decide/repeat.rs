//! Events that come again.
//!
//! An event id that wrote a record is remembered with a digest of what the event was judged
//! on: type, timestamp, normalised identifiers and traits; of a login, a logout and a link also
//! sources, `force`, the named profile and the key. Nothing else counts, because SDKs change
//! the rest of an event when they send it again.
//!
//! The digest has two halves: the upper one of the identifiers as they were normalised, the
//! lower one as they were sent. An event is the same if either half is. Normalised ones are
//! the same however they were written; sent ones are the same even if other rules normalise
//! them in another way by now.

use crate::change::{EventResolved, IgnoredTrait, ObservedIdentifier, Verb};
use crate::command::Operation;
use crate::event::{Event, SentTrait};
use crate::graph::Graph;
use crate::graph::remembered::{RememberedEvent, name_hash};
use crate::graph::state_hash::{Kind, RecordHash, RecordHasher};
use crate::graph::traits::hash_value;
use crate::time::Timestamp;

use super::candidates::Candidate;
use super::{AttributedBy, Decision, Refusal, RestsOn, with_ignored};
use std::borrow::Cow;

/// The digest of what an event is judged on; 0 if it has no id and is not judged.
pub(super) fn digest(event: &Event<'_>, candidates: &[Candidate<'_>]) -> u128 {
    if event.event_id.is_empty() {
        return 0;
    }
    let normalised = candidates.iter().map(|c| (c.namespace.as_ref(), c.value.as_ref()));
    let sent = event.identifiers.iter().map(|i| (i.namespace.as_ref(), i.value.as_ref()));
    let upper = digest_with(event, normalised.collect()).get() >> 64;
    let lower = digest_with(event, sent.collect()).get() >> 64;
    upper << 64 | lower
}

/// Whether two digests are of the same event.
fn is_same(a: u128, b: u128) -> bool {
    a >> 64 == b >> 64 || a as u64 == b as u64
}

/// The digest of a command: of its verb and of the request as it was sent.
pub(super) fn command_digest(verb: Verb, operation: &Operation<'_>) -> u128 {
    if operation.operation_id.is_empty() {
        return 0;
    }
    let hasher = RecordHasher::new(Kind::RememberedEvent).number(verb as u64);
    hasher.text(operation.fingerprint).finish().get()
}

/// The recorded answer of a command that comes again; refuses another under its id.
pub(super) fn recorded_command<'a>(
    graph: &Graph,
    operation: &Operation<'a>,
    digest: u128,
    log_time: Timestamp,
) -> Result<Option<Decision<'a>>, Refusal> {
    if operation.operation_id.is_empty() {
        return Ok(None);
    }
    let Some(remembered) = graph.remembered_events.find(operation.operation_id, log_time) else {
        return Ok(None);
    };
    if !is_same(remembered.digest, digest) {
        return Err(Refusal::EventIdReused { sequence: remembered.sequence });
    }
    Ok(remembered.record.as_ref().map(|record| again(remembered, record)))
}

/// The recorded decision, whole.
fn again<'a>(remembered: &RememberedEvent, record: &EventResolved<'static>) -> Decision<'a> {
    Decision {
        known: remembered.known,
        teaches: false,
        repeated: Some(remembered.sequence),
        attributed_by: remembered.attributed_by,
        rests_on: RestsOn::Everything,
        resolved: record.clone(),
    }
}

fn digest_with(event: &Event<'_>, mut identifiers: Vec<(&str, &str)>) -> RecordHash {
    let time = event.timestamp.map_or(i64::MIN, Timestamp::as_millis);
    let mut traits: Vec<&SentTrait<'_>> = event.traits.iter().collect();
    traits.sort_by(|a, b| a.name.cmp(&b.name));
    identifiers.sort_unstable();
    identifiers.dedup();
    let mut hasher = RecordHasher::new(Kind::RememberedEvent);
    if event.verb != Verb::Observe {
        let sources = event.sources.iter().map(|i| (i.namespace.as_ref(), i.value.as_ref()));
        let profile = event.profile.map_or(0, |profile| u64::from(profile.0));
        let flags =
            [event.verb as u64, u64::from(event.force), profile, event.sources.len() as u64];
        hasher = flags.into_iter().fold(hasher, RecordHasher::number);
        hasher = hasher.text(event.key_namespace.as_bytes());
        for (namespace, value) in sources {
            hasher = hasher.text(namespace.as_bytes()).text(value.as_bytes());
        }
    }
    let mut hasher =
        hasher.text(event.kind.as_bytes()).number(time as u64).number(identifiers.len() as u64);
    for (namespace, value) in identifiers {
        hasher = hasher.text(namespace.as_bytes()).text(value.as_bytes());
    }
    for sent in traits {
        hasher = hash_value(hasher.text(sent.name.as_bytes()), sent.value.as_ref());
        hasher = hasher.number(u64::from(sent.set_once));
    }
    hasher.finish()
}

/// The recorded answer of an event that comes again; refuses another event under its id.
pub(super) fn recorded<'a>(
    graph: &Graph,
    event: &'a Event<'a>,
    candidates: &[Candidate<'a>],
    digest: u128,
    log_time: Timestamp,
) -> Result<Option<Decision<'a>>, Refusal> {
    if event.event_id.is_empty() {
        return Ok(None);
    }
    let Some(remembered) = graph.remembered_events.find(event.event_id, log_time) else {
        return Ok(None);
    };
    if !is_same(remembered.digest, digest) {
        return Err(Refusal::EventIdReused { sequence: remembered.sequence });
    }
    Ok(Some(match &remembered.record {
        Some(record) => again(remembered, record),
        None => answer(event, candidates, remembered),
    }))
}

fn answer<'a>(
    event: &'a Event<'a>,
    candidates: &[Candidate<'a>],
    remembered: &RememberedEvent,
) -> Decision<'a> {
    let identifiers = with_verdicts(candidates, remembered);
    Decision {
        known: remembered.known,
        teaches: false,
        repeated: Some(remembered.sequence),
        attributed_by: match remembered.attributed_by {
            AttributedBy::Identifier(_) if identifiers.is_empty() => AttributedBy::Profile,
            attributed_by => attributed_by,
        },
        rests_on: RestsOn::Everything,
        resolved: EventResolved {
            event_id: Cow::Borrowed(event.event_id),
            digest: remembered.digest,
            verb: event.verb,
            kind: Cow::Borrowed(event.kind),
            source: Cow::Borrowed(event.source),
            timestamp: event.timestamp.unwrap_or(remembered.log_time),
            rules_version: remembered.rules_version,
            named_profile: event.profile,
            key_namespace: Cow::Borrowed(event.key_namespace),
            target: remembered.target.clone(),
            identifiers,
            traits: Vec::new(),
            extra: with_ignored(None, ignored_again(event, remembered)),
        },
    }
}

/// The traits of the event that did not count then.
fn ignored_again<'a>(event: &'a Event<'a>, remembered: &RememberedEvent) -> Vec<IgnoredTrait<'a>> {
    let reason_of = |sent: &&'a SentTrait<'a>| {
        let hash = name_hash(&sent.name);
        let mut ignored = remembered.ignored_traits.iter();
        ignored.find_map(|&(held, reason)| (held == hash).then_some((*sent, reason)))
    };
    let ignored = event.traits.iter().filter_map(|sent| reason_of(&sent));
    let mut ignored: Vec<IgnoredTrait<'a>> = ignored
        .map(|(sent, reason)| IgnoredTrait { name: Cow::Borrowed(&*sent.name), reason })
        .collect();
    ignored.sort_by(|a, b| a.name.cmp(&b.name));
    ignored
}

/// The event's identifiers with the verdicts they got then, in the order they had then. None, if
/// today's rules find others on it than those of then did.
fn with_verdicts<'a>(
    candidates: &[Candidate<'a>],
    remembered: &RememberedEvent,
) -> Vec<ObservedIdentifier<'a>> {
    if candidates.len() != remembered.verdicts.len() {
        return Vec::new();
    }
    let mut by_name: Vec<&Candidate<'a>> = candidates.iter().collect();
    by_name.sort_by_key(|candidate| (&candidate.namespace, &candidate.value));
    let ranked = by_name.into_iter().zip(&remembered.verdicts);
    let mut ranked: Vec<(u16, ObservedIdentifier<'a>)> = ranked
        .map(|(candidate, then)| {
            let observed = ObservedIdentifier {
                namespace: candidate.namespace.clone(),
                value: candidate.value.clone(),
                raw: candidate.raw.clone(),
                verdict: then.verdict.clone(),
            };
            (then.rank, observed)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, observed)| observed).collect()
}
