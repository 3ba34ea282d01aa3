//! The engine's decision: what to exit, how much, how urgently, why.

use crate::instrument::InstrumentId;
use crate::limits::LEGS_MAX;
use crate::net::Compiled;
use crate::position::PositionId;
use crate::tick::Quote;
use crate::units::{Nanos, Qty};

/// How urgently a plan is worked. Later is higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Urgency {
    /// At the worst price at which the rule still holds, or not at all.
    Opportunistic,
    /// Around the current price, patiently.
    Normal,
    /// Collars that widen up to the market.
    Protective,
    /// Market, at once.
    Critical,
}

impl Urgency {
    /// The name that configuration and reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opportunistic => "opportunistic",
            Self::Normal => "normal",
            Self::Protective => "protective",
            Self::Critical => "critical",
        }
    }
}

/// Why a position is closed, in the order of SPEC §6: earlier wins among equals in urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "the rules' own names")]
pub enum Reason {
    Operator,
    Liquidation,
    LegLost,
    Imbalance,
    DrawdownBreaker,
    PortfolioLoss,
    StopLoss,
    TrailingStop,
    TrailingProfit,
    Dump,
    Correlation,
    BreakEven,
    TakeProfit,
    Tiers,
    Basis,
    PortfolioProfit,
    Reversal,
    Deadline,
    FundingFlip,
    ProfitErosion,
    Health,
    /// No price is left and the policy closes at the market then. Ranks behind `imbalance`.
    Blind,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 22] = [
        Self::Operator,
        Self::Liquidation,
        Self::LegLost,
        Self::Imbalance,
        Self::DrawdownBreaker,
        Self::PortfolioLoss,
        Self::StopLoss,
        Self::TrailingStop,
        Self::TrailingProfit,
        Self::Dump,
        Self::Correlation,
        Self::BreakEven,
        Self::TakeProfit,
        Self::Tiers,
        Self::Basis,
        Self::PortfolioProfit,
        Self::Reversal,
        Self::Deadline,
        Self::FundingFlip,
        Self::ProfitErosion,
        Self::Health,
        Self::Blind,
    ];

    /// Rank in the order of SPEC §6. `take_profit`, `tiers` and `basis` share one rank.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Tiers | Self::Basis => 2 * Self::TakeProfit as u8,
            Self::Blind => 2 * Self::Imbalance as u8 + 1,
            other => 2 * other as u8,
        }
    }

    /// The urgency of the rule (SPEC §6). An operator names his own.
    #[must_use]
    pub const fn urgency(self) -> Urgency {
        match self {
            Self::TakeProfit | Self::Tiers | Self::Basis => Urgency::Opportunistic,
            Self::Deadline
            | Self::Reversal
            | Self::FundingFlip
            | Self::ProfitErosion
            | Self::PortfolioProfit
            | Self::Health => Urgency::Normal,
            Self::StopLoss
            | Self::TrailingStop
            | Self::TrailingProfit
            | Self::BreakEven
            | Self::Dump
            | Self::Correlation
            | Self::DrawdownBreaker
            | Self::PortfolioLoss => Urgency::Protective,
            Self::Operator | Self::Liquidation | Self::LegLost | Self::Imbalance | Self::Blind => {
                Urgency::Critical
            }
        }
    }

    /// The name that configuration and reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Liquidation => "liquidation",
            Self::LegLost => "leg_lost",
            Self::Imbalance => "imbalance",
            Self::DrawdownBreaker => "drawdown_breaker",
            Self::PortfolioLoss => "portfolio_loss",
            Self::StopLoss => "stop_loss",
            Self::TrailingStop => "trailing_stop",
            Self::TrailingProfit => "trailing_profit",
            Self::Dump => "dump",
            Self::Correlation => "correlation",
            Self::BreakEven => "break_even",
            Self::TakeProfit => "take_profit",
            Self::Tiers => "tiers",
            Self::Basis => "basis",
            Self::PortfolioProfit => "portfolio_profit",
            Self::Reversal => "reversal",
            Self::Deadline => "deadline",
            Self::FundingFlip => "funding_flip",
            Self::ProfitErosion => "profit_erosion",
            Self::Health => "health",
            Self::Blind => "blind",
        }
    }
}

/// What the engine saw of one leg when it decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// The leg's instrument.
    pub instrument: InstrumentId,
    /// Its last accepted quote; `None` when there was none (a deadline needs no price).
    pub quote: Option<Quote>,
    /// Update id of that quote.
    pub update_id: u64,
    /// Span since that quote's price was last confirmed.
    pub age: Nanos,
}

/// The engine's immutable decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// Number of this intent, from 1.
    pub seq: u64,
    /// When it was decided.
    pub at: Nanos,
    /// Which position.
    pub position: PositionId,
    /// Version of its policy.
    pub policy_version: u32,
    /// Index of the rule; 255 for an operator.
    pub rule: u8,
    /// Index of the tier, for `tiers`; the part of a trailing rule; of `leg_lost` and `imbalance` the
    /// legs that are less than the books have, a bit each; else 0.
    pub part: u8,
    /// Why.
    pub reason: Reason,
    /// How urgently.
    pub urgency: Urgency,
    /// Number of legs.
    pub legs: u8,
    /// Quantity of each leg that stays open: 0 closes the leg. A plan keeps the smallest it is told.
    pub keep: [Qty; LEGS_MAX],
    /// The condition that held.
    pub compiled: Compiled,
    /// What was seen of each leg.
    pub inputs: [Option<Input>; LEGS_MAX],
}

const _: () = assert!(size_of::<Intent>() <= 512);
