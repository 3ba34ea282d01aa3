//! Pair classes: two-leg conditions of equal instruments, sides and reduced weights share a heap.
//!
//! `w0·x0 + w1·x1 ≥ bound` is divided by the greatest common divisor of the weights, so that pairs
//! of equal quantity ratio and fees are compared by one sum, whatever their size. The sum is not
//! even computed until a guard says so: the distance of the class's head, divided among its legs,
//! stands in their price heaps as two limits (see [`crate::guard`]).

use alloc::vec::Vec;

use crate::guard::guard_at;
use crate::heap::{Heaps, NodeId, Root};
use crate::instrument::InstrumentId;
use crate::limits::PAIR_CLASSES_MAX;
use crate::net::Cmp;
use crate::position::Side;
use crate::tick::Quote;
use crate::trigger::TriggerId;
use crate::units::{div_ceil, div_floor};

/// One leg of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PairLeg {
    pub(crate) instrument: InstrumentId,
    pub(crate) side: Side,
    /// Value per price unit, by its side signed; reduced in a class.
    pub(crate) weight: i128,
}

impl PairLeg {
    fn exit(&self, quote: &Quote) -> i64 {
        match self.side {
            Side::Long => quote.bid.raw(),
            Side::Short => quote.ask.raw(),
        }
    }

    fn value(&self, quote: &Quote) -> i128 {
        self.weight * i128::from(self.exit(quote))
    }
}

/// Most classes of one engine: an id is two bytes.
pub(crate) const CLASSES_MAX: usize = 1 << 16;

/// Most classes over these instruments: each lists at most [`PAIR_CLASSES_MAX`].
pub(crate) fn classes_max(instruments: usize) -> usize {
    (instruments * PAIR_CLASSES_MAX).min(CLASSES_MAX)
}

#[derive(Clone, Debug)]
struct PairClass {
    legs: [PairLeg; 2],
    /// At least, at most; the keys of the second are negated.
    roots: [Root; 2],
    /// Price entries of the guards of both directions, by leg.
    entries: [[NodeId; 2]; 2],
    /// The key that the guards of both directions stand for.
    guarded: [Option<i128>; 2],
    users: u32,
}

/// A two-leg condition in its class's terms.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairForm {
    pub(crate) legs: [PairLeg; 2],
    cmp: Cmp,
    key: i128,
}

