use std::path::Path;

use reap_core::tick::{Quote, Stamp};
use reap_core::units::{Price, Qty};
use reap_ring::{Consumer, ring};

use super::*;
use crate::config::Config;
use crate::live::wires::{Doorbell, TableReader, quote_table};

/// Hands over what a test puts in, two ticks at a time.
struct Script(Vec<Tick>);

impl Feed for Script {
    fn read(&mut self, now: Nanos, sink: &mut dyn Sink, _: &mut Stats) -> usize {
        let some: Vec<Tick> = self.0.drain(..self.0.len().min(2)).collect();
        some.iter().for_each(|tick| sink.tick(now, tick));
        some.len()
    }

    fn has_more(&self) -> bool {
        !self.0.is_empty()
    }

    fn park(&mut self, _: Duration) {}

    fn next_timer(&self) -> Option<Nanos> {
        None
    }
}

struct Rig {
    agent: FusedAgent<Script>,
    view: Arc<EngineView>,
    table: TableReader,
    stats: Stats,
    updates: u64,
    _ends: (Consumer<ToExecution>, Producer<ToEngine>, Producer<Command>, mio::Poll),
}

impl Rig {
    fn new() -> Self {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/run-sim.toml");
        let config = Config::load(&file).expect("the example is right");
        let listed: Vec<_> = config.instruments.iter().map(|named| named.instrument).collect();
        let engine = crate::pipeline::engine(&config, &listed, 3).expect("an engine");
        let (table_in, table) = quote_table(listed.len());
        let (to_execution, intents) = ring(64);
        let (reports, from_execution) = ring(64);
        let (orders, commands) = ring(64);
        let poll = mio::Poll::new().expect("a poll");
        let bell = Doorbell::new(poll.registry(), mio::Token(0)).expect("a bell");
        let (halt, view) = (Arc::new(Halt::default()), Arc::new(EngineView::default()));
        let wires = EngineWires {
            table: table_in,
            to_execution,
            from_execution,
            commands,
            bell,
            halt,
            view: Arc::clone(&view),
            tap: Tap::default(),
        };
        let desk = EngineDesk::new(engine, LiveClock::live(), &listed, wires);
        let agent = FusedAgent::new(Script(Vec::new()), desk, Arc::default());
        let ends = (intents, reports, orders, poll);
        Self { agent, view, table, stats: Stats::default(), updates: 0, _ends: ends }
    }

    /// A quote of an instrument with this bid.
    fn quote(&mut self, at: u64, instrument: u16, bid: i64) {
        self.updates += 1;
        let stamp = Stamp {
            source: SourceId(0),
            received: Nanos::from_millis(at),
            update_id: self.updates,
            venue_lag_us: 0,
            reset: false,
        };
        let price = |raw| Price::new(raw).expect("a price");
        let qty = Qty::new(1_000).expect("a quantity");
        let quote = Quote { bid: price(bid), ask: price(bid + 1), bid_qty: qty, ask_qty: qty };
        self.agent.feed.0.push(Tick::quote(InstrumentId(instrument), stamp, quote));
    }

    /// Duty cycles at this time until nothing waits; how many quotes reached the engine.
    fn run(&mut self, at: u64) -> u64 {
        let before = self.view.quotes.load(Ordering::Relaxed);
        while self.agent.do_work(Nanos::from_millis(at), &mut self.stats) > 0 {}
        self.view.quotes.load(Ordering::Relaxed) - before
    }

    fn bid(&self, instrument: u16) -> Option<i64> {
        use reap_core::pricing::Quotes as _;
        self.table.top(InstrumentId(instrument)).map(|top| top.quote.bid.raw())
    }
}

#[test]
fn r2_r8_who_was_away_looks_at_the_newest_of_each_instrument_only() {
    let mut rig = Rig::new();
    rig.run(1_000);
    for at in 0..10 {
        rig.quote(1_001, 0, 600_000 + at);
    }
    assert_eq!(rig.run(1_001), 10, "nobody was away: every quote is looked at");
    assert_eq!(rig.view.lagged.load(Ordering::Relaxed), 0);

    for at in 0..50 {
        rig.quote(1_500, 0, 600_100 + at);
        rig.quote(1_500, 2, 250_000 + at);
    }
    rig.quote(1_500, 4, 15_000);
    assert_eq!(rig.run(1_500), 3, "one of each instrument");
    assert_eq!(rig.view.lagged.load(Ordering::Relaxed), 101);
    assert_eq!([rig.bid(0), rig.bid(2), rig.bid(4)], [Some(600_149), Some(250_049), Some(15_000)]);

    rig.quote(1_501, 0, 600_150);
    rig.quote(1_501, 0, 600_151);
    assert_eq!(rig.run(1_501), 2, "it has caught up");
}

#[test]
fn r2_a_backlog_that_never_ends_is_looked_at_all_the_same() {
    let mut rig = Rig::new();
    rig.run(1_000);
    for at in 0..1_000 {
        rig.quote(1_500, 0, 600_000 + at);
    }
    assert_eq!(rig.run(1_500), 1_000 / 2 / u64::from(CATCH_UP_MAX + 1) + 1);
    assert_eq!(rig.bid(0), Some(600_999));
}
