//! How the log's thread wakes an event loop: a byte through a pair of sockets.
//!
//! The thread must never wait for Python, so it neither takes the interpreter's lock nor
//! blocks: a full pair means that the loop has been told already.

use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;

/// The end that an event loop watches.
pub(crate) struct WakeReader(UnixStream);

/// The end that the log's thread writes to.
pub(crate) struct WakeWriter(UnixStream);

/// Both ends, neither of which blocks.
pub(crate) fn pair() -> io::Result<(WakeReader, WakeWriter)> {
    let (reader, writer) = UnixStream::pair()?;
    reader.set_nonblocking(true)?;
    writer.set_nonblocking(true)?;
    Ok((WakeReader(reader), WakeWriter(writer)))
}

impl WakeReader {
    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl WakeWriter {
    /// Makes the reader readable.
    pub(crate) fn wake(&self) {
        // It would block: unread wake-ups are there. It is broken: nobody listens any more.
        let _ = (&self.0).write(&[1]);
    }
}
