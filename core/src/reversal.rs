//! Signals to the other side of what is held (SPEC §5, reversal): first the exit, and only on
//! evidence that it is closed the entry.
//!
//! A signal conflicts with every position that holds its instrument on the other side. Each is asked
//! once, at the signal: a plan that is live already is waited for, a `reversal` rule whose net is
//! reached closes, everything else refuses. An entry is allowed when nothing conflicts any more, at
//! most [`crate::limits::SIGNAL_TTL`] after the signal; a refusal drops it at once. What a rule with
//! `enter` then does is a turn: `turn`.

use alloc::vec::Vec;

use crate::arbiter::{Candidate, Origin};
use crate::arm::value;
use crate::compile;
use crate::engine::Engine;
use crate::heap::NodeId;
use crate::instrument::InstrumentId;
use crate::intent::{Reason, Urgency};
use crate::limits::{LEGS_MAX, SIGNAL_TTL};
use crate::note::{EngineNote, SignalDrop, SignalRefusal};
use crate::policy::{Rule, TriggerSource};
use crate::position::{PositionId, PositionState, Side};
use crate::trigger::{Stage, TriggerId};
use crate::units::{Nanos, Qty};
use crate::watch::{SystemTimer, Timer};

/// A signal that waits for what it conflicts with.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    instrument: InstrumentId,
    side: Side,
    timer: NodeId,
}

/// Signals that wait: one for each instrument, the newest.
#[derive(Debug)]
pub(crate) struct Signals {
    waiting: Vec<Waiting>,
}

impl Signals {
    pub(crate) fn with_capacity(instruments: usize) -> Self {
        Self { waiting: Vec::with_capacity(instruments) }
    }
}

impl Engine {
    pub(crate) fn on_signal(&mut self, now: Nanos, instrument: InstrumentId, side: Side) {
        if usize::from(instrument.0) >= self.books.len() {
            self.stray("a signal for an unknown instrument", None);
            return;
        }
        self.drop_signal(instrument, SignalDrop::Replaced);
        if self.turns.enters_against(instrument, side) {
            let why = SignalDrop::Entering;
            self.notes.push(EngineNote::SignalDropped { instrument, side, why });
            return;
        }
        let (mut conflicts, mut refused) = (false, false);
        self.each_holder(instrument, |engine, slot| {
            if !engine.conflicts(slot, instrument, side) {
                return;
            }
            conflicts = true;
            let exits = engine.positions[slot as usize].state == PositionState::Exiting;
            if exits && engine.is_closing(slot) {
                engine.plan_turn(slot, instrument, side);
                return;
            }
            let reversed = engine.reverse(slot, now);
            if let Err(why) = reversed
                && !exits
            {
                refused = true;
                let generation = engine.positions[slot as usize].generation;
                let position = PositionId::new(slot, generation);
                engine.notes.push(EngineNote::SignalRefused { position, why });
            } else {
                engine.plan_turn(slot, instrument, side);
            }
        });
        if refused {
            let why = SignalDrop::Refused;
            self.drop_turns(instrument);
            self.notes.push(EngineNote::SignalDropped { instrument, side, why });
        } else if conflicts {
            // At its last nanosecond an entry is still allowed.
            let until = now.plus(SIGNAL_TTL).plus(Nanos(1));
            let timer = Timer::System(SystemTimer::Signal, u32::from(instrument.0));
            let timer = self.watch.add_timer(until.0, timer);
            self.signals.waiting.push(Waiting { instrument, side, timer });
        } else {
            self.allow_entry(instrument, side);
        }
    }

    /// Nothing stands against an entry any more but the trading state.
    fn allow_entry(&mut self, instrument: InstrumentId, side: Side) {
        if self.may_enter() {
            self.notes.push(EngineNote::EntryAllowed { instrument, side });
            self.enter_turns(instrument);
        } else {
            let why = SignalDrop::NotActive;
            self.notes.push(EngineNote::SignalDropped { instrument, side, why });
            self.drop_turns(instrument);
        }
    }

    /// Whether a position holds the instrument against a signal to `side`.
    fn conflicts(&self, slot: u32, instrument: InstrumentId, side: Side) -> bool {
        let position = &self.positions[slot as usize];
        let held = matches!(
            position.state,
            PositionState::Open | PositionState::Exiting | PositionState::DustResidual
        );
        let against = |leg: &crate::tracked::Leg| {
            let counts = leg.open > Qty::ZERO || position.state == PositionState::Exiting;
            leg.instrument == instrument && leg.side != side && counts
        };
        held && position.legs().iter().any(against)
    }

