//! The story of a run: where each position stands, its plans, their orders, fills and answers.
//!
//! It is told by notes alone and reads neither engine nor executor, so that it may live on the
//! thread that decides or on one that follows it. It decides nothing and nothing waits for it.

mod arrival;
mod note;
mod record;

use std::collections::HashMap;

use reap_core::entry::TaskId;
use reap_core::event::{Outcome, Report};
use reap_core::instrument::{Instrument, InstrumentId};
use reap_core::intent::Intent;
use reap_core::limits::LEGS_MAX;
use reap_core::note::{EngineNote, ExecutorNote, Overruled, SeenBy};
use reap_core::order::{ClientOrderId, Order, OrderEvent};
use reap_core::policy::PolicyId;
use reap_core::position::{PositionId, PositionSpec, Side};
use reap_core::recovery::OpenPosition;
use reap_core::tick::Quote;
use reap_core::units::{Decimal, Nanos, Price, Qty};

pub use self::arrival::Arrival;
pub use self::note::{Happening, Note, Watcher};
pub use self::record::{
    FillRecord, LeggingRecord, NearRecord, OrderRecord, PlanRecord, Spent, Standing, Waited,
};
use crate::config::{Config, PositionConfig};

/// See the module.
#[derive(Clone, Debug)]
pub struct Story {
    config: Config,
    instruments: Vec<Instrument>,
    /// By configured position.
    standings: Vec<Standing>,
    by_id: HashMap<PositionId, usize>,
    plans: Vec<PlanRecord>,
    /// The live plan of each configured position.
    live: Vec<Option<usize>>,
    /// Orders of entries at work.
    entering: Vec<Order>,
    /// Number of the newest intent.
    newest: u64,
    /// Rules that lost to intents which are still to come: the notes of an event may go ahead.
    early: Vec<(Nanos, Overruled)>,
    /// By position, the rules that wait for a settlement of funding while no plan is live: the last
    /// time of each.
    waiting: Vec<(usize, Nanos, Waited)>,
    near_misses: Vec<NearRecord>,
}

