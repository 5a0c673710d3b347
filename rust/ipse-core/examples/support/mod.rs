//! What the examples that measure share.

use ipse_core::{Change, Graph, Record, SequenceNumber, Timestamp};

/// Applies a change as the next record.
pub(crate) fn apply(graph: &mut Graph, change: Change<'_>) {
    let sequence = SequenceNumber(graph.sequence().0 + 1);
    graph.apply(&Record { sequence, log_time: now(), change });
}

/// The time that it is.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000).expect("it is within range")
}

/// Bytes of this process in memory; 0 where the system does not say.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    kib.unwrap_or(0u64) * 1024
}
