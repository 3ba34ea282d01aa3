//! Funding of perpetual contracts: what the venue settles while a position is held.
//!
//! The stream of an instrument predicts a rate for the next settlement. When a later message names a
//! later settlement, the earlier one has been settled at the last rate that was predicted for it, on
//! the last mark price that was received until its time: longs pay when the rate is positive.

use reap_core::event::{Command, Event};
use reap_core::executor::Executor;
use reap_core::instrument::{Instrument, InstrumentId};
use reap_core::position::{LegSpec, PositionId};
use reap_core::tick::{Tick, TickBody};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate, mul_div_floor};

use super::Pipeline;
use crate::story::{Note, Standing, Watcher};

/// What an instrument's stream has said of its funding.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Funding {
    /// The last mark, but none that came after the time of `next`: what shows that a settlement has
    /// passed mostly brings a newer mark with it.
    mark: Option<Price>,
    next: Option<(Nanos, Rate)>,
}

/// A settlement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settlement {
    pub(super) at: Nanos,
    rate: Rate,
    mark: Price,
}

impl Funding {
    /// Takes a tick of the instrument in; gives the settlement that it shows to have passed.
    pub(super) fn on_tick(&mut self, tick: &Tick) -> Option<Settlement> {
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
struct Booking {
    position: PositionId,
    leg: usize,
    fees_paid: Decimal,
    /// Since it was opened.
    settled: i128,
    /// In all.
    funding: Decimal,
}

impl Settlement {
    /// What a leg with `open` receives, for its original quantity at the instrument's nano scale:
    /// the engine counts it pro rata for what is open. Rounded against us.
    pub(super) fn amount(&self, instrument: &Instrument, leg: &LegSpec, open: Qty) -> i128 {
        let notional = instrument.notional(self.mark, open);
        let received = -leg.side.sign() * notional * i128::from(self.rate.raw());
        mul_div_floor(received, leg.qty.raw(), open.raw())
    }
}

impl Pipeline {
    /// Books what a settlement of funding brings to every leg of an instrument.
    pub(super) fn settle_funding(
        &mut self,
        instrument: InstrumentId,
        due: Settlement,
        watch: Watcher<'_>,
    ) {
        for at in 0..self.story.standings().len() {
            let spec = self.story.standings()[at].spec.as_ref();
            for nth in 0..spec.map_or(0, |spec| spec.legs.len()) {
                if let Some(booking) = self.settled(at, nth, instrument, &due) {
                    self.book_funding(&booking, watch);
                }
            }
        }
    }

    /// What a leg has received in all after a settlement; `None` when it takes no part in it.
    fn settled(
        &self,
        at: usize,
        nth: usize,
        instrument: InstrumentId,
        due: &Settlement,
    ) -> Option<Booking> {
        let Standing { spec: Some(spec), id: Some(position), open, funding, .. } =
            &self.story.standings()[at]
        else {
            return None;
        };
        let leg = &spec.legs[nth];
        if leg.instrument != instrument || open[nth] == Qty::ZERO || spec.opened > due.at {
            return None;
        }
        let of = self.story.instrument(instrument);
        let settled = funding[nth].saturating_add(due.amount(of, leg, open[nth]));
        let before = leg.funding.at_scale(of.nano_scale()).unwrap_or_default();
        Some(Booking {
            position: *position,
            leg: nth,
            fees_paid: leg.fees_paid,
            settled,
            funding: Decimal { mantissa: before + settled, scale: of.nano_scale() },
        })
    }

    /// Tells engine and executor a leg's funding; what it sets off comes before the next leg's.
    fn book_funding(&mut self, booking: &Booking, watch: Watcher<'_>) {
        let Booking { position, leg, fees_paid, settled, funding } = *booking;
        let realised =
            |executor: &Executor| executor.realised(position).map_or(0, |net| net.mantissa);
        let before = realised(&self.executor);
        let taken = self.executor.on_amounts(position, leg, fees_paid, funding).is_ok();
        let unearned = realised(&self.executor) - before;
        let leg = leg as u8;
        let note = Note::Funding { position, leg, settled, unearned };
        self.story.on_note(self.now, &note, watch);
        if taken {
            let command = Command::Amounts { position, leg, fees_paid, funding };
            self.engine.on_event(self.now, &Event::Command(command));
            self.pump(watch);
        }
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
