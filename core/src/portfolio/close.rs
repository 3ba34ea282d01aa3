//! Closing positions for reasons that lie beyond each of them: which, in what order, and again when
//! a plan ended short of it.

use core::cmp::Reverse;

use crate::arbiter::{Candidate, Origin, RULE_BREAKER, RULE_HEALTH, RULE_MAX_AGE, RULE_PORTFOLIO};
use crate::engine::Engine;
use crate::intent::{Reason, Urgency};
use crate::limits::{LEGS_MAX, PPB};
use crate::policy::TriggerSource;
use crate::position::PositionId;
use crate::units::{Nanos, Qty, Rate, div_floor, mul_div_floor};

use super::money::Money;
use super::note::PortfolioNote;
use super::sum::Terms;

/// Number of causes.
pub(crate) const CAUSES: usize = 5;

/// The part of a profit that closes a share of everything.
const PART_PARTIAL: u8 = 1;

/// What wants a position closed until it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Profit,
    Loss,
    Breaker,
    Age,
    Health,
}

impl Cause {
    const ALL: [Self; CAUSES] = [Self::Profit, Self::Loss, Self::Breaker, Self::Age, Self::Health];

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    const fn rule(self) -> u8 {
        match self {
            Self::Profit | Self::Loss => RULE_PORTFOLIO,
            Self::Breaker => RULE_BREAKER,
            Self::Age => RULE_MAX_AGE,
            Self::Health => RULE_HEALTH,
        }
    }

    const fn reason(self) -> Reason {
        match self {
            Self::Profit => Reason::PortfolioProfit,
            Self::Loss => Reason::PortfolioLoss,
            Self::Breaker => Reason::DrawdownBreaker,
            Self::Age => Reason::Deadline,
            Self::Health => Reason::Health,
        }
    }
}

/// A position among those that are closed together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranked {
    pub(super) slot: u32,
    id: PositionId,
    net: Money,
    unhedged: Money,
    /// Of the leg that is nearest to its liquidation price, in ppb of the mark price, rounded down;
    /// `i128::MAX` where none is known.
    distance: i128,
}

impl Engine {
    /// Lists every position that has something to close.
    pub(super) fn rank_all(&mut self) {
        self.portfolio.ranked.clear();
        for slot in 0..self.positions.len() as u32 {
            if self.is_closable(slot) {
                let (net, unhedged) = (self.position_net(slot), self.unhedged(slot));
                let distance = self.distance(slot);
                let id = PositionId::new(slot, self.positions[slot as usize].generation);
                self.portfolio.ranked.push(Ranked { slot, id, net, unhedged, distance });
            }
        }
    }

    /// Lists those that the close of everything has not closed yet.
    pub(super) fn rank_run(&mut self) {
        self.rank_all();
        let held = &self.portfolio.held;
        self.portfolio.ranked.retain(|one| held[one.slot as usize].in_run);
    }

    /// Leaves the worse half by total net in the list, rounded up; ties by id.
    pub(super) fn keep_worst_half(&mut self) {
        self.keep_worst(self.portfolio.ranked.len().div_ceil(2));
    }

    /// Leaves so many of the worst by total net in the list; ties by id.
    pub(super) fn keep_worst(&mut self, count: usize) {
        let ranked = &mut self.portfolio.ranked;
        ranked.sort_unstable_by_key(|one| (one.net, one.id));
        ranked.truncate(count);
    }

    /// Notional that the legs leave of each other, at the last good prices.
    fn unhedged(&self, slot: u32) -> Money {
        let settings = self.portfolio.settings.as_ref().expect("the caller saw it");
        let position = &self.positions[slot as usize];
        let policy = &self.policies[usize::from(position.policy)];
        let exposures = position.legs().iter().map(|leg| {
            let instrument = self.books.instrument(leg.instrument).expect("registration knew it");
            let terms = Terms::of(leg, instrument, policy, settings);
            terms.exposure(self.books.quote(leg.instrument), leg, instrument)
        });
        exposures.sum::<Money>().abs()
    }

    /// How near the legs are to their liquidation prices, see [`Ranked`].
    fn distance(&self, slot: u32) -> i128 {
        let position = &self.positions[slot as usize];
        let near = position.legs().iter().filter_map(|leg| {
            let known = leg.liquidation;
            if known == 0 || leg.open == Qty::ZERO {
                return None;
            }
            let sight = self.books.sight(leg.instrument, TriggerSource::Mark, self.now);
            let mark = leg.exit(&sight.quote?);
            let beyond = leg.side.sign() * (i128::from(mark) - i128::from(known));
            Some(div_floor(beyond * i128::from(PPB), i128::from(mark)))
        });
        near.min().unwrap_or(i128::MAX)
    }

