//! Exits and near misses in words: what was seen, why it fired or did not, what was sent, what it
//! brought; as data in [`json`].

pub mod json;

use reap_core::follower::NearMiss;
use reap_core::intent::Reason;
use reap_core::net::{Cmp, Compiled};
use reap_core::order::OrderChange;
use reap_core::policy::{Rule, TriggerSource};
use reap_core::portfolio::PART_TIGHT;
use reap_core::position::Side;
use reap_core::units::{Decimal, Nanos};
use reap_core::{RULE_BLIND, RULE_BREAKER, RULE_HEALTH, RULE_MAX_AGE, RULE_PORTFOLIO};

use crate::config::words;
use crate::pipeline::span;
use crate::report::{Report, lost, money, outcome_name, side_name, time_of_day, waits_for_funding};
use crate::story::{NearRecord, PlanRecord};

/// The story of one plan.
#[must_use]
pub fn explain(report: &Report<'_>, plan: &PlanRecord) -> Vec<String> {
    let story = report.story();
    let config = story.config();
    let position = &config.positions[plan.position];
    let policy = &config.policies[usize::from(plan.policy.0)];
    let currency = config.currency_of(position);
    let mut lines = Vec::new();
    lines.push(format!("{} closed for {}", position.name, plan.reason().name()));
    if let Some(spec) = &story.standings()[plan.position].spec {
        for leg in &spec.legs {
            let named = &config.instruments[usize::from(leg.instrument.0)];
            let side = side_name(leg.side);
            let qty = words::mantissa(leg.qty.raw(), named.spec().qty_scale);
            let entry = words::mantissa(leg.entry.raw(), named.spec().price_scale);
            let fees = words::amount(leg.fees_paid, currency);
            lines.push(format!(
                "  held      {side} {qty} {} at {entry}, fees paid {fees}",
                named.name
            ));
        }
    }
    for (at, of) in &plan.waited {
        lines.push(format!("  {}  {}", time_of_day(*at), waits_for_funding(of.reason, of.settles)));
    }
    for intent in &plan.intents {
        let version = intent.policy_version;
        let rule = match policy.policy.rules.get(usize::from(intent.rule)) {
            Some(said) => words::said(said, currency) + tightened(&said.rule, intent.part),
            None if intent.rule == RULE_BLIND => words::blind(policy.policy.blind),
            None => of_no_policy(intent.rule, intent.part),
        };
        lines.push(format!(
            "  {}  {} holds, {}: {rule} (policy {} version {version})",
            time_of_day(intent.at),
            intent.reason.name(),
            intent.urgency.name(),
            policy.name,
        ));
        let seen = plan.seen_by(intent).find_map(|seen| Some((seen.leg, seen.limit?)));
        let ticks = match (intent.compiled, seen) {
            (Compiled::Price { cmp, limit }, _) => in_ticks(report, plan.position, 0, cmp, limit),
            (_, Some((leg, (cmp, limit)))) => {
                in_ticks(report, plan.position, leg.into(), cmp, limit)
            }
            _ => String::new(),
        };
        lines.push(format!("            trigger {}{ticks}", report.trigger(plan, intent)));
        for (input, leg) in intent.inputs.iter().flatten().zip(&position.legs) {
            let named = &config.instruments[usize::from(input.instrument.0)];
            let Some(quote) = input.quote else {
                lines.push(format!("            saw no quote of {}", named.name));
                continue;
            };
            let scale = named.spec().price_scale;
            let (bid, ask) =
                (words::mantissa(quote.bid.raw(), scale), words::mantissa(quote.ask.raw(), scale));
            let used = if leg.side == Side::Long { "bid" } else { "ask" };
            lines.push(format!(
                "            saw {} at {bid} / {ask} ({used} counts), {} ms old, update {}",
                named.name,
                input.age.0 / 1_000_000,
                input.update_id,
            ));
        }
        for seen in plan.seen_by(intent) {
            let leg = position.legs.get(usize::from(seen.leg));
            let Some(named) = leg.map(|leg| &config.instruments[usize::from(leg.instrument.0)])
            else {
                continue;
            };
            lines.push(format!(
                "            held by the {} of {}, {}, {} ms old",
                words::price_name(seen.source),
                named.name,
                words::mantissa(seen.price.raw(), named.spec().price_scale),
                seen.age.0 / 1_000_000,
            ));
        }
        for (at, of) in plan.overruled.iter().filter(|(_, of)| of.intent == intent.seq) {
            let (reason, urgency) = (of.reason.name(), of.urgency.name());
            let later = match at.since(intent.at) {
                Nanos(0) => String::new(),
                later => format!(" {} later", words::span(later)),
            };
            let why = lost(of.why);
            lines.push(format!("            {reason} held too{later}, {urgency}: {why}"));
        }
        let sent = plan.sent_after(intent);
        let sent =
            sent.map_or("no order".into(), |after| format!("sent after {}", words::span(after)));
        let spent = plan.spent.iter().find(|spent| spent.intent == intent.seq);
        let spent = spent.map_or("no message brought it".into(), |spent| {
            format!("decoded in {}, decided in {}", span(spent.decode), span(spent.decide))
        });
        lines.push(format!("            {spent}, {sent}"));
    }
    for order in &plan.orders {
        let named = &config.instruments[usize::from(order.order.instrument.0)];
        let spec = named.spec();
        let qty = words::mantissa(order.order.qty.raw(), spec.qty_scale);
        let limit = order.order.limit.map_or("at the market".into(), |limit| {
            format!("limit {}", words::mantissa(limit.raw(), spec.price_scale))
        });
        lines.push(format!(
            "  {}  sent {:?} {qty} {} {limit} as {}",
            time_of_day(order.sent_at),
            order.order.side,
            named.name,
            order.order.id,
        ));
        for (at, said) in &order.said {
            let said = match said {
                OrderChange::Acked => "acknowledged".into(),
                OrderChange::Filled { price, qty, fee, .. } => {
                    let fee = reap_core::units::Decimal {
                        mantissa: *fee,
                        scale: named.instrument.nano_scale(),
                    };
                    format!(
                        "filled {} at {}, fee {}",
                        words::mantissa(qty.raw(), spec.qty_scale),
                        words::mantissa(price.raw(), spec.price_scale),
                        words::amount(fee, currency),
                    )
                }
                OrderChange::Expired => "the rest expired".into(),
                OrderChange::Rejected(class) => format!("rejected, {class:?}"),
                OrderChange::Doubted => "its fate was not known".into(),
                OrderChange::NotFound => "the venue had no such order".into(),
            };
            let waited = Nanos(at.since(order.sent_at).0);
            lines.push(format!("            {said} after {}", words::span(waited)));
        }
        if let Some((at, inferred)) = order.proven {
            let qty = words::mantissa(inferred.raw(), spec.qty_scale);
            let waited = words::span(Nanos(at.since(order.sent_at).0));
            lines.push(format!(
                "            settled by what is held: {qty} must have traded without a word, after \
                 {waited}"
            ));
        }
    }
    if let Some((at, outcome)) = plan.ended {
        let slippage = report.exit_json(plan)["slippage"].as_str().unwrap_or("unknown").to_owned();
        lines.push(format!(
            "  {}  {}; net {} {currency}, slippage against the trigger {slippage} {currency}",
            time_of_day(at),
            outcome_name(outcome),
            money(plan.net, 8),
        ));
    } else {
        lines.push("  still working when the recording ended".into());
    }
    lines
}

