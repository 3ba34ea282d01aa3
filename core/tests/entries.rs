//! Entries of tasks, from the quotes that allow them to the position that comes of them: engine and
//! executor together, with a venue that does what a case says.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use num_bigint::BigInt;
use reap_core::engine::{Engine, EngineLimits};
use reap_core::entry::{EntryIntent, TaskId};
use reap_core::event::{
    Command, Event, GateSettings, Latch, Outcome, Report, TaskCommand, TradingState, Which,
};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
    VenueId,
};
use reap_core::intent::{Reason, Urgency};
use reap_core::limits::{PPB, QTY_MAX};
use reap_core::note::{EngineNote, TaskNote};
use reap_core::order::{Order, OrderChange, OrderEvent, OrderSide, RejectClass};
use reap_core::policy::{Policy, PolicyId, Rule, Threshold};
use reap_core::portfolio::{Breakers, DrawdownFrom, PortfolioSettings};
use reap_core::position::{LegSpec, PositionId, PositionSpec, PositionState, Side};
use reap_core::pricing::{Quotes, Top};
use reap_core::task::{TaskLeg, TaskSpec, TaskState, Unreachable};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

const START: Nanos = Nanos(1_700_000_000_000_000_000);

/// Prices to a cent, lots of a thousandth, fees of 5 bp.
fn instrument(tick: i64, lot: i64) -> InstrumentSpec {
    InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 2,
        qty_scale: 3,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick,
        lot,
        min_qty: 1,
        min_notional: Decimal { mantissa: 5, scale: 0 },
        taker: Rate::from_bps(5),
        maker: Rate::from_bps(2),
        min_fee: Decimal { mantissa: 0, scale: 0 },
        max_quote_age: Nanos::from_secs(60),
        jump_limit: Rate::from_bps(9_000),
        jump_ticks: 5,
        reduce_only: false,
        min_notional_on_reduce: true,
        peer: None,
    }
}

fn task(size: i128) -> TaskSpec {
    let leg = |at| TaskLeg { account: AccountId(0), instrument: InstrumentId(at) };
    TaskSpec {
        policy: PolicyId(0),
        tag: 0,
        spot: leg(0),
        futures: leg(1),
        size: Decimal { mantissa: size, scale: 0 },
        max_cost: Rate::from_bps(50),
        cooldown: Nanos::from_secs(300),
        losing_max: 3,
        cycles_max: 0,
        unreachable: Unreachable::Warn,
        liquidation: None,
    }
}

fn basis(bps: i64) -> Policy {
    let threshold = Threshold::Rate { rate: Rate::from_bps(bps), base: None };
    Policy::of([Rule::Basis { threshold }])
}

struct Desk {
    engine: Engine,
    executor: Executor,
    now: Nanos,
    ids: u64,
    trades: u64,
    sent: Vec<Order>,
    entries: Vec<EntryIntent>,
    notes: Vec<TaskNote>,
}

struct Table<'e>(&'e Engine);

impl Quotes for Table<'_> {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        self.0.quote(instrument).map(|(quote, received)| Top { quote, received })
    }
}

impl Desk {
    fn new(instruments: [InstrumentSpec; 2], policy: Policy, tasks: &[TaskSpec]) -> Self {
        Self::beside(None, instruments, policy, tasks)
    }

    fn beside(
        portfolio: Option<PortfolioSettings>,
        instruments: [InstrumentSpec; 2],
        policy: Policy,
        tasks: &[TaskSpec],
    ) -> Self {
        let instruments = instruments.map(|spec| Instrument::new(spec).unwrap());
        let limits = EngineLimits::any(8, 4, 64);
        let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
        engine.add_policy(policy).unwrap();
        if let Some(portfolio) = portfolio {
            engine.set_portfolio(portfolio).unwrap();
        }
        for task in tasks {
            engine.add_task(task.clone()).unwrap();
        }
        let limits = ExecutorLimits { positions: 8, orders: 16 };
        let executor = Executor::new(limits, &instruments, 1);
        let (sent, entries, notes) = (Vec::new(), Vec::new(), Vec::new());
        Self { engine, executor, now: START, ids: 0, trades: 0, sent, entries, notes }
    }

