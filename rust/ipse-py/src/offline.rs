//! What is done with directories that no server uses.

use std::path::PathBuf;

use ipse_core::Timestamp;
use ipse_store::{RestoreError, RestoreRequest, Restored, Summary, Until, Verified};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::errors::open_error;

/// Makes a data directory from a backup or another one. Blocks without the GIL.
#[pyfunction]
#[pyo3(signature = (
    source, target, *, log = None, erasures = None, to_position = None, to_sequence = None,
    to_time_ms = None,
))]
#[expect(clippy::too_many_arguments, reason = "Python names each of them")]
pub(crate) fn restore<'py>(
    py: Python<'py>,
    source: PathBuf,
    target: PathBuf,
    log: Option<PathBuf>,
    erasures: Option<PathBuf>,
    to_position: Option<u64>,
    to_sequence: Option<(String, u64)>,
    to_time_ms: Option<i64>,
) -> PyResult<Bound<'py, PyDict>> {
    let until = until(to_position, to_sequence, to_time_ms)?;
    let (log, erasures) = (log.as_deref(), erasures.as_deref());
    let request = RestoreRequest { from: &source, log, erasures, until, to: &target };
    let restored = py.detach(|| ipse_store::restore(&request)).map_err(restore_error)?;
    told(py, restored)
}

/// Judges a data directory or a backup by all that it promises. Blocks without the GIL.
#[pyfunction]
pub(crate) fn verify(py: Python<'_>, directory: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let found = py.detach(|| ipse_store::verify(&directory)).map_err(open_error)?;
    let Verified { is_backup, log_position, first_log_position, replayed_records, .. } = found;
    let told = PyDict::new(py);
    told.set_item("is_backup", is_backup)?;
    told.set_item("log_position", log_position)?;
    told.set_item("first_log_position", first_log_position)?;
    told.set_item("replayed_record_count", replayed_records)?;
    told.set_item("workspaces", workspaces(py, found.workspaces)?)?;
    let files = PyList::empty(py);
    for file in found.files {
        let entry = PyDict::new(py);
        entry.set_item("name", file.name)?;
        entry.set_item("bytes", file.bytes)?;
        entry.set_item("detail", file.detail)?;
        files.append(entry)?;
    }
    told.set_item("files", files)?;
    told.set_item("notes", found.notes)?;
    Ok(told)
}

fn until(
    position: Option<u64>,
    sequence: Option<(String, u64)>,
    time_ms: Option<i64>,
) -> PyResult<Option<Until>> {
    match (position, sequence, time_ms) {
        (None, None, None) => Ok(None),
        (Some(position), None, None) => Ok(Some(Until::Position(position))),
        (None, Some((workspace, sequence)), None) => {
            Ok(Some(Until::Sequence { workspace, sequence }))
        }
        (None, None, Some(millis)) => match Timestamp::from_millis(millis) {
            Some(time) => Ok(Some(Until::Time(time))),
            None => Err(PyValueError::new_err("the time is not within the years 1 to 9999")),
        },
        _ => Err(PyValueError::new_err("name one moment: a position, a record or a time")),
    }
}

fn restore_error(error: RestoreError) -> PyErr {
    match error {
        RestoreError::Refused { problem } => PyValueError::new_err(problem),
        RestoreError::Files(_) => open_error(error),
    }
}

fn told(py: Python<'_>, restored: Restored) -> PyResult<Bound<'_, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("log_position", restored.log_position)?;
    told.set_item("snapshot_log_position", restored.snapshot_log_position)?;
    told.set_item("replayed_record_count", restored.replayed_records)?;
    told.set_item("new_log", restored.new_log)?;
    told.set_item("erased_again_count", restored.erased_again)?;
    told.set_item("workspaces", workspaces(py, restored.workspaces)?)?;
    told.set_item("notes", restored.notes)?;
    Ok(told)
}

fn workspaces(py: Python<'_>, summaries: Vec<Summary>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for Summary { name, sequence, state_hash } in summaries {
        let entry = PyDict::new(py);
        entry.set_item("name", name)?;
        entry.set_item("sequence_number", sequence)?;
        entry.set_item("state_hash", format!("{state_hash:032x}"))?;
        list.append(entry)?;
    }
    Ok(list)
}
