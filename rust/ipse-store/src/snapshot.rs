//! Snapshot files: all workspaces at one log position.
//!
//! A snapshot has its name only when it is on disk and has been read back. Neither writing
//! nor reading holds more than a section and a few parts in memory beside the graphs.

use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Instant;

use ipse_core::snapshot::{Frozen, PART_ROWS_MAX, Verifier};

use crate::codec::{SnapshotPart, decode_part, encode_part};
use crate::error::{CheckpointError, IoFailed, OpenError};
use crate::format::{
    FOOTER_MAGIC, HEADER_BYTES, SECTION_BYTES_TARGET, SECTION_HEADER_BYTES, SNAPSHOT_MAGIC,
    SNAPSHOT_TEMPORARY_NAME, SNAPSHOT_VERSION, aligned, snapshot_name,
};
use crate::frame::{u32_at, u64_at};
use crate::fs::{Disk, DiskFile};
use crate::positions::Positions;
use crate::progress::RecoveryProgress;
use crate::segment::{POSITION_MAX, check_header, seal};
use crate::state::{State, StateLoader};

/// What a snapshot's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SnapshotHeader {
    pub(crate) workspaces: u32,
    pub(crate) position: u64,
    salt: u64,
    pub(crate) log_id: u64,
}

/// What a snapshot's footer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Footer {
    position: u64,
    sections: u64,
    parts: u64,
    offset: u64,
    workspaces: u32,
    crc: u32,
}

/// A workspace at one moment.
pub(crate) struct FrozenWorkspace {
    pub(crate) graph: Frozen,
    pub(crate) positions: Positions,
}

/// The free space of a directory, some of which is the log's.
pub(crate) struct FreeSpace<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) dir: &'a Path,
    /// What must be left.
    pub(crate) kept_bytes: u64,
}

impl FreeSpace<'_> {
    /// Refuses to take so many bytes if that would leave the log too few.
    pub(crate) fn check(&self, bytes: u64) -> Result<(), CheckpointError> {
        let free = self.disk.free_bytes(self.dir);
        let free = free.map_err(IoFailed::new("ask for the free space of", self.dir))?;
        if free < self.kept_bytes.saturating_add(bytes) {
            return Err(CheckpointError::StorageFull);
        }
        Ok(())
    }
}

/// Parts that are read and wait for their graph.
const PARTS_AHEAD: usize = 4;

/// A part, whose it is, and where it lies in the file.
struct PlacedPart {
    workspace: u32,
    part: SnapshotPart,
    offset: u64,
}

/// How much of the processors and of the disk the work on a snapshot leaves to calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Nobody calls.
    Full,
    /// After each piece a rest, as long as it took.
    Half,
}

impl Pace {
    fn rest(self, since: Instant) {
        if self == Pace::Half {
            thread::sleep(since.elapsed());
        }
    }
}

/// Writes the workspaces as the snapshot of `position` and returns its size in bytes.
pub(crate) fn write(
    room: &FreeSpace<'_>,
    position: u64,
    log_id: u64,
    workspaces: Vec<FrozenWorkspace>,
    pace: Pace,
) -> Result<u64, CheckpointError> {
    let FreeSpace { disk, dir, .. } = room;
    let temporary = dir.join(SNAPSHOT_TEMPORARY_NAME);
    let written = write_temporary(room, &temporary, position, log_id, workspaces, pace);
    if written.is_err() {
        // What is left of it takes room that the log may need; the next start removes it too.
        let _ = disk.remove(&temporary);
    }
    let size = written?;
    let path = dir.join(snapshot_name(position));
    disk.rename(&temporary, &path).map_err(IoFailed::new("rename", &temporary))?;
    disk.sync_dir(dir).map_err(IoFailed::new("sync", dir))?;
    Ok(size)
}

fn write_temporary(
    room: &FreeSpace<'_>,
    path: &Path,
    position: u64,
    log_id: u64,
    workspaces: Vec<FrozenWorkspace>,
    pace: Pace,
) -> Result<u64, CheckpointError> {
    let mut writer = SnapshotWriter::create(room, path, position, log_id, workspaces.len(), pace)?;
    for (workspace, FrozenWorkspace { graph, positions }) in (0..).zip(workspaces) {
        for part in graph.into_parts() {
            writer.add(workspace, &SnapshotPart::Graph(part))?;
        }
        for marks in positions.marks().chunks(PART_ROWS_MAX) {
            writer.add(workspace, &SnapshotPart::Positions(marks.to_vec()))?;
        }
    }
    let size = writer.finish()?;
    verify(room.disk, path, pace).map_err(CheckpointError::Unreadable)?;
    Ok(size)
}

