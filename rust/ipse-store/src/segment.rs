//! Segment files: their header, and the manifest that names the newest. How they are made is
//! in `reserve`.

use std::path::{Path, PathBuf};

use crate::error::{IoFailed, OpenError};
use crate::format::{
    HEADER_BYTES, LOG_VERSION, MANIFEST_NAME, MANIFEST_TEMPORARY_NAME, SEGMENT_MAGIC,
};
use crate::frame::{u32_at, u64_at};
use crate::fs::{Disk, DiskFile};

/// Zeros are written, and files are copied and read, in pieces of this size.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// No log comes this far: a file that says so is refused before anything overflows.
pub(crate) const POSITION_MAX: u64 = u64::MAX / 2;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) previous_crc: u32,
    pub(crate) number: u64,
    pub(crate) first_position: u64,
    pub(crate) salt: u64,
    pub(crate) size: u64,
    pub(crate) log_id: u64,
    /// When the first record was logged, in seconds since 1970; 0 in segment 1, which is made
    /// before there is one.
    pub(crate) first_time_s: u32,
}

/// A segment that frames are written to.
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
    pub(crate) file: Box<dyn DiskFile>,
    /// Where the next frame goes.
    pub(crate) end: u64,
}

/// What the manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) log_id: u64,
    pub(crate) newest_segment: u64,
}

impl SegmentHeader {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&LOG_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.previous_crc.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_position.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.salt.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.size.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.log_id.to_le_bytes());
        bytes[56..60].copy_from_slice(&self.first_time_s.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    /// The header of a whole segment.
    pub(crate) fn of(segment: &[u8], path: &Path) -> Result<SegmentHeader, OpenError> {
        let header = segment
            .first_chunk()
            .ok_or_else(|| OpenError::corrupt(path, 0, "the header is cut short"))?;
        SegmentHeader::parse(header, path)
    }

    pub(crate) fn parse(
        bytes: &[u8; HEADER_BYTES],
        path: &Path,
    ) -> Result<SegmentHeader, OpenError> {
        check_header(bytes, &SEGMENT_MAGIC, LOG_VERSION, path)?;
        let header = SegmentHeader {
            previous_crc: u32_at(bytes, 12),
            number: u64_at(bytes, 16),
            first_position: u64_at(bytes, 24),
            salt: u64_at(bytes, 32),
            size: u64_at(bytes, 40),
            log_id: u64_at(bytes, 48),
            first_time_s: u32_at(bytes, 56),
        };
        // Salt 0 would let a run of zeros look like a frame's beginning.
        let positions = 1..POSITION_MAX;
        if header.salt == 0 || !positions.contains(&header.first_position) {
            return Err(OpenError::corrupt(path, 0, "the header is impossible"));
        }
        Ok(header)
    }
}

/// Fills in the checksum that ends each 64-byte header and footer.
pub(crate) fn seal(bytes: &mut [u8; HEADER_BYTES]) {
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..].copy_from_slice(&crc.to_le_bytes());
}

/// Checks magic, checksum and version of a 64-byte header.
pub(crate) fn check_header(
    bytes: &[u8; HEADER_BYTES],
    magic: &[u8; 8],
    supported: u32,
    path: &Path,
) -> Result<(), OpenError> {
    if bytes[..8] != *magic {
        return Err(OpenError::corrupt(path, 0, "the file does not begin as it must"));
    }
    if crc32fast::hash(&bytes[..60]) != u32_at(bytes, 60) {
        return Err(OpenError::corrupt(path, 0, "the header's checksum does not match"));
    }
    match u32_at(bytes, 8) {
        0 => Err(OpenError::corrupt(path, 8, "there is no format version 0")),
        version if version <= supported => Ok(()),
        found => Err(OpenError::UnsupportedVersion { file: path.to_owned(), found, supported }),
    }
}

impl Manifest {
    /// Replaces the manifest.
    pub(crate) fn write(self, disk: &dyn Disk, dir: &Path) -> Result<(), IoFailed> {
        self.prepare(disk, dir)?;
        Manifest::replace(disk, dir)
    }

