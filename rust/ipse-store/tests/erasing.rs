//! After the checkpoint that follows an erasure no file holds a byte of what was erased, and
//! whatever fails or crashes on the way there, the next checkpoint gets there.

mod secrets;

use std::path::{Path, PathBuf};

use ipse_core::Change;
use ipse_core::change::ProfileNumber;
use ipse_core::command::{Erasable, Erase, Operation};
use ipse_core::decide::ErasureDecision;
use ipse_store::format::{SPARE_NAMES, segment_name};
use ipse_store::simulated::{Fault, FaultKind, SimulatedDisk};
use ipse_store::{CheckpointError, Store, Until, verify_on};
use secrets::{
    DIR, RULES, SECRET, WORKSPACE, back_up, live, names_of_files_with_secrets, now, observe, open,
    open_at, restored, secrets_in, sent, sync,
};

fn erase(store: &Store, operation_id: &str, what: Erasable<'_>, suppress: bool) {
    let operation = Operation { operation_id, ..Operation::default() };
    let command = Erase { operation, what, suppress };
    let mut locked = store.lock();
    let decided = locked.graph(WORKSPACE).decide_erase(&command, now(500));
    let Ok(ErasureDecision::New(erased)) = decided else { panic!("{decided:?}") };
    assert!(!erased.identifiers.is_empty());
    let committed = locked.commit(WORKSPACE, now(500), Change::Erased(erased));
    committed.expect("a good record");
    drop(locked);
    sync(store);
}

fn ann() -> Erasable<'static> {
    Erasable::HolderOf(sent("user", "ann-secret".into()))
}

fn check(store: &Store, what: &str) -> u128 {
    let locked = store.lock();
    let graph = locked.graph(WORKSPACE);
    assert_eq!(graph.check(), Ok(()), "{what}");
    let is_there = |name: &str| graph.lookup("user", name).expect("a good lookup").is_some();
    assert!(is_there("bob") && !is_there("ann-secret"), "{what}");
    assert!(!graph.dump().to_ascii_lowercase().contains("secret"), "{what}");
    graph.state_hash()
}

/// Ann was erased, and no file has followed.
fn erased() -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let store = open(&disk);
    store.lock().create_workspace("default", [1; 16], RULES, now(0));
    live(&store, 1..4);
    store.checkpoint().expect("a snapshot");
    live(&store, 4..7);
    store.checkpoint().expect("another");
    live(&store, 7..9);
    erase(&store, "ticket 7", ann(), false);
    observe(
        &store,
        600,
        "later",
        vec![sent("user", "bob".into()), sent("device", "x".into())],
        "later",
    );
    let position = store.lock().position();
    assert_eq!(store.wait_synced(position, None), Ok(true));
    check(&store, "in memory");
    drop(store);
    disk.write(
        &Path::new(DIR).join("segment-000000000001-00000000000000000064.torn"),
        SECRET.to_vec(),
    );
    disk.write(&Path::new(DIR).join("snapshot-00000000000000000001.snap.broken"), SECRET.to_vec());
    // An earlier recovery was interrupted while it wrote there.
    for name in SPARE_NAMES {
        disk.write(&Path::new(DIR).join(name), SECRET.repeat(171));
    }
    assert!(names_of_files_with_secrets(&disk).len() > 4, "what is erased was somewhere");
    disk
}

#[test]
fn what_had_expired_of_someone_goes_with_them() {
    let disk = SimulatedDisk::new(1);
    let store = open(&disk);
    let rules = format!("{RULES}expires_after_days = 1\n");
    store.lock().create_workspace("default", [1; 16], &rules, now(0));
    live(&store, 1..4);
    let later = now(3 * 24 * 60 * 60);
    let mut locked = store.lock();
    let expired = locked.graph(WORKSPACE).decide_expiry(later).expect("days went by");
    assert_eq!(expired.identifiers.len(), 5);
    locked.commit(WORKSPACE, later, Change::Expired(expired)).expect("a good record");
    let state = locked.graph(WORKSPACE).state_hash();
    drop(locked);
    store.close(false).expect("nothing fails");
    let store = open(&disk);
    assert_eq!(store.lock().graph(WORKSPACE).state_hash(), state);
    assert!(!names_of_files_with_secrets(&disk).is_empty());

    erase(&store, "erase-1", ann(), false);
    store.checkpoint().expect("nothing fails");

    assert_eq!(names_of_files_with_secrets(&disk), Vec::<PathBuf>::new());
    let state = check(&store, "expired and erased");
    store.close(true).expect("nothing fails");
    assert_eq!(check(&open(&disk), "and opened again"), state);
}

