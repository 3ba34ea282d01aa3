//! Exits and near misses as data: every field, under keys that stay.
//!
//! Numbers of money, prices and quantities are strings, exact to the last digit; times are
//! nanoseconds since 1970, spans nanoseconds. What does not apply is null, never left out.

use reap_core::intent::Intent;
use reap_core::net::{Cmp, Compiled};
use reap_core::note::{Overruled, SeenBy};
use reap_core::order::{OrderChange, RejectClass};
use reap_core::policy::TriggerSource;
use reap_core::position::Side;
use reap_core::units::{Decimal, Nanos};
use serde_json::{Value, json};

use super::progress;
use crate::config::words;
use crate::report::{Report, money, order_side, outcome_name, side_name};
use crate::story::{LeggingRecord, NearRecord, OrderRecord, PlanRecord, Waited};

/// An exit; `number` as `reap replay` numbers it, from 1.
#[must_use]
pub fn exit(report: &Report<'_>, number: usize, plan: &PlanRecord) -> Value {
    let of = Of { report, position: plan.position };
    let outcome = plan.ended.map_or("live", |(_, outcome)| outcome_name(outcome));
    json!({
        "exit": number,
        "position": of.name(),
        "policy": of.policy(plan.intent().policy_version),
        "reason": plan.reason().name(),
        "urgency": plan.urgency().name(),
        "outcome": outcome,
        "began_ns": plan.intents[0].at.0,
        "ended_ns": plan.ended.map(|(at, _)| at.0),
        "held": of.held(),
        "waited": plan.waited.iter().map(|(at, waited)| of.waited(*at, *waited)).collect::<Vec<_>>(),
        "intents": plan.intents.iter().map(|intent| of.intent(plan, intent)).collect::<Vec<_>>(),
        "orders": plan.orders.iter().map(|order| of.order(order)).collect::<Vec<_>>(),
        "fills": plan.fills.iter().map(|fill| of.fill(fill)).collect::<Vec<_>>(),
        "legging": plan.legging.iter().map(|legging| of.legging(legging)).collect::<Vec<_>>(),
        "slippage": report.slippage(plan).map(|slippage| money(slippage, 8)),
        "net": money(plan.net, 8),
        "currency": of.currency(),
    })
}

/// A near miss.
#[must_use]
pub fn near_miss(report: &Report<'_>, near: &NearRecord) -> Value {
    let of = Of { report, position: near.position };
    let miss = &near.miss;
    let looks_at = super::looks_at(report, miss, near.position);
    json!({
        "position": of.name(),
        "policy": of.policy(miss.policy_version),
        "reason": miss.reason.name(),
        "rule": of.rule(miss.rule, miss.part),
        "trigger": of.trigger(looks_at, &miss.trigger, &miss.exits.map(Some)),
        "progress": progress(miss.progress),
        "prices": of.prices(&miss.exits),
        "reached_ns": miss.reached.0,
        "nearest_ns": miss.nearest.0,
        "left_ns": miss.left.0,
    })
}

/// What is said of one position.
struct Of<'r> {
    report: &'r Report<'r>,
    position: usize,
}

