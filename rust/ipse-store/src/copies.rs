//! Making files that are copies of a directory's, in a directory that nobody takes for whole
//! before it is.
//!
//! ```text
//! DIR.partial/UNFINISHED -> files, each synced -> UNFINISHED removed -> DIR.partial named DIR
//! ```
//!
//! Files are copied, not linked: what the disk does to one must not be done to the other.

use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{IoFailed, OpenError};
use crate::format::{
    BACKUP_NAME, BACKUPS_NAME, ERASURES_NAME, HEADER_BYTES, LOCK_NAME, MANIFEST_NAME,
    UNFINISHED_NAME, segment_name, segment_number, snapshot_name, snapshot_position,
};
use crate::fs::{Disk, DiskFile};
use crate::reading::{Frames, SegmentFile, cut, end_mark};
use crate::segment::{Manifest, SegmentHeader, read_file, seal};

/// Files are copied in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;
/// Synced so often, so that no sync delays the log's for long.
const SYNC_PIECES: usize = 8;

/// A file of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CopiedFile {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
}

/// A directory that is being made.
pub(crate) struct Copy<'d> {
    disk: &'d dyn Disk,
    dir: PathBuf,
    partial: PathBuf,
}

/// How far a segment is copied.
#[derive(Clone, Copy)]
pub(crate) enum Through<'s> {
    /// To its end, which another one follows.
    Next(&'s SegmentFile),
    /// To a log position within it.
    Position(u64),
}

/// What is other in a copy of a log that is to go on by itself.
#[derive(Clone, Copy)]
pub(crate) struct GoesOn {
    pub(crate) log_id: u64,
}

