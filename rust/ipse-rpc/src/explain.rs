//! The methods of HistoryService that say why: how a profile came to be, and what joins two
//! identifiers or keeps them apart.
//!
//! What memory knows is found first, with the graphs locked; then the records behind it are read
//! from the log, without; and then both are told. Records that are not kept any more are told as
//! such, never left out.

use std::panic::AssertUnwindSafe;

use ipse_core::change::ProfileNumber;
use ipse_core::graph::{Hop, KnownRefusal, Parting, ProfileView, Spot, Trace};
use ipse_core::identifier::normalise;
use ipse_core::{Event, Graph, SentIdentifier, SequenceNumber, Timestamp};

use crate::dispatch::{Answer, Dispatch, Handled, decode, resting_on};
use crate::encode::Encoder;
use crate::encode_profile::encode_identifier as encode_held;
use crate::fault::catching;
use crate::find::find_profile;
use crate::logged::Logged;
use crate::page_token;
use crate::profile::page_size;
use crate::proto::v1;
use crate::refusal::{Place, refused};
use crate::resolution::{Resolution, encode_range, rule_on_wire};
use crate::status::Status;

/// A page is closed once it is this long; one step more may pass it.
const PAGE_BYTES_TARGET: usize = 2 << 20;
/// Identifiers of each of two profiles whose refusals to the other are looked for, strongest first.
const REFUSED_IDENTIFIERS_MAX: usize = 20;

impl Dispatch {
    pub(crate) fn explain_profile(&self, request: &[u8], _now: Timestamp) -> Handled {
        let request: v1::ExplainProfileRequest = decode(request)?;
        let size = page_size(request.page_size)?;
        let look = self.look(&request.workspace)?;
        let (graph, newest) = (look.graph(), look.graph().sequence());
        let rests = resting_on(look.position());
        let profile = find_profile(graph, "profile", request.profile.as_ref()).map_err(&rests)?;
        let id = graph.profile_id(profile.number());
        let (name, trail) = (graph.name().to_owned(), graph.trail(profile.number()));
        let subject = ["ExplainProfile", &name, id.as_str()];
        let after = after(&subject, &request.page_token)?;
        let mut steps: Vec<_> = trail.chunk_by(|one, next| one.0 == next.0).collect();
        let step_count = steps.len();
        let left = steps.partition_point(|step| step[0].0 <= after);
        let mut last_page = step_count <= left.saturating_add(size);
        steps.drain(..left);
        steps.truncate(size);
        let page: Vec<(SequenceNumber, Vec<u8>)> =
            steps.iter().map(|step| (step[0].0, encoded_traces(graph, step))).collect();
        let (workspace, position) = (look.workspace(), look.position());
        drop(look);

        let sequences: Vec<_> = page.iter().map(|(sequence, _)| *sequence).collect();
        let logged = Logged::read(self, workspace, position, &sequences)?;
        let look = self.look(&request.workspace)?;
        let (mut out, mut last) = (Encoder::default(), None);
        out.string(1, id.as_str());
        for (sequence, traces) in &page {
            out.message(2, |out| {
                out.message(1, |out| logged.encode(*sequence, look.graph(), out));
                out.raw(traces);
            });
            last = Some(*sequence);
            if out.len() >= PAGE_BYTES_TARGET {
                last_page &= last == sequences.last().copied();
                break;
            }
        }
        if let Some(last) = last.filter(|_| !last_page) {
            out.string(3, &page_token::encode(&subject, &last.0.to_be_bytes()));
        }
        out.number(4, step_count as u64);
        out.number(5, newest.0);
        Ok(Answer { position, bytes: out.into_bytes() })
    }

