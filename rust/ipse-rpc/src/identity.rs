//! The methods of IdentityService that carry events.
//!
//! One event is a batch of one: there is one path from a request to the graph, also for a
//! login, a logout and a link. A batch is read outside the store's lock, then decided and
//! committed event by event, in order and in turns: events of other callers may come between.

use ipse_core::change::{ProfileNumber, Verb};
use ipse_core::{Graph, Timestamp};
use ipse_store::LogPosition;

use crate::admission::Size;
use crate::dispatch::{Answer, Dispatch, Handled, Refused, find_workspace};
use crate::encode::Encoder;
use crate::extract::Ignored;
use crate::find::NOBODY;
use crate::limits::{COMMAND_SOURCES_MAX, EVENTS_MAX};
use crate::mappings::VersionedMapping;
use crate::proto::v1;
use crate::read_event::{Asked, ReadEvent};
use crate::refusal::refused;
use crate::request;
use crate::resolution::Resolution;
use crate::status::Status;
use crate::turn::Turn;

/// Events of one workspace, with what the whole call says about them.
struct Batch<'a, 'e> {
    workspace: &'a str,
    events: &'e mut [request::Event<'a>],
    asked: Asked<'e>,
    read_only: bool,
    now: Timestamp,
}

impl Batch<'_, '_> {
    fn size(&self) -> Size {
        match self.events.len() {
            0 | 1 => Size::One,
            count => Size::Many(count),
        }
    }
}

/// An event's fate, and what of it was not usable.
struct Told<'a> {
    resolution: Resolution<'a>,
    ignored: &'a [Ignored],
    /// As the event left it.
    graph: &'a Graph,
}

/// What became of one event.
type Outcome<'a> = Result<Told<'a>, Status>;

