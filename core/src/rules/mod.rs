//! Exit rules that need more than a price: one file each, dispatched here.
//!
//! A rule has three faces: [`check`] refuses what contradicts itself or the position, [`parts`] says
//! which triggers it needs, [`condition`] solves one of them for what a tick is compared with.

pub(crate) mod break_even;
pub(crate) mod correlation;
pub(crate) mod decay;
pub(crate) mod dump;
pub(crate) mod erosion;
pub(crate) mod funding;
mod imbalance;
mod leg_lost;
pub(crate) mod liquidation;
mod reversal;

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
    position: &Tracked,
    instrument: &Instrument,
) -> Result<(), RegisterError> {
    match said {
        Rule::Decay { threshold, steps } => decay::check(rule, threshold, steps, position),
        Rule::BreakEven { activation, offset } => {
            break_even::check(rule, *activation, *offset, position)
        }
        Rule::ProfitErosion { minimum, fraction } => {
            erosion::check(rule, minimum, *fraction, position)
        }
        Rule::LegLost { reads, .. } => leg_lost::check(rule, *reads),
        Rule::Imbalance { share, .. } => imbalance::check(rule, *share, position),
        Rule::Reversal { at, base, enter } => reversal::check(rule, *at, *base, *enter, position),
        Rule::Liquidation { threshold } => liquidation::check(rule, *threshold),
        Rule::Correlation { leaders, drop, rho, default_rho } => {
            correlation::check(rule, leaders, [*drop, *rho], *default_rho, position)
        }
        Rule::Dump { min_volume, drop } => {
            dump::check(rule, *min_volume, *drop, position, instrument)
        }
        Rule::FundingFlip { threshold, samples, base } => {
            funding::check(rule, *threshold, *samples, *base, position)
        }
        _ => unreachable!("registration checks it itself"),
    }
}

/// The triggers that a rule needs.
pub(crate) fn parts(said: &Rule, position: &Tracked, add: Add<'_>) {
    match said {
        Rule::Decay { .. } => decay::parts(add),
        Rule::BreakEven { .. } => break_even::parts(add),
        Rule::ProfitErosion { .. } => erosion::parts(position, add),
        Rule::LegLost { .. } => add(0, Reason::LegLost, Role::Fire, Stage::Armed),
        Rule::Imbalance { .. } => add(0, Reason::Imbalance, Role::Fire, Stage::Armed),
        Rule::Reversal { .. } => add(0, Reason::Reversal, Role::Fire, Stage::Armed),
        Rule::Dump { .. } => dump::parts(add),
        Rule::Correlation { leaders, .. } => correlation::parts(leaders, add),
        Rule::FundingFlip { .. } => funding::parts(position, add),
        Rule::Liquidation { .. } => liquidation::parts(position, add),
        _ => {}
    }
}

/// Compiles a trigger of such a rule. What reads and signals raise is compared with no price.
pub(crate) fn condition(
    position: &Tracked,
    rule: &Rule,
    trigger: &Trigger,
    _instrument: &Instrument,
) -> Condition {
    match rule {
        Rule::Decay { threshold, steps } => decay::condition(position, threshold, steps, trigger),
        Rule::BreakEven { activation, offset } => {
            break_even::condition(position, *activation, *offset, trigger)
        }
        Rule::ProfitErosion { minimum, fraction } => {
            erosion::condition(position, minimum, *fraction, trigger)
        }
        Rule::Dump { drop, .. } => dump::stop(position, *drop, trigger),
        Rule::FundingFlip { samples, .. } => funding::condition(*samples, trigger),
        Rule::Liquidation { threshold } => liquidation::condition(position, *threshold, trigger),
        _ => Condition::Never,
    }
}

/// The part that an intent names: of a rule that decays, the step that holds.
pub(crate) fn part_of(rule: &Rule, trigger: &Trigger) -> u8 {
    match rule {
        Rule::Decay { .. } => trigger.mark as u8,
        _ => trigger.part,
    }
}
