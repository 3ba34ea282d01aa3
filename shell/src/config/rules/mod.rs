//! The rules of a policy, one function each; those of their own kind have a file.

mod break_even;
mod correlation;
mod decay;
mod dump;
mod erosion;
mod funding;
mod liquidation;
mod presets;

mod reads;
mod reversal;

use arrayvec::ArrayVec;
use reap_core::limits::{RULES_MAX, TIERS_MAX};
use reap_core::policy::{Base, Distance, Preset, Rule, RuleSpec, Threshold, Tier, TriggerSource};
use reap_core::units::{Nanos, Rate};
use toml::de::DeValue;

use crate::config::instrument::NamedInstrument;
use crate::config::names::Lookup;
use crate::config::policy::{PolicyMoney, class, class_name, is_opportunistic};
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

pub(super) const AGE_BOUNDS: SpanBounds =
    SpanBounds::new(Nanos::from_millis(1), Nanos::from_secs(10 * 365 * 86_400));
const BEFORE_BOUNDS: SpanBounds = SpanBounds::new(Nanos(0), Nanos::from_secs(23 * 3600));

/// The kinds of rules. A policy's shorthands are numbered in this order, risk first; what it writes
/// as `[[policy.NAME.rule]]` follows in the order of the file.
const KINDS: [&str; 16] = [
    "stop_loss",
    "trailing_stop",
    "trailing_profit",
    "take_profit",
    "tiers",
    "basis",
    "break_even",
    "liquidation",
    "profit_erosion",
    "dump",
    "correlation",
    "funding_flip",
    "deadline",
    "leg_lost",
    "imbalance",
    "reversal",
];

/// Every rule that a policy names. `None` when one of them is refused.
pub(in crate::config) fn rules(
    table: &Table<'_>,
    instruments: &Lookup<NamedInstrument>,
    money: &mut PolicyMoney<'_>,
) -> Option<Vec<RuleSpec>> {
    let mut enabled = true;
    let mut found = Vec::new();
    for kind in KINDS {
        let value = table.get(kind);
        let rule = |value| rule(kind, &value, (table, instruments), money, &mut enabled);
        found.extend(value.map(rule));
    }
    found.extend(table.get("max_age").map(|value| max_age(&value, table)));
    if let Some(value) = table.get("rule") {
        for value in value.array("write each as [[policy.NAME.rule]]")? {
            found.push(general(value, (table, instruments), money, &mut enabled));
        }
    }
    if found.len() > RULES_MAX {
        let what = format!("has {} rules, at most {RULES_MAX} are possible", found.len());
        table.problem(what, "leave some out, or give some positions another policy");
        return None;
    }
    let all: Option<Vec<RuleSpec>> = found.into_iter().collect();
    let wanted = |said: &RuleSpec| enabled || !is_opportunistic(&said.rule);
    all.map(|rules| rules.into_iter().filter(wanted).collect())
}

/// The kind of a rule, as `[[policy.NAME.rule]]` names it.
#[must_use]
pub const fn kind_of(rule: &Rule) -> &'static str {
    match rule {
        Rule::StopLoss { .. } => "stop_loss",
        Rule::TrailingStop { .. } => "trailing_stop",
        Rule::TrailingProfit { .. } => "trailing_profit",
        Rule::TakeProfit { .. } | Rule::Decay { .. } => "take_profit",
        Rule::Tiers { .. } => "tiers",
        Rule::Basis { .. } => "basis",
        Rule::BreakEven { .. } => "break_even",
        Rule::ProfitErosion { .. } => "profit_erosion",
        Rule::Deadline { .. } => "deadline",
        Rule::Liquidation { .. } => "liquidation",
        Rule::Dump { .. } => "dump",
        Rule::Correlation { .. } => "correlation",
        Rule::FundingFlip { .. } => "funding_flip",
        Rule::LegLost { .. } => "leg_lost",
        Rule::Imbalance { .. } => "imbalance",
        Rule::Reversal { .. } => "reversal",
    }
}

