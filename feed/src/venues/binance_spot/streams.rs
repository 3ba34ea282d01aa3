//! The connections of Binance spot.

use crate::session::{PlanBuilder, StreamPlan, Wanted};
use crate::venues::binance_streams::{DIALECT, STREAMS_MAX};

/// `public`: `bookTicker` and `aggTrade`.
pub(super) fn plans(wanted: &[Wanted<'_>]) -> Vec<StreamPlan> {
    let mut public = PlanBuilder::new("public", "/ws", &DIALECT, STREAMS_MAX, usize::MAX);
    for Wanted { instrument, symbol } in wanted {
        let symbol = symbol.to_ascii_lowercase();
        public.add(
            *instrument,
            &[(format!("{symbol}@bookTicker"), true), (format!("{symbol}@aggTrade"), false)],
        );
    }
    public.finish()
}
