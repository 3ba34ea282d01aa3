//! Engine and executor together on one thread, as the product composes them, against a venue that
//! fills what is quoted: no decision ping-pongs without time passing, both agree on what is open,
//! and what fires closes.
//!
//! `SEED=… STEPS=… cargo test -p reap-core --test engine_executor` repeats or lengthens a run.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says its seed, and ends where something is missing"
)]

mod common;

use std::collections::VecDeque;

use common::{Table, ZERO, instrument};
use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Event, GateSettings, Report};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{AccountId, InstrumentId, SourceId};
use reap_core::intent::Intent;
use reap_core::order::{Order, OrderChange, OrderEvent, OrderSide, RejectClass};
use reap_core::policy::{Policy, PolicyId, Rule, Threshold, Tier};
use reap_core::position::{LegSpec, PositionId, PositionSpec, PositionState, Side};
use reap_core::pricing::Top;
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Nanos, Price, Qty, Rate};

const INSTRUMENTS: usize = 3;
const POSITIONS: usize = 16;
/// Reports and intents that one event may set off before time must pass.
const ECHOES_MAX: usize = 64;

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

struct Pair {
    random: Random,
    engine: Engine,
    executor: Executor,
    quotes: Table,
    mids: [i64; INSTRUMENTS],
    now: Nanos,
    venue: VecDeque<Order>,
    /// On their way between two threads; delivered at once on one.
    intents: VecDeque<Intent>,
    reports: VecDeque<Report>,
    threads: bool,
    positions: Vec<(PositionId, usize)>,
    trade_id: u64,
    update_id: u64,
    closed: u64,
    dust: u64,
}

fn policies() -> [Policy; 3] {
    let profit = |bps| Threshold::Rate { rate: Rate::from_bps(bps), base: None };
    let tier =
        |bps, percent: i64| Tier { at: Rate::from_bps(bps), share: Rate::from_bps(percent * 100) };
    [
        Policy::of([
            Rule::TakeProfit { threshold: profit(50) },
            Rule::StopLoss { distance: Rate::from_bps(60), base: None },
        ]),
        Policy::of([
            Rule::Tiers {
                base: None,
                tiers: [tier(10, 30), tier(30, 60), tier(60, 100)].into_iter().collect(),
            },
            Rule::StopLoss { distance: Rate::from_bps(80), base: None },
        ]),
        Policy::of([
            Rule::TakeProfit { threshold: profit(20) },
            Rule::Deadline {
                max_age: Some(Nanos::from_secs(60)),
                at: None,
                session_close: None,
                close_before: Nanos(0),
            },
        ]),
    ]
}

