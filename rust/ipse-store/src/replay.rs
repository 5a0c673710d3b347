//! Reading a data directory: the newest snapshot that can be read, and every record after
//! it, each checked before it is applied.
//!
//! Changes nothing on the disk. Tells a torn tail, which a crash leaves and nobody was
//! promised, from corruption, which is refused; the rule is in [`crate::format`].

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use ipse_core::{Graph, Record};

use crate::codec::decode_record;
use crate::directory::Found;
use crate::error::{IoFailed, OpenError};
use crate::format::{FRAME_HEADER_BYTES, snapshot_name};
use crate::frame::{Frame, FrameKind};
use crate::planted::{Fault, is_planted};
use crate::progress::RecoveryProgress;
use crate::reading::Frames;
use crate::recovery::Recovery;
use crate::segment::{SegmentHeader, read_file};
use crate::snapshot;
use crate::state::State;

/// A directory that is being read. Nothing in it has been changed.
pub(crate) struct Opening<'d> {
    pub(crate) found: Found<'d>,
    pub(crate) headers: Vec<SegmentHeader>,
    pub(crate) state: State,
    pub(crate) snapshot: Option<u64>,
    pub(crate) broken_snapshots: Vec<u64>,
    pub(crate) recovery: Recovery,
    pub(crate) bytes_since_snapshot: u64,
    progress: &'d RecoveryProgress,
}

/// The newest segment after replay.
pub(crate) struct Tail<'d> {
    pub(crate) opening: Opening<'d>,
    pub(crate) header: SegmentHeader,
    pub(crate) bytes: Vec<u8>,
    /// Where the frames end, and what is broken after them.
    pub(crate) walk: Walk,
}

/// How far the frames of a segment go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    pub(crate) end: usize,
    pub(crate) position: u64,
    pub(crate) crc: u32,
    /// Length of what follows and is neither frame nor zeros.
    pub(crate) damage: usize,
    pub(crate) clean: bool,
}

impl<'d> Opening<'d> {
    pub(crate) fn new(
        found: Found<'d>,
        hash_seed: u64,
        progress: &'d RecoveryProgress,
    ) -> Result<Opening<'d>, OpenError> {
        let headers = found.headers()?;
        let mut opening = Opening {
            headers,
            state: State::new(hash_seed),
            snapshot: None,
            broken_snapshots: Vec::new(),
            recovery: Recovery::default(),
            bytes_since_snapshot: 0,
            found,
            progress,
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
        let disk = self.found.disk;
        let size = snapshot::length(disk, &path)?;
        self.progress.expect(size.saturating_add(self.log_bytes(position)));
        snapshot::load_at(disk, &path, position, self.headers[0].log_id, hash_seed, self.progress)
    }

    /// The first segment that holds what is after a position.
    fn first_after(&self, position: u64) -> usize {
        let after = position.saturating_add(1);
        let start = self.headers.partition_point(|header| header.first_position <= after);
        start.saturating_sub(1)
    }

    /// Bytes of the segments that hold what is after a position.
    fn log_bytes(&self, position: u64) -> u64 {
        let segments = &self.headers[self.first_after(position)..];
        segments.iter().fold(0, |sum, header| sum.saturating_add(header.size))
    }

    /// Applies the log after the snapshot. One thread reads each segment while the one before it
    /// is replayed.
    pub(crate) fn replay(self) -> Result<Tail<'d>, OpenError> {
        let first = self.first_after(self.recovery.snapshot_log_position);
        self.progress.expect(self.log_bytes(self.recovery.snapshot_log_position));
        let numbers = self.headers[first..].iter().map(|header| header.number);
        let paths: Vec<_> = numbers.map(|number| self.found.segment_path(number)).collect();
        let (disk, path) = (self.found.disk, paths[0].clone());
        let (sender, segments) = sync_channel(0);
        thread::scope(|scope| {
            let read = move || {
                let mut read = paths.into_iter().map(|path| (read_file(disk, &path), path));
                // Nobody receives any more once one could not be replayed.
                read.all(|segment| sender.send(segment).is_ok())
            };
            thread::Builder::new()
                .spawn_scoped(scope, read)
                .map_err(IoFailed::new("start a thread to read", &path))?;
            self.replay_all(first, segments)
        })
    }

    /// Applies the segments from an index on. Takes their receiver, so that who reads them ends
    /// with this.
    fn replay_all(
        mut self,
        mut index: usize,
        segments: Receiver<ReadSegment>,
    ) -> Result<Tail<'d>, OpenError> {
        loop {
            let header = self.headers[index];
            let (bytes, path) = segments.recv().expect("a segment is sent for each header");
            let bytes = bytes?;
            let mut frames = Frames::new(&header, &bytes);
            let clean = self.replay_frames(&mut frames, &path)?;
            let damage = frames.damage();
            self.progress.add(header.size.saturating_sub(frames.end as u64));
            index += 1;
            let Some(next) = self.headers.get(index) else {
                if !is_planted(Fault::ForgiveAll) {
                    frames.check_synced(&path, self.recovery.snapshot_log_position, damage)?;
                }
                let Frames { end, position, crc, .. } = frames;
                self.state.count_all_memory();
                let walk = Walk { end, position, crc, damage, clean };
                return Ok(Tail { opening: self, header, bytes, walk });
            };
            frames.check_sealed(&path, next)?;
            if damage > 0 {
                self.recovery.notes.push(unexpected(&path, damage, frames.end));
            }
        }
    }

    /// Replays frames until they end; says whether the last marks a clean shutdown. One thread
    /// decodes while this one applies.
    fn replay_frames(&mut self, frames: &mut Frames<'_>, path: &Path) -> Result<bool, OpenError> {
        let (sender, batches) = sync_channel(BATCHES_AHEAD);
        let (spent, returned) = channel();
        let (covered, progress) = (self.recovery.snapshot_log_position, self.progress);
        let decoder = Decoder { path, covered, progress, sender, returned, batch: Vec::new() };
        let (applied, decoded) = thread::scope(|scope| {
            let decoder = thread::Builder::new()
                .spawn_scoped(scope, || decoder.decode(frames))
                .map_err(IoFailed::new("start a thread to read", path))?;
            let applied = self.apply_all(batches, spent, path);
            let decoded = decoder.join().unwrap_or_else(|panic| resume_unwind(panic));
            // What cannot be applied lies before what cannot be decoded.
            Ok::<_, OpenError>((applied?, decoded?))
        })?;
        self.recovery.replayed_records += applied;
        self.bytes_since_snapshot += decoded.bytes;
        Ok(decoded.clean)
    }

    /// Applies records as long as there come any; says how many.
    fn apply_all<'b>(
        &mut self,
        batches: Receiver<Vec<PlacedRecord<'b>>>,
        spent: Sender<Vec<PlacedRecord<'b>>>,
        path: &Path,
    ) -> Result<u64, OpenError> {
        let mut applied = 0;
        for batch in batches {
            for placed in batch.chunks(Graph::READ_AHEAD_EVENTS) {
                self.apply(placed, path)?;
            }
            applied += batch.len() as u64;
            // The thread that made them is the less busy one, and the quicker to free them.
            let _ = spent.send(batch);
        }
        Ok(applied)
    }

    fn apply(&mut self, placed: &[PlacedRecord<'_>], path: &Path) -> Result<(), OpenError> {
        let workspace = placed[0].workspace;
        let same = placed.iter().filter(|placed| placed.workspace == workspace);
        self.state.read_ahead(workspace, same.map(|placed| &placed.record));
        for PlacedRecord { workspace, record, position, offset } in placed {
            self.state.replay(*workspace, record).map_err(|problem| {
                let problem = format!("record at log position {position}: {problem}");
                OpenError::corrupt(path, *offset, problem)
            })?;
        }
        Ok(())
    }
}

