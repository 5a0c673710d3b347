//! What is done for a call: read, let in, worked on, waited for, answered, counted.
//!
//! ```text
//! request ─> too large? ─> Dispatch::call ─> (position, answer)
//!                             │ position is synced            ─> answer
//!                             │ not yet ─> wait ─> one wake-up for each commit group
//!                             └ long: in its turn, on a thread where blocking holds nobody up
//! ```
//!
//! Decides nothing: what is refused here is refused for reasons that only a transport knows, in
//! the words that all transports use. An answer never leads the disk. Once the dispatch has decided,
//! the write commits; a caller that goes away only loses the answer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri, header};
use hyper::body::Incoming;
use tokio::sync::{Notify, mpsc, watch};
use tonic::body::Body;

use super::message::{self, Held};
use super::turns::{Place, Shared, Turns};
use super::waiters::Waiters;
use super::{Audit, Options};
use crate::access::Role;
use crate::clock::now;
use crate::dispatch::{Dispatch, Reply};
use crate::methods::{ADMIN, Effect, Method, Way};
use crate::status::{Absence, Reason, Status};
use crate::tally::Tally;

/// Where all names of ours begin. The dispatch refuses those that there are none of.
pub(super) const OURS: &str = "/ipse.v1.";
const CANCELLED: i32 = 1;

/// Carries the calls of one server.
pub(super) struct Carrier {
    options: Options,
    tally: Arc<Tally>,
    dispatch: OnceLock<Arc<Dispatch>>,
    stage: AtomicU8,
    in_flight: AtomicU64,
    /// Woken when no call is in flight.
    idle: Notify,
    waiters: Waiters,
    /// Woken once for each commit group.
    synced: Arc<Notify>,
    /// Change when watchers are to look: at what was synced, and at whether calls are refused.
    pub(super) news: watch::Sender<()>,
    pub(super) refusals: watch::Sender<()>,
    pub(super) turns: AllTurns,
    checkpoint: Shared,
    audits: mpsc::Sender<Audit>,
    /// Tells the owner that there is something to look after.
    notify: Box<dyn Fn() + Send + Sync>,
}

/// One batch is read, or waits for its thread, while another has the graphs. A third would only
/// stand in line for them, before the short calls.
const BATCHES_AT_ONCE: usize = 2;

pub(super) struct AllTurns {
    batches: Turns,
    compiling: Turns,
    files: Turns,
    backups: Turns,
    pub(super) watchers: Turns,
}

/// The stages of a carrier's life, as numbers.
const RECOVERING: u8 = 0;
const SERVING: u8 = 1;
const SHUTTING_DOWN: u8 = 2;
const FAILED: u8 = 3;

/// One call, as it came in.
#[derive(Clone)]
pub(super) struct Call {
    uri: Uri,
    method: Option<&'static Method>,
    pub(super) authorization: Option<Vec<u8>>,
    deadline: Option<Instant>,
    pub(super) request: Bytes,
}

/// A call in flight; it has ended when this is dropped, be it that its caller went away.
pub(super) struct InFlight<'c> {
    carrier: &'c Carrier,
    call: &'c Call,
    peer: SocketAddr,
    began: Instant,
    pub(super) code: i32,
    audit: Option<mpsc::Permit<'c, Audit>>,
}

/// What goes to the caller.
type Answered = Result<(Vec<u8>, Option<Held>), Status>;

impl Carrier {
    pub(super) fn new(
        options: Options,
        tally: Arc<Tally>,
        audits: mpsc::Sender<Audit>,
        notify: Box<dyn Fn() + Send + Sync>,
    ) -> Carrier {
        Carrier {
            options,
            tally,
            dispatch: OnceLock::new(),
            stage: AtomicU8::new(RECOVERING),
            in_flight: AtomicU64::new(0),
            idle: Notify::new(),
            waiters: Waiters::default(),
            synced: Arc::default(),
            news: watch::Sender::default(),
            refusals: watch::Sender::default(),
            turns: AllTurns {
                batches: Turns::of(BATCHES_AT_ONCE),
                compiling: Turns::of(1),
                files: Turns::of(1),
                backups: Turns::of(1),
                watchers: Turns::of(1),
            },
            checkpoint: Shared::default(),
            audits,
            notify,
        }
    }

    /// Begins to serve, once; the future is to be run until the server ends.
    pub(super) fn attach(self: Arc<Self>, dispatch: Arc<Dispatch>) -> impl Future<Output = ()> {
        let synced = self.synced.clone();
        dispatch.store().on_synced(Box::new(move || synced.notify_one()));
        let dispatch = self.dispatch.get_or_init(|| dispatch).clone();
        self.stage.store(SERVING, Ordering::Release);
        async move {
            loop {
                self.synced.notified().await;
                self.waiters.release(|| dispatch.store().synced().0);
                self.news.send_replace(());
                if dispatch.failure().is_some() {
                    self.end(Absence::Failed);
                    (self.notify)();
                }
            }
        }
    }

