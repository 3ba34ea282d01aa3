//! The lines of a golden case that speak of all positions together.

use reap_core::event::{Command, Latch, TradingState};
use reap_core::instrument::CurrencyId;
use reap_core::note::EngineNote;
use reap_core::portfolio::{
    Breakers, ClosingFee, DrawdownFrom, Health, Partial, PortfolioNote, PortfolioSettings,
    PortfolioView,
};
use reap_core::units::{Decimal, Nanos};

use super::scenario::{decimal, rate, span};

/// `profit=1.1 partial=0.5:50% loss=-10 cooldown=60s age=24h escalate=30s buffer=1.1 fee=maker`, and
/// for the breakers `equity=10000 levels=3%,4%,5% from=peak filter=on reset=0h`, for health
/// `health=70,50,30 hysteresis=5 pause=60s older=5m aged=24h tighten=0.3% count=4`.
pub(super) fn settings(text: &str) -> PortfolioSettings {
    let mut settings = PortfolioSettings::off(CurrencyId(0));
    let mut breakers = Breakers {
        equity: decimal("1"),
        levels: [rate("3%"), rate("4%"), rate("5%")],
        from: DrawdownFrom::Baseline,
        filter: false,
        reset: Nanos(0),
    };
    for setting in text.split_whitespace() {
        let (key, value) = setting.split_once('=').expect("key=value");
        match key {
            "profit" => settings.profit = Some(decimal(value)),
            "partial" => {
                let (at, share) = value.split_once(':').expect("amount:share");
                settings.partial = Some(Partial { at: decimal(at), share: rate(share) });
            }
            "loss" => settings.loss = Some(decimal(value)),
            "cooldown" => settings.cooldown = Some(span(value)),
            "age" => settings.max_position_age = Some(span(value)),
            "escalate" => settings.escalate_after = span(value),
            "buffer" => {
                let ppb = decimal(value).at_scale(9).expect("parts per billion");
                settings.fee_buffer_ppb = ppb as u32;
            }
            "fee" if value == "maker" => settings.closing_fee = ClosingFee::Maker,
            "equity" => {
                breakers.equity = decimal(value);
                settings.breakers = Some(breakers);
            }
            "levels" | "from" | "filter" | "reset" => {
                let on = settings.breakers.as_mut().expect("equity stands before it");
                match key {
                    "levels" => {
                        for (level, word) in on.levels.iter_mut().zip(value.split(',')) {
                            *level = rate(word);
                        }
                    }
                    "from" => on.from = DrawdownFrom::Peak,
                    "filter" => on.filter = value == "on",
                    _ => on.reset = span(value),
                }
            }
            "health" => {
                let levels: Vec<u8> =
                    value.split(',').map(|level| level.parse().expect("points")).collect();
                let levels = levels.try_into().expect("three levels");
                settings.health = Some(Health { levels, ..Health::default() });
            }
            _ => {
                let health = settings.health.as_mut().expect("health stands before it");
                match key {
                    "hysteresis" => health.hysteresis = value.parse().expect("points"),
                    "pause" => health.cooldown = span(value),
                    "older" => health.older_than = span(value),
                    "aged" => health.max_age = span(value),
                    "tighten" => health.tighten = rate(value),
                    "count" => health.positions = value.parse().expect("a number"),
                    _ => panic!("{setting}: no such setting"),
                }
            }
        }
    }
    settings
}

/// `set reducing`, `reset loss`, `equity 9000`, `transfer -100`
pub(super) fn command(word: &str, rest: &str) -> Command {
    match (word, rest) {
        ("set", "reducing") => Command::SetState(TradingState::Reducing),
        ("set", "halted") => Command::SetState(TradingState::Halted),
        ("set", "active") => Command::SetState(TradingState::Active),
        ("reset", "loss") => Command::Reset(Latch::PortfolioLoss),
        ("reset", "drawdown") => Command::Reset(Latch::Drawdown),
        ("equity", amount) => Command::Equity(decimal(amount)),
        ("transfer", amount) => Command::Transfer(decimal(amount)),
        _ => panic!("{word} {rest}: no such line"),
    }
}

/// `total -3.5, epoch -3.5, equity 996.5 of 1000, active`
pub(super) fn standing(view: &PortfolioView, state: TradingState) -> String {
    let mut text = format!("total {}, ", short(view.total));
    text += &view.epoch.map_or("no epoch".to_owned(), |epoch| format!("epoch {}", short(epoch)));
    if let Some([base, now]) = view.equity {
        text += &format!(", equity {} of {}", short(now), short(base));
    }
    if let Some(score) = view.health {
        text += &format!(", health {}", short(score));
    }
    format!("{text}, {state:?}").to_lowercase()
}

/// What the engine said, in a few words.
pub(super) fn said(note: &EngineNote) -> String {
    let EngineNote::Portfolio(note) = note else {
        return format!("{note:?}");
    };
    match *note {
        PortfolioNote::Fired { rule, net, positions } => {
            format!("{rule:?} at {} of {positions}", short(net)).to_lowercase()
        }
        PortfolioNote::Epoch { total } => format!("epoch from {}", short(total)),
        PortfolioNote::Escalated { positions } => format!("escalated {positions}"),
        PortfolioNote::Breaker { level, loss, equity, positions } => {
            format!("breaker {level} at {} of {}: {positions}", short(loss), short(equity))
        }
        PortfolioNote::Session { equity } => format!("session from {}", short(equity)),
        PortfolioNote::Health { level, score, positions } => {
            let score = score.map_or("none".to_owned(), |score| short(score).to_string());
            format!("health {score}: level {level}, closes {positions}")
        }
        PortfolioNote::State(state) => format!("{state:?}").to_lowercase(),
        ref other => format!("{other:?}").to_lowercase(),
    }
}

/// Without trailing zeros.
fn short(amount: Decimal) -> Decimal {
    let mut amount = amount;
    while amount.scale > 0 && amount.mantissa % 10 == 0 {
        (amount.mantissa, amount.scale) = (amount.mantissa / 10, amount.scale - 1);
    }
    amount
}
