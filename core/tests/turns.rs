//! A reversal that enters: first the exit, and on evidence of it the entry on the other side. Scripts
//! for each way that it goes, and a random world whose ledger says when an entry may be there.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::{BTreeMap, VecDeque};

use reap_core::engine::{Engine, EngineLimits};
use reap_core::entry::{Entered, EntryIntent};
use reap_core::event::{Command, Event, GateSettings, Report, TradingState, Which};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
    VenueId,
};
use reap_core::intent::Urgency;
use reap_core::note::{EngineNote, SignalDrop};
use reap_core::order::{Order, OrderChange, OrderEvent, OrderSide};
use reap_core::policy::{Policy, PolicyId, Rule};
use reap_core::position::{LegSpec, PositionId, PositionSpec, PositionState, RegisterError, Side};
use reap_core::pricing::{Quotes, Top};
use reap_core::task::{TaskLeg, TaskSpec, Unreachable};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

const START: Nanos = Nanos(1_700_000_000_000_000_000);
const NOUGHT: Decimal = Decimal { mantissa: 0, scale: 0 };

/// Prices to a cent in steps of five, lots of ten thousandths, no fees.
fn instrument() -> Instrument {
    Instrument::new(InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 2,
        qty_scale: 3,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: 5,
        lot: 10,
        min_qty: 10,
        min_notional: Decimal { mantissa: 20, scale: 0 },
        taker: Rate::ZERO,
        maker: Rate::ZERO,
        min_fee: NOUGHT,
        max_quote_age: Nanos::from_secs(3),
        jump_limit: Rate::from_bps(9_000),
        jump_ticks: 5,
        reduce_only: true,
        min_notional_on_reduce: false,
        peer: None,
    })
    .unwrap()
}

fn reversal(enter: bool) -> Rule {
    Rule::Reversal { at: Rate::from_bps(1_000), base: None, enter }
}

/// What turns, what does not, and what stops and turns.
fn policies() -> [Policy; 3] {
    let stop = Rule::StopLoss { distance: Rate::from_bps(500), base: None };
    [
        Policy::of([reversal(true)]),
        Policy::of([reversal(false)]),
        Policy::of([stop, reversal(true)]),
    ]
}

struct Table<'e>(&'e Engine);

impl Quotes for Table<'_> {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        self.0.quote(instrument).map(|(quote, received)| Top { quote, received })
    }
}

struct Desk {
    engine: Engine,
    executor: Executor,
    now: Nanos,
    ids: u64,
    trades: u64,
    orders: VecDeque<Order>,
    entries: Vec<EntryIntent>,
    entered: Vec<Entered>,
    notes: Vec<EngineNote>,
    /// Filled of each position by its exits.
    closed: BTreeMap<PositionId, i64>,
}

impl Desk {
    fn new() -> Self {
        let instruments = [instrument(), instrument(), instrument()];
        let limits = EngineLimits::any(32, 4, 128);
        let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
        for policy in policies() {
            engine.add_policy(policy).unwrap();
        }
        let limits = ExecutorLimits { positions: 32, orders: 64 };
        let executor = Executor::new(limits, &instruments, 1);
        Self {
            engine,
            executor,
            now: START,
            ids: 0,
            trades: 0,
            orders: VecDeque::new(),
            entries: Vec::new(),
            entered: Vec::new(),
            notes: Vec::new(),
            closed: BTreeMap::new(),
        }
    }

    fn spec(&self, policy: u16, at: u16, side: Side, entry: i64, qty: i64) -> PositionSpec {
        let leg = LegSpec {
            account: AccountId(3),
            instrument: InstrumentId(at),
            side,
            entry: Price::new(entry).unwrap(),
            qty: Qty::new(qty).unwrap(),
            fees_paid: NOUGHT,
            funding: NOUGHT,
            margin: None,
        };
        let legs = [leg].into_iter().collect();
        PositionSpec { policy: PolicyId(policy), opened: self.now, tag: 7, legs }
    }

