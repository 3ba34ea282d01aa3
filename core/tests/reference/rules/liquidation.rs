//! liquidation: how far the mark price is from a leg's liquidation price.

use std::cmp::Ordering;

use reap_core::policy::{Rule, TriggerSource};
use reap_core::position::Side;
use reap_core::units::{Nanos, Price, Rate};

use super::super::exact::Exact;
use super::super::formulas::Leg;
use super::super::gates::Gates;
use super::super::life::Life;
use super::super::rng::Rng;

/// Whether it holds for a leg that is open; then whether by equality, and by another price than the
/// mark.
pub(crate) fn holds(
    leg: &Leg,
    at: Option<Price>,
    threshold: Rate,
    gates: &Gates,
    now: Nanos,
) -> Option<(bool, bool)> {
    let at = leg.price(at.filter(|_| leg.open > 0)?.raw());
    let (kind, may) = gates.left(leg.spec.instrument, TriggerSource::Mark, now)?;
    let quote = gates.price(leg.spec.instrument, kind)?;
    if !may {
        return None;
    }
    let (distance, price) = match leg.spec.side {
        Side::Long => {
            let price = leg.price(quote.bid.raw());
            (&price - &at, price)
        }
        Side::Short => {
            let price = leg.price(quote.ask.raw());
            (&at - &price, price)
        }
    };
    // distance / price ≤ threshold, the price being positive.
    let ordering = distance.cmp(&(&price * &Exact::ppb(threshold.raw())));
    (ordering != Ordering::Greater)
        .then_some((ordering == Ordering::Equal, kind != TriggerSource::Mark))
}

impl Life {
    /// What is known of a leg from now on. False when there is no such leg.
    pub(crate) fn on_liquidation(&mut self, leg: u8, price: Option<Price>) -> bool {
        let Some(at) = self.liquidations.get_mut(usize::from(leg)) else { return false };
        *at = price;
        true
    }
}

pub(crate) fn random(rng: &mut Rng) -> Rule {
    let threshold = rng.pick(&[1, 2_000_000, 10_000_000, 50_000_000, 100_000_000, 3_333_333]);
    Rule::Liquidation { threshold: Rate::new(threshold).expect("a small rate") }
}
