//! The codecs a second time, plainly: serde_json finds the values, `i128` reads the numbers, and
//! every message is decided from the words of the venues' documentation. Shares no code with the
//! product but the types of its answers.

use std::collections::HashMap;

use reap_core::instrument::InstrumentId;
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Nanos, Price, Qty, Rate};
use reap_feed::decoded::{Decoded, Ignored, Kind, Rejection};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Row, SOURCE};

/// What a message should become.
pub type Answer = (Decoded, Vec<Tick>);

/// An object as its keys and unread values, in order, duplicates included.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

/// The read keys of an object; an error for bad JSON and for a read key that stands twice.
struct Object<'a>(HashMap<String, &'a str>);

impl<'a> Object<'a> {
    fn parse(text: &'a [u8], read: &[&str]) -> Result<Self, Rejection> {
        let pairs: Pairs<'a> = serde_json::from_slice(text).map_err(|_| Rejection::Syntax)?;
        let mut values = HashMap::new();
        for (key, value) in pairs.0 {
            if read.contains(&key.as_str()) && values.insert(key, value.get()).is_some() {
                return Err(Rejection::DuplicateKey);
            }
        }
        Ok(Self(values))
    }

    fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn raw(&self, key: &str) -> Option<&'a str> {
        self.0.get(key).copied()
    }

    /// A string without escapes.
    fn text(&self, key: &str) -> Option<&'a str> {
        let inner = self.raw(key)?.strip_prefix('"')?.strip_suffix('"')?;
        (!inner.contains('\\')).then_some(inner)
    }

    fn integer(&self, key: &str) -> Option<u64> {
        integer(self.raw(key)?)
    }

    fn time(&self, key: &str) -> Option<Nanos> {
        let time = self.text(key).map_or_else(|| self.integer(key), integer)?;
        Some(Nanos(match time {
            0..=9_999_999_999_999 => time * 1_000_000,
            0..=9_999_999_999_999_999 => time * 1000,
            _ => time,
        }))
    }

    fn number(&self, key: &str, scale: u8) -> Result<i64, Rejection> {
        number(self.text(key).ok_or(Rejection::Field)?, scale)
    }
}

fn integer(text: &str) -> Option<u64> {
    let is_canonical = !text.starts_with('+') && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_canonical)
}

/// `i128` mantissa at `scale`; `floor` drops what is behind it.
fn decimal(text: &str, scale: u8, floor: bool) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let cut = fraction.len().min(usize::from(scale));
    if !floor && fraction[cut..].bytes().any(|byte| byte != b'0') {
        return None;
    }
    let padded = format!("{whole}{:0<width$}", &fraction[..cut], width = usize::from(scale));
    let trimmed = padded.trim_start_matches('0');
    if trimmed.len() > 30 {
        return None;
    }
    let value: i128 = if trimmed.is_empty() { 0 } else { trimmed.parse().unwrap() };
    i64::try_from(value).ok()
}

fn number(text: &str, scale: u8) -> Result<i64, Rejection> {
    if let Some(magnitude) = text.strip_prefix('-') {
        let is_number = decimal(magnitude, scale, false).is_some();
        return Err(if is_number { Rejection::NotPositive } else { Rejection::Malformed });
    }
    decimal(text, scale, false).ok_or(Rejection::Malformed)
}

fn mark_price(text: &str, scale: u8) -> Result<Price, Rejection> {
    if let Some(magnitude) = text.strip_prefix('-') {
        let is_number = decimal(magnitude, scale, true).is_some();
        return Err(if is_number { Rejection::NotPositive } else { Rejection::Malformed });
    }
    price(decimal(text, scale, true).ok_or(Rejection::Malformed)?)
}

fn price(mantissa: i64) -> Result<Price, Rejection> {
    if mantissa == 0 {
        return Err(Rejection::NotPositive);
    }
    Price::new(mantissa).map_err(|_| Rejection::Malformed)
}

