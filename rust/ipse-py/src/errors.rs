//! Exceptions, and which error of Rust becomes which.

use ipse_store::{CheckpointError, CloseError, LogFailed};
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOSError, PyRuntimeError};
use pyo3::prelude::*;

create_exception!(
    ipse._native,
    OpenError,
    PyException,
    "The data directory cannot be opened; the message names file and byte and says what to do."
);
create_exception!(
    ipse._native,
    LogFailedError,
    PyException,
    "The log could not be written or synced. The process must stop; the next start recovers."
);

pub(crate) fn open_error(error: impl ToString) -> PyErr {
    OpenError::new_err(error.to_string())
}

pub(crate) fn log_failed(error: LogFailed) -> PyErr {
    LogFailedError::new_err(error.to_string())
}

pub(crate) fn checkpoint_error(error: CheckpointError) -> PyErr {
    match error {
        CheckpointError::Log(failed) => log_failed(failed),
        CheckpointError::InMemory | CheckpointError::Closed => {
            PyRuntimeError::new_err(error.to_string())
        }
        CheckpointError::StorageFull | CheckpointError::Io(_) | CheckpointError::Unreadable(_) => {
            PyOSError::new_err(error.to_string())
        }
    }
}

pub(crate) fn close_error(error: CloseError) -> PyErr {
    match error {
        CloseError::Log(failed) => log_failed(failed),
        CloseError::Checkpoint(error) => checkpoint_error(error),
    }
}
