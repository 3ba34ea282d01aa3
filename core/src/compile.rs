//! The solver: each rule's formula, solved exactly for the price or the sum of exit values at which
//! it becomes true.
//!
//! With `net = Σ value(x) − cost` (see [`crate::net`]), a profit rule `net ≥ threshold` is
//! `Σ value(x) ≥ cost + threshold`, and for one leg a limit on its exit price. Percentages are
//! never divided by: `x ≤ E·(1 − d)` is `x ≤ ⌊E·(10^9 − d) / 10^9⌋`, which is the same for whole x.
//!
//! Trailing on several legs runs on `y = 10^9 + ⌊net / B⌋` in ppb, the twin of a long leg's `x / E`:
//! `y ≥ Y` is `net ≥ (Y − 10^9)·B` and `y ≤ Y` is `net ≤ (Y − 10^9 + 1)·B − 1`.

use crate::instrument::Instrument;
use crate::limits::{PPB, PRICE_MAX};
use crate::net::{Cmp, LegForm};
use crate::policy::{Base, Distance, Rule, Threshold};
use crate::position::Side;
use crate::tracked::{Leg, Tracked};
use crate::trigger::{Condition, Role, Trigger};
use crate::units::{Decimal, Nanos, Rate, div_ceil, div_floor};

const ONE: i128 = PPB as i128;

/// Parts of a trailing rule.
pub(crate) const PART_ACTIVATION: u8 = 0;
pub(crate) const PART_STOP: u8 = 1;
pub(crate) const PART_FLOOR: u8 = 2;
pub(crate) const PART_MARK: u8 = 3;

/// The base of a percentage, in whole money units of the position.
///
/// SPEC §3: `entry` = `gross` = Σ entry notional, `max_leg` the larger leg's, all of the judged
/// quantity; margin and amounts are rounded up.
pub(crate) fn base(position: &Tracked, base: Option<Base>) -> i128 {
    let legs = position.legs();
    let default = if legs.len() == 1 { Base::Entry } else { Base::MaxLeg };
    match base.unwrap_or(default) {
        Base::Entry | Base::Gross => legs.iter().map(Leg::entry_notional).sum(),
        Base::MaxLeg => legs.iter().map(Leg::entry_notional).max().unwrap_or(0),
        Base::Margin => div_ceil(legs.iter().map(Leg::margin_judged).sum(), ONE),
        Base::Amount(amount) => div_ceil(nano(amount, position.scale), ONE),
    }
}

/// An amount of the quote currency at the position's nano scale; registration checked that it fits.
fn nano(amount: Decimal, scale: u8) -> i128 {
    amount.at_scale(scale).expect("registration checked the amount")
}

/// Compiles a trigger's condition from its rule. `instrument` is the first leg's.
pub(crate) fn condition(
    position: &Tracked,
    rule: &Rule,
    trigger: &Trigger,
    instrument: &Instrument,
) -> Condition {
    let several = position.count > 1;
    let leg = &position.legs[0];
    match rule {
        Rule::TakeProfit { threshold } | Rule::Basis { threshold } => {
            profit(position, nano_threshold(position, *threshold))
        }
        Rule::Tiers { base: of, tiers } => {
            let rate = tiers[usize::from(trigger.part)].at;
            profit(position, i128::from(rate.raw()) * base(position, *of))
        }
        Rule::StopLoss { distance, base: of } if several => {
            let loss = i128::from(distance.raw()) * base(position, *of);
            Condition::net(Cmp::AtMost, position.cost - loss)
        }
        Rule::StopLoss { distance, .. } => adverse(leg.side, leg.entry.raw(), *distance),
        Rule::TrailingStop { distance, activation, base: of } => match trigger.role {
            Role::Activate => {
                begin(position, activation.expect("it has the part"), base(position, *of))
            }
            Role::Mark => ratio_at_least(position, trigger.mark + 1, base(position, *of)),
            _ if several => {
                let Distance::Rate(rate) = distance else {
                    unreachable!("registration refused it")
                };
                ratio_at_most(position, ratio_stop(trigger.mark, *rate), base(position, *of))
            }
            _ => trail(leg.side, trigger.mark, track_distance(*distance, instrument)),
        },
        Rule::TrailingProfit { activation, distance, floor, step, base: of } => {
            match (trigger.role, several) {
                (Role::Activate, _) => begin(position, *activation, base(position, *of)),
                (Role::Sample | Role::Listen | Role::Step | Role::Sign | Role::Tight, _) => {
                    unreachable!("no part of a trail")
                }
                (Role::Mark, _) => {
                    let moves =
                        div_floor(i128::from(trigger.mark) * (ONE + i128::from(step.raw())), ONE);
                    ratio_at_least(position, moves as i64 + 1, base(position, *of))
                }
                (Role::Trail, true) => ratio_at_most(
                    position,
                    ratio_stop(trigger.mark, *distance),
                    base(position, *of),
                ),
                (Role::Trail, false) => {
                    trail(leg.side, trigger.mark, TrackDistance::Rate(distance.raw()))
                }
                (Role::Fire, true) => {
                    ratio_at_most(position, PPB + floor.raw(), base(position, *of))
                }
                (Role::Fire, false) => {
                    // The mirror of a stop: at a gain of `floor` instead of a loss.
                    let rate = Rate::new(-floor.raw()).expect("a rate's negative is a rate");
                    adverse(leg.side, leg.entry.raw(), rate)
                }
            }
        }
        Rule::Deadline { max_age, at, session_close, close_before } => {
            let age = max_age.map(|age| position.opened.plus(age));
            let close = session_close
                .map(|time| next_time_of_day(position.opened, time).minus(*close_before));
            match [age, *at, close].into_iter().flatten().min() {
                Some(due) => Condition::Time(due.0),
                None => Condition::Never,
            }
        }
        other => crate::rules::condition(position, other, trigger, instrument),
    }
}

