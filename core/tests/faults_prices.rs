//! Faults of prices by their names in the catalogue of failures, and two laws of what protects: the
//! mirror of a market decides the mirror, and a stricter stop never fires later.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod reference;

use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Event, GateSettings, Outcome, Report, SourceChange};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
    VenueId,
};
use reap_core::intent::{Reason, Urgency};
use reap_core::limits::BLIND_GRACE;
use reap_core::net::Cmp;
use reap_core::note::{EngineNote, SeenBy};
use reap_core::policy::{
    Base, Blind, DecayStep, Distance, FeeMode, Policy, PolicyId, Rule, RuleSpec, Threshold, Tier,
    TriggerSource,
};
use reap_core::position::{LegSpec, PositionId, PositionSpec, Side};
use reap_core::tick::{Quote, Refusal, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

use reference::rng::Rng;
use reference::scenario;

const NOUGHT: Decimal = Decimal { mantissa: 0, scale: 0 };
/// Every entry, and the price around which a market is mirrored.
const CENTRE: i64 = 100_000;

/// What a case decides, in the words of the golden cases.
fn decided(case: &str) -> Vec<String> {
    let told = scenario::run(case);
    told.lines().filter_map(|line| line.strip_prefix("> ")).map(str::to_owned).collect()
}

/// E6: a basis whose legs' sources are not abreast does not fire, and does when they are; a stop on the
/// same figure does not wait for that.
#[test]
fn e6_a_leg_that_lags_fires_no_basis() {
    let case = |between: &str| {
        format!(
            "sources 2\n\
             instrument A price=2 qty=3 source=0\n\
             instrument B price=2 qty=3 source=1\n\
             policy p: basis 1%; stop_loss 1%\n\
             quote A 1000 1000\nquote B 1000 1000\n\
             open p p: long A 1 @ 1000; short B 1 @ 1000\n\
             wait 251ms\n{between}"
        )
    };
    assert_eq!(decided(&case("quote A 1010 1010\n")), [""; 0]);
    let fired = ["p basis opportunistic rule 0.0 keep 0.000 0.000"];
    assert_eq!(decided(&case("quote A 1010 1010\nalive 1\n")), fired);
    assert_eq!(decided(&case("alive 1\nquote A 1010 1010\n")), fired);
    let stopped = ["p stop_loss protective rule 1.0 keep 0.000 0.000"];
    assert_eq!(decided(&case("quote A 990 990\n")), stopped);
}

/// E7: a jump that is held aside moves no high-water mark unless it is believed.
#[test]
fn e7_a_held_jump_moves_no_mark() {
    // The quote at which a trail of 1 % fires after a jump and what follows it.
    let fires_at = |after: &str| {
        let case = format!(
            "instrument A price=2 qty=3 jump=5%\n\
             policy p: trailing_stop 1%\n\
             quote A 1000 1000.01\n\
             open p p: long A 1 @ 1000\n\
             {after}quote A 990.01 990.02\nquote A 990 990.01\n"
        );
        let told = scenario::run(&case);
        let lines: Vec<&str> = told.lines().collect();
        let fired = lines.iter().position(|line| line.starts_with("> p trailing_stop"));
        lines[fired.expect("it fires") - 1].to_owned()
    };
    let (jump, back) = ("quote A 1100 1100.01\n", "quote A 1000 1000.01\n");
    assert_eq!(fires_at(""), "quote A 990 990.01");
    // It returned: the mark is at 1000 still.
    assert_eq!(fires_at(&format!("{jump}{back}")), "quote A 990 990.01");
    // Two more quotes agree: the mark is at 1100.
    let lower = "quote A 1089.01 1089.02\nquote A 1089 1089.01\n";
    assert_eq!(fires_at(&format!("{jump}{jump}{jump}{lower}")), "quote A 1089 1089.01");
}

fn instrument() -> Instrument {
    Instrument::new(InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 2,
        qty_scale: 1,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: 1,
        lot: 1,
        min_qty: 1,
        min_notional: NOUGHT,
        taker: Rate::ZERO,
        maker: Rate::ZERO,
        min_fee: NOUGHT,
        max_quote_age: Nanos::from_secs(2),
        jump_limit: Rate::from_bps(1),
        // A distance in ticks is the same on both sides of a mirror; a share of the price is not.
        jump_ticks: 3_000,
        reduce_only: true,
        min_notional_on_reduce: true,
        peer: None,
    })
    .unwrap()
}

