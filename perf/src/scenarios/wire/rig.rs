//! Execution on a simulated venue, and an engine whose quotes come from a clock.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use reap_core::event::SourceChange;
use reap_core::instrument::{AccountId, InstrumentId, SourceId};
use reap_core::order::{ClientOrderId, Order, OrderSide};
use reap_core::position::PositionId;
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Nanos, Price, Qty};
use reap_ring::{Producer, ring};
use reap_shell::clock::{LiveClock, WallClock, rest};
use reap_shell::config::{Config, SimConfig, SimMarket};
use reap_shell::live::connector::ConnectorBuilder;
use reap_shell::live::engine::{EngineDesk, EngineWires, Feed, FusedAgent, Sink};
use reap_shell::live::execution::{
    BELL, ExecutionAgent, ExecutionParts, ExecutionView, ExecutionWires,
};
use reap_shell::live::gateway::{Gateway, GatewayEvent, Venues};
use reap_shell::live::layout::{Idle, Place, pin};
use reap_shell::live::reach::Reach;
use reap_shell::live::runner::{RunnerSettings, spawn};
use reap_shell::live::simulated::Simulated;
use reap_shell::live::stats::{Stats, StatsReader, stats};
use reap_shell::live::tap::Tap;
use reap_shell::live::wires::{Doorbell, Opening, Told, quote_table};
use reap_shell::order_log::{LogSettings, OrderLog};
use reap_shell::pipeline::{self, Stage};
use reap_shell::story::Note;

use crate::scenarios::ScenarioError;
use crate::timing::{Steps, Stopwatch};

/// As in the product.
const MESSAGES: usize = 1 << 13;
/// From one order to the next.
const INTERVAL: u64 = 4_000_000;
const PATIENCE: u64 = 20_000_000_000;
/// Orders that are sent one after another, before their answers are taken in.
const BURST: usize = 10;
/// First entry, far below the simulated market: a sale at our quotes is filled there at once.
const ENTRY: u64 = 50_000;

fn failed(error: &dyn std::fmt::Display) -> ScenarioError {
    ScenarioError::failed(error)
}

/// One instrument and these many positions, a stop-loss each.
fn config(venue: &str, positions: usize) -> Result<Config, ScenarioError> {
    use std::fmt::Write;
    let mut text = format!(
        "[venue.one]\nkind = \"{venue}\"\ntaker = \"0.05%\"\nmaker = \"0.02%\"\n\
         [instrument.btc]\nvenue = \"one\"\nsymbol = \"BTCUSDT\"\nquote = \"USDT\"\n\
         tick = \"0.10\"\nlot = \"0.001\"\nmin_notional = \"100 USDT\"\n\
         [policy.stop]\nstop_loss = \"1%\"\n"
    );
    for at in 0..positions {
        let _ = write!(
            text,
            "[[position]]\nname = \"p{at}\"\npolicy = \"stop\"\nopened = \"2025-01-01T00:00:00Z\"\n\
             legs = [{{ instrument = \"btc\", side = \"long\", entry = \"{}.0\", qty = \"0.010\", \
             fees_paid = \"taker\" }}]\n",
            ENTRY - at as u64
        );
    }
    Config::parse("perf.toml", &text).map_err(|error| failed(&error))
}

fn simulated(config: &Config) -> Result<Simulated, ScenarioError> {
    let sim =
        SimConfig { market: SimMarket::Seed(7), speed: 1, tls: false, lead: Nanos::from_millis(1) };
    Simulated::start(config, &sim).map_err(|error| failed(&error))
}

/// An order of no position: for the log, and for a venue that has to answer it.
pub(super) fn order(number: u32) -> Order {
    Order {
        id: ClientOrderId { epoch: 1, position: PositionId(1), leg: 0, plan: number, attempt: 1 },
        account: AccountId(0),
        instrument: InstrumentId(0),
        side: OrderSide::Sell,
        qty: Qty::new(10).expect("a small quantity"),
        limit: Some(Price::new(490_000).expect("a positive price")),
        reduce_only: true,
    }
}

