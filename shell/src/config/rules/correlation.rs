//! `correlation`: a leader moves, and the position's instrument goes with it.

use arrayvec::ArrayVec;
use reap_core::instrument::InstrumentId;
use reap_core::limits::{PPB, PPB_DIGITS, RULE_LEADERS_MAX};
use reap_core::policy::{Rule, RuleSpec};
use reap_core::units::Rate;

use super::presets;
use crate::config::instrument::NamedInstrument;
use crate::config::names::Lookup;
use crate::config::policy::{class, class_name};
use crate::config::value::RateBounds;
use crate::config::walk::{Table, Value};

/// In five minutes, by SPEC §5.
const DROP: Rate = Rate::from_bps(150);
const RHO: Rate = Rate::from_bps(7_000);

/// `{ leaders, drop, rho, default_rho }`. There are no default leaders; what is assumed with fewer
/// than 30 samples comes from the policy's class, where that has one.
pub(super) fn correlation(
    value: &Value<'_>,
    policy: &Table<'_>,
    instruments: &Lookup<NamedInstrument>,
) -> Option<RuleSpec> {
    let table = value.table(r#"write { leaders = ["btc"], drop = "1.5%", rho = 0.7 }"#)?;
    let said = table.require("leaders", r#"name the instruments to follow, such as ["btc"]"#);
    let said = said.and_then(|value| leaders(&value, instruments));
    let drop = match table.get("drop") {
        Some(value) => value.rate(RateBounds::SHARE),
        None => Some(DROP),
    };
    let threshold = match table.get("rho") {
        Some(value) => rho(&value, 1),
        None => Some(RHO),
    };
    let assumed = match table.get("default_rho") {
        Some(value) => rho(&value, -PPB).map(|rho| (Some(rho), None)),
        None => class(policy).map(|class| {
            let known = presets::correlations().iter();
            let found = known.clone().find(|(name, _)| *name == class_name(class));
            found.map_or((None, None), |(_, (rho, preset))| (Some(*rho), *preset))
        }),
    };
    table.finish();
    let (default_rho, preset) = assumed?;
    let rule = Rule::Correlation { leaders: said?, drop: drop?, rho: threshold?, default_rho };
    Some(RuleSpec { preset, ..RuleSpec::from(rule) })
}

fn leaders(
    value: &Value<'_>,
    instruments: &Lookup<NamedInstrument>,
) -> Option<ArrayVec<InstrumentId, RULE_LEADERS_MAX>> {
    let example = r#"write leaders = ["btc", "eth"]"#;
    let names = value.array(example)?;
    if names.is_empty() || names.len() > RULE_LEADERS_MAX {
        let what = format!("must be 1 to {RULE_LEADERS_MAX} leaders, these are {}", names.len());
        value.problem(what, example);
        return None;
    }
    let mut found: ArrayVec<InstrumentId, RULE_LEADERS_MAX> = ArrayVec::new();
    let mut all = true;
    for name in &names {
        match instruments.find(name, "instrument") {
            Some((index, _)) if found.contains(&InstrumentId(index as u16)) => {
                name.problem("is named twice", "remove one of the two");
                all = false;
            }
            Some((index, _)) => found.push(InstrumentId(index as u16)),
            None => all = false,
        }
    }
    all.then_some(found)
}

/// A correlation of at least so many parts per billion.
pub(super) fn rho(value: &Value<'_>, least: i64) -> Option<Rate> {
    let parts = value.decimal()?.at_scale(PPB_DIGITS);
    let parts = parts.and_then(|parts| i64::try_from(parts).ok());
    let rho =
        parts.filter(|parts| (least..=PPB).contains(parts)).and_then(|parts| Rate::new(parts).ok());
    if rho.is_none() {
        let from = if least > 0 { "above 0" } else { "from -1" };
        let to = if least > 0 { "and at most 1" } else { "to 1" };
        let what = format!("must be a correlation {from} {to} with at most 9 decimals");
        value.problem(what, "write a number such as 0.7");
    }
    rho
}
