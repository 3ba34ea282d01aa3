//! The follower: a second engine off the hot path, fed with what the first one consumed. It compares
//! what the two decide and finds near misses (SPEC §10), so that neither costs the first one
//! anything.
//!
//! Progress of a trigger is `(v − v₀) / (T − v₀)`: v is the exit price or the net that it judges, T
//! where it fires. v₀ is the entry price or a net of nought; of a rule that follows a mark it is
//! that mark, and of one that waited for an activation the value at which it began. A trigger comes
//! near at 0.9 and has missed when it is below 0.8 without having fired; once per approach. Both
//! bounds are inclusive on the near side. Times and signals have no value and no progress.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::arm::value;
use crate::compile;
use crate::decide::compiled;
use crate::engine::Engine;
use crate::event::Event;
use crate::instrument::InstrumentId;
use crate::intent::{Intent, Reason};
use crate::limits::{LEGS_MAX, PPB};
use crate::net::{Cmp, Compiled};
use crate::policy::Rule;
use crate::position::{PositionId, PositionSpec, PositionState, RegisterError};
use crate::rules::erosion;
use crate::tracked::Tracked;
use crate::trigger::{Condition, Place, Role, Stage, Trigger, TriggerId};
use crate::units::{Nanos, div_floor};

/// A rule that almost fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// Which position.
    pub position: PositionId,
    /// Version of its policy.
    pub policy_version: u32,
    /// Index of the rule.
    pub rule: u8,
    /// Its part, as in an intent.
    pub part: u8,
    /// What it would have closed for.
    pub reason: Reason,
    /// When its progress reached 0.9.
    pub reached: Nanos,
    /// When it was nearest.
    pub nearest: Nanos,
    /// Progress then, in parts per billion, rounded down. One or more: it held, and a gate was
    /// closed.
    pub progress: i64,
    /// What would have had to hold then.
    pub trigger: Compiled,
    /// The legs' exit prices then, by the price that the rule looks at; 0 of a leg that it does not
    /// look at.
    pub exits: [i64; LEGS_MAX],
    /// When it fell below 0.8.
    pub left: Nanos,
}

/// Where two engines parted that were told the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parted {
    /// Number of the first engine's intent.
    pub intent: u64,
    /// When.
    pub at: Nanos,
}

/// An approach under way.
#[derive(Clone, Copy, Debug)]
struct Approach {
    reached: Nanos,
    nearest: Nanos,
    progress: i64,
    trigger: Compiled,
    exits: [i64; LEGS_MAX],
}

/// See the module.
#[derive(Debug)]
pub struct Follower {
    engine: Engine,
    /// Its own intents that the first engine has not shown yet.
    decided: VecDeque<Intent>,
    parted: Option<Parted>,
    /// By trigger.
    approaches: Vec<Option<Approach>>,
    /// Generation and policy of the position in each slot, as far as it is listed.
    listed: Vec<Option<(u32, u16)>>,
    /// Slots of the positions with a leg on each instrument.
    on: Vec<Vec<u32>>,
    missed: VecDeque<NearMiss>,
}

impl Follower {
    /// A follower around an engine that was made like the first one and was told nothing yet.
    #[must_use]
    pub const fn new(engine: Engine) -> Self {
        Self {
            engine,
            decided: VecDeque::new(),
            parted: None,
            approaches: Vec::new(),
            listed: Vec::new(),
            on: Vec::new(),
            missed: VecDeque::new(),
        }
    }

    /// Takes in a position that the first engine took in, or refused, at this moment.
    ///
    /// # Errors
    /// As the first engine's.
    pub fn register(
        &mut self,
        now: Nanos,
        spec: &PositionSpec,
    ) -> Result<PositionId, RegisterError> {
        let id = self.engine.register(now, spec);
        self.drain();
        self.list();
        id
    }

    /// Takes in an event that the first engine consumed at this moment.
    pub fn on_event(&mut self, now: Nanos, event: &Event) {
        self.engine.on_event(now, event);
        self.drain();
        let at = self.engine.now;
        match event {
            Event::Tick(tick) => {
                self.look_at(at, tick.instrument());
                // A jump of its peer may have been confirmed by this one.
                let instrument = self.engine.books.instrument(tick.instrument());
                if let Some(peer) = instrument.and_then(|of| of.spec().peer) {
                    self.look_at(at, peer);
                }
            }
            Event::Report(_) | Event::Command(_) | Event::Source(..) | Event::Timer => {
                self.list();
                for slot in 0..self.engine.positions.len() as u32 {
                    self.look(at, slot);
                }
            }
        }
    }

