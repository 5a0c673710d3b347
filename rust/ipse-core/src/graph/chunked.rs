//! Storage in chunks that can be shared with a view and are copied before they change.
//!
//! A freeze clones a few thousand pointers and the last rows; after it, the first write to a
//! chunk copies that chunk if the view still holds it (`Arc::make_mut`). Growth never moves what
//! is there, so no push costs more than one chunk.

use std::sync::Arc;

use crate::time::Timestamp;

/// Rows of one chunk: small enough that copying one is lost in a commit, large enough that
/// the table of chunks stays in the cache.
const ROWS: usize = 1024;

/// A growable array of rows, in chunks. Rows are counted in 32 bits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunked<T> {
    /// The full ones.
    chunks: Vec<Arc<[T; ROWS]>>,
    /// What follows them. A view gets a copy: so what was just added, which is what is changed
    /// most, can be changed without asking who else holds it.
    tail: Vec<T>,
}

impl<T: Clone> Chunked<T> {
    /// How many rows there are.
    pub(crate) fn len(&self) -> u32 {
        (self.chunks.len() * ROWS + self.tail.len()) as u32
    }

    /// The row at `index`, which must be less than `len`.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> &T {
        let index = index as usize;
        match self.chunks.get(index / ROWS) {
            Some(chunk) => &chunk[index % ROWS],
            None => &self.tail[index - self.chunks.len() * ROWS],
        }
    }

    /// The same, to change it.
    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> &mut T {
        let index = index as usize;
        let first_of_tail = self.chunks.len() * ROWS;
        match self.chunks.get_mut(index / ROWS) {
            Some(chunk) => &mut Arc::make_mut(chunk)[index % ROWS],
            None => &mut self.tail[index - first_of_tail],
        }
    }

    /// What the rows take.
    pub(crate) fn bytes(&self) -> u64 {
        ((self.chunks.len() * ROWS + self.tail.capacity()) * size_of::<T>()) as u64
    }

    /// Adds a row and gives its index.
    pub(crate) fn push(&mut self, row: T) -> u32 {
        if self.tail.len() == ROWS {
            self.close_tail();
        }
        let index = self.len();
        self.tail.push(row);
        index
    }

    #[cold]
    fn close_tail(&mut self) {
        let rows: Arc<[T]> = std::mem::replace(&mut self.tail, Vec::with_capacity(ROWS)).into();
        self.chunks.push(rows.try_into().ok().expect("a chunk has this many rows"));
    }
}

/// A time in six bytes: milliseconds since the earliest time there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PackedTime(Packed48);

impl PackedTime {
    pub(crate) fn new(time: Timestamp) -> PackedTime {
        PackedTime(Packed48::new((time.as_millis() - Timestamp::MIN.as_millis()) as u64))
    }

    pub(crate) fn get(self) -> Timestamp {
        let millis = self.0.get() as i64 + Timestamp::MIN.as_millis();
        Timestamp::from_millis(millis).expect("only valid times are packed")
    }
}

/// An unsigned number of 48 bits in six bytes: sequence numbers for years at a million a
/// second, or milliseconds of eight thousand years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed48([u16; 3]);

impl Packed48 {
    pub(crate) const ZERO: Packed48 = Packed48([0; 3]);

    /// The number; it must be below 2^48.
    pub(crate) fn new(number: u64) -> Packed48 {
        debug_assert!(number < 1 << 48);
        Packed48([number as u16, (number >> 16) as u16, (number >> 32) as u16])
    }

    /// The number.
    pub(crate) fn get(self) -> u64 {
        let [low, middle, high] = self.0;
        u64::from(low) | u64::from(middle) << 16 | u64::from(high) << 32
    }
}