impl<'d> Copy<'d> {
    /// Begins, over what an attempt before may have left; an error in words if the place is
    /// taken.
    pub(crate) fn begin(
        disk: &'d dyn Disk,
        dir: &Path,
    ) -> Result<Result<Copy<'d>, String>, IoFailed> {
        let Some(partial) = partial_name(dir) else {
            return Ok(Err(format!("{} is not a name for a directory", dir.display())));
        };
        if !names(disk, dir)?.is_empty() {
            return Ok(Err(format!(
                "{} is not empty: name a directory that is empty or not there",
                dir.display()
            )));
        }
        let left = names(disk, &partial)?;
        if let Some(strange) = left.iter().find(|name| !is_ours(name)) {
            let place = partial.join(strange);
            return Ok(Err(format!("{} is in the way: move it", place.display())));
        }
        disk.create_dir(&partial).map_err(IoFailed::new("create", &partial))?;
        let copy = Copy { disk, dir: dir.to_owned(), partial };
        // First, so that at no time there is a directory that looks whole.
        copy.write_text(UNFINISHED_NAME, "Not all files are here yet.\n")?;
        copy.sync_dir()?;
        for name in left.iter().filter(|name| *name != UNFINISHED_NAME) {
            let path = copy.partial.join(name);
            disk.remove(&path).map_err(IoFailed::new("remove", &path))?;
        }
        Ok(Ok(copy))
    }

    /// The directory until it has its name.
    pub(crate) fn place(&self) -> &Path {
        &self.partial
    }

    /// Where a file is until then.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.partial.join(name)
    }

    pub(crate) fn write_text(&self, name: &str, text: &str) -> Result<CopiedFile, IoFailed> {
        let mut writer = Writer::create(self, name)?;
        writer.write(text.as_bytes())?;
        writer.finish()
    }

    /// Names the newest segment, as a log does.
    pub(crate) fn manifest(&self, manifest: Manifest) -> Result<(), IoFailed> {
        manifest.write(self.disk, &self.partial)
    }

    /// Copies a file as it is.
    pub(crate) fn file(&self, from: &Path, name: &str) -> Result<CopiedFile, IoFailed> {
        self.edited(from, name, |_, _| {})
    }

    /// Copies a snapshot; its log may be another one from now on.
    pub(crate) fn snapshot(
        &self,
        from: &Path,
        position: u64,
        other: Option<GoesOn>,
    ) -> Result<CopiedFile, IoFailed> {
        let name = snapshot_name(position);
        let Some(other) = other else { return self.file(from, &name) };
        let mut whole = crc32fast::Hasher::new();
        self.edited(from, &name, |piece, is_last| {
            if piece.offset == 0 {
                edit_header(piece.bytes, other);
            }
            let length = piece.bytes.len();
            let body = if is_last { length - HEADER_BYTES.min(length) } else { length };
            whole.update(&piece.bytes[..body]);
            if is_last {
                edit_footer(&mut piece.bytes[body..], whole.clone().finalize());
            }
        })
    }

    /// Copies a segment's frames, each checked, without the zeros after them. A log that goes on
    /// ends with the mark of a clean end.
    pub(crate) fn segment(
        &self,
        from: &SegmentFile,
        through: Through<'_>,
        other: Option<GoesOn>,
    ) -> Result<CopiedFile, OpenError> {
        let bytes = read_file(self.disk, &from.path)?;
        let kept = kept_frames(from, &bytes, through)?;
        let mut tail = kept.cut;
        if let (Through::Position(last), Some(_)) = (through, other) {
            tail.extend_from_slice(&end_mark(from.header.salt, kept.crc, last));
        }
        let header = SegmentHeader {
            size: (kept.end + tail.len()) as u64,
            log_id: other.map_or(from.header.log_id, |other| other.log_id),
            ..from.header
        };
        let mut writer = Writer::create(self, &segment_name(from.header.number))?;
        writer.write(&header.to_bytes())?;
        writer.write(&bytes[HEADER_BYTES..kept.end])?;
        writer.write(&tail)?;
        Ok(writer.finish()?)
    }

    /// Gives the directory its name: from now on it is whole.
    pub(crate) fn finish(self) -> Result<(), IoFailed> {
        let marker = self.path(UNFINISHED_NAME);
        self.sync_dir()?;
        self.disk.remove(&marker).map_err(IoFailed::new("remove", &marker))?;
        self.sync_dir()?;
        let renamed = self.disk.rename(&self.partial, &self.dir);
        renamed.map_err(IoFailed::new("rename", &self.partial))?;
        let parent = match self.dir.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        self.disk.sync_dir(parent).map_err(IoFailed::new("sync", parent))
    }

    /// Removes what there is of it, as well as it can be done: it is of no use to anyone, and
    /// takes room.
    pub(crate) fn abandon(&self) {
        for name in names(self.disk, &self.partial).unwrap_or_default() {
            if name != UNFINISHED_NAME && is_ours(&name) {
                let _ = self.disk.remove(&self.path(&name));
            }
        }
    }

    pub(crate) fn sync_dir(&self) -> Result<(), IoFailed> {
        self.disk.sync_dir(&self.partial).map_err(IoFailed::new("sync", &self.partial))
    }

    fn edited(
        &self,
        from: &Path,
        name: &str,
        mut edit: impl FnMut(&mut Piece<'_>, bool),
    ) -> Result<CopiedFile, IoFailed> {
        let file = self.disk.open_to_read(from).map_err(IoFailed::new("open", from))?;
        let length = file.length().map_err(IoFailed::new("read", from))?;
        let mut writer = Writer::create(self, name)?;
        let mut buffer = vec![0; PIECE_BYTES + HEADER_BYTES];
        let mut offset = 0;
        while offset < length {
            let left = usize::try_from(length - offset).unwrap_or(usize::MAX);
            // The last piece is never shorter than a footer.
            let size = if left <= buffer.len() { left } else { PIECE_BYTES };
            let bytes = &mut buffer[..size];
            file.read_at(offset, bytes).map_err(IoFailed::new("read", from))?;
            edit(&mut Piece { offset, bytes }, size == left);
            writer.write(bytes)?;
            offset += size as u64;
        }
        writer.finish()
    }
}

struct Piece<'b> {
    offset: u64,
    bytes: &'b mut [u8],
}

struct Kept {
    /// Where the frames end that are copied as they are.
    end: usize,
    /// The frame after them, without the records that are not wanted.
    cut: Vec<u8>,
    crc: u32,
}

