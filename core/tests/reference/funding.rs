//! Funding as the formulas say it: what was named for each instrument, and what it comes to a day.

use std::collections::BTreeMap;

use reap_core::instrument::InstrumentId;
use reap_core::policy::{Base, Policy, Rule, RuleSpec};
use reap_core::position::{LegSpec, Side};
use reap_core::tick::{Tick, TickBody};
use reap_core::units::{Nanos, Rate};

use super::exact::Exact;
use super::formulas::{self, Leg};
use super::gates::Gates;
use super::life::Life;
use super::rng::Rng;

const HOUR: u64 = 3_600_000_000_000;
/// How long after a settlement somebody still waits for it.
const GRACE: u64 = 15_000_000_000;

/// Our clock may be so far behind the venue's.
const BEHIND: u64 = 5_000_000_000;

/// A settlement that was named: its time and the rate that was predicted for it last.
#[derive(Clone, Copy, Debug)]
struct Named {
    at: Nanos,
    rate: Rate,
    /// By the venue's clock, as it has named the next one.
    passed: bool,
    sampled: bool,
}

/// What every instrument's stream has named, in the order of time.
#[derive(Clone, Debug)]
pub(crate) struct Fundings {
    named: Vec<Vec<Named>>,
}

impl Fundings {
    pub(crate) fn new(instruments: usize) -> Self {
        Self { named: vec![Vec::new(); instruments] }
    }

    /// What has passed by the venue's clock, which names the next settlement now: when a settlement
    /// is seconds ahead and the one that is named is not the same a little moved.
    pub(crate) fn before_tick(&mut self, now: Nanos, tick: &Tick) {
        let TickBody::Funding { settles, .. } = tick.body() else { return };
        for one in &mut self.named[usize::from(tick.instrument().0)] {
            one.passed |= one.at.0 <= now.0 + BEHIND && one.at.0 + BEHIND < settles.0;
        }
    }

    pub(crate) fn on_tick(&mut self, now: Nanos, tick: &Tick) {
        let TickBody::Funding { rate, settles } = tick.body() else { return };
        let named = &mut self.named[usize::from(tick.instrument().0)];
        // What was named for later and has not come is what is named now.
        let passed = |one: &Named| one.passed || one.at <= now;
        if settles <= now || named.iter().any(|one| passed(one) && one.at >= settles) {
            return;
        }
        named.retain(passed);
        named.push(Named { at: settles, rate, passed: false, sampled: false });
    }

    /// The settlements that have passed since the last call.
    pub(crate) fn settle(&mut self, now: Nanos) -> Vec<(InstrumentId, Nanos)> {
        let mut passed = Vec::new();
        for (index, named) in self.named.iter_mut().enumerate() {
            let due = |one: &&mut Named| (one.passed || one.at <= now) && !one.sampled;
            for one in named.iter_mut().filter(due) {
                one.sampled = true;
                passed.push((InstrumentId(index as u16), one.at));
            }
        }
        passed
    }

    /// What the legs receive a day; `None` when a leg that has funding has no price.
    fn a_day(&self, legs: &[Leg], gates: &Gates) -> Option<Exact> {
        let mut sum = Exact::zero();
        for leg in legs {
            let named = &self.named[usize::from(leg.spec.instrument.0)];
            let Some(last) = named.last() else { continue };
            let span = match &named[..] {
                [.., before, last] if last.at.0 - before.at.0 <= 8 * HOUR => {
                    last.at.0 - before.at.0
                }
                _ => 8 * HOUR,
            };
            let price = leg.price(gates.funding_price(leg.spec.instrument)?);
            let paid = &(&price * &leg.size(leg.judged)) * &Exact::ppb(last.rate.raw());
            let received = if leg.spec.side == Side::Long { -&paid } else { paid };
            let days = |hours: u64| Exact::int(hours as i64);
            let a_day = &received * &days(24 * HOUR);
            sum = &sum + &a_day.div_floor(&days(span), formulas::scale(legs));
        }
        Some(sum)
    }

    /// When the last two settlements that were named for a position's legs are so long past that
    /// nobody waits for them.
    pub(crate) fn ends(&self, legs: &[Leg]) -> Vec<Nanos> {
        let of_leg = |leg: &Leg| {
            let named = &self.named[usize::from(leg.spec.instrument.0)];
            named.iter().rev().take(2).map(|one| Nanos(one.at.0 + GRACE)).collect::<Vec<_>>()
        };
        legs.iter().flat_map(of_leg).collect()
    }

    /// Whether a settlement among these is near, or not long past, and brings what is open of the
    /// legs that settle then more than nought, at their entry prices.
    pub(crate) fn holds(&self, legs: &[Leg], near: Nanos, now: Nanos) -> bool {
        let mut brings: BTreeMap<Nanos, Exact> = BTreeMap::new();
        for leg in legs {
            let named = &self.named[usize::from(leg.spec.instrument.0)];
            for one in named.iter().rev().take(2) {
                let paid = &(&leg.entry() * &leg.size(leg.open)) * &Exact::ppb(one.rate.raw());
                let sum = brings.entry(one.at).or_insert_with(Exact::zero);
                *sum = if leg.spec.side == Side::Long { &*sum - &paid } else { &*sum + &paid };
            }
        }
        brings.iter().any(|(at, sum)| {
            let near = at.0 <= now.0 + near.0 && now.0 < at.0 + GRACE;
            near && *sum > Exact::zero()
        })
    }

