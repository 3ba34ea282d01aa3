//! `[policy.NAME.exit]`: how exits are ordered.

use arrayvec::ArrayVec;
use reap_core::limits::COLLARS_MAX;
use reap_core::policy::ExitSettings;
use reap_core::units::{Nanos, Rate};

use super::policy::PolicyMoney;
use super::value::{RateBounds, SpanBounds};
use super::walk::{Table, Value};
use super::words::rate as percent;

const WAIT: SpanBounds = SpanBounds::new(Nanos::from_millis(1), Nanos::from_secs(3600));

pub(super) fn exit_settings(
    value: &Value<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<ExitSettings> {
    let table = value.table("write it as [policy.NAME.exit]")?;
    let default = ExitSettings::default();
    let rate = |key, default| match table.get(key) {
        Some(value) => value.rate(RateBounds::SHARE),
        None => Some(default),
    };
    let span = |key, default| match table.get(key) {
        Some(value) => value.span(WAIT),
        None => Some(default),
    };
    let collar_normal = rate("collar_normal", default.collar_normal);
    let collars_protective = match table.get("collars_protective") {
        Some(value) => collars(&value),
        None => Some(default.collars_protective),
    };
    let spread_limit = rate("spread_limit", default.spread_limit);
    let polling_deadline = span("polling_deadline", default.polling_deadline);
    let stuck_after = span("stuck_after", default.stuck_after);
    let rearm_first = span("rearm_first", default.rearm_first);
    let rearm_last = span("rearm_last", default.rearm_last);
    let max_unhedged = max_unhedged(&table, money);
    let max_unhedged_time = span("max_unhedged_time", default.max_unhedged_time);
    table.finish();
    let (rearm_first, rearm_last) = (rearm_first?, rearm_last?);
    if rearm_first > rearm_last {
        let what = "rearm_first must not be longer than rearm_last";
        table.problem(what, "lower rearm_first or raise rearm_last");
        return None;
    }
    Some(ExitSettings {
        collar_normal: collar_normal?,
        collars_protective: collars_protective?,
        spread_limit: spread_limit?,
        polling_deadline: polling_deadline?,
        stuck_after: stuck_after?,
        rearm_first,
        rearm_last,
        max_unhedged: max_unhedged?,
        max_unhedged_time: max_unhedged_time?,
    })
}

/// Rising collars; an empty array goes to the market at once.
fn collars(value: &Value<'_>) -> Option<ArrayVec<Rate, COLLARS_MAX>> {
    let example = r#"write for example ["20bps", "50bps", "100bps"]"#;
    let elements = value.array(example)?;
    if elements.len() > COLLARS_MAX {
        let what = format!("must be at most {COLLARS_MAX} collars, these are {}", elements.len());
        value.problem(what, example);
        return None;
    }
    let read: Option<ArrayVec<Rate, COLLARS_MAX>> =
        elements.iter().map(|element| element.rate(RateBounds::SHARE)).collect();
    let read = read?;
    if let Some(pair) = read.windows(2).find(|pair| pair[1] <= pair[0]) {
        let what = format!("collars must widen: {} after {}", percent(pair[1]), percent(pair[0]));
        value.problem(what, example);
        return None;
    }
    Some(read)
}

fn max_unhedged(
    table: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<Option<reap_core::units::Decimal>> {
    let Some(value) = table.get("max_unhedged") else { return Some(None) };
    let amount = value.amount()?;
    money.accept(&value, table, &amount)?;
    if amount.value.mantissa <= 0 {
        value.problem("must be more than 0", "write for example \"1000 USDT\"");
        return None;
    }
    Some(Some(amount.value))
}
