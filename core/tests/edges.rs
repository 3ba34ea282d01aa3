//! Situations at the edge of the engine's rules, one by one.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

#[allow(dead_code, reason = "the table of quotes serves the executor's tests")]
mod common;

use common::{ZERO, instrument};
use reap_core::engine::{Engine, EngineLimits};
use reap_core::event::{Command, Event, GateSettings, Outcome, Report, Which};
use reap_core::instrument::{AccountId, Instrument, InstrumentId, InstrumentSpec, SourceId};
use reap_core::intent::{Intent, Reason, Urgency};
use reap_core::limits::{
    FUNDING_HOLD_MAX, LEGS_MAX, PPB, PRICE_MAX, QTY_MAX, RATE_MAX, TRACKS_MAX,
};
use reap_core::policy::{Base, Distance, Policy, PolicyId, Rule, Tier};
use reap_core::position::{LegSpec, PositionSpec, PositionState, RegisterError, Side};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

/// An engine with the time and the update ids of its quotes.
struct Desk {
    engine: Engine,
    now: u64,
}

impl Desk {
    fn new(instruments: &[Instrument], policies: impl IntoIterator<Item = Policy>) -> Self {
        let limits = EngineLimits::any(64, 64, 8192);
        let mut engine = Engine::new(limits, instruments, 1, GateSettings::default());
        for policy in policies {
            engine.add_policy(policy).unwrap();
        }
        Self { engine, now: 1_000_000_000 }
    }

    fn quote(&mut self, instrument: u16, bid: i64, ask: i64) -> Vec<Intent> {
        self.now += 1;
        let stamp = Stamp {
            source: SourceId(0),
            received: Nanos(self.now),
            update_id: self.now,
            venue_lag_us: 0,
            // Every quote is its own reference: jumps are another matter.
            reset: true,
        };
        let quote = Quote::new(bid, ask, 100, 100).unwrap();
        self.on(&Event::Tick(Tick::quote(InstrumentId(instrument), stamp, quote)))
    }

    fn on(&mut self, event: &Event) -> Vec<Intent> {
        self.engine.on_event(Nanos(self.now), event);
        self.intents()
    }

    fn intents(&mut self) -> Vec<Intent> {
        std::iter::from_fn(|| self.engine.poll_intent()).collect()
    }
}

fn leg(instrument: u16, side: Side, entry: i64, qty: i64) -> LegSpec {
    LegSpec {
        account: AccountId(0),
        instrument: InstrumentId(instrument),
        side,
        entry: Price::new(entry).unwrap(),
        qty: Qty::new(qty).unwrap(),
        fees_paid: ZERO,
        funding: ZERO,
        margin: None,
    }
}

fn position(policy: u16, legs: impl IntoIterator<Item = LegSpec>) -> PositionSpec {
    let legs = legs.into_iter().collect();
    PositionSpec { policy: PolicyId(policy), opened: Nanos(0), tag: 0, legs }
}

fn trailing(distance: Distance) -> Policy {
    Policy::of([Rule::TrailingStop { distance, activation: None, base: None }])
}

/// A stop further from its mark than zero cannot be reached yet, but its mark must follow.
#[test]
fn a_trailing_stop_below_every_price_still_follows_its_mark() {
    for (side, entry, best, there) in
        [(Side::Long, 5, 30, 20), (Side::Short, PRICE_MAX - 3, 1_000, 1_010)]
    {
        let mut desk = Desk::new(&[instrument(1, 1, 1, 0)], [trailing(Distance::Ticks(10))]);
        desk.engine.register(Nanos(1), &position(0, [leg(0, side, entry, 1)])).unwrap();
        assert!(desk.quote(0, best, best).is_empty());
        let fired = desk.quote(0, there, there);
        assert_eq!(
            fired.first().map(|intent| intent.reason),
            Some(Reason::TrailingStop),
            "{side:?}"
        );
    }
}