/// The bytes of a segment and where it is.
type ReadSegment = (Result<Vec<u8>, IoFailed>, PathBuf);

/// Records that are handed on together: waking the other thread costs as much as some of them.
const BATCH_RECORDS: usize = 4_096;
/// Batches that wait to be applied.
const BATCHES_AHEAD: usize = 2;

/// A record, whose it is, and where it lies in the log and in its file.
struct PlacedRecord<'b> {
    workspace: u32,
    record: Record<'b>,
    position: u64,
    offset: u64,
}

/// What the frames of a segment were.
#[derive(Default)]
struct Decoded {
    /// Bytes of those after the snapshot.
    bytes: u64,
    /// Whether the last marks a clean shutdown.
    clean: bool,
}

/// Reads frames and hands on their records after log position `covered`.
struct Decoder<'d, 'b> {
    path: &'d Path,
    covered: u64,
    progress: &'d RecoveryProgress,
    sender: SyncSender<Vec<PlacedRecord<'b>>>,
    /// Batches that were applied.
    returned: Receiver<Vec<PlacedRecord<'b>>>,
    /// What is to be handed on.
    batch: Vec<PlacedRecord<'b>>,
}

impl<'b> Decoder<'_, 'b> {
    fn decode(mut self, frames: &mut Frames<'b>) -> Result<Decoded, OpenError> {
        let decoded = self.frames(frames);
        // What lies before a frame that cannot be decoded, too.
        self.hand_on();
        decoded
    }

    fn frames(&mut self, frames: &mut Frames<'b>) -> Result<Decoded, OpenError> {
        let mut decoded = Decoded::default();
        self.progress.add(frames.end as u64);
        while let Some((start, frame)) = frames.next(self.path)? {
            if frame.end_position() > self.covered.saturating_add(1) {
                decoded.bytes += frame.size() as u64;
                self.frame(&frame, start)?;
            }
            self.progress.add(frame.size() as u64);
            decoded.clean = frame.header.kind == FrameKind::CleanShutdown;
        }
        Ok(decoded)
    }

    fn frame(&mut self, frame: &Frame<'b>, start: usize) -> Result<(), OpenError> {
        let place = |offset: usize| (start + FRAME_HEADER_BYTES + offset) as u64;
        let mut offset = 0;
        for position in frame.header.first_position..frame.end_position() {
            let (workspace, record, size) =
                decode_record(&frame.payload[offset..]).map_err(|error| {
                    let problem = format!("record at log position {position}: {error}");
                    OpenError::corrupt(self.path, place(offset + error.offset), problem)
                })?;
            if position > self.covered {
                let offset = place(offset);
                self.batch.push(PlacedRecord { workspace, record, position, offset });
            }
            if self.batch.len() == BATCH_RECORDS {
                self.hand_on();
            }
            offset += size;
        }
        if frame.is_read_by(offset) {
            return Ok(());
        }
        Err(OpenError::corrupt(self.path, place(offset), "the frame holds more than its records"))
    }

    /// Nobody receives when a record could not be applied: that is told, and what comes after it
    /// is not.
    fn hand_on(&mut self) {
        let mut next = self.returned.try_recv().unwrap_or_default();
        next.clear();
        let _ = self.sender.send(std::mem::replace(&mut self.batch, next));
    }
}

fn unexpected(path: &Path, damage: usize, offset: usize) -> String {
    format!(
        "{} holds {damage} unexpected bytes after its last frame, at byte {offset}; no record is \
         missing",
        path.display()
    )
}
