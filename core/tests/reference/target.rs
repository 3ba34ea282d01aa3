//! Prices at which a rule of a held position turns: a random walk alone would seldom meet a
//! threshold exactly.

use reap_core::instrument::InstrumentId;
use reap_core::policy::{Distance, Policy, Rule};
use reap_core::position::{LegSpec, Side};

use super::exact::Exact;
use super::formulas::{self, Leg};
use super::market::Market;
use super::player::Holding;
use super::rules::decay;

impl Market {
    /// An exit price at, or one unit beside, a threshold of a position on the instrument.
    pub(super) fn threshold_price(&mut self, id: InstrumentId) -> Option<(Side, i64)> {
        let on = |holding: &&Holding| holding.spec.legs.iter().any(|leg| leg.instrument == id);
        let here: Vec<&Holding> = self.holdings.iter().filter(on).collect();
        if here.is_empty() {
            return None;
        }
        let holding = self.rng.pick(&here);
        let at = holding.spec.legs.iter().position(|leg| leg.instrument == id)?;
        let policy = &self.world.policies[usize::from(holding.spec.policy.0)];
        let rule = &policy.rules[self.rng.next() as usize % policy.rules.len()].rule;
        let side = holding.spec.legs[at].side;
        let several = holding.spec.legs.len() > 1;
        let price = match rule {
            Rule::TakeProfit { .. }
            | Rule::Basis { .. }
            | Rule::Tiers { .. }
            | Rule::Decay { .. }
            | Rule::ProfitErosion { .. } => self.solved(holding, at, rule, policy)?,
            Rule::Reversal { .. } => {
                let price = self.solved(holding, at, rule, policy)?;
                let against = if side == Side::Long { Side::Short } else { Side::Long };
                self.signal_next = Some((id, against));
                price
            }
            Rule::StopLoss { .. } if several => self.solved(holding, at, rule, policy)?,
            _ if several => return None,
            _ => {
                let (leg, rule) = (holding.spec.legs[0], rule.clone());
                self.limit(id, leg.side, leg.entry.raw(), &rule)?
            }
        };
        let price = price + self.rng.pick(&[0, 0, 0, 1, -1]);
        (price > 0).then_some((side, price))
    }

    /// Where a price rule of one leg turns, were its mark the ticker's own.
    fn limit(&mut self, id: InstrumentId, side: Side, entry: i64, rule: &Rule) -> Option<i64> {
        let ticker = &self.tickers[usize::from(id.0)];
        let tick = self.world.instruments[usize::from(id.0)].spec().tick;
        let mark = match side {
            Side::Long => ticker.high * tick,
            Side::Short => (ticker.low + ticker.spread) * tick,
        };
        let (from, ppb) = match rule {
            Rule::StopLoss { distance, .. } => (entry, -distance.raw()),
            Rule::TrailingStop { activation: Some(at), .. } if self.rng.one_in(2) => {
                (entry, at.raw())
            }
            Rule::TrailingStop { distance: Distance::Rate(by), .. } => (mark, -by.raw()),
            Rule::Dump { drop, .. } => (mark, -drop.raw()),
            Rule::BreakEven { activation, offset } => {
                (entry, if self.rng.one_in(2) { activation.raw() } else { offset.raw() })
            }
            Rule::TrailingProfit { activation, distance, floor, .. } => {
                match self.rng.within(0, 2) {
                    0 => (entry, activation.raw()),
                    1 => (entry, floor.raw()),
                    _ => (mark, -distance.raw()),
                }
            }
            _ => return None,
        };
        let by = i128::from(from) * i128::from(ppb) * side.sign() / 1_000_000_000;
        Some(from + by as i64)
    }

    /// The exit price of leg `at` at which a rule on net meets its threshold, the other legs'
    /// prices as they are; `None` when it is far from the present one.
    fn solved(&self, holding: &Holding, at: usize, rule: &Rule, policy: &Policy) -> Option<i64> {
        let leg = |(spec, &open): (&LegSpec, &i64)| {
            Leg::new(*spec, *self.world.instruments[usize::from(spec.instrument.0)].spec(), open)
        };
        let legs: Vec<Leg> = holding.spec.legs.iter().zip(&holding.open).map(leg).collect();
        if legs[at].open == 0 {
            return None;
        }
        let exit = |leg: &Leg| {
            let ticker = &self.tickers[usize::from(leg.spec.instrument.0)];
            let spread = if leg.spec.side == Side::Long { 0 } else { ticker.spread };
            (ticker.bid + spread) * leg.instrument.tick
        };
        let mut exits: Vec<i64> = legs.iter().map(exit).collect();
        // Rules of several thresholds: one of them, by what the position's number happens to be.
        let ticker = &self.tickers[usize::from(legs[at].spec.instrument.0)];
        let nth = (ticker.bid as u64).wrapping_mul(0x9e37_79b9) as usize >> 3;
        let best = match legs[at].spec.side {
            Side::Long => ticker.high,
            Side::Short => ticker.low + ticker.spread,
        } * legs[at].instrument.tick;
        let present = exits[at];
        let difference = |exits: &[i64]| {
            let net = formulas::net(&legs, policy, exits);
            Some(match rule {
                Rule::TakeProfit { threshold } | Rule::Basis { threshold } => {
                    formulas::profit(&net, &legs, threshold)
                }
                Rule::Tiers { base, tiers } => {
                    formulas::profit_rate(&net, &legs, tiers[0].at, *base)
                }
                Rule::Reversal { at, base, .. } => formulas::profit_rate(&net, &legs, *at, *base),
                Rule::StopLoss { distance, base } => formulas::loss(&net, &legs, *distance, *base),
                Rule::Decay { threshold, steps } => {
                    let come = (nth % (steps.len() + 1)) as u8;
                    formulas::profit(&net, &legs, decay::threshold(threshold, steps, come))
                }
                Rule::ProfitErosion { fraction, .. }
                    if legs.len() == 1 && !nth.is_multiple_of(3) =>
                {
                    let kept = &Exact::int(1) - &Exact::ppb(fraction.raw());
                    &net - &(&formulas::net(&legs, policy, &[best]) * &kept)
                }
                Rule::ProfitErosion { minimum, .. } => formulas::profit(&net, &legs, minimum),
                _ => return None,
            })
        };
        let here = difference(&exits)?;
        exits[at] += 1;
        let slope = &difference(&exits)? - &here;
        // Below and above nought the sum of the two is nought: only the magnitude is divided.
        let (distance, slope) =
            if slope < Exact::zero() { (here, -&slope) } else { (-&here, slope) };
        if slope.is_zero() {
            return None;
        }
        let by = distance.div_floor(&slope, 0).whole()?;
        (by.abs() <= present / 10).then_some(present + by)
    }
}
