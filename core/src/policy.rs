//! What a desk wants: the named, versioned set of exit rules, and how exits are ordered.

use arrayvec::ArrayVec;

use crate::limits::{COLLARS_MAX, PPB, RULES_MAX, TIERS_MAX};
use crate::units::{Decimal, Nanos, Rate};

/// A policy: its index in the engine's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub u16);

/// Which fees a rule's net counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeeMode {
    /// Paid fees and the fees of the exit.
    #[default]
    Net,
    /// Paid fees only.
    EntryOnly,
    /// No fees.
    Gross,
}

/// What a percentage is a percentage of. All are of the open quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Σ entry notional of the legs; the default for one leg.
    Entry,
    /// The larger leg's entry notional; the default for two or more legs.
    MaxLeg,
    /// Σ entry notional of the legs, by the name the source uses for pairs.
    Gross,
    /// Σ margin of the legs.
    Margin,
    /// A fixed amount in the quote currency.
    Amount(Decimal),
}

/// How much net a profit rule wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// net / base ≥ rate; `None` takes the default base of the position.
    Rate {
        /// The wanted ratio.
        rate: Rate,
        /// What it is a ratio of.
        base: Option<Base>,
    },
    /// net ≥ amount, in the quote currency.
    Amount(Decimal),
}

/// How far a trailing rule follows its high-water mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distance {
    /// A share of the mark: below one.
    Rate(Rate),
    /// Whole ticks of the instrument. One-leg positions only.
    Ticks(i64),
    /// A price difference in the quote currency. One-leg positions only.
    Price(Decimal),
}

/// One tier of a `tiers` rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// net / base ≥ this.
    pub at: Rate,
    /// Closed share of the epoch's original quantity after this tier, in parts per billion;
    /// cumulative, rising, at most one.
    pub share: Rate,
}

/// An exit rule. Its formula stands in `compile`, its meaning in `SEMANTICS.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// net / base ≥ threshold.
    TakeProfit {
        /// How much.
        threshold: Threshold,
    },
    /// Two legs: net / base ≥ threshold.
    Basis {
        /// How much.
        threshold: Threshold,
    },
    /// Each tier once: net / base ≥ `at` brings the closed share to `share`.
    Tiers {
        /// What the tiers are ratios of; `None` takes the position's default.
        base: Option<Base>,
        /// Rising tiers.
        tiers: ArrayVec<Tier, TIERS_MAX>,
    },
    /// One leg: x ≤ E·(1 − distance). More legs: net / base ≤ −distance.
    StopLoss {
        /// Below one.
        distance: Rate,
        /// Base for two and more legs; `None` takes the default.
        base: Option<Base>,
    },
    /// x ≤ H·(1 − distance), from entry or after `activation`.
    TrailingStop {
        /// How far below the mark.
        distance: Distance,
        /// When given, the rule begins once x ≥ E·(1 + activation).
        activation: Option<Rate>,
        /// Base for two and more legs; `None` takes the default.
        base: Option<Base>,
    },
    /// Once x ≥ E·(1 + activation): x ≤ max(H·(1 − distance), E·(1 + floor)).
    TrailingProfit {
        /// 15 % by default.
        activation: Rate,
        /// 10 % by default.
        distance: Rate,
        /// 5 % by default; below `activation`.
        floor: Rate,
        /// H moves only when x > H·(1 + step); 0.1 % by default.
        step: Rate,
        /// Base for two and more legs; `None` takes the default.
        base: Option<Base>,
    },
    /// The earliest of the times that are given.
    Deadline {
        /// Age since the first entry fill.
        max_age: Option<Nanos>,
        /// A point in time.
        at: Option<Nanos>,
        /// Time of day (UTC) at which the session closes.
        session_close: Option<Nanos>,
        /// How long before the session's close.
        close_before: Nanos,
    },
}

/// How exits of a policy are ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitSettings {
    /// Collar of normal exits beyond the best price, 10 bps.
    pub collar_normal: Rate,
    /// Collars of protective exits, each wider than the last; market follows. 20, 50, 100 bps.
    pub collars_protective: ArrayVec<Rate, COLLARS_MAX>,
    /// Normal exits wait while the spread is wider than this share of the bid, 20 bps.
    pub spread_limit: Rate,
    /// How long normal exits wait for the spread, 60 s.
    pub polling_deadline: Nanos,
    /// Without progress for this long a plan is stuck, 30 s.
    pub stuck_after: Nanos,
    /// First back-off after a missed opportunistic plan, 20 ms; doubles.
    pub rearm_first: Nanos,
    /// Longest back-off after a missed opportunistic plan, 1 s.
    pub rearm_last: Nanos,
    /// Largest notional of one clip of a position of several legs, in the quote currency.
    pub max_unhedged: Option<Decimal>,
}

impl Default for ExitSettings {
    fn default() -> Self {
        Self {
            collar_normal: Rate::from_bps(10),
            collars_protective: [20, 50, 100].into_iter().map(Rate::from_bps).collect(),
            spread_limit: Rate::from_bps(20),
            polling_deadline: Nanos::from_secs(60),
            stuck_after: Nanos::from_secs(30),
            rearm_first: Nanos::from_millis(20),
            rearm_last: Nanos::from_secs(1),
            max_unhedged: None,
        }
    }
}

/// The set of exit rules attached to a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Raised with each change; an explain record names it.
    pub version: u32,
    /// Which fees a rule's net counts.
    pub fees: FeeMode,
    /// Factor on the exit fees in parts per billion; one by default. The effective fee rate is
    /// rounded up to the next part per billion.
    pub fee_buffer_ppb: u32,
    /// Reserve for slippage, a share of the exit notional.
    pub slippage_reserve: Rate,
    /// The rules, in the order of their indices.
    pub rules: ArrayVec<Rule, RULES_MAX>,
    /// How exits are ordered.
    pub exit: ExitSettings,
}

impl Policy {
    /// A policy of these rules with every other setting at its default.
    ///
    /// # Panics
    /// When there are more than [`RULES_MAX`] rules.
    pub fn of(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self {
            version: 1,
            fees: FeeMode::Net,
            fee_buffer_ppb: PPB as u32,
            slippage_reserve: Rate::ZERO,
            rules: rules.into_iter().collect(),
            exit: ExitSettings::default(),
        }
    }
}
