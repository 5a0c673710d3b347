//! Every story of `tests/scenarios` on the bare core.

mod support;

use support::core::CoreBackend;
use support::scenario::{self, Between, Mode};

#[test]
fn stories_hold() {
    scenario::run_all(scenario::mode_from_environment(), Between::Nothing, CoreBackend::new);
}

#[test]
fn stories_hold_through_a_snapshot_after_every_command() {
    scenario::run_all(Mode::Compare, Between::Checkpoint, CoreBackend::new);
}

#[test]
fn stories_hold_through_a_replay_after_every_command() {
    scenario::run_all(Mode::Compare, Between::Crash, CoreBackend::new);
}
