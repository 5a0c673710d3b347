//! A profile, written field by field into an answer; what the read mask leaves out costs
//! nothing.
//!
//! Identifiers come in pages. A token names the last identifier that was shown, not a count:
//! one that was attached in between then neither hides another nor shows it twice.

use std::hash::Hasher;

use ipse_core::graph::{IdentifierView, ProfileView};
use ipse_core::limits::ATTRIBUTIONS_MAX;
use ipse_core::{Graph, Timestamp, TraitValue};
use siphasher::sip::SipHasher13;

use crate::convert::wire_time;
use crate::encode::Encoder;
use crate::limits::{ABSORBED_IDS_MAX, FORMER_IDS_MAX};
use crate::page_token;
use crate::read_mask::{Field, ReadMask};
use crate::resolution::encode_range;
use crate::status::Status;

/// What to show of a profile, and how long the whole answer may be.
pub(crate) struct Page<'a> {
    pub(crate) workspace: &'a str,
    /// Identifiers to show.
    pub(crate) size: usize,
    /// Where they begin; empty for the first.
    pub(crate) token: &'a str,
    pub(crate) mask: ReadMask,
    pub(crate) answer_bytes_max: usize,
}

/// Why a profile was not written.
pub(crate) enum NotWritten {
    /// The answer would pass its bound.
    NoRoom,
    /// The request is at fault.
    Refused(Status),
}

/// Writes a profile as field 1. What was written of one that is given up is the caller's to
/// take back.
pub(crate) fn encode_profile(
    graph: &Graph,
    profile: ProfileView<'_>,
    page: &Page<'_>,
    out: &mut Encoder,
) -> Result<(), NotWritten> {
    let id = graph.profile_id(profile.number());
    let subject = ["profile", page.workspace, id.as_str()];
    let shown = page.identifiers(&subject, profile).map_err(NotWritten::Refused)?;
    let reads = |field| page.mask.has(field);
    out.message(1, |out| {
        out.string(1, id.as_str());
        out.bool(2, reads(Field::Known) && profile.known());
        if reads(Field::CreatedTime) {
            encode_time(3, profile.created_time(), out);
        }
        if reads(Field::Identifiers) {
            for identifier in &shown.identifiers {
                out.message(4, |out| encode_identifier(identifier, out));
                page.check_room(out)?;
            }
        }
        if reads(Field::IdentifierCount) {
            out.number(5, u64::from(profile.identifier_count()));
        }
        if reads(Field::Traits) {
            for (name, value) in profile.traits() {
                out.message(6, |out| encode_trait(name, &value, out));
                page.check_room(out)?;
            }
        }
        if reads(Field::AbsorbedProfileIds) {
            for absorbed in profile.absorbed().into_iter().take(ABSORBED_IDS_MAX) {
                out.element(7, graph.profile_id(absorbed).as_str());
            }
        }
        if reads(Field::MergeCount) {
            out.number(8, u64::from(profile.merge_count()));
        }
        out.string(9, &shown.next_page_token);
        encode_origins(graph, profile, page.mask, out);
        page.check_room(out)
    })
}

/// The fields from the canonical id on.
fn encode_origins(graph: &Graph, profile: ProfileView<'_>, mask: ReadMask, out: &mut Encoder) {
    if mask.has(Field::CanonicalId) {
        out.string(10, &profile.canonical_id().unwrap_or_default());
    }
    if mask.has(Field::ChangedSequenceNumber) {
        out.number(11, profile.changed_sequence().0);
    }
    if mask.has(Field::Attributions) {
        for attribution in profile.attributions().into_iter().take(ATTRIBUTIONS_MAX) {
            let profiles = (attribution.source, attribution.destination);
            let range = (attribution.start, attribution.end);
            let sequence = attribution.sequence;
            out.message(12, |out| encode_range(profiles, range, sequence, graph, out));
        }
    }
    if mask.has(Field::FormerIds) {
        for former in profile.former_ids().into_iter().take(FORMER_IDS_MAX) {
            out.element(13, former);
        }
    }
    if mask.has(Field::TraitsSetLater) {
        profile.traits_set_later().into_iter().for_each(|name| out.element(14, name));
    }
}

/// A page of a profile's identifiers.
#[derive(Default)]
struct Shown<'a> {
    identifiers: Vec<IdentifierView<'a>>,
    next_page_token: String,
}

impl NotWritten {
    /// The refusal; `no_room` gives that of a full answer.
    pub(crate) fn status(self, no_room: impl FnOnce() -> Status) -> Status {
        match self {
            NotWritten::NoRoom => no_room(),
            NotWritten::Refused(status) => status,
        }
    }
}

