//! Parts of a snapshot.

use ipse_core::change::RulesVersion;
use ipse_core::snapshot::{
    AnonymousSeenPart, AttributionsPart, DeparturesPart, EvidencePart, HoldersPart,
    IdentifiersPart, LastSeenPart, LinksPart, PART_ROWS_MAX, Part, PartingsPart, ProfilesPart,
    RememberedEventsPart, RememberedRefusalsPart, SuppressionsPart, Texts, TraitsPart,
    WorkspacePart,
};
use ipse_core::{EventResolved, SequenceNumber};

use super::erased::{
    PENDING_COLUMNS, RECEIPT_COLUMNS, read_hashes, read_pending, read_receipts, write_hashes,
    write_pending, write_receipts,
};
use super::msgpack::{Malformed, Reader, Writer};
use super::number::{read_trait_reason, trait_reason_number};
use super::past::{
    read_past_edges, read_past_holdings, read_timeline, write_past_edges, write_past_holdings,
    write_timeline,
};
use super::record::{COMMAND_FIELDS, read_command, write_command};
use super::{
    read_digest, read_optional, read_target, read_time, read_trait_value, read_verdict,
    write_digest, write_optional, write_target, write_trait_value, write_verdict,
};
use crate::format::part_tag;
use crate::positions::Mark;

/// Fields of every part: workspace, tag.
const COMMON_FIELDS: usize = 2;

/// What a snapshot holds of a workspace.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "few are held at a time")]
pub enum SnapshotPart {
    /// A part of its graph.
    Graph(Part),
    /// Where the log has some of its records, in order.
    Positions(Vec<Mark>),
}

/// Appends a part of the given workspace.
pub fn encode_part(buffer: &mut Vec<u8>, workspace: u32, part: &SnapshotPart) {
    let out = &mut Writer(buffer);
    let (fields, tag) = match part {
        SnapshotPart::Graph(part) => shape(part),
        SnapshotPart::Positions(_) => (2, part_tag::POSITIONS),
    };
    out.array(COMMON_FIELDS + fields);
    out.uint(u64::from(workspace));
    out.uint(tag);
    match part {
        SnapshotPart::Graph(part) => write_columns(out, part),
        SnapshotPart::Positions(marks) => {
            out.list(marks, |out, mark| out.uint(mark.sequence.0));
            out.list(marks, |out, mark| out.uint(mark.position));
        }
    }
}

fn write_columns(out: &mut Writer<'_>, part: &Part) {
    match part {
        Part::Workspace(part) => write_workspace(out, part),
        Part::Profiles(part) => write_profiles(out, part),
        Part::Identifiers(part) => write_identifiers(out, part),
        Part::Links(part) => write_links(out, part),
        Part::Holders(part) => write_holders(out, part),
        Part::Evidence(part) => write_evidence(out, part),
        Part::Attributions(part) => write_attributions(out, part),
        Part::Departures(part) => write_departures(out, part),
        Part::Partings(part) => write_partings(out, part),
        Part::Traits(part) => write_traits(out, part),
        Part::RememberedEvents(part) => write_remembered_events(out, part),
        Part::RememberedRefusals(part) => {
            write_uints(out, &part.hash);
            write_uints(out, &part.sequence);
        }
        Part::Suppressions(part) => write_hashes(out, &part.hash),
        Part::Erasures(part) => write_receipts(out, part),
        Part::PendingErasures(part) => write_pending(out, part),
        Part::LastSeen(part) => {
            write_uints(out, &part.identifier);
            write_uints(out, &part.day);
        }
        Part::AnonymousSeen(part) => {
            write_uints(out, &part.profile);
            write_uints(out, &part.day);
        }
        Part::PastHoldings(part) => write_past_holdings(out, part),
        Part::PastEdges(part) => write_past_edges(out, part),
        Part::Timeline(part) => write_timeline(out, part),
    }
}

/// The first part in `bytes`, its workspace, and how many bytes it took.
pub fn decode_part(bytes: &[u8]) -> Result<(u32, SnapshotPart, usize), Malformed> {
    let input = &mut Reader::new(bytes);
    let length = input.array("part")?;
    if length < COMMON_FIELDS {
        return Err(input.malformed("part", "too short"));
    }
    let workspace = input.uint32("workspace")?;
    let part = match (input.uint("part tag")?, length - COMMON_FIELDS) {
        (part_tag::POSITIONS, 2) => SnapshotPart::Positions(read_positions(input)?),
        (tag, fields) => SnapshotPart::Graph(read_columns(input, tag, fields)?),
    };
    Ok((workspace, part, input.offset()))
}

