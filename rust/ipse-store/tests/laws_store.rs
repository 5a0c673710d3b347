//! What must hold for any course of events: a store is its graph, whatever happens to it.

mod support;

use ipse_core::Timestamp;
use proptest::prelude::*;
use support::StoreBackend;
use support::shared::backend::{Backend, assert_same};
use support::shared::core::CoreBackend;
use support::shared::model::ModelRules;
use support::shared::world::{self, Step};
use support::shared::{scenario, timestamp};

fn now(step: usize) -> Timestamp {
    timestamp::at_millis(timestamp::START_MS + 1_000 * step as i64)
}

/// Takes one step; gives back what was answered, in words that compare.
fn take(backend: &mut impl Backend, step: &Step, number: usize) -> String {
    match step {
        Step::Event(event) | Step::Ask(event) => {
            let read_only = matches!(step, Step::Ask(_));
            let event = world::core_event(event);
            format!("{:?}", scenario::resolve(backend, &event, now(number), read_only))
        }
        Step::Rules(rules) => set_rules(backend, rules, number),
        Step::Crash => {
            backend.crash();
            String::new()
        }
        Step::Checkpoint => {
            backend.checkpoint();
            String::new()
        }
        Step::Restart => {
            backend.restart();
            String::new()
        }
    }
}

fn set_rules(backend: &mut impl Backend, rules: &ModelRules, number: usize) -> String {
    let text = world::toml(rules);
    let change = backend.read(|graph| graph.decide_rules(&text, None));
    if let Ok(Some(change)) = change {
        backend.commit(now(number), change);
    }
    backend.read(|graph| graph.rules_version().to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// The bare core and the store answer alike and hold the same at the end, through
    /// crashes, checkpoints and restarts, and over several workspaces in one log.
    #[test]
    fn a_store_is_its_graph(
        courses in proptest::collection::vec((world::tight_rules(), world::steps(25)), 1..3),
    ) {
        let mut store = StoreBackend::new();
        for (workspace, (rules, steps)) in courses.iter().enumerate() {
            let (name, text) = (format!("laws-{workspace}"), world::toml(rules));
            let mut core = CoreBackend::new();
            core.create_workspace(&name, &text, now(0));
            store.create_workspace(&name, &text, now(0));
            for (number, step) in steps.iter().enumerate() {
                let expected = take(&mut core, step, number);
                prop_assert_eq!(take(&mut store, step, number), expected, "{:?}", step);
            }
            store.crash();
            store.read(|graph| assert_same("the store", core.graph(), graph));
        }
    }
}