    /// A position of somebody else, 1,000 lots under the tasks' policy.
    fn hold(&mut self, instrument: InstrumentId, side: Side, entry: i64) -> PositionId {
        let leg = LegSpec {
            account: AccountId(1),
            instrument,
            side,
            entry: Price::new(entry).unwrap(),
            qty: Qty::new(1_000).unwrap(),
            fees_paid: amount(0),
            funding: amount(0),
            margin: None,
        };
        let legs = [leg].into_iter().collect();
        let spec = PositionSpec { policy: PolicyId(0), opened: self.now, tag: 0, legs };
        let id = self.engine.register(self.now, &spec).unwrap();
        self.executor.register(id, &spec, &Policy::of([]).exit).unwrap();
        id
    }

    fn pump(&mut self) {
        loop {
            while let Some(order) = self.executor.poll_order() {
                self.sent.push(order);
            }
            while let Some(note) = self.engine.poll_note() {
                if let EngineNote::Task { what, .. } = note {
                    self.notes.push(what);
                }
            }
            if let Some(entered) = self.engine.poll_entered() {
                let exit = Policy::of([]).exit;
                self.executor.register(entered.id, &entered.spec, &exit).unwrap();
            } else if let Some(intent) = self.engine.poll_intent() {
                self.executor.on_intent(self.now, &intent, &Table(&self.engine));
            } else if let Some(entry) = self.engine.poll_entry() {
                self.entries.push(entry);
                self.executor.on_entry(self.now, &entry, &Table(&self.engine));
            } else if let Some(report) = self.executor.poll_report() {
                self.engine.on_event(self.now, &Event::Report(report));
            } else {
                return;
            }
        }
    }

    fn event(&mut self, event: &Event) {
        self.engine.on_event(self.now, event);
        self.pump();
    }

    fn quote(&mut self, at: u16, bid: i64, ask: i64) {
        self.quote_of(at, bid, ask, 100_000);
    }

    fn quote_of(&mut self, at: u16, bid: i64, ask: i64, qty: i64) {
        self.ids += 1;
        let stamp = Stamp {
            source: SourceId(0),
            received: self.now,
            update_id: self.ids,
            venue_lag_us: 0,
            reset: false,
        };
        let quote = Quote::new(bid, ask, qty, qty).unwrap();
        self.event(&Event::Tick(Tick::quote(InstrumentId(at), stamp, quote)));
    }

    fn wait(&mut self, span: Nanos) {
        self.now = self.now.plus(span);
        self.executor.on_timer(self.now, &Table(&self.engine));
        self.pump();
        self.event(&Event::Timer);
    }

    fn say(&mut self, order: &Order, what: OrderChange) {
        let event = OrderEvent { id: order.id, what };
        self.executor.on_order_event(self.now, &event, &Table(&self.engine));
        self.pump();
    }

    /// Fills so much of an order, with its fee; the rest expires.
    fn fill(&mut self, order: &Order, price: i64, qty: i64) {
        if qty > 0 {
            self.trades += 1;
            let (trade_id, fee) = (self.trades, i128::from(price * qty) * 500_000);
            let (price, qty) = (Price::new(price).unwrap(), Qty::new(qty).unwrap());
            self.say(order, OrderChange::Filled { trade_id, price, qty, fee });
        }
        if qty < order.qty.raw() {
            self.say(order, OrderChange::Expired);
        }
    }

    fn take(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.sent)
    }

    fn state(&self, task: u16) -> TaskState {
        self.engine.task(TaskId(task)).unwrap().state
    }
}