/// How many fields it has after those of every part, and its tag.
fn shape(part: &Part) -> (usize, u64) {
    match part {
        Part::Workspace(_) => (10, part_tag::WORKSPACE),
        Part::Profiles(_) => (7, part_tag::PROFILES),
        Part::Identifiers(_) => (6, part_tag::IDENTIFIERS),
        Part::Links(_) => (3, part_tag::LINKS),
        Part::Holders(_) => (4, part_tag::HOLDERS),
        Part::Evidence(_) => (7, part_tag::EVIDENCE),
        Part::Attributions(_) => (5, part_tag::ATTRIBUTIONS),
        Part::Departures(_) => (2, part_tag::DEPARTURES),
        Part::Partings(_) => (3, part_tag::PARTINGS),
        Part::Traits(_) => (6, part_tag::TRAITS),
        Part::RememberedEvents(_) => (13, part_tag::REMEMBERED_EVENTS),
        Part::RememberedRefusals(_) => (2, part_tag::REMEMBERED_REFUSALS),
        Part::Suppressions(_) => (1, part_tag::SUPPRESSIONS),
        Part::Erasures(_) => (RECEIPT_COLUMNS, part_tag::ERASURES),
        Part::PendingErasures(_) => (PENDING_COLUMNS, part_tag::PENDING_ERASURES),
        Part::LastSeen(_) => (2, part_tag::LAST_SEEN),
        Part::AnonymousSeen(_) => (2, part_tag::ANONYMOUS_SEEN),
        Part::PastHoldings(_) => (6, part_tag::PAST_HOLDINGS),
        Part::PastEdges(_) => (7, part_tag::PAST_EDGES),
        Part::Timeline(_) => (3, part_tag::TIMELINE),
    }
}

fn read_columns(input: &mut Reader<'_>, tag: u64, fields: usize) -> Result<Part, Malformed> {
    Ok(match (tag, fields) {
        (part_tag::WORKSPACE, 10) => Part::Workspace(read_workspace(input)?),
        (part_tag::PROFILES, 7) => Part::Profiles(read_profiles(input)?),
        (part_tag::IDENTIFIERS, 6) => Part::Identifiers(read_identifiers(input)?),
        (part_tag::LINKS, 3) => Part::Links(read_links(input)?),
        (part_tag::HOLDERS, 4) => Part::Holders(read_holders(input)?),
        (part_tag::EVIDENCE, 7) => Part::Evidence(read_evidence(input)?),
        (part_tag::ATTRIBUTIONS, 5) => Part::Attributions(read_attributions(input)?),
        (part_tag::DEPARTURES, 2) => Part::Departures(read_departures(input)?),
        (part_tag::PARTINGS, 3) => Part::Partings(read_partings(input)?),
        (part_tag::TRAITS, 6) => Part::Traits(read_traits(input)?),
        (part_tag::REMEMBERED_EVENTS, 13) => Part::RememberedEvents(read_remembered_events(input)?),
        (part_tag::REMEMBERED_REFUSALS, 2) => Part::RememberedRefusals(RememberedRefusalsPart {
            hash: read_u64s(input, "refusal")?,
            sequence: read_u64s(input, "sequence")?,
        }),
        (part_tag::SUPPRESSIONS, 1) => {
            Part::Suppressions(SuppressionsPart { hash: read_hashes(input)? })
        }
        (part_tag::ERASURES, RECEIPT_COLUMNS) => Part::Erasures(read_receipts(input)?),
        (part_tag::PENDING_ERASURES, PENDING_COLUMNS) => {
            Part::PendingErasures(read_pending(input)?)
        }
        (part_tag::LAST_SEEN, 2) => Part::LastSeen(LastSeenPart {
            identifier: read_u32s(input, "identifier")?,
            day: read_u32s(input, "day")?,
        }),
        (part_tag::ANONYMOUS_SEEN, 2) => Part::AnonymousSeen(AnonymousSeenPart {
            profile: read_u32s(input, "profile")?,
            day: read_u32s(input, "day")?,
        }),
        (part_tag::PAST_HOLDINGS, 6) => Part::PastHoldings(read_past_holdings(input)?),
        (part_tag::PAST_EDGES, 7) => Part::PastEdges(read_past_edges(input)?),
        (part_tag::TIMELINE, 3) => Part::Timeline(read_timeline(input)?),
        (tag, fields) => {
            return Err(input.malformed(
                "part",
                format_args!(
                    "of kind {tag} with {fields} fields, which this program does not know"
                ),
            ));
        }
    })
}

