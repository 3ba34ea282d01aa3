//! What a portfolio's settings are held to, on both sides of every bound, and what it refuses of
//! positions.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[allow(dead_code, reason = "the table of quotes serves the executor's tests")]
mod common;

use common::{ZERO, instrument};
use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Command, Event, GateSettings, Outcome, Report};
use reap_core::instrument::{
    AccountId, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
};
use reap_core::limits::{AMOUNT_MAX, QTY_MAX};
use reap_core::note::EngineNote;
use reap_core::policy::{Policy, PolicyId, Rule};
use reap_core::portfolio::{
    Breakers, ClosingFee, DrawdownFrom, Health, PORTFOLIO_AMOUNT_MAX, Partial, PortfolioError,
    PortfolioNote, PortfolioSettings,
};
use reap_core::position::{LegSpec, PositionId, PositionSpec, RegisterError, Side};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

const WHOLE: i64 = 1_000_000_000;

fn amount(mantissa: i128, scale: u8) -> Decimal {
    Decimal { mantissa, scale }
}

fn of_one(mantissa: i128) -> Decimal {
    amount(mantissa, 0)
}

fn rate(ppb: i64) -> Rate {
    Rate::new(ppb).unwrap()
}

fn breakers() -> Breakers {
    let levels = [300, 400, 500].map(Rate::from_bps);
    let (equity, from) = (of_one(10_000), DrawdownFrom::Baseline);
    Breakers { equity, levels, from, filter: false, reset: Nanos(0) }
}

/// A setting, and the field that it is refused for.
type Case = (&'static str, fn(&mut PortfolioSettings), Option<&'static str>);

fn health(change: impl FnOnce(&mut Health)) -> Option<Health> {
    let mut health = Health::default();
    change(&mut health);
    Some(health)
}

fn with_breakers(settings: &mut PortfolioSettings, change: impl FnOnce(&mut Breakers)) {
    let mut breakers = breakers();
    change(&mut breakers);
    settings.breakers = Some(breakers);
}

const MAX: i128 = PORTFOLIO_AMOUNT_MAX as i128;
const DAY: u64 = 86_400_000_000_000;

