//! What callers use: graphs behind a lock, a log behind a thread, snapshots on request.
//!
//! Invariant: no file operation happens while the graphs are locked: committing encodes into
//! memory, and the writer thread takes it from there.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ipse_core::change::{ErasureCompleted, ProfileNumber};
use ipse_core::decide::Room;
use ipse_core::graph::Memory;
use ipse_core::rules::RulesText;
use ipse_core::{Change, Graph, Record, SequenceNumber, Timestamp};

use crate::ceilings::Ceilings;
use crate::erasing::{self, Erasing};
use crate::erasures::Noted;
use crate::error::{CheckpointError, CloseError, IoFailed, LogFailed, OpenError, Unreadable};
use crate::failpoints;
use crate::format::{BACKUPS_NAME, LOCK_NAME, segment_name, snapshot_name, snapshot_position};
use crate::fs::Disk;
use crate::history::{History, Places};
use crate::options::Options;
use crate::pace::Distribution;
use crate::planted::{self, Fault, is_planted};
use crate::positions::Positions;
use crate::progress::RecoveryProgress;
use crate::recovery::{Recovery, recover};
use crate::retention;
use crate::segment::SegmentHeader;
use crate::snapshot::{self, FreeSpace, Pace};
use crate::sources::check_served;
use crate::state::{LogPosition, State, WorkspaceIndex};
use crate::writer::{self, End, Inner, Queue, Shared, WakeLater};

/// With room for so much, a record is not measured: requests are much smaller.
const MEASURED_BYTES_MAX: u64 = 64 << 20;
/// What the record of a new workspace takes beside its name and rules.
const WORKSPACE_RECORD_BYTES_MAX: u64 = 128;

/// Rows of each workspace's past that are forgotten under one hold of the graphs' lock.
const FORGOTTEN_ROWS: usize = 4_096;

/// Identity graphs that last.
///
/// Dropping a store without [`Store::close`] is like a crash: what was not synced may be
/// lost, and the next start recovers.
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    options: Options,
    ceilings: Ceilings,
    /// `None`: in memory only.
    files: Option<Files>,
}

/// Exclusive access to the graphs. What is committed goes to the log once this is dropped.
pub struct Locked<'a> {
    // Dropped first, so that the writer finds the lock free when it is woken.
    inner: MutexGuard<'a, Inner>,
    wake: WakeOnDrop<'a>,
    store: &'a Store,
}

/// What a checkpoint wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The snapshot's file.
    pub file_name: String,
    /// Its size.
    pub size_bytes: u64,
    /// Log position that it holds.
    pub log_position: u64,
    /// How long it took; 0 if nothing had changed since the newest snapshot.
    pub seconds: f64,
}

/// Figures of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStats {
    /// Newest record.
    pub log_position: LogPosition,
    /// Newest record that answers may rest on.
    pub synced: LogPosition,
    /// Groups written since opening.
    pub commit_groups: u64,
    /// Bytes of log written since opening.
    pub log_bytes: u64,
    /// Bytes of log that the next start would replay.
    pub log_bytes_since_snapshot: u64,
    /// `always`, `interval`, `off` or `memory`.
    pub sync: &'static str,
    /// Whether writes are refused because the disk is full.
    pub storage_full: bool,
    /// Bytes of log that may be written before more space has to be found.
    pub room_bytes: u64,
    /// The oldest record that the log still has.
    pub oldest_position: LogPosition,
    /// When that was logged, in seconds since 1970; `None` if nothing was ever dropped.
    pub oldest_time_s: Option<u32>,
    /// Bytes of the log's files.
    pub log_file_bytes: u64,
    /// Of these, what recovery needs no more.
    pub history_bytes: u64,
}

pub(crate) struct Files {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) log_id: u64,
    places: Places,
    /// Held while a checkpoint or a backup is made or the store is closed.
    upkeep: Mutex<Upkeep>,
    snapshots: Mutex<Snapshots>,
}

struct Upkeep {
    writer: Option<JoinHandle<()>>,
    lock: Option<Box<dyn Send + Sync>>,
}

/// The snapshots that can be relied on, and the log since the newest.
#[derive(Clone, Debug)]
struct Snapshots {
    newest: Option<Checkpoint>,
    /// Log position of the one before.
    older: Option<u64>,
    /// Bytes that recovery replayed after the newest.
    replayed_bytes: u64,
    /// Bytes written since opening that the newest covers.
    covered_bytes: u64,
}

