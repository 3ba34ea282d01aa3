//! Tasks with engine and executor together, against a venue that does anything a venue may do but
//! tells no lies: partial fills, expiries, refusals, silence, repeated and late events. Its own books
//! say after every step that never more is open than was entered, that no entry ends while an order
//! of it may still trade, that tasks which share an instrument hold it one at a time, and that every
//! cent of a task's cycles is counted.
//!
//! `SEED=… STEPS=… cargo test -p reap-core --test tasks_random` repeats or lengthens a run.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says its seed, and ends where something is missing"
)]

mod common;

use std::collections::{BTreeMap, HashSet, VecDeque};

use common::{Table, instrument};
use reap_core::engine::{Engine, EngineLimits};
use reap_core::entry::{EntryIntent, TaskId};
use reap_core::event::{Command, EntryOutcome, Event, GateSettings, Report, TaskCommand};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{AccountId, Instrument, InstrumentId, InstrumentSpec, SourceId};
use reap_core::limits::PPB;
use reap_core::order::{ClientOrderId, Order, OrderChange, OrderEvent, OrderSide, RejectClass};
use reap_core::policy::{Policy, PolicyId, Rule, Threshold};
use reap_core::position::{PositionId, PositionState, Side};
use reap_core::pricing::Top;
use reap_core::task::{TaskLeg, TaskSpec, TaskState, TaskView, Unreachable};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

/// Spot and futures of each task. The first two share their spot, the last two their futures.
const TASKS: [(usize, usize); 3] = [(0, 1), (0, 2), (3, 2)];
const INSTRUMENTS: usize = 4;
/// Lots; what is below the second number is no order.
const LOTS: [(i64, i64); INSTRUMENTS] = [(1, 1), (3, 3), (10, 30), (2, 2)];
/// Prices of one instrument are in tenths.
const TENTHS: usize = 2;
/// From each instrument's nano scale to the larger of its task's.
const fn align(task: usize, instrument: usize) -> i128 {
    if TASKS[task].1 == TENTHS && instrument != TENTHS { 10 } else { 1 }
}

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

/// What the venue's books say of a task.
#[derive(Clone, Copy, Default)]
struct Book {
    /// Held of its spot and its futures, signed.
    held: [i64; 2],
    /// Of these, what earlier entries left and nothing can sell.
    rest: [i64; 2],
    /// Sold less bought less fees, and traded, at the task's nano scale.
    cash: i128,
    volume: i128,
    /// Fills of the entry at work.
    entered: [i64; 2],
    undone: [i64; 2],
}

#[derive(Clone, Copy, Default)]
struct Tally {
    whole: u64,
    partial: u64,
    nothing: u64,
    undone: u64,
    failed: u64,
    cycles: u64,
    locked: u64,
    dust: u64,
}

struct Desk {
    random: Random,
    engine: Engine,
    executor: Executor,
    quotes: Table,
    spot: i64,
    premium: i64,
    now: Nanos,
    /// Orders that may still trade, and what they have left.
    working: BTreeMap<ClientOrderId, (Order, i64)>,
    seen: HashSet<ClientOrderId>,
    /// What the venue has done and not said yet.
    unsaid: VecDeque<OrderEvent>,
    said: Vec<OrderEvent>,
    reports: VecDeque<Report>,
    entries: [Option<EntryIntent>; TASKS.len()],
    books: [Book; TASKS.len()],
    positions: BTreeMap<PositionId, usize>,
    /// Entry prices of its legs.
    prices: BTreeMap<PositionId, [i64; 2]>,
    trades: u64,
    ids: u64,
    faults: bool,
    tally: Tally,
}

fn policy() -> Policy {
    let threshold = Threshold::Rate { rate: Rate::from_bps(20), base: None };
    let max_age = Some(Nanos::from_secs(5));
    let close_before = Nanos(0);
    Policy::of([
        Rule::Basis { threshold },
        Rule::Deadline { max_age, at: None, session_close: None, close_before },
    ])
}