fn quantity(mantissa: i64) -> Result<Qty, Rejection> {
    if mantissa == 0 {
        return Err(Rejection::NotPositive);
    }
    Qty::new(mantissa).map_err(|_| Rejection::Malformed)
}

fn rate(text: &str) -> Result<Rate, Rejection> {
    let (sign, magnitude) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let ppb = decimal(magnitude, 9, false).ok_or(Rejection::Malformed)?;
    Rate::new(sign * ppb).map_err(|_| Rejection::Malformed)
}

fn stamp(received: Nanos, update_id: u64, time: Option<Nanos>) -> Stamp {
    let lag = |time: Nanos| i128::from(received.0 / 1000) - i128::from(time.0 / 1000);
    let venue_lag_us = time.map_or(0, lag).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    Stamp { source: SOURCE, received, update_id, venue_lag_us, reset: false }
}

fn alive(received: Nanos) -> Vec<Tick> {
    vec![Tick::alive(stamp(received, 0, None))]
}

fn find(rows: &[Row], name: &str) -> Option<(InstrumentId, u8, u8)> {
    let at = rows.iter().position(|row| row.0 == name)?;
    Some((InstrumentId(at as u16), rows[at].1, rows[at].2))
}

const BINANCE_READ: &[&str] = &[
    "e",
    "u",
    "s",
    "b",
    "B",
    "a",
    "A",
    "E",
    "T",
    "p",
    "q",
    "m",
    "r",
    "X",
    "lastUpdateId",
    "result",
    "error",
    "code",
];

/// Binance: spot or futures.
pub fn binance(rows: &[Row], futures: bool, raw: &[u8], received: Nanos) -> Answer {
    let malformed = |reason| (Decoded::rejected(Kind::Malformed, reason), Vec::new());
    let outer_read = [BINANCE_READ, &["stream", "data"]].concat();
    let outer = match Object::parse(raw, &outer_read) {
        Ok(outer) => outer,
        Err(reason) => return malformed(reason),
    };
    let combined = outer.has("stream");
    let mut inner = None;
    if let Some(data) = outer.raw("data").filter(|data| data.starts_with('{')) {
        match Object::parse(data.as_bytes(), BINANCE_READ) {
            Ok(object) => inner = Some(object),
            Err(reason) => return malformed(reason),
        }
    }
    let empty = Object(HashMap::new());
    let fields = if combined { inner.as_ref().unwrap_or(&empty) } else { &outer };
    if let Some(answer) = binance_data(rows, futures, fields, received) {
        return answer;
    }
    if combined {
        if outer.text("stream") == Some("!serverShutdown") {
            return (Decoded::control(Kind::Shutdown), Vec::new());
        }
        return (Decoded::ignored(Kind::OtherData, Ignored::NotUsed), alive(received));
    }
    let decoded = if outer.has("error") || outer.has("code") {
        Decoded::control(Kind::Error)
    } else if outer.has("result") {
        Decoded::control(Kind::Ack)
    } else {
        Decoded::ignored(Kind::Unknown, Ignored::UnknownShape)
    };
    (decoded, Vec::new())
}

