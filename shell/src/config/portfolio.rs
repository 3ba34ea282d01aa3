//! `[portfolio]` and `[session]`: the rules over all positions.

use reap_core::instrument::{CurrencyId, InstrumentId};
use reap_core::limits::PPB;
use reap_core::portfolio::{
    Breakers, ClosingFee, DrawdownFrom, Partial, PortfolioError, PortfolioSettings,
};
use reap_core::units::{Decimal, Nanos, Rate, mul_div_ceil};
use toml::de::DeValue;

use super::names::Currencies;
use super::policy::{PolicyMoney, fee_buffer};
use super::position::Entry;
use super::time::{format_time_of_day, time_of_day};
use super::value::{RateBounds, SpanBounds};
use super::walk::{Table, Value};
use super::{Config, health, words};

const FEES: [(&str, ClosingFee); 2] = [("taker", ClosingFee::Taker), ("maker", ClosingFee::Maker)];
const FROM: [(&str, DrawdownFrom); 2] =
    [("start", DrawdownFrom::Baseline), ("peak", DrawdownFrom::Peak)];
const SPAN: SpanBounds = SpanBounds::new(Nanos::from_millis(1), Nanos::from_secs(366 * 86_400));
/// Three levels of a drawdown when a session does not say its own.
const LEVELS: [i64; 3] = [PPB / 100 * 3, PPB / 100 * 4, PPB / 100 * 5];

/// Reads both tables; `Some(None)` where there is neither.
pub(super) fn portfolio(
    root: &Table<'_>,
    currencies: &mut Currencies,
) -> Option<Option<PortfolioSettings>> {
    let (rules, session) = (root.get("portfolio"), root.get("session"));
    let Some(first) = rules.as_ref().or(session.as_ref()) else { return Some(None) };
    let mut money = PolicyMoney::of("the portfolio", currencies);
    let mut settings = Some(PortfolioSettings::off(CurrencyId(0)));
    if let Some(value) = &rules {
        settings = settings.and_then(|settings| rules_of(value, &mut money, settings));
    }
    if let Some(value) = &session {
        let breakers = breakers(value, &mut money);
        settings = breakers.and_then(|breakers| {
            settings.map(|settings| PortfolioSettings { breakers: Some(breakers), ..settings })
        });
    }
    let mut settings = settings?;
    // A portfolio without an amount is in the currency of its positions.
    settings.currency = money.currency().unwrap_or(CurrencyId(0));
    match settings.check() {
        Ok(()) => Some(Some(settings)),
        Err(error) => {
            let at = session.as_ref().filter(|_| concerns_session(&error)).unwrap_or(first);
            let remedy = match error {
                PortfolioError::Setting { bound: "below profit", .. } => {
                    "lower partial or raise profit"
                }
                _ => "keep it within its bound",
            };
            at.unseen(words_of(&error), remedy);
            None
        }
    }
}

fn concerns_session(error: &PortfolioError) -> bool {
    matches!(error, PortfolioError::Setting { field, .. }
        if matches!(*field, "equity" | "breaker level" | "session reset"))
}

fn words_of(error: &PortfolioError) -> String {
    match error {
        PortfolioError::Setting { field, value, bound } => {
            format!("{field} is {}, must be {bound}", words::decimal(*value))
        }
        PortfolioError::Late => error.to_string(),
    }
}

