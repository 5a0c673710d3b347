//! One pass over a text: whether it is JSON, and where its values are.
//!
//! Nothing is decoded and nothing recurses. Accepts what `serde_json` does; tests compare the two.

use super::Kind;

/// A value, or a name in an object, which stands before its value. What an array or an object
/// holds follows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) start: u32,
    pub(super) end: u32,
    /// Behind everything that this one holds; behind its value, too, if it is a name.
    pub(super) next: u32,
    pub(super) kind: Kind,
    /// Of a string: it has escapes. Of an object: one of its names is not text.
    pub(super) is_odd: bool,
    /// Of an object: the marks of its names. Without its mark a name is not among them.
    pub(super) marks: u64,
}

/// One bit of 64, by a name's length and ends: most names that are looked for are not there.
pub(super) fn mark(name: &str) -> u64 {
    let end = |byte: Option<&u8>| byte.map_or(0, |byte| usize::from(*byte));
    let (first, last) = (name.as_bytes().first(), name.as_bytes().last());
    1 << ((end(first) + 7 * end(last) + 3 * name.len()) % 64)
}

/// The values of a text in their order; `None` if it is not JSON.
pub(super) fn scan(text: &str) -> Option<Vec<Entry>> {
    // Longer ones are refused before; a position has 32 bits.
    u32::try_from(text.len()).ok()?;
    let entries = Vec::with_capacity(text.len() / TEXT_BYTES_PER_ENTRY + 1);
    let mut scanner = Scanner { text, at: 0, entries, open: Vec::with_capacity(DEPTH_MOSTLY) };
    scanner.document()?;
    Some(scanner.entries)
}

/// Of raw events, which have as many names as values.
const TEXT_BYTES_PER_ENTRY: usize = 8;
const DEPTH_MOSTLY: usize = 8;

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    entries: Vec<Entry>,
    /// The arrays and objects that have not ended, each with the newest name in it, or itself.
    open: Vec<(usize, usize)>,
}

impl Scanner<'_> {
    fn document(&mut self) -> Option<()> {
        loop {
            let is_open = self.value()?;
            if is_open {
                continue;
            }
            // Behind a value: what it is in ends, or goes on.
            loop {
                self.skip_space();
                let Some(&(holder, name)) = self.open.last() else {
                    return (self.at == self.text.len()).then_some(());
                };
                self.entries[name].next = self.entries.len() as u32;
                match (self.take()?, self.entries[holder].kind) {
                    (b',', Kind::Object) => self.name()?,
                    (b',', Kind::Array) => {}
                    (b'}', Kind::Object) | (b']', Kind::Array) => {
                        self.close();
                        continue;
                    }
                    _ => return None,
                }
                break;
            }
        }
    }

    /// Reads a value, or up to the first in it: then it is true.
    fn value(&mut self) -> Option<bool> {
        self.skip_space();
        let start = self.at;
        match self.take()? {
            b'"' => {
                let is_odd = self.string()?;
                self.push(start, Kind::String, is_odd);
            }
            b'{' => return self.open(start, Kind::Object, b'}'),
            b'[' => return self.open(start, Kind::Array, b']'),
            b't' => self.word(start, "true", Kind::Bool(true))?,
            b'f' => self.word(start, "false", Kind::Bool(false))?,
            b'n' => self.word(start, "null", Kind::Null)?,
            first => {
                let kind = self.number(first)?;
                self.push(start, kind, false);
            }
        }
        Some(false)
    }

    fn open(&mut self, start: usize, kind: Kind, end: u8) -> Option<bool> {
        self.open.push((self.entries.len(), self.entries.len()));
        self.push(start, kind, false);
        self.skip_space();
        if self.peek() == Some(end) {
            self.at += 1;
            self.close();
            return Some(false);
        }
        if kind == Kind::Object {
            self.name()?;
        }
        Some(true)
    }

    fn close(&mut self) {
        if let Some((open, _)) = self.open.pop() {
            self.entries[open].end = self.at as u32;
            self.entries[open].next = self.entries.len() as u32;
        }
    }

    /// A name and its colon.
    fn name(&mut self) -> Option<()> {
        self.skip_space();
        let start = self.at;
        if self.take()? != b'"' {
            return None;
        }
        let has_escapes = self.string()?;
        let (object, newest) = self.open.last_mut()?;
        *newest = self.entries.len();
        let object = &mut self.entries[*object];
        if has_escapes {
            object.marks = u64::MAX;
            object.is_odd |= decoded(&self.text[start..self.at]).is_none();
        } else {
            object.marks |= mark(&self.text[start + 1..self.at - 1]);
        }
        self.push(start, Kind::String, has_escapes);
        self.skip_space();
        (self.take()? == b':').then_some(())
    }

    /// The rest of a string; whether it has escapes.
    fn string(&mut self) -> Option<bool> {
        let bytes = self.text.as_bytes();
        let mut has_escapes = false;
        loop {
            while let Some(eight) = bytes[self.at..].first_chunk() {
                let plain = plain_bytes(*eight);
                self.at += plain;
                if plain < 8 {
                    break;
                }
            }
            match self.take()? {
                b'"' => return Some(has_escapes),
                b'\\' => {
                    has_escapes = true;
                    self.escape()?;
                }
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.take()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => (0..4).try_for_each(|_| self.take()?.is_ascii_hexdigit().then_some(())),
            _ => None,
        }
    }

    fn word(&mut self, start: usize, word: &str, kind: Kind) -> Option<()> {
        self.text.as_bytes()[start..].starts_with(word.as_bytes()).then_some(())?;
        self.at = start + word.len();
        self.push(start, kind, false);
        Some(())
    }

    fn number(&mut self, first: u8) -> Option<Kind> {
        let first = if first == b'-' { self.take()? } else { first };
        match first {
            b'0' => {}
            b'1'..=b'9' => self.skip_digits(),
            _ => return None,
        }
        let mut kind = Kind::Integer;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            kind = Kind::Fraction;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
            kind = Kind::Fraction;
        }
        Some(kind)
    }

    /// At least one.
    fn digits(&mut self) -> Option<()> {
        self.take()?.is_ascii_digit().then(|| self.skip_digits())
    }

    fn skip_digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn push(&mut self, start: usize, kind: Kind, is_odd: bool) {
        let next = self.entries.len() as u32 + 1;
        let (start, end) = (start as u32, self.at as u32);
        self.entries.push(Entry { start, end, next, kind, is_odd, marks: 0 });
    }
}

