//! The log as it is appended to: frames into segments, one segment after the other.
//!
//! Knows no thread, no lock and no record. Each step consumes the log and gives it back
//! only if it succeeded: after a failed write or sync the page cache may have dropped our
//! bytes, a retry could report success for data that is gone, and so there is no log left
//! to retry with.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::IoFailed;
use crate::format::{ALIGNMENT, FRAME_HEADER_BYTES, HEADER_BYTES, aligned};
use crate::frame::{self, FrameHeader, FrameKind};
use crate::fs::Disk;
use crate::segment::{Manifest, Segment, SegmentHeader, Spare};

/// A smaller segment would hold less than one ordinary group.
const SEGMENT_BYTES_MIN: u64 = 1024;

/// Records to be written as one frame.
#[derive(Default)]
pub(crate) struct Group {
    /// Room for the frame's header, then the encoded records.
    pub(crate) buffer: Vec<u8>,
    pub(crate) first_position: u64,
    pub(crate) record_count: u32,
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
    spare: NextSegment,
}

/// Whether a segment that was to end has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Yes,
    /// The next segment is still being made.
    NotYet,
    /// It cannot be made.
    NoRoom,
}

/// How far the file of the next segment is.
enum NextSegment {
    None,
    Growing(Spare),
    /// It could not be made. That is no failure until the segment is needed.
    GivenUp,
}

impl LogPlace {
    /// Makes the segment that follows a frame with `previous_crc` and all records up to
    /// `written`, of at least the size that `frame_size` needs.
    fn begin_segment(
        &self,
        spare: Spare,
        number: u64,
        previous_crc: u32,
        written: u64,
        frame_size: u64,
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
        };
        let segment = spare.into_segment(self.disk.as_ref(), &self.dir, header, &[])?;
        let manifest = Manifest { log_id: self.log_id, newest_segment: number };
        manifest.write(self.disk.as_ref(), &self.dir)?;
        Ok(segment)
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
        let spare = Spare::create(place.disk.as_ref(), &place.dir)?;
        let segment = place.begin_segment(spare, 1, 0, 0, 0)?;
        Ok(Log {
            place,
            segment,
            last_crc: 0,
            written: 0,
            synced: 0,
            marked: false,
            spare: NextSegment::None,
        })
    }

    /// A log that was recovered, all of it on disk; `marked` if it ends with the mark of a
    /// clean shutdown.
    pub(crate) fn resume(
        place: LogPlace,
        segment: Segment,
        last_crc: u32,
        written: u64,
        marked: bool,
    ) -> Log {
        Log { place, segment, last_crc, written, synced: written, marked, spare: NextSegment::None }
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn synced(&self) -> u64 {
        self.synced
    }

    /// Number and first log position of the newest segment.
    pub(crate) fn newest_segment(&self) -> (u64, u64) {
        (self.segment.header.number, self.segment.header.first_position)
    }

    /// Writes a group as one frame. Its buffer is left for another use.
    pub(crate) fn append(self, group: &mut Group) -> Result<Log, IoFailed> {
        let mut log = self.with_room(aligned(group.buffer.len()) as u64)?;
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

    /// Does a small part of the next segment's making, once this one is half full.
    pub(crate) fn prepare(&mut self) {
        if self.segment.end < self.segment.header.size / 2 {
            return;
        }
        self.grow_spare(self.place.segment_bytes(0));
    }

    fn grow_spare(&mut self, size: u64) {
        self.spare = match std::mem::replace(&mut self.spare, NextSegment::GivenUp) {
            NextSegment::None => Spare::create(self.place.disk.as_ref(), &self.place.dir)
                .map_or(NextSegment::GivenUp, NextSegment::Growing),
            NextSegment::Growing(mut spare) if !spare.is_ready(size) => match spare.grow(size) {
                Ok(()) => NextSegment::Growing(spare),
                Err(_) => NextSegment::GivenUp,
            },
            other => other,
        };
    }

    /// Ends this segment before it is full, once the next is ready; until then does a small part
    /// of its making. Says so if the next cannot be made.
    pub(crate) fn end_segment(mut self) -> Result<(Log, Ended), IoFailed> {
        if self.segment.header.first_position > self.written {
            return Ok((self, Ended::Yes));
        }
        let size = self.place.segment_bytes(0);
        match &self.spare {
            NextSegment::Growing(spare) if spare.is_ready(size) => {
                Ok((self.roll_over(0)?, Ended::Yes))
            }
            NextSegment::GivenUp => {
                // Room may come back: the next to ask tries again.
                self.spare = NextSegment::None;
                Ok((self, Ended::NoRoom))
            }
            NextSegment::None | NextSegment::Growing(_) => {
                self.grow_spare(size);
                Ok((self, Ended::NotYet))
            }
        }
    }

    /// A frame must leave room for the mark of a clean shutdown.
    fn with_room(self, frame_size: u64) -> Result<Log, IoFailed> {
        let end = self.segment.end + frame_size + FRAME_HEADER_BYTES as u64;
        if end <= self.segment.header.size { Ok(self) } else { self.roll_over(frame_size) }
    }

    /// The old segment is synced before the new one has a name: a segment's first position
    /// is proof that all before it was on disk.
    fn roll_over(self, frame_size: u64) -> Result<Log, IoFailed> {
        let log = self.sync()?;
        let spare = match log.spare {
            NextSegment::Growing(spare) => spare,
            _ => Spare::create(log.place.disk.as_ref(), &log.place.dir)?,
        };
        let number = log.segment.header.number + 1;
        let segment =
            log.place.begin_segment(spare, number, log.last_crc, log.written, frame_size)?;
        Ok(Log { segment, spare: NextSegment::None, ..log })
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
