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
    if position.count > 1 {
        check_trailing_base(rule, base_of(minimum), position)?;
    }
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