/// Reads a snapshot in one pass and compares each workspace with the state hash that it
/// promises: log that a snapshot covers is deleted on its word.
pub(crate) fn verify(disk: &dyn Disk, path: &Path, pace: Pace) -> Result<(), OpenError> {
    let mut current: Option<(u32, Verifier)> = None;
    let finish = |done: Option<(u32, Verifier)>| match done {
        Some((_, verifier)) => verifier.finish().map_err(|problem| problem.to_string()),
        None => Ok(()),
    };
    let mut began = Instant::now();
    read(disk, path, &RecoveryProgress::default(), |PlacedPart { workspace, part, .. }| {
        if current.as_ref().is_none_or(|(number, _)| *number != workspace) {
            finish(current.replace((workspace, Verifier::default())))?;
        }
        if let (Some((_, verifier)), SnapshotPart::Graph(part)) = (&mut current, part) {
            verifier.add(part).map_err(|problem| problem.to_string())?;
        }
        pace.rest(began);
        began = Instant::now();
        Ok(())
    })?;
    finish(current.take()).map_err(|problem| OpenError::corrupt(path, 0, problem))
}

/// How long a snapshot's file is.
pub(crate) fn length(disk: &dyn Disk, path: &Path) -> Result<u64, IoFailed> {
    let file = disk.open_to_read(path).map_err(IoFailed::new("open", path))?;
    file.length().map_err(IoFailed::new("read", path))
}

/// Loads the state that the snapshot of `position` of a log holds.
pub(crate) fn load_at(
    disk: &dyn Disk,
    path: &Path,
    position: u64,
    log_id: u64,
    hash_seed: u64,
    progress: &RecoveryProgress,
) -> Result<State, OpenError> {
    let (state, found) = load(disk, path, hash_seed, progress)?;
    if state.position().0 != position {
        return Err(OpenError::corrupt(path, 16, "its position is not that of its name"));
    }
    if found != log_id {
        return Err(OpenError::corrupt(path, 32, "it belongs to another log"));
    }
    Ok(state)
}

/// Loads the state that a snapshot holds, and the id of the log that it belongs to. One thread
/// reads, checks and decodes while this one builds the graphs.
fn load(
    disk: &dyn Disk,
    path: &Path,
    hash_seed: u64,
    progress: &RecoveryProgress,
) -> Result<(State, u64), OpenError> {
    let corrupt = |problem: String| OpenError::corrupt(path, 0, problem);
    let (sender, parts) = sync_channel(PARTS_AHEAD);
    let send = move |part| sender.send(part).map_err(|_| "nobody wants its parts".to_owned());
    let (loader, header) = thread::scope(|scope| {
        let reader = thread::Builder::new()
            .spawn_scoped(scope, || read(disk, path, progress, send))
            .map_err(IoFailed::new("start a thread to read", path))?;
        let loader = build(path, hash_seed, parts);
        let header = reader.join().unwrap_or_else(|panic| resume_unwind(panic));
        // What cannot be built lies before what cannot be read.
        Ok::<_, OpenError>((loader?, header?))
    })?;
    let state = loader.finish(header.position).map_err(corrupt)?;
    if state.indexes().count() != usize::try_from(header.workspaces).unwrap_or(usize::MAX) {
        return Err(corrupt("workspaces are missing".to_owned()));
    }
    Ok((state, header.log_id))
}

/// Builds graphs from parts as long as there come any.
fn build(
    path: &Path,
    hash_seed: u64,
    parts: Receiver<PlacedPart>,
) -> Result<StateLoader, OpenError> {
    let mut loader = StateLoader::new(hash_seed);
    for PlacedPart { workspace, part, offset } in parts {
        let added = loader.add(workspace, part);
        added.map_err(|problem| OpenError::corrupt(path, offset, problem))?;
    }
    Ok(loader)
}

impl SnapshotHeader {
    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&SNAPSHOT_MAGIC);
        bytes[8..12].copy_from_slice(&SNAPSHOT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.workspaces.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.position.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.log_id.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    fn parse(bytes: &[u8; HEADER_BYTES], path: &Path) -> Result<SnapshotHeader, OpenError> {
        check_header(bytes, &SNAPSHOT_MAGIC, SNAPSHOT_VERSION, path)?;
        if u64_at(bytes, 16) >= POSITION_MAX {
            return Err(OpenError::corrupt(path, 16, "the position is impossible"));
        }
        Ok(SnapshotHeader {
            workspaces: u32_at(bytes, 12),
            position: u64_at(bytes, 16),
            salt: u64_at(bytes, 24),
            log_id: u64_at(bytes, 32),
        })
    }
}