fn kept_frames(from: &SegmentFile, bytes: &[u8], through: Through<'_>) -> Result<Kept, OpenError> {
    let mut frames = Frames::new(&from.header, bytes);
    let last = match through {
        Through::Next(_) => u64::MAX,
        Through::Position(position) => position,
    };
    loop {
        let (end, crc) = (frames.end, frames.crc);
        let whole = Kept { end, cut: Vec::new(), crc };
        if frames.position > last {
            return Ok(whole);
        }
        match frames.next(&from.path)? {
            Some((_, frame)) if frame.end_position() - 1 > last => {
                let (cut, crc) = cut(&frame, last, (from, end))?;
                return Ok(Kept { end, cut, crc });
            }
            Some(_) => {}
            None => break,
        }
    }
    match through {
        Through::Next(next) => frames.check_sealed(&from.path, &next.header)?,
        Through::Position(_) => {
            let problem = format!("the frame with log position {} is broken", frames.position);
            return Err(OpenError::corrupt(&from.path, frames.end as u64, problem));
        }
    }
    Ok(Kept { end: frames.end, cut: Vec::new(), crc: frames.crc })
}

fn edit_header(bytes: &mut [u8], other: GoesOn) {
    if let Some(header) = bytes.first_chunk_mut::<HEADER_BYTES>() {
        header[32..40].copy_from_slice(&other.log_id.to_le_bytes());
        seal(header);
    }
}

fn edit_footer(bytes: &mut [u8], crc: u32) {
    if let Some(footer) = bytes.first_chunk_mut::<HEADER_BYTES>() {
        footer[44..48].copy_from_slice(&crc.to_le_bytes());
        seal(footer);
    }
}

/// Writes a file from its beginning to its end.
struct Writer {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    hash: Sha256,
    name: String,
    length: u64,
    unsynced: usize,
}

impl Writer {
    fn create(copy: &Copy<'_>, name: &str) -> Result<Writer, IoFailed> {
        let path = copy.path(name);
        let file = copy.disk.create(&path).map_err(IoFailed::new("create", &path))?;
        let hash = Sha256::default();
        Ok(Writer { path, file, hash, name: name.to_owned(), length: 0, unsynced: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        for piece in bytes.chunks(PIECE_BYTES) {
            let written = self.file.write_at(self.length, piece);
            written.map_err(IoFailed::new("write", &self.path))?;
            self.hash.update(piece);
            self.length += piece.len() as u64;
            self.unsynced += 1;
            if self.unsynced >= SYNC_PIECES {
                self.sync()?;
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), IoFailed> {
        self.unsynced = 0;
        self.file.sync().map_err(IoFailed::new("sync", &self.path))
    }

    fn finish(mut self) -> Result<CopiedFile, IoFailed> {
        self.sync()?;
        Ok(CopiedFile { name: self.name, bytes: self.length, sha256: self.hash.finalize().into() })
    }
}

/// The length and the hash of a file as it is.
pub(crate) fn hash_file(disk: &dyn Disk, path: &Path) -> Result<(u64, [u8; 32]), IoFailed> {
    let file = disk.open_to_read(path).map_err(IoFailed::new("open", path))?;
    let length = file.length().map_err(IoFailed::new("read", path))?;
    let mut hash = Sha256::default();
    let mut buffer = vec![0; PIECE_BYTES];
    let mut offset = 0;
    while offset < length {
        let left = usize::try_from(length - offset).unwrap_or(usize::MAX);
        let piece = &mut buffer[..left.min(PIECE_BYTES)];
        file.read_at(offset, piece).map_err(IoFailed::new("read", path))?;
        hash.update(&*piece);
        offset += piece.len() as u64;
    }
    Ok((length, hash.finalize().into()))
}

/// Names in a directory; none if it is not there.
pub(crate) fn names(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, IoFailed> {
    match disk.list(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(IoFailed::new("list", dir)),
    }
}

/// Where a directory is made before it has its name.
fn partial_name(dir: &Path) -> Option<PathBuf> {
    let mut name = dir.file_name()?.to_owned();
    name.push(".partial");
    Some(dir.with_file_name(name))
}

fn is_ours(name: &str) -> bool {
    let fixed =
        [BACKUP_NAME, BACKUPS_NAME, ERASURES_NAME, LOCK_NAME, MANIFEST_NAME, UNFINISHED_NAME];
    fixed.contains(&name)
        || name.ends_with(".tmp")
        || segment_number(name).is_some()
        || snapshot_position(name).is_some()
}