fn leg(instrument: u16, side: Side, qty: i64) -> LegSpec {
    LegSpec {
        // A one-way account holds one side.
        account: AccountId(u8::from(side == Side::Short)),
        instrument: InstrumentId(instrument),
        side,
        entry: Price::new(CENTRE).unwrap(),
        qty: Qty::new(qty).unwrap(),
        fees_paid: NOUGHT,
        funding: NOUGHT,
        margin: None,
    }
}

/// A market of two instruments from two sources: prices beside the centre, outages, refusals.
struct Market {
    rng: Rng,
    now: Nanos,
    away: [i64; 2],
}

#[derive(Clone, Copy)]
enum Said {
    Quote { below: i64, above: i64 },
    Trade(i64),
    Mark(i64),
    Refused,
    Alive,
    Source(SourceChange),
    Nothing,
}

impl Market {
    fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), now: Nanos(1_700_000_000_000_000_000), away: [0; 2] }
    }

    fn next(&mut self) -> (usize, Said) {
        let span = match self.rng.within(0, 99) {
            0 => self.rng.within(500, 4_000),
            1..=9 => self.rng.within(20, 300),
            _ => self.rng.within(0, 20),
        };
        self.now = self.now.plus(Nanos::from_millis(span as u64));
        let at = self.rng.within(0, 1) as usize;
        self.away[at] += self.rng.within(-60, 60) + self.away[at].signum() * -self.rng.within(0, 1);
        let near = self.away[at] + self.rng.within(-30, 30);
        let said = match self.rng.within(0, 199) {
            0 => Said::Refused,
            1 => Said::Source(SourceChange::Lost),
            2 => Said::Source(SourceChange::Connected),
            3..=8 => Said::Alive,
            9 => Said::Nothing,
            10..=49 => Said::Trade(near),
            50..=79 => Said::Mark(near),
            80 => Said::Quote { below: self.away[at] + 4_000, above: self.away[at] + 4_001 },
            _ => Said::Quote { below: self.away[at], above: self.away[at] + self.rng.within(0, 3) },
        };
        (at, said)
    }

    /// The event, as it is or mirrored at the centre.
    fn event(&self, at: usize, said: Said, mirrored: bool, update_id: u64) -> Event {
        let (id, source) = (InstrumentId(at as u16), SourceId(at as u8));
        let stamp = Stamp { source, received: self.now, update_id, venue_lag_us: 0, reset: false };
        let price = |away: i64| if mirrored { CENTRE - away } else { CENTRE + away };
        let of = |away| Price::new(price(away)).unwrap();
        match said {
            Said::Quote { below, above } => {
                let (a, b) = (price(below), price(above));
                Event::Tick(Tick::quote(id, stamp, Quote::new(a.min(b), a.max(b), 5, 5).unwrap()))
            }
            Said::Trade(away) => {
                Event::Tick(Tick::trade(id, stamp, of(away), Qty::ZERO, mirrored, self.now))
            }
            Said::Mark(away) => Event::Tick(Tick::mark(id, stamp, of(away))),
            Said::Refused => Event::Tick(Tick::refused(id, stamp, Refusal::Crossed)),
            Said::Alive => Event::Tick(Tick::alive(stamp)),
            Said::Source(change) => Event::Source(source, change),
            Said::Nothing => Event::Timer,
        }
    }
}

/// A decision without the prices that it saw.
type Decided = (Nanos, PositionId, u8, u8, Reason, Urgency, Vec<Qty>);

/// An engine whose plans are done at once.
struct Desk {
    engine: Engine,
    decided: Vec<Decided>,
    notes: Vec<EngineNote>,
}

