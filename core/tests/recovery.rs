//! Recovery of the executor from the records of earlier runs, and restarts: what was decided comes
//! out again, what never left is not waited for, what may have left is. Ids in brackets are faults:
//! P1 to P3 crashes within a step, P9 a clock set back, X1 unknown orders, X26 order ids.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod common;

use common::{Table, ZERO, instrument};
use reap_core::engine::{Engine, EngineLimits};
use reap_core::entry::{EntryIntent, EntryLeg, TaskId};
use reap_core::event::{Event, GateSettings, Report};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{AccountId, Instrument, InstrumentId, InstrumentSpec};
use reap_core::intent::{Intent, Reason, Urgency};
use reap_core::limits::LEGS_MAX;
use reap_core::log::{Entry, Named, Record, Sights, Start, Text};
use reap_core::net::Compiled;
use reap_core::note::ExecutorNote;
use reap_core::order::{Ask, HoldingRead, Order, OrderChange, OrderEvent, OrderSide, OrderState};
use reap_core::policy::{ExitSettings, Policy, PolicyId, Rule, Threshold};
use reap_core::position::{LegSpec, PositionId, PositionSpec, PositionState, Side};
use reap_core::pricing::Top;
use reap_core::recovery::{Recovered, Recovery, RecoveryError};
use reap_core::restart::{Restart, RestartError};
use reap_core::tick::Quote;
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

const LIMITS: ExecutorLimits = ExecutorLimits { positions: 4, orders: 8 };
const ID: PositionId = PositionId(0);

fn qty(raw: i64) -> Qty {
    Qty::new(raw).unwrap()
}

fn price(raw: i64) -> Price {
    Price::new(raw).unwrap()
}

fn instruments() -> Vec<Instrument> {
    vec![instrument(1, 1, 1, 0), instrument(1, 1, 1, 0)]
}

fn leg(instrument: u16, side: Side, size: i64) -> LegSpec {
    LegSpec {
        account: AccountId(0),
        instrument: InstrumentId(instrument),
        side,
        entry: price(10_000),
        qty: qty(size),
        fees_paid: ZERO,
        funding: ZERO,
        margin: None,
    }
}

/// A process: the executor and what it writes.
struct Desk {
    executor: Executor,
    quotes: Table,
    sights: Sights,
    epoch: u16,
    now: Nanos,
    sequence: u64,
    log: Vec<(u16, Entry)>,
    sent: Vec<Order>,
    reports: Vec<Report>,
}

impl Desk {
    fn new() -> Self {
        let mut desk = Self {
            executor: Executor::new(LIMITS, &instruments(), 1),
            quotes: Table(vec![None; 2]),
            sights: Sights::new(2),
            epoch: 1,
            now: Nanos::from_secs(1_000),
            sequence: 0,
            log: Vec::new(),
            sent: Vec::new(),
            reports: Vec::new(),
        };
        desk.begin(&instruments());
        desk
    }

    fn begin(&mut self, instruments: &[Instrument]) {
        let (positions, orders) = (LIMITS.positions as u32, LIMITS.orders as u32);
        self.write(Record::Start(Start { build: [0; 3], config: 0, positions, orders }));
        for (at, one) in instruments.iter().enumerate() {
            let id = InstrumentId(at as u16);
            self.write(Record::Instrument { id, spec: *one.spec() });
        }
        let of = Named::Policy(PolicyId(0));
        self.write(Record::Name { of, text: Text::cut("careful") });
    }

    fn write(&mut self, record: Record) {
        self.sequence += 1;
        self.log.push((self.epoch, Entry { sequence: self.sequence, at: self.now, record }));
    }

    fn quote(&mut self, at: usize, bid: i64) {
        let quote = Quote::new(bid, bid + 1, 1_000, 1_000).unwrap();
        self.quotes.0[at] = Some(Top { quote, received: self.now });
    }

