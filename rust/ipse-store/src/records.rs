//! Records of a workspace by their sequence numbers, read from the log.
//!
//! Blocks on files; commits go on meanwhile.

use ipse_core::{Record, SequenceNumber};

use crate::error::OpenError;
use crate::positions::Stretch;
use crate::state::{LogPosition, WorkspaceIndex};
use crate::store::Store;

/// Records that are read together, because they lie near each other.
struct Run {
    stretch: Stretch,
    wanted: Vec<SequenceNumber>,
}

impl Store {
    /// Reads records of a workspace after a log position, as far as the log keeps them, one
    /// segment in one call and until `on_record` says that it is enough. Gives the position that
    /// was looked at last, or `None` if there are no more.
    pub fn read_records(
        &self,
        workspace: WorkspaceIndex,
        after: LogPosition,
        on_record: &mut dyn FnMut(&Record<'_>) -> bool,
    ) -> Result<Option<LogPosition>, OpenError> {
        let Some(history) = self.history() else { return Ok(None) };
        let first = after.0.saturating_add(1).max(history.first_position());
        let Some(part) = history.within_segment(first, u64::MAX) else { return Ok(None) };
        let mut enough = None;
        history.read(part, &mut |position, of, record| {
            if of == workspace.0 && !on_record(record) {
                enough = Some(LogPosition(position));
            }
            enough.is_none()
        })?;
        Ok(enough.or((part.last < history.synced).then_some(LogPosition(part.last))))
    }

    /// Reads records of a workspace by their numbers, which ascend. Gives those that could not be
    /// read: they are not kept any more, or not synced yet. Without files none can.
    pub fn read_records_at(
        &self,
        workspace: WorkspaceIndex,
        sequences: &[SequenceNumber],
        on_record: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Vec<SequenceNumber>, OpenError> {
        let (runs, mut missing) = self.runs(workspace, sequences);
        for Run { stretch, wanted } in runs {
            let Some(history) = self.history() else { return Ok(sequences.to_vec()) };
            let mut left = wanted.iter().copied().peekable();
            let read = history.read(stretch, &mut |_, of, record| {
                if of == workspace.0 {
                    while let Some(gone) = left.next_if(|next| *next < record.sequence) {
                        missing.push(gone);
                    }
                    if left.next_if_eq(&record.sequence).is_some() {
                        on_record(record);
                    }
                }
                left.peek().is_some()
            });
            missing.extend(left);
            if let Err(error) = read {
                // Its segment may have been deleted at this moment.
                let now = self.history().map(|history| history.first_position());
                if now == Some(history.first_position()) {
                    return Err(error);
                }
            }
        }
        missing.sort_unstable();
        Ok(missing)
    }

    /// The oldest record of a workspace that can be read, or the number of the next if none can.
    pub fn oldest_sequence(&self, workspace: WorkspaceIndex) -> Result<SequenceNumber, OpenError> {
        let next = |newest: SequenceNumber| SequenceNumber(newest.0 + 1);
        let Some(history) = self.history() else {
            return Ok(next(self.lock().graph(workspace).sequence()));
        };
        let (oldest, newest) = {
            let locked = self.lock();
            let positions = locked.positions(workspace);
            (positions.oldest(history.first_position()), locked.graph(workspace).sequence())
        };
        let mut found = None;
        if let Some(stretch) = oldest.within {
            history.read(stretch, &mut |_, of, record| {
                found = (of == workspace.0).then_some(record.sequence);
                found.is_none()
            })?;
        }
        Ok(found.or(oldest.otherwise).unwrap_or_else(|| next(newest)))
    }

    /// Where records lie, those that lie near each other together; and those that are long gone.
    fn runs(
        &self,
        workspace: WorkspaceIndex,
        sequences: &[SequenceNumber],
    ) -> (Vec<Run>, Vec<SequenceNumber>) {
        let locked = self.lock();
        let positions = locked.positions(workspace);
        let (mut runs, mut gone): (Vec<Run>, _) = (Vec::new(), Vec::new());
        for sequence in sequences {
            let Some(stretch) = positions.stretch(*sequence) else {
                gone.push(*sequence);
                continue;
            };
            match runs.last_mut() {
                Some(run) if run.stretch.reaches(stretch) => {
                    run.stretch.last = run.stretch.last.max(stretch.last);
                    run.wanted.push(*sequence);
                }
                _ => runs.push(Run { stretch, wanted: vec![*sequence] }),
            }
        }
        (runs, gone)
    }
}
