//! Amounts of all positions together: whole numbers of 10⁻¹⁸ of the portfolio's currency.
//!
//! A binary fraction cannot hold 1.1, and a net of exactly 1.1 would stay below a threshold of 1.1.
//! Eighteen decimals hold every product of a price, a quantity and a rate whose own decimals are not
//! more than that, so that such a threshold is met exactly; finer products are rounded down.

use crate::limits::{INSTRUMENTS_MAX, POSITIONS_MAX, PPB};
use crate::units::{Decimal, Rate, mul_div_floor};

/// See the module.
pub(crate) type Money = i128;

/// Decimals of [`Money`].
pub(crate) const MONEY_SCALE: u8 = 18;
/// One of the currency.
pub(crate) const UNIT: Money = 10i128.pow(MONEY_SCALE as u32);

// A figure beyond these is held there: no portfolio comes near, and no sum over all can overflow.
/// Of what a position has beside its open legs.
pub(crate) const POSITION_MAX: Money = UNIT << 43;
/// Of the open legs on an instrument.
pub(crate) const INSTRUMENT_MAX: Money = UNIT << 50;
/// Of what closed positions have brought.
pub(crate) const CLOSED_MAX: Money = UNIT << 62;
const _: () = assert!(
    POSITION_MAX * (POSITIONS_MAX as i128)
        + INSTRUMENT_MAX * (INSTRUMENTS_MAX as i128)
        + CLOSED_MAX
        < i128::MAX / 4
);

/// An amount, rounded down; `None` when it does not fit.
pub(crate) fn money_floor(amount: Decimal) -> Option<Money> {
    amount.round_floor(MONEY_SCALE).at_scale(MONEY_SCALE)
}

/// An amount, rounded up; `None` when it does not fit.
pub(crate) fn money_ceil(amount: Decimal) -> Option<Money> {
    money_floor(negative(amount)).map(|below| -below)
}

/// The negative of an amount; its bounds are far within those of the mantissa.
pub(crate) const fn negative(amount: Decimal) -> Decimal {
    Decimal { mantissa: amount.mantissa.saturating_neg(), scale: amount.scale }
}

const FACTORS: [i128; MONEY_SCALE as usize + 1] = {
    let mut factors = [1; MONEY_SCALE as usize + 1];
    let mut at = 1;
    while at < factors.len() {
        factors[at] = factors[at - 1] * 10;
        at += 1;
    }
    factors
};

/// A whole number at some scale as money, rounded down and held within ±`max`.
#[inline]
pub(crate) fn held_within(value: i128, scale: u8, max: Money) -> Money {
    if scale <= MONEY_SCALE {
        let factor = FACTORS[usize::from(MONEY_SCALE - scale)];
        value.saturating_mul(factor).clamp(-max, max)
    } else {
        // Beyond 10^38 nothing is left of any value but its sign.
        let factor = 10i128.checked_pow(u32::from(scale - MONEY_SCALE));
        let floor = factor.map_or(if value < 0 { -1 } else { 0 }, |f| value.div_euclid(f));
        floor.clamp(-max, max)
    }
}

/// `⌊amount × rate⌋`.
pub(crate) fn share_floor(amount: Money, rate: Rate) -> Money {
    mul_div_floor(amount, rate.raw(), PPB)
}

/// A figure for people.
pub(crate) const fn readable(amount: Money) -> Decimal {
    Decimal { mantissa: amount, scale: MONEY_SCALE }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beyond eighteen decimals a figure is rounded down, and held within its bounds either way.
    #[test]
    fn a_figure_of_any_scale_is_rounded_down_and_held_within_its_bounds() {
        let cases = [
            (7, 18, 7),
            (7, 17, 70),
            (-7, 0, -7 * UNIT),
            (19, 19, 1),
            (20, 19, 2),
            (-19, 19, -2),
            (1_999, 21, 1),
            (-1, 56, -1),
            (1, 56, 0),
            (0, 56, 0),
            // Ten to the 39th fits no longer: nothing is left but the sign.
            (i128::MAX, 57, 0),
            (-1, 57, -1),
            (0, 57, 0),
            (i128::MIN, 57, -1),
        ];
        for (value, scale, wanted) in cases {
            assert_eq!(held_within(value, scale, 1000 * UNIT), wanted, "{value} at {scale}");
        }
        for scale in [0, 18, 19, 30] {
            assert_eq!(held_within(i128::MAX, scale, 5), 5, "{scale}");
            assert_eq!(held_within(-i128::MAX, scale, 5), -5, "{scale}");
        }
    }
}
