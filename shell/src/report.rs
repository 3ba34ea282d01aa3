//! What a pipeline did, for people and for programs: exits, what is left open, the venues' books.

use reap_core::event::Outcome;
use reap_core::instrument::Instrument;
use reap_core::intent::Intent;
use reap_core::net::{Cmp, Compiled};
use reap_core::order::{Order, OrderChange, OrderSide};
use reap_core::position::{PositionSpec, Side};
use reap_core::units::{Decimal, Nanos, Price, sum_floor};
use serde_json::{Map, Value, json};

use crate::config::words;
use crate::pipeline::{Happening, Pipeline, PlanRecord};
use crate::table::table;

/// Reports over one pipeline.
#[derive(Clone, Copy)]
pub struct Report<'p> {
    pipeline: &'p Pipeline,
}

impl<'p> Report<'p> {
    /// Reports over this pipeline.
    #[must_use]
    pub const fn of(pipeline: &'p Pipeline) -> Self {
        Self { pipeline }
    }

    /// Plans that closed something.
    pub fn exits(&self) -> impl Iterator<Item = &'p PlanRecord> {
        self.pipeline.plans().iter().filter(|plan| plan.is_exit())
    }

    fn name(&self, position: usize) -> &'p str {
        &self.pipeline.config().positions[position].name
    }

    fn currency(&self, position: usize) -> &'p str {
        let config = self.pipeline.config();
        config.currency_of(&config.positions[position])
    }

    fn spec(&self, plan: &PlanRecord) -> &'p PositionSpec {
        let spec = self.pipeline.standings()[plan.position].spec.as_ref();
        spec.expect("a plan belongs to a position that was opened")
    }

    fn instruments(&self, spec: &PositionSpec) -> Vec<&'p Instrument> {
        let instrument = |leg: &reap_core::position::LegSpec| {
            &self.pipeline.instruments()[usize::from(leg.instrument.0)]
        };
        spec.legs.iter().map(instrument).collect()
    }

    /// Slippage of an exit against its trigger, in the quote currency.
    fn slippage(&self, plan: &PlanRecord) -> Option<Decimal> {
        let spec = self.spec(plan);
        let mantissa = plan.slippage(spec, &self.instruments(spec))?;
        Some(Decimal { mantissa, scale: plan.net.scale })
    }

    /// One exit as data.
    #[must_use]
    pub fn exit_json(&self, plan: &PlanRecord) -> Value {
        let spec = self.spec(plan);
        let instruments = self.instruments(spec);
        let intent = plan.intent();
        let legs: Vec<Value> = instruments
            .iter()
            .enumerate()
            .filter_map(|(leg, instrument)| {
                let (price, qty) = plan.average(leg, instrument)?;
                let id = usize::from(spec.legs[leg].instrument.0);
                Some(json!({
                    "leg": leg,
                    "instrument": self.pipeline.config().instruments[id].name,
                    "side": side_name(spec.legs[leg].side),
                    "price": words::decimal(price),
                    "qty": words::mantissa(qty.raw(), instrument.spec().qty_scale),
                }))
            })
            .collect();
        let prices: Vec<Value> = legs.iter().map(|leg| leg["price"].clone()).collect();
        json!({
            "position": self.name(plan.position),
            "reason": plan.reason().name(),
            "urgency": plan.urgency().name(),
            "rule": intent.rule,
            "part": intent.part,
            "at_ns": plan.intents[0].at.0,
            "ended_ns": plan.ended.map(|(at, _)| at.0),
            "outcome": plan.ended.map_or("live", |(_, outcome)| outcome_name(outcome)),
            "trigger": self.trigger(plan.position, intent),
            "prices": prices,
            "legs": legs,
            "orders": plan.orders.len(),
            "fills": plan.fills.len(),
            "slippage": self.slippage(plan).map(|slippage| money(slippage, 8)),
            "net": money(plan.net, 8),
            "currency": self.currency(plan.position),
        })
    }

    /// Every exit as data.
    #[must_use]
    pub fn exits_json(&self) -> Vec<Value> {
        self.exits().map(|plan| self.exit_json(plan)).collect()
    }

    /// Total net of every exit by currency, rounded down.
    #[must_use]
    pub fn totals(&self) -> Vec<(&'p str, String)> {
        let config = self.pipeline.config();
        let total = |currency: &'p String| {
            let nets = self.exits().filter(|plan| self.currency(plan.position) == currency);
            let mut nets = nets.map(|plan| plan.net).peekable();
            nets.peek()?;
            let total = sum_floor(nets).map_or("out of bounds".into(), |sum| {
                let cents = (sum.to_bits() >> 24).saturating_mul(100) >> 24;
                Decimal { mantissa: cents, scale: 2 }.to_string()
            });
            Some((currency.as_str(), total))
        };
        config.currencies.iter().filter_map(total).collect()
    }

    /// Positions that are not closed, and why.
    fn open(&self) -> impl Iterator<Item = (usize, String)> {
        let standings = self.pipeline.standings().iter().enumerate();
        standings.filter(|(_, standing)| !standing.closed).map(|(at, _)| (at, self.why_open(at)))
    }

    fn why_open(&self, at: usize) -> String {
        let standing = &self.pipeline.standings()[at];
        if let Some(refused) = &standing.refused {
            return format!("refused: {refused}");
        }
        let Some(id) = standing.id else {
            return "never opened: its time or its first quotes did not come".into();
        };
        if let Some(plan) = self.pipeline.executor().plan(id) {
            let stuck = if plan.stuck { ", stuck" } else { "" };
            let (reason, urgency) = (plan.reason.name(), plan.urgency.name());
            return format!("closing for {reason} ({urgency}, {} orders{stuck})", plan.attempts);
        }
        let missed = match standing.missed {
            0 => String::new(),
            1 => "; missed once".into(),
            times => format!("; missed {times} times"),
        };
        match self.pipeline.engine().state(id) {
            Some(reap_core::position::PositionState::DustResidual) => {
                "dust: what is left is too small to sell".into()
            }
            _ => format!("no rule holds{missed}"),
        }
    }

    /// What is left open as data.
    #[must_use]
    pub fn open_json(&self) -> Vec<Value> {
        let one = |(at, why): (usize, String)| {
            let standing = &self.pipeline.standings()[at];
            let legs = &self.pipeline.config().positions[at].legs;
            let open: Vec<String> = legs
                .iter()
                .zip(standing.open)
                .map(|(leg, open)| {
                    let instrument = &self.pipeline.instruments()[usize::from(leg.instrument.0)];
                    words::mantissa(open.raw(), instrument.spec().qty_scale)
                })
                .collect();
            json!({
                "position": self.name(at),
                "why": why,
                "open": open,
                "unrealised": self.pipeline.unrealised(at).map(|net| money(net, 8)),
                "currency": self.currency(at),
            })
        };
        self.open().map(one).collect()
    }

    /// The venues' own books as data.
    #[must_use]
    pub fn venues_json(&self) -> Vec<Value> {
        let config = self.pipeline.config();
        let venue = |(at, matching): (usize, &crate::sim::Matching)| {
            let holdings: Vec<Value> = matching
                .positions()
                .map(|(account, instrument, qty)| {
                    let named = &config.instruments[usize::from(instrument.0)];
                    json!({
                        "account": config.accounts[usize::from(account.0)].name,
                        "instrument": named.name,
                        "qty": words::mantissa(qty, named.spec().qty_scale),
                    })
                })
                .collect();
            let counts = matching.counts();
            json!({
                "venue": config.venues[at].name,
                "orders": counts.orders,
                "fills": counts.fills,
                "expired": counts.expired,
                "rejected": counts.rejected.iter().sum::<u64>(),
                "holdings": holdings,
            })
        };
        self.pipeline.venues().iter().enumerate().map(venue).collect()
    }

    /// Whether the venues hold exactly what the positions that are not closed should still hold.
    #[must_use]
    pub fn books_agree(&self) -> bool {
        let mut expected = std::collections::BTreeMap::new();
        for standing in self.pipeline.standings() {
            let Some(spec) = &standing.spec else { continue };
            for (leg, open) in spec.legs.iter().zip(standing.open) {
                let sign = if leg.side == Side::Long { 1 } else { -1 };
                *expected.entry((leg.account, leg.instrument)).or_insert(0) += sign * open.raw();
            }
        }
        let mut held = std::collections::BTreeMap::new();
        for matching in self.pipeline.venues() {
            for (account, instrument, qty) in matching.positions() {
                held.insert((account, instrument), qty);
            }
        }
        expected.retain(|_, qty| *qty != 0);
        expected == held
    }

    /// Whether a configured position was refused at registration.
    #[must_use]
    pub fn any_refused(&self) -> bool {
        self.pipeline.standings().iter().any(|standing| standing.refused.is_some())
    }

    /// The table of exits, numbered.
    #[must_use]
    pub fn exits_table(&self) -> Vec<String> {
        let head = ["#", "position", "reason", "trigger", "fills", "slippage", "net"];
        let rows: Vec<Vec<String>> = self
            .exits()
            .enumerate()
            .map(|(at, plan)| {
                let currency = self.currency(plan.position);
                let slippage =
                    self.slippage(plan).map_or("-".into(), |slippage| money(slippage, 2));
                vec![
                    (at + 1).to_string(),
                    self.name(plan.position).into(),
                    plan.reason().name().into(),
                    self.trigger(plan.position, plan.intent()),
                    self.fills(plan),
                    slippage,
                    format!("{} {currency}", money(plan.net, 2)),
                ]
            })
            .collect();
        let mut lines = table(&head, &rows, 5);
        for (currency, total) in self.totals() {
            let exits = if rows.len() == 1 { "exit" } else { "exits" };
            lines.push(format!("{} {exits}, net {total} {currency}", rows.len()));
        }
        lines
    }

    fn fills(&self, plan: &PlanRecord) -> String {
        let instruments = self.instruments(self.spec(plan));
        let legs = instruments.iter().enumerate().filter_map(|(leg, instrument)| {
            let (price, qty) = plan.average(leg, instrument)?;
            let qty = words::mantissa(qty.raw(), instrument.spec().qty_scale);
            Some(format!("{qty} @ {}", words::decimal(price)))
        });
        legs.collect::<Vec<_>>().join(", ")
    }

    /// The table of what is left open.
    #[must_use]
    pub fn open_table(&self) -> Vec<String> {
        let rows: Vec<Vec<String>> = self
            .open()
            .map(|(at, why)| {
                let net = self.pipeline.unrealised(at);
                let net = net.map_or("-".into(), |net| money(net, 2));
                vec![self.name(at).into(), why, format!("{net} {}", self.currency(at))]
            })
            .collect();
        if rows.is_empty() {
            return vec!["nothing is left open".into()];
        }
        table(&["left open", "why", "before fees"], &rows, 2)
    }

    /// The table of latencies.
    #[must_use]
    pub fn latency_table(&self) -> Vec<String> {
        let head = ["stage", "p50", "p90", "p99", "p99.9", "max", "count"];
        table(&head, &self.pipeline.stages().rows(), 1)
    }

    /// A trigger in readable numbers.
    #[must_use]
    pub fn trigger(&self, position: usize, intent: &Intent) -> String {
        let config = self.pipeline.config();
        let first = &config.positions[position].legs[0];
        let named = &config.instruments[usize::from(first.instrument.0)];
        match intent.compiled {
            Compiled::Price { cmp, limit } => {
                let price = if first.side == Side::Long { "bid" } else { "ask" };
                let limit = words::mantissa(limit, named.spec().price_scale);
                format!("{price} {} {limit}", sign(cmp))
            }
            Compiled::Net(form) => {
                let mut exits = [0; reap_core::limits::LEGS_MAX];
                for ((exit, input), leg) in
                    exits.iter_mut().zip(intent.inputs).zip(&config.positions[position].legs)
                {
                    let Some(quote) = input.and_then(|input| input.quote) else { continue };
                    *exit = exit_price(leg.side, quote.bid, quote.ask).raw();
                }
                let scale = config.positions[position]
                    .legs
                    .iter()
                    .map(|leg| {
                        self.pipeline.instruments()[usize::from(leg.instrument.0)].nano_scale()
                    })
                    .max()
                    .unwrap_or_default();
                let beyond = Decimal { mantissa: form.value(&exits) - form.bound, scale };
                let currency = self.currency(position);
                match form.cmp {
                    Cmp::AtLeast => format!("net {} {currency} above target", money(beyond, 4)),
                    Cmp::AtMost => {
                        let below = Decimal { mantissa: -beyond.mantissa, scale };
                        format!("net {} {currency} below stop", money(below, 4))
                    }
                }
            }
            Compiled::Unconditional => "-".into(),
        }
    }

    /// One happening in one line; `None` for what only details matter of.
    #[must_use]
    pub fn line(config: &crate::config::Config, at: usize, what: &Happening<'_>) -> Option<String> {
        let position = &config.positions[at];
        let name = &position.name;
        let instrument = |order: &Order| &config.instruments[usize::from(order.instrument.0)];
        Some(match what {
            Happening::Opened(spec) => {
                let legs = spec.legs.iter().map(|leg| {
                    let named = &config.instruments[usize::from(leg.instrument.0)];
                    let qty = words::mantissa(leg.qty.raw(), named.spec().qty_scale);
                    let entry = words::mantissa(leg.entry.raw(), named.spec().price_scale);
                    format!("{} {qty} {} at {entry}", side_name(leg.side), named.name)
                });
                let policy = &config.policies[usize::from(spec.policy.0)].name;
                format!("{name}: open, {}; policy {policy}", legs.collect::<Vec<_>>().join(", "))
            }
            Happening::Refused(why) => format!("{name}: refused, {why}"),
            Happening::Intent(intent) => {
                let (reason, urgency) = (intent.reason.name(), intent.urgency.name());
                format!("{name}: {reason} holds ({urgency})")
            }
            Happening::Sent(order) => {
                let named = instrument(order);
                let qty = words::mantissa(order.qty.raw(), named.spec().qty_scale);
                let limit = order.limit.map_or("market".into(), |limit| {
                    format!("limit {}", words::mantissa(limit.raw(), named.spec().price_scale))
                });
                format!(
                    "{name}: {} {qty} {} {limit}, {}",
                    order_side(order.side),
                    named.name,
                    order.id
                )
            }
            Happening::Answered(_, OrderChange::Acked) => return None,
            Happening::Answered(order, OrderChange::Filled { price, qty, .. }) => {
                let named = instrument(order);
                let qty = words::mantissa(qty.raw(), named.spec().qty_scale);
                let price = words::mantissa(price.raw(), named.spec().price_scale);
                format!("{name}: filled {qty} {} at {price}", named.name)
            }
            Happening::Answered(order, OrderChange::Expired) => {
                format!("{name}: the rest of {} expired", instrument(order).name)
            }
            Happening::Answered(order, OrderChange::Rejected(class)) => {
                format!("{name}: {} rejected ({class:?})", instrument(order).name)
            }
            Happening::Ended(Outcome::Missed, _) => format!("{name}: missed, armed again"),
            Happening::Ended(outcome, plan) => {
                let net = money(plan.net, 4);
                let currency = config.currency_of(position);
                format!("{name}: {}, net {net} {currency}", outcome_name(*outcome))
            }
        })
    }

    /// Counters of messages as data: by kind, ignored and rejected by reason.
    #[must_use]
    pub fn messages_json(&self) -> [(&'static str, Value); 3] {
        let counts = self.pipeline.counts();
        let object = |counted: Vec<(&'static str, u64)>| {
            let pairs = counted.into_iter().map(|(name, count)| (name.to_owned(), json!(count)));
            Value::Object(pairs.collect::<Map<String, Value>>())
        };
        let mut ignored: Vec<(&'static str, u64)> = counts.ignored_reasons().collect();
        let mut rejected: Vec<(&'static str, u64)> = counts.rejected_reasons().collect();
        let gates = self.pipeline.engine().gate_counters();
        let of_gates = [
            ("repeated_update_id", gates.refreshed),
            ("older_update_id", gates.older),
            ("jump_held_aside", gates.held),
            ("jump_returned", gates.jump_returned),
        ];
        ignored.extend(of_gates.into_iter().filter(|(_, count)| *count > 0));
        rejected.sort_unstable();
        [
            ("messages", object(counts.kinds().collect())),
            ("ignored", object(ignored)),
            ("rejected", object(rejected)),
        ]
    }
}

const fn sign(cmp: Cmp) -> &'static str {
    match cmp {
        Cmp::AtLeast => "≥",
        Cmp::AtMost => "≤",
    }
}

const fn exit_price(side: Side, bid: Price, ask: Price) -> Price {
    match side {
        Side::Long => bid,
        Side::Short => ask,
    }
}

/// `long` or `short`.
#[must_use]
pub const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Long => "long",
        Side::Short => "short",
    }
}

const fn order_side(side: OrderSide) -> &'static str {
    match side {
        OrderSide::Buy => "buy",
        OrderSide::Sell => "sell",
    }
}

/// How a plan ended, in one word.
#[must_use]
pub const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Closed => "closed",
        Outcome::Done => "done",
        Outcome::Missed => "missed",
        Outcome::Dust => "dust",
    }
}

/// An amount with at most this many decimals, rounded down: never more than there is.
#[must_use]
pub fn money(amount: Decimal, decimals: u8) -> String {
    amount.round_floor(decimals).to_string()
}

/// A time of day in UTC with milliseconds.
#[must_use]
pub fn time_of_day(at: Nanos) -> String {
    let millis = at.0 / 1_000_000 % 86_400_000;
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{millis:03}", seconds % 60)
}