/// SPEC §12: spot 50 000 long, futures 49 750 short, 5 bp fees: the entry costs 0.50 % and is allowed;
/// convergence would bring −349.75.
#[test]
fn an_entry_at_exactly_its_cost_is_allowed_and_its_convergence_is_said() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000)]);
    desk.quote(0, 4_999_999, 5_000_000);
    desk.quote(1, 4_974_999, 4_975_001);
    assert!(desk.entries.is_empty(), "a cent above 0.50 %");
    desk.quote(1, 4_975_000, 4_975_001);
    let [spot, futures] = desk.entries[0].legs;
    assert_eq!((spot.qty.raw(), futures.qty.raw()), (1_000, 1_000));
    assert_eq!((spot.limit.raw(), futures.limit.raw()), (5_000_000, 4_975_000));
    let unreachable = desk.notes.iter().find_map(|note| match note {
        TaskNote::Unreachable { net, target, refused } => Some((*net, *target, *refused)),
        _ => None,
    });
    let (net, target, refused) = unreachable.unwrap();
    assert_eq!(net.round_floor(4).to_string(), "-349.7500");
    assert_eq!(target.round_floor(4).to_string(), "290.0000");
    assert!(!refused);
    let orders = desk.take();
    assert_eq!(
        orders.iter().map(|one| one.side).collect::<Vec<_>>(),
        [OrderSide::Buy, OrderSide::Sell]
    );
    assert_eq!(desk.state(0), TaskState::Entering);
    desk.fill(&orders[0], 5_000_000, 1_000);
    desk.fill(&orders[1], 4_975_000, 1_000);
    let view = desk.engine.task(TaskId(0)).unwrap();
    assert_eq!(view.state, TaskState::Open);
    let id = view.position.unwrap();
    assert_eq!(desk.engine.state(id), Some(PositionState::Open));
    // Both at 49 875: −125, −125, entry fees of 49.875, exit fees of 49.875.
    desk.quote(0, 4_987_500, 4_987_501);
    desk.quote(1, 4_987_499, 4_987_500);
    let close = Command::Close { which: Which::Position(id), urgency: Urgency::Critical };
    desk.event(&Event::Command(close));
    assert_eq!(desk.state(0), TaskState::Exiting);
    for order in desk.take() {
        desk.fill(&order, 4_987_500, 1_000);
    }
    let view = desk.engine.task(TaskId(0)).unwrap();
    assert_eq!((view.state, view.cycles, view.losing), (TaskState::Idle, 1, 1));
    assert_eq!(view.net.round_floor(4).to_string(), "-349.7500");
    assert_eq!(view.volume.round_floor(0).to_string(), "199500");
}

#[test]
fn an_entry_that_cannot_reach_its_target_is_refused_where_it_shall_be() {
    let spec = instrument(1, 1);
    let refuse = TaskSpec { unreachable: Unreachable::Refuse, ..task(50_000) };
    let mut desk = Desk::new([spec, spec], basis(58), &[refuse]);
    desk.quote(0, 4_999_999, 5_000_000);
    desk.quote(1, 4_975_000, 4_975_001);
    desk.quote(1, 4_975_001, 4_975_002);
    assert!(desk.entries.is_empty());
    assert_eq!(desk.notes.len(), 1, "it is said once: {:?}", desk.notes);
    // A premium of the futures pays the fees and the target.
    desk.quote(1, 5_080_000, 5_080_001);
    assert_eq!(desk.entries.len(), 1);
}

/// What convergence must reach is said by the version of the policy that the position would get.
#[test]
fn a_target_is_that_of_the_version_in_force() {
    let spec = instrument(1, 1);
    let refuse = TaskSpec { unreachable: Unreachable::Refuse, ..task(50_000) };
    let mut desk = Desk::new([spec, spec], basis(58), &[refuse]);
    let version = desk.engine.add_policy(Policy::of([])).unwrap();
    desk.quote(0, 4_999_999, 5_000_000);
    desk.quote(1, 4_975_000, 4_975_001);
    assert!(desk.entries.is_empty());
    desk.event(&Event::Command(Command::Commit { of: PolicyId(0), policy: version }));
    desk.quote(1, 4_975_001, 4_975_002);
    assert_eq!(desk.entries.len(), 1, "without a target any convergence is enough");
}

