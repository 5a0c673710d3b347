//! The calls that are long: beside the short ones, each kind in turn, begun in the order in which
//! they came.
//!
//! One that is given up while it waits is never worked on. One that is worked on goes on to its
//! end, whoever has gone, and the next waits for that: there are never more threads of a kind than
//! it has turns at a time.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;

use crate::dispatch::{Dispatch, Reply};

/// The turns of one kind.
#[derive(Clone)]
pub(super) struct Turns(Arc<Semaphore>);

/// A place in the line of long calls; whoever has it leaves the line by dropping it.
pub(super) struct Place {
    dispatch: Arc<Dispatch>,
    bytes: u64,
    was_worked_on: bool,
}

/// A long call that is made once for all who ask while it runs.
#[derive(Default)]
pub(super) struct Shared(Mutex<Option<watch::Receiver<Option<Reply>>>>);

impl Turns {
    /// So many are worked on at a time.
    pub(super) fn of(count: usize) -> Turns {
        Turns(Arc::new(Semaphore::new(count)))
    }

    /// Runs `work` when it is its turn; `None` if it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        place: Option<Place>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let turn = self.0.clone().acquire_owned().await.expect("nobody closes it");
        let working = spawn_blocking(move || {
            let result = work();
            if let Some(mut place) = place {
                place.was_worked_on = true;
            }
            drop(turn);
            result
        });
        working.await.ok()
    }
}

impl Place {
    /// After [`Dispatch::join_line`] with as many bytes.
    pub(super) fn new(dispatch: Arc<Dispatch>, bytes: u64) -> Place {
        Place { dispatch, bytes, was_worked_on: false }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.dispatch.leave_line(self.bytes, self.was_worked_on);
    }
}

impl Shared {
    /// Waits for the call that runs, or begins `work`; `None` if it panicked.
    pub(super) async fn run(&self, work: impl FnOnce() -> Reply + Send + 'static) -> Option<Reply> {
        let mut running = self.running(work);
        let reply = running.wait_for(Option::is_some).await.ok()?;
        reply.clone()
    }

    fn running(
        &self,
        work: impl FnOnce() -> Reply + Send + 'static,
    ) -> watch::Receiver<Option<Reply>> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Of one that panicked the sender is gone.
        if let Some(running) = newest
            .as_ref()
            .filter(|running| running.borrow().is_none() && running.has_changed().is_ok())
        {
            return running.clone();
        }
        let (ended, running) = watch::channel(None);
        spawn_blocking(move || ended.send_replace(Some(work())));
        newest.insert(running).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, mpsc};
    use std::time::Duration;

    use ipse_store::{LogPosition, Recovery, Store};
    use tokio::time::timeout;

    use super::*;
    use crate::clock::now;

    fn reply() -> Reply {
        Reply { position: LogPosition(0), result: Ok(Vec::new()) }
    }

    fn waiting(dispatch: &Dispatch) -> u64 {
        let figures = dispatch.figures();
        figures.iter().find(|(name, _)| *name == "long_calls_waiting").map_or(0, |(_, n)| *n)
    }

    fn place(dispatch: &Arc<Dispatch>) -> Option<Place> {
        dispatch.join_line(1, None).expect("there is room");
        Some(Place::new(dispatch.clone(), 1))
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_line_and_is_never_worked_on() {
        let dispatch = Arc::new(Dispatch::new(Store::in_memory(1), Recovery::default(), now()));
        let turns = Turns::of(1);
        let (go, held) = mpsc::channel();
        let running = tokio::spawn({
            let (turns, place) = (turns.clone(), place(&dispatch));
            let work = move || held.recv().map(|()| reply()).expect("it is let go");
            async move { turns.run(place, work).await }
        });
        tokio::task::yield_now().await;
        let never = || panic!("it was given up");
        let given_up = timeout(Duration::from_millis(1), turns.run(place(&dispatch), never));
        assert!(given_up.await.is_err());
        assert_eq!(waiting(&dispatch), 1);
        go.send(()).expect("it waits");
        assert!(running.await.expect("no panic").is_some());
        assert_eq!(waiting(&dispatch), 0);
    }

    #[tokio::test]
    async fn as_many_are_worked_on_at_a_time_as_there_are_turns() {
        let (turns, both) = (Turns::of(2), Arc::new(Barrier::new(2)));
        let work = || {
            let both = both.clone();
            move || {
                both.wait();
                reply()
            }
        };
        let (one, other) = tokio::join!(turns.run(None, work()), turns.run(None, work()));
        assert!(one.is_some() && other.is_some());
    }

    #[tokio::test]
    async fn a_panic_takes_nobody_else_s_turn() {
        let dispatch = Arc::new(Dispatch::new(Store::in_memory(1), Recovery::default(), now()));
        let turns = Turns::of(1);
        assert!(turns.run(place(&dispatch), || panic!("a bug")).await.is_none());
        assert_eq!(waiting(&dispatch), 0);
        assert!(turns.run(place(&dispatch), reply).await.is_some());
        let shared = Shared::default();
        assert!(shared.run(|| panic!("a bug")).await.is_none());
        assert!(shared.run(reply).await.is_some());
    }

    #[tokio::test]
    async fn those_who_ask_while_it_runs_share_one() {
        let shared = Shared::default();
        let (go, held) = mpsc::channel::<()>();
        let first = shared.running(move || {
            held.recv().expect("it is let go");
            reply()
        });
        let second = shared.running(|| panic!("it runs already"));
        go.send(()).expect("it waits");
        for mut running in [first, second] {
            assert!(running.wait_for(Option::is_some).await.is_ok());
        }
    }
}
