//! History: the segments that recovery needs no more, and which of them are kept how long.
//!
//! A pure rule over segment headers; it deletes nothing itself.

use crate::options::Options;
use crate::segment::SegmentHeader;

const DAY_S: u64 = 86_400;

/// Splits segments, oldest first, into history and what recovery needs to begin with the record
/// after `position`.
pub(crate) fn history(segments: &[SegmentHeader], position: u64) -> &[SegmentHeader] {
    let next = position.saturating_add(1);
    // A segment ends where the one after it begins.
    let ended = segments.windows(2).take_while(|pair| pair[1].first_position <= next).count();
    &segments[..ended]
}

/// How many of the oldest segments are to go. `newest_s` is when the newest record was logged,
/// in seconds since 1970: the log's own clock, so that a machine's wrong one deletes nothing.
pub(crate) fn expired(
    segments: &[SegmentHeader],
    position: u64,
    newest_s: u64,
    options: &Options,
) -> usize {
    let history = history(segments, position);
    let age_max_s = u64::from(options.history_retention_days) * DAY_S;
    let is_old = |at: usize| {
        // Its newest record is no younger than this; times of several workspaces may be apart.
        let ended_s = u64::from(segments[at + 1].first_time_s);
        age_max_s == 0 || newest_s.saturating_sub(ended_s) > age_max_s
    };
    let too_old = (0..history.len()).take_while(|at| is_old(*at)).count();
    let mut kept_bytes: u64 = history[too_old..].iter().map(|segment| segment.size).sum();
    let passes = |segment: &&SegmentHeader| {
        let passes = kept_bytes > options.history_retention_bytes;
        kept_bytes -= segment.size;
        passes
    };
    too_old + history[too_old..].iter().take_while(passes).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten segments of ten records and 100 bytes each, one a day.
    fn segments() -> Vec<SegmentHeader> {
        let header = |number: u32| SegmentHeader {
            previous_crc: 0,
            number: u64::from(number),
            first_position: u64::from(number) * 10 - 9,
            salt: 1,
            size: 100,
            log_id: 1,
            first_time_s: number * 86_400,
        };
        (1..=10).map(header).collect()
    }

    fn gone(position: u64, days: u32, bytes: u64) -> usize {
        let options = Options {
            history_retention_days: days,
            history_retention_bytes: bytes,
            ..Options::default()
        };
        expired(&segments(), position, 10 * DAY_S + 1, &options)
    }

    #[test]
    fn what_recovery_needs_is_never_history() {
        assert_eq!(history(&segments(), 0).len(), 0);
        assert_eq!(history(&segments(), 9).len(), 0);
        assert_eq!(history(&segments(), 10).len(), 1);
        assert_eq!(history(&segments(), 1_000).len(), 9);
        assert_eq!(gone(55, 0, u64::MAX), 5);
        assert_eq!(gone(55, 30, 0), 5);
        assert_eq!(gone(1_000, 0, 0), 9);
    }

    #[test]
    fn the_oldest_go_first_by_age_and_by_bytes() {
        assert_eq!(gone(80, 30, u64::MAX), 0);
        // Segment 5 ends with day 6, four days and a second before.
        assert_eq!(gone(80, 4, u64::MAX), 5);
        assert_eq!(gone(80, 5, u64::MAX), 4);
        assert_eq!(gone(80, 30, 800), 0);
        assert_eq!(gone(80, 30, 799), 1);
        assert_eq!(gone(80, 30, 300), 5);
        assert_eq!(gone(80, 4, 200), 6);
        assert_eq!(gone(80, 4, 300), 5);
    }
}
