//! Opening a data directory: the newest snapshot that reads, and the log after it.
//!
//! Changes nothing before it is certain that the directory can be served from. Tells a torn
//! tail, which a crash leaves and nobody was promised, from corruption, which is refused;
//! the rule is in [`crate::format`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::codec::decode_record;
use crate::error::{IoFailed, OpenError};
use crate::format::{
    ALIGNMENT, FRAME_HEADER_BYTES, HEADER_BYTES, MANIFEST_NAME, segment_name, segment_number,
    snapshot_name, snapshot_position, torn_name,
};
use crate::frame::{self, Frame, FrameKind};
use crate::fs::Disk;
use crate::options::Options;
use crate::segment::{Manifest, Segment, SegmentHeader, Spare, read_file};
use crate::snapshot;
use crate::state::State;
use crate::wal::{Log, LogPlace};

/// What opening found and did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovery {
    /// How long it took.
    pub seconds: f64,
    /// The snapshot that it began from.
    pub snapshot_file_name: Option<String>,
    /// Log position of that snapshot; 0 if there was none.
    pub snapshot_log_position: u64,
    /// Records replayed after it.
    pub replayed_records: u64,
    /// Bytes of a torn tail that were set aside.
    pub torn_bytes: u64,
    /// Whether the process before closed the store; true if the directory is new.
    pub clean_shutdown: bool,
    /// Everything else that someone should know, a sentence each.
    pub notes: Vec<String>,
}

/// A directory that can be served from.
pub(crate) struct Recovered {
    pub(crate) state: State,
    pub(crate) log: Log,
    pub(crate) log_id: u64,
    pub(crate) recovery: Recovery,
    /// Number and first log position of each segment, oldest first.
    pub(crate) segments: Vec<(u64, u64)>,
    /// Log position of the snapshot that was loaded.
    pub(crate) snapshot: Option<u64>,
    /// Bytes of the frames after it.
    pub(crate) bytes_since_snapshot: u64,
}

/// Opens a directory that is locked.
pub(crate) fn recover(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    options: &Options,
    hash_seed: u64,
) -> Result<Recovered, OpenError> {
    let started = Instant::now();
    let found = Found::look(disk.as_ref(), dir)?;
    let segment_size = options.segment_size_bytes;
    let place = |log_id| LogPlace { disk: disk.clone(), dir: dir.to_owned(), log_id, segment_size };
    let mut recovered = if found.is_new()? {
        found.remove_temporaries()?;
        create(disk.as_ref(), dir, place, hash_seed)?
    } else {
        Opening::new(found, hash_seed)?.replay()?.repair(place)?
    };
    recovered.recovery.seconds = started.elapsed().as_secs_f64();
    Ok(recovered)
}

fn create(
    disk: &dyn Disk,
    dir: &Path,
    place: impl FnOnce(u64) -> LogPlace,
    hash_seed: u64,
) -> Result<Recovered, OpenError> {
    let log_id = disk.random().map_err(IoFailed::new("get a random number for", dir))?;
    let log = Log::create(place(log_id))?;
    Ok(Recovered {
        state: State::new(hash_seed),
        segments: vec![log.newest_segment()],
        log,
        log_id,
        recovery: Recovery { clean_shutdown: true, ..Recovery::default() },
        snapshot: None,
        bytes_since_snapshot: 0,
    })
}

/// What is in the directory, by name.
struct Found<'d> {
    disk: &'d dyn Disk,
    dir: &'d Path,
    segments: Vec<u64>,
    snapshots: Vec<u64>,
    temporaries: Vec<String>,
    manifest: Option<Manifest>,
}

