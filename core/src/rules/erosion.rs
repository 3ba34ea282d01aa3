//! profit_erosion: once net / base ≥ `minimum`, it fires when net ≤ peak·(1 − fraction).
//!
//! On several legs the peak is a ratio that the rule follows as trailing rules do. On one leg it is
//! the net at the best exit price H since the activation, with what is open and paid now:
//!
//! ```text
//! net(x) ≤ (1 − f)·net(H)   ⇔   x ≤ (1 − f)·H + f·B        (long; short mirrored)
//! ```
//!
//! where B is the position's break-even price. For equal f the order of two positions' stops is the
//! order of their B whatever H is, so that all of them follow one mark, as trailing stops do: a new
//! high moves one number. A group's nearest stop is computed from B rounded towards firing early;
//! what it lets through is compared exactly. Where a venue's minimum fee decides, the exact stop may
//! lie beyond that estimate: then a tick between the two looks at the position once more.

use crate::compile::{
    PART_ACTIVATION, PART_MARK, PART_STOP, base, nano_threshold, profit, ratio_at_least,
    ratio_at_most,
};
use crate::intent::Reason;
use crate::limits::{PPB, PRICE_MAX};
use crate::net::{Cmp, LegForm};
use crate::policy::{Base, Threshold};
use crate::position::{RegisterError, Side};
use crate::register::{check_threshold, check_trailing_base};
use crate::rules::Add;
use crate::tracked::Tracked;
use crate::trigger::{Condition, Role, Stage, Trigger};
use crate::units::{Rate, div_ceil, div_floor, mul_div_floor};

/// Binary digits behind the point of a break-even price in a group.
const DIGITS: u32 = 14;
/// Break-even prices beyond this are rounded to it, or watched at every price.
const BREAK_EVEN_MAX: i128 = 1 << 48;
/// A member that every price looks at.
const ALWAYS: i64 = i64::MIN;

pub(super) fn check(
    rule: usize,
    minimum: &Threshold,
    fraction: Rate,
    position: &Tracked,
) -> Result<(), RegisterError> {
    let refuse = |field, value, bound| Err(RegisterError::Rule { rule, field, value, bound });
    check_threshold(rule, minimum, position)?;
    check_trailing_base(rule, base_of(minimum), position)?;
    let least = match minimum {
        Threshold::Rate { rate, .. } => i128::from(rate.raw()),
        Threshold::Amount(amount) => amount.mantissa,
    };
    if least <= 0 {
        return refuse("minimum", least, "above 0");
    }
    if !(1..PPB).contains(&fraction.raw()) {
        let bound = "above 0 % and below 100 %";
        return refuse("fraction", i128::from(fraction.raw()), bound);
    }
    Ok(())
}

pub(super) fn parts(position: &Tracked, add: Add<'_>) {
    let reason = Reason::ProfitErosion;
    add(PART_ACTIVATION, reason, Role::Activate, Stage::Armed);
    add(PART_STOP, reason, Role::Trail, Stage::Asleep);
    if position.count > 1 {
        add(PART_MARK, reason, Role::Mark, Stage::Asleep);
    }
}

pub(super) fn condition(
    position: &Tracked,
    minimum: &Threshold,
    fraction: Rate,
    trigger: &Trigger,
) -> Condition {
    let kept = PPB - fraction.raw();
    let several = position.count > 1;
    match trigger.role {
        Role::Activate => profit(position, nano_threshold(position, *minimum)),
        Role::Mark => ratio_at_least(position, trigger.mark + 1, base(position, base_of(minimum))),
        _ if several => {
            let left = mul_div_floor(i128::from(trigger.mark - PPB), kept, PPB);
            ratio_at_most(position, PPB + left as i64, base(position, base_of(minimum)))
        }
        _ => {
            let (form, side) = (&position.legs[0].form, position.legs[0].side);
            let peak = form.value(trigger.mark) - position.cost;
            fallen(form, side, position.cost + mul_div_floor(peak, kept, PPB))
        }
    }
}

/// What the ratio of several legs is a ratio of.
pub(crate) const fn base_of(minimum: &Threshold) -> Option<Base> {
    match minimum {
        Threshold::Rate { base, .. } => *base,
        Threshold::Amount(_) => None,
    }
}

