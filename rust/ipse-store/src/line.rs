//! Who waits for the graphs, so that whoever has them for long can let the others go first.
//!
//! The operating system's lock does not keep a line: who lets it go and takes it again at once
//! has it again before anyone who slept is awake, and a long call could keep everyone waiting
//! for its whole length. Those who are in a hurry still take the lock when it is free; only
//! who asks [`Line::let_others_go`] stands back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Counts of those who came to wait and of those who have waited.
#[derive(Debug, Default)]
pub(crate) struct Line {
    joined: AtomicU64,
    left: AtomicU64,
}

impl Line {
    /// Takes a lock that is not free.
    pub(crate) fn wait<T>(&self, take: impl FnOnce() -> T) -> T {
        self.join();
        let taken = take();
        self.leave();
        taken
    }

    pub(crate) fn join(&self) {
        self.joined.fetch_add(1, Ordering::AcqRel);
    }

    /// To be called with the lock held: whoever let it go may take it again after that.
    pub(crate) fn leave(&self) {
        self.left.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether nobody waits now.
    pub(crate) fn is_empty(&self) -> bool {
        self.left.load(Ordering::Acquire) >= self.joined.load(Ordering::Acquire)
    }

    /// Returns when as many as wait now have had the lock. Those who come later are not waited
    /// for, so that it ends.
    pub(crate) fn let_others_go(&self) {
        let joined = self.joined.load(Ordering::Acquire);
        while self.left.load(Ordering::Acquire) < joined {
            thread::yield_now();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn who_lets_others_go_finds_that_all_who_waited_have_been() {
        let (line, lock) = (Line::default(), Mutex::new(0));
        thread::scope(|scope| {
            let held = lock.lock().expect("nobody panics");
            assert!(line.is_empty());
            for _ in 0..3 {
                scope.spawn(|| *line.wait(|| lock.lock().expect("nobody panics")) += 1);
            }
            while line.joined.load(Ordering::Acquire) < 3 {
                thread::yield_now();
            }
            assert!(!line.is_empty());
            drop(held);
            line.let_others_go();
            assert_eq!(*lock.lock().expect("nobody panics"), 3);
        });
    }
}
