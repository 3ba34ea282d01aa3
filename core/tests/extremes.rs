//! Every bound at once: prices, quantities, fees, amounts and rules at the ends of what registration
//! takes, on one to four legs of either side, through engine and executor. Whatever is registered
//! must be computed without an overflow; the rest must be refused.
//!
//! `SEED=… STEPS=… cargo test -p reap-core --test extremes` repeats or lengthens a run.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Command, Event, GateSettings};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
    VenueId,
};
use reap_core::limits::{AMOUNT_MAX, PPB, PRICE_MAX, QTY_MAX, RATE_MAX};
use reap_core::order::{OrderChange, OrderEvent};
use reap_core::policy::{
    Base, DecayStep, Distance, FeeMode, Policy, PolicyId, Rule, Threshold, Tier,
};
use reap_core::position::{LegSpec, PositionId, PositionSpec, Side};
use reap_core::pricing::{Quotes, Top};
use reap_core::task::{TaskLeg, TaskSpec, Unreachable};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

const INSTRUMENTS: usize = 4;
const POLICIES: usize = 16;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % bound
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }

    /// An end of a range, near it, or somewhere on the way by magnitude.
    fn within(&mut self, min: i64, max: i64) -> i64 {
        match self.below(6) {
            0 => min,
            1 => max,
            2 => max - self.below(3).min((max - min) as u64) as i64,
            3 => min + self.below(3).min((max - min) as u64) as i64,
            _ => {
                let span = (max - min) as u64;
                let bits = self.below(u64::from(64 - span.leading_zeros()).max(1));
                min + (self.below(2 << bits).min(span)) as i64
            }
        }
    }

    fn price(&mut self) -> Price {
        Price::new(self.within(1, PRICE_MAX)).unwrap()
    }

    fn rate(&mut self, min: i64, max: i64) -> Rate {
        Rate::new(self.within(min, max)).unwrap()
    }

    /// An amount that may be far beyond every bound.
    fn amount(&mut self, scale: u8) -> Decimal {
        let near = self.within(0, 2) as i128;
        let mantissa = match self.below(40) {
            0..16 => near,
            16..22 => AMOUNT_MAX - near,
            22..28 => -AMOUNT_MAX + near,
            28 => self.of(&[i128::MIN, i128::MAX]),
            _ => 1i128 << self.below(120),
        };
        let absurd = self.below(40) == 0;
        Decimal { mantissa, scale: if absurd { self.of(&[0, 9, 38, 255]) } else { scale } }
    }
}

fn instrument(random: &mut Random, scales: &[u8]) -> Option<Instrument> {
    let scale = |random: &mut Random| random.of(scales);
    let (price_scale, qty_scale) = (scale(random), scale(random));
    let multiplier = Decimal {
        mantissa: random.of(&[1, 1, 1, 1, 1, 1_000, i128::from(QTY_MAX)]),
        scale: scale(random),
    };
    let nano = price_scale + qty_scale + multiplier.scale + 9;
    let amount = |random: &mut Random| match random.below(3) {
        0 => Decimal { mantissa: AMOUNT_MAX, scale: nano },
        _ => Decimal { mantissa: 0, scale: 0 },
    };
    let fee = |random: &mut Random| match random.below(3) {
        0 => Rate::from_bps(5),
        _ => random.rate(1 - PPB, PPB - 1),
    };
    Instrument::new(InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale,
        qty_scale,
        multiplier,
        tick: random.of(&[1, 1, 1, PRICE_MAX / 2, PRICE_MAX]),
        lot: random.of(&[1, 1, QTY_MAX]),
        min_qty: random.of(&[1, 1, QTY_MAX]),
        min_notional: amount(random),
        taker: fee(random),
        maker: fee(random),
        min_fee: amount(random),
        max_quote_age: Nanos(u64::MAX),
        jump_limit: Rate::new(random.of(&[1, RATE_MAX])).unwrap(),
        jump_ticks: 1,
        reduce_only: true,
        min_notional_on_reduce: true,
        peer: Some(InstrumentId(random.below(INSTRUMENTS as u64 + 1) as u16)),
    })
    .ok()
}