    pub(crate) fn explain_link(&self, request: &[u8], now: Timestamp) -> Handled {
        let request: v1::ExplainLinkRequest = decode(request)?;
        let look = self.look(&request.workspace)?;
        let (graph, newest) = (look.graph(), look.graph().sequence());
        let (workspace, position) = (look.workspace(), look.position());
        let rests = resting_on(position);
        let a = End::find(graph, "a", request.a.as_ref()).map_err(&rests)?;
        let b = End::find(graph, "b", request.b.as_ref()).map_err(&rests)?;
        let (a_profile, b_profile) = profiles_of(&a, &b);
        let mut told = Told::default();
        match (a_profile, b_profile) {
            (Some(profile), Some(other)) if profile == other => told.chain(graph, profile, &a, &b),
            _ => {
                told.apart(graph, (&a, a_profile), (&b, b_profile));
                told.would = would(graph, &a, &b, now);
            }
        }
        let mut out = Encoder::default();
        for (field, profile) in [(1, a_profile), (2, b_profile)] {
            if let Some(profile) = profile {
                out.string(field, graph.profile_id(profile).as_str());
            }
        }
        drop(look);

        let logged = Logged::read(self, workspace, position, &told.sequences())?;
        let look = self.look(&request.workspace)?;
        told.encode(&logged, look.graph(), &mut out);
        out.number(7, newest.0);
        Ok(Answer { position, bytes: out.into_bytes() })
    }
}

/// One of two that are asked about.
struct End {
    spot: Option<Spot>,
    /// The profiles that it is of, by the numbers that they bear now.
    profiles: Vec<ProfileNumber>,
    /// If it is an identifier: namespace and value.
    identifier: Option<(String, String)>,
}

/// What is told of two, each part with the record that it rests on and its bytes before that.
#[derive(Default)]
struct Told {
    parts: Vec<Part>,
    would: Vec<u8>,
}

/// An element of the answer's `field`, whose own field `record_field` is the record.
struct Part {
    field: u32,
    record_field: u32,
    sequence: SequenceNumber,
    bytes: Vec<u8>,
}

impl End {
    fn find(graph: &Graph, field: &str, lookup: Option<&v1::ProfileLookup>) -> Result<End, Status> {
        use v1::profile_lookup::Lookup;
        let Some(Lookup::Identifier(sent)) = lookup.and_then(|lookup| lookup.lookup.as_ref())
        else {
            let number = find_profile(graph, field, lookup)?.number();
            return Ok(End {
                spot: Some(Spot::Profile(named(graph, lookup).unwrap_or(number))),
                profiles: vec![number],
                identifier: None,
            });
        };
        let place = format!("{field}.identifier");
        let spot = graph
            .spot(&sent.namespace, &sent.value)
            .map_err(|refusal| refused(refusal, Place::Within(&place)))?;
        let rules = graph.rules().namespace(&sent.namespace);
        let normal = rules.and_then(|rules| normalise(rules.normaliser, &sent.value));
        let value = normal.map_or_else(|| sent.value.clone(), |normal| normal.into_owned());
        Ok(End {
            spot,
            profiles: spot.map_or_else(Vec::new, |spot| graph.profiles_at(spot)),
            identifier: Some((sent.namespace.clone(), value)),
        })
    }

    /// The identifiers to look for, its own first.
    fn identifiers<'e>(
        &'e self,
        profile: Option<ProfileView<'e>>,
    ) -> impl Iterator<Item = (&'e str, &'e str)> {
        let own = self.identifier.iter().map(|(namespace, value)| (&**namespace, &**value));
        let held = profile.map_or_else(Vec::new, |profile| profile.identifiers());
        own.chain(held.into_iter().map(|held| (held.namespace, held.value)))
            .take(REFUSED_IDENTIFIERS_MAX)
    }
}

impl Told {
    fn chain(&mut self, graph: &Graph, profile: ProfileNumber, a: &End, b: &End) {
        let (Some(from), Some(to)) = (a.spot, b.spot) else { return };
        for (hop, to) in graph.chain(profile, from, to).unwrap_or_default() {
            let mut out = Encoder::default();
            let sequence = encode_hop(graph, &hop, &mut out);
            out.message(5, |out| encode_spot(graph, to, out));
            self.add((3, 4), sequence, out);
        }
    }

