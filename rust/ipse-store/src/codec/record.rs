//! Records of the log.

use std::borrow::Cow;

use ipse_core::change::RulesVersion;
use ipse_core::rules::RulesText;
use ipse_core::{Change, EventResolved, ObservedIdentifier, Record, SequenceNumber, TraitSet};

use super::msgpack::{Malformed, Reader, Writer};
use super::{
    read_digest, read_profile, read_target, read_time, read_trait_value, read_verdict,
    write_digest, write_target, write_trait_value, write_verdict,
};
use crate::format::record_tag;

/// Fields of every record: workspace, sequence, log time, tag.
const COMMON_FIELDS: usize = 4;

/// Appends a record of the given workspace.
pub fn encode_record(buffer: &mut Vec<u8>, workspace: u32, record: &Record<'_>) {
    let out = &mut Writer(buffer);
    let mut common = |fields: usize, tag: u64| {
        out.array(COMMON_FIELDS + fields);
        out.uint(u64::from(workspace));
        out.uint(record.sequence.0);
        out.int(record.log_time.as_millis());
        out.uint(tag);
    };
    match &record.change {
        Change::WorkspaceCreated { name, profile_key, rules } => {
            common(3, record_tag::WORKSPACE_CREATED);
            out.text(name);
            out.bytes(profile_key);
            out.text(rules.text());
        }
        Change::RulesSet { version, rules } => {
            common(2, record_tag::RULES_SET);
            out.uint(u64::from(version.0));
            out.text(rules.text());
        }
        Change::EventResolved(event) => {
            common(11, record_tag::EVENT_RESOLVED);
            write_event(out, event);
        }
    }
}

/// The first record in `bytes`, its workspace, and how many bytes it took.
pub fn decode_record(bytes: &[u8]) -> Result<(u32, Record<'_>, usize), Malformed> {
    let input = &mut Reader::new(bytes);
    let length = input.array("record")?;
    if length < COMMON_FIELDS {
        return Err(input.malformed("record", "too short"));
    }
    let workspace = input.uint32("workspace")?;
    let sequence = SequenceNumber(input.uint("sequence")?);
    let log_time = read_time(input, "log time")?;
    let change = read_change(input, length - COMMON_FIELDS)?;
    Ok((workspace, Record { sequence, log_time, change }, input.offset()))
}

fn read_change<'a>(input: &mut Reader<'a>, fields: usize) -> Result<Change<'a>, Malformed> {
    match (input.uint("record tag")?, fields) {
        (record_tag::WORKSPACE_CREATED, 3) => Ok(Change::WorkspaceCreated {
            name: Cow::Borrowed(input.text("name")?),
            profile_key: input.bytes16("profile key")?,
            rules: RulesText::unparsed(input.text("rules")?),
        }),
        (record_tag::RULES_SET, 2) => Ok(Change::RulesSet {
            version: RulesVersion(input.uint32("rules version")?),
            rules: RulesText::unparsed(input.text("rules")?),
        }),
        (record_tag::EVENT_RESOLVED, 11) => Ok(Change::EventResolved(read_event(input)?)),
        (tag, fields) => Err(input.malformed(
            "record",
            format_args!("of kind {tag} with {fields} fields, which this program does not know"),
        )),
    }
}

fn write_event(out: &mut Writer<'_>, event: &EventResolved<'_>) {
    out.text(&event.event_id);
    write_digest(out, event.digest);
    out.text(&event.kind);
    out.text(&event.source);
    out.int(event.timestamp.as_millis());
    out.uint(u64::from(event.rules_version.0));
    match event.named_profile {
        None => out.nil(),
        Some(profile) => out.uint(u64::from(profile.0)),
    }
    out.text(&event.key_namespace);
    write_target(out, &event.target);
    out.array(event.identifiers.len());
    for identifier in &event.identifiers {
        write_identifier(out, identifier);
    }
    out.array(event.traits.len());
    for set in &event.traits {
        out.array(2);
        out.text(&set.name);
        write_trait_value(out, set.value.as_ref());
    }
}

fn read_event<'a>(input: &mut Reader<'a>) -> Result<EventResolved<'a>, Malformed> {
    Ok(EventResolved {
        event_id: Cow::Borrowed(input.text("event id")?),
        digest: read_digest(input)?,
        kind: Cow::Borrowed(input.text("event kind")?),
        source: Cow::Borrowed(input.text("source")?),
        timestamp: read_time(input, "event time")?,
        rules_version: RulesVersion(input.uint32("rules version")?),
        named_profile: if input.take_nil() { None } else { Some(read_profile(input)?) },
        key_namespace: Cow::Borrowed(input.text("key namespace")?),
        target: read_target(input)?,
        identifiers: input.list("identifiers", read_identifier)?,
        traits: input.list("traits", read_trait)?,
    })
}

fn write_identifier(out: &mut Writer<'_>, identifier: &ObservedIdentifier<'_>) {
    out.array(4);
    out.text(&identifier.namespace);
    out.text(&identifier.value);
    match &identifier.raw {
        None => out.nil(),
        Some(raw) => out.text(raw),
    }
    write_verdict(out, &identifier.verdict);
}

fn read_identifier<'a>(input: &mut Reader<'a>) -> Result<ObservedIdentifier<'a>, Malformed> {
    input.fixed_array("identifier", 4)?;
    Ok(ObservedIdentifier {
        namespace: Cow::Borrowed(input.text("namespace")?),
        value: Cow::Borrowed(input.text("identifier value")?),
        raw: if input.take_nil() { None } else { Some(Cow::Borrowed(input.text("raw value")?)) },
        verdict: read_verdict(input)?,
    })
}

fn read_trait<'a>(input: &mut Reader<'a>) -> Result<TraitSet<'a>, Malformed> {
    input.fixed_array("trait", 2)?;
    Ok(TraitSet { name: Cow::Borrowed(input.text("trait name")?), value: read_trait_value(input)? })
}
