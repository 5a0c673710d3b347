//! The methods of IdentityService that read profiles.
//!
//! Identifiers come in pages. A token names the last identifier that was shown, not a count:
//! one that was attached in between then neither hides another nor shows it twice.
//!
//! Reads hold the store's lock, so what they cost is bound by what they answer: a profile is
//! given up as soon as the answer passes its bound, and those after it are not begun.

use std::hash::Hasher;

use ipse_core::graph::{IdentifierView, ProfileView};
use ipse_core::{Graph, Timestamp, TraitValue};
use ipse_store::{Locked, WorkspaceIndex};
use siphasher::sip::SipHasher13;

use crate::convert::{Place, refused, unknown_profile, wire_time};
use crate::dispatch::{Answer, Dispatch, Handled, decode, find_workspace, resting_on};
use crate::encode::Encoder;
use crate::limits::{
    ABSORBED_IDS_MAX, BATCH_GET_RESPONSE_BYTES_MAX, GET_RESPONSE_BYTES_MAX, LOOKUPS_MAX,
    PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX,
};
use crate::page_token;
use crate::proto::v1;
use crate::status::{Reason, Status};

/// Which identifiers to show, and how long the whole answer may be.
struct Page<'a> {
    workspace: &'a str,
    size: usize,
    token: &'a str,
    answer_bytes_max: usize,
}

/// Why a profile was not written.
enum NotWritten {
    /// The answer would pass its bound.
    NoRoom,
    /// The request is at fault.
    Refused(Status),
}

impl Dispatch {
    pub(crate) fn get_profile(&self, request: &[u8], _now: Timestamp) -> Handled {
        let request: v1::GetProfileRequest = decode(request)?;
        let size = page_size(request.page_size)?;
        let locked = self.lock()?;
        let workspace = find_workspace(&locked, "workspace", &request.workspace)?;
        let rests = resting_on(locked.workspace_position(workspace));
        let graph = locked.graph(workspace);
        let page = Page {
            workspace: graph.name(),
            size,
            token: &request.page_token,
            answer_bytes_max: GET_RESPONSE_BYTES_MAX,
        };
        let mut out = Encoder::default();
        let profile = find_profile(graph, request.lookup.as_ref()).map_err(&rests)?;
        encode_profile(graph, profile, &page, &mut out).map_err(|not_written| {
            rests(match not_written {
                NotWritten::NoRoom => profile_too_long(),
                NotWritten::Refused(status) => status,
            })
        })?;
        Ok(self.read(&locked, workspace, 1, out))
    }

    pub(crate) fn batch_get_profiles(&self, request: &[u8], _now: Timestamp) -> Handled {
        let request: v1::BatchGetProfilesRequest = decode(request)?;
        let size = page_size(request.page_size)?;
        let count = request.lookups.len();
        if count > LOOKUPS_MAX {
            return Err(Status::limit_exceeded("lookups", "lookups", LOOKUPS_MAX, count).into());
        }
        let locked = self.lock()?;
        let workspace = find_workspace(&locked, "workspace", &request.workspace)?;
        let graph = locked.graph(workspace);
        let page = Page {
            workspace: graph.name(),
            size,
            token: "",
            answer_bytes_max: BATCH_GET_RESPONSE_BYTES_MAX,
        };
        let mut out = Encoder::default();
        let mut is_full = false;
        for lookup in &request.lookups {
            out.message(1, |out| encode_result(graph, lookup, &page, &mut is_full, out));
        }
        Ok(self.read(&locked, workspace, count as u64, out))
    }

    fn read(
        &self,
        locked: &Locked<'_>,
        workspace: WorkspaceIndex,
        profiles: u64,
        mut out: Encoder,
    ) -> Answer {
        self.metrics.profiles_read.add(profiles);
        out.number(2, locked.graph(workspace).sequence().0);
        Answer { position: locked.workspace_position(workspace), bytes: out.into_bytes() }
    }
}

/// Items on a page: 0 means the default, and more than the most means the most.
pub(crate) fn page_size(asked: i32) -> Result<usize, Status> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_SIZE_DEFAULT),
        Ok(size) => Ok(size.min(PAGE_SIZE_MAX)),
        Err(_) => Err(Status::invalid_field("page_size", "is negative")),
    }
}

/// One result of a batch. Once the answer is full profiles are refused, each by itself: the
/// caller asks for the rest in another call.
fn encode_result(
    graph: &Graph,
    lookup: &v1::ProfileLookup,
    page: &Page<'_>,
    is_full: &mut bool,
    out: &mut Encoder,
) {
    let start = out.len();
    let result = find_profile(graph, Some(lookup)).and_then(|profile| {
        if *is_full {
            return Err(answer_full());
        }
        encode_profile(graph, profile, page, out).map_err(|not_written| match not_written {
            NotWritten::NoRoom => {
                *is_full = true;
                answer_full()
            }
            NotWritten::Refused(status) => status,
        })
    });
    if let Err(status) = result {
        out.truncate(start);
        out.encoded(2, &v1::ItemError::from(status));
    }
}

