//! What the records of a workspace that are not on disk yet have changed, so that an answer waits
//! for those of them that it rests on, and for no others.
//!
//! Lives as long as the process: after a start everything is on disk.

use std::collections::{HashMap, VecDeque};

use ipse_core::change::ProfileNumber;
use ipse_core::{Change, SequenceNumber};

use crate::state::LogPosition;

/// The newest records of a workspace: at least all that are not on disk.
#[derive(Default)]
pub(crate) struct Unsynced {
    /// In order; a record has an entry for each profile that it may have changed, and at least one.
    entries: VecDeque<Entry>,
    /// The newest record that may have changed a profile, of those in the entries.
    profiles: HashMap<ProfileNumber, LogPosition>,
    /// The newest record that may have changed any profile, or the rules.
    everything: LogPosition,
}

struct Entry {
    position: LogPosition,
    sequence: SequenceNumber,
    profile: Option<ProfileNumber>,
}

impl Unsynced {
    /// Takes in the next record.
    pub(crate) fn add(
        &mut self,
        position: LogPosition,
        sequence: SequenceNumber,
        change: &Change<'_>,
    ) {
        let before = self.entries.len();
        match change.profiles() {
            Some(profiles) => {
                for profile in profiles {
                    self.profiles.insert(profile, position);
                    self.entries.push_back(Entry { position, sequence, profile: Some(profile) });
                }
            }
            None => self.everything = position,
        }
        if self.entries.len() == before {
            self.entries.push_back(Entry { position, sequence, profile: None });
        }
    }

    /// Forgets the records through `synced`.
    pub(crate) fn forget(&mut self, synced: LogPosition) {
        while let Some(&Entry { position, profile, .. }) = self.entries.front()
            && position <= synced
        {
            self.entries.pop_front();
            if let Some(profile) = profile
                && self.profiles.get(&profile) == Some(&position)
            {
                self.profiles.remove(&profile);
            }
        }
    }

    /// The newest record, of those that may be missing on disk, that what a profile shows rests on.
    pub(crate) fn position(&self, profile: ProfileNumber) -> LogPosition {
        let own = self.profiles.get(&profile).copied().unwrap_or_default();
        own.max(self.everything)
    }

    /// The newest record that is on disk when the log is, through `position`; `newest` is the
    /// workspace's newest of all.
    pub(crate) fn sequence_at(
        &self,
        position: LogPosition,
        newest: SequenceNumber,
    ) -> SequenceNumber {
        let later = self.entries.partition_point(|entry| entry.position <= position);
        self.entries.get(later).map_or(newest, |first| SequenceNumber(first.sequence.0 - 1))
    }
}
