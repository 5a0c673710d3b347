//! Protobuf written straight into the answer's buffer, for the answers that are asked for
//! most: building the message types first would copy every string once more.
//!
//! Fields are written in the order of their numbers and defaults are left out, so the bytes
//! are those that the generated code would write; tests compare the two.

use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};

/// An answer being written.
#[derive(Debug)]
pub(crate) struct Encoder(Vec<u8>);

/// Room for most answers about one person: growing there bit by bit costs more than writing.
const ROOM_BYTES: usize = 512;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const DELIMITED: u32 = 2;

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder(Vec::with_capacity(ROOM_BYTES))
    }
}

impl Encoder {
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes back everything after `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    pub(crate) fn string(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.element(field, text);
        }
    }

    /// An element of a repeated field or a member of a oneof: written even if empty.
    pub(crate) fn element(&mut self, field: u32, text: &str) {
        put_delimited(field, text.as_bytes(), &mut self.0);
    }

    pub(crate) fn number(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.number_element(field, number);
        }
    }

    /// A member of a oneof.
    pub(crate) fn number_element(&mut self, field: u32, number: u64) {
        self.tag(field, VARINT);
        self.varint(number);
    }

    pub(crate) fn bool(&mut self, field: u32, value: bool) {
        self.number(field, u64::from(value));
    }

    /// A member of a oneof.
    pub(crate) fn double_element(&mut self, field: u32, number: f64) {
        self.tag(field, FIXED64);
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// A message within the message. Its length goes before it and is not known yet: one byte
    /// is kept free, and the few messages that need more are moved up.
    pub(crate) fn message<T>(&mut self, field: u32, body: impl FnOnce(&mut Encoder) -> T) -> T {
        put_header(field, 0, &mut self.0);
        let length_at = self.0.len() - 1;
        let told = body(self);
        let length = self.0.len() - length_at - 1;
        if length < 0x80 {
            self.0[length_at] = length as u8;
            return told;
        }
        let body = length_at + 1..self.0.len();
        let longer = encoded_len_varint(length as u64) - 1;
        self.0.resize(body.end + longer, 0);
        self.0.copy_within(body, length_at + 1 + longer);
        encode_varint(length as u64, &mut &mut self.0[length_at..]);
        told
    }

    /// A message within the message, of a generated type.
    pub(crate) fn encoded(&mut self, field: u32, message: &impl Message) {
        put_header(field, message.encoded_len(), &mut self.0);
        message.encode_raw(&mut self.0);
    }

    /// Fields that are encoded already.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn tag(&mut self, field: u32, wire_type: u32) {
        put_tag(field, wire_type, &mut self.0);
    }

    fn varint(&mut self, number: u64) {
        put_varint(number, &mut self.0);
    }
}

/// Text, bytes or a message whose bytes are there already.
pub(crate) fn put_delimited(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    put_header(field, bytes.len(), out);
    out.extend_from_slice(bytes);
}

/// What goes before text, bytes or a message. Nearly always two bytes, so they are written as such.
#[inline]
pub(crate) fn put_header(field: u32, length: usize, out: &mut Vec<u8>) {
    let tag = field << 3 | DELIMITED;
    if tag < 0x80 && length < 0x80 {
        return out.extend_from_slice(&[tag as u8, length as u8]);
    }
    put_varint(u64::from(tag), out);
    put_varint(length as u64, out);
}

fn put_tag(field: u32, wire_type: u32, out: &mut Vec<u8>) {
    put_varint(u64::from(field << 3 | wire_type), out);
}

fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1;

    #[test]
    fn writes_what_the_generated_code_writes() {
        for length in [0, 1, 100, 127, 128, 16_383, 16_384, 100_000] {
            let message = v1::IdentifierVerdict {
                identifier: Some(v1::Identifier {
                    namespace: "email".to_owned(),
                    value: "x".repeat(length),
                }),
                verdict: 300,
                limit: u32::MAX,
                violation: "ж".to_owned(),
                ..Default::default()
            };
            let mut encoder = Encoder::default();
            encoder.message(1, |out| {
                out.string(1, "email");
                out.string(2, &"x".repeat(length));
            });
            encoder.number(3, 300);
            encoder.number(6, u64::from(u32::MAX));
            encoder.string(8, "ж");
            assert_eq!(encoder.into_bytes(), message.encode_to_vec(), "{length}");
        }
    }
}
