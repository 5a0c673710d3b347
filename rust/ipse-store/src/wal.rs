//! The log as it is appended to: frames into segments, one segment after the other.
//!
//! Knows no thread, no lock and no record. Each step consumes the log and gives it back
//! only if it succeeded: after a failed write or sync the page cache may have dropped our
//! bytes, a retry could report success for data that is gone, and so there is no log left
//! to retry with.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::error::IoFailed;
use crate::format::{ALIGNMENT, FRAME_HEADER_BYTES, HEADER_BYTES, aligned};
use crate::frame::{self, FrameHeader, FrameKind};
use crate::fs::Disk;
use crate::reserve::{Reserve, Room, Space, Wanted};
use crate::segment::{Manifest, PIECE_BYTES, Segment, SegmentHeader};

/// A smaller segment would hold less than one ordinary group.
const SEGMENT_BYTES_MIN: u64 = 1024;

/// What a segment's newest frame needs beside its payload: its header, the gap behind it, and
/// the mark of a clean shutdown.
pub(crate) const FRAMING_BYTES: u64 = 2 * FRAME_HEADER_BYTES as u64 + ALIGNMENT as u64;

/// Records to be written as one frame.
#[derive(Default)]
pub(crate) struct Group {
    /// Room for the frame's header, then the encoded records.
    pub(crate) buffer: Vec<u8>,
    pub(crate) first_position: u64,
    pub(crate) record_count: u32,
    /// Log time of the first record, in seconds since 1970.
    pub(crate) first_time_s: u32,
}

/// Where the log is and how its segments are made.
pub(crate) struct LogPlace {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) log_id: u64,
    pub(crate) segment_size: u64,
}

/// An open log.
pub(crate) struct Log {
    place: LogPlace,
    segment: Segment,
    last_crc: u32,
    /// Log position of the newest record that was written.
    written: u64,
    /// Log position through which everything is on disk.
    synced: u64,
    /// Whether the newest frame is the mark of a clean shutdown.
    marked: bool,
    reserve: Reserve,
}

/// Whether a segment that was to end has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Yes,
    /// The next segment is still being made.
    NotYet,
    /// It cannot be made now without taking the space that recovery may need.
    NoRoom,
}

impl LogPlace {
    /// Makes the segment that follows a frame with `previous_crc` and all records up to
    /// `written`, of at least the size that `frame_size` needs. `first_time_s`: of the record
    /// that goes there first.
    fn begin_segment(
        &self,
        reserve: &mut Reserve,
        number: u64,
        previous_crc: u32,
        written: u64,
        frame_size: u64,
        first_time_s: u32,
    ) -> Result<Segment, IoFailed> {
        let salt =
            self.disk.random().map_err(IoFailed::new("get a random number for", &self.dir))?;
        let header = SegmentHeader {
            previous_crc,
            number,
            first_position: written + 1,
            salt,
            size: self.segment_bytes(frame_size),
            log_id: self.log_id,
            first_time_s,
        };
        let disk = self.disk.as_ref();
        let spare = reserve.take(disk, &self.dir)?;
        let segment = spare.into_segment(disk, &self.dir, header, &[])?;
        reserve.name(disk, &self.dir, self.manifest(number))?;
        Ok(segment)
    }

    fn manifest(&self, newest_segment: u64) -> Manifest {
        Manifest { log_id: self.log_id, newest_segment }
    }

    /// Size of a segment that must hold `frames` bytes of frames and the mark of the end.
    pub(crate) fn segment_bytes(&self, frames: u64) -> u64 {
        let needed = HEADER_BYTES as u64 + frames + FRAME_HEADER_BYTES as u64;
        self.segment_size.max(SEGMENT_BYTES_MIN).max(needed).next_multiple_of(ALIGNMENT as u64)
    }
}

impl Log {
    /// A log of nothing.
    pub(crate) fn create(place: LogPlace) -> Result<Log, IoFailed> {
        let mut reserve = Reserve::new(Vec::new());
        let segment = place.begin_segment(&mut reserve, 1, 0, 0, 0, 0)?;
        Ok(Log { place, segment, last_crc: 0, written: 0, synced: 0, marked: false, reserve })
    }

