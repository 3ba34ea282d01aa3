//! `hold_for_funding`: a rule that takes a profit or ends by the clock waits, while a settlement of
//! funding in the position's favour is near, until it has been paid.
//!
//! Whether a position is held is no state of it: it follows from its open quantities, what was
//! predicted for its legs, and the time. What would fire then is put aside, and looked at again when
//! one of the three has ended the hold. No price begins or ends one.

use crate::engine::Engine;
use crate::instrument::InstrumentId;
use crate::note::EngineNote;
use crate::position::PositionId;
use crate::rules;
use crate::signal::Signal;
use crate::trigger::{Gate, Place, TriggerId};
use crate::units::Nanos;
use crate::watch::{SystemTimer, Timer};

impl Engine {
    /// The settlement that a position is held for.
    fn held_for(&self, slot: u32, now: Nanos) -> Option<Nanos> {
        let position = &self.positions[slot as usize];
        let near = self.policies[usize::from(position.policy)].hold_for_funding?;
        self.fundings.in_favour(position, near, now)
    }

    /// Puts a trigger aside that would fire, if its position is held.
    pub(crate) fn waits_for_funding(&mut self, id: TriggerId, now: Nanos) -> bool {
        let trigger = self.triggers[id];
        if !rules::funding::waits(trigger.reason) {
            return false;
        }
        let Some(settles) = self.held_for(trigger.position, now) else { return false };
        self.triggers[id].place = Place::Held;
        self.fundings.held += 1;
        let position = &self.positions[trigger.position as usize];
        position.legs().iter().for_each(|leg| self.fundings.set_waited(leg.instrument));
        let generation = position.generation;
        let position = PositionId::new(trigger.position, generation);
        let (rule, reason) = (trigger.rule, trigger.reason);
        self.notes.push(EngineNote::HeldForFunding { position, rule, reason, settles });
        true
    }

    /// Whether a trigger waits for a settlement, and goes on to.
    pub(crate) fn still_waits(&self, id: TriggerId, now: Nanos) -> bool {
        let trigger = &self.triggers[id];
        trigger.place == Place::Held && self.held_for(trigger.position, now).is_some()
    }

    /// What is known of an instrument's funding has changed, or a settlement is long enough past:
    /// lists what waits in the positions with a leg on it that are held no more.
    pub(crate) fn end_holds(&mut self, now: Nanos, id: InstrumentId) {
        if self.fundings.held == 0 || !self.fundings.take_waited(id) {
            return;
        }
        let mut listener = self.triggers.first_waiting(Gate::Signal(Signal::Predicted(id)));
        while listener != TriggerId::NONE {
            let slot = self.triggers[listener].position;
            listener = self.triggers.next_waiting(listener);
            if self.held_for(slot, now).is_some() {
                self.fundings.set_waited(id);
                continue;
            }
            self.each_trigger(slot, |engine, id| {
                if engine.triggers[id].place == Place::Held {
                    engine.take(id);
                    engine.retest.push(id);
                }
            });
        }
    }

    /// Wants to be woken when nobody waits for an instrument's settlement any longer.
    pub(crate) fn await_end_of_hold(&mut self, now: Nanos, id: InstrumentId) {
        let Some(due) = self.fundings.next_end(now, id) else { return };
        let timer = self.fundings.end_timer(id);
        if let Some((node, at)) = *timer {
            if at == due {
                return;
            }
            self.watch.remove_timer(node);
        }
        let what = Timer::System(SystemTimer::Held, u32::from(id.0));
        *timer = Some((self.watch.add_timer(due.0, what), due));
    }

    pub(crate) fn on_end_of_hold(&mut self, now: Nanos, id: InstrumentId) {
        *self.fundings.end_timer(id) = None;
        self.end_holds(now, id);
        self.await_end_of_hold(now, id);
        self.run_retests(now);
    }
}
