//! A store in good and in ordinary bad times: reopening, policies, snapshots, locks.

mod story;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipse_store::simulated::SimulatedDisk;
use ipse_store::{
    CheckpointError, LogPosition, OpenError, Options, RecoveryProgress, Store, SyncPolicy,
};
use story::{always, check, expected, open, options, run, step};

const STEPS: u64 = 40;

#[test]
fn a_closed_store_is_opened_as_it_was() {
    let states = expected(STEPS);
    for checkpoint in [false, true] {
        let disk = SimulatedDisk::new(1);
        let (store, recovery) = open(&disk, always()).expect("new");
        assert!(recovery.clean_shutdown);
        run(&store, STEPS);
        store.close(checkpoint).expect("closed");
        store.close(checkpoint).expect("again is harmless");
        let (store, recovery) = open(&disk, always()).expect("closed before");
        assert_eq!(check(&store, &states, "reopened"), STEPS);
        assert!(recovery.clean_shutdown);
        assert_eq!(recovery.replayed_records, if checkpoint { 0 } else { STEPS });
        assert_eq!(recovery.snapshot_file_name.is_some(), checkpoint);
        assert_eq!((recovery.torn_bytes, recovery.notes), (0, Vec::new()));
    }
}

#[test]
fn opening_and_closing_for_ever_fills_nothing() {
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, always()).expect("new");
    run(&store, 1);
    store.close(false).expect("closed");
    // The space for the next segments may be made early or late.
    let files = |disk: &SimulatedDisk| {
        let mut names = names(disk);
        names.retain(|name| !name.ends_with(".tmp"));
        names
    };
    let before = files(&disk);
    for _ in 0..50 {
        let (store, recovery) = open(&disk, always()).expect("closed before");
        assert!(recovery.clean_shutdown);
        store.close(false).expect("closed");
    }
    assert_eq!(files(&disk), before);
}

#[test]
fn a_dropped_store_is_recovered() {
    let states = expected(STEPS);
    let disk = SimulatedDisk::new(1);
    for end in (0..=STEPS).step_by(8) {
        let (store, recovery) = open(&disk, always()).expect("recovered");
        assert_eq!(check(&store, &states, "reopened"), end.saturating_sub(8));
        assert_eq!(recovery.clean_shutdown, end == 0);
        assert_eq!(recovery.torn_bytes, 0);
        run(&store, end);
        drop(store);
        disk.crash(end);
    }
}

/// Sizes of the files of a directory with this extension, by name.
fn sizes(dir: &Path, extension: &str) -> Vec<(PathBuf, u64)> {
    let entries = std::fs::read_dir(dir).expect("there").map(|entry| entry.expect("there").path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension() == Some(extension.as_ref()))
        .map(|path| (path.clone(), path.metadata().expect("there").len()))
        .collect();
    files.sort();
    files
}

/// Flips a bit.
fn damage(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).expect("there");
    bytes[offset] ^= 1;
    std::fs::write(path, bytes).expect("writable");
}

fn total(files: &[(PathBuf, u64)]) -> u64 {
    files.iter().map(|(_, size)| size).sum()
}

#[test]
fn recovery_says_how_much_of_snapshot_and_log_was_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let dir = directory.path();
    let watched = || {
        let progress = RecoveryProgress::default();
        let opened = Store::open_watched(dir, always(), 1, &progress);
        (opened, progress.now())
    };
    let (store, now) = watched();
    assert_eq!(now, (0, 0), "there is nothing to be read");
    let (store, _) = store.expect("new");
    run(&store, STEPS / 2);
    store.checkpoint().expect("a snapshot");
    let before = sizes(dir, "wal").len();
    run(&store, STEPS);
    store.close(false).expect("closed");
    let (snapshots, log) = (sizes(dir, "snap"), sizes(dir, "wal"));
    assert!(before > 1 && log.len() > before + 1, "segments before the snapshot, and after it");

    let (opened, (read, to_read)) = watched();
    assert_eq!(opened.expect("whole").1.snapshot_log_position, STEPS / 2);
    assert_eq!(to_read, total(&snapshots) + total(&log[before - 1..]));
    assert_eq!(read, to_read);

    // A snapshot that breaks off is read in vain, and the log from its beginning instead.
    let whole = std::fs::read(&snapshots[0].0).expect("there");
    damage(&snapshots[0].0, whole.len() - 1);
    let (opened, (read, to_read)) = watched();
    assert_eq!(opened.expect("the log has all").1.snapshot_log_position, 0);
    assert_eq!((read, to_read), (total(&snapshots) + total(&log), read));

    // What cannot be read ends it on the way.
    damage(&log[1].0, 100);
    let (opened, (read, to_read)) = watched();
    assert!(matches!(opened.err().expect("refused"), OpenError::Corrupt { .. }));
    assert!(log[0].1 < read && read < to_read, "{read} of {to_read}");
    assert_eq!(to_read, total(&log));
}

