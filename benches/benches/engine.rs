//! One operation of the engine at a time: a quote, and the registration that compiles a policy.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Event, GateSettings};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
    VenueId,
};
use reap_core::policy::{Distance, Policy, PolicyId, Rule, Threshold};
use reap_core::position::{LegSpec, PositionSpec, Side};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

const MID: i64 = 5_000_000;
const NOUGHT: Decimal = Decimal { mantissa: 0, scale: 0 };

fn engine(positions: usize) -> Engine {
    let spec = InstrumentSpec {
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
        min_fee: NOUGHT,
        max_quote_age: Nanos::from_secs(60),
        jump_limit: Rate::from_bps(1000),
        jump_ticks: 5,
        reduce_only: true,
        min_notional_on_reduce: true,
        peer: None,
    };
    let instrument = Instrument::new(spec).expect("a constant specification");
    let limits = EngineLimits::any(positions, 1, 4 * positions);
    let mut engine = Engine::new(limits, &[instrument; 2], 1, GateSettings::default());
    let threshold = Threshold::Rate { rate: Rate::from_bps(300), base: None };
    let distance = Distance::Rate(Rate::from_bps(200));
    let rules = [
        Rule::TakeProfit { threshold },
        Rule::StopLoss { distance: Rate::from_bps(300), base: None },
        Rule::TrailingStop { distance, activation: None, base: None },
    ];
    engine.add_policy(Policy::of(rules)).expect("there is room for one");
    for instrument in 0..2 {
        engine.on_event(Nanos(1), &quote(instrument, MID, 1));
    }
    engine
}

fn quote(instrument: u16, mid: i64, at: u64) -> Event {
    let stamp = Stamp {
        source: SourceId(0),
        received: Nanos(at),
        update_id: at,
        venue_lag_us: 0,
        reset: false,
    };
    let quote = Quote::new(mid, mid + 1, 1000, 1000).expect("a positive mid");
    Event::Tick(Tick::quote(InstrumentId(instrument), stamp, quote))
}

fn position(legs: usize, at: i64) -> PositionSpec {
    let leg = |nth: usize| LegSpec {
        account: AccountId(0),
        instrument: InstrumentId(nth as u16),
        side: if nth == 0 { Side::Long } else { Side::Short },
        entry: Price::new(MID + at % 1_000).expect("a positive entry"),
        qty: Qty::new(1_000 + at % 100).expect("a small quantity"),
        fees_paid: NOUGHT,
        funding: NOUGHT,
        margin: None,
    };
    PositionSpec {
        policy: PolicyId(0),
        opened: Nanos(0),
        tag: 0,
        legs: (0..legs).map(leg).collect(),
    }
}

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine step");
    for positions in [1, 10_000] {
        let mut engine = engine(positions);
        for at in 0..positions as i64 {
            engine.register(Nanos(1), &position(1, at)).expect("there is room");
        }
        let mut at = 1;
        group.bench_function(format!("calm, {positions} positions"), |bencher| {
            bencher.iter(|| {
                at += 1;
                let mid = MID + (at % 7) as i64;
                engine.on_event(Nanos(at), &quote(0, mid, at));
                engine.poll_intent()
            });
        });
    }
    group.finish();
}

fn compile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compile");
    for legs in [1, 2] {
        group.bench_function(format!("register, three rules, {legs} legs"), |bencher| {
            bencher.iter_batched(
                || engine(4),
                |mut engine| {
                    let id = engine.register(Nanos(2), &position(legs, 1));
                    (engine, id)
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, step, compile);
criterion_main!(benches);
