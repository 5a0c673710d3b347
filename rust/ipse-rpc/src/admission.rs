//! Who is let in while there is more to do than can be done: the one place, for every transport.
//!
//! ```text
//! what would wait too long     log's queue, line of long calls     OVERLOADED
//! what would take too much     bytes held for calls                OVERLOADED
//! what is more than its share  a workspace's bucket                RATE_LIMITED
//! ```
//!
//! Refused before anything is decided, with the time after which to come back; what was let in
//! is done to its end. The waits are measured, not counted: the same number of calls is a
//! moment on one disk and a minute on another. Those who ask for much are refused first, health
//! and what administers the server never.
//!
//! To refuse a call costs a transport nearly as much as to answer it. So who is refused gets an
//! appointment of their own, and these follow each other at a small part of the rate at which
//! calls are answered: however many callers there are, most of what comes is let in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipse_store::WorkspaceIndex;

use crate::limits::{RETRY_DELAY_MS_MAX, RETRY_DELAY_MS_MIN};
use crate::status::{Reason, Status};

/// Appointments for each call that is answered: what refusals may cost.
const APPOINTMENTS_SHARE: f64 = 1.0 / 16.0;
const APPOINTMENTS_PER_S_MIN: f64 = 10.0;
/// Not sooner, or a few callers would come back all the time.
const APPOINTMENT_MIN: Duration = Duration::from_millis(500);
const APPOINTMENT_MAX: Duration = Duration::from_millis(RETRY_DELAY_MS_MAX as u64);
/// Answers are counted over a time between these.
const COUNTED_MIN: Duration = Duration::from_millis(100);
const COUNTED_MAX: Duration = Duration::from_secs(5);

/// The bounds; 0 is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The longest that a call of many things may be expected to wait. One of a single thing may
    /// twice as long.
    pub queue_wait_ms_max: u64,
    /// Bytes of requests that wait, and of answers that their callers have not taken.
    pub held_bytes_max: u64,
    /// Events, commands and imported profiles of one workspace per second.
    pub workspace_events_per_s_max: u64,
    /// As many of them at once, after a silence.
    pub workspace_burst: u64,
}

/// How much a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// An event, a command.
    One,
    /// A batch of so many, an import.
    Many(usize),
}

/// What is let in, and what that is judged by.
#[derive(Default)]
pub(crate) struct Admission {
    bounds: Mutex<Bounds>,
    held_bytes: AtomicU64,
    line: Mutex<Line>,
    crowd: Mutex<Crowd>,
    buckets: Mutex<HashMap<u32, Bucket>>,
    refusals: AtomicU64,
}

/// Long calls, which a transport works on a few at a time.
#[derive(Default)]
struct Line {
    waiting: u32,
    /// When the last one left, or the first one came.
    since: Option<Instant>,
    /// From one's end to the next one's.
    mean: Duration,
    appointments: Appointments,
}

/// How fast short calls are answered, and when those that are refused come back.
#[derive(Default)]
struct Crowd {
    /// When the answers were last counted, and how many there were.
    counted: Option<(Instant, u64)>,
    answers_per_s: f64,
    appointments: Appointments,
}

/// The last one that was given.
#[derive(Default)]
struct Appointments(Option<Instant>);

/// What a workspace may still send; less than nothing after a batch that was larger.
struct Bucket {
    left: f64,
    filled: Instant,
}

impl Admission {
    pub(crate) fn set_bounds(&self, bounds: Bounds) {
        *locked(&self.bounds) = bounds;
        locked(&self.buckets).clear();
    }

