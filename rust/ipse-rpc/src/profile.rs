//! The methods of IdentityService that read profiles one by one.
//!
//! Reads hold the store's lock, so what they cost is bound by what they answer: a profile is
//! given up as soon as the answer passes its bound, and those after it are not begun. A batch is
//! read in turns, and its answer names the newest record of when it was begun: all up to there
//! is in it, and of what was written meanwhile some.

use ipse_core::graph::ProfileView;
use ipse_core::{Graph, Timestamp};

use crate::dispatch::{Answer, Dispatch, Handled, decode, resting_on};
use crate::encode::Encoder;
use crate::encode_profile::{NotWritten, Page, encode_profile};
use crate::find::{find_seen, rests_on};
use crate::limits::{
    BATCH_GET_RESPONSE_BYTES_MAX, GET_RESPONSE_BYTES_MAX, LOOKUPS_MAX, PAGE_SIZE_DEFAULT,
    PAGE_SIZE_MAX,
};
use crate::past::Seen;
use crate::proto::v1;
use crate::read_mask::ReadMask;
use crate::status::{Reason, Status};

impl Dispatch {
    pub(crate) fn get_profile(&self, request: &[u8], now: Timestamp) -> Handled {
        let request: v1::GetProfileRequest = decode(request)?;
        let size = page_size(request.page_size)?;
        let mask = ReadMask::read(request.read_mask.as_ref())?;
        let look = self.look(&request.workspace)?;
        let rests = resting_on(look.position());
        let graph = look.graph();
        let page = Page {
            workspace: graph.name(),
            size,
            token: &request.page_token,
            mask,
            answer_bytes_max: GET_RESPONSE_BYTES_MAX,
        };
        let seen = Seen::of(graph, "as_of", request.as_of.as_ref(), now).map_err(&rests)?;
        let mut out = Encoder::default();
        let profile = find_seen(seen, "lookup", request.lookup.as_ref()).map_err(&rests)?;
        encode_profile(graph, profile, &page, &mut out)
            .map_err(|not_written| rests(not_written.status(|| profile_too_long("lookup"))))?;
        let (position, newest) = match seen.past() {
            Some(then) => (look.position(), then),
            None => {
                let rests_on = rests_on(graph, request.lookup.as_ref());
                look.position_of(Some(profile.number()), rests_on)
            }
        };
        out.number(2, newest.0);
        self.metrics.profiles_read.add(1);
        Ok(Answer { position, bytes: out.into_bytes() })
    }

    pub(crate) fn batch_get_profiles(&self, request: &[u8], now: Timestamp) -> Handled {
        let request: v1::BatchGetProfilesRequest = decode(request)?;
        let size = page_size(request.page_size)?;
        let mask = ReadMask::read(request.read_mask.as_ref())?;
        let count = check_lookups(&request.lookups)?;
        let look = self.look(&request.workspace)?;
        let seen = Seen::of(look.graph(), "as_of", request.as_of.as_ref(), now)
            .map_err(resting_on(look.position()))?;
        let (at, newest) = (seen.past(), seen.sequence());
        let mut out = Encoder::default();
        let mut is_full = false;
        let look = look.for_each(&request.lookups, |look, lookup| {
            let graph = look.graph();
            let page = Page {
                workspace: graph.name(),
                size,
                token: "",
                mask,
                answer_bytes_max: BATCH_GET_RESPONSE_BYTES_MAX,
            };
            let seen = Seen::at(graph, at);
            out.message(1, |out| encode_result(seen, lookup, &page, &mut is_full, out));
        })?;
        out.number(2, newest.0);
        self.metrics.profiles_read.add(count as u64);
        Ok(Answer { position: look.position(), bytes: out.into_bytes() })
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

/// The number of lookups of a batch.
pub(crate) fn check_lookups(lookups: &[v1::ProfileLookup]) -> Result<usize, Status> {
    match lookups.len() {
        count @ 0..=LOOKUPS_MAX => Ok(count),
        count => Err(Status::limit_exceeded("lookups", "lookups", LOOKUPS_MAX, count)),
    }
}

/// Why one profile of several has no place in the answer.
pub(crate) fn answer_full() -> Status {
    let bound = BATCH_GET_RESPONSE_BYTES_MAX;
    let problem = format!(
        "the answer is full at {bound} bytes: ask for this profile in another call, by itself \
         if it came first"
    );
    Status::of_field(Reason::LimitExceeded, "lookups", problem).with("bound", bound)
}

/// Writes one profile of several; false if there is no room for it, and then nothing of it is
/// written. The first has a bound of its own, as if it were asked for alone, so that a listing
/// always goes on; `field` is at fault if it passes that.
pub(crate) fn encode_next(
    graph: &Graph,
    profile: ProfileView<'_>,
    size: usize,
    mask: ReadMask,
    is_first: bool,
    field: &str,
    out: &mut Encoder,
) -> Result<bool, Status> {
    let start = out.len();
    let answer_bytes_max =
        if is_first { GET_RESPONSE_BYTES_MAX } else { BATCH_GET_RESPONSE_BYTES_MAX };
    let page = Page { workspace: graph.name(), size, token: "", mask, answer_bytes_max };
    match encode_profile(graph, profile, &page, out) {
        Ok(()) => Ok(true),
        Err(NotWritten::NoRoom) if !is_first => {
            out.truncate(start);
            Ok(false)
        }
        Err(not_written) => Err(not_written.status(|| profile_too_long(field))),
    }
}

/// Why a profile that is asked for alone is refused.
fn profile_too_long(field: &str) -> Status {
    let bound = GET_RESPONSE_BYTES_MAX;
    let problem = format!(
        "the profile has more than {bound} bytes, the most an answer may have: read a part of \
         it with a read_mask"
    );
    Status::of_field(Reason::LimitExceeded, field, problem).with("bound", bound)
}

/// One result of a batch. Once the answer is full profiles are refused, each by itself: the
/// caller asks for the rest in another call.
fn encode_result(
    seen: Result<Seen<'_>, Status>,
    lookup: &v1::ProfileLookup,
    page: &Page<'_>,
    is_full: &mut bool,
    out: &mut Encoder,
) {
    let start = out.len();
    let result = seen.and_then(|seen| {
        let profile = find_seen(seen, "lookup", Some(lookup))?;
        if *is_full {
            return Err(answer_full());
        }
        encode_profile(seen.graph(), profile, page, out).map_err(|not_written| {
            *is_full |= matches!(not_written, NotWritten::NoRoom);
            not_written.status(answer_full)
        })
    });
    if let Err(status) = result {
        out.truncate(start);
        out.encoded(2, &v1::ItemError::from(status));
    }
}
