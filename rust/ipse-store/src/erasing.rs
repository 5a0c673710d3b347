//! Making the files follow an erasure: sealed segments are rewritten, older snapshots and
//! set-aside files deleted.
//!
//! ```text
//! snapshot -> segment ended -> records redacted, newest segment first -> erasures stripped of
//! their hashes -> older files deleted -> noted in ERASURES -> completed, as a record -> snapshot
//! ```
//!
//! Every step can be repeated: until the record says that it is completed, the erasure is
//! pending state, and the next checkpoint, or the next process, begins again. At no time is
//! there a state in which the directory cannot be recovered: a segment is replaced by rename,
//! and a record that is redacted says the same of the same rows. Changes no segment that frames
//! are written to.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;

use ipse_core::change::ErasureCompleted;
use ipse_core::erasure::Redactor;
use ipse_core::graph::PendingErasure;
use ipse_core::{Record, SequenceNumber};

use crate::codec::{decode_record, encode_record};
use crate::erasures::{Noted, Register};
use crate::error::{CheckpointError, IoFailed, OpenError};
use crate::format::{
    BACKUPS_NAME, ERASURES_NAME, ERASURES_TEMPORARY_NAME, FRAME_HEADER_BYTES, HEADER_BYTES,
    REWRITE_NAME, segment_name, snapshot_position,
};
use crate::frame::{self, Frame, FrameHeader, FrameKind};
use crate::fs::Disk;
use crate::segment::{SegmentHeader, read_file};
use crate::snapshot::FreeSpace;
use crate::state::{State, WorkspaceIndex};

/// Files are written in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// The pending erasures of all workspaces at one moment.
pub(crate) struct Erasing {
    workspaces: Vec<Workspace>,
}

struct Workspace {
    index: WorkspaceIndex,
    redactor: Redactor,
    /// Whether identifiers of it may have expired: their records are read first.
    expires: bool,
    pending: Vec<Record<'static>>,
}

/// Frames of a segment as they are to be.
struct Rewritten {
    frames: Vec<u8>,
    redacted: u64,
}

