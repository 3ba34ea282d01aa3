//! Bybit v5. Linear and spot use the same symbols for different instruments, so they are two
//! venues with one codec.

use reap_core::budget::{Quota, VenueBudget};
use reap_core::units::Nanos;

use super::{Hosts, Venue};

mod book;
mod control;
mod market;
mod streams;
mod ticker;
mod trades;
mod trading;

pub use market::{Category, Market};
pub use trading::LinearTrading;

/// Level 1 is sent again after 3 s without a change.
const MAX_QUOTE_AGE: Nanos = Nanos::from_secs(5);

/// Stream and orders share a host.
const HOSTS: Hosts =
    Hosts { stream: "stream.bybit.com", orders: "stream.bybit.com", rest: "api.bybit.com" };

/// USDT and USDC perpetuals and futures.
pub const LINEAR: Venue = Venue {
    name: "bybit_linear",
    max_quote_age: MAX_QUOTE_AGE,
    reduce_only: true,
    min_notional_on_reduce: true,
    spot: false,
    budget: budget(10),
    market: |symbols| Box::new(Market::new(Category::Linear, symbols)),
    hosts: HOSTS,
    streams: streams::linear,
    trading: Some(|setup| Ok(Box::new(LinearTrading::new(setup)?))),
};

/// Orders of an account within a second, and 600 requests of an address within five.
const fn budget(orders: u32) -> VenueBudget {
    VenueBudget {
        orders: Quota { max: orders, span: Nanos::from_secs(1) },
        weight: Quota { max: 600, span: Nanos::from_secs(5) },
        order_weight: 1,
        query_weight: 1,
        read_weight: 1,
    }
}

/// Spot; sizes are bounded by the balance, not by a position.
pub const SPOT: Venue = Venue {
    name: "bybit_spot",
    max_quote_age: MAX_QUOTE_AGE,
    reduce_only: false,
    min_notional_on_reduce: true,
    spot: true,
    budget: budget(20),
    market: |symbols| Box::new(Market::new(Category::Spot, symbols)),
    hosts: HOSTS,
    streams: streams::spot,
    trading: None,
};
