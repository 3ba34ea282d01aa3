//! Entries far off the live price: those of another symbol, scale or multiplier (FAULTS F14). What is
//! registered before its instrument has a price is looked at with the first one.

use crate::engine::Engine;
use crate::instrument::InstrumentId;
use crate::note::EngineNote;
use crate::position::{PositionId, PositionSpec, PositionState, RegisterError};
use crate::tick::Quote;
use crate::units::{Nanos, Price};

/// Whether an entry is more than `factor` times the ask, or less than one `factor`-th of the bid; then
/// the price that it is too far from. Nothing is beyond a factor of nought.
fn beyond(entry: Price, quote: &Quote, factor: u32) -> Option<Price> {
    let [entry, bid, ask] = [entry, quote.bid, quote.ask].map(|price| i128::from(price.raw()));
    let factor = i128::from(factor);
    if factor == 0 {
        return None;
    }
    if entry > ask * factor {
        return Some(quote.ask);
    }
    (entry * factor < bid).then_some(quote.bid)
}

impl Engine {
    /// Refuses a position with such an entry, where there is a price that may be used.
    pub(crate) fn refuse_far(&self, now: Nanos, spec: &PositionSpec) -> Result<(), RegisterError> {
        let factor = self.entry_factor;
        for (leg, said) in spec.legs.iter().enumerate() {
            let Some(instrument) = self.books.instrument(said.instrument) else { continue };
            let live = self.books.quote(said.instrument);
            let live = live.filter(|_| self.books.quoted(said.instrument, now));
            if let Some(live) = live.and_then(|quote| beyond(said.entry, &quote, factor)) {
                let (entry, scale) = (said.entry, instrument.spec().price_scale);
                return Err(RegisterError::FarEntry { leg, entry, live, scale, factor });
            }
        }
        Ok(())
    }

    /// The first price of an instrument: positions that came before it are looked at.
    #[cold]
    pub(crate) fn on_first_price(&mut self, instrument: InstrumentId, quote: &Quote) {
        let mut at = self.first_holder(instrument);
        while let Some(holder) = at {
            at = self.next_holder(holder);
            let position = &self.positions[holder.slot() as usize];
            let entry = position.legs[holder.leg()].entry;
            let live = beyond(entry, quote, self.entry_factor);
            let open = matches!(position.state, PositionState::Open | PositionState::Exiting);
            if let Some(live) = live.filter(|_| open) {
                let position = PositionId::new(holder.slot(), position.generation);
                self.notes.push(EngineNote::FarEntry { position, instrument, entry, live });
            }
        }
    }
}
