//! What the tests of the core and of the store share: one way to drive a graph, and the
//! runners that read the project's texts and data. It must not judge behaviour itself:
//! expectations live in the files that it reads.
#![allow(dead_code)] // Each test binary uses a part of it.

pub(crate) mod backend;
pub(crate) mod command;
pub(crate) mod core;
pub(crate) mod courses;
pub(crate) mod model;
pub(crate) mod owned;
pub(crate) mod past;
pub(crate) mod people;
pub(crate) mod render;
pub(crate) mod scenario;
pub(crate) mod segment;
pub(crate) mod small;
pub(crate) mod timestamp;
pub(crate) mod universe;
pub(crate) mod why;
pub(crate) mod world;

use std::path::{Path, PathBuf};

/// A path below the `tests` directory at the top of the repository.
pub(crate) fn tests_path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(relative)
}
