//! A disk in memory that fails, tears and forgets on demand, for tests.
//!
//! Like a real one it promises little: bytes written but not synced may survive a crash or
//! not, 512 bytes by 512 bytes, in any order, and one such sector in eight only in part; names changed but not synced may be back to what they were;
//! and after a sync that failed, the bytes are never written by a later one, although they
//! read back until the crash. It may have a size: what passes it is written in part, and the
//! bytes of files that have no name any more are free.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fs::{Disk, DiskFile};

/// What a disk writes whole, as a rule, or not at all.
const SECTOR_BYTES: usize = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

/// An operation that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which, counted from 1 since [`SimulatedDisk::fail`].
    pub operation: u64,
    /// How.
    pub kind: FaultKind,
    /// Whether all later ones fail too.
    pub lasting: bool,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// It does nothing and reports an input/output error.
    InputOutput,
    /// It does nothing and reports that no space is left.
    NoSpace,
    /// A write writes a part and then reports that no space is left.
    ShortWrite,
}

#[derive(Default)]
struct State {
    files: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    /// Since the last directory sync.
    name_changes: Vec<NameChange>,
    locked: BTreeSet<PathBuf>,
    random: u64,
    operations: u64,
    fault: Option<Fault>,
    /// `None`: without end.
    size: Option<u64>,
}

#[derive(Default)]
struct Inode {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    unsynced_sectors: BTreeSet<usize>,
}

#[derive(Clone)]
enum NameChange {
    Set(PathBuf, usize),
    Rename(PathBuf, PathBuf, usize),
    RenameDir(PathBuf, PathBuf),
    Remove(PathBuf),
}

struct SimulatedFile {
    disk: SimulatedDisk,
    inode: usize,
}

struct SimulatedLock(SimulatedDisk, PathBuf);

impl SimulatedDisk {
    /// An empty disk; `seed` decides salts and ids.
    pub fn new(seed: u64) -> SimulatedDisk {
        let disk = SimulatedDisk::default();
        disk.state().random = seed;
        disk
    }

    /// Has an operation fail, counted from now; `None`: no more.
    pub fn fail(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.operations = 0;
        state.fault = fault;
    }

    /// Operations since [`SimulatedDisk::fail`].
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Has every operation wait until the result is dropped.
    #[must_use]
    pub fn hold(&self) -> impl Drop + use<'_> {
        self.state()
    }

    /// Gives it a size in bytes, more or less than is on it; `None`: without end.
    pub fn resize(&self, size: Option<u64>) {
        self.state().size = size;
    }

    /// Bytes of the files that have a name.
    pub fn used_bytes(&self) -> u64 {
        self.state().used_bytes()
    }

    /// Loses what was not synced, or some of it, as `seed` has it. Whoever used the disk
    /// must be gone.
    pub fn crash(&self, seed: u64) {
        let mut state = self.state();
        let mut coin = Random(seed);
        for file in &mut state.files {
            file.crash(&mut coin);
        }
        let changes = std::mem::take(&mut state.name_changes);
        for change in changes {
            if coin.flip() {
                change.apply(&mut state.synced_names);
            }
        }
        state.names = state.synced_names.clone();
        state.locked.clear();
        state.fault = None;
    }

    /// Another disk with the same contents, all of it synced.
    pub fn copy(&self) -> SimulatedDisk {
        let copy = SimulatedDisk::new(self.state().random);
        for path in self.paths() {
            if let Some(bytes) = self.read(&path) {
                copy.write(&path, bytes);
            }
        }
        copy
    }

    /// All files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    /// A file's bytes, without an operation.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let inode = *state.names.get(path)?;
        Some(state.files[inode].bytes.clone())
    }

    /// Replaces a file's bytes, synced, without an operation.
    pub fn write(&self, path: &Path, bytes: Vec<u8>) {
        let mut state = self.state();
        let inode = state.files.len();
        state.files.push(Inode { synced: bytes.clone(), bytes, ..Inode::default() });
        state.names.insert(path.to_owned(), inode);
        state.synced_names.insert(path.to_owned(), inode);
    }

    /// Deletes a file, synced, without an operation.
    pub fn delete(&self, path: &Path) {
        let mut state = self.state();
        state.names.remove(path);
        state.synced_names.remove(path);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation, and fails it if it is its turn.
    fn operate(&self) -> Result<MutexGuard<'_, State>, (MutexGuard<'_, State>, FaultKind)> {
        let mut state = self.state();
        state.operations += 1;
        let operations = state.operations;
        match state.fault {
            Some(fault) if operations == fault.operation => Err((state, fault.kind)),
            Some(fault) if operations > fault.operation && fault.lasting => {
                Err((state, fault.kind))
            }
            _ => Ok(state),
        }
    }

    fn plainly(&self) -> io::Result<MutexGuard<'_, State>> {
        self.operate().map_err(|(_, kind)| kind.error())
    }
}

impl FaultKind {
    fn error(self) -> io::Error {
        match self {
            FaultKind::InputOutput => io::Error::other("simulated input/output error"),
            FaultKind::NoSpace | FaultKind::ShortWrite => {
                io::Error::from(io::ErrorKind::StorageFull)
            }
        }
    }
}

