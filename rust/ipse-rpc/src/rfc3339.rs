//! RFC 3339 text to a time.
//!
//! Reads what event senders write: a fraction of any length, an offset with or without its
//! colon, `t`, `z` and a space in place of `T`. Anything below a millisecond is cut off.

use ipse_core::Timestamp;

/// The time, or `None` if the text is not one or lies outside the years 1 to 9999.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let mut rest = Reader(text.as_bytes());
    let (year, month, day) = rest.date()?;
    rest.one_of(b"Tt ")?;
    let time_ms = rest.time_ms()?;
    let offset_ms = rest.offset_ms()?;
    if !rest.0.is_empty() {
        return None;
    }
    Timestamp::from_millis(days_from_civil(year, month, day) * DAY_MS + time_ms - offset_ms)
}

/// The same, also without an offset, seconds or a time of day: then it is the time of a clock
/// that is so far ahead of UTC.
pub(crate) fn parse_local(text: &str, clock_offset_ms: i64) -> Option<Timestamp> {
    let mut rest = Reader(text.as_bytes());
    let (year, month, day) = rest.date()?;
    let time_ms = match rest.one_of(b"Tt ") {
        Some(_) => rest.short_time_ms()?,
        None => 0,
    };
    let offset_ms = if rest.0.is_empty() { clock_offset_ms } else { rest.offset_ms()? };
    if !rest.0.is_empty() {
        return None;
    }
    Timestamp::from_millis(days_from_civil(year, month, day) * DAY_MS + time_ms - offset_ms)
}

const DAY_MS: i64 = 86_400_000;

/// What is left of the text.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn date(&mut self) -> Option<(i64, i64, i64)> {
        let year = self.digits(4)?;
        self.one_of(b"-")?;
        let month = self.digits(2)?;
        self.one_of(b"-")?;
        let day = self.digits(2)?;
        let is_real = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
        is_real.then_some((year, month, day))
    }

    fn time_ms(&mut self) -> Option<i64> {
        let (hour, minute) = self.hour_and_minute(true)?;
        self.one_of(b":")?;
        self.seconds_ms(hour, minute)
    }

    /// A time of day that may lack its seconds.
    fn short_time_ms(&mut self) -> Option<i64> {
        let (hour, minute) = self.hour_and_minute(true)?;
        match self.one_of(b":") {
            Some(_) => self.seconds_ms(hour, minute),
            None => Some((hour * 60 + minute) * 60_000),
        }
    }

    fn seconds_ms(&mut self, hour: i64, minute: i64) -> Option<i64> {
        let second = self.digits(2)?;
        let fraction_ms = self.fraction_ms()?;
        // A leap second has no number of its own: it counts as the second after it.
        (second <= 60).then_some((hour * 60 + minute) * 60_000 + second * 1_000 + fraction_ms)
    }

    fn offset_ms(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let (hour, minute) = self.hour_and_minute(false)?;
        Some(sign * (hour * 60 + minute) * 60_000)
    }

    fn hour_and_minute(&mut self, colon_required: bool) -> Option<(i64, i64)> {
        let hour = self.digits(2)?;
        if self.one_of(b":").is_none() && colon_required {
            return None;
        }
        let minute = self.digits(2)?;
        (hour <= 23 && minute <= 59).then_some((hour, minute))
    }

    fn fraction_ms(&mut self) -> Option<i64> {
        if self.one_of(b".,").is_none() {
            return Some(0);
        }
        let length = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        let digit = |index: usize| digits.get(index).map_or(0, |b| i64::from(b - b'0'));
        (length > 0).then_some(digit(0) * 100 + digit(1) * 10 + digit(2))
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits
            .iter()
            .try_fold(0, |number, b| b.is_ascii_digit().then(|| number * 10 + i64::from(b - b'0')))
    }

    /// Takes the next byte if it is one of these.
    fn one_of(&mut self, wanted: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        wanted.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01, counting years from March so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let march_month = (month + 9) % 12;
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_senders_write() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("2019-11-15T10:00:00Z", 1_573_812_000_000),
            ("2019-11-15T10:00:00.1Z", 1_573_812_000_100),
            ("2019-11-15T10:00:00.123456789Z", 1_573_812_000_123),
            ("2019-11-15T10:00:00,5Z", 1_573_812_000_500),
            ("2019-11-15T12:00:00+02:00", 1_573_812_000_000),
            ("2019-11-15T12:00:00+0200", 1_573_812_000_000),
            ("2019-11-15T04:30:00-05:30", 1_573_812_000_000),
            ("2019-11-15 10:00:00z", 1_573_812_000_000),
            ("2019-11-15t10:00:00Z", 1_573_812_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
            ("2000-02-29T00:00:00Z", 951_782_400_000),
            ("1969-12-31T23:59:59.999Z", -1),
            ("0001-01-01T00:00:00Z", Timestamp::MIN.as_millis()),
            ("9999-12-31T23:59:59.999Z", Timestamp::MAX.as_millis()),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text).map(Timestamp::as_millis), Some(millis), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        let cases = [
            "",
            "2019",
            "2019-11-15",
            "2019-11-15T10:00:00",
            "2019-11-15T10:00Z",
            "2019-13-01T00:00:00Z",
            "2019-00-01T00:00:00Z",
            "2019-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2019-11-31T00:00:00Z",
            "2019-11-15T24:00:00Z",
            "2019-11-15T10:60:00Z",
            "2019-11-15T10:00:61Z",
            "2019-11-15T10:00:00.Z",
            "2019-11-15T10:00:00Z ",
            " 2019-11-15T10:00:00Z",
            "2019-11-15T10:00:00+24:00",
            "2019-11-15T10:00:00+02",
            "+019-11-15T10:00:00Z",
            "0000-12-31T23:59:59Z",
            "9999-12-31T23:59:59-01:00",
            "1573812000000",
            "٢٠١٩-11-15T10:00:00Z",
        ];
        for text in cases {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_local_time_may_lack_what_the_clock_tells() {
        let hour = 3_600_000;
        let cases = [
            ("2019-11-15T10:00:00Z", Some(1_573_812_000_000)),
            ("2019-11-15T12:00:00.5+02:00", Some(1_573_812_000_500)),
            ("2019-11-15T10:00:00", Some(1_573_812_000_000 - 2 * hour)),
            ("2019-11-15 10:00:00.123456", Some(1_573_812_000_123 - 2 * hour)),
            ("2019-11-15T10:00", Some(1_573_812_000_000 - 2 * hour)),
            ("2019-11-15T10:00Z", Some(1_573_812_000_000)),
            ("2019-11-15", Some(1_573_812_000_000 - 12 * hour)),
            ("2019-11-15Z", Some(1_573_812_000_000 - 10 * hour)),
            ("2019-11", None),
            ("2019-11-15T", None),
            ("2019-11-15T10", None),
            ("2019-11-15T10:00:", None),
            ("2019-11-15T10:00:00 ", None),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_local(text, 2 * hour).map(Timestamp::as_millis), millis, "{text}");
        }
    }

    #[test]
    fn reads_back_what_the_core_prints() {
        let step = 86_400_000 * 97 + 12_345_678;
        let mut millis = Timestamp::MIN.as_millis();
        while let Some(time) = Timestamp::from_millis(millis) {
            assert_eq!(parse(&time.to_string()), Some(time));
            millis += step;
        }
    }
}