/// The cost is compared as SPEC §5 writes it, with fractions.
#[test]
fn an_entry_is_allowed_exactly_where_its_cost_is() {
    let mut seed = 11u64;
    let mut below = |bound: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) as i64) % bound
    };
    let (mut entered, mut equal) = (0, 0);
    for _ in 0..20_000 {
        let tick = [1, 5, 10][below(3) as usize];
        let lots = [1, 10, 3];
        let (lot_a, lot_b) = (lots[below(3) as usize], lots[below(3) as usize]);
        let mut task = task(1 + i128::from(below(2_000)));
        let cost = [0, 5_000_000, 3_000_000, -2_000_000, 8_000_000][below(5) as usize];
        task.max_cost = Rate::new(cost).unwrap();
        let ask = 10 * (100_000 + below(400_000));
        let at = i128::from(ask) * i128::from(PPB - cost) / i128::from(PPB) / i128::from(tick);
        let bid = (at as i64 + below(5) - 2) * tick;
        let instruments = [instrument(1, lot_a), instrument(tick, lot_b)];
        let mut desk = Desk::new(instruments, basis(58), &[task.clone()]);
        let shown = 1 + below(3_000);
        desk.quote(1, bid, bid + tick);
        desk.quote_of(0, ask - 1, ask, shown);
        let big = |value: i64| BigInt::from(value);
        let cheap = (big(ask) - big(bid)) * PPB <= big(ask) * cost;
        // Whole common lots within the size and what is shown, each side at least 5 USDT.
        let common = (1..).map(|n| n * lot_a).find(|lots| lots % lot_b == 0).unwrap();
        let most = (task.size.mantissa * 100_000 / i128::from(ask)) as i64;
        let qty = most.min(shown) / common * common;
        let enough = qty > 0 && qty * bid >= 500_000 && qty * ask >= 500_000;
        assert_eq!(desk.entries.len(), usize::from(cheap && enough), "{ask} {bid} {cost} {qty}");
        let Some(entry) = desk.entries.first() else { continue };
        entered += 1;
        equal += u64::from((big(ask) - big(bid)) * PPB == big(ask) * cost);
        let [spot, futures] = entry.legs;
        assert_eq!((spot.qty.raw(), futures.qty.raw()), (qty, qty));
        // Limits are no better than the quotes, and together still cost no more.
        let (above, below) = (spot.limit.raw(), futures.limit.raw());
        assert!(above >= ask && below <= bid && below % tick == 0);
        assert!((big(above) - big(below)) * PPB <= big(above) * cost, "{above} {below}");
    }
    assert!(entered > 3_000 && equal > 50, "{entered} entered, {equal} at equality");
}

#[test]
fn what_fills_on_one_leg_alone_is_undone_and_nothing_is_held() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000)]);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_990_000, 4_990_001);
    let orders = desk.take();
    desk.fill(&orders[0], 5_000_000, 600);
    assert!(desk.take().is_empty(), "the other leg is still in flight");
    desk.say(&orders[1], OrderChange::Rejected(RejectClass::Size));
    let undo = desk.take();
    assert_eq!((undo.len(), undo[0].side, undo[0].qty.raw()), (1, OrderSide::Sell, 600));
    assert_eq!(undo[0].limit, None);
    desk.fill(&undo[0], 4_999_900, 200);
    assert!(desk.take().is_empty(), "not at once again");
    desk.wait(Nanos::from_millis(100));
    let undo = desk.take();
    assert_eq!(undo[0].qty.raw(), 400);
    desk.fill(&undo[0], 4_999_900, 400);
    let view = desk.engine.task(TaskId(0)).unwrap();
    assert_eq!((view.state, view.missed, view.losing), (TaskState::Idle, 1, 1));
    // 0.6 · 1.00 lost between ask and bid, and the fees of both.
    let fees = (600i128 * 5_000_000 + 600 * 4_999_900) * 500_000;
    let lost = 600i128 * 100 * i128::from(PPB) + fees;
    assert_eq!(view.net.mantissa, -lost);
    // It tries again after a second.
    desk.quote(1, 4_990_001, 4_990_002);
    assert_eq!(desk.entries.len(), 1);
    desk.wait(Nanos::from_secs(1));
    desk.quote(1, 4_990_000, 4_990_001);
    assert_eq!(desk.entries.len(), 2);
}

#[test]
fn legs_of_unlike_fills_keep_what_matches_and_money_stays_exact() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000)]);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_990_000, 4_990_001);
    let orders = desk.take();
    // Two fills whose average is on no tick.
    let fill = |price: i64, qty: i64, trade_id| OrderChange::Filled {
        trade_id,
        price: Price::new(price).unwrap(),
        qty: Qty::new(qty).unwrap(),
        fee: 0,
    };
    desk.say(&orders[0], fill(5_000_000, 400, 900));
    desk.say(&orders[0], fill(4_999_999, 600, 901));
    desk.fill(&orders[1], 4_990_000, 700);
    let undo = desk.take();
    assert_eq!((undo[0].side, undo[0].qty.raw()), (OrderSide::Sell, 300));
    desk.fill(&undo[0], 4_999_900, 300);
    let view = desk.engine.task(TaskId(0)).unwrap();
    assert_eq!(view.state, TaskState::Open);
    let id = view.position.unwrap();
    for leg in 0..2 {
        assert_eq!(desk.engine.open(id, leg).unwrap().raw(), 700);
    }
    let close = Command::Close { which: Which::All, urgency: Urgency::Critical };
    desk.event(&Event::Command(close));
    for order in desk.take() {
        let price = if order.side == OrderSide::Sell { 5_010_000 } else { 4_995_000 };
        desk.fill(&order, price, 700);
    }
    let view = desk.engine.task(TaskId(0)).unwrap();
    // Every fill of the cycle: bought is negative, sold positive, less the fees.
    let bought = -(400 * 5_000_000 + 600 * 4_999_999) + 300 * 4_999_900 + 700 * 5_010_000i128;
    let sold = 700 * 4_990_000 - 700 * 4_995_000i128;
    let fees =
        (700 * 4_990_000 + 300 * 4_999_900 + 700 * 5_010_000 + 700 * 4_995_000i128) * 500_000;
    assert_eq!(view.net.mantissa, (bought + sold) * i128::from(PPB) - fees);
}

