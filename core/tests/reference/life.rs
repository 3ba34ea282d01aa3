//! The life of one position: which parts of its rules are armed, its marks, its plan, its state.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use reap_core::event::Outcome;
use reap_core::instrument::InstrumentId;
use reap_core::intent::{Reason, Urgency};
use reap_core::policy::{Policy, PolicyId, Rule, RuleSpec, TriggerSource};
use reap_core::position::{PositionSpec, PositionState};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

use super::dump::Signs;
use super::exact::Exact;
use super::formulas::{self, Leg};
use super::funding::{self, Samples};
use super::gates::Gates;
use super::health::Tight;
use super::hedge::Hedge;
use super::rules::{decay, erosion, liquidation};
use super::sight::{Market, Views};

/// Parts of a trailing rule, as an intent numbers them.
pub(crate) const PART_STOP: u8 = 1;
/// See [`PART_STOP`].
pub(crate) const PART_FLOOR: u8 = 2;

/// Where a part of a rule stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Watched.
    Armed,
    /// It held; armed again by the end of the plan, or at a time.
    Fired { rearm: Option<Nanos> },
    /// A tier whose quantity is closed.
    Done,
}

/// A part that fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Firing {
    pub(crate) rule: u8,
    pub(crate) part: u8,
    pub(crate) reason: Reason,
    pub(crate) urgency: Urgency,
    /// Whether it held by equality: what the tests of inclusive thresholds count.
    pub(crate) boundary: bool,
    /// Place in a close of several positions, from 1; 0 for one of its own.
    pub(crate) order: u32,
    /// The share of what is open that it closes, where that is not everything.
    pub(crate) part_of_open: Option<Rate>,
    /// Whether another price stood in for the one that the rule wants.
    pub(crate) stands_in: bool,
}

/// One rule's state.
#[derive(Clone, Debug)]
pub(super) struct RuleState {
    /// (number, state), in the order of numbers.
    pub(super) parts: Vec<(u8, Part)>,
    /// A trailing rule's mark; `None` before its activation, and for the other rules.
    mark: Option<Exact>,
    pub(super) funding: Samples,
    /// Of a dump against the position, by volumes.
    pub(super) signs: Signs,
    /// The leaders of a correlation that hit it, by part; then whether by equality.
    pub(super) led: Vec<Option<bool>>,
    /// Switched off: it sees nothing.
    pub(super) off: bool,
}

impl RuleState {
    /// A rule's state at its beginning.
    pub(super) fn new(said: &RuleSpec, legs: &[Leg]) -> Self {
        let start = if legs.len() == 1 { legs[0].entry() } else { Exact::int(1) };
        let rule = &said.rule;
        let numbers: Vec<u8> = match rule {
            Rule::Tiers { tiers, .. } => (0..tiers.len() as u8).collect(),
            Rule::Correlation { leaders, .. } => (0..leaders.len() as u8).collect(),
            Rule::TrailingStop { .. } => vec![PART_STOP],
            Rule::Dump { .. } => vec![0, PART_STOP],
            Rule::TrailingProfit { .. } => vec![PART_STOP, PART_FLOOR],
            Rule::Liquidation { .. } => (0..legs.len() as u8).collect(),
            Rule::BreakEven { .. } | Rule::ProfitErosion { .. } => vec![PART_STOP],
            _ => vec![0],
        };
        let mark = match rule {
            Rule::TrailingStop { activation: None, .. } | Rule::Dump { .. } => Some(start),
            _ => None,
        };
        let parts = numbers.into_iter().map(|n| (n, Part::Armed)).collect();
        let (funding, signs, led) = (Samples::default(), Signs::default(), Vec::new());
        Self { parts, mark, funding, signs, led, off: !said.on }
    }
}

/// What a plan wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) urgency: Urgency,
    pub(crate) keep: Vec<Qty>,
    /// Every leg was filled to its target: the plan is over but for the report of it.
    pub(crate) reached: bool,
    /// It closes what one leg has too much of.
    pub(crate) repairs: bool,
}

