//! What only some verbs and some rules bring to a record.

use std::borrow::Cow;

use ipse_core::Timestamp;
use ipse_core::change::{
    Extra, HistoryAttribution, IgnoredTrait, Imported, LinkPair, MergeVerdict, Move, ProfileNumber,
    RevertedMerge, SequenceNumber, SourceMerge,
};

use super::msgpack::{Malformed, Reader, Writer};
use super::number::{
    cause_number, read_cause, read_rule, read_trait_reason, rule_number, trait_reason_number,
};
use super::{
    read_optional, read_profile, read_reason_fields, read_time, read_value, read_variant,
    write_optional, write_reason, write_value,
};

const EXTRA_FIELDS: usize = 9;
/// Tag of [`MergeVerdict::Refused`], whose reason follows.
const MERGE_REFUSED: u64 = 3;

pub(super) fn write_extra(out: &mut Writer<'_>, extra: &Extra<'_>) {
    out.array(EXTRA_FIELDS);
    out.bool(extra.marks_known);
    out.uint(u64::from(extra.sources));
    out.list(&extra.moves, write_move);
    out.list(&extra.displaced, write_pair);
    out.list(&extra.merges, write_merge);
    out.list(&extra.reverted, write_reverted);
    write_optional(out, extra.attribution.as_ref(), write_attribution);
    write_optional(out, extra.imported.as_ref(), write_imported);
    out.list(&extra.ignored_traits, write_ignored);
}

pub(super) fn read_extra<'a>(input: &mut Reader<'a>) -> Result<Extra<'a>, Malformed> {
    input.fixed_array("extra", EXTRA_FIELDS)?;
    Ok(Extra {
        marks_known: input.bool("marks known")?,
        sources: input.uint8("sources")?,
        moves: input.list("moves", read_move)?,
        displaced: input.list("displaced links", read_pair)?,
        merges: input.list("merges", read_merge)?,
        reverted: input.list("merges undone", read_reverted)?,
        attribution: read_optional(input, read_attribution)?,
        imported: read_optional(input, read_imported)?,
        ignored_traits: input.list("ignored traits", read_ignored)?,
    })
}

fn write_move(out: &mut Writer<'_>, moved: &Move<'_>) {
    out.array(5);
    out.text(&moved.namespace);
    write_value(out, &moved.value);
    out.uint(u64::from(moved.from.0));
    write_profile(out, moved.to);
    out.uint(cause_number(moved.cause));
}

fn read_move<'a>(input: &mut Reader<'a>) -> Result<Move<'a>, Malformed> {
    input.fixed_array("move", 5)?;
    let (namespace, value) = read_name(input)?;
    Ok(Move {
        namespace,
        value,
        from: read_profile(input)?,
        to: read_optional(input, read_profile)?,
        cause: read_cause(input)?,
    })
}

fn write_pair(out: &mut Writer<'_>, pair: &LinkPair<'_>) {
    out.array(4);
    for (namespace, value) in [&pair.a, &pair.b] {
        out.text(namespace);
        write_value(out, value);
    }
}

fn read_pair<'a>(input: &mut Reader<'a>) -> Result<LinkPair<'a>, Malformed> {
    input.fixed_array("displaced link", 4)?;
    Ok(LinkPair { a: read_name(input)?, b: read_name(input)? })
}

fn read_name<'a>(input: &mut Reader<'a>) -> Result<(Cow<'a, str>, Cow<'a, str>), Malformed> {
    let namespace = input.text("namespace")?;
    Ok((Cow::Borrowed(namespace), read_value(input)?))
}

fn write_merge(out: &mut Writer<'_>, merge: &SourceMerge) {
    out.array(2);
    write_profile(out, merge.profile);
    match &merge.verdict {
        MergeVerdict::Merged => out.uint(0),
        MergeVerdict::AlreadyMerged => out.uint(1),
        MergeVerdict::NotFound => out.uint(2),
        MergeVerdict::Refused(reason) => write_reason(out, MERGE_REFUSED, reason),
    }
}

