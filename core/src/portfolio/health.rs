//! health: a score over all positions that are held, and what a low one does.
//!
//! Score = 40·pnl + 30·winners + 20·spread + 10·age (SPEC §5), each of the four from 0 to 1:
//! pnl = ½ + net / (2 · 5 % · gross notional), winners = the share of positions whose net is above
//! 0, spread = (1 − Σw²) / 0.8 with each position's share w of the gross notional, age = the mean of
//! 1 − age / `max_age`. Notionals are those at entry of what is open. Each part is rounded down to
//! 10⁻⁹ points, notionals and net to 10⁻⁶ of the currency, Σw² in effect to 10⁻¹².
//!
//! Nothing here grows with the positions but what a crossing does: a position's sign is watched like
//! a rule, its notional changes with its fills, its age by two timers.

use alloc::vec::Vec;

use arrayvec::ArrayVec;

use crate::arbiter::RULE_HEALTH;
use crate::compile;
use crate::engine::Engine;
use crate::heap::NodeId;
use crate::intent::Reason;
use crate::limits::PPB;
use crate::net::Cmp;
use crate::policy::{AssetClass, Rule, TriggerSource};
use crate::position::{PositionState, Side};
use crate::register::Plan;
use crate::tracked::Tracked;
use crate::trigger::{Condition, Role, Stage, Trigger, TriggerId};
use crate::units::{Decimal, Nanos, Rate};
use crate::watch::{SystemTimer, Timer};

use super::close::Cause;
use super::money::{Money, POSITION_MAX, UNIT, held_within};
use super::note::PortfolioNote;

/// The part of a stop that health has tightened.
pub const PART_TIGHT: u8 = 4;
/// Millionths of the currency: what notionals are counted in.
const MICRO: Money = UNIT / 1_000_000;
/// Gross notional of everything, in millionths of the currency (exclusive): its square fits.
pub(crate) const GROSS_MAX: i128 = 1 << 61;
/// 10⁻⁹ of a point.
const POINT: i64 = PPB;
/// Triggers that health adds to a position at most.
pub(crate) const HEALTH_PARTS: usize = 2;
/// What each action takes of the positions.
const WORST: usize = 2;

/// When the score of all positions is bad, and what is done then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Falling scores: below the first nothing is entered, below the second stops are tightened,
    /// below the third the two worst positions are closed. 70, 50, 30.
    pub levels: [u8; 3],
    /// Points by which a score must be above a level again to leave it, 5.
    pub hysteresis: u8,
    /// Between two actions lies at least this, 60 s; a recovery does not wait for it.
    pub cooldown: Nanos,
    /// How far below the present price a tightened stop lies, 0.3 %.
    pub tighten: Rate,
    /// Policies for these classes keep their stops. Meme by default.
    pub never_tighten: ArrayVec<AssetClass, 4>,
    /// A position of this age adds nothing for its age, 24 h.
    pub max_age: Nanos,
    /// There is a score while at least so many positions are older than `older_than`: 4.
    pub positions: u32,
    /// 5 min.
    pub older_than: Nanos,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            levels: [70, 50, 30],
            hysteresis: 5,
            cooldown: Nanos::from_secs(60),
            tighten: Rate::from_bps(30),
            never_tighten: [AssetClass::Meme].into_iter().collect(),
            max_age: Nanos::from_secs(86_400),
            positions: 4,
            older_than: Nanos::from_secs(300),
        }
    }
}

impl Health {
    /// The first setting that is out of bounds: its name, value and bound.
    pub(super) fn check(&self) -> Result<(), (&'static str, Decimal, &'static str)> {
        let whole = |value: u64| Decimal { mantissa: i128::from(value), scale: 0 };
        let [first, second, third] = self.levels;
        let rise = u16::from(first) + u16::from(self.hysteresis);
        if third == 0 || second <= third || first <= second || rise > 100 {
            let bound = "falling, the last above 0, the first with the hysteresis at most 100";
            return Err(("health levels", whole(first.into()), bound));
        }
        if !(1..PPB).contains(&self.tighten.raw()) {
            let value = Decimal { mantissa: i128::from(self.tighten.raw()), scale: 9 };
            return Err(("health tighten", value, "above 0 and below 1"));
        }
        if self.max_age.0 == 0 {
            return Err(("health max_age", whole(0), "above 0"));
        }
        if self.cooldown < Nanos::from_millis(1) {
            let value = Decimal { mantissa: i128::from(self.cooldown.0), scale: 9 };
            return Err(("health cooldown", value, "at least a millisecond"));
        }
        if self.positions == 0 {
            return Err(("health positions", whole(0), "at least 1"));
        }
        Ok(())
    }
}

