//! One quote through the engine: 100,000 open positions of which 10,000 are on its symbol, against
//! an engine with one.
//!
//! ```text
//!   quote ──▶ gate ──▶ marks ──▶ 4 heads, ≤ 8 pair classes ──▶ (crossed: test, arbitrate) ──▶ intent
//!             └────────────────────────── one step ─────────────────────────────────────────┘
//! ```
//!
//! The same quotes go to both engines in blocks by turns, so that the machine's moods hit both. A step
//! that crosses triggers costs by their number and is counted apart from the others: a trigger, at
//! 1,000 to 100,000 positions. Then how many quotes a second an engine takes with 1,000 positions of
//! mixed rules.

use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Event, GateSettings, Outcome, Report};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
    VenueId,
};
use reap_core::intent::Intent;
use reap_core::policy::{DecayStep, Distance, Policy, PolicyId, Remedy, Rule, Threshold, Tier};
use reap_core::position::{LegSpec, PositionSpec, Side};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

use super::ScenarioError;
use crate::figures::Figures;
use crate::timing::{Steps, Stopwatch};

const MANY: usize = 10_000;
/// Positions on symbols that are not quoted meanwhile, beside the many.
const ELSEWHERE: usize = 90_000;
/// Symbols that these are on.
const QUIET: usize = 9;
pub(super) const MID: i64 = 5_000_000;
const BLOCK: usize = 1600;
const GROUP: u64 = 50;
const GOAL: f64 = 1.2;
/// A crossed trigger costs by the logarithm of the positions: log 100,000 / log 1,000.
const LOG_GROWTH: f64 = 5.0 / 3.0;
/// Quotes a second that one core takes with 1,000 positions.
const THROUGHPUT: f64 = 5e6;
/// Blocks that warm caches and branch predictors and are not counted.
const WARM_UP: usize = 20;
/// Room for triggers by position: those of `all_rules`.
const TRIGGERS: usize = 24;

/// One market: its name, instruments, positions and quotes.
struct Market {
    name: &'static str,
    instruments: usize,
    /// Registers `count` positions.
    fill: fn(&mut Engine, usize, &mut Random),
    /// The mid of the instrument that is quoted at a step.
    quote: fn(u64, &mut Random, &mut [i64]) -> usize,
    /// Only quotes of the first instrument are counted.
    first_only: bool,
}

const MARKETS: [Market; 6] = [
    Market { name: "calm", instruments: 1, fill: mixed, quote: calm, first_only: false },
    Market { name: "rally", instruments: 1, fill: trailing, quote: rally, first_only: false },
    Market {
        name: "whipsaw",
        instruments: 1,
        fill: near_and_far,
        quote: whipsaw,
        first_only: false,
    },
    Market { name: "ratios", instruments: 2, fill: odd_pairs, quote: two_walks, first_only: false },
    Market { name: "drift", instruments: 2, fill: odd_pairs, quote: drifting, first_only: false },
    Market { name: "symbols", instruments: 1000, fill: spread, quote: round, first_only: true },
];

pub(crate) fn run(work: u64) -> Result<Figures, ScenarioError> {
    let stopwatch = Stopwatch::new();
    let mut figures = Figures::default();
    figures.figure("cost of measuring, ns", stopwatch.cost as f64);
    for market in &MARKETS {
        measure(market, work, &stopwatch, &mut figures);
    }
    silence(work, &stopwatch, &mut figures);
    growth(work, &stopwatch, &mut figures);
    throughput(work, &mut figures);
    Ok(figures)
}

