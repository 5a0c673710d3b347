//! A workspace that was deleted is in no memory at once, in no file after the checkpoint that
//! follows, and not in what is restored of a moment before; its name is free again.

mod secrets;

use std::path::{Path, PathBuf};

use ipse_core::command::Operation;
use ipse_store::simulated::{Fault, FaultKind, SimulatedDisk};
use ipse_store::{Store, Until, WorkspaceIndex, verify_on};
use secrets::{
    DIR, RULES, WORKSPACE, back_up, names_of_files_with_secrets, now, observe_in, open, open_at,
    restored, secrets_in, sent, sync,
};

const NAME: &str = "secret-shop";
const SHOP: WorkspaceIndex = WorkspaceIndex(1);

fn operation() -> Operation<'static> {
    Operation { operation_id: "ticket 9", ..Operation::default() }
}

/// Records of Bob in one workspace, of Ann in the other, and of the rules of either.
fn live(store: &Store, steps: std::ops::Range<i64>) {
    for step in steps {
        let bob = vec![sent("user", "bob".into()), sent("device", format!("bob-{step}"))];
        observe_in(store, WORKSPACE, step, &format!("e-{step}"), bob, "a note");
        let ann = vec![sent("user", "ann".into()), sent("device", format!("secret-{step}"))];
        observe_in(store, SHOP, step, &format!("secret-{step}"), ann, "a secret");
    }
}

fn begun() -> (SimulatedDisk, Store) {
    let disk = SimulatedDisk::new(1);
    let store = open(&disk);
    store.lock().create_workspace("default", [1; 16], RULES, now(0));
    let rules = format!("# a secret rule\n{RULES}");
    store.lock().create_workspace(NAME, *b"secret-secret-16", &rules, now(0));
    live(&store, 1..4);
    store.checkpoint().expect("a snapshot");
    live(&store, 4..6);
    (disk, store)
}

fn delete(store: &Store) {
    let mut locked = store.lock();
    let deleted = locked.graph(SHOP).decide_deletion(&operation(), now(50)).expect("there");
    assert_eq!((deleted.profiles, deleted.identifiers > 2), (1, true));
    // The key is no secret by itself.
    let deleted = ipse_core::change::WorkspaceDeleted { key: [7; 16], ..deleted };
    locked.commit(SHOP, now(50), deleted.into()).expect("a good record");
    drop(locked);
    sync(store);
}

/// That it is gone, and Bob is not.
fn check(store: &Store, what: &str) -> u128 {
    let locked = store.lock();
    assert_eq!(locked.workspace(NAME), None, "{what}");
    assert_eq!(locked.workspaces().collect::<Vec<_>>(), [WORKSPACE], "{what}");
    let (bobs, gone) = (locked.graph(WORKSPACE), locked.graph(SHOP));
    assert!(bobs.lookup("user", "bob").expect("a good lookup").is_some(), "{what}");
    assert!(gone.is_gone() && !gone.dump().contains("secret"), "{what}: {}", gone.dump());
    assert_eq!((gone.check(), bobs.check()), (Ok(()), Ok(())), "{what}");
    bobs.state_hash() ^ gone.state_hash()
}

fn completed(store: &Store) -> bool {
    let locked = store.lock();
    let receipt = locked.graph(SHOP).erasure_receipts().next_back().copied();
    receipt.expect("a receipt").completed.is_some()
}

#[test]
fn no_file_names_it_after_a_checkpoint_and_its_name_is_free() {
    let (disk, store) = begun();
    delete(&store);
    check(&store, "in memory");
    assert!(store.checkpoint_due() && !completed(&store));
    assert!(!names_of_files_with_secrets(&disk).is_empty());
    store.checkpoint().expect("room on the disk");
    assert_eq!(names_of_files_with_secrets(&disk), Vec::<PathBuf>::new());
    assert!(completed(&store) && !store.checkpoint_due());

    let before = check(&store, "live");
    store.close(false).expect("closed");
    drop(store);
    verify_on(&disk, Path::new(DIR)).expect("sound");
    let store = open(&disk);
    assert_eq!(check(&store, "after a restart"), before);

    let (again, _) = store.lock().create_workspace(NAME, [3; 16], RULES, now(60));
    assert_eq!(again, WorkspaceIndex(2));
    assert_eq!(store.lock().graph(again).sequence().0, 1, "it begins anew");
    observe_in(&store, again, 61, "", vec![sent("user", "ann".into())], "a note");
    assert_eq!(store.lock().graph(again).sequence().0, 2);
    store.close(false).expect("closed");
    drop(store);
    let store = open(&disk);
    assert_eq!(store.lock().workspace(NAME), Some(again));
    assert_eq!(store.lock().graph(again).counts().profiles, 1);
}

