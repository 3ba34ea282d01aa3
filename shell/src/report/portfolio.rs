//! What the engine says of all positions together, in one line each.

use reap_core::event::{Latch, TradingState};
use reap_core::instrument::InstrumentId;
use reap_core::portfolio::{PortfolioNote, PortfolioRule};
use reap_core::units::Decimal;

use crate::config::{Config, words};

/// One note in one line.
pub(super) fn said(config: &Config, name: &str, note: &PortfolioNote) -> String {
    let currency = || {
        let settings = config.portfolio.as_ref()?;
        config.currencies.get(usize::from(settings.currency.0))
    };
    let amount = |value: Decimal| match currency() {
        Some(currency) => words::amount(value, currency),
        None => words::decimal(value),
    };
    let instrument = |id: InstrumentId| &config.instruments[usize::from(id.0)].name;
    match *note {
        PortfolioNote::State(state) => {
            format!("{name}: the trading state is {}", state_name(state))
        }
        PortfolioNote::Fired { rule, net, positions } => {
            let (what, net) = (rule_name(rule), amount(net));
            format!("{name}: {what} holds at a net of {net}, {positions} positions to close")
        }
        PortfolioNote::Withheld { instrument: id } => {
            format!("{name}: a profit waits for a usable price of {}", instrument(id))
        }
        PortfolioNote::Stale { instrument: id } => {
            format!("{name}: counts {} at its last good price", instrument(id))
        }
        PortfolioNote::Escalated { positions } => {
            format!("{name}: {positions} positions still open, their close is protective now")
        }
        PortfolioNote::Epoch { total } => {
            format!("{name}: a new epoch, from a total net of {}", amount(total))
        }
        PortfolioNote::Breaker { level, loss, equity, positions } => format!(
            "{name}: breaker {level} at a loss of {} of {}, {positions} positions to close",
            amount(loss),
            amount(equity)
        ),
        PortfolioNote::Session { equity } => {
            format!("{name}: drawdowns are measured from {}", amount(equity))
        }
        PortfolioNote::EquityRefused => {
            format!("{name}: an equity from which nothing can be measured, refused")
        }
        PortfolioNote::Lifted(Latch::PortfolioLoss) => format!("{name}: portfolio_loss is lifted"),
        PortfolioNote::Lifted(Latch::Drawdown) => format!("{name}: the breakers are lifted"),
        PortfolioNote::Health { level, score, positions } => {
            let score = score.map_or("too few positions for a score".to_owned(), |score| {
                format!("a score of {}", words::decimal(score.round_floor(2)))
            });
            let does = match level {
                0 => "recovered".to_owned(),
                1 => "no entries".to_owned(),
                2 => "no entries, stops are tightened".to_owned(),
                _ => format!("no entries, stops are tightened, {positions} positions to close"),
            };
            format!("{name}: health, {score}: {does}")
        }
        PortfolioNote::TooOld { .. } => format!("{name}: at the maximum age of a position"),
    }
}

const fn state_name(state: TradingState) -> &'static str {
    match state {
        TradingState::Active => "active",
        TradingState::Reducing => "reducing",
        TradingState::Halted => "halted",
        TradingState::Stopped => "stopped",
    }
}

const fn rule_name(rule: PortfolioRule) -> &'static str {
    match rule {
        PortfolioRule::Profit => "portfolio_profit",
        PortfolioRule::Partial => "the partial portfolio_profit",
        PortfolioRule::Loss => "portfolio_loss",
    }
}