/// What health knows of one position, by slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    /// Its share of the gross notional, in millionths of the currency.
    gross: i64,
    opened: Nanos,
    /// Its net is above nought.
    winning: bool,
    /// Older than `older_than`.
    grown: bool,
    /// Younger than `max_age`.
    young: bool,
    timer: NodeId,
    /// Among those whose stop may have to be tightened at the end of the event.
    late: bool,
}

impl Member {
    pub(super) const NONE: Self = Self {
        gross: 0,
        opened: Nanos(0),
        winning: false,
        grown: false,
        young: false,
        timer: NodeId::NONE,
        late: false,
    };
}

/// The sums behind the score.
#[derive(Clone, Debug)]
pub(crate) struct Vitals {
    settings: Health,
    count: u32,
    winners: u32,
    grown: u32,
    young: u32,
    /// Σ opened of the young ones.
    opened: i128,
    /// Σ notional at entry, and of its squares.
    gross: i128,
    squares: i128,
    /// 20·spread in 10⁻⁹ points.
    spread: i64,
    /// Cash of what is dust: its past is no part of the score.
    dust: Money,
    /// How many levels the score is below.
    level: u8,
    acted: Option<Nanos>,
    /// When what the cooldown holds back is due.
    due: Option<Nanos>,
    /// Positions whose stop may have to be tightened at the end of the event, once each.
    late: Vec<u32>,
}

impl Vitals {
    pub(super) fn of(settings: Health, positions: usize) -> Self {
        Self {
            settings,
            count: 0,
            winners: 0,
            grown: 0,
            young: 0,
            opened: 0,
            gross: 0,
            squares: 0,
            spread: 0,
            dust: 0,
            level: 0,
            acted: None,
            due: None,
            late: Vec::with_capacity(positions),
        }
    }

    pub(super) const fn next_due(&self) -> Option<Nanos> {
        self.due
    }

    pub(super) fn has_room(&self, more: i128) -> bool {
        self.gross + more < GROSS_MAX
    }

    /// In 10⁻⁹ points; `None` with too few positions of age.
    fn score(&self, now: Nanos, open: Money) -> Option<i64> {
        if self.grown < self.settings.positions {
            return None;
        }
        let count = i128::from(self.count);
        let winners = 30 * i128::from(POINT) * i128::from(self.winners) / count;
        let max_age = i128::from(self.settings.max_age.0);
        let left = i128::from(self.young) * (max_age - i128::from(now.0)) + self.opened;
        let age = 10 * i128::from(POINT) * left / (count * max_age);
        let pnl = self.pnl((open - self.dust).div_euclid(MICRO));
        Some((pnl + winners + age) as i64 + self.spread)
    }

    fn pnl(&self, net: i128) -> i128 {
        let gross = self.gross;
        // net / (2 · 5 % · gross) is 10·net / gross.
        let twice = (gross + 20 * net).clamp(0, 2 * gross);
        if gross == 0 { 20 * i128::from(POINT) } else { 20 * i128::from(POINT) * twice / gross }
    }

    fn change(&mut self, gross: i64, by: i128) {
        let gross = i128::from(gross);
        self.gross += by * gross;
        self.squares += by * gross * gross;
        self.spread = self.spread_of();
    }

    fn spread_of(&self) -> i64 {
        let whole = self.gross * self.gross;
        if whole == 0 {
            return 0;
        }
        // 1 − Σw² to twelve decimals, one after the other: the product with 10^12 would not fit.
        let (mut rest, mut share) = (whole - self.squares, 0i64);
        for _ in 0..12 {
            rest *= 10;
            share = share * 10 + (rest / whole) as i64;
            rest %= whole;
        }
        // 20 · share / 0.8, from 10⁻¹² to 10⁻⁹.
        (share * 25 / 1000).min(20 * POINT)
    }
}

