//! `reversal`: a signal to the other side may close a position that has gained enough.

use reap_core::policy::Rule;
use reap_core::units::Rate;

use super::{base, is_default};
use crate::config::policy::PolicyMoney;
use crate::config::value::RateBounds;
use crate::config::walk::{Table, Value};

/// Default of SPEC §5.
const AT: Rate = Rate::from_bps(1_000);

/// `"default"`, `"10%"` or `{ at, base, enter }`.
pub(super) fn reversal(
    value: &Value<'_>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<Rule> {
    if is_default(value) {
        return Some(Rule::Reversal { at: AT, base: None, enter: false });
    }
    if !value.is_table() {
        let at = value.rate(RateBounds::TARGET)?;
        return Some(Rule::Reversal { at, base: None, enter: false });
    }
    let table = value.table("")?;
    let at = match table.get("at") {
        Some(value) => value.rate(RateBounds::TARGET),
        None => Some(AT),
    };
    let base = base(&table, policy, money);
    let enter = match table.get("enter") {
        Some(value) => value.flag(),
        None => Some(false),
    };
    table.finish();
    Some(Rule::Reversal { at: at?, base: base?, enter: enter? })
}
