//! Funding that the market shows to have been settled.

use reap_core::event::Event;
use reap_core::instrument::InstrumentId;

use super::Pipeline;
use crate::funding::{Booking, Settlement};
use crate::story::{Standing, Watcher};

impl Pipeline {
    /// Books what a settlement of funding brings to every leg of an instrument.
    pub(super) fn settle_funding(
        &mut self,
        instrument: InstrumentId,
        due: Settlement,
        watch: Watcher<'_>,
    ) {
        for at in 0..self.story.standings().len() {
            let spec = self.story.standings()[at].spec.as_ref();
            for nth in 0..spec.map_or(0, |spec| spec.legs.len()) {
                if let Some(booking) = self.settled(at, nth, instrument, &due) {
                    self.book_funding(&booking, watch);
                }
            }
        }
    }

    fn settled(
        &self,
        at: usize,
        nth: usize,
        instrument: InstrumentId,
        due: &Settlement,
    ) -> Option<Booking> {
        let Standing { spec: Some(spec), id: Some(position), open, funding, .. } =
            &self.story.standings()[at]
        else {
            return None;
        };
        let of = self.story.instrument(instrument);
        due.booking((instrument, of), (*position, spec), nth, open[nth], funding[nth])
    }

    /// Tells engine and executor a leg's funding; what it sets off comes before the next leg's.
    fn book_funding(&mut self, booking: &Booking, watch: Watcher<'_>) {
        let (note, taken) = booking.book(&mut self.executor);
        self.story.on_note(self.now, &note, watch);
        if taken {
            self.engine.on_event(self.now, &Event::Command(booking.command()));
            self.pump(watch);
        }
    }
}
