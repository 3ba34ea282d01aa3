//! `reversal`: a signal to the other side closes when net / base ≥ `at`.
//!
//! Its one trigger compares nothing on a tick: the core's `reversal` looks at it when a signal comes.

use crate::limits::RATE_MAX;
use crate::policy::Base;
use crate::position::RegisterError;
use crate::register::check_base;
use crate::tracked::Tracked;
use crate::units::Rate;

pub(crate) fn check(
    rule: usize,
    at: Rate,
    base: Option<Base>,
    enter: bool,
    position: &Tracked,
) -> Result<(), RegisterError> {
    if !(1..=RATE_MAX).contains(&at.raw()) {
        let (field, bound) = ("net of a reversal", "above 0 % and below 2^30 ppb");
        return Err(RegisterError::Rule { rule, field, value: i128::from(at.raw()), bound });
    }
    if enter && position.count > 1 {
        let (field, bound) = ("legs of a reversal that enters", "one");
        return Err(RegisterError::Rule { rule, field, value: i128::from(position.count), bound });
    }
    check_base(rule, base, position)
}
