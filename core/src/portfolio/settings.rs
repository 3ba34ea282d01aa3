//! What a desk wants of all its positions together.

use crate::instrument::CurrencyId;
use crate::limits::PPB;
use crate::units::{Decimal, Nanos, Rate};

use super::health::Health;
use super::money::{UNIT, money_floor, negative};

/// Span of a day: sessions begin once in each.
pub(crate) const DAY: Nanos = Nanos::from_secs(86_400);
/// Largest amount of a portfolio, in whole units of its currency (exclusive).
pub const PORTFOLIO_AMOUNT_MAX: i64 = 1 << 56;

/// The rules over all positions. Everything is off unless it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortfolioSettings {
    /// The currency of every amount. A position that is quoted in another is refused.
    pub currency: CurrencyId,
    /// Factor on the fees of closing everything, in parts per billion; 1.1 by default.
    pub fee_buffer_ppb: u32,
    /// Which fee closing everything is assumed to pay.
    pub closing_fee: ClosingFee,
    /// portfolio_profit: epoch net ≥ this closes everything. Positive.
    pub profit: Option<Decimal>,
    /// Once in an epoch, a share of everything is closed. Below `profit`.
    pub partial: Option<Partial>,
    /// How long a close of everything stays at normal urgency, 30 s.
    pub escalate_after: Nanos,
    /// portfolio_loss: epoch net ≤ this closes everything, once. Negative.
    pub loss: Option<Decimal>,
    /// After a portfolio_loss entries are allowed again so long after it; `None`: when an operator
    /// resets it.
    pub cooldown: Option<Nanos>,
    /// A position that is older is closed.
    pub max_position_age: Option<Nanos>,
    /// Drawdown breakers.
    pub breakers: Option<Breakers>,
    /// health.
    pub health: Option<Health>,
}

/// Which fee of an instrument closing everything is assumed to pay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClosingFee {
    /// That of crossing orders.
    #[default]
    Taker,
    /// That of resting orders.
    Maker,
}

/// A partial profit of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// Epoch net ≥ this. Positive.
    pub at: Decimal,
    /// Share of every open quantity that is closed, rounded down to lots: above 0 %, below 100 %.
    pub share: Rate,
}

/// Drawdown breakers: on losses of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breakers {
    /// Equity of the accounts at the start of the first session. Positive.
    pub equity: Decimal,
    /// Rising shares of it: 3 %, 4 % and 5 % by default.
    pub levels: [Rate; 3],
    /// What a drawdown is measured from.
    pub from: DrawdownFrom,
    /// Whether short spikes are filtered: a moving average with a half-life of 2 s decides, or the
    /// raw figure when it stays at a level for 3 s.
    pub filter: bool,
    /// Time of day (UTC) at which a session begins.
    pub reset: Nanos,
}

/// What a drawdown is measured from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DrawdownFrom {
    /// Equity at the start of the session.
    #[default]
    Baseline,
    /// The highest equity of the session.
    Peak,
}

/// A setting that contradicts itself or exceeds its bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortfolioError {
    /// Out of bounds.
    #[error("portfolio: {field} is {value}, must be {bound}")]
    Setting {
        /// The field.
        field: &'static str,
        /// Its value.
        value: Decimal,
        /// The bound, in words.
        bound: &'static str,
    },
    /// Positions are registered or tasks are there already: the sums would lack what they had before.
    #[error(
        "portfolio: it is set before the first position is registered and the first task added"
    )]
    Late,
}

impl PortfolioSettings {
    /// Every rule off, amounts in `currency`.
    #[must_use]
    pub const fn off(currency: CurrencyId) -> Self {
        Self {
            currency,
            fee_buffer_ppb: 1_100_000_000,
            closing_fee: ClosingFee::Taker,
            profit: None,
            partial: None,
            escalate_after: Nanos::from_secs(30),
            loss: None,
            cooldown: None,
            max_position_age: None,
            breakers: None,
            health: None,
        }
    }

    /// Checks every setting against its bounds and the others.
    ///
    /// # Errors
    /// The first that is refused.
    pub fn check(&self) -> Result<(), PortfolioError> {
        let refuse = |field, value, bound| Err(PortfolioError::Setting { field, value, bound });
        let rate = |rate: Rate| Decimal { mantissa: i128::from(rate.raw()), scale: 9 };
        let share = |rate: Rate| (1..PPB).contains(&rate.raw());
        const AMOUNT: &str = "above 0 and below 2^56";
        if let Some(profit) = self.profit.filter(|&profit| !is_amount(profit)) {
            return refuse("profit", profit, AMOUNT);
        }
        if let Some(Partial { at, share: part }) = self.partial {
            if !is_amount(at) {
                return refuse("partial", at, AMOUNT);
            }
            if !share(part) {
                return refuse("partial share", rate(part), "above 0 and below 1");
            }
            let full = self.profit.and_then(money_floor);
            if full.is_some_and(|full| money_floor(at).is_none_or(|at| at >= full)) {
                return refuse("partial", at, "below profit");
            }
        }
        if let Some(loss) = self.loss {
            if !is_amount(negative(loss)) {
                return refuse("loss", loss, "below 0 and above -2^56");
            }
        } else if let Some(cooldown) = self.cooldown {
            let value = Decimal { mantissa: i128::from(cooldown.0), scale: 9 };
            return refuse("cooldown", value, "left out where there is no loss");
        }
        if let Some(health) = &self.health {
            health.check().or_else(|(field, value, bound)| refuse(field, value, bound))?;
        }
        if let Some(breakers) = &self.breakers {
            if !is_amount(breakers.equity) {
                return refuse("equity", breakers.equity, AMOUNT);
            }
            for (at, &level) in breakers.levels.iter().enumerate() {
                if !share(level) {
                    return refuse("breaker level", rate(level), "above 0 and below 1");
                }
                if at > 0 && level <= breakers.levels[at - 1] {
                    return refuse("breaker level", rate(level), "above the level before it");
                }
            }
            if breakers.reset >= DAY {
                let value = Decimal { mantissa: i128::from(breakers.reset.0), scale: 9 };
                return refuse("session reset", value, "within a day");
            }
        }
        Ok(())
    }
}

/// Whether an amount is positive and within the bound of a portfolio.
fn is_amount(amount: Decimal) -> bool {
    let max = UNIT * i128::from(PORTFOLIO_AMOUNT_MAX);
    amount.mantissa > 0 && money_floor(amount).is_some_and(|value| value < max)
}
