//! The plain reference evaluator: every rule from its formula in SPEC.md, from scratch, on every
//! event and for every position. Slow and obvious; the compiled engine is held to it.
//!
//! It shares the core's vocabulary (units, instruments, ticks, policies, events) and nothing of its
//! machinery: no compiled form, no heap, no guard, no group, no lazily moved waiting list.

#![allow(dead_code, reason = "each test binary uses its own part of the harness")]

pub(crate) mod correlation;
pub(crate) mod duel;
pub(crate) mod dump;
pub(crate) mod exact;
pub(crate) mod formulas;
pub(crate) mod funding;
pub(crate) mod gates;
mod health;
pub(crate) mod hedge;
pub(crate) mod life;
pub(crate) mod market;
pub(crate) mod player;
mod policy_line;
pub(crate) mod portfolio;
mod portfolio_close;
mod portfolio_line;
mod portfolio_world;
pub(crate) mod rng;
pub(crate) mod rules;
pub(crate) mod scenario;
mod session;
pub(crate) mod sight;
pub(crate) mod signals;
pub(crate) mod switching;
pub(crate) mod target;
mod times;
pub(crate) mod world;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use num_bigint::BigInt;
use reap_core::event::{Command, Event, GateSettings, Report, TradingState, Which};
use reap_core::instrument::Instrument;
use reap_core::intent::{Reason, Urgency};
use reap_core::note::Lost;
use reap_core::policy::{Policy, PolicyId, TriggerSource};
use reap_core::portfolio::PortfolioSettings;
use reap_core::position::{LegSpec, PositionId, PositionSpec, PositionState};
use reap_core::units::{Nanos, Qty};

use correlation::Followed;
use dump::Tapes;
use formulas::Leg;
use funding::Fundings;
use gates::Gates;
use life::{Firing, Life, Plan};
use portfolio::Portfolio;
use signals::Signals;
use switching::Switched;

/// The rule's index of an operator's close.
const OPERATOR: u8 = 255;

/// SPEC §6, the order of reasons; blindness behind what is known to be wrong.
const ORDER: [&[Reason]; 20] = [
    &[Reason::Operator],
    &[Reason::Liquidation],
    &[Reason::LegLost],
    &[Reason::Imbalance],
    &[Reason::Blind],
    &[Reason::DrawdownBreaker],
    &[Reason::PortfolioLoss],
    &[Reason::StopLoss],
    &[Reason::TrailingStop],
    &[Reason::TrailingProfit],
    &[Reason::Dump],
    &[Reason::Correlation],
    &[Reason::BreakEven],
    &[Reason::TakeProfit, Reason::Tiers, Reason::Basis],
    &[Reason::PortfolioProfit],
    &[Reason::Reversal],
    &[Reason::Deadline],
    &[Reason::FundingFlip],
    &[Reason::ProfitErosion],
    &[Reason::Health],
];

/// An intent as plain data: what both sides must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) position: PositionId,
    pub(crate) rule: u8,
    pub(crate) part: u8,
    pub(crate) reason: Reason,
    pub(crate) urgency: Urgency,
    /// One per leg.
    pub(crate) keep: Vec<Qty>,
}

/// A rule that held without giving a decision its reason, as both sides must say it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Loser {
    pub(crate) position: PositionId,
    pub(crate) rule: u8,
    pub(crate) part: u8,
    pub(crate) reason: Reason,
    pub(crate) urgency: Urgency,
    pub(crate) why: Lost,
}

/// How often what happened: proof that a run tested something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) fired: BTreeMap<&'static str, u64>,
    /// Of those, by equality with the threshold.
    pub(crate) boundary: BTreeMap<&'static str, u64>,
    /// Of those, by a price that stood in for the one that the rule wants.
    pub(crate) stood_in: BTreeMap<&'static str, u64>,
    /// Fired on several legs.
    pub(crate) several: BTreeMap<&'static str, u64>,
    /// Rules that waited for funding, and those that fired after that.
    pub(crate) held: BTreeMap<&'static str, u64>,
    /// Rules that lost, by why.
    pub(crate) lost: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn note(&mut self, firing: &Firing, legs: usize) {
        let tight = firing.part == reap_core::portfolio::PART_TIGHT
            && matches!(firing.reason, Reason::StopLoss | Reason::TrailingStop);
        let name = if tight { "tightened" } else { firing.reason.name() };
        *self.fired.entry(name).or_default() += 1;
        *self.boundary.entry(name).or_default() += u64::from(firing.boundary);
        *self.stood_in.entry(name).or_default() += u64::from(firing.stands_in);
        *self.several.entry(name).or_default() += u64::from(legs > 1);
    }
}