fn base(random: &mut Random) -> Option<Base> {
    match random.below(6) {
        0 => None,
        1 => Some(Base::Entry),
        2 => Some(Base::MaxLeg),
        3 => Some(Base::Gross),
        4 => Some(Base::Margin),
        _ => Some(Base::Amount(random.amount(9))),
    }
}

fn rule(random: &mut Random) -> Rule {
    let any = |random: &mut Random| random.rate(-RATE_MAX, RATE_MAX);
    let share = |random: &mut Random| random.rate(1, PPB - 1);
    let base = base(random);
    match random.below(12) {
        10 => {
            let (min_volume, drop) = (random.amount(0), share(random));
            Rule::Dump { min_volume, drop }
        }
        11 => Rule::Correlation {
            leaders: [InstrumentId(random.below(INSTRUMENTS as u64) as u16)].into_iter().collect(),
            drop: share(random),
            rho: random.rate(1, PPB),
            default_rho: (random.below(2) == 0).then(|| random.rate(-PPB, PPB)),
        },
        6 => Rule::BreakEven { activation: share(random), offset: random.rate(1 - PPB, 0) },
        7 => {
            let threshold = Threshold::Rate { rate: any(random), base };
            let age = Nanos::from_millis(random.below(2_000) + 1);
            let steps = vec![DecayStep { age, threshold: Threshold::Amount(random.amount(9)) }];
            Rule::Decay { threshold, steps }
        }
        8 => {
            let minimum = match random.below(3) {
                0 => Threshold::Amount(random.amount(9)),
                _ => Threshold::Rate { rate: random.rate(1, RATE_MAX), base },
            };
            Rule::ProfitErosion { minimum, fraction: share(random) }
        }
        9 => Rule::FundingFlip { threshold: share(random), samples: 1, base },
        0 => Rule::TakeProfit { threshold: Threshold::Rate { rate: any(random), base } },
        1 => Rule::TakeProfit { threshold: Threshold::Amount(random.amount(9)) },
        2 => {
            let tier = |at, share| Tier { at, share: Rate::new(share).unwrap() };
            let last = tier(Rate::new(RATE_MAX).unwrap(), PPB);
            let first = tier(any(random), random.within(1, PPB - 1));
            Rule::Tiers { base, tiers: [first, last].into_iter().collect() }
        }
        3 => Rule::StopLoss { distance: share(random), base },
        4 => {
            let distance = match random.below(3) {
                0 => Distance::Rate(share(random)),
                1 => Distance::Ticks(random.within(1, PRICE_MAX)),
                _ => Distance::Price(random.amount(0)),
            };
            let activation = (random.below(2) == 0).then(|| share(random));
            Rule::TrailingStop { distance, activation, base }
        }
        _ => Rule::TrailingProfit {
            activation: share(random),
            distance: share(random),
            floor: Rate::ZERO,
            step: random.rate(0, PPB - 1),
            base,
        },
    }
}

fn policy(random: &mut Random) -> Policy {
    let count = 1 + random.below(2);
    let mut policy = Policy::of((0..count).map(|_| rule(random)));
    policy.fees = random.of(&[FeeMode::Net, FeeMode::Net, FeeMode::EntryOnly, FeeMode::Gross]);
    policy.fee_buffer_ppb = random.of(&[0, PPB as u32, PPB as u32, PPB as u32, u32::MAX]);
    let reserve = random.of(&[0, 0, 0, 0, 1, RATE_MAX]);
    policy.slippage_reserve = Rate::new(reserve).unwrap();
    policy
}

fn leg(random: &mut Random, instruments: &[Instrument], side: Side) -> LegSpec {
    let id = random.below(INSTRUMENTS as u64) as u16;
    let spec = instruments[usize::from(id)].spec();
    let most = QTY_MAX / (spec.multiplier.mantissa as i64);
    let nano = instruments[usize::from(id)].nano_scale();
    LegSpec {
        account: AccountId(random.below(4) as u8),
        instrument: InstrumentId(id),
        side,
        entry: random.price(),
        qty: Qty::new(random.within(1, most)).unwrap(),
        fees_paid: random.amount(nano),
        funding: random.amount(nano),
        margin: (random.below(2) == 0).then(|| random.amount(nano)),
    }
}

