//! The private stream.

use reap_core::units::Nanos;

use super::answers::{client_id, status_end};
use crate::json::{JsonError, Token};
use crate::trading::desk::Desk;
use crate::trading::fills::{FillTokens, quantity, side};
use crate::trading::orders::Identity;
use crate::trading::walk;

/// What a message says of the stream itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Stands,
    /// The listen key has expired: nothing will come any more.
    Expired,
}

/// One message. `TRADE_LITE` tells fills a second time, without their fees: ignored.
pub(super) fn on_message(desk: &mut Desk, now: Nanos, raw: &[u8]) -> Stream {
    match event(raw) {
        Ok((kind, order)) => match kind.string(raw) {
            Some(b"ORDER_TRADE_UPDATE") => {
                if on_order(desk, now, raw, order).is_err() {
                    desk.orders.counters.malformed += 1;
                }
            }
            Some(b"listenKeyExpired") => return Stream::Expired,
            _ => desk.orders.counters.ignored += 1,
        },
        Err(_) => desk.orders.counters.malformed += 1,
    }
    Stream::Stands
}

/// Type and order of an event, bare or wrapped as `{"stream":…,"data":{…}}`.
fn event(raw: &[u8]) -> Result<(Token, Token), JsonError> {
    let [kind, order, data] = walk::message(raw, ["e", "o", "data"])?;
    if kind.is_present() || !data.is_object() {
        return Ok((kind, order));
    }
    let [kind, order] = walk::object(raw, data, ["e", "o"])?;
    Ok((kind, order))
}

fn on_order(desk: &mut Desk, now: Nanos, raw: &[u8], order: Token) -> Result<(), JsonError> {
    let keys = ["s", "c", "S", "x", "X", "i", "z", "t", "L", "l", "n", "N", "m"];
    let [
        symbol,
        client,
        side_of,
        what,
        status,
        order_id,
        executed,
        trade,
        price,
        qty,
        fee,
        asset,
        maker,
    ] = walk::object(raw, order, keys)?;
    let (Some(id), Some(at)) = (client_id(raw, client), desk.symbol(symbol.string(raw))) else {
        desk.orders.counters.foreign += 1;
        return Ok(());
    };
    let venue_id = order_id.integer(raw).ok_or(JsonError::Syntax)?;
    let of = &desk.instruments[at];
    let side = side(side_of.string(raw));
    let identity = Identity { id, instrument: of.id, side, venue_id };
    if side.is_none() {
        return Err(JsonError::Syntax);
    }
    let executed = quantity(raw, executed, of).ok_or(JsonError::Syntax)?;
    if what.string(raw) == Some(b"TRADE") {
        let trade_id = trade.integer(raw).ok_or(JsonError::Syntax)?;
        let maker = maker.boolean() == Some(true);
        let tokens = FillTokens { trade_id, price, qty, fee, fee_asset: asset, maker };
        // A fill of an order that is not ours is not worth counting as inexact.
        if desk.orders.get(id).is_none() {
            desk.orders.counters.foreign += 1;
            return Ok(());
        }
        if let Some(fill) = tokens.read(raw, of, &mut desk.orders.counters) {
            desk.orders.on_fill(now, &identity, &fill);
        }
        // Filled to the last lot by what was given: it has left the table.
        if desk.orders.get(id).is_none() {
            return Ok(());
        }
    }
    match status.string(raw) {
        Some(b"NEW" | b"PARTIALLY_FILLED" | b"PENDING_NEW") => {
            desk.orders.on_taken(now, &identity);
        }
        text => match status_end(text) {
            Some(end) => desk.orders.on_end(now, &identity, end, executed),
            None => desk.orders.counters.ignored += 1,
        },
    }
    Ok(())
}
