//! No allocation in engine and executor after start-up: a counting allocator says so.
#![expect(clippy::unwrap_used, reason = "a test may end anywhere")]

use std::collections::VecDeque;

use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Command, Event, GateSettings, Latch, Outcome, Report, SourceChange, Which};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
    VenueId,
};
use reap_core::intent::{Reason, Urgency};
use reap_core::note::EngineNote;
use reap_core::order::{OrderChange, OrderEvent};
use reap_core::policy::{Blind, DecayStep, Distance, Policy, PolicyId, Rule, Threshold, Tier};
use reap_core::portfolio::{Breakers, DrawdownFrom, Health, Partial, PortfolioSettings};
use reap_core::position::{LegSpec, PositionSpec, Side};
use reap_core::pricing::{Quotes, Top};
use reap_core::task::{TaskLeg, TaskSpec, Unreachable};
use reap_core::tick::{Quote, Refusal, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};
use reap_core::{RULE_MAX_AGE, RULE_OPERATOR};

const NOUGHT: Decimal = Decimal { mantissa: 0, scale: 0 };

fn instrument(min_fee: Decimal) -> Instrument {
    Instrument::new(InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 2,
        qty_scale: 3,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: 1,
        lot: 1,
        min_qty: 1,
        min_notional: NOUGHT,
        taker: Rate::from_bps(5),
        maker: Rate::from_bps(2),
        min_fee,
        max_quote_age: Nanos::from_secs(5),
        jump_limit: Rate::from_bps(500),
        jump_ticks: 5,
        reduce_only: true,
        min_notional_on_reduce: true,
        peer: None,
    })
    .unwrap()
}

fn rules() -> [Rule; 10] {
    let threshold = |bps| Threshold::Rate { rate: Rate::from_bps(bps), base: None };
    let tiers =
        [20, 50].map(|bps| Tier { at: Rate::from_bps(bps), share: Rate::from_bps(bps * 200) });
    [
        Rule::TakeProfit { threshold: threshold(150) },
        Rule::Decay {
            threshold: threshold(140),
            steps: vec![DecayStep { age: Nanos::from_secs(300), threshold: threshold(90) }],
        },
        Rule::ProfitErosion { minimum: threshold(20), fraction: Rate::from_bps(5_000) },
        Rule::StopLoss { distance: Rate::from_bps(100), base: None },
        Rule::TrailingStop {
            distance: Distance::Rate(Rate::from_bps(50)),
            activation: Some(Rate::from_bps(10)),
            base: None,
        },
        Rule::TrailingProfit {
            activation: Rate::from_bps(40),
            distance: Rate::from_bps(30),
            floor: Rate::from_bps(5),
            step: Rate::from_bps(1),
            base: None,
        },
        Rule::Tiers { base: None, tiers: tiers.into_iter().collect() },
        Rule::Liquidation { threshold: Rate::from_bps(200) },
        Rule::Deadline {
            max_age: Some(Nanos::from_secs(900)),
            at: None,
            session_close: None,
            close_before: Nanos(0),
        },
        Rule::FundingFlip { threshold: Rate::from_bps(10), samples: 2, base: None },
    ]
}

/// Every rule over all positions, near enough that each fires many times.
fn portfolio() -> PortfolioSettings {
    let amount = |mantissa| Decimal { mantissa, scale: 0 };
    PortfolioSettings {
        profit: Some(amount(2_000)),
        partial: Some(Partial { at: amount(500), share: Rate::from_bps(5_000) }),
        loss: Some(amount(-3_000)),
        cooldown: Some(Nanos::from_secs(30)),
        max_position_age: Some(Nanos::from_secs(1_200)),
        breakers: Some(Breakers {
            equity: amount(100_000),
            levels: [100, 200, 300].map(Rate::from_bps),
            from: DrawdownFrom::Peak,
            filter: true,
            reset: Nanos(0),
        }),
        health: Some(Health {
            older_than: Nanos::from_millis(10),
            cooldown: Nanos::from_millis(20),
            max_age: Nanos::from_millis(500),
            ..Health::default()
        }),
        ..PortfolioSettings::off(CurrencyId(0))
    }
}

