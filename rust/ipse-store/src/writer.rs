//! Group commit: one thread takes what has been queued, writes and syncs it, and says so.
//!
//! One group is in flight; the next one forms meanwhile. The queue lock is never held
//! across a file operation. When an operation fails the thread ends, for ever: nothing
//! after that is written, and everyone who waits is told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, LockResult, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use ipse_core::Record;

use crate::codec::encode_record;
use crate::error::{IoFailed, LogFailed};
use crate::format::GROUP_BYTES_TARGET;
use crate::frame;
use crate::line::Line;
use crate::options::SyncPolicy;
use crate::pace::Pace;
use crate::planted::{Fault, is_planted};
use crate::reserve::{Room, Space};
use crate::segment::SegmentHeader;
use crate::state::{State, WorkspaceIndex};
use crate::wal::{Ended, FRAMING_BYTES, Group, Log};

/// Buffers kept for the next groups, and the largest worth keeping.
const SPARE_BUFFERS_MAX: usize = 4;
const SPARE_BUFFER_BYTES_MAX: usize = 4 << 20;

/// Below this the rest of a segment is not worth being told of as room.
const ROOM_BYTES_MIN: u64 = 512;

/// How often the disk's free space is looked at, if there is nothing else to do: others fill
/// and empty it too.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The same while writes are refused for it.
const FULL_LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What callers and the writer thread share.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    line: Line,
    work: Condvar,
    writer_waits: AtomicBool,
    /// How many [`WakeLater`] there are, and whether one of them is to wake the writer.
    later: AtomicUsize,
    wake_due: AtomicBool,
    pub(crate) progress: Progress,
}

/// The graphs, and the records that the writer has not taken yet.
pub(crate) struct Inner {
    pub(crate) state: State,
    pub(crate) queue: Queue,
}

/// Records in the order of their log positions, encoded.
#[derive(Default)]
pub(crate) struct Queue {
    groups: Vec<Group>,
    bytes: usize,
    bytes_in_flight: usize,
    groups_in_flight: usize,
    buffers: Vec<Vec<u8>>,
    sync_asked: bool,
    /// The newest segment is to end; when the newest record was logged, in seconds since 1970.
    roll_asked: Option<u32>,
    end: Option<End>,
    room: Room,
    /// Writes are refused until [`Space::Ample`].
    storage_full: bool,
    /// The writer is to look at the space again.
    space_asked: bool,
}

/// How the writer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// After writing everything, with the mark of a clean shutdown.
    Clean,
    /// At once, as a crash would.
    Abandon,
}

/// How far the log is, for everyone to see.
#[derive(Default)]
pub(crate) struct Progress {
    /// Position that answers may rest on.
    published: AtomicU64,
    /// Position that is on disk, whatever the policy.
    durable: AtomicU64,
    pub(crate) groups: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// How often a segment was ended when that was asked for, and how often there was no room.
    rolls: AtomicU64,
    rolls_refused: AtomicU64,
    /// The segments on disk, oldest first.
    pub(crate) segments: Mutex<Vec<SegmentHeader>>,
    pub(crate) pace: Pace,
    life: Mutex<Life>,
    changed: Condvar,
    wakers: RwLock<Vec<Box<dyn Fn() + Send + Sync>>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Life {
    #[default]
    Open,
    Closed,
    Failed(LogFailed),
}

/// What the writer takes at once.
struct Work {
    groups: Vec<Group>,
    sync_asked: bool,
    roll_asked: Option<u32>,
    end: Option<End>,
    storage_full: bool,
}

impl Shared {
    pub(crate) fn new(state: State) -> Shared {
        let progress = Progress::default();
        progress.published.store(state.position().0, Ordering::Release);
        progress.durable.store(state.position().0, Ordering::Release);
        let inner = Inner { state, queue: Queue::default() };
        Shared {
            inner: Mutex::new(inner),
            line: Line::default(),
            work: Condvar::new(),
            writer_waits: AtomicBool::new(false),
            later: AtomicUsize::new(0),
            wake_due: AtomicBool::new(false),
            progress,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.take_turn().expect("no thread panicked while it changed the graphs")
    }

    /// Whether nobody waits for the graphs.
    pub(crate) fn nobody_waits(&self) -> bool {
        self.line.is_empty()
    }

    /// Returns when all who wait for the graphs now have had them. Not to be called by who
    /// holds them.
    pub(crate) fn let_others_go(&self) {
        self.line.let_others_go();
    }

    /// The same for those who must not panic: an error if a bug may have left the graphs half
    /// changed. Nothing may be read from them then, and nothing written.
    pub(crate) fn lock_whole(&self) -> Result<MutexGuard<'_, Inner>, LogFailed> {
        self.take_turn().map_err(|_| half_changed())
    }

