//! Segment's documented behaviour, step by step, through the store.

mod support;

use support::StoreBackend;
use support::shared::backend::Backend;
use support::shared::segment;

#[test]
fn segment_scenarios_hold() {
    segment::run_all(StoreBackend::new, |_| {});
}

#[test]
fn segment_scenarios_hold_through_crashes_and_checkpoints() {
    segment::run_all(StoreBackend::new, |backend| {
        backend.crash();
        backend.checkpoint();
    });
}