/// A gateway to the simulated venue.
fn gateway(
    config: &Config,
    simulated: &Simulated,
    connectors: &mut ConnectorBuilder,
    bell: Option<Arc<Doorbell>>,
    poll: &mio::Poll,
) -> Result<Venues, ScenarioError> {
    let reach = Reach::new(config, Some(simulated)).map_err(|error| failed(&error))?;
    let accounts = reach.accounts().into_iter().map(|account| reach.account(account));
    let accounts = accounts.collect::<Result<Vec<_>, _>>().map_err(|error| failed(&error))?;
    let instruments: Vec<_> = config.instruments.iter().map(|named| named.instrument).collect();
    let registry = poll.registry().try_clone().map_err(|error| failed(&error))?;
    let clock = simulated.clock.clone();
    let (port, wall) = (connectors.client(bell), WallClock::Market(clock.clone()));
    Ok(Venues::new(accounts, &instruments, port, registry, clock, wall))
}

/// The gateway's own way of an order, warm: encoded, signed, written. Moves the calling thread to
/// `cpu` when everything else has been started where it was.
pub(super) fn sends(
    venue: &str,
    cpu: usize,
    orders: usize,
    stopwatch: &Stopwatch,
) -> Result<Steps, ScenarioError> {
    let config = config(venue, 1)?;
    let simulated = simulated(&config)?;
    let clock = simulated.clock.clone();
    let mut poll = mio::Poll::new().map_err(|error| failed(&error))?;
    let mut connectors = ConnectorBuilder::default();
    let mut venues = gateway(&config, &simulated, &mut connectors, None, &poll)?;
    let connector = connectors.start().map_err(|error| failed(&error))?;
    pin(cpu).map_err(|why| ScenarioError::missing(&why))?;
    let (_, quotes) = quote_table(1);
    let mut events = mio::Events::with_capacity(64);
    let mut inbox = Vec::new();
    let mut live = 0_usize;
    let mut turn = |venues: &mut Venues, live: &mut usize| {
        drop(poll.poll(&mut events, Some(Duration::from_millis(1))));
        events.iter().for_each(|event| venues.on_ready(event.token()));
        venues.poll(clock.now(), &quotes, &mut inbox);
        for event in inbox.drain(..) {
            if let GatewayEvent::Order(event) = event {
                use reap_core::order::OrderChange::{Expired, Rejected};
                *live -= usize::from(matches!(event.what, Expired | Rejected(_)) && *live > 0);
            }
        }
    };
    let until = clock.real() + PATIENCE;
    let wait = |what: &str| {
        if clock.real() < until { Ok(()) } else { Err(failed(&format!("{venue}: {what}"))) }
    };
    while !venues.is_ready() {
        wait("no orders can be sent")?;
        turn(&mut venues, &mut live);
    }
    let mut steps = Steps::new();
    for number in 0..orders {
        let order = order(number as u32 + 1);
        let mut sent = Ok(());
        let nanos = stopwatch.time(|| sent = venues.send(clock.now(), &order));
        sent.map_err(|why| failed(&format!("{venue}: an order was not sent: {why:?}")))?;
        live += 1;
        if number >= orders / 10 {
            steps.record(nanos);
        }
        while number % BURST == BURST - 1 && live >= BURST {
            wait("orders are not answered")?;
            turn(&mut venues, &mut live);
        }
    }
    venues.stop();
    drop(connector);
    simulated.stop();
    Ok(steps)
}

/// Quotes at their times, each of which crosses the next stop.
struct Paced {
    clock: LiveClock,
    /// When the first is due; real time. Nought before they are to begin.
    start: Arc<std::sync::atomic::AtomicU64>,
    sent: u64,
    count: u64,
    connected: bool,
}

impl Paced {
    fn due(&self) -> Option<u64> {
        let start = self.start.load(Ordering::Relaxed);
        (start > 0 && self.sent < self.count).then(|| start + self.sent * INTERVAL)
    }
}

