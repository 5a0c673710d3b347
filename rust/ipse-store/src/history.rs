//! Reading the records that the log keeps, from any position on, while it is appended to.
//!
//! Takes no lock that a commit needs, and looks at nothing that is not synced. Reads frames and
//! not whole segments: where some of the frames lie is kept in mind, and if a segment was
//! rewritten since, it is looked for again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use ipse_core::Record;

use crate::codec::decode_record;
use crate::error::{IoFailed, OpenError};
use crate::format::{FRAME_HEADER_BYTES, HEADER_BYTES, aligned, segment_name};
use crate::frame::{self, Frame, u32_at, u64_at};
use crate::fs::{Disk, DiskFile};
use crate::positions::Stretch;
use crate::segment::SegmentHeader;
use crate::store::locked;

/// What is read of a file at once: where frames are only passed over, and where they are read.
const PASSING_BYTES: usize = 4 << 10;
const READING_BYTES: usize = 64 << 10;
/// Of so many bytes of a segment the place of at most one frame is kept in mind, and of so many
/// frames in all.
const PLACE_BYTES: u64 = 64 << 10;
const PLACES_MAX: usize = 1 << 18;

/// Where frames lie in their segments: byte offsets by the log position of their first record.
#[derive(Default)]
pub(crate) struct Places(Mutex<BTreeMap<u64, u64>>);

/// The log as far as it is synced.
pub(crate) struct History<'s> {
    pub(crate) disk: &'s dyn Disk,
    pub(crate) dir: &'s Path,
    pub(crate) places: &'s Places,
    /// Oldest first.
    pub(crate) segments: Vec<SegmentHeader>,
    /// Newest log position that may be looked at.
    pub(crate) synced: u64,
}

/// Called with the log position of a record, the number of its workspace, and the record; says
/// whether to go on.
pub(crate) type OnRecord<'f> = &'f mut dyn FnMut(u64, u32, &Record<'_>) -> bool;

impl History<'_> {
    /// Log position of the oldest record that is left.
    pub(crate) fn first_position(&self) -> u64 {
        self.segments.first().map_or(u64::MAX, |segment| segment.first_position)
    }

    /// Reads the records of a stretch, as far as they are there.
    pub(crate) fn read(&self, stretch: Stretch, on_record: OnRecord<'_>) -> Result<(), OpenError> {
        let mut next = stretch.first.max(self.first_position());
        while let Some(part) = self.within_segment(next, stretch.last) {
            if !self.read_segment(part, on_record)? {
                break;
            }
            next = part.last + 1;
        }
        Ok(())
    }

    /// The part of a stretch from `first` to `last` that is synced and in the segment of `first`.
    pub(crate) fn within_segment(&self, first: u64, last: u64) -> Option<Stretch> {
        let next = self.segments.partition_point(|segment| segment.first_position <= first);
        let end = self.segments.get(next).map_or(u64::MAX, |segment| segment.first_position - 1);
        let last = last.min(end).min(self.synced);
        (next > 0 && first <= last).then_some(Stretch { first, last })
    }

    /// Reads the records of a stretch that is in one segment; false if one of them was enough.
    fn read_segment(&self, stretch: Stretch, on_record: OnRecord<'_>) -> Result<bool, OpenError> {
        let next = self.segments.partition_point(|s| s.first_position <= stretch.first);
        let segment = &self.segments[next - 1];
        let path = self.dir.join(segment_name(segment.number));
        let mut frames = FrameReader::open(self, segment, &path)?;
        frames.seek(stretch.first, segment)?;
        while frames.position <= stretch.last {
            let (offset, frame) = frames.next()?;
            let mut start = 0;
            for position in frame.header.first_position..frame.end_position() {
                let (workspace, record, size) = decode_record(&frame.payload[start..])
                    .map_err(|error| OpenError::corrupt(&path, offset, error.problem))?;
                start += size;
                let is_wanted = (stretch.first..=stretch.last).contains(&position);
                if is_wanted && !on_record(position, workspace, &record) {
                    return Ok(false);
                }
            }
            let (size, end) = (frame.size(), frame.end_position());
            frames.advance(size, end);
        }
        Ok(true)
    }
}

/// The frames of a segment, some of which are only passed over.
struct FrameReader<'h> {
    places: &'h Places,
    path: &'h Path,
    file: Box<dyn DiskFile>,
    length: u64,
    salt: u64,
    /// Where the next frame begins, and the log position that it begins with.
    offset: u64,
    position: u64,
    /// Bytes of the file from `start` on.
    buffer: Vec<u8>,
    start: u64,
}

