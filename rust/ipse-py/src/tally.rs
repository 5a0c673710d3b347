//! The class `Tally`.

use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

/// Counts of calls, from whichever transport.
#[pyclass(frozen, module = "ipse._native")]
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) inner: Arc<ipse_rpc::Tally>,
}

#[pymethods]
impl Tally {
    #[new]
    fn new() -> Tally {
        Tally::default()
    }

    /// Counts a call that has ended.
    fn count(&self, method: &str, code: i32, seconds: f64) {
        let took = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        self.inner.count(method, code, took);
    }

    /// (method, code, how many calls) of those that there were.
    fn codes(&self) -> Vec<(&'static str, i32, u64)> {
        self.inner.codes()
    }

    /// (method, counts between the bounds, sum in seconds) of those that were called.
    fn times(&self) -> Vec<(&'static str, Vec<u64>, f64)> {
        let times = self.inner.times().into_iter();
        times.map(|(method, times)| (method, times.counts, times.sum.as_secs_f64())).collect()
    }

    /// Upper bounds of the times, in seconds.
    #[staticmethod]
    fn bounds_s() -> Vec<f64> {
        ipse_rpc::TIMES_US.iter().map(|bound| *bound as f64 / 1e6).collect()
    }
}
