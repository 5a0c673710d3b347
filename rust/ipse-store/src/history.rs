//! Reading the records that the log keeps, a segment at a time, while it is appended to.
//!
//! Takes no lock that a commit needs, and looks at nothing that is not synced.

use std::path::Path;

use ipse_core::Record;

use crate::codec::decode_record;
use crate::error::OpenError;
use crate::format::{HEADER_BYTES, segment_name};
use crate::frame;
use crate::fs::Disk;
use crate::segment::{SegmentHeader, read_file};

/// Which records to read.
pub(crate) struct Wanted {
    pub(crate) workspace: u32,
    /// Log position after which they begin.
    pub(crate) after: u64,
    /// Newest log position that may be looked at.
    pub(crate) synced: u64,
}

/// Reads records of one segment, until `on_record` says that it is enough; gives the position
/// that was looked at last, or `None` if there are no more.
pub(crate) fn read(
    disk: &dyn Disk,
    dir: &Path,
    segments: &[SegmentHeader],
    wanted: &Wanted,
    on_record: &mut dyn FnMut(&Record<'_>) -> bool,
) -> Result<Option<u64>, OpenError> {
    let next = segments
        .partition_point(|segment| segment.first_position <= wanted.after.saturating_add(1));
    let Some(segment) = segments.get(next.saturating_sub(1)) else { return Ok(None) };
    let path = dir.join(segment_name(segment.number));
    let bytes = read_file(disk, &path)?;
    let header = SegmentHeader::of(&bytes, &path)?;
    let (mut offset, mut looked_at) = (HEADER_BYTES, wanted.after);
    while let Some(frame) = frame::parse(&bytes[offset..], header.salt) {
        let mut start = 0;
        for position in frame.header.first_position..frame.end_position() {
            let (workspace, record, size) = decode_record(&frame.payload[start..])
                .map_err(|error| OpenError::corrupt(&path, offset as u64, error.problem))?;
            start += size;
            if position > wanted.synced {
                return Ok(None);
            }
            if position <= wanted.after {
                continue;
            }
            looked_at = position;
            if workspace == wanted.workspace && !on_record(&record) {
                return Ok(Some(looked_at));
            }
        }
        offset += frame.size();
    }
    // Where the segment ends the next begins, if there is one.
    let following = segments.get(next).map(|segment| segment.first_position - 1);
    Ok(following.map(|last| last.max(looked_at)))
}
