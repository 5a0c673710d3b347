//! LookupProfiles: every profile that holds an identifier.
//!
//! Who holds it is asked once, and then each is read, in turns. Those that were merged into one
//! meanwhile are shown once.

use std::collections::HashSet;

use ipse_core::change::ProfileNumber;
use ipse_core::graph::ProfileView;
use ipse_core::{SequenceNumber, Timestamp};
use ipse_store::LogPosition;

use crate::dispatch::{Answer, Dispatch, Handled, Refused, decode, resting_on};
use crate::encode::Encoder;
use crate::look::Look;
use crate::past::Seen;
use crate::profile::{encode_next, page_size};
use crate::proto::v1;
use crate::read_mask::ReadMask;
use crate::refusal::{Place, refused};
use crate::status::Status;

impl Dispatch {
    pub(crate) fn lookup_profiles(&self, request: &[u8], now: Timestamp) -> Handled {
        let request: v1::LookupProfilesRequest = decode(request)?;
        let size = page_size(request.page_size)?;
        let mask = ReadMask::read(request.read_mask.as_ref())?;
        let Some(v1::Identifier { namespace, value }) = &request.identifier else {
            return Err(Status::invalid_field("identifier", "is missing").into());
        };
        let look = self.look(&request.workspace)?;
        let seen = Seen::of(look.graph(), "as_of", request.as_of.as_ref(), now)
            .map_err(resting_on(look.position()))?;
        let owners: Vec<_> = seen
            .owners(namespace, value)
            .map_err(|refusal| refused(refusal, Place::Within("identifier")))
            .map_err(resting_on(look.position()))?
            .iter()
            .map(ProfileView::number)
            .collect();
        let (at, newest) = (seen.past(), seen.sequence());
        let mut found = Found { at, size, mask, shown: HashSet::new(), out: Encoder::default() };
        let position = found.show(look, &owners)?;
        self.metrics.profiles_read.add(found.shown.len() as u64);
        let mut out = found.out;
        out.number(2, owners.len() as u64);
        out.number(3, newest.0);
        Ok(Answer { position, bytes: out.into_bytes() })
    }
}

/// An answer being written.
struct Found {
    at: Option<SequenceNumber>,
    size: usize,
    mask: ReadMask,
    shown: HashSet<ProfileNumber>,
    out: Encoder,
}

impl Found {
    /// Shows as many as there is room for; gives the position that they rest on.
    fn show(
        &mut self,
        mut look: Look<'_>,
        owners: &[ProfileNumber],
    ) -> Result<LogPosition, Refused> {
        for (at, &owner) in owners.iter().enumerate() {
            if at > 0 {
                look = look.go_on()?;
            }
            let has_room = self.show_one(&look, owner).map_err(resting_on(look.position()))?;
            if !has_room {
                break;
            }
        }
        Ok(look.position())
    }

    /// False if there is no room for it.
    fn show_one(&mut self, look: &Look<'_>, owner: ProfileNumber) -> Result<bool, Status> {
        let seen = Seen::at(look.graph(), self.at)?;
        let unseen = seen.profile(owner).filter(|found| !self.shown.contains(&found.number()));
        let Some(profile) = unseen else { return Ok(true) };
        let is_first = self.shown.is_empty();
        let (size, mask, out) = (self.size, self.mask, &mut self.out);
        let has_room = encode_next(seen.graph(), profile, size, mask, is_first, "identifier", out)?;
        if has_room {
            self.shown.insert(profile.number());
        }
        Ok(has_room)
    }
}