impl Story {
    /// The story of a configuration before anything has happened.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let count = config.positions.len();
        Self {
            instruments: config.instruments.iter().map(|named| named.instrument).collect(),
            standings: vec![Standing::default(); count],
            by_id: HashMap::new(),
            plans: Vec::new(),
            live: vec![None; count],
            entering: Vec::new(),
            newest: 0,
            early: Vec::new(),
            waiting: Vec::new(),
            near_misses: Vec::new(),
            config,
        }
    }

    /// Everything that a position waited for is known: this is what is registered. A
    /// [`Note::Opened`] or [`Self::refused`] follows.
    pub fn resolved(&mut self, at: usize, spec: PositionSpec) {
        let standing = &mut self.standings[at];
        for (open, leg) in standing.open.iter_mut().zip(&spec.legs) {
            *open = leg.qty;
        }
        standing.spec = Some(spec);
    }

    /// A position of an earlier run is watched again, with its live plan.
    pub fn resumed(&mut self, now: Nanos, at: usize, of: &OpenPosition) {
        self.resolved(at, of.spec.clone());
        self.standings[at].open = of.open;
        self.standings[at].policy = Some(of.spec.policy);
        self.on_opened(now, at, of.id, &mut |_, _, _| {});
        if let Some(plan) = &of.plan {
            self.on_intent(now, &plan.intent, &mut |_, _, _| {});
        }
    }

    /// An entry has become a position: it is told of as of the configured ones, after them, under the
    /// name of its task, or of the position whose place it takes. Gives its index.
    pub fn entered(
        &mut self,
        now: Nanos,
        (task, of): (TaskId, Option<PositionId>),
        id: PositionId,
        spec: PositionSpec,
        watch: Watcher<'_>,
    ) -> usize {
        let at = self.standings.len();
        let by_task = self.config.tasks.get(usize::from(task.0)).map(|task| &task.name);
        let turned = of.and_then(|of| self.index_of(of)).map(|at| &self.config.positions[at].name);
        let name = turned.or(by_task).map_or("", |name| name.split('#').next().unwrap_or(name));
        let prefix = format!("{name}#");
        let before = self.config.positions.iter().filter(|one| one.name.starts_with(&prefix));
        let position = PositionConfig::entered(format!("{prefix}{}", 1 + before.count()), &spec);
        watch(now, at, Happening::Entered(&position, &spec));
        self.config.positions.push(position);
        self.standings.push(Standing { id: Some(id), ..Standing::default() });
        self.live.push(None);
        self.by_id.insert(id, at);
        self.resolved(at, spec);
        at
    }

    /// A position was refused at registration.
    pub fn refused(&mut self, now: Nanos, at: usize, why: String, watch: Watcher<'_>) {
        watch(now, at, Happening::Refused(&why));
        self.standings[at].refused = Some(why);
    }

    /// Takes a note in. Notes of positions that were never opened are no part of the story.
    pub fn on_note(&mut self, now: Nanos, note: &Note, watch: Watcher<'_>) {
        match note {
            Note::Opened { at, id } => self.on_opened(now, *at, *id, watch),
            Note::Entered(of) => {
                self.entered(now, (of.task, of.of), of.id, of.spec(), watch);
            }
            Note::Intent(intent) => self.on_intent(now, intent, watch),
            Note::Engine(note) => {
                match *note {
                    EngineNote::Overruled(overruled) => self.on_overruled(now, overruled),
                    EngineNote::Policy { position, policy, waits: false } => {
                        self.on_policy(position, policy);
                    }
                    EngineNote::HeldForFunding { position, rule, reason, settles } => {
                        self.on_waits(now, position, Waited { rule, reason, settles });
                    }
                    _ => {}
                }
                if let EngineNote::SeenBy(seen) = note {
                    self.on_seen(*seen);
                }
                let at = note.position().and_then(|id| self.by_id.get(&id)).copied();
                watch(now, at.unwrap_or(self.standings.len()), Happening::Said(note));
            }
            Note::Executor(note) => self.on_executor_note(now, note, watch),
            Note::NearMiss(miss) => {
                let Some(&position) = self.by_id.get(&miss.position) else { return };
                self.near_misses.push(NearRecord { position, miss: *miss });
                watch(now, position, Happening::NearMiss(miss));
            }
            Note::Sent(order) => self.on_sent(now, order, watch),
            Note::Answer(event) => self.on_answer(now, event, watch),
            Note::Report {
                report: Report::Fill { position, leg, price, qty, fee }, open, ..
            } => {
                let fill = FillRecord {
                    leg: usize::from(*leg),
                    at: now,
                    price: *price,
                    qty: *qty,
                    fee: *fee,
                };
                self.on_fill(*position, fill, *open);
            }
            Note::Report {
                report: Report::PlanEnded { position, outcome, .. }, realised, ..
            } => {
                self.on_plan_ended(now, *position, *outcome, *realised, watch);
            }
            Note::Report { report: Report::LegLost { position, leg, qty }, .. } => {
                self.on_leg_lost(now, *position, usize::from(*leg), *qty, watch);
            }
            Note::Report { report: Report::EntryEnded { task, .. }, .. } => {
                self.entering.retain(|order| order.id.position.0 != u32::from(task.0));
            }
            Note::Report {
                report:
                    Report::LegRead { .. } | Report::EntryFill { .. } | Report::EntryUndone { .. },
                ..
            } => {}
            Note::Funding { position, leg, settled, unearned } => {
                let Some(&at) = self.by_id.get(position) else { return };
                self.standings[at].funding[usize::from(*leg)] = *settled;
                self.standings[at].unearned += unearned;
            }
        }
    }

    fn on_executor_note(&mut self, now: Nanos, note: &ExecutorNote, watch: Watcher<'_>) {
        match *note {
            // Of no position: execution tells it itself.
            ExecutorNote::TakenBack { .. } => {}
            ExecutorNote::Stuck { position } => {
                let Some(&at) = self.by_id.get(&position) else { return };
                watch(now, at, Happening::Stuck);
            }
            ExecutorNote::Proven { id, inferred } => self.on_proven(now, id, inferred, watch),
            ExecutorNote::Legging { position, leg, notional } => {
                self.on_legging(now, position, watch, |all| {
                    let leg = usize::from(leg);
                    all.push(LeggingRecord { at: now, leg, notional, overdue: None, over: None });
                });
            }
            ExecutorNote::Unhedged { position, .. } => {
                self.on_legging(now, position, watch, |all| {
                    if let Some(last) = all.last_mut() {
                        last.overdue = Some(now);
                    }
                });
            }
            ExecutorNote::Hedged { position, lasted, most } => {
                self.on_legging(now, position, watch, |all| {
                    if let Some(last) = all.last_mut() {
                        last.over = Some((lasted, most));
                    }
                });
            }
            ExecutorNote::EntryUnhedged { task } => {
                watch(now, self.standings.len(), Happening::EntryUnhedged(task));
            }
            ExecutorNote::HalfHeld { position, .. } => {
                let Some(&at) = self.by_id.get(&position) else { return };
                watch(now, at, Happening::Venue(note));
            }
            ExecutorNote::VenueHeld { .. }
            | ExecutorNote::VenueResumed { .. }
            | ExecutorNote::VenueLimited { .. } => {
                watch(now, self.standings.len(), Happening::Venue(note));
            }
        }
    }

    fn on_legging(
        &mut self,
        now: Nanos,
        position: PositionId,
        watch: Watcher<'_>,
        change: impl FnOnce(&mut Vec<LeggingRecord>),
    ) {
        let Some(&at) = self.by_id.get(&position) else { return };
        let Some(plan) = self.live[at] else { return };
        change(&mut self.plans[plan].legging);
        if let Some(last) = self.plans[plan].legging.last() {
            watch(now, at, Happening::Legging(last));
        }
    }

    fn on_opened(&mut self, now: Nanos, at: usize, id: PositionId, watch: Watcher<'_>) {
        self.by_id.insert(id, at);
        self.standings[at].id = Some(id);
        if let Some(spec) = &self.standings[at].spec {
            watch(now, at, Happening::Opened(spec));
        }
    }

    /// A position is under another policy. It goes over between two plans: one that is live has begun
    /// at this very event, under the new one.
    fn on_policy(&mut self, position: PositionId, policy: PolicyId) {
        let Some(&at) = self.by_id.get(&position) else { return };
        self.standings[at].policy = Some(policy);
        if let Some(plan) = self.live[at] {
            self.plans[plan].policy = policy;
        }
    }

    fn on_intent(&mut self, now: Nanos, intent: &Intent, watch: Watcher<'_>) {
        let Some(&at) = self.by_id.get(&intent.position) else { return };
        match self.live[at] {
            Some(plan) => self.plans[plan].intents.push(*intent),
            None => {
                self.live[at] = Some(self.plans.len());
                let scale = self.nano_scale(at).unwrap_or_default();
                let policy = self.policy_of(at);
                let mut plan = PlanRecord::new(at, policy, *intent, scale);
                let before = self.waiting.extract_if(.., |(of, ..)| *of == at);
                plan.waited.extend(before.map(|(_, since, waited)| (since, waited)));
                self.plans.push(plan);
            }
        }
        watch(now, at, Happening::Intent(intent));
        self.newest = self.newest.max(intent.seq);
        if !self.early.is_empty() {
            let mut early = std::mem::take(&mut self.early);
            for (at, overruled) in early.extract_if(.., |(_, of)| of.intent <= intent.seq) {
                self.on_overruled(at, overruled);
            }
            self.early = early;
        }
    }

    /// What an intent took, for the record of its plan.
    pub fn on_spent(&mut self, spent: Spent) {
        let of = |plan: &&mut PlanRecord| plan.intents.iter().any(|of| of.seq == spent.intent);
        if let Some(plan) = self.plans.iter_mut().rev().find(of) {
            plan.spent.push(spent);
        }
    }

    /// Kept with the plan of its intent, which went ahead.
    fn on_seen(&mut self, seen: SeenBy) {
        let Some(&at) = self.by_id.get(&seen.position) else { return };
        if let Some(plan) = self.live[at] {
            self.plans[plan].seen.push(seen);
        }
    }

    /// Kept with the live plan, or with the next one.
    fn on_waits(&mut self, now: Nanos, position: PositionId, waited: Waited) {
        let Some(&at) = self.by_id.get(&position) else { return };
        if let Some(plan) = self.live[at] {
            self.plans[plan].waited.push((now, waited));
            return;
        }
        self.waiting.retain(|(of, _, other)| *of != at || other.rule != waited.rule);
        self.waiting.push((at, now, waited));
    }

    /// Kept with the plan of the intent that it lost to. That of a position which is not known, or
    /// whose plan has ended, is nobody's.
    fn on_overruled(&mut self, now: Nanos, overruled: Overruled) {
        let Some(&at) = self.by_id.get(&overruled.position) else { return };
        if overruled.intent > self.newest {
            self.early.push((now, overruled));
        } else if let Some(plan) = self.live[at] {
            self.plans[plan].overruled.push((now, overruled));
        }
    }

    fn on_sent(&mut self, now: Nanos, order: &Order, watch: Watcher<'_>) {
        if order.id.is_entry() {
            self.entering.push(*order);
            watch(now, self.standings.len(), Happening::Sent(order));
            return;
        }
        let Some(&at) = self.by_id.get(&order.id.position) else { return };
        if let Some(plan) = self.live[at] {
            self.plans[plan].orders.push(OrderRecord {
                order: *order,
                leg: usize::from(order.id.leg),
                sent_at: now,
                said: Vec::new(),
                proven: None,
            });
        }
        watch(now, at, Happening::Sent(order));
    }

    fn on_answer(&mut self, now: Nanos, event: &OrderEvent, watch: Watcher<'_>) {
        if event.id.is_entry() {
            if let Some(order) = self.entering.iter().find(|order| order.id == event.id) {
                watch(now, self.standings.len(), Happening::Answered(order, event.what));
            }
            return;
        }
        let Some(&at) = self.by_id.get(&event.id.position) else { return };
        let Some(plan) = self.live[at] else { return };
        let Some(order) = self.plans[plan].order_mut(event.id) else { return };
        order.said.push((now, event.what));
        watch(now, at, Happening::Answered(&order.order, event.what));
    }

    fn on_proven(&mut self, now: Nanos, id: ClientOrderId, inferred: Qty, watch: Watcher<'_>) {
        if id.is_entry() {
            if let Some(order) = self.entering.iter().find(|order| order.id == id) {
                watch(now, self.standings.len(), Happening::Proven(order, inferred));
            }
            return;
        }
        let Some(&at) = self.by_id.get(&id.position) else { return };
        let Some(plan) = self.live[at] else { return };
        let Some(order) = self.plans[plan].order_mut(id) else { return };
        order.proven = Some((now, inferred));
        watch(now, at, Happening::Proven(&order.order, inferred));
    }

    fn on_fill(&mut self, position: PositionId, fill: FillRecord, open: Option<[Qty; LEGS_MAX]>) {
        let Some(&at) = self.by_id.get(&position) else { return };
        if let Some(open) = open {
            self.standings[at].open = open;
        }
        if let Some(plan) = self.live[at] {
            self.plans[plan].fills.push(fill);
        }
    }

    fn on_leg_lost(
        &mut self,
        now: Nanos,
        position: PositionId,
        leg: usize,
        left: Qty,
        watch: Watcher<'_>,
    ) {
        let Some(&at) = self.by_id.get(&position) else { return };
        let lost = self.standings[at].open[leg].checked_sub(left).unwrap_or(Qty::ZERO);
        self.standings[at].open[leg] = left;
        watch(now, at, Happening::Lost { leg, lost });
    }

    fn on_plan_ended(
        &mut self,
        now: Nanos,
        position: PositionId,
        outcome: Outcome,
        realised: Option<Decimal>,
        watch: Watcher<'_>,
    ) {
        let Some(&at) = self.by_id.get(&position) else { return };
        let standing = &mut self.standings[at];
        standing.closed = outcome == Outcome::Closed;
        standing.dust = outcome == Outcome::Dust;
        let Some(plan) = self.live[at].take() else { return };
        let earlier = self.plans.iter().filter(|plan| plan.position == at && plan.ended.is_some());
        let before: i128 = earlier.map(|plan| plan.net.mantissa).sum();
        let before = before + standing.unearned;
        let plan = &mut self.plans[plan];
        plan.ended = Some((now, outcome));
        if let Some(net) = realised {
            plan.net = Decimal { mantissa: net.mantissa - before, scale: net.scale };
        }
        watch(now, at, Happening::Ended(outcome, plan));
        if !plan.is_exit() {
            // A market that touches a target all day misses all day: count, do not keep.
            standing.missed += 1;
            self.forget_misses();
        }
    }

    /// Drops the newest records as far as they have missed. One that is kept because another plan
    /// began after it goes when that one has gone: what stays is bounded by the exits.
    fn forget_misses(&mut self) {
        while self.plans.last().is_some_and(|plan| plan.ended.is_some() && !plan.is_exit()) {
            self.plans.pop();
        }
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The instruments, by id.
    #[must_use]
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// An instrument of the configuration.
    #[must_use]
    pub fn instrument(&self, id: InstrumentId) -> &Instrument {
        &self.instruments[usize::from(id.0)]
    }

    /// The policy that a configured position is under.
    #[must_use]
    pub fn policy_of(&self, at: usize) -> PolicyId {
        self.standings[at].policy.unwrap_or(self.config.positions[at].policy)
    }

    /// Where each configured position stands.
    #[must_use]
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// Every plan that is live or has closed something, in the order of their beginning.
    #[must_use]
    pub fn plans(&self) -> &[PlanRecord] {
        &self.plans
    }

    /// Rules that came near and turned back, in the order of turning; empty when nobody follows.
    #[must_use]
    pub fn near_misses(&self) -> &[NearRecord] {
        &self.near_misses
    }

    /// The live plan of a configured position.
    #[must_use]
    pub fn live_plan(&self, at: usize) -> Option<&PlanRecord> {
        self.live[at].map(|plan| &self.plans[plan])
    }

    /// Whether any plan is live.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.live.iter().any(Option::is_some)
    }

    /// Whether an entry is at work.
    #[must_use]
    pub const fn is_entering(&self) -> bool {
        !self.entering.is_empty()
    }

    /// Index of the configured position with this id.
    #[must_use]
    pub fn index_of(&self, id: PositionId) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// An order of a live plan.
    #[must_use]
    pub fn order(&self, id: ClientOrderId) -> Option<&OrderRecord> {
        if id.is_entry() {
            return None;
        }
        self.live_plan(self.index_of(id.position)?)?.order(id)
    }

    /// Net of what is still open of a position at these quotes, before exit fees; `None` without a
    /// quote of every open leg.
    #[must_use]
    pub fn unrealised(
        &self,
        at: usize,
        latest: impl Fn(InstrumentId) -> Option<Quote>,
    ) -> Option<Decimal> {
        let standing = &self.standings[at];
        let scale = self.nano_scale(at)?;
        let mut mantissa = 0;
        for (leg, open) in standing.spec.as_ref()?.legs.iter().zip(standing.open) {
            if open == Qty::ZERO {
                continue;
            }
            let quote = latest(leg.instrument)?;
            let exit = match leg.side {
                Side::Long => quote.bid,
                Side::Short => quote.ask,
            };
            let instrument = self.instrument(leg.instrument);
            let align = 10i128.pow(u32::from(scale - instrument.nano_scale()));
            let per_unit = instrument.notional_nano(Price::new(1).ok()?, open) * align;
            mantissa += leg.side.sign() * i128::from(exit.raw() - leg.entry.raw()) * per_unit;
        }
        Some(Decimal { mantissa, scale })
    }

    /// A position's nano scale: the largest of its instruments, as in engine and executor.
    fn nano_scale(&self, at: usize) -> Option<u8> {
        let legs = &self.standings[at].spec.as_ref()?.legs;
        legs.iter().map(|leg| self.instrument(leg.instrument).nano_scale()).max()
    }
}