    fn open(&mut self, legs: &[LegSpec]) {
        let spec = PositionSpec {
            policy: PolicyId(0),
            opened: self.now,
            tag: 0,
            legs: legs.iter().copied().collect(),
        };
        let exit = ExitSettings::default();
        self.executor.register(ID, &spec, &exit).unwrap();
        self.write(Record::Name { of: Named::Position(ID), text: Text::cut("alpha") });
        self.write(Record::Position { id: ID, spec, exit });
    }

    fn step(&mut self, input: Record) {
        let now = self.now;
        let quotes = self.sights.over(&self.quotes);
        match &input {
            Record::Intent(intent) => self.executor.on_intent(now, intent, &quotes),
            Record::Entry(entry) => self.executor.on_entry(now, entry, &quotes),
            Record::Answer(event) => self.executor.on_order_event(now, event, &quotes),
            Record::Read(read) => self.executor.on_read(now, read, &quotes),
            Record::Stopped { stopped } => self.executor.on_stopped(now, *stopped, &quotes),
            Record::Timer => self.executor.on_timer(now, &quotes),
            other => panic!("{}", other.name()),
        }
        drop(quotes);
        self.write(input);
        let saws: Vec<_> = self.sights.saw().collect();
        saws.into_iter().for_each(|saw| self.write(Record::Saw(saw)));
        while let Some(report) = self.executor.poll_report() {
            self.reports.push(report);
            self.write(Record::Report(report));
        }
        while let Some(order) = self.executor.poll_order() {
            self.sent.push(order);
            self.write(Record::Order(order));
        }
    }

    fn intent(&mut self, seq: u64, reason: Reason, keep: i64) {
        let mut keeps = [Qty::ZERO; LEGS_MAX];
        keeps[0] = qty(keep);
        let legs = self.executor.open(ID).unwrap().iter().filter(|open| open.raw() > 0).count();
        self.step(Record::Intent(Intent {
            seq,
            at: self.now,
            position: ID,
            policy_version: 0,
            rule: 0,
            part: 0,
            reason,
            urgency: reason.urgency(),
            legs: legs as u8,
            keep: keeps,
            compiled: Compiled::Unconditional,
            inputs: [None; LEGS_MAX],
        }));
    }

    fn answer(&mut self, order: usize, what: OrderChange) {
        let id = self.sent[order].id;
        self.step(Record::Answer(OrderEvent { id, what }));
    }

    fn fill(&mut self, order: usize, trade_id: u64, size: i64) {
        let at = self.sent[order].limit.unwrap_or(price(9_800));
        self.answer(order, OrderChange::Filled { trade_id, price: at, qty: qty(size), fee: 0 });
    }

    fn read(&mut self, instrument: u16, held: i64) {
        let (account, asked) = (AccountId(0), self.now);
        let instrument = InstrumentId(instrument);
        self.step(Record::Read(HoldingRead { account, instrument, qty: held, asked }));
    }

    fn pass(&mut self, millis: u64) {
        let until = self.now.plus(Nanos::from_millis(millis));
        while let Some(due) = self.executor.next_timer().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.step(Record::Timer);
        }
        self.now = until;
    }

    /// The process dies, and the next one carries on what it has written.
    fn restart(&mut self, instruments: &[Instrument]) -> Recovered {
        let recovered = recover(&self.log).unwrap();
        let hash = recovered.executor.hash();
        (self.epoch, self.sequence) = (self.epoch + 1, 0);
        self.begin(instruments);
        self.write(Record::Resumed { from: recovered.epoch, hash });
        let again = recover(&self.log[..self.log.len() - 1]).unwrap();
        self.executor = again.executor;
        let next = Restart { epoch: self.epoch, limits: LIMITS, instruments, last: recovered.last };
        self.executor.restart(self.now, &next).unwrap();
        self.quotes = Table(vec![None; 2]);
        recovered
    }

    fn asks(&mut self) -> Vec<Ask> {
        std::iter::from_fn(|| self.executor.poll_ask()).collect()
    }

    fn state(&mut self) -> String {
        while self.executor.poll_ask().is_some() || self.executor.poll_note().is_some() {}
        format!("{:?}", self.executor)
    }
}

