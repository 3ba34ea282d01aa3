//! Requests as bytes. What is signed is what is written, once.

use reap_core::order::{Order, OrderSide};

use crate::trading::text::{SignedParams, push_decimal, push_encoded, push_head, push_integer};
use crate::trading::{Keys, TradingInstrument};

/// How late a request may arrive; the venue's default.
const RECV_WINDOW_MS: u64 = 5000;

/// `order.place`: the params in alphabetical order, as they are signed.
pub(super) fn place(
    out: &mut String,
    keys: &Keys,
    request: u64,
    wall_ms: u64,
    order: &Order,
    of: &TradingInstrument,
) {
    use std::fmt::Write as _;

    envelope(out, request, "order.place");
    let spec = of.instrument.spec();
    let mut params = SignedParams::new(out, keys.signer());
    params.text("apiKey", |out| out.push_str(keys.key()));
    params.text("newClientOrderId", |out| {
        write!(out, "{}", order.id).expect("a string takes everything");
    });
    params.text("newOrderRespType", |out| out.push_str("ACK"));
    if let Some(limit) = order.limit {
        params.text("price", |out| push_decimal(out, limit.raw().unsigned_abs(), spec.price_scale));
    }
    params.text("quantity", |out| {
        push_decimal(out, order.qty.raw().unsigned_abs(), spec.qty_scale);
    });
    params.number("recvWindow", RECV_WINDOW_MS);
    if order.reduce_only {
        params.text("reduceOnly", |out| out.push_str("true"));
    }
    params.text("side", |out| {
        out.push_str(match order.side {
            OrderSide::Buy => "BUY",
            OrderSide::Sell => "SELL",
        });
    });
    params.text("symbol", |out| out.push_str(&of.symbol));
    if order.limit.is_some() {
        params.text("timeInForce", |out| out.push_str("IOC"));
    }
    params.number("timestamp", wall_ms);
    let kind = if order.limit.is_some() { "LIMIT" } else { "MARKET" };
    params.text("type", |out| out.push_str(kind));
    params.finish();
    out.push('}');
}

/// `userDataStream.start`: needs the key, no signature.
pub(super) fn start_stream(out: &mut String, keys: &Keys, request: u64) {
    stream_request(out, keys, request, "userDataStream.start");
}

/// `userDataStream.ping`.
pub(super) fn ping_stream(out: &mut String, keys: &Keys, request: u64) {
    stream_request(out, keys, request, "userDataStream.ping");
}

fn stream_request(out: &mut String, keys: &Keys, request: u64, method: &str) {
    envelope(out, request, method);
    out.push_str("{\"apiKey\":\"");
    out.push_str(keys.key());
    out.push_str("\"}}");
}

fn envelope(out: &mut String, request: u64, method: &str) {
    out.push_str("{\"id\":\"");
    push_integer(out, request);
    out.push_str("\",\"method\":\"");
    out.push_str(method);
    out.push_str("\",\"params\":");
}

/// A signed GET: `write` writes the query's own part.
fn signed_get(
    out: &mut String,
    keys: &Keys,
    host: &str,
    wall_ms: u64,
    path: &str,
    write: impl FnOnce(&mut String),
) {
    out.push_str("GET ");
    out.push_str(path);
    out.push('?');
    let start = out.len();
    write(out);
    if out.len() > start {
        out.push('&');
    }
    out.push_str("recvWindow=");
    push_integer(out, RECV_WINDOW_MS);
    out.push_str("&timestamp=");
    push_integer(out, wall_ms);
    let mut signer = keys.signer();
    signer.update(&out[start..]);
    out.push_str("&signature=");
    signer.finish(out);
    push_head(out, host, &[("X-MBX-APIKEY", keys.key())]);
}

/// Where an order stands, by its client id.
pub(super) fn status(
    out: &mut String,
    keys: &Keys,
    host: &str,
    wall_ms: u64,
    symbol: &str,
    id: reap_core::order::ClientOrderId,
) {
    use std::fmt::Write as _;

    signed_get(out, keys, host, wall_ms, "/fapi/v1/order", |out| {
        out.push_str("symbol=");
        push_encoded(out, symbol);
        write!(out, "&origClientOrderId={id}").expect("a string takes everything");
    });
}

/// The trades of an order.
pub(super) fn trades(
    out: &mut String,
    keys: &Keys,
    host: &str,
    wall_ms: u64,
    symbol: &str,
    order_id: u64,
) {
    signed_get(out, keys, host, wall_ms, "/fapi/v1/userTrades", |out| {
        out.push_str("symbol=");
        push_encoded(out, symbol);
        out.push_str("&orderId=");
        push_integer(out, order_id);
        out.push_str("&limit=1000");
    });
}

/// All positions; version 3 leaves flat ones out.
pub(super) fn positions(out: &mut String, keys: &Keys, host: &str, wall_ms: u64) {
    signed_get(out, keys, host, wall_ms, "/fapi/v3/positionRisk", |_| {});
}
