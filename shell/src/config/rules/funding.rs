//! `funding_flip`: predicted funding that costs too much a day.

use reap_core::limits::SAMPLES_MAX;
use reap_core::policy::Rule;
use reap_core::units::Rate;

use super::{base, is_default};
use crate::config::policy::PolicyMoney;
use crate::config::value::RateBounds;
use crate::config::walk::{Table, Value};

/// A day, by SPEC §5.
const THRESHOLD: Rate = Rate::from_bps(10);

/// `"0.1%"`, `"default"` or `{ threshold, settlements, base }`, each with its default.
pub(super) fn funding_flip(
    value: &Value<'_>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<Rule> {
    let of = |threshold, samples, base| Rule::FundingFlip { threshold, samples, base };
    if is_default(value) {
        return Some(of(THRESHOLD, 1, None));
    }
    if !value.is_table() {
        return Some(of(value.rate(RateBounds::SHARE)?, 1, None));
    }
    let table = value.table("")?;
    let threshold = match table.get("threshold") {
        Some(value) => value.rate(RateBounds::SHARE),
        None => Some(THRESHOLD),
    };
    let samples = match table.get("settlements") {
        Some(value) => value.integer(1, u32::from(SAMPLES_MAX)),
        None => Some(1),
    };
    let base = base(&table, policy, money);
    table.finish();
    Some(of(threshold?, samples?.try_into().ok()?, base?))
}
