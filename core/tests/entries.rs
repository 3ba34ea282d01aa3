//! Entries of tasks, from the quotes that allow them to the position that comes of them.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[allow(dead_code, reason = "one harness for several files")]
mod entering;

use entering::{Desk, basis, instrument, task};
use num_bigint::BigInt;
use reap_core::entry::TaskId;
use reap_core::event::{Command, Event, TaskCommand, Which};
use reap_core::instrument::InstrumentId;
use reap_core::intent::Urgency;
use reap_core::limits::PPB;
use reap_core::note::TaskNote;
use reap_core::order::{OrderChange, OrderSide, RejectClass};
use reap_core::policy::{Policy, PolicyId};
use reap_core::position::{PositionId, PositionState};
use reap_core::task::{TaskSpec, TaskState, Unreachable};
use reap_core::units::{Nanos, Price, Qty, Rate};

/// SPEC §12: spot 50 000 long, futures 49 750 short, 5 bp fees: the entry costs 0.50 % and is allowed;
/// convergence would bring −349.75.
#[test]
fn an_entry_at_exactly_its_cost_is_allowed_and_its_convergence_is_said() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000)]);
    desk.quote(0, 4_999_999, 5_000_000);
    desk.quote(1, 4_974_999, 4_975_001);
    assert!(desk.entries.is_empty(), "a cent above 0.50 %");
    desk.quote(1, 4_975_000, 4_975_001);
    let [spot, futures] = desk.entries[0].legs;
    assert_eq!((spot.qty.raw(), futures.qty.raw()), (1_000, 1_000));
    assert_eq!((spot.limit.raw(), futures.limit.raw()), (5_000_000, 4_975_000));
    let unreachable = desk.notes.iter().find_map(|note| match note {
        TaskNote::Unreachable { net, target, refused } => Some((*net, *target, *refused)),
        _ => None,
    });
    let (net, target, refused) = unreachable.unwrap();
    assert_eq!(net.round_floor(4).to_string(), "-349.7500");
    assert_eq!(target.round_floor(4).to_string(), "290.0000");
    assert!(!refused);
    let orders = desk.take();
    assert_eq!(
        orders.iter().map(|one| one.side).collect::<Vec<_>>(),
        [OrderSide::Buy, OrderSide::Sell]
    );
    assert_eq!(desk.state(0), TaskState::Entering);
    desk.fill(&orders[0], 5_000_000, 1_000);
    desk.fill(&orders[1], 4_975_000, 1_000);
    let view = desk.engine.task(TaskId(0)).unwrap();
    assert_eq!(view.state, TaskState::Open);
    let id = view.position.unwrap();
    assert_eq!(desk.engine.state(id), Some(PositionState::Open));
    // Both at 49 875: −125, −125, entry fees of 49.875, exit fees of 49.875.
    desk.quote(0, 4_987_500, 4_987_501);
    desk.quote(1, 4_987_499, 4_987_500);
    let close = Command::Close { which: Which::Position(id), urgency: Urgency::Critical };
    desk.event(&Event::Command(close));
    assert_eq!(desk.state(0), TaskState::Exiting);
    for order in desk.take() {
        desk.fill(&order, 4_987_500, 1_000);
    }
    let view = desk.engine.task(TaskId(0)).unwrap();
    assert_eq!((view.state, view.cycles, view.losing), (TaskState::Idle, 1, 1));
    assert_eq!(view.net.round_floor(4).to_string(), "-349.7500");
    assert_eq!(view.volume.round_floor(0).to_string(), "199500");
}

#[test]
fn an_entry_that_cannot_reach_its_target_is_refused_where_it_shall_be() {
    let spec = instrument(1, 1);
    let refuse = TaskSpec { unreachable: Unreachable::Refuse, ..task(50_000) };
    let mut desk = Desk::new([spec, spec], basis(58), &[refuse]);
    desk.quote(0, 4_999_999, 5_000_000);
    desk.quote(1, 4_975_000, 4_975_001);
    desk.quote(1, 4_975_001, 4_975_002);
    assert!(desk.entries.is_empty());
    assert_eq!(desk.notes.len(), 1, "it is said once: {:?}", desk.notes);
    // A premium of the futures pays the fees and the target.
    desk.quote(1, 5_080_000, 5_080_001);
    assert_eq!(desk.entries.len(), 1);
}

