//! Records and snapshot parts as msgpack: the only code that knows the tags.
//!
//! Fields are mapped by hand, so that renaming one in the core never changes the format.
//! Decoding trusts nothing: it borrows from the bytes, never panics, and allocates in
//! proportion to the bytes that are there, whatever lengths they claim. What it returns is
//! well formed; whether it is possible on a graph is for [`ipse_core::Graph::validate`] and
//! [`ipse_core::snapshot::Loader`] to say. The layout is drawn in [`crate::format`].

mod msgpack;
mod part;
mod record;

pub use msgpack::Malformed;
pub use part::{decode_part, encode_part};
pub use record::{decode_record, encode_record};

use std::borrow::Cow;

use ipse_core::change::{PassedLimit, ProfileNumber, Reason, Rule, Target, Verdict};
use ipse_core::{Timestamp, TraitValue};

use msgpack::{Reader, Scalar, Writer};

const RULES: [Rule; 7] = [
    Rule::UnknownNamespace,
    Rule::InvalidValue,
    Rule::BlockedValue,
    Rule::ValueLimit,
    Rule::ValueTimeLimit,
    Rule::MergeLimit,
    Rule::IdentifierLimit,
];

fn write_target(out: &mut Writer<'_>, target: &Target) {
    match target {
        Target::Unresolved => {
            out.array(1);
            out.uint(0);
        }
        Target::Created(profile) => write_profile_target(out, 1, *profile),
        Target::Found(profile) => write_profile_target(out, 2, *profile),
        Target::Merged { survivor, absorbed } => {
            out.array(3);
            out.uint(3);
            out.uint(u64::from(survivor.0));
            out.array(absorbed.len());
            for profile in absorbed {
                out.uint(u64::from(profile.0));
            }
        }
    }
}

fn write_profile_target(out: &mut Writer<'_>, tag: u64, profile: ProfileNumber) {
    out.array(2);
    out.uint(tag);
    out.uint(u64::from(profile.0));
}

fn read_target(input: &mut Reader<'_>) -> Result<Target, Malformed> {
    let length = input.array("target")?;
    let tag = if length == 0 { u64::MAX } else { input.uint("target")? };
    match (tag, length) {
        (0, 1) => Ok(Target::Unresolved),
        (1, 2) => Ok(Target::Created(read_profile(input)?)),
        (2, 2) => Ok(Target::Found(read_profile(input)?)),
        (3, 3) => Ok(Target::Merged {
            survivor: read_profile(input)?,
            absorbed: input.list("absorbed", read_profile)?,
        }),
        _ => Err(input.malformed("target", "of an unknown kind")),
    }
}

fn read_profile(input: &mut Reader<'_>) -> Result<ProfileNumber, Malformed> {
    Ok(ProfileNumber(input.uint32("profile")?))
}

fn write_verdict(out: &mut Writer<'_>, verdict: &Verdict) {
    let (tag, reason) = match verdict {
        Verdict::Attached => return out.uint(0),
        Verdict::AlreadyAttached => return out.uint(1),
        Verdict::Dropped(reason) => (2, reason),
        Verdict::Refused(reason) => (3, reason),
    };
    out.array(4);
    out.uint(tag);
    out.uint(rule_number(reason.rule));
    write_limit(out, reason.limit.as_ref());
    match reason.collided {
        None => out.nil(),
        Some(profile) => out.uint(u64::from(profile.0)),
    }
}

fn write_limit(out: &mut Writer<'_>, limit: Option<&PassedLimit>) {
    let Some(limit) = limit else { return out.nil() };
    out.array(2);
    match &limit.namespace {
        None => out.nil(),
        Some(namespace) => out.text(namespace),
    }
    out.uint(u64::from(limit.value));
}