impl Store {
    /// Opens a data directory, made if need be, and recovers what is in it. `hash_seed`
    /// hardens the indexes against chosen keys and shows nowhere.
    pub fn open(
        dir: &Path,
        options: Options,
        hash_seed: u64,
    ) -> Result<(Store, Recovery), OpenError> {
        Store::open_watched(dir, options, hash_seed, &RecoveryProgress::default())
    }

    /// [`Store::open`], which says meanwhile how far it has come.
    pub fn open_watched(
        dir: &Path,
        options: Options,
        hash_seed: u64,
        progress: &RecoveryProgress,
    ) -> Result<(Store, Recovery), OpenError> {
        Store::open_served(failpoints::disk(), dir, options, hash_seed, progress)
    }

    /// [`Store::open`] on another disk than the operating system's.
    pub fn open_on(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: Options,
        hash_seed: u64,
    ) -> Result<(Store, Recovery), OpenError> {
        Store::open_served(disk, dir, options, hash_seed, &RecoveryProgress::default())
    }

    fn open_served(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: Options,
        hash_seed: u64,
        progress: &RecoveryProgress,
    ) -> Result<(Store, Recovery), OpenError> {
        disk.create_dir(dir).map_err(IoFailed::new("create", dir))?;
        check_served(disk.as_ref(), dir)?;
        Store::open_unfinished(disk, dir, options, hash_seed, progress)
    }

    /// The same of a directory that is there and may be one that no server is to start from.
    pub(crate) fn open_unfinished(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: Options,
        hash_seed: u64,
        progress: &RecoveryProgress,
    ) -> Result<(Store, Recovery), OpenError> {
        let disk = planted::over(disk);
        let lock = lock(disk.as_ref(), dir)?;
        let recovered = recover(&disk, dir, &options, hash_seed, progress)?;
        let shared = Arc::new(Shared::new(recovered.state));
        *locked(&shared.progress.segments) = recovered.segments;
        let snapshots = Snapshots {
            newest: recovered
                .snapshot
                .map(|position| loaded(disk.as_ref(), dir, position))
                .transpose()?,
            older: None,
            replayed_bytes: recovered.bytes_since_snapshot,
            covered_bytes: 0,
        };
        let writer = writer::start(shared.clone(), recovered.log, options.sync)
            .map_err(IoFailed::new("start the log's thread for", dir))?;
        let upkeep = Upkeep { writer: Some(writer), lock: Some(lock) };
        let files = Files {
            disk,
            dir: dir.to_owned(),
            log_id: recovered.log_id,
            places: Places::default(),
            upkeep: Mutex::new(upkeep),
            snapshots: Mutex::new(snapshots),
        };
        let ceilings = Ceilings::UNBOUNDED;
        Ok((Store { shared, options, ceilings, files: Some(files) }, recovered.recovery))
    }

    /// A store without files: every position counts as synced at once.
    pub fn in_memory(hash_seed: u64) -> Store {
        let shared = Arc::new(Shared::new(State::new(hash_seed)));
        let (options, ceilings) = (Options::default(), Ceilings::UNBOUNDED);
        Store { shared, options, ceilings, files: None }
    }

    /// The same store, with ceilings on memory: it has none without.
    #[must_use]
    pub fn bounded_by(mut self, ceilings: Ceilings) -> Store {
        self.ceilings = ceilings;
        self
    }