/// The first time after `from` whose time of day (UTC) is `time`.
fn next_time_of_day(from: Nanos, time: Nanos) -> Nanos {
    const DAY: u64 = 86_400_000_000_000;
    let midnight = from.0 - from.0 % DAY;
    let today = midnight.saturating_add(time.0);
    Nanos(if today > from.0 { today } else { today.saturating_add(DAY) })
}

pub(crate) fn nano_threshold(position: &Tracked, threshold: Threshold) -> i128 {
    match threshold {
        Threshold::Rate { rate, base: of } => i128::from(rate.raw()) * base(position, of),
        Threshold::Amount(amount) => nano(amount, position.scale),
    }
}

/// net ≥ threshold.
pub(crate) fn profit(position: &Tracked, threshold: i128) -> Condition {
    let bound = position.cost + threshold;
    if position.count > 1 {
        return Condition::net(Cmp::AtLeast, bound);
    }
    solve(&position.legs[0].form, position.legs[0].side, bound)
}

/// One leg's `value(x) ≥ bound` as a limit on x. Both of the form's lines must reach the bound.
fn solve(form: &LegForm, side: Side, bound: i128) -> Condition {
    let lines = [Some((form.slope(), bound)), minimum_line(form, bound)];
    let lines = lines.into_iter().flatten();
    match side {
        Side::Long => {
            let limit = lines.map(|(slope, bound)| div_ceil(bound, slope)).max().unwrap_or(1);
            price(Cmp::AtLeast, limit.max(1))
        }
        Side::Short => {
            let limit = lines.map(|(slope, bound)| div_floor(-bound, -slope)).min().unwrap_or(0);
            price(Cmp::AtMost, limit.min(i128::from(PRICE_MAX)))
        }
    }
}

fn minimum_line(form: &LegForm, bound: i128) -> Option<(i128, i128)> {
    (form.min_fee() > 0).then(|| (form.slope_min(), bound + form.min_fee()))
}

pub(crate) fn price(cmp: Cmp, limit: i128) -> Condition {
    if (1..=i128::from(PRICE_MAX)).contains(&limit) {
        Condition::Price(cmp, limit as i64)
    } else {
        Condition::Never
    }
}

/// x at `rate` beyond `from` against the side: long x ≤ from·(1 − rate), short x ≥ from·(1 + rate).
pub(crate) fn adverse(side: Side, from: i64, rate: Rate) -> Condition {
    trail(side, from, TrackDistance::Rate(rate.raw()))
}

/// x ≥ E·(1 + a) for a long leg, x ≤ E·(1 − a) for a short one; y ≥ 10^9 + a on several legs.
pub(crate) fn begin(position: &Tracked, activation: Rate, base: i128) -> Condition {
    if position.count > 1 {
        return ratio_at_least(position, PPB + activation.raw(), base);
    }
    let leg = &position.legs[0];
    let entry = i128::from(leg.entry.raw());
    let rate = i128::from(activation.raw());
    match leg.side {
        Side::Long => price(Cmp::AtLeast, div_ceil(entry * (ONE + rate), ONE)),
        Side::Short => price(Cmp::AtMost, div_floor(entry * (ONE - rate), ONE)),
    }
}

