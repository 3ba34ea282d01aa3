//! Binance USD-M futures.

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
    market: |symbols| Box::new(Market::new(symbols)),
    hosts: Hosts {
        stream: "fstream.binance.com",
        orders: "ws-fapi.binance.com",
        rest: "fapi.binance.com",
    },
    streams: streams::plans,
    trading: Some(|setup| Ok(Box::new(UsdmTrading::new(setup)?))),
};