/// A share that rounds to no lot at all is filled from the start: it never fires, least of all again
/// and again within one moment.
#[test]
fn a_tier_of_no_lot_is_done_from_the_start() {
    let instruments = [instrument(1, 1, 1, 0)];
    let tier =
        |bps, percent: i64| Tier { at: Rate::from_bps(bps), share: Rate::from_bps(percent * 100) };
    let tiers = [tier(10, 50), tier(100, 100)].into_iter().collect();
    let mut desk = Desk::new(&instruments, [Policy::of([Rule::Tiers { base: None, tiers }])]);
    let spec = position(0, [leg(0, Side::Long, 1_000, 1)]);
    let id = desk.engine.register(Nanos(1), &spec).unwrap();
    assert!(desk.quote(0, 1_001, 1_001).is_empty());
    let fired = desk.quote(0, 1_010, 1_010);
    assert_eq!(
        fired.iter().map(|intent| (intent.position, intent.part)).collect::<Vec<_>>(),
        [(id, 1)]
    );
}

/// One track more than an instrument has room for is refused, and nothing of the position is kept.
#[test]
fn too_many_tracks_are_refused() {
    let trail = |step: usize| Rule::TrailingProfit {
        activation: Rate::from_bps(1_500),
        distance: Rate::from_bps(1_000),
        floor: Rate::from_bps(500),
        step: Rate::from_bps(step as i64),
        base: None,
    };
    let one = (0..TRACKS_MAX).map(|step| Policy::of([trail(step)]));
    let two = Policy::of([trail(0), trail(TRACKS_MAX)]);
    let mut desk = Desk::new(&[instrument(1, 1, 1, 0)], one.chain([two]));
    let spec = |policy: usize| position(policy as u16, [leg(0, Side::Long, 1_000, 1)]);
    for policy in 0..TRACKS_MAX {
        desk.engine.register(Nanos(1), &spec(policy)).unwrap();
    }
    for _ in 0..3 {
        let refused = desk.engine.register(Nanos(1), &spec(TRACKS_MAX));
        assert!(matches!(refused, Err(RegisterError::Full { .. })), "{refused:?}");
    }
    desk.engine.register(Nanos(1), &spec(0)).unwrap();
}

/// The next mark of a ratio at the bounds lies beyond every sum of exit values: it is not waited for.
#[test]
fn a_mark_beyond_every_sum_is_never_reached() {
    let spec =
        InstrumentSpec { taker: Rate::new(1 - PPB).unwrap(), ..*instrument(1, 1, 1, 0).spec() };
    let most = Rate::new(PPB - 1).unwrap();
    let policy = Policy::of([Rule::TrailingProfit {
        activation: Rate::from_bps(100),
        distance: most,
        floor: Rate::ZERO,
        step: most,
        base: Some(Base::Gross),
    }]);
    let mut desk = Desk::new(&[Instrument::new(spec).unwrap()], [policy]);
    let legs = [leg(0, Side::Long, PRICE_MAX / 2, QTY_MAX); LEGS_MAX];
    desk.engine.register(Nanos(1), &position(0, legs)).unwrap();
    assert!(desk.quote(0, PRICE_MAX, PRICE_MAX).is_empty());
    assert_eq!(desk.quote(0, 1, 1).len(), 1);
}

/// The executor ended a plan while a decision that was meant to raise it was on its way: it works
/// that decision as a plan of its own, and only the end of that one ends it here.
#[test]
fn a_raise_that_passes_the_end_of_its_plan_is_a_plan_of_its_own() {
    let close = |which| Event::Command(Command::Close { which, urgency: Urgency::Critical });
    let ended =
        |position, intent, outcome| Event::Report(Report::PlanEnded { position, intent, outcome });
    for (outcome, state) in [
        (Outcome::Closed, PositionState::Closed),
        (Outcome::Dust, PositionState::DustResidual),
        (Outcome::Done, PositionState::Open),
        (Outcome::Missed, PositionState::Open),
    ] {
        let mut desk = Desk::new(&[instrument(1, 1, 1, 0)], [trailing(Distance::Ticks(10))]);
        let spec = position(0, [leg(0, Side::Long, 1_000, 1)]);
        let id = desk.engine.register(Nanos(1), &spec).unwrap();
        assert_eq!(desk.quote(0, 990, 991).len(), 1);
        assert_eq!(desk.on(&close(Which::Position(id))).len(), 1, "a raise");
        desk.quote(0, 1_000, 1_001);
        // The first plan's end, on its way since before the raise; then that of the second.
        desk.on(&ended(id, 1, Outcome::Missed));
        assert_eq!(desk.engine.state(id), Some(PositionState::Exiting));
        assert_eq!(desk.engine.counters().crossed, 1);
        desk.on(&ended(id, 2, outcome));
        assert_eq!(desk.engine.state(id), Some(state), "{outcome:?}");
    }
}