/// The reference.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    instruments: Vec<Instrument>,
    gates: Gates,
    fundings: Fundings,
    tapes: Tapes,
    followed: Followed,
    policies: Vec<Policy>,
    /// What registrations under a policy get.
    committed: BTreeMap<PolicyId, PolicyId>,
    /// Positions of which the engine has just refused a policy.
    pub(crate) refused: Vec<PositionId>,
    pub(crate) switched: Switched,
    lives: BTreeMap<PositionId, Life>,
    portfolio: Option<Portfolio>,
    signals: Signals,
    now: Nanos,
    /// A report or command contradicted the state: the input is not one an engine would meet.
    pub(crate) inconsistent: bool,
    pub(crate) tally: Tally,
    /// What lost at the last event.
    pub(crate) losers: Vec<Loser>,
}

impl Reference {
    pub(crate) fn new(instruments: &[Instrument], sources: usize, settings: GateSettings) -> Self {
        Self {
            instruments: instruments.to_vec(),
            gates: Gates::new(instruments, sources, settings),
            fundings: Fundings::new(instruments.len()),
            tapes: Tapes::new(instruments),
            followed: Followed::new(instruments.len()),
            policies: Vec::new(),
            committed: BTreeMap::new(),
            refused: Vec::new(),
            switched: Switched::default(),
            lives: BTreeMap::new(),
            portfolio: None,
            signals: Signals::default(),
            now: Nanos(0),
            inconsistent: false,
            tally: Tally::default(),
            losers: Vec::new(),
        }
    }

    pub(crate) fn add_policy(&mut self, policy: Policy) -> PolicyId {
        self.policies.push(policy);
        PolicyId(self.policies.len() as u16 - 1)
    }

    pub(crate) fn set_portfolio(&mut self, settings: PortfolioSettings) {
        self.portfolio = Some(Portfolio::new(settings));
    }

    /// Total net in units of 10^-18.
    pub(crate) fn total_net(&self) -> Option<BigInt> {
        self.portfolio.as_ref().map(|portfolio| portfolio.total_net().clone())
    }

    /// What the total lacks of each of the portfolio's thresholds.
    pub(crate) fn missing(&self) -> Vec<i128> {
        self.portfolio.as_ref().map(Portfolio::missing).unwrap_or_default()
    }

    /// The score of health in 10⁻⁹ points.
    pub(crate) fn health(&self) -> Option<i64> {
        self.portfolio.as_ref()?.health.as_ref()?.score
    }

    pub(crate) fn trading_state(&self) -> TradingState {
        self.portfolio.as_ref().map_or(TradingState::Active, Portfolio::trading_state)
    }

    /// A position under the id that the engine gave it.
    pub(crate) fn register(
        &mut self,
        now: Nanos,
        id: PositionId,
        spec: &PositionSpec,
    ) -> Vec<Decision> {
        self.now = now;
        let mut fired = self.on_time(now);
        let leg = |leg: &LegSpec| {
            let instrument = self.instruments[usize::from(leg.instrument.0)].spec();
            Leg::new(*leg, *instrument, leg.qty.raw())
        };
        let legs = spec.legs.iter().map(leg).collect();
        let mut spec = spec.clone();
        spec.policy = self.in_force(spec.policy);
        let policy = self.policies[usize::from(spec.policy.0)].clone();
        self.lives.insert(id, Life::new(now, spec, policy, legs));
        if let Some(portfolio) = &mut self.portfolio {
            portfolio.on_registered(now, id, &self.lives[&id], &self.gates);
        }
        self.evaluate(now, &mut fired);
        self.watch_portfolio(now, &mut fired);
        self.arbitrate(now, fired)
    }

    /// Timers that are due, then the event, then one arbitration.
    pub(crate) fn on_event(&mut self, now: Nanos, event: &Event) -> Vec<Decision> {
        assert!(now >= self.now, "time never decreases");
        self.now = now;
        let mut fired = self.on_time(now);
        match event {
            Event::Tick(tick) => {
                self.gates.on_tick(now, tick);
                self.fundings.before_tick(now, tick);
                self.sample_funding(now);
                self.fundings.on_tick(now, tick);
                self.tapes.on_tick(now, tick);
            }
            Event::Source(source, change) => self.gates.on_source(*source, *change),
            Event::Report(report) => self.on_report(now, report, &mut fired),
            Event::Command(command) => self.on_command(now, command, &mut fired),
            Event::Timer => {}
        }
        self.evaluate(now, &mut fired);
        self.watch_portfolio(now, &mut fired);
        self.arbitrate(now, fired)
    }

