//! Market data of Binance spot: `bookTicker` (without event name and time), `trade`, `aggTrade`.

use reap_core::instrument::SourceId;
use reap_core::tick::Tick;
use reap_core::units::Nanos;

use crate::decoded::Decoded;
use crate::symbols::Symbols;
use crate::venues::MarketCodec;
use crate::venues::binance_shared::{Codec, Dialect};
use crate::venues::common::Sink;

/// The codec of one connection.
#[derive(Debug)]
pub struct Market(Codec);

impl Market {
    /// A codec of these symbols.
    #[must_use]
    pub fn new(symbols: Symbols) -> Self {
        Self(Codec::new(Dialect { plain_quotes: true, marks: false }, symbols))
    }
}

impl MarketCodec for Market {
    fn decode(
        &mut self,
        raw: &[u8],
        received: Nanos,
        source: SourceId,
        out: &mut dyn FnMut(Tick),
    ) -> Decoded {
        self.0.decode(raw, &mut Sink { received, source, out })
    }

    /// Nothing is remembered: every message stands for itself.
    fn reset(&mut self) {}
}
