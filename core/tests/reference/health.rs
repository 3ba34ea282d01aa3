//! The score of all positions (SPEC §5), from scratch at every event.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use num_bigint::BigInt;
use num_traits::{Signed, Zero};
use reap_core::policy::{Rule, TriggerSource};
use reap_core::portfolio::Health as Settings;
use reap_core::position::{PositionId, Side};
use reap_core::units::{Nanos, Rate};

use super::exact::Exact;
use super::formulas::Leg;
use super::gates::Gates;
use super::life::{Firing, Life, Part, reason};
use super::portfolio::{Cause, Firings, Portfolio};
use super::session::floor;
use super::sight::Market;

type Lives = BTreeMap<PositionId, Life>;

/// What a change of the score asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// The two worst are to be closed.
    pub(crate) closes: bool,
    /// It went below the second level, or back.
    pub(crate) crossed: bool,
    pub(crate) boundary: bool,
}

/// The score's state.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    settings: Settings,
    /// When each position was opened, and not later than it was registered.
    opened: BTreeMap<PositionId, Nanos>,
    level: usize,
    acted: Option<Nanos>,
    due: Option<Nanos>,
    pub(crate) score: Option<i64>,
}

fn points(points: u8) -> i64 {
    i64::from(points) * 1_000_000_000
}

/// `⌊points · 10⁹ · of / all⌋`, the share held between 0 and 1.
fn part(points: i64, of: &BigInt, all: &BigInt) -> i64 {
    let of = if of.is_negative() { BigInt::zero() } else { of.min(all).clone() };
    let nano = floor(of * points * 1_000_000_000, all);
    nano.try_into().expect("at most all points")
}

impl Health {
    pub(crate) fn new(settings: Settings) -> Self {
        let (opened, acted, due, score) = (BTreeMap::new(), None, None, None);
        Self { settings, opened, level: 0, acted, due, score }
    }

    pub(crate) fn on_registered(&mut self, now: Nanos, id: PositionId, life: &Life) {
        self.opened.insert(id, life.spec.opened.min(now));
    }

    /// Closed, or dust.
    pub(crate) fn on_ended(&mut self, id: PositionId) {
        self.opened.remove(&id);
    }

    /// Stops are tightened.
    pub(crate) const fn is_deep(&self) -> bool {
        self.level >= 2
    }

    pub(crate) const fn allows_entries(&self) -> bool {
        self.level == 0
    }

    pub(crate) fn next_timer(&self, now: Nanos) -> Option<Nanos> {
        let ages = [self.settings.older_than, self.settings.max_age];
        let times = self.opened.values().flat_map(|opened| ages.map(|age| opened.plus(age)));
        times.chain(self.due).filter(|&at| at > now).min()
    }

    /// `net` is what the open positions have brought, in units of 10^-18.
    fn score(&self, now: Nanos, net: &BigInt, lives: &Lives) -> Option<i64> {
        let old = |opened: &Nanos| opened.plus(self.settings.older_than) <= now;
        let old = self.opened.values().filter(|opened| old(opened)).count();
        if old < self.settings.positions as usize {
            return None;
        }
        let count = BigInt::from(self.opened.len());
        let micro = |leg: &Leg| {
            let notional = &leg.entry() * &leg.size(leg.open);
            floor(notional.atto_floor(), &BigInt::from(1_000_000_000_000u64))
        };
        let gross = |id: &PositionId| lives[id].legs.iter().map(micro).sum::<BigInt>();
        let weights: Vec<BigInt> = self.opened.keys().map(gross).collect();
        let all: BigInt = weights.iter().sum();
        let net = floor(net.clone(), &BigInt::from(1_000_000_000_000u64));
        let (pnl, spread) = if all.is_zero() {
            (points(20), 0)
        } else {
            let squares: BigInt = weights.iter().map(|weight| weight * weight).sum();
            let whole = &all * &all;
            let decimals = BigInt::from(1_000_000_000_000u64);
            let share = floor((&whole - squares) * &decimals, &whole);
            // ½ + net / (0.1 · gross); spread over 0.8.
            let pnl = part(40, &(&all + &net * 20), &(&all * 2));
            (pnl, part(20, &(share * 5), &(decimals * 4)))
        };
        let winners = self.opened.keys().filter(|id| lives[id].winning).count();
        let max = self.settings.max_age.0;
        let left = self.opened.values().map(|&opened| max.saturating_sub(now.since(opened).0));
        let left: BigInt = left.map(BigInt::from).sum();
        let winners = part(30, &BigInt::from(winners), &count);
        Some(pnl + winners + spread + part(10, &left, &(count * max)))
    }

    pub(crate) fn evaluate(&mut self, now: Nanos, net: &BigInt, lives: &Lives) -> Asked {
        self.score = self.score(now, net, lives);
        let before = self.level;
        let levels = self.settings.levels;
        while self.level > 0 {
            let leaves = points(levels[self.level - 1]) + points(self.settings.hysteresis);
            if self.score.is_some_and(|score| score < leaves) {
                break;
            }
            self.level -= 1;
        }
        let is_below = |&&at: &&u8| self.score.is_some_and(|score| score < points(at));
        let below = levels.iter().filter(is_below).count();
        let wants = below > self.level || below == 3;
        let free_at = self.acted.map(|at| at.plus(self.settings.cooldown));
        let acts = wants && free_at.is_none_or(|at| at <= now);
        self.due = if wants { free_at } else { None };
        if acts {
            self.level = below;
            self.acted = Some(now);
            self.due = (below == 3).then(|| now.plus(self.settings.cooldown));
        }
        let crossed = (before < 2) != (self.level < 2);
        let boundary = self.score.is_some_and(|score| {
            levels.iter().any(|&at| score == points(at) || score == points(at) - 1)
        });
        Asked { closes: acts && below == 3, crossed, boundary }
    }

