//! A call: method name and request bytes in, answer bytes out, for every transport alike.
//!
//! ```text
//! serving? -> token? -> method? -> deadline? -> size? -> room? -> allowed? -> decodes?
//!          -> fields? -> workspace? -> queue? -> rate? -> decided
//! ```
//!
//! Each question has one refusal, asked in this order, so that what a caller is told first
//! does not depend on the method. Nothing here waits for the disk, except a checkpoint and a backup: an
//! answer carries the log position that must be synced before it may be sent, and the
//! transport waits. Refusals carry one too where they tell of what was written.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipse_core::Timestamp;
use ipse_core::graph::Counts;
use ipse_core::identifier::is_workspace_name;
use ipse_store::{
    Checkpoint, CheckpointError, CloseError, Locked, LogPosition, Recovery, Store, StoreStats,
    WorkspaceIndex,
};
use prost::Message;

use crate::access::Reach;
use crate::admin::default_rules;
use crate::admission::{Admission, Bounds};
use crate::door::{Door, admitted};
use crate::fault::{Fault, Faults, catching};
use crate::limits::REQUEST_BYTES_MAX;
use crate::mappings::Mappings;
use crate::methods::Method;
use crate::metrics::Metrics;
use crate::narrow::{Claims, check_role, narrowed};
use crate::status::{Reason, Status, quoted};
use crate::tokens::Tokens;
use crate::watch::Watchers;

/// The workspace that an empty name means.
pub const DEFAULT_WORKSPACE: &str = "default";

/// Answers calls on a store.
pub struct Dispatch {
    pub(crate) store: Store,
    pub(crate) recovery: Recovery,
    pub(crate) started_time: Timestamp,
    pub(crate) mappings: Mappings,
    pub(crate) metrics: Metrics,
    door: Option<Door>,
    pub(crate) admission: Admission,
    pub(crate) watchers: Watchers,
    faults: Faults,
    /// Held by the call of many things that has its turns at the graphs.
    pub(crate) long_turns: Mutex<()>,
    closed: AtomicBool,
}

/// What a call comes to, and when that may be told.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Send the reply once the log is synced through here.
    pub position: LogPosition,
    /// The answer's bytes, or why there is none.
    pub result: Result<Vec<u8>, Status>,
}

/// An answer and the position it rests on.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) position: LogPosition,
    pub(crate) bytes: Vec<u8>,
}

/// A refusal and the position it rests on: the caller learns of what was written from
/// refusals too.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) position: LogPosition,
    pub(crate) status: Status,
}

/// What the handlers of methods give.
pub(crate) type Handled = Result<Answer, Refused>;

/// Who made a call, and where: what an audit tells, without a value of anybody's.
#[derive(Debug, PartialEq, Eq)]
pub struct Audited {
    /// The token's name, if there is one.
    pub token: Option<String>,
    /// The workspace that the call is about, if it is about one.
    pub workspace: Option<String>,
}

/// Those whose requests or answers may be large.
const LARGE_METHODS: [&str; 8] = [
    "/ResolveEvents",
    "/GetProfile",
    "/BatchGetProfiles",
    "/LookupProfiles",
    "/ListProfiles",
    "/TranslateIdentities",
    "/ImportProfiles",
    "/ExplainProfile",
];

