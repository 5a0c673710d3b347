//! The methods of IdentityService that read profiles.
//!
//! Identifiers come in pages. A token names the last identifier that was shown, not a count:
//! one that was attached in between then neither hides another nor shows it twice.

use std::hash::Hasher;

use ipse_core::graph::{IdentifierView, ProfileView};
use ipse_core::{Graph, Timestamp, TraitValue};
use ipse_store::{Locked, WorkspaceIndex};
use siphasher::sip::SipHasher13;

use crate::convert::{Place, refused, unknown_profile, wire_time};
use crate::dispatch::{Answer, Dispatch, Handled, decode, find_workspace, resting_on};
use crate::encode::Encoder;
use crate::limits::{
    ABSORBED_IDS_MAX, BATCH_GET_RESPONSE_BYTES_MAX, LOOKUPS_MAX, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX,
};
use crate::page_token;
use crate::proto::v1;
use crate::status::{Reason, Status};

/// Which identifiers to show.
struct Page<'a> {
    workspace: &'a str,
    size: usize,
    token: &'a str,
}

impl Dispatch {
    pub(crate) fn get_profile(&self, request: &[u8], _now: Timestamp) -> Handled {
        let request: v1::GetProfileRequest = decode(request)?;
        let size = page_size(request.page_size)?;
        let locked = self.lock()?;
        let workspace = find_workspace(&locked, "workspace", &request.workspace)?;
        let rests = resting_on(locked.workspace_position(workspace));
        let graph = locked.graph(workspace);
        let page = Page { workspace: graph.name(), size, token: &request.page_token };
        let mut out = Encoder::default();
        let profile = find_profile(graph, request.lookup.as_ref()).map_err(&rests)?;
        encode_profile(graph, profile, &page, 1, &mut out).map_err(&rests)?;
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
        let page = Page { workspace: graph.name(), size, token: "" };
        let mut out = Encoder::default();
        for lookup in &request.lookups {
            out.message(1, |out| encode_result(graph, lookup, &page, out));
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

/// One result of a batch. Past a bound on the whole answer profiles are refused, each by
/// itself: the caller asks for the rest in another call.
fn encode_result(graph: &Graph, lookup: &v1::ProfileLookup, page: &Page<'_>, out: &mut Encoder) {
    let start = out.len();
    let result = find_profile(graph, Some(lookup))
        .and_then(|profile| encode_profile(graph, profile, page, 1, out))
        .and_then(|()| match out.len() {
            size if size <= BATCH_GET_RESPONSE_BYTES_MAX => Ok(()),
            size => Err(answer_too_long(size)),
        });
    if let Err(status) = result {
        out.truncate(start);
        out.encoded(2, &v1::ItemError::from(status));
    }
}

fn answer_too_long(size: usize) -> Status {
    let bound = BATCH_GET_RESPONSE_BYTES_MAX;
    Status::of_field(
        Reason::LimitExceeded,
        "lookups",
        format!("the answer would have more than {bound} bytes: ask for this one in another call"),
    )
    .with("bound", bound)
    .with("found", size)
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

fn encode_profile(
    graph: &Graph,
    profile: ProfileView<'_>,
    page: &Page<'_>,
    field: u32,
    out: &mut Encoder,
) -> Result<(), Status> {
    let id = graph.profile_id(profile.number());
    let subject = ["profile", page.workspace, id.as_str()];
    let identifiers = profile.identifiers();
    let start = page.start(&subject, &identifiers)?;
    let end = identifiers.len().min(start + page.size);
    out.message(field, |out| {
        out.string(1, id.as_str());
        out.bool(2, profile.known());
        encode_time(3, profile.created_time(), out);
        for identifier in &identifiers[start..end] {
            out.message(4, |out| encode_identifier(identifier, out));
        }
        out.number(5, u64::from(profile.identifier_count()));
        for (name, value) in profile.traits() {
            out.message(6, |out| encode_trait(name, value, out));
        }
        for absorbed in profile.absorbed().into_iter().take(ABSORBED_IDS_MAX) {
            out.element(7, graph.profile_id(absorbed).as_str());
        }
        out.number(8, u64::from(profile.merge_count()));
        if end < identifiers.len() {
            out.string(9, &page_token::encode(&subject, &position(&identifiers[end - 1])));
        }
    });
    Ok(())
}

impl Page<'_> {
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
