//! Room for something of each leg of a position: a position of one leg does not pay for four.
//!
//! One is kept in place. Two, and three or four, stand in boxes that are made with the engine, go to
//! a position when it is registered and come back when it is closed: nothing is allocated between.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// One, two or four of something; the fourth of three legs is spare.
#[derive(Debug)]
pub(crate) enum PerLeg<T> {
    One([T; 1]),
    Two(Box<[T; 2]>),
    Four(Box<[T; 4]>),
}

impl<T> Deref for PerLeg<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::One(one) => one,
            Self::Two(two) => &**two,
            Self::Four(four) => &**four,
        }
    }
}

impl<T> DerefMut for PerLeg<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(one) => one,
            Self::Two(two) => &mut **two,
            Self::Four(four) => &mut **four,
        }
    }
}

/// The boxes that no position has.
#[derive(Debug)]
pub(crate) struct Spare<T> {
    blank: T,
    twos: Vec<Box<[T; 2]>>,
    fours: Vec<Box<[T; 4]>>,
}

impl<T: Copy> Spare<T> {
    /// Room for so many positions of two legs, and of three or four.
    pub(crate) fn new(blank: T, pairs: usize, baskets: usize) -> Self {
        Self {
            blank,
            twos: (0..pairs).map(|_| Box::new([blank; 2])).collect(),
            fours: (0..baskets).map(|_| Box::new([blank; 4])).collect(),
        }
    }

    /// Blank room for `count` legs; `None` when there is no more. Two legs may take room for four.
    pub(crate) fn take(&mut self, count: usize) -> Option<PerLeg<T>> {
        let mut taken = match count {
            0 | 1 => PerLeg::One([self.blank]),
            2 if !self.twos.is_empty() => PerLeg::Two(self.twos.pop()?),
            _ => PerLeg::Four(self.fours.pop()?),
        };
        taken.fill(self.blank);
        Some(taken)
    }

    /// Takes a position's room back.
    pub(crate) fn give(&mut self, room: &mut PerLeg<T>) {
        match core::mem::replace(room, PerLeg::One([self.blank])) {
            PerLeg::One(_) => {}
            PerLeg::Two(two) => self.twos.push(two),
            PerLeg::Four(four) => self.fours.push(four),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_handed_out_once_and_comes_back_blank() {
        let mut spare = Spare::new(0u8, 1, 2);
        let mut pair = spare.take(2).unwrap();
        pair[1] = 7;
        assert_eq!(pair.len(), 2);
        let mut other = spare.take(2).unwrap();
        assert_eq!(other.len(), 4, "a pair may stand where three or four would");
        let third = spare.take(3).unwrap();
        assert_eq!(third.len(), 4);
        assert!(spare.take(2).is_none() && spare.take(4).is_none());
        assert_eq!(spare.take(1).unwrap().len(), 1);
        spare.give(&mut pair);
        assert_eq!(pair.len(), 1);
        assert_eq!(*spare.take(2).unwrap(), [0, 0]);
        spare.give(&mut other);
        assert!(spare.take(4).is_some());
    }
}