    /// What answers calls, once it is there.
    pub(super) fn dispatch(&self) -> Option<&Dispatch> {
        self.dispatch.get().map(Arc::as_ref)
    }

    /// Refuses new calls; those in flight go on, but for those that watch.
    pub(super) fn refuse(&self, absence: Absence) {
        let stage = match absence {
            Absence::Recovering => RECOVERING,
            Absence::ShuttingDown => SHUTTING_DOWN,
            Absence::Failed => FAILED,
        };
        self.stage.store(stage, Ordering::Release);
        self.refusals.send_replace(());
    }

    /// Refuses new calls and those that wait.
    pub(super) fn end(&self, absence: Absence) {
        self.refuse(absence);
        self.waiters.fail();
    }

    /// Waits until no call is in flight.
    pub(super) async fn idle(&self) {
        let mut idle = std::pin::pin!(self.idle.notified());
        while self.in_flight() > 0 {
            idle.as_mut().await;
            idle.set(self.idle.notified());
        }
    }

    /// How many calls are being answered or wait for the disk.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Whether a caller's token is good for what is no method.
    pub(super) fn check_caller(&self, headers: &HeaderMap) -> Result<(), Status> {
        self.serving()?.check_caller(None, authorization(headers).as_deref())
    }

    /// Carries one call.
    pub(super) async fn carry(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        let deadline = message::deadline(&head.headers);
        let read = message::read(&head.headers, body, self.options.message_bytes_max).await;
        let (request, refused) = match read {
            Ok(request) => (request, None),
            Err(status) => (Bytes::new(), Some(status)),
        };
        let call = Call {
            method: Method::find(head.uri.path()),
            uri: head.uri,
            authorization: authorization(&head.headers),
            deadline,
            request,
        };
        if call.method.is_some_and(|method| method.way == Way::Watch) && refused.is_none() {
            return self.clone().stream(call, peer);
        }
        let mut flight = self.begin(&call, peer).await;
        let answered = match refused {
            Some(status) => Err(status),
            None => self.answer(&call).await,
        };
        flight.code = answered.as_ref().map_or_else(Status::code, |_| 0);
        drop(flight);
        match answered {
            Ok((message, held)) => message::answer(message, held),
            Err(status) => {
                if status.reason() == Reason::Internal {
                    // The bug may have left the graphs half changed: then this was the last call.
                    (self.notify)();
                }
                message::refusal(status)
            }
        }
    }

    pub(super) async fn begin<'c>(&'c self, call: &'c Call, peer: SocketAddr) -> InFlight<'c> {
        let is_audited = call.method.is_some_and(|method| method.role() == Role::Admin);
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        let began = Instant::now();
        let mut flight =
            InFlight { carrier: self, call, peer, began, code: CANCELLED, audit: None };
        if is_audited {
            // Nothing is done for an operator that cannot be written down. The receiver lives as
            // long as the server.
            flight.audit = self.audits.reserve().await.ok();
        }
        flight
    }

    async fn answer(self: &Arc<Self>, call: &Call) -> Answered {
        let dispatch = self.serving()?;
        let writes = call.method.is_some_and(|method| method.effect == Effect::Writes);
        if writes {
            self.check_waiters()?;
        }
        let reply = match call.method.map_or(Way::Short, |m| m.way_of(call.request.len())) {
            Way::Short => {
                self.check_crowd(dispatch, call)?;
                self.decide(call)
            }
            way => {
                // Nobody waits for the turns of callers who have none.
                dispatch.check_caller(Some(call.path()), call.authorization.as_deref())?;
                // Boxed: every call would be moved with the room for it.
                let reply = Box::pin(self.answer_in_turn(way, dispatch, call)).await?;
                reply.ok_or_else(|| dispatch.panicked(call.path(), "beside the calls"))?
            }
        };
        self.when_synced(dispatch, reply, writes).await
    }

    async fn answer_in_turn(
        self: &Arc<Self>,
        way: Way,
        dispatch: &Arc<Dispatch>,
        call: &Call,
    ) -> Result<Option<Reply>, Status> {
        let mut place = None;
        let turns = match way {
            // Its message has no fields: whatever else this is, no other caller shares its answer.
            Way::Checkpoint if call.request.is_empty() && call.time_is_left() => {
                let shared = Call { deadline: None, ..call.clone() };
                return Ok(self.checkpoint.run(self.deciding(shared)).await);
            }
            Way::Short | Way::Compile | Way::Checkpoint | Way::Watch => &self.turns.compiling,
            Way::Files => &self.turns.files,
            Way::Backup => &self.turns.backups,
            Way::Batch | Way::List => {
                let bytes = call.request.len() as u64;
                dispatch.join_line(bytes, call.left_ms())?;
                place = Some(Place::new(dispatch.clone(), bytes));
                &self.turns.batches
            }
        };
        Ok(turns.run(place, self.deciding(call.clone())).await)
    }

