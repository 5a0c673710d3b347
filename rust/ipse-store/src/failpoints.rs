//! Points at which a test build dies on demand: before, in the middle of and after every file
//! operation of the real disk.
//!
//! `IPSE_FAILPOINT=after-rename-segment.wal:2` ends the process, as a crash would, when it has
//! renamed a file to a segment's name for the second time. A point is a moment (`before`,
//! `half` of a write, `after`), an operation (`create`, `write`, `sync`, `rename`, `remove`)
//! and the name of the file without its digits; `sync-directory` stands for all directories.
//! A third part, `:50`, has the process live for so many milliseconds more, stopped at the
//! point: long enough for an answer that should have waited to get out.
//!
//! Builds without debug assertions, so every wheel, know nothing of this. The process dies, not
//! the machine: what was written and not synced is still there, and [`crate::simulated`] is
//! for the rest.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::fs::{Disk, DiskFile, RealDisk};

const VARIABLE: &str = "IPSE_FAILPOINT";

/// The operating system's disk; in a test build that was told so, with a point of death.
pub(crate) fn disk() -> Arc<dyn Disk> {
    let chosen = if cfg!(debug_assertions) { std::env::var(VARIABLE).ok() } else { None };
    match chosen {
        Some(text) => {
            let point = Point::parse(&text).expect("IPSE_FAILPOINT is <point>:<time>[:<millis>]");
            Arc::new(DeadlyDisk { real: RealDisk, point: Arc::new(point), names: Mutex::default() })
        }
        None => Arc::new(RealDisk),
    }
}

/// Where to die.
#[derive(Debug)]
struct Point {
    name: String,
    /// How often it is passed before.
    left: AtomicU64,
    stall: Duration,
}

/// What a file is called now, for all who have it open.
type Name = Arc<Mutex<PathBuf>>;

struct DeadlyDisk {
    real: RealDisk,
    point: Arc<Point>,
    names: Mutex<HashMap<PathBuf, Name>>,
}

struct DeadlyFile {
    real: Box<dyn DiskFile>,
    name: Name,
    point: Arc<Point>,
}

impl Point {
    fn parse(text: &str) -> Option<Point> {
        let mut parts = text.split(':');
        let name = parts.next()?.to_owned();
        let time: u64 = parts.next()?.parse().ok().filter(|time| *time > 0)?;
        let millis = parts.next().map_or(Some(0), |millis| millis.parse().ok())?;
        let stall = Duration::from_millis(millis);
        Some(Point { name, left: AtomicU64::new(time - 1), stall })
    }

    /// Whether this is the point, and the time.
    fn is_here(&self, moment: &str, operation: &str, kind: &str) -> bool {
        let here = [moment, operation, kind].join("-") == self.name;
        here && self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, less_one).is_err()
    }

    fn around<T>(&self, operation: &str, kind: &str, work: impl FnOnce() -> T) -> T {
        if self.is_here("before", operation, kind) {
            self.die();
        }
        let done = work();
        if self.is_here("after", operation, kind) {
            self.die();
        }
        done
    }

    fn die(&self) -> ! {
        thread::sleep(self.stall);
        std::process::abort()
    }
}

fn less_one(left: u64) -> Option<u64> {
    left.checked_sub(1)
}

/// The name without its digits and without the letter of a spare, and without what joins them.
fn kind_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let letters: String = name.chars().filter(|letter| !letter.is_ascii_digit()).collect();
    ["-.", "-.", "-a.", "-b."].iter().fold(letters, |name, part| name.replace(part, "."))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DeadlyFile {
    fn kind(&self) -> String {
        kind_of(&locked(&self.name))
    }
}

impl DeadlyDisk {
    fn file(&self, path: &Path, real: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        let name = Name::new(Mutex::new(path.to_owned()));
        locked(&self.names).insert(path.to_owned(), name.clone());
        Box::new(DeadlyFile { real, name, point: self.point.clone() })
    }

    fn renamed(&self, from: &Path, to: &Path) {
        let mut names = locked(&self.names);
        if let Some(name) = names.remove(from) {
            to.clone_into(&mut locked(&name));
            names.insert(to.to_owned(), name);
        }
    }
}

impl Disk for DeadlyDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.real.create_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.real.list(dir)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, self.real.open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let real = self.point.around("create", &kind_of(path), || self.real.create(path))?;
        Ok(self.file(path, real))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.point.around("rename", &kind_of(to), || self.real.rename(from, to))?;
        self.renamed(from, to);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.point.around("remove", &kind_of(path), || self.real.remove(path))?;
        locked(&self.names).remove(path);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.point.around("sync", "directory", || self.real.sync_dir(dir))
    }

    fn lock(&self, path: &Path, text: &str) -> io::Result<Result<Box<dyn Send + Sync>, String>> {
        self.real.lock(path, text)
    }

    fn random(&self) -> io::Result<u64> {
        self.real.random()
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.real.free_bytes(dir)
    }
}

impl DiskFile for DeadlyFile {
    fn length(&self) -> io::Result<u64> {
        self.real.length()
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.real.read_at(offset, bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let kind = self.kind();
        if self.point.is_here("half", "write", &kind) {
            self.real.write_at(offset, &bytes[..bytes.len() / 2])?;
            self.point.die();
        }
        self.point.around("write", &kind, || self.real.write_at(offset, bytes))
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.real.truncate(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.point.around("sync", &self.kind(), || self.real.sync())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_kind_share_their_points() {
        for (name, kind) in [
            ("segment-000000000012.wal", "segment.wal"),
            ("segment-000000000012-00000000000000008192.torn", "segment.torn"),
            ("snapshot-00000000000000004711.snap", "snapshot.snap"),
            ("MANIFEST", "MANIFEST"),
            ("next-segment-a.wal.tmp", "next-segment.wal.tmp"),
            ("next-segment-b.wal.tmp", "next-segment.wal.tmp"),
        ] {
            assert_eq!(kind_of(&Path::new("/data").join(name)), kind);
        }
    }

    #[test]
    fn a_point_is_met_when_it_is_its_turn() {
        let point = Point::parse("after-sync-segment.wal:3:50").expect("well formed");
        assert_eq!(point.stall, Duration::from_millis(50));
        let met = [0; 4].map(|_| point.is_here("after", "sync", "segment.wal"));
        assert_eq!(met, [false, false, true, true]);
        assert!(!point.is_here("before", "sync", "segment.wal"));
        for wrong in ["after-sync-segment.wal", "x:0", "x:y", "x:1:y"] {
            assert!(Point::parse(wrong).is_none(), "{wrong}");
        }
    }
}
