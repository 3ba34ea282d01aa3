//! `funding_flip`: the funding that the legs are predicted to bring a day, over a base, is at most
//! −threshold at so many settlements in a row; see [`crate::funding`].

use super::Add;
use crate::intent::Reason;
use crate::limits::{PPB, SAMPLES_MAX};
use crate::policy::Base;
use crate::position::RegisterError;
use crate::tracked::Tracked;
use crate::trigger::{Condition, Role, Stage, Trigger};
use crate::units::Rate;

/// The first of the parts, one for each leg, that wait for its instrument's settlement. Their mark is
/// the settlement that was sampled last, in nanoseconds; that of part 0 counts the samples in a row.
pub(crate) const PART_SAMPLE: u8 = 1;

pub(crate) fn check(
    rule: usize,
    threshold: Rate,
    samples: u8,
    base: Option<Base>,
    position: &Tracked,
) -> Result<(), RegisterError> {
    let refuse = |field, value: i64, bound| {
        Err(RegisterError::Rule { rule, field, value: i128::from(value), bound })
    };
    crate::register::check_base(rule, base, position)?;
    if !(1..PPB).contains(&threshold.raw()) {
        return refuse("threshold", threshold.raw(), "above 0 % and below 100 % a day");
    }
    if !(1..=SAMPLES_MAX).contains(&samples) {
        return refuse("settlements in a row", i64::from(samples), "1 to 100");
    }
    Ok(())
}

pub(crate) fn parts(position: &Tracked, add: Add<'_>) {
    add(0, Reason::FundingFlip, Role::Fire, Stage::Armed);
    for leg in 0..position.count {
        add(PART_SAMPLE + leg, Reason::FundingFlip, Role::Sample, Stage::Armed);
    }
}

/// Whether a rule of this reason waits for a settlement in the position's favour, if the policy says
/// so: what takes a profit or ends by the clock does, what guards does not, nor does a reversal, which
/// somebody asks for.
pub(crate) const fn waits(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::TakeProfit | Reason::Tiers | Reason::Basis | Reason::Deadline | Reason::FundingFlip
    )
}

pub(crate) fn condition(samples: u8, trigger: &Trigger) -> Condition {
    if trigger.mark >= i64::from(samples) { Condition::Always } else { Condition::Never }
}