#[test]
fn after_a_checkpoint_no_file_names_whom_was_erased() {
    let disk = erased();
    let store = open(&disk);
    assert!(store.checkpoint_due(), "the files are to follow promptly");
    store.checkpoint().expect("room on the disk");
    assert_eq!(names_of_files_with_secrets(&disk), Vec::<PathBuf>::new());
    assert!(!store.checkpoint_due());
    let before = check(&store, "live");
    {
        let locked = store.lock();
        let receipt = *locked.graph(WORKSPACE).erasure_receipts().next_back().expect("one");
        let completed = receipt.completed.expect("the files have followed");
        assert!(completed.segments > 0 && completed.records > 0 && completed.files > 2);
        assert_eq!((receipt.profiles, receipt.traits), (1, 2));
    }
    let erasures = disk.read(&Path::new(DIR).join("ERASURES")).expect("a register");
    let text = String::from_utf8(erasures).expect("text");
    assert!(text.contains(" workspace=0 erasure="), "{text}");
    drop(store);
    assert_eq!(check(&open(&disk), "after a restart"), before);
    // The newer snapshot breaks: the older one, and the log since, give the same.
    let newest =
        disk.paths().into_iter().rfind(|path| path.extension().is_some_and(|e| e == "snap"));
    disk.delete(&newest.expect("two snapshots"));
    assert_eq!(check(&open(&disk), "from the older snapshot"), before);
}

#[test]
fn a_forgotten_identifier_leaves_every_file_and_nothing_else_does() {
    let disk = SimulatedDisk::new(2);
    let store = open(&disk);
    store.lock().create_workspace("default", [1; 16], RULES, now(0));
    for step in 1..9 {
        let ids = vec![
            sent("user", "bob".into()),
            sent("device", format!("bob-{step}")),
            sent("email", "secret@example.com".into()),
        ];
        observe(&store, step, "", ids, "a note");
    }
    erase(
        &store,
        "ticket 7",
        Erasable::Identifier(sent("email", "SECRET@example.com".into())),
        true,
    );
    store.checkpoint().expect("room on the disk");
    assert_eq!(names_of_files_with_secrets(&disk), Vec::<PathBuf>::new());
    // It is kept out: neither the answer nor a record brings it back.
    let ids = vec![
        sent("user", "bob".into()),
        sent("device", "bob-new".into()),
        sent("email", "secret@example.com".into()),
    ];
    observe(&store, 20, "again", ids, "a note");
    store.checkpoint().expect("room on the disk");
    assert_eq!(names_of_files_with_secrets(&disk), Vec::<PathBuf>::new());
    let before = {
        let locked = store.lock();
        let bob = locked.graph(WORKSPACE).profile(ProfileNumber(1)).expect("Bob");
        assert_eq!(bob.identifiers().len(), 10);
        locked.graph(WORKSPACE).state_hash()
    };
    store.close(true).expect("room on the disk");
    drop(store);
    assert_eq!(open(&disk).lock().graph(WORKSPACE).state_hash(), before);
}

#[test]
fn whatever_fails_on_the_way_the_next_checkpoint_gets_there() {
    let base = erased();
    for kind in [FaultKind::InputOutput, FaultKind::NoSpace, FaultKind::ShortWrite] {
        for lasting in [false, true] {
            for operation in 1.. {
                let disk = base.copy();
                let store = open(&disk);
                disk.fail(Some(Fault { operation, kind, lasting }));
                let result = store.checkpoint();
                let done = disk.operations() < operation;
                assert!(result.is_ok() || !done, "nothing failed");
                disk.fail(None);
                drop(store);
                let what = format!("operation {operation}, {kind:?}, lasting {lasting}");
                if operation % 3 != 0 {
                    disk.crash(operation);
                }
                finish(&disk, &what);
                if done {
                    break;
                }
            }
        }
    }
}

#[test]
fn on_a_full_disk_an_erasure_waits_for_space_and_ends_nothing() {
    let base = erased();
    let mut refused = 0;
    for free in (0..40_000).step_by(509) {
        let what = format!("{free} bytes free");
        let disk = base.copy();
        let store = open(&disk);
        disk.resize(Some(disk.used_bytes() + free));
        match store.checkpoint() {
            Ok(_) => assert_eq!(names_of_files_with_secrets(&disk), Vec::<PathBuf>::new()),
            Err(CheckpointError::StorageFull) => refused += 1,
            Err(error) => panic!("{what}: {error}"),
        }
        assert_eq!(store.failure(), None, "{what}");
        let before = check(&store, &what);
        drop(store);
        disk.crash(free);
        disk.resize(Some(disk.used_bytes()));
        let store = open(&disk);
        assert_eq!(check(&store, &what), before, "{what}: recovery needs no space");
        disk.resize(None);
        drop(store);
        finish(&disk, &what);
    }
    assert!((5..75).contains(&refused), "{refused} of them had no room");
}

