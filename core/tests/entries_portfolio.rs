//! Entries of tasks beside the rules over all positions: the total, breakers, room, currency.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

#[allow(dead_code, reason = "one harness for several files")]
mod entering;

use entering::{Desk, amount, instrument, task};
use num_bigint::BigInt;
use reap_core::engine::{Engine, EngineLimits};
use reap_core::entry::TaskId;
use reap_core::event::{Command, Event, GateSettings, Latch, Outcome, Report, TradingState, Which};
use reap_core::instrument::{AccountId, CurrencyId, Instrument, InstrumentId};
use reap_core::intent::{Reason, Urgency};
use reap_core::limits::{PPB, QTY_MAX};
use reap_core::order::{Order, OrderSide};
use reap_core::policy::{Policy, PolicyId};
use reap_core::portfolio::{Breakers, DrawdownFrom, PortfolioSettings};
use reap_core::position::{LegSpec, PositionSpec, PositionState, Side};
use reap_core::task::{TaskSpec, TaskState};
use reap_core::units::{Nanos, Price, Qty, Rate};

fn breakers() -> PortfolioSettings {
    let levels = [300, 400, 500].map(Rate::from_bps);
    let (from, reset) = (DrawdownFrom::Baseline, Nanos(0));
    let equity = amount(10_000);
    let breakers = Breakers { equity, levels, from, filter: false, reset };
    PortfolioSettings { breakers: Some(breakers), ..PortfolioSettings::off(CurrencyId(0)) }
}

/// What tasks have bought and sold counts from the first fill to the last, whatever came of it:
/// every fill of every entry, of what undid it and of the exit, and what is open at its exit price.
#[test]
fn the_total_of_all_positions_holds_every_fill_of_a_task() {
    let mut seed = 5u64;
    let mut below = |bound: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) as i64) % bound
    };
    let (mut missed, mut partial, mut whole) = (0, 0, 0);
    for _ in 0..300 {
        let spec = instrument(1, 1);
        let portfolio = PortfolioSettings::off(CurrencyId(0));
        let task = TaskSpec { losing_max: 0, cooldown: Nanos(0), ..task(50_000) };
        let mut desk = Desk::beside(Some(portfolio), [spec, spec], Policy::of([]), &[task]);
        // Cash of every fill, and what is held by instrument, positive for long.
        let (mut cash, mut held) = (BigInt::from(0), [0i64; 2]);
        let (mut orders, mut quotes) = (Vec::<Order>::new(), [(0, 0); 2]);
        for _ in 0..40 {
            desk.wait(Nanos::from_secs(1));
            let at = below(2) as usize;
            let bid = if at == 0 { 4_999_000 } else { 4_990_000 } + below(1_000);
            quotes[at] = (bid, bid + 1 + below(500));
            desk.quote(at as u16, quotes[at].0, quotes[at].1);
            let open = desk.engine.task(TaskId(0)).unwrap().state == TaskState::Open;
            if open && below(3) == 0 {
                let close = Command::Close { which: Which::All, urgency: Urgency::Critical };
                desk.event(&Event::Command(close));
            }
            orders.append(&mut desk.take());
            while let Some(order) = orders.pop() {
                let share = [0, order.qty.raw(), below(order.qty.raw() + 1)][below(3) as usize];
                let qty = if order.limit.is_none() { order.qty.raw() } else { share };
                let limit = order.limit.map_or(4_995_000, Price::raw);
                let at = usize::from(order.instrument.0);
                let sign = if order.side == OrderSide::Buy { 1 } else { -1 };
                held[at] += sign * qty;
                let (notional, ppb) = (BigInt::from(limit) * qty, BigInt::from(PPB));
                cash -= BigInt::from(sign) * &notional * &ppb + &notional * 500_000;
                desk.fill(&order, limit, qty);
                orders.append(&mut desk.take());
            }
            let view = desk.engine.task(TaskId(0)).unwrap();
            if view.state == TaskState::Entering {
                continue;
            }
            // Closing pays the fee and a tenth more, at the price of the side that is sold to.
            let mut worth = cash.clone();
            for (held, (bid, ask)) in held.iter().zip(quotes) {
                let price = if *held > 0 { bid } else { ask };
                let notional = BigInt::from(price) * *held;
                let fee = BigInt::from(price) * held.abs() * 550_000;
                worth += notional * PPB - fee;
            }
            let total = desk.engine.portfolio().unwrap().total.mantissa;
            assert_eq!(BigInt::from(total), worth * 10_000, "{view:?}");
            missed += u64::from(view.missed > 0);
            whole += u64::from(view.state == TaskState::Open && held[0] == 1_000);
            partial += u64::from(view.state == TaskState::Open && held[0] < 1_000);
        }
    }
    assert!(missed > 100 && partial > 100 && whole > 100, "{missed} {partial} {whole}");
}

