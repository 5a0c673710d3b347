//! One arena for the text of all identifiers.
//!
//! Text is only ever appended and, where it is erased, blanked, in chunks, so a view shares every
//! chunk but the last, of which it gets a copy. A text never crosses a chunk; it begins at a
//! multiple of four bytes, so that 32 bits address 16 GiB.

use std::sync::Arc;

const CHUNK_BYTES: usize = 64 * 1024;
const UNIT: usize = 4;

/// Where a text is: its first unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextStart(u32);

/// The arena.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arena {
    /// Those that have no room left.
    chunks: Vec<Arc<[u8; CHUNK_BYTES]>>,
    /// The one that is being filled.
    tail: Vec<u8>,
}

impl Arena {
    /// Bytes that can be addressed.
    pub(crate) const BYTES_MAX: u64 = (u32::MAX as u64) * UNIT as u64;

    /// Bytes taken so far.
    pub(crate) fn bytes(&self) -> u64 {
        (self.chunks.len() * CHUNK_BYTES + self.tail.capacity()) as u64
    }

    /// The text at `start`.
    #[inline]
    pub(crate) fn get(&self, start: TextStart, length: u16) -> &[u8] {
        let at = start.0 as usize * UNIT;
        let offset = at % CHUNK_BYTES;
        let chunk = self.chunks.get(at / CHUNK_BYTES).map_or(&*self.tail, |chunk| &**chunk);
        &chunk[offset..offset + length as usize]
    }

    /// How many units a text takes.
    pub(crate) fn units(length: usize) -> usize {
        length.div_ceil(UNIT)
    }

    /// Bytes that so many units take.
    pub(crate) fn bytes_of(units: usize) -> u64 {
        (units * UNIT) as u64
    }

    /// Overwrites a text with zeros. A view that shares the chunk keeps what it saw.
    pub(crate) fn blank(&mut self, start: TextStart, length: u16) {
        self.bytes_mut(start, length as usize).fill(0);
    }

    /// Puts a text where one was that took as many units and was blanked.
    pub(crate) fn refill(&mut self, start: TextStart, text: &[u8]) {
        self.bytes_mut(start, text.len()).copy_from_slice(text);
    }

    fn bytes_mut(&mut self, start: TextStart, length: usize) -> &mut [u8] {
        let at = start.0 as usize * UNIT;
        let offset = at % CHUNK_BYTES;
        let chunk = match self.chunks.get_mut(at / CHUNK_BYTES) {
            Some(chunk) => &mut Arc::make_mut(chunk)[..],
            None => &mut self.tail,
        };
        &mut chunk[offset..offset + length]
    }

    /// Adds a text, at most [`u16::MAX`] bytes.
    pub(crate) fn push(&mut self, text: &[u8]) -> TextStart {
        if self.tail.len() + text.len() > CHUNK_BYTES {
            self.close_tail();
        }
        let start = (self.chunks.len() * CHUNK_BYTES + self.tail.len()) / UNIT;
        self.tail.extend_from_slice(text);
        self.tail.resize(self.tail.len().next_multiple_of(UNIT), 0);
        TextStart(u32::try_from(start).expect("the arena's capacity is checked by decide"))
    }

    #[cold]
    fn close_tail(&mut self) {
        let mut tail = std::mem::replace(&mut self.tail, Vec::with_capacity(CHUNK_BYTES));
        tail.resize(CHUNK_BYTES, 0);
        let bytes: Arc<[u8]> = tail.into();
        self.chunks.push(bytes.try_into().expect("a chunk has this many bytes"));
    }
}