    fn hold(&mut self, policy: u16, at: u16, side: Side, entry: i64, qty: i64) -> PositionId {
        let spec = self.spec(policy, at, side, entry, qty);
        let id = self.engine.register(self.now, &spec).unwrap();
        self.executor.register(id, &spec, &Policy::of([]).exit).unwrap();
        self.pump();
        id
    }

    fn pump(&mut self) {
        loop {
            while let Some(order) = self.executor.poll_order() {
                self.orders.push_back(order);
            }
            while let Some(note) = self.engine.poll_note() {
                self.notes.push(note);
            }
            if let Some(entered) = self.engine.poll_entered() {
                let exit = Policy::of([]).exit;
                self.executor.register(entered.id, &entered.spec, &exit).unwrap();
                self.entered.push(entered);
            } else if let Some(intent) = self.engine.poll_intent() {
                self.executor.on_intent(self.now, &intent, &Table(&self.engine));
            } else if let Some(entry) = self.engine.poll_entry() {
                self.entries.push(entry);
                self.executor.on_entry(self.now, &entry, &Table(&self.engine));
            } else if let Some(report) = self.executor.poll_report() {
                if let Report::Fill { position, qty, .. } = report {
                    *self.closed.entry(position).or_default() += qty.raw();
                }
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
        self.ids += 1;
        let stamp = Stamp {
            source: SourceId(0),
            received: self.now,
            update_id: self.ids,
            venue_lag_us: 0,
            reset: false,
        };
        let quote = Quote::new(bid, ask, 500, 500).unwrap();
        self.event(&Event::Tick(Tick::quote(InstrumentId(at), stamp, quote)));
    }

    fn signal(&mut self, at: u16, side: Side) {
        let instrument = InstrumentId(at);
        self.event(&Event::Command(Command::Signal { instrument, side }));
    }

    fn wait(&mut self, span: Nanos) {
        self.now = self.now.plus(span);
        self.event(&Event::Timer);
        self.executor.on_timer(self.now, &Table(&self.engine));
        self.pump();
    }

    /// Fills so much of the oldest order at its limit; the rest expires.
    fn fill(&mut self, qty: i64) -> Order {
        let order = self.orders.pop_front().unwrap();
        if qty > 0 {
            self.trades += 1;
            let price = order.limit.or_else(|| {
                let (quote, _) = self.engine.quote(order.instrument)?;
                Some(if order.side == OrderSide::Buy { quote.ask } else { quote.bid })
            });
            let (trade_id, price, qty) = (self.trades, price.unwrap(), Qty::new(qty).unwrap());
            self.say(&order, OrderChange::Filled { trade_id, price, qty, fee: 0 });
        }
        if qty < order.qty.raw() {
            self.say(&order, OrderChange::Expired);
        }
        order
    }

    fn say(&mut self, order: &Order, what: OrderChange) {
        let event = OrderEvent { id: order.id, what };
        self.executor.on_order_event(self.now, &event, &Table(&self.engine));
        self.pump();
    }

    /// Why signals were dropped since the last question.
    fn drops(&mut self) -> Vec<SignalDrop> {
        let notes = std::mem::take(&mut self.notes);
        let why = |note| match note {
            EngineNote::SignalDropped { why, .. } => Some(why),
            _ => None,
        };
        notes.into_iter().filter_map(why).collect()
    }
}

/// A long at 1,000.00 that has gained 10 %, told to go short: its exit's order is out.
fn asked(policy: u16, qty: i64) -> (Desk, PositionId) {
    let mut desk = Desk::new();
    let id = desk.hold(policy, 0, Side::Long, 100_000, qty);
    desk.quote(0, 110_000, 110_010);
    desk.signal(0, Side::Short);
    assert_eq!(desk.orders.len(), 1, "the exit");
    assert!(desk.entries.is_empty(), "no entry before the exit's evidence");
    (desk, id)
}

#[test]
fn what_is_closed_by_fills_is_entered_on_the_other_side() {
    let (mut desk, id) = asked(0, 1_000);
    // One lot is missing: nothing enters.
    desk.fill(990);
    assert!(desk.entries.is_empty() && desk.engine.state(id) == Some(PositionState::Exiting));
    desk.wait(Nanos::from_secs(1));
    desk.quote(0, 110_000, 110_010);
    desk.wait(Nanos::from_millis(200));
    desk.fill(10);
    let [entry] = desk.entries[..] else { panic!("one entry") };
    let [leg] = entry.legs() else { panic!("one leg") };
    // Sold down to 0.1 % below the best bid of 1,100.00, twice what is shown there.
    assert_eq!((leg.side, leg.qty.raw(), leg.limit.raw()), (Side::Short, 1_000, 109_890));
    assert_eq!((leg.account, leg.instrument), (AccountId(3), InstrumentId(0)));
    let order = desk.fill(1_000);
    assert_eq!((order.side, order.qty.raw(), order.reduce_only), (OrderSide::Sell, 1_000, false));
    let [entered] = &desk.entered.clone()[..] else { panic!("one position") };
    assert_eq!((entered.of, entered.spec.policy, entered.spec.tag), (Some(id), PolicyId(0), 7));
    assert_eq!(entered.spec.legs[0].entry.raw(), 109_890);
    assert!(desk.drops().is_empty() && !desk.engine.is_entering());
    // And back again, under the same rule.
    let short = entered.id;
    assert_eq!(desk.engine.state(short), Some(PositionState::Open));
    desk.quote(0, 98_880, 98_900);
    desk.signal(0, Side::Long);
    desk.fill(1_000);
    desk.fill(1_000);
    assert_eq!(desk.entered[1].of, Some(short));
    assert_eq!(desk.entered[1].spec.legs[0].side, Side::Long);
}

#[test]
fn a_rule_without_enter_and_a_signal_that_meets_nothing_enter_nothing() {
    let (mut desk, _) = asked(1, 1_000);
    desk.fill(1_000);
    desk.signal(0, Side::Short);
    assert!(desk.entries.is_empty() && desk.drops().is_empty());
}

#[test]
fn an_exit_in_flight_is_turned_too() {
    let mut desk = Desk::new();
    desk.hold(2, 0, Side::Long, 100_000, 1_000);
    desk.quote(0, 95_000, 95_005);
    assert_eq!(desk.orders.len(), 1, "stopped");
    desk.signal(0, Side::Short);
    desk.fill(1_000);
    assert_eq!(desk.entries.len(), 1);
}

#[test]
fn the_entry_is_within_the_signals_time_or_never() {
    for (late, entries) in [(Nanos(0), 1), (Nanos(1), 0)] {
        let (mut desk, _) = asked(0, 1_000);
        desk.wait(Nanos::from_millis(4_000));
        desk.quote(0, 110_000, 110_010);
        desk.wait(Nanos::from_millis(1_000).plus(late));
        desk.fill(1_000);
        assert_eq!(desk.entries.len(), entries);
        let expired = [SignalDrop::Expired];
        assert_eq!(desk.drops(), &expired[entries..]);
    }
}

#[test]
fn a_newer_signal_takes_the_place_of_an_older_one() {
    let (mut desk, _) = asked(0, 1_000);
    desk.wait(Nanos::from_secs(2));
    desk.signal(0, Side::Long);
    assert_eq!(desk.drops(), [SignalDrop::Replaced]);
    desk.quote(0, 110_000, 110_010);
    desk.fill(1_000);
    assert!(desk.entries.is_empty());
}

#[test]
fn one_position_that_refuses_keeps_all_from_entering() {
    let mut desk = Desk::new();
    desk.hold(0, 0, Side::Long, 100_000, 1_000);
    desk.hold(0, 0, Side::Long, 109_000, 1_000);
    desk.quote(0, 110_000, 110_010);
    desk.signal(0, Side::Short);
    assert_eq!(desk.drops(), [SignalDrop::Refused]);
    desk.fill(1_000);
    assert!(desk.entries.is_empty());
}

#[test]
fn nothing_enters_unless_trading_is_active() {
    let (mut desk, _) = asked(0, 1_000);
    desk.event(&Event::Command(Command::SetState(TradingState::Reducing)));
    desk.fill(1_000);
    assert_eq!(desk.drops(), [SignalDrop::NotActive]);
    desk.event(&Event::Command(Command::SetState(TradingState::Active)));
    assert!(desk.entries.is_empty());
}

#[test]
fn a_stale_price_enters_nothing() {
    let (mut desk, _) = asked(0, 1_000);
    desk.wait(Nanos::from_millis(3_001));
    desk.fill(1_000);
    assert_eq!(desk.drops(), [SignalDrop::NoPrice]);
    assert!(desk.entries.is_empty());
}

#[test]
fn what_is_below_the_smallest_order_is_not_entered() {
    let (mut desk, _) = asked(0, 10);
    desk.fill(10);
    // 0.01 at 1,100.00 is 11, and 20 is the least; exits are exempt.
    assert_eq!(desk.drops(), [SignalDrop::TooSmall]);
    assert!(desk.entries.is_empty());
}

#[test]
fn what_is_gone_by_no_order_of_ours_is_not_entered_anew() {
    let (mut desk, id) = asked(0, 1_000);
    let lost = Report::LegLost { position: id, leg: 0, qty: Qty::new(400).unwrap() };
    desk.event(&Event::Report(lost));
    desk.fill(1_000);
    assert_eq!(desk.drops(), [SignalDrop::NotFilled]);
    assert!(desk.entries.is_empty());
}

#[test]
fn what_a_task_holds_is_its_own() {
    let (mut desk, _) = asked(0, 1_000);
    let leg = |at| TaskLeg { account: AccountId(0), instrument: InstrumentId(at) };
    let task = TaskSpec {
        policy: PolicyId(1),
        tag: 0,
        spot: leg(1),
        futures: leg(0),
        size: Decimal { mantissa: 500, scale: 0 },
        max_cost: Rate::ZERO,
        cooldown: Nanos(0),
        losing_max: 0,
        cycles_max: 0,
        unreachable: Unreachable::Allow,
    };
    desk.engine.add_task(task).unwrap();
    desk.quote(1, 100_000, 100_010);
    assert_eq!(desk.entries.len(), 1, "the task's");
    desk.fill(1_000);
    assert_eq!(desk.drops(), [SignalDrop::Locked]);
    assert_eq!(desk.entries.len(), 1);
    // The other way about: a turn at work keeps a task from its instrument.
    let (mut desk, _) = asked(0, 1_000);
    let spot = leg(2);
    desk.engine.add_task(TaskSpec { spot, ..task_of(leg(0)) }).unwrap();
    desk.fill(1_000);
    desk.quote(2, 100_000, 100_010);
    assert_eq!(desk.entries.len(), 1, "the turn's alone");
    desk.fill(1_000);
    desk.quote(2, 100_000, 100_010);
    assert_eq!(desk.entries.len(), 2);
}

fn task_of(futures: TaskLeg) -> TaskSpec {
    TaskSpec {
        policy: PolicyId(1),
        tag: 0,
        spot: futures,
        futures,
        size: Decimal { mantissa: 500, scale: 0 },
        max_cost: Rate::ZERO,
        cooldown: Nanos(0),
        losing_max: 0,
        cycles_max: 0,
        unreachable: Unreachable::Allow,
    }
}

#[test]
fn what_its_order_fills_is_the_position() {
    let (mut desk, _) = asked(0, 1_000);
    desk.fill(1_000);
    desk.fill(300);
    assert_eq!(desk.entered[0].spec.legs[0].qty.raw(), 300);
    let (mut desk, _) = asked(0, 1_000);
    desk.fill(1_000);
    desk.fill(0);
    assert_eq!(desk.drops(), [SignalDrop::Missed]);
    assert!(desk.entered.is_empty() && !desk.engine.is_entering());
    // The executor refuses what has left the limit meanwhile: it comes to nothing as well.
    assert_eq!(desk.orders.len(), 0);
}

#[test]
fn a_signal_against_an_entry_at_work_is_dropped() {
    let (mut desk, _) = asked(0, 1_000);
    desk.fill(1_000);
    desk.signal(0, Side::Long);
    assert_eq!(desk.drops(), [SignalDrop::Entering]);
    desk.fill(1_000);
    assert_eq!(desk.entered.len(), 1);
}

#[test]
fn positions_of_several_legs_cannot_be_turned() {
    let mut desk = Desk::new();
    let mut spec = desk.spec(0, 0, Side::Long, 100_000, 1_000);
    let other = desk.spec(0, 1, Side::Short, 100_000, 1_000).legs[0];
    spec.legs.push(other);
    let refused = desk.engine.register(START, &spec).unwrap_err();
    assert!(
        matches!(refused, RegisterError::Rule { field: "legs of a reversal that enters", .. }),
        "{refused}"
    );
}

/// What the world knows of a signal: when, to which side, and what stood against it.
struct Wanted {
    at: Nanos,
    side: Side,
    /// Id, first quantity, whether its policy turns it.
    against: Vec<(PositionId, i64, bool)>,
}

/// Positions come, signals come, fills come late, in part and twice as far apart as a signal lives.
/// Whatever enters must be allowed by the world's own ledger, and what that allows must be answered.
#[test]
fn a_random_world_finds_evidence_for_every_entry() {
    let mut seed = 5u64;
    let mut below = |bound: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) as i64) % bound
    };
    let (mut entries, mut entered, mut dropped) = (0, 0, BTreeMap::<&str, u64>::new());
    for _ in 0..3_000 {
        let mut desk = Desk::new();
        // Side and quantity of each position, by id; the newest signal of each instrument.
        let mut held = BTreeMap::<PositionId, (u16, Side, i64, u16)>::new();
        let mut known = BTreeMap::<PositionId, u16>::new();
        let mut wanted: [Option<Wanted>; 2] = [None, None];
        let mut active = true;
        let mut bids = [100_000i64; 2];
        for _ in 0..150 {
            let at = below(2) as u16;
            let seen = desk.entries.len();
            match below(14) {
                0 if held.len() < 12 => {
                    let side = if below(2) == 0 { Side::Long } else { Side::Short };
                    let (policy, qty) = (below(3) as u16, 10 * (1 + below(60)));
                    let entry = 5 * (15_000 + below(10_000));
                    let id = desk.hold(policy, at, side, entry, qty);
                    held.insert(id, (at, side, qty, policy));
                    known.insert(id, policy);
                }
                1 | 2 => {
                    let side = if below(2) == 0 { Side::Long } else { Side::Short };
                    let open = |id: &PositionId| {
                        matches!(
                            desk.engine.state(*id),
                            Some(PositionState::Open | PositionState::Exiting)
                        )
                    };
                    let against =
                        held.iter().filter(|(id, of)| of.0 == at && of.1 != side && open(id));
                    let against = against.map(|(id, of)| (*id, of.2, of.3 != 1)).collect();
                    let signal = Wanted { at: desk.now, side, against };
                    let busy = desk.engine.is_entering();
                    desk.signal(at, side);
                    let refused = desk.notes.iter().any(|note| {
                        let EngineNote::SignalDropped { instrument, why, .. } = note else {
                            return false;
                        };
                        let why = *why;
                        instrument.0 == at
                            && (why == SignalDrop::Refused || busy && why == SignalDrop::Entering)
                    });
                    wanted[usize::from(at)] = (!refused).then_some(signal);
                }
                3..=6 if !desk.orders.is_empty() => {
                    let qty = desk.orders[0].qty.raw();
                    let part = [0, qty, qty, qty / 20 * 10][below(4) as usize];
                    desk.fill(part);
                }
                7 => desk.wait(Nanos(1 + below(2_000_000_000) as u64)),
                8 if below(4) == 0 => {
                    active = !active;
                    let state = if active { TradingState::Active } else { TradingState::Halted };
                    desk.event(&Event::Command(Command::SetState(state)));
                }
                9 if below(3) == 0 => {
                    let which = Which::All;
                    let urgency = Urgency::Normal;
                    desk.event(&Event::Command(Command::Close { which, urgency }));
                }
                _ => {
                    let bid = &mut bids[usize::from(at)];
                    *bid = (*bid + 5 * (below(4_001) - 2_000)).clamp(80_000, 120_000);
                    let (bid, ask) = (*bid, *bid + 5 * (1 + below(3)));
                    desk.quote(at, bid, ask);
                }
            }
            for entry in &desk.entries[seen..] {
                entries += 1;
                let [leg] = entry.legs() else { panic!("one leg") };
                let signal = wanted[usize::from(leg.instrument.0)].as_mut().expect("a signal");
                assert!(active, "trading is not active");
                assert_eq!(leg.side, signal.side);
                assert!(desk.now.since(signal.at) <= Nanos::from_secs(5), "too late");
                // Everything that stood against it is closed, each lot by a fill.
                for (id, qty, _) in &signal.against {
                    assert_eq!(desk.closed.get(id), Some(qty), "not closed by fills");
                }
                let opposes =
                    |of: &&(u16, Side, i64, u16)| of.0 == leg.instrument.0 && of.1 != leg.side;
                for (id, _) in held.iter().filter(|(_, of)| opposes(of)) {
                    assert!(
                        !matches!(desk.engine.state(*id), Some(PositionState::Open)),
                        "the other side is held"
                    );
                }
                // One for each position that was to be turned, of its first quantity.
                let turned = signal
                    .against
                    .iter()
                    .position(|(_, qty, turns)| *turns && *qty == leg.qty.raw());
                signal.against[turned.expect("a position of this quantity")].2 = false;
                let (quote, _) = desk.engine.quote(leg.instrument).unwrap();
                // 0.1 % beyond the best price, on the grid and a step at least.
                let (ask, bid) = (quote.ask.raw(), quote.bid.raw());
                let limit = match leg.side {
                    Side::Long => (ask * 1_001 / 1_000).max(ask + 5) / 5 * 5,
                    Side::Short => (((bid * 999 + 999) / 1_000).min(bid - 5) + 4) / 5 * 5,
                };
                assert_eq!(leg.limit.raw(), limit);
                assert!(desk.engine.is_entering());
            }
            for one in desk.entered.drain(..) {
                entered += 1;
                let leg = &one.spec.legs[0];
                let of = one.of.expect("it takes the place of a position");
                assert_eq!(known.get(&of), Some(&one.spec.policy.0));
                known.insert(one.id, one.spec.policy.0);
                let of = (leg.instrument.0, leg.side, leg.qty.raw(), one.spec.policy.0);
                held.insert(one.id, of);
            }
            // Whoever may enter does, or says why not.
            let mut allowed = desk.notes.iter().filter_map(|note| match note {
                EngineNote::EntryAllowed { instrument, .. } => Some(usize::from(instrument.0)),
                _ => None,
            });
            if let Some(at) = allowed.next()
                && let Some(signal) = &wanted[at]
            {
                let unheard = signal.against.iter().filter(|(.., turns)| *turns).count();
                let drops = desk.notes.iter().filter(|note| {
                    let EngineNote::SignalDropped { instrument, why, .. } = note else {
                        return false;
                    };
                    let kinds = [SignalDrop::NoPrice, SignalDrop::TooSmall, SignalDrop::Missed];
                    usize::from(instrument.0) == at && kinds.contains(why)
                });
                assert_eq!(unheard, drops.count().min(unheard), "a turn was forgotten");
            }
            for why in desk.drops() {
                *dropped.entry(why.name()).or_default() += 1;
            }
            held.retain(|id, _| {
                desk.engine.state(*id).is_some_and(|state| state != PositionState::Closed)
            });
        }
    }
    println!("{entries} entries, {entered} entered, {dropped:?}");
    assert!(entries > 100 && entered > 50, "{entries} entries, {entered} entered");
    for why in ["refused", "expired", "replaced", "not_active", "no_price", "missed", "too_small"] {
        assert!(dropped.contains_key(why), "{why} did not occur: {dropped:?}");
    }
}
