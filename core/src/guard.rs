//! Guards: conditions that no shared heap can hold (odd ratios, three and four legs, minimum fees)
//! are watched by one price per leg.
//!
//! What is missing until the condition holds is divided among the legs. Until one leg's price has
//! used up its share, the condition cannot hold; then it is computed exactly, and fires or is
//! guarded anew.

use alloc::vec::Vec;

use crate::heap::{NIL, NodeId};
use crate::limits::{LEGS_MAX, PRICE_MAX};
use crate::net::Cmp;
use crate::position::Side;
use crate::tracked::Tracked;
use crate::units::div_ceil;

/// A trigger's guards: their index in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GuardsId(u32);

/// The slab of the price entries of guarded triggers: one per leg, `NONE` where no price can be
/// reached.
#[derive(Debug)]
pub(crate) struct GuardSlab {
    slab: Vec<[NodeId; LEGS_MAX]>,
    free: Vec<u32>,
}

impl GuardSlab {
    pub(crate) fn with_capacity(triggers: usize) -> Self {
        assert!(triggers < NIL as usize, "guarded triggers: below 2^27");
        Self { slab: Vec::with_capacity(triggers), free: Vec::with_capacity(triggers) }
    }

    pub(crate) fn add(&mut self, nodes: [NodeId; LEGS_MAX]) -> GuardsId {
        if let Some(id) = self.free.pop() {
            self.slab[id as usize] = nodes;
            return GuardsId(id);
        }
        assert!(self.slab.len() < self.slab.capacity(), "registration reserves every guard");
        self.slab.push(nodes);
        GuardsId((self.slab.len() - 1) as u32)
    }

    /// Gives the place back; returns the entries that are still there.
    pub(crate) fn remove(&mut self, id: GuardsId) -> [NodeId; LEGS_MAX] {
        self.free.push(id.0);
        self.slab[id.0 as usize]
    }

    /// An entry left its heap.
    pub(crate) fn entry_gone(&mut self, id: GuardsId, entry: NodeId) {
        for node in self.slab[id.0 as usize].iter_mut().filter(|node| **node == entry) {
            *node = NodeId::NONE;
        }
    }
}

/// The prices at which a condition that does not hold must be looked at again: direction and limit
/// on each leg's exit price, `None` where no price within bounds uses up the leg's share.
///
/// `missing` > 0 is the distance of Σ exit values to the bound.
pub(crate) fn guards(
    position: &Tracked,
    exits: &[i64; LEGS_MAX],
    cmp: Cmp,
    missing: i128,
) -> [Option<(Cmp, i64)>; LEGS_MAX] {
    debug_assert!(missing > 0);
    let count = usize::from(position.count);
    let share = missing / count as i128;
    let mut guards = [None; LEGS_MAX];
    for at in 0..count {
        let steepest = position.legs[at].form.steepest();
        guards[at] = guard_at(position.legs[at].side, exits[at], steepest, cmp, share);
    }
    guards
}

/// The price at which one leg has used up its share of what is missing.
///
/// The share is used up once steepest × steps ≥ share; fewer steps on every leg leave the sum short
/// of its bound.
pub(crate) fn guard_at(
    side: Side,
    exit: i64,
    steepest: i128,
    cmp: Cmp,
    share: i128,
) -> Option<(Cmp, i64)> {
    if steepest == 0 {
        return None;
    }
    let steps = div_ceil(share, steepest).clamp(1, i128::from(PRICE_MAX)) as i64;
    let direction = direction(side, cmp);
    let limit = match direction {
        Cmp::AtLeast => exit + steps,
        Cmp::AtMost => exit - steps,
    };
    (1..=PRICE_MAX).contains(&limit).then_some((direction, limit))
}

/// Which way a leg's exit price brings a sum towards its bound: a long leg's value rises with the
/// bid, a short leg's falls with the ask.
pub(crate) const fn direction(side: Side, cmp: Cmp) -> Cmp {
    match (side, cmp) {
        (Side::Long, cmp) => cmp,
        (Side::Short, Cmp::AtLeast) => Cmp::AtMost,
        (Side::Short, Cmp::AtMost) => Cmp::AtLeast,
    }
}
