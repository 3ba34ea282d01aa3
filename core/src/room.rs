//! Whether an entry may go out: what is held does not oppose it.

use crate::engine::Engine;
use crate::entry::{EntryIntent, EntryLeg};
use crate::instrument::{AccountId, InstrumentId};
use crate::position::Side;

impl Engine {
    /// Whether nothing that is held opposes an entry's legs.
    pub(crate) fn may_go_out(&self, legs: &[EntryLeg]) -> bool {
        !legs.iter().any(|leg| self.is_opposed(leg.account, leg.instrument, leg.side))
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
