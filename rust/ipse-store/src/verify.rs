//! Judging a data directory or a backup by everything that it promises: checksums, the chain of
//! the log, the state hash of each snapshot, the state that the log leads to at each snapshot, and
//! the invariants of the graphs.
//!
//! Changes nothing. It rebuilds the state as a start does and more than once, so it takes the time
//! of several starts and the memory of two states.

use std::path::Path;

use crate::error::{IoFailed, OpenError};
use crate::format::{segment_name, snapshot_name};
use crate::fs::{Disk, RealDisk};
use crate::inventory::Summary;
use crate::reading::{LogEnd, Visit, read_log};
use crate::rebuild::{check_graphs, check_promise};
use crate::sources::{HASH_SEED, Source};
use crate::state::State;

/// What was found to be sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether it is a backup; else a data directory.
    pub is_backup: bool,
    /// Newest record.
    pub log_position: u64,
    /// The earliest position that it can be restored as of.
    pub first_log_position: u64,
    /// Records that were replayed.
    pub replayed_records: u64,
    /// Each workspace at the end.
    pub workspaces: Vec<Summary>,
    /// Each file, snapshots first, oldest first.
    pub files: Vec<VerifiedFile>,
    /// What someone should know, a sentence each.
    pub notes: Vec<String>,
}

/// A file that was found to be sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedFile {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// What it holds, in words.
    pub detail: String,
}

/// Verifies a directory on the operating system's disk, or names what is wrong, the file and the
/// byte.
pub fn verify(dir: &Path) -> Result<Verified, OpenError> {
    verify_on(&RealDisk, dir)
}

/// [`verify`] on another disk.
pub fn verify_on(disk: &dyn Disk, dir: &Path) -> Result<Verified, OpenError> {
    let source = Source::open(disk, dir)?;
    let (base, promises) = load_snapshots(disk, &source)?;
    let first = base.position().0;
    let (state, log) = replay(disk, &source, base, &promises)?;
    check_graphs(&state, dir)?;
    check_end(&source, &state)?;
    let mut notes = Vec::new();
    if let Some(torn) = &log.torn {
        notes.push(format!(
            "{} is torn at byte {}: {} bytes that were never acknowledged; the next start sets \
             them aside",
            torn.path.display(),
            torn.offset,
            torn.bytes
        ));
    }
    Ok(Verified {
        is_backup: source.inventory.is_some(),
        log_position: state.position().0,
        first_log_position: first,
        replayed_records: state.position().0 - first,
        workspaces: state.summaries(),
        files: files(disk, &source, &log)?,
        notes,
    })
}

/// What the state must be at the position of each snapshot.
type Promises = Vec<(u64, Vec<Summary>)>;

/// Loads each snapshot, and gives the oldest state that the log goes on from.
fn load_snapshots(disk: &dyn Disk, source: &Source) -> Result<(State, Promises), OpenError> {
    let mut base = source.reaches_back_to(0).then(|| State::new(HASH_SEED));
    let mut promises = Vec::new();
    for (position, path) in &source.snapshots {
        let state = source.load(disk, *position)?;
        check_graphs(&state, path)?;
        promises.push((*position, state.summaries()));
        if base.is_none() && source.reaches_back_to(*position) {
            base = Some(state);
        }
    }
    let first = source.segments[0].header.first_position;
    let base = base.ok_or_else(|| OpenError::Missing {
        what: format!("the log begins at position {first}, and no snapshot holds what was before"),
        dir: source.dir.clone(),
    })?;
    Ok((base, promises))
}

fn replay(
    disk: &dyn Disk,
    source: &Source,
    mut state: State,
    promises: &Promises,
) -> Result<(State, LogEnd), OpenError> {
    let covered = state.position().0;
    // From the first one kept: what a start does not read is history, and as sound.
    let log = read_log(disk, &source.segments, covered, &mut |position, workspace, record| {
        if let Err(problem) = state.replay(workspace, record) {
            return Visit::Impossible(problem);
        }
        match promises.iter().find(|(at, _)| *at == position) {
            Some((_, promised)) if state.summaries() != *promised => Visit::Impossible(format!(
                "the log leads to another state than {} holds",
                snapshot_name(position)
            )),
            _ => Visit::Taken,
        }
    })?;
    Ok((state, log))
}

fn check_end(source: &Source, state: &State) -> Result<(), OpenError> {
    let end = state.position().0;
    source.check_end(end)?;
    match source.promised() {
        Some((position, promised)) if position == end => {
            check_promise(state, promised, &source.dir)
        }
        Some((position, _)) => {
            let what = format!("the log ends at position {end}, and the backup's at {position}");
            Err(OpenError::Missing { what, dir: source.dir.clone() })
        }
        None => Ok(()),
    }
}

fn files(disk: &dyn Disk, source: &Source, log: &LogEnd) -> Result<Vec<VerifiedFile>, OpenError> {
    let length = |path: &Path| -> Result<u64, IoFailed> {
        let file = disk.open_to_read(path).map_err(IoFailed::new("open", path))?;
        file.length().map_err(IoFailed::new("read", path))
    };
    let mut files = Vec::new();
    for (position, path) in &source.snapshots {
        let detail = format!("snapshot of log position {position}");
        files.push(VerifiedFile { name: snapshot_name(*position), bytes: length(path)?, detail });
    }
    for (segment, records) in source.segments.iter().zip(&log.records) {
        let first = segment.header.first_position;
        let detail = match records {
            0 => format!("no records yet, the next is {first}"),
            records => format!("log positions {first} to {}", first + records - 1),
        };
        let name = segment_name(segment.header.number);
        files.push(VerifiedFile { name, bytes: length(&segment.path)?, detail });
    }
    Ok(files)
}
