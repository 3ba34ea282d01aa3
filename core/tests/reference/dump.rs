//! The signs of a dump as SPEC §5 says them: from all that was traded, minute by minute.

use std::collections::BTreeMap;

use reap_core::instrument::{Instrument, InstrumentId};
use reap_core::policy::{Rule, RuleSpec};
use reap_core::position::Side;
use reap_core::tick::{Tick, TickBody};
use reap_core::units::{Decimal, Nanos, Qty, Rate};

use super::exact::Exact;
use super::life::Life;
use super::rng::Rng;

const MINUTE: u64 = 60_000_000_000;
const LATE: u64 = 2_000_000_000;

/// What aggressors bought and sold in a minute, in base units.
#[derive(Clone, Debug)]
struct Traded {
    bought: Exact,
    sold: Exact,
}

/// One instrument's trades.
#[derive(Clone, Debug)]
struct Tape {
    unit: Exact,
    minutes: BTreeMap<u64, Traded>,
    /// Every minute before this one is closed.
    open: u64,
}

impl Tape {
    fn pass(&mut self, minute: u64) {
        self.open = self.open.max(minute);
        self.minutes.retain(|&minute, _| minute + 10 > self.open);
    }

    /// What went against a side in a closed minute, counted back from the last, and with it.
    fn closed(&self, back: u64, side: Side) -> (Exact, Exact) {
        let minute = self.open.saturating_sub(1 + back);
        let Some(traded) = self.minutes.get(&minute) else {
            return (Exact::zero(), Exact::zero());
        };
        let Traded { bought, sold } = traded.clone();
        if side == Side::Long { (sold, bought) } else { (bought, sold) }
    }
}

/// Every instrument's trades.
#[derive(Clone, Debug)]
pub(crate) struct Tapes(Vec<Tape>);

/// Which volume signs stand against a side; whether any of them does by equality.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signs {
    pub(crate) reversed: bool,
    pub(crate) flipped: bool,
    pub(crate) equal: bool,
}

impl Tapes {
    pub(crate) fn new(instruments: &[Instrument]) -> Self {
        let tape = |instrument: &Instrument| {
            let spec = instrument.spec();
            let unit = &Exact::new(1, spec.qty_scale) * &Exact::from(spec.multiplier);
            Tape { unit, minutes: BTreeMap::new(), open: 0 }
        };
        Self(instruments.iter().map(tape).collect())
    }

    pub(crate) fn on_time(&mut self, now: Nanos) {
        for tape in &mut self.0 {
            tape.pass(now.0.saturating_sub(LATE) / MINUTE);
        }
    }

    pub(crate) fn on_tick(&mut self, now: Nanos, tick: &Tick) {
        let TickBody::Trade { qty, buyer_aggressor, at, .. } = tick.body() else { return };
        let minute = at.0 / MINUTE;
        // A minute that no clock has reached.
        if minute > now.0 / MINUTE + 1 {
            return;
        }
        let tape = &mut self.0[usize::from(tick.instrument().0)];
        tape.pass(minute);
        if minute < tape.open {
            return;
        }
        let none = || Traded { bought: Exact::zero(), sold: Exact::zero() };
        let traded = tape.minutes.entry(minute).or_insert_with(none);
        let more = &Exact::int(qty.raw()) * &tape.unit;
        let sum = if buyer_aggressor { &mut traded.bought } else { &mut traded.sold };
        *sum = &*sum + &more;
    }

    pub(crate) fn signs(&self, id: InstrumentId, side: Side, min_volume: Decimal) -> Signs {
        let tape = &self.0[usize::from(id.0)];
        let least = Exact::from(min_volume);
        let reversed = (0..3).all(|back| {
            let (against, with) = tape.closed(back, side);
            against > with
        });
        // At least 2.5 : 1, of at least the least volume; then whether either by equality.
        let leans = |more: &Exact, less: &Exact| {
            let (all, bound) = (more + less, less * &Exact::new(25, 1));
            let counts = !more.is_zero() && *more >= bound && all >= least;
            counts.then(|| *more == bound || all == least)
        };
        let (against, with) = tape.closed(0, side);
        let last = leans(&against, &with);
        let before = (1..5).filter_map(|back| {
            let (against, with) = tape.closed(back, side);
            leans(&with, &against)
        });
        let before: Vec<bool> = before.collect();
        let flipped = last.is_some() && !before.is_empty();
        let equal = flipped && (last == Some(true) || before.iter().all(|&equal| equal));
        Signs { reversed, flipped, equal }
    }
}

impl Life {
    /// What the volumes say at this moment.
    pub(crate) fn see_signs(&mut self, tapes: &Tapes) {
        let leg = &self.legs[0].spec;
        for (RuleSpec { rule, .. }, state) in self.policy.rules.iter().zip(&mut self.rules) {
            if let Rule::Dump { min_volume, .. } = *rule {
                state.signs = tapes.signs(leg.instrument, leg.side, min_volume);
            }
        }
    }
}

/// One of a few least volumes: the classes of an instrument are bounded.
pub(crate) fn rule(rng: &mut Rng, instrument: &Instrument, drop: Rate) -> Rule {
    let spec = instrument.spec();
    let scale = spec.qty_scale + spec.multiplier.scale;
    let mantissa = rng.pick(&[5, 10]) * spec.multiplier.mantissa;
    Rule::Dump { min_volume: Decimal { mantissa, scale }, drop }
}

/// Quantity, aggressor and venue time of a trade: most minutes lean to one side.
pub(crate) fn trade(rng: &mut Rng, id: InstrumentId, now: Nanos) -> (Qty, bool, Nanos) {
    let at = match rng.within(0, 39) {
        0 => now.plus(Nanos(90_000_000_000)),
        1 => now.minus(Nanos(65_000_000_000)),
        2..=9 => now.minus(Nanos::from_millis(rng.within(0, 3_000) as u64)),
        10 => now.plus(Nanos::from_millis(rng.within(0, 3_000) as u64)),
        _ => now,
    };
    // For four minutes the one side, then mostly the other.
    let lean = at.0 / MINUTE / 4 + u64::from(id.0);
    let bought = match lean % 5 {
        0 | 2 => rng.one_in(6),
        1 | 3 => !rng.one_in(6),
        _ => rng.one_in(2),
    };
    (Qty::new(rng.pick(&[2, 5, 5])).expect("small"), bought, at)
}
