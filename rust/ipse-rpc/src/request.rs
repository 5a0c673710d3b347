//! The requests that carry events or whole profiles, read where they lie.
//!
//! Events are what is asked most, imports are what is longest, and the generated code would
//! copy every string of theirs. What is read here borrows from the request. It accepts and
//! refuses the same bytes as the generated code and finds the same values in them; tests
//! compare the two. It judges nothing else.

use std::borrow::Cow;

use ipse_core::{SentIdentifier, TraitValue};

use crate::limits::{COMMAND_SOURCES_MAX, EVENTS_MAX};
use crate::status::{Reason, Status};

/// `ResolveEventRequest` and `LogoutRequest`.
#[derive(Debug, Default)]
pub(crate) struct ResolveEvent<'a> {
    pub(crate) workspace: &'a str,
    pub(crate) event: Option<Event<'a>>,
    pub(crate) read_only: bool,
}

/// `ResolveEventsRequest`.
#[derive(Debug, Default)]
pub(crate) struct ResolveEvents<'a> {
    pub(crate) workspace: &'a str,
    /// As many as may be sent; the others are read and forgotten, since a few bytes each would
    /// take a hundred times their length.
    pub(crate) events: Vec<Event<'a>>,
    /// All of them.
    pub(crate) event_count: usize,
    pub(crate) read_only: bool,
}

/// `LoginRequest` and `LinkIdentifiersRequest`.
#[derive(Debug, Default)]
pub(crate) struct JoinSources<'a> {
    pub(crate) workspace: &'a str,
    pub(crate) event: Option<Event<'a>>,
    /// As many as may be sent.
    pub(crate) sources: Vec<SentIdentifier<'a>>,
    /// All of them.
    pub(crate) source_count: usize,
    pub(crate) force: bool,
    pub(crate) read_only: bool,
}

/// `Event`.
#[derive(Debug, Default)]
pub(crate) struct Event<'a> {
    pub(crate) event_id: &'a str,
    /// `type`.
    pub(crate) kind: &'a str,
    pub(crate) timestamp: Option<prost_types::Timestamp>,
    pub(crate) source: &'a str,
    pub(crate) profile_id: &'a str,
    pub(crate) key_namespace: &'a str,
    pub(crate) identifiers: Vec<SentIdentifier<'a>>,
    pub(crate) traits: Vec<Trait<'a>>,
    pub(crate) raw_json: &'a [u8],
}

/// `Trait`; the JSON of its value is as it was sent.
#[derive(Debug, Default)]
pub(crate) struct Trait<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: Option<TraitValue<'a>>,
    pub(crate) set_once: bool,
}

/// Reads a request.
pub(crate) fn read<'a, M: Message<'a>>(request: &'a [u8]) -> Result<M, Status> {
    let mut message = M::default();
    merge(&mut message, Part { bytes: request, text: None, depth: DEPTH_MAX })?;
    Ok(message)
}

/// A field as it lies in a message.
#[derive(Debug)]
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Value<'a>,
    /// Number, kind and value.
    pub(crate) bytes: &'a [u8],
}

/// The fields of a message, in order; the last is an error if the bytes are none.
pub(crate) fn fields<'a>(bytes: &'a [u8]) -> impl Iterator<Item = Read<Field<'a>>> {
    let mut rest = Part { bytes, text: None, depth: DEPTH_MAX };
    std::iter::from_fn(move || {
        if rest.bytes.is_empty() {
            return None;
        }
        let start = rest.bytes;
        let read = field(&mut rest).map(|(number, value)| {
            let bytes = &start[..start.len() - rest.bytes.len()];
            Field { number, value, bytes }
        });
        if read.is_err() {
            rest.bytes = &[];
        }
        Some(read)
    })
}

/// How deeply messages and groups may be nested.
const DEPTH_MAX: u32 = 100;

/// What is wrong with the bytes.
#[derive(Debug)]
pub(crate) struct Malformed(&'static str);

pub(crate) type Read<T> = Result<T, Malformed>;

impl From<Malformed> for Status {
    fn from(Malformed(what): Malformed) -> Status {
        let problem = format!("the request's bytes are not a message of this method: {what}");
        Status::new(Reason::MalformedRequest, problem)
    }
}

/// A message that is read field by field; one that comes twice is the two merged.
pub(crate) trait Message<'a>: Default {
    /// Takes a field, or leaves it if it is none of this message's.
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()>;
}

