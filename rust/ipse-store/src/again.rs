//! Erasing once more, in what is restored, whoever was erased after the moment that it is of.
//!
//! The later erasures are carried out by a store, as any erasure is, on the restored directory
//! before it has its name: they become records of its log, its files follow, and receipts and
//! suppressions are there again. Where files are older than erasures that the state has completed
//! (a backup that goes on with a newer log), they follow those, too.

use std::path::Path;
use std::sync::Arc;

use ipse_core::limits::ERASURES_PENDING_MAX;
use ipse_core::{Change, Graph};

use crate::erasures::{Noted, Register};
use crate::error::{CheckpointError, CloseError, OpenError};
use crate::fs::Disk;
use crate::inventory::Summary;
use crate::options::{Options, SyncPolicy};
use crate::progress::RecoveryProgress;
use crate::reading::{Visit, read_log};
use crate::rebuild::Rebuilt;
use crate::restore::RestoreError;
use crate::sources::{HASH_SEED, Source};
use crate::state::WorkspaceIndex;
use crate::store::Store;

/// The log's segments here: the next start makes larger ones, and says what is kept of them.
const SEGMENT_BYTES: u64 = 1 << 20;

/// What is to be erased once more.
pub(crate) struct Again {
    /// In the order of their records.
    pub(crate) later: Vec<Noted>,
    completed: Vec<Noted>,
    is_pending: bool,
    pub(crate) notes: Vec<String>,
}

impl Again {
    /// What the log after the moment and the registers tell. `has_older_files`: not all files are
    /// of the directory that the newest erasures were completed in.
    pub(crate) fn find(
        disk: &dyn Disk,
        source: &Source,
        rebuilt: &Rebuilt,
        register: &Register,
        has_older_files: bool,
    ) -> Again {
        let mut notes = Vec::new();
        let (of_this_log, of_others): (Vec<Noted>, Vec<Noted>) =
            register.noted().iter().cloned().partition(|noted| noted.log_id == source.log_id);
        notes.extend(unknown_here(rebuilt, &of_others));
        let mut known = Register::default();
        known.add(of_this_log);
        known.add(rebuilt.erased.iter().cloned());
        match erased_after(disk, source, rebuilt) {
            Ok(found) => known.add(found),
            Err(error) => notes.push(format!(
                "what was erased after this moment is known from the registers alone, because the \
                 log after it cannot be read: {error}"
            )),
        }
        let mut known = known.noted().to_vec();
        known.sort_by_key(|noted| (noted.workspace.0, noted.sequence()));
        known.retain(|noted| rebuilt.newest_of(noted.workspace).is_some());
        let (later, mut completed): (Vec<Noted>, Vec<Noted>) = known
            .into_iter()
            .partition(|noted| rebuilt.newest_of(noted.workspace) < Some(noted.sequence()));
        if !has_older_files {
            completed.clear();
        }
        let mut graphs = rebuilt.state.indexes().map(|index| rebuilt.state.graph(index));
        let is_pending = graphs.any(|graph| !graph.pending_erasures().is_empty());
        Again { later, completed, is_pending: is_pending && !rebuilt.is_whole, notes }
    }

    /// Whether there is anything to do.
    pub(crate) fn is_needed(&self) -> bool {
        self.is_pending || !self.later.is_empty() || !self.completed.is_empty()
    }

    /// Erases in a directory that is whole but for its name; what the workspaces are then.
    pub(crate) fn carry_out(
        &mut self,
        disk: &Arc<dyn Disk>,
        dir: &Path,
    ) -> Result<Vec<Summary>, RestoreError> {
        let options = Options {
            sync: SyncPolicy::Off,
            segment_size_bytes: SEGMENT_BYTES,
            history_retention_days: u32::MAX,
            history_retention_bytes: u64::MAX,
            ..Options::default()
        };
        let (store, _) = Store::open_unfinished(
            disk.clone(),
            dir,
            options,
            HASH_SEED,
            &RecoveryProgress::default(),
        )?;
        let mut again = Vec::new();
        let mut left = &self.later[..];
        loop {
            let (now, rest) = left.split_at(left.len().min(ERASURES_PENDING_MAX));
            for noted in now {
                again.push(erase(&store, noted)?);
            }
            store.checkpoint_older(&self.completed)?;
            left = rest;
            if left.is_empty() {
                break;
            }
        }
        let inner = store.shared.lock_whole().map_err(CheckpointError::from)?;
        let summaries = inner.state.summaries();
        drop(inner);
        store.close(false)?;
        if !again.is_empty() {
            self.notes.push(format!(
                "erased again, because it was erased after this moment: {}",
                again.join(", ")
            ));
        }
        Ok(summaries)
    }
}

