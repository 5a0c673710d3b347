//! When each record was logged: which was the newest at a time, and the time of each.
//!
//! Times never go back from one record to the next, so a moment is how much later it is than the
//! one before and how many records it has: two bytes, mostly. Moments stand in blocks, each of
//! which can be read alone; a reader finds its block by halving.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::change::SequenceNumber;
use crate::time::Timestamp;

/// A block is closed once its moments take so many bytes: reading one takes less than a
/// microsecond.
const BLOCK_BYTES: usize = 512;

/// Moments that follow each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Block {
    /// The number of its first record.
    pub(crate) first: u64,
    /// When that was logged, milliseconds.
    pub(crate) time: i64,
    /// Of each moment: milliseconds since the one before, and records.
    pub(crate) moments: Vec<u8>,
}

/// A moment that is over: the number after its last record, and its time.
pub(crate) type Moment = (u64, i64);

/// All moments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timeline {
    /// Blocks that are closed, oldest first.
    closed: VecDeque<Arc<Block>>,
    open: Block,
    /// The time of the newest moment in the open block.
    open_until: i64,
    /// The newest moment, which is in no block yet: the number of its first record, how many it
    /// has, and its time.
    first: u64,
    records: u64,
    time: i64,
}

impl Block {
    /// The end of the last moment, if moments are what it holds.
    pub(crate) fn end(&self) -> Option<Moment> {
        let (mut rest, mut end) = (&self.moments[..], (self.first, self.time));
        while !rest.is_empty() {
            let next = take_moment(&mut rest, end)?;
            Timestamp::from_millis(next.1).filter(|_| next.0 > end.0)?;
            end = next;
        }
        Some(end).filter(|end| end.0 > self.first)
    }

    fn moments(&self) -> impl Iterator<Item = Moment> {
        let (mut rest, mut end) = (&self.moments[..], (self.first, self.time));
        std::iter::from_fn(move || {
            end = take_moment(&mut rest, end)?;
            Some(end)
        })
    }
}

impl Timeline {
    /// About what it takes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let block = BLOCK_BYTES + size_of::<Block>() + 4 * size_of::<usize>();
        ((self.closed.len() + 1) * block) as u64
    }

    /// The first record that it knows.
    pub(crate) fn first(&self) -> u64 {
        self.blocks().next().map_or(self.first, |block| block.first)
    }

    /// The number after the newest record, and when that was logged.
    pub(crate) fn end(&self) -> Moment {
        (self.first + self.records, self.time)
    }

    /// Notes the next record.
    #[inline]
    pub(crate) fn note(&mut self, sequence: SequenceNumber, time: Timestamp) {
        if time.as_millis() != self.time || self.records == 0 {
            self.end_moment();
            (self.first, self.records, self.time) = (sequence.0, 0, time.as_millis());
        }
        self.records += 1;
    }

    /// The newest record that was logged at a time or before; `None` if all that it knows were
    /// later.
    pub(crate) fn newest_at(&self, time: Timestamp) -> Option<SequenceNumber> {
        let time = time.as_millis();
        let next = if self.records > 0 && time >= self.time {
            self.end().0
        } else {
            let block = self.block(|block| block.time <= time)?;
            block.moments().take_while(|moment| moment.1 <= time).last()?.0
        };
        Some(SequenceNumber(next - 1))
    }

    /// When a record was logged, if it knows.
    pub(crate) fn time_of(&self, sequence: SequenceNumber) -> Option<Timestamp> {
        let number = sequence.0;
        let time = if number >= self.first {
            (number < self.end().0).then_some(self.time)?
        } else {
            let block = self.block(|block| block.first <= number)?;
            block.moments().find(|moment| moment.0 > number)?.1
        };
        Timestamp::from_millis(time)
    }

    /// Forgets blocks that hold nothing but records before a number.
    pub(crate) fn forget(&mut self, before: SequenceNumber) {
        while !self.closed.is_empty() && self.second() <= before.0 {
            self.closed.pop_front();
        }
    }

    /// All blocks, oldest first.
    pub(crate) fn into_blocks(mut self) -> impl Iterator<Item = Block> {
        self.end_moment();
        let open = Some(self.open).filter(|open| !open.moments.is_empty());
        self.closed.into_iter().map(Arc::unwrap_or_clone).chain(open)
    }

    /// Puts back the next block, which ends as told. The last one goes on if there is room.
    pub(crate) fn restore(&mut self, block: Block, end: Moment) {
        self.close();
        (self.open, self.open_until) = (block, end.1);
        if self.open.moments.len() >= BLOCK_BYTES {
            self.close();
        }
        (self.first, self.records, self.time) = (end.0, 0, end.1);
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        let open = Some(&self.open).filter(|open| !open.moments.is_empty());
        self.closed.iter().map(|block| &**block).chain(open)
    }

    /// The last of the blocks for which something holds: it holds for those before it, too.
    fn block(&self, holds: impl Fn(&Block) -> bool) -> Option<&Block> {
        if !self.open.moments.is_empty() && holds(&self.open) {
            return Some(&self.open);
        }
        let after = self.closed.partition_point(|block| holds(block));
        Some(&self.closed[after.checked_sub(1)?])
    }

    /// The first record after the oldest block.
    fn second(&self) -> u64 {
        self.blocks().nth(1).map_or(self.first, |block| block.first)
    }

    fn end_moment(&mut self) {
        if self.records == 0 {
            return;
        }
        if self.open.moments.is_empty() {
            let moments = Vec::with_capacity(BLOCK_BYTES + 20);
            self.open = Block { first: self.first, time: self.time, moments };
            self.open_until = self.time;
        }
        put(&mut self.open.moments, self.time.abs_diff(self.open_until));
        put(&mut self.open.moments, self.records);
        self.open_until = self.time;
        if self.open.moments.len() >= BLOCK_BYTES {
            self.close();
        }
    }

    fn close(&mut self) {
        let block = std::mem::take(&mut self.open);
        if !block.moments.is_empty() {
            self.closed.push_back(Arc::new(block));
        }
    }
}

