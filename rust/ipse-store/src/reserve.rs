//! Space that is reserved before it is needed: the files of the next segments.
//!
//! ```text
//! newest segment          half full
//! [frames....|     rest ] ─────────> and a second spare is made
//! [first spare: zeros   ]   always   [second spare: zeros  ]
//! ```
//!
//! The first spare is there from opening on. A segment that is full gives way to one of the two,
//! so that a spare is left at any moment: an unclean stop on a full disk is recovered with it.
//! Where a spare cannot be made, only the rest of the newest segment may still be written to,
//! which [`Room`] says before anything is decided.
//!
//! Must not know what goes into the segments. Invariant: a segment has its name only when its
//! header and all its zeros are on disk, so that a broken header is never a crash's doing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::IoFailed;
use crate::format::{HEADER_BYTES, SPARE_NAMES, segment_name};
use crate::fs::{Disk, DiskFile};
use crate::segment::{Manifest, PIECE_BYTES, Segment, SegmentHeader};

/// After something could not be made, until it is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// The files of the next segments.
pub(crate) struct Reserve {
    spares: Vec<Spare>,
    /// The segment that the temporary manifest names, once it is written: on a full disk there
    /// is no room for even that.
    manifest: Option<u64>,
    retry_time: Option<Instant>,
    /// Whether what failed last failed for want of space.
    is_short: bool,
}

/// What has to be reserved.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// Size of the spare that recovery may need: as large as the newest segment.
    pub(crate) first_bytes: u64,
    /// Size of the one that the next segment is made of, if it is time for it.
    pub(crate) second_bytes: Option<u64>,
    /// Whether this process must have written all their zeros: what an earlier one left may
    /// hold frames.
    pub(crate) zeroed: bool,
    /// What the next segment's manifest will say.
    pub(crate) manifest: Manifest,
}

/// What may be committed without passing what is reserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Room {
    /// Bytes of frames.
    pub(crate) bytes: u64,
    pub(crate) space: Space,
}

/// How the disk stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Space {
    /// What is wanted is reserved, or being made.
    #[default]
    Steady,
    /// What is wanted cannot be made.
    Short,
    /// Both spares are there, and a further segment's size is free.
    Ample,
}

/// A file for a segment, filled with zeros piece by piece.
pub(crate) struct Spare {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// From its beginning, by this process.
    zeroed: u64,
    /// Of the file, by whomever.
    length: u64,
}

impl Reserve {
    /// With the spares that an earlier process left.
    pub(crate) fn new(spares: Vec<Spare>) -> Reserve {
        Reserve { spares, manifest: None, retry_time: None, is_short: false }
    }

    /// When there is something to make: now, later, or `None`.
    pub(crate) fn due(&self, wanted: &Wanted) -> Option<Instant> {
        let now = Instant::now();
        (!self.is_done(wanted)).then(|| self.retry_time.map_or(now, |time| time.max(now)))
    }

    /// Makes a piece of what is wanted. What fails is tried again later.
    pub(crate) fn make(&mut self, disk: &dyn Disk, dir: &Path, wanted: &Wanted) {
        let now = Instant::now();
        if self.is_done(wanted) {
            self.retry_time = None;
            self.is_short = false;
        } else if self.retry_time.is_none_or(|time| time <= now) {
            let made = self.make_piece(disk, dir, wanted);
            self.retry_time = made.is_err().then_some(now + RETRY_DELAY);
            self.is_short = made.is_err_and(|failed| failed.is_for_want_of_space());
        }
    }

    /// Whether there was no space for what is wanted when it was last tried. Other failures
    /// show when a segment is needed, and are none until then: they are not a full disk.
    pub(crate) fn is_short(&self) -> bool {
        self.is_short
    }

    /// Whether what was tried last failed, for whatever reason, and is not tried again yet.
    pub(crate) fn has_failed(&self) -> bool {
        self.retry_time.is_some()
    }

    /// Whether there is a spare for recovery, and the next segment's manifest.
    pub(crate) fn holds_first(&self, wanted: &Wanted) -> bool {
        let manifest = self.manifest == Some(wanted.manifest.newest_segment);
        manifest && self.spares.iter().any(|spare| spare.length >= wanted.first_bytes)
    }

    /// Whether there is one more, for a segment of that size.
    pub(crate) fn holds_second(&self, wanted: &Wanted, bytes: u64) -> bool {
        let both = self.spares.len() == SPARE_NAMES.len();
        both && self.holds_first(wanted) && self.spares.iter().all(|spare| spare.length >= bytes)
    }

    /// Bytes that are still to be written for both spares.
    pub(crate) fn missing_bytes(&self, wanted: &Wanted, segment_bytes: u64) -> u64 {
        let there: u64 = self.spares.iter().map(|spare| spare.length).sum();
        (wanted.first_bytes + segment_bytes).saturating_sub(there)
    }

    /// A spare for the next segment, the one with most of its zeros.
    pub(crate) fn take(&mut self, disk: &dyn Disk, dir: &Path) -> Result<Spare, IoFailed> {
        self.retry_time = None;
        self.is_short = false;
        let best = (0..self.spares.len()).max_by_key(|at| {
            let spare = &self.spares[*at];
            (spare.zeroed, spare.length)
        });
        match best {
            Some(at) => Ok(self.spares.remove(at)),
            None => self.create(disk, dir),
        }
    }

    /// Puts the manifest of a new segment in place.
    pub(crate) fn name(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        manifest: Manifest,
    ) -> Result<(), IoFailed> {
        if self.manifest.take() == Some(manifest.newest_segment) {
            return Manifest::replace(disk, dir);
        }
        manifest.write(disk, dir)
    }

