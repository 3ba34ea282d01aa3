//! Paper fills: orders meet the live quotes after the venue's latency, bounded by what is quoted.

use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::log::NotSentWhy;
use reap_core::order::{Ask, HoldingRead, Order};
use reap_core::position::{PositionSpec, Side};
use reap_core::pricing::Quotes;
use reap_core::units::Nanos;

use super::{Gateway, GatewayEvent, TableReader};
use crate::config::Config;
use crate::pipeline::{READ_EVERY, wants_reads};
use crate::sim::Matching;

/// A matching core per configured venue.
#[derive(Debug)]
pub struct Paper {
    venues: Vec<Matching>,
    /// Venue of each instrument.
    listed: Vec<usize>,
    /// What is told of the books every second; nothing unless a rule looks at it.
    read: Vec<(AccountId, InstrumentId)>,
    reads: bool,
    read_at: Nanos,
}

impl Paper {
    /// Paper venues of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let venue =
            |at: &InstrumentId| usize::from(config.instruments[usize::from(at.0)].spec().venue.0);
        let listed = (0..config.instruments.len()).map(|at| venue(&InstrumentId(at as u16)));
        let reads = config.policies.iter().any(|named| wants_reads(&named.policy));
        Self {
            listed: listed.collect(),
            venues: crate::pipeline::venues(config),
            read: Vec::new(),
            reads,
            read_at: Nanos(0),
        }
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
        self.on_entered(spec);
    }

    fn on_entered(&mut self, spec: &PositionSpec) {
        for leg in &spec.legs {
            let holding = (leg.account, leg.instrument);
            if self.reads && !self.read.contains(&holding) {
                self.read.push(holding);
            }
        }
    }

    fn send(&mut self, now: Nanos, order: &Order) -> Result<(), NotSentWhy> {
        self.venue(order.instrument).on_order(now, *order);
        Ok(())
    }

    /// Nothing is ever lost on paper: the answer to an order is on its way.
    fn ask(&mut self, _: Nanos, _: &Ask) {}

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
        if !self.read.is_empty() && now >= self.read_at {
            self.read_at = now.plus(READ_EVERY);
            for at in 0..self.read.len() {
                let (account, instrument) = self.read[at];
                let qty = self.venue(instrument).position(account, instrument);
                let read = HoldingRead { account, instrument, qty, asked: now };
                out.push(GatewayEvent::Position(read));
            }
        }
        out.len() - before
    }

    fn next_timer(&self) -> Option<Nanos> {
        let read_at = (!self.read.is_empty()).then_some(self.read_at);
        self.venues.iter().filter_map(Matching::next_due).chain(read_at).min()
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

    fn stop(&mut self) {}
}

#[cfg(test)]
mod tests {
    use reap_core::order::{ClientOrderId, OrderChange, OrderEvent, OrderSide};
    use reap_core::position::PositionId;
    use reap_core::tick::Quote;
    use reap_core::units::Qty;

    use super::*;
    use crate::live::wires::quote_table;

    const ONE: &str = "[venue.usdm]\nkind = \"binance_usdm\"\ntaker = \"5bps\"\nmaker = \"2bps\"\n\
        latency = \"20ms\"\n[instrument.perp]\nvenue = \"usdm\"\nsymbol = \"BTCUSDT\"\n\
        quote = \"USDT\"\ntick = \"0.1\"\nlot = \"0.001\"\n[policy.one]\nstop_loss = \"1%\"\n\
        [[position]]\nname = \"one\"\npolicy = \"one\"\nopened = \"2026-01-01T00:00:00Z\"\n\
        legs = [{ instrument = \"perp\", side = \"long\", entry = \"1000\", qty = \"0.5\" }]\n";

    fn order(attempt: u16) -> Order {
        Order {
            id: ClientOrderId { epoch: 1, position: PositionId(0), leg: 0, plan: 1, attempt },
            account: AccountId(0),
            instrument: InstrumentId(0),
            side: OrderSide::Sell,
            qty: Qty::new(100).unwrap(),
            limit: None,
            reduce_only: true,
        }
    }

    /// Looked at late, as every thread looks: after the order arrived.
    #[test]
    fn an_order_meets_the_newest_quote_the_first_one_too() {
        let config = Config::parse("one.toml", ONE).unwrap();
        let mut paper = Paper::new(&config);
        let spec = config.positions[0].resolve(&config.instruments, |_| None).unwrap();
        paper.on_opened(&spec);
        let (mut table, quotes) = quote_table(1);
        let mut now = Nanos::from_secs(1_800_000_000);
        for (attempt, bid) in [(1, 9_990), (2, 9_880), (3, 9_880)] {
            let quote = Quote::new(bid, bid + 1, 100, 100).unwrap();
            table.write(InstrumentId(0), Some((quote, now)));
            paper.send(now, &order(attempt)).unwrap();
            now = now.plus(Nanos::from_millis(25));
            let mut out = Vec::new();
            paper.poll(now, &quotes, &mut out);
            let said: Vec<OrderChange> = out
                .iter()
                .map(|event| match event {
                    GatewayEvent::Order(OrderEvent { what, .. }) => *what,
                    other => panic!("{other:?}"),
                })
                .collect();
            match said[..] {
                [OrderChange::Acked, OrderChange::Filled { price, .. }] if attempt < 3 => {
                    assert_eq!(price.raw(), bid);
                }
                // What was taken stays taken while the quote is the same.
                [OrderChange::Acked, OrderChange::Expired] if attempt == 3 => {}
                _ => panic!("{attempt}: {said:?}"),
            }
        }
    }
}
