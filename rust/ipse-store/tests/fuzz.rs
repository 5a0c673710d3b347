//! Frames, records and snapshots with bytes that nobody wrote and checksums that are right:
//! each is taken for what it says or refused by name, before anything of it is applied.

mod fuzzing;
mod story;

use std::path::{Path, PathBuf};

use fuzzing::{Target, fuzz};

use ipse_store::codec::{SnapshotPart, decode_record, encode_record};
use ipse_store::format::{
    FRAME_HEADER_BYTES, HEADER_BYTES, KIND_GROUP, SECTION_HEADER_BYTES, aligned,
};
use ipse_store::simulated::SimulatedDisk;
use ipse_store::{OpenError, Options};
use story::{always, check, expected, fingerprint, open, run};

const STEPS: u64 = 24;

/// Some of msgpack's markers.
const WORDS: [&[u8]; 14] = [
    &[0xc0],
    &[0xc4, 0x10],
    &[0xcc, 0xff],
    &[0xcd, 0xff, 0xff],
    &[0xce, 0xff, 0xff, 0xff, 0xff],
    &[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0],
    &[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
    &[0xd9, 0xff],
    &[0xdc, 0xff, 0xff],
    &[0xdd, 0xff, 0xff, 0xff, 0xff],
    &[0x90],
    &[0x93, 0x01, 0x02, 0x03],
    &[0xa1, 0xff],
];

/// One segment that holds the story, and a snapshot of its middle.
struct Written {
    disk: SimulatedDisk,
    segment: PathBuf,
    snapshot: PathBuf,
}

fn written() -> Written {
    let disk = SimulatedDisk::new(1);
    let options = Options { segment_size_bytes: 16 << 10, ..always() };
    let (store, _) = open(&disk, options).expect("new");
    run(&store, STEPS / 2);
    store.checkpoint().expect("a snapshot");
    run(&store, STEPS);
    drop(store);
    let with = |extension: &str| {
        let mut paths = disk.paths().into_iter();
        paths.find(|path| path.extension() == Some(extension.as_ref())).expect("written")
    };
    Written { segment: with("wal"), snapshot: with("snap"), disk }
}

fn put_u32(bytes: &mut [u8], offset: usize, number: u32) {
    bytes[offset..offset + 4].copy_from_slice(&number.to_le_bytes());
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    let field = bytes[offset..].first_chunk().expect("the caller looked");
    u32::from_le_bytes(*field)
}

/// The end of the frame or section that begins at `start`, if it says one that can be.
fn end_of(bytes: &[u8], start: usize, header: usize, limit: usize) -> Option<usize> {
    let length = usize::try_from(u32_at(bytes.get(..limit)?, start + 4)).ok()?;
    let end = start.checked_add(aligned(header.checked_add(length)?))?;
    (end <= limit).then_some(end)
}

fn seal(bytes: &mut [u8], start: usize) {
    let crc = crc32fast::hash(&bytes[start..start + HEADER_BYTES - 4]);
    put_u32(bytes, start + HEADER_BYTES - 4, crc);
}

/// Whether the checksums of this input are to be made right: of one in eight they are not.
fn is_repaired(input: &[u8]) -> bool {
    !crc32fast::hash(input).is_multiple_of(8)
}

/// Makes header, salts, chain and checksums of a segment right.
fn repair_segment(bytes: &mut [u8]) {
    if bytes.len() < HEADER_BYTES {
        return;
    }
    seal(bytes, 0);
    let salt: [u8; 8] = *bytes[32..].first_chunk().expect("a header");
    let mut crc = u32_at(bytes, 12);
    let mut start = HEADER_BYTES;
    while start + FRAME_HEADER_BYTES <= bytes.len()
        && bytes[start..start + FRAME_HEADER_BYTES].iter().any(|byte| *byte != 0)
    {
        let Some(end) = end_of(bytes, start, FRAME_HEADER_BYTES, bytes.len()) else { return };
        bytes[start + 8..start + 16].copy_from_slice(&salt);
        put_u32(bytes, start + 16, crc);
        crc = crc32fast::hash(&bytes[start + 4..end]);
        put_u32(bytes, start, crc);
        start = end;
    }
}

/// Makes header, sections and footer of a snapshot right.
fn repair_snapshot(bytes: &mut [u8]) {
    let Some(limit) = bytes.len().checked_sub(HEADER_BYTES).filter(|at| *at >= HEADER_BYTES) else {
        return;
    };
    seal(bytes, 0);
    let salt: [u8; 8] = *bytes[24..].first_chunk().expect("a header");
    let (mut start, mut sections, mut parts) = (HEADER_BYTES, 0_u64, 0_u64);
    while start + SECTION_HEADER_BYTES <= limit {
        let Some(end) = end_of(bytes, start, SECTION_HEADER_BYTES, limit) else { return };
        bytes[start + 8..start + 16].copy_from_slice(&salt);
        bytes[start + 16..start + 24].copy_from_slice(&sections.to_le_bytes());
        parts += u64::from(u32_at(bytes, start + 24));
        let crc = crc32fast::hash(&bytes[start + 4..end]);
        put_u32(bytes, start, crc);
        sections += 1;
        start = end;
    }
    let whole = crc32fast::hash(&bytes[..limit]);
    bytes.copy_within(16..24, limit + 8);
    bytes[limit + 16..limit + 24].copy_from_slice(&sections.to_le_bytes());
    bytes[limit + 24..limit + 32].copy_from_slice(&parts.to_le_bytes());
    let offset = u64::try_from(limit).expect("addresses have 64 bits");
    bytes[limit + 32..limit + 40].copy_from_slice(&offset.to_le_bytes());
    bytes.copy_within(12..16, limit + 40);
    put_u32(bytes, limit + 44, whole);
    seal(bytes, limit);
}

/// Opens, and says what came of it; a store that opened must hold together and open again.
fn opened(disk: &SimulatedDisk) -> String {
    match open(disk, always()) {
        Err(error) => refused(&error),
        Ok((store, recovery)) => {
            let locked = store.lock();
            for workspace in locked.workspaces() {
                locked.graph(workspace).check().expect("the graph holds together");
            }
            let before = fingerprint(&locked);
            drop(locked);
            drop(store);
            let (store, _) = open(disk, always()).expect("it opened before");
            assert_eq!(fingerprint(&store.lock()), before, "it was another the first time");
            format!("opened, {} notes", recovery.notes.len())
        }
    }
}

fn refused(error: &OpenError) -> String {
    let said = error.to_string();
    let is_named = match error {
        OpenError::Corrupt { .. } => said.contains("byte"),
        OpenError::Missing { .. } | OpenError::UnsupportedVersion { .. } => true,
        _ => false,
    };
    assert!(is_named && said.contains(story::DIR), "{said}");
    said
}

#[test]
fn frames() {
    let written = written();
    let whole = written.disk.read(&written.segment).expect("there");
    let used = whole.iter().rposition(|byte| *byte != 0).expect("frames") + 1;
    let seed = whole[..aligned(used)].to_vec();
    let target = Target { name: "frame", seeds: vec![seed], words: &WORDS, inputs: 2_500 };
    written.disk.delete(&written.snapshot);
    fuzz(&target, |input| {
        let mut bytes = input.to_vec();
        if is_repaired(input) {
            repair_segment(&mut bytes);
        }
        bytes.resize(bytes.len().max(whole.len()), 0);
        let disk = written.disk.copy();
        disk.write(&written.segment, bytes);
        opened(&disk)
    });
}

/// The frame that would follow in a segment, with one record.
fn append(segment: &mut [u8], payload: &[u8], position: u64) {
    let (mut start, mut crc) = (HEADER_BYTES, u32_at(segment, 12));
    while segment[start..start + FRAME_HEADER_BYTES].iter().any(|byte| *byte != 0) {
        crc = u32_at(segment, start);
        start = end_of(segment, start, FRAME_HEADER_BYTES, segment.len()).expect("whole");
    }
    let mut frame = vec![0; FRAME_HEADER_BYTES];
    frame.extend_from_slice(payload);
    frame.resize(aligned(frame.len()), 0);
    put_u32(&mut frame, 4, u32::try_from(payload.len()).expect("short"));
    frame[8..16].copy_from_slice(&segment[32..40]);
    put_u32(&mut frame, 16, crc);
    put_u32(&mut frame, 20, 1);
    frame[24..32].copy_from_slice(&position.to_le_bytes());
    frame[32..40].copy_from_slice(&(position - 1).to_le_bytes());
    frame[40] = KIND_GROUP;
    let crc = crc32fast::hash(&frame[4..]);
    put_u32(&mut frame, 0, crc);
    segment[start..start + frame.len()].copy_from_slice(&frame);
}

/// The records of a segment, one by one.
fn records(segment: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let mut start = HEADER_BYTES;
    while segment[start..start + FRAME_HEADER_BYTES].iter().any(|byte| *byte != 0) {
        let mut offset = start + FRAME_HEADER_BYTES;
        for _ in 0..u32_at(segment, start + 20) {
            let (_, _, size) = decode_record(&segment[offset..]).expect("as written");
            records.push(segment[offset..offset + size].to_vec());
            offset += size;
        }
        start = end_of(segment, start, FRAME_HEADER_BYTES, segment.len()).expect("whole");
    }
    records
}

#[test]
fn records_that_nobody_decided() {
    let written = written();
    let whole = written.disk.read(&written.segment).expect("there");
    // Not those of the story's first half: the state that they fit has gone by.
    let seeds = records(&whole);
    let target = Target { name: "record", seeds, words: &WORDS, inputs: 4_000 };
    let states = expected(STEPS);
    fuzz(&target, |input| {
        if let Ok((workspace, record, size)) = decode_record(input) {
            let mut again = Vec::new();
            encode_record(&mut again, workspace, &record);
            let (_, same, length) = decode_record(&again).expect("it was written by us");
            assert_eq!((format!("{record:?}"), again.len()), (format!("{same:?}"), length));
            assert!(size <= input.len());
        }
        let mut bytes = whole.clone();
        if input.len() > 8 << 10 {
            return "too long".to_owned();
        }
        bytes.resize(bytes.len() + (10 << 10), 0);
        append(&mut bytes, input, STEPS + 1);
        let disk = written.disk.copy();
        disk.write(&written.segment, bytes);
        let told = opened(&disk);
        if !told.starts_with("opened") {
            assert!(
                told.contains(&format!("log position {}", STEPS + 1)) || told.contains("frame")
            );
            // Refused before it was applied: without it everything is as it was.
            let (store, _) = open(&written.disk.copy(), always()).expect("the story alone");
            check(&store, &states, "without the record");
        }
        told
    });
}

#[test]
fn snapshots() {
    let written = written();
    let seed = written.disk.read(&written.snapshot).expect("there");
    let target = Target { name: "snapshot", seeds: vec![seed], words: &WORDS, inputs: 3_000 };
    let states = expected(STEPS);
    fuzz(&target, |input| {
        let mut bytes = input.to_vec();
        if is_repaired(input) {
            repair_snapshot(&mut bytes);
        }
        let disk = written.disk.copy();
        disk.write(&written.snapshot, bytes);
        match open(&disk, always()) {
            Err(error) => refused(&error),
            Ok((store, recovery)) => {
                // The log is whole: whatever the snapshot says, this is the state.
                assert_eq!(check(&store, &states, "after a snapshot"), STEPS);
                format!("{:?}", recovery.notes)
            }
        }
    });
}

/// The parts alone, which a snapshot's checksums would hide.
#[test]
fn parts() {
    let written = written();
    let bytes = written.disk.read(Path::new(&written.snapshot)).expect("there");
    let end = end_of(&bytes, HEADER_BYTES, SECTION_HEADER_BYTES, bytes.len()).expect("a section");
    let mut seeds = Vec::new();
    let mut offset = HEADER_BYTES + SECTION_HEADER_BYTES;
    for _ in 0..u32_at(&bytes, HEADER_BYTES + 24) {
        let (_, _, size) = ipse_store::codec::decode_part(&bytes[offset..end]).expect("written");
        seeds.push(bytes[offset..offset + size].to_vec());
        offset += size;
    }
    let target = Target { name: "part", seeds, words: &WORDS, inputs: 20_000 };
    fuzz(&target, |input| match ipse_store::codec::decode_part(input) {
        Err(malformed) => malformed.problem.to_string(),
        Ok((workspace, part, size)) => {
            assert!(size <= input.len());
            let mut again = Vec::new();
            ipse_store::codec::encode_part(&mut again, workspace, &part);
            let (_, same, _) = ipse_store::codec::decode_part(&again).expect("written by us");
            assert_eq!(format!("{part:?}"), format!("{same:?}"));
            kind(&part)
        }
    });
}

fn kind(part: &SnapshotPart) -> String {
    let told = format!("{part:?}");
    told.chars().take_while(|letter| letter.is_alphanumeric()).collect()
}
