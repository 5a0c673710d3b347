//! A disk that fails and a machine that crashes: what was acknowledged is there afterwards,
//! as an exact prefix of what was done.

mod story;

use ipse_store::simulated::{Fault, FaultKind, SimulatedDisk};
use ipse_store::{LogPosition, Options, Store, SyncPolicy};
use story::{Fingerprint, always, check, expected, open, options, step};

const STEPS: u64 = 14;

/// Seeds of each crash campaign; `IPSE_CRASH_SEEDS=20000` asks for more.
const CRASH_SEEDS: u64 = 400;

fn crash_seeds() -> u64 {
    std::env::var("IPSE_CRASH_SEEDS")
        .map_or(CRASH_SEEDS, |seeds| seeds.parse().expect("IPSE_CRASH_SEEDS is a number"))
}

/// Runs the story until it ends or something fails, and says how far it was acknowledged.
fn live(disk: &SimulatedDisk, options: Options, end: u64) -> u64 {
    let Ok((store, _)) = open(disk, options) else {
        return 0;
    };
    let begin = store.lock().position().0;
    let mut acknowledged = begin;
    for number in begin..end {
        let position = step(&store, number);
        if store.wait_synced(position, None) != Ok(true) {
            check_poisoned(&store, number);
            return acknowledged;
        }
        acknowledged = position.0;
        if number % 5 == 4 {
            // Whether it works is not the question here.
            let _ = store.checkpoint();
        }
    }
    let _ = store.close(acknowledged.is_multiple_of(2));
    acknowledged
}

/// There is no way back from a log that failed.
fn check_poisoned(store: &Store, number: u64) {
    let failure = store.failure().expect("the wait failed");
    let position = step(store, number + 1);
    assert_eq!(store.wait_synced(position, None), Err(failure.clone()));
    assert!(store.checkpoint().is_err());
    assert!(store.close(true).is_err());
    assert_eq!(store.failure(), Some(failure));
}

fn recovered(disk: &SimulatedDisk, states: &[Fingerprint], acknowledged: u64, what: &str) -> u64 {
    let (store, _) = match open(disk, always()) {
        Ok(opened) => opened,
        Err(error) => panic!("{what}: {error}"),
    };
    let position = check(&store, states, what);
    assert!(position >= acknowledged, "{what}: {acknowledged} acknowledged, {position} there");
    position
}

#[test]
fn every_operation_fails_once_and_for_ever() {
    let states = expected(STEPS + 4);
    for kind in [FaultKind::InputOutput, FaultKind::NoSpace, FaultKind::ShortWrite] {
        for lasting in [false, true] {
            for operation in 1.. {
                let disk = SimulatedDisk::new(1);
                disk.fail(Some(Fault { operation, kind, lasting }));
                let mut acknowledged = live(&disk, always(), STEPS);
                let done = disk.operations() < operation;
                disk.fail(None);
                let what = format!("operation {operation}, {kind:?}, lasting {lasting}");
                if operation.is_multiple_of(2) {
                    // The process alone dies: what a failed sync lost still reads back, and
                    // must be made to last before anything is built on it.
                    let found = recovered(&disk, &states, acknowledged, &what);
                    acknowledged = live(&disk, always(), found + 2);
                    assert_eq!(acknowledged, found + 2, "{what}");
                }
                disk.crash(operation / 2);
                recovered(&disk, &states, acknowledged, &format!("{what}, then a crash"));
                if done {
                    assert!(acknowledged >= STEPS, "{what}");
                    break;
                }
            }
        }
    }
}

#[test]
fn every_operation_of_a_recovery_fails() {
    let states = expected(STEPS + 4);
    let torn = SimulatedDisk::new(1);
    torn.fail(Some(Fault { operation: 90, kind: FaultKind::ShortWrite, lasting: true }));
    let acknowledged = live(&torn, always(), STEPS);
    torn.fail(None);
    assert!(acknowledged > 5, "the story has come somewhere: {acknowledged}");
    for kind in [FaultKind::InputOutput, FaultKind::ShortWrite] {
        for operation in 1.. {
            let disk = torn.copy();
            disk.fail(Some(Fault { operation, kind, lasting: true }));
            let opened = open(&disk, always()).is_ok();
            let done = disk.operations() < operation;
            disk.crash(operation);
            let what = format!("operation {operation} of the recovery, {kind:?}");
            recovered(&disk, &states, acknowledged, &what);
            if done {
                assert!(opened, "{what}");
                break;
            }
        }
    }
}

#[test]
fn crashes_lose_nothing_that_was_acknowledged() {
    let states = expected(200);
    for seed in 0..crash_seeds() {
        let disk = SimulatedDisk::new(seed);
        let mut acknowledged = 0;
        for round in 0..4 {
            let operation = 1 + (seed * 7_919 + round * 104_729) % 70;
            let kind = FaultKind::ShortWrite;
            disk.fail(Some(Fault { operation, kind, lasting: true }));
            let what = format!("seed {seed}, round {round}, operation {operation}");
            acknowledged = acknowledged.max(live(&disk, always(), 40));
            disk.crash(seed * 31 + round);
            recovered(&disk, &states, acknowledged, &what);
        }
    }
}

