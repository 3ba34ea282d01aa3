//! Positions of earlier runs: the engine takes them in again under the ids that they have.

use crate::engine::Engine;
use crate::event::Outcome;
use crate::intent::Reason;
use crate::limits::{AMOUNT_MAX, PPB};
use crate::position::{PositionId, PositionState, RegisterError};
use crate::recovery::{OpenPlan, OpenPosition};
use crate::tracked::{LivePlan, NO_SLOT, Tracked};
use crate::units::{Nanos, Qty};

/// Generations of a slot.
const GENERATIONS: u32 = u32::MAX >> PositionId::SLOT_BITS;

impl Engine {
    /// Takes a position in that an earlier run had taken on: under the same id, with what is open of
    /// it, and with its live plan. Its rules are looked at at once. What trailing rules had seen is
    /// not known here: their marks begin anew.
    ///
    /// # Errors
    /// As [`Self::register`]; also when its slot is in use.
    pub fn take_up(&mut self, now: Nanos, of: &OpenPosition) -> Result<(), RegisterError> {
        self.free_place(of.id)?;
        let version = self.in_force(of.spec.policy);
        let id = self.take_in_as(now, version, &of.spec, Some(of))?;
        assert_eq!(id, of.id, "its slot was made the next one");
        Ok(())
    }

    /// Intents are numbered on from here: those of earlier runs keep theirs.
    pub fn count_on_from(&mut self, intents: u64) {
        self.counters.intents = self.counters.intents.max(intents);
    }

    /// A position of an earlier run that is closed: its id is not given again before its slot's
    /// generations come round.
    pub fn pass_over(&mut self, id: PositionId) {
        if self.free_place(id).is_ok() {
            self.positions[id.slot()].generation = id.0 >> PositionId::SLOT_BITS;
        }
    }

    /// Makes a slot the next one to be used, and the generation the next one there.
    fn free_place(&mut self, id: PositionId) -> Result<(), RegisterError> {
        let (slot, generation) = (id.slot() as u32, id.0 >> PositionId::SLOT_BITS);
        let max = self.limits.positions;
        if id.slot() >= max {
            return Err(RegisterError::Full { what: "positions", max });
        }
        while self.positions.len() <= id.slot() {
            // Never used: its first position will be of generation nought.
            let unused = Tracked {
                state: PositionState::Closed,
                generation: GENERATIONS,
                tag: self.free,
                ..Tracked::blank()
            };
            self.free = self.positions.len() as u32;
            self.positions.push(unused);
        }
        let (mut before, mut at) = (NO_SLOT, self.free);
        while at != slot {
            if at == NO_SLOT {
                return Err(RegisterError::Full { what: "positions of one slot", max: 1 });
            }
            (before, at) = (at, self.positions[at as usize].tag);
        }
        if before != NO_SLOT {
            self.positions[before as usize].tag = self.positions[slot as usize].tag;
            self.positions[slot as usize].tag = self.free;
            self.free = slot;
        }
        self.positions[slot as usize].generation = generation.wrapping_sub(1) & GENERATIONS;
        Ok(())
    }

    /// Where it stands with its plan, which this event may raise.
    pub(crate) fn resume_plan(&mut self, slot: u32, of: &OpenPosition, now: Nanos) {
        if of.dust {
            self.on_plan_ended(now, slot, Outcome::Dust);
            return;
        }
        let Some(plan) = &of.plan else { return };
        let OpenPlan { intent, began, fills } = plan;
        self.portfolio_lift(slot);
        let position = &mut self.positions[slot as usize];
        let fees = self.policies[usize::from(position.policy)].fees;
        let scale = position.scale;
        let mut keeps = false;
        for (at, (leg, fills)) in position.legs_mut().iter_mut().zip(fills).enumerate() {
            let instrument = self.books.instrument(leg.instrument).expect("registration knew it");
            let align = 10i128.pow(u32::from(scale - instrument.nano_scale()));
            let fee = fills.fees.clamp(-AMOUNT_MAX / align, AMOUNT_MAX / align) * align;
            let value = leg.side.sign() * fills.product * i128::from(leg.unit) * i128::from(PPB);
            leg.locked = value - if fees == crate::policy::FeeMode::Net { fee } else { 0 };
            leg.open = of.open[at];
            leg.keep = intent.keep[at];
            keeps |= leg.keep > Qty::ZERO;
        }
        let repair = matches!(began, Reason::LegLost | Reason::Imbalance) && keeps;
        let (intent, urgency) = (intent.seq, intent.urgency);
        position.plan = Some(LivePlan { intent, urgency, reached: false, repair });
        position.state = PositionState::Exiting;
        position.note_reached();
        self.portfolio_lay(slot);
        let held = core::mem::take(&mut self.candidates);
        self.leave_open(slot);
        self.candidates = held;
        self.end_filled_tiers(slot);
        self.refresh(slot, now);
        self.watch_balance(slot, now);
        self.look_for_prices(slot, now);
    }
}

impl OpenPosition {
    /// What was open when its plan began; without one, what is open.
    pub(crate) fn judged(&self, leg: usize) -> Qty {
        let filled = self.plan.as_ref().map_or(0, |plan| plan.fills[leg].qty);
        Qty::new(self.open[leg].raw() + filled).unwrap_or(self.open[leg])
    }
}