    /// Why nothing will be written any more, if that is so.
    pub(crate) fn failure(&self) -> Option<LogFailed> {
        let broken = self.inner.is_poisoned().then(half_changed);
        broken.or_else(|| self.progress.failure())
    }

    /// The writer is not woken for commits before this, or another one, is dropped.
    pub(crate) fn wake_later(&self) -> WakeLater<'_> {
        self.later.fetch_add(1, Ordering::SeqCst);
        WakeLater(self)
    }

    /// Tells the writer that something was committed: now, or when someone who said so is done.
    pub(crate) fn wake_for_commit(&self) {
        self.wake_due.store(true, Ordering::SeqCst);
        // If all are done by now they may not have seen it.
        if self.later.load(Ordering::SeqCst) == 0 {
            self.wake_if_due();
        }
    }

    fn wake_if_due(&self) {
        if self.wake_due.swap(false, Ordering::SeqCst) {
            self.wake_writer();
        }
    }

    /// Tells the writer, if it waits, that there is something to do.
    pub(crate) fn wake_writer(&self) {
        if self.writer_waits.swap(false, Ordering::AcqRel) {
            self.line.join();
            self.work.notify_one();
        }
    }

    /// Asks for a sync whatever the policy, and waits until `position` is on disk.
    pub(crate) fn sync_through(&self, position: u64) -> Result<(), LogFailed> {
        self.lock().queue.sync_asked = true;
        self.wake_writer();
        self.progress.wait(&self.progress.durable, position, None).map(|_| ())
    }

    /// Ends the segment that holds what was written last, and waits until it has a successor;
    /// `false` if there is no room for one.
    pub(crate) fn roll_over(&self) -> Result<bool, LogFailed> {
        let before = self.progress.rolls();
        {
            let Inner { state, queue } = &mut *self.lock();
            queue.roll_asked = Some(u32::try_from(state.log_time_s()).unwrap_or(u32::MAX));
        }
        self.wake_writer();
        self.progress.wait_rolled(before)
    }

    pub(crate) fn end(&self, end: End) {
        // Closing must work even after a panic left the graphs in an unknown state.
        let mut inner = self.take_turn().unwrap_or_else(PoisonError::into_inner);
        inner.queue.end.get_or_insert(end);
        drop(inner);
        self.wake_writer();
    }

    fn take_turn(&self) -> LockResult<MutexGuard<'_, Inner>> {
        match self.inner.try_lock() {
            Err(TryLockError::WouldBlock) => self.line.wait(|| self.inner.lock()),
            Err(TryLockError::Poisoned(poisoned)) => Err(poisoned),
            Ok(inner) => Ok(inner),
        }
    }

    /// Waits for work, until `deadline` at most; gives back buffers of the work before, and
    /// says what room there is after it.
    fn next_work(&self, done: Vec<Group>, room: Room, deadline: Option<Instant>) -> Work {
        let mut inner = self.take_turn().unwrap_or_else(PoisonError::into_inner);
        inner.queue.recycle(done);
        inner.queue.set_room(room);
        self.progress.pace.set_waiting(inner.queue.bytes());
        while inner.queue.is_idle() {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            inner = self.wait_for_work(inner, left);
        }
        inner.queue.take()
    }

    /// Waits until it is woken, or for as long as there is left.
    fn wait_for_work<'a>(
        &self,
        inner: MutexGuard<'a, Inner>,
        left: Option<Duration>,
    ) -> MutexGuard<'a, Inner> {
        self.writer_waits.store(true, Ordering::Release);
        let inner = match left {
            None => self.work.wait(inner).unwrap_or_else(PoisonError::into_inner),
            Some(left) => {
                let waited = self.work.wait_timeout(inner, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        if !self.writer_waits.swap(false, Ordering::AcqRel) {
            // Whoever woke it put it in the line.
            self.line.leave();
        }
        inner
    }
}

/// Someone who has more to do before the writer is woken, and not for long.
pub struct WakeLater<'s>(&'s Shared);

