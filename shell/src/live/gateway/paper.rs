//! Paper fills: orders meet the live quotes after the venue's latency, bounded by what is quoted.

use std::time::Duration;

use reap_core::instrument::InstrumentId;
use reap_core::log::NotSentWhy;
use reap_core::order::Order;
use reap_core::position::{PositionSpec, Side};
use reap_core::pricing::Quotes;
use reap_core::units::Nanos;

use super::{Gateway, GatewayEvent, TableReader};
use crate::config::Config;
use crate::sim::Matching;

/// A matching core per configured venue.
#[derive(Debug)]
pub struct Paper {
    venues: Vec<Matching>,
    /// Venue of each instrument.
    listed: Vec<usize>,
}

impl Paper {
    /// Paper venues of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let venue =
            |at: &InstrumentId| usize::from(config.instruments[usize::from(at.0)].spec().venue.0);
        let listed = (0..config.instruments.len()).map(|at| venue(&InstrumentId(at as u16)));
        Self { listed: listed.collect(), venues: crate::pipeline::venues(config) }
    }

    fn venue(&mut self, instrument: InstrumentId) -> &mut Matching {
        &mut self.venues[self.listed[usize::from(instrument.0)]]
    }

    /// Shows a venue the newest quotes of its instruments, for the orders that have arrived.
    fn show(&mut self, venue: usize, quotes: &TableReader) {
        for (at, of) in self.listed.iter().enumerate() {
            let id = InstrumentId(at as u16);
            if let Some(top) = quotes.top(id).filter(|_| *of == venue) {
                self.venues[venue].show(id, top.quote);
            }
        }
    }
}

impl Gateway for Paper {
    fn on_opened(&mut self, spec: &PositionSpec) {
        for leg in &spec.legs {
            let qty = match leg.side {
                Side::Long => leg.qty.raw(),
                Side::Short => -leg.qty.raw(),
            };
            self.venue(leg.instrument).deposit(leg.account, leg.instrument, qty);
        }
    }

    fn send(&mut self, now: Nanos, order: &Order) -> Result<(), NotSentWhy> {
        self.venue(order.instrument).on_order(now, *order);
        Ok(())
    }

    fn on_ready(&mut self, _: mio::Token) {}

    fn poll(&mut self, now: Nanos, quotes: &TableReader, out: &mut Vec<GatewayEvent>) -> usize {
        let before = out.len();
        for at in 0..self.venues.len() {
            if self.venues[at].next_due().is_none_or(|due| due > now) {
                continue;
            }
            self.show(at, quotes);
            while let Some(event) = self.venues[at].poll_event(now) {
                out.push(GatewayEvent::Order(event));
            }
        }
        out.len() - before
    }

    fn next_timer(&self) -> Option<Nanos> {
        self.venues.iter().filter_map(Matching::next_due).min()
    }

    fn has_sockets(&self) -> bool {
        false
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn books_funding(&self) -> bool {
        true
    }

    fn stop(&mut self, _: Duration) {}
}
