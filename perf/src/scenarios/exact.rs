//! One rule on one leg, exactly in integers and in 128-bit binary fixed point: what each evaluation
//! takes, and how often each is wrong at its threshold and one tick to either side.
//!
//! ```text
//!   x ──▶ x·w·(10⁹ − fee) ≥ bound ───────────────▶ holds?    exact: i128, solved at registration
//!   x ──▶ ((x − E)·q − x·q·fee) / (E·q) ≥ rate ──▶ holds?    the formula of SPEC §3 in I64F64
//!   x ──▶ x ≥ limit ─────────────────────────────▶ holds?    what a tick of the engine compares
//! ```
//!
//! Answers are judged by whole-number arithmetic of their own: a gain of `rate` over E after a fee
//! on the exit holds when `x·(10⁹ − fee) ≥ E·(10⁹ + rate)`. The engine is asked itself: a position
//! with that rule meets that price.

use std::hint::black_box;

use fixed::types::I64F64;
use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Command, Event, GateSettings, Outcome, Report, Which};
use reap_core::instrument::Instrument;
use reap_core::intent::Urgency;
use reap_core::net::{Cmp, Compiled, LegForm, NetForm};
use reap_core::policy::{FeeMode, Policy, PolicyId, Rule, Threshold};
use reap_core::position::{PositionSpec, Side};
use reap_core::units::{Nanos, Rate};

use super::ScenarioError;
use super::engine::{Random, instrument, leg, tick};
use crate::figures::Figures;
use crate::timing::Stopwatch;

const GOAL: f64 = 0.4;
/// 0.1 %, 0.2 %, 0.3 %, 0.7 %, 10 % and 25 % in ppb.
const RATES: [i64; 6] = [1_000_000, 2_000_000, 3_000_000, 7_000_000, 100_000_000, 250_000_000];
const PRICES: u64 = 100_000;
const PPB: i128 = 1_000_000_000;
/// Prices judged in one timed stretch, and how often the stretches take turns.
const STRETCH: usize = 4096;
const TURNS: u64 = 400;

pub(crate) fn run(work: u64) -> Result<Figures, ScenarioError> {
    let mut figures = Figures::default();
    let prices = (PRICES * work / 100).max(1000);
    let (mut asked, mut ours, mut theirs) = (0u64, 0u64, 0u64);
    for rate in RATES {
        let wrong = wrong(rate, prices);
        let percent = rate as f64 / 1e7;
        figures.figure(format!("{percent} % asked, count"), wrong.asked as f64);
        figures.figure(format!("{percent} % engine wrong, count"), wrong.ours as f64);
        figures.figure(format!("{percent} % I64F64 wrong, count"), wrong.theirs as f64);
        asked += wrong.asked;
        ours += wrong.ours;
        theirs += wrong.theirs;
    }
    figures.figure("asked, count", asked as f64);
    figures.figure("I64F64 wrong, count", theirs as f64);
    figures.ratio("engine wrong answers, count", ours as f64, 0.0);
    let times = times((TURNS * work / 100).max(4));
    figures.figure("exact in integers, ns", times[0]);
    figures.figure("I64F64 as the formula stands, ns", times[1]);
    figures.figure("I64F64 with the base multiplied out, ns", times[2]);
    figures.figure("compiled limit, ns", times[3]);
    figures.ratio("exact against I64F64", times[0] / times[1].max(0.001), GOAL);
    figures.ratio("compiled against I64F64", times[3] / times[1].max(0.001), GOAL);
    Ok(figures)
}

struct Wrong {
    asked: u64,
    ours: u64,
    theirs: u64,
}

/// A position of one unit at an entry price under a rule that wants `rate` net of the exit's fee.
struct Case {
    entry: i64,
    /// Of the exit, in ppb.
    fee: i64,
    rate: i64,
}

impl Case {
    /// The first price that brings the rate.
    fn threshold(&self) -> i64 {
        let wanted = i128::from(self.entry) * (PPB + i128::from(self.rate));
        let kept = PPB - i128::from(self.fee);
        ((wanted + kept - 1) / kept) as i64
    }

    fn holds(&self, x: i64) -> bool {
        let kept = PPB - i128::from(self.fee);
        i128::from(x) * kept >= i128::from(self.entry) * (PPB + i128::from(self.rate))
    }

    /// SPEC §3 as it stands, in I64F64: net / base ≥ rate.
    fn fixed(&self, x: i64) -> bool {
        let terms = Terms::of(self);
        terms.ratio(I64F64::from_num(x)) >= terms.rate
    }
}

/// What I64F64 is given: quantity one, as the integers are.
struct Terms {
    entry: I64F64,
    fee: I64F64,
    rate: I64F64,
}

impl Terms {
    fn of(case: &Case) -> Self {
        // As a configuration gives it: the nearest fraction to a decimal.
        let share = |ppb: i64| {
            let decimal = format!("0.{ppb:09}");
            I64F64::from_str(&decimal).expect("a decimal below one")
        };
        Self { entry: I64F64::from_num(case.entry), fee: share(case.fee), rate: share(case.rate) }
    }

    #[inline]
    fn ratio(&self, x: I64F64) -> I64F64 {
        (x - self.entry - x * self.fee) / self.entry
    }
}

