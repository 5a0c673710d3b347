//! The state as of a moment: from the newest snapshot before it and the log after that, or from the
//! beginning of the log.
//!
//! Changes nothing, and trusts nothing: each record is validated as at a start, and what was written
//! down of the state is compared with it.

use std::path::Path;

use ipse_core::Change;

use crate::erasures::Noted;
use crate::error::OpenError;
use crate::fs::Disk;
use crate::inventory::Summary;
use crate::reading::{LogEnd, Visit, read_log};
use crate::restore::{RestoreError, Until, refused};
use crate::sources::{HASH_SEED, Source};
use crate::state::{State, WorkspaceIndex};

/// A state, and where it came from.
pub(crate) struct Rebuilt {
    pub(crate) state: State,
    pub(crate) snapshot: u64,
    pub(crate) replayed: u64,
    /// Whether the whole log is in it, and the log is a data directory's.
    pub(crate) is_whole: bool,
    /// The erasures that were replayed, with hashes of what the files still had.
    pub(crate) erased: Vec<Noted>,
    pub(crate) notes: Vec<String>,
}

/// How a snapshot lies to the moment that is wanted.
enum Fit {
    Before,
    /// Its workspace is as wanted, and others may be further on.
    At,
    After,
}

pub(crate) fn rebuild(
    disk: &dyn Disk,
    source: &Source,
    until: Option<&Until>,
) -> Result<Rebuilt, RestoreError> {
    let (mut notes, mut erased) = (Vec::new(), Vec::new());
    let base = choose_base(disk, source, until, &mut notes)?;
    let (mut state, ends_here) = match base {
        Base::Nothing => (State::new(HASH_SEED), false),
        Base::Snapshot { state, ends_here } => (state, ends_here),
    };
    let snapshot = state.position().0;
    let end = match ends_here {
        true => None,
        false => Some(replay(disk, source, &mut state, &mut erased, until)?),
    };
    if let Some(torn) = end.as_ref().and_then(|end| end.torn.as_ref()) {
        notes.push(format!(
            "{} is torn at byte {}: {} bytes that were never acknowledged are left out",
            torn.path.display(),
            torn.offset,
            torn.bytes
        ));
    }
    let stopped = end.is_none_or(|end| end.stopped);
    let replayed = state.position().0 - snapshot;
    let is_whole = !stopped && source.inventory.is_none();
    let rebuilt = Rebuilt { state, snapshot, replayed, is_whole, erased, notes };
    if !stopped {
        rebuilt.check_reached(source, until)?;
    }
    Ok(rebuilt)
}

enum Base {
    Nothing,
    Snapshot { state: State, ends_here: bool },
}