/// One leg's `value(x) ≤ bound` as a limit on x. One of the form's lines must be that low.
fn fallen(form: &LegForm, side: Side, bound: i128) -> Condition {
    let lines = lines(form, bound);
    match side {
        Side::Long => at_most(lines.map(|(slope, bound)| div_floor(bound, slope)).max()),
        Side::Short => at_least(lines.map(|(slope, bound)| div_ceil(-bound, -slope)).min()),
    }
}

/// The form's lines: slope, and the bound on slope × x.
fn lines(form: &LegForm, bound: i128) -> impl Iterator<Item = (i128, i128)> {
    let minimum = (form.min_fee() > 0).then(|| (form.slope_min(), bound + form.min_fee()));
    [Some((form.slope(), bound)), minimum].into_iter().flatten()
}

fn at_most(limit: Option<i128>) -> Condition {
    let limit = limit.unwrap_or(0).min(i128::from(PRICE_MAX));
    if limit < 1 { Condition::Never } else { Condition::Price(Cmp::AtMost, limit as i64) }
}

fn at_least(limit: Option<i128>) -> Condition {
    let limit = limit.unwrap_or(i128::MAX).max(1);
    if limit > i128::from(PRICE_MAX) {
        return Condition::Never;
    }
    Condition::Price(Cmp::AtLeast, limit as i64)
}

/// A one-leg position's break-even price as the distance by which its group orders it: the smaller,
/// the nearer its stop. Rounded towards a stop that is nearer than the exact one.
pub(crate) fn key(position: &Tracked) -> i64 {
    let form = &position.legs[0].form;
    if form.slope() == 0 {
        return ALWAYS;
    }
    match position.legs[0].side {
        Side::Long => lines(form, position.cost).map(|(slope, cost)| near(cost, slope)).min(),
        Side::Short => lines(form, position.cost).map(|(slope, cost)| near(cost, -slope)).min(),
    }
    .expect("a form has a line")
}

/// −cost / slope with [`DIGITS`], rounded down: of a long leg the break-even price's negative, of a
/// short one (whose slope is given without its sign) the price itself.
fn near(cost: i128, slope: i128) -> i64 {
    let whole = div_floor(-cost, slope);
    if whole < -BREAK_EVEN_MAX {
        return ALWAYS;
    }
    if whole >= BREAK_EVEN_MAX {
        return (BREAK_EVEN_MAX << DIGITS) as i64;
    }
    let rest = -cost - whole * slope;
    ((whole << DIGITS) + div_floor(rest << DIGITS, slope)) as i64
}

