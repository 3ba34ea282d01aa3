//! Entries between engine and execution on their rings: on record before an order leaves, taken on as
//! positions, and what a stop in the middle of one leaves behind. Everything is stepped by hand.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod desk;

use std::sync::atomic::Ordering;

use reap_core::event::{Command, EntryOutcome, Report, TaskCommand, TradingState, Which};
use reap_core::intent::Urgency;
use reap_core::log::{Named, Record};
use reap_core::note::{EngineNote, TaskNote};
use reap_core::order::{Order, OrderChange, OrderEvent, OrderSide};
use reap_core::position::Side;
use reap_core::task::Unreachable;
use reap_shell::config::{Config, Mode};
use reap_shell::live::engine::Sink;
use reap_shell::live::run::for_mode;
use reap_shell::live::runner::Agent;
use reap_shell::live::wires::Told;
use reap_shell::story::Note;

use desk::{Desk, Rooms};

const CONFIG: &str = r#"
[venue.s]
kind = "binance_spot"
taker = "0%"
maker = "0%"

[venue.v]
kind = "binance_usdm"
taker = "0%"
maker = "0%"

[instrument.a]
venue = "s"
symbol = "AUSDT"
quote = "USDT"
tick = "0.01"
lot = "1"
min_notional = "5 USDT"

[instrument.b]
venue = "v"
symbol = "AUSDT"
quote = "USDT"
tick = "0.01"
lot = "1"
min_notional = "5 USDT"

[policy.p]
take_profit = "1%"

[policy.turns]
reversal = { at = "1%", enter = true }

[task.carry]
policy = "p"
spot = "a"
futures = "b"
size = "1000 USDT"

[[position]]
name = "pb"
policy = "turns"
opened = "2026-01-05T08:00:00Z"
legs = [{ instrument = "b", account = "other", side = "long", entry = "100", qty = "10" }]
"#;

fn config() -> Config {
    Config::parse("entries.toml", CONFIG).unwrap_or_else(|error| panic!("{error}"))
}

fn push(desk: &mut Desk, at: u16, bid: i64) {
    let soon = desk.soon();
    let tick = desk.quote(at, bid, soon);
    desk.sink.tick(soon, &tick);
}

/// Spot at 100.01, futures as dear as to enter; what the venue does is the case's.
fn entering(fills: bool) -> Desk {
    let mut desk = Desk::of(config(), Rooms::default(), |_, _| {});
    desk.venue.lock().fills = fills;
    push(&mut desk, 0, 10_000);
    push(&mut desk, 1, 10_000);
    desk.settle();
    desk
}

fn sent(desk: &Desk) -> Vec<Order> {
    desk.venue.lock().sent.clone()
}

fn place(records: &[Record], what: impl Fn(&Record) -> bool) -> usize {
    records.iter().position(what).expect("it is on record")
}

#[test]
fn an_entry_is_on_record_before_its_orders_leave_and_becomes_a_position() {
    let mut desk = entering(true);
    let [spot, futures] = sent(&desk)[..] else { panic!("both legs") };
    assert_eq!((spot.side, futures.side), (OrderSide::Buy, OrderSide::Sell));
    assert_eq!((spot.qty.raw(), futures.qty.raw()), (9, 9));
    let records = desk.records();
    let entry = place(&records, |record| matches!(record, Record::Entry(_)));
    let order = place(&records, |record| matches!(record, Record::Order(_)));
    let fill = place(&records, |record| matches!(record, Record::Report(Report::EntryFill { .. })));
    let position = place(&records, |record| matches!(record, Record::Position { .. }));
    assert!(entry < order && order < fill && fill < position);
    let Record::Position { id, spec, .. } = &records[position] else { unreachable!() };
    assert_eq!(spec.legs.iter().map(|leg| leg.qty.raw()).collect::<Vec<_>>(), [9, 9]);
    let Record::Name { of, text } = &records[position - 1] else { panic!("its name is first") };
    assert_eq!((of, text.as_str()), (&Named::Position(*id), "carry"));
    let mut told = Vec::new();
    while let Some(one) = desk.told.pop() {
        told.push(one);
    }
    let arrived = told.iter().any(
        |one| matches!(one, Told::Note(_, Note::Entered(of)) if of.id == *id && of.spec() == *spec),
    );
    assert!(arrived, "main hears of it");
    // From here on it is a position like any other: closed, and the task is as it was.
    let which = Which::Position(*id);
    desk.commands.push(Command::Close { which, urgency: Urgency::Protective }).unwrap();
    desk.settle();
    assert_eq!(sent(&desk).len(), 4);
    let done = |record: &Record| matches!(record, Record::Report(Report::PlanEnded { .. }));
    assert!(desk.records().iter().any(done));
    assert!(desk.alarms().is_empty());
}