/// Those of one leg have rules of their own beside.
fn policy_of(legs: usize) -> Policy {
    let (min_volume, drop) = (Decimal { mantissa: 1, scale: 2 }, Rate::from_bps(20));
    let leaders = [InstrumentId(1), InstrumentId(2)].into_iter().collect();
    let correlation = Rule::Correlation {
        leaders,
        drop: Rate::from_bps(40),
        rho: Rate::from_bps(500),
        default_rho: Some(Rate::from_bps(7_500)),
    };
    let alone = [Rule::Dump { min_volume, drop }, correlation];
    let rules = rules().into_iter().chain(alone.into_iter().filter(|_| legs == 1));
    let hold_for_funding = (legs > 1).then_some(Nanos::from_secs(10));
    Policy { hold_for_funding, ..Policy::of(rules) }
}

fn leg(at: u64, instrument: u16, side: Side) -> LegSpec {
    LegSpec {
        account: AccountId(0),
        instrument: InstrumentId(instrument),
        side,
        entry: Price::new(99_000 + (at * 37 % 2_000) as i64).unwrap(),
        qty: Qty::new(1_000 + at as i64).unwrap(),
        fees_paid: NOUGHT,
        funding: NOUGHT,
        margin: None,
    }
}

/// All rules on one, two and three legs and over all positions, minimum fees, jumps, refused quotes, reconnects, fills,
/// misses, new positions and operators: nothing of it allocates.
#[test]
fn the_engine_does_not_allocate_after_start_up() {
    let instruments =
        [instrument(NOUGHT), instrument(NOUGHT), instrument(Decimal { mantissa: 1, scale: 2 })];
    // Exactly what the policy needs by kind: a table that is counted too small would end the test.
    let mut limits = EngineLimits { policies: 8, ..EngineLimits::NONE };
    for legs in 1..=3 {
        limits.add(&policy_of(legs), legs, 200);
    }
    limits.add_health();
    let mut engine = Engine::new(limits, &instruments, 2, GateSettings::default());
    let blind = Blind::MarketAfter(Nanos::from_secs(1));
    for legs in 1..=3 {
        engine.add_policy(Policy { blind, ..policy_of(legs) }).unwrap();
    }
    engine.set_portfolio(portfolio()).unwrap();
    // The same rules in another order, and one of them another: positions go to and fro.
    let mut other = Policy::of(rules().into_iter().rev());
    for said in &mut other.rules {
        if let Rule::StopLoss { distance, .. } = &mut said.rule {
            *distance = Rate::from_bps(150);
        }
    }
    engine.add_policy(other).unwrap();
    let mut seed = 5u64;
    let mut random = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    let open = |engine: &mut Engine, now: Nanos, at: u64| {
        let sides = [Side::Long, Side::Short, Side::Long];
        let count = 1 + (at % 3) as usize;
        let legs = (0..count).map(|nth| leg(at, nth as u16, sides[nth]));
        let policy = PolicyId(count as u16 - 1);
        let tag = 1 + (at % 2) as u32;
        let spec = PositionSpec { policy, opened: now, tag, legs: legs.collect() };
        engine.register(now, &spec).map(|id| (id, count))
    };
    let mut exits = Vec::with_capacity(400);
    let mut now = Nanos(1_000_000_000);
    for at in 0..300 {
        open(&mut engine, now, at).unwrap();
    }
    let (mut intents, mut together, mut led, mut opened) = (0u64, 0u64, 0u64, 300);
    let (mut moved, mut refused, mut held) = (0u64, 0u64, 0u64);
    let mut last = None;
    let mut mids = [100_000i64; 3];
    let counted = allocation_counter::measure(|| {
        for step in 1..400_000u64 {
            now = now.plus(Nanos(random(20_000_000)));
            let at = random(3) as usize;
            let stamp = Stamp {
                source: SourceId((at % 2) as u8),
                received: now,
                update_id: step,
                venue_lag_us: 0,
                reset: random(5_000) == 0,
            };
            let instrument = InstrumentId(at as u16);
            let price = |mid: i64| Price::new(mid).unwrap();
            let kind = random(2_000);
            let event = match kind {
                0 => Event::Source(stamp.source, SourceChange::Connected),
                1 => Event::Tick(Tick::refused(instrument, stamp, Refusal::Crossed)),
                2 => Event::Command(Command::Close {
                    which: Which::Tag(1),
                    urgency: Urgency::Normal,
                }),
                3..8 => Event::Tick(Tick::alive(stamp)),
                8 => Event::Command(Command::Reset(Latch::PortfolioLoss)),
                9 => Event::Command(Command::Equity(Decimal { mantissa: 100_000, scale: 0 })),
                10 => Event::Source(stamp.source, SourceChange::Lost),
                12..20 => {
                    let rate = Rate::new(random(2_000) as i64 - 1_000).unwrap();
                    let settles = Nanos(((now.0 >> 35) + 1) << 35);
                    Event::Tick(Tick::funding(instrument, stamp, rate, settles))
                }
                20..300 => {
                    let qty = Qty::new(1 + random(50) as i64).unwrap();
                    let bought = (now.0 >> 37).is_multiple_of(3);
                    Event::Tick(Tick::trade(instrument, stamp, price(mids[at]), qty, bought, now))
                }
                300..302 => Event::Command(Command::Policy {
                    which: Which::Tag(1 + random(2) as u32),
                    policy: PolicyId([0, 3][random(2) as usize]),
                }),
                302..306 => Event::Command(Command::Rule {
                    which: Which::Tag(1),
                    policy: PolicyId(random(4) as u16),
                    rule: random(8) as u8,
                    on: kind > 302,
                }),
                306..360 => Event::Tick(Tick::mark(instrument, stamp, price(mids[at]))),
                360..380 if last.is_some() => Event::Command(Command::Liquidation {
                    position: last.unwrap(),
                    leg: 0,
                    price: Some(price(mids[0] - 1_000)),
                }),
                _ => {
                    mids[at] = (mids[at] + random(61) as i64 - 30).clamp(98_000, 102_000);
                    let jump = if kind < 20 { 9_000 } else { 0 };
                    let quote = Quote::new(mids[at] + jump, mids[at] + jump + 1, 5, 5).unwrap();
                    Event::Tick(Tick::quote(instrument, stamp, quote))
                }
            };
            engine.on_event(now, &event);
            exits.clear();
            while let Some(intent) = engine.poll_intent() {
                intents += 1;
                led += u64::from(intent.reason == Reason::Correlation);
                together += u64::from(intent.rule >= RULE_MAX_AGE && intent.rule < RULE_OPERATOR);
                exits.push(intent.position);
            }
            while let Some(note) = engine.poll_note() {
                moved += u64::from(matches!(note, EngineNote::Policy { waits: false, .. }));
                refused += u64::from(matches!(note, EngineNote::PolicyRefused { .. }));
                held += u64::from(matches!(note, EngineNote::HeldForFunding { .. }));
            }
            for &position in &exits {
                let outcome = [Outcome::Missed, Outcome::Done, Outcome::Closed, Outcome::Dust]
                    [random(4) as usize];
                let fill = Report::Fill {
                    position,
                    leg: 0,
                    price: Price::new(mids[0]).unwrap(),
                    qty: Qty::new(1 + random(400) as i64).unwrap(),
                    fee: 0,
                };
                for report in [fill, Report::PlanEnded { position, intent: u64::MAX, outcome }] {
                    engine.on_event(now, &Event::Report(report));
                    while engine.poll_intent().is_some() {}
                }
                if outcome == Outcome::Closed {
                    opened += 1;
                    last = Some(open(&mut engine, now, opened).unwrap().0);
                    while engine.poll_intent().is_some() {}
                }
            }
        }
    });
    assert_eq!(counted.count_total, 0, "after {intents} intents");
    assert!(intents > 300 && opened > 400, "{intents} intents, {opened} positions");
    assert!(led > 20, "{led} by leaders");
    assert!(held > 50, "{held} waited for funding");
    assert!(together > 100, "{together} of rules over all positions");
    // What suits one leg alone is refused to several: that allocates nothing either.
    assert!(moved > 700 && refused < 100, "{moved} switched, {refused} refused");
}