impl Rebuilt {
    /// The newest record of a workspace, if there is one with that number.
    fn newest_of(&self, workspace: WorkspaceIndex) -> Option<u64> {
        let mut indexes = self.state.indexes();
        let found = indexes.find(|index| *index == workspace)?;
        Some(self.state.graph(found).sequence().0)
    }
}

/// Commits an erasure once more; says which it was and which it is now.
fn erase(store: &Store, noted: &Noted) -> Result<String, RestoreError> {
    let mut locked = store.lock();
    let graph = locked.graph(noted.workspace);
    let name = named(graph);
    let change = match &noted.record.change {
        Change::Erased(erased) => graph.erased_again(erased).into(),
        Change::WorkspaceDeleted(deleted) => graph.deleted_again(deleted).into(),
        other => unreachable!("no erasure is noted as {other:?}"),
    };
    let Some(change) = locked.with_space(noted.workspace, change) else {
        return Err(CheckpointError::StorageFull.into());
    };
    let committed = locked.commit(noted.workspace, noted.record.log_time, change);
    let erasure = noted.sequence();
    let (record, _) = committed.map_err(|unreadable| RestoreError::Refused {
        problem: format!("erasure {erasure} of {name} cannot be repeated here: {unreadable}"),
    })?;
    Ok(format!("{erasure} of {name} as record {}", record.sequence))
}

/// The workspace, for a person.
fn named(graph: &Graph) -> String {
    match graph.name() {
        "" => "a workspace that was deleted".to_owned(),
        name => format!("workspace `{name}`"),
    }
}

/// The erasures in the log after the moment.
fn erased_after(
    disk: &dyn Disk,
    source: &Source,
    rebuilt: &Rebuilt,
) -> Result<Vec<Noted>, OpenError> {
    let covered = rebuilt.state.position().0;
    let mut found = Vec::new();
    read_log(disk, source.segments_after(covered), covered, &mut |_, workspace, record| {
        let workspace = WorkspaceIndex(workspace);
        found.extend(Noted::of(source.log_id, workspace, record));
        Visit::Taken
    })?;
    Ok(found)
}

/// Of logs that went on by themselves the numbers mean other people.
fn unknown_here(rebuilt: &Rebuilt, of_others: &[Noted]) -> Option<String> {
    let is_later = |noted: &&Noted| {
        let known = rebuilt.newest_of(noted.workspace).is_some();
        known && rebuilt.state.graph(noted.workspace).log_time() < noted.record.log_time
    };
    let told = |noted: &Noted| {
        let workspace = named(rebuilt.state.graph(noted.workspace));
        format!("{} of {workspace} in log {:016x}", noted.sequence(), noted.log_id)
    };
    let named: Vec<String> = of_others.iter().filter(is_later).map(told).collect();
    (!named.is_empty()).then(|| {
        format!(
            "erased later in a log that went another way, and perhaps here again: {}; erase them \
             again before this directory serves",
            named.join(", ")
        )
    })
}

impl From<CheckpointError> for RestoreError {
    fn from(error: CheckpointError) -> RestoreError {
        match error {
            CheckpointError::Io(failed) => OpenError::Io(failed).into(),
            CheckpointError::Unreadable(error) => error.into(),
            CheckpointError::Log(_)
            | CheckpointError::InMemory
            | CheckpointError::Closed
            | CheckpointError::StorageFull => {
                RestoreError::Refused { problem: format!("nothing was restored: {error}") }
            }
        }
    }
}

impl From<CloseError> for RestoreError {
    fn from(error: CloseError) -> RestoreError {
        match error {
            CloseError::Log(failed) => CheckpointError::Log(failed).into(),
            CloseError::Checkpoint(error) => error.into(),
        }
    }
}