/// What convergence must reach is said by the version of the policy that the position would get.
#[test]
fn a_target_is_that_of_the_version_in_force() {
    let spec = instrument(1, 1);
    let refuse = TaskSpec { unreachable: Unreachable::Refuse, ..task(50_000) };
    let mut desk = Desk::new([spec, spec], basis(58), &[refuse]);
    let version = desk.engine.add_policy(Policy::of([])).unwrap();
    desk.quote(0, 4_999_999, 5_000_000);
    desk.quote(1, 4_975_000, 4_975_001);
    assert!(desk.entries.is_empty());
    desk.event(&Event::Command(Command::Commit { of: PolicyId(0), policy: version }));
    desk.quote(1, 4_975_001, 4_975_002);
    assert_eq!(desk.entries.len(), 1, "without a target any convergence is enough");
}

/// The cost is compared as SPEC §5 writes it, with fractions.
#[test]
fn an_entry_is_allowed_exactly_where_its_cost_is() {
    let mut seed = 11u64;
    let mut below = |bound: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) as i64) % bound
    };
    let (mut entered, mut equal) = (0, 0);
    for _ in 0..20_000 {
        let tick = [1, 5, 10][below(3) as usize];
        let lots = [1, 10, 3];
        let (lot_a, lot_b) = (lots[below(3) as usize], lots[below(3) as usize]);
        let mut task = task(1 + i128::from(below(2_000)));
        let cost = [0, 5_000_000, 3_000_000, -2_000_000, 8_000_000][below(5) as usize];
        task.max_cost = Rate::new(cost).unwrap();
        let ask = 10 * (100_000 + below(400_000));
        let at = i128::from(ask) * i128::from(PPB - cost) / i128::from(PPB) / i128::from(tick);
        let bid = (at as i64 + below(5) - 2) * tick;
        let instruments = [instrument(1, lot_a), instrument(tick, lot_b)];
        let mut desk = Desk::new(instruments, basis(58), &[task.clone()]);
        let shown = 1 + below(3_000);
        desk.quote(1, bid, bid + tick);
        desk.quote_of(0, ask - 1, ask, shown);
        let big = |value: i64| BigInt::from(value);
        let cheap = (big(ask) - big(bid)) * PPB <= big(ask) * cost;
        // Whole common lots within the size and what is shown, each side at least 5 USDT.
        let common = (1..).map(|n| n * lot_a).find(|lots| lots % lot_b == 0).unwrap();
        let most = (task.size.mantissa * 100_000 / i128::from(ask)) as i64;
        let qty = most.min(shown) / common * common;
        let enough = qty > 0 && qty * bid >= 500_000 && qty * ask >= 500_000;
        assert_eq!(desk.entries.len(), usize::from(cheap && enough), "{ask} {bid} {cost} {qty}");
        let Some(entry) = desk.entries.first() else { continue };
        entered += 1;
        equal += u64::from((big(ask) - big(bid)) * PPB == big(ask) * cost);
        let [spot, futures] = entry.legs;
        assert_eq!((spot.qty.raw(), futures.qty.raw()), (qty, qty));
        // Limits are no better than the quotes, and together still cost no more.
        let (above, below) = (spot.limit.raw(), futures.limit.raw());
        assert!(above >= ask && below <= bid && below % tick == 0);
        assert!((big(above) - big(below)) * PPB <= big(above) * cost, "{above} {below}");
    }
    assert!(entered > 3_000 && equal > 50, "{entered} entered, {equal} at equality");
}

#[test]
fn what_fills_on_one_leg_alone_is_undone_and_nothing_is_held() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000)]);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_990_000, 4_990_001);
    let orders = desk.take();
    desk.fill(&orders[0], 5_000_000, 600);
    assert!(desk.take().is_empty(), "the other leg is still in flight");
    desk.say(&orders[1], OrderChange::Rejected(RejectClass::Size));
    let undo = desk.take();
    assert_eq!((undo.len(), undo[0].side, undo[0].qty.raw()), (1, OrderSide::Sell, 600));
    assert_eq!(undo[0].limit, None);
    desk.fill(&undo[0], 4_999_900, 200);
    assert!(desk.take().is_empty(), "not at once again");
    desk.wait(Nanos::from_millis(100));
    let undo = desk.take();
    assert_eq!(undo[0].qty.raw(), 400);
    desk.fill(&undo[0], 4_999_900, 400);
    let view = desk.engine.task(TaskId(0)).unwrap();
    assert_eq!((view.state, view.missed, view.losing), (TaskState::Idle, 1, 1));
    // 0.6 · 1.00 lost between ask and bid, and the fees of both.
    let fees = (600i128 * 5_000_000 + 600 * 4_999_900) * 500_000;
    let lost = 600i128 * 100 * i128::from(PPB) + fees;
    assert_eq!(view.net.mantissa, -lost);
    // It tries again after a second.
    desk.quote(1, 4_990_001, 4_990_002);
    assert_eq!(desk.entries.len(), 1);
    desk.wait(Nanos::from_secs(1));
    desk.quote(1, 4_990_000, 4_990_001);
    assert_eq!(desk.entries.len(), 2);
}

