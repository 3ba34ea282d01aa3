//! Exit rules that need more than a price: one file each, dispatched here.
//!
//! A rule has three faces: [`check`] refuses what contradicts itself or the position, [`parts`] says
//! which triggers it needs, [`condition`] solves one of them for what a tick is compared with.

use crate::instrument::Instrument;
use crate::intent::Reason;
use crate::policy::Rule;
use crate::position::RegisterError;
use crate::tracked::Tracked;
use crate::trigger::{Condition, Role, Stage, Trigger};

/// Takes a part of a rule: its number, reason, role and first stage.
pub(crate) type Add<'a> = &'a mut dyn FnMut(u8, Reason, Role, Stage);

/// Checks one rule against itself and the position.
pub(crate) fn check(
    rule: usize,
    said: &Rule,
    _position: &Tracked,
    _instrument: &Instrument,
) -> Result<(), RegisterError> {
    match said {
        Rule::Decay { .. }
        | Rule::BreakEven { .. }
        | Rule::ProfitErosion { .. }
        | Rule::Liquidation { .. }
        | Rule::Dump { .. }
        | Rule::Correlation { .. }
        | Rule::FundingFlip { .. }
        | Rule::LegLost { .. }
        | Rule::Imbalance { .. }
        | Rule::Reversal { .. } => {
            Err(RegisterError::Rule { rule, field: "rule", value: 0, bound: "one that is built" })
        }
        _ => unreachable!("registration checks it itself"),
    }
}

/// The triggers that a rule needs.
pub(crate) fn parts(_said: &Rule, _position: &Tracked, _add: Add<'_>) {}

/// Compiles a trigger of such a rule.
pub(crate) fn condition(
    _position: &Tracked,
    _rule: &Rule,
    _trigger: &Trigger,
    _instrument: &Instrument,
) -> Condition {
    Condition::Never
}

/// How many triggers a rule needs at most, of any kind.
pub(crate) fn parts_of(rule: &Rule, _position: &Tracked) -> usize {
    match rule {
        Rule::Tiers { tiers, .. } => tiers.len(),
        Rule::TrailingStop { .. } => 3,
        Rule::TrailingProfit { .. } => 4,
        _ => 1,
    }
}
