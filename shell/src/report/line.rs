//! One happening in one line, and the words that lines and tables share.

use reap_core::entry::TaskId;
use reap_core::event::Outcome;
use reap_core::instrument::{InstrumentId, VenueId};
use reap_core::intent::Reason;
use reap_core::note::{EngineNote, ExecutorNote, Lost, TaskNote};
use reap_core::order::{Order, OrderChange, OrderSide};
use reap_core::policy::PolicyId;
use reap_core::position::Side;
use reap_core::units::{Decimal, Nanos, Price, Qty};

use super::{Report, portfolio};
use crate::config::{Config, kind_of, words};
use crate::story::{Happening, LeggingRecord};

impl Report<'_> {
    /// One happening in one line; `None` for what only details matter of.
    #[must_use]
    pub fn line(config: &Config, at: usize, what: &Happening<'_>) -> Option<String> {
        let name = config.positions.get(at).map_or("portfolio", |position| &position.name);
        let instrument = |order: &Order| &config.instruments[usize::from(order.instrument.0)];
        let of_task =
            |task: u32| config.tasks.get(task as usize).map_or("reversal", |task| &task.name);
        let name = match what {
            Happening::Sent(order) | Happening::Answered(order, _) if order.id.is_entry() => {
                of_task(order.id.position.0)
            }
            Happening::Entered(position, _) => &position.name,
            _ => name,
        };
        Some(match what {
            Happening::Opened(spec) | Happening::Entered(_, spec) => {
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
            Happening::Said(note) => said(config, name, note)?,
            Happening::Stuck => format!(
                "{name}: stuck, nothing of it could be closed for too long; tried again and again"
            ),
            Happening::Venue(note) => venue(config, name, note)?,
            Happening::Legging(record) => legging(config, at, name, record)?,
            Happening::EntryUnhedged(task) => format!(
                "{}: one leg of its entry is filled and of the other nobody knows; what does not \
                 match is undone",
                of_task(u32::from(task.0))
            ),
            Happening::Proven(order, inferred) => {
                let named = instrument(order);
                let qty = words::mantissa(inferred.raw(), named.spec().qty_scale);
                let id = order.id;
                match *inferred {
                    Qty::ZERO => format!(
                        "{name}: the venue has no order {id} and the holding is unchanged: it is \
                         dead, and tried again"
                    ),
                    _ => format!(
                        "{name}: the venue has no order {id}, but {qty} {} are missing there: \
                         booked as filled",
                        named.name
                    ),
                }
            }
            Happening::Lost { leg, lost } => {
                let leg = config.positions.get(at)?.legs.get(*leg)?;
                let named = &config.instruments[usize::from(leg.instrument.0)];
                let qty = words::mantissa(lost.raw(), named.spec().qty_scale);
                format!("{name}: {qty} {} are gone by no order of ours, written off", named.name)
            }
            Happening::NearMiss(miss) => format!(
                "{name}: {} came near ({} of the way) and turned back",
                miss.reason.name(),
                crate::explain::progress(miss.progress)
            ),
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
            Happening::Answered(order, OrderChange::Doubted) => format!(
                "{name}: the fate of {} is not known; nothing else is sent for its quantity while \
                 the venue is asked",
                order.id
            ),
            Happening::Answered(order, OrderChange::NotFound) => {
                format!("{name}: the venue has no order {}", order.id)
            }
            Happening::Answered(order, OrderChange::Rejected(class)) => {
                format!("{name}: {} rejected ({class:?})", instrument(order).name)
            }
            Happening::Ended(Outcome::Missed, _) => format!("{name}: missed, armed again"),
            Happening::Ended(outcome, plan) => {
                let net = money(plan.net, 4);
                let currency = config.currency_of(config.positions.get(at)?);
                format!("{name}: {}, net {net} {currency}", outcome_name(*outcome))
            }
        })
    }
}

