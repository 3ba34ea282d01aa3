//! Funding of perpetual contracts: what the venue settles while a position is held.
//!
//! The stream of an instrument predicts a rate for the next settlement. When a later message names a
//! later settlement, the earlier one has been settled at the last rate that was predicted for it, on
//! the last mark price: longs pay when the rate is positive.

use reap_core::instrument::Instrument;
use reap_core::position::LegSpec;
use reap_core::tick::{Tick, TickBody};
use reap_core::units::{Nanos, Price, Qty, Rate, mul_div_floor};

/// What an instrument's stream has said of its funding.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Funding {
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
                self.mark = Some(price);
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

impl Settlement {
    /// What a leg with `open` receives, for its original quantity at the instrument's nano scale:
    /// the engine counts it pro rata for what is open. Rounded against us.
    pub(super) fn amount(&self, instrument: &Instrument, leg: &LegSpec, open: Qty) -> i128 {
        let notional = instrument.notional(self.mark, open);
        let received = -leg.side.sign() * notional * i128::from(self.rate.raw());
        mul_div_floor(received, leg.qty.raw(), open.raw())
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
    fn a_prediction_that_is_moved_before_its_time_settles_nothing() {
        let mut funding = Funding { mark: Some(Price::new(100).unwrap()), next: None };
        assert!(funding.on_tick(&tick(10, 100, 5)).is_none());
        assert!(funding.on_tick(&tick(50, 200, 5)).is_none());
    }
}