    /// Exclusive access to the graphs. Not to be held while anything is waited for.
    ///
    /// # Panics
    ///
    /// If another caller panicked while it held them: see [`Store::failure`].
    pub fn lock(&self) -> Locked<'_> {
        Locked {
            inner: self.shared.lock(),
            wake: WakeOnDrop { shared: &self.shared, committed: false },
            store: self,
        }
    }

    /// The position up to which answers may be sent.
    pub fn synced(&self) -> LogPosition {
        LogPosition(self.shared.progress.published())
    }

    /// Waits until answers that rest on `position` may be sent; `false` if `timeout` comes
    /// first.
    pub fn wait_synced(
        &self,
        position: LogPosition,
        timeout: Option<Duration>,
    ) -> Result<bool, LogFailed> {
        self.shared.progress.wait_published(position.0, timeout)
    }

    /// Has `wake` called each time [`Store::synced`] has moved, and when the log fails or is
    /// closed. It is called on the writer's thread, which waits for it: it must be quick.
    pub fn on_synced(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.shared.progress.add_waker(wake);
    }

    /// The log's thread is not woken for what is committed before this, or another one, is dropped,
    /// which must be soon: it would take the processor from who commits, and find less to write at
    /// once.
    pub fn wake_later(&self) -> WakeLater<'_> {
        self.shared.wake_later()
    }

    /// How long a record that is committed now will wait for the disk, as far as the log's speed
    /// and what waits tell; nothing if it goes with the next group or the one after it.
    pub fn expected_wait(&self) -> Duration {
        self.shared.progress.pace.expected_wait()
    }

    /// Bytes of records that are not on disk yet.
    pub fn waiting_bytes(&self) -> u64 {
        self.shared.progress.pace.waiting_bytes()
    }

    /// Microseconds that commit groups took to be written and synced.
    pub fn sync_times(&self) -> Distribution {
        self.shared.progress.pace.syncs.distribution()
    }

    /// Bytes of commit groups.
    pub fn group_sizes(&self) -> Distribution {
        self.shared.progress.pace.groups.distribution()
    }

    /// Why nothing will be written any more, if that is so.
    pub fn failure(&self) -> Option<LogFailed> {
        self.shared.failure()
    }

    /// Writes a snapshot of the newest state and deletes the files that it makes needless:
    /// two snapshots and the log since the older one stay. Blocks; commits go on meanwhile.
    pub fn checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        self.checkpoint_older(&[])
    }

    /// The same where files are older than the erasures that the graphs know as completed.
    pub(crate) fn checkpoint_older(
        &self,
        completed: &[Noted],
    ) -> Result<Checkpoint, CheckpointError> {
        let files = self.files.as_ref().ok_or(CheckpointError::InMemory)?;
        let upkeep = locked(&files.upkeep);
        if upkeep.writer.is_none() {
            return Err(CheckpointError::Closed);
        }
        self.checkpoint_and_erase(files, completed, Pace::Half)
    }

    /// A checkpoint, and then `work` with the files and the log position of the newest snapshot:
    /// no file is removed meanwhile, and commits go on.
    pub(crate) fn with_files<T, E: From<CheckpointError>>(
        &self,
        work: impl FnOnce(&Files, u64) -> Result<T, E>,
    ) -> Result<T, E> {
        let files = self.files.as_ref().ok_or(CheckpointError::InMemory)?;
        let upkeep = locked(&files.upkeep);
        if upkeep.writer.is_none() {
            return Err(CheckpointError::Closed.into());
        }
        let snapshot = self.checkpoint_and_erase(files, &[], Pace::Half)?;
        work(files, snapshot.log_position)
    }

    /// Whether the log has grown enough since the newest snapshot for another, or someone was
    /// erased whom the files still name.
    pub fn checkpoint_due(&self) -> bool {
        self.files.is_some()
            && (self.bytes_since_snapshot() >= self.options.snapshot_log_bytes
                || self.erasures_pending() > 0)
    }

    /// Erasures that the files have not followed yet, over all workspaces.
    pub fn erasures_pending(&self) -> usize {
        let Ok(inner) = self.shared.lock_whole() else { return 0 };
        inner.state.indexes().map(|w| inner.state.graph(w).pending_erasures().len()).sum()
    }

    /// The register of backups, a line each, as whoever made them wrote it; they hold what was
    /// erased after them.
    pub fn backups(&self) -> Result<Vec<String>, OpenError> {
        self.files.as_ref().map_or(Ok(Vec::new()), |files| {
            erasing::lines(files.disk.as_ref(), &files.dir.join(BACKUPS_NAME))
        })
    }

    /// Figures of now.
    pub fn stats(&self) -> StoreStats {
        let (log_position, storage_full, room_bytes) = {
            let Inner { state, queue } = &*self.shared.lock();
            (state.position(), queue.storage_is_full(), queue.room_bytes())
        };
        let segments = locked(&self.shared.progress.segments).clone();
        let oldest = segments.first();
        let older_snapshot = self.files.as_ref().and_then(|f| locked(&f.snapshots).older);
        let history = retention::history(&segments, older_snapshot.unwrap_or(0));
        let bytes = |segments: &[SegmentHeader]| segments.iter().map(|each| each.size).sum();
        StoreStats {
            oldest_position: LogPosition(oldest.map_or(1, |each| each.first_position)),
            oldest_time_s: oldest.map(|each| each.first_time_s).filter(|time| *time > 0),
            log_file_bytes: bytes(&segments),
            history_bytes: bytes(history),
            log_position,
            storage_full,
            room_bytes: if self.files.is_some() { room_bytes } else { u64::MAX },
            synced: self.synced(),
            commit_groups: self.shared.progress.groups.load(Ordering::Relaxed),
            log_bytes: self.shared.progress.bytes.load(Ordering::Relaxed),
            log_bytes_since_snapshot: self.bytes_since_snapshot(),
            sync: if self.files.is_some() { self.options.sync.name() } else { "memory" },
        }
    }

    /// Ends the store: a snapshot if asked for, everything synced, the log marked as ended
    /// cleanly, the directory unlocked. What is committed later is not written. Again is
    /// harmless.
    pub fn close(&self, checkpoint: bool) -> Result<(), CloseError> {
        let Some(files) = &self.files else {
            self.shared.end(End::Clean);
            return Ok(());
        };
        let mut upkeep = locked(&files.upkeep);
        if upkeep.writer.is_none() {
            return Ok(());
        }
        let broken = self.shared.lock_whole().is_err();
        let snapshot = if checkpoint {
            self.checkpoint_and_erase(files, &[], Pace::Full).map(|_| ())
        } else {
            Ok(())
        };
        self.stop(&mut upkeep, if broken { End::Abandon } else { End::Clean });
        match self.failure() {
            Some(failed) => Err(failed.into()),
            None => Ok(snapshot?),
        }
    }

    fn stop(&self, upkeep: &mut Upkeep, end: End) {
        self.shared.end(end);
        if let Some(writer) = upkeep.writer.take() {
            // The thread catches its own panics and says so in `failure`.
            let _ = writer.join();
        }
        self.shared.progress.close();
        upkeep.lock = None;
    }

    /// A snapshot; and if someone was erased, the files are made to name them no more, between
    /// it and another. What was erased after the first one is for the next time.
    fn checkpoint_and_erase(
        &self,
        files: &Files,
        completed: &[Noted],
        pace: Pace,
    ) -> Result<Checkpoint, CheckpointError> {
        let erasing = Erasing::of(&self.shared.lock_whole()?.state, completed);
        let checkpoint = self.checkpoint_files(files, pace)?;
        if erasing.is_empty() {
            return Ok(checkpoint);
        }
        self.erase_files(files, &erasing, checkpoint.log_position)?;
        self.checkpoint_files(files, pace)
    }

    fn erase_files(
        &self,
        files: &Files,
        erasing: &Erasing,
        position: u64,
    ) -> Result<(), CheckpointError> {
        if !self.shared.roll_over()? {
            return Err(CheckpointError::StorageFull);
        }
        let segments = locked(&self.shared.progress.segments).clone();
        let room = self.free_space(files);
        let (rewritten, mut done) = erasing.rewrite(&room, &segments)?;
        self.shared.progress.resize(&rewritten);
        locked(&files.snapshots).older = None;
        done.files = room.remove_older(position)?;
        erasing.note(&room, files.log_id)?;
        let mut locked = self.lock();
        for (workspace, erasure) in erasing.erasures() {
            let log_time = locked.graph(workspace).log_time();
            let completed = Change::ErasureCompleted(ErasureCompleted { erasure, ..done });
            let change = locked.with_space(workspace, completed);
            locked
                .commit(workspace, log_time, change.ok_or(CheckpointError::StorageFull)?)
                .expect("what is pending stays so until it is completed here");
        }
        Ok(())
    }

    fn checkpoint_files(&self, files: &Files, pace: Pace) -> Result<Checkpoint, CheckpointError> {
        let started = Instant::now();
        let (position, newest_s, covered_bytes, graphs) = {
            let inner = self.shared.lock_whole()?;
            let position = inner.state.position().0;
            let newest = locked(&files.snapshots).newest.clone();
            if let Some(newest) = newest.filter(|newest| newest.log_position == position) {
                return Ok(newest);
            }
            let covered_bytes = self.shared.progress.bytes.load(Ordering::Relaxed);
            (position, inner.state.log_time_s(), covered_bytes, inner.state.freeze())
        };
        // A snapshot must not be ahead of the log: its position is proof of what was synced.
        self.shared.sync_through(position)?;
        let room = self.free_space(files);
        let size_before = locked(&files.snapshots).newest.as_ref().map_or(0, |n| n.size_bytes);
        room.check(size_before)?;
        let size_bytes = snapshot::write(&room, position, files.log_id, graphs, pace)?;
        let checkpoint = Checkpoint {
            file_name: snapshot_name(position),
            size_bytes,
            log_position: position,
            seconds: started.elapsed().as_secs_f64(),
        };
        let keep_from = locked(&files.snapshots).advance(checkpoint.clone(), covered_bytes);
        if let Some(older) = keep_from {
            self.remove_needless(files, position, older, newest_s)?;
        }
        Ok(checkpoint)
    }

    /// What a snapshot may take: two segments must be left, for the log goes on meanwhile.
    pub(crate) fn free_space<'f>(&self, files: &'f Files) -> FreeSpace<'f> {
        let kept_bytes = self.options.segment_size_bytes.saturating_mul(2);
        FreeSpace { disk: files.disk.as_ref(), dir: &files.dir, kept_bytes }
    }

    /// Deletes snapshots other than the two that are kept, and segments before the older that
    /// are not kept as history.
    fn remove_needless(
        &self,
        files: &Files,
        newest: u64,
        older: u64,
        newest_s: u64,
    ) -> Result<(), CheckpointError> {
        let older = if is_planted(Fault::KeepOneSnapshot) { newest } else { older };
        let names = files.disk.list(&files.dir).map_err(IoFailed::new("list", &files.dir))?;
        let mut needless: Vec<String> = names
            .into_iter()
            .filter(|name| snapshot_position(name).is_some_and(|at| at != newest && at != older))
            .collect();
        let segments = locked(&self.shared.progress.segments).clone();
        // Oldest first: whatever comes between, the rest has no gap.
        let expired = retention::expired(&segments, older, newest_s, &self.options);
        needless.extend(segments[..expired].iter().map(|segment| segment_name(segment.number)));
        for name in &needless {
            let path = files.dir.join(name);
            let removed = match snapshot_position(name) {
                Some(_) => files.disk.remove_large(&path),
                // History may be read at this moment.
                None => files.disk.remove(&path),
            };
            removed.map_err(IoFailed::new("remove", &path))?;
            // One by one: a crash may undo any of several, and leave a gap in the log.
            files.disk.sync_dir(&files.dir).map_err(IoFailed::new("sync", &files.dir))?;
            locked(&self.shared.progress.segments)
                .retain(|segment| segment_name(segment.number) != *name);
        }
        if let Some(oldest) = segments.get(expired).filter(|_| expired > 0) {
            let first = oldest.first_position;
            // Bit by bit: commits wait for the graphs meanwhile.
            while !self.shared.lock_whole()?.state.forget_before(first, FORGOTTEN_ROWS) {}
        }
        Ok(())
    }

    /// The log's files as they are now; none in memory.
    pub(crate) fn history(&self) -> Option<History<'_>> {
        let files = self.files.as_ref()?;
        // First, so that what is synced is in one of the segments.
        let synced = self.synced().0;
        let segments = locked(&self.shared.progress.segments).clone();
        let (disk, dir, places) = (files.disk.as_ref(), files.dir.as_path(), &files.places);
        Some(History { disk, dir, places, segments, synced })
    }

    fn bytes_since_snapshot(&self) -> u64 {
        let Some(files) = &self.files else { return 0 };
        let written = self.shared.progress.bytes.load(Ordering::Relaxed);
        let snapshots = locked(&files.snapshots);
        snapshots.replayed_bytes + written.saturating_sub(snapshots.covered_bytes)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(files) = &self.files {
            self.stop(&mut locked(&files.upkeep), End::Abandon);
        }
    }
}