fn recover(log: &[(u16, Entry)]) -> Result<Recovered, RecoveryError> {
    let mut recovery = Recovery::new();
    for (epoch, entry) in log {
        recovery.take(*epoch, entry)?;
    }
    recovery.finish().map(|found| found.expect("something was decided"))
}

fn recovered_state(log: &[(u16, Entry)]) -> String {
    format!("{:?}", recover(log).unwrap().executor)
}

/// A pair on its way out: one leg filled in part, the other unheard of.
fn at_work() -> Desk {
    let mut desk = Desk::new();
    desk.open(&[leg(0, Side::Long, 10), leg(1, Side::Short, 10)]);
    desk.read(0, 10);
    desk.read(1, -10);
    desk.quote(0, 9_800);
    desk.quote(1, 9_800);
    desk.intent(7, Reason::StopLoss, 0);
    assert_eq!(desk.sent.len(), 2);
    desk.fill(0, 1, 4);
    desk
}

/// [P1] [P2] [P3] The log may end after any record. Orders that stand there may have left and are
/// live; those that do not never left, and are not waited for.
#[test]
fn p1_p2_p3_a_log_may_end_after_any_record() {
    let mut desk = at_work();
    desk.answer(1, OrderChange::Doubted);
    desk.answer(0, OrderChange::Expired);
    desk.pass(3_000);
    assert!(desk.sent.len() > 2, "the first leg goes on");
    let first = desk.log.iter().position(|(_, one)| matches!(one.record, Record::Position { .. }));
    let mut cut_orders = 0;
    for end in first.unwrap() + 1..=desk.log.len() {
        let recovered = recover(&desk.log[..end]).unwrap();
        let mut ended = std::collections::BTreeSet::new();
        let mut live = std::collections::BTreeSet::new();
        for (_, entry) in &desk.log[..end] {
            match &entry.record {
                Record::Order(order) => drop(live.insert(order.id)),
                Record::Answer(event) if event.what == OrderChange::Expired => {
                    ended.insert(event.id);
                }
                _ => {}
            }
        }
        for at in 0..2 {
            let Some(view) = recovered.executor.leg(ID, at) else { continue };
            let (id, state) =
                view.order.map_or((None, None), |(id, state)| (Some(id), Some(state)));
            let is_live = state.is_some_and(OrderState::is_live);
            let may_have_left = live.iter().rfind(|id| usize::from(id.leg) == at);
            let expected = may_have_left.filter(|id| !ended.contains(*id));
            assert_eq!(is_live, expected.is_some(), "{end}, leg {at}");
            if let Some(expected) = expected {
                assert_eq!(id, Some(*expected), "{end}, leg {at}");
            }
        }
        cut_orders += recovered.unsent;
    }
    assert!(cut_orders > 0, "a step was cut before its orders");
    let all = desk.log.clone();
    assert_eq!(recovered_state(&all), desk.state());
}

/// [X1] What may have left keeps its reservation and is asked for at once; its answer is heard
/// although an earlier run sent it, and nothing is sent for its quantity before.
#[test]
fn x1_orders_in_flight_are_unknown_after_a_restart() {
    let mut desk = at_work();
    desk.now = desk.now.plus(Nanos::from_secs(5));
    desk.restart(&instruments());
    for (at, open) in [(0, 6), (1, 10)] {
        let view = desk.executor.leg(ID, at).unwrap();
        assert_eq!((view.open, view.live), (qty(open), qty(open)));
        assert_eq!(view.order.unwrap().1, OrderState::Unknown { not_found: 0 });
    }
    let asks = desk.asks();
    for at in 0..2 {
        let id = desk.sent[at].id;
        assert!(asks.iter().any(|ask| matches!(ask, Ask::Order { id: one, .. } if *one == id)));
        let held = InstrumentId(at as u16);
        let is = |ask: &Ask| matches!(ask, Ask::Holding { instrument, .. } if *instrument == held);
        assert!(asks.iter().any(is));
    }
    desk.pass(10_000);
    assert_eq!(desk.sent.len(), 2, "nothing is sent while nobody knows");
    desk.quote(0, 9_800);
    // The fill that was counted comes again, and then what was not heard of.
    desk.fill(0, 1, 4);
    desk.fill(0, 2, 6);
    desk.fill(1, 3, 10);
    assert!(desk.executor.is_closed(ID));
    assert_eq!(desk.executor.counters().duplicate_fills, 1);
    let log = desk.log.clone();
    assert_eq!(recovered_state(&log), desk.state());
}