/// What is to be said of a stop that stands closer than its rule says.
const fn tightened(rule: &Rule, part: u8) -> &'static str {
    match rule {
        Rule::StopLoss { .. } | Rule::TrailingStop { .. } if part == PART_TIGHT => {
            ", tightened for a low score of health"
        }
        _ => "",
    }
}

/// What asked, where it is no rule of the position's policy.
fn of_no_policy(rule: u8, part: u8) -> String {
    match (rule, part) {
        (RULE_PORTFOLIO, 0) => "the portfolio's rule, for everything".into(),
        (RULE_PORTFOLIO, _) => "the portfolio's rule, for a share of everything".into(),
        (RULE_BREAKER, level) => format!("breaker {level} of the session"),
        (RULE_HEALTH, _) => "one of the worst at a low score of health".into(),
        (RULE_BLIND, _) => "no price of a leg was left".into(),
        (RULE_MAX_AGE, _) => "the portfolio's maximum age of a position".into(),
        _ => "an operator asked".into(),
    }
}

/// A price trigger of a leg in ticks, with a bracket before and behind.
fn in_ticks(report: &Report<'_>, position: usize, leg: usize, cmp: Cmp, limit: i64) -> String {
    let config = report.story().config();
    let id = config.positions[position].legs[leg].instrument;
    let tick = config.instruments[usize::from(id.0)].spec().tick;
    format!(" ({} ticks)", json::ticks(cmp, limit, tick))
}