fn answer_full() -> Status {
    let bound = BATCH_GET_RESPONSE_BYTES_MAX;
    let problem = format!(
        "the answer is full at {bound} bytes: ask for this profile in another call, with \
         GetProfile if it came first"
    );
    Status::of_field(Reason::LimitExceeded, "lookups", problem).with("bound", bound)
}

fn profile_too_long() -> Status {
    let bound = GET_RESPONSE_BYTES_MAX;
    let problem = format!("the profile has more than {bound} bytes, the most an answer may have");
    Status::of_field(Reason::LimitExceeded, "lookup", problem).with("bound", bound)
}

fn find_profile<'g>(
    graph: &'g Graph,
    lookup: Option<&v1::ProfileLookup>,
) -> Result<ProfileView<'g>, Status> {
    use v1::profile_lookup::Lookup;
    match lookup.and_then(|lookup| lookup.lookup.as_ref()) {
        Some(Lookup::ProfileId(id)) => graph
            .profile_number(id)
            .and_then(|number| graph.profile(number))
            .ok_or_else(|| unknown_profile("lookup.profile_id")),
        Some(Lookup::Identifier(identifier)) => graph
            .lookup(&identifier.namespace, &identifier.value)
            .map_err(|refusal| refused(refusal, Place::Lookup))?
            .ok_or_else(unknown_identifier),
        None => {
            Err(Status::invalid_field("lookup", "neither a profile id nor an identifier is set"))
        }
    }
}

fn unknown_identifier() -> Status {
    Status::of_field(
        Reason::ProfileNotFound,
        "lookup.identifier",
        "no profile of this workspace holds this identifier",
    )
}

/// Writes a profile as field 1. What was written of one that is given up is the caller's to
/// take back.
fn encode_profile(
    graph: &Graph,
    profile: ProfileView<'_>,
    page: &Page<'_>,
    out: &mut Encoder,
) -> Result<(), NotWritten> {
    let id = graph.profile_id(profile.number());
    let subject = ["profile", page.workspace, id.as_str()];
    let identifiers = profile.identifiers();
    let start = page.start(&subject, &identifiers).map_err(NotWritten::Refused)?;
    let end = identifiers.len().min(start + page.size);
    out.message(1, |out| {
        out.string(1, id.as_str());
        out.bool(2, profile.known());
        encode_time(3, profile.created_time(), out);
        for identifier in &identifiers[start..end] {
            out.message(4, |out| encode_identifier(identifier, out));
            page.check_room(out)?;
        }
        out.number(5, u64::from(profile.identifier_count()));
        for (name, value) in profile.traits() {
            out.message(6, |out| encode_trait(name, value, out));
            page.check_room(out)?;
        }
        for absorbed in profile.absorbed().into_iter().take(ABSORBED_IDS_MAX) {
            out.element(7, graph.profile_id(absorbed).as_str());
        }
        out.number(8, u64::from(profile.merge_count()));
        if end < identifiers.len() {
            out.string(9, &page_token::encode(&subject, &position(&identifiers[end - 1])));
        }
        page.check_room(out)
    })
}

impl Page<'_> {
    fn check_room(&self, out: &Encoder) -> Result<(), NotWritten> {
        if out.len() <= self.answer_bytes_max { Ok(()) } else { Err(NotWritten::NoRoom) }
    }

    /// Where this page begins: after the identifier that the token names.
    fn start(&self, subject: &[&str], identifiers: &[IdentifierView<'_>]) -> Result<usize, Status> {
        if self.token.is_empty() {
            return Ok(0);
        }
        let last = page_token::decode(subject, self.token)?;
        let at = identifiers.iter().position(|identifier| position(identifier)[..] == last[..]);
        at.map(|at| at + 1).ok_or_else(page_token::invalid)
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

fn encode_identifier(identifier: &IdentifierView<'_>, out: &mut Encoder) {
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

    #[test]
    fn a_profile_is_given_up_as_soon_as_it_passes_the_bound() {
        let now = Timestamp::from_millis(0).expect("within range");
        let dispatch = Dispatch::new(Store::in_memory(1), Recovery::default(), now);
        dispatch.ensure_default_workspace(now).expect("it is free");
        let identifier = v1::Identifier { namespace: "user_id".into(), value: "u1".into() };
        let value = Some(v1::r#trait::Value::StringValue("x".repeat(1_000)));
        let of_name = |number| v1::Trait { name: format!("t{number}"), value: value.clone() };
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
            let page = Page { workspace: "default", size: 1, token: "", answer_bytes_max };
            let profile = find_profile(graph, Some(&lookup)).expect("it was just made");
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
