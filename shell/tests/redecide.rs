//! The order log is enough: what it says of the executor's inputs and of what was seen decides every
//! order and every report once more. The agent that writes it is the one of a live run; its gateway
//! does anything that a gateway may do.
//!
//! `SEED=… cargo test -p reap-shell --test redecide` repeats a run.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may fail")]

mod common;
mod decided_again;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use common::Scratch;
use decided_again::{Tally, left, read, redecide};
use reap_core::event::Report;
use reap_core::instrument::{AccountId, Instrument, InstrumentId, SourceId, VenueId};
use reap_core::intent::{Intent, Reason};
use reap_core::limits::LEGS_MAX;
use reap_core::log::{Named, NotSentWhy, Record};
use reap_core::net::{Cmp, Compiled};
use reap_core::order::{Ask, HoldingRead, Order, OrderChange, OrderEvent, RejectClass};
use reap_core::position::{PositionId, PositionSpec, Side};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Nanos, Price, Qty, Rate};
use reap_ring::{Consumer, Producer, ring};
use reap_shell::clock::LiveClock;
use reap_shell::config::Config;
use reap_shell::funding::Funding;
use reap_shell::live::execution::{
    BELL, ExecutionAgent, ExecutionParts, ExecutionView, ExecutionWires,
};
use reap_shell::live::gateway::{Gateway, GatewayEvent};
use reap_shell::live::journal;
use reap_shell::live::runner::Agent;
use reap_shell::live::stats::Stats;
use reap_shell::live::wires::{
    Doorbell, Halt, Opening, TableReader, TableWriter, ToEngine, ToExecution, Told, quote_table,
};
use reap_shell::order_log::{LogSettings, OrderLog, SEGMENT_MIN};
use reap_shell::pipeline::executor_limits;

const INSTRUMENTS: usize = 90;
const POSITIONS: usize = 120;
const START: Nanos = Nanos(1_767_603_600_000_000_000);

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn seed() -> u64 {
    let seed = std::env::var("SEED").map_or(7, |text| text.parse().unwrap());
    println!("SEED={seed}");
    seed
}

/// Ninety instruments, and positions of one to four legs on them.
fn config() -> Config {
    let mut text = String::from(
        "[venue.usdm]\nkind = \"binance_usdm\"\ntaker = \"5bps\"\nmaker = \"2bps\"\n\
         [policy.one]\nstop_loss = \"1%\"\n",
    );
    for at in 0..INSTRUMENTS {
        write!(
            text,
            "[instrument.i{at}]\nvenue = \"usdm\"\nsymbol = \"S{at}USDT\"\nquote = \"USDT\"\n\
             tick = \"0.1\"\nlot = \"0.001\"\n"
        )
        .unwrap();
    }
    for at in 0..POSITIONS {
        let leg = |nth: usize| {
            let of = (at + nth) % INSTRUMENTS;
            let side = if of.is_multiple_of(2) { "long" } else { "short" };
            format!(
                "{{ instrument = \"i{of}\", side = \"{side}\", entry = \"1000\", qty = \"0.{:03}\" }}",
                100 + at
            )
        };
        let legs: Vec<String> = (0..1 + at % 4).map(leg).collect();
        write!(
            text,
            "[[position]]\nname = \"p{at}\"\npolicy = \"one\"\nopened = \"2026-01-05T09:00:00Z\"\n\
             legs = [{}]\n",
            legs.join(", ")
        )
        .unwrap();
    }
    Config::parse("many.toml", &text).unwrap()
}

/// What the gateway and the test both look at.
#[derive(Default)]
struct Venue {
    /// Everything that was sent, in order.
    sent: Vec<Order>,
    /// Orders that may still trade, and what they have left.
    working: Vec<(Order, i64)>,
    said: VecDeque<OrderEvent>,
    /// Everything that was ever said, for repetition.
    history: Vec<OrderEvent>,
    refuse: bool,
    trades: u64,
    /// What is read next of what accounts hold.
    reads: Vec<GatewayEvent>,
}

/// Takes orders or not; says what the test has it say.
struct Anything {
    venue: Arc<Mutex<Venue>>,
    random: Random,
    dir: PathBuf,
}

impl Gateway for Anything {
    fn on_opened(&mut self, _: &PositionSpec) {}

