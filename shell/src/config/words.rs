//! Settings in words and in the units that people read: what `reap check` prints.

use reap_core::budget::VenueBudget;
use reap_core::instrument::InstrumentSpec;
use reap_core::limits::{FUNDING_GRACE, PPB_DIGITS};
use reap_core::policy::{
    Base, Blind, Distance, ExitSettings, FeeMode, Policy, Remedy, Rule, RuleSpec, Threshold,
    TriggerSource,
};
use reap_core::position::Side;
use reap_core::units::{Decimal, Nanos, Rate};

use super::time::{format_instant, format_time_of_day};

/// A decimal without trailing zeros.
#[must_use]
pub fn decimal(value: Decimal) -> String {
    let text = value.to_string();
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A rate as a percentage: `0.2%`.
#[must_use]
pub fn rate(rate: Rate) -> String {
    ppb(i128::from(rate.raw()))
}

/// Parts per billion as a percentage.
#[must_use]
pub fn ppb(parts: i128) -> String {
    let percent = Decimal { mantissa: parts, scale: PPB_DIGITS - 2 };
    format!("{}%", decimal(percent))
}

/// A span of time in the largest unit that gives a whole number.
#[must_use]
pub fn span(span: Nanos) -> String {
    const UNITS: [(u64, &str); 6] = [
        (86_400_000_000_000, "d"),
        (3_600_000_000_000, "h"),
        (60_000_000_000, "min"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
    ];
    if span.0 == 0 {
        return "0 s".into();
    }
    match UNITS.iter().find(|(unit, _)| span.0 >= *unit && span.0.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", span.0 / unit),
        None => format!("{} ns", span.0),
    }
}

/// A mantissa at a scale, without trailing zeros.
#[must_use]
pub fn mantissa(mantissa: i64, scale: u8) -> String {
    decimal(Decimal { mantissa: i128::from(mantissa), scale })
}

/// An amount with its currency.
#[must_use]
pub fn amount(value: Decimal, currency: &str) -> String {
    format!("{} {currency}", decimal(value))
}

/// What a percentage is a percentage of.
fn base(base: Option<Base>, currency: &str) -> String {
    match base {
        None | Some(Base::MaxLeg) => "the larger leg's entry notional".into(),
        Some(Base::Entry | Base::Gross) => "the entry notional of all legs".into(),
        Some(Base::Margin) => "the margin".into(),
        Some(Base::Amount(value)) => amount(value, currency),
    }
}

fn threshold(threshold: Threshold, currency: &str) -> String {
    match threshold {
        Threshold::Rate { rate: at, base: of } => {
            format!("net is at least {} of {}", rate(at), base(of, currency))
        }
        Threshold::Amount(value) => format!("net is at least {}", amount(value, currency)),
    }
}

fn distance(distance: Distance, currency: &str) -> String {
    match distance {
        Distance::Rate(share) => rate(share),
        Distance::Ticks(1) => "1 tick".into(),
        Distance::Ticks(ticks) => format!("{ticks} ticks"),
        Distance::Price(value) => amount(value, currency),
    }
}

const fn remedy(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Close => "close the rest",
        Remedy::Repair => "close the excess",
    }
}

/// A rule in words with the price that it looks at, where that is not the quote, and the preset that
/// gave its parameters; `currency` is that of its amounts.
#[must_use]
pub fn said(said: &RuleSpec, currency: &str) -> String {
    let mut text = rule(&said.rule, currency);
    if said.source != TriggerSource::Bbo {
        text += &format!(", by the {}", price_name(said.source));
    }
    if let Some(preset) = said.preset {
        text += &format!(" (preset {} v{})", preset.name, preset.version);
    }
    text
}

/// A rule in words; `currency` is that of its amounts.
#[must_use]
pub fn rule(rule: &Rule, currency: &str) -> String {
    match rule {
        Rule::TakeProfit { threshold: at } => {
            format!("take_profit: close when {}", threshold(*at, currency))
        }
        Rule::Basis { threshold: at } => {
            format!("basis: close both legs when {}", threshold(*at, currency))
        }
        Rule::Tiers { base: of, tiers } => {
            let steps = tiers.iter().map(|tier| {
                format!("at {} bring the closed share to {}", rate(tier.at), rate(tier.share))
            });
            let steps = steps.collect::<Vec<_>>().join(", ");
            format!("tiers: net against {}: {steps}", base(*of, currency))
        }
        Rule::StopLoss { distance: share, base: of } => format!(
            "stop_loss: close a single leg when its exit price is {0} or more against its entry, \
             several legs when net is at most -{0} of {1}",
            rate(*share),
            base(*of, currency)
        ),
        Rule::TrailingStop { distance: far, activation, .. } => {
            let from = match activation {
                None => "from the entry".into(),
                Some(gain) => format!("once the price is {} in favour", rate(*gain)),
            };
            format!("trailing_stop: follow the best price {from} by {}", distance(*far, currency))
        }
        Rule::TrailingProfit { activation, distance: far, floor, step, .. } => format!(
            "trailing_profit: once {} in favour follow the best price by {}, never below {} in \
             favour; the mark moves in steps of more than {}",
            rate(*activation),
            rate(*far),
            rate(*floor),
            rate(*step)
        ),
        Rule::Deadline { max_age, at, session_close, close_before } => {
            let mut times = Vec::new();
            times.extend(max_age.map(|age| format!("at the age of {}", span(age))));
            times.extend(at.map(|at| format!("at {}", format_instant(at))));
            times.extend(session_close.map(|close| {
                format!("{} before {} UTC", span(*close_before), format_time_of_day(close))
            }));
            let several = if times.len() > 1 { ", whichever is first" } else { "" };
            format!("deadline: close {}{several}", times.join(" or "))
        }
        Rule::Decay { threshold: at, steps } => {
            let steps = steps.iter().map(|step| {
                format!(
                    "from the age of {} on when {}",
                    span(step.age),
                    threshold(step.threshold, currency)
                )
            });
            let steps = steps.collect::<Vec<_>>().join("; ");
            format!("take_profit: close when {}; {steps}", threshold(*at, currency))
        }
        Rule::BreakEven { activation, offset } => format!(
            "break_even: once {} in favour a stop stands {}",
            rate(*activation),
            match offset.raw() {
                0 => "at the entry".into(),
                1.. => format!("{} in favour", rate(*offset)),
                _ => format!("{} against the entry", ppb(-i128::from(offset.raw()))),
            }
        ),
        Rule::ProfitErosion { minimum, fraction } => format!(
            "profit_erosion: once {}, close when {} of the best net since then is lost",
            threshold(*minimum, currency),
            rate(*fraction)
        ),
        Rule::Liquidation { threshold: at } => format!(
            "liquidation: close when the mark price is within {} of a leg's liquidation price",
            rate(*at)
        ),
        Rule::Dump { min_volume, drop } => format!(
            "dump: close on two of three signs: volume against it in three minutes, order flow that \
             flips 2.5:1 (candles of at least {}), a price {} off its best",
            decimal(*min_volume),
            rate(*drop)
        ),
        Rule::Correlation { leaders, drop, rho, default_rho } => {
            let share = |rho: Rate| mantissa(rho.raw(), PPB_DIGITS);
            let assumed = match default_rho {
                Some(rho) => format!("{} assumed", share(*rho)),
                None => "off".to_owned(),
            };
            let whom = match leaders.len() {
                1 => "its leader moves".to_owned(),
                all => format!("one of its {all} leaders moves"),
            };
            format!(
                "correlation: close when {whom} {} against it in five minutes and they correlate \
                 by {} or more ({assumed} with fewer than 30 samples)",
                rate(*drop),
                share(*rho)
            )
        }
        Rule::FundingFlip { threshold: at, samples, base: of } => {
            let row = match samples {
                1 => "a settlement".to_owned(),
                _ => format!("{samples} settlements in a row"),
            };
            let (at, of) = (rate(*at), base(*of, currency));
            format!("funding_flip: close when funding of a day costs {at} of {of} at {row}")
        }
        Rule::LegLost { reads, then } => format!(
            "leg_lost: {} when {reads} reads agree that a leg shrank by no order of ours",
            remedy(*then)
        ),
        Rule::Imbalance { share, hold, then } => format!(
            "imbalance: {} when the legs are {} off their ratio for {} and a read confirms it",
            remedy(*then),
            rate(*share),
            span(*hold)
        ),
        Rule::Reversal { at, base: of, enter } => format!(
            "reversal: a signal to the other side closes when net is at least {} of {}{}",
            rate(*at),
            base(*of, currency),
            if *enter { ", then enters the same quantity on that side" } else { "" }
        ),
    }
}

/// One of an instrument's prices.
#[must_use]
pub const fn price_name(source: TriggerSource) -> &'static str {
    match source {
        TriggerSource::Bbo => "quote",
        TriggerSource::Last => "last trade",
        TriggerSource::Mark => "mark price",
    }
}

