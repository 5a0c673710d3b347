//! Time as the core knows it: a number that comes in.

use std::fmt;

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Milliseconds since 1970-01-01T00:00:00Z, from year 1 to year 9999.
///
/// Event times and log times alike. Milliseconds are what SDKs send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z, the earliest that protobuf's Timestamp can hold.
    pub const MIN: Timestamp = Timestamp(-62_135_596_800_000);
    /// 9999-12-31T23:59:59.999Z, the latest.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_999);

    /// The latest that a profile or an identifier can be from: rows keep times in 48 bits. It
    /// lies in the year 8920; what is further ahead of the clock than a day is refused.
    pub const KEPT_MAX: Timestamp = Timestamp(Timestamp::MIN.0 + (1 << 48) - 1);

    /// The time, or `None` outside [`Timestamp::MIN`] to [`Timestamp::MAX`].
    pub fn from_millis(millis: i64) -> Option<Timestamp> {
        (Timestamp::MIN.0..=Timestamp::MAX.0).contains(&millis).then_some(Timestamp(millis))
    }

    /// Milliseconds since the epoch; negative before it.
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

/// A day of UTC, counted from that of [`Timestamp::MIN`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(pub(crate) u32);

impl Day {
    /// The day of a time.
    pub(crate) fn of(time: Timestamp) -> Day {
        let days = (time.0 - Timestamp::MIN.0) / DAY_MS;
        Day(u32::try_from(days).expect("there are fewer than 2^32 days"))
    }

    /// Its first moment.
    pub(crate) fn start(self) -> Timestamp {
        Timestamp(Timestamp::MIN.0 + i64::from(self.0) * DAY_MS)
    }

    /// So many days before.
    pub(crate) fn minus(self, days: u32) -> Day {
        Day(self.0.saturating_sub(days))
    }

    /// Whether there is such a day.
    pub(crate) fn is_kept(self) -> bool {
        self <= Day::of(Timestamp::MAX)
    }
}

/// RFC 3339 in UTC with milliseconds, as dumps and messages print it.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(DAY_MS);
        let millis = self.0.rem_euclid(DAY_MS);
        let (year, month, day) = civil_from_days(days);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
            millis / 3_600_000,
            millis / 60_000 % 60,
            millis / 1_000 % 60,
            millis % 1_000
        )
    }
}

/// Year, month and day of a day number counted from 1970-01-01.
///
/// Counts in 400-year eras of 146,097 days whose years begin in March, so that the leap
/// day is the last of its year.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_rfc_3339_prints() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (Timestamp::MIN.0, "0001-01-01T00:00:00.000Z"),
            (Timestamp::MAX.0, "9999-12-31T23:59:59.999Z"),
        ];
        for (millis, text) in cases {
            let time = Timestamp::from_millis(millis).expect("within range");
            assert_eq!(time.to_string(), text);
        }
        assert_eq!(Timestamp::from_millis(Timestamp::MAX.0 + 1), None);
    }
}
