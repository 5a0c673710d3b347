//! A fixed course of changes, one record each, and what the state is after every one of
//! them: the oracle for whatever is done to the files.
#![allow(dead_code)] // Each test binary uses a part of it.

mod commands;

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use ipse_core::{Event, Record, SentIdentifier, SentTrait, SequenceNumber, Timestamp, TraitValue};
use ipse_store::simulated::SimulatedDisk;
use ipse_store::{
    Locked, LogPosition, OpenError, Options, Recovery, Store, SyncPolicy, WorkspaceIndex,
};

pub(crate) const DIR: &str = "/data";
pub(crate) const HASH_SEED: u64 = 42;
const START_MS: i64 = 1_767_225_600_000;

pub(crate) const RULES: &str = "\
[namespaces.user]
priority = 1
limit = 2
login = true
[namespaces.email]
priority = 2
limit = 3
[namespaces.device]
priority = 3
limit = 100
";

/// Small segments, so that a short story has several, and none kept as history.
pub(crate) fn options(sync: SyncPolicy) -> Options {
    Options {
        sync,
        segment_size_bytes: 1024,
        history_retention_days: 0,
        history_retention_bytes: 0,
        ..Options::default()
    }
}

pub(crate) fn always() -> Options {
    options(SyncPolicy::Always)
}

pub(crate) fn open(disk: &SimulatedDisk, options: Options) -> Result<(Store, Recovery), OpenError> {
    Store::open_on(Arc::new(disk.clone()), Path::new(DIR), options, HASH_SEED)
}

/// Name, sequence number and state hash of each workspace.
pub(crate) type Fingerprint = Vec<(String, u64, u128)>;

pub(crate) fn fingerprint(locked: &Locked<'_>) -> Fingerprint {
    let graphs = locked.workspaces().map(|workspace| locked.graph(workspace));
    graphs.map(|graph| (graph.name().to_owned(), graph.sequence().0, graph.state_hash())).collect()
}

/// What the state is after each record; entry 0 is the beginning.
pub(crate) fn expected(steps: u64) -> Vec<Fingerprint> {
    let store = Store::in_memory(7);
    let mut states = vec![fingerprint(&store.lock())];
    for number in 0..steps {
        step(&store, number);
        states.push(fingerprint(&store.lock()));
    }
    states
}

/// Commits record `number + 1`.
pub(crate) fn step(store: &Store, number: u64) -> LogPosition {
    let mut locked = store.lock();
    assert_eq!(locked.position().0, number, "each step is one record");
    let now = time(number);
    let position = match number {
        0 => locked.create_workspace("alpha", [1; 16], RULES, now).1,
        2 => locked.create_workspace("beta", [2; 16], RULES, now).1,
        4 => locked.create_workspace("gamma", [3; 16], commands::RULES, now).1,
        number if number % 13 == 5 => set_rules(&mut locked, number),
        number if number > 4 && number.is_multiple_of(2) => command(&mut locked, number),
        number => resolve(&mut locked, number),
    };
    assert_eq!(position.0, number + 1, "each step is one record");
    position
}

/// Commits steps up to record `end`, waiting for each.
pub(crate) fn run(store: &Store, end: u64) {
    let begin = store.lock().position().0;
    for number in begin..end {
        let position = step(store, number);
        assert_eq!(store.wait_synced(position, None), Ok(true));
    }
}

/// That the store holds an exact prefix of the story; returns its length.
pub(crate) fn check(store: &Store, expected: &[Fingerprint], what: &str) -> u64 {
    let locked = store.lock();
    let position = locked.position().0;
    let index = usize::try_from(position).expect("a short story");
    assert_eq!(fingerprint(&locked), expected[index], "{what}: not the state at {position}");
    for workspace in locked.workspaces() {
        locked.graph(workspace).check().expect("the graph holds together");
    }
    position
}

pub(crate) fn time(number: u64) -> Timestamp {
    let seconds = i64::try_from(number).expect("a short story");
    Timestamp::from_millis(START_MS + 1_000 * seconds).expect("this century")
}

fn set_rules(locked: &mut Locked<'_>, number: u64) -> LogPosition {
    let rules = format!("{RULES}# Version of step {number}.\n");
    let workspace = WorkspaceIndex(0);
    let change = locked.graph(workspace).decide_rules(&rules, None).expect("good rules");
    locked
        .commit(workspace, time(number), change.expect("other rules"))
        .expect("it can be read back")
        .1
}

/// The next command in the third workspace.
fn command(locked: &mut Locked<'_>, number: u64) -> LogPosition {
    let workspace = WorkspaceIndex(2);
    let graph = locked.graph(workspace);
    let resolved = commands::command(graph.sequence().0 - 1, time(number));
    let change = ipse_core::Change::EventResolved(resolved);
    let sequence = SequenceNumber(graph.sequence().0 + 1);
    let record = Record { sequence, log_time: time(number), change };
    graph.validate(&record).expect("written as decide would");
    locked.commit(workspace, time(number), record.change).expect("it can be read back").1
}

/// An address that no event had before, with others that many events have: all of attach,
/// merge and refuse come up.
fn resolve(locked: &mut Locked<'_>, number: u64) -> LogPosition {
    let workspace = WorkspaceIndex(u32::from(number > 2 && number.is_multiple_of(3)));
    let identifier = |namespace: &'static str, value: String| SentIdentifier::new(namespace, value);
    let event_id = format!("event-{number}");
    let event = Event {
        event_id: &event_id,
        kind: "track",
        source: "story",
        timestamp: Some(time(number)),
        identifiers: vec![
            identifier("device", format!("d-{number}")),
            identifier("email", format!("{}@example.com", number % 5)),
            identifier("user", format!("u-{}", number / 2 % 3)),
        ],
        traits: vec![SentTrait {
            name: Cow::Borrowed("step"),
            value: Some(TraitValue::Text(Cow::Owned(number.to_string()))),
            set_once: false,
        }],
        ..Event::default()
    };
    let decision = locked.graph(workspace).decide(&event, time(number)).expect("a good event");
    assert!(decision.teaches, "a new device teaches");
    let change = ipse_core::Change::EventResolved(decision.resolved);
    locked.commit(workspace, time(number), change).expect("it can be read back").1
}