/// The stop of a member at its group's mark, not beyond the exact one.
pub(crate) fn nearest(side: Side, mark: i64, fraction: i64, key: i64) -> Condition {
    let one = i128::from(PPB) << DIGITS;
    let kept = i128::from(PPB - fraction) * (i128::from(mark) << DIGITS);
    let even = i128::from(fraction) * i128::from(key);
    match side {
        _ if key == ALWAYS && side == Side::Long => at_most(Some(i128::from(PRICE_MAX))),
        _ if key == ALWAYS => at_least(Some(1)),
        Side::Long => at_most(Some(div_floor(kept - even, one))),
        Side::Short => at_least(Some(div_ceil(kept + even, one))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::QTY_MAX;
    use crate::tracked::Leg;

    /// splitmix64.
    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: i64) -> i64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) % bound as u64) as i64
        }

        /// Up to `bits` bits, each number of them as often.
        fn up_to(&mut self, bits: i64) -> i64 {
            let bits = self.below(bits + 1);
            self.below(1 << bits)
        }
    }

    fn position(random: &mut Random) -> Tracked {
        let side = if random.below(2) == 0 { Side::Long } else { Side::Short };
        let weight = 1 + random.up_to(45).min(QTY_MAX - 1);
        let fee = Rate::new(random.up_to(29)).expect("a rate");
        let entry = 1 + random.up_to(46);
        let notional = i128::from(entry) * i128::from(weight) * i128::from(PPB);
        let min_fee = match random.below(3) {
            0 => notional / i128::from(1 + random.up_to(20)),
            _ => 0,
        };
        let form = LegForm::new(side, weight, fee, Rate::ZERO, min_fee);
        let leg = Leg { side, form, ..Leg::NONE };
        let mut position = Tracked::blank();
        position.legs[0] = leg;
        // Fees and funding move the cost off the entry; rarely beyond every price.
        let off = match random.below(20) {
            0 => (i128::from(random.up_to(50)) * form.slope().abs()).min(1 << 118),
            _ => notional / i128::from(2 + random.up_to(30)),
        };
        let off = if random.below(2) == 0 { off } else { -off };
        position.cost = side.sign() * notional + off;
        position
    }

    /// A group looks at a member no later than its own stop wants, and where its break-even price is
    /// one that it can hold, at most two price units sooner.
    #[test]
    fn a_group_s_stop_is_never_behind_the_exact_one_and_near_it() {
        let mut random = Random(1);
        let minimum = Threshold::Rate { rate: Rate::from_bps(1), base: None };
        let mut close = 0;
        for _ in 0..200_000 {
            let position = position(&mut random);
            let Leg { side, form, .. } = position.legs[0];
            let mut trigger = Trigger::new(0, 0, PART_STOP, Reason::ProfitErosion, Role::Trail);
            trigger.mark = 1 + random.up_to(47);
            let fraction = Rate::new(1 + random.below(PPB - 1)).expect("a rate");
            // A mark is of a profit.
            if form.value(trigger.mark) <= position.cost {
                continue;
            }
            let exact = condition(&position, &minimum, fraction, &trigger);
            let key = key(&position);
            let near = nearest(side, trigger.mark, fraction.raw(), key);
            let Condition::Price(cmp, exact) = exact else { continue };
            let Condition::Price(of, near) = near else {
                panic!("the exact one is at {exact}, the group's nowhere")
            };
            assert_eq!(cmp, of);
            let sooner = side.sign() * i128::from(near - exact);
            assert!(sooner >= 0, "{side:?}: {near} is behind {exact}");
            let even = position.cost / form.slope();
            let held = even.abs() < BREAK_EVEN_MAX && key != ALWAYS;
            if held && form.min_fee() == 0 {
                close += 1;
                let two_units = sooner <= 2 || near >= PRICE_MAX;
                assert!(two_units, "{side:?}: {near} is {sooner} before {exact}");
            }
        }
        assert!(close > 20_000, "{close}");
    }

    /// What is beyond every price is held at the bound, on the side that is looked at sooner.
    #[test]
    fn a_break_even_price_has_fourteen_binary_digits_and_a_bound() {
        let one = 1i64 << DIGITS;
        assert_eq!((near(-10, 4), near(10, 4)), (5 * one / 2, -5 * one / 2));
        assert_eq!((near(-1, 3), near(1, 3)), (one / 3, -one / 3 - 1));
        let max = BREAK_EVEN_MAX;
        let most = (max as i64) << DIGITS;
        assert_eq!((near(-(max - 1), 1), near(-max, 1)), (most - one, most));
        assert_eq!(near(-max - 7, 1), most);
        assert_eq!((near(max, 1), near(max + 1, 1)), (-most, ALWAYS));
    }

    #[test]
    fn a_position_without_slope_is_looked_at_by_every_price() {
        let mut position = Tracked::blank();
        for side in [Side::Long, Side::Short] {
            position.legs[0].side = side;
            assert_eq!(key(&position), ALWAYS);
        }
        let every = [(Side::Long, Cmp::AtMost, PRICE_MAX), (Side::Short, Cmp::AtLeast, 1)];
        for (side, cmp, limit) in every {
            for (mark, fraction) in [(1_000, PPB / 2), (PRICE_MAX, 1)] {
                let stop = nearest(side, mark, fraction, ALWAYS);
                assert_eq!(stop, Condition::Price(cmp, limit));
            }
        }
    }

    /// Every price is at or below one beyond the largest, and none is below the smallest.
    #[test]
    fn a_stop_is_watched_where_a_price_can_reach_it() {
        let max = i128::from(PRICE_MAX);
        let below = |limit| Condition::Price(Cmp::AtMost, limit);
        assert_eq!([None, Some(0), Some(-1)].map(at_most), [Condition::Never; 3]);
        assert_eq!((at_most(Some(1)), at_most(Some(max + 1))), (below(1), below(PRICE_MAX)));
        let above = |limit| Condition::Price(Cmp::AtLeast, limit);
        assert_eq!([None, Some(max + 1), Some(max + 2)].map(at_least), [Condition::Never; 3]);
        assert_eq!((at_least(Some(max)), at_least(Some(0))), (above(PRICE_MAX), above(1)));
    }
}
