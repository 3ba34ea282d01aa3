//! What registration refuses (bad input): each with the field and the bound, and nothing of it kept.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[allow(dead_code, reason = "the table of quotes serves the executor's tests")]
mod common;

use common::{ZERO, instrument};
use reap_core::admission::AdmitError;
use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Event, GateSettings, Outcome, Report};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentError, InstrumentId, InstrumentSpec,
    SourceId,
};
use reap_core::note::EngineNote;
use reap_core::policy::{Distance, Policy, PolicyId, Remedy, Rule, Threshold, Tier};
use reap_core::position::{LegSpec, PositionId, PositionSpec, RegisterError, Side};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

const START: Nanos = Nanos::from_secs(1_700_000_000);

fn spec() -> InstrumentSpec {
    *instrument(1, 1, 1, 0).spec()
}

/// Two instruments of one currency, and one of another.
fn instruments() -> [Instrument; 3] {
    let other = InstrumentSpec { currency: CurrencyId(1), ..spec() };
    [spec(), spec(), other].map(|spec| Instrument::new(spec).unwrap())
}

fn engine_with(policy: Policy, gates: GateSettings) -> Engine {
    let mut engine = Engine::new(EngineLimits::any(8, 2, 64), &instruments(), 1, gates);
    engine.add_policy(policy).unwrap();
    engine
}

fn engine(rule: Rule) -> Engine {
    engine_with(Policy::of([rule]), GateSettings::default())
}

fn stop() -> Rule {
    Rule::StopLoss { distance: Rate::from_bps(100), base: None }
}

fn leg(instrument: u16, side: Side) -> LegSpec {
    LegSpec {
        account: AccountId(0),
        instrument: InstrumentId(instrument),
        side,
        entry: Price::new(1_000).unwrap(),
        qty: Qty::new(100).unwrap(),
        fees_paid: ZERO,
        funding: ZERO,
        margin: None,
    }
}

fn position(legs: impl IntoIterator<Item = LegSpec>) -> PositionSpec {
    let legs = legs.into_iter().collect();
    PositionSpec { policy: PolicyId(0), opened: START, tag: 0, legs }
}

fn pair() -> PositionSpec {
    position([leg(0, Side::Long), leg(1, Side::Short)])
}

/// What a position is refused for, however often it comes: nothing of it takes room.
fn refused(mut engine: Engine, position: &PositionSpec) -> RegisterError {
    let error = engine.register(START, position).unwrap_err();
    for _ in 0..100 {
        assert_eq!(engine.register(START, position), Err(error));
    }
    assert_eq!((engine.next_timer(), engine.state(PositionId(0))), (None, None));
    error
}

#[test]
fn prices_and_quantities_of_nought_or_less() {
    assert!(Price::new(0).is_err() && Price::new(-1).is_err() && Qty::new(-1).is_err());
    let said = Price::new(0).unwrap_err().to_string();
    assert!(said.contains('0') && said.contains('1'), "{said}");
    let nothing = LegSpec { qty: Qty::ZERO, ..leg(0, Side::Long) };
    let error = refused(engine(stop()), &position([nothing]));
    let said = "leg 0: quantity is 0, must be at least one";
    assert_eq!(error.to_string(), said);
    let executor = executor();
    let error = executor.admits(&position([nothing]), &Policy::of([]).exit).unwrap_err();
    assert!(matches!(error, AdmitError::Leg { leg: 0, field: "qty", .. }), "{error}");
    for (field, spec) in [
        ("tick", InstrumentSpec { tick: 0, ..spec() }),
        ("lot", InstrumentSpec { lot: -1, ..spec() }),
        ("multiplier", InstrumentSpec { multiplier: ZERO, ..spec() }),
    ] {
        let error = Instrument::new(spec).unwrap_err();
        let of = matches!(error, InstrumentError::NotPositive { field: of, .. } if of == field);
        assert!(of, "{field}: {error}");
    }
    assert_eq!(refused(engine(stop()), &position([])), RegisterError::NoLegs);
}