/// A task with a size and a cost at the bounds.
fn task(random: &mut Random, instruments: &[Instrument]) -> TaskSpec {
    let leg = |random: &mut Random| TaskLeg {
        account: AccountId(random.below(4) as u8),
        instrument: InstrumentId(random.below(INSTRUMENTS as u64) as u16),
    };
    let (spot, futures) = (leg(random), leg(random));
    let nano = instruments[usize::from(spot.instrument.0)].nano_scale();
    TaskSpec {
        policy: PolicyId(random.below(POLICIES as u64) as u16),
        tag: 0,
        spot,
        futures,
        size: Decimal {
            mantissa: random.of(&[AMOUNT_MAX, AMOUNT_MAX, 1i128 << 90, 1i128 << 119, 1]),
            scale: nano,
        },
        max_cost: random.rate(1 - PPB, PPB - 1),
        cooldown: Nanos(random.below(2)),
        losing_max: 0,
        cycles_max: 0,
        unreachable: random.of(&[Unreachable::Warn, Unreachable::Allow]),
        liquidation: random.of(&[None, Some(1), Some(PPB)]).map(|ppb| Rate::new(ppb).unwrap()),
    }
}

struct Table([Option<Top>; INSTRUMENTS]);

impl Quotes for Table {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        self.0[usize::from(instrument.0)]
    }
}

