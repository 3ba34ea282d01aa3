//! A venue that refuses everything: held, tried with one order at a time, resumed on evidence.
//!
//! Orders that are refused because the venue takes none (maintenance, cancel-only), or for reasons
//! that nobody knows, on more than one instrument, say more of the venue than of the order. After
//! [`TRIPS_AFTER`] of them without any order that was taken no order goes there for a while; then
//! one does, and what becomes of it decides for all.

use crate::instrument::InstrumentId;
use crate::limits::{BACKOFF_FIRST, PROBE_LAST, PROBE_PATIENCE, TRIPS_AFTER};
use crate::order::{ClientOrderId, RejectClass};
use crate::units::Nanos;

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Breaker {
    /// Refusals in a row.
    refusals: u8,
    /// Whose order was refused for no known reason the last time.
    fatal: Option<InstrumentId>,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    why: RejectClass,
    /// No order before.
    until: Nanos,
    /// Orders that were tried and refused.
    tried: u8,
    /// The order that is tried, and until when it is waited for.
    probe: Option<(ClientOrderId, Nanos)>,
}

impl Breaker {
    /// Why nothing goes there, when that is so.
    pub(crate) fn held(&self) -> Option<RejectClass> {
        self.open.map(|open| open.why)
    }

    /// When an order may go; `now` when it may at once.
    pub(crate) fn order_at(&self, now: Nanos) -> Nanos {
        let Some(open) = self.open else { return now };
        let probed = open.probe.map_or(now, |(_, until)| until);
        open.until.max(probed).max(now)
    }

    /// The clock was set back by this much.
    pub(crate) fn set_back(&mut self, by: Nanos) {
        if let Some(open) = &mut self.open {
            open.until = open.until.since(by);
            if let Some((_, until)) = &mut open.probe {
                *until = until.since(by);
            }
        }
    }

    pub(crate) fn on_sent(&mut self, now: Nanos, id: ClientOrderId) {
        if let Some(open) = &mut self.open {
            open.probe = Some((id, now.plus(PROBE_PATIENCE)));
        }
    }

    /// An order was refused. Whether the venue is held from now on.
    pub(crate) fn on_refused(
        &mut self,
        now: Nanos,
        id: ClientOrderId,
        instrument: InstrumentId,
        why: RejectClass,
    ) -> bool {
        if let Some(open) = &mut self.open {
            if open.probe.is_some_and(|(probe, _)| probe == id) {
                open.probe = None;
                open.tried = open.tried.saturating_add(1);
                let pause = Nanos(BACKOFF_FIRST.0 << open.tried.min(16)).min(PROBE_LAST);
                open.until = now.plus(pause);
            }
            return false;
        }
        // One instrument alone may be refused for a reason of its own.
        if why == RejectClass::Fatal && self.fatal.replace(instrument) == Some(instrument) {
            return false;
        }
        self.refusals = self.refusals.saturating_add(1);
        let trips = self.refusals >= TRIPS_AFTER;
        if trips {
            self.open = Some(Open { why, until: now.plus(BACKOFF_FIRST), tried: 0, probe: None });
        }
        trips
    }

    /// An order was taken. Whether the venue was held.
    pub(crate) fn on_evidence(&mut self) -> bool {
        let was_open = self.open.is_some();
        *self = Self::default();
        was_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::PositionId;

    const A: InstrumentId = InstrumentId(1);
    const B: InstrumentId = InstrumentId(2);

    fn id(attempt: u16) -> ClientOrderId {
        ClientOrderId { epoch: 1, position: PositionId(1), leg: 0, plan: 1, attempt }
    }

    #[test]
    fn three_refusals_hold_a_venue_and_one_order_at_a_time_is_tried() {
        let mut breaker = Breaker::default();
        let unavailable = RejectClass::Unavailable;
        let mut now = Nanos::from_secs(10);
        assert!(!breaker.on_refused(now, id(1), A, unavailable));
        assert!(!breaker.on_refused(now, id(2), A, unavailable));
        assert_eq!(breaker.order_at(now), now);
        assert!(breaker.on_refused(now, id(3), A, unavailable));
        assert_eq!(breaker.held(), Some(unavailable));
        for pause in [250, 500, 1_000, 2_000, 4_000, 4_000] {
            let due = now.plus(Nanos::from_millis(pause));
            assert_eq!(breaker.order_at(now), due);
            now = due;
            assert_eq!(breaker.order_at(now), now);
            breaker.on_sent(now, id(9));
            // The others wait for what becomes of it.
            assert_eq!(breaker.order_at(now), now.plus(PROBE_PATIENCE));
            assert!(!breaker.on_refused(now, id(8), A, unavailable), "of an earlier order");
            assert_eq!(breaker.order_at(now), now.plus(PROBE_PATIENCE));
            assert!(!breaker.on_refused(now, id(9), A, unavailable));
        }
        assert!(breaker.on_evidence());
        assert!(!breaker.on_evidence());
        assert_eq!((breaker.order_at(now), breaker.held()), (now, None));
    }

    #[test]
    fn one_instrument_alone_holds_no_venue_for_reasons_that_nobody_knows() {
        let mut breaker = Breaker::default();
        let (now, fatal) = (Nanos::from_secs(10), RejectClass::Fatal);
        for attempt in 0..20 {
            assert!(!breaker.on_refused(now, id(attempt), A, fatal));
        }
        assert!(!breaker.on_refused(now, id(20), B, fatal));
        assert!(breaker.on_refused(now, id(21), A, fatal));
        assert_eq!(breaker.held(), Some(fatal));
    }
}