impl<'d> Found<'d> {
    fn look(disk: &'d dyn Disk, dir: &'d Path) -> Result<Found<'d>, OpenError> {
        let mut names = disk.list(dir).map_err(IoFailed::new("list", dir))?;
        names.sort_unstable();
        let manifest = match names.iter().any(|name| name == MANIFEST_NAME) {
            true => Some(Manifest::read(disk, dir)?),
            false => None,
        };
        Ok(Found {
            disk,
            dir,
            segments: names.iter().filter_map(|name| segment_number(name)).collect(),
            snapshots: names.iter().filter_map(|name| snapshot_position(name)).collect(),
            temporaries: names.into_iter().filter(|name| name.ends_with(".tmp")).collect(),
            manifest,
        })
    }

    /// A directory without segments is new only if nothing says that there were some.
    fn is_new(&self) -> Result<bool, OpenError> {
        match (&self.segments[..], self.manifest, &self.snapshots[..]) {
            ([], None, []) => Ok(true),
            ([], _, _) => Err(self.missing("there are no log segments, and there were some")),
            _ => Ok(false),
        }
    }

    fn headers(&self) -> Result<Vec<SegmentHeader>, OpenError> {
        let headers: Result<Vec<_>, _> =
            self.segments.iter().map(|number| self.header(*number)).collect();
        let headers = headers?;
        for pair in headers.windows(2) {
            let number = pair[0].number + 1;
            if pair[1].number != number {
                return Err(self.missing(format!("{} is missing", segment_name(number))));
            }
            if pair[1].log_id != pair[0].log_id || pair[1].first_position < pair[0].first_position {
                let problem = format!("it does not follow {}", segment_name(pair[0].number));
                return Err(OpenError::corrupt(&self.segment_path(number), 0, problem));
            }
        }
        self.check_manifest(&headers[headers.len() - 1])?;
        Ok(headers)
    }

    fn header(&self, number: u64) -> Result<SegmentHeader, OpenError> {
        let path = self.segment_path(number);
        let file = self.disk.open(&path).map_err(IoFailed::new("open", &path))?;
        let length = file.length().map_err(IoFailed::new("read", &path))?;
        let mut bytes = [0; HEADER_BYTES];
        if length < HEADER_BYTES as u64 {
            return Err(OpenError::corrupt(&path, length, "the header is cut short"));
        }
        file.read_at(0, &mut bytes).map_err(IoFailed::new("read", &path))?;
        let header = SegmentHeader::parse(&bytes, &path)?;
        if header.number != number {
            let problem = format!("it is {} under another name", segment_name(header.number));
            return Err(OpenError::corrupt(&path, 16, problem));
        }
        Ok(header)
    }

    fn check_manifest(&self, newest: &SegmentHeader) -> Result<(), OpenError> {
        let Some(manifest) = self.manifest else {
            return Ok(());
        };
        if manifest.log_id != newest.log_id {
            let path = self.dir.join(MANIFEST_NAME);
            return Err(OpenError::corrupt(
                &path,
                0,
                "it belongs to another log than the segments",
            ));
        }
        if manifest.newest_segment > newest.number {
            let name = segment_name(manifest.newest_segment);
            return Err(self.missing(format!("{name} is missing, which {MANIFEST_NAME} names")));
        }
        Ok(())
    }

    fn segment_path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_name(number))
    }

    fn missing(&self, what: impl Into<String>) -> OpenError {
        OpenError::Missing { what: what.into(), dir: self.dir.to_owned() }
    }

    fn remove_temporaries(&self) -> Result<(), OpenError> {
        for name in &self.temporaries {
            let path = self.dir.join(name);
            self.disk.remove(&path).map_err(IoFailed::new("remove", &path))?;
        }
        Ok(())
    }
}

/// A directory that is being read. Nothing in it has been changed.
struct Opening<'d> {
    found: Found<'d>,
    headers: Vec<SegmentHeader>,
    state: State,
    snapshot: Option<u64>,
    broken_snapshots: Vec<u64>,
    recovery: Recovery,
    bytes_since_snapshot: u64,
}

/// The newest segment after replay.
struct Tail<'d> {
    opening: Opening<'d>,
    header: SegmentHeader,
    bytes: Vec<u8>,
    /// Where the frames end, and what is broken after them.
    walk: Walk,
}

/// How far the frames of a segment go.
#[derive(Clone, Copy, Debug)]
struct Walk {
    end: usize,
    position: u64,
    crc: u32,
    /// Length of what follows and is neither frame nor zeros.
    damage: usize,
    clean: bool,
}

