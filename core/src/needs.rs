//! What a position takes of the engine's tables, counted by kind: a stop of one leg needs one price
//! entry, a deadline a timer, a pair's rule a place among the sums.
//!
//! A table that was reserved for the worst of every kind would hold four times what can be in it.

use crate::engine::EngineLimits;
use crate::intent::Reason;
use crate::limits::LEGS_MAX;
use crate::per_leg::Spare;
use crate::policy::Policy;
use crate::position::RegisterError;
use crate::register;
use crate::tracked::{Leg, Tracked};
use crate::trigger::{Role, Trigger};

/// Entries of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    pub(crate) triggers: u32,
    /// Entries of price heaps.
    pub(crate) prices: u32,
    /// Conditions on the sum of several legs.
    pub(crate) nets: u32,
    /// Trailing stops of one leg.
    pub(crate) trails: u32,
    /// Times of triggers.
    pub(crate) timers: u32,
    /// A hedge ratio with what was read of the legs.
    pub(crate) hedges: u32,
}

impl Needs {
    /// What the triggers of one position of `legs` legs need at most at any one time.
    pub(crate) fn of(triggers: &[Trigger], legs: usize) -> Self {
        let mut needs = Self { triggers: triggers.len() as u32, ..Self::default() };
        for trigger in triggers {
            match (trigger.role, trigger.reason) {
                (Role::Sign | Role::Tight, _) => needs.value(trigger, legs),
                (Role::Step, _) | (_, Reason::Deadline) => needs.timers += 1,
                // Reads and signals raise these: they stand in no table.
                (_, Reason::LegLost | Reason::Imbalance) => needs.hedges = 1,
                (_, Reason::Reversal) => {}
                // What waits for a signal alone stands in that signal's list.
                (_, Reason::FundingFlip | Reason::Correlation) | (Role::Fire, Reason::Dump) => {}
                // What it sets off begins when it has ended, and takes its place.
                (Role::Activate, _) => {}
                // A price of one leg, however many there are.
                (_, Reason::Liquidation) => needs.prices += 1,
                (
                    _,
                    Reason::TakeProfit
                    | Reason::Basis
                    | Reason::Tiers
                    | Reason::StopLoss
                    | Reason::TrailingStop
                    | Reason::TrailingProfit
                    | Reason::BreakEven
                    | Reason::ProfitErosion
                    | Reason::Dump,
                ) => needs.value(trigger, legs),
                _ => {
                    needs.timers += 1;
                    needs.value(trigger, legs);
                }
            }
        }
        needs
    }

    fn value(&mut self, trigger: &Trigger, legs: usize) {
        self.prices += legs as u32;
        if legs > 1 {
            self.nets += 1;
        } else if trigger.role == Role::Trail {
            self.trails += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.triggers += other.triggers;
        self.prices += other.prices;
        self.nets += other.nets;
        self.trails += other.trails;
        self.timers += other.timers;
        self.hedges += other.hedges;
    }

    pub(crate) fn remove(&mut self, other: &Self) {
        self.triggers -= other.triggers;
        self.prices -= other.prices;
        self.nets -= other.nets;
        self.trails -= other.trails;
        self.timers -= other.timers;
        self.hedges -= other.hedges;
    }

    /// As much as either, of each kind.
    fn raise(&mut self, other: &Self) {
        self.triggers = self.triggers.max(other.triggers);
        self.prices = self.prices.max(other.prices);
        self.nets = self.nets.max(other.nets);
        self.trails = self.trails.max(other.trails);
        self.timers = self.timers.max(other.timers);
        self.hedges = self.hedges.max(other.hedges);
    }

    /// Whether this fits into the limits.
    pub(crate) fn fit(&self, limits: &EngineLimits) -> Result<(), RegisterError> {
        let tables = [
            ("triggers", self.triggers, limits.triggers),
            ("price entries of triggers", self.prices, limits.prices),
            ("triggers on the sum of several legs", self.nets, limits.nets),
            ("trailing stops of one leg", self.trails, limits.trails),
            ("triggers with a time", self.timers, limits.timers),
            ("positions whose legs are read", self.hedges, limits.hedges),
        ];
        for (what, wanted, max) in tables {
            if wanted as usize > max {
                return Err(RegisterError::Full { what, max });
            }
        }
        Ok(())
    }
}

impl EngineLimits {
    /// No room at all, to be added to with [`EngineLimits::add`].
    pub const NONE: Self = Self {
        positions: 0,
        pairs: 0,
        baskets: 0,
        policies: 0,
        triggers: 0,
        prices: 0,
        nets: 0,
        trails: 0,
        timers: 0,
        hedges: 0,
    };