impl Dispatch {
    /// Serves a store that was opened. `started_time` is when it was ready.
    pub fn new(store: Store, recovery: Recovery, started_time: Timestamp) -> Dispatch {
        Dispatch {
            store,
            recovery,
            started_time,
            mappings: Mappings::default(),
            metrics: Metrics::default(),
            door: None,
            admission: Admission::default(),
            watchers: Watchers::default(),
            faults: Faults::default(),
            long_turns: Mutex::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// Lets nobody in without one of these tokens.
    #[must_use]
    pub fn guarded_by(self, tokens: Tokens) -> Dispatch {
        Dispatch { door: Some(Door::new(tokens)), ..self }
    }

    /// Puts other tokens in force. Without a door there is nothing to put them on.
    pub fn replace_tokens(&self, tokens: Tokens) {
        if let Some(door) = &self.door {
            door.replace(tokens);
        }
    }

    /// Creates the workspace `default` with the preset `segment` if there is none.
    pub fn ensure_default_workspace(&self, now: Timestamp) -> Result<(), Status> {
        let rules = default_rules();
        let profile_key = self.random_key()?;
        let mut locked = self.lock()?;
        if locked.workspace(DEFAULT_WORKSPACE).is_none() {
            locked.create_workspace(DEFAULT_WORKSPACE, profile_key, rules, now);
        }
        Ok(())
    }

    /// One call. `authorization` is the metadata of that name, several of them joined by a comma.
    /// `deadline_ms` is the time left to the caller's deadline, if it has one. `now` is the
    /// server's clock. A panic is answered INTERNAL and kept for the log.
    pub fn call(
        &self,
        method: &str,
        request: &[u8],
        authorization: Option<&[u8]>,
        deadline_ms: Option<i64>,
        now: Timestamp,
    ) -> Reply {
        self.metrics.calls.add(1);
        let answer = || self.answer(method, request, authorization, deadline_ms, now);
        match self.guarded(method, answer) {
            Ok(Answer { position, bytes }) => Reply { position, result: Ok(bytes) },
            Err(Refused { position, status }) => {
                self.metrics.calls_refused.add(1);
                Reply { position, result: Err(status) }
            }
        }
    }

    /// Whether a caller's token is good for a method, as far as that can be said before its
    /// request is read; for what a transport does itself, without a method, any token is good.
    pub fn check_caller(
        &self,
        method: Option<&str>,
        authorization: Option<&[u8]>,
    ) -> Result<(), Status> {
        let Some(door) = &self.door else {
            return Ok(());
        };
        let tokens = door.tokens();
        let token = admitted(&tokens, authorization)?;
        match method.and_then(Method::find) {
            Some(Method { access, .. }) => check_role(token, access, access.read_only.is_some()),
            None => Ok(()),
        }
    }

    /// Who made a call, whatever came of it.
    pub fn audited(&self, method: &str, request: &[u8], authorization: Option<&[u8]>) -> Audited {
        let tokens = self.door.as_ref().map(Door::tokens);
        let token = tokens.as_ref().and_then(|tokens| admitted(tokens, authorization).ok());
        let only = token.and_then(|token| token.workspaces.first());
        let default = only.map_or(DEFAULT_WORKSPACE, String::as_str);
        let named = Method::find(method).and_then(|Method { access, .. }| {
            let claims = Claims::read(request, access).ok()?;
            match (access.reach, claims.workspace) {
                (Reach::Workspace(_), "") => Some(default),
                (Reach::Workspace(_) | Reach::NewWorkspace(_), name) => Some(name),
                (Reach::Server | Reach::Nowhere, _) => None,
            }
        });
        // What is no name of a workspace may be anything, also somebody's.
        let workspace = named.filter(|name| is_workspace_name(name)).map(str::to_owned);
        Audited { token: token.map(|token| token.name.clone()), workspace }
    }

    /// Puts other bounds in force on what is let in.
    pub fn set_bounds(&self, bounds: Bounds) {
        self.admission.set_bounds(bounds);
    }

    /// The refusal of a short call that comes while its transport has as many in flight as it may.
    pub fn crowded(&self, in_flight: u64, bound: u64) -> Status {
        let answered = self.metrics.answered();
        self.metrics.calls.add(1);
        self.metrics.calls_refused.add(1);
        self.admission.crowded(in_flight, bound, answered)
    }

    /// Puts a call in the line of those that its transport works on a few at a time, if it would
    /// not wait there for too long. `bytes` of its request are held until it leaves.
    pub fn join_line(&self, bytes: u64, deadline_ms: Option<i64>) -> Result<(), Status> {
        self.admission.join(bytes, deadline_ms).inspect_err(|_| {
            self.metrics.calls.add(1);
            self.metrics.calls_refused.add(1);
        })
    }

    /// Takes a call out of the line: it was worked on, or gave up.
    pub fn leave_line(&self, bytes: u64, was_worked_on: bool) {
        self.admission.leave(bytes, was_worked_on);
    }

    /// A transport keeps so many bytes for a caller who has not taken them.
    pub fn hold(&self, bytes: u64) {
        self.admission.hold(bytes);
    }

    /// It keeps them no longer.
    pub fn release(&self, bytes: u64) {
        self.admission.release(bytes);
    }

    /// The store, for what is not a call: waiting for syncs, stats.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What opening the store found.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Writes a snapshot. Blocks.
    pub fn checkpoint(&self) -> Result<Checkpoint, CheckpointError> {
        self.store.checkpoint()
    }

    /// Refuses further calls, then closes the store. Blocks. Idempotent.
    pub fn close(&self, checkpoint: bool) -> Result<(), CloseError> {
        // A call that holds the lock now ends before the store does, which takes the lock; one
        // that comes after finds the flag.
        self.closed.store(true, Ordering::Release);
        self.store.close(checkpoint)
    }

    /// Bugs that calls met since this was last asked, for the log.
    pub fn take_faults(&self) -> Vec<Fault> {
        self.faults.take()
    }

    /// Counters since the start (`_total`) and figures of now, by name.
    pub fn figures(&self) -> Vec<(&'static str, u64)> {
        let mut figures = self.metrics.counts();
        figures.extend([
            ("overload_refusals_total", self.admission.refusals()),
            ("held_bytes", self.admission.held_bytes()),
            ("long_calls_waiting", self.admission.waiting()),
            ("watchers", self.watchers.count()),
            ("log_waiting_bytes", self.store.waiting_bytes()),
            ("log_expected_wait_ms", milliseconds(self.store.expected_wait())),
        ]);
        if self.failure().is_none() {
            figures.extend(self.sizes());
            figures.extend(log_figures(&self.store.stats()));
        }
        figures
    }

    /// How many identifiers each rule dropped or kept where they were, of the rules that did.
    pub fn refused_identifiers(&self) -> Vec<(&'static str, u64)> {
        self.metrics.refused_identifiers()
    }

    /// Why nothing is answered any more and the process must stop, if that is so.
    pub fn failure(&self) -> Option<String> {
        self.store.failure().map(|failed| failed.to_string())
    }

    /// The store's graphs, unless the server has closed.
    pub(crate) fn lock(&self) -> Result<Locked<'_>, Status> {
        let locked = self.store.lock();
        self.check_open()?;
        Ok(locked)
    }

    /// INTERNAL, with the words of a panic in the log only.
    pub(crate) fn panicked(&self, what: &str, panic: &str) -> Status {
        self.metrics.panics.add(1);
        self.internal(format!("{what}: {panic}"))
    }

    /// INTERNAL, with the text in the log only.
    pub(crate) fn internal(&self, text: String) -> Status {
        self.faults.internal(text)
    }

    /// The key of a new workspace's profile ids.
    pub(crate) fn random_key(&self) -> Result<[u8; 16], Status> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)
            .map_err(|error| self.internal(format!("no randomness for a profile key: {error}")))?;
        Ok(key)
    }

    /// Turns a panic into INTERNAL. Sound, because the store says so in `failure`, and nothing
    /// is answered any more, if the graphs may be half changed.
    fn guarded(&self, method: &str, work: impl FnOnce() -> Handled) -> Handled {
        catching(AssertUnwindSafe(work))
            .unwrap_or_else(|panic| Err(self.panicked(method, &panic).into()))
    }

    fn answer(
        &self,
        method: &str,
        request: &[u8],
        authorization: Option<&[u8]>,
        deadline_ms: Option<i64>,
        now: Timestamp,
    ) -> Handled {
        let (found, request) = self.let_in(method, request, authorization, deadline_ms)?;
        (found.handler)(self, &request, now)
    }

    /// The method of a call, and its request within what its token allows.
    pub(crate) fn let_in<'r>(
        &self,
        method: &str,
        request: &'r [u8],
        authorization: Option<&[u8]>,
        deadline_ms: Option<i64>,
    ) -> Result<(&'static Method, Cow<'r, [u8]>), Status> {
        self.check_serving()?;
        let tokens = self.door.as_ref().map(Door::tokens);
        let admit = |tokens| admitted(tokens, authorization);
        let token = tokens.as_deref().map(admit).transpose()?;
        let found = Method::find(method).ok_or_else(|| unknown_method(method))?;
        if deadline_ms.is_some_and(|left| left <= 0) {
            return Err(Status::new(
                Reason::DeadlineExceeded,
                "the deadline had passed before the call was looked at; nothing was done",
            ));
        }
        if request.len() > REQUEST_BYTES_MAX {
            let found = request.len();
            return Err(Status::limit_exceeded("request", "bytes", REQUEST_BYTES_MAX, found));
        }
        self.check_room(method, deadline_ms)?;
        let request = match token {
            Some(token) => narrowed(request, &found.access, token)?,
            None => Cow::Borrowed(request),
        };
        Ok((found, request))
    }

    /// Whether there is room for a call, as far as that can be said before it is read: no
    /// memory for what may be large, no time for what must wait for the disk.
    fn check_room(&self, method: &str, deadline_ms: Option<i64>) -> Result<(), Status> {
        if LARGE_METHODS.iter().any(|name| method.ends_with(name)) {
            self.admission.check_held()?;
        }
        match deadline_ms {
            Some(left) => self.admission.check_deadline(self.store.expected_wait(), left),
            None => Ok(()),
        }
    }

    /// How much the graphs hold, over all workspaces.
    fn sizes(&self) -> [(&'static str, u64); 7] {
        let locked = self.store.lock();
        let mut sizes = Counts::default();
        let (mut workspaces, mut largest) = (0, 0);
        for index in locked.workspaces() {
            let counts = locked.graph(index).counts();
            workspaces += 1;
            largest = largest.max(locked.graph(index).largest_profile().0);
            sizes.profiles += counts.profiles;
            sizes.absorbed_profiles += counts.absorbed_profiles;
            sizes.identifiers += counts.identifiers;
            sizes.links += counts.links;
        }
        [
            ("workspaces", workspaces),
            ("profiles", sizes.profiles),
            ("absorbed_profiles", sizes.absorbed_profiles),
            ("identifiers", sizes.identifiers),
            ("links", sizes.links),
            ("memory_bytes", locked.memory().bytes),
            ("largest_profile_identifiers", u64::from(largest)),
        ]
    }

    fn check_serving(&self) -> Result<(), Status> {
        self.check_open()?;
        match self.failure() {
            None => Ok(()),
            Some(_) => Err(Status::new(
                Reason::NotServing,
                "the server has failed and is stopping: come back when it has recovered",
            )),
        }
    }

    pub(crate) fn check_open(&self) -> Result<(), Status> {
        if self.closed.load(Ordering::Acquire) {
            let problem = "the server is closing: use another, or come back";
            return Err(Status::new(Reason::NotServing, problem));
        }
        Ok(())
    }
}

