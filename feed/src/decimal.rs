//! The decimal scanner: a venue's decimal text becomes an integer mantissa at an instrument's
//! scale, exactly, or is refused.
//!
//! The grammar is `digits [ "." digits ]`, with a leading `-` only where a signed number is asked
//! for. Leading zeros are accepted (they change no value), and so are zeros behind the scale:
//! `28165.47000000` at scale 2 is 2816547. Refused are exponents, spaces, `+`, a point without a
//! digit on both sides, digits other than zero behind the scale, and what exceeds an `i64`.
//!
//! [`parse`] is a plain loop, and the one place that refuses. For the hot messages
//! [`leading_decimal`] reads eight bytes at once: the digits before the point and those behind it
//! are counted by one addition each, laid side by side in one word and converted by three
//! multiplications. It only ever says "this number" or "ask the plain loop".

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

/// An unsigned integer without leading zeros, as JSON writes it.
#[must_use]
pub fn parse_integer(text: &[u8]) -> Option<u64> {
    if text.is_empty() || (text.len() > 1 && text[0] == b'0') {
        return None;
    }
    text.iter().try_fold(0u64, |value, byte| {
        let digit = digit(*byte).ok()?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
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

/// Bytes of a word.
const WORD: usize = size_of::<u64>();
const ZEROS: u64 = u64::from_le_bytes([b'0'; WORD]);

/// Eight characters as digit values, the first one lowest; what is no digit becomes more than nine.
#[derive(Clone, Copy)]
struct Digits(u64);

impl Digits {
    /// The first eight characters of `text`.
    #[inline(always)]
    fn of(text: &[u8]) -> Option<Self> {
        Some(Self(u64::from_le_bytes(*text.first_chunk::<WORD>()?) ^ ZEROS))
    }

    /// The characters of `text` behind its first eight, when there are fewer than another eight.
    #[inline(always)]
    fn of_end(text: &[u8]) -> Option<Self> {
        let absent = (2 * WORD).checked_sub(text.len()).filter(|&absent| absent < WORD)?;
        let end = u64::from_le_bytes(*text.last_chunk::<WORD>()?);
        Some(Self((end >> (8 * absent)) ^ ZEROS))
    }

    /// How many of them come before the first that is no digit: `0 ..= 8`.
    #[inline(always)]
    fn count(self) -> usize {
        const HIGHS: u64 = u64::from_le_bytes([0x80; WORD]);
        /// Added to a byte it sets the high bit from 10 on.
        const ABOVE_NINE: u64 = u64::from_le_bytes([0x76; WORD]);
        // The lowest mark is exact; a carry may mark bytes above.
        let others = (self.0.wrapping_add(ABOVE_NINE) | self.0) & HIGHS;
        (others.trailing_zeros() / 8) as usize
    }

    /// The number that the first `count` of them write, `1 ..= 8`.
    #[inline(always)]
    fn number(self, count: usize) -> u64 {
        Self(self.0 << (8 * (WORD - count))).all()
    }

    /// The number that all of them write, by pairs, fours and eights.
    #[inline(always)]
    fn all(self) -> u64 {
        const BYTES: u64 = 0x00ff_00ff_00ff_00ff;
        const PAIRS: u64 = 0x0000_ffff_0000_ffff;
        let pairs = (self.0 & BYTES) * 10 + ((self.0 >> 8) & BYTES);
        let fours = (pairs & PAIRS) * 100 + ((pairs >> 16) & PAIRS);
        (fours & 0xffff_ffff) * 10_000 + (fours >> 32)
    }
}

/// The fast way of [`parse`]: the decimal that `text` begins with, and how many characters write it.
/// `None` for "ask the plain loop": longer than seven digits, a point and eight digits; less than a
/// word of text behind; or something to refuse.
#[must_use]
#[inline(always)]
pub fn leading_decimal(text: &[u8], scale: u8) -> Option<(i64, usize)> {
    let front = Digits::of(text)?;
    let whole = front.count();
    if whole == 0 || whole == WORD {
        return None;
    }
    if text[whole] != b'.' {
        let power = *POWERS.get(usize::from(scale))?;
        return Some(((front.number(whole) as i64).checked_mul(power)?, whole));
    }
    let back = Digits::of(text.get(whole + 1..)?)?;
    let fraction = back.count();
    let kept = fraction.min(usize::from(scale));
    if fraction == 0 {
        return None;
    }
    // Behind the scale there may be nothing but zeros.
    if fraction > kept && back.0 >> (8 * kept) << (8 * (WORD - (fraction - kept))) != 0 {
        return None;
    }
    let missing = *POWERS.get(usize::from(scale) - kept)?;
    let mantissa = if whole + kept <= WORD {
        // Both parts side by side in one word. Two shifts, since none may be kept.
        let front = front.0 << (8 * (WORD - whole)) >> (8 * kept);
        Digits(front | back.0 << (8 * (WORD - 1 - kept)) << 8).all() as i64
    } else {
        (front.number(whole) as i64).checked_mul(POWERS[kept])? + back.number(kept) as i64
    };
    Some((mantissa.checked_mul(missing)?, whole + 1 + fraction))
}

/// The fast way of [`parse_integer`]: the integer that `text` begins with, and how many characters
/// write it. `None` for "ask the plain loop".
#[must_use]
#[inline(always)]
pub fn leading_integer(text: &[u8]) -> Option<(u64, usize)> {
    let front = Digits::of(text)?;
    let count = front.count();
    if count == 0 || (text[0] == b'0' && count > 1) {
        return None;
    }
    if count < WORD {
        return Some((front.number(count), count));
    }
    let back = match Digits::of(&text[WORD..]) {
        Some(back) => back,
        None => Digits::of_end(text)?,
    };
    match back.count() {
        0 => Some((front.all(), WORD)),
        // Perhaps longer than sixteen.
        WORD => None,
        count => Some((front.all() * POWERS[count] as u64 + back.number(count), WORD + count)),
    }
}

#[cfg(test)]
mod tests;