impl Page<'_> {
    fn check_room(&self, out: &Encoder) -> Result<(), NotWritten> {
        if out.len() <= self.answer_bytes_max { Ok(()) } else { Err(NotWritten::NoRoom) }
    }

    fn identifiers<'g>(
        &self,
        subject: &[&str],
        profile: ProfileView<'g>,
    ) -> Result<Shown<'g>, Status> {
        let last_shown = match self.token {
            "" => None,
            token => Some(page_token::decode(subject, token)?),
        };
        // Whoever reads identifiers reads the token, too.
        if !self.mask.has(Field::NextPageToken) {
            return Ok(Shown::default());
        }
        let mut identifiers = profile.identifiers();
        if let Some(last) = last_shown {
            let at = identifiers.iter().position(|held| position(held)[..] == last[..]);
            identifiers.drain(..=at.ok_or_else(page_token::invalid)?);
        }
        let mut next_page_token = String::new();
        if identifiers.len() > self.size {
            identifiers.truncate(self.size);
            let last = identifiers.last().expect("a page has room for one at least");
            next_page_token = page_token::encode(subject, &position(last));
        }
        Ok(Shown { identifiers, next_page_token })
    }
}

/// What a token says of an identifier. A hash, because tokens end up in logs and identifiers
/// must not.
fn position(identifier: &IdentifierView<'_>) -> [u8; 8] {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(identifier.namespace.as_bytes());
    hasher.write_u8(0);
    hasher.write(identifier.value.as_bytes());
    hasher.finish().to_be_bytes()
}

pub(crate) fn encode_identifier(identifier: &IdentifierView<'_>, out: &mut Encoder) {
    out.message(1, |out| {
        out.string(1, identifier.namespace);
        out.string(2, identifier.value);
    });
    encode_time(2, identifier.attached_time, out);
    out.number(3, identifier.sequence.0);
}

fn encode_time(field: u32, time: Timestamp, out: &mut Encoder) {
    out.encoded(field, &wire_time(time));
}

fn encode_trait(name: &str, value: &TraitValue<'_>, out: &mut Encoder) {
    out.string(1, name);
    match value {
        TraitValue::Text(text) => out.element(2, text),
        // Negative numbers are sent as their two's complement of 64 bits.
        TraitValue::Integer(number) => out.number_element(3, *number as u64),
        TraitValue::Number(number) => out.double_element(4, *number),
        TraitValue::Bool(flag) => out.number_element(5, u64::from(*flag)),
        TraitValue::Json(text) => out.element(6, text),
    }
}

#[cfg(test)]
mod tests {
    use ipse_store::{Recovery, Store};
    use prost::Message;

    use super::*;
    use crate::dispatch::{Dispatch, find_workspace};
    use crate::find::find_profile;
    use crate::proto::v1;

    #[test]
    fn a_profile_is_given_up_as_soon_as_it_passes_the_bound() {
        let now = Timestamp::from_millis(0).expect("within range");
        let dispatch = Dispatch::new(Store::in_memory(1), Recovery::default(), now);
        dispatch.ensure_default_workspace(now).expect("it is free");
        let identifier = v1::Identifier { namespace: "user_id".into(), value: "u1".into() };
        let value = Some(v1::r#trait::Value::StringValue("x".repeat(1_000)));
        let of_name = |number| v1::Trait {
            name: format!("t{number}"),
            value: value.clone(),
            set_once: false,
        };
        let event = v1::Event {
            identifiers: vec![identifier.clone()],
            traits: (0..100).map(of_name).collect(),
            ..Default::default()
        };
        let request = v1::ResolveEventRequest { event: Some(event), ..Default::default() };
        dispatch.resolve_event(&request.encode_to_vec(), now).expect("a good event");

        let locked = dispatch.lock().expect("it is open");
        let workspace = find_workspace(&locked, "workspace", "").expect("the default one");
        let graph = locked.graph(workspace);
        let lookup = v1::profile_lookup::Lookup::Identifier(identifier);
        let lookup = v1::ProfileLookup { lookup: Some(lookup) };
        let written = |answer_bytes_max| {
            let mask = ReadMask::ALL;
            let page = Page { workspace: "default", size: 1, token: "", mask, answer_bytes_max };
            let profile = find_profile(graph, "lookup", Some(&lookup)).expect("it was just made");
            let mut out = Encoder::default();
            let result = encode_profile(graph, profile, &page, &mut out);
            (out.len(), matches!(result, Err(NotWritten::NoRoom)))
        };
        let (whole, is_given_up) = written(200_000);
        assert!(whole > 100_000 && !is_given_up);
        assert_eq!(written(whole), (whole, false));
        assert!(written(whole - 4).1);
        let (part, is_given_up) = written(5_000);
        assert!(part < 6_100 && is_given_up, "{part}");
    }
}
