//! Requests as bytes. What is signed is what is written, once.

use std::fmt::Write as _;

use reap_core::order::{ClientOrderId, Order, OrderSide};

use crate::trading::text::{push_decimal, push_encoded, push_head, push_integer};
use crate::trading::{Keys, TradingInstrument};

/// How late a request may arrive; the venue's default.
const RECV_WINDOW: &str = "5000";
/// Executions of one page, the most that the venue gives.
pub(super) const PAGE_ROWS: u64 = 100;
/// For how long a login's signature holds.
const LOGIN_MS: u64 = 10_000;

/// `order.create`. The socket is logged in, so nothing is signed.
pub(super) fn place(
    out: &mut String,
    request: u64,
    wall_ms: u64,
    order: &Order,
    of: &TradingInstrument,
) {
    let spec = of.instrument.spec();
    out.push_str("{\"reqId\":\"");
    push_integer(out, request);
    out.push_str("\",\"header\":{\"X-BAPI-TIMESTAMP\":\"");
    push_integer(out, wall_ms);
    out.push_str("\",\"X-BAPI-RECV-WINDOW\":\"");
    out.push_str(RECV_WINDOW);
    out.push_str("\"},\"op\":\"order.create\",\"args\":[{\"category\":\"linear\",\"symbol\":\"");
    out.push_str(&of.symbol);
    out.push_str("\",\"side\":\"");
    out.push_str(match order.side {
        OrderSide::Buy => "Buy",
        OrderSide::Sell => "Sell",
    });
    out.push_str("\",\"orderType\":\"");
    out.push_str(if order.limit.is_some() { "Limit" } else { "Market" });
    out.push_str("\",\"qty\":\"");
    push_decimal(out, order.qty.raw().unsigned_abs(), spec.qty_scale);
    if let Some(limit) = order.limit {
        out.push_str("\",\"price\":\"");
        push_decimal(out, limit.raw().unsigned_abs(), spec.price_scale);
        out.push_str("\",\"timeInForce\":\"IOC");
    }
    out.push('"');
    if order.reduce_only {
        out.push_str(",\"reduceOnly\":true");
    }
    // One-way mode.
    out.push_str(",\"positionIdx\":0,\"orderLinkId\":\"");
    write!(out, "{}", order.id).expect("a string takes everything");
    out.push_str("\"}]}");
}

/// `auth`, the same on both sockets but for the name of the request's id.
pub(super) fn login(out: &mut String, keys: &Keys, id_name: &str, request: u64, wall_ms: u64) {
    out.push_str("{\"");
    out.push_str(id_name);
    out.push_str("\":\"");
    push_integer(out, request);
    out.push_str("\",\"op\":\"auth\",\"args\":[\"");
    out.push_str(keys.key());
    out.push_str("\",");
    let start = out.len();
    push_integer(out, wall_ms + LOGIN_MS);
    let mut signer = keys.signer();
    signer.update("GET/realtime");
    signer.update(&out[start..]);
    out.push_str(",\"");
    signer.finish(out);
    out.push_str("\"]}");
}

/// The private topics.
pub(super) fn subscribe(out: &mut String, request: u64) {
    out.push_str("{\"req_id\":\"");
    push_integer(out, request);
    out.push_str("\",\"op\":\"subscribe\",\"args\":[\"order\",\"execution\"]}");
}

/// A heartbeat.
pub(super) fn ping(out: &mut String, id_name: &str, request: u64) {
    out.push_str("{\"");
    out.push_str(id_name);
    out.push_str("\":\"");
    push_integer(out, request);
    out.push_str("\",\"op\":\"ping\"}");
}

/// A signed GET: `write` writes the query behind the category.
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
    out.push_str("category=linear");
    write(out);
    let mut time = String::new();
    push_integer(&mut time, wall_ms);
    let mut signer = keys.signer();
    for part in [time.as_str(), keys.key(), RECV_WINDOW, &out[start..]] {
        signer.update(part);
    }
    let mut signature = String::new();
    signer.finish(&mut signature);
    let headers = [
        ("X-BAPI-API-KEY", keys.key()),
        ("X-BAPI-TIMESTAMP", time.as_str()),
        ("X-BAPI-RECV-WINDOW", RECV_WINDOW),
        ("X-BAPI-SIGN", signature.as_str()),
    ];
    push_head(out, host, &headers);
}

fn push_order(out: &mut String, symbol: &str, id: ClientOrderId) {
    out.push_str("&symbol=");
    push_encoded(out, symbol);
    write!(out, "&orderLinkId={id}").expect("a string takes everything");
}

/// Where an order stands: among the recent ones, or in the history.
pub(super) fn status(
    out: &mut String,
    keys: &Keys,
    host: &str,
    wall_ms: u64,
    (symbol, id, history): (&str, ClientOrderId, bool),
) {
    let path = if history { "/v5/order/history" } else { "/v5/order/realtime" };
    signed_get(out, keys, host, wall_ms, path, |out| push_order(out, symbol, id));
}

/// A page of an order's executions. The cursor stands in the query as the venue gave it, which is
/// percent-encoded.
pub(super) fn trades(
    out: &mut String,
    keys: &Keys,
    host: &str,
    wall_ms: u64,
    (symbol, id, cursor): (&str, ClientOrderId, &str),
) {
    signed_get(out, keys, host, wall_ms, "/v5/execution/list", |out| {
        push_order(out, symbol, id);
        out.push_str("&limit=");
        push_integer(out, PAGE_ROWS);
        if !cursor.is_empty() {
            out.push_str("&cursor=");
            out.push_str(cursor);
        }
    });
}

/// The position of one symbol, which has a row even when it is flat.
pub(super) fn position(out: &mut String, keys: &Keys, host: &str, wall_ms: u64, symbol: &str) {
    signed_get(out, keys, host, wall_ms, "/v5/position/list", |out| {
        out.push_str("&symbol=");
        push_encoded(out, symbol);
    });
}
