//! The connections of Binance USD-M: since 2026-04-23 quotes are on one path, trades and mark
//! prices on another. A subscription on the wrong path is accepted and stays silent.

use crate::session::{PlanBuilder, StreamPlan, Wanted};
use crate::venues::binance_streams::{DIALECT, STREAMS_MAX};

/// `public`: `bookTicker`; `market`: `aggTrade` and `markPrice@1s`.
pub(super) fn plans(wanted: &[Wanted<'_>]) -> Vec<StreamPlan> {
    let mut public = PlanBuilder::new("public", "/public/ws", &DIALECT, STREAMS_MAX, usize::MAX);
    let mut market = PlanBuilder::new("market", "/market/ws", &DIALECT, STREAMS_MAX, usize::MAX);
    for Wanted { instrument, symbol } in wanted {
        let symbol = symbol.to_ascii_lowercase();
        public.add(*instrument, &[(format!("{symbol}@bookTicker"), true)]);
        market.add(
            *instrument,
            &[(format!("{symbol}@aggTrade"), false), (format!("{symbol}@markPrice@1s"), false)],
        );
    }
    let mut plans = public.finish();
    plans.extend(market.finish());
    plans
}