fn read_positions(input: &mut Reader<'_>) -> Result<Vec<Mark>, Malformed> {
    let sequences = read_u64s(input, "sequence")?;
    let positions = read_u64s(input, "log position")?;
    if sequences.len() != positions.len() {
        return Err(input.malformed("positions", "of columns that are not equally long"));
    }
    let mark = |(sequence, position)| Mark { sequence: SequenceNumber(sequence), position };
    Ok(sequences.into_iter().zip(positions).map(mark).collect())
}

fn write_workspace(out: &mut Writer<'_>, part: &WorkspacePart) {
    out.text(&part.name);
    out.bytes(&part.profile_key);
    out.int(part.created_time.as_millis());
    out.uint(part.sequence.0);
    out.int(part.log_time.as_millis());
    out.uint(u64::from(part.rules_version.0));
    out.text(&part.rules);
    write_texts(out, &part.namespaces);
    out.bytes(&part.state_hash.to_be_bytes());
    out.uint(part.oldest_past.0);
}

fn read_workspace(input: &mut Reader<'_>) -> Result<WorkspacePart, Malformed> {
    Ok(WorkspacePart {
        name: input.string("name")?,
        profile_key: input.bytes16("profile key")?,
        created_time: read_time(input, "created time")?,
        sequence: SequenceNumber(input.uint("sequence")?),
        log_time: read_time(input, "log time")?,
        rules_version: RulesVersion(input.uint32("rules version")?),
        rules: input.string("rules")?,
        namespaces: read_texts(input, "namespace")?,
        state_hash: u128::from_be_bytes(input.bytes16("state hash")?),
        oldest_past: SequenceNumber(input.uint("oldest sequence")?),
    })
}

fn write_profiles(out: &mut Writer<'_>, part: &ProfilesPart) {
    write_uints(out, &part.parent);
    write_uints(out, &part.merged_sequence);
    write_uints(out, &part.bearer);
    write_uints(out, &part.created_sequence);
    write_ints(out, &part.created_time);
    write_uints(out, &part.merge_rank);
    write_uints(out, &part.flags);
}

fn read_profiles(input: &mut Reader<'_>) -> Result<ProfilesPart, Malformed> {
    Ok(ProfilesPart {
        parent: read_u32s(input, "parent")?,
        merged_sequence: read_u64s(input, "merged sequence")?,
        bearer: read_u32s(input, "bearer")?,
        created_sequence: read_u64s(input, "created sequence")?,
        created_time: read_i64s(input, "created time")?,
        merge_rank: read_u16s(input, "rank of a merge")?,
        flags: read_u8s(input, "flags of a profile")?,
    })
}

fn write_identifiers(out: &mut Writer<'_>, part: &IdentifiersPart) {
    write_uints(out, &part.namespace);
    out.array(part.value.len());
    part.value.iter().for_each(|value| out.text(value));
    write_uints(out, &part.profile);
    write_uints(out, &part.attached_sequence);
    write_ints(out, &part.attached_time);
    write_uints(out, &part.flags);
}

fn read_identifiers(input: &mut Reader<'_>) -> Result<IdentifiersPart, Malformed> {
    Ok(IdentifiersPart {
        namespace: read_u16s(input, "namespace")?,
        value: read_values(input)?,
        profile: read_u32s(input, "profile")?,
        attached_sequence: read_u64s(input, "attached sequence")?,
        attached_time: read_i64s(input, "attached time")?,
        flags: read_u8s(input, "flags of an identifier")?,
    })
}

fn read_values(input: &mut Reader<'_>) -> Result<Texts, Malformed> {
    let mut values = Texts::default();
    for _ in 0..input.array("identifier value")? {
        values.push(input.text("identifier value")?);
    }
    Ok(values)
}

