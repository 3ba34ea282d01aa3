//! A reversal that enters: first the exit, and on evidence of it the entry on the other side, a script
//! for each way that it goes.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod turning;

use reap_core::event::{Command, Event, Report, TradingState, Which};
use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::note::SignalDrop;
use reap_core::order::{OrderChange, OrderEvent, OrderSide};
use reap_core::policy::PolicyId;
use reap_core::position::{PositionId, PositionState, RegisterError, Side};
use reap_core::task::{TaskLeg, TaskSpec, Unreachable};
use reap_core::units::{Decimal, Nanos, Qty, Rate};

use turning::{Desk, START, Table};

/// A long at 1,000.00 that has gained 10 %, told to go short: its exit's order is out.
fn asked(policy: u16, qty: i64) -> (Desk, PositionId) {
    let mut desk = Desk::new();
    let id = desk.hold(policy, 0, Side::Long, 100_000, qty);
    desk.quote(0, 110_000, 110_010);
    desk.signal(0, Side::Short);
    assert_eq!(desk.orders.len(), 1, "the exit");
    assert!(desk.entries.is_empty(), "no entry before the exit's evidence");
    (desk, id)
}

#[test]
fn what_is_closed_by_fills_is_entered_on_the_other_side() {
    let (mut desk, id) = asked(0, 1_000);
    // One lot is missing: nothing enters.
    desk.fill(990);
    assert!(desk.entries.is_empty() && desk.engine.state(id) == Some(PositionState::Exiting));
    desk.wait(Nanos::from_secs(1));
    desk.quote(0, 110_000, 110_010);
    desk.wait(Nanos::from_millis(200));
    desk.fill(10);
    let [entry] = desk.entries[..] else { panic!("one entry") };
    let [leg] = entry.legs() else { panic!("one leg") };
    // Sold down to 0.1 % below the best bid of 1,100.00, twice what is shown there.
    assert_eq!((leg.side, leg.qty.raw(), leg.limit.raw()), (Side::Short, 1_000, 109_890));
    assert_eq!((leg.account, leg.instrument), (AccountId(3), InstrumentId(0)));
    let order = desk.fill(1_000);
    assert_eq!((order.side, order.qty.raw(), order.reduce_only), (OrderSide::Sell, 1_000, false));
    let [entered] = &desk.entered.clone()[..] else { panic!("one position") };
    assert_eq!((entered.of, entered.spec.policy, entered.spec.tag), (Some(id), PolicyId(0), 7));
    assert_eq!(entered.spec.legs[0].entry.raw(), 109_890);
    assert!(desk.drops().is_empty() && !desk.engine.is_entering());
    // And back again, under the same rule.
    let short = entered.id;
    assert_eq!(desk.engine.state(short), Some(PositionState::Open));
    desk.quote(0, 98_880, 98_900);
    desk.signal(0, Side::Long);
    desk.fill(1_000);
    desk.fill(1_000);
    assert_eq!(desk.entered[1].of, Some(short));
    assert_eq!(desk.entered[1].spec.legs[0].side, Side::Long);
}

#[test]
fn a_rule_without_enter_and_a_signal_that_meets_nothing_enter_nothing() {
    let (mut desk, _) = asked(1, 1_000);
    desk.fill(1_000);
    desk.signal(0, Side::Short);
    assert!(desk.entries.is_empty() && desk.drops().is_empty());
}

#[test]
fn an_exit_in_flight_is_turned_too() {
    let mut desk = Desk::new();
    desk.hold(2, 0, Side::Long, 100_000, 1_000);
    desk.quote(0, 95_000, 95_005);
    assert_eq!(desk.orders.len(), 1, "stopped");
    desk.signal(0, Side::Short);
    desk.fill(1_000);
    assert_eq!(desk.entries.len(), 1);
}

/// A rule that is switched off turns nothing, and what is entered gets the version in force.
#[test]
fn switched_rules_and_policies_are_kept_to() {
    for (on, entries) in [(false, 0), (true, 1)] {
        let mut desk = Desk::new();
        let id = desk.hold(2, 0, Side::Long, 100_000, 1_000);
        let (which, policy) = (Which::Position(id), PolicyId(2));
        desk.event(&Event::Command(Command::Rule { which, policy, rule: 1, on }));
        let (of, policy) = (PolicyId(2), PolicyId(1));
        desk.event(&Event::Command(Command::Commit { of, policy }));
        desk.quote(0, 95_000, 95_005);
        desk.signal(0, Side::Short);
        desk.fill(1_000);
        assert_eq!(desk.entries.len(), entries, "stopped, and the reversal {on}");
        if on {
            desk.fill(1_000);
            assert_eq!(desk.engine.policy_of(desk.entered[0].id), Some(PolicyId(1)));
        }
    }
}

