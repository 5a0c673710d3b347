//! History: how long log is kept that recovery needs no more, and that no start reads it.

mod story;

use std::path::{Path, PathBuf};

use ipse_store::Options;
use ipse_store::format::segment_number;
use ipse_store::simulated::SimulatedDisk;
use story::{DIR, always, check, expected, open, run};

const STEPS: u64 = 120;

fn keeping(days: u32, bytes: u64) -> Options {
    Options { history_retention_days: days, history_retention_bytes: bytes, ..always() }
}

fn segments(disk: &SimulatedDisk) -> Vec<(u64, PathBuf)> {
    let paths = disk.paths().into_iter();
    let numbered = |path: PathBuf| Some((segment_number(path.file_name()?.to_str()?)?, path));
    paths.filter_map(numbered).collect()
}

fn with_checkpoints(disk: &SimulatedDisk, options: Options) {
    let (store, _) = open(disk, options).expect("new");
    for end in (30..=STEPS).step_by(30) {
        run(&store, end);
        store.checkpoint().expect("a snapshot");
    }
    drop(store);
}

#[test]
fn history_is_kept_up_to_its_bytes() {
    let states = expected(STEPS);
    let mut counts = Vec::new();
    for bytes in [0, 4_000, 20_000, u64::MAX] {
        let disk = SimulatedDisk::new(1);
        with_checkpoints(&disk, keeping(30, bytes));
        let kept = segments(&disk);
        let first = kept.first().expect("some").0;
        assert!(kept.iter().map(|(number, _)| *number).eq(first..first + kept.len() as u64));
        let (store, recovery) = open(&disk, keeping(30, bytes)).expect("whole");
        assert_eq!(check(&store, &states, "with history"), STEPS);
        assert_eq!(recovery.replayed_records, 0);
        let stats = store.stats();
        assert_eq!(stats.oldest_position.0 == 1, first == 1);
        assert_eq!(stats.oldest_time_s.is_none(), first == 1, "{stats:?}");
        assert!(stats.log_file_bytes > 0);
        // A second snapshot since the start says what is history.
        run(&store, STEPS);
        counts.push(kept.len());
    }
    assert!(counts.is_sorted_by(|one, next| one < next), "{counts:?}");
}

#[test]
fn what_the_stats_call_history_is_bounded() {
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, keeping(30, 10_000)).expect("new");
    let mut most = 0;
    for end in (10..=STEPS).step_by(10) {
        run(&store, end);
        store.checkpoint().expect("a snapshot");
        let stats = store.stats();
        assert!(stats.history_bytes <= 10_000, "{stats:?}");
        most = most.max(stats.history_bytes);
    }
    assert!(most > 5_000, "{most}");
}

#[test]
fn no_start_reads_history_beyond_its_headers() {
    let states = expected(STEPS);
    let disk = SimulatedDisk::new(1);
    with_checkpoints(&disk, keeping(30, u64::MAX));
    let kept = segments(&disk);
    for (_, path) in &kept[..kept.len() / 2] {
        let mut bytes = disk.read(path).expect("there");
        bytes[200..300].fill(0xff);
        disk.write(path, bytes);
    }
    let (store, recovery) = open(&disk, keeping(30, u64::MAX)).expect("history is not needed");
    assert_eq!(recovery.notes, Vec::<String>::new());
    assert_eq!(check(&store, &states, "beside broken history"), STEPS);
}

#[test]
fn a_crash_while_history_goes_leaves_no_gap() {
    let states = expected(STEPS + 10);
    for seed in 0..60 {
        let disk = SimulatedDisk::new(seed);
        with_checkpoints(&disk, keeping(30, u64::MAX));
        let (store, _) = open(&disk, keeping(0, 0)).expect("whole");
        run(&store, STEPS + 1);
        let fault = ipse_store::simulated::Fault {
            operation: 1 + seed,
            kind: ipse_store::simulated::FaultKind::InputOutput,
            lasting: true,
        };
        store.checkpoint().expect("a snapshot");
        run(&store, STEPS + 2);
        disk.fail(Some(fault));
        let _ = store.checkpoint();
        drop(store);
        disk.crash(seed);
        let (store, _) = open(&disk, keeping(0, 0)).expect("no gap");
        assert_eq!(check(&store, &states, &format!("seed {seed}")), STEPS + 2);
        assert!(disk.paths().iter().any(|path| path.starts_with(Path::new(DIR))));
    }
}
