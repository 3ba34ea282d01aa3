//! Switching while running: a position goes over to another policy, a rule of it is switched on or
//! off, and what is registered from now on gets a newer version.
//!
//! A policy is taken in cold by [`Engine::add_policy`] and never changes. A position keeps the one
//! that it was registered under until a command moves it, and moves only while no plan is live: a
//! plan is judged to its end by the rules that began it.

use crate::arbiter::RULE_BLIND;
use crate::engine::Engine;
use crate::event::Which;
use crate::intent::Reason;
use crate::limits::RULES_MAX;
use crate::needs::Needs;
use crate::note::EngineNote;
use crate::policy::{Policy, PolicyId, Rule, RuleSpec};
use crate::position::{PositionId, PositionState, RegisterError};
use crate::register::{self, Plan};
use crate::tracked::Tracked;
use crate::trigger::{Place, Role, Stage, Trigger, TriggerId};
use crate::units::Nanos;

/// A set of a policy's rules, by their indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RuleSet(u64);

const _: () = assert!(RULES_MAX <= u64::BITS as usize);

impl RuleSet {
    /// The rules that a policy leaves to be switched on.
    pub(crate) fn off_at_first(policy: &Policy) -> Self {
        let mut off = Self::default();
        for (rule, said) in policy.rules.iter().enumerate() {
            off.set(rule as u8, !said.on);
        }
        off
    }

    pub(crate) const fn has(self, rule: u8) -> bool {
        (rule as usize) < RULES_MAX && self.0 & 1 << rule != 0
    }

    fn set(&mut self, rule: u8, is_in: bool) {
        self.0 = self.0 & !(1 << rule) | u64::from(is_in) << rule;
    }
}

impl Engine {
    /// The policy that a registration under `policy` gets: itself, or the version that the last
    /// [`crate::event::Command::Commit`] named for it.
    #[must_use]
    pub fn in_force(&self, policy: PolicyId) -> PolicyId {
        self.in_force.get(usize::from(policy.0)).map_or(policy, |&version| PolicyId(version))
    }

    /// The policy that a position is under; `None` when it is not there.
    #[must_use]
    pub fn policy_of(&self, id: PositionId) -> Option<PolicyId> {
        self.find(id).map(|position| PolicyId(position.policy))
    }

    pub(crate) fn on_commit(&mut self, of: PolicyId, policy: PolicyId) {
        let count = self.policies.len();
        if usize::from(of.0) >= count || usize::from(policy.0) >= count {
            self.stray("a commit of a policy that is not there", None);
            return;
        }
        self.in_force[usize::from(of.0)] = policy.0;
        self.turns.commit(of, policy);
        self.notes.push(EngineNote::Committed { of, policy });
    }

    pub(crate) fn on_policy(&mut self, now: Nanos, which: Which, policy: PolicyId) {
        if usize::from(policy.0) >= self.policies.len() {
            self.stray("a switch to a policy that is not there", None);
            return;
        }
        self.each_meant(which, |engine, slot| engine.ask_policy(now, slot, policy));
    }

    fn ask_policy(&mut self, now: Nanos, slot: u32, policy: PolicyId) {
        let position = &mut self.positions[slot as usize];
        let same = position.policy == policy.0;
        if position.plan.is_some() {
            position.wanted = (!same).then_some(policy.0);
            let id = PositionId::new(slot, position.generation);
            self.notes.push(EngineNote::Policy { position: id, policy, waits: !same });
        } else if !same {
            self.undo_fired(slot, None);
            self.take_policy(slot, policy);
            self.each_trigger(slot, |engine, id| engine.test_idle(id, now));
            self.look_for_prices(slot, now);
        }
    }

    /// The plan of a position has ended: it goes over to the policy that waited for that.
    pub(crate) fn take_wanted(&mut self, slot: u32) {
        if let Some(policy) = self.positions[slot as usize].wanted.take() {
            self.take_policy(slot, PolicyId(policy));
        }
    }

    /// Puts a position under another policy; its triggers are watched nowhere after that. One that
    /// does not fit the position is refused: then everything is as it was.
    pub(crate) fn take_policy(&mut self, slot: u32, policy: PolicyId) {
        self.portfolio_lift(slot);
        let note = self.go_over(slot, policy);
        self.portfolio_lay(slot);
        self.notes.push(note);
    }

