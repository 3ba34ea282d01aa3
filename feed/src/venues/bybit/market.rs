//! Market data of Bybit: `orderbook.1`, `publicTrade`, `tickers`.

use reap_core::instrument::SourceId;
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::Nanos;

use super::book::{Book, Changed};
use super::control::Control;
use super::ticker::{Funding, Ticker};
use super::trades;
use crate::decoded::{Decoded, Ignored, Kind, Rejection};
use crate::json::expected::Expected;
use crate::json::{Cursor, JsonError, Token};
use crate::symbols::{Symbol, Symbols};
use crate::venues::MarketCodec;
use crate::venues::common::{Sink, venue_time};

/// The part of the exchange that a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// Perpetuals and futures settled in USDT or USDC.
    Linear,
    /// Spot: no mark price, no funding.
    Spot,
}

/// The codec of one connection. It remembers, for each symbol, the book that changes apply to and
/// the funding that changes leave out.
#[derive(Debug)]
pub struct Market {
    category: Category,
    symbols: Symbols,
    /// One for each symbol, by its place in the table.
    books: Vec<Book>,
    /// One for each symbol, by its place in the table.
    fundings: Vec<Funding>,
}

/// Where the fields of a message stand.
#[derive(Default)]
struct Message {
    topic: Token,
    kind: Token,
    ts: Token,
    cts: Token,
    data: Token,
    control: Control,
}

/// Where the fields of a book's `data` stand.
#[derive(Default)]
struct BookData {
    symbol: Token,
    bids: Token,
    asks: Token,
    update_id: Token,
}

impl Market {
    /// A codec of these symbols.
    #[must_use]
    pub fn new(category: Category, symbols: Symbols) -> Self {
        let (books, fundings) =
            (vec![Book::default(); symbols.len()], vec![Funding::default(); symbols.len()]);
        Self { category, symbols, books, fundings }
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
        let mut sink = Sink { received, source, out };
        if let Some(tick) = self.expected_quote(raw, &sink) {
            sink.push(tick);
            return Decoded::used(Kind::Quote);
        }
        match self.decode_any(raw, &mut sink) {
            Ok(decoded) => decoded,
            Err(error) => Decoded::rejected(Kind::Malformed, error.into()),
        }
    }

    fn reset(&mut self) {
        self.books.fill(Book::default());
        self.fundings.fill(Funding::default());
    }
}

