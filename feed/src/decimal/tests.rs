//! The scanner against a plain twin that knows nothing of words and bits.

use super::{
    DecimalError, leading_decimal, leading_integer, parse, parse_floor, parse_integer, parse_signed,
};
use crate::test_random::Random;

/// The twin: digit by digit in `i128`, in the order of the grammar.
fn twin(text: &str, scale: u8) -> Option<i64> {
    let mut parts = text.split('.');
    let (whole, fraction) = (parts.next()?, parts.next());
    if parts.next().is_some() || whole.is_empty() || fraction.is_some_and(str::is_empty) {
        return None;
    }
    let mut digits = format!("{whole}{}", fraction.unwrap_or(""));
    let mut decimals = fraction.unwrap_or("").len();
    while decimals > usize::from(scale) {
        if digits.pop() != Some('0') {
            return None;
        }
        decimals -= 1;
    }
    digits.extend(std::iter::repeat_n('0', usize::from(scale) - decimals));
    let mut value = 0i128;
    for char in digits.chars() {
        value = value * 10 + i128::from(char.to_digit(10)?);
        if value > i128::from(i64::MAX) {
            return None;
        }
    }
    Some(value as i64)
}

/// Every entrance, the fast one with different bytes behind the text.
fn check(text: &[u8], scale: u8) {
    let expected = std::str::from_utf8(text).ok().and_then(|text| twin(text, scale));
    assert_eq!(parse(text, scale).ok(), expected, "{} at {scale}", text.escape_ascii());
    for behind in [&b"\""[..], b"\",\"B\":\"12.34\"}}", b"\"........", b"\"99999999"] {
        let rest = [text, behind].concat();
        // The caller accepts it when a quote follows; one inside would end another text.
        if let Some((value, len)) = leading_decimal(&rest, scale)
            && len == text.len()
        {
            assert_eq!(Some(value), expected, "{} at {scale}", rest.escape_ascii());
        }
    }
    if text.starts_with(b"-") {
        return;
    }
    let negative = [b"-", text].concat();
    assert_eq!(parse_signed(text, scale).ok(), expected);
    assert_eq!(parse_signed(&negative, scale).ok(), expected.map(|value| -value));
    assert!(parse(&negative, scale).is_err());
}

#[test]
fn numbers_of_venues() {
    let cases: [(&str, u8, i64); 14] = [
        ("28165.47000000", 2, 2_816_547),
        ("28165.47", 2, 2_816_547),
        ("28165.5", 2, 2_816_550),
        ("28165", 2, 2_816_500),
        ("0.00056000", 5, 56),
        ("7.98680000", 8, 798_680_000),
        ("0.01731", 5, 1731),
        ("437848", 0, 437_848),
        ("0", 8, 0),
        ("0.00000000", 0, 0),
        ("007.50", 1, 75),
        ("9223372036854775807", 0, i64::MAX),
        ("92233720368.54775807", 8, i64::MAX),
        ("1.0000000000000000000000000000000000", 0, 1),
    ];
    for (text, scale, expected) in cases {
        assert_eq!(parse(text.as_bytes(), scale), Ok(expected), "{text} at {scale}");
        check(text.as_bytes(), scale);
    }
}

/// F8: nothing is rounded silently.
#[test]
fn f8_refused_with_its_reason() {
    use DecimalError::{Digit, Empty, Negative, Overflow, Point, Precision};
    let cases = [
        ("", 2, Empty),
        ("-1", 2, Negative),
        ("+1", 2, Digit),
        ("1e-8", 8, Digit),
        ("1E5", 2, Digit),
        ("1.2.3", 4, Digit),
        (".", 2, Point),
        (".5", 2, Point),
        ("5.", 2, Point),
        (" 5", 2, Digit),
        ("5 ", 2, Digit),
        ("0x1F", 2, Digit),
        ("NaN", 2, Digit),
        ("1,5", 2, Digit),
        ("28165.471", 2, Precision),
        ("0.000000001", 8, Precision),
        ("9223372036854775808", 0, Overflow),
        ("92233720368547758.08", 2, Overflow),
        ("99999999999999999999999999", 0, Overflow),
        ("1234567890123456", 8, Overflow),
    ];
    for (text, scale, expected) in cases {
        assert_eq!(parse(text.as_bytes(), scale), Err(expected), "{text:?} at {scale}");
        check(text.as_bytes(), scale);
    }
}