impl Drop for WakeLater<'_> {
    fn drop(&mut self) {
        self.0.later.fetch_sub(1, Ordering::SeqCst);
        self.0.wake_if_due();
    }
}

fn half_changed() -> LogFailed {
    LogFailed {
        reason: "a bug interrupted a change, and the graphs may be half changed".to_owned(),
    }
}

impl Queue {
    /// Appends a record; `position` is its log position.
    pub(crate) fn push(&mut self, workspace: WorkspaceIndex, record: &Record<'_>, position: u64) {
        if self.groups.last().is_none_or(|group| group.buffer.len() >= GROUP_BYTES_TARGET) {
            let mut buffer = self.buffers.pop().unwrap_or_default();
            frame::begin(&mut buffer);
            let first_time_s = u32::try_from(record.log_time.as_millis() / 1_000).unwrap_or(0);
            let first_position = position;
            self.groups.push(Group { buffer, first_position, record_count: 0, first_time_s });
        }
        if let Some(group) = self.groups.last_mut() {
            let before = group.buffer.len();
            encode_record(&mut group.buffer, workspace.0, record);
            group.record_count += 1;
            self.bytes += group.buffer.len() - before;
        }
    }

    /// What a record takes at most: its numbers may grow a little until it is committed.
    pub(crate) fn record_bytes(workspace: WorkspaceIndex, record: &Record<'_>) -> u64 {
        const GROWTH_BYTES: usize = 16;
        let mut buffer = Vec::new();
        encode_record(&mut buffer, workspace.0, record);
        (buffer.len() + GROWTH_BYTES) as u64
    }

    /// Bytes that are not on disk yet.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.bytes_in_flight
    }

    /// Whether `more` bytes of records are sure to find their place on the disk.
    pub(crate) fn has_room(&self, more: u64) -> bool {
        let groups = (self.groups.len() + self.groups_in_flight + 1) as u64;
        let needed = self.bytes() as u64 + groups * FRAMING_BYTES;
        needed.saturating_add(more) <= self.room.bytes
    }

    /// Bytes of frames that are sure to find their place.
    pub(crate) fn room_bytes(&self) -> u64 {
        self.room.bytes
    }

    /// Whether writes are refused for want of space.
    pub(crate) fn storage_is_full(&self) -> bool {
        self.storage_full
    }

    /// Refuses writes from now on, until there is ample space.
    pub(crate) fn refuse_for_space(&mut self) {
        self.storage_full = true;
        self.space_asked = true;
    }

    /// Between refusing and not there is a distance, so that it does not change with each write.
    pub(crate) fn set_room(&mut self, room: Room) {
        self.room = room;
        self.storage_full = match room.space {
            Space::Ample => false,
            Space::Steady => self.storage_full,
            Space::Short => self.storage_full || room.bytes < ROOM_BYTES_MIN,
        };
    }

    /// Nothing that is queued from now on will be written.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    fn is_idle(&self) -> bool {
        let asked = self.sync_asked || self.space_asked || self.roll_asked.is_some();
        self.groups.is_empty() && !asked && self.end.is_none()
    }

    fn take(&mut self) -> Work {
        self.bytes_in_flight = std::mem::take(&mut self.bytes);
        self.groups_in_flight = self.groups.len();
        self.space_asked = false;
        Work {
            groups: std::mem::take(&mut self.groups),
            sync_asked: std::mem::take(&mut self.sync_asked),
            roll_asked: std::mem::take(&mut self.roll_asked),
            end: self.end,
            storage_full: self.storage_full,
        }
    }

    fn recycle(&mut self, done: Vec<Group>) {
        self.bytes_in_flight = 0;
        self.groups_in_flight = 0;
        let small = done
            .into_iter()
            .map(|group| group.buffer)
            .filter(|buffer| buffer.capacity() <= SPARE_BUFFER_BYTES_MAX);
        self.buffers.extend(small);
        self.buffers.truncate(SPARE_BUFFERS_MAX);
    }
}

impl Progress {
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// Waits until answers may rest on `position`; `false` if the time is up first.
    pub(crate) fn wait_published(
        &self,
        position: u64,
        timeout: Option<Duration>,
    ) -> Result<bool, LogFailed> {
        self.wait(&self.published, position, timeout)
    }

