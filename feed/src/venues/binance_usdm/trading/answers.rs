//! Answers of the REST interface.

use reap_core::order::{ClientOrderId, RejectClass};
use reap_core::units::Nanos;

use super::{code_of, codes};
use crate::decimal;
use crate::json::{JsonError, Token};
use crate::trading::RefusedWhat;
use crate::trading::desk::{Ask, Desk};
use crate::trading::fills::{FillTokens, quantity, side};
use crate::trading::orders::{End, Identity, Status};
use crate::trading::walk;

/// One of our client ids.
pub(super) fn client_id(raw: &[u8], token: Token) -> Option<ClientOrderId> {
    ClientOrderId::parse(std::str::from_utf8(token.string(raw)?).ok()?)
}

/// How an order of this status ended.
pub(super) fn status_end(text: Option<&[u8]>) -> Option<End> {
    match text? {
        b"FILLED" => Some(End::Filled),
        b"CANCELED" | b"EXPIRED" | b"EXPIRED_IN_MATCH" => Some(End::Expired),
        b"REJECTED" => Some(End::Rejected(RejectClass::Fatal)),
        _ => None,
    }
}

/// The answer to the question under way.
pub(super) fn on_response(desk: &mut Desk, now: Nanos, status: u16, body: &[u8]) {
    let Some(ask) = desk.take_ask() else { return };
    if status != 200 {
        on_error(desk, now, ask, status, body);
        return;
    }
    let read = match ask {
        Ask::Status { id, .. } => on_status(desk, now, id, body),
        Ask::Trades { id, .. } => on_trades(desk, now, id, body),
        Ask::Position { .. } => on_positions(desk, body),
    };
    if read.is_err() {
        desk.orders.counters.malformed += 1;
        desk.failed(now, ask, 0);
    }
}

fn on_error(desk: &mut Desk, now: Nanos, ask: Ask, status: u16, body: &[u8]) {
    let code = walk::message(body, ["code"]).map_or(0, |[code]| code_of(body, code));
    match ask {
        Ask::Status { id, .. } if code == codes::NO_SUCH_ORDER => {
            desk.orders.on_not_found(now, id);
            return;
        }
        _ => {}
    }
    if let Some(what) = codes::alarm(code) {
        desk.refuse(what, code);
    }
    desk.failed(now, ask, if code == 0 { i64::from(status) } else { code });
}

fn on_status(desk: &mut Desk, now: Nanos, id: ClientOrderId, raw: &[u8]) -> Result<(), JsonError> {
    let keys = ["symbol", "clientOrderId", "orderId", "side", "status", "origQty", "executedQty"];
    let [symbol, client, order_id, side_of, status, qty, executed] = walk::message(raw, keys)?;
    let at = desk.symbol(symbol.string(raw)).ok_or(JsonError::Syntax)?;
    if client_id(raw, client) != Some(id) {
        return Err(JsonError::Syntax);
    }
    let of = &desk.instruments[at];
    let identity = Identity {
        id,
        instrument: of.id,
        side: Some(side(side_of.string(raw)).ok_or(JsonError::Syntax)?),
        venue_id: order_id.integer(raw).ok_or(JsonError::Syntax)?,
    };
    let qty = quantity(raw, qty, of).ok_or(JsonError::Syntax)?;
    let executed = quantity(raw, executed, of).ok_or(JsonError::Syntax)?;
    let text = status.string(raw);
    let status = match status_end(text) {
        Some(end) => Status::Ended { end, qty, executed },
        None if matches!(text, Some(b"NEW" | b"PARTIALLY_FILLED" | b"PENDING_NEW")) => {
            Status::Live { qty, executed }
        }
        None => return Err(JsonError::Syntax),
    };
    desk.orders.on_status(now, &identity, status);
    Ok(())
}

fn on_trades(desk: &mut Desk, now: Nanos, id: ClientOrderId, raw: &[u8]) -> Result<(), JsonError> {
    let keys = [
        "symbol",
        "orderId",
        "side",
        "id",
        "price",
        "qty",
        "commission",
        "commissionAsset",
        "maker",
    ];
    walk::message_rows(raw, |row| {
        let [symbol, order_id, side_of, trade, price, qty, fee, fee_asset, maker] =
            walk::object(raw, row, keys)?;
        let order_id = order_id.integer(raw).ok_or(JsonError::Syntax)?;
        let at = desk.symbol(symbol.string(raw)).ok_or(JsonError::Syntax)?;
        let trade_id = trade.integer(raw).ok_or(JsonError::Syntax)?;
        let side = Some(side(side_of.string(raw)).ok_or(JsonError::Syntax)?);
        // The order ended by an earlier row.
        if desk.orders.get(id).is_none() {
            return Ok(());
        }
        let of = &desk.instruments[at];
        let maker = maker.boolean() == Some(true);
        let tokens = FillTokens { trade_id, price, qty, fee, fee_asset, maker };
        let identity = Identity { id, instrument: of.id, side, venue_id: order_id };
        if let Some(fill) = tokens.read(raw, of, &mut desk.orders.counters) {
            desk.orders.on_fill(now, &identity, &fill);
        }
        Ok(())
    })?;
    desk.orders.on_trades_end(now, id);
    Ok(())
}

/// All or nothing: an answer that is not understood to its end says nothing of any position.
fn on_positions(desk: &mut Desk, raw: &[u8]) -> Result<(), JsonError> {
    let mut found = Vec::with_capacity(desk.instruments.len());
    let mut hedged = false;
    walk::message_rows(raw, |row| {
        let keys = ["symbol", "positionSide", "positionAmt"];
        let [symbol, position_side, amount] = walk::object(raw, row, keys)?;
        let symbol = symbol.string(raw).ok_or(JsonError::Syntax)?;
        let Some(at) = desk.symbol(Some(symbol)) else { return Ok(()) };
        match position_side.string(raw) {
            Some(b"BOTH") => {}
            Some(b"LONG" | b"SHORT") => hedged = true,
            _ => return Err(JsonError::Syntax),
        }
        let scale = desk.instruments[at].instrument.spec().qty_scale;
        let amount = amount.string(raw).ok_or(JsonError::Syntax)?;
        let qty = decimal::parse_signed(amount, scale).map_err(|_| JsonError::Syntax)?;
        if found.iter().any(|(known, _)| *known == at) && !hedged {
            return Err(JsonError::DuplicateKey);
        }
        found.push((at, qty));
        Ok(())
    })?;
    if hedged {
        desk.refuse(RefusedWhat::PositionMode, 0);
        return Err(JsonError::Syntax);
    }
    for (at, qty) in found {
        desk.on_position(at, qty);
    }
    desk.rest_is_flat();
    desk.finish_positions();
    Ok(())
}
