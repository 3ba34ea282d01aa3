//! The venues. To add one: a folder with `market.rs` (bytes to ticks), `streams.rs` (what is
//! subscribed where, and how one speaks there) and `fixtures/`, a [`Venue`] in its `mod.rs`, and one
//! line in [`VENUES`].
//!
//! **Architecture invariant:** a venue imports no other venue; what several share lives beside
//! them (`common`, `binance_shared`, `binance_streams`).

use reap_core::budget::VenueBudget;
use reap_core::instrument::SourceId;
use reap_core::tick::Tick;
use reap_core::units::Nanos;

use crate::decoded::Decoded;
use crate::session::{StreamPlan, Wanted};
use crate::symbols::Symbols;
use crate::trading::{SetupError, Trading, TradingSetup};

pub mod binance_shared;
pub mod binance_spot;
mod binance_streams;
pub mod binance_usdm;
pub mod bybit;
mod common;

pub mod hosts;

pub use hosts::{Host, Hosts};

/// Every venue that can be configured.
pub const VENUES: &[&Venue] =
    &[&binance_spot::VENUE, &binance_usdm::VENUE, &bybit::LINEAR, &bybit::SPOT];

/// A venue: what the rest of the program may know of it. Two categories of one exchange that use
/// the same symbols for different instruments are two venues.
#[derive(Debug)]
pub struct Venue {
    /// Its name in configurations and reports.
    pub name: &'static str,
    /// Longest age of a confirmed price unless configured: short where the venue repeats its
    /// prices, long where it sends only changes.
    pub max_quote_age: Nanos,
    /// Whether an order can be marked reduce-only.
    pub reduce_only: bool,
    /// Whether its smallest notional binds reduce-only orders too.
    pub min_notional_on_reduce: bool,
    /// Spot: nothing is short there, and a sale is bounded by the balance.
    pub spot: bool,
    /// What it takes within a time, unless configured.
    pub budget: VenueBudget,
    /// Makes the codec of one connection's market data.
    pub market: fn(Symbols) -> Box<dyn MarketCodec>,
    /// Where it is.
    pub hosts: Hosts,
    /// The market data connections that these instruments need, within the venue's limits.
    pub streams: fn(&[Wanted<'_>]) -> Vec<StreamPlan>,
    /// Makes the trading of one account; `None` where there is none yet.
    pub trading: Option<MakeTrading>,
}

/// Makes the trading of one account, or says what is wrong with its setup.
pub type MakeTrading = fn(TradingSetup) -> Result<Box<dyn Trading>, SetupError>;

impl Venue {
    /// The venue of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        VENUES.iter().copied().find(|venue| venue.name == name)
    }
}

/// Market data of one connection: bytes to ticks.
///
/// What a message becomes:
///
/// - quotes, trades, mark prices and funding of watched instruments become ticks;
/// - a quote of a watched instrument that cannot be used becomes [`Tick::refused`];
/// - every other message of a data stream becomes [`Tick::alive`]: the source delivers;
/// - acks, errors, pongs, announcements of the connection, unknown shapes and what is not one
///   whole JSON value become nothing: they prove nothing of the data.
///
/// A message gives all of its ticks or none of them.
pub trait MarketCodec: Send {
    /// Decodes one message. Never panics and never allocates, whatever the bytes.
    fn decode(
        &mut self,
        raw: &[u8],
        received: Nanos,
        source: SourceId,
        out: &mut dyn FnMut(Tick),
    ) -> Decoded;

    /// Forgets what was remembered of earlier messages: call it when the connection is a new one.
    fn reset(&mut self);
}