fn task((spot, futures): (usize, usize)) -> TaskSpec {
    let leg = |at| TaskLeg { account: AccountId(0), instrument: InstrumentId(at as u16) };
    TaskSpec {
        policy: PolicyId(0),
        tag: 0,
        spot: leg(spot),
        futures: leg(futures),
        size: Decimal { mantissa: 1_000_000, scale: 0 },
        max_cost: Rate::from_bps(30),
        cooldown: Nanos::from_millis(700),
        losing_max: 0,
        cycles_max: 0,
        unreachable: Unreachable::Allow,
        liquidation: None,
    }
}

impl Desk {
    fn new(seed: u64) -> Self {
        let instruments: Vec<Instrument> = (0..INSTRUMENTS)
            .map(|at| {
                let (lot, least) = LOTS[at];
                let spec = *instrument(1, lot, least, 0).spec();
                let price_scale = u8::from(at == TENTHS);
                Instrument::new(InstrumentSpec { price_scale, ..spec }).unwrap()
            })
            .collect();
        let limits = EngineLimits::any(8, 1, 64);
        let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
        engine.add_policy(policy()).unwrap();
        for said in TASKS {
            engine.add_task(task(said)).unwrap();
        }
        let executor = Executor::new(ExecutorLimits { positions: 8, orders: 8 }, &instruments, 1);
        Self {
            random: Random(seed),
            engine,
            executor,
            quotes: Table(vec![None; INSTRUMENTS]),
            spot: 10_000,
            premium: 0,
            now: Nanos::from_secs(1_000),
            working: BTreeMap::new(),
            seen: HashSet::new(),
            unsaid: VecDeque::new(),
            said: Vec::new(),
            reports: VecDeque::new(),
            entries: [None; TASKS.len()],
            books: [Book::default(); TASKS.len()],
            positions: BTreeMap::new(),
            prices: BTreeMap::new(),
            trades: 0,
            ids: 0,
            faults: true,
            tally: Tally::default(),
        }
    }

    /// Which task an order is of, and which of its legs.
    fn task_of(&self, order: &Order) -> (usize, usize) {
        let task = if order.id.is_entry() {
            order.id.position.0 as usize
        } else {
            self.positions[&order.id.position]
        };
        (task, usize::from(usize::from(order.instrument.0) != TASKS[task].0))
    }

    fn step(&mut self) {
        match self.random.below(10) {
            0..4 => self.tick(),
            4..8 => self.venue(),
            8 => self.say(),
            _ => self.pass(300),
        }
        if self.faults && self.random.one_in(40) && !self.said.is_empty() {
            // Once more, or long after its order's end.
            let at = self.random.below(self.said.len() as u64) as usize;
            let event = self.said[at];
            self.executor.on_order_event(self.now, &event, &self.quotes);
            self.pump();
        }
        for at in 0..TASKS.len() {
            let task = TaskId(at as u16);
            let view = self.engine.task(task).unwrap();
            if view.state == TaskState::Failed && view.position.is_none() {
                self.tally.failed += 1;
                let what = TaskCommand::Start;
                self.engine.on_event(self.now, &Event::Command(Command::Task { task, what }));
                self.pump();
            }
        }
        self.check();
    }

    fn tick(&mut self) {
        self.spot = (self.spot + self.random.below(21) as i64 - 10).clamp(9_000, 11_000);
        self.premium = (self.premium + self.random.below(41) as i64 - 20).clamp(-80, 80);
        self.now = self.now.plus(Nanos::from_millis(self.random.below(40)));
        let at = self.random.below(INSTRUMENTS as u64) as usize;
        let mid = match at {
            1 => self.spot + self.premium,
            TENTHS => (self.spot + self.premium) * 10 + self.random.below(10) as i64,
            _ => self.spot,
        };
        let mut size = || 1 + self.random.below(200) as i64;
        let quote = Quote::new(mid, mid + 1, size(), size()).unwrap();
        self.quotes.0[at] = Some(Top { quote, received: self.now });
        self.ids += 1;
        let stamp = Stamp {
            source: SourceId(0),
            received: self.now,
            update_id: self.ids,
            venue_lag_us: 0,
            reset: false,
        };
        let tick = Tick::quote(InstrumentId(at as u16), stamp, quote);
        self.engine.on_event(self.now, &Event::Tick(tick));
        self.pump();
    }