/// Quotes a second through one engine with 1,000 positions of mixed rules on four symbols.
fn throughput(work: u64, figures: &mut Figures) {
    const SYMBOLS: usize = 4;
    const POSITIONS: usize = 1000;
    let instruments = [Instrument::new(instrument()).expect("a constant specification"); SYMBOLS];
    let limits = EngineLimits::any(POSITIONS, 64, TRIGGERS * POSITIONS);
    let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
    let mut random = Random(23);
    let mut mids = [MID; SYMBOLS];
    for (at, mid) in mids.iter().enumerate() {
        engine.on_event(Nanos(1), &Event::Tick(tick(at, *mid, 1 + at as u64)));
    }
    let rules = mix().into_iter().chain([all_rules(0)]);
    let policies: Vec<_> =
        rules.map(|rules| engine.add_policy(Policy::of(rules)).expect("there is room")).collect();
    for at in 0..POSITIONS {
        let side = if at % 2 == 0 { Side::Long } else { Side::Short };
        let entry = MID + random.between(-20_000, 20_000);
        let leg = leg(at % SYMBOLS, side, entry, random.between(1, 1000));
        register(&mut engine, policies[at / SYMBOLS % policies.len()], [leg]);
    }
    let mut clock = 1_000_000;
    let (mut quotes, mut nanos) = (0u64, 0u128);
    for round in 0..(100 * work / 100).max(2) {
        let ticks: Vec<Tick> = (0..100_000)
            .map(|_| {
                clock += 1_000;
                let at = random.between(0, SYMBOLS as i64 - 1) as usize;
                mids[at] = (mids[at] + random.between(-20, 20)).clamp(MID - 5_000, MID + 5_000);
                tick(at, mids[at], clock)
            })
            .collect();
        let begun = std::time::Instant::now();
        for tick in &ticks {
            engine.on_event(tick.stamp().received, &Event::Tick(*tick));
            while engine.poll_intent().is_some() {}
        }
        let took = begun.elapsed().as_nanos();
        // The first rounds warm up.
        if round > 0 {
            quotes += ticks.len() as u64;
            nanos += took;
        }
    }
    let each = nanos as f64 / quotes as f64;
    figures.figure("1,000 positions of mixed rules, ns a quote", each);
    figures.figure("1,000 positions of mixed rules, quotes a second", 1e9 / each);
    figures.ratio("5 million quotes a second", THROUGHPUT * each / 1e9, 1.0);
}

/// The step in which an instrument with one position falls silent, and the position with it: alone,
/// and with the others open elsewhere.
fn silence(work: u64, stopwatch: &Stopwatch, figures: &mut Figures) {
    const MINUTE: u64 = 60_000_000_000;
    let mut worlds = [0, ELSEWHERE].map(|elsewhere| World::new(&MARKETS[0], 1, elsewhere));
    for round in 0..(20 * work).max(40) {
        for world in &mut worlds {
            let lapsed = world.step + MINUTE + 1;
            let engine = &mut world.engine;
            let nanos = stopwatch.time(|| engine.on_event(Nanos(lapsed), &Event::Timer));
            while engine.poll_note().is_some() {}
            world.step = lapsed + 1;
            let quote = tick(0, MID, world.step);
            engine.on_event(Nanos(world.step), &Event::Tick(quote));
            while engine.poll_note().is_some() {}
            // The first time all fall silent.
            if round > 0 {
                world.steps.record(nanos);
            }
        }
    }
    let [alone, many] = worlds.map(|world| world.steps.percentile(50.0));
    figures.figure("silence of one position alone p50, ns", alone);
    figures.figure("silence of one position of many p50, ns", many);
    figures.ratio("silence p50", many / alone.max(1.0), GOAL);
}

/// The whipsaw crosses triggers, and a crossed trigger costs what it costs: what one costs, and how
/// that grows with the number of positions.
fn growth(work: u64, stopwatch: &Stopwatch, figures: &mut Figures) {
    let market = &MARKETS[2];
    let mut costs = Vec::new();
    for count in [1_000, MANY, 10 * MANY] {
        let mut world = World::new(market, count, 0);
        for block in 0..(100 * work as usize / 100).max(2) + WARM_UP {
            world.block(market, stopwatch, block >= WARM_UP);
        }
        let cost = world.crossing.0 as f64 / world.crossing.1.max(1) as f64;
        figures.figure(format!("whipsaw {count} per crossed trigger, ns"), cost);
        costs.push(cost);
    }
    let growth = costs[2] / costs[0].max(1.0);
    figures.ratio("whipsaw per crossed trigger, 100,000 of 1,000", growth, LOG_GROWTH);
}

