//! One arena for the text of all identifiers.
//!
//! Text is only ever appended and, where it is erased, blanked, in chunks, so a view shares every chunk but the last. A text
//! never crosses a chunk; it begins at a multiple of four bytes, so that 32 bits address 16 GiB.

use std::sync::Arc;

const CHUNK_BYTES: usize = 64 * 1024;
const UNIT: usize = 4;

/// Where a text is: its first unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextStart(u32);

/// The arena.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arena {
    chunks: Vec<Arc<[u8; CHUNK_BYTES]>>,
    /// Bytes used of the last chunk.
    used: usize,
}

impl Arena {
    /// Bytes that can be addressed.
    pub(crate) const BYTES_MAX: u64 = (u32::MAX as u64) * UNIT as u64;

    /// Bytes taken so far.
    pub(crate) fn bytes(&self) -> u64 {
        (self.chunks.len() * CHUNK_BYTES) as u64
    }

    /// The text at `start`.
    #[inline]
    pub(crate) fn get(&self, start: TextStart, length: u16) -> &[u8] {
        let at = start.0 as usize * UNIT;
        let offset = at % CHUNK_BYTES;
        &self.chunks[at / CHUNK_BYTES][offset..offset + length as usize]
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
        let chunk = Arc::make_mut(&mut self.chunks[at / CHUNK_BYTES]);
        &mut chunk[offset..offset + length]
    }

    /// Adds a text, at most [`u16::MAX`] bytes.
    pub(crate) fn push(&mut self, text: &[u8]) -> TextStart {
        if self.chunks.is_empty() || self.used + text.len() > CHUNK_BYTES {
            let bytes: Arc<[u8]> = std::iter::repeat_n(0, CHUNK_BYTES).collect();
            self.chunks.push(bytes.try_into().expect("a chunk has this many bytes"));
            self.used = 0;
        }
        let last = self.chunks.len() - 1;
        let chunk = Arc::make_mut(&mut self.chunks[last]);
        chunk[self.used..self.used + text.len()].copy_from_slice(text);
        let start = (last * CHUNK_BYTES + self.used) / UNIT;
        self.used = (self.used + text.len()).next_multiple_of(UNIT);
        TextStart(u32::try_from(start).expect("the arena's capacity is checked by decide"))
    }
}