struct World {
    random: Random,
    instruments: Vec<Instrument>,
    policies: Vec<Policy>,
    engine: Engine,
    executor: Executor,
    quotes: Table,
    now: Nanos,
    positions: Vec<(PositionId, usize)>,
    trade_id: u64,
    tasks: u64,
    entries: u64,
    entered: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let scales = random.of(&[&[0][..], &[0], &[0], &[1], &[12], &[0, 1], &[0, 12]]);
        let mut instruments = Vec::new();
        while instruments.len() < INSTRUMENTS {
            instruments.extend(instrument(&mut random, scales));
        }
        let limits = EngineLimits::any(16, 64, 8192);
        // Any price may follow any other.
        let gates = GateSettings { entry_factor: 0, ..GateSettings::default() };
        let mut engine = Engine::new(limits, &instruments, 1, gates);
        let executor = Executor::new(ExecutorLimits::default(), &instruments, 1);
        let policies: Vec<Policy> = (0..POLICIES).map(|_| policy(&mut random)).collect();
        for policy in &policies {
            engine.add_policy(policy.clone()).unwrap();
        }
        let quotes = Table([None; INSTRUMENTS]);
        let mut tasks = 0;
        for _ in 0..100 {
            tasks += u64::from(engine.add_task(task(&mut random, &instruments)).is_ok());
        }
        Self {
            random,
            instruments,
            policies,
            engine,
            executor,
            quotes,
            now: Nanos(1),
            positions: Vec::new(),
            trade_id: 0,
            tasks,
            entries: 0,
            entered: 0,
        }
    }

    fn register(&mut self) {
        let policy = self.random.below(POLICIES as u64) as u16;
        let count = 1 + self.random.below(4) as usize;
        let (long, short) = (Side::Long, Side::Short);
        let sides = self.random.of(&[[long; 2], [short; 2], [long, short]]);
        let legs = (0..count).map(|nth| leg(&mut self.random, &self.instruments, sides[nth % 2]));
        let legs = legs.collect();
        let policy_id = PolicyId(policy);
        let spec = PositionSpec { policy: policy_id, opened: Nanos(0), tag: 0, legs };
        let Ok(id) = self.engine.register(self.now, &spec) else { return };
        let settings = &self.policies[usize::from(policy)].exit;
        self.executor.register(id, &spec, settings).expect("both take the same positions");
        self.positions.push((id, count));
        self.pump();
    }

    fn step(&mut self) {
        // Mostly less than a second, at times minutes: candles and returns are closed.
        let most = self.random.of(&[300, 300, 300, 60_000]);
        self.now = self.now.plus(Nanos::from_millis(1 + self.random.below(most)));
        let event = match self.random.below(8) {
            0 if !self.positions.is_empty() => {
                let (position, count) = self.random.of(&self.positions);
                let leg = self.random.below(count as u64) as u8;
                let scale = self.random.of(&[9, 18, 45]);
                let (fees_paid, funding) = (self.random.amount(scale), self.random.amount(scale));
                Event::Command(Command::Amounts { position, leg, fees_paid, funding })
            }
            1 => Event::Timer,
            2 => {
                self.register();
                Event::Timer
            }
            _ => self.tick(),
        };
        self.engine.on_event(self.now, &event);
        self.executor.on_timer(self.now, &self.quotes);
        self.pump();
    }

    fn tick(&mut self) -> Event {
        let at = self.random.below(INSTRUMENTS as u64) as u16;
        let (a, b) = (self.random.price(), self.random.price());
        let sizes = [self.random.within(1, QTY_MAX), self.random.within(1, QTY_MAX)];
        let quote = Quote::new(a.min(b).raw(), a.max(b).raw(), sizes[0], sizes[1]).unwrap();
        self.quotes.0[usize::from(at)] = Some(Top { quote, received: self.now });
        let stamp = Stamp {
            source: SourceId(0),
            received: self.now,
            update_id: 0,
            venue_lag_us: 0,
            reset: self.random.below(4) > 0,
        };
        if self.random.below(8) == 0 {
            let settles = self.now.plus(Nanos(self.random.within(1, 1 << 40) as u64));
            let rate = self.random.rate(-RATE_MAX, RATE_MAX);
            return Event::Tick(Tick::funding(InstrumentId(at), stamp, rate, settles));
        }
        if self.random.below(8) == 0 {
            let qty = Qty::new(sizes[0]).unwrap();
            let bought = self.random.below(2) == 0;
            return Event::Tick(Tick::trade(
                InstrumentId(at),
                stamp,
                quote.bid,
                qty,
                bought,
                self.now,
            ));
        }
        Event::Tick(Tick::quote(InstrumentId(at), stamp, quote))
    }

    /// Orders are filled at any price with any fee; what is rejected or expires is left to others.
    fn pump(&mut self) {
        for _ in 0..10_000 {
            if let Some(entered) = self.engine.poll_entered() {
                let settings = &self.policies[usize::from(entered.spec.policy.0)].exit;
                let taken = self.executor.register(entered.id, &entered.spec, settings);
                taken.expect("both take the same positions");
                self.entered += 1;
            } else if let Some(intent) = self.engine.poll_intent() {
                self.executor.on_intent(self.now, &intent, &self.quotes);
            } else if let Some(entry) = self.engine.poll_entry() {
                self.entries += 1;
                self.executor.on_entry(self.now, &entry, &self.quotes);
            } else if self.executor.poll_ask().is_some() || self.executor.poll_note().is_some() {
            } else if let Some(report) = self.executor.poll_report() {
                self.engine.on_event(self.now, &Event::Report(report));
            } else if let Some(order) = self.executor.poll_order() {
                self.trade_id += 1;
                let qty = Qty::new(self.random.within(1, order.qty.raw())).unwrap();
                let fee = self.random.of(&[0, AMOUNT_MAX, -AMOUNT_MAX, i128::MIN, i128::MAX]);
                let price = self.random.price();
                // Entries more often fill whole: of two parts alike nothing would come.
                let whole = order.id.is_entry() && self.random.below(4) > 0;
                let qty = if whole { order.qty } else { qty };
                let fill = OrderChange::Filled { trade_id: self.trade_id, price, qty, fee };
                for what in [fill, OrderChange::Expired] {
                    let event = OrderEvent { id: order.id, what };
                    self.executor.on_order_event(self.now, &event, &self.quotes);
                }
            } else {
                return;
            }
        }
        panic!("no end of reports at one moment");
    }
}

/// FAULTS E1: no product, no sum of profit and loss leaves its integers.
#[test]
fn e1_nothing_overflows_at_the_bounds() {
    let number = |name, default| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (seed, steps) = (number("SEED", 1), number("STEPS", 300));
    println!("SEED={seed} STEPS={steps}");
    let (mut registered, mut tasks, mut entries, mut entered) = (0, 0, 0, 0);
    for world in 0..200 {
        let mut world = World::new(seed + world);
        for _ in 0..steps {
            world.step();
        }
        registered += world.positions.len();
        tasks += world.tasks;
        entries += world.entries;
        entered += world.entered;
    }
    println!("registered {registered}, {tasks} tasks, {entries} entries, {entered} entered");
    assert!(entries > 100 && entered > 20, "{tasks} tasks, {entries} entries, {entered} entered");
    assert!(registered > 900, "{registered}");
}
