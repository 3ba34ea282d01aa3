//! `publicTrade`: up to 1024 trades in one message.

use reap_core::tick::Tick;

use crate::decoded::{Decoded, Ignored, Kind, Rejection};
use crate::json::{Cursor, JsonError, Token};
use crate::symbols::Symbols;
use crate::venues::common::{Sink, number, price, quantity, venue_time};

/// The fields of one trade that are read.
#[derive(Default)]
struct Trade {
    time: Token,
    symbol: Token,
    side: Token,
    size: Token,
    price: Token,
    is_block: Token,
}

impl Trade {
    fn scan(cursor: &mut Cursor<'_>) -> Result<Self, JsonError> {
        let mut trade = Self::default();
        let mut object = cursor.object()?;
        while let Some(key) = cursor.key(&mut object)? {
            let value = cursor.value()?;
            match key {
                b"T" => trade.time.fill(value)?,
                b"s" => trade.symbol.fill(value)?,
                b"S" => trade.side.fill(value)?,
                b"v" => trade.size.fill(value)?,
                b"p" => trade.price.fill(value)?,
                b"BT" => trade.is_block.fill(value)?,
                _ => {}
            }
        }
        Ok(trade)
    }

    /// The trade's tick, or why it is left out.
    fn read(
        &self,
        raw: &[u8],
        symbols: &Symbols,
        sink: &Sink<'_>,
    ) -> Result<Result<Tick, Ignored>, Rejection> {
        let name = self.symbol.string(raw).ok_or(Rejection::Field)?;
        let Some((_, symbol)) = symbols.find(name) else {
            return Ok(Err(Ignored::UnknownSymbol));
        };
        if self.is_block.is_present() && self.is_block.boolean().ok_or(Rejection::Field)? {
            return Ok(Err(Ignored::BlockTrade));
        }
        let buyer_aggressor = match self.side.string(raw) {
            Some(b"Buy") => true,
            Some(b"Sell") => false,
            _ => return Err(Rejection::Field),
        };
        let at = self.time.loose_integer(raw).map(venue_time).ok_or(Rejection::Field)?;
        let price = price(number(self.price, raw, symbol.price_scale)?)?;
        let qty = quantity(number(self.size, raw, symbol.qty_scale)?)?;
        let stamp = sink.stamp(0, Some(at));
        Ok(Ok(Tick::trade(symbol.instrument, stamp, price, qty, buyer_aggressor, at)))
    }
}

/// Decodes the trades of `data`: twice, first to see whether all of them are good.
pub(super) fn decode(
    raw: &[u8],
    data: Token,
    symbols: &Symbols,
    sink: &mut Sink<'_>,
) -> Result<Decoded, JsonError> {
    if !data.is_array() {
        return Ok(sink.reject(Kind::Trade, Rejection::Field));
    }
    let mut left_out = Ignored::Unchanged;
    let mut some = false;
    for emit in [false, true] {
        let mut cursor = Cursor::at(raw, data);
        let mut array = cursor.array()?;
        while cursor.element(&mut array)? {
            if cursor.peek()? != b'{' {
                return Ok(sink.reject(Kind::Trade, Rejection::Field));
            }
            match Trade::scan(&mut cursor)?.read(raw, symbols, sink) {
                Err(reason) => return Ok(sink.reject(Kind::Trade, reason)),
                Ok(Err(reason)) => left_out = reason,
                Ok(Ok(tick)) if emit => sink.push(tick),
                Ok(Ok(_)) => some = true,
            }
        }
    }
    Ok(if some { Decoded::used(Kind::Trade) } else { sink.ignore(Kind::Trade, left_out) })
}