/// What is said of a venue.
fn venue(config: &Config, name: &str, note: &ExecutorNote) -> Option<String> {
    let of = |venue: VenueId| &config.venues[usize::from(venue.0)].name;
    Some(match *note {
        ExecutorNote::VenueHeld { venue, why } => format!(
            "{}: it refuses every order ({why:?}); held, one order at a time is tried",
            of(venue),
        ),
        ExecutorNote::HalfHeld { venue, leg, .. } => {
            format!("{name}: leg {leg} is at {}, which is held; its other legs are not", of(venue))
        }
        ExecutorNote::VenueResumed { venue } => {
            format!("{}: it takes orders again", of(venue))
        }
        ExecutorNote::VenueLimited { venue, until } => format!(
            "{}: too many requests, it wants to be left alone until {}",
            of(venue),
            time_of_day(until)
        ),
        _ => return None,
    })
}

/// Legs of a plan that stand without their counterpart.
fn legging(config: &Config, at: usize, name: &str, record: &LeggingRecord) -> Option<String> {
    let position = config.positions.get(at)?;
    let currency = config.currency_of(position);
    let notional = |amount| format!("{} {currency}", money(amount, 2));
    let named = &config.instruments[usize::from(position.legs.get(record.leg)?.instrument.0)];
    Some(match record {
        LeggingRecord { over: Some((lasted, most)), .. } => {
            let lasted = crate::pipeline::span(lasted.0);
            let most = notional(*most);
            format!("{name}: its legs match again after {lasted}, {most} at most")
        }
        LeggingRecord { overdue: Some(_), .. } => format!(
            "{name}: {} stands without its counterpart for too long or with too much; the rest is \
             closed urgently",
            named.name
        ),
        LeggingRecord { notional: of, .. } => {
            format!("{name}: {} of {} stand without counterpart", notional(*of), named.name)
        }
    })
}

/// `long` or `short`.
#[must_use]
pub const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Long => "long",
        Side::Short => "short",
    }
}

/// `buy` or `sell`.
#[must_use]
pub const fn order_side(side: OrderSide) -> &'static str {
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

