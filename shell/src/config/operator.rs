//! What an operator says of all positions at a stated time: `[[state]]`, `[[reset]]`, `[[equity]]` and
//! `[[transfer]]`.

use reap_core::event::{Latch, TradingState};
use reap_core::portfolio::PortfolioSettings;
use reap_core::units::Decimal;

use super::task::NamedTask;
use super::timed::{Input, TimedInput, when};
use super::walk::{Table, Value};

const STATES: [(&str, TradingState); 4] = [
    ("active", TradingState::Active),
    ("reducing", TradingState::Reducing),
    ("halted", TradingState::Halted),
    ("stopped", TradingState::Stopped),
];
const LATCHES: [(&str, Latch); 2] =
    [("portfolio_loss", Latch::PortfolioLoss), ("drawdown", Latch::Drawdown)];
/// What is known of all positions where the operator speaks.
pub(super) struct Around<'a> {
    /// `None` when it was refused.
    pub(super) portfolio: Option<Option<&'a PortfolioSettings>>,
    pub(super) currencies: &'a [String],
    pub(super) tasks: &'a [NamedTask],
}

type Read = fn(&Table<'_>, &Around<'_>) -> Option<Input>;

/// The tables, and how each is read.
pub(super) const KINDS: [(&str, Read); 4] =
    [("state", state), ("reset", reset), ("equity", equity), ("transfer", transfer)];

/// One element of a table.
pub(super) fn input(
    kind: &str,
    read: Read,
    value: &Value<'_>,
    around: &Around<'_>,
) -> Option<TimedInput> {
    let table = value.table(&format!("write it as [[{kind}]]"))?;
    let (when, input) = (when(&table), read(&table, around));
    table.finish();
    Some(TimedInput { when: when?, input: input? })
}

fn state(table: &Table<'_>, _: &Around<'_>) -> Option<Input> {
    let value = table.require("is", "write is = \"reducing\"")?;
    value.word(&STATES).map(Input::State)
}

fn reset(table: &Table<'_>, around: &Around<'_>) -> Option<Input> {
    let value = table.require("latch", "write latch = \"portfolio_loss\"")?;
    let latch = value.word(&LATCHES)?;
    let (there, remedy) = match (around.portfolio?, latch) {
        (None, Latch::PortfolioLoss) => (false, "add loss to [portfolio]"),
        (Some(settings), Latch::PortfolioLoss) => {
            (settings.loss.is_some(), "add loss to [portfolio]")
        }
        (None, Latch::Drawdown) => (false, "add a [session]"),
        (Some(settings), Latch::Drawdown) => (settings.breakers.is_some(), "add a [session]"),
    };
    if !there {
        value.problem("there is no such rule", remedy);
    }
    there.then_some(Input::Reset(latch))
}

fn equity(table: &Table<'_>, around: &Around<'_>) -> Option<Input> {
    let (value, amount) = amount(table, around)?;
    if amount.mantissa <= 0 {
        value.problem("must be more than 0", r#"write for example "10000 USDT""#);
        return None;
    }
    Some(Input::Equity(amount))
}

fn transfer(table: &Table<'_>, around: &Around<'_>) -> Option<Input> {
    amount(table, around).map(|(_, amount)| Input::Transfer(amount))
}

/// `amount` in the portfolio's currency.
fn amount<'t>(table: &Table<'t>, around: &Around<'_>) -> Option<(Value<'t>, Decimal)> {
    let value = table.require("amount", "write amount = \"100 USDT\"")?;
    let amount = value.amount()?;
    let Some(settings) = around.portfolio?.filter(|settings| settings.breakers.is_some()) else {
        value.problem("there is no session whose equity it changes", "add a [session]");
        return None;
    };
    let currency = &around.currencies[usize::from(settings.currency.0)];
    if amount.currency != *currency {
        value.problem(format!("the session is in {currency}"), format!("write it in {currency}"));
        return None;
    }
    Some((value, amount.value))
}