/// The newest snapshot before the moment, or the beginning of the log.
fn choose_base(
    disk: &dyn Disk,
    source: &Source,
    until: Option<&Until>,
    notes: &mut Vec<String>,
) -> Result<Base, RestoreError> {
    let (mut at, mut oldest, mut broken) = (None, None, None);
    for (position, path) in source.snapshots.iter().rev() {
        if !source.reaches_back_to(*position)
            || matches!(until, Some(Until::Position(last)) if last < position)
        {
            oldest = Some(*position);
            continue;
        }
        let state = match source.load(disk, *position) {
            Ok(state) => state,
            Err(error @ OpenError::Corrupt { .. }) => {
                notes.push(format!("{} was not used: {error}", path.display()));
                broken.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        oldest = Some(*position);
        match fit(&state, until) {
            Fit::Before => return Ok(Base::Snapshot { state, ends_here: false }),
            Fit::At => at = Some(*position),
            Fit::After => {}
        }
    }
    if source.reaches_back_to(0) {
        return Ok(Base::Nothing);
    }
    if let Some(position) = at {
        notes.push(format!(
            "other workspaces are as of log position {position}: the log does not reach further \
             back"
        ));
        let state = source.load(disk, position)?;
        return Ok(Base::Snapshot { state, ends_here: true });
    }
    if let Some(error) = broken {
        return Err(error.into());
    }
    refused(match oldest {
        Some(oldest) => format!(
            "{} goes back to log position {oldest} only, and what is asked for is before it: use \
             an older backup, with `--log` to go on from it",
            source.dir.display()
        ),
        None => format!("{} holds no snapshot, and not the whole log", source.dir.display()),
    })
}

fn fit(state: &State, until: Option<&Until>) -> Fit {
    match until {
        None | Some(Until::Position(_)) => Fit::Before,
        Some(Until::Sequence { workspace, sequence }) => {
            let found = state.workspace(workspace);
            let newest = found.map_or(0, |workspace| state.graph(workspace).sequence().0);
            match newest.cmp(sequence) {
                std::cmp::Ordering::Less => Fit::Before,
                std::cmp::Ordering::Equal => Fit::At,
                std::cmp::Ordering::Greater => Fit::After,
            }
        }
        Some(Until::Time(time)) => {
            let later = |index| state.graph(index).log_time() > *time;
            if state.indexes().any(later) { Fit::After } else { Fit::Before }
        }
    }
}

/// Applies the log after the state's position, up to the moment.
fn replay(
    disk: &dyn Disk,
    source: &Source,
    state: &mut State,
    erased: &mut Vec<Noted>,
    until: Option<&Until>,
) -> Result<LogEnd, OpenError> {
    let covered = state.position().0;
    let mut reached = false;
    read_log(disk, source.segments_after(covered), covered, &mut |position, workspace, record| {
        let passed = match until {
            Some(Until::Position(last)) => position > *last,
            Some(Until::Time(time)) => record.log_time > *time,
            Some(Until::Sequence { .. }) => reached,
            None => false,
        };
        if passed {
            return Visit::Stop;
        }
        if let Err(problem) = state.replay(workspace, record) {
            return Visit::Impossible(problem);
        }
        if matches!(record.change, Change::Erased(_) | Change::WorkspaceDeleted(_)) {
            let workspace = WorkspaceIndex(workspace);
            let hashed = state.graph(workspace).pending_records().last();
            let noted = hashed.and_then(|record| Noted::of(source.log_id, workspace, &record));
            erased.extend(noted);
        }
        if let Some(Until::Sequence { workspace, sequence }) = until {
            let found = state.workspace(workspace);
            reached = found.is_some_and(|found| state.graph(found).sequence().0 == *sequence);
        }
        Visit::Taken
    })
}

impl Rebuilt {
    /// Reading ended with the log: was the moment there?
    fn check_reached(&self, source: &Source, until: Option<&Until>) -> Result<(), RestoreError> {
        let end = self.state.position().0;
        source.check_end(end)?;
        match until {
            Some(Until::Position(last)) if *last > end => {
                refused(format!("there is no log position {last}: the log ends at {end}"))
            }
            Some(Until::Sequence { workspace, sequence }) => {
                let Some(found) = self.state.workspace(workspace) else {
                    return refused(format!("there is no workspace `{workspace}`"));
                };
                let newest = self.state.graph(found).sequence().0;
                if newest == *sequence {
                    return Ok(());
                }
                refused(format!(
                    "there is no record {sequence} of workspace `{workspace}`: its newest is \
                     {newest}"
                ))
            }
            _ => Ok(()),
        }
    }

    /// That the graphs hold together, and are what a backup promises.
    pub(crate) fn check(&self, source: &Source) -> Result<(), RestoreError> {
        check_graphs(&self.state, &source.dir)?;
        match source.promised() {
            Some((position, promised)) if position == self.state.position().0 => {
                check_promise(&self.state, promised, &source.dir)?;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Recomputes what the graphs of a state keep up to date.
pub(crate) fn check_graphs(state: &State, dir: &Path) -> Result<(), OpenError> {
    for index in state.indexes() {
        let graph = state.graph(index);
        graph.check().map_err(|problem| {
            let name = graph.name();
            OpenError::corrupt(
                dir,
                0,
                format!("workspace `{name}` does not hold together: {problem}"),
            )
        })?;
    }
    Ok(())
}

/// That a state is what was written down of it.
pub(crate) fn check_promise(
    state: &State,
    promised: &[Summary],
    place: &Path,
) -> Result<(), OpenError> {
    let found = state.summaries();
    if found == promised {
        return Ok(());
    }
    let problem = format!(
        "the log leads to another state at position {} than is written there: {found:?}, not \
         {promised:?}",
        state.position().0
    );
    Err(OpenError::corrupt(place, 0, problem))
}