impl<'h> FrameReader<'h> {
    fn open(
        history: &History<'h>,
        segment: &SegmentHeader,
        path: &'h Path,
    ) -> Result<FrameReader<'h>, IoFailed> {
        let file = history.disk.open_to_read(path).map_err(IoFailed::new("open", path))?;
        let length = file.length().map_err(IoFailed::new("read", path))?;
        Ok(FrameReader {
            places: history.places,
            path,
            file,
            length,
            salt: segment.salt,
            offset: HEADER_BYTES as u64,
            position: segment.first_position,
            buffer: Vec::new(),
            start: 0,
        })
    }

    /// Goes to the frame that has the record at a position.
    fn seek(&mut self, position: u64, segment: &SegmentHeader) -> Result<(), OpenError> {
        let begin = (self.position, self.offset);
        (self.position, self.offset) = self.places.before(position, begin);
        if self.header(PASSING_BYTES)?.is_none() {
            // The segment was rewritten.
            self.places.forget(segment.first_position);
            (self.position, self.offset) = begin;
        }
        while let Some(header) = self.header(PASSING_BYTES)? {
            let (size, count) = (frame_size(header), u32_at(header, 20));
            let end = self.position.saturating_add(u64::from(count));
            if end > position {
                break;
            }
            self.advance(size, end);
        }
        Ok(())
    }

    /// The next frame and where it begins; one must be there.
    fn next(&mut self) -> Result<(u64, Frame<'_>), OpenError> {
        let (path, offset) = (self.path, self.offset);
        let corrupt = |problem: &str| OpenError::corrupt(path, offset, problem);
        let header = self.header(READING_BYTES)?;
        let size = frame_size(header.ok_or_else(|| corrupt("no frame is where one must be"))?);
        self.fill(size, READING_BYTES)?;
        let frame = frame::parse(self.bytes(), self.salt);
        frame.map(|frame| (offset, frame)).ok_or_else(|| corrupt("checksum mismatch"))
    }

    fn advance(&mut self, bytes: usize, position: u64) {
        self.offset = self.offset.saturating_add(bytes as u64);
        self.position = position;
    }

    /// The header of the next frame, if there is one; `bytes` are read if any must be.
    fn header(&mut self, bytes: usize) -> Result<Option<&[u8]>, OpenError> {
        self.fill(FRAME_HEADER_BYTES, bytes)?;
        let (salt, position) = (self.salt, self.position);
        let is_next = |header: &&[u8]| u64_at(header, 8) == salt && u64_at(header, 24) == position;
        let header = self.bytes().get(..FRAME_HEADER_BYTES).filter(is_next);
        // One without records may end its segment: the position is the next one's then.
        if header.is_some_and(|header| u32_at(header, 20) > 0) {
            self.places.note(position, self.offset);
        }
        Ok(header)
    }

    /// Has `needed` bytes in the buffer from the next frame's beginning on, if the file has them.
    fn fill(&mut self, needed: usize, bytes: usize) -> Result<(), IoFailed> {
        let left = usize::try_from(self.length.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        if self.bytes().len() >= needed.min(left) {
            return Ok(());
        }
        self.buffer.resize(needed.max(bytes).min(left), 0);
        self.start = self.offset;
        let read = self.file.read_at(self.start, &mut self.buffer);
        read.map_err(IoFailed::new("read", self.path))
    }

    /// What the buffer has from the next frame's beginning on.
    fn bytes(&self) -> &[u8] {
        let from = self.offset.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.buffer.get(from..)).unwrap_or_default()
    }
}

/// What a frame takes in its file, as its header says.
fn frame_size(header: &[u8]) -> usize {
    let length = usize::try_from(u32_at(header, 4)).unwrap_or(usize::MAX);
    aligned(FRAME_HEADER_BYTES.saturating_add(length))
}

impl Places {
    /// The last frame that begins at or before a position, or the first of its segment.
    fn before(&self, position: u64, begin: (u64, u64)) -> (u64, u64) {
        let places = locked(&self.0);
        let known = places.range(begin.0..=position).next_back();
        known.map_or(begin, |(position, offset)| (*position, *offset))
    }

    /// Keeps a frame in mind if none is known that lies shortly before.
    fn note(&self, position: u64, offset: u64) {
        let mut places = locked(&self.0);
        let before = places.range(..=position).next_back();
        let is_near =
            before.is_some_and(|(_, near)| (*near..*near + PLACE_BYTES).contains(&offset));
        if !is_near {
            if places.len() >= PLACES_MAX {
                places.clear();
            }
            places.insert(position, offset);
        }
    }

    /// Forgets frames of the segment that begins at a position, and of later ones.
    fn forget(&self, first_position: u64) {
        locked(&self.0).split_off(&first_position);
    }
}
