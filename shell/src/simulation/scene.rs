//! What a trial's desk trades: its instruments, venues and policies.

use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::GateSettings;
use reap_core::executor::ExecutorLimits;
use reap_core::instrument::{ContractKind, CurrencyId, Instrument, InstrumentSpec, VenueId};
use reap_core::policy::{Distance, Policy, Rule, Threshold, Tier};
use reap_core::position::Side;
use reap_core::units::{Decimal, Nanos, Rate};

/// Instruments: the first two at one venue, the others at the second; the last is spot.
pub(super) const INSTRUMENTS: usize = 4;
pub(super) const VENUES: usize = 2;
pub(super) const POSITIONS_MAX: usize = 6;

pub(super) fn instrument(at: usize) -> InstrumentSpec {
    let spot = at == INSTRUMENTS - 1;
    let coarse = at == 1;
    InstrumentSpec {
        venue: VenueId(venue_of(at) as u8),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 0,
        qty_scale: 0,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: if coarse { 50 } else { 10 },
        lot: if coarse { 10 } else { 1 },
        min_qty: if coarse { 20 } else { 1 },
        min_notional: Decimal { mantissa: if spot { 500_000 } else { 0 }, scale: 0 },
        taker: Rate::from_bps(5),
        maker: Rate::from_bps(2),
        min_fee: Decimal { mantissa: 0, scale: 0 },
        max_quote_age: Nanos::from_secs(5),
        jump_limit: Rate::from_bps(500),
        jump_ticks: 5,
        reduce_only: !spot,
        min_notional_on_reduce: false,
        peer: None,
    }
}

/// One side of an instrument, so that no account holds both. Spot is long.
pub(super) const fn side_of(instrument: usize) -> Side {
    if instrument < 2 { Side::Short } else { Side::Long }
}

pub(super) const fn venue_of(instrument: usize) -> usize {
    instrument / 2
}

pub(super) fn policies() -> [Policy; 4] {
    let profit = |bps| Threshold::Rate { rate: Rate::from_bps(bps), base: None };
    let tier =
        |bps, percent: i64| Tier { at: Rate::from_bps(bps), share: Rate::from_bps(percent * 100) };
    [
        Policy::of([
            Rule::TakeProfit { threshold: profit(40) },
            Rule::StopLoss { distance: Rate::from_bps(60), base: None },
        ]),
        Policy::of([
            Rule::Tiers {
                base: None,
                tiers: [tier(10, 30), tier(40, 60), tier(90, 100)].into_iter().collect(),
            },
            Rule::StopLoss { distance: Rate::from_bps(150), base: None },
        ]),
        Policy::of([
            Rule::TrailingStop {
                distance: Distance::Rate(Rate::from_bps(80)),
                activation: None,
                base: None,
            },
            Rule::TakeProfit { threshold: profit(300) },
        ]),
        Policy::of([
            Rule::TakeProfit { threshold: profit(100) },
            Rule::Deadline {
                max_age: Some(Nanos::from_secs(20)),
                at: None,
                session_close: None,
                close_before: Nanos(0),
            },
        ]),
    ]
}

pub(super) fn engine(instruments: &[Instrument]) -> Engine {
    let limits = EngineLimits::any(POSITIONS_MAX, policies().len(), 8 * POSITIONS_MAX);
    let mut engine = Engine::new(limits, instruments, 1, GateSettings::default());
    for policy in policies() {
        engine.add_policy(policy).expect("a policy of the trial");
    }
    engine
}

pub(super) const fn executor_limits() -> ExecutorLimits {
    ExecutorLimits { positions: POSITIONS_MAX, orders: 2 * POSITIONS_MAX }
}