impl Desk {
    fn new(policies: &[Policy]) -> Self {
        let limits = EngineLimits::any(64, 64, 1024);
        let instruments = [instrument(), instrument()];
        let mut engine = Engine::new(limits, &instruments, 2, GateSettings::default());
        for policy in policies {
            engine.add_policy(policy.clone()).unwrap();
        }
        Self { engine, decided: Vec::new(), notes: Vec::new() }
    }

    fn open(&mut self, now: Nanos, policy: usize, legs: &[LegSpec]) -> PositionId {
        let legs = legs.iter().copied().collect();
        let spec = PositionSpec { policy: PolicyId(policy as u16), opened: now, tag: 0, legs };
        let id = self.engine.register(now, &spec).unwrap();
        self.take(now);
        id
    }

    /// Every timer that is due, then the event.
    fn on(&mut self, now: Nanos, event: &Event) {
        while let Some(due) = self.engine.next_timer().filter(|&due| due <= now) {
            self.engine.on_event(due, &Event::Timer);
            self.take(due);
        }
        self.engine.on_event(now, event);
        self.take(now);
    }

    fn take(&mut self, now: Nanos) {
        while let Some(intent) = self.engine.poll_intent() {
            let keep = intent.keep[..usize::from(intent.legs)].to_vec();
            let (rule, part) = (intent.rule, intent.part);
            let (reason, urgency) = (intent.reason, intent.urgency);
            self.decided.push((now, intent.position, rule, part, reason, urgency, keep));
        }
        self.notes.extend(std::iter::from_fn(|| self.engine.poll_note()));
    }
}

/// Every step down the ladder and up again is said once, and an intent's price where it was no quote.
#[test]
fn what_stands_in_for_a_quote_is_said() {
    let stop = Policy::of([Rule::StopLoss { distance: rate(100), base: None }]);
    let mut desk = Desk::new(&[stop]);
    let mut market = Market::new(1);
    let say = |desk: &mut Desk, market: &mut Market, at: usize, said: Said| {
        market.now = market.now.plus(Nanos::from_millis(1));
        // Both sources speak of the first instrument.
        let event = match market.event(0, said, false, market.now.0) {
            Event::Tick(tick) if at == 1 => {
                let Said::Trade(away) = said else { panic!("only trades come from there") };
                let stamp = Stamp { source: SourceId(1), ..tick.stamp() };
                let price = Price::new(CENTRE + away).unwrap();
                Event::Tick(Tick::trade(
                    InstrumentId(0),
                    stamp,
                    price,
                    Qty::ZERO,
                    false,
                    market.now,
                ))
            }
            event => event,
        };
        desk.on(market.now, &event);
        std::mem::take(&mut desk.notes)
    };
    let quote = Said::Quote { below: 0, above: 1 };
    assert_eq!(say(&mut desk, &mut market, 0, quote), []);
    let position = desk.open(market.now, 0, &[leg(0, Side::Long, 10)]);
    let rung =
        |counts| EngineNote::Rung { instrument: InstrumentId(0), own: TriggerSource::Bbo, counts };
    let lost = say(&mut desk, &mut market, 0, Said::Source(SourceChange::Lost));
    assert_eq!(lost, [rung(None)]);
    // What is over in less than this concerns nobody.
    market.now = market.now.plus(BLIND_GRACE);
    desk.on(market.now, &Event::Timer);
    let blind = std::mem::take(&mut desk.notes);
    assert_eq!(blind, [EngineNote::Blind { position, on: true }]);
    let traded = say(&mut desk, &mut market, 1, Said::Trade(-500));
    let seen = rung(Some(TriggerSource::Last));
    assert_eq!(traded, [seen, EngineNote::Blind { position, on: false }]);
    let again = say(&mut desk, &mut market, 0, quote);
    assert_eq!(again, [rung(Some(TriggerSource::Bbo))]);
    assert_eq!(say(&mut desk, &mut market, 0, Said::Refused), [seen]);
    let fired = say(&mut desk, &mut market, 1, Said::Trade(-1_000));
    let limit = Some((Cmp::AtMost, CENTRE - 1_000));
    let (leg, source, price) = (0, TriggerSource::Last, Price::new(CENTRE - 1_000).unwrap());
    let seen = SeenBy { position, intent: 1, leg, source, price, age: Nanos(0), limit };
    assert_eq!(fired, [EngineNote::SeenBy(seen)]);
}