/// A rule on one leg, or on two, with the field that it is refused for.
fn rules() -> Vec<(Rule, bool, &'static str)> {
    let bps = Rate::from_bps;
    let whole = bps(10_000);
    let threshold = Threshold::Rate { rate: bps(20), base: None };
    let trailing = |activation, floor| Rule::TrailingProfit {
        activation: bps(activation),
        distance: bps(100),
        floor: bps(floor),
        step: Rate::ZERO,
        base: None,
    };
    let tiers = |tiers: [(i64, i64); 2]| {
        let tier = |(at, share)| Tier { at: bps(at), share: bps(share) };
        Rule::Tiers { base: None, tiers: tiers.map(tier).into_iter().collect() }
    };
    let stop_at = |distance| Rule::TrailingStop { distance, activation: None, base: None };
    let led = |leaders: &[u16], drop, rho| Rule::Correlation {
        leaders: leaders.iter().copied().map(InstrumentId).collect(),
        drop,
        rho,
        default_rho: None,
    };
    let min_volume = Decimal { mantissa: 1, scale: 0 };
    vec![
        (trailing(100, 100), false, "floor"),
        (trailing(100, 200), false, "floor"),
        (tiers([(50, 5_000), (50, 10_000)]), false, "tier threshold"),
        (tiers([(50, 5_000), (20, 10_000)]), false, "tier threshold"),
        (tiers([(20, 5_000), (50, 5_000)]), false, "tier share"),
        (tiers([(20, 5_000), (50, 10_001)]), false, "tier share"),
        (Rule::StopLoss { distance: whole, base: None }, false, "stop distance"),
        (Rule::StopLoss { distance: Rate::ZERO, base: None }, false, "stop distance"),
        (stop_at(Distance::Rate(whole)), false, "trailing distance"),
        (stop_at(Distance::Ticks(0)), false, "trailing distance (ticks)"),
        (stop_at(Distance::Ticks(5)), true, "trailing distance in prices on several legs"),
        (Rule::Dump { min_volume, drop: whole }, false, "drop"),
        (Rule::Dump { min_volume: ZERO, drop: bps(50) }, false, "min_volume"),
        (Rule::Dump { min_volume, drop: bps(50) }, true, "legs of a dump rule"),
        (led(&[1], whole, bps(7_000)), false, "drop"),
        (led(&[1], bps(150), Rate::ZERO), false, "rho"),
        (led(&[], bps(150), bps(7_000)), false, "leaders"),
        (led(&[1], bps(150), bps(7_000)), true, "legs of a correlation rule"),
        (Rule::Basis { threshold }, false, "legs of a basis rule"),
        (
            Rule::BreakEven { activation: bps(100), offset: bps(10) },
            true,
            "legs of a break_even rule",
        ),
        (
            Rule::Deadline { max_age: None, at: None, session_close: None, close_before: Nanos(0) },
            false,
            "deadline",
        ),
        (Rule::LegLost { reads: 0, then: Remedy::Close }, true, "reads that agree"),
    ]
}

#[test]
fn rules_that_contradict_themselves_or_their_position() {
    for (rule, hedged, wanted) in rules() {
        let position = if hedged { pair() } else { position([leg(0, Side::Long)]) };
        match refused(engine(rule.clone()), &position) {
            RegisterError::Rule { rule: 0, field, bound, .. } => {
                assert_eq!(field, wanted, "{rule:?}");
                assert!(!bound.is_empty());
            }
            other => panic!("{rule:?}: {other}"),
        }
    }
}

fn executor() -> Executor {
    Executor::new(ExecutorLimits { positions: 8, orders: 32 }, &instruments(), 1)
}

#[test]
fn opposite_legs_on_one_instrument_of_one_account() {
    // Within one position.
    let both = position([leg(0, Side::Long), leg(0, Side::Short)]);
    let error = refused(engine(stop()), &both);
    assert!(matches!(error, RegisterError::Legs { a: 0, b: 1, why } if why.contains("opposite")));
    let exit = Policy::of([]).exit;
    let opposite = |leg| Err(AdmitError::Opposite { leg, account: 0, instrument: 0 });
    assert_eq!(executor().admits(&both, &exit), opposite(1));
    // Of two positions: who owns what is held sees both.
    let mut executor = executor();
    let long = position([leg(0, Side::Long)]);
    executor.register(PositionId(0), &long, &exit).unwrap();
    let short = position([leg(1, Side::Long), leg(0, Side::Short)]);
    assert_eq!(executor.admits(&short, &exit), opposite(1));
    assert_eq!(executor.register(PositionId(1), &short, &exit), opposite(1));
    let refused = Err(RegisterError::Opposite { leg: 1, account: 0, instrument: 0 });
    let mut engine = engine(stop());
    engine.register(START, &long).unwrap();
    assert_eq!(engine.register(START, &short), refused);
    engine.register(START, &long).unwrap();
    assert_eq!(executor.admits(&long, &exit), Ok(()), "the same side adds to it");
    let elsewhere = LegSpec { account: AccountId(1), ..leg(0, Side::Short) };
    assert_eq!(executor.admits(&position([elsewhere]), &exit), Ok(()));
    engine.register(START, &position([elsewhere])).unwrap();
    assert_eq!(executor.admits(&position([leg(1, Side::Short)]), &exit), Ok(()));
}

