//! Binance spot.

use reap_core::units::Nanos;

use super::{Hosts, Venue};

mod market;
mod streams;

pub use market::Market;

/// Sends a quote only when it changes; sizes are bounded by the balance, not by a position.
pub const VENUE: Venue = Venue {
    name: "binance_spot",
    max_quote_age: Nanos::from_secs(60),
    reduce_only: false,
    min_notional_on_reduce: true,
    spot: true,
    market: |symbols| Box::new(Market::new(symbols)),
    hosts: Hosts {
        stream: "stream.binance.com",
        orders: "ws-api.binance.com",
        rest: "api.binance.com",
    },
    streams: streams::plans,
    trading: None,
};