fn rules_of(
    value: &Value<'_>,
    money: &mut PolicyMoney<'_>,
    off: PortfolioSettings,
) -> Option<PortfolioSettings> {
    let table = value.table("write it as [portfolio]")?;
    let mut amount = |key, above: bool| -> Option<Option<Decimal>> {
        let Some(value) = table.get(key) else { return Some(None) };
        signed(&value, &table, money, above).map(Some)
    };
    let (profit, loss) = (amount("profit", true), amount("loss", false));
    let partial = match table.get("partial") {
        Some(value) => partial(&value, money).map(Some),
        None => Some(None),
    };
    let span = |key| match table.get(key) {
        Some(value) => value.span(SPAN).map(Some),
        None => Some(None),
    };
    let (escalate_after, cooldown) = (span("escalate_after"), span("cooldown"));
    let max_position_age = span("max_position_age");
    let fee_buffer_ppb = match table.get("fee_buffer") {
        Some(value) => fee_buffer(&value),
        None => Some(off.fee_buffer_ppb),
    };
    let closing_fee = match table.get("closing_fee") {
        Some(value) => value.word(&FEES),
        None => Some(off.closing_fee),
    };
    let health = match table.get("health") {
        Some(value) => health::health(&value, SPAN).map(Some),
        None => Some(None),
    };
    table.finish();
    let (profit, loss, partial) = (profit?, loss?, partial?);
    let (cooldown, max_position_age, health) = (cooldown?, max_position_age?, health?);
    if cooldown.is_some() && loss.is_none() {
        let remedy = "add loss = \"-10 USDT\", or remove cooldown";
        table.problem("cooldown needs a loss that it follows", remedy);
        return None;
    }
    let acts = profit.is_some() || loss.is_some() || partial.is_some();
    if !acts && max_position_age.is_none() && health.is_none() {
        let remedy = "add profit = \"1.1 USDT\", loss = \"-10 USDT\" or max_position_age = \"24h\"";
        table.problem("has no rule and would never close anything", remedy);
        return None;
    }
    Some(PortfolioSettings {
        fee_buffer_ppb: fee_buffer_ppb?,
        closing_fee: closing_fee?,
        profit,
        partial,
        escalate_after: escalate_after?.unwrap_or(off.escalate_after),
        loss,
        cooldown,
        max_position_age,
        health,
        ..off
    })
}