/// Notional at entry of what is open, in millionths of the currency, rounded down leg by leg.
pub(super) fn gross(position: &Tracked) -> i128 {
    let legs = position.legs().iter();
    legs.map(|leg| {
        let notional = i128::from(leg.entry.raw()) * i128::from(leg.weight()) * i128::from(PPB);
        held_within(notional, position.scale, POSITION_MAX) / MICRO
    })
    .sum()
}

impl Engine {
    fn vitals(&mut self) -> Option<&mut Vitals> {
        self.portfolio.vitals.as_mut()
    }

    /// The score of all positions, in 10⁻⁹ points; `None` without health, or with too few positions.
    pub(super) fn health_score(&self) -> Option<i64> {
        let vitals = self.portfolio.vitals.as_ref()?;
        vitals.score(self.now, self.portfolio.open)
    }

    /// Adds what health watches of a position to its triggers.
    pub(crate) fn add_health_parts(&self, plan: &mut Plan, slot: u32, legs: usize) {
        if self.portfolio.vitals.is_none() {
            return;
        }
        let part = |role, stage| {
            let mut part = Trigger::new(slot, RULE_HEALTH, PART_TIGHT, Reason::Health, role);
            part.stage = stage;
            part
        };
        plan.push(part(Role::Sign, Stage::Armed));
        if legs == 1 {
            plan.push(part(Role::Tight, Stage::Asleep));
        }
    }

    /// A position is in its slot and in the sums.
    pub(super) fn health_enter(&mut self, slot: u32) {
        let opened = self.positions[slot as usize].opened.min(self.now);
        let Some(vitals) = self.portfolio.vitals.as_mut() else { return };
        vitals.count += 1;
        vitals.young += 1;
        vitals.opened += i128::from(opened.0);
        let member = &mut self.portfolio.members[slot as usize];
        // Its notional is in the sums already.
        *member = Member { opened, young: true, ..*member };
        self.on_health_timer(slot);
    }

    /// A position is closed, or dust.
    pub(super) fn health_leave(&mut self, slot: u32) {
        let Some(vitals) = self.portfolio.vitals.as_mut() else { return };
        let member = &mut self.portfolio.members[slot as usize];
        let none = Member { late: member.late, ..Member::NONE };
        let member = core::mem::replace(member, none);
        vitals.count -= 1;
        vitals.winners -= u32::from(member.winning);
        vitals.grown -= u32::from(member.grown);
        vitals.young -= u32::from(member.young);
        vitals.opened -= if member.young { i128::from(member.opened.0) } else { 0 };
        if member.timer != NodeId::NONE {
            self.watch.remove_timer(member.timer);
        }
    }

    /// Its notional leaves the sums, or comes in as it is now.
    pub(super) fn health_weigh(&mut self, slot: u32, comes: bool) {
        let held = &self.portfolio.held[slot as usize];
        let (live, cash) = (held.live, held.cash);
        let Some(vitals) = self.portfolio.vitals.as_mut() else { return };
        if !live {
            // Nothing changes of dust: it comes, and does not leave.
            vitals.dust += cash;
            return;
        }
        let member = &mut self.portfolio.members[slot as usize];
        if comes {
            // Registration saw that the sum has room for it.
            member.gross = gross(&self.positions[slot as usize]) as i64;
        }
        vitals.change(member.gross, if comes { 1 } else { -1 });
    }

    /// A position has come of an age that counts.
    pub(crate) fn on_health_timer(&mut self, slot: u32) {
        let now = self.now;
        let Some(vitals) = self.portfolio.vitals.as_mut() else { return };
        let member = &mut self.portfolio.members[slot as usize];
        let Health { older_than, max_age, .. } = vitals.settings;
        let (grows, ages) = (member.opened.plus(older_than), member.opened.plus(max_age));
        if !member.grown && grows <= now {
            member.grown = true;
            vitals.grown += 1;
        }
        if member.young && ages <= now {
            member.young = false;
            vitals.young -= 1;
            vitals.opened -= i128::from(member.opened.0);
        }
        let next = [(!member.grown, grows), (member.young, ages)];
        let next = next.into_iter().filter(|(waits, _)| *waits).map(|(_, at)| at).min();
        member.timer = next.map_or(NodeId::NONE, |at| {
            self.watch.add_timer(at.0, Timer::System(SystemTimer::Health, slot))
        });
    }