impl Of<'_> {
    fn config(&self) -> &crate::config::Config {
        self.report.story().config()
    }

    fn name(&self) -> &str {
        &self.config().positions[self.position].name
    }

    fn currency(&self) -> &str {
        let config = self.config();
        config.currency_of(&config.positions[self.position])
    }

    fn instrument(&self, leg: usize) -> &crate::config::NamedInstrument {
        let config = self.config();
        let id = config.positions[self.position].legs[leg].instrument;
        &config.instruments[usize::from(id.0)]
    }

    fn side(&self, leg: usize) -> Side {
        self.config().positions[self.position].legs[leg].side
    }

    fn policy(&self, version: u32) -> Value {
        let config = self.config();
        let policy = config.positions[self.position].policy;
        json!({ "name": config.policies[usize::from(policy.0)].name, "version": version })
    }

    fn rule(&self, rule: u8, part: u8) -> Value {
        let config = self.config();
        let policy = config.positions[self.position].policy;
        let policy = &config.policies[usize::from(policy.0)].policy;
        let said = policy.rules.get(usize::from(rule));
        let words = said.map_or_else(
            || super::of_no_policy(rule, part),
            |said| words::rule(&said.rule, self.currency()),
        );
        let preset = said.and_then(|said| said.preset);
        json!({
            "index": rule,
            "part": part,
            "preset": preset.map(|of| json!({ "name": of.name, "version": of.version })),
            "words": words,
        })
    }

    fn held(&self) -> Value {
        let standing = &self.report.story().standings()[self.position];
        let legs = standing.spec.as_ref().map(|spec| &spec.legs[..]).unwrap_or_default();
        let leg = |(at, leg): (usize, &reap_core::position::LegSpec)| {
            let named = self.instrument(at);
            let spec = named.spec();
            json!({
                "leg": at,
                "instrument": named.name,
                "side": side_name(leg.side),
                "qty": words::mantissa(leg.qty.raw(), spec.qty_scale),
                "entry": words::mantissa(leg.entry.raw(), spec.price_scale),
                "fees_paid": words::decimal(leg.fees_paid),
                "funding": words::decimal(leg.funding),
            })
        };
        legs.iter().enumerate().map(leg).collect()
    }

    fn intent(&self, plan: &PlanRecord, intent: &Intent) -> Value {
        let exits: [Option<i64>; reap_core::limits::LEGS_MAX] = std::array::from_fn(|leg| {
            let quote = intent.inputs[leg]?.quote?;
            Some(match self.side(leg) {
                Side::Long => quote.bid.raw(),
                Side::Short => quote.ask.raw(),
            })
        });
        let keep = (0..usize::from(intent.legs)).map(|leg| {
            words::mantissa(intent.keep[leg].raw(), self.instrument(leg).spec().qty_scale)
        });
        let lost = plan.overruled.iter().filter(|(_, of)| of.intent == intent.seq);
        let spent = plan.spent.iter().find(|spent| spent.intent == intent.seq);
        let sent = plan.sent_after(intent);
        json!({
            "intent": intent.seq,
            "at_ns": intent.at.0,
            "reason": intent.reason.name(),
            "urgency": intent.urgency.name(),
            "rule": self.rule(intent.rule, intent.part),
            "trigger": self.trigger_of(plan, intent, &exits),
            "inputs": self.inputs(intent),
            "held_by": plan.seen_by(intent).map(|seen| self.seen(seen)).collect::<Vec<_>>(),
            "keep": keep.collect::<Vec<_>>(),
            "overruled": lost.map(|(at, of)| self.overruled(*at, of)).collect::<Vec<_>>(),
            "latency": {
                "received_decoded_ns": spent.map(|spent| spent.decode),
                "decoded_decided_ns": spent.map(|spent| spent.decide),
                "decided_sent_ns": sent.map(|after| after.0),
            },
        })
    }

    fn overruled(&self, at: Nanos, of: &Overruled) -> Value {
        json!({
            "at_ns": at.0,
            "reason": of.reason.name(),
            "urgency": of.urgency.name(),
            "rule": self.rule(of.rule, of.part),
            "why": of.why.name(),
        })
    }

    fn waited(&self, at: Nanos, waited: Waited) -> Value {
        json!({
            "at_ns": at.0,
            "reason": waited.reason.name(),
            "rule": self.rule(waited.rule, 0),
            "settles_ns": waited.settles.0,
        })
    }

    fn inputs(&self, intent: &Intent) -> Value {
        let input = |(leg, input): (usize, &reap_core::intent::Input)| {
            let named = self.instrument(leg);
            let scale = named.spec().price_scale;
            let price = |price: reap_core::units::Price| words::mantissa(price.raw(), scale);
            json!({
                "leg": leg,
                "instrument": named.name,
                "bid": input.quote.map(|quote| price(quote.bid)),
                "ask": input.quote.map(|quote| price(quote.ask)),
                "counts": if self.side(leg) == Side::Long { "bid" } else { "ask" },
                "age_ns": input.quote.map(|_| input.age.0),
                "update_id": input.quote.map(|_| input.update_id),
            })
        };
        intent.inputs.iter().flatten().enumerate().map(input).collect()
    }

    fn prices(&self, exits: &[i64]) -> Value {
        let legs = self.config().positions[self.position].legs.len();
        let price = |leg: usize| {
            let named = self.instrument(leg);
            json!({
                "leg": leg,
                "instrument": named.name,
                "price": words::mantissa(exits[leg], named.spec().price_scale),
            })
        };
        (0..legs).filter(|&leg| exits[leg] != 0).map(price).collect()
    }

    /// A price that raised an intent and is no best bid or ask.
    fn seen(&self, seen: &SeenBy) -> Value {
        let named = self.instrument(seen.leg.into());
        json!({
            "leg": seen.leg,
            "instrument": named.name,
            "source": seen.source.name(),
            "price": words::mantissa(seen.price.raw(), named.spec().price_scale),
            "age_ns": seen.age.0,
        })
    }

    fn trigger_of(&self, plan: &PlanRecord, intent: &Intent, exits: &[Option<i64>]) -> Value {
        let limit = |seen: &SeenBy| {
            let (cmp, limit) = seen.limit?;
            let compiled = Compiled::Price { cmp, limit };
            Some(self.trigger((seen.source, seen.leg.into()), &compiled, exits))
        };
        let seen = plan.seen_by(intent).find_map(limit);
        seen.unwrap_or_else(|| self.trigger((TriggerSource::Bbo, 0), &intent.compiled, exits))
    }

    /// What had to hold: a price of a leg also in ticks, the first that satisfies it; of several legs
    /// the net and how far it is beyond. Null for what needs no price.
    fn trigger(
        &self,
        (source, leg): (TriggerSource, usize),
        compiled: &Compiled,
        exits: &[Option<i64>],
    ) -> Value {
        match *compiled {
            Compiled::Price { cmp, limit } => {
                let named = self.instrument(leg);
                let spec = named.spec();
                json!({
                    "instrument": named.name,
                    "price_of": words::exit_price_name(source, self.side(leg)),
                    "compare": compare(cmp),
                    "price": words::mantissa(limit, spec.price_scale),
                    "ticks": ticks(cmp, limit, spec.tick),
                    "net_beyond": Value::Null,
                })
            }
            Compiled::Net(form) => {
                let legs = usize::from(form.count);
                let known: Option<Vec<i64>> = exits[..legs].iter().copied().collect();
                let beyond = known.map(|known| {
                    let mut exits = [0; reap_core::limits::LEGS_MAX];
                    exits[..legs].copy_from_slice(&known);
                    let beyond = match form.cmp {
                        Cmp::AtLeast => form.value(&exits) - form.bound,
                        Cmp::AtMost => form.bound - form.value(&exits),
                    };
                    let scale = self.report.nano_scale(self.position);
                    words::decimal(Decimal { mantissa: beyond, scale })
                });
                json!({
                    "instrument": Value::Null,
                    "price_of": Value::Null,
                    "compare": compare(form.cmp),
                    "price": Value::Null,
                    "ticks": Value::Null,
                    "net_beyond": beyond,
                })
            }
            Compiled::Unconditional => Value::Null,
        }
    }

    fn order(&self, record: &OrderRecord) -> Value {
        let order = &record.order;
        let named = self.instrument(record.leg);
        let spec = named.spec();
        let since = |find: fn(&OrderChange) -> bool| {
            let said = record.said.iter().find(|(_, what)| find(what));
            said.map(|(at, _)| at.since(record.sent_at).0)
        };
        json!({
            "id": order.id.to_string(),
            "leg": record.leg,
            "instrument": named.name,
            "side": order_side(order.side),
            "qty": words::mantissa(order.qty.raw(), spec.qty_scale),
            "limit": order.limit.map(|limit| words::mantissa(limit.raw(), spec.price_scale)),
            "sent_ns": record.sent_at.0,
            "answers": record.said.iter().map(|(at, what)| self.answer(record.leg, *at, what))
                .collect::<Vec<_>>(),
            "proven": record.proven.map(|(at, inferred)| json!({
                "at_ns": at.0,
                "inferred": words::mantissa(inferred.raw(), spec.qty_scale),
            })),
            "latency": {
                "sent_acked_ns": since(|what| matches!(what, OrderChange::Acked)),
                "sent_filled_ns": since(|what| matches!(what, OrderChange::Filled { .. })),
            },
        })
    }

    fn answer(&self, leg: usize, at: Nanos, what: &OrderChange) -> Value {
        let named = self.instrument(leg);
        let (mut price, mut qty, mut fee) = (None, None, None);
        let mut class = None;
        let name = match what {
            OrderChange::Acked => "acked",
            OrderChange::Filled { price: at, qty: of, fee: paid, .. } => {
                price = Some(words::mantissa(at.raw(), named.spec().price_scale));
                qty = Some(words::mantissa(of.raw(), named.spec().qty_scale));
                fee = Some(self.fee(leg, *paid));
                "filled"
            }
            OrderChange::Expired => "expired",
            OrderChange::Rejected(of) => {
                class = Some(reject_name(*of));
                "rejected"
            }
            OrderChange::Doubted => "doubted",
            OrderChange::NotFound => "not_found",
        };
        json!({
            "at_ns": at.0,
            "what": name,
            "price": price,
            "qty": qty,
            "fee": fee,
            "class": class,
        })
    }

    fn legging(&self, record: &LeggingRecord) -> Value {
        json!({
            "leg": record.leg,
            "instrument": self.instrument(record.leg).name,
            "told_ns": record.at.0,
            "notional": money(record.notional, 8),
            "overdue_ns": record.overdue.map(|at| at.0),
            "lasted_ns": record.over.map(|(lasted, _)| lasted.0),
            "most_notional": record.over.map(|(_, most)| money(most, 8)),
        })
    }

    fn fill(&self, fill: &crate::story::FillRecord) -> Value {
        let spec = self.instrument(fill.leg).spec();
        json!({
            "leg": fill.leg,
            "at_ns": fill.at.0,
            "price": words::mantissa(fill.price.raw(), spec.price_scale),
            "qty": words::mantissa(fill.qty.raw(), spec.qty_scale),
            "fee": self.fee(fill.leg, fill.fee),
        })
    }

    fn fee(&self, leg: usize, fee: i128) -> String {
        let scale = self.instrument(leg).instrument.nano_scale();
        words::decimal(Decimal { mantissa: fee, scale })
    }
}

const fn compare(cmp: Cmp) -> &'static str {
    match cmp {
        Cmp::AtLeast => "at_least",
        Cmp::AtMost => "at_most",
    }
}

/// The first tick that satisfies a limit.
#[must_use]
pub const fn ticks(cmp: Cmp, limit: i64, tick: i64) -> i64 {
    match cmp {
        Cmp::AtLeast => limit / tick + (limit % tick > 0) as i64,
        Cmp::AtMost => limit / tick,
    }
}

const fn reject_name(class: RejectClass) -> &'static str {
    match class {
        RejectClass::Price => "price",
        RejectClass::Size => "size",
        RejectClass::RateLimit => "rate_limit",
        RejectClass::Unavailable => "unavailable",
        RejectClass::Fatal => "fatal",
    }
}
