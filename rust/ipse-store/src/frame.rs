//! Frames: one commit group each, framed so that damage shows and where it shows is clear.
//!
//! Turns bytes into frames and back; opens no file and looks at no record. The layout is
//! drawn in [`crate::format`].

use crate::format::{
    ALIGNMENT, FRAME_HEADER_BYTES, KIND_CLEAN_SHUTDOWN, KIND_GROUP, KIND_REWRITTEN, aligned,
};
use crate::planted::{Fault, is_planted};

/// What a frame's header says beside its length and checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) salt: u64,
    pub(crate) previous_crc: u32,
    pub(crate) record_count: u32,
    pub(crate) first_position: u64,
    pub(crate) synced_through: u64,
    pub(crate) kind: FrameKind,
}

/// Length of the payload of the last frame of a rewritten segment.
pub(crate) const REWRITTEN_BYTES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Group,
    CleanShutdown,
    /// The last of a segment that was rewritten.
    Rewritten,
}

/// A frame whose checksum and salt are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) header: FrameHeader,
    pub(crate) crc: u32,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes that it takes in the file.
    pub(crate) fn size(&self) -> usize {
        aligned(FRAME_HEADER_BYTES + self.payload.len())
    }

    /// Whether nothing is left of its records after so many bytes. The payload of the end of a
    /// rewritten segment is a checksum.
    pub(crate) fn is_read_by(&self, offset: usize) -> bool {
        offset == self.payload.len() || self.header.kind == FrameKind::Rewritten
    }

    /// The checksum that the frame after it names: its own, unless it stands for another.
    pub(crate) fn chain_crc(&self) -> u32 {
        match self.header.kind {
            FrameKind::Rewritten if self.payload.len() == REWRITTEN_BYTES => {
                u32_at(self.payload, 0)
            }
            _ => self.crc,
        }
    }

    /// The log position after its last record.
    pub(crate) fn end_position(&self) -> u64 {
        self.header.first_position.saturating_add(u64::from(self.header.record_count))
    }
}

/// Room for a header, to be followed by the payload.
pub(crate) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.resize(FRAME_HEADER_BYTES, 0);
}

/// Pads what [`begin`] and the payload made, fills in the header and returns its checksum.
pub(crate) fn finish(buffer: &mut Vec<u8>, header: &FrameHeader) -> u32 {
    let length = u32::try_from(buffer.len() - FRAME_HEADER_BYTES)
        .expect("a group is closed long before 4 GiB");
    buffer.resize(aligned(buffer.len()), 0);
    buffer[4..8].copy_from_slice(&length.to_le_bytes());
    buffer[8..16].copy_from_slice(&header.salt.to_le_bytes());
    buffer[16..20].copy_from_slice(&header.previous_crc.to_le_bytes());
    buffer[20..24].copy_from_slice(&header.record_count.to_le_bytes());
    buffer[24..32].copy_from_slice(&header.first_position.to_le_bytes());
    buffer[32..40].copy_from_slice(&header.synced_through.to_le_bytes());
    buffer[40] = match header.kind {
        FrameKind::Group => KIND_GROUP,
        FrameKind::CleanShutdown => KIND_CLEAN_SHUTDOWN,
        FrameKind::Rewritten => KIND_REWRITTEN,
    };
    let crc = crc32fast::hash(&buffer[4..]);
    buffer[..4].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// The frame at the beginning of `bytes`, if one is there.
pub(crate) fn parse(bytes: &[u8], salt: u64) -> Option<Frame<'_>> {
    let header = bytes.get(..FRAME_HEADER_BYTES)?;
    if u64_at(header, 8) != salt {
        return None;
    }
    let length = usize::try_from(u32_at(header, 4)).ok()?;
    let end = FRAME_HEADER_BYTES.checked_add(length)?.checked_next_multiple_of(ALIGNMENT)?;
    let whole = bytes.get(..end)?;
    let crc = u32_at(header, 0);
    if crc32fast::hash(&whole[4..]) != crc && !is_planted(Fault::SkipChecksum) {
        return None;
    }
    Some(Frame {
        header: FrameHeader {
            salt,
            previous_crc: u32_at(header, 16),
            record_count: u32_at(header, 20),
            first_position: u64_at(header, 24),
            synced_through: u64_at(header, 32),
            kind: kind(header[40])?,
        },
        crc,
        payload: &whole[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + length],
    })
}

fn kind(byte: u8) -> Option<FrameKind> {
    match byte {
        KIND_GROUP => Some(FrameKind::Group),
        KIND_CLEAN_SHUTDOWN => Some(FrameKind::CleanShutdown),
        KIND_REWRITTEN => Some(FrameKind::Rewritten),
        _ => None,
    }
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let field = bytes[offset..].first_chunk().expect("the caller sliced a whole header");
    u32::from_le_bytes(*field)
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    let field = bytes[offset..].first_chunk().expect("the caller sliced a whole header");
    u64::from_le_bytes(*field)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 0x5a17_5a17_5a17_5a17;

    fn sample(payload: &[u8]) -> (Vec<u8>, FrameHeader) {
        let header = FrameHeader {
            salt: SALT,
            previous_crc: 7,
            record_count: 2,
            first_position: 40,
            synced_through: 39,
            kind: FrameKind::Group,
        };
        let mut buffer = Vec::new();
        begin(&mut buffer);
        buffer.extend_from_slice(payload);
        finish(&mut buffer, &header);
        (buffer, header)
    }

    #[test]
    fn what_was_framed_is_parsed() {
        for length in 0..20 {
            let payload = vec![0xc0; length];
            let (bytes, header) = sample(&payload);
            let frame = parse(&bytes, SALT).expect("whole");
            assert_eq!((frame.header, frame.payload), (header, payload.as_slice()));
            assert_eq!(frame.size(), bytes.len());
            assert_eq!(frame.end_position(), 42);
        }
    }

    #[test]
    fn no_flipped_bit_and_no_cut_passes() {
        let (bytes, _) = sample(b"thirteen byte");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(parse(&flipped, SALT), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes[..length], SALT), None, "length {length}");
        }
        assert_eq!(parse(&bytes, SALT + 1), None);
    }
}
