//! Net of a position as a function of its exit prices: the exact form every profit rule compiles
//! from.
//!
//! SPEC §3: `net = Σ side·(x − E)·q·m + funding − paid − Σ fee(x)`. Everything that does not depend
//! on the exit prices is a constant; what remains is, per leg, the smaller of two lines (the fee is
//! the larger of rate × notional and the venue's minimum). All values are at the position's nano
//! scale, where nothing is rounded.

use crate::limits::{AMOUNT_MAX, LEGS_MAX, PPB, QTY_MAX, RATE_MAX};
use crate::position::Side;
use crate::units::Rate;

/// One leg's exit value as a function of its exit price x: the smaller of `weight·factor·x` and,
/// where the venue has a minimum fee, `weight·factor_min·x − min_fee`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegForm {
    /// Quantity × multiplier × scale alignment: below 2^46.
    weight: i64,
    /// Side × 10^9 − fee − reserve.
    factor: i32,
    /// Side × 10^9 − reserve: what remains where the minimum fee stands for the rate.
    factor_min: i32,
    /// The venue's minimum fee at the nano scale; 0 when it has none.
    min_fee: i128,
}

impl LegForm {
    /// The form of no leg: nought at every price.
    pub const NONE: Self = Self { weight: 0, factor: 0, factor_min: 0, min_fee: 0 };

    /// The form of a leg: `weight` = quantity × multiplier × scale alignment; `fee` and `reserve`
    /// are shares of the exit notional, below 2^30 ppb together; `min_fee` is at the position's
    /// nano scale, with the fees' buffer.
    #[must_use]
    pub const fn new(side: Side, weight: i64, fee: Rate, reserve: Rate, min_fee: i128) -> Self {
        let factor_min = side.sign() as i32 * PPB as i32 - reserve.raw() as i32;
        Self { weight, factor: factor_min - fee.raw() as i32, factor_min, min_fee }
    }

    /// Weight, factor, factor beside the minimum fee, minimum fee: what a log keeps.
    pub(crate) const fn parts(&self) -> (i64, i32, i32, i128) {
        (self.weight, self.factor, self.factor_min, self.min_fee)
    }

    /// The form of these parts; `None` when they are out of the bounds within which sums of four
    /// legs cannot overflow.
    pub(crate) fn from_parts(
        weight: i64,
        factor: i32,
        factor_min: i32,
        min_fee: i128,
    ) -> Option<Self> {
        let steep = |factor: i32| i64::from(factor).abs() > PPB + RATE_MAX;
        let absurd = !(0..=QTY_MAX).contains(&weight)
            || steep(factor)
            || steep(factor_min)
            || !(0..=AMOUNT_MAX).contains(&min_fee);
        (!absurd).then_some(Self { weight, factor, factor_min, min_fee })
    }

    /// Exit value at price mantissa `x`, at the nano scale.
    #[must_use]
    #[inline]
    pub fn value(&self, x: i64) -> i128 {
        let notional = i128::from(x) * i128::from(self.weight);
        let by_rate = notional * i128::from(self.factor);
        if self.min_fee == 0 {
            return by_rate;
        }
        by_rate.min(notional * i128::from(self.factor_min) - self.min_fee)
    }

    /// Value per price unit where the rate decides the fee; its sign is the leg's side.
    #[must_use]
    pub const fn slope(&self) -> i128 {
        self.weight as i128 * self.factor as i128
    }

    /// Value per price unit where the minimum fee decides.
    #[must_use]
    pub const fn slope_min(&self) -> i128 {
        self.weight as i128 * self.factor_min as i128
    }

    /// The minimum fee; 0 when there is none.
    #[must_use]
    pub const fn min_fee(&self) -> i128 {
        self.min_fee
    }

    /// The steepest slope, as a magnitude: no price unit moves the value by more.
    #[must_use]
    pub fn steepest(&self) -> i128 {
        let by_rate = self.slope().abs();
        if self.min_fee == 0 { by_rate } else { by_rate.max(self.slope_min().abs()) }
    }
}

/// Which way a comparison goes. Both are inclusive (SPEC §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cmp {
    /// `value ≥ bound`: profit.
    AtLeast,
    /// `value ≤ bound`: a stop.
    AtMost,
}

impl Cmp {
    /// Whether `value` is at or beyond `bound`.
    #[must_use]
    #[inline]
    pub fn holds<T: PartialOrd>(self, value: T, bound: T) -> bool {
        match self {
            Self::AtLeast => value >= bound,
            Self::AtMost => value <= bound,
        }
    }
}

/// A condition on the sum of the legs' exit values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetForm {
    /// The legs' forms; beyond `count` they are nought.
    pub legs: [LegForm; LEGS_MAX],
    /// Number of legs.
    pub count: u8,
    /// Direction.
    pub cmp: Cmp,
    /// The sum's bound, at the nano scale.
    pub bound: i128,
}

impl NetForm {
    /// Σ exit values at these exit prices.
    #[must_use]
    #[inline]
    pub fn value(&self, exits: &[i64; LEGS_MAX]) -> i128 {
        let mut sum = 0;
        for (leg, &x) in self.legs.iter().zip(exits).take(usize::from(self.count)) {
            sum += leg.value(x);
        }
        sum
    }

    /// Whether the condition holds at these exit prices.
    #[must_use]
    #[inline]
    pub fn holds(&self, exits: &[i64; LEGS_MAX]) -> bool {
        self.cmp.holds(self.value(exits), self.bound)
    }
}

/// A rule's compiled form: what an intent carries, so that re-verifying is one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compiled {
    /// One leg: its exit price (price mantissa) against a limit.
    Price {
        /// Direction, on the exit price itself.
        cmp: Cmp,
        /// The limit; it holds there.
        limit: i64,
    },
    /// Several legs: the sum of exit values against a bound.
    Net(NetForm),
    /// A time that has come, or an operator: there is nothing to verify.
    Unconditional,
}

impl Compiled {
    /// Whether the rule holds at these exit prices (bid of a long leg, ask of a short one).
    #[must_use]
    #[inline]
    pub fn holds(&self, exits: &[i64; LEGS_MAX]) -> bool {
        match self {
            Self::Price { cmp, limit } => cmp.holds(exits[0], *limit),
            Self::Net(form) => form.holds(exits),
            Self::Unconditional => true,
        }
    }
}
