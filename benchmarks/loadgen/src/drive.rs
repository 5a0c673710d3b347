//! One phase against one system: callers take turns at a stream of calls, and their times are kept.
//!
//! Closed loop: a caller sends again when it is answered. Open loop: calls are due at a fixed rate,
//! whatever the answers, and a call's time counts from when it was due; so a system that falls
//! behind shows it (no coordinated omission). A call counts if it was due between the end of the
//! warm-up and the end of the phase, however late its answer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::carrier::{Carrier, Encode, Failure, Outgoing};
use crate::histogram::Histogram;
use crate::phases::Stream;
use crate::process::Usage;

/// How long calls that are under way at the end may take.
const GRACE: Duration = Duration::from_secs(10);
/// Calls that are due within this time go out together: waking for each would cost more than it.
const TICK: Duration = Duration::from_micros(100);
/// What a caller in a closed loop waits when it was refused: else it would ask at once again.
const PAUSE: Duration = Duration::from_millis(100);
const CHUNK_BYTES: usize = 4 << 20;

/// How a phase is driven.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pace {
    pub(crate) events_per_call: usize,
    /// Calls at a time; in an open loop the most of them.
    pub(crate) callers: usize,
    /// Absent: a closed loop.
    #[serde(default)]
    pub(crate) calls_per_s: Option<f64>,
    pub(crate) warmup_s: f64,
    pub(crate) seconds: f64,
    /// Events that are encoded before the phase begins.
    pub(crate) events_ahead: u64,
    /// Processes whose processor time is read: this one and its children.
    #[serde(default)]
    pub(crate) pid: Option<u32>,
}

/// What was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    seconds: f64,
    calls: u64,
    events: u64,
    events_per_s: f64,
    refused: u64,
    first_refusal: String,
    /// Due in time and not answered ten seconds after the end.
    unanswered_calls: u64,
    p50_ms: Option<f64>,
    p90_ms: Option<f64>,
    p99_ms: Option<f64>,
    p999_ms: Option<f64>,
    max_ms: Option<f64>,
    /// Open loop: by how much calls went out later than due, callers being busy included.
    sent_late_p99_ms: Option<f64>,
    request_bytes: f64,
    answer_bytes: f64,
    server_cpu_s: Option<f64>,
    generator_cpu_s: f64,
    /// Calls that were encoded within the phase, because those encoded before it ran out.
    calls_encoded_late: u64,
    /// Where new people begin for what follows.
    next_block: u64,
}

/// Drives the phase.
pub(crate) async fn drive<C: Carrier, E: Encode + Send + 'static>(
    carriers: Vec<C>,
    stream: Stream,
    encode: E,
    pace: &Pace,
) -> Result<Report, Failure> {
    let source = Source::new(stream, encode, pace);
    let clock = Clock::new(pace);
    let (begin, end) = (clock.begin, clock.end);
    let shared = Arc::new(Shared {
        clock,
        source: Mutex::new(source),
        counts: Mutex::new(Counts::default()),
    });
    let mut callers = JoinSet::new();
    for carrier in carriers {
        callers.spawn(call_in_turn(carrier, Arc::clone(&shared)));
    }
    if pace.calls_per_s.is_some() {
        let shared = Arc::clone(&shared);
        std::thread::spawn(move || shared.clock.release());
    }
    sleep_until(begin).await;
    let before = Usage::now(pace.pid)?;
    let mut done = std::pin::pin!(join_all(&mut callers));
    let ended_early = timeout_at(end, &mut done).await;
    let after = Usage::now(pace.pid)?;
    let seconds = match ended_early {
        Ok(result) => {
            result?;
            begin.elapsed().as_secs_f64()
        }
        Err(_) => {
            // Who is not back by then is counted as unanswered.
            timeout_at(end + GRACE, done).await.unwrap_or(Ok(()))?;
            pace.seconds
        }
    };
    Ok(shared.report(pace, seconds, &before, &after))
}

async fn join_all(callers: &mut JoinSet<Result<(), Failure>>) -> Result<(), Failure> {
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(())
}

async fn call_in_turn<C: Carrier, E: Encode>(
    mut carrier: C,
    shared: Arc<Shared<E>>,
) -> Result<(), Failure> {
    while let Some(due) = shared.clock.next_due().await {
        let Some(outgoing) = lock(&shared.source).next() else { break };
        let (events, request_bytes) = (outgoing.events, outgoing.bytes.len());
        let sent = Instant::now();
        let answer = carrier.call(outgoing).await?;
        let took = due.elapsed();
        if answer.refused > 0 && shared.clock.open.is_none() {
            sleep(PAUSE).await;
        }
        if due < shared.clock.begin || due >= shared.clock.end {
            continue;
        }
        let mut counts = lock(&shared.counts);
        counts.times.record(took);
        counts.lateness.record(sent - due);
        counts.events += events - answer.refused;
        counts.request_bytes += request_bytes as u64;
        counts.answer_bytes += answer.bytes.len() as u64;
        counts.refused += answer.refused;
        if answer.refused > 0 && counts.first_refusal.is_empty() {
            counts.first_refusal = answer.refusal;
        }
    }
    Ok(())
}

/// What the callers share. They run on one thread, so that no lock is ever waited for.
struct Shared<E> {
    clock: Clock,
    source: Mutex<Source<E>>,
    counts: Mutex<Counts>,
}

