//! Copies of a store's files while it goes on: its newest snapshot and the log up to a moment.
//!
//! No file is removed or begun anew while a backup is made, because it holds what a checkpoint
//! holds; commits go on, and what they write after that moment is not in it.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ipse_core::Timestamp;

use crate::copies::{Copy, Through, names};
use crate::directory::Found;
use crate::erasing;
use crate::error::{CheckpointError, OpenError};
use crate::format::{BACKUP_NAME, BACKUPS_NAME, BACKUPS_TEMPORARY_NAME, ERASURES_NAME};
use crate::inventory::{Inventory, Summary};
use crate::reading::SegmentFile;
use crate::snapshot::{self, Pace};
use crate::store::{Files, Store};

/// Length of a label.
const LABEL_BYTES_MAX: usize = 200;
/// Lines that the register of backups keeps, the newest.
const REGISTER_LINES_MAX: usize = 10_000;

/// What backup is wanted.
#[derive(Clone, Debug)]
pub struct BackupRequest<'r> {
    /// Where: an absolute path, empty or not there.
    pub directory: &'r Path,
    /// What it is to be called in the register: at most 200 bytes on one line.
    pub label: &'r str,
    /// Whether to copy all that is kept of the log and all snapshots, so that it can be restored
    /// as of earlier moments.
    pub history: bool,
    /// The time of now.
    pub now: Timestamp,
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Backup {
    /// Records 1 to this one are in it.
    pub log_position: u64,
    /// The first from which on it can be restored.
    pub first_log_position: u64,
    /// Number of its files.
    pub files: u64,
    /// Length of all of them.
    pub size_bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Why no backup was made. Nothing that looks like one is there.
#[derive(Debug)]
pub enum BackupError {
    /// The request asks for what cannot be done.
    Refused {
        /// What of it: `directory` or `label`.
        field: &'static str,
        /// Why, and what to do.
        problem: String,
    },
    /// The store could not be brought to where it can be copied.
    Checkpoint(CheckpointError),
    /// A file could not be read or written, or does not hold what it must.
    Files(OpenError),
}

impl Store {
    /// Writes a backup of the state of now and notes it in the register. Blocks; reads and
    /// commits go on meanwhile.
    pub fn backup(&self, request: &BackupRequest<'_>) -> Result<Backup, BackupError> {
        let started = Instant::now();
        check_label(request.label)?;
        check_absolute(request.directory)?;
        self.with_files(|files, snapshot| {
            check_place(&files.dir, request.directory)?;
            let disk = files.disk.as_ref();
            let copy = Copy::begin(disk, request.directory).map_err(OpenError::from)?;
            let copy =
                copy.map_err(|problem| BackupError::Refused { field: "directory", problem })?;
            let made = self.write_backup(files, snapshot, request, &copy);
            if made.is_err() {
                copy.abandon();
            }
            let mut made = made?;
            copy.finish().map_err(OpenError::from)?;
            made.seconds = started.elapsed().as_secs_f64();
            Ok(made)
        })
    }

    fn write_backup(
        &self,
        files: &Files,
        newest: u64,
        request: &BackupRequest<'_>,
        copy: &Copy<'_>,
    ) -> Result<Backup, BackupError> {
        let (position, workspaces) = self.summaries()?;
        // Every frame up to there is on disk, and its segment is listed.
        self.shared.sync_through(position).map_err(CheckpointError::from)?;
        let mut inventory = Inventory {
            log_id: files.log_id,
            log_position: position,
            time: request.now,
            label: request.label.to_owned(),
            workspaces,
            files: Vec::new(),
        };
        let first = copy_files(files, newest, position, request.history, copy, &mut inventory)?;
        let size_bytes = inventory.files.iter().map(|file| file.bytes).sum();
        copy.write_text(BACKUP_NAME, &inventory.to_text()).map_err(OpenError::from)?;
        // Before it is one: what was erased must be known to be in every backup that is there.
        self.register(files, position, request)?;
        Ok(Backup {
            log_position: position,
            first_log_position: first,
            files: inventory.files.len() as u64,
            size_bytes,
            seconds: 0.0,
        })
    }

    fn summaries(&self) -> Result<(u64, Vec<Summary>), BackupError> {
        let inner = self.shared.lock_whole().map_err(CheckpointError::from)?;
        Ok((inner.state.position().0, inner.state.summaries()))
    }

    /// Adds a line to the register in the data directory.
    fn register(
        &self,
        files: &Files,
        position: u64,
        request: &BackupRequest<'_>,
    ) -> Result<(), BackupError> {
        let line = register_line(request.now, position, request.label, request.directory);
        let mut lines = erasing::lines(files.disk.as_ref(), &files.dir.join(BACKUPS_NAME))?;
        lines.drain(..(lines.len() + 1).saturating_sub(REGISTER_LINES_MAX));
        lines.push(line);
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.free_space(files).replace(BACKUPS_TEMPORARY_NAME, BACKUPS_NAME, text.as_bytes())?;
        Ok(())
    }
}

/// What the register says of a backup.
pub(crate) fn register_line(
    time: Timestamp,
    position: u64,
    label: &str,
    directory: &Path,
) -> String {
    let directory = directory.display().to_string();
    format!("{time} position={position} label={label:?} directory={directory:?}")
}

/// Copies what a start needs, or everything; says from which log position on it can be restored.
fn copy_files(
    files: &Files,
    newest: u64,
    position: u64,
    history: bool,
    copy: &Copy<'_>,
    inventory: &mut Inventory,
) -> Result<u64, BackupError> {
    let disk = files.disk.as_ref();
    let found = Found::look(disk, &files.dir)?;
    let mut first = newest;
    for snapshot in found.snapshots.iter().copied().filter(|at| history || *at == newest) {
        let name = crate::format::snapshot_name(snapshot);
        let copied = copy.snapshot(&files.dir.join(&name), snapshot, None);
        inventory.files.push(copied.map_err(OpenError::from)?);
        // What was written well may be read badly years later: better found out today.
        snapshot::verify(disk, &copy.path(&name), Pace::Half)?;
        first = first.min(snapshot);
    }
    // Not against the manifest: the log may have gone on between the two.
    let mut segments = segment_files(&found)?;
    segments.retain(|segment| segment.header.first_position <= position + 1);
    let needed = segments.partition_point(|s| s.header.first_position <= newest + 1);
    let begin = if history { 0 } else { needed.saturating_sub(1) };
    for (index, segment) in segments.iter().enumerate().skip(begin) {
        let through = segments.get(index + 1).map_or(Through::Position(position), Through::Next);
        inventory.files.push(copy.segment(segment, through, None)?);
    }
    let there = names(disk, &files.dir).map_err(OpenError::from)?;
    for name in [ERASURES_NAME, BACKUPS_NAME] {
        if there.iter().any(|there| there == name) {
            let copied = copy.file(&files.dir.join(name), name).map_err(OpenError::from)?;
            inventory.files.push(copied);
        }
    }
    let from_nothing = segments.get(begin).is_some_and(|s| s.header.first_position == 1);
    Ok(if from_nothing { 0 } else { first })
}

/// The segments of a directory, without a look at its manifest.
fn segment_files(found: &Found<'_>) -> Result<Vec<SegmentFile>, OpenError> {
    let segment = |number: &u64| {
        let path = found.segment_path(*number);
        found.header(*number).map(|header| SegmentFile { header, path })
    };
    found.segments.iter().map(segment).collect()
}

fn check_label(label: &str) -> Result<(), BackupError> {
    let is_good = label.len() <= LABEL_BYTES_MAX && !label.chars().any(char::is_control);
    if is_good && label.trim() == label {
        return Ok(());
    }
    let problem =
        format!("a label is one line of at most {LABEL_BYTES_MAX} bytes, without spaces around it");
    Err(BackupError::Refused { field: "label", problem })
}

fn check_absolute(directory: &Path) -> Result<(), BackupError> {
    if directory.is_absolute() {
        return Ok(());
    }
    let shown = directory.display();
    refused(format!("{shown} is not an absolute path: the server has no place to begin at"))
}

fn refused(problem: String) -> Result<(), BackupError> {
    Err(BackupError::Refused { field: "directory", problem })
}

/// A backup in the data directory would be lost with it.
fn check_place(data_dir: &Path, directory: &Path) -> Result<(), BackupError> {
    let shown = directory.display();
    let plain = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let parts: Vec<PathBuf> = [data_dir, directory].map(plain).into();
    if parts[1].components().any(|part| part.as_os_str() == "..") {
        return refused(format!("{shown} goes up by `..`: name the directory by its own path"));
    }
    if parts[1].starts_with(&parts[0]) {
        return refused(format!("{shown} is in the data directory: name a directory elsewhere"));
    }
    Ok(())
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupError::Refused { field, problem } => write!(f, "{field}: {problem}"),
            BackupError::Checkpoint(error) => write!(f, "no backup was made: {error}"),
            BackupError::Files(error) => write!(f, "no backup was made: {error}"),
        }
    }
}

impl Error for BackupError {}

impl From<CheckpointError> for BackupError {
    fn from(error: CheckpointError) -> BackupError {
        BackupError::Checkpoint(error)
    }
}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> BackupError {
        BackupError::Files(error)
    }
}