fn measure(market: &Market, work: u64, stopwatch: &Stopwatch, figures: &mut Figures) {
    let mut sides =
        [(1, 0), (MANY, ELSEWHERE)].map(|(here, elsewhere)| World::new(market, here, elsewhere));
    // Of a market in which one quote in a thousand is counted: as many as make a tail.
    let times = if market.first_only { 20 } else { 1 };
    let blocks = times * (200 * work as usize / 100).max(4);
    for block in 0..blocks + WARM_UP {
        for world in &mut sides {
            world.block(market, stopwatch, block >= WARM_UP);
        }
    }
    let [one, many] = sides;
    for (label, world) in [("one", &one), ("many", &many)] {
        figures.figure(format!("{} {label} p50, ns", market.name), world.p50());
        for (name, percent) in [("p99", 99.0), ("p99.9", 99.9)] {
            let name = format!("{} {label} {name}, ns", market.name);
            figures.figure(name, world.steps.percentile(percent));
        }
        figures.figure(format!("{} {label} max, ns", market.name), world.steps.max());
    }
    if many.intents > 0 {
        figures.figure(format!("{} many crossed, count", market.name), many.intents as f64);
    }
    let ratio = |many: f64, one: f64| many / one.max(1.0);
    figures.ratio(format!("{} p50", market.name), ratio(many.p50(), one.p50()), GOAL);
    let (tail_many, tail_one) = (many.steps.percentile(99.0), one.steps.percentile(99.0));
    figures.ratio(format!("{} p99", market.name), ratio(tail_many, tail_one), GOAL);
}

/// An engine with its own copy of the quote stream.
struct World {
    engine: Engine,
    random: Random,
    mids: Vec<i64>,
    step: u64,
    /// Single steps that crossed nothing: for the tail.
    steps: Steps,
    /// Means of fifty steps in tenths of a nanosecond: the clock ticks too slowly for one step.
    typical: Steps,
    /// Time and number of triggers of the steps that crossed any.
    crossing: (u64, u64),
    intents: u64,
}

impl World {
    fn new(market: &Market, count: usize, elsewhere: usize) -> Self {
        let instrument = Instrument::new(instrument()).expect("a constant specification");
        let instruments = vec![instrument; market.instruments + QUIET];
        let room = count + elsewhere + market.instruments;
        let limits = EngineLimits::any(room, 64, TRIGGERS * room);
        let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
        let mut random = Random(7);
        let mut world_mids = vec![MID; instruments.len()];
        let mut stamp = 0;
        for (at, mid) in world_mids.iter_mut().enumerate() {
            stamp += 1;
            engine.on_event(Nanos(stamp), &Event::Tick(tick(at, *mid, stamp)));
        }
        (market.fill)(&mut engine, count, &mut random);
        quiet(&mut engine, elsewhere, market.instruments, &mut random);
        Self {
            engine,
            random: Random(11),
            mids: world_mids,
            step: stamp,
            steps: Steps::new(),
            typical: Steps::new(),
            crossing: (0, 0),
            intents: 0,
        }
    }

    fn p50(&self) -> f64 {
        self.typical.percentile(50.0) / 10.0
    }

    fn block(&mut self, market: &Market, stopwatch: &Stopwatch, count: bool) {
        let mut group = (0, 0);
        for _ in 0..BLOCK {
            self.step += 1;
            let at = (market.quote)(self.step, &mut self.random, &mut self.mids);
            let now = Nanos(self.step * 1_000_000);
            let event = Event::Tick(tick(at, self.mids[at], now.0));
            let engine = &mut self.engine;
            let mut first = None;
            let nanos = stopwatch.time(|| {
                engine.on_event(now, &event);
                first = engine.poll_intent();
            });
            let crossed = self.answer(now, first);
            if !count {
                continue;
            }
            if crossed > 0 {
                self.crossing.0 += nanos;
                self.crossing.1 += crossed;
            } else if !market.first_only || at == 0 {
                self.steps.record(nanos);
                group = (group.0 + nanos, group.1 + 1);
                if group.1 == GROUP {
                    self.typical.record(group.0 * 10 / GROUP);
                    group = (0, 0);
                }
            }
        }
    }

