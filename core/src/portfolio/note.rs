//! What the engine says of all positions together.

use crate::event::{Latch, TradingState};
use crate::instrument::InstrumentId;
use crate::position::PositionId;
use crate::units::Decimal;

/// A note of all positions together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortfolioNote {
    /// What may be done has changed.
    State(TradingState),
    /// A rule over all positions fired.
    Fired {
        /// Which.
        rule: PortfolioRule,
        /// The epoch's net.
        net: Decimal,
        /// How many positions it asks for.
        positions: u32,
    },
    /// A profit is reached, but the price of this instrument may not be used.
    Withheld {
        /// The first one.
        instrument: InstrumentId,
    },
    /// A loss counts an instrument at its last good price, which may not be used any more.
    Stale {
        /// The first one.
        instrument: InstrumentId,
    },
    /// A close of everything for profit took too long: it is protective now.
    Escalated {
        /// Positions that are not closed yet.
        positions: u32,
    },
    /// A new epoch of the portfolio begins.
    Epoch {
        /// The total net then.
        total: Decimal,
    },
    /// A drawdown breaker tripped.
    Breaker {
        /// 1 to 3.
        level: u8,
        /// What was lost.
        loss: Decimal,
        /// The equity that it was lost of.
        equity: Decimal,
        /// How many positions it closes.
        positions: u32,
    },
    /// Drawdowns are measured from here: a session began, or the equity was stated.
    Session {
        /// The equity.
        equity: Decimal,
    },
    /// An equity, or a transfer that leaves one, from which no drawdown can be measured.
    EquityRefused,
    /// What had latched is lifted.
    Lifted(Latch),
    /// The score of health has crossed one of its levels, or is still below the third.
    Health {
        /// How many levels it is below.
        level: u8,
        /// Points; `None` when there is none any more.
        score: Option<Decimal>,
        /// How many positions are closed for it.
        positions: u32,
    },
    /// A position reached the portfolio's maximum age.
    TooOld {
        /// Which.
        position: PositionId,
    },
}

/// Rules over all positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortfolioRule {
    /// portfolio_profit.
    Profit,
    /// Its partial step.
    Partial,
    /// portfolio_loss.
    Loss,
}
