//! What a venue says of an instrument: one record of 56 bytes for quotes, trades, marks, funding
//! and for frames that only prove that the connection delivers data.

use crate::instrument::{InstrumentId, SourceId};
use crate::units::{Nanos, Price, Qty, Rate};

/// What a record says, without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TickKind {
    /// Best bid and ask with their sizes.
    Quote = 0,
    /// One trade: price, quantity, aggressor.
    Trade = 1,
    /// Mark price.
    Mark = 2,
    /// Predicted funding rate and the time of the next settlement.
    Funding = 3,
    /// A data frame without anything for this engine: proves that the source delivers.
    Alive = 4,
    /// A quote that was refused: its instrument has no usable price until a good one arrives.
    Refused = 5,
}

/// Why a quote was refused. Counted by reason; a refused quote is never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// A number does not parse exactly at the instrument's scale, or exceeds its bound.
    #[error("malformed")]
    Malformed = 0,
    /// A price that is zero or negative.
    #[error("price not positive")]
    NotPositive = 1,
    /// A side without price or size: nothing to trade against.
    #[error("empty side")]
    EmptySide = 2,
    /// Ask below bid.
    #[error("crossed")]
    Crossed = 3,
}

impl Refusal {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 4] = [Self::Malformed, Self::NotPositive, Self::EmptySide, Self::Crossed];

    /// The counter's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NotPositive => "not_positive",
            Self::EmptySide => "empty_side",
            Self::Crossed => "crossed",
        }
    }
}

/// Best bid and ask with their sizes, as mantissas of the instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quote {
    /// Best bid.
    pub bid: Price,
    /// Best ask; never below the bid.
    pub ask: Price,
    /// Size at the best bid; positive.
    pub bid_qty: Qty,
    /// Size at the best ask; positive.
    pub ask_qty: Qty,
}

impl Quote {
    /// Checks four mantissas.
    ///
    /// # Errors
    /// [`Refusal::NotPositive`], [`Refusal::EmptySide`], [`Refusal::Malformed`] (out of bounds) or
    /// [`Refusal::Crossed`]. Bid equal to ask (locked) is accepted.
    pub fn new(bid: i64, ask: i64, bid_qty: i64, ask_qty: i64) -> Result<Self, Refusal> {
        if bid <= 0 || ask <= 0 || bid_qty < 0 || ask_qty < 0 {
            return Err(Refusal::NotPositive);
        }
        if bid_qty == 0 || ask_qty == 0 {
            return Err(Refusal::EmptySide);
        }
        let price = |value| Price::new(value).map_err(|_| Refusal::Malformed);
        let qty = |value| Qty::new(value).map_err(|_| Refusal::Malformed);
        let quote = Self {
            bid: price(bid)?,
            ask: price(ask)?,
            bid_qty: qty(bid_qty)?,
            ask_qty: qty(ask_qty)?,
        };
        if quote.ask < quote.bid {
            return Err(Refusal::Crossed);
        }
        Ok(quote)
    }
}

/// Where a record comes from and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The connection or recording.
    pub source: SourceId,
    /// Our receive time.
    pub received: Nanos,
    /// The venue's update id of the price; 0 where it has none.
    pub update_id: u64,
    /// Receive time minus the venue's time in microseconds, saturated: a latency metric only.
    /// 0 where the message carries no venue time.
    pub venue_lag_us: i32,
    /// The venue restarted its update ids with this message.
    pub reset: bool,
}

/// The record that travels from codec to engine: 56 bytes, so that a ring's turn makes it 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Tick {
    a: i64,
    b: i64,
    c: i64,
    d: i64,
    update_id: u64,
    received: Nanos,
    venue_lag_us: i32,
    instrument: InstrumentId,
    source: SourceId,
    /// Kind in the low four bits, flags above.
    bits: u8,
}

const _: () = assert!(size_of::<Tick>() == 56);
const _: () = assert!(align_of::<Tick>() == 8);

const FLAG_RESET: u8 = 1 << 4;
const FLAG_BUYER: u8 = 1 << 5;

/// A record's payload by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TickBody {
    /// See [`TickKind::Quote`].
    Quote(Quote),
    /// See [`TickKind::Trade`].
    Trade {
        /// Price of the trade.
        price: Price,
        /// Its quantity.
        qty: Qty,
        /// Whether the aggressor bought.
        buyer_aggressor: bool,
        /// The venue's trade time.
        at: Nanos,
    },
    /// See [`TickKind::Mark`].
    Mark {
        /// Mark price.
        price: Price,
    },
    /// See [`TickKind::Funding`].
    Funding {
        /// Predicted rate of the next settlement; positive: longs pay.
        rate: Rate,
        /// Time of the next settlement.
        settles: Nanos,
    },
    /// See [`TickKind::Alive`].
    Alive,
    /// See [`TickKind::Refused`].
    Refused(Refusal),
}