fn write_links(out: &mut Writer<'_>, part: &LinksPart) {
    write_uints(out, &part.stronger);
    write_uints(out, &part.weaker);
    write_uints(out, &part.sequence);
}

fn read_links(input: &mut Reader<'_>) -> Result<LinksPart, Malformed> {
    Ok(LinksPart {
        stronger: read_u32s(input, "stronger identifier")?,
        weaker: read_u32s(input, "weaker identifier")?,
        sequence: read_u64s(input, "link sequence")?,
    })
}

fn write_holders(out: &mut Writer<'_>, part: &HoldersPart) {
    write_uints(out, &part.identifier);
    write_uints(out, &part.profile);
    write_uints(out, &part.sequence);
    write_ints(out, &part.time);
}

fn read_holders(input: &mut Reader<'_>) -> Result<HoldersPart, Malformed> {
    Ok(HoldersPart {
        identifier: read_u32s(input, "shared identifier")?,
        profile: read_u32s(input, "further holder")?,
        sequence: read_u64s(input, "holder sequence")?,
        time: read_i64s(input, "holder time")?,
    })
}

fn write_evidence(out: &mut Writer<'_>, part: &EvidencePart) {
    write_uints(out, &part.a);
    write_uints(out, &part.b);
    write_uints(out, &part.first);
    write_ints(out, &part.last_time);
    write_uints(out, &part.last_sequence);
    write_uints(out, &part.state);
    write_uints(out, &part.displaced_by);
}

fn read_evidence(input: &mut Reader<'_>) -> Result<EvidencePart, Malformed> {
    Ok(EvidencePart {
        a: read_u32s(input, "evidence's identifier")?,
        b: read_u32s(input, "evidence's other identifier")?,
        first: read_u64s(input, "first sequence")?,
        last_time: read_i64s(input, "last time")?,
        last_sequence: read_u64s(input, "last sequence")?,
        state: read_u8s(input, "state of a link")?,
        displaced_by: read_u64s(input, "displacing sequence")?,
    })
}

fn write_attributions(out: &mut Writer<'_>, part: &AttributionsPart) {
    write_uints(out, &part.source);
    write_uints(out, &part.destination);
    write_ints(out, &part.start);
    write_ints(out, &part.end);
    write_uints(out, &part.sequence);
}

fn read_attributions(input: &mut Reader<'_>) -> Result<AttributionsPart, Malformed> {
    Ok(AttributionsPart {
        source: read_u32s(input, "source")?,
        destination: read_u32s(input, "destination")?,
        start: read_i64s(input, "start of an attribution")?,
        end: read_i64s(input, "end of an attribution")?,
        sequence: read_u64s(input, "attribution sequence")?,
    })
}

fn write_departures(out: &mut Writer<'_>, part: &DeparturesPart) {
    write_uints(out, &part.profile);
    write_uints(out, &part.sequence);
}

fn read_departures(input: &mut Reader<'_>) -> Result<DeparturesPart, Malformed> {
    Ok(DeparturesPart {
        profile: read_u32s(input, "profile")?,
        sequence: read_u64s(input, "departure sequence")?,
    })
}

fn write_partings(out: &mut Writer<'_>, part: &PartingsPart) {
    write_uints(out, &part.identifier);
    write_uints(out, &part.sequence);
    write_uints(out, &part.side);
}

fn read_partings(input: &mut Reader<'_>) -> Result<PartingsPart, Malformed> {
    Ok(PartingsPart {
        identifier: read_u32s(input, "identifier")?,
        sequence: read_u64s(input, "parting sequence")?,
        side: read_u32s(input, "side")?,
    })
}

fn write_traits(out: &mut Writer<'_>, part: &TraitsPart) {
    write_uints(out, &part.profile);
    write_texts(out, &part.name);
    out.list(&part.value, |out, value| write_trait_value(out, value.as_ref()));
    write_ints(out, &part.time);
    write_uints(out, &part.sequence);
    write_uints(out, &part.by);
}

fn read_traits(input: &mut Reader<'_>) -> Result<TraitsPart, Malformed> {
    Ok(TraitsPart {
        profile: read_u32s(input, "profile")?,
        name: read_texts(input, "trait name")?,
        value: input
            .list("trait", |input| Ok(read_trait_value(input)?.map(|value| value.to_static())))?,
        time: read_i64s(input, "trait time")?,
        sequence: read_u64s(input, "trait sequence")?,
        by: read_u32s(input, "identifier of a trait")?,
    })
}

