//! The requests that carry events or whole profiles, read where they lie.
//!
//! Events are what is asked most, imports are what is longest, and the generated code would
//! copy every string of theirs. What is read here borrows from the request. It accepts and
//! refuses the same bytes as the generated code and finds the same values in them; tests
//! compare the two. It judges nothing else.

use std::borrow::Cow;

use ipse_core::TraitValue;

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
    pub(crate) sources: Vec<Identifier<'a>>,
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
    pub(crate) identifiers: Vec<Identifier<'a>>,
    pub(crate) traits: Vec<Trait<'a>>,
    pub(crate) raw_json: &'a [u8],
}

/// `Identifier`.
#[derive(Debug, Default)]
pub(crate) struct Identifier<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) value: &'a str,
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
    merge(&mut message, request, DEPTH_MAX)?;
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
pub(crate) fn fields<'a>(mut rest: &'a [u8]) -> impl Iterator<Item = Read<Field<'a>>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let start = rest;
        let read = field(&mut rest, DEPTH_MAX).map(|(number, value)| {
            let bytes = &start[..start.len() - rest.len()];
            Field { number, value, bytes }
        });
        if read.is_err() {
            rest = &[];
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
    /// With the depth that is left to a message in it.
    Delimited(&'a [u8], u32),
    /// Kinds that no field here has.
    Other,
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
            2 => self.add(value.message()?),
            3 => self.read_only = value.varint()? != 0,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> ResolveEvents<'a> {
    fn add(&mut self, event: Event<'a>) {
        self.event_count += 1;
        if self.events.len() < EVENTS_MAX {
            self.events.push(event);
        }
    }
}

impl<'a> Message<'a> for JoinSources<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => self.workspace = value.text()?,
            2 => value.merge_into(self.event.get_or_insert_default())?,
            3 => self.add(value.message()?),
            4 => self.force = value.varint()? != 0,
            5 => self.read_only = value.varint()? != 0,
            _ => {}
        }
        Ok(())
    }
}

impl<'a> JoinSources<'a> {
    fn add(&mut self, source: Identifier<'a>) {
        self.source_count += 1;
        if self.sources.len() < COMMAND_SOURCES_MAX {
            self.sources.push(source);
        }
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
            7 => self.identifiers.push(value.message()?),
            8 => self.traits.push(value.message()?),
            9 => self.raw_json = value.delimited()?.0,
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

impl<'a> Message<'a> for Identifier<'a> {
    fn field(&mut self, number: u32, value: Value<'a>) -> Read<()> {
        match number {
            1 => self.namespace = value.text()?,
            2 => self.value = value.text()?,
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

    pub(crate) fn delimited(self) -> Read<(&'a [u8], u32)> {
        if let Value::Delimited(bytes, depth) = self { Ok((bytes, depth)) } else { Err(OTHER_KIND) }
    }

    pub(crate) fn text(self) -> Read<&'a str> {
        std::str::from_utf8(self.delimited()?.0).map_err(|_| Malformed("a text is not UTF-8"))
    }

    pub(crate) fn message<M: Message<'a>>(self) -> Read<M> {
        let mut message = M::default();
        self.merge_into(&mut message)?;
        Ok(message)
    }

    pub(crate) fn merge_into<M: Message<'a>>(self, message: &mut M) -> Read<()> {
        let (bytes, depth) = self.delimited()?;
        merge(message, bytes, depth)
    }
}

const OTHER_KIND: Malformed = Malformed("a field is of another kind");
const CUT_SHORT: Malformed = Malformed("a field is cut short");

fn merge<'a, M: Message<'a>>(message: &mut M, mut bytes: &'a [u8], depth: u32) -> Read<()> {
    while !bytes.is_empty() {
        let (number, value) = field(&mut bytes, depth)?;
        message.field(number, value)?;
    }
    Ok(())
}

fn field<'a>(bytes: &mut &'a [u8], depth: u32) -> Read<(u32, Value<'a>)> {
    let (number, kind) = key(bytes)?;
    Ok((number, value(bytes, number, kind, depth)?))
}

const GROUP_END: u64 = 4;

/// A field's number and the kind of its value.
fn key(bytes: &mut &[u8]) -> Read<(u32, u64)> {
    let key = varint(bytes)?;
    match u32::try_from(key) {
        Ok(short) if short >> 3 != 0 => Ok((short >> 3, key & 7)),
        _ => Err(Malformed("there is no field of this number")),
    }
}

fn value<'a>(bytes: &mut &'a [u8], number: u32, kind: u64, depth: u32) -> Read<Value<'a>> {
    let depth = depth.checked_sub(1).ok_or(Malformed("nested too deeply"))?;
    match kind {
        0 => Ok(Value::Varint(varint(bytes)?)),
        1 => {
            let (fixed, rest) = bytes.split_first_chunk().ok_or(CUT_SHORT)?;
            *bytes = rest;
            Ok(Value::Fixed64(u64::from_le_bytes(*fixed)))
        }
        2 => {
            let length = usize::try_from(varint(bytes)?).map_err(|_| CUT_SHORT)?;
            let (delimited, rest) = bytes.split_at_checked(length).ok_or(CUT_SHORT)?;
            *bytes = rest;
            Ok(Value::Delimited(delimited, depth))
        }
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

fn skip_group<'a>(bytes: &mut &'a [u8], group: u32, depth: u32) -> Read<Value<'a>> {
    loop {
        match key(bytes)? {
            (number, GROUP_END) if number == group => return Ok(Value::Other),
            (number, kind) => value(bytes, number, kind, depth).map(drop)?,
        }
    }
}

/// Seven bits a byte, the lowest first; the highest bit says that another byte follows.
fn varint(bytes: &mut &[u8]) -> Read<u64> {
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