/// A position.
#[derive(Clone, Debug)]
pub(crate) struct Life {
    pub(crate) spec: PositionSpec,
    pub(crate) policy: Policy,
    pub(crate) legs: Vec<Leg>,
    pub(crate) state: PositionState,
    pub(crate) plan: Option<Plan>,
    /// The policy that it goes over to at the end of the plan, unless the engine refuses it.
    pub(super) wanted: Option<(PolicyId, Policy)>,
    pub(super) rules: Vec<RuleState>,
    /// Kinds of prices that were accepted while Open and that the marks have not seen.
    marks_due: Vec<TriggerSource>,
    pub(super) misses: u32,
    pub(super) hedge: Hedge,
    /// What leg_lost and imbalance would keep, by rule.
    pub(super) remedies: Vec<Vec<Qty>>,
    /// Its net was above nought when it was last looked at.
    pub(super) winning: bool,
    pub(super) tight: Option<Tight>,
    /// The nearest price that a stop was tightened from since the score was last good.
    pub(super) tight_from: Option<i64>,
    /// By leg, as far as they are known.
    pub(super) liquidations: Vec<Option<Price>>,
    pub(super) registered: Nanos,
    /// Since when no price is left of a leg.
    pub(super) blind_since: Option<Nanos>,
    /// Whether that has asked for a close in this plan.
    pub(super) blind_asked: bool,
    /// Whether a settlement in its favour is near, and its policy waits for that.
    pub(super) held: bool,
    /// Rule and part of what has held meanwhile, and has not fired since; counted, of both.
    put_off: BTreeSet<(usize, u8)>,
    pub(super) waited: u64,
    pub(super) fired_late: u64,
}