/// The moment after the one that ends so.
fn take_moment(rest: &mut &[u8], (next, time): Moment) -> Option<Moment> {
    let (later, records) = (take(rest)?, take(rest)?);
    Some((next.checked_add(records)?, time.checked_add_unsigned(later)?))
}

/// Seven bits a byte, the lowest first; the last byte has no high bit.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records in moments of one to three, some of them close together and some far apart.
    fn times(records: u64) -> Vec<i64> {
        let gap = |n: u64| [1, 2, 130, 40_000_000][(n % 4) as usize];
        let mut time = -5_000;
        let mut times = Vec::new();
        for n in 0..records {
            time += if n % 3 == 0 || n % 7 == 2 { gap(n / 3) } else { 0 };
            times.push(time);
        }
        times
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).expect("within range")
    }

    fn timeline(times: &[i64]) -> Timeline {
        let mut timeline = Timeline::default();
        for (sequence, &time) in (1..).zip(times) {
            timeline.note(SequenceNumber(sequence), at(time));
        }
        timeline
    }

    fn assert_is(timeline: &Timeline, times: &[i64], known: usize) {
        for (number, &time) in (1..).zip(times).skip(known) {
            assert_eq!(timeline.time_of(SequenceNumber(number)), Some(at(time)));
            let newest = |time: i64| times.partition_point(|&t| t <= time) as u64;
            for time in [time, time + 1] {
                assert_eq!(timeline.newest_at(at(time)), Some(SequenceNumber(newest(time))));
            }
        }
        assert_eq!(timeline.time_of(SequenceNumber(times.len() as u64 + 1)), None);
    }

    #[test]
    fn it_knows_the_newest_record_of_each_time_and_the_time_of_each_record() {
        let times = times(3_000);
        let timeline = timeline(&times);
        assert!(timeline.closed.len() > 2);
        assert_is(&timeline, &times, 0);
        assert_eq!(timeline.newest_at(at(times[0] - 1)), None);
        assert_eq!(timeline.time_of(SequenceNumber(0)), None);
    }

    #[test]
    fn it_goes_on_from_its_blocks() {
        let times = times(3_000);
        for known in [1, 2, 500, 1_501] {
            let mut loaded = Timeline::default();
            for block in timeline(&times[..known]).into_blocks() {
                let end = block.end().expect("it holds moments");
                loaded.restore(block, end);
            }
            for (number, &time) in (1..).zip(&times).skip(known) {
                loaded.note(SequenceNumber(number), at(time));
            }
            assert_is(&loaded, &times, 0);
        }
    }

    #[test]
    fn it_forgets_whole_blocks_and_keeps_what_is_asked_for() {
        let times = times(3_000);
        for before in [1, 2, 700, 2_999, 3_000] {
            let mut timeline = timeline(&times);
            timeline.forget(SequenceNumber(before));
            assert!(timeline.first() <= before);
            assert!(before < 700 || timeline.first() > 1);
            assert_is(&timeline, &times, before as usize - 1);
        }
    }

    #[test]
    fn what_is_no_moment_is_told() {
        let block = |moments: &[u8]| Block { first: 1, time: 0, moments: moments.to_vec() };
        assert_eq!(block(&[0, 3, 5, 1]).end(), Some((5, 5)));
        for moments in [&[][..], &[0], &[0, 0], &[0, 0x80], &[0xff; 20]] {
            assert_eq!(block(moments).end(), None, "{moments:?}");
        }
    }
}
