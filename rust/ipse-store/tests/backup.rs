//! Backups while serving, restored and verified: what comes back is what was there, every damage
//! is named, and nothing half made is taken for whole.

mod story;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ipse_core::Timestamp;
use ipse_store::fs::Disk;
use ipse_store::simulated::{Fault, FaultKind, SimulatedDisk};
use ipse_store::{
    Backup, BackupError, BackupRequest, OpenError, RestoreError, RestoreRequest, Restored, Store,
    Summary, Until, restore, restore_on, verify, verify_on,
};
use story::{DIR, Fingerprint, HASH_SEED, always, check, expected, open, run, step, time};

const STEPS: u64 = 40;

fn back_up(store: &Store, to: &str, history: bool) -> Result<Backup, BackupError> {
    let (directory, label) = (Path::new(to), "nightly");
    store.backup(&BackupRequest { directory, label, history, now: time(0) })
}

fn restored(
    disk: &SimulatedDisk,
    from: &str,
    log: Option<&str>,
    until: Option<Until>,
    to: &str,
) -> Result<Restored, RestoreError> {
    let (from, log, to) = (Path::new(from), log.map(Path::new), Path::new(to));
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    restore_on(&disk, &RestoreRequest { from, log, erasures: None, until, to })
}

fn open_at(disk: &SimulatedDisk, dir: &str) -> Result<Store, OpenError> {
    Store::open_on(Arc::new(disk.clone()), Path::new(dir), always(), HASH_SEED)
        .map(|(store, _)| store)
}

/// Opens what was restored, checks that it is the story, and that it goes on.
fn check_serves(disk: &SimulatedDisk, dir: &str, states: &[Fingerprint], what: &str) -> u64 {
    let store = open_at(disk, dir).unwrap_or_else(|error| panic!("{what}: {error}"));
    let position = check(&store, states, what);
    if position < STEPS {
        run(&store, position + 1);
    }
    store.close(false).expect("closed");
    let store = open_at(disk, dir).unwrap_or_else(|error| panic!("{what}, again: {error}"));
    check(&store, states, what);
    position
}

fn files_in(disk: &SimulatedDisk, dir: &str) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.starts_with(dir)).collect()
}

/// A store at the end of the story, with two snapshots on the way or none, and a backup at 20.
fn lived(checkpoints: bool) -> (SimulatedDisk, Vec<Fingerprint>) {
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, always()).expect("new");
    if checkpoints {
        run(&store, 10);
        store.checkpoint().expect("written");
    }
    run(&store, 20);
    if checkpoints {
        back_up(&store, "/backup", false).expect("nothing stands against it");
    }
    run(&store, STEPS);
    store.close(false).expect("closed");
    (disk, expected(STEPS))
}

#[test]
fn a_backup_made_while_others_write_restores_to_the_state_at_its_position() {
    let states = expected(STEPS);
    for begin in (0..STEPS).step_by(3) {
        let disk = SimulatedDisk::new(begin + 1);
        let (store, _) = open(&disk, always()).expect("new");
        run(&store, begin);
        let made = std::thread::scope(|scope| {
            scope.spawn(|| run(&store, STEPS));
            back_up(&store, "/backup", begin.is_multiple_of(2)).expect("nothing stands against it")
        });
        assert!((begin..=STEPS).contains(&made.log_position));
        let found = restored(&disk, "/backup", None, None, "/restored").expect("whole");
        assert_eq!(found.log_position, made.log_position);
        assert_eq!(found.workspaces.len(), states[made.log_position as usize].len());
        verify_on(&disk, Path::new("/backup")).expect("sound");
        verify_on(&disk, Path::new("/restored")).expect("sound");
        let position = check_serves(&disk, "/restored", &states, "restored");
        assert_eq!(position, made.log_position);
        drop(store);
    }
}

