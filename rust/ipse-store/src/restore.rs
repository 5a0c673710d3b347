//! Making a data directory from a backup or another data directory, as of its end or of a moment
//! before.
//!
//! The state is rebuilt and checked before anything is written, and what is written is a data
//! directory of the same records: it is not a copy of the state but of the log. Its log gets an id
//! of its own unless it ends where the whole log ends, because two logs that went different ways
//! must not be taken for one.

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};

use ipse_core::Timestamp;

use crate::copies::{Copy, GoesOn, Through, names};
use crate::erasing;
use crate::error::{IoFailed, OpenError};
use crate::format::{BACKUPS_NAME, ERASURES_NAME, snapshot_name};
use crate::fs::{Disk, RealDisk};
use crate::inventory::Summary;
use crate::rebuild::{Rebuilt, rebuild};
use crate::segment::Manifest;
use crate::sources::Source;

/// What is to be restored.
#[derive(Clone, Debug)]
pub struct RestoreRequest<'r> {
    /// A backup or a data directory that no server uses.
    pub from: &'r Path,
    /// A newer data directory or backup of the same log, to go on with.
    pub log: Option<&'r Path>,
    /// Up to where; `None`: to the end.
    pub until: Option<Until>,
    /// Where: a directory that is empty or not there.
    pub to: &'r Path,
}

/// A moment of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// After the record with this log position.
    Position(u64),
    /// After a record of a workspace; what came later, in any workspace, is left out.
    Sequence {
        /// The workspace's name.
        workspace: String,
        /// The record's sequence number.
        sequence: u64,
    },
    /// Before the first record that is later.
    Time(Timestamp),
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Records 1 to this one are there.
    pub log_position: u64,
    /// Snapshot that it began with; 0: none.
    pub snapshot_log_position: u64,
    /// Records after it.
    pub replayed_records: u64,
    /// Each workspace.
    pub workspaces: Vec<Summary>,
    /// Whether its log is another one from here on.
    pub new_log: bool,
    /// What someone should know, a sentence each.
    pub notes: Vec<String>,
}

/// Why nothing was restored. The target is as it was.
#[derive(Debug)]
pub enum RestoreError {
    /// The request asks for what cannot be done.
    Refused {
        /// Why, and what to do.
        problem: String,
    },
    /// A file could not be read or written, or does not hold what it must.
    Files(OpenError),
}

/// Restores on the operating system's disk.
pub fn restore(request: &RestoreRequest<'_>) -> Result<Restored, RestoreError> {
    restore_on(&RealDisk, request)
}

/// [`restore`] on another disk.
pub fn restore_on(disk: &dyn Disk, request: &RestoreRequest<'_>) -> Result<Restored, RestoreError> {
    if !names(disk, request.to)?.is_empty() {
        let shown = request.to.display();
        return refused(format!("{shown} is not empty: name an empty or a new directory"));
    }
    let mut source = Source::open(disk, request.from)?;
    if let Some(log) = request.log {
        let newer = Source::open(disk, log)?;
        source.go_on(newer).map_err(|problem| RestoreError::Refused { problem })?;
    }
    let mut rebuilt = rebuild(disk, &source, request.until.as_ref())?;
    rebuilt.check(&source)?;
    let registers = [request.log, Some(request.from)];
    rebuilt.tell_of_later_erasures(disk, &registers)?;
    write(disk, &source, &rebuilt, request.to, &registers)?;
    Ok(rebuilt.told())
}

impl Rebuilt {
    /// Whoever was erased later is there again: that must not go unsaid.
    fn tell_of_later_erasures(
        &mut self,
        disk: &dyn Disk,
        registers: &[Option<&Path>],
    ) -> Result<(), OpenError> {
        let mut later = BTreeSet::new();
        for dir in registers.iter().flatten() {
            let noted = erasing::lines(disk, &dir.join(ERASURES_NAME))?;
            later.extend(noted.iter().filter_map(|line| noted_erasure(line)));
        }
        later.retain(|(workspace, erasure)| {
            let found = self.state.workspace(workspace);
            found.is_some_and(|found| self.state.graph(found).sequence().0 < *erasure)
        });
        if !later.is_empty() {
            let named: Vec<String> =
                later.iter().map(|(name, erasure)| format!("{name}/{erasure}")).collect();
            self.notes.push(format!(
                "erased after this moment, and perhaps here again: {}; erase them again before \
                 this directory serves",
                named.join(", ")
            ));
        }
        Ok(())
    }