impl Life {
    pub(crate) fn new(now: Nanos, spec: PositionSpec, policy: Policy, legs: Vec<Leg>) -> Self {
        let rules = policy.rules.iter().map(|said| RuleState::new(said, &legs)).collect();
        let hedged: Vec<_> = legs.iter().map(|leg| (leg.spec, leg.instrument)).collect();
        let liquidations = vec![None; legs.len()];
        let mut life = Self {
            hedge: Hedge::new(&hedged),
            remedies: vec![Vec::new(); policy.rules.len()],
            spec,
            policy,
            legs,
            state: PositionState::Open,
            plan: None,
            wanted: None,
            rules,
            marks_due: Vec::new(),
            misses: 0,
            winning: false,
            tight: None,
            tight_from: None,
            liquidations,
            registered: now,
            blind_since: None,
            blind_asked: false,
            held: false,
            put_off: BTreeSet::new(),
            waited: 0,
            fired_late: 0,
        };
        life.settle_tiers();
        life
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.state, PositionState::Open | PositionState::Exiting)
    }

    /// Flat by fills, though its plan may not have said so yet: there is nothing to exit.
    pub(crate) fn is_flat(&self) -> bool {
        self.legs.iter().all(|leg| leg.open == 0)
    }

    /// Nothing is left to decide before the plan has said that it ended.
    pub(super) fn is_settled(&self) -> bool {
        self.is_flat() || self.plan.as_ref().is_some_and(|plan| plan.reached)
    }

    pub(crate) fn has_leg_on(&self, instrument: InstrumentId) -> bool {
        self.legs.iter().any(|leg| leg.spec.instrument == instrument)
    }

    pub(crate) fn on_accepted(&mut self, instrument: InstrumentId, source: TriggerSource) {
        if self.state == PositionState::Open && self.has_leg_on(instrument) {
            self.marks_due.push(source);
        }
    }

    /// A fill. False when it contradicts what is open.
    pub(crate) fn on_fill(
        &mut self,
        leg: u8,
        price: Price,
        qty: Qty,
        fee: i128,
        now: Nanos,
    ) -> bool {
        let at = usize::from(leg);
        let Some(leg) = self.legs.get_mut(at) else { return false };
        if qty.raw() > leg.open {
            return false;
        }
        self.hedge.filled(at, qty.raw());
        leg.fill(price, qty.raw(), fee, self.policy.fees);
        if self.plan.is_none() {
            leg.settle();
        }
        if let Some(plan) = &mut self.plan {
            let mut legs = self.legs.iter().zip(&plan.keep);
            plan.reached |= legs.all(|(leg, keep)| leg.open <= keep.raw());
        }
        self.misses = 0;
        self.settle_tiers();
        self.balance(now);
        true
    }

    pub(crate) fn on_amounts(&mut self, leg: u8, fees_paid: Decimal, funding: Decimal) -> bool {
        let Some(leg) = self.legs.get_mut(usize::from(leg)) else { return false };
        leg.fees_paid = fees_paid;
        leg.funding = funding;
        true
    }

    /// The plan has ended. False when there is none.
    pub(crate) fn on_plan_ended(&mut self, outcome: Outcome, now: Nanos) -> bool {
        if self.state != PositionState::Exiting {
            return false;
        }
        self.plan = None;
        self.legs.iter_mut().for_each(Leg::settle);
        self.state = match outcome {
            Outcome::Closed => PositionState::Closed,
            Outcome::Dust => PositionState::DustResidual,
            Outcome::Done | Outcome::Missed => PositionState::Open,
        };
        self.marks_due.clear();
        self.blind_asked = false;
        let missed = outcome == Outcome::Missed;
        let exit = &self.policy.exit;
        let backoff =
            Nanos(exit.rearm_first.0.saturating_mul(1 << self.misses.min(40))).min(exit.rearm_last);
        self.misses = if missed { self.misses + 1 } else { 0 };
        for (RuleSpec { rule, .. }, state) in self.policy.rules.iter().zip(&mut self.rules) {
            let waits = missed && reason(rule).urgency() == Urgency::Opportunistic;
            for (_, part) in &mut state.parts {
                if matches!(part, Part::Fired { .. }) {
                    *part = match waits {
                        true => Part::Fired { rearm: Some(now.plus(backoff)) },
                        false => Part::Armed,
                    };
                }
            }
        }
        if let Some(tight) = self.tight.as_mut().filter(|tight| tight.part != Part::Done) {
            tight.part = Part::Armed;
        }
        self.balance(now);
        true
    }

    /// The time since which the legs are off their ratio without a plan.
    pub(crate) fn balance(&mut self, now: Nanos) {
        let open = self.hedge.known(&self.open());
        let free = self.state == PositionState::Open && self.plan.is_none();
        for (rule, said) in self.policy.rules.iter().enumerate() {
            let Rule::Imbalance { share, .. } = said.rule else { continue };
            if free && !self.rules[rule].off && self.hedge.is_off(&open, share) {
                self.hedge.off_since.entry(rule).or_insert(now);
            } else {
                self.hedge.off_since.remove(&rule);
            }
        }
    }

    pub(super) fn open(&self) -> Vec<i64> {
        self.legs.iter().map(|leg| leg.open).collect()
    }

    /// A rule's only part fires for what is no price.
    pub(crate) fn fire(&mut self, rule: usize, part: u8, boundary: bool) -> Firing {
        self.rules[rule].parts[0].1 = Part::Fired { rearm: None };
        let reason = reason(&self.policy.rules[rule].rule);
        let (urgency, order, part_of_open) = (reason.urgency(), 0, None);
        Firing {
            rule: rule as u8,
            part,
            reason,
            urgency,
            boundary,
            order,
            part_of_open,
            stands_in: false,
        }
    }

    /// Moves the marks and fires every armed part that holds and may.
    pub(crate) fn evaluate(&mut self, now: Nanos, gates: &Gates) -> Vec<Firing> {
        if !self.is_live() {
            return Vec::new();
        }
        self.rearm(now);
        let blind = self.blind(now, gates);
        if self.is_flat() {
            return Vec::new();
        }
        let quotes = Market::own(self, now, gates, TriggerSource::Bbo);
        if let Some(market) = &quotes {
            self.winning = market.net > Exact::zero();
        }
        if self.is_settled() {
            return Vec::new();
        }
        let left = Market::left(self, now, gates, TriggerSource::Bbo, quotes.as_ref());
        let views = Views::of(self, now, gates);
        self.move_marks(&views);
        let mut fired = Vec::new();
        fired.extend(blind);
        fired.extend(left.and_then(|market| self.fire_tight(&market)));
        for rule in 0..self.rules.len() {
            if self.rules[rule].off {
                continue;
            }
            for part in 0..self.rules[rule].parts.len() {
                let (number, state) = self.rules[rule].parts[part];
                if state != Part::Armed {
                    continue;
                }
                let number = match &self.policy.rules[rule].rule {
                    Rule::Decay { steps, .. } => decay::step(steps, self.spec.opened, now),
                    _ => number,
                };
                let said = &self.policy.rules[rule];
                let market = views.of_rule(said);
                let held = if let Rule::Liquidation { threshold } = said.rule {
                    let leg = usize::from(number);
                    let at = self.liquidations[leg];
                    liquidation::holds(&self.legs[leg], at, threshold, gates, now)
                } else {
                    let stands_in = market.is_some_and(|market| market.stands_in);
                    let boundary = self.holds(rule, number, now, market);
                    boundary.map(|boundary| (boundary, stands_in))
                };
                if let Some((boundary, stands_in)) = held {
                    if self.held && funding::waits(&self.policy.rules[rule].rule) {
                        self.waited += u64::from(self.put_off.insert((rule, number)));
                        continue;
                    }
                    self.fired_late += u64::from(self.put_off.remove(&(rule, number)));
                    self.rules[rule].parts[part].1 = Part::Fired { rearm: None };
                    let reason = reason(&self.policy.rules[rule].rule);
                    fired.push(Firing {
                        rule: rule as u8,
                        part: number,
                        reason,
                        urgency: reason.urgency(),
                        boundary,
                        order: 0,
                        part_of_open: None,
                        stands_in,
                    });
                }
            }
        }
        fired
    }

    /// A plan that has reached its target is asked to close more before its end has come: it goes on,
    /// and so do the rules.
    pub(super) fn revive(&mut self, now: Nanos, firings: &[Firing], gates: &Gates) -> Vec<Firing> {
        let Some(plan) = self.plan.as_ref().filter(|plan| plan.reached) else { return Vec::new() };
        let counts = |f: &&Firing| !plan.repairs || f.urgency != Urgency::Opportunistic;
        let more = firings.iter().filter(counts).any(|firing| {
            let kept = self.keep_of(firing);
            self.legs.iter().zip(&kept).any(|(leg, keep)| leg.open > keep.raw())
        });
        if !more {
            return Vec::new();
        }
        self.plan.as_mut().expect("it was looked at").reached = false;
        self.evaluate(now, gates)
    }

    /// Whether a trailing rule has begun.
    pub(super) fn has_mark(&self, rule: usize) -> bool {
        self.rules[rule].mark.is_some()
    }

    pub(super) fn is_off(&self, rule: usize) -> bool {
        self.rules[rule].off
    }

    /// Where it stands, for a reader of a mismatch.
    pub(crate) fn story(&self) -> String {
        let open: Vec<i64> = self.legs.iter().map(|leg| leg.open).collect();
        format!("{:?}, open {open:?}, plan {:?}, rules {:?}", self.state, self.plan, self.rules)
    }

    /// What each leg keeps when this part has its way.
    pub(crate) fn keep_of(&self, firing: &Firing) -> Vec<Qty> {
        if let Some(share) = firing.part_of_open {
            let keep = |leg: &Leg| leg.open - part_of(leg, leg.open, share);
            let legs = self.legs.iter().map(keep);
            return legs.map(|keep| Qty::new(keep).expect("part of a quantity")).collect();
        }
        let rule = self.policy.rules.get(usize::from(firing.rule)).map(|said| &said.rule);
        if let Some(Rule::LegLost { .. } | Rule::Imbalance { .. }) = rule {
            return self.remedies[usize::from(firing.rule)].clone();
        }
        let share = match rule {
            Some(Rule::Tiers { tiers, .. }) => tiers[usize::from(firing.part)].share,
            _ => Rate::new(1_000_000_000).expect("one is a rate"),
        };
        let keep = |leg: &Leg| leg.original() - target(leg, share);
        self.legs.iter().map(|leg| Qty::new(keep(leg)).expect("part of a quantity")).collect()
    }

    /// Whether a part's condition holds at these exit prices, its gates aside.
    pub(crate) fn holds_at(&self, rule: usize, part: u8, exits: &[i64]) -> bool {
        let stops =
            !matches!(self.policy.rules[rule].rule, Rule::Tiers { .. } | Rule::Decay { .. });
        if stops && part == reap_core::portfolio::PART_TIGHT {
            let tight = self.tight.as_ref().expect("it fired");
            return tight.against(self.legs[0].spec.side, exits[0]) != Ordering::Less;
        }
        let market = Market::at(self, exits);
        self.holds(rule, part, Nanos(0), Some(&market)).is_some()
    }

    fn rearm(&mut self, now: Nanos) {
        for state in &mut self.rules {
            for (_, part) in &mut state.parts {
                if matches!(part, Part::Fired { rearm: Some(at) } if *at <= now) {
                    *part = Part::Armed;
                }
            }
        }
    }

    pub(super) fn settle_tiers(&mut self) {
        for (RuleSpec { rule, .. }, state) in self.policy.rules.iter().zip(&mut self.rules) {
            let Rule::Tiers { tiers, .. } = rule else { continue };
            for (tier, (_, part)) in tiers.iter().zip(&mut state.parts) {
                let closed = |leg: &Leg| leg.original() - leg.open >= target(leg, tier.share);
                if self.legs.iter().all(closed) {
                    *part = Part::Done;
                }
            }
        }
    }

    /// Activations and moves of marks, only while Open. The mark of one leg sees every quote that
    /// is accepted; on several legs the ratio must be one that profit rules may see.
    fn move_marks(&mut self, views: &Views) {
        if self.state != PositionState::Open {
            return;
        }
        let due = std::mem::take(&mut self.marks_due);
        for (said, state) in self.policy.rules.iter().zip(&mut self.rules) {
            let rule = &said.rule;
            let Some(market) = &views.own[said.source as usize] else { continue };
            if state.off {
                continue;
            }
            let may = market.usable && market.in_step;
            let moves_mark = if self.legs.len() == 1 { due.contains(&said.source) } else { may };
            let (activation, step, base) = match rule {
                Rule::TrailingStop { activation, base, .. } => (*activation, Rate::ZERO, *base),
                Rule::Dump { .. } => (None, Rate::ZERO, None),
                Rule::TrailingProfit { activation, step, base, .. } => {
                    (Some(*activation), *step, *base)
                }
                Rule::BreakEven { activation, .. } => (Some(*activation), Rate::ZERO, None),
                Rule::ProfitErosion { minimum, .. } => (None, Rate::ZERO, erosion::base(minimum)),
                _ => continue,
            };
            let Some(seen) = market.seen(&self.legs, base) else { continue };
            let moves = match (&state.mark, activation) {
                (Some(_), _) if matches!(rule, Rule::BreakEven { .. }) => false,
                (Some(mark), _) => moves_mark && seen.beyond(mark, step),
                (None, Some(at)) => may && seen.activation(at) != Ordering::Less,
                (None, None) => may && erosion::begins(rule, &market.net, &self.legs),
            };
            if moves {
                state.mark = Some(seen.x);
            }
        }
    }

    /// Whether a part may fire and holds; then whether by equality.
    fn holds(&self, rule: usize, part: u8, now: Nanos, market: Option<&Market>) -> Option<bool> {
        let definition = &self.policy.rules[rule].rule;
        if matches!(definition, Rule::Deadline { .. }) {
            let due = self.due(definition, now)?;
            return (now >= due).then_some(now == due);
        }
        if let Rule::FundingFlip { samples, .. } = definition {
            return self.rules[rule].funding.hold(*samples);
        }
        if let Rule::LegLost { .. } | Rule::Imbalance { .. } | Rule::Reversal { .. } = definition {
            // Reads and signals say it, no price.
            return None;
        }
        let market = market.filter(|market| market.usable)?;
        let profit_rule = reason(definition).urgency() == Urgency::Opportunistic;
        if profit_rule && !market.in_step {
            return None;
        }
        let value = |difference: Exact| difference.cmp(&Exact::zero());
        let net = &market.net;
        let ordering = match definition {
            Rule::TakeProfit { threshold } | Rule::Basis { threshold } => {
                value(formulas::profit(net, &self.legs, threshold))
            }
            Rule::Tiers { base, tiers } => {
                value(formulas::profit_rate(net, &self.legs, tiers[usize::from(part)].at, *base))
            }
            Rule::StopLoss { distance, base } if self.legs.len() > 1 => {
                value(formulas::loss(net, &self.legs, *distance, *base)).reverse()
            }
            Rule::StopLoss { distance, base } => {
                market.seen(&self.legs, *base)?.stop(*distance).reverse()
            }
            Rule::Correlation { .. } => return self.rules[rule].led[usize::from(part)],
            Rule::Dump { .. } if part != PART_STOP => {
                let Signs { reversed, flipped, equal } = self.rules[rule].signs;
                return (reversed && flipped).then_some(equal);
            }
            Rule::Dump { drop, .. } => {
                let Signs { reversed, flipped, equal } = self.rules[rule].signs;
                let mark = self.rules[rule].mark.as_ref()?;
                let distance = reap_core::policy::Distance::Rate(*drop);
                if !reversed && !flipped {
                    return None;
                }
                let price = market.seen(&self.legs, None)?.trail(mark, distance);
                let by_flip = equal && !reversed;
                return (price != Ordering::Greater).then_some(price == Ordering::Equal || by_flip);
            }
            Rule::TrailingStop { distance, base, .. } => {
                let mark = self.rules[rule].mark.as_ref()?;
                market.seen(&self.legs, *base)?.trail(mark, *distance).reverse()
            }
            Rule::TrailingProfit { distance, floor, base, .. } => {
                let mark = self.rules[rule].mark.as_ref()?;
                let seen = market.seen(&self.legs, *base)?;
                let distance = reap_core::policy::Distance::Rate(*distance);
                match part {
                    PART_STOP => seen.trail(mark, distance).reverse(),
                    _ => seen.floor(*floor).reverse(),
                }
            }
            Rule::Decay { threshold, steps } => {
                let threshold = decay::threshold(threshold, steps, part);
                value(formulas::profit(net, &self.legs, threshold))
            }
            Rule::BreakEven { offset, .. } => {
                self.rules[rule].mark.as_ref()?;
                market.seen(&self.legs, None)?.floor(*offset).reverse()
            }
            Rule::ProfitErosion { minimum, fraction } => {
                let mark = self.rules[rule].mark.as_ref()?;
                let seen = market.seen(&self.legs, erosion::base(minimum))?;
                let lost = erosion::lost(mark, &seen, net, *fraction, &self.legs, &self.policy);
                value(lost)
            }
            Rule::Deadline { .. } | Rule::Liquidation { .. } => unreachable!("answered before"),
            other => unreachable!("registration refuses {other:?}"),
        };
        (ordering != Ordering::Less).then_some(ordering == Ordering::Equal)
    }
}