/// A field's value as the wire has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Delimited(Part<'a>),
    /// Kinds that no field here has.
    Other,
}

/// A message's bytes, or what is left of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'a> {
    bytes: &'a [u8],
    /// The whole message, if it was seen to be UTF-8: short texts cost more to look at one by one.
    text: Option<&'a str>,
    /// What is left to a message in it.
    depth: u32,
}

impl<'a> Message<'a> for ResolveEvent<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => self.workspace = value.text()?,
            2 => value.merge_into(self.event.get_or_insert_default())?,
            3 => self.read_only = value.varint()? != 0,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for ResolveEvents<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => self.workspace = value.text()?,
            2 => value.count_into(&mut self.events, &mut self.event_count, EVENTS_MAX)?,
            3 => self.read_only = value.varint()? != 0,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for JoinSources<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => self.workspace = value.text()?,
            2 => value.merge_into(self.event.get_or_insert_default())?,
            3 => {
                value.count_into(&mut self.sources, &mut self.source_count, COMMAND_SOURCES_MAX)?
            }
            4 => self.force = value.varint()? != 0,
            5 => self.read_only = value.varint()? != 0,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for Event<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => self.event_id = value.text()?,
            2 => self.kind = value.text()?,
            3 => value.merge_into(self.timestamp.get_or_insert_default())?,
            4 => self.source = value.text()?,
            5 => self.profile_id = value.text()?,
            6 => self.key_namespace = value.text()?,
            7 => value.push_to(&mut self.identifiers)?,
            8 => value.push_to(&mut self.traits)?,
            9 => self.raw_json = value.bytes()?,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for prost_types::Timestamp {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => self.seconds = value.varint()? as i64,
            // The format's own rule: what is too long for the type is cut.
            2 => self.nanos = value.varint()? as i32,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for SentIdentifier<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => self.namespace = Cow::Borrowed(value.text()?),
            2 => self.value = Cow::Borrowed(value.text()?),
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Message<'a> for Trait<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => self.name = value.text()?,
            2 => self.value = Some(TraitValue::Text(Cow::Borrowed(value.text()?))),
            3 => self.value = Some(TraitValue::Integer(value.varint()? as i64)),
            4 => self.value = Some(TraitValue::Number(f64::from_bits(value.fixed64()?))),
            5 => self.value = Some(TraitValue::Bool(value.varint()? != 0)),
            6 => self.value = Some(TraitValue::Json(Cow::Borrowed(value.text()?))),
            7 => self.set_once = value.varint()? != 0,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> Value<'a> {
    pub(crate) fn varint(self) -> Read<u64> {
        if let Value::Varint(number) = self { Ok(number) } else { Err(OTHER_KIND) }
    }

    fn fixed64(self) -> Read<u64> {
        if let Value::Fixed64(bits) = self { Ok(bits) } else { Err(OTHER_KIND) }
    }

    pub(crate) fn bytes(self) -> Read<&'a [u8]> {
        Ok(self.delimited()?.bytes)
    }

    pub(crate) fn text(self) -> Read<&'a str> {
        let part = self.delimited()?;
        match part.text {
            Some(text) => Ok(text),
            None => str::from_utf8(part.bytes).map_err(|_| Malformed("a text is not UTF-8")),
        }
    }

    /// One more of a list.
    pub(crate) fn push_to<M: Message<'a>>(self, list: &mut Vec<M>) -> Read<()> {
        list.push(M::default());
        self.merge_into(list.last_mut().expect("it was just pushed"))
    }

    /// One more of a list that has a bound; what is beyond it is read, counted and forgotten.
    pub(crate) fn count_into<M: Message<'a>>(
        self,
        list: &mut Vec<M>,
        count: &mut usize,
        bound: usize,
    ) -> Read<()> {
        *count += 1;
        if list.len() < bound {
            return self.push_to(list);
        }
        self.merge_into(&mut M::default())
    }

    pub(crate) fn merge_into<M: Message<'a>>(self, message: &mut M) -> Read<()> {
        merge(message, self.delimited()?)
    }

    fn delimited(self) -> Read<Part<'a>> {
        if let Value::Delimited(part) = self { Ok(part) } else { Err(OTHER_KIND) }
    }
}