    fn send(&mut self, _: Nanos, order: &Order) -> Result<(), NotSentWhy> {
        let mut venue = self.venue.lock().unwrap();
        if venue.refuse || self.random.one_in(6) {
            let all = [NotSentWhy::NotReady, NotSentWhy::Busy, NotSentWhy::Unencodable];
            return Err(all[self.random.below(3) as usize]);
        }
        let same_leg = |(one, _): &(Order, i64)| {
            (one.id.position, one.id.leg) == (order.id.position, order.id.leg)
        };
        assert!(!venue.working.iter().any(same_leg), "two orders of a leg: {order:?}");
        assert!(!venue.sent.iter().any(|one| one.id == order.id), "sent twice: {order:?}");
        if self.random.one_in(50) && self.dir.exists() {
            // Its record was written before it came here.
            let record = Record::Order(*order);
            assert!(read(&self.dir).1.iter().any(|(_, one)| *one == record), "{order:?}");
        }
        venue.sent.push(*order);
        venue.working.push((*order, order.qty.raw()));
        Ok(())
    }

    /// Anything may be said of an order that is asked for: only of one that is not there is it said
    /// that it is not.
    fn ask(&mut self, now: Nanos, ask: &Ask) {
        let mut venue = self.venue.lock().unwrap();
        match *ask {
            Ask::Order { id, .. } => {
                let lives = venue.working.iter().any(|(one, _)| one.id == id);
                let what = if lives { OrderChange::Acked } else { OrderChange::NotFound };
                venue.said.push_back(OrderEvent { id, what });
            }
            Ask::Holding { account, instrument } => {
                let qty = if instrument.0.is_multiple_of(2) { 1_000_000 } else { -1_000_000 };
                let read = HoldingRead { account, instrument, qty, asked: now };
                venue.reads.push(GatewayEvent::Position(read));
            }
            Ask::Forget { .. } => {}
        }
    }

    fn on_ready(&mut self, _: mio::Token) {}

    fn poll(&mut self, _: Nanos, _: &TableReader, out: &mut Vec<GatewayEvent>) -> usize {
        let mut venue = self.venue.lock().unwrap();
        out.extend(venue.said.drain(..).map(GatewayEvent::Order));
        out.append(&mut venue.reads);
        out.len()
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

    fn books_funding(&self) -> bool {
        true
    }

    fn stop(&mut self) {}
}

impl Venue {
    fn say(&mut self, event: OrderEvent) {
        self.history.push(event);
        self.said.push_back(event);
    }

