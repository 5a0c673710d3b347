//! Faults that a test build commits on demand, so that it can be shown that a test catches
//! each: `IPSE_PLANTED_FAULT=skip-sync cargo test -p ipse-store --test faults` must fail.
//! `tests/planted.py` goes through all of them.
//!
//! Builds without debug assertions, so every wheel, know nothing of this: there each question
//! here is the constant `false`.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::fs::{Disk, DiskFile};

const VARIABLE: &str = "IPSE_PLANTED_FAULT";

/// A mistake that somebody could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Names are not made to last.
    SkipDirectorySync,
    /// Contents are not made to last.
    SkipSync,
    /// A sync that failed is asked for once more, and believed.
    RetrySync,
    /// Frames are taken for whole whatever their checksum.
    SkipChecksum,
    /// A write is answered when it is written, and not yet synced.
    AnswerWritesEarly,
    /// A read is answered whatever it rests on.
    AnswerReadsEarly,
    /// Damage is taken for a torn tail, whatever was synced.
    ForgiveAll,
    /// Records that were read back are not checked before they are applied.
    SkipReadBack,
    /// The log that only the older snapshot needs is removed.
    KeepOneSnapshot,
}

const NAMES: [(&str, Fault); 9] = [
    ("skip-directory-sync", Fault::SkipDirectorySync),
    ("skip-sync", Fault::SkipSync),
    ("retry-sync", Fault::RetrySync),
    ("skip-checksum", Fault::SkipChecksum),
    ("answer-writes-early", Fault::AnswerWritesEarly),
    ("answer-reads-early", Fault::AnswerReadsEarly),
    ("forgive-all", Fault::ForgiveAll),
    ("skip-read-back", Fault::SkipReadBack),
    ("keep-one-snapshot", Fault::KeepOneSnapshot),
];

/// Whether this process is to commit this fault.
pub(crate) fn is_planted(fault: Fault) -> bool {
    static CHOSEN: OnceLock<Option<Fault>> = OnceLock::new();
    cfg!(debug_assertions) && *CHOSEN.get_or_init(chosen) == Some(fault)
}

fn chosen() -> Option<Fault> {
    let wanted = std::env::var(VARIABLE).ok()?;
    let known = NAMES.iter().find(|(name, _)| *name == wanted);
    Some(known.expect("IPSE_PLANTED_FAULT names a fault").1)
}

/// The disk, or one between it and the store that commits the faults of a disk's use.
pub(crate) fn over(disk: Arc<dyn Disk>) -> Arc<dyn Disk> {
    let faults = [Fault::SkipDirectorySync, Fault::SkipSync, Fault::RetrySync];
    if faults.into_iter().any(is_planted) { Arc::new(Careless(disk)) } else { disk }
}

struct Careless(Arc<dyn Disk>);

struct CarelessFile(Box<dyn DiskFile>);

impl Disk for Careless {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CarelessFile(self.0.open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(CarelessFile(self.0.create(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if is_planted(Fault::SkipDirectorySync) { Ok(()) } else { self.0.sync_dir(dir) }
    }

    fn lock(&self, path: &Path, text: &str) -> io::Result<Result<Box<dyn Send + Sync>, String>> {
        self.0.lock(path, text)
    }

    fn random(&self) -> io::Result<u64> {
        self.0.random()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.0.free_bytes(dir)
    }
}

impl DiskFile for CarelessFile {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        if is_planted(Fault::SkipSync) {
            return Ok(());
        }
        match self.0.sync() {
            Err(_) if is_planted(Fault::RetrySync) => self.0.sync(),
            done => done,
        }
    }
}
