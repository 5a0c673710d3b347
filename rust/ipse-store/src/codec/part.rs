//! Parts of a snapshot.

use ipse_core::SequenceNumber;
use ipse_core::change::RulesVersion;
use ipse_core::snapshot::{
    IdentifiersPart, LinksPart, Part, ProfilesPart, RememberedEventsPart, RememberedRefusalsPart,
    TraitsPart, WorkspacePart,
};

use super::msgpack::{Malformed, Reader, Writer};
use super::{
    read_digest, read_target, read_time, read_trait_value, read_verdict, write_digest,
    write_target, write_trait_value, write_verdict,
};
use crate::format::part_tag;

/// Fields of every part: workspace, tag.
const COMMON_FIELDS: usize = 2;

/// Appends a part of the given workspace.
pub fn encode_part(buffer: &mut Vec<u8>, workspace: u32, part: &Part) {
    let out = &mut Writer(buffer);
    let (fields, tag) = shape(part);
    out.array(COMMON_FIELDS + fields);
    out.uint(u64::from(workspace));
    out.uint(tag);
    match part {
        Part::Workspace(part) => write_workspace(out, part),
        Part::Profiles(part) => write_profiles(out, part),
        Part::Identifiers(part) => write_identifiers(out, part),
        Part::Links(part) => write_links(out, part),
        Part::Traits(part) => write_traits(out, part),
        Part::RememberedEvents(part) => write_remembered_events(out, part),
        Part::RememberedRefusals(part) => write_uints(out, &part.hash),
    }
}

/// The first part in `bytes`, its workspace, and how many bytes it took.
pub fn decode_part(bytes: &[u8]) -> Result<(u32, Part, usize), Malformed> {
    let input = &mut Reader::new(bytes);
    let length = input.array("part")?;
    if length < COMMON_FIELDS {
        return Err(input.malformed("part", "too short"));
    }
    let workspace = input.uint32("workspace")?;
    let part = match (input.uint("part tag")?, length - COMMON_FIELDS) {
        (part_tag::WORKSPACE, 9) => Part::Workspace(read_workspace(input)?),
        (part_tag::PROFILES, 5) => Part::Profiles(read_profiles(input)?),
        (part_tag::IDENTIFIERS, 5) => Part::Identifiers(read_identifiers(input)?),
        (part_tag::LINKS, 3) => Part::Links(read_links(input)?),
        (part_tag::TRAITS, 5) => Part::Traits(read_traits(input)?),
        (part_tag::REMEMBERED_EVENTS, 8) => Part::RememberedEvents(read_remembered_events(input)?),
        (part_tag::REMEMBERED_REFUSALS, 1) => {
            Part::RememberedRefusals(RememberedRefusalsPart { hash: read_u64s(input, "refusal")? })
        }
        (tag, fields) => {
            return Err(input.malformed(
                "part",
                format_args!(
                    "of kind {tag} with {fields} fields, which this program does not know"
                ),
            ));
        }
    };
    Ok((workspace, part, input.offset()))
}

fn shape(part: &Part) -> (usize, u64) {
    match part {
        Part::Workspace(_) => (9, part_tag::WORKSPACE),
        Part::Profiles(_) => (5, part_tag::PROFILES),
        Part::Identifiers(_) => (5, part_tag::IDENTIFIERS),
        Part::Links(_) => (3, part_tag::LINKS),
        Part::Traits(_) => (5, part_tag::TRAITS),
        Part::RememberedEvents(_) => (8, part_tag::REMEMBERED_EVENTS),
        Part::RememberedRefusals(_) => (1, part_tag::REMEMBERED_REFUSALS),
    }
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
    })
}

fn write_profiles(out: &mut Writer<'_>, part: &ProfilesPart) {
    write_uints(out, &part.parent);
    write_uints(out, &part.merged_sequence);
    write_uints(out, &part.bearer);
    write_uints(out, &part.created_sequence);
    write_ints(out, &part.created_time);
}

