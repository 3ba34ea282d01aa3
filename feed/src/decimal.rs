//! The decimal scanner: a venue's decimal text becomes an integer mantissa at an instrument's
//! scale, exactly, or is refused.
//!
//! The grammar is `digits [ "." digits ]`, with a leading `-` only where a signed number is asked
//! for. Leading zeros are accepted (they change no value), and so are zeros behind the scale:
//! `28165.47000000` at scale 2 is 2816547. Refused are exponents, spaces, `+`, a point without a
//! digit on both sides, digits other than zero behind the scale, and what exceeds an `i64`.
//!
//! The fast way looks at the last 16 bytes at once: the text is moved against the end of a 128-bit
//! word, the point is squeezed out, all digits are checked by one addition and converted by three
//! multiplications per eight. It only ever says "this number" or "not sure"; the plain loop beside
//! it decides every other case, so that there is one place that refuses.

use thiserror::Error;

/// Why a text is not an exact decimal at the scale asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecimalError {
    /// No text at all.
    #[error("empty")]
    Empty,
    /// A minus sign where none is allowed.
    #[error("negative")]
    Negative,
    /// Something that is neither a digit nor the one point, an exponent for instance.
    #[error("not a digit")]
    Digit,
    /// A point without a digit on both sides.
    #[error("lone point")]
    Point,
    /// Digits other than zero behind the scale.
    #[error("more decimals than the scale")]
    Precision,
    /// Larger than an `i64`.
    #[error("overflow")]
    Overflow,
}

/// Largest scale: 10^18 is the largest power of ten in an `i64`.
pub const SCALE_MAX: u8 = 18;

const POWERS: [i64; SCALE_MAX as usize + 1] = {
    let mut powers = [1; SCALE_MAX as usize + 1];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// What becomes of digits behind the scale.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Excess {
    Refused,
    Dropped,
}

/// The mantissa of an unsigned decimal at `scale`.
///
/// # Errors
/// When the text is not an unsigned decimal, or not exact at `scale`.
pub fn parse(text: &[u8], scale: u8) -> Result<i64, DecimalError> {
    unsigned(text, scale, Excess::Refused)
}

/// As [`parse`], for the last `len` bytes of `head`: what stands in front of them lets the scanner
/// read 16 bytes at once.
///
/// # Errors
/// As [`parse`].
///
/// # Panics
/// When `head` is shorter than `len`.
#[inline]
pub fn parse_tail(head: &[u8], len: usize, scale: u8) -> Result<i64, DecimalError> {
    match decimal_word(head, len, scale) {
        Some(value) => Ok(value),
        None => parse(&head[head.len() - len..], scale),
    }
}

/// As [`parse`], but digits behind the scale are dropped: for mark prices, which are averages with
/// more decimals than any order may have. The one place where a number of a venue is rounded.
///
/// # Errors
/// When the text is not an unsigned decimal or exceeds an `i64`.
pub fn parse_floor(text: &[u8], scale: u8) -> Result<i64, DecimalError> {
    unsigned(text, scale, Excess::Dropped)
}

/// The mantissa of a decimal that may be negative: funding rates.
///
/// # Errors
/// When the text is not a decimal, or not exact at `scale`.
pub fn parse_signed(text: &[u8], scale: u8) -> Result<i64, DecimalError> {
    match text {
        [b'-', magnitude @ ..] => unsigned(magnitude, scale, Excess::Refused).map(|value| -value),
        _ => unsigned(text, scale, Excess::Refused),
    }
}

/// An unsigned integer in the last `len` bytes of `head`, without leading zeros, as JSON writes it.
///
/// # Panics
/// When `head` is shorter than `len`.
#[must_use]
#[inline]
pub fn integer_tail(head: &[u8], len: usize) -> Option<u64> {
    if let Some(word) = word(head, len) {
        let digits = digits(word, len)?;
        return Some(value(digits)).filter(|_| len == 1 || head[head.len() - len] != b'0');
    }
    let text = &head[head.len() - len..];
    if text.is_empty() || (text.len() > 1 && text[0] == b'0') {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { value.checked_mul(10)?.checked_add(u64::from(digit)) }
    })
}