    /// Asks for every listed position in the order of a coordinated close: liquidation distance,
    /// unhedged notional, worst net, id. Returns how many.
    pub(super) fn close_ranked(&mut self, cause: Cause, level: u8, in_run: bool) -> u32 {
        self.order_ranked();
        for at in 0..self.portfolio.ranked.len() {
            let Ranked { slot, .. } = self.portfolio.ranked[at];
            let held = &mut self.portfolio.held[slot as usize];
            held.causes |= cause.bit();
            if cause == Cause::Breaker {
                held.level = level;
            }
            if in_run && !held.in_run {
                held.in_run = true;
                self.portfolio.epoch.one_joined();
            }
            self.push_cause(slot, cause, at as u32 + 1);
        }
        self.portfolio.ranked.len() as u32
    }

    /// Asks for a share of every listed position. Returns of how many.
    pub(super) fn reduce_ranked(&mut self, share: Rate) -> u32 {
        self.order_ranked();
        let mut count = 0;
        for at in 0..self.portfolio.ranked.len() {
            let Ranked { slot, .. } = self.portfolio.ranked[at];
            if self.keep_of_share(slot, share).is_none() {
                continue;
            }
            count += 1;
            self.candidates.push(Candidate {
                position: slot,
                rule: RULE_PORTFOLIO,
                part: PART_PARTIAL,
                reason: Reason::PortfolioProfit,
                urgency: Urgency::Normal,
                origin: Origin::place(at as u32 + 1),
            });
        }
        count
    }

    fn order_ranked(&mut self) {
        let ranked = &mut self.portfolio.ranked;
        ranked.sort_unstable_by_key(|one| (one.distance, Reverse(one.unhedged), one.net, one.id));
    }

    /// What stays open of each leg when a candidate of the portfolio's profit is followed.
    pub(crate) fn portfolio_keep(&self, candidate: &Candidate) -> [Qty; LEGS_MAX] {
        let partial = self.portfolio.epoch.partial_share();
        let share = partial.filter(|_| candidate.part == PART_PARTIAL);
        let keep = share.and_then(|share| self.keep_of_share(candidate.position, share));
        keep.unwrap_or([Qty::ZERO; LEGS_MAX])
    }

    /// What stays of each leg less a share of what is open in whole lots; `None` when that is less
    /// than a lot of every leg.
    fn keep_of_share(&self, slot: u32, share: Rate) -> Option<[Qty; LEGS_MAX]> {
        let position = &self.positions[slot as usize];
        let mut keep = [Qty::ZERO; LEGS_MAX];
        let mut any = false;
        for (leg, keep) in position.legs().iter().zip(&mut keep) {
            let instrument = self.books.instrument(leg.instrument).expect("registration knew it");
            let part = mul_div_floor(i128::from(leg.open.raw()), share.raw(), PPB) as i64;
            let part = instrument.round_lot(Qty::new(part).expect("a share of a quantity"));
            any |= part > Qty::ZERO;
            *keep = leg.open.checked_sub(part).expect("a share of a quantity");
        }
        any.then_some(keep)
    }

    fn push_cause(&mut self, slot: u32, cause: Cause, order: u32) {
        let urgency = match cause {
            Cause::Profit if self.portfolio.epoch.is_late() => Urgency::Protective,
            cause => cause.reason().urgency(),
        };
        let level = self.portfolio.held[slot as usize].level;
        self.candidates.push(Candidate {
            position: slot,
            rule: cause.rule(),
            part: if cause == Cause::Breaker { level } else { 0 },
            reason: cause.reason(),
            urgency,
            origin: if order == 0 { Origin::NONE } else { Origin::place(order) },
        });
    }

    /// A plan ended and left something open: what wanted the position closed still does.
    pub(crate) fn portfolio_resumed(&mut self, slot: u32) {
        if self.portfolio.held.get(slot as usize).is_some_and(|held| held.causes != 0) {
            self.portfolio.again = Some(slot);
        }
    }

    /// What was entered before a close of everything, and has become a position after it, is closed
    /// for the same cause.
    pub(crate) fn close_late_entry(&mut self, slot: u32, decided: Nanos) {
        let Some((at, cause, level)) = self.portfolio.all_closed else { return };
        let held = &mut self.portfolio.held[slot as usize];
        if decided <= at && held.causes & cause.bit() == 0 {
            held.causes |= cause.bit();
            held.level = level;
            self.push_cause(slot, cause, 0);
        }
    }

    /// Positions that are too old, and those whose plan ended short of what was wanted.
    pub(super) fn follow_ages(&mut self) {
        if let Some(slot) = self.portfolio.again.take() {
            let causes = self.portfolio.held[slot as usize].causes;
            for cause in Cause::ALL {
                if causes & cause.bit() != 0 && self.is_closable(slot) {
                    self.push_cause(slot, cause, 0);
                }
            }
        }
        while let Some(slot) = self.portfolio.aged.pop() {
            let position = &self.positions[slot as usize];
            let id = PositionId::new(slot, position.generation);
            self.portfolio.held[slot as usize].causes |= Cause::Age.bit();
            self.tell(PortfolioNote::TooOld { position: id });
            if self.is_closable(slot) {
                self.push_cause(slot, Cause::Age, 0);
            }
        }
    }
}