/// The engine's and the twin's answers at the threshold and one tick to either side.
fn wrong(rate: i64, prices: u64) -> Wrong {
    let spec = instrument();
    let fee = spec.taker.raw();
    let mut engine = Engine::new(
        EngineLimits::any(1, 2, 4),
        &[Instrument::new(spec).expect("a constant specification")],
        1,
        GateSettings::default(),
    );
    let wanted = Rate::new(rate).expect("a rate");
    let rule = Rule::TakeProfit { threshold: Threshold::Rate { rate: wanted, base: None } };
    let [net, gross] = [FeeMode::Net, FeeMode::Gross].map(|fees| {
        let policy = Policy { fees, ..Policy::of([rule.clone()]) };
        engine.add_policy(policy).expect("there is room")
    });
    // Entries at which a gain of exactly the rate is a whole price.
    let whole = PPB as i64 / gcd(PPB as i64, rate);
    let mut random = Random(rate as u64);
    let mut found = Wrong { asked: 0, ours: 0, theirs: 0 };
    let mut clock = 0;
    for at in 0..prices {
        // Every other one without a fee, where the threshold is met exactly.
        let entry = random.between(1_000, 100_000_000);
        let (case, policy) = match at % 2 {
            0 => (Case { entry, fee, rate }, net),
            _ => (Case { entry: entry / whole * whole + whole, fee: 0, rate }, gross),
        };
        let threshold = case.threshold();
        for x in [threshold - 1, threshold, threshold + 1] {
            clock += 1_000_000;
            let expected = case.holds(x);
            found.asked += 1;
            found.ours += u64::from(fires(&mut engine, policy, case.entry, x, clock) != expected);
            found.theirs += u64::from(case.fixed(x) != expected);
        }
    }
    found
}

/// Greatest common divisor.
const fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Whether a long position that is entered now fires at this bid.
fn fires(engine: &mut Engine, policy: PolicyId, entry: i64, bid: i64, clock: u64) -> bool {
    let now = Nanos(clock);
    engine.on_event(now, &Event::Tick(tick(0, bid, clock)));
    // The last case's price may be far away: the operator believes this one.
    let jump = Command::ConfirmJump(reap_core::instrument::InstrumentId(0));
    engine.on_event(now, &Event::Command(jump));
    let legs = [leg(0, Side::Long, entry, 1)].into_iter().collect();
    let spec = PositionSpec { policy, opened: now, tag: 0, legs };
    let position = engine.register(now, &spec).expect("the engine has room");
    let fired = engine.poll_intent().is_some();
    if !fired {
        let close = Command::Close { which: Which::All, urgency: Urgency::Critical };
        engine.on_event(now, &Event::Command(close));
        while engine.poll_intent().is_some() {}
    }
    while engine.poll_note().is_some() {}
    let report = Report::PlanEnded { position, intent: u64::MAX, outcome: Outcome::Closed };
    engine.on_event(now, &Event::Report(report));
    fired
}

/// Nanoseconds of one evaluation: exact, I64F64 by the formula, I64F64 multiplied out, compiled.
fn times(turns: u64) -> [f64; 4] {
    let stopwatch = Stopwatch::new();
    let mut random = Random(5);
    let case = Case { entry: 5_000_000, fee: 500_000, rate: 2_000_000 };
    let prices: Vec<i64> =
        (0..STRETCH).map(|_| case.threshold() + random.between(-1000, 1000)).collect();
    let weight = 1_000;
    let fee = Rate::new(case.fee).expect("a rate");
    let form = LegForm::new(Side::Long, weight, fee, Rate::ZERO, 0);
    let bound = i128::from(case.entry) * i128::from(weight) * (PPB + i128::from(case.rate));
    let mut legs = [LegForm::NONE; reap_core::limits::LEGS_MAX];
    legs[0] = form;
    let net = Compiled::Net(NetForm { legs, count: 1, cmp: Cmp::AtLeast, bound });
    let compiled = Compiled::Price { cmp: Cmp::AtLeast, limit: case.threshold() };
    let terms = Terms::of(&case);
    let wanted = terms.rate * terms.entry;
    let exits = |x: i64| {
        let mut exits = [0; reap_core::limits::LEGS_MAX];
        exits[0] = x;
        exits
    };
    let mut best = [f64::MAX; 4];
    for _ in 0..turns {
        let mut count = [0usize; 4];
        let (net, compiled, terms) = (black_box(&net), black_box(&compiled), black_box(&terms));
        let took = [
            stopwatch.time(|| count[0] = held(&prices, |x| net.holds(&exits(x)))),
            stopwatch.time(|| {
                count[1] = held(&prices, |x| terms.ratio(I64F64::from_num(x)) >= terms.rate);
            }),
            stopwatch.time(|| {
                count[2] = held(&prices, |x| {
                    let x = I64F64::from_num(x);
                    x - terms.entry - x * terms.fee >= wanted
                });
            }),
            stopwatch.time(|| count[3] = held(&prices, |x| compiled.holds(&exits(x)))),
        ];
        assert_eq!(count[0], count[3], "the exact and the compiled form are one");
        for (best, took) in best.iter_mut().zip(took) {
            *best = best.min(took as f64 / STRETCH as f64);
        }
    }
    best
}

/// How many of these prices hold; the answer of each is used, none is foreseen.
#[inline(never)]
fn held(prices: &[i64], mut holds: impl FnMut(i64) -> bool) -> usize {
    prices.iter().filter(|&&x| holds(black_box(x))).count()
}
