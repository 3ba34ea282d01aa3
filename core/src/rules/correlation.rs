//! `correlation`: a leader moves within five minutes, and the position's instrument goes with it;
//! see [`crate::leaders`]. One trigger for each leader of the rule.

use super::Add;
use crate::instrument::InstrumentId;
use crate::intent::Reason;
use crate::limits::PPB;
use crate::position::RegisterError;
use crate::tracked::Tracked;
use crate::trigger::{Role, Stage};
use crate::units::Rate;

pub(crate) fn check(
    rule: usize,
    leaders: &[InstrumentId],
    [drop, rho]: [Rate; 2],
    default_rho: Option<Rate>,
    position: &Tracked,
) -> Result<(), RegisterError> {
    let refuse = |field, value: i64, bound| {
        Err(RegisterError::Rule { rule, field, value: i128::from(value), bound })
    };
    if position.count != 1 {
        return refuse("legs of a correlation rule", i64::from(position.count), "1");
    }
    if leaders.is_empty() {
        return refuse("leaders", 0, "at least one");
    }
    if !(1..PPB).contains(&drop.raw()) {
        return refuse("drop", drop.raw(), "above 0 % and below 100 %");
    }
    if !(1..=PPB).contains(&rho.raw()) {
        return refuse("rho", rho.raw(), "above 0 and at most 1");
    }
    match default_rho {
        Some(rho) if !(-PPB..=PPB).contains(&rho.raw()) => {
            refuse("default_rho", rho.raw(), "from -1 to 1")
        }
        _ => Ok(()),
    }
}

pub(crate) fn parts(leaders: &[InstrumentId], add: Add<'_>) {
    for leader in 0..leaders.len() {
        add(leader as u8, Reason::Correlation, Role::Fire, Stage::Armed);
    }
}