    pub(crate) fn failure(&self) -> Option<LogFailed> {
        match &*self.life() {
            Life::Failed(failed) => Some(failed.clone()),
            Life::Open | Life::Closed => None,
        }
    }

    pub(crate) fn add_waker(&self, wake: Box<dyn Fn() + Send + Sync>) {
        self.wakers.write().unwrap_or_else(PoisonError::into_inner).push(wake);
    }

    /// Without files everything counts as on disk at once.
    pub(crate) fn publish_at_once(&self, position: u64) {
        self.published.store(position, Ordering::Release);
        self.durable.store(position, Ordering::Release);
    }

    fn publish(&self, published: u64, durable: u64) {
        let life = self.life();
        self.published.store(published, Ordering::Release);
        self.durable.store(durable, Ordering::Release);
        drop(life);
        self.wake();
    }

    pub(crate) fn close(&self) {
        let mut life = self.life();
        if *life == Life::Open {
            *life = Life::Closed;
        }
        drop(life);
        self.wake();
    }

    fn fail(&self, reason: String) {
        *self.life() = Life::Failed(LogFailed { reason });
        self.wake();
    }

    fn wake(&self) {
        self.changed.notify_all();
        for wake in self.wakers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            wake();
        }
    }

    fn wait(
        &self,
        reached: &AtomicU64,
        position: u64,
        timeout: Option<Duration>,
    ) -> Result<bool, LogFailed> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut life = self.life();
        while reached.load(Ordering::Acquire) < position {
            check_open(&life)?;
            let Some(deadline) = deadline else {
                life = self.changed.wait(life).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return Ok(false);
            };
            let waited = self.changed.wait_timeout(life, left);
            life = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(true)
    }

    fn rolls(&self) -> (u64, u64) {
        (self.rolls.load(Ordering::Acquire), self.rolls_refused.load(Ordering::Acquire))
    }

    /// Waits until a segment was ended since `before`; `false` if that was refused.
    fn wait_rolled(&self, before: (u64, u64)) -> Result<bool, LogFailed> {
        let mut life = self.life();
        while self.rolls().0 == before.0 {
            if self.rolls().1 != before.1 {
                return Ok(false);
            }
            check_open(&life)?;
            life = self.changed.wait(life).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(true)
    }

    /// Notes that segments have other sizes.
    pub(crate) fn resize(&self, resized: &[SegmentHeader]) {
        let mut segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        for segment in segments.iter_mut() {
            let other = resized.iter().find(|other| other.number == segment.number);
            segment.size = other.map_or(segment.size, |other| other.size);
        }
    }

    /// Tells everyone who waits, after something they can see was changed.
    fn notify(&self) {
        drop(self.life());
        self.wake();
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_open(life: &Life) -> Result<(), LogFailed> {
    match life {
        Life::Open => Ok(()),
        Life::Closed => Err(LogFailed { reason: "the store is closed".to_owned() }),
        Life::Failed(failed) => Err(failed.clone()),
    }
}

/// Starts the thread. It ends when [`Shared::end`] says so, or when the log fails.
pub(crate) fn start(
    shared: Arc<Shared>,
    log: Log,
    policy: SyncPolicy,
) -> std::io::Result<thread::JoinHandle<()>> {
    shared.lock().queue.set_room(log.room());
    thread::Builder::new().name("ipse-log".to_owned()).spawn(move || {
        // A panic here would leave everyone waiting for ever.
        match catch_unwind(AssertUnwindSafe(|| run(&shared, log, policy))) {
            Ok(Ok(())) => {}
            Ok(Err(failed)) => shared.progress.fail(failed.to_string()),
            Err(_) => shared.progress.fail("the log's writer met a bug and panicked".to_owned()),
        }
    })
}

fn run(shared: &Shared, mut log: Log, policy: SyncPolicy) -> Result<(), IoFailed> {
    let mut done = Vec::new();
    let mut sync_due = None;
    let mut preparation_due = log.preparation_due(false);
    let mut look_interval = LOOK_INTERVAL;
    let mut rolling = None;
    loop {
        let look_due = Instant::now().checked_add(look_interval);
        let rolling_due = rolling.map(|_| Instant::now());
        let due = [sync_due, preparation_due, look_due, rolling_due].into_iter().flatten().min();
        let mut work = shared.next_work(done, log.room(), due);
        if work.end == Some(End::Abandon) {
            return Ok(());
        }
        for group in &mut work.groups {
            log = write_group(shared, log, group, policy)?;
        }
        let is_due = sync_due.is_some_and(|due| due <= Instant::now());
        if work.sync_asked || is_due {
            log = log.sync()?;
            publish(shared, &log, policy);
        }
        if work.end == Some(End::Clean) {
            return log.close();
        }
        rolling = work.roll_asked.or(rolling);
        if let Some(first_time_s) = rolling {
            (log, rolling) = roll(shared, log, policy, first_time_s)?;
        }
        sync_due = sync_deadline(&log, policy, sync_due);
        let written = work.groups.iter().map(|group| group.buffer.len() as u64).sum();
        log.prepare(written, work.storage_full);
        preparation_due = log.preparation_due(work.storage_full);
        look_interval = if work.storage_full { FULL_LOOK_INTERVAL } else { LOOK_INTERVAL };
        done = work.groups;
    }
}

fn write_group(
    shared: &Shared,
    log: Log,
    group: &mut Group,
    policy: SyncPolicy,
) -> Result<Log, IoFailed> {
    let segment = log.newest_segment();
    shared.progress.pace.begin_group();
    let mut log = log.append(group)?;
    if log.newest_segment() != segment {
        note_segment(shared, &log);
    }
    if is_planted(Fault::AnswerWritesEarly) {
        shared.progress.publish(log.written(), log.synced());
    }
    if policy == SyncPolicy::Always {
        log = log.sync()?;
    }
    shared.progress.pace.end_group(group.buffer.len() as u64);
    shared.progress.groups.fetch_add(1, Ordering::Relaxed);
    shared.progress.bytes.fetch_add(group.buffer.len() as u64, Ordering::Relaxed);
    publish(shared, &log, policy);
    Ok(log)
}

/// Ends the newest segment if the next is ready; gives the time back if that is still to be
/// done.
fn roll(
    shared: &Shared,
    log: Log,
    policy: SyncPolicy,
    first_time_s: u32,
) -> Result<(Log, Option<u32>), IoFailed> {
    let segment = log.newest_segment();
    let (log, ended) = log.end_segment(first_time_s)?;
    if log.newest_segment() != segment {
        note_segment(shared, &log);
        publish(shared, &log, policy);
    }
    let counter = match ended {
        Ended::NotYet => return Ok((log, Some(first_time_s))),
        Ended::Yes => &shared.progress.rolls,
        Ended::NoRoom => &shared.progress.rolls_refused,
    };
    counter.fetch_add(1, Ordering::AcqRel);
    shared.progress.notify();
    Ok((log, None))
}

fn note_segment(shared: &Shared, log: &Log) {
    let mut segments = shared.progress.segments.lock().unwrap_or_else(PoisonError::into_inner);
    segments.push(log.newest_segment());
}

fn publish(shared: &Shared, log: &Log, policy: SyncPolicy) {
    let published = match policy {
        SyncPolicy::Always => log.synced(),
        SyncPolicy::Interval { .. } | SyncPolicy::Off => log.written(),
    };
    shared.progress.publish(published, log.synced());
}

/// When written records must be synced: counted from the first that is not.
fn sync_deadline(log: &Log, policy: SyncPolicy, deadline: Option<Instant>) -> Option<Instant> {
    let SyncPolicy::Interval { millis } = policy else {
        return None;
    };
    if log.synced() == log.written() {
        return None;
    }
    deadline.or_else(|| Instant::now().checked_add(Duration::from_millis(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_is_woken_when_the_first_who_puts_that_off_is_done() {
        let shared = Shared::new(State::new(1));
        let waits = || shared.writer_waits.load(Ordering::Acquire);
        shared.writer_waits.store(true, Ordering::Release);
        let (first, second) = (shared.wake_later(), shared.wake_later());
        shared.wake_for_commit();
        assert!(waits());
        drop(second);
        assert!(!waits());
        shared.writer_waits.store(true, Ordering::Release);
        drop(first);
        assert!(waits(), "there is nothing new");
        shared.wake_for_commit();
        assert!(!waits());
    }
}