impl<'d> Opening<'d> {
    fn new(found: Found<'d>, hash_seed: u64) -> Result<Opening<'d>, OpenError> {
        let headers = found.headers()?;
        let mut opening = Opening {
            headers,
            state: State::new(hash_seed),
            snapshot: None,
            broken_snapshots: Vec::new(),
            recovery: Recovery::default(),
            bytes_since_snapshot: 0,
            found,
        };
        opening.load_snapshot(hash_seed)?;
        Ok(opening)
    }

    /// The newest that can be read, unless the log no longer reaches back to it.
    fn load_snapshot(&mut self, hash_seed: u64) -> Result<(), OpenError> {
        let mut newest_problem = None;
        for position in self.found.snapshots.clone().into_iter().rev() {
            match self.try_snapshot(position, hash_seed) {
                Ok(state) => {
                    self.state = state;
                    self.snapshot = Some(position);
                    self.recovery.snapshot_file_name = Some(snapshot_name(position));
                    self.recovery.snapshot_log_position = position;
                    break;
                }
                Err(OpenError::Corrupt { file, offset, problem }) => {
                    self.recovery.notes.push(format!(
                        "{} cannot be read and is kept aside as .broken, an older state and more \
                         of the log were used: at byte {offset}, {problem}",
                        file.display()
                    ));
                    self.broken_snapshots.push(position);
                    newest_problem.get_or_insert(OpenError::Corrupt { file, offset, problem });
                }
                Err(error) => return Err(error),
            }
        }
        let first = self.headers[0].first_position;
        if first <= self.recovery.snapshot_log_position.saturating_add(1) {
            return Ok(());
        }
        Err(newest_problem.unwrap_or_else(|| {
            self.found.missing(format!(
                "the log begins at position {first}, and no snapshot holds what was before"
            ))
        }))
    }

    fn try_snapshot(&self, position: u64, hash_seed: u64) -> Result<State, OpenError> {
        let path = self.found.dir.join(snapshot_name(position));
        let (state, log_id) = snapshot::load(self.found.disk, &path, hash_seed)?;
        if state.position().0 != position {
            return Err(OpenError::corrupt(&path, 16, "its position is not that of its name"));
        }
        if log_id != self.headers[0].log_id {
            return Err(OpenError::corrupt(&path, 32, "it belongs to another log"));
        }
        Ok(state)
    }

    /// Applies the log after the snapshot.
    fn replay(mut self) -> Result<Tail<'d>, OpenError> {
        let after = self.recovery.snapshot_log_position.saturating_add(1);
        let start = self.headers.partition_point(|header| header.first_position <= after);
        let mut index = start.saturating_sub(1);
        loop {
            let header = self.headers[index];
            let path = self.found.segment_path(header.number);
            let bytes = read_file(self.found.disk, &path)?;
            let walk = self.walk(&header, &bytes, &path)?;
            index += 1;
            let Some(next) = self.headers.get(index).copied() else {
                let tail = Tail { opening: self, header, bytes, walk };
                return tail.checked(&path);
            };
            self.check_sealed(&walk, &next, &path)?;
        }
    }

    /// A segment with a successor was synced whole before the successor was named.
    fn check_sealed(
        &mut self,
        walk: &Walk,
        next: &SegmentHeader,
        path: &Path,
    ) -> Result<(), OpenError> {
        if walk.position != next.first_position || walk.crc != next.previous_crc {
            let problem = format!(
                "the frame with log position {} is broken, and {} begins at {}",
                walk.position,
                segment_name(next.number),
                next.first_position
            );
            return Err(OpenError::corrupt(path, walk.end as u64, problem));
        }
        if walk.damage > 0 {
            self.recovery.notes.push(format!(
                "{} holds {} unexpected bytes after its last frame, at byte {}; no record is missing",
                path.display(),
                walk.damage,
                walk.end
            ));
        }
        Ok(())
    }

    /// Replays frames until they end.
    fn walk(
        &mut self,
        header: &SegmentHeader,
        bytes: &[u8],
        path: &Path,
    ) -> Result<Walk, OpenError> {
        let mut walk = Walk {
            end: HEADER_BYTES,
            position: header.first_position,
            crc: header.previous_crc,
            damage: 0,
            clean: false,
        };
        while let Some(frame) = frame::parse(&bytes[walk.end..], header.salt) {
            if !follows(&frame, &walk) {
                break;
            }
            self.replay_frame(&frame, walk.end, path)?;
            walk.end += frame.size();
            walk.position = frame.end_position();
            walk.crc = frame.crc;
            walk.clean = frame.header.kind == FrameKind::CleanShutdown;
        }
        walk.damage = used(&bytes[walk.end..]);
        Ok(walk)
    }

