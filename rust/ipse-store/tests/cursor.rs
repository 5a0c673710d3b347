//! A reader of a workspace's records gets each of them once and in order, however much it reads at
//! a time and whatever happens to the files meanwhile, or is told that one is gone.

mod secrets;
mod story;

use ipse_core::command::{Erasable, Erase, Operation};
use ipse_core::decide::ErasureDecision;
use ipse_core::{Change, SequenceNumber};
use ipse_store::simulated::SimulatedDisk;
use ipse_store::{Cursor, Options, Stopped, Store, WorkspaceIndex};
use secrets::WORKSPACE;
use story::{always, open, run};

fn keeping(bytes: u64) -> Options {
    Options { history_retention_days: 30, history_retention_bytes: bytes, ..always() }
}

fn cursor(store: &Store, workspace: WorkspaceIndex, after: impl Into<Option<u64>>) -> Cursor {
    store.lock().cursor(workspace, after.into().map(SequenceNumber))
}

/// Reads on, so many records of the log at a time, to where that ends.
fn read(store: &Store, cursor: &mut Cursor, at_a_time: usize) -> (Vec<u64>, Stopped) {
    let mut read = Vec::new();
    loop {
        let stopped = cursor.read(store, at_a_time, &mut |record| {
            read.push(record.sequence.0);
            true
        });
        match stopped.expect("whole") {
            Stopped::Enough => {}
            stopped => return (read, stopped),
        }
    }
}

fn all(from: u64, to: u64) -> (Vec<u64>, Stopped) {
    ((from..=to).collect(), Stopped::AtNewest)
}

#[test]
fn every_record_comes_once_and_those_that_are_written_meanwhile() {
    for at_a_time in [1, 2, 7, 1_000] {
        let disk = SimulatedDisk::new(1);
        let (store, _) = open(&disk, keeping(u64::MAX)).expect("new");
        run(&store, 20);
        let workspaces: Vec<_> = store.lock().workspaces().collect();
        let newest = |workspace| store.lock().graph(workspace).sequence().0;
        let mut cursors: Vec<_> = workspaces
            .iter()
            .map(|&workspace| (workspace, 0, cursor(&store, workspace, 0)))
            .collect();
        for end in (40..=200).step_by(40) {
            for (workspace, told, cursor) in &mut cursors {
                let newest = newest(*workspace);
                assert_eq!(read(&store, cursor, at_a_time), all(*told + 1, newest));
                assert_eq!(cursor.sequence().0, newest);
                *told = newest;
            }
            run(&store, end);
            store.checkpoint().expect("a snapshot");
        }
        for workspace in workspaces {
            let newest = newest(workspace);
            for after in [1, newest / 2, newest - 1, newest] {
                let mut cursor = cursor(&store, workspace, after);
                assert_eq!(cursor.newest().0, newest);
                assert_eq!(read(&store, &mut cursor, at_a_time), all(after + 1, newest));
            }
        }
    }
}

#[test]
fn who_does_not_say_after_which_gets_what_comes() {
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, always()).expect("new");
    run(&store, 20);
    let newest = store.lock().graph(WORKSPACE).sequence().0;
    let mut cursor = cursor(&store, WORKSPACE, None);
    assert_eq!(read(&store, &mut cursor, 9), (vec![], Stopped::AtNewest));
    run(&store, 30);
    let now = store.lock().graph(WORKSPACE).sequence().0;
    assert_eq!(read(&store, &mut cursor, 9), all(newest + 1, now));
}

#[test]
fn a_reader_stops_where_it_is_told_and_goes_on_there() {
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, always()).expect("new");
    run(&store, 30);
    let mut cursor = cursor(&store, WORKSPACE, 0);
    for expected in 1..=5 {
        let mut read = Vec::new();
        let stopped = cursor.read(&store, 1_000, &mut |record| {
            read.push(record.sequence.0);
            false
        });
        assert_eq!((read, stopped.expect("whole")), (vec![expected], Stopped::Enough));
    }
}

#[test]
fn what_is_kept_no_longer_is_told_with_the_oldest_that_is() {
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, keeping(0)).expect("new");
    run(&store, 60);
    let workspaces: Vec<_> = store.lock().workspaces().collect();
    let mut behind: Vec<_> = workspaces.iter().map(|&w| cursor(&store, w, 2)).collect();
    for end in [100, 140] {
        run(&store, end);
        store.checkpoint().expect("a snapshot");
    }
    for (&workspace, behind) in workspaces.iter().zip(&mut behind) {
        let oldest = store.oldest_sequence(workspace).expect("whole");
        assert!(oldest.0 > 3);
        let newest = store.lock().graph(workspace).sequence().0;
        let gone = (vec![], Stopped::Expired(oldest));
        assert_eq!(read(&store, behind, 10), gone);
        for after in [0, 1, oldest.0 - 2] {
            assert_eq!(read(&store, &mut cursor(&store, workspace, after), 10), gone, "{after}");
        }
        let mut kept = cursor(&store, workspace, oldest.0 - 1);
        assert_eq!(read(&store, &mut kept, 10), all(oldest.0, newest));
    }
}

#[test]
fn segments_that_are_rewritten_are_read_on_as_they_are_then() {
    let disk = SimulatedDisk::new(1);
    let store = secrets::open(&disk);
    store.lock().create_workspace("default", [1; 16], secrets::RULES, secrets::now(0));
    secrets::live(&store, 1..60);
    secrets::sync(&store);
    let newest = store.lock().graph(WORKSPACE).sequence().0;
    let mut cursors: Vec<Cursor> = (0..newest).map(|_| cursor(&store, WORKSPACE, 0)).collect();
    for (count, cursor) in cursors.iter_mut().enumerate() {
        let mut left = count;
        let enough = &mut |_: &ipse_core::Record<'_>| {
            left -= 1;
            left > 0
        };
        if count > 0 {
            assert_eq!(cursor.read(&store, 1_000, enough).expect("whole"), Stopped::Enough);
        }
    }
    {
        let what = Erasable::HolderOf(secrets::sent("user", "ann-secret".into()));
        let command = Erase { operation: Operation::default(), what, suppress: false };
        let mut locked = store.lock();
        let decided = locked.graph(WORKSPACE).decide_erase(&command, secrets::now(500));
        let Ok(ErasureDecision::New(erased)) = decided else { panic!("{decided:?}") };
        let erased = Change::Erased(erased);
        locked.commit(WORKSPACE, secrets::now(500), erased).expect("a good record");
    }
    store.checkpoint().expect("room on the disk");
    secrets::sync(&store);

    let newest = store.lock().graph(WORKSPACE).sequence().0;
    for (count, cursor) in (0..).zip(&mut cursors) {
        let mut told = Vec::new();
        let stopped = cursor.read(&store, 10_000, &mut |record| {
            assert!(!format!("{record:?}").contains("ann-secret"), "{record:?}");
            told.push(record.sequence.0);
            true
        });
        assert_eq!((told, stopped.expect("whole")), all(count + 1, newest));
    }
}

#[test]
fn in_memory_nothing_is_kept() {
    let store = Store::in_memory(1);
    (0..20).for_each(|number| _ = story::step(&store, number));
    let newest = store.lock().graph(WORKSPACE).sequence().0;
    let gone = Stopped::Expired(SequenceNumber(newest + 1));
    for after in [Some(0), Some(newest), None] {
        assert_eq!(read(&store, &mut cursor(&store, WORKSPACE, after), 10), (vec![], gone));
    }
}