/// A rule by its kind: the value of a shorthand, or the table of the general form. `enabled` is what
/// take_profit says of every rule that takes profit.
fn rule(
    kind: &str,
    value: &Value<'_>,
    (policy, instruments): (&Table<'_>, &Lookup<NamedInstrument>),
    money: &mut PolicyMoney<'_>,
    enabled: &mut bool,
) -> Option<RuleSpec> {
    let rule = match kind {
        "stop_loss" => return stop_loss(value, policy, money),
        "trailing_stop" => return trailing_stop(value, policy, money),
        "trailing_profit" => return trailing_profit(value, policy, money),
        "take_profit" => take_profit(value, policy, money, enabled),
        "tiers" => tiers(value, policy, money),
        "basis" => {
            let threshold = threshold(value, BASIS, policy, money, None);
            threshold.map(|threshold| Rule::Basis { threshold })
        }
        "break_even" => return break_even::break_even(value),
        "liquidation" => liquidation::liquidation(value),
        "profit_erosion" => erosion::profit_erosion(value, policy, money),
        "leg_lost" => reads::leg_lost(value),
        "imbalance" => reads::imbalance(value),
        "reversal" => reversal::reversal(value, policy, money),
        "dump" => dump::dump(value),
        "correlation" => return correlation::correlation(value, policy, instruments),
        "funding_flip" => funding::funding_flip(value, policy, money),
        "deadline" => return deadline(value),
        other => unreachable!("{other} is none of the kinds"),
    };
    rule.map(RuleSpec::from)
}

/// `[[policy.NAME.rule]]`: a rule of any kind with the keys of its table, any number of them and
/// several of a kind; `on = false` leaves it to be switched on by `[[switch]]`.
fn general(
    value: Value<'_>,
    around: (&Table<'_>, &Lookup<NamedInstrument>),
    money: &mut PolicyMoney<'_>,
    enabled: &mut bool,
) -> Option<RuleSpec> {
    let table = value.table("write it as [[policy.NAME.rule]] with kind = \"stop_loss\"")?;
    let kind = table.require("kind", "name the rule, such as kind = \"stop_loss\"");
    let kind = kind.and_then(|value| value.word(&KINDS.map(|kind| (kind, kind))));
    let on = table.get("on").map_or(Some(true), |value| value.flag());
    let said = rule(kind?, &value.apart(&["kind", "on"]), around, money, enabled)?;
    Some(RuleSpec { on: on?, ..said })
}

/// A take_profit, with the steps of its threshold when it decays.
fn take_profit(
    value: &Value<'_>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
    enabled: &mut bool,
) -> Option<Rule> {
    let mut said = TakeProfit { enabled: true, decay: None };
    let threshold = threshold(value, TAKE_PROFIT, policy, money, Some(&mut said));
    *enabled &= said.enabled;
    match &said.decay {
        Some(decay) => decay::decay(decay, threshold?, policy, money),
        None => threshold.map(|threshold| Rule::TakeProfit { threshold }),
    }
}

/// A protective rule and which price it looks at first.
fn sourced(rule: Rule, source: TriggerSource) -> RuleSpec {
    RuleSpec { source, ..RuleSpec::from(rule) }
}

/// `source` of a protective rule: `"bbo"`, `"last"` or `"mark"`.
fn source(table: &Table<'_>) -> Option<TriggerSource> {
    let words = TriggerSource::ALL.map(|source| (source.name(), source));
    match table.get("source") {
        Some(value) => value.word(&words),
        None => Some(TriggerSource::Bbo),
    }
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

/// `"2%"` or `{ distance, base, source }`. There is no default: how much may be lost must be said.
fn stop_loss(
    value: &Value<'_>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<RuleSpec> {
    if !value.is_table() {
        let distance = value.rate(RateBounds::SHARE)?;
        return Some(Rule::StopLoss { distance, base: None }.into());
    }
    let table = value.table("")?;
    let distance = table.require("distance", "write how much may be lost, such as \"2%\"");
    let distance = distance.and_then(|value| value.rate(RateBounds::SHARE));
    let base = base(&table, policy, money);
    let source = source(&table);
    table.finish();
    Some(sourced(Rule::StopLoss { distance: distance?, base: base? }, source?))
}

/// `"0.5%"`, `"30 ticks"`, `"10 USDT"`, `"major"`, `"default"` or
/// `{ distance | class, activation, base, source }`. The default is that of the policy's class.
fn trailing_stop(
    value: &Value<'_>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<RuleSpec> {
    let of = |(distance, preset), activation, base, source| {
        let rule = Rule::TrailingStop { distance, activation, base };
        RuleSpec { preset, ..sourced(rule, source) }
    };
    if is_default(value) {
        let name = class_name(class(policy)?);
        let distance = presets::trailing().iter().find(|(known, _)| *known == name)?.1;
        return Some(of(distance, None, None, TriggerSource::Bbo));
    }
    if !value.is_table() {
        let distance = distance(value, policy, money)?;
        return Some(of(distance, None, None, TriggerSource::Bbo));
    }
    let table = value.table("")?;
    let given = (table.get("distance"), table.get("class"));
    let distance = match given {
        (Some(value), None) => distance(&value, policy, money),
        (None, Some(value)) => value.word(presets::trailing()),
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
    let source = source(&table);
    table.finish();
    Some(of(distance?, activation?, base?, source?))
}

fn distance(
    value: &Value<'_>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<(Distance, Option<Preset>)> {
    if let DeValue::String(text) = value.node()
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
    {
        return value.word(presets::trailing());
    }
    let distance = match value.measure(&["0.5%", "30 ticks", "10 USDT"])? {
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
    };
    distance.map(|distance| (distance, None))
}

/// `"default"` or `{ activation, distance, floor, step, base, source }`, each with its default.
fn trailing_profit(
    value: &Value<'_>,
    policy: &Table<'_>,
    money: &mut PolicyMoney<'_>,
) -> Option<RuleSpec> {
    let of = |activation, distance, floor, step, base| Rule::TrailingProfit {
        activation,
        distance,
        floor,
        step,
        base,
    };
    if is_default(value) {
        return Some(of(ACTIVATION, TRAIL, FLOOR, STEP, None).into());
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
    let source = source(&table);
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
    Some(sourced(of(activation, distance?, floor, step?, base?), source?))
}

/// `max_age = "6h"`, the short form of a deadline.
fn max_age(value: &Value<'_>, policy: &Table<'_>) -> Option<RuleSpec> {
    if policy.get("deadline").is_some() {
        value.problem("max_age and deadline say the same thing", "keep one of the two");
        return None;
    }
    value.span(AGE_BOUNDS).map(|age| by_age((age, None)))
}

fn by_age((age, preset): (Nanos, Option<Preset>)) -> RuleSpec {
    let (at, session_close, close_before) = (None, None, CLOSE_BEFORE);
    let rule = Rule::Deadline { max_age: Some(age), at, session_close, close_before };
    RuleSpec { preset, ..RuleSpec::from(rule) }
}

/// `deadline = "6h"`, `deadline = "scalping"` or `{ max_age, class, at, session_close,
/// close_before }`: the earliest of what is given.
fn deadline(value: &Value<'_>) -> Option<RuleSpec> {
    if value.is_table() { deadline_table(value) } else { age(value).map(by_age) }
}

/// A span, or the name of a kind of strategy.
fn age(value: &Value<'_>) -> Option<(Nanos, Option<Preset>)> {
    match value.node() {
        DeValue::String(text) if text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            value.word(presets::ages())
        }
        _ => value.span(AGE_BOUNDS).map(|age| (age, None)),
    }
}

fn deadline_table(value: &Value<'_>) -> Option<RuleSpec> {
    let table = value.table("")?;
    let max_age = optional(table.get("max_age"), age);
    let class = optional(table.get("class"), |value| value.word(presets::ages()));
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
    let (max_age, preset) = max_age.map_or((None, None), |(age, preset)| (Some(age), preset));
    let (at, session_close) = (at?, close?);
    if max_age.is_none() && at.is_none() && session_close.is_none() {
        let what = "names no time";
        table.problem(what, "give max_age, at or session_close, such as max_age = \"6h\"");
        return None;
    }
    let rule = Rule::Deadline { max_age, at, session_close, close_before: close_before? };
    Some(RuleSpec { preset, ..RuleSpec::from(rule) })
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