    /// The condition of what health watches: a net that changes its sign, or a stop that it set.
    pub(crate) fn health_condition(&self, position: &Tracked, trigger: &Trigger) -> Condition {
        if trigger.role == Role::Tight {
            let vitals = self.portfolio.vitals.as_ref().expect("it set the stop");
            let distance = compile::TrackDistance::Rate(vitals.settings.tighten.raw());
            return compile::trail(position.legs[0].side, trigger.mark, distance);
        }
        // Nets are whole numbers at the position's nano scale: above nought is one and more.
        let above = compile::profit(position, 1);
        if !self.portfolio.members[trigger.position as usize].winning {
            return above;
        }
        match above {
            Condition::Price(Cmp::AtLeast, limit) => {
                compile::price(Cmp::AtMost, i128::from(limit) - 1)
            }
            Condition::Price(Cmp::AtMost, limit) => {
                compile::price(Cmp::AtLeast, i128::from(limit) + 1)
            }
            Condition::Net(_, bound) => Condition::net(Cmp::AtMost, bound.get() - 1),
            // No price brings a net above nought any more.
            _ => Condition::Always,
        }
    }

    /// The sign of a position's net has changed.
    pub(crate) fn flip_sign(&mut self, id: TriggerId, now: Nanos) {
        let slot = self.triggers[id].position as usize;
        let member = &mut self.portfolio.members[slot];
        member.winning = !member.winning;
        let winning = member.winning;
        if let Some(vitals) = self.vitals() {
            vitals.winners = if winning { vitals.winners + 1 } else { vitals.winners - 1 };
        }
        self.recompile(id);
        self.test(id, now);
    }

    /// Compares the score with its levels, and acts.
    pub(super) fn follow_health(&mut self) {
        let now = self.now;
        let score = self.health_score();
        let Some(vitals) = self.portfolio.vitals.as_mut() else { return };
        let Health { levels, hysteresis, cooldown, .. } = vitals.settings;
        let (before, mut level) = (vitals.level, vitals.level);
        let points = |points: u8| i64::from(points) * POINT;
        let stays = |level: u8| {
            let at = points(levels[usize::from(level) - 1]) + points(hysteresis);
            score.is_some_and(|score| score < at)
        };
        while level > 0 && !stays(level) {
            level -= 1;
        }
        let below = levels.into_iter().filter(|&at| score.is_some_and(|score| score < points(at)));
        let below = below.count() as u8;
        let rested = vitals.acted.map(|at| at.plus(cooldown));
        let wants = below > level || below == 3;
        vitals.due = rested.filter(|_| wants);
        let acts = wants && rested.is_none_or(|at| at <= now);
        if acts {
            level = below;
            vitals.acted = Some(now);
            vitals.due = (below == 3).then(|| now.plus(cooldown));
        }
        vitals.level = level;
        if before < 2 && level >= 2 {
            self.each_tight(Self::tighten);
        } else if before >= 2 && level < 2 {
            self.each_tight(|engine, id| {
                engine.loosen(id);
                engine.triggers[id].mark = 0;
            });
        }
        self.tighten_all_late();
        let closes = acts && level == 3;
        let positions = if closes { self.close_worst() } else { 0 };
        if level != before || positions > 0 {
            let score = score.map(|score| Decimal { mantissa: i128::from(score), scale: 9 });
            self.portfolio.states.health = level > 0;
            self.tell(PortfolioNote::Health { level, score, positions });
            self.tell_state();
        }
    }

    /// Closes the worst of those on which nothing is under way.
    fn close_worst(&mut self) -> u32 {
        self.rank_all();
        let positions = &self.positions;
        self.portfolio.ranked.retain(|one| positions[one.slot as usize].plan.is_none());
        self.keep_worst(WORST);
        self.close_ranked(Cause::Health, 0, false)
    }

