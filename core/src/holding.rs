//! The ledger: what each account holds of each instrument and side, and how much of it live exit
//! orders may still take.
//!
//! Several positions may share a holding. A leg's own books are kept beside its position; every
//! change passes through both, and both refuse to give out more than is open.

use alloc::vec::Vec;

use crate::instrument::{AccountId, InstrumentId};
use crate::position::Side;
use crate::units::{Nanos, Qty};

/// What names a holding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldingKey {
    /// Where it is held.
    pub account: AccountId,
    /// What is held.
    pub instrument: InstrumentId,
    /// Long or short.
    pub side: Side,
}

/// One account's holding of one instrument on one side. Quantities are sums over legs, in the
/// instrument's quantity mantissa units; they may exceed one leg's bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Open quantity of all legs; never negative.
    pub open: i128,
    /// Quantity that live exit orders may still take; in `0 ..= open`.
    pub live: i128,
    /// Legs that share it; the place is free again at nought.
    legs: u32,
    /// What the account holds beside what is known here, by the last read that could tell: others'
    /// holdings, dust. `None` when no read has told since something was taken on.
    surplus: Option<i128>,
    /// When it was last known to change.
    changed: Nanos,
    /// It has changed at a time that was not said: before the next one that is.
    changed_since: bool,
}

/// A holding's place in the ledger, stable while a leg refers to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HoldingPlace(u32);

/// All holdings. Its tables never grow after construction.
#[derive(Debug)]
pub(crate) struct Holdings {
    places: Vec<Holding>,
    free: Vec<u32>,
    /// Sorted by key.
    index: Vec<(HoldingKey, u32)>,
}

impl Holdings {
    /// A ledger for at most this many holdings: one for each leg is always enough.
    pub(crate) fn new(holdings_max: usize) -> Self {
        Self {
            places: Vec::with_capacity(holdings_max),
            free: Vec::with_capacity(holdings_max),
            index: Vec::with_capacity(holdings_max),
        }
    }

    /// The holding of a key.
    pub(crate) fn get(&self, key: HoldingKey) -> Option<Holding> {
        let at = self.index.binary_search_by_key(&key, |entry| entry.0).ok()?;
        Some(self.places[self.index[at].1 as usize])
    }

    /// Whether nothing has been learnt of a holding since a read of it was asked for: then the read
    /// speaks of what is known.
    pub(crate) fn is_settled(&mut self, key: HoldingKey, asked: Nanos, now: Nanos) -> bool {
        let Ok(at) = self.index.binary_search_by_key(&key, |entry| entry.0) else { return true };
        let holding = &mut self.places[self.index[at].1 as usize];
        if core::mem::take(&mut holding.changed_since) {
            holding.changed = now;
        }
        holding.changed <= asked
    }

    /// What an account held beside what was known, when that was last read.
    pub(crate) fn surplus(&self, key: HoldingKey) -> Option<i128> {
        self.get(key).and_then(|holding| holding.surplus)
    }

    /// A read has told what is held beside what is known.
    pub(crate) fn set_surplus(&mut self, key: HoldingKey, surplus: i128) {
        if let Ok(at) = self.index.binary_search_by_key(&key, |entry| entry.0) {
            self.places[self.index[at].1 as usize].surplus = Some(surplus);
        }
    }

    /// An entry has changed what an account holds: a read that was asked for earlier says nothing
    /// of the legs there.
    pub(crate) fn touch(&mut self, key: HoldingKey, now: Nanos) {
        if let Ok(at) = self.index.binary_search_by_key(&key, |entry| entry.0) {
            self.places[self.index[at].1 as usize].changed = now;
        }
    }

    /// The clock was set back by this much.
    pub(crate) fn set_back(&mut self, by: Nanos) {
        for holding in &mut self.places {
            holding.changed = holding.changed.since(by);
        }
    }

    /// Room for this many holdings in all.
    pub(crate) fn grow(&mut self, holdings_max: usize) {
        self.places.reserve_exact(holdings_max.saturating_sub(self.places.len()));
        self.free.reserve_exact(holdings_max.saturating_sub(self.free.len()));
        self.index.reserve_exact(holdings_max.saturating_sub(self.index.len()));
    }

    /// Adds a leg's quantity.
    ///
    /// # Panics
    /// When there are more legs than the ledger was made for; the executor counts them first.
    pub(crate) fn add(&mut self, key: HoldingKey, qty: Qty) -> HoldingPlace {
        let place = match self.index.binary_search_by_key(&key, |entry| entry.0) {
            Ok(at) => self.index[at].1,
            Err(at) => {
                let place = self.take_place();
                assert!(self.index.len() < self.index.capacity(), "a leg has room for its holding");
                self.index.insert(at, (key, place));
                place
            }
        };
        let holding = &mut self.places[place as usize];
        holding.open += i128::from(qty.raw());
        holding.surplus = None;
        holding.changed_since = true;
        holding.legs += 1;
        HoldingPlace(place)
    }

