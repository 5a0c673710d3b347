//! A disk that becomes full: writes are refused before anything is decided, everything else
//! goes on, nothing that was acknowledged is lost, and writes are taken again with space.

mod story;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipse_store::format::SPARE_NAMES;
use ipse_store::fs::Disk;
use ipse_store::simulated::SimulatedDisk;
use ipse_store::{CheckpointError, Options, Store};
use story::{DIR, always, check, expected, open, step};

/// Longer than any story here goes on a full disk.
const STEPS: u64 = 150;
const SEGMENT_BYTES: u64 = 1024;
/// Nothing here takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether the next step's record has a place, asked as callers do.
fn may_step(store: &Store) -> bool {
    let mut locked = store.lock();
    // No record of the story is larger than this one.
    !locked.storage_is_full() && locked.has_space_for_workspace("alpha", story::RULES)
}

/// Takes steps until writes are refused or the story ends; each is acknowledged.
fn run_until_full(store: &Store) -> u64 {
    let begin = store.lock().position().0;
    for number in begin..STEPS {
        if !may_step(store) {
            return number;
        }
        let position = step(store, number);
        assert_eq!(store.wait_synced(position, None), Ok(true), "{:?}", store.failure());
    }
    STEPS
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        std::thread::yield_now();
    }
}

/// A store whose space for recovery is reserved, on a disk that may then be cut.
fn reserved(disk: &SimulatedDisk) -> Store {
    let (store, _) = open(disk, always()).expect("new");
    wait_until("the first spare", || has_spare(disk, 0) && has_manifest(disk));
    store
}

fn has_spare(disk: &SimulatedDisk, number: usize) -> bool {
    let spare = disk.read(&Path::new(DIR).join(SPARE_NAMES[number]));
    spare.is_some_and(|bytes| bytes.len() as u64 >= SEGMENT_BYTES)
}

fn has_manifest(disk: &SimulatedDisk) -> bool {
    disk.read(&Path::new(DIR).join("MANIFEST.tmp")).is_some_and(|bytes| !bytes.is_empty())
}

fn cut(disk: &SimulatedDisk, free: u64) {
    disk.resize(Some(disk.used_bytes() + free));
}

#[test]
fn whatever_the_size_of_the_disk_a_full_one_ends_nothing() {
    let states = expected(STEPS);
    for free in (0..12_000).step_by(397) {
        let disk = SimulatedDisk::new(free);
        let store = reserved(&disk);
        cut(&disk, free);
        let end = run_until_full(&store);
        let what = format!("{free} bytes free, {end} steps");
        assert_eq!(store.failure(), None, "{what}");
        assert_eq!(check(&store, &states, &what), end);
        assert!(store.stats().storage_full || end == STEPS, "{what}");
        if free.is_multiple_of(2) {
            store.close(false).expect("the mark of the end has its place");
        }
        drop(store);
        disk.crash(free);
        let (store, _) = open(&disk, always()).expect("recovery needs no space");
        assert_eq!(check(&store, &states, &what), end, "{what}, recovered");
        disk.resize(None);
        wait_until("writes are taken again", || may_step(&store));
        assert_eq!(run_until_full(&store), STEPS, "{what}, with space again");
    }
}

#[test]
fn a_torn_tail_on_a_full_disk_is_cut_off() {
    let states = expected(STEPS);
    for seed in 0..200 {
        let disk = SimulatedDisk::new(seed);
        let store = reserved(&disk);
        cut(&disk, 3_000);
        let end = run_until_full(&store);
        disk.resize(Some(disk.used_bytes()));
        // Taken without asking: the machine stops before it is on disk.
        let unsynced = end < STEPS && seed.is_multiple_of(2);
        if unsynced {
            step(&store, end);
        }
        drop(store);
        disk.crash(seed);
        // The crash may have brought back what was deleted.
        disk.resize(Some(disk.used_bytes()));
        let (store, recovery) = open(&disk, always()).expect("recovery needs no space");
        let found = check(&store, &states, &format!("seed {seed}"));
        assert!(found == end || unsynced && found == end + 1, "seed {seed}: {found} of {end}");
        assert_eq!(recovery.torn_bytes > 0, !recovery.notes.is_empty(), "seed {seed}");
        assert!(!may_step(&store) || found > 0, "seed {seed}");
    }
}