impl Footer {
    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&FOOTER_MAGIC);
        bytes[8..16].copy_from_slice(&self.position.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.sections.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.parts.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.offset.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.workspaces.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.crc.to_le_bytes());
        seal(&mut bytes);
        bytes
    }
}

struct SnapshotWriter<'a> {
    path: &'a Path,
    room: &'a FreeSpace<'a>,
    file: Box<dyn DiskFile>,
    salt: u64,
    whole: crc32fast::Hasher,
    footer: Footer,
    section: Vec<u8>,
    section_parts: u32,
    section_began: Instant,
    pace: Pace,
}

impl<'a> SnapshotWriter<'a> {
    fn create(
        room: &'a FreeSpace<'a>,
        path: &'a Path,
        position: u64,
        log_id: u64,
        workspaces: usize,
        pace: Pace,
    ) -> Result<SnapshotWriter<'a>, IoFailed> {
        let disk = room.disk;
        let workspaces = u32::try_from(workspaces).expect("workspaces have 32-bit numbers");
        let salt = disk.random().map_err(IoFailed::new("get a random number for", path))?;
        let mut writer = SnapshotWriter {
            path,
            room,
            file: disk.create(path).map_err(IoFailed::new("create", path))?,
            salt,
            whole: crc32fast::Hasher::new(),
            footer: Footer { position, workspaces, ..Footer::default() },
            section: Vec::new(),
            section_parts: 0,
            section_began: Instant::now(),
            pace,
        };
        let header = SnapshotHeader { workspaces, position, salt, log_id };
        writer.write(&header.to_bytes())?;
        writer.begin_section();
        Ok(writer)
    }

    fn add(&mut self, workspace: u32, part: &SnapshotPart) -> Result<(), CheckpointError> {
        encode_part(&mut self.section, workspace, part);
        self.section_parts += 1;
        if self.section.len() >= SECTION_BYTES_TARGET { self.end_section() } else { Ok(()) }
    }

    fn finish(mut self) -> Result<u64, CheckpointError> {
        if self.section_parts > 0 {
            self.end_section()?;
        }
        self.footer.crc = self.whole.clone().finalize();
        let footer = self.footer.to_bytes();
        self.write(&footer)?;
        self.sync()?;
        Ok(self.footer.offset)
    }

    fn begin_section(&mut self) {
        self.section.clear();
        self.section.resize(SECTION_HEADER_BYTES, 0);
        self.section_parts = 0;
        self.section_began = Instant::now();
    }

    /// Synced one by one, so that the last sync has little to do and delays no commit.
    fn end_section(&mut self) -> Result<(), CheckpointError> {
        let mut section = std::mem::take(&mut self.section);
        self.room.check(section.len() as u64)?;
        let length = u32::try_from(section.len() - SECTION_HEADER_BYTES)
            .expect("a section is closed long before 4 GiB");
        section.resize(aligned(section.len()), 0);
        section[4..8].copy_from_slice(&length.to_le_bytes());
        section[8..16].copy_from_slice(&self.salt.to_le_bytes());
        section[16..24].copy_from_slice(&self.footer.sections.to_le_bytes());
        section[24..28].copy_from_slice(&self.section_parts.to_le_bytes());
        let crc = crc32fast::hash(&section[4..]);
        section[..4].copy_from_slice(&crc.to_le_bytes());
        self.write(&section)?;
        self.sync()?;
        self.footer.sections += 1;
        self.footer.parts += u64::from(self.section_parts);
        self.section = section;
        self.pace.rest(self.section_began);
        self.begin_section();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        let written = self.file.write_at(self.footer.offset, bytes);
        written.map_err(IoFailed::new("write", self.path))?;
        self.whole.update(bytes);
        self.footer.offset += bytes.len() as u64;
        Ok(())
    }

    fn sync(&self) -> Result<(), IoFailed> {
        self.file.sync().map_err(IoFailed::new("sync", self.path))
    }
}

/// Called with each part.
type OnPart<'f> = &'f mut dyn FnMut(PlacedPart) -> Result<(), String>;

/// Reads a whole snapshot in one pass and checks all that can be checked without graphs.
fn read(
    disk: &dyn Disk,
    path: &Path,
    progress: &RecoveryProgress,
    mut on_part: impl FnMut(PlacedPart) -> Result<(), String>,
) -> Result<SnapshotHeader, OpenError> {
    let mut reader = SnapshotReader::open(disk, path, progress)?;
    let header = reader.header()?;
    while reader.footer.offset < reader.footer_offset {
        reader.section(&header, &mut on_part)?;
    }
    reader.check_footer(&header)?;
    Ok(header)
}

