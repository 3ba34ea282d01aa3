//! Points in time and times of day, from text and back to text.

use reap_core::units::Nanos;

const SECOND: u64 = 1_000_000_000;
const DAY_SECS: i64 = 86_400;

/// A point in time after RFC 3339, `2024-08-08T23:54:14.5Z` or with an offset such as `+02:00`.
/// `None` for anything else, for days that do not exist, and before 1970 or after 2554.
pub(super) fn instant(text: &str) -> Option<Nanos> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let (fraction, offset) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            (nanos_of_fraction(&rest[..end])?, &rest[end..])
        }
        None => (0, rest),
    };
    let days = days_of_date(date)?;
    let (hour, minute, second) = clock_of(clock)?;
    let local = days * DAY_SECS + hour * 3600 + minute * 60 + second;
    let secs = u64::try_from(local - offset_secs(offset)?).ok()?;
    secs.checked_mul(SECOND)?.checked_add(fraction).map(Nanos)
}

/// A time of day (UTC), `21:00` or `21:00:30`.
pub(super) fn time_of_day(text: &str) -> Option<Nanos> {
    let with_seconds = if text.len() == 5 { format!("{text}:00") } else { text.to_owned() };
    let (hour, minute, second) = clock_of(&with_seconds)?;
    u64::try_from(hour * 3600 + minute * 60 + second).ok().map(|secs| Nanos(secs * SECOND))
}

/// RFC 3339 in UTC, with as many decimals of the second as are needed.
#[must_use]
pub fn format_instant(at: Nanos) -> String {
    let (secs, nanos) = (at.0 / SECOND, at.0 % SECOND);
    let (days, rest) = (secs / DAY_SECS as u64, secs % DAY_SECS as u64);
    let (year, month, day) = date_of_days(days);
    let clock = format_time_of_day(Nanos(rest * SECOND + nanos));
    format!("{year:04}-{month:02}-{day:02}T{clock}Z")
}

/// `21:00:00`, with as many decimals of the second as are needed.
#[must_use]
pub fn format_time_of_day(at: Nanos) -> String {
    let (secs, nanos) = (at.0 / SECOND, at.0 % SECOND);
    let clock = format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60);
    if nanos == 0 {
        return clock;
    }
    let fraction = format!("{nanos:09}");
    format!("{clock}.{}", fraction.trim_end_matches('0'))
}

fn two_digits(text: &str) -> Option<i64> {
    let plain = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

fn clock_of(text: &str) -> Option<(i64, i64, i64)> {
    let mut parts = text.split(':');
    let hour = two_digits(parts.next()?)?;
    let minute = two_digits(parts.next()?)?;
    let second = two_digits(parts.next()?)?;
    let valid = parts.next().is_none() && hour < 24 && minute < 60 && second < 60;
    valid.then_some((hour, minute, second))
}

fn offset_secs(text: &str) -> Option<i64> {
    if matches!(text, "Z" | "z") {
        return Some(0);
    }
    let (sign, rest) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hour, minute) = rest.split_once(':')?;
    let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
    (hour < 24 && minute < 60).then_some(sign * (hour * 3600 + minute * 60))
}

fn nanos_of_fraction(digits: &str) -> Option<u64> {
    let plain = (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { format!("{digits:0<9}").parse().ok() } else { None }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days before the first of January of a year since 1970.
const fn days_before(year: i64) -> i64 {
    let past = year - 1;
    365 * (year - 1970) + (past / 4 - 492) - (past / 100 - 19) + (past / 400 - 4)
}

fn days_of_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let year = parts.next().filter(|year| year.len() == 4)?;
    let year: i64 = if year.bytes().all(|b| b.is_ascii_digit()) { year.parse().ok()? } else { 0 };
    let month = two_digits(parts.next()?)?;
    let day = two_digits(parts.next()?)?;
    let valid = parts.next().is_none()
        && year >= 1970
        && (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day);
    let months: i64 = (1..month).map(|month| days_of_month(year, month)).sum();
    valid.then_some(days_before(year) + months + day - 1)
}

fn date_of_days(days: u64) -> (i64, i64, i64) {
    let mut rest = i64::try_from(days).expect("days of a u64 of nanoseconds are few");
    let mut year = 1970 + rest / 366;
    while days_before(year + 1) <= rest {
        year += 1;
    }
    rest -= days_before(year);
    let mut month = 1;
    while rest >= days_of_month(year, month) {
        rest -= days_of_month(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_exactly() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-08-08T23:54:14.5Z", Some(1_723_161_254_500_000_000)),
            ("2024-08-09T01:54:14.5+02:00", Some(1_723_161_254_500_000_000)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000_000_000)),
            ("2023-04-05 00:00:00.000000001Z", Some(1_680_652_800_000_000_001)),
            ("2023-02-29T00:00:00Z", None),
            ("2024-13-01T00:00:00Z", None),
            ("2024-08-08T24:00:00Z", None),
            ("2024-08-08T23:54:14", None),
            ("2024-08-08", None),
            ("1969-12-31T23:59:59Z", None),
            ("2024-08-08T23:54:14.Z", None),
            ("9999-08-08T23:54:14Z", None),
            ("yesterday at noon in the garden", None),
            ("２０24-08-08T23:54:14Z", None),
        ] {
            assert_eq!(instant(text), expected.map(Nanos), "{text}");
        }
    }

    #[test]
    fn every_day_of_a_century_returns() {
        for day in 0..40_000 {
            let at = Nanos((day * DAY_SECS as u64 + 86_399) * SECOND + 250_000_000);
            assert_eq!(instant(&format_instant(at)), Some(at), "{}", format_instant(at));
        }
    }

    #[test]
    fn times_of_day_have_minutes() {
        assert_eq!(time_of_day("21:00"), Some(Nanos::from_secs(75_600)));
        assert_eq!(time_of_day("00:00:01"), Some(Nanos::from_secs(1)));
        for text in ["24:00", "21", "9:00", "21:60", "21:00:00:00", "９:00"] {
            assert_eq!(time_of_day(text), None, "{text}");
        }
    }
}
