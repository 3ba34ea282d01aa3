//! What the executor's tests share: instruments of whole numbers and a table of quotes.

use reap_core::instrument::{
    ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, VenueId,
};
use reap_core::pricing::{Quotes, Top};
use reap_core::units::{Decimal, Nanos, Rate};

pub(crate) const ZERO: Decimal = Decimal { mantissa: 0, scale: 0 };

pub(crate) fn instrument(tick: i64, lot: i64, min_qty: i64, min_notional: i128) -> Instrument {
    Instrument::new(InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 0,
        qty_scale: 0,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick,
        lot,
        min_qty,
        min_notional: Decimal { mantissa: min_notional, scale: 0 },
        taker: Rate::ZERO,
        maker: Rate::ZERO,
        min_fee: ZERO,
        max_quote_age: Nanos::from_secs(5),
        jump_limit: Rate::from_bps(1_000),
        jump_ticks: 5,
        reduce_only: true,
        min_notional_on_reduce: true,
        peer: None,
    })
    .unwrap()
}

pub(crate) struct Table(pub(crate) Vec<Option<Top>>);

impl Quotes for Table {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        self.0[usize::from(instrument.0)]
    }
}
