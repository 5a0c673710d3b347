//! The few file operations that the store uses, as a trait: the real disk here, and in
//! [`crate::simulated`] one that fails, tears and forgets on demand.
//!
//! Must not know what is in the files. Every operation is one that can fail, and each
//! counts as one for a test that fails the nth.

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::Instant;

/// A large file is removed in pieces of this size.
const PIECE_BYTES: u64 = 4 << 20;

/// A file system.
pub trait Disk: Send + Sync + 'static {
    /// Makes the directory and its parents, and makes a new one last.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Names of the files in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Opens a file that exists, for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that exists, which may be one that must not be written.
    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.open(path)
    }
    /// Makes an empty file, in place of one that exists.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, in place of one that has it; or a directory, in place of an
    /// empty one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Deletes a large file that nobody reads, and gives its room back bit by bit: a file system
    /// that tells its device of each (`discard`) holds up other writes meanwhile.
    fn remove_large(&self, path: &Path) -> io::Result<()> {
        self.remove(path)
    }
    /// Makes the names in a directory last.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Locks a file for as long as the result lives, and writes `text` in it. `Err` inside
    /// holds the text of whoever has it locked.
    fn lock(&self, path: &Path, text: &str) -> io::Result<Result<Box<dyn Send + Sync>, String>>;
    /// A random number that is not 0.
    fn random(&self) -> io::Result<u64>;
    /// Bytes that files in a directory may still take. An estimate: others take some as well,
    /// and a quota may end it sooner.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Send {
    /// Length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills `bytes` from `offset`; an error if the file ends before.
    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Cuts the file off at `length`.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Makes contents and length last.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let parent = match dir.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        self.create_dir(parent)?;
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        self.sync_dir(parent)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.file_name()));
        let names: io::Result<Vec<_>> = names.collect();
        // A name that is not text is none of ours.
        Ok(names?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(fs::OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(fs::File::open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Box::new(options.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_large(&self, path: &Path) -> io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(path)?;
        self.remove(path)?;
        // First, so that no crash brings the name back for a part of the file.
        self.sync_dir(path.parent().unwrap_or(path))?;
        give_back(&file)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path, text: &str) -> io::Result<Result<Box<dyn Send + Sync>, String>> {
        // The directory is locked as well: a lock file can be taken for stale and removed.
        let dir = fs::File::open(path.parent().unwrap_or(path))?;
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        for lockable in [&dir, &file] {
            match lockable.try_lock() {
                Ok(()) => {}
                Err(fs::TryLockError::WouldBlock) => return Ok(Err(fs::read_to_string(path)?)),
                Err(fs::TryLockError::Error(error)) => return Err(error),
            }
        }
        file.set_len(0)?;
        file.write_all_at(text.as_bytes(), 0)?;
        Ok(Ok(Box::new((dir, file))))
    }

    fn random(&self) -> io::Result<u64> {
        loop {
            match getrandom::u64().map_err(io::Error::from)? {
                0 => continue,
                number => return Ok(number),
            }
        }
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(dir)?;
        // Not what is left for the superuser, who may be this process: a disk must not be
        // filled to its last byte by a log.
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }
}

/// Cuts a file off piece by piece. Others get the disk for as long as each takes.
fn give_back(file: &fs::File) -> io::Result<()> {
    let mut length = file.metadata()?.len();
    while length > 0 {
        let started = Instant::now();
        length = length.saturating_sub(PIECE_BYTES);
        file.set_len(length)?;
        thread::sleep(started.elapsed());
    }
    Ok(())
}

impl DiskFile for fs::File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        // The length is part of what fdatasync must make last when it changed.
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_file_is_gone_and_its_room_given_back() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("large");
        let file = RealDisk.create(&path).expect("made");
        file.write_at(2 * PIECE_BYTES, b"the end").expect("written");
        RealDisk.remove_large(&path).expect("removed");
        assert!(!path.exists());
        assert_eq!(file.length().expect("open"), 0);
    }
}