impl From<Status> for Refused {
    /// A refusal that tells of nothing that was written.
    fn from(status: Status) -> Refused {
        Refused { position: LogPosition(0), status }
    }
}

/// Gives a refusal the position it rests on.
pub(crate) fn resting_on(position: LogPosition) -> impl Fn(Status) -> Refused {
    move |status| Refused { position, status }
}

/// Decodes a request.
pub(crate) fn decode<M: Message + Default>(request: &[u8]) -> Result<M, Status> {
    M::decode(request).map_err(|error| {
        let problem = format!("the request's bytes are not a message of this method: {error}");
        Status::new(Reason::MalformedRequest, problem)
    })
}

/// The workspace of a name; empty means `default`. That it is missing may tell of the newest that
/// was deleted.
pub(crate) fn find_workspace(
    locked: &Locked<'_>,
    field: &str,
    name: &str,
) -> Result<WorkspaceIndex, Refused> {
    let name = if name.is_empty() { DEFAULT_WORKSPACE } else { name };
    locked.workspace(name).ok_or_else(|| {
        let deleted = locked.deleted_workspaces().map(|gone| locked.workspace_position(gone));
        let position = deleted.max().unwrap_or(LogPosition(0));
        let problem = format!("there is no workspace {}: create it first", quoted(name));
        let status = Status::of_field(Reason::WorkspaceNotFound, field, problem);
        Refused { position, status: status.with("workspace", name) }
    })
}

