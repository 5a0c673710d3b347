//! Records are read by their sequence numbers, as far as the log keeps them, and as they are now.

mod secrets;
mod story;

use ipse_core::command::{Erasable, Erase, Operation};
use ipse_core::decide::ErasureDecision;
use ipse_core::{Change, SequenceNumber};
use ipse_store::simulated::SimulatedDisk;
use ipse_store::{LogPosition, Options, Store, WorkspaceIndex};
use secrets::WORKSPACE;
use story::{always, open, run};

/// All records of a workspace that the log has, read from its beginning, as text.
fn kept(store: &Store, workspace: WorkspaceIndex) -> Vec<(SequenceNumber, String)> {
    let (mut records, mut at) = (Vec::new(), Some(LogPosition(0)));
    while let Some(after) = at {
        let read = store.read_records(workspace, after, &mut |record| {
            records.push((record.sequence, format!("{record:?}")));
            true
        });
        at = read.expect("whole");
    }
    records
}

/// That the numbers asked for give the records that are kept, and the others are told.
fn check(store: &Store, workspace: WorkspaceIndex, step: usize) -> SequenceNumber {
    let newest = store.lock().graph(workspace).sequence();
    let kept = kept(store, workspace);
    let oldest = kept.first().map_or(SequenceNumber(newest.0 + 1), |(sequence, _)| *sequence);
    assert_eq!(store.oldest_sequence(workspace).expect("whole"), oldest);
    let wanted: Vec<_> = (1..=newest.0).step_by(step).map(SequenceNumber).collect();
    let mut read = Vec::new();
    let missing = store.read_records_at(workspace, &wanted, &mut |record| {
        read.push((record.sequence, format!("{record:?}")));
    });
    let is_wanted = |(sequence, _): &&(SequenceNumber, String)| wanted.contains(sequence);
    assert_eq!(read, kept.iter().filter(is_wanted).cloned().collect::<Vec<_>>());
    let gone: Vec<_> = wanted.iter().copied().filter(|sequence| *sequence < oldest).collect();
    assert_eq!(missing.expect("whole"), gone);
    oldest
}

fn check_all(store: &Store) -> u64 {
    let workspaces: Vec<_> = store.lock().workspaces().collect();
    let steps = workspaces.iter().flat_map(|workspace| [(workspace, 1), (workspace, 7)]);
    let oldest = steps.map(|(workspace, step)| check(store, *workspace, step).0);
    oldest.max().expect("three workspaces")
}

#[test]
fn what_is_kept_is_read_and_what_is_not_is_told_also_after_a_start() {
    for bytes in [u64::MAX, 10_000, 0] {
        let options = Options { history_retention_bytes: bytes, ..always() };
        let options = Options { history_retention_days: 30, ..options };
        let disk = SimulatedDisk::new(1);
        let mut oldest = 1;
        for end in (30..=150).step_by(30) {
            let (store, _) = open(&disk, options.clone()).expect("whole");
            run(&store, end - 7);
            store.checkpoint().expect("a snapshot");
            run(&store, end);
            store.checkpoint().expect("another");
            oldest = check_all(&store);
        }
        assert_eq!(oldest == 1, bytes == u64::MAX);
    }
}

#[test]
fn records_far_from_each_other_and_of_a_rare_workspace_are_found() {
    let disk = SimulatedDisk::new(1);
    let options = Options { segment_size_bytes: 256 << 10, ..always() };
    let (store, _) = open(&disk, options).expect("new");
    let (rare, busy) = (WorkspaceIndex(1), WorkspaceIndex(0));
    run(&store, 3);
    for number in 0..6_000 {
        let now = story::time(number);
        let mut locked = store.lock();
        let workspace = if number % 1_999 == 7 { rare } else { busy };
        let text = format!("{}# {number}\n", story::RULES);
        let change = locked.graph(workspace).decide_rules(&text, None).expect("good rules");
        locked.commit(workspace, now, change.expect("other rules")).expect("a good record");
    }
    let position = store.lock().position();
    assert_eq!(store.wait_synced(position, None), Ok(true));
    for (workspace, step) in [(rare, 1), (busy, 997), (busy, 3_001)] {
        assert_eq!(check(&store, workspace, step), SequenceNumber(1));
    }
}

#[test]
fn records_that_were_rewritten_are_read_as_they_are_now() {
    let disk = SimulatedDisk::new(1);
    let store = secrets::open(&disk);
    store.lock().create_workspace("default", [1; 16], secrets::RULES, secrets::now(0));
    secrets::live(&store, 1..40);
    secrets::sync(&store);
    check(&store, WORKSPACE, 1);
    let is_secret = |(_, told): &(_, String)| told.to_ascii_lowercase().contains("secret");
    assert!(kept(&store, WORKSPACE).iter().any(is_secret));
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

    assert_eq!(check(&store, WORKSPACE, 1), SequenceNumber(1));
    assert!(!kept(&store, WORKSPACE).iter().any(is_secret));
}

#[test]
fn in_memory_nothing_is_kept() {
    let store = Store::in_memory(1);
    (0..20).for_each(|number| _ = story::step(&store, number));
    let wanted = [SequenceNumber(1), SequenceNumber(2)];
    let missing = store.read_records_at(WorkspaceIndex(0), &wanted, &mut |_| unreachable!());
    assert_eq!(missing.expect("no file"), wanted);
    let newest = store.lock().graph(WorkspaceIndex(0)).sequence();
    let oldest = store.oldest_sequence(WorkspaceIndex(0)).expect("no file");
    assert_eq!(oldest, SequenceNumber(newest.0 + 1));
}
