//! The calls of one connection, worked on where the connection is: one task for all of them.
//!
//! With a task for each call an answer wakes the connection, and that sends it before the next call
//! is looked at: a system call each. Here what has come in is worked on first, and its answers go
//! out together. Nothing of a connection ever waits for another thread that has it.
//!
//! There are never more calls than a connection may have streams. Those that wait when it ends are
//! dropped with it.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::stream::FuturesUnordered;
use hyper::rt::Executor;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Then the answers are sent, and other connections have their turn.
const NEW_AT_ONCE: usize = 32;

type Call = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The calls that are not answered yet.
pub(super) struct Calls {
    new: UnboundedReceiver<Call>,
    waiting: FuturesUnordered<Call>,
}

/// Where a connection leaves its calls.
#[derive(Clone)]
pub(super) struct Door(UnboundedSender<Call>);

impl Calls {
    pub(super) fn new() -> (Door, Calls) {
        let (door, new) = unbounded_channel();
        (Door(door), Calls { new, waiting: FuturesUnordered::new() })
    }

    /// Goes on with the connection, which leaves new calls, then with the calls, and sends their
    /// answers.
    pub(super) fn poll<C: Future>(
        &mut self,
        mut connection: Pin<&mut C>,
        context: &mut Context<'_>,
    ) -> Poll<C::Output> {
        let ended = connection.as_mut().poll(context);
        self.work(context);
        let ended = if ended.is_ready() { ended } else { connection.poll(context) };
        if !self.new.is_empty() {
            context.waker().wake_by_ref();
        }
        ended
    }

    fn work(&mut self, context: &mut Context<'_>) {
        for _ in 0..NEW_AT_ONCE {
            let Ok(mut call) = self.new.try_recv() else { break };
            // Most are answered at once, and need no place among those that wait.
            if call.as_mut().poll(context).is_pending() {
                self.waiting.push(call);
            }
        }
        while let Poll::Ready(Some(())) = Pin::new(&mut self.waiting).poll_next(context) {}
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Door {
    fn execute(&self, call: F) {
        // Nobody is there to work on it if the connection has ended.
        let _ = self.0.send(Box::pin(call));
    }
}
