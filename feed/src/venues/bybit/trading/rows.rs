//! Orders and executions, which the stream and the REST interface write alike.

use reap_core::order::ClientOrderId;
use reap_core::units::{Nanos, Qty};

use super::codes;
use crate::json::{JsonError, Token};
use crate::trading::desk::Desk;
use crate::trading::fills::{FillTokens, quantity, side};
use crate::trading::orders::{End, Identity, Status};
use crate::trading::text::fnv64;
use crate::trading::walk;

/// One of our client ids.
pub(super) fn client_id(raw: &[u8], token: Token) -> Option<ClientOrderId> {
    ClientOrderId::parse(std::str::from_utf8(token.string(raw)?).ok()?)
}

/// An order as a row tells it.
pub(super) struct OrderRow {
    pub(super) identity: Identity,
    pub(super) status: Status,
}

/// Reads an order's row; `None` when it is not ours.
pub(super) fn order(raw: &[u8], row: Token, desk: &Desk) -> Result<Option<OrderRow>, JsonError> {
    let keys = [
        "category",
        "symbol",
        "orderId",
        "orderLinkId",
        "side",
        "orderStatus",
        "rejectReason",
        "qty",
        "cumExecQty",
    ];
    let [category, symbol, order_id, client, side_of, status, reason, qty, executed] =
        walk::object(raw, row, keys)?;
    let (Some(id), Some(at)) = (client_id(raw, client), desk.symbol(symbol.string(raw))) else {
        return Ok(None);
    };
    // Rows of the REST interface have their category beside the list.
    if category.is_present() && category.string(raw) != Some(b"linear") {
        return Ok(None);
    }
    let of = &desk.instruments[at];
    let identity = Identity {
        id,
        instrument: of.id,
        side: Some(side(side_of.string(raw)).ok_or(JsonError::Syntax)?),
        venue_id: fnv64(order_id.string(raw).ok_or(JsonError::Syntax)?),
    };
    let qty = quantity(raw, qty, of).ok_or(JsonError::Syntax)?;
    let executed = quantity(raw, executed, of).ok_or(JsonError::Syntax)?;
    let reason = reason.string(raw).unwrap_or_default();
    let status = status_of(status.string(raw), reason, qty, executed).ok_or(JsonError::Syntax)?;
    Ok(Some(OrderRow { identity, status }))
}

fn status_of(text: Option<&[u8]>, reason: &[u8], qty: Qty, executed: Qty) -> Option<Status> {
    let end = match text? {
        b"New" | b"PartiallyFilled" | b"Untriggered" | b"Triggered" => {
            return Some(Status::Live { qty, executed });
        }
        b"Filled" => End::Filled,
        b"Cancelled" | b"PartiallyFilledCanceled" | b"Deactivated" => End::Expired,
        b"Rejected" => codes::rejected(reason).map_or(End::Expired, End::Rejected),
        _ => return None,
    };
    Some(Status::Ended { end, qty, executed })
}

/// Takes an execution's row: a trade of one of our orders becomes a fill. The trade id is the
/// FNV-1a hash of the textual `execId`.
pub(super) fn execution(
    desk: &mut Desk,
    now: Nanos,
    raw: &[u8],
    row: Token,
) -> Result<(), JsonError> {
    let keys = [
        "category",
        "symbol",
        "orderId",
        "orderLinkId",
        "side",
        "execId",
        "execType",
        "execPrice",
        "execQty",
        "execFee",
        "feeCurrency",
        "isMaker",
    ];
    let [
        category,
        symbol,
        order_id,
        client,
        side_of,
        exec,
        kind,
        price,
        qty,
        fee,
        fee_asset,
        maker,
    ] = walk::object(raw, row, keys)?;
    if kind.string(raw) != Some(b"Trade")
        || (category.is_present() && category.string(raw) != Some(b"linear"))
    {
        desk.orders.counters.ignored += 1;
        return Ok(());
    }
    let id = client_id(raw, client).filter(|id| desk.orders.get(*id).is_some());
    let (Some(id), Some(at)) = (id, desk.symbol(symbol.string(raw))) else {
        desk.orders.counters.foreign += 1;
        return Ok(());
    };
    let of = &desk.instruments[at];
    let identity = Identity {
        id,
        instrument: of.id,
        side: Some(side(side_of.string(raw)).ok_or(JsonError::Syntax)?),
        venue_id: fnv64(order_id.string(raw).ok_or(JsonError::Syntax)?),
    };
    let exec = exec.string(raw).filter(|exec| !exec.is_empty()).ok_or(JsonError::Syntax)?;
    let maker = maker.boolean() == Some(true);
    let tokens = FillTokens { trade_id: fnv64(exec), price, qty, fee, fee_asset, maker };
    if let Some(fill) = tokens.read(raw, of, &mut desk.orders.counters) {
        desk.orders.on_fill(now, &identity, &fill);
    }
    Ok(())
}

/// Gives an order's row of the stream to the table.
pub(super) fn on_order(desk: &mut Desk, now: Nanos, row: &OrderRow) {
    match row.status {
        Status::Live { .. } => desk.orders.on_taken(now, &row.identity),
        Status::Ended { end, executed, .. } => {
            desk.orders.on_end(now, &row.identity, end, executed);
        }
    }
}