fn binance_data(
    rows: &[Row],
    futures: bool,
    fields: &Object<'_>,
    received: Nanos,
) -> Option<Answer> {
    let ignored = |kind, reason| Some((Decoded::ignored(kind, reason), alive(received)));
    if !fields.has("e") {
        let some_side = ["b", "B", "a", "A"].iter().any(|key| fields.has(key));
        if !futures && fields.has("s") && some_side {
            return Some(binance_quote(rows, fields, received));
        }
        if fields.has("lastUpdateId") {
            return ignored(Kind::Depth, Ignored::NotUsed);
        }
        return None;
    }
    match fields.text("e")? {
        "bookTicker" => Some(binance_quote(rows, fields, received)),
        "trade" | "aggTrade" => Some(one(rows, fields, Kind::Trade, received, |id, price, qty| {
            if fields.has("X") && fields.text("X") != Some("MARKET") {
                return Ok(Err(Ignored::NotMarket));
            }
            let at = fields.time("T").or(fields.time("E")).ok_or(Rejection::Field)?;
            let price = self::price(fields.number("p", price)?)?;
            let qty = quantity(fields.number("q", qty)?)?;
            let seller = match fields.raw("m") {
                Some("true") => true,
                Some("false") => false,
                _ => return Err(Rejection::Field),
            };
            Ok(Ok(vec![Tick::trade(id, stamp(received, 0, Some(at)), price, qty, !seller, at)]))
        })),
        "markPriceUpdate" if futures => {
            Some(one(rows, fields, Kind::Mark, received, |id, scale, _| {
                let stamp = stamp(received, 0, fields.time("E"));
                let price = mark_price(fields.text("p").ok_or(Rejection::Field)?, scale)?;
                let mut ticks = vec![Tick::mark(id, stamp, price)];
                if fields.has("r") {
                    let text = fields.text("r").ok_or(Rejection::Field)?;
                    if !text.is_empty() {
                        let rate = rate(text)?;
                        let settles = fields.time("T").ok_or(Rejection::Field)?;
                        ticks.push(Tick::funding(id, stamp, rate, settles));
                    }
                }
                Ok(Ok(ticks))
            }))
        }
        "serverShutdown" => Some((Decoded::control(Kind::Shutdown), Vec::new())),
        "blockTrade" => ignored(Kind::Trade, Ignored::BlockTrade),
        "depthUpdate" => ignored(Kind::Depth, Ignored::NotUsed),
        "kline" => ignored(Kind::Candle, Ignored::NotUsed),
        "24hrTicker" | "24hrMiniTicker" => ignored(Kind::Ticker, Ignored::NotUsed),
        "forceOrder" => ignored(Kind::Liquidation, Ignored::NotUsed),
        _ => ignored(Kind::OtherData, Ignored::NotUsed),
    }
}

/// A message of one symbol whose refusal says nothing of the symbol's price.
fn one(
    rows: &[Row],
    fields: &Object<'_>,
    kind: Kind,
    received: Nanos,
    ticks: impl Fn(InstrumentId, u8, u8) -> Result<Result<Vec<Tick>, Ignored>, Rejection>,
) -> Answer {
    let Some(name) = fields.text("s") else {
        return (Decoded::rejected(kind, Rejection::Field), alive(received));
    };
    let Some((id, price, qty)) = find(rows, name) else {
        return (Decoded::ignored(kind, Ignored::UnknownSymbol), alive(received));
    };
    match ticks(id, price, qty) {
        Ok(Ok(ticks)) => (Decoded::used(kind), ticks),
        Ok(Err(reason)) => (Decoded::ignored(kind, reason), alive(received)),
        Err(reason) => (Decoded::rejected(kind, reason), alive(received)),
    }
}

fn binance_quote(rows: &[Row], fields: &Object<'_>, received: Nanos) -> Answer {
    let Some(name) = fields.text("s") else {
        return (Decoded::rejected(Kind::Quote, Rejection::Field), alive(received));
    };
    let Some((id, price, qty)) = find(rows, name) else {
        return (Decoded::ignored(Kind::Quote, Ignored::UnknownSymbol), alive(received));
    };
    let update_id = fields.integer("u");
    let stamp = stamp(received, update_id.unwrap_or(0), fields.time("T").or(fields.time("E")));
    let quote = || {
        update_id.ok_or(Rejection::Field)?;
        let bid = fields.number("b", price)?;
        let bid_qty = fields.number("B", qty)?;
        let ask = fields.number("a", price)?;
        let ask_qty = fields.number("A", qty)?;
        Ok(Quote::new(bid, ask, bid_qty, ask_qty)?)
    };
    quote_answer(id, stamp, quote())
}

