//! Market data in Binance's shape, as its spot and USD-M streams share it: raw messages, and
//! combined ones wrapped in `{"stream": …, "data": …}`.
//!
//! One pass over the bytes notes where the fields stand; then the kind is told from the fields,
//! never from their order; only then numbers are read.

use reap_core::tick::{Quote, Tick};
use reap_core::units::Nanos;

use super::common::{Sink, funding_rate, mark_price, number, price, quantity, venue_time};
use crate::decoded::{Decoded, Ignored, Kind, Rejection};
use crate::json::expected::Expected;
use crate::json::{Cursor, JsonError, Token};
use crate::symbols::{Symbol, Symbols};

/// Where the streams differ.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Best bid and ask come without an event name (spot).
    pub plain_quotes: bool,
    /// There are mark prices and funding (futures).
    pub marks: bool,
}

/// The codec's tables; it remembers nothing of earlier messages.
#[derive(Debug)]
pub struct Codec {
    dialect: Dialect,
    symbols: Symbols,
}

/// The fields that are read. `b` and `a` are prices in quotes, levels in books and order ids in old
/// trades; `T` is the time of the price, of the trade, or of the next funding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Field {
    /// Any other: skipped.
    Other = 0,
    Event,
    UpdateId,
    Symbol,
    Bid,
    BidQty,
    Ask,
    AskQty,
    EventTime,
    Time,
    Price,
    Qty,
    BuyerIsMaker,
    FundingRate,
    Origin,
    LastUpdateId,
    Result,
    Error,
    Code,
}

const FIELDS: usize = Field::Code as usize + 1;

/// The field of each one-letter key: a table, because a jump by letter is hard to predict.
const LETTERS: [Field; 128] = {
    let mut letters = [Field::Other; 128];
    let mut letter = 0;
    while letter < letters.len() {
        letters[letter] = Field::named(letter as u8);
        letter += 1;
    }
    letters
};

impl Field {
    const fn named(letter: u8) -> Self {
        match letter {
            b'e' => Self::Event,
            b'u' => Self::UpdateId,
            b's' => Self::Symbol,
            b'b' => Self::Bid,
            b'B' => Self::BidQty,
            b'a' => Self::Ask,
            b'A' => Self::AskQty,
            b'E' => Self::EventTime,
            b'T' => Self::Time,
            b'p' => Self::Price,
            b'q' => Self::Qty,
            b'm' => Self::BuyerIsMaker,
            b'r' => Self::FundingRate,
            b'X' => Self::Origin,
            _ => Self::Other,
        }
    }

    #[inline]
    fn of_letter(letter: u8) -> Self {
        LETTERS.get(usize::from(letter)).copied().unwrap_or(Self::Other)
    }

    #[inline]
    fn of_word(word: &[u8]) -> Self {
        match word {
            b"lastUpdateId" => Self::LastUpdateId,
            b"result" => Self::Result,
            b"error" => Self::Error,
            b"code" => Self::Code,
            _ => Self::Other,
        }
    }

    #[inline]
    fn of(key: &[u8]) -> Self {
        match key {
            [letter] => Self::of_letter(*letter),
            word => Self::of_word(word),
        }
    }
}

/// Where the fields of one object stand.
#[derive(Default)]
struct Fields([Token; FIELDS]);

impl Fields {
    #[inline]
    fn get(&self, field: Field) -> Token {
        self.0[field as usize]
    }

    #[inline]
    fn has(&self, field: Field) -> bool {
        self.get(field).is_present()
    }

    /// Notes where a field stands; others are skipped.
    #[inline]
    fn fill(&mut self, field: Field, value: Token) -> Result<(), JsonError> {
        if field == Field::Other { Ok(()) } else { self.0[field as usize].fill(value) }
    }
}

/// A scanned message: the stream's name when it is a combined one, and the fields of its data; for
/// a raw message its own fields.
#[derive(Default)]
struct Message {
    stream: Token,
    fields: Fields,
}

