//! Policies and rules that are switched while positions are held.

use reap_core::event::{Command, Event, Which};
use reap_core::instrument::VenueId;
use reap_core::policy::{Distance, Policy, PolicyId, Rule, RuleSpec};
use reap_core::position::PositionId;
use reap_core::units::{Nanos, Rate};

use super::hedge::Hedge;
use super::life::{Life, RuleState};
use super::market::Market;
use super::{Reference, meant};

/// What was switched: proof that a run tested something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Switched {
    /// Positions that went over to another policy.
    pub(crate) moved: u64,
    /// Of those, at the end of a plan.
    pub(crate) late: u64,
    /// Rules that both policies had.
    pub(crate) kept: u64,
    /// Policies that do not fit the position, as the engine says.
    pub(crate) refused: u64,
    /// Rules that were switched off, and on again.
    pub(crate) off: u64,
    pub(crate) on: u64,
    /// Positions that were registered under a newer version.
    pub(crate) committed: u64,
}

impl Switched {
    pub(crate) fn add(&mut self, other: &Self) {
        self.moved += other.moved;
        self.late += other.late;
        self.kept += other.kept;
        self.refused += other.refused;
        self.off += other.off;
        self.on += other.on;
        self.committed += other.committed;
    }
}

impl Reference {
    /// What a registration under a policy gets.
    pub(super) fn in_force(&mut self, policy: PolicyId) -> PolicyId {
        let version = self.committed.get(&policy).copied();
        self.switched.committed += u64::from(version.is_some());
        version.unwrap_or(policy)
    }

    pub(super) fn on_switch(&mut self, command: &Command) {
        match *command {
            Command::Commit { of, policy } => {
                self.committed.insert(of, policy);
            }
            Command::Policy { which, policy } => {
                let said = &self.policies[usize::from(policy.0)];
                let lives = self.lives.iter_mut();
                for (id, life) in
                    lives.filter(|(id, life)| life.is_live() && meant(which, **id, life))
                {
                    if life.plan.is_some() {
                        let same = life.spec.policy == policy;
                        life.wanted = (!same).then(|| (policy, said.clone()));
                    } else if life.spec.policy == policy {
                    } else if self.refused.contains(id) {
                        self.switched.refused += 1;
                    } else {
                        self.switched.moved += 1;
                        self.switched.kept += life.go_over(policy, said.clone(), self.now);
                    }
                }
            }
            Command::Rule { which, policy, rule, on } => {
                for (&id, life) in &mut self.lives {
                    let is_meant = life.is_live() && meant(which, id, life);
                    if is_meant && life.spec.policy == policy {
                        let off = &mut life.rules[usize::from(rule)].off;
                        self.switched.on += u64::from(*off && on);
                        self.switched.off += u64::from(!*off && !on);
                        *off = !on;
                        life.balance(self.now);
                    }
                }
            }
            _ => unreachable!("no switch"),
        }
    }

    /// The plan of a position has ended, and it is still held.
    pub(super) fn take_wanted(&mut self, id: PositionId) {
        let Some(life) = self.lives.get_mut(&id) else { return };
        let Some((policy, said)) = life.wanted.take().filter(|_| life.is_live()) else { return };
        if self.refused.contains(&id) {
            self.switched.refused += 1;
            return;
        }
        self.switched.moved += 1;
        self.switched.late += 1;
        self.switched.kept += life.go_over(policy, said, self.now);
    }
}

impl Life {
    /// Another policy from now on: a rule that both have stands where it stood. Gives their number.
    fn go_over(&mut self, id: PolicyId, policy: Policy, now: Nanos) -> u64 {
        let mut left: Vec<Option<(RuleSpec, RuleState)>> =
            self.policy.rules.drain(..).zip(self.rules.drain(..)).map(Some).collect();
        let mut states: Vec<Option<RuleState>> = vec![None; policy.rules.len()];
        for whole in [true, false] {
            for (said, state) in policy.rules.iter().zip(&mut states) {
                if state.is_some() {
                    continue;
                }
                let goes_on = |old: &RuleSpec| {
                    let alike =
                        if whole { old.rule == said.rule } else { begins(old) == begins(said) };
                    alike && old.source == said.source && old.on == said.on
                };
                let twin =
                    left.iter_mut().find(|old| old.as_ref().is_some_and(|(old, _)| goes_on(old)));
                *state = twin.and_then(Option::take).map(|(_, state)| state);
            }
        }
        let kept = states.iter().flatten().count() as u64;
        for (said, state) in policy.rules.iter().zip(states) {
            self.rules.push(state.unwrap_or_else(|| RuleState::new(said, &self.legs)));
        }
        self.policy = policy;
        self.spec.policy = id;
        self.misses = 0;
        self.tight = None;
        self.settle_tiers();
        self.remedies = vec![Vec::new(); self.rules.len()];
        let legs: Vec<_> = self.legs.iter().map(|leg| (leg.spec, leg.instrument)).collect();
        self.hedge = Hedge::new(&legs);
        self.balance(now);
        kept
    }
}

/// A trailing rule without what says how near it is; any other rule is itself and nothing else.
fn begins(said: &RuleSpec) -> Rule {
    let mut rule = said.rule.clone();
    let none = Rate::ZERO;
    match &mut rule {
        Rule::TrailingStop { distance, .. } => *distance = Distance::Rate(none),
        Rule::TrailingProfit { distance, floor, step, .. } => {
            (*distance, *floor, *step) = (none, none, none);
        }
        Rule::BreakEven { offset, .. } => *offset = none,
        Rule::ProfitErosion { fraction, .. } => *fraction = none,
        _ => {}
    }
    rule
}

impl Market {
    /// A position goes over to another policy, a rule is switched, a version is committed.
    pub(super) fn switch(&mut self) -> Event {
        let one = self.rng.next() as usize % self.holdings.len();
        let (id, own) = (self.holdings[one].id, self.holdings[one].spec.policy);
        let which = match self.rng.within(0, 9) {
            0 => Which::Venue(VenueId(self.rng.within(0, 2) as u8)),
            1 => Which::Tag(self.rng.within(1, 3) as u32),
            2 => Which::All,
            _ => Which::Position(id),
        };
        let like = self.world.policies_like(own);
        let policy = self.rng.pick(&like);
        let rules = self.world.policies[usize::from(own.0)].rules.len() as i64;
        Event::Command(match self.rng.within(0, 7) {
            0 => Command::Commit { of: own, policy },
            1..=4 => Command::Policy { which, policy },
            _ => {
                let rule = self.rng.within(0, rules - 1) as u8;
                let on = self.rng.one_in(2);
                Command::Rule { which, policy: own, rule, on }
            }
        })
    }

    /// Which policies the positions are under by now.
    pub(crate) fn on_policies(&mut self, policy_of: impl Fn(PositionId) -> PolicyId) {
        for holding in &mut self.holdings {
            holding.spec.policy = policy_of(holding.id);
        }
    }
}
