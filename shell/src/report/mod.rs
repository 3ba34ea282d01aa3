//! What a run did, for people and for programs: exits, what is left open, the venues' books.

mod left;
mod line;
mod messages;
mod portfolio;
mod tasks;

use reap_core::GateCounters;
use reap_core::instrument::{AccountId, Instrument, InstrumentId};
use reap_core::intent::Intent;
use reap_core::limits::LEGS_MAX;
use reap_core::net::{Cmp, Compiled};
use reap_core::note::SeenBy;
use reap_core::plan::PlanView;
use reap_core::policy::TriggerSource;
use reap_core::position::{LegSpec, PositionId, PositionSpec, Side};
use reap_core::task::TaskView;
use reap_core::tick::Quote;
use reap_core::units::{Decimal, Price, sum_floor};
use reap_feed::decoded::Counts;
use serde_json::{Value, json};

pub use self::line::{
    lost, money, order_side, outcome_name, side_name, time_of_day, waits_for_funding,
};
use crate::config::words;
use crate::pipeline::Stages;
use crate::story::{PlanRecord, Story};
use crate::table::table;

/// What only the driver of a run knows.
pub trait Driver {
    /// The latest quote of an instrument that is believed.
    fn quote(&self, instrument: InstrumentId) -> Option<Quote>;
    /// The live plan of a position, as its executor sees it.
    fn plan(&self, id: PositionId) -> Option<PlanView>;
    /// The venues' own books, by [`reap_core::instrument::VenueId`].
    fn books(&self) -> Vec<VenueBook>;
    /// Whether the venues hold what a configured position says from the beginning, or only from its
    /// opening on.
    fn holds_from_the_beginning(&self) -> bool {
        false
    }
    /// What tasks have done, by [`reap_core::entry::TaskId`].
    fn tasks(&self) -> Vec<TaskView> {
        Vec::new()
    }
    /// What became of the messages of all sources.
    fn counts(&self) -> Counts;
    /// What the engine's price gates did.
    fn gates(&self) -> GateCounters;
    /// Latency by stage.
    fn stages(&self) -> &Stages;
}

/// A venue's own books.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VenueBook {
    /// Orders that arrived.
    pub orders: u64,
    /// Fills.
    pub fills: u64,
    /// Orders that traded less than they wanted, or nothing.
    pub expired: u64,
    /// Orders refused.
    pub rejected: u64,
    /// What accounts hold, where that is not nothing: positive is long.
    pub holdings: Vec<(AccountId, InstrumentId, i64)>,
}

/// Reports over one run.
#[derive(Clone, Copy)]
pub struct Report<'p> {
    story: &'p Story,
    driver: &'p dyn Driver,
}

impl<'p> Report<'p> {
    /// Reports over this story, with what its driver adds.
    #[must_use]
    pub const fn new(story: &'p Story, driver: &'p dyn Driver) -> Self {
        Self { story, driver }
    }

    /// The story.
    #[must_use]
    pub const fn story(&self) -> &'p Story {
        self.story
    }

    /// Plans that closed something.
    pub fn exits(&self) -> impl Iterator<Item = &'p PlanRecord> {
        self.story.plans().iter().filter(|plan| plan.is_exit())
    }

    fn name(&self, position: usize) -> &'p str {
        &self.story.config().positions[position].name
    }

    fn currency(&self, position: usize) -> &'p str {
        let config = self.story.config();
        config.currency_of(&config.positions[position])
    }

    fn spec(&self, plan: &PlanRecord) -> &'p PositionSpec {
        let spec = self.story.standings()[plan.position].spec.as_ref();
        spec.expect("a plan belongs to a position that was opened")
    }

    fn instruments(&self, spec: &PositionSpec) -> Vec<&'p Instrument> {
        let instrument = |leg: &LegSpec| self.story.instrument(leg.instrument);
        spec.legs.iter().map(instrument).collect()
    }

    /// Slippage of an exit against its trigger, in the quote currency.
    #[must_use]
    pub fn slippage(&self, plan: &PlanRecord) -> Option<Decimal> {
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
                    "instrument": self.story.config().instruments[id].name,
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
            "trigger": self.trigger(plan, intent),
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
        let config = self.story.config();
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
                    self.trigger(plan, plan.intent()),
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

    /// Latencies as data.
    #[must_use]
    pub fn latency_json(&self) -> Value {
        self.driver.stages().to_json()
    }

    /// The table of latencies.
    #[must_use]
    pub fn latency_table(&self) -> Vec<String> {
        let head = ["stage", "p50", "p90", "p99", "p99.9", "max", "count"];
        table(&head, &self.driver.stages().rows(), 1)
    }

    /// Scale of a configured position's money.
    #[must_use]
    pub fn nano_scale(&self, position: usize) -> u8 {
        let legs = self.story.config().positions[position].legs.iter();
        let scales = legs.map(|leg| self.story.instrument(leg.instrument).nano_scale());
        scales.max().unwrap_or_default()
    }

    /// The trigger of one of a plan's intents in readable numbers.
    #[must_use]
    pub fn trigger(&self, plan: &PlanRecord, intent: &Intent) -> String {
        let position = plan.position;
        match intent.compiled {
            Compiled::Price { cmp, limit } => {
                self.price_trigger(position, 0, TriggerSource::Bbo, cmp, limit)
            }
            Compiled::Net(form) => {
                let mut exits = [0; LEGS_MAX];
                for ((exit, input), leg) in exits
                    .iter_mut()
                    .zip(intent.inputs)
                    .zip(&self.story.config().positions[position].legs)
                {
                    let Some(quote) = input.and_then(|input| input.quote) else { continue };
                    *exit = exit_price(leg.side, quote.bid, quote.ask).raw();
                }
                let scale = self.nano_scale(position);
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
            Compiled::Unconditional => {
                let limit = |seen: &SeenBy| {
                    let (cmp, limit) = seen.limit?;
                    Some(self.price_trigger(position, seen.leg.into(), seen.source, cmp, limit))
                };
                let mut seen = plan.seen_by(intent).peekable();
                match seen.peek() {
                    Some(SeenBy { limit: None, .. }) => "net, by the prices that held".into(),
                    _ => seen.find_map(limit).unwrap_or_else(|| "-".into()),
                }
            }
        }
    }

    /// A limit of one price of a leg in readable numbers.
    #[must_use]
    pub fn price_trigger(
        &self,
        position: usize,
        leg: usize,
        source: TriggerSource,
        cmp: Cmp,
        limit: i64,
    ) -> String {
        let config = self.story.config();
        let leg = &config.positions[position].legs[leg];
        let named = &config.instruments[usize::from(leg.instrument.0)];
        let price = words::exit_price_name(source, leg.side);
        let limit = words::mantissa(limit, named.spec().price_scale);
        format!("{price} {} {limit}", sign(cmp))
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