/// A breaker trips while an entry is at work: what comes of the entry is closed as well.
#[test]
fn what_was_entered_before_a_close_of_everything_is_closed_after_it() {
    let spec = instrument(1, 1);
    let tasks = [task(50_000)];
    let mut desk = Desk::beside(Some(breakers()), [spec, spec], Policy::of([]), &tasks);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_990_000, 4_990_001);
    let orders = desk.take();
    desk.fill(&orders[0], 5_000_000, 1_000);
    // A position of somebody else loses 500 of 10 000.
    let other = desk.hold(InstrumentId(0), Side::Long, 5_048_000);
    desk.pump();
    assert_eq!(desk.engine.trading_state(), TradingState::Halted);
    assert_eq!(desk.engine.state(other), Some(PositionState::Exiting));
    desk.take();
    desk.fill(&orders[1], 4_990_000, 1_000);
    assert_eq!(desk.state(0), TaskState::Exiting);
    assert_eq!(desk.take().len(), 2, "both legs are closed");
    // Its plan ends with both legs open: what wanted it closed still does.
    let position = desk.engine.task(TaskId(0)).unwrap().position.unwrap();
    let ended = Report::PlanEnded { position, intent: u64::MAX, outcome: Outcome::Missed };
    desk.engine.on_event(desk.now, &Event::Report(ended));
    let again = desk.engine.poll_intent().unwrap();
    assert_eq!((again.position, again.reason), (position, Reason::DrawdownBreaker));
}

/// A close of everything is over: what is entered after it stays.
#[test]
fn what_is_entered_after_a_close_of_everything_is_no_part_of_it() {
    let spec = instrument(1, 1);
    let tasks = [task(50_000)];
    let off = PortfolioSettings::off(CurrencyId(0));
    let portfolio = PortfolioSettings { loss: Some(amount(-400)), ..off };
    let mut desk = Desk::beside(Some(portfolio), [spec, spec], Policy::of([]), &tasks);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.quote(1, 4_950_000, 4_950_001);
    let other = desk.hold(InstrumentId(0), Side::Long, 5_048_000);
    desk.pump();
    let orders = desk.take();
    desk.fill(&orders[0], 4_999_900, 1_000);
    assert_eq!(desk.engine.state(other), Some(PositionState::Closed));
    desk.wait(Nanos::from_millis(1));
    desk.event(&Event::Command(Command::Reset(Latch::PortfolioLoss)));
    assert_eq!(desk.engine.trading_state(), TradingState::Active);
    desk.wait(Nanos::from_millis(1));
    desk.quote(1, 4_990_000, 4_990_001);
    let orders = desk.take();
    desk.fill(&orders[0], 5_000_000, 1_000);
    desk.fill(&orders[1], 4_990_000, 1_000);
    assert_eq!(desk.state(0), TaskState::Open);
    assert_eq!(desk.take(), [], "it is not closed");
}

/// The portfolio's sums have no room for what an entry would bring: nothing is sent for it.
#[test]
fn an_entry_beyond_the_room_of_the_portfolio_s_sums_is_not_sent() {
    let spec = instrument(1, 1);
    for (held, entries) in [(QTY_MAX - 999, 0), (QTY_MAX - 1_000, 1)] {
        let portfolio = PortfolioSettings::off(CurrencyId(0));
        let mut desk = Desk::beside(Some(portfolio), [spec, spec], Policy::of([]), &[task(50_000)]);
        let leg = LegSpec {
            account: AccountId(1),
            instrument: InstrumentId(1),
            side: Side::Short,
            entry: Price::new(4_990_000).unwrap(),
            qty: Qty::new(held).unwrap(),
            fees_paid: amount(0),
            funding: amount(0),
            margin: None,
        };
        let legs = [leg].into_iter().collect();
        let spec = PositionSpec { policy: PolicyId(0), opened: desk.now, tag: 0, legs };
        desk.engine.register(desk.now, &spec).unwrap();
        desk.quote(0, 4_999_900, 5_000_000);
        desk.quote(1, 4_990_000, 4_990_001);
        assert_eq!(desk.entries.len(), entries, "beside {held}");
    }
}

/// The event that allows no entries any more sends none.
#[test]
fn an_entry_and_a_breaker_of_the_same_quote_enter_nothing() {
    let spec = instrument(1, 1);
    let tasks = [task(50_000)];
    let mut desk = Desk::beside(Some(breakers()), [spec, spec], Policy::of([]), &tasks);
    desk.quote(0, 4_999_900, 5_000_000);
    desk.hold(InstrumentId(1), Side::Short, 4_950_000);
    desk.quote(1, 4_990_000, 4_995_000);
    assert_eq!(desk.engine.trading_state(), TradingState::Reducing);
    assert!(desk.entries.is_empty(), "{:?}", desk.entries);
    assert_eq!((desk.state(0), desk.take().len()), (TaskState::Idle, 1));
}

#[test]
fn a_task_in_another_currency_than_the_portfolio_is_refused() {
    let instruments = [instrument(1, 1); 2].map(|spec| Instrument::new(spec).unwrap());
    let limits = EngineLimits::any(8, 4, 64);
    let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
    engine.add_policy(Policy::of([])).unwrap();
    engine.set_portfolio(PortfolioSettings::off(CurrencyId(1))).unwrap();
    let refused = engine.add_task(task(50_000)).unwrap_err().to_string();
    assert!(refused.contains("currency"), "{refused}");
}