impl Market {
    /// A good snapshot of a watched symbol's best bid and ask in the wording that the venue uses;
    /// `None` says nothing.
    #[inline]
    fn expected_quote(&mut self, raw: &[u8], sink: &Sink<'_>) -> Option<Tick> {
        let mut rest = Expected::new(raw);
        rest.literal(br#"{"topic":"orderbook.1."#)?;
        let topic = rest.text()?;
        // Linear says the type first, spot the time; the documentation has both.
        if rest.found(br#"","ts":"#) {
            rest.integer()?;
            rest.literal(br#","type":"snapshot","data":{"s":""#)?;
        } else {
            rest.literal(br#"","type":"snapshot","ts":"#)?;
            rest.integer()?;
            rest.literal(br#","data":{"s":""#)?;
        }
        let name = rest.text()?;
        if name != topic {
            return None;
        }
        let (index, symbol) = self.symbols.find(name)?;
        rest.literal(br#"","b":[[""#)?;
        let bid = rest.decimal(symbol.price_scale)?;
        rest.literal(br#"",""#)?;
        let bid_qty = rest.decimal(symbol.qty_scale)?;
        rest.literal(br#""]],"a":[[""#)?;
        let ask = rest.decimal(symbol.price_scale)?;
        rest.literal(br#"",""#)?;
        let ask_qty = rest.decimal(symbol.qty_scale)?;
        rest.literal(br#""]],"u":"#)?;
        let update_id = rest.integer()?;
        rest.literal(br#","seq":"#)?;
        rest.integer()?;
        rest.literal(br#"},"cts":"#)?;
        let time = rest.integer()?;
        rest.literal(b"}")?;
        if !rest.is_at_end() {
            return None;
        }
        let quote = Quote::new(bid, ask, bid_qty, ask_qty).ok()?;
        self.books[index].set(update_id, &quote);
        let stamp = stamp(sink, update_id, Some(venue_time(time)), true);
        Some(Tick::quote(symbol.instrument, stamp, quote))
    }

    /// Any message in any wording.
    fn decode_any(&mut self, raw: &[u8], sink: &mut Sink<'_>) -> Result<Decoded, JsonError> {
        let message = Message::scan(raw)?;
        let Some(topic) = message.topic.string(raw) else {
            return Ok(message.control.decode(raw));
        };
        let (stream, rest) = split(topic);
        let kind = match stream {
            b"orderbook" => match split(rest) {
                (b"1", name) => return self.book(raw, &message, name, sink),
                _ => Kind::Depth,
            },
            b"publicTrade" => return trades::decode(raw, message.data, &self.symbols, sink),
            b"tickers" if self.category == Category::Linear => {
                return self.ticker(raw, &message, rest, sink);
            }
            b"tickers" => Kind::Ticker,
            b"kline" => Kind::Candle,
            b"liquidation" | b"allLiquidation" => Kind::Liquidation,
            _ => Kind::OtherData,
        };
        Ok(sink.ignore(kind, Ignored::NotUsed))
    }

    fn book(
        &mut self,
        raw: &[u8],
        message: &Message,
        topic: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<Decoded, JsonError> {
        if !message.data.is_object() {
            return Ok(sink.reject(Kind::Quote, Rejection::Field));
        }
        let data = BookData::scan(&mut Cursor::at(raw, message.data))?;
        if data.symbol.string(raw) != Some(topic) {
            return Ok(sink.reject(Kind::Quote, Rejection::Field));
        }
        let Some((index, symbol)) = self.symbols.find(topic) else {
            return Ok(sink.ignore(Kind::Quote, Ignored::UnknownSymbol));
        };
        let time = message.venue_time(raw);
        let update_id = data.update_id.integer(raw);
        let is_snapshot = message.kind.string(raw) == Some(b"snapshot");
        let stamp = stamp(sink, update_id.unwrap_or(0), time, is_snapshot);
        let quote = self.books[index].take(raw, symbol, message, &data);
        Ok(finish(quote, symbol, stamp, sink))
    }

    fn ticker(
        &mut self,
        raw: &[u8],
        message: &Message,
        topic: &[u8],
        sink: &mut Sink<'_>,
    ) -> Result<Decoded, JsonError> {
        if !message.data.is_object() {
            return Ok(sink.reject(Kind::Mark, Rejection::Field));
        }
        let ticker = Ticker::scan(&mut Cursor::at(raw, message.data))?;
        if ticker.symbol.string(raw) != Some(topic) {
            return Ok(sink.reject(Kind::Mark, Rejection::Field));
        }
        let Some((index, symbol)) = self.symbols.find(topic) else {
            return Ok(sink.ignore(Kind::Mark, Ignored::UnknownSymbol));
        };
        let known = match message.kind.string(raw) {
            Some(b"snapshot") => Funding::default(),
            Some(b"delta") => self.fundings[index],
            _ => return Ok(sink.reject(Kind::Mark, Rejection::Field)),
        };
        let stamp = sink.stamp(0, message.venue_time(raw));
        match ticker.read(raw, symbol, stamp, known) {
            Err(reason) => Ok(sink.reject(Kind::Mark, reason)),
            Ok((ticks, known)) => {
                self.fundings[index] = known;
                if ticks == [None; 2] {
                    return Ok(sink.ignore(Kind::Mark, Ignored::Unchanged));
                }
                for tick in ticks.into_iter().flatten() {
                    sink.push(tick);
                }
                Ok(Decoded::used(Kind::Mark))
            }
        }
    }
}

impl Book {
    /// Takes the message of a book as what its type says.
    fn take(
        &mut self,
        raw: &[u8],
        symbol: &Symbol,
        message: &Message,
        data: &BookData,
    ) -> Result<Changed, Rejection> {
        let sides = [data.bids, data.asks];
        match (data.update_id.integer(raw), message.kind.string(raw)) {
            (Some(id), Some(b"snapshot")) => {
                self.snapshot(raw, symbol, id, sides).map(Changed::Quote)
            }
            (Some(id), Some(b"delta")) => self.change(raw, symbol, id, sides),
            _ => {
                self.forget();
                Err(Rejection::Field)
            }
        }
    }
}

/// The stamp of a quote. The venue restarts its ids with a snapshot of id 1.
#[inline]
fn stamp(sink: &Sink<'_>, update_id: u64, time: Option<Nanos>, is_snapshot: bool) -> Stamp {
    Stamp { reset: is_snapshot && update_id == 1, ..sink.stamp(update_id, time) }
}

/// Sends what became of a quote.
fn finish(
    quote: Result<Changed, Rejection>,
    symbol: &Symbol,
    stamp: Stamp,
    sink: &mut Sink<'_>,
) -> Decoded {
    match quote {
        Ok(Changed::Quote(quote)) => {
            sink.push(Tick::quote(symbol.instrument, stamp, quote));
            Decoded::used(Kind::Quote)
        }
        Ok(Changed::Older) => sink.ignore(Kind::Quote, Ignored::Older),
        Err(reason) => {
            sink.push(Tick::refused(symbol.instrument, stamp, reason.refusal()));
            Decoded::rejected(Kind::Quote, reason)
        }
    }
}

/// A topic up to its first point, and what follows.
fn split(topic: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'.', topic) {
        Some(point) => (&topic[..point], &topic[point + 1..]),
        None => (topic, b""),
    }
}

impl Message {
    fn scan(raw: &[u8]) -> Result<Self, JsonError> {
        let mut message = Self::default();
        let mut cursor = Cursor::new(raw)?;
        let mut object = cursor.object()?;
        while let Some(key) = cursor.key(&mut object)? {
            let value = cursor.value()?;
            match key {
                b"topic" => message.topic.fill(value)?,
                b"type" => message.kind.fill(value)?,
                b"ts" => message.ts.fill(value)?,
                b"cts" => message.cts.fill(value)?,
                b"data" => message.data.fill(value)?,
                b"op" => message.control.op.fill(value)?,
                b"success" => message.control.success.fill(value)?,
                b"ret_msg" => message.control.ret_msg.fill(value)?,
                b"retCode" => message.control.ret_code.fill(value)?,
                _ => {}
            }
        }
        cursor.end()?;
        Ok(message)
    }

    /// The time of the matching engine, else of the message. A latency metric only, so a time
    /// that cannot be read is an absent one.
    fn venue_time(&self, raw: &[u8]) -> Option<Nanos> {
        self.cts.loose_integer(raw).or_else(|| self.ts.loose_integer(raw)).map(venue_time)
    }
}

impl BookData {
    fn scan(cursor: &mut Cursor<'_>) -> Result<Self, JsonError> {
        let mut data = Self::default();
        let mut object = cursor.object()?;
        while let Some(key) = cursor.key(&mut object)? {
            let value = cursor.value()?;
            match key {
                b"s" => data.symbol.fill(value)?,
                b"b" => data.bids.fill(value)?,
                b"a" => data.asks.fill(value)?,
                b"u" => data.update_id.fill(value)?,
                _ => {}
            }
        }
        Ok(data)
    }
}