/// The intent is of the event that registers the position: execution knows the position before it.
#[test]
fn a_rule_that_holds_at_once_closes_what_was_just_entered() {
    let text = CONFIG.replace("take_profit = \"1%\"", "stop_loss = \"0.01%\"");
    let config = Config::parse("entries.toml", &text).unwrap();
    let mut desk = Desk::of(config, Rooms::default(), |_, _| {});
    push(&mut desk, 0, 10_000);
    push(&mut desk, 1, 10_000);
    desk.settle();
    let sides: Vec<_> = sent(&desk).iter().map(|order| order.side).collect();
    use OrderSide::{Buy, Sell};
    assert_eq!(sides[..4], [Buy, Sell, Sell, Buy]);
    let records = desk.records();
    let position = place(&records, |record| matches!(record, Record::Position { .. }));
    let intent = place(&records, |record| matches!(record, Record::Intent(_)));
    assert!(position < intent);
}

#[test]
fn what_one_leg_alone_has_is_undone_and_the_task_tries_again_later() {
    let mut desk = entering(false);
    let [spot, futures] = sent(&desk)[..] else { panic!("both legs") };
    let say = |desk: &Desk, id, what| {
        desk.venue.lock().inbox.push_back(OrderEvent { id, what });
    };
    desk.venue.lock().fill(&spot);
    say(&desk, futures.id, OrderChange::Expired);
    desk.settle();
    let undoes = sent(&desk)[2];
    assert_eq!((undoes.side, undoes.qty, undoes.limit), (OrderSide::Sell, spot.qty, None));
    desk.venue.lock().fill(&undoes);
    desk.settle();
    let nothing = |record: &Record| {
        let outcome = EntryOutcome::Nothing;
        matches!(record, Record::Report(Report::EntryEnded { outcome: how, .. }) if *how == outcome)
    };
    let records = desk.records();
    assert!(records.iter().any(nothing));
    assert!(!records.iter().any(|record| matches!(record, Record::Position { .. })));
    assert!(desk.alarms().is_empty());
}

/// Nothing is sent any more, so what one leg has stays: that is said, with how much.
#[test]
fn a_stop_in_the_middle_of_an_entry_says_what_is_left() {
    let mut desk = entering(false);
    let [spot, futures] = sent(&desk)[..] else { panic!("both legs") };
    desk.venue.lock().fill(&spot);
    desk.settle();
    desk.stop_execution.store(true, Ordering::Release);
    desk.step_execution();
    assert!(!desk.execution.is_done(), "an order may still trade");
    let expired = OrderEvent { id: futures.id, what: OrderChange::Expired };
    desk.venue.lock().inbox.push_back(expired);
    while !desk.execution.is_done() {
        desk.step_execution();
    }
    assert_eq!(sent(&desk).len(), 2, "not even to undo");
    let alarms = desk.alarms();
    let left = |text: &String| text.starts_with("carry: its entry has not ended: 9 and 0 of");
    assert!(alarms.iter().any(left), "{alarms:?}");
}

#[test]
fn an_entry_that_comes_after_the_stop_is_on_record_and_comes_to_nothing() {
    let mut desk = Desk::of(config(), Rooms::default(), |_, _| {});
    push(&mut desk, 0, 10_000);
    push(&mut desk, 1, 10_000);
    desk.step_engine();
    desk.stop_execution.store(true, Ordering::Release);
    while !desk.execution.is_done() {
        desk.step_execution();
    }
    assert!(sent(&desk).is_empty());
    let records = desk.records();
    assert!(records.iter().any(|record| matches!(record, Record::Entry(_))));
    let unsent = records.iter().filter(|record| matches!(record, Record::NotSent { .. })).count();
    assert_eq!(unsent, 2);
    assert!(desk.alarms().iter().all(|text| !text.contains("has not ended")));
}

