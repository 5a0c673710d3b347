//! Reading the log: the frames of a segment, for a start too, and all of it, for copies and for
//! judging.
//!
//! Changes nothing, and keeps no more than a segment in memory. Tells what is torn from what is
//! corrupt: the rule is in [`crate::format`].

use std::path::{Path, PathBuf};

use ipse_core::Record;

use crate::codec::decode_record;
use crate::error::OpenError;
use crate::format::{ALIGNMENT, FRAME_HEADER_BYTES, HEADER_BYTES, segment_name};
use crate::frame::{self, Frame, FrameHeader, FrameKind, REWRITTEN_BYTES};
use crate::fs::Disk;
use crate::segment::{SegmentHeader, read_file};

/// A segment and where it is.
#[derive(Clone, Debug)]
pub(crate) struct SegmentFile {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
}

/// The frames of a segment, one after the other, as long as each follows the one before.
pub(crate) struct Frames<'b> {
    salt: u64,
    bytes: &'b [u8],
    /// Where the next frame begins.
    pub(crate) end: usize,
    /// Log position of the next record.
    pub(crate) position: u64,
    /// What the next frame must name.
    pub(crate) crc: u32,
}

/// What a visitor makes of a record.
pub(crate) enum Visit {
    /// It was taken.
    Taken,
    /// It was not taken, nor will any later one be.
    Stop,
    /// It cannot be.
    Impossible(String),
}

/// How far reading came.
#[derive(Clone, Debug)]
pub(crate) struct LogEnd {
    /// Log position of the last record that was taken or passed over.
    pub(crate) position: u64,
    /// Whether the visitor stopped it.
    pub(crate) stopped: bool,
    /// Records of each segment that was read to its end.
    pub(crate) records: Vec<u64>,
    pub(crate) torn: Option<Torn>,
}

/// What a crash left half written at the end of the log: nobody was promised it.
#[derive(Clone, Debug)]
pub(crate) struct Torn {
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
}

