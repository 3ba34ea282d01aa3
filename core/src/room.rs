//! Room for positions: what is there to take one in, and what entries at work keep free for theirs.

use alloc::vec::Vec;

use crate::engine::Engine;
use crate::entry::{EntryIntent, EntryLeg, TaskId};
use crate::instrument::{AccountId, InstrumentId};
use crate::limits::ENTRIES_MAX;
use crate::needs::Needs;
use crate::note::SignalDrop;
use crate::policy::PolicyId;
use crate::position::{LegSpec, PositionSpec, RegisterError, Side};
use crate::register::{self, Plan};
use crate::tracked::{NO_SLOT, Tracked};
use crate::trigger::TriggerId;
use crate::units::Decimal;

/// A position that may be taken in.
pub(crate) struct Fitted {
    pub(crate) slot: u32,
    pub(crate) position: Tracked,
    pub(crate) plan: Plan,
}

/// What an entry at work keeps free: a slot, and all that its position would have there, which is
/// taken: its legs, triggers, tracks and signals. Nothing of it is watched.
#[derive(Debug)]
struct Room {
    of: TaskId,
    position: Tracked,
}

/// The rooms of all entries at work.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    kept: Vec<Room>,
}

impl Rooms {
    /// At most one of each task and turn.
    pub(crate) fn make_room(&mut self) {
        self.kept.reserve_exact(ENTRIES_MAX);
    }
}

impl Engine {
    /// Checks a position against a policy and everything that it needs room in, tracks and signals
    /// aside; the room of its legs is taken.
    pub(crate) fn fitted(
        &mut self,
        version: PolicyId,
        spec: &PositionSpec,
    ) -> Result<Fitted, RegisterError> {
        let policy = self
            .policies
            .get(usize::from(version.0))
            .ok_or(RegisterError::UnknownPolicy(spec.policy.0))?;
        if self.holders.count + self.tasks.rooms.kept.len() >= self.limits.positions {
            return Err(RegisterError::Full { what: "positions", max: self.limits.positions });
        }
        let slot = self.next_slot();
        let count = spec.legs.len();
        let Some(legs) = self.spare_legs.take(count) else {
            let (what, max) =
                ("positions of so many legs", self.limits.pairs.max(self.limits.baskets));
            return Err(RegisterError::Full { what, max });
        };
        let mut position = Tracked { legs, ..Tracked::blank() };
        position.policy = version.0;
        let checked = register::fill(&self.books, policy, spec, &mut position).and_then(|()| {
            self.portfolio_admits(policy, &position)?;
            let mut plan = register::triggers(policy, &position, slot)?;
            self.add_health_parts(&mut plan, slot, count);
            let mut used = self.used;
            used.add(&Needs::of(&plan, count));
            used.fit(&self.limits)?;
            Ok(plan)
        });
        match checked {
            Ok(plan) => Ok(Fitted { slot, position, plan }),
            Err(error) => {
                self.spare_legs.give(&mut position.legs);
                Err(error)
            }
        }
    }

    /// Keeps room for the position that an entry is to become, as if everything filled at its limit.
    /// Refused where there is none, or where what is held opposes it.
    pub(crate) fn keep_room(
        &mut self,
        id: TaskId,
        (policy, tag): (PolicyId, u32),
        legs: &[EntryLeg],
    ) -> Result<(), SignalDrop> {
        if legs.iter().any(|leg| self.is_opposed(leg.account, leg.instrument, leg.side)) {
            return Err(SignalDrop::Locked);
        }
        let nought = Decimal { mantissa: 0, scale: 0 };
        let of = |said: &EntryLeg| LegSpec {
            account: said.account,
            instrument: said.instrument,
            side: said.side,
            entry: said.limit,
            qty: said.qty,
            fees_paid: nought,
            funding: nought,
            margin: None,
        };
        let legs = legs.iter().map(of).collect();
        let spec = PositionSpec { policy, opened: self.now, tag, legs };
        let fitted = self.fitted(self.in_force(policy), &spec).map_err(|_| SignalDrop::NoRoom)?;
        let Fitted { position, plan, .. } = fitted;
        let (mut position, taken) = self.lend_slot(position, |engine, slot| {
            engine.chain(slot, &plan);
            engine.take_watches(slot).inspect_err(|_| engine.drop_triggers(slot))
        });
        if taken.is_err() {
            self.spare_legs.give(&mut position.legs);
            return Err(SignalDrop::NoRoom);
        }
        self.tasks.rooms.kept.push(Room { of: id, position });
        Ok(())
    }

    /// An entry is at work no more: what it kept is free, for its position or for others. Gives the
    /// version of its policy that the room was kept for.
    pub(crate) fn give_room(&mut self, id: TaskId) -> Option<PolicyId> {
        let at = self.tasks.rooms.kept.iter().position(|room| room.of == id)?;
        let Room { position, .. } = self.tasks.rooms.kept.swap_remove(at);
        let version = PolicyId(position.policy);
        let (mut position, ()) = self.lend_slot(position, |engine, slot| {
            // They stood in another slot, or in none.
            engine.each_trigger(slot, |engine, id| engine.triggers[id].position = slot);
            engine.close_tracks(slot, TriggerId::NONE);
            engine.close_signals(slot, TriggerId::NONE);
            engine.drop_triggers(slot);
        });
        self.spare_legs.give(&mut position.legs);
        Some(version)
    }

    /// What a position's triggers are watched by: signals and tracks. On a refusal nothing is kept.
    pub(crate) fn take_watches(&mut self, slot: u32) -> Result<(), RegisterError> {
        if let Err((what, max)) = self.open_signals(slot) {
            return Err(RegisterError::Full { what, max });
        }
        if !self.open_tracks(slot) {
            self.close_signals(slot, TriggerId::NONE);
            return Err(RegisterError::TRACKS_FULL);
        }
        Ok(())
    }

    /// Does something with a position that has no slot as if it stood in the next one.
    fn lend_slot<R>(
        &mut self,
        position: Tracked,
        what: impl FnOnce(&mut Self, u32) -> R,
    ) -> (Tracked, R) {
        let slot = self.next_slot();
        if self.free == NO_SLOT {
            // A slot that was never used; what keeps one free says that there is room for it.
            self.positions.push(position);
            let result = what(self, slot);
            return (self.positions.pop().expect("just pushed"), result);
        }
        let free = core::mem::replace(&mut self.positions[slot as usize], position);
        let result = what(self, slot);
        (core::mem::replace(&mut self.positions[slot as usize], free), result)
    }

    /// The slot that the next position gets.
    const fn next_slot(&self) -> u32 {
        if self.free == NO_SLOT { self.positions.len() as u32 } else { self.free }
    }

    /// Whether an entry is at work on the other side of an instrument of an account.
    pub(crate) fn enters_against(&self, account: AccountId, id: InstrumentId, side: Side) -> bool {
        let opposes = |entry: EntryIntent| {
            let place = |leg: &EntryLeg| (leg.account, leg.instrument) == (account, id);
            entry.legs().iter().any(|leg| place(leg) && leg.side != side)
        };
        self.tasks.at_work().chain(self.turns.at_work()).any(opposes)
    }
}