const SETTINGS: &[Case] = &[
    ("off", |_| {}, None),
    ("profit of nothing", |all| all.profit = Some(of_one(0)), Some("profit")),
    ("a negative profit", |all| all.profit = Some(of_one(-1)), Some("profit")),
    ("the least profit", |all| all.profit = Some(amount(1, 18)), None),
    ("a profit below the last decimal", |all| all.profit = Some(amount(1, 19)), None),
    ("the largest profit", |all| all.profit = Some(amount(MAX * 10 - 1, 1)), None),
    ("a profit beyond it", |all| all.profit = Some(of_one(MAX)), Some("profit")),
    (
        "half of nothing",
        |all| all.partial = Some(Partial { at: of_one(0), share: rate(1) }),
        Some("partial"),
    ),
    (
        "no part",
        |all| all.partial = Some(Partial { at: of_one(1), share: rate(0) }),
        Some("partial share"),
    ),
    ("the least part", |all| all.partial = Some(Partial { at: of_one(1), share: rate(1) }), None),
    (
        "nearly the whole",
        |all| all.partial = Some(Partial { at: of_one(1), share: rate(WHOLE - 1) }),
        None,
    ),
    (
        "the whole",
        |all| all.partial = Some(Partial { at: of_one(1), share: rate(WHOLE) }),
        Some("partial share"),
    ),
    (
        "a part just below the profit",
        |all| {
            all.profit = Some(amount(2, 18));
            all.partial = Some(Partial { at: amount(1, 18), share: rate(1) });
        },
        None,
    ),
    (
        "a part at the profit",
        |all| {
            all.profit = Some(amount(2, 18));
            all.partial = Some(Partial { at: amount(2, 18), share: rate(1) });
        },
        Some("partial"),
    ),
    ("a loss of nothing", |all| all.loss = Some(of_one(0)), Some("loss")),
    ("a loss that is a gain", |all| all.loss = Some(of_one(1)), Some("loss")),
    ("a small loss", |all| all.loss = Some(amount(-1, 18)), None),
    ("a loss beyond the bound", |all| all.loss = Some(of_one(-MAX)), Some("loss")),
    ("a cooldown of nothing", |all| all.cooldown = Some(Nanos(1)), Some("cooldown")),
    (
        "a cooldown after a loss",
        |all| (all.loss, all.cooldown) = (Some(of_one(-1)), Some(Nanos(1))),
        None,
    ),
    ("health", |all| all.health = health(|_| {}), None),
    ("levels to nought", |all| all.health = health(|of| of.levels = [2, 1, 0]), Some(LEVELS)),
    ("levels to one", |all| all.health = health(|of| of.levels = [3, 2, 1]), None),
    ("the last two equal", |all| all.health = health(|of| of.levels = [3, 1, 1]), Some(LEVELS)),
    ("the first two equal", |all| all.health = health(|of| of.levels = [2, 2, 1]), Some(LEVELS)),
    ("levels to a hundred", |all| all.health = health(|of| of.levels = [95, 2, 1]), None),
    ("levels beyond it", |all| all.health = health(|of| of.levels = [96, 2, 1]), Some(LEVELS)),
    (
        "tightened to nothing",
        |all| all.health = health(|of| of.tighten = rate(0)),
        Some("health tighten"),
    ),
    ("tightened a little", |all| all.health = health(|of| of.tighten = rate(1)), None),
    ("tightened much", |all| all.health = health(|of| of.tighten = rate(WHOLE - 1)), None),
    (
        "tightened by all",
        |all| all.health = health(|of| of.tighten = rate(WHOLE)),
        Some("health tighten"),
    ),
    ("no age", |all| all.health = health(|of| of.max_age = Nanos(0)), Some("health max_age")),
    ("the least age", |all| all.health = health(|of| of.max_age = Nanos(1)), None),
    (
        "less than a millisecond",
        |all| all.health = health(|of| of.cooldown = Nanos(999_999)),
        Some("health cooldown"),
    ),
    ("a millisecond", |all| all.health = health(|of| of.cooldown = Nanos(1_000_000)), None),
    ("no positions", |all| all.health = health(|of| of.positions = 0), Some("health positions")),
    ("one position", |all| all.health = health(|of| of.positions = 1), None),
    ("breakers", |all| with_breakers(all, |_| {}), None),
    ("no equity", |all| with_breakers(all, |of| of.equity = of_one(0)), Some("equity")),
    (
        "a level of nothing",
        |all| with_breakers(all, |of| of.levels[0] = rate(0)),
        Some("breaker level"),
    ),
    (
        "a level of all",
        |all| with_breakers(all, |of| of.levels[2] = rate(WHOLE)),
        Some("breaker level"),
    ),
    (
        "two levels equal",
        |all| with_breakers(all, |of| of.levels[1] = of.levels[0]),
        Some("breaker level"),
    ),
    ("levels that fall", |all| with_breakers(all, |of| of.levels.reverse()), Some("breaker level")),
    ("the end of a day", |all| with_breakers(all, |of| of.reset = Nanos(DAY - 1)), None),
    ("the next day", |all| with_breakers(all, |of| of.reset = Nanos(DAY)), Some("session reset")),
];

const LEVELS: &str = "health levels";

#[test]
fn settings_are_taken_up_to_their_bounds_and_refused_beyond() {
    for &(what, change, wanted) in SETTINGS {
        let mut settings = PortfolioSettings::off(CurrencyId(0));
        change(&mut settings);
        let refused = match settings.check() {
            Ok(()) => None,
            Err(PortfolioError::Setting { field, .. }) => Some(field),
            Err(error) => panic!("{what}: {error}"),
        };
        assert_eq!(refused, wanted, "{what}");
    }
}

