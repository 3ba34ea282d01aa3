//! What must be free before an entry goes out: nothing on its account opposes it, and its position has
//! room.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod turning;

use reap_core::entry::TaskId;
use reap_core::event::{Command, Event, TaskCommand, Which};
use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::intent::Urgency;
use reap_core::limits::TRACKS_MAX;
use reap_core::note::{EngineNote, SignalDrop, TaskNote};
use reap_core::policy::{Distance, Policy, PolicyId, Rule};
use reap_core::position::{PositionState, RegisterError, Side};
use reap_core::task::{TaskLeg, TaskSpec, TaskState, Unreachable};
use reap_core::units::{Decimal, Nanos, Qty, Rate};

use turning::Desk;

/// Buys instrument 1 and sells instrument 0.
fn task(account: u8) -> TaskSpec {
    let leg = |at| TaskLeg { account: AccountId(account), instrument: InstrumentId(at) };
    TaskSpec {
        policy: PolicyId(1),
        tag: 0,
        spot: leg(1),
        futures: leg(0),
        size: Decimal { mantissa: 500, scale: 0 },
        max_cost: Rate::ZERO,
        cooldown: Nanos(0),
        losing_max: 0,
        cycles_max: 0,
        unreachable: Unreachable::Allow,
        liquidation: None,
    }
}

/// A short of account 3 was turned to a long.
fn turned() -> Desk {
    let mut desk = Desk::new();
    desk.hold(0, 0, Side::Short, 100_000, 1_000);
    desk.quote(0, 89_990, 90_000);
    desk.signal(0, Side::Long);
    desk.fill(1_000);
    desk.fill(1_000);
    assert_eq!((desk.entries.len(), desk.entered[0].spec.legs[0].side), (1, Side::Long));
    desk
}

#[test]
fn a_task_sells_nothing_that_its_account_holds_long() {
    let mut desk = turned();
    desk.engine.add_task(task(3)).unwrap();
    desk.quote(1, 89_000, 89_005);
    assert_eq!(desk.entries.len(), 1, "one-way accounts net the two");
    assert_eq!(waits(&desk), [SignalDrop::Locked]);
    // It is closed: the task goes on, within a second.
    let (which, urgency) = (Which::Position(desk.entered[0].id), Urgency::Critical);
    desk.event(&Event::Command(Command::Close { which, urgency }));
    desk.wait(Nanos::from_millis(1));
    desk.quote(1, 89_000, 89_005);
    assert_eq!(desk.entries.len(), 1, "its exit is at work");
    desk.fill(1_000);
    desk.wait(Nanos::from_millis(1_000));
    desk.quote(0, 89_990, 90_000);
    desk.quote(1, 89_000, 89_005);
    assert_eq!(desk.entries.len(), 2);
    // Another account may hold the other side.
    let mut desk = turned();
    desk.engine.add_task(task(4)).unwrap();
    desk.quote(1, 89_000, 89_005);
    assert_eq!(desk.entries.len(), 2);
}

#[test]
fn nothing_is_registered_against_an_entry_that_is_at_work() {
    let mut desk = turned();
    desk.engine.add_task(task(4)).unwrap();
    desk.quote(1, 89_000, 89_005);
    assert!(desk.engine.is_entering());
    let mut spec = desk.spec(1, 0, Side::Long, 90_000, 1_000);
    spec.legs[0].account = AccountId(4);
    let refused = RegisterError::Opposite { leg: 0, account: 4, instrument: 0 };
    assert_eq!(desk.engine.register(desk.now, &spec), Err(refused));
    spec.legs[0].side = Side::Short;
    desk.engine.register(desk.now, &spec).unwrap();
    assert_eq!(Qty::new(1_000), Ok(spec.legs[0].qty));
}

/// Why tasks have said that they wait.
fn waits(desk: &Desk) -> Vec<SignalDrop> {
    let why = |note: &EngineNote| match *note {
        EngineNote::Task { what: TaskNote::Waits { why }, .. } => Some(why),
        _ => None,
    };
    desk.notes.iter().filter_map(why).collect()
}

fn close(desk: &mut Desk, which: Which) {
    let urgency = Urgency::Critical;
    desk.event(&Event::Command(Command::Close { which, urgency }));
}

/// Every slot is taken: nothing is bought that no rule could watch. What an entry at work will need
/// is given to nobody else.
#[test]
fn an_entry_goes_out_only_when_its_position_has_room() {
    let mut desk = Desk::new();
    desk.engine.add_task(task(3)).unwrap();
    let held: Vec<_> = (0..32).map(|_| desk.hold(1, 2, Side::Long, 100_000, 100)).collect();
    desk.quote(2, 100_000, 100_010);
    desk.quote(0, 89_990, 90_000);
    desk.quote(1, 89_000, 89_005);
    assert!(desk.entries.is_empty(), "32 positions are the limit");
    desk.wait(Nanos::from_secs(1));
    desk.quote(0, 89_990, 90_000);
    desk.quote(1, 89_000, 89_005);
    assert_eq!(waits(&desk), [SignalDrop::NoRoom], "it is said once");
    close(&mut desk, Which::Position(held[7]));
    desk.fill(100);
    assert_eq!(desk.engine.state(held[7]), Some(PositionState::Closed));
    desk.wait(Nanos::from_secs(1));
    desk.quote(1, 89_000, 89_005);
    assert_eq!(desk.entries.len(), 1);
    let spec = desk.spec(1, 2, Side::Long, 100_000, 100);
    let full = desk.engine.register(desk.now, &spec).unwrap_err();
    assert!(matches!(full, RegisterError::Full { what: "positions", max: 32 }), "{full}");
    desk.fill(500);
    desk.fill(500);
    let view = desk.engine.task(TaskId(0)).unwrap();
    assert_eq!(view.state, TaskState::Open);
    assert!(desk.engine.register(desk.now, &spec).is_err());
    close(&mut desk, Which::Position(view.position.unwrap()));
    desk.fill(500);
    desk.fill(500);
    desk.engine.register(desk.now, &spec).unwrap();
}