fn write_remembered_events(out: &mut Writer<'_>, part: &RememberedEventsPart) {
    write_texts(out, &part.event_id);
    out.list(&part.digest, |out, digest| write_digest(out, *digest));
    write_uints(out, &part.sequence);
    write_ints(out, &part.log_time);
    write_uints(out, &part.rules_version);
    out.list(&part.known, |out, known| out.bool(*known));
    out.list(&part.target, write_target);
    write_uints(out, &part.attributed_by);
    out.list(&part.verdicts, |out, verdicts| out.list(verdicts, write_verdict));
    out.list(&part.ranks, |out, ranks| write_uints(out, ranks));
    out.list(&part.ignored_names, |out, names| write_uints(out, names));
    out.list(&part.ignored_reasons, |out, reasons| {
        out.list(reasons, |out, reason| out.uint(trait_reason_number(*reason)));
    });
    out.list(&part.record, |out, record| write_optional(out, record.as_ref(), write_record));
}

fn read_remembered_events(input: &mut Reader<'_>) -> Result<RememberedEventsPart, Malformed> {
    Ok(RememberedEventsPart {
        event_id: read_texts(input, "event id")?,
        digest: input.list("digest", read_digest)?,
        sequence: read_u64s(input, "sequence")?,
        log_time: read_i64s(input, "log time")?,
        rules_version: read_u32s(input, "rules version")?,
        known: input.list("known", |input| input.bool("known"))?,
        target: input.list("target", read_target)?,
        attributed_by: read_u32s(input, "attributed by")?,
        verdicts: input.list("verdicts", |input| input.list("verdicts", read_verdict))?,
        ranks: input.list("ranks", |input| read_u16s(input, "ranks"))?,
        ignored_names: input.list("ignored names", |input| read_u32s(input, "ignored names"))?,
        ignored_reasons: input
            .list("ignored reasons", |input| input.list("ignored reasons", read_trait_reason))?,
        record: read_records(input)?,
    })
}

/// A row that is nil takes one byte here and hundreds in memory: the number is bounded first.
fn read_records(input: &mut Reader<'_>) -> Result<Vec<Option<EventResolved<'static>>>, Malformed> {
    input.short_list("records", PART_ROWS_MAX, |input| read_optional(input, read_record))
}

fn write_record(out: &mut Writer<'_>, record: &EventResolved<'_>) {
    out.array(COMMAND_FIELDS);
    write_command(out, record);
}

fn read_record(input: &mut Reader<'_>) -> Result<EventResolved<'static>, Malformed> {
    input.fixed_array("record", COMMAND_FIELDS)?;
    Ok(read_command(input)?.to_static())
}

pub(super) fn write_uints<T: Copy + Into<u64>>(out: &mut Writer<'_>, column: &[T]) {
    out.list(column, |out, value| out.uint((*value).into()));
}

pub(super) fn write_ints(out: &mut Writer<'_>, column: &[i64]) {
    out.list(column, |out, value| out.int(*value));
}

fn write_texts(out: &mut Writer<'_>, column: &[String]) {
    out.list(column, |out, value| out.text(value));
}

pub(super) fn read_u8s(input: &mut Reader<'_>, what: &'static str) -> Result<Vec<u8>, Malformed> {
    input.list(what, |input| input.uint8(what))
}

pub(super) fn read_u16s(input: &mut Reader<'_>, what: &'static str) -> Result<Vec<u16>, Malformed> {
    input.list(what, |input| input.uint16(what))
}

pub(super) fn read_u32s(input: &mut Reader<'_>, what: &'static str) -> Result<Vec<u32>, Malformed> {
    input.list(what, |input| input.uint32(what))
}

pub(super) fn read_u64s(input: &mut Reader<'_>, what: &'static str) -> Result<Vec<u64>, Malformed> {
    input.list(what, |input| input.uint(what))
}

pub(super) fn read_i64s(input: &mut Reader<'_>, what: &'static str) -> Result<Vec<i64>, Malformed> {
    input.list(what, |input| input.int(what))
}

fn read_texts(input: &mut Reader<'_>, what: &'static str) -> Result<Vec<String>, Malformed> {
    input.list(what, |input| input.string(what))
}