#[test]
fn commands_reach_tasks_and_signals_turn_positions() {
    let mut desk = Desk::of(config(), Rooms::default(), |_, _| {});
    let task = reap_core::entry::TaskId(0);
    desk.commands.push(Command::Task { task, what: TaskCommand::Pause }).unwrap();
    desk.settle();
    push(&mut desk, 0, 10_000);
    push(&mut desk, 1, 10_200);
    desk.open(0);
    desk.settle();
    assert!(sent(&desk).is_empty(), "the task is paused");
    let instrument = reap_core::instrument::InstrumentId(1);
    desk.commands.push(Command::Signal { instrument, side: Side::Short }).unwrap();
    desk.settle();
    let orders = sent(&desk);
    let sides: Vec<_> = orders.iter().map(|order| (order.side, order.qty.raw())).collect();
    assert_eq!(sides, [(OrderSide::Sell, 10), (OrderSide::Sell, 10)], "the exit, then the entry");
    let records = desk.records();
    let names: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::Name { of: Named::Position(_), text } => Some(text.as_str().to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(names.len(), 2);
    assert_eq!(names[0], names[1], "under the name of the one that it takes the place of");
    // No entries any more: the next signal closes and enters nothing.
    desk.commands.push(Command::SetState(TradingState::Reducing)).unwrap();
    push(&mut desk, 1, 9_900);
    desk.settle();
    desk.commands.push(Command::Signal { instrument, side: Side::Long }).unwrap();
    desk.settle();
    assert_eq!(sent(&desk).len(), 3);
}

/// Nothing is sent while the trading state is stopped; the exit that waits goes out after it.
#[test]
fn while_stopped_an_exit_waits_and_the_record_says_why() {
    let mut desk = Desk::of(config(), Rooms::default(), |_, _| {});
    push(&mut desk, 1, 10_200);
    desk.open(0);
    desk.settle();
    desk.commands.push(Command::SetState(TradingState::Stopped)).unwrap();
    desk.settle();
    desk.commands.push(Command::Close { which: Which::All, urgency: Urgency::Critical }).unwrap();
    desk.settle();
    assert!(sent(&desk).is_empty());
    desk.commands.push(Command::SetState(TradingState::Halted)).unwrap();
    desk.settle();
    assert_eq!(sent(&desk).len(), 1, "halted allows exits");
    let records = desk.records();
    let stopped =
        |on| move |of: &Record| matches!(of, Record::Stopped { stopped } if *stopped == on);
    let intent = place(&records, |record| matches!(record, Record::Intent(_)));
    let order = place(&records, |record| matches!(record, Record::Order(_)));
    let (from, to) = (place(&records, stopped(true)), place(&records, stopped(false)));
    assert!(from < intent && intent < to && to < order);
}

/// SPEC §5: live mode refuses an entry whose target convergence cannot reach, other modes warn.
#[test]
fn only_a_live_run_refuses_what_cannot_be_reached() {
    let allows = "[task.allows]\npolicy = \"p\"\nspot = \"a\"\nfutures = \"b\"\n\
                  allow_unreachable = true\n";
    let text = format!("{CONFIG}{allows}");
    let config = Config::parse("entries.toml", &text).unwrap();
    for (mode, expected) in [
        (Mode::Live, Unreachable::Refuse),
        (Mode::Paper, Unreachable::Warn),
        (Mode::DryRun, Unreachable::Warn),
        (Mode::Sim, Unreachable::Warn),
    ] {
        let tasks = for_mode(config.clone(), mode).tasks;
        let found = tasks.iter().map(|task| (task.name.as_str(), task.spec.unreachable));
        let of = |wanted| found.clone().find(|(name, _)| *name == wanted).unwrap().1;
        assert_eq!((of("carry"), of("allows")), (expected, Unreachable::Allow), "{mode:?}");
    }
    // The spot costs a cent more than the futures bring: 1 % is out of reach.
    for (mode, orders, refused) in [(Mode::Live, 0, true), (Mode::Paper, 2, false)] {
        let config = for_mode(self::config(), mode);
        let mut desk = Desk::of(config, Rooms::default(), |_, _| {});
        push(&mut desk, 0, 10_000);
        push(&mut desk, 1, 10_000);
        desk.settle();
        assert_eq!(sent(&desk).len(), orders, "{mode:?}");
        let mut said = Vec::new();
        while let Some(told) = desk.told.pop() {
            if let Told::Note(_, Note::Engine(EngineNote::Task { what, .. })) = told {
                said.push(what);
            }
        }
        let why = |what: &TaskNote| matches!(what, TaskNote::Unreachable { refused: found, .. } if *found == refused);
        assert!(said.iter().any(why), "{mode:?}: {said:?}");
    }
}
