//! Orders and what venues say of them.

use core::fmt;

use crate::entry::TaskId;
use crate::instrument::{AccountId, InstrumentId};
use crate::position::PositionId;
use crate::units::{Nanos, Price, Qty};

/// Which way an order trades.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderSide {
    /// Closes a short leg.
    Buy,
    /// Closes a long leg.
    Sell,
}

/// A client order id: a function of (instance epoch, position, leg, plan, attempt), so that it is
/// unique and can be computed again. Printed as 26 characters, `reap-` and 21 digits of `[0-9a-v]`,
/// which every venue takes (Binance and Bybit allow 36).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientOrderId {
    /// Run of the process.
    pub epoch: u16,
    /// The position.
    pub position: PositionId,
    /// Index of the leg.
    pub leg: u8,
    /// Number of the plan among those of the position's slot. A rule that misses once a second
    /// uses up sixteen bits within a day, hence thirty-two.
    pub plan: u32,
    /// Number of the leg's attempt within the plan.
    pub attempt: u16,
}

const ID_PREFIX: &str = "reap-";
const ID_DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
const ID_DIGITS_COUNT: usize = 21;
/// Bits of an id's fields together; what its digits must hold.
const ID_BITS: usize = 16 + 32 + 8 + 32 + 16;
const _: () = assert!(ID_DIGITS_COUNT * 5 >= ID_BITS);
const _: () = assert!(ID_PREFIX.len() + ID_DIGITS_COUNT <= 36);

impl ClientOrderId {
    /// The fields side by side: equal only for equal ids.
    #[must_use]
    pub const fn bits(self) -> u128 {
        (self.epoch as u128) << 88
            | (self.position.0 as u128) << 56
            | (self.leg as u128) << 48
            | (self.plan as u128) << 16
            | self.attempt as u128
    }

    /// Whether it is of an entry: then the position's number is that of the task.
    #[must_use]
    pub const fn is_entry(self) -> bool {
        self.leg >= crate::enter::ENTRY_ID
    }

    /// Of an entry: under which number it goes, and which of its legs; `None` of a position.
    #[must_use]
    pub const fn entry(self) -> Option<(TaskId, u8)> {
        match self.leg.checked_sub(crate::enter::ENTRY_ID) {
            Some(leg) => {
                Some((TaskId(self.position.0 as u16), leg % crate::entry::ENTRY_LEGS_MAX as u8))
            }
            None => None,
        }
    }

    /// The id that prints as `text`; `None` when that is not one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(ID_PREFIX)?.as_bytes();
        if digits.len() != ID_DIGITS_COUNT {
            return None;
        }
        let mut bits = 0u128;
        for digit in digits {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'v' => digit - b'a' + 10,
                _ => return None,
            };
            bits = bits << 5 | u128::from(value);
        }
        if bits >> ID_BITS != 0 {
            return None;
        }
        Some(Self {
            epoch: (bits >> 88) as u16,
            position: PositionId((bits >> 56) as u32),
            leg: (bits >> 48) as u8,
            plan: (bits >> 16) as u32,
            attempt: bits as u16,
        })
    }
}