impl<E: Encode> Shared<E> {
    fn report(&self, pace: &Pace, seconds: f64, before: &Usage, after: &Usage) -> Report {
        let source = lock(&self.source);
        let counts = lock(&self.counts);
        let per_call = |bytes: u64| bytes as f64 / counts.times.total.max(1) as f64;
        Report {
            seconds,
            calls: counts.times.total,
            events: counts.events,
            events_per_s: counts.events as f64 / seconds,
            refused: counts.refused,
            first_refusal: counts.first_refusal.clone(),
            unanswered_calls: self.clock.due_calls().saturating_sub(counts.times.total),
            p50_ms: counts.times.percentile_ms(50.0),
            p90_ms: counts.times.percentile_ms(90.0),
            p99_ms: counts.times.percentile_ms(99.0),
            p999_ms: counts.times.percentile_ms(99.9),
            max_ms: counts.times.percentile_ms(100.0),
            sent_late_p99_ms: pace.calls_per_s.and_then(|_| counts.lateness.percentile_ms(99.0)),
            request_bytes: per_call(counts.request_bytes),
            answer_bytes: per_call(counts.answer_bytes),
            server_cpu_s: after.others_s.zip(before.others_s).map(|(after, before)| after - before),
            generator_cpu_s: after.own_s - before.own_s,
            calls_encoded_late: source.encoded_late,
            next_block: source.stream.next_block(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Counts {
    times: Histogram,
    lateness: Histogram,
    events: u64,
    refused: u64,
    first_refusal: String,
    request_bytes: u64,
    answer_bytes: u64,
}

/// When calls are due.
struct Clock {
    begin: Instant,
    end: Instant,
    open: Option<Open>,
}

struct Open {
    start: Instant,
    calls_per_s: f64,
    /// Calls from the start, warm-up included, to the end.
    calls: u64,
    callers: usize,
    /// One for each call that is due and not taken.
    due: Semaphore,
    taken: AtomicU64,
}

impl Clock {
    fn new(pace: &Pace) -> Clock {
        let start = Instant::now();
        let begin = start + Duration::from_secs_f64(pace.warmup_s);
        let open = pace.calls_per_s.map(|calls_per_s| Open {
            start,
            calls_per_s,
            calls: ((pace.warmup_s + pace.seconds) * calls_per_s) as u64,
            callers: pace.callers,
            due: Semaphore::new(0),
            taken: AtomicU64::new(0),
        });
        Clock { begin, end: begin + Duration::from_secs_f64(pace.seconds), open }
    }

    /// When the next call is due, which is not in the future; `None` at the end.
    async fn next_due(&self) -> Option<Instant> {
        let Some(open) = &self.open else {
            let now = Instant::now();
            return (now < self.end).then_some(now);
        };
        open.due.acquire().await.ok()?.forget();
        let number = open.taken.fetch_add(1, Ordering::Relaxed);
        (number < open.calls).then(|| open.due_time(number))
    }

    /// Open loop: lets calls go when they are due. Blocks until the last is.
    fn release(&self) {
        let Some(open) = &self.open else { return };
        let mut released = 0;
        while released < open.calls {
            let wait = open.due_time(released).saturating_duration_since(Instant::now());
            std::thread::sleep(wait.max(TICK));
            let by_now = (open.start.elapsed().as_secs_f64() * open.calls_per_s) as u64 + 1;
            let due = by_now.min(open.calls);
            open.due.add_permits((due - released) as usize);
            released = due;
        }
        open.due.add_permits(open.callers);
    }

    /// Open loop: how many calls are due between the end of the warm-up and the end.
    fn due_calls(&self) -> u64 {
        let Some(open) = &self.open else { return 0 };
        (0..open.calls).filter(|&number| open.due_time(number) >= self.begin).count() as u64
    }
}

impl Open {
    fn due_time(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.calls_per_s)
    }
}

/// Calls in the order of the stream, as many as possible encoded before they are needed.
struct Source<E> {
    stream: Stream,
    encode: E,
    events_per_call: usize,
    ahead: VecDeque<Outgoing>,
    chunk: BytesMut,
    encoded_late: u64,
}

impl<E: Encode> Source<E> {
    fn new(stream: Stream, encode: E, pace: &Pace) -> Source<E> {
        let mut source = Source {
            stream,
            encode,
            events_per_call: pace.events_per_call,
            ahead: VecDeque::new(),
            chunk: BytesMut::new(),
            encoded_late: 0,
        };
        for _ in 0..pace.events_ahead / pace.events_per_call as u64 {
            let Some(outgoing) = source.encode_next() else { break };
            source.ahead.push_back(outgoing);
        }
        source
    }

    fn next(&mut self) -> Option<Outgoing> {
        self.ahead.pop_front().or_else(|| {
            let outgoing = self.encode_next()?;
            self.encoded_late += 1;
            Some(outgoing)
        })
    }

    fn encode_next(&mut self) -> Option<Outgoing> {
        let call = self.stream.next_call(self.events_per_call)?;
        if self.chunk.capacity() < CHUNK_BYTES / 8 {
            self.chunk = BytesMut::with_capacity(CHUNK_BYTES);
        }
        self.encode.encode(&call, &mut self.chunk);
        Some(Outgoing { events: call.events(), bytes: self.chunk.split().freeze() })
    }
}