    fn take_place(&mut self) -> u32 {
        let empty = Holding {
            open: 0,
            live: 0,
            legs: 0,
            surplus: None,
            changed: Nanos(0),
            changed_since: false,
        };
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = empty;
            return place;
        }
        assert!(self.places.len() < self.places.capacity(), "a leg has room for its holding");
        self.places.push(empty);
        (self.places.len() - 1) as u32
    }

    /// A flat leg leaves.
    pub(crate) fn leave(&mut self, key: HoldingKey) {
        let at = self.index.binary_search_by_key(&key, |entry| entry.0).expect("the leg is held");
        let place = self.index[at].1;
        let holding = &mut self.places[place as usize];
        assert!(holding.legs > 0);
        holding.legs -= 1;
        if holding.legs > 0 {
            return;
        }
        assert!(holding.open == 0, "legs that left were flat");
        assert!(holding.live == 0, "legs that left had no order");
        self.index.remove(at);
        self.free.push(place);
    }

    /// An exit order of this quantity goes live.
    pub(crate) fn reserve(&mut self, place: HoldingPlace, qty: Qty) {
        let holding = &mut self.places[place.0 as usize];
        holding.live += i128::from(qty.raw());
        assert!(holding.live <= holding.open, "live exits exceed the holding");
    }

    /// This much of a live order will not be filled any more.
    pub(crate) fn release(&mut self, place: HoldingPlace, qty: Qty) {
        let holding = &mut self.places[place.0 as usize];
        holding.live -= i128::from(qty.raw());
        assert!(holding.live >= 0, "released more than was live");
    }

    /// This much is gone by no order of ours.
    pub(crate) fn write_off(&mut self, place: HoldingPlace, qty: Qty) {
        let holding = &mut self.places[place.0 as usize];
        holding.open -= i128::from(qty.raw());
        holding.surplus = holding.surplus.map(|surplus| surplus + i128::from(qty.raw()));
        holding.changed_since = true;
        assert!(holding.open >= holding.live, "live exits exceed the holding");
    }

    /// This much of a live order was filled.
    pub(crate) fn fill(&mut self, now: Nanos, place: HoldingPlace, qty: Qty) {
        let holding = &mut self.places[place.0 as usize];
        holding.changed = now;
        holding.live -= i128::from(qty.raw());
        holding.open -= i128::from(qty.raw());
        assert!(holding.live >= 0, "filled more than was live");
        assert!(holding.open >= holding.live, "live exits exceed the holding");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: HoldingKey =
        HoldingKey { account: AccountId(0), instrument: InstrumentId(0), side: Side::Long };

    fn qty(raw: i64) -> Qty {
        Qty::new(raw).unwrap()
    }

    fn figures(holdings: &Holdings) -> Option<(i128, i128)> {
        holdings.get(KEY).map(|holding| (holding.open, holding.live))
    }

    #[test]
    fn legs_share_a_holding_until_the_last_one_leaves() {
        let mut holdings = Holdings::new(2);
        let a = holdings.add(KEY, qty(5));
        let b = holdings.add(KEY, qty(7));
        assert_eq!(a, b);
        holdings.reserve(a, qty(5));
        assert_eq!(figures(&holdings), Some((12, 5)));
        holdings.fill(Nanos(5), a, qty(3));
        holdings.release(a, qty(2));
        assert_eq!(figures(&holdings), Some((9, 0)));
        holdings.reserve(b, qty(9));
        holdings.fill(Nanos(6), b, qty(9));
        holdings.leave(KEY);
        assert_eq!(figures(&holdings), Some((0, 0)));
        holdings.leave(KEY);
        assert_eq!(figures(&holdings), None);
        for side in [Side::Long, Side::Short] {
            holdings.add(HoldingKey { side, ..KEY }, qty(1));
        }
        assert_eq!(figures(&holdings), Some((1, 0)));
    }

    #[test]
    fn a_read_that_was_asked_for_before_a_change_is_no_answer_to_it() {
        let mut holdings = Holdings::new(1);
        let place = holdings.add(KEY, qty(5));
        // Registered some time before 7.
        assert!(!holdings.is_settled(KEY, Nanos(6), Nanos(7)));
        assert!(!holdings.is_settled(KEY, Nanos(6), Nanos(8)));
        assert!(holdings.is_settled(KEY, Nanos(7), Nanos(8)));
        holdings.reserve(place, qty(3));
        holdings.fill(Nanos(9), place, qty(1));
        assert!(!holdings.is_settled(KEY, Nanos(8), Nanos(10)));
        assert!(holdings.is_settled(KEY, Nanos(9), Nanos(10)));
        holdings.write_off(place, qty(1));
        assert!(!holdings.is_settled(KEY, Nanos(10), Nanos(11)));
        assert!(holdings.is_settled(KEY, Nanos(11), Nanos(11)));
        assert!(holdings.is_settled(HoldingKey { side: Side::Short, ..KEY }, Nanos(0), Nanos(12)));
    }

    #[test]
    #[should_panic(expected = "live exits exceed the holding")]
    fn no_more_is_given_out_than_is_open() {
        let mut holdings = Holdings::new(1);
        let place = holdings.add(KEY, qty(5));
        holdings.reserve(place, qty(3));
        holdings.reserve(place, qty(3));
    }
}
