//! The class `Engine`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ipse_core::graph::Memory;
use ipse_rpc::{Audited, Bounds, Dispatch, Status, Tokens, now};
use ipse_store::{Ceilings, LogPosition, Options, Recovery, Store, SyncPolicy};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::errors::{checkpoint_error, close_error, log_failed, open_error};
use crate::progress::RecoveryProgress;
use crate::refusals::{Refusal, refusal};
use crate::wake::{self, WakeReader};
use crate::watch::Begun;

/// The one method whose work is bound by its request: an event. A read's length says nothing
/// about its answer, rules take long to compile, and a checkpoint waits for the disk.
const EVENT_METHOD: &str = "/ipse.v1.IdentityService/ResolveEvent";
/// Events longer than this are worked on while other Python threads run. Shorter ones take
/// less time than giving the interpreter away and getting it back.
const ATTACHED_EVENT_BYTES_MAX: usize = 4 * 1024;

/// The engine of one data directory.
#[pyclass(frozen, module = "ipse._native")]
pub(crate) struct Engine {
    pub(crate) dispatch: Arc<Dispatch>,
    /// Made when somebody asks for it: who carries calls without Python wakes no event loop.
    wake: Mutex<Option<WakeReader>>,
}

#[pymethods]
impl Engine {
    /// Locks and recovers `data_dir`, or keeps everything in memory if it is None.
    #[staticmethod]
    #[pyo3(signature = (
        data_dir, *, sync = "always", sync_interval_ms = 100, segment_size_bytes = 67_108_864,
        snapshot_log_bytes = 268_435_456, history_retention_days = 30,
        history_retention_bytes = 4_294_967_296, write_queue_bytes_max = 67_108_864,
        tokens = None, identifiers_max = 0, memory_bytes_max = 0,
        workspace_identifiers_max = 0, workspace_memory_bytes_max = 0, progress = None,
    ))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords to their one caller")]
    fn open(
        py: Python<'_>,
        data_dir: Option<PathBuf>,
        sync: &str,
        sync_interval_ms: u64,
        segment_size_bytes: u64,
        snapshot_log_bytes: u64,
        history_retention_days: u32,
        history_retention_bytes: u64,
        write_queue_bytes_max: usize,
        tokens: Option<&str>,
        identifiers_max: u64,
        memory_bytes_max: u64,
        workspace_identifiers_max: u64,
        workspace_memory_bytes_max: u64,
        progress: Option<Py<RecoveryProgress>>,
    ) -> PyResult<Engine> {
        let tokens = tokens.map(parsed_tokens).transpose()?;
        let options = Options {
            sync: sync_policy(sync, sync_interval_ms)?,
            segment_size_bytes,
            snapshot_log_bytes,
            history_retention_days,
            history_retention_bytes,
            write_queue_bytes_max,
        };
        let ceilings = Ceilings {
            process: ceiling(identifiers_max, memory_bytes_max),
            workspace: ceiling(workspace_identifiers_max, workspace_memory_bytes_max),
        };
        let unwatched = RecoveryProgress::default();
        let progress = progress.as_ref().map_or(&unwatched, Py::get);
        py.detach(|| Engine::recover(data_dir, options, ceilings, tokens, progress))
    }

    /// One RPC: (position, code, payload).
    #[pyo3(signature = (method, request, read_deadline_ms = None, authorization = None))]
    fn call<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        request: &[u8],
        read_deadline_ms: Option<i64>,
        authorization: Option<&[u8]>,
    ) -> (u64, i32, Bound<'py, PyBytes>) {
        let dispatch = &self.dispatch;
        let call = || dispatch.call(method, request, authorization, read_deadline_ms, now());
        let is_short = method == EVENT_METHOD && request.len() <= ATTACHED_EVENT_BYTES_MAX;
        let reply = if is_short { call() } else { py.detach(call) };
        let (code, payload) = reply.result.map_or_else(encoded, |payload| (0, payload));
        (reply.position.0, code, PyBytes::new(py, &payload))
    }

    /// Begins a call that watches, or the refusal.
    #[pyo3(signature = (method, request, authorization = None))]
    fn watch<'py>(
        &self,
        py: Python<'py>,
        method: &str,
        request: &[u8],
        authorization: Option<&[u8]>,
    ) -> Begun<'py> {
        Begun::of(py, self.dispatch.watch(method, request, authorization))
    }

    /// The refusal of a caller whose token is not good for a method, or for anything; else None.
    #[pyo3(signature = (method, authorization))]
    fn check_caller<'py>(
        &self,
        py: Python<'py>,
        method: Option<&str>,
        authorization: Option<&[u8]>,
    ) -> Option<Refusal<'py>> {
        self.dispatch.check_caller(method, authorization).err().map(|status| refusal(py, status))
    }

    /// (name of the token, workspace) of a call, for the audit.
    #[pyo3(signature = (method, request, authorization))]
    fn audited(
        &self,
        method: &str,
        request: &[u8],
        authorization: Option<&[u8]>,
    ) -> (Option<String>, Option<String>) {
        let Audited { token, workspace } = self.dispatch.audited(method, request, authorization);
        (token, workspace)
    }

    /// Puts other tokens in force; ValueError says what is wrong with them.
    fn replace_tokens(&self, tokens: &str) -> PyResult<()> {
        self.dispatch.replace_tokens(parsed_tokens(tokens)?);
        Ok(())
    }

    /// Puts bounds in force on what is let in; 0 is none.
    #[pyo3(signature = (
        *, queue_wait_ms_max = 0, held_bytes_max = 0, workspace_events_per_s_max = 0,
        workspace_burst = 0,
    ))]
    fn set_bounds(
        &self,
        queue_wait_ms_max: u64,
        held_bytes_max: u64,
        workspace_events_per_s_max: u64,
        workspace_burst: u64,
    ) {
        self.dispatch.set_bounds(Bounds {
            queue_wait_ms_max,
            held_bytes_max,
            workspace_events_per_s_max,
            workspace_burst,
        });
    }

    /// The refusal of a short call that comes while too many are in flight.
    fn crowded<'py>(&self, py: Python<'py>, in_flight: u64, bound: u64) -> Refusal<'py> {
        refusal(py, self.dispatch.crowded(in_flight, bound))
    }

    /// The refusal of a long call that would wait too long; else it is in the line.
    #[pyo3(signature = (request_bytes, read_deadline_ms = None))]
    fn join_line<'py>(
        &self,
        py: Python<'py>,
        request_bytes: u64,
        read_deadline_ms: Option<i64>,
    ) -> Option<Refusal<'py>> {
        let refused = self.dispatch.join_line(request_bytes, read_deadline_ms).err();
        refused.map(|status| refusal(py, status))
    }

    /// Takes a long call out of the line.
    fn leave_line(&self, request_bytes: u64, was_worked_on: bool) {
        self.dispatch.leave_line(request_bytes, was_worked_on);
    }

    /// So many bytes are kept for a caller who has not taken them.
    fn hold(&self, size: u64) {
        self.dispatch.hold(size);
    }

    /// They are kept no longer.
    fn release(&self, size: u64) {
        self.dispatch.release(size);
    }

    /// The log position up to which everything is on disk.
    fn synced(&self) -> u64 {
        self.dispatch.store().synced().0
    }

    /// Blocks until `synced() >= position`; False on time-out.
    #[pyo3(signature = (position, timeout_s = None))]
    fn wait_synced(&self, py: Python<'_>, position: u64, timeout_s: Option<f64>) -> PyResult<bool> {
        let timeout = timeout_s.map(timeout).transpose()?;
        py.detach(|| self.dispatch.store().wait_synced(LogPosition(position), timeout))
            .map_err(log_failed)
    }

    /// Becomes readable each time `synced()` has moved or the log failed.
    fn wake_fd(&self) -> PyResult<i32> {
        let mut wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        if wake.is_none() {
            let (reader, writer) = wake::pair()?;
            self.dispatch.store().on_synced(Box::new(move || writer.wake()));
            *wake = Some(reader);
        }
        Ok(wake.as_ref().map_or(-1, WakeReader::fd))
    }

    /// Why the engine failed, if it did; the process must then stop.
    fn failure(&self) -> Option<String> {
        self.dispatch.failure()
    }

    /// What opening found.
    fn recovery<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let recovery = self.dispatch.recovery();
        let found = PyDict::new(py);
        found.set_item("seconds", recovery.seconds)?;
        let snapshot = recovery.snapshot_file_name.as_deref().unwrap_or_default();
        found.set_item("snapshot_file_name", snapshot)?;
        found.set_item("snapshot_log_position", recovery.snapshot_log_position)?;
        found.set_item("replayed_record_count", recovery.replayed_records)?;
        found.set_item("torn_bytes", recovery.torn_bytes)?;
        found.set_item("clean_shutdown", recovery.clean_shutdown)?;
        found.set_item("notes", recovery.notes.join("\n"))?;
        Ok(found)
    }

    /// Whether the log has grown by `snapshot_log_bytes` since the newest snapshot.
    fn checkpoint_due(&self) -> bool {
        self.dispatch.store().checkpoint_due()
    }

    /// Whether writes are refused because the disk is full.
    fn storage_full(&self) -> bool {
        self.dispatch.store().stats().storage_full
    }

    /// Writes a snapshot.
    fn checkpoint<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let made = py.detach(|| self.dispatch.checkpoint()).map_err(checkpoint_error)?;
        let told = PyDict::new(py);
        told.set_item("file_name", made.file_name)?;
        told.set_item("size_bytes", made.size_bytes)?;
        told.set_item("log_position", made.log_position)?;
        told.set_item("seconds", made.seconds)?;
        Ok(told)
    }

    /// Lets expire what rules keep no longer; how many identifiers that was.
    fn expire(&self, py: Python<'_>) -> u64 {
        py.detach(|| self.dispatch.expire(now()))
    }

    /// Counters and figures by name.
    fn metrics(&self, py: Python<'_>) -> BTreeMap<&'static str, u64> {
        py.detach(|| self.dispatch.figures()).into_iter().collect()
    }

    /// (rule, how many identifiers it dropped or refused) of each rule that did.
    fn refused_identifiers(&self) -> Vec<(&'static str, u64)> {
        self.dispatch.refused_identifiers()
    }

    /// (upper bounds, counts, sum) of what is distributed, by name.
    fn distributions(&self) -> BTreeMap<&'static str, (Vec<u64>, Vec<u64>, u64)> {
        let store = self.dispatch.store();
        let named =
            [("sync_microseconds", store.sync_times()), ("group_bytes", store.group_sizes())];
        named.map(|(name, found)| (name, (found.bounds.to_vec(), found.counts, found.sum))).into()
    }

    /// (id, text) of each bug that was caught since this was last asked.
    fn take_faults(&self) -> Vec<(String, String)> {
        let faults = self.dispatch.take_faults().into_iter();
        faults.map(|fault| (fault.id, fault.text)).collect()
    }

    /// Syncs, checkpoints if asked, marks the shutdown clean, unlocks.
    #[pyo3(signature = (*, checkpoint = true))]
    fn close(&self, py: Python<'_>, checkpoint: bool) -> PyResult<()> {
        py.detach(|| self.dispatch.close(checkpoint)).map_err(close_error)
    }
}