#[test]
fn a_real_directory_is_locked_and_reopened() {
    let states = expected(STEPS);
    let directory = tempfile::tempdir().expect("a directory");
    let dir = directory.path().join("not/there/yet");
    let real = |seed| Store::open(&dir, always(), seed);
    let (store, _) = real(1).expect("new");
    run(&store, 20);
    let refused = real(2).err().expect("locked");
    assert!(matches!(refused, OpenError::Locked { .. }));
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    // Somebody who takes the lock file for stale does not get in either.
    std::fs::remove_file(dir.join("LOCK")).expect("it is there");
    assert!(matches!(real(2).err().expect("locked"), OpenError::Locked { .. }));
    store.checkpoint().expect("a snapshot");
    drop(store);
    let (store, recovery) = real(3).expect("recovered");
    assert_eq!(recovery.snapshot_log_position, 20);
    run(&store, STEPS);
    store.close(false).expect("closed");
    let (store, recovery) = real(4).expect("closed before");
    assert!(recovery.clean_shutdown);
    assert_eq!(check(&store, &states, "reopened"), STEPS);
}

#[test]
fn threads_share_groups_and_nothing_is_lost() {
    const THREADS: u64 = 8;
    const EACH: u64 = 50;
    let directory = tempfile::tempdir().expect("a directory");
    let (store, _) = Store::open(directory.path(), Options::default(), 1).expect("new");
    run(&store, 1);
    let wakes = Arc::new(AtomicU64::new(0));
    let counted = wakes.clone();
    store.on_synced(Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let next = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let position = commit_rules(&store, &next);
                    assert_eq!(store.wait_synced(position, None), Ok(true));
                    assert!(store.synced() >= position);
                }
            });
        }
    });
    let stats = store.stats();
    assert_eq!(stats.log_position, LogPosition(1 + THREADS * EACH));
    assert_eq!(stats.synced, stats.log_position);
    assert!(stats.commit_groups <= 1 + THREADS * EACH);
    let before = story::fingerprint(&store.lock());
    drop(store);
    // Once for each group and for the end; the first group's may have come too early.
    let wakes = wakes.load(Ordering::Relaxed);
    assert!(wakes == stats.commit_groups || wakes == stats.commit_groups + 1);
    let (store, _) = Store::open(directory.path(), Options::default(), 2).expect("recovered");
    assert_eq!(story::fingerprint(&store.lock()), before);
}

fn commit_rules(store: &Store, next: &AtomicU64) -> LogPosition {
    let mut locked = store.lock();
    let workspace = locked.workspaces().next().expect("created");
    let number = next.fetch_add(1, Ordering::Relaxed);
    let rules = format!("[namespaces.user]\npriority = 1\nlimit = {number}\n");
    let change = locked.graph(workspace).decide_rules(&rules, None).expect("good rules");
    locked
        .commit(workspace, story::time(number), change.expect("other rules"))
        .expect("it can be read back")
        .1
}

#[test]
fn two_snapshots_and_the_log_since_the_older_are_kept() {
    let states = expected(100);
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, always()).expect("new");
    for end in (10..=100).step_by(10) {
        run(&store, end);
        let checkpoint = store.checkpoint().expect("a snapshot");
        assert_eq!(checkpoint.log_position, end);
        assert_eq!(store.checkpoint().expect("nothing new"), checkpoint);
        assert_eq!(store.stats().log_bytes_since_snapshot, 0);
        if end == 10 {
            assert!(names(&disk).contains(&"segment-000000000001.wal".to_owned()));
        }
    }
    let names = names(&disk);
    let snapshots: Vec<_> = names.iter().filter(|name| name.ends_with(".snap")).collect();
    assert_eq!(snapshots.len(), 2, "{names:?}");
    assert!(!names.contains(&"segment-000000000001.wal".to_owned()), "{names:?}");
    drop(store);

    // Without the newest, the older one and the log since it give the same.
    disk.delete(&Path::new(story::DIR).join(snapshots[1]));
    let (store, recovery) = open(&disk, always()).expect("recovered");
    assert_eq!(recovery.snapshot_log_position, 90);
    assert_eq!(recovery.replayed_records, 10);
    assert_eq!(check(&store, &states, "from the older"), 100);
    drop(store);
    disk.delete(&Path::new(story::DIR).join(snapshots[0]));
    let refused = open(&disk, always()).err().expect("records are missing");
    assert!(matches!(refused, OpenError::Missing { .. }), "{refused}");
}

#[test]
fn a_snapshot_that_was_reported_survives_a_crash() {
    for seed in 0..20 {
        let disk = SimulatedDisk::new(1);
        let (store, _) = open(&disk, always()).expect("new");
        run(&store, 5);
        store.checkpoint().expect("a snapshot");
        drop(store);
        disk.crash(seed);
        let (_store, recovery) = open(&disk, always()).expect("recovered");
        assert_eq!(recovery.snapshot_log_position, 5, "seed {seed}");
    }
}

