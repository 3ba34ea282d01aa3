//! Arbitration (SPEC §6): of all rules that hold at one event, one decision per position.

use alloc::vec::Vec;

use crate::intent::{Reason, Urgency};
use crate::note::Lost;
use crate::position::PositionId;
use crate::trigger::TriggerId;

/// Index of an operator's command among the rules.
pub const RULE_OPERATOR: u8 = u8::MAX;
/// Index of portfolio_profit and portfolio_loss among the rules.
pub const RULE_PORTFOLIO: u8 = 254;
/// Index of the drawdown breakers among the rules; the part is the level.
pub const RULE_BREAKER: u8 = 252;
/// Index of the portfolio's maximum age among the rules.
pub const RULE_MAX_AGE: u8 = 249;
/// Index of health among the rules.
pub const RULE_HEALTH: u8 = 248;
/// Index among the rules of what listens to funding for them: it decides nothing.
pub(crate) const RULE_FUNDING: u8 = 247;
const _: () = assert!(crate::limits::RULES_MAX < RULE_FUNDING as usize);
/// Index among the rules of the close of a position of which no price is left.
pub const RULE_BLIND: u8 = 251;

/// A rule that holds, or an operator who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// Slot of the position.
    pub(crate) position: u32,
    pub(crate) rule: u8,
    pub(crate) part: u8,
    pub(crate) reason: Reason,
    pub(crate) urgency: Urgency,
    pub(crate) origin: Origin,
}

const _: () = assert!(size_of::<Candidate>() == 12);

/// Where a candidate comes from: a trigger, a close of several positions, or neither, as an
/// operator's close of one. One word, for every trigger has room among the candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin(u32);

impl Origin {
    pub(crate) const NONE: Self = Self(TriggerId::NONE.0);

    pub(crate) const fn trigger(id: TriggerId) -> Self {
        Self(id.0)
    }

    /// The place in a close of several positions, from 1.
    pub(crate) const fn place(nth: u32) -> Self {
        debug_assert!(nth > 0 && nth < u32::MAX - TriggerId::NONE.0);
        Self(TriggerId::NONE.0 + nth)
    }

    /// The trigger; `NONE` where it was not one.
    pub(crate) const fn by(self) -> TriggerId {
        if self.0 > TriggerId::NONE.0 { TriggerId::NONE } else { TriggerId(self.0) }
    }

    /// The place in a close of several positions; 0 for a close of its own.
    const fn nth(self) -> u32 {
        self.0.saturating_sub(TriggerId::NONE.0)
    }
}

/// One position's candidates, side by side in the sorted list; the first of them gives the reason
/// at the highest urgency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decision {
    first: u32,
    count: u32,
}

impl Decision {
    /// Where its candidates stand.
    pub(crate) const fn range(&self) -> core::ops::Range<usize> {
        self.first as usize..self.first as usize + self.count as usize
    }
}

/// Why `other` lost to `winner`, which stands before it in the sorted list.
pub(crate) const fn lost_to(winner: &Candidate, other: &Candidate) -> Lost {
    if other.urgency as u8 != winner.urgency as u8 {
        Lost::LowerUrgency
    } else if other.reason.rank() != winner.reason.rank() {
        Lost::LaterInOrder
    } else {
        Lost::LaterRule
    }
}

/// Sorts an event's candidates and reduces them to one decision per position, ordered by urgency
/// (highest first), reason, place in a close of several positions, and position: its id, as a slot
/// says nothing.
pub(crate) fn arbitrate(
    candidates: &mut [Candidate],
    decisions: &mut Vec<Decision>,
    id_of: impl Fn(u32) -> PositionId,
) {
    candidates.sort_unstable_by_key(|candidate| {
        let Candidate { position, rule, part, reason, urgency, origin } = *candidate;
        (position, core::cmp::Reverse(urgency), reason.rank(), rule, part, origin.nth())
    });
    let mut first = 0;
    for of_one in candidates.chunk_by(|a, b| a.position == b.position) {
        let count = of_one.len() as u32;
        decisions.push(Decision { first, count });
        first += count;
    }
    decisions.sort_unstable_by_key(|decision| {
        let Candidate { position, reason, urgency, origin, .. } =
            candidates[decision.first as usize];
        (core::cmp::Reverse(urgency), reason.rank(), origin.nth(), id_of(position))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(position: u32, rule: u8, reason: Reason) -> Candidate {
        let (part, origin, urgency) = (0, Origin::NONE, reason.urgency());
        Candidate { position, rule, part, reason, urgency, origin }
    }

    fn decide(mut candidates: Vec<Candidate>) -> Vec<(u32, u8, Reason, Urgency, usize)> {
        let mut decisions = Vec::new();
        arbitrate(&mut candidates, &mut decisions, |slot| PositionId::new(slot, 0));
        let plain = |decision: &Decision| {
            let Candidate { position, rule, reason, urgency, .. } = candidates[decision.range()][0];
            (position, rule, reason, urgency, decision.range().len())
        };
        decisions.iter().map(plain).collect()
    }

    #[test]
    fn an_origin_is_a_trigger_or_a_place_or_neither() {
        for nth in [1, 2, 1_000_000] {
            let place = Origin::place(nth);
            assert_eq!((place.by(), place.nth()), (TriggerId::NONE, nth));
        }
        for trigger in [TriggerId(0), TriggerId(7), TriggerId(TriggerId::NONE.0 - 1)] {
            let origin = Origin::trigger(trigger);
            assert_eq!((origin.by(), origin.nth()), (trigger, 0));
        }
        assert_eq!((Origin::NONE.by(), Origin::NONE.nth()), (TriggerId::NONE, 0));
    }

    /// Golden: an opportunistic manual close while liquidation holds is critical, for liquidation.
    #[test]
    fn the_highest_urgency_gives_the_reason() {
        let mut operator = candidate(1, RULE_OPERATOR, Reason::Operator);
        operator.urgency = Urgency::Opportunistic;
        let liquidation = candidate(1, 3, Reason::Liquidation);
        let decided = decide(alloc::vec![operator, liquidation]);
        assert_eq!(decided, [(1, 3, Reason::Liquidation, Urgency::Critical, 2)]);
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
                (2, 4, Reason::StopLoss, Urgency::Protective, 3),
                (1, 1, Reason::TakeProfit, Urgency::Opportunistic, 2),
            ]
        );
    }

    #[test]
    fn what_loses_loses_for_the_first_thing_that_tells_them_apart() {
        let stop = candidate(1, 4, Reason::StopLoss);
        let why = |rule, reason| lost_to(&stop, &candidate(1, rule, reason));
        assert_eq!(why(0, Reason::TakeProfit), Lost::LowerUrgency);
        assert_eq!(why(0, Reason::Deadline), Lost::LowerUrgency);
        assert_eq!(why(0, Reason::TrailingStop), Lost::LaterInOrder);
        assert_eq!(why(5, Reason::StopLoss), Lost::LaterRule);
        let basis = candidate(1, 0, Reason::Basis);
        assert_eq!(lost_to(&basis, &candidate(1, 1, Reason::TakeProfit)), Lost::LaterRule);
    }
}