/// Progress with four decimals, rounded down.
#[must_use]
pub fn progress(ppb: i64) -> String {
    money(Decimal { mantissa: i128::from(ppb), scale: 9 }, 4)
}

/// The price that a rule which came near looks at, and the leg that a trigger on one price is about.
pub(super) fn looks_at(
    report: &Report<'_>,
    miss: &NearMiss,
    position: usize,
) -> (TriggerSource, usize) {
    if miss.reason == Reason::Liquidation {
        return (TriggerSource::Mark, miss.part.into());
    }
    let config = report.story().config();
    let policy = config.positions[position].policy;
    let said = config.policies[usize::from(policy.0)].policy.rules.get(usize::from(miss.rule));
    (said.map_or(TriggerSource::Bbo, |said| said.source), 0)
}

/// The story of one near miss.
#[must_use]
pub fn near_miss(report: &Report<'_>, near: &NearRecord) -> Vec<String> {
    let config = report.story().config();
    let position = &config.positions[near.position];
    let policy = &config.policies[usize::from(position.policy.0)];
    let currency = config.currency_of(position);
    let miss = &near.miss;
    let rule = policy.policy.rules.get(usize::from(miss.rule));
    let rule =
        rule.map_or_else(|| of_no_policy(miss.rule, miss.part), |said| words::said(said, currency));
    let (source, leg) = looks_at(report, miss, near.position);
    let seen = position.legs.iter().zip(miss.exits).filter(|(_, exit)| *exit != 0);
    let prices = seen.map(|(leg, exit)| {
        let named = &config.instruments[usize::from(leg.instrument.0)];
        let price = words::exit_price_name(source, leg.side);
        let exit = words::mantissa(exit, named.spec().price_scale);
        format!("{price} {exit} of {}", named.name)
    });
    let prices = prices.collect::<Vec<_>>().join(", ");
    let wanted = match miss.trigger {
        Compiled::Price { cmp, limit } => {
            let wanted = report.price_trigger(near.position, leg, source, cmp, limit);
            format!("{wanted}{}", in_ticks(report, near.position, leg, cmp, limit))
        }
        Compiled::Net(form) => {
            let value = form.value(&miss.exits);
            let (short, of) = match form.cmp {
                Cmp::AtLeast => (form.bound - value, "below its target"),
                Cmp::AtMost => (value - form.bound, "above its stop"),
            };
            let short = Decimal { mantissa: short, scale: report.nano_scale(near.position) };
            format!("net {} {currency} {of}", money(short, 8))
        }
        Compiled::Unconditional => "-".into(),
    };
    vec![
        format!("{} came near closing for {} and turned back", position.name, miss.reason.name()),
        format!(
            "  {}  came near: {rule} (policy {} version {})",
            time_of_day(miss.reached),
            policy.name,
            miss.policy_version
        ),
        format!(
            "  {}  nearest, {} of the way: {prices}, trigger {wanted}",
            time_of_day(miss.nearest),
            progress(miss.progress)
        ),
        format!("  {}  turned back: below 0.8 of the way", time_of_day(miss.left)),
    ]
}