#[test]
fn a_task_cools_down_pauses_after_three_losses_and_is_told() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000)]);
    for cycle in 1..=3 {
        desk.quote(0, 4_999_900, 5_000_000);
        desk.quote(1, 4_990_000, 4_990_001);
        assert_eq!(desk.entries.len(), cycle);
        for order in desk.take() {
            let price = if order.side == OrderSide::Buy { 5_000_000 } else { 4_990_000 };
            desk.fill(&order, price, order.qty.raw());
        }
        let close = Command::Close { which: Which::All, urgency: Urgency::Critical };
        desk.event(&Event::Command(close));
        for order in desk.take() {
            desk.fill(&order, 4_995_000, order.qty.raw());
        }
        desk.wait(Nanos(Nanos::from_secs(300).0 - 1));
        desk.quote(1, 4_990_000, 4_990_001);
        assert_eq!(desk.entries.len(), cycle, "it cools down");
        desk.wait(Nanos(1));
    }
    assert_eq!(desk.state(0), TaskState::Paused);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_990_000, 4_990_001);
    assert_eq!(desk.entries.len(), 3);
    let tell = |what| Event::Command(Command::Task { task: TaskId(0), what });
    desk.event(&tell(TaskCommand::Resume));
    desk.quote(1, 4_990_001, 4_990_002);
    assert_eq!((desk.entries.len(), desk.state(0)), (4, TaskState::Entering));
    // Told while it is busy: after its position.
    desk.event(&tell(TaskCommand::Stop));
    for order in desk.take() {
        desk.say(&order, OrderChange::Expired);
    }
    assert_eq!(desk.state(0), TaskState::Done);
    assert_eq!(desk.engine.task(TaskId(0)).unwrap().missed, 1);
}

#[test]
fn two_tasks_do_not_share_an_instrument_at_a_time() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000), task(20_000)]);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_990_000, 4_990_001);
    assert_eq!(desk.entries.len(), 1);
    assert_eq!((desk.state(0), desk.state(1)), (TaskState::Entering, TaskState::Idle));
    for order in desk.take() {
        desk.say(&order, OrderChange::Expired);
    }
    desk.quote(1, 4_990_001, 4_990_002);
    assert_eq!((desk.state(0), desk.state(1)), (TaskState::Idle, TaskState::Entering));
}

#[test]
fn what_is_shown_must_be_enough_and_fresh() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000)]);
    desk.quote(1, 4_990_000, 4_990_001);
    // A thousandth of a coin is 50 USDT: enough. The venue's lot of futures is shown by none.
    desk.quote_of(0, 4_999_900, 5_000_000, 1);
    assert_eq!(desk.entries.len(), 1);
    assert_eq!(desk.entries[0].legs[1].qty.raw(), 1);
    for order in desk.take() {
        desk.say(&order, OrderChange::Expired);
    }
    desk.wait(Nanos::from_secs(61));
    desk.quote(0, 4_999_900, 5_000_000);
    assert_eq!(desk.entries.len(), 1, "the futures' quote is too old");
    desk.quote(1, 4_990_000, 4_990_001);
    assert_eq!(desk.entries.len(), 2);
}

fn amount(value: i64) -> Decimal {
    Decimal { mantissa: i128::from(value), scale: 0 }
}

fn breakers() -> PortfolioSettings {
    let levels = [300, 400, 500].map(Rate::from_bps);
    let (from, reset) = (DrawdownFrom::Baseline, Nanos(0));
    let equity = amount(10_000);
    let breakers = Breakers { equity, levels, from, filter: false, reset };
    PortfolioSettings { breakers: Some(breakers), ..PortfolioSettings::off(CurrencyId(0)) }
}

