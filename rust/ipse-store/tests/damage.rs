//! A small log, damaged in every way: what opens is an exact prefix, and only a group that
//! was never acknowledged may be missing; everything else is refused and names the place.

mod story;

use std::path::{Path, PathBuf};

use ipse_store::OpenError;
use ipse_store::format::{FRAME_HEADER_BYTES, HEADER_BYTES, aligned};
use ipse_store::simulated::SimulatedDisk;
use story::{Fingerprint, always, check, expected, open, run};

const STEPS: u64 = 9;

struct Log {
    disk: SimulatedDisk,
    segments: Vec<PathBuf>,
    states: Vec<Fingerprint>,
}

impl Log {
    /// As a crash leaves it, or as closing does.
    fn new(close: bool) -> Log {
        let disk = SimulatedDisk::new(1);
        let (store, _) = open(&disk, always()).expect("new");
        run(&store, STEPS);
        if close {
            store.close(false).expect("closed");
        }
        drop(store);
        let mut segments = disk.paths();
        segments.retain(|path| path.extension() == Some("wal".as_ref()));
        assert!(segments.len() > 2, "a few segments");
        Log { disk, segments, states: expected(STEPS) }
    }

    fn bytes(&self, segment: usize) -> Vec<u8> {
        self.disk.read(&self.segments[segment]).expect("there")
    }

    /// Opens a copy in which one file is other than it was.
    fn open(&self, path: &Path, bytes: Vec<u8>, what: &str) -> Result<u64, OpenError> {
        let disk = self.disk.copy();
        disk.write(path, bytes);
        self.open_disk(&disk, what)
    }

    fn open_disk(&self, disk: &SimulatedDisk, what: &str) -> Result<u64, OpenError> {
        let before = disk.paths();
        match open(disk, always()) {
            Ok((store, recovery)) => {
                let position = check(&store, &self.states, what);
                assert!(position + 1 >= STEPS, "{what}: acknowledged records are gone");
                if position < STEPS {
                    assert!(!recovery.clean_shutdown, "{what}");
                }
                Ok(position)
            }
            Err(error) => {
                assert_eq!(disk.paths(), before, "{what}: refused, and changed all the same");
                names_the_place(&error, what);
                Err(error)
            }
        }
    }
}

fn names_the_place(error: &OpenError, what: &str) {
    let said = error.to_string();
    let named = match error {
        OpenError::Corrupt { .. } => said.contains("byte"),
        OpenError::Missing { .. } => true,
        _ => false,
    };
    assert!(named && said.contains(story::DIR), "{what}: {said}");
}

/// Begin and end of each frame.
fn frames(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut frames = Vec::new();
    let mut start = HEADER_BYTES;
    while bytes[start..start + FRAME_HEADER_BYTES].iter().any(|byte| *byte != 0) {
        let length = bytes[start + 4..].first_chunk().expect("a header");
        let length = usize::try_from(u32::from_le_bytes(*length)).expect("short");
        let end = start + aligned(FRAME_HEADER_BYTES + length);
        frames.push((start, end));
        start = end;
    }
    frames
}

#[test]
fn every_flipped_bit() {
    for close in [false, true] {
        let log = Log::new(close);
        let (mut refused, mut repaired) = (0, 0);
        // The older segments of the two are the same.
        let begin = if close { log.segments.len() - 1 } else { 0 };
        for segment in begin..log.segments.len() {
            let bytes = log.bytes(segment);
            let frames = frames(&bytes);
            let last = frames.last().map_or(HEADER_BYTES, |frame| frame.1);
            for bit in 0..bytes.len() * 8 {
                // Behind the last frame one bit of each byte stands for all of them.
                if bit / 8 >= last && bit % 8 != bit / 8 % 8 {
                    continue;
                }
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let what = format!("segment {segment}, bit {bit}, closed {close}");
                match log.open(&log.segments[segment], flipped, &what) {
                    Ok(position) => repaired += STEPS - position,
                    Err(error) => {
                        let (error, name) = (error.to_string(), log.segments[segment].display());
                        let hit =
                            frames.iter().find(|frame| (frame.0..frame.1).contains(&(bit / 8)));
                        let place = hit.map_or(String::new(), |frame| format!("byte {}:", frame.0));
                        assert!(error.contains(&format!("{name} is corrupt")), "{what}: {error}");
                        assert!(error.contains(&place), "{what}: {error}");
                        refused += 1;
                    }
                }
            }
        }
        assert!(refused > 1_000, "most damage is to what was synced");
        // The newest group of a log that was not closed is the one that may have been torn.
        assert_eq!(repaired > 0, !close);
    }
}

#[test]
fn every_length() {
    for close in [false, true] {
        let log = Log::new(close);
        for segment in 0..log.segments.len() {
            let bytes = log.bytes(segment);
            let newest = segment + 1 == log.segments.len();
            for length in 0..bytes.len() {
                let what = format!("segment {segment}, length {length}, closed {close}");
                let opened = log.cut(segment, &bytes, length, &what);
                let end = frames(&bytes).last().map_or(HEADER_BYTES, |frame| frame.1);
                if length >= end {
                    assert_eq!(opened.ok(), Some(STEPS), "{what}");
                } else if !newest {
                    assert!(opened.is_err(), "{what}");
                }
            }
        }
    }
}