#[test]
fn on_the_disk_of_this_machine_writers_go_on_and_the_backup_is_whole() {
    let dir = tempfile::tempdir().expect("a place for files");
    let place = |name: &str| dir.path().join(name);
    let states = expected(400);
    let (store, _) = Store::open(&place("data"), always(), 1).expect("new");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            run(&store, 400);
            done.store(true, Ordering::Release);
        });
        let mut count = 0;
        while !done.load(Ordering::Acquire) && count < 5 {
            let directory = place(&format!("backup-{count}"));
            let request =
                BackupRequest { directory: &directory, label: "", history: true, now: time(0) };
            let made = store.backup(&request).expect("nothing stands against it");
            let to = place(&format!("restored-{count}"));
            let request = RestoreRequest {
                from: &directory,
                log: None,
                erasures: None,
                until: None,
                to: &to,
            };
            assert_eq!(restore(&request).expect("whole").log_position, made.log_position);
            let verified = verify(&to).expect("sound");
            assert_eq!(verified.log_position, made.log_position);
            let (copy, recovery) = Store::open(&to, always(), 2).expect("restored");
            assert!(recovery.clean_shutdown, "{recovery:?}");
            assert_eq!(check(&copy, &states, "restored"), made.log_position);
            count += 1;
        }
    });
    assert_eq!(check(&store, &states, "the store itself"), 400);
    let register = std::fs::read_to_string(place("data").join("BACKUPS")).expect("there");
    assert!(!register.is_empty());
}

#[test]
fn every_moment_of_the_log_can_be_restored() {
    let (disk, states) = lived(false);
    for position in 0..=STEPS {
        let what = format!("position {position}");
        let disk = disk.copy();
        let until = Some(Until::Position(position));
        let found = restored(&disk, DIR, None, until, "/restored").expect("kept");
        assert_eq!((found.log_position, found.new_log), (position, position < STEPS), "{what}");
        assert_eq!(check_serves(&disk, "/restored", &states, &what), position);
    }
    let beyond = restored(&disk, DIR, None, Some(Until::Position(STEPS + 1)), "/restored");
    let told = beyond.expect_err("there is no such").to_string();
    assert!(told.contains("the log ends at 40"), "{told}");
    assert_eq!(files_in(&disk, "/restored"), Vec::<PathBuf>::new());
}

#[test]
fn a_backup_goes_on_with_the_log_of_a_newer_directory() {
    let (disk, states) = lived(true);
    for position in 20..=STEPS {
        let disk = disk.copy();
        let until = Some(Until::Position(position));
        let found = restored(&disk, "/backup", Some(DIR), until, "/restored").expect("kept");
        assert_eq!(found.log_position, position);
        let what = format!("position {position}");
        assert_eq!(check_serves(&disk, "/restored", &states, &what), position);
    }
    let to_the_end = restored(&disk, "/backup", Some(DIR), None, "/restored").expect("kept");
    assert_eq!((to_the_end.log_position, to_the_end.new_log), (STEPS, false));
    let before = restored(&disk, "/backup", None, Some(Until::Position(9)), "/earlier");
    let told = before.expect_err("it is not in it").to_string();
    assert!(told.contains("goes back to log position 20 only"), "{told}");
}

#[test]
fn a_moment_is_named_by_a_record_of_a_workspace_or_by_a_time() {
    let (disk, states) = lived(false);
    for position in 1..=STEPS {
        // The workspace whose record this one is.
        let (before, after) = (&states[position as usize - 1], &states[position as usize]);
        let (name, sequence, _) = after
            .iter()
            .find(|now| !before.contains(now))
            .expect("each step is a record of a workspace");
        let (disk, what) = (disk.copy(), format!("record {sequence} of {name}"));
        let until = Until::Sequence { workspace: name.clone(), sequence: *sequence };
        let found = restored(&disk, DIR, None, Some(until), "/sequence").expect("kept");
        assert_eq!(found.log_position, position, "{what}");
        let until = Until::Time(time(position - 1));
        let found = restored(&disk, DIR, None, Some(until), "/time").expect("kept");
        assert_eq!(found.log_position, position, "time of {what}");
        for dir in ["/sequence", "/time"] {
            check_serves(&disk, dir, &states, &what);
        }
    }
    let never = |until, told: &str| {
        let error = restored(&disk, DIR, None, Some(until), "/never").expect_err("there is none");
        assert!(error.to_string().contains(told), "{error}");
    };
    let sequence =
        |workspace: &str, sequence| Until::Sequence { workspace: workspace.to_owned(), sequence };
    never(sequence("alpha", 999), "no record 999 of workspace `alpha`");
    never(sequence("nobody", 1), "no workspace `nobody`");
    let first = Timestamp::from_millis(0).expect("within range");
    let nothing = restored(&disk, DIR, None, Some(Until::Time(first)), "/empty").expect("kept");
    assert_eq!(nothing.log_position, 0);
}

