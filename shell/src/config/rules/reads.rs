//! `leg_lost` and `imbalance`: rules that look at what venues say is held.

use reap_core::policy::{Remedy, Rule};
use reap_core::units::{Nanos, Rate};
use toml::de::DeValue;

use crate::config::value::{RateBounds, SpanBounds};
use crate::config::walk::{Table, Value};

/// Defaults of SPEC §5 and §11.
const READS: u8 = 2;
const READS_MAX: u32 = 100;
const SHARE: Rate = Rate::from_bps(50);
const HOLD: Nanos = Nanos::from_secs(2);
const HOLD_BOUNDS: SpanBounds = SpanBounds::new(Nanos::from_millis(1), Nanos::from_secs(3600));

const REMEDIES: [(&str, Remedy); 2] = [("close", Remedy::Close), ("repair", Remedy::Repair)];

/// `"default"`, `"close"`, `"repair"` or `{ reads, then }`.
pub(super) fn leg_lost(value: &Value<'_>) -> Option<Rule> {
    if !value.is_table() {
        let then = short(value, Remedy::Close)?;
        return Some(Rule::LegLost { reads: READS, then });
    }
    let table = value.table("")?;
    let reads = match table.get("reads") {
        Some(value) => value.integer(1, READS_MAX),
        None => Some(u32::from(READS)),
    };
    let then = then(&table, Remedy::Close);
    table.finish();
    Some(Rule::LegLost { reads: reads? as u8, then: then? })
}

/// `"default"`, `"close"`, `"repair"` or `{ share, hold, then }`.
pub(super) fn imbalance(value: &Value<'_>) -> Option<Rule> {
    if !value.is_table() {
        let then = short(value, Remedy::Repair)?;
        return Some(Rule::Imbalance { share: SHARE, hold: HOLD, then });
    }
    let table = value.table("")?;
    let share = match table.get("share") {
        Some(value) => value.rate(RateBounds::SHARE),
        None => Some(SHARE),
    };
    let hold = match table.get("hold") {
        Some(value) => value.span(HOLD_BOUNDS),
        None => Some(HOLD),
    };
    let then = then(&table, Remedy::Repair);
    table.finish();
    Some(Rule::Imbalance { share: share?, hold: hold?, then: then? })
}

fn short(value: &Value<'_>, default: Remedy) -> Option<Remedy> {
    match value.node() {
        DeValue::String(text) if text.trim() == "default" => Some(default),
        _ => value.word(&REMEDIES),
    }
}

fn then(table: &Table<'_>, default: Remedy) -> Option<Remedy> {
    match table.get("then") {
        Some(value) => value.word(&REMEDIES),
        None => Some(default),
    }
}