fn read_profiles(input: &mut Reader<'_>) -> Result<ProfilesPart, Malformed> {
    Ok(ProfilesPart {
        parent: read_u32s(input, "parent")?,
        merged_sequence: read_u64s(input, "merged sequence")?,
        bearer: read_u32s(input, "bearer")?,
        created_sequence: read_u64s(input, "created sequence")?,
        created_time: read_i64s(input, "created time")?,
    })
}

fn write_identifiers(out: &mut Writer<'_>, part: &IdentifiersPart) {
    write_uints(out, &part.namespace);
    write_texts(out, &part.value);
    write_uints(out, &part.profile);
    write_uints(out, &part.attached_sequence);
    write_ints(out, &part.attached_time);
}

fn read_identifiers(input: &mut Reader<'_>) -> Result<IdentifiersPart, Malformed> {
    Ok(IdentifiersPart {
        namespace: input.list("namespace", |input| input.uint16("namespace"))?,
        value: read_texts(input, "identifier value")?,
        profile: read_u32s(input, "profile")?,
        attached_sequence: read_u64s(input, "attached sequence")?,
        attached_time: read_i64s(input, "attached time")?,
    })
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

fn write_traits(out: &mut Writer<'_>, part: &TraitsPart) {
    write_uints(out, &part.profile);
    write_texts(out, &part.name);
    write_list(out, &part.value, |out, value| write_trait_value(out, value.as_ref()));
    write_ints(out, &part.time);
    write_uints(out, &part.sequence);
}

fn read_traits(input: &mut Reader<'_>) -> Result<TraitsPart, Malformed> {
    Ok(TraitsPart {
        profile: read_u32s(input, "profile")?,
        name: read_texts(input, "trait name")?,
        value: input
            .list("trait", |input| Ok(read_trait_value(input)?.map(|value| value.to_static())))?,
        time: read_i64s(input, "trait time")?,
        sequence: read_u64s(input, "trait sequence")?,
    })
}

fn write_remembered_events(out: &mut Writer<'_>, part: &RememberedEventsPart) {
    write_texts(out, &part.event_id);
    write_list(out, &part.digest, |out, digest| write_digest(out, *digest));
    write_uints(out, &part.sequence);
    write_ints(out, &part.log_time);
    write_uints(out, &part.rules_version);
    write_list(out, &part.known, |out, known| out.bool(*known));
    write_list(out, &part.target, write_target);
    write_list(out, &part.verdicts, |out, verdicts| write_list(out, verdicts, write_verdict));
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
        verdicts: input.list("verdicts", |input| input.list("verdicts", read_verdict))?,
    })
}

fn write_list<T>(out: &mut Writer<'_>, column: &[T], write: impl Fn(&mut Writer<'_>, &T)) {
    out.array(column.len());
    for value in column {
        write(out, value);
    }
}

fn write_uints<T: Copy + Into<u64>>(out: &mut Writer<'_>, column: &[T]) {
    write_list(out, column, |out, value| out.uint((*value).into()));
}

fn write_ints(out: &mut Writer<'_>, column: &[i64]) {
    write_list(out, column, |out, value| out.int(*value));
}

fn write_texts(out: &mut Writer<'_>, column: &[String]) {
    write_list(out, column, |out, value| out.text(value));
}

fn read_u32s(input: &mut Reader<'_>, what: &'static str) -> Result<Vec<u32>, Malformed> {
    input.list(what, |input| input.uint32(what))
}

fn read_u64s(input: &mut Reader<'_>, what: &'static str) -> Result<Vec<u64>, Malformed> {
    input.list(what, |input| input.uint(what))
}

fn read_i64s(input: &mut Reader<'_>, what: &'static str) -> Result<Vec<i64>, Malformed> {
    input.list(what, |input| input.int(what))
}

fn read_texts(input: &mut Reader<'_>, what: &'static str) -> Result<Vec<String>, Malformed> {
    input.list(what, |input| input.string(what))
}