#[test]
fn a_snapshot_serves_where_the_log_does_not_reach_further_back() {
    let (disk, states) = lived(true);
    let (name, sequence, _) = &states[20][0];
    let until = Until::Sequence { workspace: name.clone(), sequence: *sequence };
    let found = restored(&disk, "/backup", None, Some(until), "/restored").expect("it is in it");
    assert_eq!(found.log_position, 20);
    check_serves(&disk, "/restored", &states, "restored");
}

#[test]
fn every_damaged_file_of_a_backup_is_refused_by_name() {
    let (disk, _) = lived(true);
    let files = files_in(&disk, "/backup");
    assert!(files.len() >= 3, "{files:?}");
    let refused = |damaged: &SimulatedDisk, path: &Path, what: &str| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let error = restored(damaged, "/backup", None, None, "/restored").expect_err(what);
        assert!(error.to_string().contains(name), "{what}: {error}");
        let error = verify_on(damaged, Path::new("/backup")).expect_err(what);
        assert!(error.to_string().contains(name), "{what}: {error}");
        assert_eq!(files_in(damaged, "/restored"), Vec::<PathBuf>::new());
    };
    for path in &files {
        let bytes = disk.read(path).expect("there");
        for length in (0..bytes.len()).step_by(7) {
            let damaged = disk.copy();
            damaged.write(path, bytes[..length].to_vec());
            refused(&damaged, path, &format!("{} cut to {length}", path.display()));
        }
        for byte in (0..bytes.len()).step_by(5) {
            let (damaged, mut flipped) = (disk.copy(), bytes.clone());
            flipped[byte] ^= 1 << (byte % 8);
            damaged.write(path, flipped);
            refused(&damaged, path, &format!("{} flipped at {byte}", path.display()));
        }
        if !path.ends_with("BACKUP") {
            let damaged = disk.copy();
            damaged.delete(path);
            refused(&damaged, path, &format!("{} deleted", path.display()));
        }
    }
}

#[test]
fn a_damaged_data_directory_is_not_verified() {
    let (disk, _) = lived(true);
    let sound = verify_on(&disk, Path::new(DIR)).expect("sound");
    assert_eq!((sound.log_position, sound.is_backup, sound.notes.len()), (STEPS, false, 0));
    assert_eq!(sound.first_log_position, 10, "the log since the older snapshot is kept");
    let kept = [".wal", ".snap"];
    for path in files_in(&disk, DIR) {
        let bytes = disk.read(&path).expect("there");
        if !kept.iter().any(|end| path.display().to_string().ends_with(end)) {
            continue;
        }
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        for byte in (0..used).step_by(11) {
            let (damaged, mut flipped) = (disk.copy(), bytes.clone());
            flipped[byte] ^= 1 << (byte % 8);
            damaged.write(&path, flipped);
            match verify_on(&damaged, Path::new(DIR)) {
                Ok(found) => assert!(!found.notes.is_empty(), "{} at {byte}", path.display()),
                Err(error) => {
                    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                    assert!(error.to_string().contains(name), "{name} at {byte}: {error}");
                }
            }
        }
    }
}

#[test]
fn whatever_fails_and_whenever_it_crashes_a_backup_is_whole_or_none() {
    let states = expected(STEPS);
    for operation in 1.. {
        let disk = SimulatedDisk::new(3);
        let (store, _) = open(&disk, always()).expect("new");
        run(&store, 12);
        let kind = [FaultKind::InputOutput, FaultKind::NoSpace][(operation % 2) as usize];
        disk.fail(Some(Fault { operation, kind, lasting: operation % 3 == 0 }));
        let made = back_up(&store, "/backup", false);
        let done = disk.operations() < operation;
        disk.fail(None);
        drop(store);
        disk.crash(operation);
        let what = format!("operation {operation}, {kind:?}");
        let is_there = !files_in(&disk, "/backup").is_empty();
        assert!(is_there || made.is_err(), "{what}: it was said to be made");
        if is_there {
            restored(&disk, "/backup", None, None, "/restored").expect(&what);
            check_serves(&disk, "/restored", &states, &what);
        } else {
            // What was left is no backup unless it lacks nothing but its name, does not start, and
            // is not in the way.
            if let Ok(found) = verify_on(&disk, Path::new("/backup.partial")) {
                assert_eq!((found.is_backup, found.log_position), (true, 12), "{what}");
            }
            if !files_in(&disk, "/backup.partial").is_empty() {
                assert!(open_at(&disk, "/backup.partial").is_err(), "{what}");
            }
            let (store, _) = open(&disk, always()).expect(&what);
            back_up(&store, "/backup", false).expect(&what);
            drop(store);
            restored(&disk, "/backup", None, None, "/restored").expect(&what);
        }
        if done {
            return;
        }
    }
}

