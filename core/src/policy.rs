//! What a desk wants: the named, versioned set of exit rules, and how exits are ordered.

use alloc::vec::Vec;

use arrayvec::ArrayVec;

use crate::instrument::InstrumentId;
use crate::limits::{COLLARS_MAX, PPB, RULE_LEADERS_MAX, TIERS_MAX, UNHEDGED_TIME};
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
    /// A take-profit whose threshold is a step function of age: `threshold` until the first step.
    Decay {
        /// Before the first step.
        threshold: Threshold,
        /// Steps of rising age, at most [`crate::limits::DECAY_MAX`].
        steps: Vec<DecayStep>,
    },
    /// One leg: once x ≥ E·(1 + activation) a stop stands at E·(1 + offset).
    BreakEven {
        /// When the stop is set.
        activation: Rate,
        /// Where it stands; below the activation, may be negative.
        offset: Rate,
    },
    /// Peak net / base ≥ `minimum` and net ≤ peak·(1 − fraction).
    ProfitErosion {
        /// What the peak must have been.
        minimum: Threshold,
        /// Share of the peak that may be lost: above 0 % and below 100 %.
        fraction: Rate,
    },
    /// (mark to liquidation price) / mark ≤ threshold, of any leg that names a liquidation price.
    Liquidation {
        /// 5 % by default.
        threshold: Rate,
    },
    /// One leg: at least two of three signs of a move against it (SPEC §5).
    Dump {
        /// Least volume of a candle that counts for the flip of the order flow, in base units.
        min_volume: Decimal,
        /// Third sign: x ≤ H·(1 − drop); 0.5 % by default.
        drop: Rate,
    },
    /// One leg: a leader moves against it by `drop` within five minutes and correlates by at least
    /// `rho`; what goes against its leader is hit by a rise.
    Correlation {
        /// Whose moves count, at least one; any of them can fire it.
        leaders: ArrayVec<InstrumentId, RULE_LEADERS_MAX>,
        /// 1.5 % by default.
        drop: Rate,
        /// Least magnitude of the correlation; 0.7 by default.
        rho: Rate,
        /// The correlation that is assumed with fewer than 30 samples; `None` switches it off then.
        default_rho: Option<Rate>,
    },
    /// Predicted funding a day / base ≤ −threshold for `samples` settlements in a row.
    FundingFlip {
        /// 0.1 % a day by default.
        threshold: Rate,
        /// Settlements in a row; 1 by default.
        samples: u8,
        /// What it is a ratio of; `None` takes the position's default.
        base: Option<Base>,
    },
    /// A leg shrank or vanished without an order of ours that explains it, confirmed by reads.
    LegLost {
        /// Reads in a row that must agree.
        reads: u8,
        /// What is done about the rest.
        then: Remedy,
    },
    /// Quantities are off the hedge ratio for `hold`, confirmed by a read.
    Imbalance {
        /// Least share off the ratio; 0.5 % by default. Never less than the larger smallest order.
        share: Rate,
        /// How long; 2 s by default.
        hold: Nanos,
        /// What is done.
        then: Remedy,
    },
    /// An opposite signal closes the position when net / base ≥ `at`.
    Reversal {
        /// 10 % by default.
        at: Rate,
        /// What it is a ratio of; `None` takes the position's default.
        base: Option<Base>,
        /// One leg: what is closed for a signal is entered on the side that the signal wants.
        enter: bool,
    },
}

/// A step of a threshold that decays with age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecayStep {
    /// From this age on.
    pub age: Nanos,
    /// This threshold holds; it may be nought or a loss.
    pub threshold: Threshold,
}

/// What is done about legs that no longer match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The whole position is closed.
    Close,
    /// What one leg has too much of is closed.
    Repair,
}

/// Which price a protective price rule looks at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TriggerSource {
    /// Best bid of a long leg, best ask of a short one.
    #[default]
    Bbo,
    /// The last trade.
    Last,
    /// The mark price.
    Mark,
}

impl TriggerSource {
    /// Every source, in the order in which a protective rule falls back on them.
    pub const ALL: [Self; 3] = [Self::Bbo, Self::Last, Self::Mark];

    /// The name that configuration and reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bbo => "bbo",
            Self::Last => "last",
            Self::Mark => "mark",
        }
    }
}

/// What kind of asset a policy is for: its presets go by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the desks' own names")]
pub enum AssetClass {
    Major,
    #[default]
    Regular,
    Meme,
    Token,
}

/// What is done with a position of which no price is known at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Blind {
    /// It is alarmed and held.
    #[default]
    Hold,
    /// It is closed at the market when that has lasted so long.
    MarketAfter(Nanos),
}

/// A rule and how it is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSpec {
    /// What.
    pub rule: Rule,
    /// Which price, for protective price rules.
    pub source: TriggerSource,
    /// The preset that gave its parameters; `None` when they were written out.
    pub preset: Option<Preset>,
    /// Whether it is watched from the beginning; [`crate::event::Command::Rule`] switches it.
    pub on: bool,
}

impl From<Rule> for RuleSpec {
    fn from(rule: Rule) -> Self {
        Self { rule, source: TriggerSource::Bbo, preset: None, on: true }
    }
}

/// Parameters that came with a name instead of being written out: what an explanation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name, such as `meme`.
    pub name: &'static str,
    /// Version of the table that it stands in, from 1.
    pub version: u16,
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
    /// Largest notional of one clip of a position of several legs, in the quote currency; more than
    /// that without counterpart is closed urgently.
    pub max_unhedged: Option<Decimal>,
    /// How long legs of a position may stand without their counterpart before the rest is closed
    /// urgently, 5 s.
    pub max_unhedged_time: Nanos,
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
            max_unhedged_time: UNHEDGED_TIME,
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
    pub rules: Vec<RuleSpec>,
    /// How exits are ordered.
    pub exit: ExitSettings,
    /// What kind of asset it is for.
    pub class: AssetClass,
    /// What is done without any price.
    pub blind: Blind,
    /// How long before a settlement of funding in the position's favour its take_profit, tiers, basis,
    /// decay, deadline and funding_flip begin to wait for it; at most
    /// [`crate::limits::FUNDING_HOLD_MAX`]. `None`: they never do.
    pub hold_for_funding: Option<Nanos>,
}

impl Policy {
    /// A policy of these rules with every other setting at its default.
    ///
    /// Registration refuses more than [`crate::limits::RULES_MAX`] rules.
    pub fn of(rules: impl IntoIterator<Item = Rule>) -> Self {
        Self {
            version: 1,
            fees: FeeMode::Net,
            fee_buffer_ppb: PPB as u32,
            slippage_reserve: Rate::ZERO,
            rules: rules.into_iter().map(RuleSpec::from).collect(),
            exit: ExitSettings::default(),
            class: AssetClass::default(),
            blind: Blind::default(),
            hold_for_funding: None,
        }
    }
}