    /// Whether all that is wanted is there.
    pub(crate) fn is_done(&self, wanted: &Wanted) -> bool {
        let zeroed = |spare: &Spare, bytes: u64| spare.zeroed >= bytes;
        if wanted.zeroed && !self.spares.iter().all(Spare::is_zeroed) {
            return false;
        }
        match wanted.second_bytes {
            None => self.holds_first(wanted),
            Some(bytes) => {
                self.holds_second(wanted, bytes)
                    && self.spares.iter().any(|spare| zeroed(spare, bytes))
            }
        }
    }

    fn make_piece(&mut self, disk: &dyn Disk, dir: &Path, wanted: &Wanted) -> Result<(), IoFailed> {
        if !self.spares.iter().any(|spare| spare.length >= wanted.first_bytes) {
            if self.spares.is_empty() {
                let spare = self.create(disk, dir)?;
                self.spares.push(spare);
            }
            return self.grow(0, disk, dir, wanted.first_bytes);
        }
        if self.manifest != Some(wanted.manifest.newest_segment) {
            wanted.manifest.prepare(disk, dir)?;
            self.manifest = Some(wanted.manifest.newest_segment);
            return Ok(());
        }
        if let Some(at) = self.spares.iter().position(|spare| wanted.zeroed && !spare.is_zeroed()) {
            return self.grow(at, disk, dir, self.spares[at].length);
        }
        let Some(bytes) = wanted.second_bytes else { return Ok(()) };
        if self.spares.len() < SPARE_NAMES.len() {
            let spare = self.create(disk, dir)?;
            self.spares.push(spare);
        }
        // The one that is further goes first; it is the one that will be taken.
        let short = self.spares.iter().position(|spare| spare.length < bytes);
        let further = usize::from(self.spares[1].zeroed > self.spares[0].zeroed);
        self.grow(short.unwrap_or(further), disk, dir, bytes)
    }

    /// A piece of zeros more. The disk is not filled to its last byte for it: if there is no
    /// room for the whole, none is taken.
    fn grow(&mut self, at: usize, disk: &dyn Disk, dir: &Path, bytes: u64) -> Result<(), IoFailed> {
        let spare = &mut self.spares[at];
        let free = disk.free_bytes(dir).map_err(IoFailed::new("ask for the free space of", dir))?;
        if free < bytes.saturating_sub(spare.length) {
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(IoFailed::new("reserve space in", dir)(full));
        }
        let grown = spare.grow(bytes);
        if grown.is_err() {
            // After a sync that failed, who knows which of the zeros are there.
            spare.zeroed = 0;
        }
        grown?;
        if spare.zeroed < bytes {
            return Ok(());
        }
        // Recovery must find it, too.
        disk.sync_dir(dir).map_err(IoFailed::new("sync", dir))
    }

    fn create(&self, disk: &dyn Disk, dir: &Path) -> Result<Spare, IoFailed> {
        let mut paths = SPARE_NAMES.iter().map(|name| dir.join(name));
        let free = paths.find(|path| self.spares.iter().all(|spare| spare.path != *path));
        Spare::create(disk, free.expect("none is made while there are two"))
    }
}

impl Spare {
    fn create(disk: &dyn Disk, path: PathBuf) -> Result<Spare, IoFailed> {
        let file = disk.create(&path).map_err(IoFailed::new("create", &path))?;
        Ok(Spare { file, path, zeroed: 0, length: 0 })
    }

    /// One that an earlier process left. Its space is reserved; what is in it, nobody knows.
    pub(crate) fn found(disk: &dyn Disk, path: PathBuf) -> Result<Spare, IoFailed> {
        let file = disk.open(&path).map_err(IoFailed::new("open", &path))?;
        let length = file.length().map_err(IoFailed::new("read", &path))?;
        Ok(Spare { file, path, zeroed: 0, length })
    }

    /// One piece of zeros more, synced, so that no later sync has much to do.
    fn grow(&mut self, size: u64) -> Result<(), IoFailed> {
        self.write_zeros(size)?;
        self.sync()
    }

    fn is_zeroed(&self) -> bool {
        self.zeroed >= self.length
    }

    /// Length of the file.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Makes it the segment that `header` describes, with these frames in it.
    pub(crate) fn into_segment(
        mut self,
        disk: &dyn Disk,
        dir: &Path,
        header: SegmentHeader,
        frames: &[u8],
    ) -> Result<Segment, IoFailed> {
        while self.zeroed < header.size {
            self.write_zeros(header.size)?;
        }
        if self.length > header.size {
            self.file.truncate(header.size).map_err(IoFailed::new("cut", &self.path))?;
        }
        self.write(0, &header.to_bytes())?;
        let mut end = HEADER_BYTES as u64;
        for piece in frames.chunks(PIECE_BYTES) {
            self.write(end, piece)?;
            end += piece.len() as u64;
        }
        self.sync()?;
        let path = dir.join(segment_name(header.number));
        disk.rename(&self.path, &path).map_err(IoFailed::new("rename", &self.path))?;
        disk.sync_dir(dir).map_err(IoFailed::new("sync", dir))?;
        Ok(Segment { header, path, file: self.file, end })
    }

    fn write_zeros(&mut self, size: u64) -> Result<(), IoFailed> {
        let piece = size.saturating_sub(self.zeroed).min(PIECE_BYTES as u64);
        let zeros = vec![0; usize::try_from(piece).expect("a piece is small")];
        self.write(self.zeroed, &zeros)?;
        self.zeroed += piece;
        self.length = self.length.max(self.zeroed);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), IoFailed> {
        self.file.write_at(offset, bytes).map_err(IoFailed::new("write", &self.path))
    }

    fn sync(&self) -> Result<(), IoFailed> {
        self.file.sync().map_err(IoFailed::new("sync", &self.path))
    }
}