/// The state changes before anybody has seen the entry: it comes to nothing.
#[test]
fn an_entry_that_nobody_has_seen_is_withdrawn() {
    let (mut desk, _) = asked(0, 1_000);
    let order = desk.orders.pop_front().unwrap();
    let (price, qty) = (order.limit.unwrap(), order.qty);
    let what = OrderChange::Filled { trade_id: 1, price, qty, fee: 0 };
    let event = OrderEvent { id: order.id, what };
    desk.executor.on_order_event(desk.now, &event, &Table(&desk.engine));
    while desk.executor.poll_ask().is_some() || desk.executor.poll_note().is_some() {}
    while let Some(report) = desk.executor.poll_report() {
        desk.engine.on_event(desk.now, &Event::Report(report));
    }
    assert!(desk.engine.is_entering());
    desk.event(&Event::Command(Command::SetState(TradingState::Reducing)));
    assert_eq!(desk.drops(), [SignalDrop::NotActive]);
    assert!(desk.entries.is_empty() && !desk.engine.is_entering());
}

#[test]
fn the_entry_is_within_the_signals_time_or_never() {
    for (late, entries) in [(Nanos(0), 1), (Nanos(1), 0)] {
        let (mut desk, _) = asked(0, 1_000);
        desk.wait(Nanos::from_millis(4_000));
        desk.quote(0, 110_000, 110_010);
        desk.wait(Nanos::from_millis(1_000).plus(late));
        desk.fill(1_000);
        assert_eq!(desk.entries.len(), entries);
        let expired = [SignalDrop::Expired];
        assert_eq!(desk.drops(), &expired[entries..]);
    }
}

#[test]
fn a_newer_signal_takes_the_place_of_an_older_one() {
    let (mut desk, _) = asked(0, 1_000);
    desk.wait(Nanos::from_secs(2));
    desk.signal(0, Side::Long);
    assert_eq!(desk.drops(), [SignalDrop::Replaced]);
    desk.quote(0, 110_000, 110_010);
    desk.fill(1_000);
    assert!(desk.entries.is_empty());
}

#[test]
fn one_position_that_refuses_keeps_all_from_entering() {
    let mut desk = Desk::new();
    desk.hold(0, 0, Side::Long, 100_000, 1_000);
    desk.hold(0, 0, Side::Long, 109_000, 1_000);
    desk.quote(0, 110_000, 110_010);
    desk.signal(0, Side::Short);
    assert_eq!(desk.drops(), [SignalDrop::Refused]);
    desk.fill(1_000);
    assert!(desk.entries.is_empty());
}

#[test]
fn nothing_enters_unless_trading_is_active() {
    let (mut desk, _) = asked(0, 1_000);
    desk.event(&Event::Command(Command::SetState(TradingState::Reducing)));
    desk.fill(1_000);
    assert_eq!(desk.drops(), [SignalDrop::NotActive]);
    desk.event(&Event::Command(Command::SetState(TradingState::Active)));
    assert!(desk.entries.is_empty());
}

#[test]
fn a_stale_price_enters_nothing() {
    let (mut desk, _) = asked(0, 1_000);
    desk.wait(Nanos::from_millis(3_001));
    desk.fill(1_000);
    assert_eq!(desk.drops(), [SignalDrop::NoPrice]);
    assert!(desk.entries.is_empty());
}

#[test]
fn what_is_below_the_smallest_order_is_not_entered() {
    let (mut desk, _) = asked(0, 10);
    desk.fill(10);
    // 0.01 at 1,100.00 is 11, and 20 is the least; exits are exempt.
    assert_eq!(desk.drops(), [SignalDrop::TooSmall]);
    assert!(desk.entries.is_empty());
}

#[test]
fn what_is_gone_by_no_order_of_ours_is_not_entered_anew() {
    let (mut desk, id) = asked(0, 1_000);
    let lost = Report::LegLost { position: id, leg: 0, qty: Qty::new(400).unwrap() };
    desk.event(&Event::Report(lost));
    desk.fill(1_000);
    assert_eq!(desk.drops(), [SignalDrop::NotFilled]);
    assert!(desk.entries.is_empty());
    // The same signal again does not make it whole.
    let (mut desk, id) = asked(0, 1_000);
    let lost = Report::LegLost { position: id, leg: 0, qty: Qty::new(400).unwrap() };
    desk.event(&Event::Report(lost));
    desk.signal(0, Side::Short);
    desk.fill(1_000);
    assert_eq!(desk.drops(), [SignalDrop::Replaced, SignalDrop::NotFilled]);
    assert!(desk.entries.is_empty());
    // Nor does it matter when it went.
    let mut desk = Desk::new();
    let id = desk.hold(0, 0, Side::Long, 100_000, 1_000);
    desk.quote(0, 110_000, 110_010);
    let lost = Report::LegLost { position: id, leg: 0, qty: Qty::new(400).unwrap() };
    desk.event(&Event::Report(lost));
    desk.signal(0, Side::Short);
    desk.fill(1_000);
    assert_eq!(desk.drops(), [SignalDrop::NotFilled]);
    assert!(desk.entries.is_empty());
}