    /// Compares with an intent that the first engine has given out.
    pub fn on_intent(&mut self, intent: &Intent) {
        if self.decided.pop_front().as_ref() != Some(intent) && self.parted.is_none() {
            self.parted = Some(Parted { intent: intent.seq, at: intent.at });
        }
    }

    /// Where the two parted; `None` as long as they have decided the same.
    #[must_use]
    pub const fn parted(&self) -> Option<Parted> {
        self.parted
    }

    /// Running hash over its own intents.
    #[must_use]
    pub const fn hash(&self) -> u64 {
        self.engine.hash()
    }

    /// The next near miss, in the order of leaving.
    pub fn poll_near_miss(&mut self) -> Option<NearMiss> {
        self.missed.pop_front()
    }

    fn drain(&mut self) {
        while self.engine.poll_entered().is_some() {}
        while let Some(intent) = self.engine.poll_intent() {
            self.decided.push_back(intent);
        }
        while self.engine.poll_entry().is_some() {}
        while self.engine.poll_note().is_some() {}
    }

    /// Lists the positions that are new or under another policy, by the instruments of their legs.
    fn list(&mut self) {
        for (slot, position) in self.engine.positions.iter().enumerate() {
            if self.listed.len() == slot {
                self.listed.push(None);
            }
            let now = Some((position.generation, position.policy));
            if self.listed[slot] == now || !is_open(position) {
                continue;
            }
            self.listed[slot] = now;
            for leg in position.legs() {
                let at = usize::from(leg.instrument.0);
                if self.on.len() <= at {
                    self.on.resize_with(at + 1, Vec::new);
                }
                if !self.on[at].contains(&(slot as u32)) {
                    self.on[at].push(slot as u32);
                }
            }
            // Its triggers may have been another position's, or another rule's.
            let mut id = position.first;
            while id != TriggerId::NONE {
                if let Some(approach) = self.approaches.get_mut(id.0 as usize) {
                    *approach = None;
                }
                id = self.engine.triggers[id].next;
            }
        }
    }

    fn look_at(&mut self, now: Nanos, instrument: InstrumentId) {
        let Some(slots) = self.on.get_mut(usize::from(instrument.0)) else { return };
        let slots = core::mem::take(slots);
        slots.iter().for_each(|&slot| self.look(now, slot));
        self.on[usize::from(instrument.0)] = slots;
    }

    fn look(&mut self, now: Nanos, slot: u32) {
        let mut id = self.engine.positions[slot as usize].first;
        while id != TriggerId::NONE {
            self.follow(now, id);
            id = self.engine.triggers[id].next;
        }
    }

    /// One trigger after an event that may have moved it or what it judges.
    fn follow(&mut self, now: Nanos, id: TriggerId) {
        let at = id.0 as usize;
        if self.approaches.len() <= at {
            self.approaches.resize(at + 1, None);
        }
        let trigger = self.engine.triggers[id];
        let position = &self.engine.positions[trigger.position as usize];
        let fires = matches!(trigger.role, Role::Fire | Role::Trail);
        let is_off = position.off.has(trigger.rule);
        if !fires || is_off || trigger.stage != Stage::Armed || !is_open(position) {
            // It fired, it was switched off, or another closes the position: the approach is over and missed nothing.
            self.approaches[at] = None;
            return;
        }
        let Some(near) = Near::of(&self.engine, position, &trigger) else { return };
        let progress = near.progress();
        match &mut self.approaches[at] {
            None if near.is_at_least(9) => {
                self.approaches[at] = Some(Approach {
                    reached: now,
                    nearest: now,
                    progress,
                    trigger: near.trigger,
                    exits: near.exits,
                });
            }
            None => {}
            Some(approach) if near.is_at_least(8) && progress > approach.progress => {
                let (reached, nearest) = (approach.reached, now);
                let Near { trigger, exits, .. } = near;
                *approach = Approach { reached, nearest, progress, trigger, exits };
            }
            Some(_) if near.is_at_least(8) => {}
            Some(approach) => {
                let Approach { reached, nearest, progress, trigger: compiled, exits } = *approach;
                let policy = &self.engine.policies[usize::from(position.policy)];
                self.missed.push_back(NearMiss {
                    position: PositionId::new(trigger.position, position.generation),
                    policy_version: policy.version,
                    rule: trigger.rule,
                    part: trigger.part,
                    reason: trigger.reason,
                    reached,
                    nearest,
                    progress,
                    trigger: compiled,
                    exits,
                    left: now,
                });
                self.approaches[at] = None;
            }
        }
    }
}