    fn act(&mut self, random: &mut Random) {
        if random.one_in(10) && !self.history.is_empty() {
            let event = self.history[random.below(self.history.len() as u64) as usize];
            return self.said.push_back(event);
        }
        if self.working.is_empty() {
            return;
        }
        let at = random.below(self.working.len() as u64) as usize;
        let (order, left) = self.working[at];
        let all = [
            RejectClass::Price,
            RejectClass::Size,
            RejectClass::RateLimit,
            RejectClass::Unavailable,
            RejectClass::Fatal,
        ];
        if random.one_in(20) {
            // A few have never arrived.
            if left == order.qty.raw() && random.one_in(40) {
                self.working.swap_remove(at);
            }
            return self.say(OrderEvent { id: order.id, what: OrderChange::Doubted });
        }
        let what = match random.below(6) {
            0 => OrderChange::Acked,
            1 | 2 => {
                let qty =
                    if random.one_in(2) { left } else { 1 + random.below(left as u64) as i64 };
                self.trades += 1;
                self.working[at].1 -= qty;
                if qty == left {
                    self.working.swap_remove(at);
                }
                OrderChange::Filled {
                    trade_id: self.trades,
                    price: order.limit.unwrap_or(Price::new(9_990).unwrap()),
                    qty: Qty::new(qty).unwrap(),
                    fee: i128::from(random.below(1_000_000)),
                }
            }
            3 | 4 => {
                self.working.swap_remove(at);
                OrderChange::Expired
            }
            _ if left == order.qty.raw() => {
                self.working.swap_remove(at);
                OrderChange::Rejected(all[random.below(5) as usize])
            }
            _ => return,
        };
        self.say(OrderEvent { id: order.id, what });
    }
}

/// The agent on its wires, with the test at the other ends.
struct Rig {
    config: Config,
    random: Random,
    agent: ExecutionAgent,
    stats: Stats,
    venue: Arc<Mutex<Venue>>,
    table: TableWriter,
    intents: Producer<ToExecution>,
    reports: Consumer<ToEngine>,
    _openings: Producer<Opening>,
    told: Consumer<Told>,
    alarms: Vec<String>,
    view: Arc<ExecutionView>,
    stop: Arc<AtomicBool>,
    funding: Vec<Funding>,
    now: Nanos,
    decided: u64,
}

impl Rig {
    fn new(seed: u64, dir: &Path) -> Self {
        let config = config();
        let instruments: Vec<Instrument> =
            config.instruments.iter().map(|named| named.instrument).collect();
        let limits = executor_limits(&config);
        let settings = LogSettings { segment_bytes: SEGMENT_MIN, ..LogSettings::default() };
        let mut log = OrderLog::open(dir, START, settings).unwrap();
        journal::begin(&mut log, START, &config, executor_limits(&config)).unwrap();
        let venue = Arc::new(Mutex::new(Venue::default()));
        let gateway =
            Anything { venue: Arc::clone(&venue), random: Random(seed + 1), dir: dir.to_owned() };
        let poll = mio::Poll::new().unwrap();
        let bell = Doorbell::new(poll.registry(), BELL).unwrap();
        let (table, reader) = quote_table(INSTRUMENTS);
        let (intents, from_engine) = ring(1 << 13);
        let (to_engine, reports) = ring(1 << 13);
        let (opened, openings) = ring(1 << 13);
        let (notes, told) = ring(1 << 13);
        let view = Arc::new(ExecutionView::default());
        let stop = Arc::new(AtomicBool::new(false));
        let agent = ExecutionAgent::new(
            ExecutionParts {
                executor: reap_shell::pipeline::executor(&config, &instruments, log.epoch()),
                policies: config.policies.iter().map(|one| one.policy.exit.clone()).collect(),
                tasks: Vec::new(),
                names: Vec::new(),
                gateway: Box::new(gateway),
                log,
                limits,
                instruments,
                clock: LiveClock::starting_at(START, 1),
                stop_timeout: Nanos::from_secs(10),
                poll,
                carried: Vec::new(),
            },
            ExecutionWires {
                from_engine,
                to_engine,
                openings,
                notes,
                table: reader,
                bell,
                halt: Arc::new(Halt::default()),
                view: Arc::clone(&view),
                stop: Arc::clone(&stop),
            },
        );
        let mut rig = Self {
            random: Random(seed),
            agent,
            stats: Stats::default(),
            venue,
            table,
            intents,
            reports,
            _openings: opened,
            told,
            alarms: Vec::new(),
            view,
            stop,
            funding: vec![Funding::default(); INSTRUMENTS],
            now: START,
            decided: 0,
            config,
        };
        for at in 0..POSITIONS {
            let position = &rig.config.positions[at];
            let spec = position.resolve(&rig.config.instruments, |_| None).unwrap();
            let opening = Opening { at, spec: Arc::new(spec) };
            rig.intents.push(ToExecution::Registered(PositionId(at as u32), opening)).unwrap();
        }
        rig
    }

    fn quote(&mut self, at: usize, spread: i64) {
        let bid = 9_900 + self.random.below(200) as i64;
        let mut size = || 1 + self.random.below(300) as i64;
        let quote = Quote::new(bid, bid + spread, size(), size()).unwrap();
        let believed = (!self.random.one_in(20)).then_some((quote, self.now));
        self.table.write(InstrumentId(at as u16), believed);
    }

    fn decide(&mut self, at: usize, reason: Reason) {
        self.decided += 1;
        let spec = self.config.positions[at].legs[0].side;
        let (cmp, limit) = match spec {
            Side::Long => (Cmp::AtLeast, 9_900 + self.random.below(150) as i64),
            Side::Short => (Cmp::AtMost, 10_100 - self.random.below(150) as i64),
        };
        let legs = self.config.positions[at].legs.len() as u8;
        let compiled =
            if legs == 1 { Compiled::Price { cmp, limit } } else { Compiled::Unconditional };
        let reason = match reason {
            Reason::TakeProfit if legs > 1 => Reason::Deadline,
            reason => reason,
        };
        let intent = Intent {
            seq: self.decided,
            at: self.now,
            position: PositionId(at as u32),
            policy_version: 1,
            rule: 0,
            // Of a leg that is lost: every leg whose last read was short.
            part: if reason == Reason::LegLost { 0b1111 } else { 0 },
            reason,
            urgency: reason.urgency(),
            legs,
            keep: [Qty::ZERO; LEGS_MAX],
            compiled,
            inputs: [None; LEGS_MAX],
        };
        self.intents.push(ToExecution::Intent(intent)).unwrap();
    }