struct Table<'e>(&'e Engine);

impl Quotes for Table<'_> {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        self.0.quote(instrument).map(|(quote, received)| Top { quote, received })
    }
}

/// Engine and executor together, with a venue that fills in part, expires and rejects: opening,
/// closing, missing and opening again do not allocate.
#[test]
fn engine_and_executor_do_not_allocate_after_start_up() {
    let instruments = [instrument(NOUGHT), instrument(NOUGHT), instrument(NOUGHT)];
    let mut limits = EngineLimits { policies: 1, ..EngineLimits::NONE };
    for legs in 1..=3 {
        limits.add(&Policy::of(rules()), legs, 34);
    }
    let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
    let policy = Policy::of(rules());
    let settings = policy.exit.clone();
    engine.add_policy(policy).unwrap();
    let limits = ExecutorLimits { positions: 100, orders: 300 };
    let mut executor = Executor::new(limits, &instruments, 1);
    let mut orders = VecDeque::with_capacity(1_000);
    let mut specs = Vec::with_capacity(100);
    let mut mids = [100_000i64; 3];
    let mut seed = 9u64;
    let mut random = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    for at in 0..100u64 {
        let sides = [Side::Long, Side::Short, Side::Long];
        let legs = (0..=(at % 3) as usize).map(|nth| leg(at, nth as u16, sides[nth]));
        let policy = PolicyId(0);
        specs.push(PositionSpec { policy, opened: Nanos(0), tag: 0, legs: legs.collect() });
    }
    let mut now = Nanos(1_000_000_000);
    let mut live = Vec::with_capacity(100);
    for spec in &specs {
        let id = engine.register(now, spec).unwrap();
        executor.register(id, spec, &settings).unwrap();
        live.push(id);
    }
    let (mut filled, mut trade, mut closed) = (0u64, 0u64, 0u64);
    let counted = allocation_counter::measure(|| {
        for step in 1..200_000u64 {
            now = now.plus(Nanos(random(5_000_000)));
            let at = random(3) as usize;
            mids[at] = (mids[at] + random(81) as i64 - 40).clamp(98_000, 102_000);
            let stamp = Stamp {
                source: SourceId(0),
                received: now,
                update_id: step,
                venue_lag_us: 0,
                reset: false,
            };
            let quote = Quote::new(mids[at], mids[at] + 1, 500, 500).unwrap();
            engine.on_event(now, &Event::Tick(Tick::quote(InstrumentId(at as u16), stamp, quote)));
            executor.on_timer(now, &Table(&engine));
            loop {
                while let Some(order) = executor.poll_order() {
                    orders.push_back(order);
                }
                if let Some(intent) = engine.poll_intent() {
                    executor.on_intent(now, &intent, &Table(&engine));
                } else if executor.poll_ask().is_some() || executor.poll_note().is_some() {
                } else if let Some(report) = executor.poll_report() {
                    engine.on_event(now, &Event::Report(report));
                } else if let Some(order) = orders.pop_front() {
                    let mut say = |what| {
                        let event = OrderEvent { id: order.id, what };
                        executor.on_order_event(now, &event, &Table(&engine));
                    };
                    say(OrderChange::Acked);
                    if random(4) == 0 {
                        say(OrderChange::Expired);
                        continue;
                    }
                    trade += 1;
                    filled += 1;
                    let qty = if random(3) == 0 {
                        order.qty
                    } else {
                        Qty::new(1 + order.qty.raw() / 2).unwrap()
                    };
                    let price = order.limit.unwrap_or(quote.bid);
                    say(OrderChange::Filled {
                        trade_id: trade,
                        price,
                        qty: qty.min(order.qty),
                        fee: 1,
                    });
                    if qty < order.qty {
                        say(OrderChange::Expired);
                    }
                } else {
                    break;
                }
            }
            for (id, spec) in live.iter_mut().zip(&specs) {
                if executor.is_closed(*id) {
                    closed += 1;
                    *id = engine.register(now, spec).unwrap();
                    executor.register(*id, spec, &settings).unwrap();
                    while let Some(intent) = engine.poll_intent() {
                        executor.on_intent(now, &intent, &Table(&engine));
                        while let Some(order) = executor.poll_order() {
                            orders.push_back(order);
                        }
                    }
                }
            }
        }
    });
    assert_eq!(counted.count_total, 0, "after {filled} fills");
    assert!(filled > 1_000 && closed > 100, "{filled} fills, {closed} closed");
}

