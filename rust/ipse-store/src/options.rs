//! How a store is to behave.

/// Settings of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// When records must be on disk.
    pub sync: SyncPolicy,
    /// Size of a log segment. A group that is larger gets a segment of its own.
    pub segment_size_bytes: u64,
    /// Growth of the log after which a checkpoint is due.
    pub snapshot_log_bytes: u64,
    /// Days that segments stay as history after recovery needs them no more, by log time; 0 keeps
    /// none.
    pub history_retention_days: u32,
    /// Bytes of such segments that stay at most; 0 keeps none.
    pub history_retention_bytes: u64,
    /// Encoded records that may wait for the disk, see [`crate::Locked::queue_is_full`].
    pub write_queue_bytes_max: usize,
}

/// When records must be on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before any answer that rests on them.
    Always,
    /// Within so many milliseconds: a power cut may take what was answered in that time.
    /// What was answered is with the operating system, so the process may die.
    Interval {
        /// Between the first record that is not synced and the sync.
        millis: u64,
    },
    /// When the operating system likes, and at checkpoints, segment ends and closing.
    Off,
}

impl SyncPolicy {
    /// `always`, `interval` or `off`.
    pub fn name(self) -> &'static str {
        match self {
            SyncPolicy::Always => "always",
            SyncPolicy::Interval { .. } => "interval",
            SyncPolicy::Off => "off",
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            sync: SyncPolicy::Always,
            segment_size_bytes: 64 << 20,
            snapshot_log_bytes: 256 << 20,
            history_retention_days: 30,
            history_retention_bytes: 4 << 30,
            write_queue_bytes_max: 64 << 20,
        }
    }
}