impl Engine {
    fn recover(
        data_dir: Option<PathBuf>,
        options: Options,
        ceilings: Ceilings,
        tokens: Option<Tokens>,
        progress: &RecoveryProgress,
    ) -> PyResult<Engine> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(open_error)?;
        let hash_seed = u64::from_le_bytes(seed);
        let (store, recovery) = match data_dir {
            Some(dir) => Store::open_watched(&dir, options, hash_seed, &progress.inner)
                .map_err(open_error)?,
            None => (Store::in_memory(hash_seed), Recovery::default()),
        };
        let store = store.bounded_by(ceilings);
        let dispatch = Dispatch::new(store, recovery, now());
        let dispatch = match tokens {
            Some(tokens) => dispatch.guarded_by(tokens),
            None => dispatch,
        };
        dispatch.ensure_default_workspace(now()).map_err(|status| open_error(status.message()))?;
        Ok(Engine { dispatch: Arc::new(dispatch), wake: Mutex::default() })
    }
}

fn encoded(status: Status) -> (i32, Vec<u8>) {
    (status.code(), status.encode())
}

fn parsed_tokens(text: &str) -> PyResult<Tokens> {
    Tokens::parse(text).map_err(PyValueError::new_err)
}

fn sync_policy(name: &str, interval_ms: u64) -> PyResult<SyncPolicy> {
    match name {
        "always" => Ok(SyncPolicy::Always),
        "off" => Ok(SyncPolicy::Off),
        "interval" if interval_ms > 0 => Ok(SyncPolicy::Interval { millis: interval_ms }),
        "interval" => Err(PyValueError::new_err("sync_interval_ms must be at least 1")),
        _ => Err(PyValueError::new_err(format!(
            "sync must be \"always\", \"interval\" or \"off\", not {name:?}"
        ))),
    }
}

/// A ceiling as it is set: 0 is none.
fn ceiling(identifiers: u64, bytes: u64) -> Memory {
    let bound = |setting: u64| if setting == 0 { u64::MAX } else { setting };
    Memory { identifiers: bound(identifiers), bytes: bound(bytes) }
}

fn timeout(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err("timeout_s must be 0 or more, and finite"))
}
