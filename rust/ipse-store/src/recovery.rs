//! Opening a data directory: reading it, and making it ready for appending.
//!
//! Changes nothing before it is certain that the directory can be served from; then sets
//! aside what a crash left broken, and gives the newest segment a new file unless the
//! process before ended cleanly.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::directory::Found;
use crate::error::{IoFailed, OpenError};
use crate::format::{
    FRAME_HEADER_BYTES, HEADER_BYTES, MANIFEST_NAME, segment_name, snapshot_name, torn_name,
};
use crate::fs::Disk;
use crate::options::Options;
use crate::progress::RecoveryProgress;
use crate::replay::{Opening, Tail, Walk};
use crate::reserve::Reserve;
use crate::segment::{Manifest, Segment, SegmentHeader};
use crate::state::State;
use crate::wal::{Log, LogPlace};

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovery {
    /// How long it took.
    pub seconds: f64,
    /// The snapshot that it began from.
    pub snapshot_file_name: Option<String>,
    /// Log position of that snapshot; 0 if there was none.
    pub snapshot_log_position: u64,
    /// Records replayed after it.
    pub replayed_records: u64,
    /// Bytes of a torn tail that were set aside.
    pub torn_bytes: u64,
    /// Whether the process before closed the store; true if the directory is new.
    pub clean_shutdown: bool,
    /// Everything else that someone should know, a sentence each.
    pub notes: Vec<String>,
}

/// A directory that can be served from.
pub(crate) struct Recovered {
    pub(crate) state: State,
    pub(crate) log: Log,
    pub(crate) log_id: u64,
    pub(crate) recovery: Recovery,
    /// All segments, oldest first.
    pub(crate) segments: Vec<SegmentHeader>,
    /// Log position of the snapshot that was loaded.
    pub(crate) snapshot: Option<u64>,
    /// Bytes of the frames after it.
    pub(crate) bytes_since_snapshot: u64,
}

/// Opens a directory that is locked.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    options: &Options,
    hash_seed: u64,
    progress: &RecoveryProgress,
) -> Result<Recovered, OpenError> {
    let started = Instant::now();
    let found = Found::look(disk.as_ref(), dir)?;
    let segment_size = options.segment_size_bytes;
    let place = |log_id| LogPlace { disk: disk.clone(), dir: dir.to_owned(), log_id, segment_size };
    let mut recovered = if found.is_new()? {
        found.remove_temporaries()?;
        create(disk.as_ref(), dir, place, hash_seed)?
    } else {
        Opening::new(found, hash_seed, progress)?.replay()?.repair(place)?
    };
    recovered.recovery.seconds = started.elapsed().as_secs_f64();
    Ok(recovered)
}

fn create(
    disk: &dyn Disk,
    dir: &Path,
    place: impl FnOnce(u64) -> LogPlace,
    hash_seed: u64,
) -> Result<Recovered, OpenError> {
    let log_id = disk.random().map_err(IoFailed::new("get a random number for", dir))?;
    let log = Log::create(place(log_id))?;
    Ok(Recovered {
        state: State::new(hash_seed),
        segments: vec![log.newest_segment()],
        log,
        log_id,
        recovery: Recovery { clean_shutdown: true, ..Recovery::default() },
        snapshot: None,
        bytes_since_snapshot: 0,
    })
}

