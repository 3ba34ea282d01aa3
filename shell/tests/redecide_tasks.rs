//! A replay of tasks, and its order log: entries, what undoes them and the positions that come of
//! them are decided once more from the log alone.
//!
//! `SEED=… cargo test -p reap-shell --test redecide_tasks` repeats a run.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;
mod decided_again;

use std::collections::VecDeque;
use std::path::Path;

use common::Scratch;
use decided_again::{Tally, left, read, redecide};
use reap_core::engine::Engine;
use reap_core::event::{EntryOutcome, Event, Report};
use reap_core::executor::Executor;
use reap_core::instrument::{Instrument, InstrumentId, SourceId};
use reap_core::log::{NotSentWhy, Record, Sights};
use reap_core::order::{Order, OrderEvent};
use reap_core::pricing::{Quotes, Top};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::Nanos;
use reap_shell::config::Config;
use reap_shell::live::journal;
use reap_shell::order_log::{LogSettings, OrderLog, SEGMENT_MIN};
use reap_shell::pipeline;
use reap_shell::sim::Matching;

const START: Nanos = Nanos(common::START);

/// Two tasks on the same instruments: only one of them may hold these at a time.
const TASKS: &str = r#"
[policy.pair]
basis = "0.2%"
deadline = "20s"

[task.one]
policy = "pair"
spot = "btc-spot"
futures = "btc-usdm"
size = "3000 USDT"
cooldown = "1s"
pause_after_losses = 1000000

[task.two]
policy = "pair"
spot = "btc-spot"
futures = "btc-usdm"
account = "other"
size = "900 USDT"
max_cost = "0.6%"
cooldown = "2s"
pause_after_losses = 1000000
"#;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }
}

struct Believed<'e>(&'e Engine);

impl Quotes for Believed<'_> {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        self.0.quote(instrument).map(|(quote, received)| Top { quote, received })
    }
}

/// Engine and executor with venues that match, and a log of all that the executor is told.
struct Desk {
    config: Config,
    engine: Engine,
    executor: Executor,
    venues: Vec<Matching>,
    log: OrderLog,
    sights: Sights,
    reports: VecDeque<Report>,
    sent: Vec<Order>,
    random: Random,
    now: Nanos,
    ids: u64,
    spot: i64,
    premium: i64,
}

impl Desk {
    fn new(seed: u64, dir: &Path) -> Self {
        let base = common::read(&common::data("cases/base.toml"));
        let config = Config::parse("tasks.toml", &(base + TASKS)).unwrap();
        let instruments: Vec<Instrument> =
            config.instruments.iter().map(|named| named.instrument).collect();
        let settings = LogSettings { segment_bytes: SEGMENT_MIN, ..LogSettings::default() };
        let mut log = OrderLog::open(dir, START, settings).unwrap();
        journal::begin(&mut log, START, &config, pipeline::executor_limits(&config)).unwrap();
        Self {
            engine: pipeline::engine(&config, &instruments, 1).unwrap(),
            executor: pipeline::executor(&config, &instruments, log.epoch()),
            venues: pipeline::venues(&config),
            sights: Sights::new(instruments.len()),
            log,
            config,
            reports: VecDeque::new(),
            sent: Vec::new(),
            random: Random(seed),
            now: START,
            ids: 0,
            spot: 5_000_000,
            premium: 0,
        }
    }

    /// One input of the executor: its record, what was seen at it, and what came of it.
    fn step(&mut self, input: &Record) {
        let now = self.now;
        self.log.append(now, input).unwrap();
        {
            let believed = Believed(&self.engine);
            let quotes = self.sights.over(&believed);
            match input {
                Record::Entry(entry) => self.executor.on_entry(now, entry, &quotes),
                Record::Intent(intent) => self.executor.on_intent(now, intent, &quotes),
                Record::Answer(event) => self.executor.on_order_event(now, event, &quotes),
                Record::NotSent { id, .. } => {
                    self.executor.on_order_event(now, &OrderEvent::not_sent(*id), &quotes);
                }
                Record::Position { id, spec, exit } => {
                    self.executor.register(*id, spec, exit).unwrap();
                }
                Record::Timer => self.executor.on_timer(now, &quotes),
                other => panic!("no input: {other:?}"),
            }
        }
        for saw in self.sights.saw() {
            self.log.append(now, &Record::Saw(saw)).unwrap();
        }
        while let Some(report) = self.executor.poll_report() {
            self.log.append(now, &Record::Report(report)).unwrap();
            self.reports.push_back(report);
        }
        while self.executor.poll_ask().is_some() || self.executor.poll_note().is_some() {}
        let orders: Vec<Order> = std::iter::from_fn(|| self.executor.poll_order()).collect();
        for order in &orders {
            self.log.append(now, &Record::Order(*order)).unwrap();
        }
        for order in orders {
            if self.random.below(20) == 0 {
                self.step(&Record::NotSent { id: order.id, why: NotSentWhy::Busy });
                continue;
            }
            self.sent.push(order);
            let of = self.config.instruments[usize::from(order.instrument.0)].spec();
            self.venues[usize::from(of.venue.0)].on_order(now, order);
        }
    }

