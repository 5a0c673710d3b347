//! What can go wrong outside: the disk, its contents, another process.
//!
//! Each error names what was wrong, where, and what to do. None of them is a caller's
//! mistake: those are refused by the core before anything comes here.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use ipse_core::SequenceNumber;
use ipse_core::change::Verb;

/// A file operation failed.
#[derive(Debug)]
pub struct IoFailed {
    /// What was tried, for example `sync`.
    pub action: &'static str,
    /// On which file or directory.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

/// A decision whose record recovery would refuse: a bug, which is better met by one call than by
/// every later start. Nothing was changed. Tells no values of identifiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// What was decided; none: rules.
    pub verb: Option<Verb>,
    /// The workspace's name.
    pub workspace: String,
    /// What the record's number would be.
    pub sequence: SequenceNumber,
    /// What recovery would say.
    pub problem: String,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unreadable { verb, workspace, sequence, problem } = self;
        write!(f, "a decision could not be read back: ")?;
        match verb {
            Some(verb) => write!(f, "{verb:?}")?,
            None => write!(f, "rules")?,
        }
        write!(f, " in workspace `{workspace}`, record {sequence}: {problem}")
    }
}

impl Error for Unreadable {}

/// Why a data directory cannot be opened. Nothing was lost by refusing.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it open.
    Locked {
        /// The directory.
        dir: PathBuf,
        /// What the lock file says: the process id.
        holder: String,
    },
    /// A file operation failed.
    Io(IoFailed),
    /// A file is not what was once written and synced.
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where the damage begins, in bytes from its beginning.
        offset: u64,
        /// What is wrong there.
        problem: String,
    },
    /// A file was written by a later version.
    UnsupportedVersion {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version that this program reads.
        supported: u32,
    },
    /// A file that must be there is not.
    Missing {
        /// What is missing, and how that is known.
        what: String,
        /// The directory.
        dir: PathBuf,
    },
    /// It is no data directory: a backup, or a copy that was not finished.
    NotToBeServed {
        /// The directory.
        dir: PathBuf,
        /// What it is, and what to do with it.
        problem: &'static str,
    },
}

/// The log cannot be written any more, for ever: the process must stop, and the next start
/// recovers what is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFailed {
    /// What happened.
    pub reason: String,
}

/// Why no snapshot was written. The store goes on without it.
#[derive(Debug)]
pub enum CheckpointError {
    /// The store has no directory.
    InMemory,
    /// The store is closed.
    Closed,
    /// The disk has not got the room for a snapshot beside what the log needs.
    StorageFull,
    /// A file operation failed.
    Io(IoFailed),
    /// The log failed first.
    Log(LogFailed),
    /// The snapshot that was written does not read back.
    Unreadable(OpenError),
}

/// Why the store was not closed cleanly. The next start recovers.
#[derive(Debug)]
pub enum CloseError {
    /// The log failed.
    Log(LogFailed),
    /// The log is closed cleanly; the snapshot that was asked for is not there.
    Checkpoint(CheckpointError),
}

impl IoFailed {
    pub(crate) fn new(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IoFailed {
        let path = path.to_owned();
        move |source| IoFailed { action, path, source }
    }

    /// Whether it would have worked on an emptier disk.
    pub(crate) fn is_for_want_of_space(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

impl OpenError {
    pub(crate) fn corrupt(file: &Path, offset: u64, problem: impl Into<String>) -> OpenError {
        OpenError::Corrupt { file: file.to_owned(), offset, problem: problem.into() }
    }
}

impl fmt::Display for IoFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.action, self.path.display(), self.source)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Locked { dir, holder } => write!(
                f,
                "{} is in use by process {holder}: stop that process, or use another directory",
                dir.display()
            ),
            OpenError::Io(failed) => failed.fmt(f),
            OpenError::Corrupt { file, offset, problem } => write!(
                f,
                "{} is corrupt at byte {offset}: {problem}. Nothing was changed. Keep a copy of the \
                 directory, look at it with `ipse wal verify`, and restore it from a backup",
                file.display()
            ),
            OpenError::UnsupportedVersion { file, found, supported } => write!(
                f,
                "{} has format version {found}, this program reads up to {supported}: use a newer ipse",
                file.display()
            ),
            OpenError::Missing { what, dir } => write!(
                f,
                "{}: {what}. Nothing was changed. Put the missing file back, or restore the \
                 directory from a backup",
                dir.display()
            ),
            OpenError::NotToBeServed { dir, problem } => {
                write!(f, "{} {problem}", dir.display())
            }
        }
    }
}

impl fmt::Display for LogFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the log has stopped: {}", self.reason)
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointError::InMemory => {
                f.write_str("the store is in memory only: open a data directory to have snapshots")
            }
            CheckpointError::Closed => f.write_str("the store is closed"),
            CheckpointError::StorageFull => f.write_str(
                "no snapshot: the disk has no room for it beside what the log needs: free some \
                 space; everything is in the log meanwhile",
            ),
            CheckpointError::Io(failed) => write!(f, "no snapshot: {failed}"),
            CheckpointError::Log(failed) => write!(f, "no snapshot: {failed}"),
            CheckpointError::Unreadable(error) => {
                write!(f, "no snapshot: it was written and does not read back: {error}")
            }
        }
    }
}

impl fmt::Display for CloseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseError::Log(failed) => failed.fmt(f),
            CloseError::Checkpoint(error) => error.fmt(f),
        }
    }
}

impl Error for IoFailed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.source)
    }
}

impl Error for OpenError {}
impl Error for LogFailed {}
impl Error for CheckpointError {}
impl Error for CloseError {}

impl From<IoFailed> for OpenError {
    fn from(failed: IoFailed) -> OpenError {
        OpenError::Io(failed)
    }
}

impl From<IoFailed> for CheckpointError {
    fn from(failed: IoFailed) -> CheckpointError {
        if failed.is_for_want_of_space() {
            return CheckpointError::StorageFull;
        }
        CheckpointError::Io(failed)
    }
}

impl From<LogFailed> for CheckpointError {
    fn from(failed: LogFailed) -> CheckpointError {
        CheckpointError::Log(failed)
    }
}

impl From<LogFailed> for CloseError {
    fn from(failed: LogFailed) -> CloseError {
        CloseError::Log(failed)
    }
}

impl From<CheckpointError> for CloseError {
    fn from(error: CheckpointError) -> CloseError {
        CloseError::Checkpoint(error)
    }
}