impl Pair {
    fn new(seed: u64, threads: bool) -> Self {
        let instruments =
            [instrument(1, 1, 1, 0), instrument(1, 1, 3, 0), instrument(5, 10, 30, 0)];
        let limits = EngineLimits::any(4 * POSITIONS, 64, 8192);
        let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
        for policy in policies() {
            engine.add_policy(policy).unwrap();
        }
        let limits = ExecutorLimits { positions: 4 * POSITIONS, orders: 8 * POSITIONS };
        Self {
            random: Random(seed),
            engine,
            executor: Executor::new(limits, &instruments, 1),
            quotes: Table(vec![None; INSTRUMENTS]),
            mids: [100_000; INSTRUMENTS],
            now: Nanos::from_secs(1_000),
            venue: VecDeque::new(),
            intents: VecDeque::new(),
            reports: VecDeque::new(),
            threads,
            positions: Vec::new(),
            trade_id: 0,
            update_id: 0,
            closed: 0,
            dust: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(10) {
            0..4 => self.tick(),
            4..9 => self.answer(),
            _ => self.pass_time(),
        }
        if self.positions.len() < POSITIONS {
            self.register();
        }
        // Time and prices go on between two looks at a ring.
        self.pump();
    }

    fn register(&mut self) {
        let policy = self.random.below(3) as usize;
        let count = 1 + self.random.below(2) as usize;
        let first = self.random.below(INSTRUMENTS as u64) as usize;
        let legs = (0..count).map(|i| {
            let at = (first + i) % INSTRUMENTS;
            LegSpec {
                // A one-way account holds one side.
                account: AccountId((2 * at + i) as u8),
                instrument: InstrumentId(at as u16),
                side: if i == 0 { Side::Long } else { Side::Short },
                entry: Price::new(self.mids[at]).unwrap(),
                qty: Qty::new(40 + self.random.below(200) as i64).unwrap(),
                fees_paid: ZERO,
                funding: ZERO,
                margin: None,
            }
        });
        let spec = PositionSpec {
            policy: PolicyId(policy as u16),
            opened: self.now,
            tag: 0,
            legs: legs.collect(),
        };
        let id = self.engine.register(self.now, &spec).unwrap();
        self.executor.register(id, &spec, &policies()[policy].exit).unwrap();
        self.positions.push((id, count));
        self.pump();
    }

    fn tick(&mut self) {
        let at = self.random.below(INSTRUMENTS as u64) as usize;
        self.mids[at] += (self.random.below(61) as i64 - 30) * 5;
        self.mids[at] = self.mids[at].clamp(90_000, 110_000);
        let spread = 5 * (1 + self.random.below(4) as i64);
        let size = |random: &mut Random| 1 + random.below(150) as i64;
        let (bid_qty, ask_qty) = (size(&mut self.random), size(&mut self.random));
        let quote = Quote::new(self.mids[at], self.mids[at] + spread, bid_qty, ask_qty).unwrap();
        self.now = self.now.plus(Nanos::from_millis(self.random.below(50)));
        self.quotes.0[at] = Some(Top { quote, received: self.now });
        self.update_id += 1;
        let stamp = Stamp {
            source: SourceId(0),
            received: self.now,
            update_id: self.update_id,
            venue_lag_us: 0,
            reset: false,
        };
        let tick = Tick::quote(InstrumentId(at as u16), stamp, quote);
        self.engine.on_event(self.now, &Event::Tick(tick));
        self.pump();
    }

    fn pass_time(&mut self) {
        let end = self.now.plus(Nanos::from_millis(self.random.below(300)));
        loop {
            let due = [self.engine.next_timer(), self.executor.next_timer()];
            let Some(at) = due.into_iter().flatten().min().filter(|&at| at <= end) else { break };
            self.now = self.now.max(at);
            self.engine.on_event(self.now, &Event::Timer);
            self.pump();
            self.executor.on_timer(self.now, &self.quotes);
            self.pump();
        }
        self.now = end;
    }

    /// The venue answers its oldest order: fills from the book what the limit allows, then says
    /// that the order is over. Sometimes it refuses.
    fn answer(&mut self) {
        let Some(order) = self.venue.pop_front() else { return };
        if self.random.below(20) == 0 {
            let class = [RejectClass::Price, RejectClass::RateLimit, RejectClass::Unavailable]
                [self.random.below(3) as usize];
            return self.say(&order, OrderChange::Rejected(class));
        }
        let top = self.quotes.0[usize::from(order.instrument.0)];
        let (price, size, crosses) = top.map_or((Price::new(1).unwrap(), 0, false), |top| {
            let quote = top.quote;
            match order.side {
                OrderSide::Sell => {
                    (quote.bid, quote.bid_qty.raw(), order.limit.is_none_or(|l| quote.bid >= l))
                }
                OrderSide::Buy => {
                    (quote.ask, quote.ask_qty.raw(), order.limit.is_none_or(|l| quote.ask <= l))
                }
            }
        });
        let lot = if order.instrument.0 == 2 { 10 } else { 1 };
        let qty = if crosses { size.min(order.qty.raw()) / lot * lot } else { 0 };
        if qty > 0 {
            self.trade_id += 1;
            let qty = Qty::new(qty).unwrap();
            let trade_id = self.trade_id;
            self.say(&order, OrderChange::Filled { trade_id, price, qty, fee: 0 });
        }
        if qty < order.qty.raw() {
            self.say(&order, OrderChange::Expired);
        }
    }

    fn say(&mut self, order: &Order, what: OrderChange) {
        self.executor.on_order_event(self.now, &OrderEvent { id: order.id, what }, &self.quotes);
        self.pump();
    }

    /// Carries intents, reports and orders until nobody has anything to say.
    fn pump(&mut self) {
        let mut echoes = 0;
        loop {
            let mut quiet = true;
            while let Some(order) = self.executor.poll_order() {
                self.venue.push_back(order);
            }
            while let Some(intent) = self.engine.poll_intent() {
                self.intents.push_back(intent);
            }
            while self.executor.poll_ask().is_some() || self.executor.poll_note().is_some() {}
            while let Some(report) = self.executor.poll_report() {
                self.reports.push_back(report);
            }
            // Between threads each side sees what the other said some time later.
            let mut arrives = || !self.threads || self.random.below(4) == 0;
            let (intent, report) = (arrives(), arrives());
            if let Some(intent) = self.intents.pop_front_if(|_| intent) {
                quiet = false;
                self.executor.on_intent(self.now, &intent, &self.quotes);
                if let Some(plan) = self.executor.plan(intent.position) {
                    assert_eq!(plan.keep, intent.keep, "one target, known to both");
                }
            }
            if let Some(report) = self.reports.pop_front_if(|_| report) {
                quiet = false;
                self.engine.on_event(self.now, &Event::Report(report));
            }
            if quiet {
                break;
            }
            echoes += 1;
            assert!(echoes < ECHOES_MAX, "engine and executor answer each other for ever");
        }
        if self.intents.is_empty() && self.reports.is_empty() {
            self.forget_ended();
        }
    }

    fn forget_ended(&mut self) {
        let (engine, executor) = (&self.engine, &self.executor);
        let (mut closed, mut dust) = (0, 0);
        self.positions.retain(|&(id, legs)| {
            // Its slot may hold another position by now.
            if executor.is_closed(id) || executor.open(id).is_none() {
                assert!(matches!(engine.state(id), None | Some(PositionState::Closed)));
                closed += 1;
                return false;
            }
            let state = engine.state(id).expect("what is held is known");
            for leg in 0..legs {
                let open = executor.leg(id, leg).unwrap().open;
                assert_eq!(engine.open(id, leg), Some(open), "learnt by reports only");
            }
            let planned = executor.plan(id).is_some();
            assert_eq!(planned, state == PositionState::Exiting, "one plan, known to both");
            dust += u64::from(state == PositionState::DustResidual);
            state != PositionState::DustResidual
        });
        (self.closed, self.dust) = (self.closed + closed, self.dust + dust);
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn engine_and_executor_agree_and_never_ping_pong() {
    let seed = setting("SEED", 4_711);
    let steps = setting("STEPS", 200_000);
    println!("SEED={seed} STEPS={steps}");
    run(seed, steps, false);
}

/// Intents and reports cross on their way between two threads: whenever nothing is on its way, both
/// sides know the same again.
#[test]
fn crossing_intents_and_reports_leave_both_sides_agreed() {
    let seed = setting("SEED", 4_712);
    let steps = setting("STEPS", 200_000);
    println!("SEED={seed} STEPS={steps}");
    let crossed = run(seed, steps, true);
    assert!(crossed > 10, "raises pass ends: {crossed}");
}

fn run(seed: u64, steps: u64, threads: bool) -> u64 {
    let mut pair = Pair::new(seed, threads);
    let mut crossed = 0;
    for _ in 0..steps {
        // Dust keeps its slot: the run ends before the tables are full of it.
        if pair.dust as usize > 2 * POSITIONS {
            crossed += pair.engine.counters().crossed;
            let next = Pair::new(pair.random.below(u64::MAX), threads);
            pair = Pair { closed: pair.closed, ..next };
        }
        pair.step();
    }
    println!("closed {}, {:#?}", pair.closed, pair.executor.counters());
    assert!(pair.closed > steps / 1_000, "exits happen: {}", pair.closed);
    assert!(threads || pair.executor.counters().ignored_intents == 0);
    crossed + pair.engine.counters().crossed
}