/// A position is under a version; what takes its place gets the newest one of the same policy.
#[test]
fn a_turn_gets_the_version_that_is_in_force_now() {
    let mut desk = Desk::new();
    let commit = |policy| {
        let (of, policy) = (PolicyId(0), PolicyId(policy));
        Event::Command(Command::Commit { of, policy })
    };
    desk.event(&commit(2));
    let id = desk.hold(0, 0, Side::Long, 100_000, 1_000);
    assert_eq!(desk.engine.policy_of(id), Some(PolicyId(2)));
    desk.event(&commit(1));
    desk.quote(0, 110_000, 110_010);
    desk.signal(0, Side::Short);
    desk.fill(1_000);
    desk.fill(1_000);
    let entered = &desk.entered[0];
    assert_eq!(entered.spec.policy, PolicyId(0));
    assert_eq!(desk.engine.policy_of(entered.id), Some(PolicyId(1)));
}

#[test]
fn what_a_task_holds_is_its_own() {
    let (mut desk, _) = asked(0, 1_000);
    let leg = |at| TaskLeg { account: AccountId(0), instrument: InstrumentId(at) };
    let spot = leg(1);
    desk.engine.add_task(TaskSpec { spot, ..task_of(leg(0)) }).unwrap();
    desk.quote(1, 100_000, 100_010);
    assert_eq!(desk.entries.len(), 1, "the task's");
    desk.fill(1_000);
    assert_eq!(desk.drops(), [SignalDrop::Locked]);
    assert_eq!(desk.entries.len(), 1);
    // The other way about: a turn at work keeps a task from its instrument.
    let (mut desk, _) = asked(0, 1_000);
    let spot = leg(2);
    desk.engine.add_task(TaskSpec { spot, ..task_of(leg(0)) }).unwrap();
    desk.fill(1_000);
    desk.quote(2, 100_000, 100_010);
    assert_eq!(desk.entries.len(), 1, "the turn's alone");
    desk.fill(1_000);
    desk.quote(2, 100_000, 100_010);
    assert_eq!(desk.entries.len(), 2);
}

fn task_of(futures: TaskLeg) -> TaskSpec {
    TaskSpec {
        policy: PolicyId(1),
        tag: 0,
        spot: futures,
        futures,
        size: Decimal { mantissa: 500, scale: 0 },
        max_cost: Rate::ZERO,
        cooldown: Nanos(0),
        losing_max: 0,
        cycles_max: 0,
        unreachable: Unreachable::Allow,
        liquidation: None,
    }
}

#[test]
fn what_its_order_fills_is_the_position() {
    let (mut desk, _) = asked(0, 1_000);
    desk.fill(1_000);
    desk.fill(300);
    assert_eq!(desk.entered[0].spec.legs[0].qty.raw(), 300);
    let (mut desk, _) = asked(0, 1_000);
    desk.fill(1_000);
    desk.fill(0);
    assert_eq!(desk.drops(), [SignalDrop::Missed]);
    assert!(desk.entered.is_empty() && !desk.engine.is_entering());
    // The executor refuses what has left the limit meanwhile: it comes to nothing as well.
    assert_eq!(desk.orders.len(), 0);
}

#[test]
fn a_signal_against_an_entry_at_work_is_dropped() {
    let (mut desk, _) = asked(0, 1_000);
    desk.fill(1_000);
    desk.signal(0, Side::Long);
    assert_eq!(desk.drops(), [SignalDrop::Entering]);
    desk.fill(1_000);
    assert_eq!(desk.entered.len(), 1);
}

#[test]
fn positions_of_several_legs_cannot_be_turned() {
    let mut desk = Desk::new();
    let mut spec = desk.spec(0, 0, Side::Long, 100_000, 1_000);
    let other = desk.spec(0, 1, Side::Short, 100_000, 1_000).legs[0];
    spec.legs.push(other);
    let refused = desk.engine.register(START, &spec).unwrap_err();
    assert!(
        matches!(refused, RegisterError::Rule { field: "legs of a reversal that enters", .. }),
        "{refused}"
    );
}