    fn apart(
        &mut self,
        graph: &Graph,
        (a, a_profile): (&End, Option<ProfileNumber>),
        (b, b_profile): (&End, Option<ProfileNumber>),
    ) {
        if let (Some(one), Some(other)) = (a_profile, b_profile) {
            for parting in graph.partings_between(one, other) {
                let mut out = Encoder::default();
                encode_parting(&parting, &mut out);
                self.add((4, 3), parting.by, out);
            }
        }
        let view = |profile: Option<ProfileNumber>| graph.profile(profile?);
        let numbers = |profile: Option<ProfileNumber>| -> Vec<Option<ProfileNumber>> {
            let numbers = profile.map_or_else(Vec::new, |profile| graph.numbers_of(profile));
            numbers.into_iter().map(Some).chain([None]).collect()
        };
        let a_ids: Vec<_> = a.identifiers(view(a_profile)).collect();
        let b_ids: Vec<_> = b.identifiers(view(b_profile)).collect();
        let mut refusals = graph.refusals_between(&numbers(a_profile), &b_ids);
        refusals.extend(graph.refusals_between(&numbers(b_profile), &a_ids));
        refusals.sort_by_key(|refusal| refusal.by);
        for refusal in &refusals {
            let mut out = Encoder::default();
            encode_refusal(graph, refusal, &mut out);
            self.add((5, 4), refusal.by, out);
        }
    }

    fn add(&mut self, (field, record_field): (u32, u32), sequence: SequenceNumber, out: Encoder) {
        self.parts.push(Part { field, record_field, sequence, bytes: out.into_bytes() });
    }

    /// The records, each once, in order.
    fn sequences(&self) -> Vec<SequenceNumber> {
        let mut sequences: Vec<_> = self.parts.iter().map(|part| part.sequence).collect();
        sequences.sort_unstable();
        sequences.dedup();
        sequences
    }

    fn encode(&self, logged: &Logged, graph: &Graph, out: &mut Encoder) {
        for part in &self.parts {
            out.message(part.field, |out| {
                out.raw(&part.bytes);
                out.message(part.record_field, |out| logged.encode(part.sequence, graph, out));
            });
        }
        if !self.would.is_empty() {
            out.message(6, |out| out.raw(&self.would));
        }
    }
}

fn after(subject: &[&str], token: &str) -> Result<SequenceNumber, Status> {
    if token.is_empty() {
        return Ok(SequenceNumber(0));
    }
    let bytes: [u8; 8] =
        page_token::decode(subject, token)?.try_into().map_err(|_| page_token::invalid())?;
    Ok(SequenceNumber(u64::from_be_bytes(bytes)))
}

/// The number that a caller named by a profile id, which may be a part of another by now.
fn named(graph: &Graph, lookup: Option<&v1::ProfileLookup>) -> Option<ProfileNumber> {
    match lookup?.lookup.as_ref()? {
        v1::profile_lookup::Lookup::ProfileId(id) => graph.profile_number(id),
        _ => None,
    }
}

/// Whose each is: of several the one that both are of, else the first.
fn profiles_of(a: &End, b: &End) -> (Option<ProfileNumber>, Option<ProfileNumber>) {
    match a.profiles.iter().find(|profile| b.profiles.contains(profile)) {
        Some(both) => (Some(*both), Some(*both)),
        None => (a.profiles.first().copied(), b.profiles.first().copied()),
    }
}

/// What an event with both would do now, as a `Resolution`; nothing if it would be refused.
fn would(graph: &Graph, a: &End, b: &End, now: Timestamp) -> Vec<u8> {
    let (Some(a), Some(b)) = (&a.identifier, &b.identifier) else { return Vec::new() };
    let identifiers = [a, b].map(|(namespace, value)| SentIdentifier::new(namespace, value));
    let event = Event { identifiers: identifiers.into(), ..Event::default() };
    let decided = catching(AssertUnwindSafe(|| graph.decide(&event, now)));
    let Ok(Ok(decision)) = decided else { return Vec::new() };
    let mut out = Encoder::default();
    Resolution::planned(decision, graph.sequence()).encode(&[], graph, &mut out);
    out.into_bytes()
}

