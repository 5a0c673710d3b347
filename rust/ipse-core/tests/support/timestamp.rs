//! Times as scenario texts and data write them. The core prints times and reads none.

use ipse_core::Timestamp;

/// 2026-01-01T00:00:00Z, when the clock of a test starts.
pub(crate) const START_MS: i64 = 1_767_225_600_000;

/// A time that the caller knows to be in range.
pub(crate) fn at_millis(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis).expect("tests keep to the years 1 to 9999")
}

/// Milliseconds of `2021-01-01T00:00:00Z` or `2021-01-01T00:00:00.250Z`.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let text = text.strip_suffix('Z')?;
    let (date, clock) = text.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, millis) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.splitn(3, ':').map(str::parse::<i64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let millis: i64 = format!("{millis:0<3}").get(..3)?.parse().ok()?;
    let seconds = day_number(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1_000 + millis)
}

/// Milliseconds of `1d`, `90m`, `25h`, `1s` or `1ms`.
pub(crate) fn parse_span(text: &str) -> Option<i64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: i64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(number * unit)
}

/// Days from 1970-01-01, counted by adding up years and months: slow, plain, and not the
/// way the core does it.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let leap = |y: i64| (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    let years: i64 = (1970..year).map(|y| 365 + i64::from(leap(y))).sum();
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months: i64 = lengths.iter().take(month as usize - 1).sum();
    years + months + day - 1
}
