//! Which positions hold an instrument: a list through their legs, so that what concerns one
//! instrument looks at its holders only, whatever else is open.

use alloc::vec::Vec;

use crate::engine::Engine;
use crate::instrument::InstrumentId;
use crate::limits::{LEGS_MAX, POSITIONS_MAX};

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
}

impl Holders {
    pub(crate) fn new(instruments: usize) -> Self {
        Self { ends: alloc::vec![[LegAt::NONE; 2]; instruments] }
    }
}

impl Engine {
    /// Lists the legs of a position.
    pub(crate) fn list_legs(&mut self, slot: u32) {
        for leg in 0..self.positions[slot as usize].legs().len() {
            let this = LegAt::new(slot, leg);
            let id = self.positions[slot as usize].legs[leg].instrument;
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

    fn neighbours(&mut self, at: LegAt) -> &mut Neighbours {
        &mut self.positions[at.slot() as usize].legs[at.leg()].neighbours
    }
}