#[test]
fn a_broken_snapshot_is_set_aside_and_the_older_used() {
    let states = expected(30);
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, always()).expect("new");
    for end in [10, 20] {
        run(&store, end);
        store.checkpoint().expect("a snapshot");
    }
    run(&store, 30);
    drop(store);
    let newest = disk.paths().into_iter().rfind(|path| path.extension() == Some("snap".as_ref()));
    let newest = newest.expect("a snapshot");
    let bytes = disk.read(&newest).expect("there");
    for bit in (0..bytes.len() * 8).step_by(7) {
        let damaged = disk.copy();
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        damaged.write(&newest, flipped);
        let (store, recovery) = open(&damaged, always()).expect("the older is good");
        assert_eq!(check(&store, &states, "from the older"), 30, "bit {bit}");
        assert_eq!(recovery.snapshot_log_position, 10, "bit {bit}");
        assert_eq!(recovery.notes.len(), 1, "bit {bit}: {:?}", recovery.notes);
        assert!(names(&damaged).iter().any(|name| name.ends_with(".broken")));
        // The next checkpoint must not take the broken one for one of the two.
        store.checkpoint().expect("a snapshot");
        assert!(names(&damaged).contains(&ipse_store::format::snapshot_name(10)));
    }
    for length in 0..bytes.len() {
        let damaged = disk.copy();
        damaged.write(&newest, bytes[..length].to_vec());
        let (store, _) = open(&damaged, always()).expect("the older is good");
        assert_eq!(check(&store, &states, "from the older"), 30, "length {length}");
    }
}

#[test]
fn policies_are_kept() {
    for sync in [SyncPolicy::Interval { millis: 1 }, SyncPolicy::Off] {
        let states = expected(STEPS);
        let disk = SimulatedDisk::new(1);
        let (store, _) = open(&disk, options(sync)).expect("new");
        run(&store, STEPS);
        assert_eq!(store.stats().sync, sync.name());
        store.close(false).expect("closed");
        disk.crash(3);
        let (store, recovery) = open(&disk, options(sync)).expect("closed before");
        assert!(recovery.clean_shutdown);
        assert_eq!(check(&store, &states, "reopened"), STEPS);
    }
}

#[test]
fn memory_has_no_files() {
    let store = Store::in_memory(1);
    let position = step(&store, 0);
    assert_eq!(store.synced(), position);
    assert_eq!(store.wait_synced(position, None), Ok(true));
    assert!(!store.checkpoint_due());
    assert!(matches!(store.checkpoint(), Err(CheckpointError::InMemory)));
    assert_eq!(store.stats().sync, "memory");
    store.close(true).expect("nothing to do");
}

#[test]
fn waiting_ends_with_the_time_or_with_the_store() {
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, always()).expect("new");
    let soon = Some(Duration::from_millis(1));
    assert_eq!(store.wait_synced(LogPosition(1), soon), Ok(false));
    store.close(false).expect("closed");
    assert!(store.wait_synced(LogPosition(1), None).is_err());
    assert!(store.lock().queue_is_full(), "nothing is written any more");
    assert!(store.failure().is_none());
    assert!(matches!(store.checkpoint(), Err(CheckpointError::Closed)));
}

#[test]
fn a_checkpoint_is_due_when_the_log_has_grown() {
    let disk = SimulatedDisk::new(1);
    let due = Options { snapshot_log_bytes: 2_000, ..always() };
    let (store, _) = open(&disk, due.clone()).expect("new");
    run(&store, 2);
    assert!(!store.checkpoint_due());
    run(&store, 12);
    assert!(store.checkpoint_due());
    drop(store);
    let (store, _) = open(&disk, due).expect("recovered");
    assert!(store.checkpoint_due(), "what was replayed counts");
    store.checkpoint().expect("a snapshot");
    assert!(!store.checkpoint_due());
}

#[test]
fn a_full_queue_is_seen_before_deciding() {
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, Options { write_queue_bytes_max: 1, ..always() }).expect("new");
    assert!(!store.lock().queue_is_full());
    let mut locked = store.lock();
    locked.create_workspace("alpha", [1; 16], story::RULES, story::time(0));
    assert!(locked.queue_is_full());
    drop(locked);
    assert_eq!(store.wait_synced(LogPosition(1), None), Ok(true));
}

#[test]
fn a_group_larger_than_a_segment_gets_its_own() {
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, always()).expect("new");
    run(&store, 3);
    let mut locked = store.lock();
    let workspace = locked.workspaces().next().expect("created");
    let rules = format!("[namespaces.user]\npriority = 1\nlimit = 1\n# {}\n", "x".repeat(20_000));
    let change = locked.graph(workspace).decide_rules(&rules, None).expect("good");
    let (_, position) = locked
        .commit(workspace, story::time(9), change.expect("other rules"))
        .expect("it can be read back");
    drop(locked);
    assert_eq!(store.wait_synced(position, None), Ok(true));
    let before = story::fingerprint(&store.lock());
    drop(store);
    let (store, _) = open(&disk, always()).expect("recovered");
    assert_eq!(story::fingerprint(&store.lock()), before);
}

fn names(disk: &SimulatedDisk) -> Vec<String> {
    let paths = disk.paths().into_iter();
    paths.filter_map(|path| path.file_name()?.to_str().map(str::to_owned)).collect()
}
