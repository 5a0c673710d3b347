//! Segment's documented behaviour, step by step, on the bare core.

mod support;

use support::backend::Backend;
use support::core::CoreBackend;
use support::segment;

#[test]
fn segment_scenarios_hold() {
    segment::run_all(CoreBackend::new, |_| {});
}

#[test]
fn segment_scenarios_hold_through_snapshots_and_replays() {
    segment::run_all(CoreBackend::new, |backend| {
        backend.checkpoint();
        backend.crash();
    });
}