/// [X26] The orders of a new run have new ids, and a plan goes on with them after a pause.
#[test]
fn x26_a_plan_goes_on_under_new_ids_in_every_run() {
    let mut desk = at_work();
    desk.fill(1, 2, 10);
    desk.answer(0, OrderChange::Expired);
    for run in 2..6 {
        let before = desk.sent.len();
        let recovered = desk.restart(&instruments());
        assert_eq!(recovered.intents, 7);
        let plan = recovered.open[0].plan.as_ref().unwrap();
        assert_eq!((plan.intent.seq, plan.began), (7, Reason::StopLoss));
        assert_eq!(plan.fills[0].qty + plan.fills[1].qty, 14);
        // Its last order's end is heard of while holdings are read.
        desk.answer(before - 1, OrderChange::Expired);
        desk.pass(1_999);
        assert_eq!(desk.sent.len(), before, "run {run} reads first");
        desk.pass(1);
        assert_eq!(desk.sent.len(), before + 1);
        assert_eq!(desk.sent.last().unwrap().id.epoch, run);
        assert_eq!(desk.sent.last().unwrap().qty, qty(6));
    }
    let mut ids: Vec<_> = desk.sent.iter().map(|order| order.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), desk.sent.len());
    let log = desk.log.clone();
    assert_eq!(recovered_state(&log), desk.state());
}

/// [P9] A clock that was set back makes nothing wait for the time that it showed.
#[test]
fn p9_a_clock_that_was_set_back_moves_all_times() {
    let mut desk = at_work();
    desk.answer(1, OrderChange::Rejected(reap_core::order::RejectClass::Unavailable));
    desk.answer(0, OrderChange::Expired);
    desk.answer(desk.sent.len() - 1, OrderChange::Doubted);
    desk.now = Nanos::from_secs(100);
    desk.restart(&instruments());
    let due = desk.executor.next_timer().unwrap();
    assert!(due <= desk.now.plus(Nanos::from_secs(2)), "{due:?}");
    let before = desk.sent.len();
    desk.pass(3_000);
    assert!(desk.sent.len() > before);
    let log = desk.log.clone();
    assert_eq!(recovered_state(&log), desk.state());
}

/// A run that ends before it has decided anything is passed over.
#[test]
fn a_run_that_decided_nothing_changes_nothing() {
    let mut desk = at_work();
    let state = recovered_state(&desk.log);
    (desk.epoch, desk.sequence) = (2, 0);
    desk.begin(&instruments());
    assert_eq!(recovered_state(&desk.log), state);
    let recovered = desk.restart(&instruments());
    assert_eq!((recovered.epoch, desk.epoch), (1, 3));
    recover(&desk.log).unwrap();
}

#[test]
fn what_a_log_cannot_say_is_refused_by_name() {
    let desk = at_work();
    let is = |log: &[(u16, Entry)], text: &str| {
        let error = recover(log).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
    };
    let find = |wanted: &dyn Fn(&Record) -> bool| {
        desk.log.iter().position(|(_, entry)| wanted(&entry.record)).unwrap()
    };
    let order = find(&|record| matches!(record, Record::Order(_)));
    let mut other = desk.log.clone();
    let Record::Order(changed) = &mut other[order].1.record else { unreachable!() };
    changed.side = OrderSide::Buy;
    is(&other, "gives other orders than the log has");
    let mut other = desk.log.clone();
    let report = find(&|record| matches!(record, Record::Report(Report::Fill { .. })));
    let Record::Report(Report::Fill { qty: filled, .. }) = &mut other[report].1.record else {
        unreachable!()
    };
    *filled = qty(3);
    is(&other, "gives other reports than the log has");
    let mut missing = desk.log.clone();
    missing.remove(order);
    is(&missing, "is missing");
    let mut blind = desk.log.clone();
    let saw = find(&|record| matches!(record, Record::Saw(_)));
    blind.remove(saw);
    blind[saw..].iter_mut().for_each(|(_, entry)| entry.sequence -= 1);
    is(&blind, "gives other quotes than the log has");
    is(&[desk.log[order].clone()], "is missing");
    let mut early = vec![desk.log[order].clone()];
    early[0].1.sequence = 1;
    is(&early, "order, cannot stand where it stands");
}