/// The price at which a leg of this side could be closed, by one of its instrument's prices.
#[must_use]
pub const fn exit_price_name(source: TriggerSource, side: Side) -> &'static str {
    match (source, side) {
        (TriggerSource::Bbo, Side::Long) => "bid",
        (TriggerSource::Bbo, Side::Short) => "ask",
        (other, _) => price_name(other),
    }
}

/// What is done without any price, in words.
#[must_use]
pub fn blind(blind: Blind) -> String {
    match blind {
        Blind::Hold => "without any price left it is held".into(),
        Blind::MarketAfter(after) => {
            format!("without any price left for {} it closes at the market", span(after))
        }
    }
}

/// What waits for a settlement of funding that is so near, in words.
#[must_use]
pub fn hold_for_funding(near: Nanos) -> String {
    format!(
        "take_profit, tiers, basis, deadlines and funding_flip wait for funding in the position's \
         favour from {} before its settlement until {} after it",
        span(near),
        span(FUNDING_GRACE)
    )
}

/// What a policy's net counts.
#[must_use]
pub fn fees(policy: &Policy) -> String {
    let mut text = match policy.fees {
        FeeMode::Net => "net counts paid fees and the exit's fees".to_owned(),
        FeeMode::EntryOnly => "net counts paid fees, not the exit's".to_owned(),
        FeeMode::Gross => "net counts no fees".to_owned(),
    };
    let buffer = mantissa(i64::from(policy.fee_buffer_ppb), PPB_DIGITS);
    if policy.fees == FeeMode::Net && buffer != "1" {
        text += &format!(" × {buffer}");
    }
    if policy.slippage_reserve != Rate::ZERO {
        text +=
            &format!(", and a reserve of {} of the exit notional", rate(policy.slippage_reserve));
    }
    text
}