    /// The next time at which something may happen without another event.
    pub(crate) fn next_timer(&self) -> Option<Nanos> {
        let lives = self.lives.values().filter_map(|life| life.next_timer(self.now, &self.gates));
        let portfolio = self.portfolio.as_ref().and_then(|all| all.next_timer(self.now));
        let waits = self.lives.values().filter(|life| life.is_live() && life.held);
        let ends = waits.flat_map(|life| self.fundings.ends(&life.legs));
        let ends = ends.filter(|&end| end > self.now);
        let others = self.signals.next_timer().into_iter().chain(portfolio).chain(ends);
        lives.chain(self.gates.next_timer()).chain(others).min()
    }

    pub(crate) fn state(&self, id: PositionId) -> Option<PositionState> {
        self.lives.get(&id).map(|life| life.state)
    }

    /// Whether a part's condition holds at these exit prices, its gates aside.
    pub(crate) fn holds_at(&self, id: PositionId, rule: u8, part: u8, exits: &[i64]) -> bool {
        self.lives[&id].holds_at(usize::from(rule), part, exits)
    }

    pub(crate) fn story(&self, id: PositionId) -> String {
        self.lives.get(&id).map_or_else(String::new, Life::story)
    }

    /// The policy that a position is under.
    pub(crate) fn policy_of(&self, id: PositionId) -> PolicyId {
        self.lives[&id].spec.policy
    }

    pub(crate) fn is_live(&self, id: PositionId) -> bool {
        self.lives[&id].is_live()
    }

