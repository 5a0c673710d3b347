//! Reading on in the log: the records of one workspace after a number, and then those that come.
//!
//! Invariant: no record is passed over. Where one is missing, because history was dropped, the
//! reader is told so.

use ipse_core::{Record, SequenceNumber};

use crate::error::OpenError;
use crate::positions::Stretch;
use crate::state::WorkspaceIndex;
use crate::store::{Locked, Store};

/// Where a reader of one workspace's records is.
#[derive(Debug)]
pub struct Cursor {
    workspace: WorkspaceIndex,
    /// Of the record that was read last.
    sequence: SequenceNumber,
    /// Through here all of the log was looked at.
    position: u64,
    /// The newest record that was synced when reading began.
    newest: SequenceNumber,
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Enough was read; there may be more.
    Enough,
    /// Nothing more is synced.
    AtNewest,
    /// The next record is kept no longer; this is the oldest that is.
    Expired(SequenceNumber),
}

impl Locked<'_> {
    /// A reader of the records of a workspace after this one; without one, of those to come.
    pub fn cursor(&self, workspace: WorkspaceIndex, after: Option<SequenceNumber>) -> Cursor {
        let (synced, newest) = self.synced_sequence(workspace);
        let sequence = after.unwrap_or(newest);
        let next = self.positions(workspace).stretch(SequenceNumber(sequence.0 + 1));
        let position = match next {
            _ if sequence >= newest => synced.0,
            // Before the marks that are left.
            None => 0,
            Some(stretch) => stretch.first - 1,
        };
        Cursor { workspace, sequence, position, newest }
    }
}

impl Cursor {
    /// The record that was read last, or after which reading begins.
    pub fn sequence(&self) -> SequenceNumber {
        self.sequence
    }

    /// The newest record that was synced when reading began.
    pub fn newest(&self) -> SequenceNumber {
        self.newest
    }

    /// Reads on, until `on_record` says that it is enough, or so many records of the log were
    /// looked at, whosever they are. Blocks; commits go on meanwhile. In memory nothing is kept.
    pub fn read(
        &mut self,
        store: &Store,
        records_max: usize,
        on_record: &mut dyn FnMut(&Record<'_>) -> bool,
    ) -> Result<Stopped, OpenError> {
        let Some(history) = store.history() else { return Ok(self.expired()) };
        let stretch = Stretch { first: self.position + 1, last: history.synced };
        let (mut left, mut stopped) = (records_max, None);
        let read = history.read(stretch, &mut |position, workspace, record| {
            left -= 1;
            stopped = self.take(position, workspace, record, on_record);
            stopped = stopped.or((left == 0).then_some(Stopped::Enough));
            stopped.is_none()
        });
        if let Err(error) = read {
            // Its segment may have been deleted at this moment.
            let now = store.history().map(|history| history.first_position());
            return if now == Some(history.first_position()) {
                Err(error)
            } else {
                Ok(Stopped::Enough)
            };
        }
        Ok(stopped.unwrap_or_else(|| {
            self.position = self.position.max(history.synced);
            self.at_end()
        }))
    }

    fn take(
        &mut self,
        position: u64,
        workspace: u32,
        record: &Record<'_>,
        on_record: &mut dyn FnMut(&Record<'_>) -> bool,
    ) -> Option<Stopped> {
        let is_new = workspace == self.workspace.0 && record.sequence > self.sequence;
        if is_new && record.sequence.0 > self.sequence.0 + 1 {
            return Some(Stopped::Expired(record.sequence));
        }
        self.position = position;
        if !is_new {
            return None;
        }
        self.sequence = record.sequence;
        (!on_record(record)).then_some(Stopped::Enough)
    }

    /// Whether there is more to read of what was synced when reading began.
    pub fn is_behind(&self) -> bool {
        self.sequence < self.newest
    }

    /// Of a workspace that was quiet for long no record may be left.
    fn at_end(&self) -> Stopped {
        if self.is_behind() { self.expired() } else { Stopped::AtNewest }
    }

    fn expired(&self) -> Stopped {
        Stopped::Expired(SequenceNumber(self.newest.0 + 1))
    }
}