/// How a policy orders its exits, in words.
#[must_use]
pub fn exit(exit: &ExitSettings, currency: &str) -> Vec<String> {
    let collars = exit.collars_protective.iter().map(|&collar| rate(collar));
    let collars = collars.chain(["market".into()]).collect::<Vec<_>>().join(" → ");
    let clip = exit.max_unhedged.map_or_else(
        || "clips of several legs are limited by the quoted sizes only".into(),
        |value| format!("at most {} unhedged in one clip", amount(value, currency)),
    );
    vec![
        format!("collar {} beyond the best price; protective {collars}", rate(exit.collar_normal)),
        format!(
            "normal exits wait up to {} for a spread of at most {}",
            span(exit.polling_deadline),
            rate(exit.spread_limit)
        ),
        format!(
            "a plan is stuck after {}, a miss waits {} doubling to {}",
            span(exit.stuck_after),
            span(exit.rearm_first),
            span(exit.rearm_last)
        ),
        clip,
        format!(
            "what one leg of several has too much of for {} is closed urgently{}",
            span(exit.max_unhedged_time),
            exit.max_unhedged.map_or_else(String::new, |value| format!(
                ", and more than {} of it at once",
                amount(value, currency)
            ))
        ),
    ]
}

/// What a venue takes within a time, in words.
#[must_use]
pub fn budget(budget: &VenueBudget) -> String {
    format!(
        "{} orders within {} and a weight of {} within {} (order {}, question {}, read {}), 30% of \
         both for exits alone",
        budget.orders.max,
        span(budget.orders.span),
        budget.weight.max,
        span(budget.weight.span),
        budget.order_weight,
        budget.query_weight,
        budget.read_weight
    )
}

/// An instrument's grid, fees and gates, in words.
#[must_use]
pub fn instrument(spec: &InstrumentSpec, currency: &str) -> Vec<String> {
    let price = |value| mantissa(value, spec.price_scale);
    let qty = |value| mantissa(value, spec.qty_scale);
    let mut grid = format!(
        "tick {}, lot {}, smallest order {} and {}",
        price(spec.tick),
        qty(spec.lot),
        qty(spec.min_qty),
        amount(spec.min_notional, currency)
    );
    if spec.reduce_only && !spec.min_notional_on_reduce && spec.min_notional.mantissa > 0 {
        grid += " (not for reduce-only orders)";
    }
    if decimal(spec.multiplier) != "1" {
        grid += &format!(", {} units per contract", decimal(spec.multiplier));
    }
    let mut fees = format!("taker {}, maker {}", rate(spec.taker), rate(spec.maker));
    if spec.min_fee.mantissa != 0 {
        fees += &format!(", at least {}", amount(spec.min_fee, currency));
    }
    vec![
        grid,
        fees,
        format!(
            "a price is good for {}; a move of more than {} (and {} ticks) waits to be confirmed",
            span(spec.max_quote_age),
            rate(spec.jump_limit),
            spec.jump_ticks
        ),
    ]
}
