//! What `ipse load` does for every line and every answer, as Python sees it.

use std::collections::BTreeMap;

use ipse_rpc::loading::{Counted, Framed, Refusal, Room};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

type Lines<'py> = (Bound<'py, PyBytes>, Vec<u64>, Vec<u64>, usize, u64);
type Counts = (
    u64,
    [u64; 6],
    u64,
    BTreeMap<u64, u64>,
    BTreeMap<(String, String), u64>,
    Vec<(u64, String, String, String)>,
);

/// Takes whole lines into a batch: (events, their lines, lines that are too long, where the text
/// goes on, the line before that).
#[pyfunction]
pub(crate) fn frame_lines<'py>(
    py: Python<'py>,
    text: &[u8],
    start: usize,
    line: u64,
    events_max: usize,
    bytes_max: usize,
    line_bytes_max: usize,
) -> Lines<'py> {
    let room = Room { events: events_max, bytes: bytes_max, line_bytes: line_bytes_max };
    let Framed { events, lines, oversized, end, end_line } =
        ipse_rpc::loading::frame_lines(text, start, line, room);
    (PyBytes::new(py, &events), lines, oversized, end, end_line)
}

/// Counts the results of a `ResolveEventsResponse`.
#[pyfunction]
pub(crate) fn count_answers(response: &[u8]) -> PyResult<Counts> {
    let counted = ipse_rpc::loading::count_answers(response);
    let counted = counted.map_err(|status| PyValueError::new_err(status.message().to_owned()))?;
    let Counted { events, decisions, repeated, kept_out, ignored, errors } = counted;
    let errors = errors
        .into_iter()
        .map(|Refusal { event, reason, message, field }| (event, reason, message, field));
    Ok((events, decisions, repeated, kept_out, ignored, errors.collect()))
}
