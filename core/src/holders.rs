//! Which positions hold an instrument: a list through their legs, so that what concerns one
//! instrument looks at its holders only, whatever else is open.

use alloc::vec::Vec;

use crate::engine::Engine;
use crate::instrument::{AccountId, InstrumentId};
use crate::limits::{LEGS_MAX, POSITIONS_MAX};
use crate::position::{LegSpec, PositionSpec, RegisterError, Side};
use crate::tracked::Leg;
use crate::units::Qty;

/// A leg of a position in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LegAt(u32);

const _: () = assert!(POSITIONS_MAX * LEGS_MAX < u32::MAX as usize);

impl LegAt {
    const NONE: Self = Self(u32::MAX);

    const fn new(slot: u32, leg: usize) -> Self {
        Self(slot * LEGS_MAX as u32 + leg as u32)
    }

    pub(crate) const fn slot(self) -> u32 {
        self.0 / LEGS_MAX as u32
    }

    pub(crate) const fn leg(self) -> usize {
        self.0 as usize % LEGS_MAX
    }
}

/// A leg's neighbours among the holders of its instrument.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neighbours {
    before: LegAt,
    next: LegAt,
}

impl Neighbours {
    pub(crate) const NONE: Self = Self { before: LegAt::NONE, next: LegAt::NONE };
}

/// By instrument: the first and the last leg on it, in the order of registration.
#[derive(Debug)]
pub(crate) struct Holders {
    ends: Vec<[LegAt; 2]>,
    /// Positions that are listed: those that have a slot.
    pub(crate) count: usize,
    /// By instrument and side: the accounts that may have a leg there.
    accounts: Vec<[Accounts; 2]>,
}

/// Accounts, a bit each.
#[derive(Clone, Copy, Debug, Default)]
struct Accounts([u64; 4]);

impl Accounts {
    const fn bit(AccountId(account): AccountId) -> (usize, u64) {
        (account as usize / 64, 1 << (account % 64))
    }

    const fn has(&self, account: AccountId) -> bool {
        let (word, bit) = Self::bit(account);
        self.0[word] & bit != 0
    }

    const fn set(&mut self, account: AccountId, has: bool) {
        let (word, bit) = Self::bit(account);
        self.0[word] = if has { self.0[word] | bit } else { self.0[word] & !bit };
    }
}

/// Its place and that of the other side.
const fn places(side: Side) -> (usize, usize) {
    match side {
        Side::Long => (0, 1),
        Side::Short => (1, 0),
    }
}

impl Holders {
    pub(crate) fn new(instruments: usize) -> Self {
        Self {
            ends: alloc::vec![[LegAt::NONE; 2]; instruments],
            count: 0,
            accounts: alloc::vec![[Accounts::default(); 2]; instruments],
        }
    }
}

impl Engine {
    /// Lists the legs of a position that opposes nothing.
    pub(crate) fn list_legs(&mut self, slot: u32) {
        self.holders.count += 1;
        for leg in 0..self.positions[slot as usize].legs().len() {
            let this = LegAt::new(slot, leg);
            let Leg { instrument: id, account, side, .. } = self.positions[slot as usize].legs[leg];
            let (own, other) = places(side);
            let accounts = &mut self.holders.accounts[usize::from(id.0)];
            accounts[own].set(account, true);
            accounts[other].set(account, false);
            let [first, last] = &mut self.holders.ends[usize::from(id.0)];
            let before = core::mem::replace(last, this);
            if before == LegAt::NONE {
                *first = this;
            } else {
                self.neighbours(before).next = this;
            }
            *self.neighbours(this) = Neighbours { before, next: LegAt::NONE };
        }
    }

    /// The legs of a position that ends stand in no list any more.
    pub(crate) fn unlist_legs(&mut self, slot: u32) {
        self.holders.count -= 1;
        for leg in 0..self.positions[slot as usize].legs().len() {
            let id = self.positions[slot as usize].legs[leg].instrument;
            let Neighbours { before, next } = *self.neighbours(LegAt::new(slot, leg));
            let ends = &mut self.holders.ends[usize::from(id.0)];
            if before == LegAt::NONE {
                ends[0] = next;
            }
            if next == LegAt::NONE {
                ends[1] = before;
            }
            if before != LegAt::NONE {
                self.neighbours(before).next = next;
            }
            if next != LegAt::NONE {
                self.neighbours(next).before = before;
            }
        }
    }

    /// The first leg on an instrument. Those of one position stand side by side.
    pub(crate) fn first_holder(&self, id: InstrumentId) -> Option<LegAt> {
        let [first, _] = self.holders.ends[usize::from(id.0)];
        (first != LegAt::NONE).then_some(first)
    }

    /// The leg behind another on its instrument.
    pub(crate) fn next_holder(&self, at: LegAt) -> Option<LegAt> {
        let next = self.positions[at.slot() as usize].legs[at.leg()].neighbours.next;
        (next != LegAt::NONE).then_some(next)
    }

