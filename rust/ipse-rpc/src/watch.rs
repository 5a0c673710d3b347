//! Watchers: what the records of a workspace change, message by message, from a number on.
//!
//! ```text
//! a place? -> let in as any call -> after which number?
//!   ┌─> token still good? -> workspace still there? -> read on in the log
//!   └── a message: send it, ask again   nothing yet: wait for the log, ask again
//! ```
//!
//! Knows no transport and never waits. Whoever carries a watch asks it where reading files keeps
//! nobody waiting, sends what it gives as its caller takes it, and keeps no more than one message.
//! Nothing is told that is not synced, nor what was erased meanwhile.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ipse_core::erasure::Redactor;
use ipse_core::{SequenceNumber, Timestamp};
use ipse_store::{Cursor, LogPosition, Stopped, WorkspaceIndex};
use prost::Message;

use crate::changes::Wanted;
use crate::dispatch::{Answer, Dispatch, Handled, Refused, decode};
use crate::fault::catching;
use crate::limits::{
    HEARTBEAT_S_DEFAULT, HEARTBEAT_S_MAX, RETRY_DELAY_MS_MIN, WATCH_MESSAGE_BYTES_TARGET,
    WATCH_READ_RECORDS_MAX, WATCH_SEND_S_MAX, WATCHERS_MAX,
};
use crate::proto::v1;
use crate::status::{Reason, Status};

/// One call that watches.
pub struct Watch {
    dispatch: Arc<Dispatch>,
    method: String,
    request: Vec<u8>,
    authorization: Option<Vec<u8>>,
    /// `None` until it is asked for the first time.
    feed: Option<Feed>,
    /// Through which number its caller was told by what was sent.
    sent: SequenceNumber,
}

/// What a watch comes to when it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// To be sent; then ask again.
    Message(Vec<u8>),
    /// Nothing yet: ask again when more is synced, or after this.
    Wait(Duration),
}

/// Reads on for one watcher.
struct Feed {
    workspace: WorkspaceIndex,
    profile_key: [u8; 16],
    wanted: Wanted,
    cursor: Cursor,
    heartbeat: Duration,
    /// When there was a message last.
    told: Option<Instant>,
}

/// How many watch.
#[derive(Debug, Default)]
pub(crate) struct Watchers(AtomicUsize);

impl Dispatch {
    /// Begins to watch, if there is a place. What else the request is refused for is said when the
    /// watch is asked for its first message.
    pub fn watch(
        self: &Arc<Self>,
        method: &str,
        request: &[u8],
        authorization: Option<&[u8]>,
    ) -> Result<Watch, Status> {
        self.metrics.calls.add(1);
        self.check_caller(Some(method), authorization)?;
        self.watchers.join()?;
        Ok(Watch {
            dispatch: self.clone(),
            method: method.to_owned(),
            request: request.to_vec(),
            authorization: authorization.map(<[u8]>::to_vec),
            feed: None,
            sent: SequenceNumber(0),
        })
    }

    /// One look for one who asks again and again, instead of watching.
    pub(crate) fn watch_changes(&self, request: &[u8], _now: Timestamp) -> Handled {
        let mut feed = self.feed(request)?;
        let (message, _) = feed.message(self)?;
        Ok(Answer { position: LogPosition(0), bytes: message.encode_to_vec() })
    }

    fn feed(&self, request: &[u8]) -> Result<Feed, Refused> {
        let request: v1::WatchChangesRequest = decode(request)?;
        let heartbeat_s = match request.heartbeat_seconds {
            0 => HEARTBEAT_S_DEFAULT,
            seconds => seconds,
        };
        if heartbeat_s > HEARTBEAT_S_MAX {
            let problem = format!("{heartbeat_s} is more than {HEARTBEAT_S_MAX}");
            return Err(Status::invalid_field("heartbeat_seconds", problem).into());
        }
        let wanted = Wanted::read(&request.kinds, request.namespaces)?;
        let look = self.look(&request.workspace)?;
        let newest = look.graph().sequence();
        let after = request.after_sequence_number.map(SequenceNumber);
        if after.is_some_and(|after| after > newest) {
            let problem = format!("is beyond the newest record, {newest}");
            return Err(Status::invalid_field("after_sequence_number", problem).into());
        }
        Ok(Feed {
            workspace: look.workspace(),
            profile_key: *look.graph().profile_key(),
            wanted,
            cursor: look.locked.cursor(look.workspace(), after),
            heartbeat: Duration::from_secs(heartbeat_s.into()),
            told: None,
        })
    }
}