/// SPEC §12: the second tier is judged on what the first has left, also when the first was filled so
/// well that both together would make up for the second.
#[test]
fn a_filled_target_is_not_judged_again_before_its_plan_has_ended() {
    let tier =
        |bps, percent: i64| Tier { at: Rate::from_bps(bps), share: Rate::from_bps(percent * 100) };
    let tiers = [tier(10, 50), tier(100, 100)].into_iter().collect();
    let mut desk =
        Desk::new(&[instrument(1, 1, 1, 0)], [Policy::of([Rule::Tiers { base: None, tiers }])]);
    let spec = position(0, [leg(0, Side::Long, 1_000, 2)]);
    let position = desk.engine.register(Nanos(1), &spec).unwrap();
    assert_eq!(desk.quote(0, 1_001, 1_002).len(), 1);
    let (price, qty) = (Price::new(1_050).unwrap(), Qty::new(1).unwrap());
    let fill = Report::Fill { position, leg: 0, price, qty, fee: 0 };
    let ended = Report::PlanEnded { position, intent: u64::MAX, outcome: Outcome::Done };
    assert!(desk.on(&Event::Report(fill)).is_empty());
    assert!(desk.quote(0, 1_002, 1_003).is_empty());
    assert!(desk.on(&Event::Report(ended)).is_empty());
    assert!(desk.quote(0, 1_009, 1_010).is_empty());
    assert_eq!(desk.quote(0, 1_010, 1_011)[0].part, 1);
}

/// A registration whose time is behind the engine's is of the engine's time: the price is old by then.
#[test]
fn a_registration_cannot_go_back_in_time() {
    let policy = Policy::of([Rule::StopLoss { distance: Rate::from_bps(100), base: None }]);
    let mut desk = Desk::new(&[instrument(1, 1, 1, 0)], [policy]);
    desk.quote(0, 900, 901);
    let then = Nanos(desk.now);
    desk.now += 60_000_000_000;
    desk.on(&Event::Timer);
    desk.engine.register(then, &position(0, [leg(0, Side::Long, 1_000, 1)])).unwrap();
    assert!(desk.intents().is_empty());
}

/// FAULTS E14: a time that is told too early neither fires a deadline nor takes one back.
#[test]
fn e14_a_clock_that_steps_back_changes_nothing() {
    let second = 1_000_000_000;
    let policy = Policy::of([Rule::Deadline {
        max_age: Some(Nanos(20 * second)),
        at: None,
        session_close: None,
        close_before: Nanos(0),
    }]);
    let mut desk = Desk::new(&[instrument(1, 1, 1, 0)], [policy]);
    desk.quote(0, 900, 901);
    let id = desk.engine.register(Nanos(desk.now), &position(0, [leg(0, Side::Long, 1_000, 1)]));
    let mut at = |nanos: u64| {
        desk.now = nanos;
        desk.on(&Event::Timer)
    };
    assert!(at(19 * second).is_empty());
    assert!(at(second).is_empty());
    assert!(at(20 * second - 1).is_empty());
    assert_eq!(at(20 * second).len(), 1);
    assert!(at(second).is_empty());
    assert!(at(20 * second).is_empty());
    assert_eq!(desk.engine.state(id.unwrap()), Some(PositionState::Exiting));
}

/// What is opened at the very time of a session's close is closed with the next session.
#[test]
fn a_session_that_closes_at_the_opening_is_the_next() {
    const DAY: u64 = 86_400_000_000_000;
    let policy = Policy::of([Rule::Deadline {
        max_age: None,
        at: None,
        session_close: Some(Nanos(0)),
        close_before: Nanos(0),
    }]);
    let mut desk = Desk::new(&[instrument(1, 1, 1, 0)], [policy]);
    let opened = |nanos| {
        let spec = position(0, [leg(0, Side::Long, 1_000, 1)]);
        PositionSpec { opened: Nanos(nanos), ..spec }
    };
    for nanos in [3 * DAY, 3 * DAY + 1] {
        desk.engine.register(Nanos(3 * DAY + 2), &opened(nanos)).expect("a position");
        assert!(desk.intents().is_empty(), "it closed when it was opened");
    }
    desk.now = 4 * DAY - 1;
    assert!(desk.on(&Event::Timer).is_empty());
    desk.now = 4 * DAY;
    assert_eq!(desk.on(&Event::Timer).len(), 2);
}

