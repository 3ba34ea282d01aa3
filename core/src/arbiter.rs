//! Arbitration (SPEC §6): of all rules that hold at one event, one decision per position.

use alloc::vec::Vec;

use crate::intent::{Reason, Urgency};
use crate::limits::LEGS_MAX;
use crate::trigger::TriggerId;
use crate::units::Qty;

/// Index of an operator's command among the rules.
pub const RULE_OPERATOR: u8 = u8::MAX;

/// A rule that holds, or an operator who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Slot of the position.
    pub(crate) position: u32,
    pub(crate) rule: u8,
    pub(crate) part: u8,
    pub(crate) reason: Reason,
    pub(crate) urgency: Urgency,
    /// What stays open of each leg.
    pub(crate) keep: [Qty; LEGS_MAX],
    /// `NONE` for an operator.
    pub(crate) trigger: TriggerId,
}

/// One position's decision: the winner's reason at the highest urgency, the smallest quantities.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    pub(crate) winner: Candidate,
    pub(crate) keep: [Qty; LEGS_MAX],
}

/// Reduces an event's candidates to one decision per position, ordered by urgency (highest first),
/// reason and position.
pub(crate) fn arbitrate(candidates: &mut Vec<Candidate>, decisions: &mut Vec<Decision>) {
    candidates.sort_unstable_by_key(|candidate| {
        let Candidate { position, rule, part, reason, urgency, .. } = *candidate;
        (position, core::cmp::Reverse(urgency), reason.rank(), rule, part)
    });
    for candidate in candidates.drain(..) {
        match decisions.last_mut() {
            Some(last) if last.winner.position == candidate.position => {
                for (keep, other) in last.keep.iter_mut().zip(candidate.keep) {
                    *keep = (*keep).min(other);
                }
            }
            _ => decisions.push(Decision { winner: candidate, keep: candidate.keep }),
        }
    }
    decisions.sort_unstable_by_key(|decision| {
        let Candidate { position, reason, urgency, .. } = decision.winner;
        (core::cmp::Reverse(urgency), reason.rank(), position)
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(position: u32, rule: u8, reason: Reason) -> Candidate {
        let keep = [Qty::new(i64::from(rule)).unwrap(); LEGS_MAX];
        let (part, trigger, urgency) = (0, TriggerId::NONE, reason.urgency());
        Candidate { position, rule, part, reason, urgency, keep, trigger }
    }

    fn decide(mut candidates: Vec<Candidate>) -> Vec<(u32, u8, Reason, Urgency, i64)> {
        let mut decisions = Vec::new();
        arbitrate(&mut candidates, &mut decisions);
        let plain = |decision: &Decision| {
            let Candidate { position, rule, reason, urgency, .. } = decision.winner;
            (position, rule, reason, urgency, decision.keep[0].raw())
        };
        decisions.iter().map(plain).collect()
    }

    /// Golden: an opportunistic manual close while liquidation holds is critical, for liquidation.
    #[test]
    fn the_highest_urgency_gives_the_reason() {
        let mut operator = candidate(1, RULE_OPERATOR, Reason::Operator);
        operator.urgency = Urgency::Opportunistic;
        let liquidation = candidate(1, 3, Reason::Liquidation);
        let decided = decide(alloc::vec![operator, liquidation]);
        assert_eq!(decided, [(1, 3, Reason::Liquidation, Urgency::Critical, 3)]);
    }

    #[test]
    fn among_equals_in_urgency_the_order_of_reasons_then_the_rule_decides() {
        let decided = decide(alloc::vec![
            candidate(2, 5, Reason::TrailingStop),
            candidate(2, 4, Reason::StopLoss),
            candidate(1, 2, Reason::Basis),
            candidate(1, 1, Reason::TakeProfit),
            candidate(2, 0, Reason::TakeProfit),
        ]);
        assert_eq!(
            decided,
            [
                (2, 4, Reason::StopLoss, Urgency::Protective, 0),
                (1, 1, Reason::TakeProfit, Urgency::Opportunistic, 1),
            ]
        );
    }
}