/// How a track's members follow its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrackDistance {
    /// A share in ppb.
    Rate(i64),
    /// Price units.
    Units(i64),
}

/// A distance as a track keeps it.
pub(crate) fn track_distance(distance: Distance, instrument: &Instrument) -> TrackDistance {
    let spec = instrument.spec();
    match distance {
        Distance::Rate(rate) => TrackDistance::Rate(rate.raw()),
        Distance::Ticks(ticks) => TrackDistance::Units(ticks * spec.tick),
        Distance::Price(price) => {
            let units = price.at_scale(spec.price_scale).expect("registration checked the price");
            TrackDistance::Units(units as i64)
        }
    }
}

/// The stop that follows a mark, or `Never` when it lies beyond every price.
pub(crate) fn trail(side: Side, mark: i64, distance: TrackDistance) -> Condition {
    let mark = i128::from(mark);
    match (side, distance) {
        (Side::Long, TrackDistance::Rate(rate)) => {
            price(Cmp::AtMost, div_floor(mark * (ONE - i128::from(rate)), ONE))
        }
        (Side::Short, TrackDistance::Rate(rate)) => {
            price(Cmp::AtLeast, div_ceil(mark * (ONE + i128::from(rate)), ONE))
        }
        (Side::Long, TrackDistance::Units(units)) => price(Cmp::AtMost, mark - i128::from(units)),
        (Side::Short, TrackDistance::Units(units)) => price(Cmp::AtLeast, mark + i128::from(units)),
    }
}

/// The stop on the ratio: ⌊mark·(1 − d)⌋.
fn ratio_stop(mark: i64, distance: Rate) -> i64 {
    div_floor(i128::from(mark) * (ONE - i128::from(distance.raw())), ONE) as i64
}

/// y ≥ Y, or `Never` when no exit prices within bounds bring that much.
pub(crate) fn ratio_at_least(position: &Tracked, ratio: i64, base: i128) -> Condition {
    let gain = i128::from(ratio - PPB).checked_mul(base);
    match gain.and_then(|gain| gain.checked_add(position.cost)) {
        Some(bound) if bound <= most(position) => Condition::net(Cmp::AtLeast, bound),
        _ => Condition::Never,
    }
}

/// The largest Σ exit values that prices within bounds can bring.
fn most(position: &Tracked) -> i128 {
    let best = |side| match side {
        Side::Long => PRICE_MAX,
        Side::Short => 1,
    };
    position.legs().iter().map(|leg| leg.form.value(best(leg.side))).sum()
}

/// y ≤ Y.
pub(crate) fn ratio_at_most(position: &Tracked, ratio: i64, base: i128) -> Condition {
    Condition::net(Cmp::AtMost, position.cost + i128::from(ratio - PPB + 1) * base - 1)
}

/// y at a net, in ppb; saturated far outside of any rule.
pub(crate) fn ratio(net: i128, base: i128) -> i64 {
    if base == 0 {
        return PPB;
    }
    let limit = i128::from(i64::MAX / 4);
    (ONE + div_floor(net, base)).clamp(-limit, limit) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracked::Leg;

    fn long(weight: i64) -> Leg {
        let form = LegForm::new(Side::Long, weight, Rate::ZERO, Rate::ZERO, 0);
        Leg { form, ..Leg::NONE }
    }

    /// One leg's target is a price that its heap finds; a sum is looked at for several legs only.
    #[test]
    fn the_profit_of_one_leg_is_a_price_and_of_several_a_sum() {
        let mut position = Tracked::blank();
        position.legs[0] = long(2);
        position.cost = 2 * 100 * ONE;
        let ten = 10 * ONE;
        assert_eq!(profit(&position, ten), Condition::Price(Cmp::AtLeast, 105));
        position.count = 2;
        assert_eq!(profit(&position, ten), Condition::net(Cmp::AtLeast, 210 * ONE));
    }

    /// What no price brings is not watched at all.
    #[test]
    fn a_ratio_is_watched_up_to_what_the_highest_price_brings() {
        let mut position = Tracked::blank();
        position.legs[0] = long(1);
        let highest = i128::from(PRICE_MAX) * ONE;
        position.cost = highest - 3 * ONE;
        let at = |ratio| ratio_at_least(&position, PPB + ratio, ONE);
        assert_eq!(at(3), Condition::net(Cmp::AtLeast, highest));
        assert_eq!(at(4), Condition::Never);
        assert_eq!(ratio_at_least(&position, i64::MAX, i128::MAX), Condition::Never);
    }
}
