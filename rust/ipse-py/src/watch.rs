//! The class `Watch`: one call that watches, as `ipse_rpc` has it.

use std::sync::{Mutex, PoisonError};

use ipse_rpc::{Next, Status};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::refusals::{Refusal, refusal};

/// One call that watches; its place is free when this is gone.
#[pyclass(frozen, module = "ipse._native")]
pub(crate) struct Watch(Mutex<Box<ipse_rpc::Watch>>);

/// What comes of asking for one.
#[derive(IntoPyObject)]
pub(crate) enum Begun<'py> {
    /// There was a place.
    Watch(Watch),
    /// Or not.
    Refused(Refusal<'py>),
}

impl<'py> Begun<'py> {
    pub(crate) fn of(py: Python<'py>, begun: Result<ipse_rpc::Watch, Status>) -> Begun<'py> {
        match begun {
            Ok(watch) => Begun::Watch(Watch(Mutex::new(Box::new(watch)))),
            Err(status) => Begun::Refused(refusal(py, status)),
        }
    }
}

#[pymethods]
impl Watch {
    /// (code, payload, seconds to wait): its end, if the code is not 0; a message, if there is one.
    fn next<'py>(&self, py: Python<'py>) -> (i32, Bound<'py, PyBytes>, f64) {
        let next = || self.0.lock().unwrap_or_else(PoisonError::into_inner).next();
        match py.detach(next) {
            Ok(Next::Message(message)) => (0, PyBytes::new(py, &message), 0.0),
            Ok(Next::Wait(longest)) => (0, PyBytes::new(py, &[]), longest.as_secs_f64()),
            Err(status) => {
                let (code, payload) = refusal(py, status);
                (code, payload, 0.0)
            }
        }
    }

    /// Why it ends if its caller does not take what there is.
    fn too_slow<'py>(&self, py: Python<'py>) -> Refusal<'py> {
        let status = self.0.lock().unwrap_or_else(PoisonError::into_inner).too_slow();
        refusal(py, status)
    }
}