impl Tick {
    fn raw(instrument: InstrumentId, stamp: Stamp, kind: TickKind, payload: [i64; 4]) -> Self {
        let reset = if stamp.reset { FLAG_RESET } else { 0 };
        let [a, b, c, d] = payload;
        Self {
            a,
            b,
            c,
            d,
            update_id: stamp.update_id,
            received: stamp.received,
            venue_lag_us: stamp.venue_lag_us,
            instrument,
            source: stamp.source,
            bits: kind as u8 | reset,
        }
    }

    /// A quote.
    #[must_use]
    pub fn quote(instrument: InstrumentId, stamp: Stamp, quote: Quote) -> Self {
        let payload = [quote.bid.raw(), quote.ask.raw(), quote.bid_qty.raw(), quote.ask_qty.raw()];
        Self::raw(instrument, stamp, TickKind::Quote, payload)
    }

    /// A trade.
    #[must_use]
    pub fn trade(
        instrument: InstrumentId,
        stamp: Stamp,
        price: Price,
        qty: Qty,
        buyer_aggressor: bool,
        at: Nanos,
    ) -> Self {
        let at = i64::try_from(at.0).unwrap_or(i64::MAX);
        let mut tick =
            Self::raw(instrument, stamp, TickKind::Trade, [price.raw(), qty.raw(), at, 0]);
        if buyer_aggressor {
            tick.bits |= FLAG_BUYER;
        }
        tick
    }

    /// A mark price.
    #[must_use]
    pub fn mark(instrument: InstrumentId, stamp: Stamp, price: Price) -> Self {
        Self::raw(instrument, stamp, TickKind::Mark, [price.raw(), 0, 0, 0])
    }

    /// A predicted funding rate.
    #[must_use]
    pub fn funding(instrument: InstrumentId, stamp: Stamp, rate: Rate, settles: Nanos) -> Self {
        let settles = i64::try_from(settles.0).unwrap_or(i64::MAX);
        Self::raw(instrument, stamp, TickKind::Funding, [rate.raw(), settles, 0, 0])
    }

    /// A data frame without content for the engine.
    #[must_use]
    pub fn alive(stamp: Stamp) -> Self {
        Self::raw(InstrumentId(u16::MAX), stamp, TickKind::Alive, [0; 4])
    }

    /// A refused quote.
    #[must_use]
    pub fn refused(instrument: InstrumentId, stamp: Stamp, reason: Refusal) -> Self {
        Self::raw(instrument, stamp, TickKind::Refused, [reason as i64, 0, 0, 0])
    }

    /// What the record says.
    ///
    /// # Panics
    /// Never: the constructors are the only writers and keep every bound.
    #[must_use]
    #[inline]
    pub fn body(&self) -> TickBody {
        const KEPT: &str = "a constructor checked it";
        let price = |raw| Price::new(raw).expect(KEPT);
        let qty = |raw| Qty::new(raw).expect(KEPT);
        match self.bits & 0xf {
            0 => TickBody::Quote(Quote {
                bid: price(self.a),
                ask: price(self.b),
                bid_qty: qty(self.c),
                ask_qty: qty(self.d),
            }),
            1 => TickBody::Trade {
                price: price(self.a),
                qty: qty(self.b),
                buyer_aggressor: self.bits & FLAG_BUYER != 0,
                at: Nanos(self.c.unsigned_abs()),
            },
            2 => TickBody::Mark { price: price(self.a) },
            3 => TickBody::Funding {
                rate: Rate::new(self.a).expect(KEPT),
                settles: Nanos(self.b.unsigned_abs()),
            },
            4 => TickBody::Alive,
            _ => TickBody::Refused(match self.a {
                0 => Refusal::Malformed,
                1 => Refusal::NotPositive,
                2 => Refusal::EmptySide,
                _ => Refusal::Crossed,
            }),
        }
    }

    /// The record's kind.
    #[must_use]
    pub const fn kind(&self) -> TickKind {
        match self.bits & 0xf {
            0 => TickKind::Quote,
            1 => TickKind::Trade,
            2 => TickKind::Mark,
            3 => TickKind::Funding,
            4 => TickKind::Alive,
            _ => TickKind::Refused,
        }
    }

    /// The instrument; meaningless for [`TickKind::Alive`].
    #[must_use]
    pub const fn instrument(&self) -> InstrumentId {
        self.instrument
    }

    /// Where it comes from and when.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        Stamp {
            source: self.source,
            received: self.received,
            update_id: self.update_id,
            venue_lag_us: self.venue_lag_us,
            reset: self.bits & FLAG_RESET != 0,
        }
    }
}