fn engine(instruments: &[Instrument], policy: Policy) -> Engine {
    let limits = EngineLimits::any(4, 2, 64);
    let mut engine = Engine::new(limits, instruments, 1, GateSettings::default());
    engine.add_policy(policy).unwrap();
    engine
}

fn leg(instrument: u16, side: Side, entry: i64, qty: i64) -> LegSpec {
    LegSpec {
        // An account holds one side of an instrument.
        account: AccountId(side as u8),
        instrument: InstrumentId(instrument),
        side,
        entry: Price::new(entry).unwrap(),
        qty: Qty::new(qty).unwrap(),
        fees_paid: ZERO,
        funding: ZERO,
        margin: None,
    }
}

fn position(legs: impl IntoIterator<Item = LegSpec>) -> PositionSpec {
    let legs = legs.into_iter().collect();
    PositionSpec { policy: PolicyId(0), opened: Nanos(0), tag: 0, legs }
}

#[test]
fn a_portfolio_is_set_once_and_before_what_it_watches() {
    let off = || PortfolioSettings::off(CurrencyId(0));
    let mut twice = engine(&[instrument(1, 1, 1, 0)], Policy::of([]));
    twice.set_portfolio(off()).unwrap();
    assert_eq!(twice.set_portfolio(off()), Err(PortfolioError::Late));
    let mut late = engine(&[instrument(1, 1, 1, 0)], Policy::of([]));
    late.register(Nanos(1), &position([leg(0, Side::Long, 100, 1)])).unwrap();
    assert_eq!(late.set_portfolio(off()), Err(PortfolioError::Late));
    let mut bad = engine(&[instrument(1, 1, 1, 0)], Policy::of([]));
    let settings = PortfolioSettings { profit: Some(of_one(0)), ..off() };
    assert!(matches!(bad.set_portfolio(settings), Err(PortfolioError::Setting { .. })));
    bad.set_portfolio(off()).unwrap();
}

/// The sums of an instrument's sides have a bound of their own; what is closed gives it back.
#[test]
fn a_side_of_an_instrument_is_full_at_its_bound_whichever_positions_fill_it() {
    let mut engine = engine(&[instrument(1, 1, 1, 0)], Policy::of([]));
    engine.set_portfolio(PortfolioSettings::off(CurrencyId(0))).unwrap();
    let of = |side, qty| position([leg(0, side, 100, qty)]);
    let full = engine.register(Nanos(1), &of(Side::Long, QTY_MAX - 5)).unwrap();
    engine.register(Nanos(1), &of(Side::Short, QTY_MAX)).unwrap();
    let refused = engine.register(Nanos(1), &of(Side::Long, 6)).unwrap_err();
    assert!(matches!(refused, RegisterError::Full { .. }), "{refused}");
    // Two legs of one position are on one side of it together.
    let both = position([leg(0, Side::Long, 100, 3), leg(0, Side::Long, 100, 3)]);
    let refused = engine.register(Nanos(1), &both).unwrap_err();
    assert!(matches!(refused, RegisterError::Full { .. }), "{refused}");
    let both = position([leg(0, Side::Long, 100, 2), leg(0, Side::Long, 100, 3)]);
    engine.register(Nanos(1), &both).unwrap();
    let refused = engine.register(Nanos(1), &of(Side::Long, 1)).unwrap_err();
    assert!(matches!(refused, RegisterError::Full { .. }), "{refused}");
    close(&mut engine, full);
    engine.register(Nanos(1), &of(Side::Long, QTY_MAX - 5)).unwrap();
}

