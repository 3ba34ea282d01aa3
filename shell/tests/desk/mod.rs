//! Engine and execution on their rings, stepped by hand: no thread, a venue that does as told, a
//! real order log.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;
use reap_core::event::Command;
use reap_core::executor::Executor;
use reap_core::instrument::{Instrument, InstrumentId, SourceId};
use reap_core::log::{HeaderError, NotSentWhy, Reader, Record, Text};
use reap_core::order::{Ask, Order, OrderChange, OrderEvent};
use reap_core::position::PositionSpec;
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Nanos, Price};
use reap_feed::conflate::Conflator;
use reap_ring::{Consumer, Producer, ring};
use reap_shell::clock::LiveClock;
use reap_shell::config::Config;
use reap_shell::live::carried::{Carried, carry_on};
use reap_shell::live::engine::{EngineAgent, EngineDesk, EngineView, EngineWires, TickWires};
use reap_shell::live::execution::{
    BELL, ExecutionAgent, ExecutionParts, ExecutionView, ExecutionWires,
};
use reap_shell::live::feed::{FeedView, RingSink};
use reap_shell::live::gateway::{Gateway, GatewayEvent};
use reap_shell::live::runner::Agent;
use reap_shell::live::stats::Stats;
use reap_shell::live::tap::Tap;
use reap_shell::live::wires::{Doorbell, Halt, Opening, TableReader, Told, quote_table};
use reap_shell::order_log::{LogSettings, OrderLog, SEGMENT_MIN};
use reap_shell::pipeline;

/// One venue, one instrument for each of three positions that stop at 99 and take 101.
pub(crate) const CONFIG: &str = r#"
[venue.v]
kind = "binance_usdm"
taker = "0.05%"
maker = "0.02%"

[instrument.a]
venue = "v"
symbol = "AUSDT"
quote = "USDT"
tick = "0.01"
lot = "1"
min_notional = "5 USDT"

[instrument.b]
venue = "v"
symbol = "BUSDT"
quote = "USDT"
tick = "0.01"
lot = "1"
min_notional = "5 USDT"

[instrument.c]
venue = "v"
symbol = "CUSDT"
quote = "USDT"
tick = "0.01"
lot = "1"
min_notional = "5 USDT"

[policy.p]
take_profit = "1%"
stop_loss = "1%"

[[position]]
name = "pa"
policy = "p"
opened = "2026-01-05T08:00:00Z"
legs = [{ instrument = "a", side = "long", entry = "100", qty = "10" }]

[[position]]
name = "pb"
policy = "p"
opened = "2026-01-05T08:00:00Z"
legs = [{ instrument = "b", side = "long", entry = "100", qty = "10" }]

[[position]]
name = "pc"
policy = "p"
opened = "2026-01-05T08:00:00Z"
legs = [{ instrument = "c", side = "long", entry = "100", qty = "10" }]
"#;

/// 2026-01-05 09:00:00 UTC.
pub(crate) const START: Nanos = Nanos(1_767_603_600_000_000_000);

/// A venue that does as it is told.
#[derive(Default)]
pub(crate) struct Venue {
    /// What left for it, in order.
    pub(crate) sent: Vec<Order>,
    pub(crate) inbox: VecDeque<OrderEvent>,
    /// What was asked.
    pub(crate) asked: Vec<Ask>,
    /// Every order is acknowledged and filled whole.
    pub(crate) fills: bool,
    /// It always has something to say that is no order's matter.
    pub(crate) chatters: bool,
    trades: u64,
}

pub(crate) struct Wired {
    pub(crate) venue: Arc<Mutex<Venue>>,
    /// Where each order's record must stand before the order leaves.
    log: PathBuf,
}

impl Gateway for Wired {
    fn on_opened(&mut self, _: &PositionSpec) {}

    fn send(&mut self, _: Nanos, order: &Order) -> Result<(), NotSentWhy> {
        // Where the directory is gone on purpose, the files live on without a name.
        if self.log.exists() {
            let logged = records(&self.log).into_iter();
            let mut orders = logged.filter(|record| matches!(record, Record::Order(_)));
            let there = orders.any(|record| record == Record::Order(*order));
            assert!(there, "{}: sent before its record was written", order.id);
        }
        let mut venue = self.venue.lock();
        venue.sent.push(*order);
        if venue.fills {
            venue.fill(order);
        }
        Ok(())
    }

    /// What a test has said of its orders is all that there is to say.
    fn ask(&mut self, _: Nanos, ask: &Ask) {
        self.venue.lock().asked.push(*ask);
    }

    fn on_ready(&mut self, _: mio::Token) {}

    fn poll(&mut self, _: Nanos, _: &TableReader, out: &mut Vec<GatewayEvent>) -> usize {
        let mut venue = self.venue.lock();
        let events = venue.inbox.drain(..).map(GatewayEvent::Order).collect::<Vec<_>>();
        let chatter = usize::from(venue.chatters);
        let work = events.len() + chatter;
        out.extend(events);
        work
    }

    fn next_timer(&self) -> Option<Nanos> {
        None
    }

