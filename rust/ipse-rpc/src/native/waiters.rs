//! The calls that wait for the disk. One wake-up of one task ends the waiting of a whole commit
//! group; no thread waits, and none holds a lock while it does.
//!
//! Invariant: positions rise from the front to the back, so that one look at the front tells what
//! a group released. Nearly every position is the highest so far; a read may rest on an older one,
//! and two threads may come in the other order: those are put in their place.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Calls by log position.
#[derive(Default)]
pub(super) struct Waiters {
    line: Mutex<Line>,
    count: AtomicUsize,
}

#[derive(Default)]
struct Line {
    waiting: VecDeque<Waiter>,
    /// Nothing more will be synced.
    failed: bool,
}

struct Waiter {
    position: u64,
    synced: oneshot::Sender<()>,
}

impl Waiters {
    /// How many wait, with those who have given up since.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits for a position; false if it will not be synced any more. `synced` tells how far the
    /// log is: it is asked once more while nobody can release.
    pub(super) async fn wait(&self, position: u64, synced: impl Fn() -> u64) -> bool {
        let released = {
            let mut line = self.line();
            if synced() >= position {
                return true;
            }
            if line.failed {
                return false;
            }
            let (released, waiting) = oneshot::channel();
            line.put(Waiter { position, synced: released });
            self.count.store(line.waiting.len(), Ordering::Relaxed);
            waiting
        };
        released.await.is_ok()
    }

    /// Ends the waiting for all positions that are synced.
    pub(super) fn release(&self, synced: impl Fn() -> u64) {
        let released = {
            let mut line = self.line();
            let synced = synced();
            let count = line.waiting.partition_point(|waiter| waiter.position <= synced);
            let released: Vec<Waiter> = line.waiting.drain(..count).collect();
            self.count.store(line.waiting.len(), Ordering::Relaxed);
            released
        };
        for waiter in released {
            // Whoever has given up is not to be told.
            let _ = waiter.synced.send(());
        }
    }

    /// Ends all waiting, also that to come: nothing more will be synced.
    pub(super) fn fail(&self) {
        let mut line = self.line();
        line.failed = true;
        line.waiting.clear();
        self.count.store(0, Ordering::Relaxed);
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Whole between any two statements.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn put(&mut self, waiter: Waiter) {
        let at = self.waiting.partition_point(|other| other.position <= waiter.position);
        self.waiting.insert(at, waiter);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn nothing() -> u64 {
        0
    }

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_position_releases_those_up_to_it_whatever_their_order() {
        let waiters = Waiters::default();
        let mut third = pin!(waiters.wait(3, nothing));
        let mut first = pin!(waiters.wait(1, nothing));
        let mut second = pin!(waiters.wait(2, nothing));
        for waiting in [&mut third, &mut first, &mut second] {
            assert_eq!(poll(waiting.as_mut()), Poll::Pending);
        }
        assert_eq!(waiters.count(), 3);
        waiters.release(|| 2);
        assert_eq!(poll(first), Poll::Ready(true));
        assert_eq!(poll(second), Poll::Ready(true));
        assert_eq!(poll(third.as_mut()), Poll::Pending);
        assert_eq!(waiters.count(), 1);
        waiters.fail();
        assert_eq!(poll(third), Poll::Ready(false));
        assert_eq!(waiters.count(), 0);
    }

    #[test]
    fn nobody_waits_for_what_was_synced_meanwhile_or_never_will_be() {
        let waiters = Waiters::default();
        assert_eq!(poll(pin!(waiters.wait(7, || 7))), Poll::Ready(true));
        waiters.fail();
        assert_eq!(poll(pin!(waiters.wait(7, || 7))), Poll::Ready(true));
        assert_eq!(poll(pin!(waiters.wait(8, || 7))), Poll::Ready(false));
    }

    #[test]
    fn who_gives_up_counts_until_its_turn() {
        let waiters = Waiters::default();
        {
            let mut gone = pin!(waiters.wait(1, nothing));
            assert_eq!(poll(gone.as_mut()), Poll::Pending);
        }
        assert_eq!(waiters.count(), 1);
        waiters.release(|| 1);
        assert_eq!(waiters.count(), 0);
    }
}