#[test]
fn writes_are_taken_again_only_with_space_for_two_segments() {
    let states = expected(STEPS);
    let disk = SimulatedDisk::new(1);
    let store = reserved(&disk);
    cut(&disk, 0);
    let end = run_until_full(&store);
    assert!(end < STEPS);
    // Room for one: it is reserved, and writes are refused yet.
    disk.resize(Some(disk.used_bytes() + SEGMENT_BYTES));
    wait_until("the second spare", || has_spare(&disk, 0) && has_spare(&disk, 1));
    for _ in 0..3 {
        assert!(!may_step(&store));
    }
    assert_eq!(check(&store, &states, "reads go on"), end);
    disk.resize(Some(disk.used_bytes() + 2 * SEGMENT_BYTES));
    wait_until("writes are taken again", || may_step(&store));
    assert!(run_until_full(&store) > end);
    assert_eq!(store.failure(), None);
}

#[test]
fn a_record_that_is_too_large_is_refused_and_forgotten() {
    let disk = SimulatedDisk::new(1);
    let store = reserved(&disk);
    step(&store, 0);
    cut(&disk, 2_000);
    // The writer looks again after each group.
    let position = step(&store, 1);
    assert_eq!(store.wait_synced(position, None), Ok(true));
    wait_until("the writer's look", || store.stats().room_bytes < 5_000);
    let before = story::fingerprint(&store.lock());
    let mut locked = store.lock();
    let workspace = locked.workspaces().next().expect("created");
    let rules = format!("[namespaces.user]\npriority = 1\nlimit = 1\n# {}\n", "x".repeat(9_000));
    let change = locked.graph(workspace).decide_rules(&rules, None).expect("good");
    assert!(locked.with_space(workspace, change.expect("other rules")).is_none());
    assert!(locked.storage_is_full());
    drop(locked);
    assert_eq!(story::fingerprint(&store.lock()), before);
    disk.resize(None);
    wait_until("writes are taken again", || may_step(&store));
    let mut locked = store.lock();
    let change = locked.graph(workspace).decide_rules(&rules, None).expect("good");
    let change = locked.with_space(workspace, change.expect("other rules")).expect("space");
    let (_, position) = locked.commit(workspace, story::time(9), change).expect("good");
    drop(locked);
    assert_eq!(store.wait_synced(position, None), Ok(true));
}

#[test]
fn a_snapshot_leaves_the_log_its_space() {
    let states = expected(STEPS);
    let disk = SimulatedDisk::new(1);
    let store = reserved(&disk);
    run_until_full(&store);
    for free in (0..400_000).step_by(2_500) {
        disk.resize(Some(disk.used_bytes() + free));
        let before = disk.used_bytes();
        match store.checkpoint() {
            Ok(_) => {
                let left = disk.free_bytes(Path::new(DIR)).expect("a size");
                assert!(left >= SEGMENT_BYTES, "{left} bytes left of {free}");
                break;
            }
            Err(CheckpointError::StorageFull) => {
                assert!(disk.used_bytes() <= before + 2 * SEGMENT_BYTES, "nothing is left of it");
                assert!(disk.paths().iter().all(|path| !path.ends_with("next-snapshot.snap.tmp")));
            }
            Err(error) => panic!("{free} bytes free: {error}"),
        }
        assert!(free < 390_000, "a snapshot is much smaller");
    }
    assert_eq!(store.failure(), None);
    assert_eq!(check(&store, &states, "all of it"), STEPS);
}

#[test]
fn a_real_disk_says_how_much_is_free() {
    let directory = tempfile::tempdir().expect("a directory");
    let free = ipse_store::fs::RealDisk.free_bytes(directory.path()).expect("it is there");
    assert!(free > 0);
    let options = Options { segment_size_bytes: SEGMENT_BYTES, ..Options::default() };
    let disk: Arc<dyn Disk> = Arc::new(ipse_store::fs::RealDisk);
    let opened = Store::open_on(disk, directory.path(), options, 1);
    let (store, _) = opened.expect("new");
    wait_until("the first spare", || directory.path().join(SPARE_NAMES[0]).exists());
    step(&store, 0);
    store.close(true).expect("closed");
}