fn unsigned(text: &[u8], scale: u8, excess: Excess) -> Result<i64, DecimalError> {
    match text {
        [] => return Err(DecimalError::Empty),
        [b'-', ..] => return Err(DecimalError::Negative),
        _ => {}
    }
    let (whole, fraction) = match text.iter().position(|&byte| byte == b'.') {
        Some(point) if point == 0 || point + 1 == text.len() => return Err(DecimalError::Point),
        Some(point) => (&text[..point], &text[point + 1..]),
        None => (text, &[][..]),
    };
    let (kept, rest) = fraction.split_at(fraction.len().min(usize::from(scale)));
    let mut value = 0i64;
    for byte in whole.iter().chain(kept) {
        let digit = digit(*byte)?;
        let next = value.checked_mul(10).and_then(|value| value.checked_add(i64::from(digit)));
        value = next.ok_or(DecimalError::Overflow)?;
    }
    for byte in rest {
        if digit(*byte)? != 0 && excess == Excess::Refused {
            return Err(DecimalError::Precision);
        }
    }
    let missing = usize::from(scale) - kept.len();
    let power = POWERS.get(missing).ok_or(DecimalError::Overflow)?;
    value.checked_mul(*power).ok_or(DecimalError::Overflow)
}

fn digit(byte: u8) -> Result<u8, DecimalError> {
    let digit = byte.wrapping_sub(b'0');
    if digit > 9 { Err(DecimalError::Digit) } else { Ok(digit) }
}

const WORD: usize = size_of::<u128>();
const ZEROS: u128 = u128::from_le_bytes([b'0'; WORD]);
const POINTS: u128 = u128::from_le_bytes([b'.'; WORD]);
const ONES: u128 = u128::from_le_bytes([0x01; WORD]);
const HIGHS: u128 = u128::from_le_bytes([0x80; WORD]);
/// Added to a byte it sets the high bit from 10 on.
const ABOVE_NINE: u128 = u128::from_le_bytes([0x76; WORD]);

/// The last `len` bytes of `head` against the upper end of a word, first byte lowest, noughts
/// below. `None` when they do not fit or less than a word stands in `head`.
#[inline]
fn word(head: &[u8], len: usize) -> Option<u128> {
    let bytes = head.last_chunk::<WORD>()?;
    if len == 0 || len > WORD {
        return None;
    }
    let below = 8 * (WORD - len);
    Some((u128::from_le_bytes(*bytes) >> below) << below)
}

/// The upper `count` bytes of `text` from digits to their values; `None` when one is no digit.
#[inline]
fn digits(text: u128, count: usize) -> Option<u128> {
    let digits = text ^ (ZEROS << (8 * (WORD - count)));
    let bad = (digits.wrapping_add(ABOVE_NINE) | digits) & HIGHS;
    (bad == 0).then_some(digits)
}

/// Sixteen digit values, the first one lowest, as a number below 10^16.
#[inline]
fn value(digits: u128) -> u64 {
    let eight = |digits: u64| {
        const BYTES: u64 = 0x00ff_00ff_00ff_00ff;
        const PAIRS: u64 = 0x0000_ffff_0000_ffff;
        let pairs = (digits & BYTES) * 10 + ((digits >> 8) & BYTES);
        let fours = (pairs & PAIRS) * 100 + ((pairs >> 16) & PAIRS);
        (fours & 0xffff_ffff) * 10_000 + (fours >> 32)
    };
    eight(digits as u64) * 100_000_000 + eight((digits >> 64) as u64)
}

/// The fast way of [`parse_tail`]: a number, or `None` for "ask the plain loop".
#[inline]
fn decimal_word(head: &[u8], len: usize, scale: u8) -> Option<i64> {
    let text = word(head, len)?;
    let points = text ^ POINTS;
    // The lowest set bit marks the first point exactly; bits above it may be carries.
    let found = points.wrapping_sub(ONES) & !points & HIGHS;
    if found == 0 {
        let value = value(digits(text, len)?) as i64;
        return value.checked_mul(*POWERS.get(usize::from(scale))?);
    }
    let point = (found.trailing_zeros() / 8) as usize;
    let first = WORD - len;
    let fraction = WORD - 1 - point;
    if point == first || fraction == 0 {
        return None;
    }
    let below = (1u128 << (8 * point)) - 1;
    let through = (below << 8) | 0xff;
    let squeezed = ((text & below) << 8) | (text & !through);
    let digits = digits(squeezed, len - 1)?;
    let scale = usize::from(scale);
    if fraction <= scale {
        return (value(digits) as i64).checked_mul(*POWERS.get(scale - fraction)?);
    }
    let excess = 8 * (fraction - scale);
    if digits >> (8 * WORD - excess) != 0 {
        return None;
    }
    Some(value(digits << excess) as i64)
}

#[cfg(test)]
mod tests;