/// Reads records in the order of the log, those up to position `covered` too, and gives each
/// later one to `visit` with its log position and the number of its workspace.
pub(crate) fn read_log(
    disk: &dyn Disk,
    segments: &[SegmentFile],
    covered: u64,
    visit: &mut dyn FnMut(u64, u32, &Record<'_>) -> Visit,
) -> Result<LogEnd, OpenError> {
    let position = segments.first().map_or(0, |segment| segment.header.first_position - 1);
    let mut log = LogEnd { position, stopped: false, records: Vec::new(), torn: None };
    for (index, segment) in segments.iter().enumerate() {
        let bytes = read_file(disk, &segment.path)?;
        let mut frames = Frames::new(&segment.header, &bytes);
        while let Some((offset, frame)) = frames.next(&segment.path)? {
            if read_frame(&frame, offset, segment, covered, visit, &mut log)? {
                log.stopped = true;
                return Ok(log);
            }
        }
        log.position = frames.position - 1;
        log.records.push(frames.position - segment.header.first_position);
        match segments.get(index + 1) {
            Some(next) => frames.check_sealed(&segment.path, &next.header)?,
            None => log.torn = frames.check_tail(&segment.path, covered)?,
        }
    }
    Ok(log)
}

/// Gives each record of a frame to `visit`; true if that is enough.
fn read_frame(
    frame: &Frame<'_>,
    start: usize,
    segment: &SegmentFile,
    covered: u64,
    visit: &mut dyn FnMut(u64, u32, &Record<'_>) -> Visit,
    log: &mut LogEnd,
) -> Result<bool, OpenError> {
    let corrupt = |offset: usize, problem: String| {
        let place = (start + FRAME_HEADER_BYTES + offset) as u64;
        OpenError::corrupt(&segment.path, place, problem)
    };
    let mut offset = 0;
    for position in frame.header.first_position..frame.end_position() {
        let told = |problem: &str| format!("record at log position {position}: {problem}");
        let (workspace, record, size) = decode_record(&frame.payload[offset..])
            .map_err(|error| corrupt(offset + error.offset, told(&error.to_string())))?;
        if position > covered {
            match visit(position, workspace, &record) {
                Visit::Taken => {}
                Visit::Stop => return Ok(true),
                Visit::Impossible(problem) => return Err(corrupt(offset, told(&problem))),
            }
        }
        log.position = position;
        offset += size;
    }
    if frame.is_read_by(offset) {
        return Ok(false);
    }
    Err(corrupt(offset, "the frame holds more than its records".to_owned()))
}

impl<'b> Frames<'b> {
    pub(crate) fn new(header: &SegmentHeader, bytes: &'b [u8]) -> Frames<'b> {
        Frames {
            salt: header.salt,
            bytes,
            end: HEADER_BYTES.min(bytes.len()),
            position: header.first_position,
            crc: header.previous_crc,
        }
    }

    /// The next frame and where it begins; none where the frames end or break.
    pub(crate) fn next(&mut self, path: &Path) -> Result<Option<(usize, Frame<'b>)>, OpenError> {
        let start = self.end;
        let Some(frame) = frame::parse(&self.bytes[start..], self.salt) else { return Ok(None) };
        if frame.header.first_position != self.position || frame.header.previous_crc != self.crc {
            return Ok(None);
        }
        check_frame(&frame).map_err(|problem| OpenError::corrupt(path, start as u64, problem))?;
        self.end += frame.size();
        self.position = frame.end_position();
        self.crc = frame.chain_crc();
        Ok(Some((start, frame)))
    }

    /// A segment with a successor was synced whole before the successor was named.
    pub(crate) fn check_sealed(&self, path: &Path, next: &SegmentHeader) -> Result<(), OpenError> {
        if self.position == next.first_position && self.crc == next.previous_crc {
            return Ok(());
        }
        let problem = format!(
            "the frame with log position {} is broken, and {} begins at {}",
            self.position,
            segment_name(next.number),
            next.first_position
        );
        Err(OpenError::corrupt(path, self.end as u64, problem))
    }

    /// Length of what follows and is neither frame nor zeros.
    pub(crate) fn damage(&self) -> usize {
        used(&self.bytes[self.end..])
    }

    /// Refuses an end of the log before anything that was synced: what a snapshot of position
    /// `covered` holds, and what frames after [`Frames::damage`] say.
    pub(crate) fn check_synced(
        &self,
        path: &Path,
        covered: u64,
        damage: usize,
    ) -> Result<(), OpenError> {
        let later = if damage == 0 { 0 } else { self.synced_in_later_frames() };
        let synced = later.max(covered);
        if self.position > synced {
            return Ok(());
        }
        let problem = format!(
            "the log ends or breaks before position {}, and it was on disk up to {synced}",
            self.position
        );
        Err(OpenError::corrupt(path, self.end as u64, problem))
    }

    /// What follows the last frame of the log, unless it breaks what was on disk.
    fn check_tail(&self, path: &Path, covered: u64) -> Result<Option<Torn>, OpenError> {
        let bytes = self.damage();
        self.check_synced(path, covered, bytes)?;
        let torn = Torn { path: path.to_owned(), offset: self.end as u64, bytes };
        Ok((bytes > 0).then_some(torn))
    }

    /// The highest position that a frame after the damage says was synced.
    fn synced_in_later_frames(&self) -> u64 {
        (self.end..self.bytes.len())
            .step_by(ALIGNMENT)
            .filter_map(|offset| frame::parse(&self.bytes[offset..], self.salt))
            .map(|frame| frame.header.synced_through)
            .max()
            .unwrap_or(0)
    }
}

/// What a frame with a right checksum may not say.
fn check_frame(frame: &Frame<'_>) -> Result<(), String> {
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
fn used(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let pieces = bytes.chunks(ZEROS.len());
    let empty = pieces.rev().take_while(|piece| **piece == ZEROS[..piece.len()]);
    let left = bytes.len() - empty.map(<[u8]>::len).sum::<usize>();
    bytes[..left].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// The bytes of a frame without its records after log position `through`, and their checksum.
pub(crate) fn cut(
    frame: &Frame<'_>,
    through: u64,
    place: (&SegmentFile, usize),
) -> Result<(Vec<u8>, u32), OpenError> {
    let mut length = 0;
    for _ in frame.header.first_position..=through {
        let (_, _, size) = decode_record(&frame.payload[length..]).map_err(|error| {
            let offset = place.1 + FRAME_HEADER_BYTES + length + error.offset;
            OpenError::corrupt(&place.0.path, offset as u64, error.to_string())
        })?;
        length += size;
    }
    let count = through + 1 - frame.header.first_position;
    let header = FrameHeader {
        record_count: u32::try_from(count).expect("fewer than the frame had"),
        ..frame.header
    };
    let mut bytes = Vec::new();
    frame::begin(&mut bytes);
    bytes.extend_from_slice(&frame.payload[..length]);
    let crc = frame::finish(&mut bytes, &header);
    Ok((bytes, crc))
}

/// The frame that says that a log ends cleanly after position `last`.
pub(crate) fn end_mark(salt: u64, previous_crc: u32, last: u64) -> Vec<u8> {
    let header = FrameHeader {
        salt,
        previous_crc,
        record_count: 0,
        first_position: last + 1,
        synced_through: last,
        kind: FrameKind::CleanShutdown,
    };
    let mut bytes = Vec::new();
    frame::begin(&mut bytes);
    frame::finish(&mut bytes, &header);
    bytes
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
