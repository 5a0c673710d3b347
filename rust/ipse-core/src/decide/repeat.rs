//! Events that come again.
//!
//! An event id that wrote a record is remembered with a digest of what the event was judged
//! on: type, timestamp, normalised identifiers and traits. Nothing else counts, because SDKs
//! change the rest of an event when they send it again.
//!
//! The digest has two halves. The upper one is of type, timestamp and traits; the lower one
//! of the identifiers, which other rules may find and normalise in another way: under other
//! rules than those that judged the event, only the upper half is compared.

use crate::change::{EventResolved, ObservedIdentifier};
use crate::event::{Event, SentTrait};
use crate::graph::Graph;
use crate::graph::remembered::RememberedEvent;
use crate::graph::state_hash::{Kind, RecordHash, RecordHasher};
use crate::graph::traits::hash_value;
use crate::time::Timestamp;

use super::candidates::Candidate;
use super::{Decision, Refusal};
use std::borrow::Cow;

/// The digest of what an event is judged on; 0 if it has no id and is not judged.
pub(super) fn digest(event: &Event<'_>, candidates: &[Candidate<'_>]) -> u128 {
    if event.event_id.is_empty() {
        return 0;
    }
    let upper = digest_of_fields(event).get() >> 64;
    let lower = digest_of_identifiers(candidates).get() >> 64;
    upper << 64 | lower
}

fn digest_of_fields(event: &Event<'_>) -> RecordHash {
    let time = event.timestamp.map_or(i64::MIN, Timestamp::as_millis);
    let hasher =
        RecordHasher::new(Kind::RememberedEvent).text(event.kind.as_bytes()).number(time as u64);
    let mut traits: Vec<_> = event.traits.iter().collect();
    traits.sort_by(|a, b| a.name.cmp(&b.name));
    let add = |hasher: RecordHasher, sent: &SentTrait<'_>| {
        hash_value(hasher.text(sent.name.as_bytes()), sent.value.as_ref())
    };
    traits.into_iter().fold(hasher, add).finish()
}

fn digest_of_identifiers(candidates: &[Candidate<'_>]) -> RecordHash {
    let add = |hasher: RecordHasher, candidate: &Candidate<'_>| {
        hasher.text(candidate.namespace.as_bytes()).text(candidate.value.as_bytes())
    };
    let hasher = RecordHasher::new(Kind::RememberedEvent);
    in_fixed_order(candidates).into_iter().fold(hasher, add).finish()
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
    let same_rules = remembered.rules_version == graph.rules_version();
    let compared = if same_rules { u128::MAX } else { u128::MAX << 64 };
    if (remembered.digest ^ digest) & compared != 0 {
        return Err(Refusal::EventIdReused { sequence: remembered.sequence });
    }
    Ok(Some(answer(event, candidates, remembered)))
}

fn answer<'a>(
    event: &'a Event<'a>,
    candidates: &[Candidate<'a>],
    remembered: &RememberedEvent,
) -> Decision<'a> {
    Decision {
        known: remembered.known,
        teaches: false,
        repeated: Some(remembered.sequence),
        resolved: EventResolved {
            event_id: Cow::Borrowed(event.event_id),
            digest: remembered.digest,
            kind: Cow::Borrowed(event.kind),
            source: Cow::Borrowed(event.source),
            timestamp: event.timestamp.unwrap_or(remembered.log_time),
            rules_version: remembered.rules_version,
            named_profile: event.profile,
            key_namespace: Cow::Borrowed(event.key_namespace),
            target: remembered.target.clone(),
            identifiers: with_verdicts(candidates, remembered),
            traits: Vec::new(),
        },
    }
}

/// The event's identifiers with the verdicts they got then, strongest first by today's rules.
/// None, if today's rules find others on it than those of then did.
fn with_verdicts<'a>(
    candidates: &[Candidate<'a>],
    remembered: &RememberedEvent,
) -> Vec<ObservedIdentifier<'a>> {
    if candidates.len() != remembered.verdicts.len() {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|&at| (&candidates[at].namespace, &candidates[at].value));
    let mut ranked: Vec<(usize, ObservedIdentifier<'a>)> = order
        .into_iter()
        .zip(&remembered.verdicts)
        .map(|(at, verdict)| {
            let candidate = &candidates[at];
            let observed = ObservedIdentifier {
                namespace: candidate.namespace.clone(),
                value: candidate.value.clone(),
                raw: candidate.raw.clone(),
                verdict: verdict.clone(),
            };
            (at, observed)
        })
        .collect();
    ranked.sort_by_key(|(at, _)| *at);
    ranked.into_iter().map(|(_, observed)| observed).collect()
}

/// By namespace and value: an order that rules cannot change.
fn in_fixed_order<'c, 'a>(candidates: &'c [Candidate<'a>]) -> Vec<&'c Candidate<'a>> {
    let mut sorted: Vec<&Candidate<'a>> = candidates.iter().collect();
    sorted.sort_by_key(|candidate| (&candidate.namespace, &candidate.value));
    sorted
}
