//! Events as they were sent, in whichever form, to events as the core takes them.

use std::borrow::Cow;

use ipse_core::change::{ProfileNumber, Verb};
use ipse_core::rules::Mapping;
use ipse_core::{Event, SentIdentifier, SentTrait, Timestamp};

use crate::convert::{sent_time, sent_trait};
use crate::extract::{self, Ignored};
use crate::limits::RAW_JSON_BYTES_MAX;
use crate::refusal::Place;
use crate::request;
use crate::status::{Reason, Status};

/// What the call that carries an event asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) verb: Verb,
    pub(crate) sources: &'a [SentIdentifier<'a>],
    pub(crate) force: bool,
}

/// An event that was read, before it is known which profile its `profile_id` is.
#[derive(Debug)]
pub(crate) struct ReadEvent<'a> {
    event_id: Cow<'a, str>,
    verb: Verb,
    kind: Cow<'a, str>,
    source: &'a str,
    timestamp: Option<Timestamp>,
    key_namespace: &'a str,
    pub(crate) identifiers: Vec<SentIdentifier<'a>>,
    sources: Vec<SentIdentifier<'a>>,
    force: bool,
    traits: Vec<SentTrait<'a>>,
    /// The profile that the caller named; empty if it named none.
    pub(crate) profile_id: &'a str,
    /// Raw events only.
    pub(crate) ignored: Vec<Ignored>,
    pub(crate) place: Place<'static>,
}

impl<'a> ReadEvent<'a> {
    /// Reads an event, and takes the identifiers it has. `Observe` takes both forms; where JSON is
    /// known as another verb it is carried out as that.
    pub(crate) fn read<'r: 'a>(
        event: &mut request::Event<'r>,
        asked: Asked<'a>,
        mapping: &'a Mapping,
    ) -> Result<Self, Status> {
        if event.raw_json.is_empty() {
            return ReadEvent::explicit(event, asked);
        }
        if asked.verb != Verb::Observe {
            return Err(Status::invalid_field(
                "event.raw_json",
                "is not taken here: send identifiers and traits, or send it to ResolveEvent",
            ));
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
            verb: self.verb,
            kind: &self.kind,
            source: self.source,
            timestamp: self.timestamp,
            profile,
            key_namespace: self.key_namespace,
            identifiers: std::mem::take(&mut self.identifiers),
            sources: std::mem::take(&mut self.sources),
            force: self.force,
            traits: std::mem::take(&mut self.traits),
        }
    }

    fn explicit<'r: 'a>(event: &mut request::Event<'r>, asked: Asked<'a>) -> Result<Self, Status> {
        let traits = event.traits.iter().enumerate();
        Ok(ReadEvent {
            event_id: Cow::Borrowed(event.event_id),
            verb: asked.verb,
            kind: Cow::Borrowed(event.kind),
            source: event.source,
            timestamp: timestamp(event)?,
            key_namespace: event.key_namespace,
            identifiers: std::mem::take(&mut event.identifiers),
            sources: asked.sources.to_vec(),
            force: asked.force,
            traits: traits
                .map(|(at, sent)| sent_trait(sent, || format!("event.traits[{at}]")))
                .collect::<Result<_, _>>()?,
            profile_id: event.profile_id,
            ignored: Vec::new(),
            place: if asked.verb == Verb::Login { Place::Login } else { Place::Event },
        })
    }

    fn raw(event: &request::Event<'a>, mapping: &'a Mapping) -> Result<Self, Status> {
        let size = event.raw_json.len();
        if size > RAW_JSON_BYTES_MAX {
            return Err(Status::limit_exceeded(
                "event.raw_json",
                "bytes",
                RAW_JSON_BYTES_MAX,
                size,
            ));
        }
        let document = extract::parse(event.raw_json)?;
        let extracted = extract::extract(document.root(), mapping);
        if let Some(because) = extracted.refused {
            return Err(Status::invalid_field("event.raw_json", because));
        }
        Ok(ReadEvent {
            event_id: or_else(event.event_id, extracted.event_id)?,
            verb: extracted.verb,
            kind: or_else(event.kind, extracted.kind)?,
            source: event.source,
            timestamp: match timestamp(event)? {
                Some(time) => Some(time),
                None => extracted.timestamp?,
            },
            key_namespace: event.key_namespace,
            identifiers: extracted.identifiers,
            sources: extracted.sources,
            force: extracted.force,
            traits: extracted.traits,
            profile_id: event.profile_id,
            ignored: extracted.ignored,
            place: Place::RawEvent,
        })
    }
}

fn or_else<'a>(
    sent: &'a str,
    extracted: Result<Cow<'a, str>, Status>,
) -> Result<Cow<'a, str>, Status> {
    if sent.is_empty() { extracted } else { Ok(Cow::Borrowed(sent)) }
}

fn timestamp(event: &request::Event<'_>) -> Result<Option<Timestamp>, Status> {
    sent_time(event.timestamp.as_ref(), || "event.timestamp".to_owned())
}