/// [X17] One leg of an entry is filled, of the other nobody knows what became of it: after five
/// seconds the filled one is undone, and what the unknown one turns out to have taken is undone too.
#[test]
fn x17_an_entry_with_an_unknown_leg_is_undone_after_the_bound() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000)]);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_990_000, 4_990_001);
    let orders = desk.take();
    desk.fill(&orders[0], 5_000_000, orders[0].qty.raw());
    desk.say(&orders[1], OrderChange::Doubted);
    desk.wait(Nanos::from_millis(4_999));
    assert!(desk.take().is_empty(), "the other leg may still be filled");
    desk.wait(Nanos::from_millis(1));
    let undo = desk.take();
    assert_eq!((undo.len(), undo[0].instrument, undo[0].limit), (1, InstrumentId(0), None));
    assert_eq!((undo[0].side, undo[0].qty), (OrderSide::Sell, orders[0].qty));
    desk.fill(&undo[0], 4_999_900, undo[0].qty.raw());
    assert_eq!(desk.executor.counters().unhedged, 1);
    assert_eq!(desk.state(0), TaskState::Entering, "its other order may still trade");
    desk.fill(&orders[1], 4_990_000, orders[1].qty.raw());
    let undo = desk.take();
    assert_eq!((undo.len(), undo[0].instrument, undo[0].limit), (1, InstrumentId(1), None));
    assert_eq!((undo[0].side, undo[0].qty), (OrderSide::Buy, orders[1].qty));
    desk.fill(&undo[0], 4_990_001, undo[0].qty.raw());
    assert_eq!(desk.state(0), TaskState::Idle);
    assert_eq!(desk.executor.entries().count(), 0);
}

/// What the unknown leg is known to have taken makes a position with as much of the other one.
#[test]
fn x17_an_entry_keeps_what_matches_a_partly_filled_unknown_leg() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000)]);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_990_000, 4_990_001);
    let orders = desk.take();
    let qty = orders[0].qty.raw();
    desk.fill(&orders[0], 5_000_000, qty);
    let part = |trade_id, qty| OrderChange::Filled {
        trade_id,
        price: Price::new(4_990_000).unwrap(),
        qty: Qty::new(qty).unwrap(),
        fee: 0,
    };
    desk.say(&orders[1], part(100, 400));
    desk.say(&orders[1], OrderChange::Doubted);
    desk.wait(Nanos::from_secs(5));
    let undo = desk.take();
    assert_eq!(
        (undo.len(), undo[0].instrument, undo[0].qty.raw()),
        (1, InstrumentId(0), qty - 400)
    );
    // The rest comes while the other leg is being undone: what it has then is too much of.
    desk.say(&orders[1], part(101, orders[1].qty.raw() - 400));
    assert!(desk.take().is_empty(), "both legs match until the order to undo is filled");
    desk.fill(&undo[0], 4_999_900, qty - 400);
    let undo = desk.take();
    let too_much = orders[1].qty.raw() - 400;
    assert_eq!((undo.len(), undo[0].instrument, undo[0].qty.raw()), (1, InstrumentId(1), too_much));
    desk.fill(&undo[0], 4_990_001, too_much);
    assert_eq!(desk.executor.entries().count(), 0);
    assert_eq!(desk.engine.open(PositionId(0), 0).map(Qty::raw), Some(400));
}

