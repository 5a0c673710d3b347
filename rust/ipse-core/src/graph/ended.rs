//! What held between two things for a time and has ended: an identifier's place on a node, a
//! node's below another.
//!
//! Rows are kept in the order in which they ended, so that the oldest are forgotten first, and are
//! found from either end. What has not ended is not here: it says itself since when it holds.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::change::SequenceNumber;

use super::chunked::Packed48;

/// Rows of one chunk: a view shares it, and the first change after that copies it.
const ROWS: u64 = 1024;

/// Stands at both ends of a row that was erased.
const NOTHING: u32 = u32::MAX;

/// Something that held from one record on and has not since another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ended<T> {
    pub(crate) a: u32,
    pub(crate) b: u32,
    from: Packed48,
    until: Packed48,
    pub(crate) what: T,
}

impl<T> Ended<T> {
    pub(crate) fn new(
        (a, b): (u32, u32),
        from: SequenceNumber,
        until: SequenceNumber,
        what: T,
    ) -> Ended<T> {
        Ended { a, b, from: Packed48::new(from.0), until: Packed48::new(until.0), what }
    }

    /// The record that began it.
    pub(crate) fn from(&self) -> SequenceNumber {
        SequenceNumber(self.from.get())
    }

    /// The record that ended it.
    pub(crate) fn until(&self) -> SequenceNumber {
        SequenceNumber(self.until.get())
    }
}

/// The rows alone: what a view holds. Each has a number, counted from 0 as they are added.
#[derive(Clone, Debug)]
pub(crate) struct EndedRows<T> {
    /// Chunks by number; the rows before `first` are gone from the first of them.
    chunks: VecDeque<Arc<Vec<Ended<T>>>>,
    first: u64,
    next: u64,
}

impl<T: Copy> EndedRows<T> {
    fn get(&self, row: u64) -> &Ended<T> {
        &self.chunks[self.chunk(row)][(row % ROWS) as usize]
    }

    fn chunk(&self, row: u64) -> usize {
        (row / ROWS - self.first / ROWS) as usize
    }

    fn push(&mut self, ended: Ended<T>) -> u64 {
        let row = self.next;
        if row.is_multiple_of(ROWS) {
            self.chunks.push_back(Arc::default());
        }
        let last = self.chunks.back_mut().expect("a row that begins no chunk follows another");
        Arc::make_mut(last).push(ended);
        self.next += 1;
        row
    }

    /// The first row that ended after a number.
    fn first_after(&self, at: SequenceNumber) -> u64 {
        let (mut low, mut high) = (self.first, self.next);
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle).until() > at {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    fn forget_first(&mut self) -> Ended<T> {
        let ended = *self.get(self.first);
        self.first += 1;
        if self.first.is_multiple_of(ROWS) {
            self.chunks.pop_front();
        }
        ended
    }

    /// Takes the newest row out altogether; another stays, as nothing.
    fn erase(&mut self, row: u64) {
        if row + 1 == self.next {
            return self.forget_last();
        }
        let at = self.chunk(row);
        let ended = &mut Arc::make_mut(&mut self.chunks[at])[(row % ROWS) as usize];
        (ended.a, ended.b) = (NOTHING, NOTHING);
    }

    fn forget_last(&mut self) {
        self.next -= 1;
        match self.chunks.back_mut() {
            Some(last) if last.len() > 1 => _ = Arc::make_mut(last).pop(),
            _ => _ = self.chunks.pop_back(),
        }
    }

    /// All of them in order, in lists that are given back one by one.
    pub(crate) fn into_chunks(self) -> impl Iterator<Item = Vec<Ended<T>>> {
        let mut gone = (self.first % ROWS) as usize;
        self.chunks.into_iter().map(move |chunk| {
            let rows = &chunk[std::mem::take(&mut gone)..];
            rows.iter().filter(|row| row.a != NOTHING).copied().collect()
        })
    }
}

/// The rows, and where those of each end are.
#[derive(Clone, Debug)]
pub(crate) struct EndedTable<T> {
    rows: EndedRows<T>,
    by_a: BTreeSet<(u32, u64)>,
    by_b: BTreeSet<(u32, u64)>,
}

impl<T> Default for EndedTable<T> {
    fn default() -> EndedTable<T> {
        let rows = EndedRows { chunks: VecDeque::new(), first: 0, next: 0 };
        EndedTable { rows, by_a: BTreeSet::new(), by_b: BTreeSet::new() }
    }
}

impl<T: Copy> EndedTable<T> {
    /// How many rows there are, erased ones included.
    pub(crate) fn len(&self) -> usize {
        (self.rows.next - self.rows.first) as usize
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// About what the table takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        // Trees are two thirds full.
        let entries = (self.by_a.len() + self.by_b.len()) * size_of::<(u32, u64)>() * 3 / 2;
        (self.rows.chunks.len() * ROWS as usize * size_of::<Ended<T>>() + entries) as u64
    }

    /// Adds a row that ended with the newest record.
    pub(crate) fn add(&mut self, ended: Ended<T>) {
        let row = self.rows.push(ended);
        self.by_a.insert((ended.a, row));
        self.by_b.insert((ended.b, row));
    }

