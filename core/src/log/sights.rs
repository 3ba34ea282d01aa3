//! The latest quotes as one step of the executor sees them: each instrument is read once, and what
//! was read is kept for the log.

use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use super::record::{Saw, Sight};
use crate::instrument::InstrumentId;
use crate::pricing::{Quotes, Top};

/// Memory for [`Self::over`]: allocated once, used for every step.
///
/// The table behind it may change while the executor works. A second look at an instrument within a
/// step gives what the first one gave, so that a log needs to say each only once, and the same step
/// decided again sees the same.
#[derive(Debug)]
pub struct Sights {
    /// By instrument: its place in `seen` of this step, plus one.
    places: Vec<Cell<u32>>,
    seen: RefCell<Vec<Sight>>,
}

impl Sights {
    /// Room for this many instruments.
    #[must_use]
    pub fn new(instruments: usize) -> Self {
        Self {
            places: (0..instruments).map(|_| Cell::new(0)).collect(),
            seen: RefCell::new(Vec::with_capacity(instruments)),
        }
    }

    /// Begins a step: forgets what was seen, and looks at `quotes` from here on.
    pub fn over<'a, Q: Quotes>(&'a mut self, quotes: &'a Q) -> impl Quotes + 'a {
        for sight in self.seen.get_mut().drain(..) {
            self.places[usize::from(sight.instrument.0)].set(0);
        }
        Over { sights: self, quotes }
    }

    /// What was seen since the last [`Self::over`], as records. Nothing is allocated.
    pub fn saw(&mut self) -> impl Iterator<Item = Saw> {
        self.seen
            .get_mut()
            .chunks(crate::limits::LEGS_MAX)
            .map(|sights| Saw { sights: sights.iter().copied().collect() })
    }
}

struct Over<'a, Q> {
    sights: &'a Sights,
    quotes: &'a Q,
}

impl<Q: Quotes> Quotes for Over<'_, Q> {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        // An instrument that there is no room for has no price here, rather than one that the log
        // would not know of.
        let place = self.sights.places.get(usize::from(instrument.0))?;
        let mut seen = self.sights.seen.borrow_mut();
        if let Some(before) = (place.get() as usize).checked_sub(1) {
            return seen[before].top;
        }
        let top = self.quotes.top(instrument);
        seen.push(Sight { instrument, top });
        place.set(seen.len() as u32);
        top
    }
}