    /// −threshold·base − funding of a day: not negative when the funding flips.
    pub(crate) fn against(
        &self,
        legs: &[Leg],
        threshold: Rate,
        base: Option<Base>,
        gates: &Gates,
    ) -> Option<Exact> {
        let a_day = self.a_day(legs, gates)?;
        let bound = &Exact::ppb(threshold.raw()) * &formulas::base(legs, base);
        Some(-&(&bound + &a_day))
    }
}

/// The settlements that a rule has sampled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples {
    last: Option<Nanos>,
    /// Since the last one that did not flip, whether each did by equality.
    in_a_row: Vec<bool>,
}

impl Samples {
    /// A settlement, once, with [`Fundings::against`] of it.
    pub(crate) fn take(&mut self, settled: Nanos, against: Option<Exact>) {
        let Some(against) = against.filter(|_| self.last != Some(settled)) else { return };
        self.last = Some(settled);
        if against < Exact::zero() {
            self.in_a_row.clear();
        } else {
            self.in_a_row.push(against.is_zero());
        }
    }

    /// Whether so many flipped in a row; then whether one of them by equality.
    pub(crate) fn hold(&self, samples: u8) -> Option<bool> {
        let (row, wanted) = (&self.in_a_row, usize::from(samples));
        (row.len() >= wanted).then(|| row[row.len() - wanted..].contains(&true))
    }
}

impl Life {
    /// A settlement of an instrument has passed: its rules of funding take their sample.
    pub(crate) fn sample_funding(
        &mut self,
        instrument: InstrumentId,
        settled: Nanos,
        fundings: &Fundings,
        gates: &Gates,
    ) {
        if !self.is_live() || self.is_flat() || !self.has_leg_on(instrument) {
            return;
        }
        for (RuleSpec { rule, .. }, state) in self.policy.rules.iter().zip(&mut self.rules) {
            if state.off {
                continue;
            }
            if let Rule::FundingFlip { threshold, base, .. } = *rule {
                let value = fundings.against(&self.legs, threshold, base, gates);
                state.funding.take(settled, value);
            }
        }
    }
}

/// A rule whose threshold whole rates can meet.
pub(crate) fn rule(rng: &mut Rng, base: Option<Base>) -> Rule {
    let threshold = rng.pick(&[1_728_000, 43_200_000, 86_400_000, 86_400_000, 172_800_000]);
    Rule::FundingFlip {
        threshold: Rate::new(threshold).expect("a small rate"),
        samples: rng.pick(&[1, 1, 1, 1, 1, 2, 3]),
        base: base.filter(|_| rng.one_in(6)),
    }
}

/// Whether a rule waits for a settlement, where its policy wants that.
pub(super) fn waits(rule: &Rule) -> bool {
    matches!(
        rule,
        Rule::TakeProfit { .. }
            | Rule::Decay { .. }
            | Rule::Tiers { .. }
            | Rule::Basis { .. }
            | Rule::Deadline { .. }
            | Rule::FundingFlip { .. }
    )
}

/// Whether a policy looks at funding.
pub(crate) fn looks(policy: &Policy) -> bool {
    policy.hold_for_funding.is_some()
        || policy.rules.iter().any(|said| matches!(said.rule, Rule::FundingFlip { .. }))
}

/// Rate and time of an instrument's next settlement, mostly such that the leg pays: at times exactly
/// what comes to a threshold of its rules.
pub(crate) fn prediction(
    rng: &mut Rng,
    leg: &LegSpec,
    rules: &Policy,
    now: Nanos,
) -> (Rate, Nanos) {
    let threshold = rules.rules.iter().find_map(|said| match said.rule {
        Rule::FundingFlip { threshold, .. } => Some(threshold.raw()),
        _ => None,
    });
    // Predictions of one settlement agree about its time.
    let gap = if leg.instrument.0.is_multiple_of(2) { 500 } else { 1_000 };
    let met = threshold.map_or(1_000, |threshold| threshold * gap / (24 * 3_600_000));
    let third = threshold.map_or(0, |threshold| threshold / 3);
    let odd = rng.pick(&[met + 1, met - 1, third, 2 * met, 0]);
    let rate = if rng.one_in(4) { odd } else { met };
    let pays = if leg.side == Side::Long { rate } else { -rate };
    // What a rule of its own looks at is near that rule's threshold.
    let waits = rules.hold_for_funding.is_some() && threshold.is_none();
    let rate = if rng.one_in(if waits { 2 } else { 8 }) { -pays } else { pays };
    let gap = match rng.within(0, 39) {
        0 => 8 * HOUR,
        1..=10 if waits => 20_000_000_000,
        _ => gap as u64 * 1_000_000,
    };
    let next = Nanos((now.0 / gap + 1) * gap);
    let settles = if rng.one_in(30) { now.minus(Nanos(rng.next() % 1_000)) } else { next };
    (Rate::new(rate).expect("a small rate"), settles)
}