/// What tasks have bought and sold counts from the first fill to the last, whatever came of it:
/// every fill of every entry, of what undid it and of the exit, and what is open at its exit price.
#[test]
fn the_total_of_all_positions_holds_every_fill_of_a_task() {
    let mut seed = 5u64;
    let mut below = |bound: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) as i64) % bound
    };
    let (mut missed, mut partial, mut whole) = (0, 0, 0);
    for _ in 0..300 {
        let spec = instrument(1, 1);
        let portfolio = PortfolioSettings::off(CurrencyId(0));
        let task = TaskSpec { losing_max: 0, cooldown: Nanos(0), ..task(50_000) };
        let mut desk = Desk::beside(Some(portfolio), [spec, spec], Policy::of([]), &[task]);
        // Cash of every fill, and what is held by instrument, positive for long.
        let (mut cash, mut held) = (BigInt::from(0), [0i64; 2]);
        let (mut orders, mut quotes) = (Vec::<Order>::new(), [(0, 0); 2]);
        for _ in 0..40 {
            desk.wait(Nanos::from_secs(1));
            let at = below(2) as usize;
            let bid = if at == 0 { 4_999_000 } else { 4_990_000 } + below(1_000);
            quotes[at] = (bid, bid + 1 + below(500));
            desk.quote(at as u16, quotes[at].0, quotes[at].1);
            let open = desk.engine.task(TaskId(0)).unwrap().state == TaskState::Open;
            if open && below(3) == 0 {
                let close = Command::Close { which: Which::All, urgency: Urgency::Critical };
                desk.event(&Event::Command(close));
            }
            orders.append(&mut desk.take());
            while let Some(order) = orders.pop() {
                let share = [0, order.qty.raw(), below(order.qty.raw() + 1)][below(3) as usize];
                let qty = if order.limit.is_none() { order.qty.raw() } else { share };
                let limit = order.limit.map_or(4_995_000, Price::raw);
                let at = usize::from(order.instrument.0);
                let sign = if order.side == OrderSide::Buy { 1 } else { -1 };
                held[at] += sign * qty;
                let (notional, ppb) = (BigInt::from(limit) * qty, BigInt::from(PPB));
                cash -= BigInt::from(sign) * &notional * &ppb + &notional * 500_000;
                desk.fill(&order, limit, qty);
                orders.append(&mut desk.take());
            }
            let view = desk.engine.task(TaskId(0)).unwrap();
            if view.state == TaskState::Entering {
                continue;
            }
            // Closing pays the fee and a tenth more, at the price of the side that is sold to.
            let mut worth = cash.clone();
            for (held, (bid, ask)) in held.iter().zip(quotes) {
                let price = if *held > 0 { bid } else { ask };
                let notional = BigInt::from(price) * *held;
                let fee = BigInt::from(price) * held.abs() * 550_000;
                worth += notional * PPB - fee;
            }
            let total = desk.engine.portfolio().unwrap().total.mantissa;
            assert_eq!(BigInt::from(total), worth * 10_000, "{view:?}");
            missed += u64::from(view.missed > 0);
            whole += u64::from(view.state == TaskState::Open && held[0] == 1_000);
            partial += u64::from(view.state == TaskState::Open && held[0] < 1_000);
        }
    }
    assert!(missed > 100 && partial > 100 && whole > 100, "{missed} {partial} {whole}");
}

/// A breaker trips while an entry is at work: what comes of the entry is closed as well.
#[test]
fn what_was_entered_before_a_close_of_everything_is_closed_after_it() {
    let spec = instrument(1, 1);
    let tasks = [task(50_000)];
    let mut desk = Desk::beside(Some(breakers()), [spec, spec], Policy::of([]), &tasks);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_990_000, 4_990_001);
    let orders = desk.take();
    desk.fill(&orders[0], 5_000_000, 1_000);
    // A position of somebody else loses 500 of 10 000.
    let other = desk.hold(InstrumentId(0), Side::Long, 5_048_000);
    desk.pump();
    assert_eq!(desk.engine.trading_state(), TradingState::Halted);
    assert_eq!(desk.engine.state(other), Some(PositionState::Exiting));
    desk.take();
    desk.fill(&orders[1], 4_990_000, 1_000);
    assert_eq!(desk.state(0), TaskState::Exiting);
    assert_eq!(desk.take().len(), 2, "both legs are closed");
    // Its plan ends with both legs open: what wanted it closed still does.
    let position = desk.engine.task(TaskId(0)).unwrap().position.unwrap();
    let ended = Report::PlanEnded { position, intent: u64::MAX, outcome: Outcome::Missed };
    desk.engine.on_event(desk.now, &Event::Report(ended));
    let again = desk.engine.poll_intent().unwrap();
    assert_eq!((again.position, again.reason), (position, Reason::DrawdownBreaker));
}