/// What an entry kept free is free again when nothing comes of it.
#[test]
fn an_entry_that_missed_gives_its_room_back() {
    let mut desk = Desk::new();
    desk.engine.add_task(task(3)).unwrap();
    for _ in 0..31 {
        desk.hold(1, 2, Side::Long, 100_000, 100);
    }
    desk.quote(0, 89_990, 90_000);
    desk.quote(1, 89_000, 89_005);
    assert_eq!(desk.entries.len(), 1);
    let spec = desk.spec(1, 2, Side::Long, 100_000, 100);
    assert!(desk.engine.register(desk.now, &spec).is_err());
    desk.fill(0);
    desk.fill(0);
    assert_eq!(desk.engine.task(TaskId(0)).unwrap().missed, 1);
    desk.engine.register(desk.now, &spec).unwrap();
}

/// A rest that nobody can sell does not hold its task for ever.
#[test]
fn a_task_goes_on_after_dust_when_it_is_told_to() {
    let mut desk = Desk::new();
    desk.engine.add_task(task(3)).unwrap();
    desk.quote(0, 89_990, 90_000);
    desk.quote(1, 89_000, 89_005);
    desk.fill(500);
    desk.fill(500);
    let dust = desk.engine.task(TaskId(0)).unwrap().position.unwrap();
    close(&mut desk, Which::Position(dust));
    desk.fill(495);
    desk.fill(495);
    let view = desk.engine.task(TaskId(0)).unwrap();
    assert_eq!((view.state, view.position, view.cycles), (TaskState::Failed, Some(dust), 0));
    let (task, what) = (TaskId(0), TaskCommand::Resume);
    desk.event(&Event::Command(Command::Task { task, what }));
    let view = desk.engine.task(TaskId(0)).unwrap();
    assert_eq!((view.state, view.position, view.cycles), (TaskState::Idle, None, 1));
    assert_eq!(desk.engine.state(dust), Some(PositionState::DustResidual));
    desk.wait(Nanos::from_secs(1));
    desk.quote(0, 89_990, 90_000);
    desk.quote(1, 89_000, 89_005);
    assert_eq!(desk.entries.len(), 2);
}

/// What a turn trails on is kept for it too: else it would be bought, and nobody would watch it.
#[test]
fn an_entry_keeps_the_tracks_that_its_position_will_trail_on() {
    let turns = Rule::Reversal { at: Rate::from_bps(1_000), base: None, enter: true };
    let distance = Distance::Rate(Rate::from_bps(5_000));
    let trails = Rule::TrailingStop { distance, activation: None, base: None };
    let other = |step: i64| Rule::TrailingProfit {
        activation: Rate::from_bps(5_000),
        distance: Rate::from_bps(1_000),
        floor: Rate::ZERO,
        step: Rate::new(step).unwrap(),
        base: None,
    };
    let others = (1..=TRACKS_MAX as i64).map(|step| Policy::of([other(step)]));
    let mut desk = Desk::with([Policy::of([trails, turns])].into_iter().chain(others));
    desk.hold(3, 0, Side::Short, 100_000, 1_000);
    desk.quote(0, 89_990, 90_000);
    desk.signal(0, Side::Long);
    desk.fill(1_000);
    assert_eq!((desk.entries.len(), desk.entered.len()), (1, 0), "it is at work");
    let mut refused = 0;
    for policy in 0..TRACKS_MAX as u16 {
        let spec = desk.spec(4 + policy, 0, Side::Long, 90_000, 100);
        refused += usize::from(desk.engine.register(desk.now, &spec).is_err());
    }
    assert_eq!(refused, 1, "one track is the entry's");
    desk.fill(1_000);
    assert_eq!(desk.entered.len(), 1);
    assert_eq!(desk.engine.state(desk.entered[0].id), Some(PositionState::Open));
    // Closed again, it leaves its track to others.
    let entered = desk.entered[0].id;
    close(&mut desk, Which::Position(entered));
    desk.fill(1_000);
    let spec = desk.spec(3 + TRACKS_MAX as u16, 0, Side::Long, 90_000, 100);
    desk.engine.register(desk.now, &spec).unwrap();
}

/// Its position is under the version that the entry was decided for, whatever is committed meanwhile:
/// that one has its room.
#[test]
fn a_version_that_is_committed_while_an_entry_is_at_work_is_the_next_ones() {
    let deadline = Rule::Deadline {
        max_age: Some(Nanos::from_secs(60)),
        at: None,
        session_close: None,
        close_before: Nanos(0),
    };
    let turns = Rule::Reversal { at: Rate::from_bps(1_000), base: None, enter: true };
    let mut desk = Desk::with([Policy::of([turns, deadline])]);
    desk.hold(0, 0, Side::Short, 100_000, 1_000);
    desk.quote(0, 89_990, 90_000);
    desk.signal(0, Side::Long);
    desk.fill(1_000);
    assert_eq!((desk.entries.len(), desk.entered.len()), (1, 0), "it is at work");
    let (of, policy) = (PolicyId(0), PolicyId(3));
    desk.event(&Event::Command(Command::Commit { of, policy }));
    desk.fill(1_000);
    let entered = desk.entered[0].id;
    assert_eq!(desk.engine.policy_of(entered), Some(PolicyId(0)));
    let next = desk.hold(0, 1, Side::Long, 90_000, 1_000);
    assert_eq!(desk.engine.policy_of(next), Some(PolicyId(3)));
}
