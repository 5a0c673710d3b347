//! Group commit: one thread takes what has been queued, writes and syncs it, and says so.
//!
//! One group is in flight; the next one forms meanwhile. The queue lock is never held
//! across a file operation. When an operation fails the thread ends, for ever: nothing
//! after that is written, and everyone who waits is told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
use crate::planted::{Fault, is_planted};
use crate::state::{State, WorkspaceIndex};
use crate::wal::{Ended, Group, Log};

/// Buffers kept for the next groups, and the largest worth keeping.
const SPARE_BUFFERS_MAX: usize = 4;
const SPARE_BUFFER_BYTES_MAX: usize = 4 << 20;

/// What callers and the writer thread share.
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    line: Line,
    work: Condvar,
    writer_waits: AtomicBool,
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
    buffers: Vec<Vec<u8>>,
    sync_asked: bool,
    roll_asked: bool,
    end: Option<End>,
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
    /// How often a segment could not be ended for want of room.
    rolls_refused: AtomicU64,
    /// Number and first log position of each segment on disk, oldest first.
    pub(crate) segments: Mutex<Vec<(u64, u64)>>,
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
    roll_asked: bool,
    end: Option<End>,
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
            progress,
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.take_turn().expect("no thread panicked while it changed the graphs")
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

    /// Ends the segment that holds `position`, and waits until it has a successor; `false` if
    /// there is no room for one.
    pub(crate) fn roll_past(&self, position: u64) -> Result<bool, LogFailed> {
        let refused = self.progress.rolls_refused.load(Ordering::Acquire);
        self.lock().queue.roll_asked = true;
        self.wake_writer();
        self.progress.wait_rolled(position, refused)
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

    /// Waits for work, until `deadline` at most; gives back buffers of the work before.
    fn next_work(&self, done: Vec<Group>, deadline: Option<Instant>) -> Work {
        let mut inner = self.take_turn().unwrap_or_else(PoisonError::into_inner);
        inner.queue.recycle(done);
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
            self.groups.push(Group { buffer, first_position: position, record_count: 0 });
        }
        if let Some(group) = self.groups.last_mut() {
            let before = group.buffer.len();
            encode_record(&mut group.buffer, workspace.0, record);
            group.record_count += 1;
            self.bytes += group.buffer.len() - before;
        }
    }

    /// Bytes that are not on disk yet.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.bytes_in_flight
    }

    /// Nothing that is queued from now on will be written.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    fn is_idle(&self) -> bool {
        self.groups.is_empty() && !self.sync_asked && !self.roll_asked && self.end.is_none()
    }

    fn take(&mut self) -> Work {
        self.bytes_in_flight = std::mem::take(&mut self.bytes);
        Work {
            groups: std::mem::take(&mut self.groups),
            sync_asked: std::mem::take(&mut self.sync_asked),
            roll_asked: std::mem::take(&mut self.roll_asked),
            end: self.end,
        }
    }

    fn recycle(&mut self, done: Vec<Group>) {
        self.bytes_in_flight = 0;
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

    /// Waits until a segment begins after `position`; `false` if that was refused.
    fn wait_rolled(&self, position: u64, refused: u64) -> Result<bool, LogFailed> {
        let begins_after = || {
            let segments = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
            segments.last().is_some_and(|(_, first)| *first > position)
        };
        let mut life = self.life();
        while !begins_after() {
            if self.rolls_refused.load(Ordering::Acquire) != refused {
                return Ok(false);
            }
            check_open(&life)?;
            life = self.changed.wait(life).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(true)
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
    let mut deadline = None;
    let mut rolling = false;
    loop {
        let wait_until = if rolling { Some(Instant::now()) } else { deadline };
        let mut work = shared.next_work(done, wait_until);
        if work.end == Some(End::Abandon) {
            return Ok(());
        }
        for group in &mut work.groups {
            log = write_group(shared, log, group, policy)?;
        }
        let due = deadline.is_some_and(|deadline| deadline <= Instant::now());
        if work.sync_asked || due {
            log = log.sync()?;
            publish(shared, &log, policy);
        }
        if work.end == Some(End::Clean) {
            return log.close();
        }
        if rolling || work.roll_asked {
            (log, rolling) = roll(shared, log, policy)?;
        }
        deadline = sync_deadline(&log, policy, deadline);
        log.prepare();
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
    shared.progress.groups.fetch_add(1, Ordering::Relaxed);
    shared.progress.bytes.fetch_add(group.buffer.len() as u64, Ordering::Relaxed);
    publish(shared, &log, policy);
    Ok(log)
}

/// Ends the newest segment if the next is ready; says whether that is still to be done.
fn roll(shared: &Shared, log: Log, policy: SyncPolicy) -> Result<(Log, bool), IoFailed> {
    let segment = log.newest_segment();
    let (log, ended) = log.end_segment()?;
    if log.newest_segment() != segment {
        note_segment(shared, &log);
        publish(shared, &log, policy);
    }
    if ended == Ended::NoRoom {
        shared.progress.rolls_refused.fetch_add(1, Ordering::AcqRel);
        shared.progress.notify();
    }
    Ok((log, ended == Ended::NotYet))
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
