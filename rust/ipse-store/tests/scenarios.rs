//! Every story of `tests/scenarios` through the store.

mod support;

use support::shared::scenario::{self, Between, Mode};
use support::{MemoryBackend, StoreBackend};

#[test]
fn stories_hold() {
    scenario::run_all(Mode::Compare, Between::Nothing, StoreBackend::new);
}

#[test]
fn stories_hold_through_a_crash_after_every_command() {
    scenario::run_all(Mode::Compare, Between::Crash, StoreBackend::new);
}

#[test]
fn stories_hold_through_a_checkpoint_after_every_command() {
    scenario::run_all(Mode::Compare, Between::Checkpoint, StoreBackend::new);
}

#[test]
fn stories_hold_through_a_restart_after_every_command() {
    scenario::run_all(Mode::Compare, Between::Restart, StoreBackend::new);
}

#[test]
fn stories_hold_in_memory() {
    scenario::run_all(Mode::Compare, Between::Nothing, MemoryBackend::new);
}
