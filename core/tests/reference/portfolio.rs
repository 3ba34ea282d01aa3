//! All positions together: every sum from scratch at every event, every rule as SPEC §5 states it.
//!
//! Figures are whole numbers of 10^-18: the total is a sum of figures that are each rounded down to
//! that. In most worlds nothing is finer, and the sum is exact.

use std::collections::BTreeMap;

use num_bigint::BigInt;
use num_traits::{Signed, Zero};
use reap_core::event::{Command, Latch, Outcome, TradingState};
use reap_core::instrument::InstrumentId;
use reap_core::intent::Reason;
use reap_core::policy::Policy;
use reap_core::portfolio::{Breakers, ClosingFee, DrawdownFrom, PortfolioSettings};
use reap_core::position::{PositionId, Side};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

use super::exact::Exact;
use super::formulas::{Leg, scale};
use super::gates::Gates;
use super::health::{Health, Tight};
use super::life::{Firing, Life, part_of};
use super::session::{Session, floor, next_reset};

pub(super) type Lives = BTreeMap<PositionId, Life>;
pub(super) type Firings = Vec<(PositionId, Firing)>;

/// What wants a position closed until it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    Profit,
    Loss,
    Breaker(u8),
    Age,
    Health,
}

#[derive(Clone, Debug)]
pub(super) struct Record {
    banked: Exact,
    pub(super) dust: bool,
    pub(super) causes: Vec<Cause>,
    pub(super) in_run: bool,
    /// Its plan ended short of being closed.
    again: bool,
    age_due: Option<Nanos>,
}

#[derive(Clone, Debug)]
pub(super) struct Run {
    late_at: Option<Nanos>,
    pub(super) late: bool,
}

/// The rules' state.
#[derive(Clone, Debug)]
pub(crate) struct Portfolio {
    settings: PortfolioSettings,
    pub(super) records: BTreeMap<PositionId, Record>,
    pub(super) closed: BigInt,
    /// The total at the end of the last event.
    last_total: BigInt,
    base: Option<BigInt>,
    partial_done: bool,
    pub(super) run: Option<Run>,
    lifted_at: Option<Nanos>,
    session: Option<Session>,
    /// Stated before the first event.
    stated_total: BigInt,
    operator: TradingState,
    loss_latched: bool,
    reducing: bool,
    halted: bool,
    pub(crate) health: Option<Health>,
    /// Stops that the last event put closer, or back.
    pub(crate) tight: Vec<(PositionId, Option<Tight>)>,
}

/// The rule's name in the tally.
pub(crate) fn name(firing: &Firing) -> &'static str {
    match (firing.reason, firing.part) {
        (Reason::PortfolioProfit, 1) => "portfolio_partial",
        (Reason::DrawdownBreaker, 1) => "breaker_1",
        (Reason::DrawdownBreaker, 2) => "breaker_2",
        (Reason::DrawdownBreaker, _) => "breaker_3",
        (Reason::Deadline, _) => "max_position_age",
        (reason, _) => reason.name(),
    }
}

fn atto(amount: Decimal) -> BigInt {
    Exact::from(amount).atto_floor()
}

fn atto_ceil(amount: Decimal) -> BigInt {
    -(-&Exact::from(amount)).atto_floor()
}

/// `⌊amount × rate⌋`.
fn share(amount: &BigInt, rate: Rate) -> BigInt {
    floor(amount * rate.raw(), &BigInt::from(1_000_000_000))
}

impl Portfolio {
    pub(crate) fn new(settings: PortfolioSettings) -> Self {
        Self {
            health: settings.health.clone().map(Health::new),
            tight: Vec::new(),
            settings,
            records: BTreeMap::new(),
            closed: BigInt::zero(),
            last_total: BigInt::zero(),
            base: Some(BigInt::zero()),
            partial_done: false,
            run: None,
            lifted_at: None,
            session: None,
            stated_total: BigInt::zero(),
            operator: TradingState::Active,
            loss_latched: false,
            reducing: false,
            halted: false,
        }
    }

    pub(crate) fn trading_state(&self) -> TradingState {
        if self.halted {
            self.operator.max(TradingState::Halted)
        } else if self.loss_latched || self.reducing || self.is_ill() {
            self.operator.max(TradingState::Reducing)
        } else {
            self.operator
        }
    }