/// Quantity that is closed after a tier of this share: whole lots, the last tier takes the rest.
fn target(leg: &Leg, share: Rate) -> i64 {
    const ONE: i128 = 1_000_000_000;
    if i128::from(share.raw()) == ONE {
        return leg.original();
    }
    part_of(leg, leg.original(), share)
}

/// A share of a quantity, rounded down to lots.
pub(crate) fn part_of(leg: &Leg, qty: i64, share: Rate) -> i64 {
    let exact = i128::from(qty) * i128::from(share.raw()) / 1_000_000_000;
    exact as i64 / leg.instrument.lot * leg.instrument.lot
}

pub(super) fn reason(rule: &Rule) -> Reason {
    match rule {
        Rule::TakeProfit { .. } => Reason::TakeProfit,
        Rule::Basis { .. } => Reason::Basis,
        Rule::Tiers { .. } => Reason::Tiers,
        Rule::StopLoss { .. } => Reason::StopLoss,
        Rule::TrailingStop { .. } => Reason::TrailingStop,
        Rule::TrailingProfit { .. } => Reason::TrailingProfit,
        Rule::Deadline { .. } => Reason::Deadline,
        Rule::Decay { .. } => Reason::TakeProfit,
        Rule::BreakEven { .. } => Reason::BreakEven,
        Rule::ProfitErosion { .. } => Reason::ProfitErosion,
        Rule::Liquidation { .. } => Reason::Liquidation,
        Rule::Dump { .. } => Reason::Dump,
        Rule::Correlation { .. } => Reason::Correlation,
        Rule::FundingFlip { .. } => Reason::FundingFlip,
        Rule::LegLost { .. } => Reason::LegLost,
        Rule::Imbalance { .. } => Reason::Imbalance,
        Rule::Reversal { .. } => Reason::Reversal,
    }
}