    fn each_tight(&mut self, mut each: impl FnMut(&mut Self, TriggerId)) {
        for slot in 0..self.positions.len() as u32 {
            let state = self.positions[slot as usize].state;
            if matches!(state, PositionState::Open | PositionState::Exiting) {
                self.each_trigger(slot, |engine, id| {
                    if engine.triggers[id].role == Role::Tight {
                        each(engine, id);
                    }
                });
            }
        }
    }

    /// While the score is below the second level, a stop that has begun to stand, or that has a price
    /// at last, is tightened as one that stood before.
    /// At the end of the event, when it is known which stop is the first.
    pub(crate) fn tighten_late(&mut self, slot: u32) {
        let Some(vitals) = self.portfolio.vitals.as_mut() else { return };
        let late = &mut self.portfolio.members[slot as usize].late;
        if vitals.level >= 2 && !core::mem::replace(late, true) {
            vitals.late.push(slot);
        }
    }

    fn tighten_all_late(&mut self) {
        while let Some(vitals) = self.portfolio.vitals.as_mut()
            && let Some(slot) = vitals.late.pop()
        {
            let level = vitals.level;
            self.portfolio.members[slot as usize].late = false;
            let state = self.positions[slot as usize].state;
            let live = matches!(state, PositionState::Open | PositionState::Exiting);
            if level < 2 || !live {
                continue;
            }
            self.each_trigger(slot, |engine, id| {
                let trigger = &engine.triggers[id];
                if trigger.role == Role::Tight && trigger.stage == Stage::Asleep {
                    engine.tighten(id);
                }
            });
        }
    }

    /// A rule is switched off: the stop that health has put beside it ends, and the next one that
    /// stands has its turn.
    pub(crate) fn loosen_beside(&mut self, slot: u32, rule: u8) {
        self.for_rule(slot, rule, |engine, id| {
            if engine.triggers[id].role == Role::Tight {
                engine.loosen(id);
            }
        });
    }

    /// A stop at the present price less a little, beside the first stop that stands.
    fn tighten(&mut self, id: TriggerId) {
        let slot = self.triggers[id].position;
        let position = &self.positions[slot as usize];
        let policy = &self.policies[usize::from(position.policy)];
        let vitals = self.portfolio.vitals.as_ref().expect("it has such a part");
        if vitals.settings.never_tighten.contains(&policy.class) {
            return;
        }
        let leg = &position.legs[0];
        // It protects: without a quote the present price is what stands in for it.
        let sight = self.books.sight(leg.instrument, TriggerSource::Bbo, self.now);
        let (Some(_), Some(quote)) = (sight.source, sight.quote) else {
            let id = leg.instrument;
            self.hear_of_price(id);
            return;
        };
        let present = leg.exit(&quote);
        let mut stop = None;
        let mut part = position.first;
        while part != TriggerId::NONE {
            let trigger = &self.triggers[part];
            let stands = match policy.rules.get(usize::from(trigger.rule)).map(|said| &said.rule) {
                Some(Rule::StopLoss { .. }) => trigger.role == Role::Fire,
                Some(Rule::TrailingStop { .. }) => trigger.role == Role::Trail,
                _ => false,
            };
            if stands && trigger.stage != Stage::Asleep && !position.off.has(trigger.rule) {
                stop = Some((trigger.rule, trigger.reason));
                break;
            }
            part = trigger.next;
        }
        let Some((rule, reason)) = stop else { return };
        let side = leg.side;
        let tight = &mut self.triggers[id];
        // Until the recovery a stop comes nearer only, whichever rule or policy it stands beside.
        let from = match (tight.mark, side) {
            (0, _) => present,
            (mark, Side::Long) => mark.max(present),
            (mark, Side::Short) => mark.min(present),
        };
        (tight.rule, tight.reason, tight.mark) = (rule, reason, from);
        tight.stage = Stage::Armed;
        self.recompile(id);
        self.test(id, self.now);
    }

    /// Puts a stop back; where it stood is kept for the one that may follow.
    fn loosen(&mut self, id: TriggerId) {
        self.take(id);
        let tight = &mut self.triggers[id];
        tight.stage = Stage::Asleep;
        tight.rule = RULE_HEALTH;
    }
}