    fn is_ill(&self) -> bool {
        self.health.as_ref().is_some_and(|health| !health.allows_entries())
    }

    /// Total net at the end of the last event, in units of 10^-18.
    pub(crate) const fn total_net(&self) -> &BigInt {
        &self.last_total
    }

    /// What the total lacks of each threshold, in units of 10^-18.
    pub(crate) fn missing(&self) -> Vec<i128> {
        let mut missing = Vec::new();
        if let Some(base) = &self.base {
            let partial = self.settings.partial.filter(|_| !self.partial_done);
            let amounts = [self.settings.profit, partial.map(|part| part.at), self.settings.loss];
            let net = &self.last_total - base;
            missing.extend(amounts.into_iter().flatten().map(|amount| atto(amount) - &net));
        }
        let breakers = self.settings.breakers.filter(|breakers| !breakers.filter);
        if let (Some(session), Some(breakers)) = (&self.session, breakers) {
            let open = breakers.levels.iter().skip(usize::from(session.fired));
            let limit = |&level: &Rate| &session.total - share(&session.equity, level);
            missing.extend(open.map(limit).map(|at| at - &self.last_total));
        }
        missing.iter().filter_map(|missing| missing.try_into().ok()).collect()
    }

    pub(crate) fn next_timer(&self, now: Nanos) -> Option<Nanos> {
        let mut times = Vec::new();
        times.extend(self.health.as_ref().and_then(|health| health.next_timer(now)));
        times.extend(self.run.as_ref().filter(|run| !run.late).and_then(|run| run.late_at));
        times.extend(self.lifted_at);
        times.extend(self.records.values().filter_map(|record| record.age_due));
        if let Some(session) = &self.session {
            times.push(session.ends);
            let waiting = session.since.iter().skip(usize::from(session.fired)).flatten();
            times.extend(waiting.map(|since| since.plus(Nanos::from_secs(3))));
        }
        times.into_iter().min()
    }

    pub(crate) fn on_registered(&mut self, now: Nanos, id: PositionId, life: &Life, gates: &Gates) {
        let age_due = self.settings.max_position_age.map(|age| life.spec.opened.plus(age));
        let record = Record {
            banked: Exact::zero(),
            dust: false,
            causes: Vec::new(),
            in_run: false,
            again: false,
            age_due,
        };
        self.records.insert(id, record);
        if let Some(health) = &mut self.health {
            health.on_registered(now, id, life);
        }
        if self.settings.breakers.is_none() {
            return;
        }
        let began = self.session.as_ref().map_or(now, |session| session.began);
        if life.spec.opened < began {
            let before = self.net(id, life, gates);
            match &mut self.session {
                Some(session) => {
                    session.total += &before;
                    session.average += &before;
                    session.stands += &before;
                }
                None => self.stated_total += before,
            }
        }
    }

    /// `before` are the legs before the fill.
    pub(crate) fn on_fill(
        &mut self,
        id: PositionId,
        before: &[Leg],
        leg: u8,
        price: Price,
        qty: Qty,
        fee: i128,
    ) {
        let record = self.records.get_mut(&id).expect("it is registered");
        let of = &before[usize::from(leg)];
        let decimals = scale(before);
        let shares = |open: i64| {
            let funding = Exact::from(of.funding).share_floor(open, of.original(), decimals);
            let paid = Exact::from(of.fees_paid).share_ceil(open, of.original(), decimals);
            &funding - &paid
        };
        let size = of.size(qty.raw());
        let gain = &of.side(&of.price(price.raw()) * &size) - &of.side(&of.entry() * &size);
        let fee = Exact::new(fee, of.scale());
        let share = &shares(of.open) - &shares(of.open - qty.raw());
        record.banked = &(&(&record.banked + &gain) + &share) - &fee;
    }

    /// `before` are the legs before the loss; `left` is what is left of the leg.
    pub(crate) fn on_lost(
        &mut self,
        id: PositionId,
        before: &[Leg],
        leg: u8,
        left: Qty,
        gates: &Gates,
    ) {
        let of = &before[usize::from(leg)];
        let price = gates.quote(of.spec.instrument).map_or(of.spec.entry, |q| match of.spec.side {
            Side::Long => q.bid,
            Side::Short => q.ask,
        });
        let lost = Qty::new((of.open - left.raw()).max(0)).expect("part of what was open");
        self.on_fill(id, before, leg, price, lost, 0);
    }