#[test]
fn legs_of_unlike_fills_keep_what_matches_and_money_stays_exact() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000)]);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_990_000, 4_990_001);
    let orders = desk.take();
    // Two fills whose average is on no tick.
    let fill = |price: i64, qty: i64, trade_id| OrderChange::Filled {
        trade_id,
        price: Price::new(price).unwrap(),
        qty: Qty::new(qty).unwrap(),
        fee: 0,
    };
    desk.say(&orders[0], fill(5_000_000, 400, 900));
    desk.say(&orders[0], fill(4_999_999, 600, 901));
    desk.fill(&orders[1], 4_990_000, 700);
    let undo = desk.take();
    assert_eq!((undo[0].side, undo[0].qty.raw()), (OrderSide::Sell, 300));
    desk.fill(&undo[0], 4_999_900, 300);
    let view = desk.engine.task(TaskId(0)).unwrap();
    assert_eq!(view.state, TaskState::Open);
    let id = view.position.unwrap();
    for leg in 0..2 {
        assert_eq!(desk.engine.open(id, leg).unwrap().raw(), 700);
    }
    let close = Command::Close { which: Which::All, urgency: Urgency::Critical };
    desk.event(&Event::Command(close));
    for order in desk.take() {
        let price = if order.side == OrderSide::Sell { 5_010_000 } else { 4_995_000 };
        desk.fill(&order, price, 700);
    }
    let view = desk.engine.task(TaskId(0)).unwrap();
    // Every fill of the cycle: bought is negative, sold positive, less the fees.
    let bought = -(400 * 5_000_000 + 600 * 4_999_999) + 300 * 4_999_900 + 700 * 5_010_000i128;
    let sold = 700 * 4_990_000 - 700 * 4_995_000i128;
    let fees =
        (700 * 4_990_000 + 300 * 4_999_900 + 700 * 5_010_000 + 700 * 4_995_000i128) * 500_000;
    assert_eq!(view.net.mantissa, (bought + sold) * i128::from(PPB) - fees);
}

#[test]
fn a_task_cools_down_pauses_after_three_losses_and_is_told() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000)]);
    for cycle in 1..=3 {
        desk.quote(0, 4_999_900, 5_000_000);
        desk.quote(1, 4_990_000, 4_990_001);
        assert_eq!(desk.entries.len(), cycle);
        for order in desk.take() {
            let price = if order.side == OrderSide::Buy { 5_000_000 } else { 4_990_000 };
            desk.fill(&order, price, order.qty.raw());
        }
        let close = Command::Close { which: Which::All, urgency: Urgency::Critical };
        desk.event(&Event::Command(close));
        for order in desk.take() {
            desk.fill(&order, 4_995_000, order.qty.raw());
        }
        desk.wait(Nanos(Nanos::from_secs(300).0 - 1));
        desk.quote(1, 4_990_000, 4_990_001);
        assert_eq!(desk.entries.len(), cycle, "it cools down");
        desk.wait(Nanos(1));
    }
    assert_eq!(desk.state(0), TaskState::Paused);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_990_000, 4_990_001);
    assert_eq!(desk.entries.len(), 3);
    let tell = |what| Event::Command(Command::Task { task: TaskId(0), what });
    desk.event(&tell(TaskCommand::Resume));
    desk.quote(1, 4_990_001, 4_990_002);
    assert_eq!((desk.entries.len(), desk.state(0)), (4, TaskState::Entering));
    // Told while it is busy: after its position.
    desk.event(&tell(TaskCommand::Stop));
    for order in desk.take() {
        desk.say(&order, OrderChange::Expired);
    }
    assert_eq!(desk.state(0), TaskState::Done);
    assert_eq!(desk.engine.task(TaskId(0)).unwrap().missed, 1);
}

#[test]
fn two_tasks_do_not_share_an_instrument_at_a_time() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000), task(20_000)]);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_990_000, 4_990_001);
    assert_eq!(desk.entries.len(), 1);
    assert_eq!((desk.state(0), desk.state(1)), (TaskState::Entering, TaskState::Idle));
    for order in desk.take() {
        desk.say(&order, OrderChange::Expired);
    }
    desk.quote(1, 4_990_001, 4_990_002);
    assert_eq!((desk.state(0), desk.state(1)), (TaskState::Idle, TaskState::Entering));
}

#[test]
fn what_is_shown_must_be_enough_and_fresh() {
    let spec = instrument(1, 1);
    let mut desk = Desk::new([spec, spec], basis(58), &[task(50_000)]);
    desk.quote(1, 4_990_000, 4_990_001);
    // A thousandth of a coin is 50 USDT: enough. The venue's lot of futures is shown by none.
    desk.quote_of(0, 4_999_900, 5_000_000, 1);
    assert_eq!(desk.entries.len(), 1);
    assert_eq!(desk.entries[0].legs[1].qty.raw(), 1);
    for order in desk.take() {
        desk.say(&order, OrderChange::Expired);
    }
    desk.wait(Nanos::from_secs(61));
    desk.quote(0, 4_999_900, 5_000_000);
    assert_eq!(desk.entries.len(), 1, "the futures' quote is too old");
    desk.quote(1, 4_990_000, 4_990_001);
    assert_eq!(desk.entries.len(), 2);
}
