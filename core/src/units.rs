//! Prices, quantities, rates and times as integers that carry their unit in their type.

use core::fmt;

use fixed::types::I80F48;

use crate::limits::{AMOUNT_MAX, PRICE_MAX, QTY_MAX, RATE_MAX};

/// A value outside the bounds of its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{unit} {value} is outside {min} ..= {max}")]
pub struct BoundError {
    /// The unit that refused the value.
    pub unit: &'static str,
    /// The value.
    pub value: i128,
    /// The smallest allowed value.
    pub min: i128,
    /// The largest allowed value.
    pub max: i128,
}

/// A price: a mantissa at the instrument's price scale, `1 ..= 2^48 - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Price(i64);

impl Price {
    /// The smallest.
    pub const ONE: Self = Self(1);

    /// A price from its mantissa.
    ///
    /// # Errors
    /// When the mantissa is not positive or not below 2^48.
    pub const fn new(mantissa: i64) -> Result<Self, BoundError> {
        if mantissa < 1 || mantissa > PRICE_MAX {
            return Err(BoundError {
                unit: "price",
                value: mantissa as i128,
                min: 1,
                max: PRICE_MAX as i128,
            });
        }
        Ok(Self(mantissa))
    }

    /// The mantissa.
    #[must_use]
    pub const fn raw(self) -> i64 {
        self.0
    }
}

/// A quantity: a mantissa at the instrument's quantity scale, `0 ..= 2^46 - 1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Qty(i64);

impl Qty {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// A quantity from its mantissa.
    ///
    /// # Errors
    /// When the mantissa is negative or not below 2^46.
    pub const fn new(mantissa: i64) -> Result<Self, BoundError> {
        if mantissa < 0 || mantissa > QTY_MAX {
            return Err(BoundError {
                unit: "quantity",
                value: mantissa as i128,
                min: 0,
                max: QTY_MAX as i128,
            });
        }
        Ok(Self(mantissa))
    }

    /// The mantissa.
    #[must_use]
    pub const fn raw(self) -> i64 {
        self.0
    }

    /// `self - other`, or `None` below zero.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        if other.0 > self.0 { None } else { Some(Self(self.0 - other.0)) }
    }
}

/// A rate in parts per billion: fees, percentages, thresholds. Magnitude below 2^30 (about 107 %).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(i64);

impl Rate {
    /// Nought.
    pub const ZERO: Self = Self(0);

    /// A rate from parts per billion.
    ///
    /// # Errors
    /// When the magnitude is not below 2^30.
    pub const fn new(ppb: i64) -> Result<Self, BoundError> {
        if ppb < -RATE_MAX || ppb > RATE_MAX {
            let max = RATE_MAX as i128;
            return Err(BoundError { unit: "rate (ppb)", value: ppb as i128, min: -max, max });
        }
        Ok(Self(ppb))
    }

    /// A rate of basis points that a constant states.
    ///
    /// # Panics
    /// When the rate is out of bounds; use it for constants.
    #[must_use]
    pub const fn from_bps(bps: i64) -> Self {
        match Self::new(bps * 100_000) {
            Ok(rate) => rate,
            Err(_) => panic!("a constant rate is within bounds"),
        }
    }

    /// Parts per billion.
    #[must_use]
    pub const fn raw(self) -> i64 {
        self.0
    }
}

/// A point in time: nanoseconds since the Unix epoch, from a journaled wall-clock anchor plus
/// monotonic time. Also a span of time, where the name says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// A span of milliseconds.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis * 1_000_000)
    }

    /// A span of seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs * 1_000_000_000)
    }

    /// The time this far after `self`; the end of time when that does not exist.
    #[must_use]
    pub const fn plus(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The time this far before `self`; the epoch when that does not exist.
    #[must_use]
    pub const fn minus(self, span: Self) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// The span since `earlier`; nought when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

/// An exact decimal number: `mantissa × 10^-scale`. Printed in full, without trailing zeros cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The digits.
    pub mantissa: i128,
    /// How many of them stand behind the point.
    pub scale: u8,
}

impl Decimal {
    /// The mantissa at another scale, or `None` when digits would be lost or it does not fit.
    #[must_use]
    pub fn at_scale(self, scale: u8) -> Option<i128> {
        if scale >= self.scale {
            let factor = 10i128.checked_pow(u32::from(scale - self.scale))?;
            return self.mantissa.checked_mul(factor);
        }
        let factor = 10i128.checked_pow(u32::from(self.scale - scale))?;
        (self.mantissa % factor == 0).then_some(self.mantissa / factor)
    }

    /// The mantissa at a position's nano scale, or `None` when it is not exact there or exceeds
    /// [`AMOUNT_MAX`] either way.
    #[must_use]
    pub fn amount_at(self, scale: u8) -> Option<i128> {
        self.at_scale(scale).filter(|amount| (-AMOUNT_MAX..=AMOUNT_MAX).contains(amount))
    }