/// Opens what is left, checkpoints, and looks at every file.
fn finish(disk: &SimulatedDisk, what: &str) {
    let store = open(disk);
    check(&store, what);
    store.checkpoint().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(names_of_files_with_secrets(disk), Vec::<PathBuf>::new(), "{what}");
    let before = check(&store, what);
    assert_eq!(store.erasures_pending(), 0, "{what}");
    drop(store);
    disk.crash(1);
    assert_eq!(check(&open(disk), what), before, "{what}");
}

#[test]
fn an_erasure_without_files_is_complete_at_once() {
    let store = Store::in_memory(1);
    store.lock().create_workspace("default", [1; 16], RULES, now(0));
    live(&store, 1..3);
    erase(&store, "ticket 7", ann(), true);
    check(&store, "in memory");
    let locked = store.lock();
    let receipt = locked.graph(WORKSPACE).erasure_receipts().next_back().copied();
    assert!(receipt.is_some_and(|receipt| receipt.completed.is_some()));
}

/// A log with a backup in its midst, and later erasures that the files have followed: Ann's, kept
/// out since, and that of a value that no profile ever held. Gives the backup's position.
fn erased_after_a_backup() -> (SimulatedDisk, u64) {
    let disk = SimulatedDisk::new(5);
    let store = open(&disk);
    store.lock().create_workspace("default", [1; 16], RULES, now(0));
    let bob = |device: &str| vec![sent("user", "bob".into()), sent("device", device.into())];
    live(&store, 1..3);
    let emails = ["one@x.com", "two@x.com", "secret-three@x.com"].map(str::to_owned);
    let mut full = bob("d");
    full.extend(emails.map(|email| sent("email", email)));
    observe(&store, 3, "full", full, "a note");
    store.checkpoint().expect("a snapshot");
    live(&store, 4..6);
    let backup = back_up(&store);
    live(&store, 6..8);
    let never_held = sent("email", "secret-three@x.com".into());
    erase(&store, "ticket 6", Erasable::Identifier(never_held), false);
    erase(&store, "ticket 7", ann(), true);
    observe(&store, 600, "later", bob("x"), "later");
    store.checkpoint().expect("room on the disk");
    observe(&store, 601, "latest", bob("y"), "later");
    store.close(false).expect("closed");
    assert_eq!(secrets_in(&disk, DIR), Vec::<PathBuf>::new());
    assert!(secrets_in(&disk, "/backup").len() > 1, "the backup has them");
    (disk, backup)
}

/// That nothing of what was erased later is in what was restored, nor comes back.
fn check_absent(disk: &SimulatedDisk, what: &str) {
    assert_eq!(secrets_in(disk, "/restored"), Vec::<PathBuf>::new(), "{what}");
    verify_on(disk, Path::new("/restored")).unwrap_or_else(|error| panic!("{what}: {error}"));
    let store = open_at(disk, "/restored");
    check(&store, what);
    assert_eq!(store.erasures_pending(), 0, "{what}");
    {
        let locked = store.lock();
        let graph = locked.graph(WORKSPACE);
        let operation = Operation { operation_id: "ticket 7", ..Operation::default() };
        let again = Erase { operation, what: ann(), suppress: true };
        let decided = graph.decide_erase(&again, now(700));
        assert!(matches!(decided, Ok(ErasureDecision::Repeated(_))), "{what}: {decided:?}");
        let receipts = graph.erasure_receipts().filter(|receipt| receipt.completed.is_some());
        assert_eq!(receipts.count(), 2, "{what}");
    }
    let replayed = vec![sent("user", "ann-secret".into()), sent("device", "ann-secret-1".into())];
    observe(&store, 701, "replayed", replayed, "a note");
    check(&store, what);
}