    pub(crate) fn on_plan_ended(
        &mut self,
        id: PositionId,
        outcome: Outcome,
        life: &Life,
        gates: &Gates,
    ) {
        let net = self.net(id, life, gates);
        let ended = matches!(outcome, Outcome::Closed | Outcome::Dust);
        if let Some(health) = self.health.as_mut().filter(|_| ended) {
            health.on_ended(id);
        }
        let record = self.records.get_mut(&id).expect("it is registered");
        match outcome {
            Outcome::Closed => {
                self.closed += net;
                self.records.remove(&id);
            }
            Outcome::Dust => {
                record.dust = true;
                record.causes.clear();
                record.in_run = false;
                record.age_due = None;
            }
            Outcome::Done | Outcome::Missed => record.again = !record.causes.is_empty(),
        }
    }

    pub(crate) fn on_command(
        &mut self,
        now: Nanos,
        command: &Command,
        lives: &Lives,
        gates: &Gates,
    ) {
        let total = self.total(lives, gates);
        let max = BigInt::from(1u64 << 56) * 1_000_000_000_000_000_000u64;
        let fits = |equity: &BigInt| equity.is_positive() && *equity < max;
        match *command {
            Command::SetState(state) => self.operator = state,
            Command::Reset(Latch::PortfolioLoss) => self.lift_loss(),
            Command::Reset(Latch::Drawdown) => (self.reducing, self.halted) = (false, false),
            Command::Equity(amount) if fits(&atto(amount)) => {
                self.ensure_session(now, &total);
                if let Some(session) = &mut self.session {
                    session.measure_from(now, atto(amount), total);
                }
            }
            Command::Transfer(amount) => {
                self.ensure_session(now, &total);
                if let Some(session) = &mut self.session {
                    let equity = &session.equity + atto(amount);
                    if fits(&equity) {
                        session.equity = equity;
                    }
                }
            }
            _ => {}
        }
    }

    fn lift_loss(&mut self) {
        if std::mem::take(&mut self.loss_latched) {
            self.run = None;
            self.records.values_mut().for_each(|record| record.in_run = false);
        }
        self.lifted_at = None;
    }

    fn exit_rate(&self, leg: &Leg, policy: &Policy) -> Exact {
        let fee = match self.settings.closing_fee {
            ClosingFee::Taker => leg.instrument.taker,
            ClosingFee::Maker => leg.instrument.maker,
        };
        let fee = Exact::ppb(fee.raw());
        let fee = if fee < Exact::zero() { fee } else { (&fee * &self.buffer()).ceil(9) };
        &fee + &Exact::ppb(policy.slippage_reserve.raw())
    }

    fn buffer(&self) -> Exact {
        Exact::ppb(i64::from(self.settings.fee_buffer_ppb))
    }

    /// Worth of what is open of a leg, its closing cost taken off.
    fn leg_value(&self, leg: &Leg, policy: &Policy, gates: &Gates) -> Exact {
        let quote = gates.quote(leg.spec.instrument);
        let price = quote.map_or(leg.spec.entry.raw(), |quote| match leg.spec.side {
            Side::Long => quote.bid.raw(),
            Side::Short => quote.ask.raw(),
        });
        let worth = &leg.price(price) * &leg.size(leg.open);
        let cost = &worth * &self.exit_rate(leg, policy);
        let least = (&Exact::from(leg.instrument.min_fee) * &self.buffer()).ceil(leg.scale());
        let least = if leg.open > 0 { least } else { Exact::zero() };
        &(&leg.side(worth) - &cost) - &least
    }

    pub(super) fn cash(&self, id: PositionId, life: &Life) -> BigInt {
        let decimals = scale(&life.legs);
        let mut cash = self.records[&id].banked.clone();
        for leg in &life.legs {
            let entry = leg.side(&leg.entry() * &leg.size(leg.open));
            let (open, all) = (leg.open, leg.original());
            let funding = Exact::from(leg.funding).share_floor(open, all, decimals);
            let paid = Exact::from(leg.fees_paid).share_ceil(open, all, decimals);
            cash = &(&(&cash - &entry) + &funding) - &paid;
        }
        cash.atto_floor()
    }