    /// The venue is asked what is held of an instrument: all, less than that, or nothing.
    fn read(&mut self, at: usize) {
        let qty = [1_000_000, 150, 100, 0][self.random.below(4) as usize];
        let qty = if at.is_multiple_of(2) { qty } else { -qty };
        let (account, instrument) = (AccountId(0), InstrumentId(at as u16));
        let read = HoldingRead { account, instrument, qty, asked: self.now };
        let mut venue = self.venue.lock().unwrap();
        venue.reads.push(GatewayEvent::Position(read));
        if self.random.below(8) == 0 {
            let wait = Nanos::from_millis(self.random.below(2_000));
            venue.reads.push(GatewayEvent::Limited { venue: VenueId(0), wait });
        }
    }

    /// A settlement of an instrument's funding has passed.
    fn settle(&mut self, at: usize) {
        let id = InstrumentId(at as u16);
        let stamp = Stamp {
            source: SourceId(0),
            received: self.now,
            update_id: 0,
            venue_lag_us: 0,
            reset: false,
        };
        let funding = &mut self.funding[at];
        let rate = Rate::new(self.random.below(2_000_000) as i64 - 1_000_000).unwrap();
        let next = self.now.plus(Nanos(1));
        assert!(funding.on_tick(&Tick::mark(id, stamp, Price::new(10_000).unwrap())).is_none());
        if let Some(due) = funding.on_tick(&Tick::funding(id, stamp, rate, next)) {
            self.intents.push(ToExecution::Settled(id, due)).unwrap();
        }
    }

    fn pass(&mut self, longest: u64) {
        self.now = self.now.plus(Nanos(self.random.below(longest * 1_000_000)));
    }

    fn round(&mut self) {
        let longest = if self.random.one_in(40) { 20_000 } else { 60 };
        self.pass(longest);
        for _ in 0..self.random.below(12) {
            let at = self.random.below(INSTRUMENTS as u64) as usize;
            let spread = if self.random.one_in(4) { 200 } else { 1 };
            self.quote(at, spread);
        }
        let reasons = [
            Reason::TakeProfit,
            Reason::Deadline,
            Reason::StopLoss,
            Reason::Operator,
            Reason::LegLost,
        ];
        if self.random.one_in(3) {
            let at = self.random.below(POSITIONS as u64) as usize;
            let reason = reasons[self.random.below(5) as usize];
            if reason == Reason::LegLost {
                // Only what a read has shown to be lost is written off.
                self.read(at % INSTRUMENTS);
                self.work();
            }
            self.decide(at, reason);
        }
        if self.random.one_in(10) {
            let at = self.random.below(INSTRUMENTS as u64) as usize;
            self.settle(at);
        }
        if self.random.one_in(8) {
            let at = self.random.below(INSTRUMENTS as u64) as usize;
            self.read(at);
        }
        let acts = self.random.below(4);
        for _ in 0..acts {
            self.venue.lock().unwrap().act(&mut self.random);
        }
        self.work();
    }

    fn work(&mut self) {
        self.agent.do_work(self.now, &mut self.stats);
        while self.reports.pop().is_some() {}
        while let Some(told) = self.told.pop() {
            if let Told::Alarm(_, text) = told {
                self.alarms.push(text.into());
            }
        }
    }

    /// All positions wait for a narrower spread, and are looked after by one timer.
    fn everybody_waits(&mut self) {
        for at in 0..INSTRUMENTS {
            let (bid, size) = (9_900, 5);
            let quote = Quote::new(bid, bid + 200, size, size).unwrap();
            self.table.write(InstrumentId(at as u16), Some((quote, self.now)));
        }
        for at in 0..POSITIONS {
            self.decide(at, Reason::Deadline);
        }
        self.work();
        for _ in 0..5 {
            self.now = self.now.plus(Nanos::from_millis(500));
            self.work();
        }
    }

