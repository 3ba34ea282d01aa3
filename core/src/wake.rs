//! When each plan wants to be looked at again: a heap with one place for each position.

use alloc::vec::Vec;

use crate::units::Nanos;

/// Not in the heap.
const NONE: u32 = u32::MAX;

/// Times by slot, the earliest first; of equal times the lower slot first.
#[derive(Debug)]
pub(crate) struct Wakes {
    heap: Vec<(Nanos, u32)>,
    /// Place in the heap of each slot, or [`NONE`].
    places: Vec<u32>,
}

impl Wakes {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            heap: Vec::with_capacity(slots),
            places: core::iter::repeat_n(NONE, slots).collect(),
        }
    }

    /// Room for this many slots in all.
    pub(crate) fn grow(&mut self, slots: usize) {
        self.heap.reserve_exact(slots.saturating_sub(self.heap.len()));
        self.places.resize(slots.max(self.places.len()), NONE);
    }

    /// Sets, moves or (with `None`) removes a slot's time.
    pub(crate) fn set(&mut self, slot: usize, at: Option<Nanos>) {
        let place = self.places[slot];
        match (at, place) {
            (None, NONE) => {}
            (None, place) => self.remove(place as usize),
            (Some(at), NONE) => {
                self.heap.push((at, slot as u32));
                self.places[slot] = (self.heap.len() - 1) as u32;
                self.rise(self.heap.len() - 1);
            }
            (Some(at), place) => {
                let place = place as usize;
                self.heap[place].0 = at;
                let place = self.rise(place);
                self.sink(place);
            }
        }
    }

    /// The earliest time.
    pub(crate) fn next(&self) -> Option<Nanos> {
        self.heap.first().map(|entry| entry.0)
    }

    /// Takes the first slot that is due.
    pub(crate) fn pop_due(&mut self, now: Nanos) -> Option<usize> {
        let &(at, slot) = self.heap.first()?;
        if at > now {
            return None;
        }
        self.remove(0);
        Some(slot as usize)
    }

    fn remove(&mut self, place: usize) {
        let last = self.heap.len() - 1;
        self.swap(place, last);
        let (_, slot) = self.heap.pop().expect("the place is in the heap");
        self.places[slot as usize] = NONE;
        if place < last {
            let place = self.rise(place);
            self.sink(place);
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.places[self.heap[a].1 as usize] = a as u32;
        self.places[self.heap[b].1 as usize] = b as u32;
    }

    fn rise(&mut self, mut place: usize) -> usize {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent] <= self.heap[place] {
                break;
            }
            self.swap(parent, place);
            place = parent;
        }
        place
    }

    fn sink(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let right = left + 1;
            let mut least = place;
            for child in [left, right] {
                if child < self.heap.len() && self.heap[child] < self.heap[least] {
                    least = child;
                }
            }
            if least == place {
                return;
            }
            self.swap(place, least);
            place = least;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn agrees_with_a_plain_map() {
        const SLOTS: usize = 37;
        let mut wakes = Wakes::new(SLOTS);
        let mut plain: BTreeMap<usize, Nanos> = BTreeMap::new();
        let mut state = 1u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % below
        };
        for _ in 0..20_000 {
            let slot = random(SLOTS as u64) as usize;
            match random(4) {
                0 => {
                    wakes.set(slot, None);
                    plain.remove(&slot);
                }
                1 => {
                    let now = Nanos(random(60));
                    let due = plain.iter().map(|(&slot, &at)| (at, slot)).min();
                    let due = due.filter(|&(at, _)| at <= now).map(|(_, slot)| slot);
                    assert_eq!(wakes.pop_due(now), due);
                    due.map(|slot| plain.remove(&slot));
                }
                _ => {
                    let at = Nanos(random(100));
                    wakes.set(slot, Some(at));
                    plain.insert(slot, at);
                }
            }
            assert_eq!(wakes.next(), plain.values().min().copied());
        }
    }
}