impl Message {
    fn scan(raw: &[u8]) -> Result<Self, JsonError> {
        let mut cursor = Cursor::new(raw)?;
        let mut outer = Fields::default();
        let (mut stream, mut data) = (Token::default(), Token::default());
        let mut inner = Fields::default();
        let mut object = cursor.object()?;
        while let Some(key) = cursor.key(&mut object)? {
            match key {
                b"stream" => stream.fill(cursor.value()?)?,
                b"data" if cursor.peek()? == b'{' => {
                    let mut object = cursor.object()?;
                    while let Some(key) = cursor.key(&mut object)? {
                        inner.fill(Field::of(key), cursor.value()?)?;
                    }
                    data.fill(cursor.walked())?;
                }
                b"data" => data.fill(cursor.value()?)?,
                _ => outer.fill(Field::of(key), cursor.value()?)?,
            }
        }
        cursor.end()?;
        Ok(Self { stream, fields: if stream.is_present() { inner } else { outer } })
    }
}

impl Codec {
    /// A codec of these symbols.
    #[must_use]
    pub fn new(dialect: Dialect, symbols: Symbols) -> Self {
        Self { dialect, symbols }
    }

    /// See [`super::MarketCodec::decode`].
    #[inline]
    pub(super) fn decode(&self, raw: &[u8], sink: &mut Sink<'_>) -> Decoded {
        if let Some(tick) = self.expected_quote(raw, sink) {
            sink.push(tick);
            return Decoded::used(Kind::Quote);
        }
        self.decode_any(raw, sink)
    }

