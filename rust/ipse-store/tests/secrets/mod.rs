//! A store with people whose every value has "secret" in it, and a search of its files.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipse_core::{Change, Event, SentIdentifier, SentTrait, Timestamp, TraitValue};
use ipse_store::fs::Disk;
use ipse_store::simulated::SimulatedDisk;
use ipse_store::{
    BackupRequest, Options, RestoreError, RestoreRequest, Restored, Store, SyncPolicy, Until,
    WorkspaceIndex, restore_on,
};

pub(crate) const DIR: &str = "/data";
pub(crate) const START_MS: i64 = 1_767_225_600_000;
/// In every value that is erased.
pub(crate) const SECRET: &[u8] = b"secret";

pub(crate) const WORKSPACE: WorkspaceIndex = WorkspaceIndex(0);

pub(crate) const RULES: &str = "\
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

pub(crate) fn open(disk: &SimulatedDisk) -> Store {
    open_at(disk, DIR)
}

pub(crate) fn open_at(disk: &SimulatedDisk, dir: &str) -> Store {
    let options =
        Options { sync: SyncPolicy::Always, segment_size_bytes: 1024, ..Options::default() };
    match Store::open_on(Arc::new(disk.clone()), Path::new(dir), options, 3) {
        Ok((store, _)) => store,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn now(step: i64) -> Timestamp {
    Timestamp::from_millis(START_MS + 1_000 * step).expect("this century")
}

pub(crate) fn sent(namespace: &'static str, value: String) -> SentIdentifier<'static> {
    SentIdentifier::new(namespace, value)
}

pub(crate) fn observe(
    store: &Store,
    step: i64,
    id: &str,
    identifiers: Vec<SentIdentifier<'_>>,
    note: &str,
) {
    observe_in(store, WORKSPACE, step, id, identifiers, note);
}

pub(crate) fn observe_in(
    store: &Store,
    workspace: WorkspaceIndex,
    step: i64,
    id: &str,
    identifiers: Vec<SentIdentifier<'_>>,
    note: &str,
) {
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
    let decision = locked.graph(workspace).decide(&event, now(step)).expect("a good event");
    if decision.teaches {
        let change = Change::EventResolved(decision.resolved);
        locked.commit(workspace, now(step), change).expect("a good record");
    }
}

/// Whether all that is committed is on the disk.
pub(crate) fn sync(store: &Store) {
    let position = store.lock().position();
    assert_eq!(store.wait_synced(position, None), Ok(true));
}

/// A backup in `/backup`, with all that is kept; gives its position.
pub(crate) fn back_up(store: &Store) -> u64 {
    let (directory, label) = (Path::new("/backup"), "monday");
    let request = BackupRequest { directory, label, history: true, now: now(100) };
    store.backup(&request).expect("nothing stands against it").log_position
}

/// Events of Bob, and one of Ann between each two.
pub(crate) fn live(store: &Store, steps: std::ops::Range<i64>) {
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

pub(crate) fn names_of_files_with_secrets(disk: &SimulatedDisk) -> Vec<PathBuf> {
    secrets_in(disk, "/")
}

pub(crate) fn secrets_in(disk: &SimulatedDisk, dir: &str) -> Vec<PathBuf> {
    let has_secret = |path: &PathBuf| {
        let bytes = disk.read(path).unwrap_or_default().to_ascii_lowercase();
        bytes.windows(SECRET.len()).any(|window| window == SECRET)
    };
    disk.paths().into_iter().filter(|path| path.starts_with(dir) && has_secret(path)).collect()
}

pub(crate) fn restored(
    disk: &SimulatedDisk,
    log: Option<&str>,
    erasures: Option<&str>,
    until: Option<Until>,
) -> Result<Restored, RestoreError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let (from, log, to) = (Path::new("/backup"), log.map(Path::new), Path::new("/restored"));
    let erasures = erasures.map(Path::new);
    restore_on(&disk, &RestoreRequest { from, log, erasures, until, to })
}
