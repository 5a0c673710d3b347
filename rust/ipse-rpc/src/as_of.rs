//! LookupAsOf: whose identifiers were at given moments, and whose they are now.

use ipse_core::change::ProfileNumber;
use ipse_core::graph::ProfileView;
use ipse_core::{Graph, Timestamp};

use crate::dispatch::{Answer, Dispatch, Handled, decode};
use crate::encode::Encoder;
use crate::limits::LOOKUPS_MAX;
use crate::past::Seen;
use crate::proto::v1;
use crate::refusal::{Place, refused};
use crate::status::{Reason, Status};

impl Dispatch {
    pub(crate) fn lookup_as_of(&self, request: &[u8], now: Timestamp) -> Handled {
        let request: v1::LookupAsOfRequest = decode(request)?;
        let found = request.lookups.len();
        if found > LOOKUPS_MAX {
            return Err(Status::limit_exceeded("lookups", "lookups", LOOKUPS_MAX, found).into());
        }
        let look = self.look(&request.workspace)?;
        let begun = look.graph().sequence();
        let mut out = Encoder::default();
        let look = look.for_each(&request.lookups, |look, lookup| {
            out.message(1, |out| encode_result(look.graph(), lookup, now, out));
        })?;
        out.number(2, begun.0);
        self.metrics.profiles_read.add(found as u64);
        Ok(Answer { position: look.position(), bytes: out.into_bytes() })
    }
}

fn encode_result(graph: &Graph, lookup: &v1::PastLookup, now: Timestamp, out: &mut Encoder) {
    let mut show = |field, number: Option<ProfileNumber>| {
        if let Some(number) = number {
            out.string(field, graph.profile_id(number).as_str());
        }
    };
    let then = Seen::of(graph, "as_of", lookup.as_of.as_ref(), now).and_then(|then| match then {
        Seen::Now(_) => Err(Status::invalid_field("as_of", "is missing")),
        Seen::Then(..) => Ok(then),
    });
    let holder = then.as_ref().map_err(Clone::clone).and_then(|&then| holder(then, lookup));
    show(1, holder.as_ref().ok().copied().flatten());
    show(2, self::holder(Seen::Now(graph), lookup).ok().flatten());
    out.number(3, then.map_or(0, |then| then.sequence().0));
    let error = match holder {
        Ok(Some(_)) => return,
        Ok(None) => Status::of_field(Reason::ProfileNotFound, "identifier", "nobody held it then"),
        Err(status) => status,
    };
    out.encoded(4, &v1::ItemError::from(error));
}

/// Who holds the identifier of a row, or held it.
fn holder(seen: Seen<'_>, lookup: &v1::PastLookup) -> Result<Option<ProfileNumber>, Status> {
    let Some(v1::Identifier { namespace, value }) = &lookup.identifier else {
        return Err(Status::invalid_field("identifier", "is missing"));
    };
    let found = seen.lookup(namespace, value);
    let found = found.map_err(|refusal| refused(refusal, Place::Within("identifier")))?;
    Ok(found.as_ref().map(ProfileView::number))
}