    fn pump(&mut self) {
        loop {
            while self.engine.poll_note().is_some() {}
            if let Some(entered) = self.engine.poll_entered() {
                let policy = &self.config.policies[usize::from(entered.spec.policy.0)].policy;
                let (id, spec, exit) = (entered.id, entered.spec, policy.exit.clone());
                self.step(&Record::Position { id, spec, exit });
            } else if let Some(intent) = self.engine.poll_intent() {
                self.step(&Record::Intent(intent));
            } else if let Some(entry) = self.engine.poll_entry() {
                self.step(&Record::Entry(entry));
            } else if let Some(report) = self.reports.pop_front() {
                self.engine.on_event(self.now, &Event::Report(report));
            } else {
                return;
            }
        }
    }

    /// Prices walk; what is shown of them is sometimes less than an entry wants.
    fn quote(&mut self, at: u16) {
        self.spot =
            (self.spot + self.random.below(4_001) as i64 - 2_000).clamp(4_900_000, 5_100_000);
        self.premium =
            (self.premium + self.random.below(9_001) as i64 - 4_500).clamp(-40_000, 40_000);
        let mut size = |most: u64| 1 + self.random.below(most) as i64;
        let (spot, usdm) = (self.spot, (self.spot + self.premium) / 10);
        let quote = match at {
            0 => Quote::new(spot, spot + 1, size(9_000), size(9_000)),
            _ => Quote::new(usdm, usdm + 1, size(90), size(90)),
        };
        let (id, quote) = (InstrumentId(at), quote.unwrap());
        self.ids += 1;
        let stamp = Stamp {
            source: SourceId(0),
            received: self.now,
            update_id: self.ids,
            venue_lag_us: 0,
            reset: false,
        };
        let venue = self.config.instruments[usize::from(at)].spec().venue;
        self.venues[usize::from(venue.0)].on_quote(self.now, id, quote);
        self.engine.on_event(self.now, &Event::Tick(Tick::quote(id, stamp, quote)));
        self.pump();
    }

    fn round(&mut self) {
        let until = self.now.plus(Nanos(self.random.below(30_000_000)));
        let venues = |venues: &[Matching]| venues.iter().filter_map(Matching::next_due).min();
        loop {
            let timers = [self.executor.next_timer(), self.engine.next_timer()];
            let due = timers.into_iter().flatten().chain(venues(&self.venues)).min();
            let Some(due) = due.filter(|due| *due <= until) else { break };
            self.now = self.now.max(due);
            for venue in 0..self.venues.len() {
                while let Some(event) = self.venues[venue].poll_event(self.now) {
                    self.step(&Record::Answer(event));
                    self.pump();
                }
            }
            if self.executor.next_timer().is_some_and(|due| due <= self.now) {
                self.step(&Record::Timer);
                self.pump();
            }
            if self.engine.next_timer().is_some_and(|due| due <= self.now) {
                self.engine.on_event(self.now, &Event::Timer);
                self.pump();
            }
        }
        self.now = until;
        let at = self.random.below(2) as u16;
        self.quote(at);
    }
}

#[test]
fn the_log_of_a_replay_with_tasks_decides_everything_once_more() {
    let seed = std::env::var("SEED").map_or(7, |text| text.parse().unwrap());
    println!("SEED={seed}");
    let scratch = Scratch::new();
    let dir = scratch.path("log");
    let mut desk = Desk::new(seed, &dir);
    for _ in 0..150_000 {
        desk.round();
    }
    let (epoch, records) = read(&dir);
    let (again, tally) = redecide(epoch, &records);
    println!("{tally:?}");
    assert_eq!(again, desk.executor.hash());
    // In the order in which they left, none twice, none missing.
    assert_eq!(desk.sent, left(&records));
    let Tally { entries, positions, intents, answers, timers, unsent, .. } = tally;
    assert!([entries, positions, intents, answers, timers, unsent].iter().all(|&n| n > 20));
    let ended = |wanted| {
        let is = |record: &Record| matches!(record, Record::Report(Report::EntryEnded { outcome, .. }) if *outcome == wanted);
        records.iter().filter(|(_, record)| is(record)).count()
    };
    let outcomes = [EntryOutcome::Filled, EntryOutcome::Partial, EntryOutcome::Nothing].map(ended);
    let undone = records
        .iter()
        .filter(|(_, record)| matches!(record, Record::Report(Report::EntryUndone { .. })));
    let undone = undone.count();
    println!("entries ended {outcomes:?}, {undone} fills undone");
    assert!(outcomes.iter().all(|&n| n > 10) && undone > 20, "{outcomes:?} {undone}");
}