impl Feed for Paced {
    fn read(&mut self, now: Nanos, sink: &mut dyn Sink, _: &mut Stats) -> usize {
        if !std::mem::replace(&mut self.connected, true) {
            sink.source(now, SourceId(0), SourceChange::Connected);
        }
        if self.due().is_none_or(|due| due > self.clock.real()) {
            return 0;
        }
        // Units of a tenth. The stop of position k lies at 99 % of its entry: 9.9 below the last.
        let bid = (ENTRY * 99 / 10 - (99 * self.sent).div_ceil(10)) as i64;
        self.sent += 1;
        let quote = Quote::new(bid, bid + 1, 1_000, 1_000).expect("a positive price");
        let now = self.clock.now();
        let stamp = Stamp {
            source: SourceId(0),
            received: now,
            update_id: self.sent,
            venue_lag_us: 0,
            reset: false,
        };
        sink.tick(now, &Tick::quote(InstrumentId(0), stamp, quote));
        1
    }

    fn park(&mut self, most: Duration) {
        rest(most.min(Duration::from_millis(1)));
    }

    fn next_timer(&self) -> Option<Nanos> {
        self.due().map(|due| self.clock.at(due))
    }
}

/// Decided → sent of these many orders, by the product's own measure, without the first tenth.
pub(super) fn intents_to_bytes(
    venue: &str,
    idle: Idle,
    cpu: usize,
    orders: usize,
) -> Result<Histogram<u64>, ScenarioError> {
    let dir = std::env::temp_dir().join(format!("reap-perf-wire-{}", std::process::id()));
    let config = config(venue, orders)?;
    let simulated = simulated(&config)?;
    let found = measured(&config, &simulated, idle, cpu, &dir);
    simulated.stop();
    // What is left in the system's temporary folder is only space.
    let _ = std::fs::remove_dir_all(&dir);
    found
}

fn measured(
    config: &Config,
    simulated: &Simulated,
    idle: Idle,
    cpu: usize,
    dir: &Path,
) -> Result<Histogram<u64>, ScenarioError> {
    let clock = simulated.clock.clone();
    let poll = mio::Poll::new().map_err(|error| failed(&error))?;
    let bell = Doorbell::new(poll.registry(), BELL).map_err(|error| failed(&error))?;
    let mut connectors = ConnectorBuilder::default();
    let venues = gateway(config, simulated, &mut connectors, Some(Arc::clone(&bell)), &poll)?;
    let connector = connectors.start().map_err(|error| failed(&error))?;
    let instruments: Vec<_> = config.instruments.iter().map(|named| named.instrument).collect();
    let (table_in, table) = quote_table(instruments.len());
    let (to_execution, from_engine) = ring(MESSAGES);
    let (to_engine, from_execution) = ring(MESSAGES);
    let (mut openings_in, openings) = ring(MESSAGES);
    let (notes, mut told) = ring(MESSAGES);
    let halt = Arc::default();
    let engine = pipeline::engine(config, &instruments, 1).map_err(|error| failed(&error))?;
    let desk = EngineDesk::new(
        engine,
        clock.clone(),
        &instruments,
        EngineWires {
            table: table_in,
            to_execution,
            from_execution,
            commands: ring(MESSAGES).1,
            bell: Arc::clone(&bell),
            halt: Arc::clone(&halt),
            view: Arc::default(),
            tap: Tap::default(),
        },
    );
    let log = OrderLog::open(dir, clock.now(), LogSettings::default());
    let log = log.map_err(|error| ScenarioError::missing(&error))?;
    let limits = pipeline::executor_limits(config);
    let view = Arc::new(ExecutionView::default());
    let stops = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let execution = ExecutionAgent::new(
        ExecutionParts {
            executor: pipeline::executor(config, &instruments, log.epoch()),
            policies: config.policies.iter().map(|named| named.policy.exit.clone()).collect(),
            gateway: Box::new(venues),
            log,
            names: Vec::new(),
            tasks: Vec::new(),
            limits,
            instruments: instruments.clone(),
            clock: clock.clone(),
            stop_timeout: Nanos::from_secs(5),
            poll,
            carried: Vec::new(),
        },
        ExecutionWires {
            from_engine,
            to_engine,
            openings,
            notes,
            table,
            bell: Arc::clone(&bell),
            halt,
            view: Arc::clone(&view),
            stop: Arc::clone(&stops[0]),
        },
    );
    let settings = |name, place| RunnerSettings { name, place, late: Duration::from_millis(10) };
    let start = Arc::default();
    let count = config.positions.len() as u64;
    let paced =
        Paced { clock: clock.clone(), start: Arc::clone(&start), sent: 0, count, connected: false };
    let (execution_stats, mut reader) = stats();
    let (engine_stats, _engine_reader) = stats();
    let place = settings("execution", Place { cpu: Some(cpu), idle });
    let execution = spawn(execution, place, clock.clone(), Arc::default(), execution_stats)
        .map_err(|error| failed(&error))?;
    let agent = FusedAgent::new(paced, desk, Arc::clone(&stops[1]));
    let place = settings("feed + engine", Place { cpu: None, idle: Idle::Park });
    let engine = spawn(agent, place, clock.clone(), Arc::default(), engine_stats)
        .map_err(|error| failed(&error))?;

    let mut main = Main { opened: 0, sold: 0, before: None, clock: clock.clone(), count };
    let found = main.drive(config, &mut openings_in, &bell, &mut told, &view, &start, &mut reader);
    stops[1].store(true, Ordering::Release);
    engine.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    stops[0].store(true, Ordering::Release);
    bell.ring();
    while !execution.is_finished() {
        while told.pop().is_some() {}
        rest(Duration::from_millis(1));
    }
    execution.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    drop(connector);
    found
}

