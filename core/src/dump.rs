//! Dump rules: those of equal instrument, side and least volume share the two signs that candles
//! give, and a board on which their third sign, a trailing stop, is watched. Marks move with every
//! quote; the stops are compared with it only while exactly what they wait for holds.

use alloc::vec::Vec;

use arrayvec::ArrayVec;

use crate::candles::Candles;
use crate::instrument::InstrumentId;
use crate::limits::{DUMP_CLASSES_MAX, DUMPS_MAX};
use crate::policy::TriggerSource;
use crate::position::Side;

/// Classes that an engine of so many instruments has room for.
pub(crate) const fn dumps_max(instruments: usize) -> usize {
    let all = instruments * DUMP_CLASSES_MAX;
    if all < DUMPS_MAX { all } else { DUMPS_MAX }
}

#[derive(Clone, Copy, Debug)]
struct Class {
    instrument: InstrumentId,
    side: Side,
    least: u128,
    /// Triggers that belong here; none: the place is free.
    users: u32,
    one: bool,
    both: bool,
}

#[derive(Clone, Debug, Default)]
struct Of {
    candles: Candles,
    classes: ArrayVec<u16, DUMP_CLASSES_MAX>,
    has_timer: bool,
}

/// All classes and every instrument's candles.
#[derive(Debug)]
pub(crate) struct Dumps {
    instruments: Vec<Of>,
    classes: Vec<Class>,
}

impl Dumps {
    pub(crate) fn new(instruments: usize) -> Self {
        Self {
            instruments: alloc::vec![Of::default(); instruments],
            classes: Vec::with_capacity(dumps_max(instruments)),
        }
    }

    pub(crate) fn candles(&mut self, id: InstrumentId) -> &mut Candles {
        &mut self.instruments[usize::from(id.0)].candles
    }

    pub(crate) fn classes(&self, id: InstrumentId) -> &[u16] {
        &self.instruments[usize::from(id.0)].classes
    }

    /// Whether a dump rule looks at the instrument.
    #[inline]
    pub(crate) fn watches(&self, id: InstrumentId) -> bool {
        !self.classes(id).is_empty()
    }

    pub(crate) fn has_timer(&self, id: InstrumentId) -> bool {
        self.instruments[usize::from(id.0)].has_timer
    }

    pub(crate) fn set_timer(&mut self, id: InstrumentId, set: bool) {
        self.instruments[usize::from(id.0)].has_timer = set;
    }

    pub(crate) fn one(&self, class: u16) -> bool {
        self.classes[usize::from(class)].one
    }

    pub(crate) fn both(&self, class: u16) -> bool {
        self.classes[usize::from(class)].both
    }

    /// The board of a class's third sign: they stand behind the books' own.
    pub(crate) fn board(&self, class: u16) -> InstrumentId {
        let books = TriggerSource::ALL.len() * self.instruments.len();
        InstrumentId((books + usize::from(class)) as u16)
    }

    pub(crate) fn find(&self, id: InstrumentId, side: Side, least: u128) -> Option<u16> {
        self.classes(id).iter().copied().find(|&class| {
            let class = &self.classes[usize::from(class)];
            class.side == side && class.least == least
        })
    }

    /// One more user of a class, which is opened when it is the first.
    pub(crate) fn open(
        &mut self,
        id: InstrumentId,
        side: Side,
        least: u128,
    ) -> Result<(), (&'static str, usize)> {
        if let Some(class) = self.find(id, side, least) {
            self.classes[usize::from(class)].users += 1;
            return Ok(());
        }
        let here = &mut self.instruments[usize::from(id.0)].classes;
        if here.is_full() {
            let what = "distinct (side, min_volume) of dump rules on one instrument";
            return Err((what, DUMP_CLASSES_MAX));
        }
        let class = Class { instrument: id, side, least, users: 1, one: false, both: false };
        let free = self.classes.iter().position(|class| class.users == 0);
        if free.is_none() && self.classes.len() == self.classes.capacity() {
            return Err(("distinct (instrument, side, min_volume) of dump rules", DUMPS_MAX));
        }
        let at = free.unwrap_or(self.classes.len());
        if at == self.classes.len() {
            self.classes.push(class);
        } else {
            self.classes[at] = class;
        }
        here.push(at as u16);
        Ok(())
    }

    /// One user less.
    pub(crate) fn close(&mut self, class: u16) {
        let Class { instrument, users, .. } = &mut self.classes[usize::from(class)];
        *users -= 1;
        if *users == 0 {
            let here = &mut self.instruments[usize::from(instrument.0)].classes;
            here.retain(|&mut listed| listed != class);
        }
    }

    /// Judges a class by the closed candles; which of its two signals came on.
    pub(crate) fn judge(&mut self, class: u16) -> (bool, bool) {
        let class = &mut self.classes[usize::from(class)];
        let candles = &self.instruments[usize::from(class.instrument.0)].candles;
        let signs = [candles.reversed(class.side), candles.flipped(class.side, class.least)];
        let (one, both) = (signs[0] || signs[1], signs[0] && signs[1]);
        let came = (one && !class.one, both && !class.both);
        (class.one, class.both) = (one, both);
        came
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Nanos, Qty};

    #[test]
    fn classes_are_shared_bounded_and_given_back() {
        let mut dumps = Dumps::new(2);
        let id = InstrumentId(1);
        for least in 1..=DUMP_CLASSES_MAX as u128 {
            dumps.open(id, Side::Long, least).unwrap();
            dumps.open(id, Side::Long, least).unwrap();
        }
        assert!(dumps.open(id, Side::Short, 1).is_err());
        let class = dumps.find(id, Side::Long, 2).unwrap();
        dumps.close(class);
        assert!(dumps.open(id, Side::Short, 1).is_err());
        dumps.close(class);
        dumps.open(id, Side::Short, 1).unwrap();
        assert_eq!(dumps.find(id, Side::Short, 1), Some(class));
        assert!(dumps.watches(id) && !dumps.watches(InstrumentId(0)));
        let trade = Nanos::from_secs(6000);
        dumps.candles(id).on_trade(trade, trade, Qty::ZERO, true);
        assert_eq!(dumps.judge(class), (false, false));
    }
}