#[test]
fn whatever_fails_and_whenever_it_crashes_a_restore_can_be_done_again() {
    let (source, states) = lived(true);
    for operation in 1.. {
        let disk = source.copy();
        let kind = [FaultKind::InputOutput, FaultKind::ShortWrite][(operation % 2) as usize];
        disk.fail(Some(Fault { operation, kind, lasting: operation % 3 == 0 }));
        let made = restored(&disk, "/backup", Some(DIR), None, "/restored");
        let done = disk.operations() < operation;
        disk.fail(None);
        disk.crash(operation);
        let what = format!("operation {operation}, {kind:?}");
        let is_there = !files_in(&disk, "/restored").is_empty();
        assert!(is_there || made.is_err(), "{what}: it was said to be made");
        if !is_there {
            restored(&disk, "/backup", Some(DIR), None, "/restored").expect(&what);
        }
        assert_eq!(check_serves(&disk, "/restored", &states, &what), STEPS);
        if done {
            return;
        }
    }
}

#[test]
fn a_server_does_not_start_from_a_backup() {
    let (disk, _) = lived(true);
    let error = open_at(&disk, "/backup").err().expect("it is a backup");
    assert!(error.to_string().contains("ipse restore"), "{error}");
}

#[test]
fn places_that_are_taken_or_unwise_are_refused() {
    let (disk, _) = lived(true);
    let (store, _) = open(&disk, always()).expect("closed before");
    let refused = |to: &str, told: &str| {
        let error = back_up(&store, to, false).expect_err(to);
        assert!(matches!(error, BackupError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(told), "{error}");
    };
    refused("/backup", "not empty");
    refused("backup", "not an absolute path");
    refused("/data/backup", "in the data directory");
    refused("/other/../data/backup", "`..`");
    disk.write(Path::new("/new.partial/letters.txt"), Vec::new());
    refused("/new", "letters.txt is in the way");
    let request = |label| BackupRequest {
        directory: Path::new("/labelled"),
        label,
        history: false,
        now: time(0),
    };
    for label in ["two\nlines", " spaced", &"x".repeat(201)] {
        assert!(store.backup(&request(label)).is_err(), "{label}");
    }
    let live = restored(&disk, DIR, None, None, "/restored").expect_err("in use");
    assert!(live.to_string().contains("is in use"), "{live}");
    let taken = restored(&disk, "/backup", None, None, "/backup").expect_err("not empty");
    assert!(taken.to_string().contains("not empty"), "{taken}");
}

#[test]
fn logs_that_went_different_ways_are_not_joined() {
    let (disk, _) = lived(true);
    restored(&disk, "/backup", None, None, "/restored").expect("whole");
    let store = open_at(&disk, "/restored").expect("restored");
    run(&store, 30);
    store.close(false).expect("closed");
    drop(store);
    let error = restored(&disk, "/backup", Some("/restored"), None, "/joined");
    let told = error.expect_err("another log").to_string();
    assert!(told.contains("holds another log"), "{told}");
}

#[test]
fn the_register_lists_backups_in_order() {
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, always()).expect("new");
    for number in 0..3 {
        step(&store, number);
        back_up(&store, &format!("/backup-{number}"), false).expect("nothing stands against it");
    }
    let text = disk.read(&Path::new(DIR).join("BACKUPS")).expect("there");
    let text = String::from_utf8(text).expect("text");
    let first = "2026-01-01T00:00:00.000Z position=1 label=\"nightly\" directory=\"/backup-0\"";
    assert_eq!(text.lines().next(), Some(first));
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn a_backup_says_what_it_holds() {
    let (disk, states) = lived(true);
    let found = verify_on(&disk, Path::new("/backup")).expect("sound");
    assert!(found.is_backup);
    let summary = |found: Summary| (found.name, found.sequence, found.state_hash);
    let summaries: Fingerprint = found.workspaces.into_iter().map(summary).collect();
    assert_eq!(summaries, states[20]);
}