impl Watch {
    /// Its next message, if there is one; an error is its end. Reads files. To be asked again only
    /// when what it gave before was sent.
    #[allow(clippy::should_implement_trait, reason = "it has no end but an error")]
    pub fn next(&mut self) -> Result<Next, Status> {
        self.sent = self.feed.as_ref().map_or(self.sent, |feed| feed.cursor.sequence());
        catching(AssertUnwindSafe(|| self.look()))
            .unwrap_or_else(|panic| Err(self.dispatch.panicked(&self.method, &panic)))
    }

    /// Why one ends whose caller does not take what there is.
    pub fn too_slow(&self) -> Status {
        let Watch { sent, .. } = self;
        let problem = format!(
            "nothing was taken for {WATCH_SEND_S_MAX} s: go on from sequence number {sent}"
        );
        Status::new(Reason::Overloaded, problem)
            .with("sequence_number", sent)
            .retry_after_ms(RETRY_DELAY_MS_MIN)
    }

    fn look(&mut self) -> Result<Next, Status> {
        let Watch { dispatch, method, request, authorization, feed, .. } = self;
        // The token may have been taken back since.
        let (_, request) = dispatch.let_in(method, request, authorization.as_deref(), None)?;
        let feed = match feed {
            Some(feed) => feed,
            None => feed.insert(dispatch.feed(&request).map_err(|refused| {
                // That a workspace is gone may be in a record that is not synced.
                let _ = dispatch.store.wait_synced(refused.position, None);
                refused.status
            })?),
        };
        feed.next(dispatch)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.dispatch.watchers.leave();
    }
}

impl Feed {
    fn next(&mut self, dispatch: &Dispatch) -> Result<Next, Status> {
        let was_behind = self.cursor.is_behind();
        let (message, stopped) = self.message(dispatch)?;
        let since = self.told.map_or(self.heartbeat, |told| told.elapsed());
        let left = self.heartbeat.saturating_sub(since);
        // Whoever wants to hear of no more than there was is not to wait for a heartbeat.
        let has_caught_up = was_behind && !self.cursor.is_behind();
        if message.records.is_empty() && !left.is_zero() && !has_caught_up {
            let is_more = stopped == Stopped::Enough;
            return Ok(Next::Wait(if is_more { Duration::ZERO } else { left }));
        }
        self.told = Some(Instant::now());
        Ok(Next::Message(message.encode_to_vec()))
    }

    /// What there is to tell, also if that is only how far it goes.
    fn message(
        &mut self,
        dispatch: &Dispatch,
    ) -> Result<(v1::WatchChangesResponse, Stopped), Status> {
        let redactor = self.redactor(dispatch)?;
        let Feed { wanted, profile_key, cursor, .. } = self;
        let mut message = v1::WatchChangesResponse::default();
        let mut bytes = 0;
        let read = cursor.read(&dispatch.store, WATCH_READ_RECORDS_MAX, &mut |record| {
            let redacted = redactor.as_ref().and_then(|redactor| redactor.redact(record));
            if let Some(changed) = wanted.of(redacted.as_ref().unwrap_or(record), profile_key) {
                bytes += changed.encoded_len();
                message.records.push(changed);
            }
            bytes < WATCH_MESSAGE_BYTES_TARGET
        });
        let stopped = read.map_err(|error| dispatch.internal(format!("watch: {error}")))?;
        if let (Stopped::Expired(oldest), true) = (stopped, message.records.is_empty()) {
            let next = SequenceNumber(cursor.sequence().0 + 1);
            return Err(Status::history_expired(next, oldest));
        }
        message.sequence_number = cursor.sequence().0;
        if self.told.is_none() {
            message.newest_sequence_number = cursor.newest().0;
        }
        Ok((message, stopped))
    }

    /// For what was erased and still stands in the files.
    fn redactor(&self, dispatch: &Dispatch) -> Result<Option<Redactor>, Status> {
        let locked = dispatch.lock()?;
        let graph = locked.graph(self.workspace);
        let is_synced = locked.workspace_position(self.workspace) <= dispatch.store.synced();
        if graph.is_gone() && is_synced {
            let problem = "the workspace was deleted while it was watched";
            return Err(Status::new(Reason::WorkspaceNotFound, problem));
        }
        Ok((!graph.pending_erasures().is_empty()).then(|| graph.redactor()))
    }
}

impl Watchers {
    fn join(&self) -> Result<(), Status> {
        let before = self.0.fetch_add(1, Ordering::AcqRel);
        if before < WATCHERS_MAX {
            return Ok(());
        }
        self.leave();
        let problem = format!("{WATCHERS_MAX} calls watch already: end one of them");
        Err(Status::new(Reason::CapacityExceeded, problem)
            .with("limit", "watchers_max")
            .with("bound", WATCHERS_MAX))
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed) as u64
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