    /// Stops it; gives the executor's hash.
    fn stop(mut self) -> u64 {
        self.stop.store(true, std::sync::atomic::Ordering::Release);
        for _ in 0..100 {
            self.now = self.now.plus(Nanos::from_secs(1));
            self.work();
            if self.agent.is_done() {
                return self.agent.into_executor().hash();
            }
        }
        panic!("it does not stop");
    }
}

#[test]
fn the_log_decides_everything_once_more() {
    let seed = seed();
    let scratch = Scratch::new();
    let dir = scratch.path("log");
    let mut rig = Rig::new(seed, &dir);
    rig.work();
    // Before any order is in flight, a read says what is lost of the newest on an instrument.
    for at in (30..INSTRUMENTS).step_by(5) {
        rig.read(at);
        rig.work();
        rig.decide(at, Reason::LegLost);
        rig.work();
    }
    rig.everybody_waits();
    for _ in 0..4_000 {
        rig.round();
    }
    // Nothing can be sent for a while, and a hundred positions must be closed.
    rig.venue.lock().unwrap().refuse = true;
    for at in 0..POSITIONS {
        rig.decide(at, Reason::Operator);
    }
    for _ in 0..200 {
        rig.round();
    }
    rig.venue.lock().unwrap().refuse = false;
    for _ in 0..1_000 {
        rig.round();
    }
    let venue = Arc::clone(&rig.venue);
    assert!(rig.alarms.iter().all(|text| text.contains("is not sent")), "{:?}", rig.alarms);
    let hash = rig.stop();
    let (epoch, records) = read(&dir);
    let (again, tally) = redecide(epoch, &records);
    println!("{tally:?}");
    assert_eq!(again, hash);
    // In the order in which they left, none twice, none missing.
    assert_eq!(venue.lock().unwrap().sent, left(&records));
    let Tally { intents, answers, timers, unsent, amounts, reads, orders, reports, .. } = tally;
    let counts = [intents, answers, timers, unsent, amounts, reads, orders, reports];
    assert!(counts.iter().all(|&n| n > 20));
    let lost =
        |(_, record): &&(Nanos, Record)| matches!(record, Record::Report(Report::LegLost { .. }));
    let lost = records.iter().filter(lost).count();
    assert!(lost > 5, "{lost} legs written off");
    assert_eq!(tally.positions, POSITIONS as u64);
    assert!(tally.sights_max > 64, "more than sixteen records of sights at one step");
    assert!(tally.orders_max >= 4);
    assert!(matches!(records.last(), Some((_, Record::Stop(_)))));
}

/// The disk refuses a record in the middle: from there on nothing leaves, and what is in the log is
/// everything that has left.
#[test]
fn nothing_is_sent_once_the_log_has_failed() {
    let scratch = Scratch::new();
    let dir = scratch.path("log");
    let mut rig = Rig::new(seed(), &dir);
    rig.work();
    let kept = scratch.path("moved");
    // The next segment cannot be reserved any more: what is left is used up first.
    std::fs::rename(&dir, &kept).unwrap();
    let failed =
        |rig: &Rig| rig.alarms.iter().any(|text| text.contains("nothing is sent any more"));
    let mut rounds = 0;
    while !failed(&rig) {
        rig.round();
        rounds += 1;
        assert!(rounds < 20_000, "the log does not fail");
    }
    let sent = rig.venue.lock().unwrap().sent.clone();
    for at in 0..POSITIONS {
        rig.decide(at, Reason::Operator);
    }
    for _ in 0..500 {
        rig.round();
    }
    assert_eq!(rig.venue.lock().unwrap().sent, sent, "sent without a record");
    assert!(rig.view.unlogged.load(std::sync::atomic::Ordering::Relaxed) > 0);
    let said = rig.alarms.iter().filter(|text| text.contains("nothing is sent any more")).count();
    assert_eq!(said, 1);
    rig.stop();
    let (_, records) = read(&kept);
    // The last orders may stand there without having left: nobody could say so any more.
    let logged = left(&records);
    assert_eq!(logged[..sent.len()], sent[..]);
    let names = records
        .iter()
        .filter(|(_, record)| matches!(record, Record::Name { of: Named::Instrument(_), .. }));
    assert_eq!(names.count(), INSTRUMENTS);
}
