//! Orders and what venues say of them.

use core::fmt;

use crate::instrument::{AccountId, InstrumentId};
use crate::position::PositionId;
use crate::units::{Price, Qty};

/// Which way an order trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderSide {
    /// Closes a short leg.
    Buy,
    /// Closes a long leg.
    Sell,
}

/// A client order id: a function of (instance epoch, position, leg, plan, attempt), so that it is
/// unique and can be computed again. Printed as 24 characters of `[0-9a-v]`, which every venue takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientOrderId {
    /// Run of the process.
    pub epoch: u16,
    /// The position.
    pub position: PositionId,
    /// Index of the leg.
    pub leg: u8,
    /// Number of the position's plan.
    pub plan: u16,
    /// Number of the leg's attempt within the plan.
    pub attempt: u16,
}

impl ClientOrderId {
    const fn bits(self) -> u128 {
        (self.epoch as u128) << 72
            | (self.position.0 as u128) << 40
            | (self.leg as u128) << 32
            | (self.plan as u128) << 16
            | self.attempt as u128
    }
}

impl fmt::Display for ClientOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
        let bits = self.bits();
        f.write_str("reap-")?;
        for place in (0..18).rev() {
            let digit = DIGITS[(bits >> (place * 5)) as usize & 31];
            fmt::Write::write_char(f, char::from(digit))?;
        }
        Ok(())
    }
}

/// An order to be sent: immediate or cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: ClientOrderId,
    /// Where.
    pub account: AccountId,
    /// What.
    pub instrument: InstrumentId,
    /// Which way.
    pub side: OrderSide,
    /// How much: whole lots.
    pub qty: Qty,
    /// Worst price, on the tick grid; `None` is a market order.
    pub limit: Option<Price>,
    /// May only reduce the holding, where the venue knows that.
    pub reduce_only: bool,
}

/// What the venue said of an order. Silence is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderEvent {
    /// Which order.
    pub id: ClientOrderId,
    /// What.
    pub what: OrderChange,
}

/// A change of an order at its venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderChange {
    /// Taken by the venue.
    Acked,
    /// Filled in part or whole.
    Filled {
        /// The venue's id of the trade: counted once.
        trade_id: u64,
        /// Fill price.
        price: Price,
        /// Filled quantity of this trade.
        qty: Qty,
        /// Fee of this trade at the instrument's nano scale; negative is a rebate.
        fee: i128,
    },
    /// Terminal: what was not filled is cancelled (immediate or cancel, or by the venue).
    Expired,
    /// Terminal: refused before it traded.
    Rejected(RejectClass),
}

/// Why a venue refused an order: what the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RejectClass {
    /// Price outside the venue's band or off the grid: price it again.
    Price,
    /// Quantity below the minimum, off the grid, or more than is held: size it again.
    Size,
    /// Too many requests: later.
    RateLimit,
    /// The venue is not taking orders: later.
    Unavailable,
    /// Anything that the same order would meet again.
    Fatal,
}