/// So have the minimum fees of one order for each leg, with the portfolio's buffer.
#[test]
fn the_minimum_fees_on_an_instrument_are_full_at_their_bound() {
    let half = amount(AMOUNT_MAX / 2, 9);
    let spec = InstrumentSpec { min_fee: half, ..*instrument(1, 1, 1, 0).spec() };
    let fee_buffer_ppb = 1_000_000_000;
    let policy = Policy { fee_buffer_ppb, ..Policy::of([]) };
    let mut engine = engine(&[Instrument::new(spec).unwrap()], policy);
    let off = PortfolioSettings::off(CurrencyId(0));
    engine.set_portfolio(PortfolioSettings { fee_buffer_ppb, ..off }).unwrap();
    let spec = position([leg(0, Side::Long, 100, 1)]);
    engine.register(Nanos(1), &spec).unwrap();
    engine.register(Nanos(1), &spec).unwrap();
    let refused = engine.register(Nanos(1), &spec).unwrap_err();
    assert!(matches!(refused, RegisterError::Full { .. }), "{refused}");
}

#[test]
fn an_equity_is_taken_within_its_bounds_and_counted_beyond_them() {
    let mut settings = PortfolioSettings::off(CurrencyId(0));
    with_breakers(&mut settings, |_| {});
    let mut engine = engine(&[instrument(1, 1, 1, 0)], Policy::of([]));
    engine.set_portfolio(settings).unwrap();
    let most = MAX * 10i128.pow(18);
    let cases = [(0, 1), (1, 1), (-1, 2), (most - 1, 2), (most, 3), (most + 1, 4)];
    for (at, (mantissa, refused)) in cases.into_iter().enumerate() {
        let before = engine.portfolio().unwrap().equity.unwrap()[0];
        let command = Command::Equity(amount(mantissa, 18));
        engine.on_event(Nanos(at as u64 + 1), &Event::Command(command));
        let stands = engine.portfolio().unwrap().equity.unwrap()[0];
        let taken = (1..most).contains(&mantissa);
        assert_eq!(stands, if taken { amount(mantissa, 18) } else { before });
        assert_eq!(engine.counters().amounts_refused, refused, "{mantissa}");
    }
}

/// Both are of age at the event that says that one of them is closed.
#[test]
fn a_position_that_is_closed_when_it_comes_of_age_is_not_closed_again() {
    let max_position_age = Some(Nanos::from_secs(60));
    let settings = PortfolioSettings { max_position_age, ..PortfolioSettings::off(CurrencyId(0)) };
    for closed in [0, 1] {
        let mut engine = engine(&[instrument(1, 1, 1, 0)], Policy::of([]));
        engine.set_portfolio(settings.clone()).unwrap();
        let spec = position([leg(0, Side::Long, 100, 1)]);
        let both = [(); 2].map(|()| engine.register(Nanos(1), &spec).unwrap());
        let (closes, price) = (both[closed], Price::new(100).unwrap());
        let qty = Qty::new(1).unwrap();
        let fill = Report::Fill { position: closes, leg: 0, price, qty, fee: 0 };
        engine.on_event(Nanos(3), &Event::Report(fill));
        while engine.poll_note().is_some() {}
        let ended = Report::PlanEnded { position: closes, intent: 1, outcome: Outcome::Closed };
        engine.on_event(Nanos::from_secs(60), &Event::Report(ended));
        assert_eq!(asked(&mut engine), [both[1 - closed]]);
        let notes = std::iter::from_fn(|| engine.poll_note());
        let old: Vec<_> = notes
            .filter_map(|note| match note {
                EngineNote::Portfolio(PortfolioNote::TooOld { position }) => Some(position),
                _ => None,
            })
            .collect();
        assert_eq!(old, [both[1 - closed]]);
    }
}

/// An operator closes a position, and it is filled whole at 100.
fn close(engine: &mut Engine, position: PositionId) {
    use reap_core::event::Which;
    use reap_core::intent::Urgency;
    let urgency = Urgency::Normal;
    let command = Command::Close { which: Which::Position(position), urgency };
    engine.on_event(Nanos(2), &Event::Command(command));
    let intent = engine.poll_intent().unwrap();
    let qty = engine.open(position, 0).unwrap();
    let price = Price::new(100).unwrap();
    let fill = Report::Fill { position, leg: 0, price, qty, fee: 0 };
    engine.on_event(Nanos(3), &Event::Report(fill));
    let outcome = Outcome::Closed;
    let ended = Report::PlanEnded { position, intent: intent.seq, outcome };
    engine.on_event(Nanos(4), &Event::Report(ended));
}