    /// Whether a live plan leaves nothing for a reversal to do: it closes everything, and not only
    /// when that is cheap.
    fn is_closing(&self, slot: u32) -> bool {
        let position = &self.positions[slot as usize];
        let closes = position.legs().iter().all(|leg| leg.keep == Qty::ZERO);
        let urgent = position.plan.is_some_and(|plan| plan.urgency > Urgency::Opportunistic);
        closes && urgent || position.is_flat()
    }

    /// Closes a position that holds the other side when its net allows it.
    fn reverse(&mut self, slot: u32, now: Nanos) -> Result<(), SignalRefusal> {
        let position = &self.positions[slot as usize];
        if position.state == PositionState::DustResidual {
            return Err(SignalRefusal::Dust);
        }
        let rules = &self.policies[usize::from(position.policy)].rules;
        let mut id = position.first;
        while id != TriggerId::NONE && self.triggers[id].reason != Reason::Reversal {
            id = self.triggers[id].next;
        }
        if id == TriggerId::NONE || self.triggers[id].stage != Stage::Armed {
            return Err(SignalRefusal::NoRule);
        }
        let trigger = self.triggers[id];
        if position.off.has(trigger.rule) {
            return Err(SignalRefusal::NoRule);
        }
        let Rule::Reversal { at, base, .. } = rules[usize::from(trigger.rule)].rule else {
            unreachable!("the trigger is of this rule")
        };
        let mut exits = [0; LEGS_MAX];
        for (leg, exit) in position.legs().iter().zip(&mut exits) {
            let quote = self.books.quote(leg.instrument).ok_or(SignalRefusal::NoPrice)?;
            *exit = leg.exit(&quote);
        }
        // It takes a profit: without every price, all of one moment, it fails closed.
        if self.closed_gate(slot, TriggerSource::Bbo, position.count > 1, now).is_some() {
            return Err(SignalRefusal::NoPrice);
        }
        let net = value(position, &exits) - position.cost;
        if net < i128::from(at.raw()) * compile::base(position, base) {
            let losing = net < 0;
            return Err(if losing {
                SignalRefusal::PositionLosing
            } else {
                SignalRefusal::InsufficientProfit
            });
        }
        self.triggers[id].stage = Stage::Fired;
        self.candidates.push(Candidate {
            position: slot,
            rule: trigger.rule,
            part: trigger.part,
            reason: trigger.reason,
            urgency: trigger.reason.urgency(),
            origin: Origin::trigger(id),
        });
        Ok(())
    }

    /// A position is closed on evidence: signals that nothing conflicts with any more may enter.
    pub(crate) fn signals_on_closed(&mut self) {
        let mut at = 0;
        while at < self.signals.waiting.len() {
            let Waiting { instrument, side, timer } = self.signals.waiting[at];
            let first = self.first_holder(instrument);
            let mut holders = core::iter::successors(first, |&at| self.next_holder(at));
            if holders.any(|at| self.conflicts(at.slot(), instrument, side)) {
                at += 1;
                continue;
            }
            self.watch.remove_timer(timer);
            self.signals.waiting.remove(at);
            self.allow_entry(instrument, side);
        }
    }

    /// Nothing waits for a signal longer than this.
    pub(crate) fn signal_expires(&mut self, instrument: u32) {
        let waiting = &mut self.signals.waiting;
        let Some(at) = waiting.iter().position(|one| u32::from(one.instrument.0) == instrument)
        else {
            return;
        };
        let Waiting { instrument, side, .. } = waiting.remove(at);
        let why = SignalDrop::Expired;
        self.drop_turns(instrument);
        self.notes.push(EngineNote::SignalDropped { instrument, side, why });
    }

    /// Drops the signal that waits for an instrument, if there is one.
    fn drop_signal(&mut self, instrument: InstrumentId, why: SignalDrop) {
        let waiting = &mut self.signals.waiting;
        if let Some(at) = waiting.iter().position(|one| one.instrument == instrument) {
            let Waiting { side, timer, .. } = waiting.remove(at);
            self.watch.remove_timer(timer);
            self.drop_turns(instrument);
            self.notes.push(EngineNote::SignalDropped { instrument, side, why });
        }
    }
}