impl Log {
    /// A cut at the border of frames of the newest segment cannot be told from a log that
    /// was never longer, except by the segment's beginning.
    fn cut(
        &self,
        segment: usize,
        bytes: &[u8],
        length: usize,
        what: &str,
    ) -> Result<u64, OpenError> {
        let disk = self.disk.copy();
        disk.write(&self.segments[segment], bytes[..length].to_vec());
        let frames = frames(bytes);
        let whole = frames.iter().filter(|frame| frame.1 <= length).count();
        if segment + 1 == self.segments.len() && length >= HEADER_BYTES && whole + 1 < frames.len()
        {
            return match open(&disk, always()) {
                Ok((store, _)) => Ok(check(&store, &self.states, what)),
                Err(error) => Err(error),
            };
        }
        self.open_disk(&disk, what)
    }
}

#[test]
fn every_frame_dropped_doubled_and_swapped() {
    let log = Log::new(false);
    for segment in 0..log.segments.len() {
        let bytes = log.bytes(segment);
        let frames = frames(&bytes);
        for (index, &(start, end)) in frames.iter().enumerate() {
            let mut dropped = bytes.clone();
            dropped.drain(start..end);
            dropped.resize(bytes.len(), 0);
            let mut doubled = bytes[..end].to_vec();
            doubled.extend_from_slice(&bytes[start..bytes.len() - (end - start)]);
            let mut variants = vec![("dropped", dropped), ("doubled", doubled)];
            if let Some(&(_, next_end)) = frames.get(index + 1) {
                let mut swapped = bytes[..start].to_vec();
                swapped.extend_from_slice(&bytes[end..next_end]);
                swapped.extend_from_slice(&bytes[start..end]);
                swapped.extend_from_slice(&bytes[next_end..]);
                variants.push(("swapped", swapped));
            }
            for (how, variant) in variants {
                let what = format!("segment {segment}, frame {index} {how}");
                let newest = segment + 1 == log.segments.len() && index + 1 == frames.len();
                let opened = log.open(&log.segments[segment], variant, &what);
                assert!(newest || opened.is_err() || how == "doubled", "{what}: {opened:?}");
            }
        }
    }
}

#[test]
fn a_log_that_ends_before_a_snapshot_is_refused() {
    let disk = SimulatedDisk::new(1);
    let (store, _) = open(&disk, always()).expect("new");
    run(&store, STEPS);
    store.checkpoint().expect("a snapshot");
    drop(store);
    let newest = disk.paths().into_iter().rfind(|path| path.extension() == Some("wal".as_ref()));
    let newest = newest.expect("a segment");
    let bytes = disk.read(&newest).expect("there");
    for (start, _) in frames(&bytes) {
        let cut = disk.copy();
        let mut zeroed = bytes.clone();
        zeroed[start..].fill(0);
        cut.write(&newest, zeroed);
        let error = open(&cut, always()).err().expect("the snapshot is proof that more was there");
        assert!(error.to_string().contains(&format!("byte {start}")), "{error}");
    }
}

#[test]
fn every_segment_deleted_and_swapped() {
    let log = Log::new(false);
    for (index, path) in log.segments.iter().enumerate() {
        let disk = log.disk.copy();
        disk.delete(path);
        let what = format!("segment {index} deleted");
        assert!(log.open_disk(&disk, &what).is_err(), "{what}");
        for other in &log.segments {
            if other != path {
                let disk = log.disk.copy();
                disk.write(path, log.disk.read(other).expect("there"));
                let what = format!("segment {index} replaced by {}", other.display());
                assert!(log.open_disk(&disk, &what).is_err(), "{what}");
            }
        }
    }
    let disk = log.disk.copy();
    log.segments.iter().for_each(|path| disk.delete(path));
    assert!(log.open_disk(&disk, "all segments deleted").is_err());
}

#[test]
fn every_flipped_bit_of_the_manifest() {
    let log = Log::new(true);
    let path = Path::new(story::DIR).join("MANIFEST");
    let bytes = log.disk.read(&path).expect("there");
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let what = format!("manifest, bit {bit}");
        assert!(log.open(&path, flipped, &what).is_err(), "{what}");
    }
    let disk = log.disk.copy();
    disk.delete(&path);
    assert_eq!(log.open_disk(&disk, "no manifest").expect("segments say it all"), STEPS);
}

#[test]
fn files_of_another_log_are_refused() {
    let log = Log::new(true);
    let other = SimulatedDisk::new(99);
    let (store, _) = open(&other, always()).expect("new");
    run(&store, STEPS);
    drop(store);
    for path in &log.segments {
        let what = format!("{} of another log", path.display());
        let bytes = other.read(path).expect("as many segments");
        assert!(log.open(path, bytes, &what).is_err(), "{what}");
    }
}

#[test]
fn a_record_with_a_right_checksum_and_impossible_content_is_refused() {
    let log = Log::new(false);
    let bytes = log.bytes(0);
    for (start, end) in frames(&bytes) {
        for place in start + FRAME_HEADER_BYTES..end {
            let mut changed = bytes.clone();
            changed[place] ^= 0x01;
            let crc = crc32fast::hash(&changed[start + 4..end]);
            changed[start..start + 4].copy_from_slice(&crc.to_le_bytes());
            // The next frame's link to this one is broken by that; what matters here is
            // that nothing panics on the way.
            let disk = log.disk.copy();
            disk.write(&log.segments[0], changed);
            if let Err(error) = open(&disk, always()) {
                names_the_place(&error, &format!("byte {place}"));
            }
        }
    }
}
