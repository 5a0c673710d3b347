//! Records of the log.

use std::borrow::Cow;

use ipse_core::change::{Expired, ExpiredIdentifier, RulesVersion, Verb};
use ipse_core::rules::RulesText;
use ipse_core::{Change, EventResolved, ObservedIdentifier, Record, SequenceNumber, TraitSet};

use super::erased::{
    COMPLETED_FIELDS, DELETED_FIELDS, ERASED_FIELDS, read_completed, read_deleted, read_erased,
    write_completed, write_deleted, write_erased,
};
use super::extra::{read_extra, write_extra};
use super::msgpack::{Malformed, Reader, Writer};
use super::number::{read_verb, verb_number};
use super::{
    read_digest, read_optional, read_profile, read_target, read_time, read_trait_value, read_value,
    read_verdict, write_digest, write_optional, write_target, write_trait_value, write_value,
    write_verdict,
};
use crate::format::record_tag;

/// Fields of every record: workspace, sequence, log time, tag.
const COMMON_FIELDS: usize = 4;
/// Fields of every event.
const EVENT_FIELDS: usize = 11;
/// With the verb and the extra.
pub(super) const COMMAND_FIELDS: usize = EVENT_FIELDS + 2;

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
        Change::Erased(erased) => {
            common(ERASED_FIELDS, record_tag::ERASED);
            write_erased(out, erased);
        }
        Change::ErasureCompleted(completed) => {
            common(COMPLETED_FIELDS, record_tag::ERASURE_COMPLETED);
            write_completed(out, completed);
        }
        Change::WorkspaceDeleted(deleted) => {
            common(DELETED_FIELDS, record_tag::WORKSPACE_DELETED);
            write_deleted(out, deleted);
        }
        Change::Gone => common(0, record_tag::GONE),
        Change::Expired(expired) => {
            common(1, record_tag::EXPIRED);
            out.list(&expired.identifiers, write_expired);
        }
        Change::EventResolved(event) if is_plain(event) => {
            common(EVENT_FIELDS, record_tag::EVENT_RESOLVED);
            write_event(out, event);
        }
        Change::EventResolved(event) => {
            common(COMMAND_FIELDS, record_tag::COMMAND_RESOLVED);
            write_command(out, event);
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
        (record_tag::EVENT_RESOLVED, EVENT_FIELDS) => Ok(Change::EventResolved(read_event(input)?)),
        (record_tag::COMMAND_RESOLVED, COMMAND_FIELDS) => {
            Ok(Change::EventResolved(read_command(input)?))
        }
        (record_tag::ERASED, ERASED_FIELDS) => Ok(Change::Erased(read_erased(input)?)),
        (record_tag::ERASURE_COMPLETED, COMPLETED_FIELDS) => {
            Ok(Change::ErasureCompleted(read_completed(input)?))
        }
        (record_tag::WORKSPACE_DELETED, DELETED_FIELDS) => {
            Ok(Change::WorkspaceDeleted(read_deleted(input)?))
        }
        (record_tag::GONE, 0) => Ok(Change::Gone),
        (record_tag::EXPIRED, 1) => Ok(Change::Expired(Expired {
            identifiers: input.list("expired identifiers", read_expired)?,
        })),
        (tag, fields) => Err(input.malformed(
            "record",
            format_args!("of kind {tag} with {fields} fields, which this program does not know"),
        )),
    }
}

/// Whether it is what most events are: those are written without the fields that say so.
fn is_plain(event: &EventResolved<'_>) -> bool {
    event.verb == Verb::Observe && event.extra.is_none()
}

/// [`COMMAND_FIELDS`] fields.
pub(super) fn write_command(out: &mut Writer<'_>, event: &EventResolved<'_>) {
    write_event(out, event);
    out.uint(verb_number(event.verb));
    write_optional(out, event.extra.as_deref(), write_extra);
}

pub(super) fn read_command<'a>(input: &mut Reader<'a>) -> Result<EventResolved<'a>, Malformed> {
    let event = read_event(input)?;
    let verb = read_verb(input)?;
    let extra = read_optional(input, read_extra)?.map(Box::new);
    Ok(EventResolved { verb, extra, ..event })
}

fn write_event(out: &mut Writer<'_>, event: &EventResolved<'_>) {
    out.text(&event.event_id);
    write_digest(out, event.digest);
    out.text(&event.kind);
    out.text(&event.source);
    out.int(event.timestamp.as_millis());
    out.uint(u64::from(event.rules_version.0));
    write_optional(out, event.named_profile, |out, profile| out.uint(u64::from(profile.0)));
    out.text(&event.key_namespace);
    write_target(out, &event.target);
    out.list(&event.identifiers, write_identifier);
    out.list(&event.traits, write_trait);
}

fn read_event<'a>(input: &mut Reader<'a>) -> Result<EventResolved<'a>, Malformed> {
    Ok(EventResolved {
        event_id: Cow::Borrowed(input.text("event id")?),
        digest: read_digest(input)?,
        verb: Verb::Observe,
        kind: Cow::Borrowed(input.text("event kind")?),
        source: Cow::Borrowed(input.text("source")?),
        timestamp: read_time(input, "event time")?,
        rules_version: RulesVersion(input.uint32("rules version")?),
        named_profile: read_optional(input, read_profile)?,
        key_namespace: Cow::Borrowed(input.text("key namespace")?),
        target: read_target(input)?,
        identifiers: input.list("identifiers", read_identifier)?,
        traits: input.list("traits", read_trait)?,
        extra: None,
    })
}

fn write_expired(out: &mut Writer<'_>, expired: &ExpiredIdentifier<'_>) {
    out.array(5);
    out.uint(u64::from(expired.row));
    out.text(&expired.namespace);
    write_value(out, &expired.value);
    out.list(&expired.profiles, |out, profile| out.uint(u64::from(profile.0)));
    out.int(expired.last_seen.as_millis());
}

fn read_expired<'a>(input: &mut Reader<'a>) -> Result<ExpiredIdentifier<'a>, Malformed> {
    input.fixed_array("expired identifier", 5)?;
    Ok(ExpiredIdentifier {
        row: input.uint32("row")?,
        namespace: Cow::Borrowed(input.text("namespace")?),
        value: read_value(input)?,
        profiles: input.list("profiles", read_profile)?,
        last_seen: read_time(input, "last seen")?,
    })
}

fn write_identifier(out: &mut Writer<'_>, identifier: &ObservedIdentifier<'_>) {
    out.array(4);
    out.text(&identifier.namespace);
    write_value(out, &identifier.value);
    write_optional(out, identifier.raw.as_ref(), |out, raw| out.text(raw));
    write_verdict(out, &identifier.verdict);
}

fn read_identifier<'a>(input: &mut Reader<'a>) -> Result<ObservedIdentifier<'a>, Malformed> {
    input.fixed_array("identifier", 4)?;
    Ok(ObservedIdentifier {
        namespace: Cow::Borrowed(input.text("namespace")?),
        value: read_value(input)?,
        raw: read_optional(input, |input| input.text("raw value"))?.map(Cow::Borrowed),
        verdict: read_verdict(input)?,
    })
}

fn write_trait(out: &mut Writer<'_>, set: &TraitSet<'_>) {
    out.array(2);
    out.text(&set.name);
    write_trait_value(out, set.value.as_ref());
}

fn read_trait<'a>(input: &mut Reader<'a>) -> Result<TraitSet<'a>, Malformed> {
    input.fixed_array("trait", 2)?;
    Ok(TraitSet { name: Cow::Borrowed(input.text("trait name")?), value: read_trait_value(input)? })
}
