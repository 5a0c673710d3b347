//! Durability: bytes and files around identity graphs.
//!
//! A [`Store`] holds the graphs of all workspaces, appends each change to a log, makes the
//! log last in commit groups, and gives everything back after a crash. It decides nothing:
//! that is [`ipse_core`]'s, and it knows neither Python nor the wire.
//!
//! Reading order: [`mod@format`] (what the files look like), [`codec`] (records as msgpack),
//! `frame` and `segment` (the log's pieces), `reserve` (space for more of them), `wal`
//! (appending), `writer` (group commit), `unsynced` (what an answer waits for), `line` (who waits
//! for the graphs), `pace` (how fast the log is), `snapshot`, `reading` (a segment's frames, and
//! a whole log), `recovery` (opening: `directory`, then `replay`; `progress` says how far),
//! `history` (reading what the log keeps), `positions` and `records` (by sequence number), `cursor`
//! (reading on), `retention` (how long it is kept), `erasing` (what it
//! must name no more) and `erasures` (its register), `store` (what callers use), `backup`,
//! `restore` and `verify` (copies; they share `rebuild`, `copies`, `sources` and `inventory`),
//! `again` (erasing once more in what is restored), [`fs`] (what is asked of a disk),
//! [`simulated`] (a disk that fails on demand), `failpoints` and `planted` (what test builds do
//! wrong when they are told to).

mod again;
mod backup;
mod ceilings;
pub mod codec;
mod copies;
mod cursor;
mod directory;
mod erasing;
mod erasures;
mod error;
mod failpoints;
pub mod format;
mod frame;
pub mod fs;
mod history;
mod inventory;
mod line;
mod options;
mod pace;
mod planted;
mod positions;
mod progress;
mod reading;
mod rebuild;
mod records;
mod recovery;
mod replay;
mod reserve;
mod restore;
mod retention;
mod segment;
pub mod simulated;
mod snapshot;
mod sources;
mod state;
mod store;
mod unsynced;
mod verify;
mod wal;
mod writer;

pub use backup::{Backup, BackupError, BackupRequest};
pub use ceilings::Ceilings;
pub use cursor::{Cursor, Stopped};
pub use error::{CheckpointError, CloseError, IoFailed, LogFailed, OpenError, Unreadable};
pub use inventory::Summary;
pub use options::{Options, SyncPolicy};
pub use pace::Distribution;
pub use positions::Mark;
pub use progress::RecoveryProgress;
pub use recovery::Recovery;
pub use restore::{RestoreError, RestoreRequest, Restored, Until, restore, restore_on};
pub use state::{LogPosition, WorkspaceIndex};
pub use store::{Checkpoint, Locked, Store, StoreStats};
pub use verify::{Verified, VerifiedFile, verify, verify_on};
pub use writer::WakeLater;