/// What is open keeps its meaning; what the venue may change, it may.
#[test]
fn an_instrument_that_means_something_else_is_refused() {
    let with = |change: &dyn Fn(&mut InstrumentSpec)| {
        let mut all = instruments();
        let mut spec = *all[1].spec();
        change(&mut spec);
        all[1] = Instrument::new(spec).unwrap();
        all
    };
    let mut desk = at_work();
    let mut restart = |instruments: &[Instrument]| {
        let (last, epoch) = (desk.now, 2);
        desk.executor.restart(desk.now, &Restart { epoch, limits: LIMITS, instruments, last })
    };
    let changed = restart(&with(&|spec| spec.qty_scale = 3)).unwrap_err();
    let expected = RestartError::Changed { instrument: 1, field: "qty_scale", was: 0, now: 3 };
    assert_eq!(changed, expected);
    assert!(changed.to_string().contains("put it back"), "{changed}");
    let changed = restart(&with(&|spec| spec.multiplier = Decimal { mantissa: 5, scale: 0 }));
    assert!(matches!(changed, Err(RestartError::Changed { was: 1, now: 5, .. })));
    assert_eq!(restart(&instruments()[..1]), Err(RestartError::Gone { instrument: 1 }));
    restart(&with(&|spec| (spec.tick, spec.lot) = (5, 2))).unwrap();
    let again = desk.executor.restart(
        desk.now,
        &Restart { epoch: 2, limits: LIMITS, instruments: &instruments(), last: desk.now },
    );
    assert_eq!(again, Err(RestartError::Epoch { epoch: 2, before: 2 }));
}

fn entry(seq: u64) -> Record {
    let of = |instrument, side, limit| EntryLeg {
        account: AccountId(0),
        instrument: InstrumentId(instrument),
        side,
        qty: qty(10),
        limit: price(limit),
        step: qty(1),
    };
    let legs = [of(0, Side::Long, 10_001), of(1, Side::Short, 10_000)];
    Record::Entry(EntryIntent { seq, at: Nanos(0), task: TaskId(0), count: 2, legs })
}

/// An entry that a crash has interrupted is taken back: its fills are undone and told to nobody but
/// people. Another one of its task waits until then.
#[test]
fn an_entry_at_work_is_taken_back() {
    let mut desk = Desk::new();
    desk.quote(0, 10_000);
    desk.quote(1, 10_000);
    desk.step(entry(1));
    assert_eq!(desk.sent.len(), 2);
    desk.fill(0, 1, 10);
    desk.restart(&instruments());
    desk.reports.clear();
    desk.quote(0, 10_000);
    desk.quote(1, 10_000);
    desk.step(entry(2));
    assert!(matches!(desk.reports[..], [Report::EntryEnded { entry: 2, .. }]));
    desk.reports.clear();
    desk.pass(3_000);
    assert_eq!(desk.sent.len(), 2, "the second leg's fate is not known");
    desk.fill(1, 2, 10);
    let undone: Vec<_> = desk.sent[2..].iter().map(|order| (order.side, order.limit)).collect();
    assert_eq!(undone, [(OrderSide::Sell, None), (OrderSide::Buy, None)]);
    assert!(desk.sent[2..].iter().all(|order| order.id.epoch == 2));
    desk.fill(2, 3, 10);
    desk.fill(3, 4, 10);
    assert_eq!(desk.reports, []);
    assert_eq!(desk.executor.entries().count(), 0);
    let mut notes = std::iter::from_fn(|| desk.executor.poll_note());
    let task = TaskId(0);
    assert!(notes.any(|note| note == ExecutorNote::TakenBack { task, held: [Qty::ZERO; 2] }));
    let log = desk.log.clone();
    assert_eq!(recovered_state(&log), desk.state());
}