const OTHER_KIND: Malformed = Malformed("a field is of another kind");
const CUT_SHORT: Malformed = Malformed("a field is cut short");
const TOO_DEEP: Malformed = Malformed("nested too deeply");

fn merge<'a, M: Message<'a>>(message: &mut M, part: Part<'a>) -> Read<()> {
    let text = part.text.or_else(|| str::from_utf8(part.bytes).ok());
    let mut rest = Part { text, ..part };
    while !rest.bytes.is_empty() {
        let (number, value) = field(&mut rest)?;
        message.field(number, value)?;
    }
    Ok(())
}

#[inline]
fn field<'a>(rest: &mut Part<'a>) -> Read<(u32, Value<'a>)> {
    let (number, kind) = key(&mut rest.bytes)?;
    let depth = rest.depth.checked_sub(1).ok_or(TOO_DEEP)?;
    if kind != DELIMITED {
        return Ok((number, value(&mut rest.bytes, number, kind, depth)?));
    }
    let bytes = delimited(&mut rest.bytes)?;
    let text = rest.text.and_then(|text| {
        let end = text.len() - rest.bytes.len();
        text.get(end - bytes.len()..end)
    });
    Ok((number, Value::Delimited(Part { bytes, text, depth })))
}

const DELIMITED: u64 = 2;
const GROUP_END: u64 = 4;

/// A field's number and the kind of its value.
#[inline]
fn key(bytes: &mut &[u8]) -> Read<(u32, u64)> {
    let key = varint(bytes)?;
    match u32::try_from(key) {
        Ok(short) if short >> 3 != 0 => Ok((short >> 3, key & 7)),
        _ => Err(Malformed("there is no field of this number")),
    }
}

/// A value that is not to be looked into.
fn value<'a>(bytes: &mut &'a [u8], number: u32, kind: u64, depth: u32) -> Read<Value<'a>> {
    match kind {
        0 => Ok(Value::Varint(varint(bytes)?)),
        1 => {
            let (fixed, rest) = bytes.split_first_chunk().ok_or(CUT_SHORT)?;
            *bytes = rest;
            Ok(Value::Fixed64(u64::from_le_bytes(*fixed)))
        }
        DELIMITED => delimited(bytes).map(|_| Value::Other),
        3 => skip_group(bytes, number, depth),
        5 => {
            let (_, rest) = bytes.split_first_chunk::<4>().ok_or(CUT_SHORT)?;
            *bytes = rest;
            Ok(Value::Other)
        }
        GROUP_END => Err(Malformed("a group ends that did not begin")),
        _ => Err(Malformed("there is no such kind of field")),
    }
}

#[inline]
fn delimited<'a>(bytes: &mut &'a [u8]) -> Read<&'a [u8]> {
    let length = usize::try_from(varint(bytes)?).map_err(|_| CUT_SHORT)?;
    let (delimited, rest) = bytes.split_at_checked(length).ok_or(CUT_SHORT)?;
    *bytes = rest;
    Ok(delimited)
}

fn skip_group<'a>(bytes: &mut &'a [u8], group: u32, depth: u32) -> Read<Value<'a>> {
    loop {
        match key(bytes)? {
            (number, GROUP_END) if number == group => return Ok(Value::Other),
            (number, kind) => {
                let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
                value(bytes, number, kind, depth).map(drop)?;
            }
        }
    }
}

/// Seven bits a byte, the lowest first; the highest bit says that another byte follows.
#[inline]
fn varint(bytes: &mut &[u8]) -> Read<u64> {
    match *bytes {
        [byte @ ..0x80, rest @ ..] => {
            *bytes = rest;
            Ok(u64::from(*byte))
        }
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &mut &[u8]) -> Read<u64> {
    let mut number = 0;
    for (at, &byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            if at == 9 && byte > 1 {
                return Err(Malformed("a number is longer than 64 bits"));
            }
            *bytes = &bytes[at + 1..];
            return Ok(number);
        }
    }
    Err(Malformed("a number does not end"))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