#[test]
fn crashes_under_relaxed_policies_leave_a_prefix() {
    let states = expected(200);
    for sync in [SyncPolicy::Off, SyncPolicy::Interval { millis: 0 }] {
        for seed in 0..crash_seeds() / 2 {
            let disk = SimulatedDisk::new(seed);
            for round in 0..3 {
                let operation = 1 + (seed * 7_919 + round * 104_729) % 60;
                let kind = FaultKind::ShortWrite;
                disk.fail(Some(Fault { operation, kind, lasting: true }));
                live(&disk, options(sync), 40);
                disk.crash(seed * 31 + round);
                recovered(&disk, &states, 0, &format!("{sync:?}, seed {seed}, round {round}"));
            }
        }
    }
}

/// Groups of several records, snapshots between any two, ends of all kinds, readers: as chance
/// has it. Gives the highest position that anybody was told.
fn live_by_chance(disk: &SimulatedDisk, end: u64, chance: &mut Chance) -> u64 {
    let Ok((store, _)) = open(disk, always()) else { return 0 };
    let mut told = store.synced().0;
    let begin = store.lock().position().0;
    let mut number = begin;
    while number < end {
        for _ in 0..=chance.below(4) {
            step(&store, number);
            number += 1;
        }
        if chance.below(2) == 0 {
            let (seen, rests) = read(&store);
            if store.wait_synced(rests, None) == Ok(true) {
                told = told.max(seen.0);
            }
        }
        if chance.below(3) > 0 && store.wait_synced(LogPosition(number), None) != Ok(true) {
            return told;
        }
        told = told.max(store.synced().0);
        if chance.below(6) == 0 {
            let _ = store.checkpoint();
        }
        if chance.below(40) == 0 {
            // Its process dies here: what waits is lost, what was synced is not.
            return told;
        }
    }
    match store.close(chance.below(2) == 0) {
        Ok(()) => number,
        Err(_) => told,
    }
}

/// What a reader of all workspaces sees, and the position that its answer rests on.
fn read(store: &Store) -> (LogPosition, LogPosition) {
    let locked = store.lock();
    let rests = locked.workspaces().map(|workspace| locked.workspace_position(workspace));
    (locked.position(), rests.max().unwrap_or_default())
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn crashes_of_groups_snapshots_and_recoveries_lose_nothing_that_was_told() {
    let states = expected(400);
    for seed in 0..crash_seeds() {
        let disk = SimulatedDisk::new(seed);
        let mut chance = Chance(seed);
        let mut told = 0;
        for round in 0..5 {
            let kinds = [FaultKind::ShortWrite, FaultKind::InputOutput, FaultKind::NoSpace];
            let kind = kinds[usize::try_from(chance.below(3)).expect("small")];
            let operation = 1 + chance.below(120);
            disk.fail(Some(Fault { operation, kind, lasting: chance.below(2) == 0 }));
            let end = told + 1 + chance.below(40);
            told = told.max(live_by_chance(&disk, end, &mut chance));
            let what = format!("seed {seed}, round {round}, {kind:?} at {operation}");
            if chance.below(3) > 0 {
                disk.crash(chance.below(u64::MAX));
            }
            disk.fail(None);
            told = recovered(&disk, &states, told, &what);
        }
    }
}

/// Found by the crashes above: the mark reads back after a sync that failed, so the next start
/// took the log for whole, and a later crash left a hole where half of the mark had been.
#[test]
fn a_mark_of_a_clean_shutdown_whose_sync_failed_is_made_to_last() {
    let states = expected(40);
    for (steps, operation, seed) in
        (5..20).flat_map(|steps| (0..12).map(move |it| (steps, 1 + it % 3, it / 3)))
    {
        let disk = SimulatedDisk::new(1);
        live_plainly(&disk, steps, Some(operation));
        // The process has ended, the machine has not.
        live_plainly(&disk, steps + 9, None);
        disk.crash(seed);
        let what = format!("{steps} steps, operation {operation}, seed {seed}");
        recovered(&disk, &states, steps + 9, &what);
    }
}

/// Runs the story to `end` and closes, with an operation of the closing that fails.
fn live_plainly(disk: &SimulatedDisk, end: u64, failing: Option<u64>) {
    let (store, _) = open(disk, always()).expect("nothing fails at opening");
    let begin = store.lock().position().0;
    for number in begin..end {
        let position = step(&store, number);
        assert_eq!(store.wait_synced(position, None), Ok(true));
    }
    let kind = FaultKind::InputOutput;
    disk.fail(failing.map(|operation| Fault { operation, kind, lasting: false }));
    let _ = store.close(false);
    disk.fail(None);
}
