//! After the checkpoint that follows an erasure no file holds a byte of what was erased, and
//! whatever fails or crashes on the way there, the next checkpoint gets there.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipse_core::change::ProfileNumber;
use ipse_core::command::{Erasable, Erase, Operation};
use ipse_core::decide::ErasureDecision;
use ipse_core::{Change, Event, SentIdentifier, SentTrait, Timestamp, TraitValue};
use ipse_store::format::SPARE_NAMES;
use ipse_store::simulated::{Fault, FaultKind, SimulatedDisk};
use ipse_store::{CheckpointError, Options, Store, SyncPolicy, WorkspaceIndex};

const DIR: &str = "/data";
const START_MS: i64 = 1_767_225_600_000;
/// In every value that is erased.
const SECRET: &[u8] = b"secret";
const WORKSPACE: WorkspaceIndex = WorkspaceIndex(0);

const RULES: &str = "\
[namespaces.user]
priority = 1
limit = 1
login = true
[namespaces.email]
priority = 2
limit = 2
normalise = \"lowercase\"
[namespaces.device]
priority = 3
limit = 100
";

fn open(disk: &SimulatedDisk) -> Store {
    let options =
        Options { sync: SyncPolicy::Always, segment_size_bytes: 1024, ..Options::default() };
    match Store::open_on(Arc::new(disk.clone()), Path::new(DIR), options, 3) {
        Ok((store, _)) => store,
        Err(error) => panic!("{error}"),
    }
}

fn now(step: i64) -> Timestamp {
    Timestamp::from_millis(START_MS + 1_000 * step).expect("this century")
}

fn sent(namespace: &'static str, value: String) -> SentIdentifier<'static> {
    SentIdentifier { namespace: namespace.into(), value: value.into() }
}

fn observe(store: &Store, step: i64, id: &str, identifiers: Vec<SentIdentifier<'_>>, note: &str) {
    let set = |name: &'static str, value| SentTrait {
        name: name.into(),
        value: Some(value),
        set_once: false,
    };
    let event = Event {
        event_id: id,
        kind: "track",
        timestamp: Some(now(step)),
        identifiers,
        traits: vec![
            set("note", TraitValue::Text(Cow::Owned(note.to_owned()))),
            set("address", TraitValue::Json(Cow::Owned(format!("{{\"street\":\"{note}\"}}")))),
        ],
        ..Event::default()
    };
    let mut locked = store.lock();
    let decision = locked.graph(WORKSPACE).decide(&event, now(step)).expect("a good event");
    if decision.teaches {
        let change = Change::EventResolved(decision.resolved);
        locked.commit(WORKSPACE, now(step), change).expect("a good record");
    }
}

/// Events of Bob, and one of Ann between each two.
fn live(store: &Store, steps: std::ops::Range<i64>) {
    for step in steps {
        let bob = vec![sent("user", "bob".into()), sent("device", format!("bob-{step}"))];
        observe(store, step, &format!("bob-{step}"), bob, &format!("a note {step}"));
        let ann = vec![
            sent("user", "ann-secret".into()),
            sent("email", format!("Ann-SECRET-{step}@example.com")),
            sent("device", format!("ann-secret-{step}")),
        ];
        observe(store, step, &format!("ann-secret-{step}"), ann, &format!("a secret {step}"));
    }
}

fn erase(store: &Store, what: Erasable<'_>, suppress: bool) {
    let operation = Operation { operation_id: "ticket 7", ..Operation::default() };
    let command = Erase { operation, what, suppress };
    let mut locked = store.lock();
    let decided = locked.graph(WORKSPACE).decide_erase(&command, now(500));
    let Ok(ErasureDecision::New(erased)) = decided else { panic!("{decided:?}") };
    assert!(!erased.identifiers.is_empty());
    let committed = locked.commit(WORKSPACE, now(500), Change::Erased(erased));
    let (_, position) = committed.expect("a good record");
    drop(locked);
    assert_eq!(store.wait_synced(position, None), Ok(true));
}

fn ann() -> Erasable<'static> {
    Erasable::HolderOf(sent("user", "ann-secret".into()))
}

fn names_of_files_with_secrets(disk: &SimulatedDisk) -> Vec<PathBuf> {
    let has_secret = |path: &PathBuf| {
        let bytes = disk.read(path).unwrap_or_default().to_ascii_lowercase();
        bytes.windows(SECRET.len()).any(|window| window == SECRET)
    };
    disk.paths().into_iter().filter(has_secret).collect()
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
    erase(&store, ann(), false);
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
    assert!(
        text.contains("\"workspace\":\"default\"") && text.contains("\"suppressed\":[]"),
        "{text}"
    );
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
    erase(&store, Erasable::Identifier(sent("email", "SECRET@example.com".into())), true);
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
    erase(&store, ann(), true);
    check(&store, "in memory");
    let locked = store.lock();
    let receipt = locked.graph(WORKSPACE).erasure_receipts().next_back().copied();
    assert!(receipt.is_some_and(|receipt| receipt.completed.is_some()));
}