impl Erasing {
    /// What is pending, and what was completed, oldest first, where files are older than that.
    pub(crate) fn of(state: &State, completed: &[Noted]) -> Erasing {
        let workspaces = state.indexes().filter_map(|index| {
            let graph = state.graph(index);
            let completed = completed.iter().filter(|noted| noted.workspace == index);
            let completed: Vec<PendingErasure> = completed.map(Noted::to_search).collect();
            let pending: Vec<_> = graph.pending_records().collect();
            (!pending.is_empty() || !completed.is_empty()).then(|| Workspace {
                index,
                redactor: graph.redactor_with(&completed),
                expires: graph.rules().has_expiry(),
                pending,
            })
        });
        Erasing { workspaces: workspaces.collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.workspaces.is_empty()
    }

    /// What is pending, in order of workspaces and records.
    pub(crate) fn erasures(&self) -> impl Iterator<Item = (WorkspaceIndex, SequenceNumber)> {
        self.workspaces.iter().flat_map(|workspace| {
            workspace.pending.iter().map(|record| (workspace.index, record.sequence))
        })
    }

    /// Rewrites each segment that names anyone, history or not, but the newest, which frames
    /// are written to. Gives the headers of all these as they are then.
    pub(crate) fn rewrite(
        &self,
        room: &FreeSpace<'_>,
        segments: &[SegmentHeader],
    ) -> Result<(Vec<SegmentHeader>, ErasureCompleted), CheckpointError> {
        let (mut headers, mut done) = (Vec::new(), ErasureCompleted::default());
        let sealed = segments.windows(2).map(|pair| (pair[0].number, pair[1].first_position));
        let mut again = Vec::new();
        let learned = RefCell::new(self.learners());
        // Newest first: see [`Redactor::redact`].
        for (number, end) in sealed.rev() {
            if self.workspaces.iter().any(|workspace| workspace.expires) {
                room.rewrite(number, end, &|workspace, record| {
                    learned.borrow_mut().get_mut(&workspace)?.learn(record);
                    None
                })?;
            }
            let has_hashes = Cell::new(false);
            let (header, redacted) = room.rewrite(number, end, &|workspace, record| {
                let learned = learned.borrow();
                let redactor = learned.get(&workspace)?;
                has_hashes.set(has_hashes.get() || redactor.strip(record).is_some());
                redactor.redact(record)
            })?;
            done.segments += u32::from(redacted > 0);
            done.records += redacted;
            if redacted > 0 || has_hashes.get() {
                again.push((headers.len(), number, end));
            }
            headers.push(header);
        }
        // Those without hashes too, if they were rewritten: it reads them back before any older
        // file is deleted.
        for (at, number, end) in again.into_iter().rev() {
            (headers[at], _) = room.rewrite(number, end, &|workspace, record| {
                self.redactor(workspace)?.strip(record)
            })?;
        }
        Ok((headers, done))
    }

    /// Notes in the register what a restored backup must be rid of again.
    pub(crate) fn note(&self, room: &FreeSpace<'_>, log_id: u64) -> Result<(), CheckpointError> {
        let unreadable = CheckpointError::Unreadable;
        let FreeSpace { disk, dir, .. } = *room;
        let mut register = Register::read(disk, dir).map_err(unreadable)?;
        register.add(self.workspaces.iter().flat_map(|workspace| workspace.noted(log_id)));
        let backups = lines(disk, &dir.join(BACKUPS_NAME)).map_err(unreadable)?;
        let times = backups.iter().filter_map(|line| line.split(' ').next());
        register.forget_needless_hashes(times.min());
        let text = register.text();
        room.replace(ERASURES_TEMPORARY_NAME, ERASURES_NAME, text.as_bytes())
    }

    /// The redactors, to learn from what expired as the files are read.
    fn learners(&self) -> HashMap<u32, Redactor> {
        let redactors = self.workspaces.iter();
        redactors.map(|workspace| (workspace.index.0, workspace.redactor.clone())).collect()
    }

    fn redactor(&self, workspace: u32) -> Option<&Redactor> {
        let found = self.workspaces.iter().find(|known| known.index.0 == workspace);
        found.map(|workspace| &workspace.redactor)
    }
}

impl Workspace {
    fn noted(&self, log_id: u64) -> impl Iterator<Item = Noted> {
        self.pending.iter().filter_map(move |record| Noted::of(log_id, self.index, record))
    }
}

impl FreeSpace<'_> {
    /// Deletes every snapshot but the one at `position`, and all that was set aside; says how
    /// many files that was.
    pub(crate) fn remove_older(&self, position: u64) -> Result<u32, IoFailed> {
        let names = self.disk.list(self.dir).map_err(IoFailed::new("list", self.dir))?;
        let is_older = |name: &String| {
            snapshot_position(name).is_some_and(|at| at != position)
                || name.ends_with(".torn")
                || name.ends_with(".broken")
        };
        let mut removed = 0;
        for name in names.iter().filter(|name| is_older(name)) {
            let path = self.dir.join(name);
            self.disk.remove_large(&path).map_err(IoFailed::new("remove", &path))?;
            removed += 1;
        }
        if removed > 0 {
            self.disk.sync_dir(self.dir).map_err(IoFailed::new("sync", self.dir))?;
        }
        Ok(removed)
    }