fn is_open(position: &Tracked) -> bool {
    position.state == PositionState::Open
}

/// How far a trigger is on its way: `done` of `all`, both from v₀ towards T.
struct Near {
    done: i128,
    all: i128,
    trigger: Compiled,
    exits: [i64; LEGS_MAX],
}

impl Near {
    /// `None` without a value, without a price, or when v₀ is not on the near side of T.
    fn of(engine: &Engine, position: &Tracked, trigger: &Trigger) -> Option<Self> {
        let mut exits = [0; LEGS_MAX];
        for (at, (leg, exit)) in position.legs().iter().zip(&mut exits).enumerate() {
            let board = engine.books.board(leg.instrument, trigger.source);
            // A liquidation is about one leg: the others need no mark price.
            if trigger.reason != Reason::Liquidation || at == trigger.leg() {
                *exit = leg.exit(&engine.books.quote(board)?);
            }
        }
        let rule =
            &engine.policies[usize::from(position.policy)].rules[usize::from(trigger.rule)].rule;
        let mut trigger = *trigger;
        if let Place::Member(node) = trigger.place {
            // Its own mark is that of when it joined the group.
            let groups = &engine.watch.groups;
            trigger.mark = groups.group(groups.group_of(node)).mark;
            let instrument = engine.books.instrument(position.legs()[0].instrument)?;
            trigger.condition = compile::condition(position, rule, &trigger, instrument);
        }
        // A rule with a mark begins there, also one that does not follow it any further.
        let marked = matches!(
            rule,
            Rule::TrailingStop { .. }
                | Rule::TrailingProfit { .. }
                | Rule::BreakEven { .. }
                | Rule::ProfitErosion { .. }
        );
        let (cmp, v, from, to, judged) = match trigger.condition {
            Condition::Price(cmp, limit) => {
                let leg = trigger.leg();
                let from = if marked { trigger.mark } else { position.legs()[leg].entry.raw() };
                (cmp, exits[leg].into(), from.into(), limit.into(), Compiled::Price { cmp, limit })
            }
            Condition::Net(cmp, bound) => {
                let from = if marked {
                    let base = compile::base(position, base_of(rule));
                    i128::from(trigger.mark - PPB) * base
                } else {
                    0
                };
                let net = value(position, &exits) - position.cost;
                (cmp, net, from, bound.get() - position.cost, compiled(position, &trigger))
            }
            Condition::Time(_) | Condition::Never | Condition::Always | Condition::Signal(_) => {
                return None;
            }
        };
        let (done, all) = match cmp {
            Cmp::AtLeast => (v - from, to - from),
            Cmp::AtMost => (from - v, from - to),
        };
        (all > 0).then_some(Self { done, all, trigger: judged, exits })
    }

    /// Whether progress is at least so many tenths.
    const fn is_at_least(&self, tenths: i128) -> bool {
        self.done * 10 >= self.all * tenths
    }

    /// In parts per billion, rounded down.
    fn progress(&self) -> i64 {
        let limit = i128::from(i64::MAX / 4);
        let done = self.done.clamp(-(1 << 96), 1 << 96);
        div_floor(done * i128::from(PPB), self.all).clamp(-limit, limit) as i64
    }
}

fn base_of(rule: &Rule) -> Option<crate::policy::Base> {
    match rule {
        Rule::TrailingStop { base, .. } | Rule::TrailingProfit { base, .. } => *base,
        Rule::ProfitErosion { minimum, .. } => erosion::base_of(minimum),
        _ => None,
    }
}