/// Tasks enter, miss, undo what does not match, exit and enter again: nothing of it allocates.
#[test]
fn tasks_do_not_allocate_after_start_up() {
    let instruments = [instrument(NOUGHT), instrument(NOUGHT), instrument(NOUGHT)];
    let max_age = Some(Nanos::from_secs(2));
    let close_before = Nanos(0);
    let deadline = Rule::Deadline { max_age, at: None, session_close: None, close_before };
    let threshold = Threshold::Rate { rate: Rate::from_bps(20), base: None };
    let policy = Policy::of([Rule::Basis { threshold }, deadline]);
    let settings = policy.exit.clone();
    let mut limits = EngineLimits { policies: 1, ..EngineLimits::NONE };
    limits.add(&policy, 2, 2);
    let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
    engine.add_policy(policy).unwrap();
    let leg = |at| TaskLeg { account: AccountId(0), instrument: InstrumentId(at) };
    for spot in [0, 1] {
        let (size, max_cost) = (Decimal { mantissa: 2_000, scale: 0 }, Rate::from_bps(5));
        let task = TaskSpec {
            policy: PolicyId(0),
            tag: 0,
            spot: leg(spot),
            futures: leg(2),
            size,
            max_cost,
            cooldown: Nanos::from_secs(1),
            losing_max: 0,
            cycles_max: 0,
            unreachable: Unreachable::Warn,
            liquidation: None,
        };
        engine.add_task(task).unwrap();
    }
    let limits = ExecutorLimits { positions: 2, orders: 8 };
    let mut executor = Executor::new(limits, &instruments, 1);
    let mut orders = VecDeque::with_capacity(64);
    let mut seed = 3u64;
    let mut random = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % bound
    };
    let (mut now, mut trade) = (Nanos(1_000_000_000), 0u64);
    let mut mids = [100_000i64; 3];
    let (mut entries, mut entered, mut undone) = (0u64, 0u64, 0u64);
    let counted = allocation_counter::measure(|| {
        for step in 1..100_000u64 {
            now = now.plus(Nanos(random(20_000_000)));
            let at = random(3) as usize;
            mids[at] = (mids[at] + random(81) as i64 - 40).clamp(99_000, 101_000);
            let stamp = Stamp {
                source: SourceId(0),
                received: now,
                update_id: step,
                venue_lag_us: 0,
                reset: false,
            };
            let quote = Quote::new(mids[at], mids[at] + 1, 500, 500).unwrap();
            engine.on_event(now, &Event::Tick(Tick::quote(InstrumentId(at as u16), stamp, quote)));
            executor.on_timer(now, &Table(&engine));
            loop {
                while let Some(order) = executor.poll_order() {
                    orders.push_back(order);
                }
                while engine.poll_note().is_some() {}
                if let Some(position) = engine.poll_entered() {
                    entered += 1;
                    executor.register(position.id, &position.spec, &settings).unwrap();
                } else if let Some(intent) = engine.poll_intent() {
                    executor.on_intent(now, &intent, &Table(&engine));
                } else if let Some(entry) = engine.poll_entry() {
                    entries += 1;
                    executor.on_entry(now, &entry, &Table(&engine));
                } else if executor.poll_ask().is_some() || executor.poll_note().is_some() {
                } else if let Some(report) = executor.poll_report() {
                    undone += u64::from(matches!(report, Report::EntryUndone { .. }));
                    engine.on_event(now, &Event::Report(report));
                } else if let Some(order) = orders.pop_front() {
                    let mut say = |what| {
                        let event = OrderEvent { id: order.id, what };
                        executor.on_order_event(now, &event, &Table(&engine));
                    };
                    let qty = match random(4) {
                        0 => Qty::ZERO,
                        1 => Qty::new(1 + order.qty.raw() / 2).unwrap().min(order.qty),
                        _ => order.qty,
                    };
                    if qty > Qty::ZERO {
                        trade += 1;
                        let price = order.limit.unwrap_or(quote.bid);
                        say(OrderChange::Filled { trade_id: trade, price, qty, fee: 1 });
                    }
                    if qty < order.qty {
                        say(OrderChange::Expired);
                    }
                } else {
                    break;
                }
            }
        }
    });
    assert_eq!(counted.count_total, 0, "after {entries} entries");
    assert!(
        entries > 100 && entered > 50 && undone > 20,
        "{entries} entries, {entered} entered, {undone} undone"
    );
}