fn rate(bps: i64) -> Rate {
    Rate::from_bps(bps)
}

fn at(bps: i64) -> Threshold {
    Threshold::Rate { rate: rate(bps), base: None }
}

/// Rules that mean the same on both sides of a mirror: shares of the entry, distances in ticks, and
/// nothing that grows with the price, such as a share of the mark or of the exit's notional.
fn mirrored_rule(rng: &mut Rng, several: bool) -> Rule {
    let small = rng.pick(&[5, 10, 20, 30]);
    match rng.within(0, if several { 4 } else { 7 }) {
        0 => Rule::StopLoss { distance: rate(small), base: Some(Base::Gross) },
        1 => Rule::TakeProfit { threshold: at(small) },
        2 => {
            let tier = |bps, share| Tier { at: rate(bps), share: rate(share) };
            let tiers = [tier(small, 3_000), tier(small + 7, 10_000)].into_iter().collect();
            Rule::Tiers { base: None, tiers }
        }
        3 => {
            let step = DecayStep { age: Nanos::from_secs(2), threshold: at(1) };
            Rule::Decay { threshold: at(small), steps: vec![step] }
        }
        4 => Rule::ProfitErosion { minimum: at(small), fraction: rate(4_000) },
        5 => Rule::BreakEven { activation: rate(small), offset: rate(small / 2 - 3) },
        _ => Rule::TrailingStop {
            distance: Distance::Ticks(rng.within(20, 300)),
            activation: rng.one_in(2).then(|| rate(small)),
            base: None,
        },
    }
}

fn mirrored_policy(rng: &mut Rng, several: bool) -> Policy {
    let count = rng.within(1, 4);
    let mut policy = Policy::of((0..count).map(|_| mirrored_rule(rng, several)));
    policy.fees = FeeMode::Gross;
    policy.blind = rng.pick(&[Blind::Hold, Blind::MarketAfter(Nanos::from_secs(1))]);
    for said in policy.rules.iter_mut().filter(|_| !several) {
        let protects = matches!(
            said.rule,
            Rule::StopLoss { .. } | Rule::BreakEven { .. } | Rule::TrailingStop { .. }
        );
        if protects {
            said.source = rng.pick(&TriggerSource::ALL);
        }
    }
    policy
}

const fn other(side: Side) -> Side {
    match side {
        Side::Long => Side::Short,
        Side::Short => Side::Long,
    }
}

/// E10: what is long in a market decides as what is short in the market's mirror image, event by event:
/// no side looks at the other's price.
#[test]
fn e10_the_mirror_of_a_market_decides_the_mirror() {
    let mut decisions = 0;
    for seed in 1..=60 {
        let mut market = Market::new(seed);
        let policies: Vec<Policy> =
            (0..8).map(|policy| mirrored_policy(&mut market.rng, policy >= 5)).collect();
        let mut desks = [Desk::new(&policies), Desk::new(&policies)];
        let mut quantities = Vec::new();
        for policy in 0..policies.len() {
            quantities.push([market.rng.within(1, 50), market.rng.within(1, 50)]);
            open_mirrored(&mut desks, market.now, policy, quantities[policy]);
        }
        for step in 1..1_500 {
            let (at, said) = market.next();
            for (mirrored, desk) in [false, true].into_iter().zip(&mut desks) {
                desk.on(market.now, &market.event(at, said, mirrored, step));
            }
            let [plain, mirror] = &desks;
            assert_eq!(plain.decided, mirror.decided, "seed {seed}, step {step}");
            let ended = std::mem::take(&mut desks[0].decided);
            desks[1].decided.clear();
            decisions += ended.len();
            // Done or missed, whatever the plan; now and then closed, and another one opened.
            for (_, position, ..) in ended {
                let outcome = market.rng.pick(&[Outcome::Missed, Outcome::Done, Outcome::Closed]);
                let report = Report::PlanEnded { position, intent: u64::MAX, outcome };
                for desk in &mut desks {
                    desk.on(market.now, &Event::Report(report));
                }
                if outcome == Outcome::Closed {
                    let policy = market.rng.within(0, policies.len() as i64 - 1) as usize;
                    open_mirrored(&mut desks, market.now, policy, quantities[policy]);
                }
            }
        }
    }
    assert!(decisions > 5_000, "only {decisions} decisions were compared");
}

