//! A call that watches: answered beside its connection, message by message, as its caller takes
//! them.
//!
//! ```text
//! Watch ─ in turn, where blocking holds nobody up ─> channel of one message ─> connection
//! ```
//!
//! A caller who is slow costs the message that it has not taken, the one behind it and the one that
//! is ready, and one who takes none for too long is told where to go on.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tonic::body::Body;

use super::carrier::{Call, Carrier};
use super::message::{self, Held};
use crate::limits::{WATCH_LOOK_INTERVAL_MS, WATCH_SEND_S_MAX};
use crate::status::{Absence, Status};
use crate::watch::Next;

const LOOK_INTERVAL: Duration = Duration::from_millis(WATCH_LOOK_INTERVAL_MS);
const SEND_MAX: Duration = Duration::from_secs(WATCH_SEND_S_MAX);

/// A message, which counts until its caller takes it.
type Message = (Vec<u8>, Option<Held>);

/// The messages of an answer, then why it ends.
struct Messages {
    waiting: mpsc::Receiver<Message>,
    end: oneshot::Receiver<Status>,
    /// Of the message that is being taken.
    frames: [Bytes; 2],
    held: Option<Held>,
}

impl Carrier {
    /// Answers a call without end.
    pub(super) fn stream(self: Arc<Self>, call: Call, peer: SocketAddr) -> Response<Body> {
        let (sender, waiting) = mpsc::channel(1);
        let (ending, end) = oneshot::channel();
        tokio::spawn(async move {
            let mut flight = self.begin(&call, peer).await;
            let ended = tokio::select! {
                Err(status) = self.watch(&call, &sender) => status,
                absence = self.refused() => Status::not_serving(absence),
                () = sender.closed() => return,
            };
            flight.code = ended.code();
            // Who has the status finds it counted.
            drop(flight);
            // Whoever has gone is not to be told.
            let _ = ending.send(ended);
        });
        message::response(Messages { waiting, end, frames: Default::default(), held: None })
    }

    /// Sends what a watch has to tell until that ends.
    async fn watch(
        &self,
        call: &Call,
        sender: &mpsc::Sender<Message>,
    ) -> Result<Infallible, Status> {
        let mut news = self.news.subscribe();
        let dispatch = self.serving()?;
        let authorization = call.authorization.as_deref();
        let mut watch = dispatch.watch(call.path(), &call.request, authorization)?;
        loop {
            news.mark_unchanged();
            let looked = Instant::now();
            let looking = self.turns.watchers.run(None, move || (watch.next(), watch));
            let next;
            (next, watch) =
                looking.await.ok_or_else(|| dispatch.panicked(call.path(), "beside the calls"))?;
            match next? {
                Next::Message(message) => {
                    let held = Held::of(dispatch, message.len());
                    let sending = timeout(SEND_MAX, sender.send((message, held)));
                    sending.await.map_err(|_| watch.too_slow())?.unwrap_or_default();
                }
                Next::Wait(longest) if longest.is_zero() => {}
                Next::Wait(longest) => {
                    // Whether there is news or not: it is looked again.
                    let _ = timeout(longest, news.changed()).await;
                    sleep_until(looked + LOOK_INTERVAL).await;
                }
            }
        }
    }

    /// Waits until calls are refused.
    async fn refused(&self) -> Absence {
        let mut refusals = self.refusals.subscribe();
        loop {
            if let Some(absence) = self.absence() {
                return absence;
            }
            // The carrier has the sender.
            let _ = refusals.changed().await;
        }
    }
}

impl http_body::Body for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.frames.iter().all(Bytes::is_empty) {
            self.held = None;
            match ready!(self.waiting.poll_recv(context)) {
                Some((message, held)) => {
                    self.frames = message::framed(message);
                    self.held = held;
                }
                None => {
                    let status = self.end.try_recv().ok();
                    return Poll::Ready(
                        status.map(|status| Ok(Frame::trailers(message::trailers(status)))),
                    );
                }
            }
        }
        let frame = self.frames.iter_mut().find(|frame| !frame.is_empty());
        Poll::Ready(frame.map(|frame| Ok(Frame::data(std::mem::take(frame)))))
    }
}
