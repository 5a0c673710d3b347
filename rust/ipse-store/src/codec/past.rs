//! Parts that hold the past of a workspace.

use ipse_core::snapshot::{PastEdgesPart, PastHoldingsPart, TimelinePart};

use super::msgpack::{Malformed, Reader, Writer};
use super::part::{read_i64s, read_u16s, read_u32s, read_u64s, write_ints, write_uints};

pub(super) fn write_past_holdings(out: &mut Writer<'_>, part: &PastHoldingsPart) {
    write_uints(out, &part.identifier);
    write_uints(out, &part.profile);
    write_uints(out, &part.from);
    write_uints(out, &part.until);
    write_ints(out, &part.time);
    out.list(&part.several, |out, several| out.bool(*several));
}

pub(super) fn read_past_holdings(input: &mut Reader<'_>) -> Result<PastHoldingsPart, Malformed> {
    Ok(PastHoldingsPart {
        identifier: read_u32s(input, "identifier")?,
        profile: read_u32s(input, "profile")?,
        from: read_u64s(input, "first sequence")?,
        until: read_u64s(input, "last sequence")?,
        time: read_i64s(input, "attached time")?,
        several: input.list("several", |input| input.bool("several"))?,
    })
}

pub(super) fn write_past_edges(out: &mut Writer<'_>, part: &PastEdgesPart) {
    write_uints(out, &part.profile);
    write_uints(out, &part.parent);
    write_uints(out, &part.from);
    write_uints(out, &part.until);
    write_uints(out, &part.bearer);
    write_uints(out, &part.merge_rank);
    out.list(&part.survived, |out, survived| out.bool(*survived));
}

pub(super) fn read_past_edges(input: &mut Reader<'_>) -> Result<PastEdgesPart, Malformed> {
    Ok(PastEdgesPart {
        profile: read_u32s(input, "profile")?,
        parent: read_u32s(input, "parent")?,
        from: read_u64s(input, "first sequence")?,
        until: read_u64s(input, "last sequence")?,
        bearer: read_u32s(input, "bearer")?,
        merge_rank: read_u16s(input, "rank of a merge")?,
        survived: input.list("survived", |input| input.bool("survived"))?,
    })
}

pub(super) fn write_timeline(out: &mut Writer<'_>, part: &TimelinePart) {
    write_uints(out, &part.first);
    write_ints(out, &part.time);
    out.list(&part.moments, |out, moments| out.bytes(moments));
}

pub(super) fn read_timeline(input: &mut Reader<'_>) -> Result<TimelinePart, Malformed> {
    Ok(TimelinePart {
        first: read_u64s(input, "first sequence")?,
        time: read_i64s(input, "log time")?,
        moments: input.list("moments", |input| Ok(input.bytes("moments")?.to_vec()))?,
    })
}
