//! Funding of perpetual contracts: what the venue settles while a position is held.
//!
//! The stream of an instrument predicts a rate for the next settlement. When a later message names a
//! later settlement, the earlier one has been settled at the last rate that was predicted for it, on
//! the last mark price that was received until its time: longs pay when the rate is positive.

use reap_core::event::Command;
use reap_core::executor::Executor;
use reap_core::instrument::{Instrument, InstrumentId};
use reap_core::position::{LegSpec, PositionId, PositionSpec};
use reap_core::tick::{Tick, TickBody};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate, mul_div_floor};

use crate::story::Note;

/// What an instrument's stream has said of its funding.
#[derive(Clone, Copy, Debug, Default)]
pub struct Funding {
    /// The last mark, but none that came after the time of `next`: what shows that a settlement has
    /// passed mostly brings a newer mark with it.
    mark: Option<Price>,
    next: Option<(Nanos, Rate)>,
}

/// A settlement.
#[derive(Clone, Copy, Debug)]
pub struct Settlement {
    at: Nanos,
    rate: Rate,
    mark: Price,
}

impl Funding {
    /// Takes a tick of the instrument in; gives the settlement that it shows to have passed.
    pub fn on_tick(&mut self, tick: &Tick) -> Option<Settlement> {
        match tick.body() {
            TickBody::Mark { price } => {
                let is_late = self.next.is_some_and(|(at, _)| at < tick.stamp().received);
                self.mark = self.mark.filter(|_| is_late).or(Some(price));
                None
            }
            TickBody::Funding { rate, settles } => {
                let passed =
                    self.next.filter(|(at, _)| *at < settles && *at <= tick.stamp().received);
                self.next = Some((settles, rate));
                let (at, rate) = passed?;
                Some(Settlement { at, rate, mark: self.mark? })
            }
            _ => None,
        }
    }
}

/// A leg's funding after a settlement.
#[derive(Clone, Copy, Debug)]
pub struct Booking {
    /// The position.
    pub position: PositionId,
    /// Index of the leg.
    pub leg: u8,
    /// As before.
    pub fees_paid: Decimal,
    /// Since it was opened.
    pub settled: i128,
    /// In all.
    pub funding: Decimal,
}

impl Settlement {
    /// What a leg with `open` receives, for its original quantity at the instrument's nano scale:
    /// the engine counts it pro rata for what is open. Rounded against us.
    fn amount(&self, instrument: &Instrument, leg: &LegSpec, open: Qty) -> i128 {
        let notional = instrument.notional(self.mark, open);
        let received = -leg.side.sign() * notional * i128::from(self.rate.raw());
        mul_div_floor(received, leg.qty.raw(), open.raw())
    }

    /// What a leg of which `open` is left and that has had `settled` since it was opened has received
    /// in all after this settlement of `instrument`; `None` when it takes no part in it.
    #[must_use]
    pub fn booking(
        &self,
        (instrument, of): (InstrumentId, &Instrument),
        (position, spec): (PositionId, &PositionSpec),
        nth: usize,
        open: Qty,
        settled: i128,
    ) -> Option<Booking> {
        let leg = spec.legs.get(nth)?;
        if leg.instrument != instrument || open == Qty::ZERO || spec.opened > self.at {
            return None;
        }
        let settled = settled.saturating_add(self.amount(of, leg, open));
        let before = leg.funding.at_scale(of.nano_scale()).unwrap_or_default();
        Some(Booking {
            position,
            leg: nth as u8,
            fees_paid: leg.fees_paid,
            settled,
            funding: Decimal { mantissa: before + settled, scale: of.nano_scale() },
        })
    }
}

impl Booking {
    /// Tells the executor; gives what to note, and whether it was taken.
    pub fn book(&self, executor: &mut Executor) -> (Note, bool) {
        let Self { position, leg, fees_paid, settled, funding } = *self;
        let realised =
            |executor: &Executor| executor.realised(position).map_or(0, |net| net.mantissa);
        let before = realised(executor);
        let taken = executor.on_amounts(position, usize::from(leg), fees_paid, funding).is_ok();
        let unearned = realised(executor) - before;
        (Note::Funding { position, leg, settled, unearned }, taken)
    }

    /// What the engine is told.
    #[must_use]
    pub const fn command(&self) -> Command {
        let Self { position, leg, fees_paid, funding, .. } = *self;
        Command::Amounts { position, leg, fees_paid, funding }
    }
}

#[cfg(test)]
mod tests {
    use reap_core::instrument::{InstrumentId, SourceId};
    use reap_core::tick::Stamp;

    use super::*;

    fn tick(at: u64, settles: u64, ppb: i64) -> Tick {
        let stamp = Stamp {
            source: SourceId(0),
            received: Nanos(at),
            update_id: 0,
            venue_lag_us: 0,
            reset: false,
        };
        Tick::funding(InstrumentId(0), stamp, Rate::new(ppb).unwrap(), Nanos(settles))
    }

    #[test]
    fn a_settlement_is_seen_once_and_at_its_last_predicted_rate() {
        let mut funding = Funding { mark: Some(Price::new(100).unwrap()), next: None };
        assert!(funding.on_tick(&tick(10, 100, 5)).is_none());
        assert!(funding.on_tick(&tick(90, 100, 7)).is_none());
        let settled = funding.on_tick(&tick(101, 200, 9)).unwrap();
        assert_eq!((settled.at, settled.rate.raw()), (Nanos(100), 7));
        assert!(funding.on_tick(&tick(102, 200, 9)).is_none());
    }

    #[test]
    fn the_mark_is_the_one_of_the_settlement() {
        let price = |price| Price::new(price).unwrap();
        let mark = |at, mark| Tick::mark(InstrumentId(0), tick(at, 0, 0).stamp(), price(mark));
        let mut funding = Funding::default();
        for ticks in [
            [mark(10, 1), tick(10, 100, 5)],
            [mark(100, 2), tick(100, 100, 5)],
            [mark(101, 3), tick(101, 100, 6)],
        ] {
            assert!(ticks.iter().all(|tick| funding.on_tick(tick).is_none()));
        }
        assert!(funding.on_tick(&mark(102, 4)).is_none());
        let settled = funding.on_tick(&tick(102, 200, 9)).unwrap();
        assert_eq!((settled.mark, settled.rate.raw()), (price(2), 6));
        // The next settlement counts the marks that come until then.
        assert!(funding.on_tick(&mark(103, 5)).is_none());
        assert_eq!(funding.on_tick(&tick(201, 300, 9)).unwrap().mark, price(5));
        // One that came too late is better than none.
        let mut funding = Funding { mark: None, next: Some((Nanos(100), Rate::ZERO)) };
        assert!(funding.on_tick(&mark(101, 3)).is_none());
        assert_eq!(funding.on_tick(&tick(101, 200, 9)).unwrap().mark, price(3));
    }

    #[test]
    fn a_prediction_that_is_moved_before_its_time_settles_nothing() {
        let mut funding = Funding { mark: Some(Price::new(100).unwrap()), next: None };
        assert!(funding.on_tick(&tick(10, 100, 5)).is_none());
        assert!(funding.on_tick(&tick(50, 200, 5)).is_none());
    }
}
