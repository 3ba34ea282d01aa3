//! `break_even`.

use reap_core::policy::{Rule, RuleSpec};
use reap_core::units::Rate;

use super::{source, sourced};
use crate::config::value::RateBounds;
use crate::config::walk::Value;
use crate::config::words::rate as percent;

/// `"1%"` or `{ activation, offset, source }`. There is no default: when the stop is set must be said.
pub(super) fn break_even(value: &Value<'_>) -> Option<RuleSpec> {
    if !value.is_table() {
        let activation = value.rate(RateBounds::SHARE)?;
        return Some(Rule::BreakEven { activation, offset: Rate::ZERO }.into());
    }
    let table = value.table("")?;
    let activation = table.require("activation", "write when the stop is set, such as \"1%\"");
    let activation = activation.and_then(|value| value.rate(RateBounds::SHARE));
    let offset = match table.get("offset") {
        Some(value) => value.rate(RateBounds::FEE),
        None => Some(Rate::ZERO),
    };
    let source = source(&table);
    table.finish();
    let (activation, offset) = (activation?, offset?);
    if offset >= activation {
        let what = format!(
            "the offset of {} must be below the activation of {}",
            percent(offset),
            percent(activation)
        );
        table.problem(what, "lower offset or raise activation");
        return None;
    }
    Some(sourced(Rule::BreakEven { activation, offset }, source?))
}