    /// When the newest row ended.
    pub(crate) fn newest(&self) -> Option<SequenceNumber> {
        (!self.is_empty()).then(|| self.rows.get(self.rows.next - 1).until())
    }

    /// When the oldest row ended.
    pub(crate) fn oldest(&self) -> Option<SequenceNumber> {
        (!self.is_empty()).then(|| self.rows.get(self.rows.first).until())
    }

    /// What something was on, as far as it ended after a number, in that order.
    pub(crate) fn of_a(&self, a: u32, at: SequenceNumber) -> impl Iterator<Item = &Ended<T>> {
        self.after(&self.by_a, a, at)
    }

    /// The same of what was on something.
    pub(crate) fn of_b(&self, b: u32, at: SequenceNumber) -> impl Iterator<Item = &Ended<T>> {
        self.after(&self.by_b, b, at)
    }

    /// Erases all rows with something at their first end.
    pub(crate) fn remove_a(&mut self, a: u32) {
        while let Some((_, row)) = first_of(&self.by_a, a) {
            self.erase(row);
        }
    }

    /// Erases all rows with something at their other end.
    pub(crate) fn remove_b(&mut self, b: u32) {
        while let Some((_, row)) = first_of(&self.by_b, b) {
            self.erase(row);
        }
    }

    /// Forgets the row that ended first.
    pub(crate) fn forget_first(&mut self) {
        let row = self.rows.first;
        let ended = self.rows.forget_first();
        self.by_a.remove(&(ended.a, row));
        self.by_b.remove(&(ended.b, row));
    }

    /// A view.
    pub(crate) fn freeze(&self) -> EndedRows<T> {
        self.rows.clone()
    }

    fn after<'t>(
        &'t self,
        by: &'t BTreeSet<(u32, u64)>,
        key: u32,
        at: SequenceNumber,
    ) -> impl Iterator<Item = &'t Ended<T>> {
        // Most have never left anything: only of others it is found out where to begin.
        let first = first_of(by, key).map(|_| self.rows.first_after(at));
        let rows = first.map(|first| by.range((key, first)..=(key, u64::MAX)));
        rows.into_iter().flatten().map(|&(_, row)| self.rows.get(row))
    }

    fn erase(&mut self, row: u64) {
        let ended = *self.rows.get(row);
        self.by_a.remove(&(ended.a, row));
        self.by_b.remove(&(ended.b, row));
        self.rows.erase(row);
    }
}

fn first_of(by: &BTreeSet<(u32, u64)>, key: u32) -> Option<(u32, u64)> {
    by.range((key, 0)..=(key, u64::MAX)).next().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: u64) -> EndedTable<u64> {
        let mut table = EndedTable::default();
        for row in 1..=rows {
            let ends = ((row % 3) as u32, (row % 5) as u32);
            table.add(Ended::new(ends, SequenceNumber(row / 2), SequenceNumber(row), row));
        }
        table
    }

    fn of_a(table: &EndedTable<u64>, a: u32, at: u64) -> Vec<u64> {
        table.of_a(a, SequenceNumber(at)).map(|row| row.what).collect()
    }

    #[test]
    fn rows_are_found_from_either_end_by_when_they_ended() {
        let table = table(5_000);
        let expected: Vec<u64> = (4_091..=5_000).filter(|row| row % 3 == 2).collect();
        assert_eq!(of_a(&table, 2, 4_090), expected);
        let first = table.of_b(0, SequenceNumber(9)).next().map(|row| row.what);
        assert_eq!(first, Some(10));
        assert_eq!(of_a(&table, 3, 0), [0; 0]);
    }

    #[test]
    fn the_oldest_are_forgotten_and_a_view_keeps_what_it_saw() {
        let mut table = table(3_000);
        let view = table.freeze();
        (0..2_500).for_each(|_| table.forget_first());
        table.remove_a(1);
        table.remove_b(0);
        let left: Vec<u64> = (2_501..=3_000).filter(|row| row % 3 != 1 && row % 5 != 0).collect();
        let rows: Vec<u64> = table.freeze().into_chunks().flatten().map(|row| row.what).collect();
        assert_eq!(rows, left);
        assert_eq!((table.len(), table.oldest()), (499, Some(SequenceNumber(2_501))));
        assert_eq!(view.into_chunks().flatten().count(), 3_000);
        assert_eq!(of_a(&table, 1, 0), [0; 0]);
    }

    #[test]
    fn what_was_just_added_leaves_no_room_taken() {
        let mut table = table(1_024);
        for row in 1_025..2_050 {
            table.add(Ended::new((7, 7), SequenceNumber(1), SequenceNumber(row), row));
        }
        let taken = table.bytes();
        table.remove_a(7);
        assert_eq!(table.len(), 2_048, "the last was the newest");
        for row in 2_050..9_000 {
            table.add(Ended::new((8, 8), SequenceNumber(1), SequenceNumber(row), row));
            table.remove_a(8);
        }
        assert!(table.bytes() < taken);
        assert_eq!(table.freeze().into_chunks().flatten().count(), 1_024);
    }
}