    /// Does something with each position that holds an instrument; nothing that ends one.
    pub(crate) fn each_holder(&mut self, id: InstrumentId, mut each: impl FnMut(&mut Self, u32)) {
        let mut at = self.first_holder(id);
        while let Some(slot) = at.map(LegAt::slot) {
            while at.is_some_and(|at| at.slot() == slot) {
                at = at.and_then(|at| self.next_holder(at));
            }
            each(self, slot);
        }
    }

    /// Whether a position holds the other side of an instrument on the account: a one-way account
    /// nets the two.
    pub(crate) fn is_opposed(&self, account: AccountId, id: InstrumentId, side: Side) -> bool {
        let (_, other) = places(side);
        if !self.holders.accounts[usize::from(id.0)][other].has(account) {
            return false;
        }
        let first = self.first_holder(id);
        let mut holders = core::iter::successors(first, |&at| self.next_holder(at));
        holders.any(|at| {
            let leg = &self.positions[at.slot() as usize].legs[at.leg()];
            leg.account == account && leg.side != side && leg.open > Qty::ZERO
        })
    }

    /// Refuses a position that opposes what is held, or is being entered.
    pub(crate) fn refuse_opposite(&self, spec: &PositionSpec) -> Result<(), RegisterError> {
        for (leg, said) in spec.legs.iter().enumerate() {
            let LegSpec { account, instrument, side, .. } = *said;
            let known = self.books.instrument(instrument).is_some();
            let enters = || self.enters_against(account, instrument, side);
            if known && (self.is_opposed(account, instrument, side) || enters()) {
                let (account, instrument) = (account.0, instrument.0);
                return Err(RegisterError::Opposite { leg, account, instrument });
            }
        }
        Ok(())
    }

    fn neighbours(&mut self, at: LegAt) -> &mut Neighbours {
        &mut self.positions[at.slot() as usize].legs[at.leg()].neighbours
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::engine::EngineLimits;
    use crate::event::GateSettings;
    use crate::instrument::{
        AccountId, ContractKind, CurrencyId, Instrument, InstrumentSpec, VenueId,
    };
    use crate::policy::{Policy, PolicyId};
    use crate::position::{LegSpec, PositionSpec, Side};
    use crate::units::{Decimal, Nanos, Price, Qty, Rate};

    const INSTRUMENTS: u64 = 3;

    const NOUGHT: Decimal = Decimal { mantissa: 0, scale: 0 };

    const SPEC: InstrumentSpec = InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 2,
        qty_scale: 3,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: 1,
        lot: 1,
        min_qty: 1,
        min_notional: NOUGHT,
        taker: Rate::from_bps(5),
        maker: Rate::from_bps(2),
        min_fee: NOUGHT,
        max_quote_age: Nanos::from_secs(1),
        jump_limit: Rate::from_bps(100),
        jump_ticks: 5,
        reduce_only: true,
        min_notional_on_reduce: true,
        peer: None,
    };

    fn leg(instrument: u16) -> LegSpec {
        LegSpec {
            account: AccountId(0),
            instrument: InstrumentId(instrument),
            side: Side::Long,
            entry: Price::new(100).expect("a price"),
            qty: Qty::new(10).expect("a quantity"),
            fees_paid: NOUGHT,
            funding: NOUGHT,
            margin: None,
        }
    }

    /// Positions of one to four legs come and go: what holds an instrument is what a look at all
    /// of them finds, in the order of registration, whichever slots they have.
    #[test]
    fn the_holders_of_an_instrument_are_those_that_a_look_at_all_finds() {
        let instrument = Instrument::new(SPEC).expect("a specification");
        let limits = EngineLimits::any(40, 4, 200);
        let instruments = [instrument; INSTRUMENTS as usize];
        let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
        engine.add_policy(Policy::of([])).expect("there is room");
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040);
            (state >> 33) % below
        };
        let mut open: Vec<u32> = Vec::new();
        for _ in 0..4000 {
            if open.len() < 30 && random(2) == 0 {
                let legs = (0..=random(4)).map(|_| leg(random(INSTRUMENTS) as u16)).collect();
                let spec = PositionSpec { policy: PolicyId(0), opened: Nanos(0), tag: 0, legs };
                open.push(engine.register(Nanos(1), &spec).expect("room").slot() as u32);
            } else if !open.is_empty() {
                engine.release(open.remove(random(open.len() as u64) as usize));
            }
            for id in (0..INSTRUMENTS as u16).map(InstrumentId) {
                let on = |&slot: &u32| {
                    engine.positions[slot as usize].legs().iter().any(|leg| leg.instrument == id)
                };
                let wanted: Vec<u32> = open.iter().copied().filter(on).collect();
                let mut found = Vec::new();
                engine.each_holder(id, |_, slot| found.push(slot));
                assert_eq!(found, wanted);
            }
        }
    }
}