/// An amount above or below nought.
fn signed(
    value: &Value<'_>,
    table: &Table<'_>,
    money: &mut PolicyMoney<'_>,
    above: bool,
) -> Option<Decimal> {
    let amount = value.amount()?;
    money.accept(value, table, &amount)?;
    let mantissa = amount.value.mantissa;
    if above && mantissa <= 0 {
        value.problem("must be more than 0", r#"write for example "1.1 USDT""#);
        return None;
    }
    if !above && mantissa >= 0 {
        value.problem("must be less than 0: a loss is negative", r#"write for example "-10 USDT""#);
        return None;
    }
    Some(amount.value)
}

/// `{ at = "0.5 USDT", close = "50%" }`
fn partial(value: &Value<'_>, money: &mut PolicyMoney<'_>) -> Option<Partial> {
    let example = r#"write partial = { at = "0.5 USDT", close = "50%" }"#;
    let table = value.table(example)?;
    let at = table.require("at", example);
    let at = at.and_then(|value| signed(&value, &table, money, true));
    let share = match table.get("close") {
        Some(value) => value.rate(RateBounds::SHARE),
        None => Rate::new(PPB / 2).ok(),
    };
    table.finish();
    Some(Partial { at: at?, share: share? })
}

fn breakers(value: &Value<'_>, money: &mut PolicyMoney<'_>) -> Option<Breakers> {
    let table = value.table("write it as [session]")?;
    let equity = table.require("equity", r#"write equity = "10000 USDT""#);
    let equity = equity.and_then(|value| signed(&value, &table, money, true));
    let levels = match table.get("breakers") {
        Some(value) => levels(&value),
        None => Some(LEVELS.map(|ppb| Rate::new(ppb).expect("a rate"))),
    };
    let from = match table.get("from") {
        Some(value) => value.word(&FROM),
        None => Some(DrawdownFrom::Baseline),
    };
    let filter = match table.get("filter") {
        Some(value) => value.flag(),
        None => Some(false),
    };
    let reset = match table.get("reset") {
        Some(value) => clock(&value),
        None => Some(Nanos(0)),
    };
    table.finish();
    Some(Breakers { equity: equity?, levels: levels?, from: from?, filter: filter?, reset: reset? })
}

fn levels(value: &Value<'_>) -> Option<[Rate; 3]> {
    let example = r#"write for example ["3%", "4%", "5%"]"#;
    let elements = value.array(example)?;
    let read: Option<Vec<Rate>> =
        elements.iter().map(|element| element.rate(RateBounds::SHARE)).collect();
    let read = read?;
    let Ok(levels) = <[Rate; 3]>::try_from(read) else {
        value.problem(format!("must be three levels, these are {}", elements.len()), example);
        return None;
    };
    if let Some(pair) = levels.windows(2).find(|pair| pair[1] <= pair[0]) {
        let (after, before) = (words::rate(pair[1]), words::rate(pair[0]));
        value.problem(format!("levels must rise: {after} after {before}"), example);
        return None;
    }
    Some(levels)
}

fn clock(value: &Value<'_>) -> Option<Nanos> {
    let remedy = "write a time of day (UTC), such as \"00:00\"";
    let time = match value.node() {
        DeValue::Datetime(at) => time_of_day(&at.to_string()),
        _ => time_of_day(value.text(remedy)?),
    };
    if time.is_none() {
        value.problem("is not a time of day", remedy);
    }
    time
}

impl Config {
    /// Gives a portfolio the currency of its positions and tasks, and refuses any in another.
    pub(super) fn settle_portfolio(&mut self, root: &Table<'_>) -> Option<()> {
        let Some(settings) = &mut self.portfolio else { return Some(()) };
        let currency_of = |id: InstrumentId| self.instruments[usize::from(id.0)].spec().currency;
        let positions = self
            .positions
            .iter()
            .map(|one| ("position", one.name.as_str(), currency_of(one.legs[0].instrument)));
        let tasks = self
            .tasks
            .iter()
            .map(|task| ("task", task.name.as_str(), currency_of(task.spec.spot.instrument)));
        let mut members = positions.chain(tasks);
        let has_amount = settings.profit.is_some()
            || settings.partial.is_some()
            || settings.loss.is_some()
            || settings.breakers.is_some();
        if let (false, Some((.., first))) = (has_amount, members.clone().next()) {
            settings.currency = first;
        }
        let Some((kind, other, currency)) = members.find(|one| one.2 != settings.currency) else {
            return Some(());
        };
        let name = |id: CurrencyId| &self.currencies[usize::from(id.0)];
        let what = format!(
            "the portfolio is in {}, {kind} {other} in {}, and no conversion is declared",
            name(settings.currency),
            name(currency)
        );
        let remedy = format!("keep {kind}s in another currency in a configuration of their own");
        root.problem(what, remedy);
        None
    }

    /// The rules over all positions in words; nothing where there are none.
    pub(super) fn portfolio_words(&self) -> Vec<String> {
        let Some(settings) = &self.portfolio else { return Vec::new() };
        let currency = &self.currencies[usize::from(settings.currency.0)];
        let amount = |value: Decimal| words::amount(value, currency);
        let mut lines = Vec::new();
        if let Some(profit) = settings.profit {
            lines.push(format!(
                "profit: close everything when the epoch's net is at least {}; protective after {}",
                amount(profit),
                words::span(settings.escalate_after)
            ));
        }
        if let Some(Partial { at, share }) = settings.partial {
            let (share, at) = (words::rate(share), amount(at));
            lines.push(format!(
                "partial: close {share} of everything once in an epoch when its net is at least {at}"
            ));
        }
        if let Some(loss) = settings.loss {
            let until = settings.cooldown.map_or("an operator resets it".into(), |span| {
                format!("{} have passed", words::span(span))
            });
            lines.push(format!(
                "loss: close everything when the epoch's net is at most {}, then no entries until \
                 {until}",
                amount(loss)
            ));
        }
        if let Some(age) = settings.max_position_age {
            lines.push(format!("deadline: close a position at the age of {}", words::span(age)));
        }
        if let Some(health) = &settings.health {
            lines.extend(health::health_words(health));
        }
        if let Some(breakers) = &settings.breakers {
            lines.extend(session_words(breakers, &amount));
        }
        let fee = match settings.closing_fee {
            ClosingFee::Taker => "taker",
            ClosingFee::Maker => "maker",
        };
        lines.push(format!(
            "closing everything is taken to cost the {fee} fee × {}",
            words::decimal(Decimal { mantissa: i128::from(settings.fee_buffer_ppb), scale: 9 })
        ));
        lines.extend(self.small_amounts(settings, currency));
        lines
    }

    /// Amounts that closing the book would eat up: below twice what that costs.
    fn small_amounts(&self, settings: &PortfolioSettings, currency: &str) -> Vec<String> {
        let Some(cost) = self.closing_cost(settings) else { return Vec::new() };
        let twice = Decimal { mantissa: cost.mantissa.saturating_mul(2), scale: cost.scale };
        let magnitude = |amount: Decimal| Decimal { mantissa: amount.mantissa.abs(), ..amount };
        let amounts = [
            ("profit", settings.profit),
            ("partial", settings.partial.map(|partial| partial.at)),
            ("loss", settings.loss),
        ];
        let small = amounts.into_iter().filter_map(|(name, amount)| {
            let amount = magnitude(amount?);
            let scale = amount.scale.max(twice.scale);
            let below = amount.at_scale(scale)? < twice.at_scale(scale)?;
            below.then(|| {
                format!(
                    "WARNING: {name} is less than twice what closing every position costs at its \
                     entry, {}",
                    words::amount(cost, currency)
                )
            })
        });
        small.collect()
    }

    /// What closing every position would cost at its entry; `None` while an entry is not known.
    fn closing_cost(&self, settings: &PortfolioSettings) -> Option<Decimal> {
        let scale = 18;
        let mut sum = 0i128;
        for leg in self.positions.iter().flat_map(|position| &position.legs) {
            let Entry::At(entry) = leg.entry else { return None };
            let spec = self.instruments[usize::from(leg.instrument.0)].spec();
            let rate = match settings.closing_fee {
                ClosingFee::Taker => spec.taker,
                ClosingFee::Maker => spec.maker,
            };
            let mantissa = i128::from(entry.raw())
                .checked_mul(i128::from(leg.qty.raw()))?
                .checked_mul(spec.multiplier.mantissa)?;
            let notional = Decimal {
                mantissa,
                scale: spec.price_scale + spec.qty_scale + spec.multiplier.scale,
            };
            let notional = notional.round_floor(9).at_scale(9)?;
            let fee = mul_div_ceil(notional, rate.raw().max(0), PPB);
            let fee = mul_div_ceil(fee, i64::from(settings.fee_buffer_ppb), PPB);
            sum = sum.checked_add(fee.checked_mul(10i128.pow(scale - 9))?)?;
        }
        (sum > 0).then_some(Decimal { mantissa: sum, scale: scale as u8 })
    }
}

fn session_words(breakers: &Breakers, amount: &impl Fn(Decimal) -> String) -> Vec<String> {
    let Breakers { equity, levels, from, filter, reset } = *breakers;
    let from = match from {
        DrawdownFrom::Baseline => "its start",
        DrawdownFrom::Peak => "its highest equity",
    };
    let [one, two, three] = levels.map(words::rate);
    let mut lines = vec![
        format!(
            "session: begins at {} UTC; equity {} at first",
            format_time_of_day(reset),
            amount(equity)
        ),
        format!(
            "breakers: at a loss of {one} since {from} close the worse half, at {two} everything \
             with no entries until the session ends, at {three} everything and halt"
        ),
    ];
    if filter {
        lines.push("breakers: an average with a half-life of 2 s decides, or a loss of 3 s".into());
    }
    lines
}
