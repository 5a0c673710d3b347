//! Where the log has the records of one workspace: the log positions of a few of them.
//!
//! Sequence numbers are a workspace's, positions are the log's, and nothing in a record tells one
//! from the other. A record has a mark if many of the workspace's records, or much of the log,
//! came since the last that has one. So any record lies within a short stretch of the log that
//! begins at a mark; and so does the oldest that is left, wherever the log begins by now.
//!
//! Commits and replay add marks, snapshots hold them, and those of deleted segments are dropped.

use ipse_core::SequenceNumber;

/// So many records of the workspace have at most one mark among them.
const MARK_RECORDS: u64 = 1_024;
/// Any record lies less than so many positions after a mark: as many records may have to be
/// passed over to find one, of whichever workspaces.
const STRETCH_POSITIONS: u64 = 1 << 16;

/// The marks of a workspace, in order of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Positions(Vec<Mark>);

/// A record and where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its sequence number.
    pub sequence: SequenceNumber,
    /// Its log position.
    pub position: u64,
}

/// A part of the log: from one position to another, which is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// What marks tell of the oldest record of a workspace that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oldest {
    /// If there is one of the workspace here, it is the first of these.
    pub(crate) within: Option<Stretch>,
    /// Otherwise it is this; `None`: there is none.
    pub(crate) otherwise: Option<SequenceNumber>,
}

impl Positions {
    /// Takes in the next record.
    pub(crate) fn note(&mut self, sequence: SequenceNumber, position: u64) {
        let is_far = |newest: &Mark| {
            sequence.0 - newest.sequence.0 >= MARK_RECORDS
                || position - newest.position >= STRETCH_POSITIONS
        };
        if self.0.last().is_none_or(is_far) {
            self.0.push(Mark { sequence, position });
        }
    }

    /// Where the record with a sequence number lies, if it was ever there and is not long gone.
    pub(crate) fn stretch(&self, sequence: SequenceNumber) -> Option<Stretch> {
        let next = self.0.partition_point(|mark| mark.sequence <= sequence);
        let mark = self.0[next.checked_sub(1)?];
        let last = if mark.sequence == sequence { mark.position } else { self.end_of(next - 1) };
        Some(Stretch { first: mark.position, last })
    }

    /// What is known of the oldest record that lies at `first` or later.
    pub(crate) fn oldest(&self, first: u64) -> Oldest {
        let next = self.0.partition_point(|mark| mark.position < first);
        let otherwise = self.0.get(next).map(|mark| mark.sequence);
        let last = next.checked_sub(1).map(|before| self.end_of(before));
        let within = last.filter(|last| *last >= first).map(|last| Stretch { first, last });
        Oldest { within, otherwise }
    }

    /// Drops the marks that no record at `first` or later needs.
    pub(crate) fn forget_before(&mut self, first: u64) {
        let next = self.0.partition_point(|mark| mark.position <= first);
        self.0.drain(..next.saturating_sub(1));
    }

    pub(crate) fn marks(&self) -> &[Mark] {
        &self.0
    }

    /// Takes in marks that were read back, behind those that are there.
    pub(crate) fn extend(&mut self, marks: Vec<Mark>) -> Result<(), String> {
        for mark in marks {
            let follows =
                |newest: &Mark| newest.sequence < mark.sequence && newest.position < mark.position;
            if !self.0.last().is_none_or(follows) {
                return Err(format!("the place of record {} is out of order", mark.sequence));
            }
            self.0.push(mark);
        }
        Ok(())
    }

    /// The last position at which a record may lie that comes after a mark and before the next.
    fn end_of(&self, at: usize) -> u64 {
        let last = self.0[at].position.saturating_add(STRETCH_POSITIONS - 1);
        self.0.get(at + 1).map_or(last, |next| last.min(next.position - 1))
    }
}

impl Stretch {
    /// Whether one that begins no earlier goes on where this one is, or right after it.
    pub(crate) fn reaches(&self, later: Stretch) -> bool {
        later.first <= self.last.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(number: u64) -> SequenceNumber {
        SequenceNumber(number)
    }

    /// A workspace's records at these positions.
    fn positions(at: impl IntoIterator<Item = u64>) -> Positions {
        let mut positions = Positions::default();
        (1..).zip(at).for_each(|(number, at)| positions.note(sequence(number), at));
        positions
    }

    #[test]
    fn every_record_lies_where_the_marks_say_and_the_oldest_that_is_left_too() {
        let quiet = STRETCH_POSITIONS;
        let at: Vec<u64> = (1..=3_000)
            .map(|n| n * 3)
            .chain([9_001, quiet * 2, quiet * 2 + 1, quiet * 5, quiet * 6 - 1])
            .collect();
        let positions = positions(at.iter().copied());
        assert_eq!(positions.marks().len(), 3 + 2);
        for (number, at) in (1..).zip(&at) {
            let stretch = positions.stretch(sequence(number)).expect("it is there");
            assert!((stretch.first..=stretch.last).contains(at), "{number}");
        }
        for first in [1, 2, 3, 4, 3_072, 3_073, 3_074, 9_001, 9_002, quiet, quiet * 2, quiet * 9] {
            let mut left = positions.clone();
            left.forget_before(first);
            assert_eq!(left.oldest(first), positions.oldest(first));
            let Oldest { within, otherwise } = left.oldest(first);
            let found = (1..).zip(&at).find(|(_, at)| **at >= first);
            let is_within = found.filter(|(_, at)| within.is_some_and(|w| **at <= w.last));
            let expected = is_within.or(found).map(|(number, _)| sequence(number));
            assert!(is_within.is_some() || expected == otherwise, "{first}");
        }
    }

    #[test]
    fn marks_out_of_order_are_refused() {
        let mark = |number, position| Mark { sequence: sequence(number), position };
        let mut positions = Positions::default();
        assert_eq!(positions.extend(vec![mark(1, 4), mark(2, 5)]), Ok(()));
        for wrong in [mark(2, 6), mark(3, 5)] {
            assert!(positions.clone().extend(vec![wrong]).is_err());
        }
    }
}