    /// Rewrites a sealed segment, whose records end before position `end`, if `redact` makes
    /// anything of one of them; gives its header as it is then, and says of how many.
    fn rewrite(
        &self,
        number: u64,
        end: u64,
        redact: &dyn Fn(u32, &Record<'_>) -> Option<Record<'static>>,
    ) -> Result<(SegmentHeader, u64), CheckpointError> {
        let path = self.dir.join(segment_name(number));
        let bytes = read_file(self.disk, &path)?;
        let mut header = SegmentHeader::of(&bytes, &path).map_err(CheckpointError::Unreadable)?;
        let rewritten = rewrite_frames(&header, &bytes, end, &path, redact)
            .map_err(CheckpointError::Unreadable)?;
        if rewritten.redacted > 0 {
            header.size = (HEADER_BYTES + rewritten.frames.len()) as u64;
            let mut file = header.to_bytes().to_vec();
            file.extend_from_slice(&rewritten.frames);
            self.replace(REWRITE_NAME, &segment_name(number), &file)?;
        }
        Ok((header, rewritten.redacted))
    }

    /// Gives a file other contents, all at once, if the space for both is not the log's.
    pub(crate) fn replace(
        &self,
        temporary: &str,
        name: &str,
        bytes: &[u8],
    ) -> Result<(), CheckpointError> {
        self.check(bytes.len() as u64)?;
        let path = self.dir.join(temporary);
        let written = self.write(&path, bytes);
        if written.is_err() {
            // What is left of it takes room; the next start removes it too.
            let _ = self.disk.remove(&path);
        }
        written?;
        self.disk.rename(&path, &self.dir.join(name)).map_err(IoFailed::new("rename", &path))?;
        self.disk.sync_dir(self.dir).map_err(IoFailed::new("sync", self.dir))?;
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), IoFailed> {
        let file = self.disk.create(path).map_err(IoFailed::new("create", path))?;
        for (index, piece) in bytes.chunks(PIECE_BYTES).enumerate() {
            let offset = (index * PIECE_BYTES) as u64;
            file.write_at(offset, piece).map_err(IoFailed::new("write", path))?;
        }
        file.sync().map_err(IoFailed::new("sync", path))
    }
}

/// The lines of a text file; none if there is no such file.
pub(crate) fn lines(disk: &dyn Disk, path: &Path) -> Result<Vec<String>, OpenError> {
    let dir = path.parent().unwrap_or(path);
    let names = disk.list(dir).map_err(IoFailed::new("list", dir))?;
    if !names.iter().any(|name| path.ends_with(name)) {
        return Ok(Vec::new());
    }
    let bytes = read_file(disk, path)?;
    let text = str::from_utf8(&bytes).map_err(|error| {
        OpenError::corrupt(path, error.valid_up_to() as u64, "it is not UTF-8 text")
    })?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The frames of a segment with redacted records, and the one that ends them.
fn rewrite_frames(
    header: &SegmentHeader,
    bytes: &[u8],
    end: u64,
    path: &Path,
    redact: &dyn Fn(u32, &Record<'_>) -> Option<Record<'static>>,
) -> Result<Rewritten, OpenError> {
    let mut rewritten = Rewritten { frames: Vec::new(), redacted: 0 };
    let (mut offset, mut position) = (HEADER_BYTES, header.first_position);
    let (mut old_crc, mut crc) = (header.previous_crc, header.previous_crc);
    let mut synced_through = 0;
    while let Some(frame) = frame::parse(&bytes[offset..], header.salt) {
        if frame.header.first_position != position || frame.header.previous_crc != old_crc {
            break;
        }
        if frame.header.kind != FrameKind::Rewritten {
            let place = offset + FRAME_HEADER_BYTES;
            crc = rewritten
                .add(&frame, crc, redact)
                .map_err(|(at, problem)| OpenError::corrupt(path, (place + at) as u64, problem))?;
        }
        synced_through = frame.header.synced_through;
        (offset, position, old_crc) =
            (offset + frame.size(), frame.end_position(), frame.chain_crc());
    }
    if position != end {
        let problem = format!("it breaks at log position {position}, and the next begins at {end}");
        return Err(OpenError::corrupt(path, offset as u64, problem));
    }
    let last = FrameHeader {
        salt: header.salt,
        previous_crc: crc,
        record_count: 0,
        first_position: end,
        synced_through,
        kind: FrameKind::Rewritten,
    };
    let mut buffer = Vec::new();
    frame::begin(&mut buffer);
    buffer.extend_from_slice(&old_crc.to_le_bytes());
    frame::finish(&mut buffer, &last);
    rewritten.frames.extend_from_slice(&buffer);
    Ok(rewritten)
}

impl Rewritten {
    /// Adds a frame; gives its checksum.
    fn add(
        &mut self,
        frame: &Frame<'_>,
        previous_crc: u32,
        redact: &dyn Fn(u32, &Record<'_>) -> Option<Record<'static>>,
    ) -> Result<u32, (usize, String)> {
        let mut buffer = Vec::new();
        frame::begin(&mut buffer);
        let mut offset = 0;
        for _ in 0..frame.header.record_count {
            let (workspace, record, size) = decode_record(&frame.payload[offset..])
                .map_err(|error| (offset + error.offset, error.problem))?;
            match redact(workspace, &record) {
                Some(redacted) => {
                    encode_record(&mut buffer, workspace, &redacted);
                    self.redacted += 1;
                }
                None => buffer.extend_from_slice(&frame.payload[offset..offset + size]),
            }
            offset += size;
        }
        let crc = frame::finish(&mut buffer, &FrameHeader { previous_crc, ..frame.header });
        self.frames.extend_from_slice(&buffer);
        Ok(crc)
    }
}