fn quote_answer(id: InstrumentId, stamp: Stamp, quote: Result<Quote, Rejection>) -> Answer {
    match quote {
        Ok(quote) => (Decoded::used(Kind::Quote), vec![Tick::quote(id, stamp, quote)]),
        Err(reason) => (
            Decoded::rejected(Kind::Quote, reason),
            vec![Tick::refused(id, stamp, reason.refusal())],
        ),
    }
}

/// Bybit: linear or spot, with what a connection remembers.
pub struct Bybit {
    rows: Vec<Row>,
    linear: bool,
    /// Update id, bids and asks: price and size of the one level.
    books: HashMap<InstrumentId, (u64, [Option<(i64, i64)>; 2])>,
    fundings: HashMap<InstrumentId, (Option<Rate>, Option<Nanos>)>,
}

const BYBIT_READ: &[&str] =
    &["topic", "type", "ts", "cts", "data", "op", "success", "ret_msg", "retCode"];

impl Bybit {
    pub fn new(rows: &[Row], linear: bool) -> Self {
        let (books, fundings) = (HashMap::new(), HashMap::new());
        Self { rows: rows.to_vec(), linear, books, fundings }
    }

    pub fn decode(&mut self, raw: &[u8], received: Nanos) -> Answer {
        let answer =
            Object::parse(raw, BYBIT_READ).and_then(|outer| self.message(&outer, received));
        answer.unwrap_or_else(|reason| (Decoded::rejected(Kind::Malformed, reason), Vec::new()))
    }

    fn message(&mut self, outer: &Object<'_>, received: Nanos) -> Result<Answer, Rejection> {
        let Some(topic) = outer.text("topic") else {
            return Ok((bybit_control(outer), Vec::new()));
        };
        let (stream, rest) = topic.split_once('.').unwrap_or((topic, ""));
        let data = outer.raw("data").unwrap_or("");
        let kind = match stream {
            "orderbook" => match rest.split_once('.').unwrap_or((rest, "")) {
                ("1", name) => return self.book(outer, data, name, received),
                _ => Kind::Depth,
            },
            "publicTrade" => return self.trades(data, received),
            "tickers" if self.linear => return self.ticker(outer, data, rest, received),
            "tickers" => Kind::Ticker,
            "kline" => Kind::Candle,
            "liquidation" | "allLiquidation" => Kind::Liquidation,
            _ => Kind::OtherData,
        };
        Ok((Decoded::ignored(kind, Ignored::NotUsed), alive(received)))
    }

    fn book(
        &mut self,
        outer: &Object<'_>,
        data: &str,
        name: &str,
        received: Nanos,
    ) -> Result<Answer, Rejection> {
        let field = (Decoded::rejected(Kind::Quote, Rejection::Field), alive(received));
        if !data.starts_with('{') {
            return Ok(field);
        }
        let data = Object::parse(data.as_bytes(), &["s", "b", "a", "u"])?;
        if data.text("s") != Some(name) {
            return Ok(field);
        }
        let Some((id, price, qty)) = find(&self.rows, name) else {
            let decoded = Decoded::ignored(Kind::Quote, Ignored::UnknownSymbol);
            return Ok((decoded, alive(received)));
        };
        let update_id = data.integer("u");
        let kind = outer.text("type");
        let mut stamp =
            stamp(received, update_id.unwrap_or(0), outer.time("cts").or(outer.time("ts")));
        stamp.reset = kind == Some("snapshot") && update_id == Some(1);
        let known = self.books.get(&id).copied();
        let sides = || Ok([levels(&data, "b", price, qty)?, levels(&data, "a", price, qty)?]);
        let book = match (kind, update_id) {
            (Some("snapshot"), Some(update_id)) => match sides() {
                Ok(sides) => {
                    let book =
                        sides.map(|levels| levels.first().copied().filter(|level| level.1 > 0));
                    if known.is_none_or(|known| update_id >= known.0 || update_id == 1) {
                        self.books.insert(id, (update_id, book));
                    }
                    Ok(book)
                }
                Err(reason) => Err(reason),
            },
            (Some("delta"), Some(update_id)) => match known {
                None => return Ok(quote_answer(id, stamp, Err(Rejection::NoSnapshot))),
                Some(known) if update_id < known.0 => {
                    return Ok((Decoded::ignored(Kind::Quote, Ignored::Older), alive(received)));
                }
                Some((_, book)) => sides().map(|sides| {
                    let bid = changed(book[0], &sides[0], |level| -level.0);
                    let ask = changed(book[1], &sides[1], |level| level.0);
                    self.books.insert(id, (update_id, [bid, ask]));
                    [bid, ask]
                }),
            },
            _ => Err(Rejection::Field),
        };
        if book.is_err() {
            self.books.remove(&id);
        }
        let quote = book.and_then(|book| match book {
            [Some(bid), Some(ask)] => Ok(Quote::new(bid.0, ask.0, bid.1, ask.1)?),
            _ => Err(Rejection::EmptySide),
        });
        Ok(quote_answer(id, stamp, quote))
    }

