//! Making a data directory from a backup or another data directory, as of its end or of a moment
//! before.
//!
//! The state is rebuilt and checked before anything is written, and what is written is a data
//! directory of the same records: it is not a copy of the state but of the log. Its log gets an id
//! of its own unless it ends where the whole log ends, because two logs that went different ways
//! must not be taken for one.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use ipse_core::Timestamp;

use crate::again::Again;
use crate::backup::register_line;
use crate::copies::{Copy, GoesOn, Through, names};
use crate::erasing;
use crate::erasures::Register;
use crate::error::{IoFailed, OpenError};
use crate::format::{BACKUPS_NAME, ERASURES_NAME, snapshot_name};
use crate::fs::{Disk, RealDisk};
use crate::inventory::{Inventory, Summary};
use crate::rebuild::{Rebuilt, rebuild};
use crate::segment::Manifest;
use crate::snapshot::{self, Pace};
use crate::sources::Source;

/// What is to be restored.
#[derive(Clone, Debug)]
pub struct RestoreRequest<'r> {
    /// A backup or a data directory that no server uses.
    pub from: &'r Path,
    /// A newer data directory or backup of the same log, to go on with.
    pub log: Option<&'r Path>,
    /// A directory whose register tells what was erased later, if its log cannot be gone on with.
    pub erasures: Option<&'r Path>,
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
    /// Records 1 to this one are there, and after them what was erased again.
    pub log_position: u64,
    /// Snapshot that it began with; 0: none.
    pub snapshot_log_position: u64,
    /// Records after it.
    pub replayed_records: u64,
    /// Each workspace.
    pub workspaces: Vec<Summary>,
    /// Whether its log is another one from here on.
    pub new_log: bool,
    /// Erasures from after the moment that were carried out once more.
    pub erased_again: u64,
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
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    restore_on(&disk, request)
}

/// [`restore`] on another disk.
pub fn restore_on(
    disk: &Arc<dyn Disk>,
    request: &RestoreRequest<'_>,
) -> Result<Restored, RestoreError> {
    let files = disk.as_ref();
    if !names(files, request.to)?.is_empty() {
        let shown = request.to.display();
        return refused(format!("{shown} is not empty: name an empty or a new directory"));
    }
    let mut source = Source::open(files, request.from)?;
    let backup = source.inventory.clone();
    if let Some(log) = request.log {
        let newer = Source::open(files, log)?;
        source.go_on(newer).map_err(|problem| RestoreError::Refused { problem })?;
    }
    let mut rebuilt = rebuild(files, &source, request.until.as_ref())?;
    rebuilt.check(&source)?;
    let registers = Registers::read(files, request, backup.as_ref())?;
    let is_joined = request.log.or(request.erasures).is_some();
    let again = Again::find(files, &source, &rebuilt, &registers.erasures, is_joined);
    rebuilt.is_whole &= again.later.is_empty();
    if backup.is_some() && !is_joined {
        rebuilt.notes.push(LATER_ERASURES_UNKNOWN.to_owned());
    }
    write(disk, &source, rebuilt, request.to, &registers, again)
}

const LATER_ERASURES_UNKNOWN: &str = "whom was erased after this backup was made is not known \
    from it, and is here again: name the newer data directory with `--log`, or with `--erasures` \
    if its log does not go back to this backup";

/// What both directories have written down besides the log.
struct Registers {
    erasures: Register,
    backups: Vec<String>,
}

impl Registers {
    fn read(
        disk: &dyn Disk,
        request: &RestoreRequest<'_>,
        backup: Option<&Inventory>,
    ) -> Result<Registers, OpenError> {
        let mut registers = Registers { erasures: Register::default(), backups: Vec::new() };
        let dirs = [Some(request.from), request.log, request.erasures];
        for dir in dirs.into_iter().flatten() {
            registers.erasures.add(Register::read(disk, dir)?.noted().iter().cloned());
            registers.add_backups(erasing::lines(disk, &dir.join(BACKUPS_NAME))?);
        }
        // It holds what is erased from now on, and does not know of itself.
        let itself =
            backup.map(|of| register_line(of.time, of.log_position, &of.label, request.from));
        registers.add_backups(itself);
        Ok(registers)
    }

    /// Adds the backups that are not there, which may have been moved since.
    fn add_backups(&mut self, lines: impl IntoIterator<Item = String>) {
        fn what(line: &str) -> &str {
            line.rsplit_once(" directory=").map_or(line, |(what, _)| what)
        }
        for line in lines {
            if self.backups.iter().all(|known| what(known) != what(&line)) {
                self.backups.push(line);
            }
        }
    }
}

fn write(
    disk: &Arc<dyn Disk>,
    source: &Source,
    rebuilt: Rebuilt,
    to: &Path,
    registers: &Registers,
    mut again: Again,
) -> Result<Restored, RestoreError> {
    let copy = Copy::begin(disk.as_ref(), to)?;
    let copy = copy.map_err(|problem| RestoreError::Refused { problem })?;
    let written = write_files(disk.as_ref(), source, &rebuilt, &copy, registers);
    let mut restored = rebuilt.told();
    let written = written.map_err(RestoreError::Files).and_then(|()| {
        if again.is_needed() {
            restored.workspaces = again.carry_out(disk, copy.place())?;
        }
        Ok(())
    });
    if written.is_err() {
        copy.abandon();
    }
    written?;
    copy.finish()?;
    restored.erased_again = again.later.len() as u64;
    restored.notes.extend(again.notes);
    Ok(restored)
}

fn write_files(
    disk: &dyn Disk,
    source: &Source,
    rebuilt: &Rebuilt,
    copy: &Copy<'_>,
    registers: &Registers,
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
        snapshot::verify(disk, &copy.path(&snapshot_name(rebuilt.snapshot)), Pace::Full)?;
    }
    let kept = source.segments.partition_point(|s| s.header.first_position <= last + 1);
    let segments = &source.segments[..kept];
    for (index, segment) in segments.iter().enumerate() {
        let through = segments.get(index + 1).map_or(Through::Position(last), Through::Next);
        copy.segment(segment, through, other)?;
    }
    let newest_segment = segments[segments.len() - 1].header.number;
    copy.manifest(Manifest { log_id, newest_segment })?;
    let backups: String = registers.backups.iter().map(|line| format!("{line}\n")).collect();
    for (name, text) in [(ERASURES_NAME, registers.erasures.text()), (BACKUPS_NAME, backups)] {
        if !text.is_empty() {
            copy.write_text(name, &text)?;
        }
    }
    Ok(())
}

impl Rebuilt {
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
            erased_again: 0,
            notes,
        }
    }
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