    /// The same number with at most `scale` decimals, rounded towards minus infinity.
    #[must_use]
    pub fn round_floor(self, scale: u8) -> Self {
        if scale >= self.scale {
            return self;
        }
        match 10i128.checked_pow(u32::from(self.scale - scale)) {
            Some(factor) => Self { mantissa: self.mantissa.div_euclid(factor), scale },
            None => Self { mantissa: if self.mantissa < 0 { -1 } else { 0 }, scale },
        }
    }
}

/// Σ of amounts of one currency, each rounded down: a total never claims what is not there.
///
/// `None` when it does not fit 80 bits before the point.
#[must_use]
pub fn sum_floor(amounts: impl IntoIterator<Item = Decimal>) -> Option<I80F48> {
    amounts.into_iter().try_fold(I80F48::ZERO, |sum, amount| sum.checked_add(floor(amount)?))
}

/// A decimal as a binary fraction, rounded down.
fn floor(amount: Decimal) -> Option<I80F48> {
    // 48 bits behind the point are 14 digits: what lies behind the 18th is rounded away first.
    let amount = amount.round_floor(18);
    let factor = 10i128.pow(u32::from(amount.scale));
    let whole = amount.mantissa.div_euclid(factor).checked_mul(1 << 48)?;
    let rest = (amount.mantissa.rem_euclid(factor) << 48) / factor;
    Some(I80F48::from_bits(whole.checked_add(rest)?))
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs();
        let factor = 10u128.checked_pow(u32::from(self.scale)).unwrap_or(u128::MAX);
        let width = usize::from(self.scale);
        if width == 0 {
            return write!(f, "{sign}{digits}");
        }
        write!(f, "{sign}{}.{:0width$}", digits / factor, digits % factor)
    }
}

/// `⌊value × numerator / denominator⌋` without overflow, for `0 ≤ numerator, denominator < 2^47`.
#[must_use]
pub fn mul_div_floor(value: i128, numerator: i64, denominator: i64) -> i128 {
    let (n, d) = (i128::from(numerator), i128::from(denominator));
    value.div_euclid(d) * n + (value.rem_euclid(d) * n).div_euclid(d)
}

/// `⌈value × numerator / denominator⌉` without overflow, for `0 ≤ numerator, denominator < 2^47`.
#[must_use]
pub fn mul_div_ceil(value: i128, numerator: i64, denominator: i64) -> i128 {
    -mul_div_floor(-value, numerator, denominator)
}

/// `⌊a / b⌋` for `b > 0`.
#[must_use]
pub const fn div_floor(a: i128, b: i128) -> i128 {
    a.div_euclid(b)
}

/// `⌈a / b⌉` for `b > 0`.
#[must_use]
pub const fn div_ceil(a: i128, b: i128) -> i128 {
    -(-a).div_euclid(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_where_the_name_says() {
        assert_eq!(
            (div_floor(-7, 2), div_ceil(-7, 2), div_floor(7, 2), div_ceil(7, 2)),
            (-4, -3, 3, 4)
        );
        assert_eq!((mul_div_floor(-7, 1, 2), mul_div_ceil(-7, 1, 2)), (-4, -3));
        assert_eq!(
            mul_div_ceil(crate::limits::AMOUNT_MAX, QTY_MAX, QTY_MAX),
            crate::limits::AMOUNT_MAX
        );
    }

    #[test]
    fn sums_round_down_and_say_when_they_do_not_fit() {
        let cents = |mantissa| Decimal { mantissa, scale: 2 };
        let sum = sum_floor([cents(150), cents(-25), cents(10)]).unwrap();
        let exact = I80F48::from_num(135) / 100;
        assert!(sum <= exact && exact - sum < I80F48::from_bits(4), "{sum}");
        assert!(sum_floor([cents(-1)]).unwrap() * 100 <= -1);
        assert_eq!(sum_floor([Decimal { mantissa: i128::MAX, scale: 0 }]), None);
        let tiny = Decimal { mantissa: -1, scale: 40 };
        assert_eq!(sum_floor([tiny]), Some(I80F48::from_bits(-1)));
    }

    #[test]
    fn decimals_print_in_full_and_change_scale_only_exactly() {
        extern crate alloc;
        use alloc::string::ToString;
        assert_eq!(Decimal { mantissa: -349_750, scale: 3 }.to_string(), "-349.750");
        assert_eq!(Decimal { mantissa: 5, scale: 4 }.to_string(), "0.0005");
        assert_eq!(Decimal { mantissa: 150, scale: 2 }.at_scale(1), Some(15));
        assert_eq!(Decimal { mantissa: 151, scale: 2 }.at_scale(1), None);
        assert_eq!(
            Decimal { mantissa: -151, scale: 2 }.round_floor(1),
            Decimal { mantissa: -16, scale: 1 }
        );
    }
}
