//! Prices at which a rule of a held position turns: a random walk alone would seldom meet a
//! threshold exactly.

use reap_core::event::{Command, Event};
use reap_core::instrument::InstrumentId;
use reap_core::policy::{Distance, Policy, Rule};
use reap_core::position::{LegSpec, Side};
use reap_core::units::Price;

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
            Rule::ProfitErosion { .. }
                if !several
                    && self.rng.one_in(2)
                    && let Some((peak, fall)) = self.peak(holding, rule, policy) =>
            {
                self.fall_next = Some((id, side, fall));
                return Some((side, peak));
            }
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
            Rule::Liquidation { .. } => turn(rule, i128::from(holding.liquidations[at]?), side)?,
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

    /// A liquidation price becomes known: beyond the market, rarely on its wrong side, or none.
    pub(super) fn liquidation(&mut self) -> Event {
        let one = self.rng.next() as usize % self.holdings.len();
        let leg = self.rng.next() as usize % self.holdings[one].spec.legs.len();
        let LegSpec { instrument, side, .. } = self.holdings[one].spec.legs[leg];
        let at = usize::from(instrument.0);
        let tick = self.world.instruments[at].spec().tick;
        let away = self.rng.within(-1, 12) * self.tickers[at].bid / 100;
        let ticks = match side {
            Side::Long => self.tickers[at].bid - away,
            Side::Short => self.tickers[at].bid + away,
        };
        // Half of them such that a round mark price is at the threshold exactly.
        let holding = &self.holdings[one];
        let rules = &self.world.policies[usize::from(holding.spec.policy.0)].rules;
        let near = rules.iter().find_map(|said| match said.rule {
            Rule::Liquidation { threshold } => Some(i128::from(threshold.raw())),
            _ => None,
        });
        let round = i128::from((ticks.max(1) + 500) / 1000 * 1000 * tick);
        let exact = round * (1_000_000_000 - side.sign() * near.unwrap_or(0));
        let mut price = ticks.max(1) * tick;
        if exact > 0 && exact % 1_000_000_000 == 0 && self.rng.one_in(2) {
            price = (exact / 1_000_000_000) as i64;
        }
        let price = (!self.rng.one_in(6)).then_some(price);
        let price = price.map(|price| Price::new(price).expect("a small price"));
        self.holdings[one].liquidations[leg] = price.map(Price::raw);
        let position = self.holdings[one].id;
        Event::Command(Command::Liquidation { position, leg: leg as u8, price })
    }

    /// A mark price at, or one unit beside, which a liquidation rule on the instrument turns.
    pub(super) fn liquidation_price(&mut self, id: InstrumentId) -> Option<i64> {
        let turns = |holding: &Holding| {
            let at = holding.spec.legs.iter().position(|leg| leg.instrument == id)?;
            let policy = &self.world.policies[usize::from(holding.spec.policy.0)];
            let price = i128::from(holding.liquidations[at]?);
            policy.rules.iter().find_map(|said| turn(&said.rule, price, holding.spec.legs[at].side))
        };
        let turns: Vec<i64> = self.holdings.iter().filter_map(turns).collect();
        if turns.is_empty() {
            return None;
        }
        let price = self.rng.pick(&turns) + self.rng.pick(&[0, 0, 0, 1, -1]);
        (price > 0).then_some(price)
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

    /// A new best price of one leg, and that at which the net is what is left of its peak then:
    /// exactly, where a peak nearby has such a price.
    fn peak(&self, holding: &Holding, rule: &Rule, policy: &Policy) -> Option<(i64, i64)> {
        let leg = holding.spec.legs[0];
        let ticker = &self.tickers[usize::from(leg.instrument.0)];
        let tick = self.world.instruments[usize::from(leg.instrument.0)].spec().tick;
        let (best, up) = match leg.side {
            Side::Long => (ticker.high * tick, tick),
            Side::Short => ((ticker.low + ticker.spread) * tick, -tick),
        };
        let (minimum, _) = self.solved_from(holding, 0, rule, policy, None)?;
        let from = if up > 0 { best.max(minimum) } else { best.min(minimum) };
        let peaks = (1..20).map(|steps| from + steps * up).filter(|&peak| peak > 0);
        let falls = peaks.map(|peak| {
            let (fall, exact) = self.solved_from(holding, 0, rule, policy, Some(peak))?;
            Some((peak, fall, exact))
        });
        let falls: Vec<_> = falls.flatten().collect();
        let exact = falls.iter().find(|(.., exact)| *exact).or(falls.first());
        exact.map(|&(peak, fall, _)| (peak, fall))
    }

    /// The exit price of leg `at` at which a rule on net meets its threshold, the other legs'
    /// prices as they are; `None` when it is far from the present one.
    fn solved(&self, holding: &Holding, at: usize, rule: &Rule, policy: &Policy) -> Option<i64> {
        // Rules of several thresholds: one of them, by what the position's number happens to be.
        let leg = holding.spec.legs[at];
        let ticker = &self.tickers[usize::from(leg.instrument.0)];
        let best = match leg.side {
            Side::Long => ticker.high,
            Side::Short => ticker.low + ticker.spread,
        } * self.world.instruments[usize::from(leg.instrument.0)].spec().tick;
        let falls = holding.spec.legs.len() == 1 && !self.nth(leg.instrument).is_multiple_of(3);
        let solved = self.solved_from(holding, at, rule, policy, falls.then_some(best));
        solved.map(|(price, _)| price)
    }

    fn nth(&self, id: InstrumentId) -> usize {
        let ticker = &self.tickers[usize::from(id.0)];
        (ticker.bid as u64).wrapping_mul(0x9e37_79b9) as usize >> 3
    }

    /// The same, the best price of a profit that erodes being given; then whether it is met exactly.
    fn solved_from(
        &self,
        holding: &Holding,
        at: usize,
        rule: &Rule,
        policy: &Policy,
        best: Option<i64>,
    ) -> Option<(i64, bool)> {
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
        let nth = self.nth(legs[at].spec.instrument);
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
                Rule::ProfitErosion { fraction, .. } if let Some(best) = best => {
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
        let exact = (&distance - &(&slope * &Exact::int(by))).is_zero();
        (by.abs() <= present / 10).then_some((present + by, exact))
    }
}

/// The mark price at which a liquidation rule turns, or just beside it.
fn turn(rule: &Rule, at: i128, side: Side) -> Option<i64> {
    let Rule::Liquidation { threshold } = rule else { return None };
    let near = 1_000_000_000 - side.sign() * i128::from(threshold.raw());
    Some((at * 1_000_000_000 / near) as i64)
}
