//! Bybit, linear and spot.

use std::collections::HashMap;

use reap_core::instrument::InstrumentId;
use reap_core::tick::{Quote, Tick};
use reap_core::units::{Nanos, Rate};
use reap_feed::decoded::{Decoded, Ignored, Kind, Rejection};
use serde_json::value::RawValue;

use super::{
    Answer, Object, alive, find, mark_price, number, price, quantity, quote_answer, stamp,
};
use crate::support::Row;

/// Price and size.
type Level = (i64, i64);

/// Bybit: linear or spot, with what a connection remembers.
pub struct Bybit {
    rows: Vec<Row>,
    linear: bool,
    /// Update id, bids and asks: price and size of the one level.
    books: HashMap<InstrumentId, (u64, [Option<Level>; 2])>,
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
                rate = if text.is_empty() { None } else { Some(super::rate(text)?) };
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

fn levels(data: &Object<'_>, side: &str, price: u8, qty: u8) -> Result<Vec<Level>, Rejection> {
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
fn changed(old: Option<Level>, change: &[Level], rank: impl Fn(&Level) -> i64) -> Option<Level> {
    let set = change.iter().filter(|level| level.1 > 0).min_by_key(|level| rank(level)).copied();
    let removed = |old: &Level| change.iter().any(|level| level.1 == 0 && level.0 == old.0);
    set.or(old.filter(|old| !removed(old)))
}
