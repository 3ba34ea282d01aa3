//! Binance, spot and futures.

use std::collections::HashMap;

use reap_core::instrument::InstrumentId;
use reap_core::tick::{Quote, Tick};
use reap_core::units::Nanos;
use reap_feed::decoded::{Decoded, Ignored, Kind, Rejection};

use super::{Answer, Object, alive, find, mark_price, quantity, quote_answer, rate, stamp};
use crate::support::Row;

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
            let price = super::price(fields.number("p", price)?)?;
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
