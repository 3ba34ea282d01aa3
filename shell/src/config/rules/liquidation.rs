//! `liquidation`.

use reap_core::policy::Rule;
use reap_core::units::Rate;

use super::is_default;
use crate::config::value::RateBounds;
use crate::config::walk::Value;

/// SPEC §5: 5 % of the mark price.
const THRESHOLD: Rate = Rate::from_bps(500);

/// `"5%"`, `"default"` or `{ threshold }`.
pub(super) fn liquidation(value: &Value<'_>) -> Option<Rule> {
    if is_default(value) {
        return Some(Rule::Liquidation { threshold: THRESHOLD });
    }
    if !value.is_table() {
        return value.rate(RateBounds::SHARE).map(|threshold| Rule::Liquidation { threshold });
    }
    let table = value.table("")?;
    let threshold = match table.get("threshold") {
        Some(value) => value.rate(RateBounds::SHARE),
        None => Some(THRESHOLD),
    };
    table.finish();
    threshold.map(|threshold| Rule::Liquidation { threshold })
}