/// What main does in the product: opens positions, hears what happens.
struct Main {
    opened: u64,
    sold: u64,
    before: Option<Histogram<u64>>,
    clock: LiveClock,
    count: u64,
}

impl Main {
    #[expect(clippy::too_many_arguments, reason = "main's ends of all wires")]
    fn drive(
        &mut self,
        config: &Config,
        openings: &mut Producer<Opening>,
        bell: &Doorbell,
        told: &mut reap_ring::Consumer<Told>,
        view: &ExecutionView,
        start: &std::sync::atomic::AtomicU64,
        reader: &mut StatsReader,
    ) -> Result<Histogram<u64>, ScenarioError> {
        // Freed when all is over: no hot thread frees it.
        let mut kept = Vec::new();
        let mut positions = HashSet::new();
        for (at, position) in config.positions.iter().enumerate() {
            let spec = position.resolve(&config.instruments, |_| None);
            let spec = Arc::new(spec.ok_or_else(|| failed(&"a position waits for a quote"))?);
            kept.push(Arc::clone(&spec));
            openings.push(Opening { at, spec }).map_err(|_| failed(&"too many positions"))?;
            bell.ring();
        }
        let until = self.clock.real() + PATIENCE + self.count * INTERVAL;
        while self.sold < self.count {
            if self.clock.real() > until {
                let Self { opened, sold, count, .. } = self;
                let what = format!("{opened} of {count} positions opened, {sold} sold");
                return Err(failed(&what));
            }
            while let Some(told) = told.pop() {
                match told {
                    Told::Note(_, Note::Opened { .. }) => self.opened += 1,
                    // What is left of an order that was filled in part is sent again: that was not
                    // decided, and must not end the run before the last position was.
                    Told::Note(_, Note::Sent(order)) => {
                        self.sold += u64::from(positions.insert(order.id.position));
                    }
                    Told::Alarm(_, text) => return Err(failed(&text)),
                    _ => {}
                }
            }
            let ready = self.opened == self.count && view.ready.load(Ordering::Relaxed);
            if ready && start.load(Ordering::Relaxed) == 0 {
                start.store(self.clock.real() + 5_000_000, Ordering::Relaxed);
            }
            if self.sold >= self.count / 10 && self.before.is_none() {
                self.before = Some(sent(reader));
            }
            rest(Duration::from_millis(1));
        }
        let mut all = sent(reader);
        let before = self.before.take().unwrap_or_else(|| all.clone());
        all.subtract(&before).map_err(|error| failed(&format!("{error:?}")))?;
        Ok(all)
    }
}

/// What execution has measured until now.
fn sent(reader: &mut StatsReader) -> Histogram<u64> {
    reader.collect();
    rest(Duration::from_millis(30));
    reader.collect().stages.histogram(Stage::Send).clone()
}