impl Locked<'_> {
    /// The workspace of that name.
    pub fn workspace(&self, name: &str) -> Option<WorkspaceIndex> {
        self.inner.state.workspace(name)
    }

    /// All workspaces that are not gone, in order of creation.
    pub fn workspaces(&self) -> impl Iterator<Item = WorkspaceIndex> {
        self.inner.state.indexes().filter(|index| !self.graph(*index).is_gone())
    }

    /// What is left of those that were deleted, in order of creation.
    pub fn deleted_workspaces(&self) -> impl Iterator<Item = WorkspaceIndex> {
        self.inner.state.indexes().filter(|index| self.graph(*index).is_gone())
    }

    /// A workspace's graph.
    pub fn graph(&self, workspace: WorkspaceIndex) -> &Graph {
        self.inner.state.graph(workspace)
    }

    /// Where the log has a workspace's records.
    pub(crate) fn positions(&self, workspace: WorkspaceIndex) -> &Positions {
        self.inner.state.positions(workspace)
    }

    /// The newest record of all workspaces.
    pub fn position(&self) -> LogPosition {
        self.inner.state.position()
    }

    /// The position that must be synced before an answer that rests on this workspace's
    /// newest state may be sent.
    pub fn workspace_position(&self, workspace: WorkspaceIndex) -> LogPosition {
        if is_planted(Fault::AnswerReadsEarly) {
            return LogPosition(0);
        }
        self.inner.state.workspace_position(workspace)
    }

    /// The same for an answer that rests on what one profile shows, and on the rules; and the
    /// sequence number that is on disk by then: with all up to it the answer would be the same.
    pub fn profile_position(
        &self,
        workspace: WorkspaceIndex,
        profile: ProfileNumber,
    ) -> (LogPosition, SequenceNumber) {
        let (state, synced) = (&self.inner.state, self.store.synced());
        let newest = state.graph(workspace).sequence();
        if self.workspace_position(workspace) <= synced {
            return (LogPosition(0), newest);
        }
        let unsynced = state.unsynced(workspace);
        let position = unsynced.position(profile);
        (position, unsynced.sequence_at(position.max(synced), newest))
    }

    /// How far the log is synced, and the newest record of a workspace that is.
    pub(crate) fn synced_sequence(
        &self,
        workspace: WorkspaceIndex,
    ) -> (LogPosition, SequenceNumber) {
        let (state, synced) = (&self.inner.state, self.store.synced());
        let newest = state.graph(workspace).sequence();
        (synced, state.unsynced(workspace).sequence_at(synced, newest))
    }

    /// Whether as much waits for the disk as is allowed, or the store is closed. To be asked
    /// before deciding: what was decided is always taken.
    pub fn queue_is_full(&self) -> bool {
        let queue = &self.inner.queue;
        queue.has_ended() || queue.bytes() >= self.store.options.write_queue_bytes_max
    }

    /// The memory that is left to a workspace.
    pub fn room(&self, workspace: WorkspaceIndex) -> Room {
        let state = &self.inner.state;
        self.store.ceilings.room(state.workspace_memory(workspace), state.memory())
    }

    /// What all graphs take together.
    pub fn memory(&self) -> Memory {
        self.inner.state.memory()
    }

    /// The ceilings on them.
    pub fn ceilings(&self) -> Ceilings {
        self.store.ceilings
    }

    /// Lets all who wait for the graphs now have them first, and the log's thread what was
    /// committed. What was read before may have changed. If nobody waits nothing is done: each
    /// time that the log's thread is woken it syncs, and nobody waits for half of a call.
    #[must_use]
    pub fn give_way(self) -> Self {
        let store = self.store;
        if store.shared.nobody_waits() {
            return self;
        }
        drop(self);
        store.shared.let_others_go();
        store.lock()
    }

    /// Whether writes are refused because the disk is full. To be asked before deciding; they
    /// are taken again when there is space for two segments more.
    pub fn storage_is_full(&self) -> bool {
        self.store.files.is_some() && self.inner.queue.storage_is_full()
    }

    /// Gives a decided change back if its record is sure to find its place on the disk. If
    /// not, nothing has been done, and [`Locked::storage_is_full`] from now on.
    pub fn with_space<'c>(
        &mut self,
        workspace: WorkspaceIndex,
        change: Change<'c>,
    ) -> Option<Change<'c>> {
        let plenty = self.store.files.is_none() || self.inner.queue.has_room(MEASURED_BYTES_MAX);
        if plenty {
            return Some(change);
        }
        let graph = self.inner.state.graph(workspace);
        let (sequence, log_time) = (graph.sequence(), graph.log_time());
        let record = Record { sequence, log_time, change };
        if self.inner.queue.has_room(Queue::record_bytes(workspace, &record)) {
            return Some(record.change);
        }
        self.refuse_for_space();
        None
    }

    /// The same for the rules of a workspace that is not there yet.
    pub fn has_space_for_workspace(&mut self, name: &str, rules: &str) -> bool {
        let bytes = (name.len() + rules.len()) as u64 + WORKSPACE_RECORD_BYTES_MAX;
        let has_space = self.store.files.is_none() || self.inner.queue.has_room(bytes);
        if !has_space {
            self.refuse_for_space();
        }
        has_space
    }

    fn refuse_for_space(&mut self) {
        self.inner.queue.refuse_for_space();
        // The writer looks for more.
        self.wake.committed = true;
    }

    /// Applies a change that was decided on the workspace's graph as it is now, and queues
    /// its record. Gives the record back, so that the answer is made from it. `log_time` is
    /// raised to that of the newest record if it is behind. Refuses, and changes nothing, if
    /// recovery would refuse the record.
    pub fn commit<'c>(
        &mut self,
        workspace: WorkspaceIndex,
        log_time: Timestamp,
        change: Change<'c>,
    ) -> Result<(Record<'c>, LogPosition), Unreadable> {
        let large = matches!(change, Change::WorkspaceDeleted(_)).then(|| self.graph(workspace));
        let held = large.map(Graph::freeze);
        let record = self.inner.state.commit(workspace, log_time, change)?;
        if held.is_some() {
            // Giving back the memory of many people takes long, and everyone would wait for it.
            std::thread::spawn(move || drop(held));
        }
        let position = self.inner.state.position();
        match self.store.files {
            Some(_) => {
                self.inner.queue.push(workspace, &record, position.0);
                self.inner.state.note_unsynced(workspace, &record, self.store.synced());
                self.store.shared.progress.pace.set_waiting(self.inner.queue.bytes());
            }
            None => {
                self.store.shared.progress.publish_at_once(position.0);
                if matches!(record.change, Change::Erased(_) | Change::WorkspaceDeleted(_)) {
                    // There are no files to follow.
                    let erasure = record.sequence;
                    let completed = ErasureCompleted { erasure, ..<_>::default() };
                    self.commit(workspace, log_time, Change::ErasureCompleted(completed))?;
                }
            }
        }
        self.wake.committed = true;
        Ok((record, position))
    }

    /// Begins a workspace whose name is free and whose rules are valid.
    pub fn create_workspace<'r>(
        &mut self,
        name: &str,
        profile_key: [u8; 16],
        rules: impl Into<RulesText<'r>>,
        log_time: Timestamp,
    ) -> (WorkspaceIndex, LogPosition) {
        assert!(self.workspace(name).is_none(), "the caller has checked that the name is free");
        let workspace = self.inner.state.add_workspace(name);
        let change =
            Change::WorkspaceCreated { name: name.into(), profile_key, rules: rules.into() };
        let committed = self.commit(workspace, log_time, change);
        let (_, position) = committed.expect("the caller's name and rules are good");
        (workspace, position)
    }
}

