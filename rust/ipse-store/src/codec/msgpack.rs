//! The subset of msgpack that the format uses: shortest forms out, any width in.
//!
//! Knows no record. Reads from a slice that it borrows from, by position.

use std::fmt;

use rmp::{Marker, encode};

/// Bytes that are not what the format says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where, from the beginning of the decoded bytes.
    pub offset: usize,
    /// What was being read, and what is wrong with it.
    pub problem: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

/// Appends values to a buffer.
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

/// Reads values from bytes.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

/// A value that is not an array.
pub(super) enum Scalar<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
}

/// Why none of the writes can fail.
const MEMORY: &str = "a Vec takes every write";

impl Writer<'_> {
    pub(super) fn array(&mut self, length: usize) {
        encode::write_array_len(self.0, length32(length)).expect(MEMORY);
    }

    /// An array of items, each written by `item`.
    pub(super) fn list<T>(&mut self, items: &[T], mut item: impl FnMut(&mut Self, &T)) {
        self.array(items.len());
        for each in items {
            item(self, each);
        }
    }

    pub(super) fn nil(&mut self) {
        self.0.push(Marker::Null.to_u8());
    }

    pub(super) fn bool(&mut self, value: bool) {
        encode::write_bool(self.0, value).expect(MEMORY);
    }

    pub(super) fn uint(&mut self, value: u64) {
        encode::write_uint(self.0, value).expect(MEMORY);
    }

    pub(super) fn int(&mut self, value: i64) {
        encode::write_sint(self.0, value).expect(MEMORY);
    }

    pub(super) fn float(&mut self, value: f64) {
        encode::write_f64(self.0, value).expect(MEMORY);
    }

    pub(super) fn text(&mut self, value: &str) {
        length32(value.len());
        encode::write_str(self.0, value).expect(MEMORY);
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        length32(value.len());
        encode::write_bin(self.0, value).expect(MEMORY);
    }
}