impl Disk for SimulatedDisk {
    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        self.plainly().map(|_| ())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.plainly()?;
        let here = state.names.keys().filter(|path| path.parent() == Some(dir));
        let names = here.filter_map(|path| path.file_name()?.to_str().map(str::to_owned));
        Ok(names.collect())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.plainly()?;
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), inode }))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.plainly()?;
        let inode = state.files.len();
        state.files.push(Inode::default());
        state.change(NameChange::Set(path.to_owned(), inode));
        Ok(Box::new(SimulatedFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.plainly()?;
        let change = match state.names.get(from) {
            Some(inode) => NameChange::Rename(from.to_owned(), to.to_owned(), *inode),
            None if state.names.keys().any(|path| path.starts_with(from)) => {
                NameChange::RenameDir(from.to_owned(), to.to_owned())
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        state.change(change);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.plainly()?;
        state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        state.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        let mut state = self.plainly()?;
        state.synced_names = state.names.clone();
        state.name_changes.clear();
        Ok(())
    }

    fn lock(&self, path: &Path, _text: &str) -> io::Result<Result<Box<dyn Send + Sync>, String>> {
        let mut state = self.plainly()?;
        if !state.locked.insert(path.to_owned()) {
            return Ok(Err("simulated".to_owned()));
        }
        Ok(Ok(Box::new(SimulatedLock(self.clone(), path.to_owned()))))
    }

    fn random(&self) -> io::Result<u64> {
        let mut state = self.plainly()?;
        let mut random = Random(state.random);
        let number = random.next() | 1;
        state.random = random.0;
        Ok(number)
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.plainly()?.free_bytes())
    }
}

impl DiskFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.plainly()?.files[self.inode].bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let state = self.disk.plainly()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let there = state.files[self.inode].bytes.get(start..start.saturating_add(bytes.len()));
        bytes.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        match self.disk.operate() {
            Ok(mut state) => {
                let room = state.writable(self.inode, start, bytes.len());
                state.files[self.inode].write(start, &bytes[..room]);
                if room < bytes.len() { Err(FaultKind::NoSpace.error()) } else { Ok(()) }
            }
            Err((mut state, kind)) => {
                if kind == FaultKind::ShortWrite {
                    state.files[self.inode].write(start, &bytes[..bytes.len() / 2]);
                }
                Err(kind.error())
            }
        }
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let mut state = self.disk.plainly()?;
        let file = &mut state.files[self.inode];
        // Lasting at once: whether it is or not, what is cut off is never read again.
        file.bytes.truncate(length);
        file.synced.truncate(length);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        match self.disk.operate() {
            Ok(mut state) => {
                state.files[self.inode].sync();
                Ok(())
            }
            Err((mut state, kind)) => {
                state.files[self.inode].unsynced_sectors.clear();
                Err(kind.error())
            }
        }
    }
}

impl Drop for SimulatedLock {
    fn drop(&mut self) {
        self.0.state().locked.remove(&self.1);
    }
}

impl State {
    fn change(&mut self, change: NameChange) {
        change.clone().apply(&mut self.names);
        self.name_changes.push(change);
    }

    fn used_bytes(&self) -> u64 {
        let inodes: BTreeSet<usize> = self.names.values().copied().collect();
        inodes.into_iter().map(|inode| self.files[inode].bytes.len() as u64).sum()
    }

    fn free_bytes(&self) -> u64 {
        self.size.map_or(u64::MAX, |size| size.saturating_sub(self.used_bytes()))
    }

    /// How many of `length` bytes at `start` there is room for.
    fn writable(&self, inode: usize, start: usize, length: usize) -> usize {
        let there = self.files[inode].bytes.len();
        let free = usize::try_from(self.free_bytes()).unwrap_or(usize::MAX);
        length.min(there.saturating_add(free).saturating_sub(start))
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Set(path, inode) => {
                names.insert(path, inode);
            }
            NameChange::Rename(from, to, inode) => {
                names.remove(&from);
                names.insert(to, inode);
            }
            NameChange::RenameDir(from, to) => {
                let (inside, outside): (BTreeMap<_, _>, _) = std::mem::take(names)
                    .into_iter()
                    .partition(|(path, _)| path.starts_with(&from));
                *names = outside;
                names.extend(inside.into_iter().filter_map(|(path, inode)| {
                    let rest = path.strip_prefix(&from).ok()?;
                    Some((to.join(rest), inode))
                }));
            }
            NameChange::Remove(path) => {
                names.remove(&path);
            }
        }
    }
}

impl Inode {
    fn write(&mut self, start: usize, bytes: &[u8]) {
        let end = start + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.unsynced_sectors.extend(start / SECTOR_BYTES..=(end - 1) / SECTOR_BYTES);
        }
    }

    fn sync(&mut self) {
        self.synced.resize(self.bytes.len(), 0);
        for sector in std::mem::take(&mut self.unsynced_sectors) {
            self.sync_sector(sector, SECTOR_BYTES);
        }
    }

    fn sync_sector(&mut self, sector: usize, bytes: usize) {
        let start = sector * SECTOR_BYTES;
        let end = (start + bytes).min(self.bytes.len()).min(self.synced.len());
        if start < end {
            self.synced[start..end].copy_from_slice(&self.bytes[start..end]);
        }
    }

    fn crash(&mut self, coin: &mut Random) {
        if coin.flip() {
            self.synced.resize(self.bytes.len(), 0);
        }
        for sector in std::mem::take(&mut self.unsynced_sectors) {
            if coin.flip() {
                self.sync_sector(sector, coin.sector_bytes());
            }
        }
        self.bytes = self.synced.clone();
    }
}

/// SplitMix64: small, and the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// How much of a sector gets to the disk.
    fn sector_bytes(&mut self) -> usize {
        let next = self.next();
        if next.is_multiple_of(8) { (next >> 3) as usize % SECTOR_BYTES } else { SECTOR_BYTES }
    }

    fn flip(&mut self) -> bool {
        self.next() & 1 == 1
    }
}