    /// Refuses what would wait too long for the disk, or longer than its caller does.
    pub(crate) fn check_log(&self, wait: Duration, size: Size) -> Result<(), Status> {
        match self.bounds().wait_max(size) {
            Some(bound) if wait > bound => {
                Err(self.overloaded(wait, &too_long(wait, bound, "the log's disk")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses what would not be answered before its caller has given up.
    pub(crate) fn check_deadline(&self, wait: Duration, left_ms: i64) -> Result<(), Status> {
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        if wait <= left {
            return Ok(());
        }
        Err(self.overloaded(wait, "the call would wait for longer than its deadline allows"))
    }

    /// Refuses what may be large while too much is held.
    pub(crate) fn check_held(&self) -> Result<(), Status> {
        let bound = self.bounds().held_bytes_max;
        let held = self.held_bytes();
        if bound == 0 || held < bound {
            return Ok(());
        }
        let problem = format!("{held} bytes are held for calls, held_bytes_max = {bound}");
        Err(self.overloaded(Duration::from_millis(u64::from(RETRY_DELAY_MS_MIN)), &problem))
    }

    /// Takes from a workspace's bucket. What asks for more than is left is let in if anything
    /// is, and what comes after it waits the longer: else a batch that is larger than a bucket
    /// would be refused for ever.
    pub(crate) fn take(
        &self,
        workspace: WorkspaceIndex,
        size: Size,
        now: Instant,
    ) -> Result<(), Status> {
        let bounds = self.bounds();
        if bounds.workspace_events_per_s_max == 0 {
            return Ok(());
        }
        let rate = bounds.workspace_events_per_s_max as f64;
        let most = bounds.workspace_burst.max(1) as f64;
        let mut buckets = locked(&self.buckets);
        let bucket = buckets.entry(workspace.0).or_insert(Bucket { left: most, filled: now });
        let passed = now.saturating_duration_since(bucket.filled).as_secs_f64();
        bucket.left = (bucket.left + passed * rate).min(most);
        bucket.filled = now;
        if bucket.left < 1.0 {
            let wait = Duration::from_secs_f64((1.0 - bucket.left) / rate);
            return Err(self.rate_limited(wait, bounds.workspace_events_per_s_max));
        }
        bucket.left -= size.count() as f64;
        Ok(())
    }

    /// Puts a long call in the line, with the bytes of its request.
    pub(crate) fn join(&self, bytes: u64, left_ms: Option<i64>) -> Result<(), Status> {
        self.check_held()?;
        let mut line = locked(&self.line);
        if line.waiting > 0 {
            let wait = line.mean * line.waiting;
            self.check_line(wait, &mut line)?;
            self.check_deadline(wait, left_ms.unwrap_or(i64::MAX))?;
        }
        if line.waiting == 0 {
            line.since = Some(Instant::now());
        }
        line.waiting += 1;
        drop(line);
        self.hold(bytes);
        Ok(())
    }

    /// Refuses a short call because there are so many in flight already. `answers` is how many
    /// calls were answered since the start.
    pub(crate) fn crowded(&self, in_flight: u64, bound: u64, answers: u64) -> Status {
        let now = Instant::now();
        let mut crowd = locked(&self.crowd);
        crowd.count(answers, now);
        let per_s = crowd.answers_per_s;
        let wait = crowd.appointments.give(per_s, now);
        let problem = format!("{in_flight} calls are in flight, {bound} are allowed");
        self.overloaded(wait, &problem)
    }

    /// It was worked on, or has given up.
    pub(crate) fn leave(&self, bytes: u64, was_worked_on: bool) {
        self.release(bytes);
        let now = Instant::now();
        let mut line = locked(&self.line);
        line.waiting = line.waiting.saturating_sub(1);
        if was_worked_on {
            let took = line.since.map_or(Duration::ZERO, |since| now.duration_since(since));
            line.mean = if line.mean.is_zero() { took } else { (line.mean * 7 + took) / 8 };
            line.since = Some(now);
        }
    }

    pub(crate) fn hold(&self, bytes: u64) {
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, bytes: u64) {
        let less = |held: u64| Some(held.saturating_sub(bytes));
        let _ = self.held_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    pub(crate) fn held_bytes(&self) -> u64 {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// How many calls are in the line.
    pub(crate) fn waiting(&self) -> u64 {
        u64::from(locked(&self.line).waiting)
    }

    pub(crate) fn refusals(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    fn bounds(&self) -> Bounds {
        *locked(&self.bounds)
    }

    /// Refuses what would wait too long for the long calls before it.
    fn check_line(&self, wait: Duration, line: &mut Line) -> Result<(), Status> {
        let Some(bound) = self.bounds().wait_max(Size::Many(1)).filter(|&bound| wait > bound)
        else {
            return Ok(());
        };
        let answers_per_s = 1.0 / line.mean.as_secs_f64();
        let later = line.appointments.give(answers_per_s, Instant::now());
        Err(self.overloaded(wait.max(later), &too_long(wait, bound, "the long calls before it")))
    }

    fn overloaded(&self, wait: Duration, problem: &str) -> Status {
        let delay_ms = self.delay_ms(wait);
        Status::new(Reason::Overloaded, format!("{problem}: try again after the delay"))
            .retry_after_ms(delay_ms)
    }

    fn rate_limited(&self, wait: Duration, rate: u64) -> Status {
        let delay_ms = self.delay_ms(wait);
        let problem = format!(
            "the workspace sends more than workspace_events_per_s_max = {rate}: \
             try again after the delay"
        );
        Status::new(Reason::RateLimited, problem).retry_after_ms(delay_ms)
    }

    /// The wait and up to half as much again, within bounds.
    fn delay_ms(&self, wait: Duration) -> u32 {
        let number = self.refusals.fetch_add(1, Ordering::Relaxed);
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let delay_ms = wait_ms.clamp(RETRY_DELAY_MS_MIN, RETRY_DELAY_MS_MAX);
        delay_ms + u32::try_from(mixed(number) % u64::from(delay_ms / 2 + 1)).unwrap_or(0)
    }
}

impl Bounds {
    fn wait_max(&self, size: Size) -> Option<Duration> {
        let bound = Duration::from_millis(self.queue_wait_ms_max);
        let bound = match size {
            Size::One => bound * 2,
            Size::Many(_) => bound,
        };
        (!bound.is_zero()).then_some(bound)
    }
}

impl Crowd {
    /// Answers per second, by what was answered since this was last asked.
    fn count(&mut self, answers: u64, now: Instant) {
        let Some((then, before)) = self.counted else {
            self.counted = Some((now, answers));
            return;
        };
        let passed = now.saturating_duration_since(then);
        if passed < COUNTED_MIN {
            return;
        }
        self.counted = Some((now, answers));
        // Over a longer time much of it was idle, and says nothing of what can be done.
        if passed < COUNTED_MAX {
            self.answers_per_s = answers.saturating_sub(before) as f64 / passed.as_secs_f64();
        }
    }
}

impl Appointments {
    /// The time to the next one, where so many calls are answered per second.
    fn give(&mut self, answers_per_s: f64, now: Instant) -> Duration {
        let per_s = (answers_per_s * APPOINTMENTS_SHARE).max(APPOINTMENTS_PER_S_MIN);
        let soonest = now + APPOINTMENT_MIN;
        let after_last = self.0.map(|last| last + Duration::from_secs_f64(1.0 / per_s));
        let next = after_last.unwrap_or(soonest).max(soonest);
        let most = now + APPOINTMENT_MAX;
        if next > most {
            // The line is full: the rest come back spread over its second half.
            return APPOINTMENT_MAX / 2;
        }
        self.0 = Some(next);
        next - now
    }
}

impl Size {
    fn count(self) -> usize {
        match self {
            Size::One => 1,
            Size::Many(count) => count,
        }
    }
}

fn too_long(wait: Duration, bound: Duration, what: &str) -> String {
    let (wait_ms, bound_ms) = (wait.as_millis(), bound.as_millis());
    format!("it would wait {wait_ms} ms for {what}, {bound_ms} are allowed")
}

/// A number that looks like chance (the end of SplitMix64).
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What these locks guard is whole between any two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        queue_wait_ms_max: 100,
        held_bytes_max: 1_000,
        workspace_events_per_s_max: 10,
        workspace_burst: 5,
    };
    const ONE: WorkspaceIndex = WorkspaceIndex(1);
    const OTHER: WorkspaceIndex = WorkspaceIndex(2);

    fn bounded() -> Admission {
        let admission = Admission::default();
        admission.set_bounds(BOUNDS);
        admission
    }

    fn reason(found: Result<(), Status>) -> Option<Reason> {
        found.err().map(|status| {
            assert!(status.retry_delay_ms().is_some_and(|delay| delay > 0), "{status:?}");
            status.reason()
        })
    }

    #[test]
    fn who_asks_for_much_is_refused_first() {
        let admission = bounded();
        for (wait_ms, one, many) in [(100, true, true), (101, true, false), (201, false, false)] {
            let wait = Duration::from_millis(wait_ms);
            assert_eq!(admission.check_log(wait, Size::One).is_ok(), one, "{wait_ms}");
            assert_eq!(admission.check_log(wait, Size::Many(2)).is_ok(), many, "{wait_ms}");
        }
    }

    #[test]
    fn the_delay_is_the_wait_and_differs() {
        let admission = bounded();
        let mut delays = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let refused = admission.check_log(Duration::from_secs(1), Size::One);
            let delay_ms = refused.expect_err("too long").retry_delay_ms().expect("always");
            assert!((1_000..=1_500).contains(&delay_ms), "{delay_ms}");
            delays.insert(delay_ms);
        }
        assert!(delays.len() > 50, "{}", delays.len());
        assert_eq!(admission.refusals(), 100);
    }

    #[test]
    fn a_bucket_fills_with_time_and_is_each_workspace_s_own() {
        let (admission, start) = (bounded(), Instant::now());
        let taken = (0..6).map(|_| admission.take(ONE, Size::One, start));
        assert_eq!(taken.filter(Result::is_ok).count(), 5);
        assert_eq!(reason(admission.take(ONE, Size::One, start)), Some(Reason::RateLimited));
        assert!(admission.take(OTHER, Size::One, start).is_ok());
        let later = start + Duration::from_millis(100);
        assert!(admission.take(ONE, Size::One, later).is_ok());
        assert!(admission.take(ONE, Size::One, later).is_err());
    }

    #[test]
    fn a_batch_larger_than_the_bucket_is_let_in_and_paid_for_afterwards() {
        let (admission, start) = (bounded(), Instant::now());
        assert!(admission.take(ONE, Size::Many(25), start).is_ok());
        let refused = admission.take(ONE, Size::One, start).expect_err("20 are owed");
        assert!((2_100..=3_200).contains(&refused.retry_delay_ms().expect("always")));
        assert!(admission.take(ONE, Size::One, start + Duration::from_millis(2_050)).is_err());
        assert!(admission.take(ONE, Size::One, start + Duration::from_millis(2_150)).is_ok());
    }

    #[test]
    fn however_many_are_refused_they_come_back_at_a_part_of_what_is_answered() {
        let (mut appointments, start) = (Appointments::default(), Instant::now());
        // A sixteenth of 1,600 a second.
        let delays: Vec<_> = (0..900).map(|_| appointments.give(1_600.0, start)).collect();
        assert_eq!(delays[0], APPOINTMENT_MIN);
        for (at, delay) in delays.iter().enumerate() {
            let expected = APPOINTMENT_MIN + Duration::from_millis(10) * at as u32;
            assert!(delay.abs_diff(expected) < Duration::from_millis(1), "{at}: {delay:?}");
        }
        let beyond = (0..100).map(|_| appointments.give(1_600.0, start)).last();
        assert_eq!(beyond, Some(APPOINTMENT_MAX / 2), "nobody waits for longer than the most");
        let later = appointments.give(1_600.0, start + Duration::from_secs(60));
        assert_eq!(later, APPOINTMENT_MIN, "nobody else waits");
    }

    #[test]
    fn answers_are_counted_only_while_there_are_many_refusals() {
        let (mut crowd, start) = (Crowd::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        crowd.count(1_000, at(0));
        crowd.count(1_050, at(50));
        assert!(crowd.answers_per_s < 1.0, "the time is too short");
        crowd.count(1_100, at(100));
        assert!((crowd.answers_per_s - 1_000.0).abs() < 1.0);
        crowd.count(1_200, at(60_000));
        assert!((crowd.answers_per_s - 1_000.0).abs() < 1.0, "it had little to do meanwhile");
    }

    #[test]
    fn without_bounds_everything_is_let_in() {
        let admission = Admission::default();
        let hour = Duration::from_secs(3_600);
        assert!(admission.check_log(hour, Size::Many(1_000)).is_ok());
        assert!(admission.take(ONE, Size::Many(1_000_000), Instant::now()).is_ok());
        admission.hold(1 << 40);
        assert!(admission.check_held().is_ok());
    }

    #[test]
    fn what_is_held_is_bounded_and_given_back() {
        let admission = bounded();
        assert!(admission.join(1_000, None).is_ok());
        assert_eq!(reason(admission.check_held()), Some(Reason::Overloaded));
        assert_eq!(reason(admission.join(1, None)), Some(Reason::Overloaded));
        admission.leave(1_000, true);
        assert!(admission.check_held().is_ok());
        assert_eq!((admission.held_bytes(), admission.waiting()), (0, 0));
    }

    #[test]
    fn a_line_that_is_too_long_is_not_joined_and_who_would_give_up_is_told_at_once() {
        let admission = bounded();
        assert!(admission.join(1, Some(1)).is_ok(), "nobody is before it");
        locked(&admission.line).mean = Duration::from_millis(40);
        assert_eq!(reason(admission.join(1, Some(39))), Some(Reason::Overloaded));
        assert!(admission.join(1, Some(40)).is_ok());
        assert!(admission.join(1, None).is_ok(), "80 ms are allowed");
        assert_eq!(reason(admission.join(1, None)), Some(Reason::Overloaded));
        admission.leave(1, false);
        assert!(admission.join(1, None).is_ok());
    }
}