    /// Every plan misses: its position is armed again after its back-off.
    fn answer(&mut self, now: Nanos, first: Option<Intent>) -> u64 {
        let mut ended = Vec::new();
        ended.extend(first.map(|intent| intent.position));
        while let Some(intent) = self.engine.poll_intent() {
            ended.push(intent.position);
        }
        let crossed = ended.len() as u64;
        self.intents += crossed;
        for position in ended {
            let report = Report::PlanEnded { position, intent: u64::MAX, outcome: Outcome::Missed };
            self.engine.on_event(now, &Event::Report(report));
            while self.engine.poll_intent().is_some() {}
        }
        crossed
    }
}

pub(super) fn instrument() -> InstrumentSpec {
    let nought = Decimal { mantissa: 0, scale: 0 };
    InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 2,
        qty_scale: 3,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: 1,
        lot: 1,
        min_qty: 1,
        min_notional: nought,
        taker: Rate::from_bps(5),
        maker: Rate::from_bps(2),
        min_fee: nought,
        max_quote_age: Nanos::from_secs(60),
        jump_limit: Rate::from_bps(1000),
        jump_ticks: 5,
        reduce_only: true,
        min_notional_on_reduce: true,
        peer: None,
    }
}

pub(super) fn tick(instrument: usize, mid: i64, stamp: u64) -> Tick {
    let quote = Quote::new(mid, mid + 1, 1000, 1000).expect("a positive mid");
    let stamp = Stamp {
        source: SourceId(0),
        received: Nanos(stamp),
        update_id: stamp,
        venue_lag_us: 0,
        reset: false,
    };
    Tick::quote(InstrumentId(instrument as u16), stamp, quote)
}

pub(super) fn leg(instrument: usize, side: Side, entry: i64, qty: i64) -> LegSpec {
    let nought = Decimal { mantissa: 0, scale: 0 };
    LegSpec {
        // A one-way account holds one side.
        account: AccountId(u8::from(side == Side::Short)),
        instrument: InstrumentId(instrument as u16),
        side,
        entry: Price::new(entry).expect("a positive entry"),
        qty: Qty::new(qty).expect("a small quantity"),
        fees_paid: nought,
        funding: nought,
        margin: None,
    }
}

pub(super) fn register(
    engine: &mut Engine,
    policy: PolicyId,
    legs: impl IntoIterator<Item = LegSpec>,
) {
    let spec = PositionSpec { policy, opened: Nanos(0), tag: 0, legs: legs.into_iter().collect() };
    engine.register(Nanos(0), &spec).expect("the engine has room");
    while engine.poll_intent().is_some() {}
}

pub(super) fn take_profit(bps: i64) -> Rule {
    Rule::TakeProfit { threshold: share(bps) }
}

pub(super) fn share(bps: i64) -> Threshold {
    Threshold::Rate { rate: Rate::from_bps(bps), base: None }
}

pub(super) fn stop_loss(bps: i64) -> Rule {
    Rule::StopLoss { distance: Rate::from_bps(bps), base: None }
}

fn trailing_stop(bps: i64) -> Rule {
    let distance = Distance::Rate(Rate::from_bps(bps));
    Rule::TrailingStop { distance, activation: None, base: None }
}

/// Every rule of one leg, its thresholds out of a calm market's reach and spread by `at` bps.
pub(super) fn six_rules(at: i64) -> Vec<Rule> {
    let tiers = [100, 200]
        .map(|bps| Tier { at: Rate::from_bps(bps + at), share: Rate::from_bps(bps * 50) });
    vec![
        stop_loss(200 + at),
        trailing_stop(150 + at),
        take_profit(300 + at),
        Rule::Tiers { base: None, tiers: tiers.into_iter().collect() },
        Rule::TrailingProfit {
            activation: Rate::from_bps(250 + at),
            distance: Rate::from_bps(100),
            floor: Rate::from_bps(50),
            step: Rate::from_bps(1),
            base: None,
        },
        deadline(),
    ]
}