#[test]
fn a_repeat_of_the_operation_finds_its_receipt_and_nothing_is_written_to_what_is_gone() {
    let (disk, store) = begun();
    delete(&store);
    let mut locked = store.lock();
    let receipt = locked.graph(SHOP).erasure_receipts().next_back().copied().expect("one");
    assert_eq!((receipt.profiles, receipt.suppress), (1, false));
    let empty = locked.graph(WORKSPACE).decide_deletion(&operation(), now(51)).expect("there");
    let again = locked.commit(SHOP, now(51), empty.into());
    assert!(again.expect_err("it is gone").to_string().contains("deleted before"));
    drop(locked);
    drop(store);
    let store = open(&disk);
    check(&store, "after a crash");
    assert_eq!(store.erasures_pending(), 1, "the files are still to follow");
}

#[test]
fn in_memory_it_is_complete_at_once() {
    let store = Store::in_memory(1);
    store.lock().create_workspace("default", [1; 16], RULES, now(0));
    store.lock().create_workspace(NAME, [2; 16], RULES, now(0));
    live(&store, 1..3);
    delete(&store);
    check(&store, "in memory");
    assert!(completed(&store));
}

#[test]
fn whatever_fails_on_the_way_the_next_checkpoint_gets_there() {
    let base = {
        let (disk, store) = begun();
        delete(&store);
        observe_in(&store, WORKSPACE, 70, "", vec![sent("user", "bob".into())], "later");
        sync(&store);
        drop(store);
        disk
    };
    for operation in 1.. {
        let disk = base.copy();
        let store = open(&disk);
        let kind = [FaultKind::InputOutput, FaultKind::ShortWrite][(operation % 2) as usize];
        disk.fail(Some(Fault { operation, kind, lasting: operation % 5 == 0 }));
        let result = store.checkpoint();
        let done = disk.operations() < operation;
        assert!(result.is_ok() || !done, "nothing failed");
        disk.fail(None);
        drop(store);
        let what = format!("operation {operation}, {kind:?}");
        if operation % 3 != 0 {
            disk.crash(operation);
        }
        let store = open(&disk);
        check(&store, &what);
        store.checkpoint().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(names_of_files_with_secrets(&disk), Vec::<PathBuf>::new(), "{what}");
        let before = check(&store, &what);
        drop(store);
        disk.crash(1);
        verify_on(&disk, Path::new(DIR)).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(check(&open(&disk), &what), before, "{what}");
        if done {
            break;
        }
    }
}

#[test]
fn it_is_absent_from_what_is_restored_as_of_any_moment() {
    let (disk, store) = begun();
    let backup = back_up(&store);
    live(&store, 6..8);
    delete(&store);
    store.checkpoint().expect("room on the disk");
    observe_in(&store, WORKSPACE, 70, "", vec![sent("user", "bob".into())], "later");
    store.close(false).expect("closed");
    drop(store);
    assert!(!secrets_in(&disk, "/backup").is_empty());
    let end = verify_on(&disk, Path::new(DIR)).expect("sound").log_position;
    let moments = (backup..=end).map(|position| Some(Until::Position(position)));
    for until in moments.chain([None]) {
        for (log, register) in [(Some(DIR), None), (None, Some(DIR))] {
            let (disk, what) = (disk.copy(), format!("{until:?} by {log:?}"));
            if log.is_none() && until != Some(Until::Position(backup)) {
                continue;
            }
            restored(&disk, log, register, until.clone()).expect(&what);
            assert_eq!(secrets_in(&disk, "/restored"), Vec::<PathBuf>::new(), "{what}");
            verify_on(&disk, Path::new("/restored")).expect(&what);
            let store = open_at(&disk, "/restored");
            check(&store, &what);
            assert!(completed(&store), "{what}");
        }
    }
}