    fn go_over(&mut self, slot: u32, policy: PolicyId) -> EngineNote {
        let position = &self.positions[slot as usize];
        let id = PositionId::new(slot, position.generation);
        let before = (position.policy, position.off);
        let (old, new) =
            (&self.policies[usize::from(position.policy)], &self.policies[usize::from(policy.0)]);
        let checked = register::suits(&self.books, new, position).and_then(|()| {
            let legs = usize::from(position.count);
            let mut plan = register::triggers(new, position, slot)?;
            self.add_health_parts(&mut plan, slot, legs);
            let mut used = self.used;
            used.remove(&self.needs_of(slot));
            used.add(&Needs::of(&plan, legs));
            used.fit(&self.limits)?;
            self.portfolio_admits(new, position)?;
            Ok(plan)
        });
        let mut plan = match checked {
            Ok(plan) => plan,
            Err(why) => return EngineNote::PolicyRefused { position: id, policy, why },
        };
        let mut off = RuleSet::off_at_first(new);
        let twins = twins_of(old, new);
        for (rule, twin) in twins.iter().enumerate().take(new.rules.len()) {
            if let Some(was) = *twin {
                off.set(rule as u8, before.1.has(was));
            }
        }
        let were = self.uninstall(slot);
        for trigger in &mut plan {
            if trigger.role == Role::Tight {
                // No stop that health has tightened goes back with a switch.
                let was = were.iter().find(|was| was.role == Role::Tight);
                trigger.mark = was.map_or(0, |was| was.mark);
            }
            let Some(&twin) = twins.get(usize::from(trigger.rule)) else { continue };
            let is_twin = |was: &&Trigger| {
                Some(was.rule) == twin && (was.part, was.role) == (trigger.part, trigger.role)
            };
            if let Some(was) = were.iter().find(is_twin) {
                trigger.stage = was.stage;
                // Reads count anew, and so does what they have shown.
                if trigger.reason != Reason::Imbalance {
                    trigger.mark = was.mark;
                }
            }
        }
        if let Err(why) = self.install(slot, (policy.0, off), &plan) {
            let again = self.install(slot, before, &were);
            assert_eq!(again, Ok(()), "what was there has room");
            EngineNote::PolicyRefused { position: id, policy, why }
        } else {
            let now = self.now;
            plan.iter().for_each(|trigger| self.watch_source(trigger, true, now));
            were.iter().for_each(|trigger| self.watch_source(trigger, false, now));
            let position = &mut self.positions[slot as usize];
            position.misses = 0;
            // Reads of the venues count anew, for rules that may not have been there.
            self.hedges.release(&mut position.hedge);
            self.begin_hedge(slot);
            self.watch_balance(slot, self.now);
            EngineNote::Policy { position: id, policy, waits: false }
        }
    }

    /// Takes a position's triggers out of everything and gives them back as they were.
    fn uninstall(&mut self, slot: u32) -> Plan {
        let mut were = Plan::new();
        self.each_trigger(slot, |engine, id| {
            engine.take(id);
            were.push(engine.triggers[id]);
        });
        // A dump rule's track stands on the board of its class: first the track, then the class.
        self.close_tracks(slot, TriggerId::NONE);
        self.close_signals(slot, TriggerId::NONE);
        self.drop_triggers(slot);
        were
    }

    /// Gives the triggers of a position back, which are queued nowhere and have no tracks.
    pub(crate) fn drop_triggers(&mut self, slot: u32) {
        let needs = self.needs_of(slot);
        self.used.remove(&needs);
        self.each_trigger(slot, |engine, id| engine.triggers.release(id));
        self.positions[slot as usize].first = TriggerId::NONE;
    }

    fn needs_of(&self, slot: u32) -> Needs {
        let position = &self.positions[slot as usize];
        let legs = usize::from(position.count);
        let (mut all, mut id) = (Plan::new(), position.first);
        while id != TriggerId::NONE {
            all.push(self.triggers[id]);
            id = self.triggers[id].next;
        }
        Needs::of(&all, legs)
    }

    /// Gives a position without triggers a policy and these, compiled and watched nowhere. Refused
    /// when an instrument has no room for what they follow: then it has none again.
    fn install(
        &mut self,
        slot: u32,
        to: (u16, RuleSet),
        triggers: &[Trigger],
    ) -> Result<(), RegisterError> {
        let position = &mut self.positions[slot as usize];
        (position.policy, position.off) = to;
        position.refresh(&self.policies[usize::from(position.policy)]);
        self.chain(slot, triggers);
        if let Err(why) = self.take_watches(slot) {
            self.drop_triggers(slot);
            return Err(why);
        }
        self.end_filled_tiers(slot);
        self.each_trigger(slot, Self::recompile);
        Ok(())
    }

    /// Makes these the triggers of a position that has none.
    pub(crate) fn chain(&mut self, slot: u32, triggers: &[Trigger]) {
        let legs = usize::from(self.positions[slot as usize].count);
        self.used.add(&Needs::of(triggers, legs));
        let mut last = TriggerId::NONE;
        for trigger in triggers {
            let mut trigger = *trigger;
            trigger.next = TriggerId::NONE;
            let id = self.triggers.add(trigger);
            if last == TriggerId::NONE {
                self.positions[slot as usize].first = id;
            } else {
                self.triggers[last].next = id;
            }
            last = id;
        }
    }