#[test]
fn unlike_currencies_and_inverse_contracts() {
    let unlike = position([leg(0, Side::Long), leg(2, Side::Short)]);
    let error = refused(engine(stop()), &unlike);
    assert!(matches!(error, RegisterError::Legs { a: 0, b: 1, why } if why.contains("currencies")));
    let inverse = InstrumentSpec { contract: ContractKind::Inverse, ..spec() };
    assert_eq!(Instrument::new(inverse).unwrap_err(), InstrumentError::Inverse);
}

#[test]
fn ids_that_are_unknown_or_taken() {
    let strange = PositionSpec { policy: PolicyId(7), ..position([leg(0, Side::Long)]) };
    assert_eq!(refused(engine(stop()), &strange), RegisterError::UnknownPolicy(7));
    let nowhere = position([leg(0, Side::Long), leg(9, Side::Short)]);
    let unknown = RegisterError::UnknownInstrument { leg: 1, instrument: 9 };
    assert_eq!(refused(engine(stop()), &nowhere), unknown);
    // The engine gives its ids itself; the executor takes none twice.
    let exit = Policy::of([]).exit;
    let mut executor = executor();
    let long = position([leg(0, Side::Long)]);
    executor.register(PositionId(3), &long, &exit).unwrap();
    let taken = AdmitError::Occupied { slot: 3 };
    assert_eq!(executor.register(PositionId(3), &long, &exit), Err(taken));
    let next = PositionId(3 | 1 << 20);
    assert_eq!(executor.register(next, &long, &exit), Err(taken), "a later one of the slot");
}

fn quote(engine: &mut Engine, now: Nanos, bid: i64) -> Vec<EngineNote> {
    let stamp = Stamp {
        source: SourceId(0),
        received: now,
        update_id: now.0,
        venue_lag_us: 0,
        reset: true,
    };
    let quote = Quote::new(bid, bid + 1, 100, 100).unwrap();
    engine.on_event(now, &Event::Tick(Tick::quote(InstrumentId(0), stamp, quote)));
    while engine.poll_intent().is_some() {}
    let notes = std::iter::from_fn(|| engine.poll_note());
    notes.filter(|note| matches!(note, EngineNote::FarEntry { .. })).collect()
}

/// FAULTS F14: an entry far off the live price is that of another symbol, scale or multiplier.
#[test]
fn f14_entries_far_off_the_live_price() {
    let entered = |entry| {
        let entry = Price::new(entry).unwrap();
        position([LegSpec { entry, ..leg(0, Side::Long) }])
    };
    let far = |engine: &mut Engine, now, entry| match engine.register(now, &entered(entry)) {
        Err(RegisterError::FarEntry { leg: 0, entry: said, .. }) => {
            assert_eq!(said.raw(), entry);
            true
        }
        Err(other) => panic!("{other}"),
        Ok(_) => {
            while engine.poll_intent().is_some() {}
            false
        }
    };
    let mut engine = engine(stop());
    assert_eq!(quote(&mut engine, START, 1_000), []);
    // The factor itself is near enough, on either side; ask 1,001 and bid 1,000.
    for (entry, is_far) in [(5_005, false), (5_006, true), (200, false), (199, true)] {
        assert_eq!(far(&mut engine, START, entry), is_far, "{entry}");
    }
    let error = engine.register(START, &entered(100_000)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "leg 0: entry price is 100000, must be within 5 times the live price of 1001; give it the \
         right symbol, price scale and multiplier, or raise the entry factor"
    );
    // A price that has grown old is no live one.
    assert!(!far(&mut engine, START.plus(Nanos::from_secs(3_600)), 1));
    // Another factor.
    let gates = GateSettings { entry_factor: 100, ..GateSettings::default() };
    let mut wide = engine_with(Policy::of([stop()]), gates);
    quote(&mut wide, START, 1_000);
    assert!(!far(&mut wide, START, 100_100) && far(&mut wide, START, 100_101));
    let gates = GateSettings { entry_factor: 0, ..GateSettings::default() };
    let mut any = engine_with(Policy::of([stop()]), gates);
    quote(&mut any, START, 1_000);
    assert!(!far(&mut any, START, 1) && !far(&mut any, START, 1 << 47));
}