#[test]
fn signs_only_where_they_are_allowed() {
    assert_eq!(parse_signed(b"-0.00038167", 9), Ok(-381_670));
    assert_eq!(parse_signed(b"0.00038167", 9), Ok(381_670));
    assert_eq!(parse_signed(b"-0", 9), Ok(0));
    assert!(parse_signed(b"--1", 9).is_err());
    assert_eq!(parse_signed(b"-", 9), Err(DecimalError::Empty));
    assert_eq!(parse_signed(b"-9223372036854775808", 0), Err(DecimalError::Overflow));
}

#[test]
fn the_floor_drops_digits_and_nothing_else() {
    assert_eq!(parse_floor(b"28155.19999999", 2), Ok(2_815_519));
    assert_eq!(parse_floor(b"28155", 2), Ok(2_815_500));
    assert_eq!(parse_floor(b"28155.1999x", 2), Err(DecimalError::Digit));
    assert_eq!(parse_floor(b"28155.1.1", 1), Err(DecimalError::Digit));
}

#[test]
fn integers() {
    let cases = [
        ("0", Some(0)),
        ("7", Some(7)),
        ("12345678", Some(12_345_678)),
        ("123456789", Some(123_456_789)),
        ("5123107839020", Some(5_123_107_839_020)),
        ("123456789012345", Some(123_456_789_012_345)),
        ("1234567890123456", Some(1_234_567_890_123_456)),
        ("18446744073709551615", Some(u64::MAX)),
        ("18446744073709551616", None),
        ("007", None),
        ("00", None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("1e3", None),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_integer(text.as_bytes()), expected, "{text:?}");
        for behind in [&b",\"s\":\"BTCUSDT\""[..], b"}}", b"}"] {
            let rest = [text.as_bytes(), behind].concat();
            match leading_integer(&rest) {
                Some((value, len)) if len == text.len() => assert_eq!(Some(value), expected),
                // Shorter: the text goes on with something that is no digit, which JSON refuses.
                Some((_, len)) => assert!(!rest[len].is_ascii_digit() && expected.is_none()),
                None => assert!(expected.is_none() || text.len() >= 16 || rest.len() < 9),
            }
        }
    }
}

/// The usual texts of hot messages must not need the plain loop.
#[test]
fn usual_numbers_take_the_fast_way() {
    let cases = [
        ("61837.63000000", 2, 6_183_763),
        ("1.54698000", 5, 154_698),
        ("61800.20", 2, 6_180_020),
        ("2.507", 3, 2507),
        ("6195.00000000", 0, 6195),
        ("297", 0, 297),
        ("0.00001234", 8, 1234),
        ("1000.12345678", 8, 100_012_345_678),
        ("0.6131", 4, 6131),
        ("7.6110", 3, 7611),
    ];
    for (text, scale, expected) in cases {
        let rest = format!("{text}\",\"A\":");
        assert_eq!(leading_decimal(rest.as_bytes(), scale), Some((expected, text.len())), "{text}");
    }
}

/// F8: random texts near the grammar, and their corruptions, against the twin.
#[test]
fn f8_random_texts_agree_with_the_twin() {
    let mut random = Random::from_env("decimal");
    for _ in 0..200_000 {
        let scale = random.below(13) as u8;
        let mut text = Vec::new();
        for _ in 0..random.below(12) {
            text.push(b'0' + random.below(10) as u8);
        }
        if random.below(4) != 0 {
            text.push(b'.');
            for _ in 0..random.below(11) {
                // Zeros are common behind the scale.
                text.push(b'0' + (random.below(20) as u8).saturating_sub(10));
            }
        }
        check(&text, scale);
        if !text.is_empty() {
            let at = random.below(text.len() as u64) as usize;
            text[at] = *random.pick(b".-+eE 019:/\x00\x80\xff\"");
            check(&text, scale);
        }
    }
}