    /// Total net of one position, each part rounded down.
    pub(super) fn net(&self, id: PositionId, life: &Life, gates: &Gates) -> BigInt {
        let values =
            life.legs.iter().map(|leg| self.leg_value(leg, &life.policy, gates).atto_floor());
        values.sum::<BigInt>() + self.cash(id, life)
    }

    fn total(&self, lives: &Lives, gates: &Gates) -> BigInt {
        let mut total = self.closed.clone();
        let mut by_instrument = BTreeMap::<InstrumentId, Exact>::new();
        for &id in self.records.keys() {
            let life = &lives[&id];
            total += self.cash(id, life);
            for leg in &life.legs {
                let value = self.leg_value(leg, &life.policy, gates);
                let sum = by_instrument.entry(leg.spec.instrument).or_insert_with(Exact::zero);
                *sum = &*sum + &value;
            }
        }
        total + by_instrument.values().map(Exact::atto_floor).sum::<BigInt>()
    }

    /// Legs whose prices a profit depends on.
    fn open_legs<'a>(
        &'a self,
        lives: &'a Lives,
    ) -> impl Iterator<Item = InstrumentId> + Clone + 'a {
        let live = self.records.iter().filter(|(_, record)| !record.dust);
        let legs = live.flat_map(|(id, _)| &lives[id].legs);
        legs.filter(|leg| leg.open > 0).map(|leg| leg.spec.instrument)
    }

    pub(super) fn closable<'a>(
        &'a self,
        lives: &'a Lives,
    ) -> impl Iterator<Item = PositionId> + 'a {
        let ids = self.records.keys().copied();
        ids.filter(|id| lives[id].is_live() && !lives[id].is_flat())
    }

    fn ensure_session(&mut self, now: Nanos, total: &BigInt) {
        let Some(Breakers { equity, reset, .. }) = self.settings.breakers else { return };
        if self.session.is_some() {
            return;
        }
        self.session = Some(Session {
            began: now,
            ends: next_reset(now, reset),
            equity: atto(equity),
            total: self.stated_total.clone(),
            fired: 0,
            average: total.clone(),
            stands: total.clone(),
            averaged_at: now,
            since: [None; 3],
        });
    }

    /// Everything that the positions together ask for at the end of an event.
    pub(crate) fn evaluate(&mut self, now: Nanos, lives: &Lives, gates: &Gates) -> Firings {
        let mut fired = Vec::new();
        let total = self.total(lives, gates);
        self.breakers(now, &total, lives, gates, &mut fired);
        self.epoch(now, &total, lives, gates, &mut fired);
        self.ages(now, lives, &mut fired);
        self.watch_health(now, &total, lives, gates, &mut fired);
        self.last_total = total;
        fired
    }

    fn breakers(
        &mut self,
        now: Nanos,
        total: &BigInt,
        lives: &Lives,
        gates: &Gates,
        fired: &mut Firings,
    ) {
        let Some(Breakers { levels, from, filter, reset, .. }) = self.settings.breakers else {
            return;
        };
        self.ensure_session(now, total);
        let session = self.session.as_mut().expect("just ensured");
        if session.ends <= now {
            let equity = &session.equity + (total - &session.total);
            session.measure_from(now, equity, total.clone());
            session.began = now;
            session.ends = next_reset(now, reset);
            session.fired = 0;
            self.reducing = false;
        }
        let figure = if filter { session.average(now, total) } else { total.clone() };
        if !session.equity.is_positive() {
            return;
        }
        if from == DrawdownFrom::Peak && figure > session.total {
            session.equity += &figure - &session.total;
            session.total = figure.clone();
        }
        let (loss, raw) = (&session.total - &figure, &session.total - total);
        let mut level = 0;
        let mut boundary = false;
        for (at, &rate) in levels.iter().enumerate() {
            let limit = share(&session.equity, rate);
            let mut trips = loss >= limit;
            if filter {
                session.since[at] =
                    if raw >= limit { session.since[at].or(Some(now)) } else { None };
                trips |=
                    session.since[at].is_some_and(|since| now.since(since) >= Nanos::from_secs(3));
            }
            if trips {
                level = at as u8 + 1;
                boundary = loss == limit;
            }
        }
        if level <= session.fired {
            return;
        }
        session.fired = level;
        let mut ids: Vec<PositionId> = self.closable(lives).collect();
        if level == 1 {
            ids.sort_by_key(|id| (self.net(*id, &lives[id], gates), *id));
            ids.truncate(ids.len() - ids.len() / 2);
        }
        self.reducing |= level >= 2;
        self.halted |= level == 3;
        let ids = self.ordered(ids, lives, gates, now);
        self.close(ids, Cause::Breaker(level), false, boundary, fired);
    }

    fn epoch(
        &mut self,
        now: Nanos,
        total: &BigInt,
        lives: &Lives,
        gates: &Gates,
        fired: &mut Firings,
    ) {
        if self.lifted_at.is_some_and(|at| at <= now) {
            self.lift_loss();
        }
        let members: Vec<PositionId> =
            self.records.iter().filter(|(_, record)| record.in_run).map(|(&id, _)| id).collect();
        if let Some(run) = &mut self.run {
            if members.is_empty() {
                self.base = None;
                self.run = None;
            } else if !run.late && run.late_at.is_some_and(|at| at <= now) {
                run.late = true;
                let left = self.closable(lives).filter(|id| members.contains(id)).collect();
                let left = self.ordered(left, lives, gates, now);
                self.close(left, Cause::Profit, true, false, fired);
            }
        }
        if self.base.is_none() && self.run.is_none() && !self.loss_latched {
            self.base = Some(total.clone());
            self.partial_done = false;
        }
        let Some(base) = &self.base else { return };
        let net = total - base;
        if let Some(loss) = self.settings.loss.map(atto).filter(|loss| net <= *loss) {
            self.base = None;
            self.loss_latched = true;
            self.lifted_at = self.settings.cooldown.map(|span| now.plus(span));
            self.run = Some(Run { late_at: None, late: false });
            let ids = self.ordered(self.closable(lives).collect(), lives, gates, now);
            self.close(ids, Cause::Loss, true, net == loss, fired);
            return;
        }
        if self.run.is_some() {
            return;
        }
        let full = self.settings.profit.map(atto_ceil).filter(|at| net >= *at);
        let part = self.settings.partial.filter(|part| net >= atto_ceil(part.at));
        let part = part.filter(|_| !self.partial_done);
        if full.is_none() && part.is_none() {
            return;
        }
        let legs = self.open_legs(lives);
        if !legs.clone().all(|leg| gates.usable(leg, now)) || !gates.in_step(legs) {
            return;
        }
        let ids = self.ordered(self.closable(lives).collect(), lives, gates, now);
        if let Some(at) = full {
            if ids.is_empty() {
                self.base = Some(total.clone());
                self.partial_done = false;
                return;
            }
            let late_at = Some(now.plus(self.settings.escalate_after));
            self.run = Some(Run { late_at, late: false });
            self.close(ids, Cause::Profit, true, net == at, fired);
        } else if let Some(part) = part {
            self.partial_done = true;
            let boundary = net == atto_ceil(part.at);
            for (at, id) in ids.into_iter().enumerate() {
                let any = |leg: &Leg| part_of(leg, leg.open, part.share) > 0;
                if lives[&id].legs.iter().any(any) {
                    let firing = self.firing(Cause::Profit, at as u32 + 1, boundary);
                    let part_of_open = Some(part.share);
                    fired.push((id, Firing { part: 1, part_of_open, ..firing }));
                }
            }
        }
    }

    fn ages(&mut self, now: Nanos, lives: &Lives, fired: &mut Firings) {
        let ids: Vec<PositionId> = self.records.keys().copied().collect();
        for id in ids {
            let closable = lives[&id].is_live() && !lives[&id].is_flat();
            let record = self.records.get_mut(&id).expect("listed");
            let again = std::mem::take(&mut record.again);
            let mut causes = Vec::new();
            if record.age_due.is_some_and(|due| due <= now) {
                record.age_due = None;
                record.causes.push(Cause::Age);
                causes.push(Cause::Age);
            }
            if again {
                causes.clone_from(&record.causes);
            }
            for cause in causes.into_iter().filter(|_| closable) {
                let firing = self.firing(cause, 0, false);
                fired.push((id, firing));
            }
        }
    }
}