/// A base of a millionth made the ratio leave every bound: its mark was followed for ever.
#[test]
fn a_trailing_base_that_is_nothing_beside_the_legs_is_refused() {
    let of = |mantissa| {
        Policy::of([Rule::TrailingStop {
            distance: Distance::Rate(Rate::from_bps(100)),
            activation: None,
            base: Some(Base::Amount(Decimal { mantissa, scale: 0 })),
        }])
    };
    let instruments = [instrument(1, 1, 1, 0), instrument(1, 1, 1, 0)];
    let mut desk = Desk::new(&instruments, [of(1), of(2)]);
    let legs = || [leg(0, Side::Long, 1_000, 1), leg(1, Side::Short, 1_000, 1)];
    let refused = desk.engine.register(Nanos(1), &position(0, legs()));
    assert!(
        matches!(refused, Err(RegisterError::Rule { rule: 0, value: 1, .. })),
        "a thousandth of 2,000 is 2: {refused:?}"
    );
    desk.engine.register(Nanos(1), &position(1, legs())).expect("two is a thousandth");
}

/// Beyond half an hour a position could be held from one settlement to the next.
#[test]
fn a_hold_for_funding_is_half_an_hour_at_most_and_not_nothing() {
    let of = |nanos| Policy {
        hold_for_funding: Some(Nanos(nanos)),
        ..Policy::of([Rule::StopLoss { distance: Rate::from_bps(100), base: None }])
    };
    let policies = [of(0), of(FUNDING_HOLD_MAX.0 + 1), of(1), of(FUNDING_HOLD_MAX.0)];
    let mut desk = Desk::new(&[instrument(1, 1, 1, 0)], policies);
    let mut register =
        |policy| desk.engine.register(Nanos(1), &position(policy, [leg(0, Side::Long, 1_000, 1)]));
    for policy in 0..2 {
        let refused = register(policy);
        assert!(matches!(refused, Err(RegisterError::Policy { .. })), "{refused:?}");
    }
    for policy in 2..4 {
        register(policy).unwrap();
    }
}

/// Four legs of the largest size at the largest rate: the sum is told from nought to the last unit.
#[test]
fn funding_at_the_bounds_is_in_favour_by_one_unit() {
    let hour = Nanos::from_secs(3_600);
    let due = Rule::Deadline {
        max_age: None,
        at: Some(hour),
        session_close: None,
        close_before: Nanos(0),
    };
    let hold_for_funding = Some(FUNDING_HOLD_MAX);
    let policy = Policy { hold_for_funding, ..Policy::of([due]) };
    for (missing, exits) in [(0, 1), (1, 0)] {
        let instruments = [0; LEGS_MAX].map(|_| instrument(1, 1, 1, 0));
        let mut desk = Desk::new(&instruments, [policy.clone()]);
        let sides = [Side::Short, Side::Long, Side::Short, Side::Long];
        let legs = sides.iter().enumerate().map(|(at, &side)| {
            let entry = if at == 1 { PRICE_MAX - missing } else { PRICE_MAX };
            leg(at as u16, side, entry, QTY_MAX)
        });
        desk.engine.register(Nanos(1), &position(0, legs)).unwrap();
        desk.now = hour.0 - 100;
        for at in 0..LEGS_MAX as u16 {
            desk.quote(at, PRICE_MAX, PRICE_MAX);
            let stamp = Stamp {
                source: SourceId(0),
                received: Nanos(desk.now),
                update_id: 0,
                venue_lag_us: 0,
                reset: false,
            };
            let rate = Rate::new(RATE_MAX).unwrap();
            let settles = hour.plus(Nanos::from_secs(60));
            desk.on(&Event::Tick(Tick::funding(InstrumentId(at), stamp, rate, settles)));
        }
        desk.now = hour.0;
        assert_eq!(desk.on(&Event::Timer).len(), exits, "{missing} missing");
        desk.now = hour.0 + Nanos::from_secs(75).0;
        assert_eq!(desk.on(&Event::Timer).len(), 1 - exits, "{missing} missing");
    }
}
