//! Binance USD-M futures.

use reap_core::budget::{Quota, VenueBudget};
use reap_core::units::Nanos;

use super::{Hosts, Venue};

mod market;
mod streams;
mod trading;

pub use market::Market;
pub use trading::UsdmTrading;

/// Sends a quote only when it changes.
pub const VENUE: Venue = Venue {
    name: "binance_usdm",
    max_quote_age: Nanos::from_secs(60),
    reduce_only: true,
    min_notional_on_reduce: false,
    spot: false,
    // Limits by the documentation; `exchangeInfo` has those of an account.
    budget: VenueBudget {
        orders: Quota { max: 300, span: Nanos::from_secs(10) },
        weight: Quota { max: 2_400, span: Nanos::from_secs(60) },
        order_weight: 1,
        query_weight: 1,
        read_weight: 5,
    },
    market: |symbols| Box::new(Market::new(symbols)),
    hosts: Hosts {
        stream: "fstream.binance.com",
        orders: "ws-fapi.binance.com",
        rest: "fapi.binance.com",
    },
    streams: streams::plans,
    trading: Some(|setup| Ok(Box::new(UsdmTrading::new(setup)?))),
};