impl fmt::Display for ClientOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits();
        f.write_str(ID_PREFIX)?;
        for place in (0..ID_DIGITS_COUNT).rev() {
            let digit = ID_DIGITS[(bits >> (place * 5)) as usize & 31];
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

impl OrderEvent {
    /// What an executor is told of an order that did not leave our hands, whatever kept it: certain,
    /// and it may go later.
    #[must_use]
    pub const fn not_sent(id: ClientOrderId) -> Self {
        Self { id, what: OrderChange::Rejected(RejectClass::Unavailable) }
    }
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
    /// Nobody can say what became of it: no answer in time, a connection that was lost after it
    /// was handed out, an answer that does not say whether it was taken. It may still trade.
    Doubted,
    /// The venue was asked for it and has no such order.
    NotFound,
}

/// Where an order stands, on evidence: see [`crate::protocol`]. Silence changes nothing: an order
/// that nobody speaks of stays as it is and keeps its reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderState {
    /// Handed out; nothing heard.
    Sent,
    /// Taken by the venue.
    Acked,
    /// Filled in part; may still trade.
    PartiallyFilled,
    /// Its fate is not known: it may still trade, and may never have arrived.
    Unknown {
        /// How often its venue has said that it has no such order, up to
        /// [`crate::protocol::NOT_FOUNDS`].
        not_found: u8,
    },
    /// Terminal: filled to the last lot.
    Filled,
    /// Terminal: the rest is cancelled.
    Expired,
    /// Terminal: refused.
    Rejected(RejectClass),
    /// Terminal: proven never to have reached its venue, or to have ended there unheard; what it
    /// traded by then is in the holding that was read.
    Dead,
}

impl OrderState {
    /// Whether the order may still trade.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Sent | Self::Acked | Self::PartiallyFilled | Self::Unknown { .. })
    }
}

/// A question that the executor wants asked. Answers come as order events and reads; one that is
/// not answered is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// What became of an order?
    Order {
        /// Which.
        id: ClientOrderId,
        /// Of this account.
        account: AccountId,
        /// In this instrument.
        instrument: InstrumentId,
    },
    /// What does an account hold of an instrument?
    Holding {
        /// The account.
        account: AccountId,
        /// The instrument.
        instrument: InstrumentId,
    },
    /// No question: an order is proven dead, and whoever keeps asking for it may forget it.
    Forget {
        /// Which.
        id: ClientOrderId,
        /// Of this account.
        account: AccountId,
        /// In this instrument.
        instrument: InstrumentId,
    },
}

/// An authoritative answer of a venue: what an account holds of an instrument. Not an order's echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldingRead {
    /// The account.
    pub account: AccountId,
    /// The instrument.
    pub instrument: InstrumentId,
    /// Signed, at the instrument's quantity scale: positive is long.
    pub qty: i64,
    /// When the question left: what happened before that is in the answer, whatever came in since.
    pub asked: Nanos,
}

/// Why a venue refused an order: what the caller can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
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

#[cfg(test)]
mod tests {
    extern crate alloc;

    use alloc::string::ToString;

    use super::*;

    #[test]
    fn an_id_prints_and_parses_back_and_no_two_print_alike() {
        let zero = ClientOrderId { epoch: 0, position: PositionId(0), leg: 0, plan: 0, attempt: 0 };
        let full = ClientOrderId {
            epoch: u16::MAX,
            position: PositionId(u32::MAX),
            leg: u8::MAX,
            plan: u32::MAX,
            attempt: u16::MAX,
        };
        // One bit of difference in any field shows in the text.
        let mut seen = alloc::vec![zero.to_string(), full.to_string()];
        for bit in 0..ID_BITS {
            let bits = 1u128 << bit;
            let id = ClientOrderId {
                epoch: (bits >> 88) as u16,
                position: PositionId((bits >> 56) as u32),
                leg: (bits >> 48) as u8,
                plan: (bits >> 16) as u32,
                attempt: bits as u16,
            };
            assert_eq!(id.bits(), bits);
            assert_eq!(ClientOrderId::parse(&id.to_string()), Some(id));
            seen.push(id.to_string());
        }
        assert!(seen.iter().all(|text| text.len() == 26 && text.len() <= 36));
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), ID_BITS + 2);
        assert_eq!(ClientOrderId::parse(&full.to_string()), Some(full));
    }

    #[test]
    fn a_foreign_id_is_none_of_ours() {
        for text in [
            "",
            "reap-",
            "reap-00000000000000000000",
            "reap-0000000000000000000000",
            "reap-00000000000000000000w",
            "reap-v00000000000000000000",
            "x-000000000000000000000000",
        ] {
            assert_eq!(ClientOrderId::parse(text), None, "{text}");
        }
    }
}