/// The elements of `Step.traces`.
fn encoded_traces(graph: &Graph, step: &[(SequenceNumber, Trace<'_>)]) -> Vec<u8> {
    let mut out = Encoder::default();
    for (_, trace) in step {
        out.message(2, |out| encode_trace(graph, trace, out));
    }
    out.into_bytes()
}

fn encode_trace(graph: &Graph, trace: &Trace<'_>, out: &mut Encoder) {
    match trace {
        Trace::Created { profile } => out.element(1, graph.profile_id(*profile).as_str()),
        Trace::Merged(merge) => {
            out.message(2, |out| encode_merge(graph, merge.survivor, merge.absorbed, out));
        }
        Trace::Attached(held) => out.message(3, |out| encode_held(held, out)),
        Trace::Linked(link) => {
            out.message(4, |out| encode_link(link.stronger, link.weaker, out));
        }
        Trace::TraitSet { name } => out.element(5, name),
        Trace::Attributed(held) => out.message(6, |out| {
            let profiles = (held.source, held.destination);
            encode_range(profiles, (held.start, held.end), held.sequence, graph, out);
        }),
        Trace::Had(held) => out.message(9, |out| encode_held(held, out)),
        Trace::Left(held) => out.message(10, |out| encode_held(held, out)),
        Trace::FormerId(id) => out.element(8, id),
        Trace::Changed => out.number_element(7, 1),
    }
}

/// Gives the record that says so.
fn encode_hop(graph: &Graph, hop: &Hop<'_>, out: &mut Encoder) -> SequenceNumber {
    match hop {
        Hop::Linked(link) => {
            out.message(1, |out| encode_link(link.stronger, link.weaker, out));
            link.sequence
        }
        Hop::Held { identifier, profile, sequence } => {
            out.message(2, |out| {
                encode_identifier(1, *identifier, out);
                out.string(2, graph.profile_id(*profile).as_str());
            });
            *sequence
        }
        Hop::Merged(merge) => {
            out.message(3, |out| encode_merge(graph, merge.survivor, merge.absorbed, out));
            merge.sequence
        }
    }
}

/// The fields of a `ProfileLookup`.
fn encode_spot(graph: &Graph, spot: Spot, out: &mut Encoder) {
    match (spot, graph.identifier_at(spot)) {
        (_, Some(identifier)) => encode_identifier(2, identifier, out),
        (Spot::Profile(number), _) => out.element(1, graph.profile_id(number).as_str()),
        (Spot::Identifier(_), None) => {}
    }
}

fn encode_parting(parting: &Parting<'_>, out: &mut Encoder) {
    for (field, side) in [(1, &parting.one), (2, &parting.other)] {
        side.iter().for_each(|identifier| encode_identifier(field, *identifier, out));
    }
}

fn encode_refusal(graph: &Graph, refusal: &KnownRefusal<'_>, out: &mut Encoder) {
    encode_identifier(1, refusal.identifier, out);
    if let Some(profile) = refusal.profile {
        out.string(2, graph.profile_id(profile).as_str());
    }
    out.number(3, rule_on_wire(refusal.rule) as u64);
}

fn encode_merge(
    graph: &Graph,
    survivor: ProfileNumber,
    absorbed: ProfileNumber,
    out: &mut Encoder,
) {
    out.string(1, graph.profile_id(survivor).as_str());
    out.string(2, graph.profile_id(absorbed).as_str());
}

fn encode_link(stronger: (&str, &str), weaker: (&str, &str), out: &mut Encoder) {
    encode_identifier(1, stronger, out);
    encode_identifier(2, weaker, out);
}

fn encode_identifier(field: u32, (namespace, value): (&str, &str), out: &mut Encoder) {
    out.message(field, |out| {
        out.string(1, namespace);
        out.string(2, value);
    });
}
