//! `take_profit.decay`: the threshold falls with age.

use reap_core::limits::DECAY_MAX;
use reap_core::policy::{DecayStep, Rule, Threshold};
use reap_core::units::Nanos;

use super::AGE_BOUNDS;
use crate::config::policy::PolicyMoney;
use crate::config::units::Measure;
use crate::config::value::RateBounds;
use crate::config::walk::{Table, Value};
use crate::config::words;

const EXAMPLE: &str = r#"write decay = [{ age = "1h", at = "0.3%" }, { age = "4h", at = "0%" }]"#;

/// `[{ age, at }, …]`: rising ages, falling thresholds of the kind that `first` is.
pub(super) fn decay(
    value: &Value<'_>,
    first: Threshold,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<Rule> {
    let elements = value.array(EXAMPLE)?;
    if elements.is_empty() || elements.len() > DECAY_MAX {
        let what = format!("must be 1 to {DECAY_MAX} steps, these are {}", elements.len());
        value.problem(what, EXAMPLE);
        return None;
    }
    let read = elements.iter().map(|element| step(element, first, policy, money));
    let read: Vec<Option<DecayStep>> = read.collect();
    let steps = read.into_iter().collect::<Option<Vec<_>>>()?;
    let mut before = DecayStep { age: Nanos(0), threshold: first };
    for (step, element) in steps.iter().zip(&elements) {
        if step.age <= before.age && before.age != Nanos(0) {
            let (age, last) = (words::span(step.age), words::span(before.age));
            let what = format!("ages must rise: this is {age} after {last}");
            element.problem(what, "order the steps by age");
            return None;
        }
        let falls = match (before.threshold, step.threshold) {
            (Threshold::Rate { rate: a, .. }, Threshold::Rate { rate: b, .. }) => b < a,
            (Threshold::Amount(a), Threshold::Amount(b)) => {
                let scale = a.scale.max(b.scale);
                b.at_scale(scale) < a.at_scale(scale)
            }
            _ => false,
        };
        if !falls {
            let what = "must be a lower threshold than the one before it";
            element.problem(what, "a take_profit decays: lower at from step to step");
            return None;
        }
        before = *step;
    }
    Some(Rule::Decay { threshold: first, steps })
}

fn step(
    value: &Value<'_>,
    first: Threshold,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<DecayStep> {
    let table = value.table(EXAMPLE)?;
    let age = table.require("age", "write from which age on, such as age = \"1h\"");
    let age = age.and_then(|value| value.span(AGE_BOUNDS));
    let at = table.require("at", "write the threshold from then on, such as at = \"0.3%\"");
    let at = at.and_then(|value| threshold(&value, first, policy, money));
    table.finish();
    Some(DecayStep { age: age?, threshold: at? })
}

/// A threshold that may be nought or a loss.
fn threshold(
    value: &Value<'_>,
    first: Threshold,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<Threshold> {
    match (first, value.measure(&["0.3%", "0.5 USDT"])?) {
        (Threshold::Rate { base, .. }, Measure::Rate(ppb)) => {
            let rate = value.rate_within(ppb, RateBounds::LEVEL)?;
            Some(Threshold::Rate { rate, base })
        }
        (Threshold::Amount(_), Measure::Amount(amount)) => {
            money.accept(value, policy, &amount)?;
            Some(Threshold::Amount(amount.value))
        }
        (Threshold::Rate { .. }, other) => {
            value.wanted(&other, "a percentage like the first threshold", r#"write "0.3%""#)
        }
        (Threshold::Amount(_), other) => {
            value.wanted(&other, "an amount like the first threshold", r#"write "0.5 USDT""#)
        }
    }
}
