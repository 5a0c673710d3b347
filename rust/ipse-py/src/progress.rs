//! The class `RecoveryProgress`.

use pyo3::prelude::*;

/// How far `Engine.open`, which is given it, has come; any thread may look.
#[pyclass(frozen, module = "ipse._native")]
#[derive(Default)]
pub(crate) struct RecoveryProgress {
    pub(crate) inner: ipse_store::RecoveryProgress,
}

#[pymethods]
impl RecoveryProgress {
    #[new]
    fn new() -> RecoveryProgress {
        RecoveryProgress::default()
    }

    /// (bytes that were read and applied, bytes to be read in all).
    fn now(&self) -> (u64, u64) {
        self.inner.now()
    }
}
