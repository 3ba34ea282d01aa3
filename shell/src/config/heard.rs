//! What is heard from outside at a stated time: `[[signal]]`, `[[read]]`, `[[task_command]]`.

use reap_core::entry::TaskId;
use reap_core::event::TaskCommand;
use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::limits::QTY_MAX;
use reap_core::position::Side;

use super::instrument::NamedInstrument;
use super::position::Known;
use super::task::NamedTask;
use super::timed::{Input, TimedInput, when};
use super::walk::{Table, Value};

const COMMANDS: [(&str, TaskCommand); 4] = [
    ("start", TaskCommand::Start),
    ("pause", TaskCommand::Pause),
    ("resume", TaskCommand::Resume),
    ("stop", TaskCommand::Stop),
];
const SIDES: [(&str, Side); 2] = [("long", Side::Long), ("short", Side::Short)];

/// `[[signal]]`: an instrument and a side.
pub(super) fn signal(value: &Value<'_>, known: &Known<'_>) -> Option<TimedInput> {
    let table = value.table("write it as [[signal]]")?;
    let when = when(&table);
    let instrument = instrument(&table, known);
    let side = table.require("side", "write side = \"long\" or side = \"short\"");
    let side = side.and_then(|value| value.word(&SIDES));
    table.finish();
    let input = Input::Signal { instrument: instrument?.0, side: side? };
    Some(TimedInput { when: when?, input })
}

/// `[[task_command]]`: a task and what it is told.
pub(super) fn task_command(value: &Value<'_>, tasks: &[NamedTask]) -> Option<TimedInput> {
    let table = value.table("write it as [[task_command]]")?;
    let when = when(&table);
    let task = table.require("task", "write the name of a [task.NAME]");
    let task = task.and_then(|value| {
        let name = value.text("write the name of a [task.NAME]")?;
        let found = tasks.iter().position(|task| task.name == name);
        if found.is_none() {
            value.dangling("no task has this name", "write the name of a [task.NAME]");
        }
        found.map(|at| TaskId(at as u16))
    });
    let what = table.require("what", "write what = \"pause\"");
    let what = what.and_then(|value| value.word(&COMMANDS));
    table.finish();
    let input = Input::Task { task: task?, what: what? };
    Some(TimedInput { when: when?, input })
}

/// `[[read]]`: an account, an instrument and the quantity that it holds.
pub(super) fn read(value: &Value<'_>, known: &Known<'_>) -> Option<TimedInput> {
    let table = value.table("write it as [[read]]")?;
    let when = when(&table);
    let instrument = instrument(&table, known);
    let name = match table.get("account") {
        Some(value) => value.text("write a name, such as account = \"hedge\""),
        None => Some("main"),
    };
    let qty = table.require("qty", "write what is held, such as qty = \"0.5\"; negative is short");
    let qty = qty.and_then(|value| {
        let scale = instrument.as_ref()?.1.spec().qty_scale;
        let held = value.decimal()?;
        let exact = held.at_scale(scale).filter(|qty| qty.abs() <= i128::from(QTY_MAX));
        if exact.is_none() {
            let what = format!("must have at most {scale} decimals and be below 2^46 of the last");
            value.problem(what, "write a quantity of the instrument");
        }
        exact.map(|qty| qty as i64)
    });
    let account = instrument.as_ref().zip(name).and_then(|((_, own), name)| {
        let found = known
            .accounts
            .iter()
            .position(|account| account.venue == own.spec().venue && account.name == name);
        if found.is_none() {
            let what = format!("no position is held in account {name} of that venue");
            table.problem(what, "write the account of a leg");
        }
        found.map(|at| AccountId(at as u8))
    });
    table.finish();
    let input = Input::Read { account: account?, instrument: instrument?.0, qty: qty? };
    Some(TimedInput { when: when?, input })
}

fn instrument<'k>(
    table: &Table<'_>,
    known: &'k Known<'_>,
) -> Option<(InstrumentId, &'k NamedInstrument)> {
    let value = table.require("instrument", "write the name of an [instrument.NAME]")?;
    let (id, own) = known.instruments.find(&value, "instrument")?;
    Some((InstrumentId(id as u16), own?))
}