    /// A log that was recovered, all of it on disk; `marked` if it ends with the mark of a
    /// clean shutdown.
    pub(crate) fn resume(
        place: LogPlace,
        segment: Segment,
        last_crc: u32,
        written: u64,
        marked: bool,
        reserve: Reserve,
    ) -> Log {
        Log { place, segment, last_crc, written, synced: written, marked, reserve }
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn synced(&self) -> u64 {
        self.synced
    }

    pub(crate) fn newest_segment(&self) -> SegmentHeader {
        self.segment.header
    }

    /// Writes a group as one frame. Its buffer is left for another use.
    pub(crate) fn append(self, group: &mut Group) -> Result<Log, IoFailed> {
        let mut log = self.with_room(aligned(group.buffer.len()) as u64, group.first_time_s)?;
        assert_eq!(
            group.first_position,
            log.written + 1,
            "groups are written in the order of their records"
        );
        log.write_frame(&mut group.buffer, group.record_count, FrameKind::Group)?;
        log.marked = false;
        log.written += u64::from(group.record_count);
        Ok(log)
    }

    /// Makes all that was written last.
    pub(crate) fn sync(mut self) -> Result<Log, IoFailed> {
        if self.synced < self.written {
            self.sync_file()?;
            self.synced = self.written;
        }
        Ok(self)
    }

    /// Ends the log with the mark that says so. One is enough, and there is room for one:
    /// a store that is opened and closed for ever without a record must not fill a segment.
    pub(crate) fn close(self) -> Result<(), IoFailed> {
        if self.marked {
            return Ok(());
        }
        let mut log = self.sync()?;
        let mut buffer = Vec::new();
        frame::begin(&mut buffer);
        log.write_frame(&mut buffer, 0, FrameKind::CleanShutdown)?;
        log.sync_file()
    }

    /// Does a small part of the next segments' making, a larger one after much was `written`:
    /// the next is to be there when it is needed. `pressed`: what is refused for want of space
    /// waits for it.
    pub(crate) fn prepare(&mut self, written: u64, pressed: bool) {
        let wanted = self.wanted(pressed);
        for _ in 0..=2 * written / PIECE_BYTES as u64 {
            self.reserve.make(self.place.disk.as_ref(), &self.place.dir, &wanted);
        }
    }

    /// When [`Log::prepare`] has something to do: now, later, or `None`.
    pub(crate) fn preparation_due(&self, pressed: bool) -> Option<Instant> {
        self.reserve.due(&self.wanted(pressed))
    }

    /// How much may be committed before it is written. What fits into the rest of the newest
    /// segment, or into the second spare as a whole, is sure to find its place; half of what is
    /// free on the disk beyond the reserve stands in for spares that are not made yet.
    pub(crate) fn room(&self) -> Room {
        let wanted = self.wanted(true);
        let segment_bytes = self.place.segment_bytes(0);
        let (disk, dir) = (self.place.disk.as_ref(), &self.place.dir);
        let rest = self.segment.header.size - self.segment.end;
        if self.reserve.is_short() {
            let first = self.reserve.holds_first(&wanted);
            let bytes = if first { rest.saturating_sub(FRAMING_BYTES) } else { 0 };
            return Room { bytes, space: Space::Short };
        }
        let second = self.reserve.holds_second(&wanted, segment_bytes);
        let spare = if second { segment_bytes - HEADER_BYTES as u64 } else { 0 };
        let missing = self.reserve.missing_bytes(&wanted, segment_bytes) + segment_bytes;
        let free = disk.free_bytes(dir).map_or(0, |free| free.saturating_sub(missing));
        let is_ample = second && free > 0;
        Room {
            bytes: rest.max(spare).saturating_sub(FRAMING_BYTES).saturating_add(free / 2),
            space: if is_ample { Space::Ample } else { Space::Steady },
        }
    }

    fn wanted(&self, pressed: bool) -> Wanted {
        let segment_bytes = self.place.segment_bytes(0);
        let header = &self.segment.header;
        let is_time = pressed || self.segment.end >= header.size / 2;
        Wanted {
            first_bytes: header.size.max(segment_bytes),
            second_bytes: is_time.then_some(segment_bytes),
            zeroed: false,
            manifest: self.place.manifest(header.number + 1),
        }
    }

    /// Ends this segment before it is full, once both spares are there, and zeros; until then
    /// does a small part of their making. Says so if they cannot be made. A spare that an
    /// earlier process left may hold frames: afterwards none does.
    ///
    /// `first_time_s`: no record yet was logged later.
    pub(crate) fn end_segment(mut self, first_time_s: u32) -> Result<(Log, Ended), IoFailed> {
        let is_empty = self.segment.header.first_position > self.written;
        // What was promised to find its place in the rest of this segment must find it there.
        let rest = self.segment.header.size - self.segment.end;
        let frames = rest.saturating_sub(FRAME_HEADER_BYTES as u64);
        let next_bytes = (!is_empty).then(|| self.place.segment_bytes(frames));
        let wanted = Wanted { second_bytes: next_bytes, zeroed: true, ..self.wanted(false) };
        self.reserve.make(self.place.disk.as_ref(), &self.place.dir, &wanted);
        if !self.reserve.is_done(&wanted) {
            let ended = if self.reserve.has_failed() { Ended::NoRoom } else { Ended::NotYet };
            return Ok((self, ended));
        }
        let log = if is_empty { self } else { self.roll_over(frames, first_time_s)? };
        Ok((log, Ended::Yes))
    }

    /// A frame must leave room for the mark of a clean shutdown.
    fn with_room(self, frame_size: u64, first_time_s: u32) -> Result<Log, IoFailed> {
        let end = self.segment.end + frame_size + FRAME_HEADER_BYTES as u64;
        if end <= self.segment.header.size {
            return Ok(self);
        }
        self.roll_over(frame_size, first_time_s)
    }

    /// The old segment is synced before the new one has a name: a segment's first position
    /// is proof that all before it was on disk.
    fn roll_over(self, frame_size: u64, first_time_s: u32) -> Result<Log, IoFailed> {
        let mut log = self.sync()?;
        let number = log.segment.header.number + 1;
        log.segment = log.place.begin_segment(
            &mut log.reserve,
            number,
            log.last_crc,
            log.written,
            frame_size,
            first_time_s,
        )?;
        Ok(log)
    }

    fn write_frame(
        &mut self,
        buffer: &mut Vec<u8>,
        record_count: u32,
        kind: FrameKind,
    ) -> Result<(), IoFailed> {
        let header = FrameHeader {
            salt: self.segment.header.salt,
            previous_crc: self.last_crc,
            record_count,
            first_position: self.written + 1,
            synced_through: self.synced,
            kind,
        };
        self.last_crc = frame::finish(buffer, &header);
        self.segment
            .file
            .write_at(self.segment.end, buffer)
            .map_err(IoFailed::new("write", &self.segment.path))?;
        self.segment.end += buffer.len() as u64;
        Ok(())
    }

    fn sync_file(&self) -> Result<(), IoFailed> {
        self.segment.file.sync().map_err(IoFailed::new("sync", &self.segment.path))
    }
}