/// A string without its escapes; `None` if it is not text (half of a surrogate pair).
pub(super) fn decoded(quoted: &str) -> Option<String> {
    serde_json::from_str(quoted).ok()
}

/// How many of the first of eight bytes are neither a quote, a backslash nor a control character.
fn plain_bytes(eight: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    let bytes = u64::from_le_bytes(eight);
    // The lowest byte that is below the bound is found for sure; above it others may seem so.
    let below = |bytes: u64, bound: u8| bytes.wrapping_sub(ONES * u64::from(bound)) & !bytes;
    let zero = |bytes| below(bytes, 1);
    let quote = zero(bytes ^ (ONES * u64::from(b'"')));
    let backslash = zero(bytes ^ (ONES * u64::from(b'\\')));
    let found = (quote | backslash | below(bytes, 0x20)) & HIGHEST;
    (found.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn finds_the_first_byte_that_is_not_plain() {
        for (at, byte) in (0..8).flat_map(|at| (0..=u8::MAX).map(move |byte| (at, byte))) {
            for rest in [b'a', 0xff, b'!', b'"'] {
                let mut eight = [rest; 8];
                eight[..at].fill(b'b');
                eight[at] = byte;
                let is_plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
                let expected = eight.iter().take_while(|byte| is_plain(byte)).count();
                assert_eq!(plain_bytes(eight), expected, "{eight:?}");
            }
        }
    }

    /// Texts that are nearly JSON, or are.
    fn text() -> impl Strategy<Value = String> {
        const PIECES: &[&str] = &[
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"a\":",
            "\"",
            "\\",
            "\\u00e9",
            "\\ud800",
            "\\n",
            "\\x",
            "0",
            "-",
            "1.5",
            "e",
            "E+",
            "01",
            "true",
            "false",
            "nul",
            "null",
            " ",
            "\n",
            "ж",
            "\u{1}",
            "long enough for more than eight",
            "{\"k\":[",
            "]}",
        ];
        let loose = prop::collection::vec(prop::sample::select(PIECES), 0..12);
        let leaf = prop::sample::select(&["1", "-0.5e3", "\"s\\\"\"", "null", "true", "\"\""][..]);
        let nested = leaf.prop_map(str::to_owned).prop_recursive(4, 32, 4, |inner| {
            let items = prop::collection::vec(inner, 0..4);
            items.prop_flat_map(|items| {
                let fields: Vec<_> = items.iter().map(|item| format!("\"k\" : {item}")).collect();
                let array = format!("[ {} ]", items.join(" ,"));
                prop_oneof![Just(array), Just(format!("{{{}}}", fields.join(",")))]
            })
        });
        prop_oneof![loose.prop_map(|pieces| pieces.concat()), nested]
    }

    proptest! {
        #[test]
        fn accepts_what_serde_json_does(text in text()) {
            let expected = serde_json::from_str::<IgnoredAny>(&text).is_ok();
            prop_assert_eq!(scan(&text).is_some(), expected, "{}", text);
        }

        #[test]
        fn every_value_is_where_it_says(text in text()) {
            let Some(entries) = scan(&text) else { return Ok(()) };
            for entry in entries {
                let value = &text[entry.start as usize..entry.end as usize];
                prop_assert!(serde_json::from_str::<IgnoredAny>(value).is_ok(), "{}", value);
                prop_assert_eq!(value.trim(), value);
            }
        }
    }
}