struct SnapshotReader<'a> {
    path: &'a Path,
    file: Box<dyn DiskFile>,
    footer_offset: u64,
    whole: crc32fast::Hasher,
    /// What was found so far: what the footer must say.
    footer: Footer,
    section: Vec<u8>,
    progress: &'a RecoveryProgress,
}

impl<'a> SnapshotReader<'a> {
    fn open(
        disk: &dyn Disk,
        path: &'a Path,
        progress: &'a RecoveryProgress,
    ) -> Result<SnapshotReader<'a>, OpenError> {
        let file = disk.open_to_read(path).map_err(IoFailed::new("open", path))?;
        let length = file.length().map_err(IoFailed::new("read", path))?;
        let footer_offset = length
            .checked_sub(HEADER_BYTES as u64)
            .filter(|offset| *offset >= HEADER_BYTES as u64)
            .ok_or_else(|| OpenError::corrupt(path, length, "the file is cut short"))?;
        let whole = crc32fast::Hasher::new();
        let footer = Footer::default();
        let section = Vec::new();
        Ok(SnapshotReader { path, file, footer_offset, whole, footer, section, progress })
    }

    fn header(&mut self) -> Result<SnapshotHeader, OpenError> {
        let mut bytes = [0; HEADER_BYTES];
        self.read(&mut bytes)?;
        let header = SnapshotHeader::parse(&bytes, self.path)?;
        self.footer.position = header.position;
        self.footer.workspaces = header.workspaces;
        Ok(header)
    }

    fn section(&mut self, header: &SnapshotHeader, on_part: OnPart<'_>) -> Result<(), OpenError> {
        let start = self.footer.offset;
        let mut head = [0; SECTION_HEADER_BYTES];
        self.read(&mut head)?;
        let left = self.footer_offset.saturating_sub(self.footer.offset);
        let length = u32_at(&head, 4);
        if u64::from(length).next_multiple_of(8) > left {
            return Err(self.corrupt(start, "a section's length is impossible"));
        }
        let length = usize::try_from(length).expect("addresses have 32 bits");
        let mut section = std::mem::take(&mut self.section);
        section.resize(aligned(length), 0);
        self.read(&mut section)?;
        self.check_section(start, header, &head, &section)?;
        self.parts(start, u32_at(&head, 24), &section[..length], on_part)?;
        self.section = section;
        Ok(())
    }

    fn check_section(
        &mut self,
        start: u64,
        header: &SnapshotHeader,
        head: &[u8; SECTION_HEADER_BYTES],
        section: &[u8],
    ) -> Result<(), OpenError> {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&head[4..]);
        crc.update(section);
        if crc.finalize() != u32_at(head, 0) || u64_at(head, 8) != header.salt {
            return Err(self.corrupt(start, "a section's checksum does not match"));
        }
        if u64_at(head, 16) != self.footer.sections {
            return Err(self.corrupt(start, "a section is out of order"));
        }
        self.footer.sections += 1;
        Ok(())
    }

    fn parts(
        &mut self,
        start: u64,
        count: u32,
        payload: &[u8],
        on_part: OnPart<'_>,
    ) -> Result<(), OpenError> {
        let mut offset = 0;
        for _ in 0..count {
            let place = |offset: usize| start + (SECTION_HEADER_BYTES + offset) as u64;
            let (workspace, part, size) = decode_part(&payload[offset..])
                .map_err(|error| self.corrupt(place(offset + error.offset), error.problem))?;
            on_part(PlacedPart { workspace, part, offset: place(offset) })
                .map_err(|problem| self.corrupt(place(offset), problem))?;
            offset += size;
        }
        if offset != payload.len() {
            return Err(self.corrupt(start, "a section holds more than its parts"));
        }
        self.footer.parts += u64::from(count);
        Ok(())
    }

    /// The footer must be, byte for byte, the one that follows from what was read.
    fn check_footer(mut self, header: &SnapshotHeader) -> Result<(), OpenError> {
        let mut expected = self.footer;
        expected.workspaces = header.workspaces;
        expected.crc = self.whole.clone().finalize();
        let mut bytes = [0; HEADER_BYTES];
        self.read(&mut bytes)?;
        if bytes == expected.to_bytes() {
            return Ok(());
        }
        Err(self.corrupt(self.footer_offset, "the footer does not match what is before it"))
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), OpenError> {
        let read = self.file.read_at(self.footer.offset, bytes);
        read.map_err(IoFailed::new("read", self.path))?;
        self.whole.update(bytes);
        self.footer.offset += bytes.len() as u64;
        self.progress.add(bytes.len() as u64);
        Ok(())
    }

    fn corrupt(&self, offset: u64, problem: impl Into<String>) -> OpenError {
        OpenError::corrupt(self.path, offset, problem)
    }
}