/// Hears what became of each event, in order.
trait Listener: FnMut(Outcome<'_>) {}
impl<F: FnMut(Outcome<'_>)> Listener for F {}

impl Dispatch {
    pub(crate) fn resolve_event(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: request::ResolveEvent<'_> = request::read(request)?;
        self.one_event(&mut request, Verb::Observe, now)
    }

    pub(crate) fn logout(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: request::ResolveEvent<'_> = request::read(request)?;
        self.one_event(&mut request, Verb::Logout, now)
    }

    pub(crate) fn login(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: request::JoinSources<'_> = request::read(request)?;
        self.event_with_sources(&mut request, Verb::Login, "anonymous_identifiers", now)
    }

    pub(crate) fn link_identifiers(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: request::JoinSources<'_> = request::read(request)?;
        self.event_with_sources(&mut request, Verb::Link, "sources", now)
    }

    pub(crate) fn resolve_events(&self, request: &[u8], now: Timestamp) -> Handled {
        let mut request: request::ResolveEvents<'_> = request::read(request)?;
        let count = request.event_count;
        if count > EVENTS_MAX {
            return Err(Status::limit_exceeded("events", "events", EVENTS_MAX, count).into());
        }
        let mut batch = Batch {
            workspace: request.workspace,
            events: &mut request.events,
            asked: Asked::default(),
            read_only: request.read_only,
            now,
        };
        let mut out = Encoder::default();
        let position = self.resolve_batch(&mut batch, |result| {
            out.message(1, |out| match result {
                Ok(told) => out.message(1, |out| told.encode(out)),
                Err(status) => out.encoded(2, &v1::ItemError::from(status)),
            });
        })?;
        Ok(Answer { position, bytes: out.into_bytes() })
    }

    fn one_event(
        &self,
        request: &mut request::ResolveEvent<'_>,
        verb: Verb,
        now: Timestamp,
    ) -> Handled {
        self.answer_event(&mut Batch {
            workspace: request.workspace,
            events: request.event.as_mut_slice(),
            asked: Asked { verb, ..Asked::default() },
            read_only: request.read_only,
            now,
        })
    }

    fn event_with_sources(
        &self,
        request: &mut request::JoinSources<'_>,
        verb: Verb,
        sources: &str,
        now: Timestamp,
    ) -> Handled {
        let count = request.source_count;
        if count > COMMAND_SOURCES_MAX {
            let what = "identifiers";
            return Err(Status::limit_exceeded(sources, what, COMMAND_SOURCES_MAX, count).into());
        }
        self.answer_event(&mut Batch {
            workspace: request.workspace,
            events: request.event.as_mut_slice(),
            asked: Asked { verb, sources: &request.sources, force: request.force },
            read_only: request.read_only,
            now,
        })
    }

    /// The answer to a call that carries one event.
    fn answer_event(&self, batch: &mut Batch<'_, '_>) -> Handled {
        if batch.events.is_empty() {
            return Err(Status::invalid_field("event", "is missing").into());
        }
        let mut out = Encoder::default();
        let mut refusal = None;
        let position = self.resolve_batch(batch, |result| match result {
            Ok(told) => out.message(1, |out| told.encode(out)),
            Err(status) => refusal = Some(status),
        })?;
        match refusal {
            Some(status) => Err(Refused { position, status }),
            None => Ok(Answer { position, bytes: out.into_bytes() }),
        }
    }

    /// Resolves events in order and tells each result. Gives the position that all of them rest on.
    fn resolve_batch(
        &self,
        batch: &mut Batch<'_, '_>,
        mut told: impl Listener,
    ) -> Result<LogPosition, Refused> {
        let mapping = self.mapping(batch)?;
        self.resolve_read_by(mapping, batch, &mut told)
    }

    /// [`Dispatch::resolve_batch`], beginning with a mapping that need not be in force any more.
    fn resolve_read_by(
        &self,
        mapping: VersionedMapping,
        batch: &mut Batch<'_, '_>,
        told: &mut impl Listener,
    ) -> Result<LogPosition, Refused> {
        let read = |event| ReadEvent::read(event, batch.asked, &mapping.mapping);
        let mut events: Vec<_> = batch.events.iter_mut().map(read).collect();
        let Batch { workspace, read_only, now, .. } = *batch;
        let turn = self.turn_of(batch.size(), workspace, batch.asked.verb, read_only, now)?;
        Ok(turn.for_each(0..events.len(), |turn, at| {
            let turn = match turn {
                Ok(turn) => turn,
                Err(closing) => return told(Err(closing)),
            };
            if at % Graph::READ_AHEAD_EVENTS == 0 {
                read_ahead(turn.graph(), &mut events[at..]);
            }
            if batch.is_outdated(&batch.events[at], &mapping, turn) {
                // Rules were set since: it is read again, under the lock, as that is rare.
                let newest = self.mappings.of(turn.workspace(), turn.graph());
                let mut read = ReadEvent::read(&mut batch.events[at], batch.asked, &newest.mapping);
                return resolve_one(turn, &mut read, told);
            }
            resolve_one(turn, &mut events[at], told);
        }))
    }

    fn mapping(&self, batch: &Batch<'_, '_>) -> Result<VersionedMapping, Refused> {
        if !batch.has_raw() {
            return Ok(VersionedMapping::default());
        }
        let locked = self.lock()?;
        let workspace = find_workspace(&locked, "workspace", batch.workspace)?;
        Ok(self.mappings.of(workspace, locked.graph(workspace)))
    }
}

impl Batch<'_, '_> {
    fn has_raw(&self) -> bool {
        self.events.iter().any(|event| !event.raw_json.is_empty())
    }

    /// Whether an event was read by other rules than those in force.
    fn is_outdated(
        &self,
        event: &request::Event<'_>,
        mapping: &VersionedMapping,
        turn: &Turn<'_>,
    ) -> bool {
        let in_force = (Some(turn.workspace()), turn.graph().rules_version());
        !event.raw_json.is_empty() && (mapping.workspace, mapping.version) != in_force
    }
}

impl Told<'_> {
    fn encode(&self, out: &mut Encoder) {
        self.resolution.encode(self.ignored, self.graph, out);
    }
}

/// Fetches what the next events will meet, before the first of them is decided.
fn read_ahead(graph: &Graph, events: &mut [Result<ReadEvent<'_>, Status>]) {
    let next = events.iter_mut().take(Graph::READ_AHEAD_EVENTS).flatten();
    graph.read_ahead(next.map(|event| &mut event.identifiers));
}

fn resolve_one(
    turn: &mut Turn<'_>,
    event: &mut Result<ReadEvent<'_>, Status>,
    told: &mut impl Listener,
) {
    let read = match event {
        Ok(read) => read,
        Err(status) => {
            return told(Err(turn.refuse_item(status.clone())));
        }
    };
    let (place, ignored) = (read.place, std::mem::take(&mut read.ignored));
    let profile = named_profile(turn.graph(), read.profile_id);
    let event = read.take(profile);
    let moment = turn.moment();
    let decide = |graph: &Graph| graph.decide(&event, moment).map_err(|why| refused(why, place));
    let outcome = turn.carry_out(decide);
    let graph = turn.graph();
    told(outcome.map(|resolution| Told { resolution, ignored: &ignored, graph }));
}

/// The profile that an event names. An id that is none of this workspace's becomes a number
/// that no profile has, so that the core refuses it, in its order of refusals.
fn named_profile(graph: &Graph, id: &str) -> Option<ProfileNumber> {
    (!id.is_empty()).then(|| graph.profile_number(id).unwrap_or(NOBODY))
}

#[cfg(test)]
mod tests {
    use ipse_core::ObservedIdentifier;
    use ipse_store::{Recovery, Store};
    use prost::Message;

    use super::*;

    #[test]
    fn an_event_that_was_read_by_older_rules_is_read_again() {
        let now = Timestamp::from_millis(0).expect("within range");
        let dispatch = Dispatch::new(Store::in_memory(1), Recovery::default(), now);
        dispatch.ensure_default_workspace(now).expect("it is free");
        let raw_json = br#"{"userId":"u1","who":"w1"}"#;
        let mut event = request::Event { raw_json, ..Default::default() };
        let events = std::slice::from_mut(&mut event);
        let asked = Asked::default();
        let mut batch = Batch { workspace: "", events, asked, read_only: false, now };

        let stale = dispatch.mapping(&batch).expect("the default workspace");
        let rules_toml = "[namespaces.who]\nlimit = 1\nfrom = \"who\"\n".to_owned();
        let request = v1::SetRulesRequest { rules_toml, ..Default::default() };
        dispatch.set_rules(&request.encode_to_vec(), now).expect("good rules");

        let mut seen = Vec::new();
        let told = &mut |outcome: Outcome<'_>| {
            let resolved = &outcome.expect("a good event").resolution.resolved;
            let shown = |found: &ObservedIdentifier<'_>| format!("{}", found.namespace);
            seen.extend(resolved.identifiers.iter().map(shown));
            assert_eq!(resolved.rules_version.0, 2);
        };
        dispatch.resolve_read_by(stale, &mut batch, told).expect("room in the queue");
        assert_eq!(seen, ["who"]);
    }
}
