//! What `ipse asof` does for every row and every answer, as Python sees it.

use ipse_rpc::past_file::{self, Form};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// The rows of a file that are asked about, a batch at a time.
#[pyclass(module = "ipse._native")]
pub(crate) struct PastRows {
    rows: past_file::PastRows,
    form: Form,
}

#[pymethods]
impl PastRows {
    #[new]
    fn new(header: &[u8], namespace: &str, value: &str, time: &str, json: bool) -> PyResult<Self> {
        let rows = past_file::PastRows::new(header, namespace, value, time);
        let form = if json { Form::Json } else { Form::Csv };
        Ok(PastRows { rows: rows.map_err(PyValueError::new_err)?, form })
    }

    /// The header of the answers.
    #[staticmethod]
    fn header<'py>(py: Python<'py>, header: &[u8]) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &past_file::PastRows::header(header))
    }

    /// Takes whole rows: (the lookups of a request, where the text goes on).
    fn take<'py>(
        &mut self,
        py: Python<'py>,
        text: &[u8],
        start: usize,
        rows_max: usize,
        is_last: bool,
    ) -> (Bound<'py, PyBytes>, usize) {
        let (lookups, end) = self.rows.take(text, start, rows_max, is_last);
        (PyBytes::new(py, &lookups), end)
    }

    /// How many rows wait for their answers.
    fn waiting(&self) -> usize {
        self.rows.waiting()
    }

    /// The rows that were taken, with what the answer says of them.
    fn answer<'py>(&mut self, py: Python<'py>, response: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let answered = self.rows.answer(response, self.form);
        let told = answered.map_err(|status| PyValueError::new_err(status.message().to_owned()))?;
        Ok(PyBytes::new(py, &told))
    }
}
