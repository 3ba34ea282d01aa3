//! Decimal text from and to integers, exactly.

use reap_core::units::Decimal;

/// Why a text is no number at a scale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberError {
    /// Not digits with at most one point between them, or too long for 64 bits.
    Malformed,
    /// Digits behind the scale.
    TooFine,
}

/// The mantissa of `digits[.digits]` at `scale`. No sign, no exponent: venues know neither.
pub(super) fn parse(text: &str, scale: u8) -> Result<i64, NumberError> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(rest) || text.len() > 40 {
        return Err(NumberError::Malformed);
    }
    let rest = rest.trim_end_matches('0');
    let width = usize::from(scale);
    if rest.len() > width {
        return Err(NumberError::TooFine);
    }
    format!("{whole}{rest:0<width$}").parse().map_err(|_| NumberError::Malformed)
}

/// A mantissa in full.
pub(super) fn text(mantissa: impl Into<i128>, scale: u8) -> String {
    Decimal { mantissa: mantissa.into(), scale }.to_string()
}

/// A mantissa without the trailing zeros behind the point.
pub(super) fn short(mantissa: impl Into<i128>, scale: u8) -> String {
    let full = text(mantissa, scale);
    if full.contains('.') {
        full.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_or_refused() {
        for (given, expected) in [
            ("0.5", Ok(50)),
            ("12", Ok(1200)),
            ("12.340000", Ok(1234)),
            ("0", Ok(0)),
            ("12.345", Err(NumberError::TooFine)),
            ("", Err(NumberError::Malformed)),
            (".5", Err(NumberError::Malformed)),
            ("5.", Err(NumberError::Malformed)),
            ("1.2.3", Err(NumberError::Malformed)),
            ("-1", Err(NumberError::Malformed)),
            ("+1", Err(NumberError::Malformed)),
            ("1e5", Err(NumberError::Malformed)),
            ("99999999999999999999", Err(NumberError::Malformed)),
        ] {
            assert_eq!(parse(given, 2), expected, "{given}");
        }
        assert_eq!((text(-125, 2).as_str(), short(1200, 3).as_str()), ("-1.25", "1.2"));
        assert_eq!((short(1000, 3).as_str(), short(100, 0).as_str()), ("1", "100"));
    }
}