fn open_mirrored(desks: &mut [Desk; 2], now: Nanos, policy: usize, qty: [i64; 2]) {
    let side = if qty[0] % 2 == 0 { Side::Long } else { Side::Short };
    for (side, desk) in [side, other(side)].into_iter().zip(desks) {
        let legs = [leg(0, side, qty[0]), leg(1, other(side), qty[1])];
        let count = if policy >= 5 { 2 } else { 1 };
        desk.open(now, policy, &legs[..count]);
    }
}

/// A stop and a stricter one of the same kind.
fn stops(rng: &mut Rng, several: bool) -> [RuleSpec; 2] {
    let lax = rng.within(10, 60);
    let strict = rng.within(1, lax);
    let kind = rng.within(0, if several { 1 } else { 3 });
    let source = if several { TriggerSource::Bbo } else { rng.pick(&TriggerSource::ALL) };
    [strict, lax].map(|bps| {
        let distance = rate(bps);
        let rule = match kind {
            0 => Rule::StopLoss { distance, base: None },
            1 => {
                let distance = Distance::Rate(distance);
                Rule::TrailingStop { distance, activation: None, base: None }
            }
            2 => Rule::TrailingProfit {
                activation: rate(10),
                distance,
                floor: rate(0),
                step: rate(1),
                base: None,
            },
            _ => Rule::TrailingStop {
                distance: Distance::Ticks(bps * 5),
                activation: Some(rate(5)),
                base: None,
            },
        };
        RuleSpec { source, ..RuleSpec::from(rule) }
    })
}

/// A stop that is nearer to the price never fires later, whatever becomes of the prices.
#[test]
fn a_stricter_stop_never_fires_later() {
    let (mut both, mut earlier) = (0, 0);
    for seed in 1..=60 {
        let mut market = Market::new(1_000 + seed);
        let pairs: Vec<[RuleSpec; 2]> = (0..10).map(|at| stops(&mut market.rng, at >= 7)).collect();
        let policies: Vec<Policy> = pairs
            .iter()
            .flatten()
            .map(|said| Policy { rules: vec![said.clone()], ..Policy::of([]) })
            .collect();
        let mut desk = Desk::new(&policies);
        let mut ids = Vec::new();
        for policy in 0..policies.len() {
            let side = if policy / 2 % 2 == 0 { Side::Long } else { Side::Short };
            let legs = [leg(0, side, 10), leg(1, other(side), 10)];
            let count = if policy / 2 >= 7 { 2 } else { 1 };
            ids.push(desk.open(market.now, policy, &legs[..count]));
        }
        for step in 1..3_000 {
            let (at, said) = market.next();
            desk.on(market.now, &market.event(at, said, false, step));
        }
        let first = |id: PositionId| {
            desk.decided.iter().find(|decided| decided.1 == id).map(|decided| decided.0)
        };
        for pair in ids.chunks(2) {
            let (strict, lax) = (first(pair[0]), first(pair[1]));
            let Some(lax) = lax else { continue };
            let strict = strict.unwrap_or_else(|| panic!("seed {seed}: only the lax stop fired"));
            assert!(strict <= lax, "seed {seed}: {strict:?} is later than {lax:?}");
            both += 1;
            earlier += u32::from(strict < lax);
        }
    }
    assert!(both > 300 && earlier > 100, "{both} pairs fired, {earlier} at different times");
}
