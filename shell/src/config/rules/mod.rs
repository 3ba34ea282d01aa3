//! The rules of a policy, one function each; those of their own kind have a file.

mod break_even;
mod decay;
mod erosion;

use arrayvec::ArrayVec;
use reap_core::limits::TIERS_MAX;
use reap_core::policy::{Base, Distance, Rule, RuleSpec, Threshold, Tier};
use reap_core::units::{Nanos, Rate};
use toml::de::DeValue;

use crate::config::policy::{PolicyMoney, is_opportunistic};
use crate::config::time::{instant, time_of_day};
use crate::config::units::{Amount, Measure};
use crate::config::value::{RateBounds, SpanBounds, rate_remedy};
use crate::config::walk::{Table, Value};
use crate::config::words::rate as percent;

/// Defaults of SPEC §5.
const TAKE_PROFIT: Rate = Rate::from_bps(20);
const BASIS: Rate = Rate::from_bps(58);
const ACTIVATION: Rate = Rate::from_bps(1_500);
const TRAIL: Rate = Rate::from_bps(1_000);
const FLOOR: Rate = Rate::from_bps(500);
const STEP: Rate = Rate::from_bps(10);
const CLOSE_BEFORE: Nanos = Nanos::from_secs(600);

/// Trailing distances by asset class.
const CLASSES: [(&str, Rate); 3] = [
    ("major", Rate::from_bps(30)),
    ("regular", Rate::from_bps(50)),
    ("meme", Rate::from_bps(1_750)),
];
/// Longest ages by kind of strategy.
const AGES: [(&str, Nanos); 4] = [
    ("spot_futures", Nanos::from_secs(6 * 3600)),
    ("scalping", Nanos::from_secs(30 * 60)),
    ("meme", Nanos::from_secs(24 * 3600)),
    ("forex", Nanos::from_secs(4 * 3600)),
];
const AGE_BOUNDS: SpanBounds =
    SpanBounds::new(Nanos::from_millis(1), Nanos::from_secs(10 * 365 * 86_400));
const BEFORE_BOUNDS: SpanBounds = SpanBounds::new(Nanos(0), Nanos::from_secs(23 * 3600));

/// Every rule that a policy names, risk first. `None` when one of them is refused.
pub(in crate::config) fn rules(
    table: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<Vec<RuleSpec>> {
    let mut said = TakeProfit { enabled: true, decay: None };
    let found = [
        table.get("stop_loss").map(|value| stop_loss(&value, table, money)),
        table.get("trailing_stop").map(|value| trailing_stop(&value, table, money)),
        table.get("trailing_profit").map(|value| trailing_profit(&value, table, money)),
        table.get("take_profit").map(|value| {
            let threshold = threshold(&value, TAKE_PROFIT, table, money, Some(&mut said))?;
            match &said.decay {
                Some(decay) => decay::decay(decay, threshold, table, money),
                None => Some(Rule::TakeProfit { threshold }),
            }
        }),
        table.get("tiers").map(|value| tiers(&value, table, money)),
        table.get("basis").map(|value| {
            let threshold = threshold(&value, BASIS, table, money, None);
            threshold.map(|threshold| Rule::Basis { threshold })
        }),
        table.get("break_even").map(|value| break_even::break_even(&value)),
        table.get("profit_erosion").map(|value| erosion::profit_erosion(&value, table, money)),
        deadline(table),
    ];
    let all: Option<Vec<Rule>> = found.into_iter().flatten().collect();
    let wanted = |rule: &Rule| said.enabled || !is_opportunistic(rule);
    all.map(|rules| rules.into_iter().filter(wanted).map(RuleSpec::from).collect())
}

/// What a take_profit says beside its threshold.
struct TakeProfit<'a> {
    enabled: bool,
    decay: Option<Value<'a>>,
}