/// The gross notional that health scores: 2^61 millionths of the currency, exclusive.
#[test]
fn health_has_room_for_its_gross_notional_and_not_for_a_millionth_more() {
    let health = Some(Health::default());
    let settings = PortfolioSettings { health, ..PortfolioSettings::off(CurrencyId(0)) };
    let millionths = InstrumentSpec { price_scale: 6, ..*instrument(1, 1, 1, 0).spec() };
    let mut engine = engine(&[Instrument::new(millionths).unwrap()], Policy::of([]));
    engine.set_portfolio(settings).unwrap();
    let mut enter = |price: i64, qty: i64| {
        engine.register(Nanos(1), &position([leg(0, Side::Long, price, qty)]))
    };
    let refused = enter(1 << 40, 1 << 21).unwrap_err();
    assert!(matches!(refused, RegisterError::Full { .. }), "{refused}");
    enter(1 << 40, (1 << 21) - 1).unwrap();
    let refused = enter(1 << 40, 1).unwrap_err();
    assert!(matches!(refused, RegisterError::Full { .. }), "{refused}");
    enter((1 << 40) - 1, 1).unwrap();
    enter(1, 1).unwrap_err();
}

#[test]
fn a_position_is_refused_for_its_currency_and_for_what_its_close_would_cost() {
    let plain = *instrument(1, 1, 1, 0).spec();
    let dear = InstrumentSpec { taker: Rate::from_bps(5_000), ..plain };
    let foreign = InstrumentSpec { currency: CurrencyId(1), ..plain };
    let instruments = [plain, dear, foreign].map(|spec| Instrument::new(spec).unwrap());
    // Half in fees, not scaled, and the reserve up to the bound.
    for (reserve, ok) in [(WHOLE / 2 - 1, true), (WHOLE / 2, false)] {
        let slippage_reserve = rate(reserve);
        let fee_buffer_ppb = 1_000_000_000;
        let policy = Policy { slippage_reserve, fee_buffer_ppb, ..Policy::of([]) };
        let settings =
            PortfolioSettings { fee_buffer_ppb, ..PortfolioSettings::off(CurrencyId(0)) };
        let mut engine = engine(&instruments, policy);
        engine.set_portfolio(settings.clone()).unwrap();
        let registered = engine.register(Nanos(1), &position([leg(1, Side::Long, 100, 1)]));
        assert_eq!(registered.is_ok(), ok, "a reserve of {reserve}: {registered:?}");
        engine.register(Nanos(1), &position([leg(0, Side::Long, 100, 1)])).unwrap();
        let refused = engine.register(Nanos(1), &position([leg(2, Side::Long, 100, 1)]));
        let refused = refused.unwrap_err();
        assert!(matches!(refused, RegisterError::Leg { field: "currency", .. }), "{refused}");
    }
}

/// What closing costs is the taker's fee or the maker's, as it is set, and counts from the first
/// quote on.
#[test]
fn the_total_is_what_closing_everything_would_bring() {
    let taker = Rate::from_bps(100);
    let spec = InstrumentSpec { taker, maker: rate(0), ..*instrument(1, 1, 1, 0).spec() };
    let instruments = [Instrument::new(spec).unwrap()];
    for (closing_fee, wanted) in [(ClosingFee::Taker, -11), (ClosingFee::Maker, 0)] {
        let off = PortfolioSettings::off(CurrencyId(0));
        let settings = PortfolioSettings { closing_fee, ..off };
        let mut engine = engine(&instruments, Policy::of([stop()]));
        engine.set_portfolio(settings).unwrap();
        engine.register(Nanos(1), &position([leg(0, Side::Long, 1_000, 1)])).unwrap();
        let total = engine.portfolio().unwrap().total;
        assert_eq!(total.mantissa, wanted * 10i128.pow(18), "at the entry");
        quote(&mut engine, 0, Nanos(2), 1_000);
        let total = engine.portfolio().unwrap().total;
        assert_eq!(total.mantissa, wanted * 10i128.pow(18), "at the same bid");
    }
}