/// Signals close positions and enter the other side, back and forth: nothing of it allocates.
#[test]
fn turns_do_not_allocate_after_start_up() {
    let instruments = [instrument(NOUGHT)];
    let policy = Policy::of([Rule::Reversal { at: Rate::from_bps(1), base: None, enter: true }]);
    let settings = policy.exit.clone();
    let mut limits = EngineLimits { policies: 1, ..EngineLimits::NONE };
    limits.add(&policy, 1, 1);
    let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
    engine.add_policy(policy).unwrap();
    let limits = ExecutorLimits { positions: 1, orders: 2 };
    let mut executor = Executor::new(limits, &instruments, 1);
    let leg = LegSpec {
        account: AccountId(0),
        instrument: InstrumentId(0),
        side: Side::Long,
        entry: Price::new(100_000).unwrap(),
        qty: Qty::new(100).unwrap(),
        fees_paid: NOUGHT,
        funding: NOUGHT,
        margin: None,
    };
    let (policy, legs) = (PolicyId(0), [leg].into_iter().collect());
    let spec = PositionSpec { policy, opened: Nanos(0), tag: 0, legs };
    let start = Nanos(1_000_000_000);
    let id = engine.register(start, &spec).unwrap();
    executor.register(id, &spec, &settings).unwrap();
    let mut orders = VecDeque::with_capacity(64);
    let (mut now, mut side, mut entered) = (start, Side::Long, 0u64);
    let counted = allocation_counter::measure(|| {
        for step in 1..20_000u64 {
            now = now.plus(Nanos(10_000_000));
            let stamp = Stamp {
                source: SourceId(0),
                received: now,
                update_id: step,
                venue_lag_us: 0,
                reset: false,
            };
            let mid = 100_000 + (step % 200 * 20) as i64 * if step / 200 % 2 == 0 { 1 } else { -1 };
            let quote = Quote::new(mid, mid + 1, 500, 500).unwrap();
            engine.on_event(now, &Event::Tick(Tick::quote(InstrumentId(0), stamp, quote)));
            executor.on_timer(now, &Table(&engine));
            if step % 50 == 0 {
                let wanted = if side == Side::Long { Side::Short } else { Side::Long };
                let (instrument, side) = (InstrumentId(0), wanted);
                engine.on_event(now, &Event::Command(Command::Signal { instrument, side }));
            }
            loop {
                while let Some(order) = executor.poll_order() {
                    orders.push_back(order);
                }
                while engine.poll_note().is_some() {}
                if let Some(position) = engine.poll_entered() {
                    entered += 1;
                    side = position.spec.legs[0].side;
                    executor.register(position.id, &position.spec, &settings).unwrap();
                } else if let Some(intent) = engine.poll_intent() {
                    executor.on_intent(now, &intent, &Table(&engine));
                } else if let Some(entry) = engine.poll_entry() {
                    executor.on_entry(now, &entry, &Table(&engine));
                } else if executor.poll_ask().is_some() || executor.poll_note().is_some() {
                } else if let Some(report) = executor.poll_report() {
                    engine.on_event(now, &Event::Report(report));
                } else if let Some(order) = orders.pop_front() {
                    let price = order.limit.unwrap_or(quote.bid);
                    let what =
                        OrderChange::Filled { trade_id: step, price, qty: order.qty, fee: 1 };
                    let event = OrderEvent { id: order.id, what };
                    executor.on_order_event(now, &event, &Table(&engine));
                } else {
                    break;
                }
            }
        }
    });
    assert_eq!(counted.count_total, 0, "after {entered} entries");
    assert!(entered > 50, "{entered} entered");
}
