//! Where a state can be rebuilt from: a backup or a data directory, alone or with the log of a
//! newer one of the same log.
//!
//! Changes nothing. A data directory is locked, so that no server changes it meanwhile.

use std::io;
use std::path::{Path, PathBuf};

use crate::copies::names;
use crate::directory::Found;
use crate::error::{IoFailed, OpenError};
use crate::format::{
    BACKUP_NAME, LOCK_NAME, MANIFEST_NAME, UNFINISHED_NAME, segment_name, segment_number,
    snapshot_name,
};
use crate::fs::Disk;
use crate::inventory::{Inventory, Summary};
use crate::progress::RecoveryProgress;
use crate::reading::SegmentFile;
use crate::segment::SegmentHeader;
use crate::snapshot;
use crate::state::State;

/// Files of one log.
pub(crate) struct Source {
    pub(crate) dir: PathBuf,
    /// `None`: a data directory.
    pub(crate) inventory: Option<Inventory>,
    /// By log position, oldest first.
    pub(crate) snapshots: Vec<(u64, PathBuf)>,
    /// Without gaps, oldest first; at least one.
    pub(crate) segments: Vec<SegmentFile>,
    pub(crate) log_id: u64,
    _locks: Vec<Box<dyn Send + Sync>>,
}

/// Refuses a directory that no server may write to.
pub(crate) fn check_served(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    let names = disk.list(dir).map_err(IoFailed::new("list", dir))?;
    let has = |name: &str| names.iter().any(|there| there == name);
    let problem = if has(UNFINISHED_NAME) {
        UNFINISHED
    } else if has(BACKUP_NAME) {
        "is a backup, which a server would change: restore it into another directory with `ipse \
         restore`, and start from that"
    } else {
        return Ok(());
    };
    Err(OpenError::NotToBeServed { dir: dir.to_owned(), problem })
}

const UNFINISHED: &str = "is a backup or a restored directory that was never finished: delete it";

