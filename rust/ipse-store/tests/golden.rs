//! Files of each format version, kept in `tests/golden`: what was written before is read,
//! and what is written now is what was written before. `UPDATE=1` writes the newest anew.

mod story;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ipse_store::format::{LOG_VERSION, SNAPSHOT_VERSION};
use ipse_store::simulated::SimulatedDisk;
use ipse_store::{Options, Store};
use story::{always, fingerprint, open, run};

/// Two rounds of commands: what they have in common has several holders.
const STEPS: u64 = 44;
const CHECKPOINT_AT: u64 = 36;

fn golden() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    tests.join(format!("log-v{LOG_VERSION}-snapshot-v{SNAPSHOT_VERSION}"))
}

/// Salts come from the simulated disk, so that every byte is the same each time.
fn written() -> (SimulatedDisk, String) {
    let disk = SimulatedDisk::new(2026);
    let options = Options { segment_size_bytes: 4096, ..always() };
    let (store, _) = open(&disk, options).expect("new");
    run(&store, CHECKPOINT_AT);
    store.checkpoint().expect("a snapshot");
    run(&store, STEPS);
    let state = described(&store);
    store.close(false).expect("closed");
    (disk, state)
}

/// What a reader must find: a line for each workspace.
fn described(store: &Store) -> String {
    let line = |(name, sequence, hash)| format!("{name} sequence={sequence} hash={hash:032x}\n");
    fingerprint(&store.lock()).into_iter().map(line).collect()
}

/// Every file by name, after the kept ones were replaced if that is asked for.
fn files() -> &'static [(String, Vec<u8>)] {
    // Once for all tests: one must not read what another replaces.
    static FILES: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let (disk, state) = written();
        let mut files = vec![("STATE".to_owned(), state.into_bytes())];
        // Reserved space is there or not yet.
        let lasting = |path: &PathBuf| path.extension() != Some("tmp".as_ref());
        for path in disk.paths().into_iter().filter(lasting) {
            let name = path.file_name().and_then(|name| name.to_str()).expect("text").to_owned();
            files.push((name, disk.read(&path).expect("listed")));
        }
        if std::env::var("UPDATE").as_deref() == Ok("1") {
            keep(&files);
        }
        files
    })
}

fn keep(files: &[(String, Vec<u8>)]) {
    let _ = std::fs::remove_dir_all(golden());
    std::fs::create_dir_all(golden()).expect("a directory");
    for (name, bytes) in files {
        std::fs::write(golden().join(name), bytes).expect("written");
    }
}

#[test]
fn files_are_as_they_were() {
    for (name, bytes) in files() {
        let kept = std::fs::read(golden().join(name)).unwrap_or_default();
        assert!(kept == *bytes, "{name} differs: look at it, then run again with UPDATE=1");
    }
    let kept = std::fs::read_dir(golden()).expect("a directory").count();
    assert_eq!(kept, files().len(), "a file is no longer written");
}

#[test]
fn files_of_every_version_are_read() {
    files();
    let versions = std::fs::read_dir(golden().join("..")).expect("a directory");
    for version in
        versions.map(|entry| entry.expect("readable").path()).filter(|path| path.is_dir())
    {
        let state = std::fs::read_to_string(version.join("STATE")).expect("what it holds");
        for keep_snapshot in [true, false] {
            let disk = SimulatedDisk::new(1);
            for entry in std::fs::read_dir(&version).expect("readable") {
                let path = entry.expect("readable").path();
                let snapshot = path.extension() == Some("snap".as_ref());
                if keep_snapshot || !snapshot {
                    let name = path.file_name().expect("a file");
                    let bytes = std::fs::read(&path).expect("readable");
                    disk.write(&Path::new(story::DIR).join(name), bytes);
                }
            }
            let (store, recovery) = open(&disk, always()).expect("whole");
            assert!(recovery.clean_shutdown);
            assert_eq!(recovery.snapshot_file_name.is_some(), keep_snapshot);
            assert_eq!(described(&store), state, "{}", version.display());
        }
    }
}
