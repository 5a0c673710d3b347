//! The server's clock, for those who carry calls: a dispatch is told the time with each.

use std::time::{SystemTime, UNIX_EPOCH};

use ipse_core::Timestamp;

/// The time, held within the times that there are.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(millis).unwrap_or(Timestamp::MAX)
}