fn stop() -> Rule {
    Rule::StopLoss { distance: Rate::from_bps(1_000), base: None }
}

/// A bid, and an ask of one more.
fn quote(engine: &mut Engine, instrument: u16, now: Nanos, bid: i64) {
    let quote = Quote::new(bid, bid + 1, 1, 1).unwrap();
    let (source, update_id) = (SourceId(0), now.0);
    let stamp = Stamp { source, received: now, update_id, venue_lag_us: 0, reset: false };
    let tick = Tick::quote(InstrumentId(instrument), stamp, quote);
    engine.on_event(now, &Event::Tick(tick));
}

fn asked(engine: &mut Engine) -> Vec<PositionId> {
    std::iter::from_fn(|| engine.poll_intent()).map(|intent| intent.position).collect()
}

/// The highest breaker of a session stands in the view until the next one begins.
#[test]
fn the_view_names_the_highest_breaker_of_the_session() {
    let mut settings = PortfolioSettings::off(CurrencyId(0));
    with_breakers(&mut settings, |_| {});
    let mut engine = engine(&[instrument(1, 1, 1, 0)], Policy::of([]));
    engine.set_portfolio(settings).unwrap();
    let breaker = |engine: &Engine| engine.portfolio().unwrap().breaker;
    engine.register(Nanos(1), &position([leg(0, Side::Long, 1_000, 10)])).unwrap();
    for (now, bid, wanted) in [(2, 1_000, 0), (3, 960, 2), (4, 970, 2), (5, 940, 3)] {
        quote(&mut engine, 0, Nanos(now), bid);
        asked(&mut engine);
        assert_eq!(breaker(&engine), wanted, "at {bid}");
    }
    engine.on_event(Nanos(DAY), &Event::Timer);
    assert_eq!(breaker(&engine), 0);
}

/// What is left of a position whose plan ended is no part of the close that begins at that event: it
/// goes before it, whatever its id.
#[test]
fn what_a_plan_left_is_asked_for_before_a_close_of_several() {
    let (cooldown, older_than) = (Nanos::from_millis(10), Nanos(0));
    let health = health(|of| {
        (of.levels, of.hysteresis, of.positions) = ([40, 35, 30], 0, 4);
        (of.cooldown, of.older_than) = (cooldown, older_than);
    });
    let mut engine = engine(&[instrument(1, 1, 1, 0); 2], Policy::of([]));
    let off = PortfolioSettings::off(CurrencyId(0));
    engine.set_portfolio(PortfolioSettings { health, ..off }).unwrap();
    let first = Nanos::from_secs(1);
    let mut enter = |instrument, entry| {
        let spec = position([leg(instrument, Side::Long, entry, 1)]);
        engine.register(first, &spec).unwrap()
    };
    let later = [(); 2].map(|()| enter(0, 1_000));
    let sooner = [(); 2].map(|()| enter(1, 1_000));
    quote(&mut engine, 1, first, 900);
    assert_eq!(asked(&mut engine), sooner);
    quote(&mut engine, 0, first.plus(Nanos(1)), 850);
    assert_eq!(asked(&mut engine), []);
    while engine.poll_note().is_some() {}
    let (position, intent) = (sooner[1], u64::MAX);
    let ended = Report::PlanEnded { position, intent, outcome: Outcome::Missed };
    engine.on_event(first.plus(cooldown), &Event::Report(ended));
    assert_eq!(asked(&mut engine), [sooner[1], later[0], later[1]]);
    // The level is what it was; that two more are closed is said.
    let closes = std::iter::from_fn(|| engine.poll_note()).find_map(|note| match note {
        EngineNote::Portfolio(PortfolioNote::Health { level, positions, .. }) => {
            Some((level, positions))
        }
        _ => None,
    });
    assert_eq!(closes, Some((3, 2)));
}
