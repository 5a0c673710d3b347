//! The store as a backend of the shared runners: a directory that is copied to be crashed,
//! closed to be restarted, and must give back the same graph each time.
#![allow(dead_code)] // Each test binary uses a part of it.

// One text of the runners for both crates: what the core is judged by, the store is too.
#[path = "../../../ipse-core/tests/support/mod.rs"]
pub(crate) mod shared;

use std::path::Path;
use std::time::Duration;

use ipse_core::{Change, Graph, Timestamp};
use ipse_store::{LogPosition, Options, Recovery, Store, SyncPolicy, WorkspaceIndex};
use shared::backend::{Backend, assert_same};
use tempfile::TempDir;

/// Nothing here waits this long unless it hangs.
const SYNC_TIMEOUT: Duration = Duration::from_secs(60);

/// Segments of a few records each, so that every story crosses their edges.
fn options() -> Options {
    Options { sync: SyncPolicy::Always, segment_size_bytes: 2_048, ..Options::default() }
}

/// A store in a directory of its own.
pub(crate) struct StoreBackend {
    // Before the directory: a store is dropped before its files are.
    store: Store,
    dir: TempDir,
    workspace: WorkspaceIndex,
    opened: u64,
    /// Whether anything was written since opening: if not, the mark of the end before stands.
    written: bool,
}

impl StoreBackend {
    pub(crate) fn new() -> StoreBackend {
        let dir = temporary_dir();
        let (store, recovery) = open(dir.path(), 0);
        assert_eq!((recovery.replayed_records, recovery.torn_bytes), (0, 0));
        StoreBackend { store, dir, workspace: WorkspaceIndex(0), opened: 0, written: false }
    }

    fn wait(&self, position: LogPosition) {
        let synced = self.store.wait_synced(position, Some(SYNC_TIMEOUT));
        assert_eq!(synced, Ok(true), "the log does not sync");
        assert!(self.store.synced() >= position);
    }

    /// Opens the directory, which must hold what `before` holds.
    fn reopen(&mut self, dir: TempDir) -> Recovery {
        self.opened += 1;
        let (store, recovery) = open(dir.path(), self.opened);
        let before = std::mem::replace(&mut self.store, store);
        assert_eq!(recovery.torn_bytes, 0, "everything was synced");
        {
            let (before, after) = (before.lock(), self.store.lock());
            assert_eq!(before.position(), after.position());
            assert!(before.workspaces().eq(after.workspaces()));
            for workspace in before.workspaces() {
                assert_same("recovery", before.graph(workspace), after.graph(workspace));
            }
        }
        drop(before);
        self.dir = dir;
        self.written = false;
        recovery
    }

    fn copied_dir(&self) -> TempDir {
        let copy = temporary_dir();
        copy_files(self.dir.path(), copy.path());
        copy
    }
}

impl Backend for StoreBackend {
    fn create_workspace(&mut self, name: &str, rules: &str, now: Timestamp) {
        let key = *b"a fixed key, 16B";
        let (workspace, position) = self.store.lock().create_workspace(name, key, rules, now);
        self.workspace = workspace;
        self.written = true;
        self.wait(position);
    }

    fn read<T>(&self, look: impl FnOnce(&Graph) -> T) -> T {
        look(self.store.lock().graph(self.workspace))
    }

    fn commit(&mut self, now: Timestamp, change: Change<'_>) {
        let mut locked = self.store.lock();
        assert!(!locked.queue_is_full());
        let (record, position) =
            locked.commit(self.workspace, now, change).expect("it can be read back");
        assert_eq!(record.sequence, locked.graph(self.workspace).sequence());
        assert_eq!(position, locked.workspace_position(self.workspace));
        drop(locked);
        self.written = true;
        self.wait(position);
    }

    /// The files as a killed process leaves them: what is synced, and no mark of an end.
    fn crash(&mut self) {
        let written = self.written;
        let recovery = self.reopen(self.copied_dir());
        assert!(!(written && recovery.clean_shutdown), "nobody closed it");
    }

    fn restart(&mut self) {
        let with_checkpoint = self.opened.is_multiple_of(2);
        self.store.close(with_checkpoint).expect("nothing stands against closing");
        let recovery = self.reopen(self.copied_dir());
        assert!(recovery.clean_shutdown, "it was closed: {recovery:?}");
        if with_checkpoint {
            assert_eq!(recovery.replayed_records, 0, "the snapshot holds everything");
        }
    }

    fn checkpoint(&mut self) {
        let made = self.store.checkpoint().expect("nothing stands against a checkpoint");
        assert_eq!(made.log_position, self.store.synced().0);
        let recovery = self.reopen(self.copied_dir());
        assert_eq!(recovery.snapshot_file_name, Some(made.file_name));
        assert_eq!(recovery.replayed_records, 0, "the snapshot holds everything");
    }
}

/// A store without files: whatever comes between, it is still there.
pub(crate) struct MemoryBackend {
    store: Store,
    workspace: WorkspaceIndex,
}

impl MemoryBackend {
    pub(crate) fn new() -> MemoryBackend {
        MemoryBackend { store: Store::in_memory(5), workspace: WorkspaceIndex(0) }
    }
}

impl Backend for MemoryBackend {
    fn create_workspace(&mut self, name: &str, rules: &str, now: Timestamp) {
        let key = *b"a fixed key, 16B";
        (self.workspace, _) = self.store.lock().create_workspace(name, key, rules, now);
    }

    fn read<T>(&self, look: impl FnOnce(&Graph) -> T) -> T {
        look(self.store.lock().graph(self.workspace))
    }

    fn commit(&mut self, now: Timestamp, change: Change<'_>) {
        let (_, position) =
            self.store.lock().commit(self.workspace, now, change).expect("it can be read back");
        assert_eq!(self.store.wait_synced(position, None), Ok(true), "synced at once");
    }

    fn crash(&mut self) {}

    fn restart(&mut self) {}

    fn checkpoint(&mut self) {}
}

fn open(dir: &Path, seed: u64) -> (Store, Recovery) {
    match Store::open(dir, options(), seed) {
        Ok(opened) => opened,
        Err(error) => panic!("the directory does not open: {error}"),
    }
}

fn temporary_dir() -> TempDir {
    tempfile::tempdir().expect("a place for files")
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a directory of the store") {
        let path = entry.expect("a readable directory").path();
        let copy = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            std::fs::create_dir(&copy).expect("a writable directory");
            copy_files(&path, &copy);
        } else {
            std::fs::copy(&path, &copy).expect("a readable file");
        }
    }
}