/// A note of the engine in words; `None` for what another line tells, or only the details.
fn said(config: &Config, name: &str, note: &EngineNote) -> Option<String> {
    let wanted = |instrument: InstrumentId, side| {
        let instrument = &config.instruments[usize::from(instrument.0)].name;
        format!("signal: {} {instrument}", side_name(side))
    };
    let policy = |id: PolicyId| &config.policies[usize::from(id.0)];
    Some(match *note {
        EngineNote::SeenBy(_) => return None,
        EngineNote::Stray { what, .. } => format!("{name}: not expected, and left aside: {what}"),
        EngineNote::Dump { by_volumes, .. } => {
            let by = if by_volumes { "both signs of the volumes" } else { "volumes and price" };
            format!("{name}: a dump is detected, by {by}")
        }
        EngineNote::CorrelatedDump { leader, .. } => {
            let leader = &config.instruments[usize::from(leader.0)].name;
            format!("{name}: a correlated dump is detected, led by {leader}")
        }
        EngineNote::FarEntry { instrument, entry, live, .. } => {
            let named = &config.instruments[usize::from(instrument.0)];
            let price = |price: Price| words::mantissa(price.raw(), named.spec().price_scale);
            format!(
                "{name}: WARNING: its entry of {} in {} is more than {} times off the first live \
                 price, {}: is it the right symbol, scale and multiplier?",
                price(entry),
                named.name,
                config.gates.entry_factor,
                price(live)
            )
        }
        EngineNote::Task { task, what } => return of_task(config, task, what),
        EngineNote::Committed { of, policy: to } => {
            let (of, to) = (&policy(of).name, &policy(to).name);
            format!("policy {of}: what is opened from now on gets {to}")
        }
        EngineNote::Policy { policy: to, waits: false, .. } => {
            format!("{name}: under policy {} from now on", policy(to).name)
        }
        EngineNote::Policy { policy: to, waits: true, .. } => {
            format!("{name}: goes over to policy {} when its plan has ended", policy(to).name)
        }
        EngineNote::PolicyRefused { policy: to, why, .. } => {
            format!("{name}: policy {} is refused, {why}", policy(to).name)
        }
        EngineNote::Rule { policy: of, rule, on, .. } => {
            let kind = kind_of(&policy(of).policy.rules[usize::from(rule)].rule);
            let (on, of) = (if on { "on" } else { "off" }, &policy(of).name);
            format!("{name}: {kind} (rule {} of policy {of}) is {on}", rule + 1)
        }
        EngineNote::Overruled(of) => {
            let (reason, urgency) = (of.reason.name(), of.urgency.name());
            format!("{name}: {reason} holds too ({urgency}), {}", lost(of.why))
        }
        EngineNote::SignalRefused { why, .. } => {
            format!("{name}: does not make way for the signal, {}", why.name())
        }
        EngineNote::EntryAllowed { instrument, side } => {
            format!("{}, entry allowed", wanted(instrument, side))
        }
        EngineNote::SignalDropped { instrument, side, why } => {
            format!("{}, dropped: {}", wanted(instrument, side), why.name())
        }
        EngineNote::Portfolio(ref note) => portfolio::said(config, name, note),
        EngineNote::Rung { instrument, own, counts } => {
            let instrument = &config.instruments[usize::from(instrument.0)].name;
            let wanted = words::price_name(own);
            match counts {
                Some(counts) if counts == own => format!("{instrument}: the {wanted} counts again"),
                Some(counts) => {
                    let other = words::price_name(counts);
                    format!("{instrument}: the {other} stands in for the {wanted}")
                }
                None => format!("{instrument}: no price is left"),
            }
        }
        EngineNote::HeldForFunding { reason, settles, .. } => {
            format!("{name}: {}", waits_for_funding(reason, settles))
        }
        EngineNote::Blind { on: true, .. } => format!("{name}: blind, no price of a leg is left"),
        EngineNote::Blind { on: false, .. } => format!("{name}: not blind any more"),
    })
}

/// A rule that holds and waits for a settlement of funding, in words.
#[must_use]
pub fn waits_for_funding(reason: Reason, settles: Nanos) -> String {
    let at = time_of_day(settles);
    format!("{} holds, and waits for the funding of {at}", reason.name())
}

/// Why a rule lost, in words.
#[must_use]
pub const fn lost(why: Lost) -> &'static str {
    match why {
        Lost::LowerUrgency => "less urgent",
        Lost::LaterInOrder => "as urgent, later in the order of reasons",
        Lost::LaterRule => "as urgent, an earlier rule counts",
        Lost::Covered => "covered by the live plan",
    }
}

/// What becomes of a task, in words.
fn of_task(config: &Config, task: TaskId, what: TaskNote) -> Option<String> {
    let named = config.tasks.get(usize::from(task.0))?;
    let instrument = &config.instruments[usize::from(named.spec.spot.instrument.0)];
    let currency = &config.currencies[usize::from(instrument.spec().currency.0)];
    let what = match what {
        TaskNote::Entering => "enters".into(),
        TaskNote::Waits { why } => format!("waits with its entry: {}", why.name()),
        TaskNote::Missed => "missed its entry".into(),
        TaskNote::Entered { .. } => return None,
        TaskNote::Unreachable { net, target, refused } => {
            let (net, target) = (money(net, 4), money(target, 4));
            let what = if refused { "is not entered" } else { "is entered all the same" };
            format!(
                "its target of {target} {currency} cannot be reached, convergence would bring \
                 {net} {currency}; it {what}"
            )
        }
        TaskNote::Cycle { net } => format!("a cycle has ended, net {} {currency}", money(net, 4)),
        TaskNote::State { state } => state.name().into(),
    };
    Some(format!("{}: {what}", named.name))
}
