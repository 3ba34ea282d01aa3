//! Binance spot.

use reap_core::budget::{Quota, VenueBudget};
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
    // Limits by the documentation; `exchangeInfo` has those of an account.
    budget: VenueBudget {
        orders: Quota { max: 50, span: Nanos::from_secs(10) },
        weight: Quota { max: 6_000, span: Nanos::from_secs(60) },
        order_weight: 1,
        query_weight: 4,
        read_weight: 20,
    },
    market: |symbols| Box::new(Market::new(symbols)),
    hosts: Hosts {
        stream: "stream.binance.com",
        orders: "ws-api.binance.com",
        rest: "api.binance.com",
    },
    streams: streams::plans,
    trading: None,
};