fn length32(length: usize) -> u32 {
    u32::try_from(length).expect("every field is bounded far below 4 GiB")
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, offset: 0 }
    }

    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    #[cold]
    pub(super) fn malformed(&self, what: &str, problem: impl fmt::Display) -> Malformed {
        Malformed { offset: self.offset, problem: format!("{what} is {problem}") }
    }

    /// Whether an array is next.
    pub(super) fn at_array(&self) -> bool {
        match self.bytes.get(self.offset) {
            Some(byte) => matches!(
                Marker::from_u8(*byte),
                Marker::FixArray(_) | Marker::Array16 | Marker::Array32
            ),
            None => false,
        }
    }

    /// Whether a text is next.
    pub(super) fn at_text(&self) -> bool {
        match self.bytes.get(self.offset) {
            Some(byte) => matches!(
                Marker::from_u8(*byte),
                Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32
            ),
            None => false,
        }
    }

    /// Takes a nil if it is next.
    pub(super) fn take_nil(&mut self) -> bool {
        let nil = self.bytes.get(self.offset) == Some(&Marker::Null.to_u8());
        self.offset += usize::from(nil);
        nil
    }

    /// The length of an array; never more than the bytes that are left.
    pub(super) fn array(&mut self, what: &'static str) -> Result<usize, Malformed> {
        let length = match self.marker(what)? {
            Marker::FixArray(length) => usize::from(length),
            Marker::Array16 => usize::from(u16::from_be_bytes(self.fixed(what)?)),
            Marker::Array32 => length_of(u32::from_be_bytes(self.fixed(what)?)),
            _ => return Err(self.malformed(what, "not an array")),
        };
        if length > self.bytes.len() - self.offset {
            return Err(self.malformed(what, "longer than the bytes that are left"));
        }
        Ok(length)
    }

    pub(super) fn fixed_array(
        &mut self,
        what: &'static str,
        expected: usize,
    ) -> Result<(), Malformed> {
        match self.array(what)? {
            length if length == expected => Ok(()),
            length => Err(self.malformed(what, format_args!("of {length} fields, not {expected}"))),
        }
    }

    /// An array of items, each read by `item`.
    pub(super) fn list<T>(
        &mut self,
        what: &'static str,
        item: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        self.short_list(what, usize::MAX, item)
    }

    /// A list that has a longest length.
    pub(super) fn short_list<T>(
        &mut self,
        what: &'static str,
        length_max: usize,
        mut item: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let length = self.array(what)?;
        if length > length_max {
            return Err(self.malformed(what, format_args!("longer than {length_max}")));
        }
        // The claimed length may be a lie: memory grows with the items that are really there.
        let mut items = Vec::with_capacity(length.min(64));
        for _ in 0..length {
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub(super) fn uint(&mut self, what: &'static str) -> Result<u64, Malformed> {
        match self.marker(what)? {
            Marker::FixPos(value) => Ok(u64::from(value)),
            Marker::U8 => Ok(u64::from(u8::from_be_bytes(self.fixed(what)?))),
            Marker::U16 => Ok(u64::from(u16::from_be_bytes(self.fixed(what)?))),
            Marker::U32 => Ok(u64::from(u32::from_be_bytes(self.fixed(what)?))),
            Marker::U64 => Ok(u64::from_be_bytes(self.fixed(what)?)),
            marker => {
                let value = self.signed(marker, what)?;
                u64::try_from(value).map_err(|_| self.malformed(what, "negative"))
            }
        }
    }

    pub(super) fn uint32(&mut self, what: &'static str) -> Result<u32, Malformed> {
        let value = self.uint(what)?;
        u32::try_from(value).map_err(|_| self.malformed(what, "over 32 bits"))
    }

    pub(super) fn uint16(&mut self, what: &'static str) -> Result<u16, Malformed> {
        let value = self.uint(what)?;
        u16::try_from(value).map_err(|_| self.malformed(what, "over 16 bits"))
    }

    pub(super) fn uint8(&mut self, what: &'static str) -> Result<u8, Malformed> {
        let value = self.uint(what)?;
        u8::try_from(value).map_err(|_| self.malformed(what, "over 8 bits"))
    }

    pub(super) fn int(&mut self, what: &'static str) -> Result<i64, Malformed> {
        let marker = self.marker(what)?;
        self.any_int(marker, what)
    }

    pub(super) fn bool(&mut self, what: &'static str) -> Result<bool, Malformed> {
        match self.marker(what)? {
            Marker::True => Ok(true),
            Marker::False => Ok(false),
            _ => Err(self.malformed(what, "not true or false")),
        }
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<&'a str, Malformed> {
        let marker = self.marker(what)?;
        self.text_of(marker, what)
    }

    pub(super) fn string(&mut self, what: &'static str) -> Result<String, Malformed> {
        self.text(what).map(str::to_owned)
    }

    pub(super) fn bytes16(&mut self, what: &'static str) -> Result<[u8; 16], Malformed> {
        match (self.marker(what)?, self.fixed(what)) {
            (Marker::Bin8, Ok([16])) => self.fixed(what),
            _ => Err(self.malformed(what, "not 16 bytes")),
        }
    }

    pub(super) fn bytes(&mut self, what: &'static str) -> Result<&'a [u8], Malformed> {
        let length = match self.marker(what)? {
            Marker::Bin8 => usize::from(u8::from_be_bytes(self.fixed(what)?)),
            Marker::Bin16 => usize::from(u16::from_be_bytes(self.fixed(what)?)),
            Marker::Bin32 => length_of(u32::from_be_bytes(self.fixed(what)?)),
            _ => return Err(self.malformed(what, "not bytes")),
        };
        self.take(length, what)
    }

    pub(super) fn scalar(&mut self, what: &'static str) -> Result<Scalar<'a>, Malformed> {
        match self.marker(what)? {
            Marker::Null => Ok(Scalar::Nil),
            Marker::True => Ok(Scalar::Bool(true)),
            Marker::False => Ok(Scalar::Bool(false)),
            Marker::F64 => Ok(Scalar::Float(f64::from_be_bytes(self.fixed(what)?))),
            marker @ (Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32) => {
                self.text_of(marker, what).map(Scalar::Text)
            }
            marker => self.any_int(marker, what).map(Scalar::Int),
        }
    }

    fn any_int(&mut self, marker: Marker, what: &'static str) -> Result<i64, Malformed> {
        match marker {
            Marker::FixPos(value) => Ok(i64::from(value)),
            Marker::U8 => Ok(i64::from(u8::from_be_bytes(self.fixed(what)?))),
            Marker::U16 => Ok(i64::from(u16::from_be_bytes(self.fixed(what)?))),
            Marker::U32 => Ok(i64::from(u32::from_be_bytes(self.fixed(what)?))),
            Marker::U64 => i64::try_from(u64::from_be_bytes(self.fixed(what)?))
                .map_err(|_| self.malformed(what, "over 63 bits")),
            marker => self.signed(marker, what),
        }
    }

    fn signed(&mut self, marker: Marker, what: &'static str) -> Result<i64, Malformed> {
        match marker {
            Marker::FixNeg(value) => Ok(i64::from(value)),
            Marker::I8 => Ok(i64::from(i8::from_be_bytes(self.fixed(what)?))),
            Marker::I16 => Ok(i64::from(i16::from_be_bytes(self.fixed(what)?))),
            Marker::I32 => Ok(i64::from(i32::from_be_bytes(self.fixed(what)?))),
            Marker::I64 => Ok(i64::from_be_bytes(self.fixed(what)?)),
            _ => Err(self.malformed(what, "not of its type")),
        }
    }

    fn text_of(&mut self, marker: Marker, what: &'static str) -> Result<&'a str, Malformed> {
        let length = match marker {
            Marker::FixStr(length) => usize::from(length),
            Marker::Str8 => usize::from(u8::from_be_bytes(self.fixed(what)?)),
            Marker::Str16 => usize::from(u16::from_be_bytes(self.fixed(what)?)),
            Marker::Str32 => length_of(u32::from_be_bytes(self.fixed(what)?)),
            _ => return Err(self.malformed(what, "not text")),
        };
        let bytes = self.take(length, what)?;
        str::from_utf8(bytes).map_err(|_| self.malformed(what, "not UTF-8"))
    }

    fn marker(&mut self, what: &'static str) -> Result<Marker, Malformed> {
        let [byte] = self.fixed(what)?;
        Ok(Marker::from_u8(byte))
    }

    fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Malformed> {
        match self.bytes[self.offset..].first_chunk() {
            Some(bytes) => {
                self.offset += N;
                Ok(*bytes)
            }
            None => Err(self.malformed(what, "cut short")),
        }
    }

    fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Malformed> {
        match self.bytes[self.offset..].get(..length) {
            Some(bytes) => {
                self.offset += length;
                Ok(bytes)
            }
            None => Err(self.malformed(what, "cut short")),
        }
    }
}

/// A length that cannot be true on a machine with smaller addresses is refused like any
/// other that is longer than the bytes left.
fn length_of(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