    fn has_sockets(&self) -> bool {
        false
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn stop(&mut self) {}
}

impl Venue {
    pub(crate) fn fill(&mut self, order: &Order) {
        self.trades += 1;
        let price = order.limit.unwrap_or(Price::new(9_900).unwrap());
        let what = OrderChange::Filled { trade_id: self.trades, price, qty: order.qty, fee: 0 };
        self.inbox.push_back(OrderEvent { id: order.id, what: OrderChange::Acked });
        self.inbox.push_back(OrderEvent { id: order.id, what });
    }
}

/// Every record of the newest epoch, in order.
pub(crate) fn records(dir: &Path) -> Vec<Record> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        match Reader::new(&bytes) {
            Err(HeaderError::Unused) => {}
            reader => found.extend(reader.unwrap().map(|entry| entry.record)),
        }
    }
    found
}

/// A folder that goes with its test.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("reap-desk-{}-{count}", std::process::id());
        // In memory where that is to be had: thousands of logs are opened.
        let memory = Path::new("/dev/shm").join(&name);
        let path = match std::fs::create_dir(&memory) {
            Ok(()) => memory,
            Err(_) => {
                let path = std::env::temp_dir().join(name);
                std::fs::create_dir(&path).unwrap();
                path
            }
        };
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays: the folder is temporary anyway.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Room in the rings.
#[derive(Clone, Copy)]
pub(crate) struct Rooms {
    pub(crate) ticks: usize,
    pub(crate) sources: usize,
    pub(crate) intents: usize,
    pub(crate) reports: usize,
}

impl Default for Rooms {
    fn default() -> Self {
        Self { ticks: 256, sources: 64, intents: 64, reports: 64 }
    }
}

/// See the module.
pub(crate) struct Desk {
    pub(crate) config: Config,
    pub(crate) clock: LiveClock,
    pub(crate) sink: RingSink,
    pub(crate) engine: EngineAgent,
    pub(crate) execution: ExecutionAgent,
    pub(crate) stop_engine: Arc<AtomicBool>,
    pub(crate) stop_execution: Arc<AtomicBool>,
    pub(crate) venue: Arc<Mutex<Venue>>,
    pub(crate) openings: Producer<Opening>,
    pub(crate) commands: Producer<Command>,
    pub(crate) told: Consumer<Told>,
    pub(crate) table: TableReader,
    pub(crate) halt: Arc<Halt>,
    pub(crate) engine_view: Arc<EngineView>,
    pub(crate) execution_view: Arc<ExecutionView>,
    pub(crate) feed_view: Arc<FeedView>,
    pub(crate) stats: Stats,
    pub(crate) folder: Folder,
    pub(crate) carried: Carried,
    updates: u64,
}

impl Desk {
    pub(crate) fn new(rooms: Rooms) -> Self {
        Self::with_log(rooms, |_, _| {})
    }

    /// `wear` does to the log what should have happened to it before.
    pub(crate) fn with_log(rooms: Rooms, wear: impl FnOnce(&mut OrderLog, &Path)) -> Self {
        Self::of(Config::parse("desk.toml", CONFIG).unwrap(), rooms, wear)
    }

    pub(crate) fn of(
        config: Config,
        rooms: Rooms,
        wear: impl FnOnce(&mut OrderLog, &Path),
    ) -> Self {
        let (folder, clock) = (Folder::new(), LiveClock::starting_at(START, 1));
        let dir = folder.0.clone();
        let begin = |log: &mut OrderLog, config: &mut Config| {
            wear(log, &dir);
            let instruments: Vec<_> = config.instruments.iter().map(|one| one.instrument).collect();
            Ok((pipeline::executor(config, &instruments, log.epoch()), Carried::default()))
        };
        Self::build(config, rooms, folder, clock, begin).unwrap()
    }

    /// A run that carries on what others have left in a folder; a clock some hours later that runs
    /// fast.
    pub(crate) fn carrying_on(config: Config, folder: Folder) -> Result<Self, String> {
        let clock = LiveClock::starting_at(START.plus(Nanos::from_secs(7_200)), 50);
        let now = clock.now();
        let begin = |log: &mut OrderLog, config: &mut Config| {
            let earlier = log.recover().map_err(|error| error.to_string())?;
            carry_on(earlier, config, log, now).map_err(|error| error.to_string())
        };
        Self::build(config, Rooms::default(), folder, clock, begin)
    }

    /// The process is gone from one moment to the next; its folder stays.
    pub(crate) fn kill(mut self) -> Folder {
        std::mem::replace(&mut self.folder, Folder::new())
    }