    fn trades(&self, data: &str, received: Nanos) -> Result<Answer, Rejection> {
        let rejected = |reason| (Decoded::rejected(Kind::Trade, reason), alive(received));
        let Ok(trades) = serde_json::from_str::<Vec<&RawValue>>(data) else {
            return Ok(rejected(Rejection::Field));
        };
        let mut ticks = Vec::new();
        let mut left_out = Ignored::Unchanged;
        for trade in trades {
            if !trade.get().starts_with('{') {
                return Ok(rejected(Rejection::Field));
            }
            let trade = Object::parse(trade.get().as_bytes(), &["T", "s", "S", "v", "p", "BT"])?;
            match self.trade(&trade, received) {
                Ok(Ok(tick)) => ticks.push(tick),
                Ok(Err(reason)) => left_out = reason,
                Err(reason) => return Ok(rejected(reason)),
            }
        }
        if ticks.is_empty() {
            return Ok((Decoded::ignored(Kind::Trade, left_out), alive(received)));
        }
        Ok((Decoded::used(Kind::Trade), ticks))
    }

    fn trade(
        &self,
        trade: &Object<'_>,
        received: Nanos,
    ) -> Result<Result<Tick, Ignored>, Rejection> {
        let name = trade.text("s").ok_or(Rejection::Field)?;
        let Some((id, price_scale, qty_scale)) = find(&self.rows, name) else {
            return Ok(Err(Ignored::UnknownSymbol));
        };
        match trade.raw("BT") {
            None | Some("false") => {}
            Some("true") => return Ok(Err(Ignored::BlockTrade)),
            Some(_) => return Err(Rejection::Field),
        }
        let buy = match trade.text("S") {
            Some("Buy") => true,
            Some("Sell") => false,
            _ => return Err(Rejection::Field),
        };
        let at = trade.time("T").ok_or(Rejection::Field)?;
        let price = price(trade.number("p", price_scale)?)?;
        let qty = quantity(trade.number("v", qty_scale)?)?;
        Ok(Ok(Tick::trade(id, stamp(received, 0, Some(at)), price, qty, buy, at)))
    }

