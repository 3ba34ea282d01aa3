//! `profit_erosion`.

use reap_core::policy::Rule;
use reap_core::units::Rate;

use super::{base, threshold_of};
use crate::config::policy::PolicyMoney;
use crate::config::value::RateBounds;
use crate::config::walk::{Table, Value};

/// SPEC §5: half of the peak.
const FRACTION: Rate = Rate::from_bps(5_000);

/// `"0.5%"`, `"10 USDT"` or `{ minimum, fraction, base }`. There is no default: which peak is one
/// must be said.
pub(super) fn profit_erosion(
    value: &Value<'_>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<Rule> {
    if !value.is_table() {
        let minimum = threshold_of(value, None, policy, money)?;
        return Some(Rule::ProfitErosion { minimum, fraction: FRACTION });
    }
    let table = value.table("")?;
    let base = base(&table, policy, money);
    let minimum = table.require("minimum", "write the least peak, such as minimum = \"0.5%\"");
    let fraction = match table.get("fraction") {
        Some(value) => value.rate(RateBounds::SHARE),
        None => Some(FRACTION),
    };
    table.finish();
    let minimum = threshold_of(&minimum?, base?, policy, money)?;
    Some(Rule::ProfitErosion { minimum, fraction: fraction? })
}