struct WakeOnDrop<'a> {
    shared: &'a Shared,
    committed: bool,
}

impl Drop for WakeOnDrop<'_> {
    fn drop(&mut self) {
        if self.committed {
            self.shared.wake_for_commit();
        }
    }
}

impl Snapshots {
    /// Makes `checkpoint` the newest and returns the position of the one before, if two can
    /// be relied on.
    fn advance(&mut self, checkpoint: Checkpoint, covered_bytes: u64) -> Option<u64> {
        self.older = self.newest.replace(checkpoint).map(|older| older.log_position);
        self.replayed_bytes = 0;
        self.covered_bytes = covered_bytes;
        self.older
    }
}

fn lock(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn Send + Sync>, OpenError> {
    let path = dir.join(LOCK_NAME);
    let process = std::process::id().to_string();
    disk.lock(&path, &process)
        .map_err(IoFailed::new("lock", &path))?
        .map_err(|holder| OpenError::Locked { dir: dir.to_owned(), holder })
}

fn loaded(disk: &dyn Disk, dir: &Path, position: u64) -> Result<Checkpoint, OpenError> {
    let file_name = snapshot_name(position);
    let path = dir.join(&file_name);
    let size_bytes = snapshot::length(disk, &path)?;
    Ok(Checkpoint { file_name, size_bytes, log_position: position, seconds: 0.0 })
}

/// What these locks guard is whole between any two statements.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