    fn ticker(
        &mut self,
        outer: &Object<'_>,
        data: &str,
        name: &str,
        received: Nanos,
    ) -> Result<Answer, Rejection> {
        let rejected = |reason| (Decoded::rejected(Kind::Mark, reason), alive(received));
        if !data.starts_with('{') {
            return Ok(rejected(Rejection::Field));
        }
        let read = ["symbol", "markPrice", "fundingRate", "nextFundingTime"];
        let data = Object::parse(data.as_bytes(), &read)?;
        if data.text("symbol") != Some(name) {
            return Ok(rejected(Rejection::Field));
        }
        let Some((id, scale, _)) = find(&self.rows, name) else {
            let decoded = Decoded::ignored(Kind::Mark, Ignored::UnknownSymbol);
            return Ok((decoded, alive(received)));
        };
        let known = match outer.text("type") {
            Some("snapshot") => (None, None),
            Some("delta") => self.fundings.get(&id).copied().unwrap_or_default(),
            _ => return Ok(rejected(Rejection::Field)),
        };
        let stamp = stamp(received, 0, outer.time("cts").or(outer.time("ts")));
        let ticks = || {
            let mut ticks = Vec::new();
            let (mut rate, mut settles) = known;
            if data.has("markPrice") && data.text("markPrice") != Some("") {
                let text = data.text("markPrice").ok_or(Rejection::Field)?;
                ticks.push(Tick::mark(id, stamp, mark_price(text, scale)?));
            }
            if data.has("fundingRate") {
                let text = data.text("fundingRate").ok_or(Rejection::Field)?;
                rate = if text.is_empty() { None } else { Some(self::rate(text)?) };
            }
            if data.has("nextFundingTime") {
                settles = match data.text("nextFundingTime") {
                    Some("") => None,
                    _ => Some(data.time("nextFundingTime").ok_or(Rejection::Field)?)
                        .filter(|time| time.0 > 0),
                };
            }
            if (data.has("fundingRate") || data.has("nextFundingTime"))
                && let (Some(rate), Some(settles)) = (rate, settles)
            {
                ticks.push(Tick::funding(id, stamp, rate, settles));
            }
            Ok((ticks, (rate, settles)))
        };
        match ticks() {
            Err(reason) => Ok(rejected(reason)),
            Ok((ticks, funding)) => {
                self.fundings.insert(id, funding);
                if ticks.is_empty() {
                    let decoded = Decoded::ignored(Kind::Mark, Ignored::Unchanged);
                    return Ok((decoded, alive(received)));
                }
                Ok((Decoded::used(Kind::Mark), ticks))
            }
        }
    }
}

fn bybit_control(outer: &Object<'_>) -> Decoded {
    let accepted = match outer.raw("success") {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => outer.raw("retCode").map(|code| code == "0"),
    };
    let op = outer.text("op");
    if accepted == Some(false) {
        Decoded::control(Kind::Error)
    } else if op == Some("pong") || (op == Some("ping") && outer.text("ret_msg") == Some("pong")) {
        Decoded::control(Kind::Pong)
    } else if accepted == Some(true) && matches!(op, Some("subscribe" | "unsubscribe" | "auth")) {
        Decoded::control(Kind::Ack)
    } else {
        Decoded::ignored(Kind::Unknown, Ignored::UnknownShape)
    }
}

fn levels(data: &Object<'_>, side: &str, price: u8, qty: u8) -> Result<Vec<(i64, i64)>, Rejection> {
    let text = data.raw(side).ok_or(Rejection::Field)?;
    let rows: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| Rejection::Field)?;
    let level = |row: &&RawValue| {
        let row: Vec<&RawValue> = serde_json::from_str(row.get()).map_err(|_| Rejection::Field)?;
        let cell = |at: usize, scale| {
            let text = row.get(at).ok_or(Rejection::Field)?.get();
            let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            let inner = inner.filter(|text| !text.contains('\\')).ok_or(Rejection::Field)?;
            number(inner, scale)
        };
        let (price, size) = (cell(0, price)?, cell(1, qty)?);
        if price == 0 { Err(Rejection::NotPositive) } else { Ok((price, size)) }
    };
    rows.iter().map(level).collect()
}

/// One side of a book of one level after a change.
fn changed(
    old: Option<(i64, i64)>,
    change: &[(i64, i64)],
    rank: impl Fn(&(i64, i64)) -> i64,
) -> Option<(i64, i64)> {
    let set = change.iter().filter(|level| level.1 > 0).min_by_key(|level| rank(level)).copied();
    let removed = |old: &(i64, i64)| change.iter().any(|level| level.1 == 0 && level.0 == old.0);
    set.or(old.filter(|old| !removed(old)))
}
