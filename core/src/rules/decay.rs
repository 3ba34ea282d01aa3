//! decay: a take_profit whose threshold is a step function of the position's age.
//!
//! Two triggers: the target, and the time of the next step. The mark of both counts the steps that
//! have come; when the next comes, the target alone is compiled anew.

use crate::compile::{nano_threshold, profit};
use crate::intent::Reason;
use crate::limits::DECAY_MAX;
use crate::policy::{DecayStep, Rule, Threshold};
use crate::position::RegisterError;
use crate::register::check_threshold;
use crate::rules::Add;
use crate::tracked::Tracked;
use crate::trigger::{Condition, Role, Stage, Trigger};
use crate::units::Nanos;

const PART_TARGET: u8 = 0;
const PART_STEP: u8 = 1;

pub(super) fn check(
    rule: usize,
    threshold: &Threshold,
    steps: &[DecayStep],
    position: &Tracked,
) -> Result<(), RegisterError> {
    let refuse = |field, value, bound| Err(RegisterError::Rule { rule, field, value, bound });
    check_threshold(rule, threshold, position)?;
    if steps.is_empty() || steps.len() > DECAY_MAX {
        return refuse("steps of a decay", steps.len() as i128, "1 to 8");
    }
    let (mut age, mut before) = (Nanos(0), *threshold);
    for step in steps {
        check_threshold(rule, &step.threshold, position)?;
        if step.age <= age {
            let bound = "above the age of the step before it";
            return refuse("age of a step (ns)", i128::from(step.age.0), bound);
        }
        let (said, falls) = match (before, step.threshold) {
            (Threshold::Rate { rate: a, base: of }, Threshold::Rate { rate: b, base }) => {
                (i128::from(b.raw()), of != base || b < a)
            }
            (Threshold::Amount(a), Threshold::Amount(b)) => {
                let nano = |amount: crate::units::Decimal| amount.at_scale(position.scale);
                (b.mantissa, nano(b) < nano(a))
            }
            _ => (0, true),
        };
        if !falls {
            return refuse("threshold of a step", said, "below the one before it");
        }
        (age, before) = (step.age, step.threshold);
    }
    Ok(())
}

/// The step stands first: it is looked at before the target that it moves.
pub(super) fn parts(add: Add<'_>) {
    add(PART_STEP, Reason::TakeProfit, Role::Step, Stage::Armed);
    add(PART_TARGET, Reason::TakeProfit, Role::Fire, Stage::Armed);
}

pub(super) fn condition(
    position: &Tracked,
    threshold: &Threshold,
    steps: &[DecayStep],
    trigger: &Trigger,
) -> Condition {
    let come = trigger.mark as usize;
    if trigger.role == Role::Step {
        let next = steps.get(come).map(|step| position.opened.plus(step.age));
        return next.map_or(Condition::Never, |at| Condition::Time(at.0));
    }
    let now = if come == 0 { *threshold } else { steps[come - 1].threshold };
    profit(position, nano_threshold(position, now))
}

/// How many steps of a rule that decays have come by `now`.
pub(crate) fn steps_due(rule: &Rule, opened: Nanos, now: Nanos) -> i64 {
    let Rule::Decay { steps, .. } = rule else { unreachable!("only a decay has steps") };
    steps.iter().take_while(|step| opened.plus(step.age) <= now).count() as i64
}