#[test]
fn whom_was_erased_later_is_absent_from_what_is_restored_as_of_any_moment() {
    let (base, backup) = erased_after_a_backup();
    moments(&base, backup);
    // The directory keeps no more than what follows the backup, whose segments name her.
    let held = |number| Path::new("/backup").join(segment_name(number));
    for number in (1..).take_while(|number| base.read(&held(number + 1)).is_some()) {
        base.delete(&Path::new(DIR).join(segment_name(number)));
    }
    moments(&base, backup);
}

fn moments(base: &SimulatedDisk, backup: u64) {
    let end = verify_on(base, Path::new(DIR)).expect("sound").log_position;
    for position in backup..=end {
        let (disk, what) = (base.copy(), format!("position {position}"));
        let until = Some(Until::Position(position));
        let done = restored(&disk, Some(DIR), None, until).expect(&what);
        assert_eq!(done.log_position, position, "{what}");
        check_absent(&disk, &what);
    }
    let disk = base.copy();
    let done = restored(&disk, Some(DIR), None, None).expect("to the end");
    assert_eq!((done.erased_again, done.new_log), (0, false));
    check_absent(&disk, "to the end");
}

#[test]
fn the_register_alone_tells_what_was_erased_later() {
    let (disk, backup) = erased_after_a_backup();
    for until in [None, Some(Until::Position(backup - 3))] {
        let disk = disk.copy();
        let done = restored(&disk, None, Some(DIR), until).expect("restored");
        assert_eq!(done.erased_again, 2);
        assert!(done.notes.iter().any(|note| note.contains("erased again")), "{:?}", done.notes);
        check_absent(&disk, "by the register");
        // It knows which backup it came from: that holds whom will be erased here.
        let register = disk.read(Path::new("/restored/BACKUPS")).expect("a register");
        let text = String::from_utf8(register).expect("text");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("label=\"monday\""), "{text}");
    }
}

#[test]
fn a_backup_alone_says_that_later_erasures_are_not_known() {
    let (disk, _) = erased_after_a_backup();
    let done = restored(&disk, None, None, None).expect("restored");
    let told = |note: &String| note.contains("`--log`") && note.contains("`--erasures`");
    assert!(done.notes.iter().any(told), "{:?}", done.notes);
    assert!(!secrets_in(&disk, "/restored").is_empty());
}

#[test]
fn a_damaged_register_is_refused_by_its_place() {
    let (disk, _) = erased_after_a_backup();
    let path = Path::new(DIR).join("ERASURES");
    let mut register = disk.read(&path).expect("a register");
    let last = register.len() - 10;
    register[last] = b'x';
    disk.write(&path, register);
    let error = restored(&disk, None, Some(DIR), None).expect_err("damaged").to_string();
    assert!(error.contains("ERASURES is corrupt at byte ") && !error.contains("byte 0"), "{error}");
}

#[test]
fn hashes_are_noted_only_while_an_earlier_backup_is_registered() {
    let (disk, _) = erased_after_a_backup();
    let path = Path::new(DIR).join("ERASURES");
    let before = disk.read(&path).expect("a register");
    disk.delete(&Path::new(DIR).join("BACKUPS"));
    let store = open(&disk);
    erase(&store, "ticket 8", Erasable::Identifier(sent("device", "bob-1".into())), false);
    store.checkpoint().expect("room on the disk");
    let after = disk.read(&path).expect("a register");
    let line = |text: &[u8], at: usize| {
        let text = String::from_utf8(text.to_vec()).expect("text");
        text.lines().nth(at).map(str::len).expect("a line")
    };
    assert!(line(&after, 0) < line(&before, 0), "the hash is gone");
    assert_eq!(line(&after, 1), line(&before, 1), "what is suppressed is in the log, too");
}

#[test]
fn whatever_fails_while_it_is_erased_again_no_restored_directory_names_anyone() {
    let (base, backup) = erased_after_a_backup();
    let until = || Some(Until::Position(backup + 1));
    for operation in 1.. {
        let disk = base.copy();
        let kind = [FaultKind::InputOutput, FaultKind::NoSpace][(operation % 2) as usize];
        disk.fail(Some(Fault { operation, kind, lasting: operation % 3 == 0 }));
        let made = restored(&disk, Some(DIR), None, until());
        let done = disk.operations() < operation;
        disk.fail(None);
        disk.crash(operation);
        let what = format!("operation {operation}, {kind:?}");
        let is_there = disk.paths().iter().any(|path| path.starts_with("/restored"));
        assert!(is_there || made.is_err(), "{what}: it was said to be made");
        if !is_there {
            restored(&disk, Some(DIR), None, until()).expect(&what);
        }
        check_absent(&disk, &what);
        if done {
            return;
        }
    }
}