/// Every kind that a position of one leg may have, without those that need a mark price.
pub(super) fn all_rules(at: i64) -> Vec<Rule> {
    let mut rules = six_rules(at);
    rules.extend([
        Rule::BreakEven { activation: Rate::from_bps(320 + at), offset: Rate::from_bps(5) },
        Rule::Decay {
            threshold: threshold(350 + at),
            steps: vec![DecayStep { age: NEVER, threshold: threshold(340 + at) }],
        },
        Rule::ProfitErosion { minimum: threshold(330 + at), fraction: Rate::from_bps(5_000) },
        Rule::Dump {
            min_volume: Decimal { mantissa: 1, scale: 0 },
            drop: Rate::from_bps(400 + at),
        },
        Rule::Correlation {
            leaders: [InstrumentId(1)].into_iter().collect(),
            drop: Rate::from_bps(1_500),
            rho: Rate::from_bps(7_000),
            default_rho: Some(Rate::from_bps(7_500)),
        },
        Rule::FundingFlip { threshold: Rate::from_bps(10), samples: 1, base: None },
        Rule::Reversal { at: Rate::from_bps(1_000), base: None, enter: false },
        Rule::LegLost { reads: 3, then: Remedy::Close },
    ]);
    rules
}

/// A share in basis points of the position's default base.
fn threshold(bps: i64) -> Threshold {
    Threshold::Rate { rate: Rate::from_bps(bps), base: None }
}

/// An age that no position reaches.
const NEVER: Nanos = Nanos::from_secs(100_000_000);

fn deadline() -> Rule {
    let max_age = Some(NEVER);
    Rule::Deadline { max_age, at: None, session_close: None, close_before: Nanos(0) }
}

/// What desks run side by side: policies of two to six rules of one leg.
pub(super) fn mix() -> [Vec<Rule>; 4] {
    let trailing = six_rules(30).swap_remove(4);
    [
        vec![stop_loss(200), take_profit(300)],
        vec![stop_loss(250), trailing_stop(150), deadline()],
        vec![stop_loss(150), take_profit(400), trailing, deadline()],
        six_rules(0),
    ]
}

/// Positions of mixed rules on the symbols from `first` on, which are quoted once and never again.
fn quiet(engine: &mut Engine, count: usize, first: usize, random: &mut Random) {
    let policies = mix().map(|rules| engine.add_policy(Policy::of(rules)).expect("there is room"));
    for at in 0..count {
        let side = if at % 2 == 0 { Side::Long } else { Side::Short };
        let entry = MID + random.between(-20_000, 20_000);
        let leg = leg(first + at % QUIET, side, entry, random.between(1, 1000));
        register(engine, policies[at % policies.len()], [leg]);
    }
}

/// Every rule of one leg, thresholds spread out of the market's reach.
fn mixed(engine: &mut Engine, count: usize, random: &mut Random) {
    for at in 0..count.min(20) as i64 {
        let rules = all_rules(at * 10);
        engine.add_policy(Policy::of(rules)).expect("there is room");
    }
    for at in 0..count {
        let side = if at % 2 == 0 { Side::Long } else { Side::Short };
        let entry = MID + random.between(-20_000, 20_000);
        let qty = random.between(1, 1000);
        register(engine, PolicyId((at % 20) as u16), [leg(0, side, entry, qty)]);
    }
}

fn calm(_: u64, random: &mut Random, mids: &mut [i64]) -> usize {
    mids[0] = (mids[0] + random.between(-2, 2)).clamp(MID - 500, MID + 500);
    0
}

/// All positions trail.
fn trailing(engine: &mut Engine, count: usize, random: &mut Random) {
    for at in 0..count.min(20) as i64 {
        engine.add_policy(Policy::of([trailing_stop(30 + at * 5)])).expect("there is room");
    }
    for at in 0..count {
        let entry = MID + random.between(-5_000, 5_000);
        register(engine, PolicyId((at % 20) as u16), [leg(0, Side::Long, entry, 10)]);
    }
}

