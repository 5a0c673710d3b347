//! LookupProfiles: every profile that holds an identifier.

use ipse_core::Timestamp;

use crate::dispatch::{Answer, Dispatch, Handled, decode, find_workspace, resting_on};
use crate::encode::Encoder;
use crate::encode_profile::{NotWritten, Page, encode_profile};
use crate::limits::{BATCH_GET_RESPONSE_BYTES_MAX, GET_RESPONSE_BYTES_MAX};
use crate::profile::{page_size, profile_too_long};
use crate::proto::v1;
use crate::read_mask::ReadMask;
use crate::refusal::{Place, refused};
use crate::status::Status;

impl Dispatch {
    pub(crate) fn lookup_profiles(&self, request: &[u8], _now: Timestamp) -> Handled {
        let request: v1::LookupProfilesRequest = decode(request)?;
        let size = page_size(request.page_size)?;
        let mask = ReadMask::read(request.read_mask.as_ref())?;
        let Some(v1::Identifier { namespace, value }) = &request.identifier else {
            return Err(Status::invalid_field("identifier", "is missing").into());
        };
        let locked = self.lock()?;
        let workspace = find_workspace(&locked, "workspace", &request.workspace)?;
        let position = locked.workspace_position(workspace);
        let graph = locked.graph(workspace);
        let owners = graph
            .owners(namespace, value)
            .map_err(|refusal| refused(refusal, Place::Within("identifier")))
            .map_err(resting_on(position))?;
        let mut out = Encoder::default();
        for &owner in &owners {
            let start = out.len();
            // The first is shown whatever its length; the others as far as there is room.
            let is_first = start == 0;
            let answer_bytes_max =
                if is_first { GET_RESPONSE_BYTES_MAX } else { BATCH_GET_RESPONSE_BYTES_MAX };
            let page = Page { workspace: graph.name(), size, token: "", mask, answer_bytes_max };
            match encode_profile(graph, owner, &page, &mut out) {
                Ok(()) => self.metrics.profiles_read.add(1),
                Err(NotWritten::NoRoom) if !is_first => {
                    out.truncate(start);
                    break;
                }
                Err(not_written) => {
                    let status = not_written.status(|| profile_too_long("identifier"));
                    return Err(resting_on(position)(status));
                }
            }
        }
        out.number(2, owners.len() as u64);
        out.number(3, graph.sequence().0);
        Ok(Answer { position, bytes: out.into_bytes() })
    }
}
