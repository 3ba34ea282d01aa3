//! What a position takes of memory: bytes of an engine and of an executor with room for 100,000
//! positions, less those of an engine with none, by a counting allocator.
//!
//! ```text
//!   Engine::new ──▶ all tables ──▶ + 100,000 positions registered ──▶ bytes held
//!   Engine::new ──▶ tables of instruments only                    ──▶ − bytes held, ÷ 100,000
//! ```

use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Event, GateSettings};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::Instrument;
use reap_core::policy::{Policy, PolicyId, Rule};
use reap_core::position::{LegSpec, Side};
use reap_core::units::Nanos;

use super::ScenarioError;
use super::engine::{MID, instrument, leg, mix, register, stop_loss, take_profit, tick};
use crate::figures::Figures;

const GOAL_BYTES: f64 = 1024.0;

pub(crate) fn run(work: u64) -> Result<Figures, ScenarioError> {
    let count = (1000 * work as usize).max(1000);
    let mut figures = Figures::default();
    figures.figure("positions, count", count as f64);
    let stops = Policy::of([stop_loss(200), take_profit(300)]);
    let basis = [Rule::Basis { threshold: super::engine::share(58) }, stop_loss(300)];
    let pair = Policy::of(basis);
    let worlds: [(&str, Vec<(Policy, usize)>); 5] = [
        ("stop and take profit on one leg", vec![(stops, 1)]),
        ("six rules on one leg", vec![(Policy::of(super::engine::six_rules(0)), 1)]),
        ("all rules on one leg", vec![(Policy::of(super::engine::all_rules(0)), 1)]),
        ("basis and stop on two legs", vec![(pair.clone(), 2)]),
        (
            "mixed",
            mix().into_iter().map(|rules| (Policy::of(rules), 1)).chain([(pair, 2)]).collect(),
        ),
    ];
    for (name, policies) in worlds {
        let none = engine_bytes(&policies, 0);
        let bytes = (engine_bytes(&policies, count) - none) as f64 / count as f64;
        figures.figure(format!("engine, {name}, bytes"), bytes);
        if name == "mixed" {
            figures.figure("engine, two instruments without positions, bytes", none as f64);
            figures.ratio("engine, mixed, of 1 KB", bytes / GOAL_BYTES, 1.0);
        }
    }
    let executor = (executor_bytes(count) - executor_bytes(1)) as f64 / (count - 1) as f64;
    figures.figure("executor, one leg, bytes", executor);
    Ok(figures)
}

fn instruments() -> [Instrument; 2] {
    [instrument(); 2].map(|spec| Instrument::new(spec).expect("a constant specification"))
}

/// Bytes that an engine holds which was made for `count` positions and has them all.
fn engine_bytes(policies: &[(Policy, usize)], count: usize) -> i64 {
    let mut limits = EngineLimits { policies: policies.len(), ..EngineLimits::NONE };
    for at in 0..count {
        let (policy, legs) = &policies[at % policies.len()];
        limits.add(policy, *legs, 1);
    }
    let mut kept = None;
    let counted = allocation_counter::measure(|| {
        let mut engine = Engine::new(limits, &instruments(), 1, GateSettings::default());
        for at in 0..2 {
            engine.on_event(Nanos(1), &Event::Tick(tick(at, MID, 1 + at as u64)));
        }
        for (policy, _) in policies {
            engine.add_policy(policy.clone()).expect("there is room");
        }
        for at in 0..count {
            let which = at % policies.len();
            let sides = [Side::Long, Side::Short];
            let legs = (0..policies[which].1).map(|nth| one(at, nth, sides[nth]));
            register(&mut engine, PolicyId(which as u16), legs);
        }
        kept = Some(engine);
    });
    drop(kept);
    counted.bytes_current
}

fn one(at: usize, nth: usize, side: Side) -> LegSpec {
    leg(nth, side, MID + (at % 1000) as i64, 10 + at as i64)
}

/// Bytes that an executor holds which was made for `count` positions of one leg.
fn executor_bytes(count: usize) -> i64 {
    let mut kept = None;
    let counted = allocation_counter::measure(|| {
        let limits = ExecutorLimits { positions: count, orders: count };
        kept = Some(Executor::new(limits, &instruments(), 1));
    });
    drop(kept);
    counted.bytes_current
}