/// `"0.2%"`, `"1.1 USDT"`, `"default"` or `{ at, base }`.
fn threshold<'a>(
    value: &Value<'a>,
    default: Rate,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
    more: Option<&mut TakeProfit<'a>>,
) -> Option<Threshold> {
    if is_default(value) {
        return Some(Threshold::Rate { rate: default, base: None });
    }
    if !value.is_table() {
        return threshold_of(value, None, policy, money);
    }
    let table = value.table("")?;
    let base = base(&table, policy, money);
    let flag = match more {
        None => Some(()),
        Some(said) => {
            said.decay = table.get("decay");
            match table.get("enabled") {
                None => Some(()),
                Some(value) => value.flag().map(|flag| said.enabled = flag),
            }
        }
    };
    let at = table.get("at");
    table.finish();
    let (base, ()) = (base?, flag?);
    match at {
        Some(at) => threshold_of(&at, base, policy, money),
        None => Some(Threshold::Rate { rate: default, base }),
    }
}

fn threshold_of(
    value: &Value<'_>,
    base: Option<Base>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<Threshold> {
    match value.measure(&["0.2%", "1.1 USDT"])? {
        Measure::Rate(ppb) => {
            let rate = value.rate_within(ppb, RateBounds::TARGET)?;
            Some(Threshold::Rate { rate, base })
        }
        Measure::Amount(amount) => {
            money.accept(value, policy, &amount)?;
            if amount.value.mantissa <= 0 {
                value.problem("must be more than 0", "write a positive amount");
                return None;
            }
            if base.is_some() {
                let what = "an amount needs no base";
                value.problem(what, "remove base, or write a percentage");
                return None;
            }
            Some(Threshold::Amount(amount.value))
        }
        Measure::Bare(number) => value.no_unit(&rate_remedy(number)),
        other => value.wanted(&other, "a percentage or an amount", r#"write "0.2%" or "1.1 USDT""#),
    }
}

/// `base` of a rule: `Some(None)` where it is not given.
fn base(
    table: &Table<'_>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<Option<Base>> {
    const WORDS: [(&str, Base); 4] = [
        ("entry", Base::Entry),
        ("max_leg", Base::MaxLeg),
        ("gross", Base::Gross),
        ("margin", Base::Margin),
    ];
    let Some(value) = table.get("base") else { return Some(None) };
    let is_amount = matches!(value.node(), DeValue::String(text)
        if text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+')));
    if !is_amount {
        return value.word(&WORDS).map(Some);
    }
    let Amount { value: number, currency } = value.amount()?;
    money.accept(&value, policy, &Amount { value: number, currency })?;
    if number.mantissa <= 0 {
        value.problem("must be more than 0", "write a positive amount such as \"500 USDT\"");
        return None;
    }
    Some(Some(Base::Amount(number)))
}

/// Rising tiers: an array, or `{ steps = [...], base = "gross" }`.
fn tiers(value: &Value<'_>, policy: &Table<'_>, money: &mut PolicyMoney<'_>) -> Option<Rule> {
    let example =
        r#"write tiers = [{ at = "0.2%", close = "50%" }, { at = "0.5%", close = "100%" }]"#;
    let (steps, base) = if value.is_table() {
        let table = value.table("")?;
        let base = base(&table, policy, money);
        let steps = table.require("steps", example);
        table.finish();
        (steps?, base?)
    } else {
        (value.clone(), None)
    };
    let elements = steps.array(example)?;
    if elements.is_empty() || elements.len() > TIERS_MAX {
        let what = format!("must be 1 to {TIERS_MAX} tiers, these are {}", elements.len());
        steps.problem(what, example);
        return None;
    }
    let read: Vec<Option<Tier>> = elements.iter().map(|element| tier(element, example)).collect();
    let mut rising = true;
    for (pair, element) in read.windows(2).zip(elements.iter().skip(1)) {
        if let [Some(a), Some(b)] = pair
            && (b.at <= a.at || b.share <= a.share)
        {
            rising = false;
            let what = format!(
                "tiers must rise: this is {} → {} after {} → {}",
                percent(b.at),
                percent(b.share),
                percent(a.at),
                percent(a.share)
            );
            element.problem(what, "raise both at and close from tier to tier; close is cumulative");
        }
    }
    let tiers: Option<ArrayVec<Tier, TIERS_MAX>> = read.into_iter().collect();
    tiers.filter(|_| rising).map(|tiers| Rule::Tiers { base, tiers })
}

fn tier(value: &Value<'_>, example: &str) -> Option<Tier> {
    let table = value.table(example)?;
    let at = table.require("at", "write at = \"0.2%\"");
    let at = at.and_then(|value| value.rate(RateBounds::TARGET));
    let share = table.require("close", "write the cumulative share, such as close = \"50%\"");
    let share = share.and_then(|value| value.rate(RateBounds::PART));
    table.finish();
    Some(Tier { at: at?, share: share? })
}

/// `"2%"` or `{ distance, base }`. There is no default: how much may be lost must be said.
fn stop_loss(value: &Value<'_>, policy: &Table<'_>, money: &mut PolicyMoney<'_>) -> Option<Rule> {
    if !value.is_table() {
        let distance = value.rate(RateBounds::SHARE)?;
        return Some(Rule::StopLoss { distance, base: None });
    }
    let table = value.table("")?;
    let distance = table.require("distance", "write how much may be lost, such as \"2%\"");
    let distance = distance.and_then(|value| value.rate(RateBounds::SHARE));
    let base = base(&table, policy, money);
    table.finish();
    Some(Rule::StopLoss { distance: distance?, base: base? })
}

/// `"0.5%"`, `"30 ticks"`, `"10 USDT"`, `"major"` or `{ distance | class, activation, base }`.
fn trailing_stop(
    value: &Value<'_>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<Rule> {
    if !value.is_table() {
        let distance = distance(value, policy, money)?;
        return Some(Rule::TrailingStop { distance, activation: None, base: None });
    }
    let table = value.table("")?;
    let given = (table.get("distance"), table.get("class"));
    let distance = match given {
        (Some(value), None) => distance(&value, policy, money),
        (None, Some(value)) => value.word(&CLASSES).map(Distance::Rate),
        (Some(value), Some(_)) => {
            value.problem("distance and class contradict each other", "keep one of the two");
            None
        }
        (None, None) => {
            table.missing("distance", "write distance = \"0.5%\" or class = \"major\"");
            None
        }
    };
    let activation = match table.get("activation") {
        Some(value) => value.rate(RateBounds::TARGET).map(Some),
        None => Some(None),
    };
    let base = base(&table, policy, money);
    table.finish();
    Some(Rule::TrailingStop { distance: distance?, activation: activation?, base: base? })
}

fn distance(
    value: &Value<'_>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<Distance> {
    if let DeValue::String(text) = value.node()
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
    {
        return value.word(&CLASSES).map(Distance::Rate);
    }
    match value.measure(&["0.5%", "30 ticks", "10 USDT"])? {
        Measure::Rate(ppb) => value.rate_within(ppb, RateBounds::SHARE).map(Distance::Rate),
        Measure::Ticks(number) => value.ticks_of(number).map(Distance::Ticks),
        Measure::Amount(amount) => {
            money.accept(value, policy, &amount)?;
            if amount.value.mantissa <= 0 {
                value.problem("must be more than 0", "write a positive price difference");
                return None;
            }
            Some(Distance::Price(amount.value))
        }
        Measure::Bare(number) => value.no_unit(&format!(
            r#"{}, or "{number} ticks""#,
            rate_remedy(number).replace(" or ", ", ")
        )),
        other => value.wanted(
            &other,
            "a distance",
            r#"write "0.5%", "30 ticks", "10 USDT" or a class such as "major""#,
        ),
    }
}

/// `"default"` or `{ activation, distance, floor, step, base }`, each with its default.
fn trailing_profit(
    value: &Value<'_>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<Rule> {
    let of = |activation, distance, floor, step, base| Rule::TrailingProfit {
        activation,
        distance,
        floor,
        step,
        base,
    };
    if is_default(value) {
        return Some(of(ACTIVATION, TRAIL, FLOOR, STEP, None));
    }
    let table = value.table(
        r#"write "default" or { activation = "15%", distance = "10%", floor = "5%", step = "0.1%" }"#,
    )?;
    let rate = |key, default, bounds| match table.get(key) {
        Some(value) => value.rate(bounds),
        None => Some(default),
    };
    let activation = rate("activation", ACTIVATION, RateBounds::TARGET);
    let distance = rate("distance", TRAIL, RateBounds::SHARE);
    let floor = rate("floor", FLOOR, RateBounds::FLOOR);
    let step = rate("step", STEP, RateBounds::FLOOR);
    let base = base(&table, policy, money);
    table.finish();
    let (activation, floor) = (activation?, floor?);
    if floor >= activation {
        let what = format!(
            "the floor of {} must be below the activation of {}",
            percent(floor),
            percent(activation)
        );
        table.problem(what, "lower floor or raise activation");
        return None;
    }
    Some(of(activation, distance?, floor, step?, base?))
}

/// `deadline = "6h"`, `deadline = "scalping"`, `max_age = "6h"`, or
/// `{ max_age, class, at, session_close, close_before }`: the earliest of what is given.
fn deadline(policy: &Table<'_>) -> Option<Option<Rule>> {
    let (value, short) = (policy.get("deadline"), policy.get("max_age"));
    let by_age = |max_age| Rule::Deadline {
        max_age: Some(max_age),
        at: None,
        session_close: None,
        close_before: CLOSE_BEFORE,
    };
    match (value, short) {
        (None, None) => None,
        (None, Some(value)) => Some(value.span(AGE_BOUNDS).map(by_age)),
        (Some(_), Some(value)) => {
            value.problem("max_age and deadline say the same thing", "keep one of the two");
            Some(None)
        }
        (Some(value), None) if value.is_table() => Some(deadline_table(&value)),
        (Some(value), None) => Some(age(&value).map(by_age)),
    }
}

/// A span, or the name of a kind of strategy.
fn age(value: &Value<'_>) -> Option<Nanos> {
    match value.node() {
        DeValue::String(text) if text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            value.word(&AGES)
        }
        _ => value.span(AGE_BOUNDS),
    }
}

fn deadline_table(value: &Value<'_>) -> Option<Rule> {
    let table = value.table("")?;
    let max_age = optional(table.get("max_age"), age);
    let class = optional(table.get("class"), |value| value.word(&AGES));
    let at = optional(table.get("at"), point_in_time);
    let close = optional(table.get("session_close"), |value| {
        let at = match value.node() {
            DeValue::Datetime(at) => time_of_day(&at.to_string()),
            _ => time_of_day(value.text("write a time of day (UTC), such as \"21:00\"")?),
        };
        if at.is_none() {
            value.problem(
                "is not a time of day",
                "write hours and minutes (UTC), such as \"21:00\"",
            );
        }
        at
    });
    let before = table.get("close_before");
    table.finish();
    if before.is_some() && close == Some(None) {
        let remedy = "add session_close = \"21:00\", or remove close_before";
        table.problem("close_before needs a session_close", remedy);
        return None;
    }
    let close_before = match before {
        Some(value) => value.span(BEFORE_BOUNDS),
        None => Some(CLOSE_BEFORE),
    };
    let max_age = match (max_age?, class?) {
        (Some(_), Some(_)) => {
            table.problem("max_age and class contradict each other", "keep one of the two");
            return None;
        }
        (age, class) => age.or(class),
    };
    let (at, session_close) = (at?, close?);
    if max_age.is_none() && at.is_none() && session_close.is_none() {
        let what = "names no time";
        table.problem(what, "give max_age, at or session_close, such as max_age = \"6h\"");
        return None;
    }
    Some(Rule::Deadline { max_age, at, session_close, close_before: close_before? })
}

/// A point in time after RFC 3339, as text or as TOML's own date and time.
pub(in crate::config) fn point_in_time(value: &Value<'_>) -> Option<Nanos> {
    let remedy = r#"write date, time and offset, such as "2026-01-31T21:00:00Z""#;
    let at = match value.node() {
        DeValue::Datetime(at) => instant(&at.to_string()),
        _ => instant(value.text(remedy)?),
    };
    if at.is_none() {
        value.problem("is not a point in time from 1970 to 2554", remedy);
    }
    at
}

/// `Some(None)` where a value is not given, `None` where it is refused.
fn optional<'a, T>(
    value: Option<Value<'a>>,
    read: impl FnOnce(&Value<'a>) -> Option<T>,
) -> Option<Option<T>> {
    value.map_or(Some(None), |value| read(&value).map(Some))
}

fn is_default(value: &Value<'_>) -> bool {
    matches!(value.node(), DeValue::String(text) if text.trim() == "default")
}