    fn replay_frame(
        &mut self,
        frame: &Frame<'_>,
        start: usize,
        path: &Path,
    ) -> Result<(), OpenError> {
        let place = |offset: usize| (start + FRAME_HEADER_BYTES + offset) as u64;
        check_frame(frame).map_err(|problem| OpenError::corrupt(path, start as u64, problem))?;
        let covered = self.recovery.snapshot_log_position;
        if frame.end_position() <= covered.saturating_add(1) {
            return Ok(());
        }
        self.bytes_since_snapshot += frame.size() as u64;
        let mut offset = 0;
        for position in frame.header.first_position..frame.end_position() {
            let (workspace, record, size) =
                decode_record(&frame.payload[offset..]).map_err(|error| {
                    let problem = format!("record at log position {position}: {error}");
                    OpenError::corrupt(path, place(offset + error.offset), problem)
                })?;
            if position > covered {
                self.state.replay(workspace, &record).map_err(|problem| {
                    let problem = format!("record at log position {position}: {problem}");
                    OpenError::corrupt(path, place(offset), problem)
                })?;
                self.recovery.replayed_records += 1;
            }
            offset += size;
        }
        if offset == frame.payload.len() {
            return Ok(());
        }
        Err(OpenError::corrupt(path, place(offset), "the frame holds more than its records"))
    }
}

impl Tail<'_> {
    /// Refuses damage to anything that was synced.
    fn checked(self, path: &Path) -> Result<Self, OpenError> {
        let walk = &self.walk;
        let covered = self.opening.recovery.snapshot_log_position;
        let newest_start = self.header.first_position - 1;
        let synced = if walk.damage == 0 { 0 } else { self.synced_in_later_frames() };
        let synced = synced.max(covered).max(newest_start);
        if walk.position > synced {
            return Ok(self);
        }
        let problem = format!(
            "the log ends or breaks before position {}, and it was on disk up to {synced}",
            walk.position
        );
        Err(OpenError::corrupt(path, walk.end as u64, problem))
    }

    /// The highest position that a frame after the damage says was synced.
    fn synced_in_later_frames(&self) -> u64 {
        (self.walk.end..self.bytes.len())
            .step_by(ALIGNMENT)
            .filter_map(|offset| frame::parse(&self.bytes[offset..], self.header.salt))
            .map(|frame| frame.header.synced_through)
            .max()
            .unwrap_or(0)
    }

    /// Makes the directory ready for appending.
    fn repair(mut self, place: impl FnOnce(u64) -> LogPlace) -> Result<Recovered, OpenError> {
        let place = place(self.header.log_id);
        self.opening.found.remove_temporaries()?;
        self.set_aside()?;
        let segment = if self.opening.recovery.clean_shutdown {
            self.reopen()?
        } else {
            self.rewrite(&place)?
        };
        let Tail { mut opening, walk, .. } = self;
        write_manifest(&opening.found, &segment.header, &mut opening.recovery)?;
        let written = walk.position - 1;
        Ok(Recovered {
            state: opening.state,
            log_id: place.log_id,
            log: Log::resume(place, segment, walk.crc, written, walk.clean),
            recovery: opening.recovery,
            segments: opening
                .headers
                .iter()
                .map(|header| (header.number, header.first_position))
                .collect(),
            snapshot: opening.snapshot,
            bytes_since_snapshot: opening.bytes_since_snapshot,
        })
    }

    /// Keeps what is broken under other names, and says so.
    fn set_aside(&mut self) -> Result<(), OpenError> {
        let Tail { opening, header, bytes, walk } = self;
        set_aside_snapshots(&opening.found, &opening.broken_snapshots)?;
        let (found, recovery) = (&opening.found, &mut opening.recovery);
        if walk.damage > 0 {
            recovery.notes.push(keep_torn(found, header.number, walk, bytes)?);
            recovery.torn_bytes = walk.damage as u64;
        }
        let whole = bytes.len() as u64 == header.size;
        if !whole {
            recovery.notes.push(format!(
                "{} was made with {} bytes and has {}; nothing that was known to be on disk is missing",
                segment_name(header.number),
                header.size,
                bytes.len()
            ));
        }
        recovery.clean_shutdown = walk.clean && walk.damage == 0 && whole;
        Ok(())
    }

    fn reopen(&self) -> Result<Segment, IoFailed> {
        let found = &self.opening.found;
        let path = found.segment_path(self.header.number);
        let file = found.disk.open(&path).map_err(IoFailed::new("open", &path))?;
        let end = self.walk.end as u64;
        Ok(Segment { header: self.header, path, file, end })
    }

    /// What the page cache shows may never have reached the disk, and a sync that failed
    /// before may have marked it clean: only a new file is sure to be written.
    fn rewrite(&self, place: &LogPlace) -> Result<Segment, IoFailed> {
        let Found { disk, dir, .. } = self.opening.found;
        let frames = &self.bytes[HEADER_BYTES..self.walk.end];
        let size = place.segment_bytes(frames.len() as u64);
        let header = SegmentHeader { size, ..self.header };
        Spare::create(disk, dir)?.into_segment(disk, dir, header, frames)
    }
}

