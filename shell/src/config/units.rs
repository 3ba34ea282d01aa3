//! Text with a unit to integers, exactly or not at all.

use reap_core::limits::PPB;
use reap_core::units::Decimal;

/// Digits that a number may have: more than any bound of the core, and a number of days in
/// nanoseconds still fits an `i128`.
const DIGITS_MAX: usize = 24;
const DAY_NANOS: i64 = 86_400_000_000_000;
const _: () = assert!(10i128.pow(DIGITS_MAX as u32) < i128::MAX / DAY_NANOS as i128);

/// Why a text is not what was wanted, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UnitError {
    pub(super) what: String,
    pub(super) remedy: String,
}

impl UnitError {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }
}

/// A number with its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    /// `"20bps"`, `"0.2%"`: parts per billion.
    Rate(i128),
    /// `"6h"`, `"250ms"`: nanoseconds.
    Span(i128),
    /// `"10 ticks"`.
    Ticks(Decimal),
    /// `"1.1 USDT"`.
    Amount(Amount),
    /// `"0.2"`: no unit at all.
    Bare(Decimal),
}

/// An amount of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) value: Decimal,
    pub(super) currency: String,
}

impl Measure {
    /// What kind of thing it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Rate(_) => "a percentage",
            Self::Span(_) => "a time",
            Self::Ticks(_) => "a number of ticks",
            Self::Amount(_) => "an amount",
            Self::Bare(_) => "a bare number",
        }
    }
}

/// An exact decimal: an optional sign, digits, and at most one point between digits.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let whole = whole.trim_start_matches('0');
    if whole.len() + fraction.len() > DIGITS_MAX {
        return None;
    }
    let mantissa = [whole, fraction]
        .iter()
        .flat_map(|part| part.bytes())
        .fold(0i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
    let scale = u8::try_from(fraction.len()).ok()?;
    Some(Decimal { mantissa: if negative { -mantissa } else { mantissa }, scale })
}

/// A number followed by its unit; blanks between them are welcome.
pub(super) fn measure(text: &str) -> Result<Measure, UnitError> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
        .unwrap_or(text.len());
    let (number, unit) = (&text[..end], text[end..].trim());
    let Some(value) = decimal(number) else {
        return Err(UnitError::new(
            format!("does not begin with a plain decimal number of at most {DIGITS_MAX} digits"),
            r#"write a number and its unit, such as "0.2%", "6h" or "1.1 USDT""#,
        ));
    };
    let whole = |factor: i64, finest: &str| {
        let product = Decimal { mantissa: value.mantissa * i128::from(factor), scale: value.scale };
        product.at_scale(0).ok_or_else(|| {
            UnitError::new(format!("is finer than {finest}"), format!("round it to {finest}"))
        })
    };
    let rate = |factor| whole(factor, "a part per billion (0.0000001%)").map(Measure::Rate);
    let span = |factor| whole(factor, "a nanosecond").map(Measure::Span);
    match unit {
        "" => Ok(Measure::Bare(value)),
        "%" => rate(PPB / 100),
        "bps" => rate(PPB / 10_000),
        "ns" => span(1),
        "us" | "µs" => span(1_000),
        "ms" => span(1_000_000),
        "s" => span(1_000_000_000),
        "min" => span(60_000_000_000),
        "h" => span(3_600_000_000_000),
        "d" => span(DAY_NANOS),
        "tick" | "ticks" => Ok(Measure::Ticks(value)),
        _ if is_currency(unit) => Ok(Measure::Amount(Amount { value, currency: unit.to_owned() })),
        _ => Err(unknown_unit(unit)),
    }
}

fn unknown_unit(unit: &str) -> UnitError {
    let known = ["%", "bps", "ns", "us", "ms", "s", "min", "h", "d", "ticks"];
    let remedy = match unit {
        "m" => r#"a minute is "min", a millisecond "ms""#.to_owned(),
        "bp" | "BPS" | "basis points" => "basis points are \"bps\"".to_owned(),
        _ if is_currency(&unit.to_uppercase()) && unit.len() > 2 => {
            format!("a currency is written in capitals, \"{}\"", unit.to_uppercase())
        }
        _ => format!("units are {} or a currency such as USDT", known.join(", ")),
    };
    UnitError::new(format!("unit \"{unit}\" is not known"), remedy)
}

/// Currencies are written as venues write them: 2 to 12 capitals and digits, a capital first.
pub(super) fn is_currency(text: &str) -> bool {
    (2..=12).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        && text.as_bytes()[0].is_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(mantissa: i128, scale: u8) -> Decimal {
        Decimal { mantissa, scale }
    }

    #[test]
    fn decimals_are_exact_or_refused() {
        for (text, expected) in [
            ("0.10", Some(of(1, 1))),
            ("-1.250", Some(of(-125, 2))),
            ("28165.47000000", Some(of(2_816_547, 2))),
            ("100", Some(of(100, 0))),
            ("+7", Some(of(7, 0))),
            ("0", Some(of(0, 0))),
            ("", None),
            ("-", None),
            (".5", None),
            ("5.", None),
            ("1e3", None),
            ("1_000", None),
            ("1,5", None),
            ("0x10", None),
            ("--1", None),
            ("1.2.3", None),
            ("1234567890123456789012345", None),
        ] {
            assert_eq!(decimal(text), expected, "{text:?}");
        }
    }

    #[test]
    fn measures_know_their_unit() {
        let usdt = |value| Measure::Amount(Amount { value, currency: "USDT".into() });
        for (text, expected) in [
            ("20bps", Measure::Rate(2_000_000)),
            ("0.2%", Measure::Rate(2_000_000)),
            ("17.5 %", Measure::Rate(175_000_000)),
            ("-1 bps", Measure::Rate(-100_000)),
            ("0.0000001%", Measure::Rate(1)),
            ("6h", Measure::Span(21_600_000_000_000)),
            ("1.5 s", Measure::Span(1_500_000_000)),
            ("250ms", Measure::Span(250_000_000)),
            ("30 min", Measure::Span(1_800_000_000_000)),
            ("10 ticks", Measure::Ticks(of(10, 0))),
            ("1.1 USDT", usdt(of(11, 1))),
            ("-10USDT", usdt(of(-10, 0))),
            ("0.2", Measure::Bare(of(2, 1))),
        ] {
            assert_eq!(measure(text), Ok(expected), "{text:?}");
        }
        for text in ["0.00000001%", "0.1ns", "5 m", "5bp", "abc", "", "% 5", "1 usdt", "1e2 %"] {
            assert!(measure(text).is_err(), "{text:?}");
        }
    }
}