    pub(crate) fn on_rule(
        &mut self,
        now: Nanos,
        which: Which,
        policy: PolicyId,
        rule: u8,
        on: bool,
    ) {
        let known = self.policies.get(usize::from(policy.0));
        if known.is_none_or(|policy| usize::from(rule) >= policy.rules.len()) {
            self.stray("a switch of a rule that is not there", None);
            return;
        }
        self.each_meant(which, |engine, slot| {
            let position = &engine.positions[slot as usize];
            if position.policy == policy.0 {
                engine.switch_rule(now, slot, rule, on);
            } else if let Which::Position(id) = which {
                engine.stray("a switch of a rule that the position is not under", Some(id));
            }
        });
    }

    fn switch_rule(&mut self, now: Nanos, slot: u32, rule: u8, on: bool) {
        let position = &mut self.positions[slot as usize];
        if position.off.has(rule) != on {
            return;
        }
        position.off.set(rule, !on);
        let id = PositionId::new(slot, position.generation);
        let policy = PolicyId(position.policy);
        if on {
            self.for_rule(slot, rule, |engine, id| engine.test_idle(id, now));
        } else {
            self.undo_fired(slot, Some(rule));
            self.for_rule(slot, rule, Self::take);
            self.loosen_beside(slot, rule);
        }
        self.tighten_late(slot);
        self.watch_balance(slot, now);
        self.notes.push(EngineNote::Rule { position: id, policy, rule, on });
    }

    /// What a timer of this very event has fired is not decided yet: it is armed again, and looked
    /// at under what the command has made of it.
    fn undo_fired(&mut self, slot: u32, rule: Option<u8>) {
        let triggers = &mut self.triggers;
        let blind = &mut self.positions[slot as usize].blind;
        self.candidates.retain(|candidate| {
            let of_blindness = candidate.rule == RULE_BLIND;
            let meant = candidate.position == slot
                && (candidate.origin.by() != TriggerId::NONE || of_blindness)
                && rule.is_none_or(|rule| candidate.rule == rule);
            match blind {
                _ if !meant => {}
                Some(blind) if of_blindness => blind.asked = false,
                None if of_blindness => {}
                _ => triggers[candidate.origin.by()].stage = Stage::Armed,
            }
            !meant
        });
    }

    /// Looks at a trigger that is armed and watched nowhere.
    fn test_idle(&mut self, id: TriggerId, now: Nanos) {
        let trigger = self.triggers[id];
        if trigger.stage == Stage::Armed && trigger.place == Place::None {
            self.recompile(id);
            self.test(id, now);
        }
    }

    /// The live positions that a command means, in the order of their slots.
    pub(crate) fn each_meant(&mut self, which: Which, mut each: impl FnMut(&mut Self, u32)) {
        if let Which::Position(id) = which {
            if let Some(slot) = self.live_slot(id) {
                each(self, slot);
            }
            return;
        }
        for slot in 0..self.positions.len() as u32 {
            if self.is_meant(which, &self.positions[slot as usize]) {
                each(self, slot);
            }
        }
    }

    fn is_meant(&self, which: Which, position: &Tracked) -> bool {
        let live = matches!(position.state, PositionState::Open | PositionState::Exiting);
        live && match which {
            Which::Position(_) => false,
            Which::Tag(tag) => tag != 0 && position.tag == tag,
            Which::All => true,
            Which::Venue(venue) => position.legs().iter().any(|leg| {
                let instrument = self.books.instrument(leg.instrument);
                instrument.is_some_and(|instrument| instrument.spec().venue == venue)
            }),
        }
    }
}

/// By rule of the new policy the one of the old that it goes on from: the first that is the same and
/// not taken yet; after these the first that differs only in how near it is.
fn twins_of(old: &Policy, new: &Policy) -> [Option<u8>; RULES_MAX] {
    let mut twins = [None; RULES_MAX];
    for alike in [same, heirs] {
        for (rule, said) in new.rules.iter().enumerate() {
            if twins[rule].is_none() {
                let rules = (0u8..).zip(&old.rules);
                let mut free = rules.filter(|(at, _)| !twins.contains(&Some(*at)));
                twins[rule] = free.find(|(_, other)| alike(other, said)).map(|(at, _)| at);
            }
        }
    }
    twins
}

/// Whether both trail from the same moment on: what one has seen as its best price or net, the other
/// has too.
fn heirs(a: &RuleSpec, b: &RuleSpec) -> bool {
    let begin = match (&a.rule, &b.rule) {
        (
            Rule::TrailingStop { activation, base, .. },
            Rule::TrailingStop { activation: other, base: of, .. },
        ) => activation == other && base == of,
        (
            Rule::TrailingProfit { activation, base, .. },
            Rule::TrailingProfit { activation: other, base: of, .. },
        ) => activation == other && base == of,
        (Rule::BreakEven { activation, .. }, Rule::BreakEven { activation: other, .. }) => {
            activation == other
        }
        (Rule::ProfitErosion { minimum, .. }, Rule::ProfitErosion { minimum: other, .. }) => {
            minimum == other
        }
        _ => false,
    };
    begin && a.source == b.source && a.on == b.on
}

/// Where the parameters came from makes no difference.
fn same(a: &RuleSpec, b: &RuleSpec) -> bool {
    (&a.rule, a.source, a.on) == (&b.rule, b.source, b.on)
}