    fn deciding(self: &Arc<Self>, call: Call) -> impl FnOnce() -> Reply + Send + 'static {
        let carrier = self.clone();
        move || carrier.decide(&call)
    }

    fn decide(&self, call: &Call) -> Reply {
        match self.serving() {
            Ok(dispatch) => {
                let authorization = call.authorization.as_deref();
                dispatch.call(call.path(), &call.request, authorization, call.left_ms(), now())
            }
            Err(status) => Reply { position: ipse_store::LogPosition(0), result: Err(status) },
        }
    }

    /// Waits for the disk if the answer rests on what is not there yet.
    async fn when_synced(&self, dispatch: &Arc<Dispatch>, reply: Reply, writes: bool) -> Answered {
        let Reply { position, result } = reply;
        let size = result.as_ref().map_or(0, Vec::len);
        let mut held = None;
        let synced = || dispatch.store().synced().0;
        if position.0 > synced() {
            // A write was let in at the door and is decided: it waits however many others do.
            if !writes {
                self.check_waiters()?;
            }
            held = Held::of(dispatch, size);
            if !self.waiters.wait(position.0, synced).await {
                return Err(Status::not_serving(self.absence().unwrap_or(Absence::Failed)));
            }
        }
        // A write's answer is bound by its request.
        let bound = self.options.response_bytes_max;
        if size > bound && !writes {
            return Err(Status::message_too_large("response", "response_bytes_max", bound, size));
        }
        result.map(|message| (message, held.or_else(|| Held::of(dispatch, size))))
    }

    pub(super) fn serving(&self) -> Result<&Arc<Dispatch>, Status> {
        match self.absence() {
            None => Ok(self.dispatch.get().expect("it is set before the stage is")),
            Some(absence) => Err(Status::not_serving(absence)),
        }
    }

    pub(super) fn absence(&self) -> Option<Absence> {
        match self.stage.load(Ordering::Acquire) {
            SERVING => None,
            RECOVERING => Some(Absence::Recovering),
            SHUTTING_DOWN => Some(Absence::ShuttingDown),
            _ => Some(Absence::Failed),
        }
    }

    /// Refuses those who come while there are enough in flight; never who administers.
    fn check_crowd(&self, dispatch: &Dispatch, call: &Call) -> Result<(), Status> {
        let bound = self.options.calls_in_flight_max;
        let in_flight = self.in_flight();
        let administers = call.method.is_none_or(|method| method.name.starts_with(ADMIN));
        if in_flight <= bound || administers {
            return Ok(());
        }
        Err(dispatch.crowded(in_flight, bound))
    }

    fn check_waiters(&self) -> Result<(), Status> {
        let (bound, found) = (self.options.waiting_calls_max, self.waiters.count());
        if found < bound {
            return Ok(());
        }
        Err(Status::waiting_calls_full(bound, found))
    }
}

impl Call {
    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    /// Milliseconds to the deadline; less than none if it has passed.
    fn left_ms(&self) -> Option<i64> {
        let left = self.deadline?.checked_duration_since(Instant::now()).unwrap_or(Duration::ZERO);
        Some(i64::try_from(left.as_millis()).unwrap_or(i64::MAX))
    }

    fn time_is_left(&self) -> bool {
        self.left_ms().is_none_or(|left| left > 0)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let (carrier, call) = (self.carrier, self.call);
        carrier.tally.count(call.path(), self.code, self.began.elapsed());
        if let Some(permit) = self.audit.take() {
            let authorization = call.authorization.as_deref();
            let of = |dispatch: &Arc<Dispatch>| {
                dispatch.audited(call.path(), &call.request, authorization)
            };
            let audited = carrier.dispatch.get().map(of);
            let (token, workspace) = audited.map_or((None, None), |a| (a.token, a.workspace));
            let method = call.path().to_owned();
            permit.send(Audit { token, workspace, method, peer: self.peer, code: self.code });
            (carrier.notify)();
        }
        if carrier.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            carrier.idle.notify_waiters();
        }
    }
}

/// The metadata of that name; what comes more than once is joined, as HTTP has it.
fn authorization(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let mut joined = sent.next()?.as_bytes().to_vec();
    for more in sent {
        joined.extend_from_slice(b", ");
        joined.extend_from_slice(more.as_bytes());
    }
    Some(joined)
}
