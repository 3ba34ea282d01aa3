//! profit_erosion: net against what is left of its peak.

use std::cmp::Ordering;

use reap_core::policy::{Base, Policy, Rule, Threshold};
use reap_core::units::Rate;

use super::super::exact::Exact;
use super::super::formulas::{self, Leg, Seen};
use super::super::rng::Rng;

/// What the ratio of several legs is a ratio of.
pub(crate) fn base(minimum: &Threshold) -> Option<Base> {
    match minimum {
        Threshold::Rate { base, .. } => *base,
        Threshold::Amount(_) => None,
    }
}

/// Whether the peak is one: net has reached the minimum.
pub(crate) fn begins(rule: &Rule, net: &Exact, legs: &[Leg]) -> bool {
    let Rule::ProfitErosion { minimum, .. } = rule else {
        unreachable!("any other rule without activation starts with a mark")
    };
    formulas::profit(net, legs, minimum).cmp(&Exact::zero()) != Ordering::Less
}

/// peak·(1 − fraction) − net: the rule holds when this is not negative. The peak is the net at the
/// best exit price of one leg, the best net / base of several.
pub(crate) fn lost(
    mark: &Exact,
    seen: &Seen,
    net: &Exact,
    fraction: Rate,
    legs: &[Leg],
    policy: &Policy,
) -> Exact {
    let kept = &Exact::int(1) - &Exact::ppb(fraction.raw());
    if let [leg] = legs {
        let peak = formulas::net(legs, policy, &[leg.mantissa(mark)]);
        return &(&peak * &kept) - net;
    }
    let one = Exact::int(1);
    &(&(mark - &one) * &kept) - &(&seen.x - &one)
}

pub(crate) fn random(
    rng: &mut Rng,
    rates: &[i64],
    amount: Option<Threshold>,
    base: Option<Base>,
) -> Rule {
    let rate = |ppb| Rate::new(ppb).expect("a rate");
    let minimum = match amount {
        Some(amount) => amount,
        None => Threshold::Rate { rate: rate(rng.pick(rates)), base },
    };
    let fraction = rate(rng.pick(&[
        500_000_000,
        500_000_000,
        250_000_000,
        900_000_000,
        333_333_333,
        1,
        999_999_999,
    ]));
    Rule::ProfitErosion { minimum, fraction }
}
