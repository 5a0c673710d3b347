//! Translation: the extension module `ipse._native`.
//!
//! The only crate that knows Python. It holds no rule and no state of its own: it turns
//! Python's bytes, numbers and exceptions into the dispatch's and back, and lets other
//! Python threads run while Rust waits or works for long. It never calls into Python while
//! anything of Rust is locked, and never from a thread of Rust.

mod engine;
mod errors;
mod loading;
mod native;
mod offline;
mod past_rows;
mod progress;
mod refusals;
mod tally;
mod wake;
mod watch;

use pyo3::pymodule;

/// The engine, as Python sees it: bytes in, bytes out.
#[pymodule(gil_used = false)]
mod _native {
    use ipse_core::Rules;
    use ipse_rpc::{METHODS, limits};
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::engine::Engine;
    #[pymodule_export]
    use crate::errors::{LogFailedError, OpenError};
    #[pymodule_export]
    use crate::loading::{count_answers, frame_lines};
    #[pymodule_export]
    use crate::native::NativeServer;
    #[pymodule_export]
    use crate::offline::{restore, verify};
    #[pymodule_export]
    use crate::past_rows::PastRows;
    #[pymodule_export]
    use crate::progress::RecoveryProgress;
    #[pymodule_export]
    use crate::refusals::{bug, fitted_status, message_too_large, not_serving, waiting_calls_full};
    #[pymodule_export]
    use crate::tally::Tally;
    #[pymodule_export]
    use crate::watch::Watch;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        ipse_rpc::keep_panics_for_the_log();
        module.add("SHORT_BATCH_BYTES_MAX", limits::SHORT_BATCH_BYTES_MAX)?;
        module.add("HELD_ANSWER_BYTES_MIN", limits::HELD_ANSWER_BYTES_MIN)?;
        module.add("WATCH_LOOK_INTERVAL_MS", limits::WATCH_LOOK_INTERVAL_MS)?;
        module.add("WATCH_SEND_S_MAX", limits::WATCH_SEND_S_MAX)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }

    /// (line, key, message) of each problem; line 0 is the whole. Empty: the rules are good.
    #[pyfunction]
    fn validate_rules(py: Python<'_>, text: &str) -> Vec<(u32, String, String)> {
        let problems = py.detach(|| Rules::from_toml(text)).err().unwrap_or_default();
        problems.into_iter().map(|problem| (problem.line, problem.key, problem.message)).collect()
    }

    /// (name, role, effect, way) of each method.
    #[pyfunction]
    fn methods() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
        let words = |method: &ipse_rpc::Method| {
            (method.name, method.role().name(), method.effect.name(), method.way.name())
        };
        METHODS.iter().map(words).collect()
    }

    /// Raises ValueError, which says what is wrong, if this is not a file of tokens.
    #[pyfunction]
    fn check_tokens(text: &str) -> PyResult<()> {
        let checked = ipse_rpc::Tokens::parse(text).map(drop);
        checked.map_err(pyo3::exceptions::PyValueError::new_err)
    }

    /// The TOML of a preset (`segment`).
    #[pyfunction]
    fn preset(name: &str) -> Option<&'static str> {
        ipse_core::rules::preset(name)
    }
}
