//! Records and snapshot parts as msgpack: the only code that knows the tags.
//!
//! Fields are mapped by hand, so that renaming one in the core never changes the format.
//! Decoding trusts nothing: it borrows from the bytes, never panics, and allocates in
//! proportion to the bytes that are there, whatever lengths they claim. What it returns is
//! well formed; whether it is possible on a graph is for [`ipse_core::Graph::validate`] and
//! [`ipse_core::snapshot::Loader`] to say. The layout is drawn in [`crate::format`].

mod erased;
mod extra;
mod msgpack;
mod number;
mod part;
mod past;
mod record;

pub use msgpack::Malformed;
pub use part::{SnapshotPart, decode_part, encode_part};
pub use record::{decode_record, encode_record};

use std::borrow::Cow;

use ipse_core::change::{PassedLimit, ProfileNumber, Reason, Target, Verdict};
use ipse_core::erasure::{pseudonym, pseudonym_number};
use ipse_core::{Timestamp, TraitValue};

use msgpack::{Reader, Scalar, Writer};
use number::{read_rule, rule_number};

/// Tag of [`Verdict::Dropped`], whose reason follows.
const VERDICT_DROPPED: u64 = 2;
/// Tag of [`Verdict::Refused`], whose reason follows.
const VERDICT_REFUSED: u64 = 3;
/// Tag of [`Verdict::Transferred`], whose former holder follows.
const VERDICT_TRANSFERRED: u64 = 5;

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
            out.list(absorbed, |out, profile| out.uint(u64::from(profile.0)));
        }
    }
}

fn write_profile_target(out: &mut Writer<'_>, tag: u64, profile: ProfileNumber) {
    out.array(2);
    out.uint(tag);
    out.uint(u64::from(profile.0));
}

fn read_target(input: &mut Reader<'_>) -> Result<Target, Malformed> {
    match read_variant(input, "target")? {
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
    match verdict {
        Verdict::Attached => out.uint(0),
        Verdict::AlreadyAttached => out.uint(1),
        Verdict::Dropped(reason) => write_reason(out, VERDICT_DROPPED, reason),
        Verdict::Refused(reason) => write_reason(out, VERDICT_REFUSED, reason),
        Verdict::Removed => out.uint(4),
        Verdict::Transferred { from } => write_profile_target(out, VERDICT_TRANSFERRED, *from),
    }
}

/// A verdict with a reason: its tag first.
fn write_reason(out: &mut Writer<'_>, tag: u64, reason: &Reason) {
    out.array(4);
    out.uint(tag);
    out.uint(rule_number(reason.rule));
    write_optional(out, reason.limit.as_ref(), write_limit);
    write_optional(out, reason.collided, |out, profile| out.uint(u64::from(profile.0)));
}

fn write_limit(out: &mut Writer<'_>, limit: &PassedLimit) {
    out.array(2);
    write_optional(out, limit.namespace.as_ref(), |out, namespace| out.text(namespace));
    out.uint(u64::from(limit.value));
}

fn read_verdict(input: &mut Reader<'_>) -> Result<Verdict, Malformed> {
    match read_variant(input, "verdict")? {
        (0, 0) => Ok(Verdict::Attached),
        (1, 0) => Ok(Verdict::AlreadyAttached),
        (4, 0) => Ok(Verdict::Removed),
        (VERDICT_DROPPED, 4) => Ok(Verdict::Dropped(read_reason_fields(input)?)),
        (VERDICT_REFUSED, 4) => Ok(Verdict::Refused(read_reason_fields(input)?)),
        (VERDICT_TRANSFERRED, 2) => Ok(Verdict::Transferred { from: read_profile(input)? }),
        _ => Err(input.malformed("verdict", "of an unknown kind")),
    }
}

/// What follows the tag of [`write_reason`].
fn read_reason_fields(input: &mut Reader<'_>) -> Result<Reason, Malformed> {
    Ok(Reason {
        rule: read_rule(input)?,
        limit: read_optional(input, read_limit)?,
        collided: read_optional(input, read_profile)?,
    })
}

fn read_limit(input: &mut Reader<'_>) -> Result<PassedLimit, Malformed> {
    input.fixed_array("limit", 2)?;
    let namespace = read_optional(input, |input| input.text("limit"))?.map(Into::into);
    Ok(PassedLimit { namespace, value: input.uint32("limit")? })
}

/// The tag of a variant, and the length of the array that it begins: 0 if it stands alone.
fn read_variant(input: &mut Reader<'_>, what: &'static str) -> Result<(u64, usize), Malformed> {
    if !input.at_array() {
        return Ok((input.uint(what)?, 0));
    }
    match input.array(what)? {
        0 => Err(input.malformed(what, "empty")),
        length => Ok((input.uint(what)?, length)),
    }
}

/// Nil for `None`.
fn write_optional<T>(
    out: &mut Writer<'_>,
    value: Option<T>,
    write: impl FnOnce(&mut Writer<'_>, T),
) {
    match value {
        None => out.nil(),
        Some(value) => write(out, value),
    }
}

fn read_optional<'a, T>(
    input: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Malformed>,
) -> Result<Option<T>, Malformed> {
    if input.take_nil() { Ok(None) } else { read(input).map(Some) }
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

/// A value, or the number that stands for one that was erased.
fn write_value(out: &mut Writer<'_>, value: &str) {
    match pseudonym_number(value) {
        Some(number) => out.uint(number),
        None => out.text(value),
    }
}

fn read_value<'a>(input: &mut Reader<'a>) -> Result<Cow<'a, str>, Malformed> {
    if input.at_text() {
        return Ok(Cow::Borrowed(input.text("identifier value")?));
    }
    Ok(Cow::Owned(pseudonym(input.uint("identifier value")?)))
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
