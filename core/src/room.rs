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
use crate::units::Decimal;

/// A position that may be taken in.
pub(crate) struct Fitted {
    pub(crate) version: PolicyId,
    pub(crate) slot: u32,
    pub(crate) position: Tracked,
    pub(crate) plan: Plan,
}

/// What an entry at work keeps free: a slot, the room of its legs, and what its triggers need, which
/// counts as used.
#[derive(Clone, Copy, Debug)]
struct Room {
    of: TaskId,
    several: bool,
    needs: Needs,
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

    fn of_several_legs(&self) -> usize {
        self.kept.iter().filter(|room| room.several).count()
    }
}

impl Engine {
    /// Checks a position against its policy and everything that it needs room in, tracks and signals
    /// aside; the room of its legs is taken.
    pub(crate) fn fitted(&mut self, spec: &PositionSpec) -> Result<Fitted, RegisterError> {
        let version = self.in_force(spec.policy);
        let policy = self
            .policies
            .get(usize::from(version.0))
            .ok_or(RegisterError::UnknownPolicy(spec.policy.0))?;
        if self.holders.count + self.tasks.rooms.kept.len() >= self.limits.positions {
            return Err(RegisterError::Full { what: "positions", max: self.limits.positions });
        }
        let slot = if self.free == NO_SLOT { self.positions.len() as u32 } else { self.free };
        let count = spec.legs.len();
        let free = count < 2 || self.spare_legs.left() > self.tasks.rooms.of_several_legs();
        let legs = if free { self.spare_legs.take(count) } else { None };
        let Some(legs) = legs else {
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
            Ok(plan) => Ok(Fitted { version, slot, position, plan }),
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
        let fitted = self.fitted(&spec).map_err(|_| SignalDrop::NoRoom)?;
        let Fitted { mut position, plan, .. } = fitted;
        self.spare_legs.give(&mut position.legs);
        let (several, needs) = (spec.legs.len() > 1, Needs::of(&plan, spec.legs.len()));
        self.used.add(&needs);
        self.tasks.rooms.kept.push(Room { of: id, several, needs });
        Ok(())
    }

    /// An entry is at work no more: what it kept is free, for its position or for others.
    pub(crate) fn give_room(&mut self, id: TaskId) {
        let rooms = &mut self.tasks.rooms.kept;
        if let Some(at) = rooms.iter().position(|room| room.of == id) {
            let Room { needs, .. } = rooms.swap_remove(at);
            self.used.remove(&needs);
        }
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
