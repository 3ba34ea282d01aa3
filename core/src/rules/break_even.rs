//! break_even: once x ≥ E·(1 + activation) a stop stands at E·(1 + offset). One leg.

use crate::compile::{PART_ACTIVATION, PART_STOP, adverse, begin};
use crate::intent::Reason;
use crate::limits::PPB;
use crate::position::RegisterError;
use crate::rules::Add;
use crate::tracked::Tracked;
use crate::trigger::{Condition, Role, Stage, Trigger};
use crate::units::Rate;

pub(super) fn check(
    rule: usize,
    activation: Rate,
    offset: Rate,
    position: &Tracked,
) -> Result<(), RegisterError> {
    let refuse = |field, value, bound| {
        Err(RegisterError::Rule { rule, field, value: i128::from(value), bound })
    };
    if position.count != 1 {
        return refuse("legs of a break_even rule", i64::from(position.count), "1");
    }
    if !(1..PPB).contains(&activation.raw()) {
        return refuse("activation", activation.raw(), "above 0 % and below 100 %");
    }
    if offset.raw() <= -PPB || offset >= activation {
        return refuse("offset", offset.raw(), "above -100 % and below the activation");
    }
    Ok(())
}

pub(super) fn parts(add: Add<'_>) {
    add(PART_ACTIVATION, Reason::BreakEven, Role::Activate, Stage::Armed);
    add(PART_STOP, Reason::BreakEven, Role::Fire, Stage::Asleep);
}

pub(super) fn condition(
    position: &Tracked,
    activation: Rate,
    offset: Rate,
    trigger: &Trigger,
) -> Condition {
    if trigger.role == Role::Activate {
        return begin(position, activation, 0);
    }
    let leg = &position.legs[0];
    // The mirror of a stop: at a gain of `offset` instead of a loss.
    let distance = Rate::new(-offset.raw()).expect("a rate's negative is a rate");
    adverse(leg.side, leg.entry.raw(), distance)
}