impl Source {
    /// A backup, every file of it compared with its inventory, or a data directory.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> Result<Source, OpenError> {
        let there = names(disk, dir)?;
        let has = |name: &str| there.iter().any(|there| there == name);
        if has(UNFINISHED_NAME) {
            return Err(OpenError::NotToBeServed { dir: dir.to_owned(), problem: UNFINISHED });
        }
        let is_backup = has(BACKUP_NAME);
        if !is_backup && !has(MANIFEST_NAME) && !there.iter().any(|n| segment_number(n).is_some()) {
            let what = "there is neither a backup nor a data directory".to_owned();
            return Err(OpenError::Missing { what, dir: dir.to_owned() });
        }
        let (inventory, lock) = match is_backup {
            true => (Some(Inventory::checked(disk, dir)?), None),
            false => (None, lock(disk, dir)?),
        };
        let mut found = Found::look(disk, dir)?;
        if let Some(inventory) = &inventory {
            // What was put there later is no part of it.
            found.segments.retain(|number| inventory.names(&segment_name(*number)));
            found.snapshots.retain(|at| inventory.names(&snapshot_name(*at)));
        }
        found.is_new()?;
        let headers = if is_backup { found.row()? } else { found.headers()? };
        let Some(log_id) = headers.first().map(|header| header.log_id) else {
            return Err(found.missing("there are no log segments"));
        };
        let snapshot = |at: &u64| (*at, dir.join(snapshot_name(*at)));
        let segment =
            |header: SegmentHeader| SegmentFile { header, path: found.segment_path(header.number) };
        Ok(Source {
            dir: dir.to_owned(),
            inventory,
            snapshots: found.snapshots.iter().map(snapshot).collect(),
            segments: headers.into_iter().map(segment).collect(),
            log_id,
            _locks: lock.into_iter().collect(),
        })
    }

    /// Goes on with the log of a newer directory of the same log; says what is wrong if that
    /// cannot be.
    pub(crate) fn go_on(&mut self, newer: Source) -> Result<(), String> {
        if newer.log_id != self.log_id {
            return Err(format!(
                "{} holds another log than {}: its id is {:016x}, not {:016x}; one was restored \
                 and went on by itself",
                newer.dir.display(),
                self.dir.display(),
                newer.log_id,
                self.log_id
            ));
        }
        let first = newer.segments[0].header;
        let last = self.segments[self.segments.len() - 1].header;
        if first.number > last.number + 1 {
            return Err(format!(
                "there is a gap: {} ends with {}, and the log in {} begins with {} at log position \
                 {}; a newer backup is needed",
                self.dir.display(),
                segment_name(last.number),
                newer.dir.display(),
                segment_name(first.number),
                first.first_position
            ));
        }
        for both in &newer.segments {
            let ours = self.segments.iter().find(|own| own.header.number == both.header.number);
            if ours.is_some_and(|own| own.header.salt != both.header.salt) {
                return Err(format!(
                    "{} and {} went different ways before {}",
                    newer.dir.display(),
                    self.dir.display(),
                    segment_name(both.header.number)
                ));
            }
        }
        self.segments.retain(|own| own.header.number < first.number);
        self.segments.extend(newer.segments.iter().cloned());
        let known: Vec<u64> = self.snapshots.iter().map(|(at, _)| *at).collect();
        self.snapshots.extend(newer.snapshots.into_iter().filter(|(at, _)| !known.contains(at)));
        self.snapshots.sort_unstable();
        self.inventory = newer.inventory;
        self._locks.extend(newer._locks);
        Ok(())
    }

    /// Loads the snapshot at a position.
    pub(crate) fn load(&self, disk: &dyn Disk, position: u64) -> Result<State, OpenError> {
        let path = self.snapshot_path(position);
        snapshot::load_at(
            disk,
            &path,
            position,
            self.log_id,
            HASH_SEED,
            &RecoveryProgress::default(),
        )
    }

    /// Where the snapshot at a position is that the list has.
    pub(crate) fn snapshot_path(&self, position: u64) -> PathBuf {
        let found = self.snapshots.iter().find(|(at, _)| *at == position);
        found.map_or_else(|| self.dir.join(snapshot_name(position)), |(_, path)| path.clone())
    }

    /// Whether the log goes back to what follows log position `position`.
    pub(crate) fn reaches_back_to(&self, position: u64) -> bool {
        self.segments[0].header.first_position <= position + 1
    }

    /// The segments that hold the records after a log position.
    pub(crate) fn segments_after(&self, position: u64) -> &[SegmentFile] {
        let after = self.segments.partition_point(|s| s.header.first_position <= position + 1);
        &self.segments[after.saturating_sub(1)..]
    }

    /// That a log which ends at a position reaches as far as the snapshots do.
    pub(crate) fn check_end(&self, end: u64) -> Result<(), OpenError> {
        let Some((newest, path)) = self.snapshots.last().filter(|(newest, _)| *newest > end) else {
            return Ok(());
        };
        let what = format!(
            "the log ends at position {end}, and {} holds records up to {newest}",
            path.display()
        );
        Err(OpenError::Missing { what, dir: self.dir.clone() })
    }

    /// What a backup promises to hold at its end.
    pub(crate) fn promised(&self) -> Option<(u64, &[Summary])> {
        let inventory = self.inventory.as_ref()?;
        Some((inventory.log_position, &inventory.workspaces))
    }
}

/// Nobody chooses keys against a state that serves nobody.
pub(crate) const HASH_SEED: u64 = 0x6970_7365;

/// A directory that cannot be written to needs no lock: no server can either.
fn lock(disk: &dyn Disk, dir: &Path) -> Result<Option<Box<dyn Send + Sync>>, OpenError> {
    let path = dir.join(LOCK_NAME);
    let unwritable = [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem];
    match disk.lock(&path, &std::process::id().to_string()) {
        Err(error) if unwritable.contains(&error.kind()) => Ok(None),
        Err(error) => Err(IoFailed::new("lock", &path)(error).into()),
        Ok(Err(holder)) => Err(OpenError::Locked { dir: dir.to_owned(), holder }),
        Ok(Ok(lock)) => Ok(Some(lock)),
    }
}
