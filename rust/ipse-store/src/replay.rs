//! Reading a data directory: the newest snapshot that can be read, and every record after
//! it, each checked before it is applied.
//!
//! Changes nothing on the disk. Tells a torn tail, which a crash leaves and nobody was
//! promised, from corruption, which is refused; the rule is in [`crate::format`].

use std::path::Path;

use crate::codec::decode_record;
use crate::directory::Found;
use crate::error::OpenError;
use crate::format::{ALIGNMENT, FRAME_HEADER_BYTES, HEADER_BYTES, segment_name, snapshot_name};
use crate::frame::{self, Frame, FrameKind, REWRITTEN_BYTES};
use crate::planted::{Fault, is_planted};
use crate::recovery::Recovery;
use crate::segment::{SegmentHeader, read_file};
use crate::snapshot;
use crate::state::State;

/// A directory that is being read. Nothing in it has been changed.
pub(crate) struct Opening<'d> {
    pub(crate) found: Found<'d>,
    pub(crate) headers: Vec<SegmentHeader>,
    pub(crate) state: State,
    pub(crate) snapshot: Option<u64>,
    pub(crate) broken_snapshots: Vec<u64>,
    pub(crate) recovery: Recovery,
    pub(crate) bytes_since_snapshot: u64,
}

/// The newest segment after replay.
pub(crate) struct Tail<'d> {
    pub(crate) opening: Opening<'d>,
    pub(crate) header: SegmentHeader,
    pub(crate) bytes: Vec<u8>,
    /// Where the frames end, and what is broken after them.
    pub(crate) walk: Walk,
}

/// How far the frames of a segment go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    pub(crate) end: usize,
    pub(crate) position: u64,
    pub(crate) crc: u32,
    /// Length of what follows and is neither frame nor zeros.
    pub(crate) damage: usize,
    pub(crate) clean: bool,
}

impl<'d> Opening<'d> {
    pub(crate) fn new(found: Found<'d>, hash_seed: u64) -> Result<Opening<'d>, OpenError> {
        let headers = found.headers()?;
        let mut opening = Opening {
            headers,
            state: State::new(hash_seed),
            snapshot: None,
            broken_snapshots: Vec::new(),
            recovery: Recovery::default(),
            bytes_since_snapshot: 0,
            found,
        };
        opening.load_snapshot(hash_seed)?;
        Ok(opening)
    }

    /// The newest that can be read, unless the log no longer reaches back to it.
    fn load_snapshot(&mut self, hash_seed: u64) -> Result<(), OpenError> {
        let mut newest_problem = None;
        for position in self.found.snapshots.clone().into_iter().rev() {
            match self.try_snapshot(position, hash_seed) {
                Ok(state) => {
                    self.state = state;
                    self.snapshot = Some(position);
                    self.recovery.snapshot_file_name = Some(snapshot_name(position));
                    self.recovery.snapshot_log_position = position;
                    break;
                }
                Err(OpenError::Corrupt { file, offset, problem }) => {
                    self.recovery.notes.push(format!(
                        "{} cannot be read and is kept aside as .broken, an older state and more \
                         of the log were used: at byte {offset}, {problem}",
                        file.display()
                    ));
                    self.broken_snapshots.push(position);
                    newest_problem.get_or_insert(OpenError::Corrupt { file, offset, problem });
                }
                Err(error) => return Err(error),
            }
        }
        let first = self.headers[0].first_position;
        if first <= self.recovery.snapshot_log_position.saturating_add(1) {
            return Ok(());
        }
        Err(newest_problem.unwrap_or_else(|| {
            self.found.missing(format!(
                "the log begins at position {first}, and no snapshot holds what was before"
            ))
        }))
    }

    fn try_snapshot(&self, position: u64, hash_seed: u64) -> Result<State, OpenError> {
        let path = self.found.dir.join(snapshot_name(position));
        snapshot::load_at(self.found.disk, &path, position, self.headers[0].log_id, hash_seed)
    }

    /// Applies the log after the snapshot.
    pub(crate) fn replay(mut self) -> Result<Tail<'d>, OpenError> {
        let after = self.recovery.snapshot_log_position.saturating_add(1);
        let start = self.headers.partition_point(|header| header.first_position <= after);
        let mut index = start.saturating_sub(1);
        loop {
            let header = self.headers[index];
            let path = self.found.segment_path(header.number);
            let bytes = read_file(self.found.disk, &path)?;
            let walk = self.walk(&header, &bytes, &path)?;
            index += 1;
            let Some(next) = self.headers.get(index).copied() else {
                let tail = Tail { opening: self, header, bytes, walk };
                return tail.checked(&path);
            };
            self.check_sealed(&walk, &next, &path)?;
        }
    }

    /// A segment with a successor was synced whole before the successor was named.
    fn check_sealed(
        &mut self,
        walk: &Walk,
        next: &SegmentHeader,
        path: &Path,
    ) -> Result<(), OpenError> {
        if walk.position != next.first_position || walk.crc != next.previous_crc {
            let problem = format!(
                "the frame with log position {} is broken, and {} begins at {}",
                walk.position,
                segment_name(next.number),
                next.first_position
            );
            return Err(OpenError::corrupt(path, walk.end as u64, problem));
        }
        if walk.damage > 0 {
            self.recovery.notes.push(format!(
                "{} holds {} unexpected bytes after its last frame, at byte {}; no record is missing",
                path.display(),
                walk.damage,
                walk.end
            ));
        }
        Ok(())
    }

