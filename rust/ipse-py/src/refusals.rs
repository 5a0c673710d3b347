//! Refusals that a transport makes itself, before a call reaches an engine or when there is none.

use ipse_rpc::Status;
use ipse_rpc::status::{Absence, fitted};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// (code, google.rpc.Status).
pub(crate) type Refusal<'py> = (i32, Bound<'py, PyBytes>);

pub(crate) fn refusal(py: Python<'_>, status: Status) -> Refusal<'_> {
    (status.code(), PyBytes::new(py, &status.encode()))
}

/// Why there is no engine: `recovering`, `shutting_down` or `failed`.
pub(crate) fn absence(word: &str) -> PyResult<Absence> {
    match word {
        "recovering" => Ok(Absence::Recovering),
        "shutting_down" => Ok(Absence::ShuttingDown),
        "failed" => Ok(Absence::Failed),
        _ => Err(PyValueError::new_err(format!("there is no absence {word:?}"))),
    }
}

#[pyfunction]
pub(crate) fn not_serving<'py>(py: Python<'py>, why: &str) -> PyResult<Refusal<'py>> {
    Ok(refusal(py, Status::not_serving(absence(why)?)))
}

/// `found` calls wait for the disk, of `bound`.
#[pyfunction]
pub(crate) fn waiting_calls_full(py: Python<'_>, bound: usize, found: usize) -> Refusal<'_> {
    refusal(py, Status::waiting_calls_full(bound, found))
}

/// A `request` or `response` has more bytes than a setting allows.
#[pyfunction]
pub(crate) fn message_too_large<'py>(
    py: Python<'py>,
    what: &str,
    setting: &str,
    bound: usize,
    found: usize,
) -> Refusal<'py> {
    refusal(py, Status::message_too_large(what, setting, bound, found))
}

/// A bug that the log explains under an id.
#[pyfunction]
pub(crate) fn bug<'py>(py: Python<'py>, fault: &str) -> Refusal<'py> {
    refusal(py, Status::bug(fault))
}

/// (message, bytes) of a google.rpc.Status, cut to what metadata has room for.
#[pyfunction]
pub(crate) fn fitted_status<'py>(
    py: Python<'py>,
    status: &[u8],
) -> PyResult<(String, Bound<'py, PyBytes>)> {
    let (message, fitted) =
        fitted(status).map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok((message, PyBytes::new(py, &fitted)))
}