fn log_figures(stats: &StoreStats) -> [(&'static str, u64); 7] {
    [
        ("log_position", stats.log_position.0),
        ("synced_log_position", stats.synced.0),
        ("commit_groups_total", stats.commit_groups),
        ("log_bytes_total", stats.log_bytes),
        ("log_bytes_since_snapshot", stats.log_bytes_since_snapshot),
        ("storage_full", u64::from(stats.storage_full)),
        ("log_room_bytes", stats.room_bytes),
    ]
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn unknown_method(method: &str) -> Status {
    Status::new(Reason::MethodNotFound, format!("there is no method {}", quoted(method)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::keep_panics_for_the_log;

    #[test]
    fn a_panic_is_answered_and_ends_nothing_but_its_call() {
        keep_panics_for_the_log();
        let now = Timestamp::from_millis(0).expect("within range");
        let dispatch = Dispatch::new(Store::in_memory(1), Recovery::default(), now);
        let handled = dispatch.guarded("/a/Method", || panic!("a secret"));
        let refused = handled.expect_err("a refusal");
        assert_eq!(refused.status.reason(), Reason::Internal);
        assert!(!refused.status.message().contains("secret"));
        let faults = dispatch.take_faults();
        assert!(faults[0].text.starts_with("/a/Method: panic at "), "{}", faults[0].text);
        assert!(faults[0].text.ends_with(": a secret"), "{}", faults[0].text);
        assert_eq!(dispatch.failure(), None);
        assert!(dispatch.figures().contains(&("panics_total", 1)));
    }
}
