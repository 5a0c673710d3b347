//! What a raw event has one of: its id, its type and its time.
//!
//! Of several places the first with something in it counts. An id or a time that cannot be
//! read refuses the event, unless the request itself says it: without them the event could not
//! be told from another, or would count for a time at which nothing happened.

use std::borrow::Cow;

use ipse_core::Timestamp;
use ipse_core::rules::{Path, Source, TimeSource, TimeUnit};

use super::holds_all;
use crate::json::{Kind, Node};
use crate::rfc3339;
use crate::status::Status;

/// From this many on, a number is milliseconds where it may be either.
const MILLISECONDS_FROM: f64 = 1e11;

/// The id at the first place with something in it, text or a whole number; empty if there is
/// none.
pub(super) fn id<'a>(event: Node<'_, 'a>, sources: &[Source]) -> Result<Cow<'a, str>, Status> {
    let read = |node: Node<'_, 'a>| match node.kind() {
        Kind::Integer => Some(Cow::Borrowed(node.text())),
        _ => node.string(),
    };
    let mut found = sources.iter().filter_map(|source| present(event, source, read));
    match found.next() {
        None => Ok(Cow::Borrowed("")),
        Some((_, Some(id))) => Ok(id),
        Some((path, None)) => Err(refused(path, "neither text nor a whole number")),
    }
}

/// The text at the first place with something in it; empty if there is none.
pub(super) fn text<'a>(event: Node<'_, 'a>, sources: &[Source]) -> Result<Cow<'a, str>, Status> {
    let mut found =
        sources.iter().filter_map(|source| present(event, source, |node| node.string()));
    match found.next() {
        None => Ok(Cow::Borrowed("")),
        Some((_, Some(text))) => Ok(text),
        Some((path, None)) => Err(refused(path, "not a string of text")),
    }
}

/// The time at the first place with something in it.
pub(super) fn timestamp(
    event: Node<'_, '_>,
    sources: &[TimeSource],
) -> Result<Option<Timestamp>, Status> {
    let mut found = sources
        .iter()
        .filter_map(|source| Some((source, present(event, &source.source, |n| time(n, source))?)));
    match found.next() {
        None => Ok(None),
        Some((_, (_, Some(time)))) => Ok(Some(time)),
        Some((source, (path, None))) => Err(refused(path, expected(source))),
    }
}

/// What `read` makes of the value at a place, if there is one that is not null.
fn present<'s, 'a, T>(
    event: Node<'_, 'a>,
    source: &'s Source,
    read: impl Fn(Node<'_, 'a>) -> Option<T>,
) -> Option<(&'s Path, Option<T>)> {
    if !holds_all(event, source) {
        return None;
    }
    let found =
        event.find(&source.path.0, |node| (node.kind() != Kind::Null).then(|| read(node)))?;
    Some((&source.path, found))
}

fn time(node: Node<'_, '_>, source: &TimeSource) -> Option<Timestamp> {
    let text = match node.kind() {
        Kind::Integer | Kind::Fraction => return number(node.text(), source),
        _ => node.string()?,
    };
    if source.unit.is_some() && text.parse::<f64>().is_ok() {
        return number(&text, source);
    }
    match source.utc_offset_ms {
        Some(offset_ms) => rfc3339::parse_local(&text, offset_ms),
        None => rfc3339::parse(&text),
    }
}

fn number(text: &str, source: &TimeSource) -> Option<Timestamp> {
    let number: f64 = text.parse().ok()?;
    let is_seconds = match source.unit? {
        TimeUnit::Seconds => true,
        TimeUnit::Milliseconds => false,
        TimeUnit::SecondsOrMilliseconds => number.abs() < MILLISECONDS_FROM,
    };
    // A double holds every millisecond of the years 1 to 9999; rounding first keeps those
    // that seconds with a fraction only come near to.
    let millis = if is_seconds { (number * 1e6).round() / 1e3 } else { number }.floor();
    let is_near = millis.abs() < 1e15;
    is_near.then(|| Timestamp::from_millis(millis as i64 - source.utc_offset_ms.unwrap_or(0)))?
}

fn expected(source: &TimeSource) -> &'static str {
    match source.unit {
        None => "not an RFC 3339 time such as 2024-05-01T12:30:00.000Z",
        Some(TimeUnit::Seconds) => "not a time: a number of seconds since 1970, or RFC 3339 text",
        Some(TimeUnit::Milliseconds) => {
            "not a time: a number of milliseconds since 1970, or RFC 3339 text"
        }
        Some(TimeUnit::SecondsOrMilliseconds) => {
            "not a time: a number of seconds or milliseconds since 1970, or RFC 3339 text"
        }
    }
}

fn refused(path: &Path, problem: &str) -> Status {
    Status::invalid_field(format!("event.raw_json.{path}"), problem)
}