    pub(crate) fn positions(&self) -> impl Iterator<Item = (PositionId, PositionState)> + '_ {
        self.lives.iter().map(|(&id, life)| (id, life.state))
    }

    /// What was said of signals since it was asked last.
    pub(crate) fn take_said(&mut self) -> Vec<reap_core::note::EngineNote> {
        self.signals.take_said()
    }

    fn sample_funding(&mut self, now: Nanos) {
        for (instrument, settled) in self.fundings.settle(now) {
            for life in self.lives.values_mut() {
                life.sample_funding(instrument, settled, &self.fundings, &self.gates);
            }
        }
    }

    fn on_time(&mut self, now: Nanos) -> Vec<(PositionId, Firing)> {
        self.signals.on_time(now);
        self.gates.on_time(now);
        self.tapes.on_time(now);
        self.sample_funding(now);
        let mut fired = Vec::new();
        self.evaluate(now, &mut fired);
        fired
    }

    fn on_report(&mut self, now: Nanos, report: &Report, fired: &mut Vec<(PositionId, Firing)>) {
        let position = report.position();
        let found = position.and_then(|id| Some((id, self.lives.get_mut(&id)?)));
        let Some((position, life)) = found else {
            self.inconsistent = true;
            return;
        };
        let portfolio = &mut self.portfolio;
        let fits = match *report {
            Report::Fill { position, leg, price, qty, fee } => {
                let before = life.legs.clone();
                let fits = life.is_live() && life.on_fill(leg, price, qty, fee, now);
                if let Some(portfolio) = portfolio.as_mut().filter(|_| fits) {
                    portfolio.on_fill(position, &before, leg, price, qty, fee);
                }
                fits
            }
            Report::PlanEnded { position, outcome, .. } => {
                if let Some(portfolio) = portfolio {
                    portfolio.on_plan_ended(position, outcome, life, &self.gates);
                }
                life.on_plan_ended(outcome, now)
            }
            Report::LegRead { leg, qty, .. } => {
                for firing in life.on_read(now, usize::from(leg), qty.raw()) {
                    self.tally.note(&firing, life.legs.len());
                    fired.push((position, firing));
                }
                life.state != PositionState::Closed
            }
            Report::LegLost { position, leg, qty } => {
                let before = life.legs.clone();
                let fits = life.on_lost(now, usize::from(leg), qty.raw());
                if let Some(portfolio) = portfolio.as_mut().filter(|_| fits) {
                    portfolio.on_lost(position, &before, leg, qty, &self.gates);
                }
                fits
            }
            Report::EntryFill { .. } | Report::EntryUndone { .. } | Report::EntryEnded { .. } => {
                false
            }
        };
        let closed = life.state == PositionState::Closed;
        self.inconsistent |= !fits;
        if closed {
            // What a timer of this moment fired of it is of no use any more.
            self.signals_may_enter();
        }
        if let Report::PlanEnded { position, .. } = *report {
            self.take_wanted(position);
        }
    }

    fn on_command(&mut self, now: Nanos, command: &Command, fired: &mut Vec<(PositionId, Firing)>) {
        match *command {
            Command::Close { which, urgency } => {
                let reason = Reason::Operator;
                let firing = Firing {
                    rule: OPERATOR,
                    part: 0,
                    reason,
                    urgency,
                    boundary: false,
                    order: 0,
                    part_of_open: None,
                    stands_in: false,
                };
                for (&id, life) in &self.lives {
                    if life.is_live() && meant(which, id, life) {
                        fired.push((id, firing));
                    }
                }
            }
            Command::Amounts { position, leg, fees_paid, funding } => {
                let fits = self
                    .lives
                    .get_mut(&position)
                    .is_some_and(|life| life.is_live() && life.on_amounts(leg, fees_paid, funding));
                self.inconsistent |= !fits;
            }
            Command::Liquidation { position, leg, price } => {
                let life = self.lives.get_mut(&position);
                let fits =
                    life.is_some_and(|life| life.is_live() && life.on_liquidation(leg, price));
                self.inconsistent |= !fits;
            }
            Command::ConfirmJump(instrument) => self.gates.confirm(now, instrument),
            Command::Signal { instrument, side } => {
                self.on_signal(now, instrument, side, fired);
            }
            Command::Commit { .. } | Command::Policy { .. } | Command::Rule { .. } => {
                self.on_switch(command);
            }
            Command::SetState(_)
            | Command::Reset(_)
            | Command::Equity(_)
            | Command::Transfer(_) => {
                let Some(portfolio) = &mut self.portfolio else {
                    self.inconsistent = true;
                    return;
                };
                portfolio.on_command(now, command, &self.lives, &self.gates);
            }
            _ => self.inconsistent = true,
        }
    }

    fn evaluate(&mut self, now: Nanos, fired: &mut Vec<(PositionId, Firing)>) {
        self.gates.look(now);
        let accepted = self.gates.take_accepted();
        let quotes = accepted.iter().filter(|(_, source)| *source == TriggerSource::Bbo);
        for &(instrument, _) in quotes {
            self.followed.on_accepted(now, instrument, &self.gates);
        }
        for (&id, life) in &mut self.lives {
            for &(instrument, source) in &accepted {
                life.on_accepted(instrument, source);
            }
            life.see_signs(&self.tapes);
            life.see_leaders(now, &self.followed, &self.gates);
            let near = life.policy.hold_for_funding;
            life.held = near.is_some_and(|near| self.fundings.holds(&life.legs, near, now));
            for firing in life.evaluate(now, &self.gates) {
                self.tally.note(&firing, life.legs.len());
                fired.push((id, firing));
            }
            for (name, count) in
                [("waited", &mut life.waited), ("fired late", &mut life.fired_late)]
            {
                *self.tally.held.entry(name).or_default() += std::mem::take(count);
            }
        }
    }

    /// What the positions together ask for, at the end of an event.
    fn watch_portfolio(&mut self, now: Nanos, fired: &mut Vec<(PositionId, Firing)>) {
        let Some(portfolio) = &mut self.portfolio else { return };
        for (id, firing) in portfolio.evaluate(now, &self.lives, &self.gates) {
            let name = portfolio::name(&firing);
            *self.tally.fired.entry(name).or_default() += 1;
            *self.tally.boundary.entry(name).or_default() += u64::from(firing.boundary);
            let several = self.lives[&id].legs.len() > 1;
            *self.tally.several.entry(name).or_default() += u64::from(several);
            fired.push((id, firing));
        }
        for (id, tight) in portfolio.tight.drain(..) {
            let life = self.lives.get_mut(&id).expect("it is held");
            let deep = portfolio.health.as_ref().is_some_and(|health| health.is_deep());
            let from = tight.as_ref().map(|tight| tight.from);
            life.tight_from = from.or(life.tight_from.filter(|_| deep));
            match (tight, &mut life.tight) {
                (None, Some(stands)) => stands.end(),
                (tight, stands) => *stands = tight,
            }
            // One that is taken from an earlier price may be met at once.
            if let Some(firing) = life.fire_tight_now(now, &self.gates) {
                self.tally.note(&firing, life.legs.len());
                fired.push((id, firing));
            }
        }
    }

    /// One plan per position: the highest urgency, the first reason among those that have it, the
    /// least that any rule that fired would keep.
    fn arbitrate(&mut self, now: Nanos, fired: Vec<(PositionId, Firing)>) -> Vec<Decision> {
        let mut by_position = BTreeMap::<PositionId, Vec<Firing>>::new();
        for (id, firing) in fired {
            by_position.entry(id).or_default().push(firing);
        }
        let mut decisions = Vec::new();
        self.losers.clear();
        for (id, mut firings) in by_position {
            let life = self.lives.get_mut(&id).expect("it fired");
            firings.extend(life.revive(now, &firings, &self.gates));
            let first = firings
                .iter()
                .min_by_key(|f| (Reverse(f.urgency), f.reason.rank(), f.rule, f.part, f.order))
                .copied()
                .expect("a position is listed with its first firing");
            let first = &first;
            let opportunistic = |of: &Firing| of.urgency == Urgency::Opportunistic;
            let mut keep = life.keep_of(first);
            // A repair is let finish: what would only take a profit waits for its end.
            let repairs = matches!(first.reason, Reason::LegLost | Reason::Imbalance)
                && keep.iter().any(|keep| keep.raw() > 0);
            let waits = life.plan.as_ref().is_some_and(|plan| plan.repairs) && opportunistic(first);
            let all = firings.clone();
            if repairs || life.plan.as_ref().is_some_and(|plan| plan.repairs) {
                firings.retain(|firing| !opportunistic(firing));
            }
            for firing in &firings {
                keep = least(keep, &life.keep_of(firing));
            }
            let mut urgency = first.urgency;
            if let Some(plan) = &life.plan {
                urgency = urgency.max(plan.urgency);
                keep = least(keep, &plan.keep);
            }
            let reached = life.plan.as_ref().is_some_and(|plan| plan.reached);
            let repairs = life.plan.as_ref().map_or(repairs, |plan| plan.repairs)
                && keep.iter().any(|keep| keep.raw() > 0);
            let plan = Plan { urgency, keep, reached, repairs };
            let again = first.reason == Reason::LegLost;
            let covered = waits || life.plan.as_ref() == Some(&plan) && !again;
            let order = |f: &Firing| ORDER.iter().position(|ranks| ranks.contains(&f.reason));
            let why = |f: &Firing| match () {
                () if covered => Some(Lost::Covered),
                () if f == first => None,
                () if f.urgency < first.urgency => Some(Lost::LowerUrgency),
                () if order(f) > order(first) => Some(Lost::LaterInOrder),
                () => Some(Lost::LaterRule),
            };
            for f in &all {
                if let Some(why) = why(f) {
                    let Firing { rule, part, reason, urgency, .. } = *f;
                    let loser = Loser { position: id, rule, part, reason, urgency, why };
                    self.losers.push(loser);
                    *self.tally.lost.entry(why.name()).or_default() += 1;
                }
            }
            if covered {
                continue;
            }
            let plan = life.whole(plan, first.reason, &self.gates);
            let held = (Reverse(first.urgency), first.reason.rank(), first.order, id);
            decisions.push((
                held,
                Decision {
                    position: id,
                    rule: first.rule,
                    part: first.part,
                    reason: first.reason,
                    urgency,
                    keep: plan.keep.clone(),
                },
            ));
            life.plan = Some(plan);
            life.state = PositionState::Exiting;
            life.balance(self.now);
        }
        // In the order of what held, of equals in that of their ids.
        decisions.sort_by_key(|(held, _)| *held);
        decisions.into_iter().map(|(_, decision)| decision).collect()
    }
}

fn least(keep: Vec<Qty>, other: &[Qty]) -> Vec<Qty> {
    keep.into_iter().zip(other).map(|(a, &b)| a.min(b)).collect()
}

fn meant(which: Which, id: PositionId, life: &Life) -> bool {
    match which {
        Which::Position(position) => position == id,
        Which::Venue(venue) => life.legs.iter().any(|leg| leg.instrument.venue == venue),
        Which::Tag(tag) => life.spec.tag == tag,
        Which::All => true,
    }
}