fn read_verdict(input: &mut Reader<'_>) -> Result<Verdict, Malformed> {
    if !input.at_array() {
        return match input.uint("verdict")? {
            0 => Ok(Verdict::Attached),
            1 => Ok(Verdict::AlreadyAttached),
            _ => Err(input.malformed("verdict", "of an unknown kind")),
        };
    }
    input.fixed_array("verdict", 4)?;
    let tag = input.uint("verdict")?;
    let reason = Reason {
        rule: read_rule(input)?,
        limit: read_limit(input)?,
        collided: if input.take_nil() { None } else { Some(read_profile(input)?) },
    };
    match tag {
        2 => Ok(Verdict::Dropped(reason)),
        3 => Ok(Verdict::Refused(reason)),
        _ => Err(input.malformed("verdict", "of an unknown kind")),
    }
}

fn read_limit(input: &mut Reader<'_>) -> Result<Option<PassedLimit>, Malformed> {
    if input.take_nil() {
        return Ok(None);
    }
    input.fixed_array("limit", 2)?;
    let namespace = if input.take_nil() { None } else { Some(input.text("limit")?.into()) };
    Ok(Some(PassedLimit { namespace, value: input.uint32("limit")? }))
}

/// Its place in [`RULES`], from 1. A match, so that a new rule cannot be forgotten here.
fn rule_number(rule: Rule) -> u64 {
    match rule {
        Rule::UnknownNamespace => 1,
        Rule::InvalidValue => 2,
        Rule::BlockedValue => 3,
        Rule::ValueLimit => 4,
        Rule::ValueTimeLimit => 5,
        Rule::MergeLimit => 6,
        Rule::IdentifierLimit => 7,
    }
}

fn read_rule(input: &mut Reader<'_>) -> Result<Rule, Malformed> {
    let number = input.uint("rule")?;
    let index = usize::try_from(number).unwrap_or(usize::MAX).wrapping_sub(1);
    RULES.get(index).copied().ok_or_else(|| input.malformed("rule", "of an unknown number"))
}

fn write_trait_value(out: &mut Writer<'_>, value: Option<&TraitValue<'_>>) {
    match value {
        None => out.nil(),
        Some(TraitValue::Text(text)) => out.text(text),
        Some(TraitValue::Integer(number)) => out.int(*number),
        Some(TraitValue::Number(number)) => out.float(*number),
        Some(TraitValue::Bool(value)) => out.bool(*value),
        Some(TraitValue::Json(text)) => {
            out.array(1);
            out.text(text);
        }
    }
}

fn read_trait_value<'a>(input: &mut Reader<'a>) -> Result<Option<TraitValue<'a>>, Malformed> {
    if input.at_array() {
        input.fixed_array("trait", 1)?;
        return Ok(Some(TraitValue::Json(Cow::Borrowed(input.text("trait")?))));
    }
    Ok(match input.scalar("trait")? {
        Scalar::Nil => None,
        Scalar::Text(text) => Some(TraitValue::Text(Cow::Borrowed(text))),
        Scalar::Int(number) => Some(TraitValue::Integer(number)),
        Scalar::Float(number) if number.is_finite() => Some(TraitValue::Number(number)),
        Scalar::Float(_) => return Err(input.malformed("trait", "not a finite number")),
        Scalar::Bool(value) => Some(TraitValue::Bool(value)),
    })
}

/// Most digests of records without an event id are 0: one byte instead of 18.
fn write_digest(out: &mut Writer<'_>, digest: u128) {
    match digest {
        0 => out.nil(),
        digest => out.bytes(&digest.to_be_bytes()),
    }
}

fn read_digest(input: &mut Reader<'_>) -> Result<u128, Malformed> {
    if input.take_nil() {
        return Ok(0);
    }
    Ok(u128::from_be_bytes(input.bytes16("digest")?))
}

fn read_time(input: &mut Reader<'_>, what: &'static str) -> Result<Timestamp, Malformed> {
    let millis = input.int(what)?;
    Timestamp::from_millis(millis).ok_or_else(|| input.malformed(what, "outside years 1 to 9999"))
}

#[cfg(test)]
mod tests;
