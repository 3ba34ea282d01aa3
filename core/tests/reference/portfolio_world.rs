//! Random rules over all positions, and what operators say of them.

use reap_core::event::{Command, Latch, TradingState};
use reap_core::instrument::{CurrencyId, InstrumentId};
use reap_core::policy::AssetClass;
use reap_core::portfolio::{
    Breakers, ClosingFee, DrawdownFrom, Health, Partial, PortfolioSettings,
};
use reap_core::position::Side;
use reap_core::tick::Quote;
use reap_core::units::{Decimal, Nanos, Rate};

use super::market::{Market, quote_of};
use super::rng::Rng;

const DAY: u64 = 86_400_000_000_000;

fn share(ppb: i64) -> Rate {
    Rate::new(ppb).expect("a small rate")
}

fn times(amount: Decimal, by: i64) -> Decimal {
    Decimal { mantissa: amount.mantissa * i128::from(by), scale: amount.scale }
}

/// `unit` is about a thousandth of a position's notional, at the first instrument's scale.
pub(super) fn settings(rng: &mut Rng, start: Nanos, unit: Decimal) -> PortfolioSettings {
    let mut settings = PortfolioSettings::off(CurrencyId(0));
    settings.fee_buffer_ppb =
        rng.pick(&[1_000_000_000, 1_100_000_000, 1_100_000_000, 1_033_333_333, 0]);
    settings.closing_fee = rng.pick(&[ClosingFee::Taker, ClosingFee::Taker, ClosingFee::Maker]);
    settings.escalate_after = Nanos::from_millis(rng.pick(&[5, 50, 300, 2000]));
    if rng.one_in(2) {
        settings.profit = Some(times(unit, rng.within(5, 60)));
    }
    if rng.one_in(3) {
        let share = share(rng.pick(&[500_000_000, 333_333_333, 100_000_000]));
        let at = times(unit, rng.within(1, 4));
        settings.partial = Some(Partial { at, share });
    }
    if rng.one_in(2) {
        settings.loss = Some(times(unit, -rng.within(5, 80)));
        settings.cooldown = rng.one_in(2).then(|| Nanos::from_millis(rng.within(0, 3000) as u64));
    }
    if rng.one_in(3) {
        settings.max_position_age = Some(Nanos::from_millis(rng.within(0, 8000) as u64));
    }
    if rng.one_in(2) {
        let first = rng.pick(&[1_000_000, 5_000_000, 30_000_000, 33_333_333]);
        settings.breakers = Some(Breakers {
            equity: times(unit, rng.pick(&[1000, 3000, 10_000])),
            levels: [share(first), share(first * 2), share(first * 3)],
            from: rng.pick(&[DrawdownFrom::Baseline, DrawdownFrom::Peak]),
            filter: rng.one_in(2),
            reset: Nanos((start.0 + rng.within(0, 60_000) as u64 * 1_000_000) % DAY),
        });
    }
    if rng.one_in(2) {
        settings.health = Some(health(rng));
    }
    settings
}

fn health(rng: &mut Rng) -> Health {
    let millis = |rng: &mut Rng, max| Nanos::from_millis(rng.within(1, max) as u64);
    Health {
        levels: rng.pick(&[[70, 50, 30], [70, 50, 30], [90, 80, 65], [60, 59, 58]]),
        hysteresis: rng.pick(&[5, 5, 0, 1]),
        cooldown: millis(rng, 3000),
        tighten: share(rng.pick(&[3_000_000, 100_000, 500_000, 1_000_000, 333_333])),
        never_tighten: std::iter::once(rng.pick(&[AssetClass::Meme, AssetClass::Major])).collect(),
        max_age: millis(rng, 20_000),
        positions: rng.within(1, 4) as u32,
        older_than: millis(rng, 1500),
    }
}

/// What an operator says now and then.
pub(super) fn command(rng: &mut Rng, unit: Decimal) -> Command {
    match rng.within(0, 9) {
        0 | 1 => Command::SetState(rng.pick(&[
            TradingState::Active,
            TradingState::Active,
            TradingState::Reducing,
            TradingState::Halted,
        ])),
        2..=5 => Command::Reset(rng.pick(&[Latch::PortfolioLoss, Latch::Drawdown])),
        6 | 7 => Command::Equity(times(unit, rng.pick(&[1000, 3000, 10_000, 0, -5]))),
        _ => Command::Transfer(times(unit, rng.within(-1500, 1500))),
    }
}

impl Market {
    /// A quote that brings the total of all positions exactly to a threshold, where one does.
    pub(super) fn aimed_quote(&mut self, id: InstrumentId) -> Option<Quote> {
        let missing = self.rng.pick(&self.missing);
        let index = usize::from(id.0);
        let spec = self.world.instruments[index].spec();
        let money = spec.price_scale + spec.qty_scale + spec.multiplier.scale;
        let unit = spec.multiplier.mantissa * 10i128.pow(u32::from(18 - money));
        let legs = self.holdings.iter().flat_map(|held| held.spec.legs.iter().zip(&held.open));
        let here = legs.filter(|(leg, _)| leg.instrument == id);
        let sign = |side: Side| if side == Side::Long { 1 } else { -1 };
        let qty: i64 = here.map(|(leg, open)| sign(leg.side) * open).sum();
        let per_tick = i128::from(qty) * unit;
        if per_tick == 0 || missing % per_tick != 0 {
            return None;
        }
        let by = i64::try_from(missing / per_tick).ok().filter(|by| by.abs() < 400)?;
        let (last, _) = self.tickers[index].last?;
        let (bid, ask) = (last.bid.raw() + by, last.ask.raw() + by);
        if bid < 1 {
            return None;
        }
        self.tickers[index].bid = bid;
        Some(quote_of(bid, ask, &mut self.rng))
    }
}