    fn build(
        mut config: Config,
        rooms: Rooms,
        folder: Folder,
        clock: LiveClock,
        begin: impl FnOnce(&mut OrderLog, &mut Config) -> Result<(Executor, Carried), String>,
    ) -> Result<Self, String> {
        let settings = LogSettings { segment_bytes: SEGMENT_MIN, ..LogSettings::default() };
        let mut log =
            OrderLog::open(&folder.0, clock.now(), settings).map_err(|e| e.to_string())?;
        let (executor, carried) = begin(&mut log, &mut config)?;
        let instruments: Vec<Instrument> =
            config.instruments.iter().map(|named| named.instrument).collect();
        let poll = mio::Poll::new().unwrap();
        let bell = Doorbell::new(poll.registry(), BELL).unwrap();
        let (table_in, table) = quote_table(instruments.len());
        let (intents_in, intents) = ring(rooms.intents);
        let (reports_in, reports) = ring(rooms.reports);
        let (commands, commands_out) = ring(64);
        let (openings, openings_out) = ring(64);
        let (notes, told) = ring(4_096);
        let (ticks_in, ticks) = ring(rooms.ticks);
        let (sources_in, sources) = ring(rooms.sources);
        let halt = Arc::new(Halt::default());
        let engine_view = Arc::new(EngineView::default());
        let execution_view = Arc::new(ExecutionView::default());
        let feed_view = Arc::new(FeedView::default());
        let [stop_engine, stop_execution] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let wires = EngineWires {
            table: table_in,
            to_execution: intents_in,
            from_execution: reports,
            commands: commands_out,
            bell: Arc::clone(&bell),
            halt: Arc::clone(&halt),
            view: Arc::clone(&engine_view),
            tap: Tap::default(),
        };
        let engine = pipeline::engine(&config, &instruments, 2).unwrap();
        let mut desk = EngineDesk::new(engine, clock.clone(), &instruments, wires);
        desk.carry_on(&carried).map_err(|error| error.to_string())?;
        let tick_wires = TickWires { ticks, sources };
        let engine = EngineAgent::new(desk, tick_wires, 2, Arc::clone(&stop_engine));
        let backlog = Conflator::new(instruments.len(), 2);
        let sink = RingSink::new(ticks_in, sources_in, backlog, Arc::clone(&feed_view));
        let limits = pipeline::executor_limits(&config);
        let venue = Arc::new(Mutex::new(Venue { fills: true, ..Venue::default() }));
        let gateway = Wired { venue: Arc::clone(&venue), log: folder.0.clone() };
        let parts = ExecutionParts {
            executor,
            policies: config.policies.iter().map(|named| named.policy.exit.clone()).collect(),
            gateway: Box::new(gateway),
            log,
            tasks: config.tasks.iter().map(|one| Text::cut(&one.name)).collect(),
            names: config.positions.iter().map(|one| Text::cut(&one.name)).collect(),
            limits,
            instruments: instruments.clone(),
            clock: clock.clone(),
            stop_timeout: Nanos::from_secs(5),
            poll,
            carried: carried.open.iter().map(|one| one.position.clone()).collect(),
        };
        let wires = ExecutionWires {
            from_engine: intents,
            to_engine: reports_in,
            openings: openings_out,
            notes,
            table: table.clone(),
            bell,
            halt: Arc::clone(&halt),
            view: Arc::clone(&execution_view),
            stop: Arc::clone(&stop_execution),
        };
        let execution = ExecutionAgent::new(parts, wires);
        Ok(Self {
            config,
            clock,
            sink,
            engine,
            execution,
            stop_engine,
            stop_execution,
            venue,
            openings,
            commands,
            told,
            table,
            halt,
            engine_view,
            execution_view,
            feed_view,
            stats: Stats::default(),
            folder,
            carried,
            updates: 0,
        })
    }

    /// A quote received now, or so far in the future that it is late for nobody.
    pub(crate) fn quote(&mut self, at: u16, bid: i64, received: Nanos) -> Tick {
        self.updates += 1;
        let source = SourceId((at % 2) as u8);
        let update_id = self.updates;
        let stamp = Stamp { source, received, update_id, venue_lag_us: 0, reset: false };
        Tick::quote(InstrumentId(at), stamp, Quote::new(bid, bid + 1, 1_000, 1_000).unwrap())
    }

    /// Received a little after now: no noise of the machine makes it late.
    pub(crate) fn soon(&self) -> Nanos {
        self.clock.now().plus(Nanos::from_secs(1))
    }

    /// Asks for a configured position.
    pub(crate) fn open(&mut self, at: usize) {
        let spec = self.config.positions[at].resolve(&self.config.instruments, |_| None).unwrap();
        self.openings.push(Opening { at, spec: Arc::new(spec) }).unwrap();
    }

    pub(crate) fn step_engine(&mut self) -> usize {
        self.engine.do_work(self.clock.now(), &mut self.stats)
    }

    pub(crate) fn step_execution(&mut self) -> usize {
        self.execution.do_work(self.clock.now(), &mut self.stats)
    }

    /// Steps both until nothing is left.
    pub(crate) fn settle(&mut self) {
        for _ in 0..1_000 {
            if self.step_engine() + self.step_execution() == 0 {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// What was told that an operator should act on.
    pub(crate) fn alarms(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        while let Some(told) = self.told.pop() {
            if let Told::Alarm(_, text) = told {
                found.push(text.into());
            }
        }
        found
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        records(&self.folder.0)
    }
}