    /// Room for so many positions and triggers whatever they are: each position may have four legs,
    /// each trigger be of any kind. Where the policies are known, [`EngineLimits::add`] counts what
    /// they need and takes a fraction of that.
    #[must_use]
    pub const fn any(positions: usize, policies: usize, triggers: usize) -> Self {
        Self {
            positions,
            pairs: positions,
            baskets: positions,
            policies,
            triggers,
            prices: triggers * LEGS_MAX,
            nets: triggers,
            trails: triggers,
            timers: triggers,
            hedges: positions,
        }
    }

    /// Adds room for what health watches of all positions that there is room for by now.
    pub fn add_health(&mut self) {
        // One leg: its sign and a tightened stop; several: its sign with an entry for each leg.
        self.triggers += 2 * self.positions;
        self.prices += 2 * self.positions + (LEGS_MAX - 2) * self.baskets;
        self.nets += self.pairs + self.baskets;
    }

    /// Adds room for `count` positions of `legs` legs under a policy.
    pub fn add(&mut self, policy: &Policy, legs: usize, count: usize) {
        self.add_any([policy], legs, count);
    }

    /// Adds room for `count` positions of `legs` legs, each of which may go over to any of these
    /// policies: for the most that they need of each kind.
    pub fn add_any<'p>(
        &mut self,
        policies: impl IntoIterator<Item = &'p Policy>,
        legs: usize,
        count: usize,
    ) {
        let position = blank(legs);
        let mut needs = Needs::default();
        for policy in policies {
            // One of more rules or parts than there may be is refused with its first position.
            if let Ok(plan) = register::triggers(policy, &position, 0) {
                needs.raise(&Needs::of(&plan, legs));
            }
        }
        self.positions += count;
        match legs {
            0 | 1 => {}
            2 => self.pairs += count,
            _ => self.baskets += count,
        }
        self.triggers += needs.triggers as usize * count;
        self.prices += needs.prices as usize * count;
        self.nets += needs.nets as usize * count;
        self.trails += needs.trails as usize * count;
        self.timers += needs.timers as usize * count;
        self.hedges += needs.hedges as usize * count;
    }
}

/// A position of so many legs without numbers: what a policy's triggers are counted with.
fn blank(legs: usize) -> Tracked {
    let mut position = Tracked::blank();
    position.count = legs as u8;
    if let Some(legs) = Spare::new(Leg::NONE, 1, 1).take(legs) {
        position.legs = legs;
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Rule, Threshold};
    use crate::units::Rate;

    #[test]
    fn a_hold_for_funding_takes_a_trigger_a_leg_and_nothing_else() {
        let plain = Policy::of([Rule::StopLoss { distance: Rate::from_bps(100), base: None }]);
        let near = Some(crate::limits::FUNDING_HOLD_MAX);
        let holds = Policy { hold_for_funding: near, ..plain.clone() };
        for legs in 1..=4 {
            let of = |policy| {
                let mut limits = EngineLimits::NONE;
                limits.add(policy, legs, 10);
                limits
            };
            let mut wanted = of(&plain);
            wanted.triggers += 10 * legs;
            assert_eq!(of(&holds), wanted);
        }
    }

    #[test]
    fn a_table_is_full_by_its_own_kind() {
        let policy = Policy::of([
            Rule::TakeProfit {
                threshold: Threshold::Rate { rate: Rate::from_bps(100), base: None },
            },
            Rule::StopLoss { distance: Rate::from_bps(100), base: None },
        ]);
        let mut limits = EngineLimits::NONE;
        limits.add(&policy, 1, 10);
        limits.add(&policy, 2, 10);
        limits.add(&policy, 3, 10);
        assert_eq!((limits.positions, limits.pairs, limits.baskets), (30, 10, 10));
        assert_eq!((limits.triggers, limits.prices), (60, 20 + 40 + 60));
        assert_eq!((limits.nets, limits.trails, limits.timers), (40, 0, 0));
        let mut used = Needs::default();
        let of = |legs| {
            let plan = register::triggers(&policy, &blank(legs), 0).expect("it has few rules");
            Needs::of(&plan, legs)
        };
        for _ in 0..20 {
            used.add(&of(2));
        }
        assert_eq!(used.fit(&limits), Ok(()));
        used.add(&of(2));
        let what = "triggers on the sum of several legs";
        assert_eq!(used.fit(&limits), Err(RegisterError::Full { what, max: 40 }));
    }
}