impl Tail<'_> {
    /// Makes the directory ready for appending.
    fn repair(mut self, place: impl FnOnce(u64) -> LogPlace) -> Result<Recovered, OpenError> {
        let place = place(self.header.log_id);
        self.opening.found.remove_temporaries()?;
        self.set_aside()?;
        let mut reserve = Reserve::new(self.opening.found.open_spares()?);
        let segment = if self.opening.recovery.clean_shutdown {
            self.reopen()?
        } else {
            self.rewrite(&place, &mut reserve)?
        };
        let Tail { mut opening, walk, .. } = self;
        write_manifest(&opening.found, &segment.header, &mut opening.recovery)?;
        let written = walk.position - 1;
        Ok(Recovered {
            state: opening.state,
            log_id: place.log_id,
            log: Log::resume(place, segment, walk.crc, written, walk.clean, reserve),
            recovery: opening.recovery,
            segments: opening.headers,
            snapshot: opening.snapshot,
            bytes_since_snapshot: opening.bytes_since_snapshot,
        })
    }

    /// Keeps what is broken under other names, and says so.
    fn set_aside(&mut self) -> Result<(), OpenError> {
        let Tail { opening, header, bytes, walk } = self;
        set_aside_snapshots(&opening.found, &opening.broken_snapshots)?;
        let (found, recovery) = (&opening.found, &mut opening.recovery);
        if walk.damage > 0 {
            recovery.notes.push(keep_torn_if_possible(found, header.number, walk, bytes)?);
            recovery.torn_bytes = walk.damage as u64;
        }
        let whole = bytes.len() as u64 == header.size;
        if !whole {
            recovery.notes.push(format!(
                "{} was made with {} bytes and has {}; nothing that was known to be on disk is missing",
                segment_name(header.number),
                header.size,
                bytes.len()
            ));
        }
        recovery.clean_shutdown = walk.clean && walk.damage == 0 && whole;
        Ok(())
    }

    /// The mark of the clean shutdown is written once more: if its sync failed then, it may be
    /// read back and still not be on the disk, a hole below everything that follows.
    fn reopen(&self) -> Result<Segment, IoFailed> {
        let found = &self.opening.found;
        let path = found.segment_path(self.header.number);
        let file = found.disk.open(&path).map_err(IoFailed::new("open", &path))?;
        let mark = self.walk.end - FRAME_HEADER_BYTES;
        file.write_at(mark as u64, &self.bytes[mark..self.walk.end])
            .map_err(IoFailed::new("write", &path))?;
        file.sync().map_err(IoFailed::new("sync", &path))?;
        let end = self.walk.end as u64;
        Ok(Segment { header: self.header, path, file, end })
    }

    /// What the page cache shows may never have reached the disk, and a sync that failed
    /// before may have marked it clean: only a new file is sure to be written. Space for it
    /// is reserved.
    fn rewrite(&self, place: &LogPlace, reserve: &mut Reserve) -> Result<Segment, IoFailed> {
        let Found { disk, dir, .. } = self.opening.found;
        let frames = &self.bytes[HEADER_BYTES..self.walk.end];
        let size = place.segment_bytes(frames.len() as u64);
        let header = SegmentHeader { size, ..self.header };
        reserve.take(disk, dir)?.into_segment(disk, dir, header, frames)
    }
}

fn set_aside_snapshots(found: &Found<'_>, broken: &[u64]) -> Result<(), IoFailed> {
    for position in broken {
        let path = found.dir.join(snapshot_name(*position));
        let aside = found.dir.join(format!("{}.broken", snapshot_name(*position)));
        found.disk.rename(&path, &aside).map_err(IoFailed::new("rename", &path))?;
    }
    Ok(())
}

/// A full disk must not stand against serving what was acknowledged for the sake of what was
/// not.
fn keep_torn_if_possible(
    found: &Found<'_>,
    number: u64,
    walk: &Walk,
    bytes: &[u8],
) -> Result<String, IoFailed> {
    match keep_torn(found, number, walk, bytes) {
        Err(failed) if failed.is_for_want_of_space() => {
            // What there is of it takes room that the log needs.
            let _ = found.disk.remove(&found.dir.join(torn_name(number, walk.end as u64)));
            Ok(format!(
                "{} was torn at byte {}: {} bytes that were never acknowledged were cut off, and \
                 the disk is too full to keep them",
                segment_name(number),
                walk.end,
                walk.damage
            ))
        }
        kept => kept,
    }
}

/// Copies broken bytes aside and says so. The directory is synced when the segment that
/// takes their place is named.
fn keep_torn(
    found: &Found<'_>,
    number: u64,
    walk: &Walk,
    bytes: &[u8],
) -> Result<String, IoFailed> {
    let name = torn_name(number, walk.end as u64);
    let path = found.dir.join(&name);
    let file = found.disk.create(&path).map_err(IoFailed::new("create", &path))?;
    let torn = &bytes[walk.end..walk.end + walk.damage];
    file.write_at(0, torn).map_err(IoFailed::new("write", &path))?;
    file.sync().map_err(IoFailed::new("sync", &path))?;
    Ok(format!(
        "{} was torn at byte {}: {} bytes that were never acknowledged are kept in {name}",
        segment_name(number),
        walk.end,
        walk.damage
    ))
}

/// A crash may come between the newest segment and the manifest that names it.
fn write_manifest(
    found: &Found<'_>,
    newest: &SegmentHeader,
    recovery: &mut Recovery,
) -> Result<(), IoFailed> {
    let manifest = Manifest { log_id: newest.log_id, newest_segment: newest.number };
    if found.manifest == Some(manifest) {
        return Ok(());
    }
    if found.manifest.is_none() && newest.number > 1 {
        recovery.notes.push(format!("{MANIFEST_NAME} was missing and was written anew"));
    }
    manifest.write(found.disk, found.dir)
}