fn read_merge(input: &mut Reader<'_>) -> Result<SourceMerge, Malformed> {
    input.fixed_array("merge", 2)?;
    let profile = read_optional(input, read_profile)?;
    Ok(SourceMerge { profile, verdict: read_merge_verdict(input)? })
}

fn write_reverted(out: &mut Writer<'_>, merge: &RevertedMerge) {
    out.array(3);
    out.uint(u64::from(merge.absorbed.0));
    out.uint(u64::from(merge.survivor.0));
    out.uint(merge.merged.0);
}

fn read_reverted(input: &mut Reader<'_>) -> Result<RevertedMerge, Malformed> {
    input.fixed_array("merge undone", 3)?;
    Ok(RevertedMerge {
        absorbed: read_profile(input)?,
        survivor: read_profile(input)?,
        merged: SequenceNumber(input.uint("record of a merge")?),
    })
}

fn read_merge_verdict(input: &mut Reader<'_>) -> Result<MergeVerdict, Malformed> {
    match read_variant(input, "merge verdict")? {
        (0, 0) => Ok(MergeVerdict::Merged),
        (1, 0) => Ok(MergeVerdict::AlreadyMerged),
        (2, 0) => Ok(MergeVerdict::NotFound),
        (MERGE_REFUSED, 4) => Ok(MergeVerdict::Refused(read_reason_fields(input)?)),
        _ => Err(input.malformed("merge verdict", "of an unknown kind")),
    }
}

fn write_attribution(out: &mut Writer<'_>, attribution: &HistoryAttribution) {
    out.array(5);
    out.uint(u64::from(attribution.source.0));
    out.uint(u64::from(attribution.destination.0));
    out.int(attribution.start.as_millis());
    out.int(attribution.end.as_millis());
    write_optional(out, attribution.refused, |out, rule| out.uint(rule_number(rule)));
}

fn read_attribution(input: &mut Reader<'_>) -> Result<HistoryAttribution, Malformed> {
    input.fixed_array("attribution", 5)?;
    Ok(HistoryAttribution {
        source: read_profile(input)?,
        destination: read_profile(input)?,
        start: read_time(input, "start of an attribution")?,
        end: read_time(input, "end of an attribution")?,
        refused: read_optional(input, read_rule)?,
    })
}

fn write_imported(out: &mut Writer<'_>, imported: &Imported) {
    out.array(3);
    out.int(imported.created_time.as_millis());
    out.list(&imported.identifier_times, write_time);
    out.list(&imported.trait_times, write_time);
}

fn read_imported(input: &mut Reader<'_>) -> Result<Imported, Malformed> {
    input.fixed_array("import", 3)?;
    Ok(Imported {
        created_time: read_time(input, "created time")?,
        identifier_times: input
            .list("identifier times", |input| read_time(input, "attached time"))?,
        trait_times: input.list("trait times", |input| read_time(input, "trait time"))?,
    })
}

fn write_ignored(out: &mut Writer<'_>, ignored: &IgnoredTrait<'_>) {
    out.array(2);
    out.text(&ignored.name);
    out.uint(trait_reason_number(ignored.reason));
}

fn read_ignored<'a>(input: &mut Reader<'a>) -> Result<IgnoredTrait<'a>, Malformed> {
    input.fixed_array("ignored trait", 2)?;
    let name = Cow::Borrowed(input.text("trait name")?);
    Ok(IgnoredTrait { name, reason: read_trait_reason(input)? })
}

fn write_time(out: &mut Writer<'_>, time: &Timestamp) {
    out.int(time.as_millis());
}

fn write_profile(out: &mut Writer<'_>, profile: Option<ProfileNumber>) {
    write_optional(out, profile, |out, profile| out.uint(u64::from(profile.0)));
}