/// A close of everything is over: what is entered after it stays.
#[test]
fn what_is_entered_after_a_close_of_everything_is_no_part_of_it() {
    let spec = instrument(1, 1);
    let tasks = [task(50_000)];
    let off = PortfolioSettings::off(CurrencyId(0));
    let portfolio = PortfolioSettings { loss: Some(amount(-400)), ..off };
    let mut desk = Desk::beside(Some(portfolio), [spec, spec], Policy::of([]), &tasks);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_950_000, 4_950_001);
    let other = desk.hold(InstrumentId(0), Side::Long, 5_048_000);
    desk.pump();
    let orders = desk.take();
    desk.fill(&orders[0], 4_999_900, 1_000);
    assert_eq!(desk.engine.state(other), Some(PositionState::Closed));
    desk.wait(Nanos::from_millis(1));
    desk.event(&Event::Command(Command::Reset(Latch::PortfolioLoss)));
    assert_eq!(desk.engine.trading_state(), TradingState::Active);
    desk.wait(Nanos::from_millis(1));
    desk.quote(1, 4_990_000, 4_990_001);
    let orders = desk.take();
    desk.fill(&orders[0], 5_000_000, 1_000);
    desk.fill(&orders[1], 4_990_000, 1_000);
    assert_eq!(desk.state(0), TaskState::Open);
    assert_eq!(desk.take(), [], "it is not closed");
}

/// The portfolio's sums have no room for what an entry would bring: nothing is sent for it.
#[test]
fn an_entry_beyond_the_room_of_the_portfolio_s_sums_is_not_sent() {
    let spec = instrument(1, 1);
    for (held, entries) in [(QTY_MAX - 999, 0), (QTY_MAX - 1_000, 1)] {
        let portfolio = PortfolioSettings::off(CurrencyId(0));
        let mut desk = Desk::beside(Some(portfolio), [spec, spec], Policy::of([]), &[task(50_000)]);
        let leg = LegSpec {
            account: AccountId(1),
            instrument: InstrumentId(1),
            side: Side::Short,
            entry: Price::new(4_990_000).unwrap(),
            qty: Qty::new(held).unwrap(),
            fees_paid: amount(0),
            funding: amount(0),
            margin: None,
        };
        let legs = [leg].into_iter().collect();
        let spec = PositionSpec { policy: PolicyId(0), opened: desk.now, tag: 0, legs };
        desk.engine.register(desk.now, &spec).unwrap();
        desk.quote(0, 4_999_900, 5_000_000);
        desk.quote(1, 4_990_000, 4_990_001);
        assert_eq!(desk.entries.len(), entries, "beside {held}");
    }
}

/// The event that allows no entries any more sends none.
#[test]
fn an_entry_and_a_breaker_of_the_same_quote_enter_nothing() {
    let spec = instrument(1, 1);
    let tasks = [task(50_000)];
    let mut desk = Desk::beside(Some(breakers()), [spec, spec], Policy::of([]), &tasks);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.hold(InstrumentId(1), Side::Short, 4_950_000);
    desk.quote(1, 4_990_000, 4_995_000);
    assert_eq!(desk.engine.trading_state(), TradingState::Reducing);
    assert!(desk.entries.is_empty(), "{:?}", desk.entries);
    assert_eq!((desk.state(0), desk.take().len()), (TaskState::Idle, 1));
}

#[test]
fn a_task_in_another_currency_than_the_portfolio_is_refused() {
    let instruments = [instrument(1, 1); 2].map(|spec| Instrument::new(spec).unwrap());
    let limits = EngineLimits::any(8, 4, 64);
    let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
    engine.add_policy(Policy::of([])).unwrap();
    engine.set_portfolio(PortfolioSettings::off(CurrencyId(1))).unwrap();
    let refused = engine.add_task(task(50_000)).unwrap_err().to_string();
    assert!(refused.contains("currency"), "{refused}");
}
