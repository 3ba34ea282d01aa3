//! One tick through the engine.
use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::*;
use reap_core::instrument::*;
use reap_core::intent::*;
use reap_core::policy::*;
use reap_core::position::*;
use reap_core::tick::*;
use reap_core::units::*;

fn spec() -> InstrumentSpec {
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
        peer: None,
    }
}

#[test]
fn trailing_and_stop() {
    let instrument = Instrument::new(spec()).unwrap();
    let mut engine =
        Engine::new(EngineLimits::default(), &[instrument], 1, GateSettings::default());
    let policy = engine
        .add_policy(Policy::of([
            Rule::StopLoss { distance: Rate::from_bps(200), base: None },
            Rule::TrailingStop {
                distance: Distance::Rate(Rate::from_bps(100)),
                activation: None,
                base: None,
            },
        ]))
        .unwrap();
    let nought = Decimal { mantissa: 0, scale: 0 };
    let leg = LegSpec {
        account: AccountId(0),
        instrument: InstrumentId(0),
        side: Side::Long,
        entry: Price::new(10_000).unwrap(),
        qty: Qty::new(1000).unwrap(),
        fees_paid: nought,
        funding: nought,
        margin: None,
    };
    let spec = PositionSpec { policy, opened: Nanos(0), tag: 0, legs: [leg].into_iter().collect() };
    let id = engine.register(Nanos(1), &spec).unwrap();
    let mut t = 1;
    let mut fire = |engine: &mut Engine, bid: i64| {
        t += 1;
        let stamp = Stamp {
            source: SourceId(0),
            received: Nanos(t),
            update_id: t,
            venue_lag_us: 0,
            reset: false,
        };
        let tick = Tick::quote(InstrumentId(0), stamp, Quote::new(bid, bid + 1, 5, 5).unwrap());
        engine.on_event(Nanos(t), &Event::Tick(tick));
        engine.poll_intent()
    };
    assert!(fire(&mut engine, 10_000).is_none());
    assert!(fire(&mut engine, 10_100).is_none());
    assert!(fire(&mut engine, 10_000).is_none());
    let intent = fire(&mut engine, 9_999).unwrap();
    assert_eq!((intent.reason, intent.position), (Reason::TrailingStop, id));
    assert!(fire(&mut engine, 9_998).is_none());
    assert!(fire(&mut engine, 9_800).is_none(), "the stop is fired but raises nothing");
}