impl PairForm {
    /// Reduces `Σ weight·x cmp bound`. The legs are put into one order, so that a pair and its
    /// mirror in the configuration meet in one class.
    pub(crate) fn new(mut legs: [PairLeg; 2], cmp: Cmp, bound: i128) -> Self {
        legs.sort_unstable();
        let divisor = gcd(legs[0].weight.unsigned_abs(), legs[1].weight.unsigned_abs()).max(1);
        let divisor = divisor as i128;
        for leg in &mut legs {
            leg.weight /= divisor;
        }
        let key = match cmp {
            Cmp::AtLeast => div_ceil(bound, divisor),
            Cmp::AtMost => -div_floor(bound, divisor),
        };
        Self { legs, cmp, key }
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The slab of classes.
#[derive(Debug)]
pub(crate) struct Pairs {
    classes: Vec<PairClass>,
    free: Vec<u16>,
    heaps: Heaps<i128>,
}

impl Pairs {
    pub(crate) fn with_capacity(triggers: usize, instruments: usize) -> Self {
        let classes = classes_max(instruments);
        Self {
            classes: Vec::with_capacity(classes),
            free: Vec::with_capacity(classes),
            heaps: Heaps::with_capacity(triggers),
        }
    }

    pub(crate) fn legs(&self, class: u16) -> &[PairLeg; 2] {
        &self.classes[usize::from(class)].legs
    }

    /// Whether a class is for this form.
    pub(crate) fn fits(&self, class: u16, form: &PairForm) -> bool {
        self.classes[usize::from(class)].legs == form.legs
    }

    /// A new class without entries; `None` when the slab is full.
    pub(crate) fn open(&mut self, form: &PairForm) -> Option<u16> {
        let class = PairClass {
            legs: form.legs,
            roots: [Root::EMPTY; 2],
            entries: [[NodeId::NONE; 2]; 2],
            guarded: [None; 2],
            users: 0,
        };
        if let Some(id) = self.free.pop() {
            self.classes[usize::from(id)] = class;
            return Some(id);
        }
        if self.classes.len() == self.classes.capacity() {
            return None;
        }
        self.classes.push(class);
        Some((self.classes.len() - 1) as u16)
    }

    /// Adds a trigger to a class that fits its form.
    pub(crate) fn add(&mut self, class: u16, form: &PairForm, trigger: TriggerId) -> NodeId {
        let class = &mut self.classes[usize::from(class)];
        class.users += 1;
        self.heaps.insert(&mut class.roots[form.cmp as usize], form.key, trigger.0)
    }

    /// Removes a trigger; true when the class has no entries left.
    pub(crate) fn remove(&mut self, id: u16, cmp: Cmp, node: NodeId) -> bool {
        let class = &mut self.classes[usize::from(id)];
        self.heaps.remove(&mut class.roots[cmp as usize], node);
        class.users -= 1;
        class.users == 0
    }

    /// Gives a class without entries and guards back.
    pub(crate) fn close(&mut self, id: u16) {
        self.free.push(id);
    }

    /// A trigger of a class that holds at `value`, until the caller has removed them all.
    pub(crate) fn first_crossed(&self, id: u16, cmp: Cmp, value: i128) -> Option<TriggerId> {
        let root = self.classes[usize::from(id)].roots[cmp as usize];
        let (key, item) = self.heaps.peek(root)?;
        (key <= signed(cmp, value)).then_some(TriggerId(item))
    }

    /// Whether a class has no entries and was given back.
    pub(crate) fn is_closed(&self, id: u16) -> bool {
        self.classes[usize::from(id)].users == 0
    }

    /// The sum that a class compares, at its legs' quotes.
    pub(crate) fn value(&self, id: u16, quotes: [&Quote; 2]) -> i128 {
        let [a, b] = self.legs(id);
        a.value(quotes[0]) + b.value(quotes[1])
    }

    /// Whether the head of a class lies nearer than its guards.
    pub(crate) fn needs_guard(&self, id: u16, cmp: Cmp) -> bool {
        let class = &self.classes[usize::from(id)];
        match (self.heaps.peek(class.roots[cmp as usize]), class.guarded[cmp as usize]) {
            (Some((key, _)), Some(guarded)) => key < guarded,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// The prices of a class's legs at which its head must be looked at again: direction and limit.
    /// The head does not hold at these quotes.
    pub(crate) fn guards(
        &mut self,
        id: u16,
        cmp: Cmp,
        quotes: [&Quote; 2],
    ) -> [Option<(Cmp, i64)>; 2] {
        let value = self.value(id, quotes);
        let class = &mut self.classes[usize::from(id)];
        let head = self.heaps.peek(class.roots[cmp as usize]).map(|(key, _)| key);
        class.guarded[cmp as usize] = head;
        let Some(key) = head else { return [None; 2] };
        let share = (key - signed(cmp, value)) / 2;
        let mut guards = [None; 2];
        for ((leg, quote), guard) in class.legs.iter().zip(quotes).zip(&mut guards) {
            *guard = guard_at(leg.side, leg.exit(quote), leg.weight.abs(), cmp, share);
        }
        guards
    }

    pub(crate) fn entries(&self, id: u16, cmp: Cmp) -> [NodeId; 2] {
        self.classes[usize::from(id)].entries[cmp as usize]
    }

    pub(crate) fn set_entries(&mut self, id: u16, cmp: Cmp, entries: [NodeId; 2]) {
        self.classes[usize::from(id)].entries[cmp as usize] = entries;
    }

    /// A guard's entry left its heap.
    pub(crate) fn entry_gone(&mut self, id: u16, cmp: Cmp, entry: NodeId) {
        let class = &mut self.classes[usize::from(id)];
        for known in class.entries[cmp as usize].iter_mut().filter(|known| **known == entry) {
            *known = NodeId::NONE;
        }
        class.guarded[cmp as usize] = None;
    }
}

/// Keys of the ≤ heaps are negated.
const fn signed(cmp: Cmp, value: i128) -> i128 {
    match cmp {
        Cmp::AtLeast => value,
        Cmp::AtMost => -value,
    }
}