/// Whether a frame is the one that comes next.
fn follows(frame: &Frame<'_>, walk: &Walk) -> bool {
    frame.header.first_position == walk.position && frame.header.previous_crc == walk.crc
}

/// What a frame with a right checksum may not say.
fn check_frame(frame: &Frame<'_>) -> Result<(), String> {
    let header = &frame.header;
    if header.synced_through >= header.first_position {
        return Err("the frame says that it was synced before it was written".to_owned());
    }
    match header.kind {
        FrameKind::Group if header.record_count == 0 => Err("the group is empty".to_owned()),
        FrameKind::CleanShutdown if header.record_count != 0 || !frame.payload.is_empty() => {
            Err("the mark of a clean shutdown holds records".to_owned())
        }
        _ => Ok(()),
    }
}

/// Length without the zeros at the end.
fn used(bytes: &[u8]) -> usize {
    const ZEROS: [u8; 4096] = [0; 4096];
    let pieces = bytes.chunks(ZEROS.len());
    let empty = pieces.rev().take_while(|piece| **piece == ZEROS[..piece.len()]);
    let left = bytes.len() - empty.map(<[u8]>::len).sum::<usize>();
    bytes[..left].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

fn set_aside_snapshots(found: &Found<'_>, broken: &[u64]) -> Result<(), IoFailed> {
    for position in broken {
        let path = found.dir.join(snapshot_name(*position));
        let aside = found.dir.join(format!("{}.broken", snapshot_name(*position)));
        found.disk.rename(&path, &aside).map_err(IoFailed::new("rename", &path))?;
    }
    Ok(())
}

/// Copies broken bytes aside and says so. The directory is synced when the segment that
/// takes their place is named.
fn keep_torn(
    found: &Found<'_>,
    number: u64,
    walk: &Walk,
    bytes: &[u8],
) -> Result<String, IoFailed> {
    let name = torn_name(number, walk.end as u64);
    let path = found.dir.join(&name);
    let file = found.disk.create(&path).map_err(IoFailed::new("create", &path))?;
    let torn = &bytes[walk.end..walk.end + walk.damage];
    file.write_at(0, torn).map_err(IoFailed::new("write", &path))?;
    file.sync().map_err(IoFailed::new("sync", &path))?;
    Ok(format!(
        "{} was torn at byte {}: {} bytes that were never acknowledged are kept in {name}",
        segment_name(number),
        walk.end,
        walk.damage
    ))
}

/// A crash may come between the newest segment and the manifest that names it.
fn write_manifest(
    found: &Found<'_>,
    newest: &SegmentHeader,
    recovery: &mut Recovery,
) -> Result<(), IoFailed> {
    let manifest = Manifest { log_id: newest.log_id, newest_segment: newest.number };
    if found.manifest == Some(manifest) {
        return Ok(());
    }
    if found.manifest.is_none() && newest.number > 1 {
        recovery.notes.push(format!("{MANIFEST_NAME} was missing and was written anew"));
    }
    manifest.write(found.disk, found.dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_finds_the_last_byte() {
        for length in [0, 1, 4095, 4096, 4097, 10_000] {
            let mut bytes = vec![0; length];
            assert_eq!(used(&bytes), 0);
            for place in [0, length / 2, length.saturating_sub(1)] {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = 1;
                    assert_eq!(used(&bytes), place + 1);
                    bytes[place] = 0;
                }
            }
        }
    }
}