/// Each quote is a new high.
fn rally(_: u64, random: &mut Random, mids: &mut [i64]) -> usize {
    mids[0] += random.between(1, 3);
    0
}

/// One in a hundred take-profits lies within the swing, the others beyond it. Of one position, the
/// rule lies beyond.
fn near_and_far(engine: &mut Engine, count: usize, random: &mut Random) {
    engine.add_policy(Policy::of([take_profit(0), stop_loss(1000)])).expect("there is room");
    for at in 0..count {
        // At no profit wanted a long breaks even 10 bp (entry without fees, exit 5 bp) above.
        let near = at % 100 == 99;
        let entry = if near {
            MID + random.between(-2_400, -2_000)
        } else {
            MID + random.between(5_000, 90_000)
        };
        register(engine, PolicyId(0), [leg(0, Side::Long, entry, 10)]);
    }
}

/// Swings of ±1,000 units (2 bp) each 400 steps, with noise.
fn whipsaw(step: u64, random: &mut Random, mids: &mut [i64]) -> usize {
    let phase = (step % 400) as i64;
    let swing = if phase < 200 { phase * 10 - 1000 } else { 3000 - phase * 10 };
    mids[0] = MID + swing + random.between(-5, 5);
    0
}

/// Pairs whose quantities are in no common ratio: nobody shares a heap.
fn odd_pairs(engine: &mut Engine, count: usize, random: &mut Random) {
    let threshold = Threshold::Rate { rate: Rate::from_bps(58), base: None };
    let rules = [Rule::Basis { threshold }, stop_loss(300)];
    engine.add_policy(Policy::of(rules)).expect("there is room");
    for at in 0..count {
        let qty = 100_000 + at as i64;
        let entry = MID + random.between(-10_000, 10_000);
        let legs = [leg(0, Side::Long, entry, qty), leg(1, Side::Short, entry, 100_003)];
        register(engine, PolicyId(0), legs);
    }
}

/// Both legs swing together by ±10,000 units (20 bp) each 40,000 steps, with noise of their own.
fn two_walks(step: u64, random: &mut Random, mids: &mut [i64]) -> usize {
    let at = (step % 2) as usize;
    let phase = (step % 40_000) as i64;
    let swing = if phase < 20_000 { phase - 10_000 } else { 30_000 - phase };
    mids[at] = MID + swing + random.between(-20, 20);
    at
}

/// The hardest case for guards: both legs drift together by 120 bp in 20 s of quotes each
/// millisecond, so that every pair's guard is used up again and again while its net stands still.
/// Cost per tick: pairs × drift per tick ÷ half of what each is missing × one re-arming.
fn drifting(step: u64, random: &mut Random, mids: &mut [i64]) -> usize {
    let at = (step % 2) as usize;
    let phase = (step % 40_000) as i64;
    let swing = if phase < 20_000 { phase - 10_000 } else { 30_000 - phase };
    mids[at] = MID + 3 * swing + random.between(-20, 20);
    at
}

/// 10,000 positions (or one) on the first symbol, one on each other symbol.
fn spread(engine: &mut Engine, count: usize, random: &mut Random) {
    mixed(engine, count, random);
    // Rules of a dump have room for 256 instruments and sides.
    let others = engine.add_policy(Policy::of(six_rules(0))).expect("there is room");
    for at in 1..1000 {
        register(engine, others, [leg(at, Side::Long, MID, 10)]);
    }
}

/// Every 16th quote is the first symbol's, the others come in random order.
fn round(step: u64, random: &mut Random, mids: &mut [i64]) -> usize {
    let at = if step.is_multiple_of(16) { 0 } else { random.between(1, 999) as usize };
    mids[at] = (mids[at] + random.between(-2, 2)).clamp(MID - 500, MID + 500);
    at
}

/// splitmix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        low + ((z ^ (z >> 31)) % (high - low + 1) as u64) as i64
    }
}