    /// The stop that a position gets, beside the first that stands.
    pub(crate) fn tightened(&self, life: &Life, gates: &Gates, now: Nanos) -> Option<Tight> {
        if life.legs.len() > 1 || self.settings.never_tighten.contains(&life.policy.class) {
            return None;
        }
        let at = super::sight::present(&life.legs[0], gates, now)?;
        let stands = |rule: usize| match life.policy.rules[rule].rule {
            Rule::StopLoss { .. } => true,
            Rule::TrailingStop { .. } => life.has_mark(rule),
            _ => false,
        };
        let mut rules = 0..life.policy.rules.len();
        let rule = rules.find(|&rule| stands(rule) && !life.is_off(rule))?;
        let from = life.tight_from.map_or(at, |from| match life.legs[0].spec.side {
            Side::Long => from.max(at),
            Side::Short => from.min(at),
        });
        Some(Tight::new(rule, from, self.settings.tighten))
    }
}

/// A stop that is closer than the rule's own.
#[derive(Clone, Debug)]
pub(crate) struct Tight {
    rule: usize,
    pub(super) from: i64,
    distance: Rate,
    pub(super) part: Part,
}

impl Tight {
    const fn new(rule: usize, from: i64, distance: Rate) -> Self {
        Self { rule, from, distance, part: Part::Armed }
    }

    /// Put back: it fires no more.
    pub(super) const fn end(&mut self) {
        self.part = Part::Done;
    }

    /// Its line against the exit price: not less when it holds.
    pub(super) fn against(&self, side: Side, exit: i64) -> Ordering {
        let by = match side {
            Side::Long => 1_000_000_000 - self.distance.raw(),
            Side::Short => 1_000_000_000 + self.distance.raw(),
        };
        let line = &Exact::int(self.from) * &Exact::ppb(by);
        match side {
            Side::Long => line.cmp(&Exact::int(exit)),
            Side::Short => Exact::int(exit).cmp(&line),
        }
    }
}

impl Life {
    fn is_tightened(&self) -> bool {
        let stands = |tight: &Tight| !self.rules[tight.rule].off && tight.part != Part::Done;
        self.tight.as_ref().is_some_and(stands)
    }

    pub(super) fn fire_tight_now(&mut self, now: Nanos, gates: &Gates) -> Option<Firing> {
        if !self.is_live() || self.is_flat() || self.is_settled() {
            return None;
        }
        let own = Market::own(self, now, gates, TriggerSource::Bbo);
        let left = Market::left(self, now, gates, TriggerSource::Bbo, own.as_ref())?;
        self.fire_tight(&left)
    }

    pub(super) fn fire_tight(&mut self, market: &Market) -> Option<Firing> {
        let side = self.legs[0].spec.side;
        let tight = self.tight.as_mut().filter(|tight| tight.part == Part::Armed)?;
        if self.rules[tight.rule].off || !market.usable {
            return None;
        }
        let against = tight.against(side, market.exits[0]);
        if against == Ordering::Less {
            return None;
        }
        tight.part = Part::Fired { rearm: None };
        let rule = tight.rule;
        let reason = reason(&self.policy.rules[rule].rule);
        Some(Firing {
            rule: rule as u8,
            part: reap_core::portfolio::PART_TIGHT,
            reason,
            urgency: reason.urgency(),
            boundary: against == Ordering::Equal,
            order: 0,
            part_of_open: None,
            stands_in: market.stands_in,
        })
    }
}

impl Portfolio {
    /// Scores all positions, and asks for what that brings.
    pub(super) fn watch_health(
        &mut self,
        now: Nanos,
        total: &BigInt,
        lives: &Lives,
        gates: &Gates,
        fired: &mut Firings,
    ) {
        let dust = self.records.iter().filter(|(_, record)| record.dust);
        let dust: BigInt = dust.map(|(&id, _)| self.cash(id, &lives[&id])).sum();
        let Some(health) = &mut self.health else { return };
        let asked = health.evaluate(now, &(total - &self.closed - dust), lives);
        let deep = health.is_deep();
        let held = lives.iter().filter(|(_, life)| life.is_live());
        // While it lasts, whoever has none yet gets one as soon as that can be.
        let changed = held.filter(|(_, life)| asked.crossed || deep && !life.is_tightened());
        let stop = |life| if deep { health.tightened(life, gates, now) } else { None };
        self.tight = changed.map(|(&id, life)| (id, stop(life))).collect();
        if asked.closes {
            let free = |id: &PositionId| lives[id].plan.is_none();
            let mut ids: Vec<PositionId> = self.closable(lives).filter(free).collect();
            ids.sort_by_key(|id| (self.net(*id, &lives[id], gates), *id));
            ids.truncate(2);
            let ids = self.ordered(ids, lives, gates, now);
            self.close(ids, Cause::Health, false, asked.boundary, fired);
        }
    }
}
