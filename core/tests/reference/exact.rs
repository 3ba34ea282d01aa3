//! Exact decimal numbers without a bound: what the reference computes with.
//!
//! Every figure of SPEC §3 is a product or sum of decimals, so a big integer and a count of decimals
//! hold it exactly; where SPEC divides (shares of a total, net / base) the rounding is a method with
//! its direction in the name. Reduced fractions would say the same, a hundred times slower.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};
use std::sync::LazyLock;

use num_bigint::BigInt;
use num_traits::{Pow, Zero};
use reap_core::units::Decimal;

static TENS: LazyLock<Vec<BigInt>> =
    LazyLock::new(|| (0..256u32).map(|n| BigInt::from(10).pow(n)).collect());

/// `mantissa × 10^-scale`.
#[derive(Clone)]
pub(crate) struct Exact {
    mantissa: BigInt,
    scale: u32,
}

impl Exact {
    pub(crate) fn new(mantissa: impl Into<BigInt>, scale: u8) -> Self {
        Self { mantissa: mantissa.into(), scale: u32::from(scale) }
    }

    pub(crate) fn int(value: i64) -> Self {
        Self::new(value, 0)
    }

    /// A rate given in parts per billion.
    pub(crate) fn ppb(rate: i64) -> Self {
        Self::new(rate, 9)
    }

    pub(crate) fn zero() -> Self {
        Self::int(0)
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.mantissa.is_zero()
    }

    fn mantissa_at(&self, scale: u32) -> BigInt {
        &self.mantissa * &TENS[(scale - self.scale) as usize]
    }

    /// `self × numerator / denominator`, rounded up to `scale` decimals.
    pub(crate) fn share_ceil(&self, numerator: i64, denominator: i64, scale: u8) -> Self {
        -&(-self).share_floor(numerator, denominator, scale)
    }

    /// `self × numerator / denominator`, rounded down (towards −∞) to `scale` decimals.
    pub(crate) fn share_floor(&self, numerator: i64, denominator: i64, scale: u8) -> Self {
        (self * &Self::int(numerator)).div_floor(&Self::int(denominator), scale)
    }

    /// Rounded down to 18 decimals: how many units of the last.
    pub(crate) fn atto_floor(&self) -> BigInt {
        self.share_floor(1, 1, 18).mantissa_at(18)
    }

    /// The whole number below, where it fits.
    pub(crate) fn whole(&self) -> Option<i64> {
        floor(&self.mantissa, &TENS[self.scale as usize]).try_into().ok()
    }

    /// Rounded up to `scale` decimals.
    pub(crate) fn ceil(&self, scale: u8) -> Self {
        self.share_ceil(1, 1, scale)
    }

    /// `self / divisor`, rounded down (towards −∞) to `scale` decimals; `divisor` is positive.
    pub(crate) fn div_floor(&self, divisor: &Self, scale: u8) -> Self {
        let common = self.scale.max(divisor.scale);
        let numerator = self.mantissa_at(common) * &TENS[usize::from(scale)];
        let denominator = divisor.mantissa_at(common);
        Self::new(floor(&numerator, &denominator), scale)
    }
}

/// `⌊a / b⌋` for positive `b`.
fn floor(a: &BigInt, b: &BigInt) -> BigInt {
    assert!(*b > BigInt::zero(), "divisors are positive");
    let (quotient, rest) = (a / b, a % b);
    if rest < BigInt::zero() { quotient - 1 } else { quotient }
}

impl fmt::Debug for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}e-{}", self.mantissa, self.scale)
    }
}

impl From<Decimal> for Exact {
    fn from(value: Decimal) -> Self {
        Self::new(value.mantissa, value.scale)
    }
}

impl Add for &Exact {
    type Output = Exact;
    fn add(self, other: Self) -> Exact {
        let scale = self.scale.max(other.scale);
        Exact { mantissa: self.mantissa_at(scale) + other.mantissa_at(scale), scale }
    }
}

impl Sub for &Exact {
    type Output = Exact;
    fn sub(self, other: Self) -> Exact {
        self + &-other
    }
}

impl Mul for &Exact {
    type Output = Exact;
    fn mul(self, other: Self) -> Exact {
        Exact { mantissa: &self.mantissa * &other.mantissa, scale: self.scale + other.scale }
    }
}

impl Neg for &Exact {
    type Output = Exact;
    fn neg(self) -> Exact {
        Exact { mantissa: -&self.mantissa, scale: self.scale }
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Exact {}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        match self.scale.cmp(&other.scale) {
            Ordering::Equal => self.mantissa.cmp(&other.mantissa),
            Ordering::Less => self.mantissa_at(other.scale).cmp(&other.mantissa),
            Ordering::Greater => self.mantissa.cmp(&other.mantissa_at(self.scale)),
        }
    }
}