    /// Writes it beside the manifest, so that putting it in place needs no space.
    pub(crate) fn prepare(self, disk: &dyn Disk, dir: &Path) -> Result<(), IoFailed> {
        let path = dir.join(MANIFEST_TEMPORARY_NAME);
        let file = disk.create(&path).map_err(IoFailed::new("create", &path))?;
        file.write_at(0, self.to_text().as_bytes()).map_err(IoFailed::new("write", &path))?;
        file.sync().map_err(IoFailed::new("sync", &path))
    }

    /// Puts the one that was prepared in place.
    pub(crate) fn replace(disk: &dyn Disk, dir: &Path) -> Result<(), IoFailed> {
        let path = dir.join(MANIFEST_TEMPORARY_NAME);
        disk.rename(&path, &dir.join(MANIFEST_NAME)).map_err(IoFailed::new("rename", &path))?;
        disk.sync_dir(dir).map_err(IoFailed::new("sync", dir))
    }

    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Result<Manifest, OpenError> {
        let path = dir.join(MANIFEST_NAME);
        let bytes = read_file(disk, &path)?;
        str::from_utf8(&bytes).ok().and_then(Manifest::parse).ok_or_else(|| {
            OpenError::corrupt(&path, 0, "it is not one line with a matching checksum")
        })
    }

    fn to_text(self) -> String {
        let said = format!(
            "ipse-log {LOG_VERSION} id={:016x} newest_segment={}",
            self.log_id, self.newest_segment
        );
        format!("{said} crc32={:08x}\n", crc32fast::hash(said.as_bytes()))
    }

    /// Only text that it would have written itself: there is one way to say each thing.
    fn parse(text: &str) -> Option<Manifest> {
        let mut words = text.split(' ').skip(2);
        let log_id = u64::from_str_radix(words.next()?.strip_prefix("id=")?, 16).ok()?;
        let newest_segment = words.next()?.strip_prefix("newest_segment=")?.parse().ok()?;
        let manifest = Manifest { log_id, newest_segment };
        (manifest.to_text() == text).then_some(manifest)
    }
}

/// A whole file. Its length on disk bounds what is allocated.
pub(crate) fn read_file(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>, IoFailed> {
    let file = disk.open_to_read(path).map_err(IoFailed::new("open", path))?;
    let length = file.length().map_err(IoFailed::new("read", path))?;
    let length = usize::try_from(length).map_err(|_| {
        IoFailed::new("read", path)(std::io::Error::from(std::io::ErrorKind::FileTooLarge))
    })?;
    let mut bytes = vec![0; length];
    for (index, piece) in bytes.chunks_mut(PIECE_BYTES).enumerate() {
        let offset = (index * PIECE_BYTES) as u64;
        file.read_at(offset, piece).map_err(IoFailed::new("read", path))?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            previous_crc: 1,
            number: 2,
            first_position: 3,
            salt: 4,
            size: 5,
            log_id: 6,
            first_time_s: 7,
        }
    }

    #[test]
    fn header_is_read_back_and_no_flipped_bit_passes() {
        let bytes = header().to_bytes();
        let path = Path::new("segment");
        assert_eq!(SegmentHeader::parse(&bytes, path).expect("whole"), header());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::parse(&flipped, path).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_later_version_is_named() {
        let mut bytes = header().to_bytes();
        bytes[8] = 9;
        seal(&mut bytes);
        let error = SegmentHeader::parse(&bytes, Path::new("segment")).expect_err("later");
        assert!(matches!(error, OpenError::UnsupportedVersion { found: 9, supported: 1, .. }));
    }

    #[test]
    fn manifest_is_read_back_and_no_flipped_bit_passes() {
        let manifest = Manifest { log_id: 0xab, newest_segment: 12 };
        let text = manifest.to_text();
        assert_eq!(Manifest::parse(&text), Some(manifest));
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(flipped) = String::from_utf8(flipped) {
                assert_eq!(Manifest::parse(&flipped), None, "{flipped}");
            }
        }
    }
}