    /// Replays frames until they end.
    fn walk(
        &mut self,
        header: &SegmentHeader,
        bytes: &[u8],
        path: &Path,
    ) -> Result<Walk, OpenError> {
        let mut walk = Walk {
            end: HEADER_BYTES,
            position: header.first_position,
            crc: header.previous_crc,
            damage: 0,
            clean: false,
        };
        while let Some(frame) = frame::parse(&bytes[walk.end..], header.salt) {
            if !follows(&frame, &walk) {
                break;
            }
            self.replay_frame(&frame, walk.end, path)?;
            walk.end += frame.size();
            walk.position = frame.end_position();
            walk.crc = frame.chain_crc();
            walk.clean = frame.header.kind == FrameKind::CleanShutdown;
        }
        walk.damage = used(&bytes[walk.end..]);
        Ok(walk)
    }

    fn replay_frame(
        &mut self,
        frame: &Frame<'_>,
        start: usize,
        path: &Path,
    ) -> Result<(), OpenError> {
        let place = |offset: usize| (start + FRAME_HEADER_BYTES + offset) as u64;
        check_frame(frame).map_err(|problem| OpenError::corrupt(path, start as u64, problem))?;
        let covered = self.recovery.snapshot_log_position;
        if frame.end_position() <= covered.saturating_add(1) {
            return Ok(());
        }
        self.bytes_since_snapshot += frame.size() as u64;
        let mut offset = 0;
        for position in frame.header.first_position..frame.end_position() {
            let (workspace, record, size) =
                decode_record(&frame.payload[offset..]).map_err(|error| {
                    let problem = format!("record at log position {position}: {error}");
                    OpenError::corrupt(path, place(offset + error.offset), problem)
                })?;
            if position > covered {
                self.state.replay(workspace, &record).map_err(|problem| {
                    let problem = format!("record at log position {position}: {problem}");
                    OpenError::corrupt(path, place(offset), problem)
                })?;
                self.recovery.replayed_records += 1;
            }
            offset += size;
        }
        if offset == frame.payload.len() {
            return Ok(());
        }
        Err(OpenError::corrupt(path, place(offset), "the frame holds more than its records"))
    }
}

impl Tail<'_> {
    /// Refuses damage to anything that was synced.
    fn checked(self, path: &Path) -> Result<Self, OpenError> {
        let walk = &self.walk;
        let covered = self.opening.recovery.snapshot_log_position;
        let later = if walk.damage == 0 { 0 } else { self.synced_in_later_frames() };
        let synced = later.max(covered);
        if walk.position > synced || is_planted(Fault::ForgiveAll) {
            return Ok(self);
        }
        let problem = format!(
            "the log ends or breaks before position {}, and it was on disk up to {synced}",
            walk.position
        );
        Err(OpenError::corrupt(path, walk.end as u64, problem))
    }

    /// The highest position that a frame after the damage says was synced.
    fn synced_in_later_frames(&self) -> u64 {
        (self.walk.end..self.bytes.len())
            .step_by(ALIGNMENT)
            .filter_map(|offset| frame::parse(&self.bytes[offset..], self.header.salt))
            .map(|frame| frame.header.synced_through)
            .max()
            .unwrap_or(0)
    }
}

/// Whether a frame is the one that comes next.
fn follows(frame: &Frame<'_>, walk: &Walk) -> bool {
    frame.header.first_position == walk.position && frame.header.previous_crc == walk.crc
}

/// What a frame with a right checksum may not say.
pub(crate) fn check_frame(frame: &Frame<'_>) -> Result<(), String> {
    let header = &frame.header;
    if header.synced_through >= header.first_position {
        return Err("the frame says that it was synced before it was written".to_owned());
    }
    match header.kind {
        FrameKind::Group if header.record_count == 0 => Err("the group is empty".to_owned()),
        FrameKind::CleanShutdown if header.record_count != 0 || !frame.payload.is_empty() => {
            Err("the mark of a clean shutdown holds records".to_owned())
        }
        FrameKind::Rewritten
            if header.record_count != 0 || frame.payload.len() != REWRITTEN_BYTES =>
        {
            Err("the end of a rewritten segment is not one checksum".to_owned())
        }
        _ => Ok(()),
    }
}

/// Length without the zeros at the end.
pub(crate) fn used(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let pieces = bytes.chunks(ZEROS.len());
    let empty = pieces.rev().take_while(|piece| **piece == ZEROS[..piece.len()]);
    let left = bytes.len() - empty.map(<[u8]>::len).sum::<usize>();
    bytes[..left].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_finds_the_last_byte() {
        for length in [0, 1, 4095, 4096, 4097, 10_000] {
            let mut bytes = vec![0; length];
            assert_eq!(used(&bytes), 0);
            for place in [0, length / 2, length.saturating_sub(1)] {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = 1;
                    assert_eq!(used(&bytes), place + 1);
                    bytes[place] = 0;
                }
            }
        }
    }
}