    /// A good quote of a watched symbol in the wording that the venues use; `None` says nothing.
    #[inline]
    fn expected_quote(&self, raw: &[u8], sink: &Sink<'_>) -> Option<Tick> {
        let mut rest = Expected::new(raw);
        let combined = rest.found(br#"{"stream":""#);
        if combined {
            rest.text()?;
            rest.literal(br#"","data":"#)?;
        }
        let update_id;
        let mut time = None;
        // Futures name the event; since 2026 with the times before the symbol.
        if rest.found(br#"{"u":"#) {
            if !self.dialect.plain_quotes {
                return None;
            }
            update_id = rest.integer()?;
        } else {
            rest.literal(br#"{"e":"bookTicker","u":"#)?;
            update_id = rest.integer()?;
            if rest.found(br#","E":"#) {
                rest.integer()?;
                rest.literal(br#","T":"#)?;
                time = Some(rest.integer()?);
            }
        }
        rest.literal(br#","s":""#)?;
        let (_, symbol) = self.symbols.find(rest.text()?)?;
        if rest.found(br#"","ps":""#) {
            rest.text()?;
        }
        rest.literal(br#"","b":""#)?;
        let bid = rest.decimal(symbol.price_scale)?;
        rest.literal(br#"","B":""#)?;
        let bid_qty = rest.decimal(symbol.qty_scale)?;
        rest.literal(br#"","a":""#)?;
        let ask = rest.decimal(symbol.price_scale)?;
        rest.literal(br#"","A":""#)?;
        let ask_qty = rest.decimal(symbol.qty_scale)?;
        rest.literal(b"\"")?;
        if time.is_none() && rest.found(br#","T":"#) {
            time = Some(rest.integer()?);
            rest.literal(br#","E":"#)?;
            rest.integer()?;
        }
        if rest.found(br#","st":"#) {
            rest.integer()?;
        }
        rest.literal(if combined { b"}}" } else { b"}" })?;
        if !rest.is_at_end() {
            return None;
        }
        let quote = Quote::new(bid, ask, bid_qty, ask_qty).ok()?;
        let stamp = sink.stamp(update_id, time.map(venue_time));
        Some(Tick::quote(symbol.instrument, stamp, quote))
    }

    /// Any message in any wording.
    fn decode_any(&self, raw: &[u8], sink: &mut Sink<'_>) -> Decoded {
        let message = match Message::scan(raw) {
            Ok(message) => message,
            Err(error) => return Decoded::rejected(Kind::Malformed, error.into()),
        };
        match self.data(raw, &message.fields, sink) {
            Some(decoded) => decoded,
            None if !message.stream.is_present() => control(&message.fields),
            None if message.stream.string(raw) == Some(b"!serverShutdown") => {
                Decoded::control(Kind::Shutdown)
            }
            // A combined message is data whatever it holds.
            None => sink.ignore(Kind::OtherData, Ignored::NotUsed),
        }
    }

    /// Data by its event name, or by its fields where there is none.
    #[inline]
    fn data(&self, raw: &[u8], fields: &Fields, sink: &mut Sink<'_>) -> Option<Decoded> {
        if !fields.has(Field::Event) {
            let sides = [Field::Bid, Field::BidQty, Field::Ask, Field::AskQty];
            if self.dialect.plain_quotes
                && fields.has(Field::Symbol)
                && sides.iter().any(|side| fields.has(*side))
            {
                return Some(self.quote(raw, fields, sink));
            }
            if fields.has(Field::LastUpdateId) {
                return Some(sink.ignore(Kind::Depth, Ignored::NotUsed));
            }
            return None;
        }
        let kind = match fields.get(Field::Event).string(raw)? {
            b"bookTicker" => return Some(self.quote(raw, fields, sink)),
            b"trade" | b"aggTrade" => return Some(self.trade(raw, fields, sink)),
            b"markPriceUpdate" if self.dialect.marks => return Some(self.mark(raw, fields, sink)),
            b"blockTrade" => return Some(sink.ignore(Kind::Trade, Ignored::BlockTrade)),
            b"serverShutdown" => return Some(Decoded::control(Kind::Shutdown)),
            b"depthUpdate" => Kind::Depth,
            b"kline" => Kind::Candle,
            b"24hrTicker" | b"24hrMiniTicker" => Kind::Ticker,
            b"forceOrder" => Kind::Liquidation,
            _ => Kind::OtherData,
        };
        Some(sink.ignore(kind, Ignored::NotUsed))
    }

    #[inline]
    fn quote(&self, raw: &[u8], fields: &Fields, sink: &mut Sink<'_>) -> Decoded {
        let Some(name) = fields.get(Field::Symbol).string(raw) else {
            return sink.reject(Kind::Quote, Rejection::Field);
        };
        let Some((_, symbol)) = self.symbols.find(name) else {
            return sink.ignore(Kind::Quote, Ignored::UnknownSymbol);
        };
        let update_id = fields.get(Field::UpdateId).integer(raw);
        let stamp = sink.stamp(update_id.unwrap_or(0), fields.venue_time(raw));
        let quote = update_id.ok_or(Rejection::Field).and_then(|_| fields.quote(raw, symbol));
        match quote {
            Ok(quote) => {
                sink.push(Tick::quote(symbol.instrument, stamp, quote));
                Decoded::used(Kind::Quote)
            }
            Err(reason) => {
                sink.push(Tick::refused(symbol.instrument, stamp, reason.refusal()));
                Decoded::rejected(Kind::Quote, reason)
            }
        }
    }

    fn trade(&self, raw: &[u8], fields: &Fields, sink: &mut Sink<'_>) -> Decoded {
        let Some(name) = fields.get(Field::Symbol).string(raw) else {
            return sink.reject(Kind::Trade, Rejection::Field);
        };
        let Some((_, symbol)) = self.symbols.find(name) else {
            return sink.ignore(Kind::Trade, Ignored::UnknownSymbol);
        };
        if fields.has(Field::Origin) && fields.get(Field::Origin).string(raw) != Some(b"MARKET") {
            return sink.ignore(Kind::Trade, Ignored::NotMarket);
        }
        match fields.trade(raw, symbol, sink) {
            Ok(tick) => {
                sink.push(tick);
                Decoded::used(Kind::Trade)
            }
            Err(reason) => sink.reject(Kind::Trade, reason),
        }
    }

    fn mark(&self, raw: &[u8], fields: &Fields, sink: &mut Sink<'_>) -> Decoded {
        let Some(name) = fields.get(Field::Symbol).string(raw) else {
            return sink.reject(Kind::Mark, Rejection::Field);
        };
        let Some((_, symbol)) = self.symbols.find(name) else {
            return sink.ignore(Kind::Mark, Ignored::UnknownSymbol);
        };
        match fields.mark(raw, symbol, sink) {
            Ok((mark, funding)) => {
                sink.push(mark);
                if let Some(funding) = funding {
                    sink.push(funding);
                }
                Decoded::used(Kind::Mark)
            }
            Err(reason) => sink.reject(Kind::Mark, reason),
        }
    }
}

impl Fields {
    /// The venue's time of the price: of the matching engine, else of the message. A latency
    /// metric only, so a time that cannot be read is an absent one.
    #[inline]
    fn venue_time(&self, raw: &[u8]) -> Option<Nanos> {
        let time = self
            .get(Field::Time)
            .loose_integer(raw)
            .or_else(|| self.get(Field::EventTime).loose_integer(raw));
        time.map(venue_time)
    }

    #[inline]
    fn quote(&self, raw: &[u8], symbol: &Symbol) -> Result<Quote, Rejection> {
        let bid = number(self.get(Field::Bid), raw, symbol.price_scale)?;
        let bid_qty = number(self.get(Field::BidQty), raw, symbol.qty_scale)?;
        let ask = number(self.get(Field::Ask), raw, symbol.price_scale)?;
        let ask_qty = number(self.get(Field::AskQty), raw, symbol.qty_scale)?;
        Ok(Quote::new(bid, ask, bid_qty, ask_qty)?)
    }

    fn trade(&self, raw: &[u8], symbol: &Symbol, sink: &Sink<'_>) -> Result<Tick, Rejection> {
        let at = self.venue_time(raw).ok_or(Rejection::Field)?;
        let price = price(number(self.get(Field::Price), raw, symbol.price_scale)?)?;
        let qty = quantity(number(self.get(Field::Qty), raw, symbol.qty_scale)?)?;
        let buyer_is_maker = self.get(Field::BuyerIsMaker).boolean().ok_or(Rejection::Field)?;
        let stamp = sink.stamp(0, Some(at));
        Ok(Tick::trade(symbol.instrument, stamp, price, qty, !buyer_is_maker, at))
    }

    /// The mark price, and the funding of perpetual contracts: here `T` is the next settlement.
    fn mark(
        &self,
        raw: &[u8],
        symbol: &Symbol,
        sink: &Sink<'_>,
    ) -> Result<(Tick, Option<Tick>), Rejection> {
        let sent = self.get(Field::EventTime).loose_integer(raw).map(venue_time);
        let stamp = sink.stamp(0, sent);
        let price = mark_price(self.get(Field::Price), raw, symbol.price_scale)?;
        let mark = Tick::mark(symbol.instrument, stamp, price);
        if !self.has(Field::FundingRate) {
            return Ok((mark, None));
        }
        let Some(rate) = funding_rate(self.get(Field::FundingRate), raw)? else {
            return Ok((mark, None));
        };
        let settles =
            self.get(Field::Time).loose_integer(raw).map(venue_time).ok_or(Rejection::Field)?;
        Ok((mark, Some(Tick::funding(symbol.instrument, stamp, rate, settles))))
    }
}

/// A message of the connection, by its fields.
fn control(fields: &Fields) -> Decoded {
    if fields.has(Field::Error) || fields.has(Field::Code) {
        Decoded::control(Kind::Error)
    } else if fields.has(Field::Result) {
        Decoded::control(Kind::Ack)
    } else {
        Decoded::ignored(Kind::Unknown, Ignored::UnknownShape)
    }
}