/// What an entry has left, and the process died before a position was made of it, is told.
#[test]
fn an_entry_without_its_position_is_told() {
    let mut desk = Desk::new();
    desk.quote(0, 10_000);
    desk.quote(1, 10_000);
    desk.step(entry(1));
    desk.fill(0, 1, 10);
    desk.fill(1, 2, 10);
    let left = recover(&desk.log).unwrap().unwatched;
    let legs: Vec<_> = left.iter().map(|one| (one.instrument.0, one.side, one.qty)).collect();
    assert_eq!(legs, [(0, Side::Long, qty(10)), (1, Side::Short, qty(10))]);
    desk.open(&[leg(0, Side::Long, 10), leg(1, Side::Short, 10)]);
    assert_eq!(recover(&desk.log).unwrap().unwatched, []);
}

/// What is stopped stays stopped.
#[test]
fn a_stop_survives() {
    let mut desk = at_work();
    desk.step(Record::Stopped { stopped: true });
    desk.answer(0, OrderChange::Expired);
    let before = desk.sent.len();
    desk.restart(&instruments());
    assert!(desk.executor.is_stopped());
    desk.fill(1, 2, 10);
    desk.pass(60_000);
    assert_eq!(desk.sent.len(), before);
    desk.step(Record::Stopped { stopped: false });
    assert!(desk.sent.len() > before);
}

fn engine() -> Engine {
    let mut engine =
        Engine::new(EngineLimits::any(8, 2, 32), &instruments(), 1, GateSettings::default());
    let profit = Threshold::Rate { rate: Rate::from_bps(50), base: None };
    let stop = Rule::StopLoss { distance: Rate::from_bps(100), base: None };
    engine.add_policy(Policy::of([Rule::TakeProfit { threshold: profit }, stop])).unwrap();
    engine
}

/// The engine takes positions up again under their ids, with their plans, and counts on.
#[test]
fn the_engine_takes_positions_up_under_their_ids() {
    let mut desk = at_work();
    let recovered = desk.restart(&instruments());
    let mut engine = engine();
    engine.count_on_from(recovered.intents);
    let mut of = recovered.open[0].clone();
    assert_eq!(of.name.unwrap().as_str(), "alpha");
    assert_eq!(of.policy.unwrap().as_str(), "careful");
    assert!(recovered.names.contains("alpha"));
    // The second of its slot's generations, in the sixth slot.
    of.id = PositionId(5 | 1 << 20);
    engine.pass_over(PositionId(2 | 6 << 20));
    engine.take_up(desk.now, &of).unwrap();
    assert_eq!(engine.state(of.id), Some(PositionState::Exiting));
    assert_eq!(engine.open(of.id, 0), Some(qty(6)));
    assert_eq!(engine.open(of.id, 1), Some(qty(10)));
    assert!(engine.take_up(desk.now, &of).is_err(), "its slot is in use");
    // New positions take other slots, in their first generation.
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(engine.register(desk.now, &of.spec).unwrap());
    }
    ids.sort();
    assert_eq!(ids, [0, 1, 3, 4, 2 | 7 << 20].map(PositionId));
    let close = reap_core::event::Command::Close {
        which: reap_core::event::Which::Position(of.id),
        urgency: Urgency::Critical,
    };
    engine.on_event(desk.now, &Event::Command(close));
    let intent = engine.poll_intent().unwrap();
    assert_eq!((intent.seq, intent.urgency, intent.keep), (8, Urgency::Critical, [Qty::ZERO; 4]));
    // The end of the plan that it was is no end of what it has become; its own is.
    let ended = |intent| {
        let outcome = reap_core::event::Outcome::Missed;
        Event::Report(Report::PlanEnded { position: of.id, intent, outcome })
    };
    engine.on_event(desk.now, &ended(7));
    assert_eq!(engine.state(of.id), Some(PositionState::Exiting));
    engine.on_event(desk.now, &ended(8));
    assert_eq!(engine.state(of.id), Some(PositionState::Open));
}