    fn told(self) -> Restored {
        let mut notes = self.notes;
        if !self.is_whole {
            notes.push(
                "its log is a new one from here on: backups of the log before cannot be continued \
                 with it, so make one soon"
                    .to_owned(),
            );
        }
        Restored {
            log_position: self.state.position().0,
            snapshot_log_position: self.snapshot,
            replayed_records: self.replayed,
            workspaces: self.state.summaries(),
            new_log: !self.is_whole,
            notes,
        }
    }
}

fn write(
    disk: &dyn Disk,
    source: &Source,
    rebuilt: &Rebuilt,
    to: &Path,
    registers: &[Option<&Path>],
) -> Result<(), RestoreError> {
    let copy = Copy::begin(disk, to)?.map_err(|problem| RestoreError::Refused { problem })?;
    let written = write_files(disk, source, rebuilt, &copy, registers);
    if written.is_err() {
        copy.abandon();
    }
    written?;
    Ok(copy.finish()?)
}

fn write_files(
    disk: &dyn Disk,
    source: &Source,
    rebuilt: &Rebuilt,
    copy: &Copy<'_>,
    registers: &[Option<&Path>],
) -> Result<(), OpenError> {
    let last = rebuilt.state.position().0;
    let log_id = match rebuilt.is_whole {
        true => source.log_id,
        false => disk.random().map_err(IoFailed::new("get a random number for", &source.dir))?,
    };
    let other = Some(GoesOn { log_id });
    if rebuilt.snapshot > 0 {
        let path = source.snapshot_path(rebuilt.snapshot);
        copy.snapshot(&path, rebuilt.snapshot, other)?;
        crate::snapshot::verify(disk, &copy.path(&snapshot_name(rebuilt.snapshot)))?;
    }
    let kept = source.segments.partition_point(|s| s.header.first_position <= last + 1);
    let segments = &source.segments[..kept];
    for (index, segment) in segments.iter().enumerate() {
        let through = segments.get(index + 1).map_or(Through::Position(last), Through::Next);
        copy.segment(segment, through, other)?;
    }
    let newest_segment = segments[segments.len() - 1].header.number;
    copy.manifest(Manifest { log_id, newest_segment })?;
    for name in [ERASURES_NAME, BACKUPS_NAME] {
        if let Some(path) = newest_register(disk, registers, name)? {
            copy.file(&path, name)?;
        }
    }
    Ok(())
}

/// Workspace and number of an erasure, from its line in the register.
fn noted_erasure(line: &str) -> Option<(String, u64)> {
    let after = |key: &str| line.split_once(key).map(|(_, rest)| rest);
    let (workspace, _) = after("\"workspace\":\"")?.split_once('"')?;
    let digits = after("\"erasure\":")?.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((workspace.to_owned(), digits.parse().ok()?))
}

/// The register of the newer directory, if it has one.
fn newest_register(
    disk: &dyn Disk,
    dirs: &[Option<&Path>],
    name: &str,
) -> Result<Option<PathBuf>, IoFailed> {
    for dir in dirs.iter().flatten() {
        if names(disk, dir)?.iter().any(|there| there == name) {
            return Ok(Some(dir.join(name)));
        }
    }
    Ok(None)
}

pub(crate) fn refused<T>(problem: String) -> Result<T, RestoreError> {
    Err(RestoreError::Refused { problem })
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Refused { problem } => f.write_str(problem),
            RestoreError::Files(error) => write!(f, "nothing was restored: {error}"),
        }
    }
}

impl Error for RestoreError {}

impl From<OpenError> for RestoreError {
    fn from(error: OpenError) -> RestoreError {
        RestoreError::Files(error)
    }
}

impl From<IoFailed> for RestoreError {
    fn from(failed: IoFailed) -> RestoreError {
        RestoreError::Files(OpenError::Io(failed))
    }
}