    fn pass(&mut self, millis: u64) {
        let end = self.now.plus(Nanos::from_millis(self.random.below(millis)));
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

    /// The venue does something about one of its orders; it may say so much later.
    fn venue(&mut self) {
        let count = self.working.len() as u64;
        let Some(nth) = (count > 0).then(|| self.random.below(count) as usize) else { return };
        let (order, left) = *self.working.values().nth(nth).unwrap();
        let whole = order.qty.raw() == left;
        let what = match self.random.below(if self.faults { 8 } else { 3 }) {
            0..3 => self.fill(&order, left),
            3 => OrderChange::Acked,
            4 | 5 => OrderChange::Expired,
            6 if whole => {
                let all = [RejectClass::Price, RejectClass::Size, RejectClass::Unavailable];
                OrderChange::Rejected(all[self.random.below(3) as usize])
            }
            _ => return,
        };
        if matches!(what, OrderChange::Expired | OrderChange::Rejected(_)) {
            self.working.remove(&order.id);
        }
        self.unsaid.push_back(OrderEvent { id: order.id, what });
        if !self.faults || self.random.one_in(2) {
            while !self.unsaid.is_empty() {
                self.say();
            }
        }
    }

    fn fill(&mut self, order: &Order, left: i64) -> OrderChange {
        let at = usize::from(order.instrument.0);
        let (task, leg) = self.task_of(order);
        let lots = left / LOTS[at].0;
        let part = self.faults && self.random.one_in(2);
        let qty = if part { 1 + self.random.below(lots as u64) as i64 } else { lots } * LOTS[at].0;
        self.working.get_mut(&order.id).unwrap().1 -= qty;
        if qty == left {
            self.working.remove(&order.id);
        }
        let price = order.limit.map_or(self.spot, Price::raw);
        let fee = self.random.below(1 << 40) as i128 - (1 << 38);
        let buys = order.side == OrderSide::Buy;
        let book = &mut self.books[task];
        let notional = i128::from(price) * i128::from(qty) * i128::from(PPB);
        book.cash += ((if buys { -notional } else { notional }) - fee) * align(task, at);
        book.volume += notional * align(task, at);
        book.held[leg] += if buys { qty } else { -qty };
        if order.id.is_entry() {
            let entered = buys == (leg == 0);
            let side = if entered { &mut book.entered } else { &mut book.undone };
            side[leg] += qty;
            self.tally.undone += u64::from(!entered);
        }
        // What is sold was bought, what is bought back was sold, and never more than that.
        let beyond = [book.held[0] - book.rest[0], book.rest[1] - book.held[1]];
        assert!(beyond.iter().all(|&held| held >= 0), "{beyond:?} after {order:?}");
        self.trades += 1;
        OrderChange::Filled {
            trade_id: self.trades,
            price: Price::new(price).unwrap(),
            qty: Qty::new(qty).unwrap(),
            fee,
        }
    }

    fn say(&mut self) {
        let Some(event) = self.unsaid.pop_front() else { return };
        if self.said.len() < 1_000 {
            self.said.push(event);
        } else {
            let at = self.random.below(1_000) as usize;
            self.said[at] = event;
        }
        self.executor.on_order_event(self.now, &event, &self.quotes);
        self.pump();
    }

    fn send(&mut self, order: Order) {
        assert!(self.seen.insert(order.id), "sent twice: {order:?}");
        let (task, leg) = self.task_of(&order);
        let other = self.working.values().find(|(one, _)| self.task_of(one) == (task, leg));
        assert!(other.is_none(), "two orders of a leg: {order:?} {other:?}");
        if order.id.is_entry() {
            let said = self.entries[task].unwrap().legs[leg];
            let book = &self.books[task];
            if (order.side == OrderSide::Buy) == (said.side == Side::Long) {
                assert_eq!((order.qty, order.id.attempt), (said.qty, 1), "entered once");
                assert_eq!(order.limit, Some(said.limit));
            } else {
                let held = book.entered[leg] - book.undone[leg];
                assert!(order.qty.raw() <= held, "{order:?} undoes more than {held}");
            }
        }
        self.working.insert(order.id, (order, order.qty.raw()));
    }

    fn pump(&mut self) {
        loop {
            while let Some(order) = self.executor.poll_order() {
                self.send(order);
            }
            while self.executor.poll_ask().is_some() || self.executor.poll_note().is_some() {}
            while let Some(report) = self.executor.poll_report() {
                self.on_report(report);
                self.reports.push_back(report);
            }
            while self.engine.poll_note().is_some() {}
            if let Some(entered) = self.engine.poll_entered() {
                let task = usize::from(entered.task.0);
                self.positions.insert(entered.id, task);
                let prices = [0, 1].map(|leg| entered.spec.legs[leg].entry.raw());
                self.prices.insert(entered.id, prices);
                let book = &self.books[task];
                for (nth, leg) in entered.spec.legs.iter().enumerate() {
                    let held = (book.held[nth] - book.rest[nth]).abs();
                    assert_eq!(leg.qty.raw(), held, "a position of what is held");
                }
                self.executor.register(entered.id, &entered.spec, &policy().exit).unwrap();
            } else if let Some(intent) = self.engine.poll_intent() {
                self.executor.on_intent(self.now, &intent, &self.quotes);
            } else if let Some(entry) = self.engine.poll_entry() {
                let task = usize::from(entry.task.0);
                self.entries[task] = Some(entry);
                (self.books[task].entered, self.books[task].undone) = ([0; 2], [0; 2]);
                self.executor.on_entry(self.now, &entry, &self.quotes);
            } else if let Some(report) = self.reports.pop_front() {
                self.engine.on_event(self.now, &Event::Report(report));
            } else {
                return;
            }
        }
    }

    /// An entry ends on evidence alone: nothing of it may trade, and nothing of it is unsaid.
    fn on_report(&mut self, report: Report) {
        let Report::EntryEnded { task, outcome, .. } = report else { return };
        let of = |id: ClientOrderId| id.is_entry() && id.position.0 == u32::from(task.0);
        assert!(!self.working.keys().any(|&id| of(id)), "an order may still trade");
        let silent =
            |event: &OrderEvent| of(event.id) && matches!(event.what, OrderChange::Filled { .. });
        assert!(!self.unsaid.iter().any(silent), "a fill is not told yet");
        let task = usize::from(task.0);
        let book = &mut self.books[task];
        match outcome {
            EntryOutcome::Filled => self.tally.whole += 1,
            EntryOutcome::Partial => self.tally.partial += 1,
            EntryOutcome::Nothing => {
                self.tally.nothing += 1;
                // What nobody takes counts at the last price.
                let (spot, futures) = TASKS[task];
                for (leg, at) in [spot, futures].into_iter().enumerate() {
                    let quote = self.quotes.0[at].unwrap().quote;
                    let price = if leg == 0 { quote.bid } else { quote.ask };
                    let left = i128::from(book.held[leg] - book.rest[leg]);
                    book.cash += left * i128::from(price.raw()) * i128::from(PPB) * align(task, at);
                }
                book.rest = book.held;
            }
        }
        self.entries[task] = None;
    }

    /// Tasks whose position is too small to be sold.
    fn dust(&self) -> u64 {
        let views = [0, 1, 2].map(|at| self.engine.task(TaskId(at)).unwrap());
        let dust = |view: &&TaskView| {
            let dust = view
                .position
                .is_some_and(|id| self.engine.state(id) == Some(PositionState::DustResidual));
            assert_eq!(dust, view.state == TaskState::Failed && view.position.is_some());
            dust
        };
        views.iter().filter(dust).count() as u64
    }

    /// Dust that its task has left: it counts at its entry price, and stays.
    fn leave_dust(&mut self) {
        for (&id, &task) in &self.positions {
            let dust = self.engine.state(id) == Some(PositionState::DustResidual);
            let held = self.engine.task(TaskId(task as u16)).unwrap().position == Some(id);
            if !dust || held {
                continue;
            }
            let (spot, futures) = TASKS[task];
            for (leg, at) in [spot, futures].into_iter().enumerate() {
                let open = self.engine.open(id, leg).unwrap().raw();
                let left = if leg == 0 { open } else { -open };
                let book = &mut self.books[task];
                let value = i128::from(left) * i128::from(self.prices[&id][leg]);
                book.cash += value * i128::from(PPB) * align(task, at);
                book.rest[leg] += left;
            }
        }
        let (engine, left) = (&self.engine, PositionState::DustResidual);
        self.positions.retain(|&id, task| {
            let held = engine.task(TaskId(*task as u16)).unwrap().position == Some(id);
            held || engine.state(id) != Some(left)
        });
    }

    fn check(&mut self) {
        self.leave_dust();
        self.positions.retain(|&id, _| {
            let closed = self.executor.is_closed(id) || self.executor.open(id).is_none();
            self.tally.cycles += u64::from(closed);
            !closed
        });
        let views = [0, 1, 2].map(|at| self.engine.task(TaskId(at)).unwrap());
        let holds = views.map(|view| {
            matches!(view.state, TaskState::Entering | TaskState::Open | TaskState::Exiting)
        });
        let neighbour = holds[0] || holds[2];
        assert!(!(holds[1] && neighbour), "an instrument is shared");
        self.tally.locked += u64::from(holds[0] && holds[2]);
        for (at, view) in views.iter().enumerate() {
            let book = &self.books[at];
            let unsaid = self.unsaid.iter().any(|event| {
                let task = if event.id.is_entry() {
                    Some(event.id.position.0 as usize)
                } else {
                    self.positions.get(&event.id.position).copied()
                };
                task == Some(at) && matches!(event.what, OrderChange::Filled { .. })
            });
            if unsaid {
                continue;
            }
            assert_eq!(view.volume.mantissa, book.volume, "task {at}");
            if let Some(id) = view.position {
                for leg in 0..2 {
                    let open = self.engine.open(id, leg).unwrap();
                    assert_eq!(self.executor.leg(id, leg).unwrap().open, open);
                    assert_eq!(open.raw(), (book.held[leg] - book.rest[leg]).abs());
                }
            } else if self.entries[at].is_none() {
                assert_eq!(book.held, book.rest, "task {at} {view:?}");
                assert_eq!(view.net.mantissa, book.cash, "task {at} {view:?}");
            }
        }
    }
}

#[test]
fn tasks_hold_what_was_entered_and_count_every_cent() {
    let setting = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (seed, steps) = (setting("SEED", 4_711), setting("STEPS", 1_000_000));
    println!("SEED={seed} STEPS={steps}");
    let mut desk = Desk::new(seed);
    for _ in 0..steps {
        desk.step();
        // A task whose position cannot be sold does no more: another world.
        if desk.dust() > 1 {
            let tally = Tally { dust: desk.tally.dust + desk.dust(), ..desk.tally };
            desk = Desk { tally, ..Desk::new(desk.random.below(u64::MAX)) };
        }
    }
    // When the faults stop, everything that is held is closed.
    desk.faults = false;
    for at in 0..TASKS.len() {
        let (task, what) = (TaskId(at as u16), TaskCommand::Stop);
        desk.engine.on_event(desk.now, &Event::Command(Command::Task { task, what }));
    }
    for _ in 0..20_000 {
        desk.step();
    }
    for at in 0..TASKS.len() {
        let view = desk.engine.task(TaskId(at as u16)).unwrap();
        assert!(matches!(view.state, TaskState::Done | TaskState::Failed), "{view:?}");
        assert_eq!(view.state == TaskState::Failed, view.position.is_some());
    }
    assert!(desk.working.is_empty());
    assert_eq!(desk.positions.len() as u64, desk.dust());
    let Tally { whole, partial, nothing, undone, failed, cycles, locked, dust } = desk.tally;
    println!(
        "entries: {whole} whole, {partial} in part, {nothing} missed, {undone} fills undone, \
         {failed} rests; {cycles} cycles, {dust} ended as dust; two tasks at work in {locked} steps"
    );
    let least = steps / 20_000;
    let counts = [whole, partial, nothing, undone, failed, cycles, locked, dust];
    assert!(counts.iter().all(|&count| count > least), "{counts:?}");
}