/// Who was there before the first price is not refused any more: it is said of him.
#[test]
fn f14_the_first_price_is_compared_with_the_entries_that_were_there() {
    let mut engine = engine(stop());
    let near = engine.register(START, &position([leg(0, Side::Long)])).unwrap();
    let entry = Price::new(100_000).unwrap();
    let far = LegSpec { entry, account: AccountId(1), ..leg(0, Side::Short) };
    let far = engine.register(START, &position([leg(1, Side::Long), far])).unwrap();
    let live = Price::new(1_001).unwrap();
    let instrument = InstrumentId(0);
    let note = EngineNote::FarEntry { position: far, instrument, entry, live };
    assert_eq!(quote(&mut engine, START, 1_000), [note]);
    assert_eq!(note.position(), Some(far));
    assert_ne!(near, far);
    // Once: a later price that far away is the market's.
    assert_eq!(quote(&mut engine, START.plus(Nanos(1)), 100), []);
}

/// A position has room for 128 triggers: each rule takes as many as it has parts, and a hold for
/// funding one a leg.
#[test]
fn a_position_has_room_for_so_many_triggers_and_no_more() {
    let trailing = Rule::TrailingProfit {
        activation: Rate::from_bps(300),
        distance: Rate::from_bps(100),
        floor: Rate::from_bps(50),
        step: Rate::ZERO,
        base: None,
    };
    let of = |stops: usize, near: Option<Nanos>| {
        let rules = std::iter::repeat_n(trailing.clone(), 42);
        let policy = Policy::of(rules.chain(std::iter::repeat_n(stop(), stops)));
        let policy = Policy { hold_for_funding: near, ..policy };
        let limits = EngineLimits::any(2, 1, 400);
        let mut engine = Engine::new(limits, &instruments(), 1, GateSettings::default());
        engine.add_policy(policy).unwrap();
        engine.register(START, &position([leg(0, Side::Long)])).map(drop)
    };
    let full = RegisterError::Full { what: "triggers of a position", max: 128 };
    let near = Some(Nanos::from_secs(60));
    assert_eq!((of(2, None), of(3, None)), (Ok(()), Err(full)));
    assert_eq!((of(1, near), of(2, near)), (Ok(()), Err(full)));
}

/// Accounts that held the other side once, and those that hold it beside others.
#[test]
fn what_was_closed_opposes_nothing() {
    let mut engine = engine(stop());
    let of = |account, side| position([LegSpec { account: AccountId(account), ..leg(0, side) }]);
    let long = engine.register(START, &of(0, Side::Long)).unwrap();
    engine.register(START, &of(255, Side::Short)).unwrap();
    let opposite = |account| Err(RegisterError::Opposite { leg: 0, account, instrument: 0 });
    assert_eq!(engine.register(START, &of(0, Side::Short)), opposite(0));
    assert_eq!(engine.register(START, &of(255, Side::Long)), opposite(255));
    let price = Price::new(100).unwrap();
    let qty = leg(0, Side::Long).qty;
    let fill = Report::Fill { position: long, leg: 0, price, qty, fee: 0 };
    engine.on_event(START, &Event::Report(fill));
    let outcome = Outcome::Closed;
    engine
        .on_event(START, &Event::Report(Report::PlanEnded { position: long, intent: 0, outcome }));
    engine.register(START, &of(0, Side::Short)).unwrap();
    assert_eq!(engine.register(START, &of(0, Side::Long)), opposite(0));
}
