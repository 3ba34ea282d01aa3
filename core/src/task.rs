//! Tasks: they enter a position when its entry is cheap enough, and again after it was closed.
//!
//! A task holds one position at a time. The position comes into being when its entry has ended, with
//! what was filled of both legs alike; from then on its policy's rules have it, and the task waits for
//! its close.

mod cycle;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use arrayvec::ArrayVec;

use crate::clip::min_entry;
use crate::engine::Engine;
use crate::entry::{
    ENTRY_LEGS_MAX, Entered, EntryBook, EntryFill, EntryIntent, EntryLeg, TaskId, common_step,
    entry_limits,
};
use crate::event::{EntryOutcome, TradingState};
use crate::instrument::{AccountId, Instrument, InstrumentId};
use crate::limits::{ENTRIES_MAX, PPB, PRICE_MAX, QTY_MAX, TASK_RETRY, TASKS_MAX};
use crate::note::{EngineNote, SignalDrop, TaskNote};
use crate::policy::PolicyId;
use crate::position::{PositionId, PositionSpec, PositionState, RegisterError, Side};
use crate::room::Rooms;
use crate::tick::Quote;
use crate::units::{Decimal, Nanos, Qty, Rate};

/// Index of the leg that a task sells.
const FUTURES: usize = 1;

/// What a task trades, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskLeg {
    /// The account.
    pub account: AccountId,
    /// The instrument.
    pub instrument: InstrumentId,
}

/// A task that buys spot and sells futures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskSpec {
    /// Rules of the positions that it enters.
    pub policy: PolicyId,
    /// Their tag.
    pub tag: u32,
    /// What is bought.
    pub spot: TaskLeg,
    /// What is sold.
    pub futures: TaskLeg,
    /// Notional of one entry at most, in the quote currency.
    pub size: Decimal,
    /// (spot ask − futures bid) / spot ask at most.
    pub max_cost: Rate,
    /// After a close.
    pub cooldown: Nanos,
    /// It pauses after so many losing cycles in a row; 0: never.
    pub losing_max: u32,
    /// It is done after so many cycles; 0: never.
    pub cycles_max: u32,
    /// What is done when convergence of the two prices would not reach the policy's target.
    pub unreachable: Unreachable,
    /// How far above its entry price the venue liquidates the futures leg, until it says more;
    /// `None`: nobody knows.
    pub liquidation: Option<Rate>,
}

/// What is done about an entry whose target cannot be reached by convergence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreachable {
    /// It is not entered, and said once.
    Refuse,
    /// It is entered, and said.
    Warn,
    /// It is entered.
    Allow,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TaskState {
    /// It waits for an entry.
    Idle,
    /// Orders of its entry are at work.
    Entering,
    /// Its position is open.
    Open,
    /// Its position is being closed.
    Exiting,
    /// Until it is resumed.
    Paused,
    /// It has done what it was to do.
    Done,
    /// It cannot go on: what an entry or an exit has left cannot be taken on or sold.
    Failed,
}

impl TaskState {
    /// The name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Entering => "entering",
            Self::Open => "open",
            Self::Exiting => "exiting",
            Self::Paused => "paused",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// What a task has done so far. Amounts are in the quote currency; a sum that is beyond 127 bits at
/// the legs' money stays at that bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// Where it stands.
    pub state: TaskState,
    /// Its position, while it has one.
    pub position: Option<PositionId>,
    /// Entries that became positions and were closed.
    pub cycles: u32,
    /// Cycles at a loss, in a row.
    pub losing: u32,
    /// Entries of which nothing came.
    pub missed: u32,
    /// Notional of all fills.
    pub volume: Decimal,
    /// Net of all cycles, of entries that came to nothing included.
    pub net: Decimal,
}

#[derive(Debug)]
struct Task {
    spec: TaskSpec,
    steps: [Qty; ENTRY_LEGS_MAX],
    /// So many steps at most: a position takes no more.
    steps_max: i128,
    /// Nano scale of its money, and from each leg's to it.
    scale: u8,
    align: [i128; ENTRY_LEGS_MAX],
    state: TaskState,
    /// What it is to be when its position is closed.
    wish: Option<TaskState>,
    /// No entry before.
    not_before: Nanos,
    entry: Option<EntryIntent>,
    /// When the entry's first fill came.
    filled_at: Option<Nanos>,
    books: [EntryBook; ENTRY_LEGS_MAX],
    position: Option<PositionId>,
    /// Of the position's exits, at the nano scale.
    traded: i128,
    /// An unreachable target was said since the last entry.
    told: bool,
    /// What stands against its entry, and was said.
    waits: Option<SignalDrop>,
    cycles: u32,
    losing: u32,
    missed: u32,
    volume: i128,
    net: i128,
}

/// All tasks, and what goes out for them.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    all: Vec<Task>,
    seq: u64,
    pub(crate) rooms: Rooms,
    pub(crate) entries: VecDeque<EntryIntent>,
    pub(crate) entered: VecDeque<Entered>,
}

impl Tasks {
    /// Room for what goes out: at most one entry of each task and turn.
    pub(crate) fn make_room(&mut self) {
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(ENTRIES_MAX);
            self.entered.reserve_exact(ENTRIES_MAX);
            self.rooms.make_room();
        }
    }

    /// The tasks' entries that are at work.
    pub(crate) fn at_work(&self) -> impl Iterator<Item = EntryIntent> {
        self.all.iter().filter_map(|task| task.entry)
    }
}

impl Engine {
    /// Adds a task; it is idle, and enters at the first quotes that allow it.
    ///
    /// # Errors
    /// When the table is full, or what it says contradicts itself, its policy or the instruments.
    pub fn add_task(&mut self, spec: TaskSpec) -> Result<TaskId, RegisterError> {
        if self.tasks.all.len() == TASKS_MAX {
            return Err(RegisterError::Full { what: "tasks", max: TASKS_MAX });
        }
        if usize::from(spec.policy.0) >= self.policies.len() {
            return Err(RegisterError::UnknownPolicy(spec.policy.0));
        }
        let legs = [spec.spot, spec.futures];
        let mut instruments = ArrayVec::<&Instrument, ENTRY_LEGS_MAX>::new();
        for (leg, said) in legs.iter().enumerate() {
            let unknown = RegisterError::UnknownInstrument { leg, instrument: said.instrument.0 };
            instruments.push(self.books.instrument(said.instrument).ok_or(unknown)?);
        }
        let (a, b) = (0, 1);
        if spec.spot.instrument == spec.futures.instrument {
            let why = "a task buys one instrument and sells another";
            return Err(RegisterError::Legs { a, b, why });
        }
        if instruments[0].spec().currency != instruments[1].spec().currency {
            let why = "they are quoted in different currencies and no conversion is declared";
            return Err(RegisterError::Legs { a, b, why });
        }
        for (leg, instrument) in instruments.iter().enumerate() {
            self.portfolio_suits(leg, instrument, &self.policies[usize::from(spec.policy.0)])?;
        }
        let policy = |field, value, bound| Err(RegisterError::Policy { field, value, bound });
        if !(-PPB..PPB).contains(&spec.max_cost.raw()) {
            return policy("max_cost (ppb)", i128::from(spec.max_cost.raw()), "within ±100 %");
        }
        if let Some(above) = spec.liquidation.filter(|above| !(1..=PPB).contains(&above.raw())) {
            let bound = "more than 0 % and at most 100 %";
            return policy("liquidation (ppb)", i128::from(above.raw()), bound);
        }
        let scale = instruments[0].nano_scale().max(instruments[1].nano_scale());
        let align = [0, 1].map(|at| 10i128.pow(u32::from(scale - instruments[at].nano_scale())));
        if spec.size.amount_at(instruments[0].nano_scale()).is_none_or(|size| size <= 0) {
            let (value, bound) = (spec.size.mantissa, "positive, and not finer than its money");
            return policy("size", value, bound);
        }
        let Some(steps) = common_step(instruments[0], instruments[1]) else {
            let why = "no quantity of the one is a quantity of the other";
            return Err(RegisterError::Legs { a, b, why });
        };
        let mut steps_max = i128::MAX;
        for (at, one) in instruments.iter().enumerate() {
            let fee = Decimal { mantissa: one.min_fee_nano(), scale: one.nano_scale() };
            if fee.amount_at(scale).is_none() {
                return policy("min_fee", fee.mantissa, "below 2^119 at the legs' money");
            }
            let unit = one.spec().multiplier.mantissa.checked_mul(align[at]);
            let weight = unit.and_then(|unit| unit.checked_mul(i128::from(steps[at].raw())));
            let Some(weight) = weight.filter(|&weight| weight <= i128::from(QTY_MAX)) else {
                let why =
                    "the smallest quantity of both × multiplier × scale alignment is beyond 2^46";
                return Err(RegisterError::Legs { a, b, why });
            };
            steps_max = steps_max.min(i128::from(QTY_MAX) / weight);
        }
        self.tasks.make_room();
        let tasks = &mut self.tasks;
        if tasks.all.is_empty() {
            tasks.all.reserve_exact(TASKS_MAX);
        }
        tasks.all.push(Task {
            spec,
            steps,
            steps_max,
            scale,
            align,
            state: TaskState::Idle,
            wish: None,
            not_before: Nanos(0),
            entry: None,
            filled_at: None,
            books: [EntryBook::NONE; ENTRY_LEGS_MAX],
            position: None,
            traded: 0,
            told: false,
            waits: None,
            cycles: 0,
            losing: 0,
            missed: 0,
            volume: 0,
            net: 0,
        });
        Ok(TaskId((tasks.all.len() - 1) as u16))
    }

    /// The next entry of the last event. Poll it after the intents.
    pub fn poll_entry(&mut self) -> Option<EntryIntent> {
        let entry = self.tasks.entries.pop_front()?;
        self.hash.fold(entry.seq);
        self.hash.fold(entry.at.0);
        for leg in entry.legs() {
            self.hash.fold(leg.qty.raw() as u64);
            self.hash.fold(leg.limit.raw() as u64);
        }
        Some(entry)
    }

    /// The next position that has come of an entry. Poll it before the intents: one may be for it.
    pub fn poll_entered(&mut self) -> Option<Entered> {
        self.tasks.entered.pop_front()
    }

    /// What a task has done so far; `None` when there is no such task.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<TaskView> {
        let task = self.tasks.all.get(usize::from(id.0))?;
        let exiting = task.position.and_then(|id| self.state(id)) == Some(PositionState::Exiting);
        let state = if exiting { TaskState::Exiting } else { task.state };
        let amount = |mantissa| Decimal { mantissa, scale: task.scale };
        Some(TaskView {
            state,
            position: task.position,
            cycles: task.cycles,
            losing: task.losing,
            missed: task.missed,
            volume: amount(task.volume),
            net: amount(task.net),
        })
    }

    /// A price of an instrument was accepted or confirmed: its tasks may enter.
    pub(crate) fn look_at_tasks(&mut self, now: Nanos, instrument: InstrumentId) {
        if self.trading_state() != TradingState::Active {
            return;
        }
        for at in 0..self.tasks.all.len() {
            let task = &self.tasks.all[at];
            let legs = [task.spec.spot, task.spec.futures];
            let concerned = legs.iter().any(|leg| leg.instrument == instrument);
            if !concerned || task.state != TaskState::Idle || now < task.not_before {
                continue;
            }
            let usable = |leg: &TaskLeg| {
                let source = self.books.source_of(leg.instrument);
                self.books.quoted(leg.instrument, now)
                    && source.is_some_and(|source| self.books.live(source, now))
            };
            if !legs.iter().all(usable) {
                continue;
            }
            let [Some(spot), Some(futures)] = legs.map(|leg| self.books.quote(leg.instrument))
            else {
                continue;
            };
            let task = &self.tasks.all[at];
            if let Some(legs) = self.entry_legs(task, &spot, &futures)
                && !self.is_locked(at)
            {
                self.enter(now, at, legs);
            }
        }
    }

    /// Entries are allowed no more: those of this event that nobody has seen yet come to nothing.
    pub(crate) fn withdraw_entries(&mut self) {
        while let Some(entry) = self.tasks.entries.pop_front() {
            self.give_room(entry.task);
            if self.withdraw_turn(entry.task) {
                continue;
            }
            let task = &mut self.tasks.all[usize::from(entry.task.0)];
            (task.state, task.entry) = (TaskState::Idle, None);
            task.missed += 1;
            self.notes.push(EngineNote::Task { task: entry.task, what: TaskNote::Missed });
        }
    }

    /// Another task holds, or is about to, what this one would trade.
    fn is_locked(&self, at: usize) -> bool {
        let own = &self.tasks.all[at].spec;
        self.tasks.all.iter().enumerate().any(|(other, task)| {
            let legs = [task.spec.spot, task.spec.futures];
            let shares = legs.iter().any(|leg| {
                [own.spot, own.futures].iter().any(|own| own.instrument == leg.instrument)
            });
            other != at && shares && matches!(task.state, TaskState::Entering | TaskState::Open)
        }) || [own.spot, own.futures].iter().any(|leg| self.turns.enters_on(leg.instrument))
    }

    /// A task holds an instrument, or is about to.
    pub(crate) fn tasks_lock(&self, instrument: InstrumentId) -> bool {
        self.tasks.all.iter().any(|task| {
            let legs = [task.spec.spot, task.spec.futures];
            legs.iter().any(|leg| leg.instrument == instrument)
                && matches!(task.state, TaskState::Entering | TaskState::Open)
        })
    }

    pub(crate) fn tasks_enter(&self) -> bool {
        self.tasks.all.iter().any(|task| task.state == TaskState::Entering)
    }

    /// The legs of an entry at these quotes; `None` when it costs too much or cannot be ordered.
    fn entry_legs(
        &self,
        task: &Task,
        spot: &Quote,
        futures: &Quote,
    ) -> Option<[EntryLeg; ENTRY_LEGS_MAX]> {
        let said = [task.spec.spot, task.spec.futures];
        let [a, b] = said.map(|leg| self.books.instrument(leg.instrument).expect("it was checked"));
        let prices = [spot.ask, futures.bid];
        let limits = entry_limits(task.spec.max_cost, (a, spot.ask), (b, futures.bid))?;
        let size = task.spec.size.amount_at(a.nano_scale())?;
        let [step_a, step_b] = task.steps;
        let steps = (size / a.notional_nano(spot.ask, step_a))
            .min(i128::from(spot.ask_qty.raw() / step_a.raw()))
            .min(i128::from(futures.bid_qty.raw() / step_b.raw()))
            .min(task.steps_max);
        let sides = [Side::Long, Side::Short];
        let mut legs = [EntryLeg::NONE; ENTRY_LEGS_MAX];
        for at in 0..ENTRY_LEGS_MAX {
            let qty = steps.checked_mul(i128::from(task.steps[at].raw()))?;
            let qty = Qty::new(i64::try_from(qty).ok()?).ok()?;
            if qty == Qty::ZERO || qty.raw() < min_entry([a, b][at], prices[at]) {
                return None;
            }
            let TaskLeg { account, instrument } = said[at];
            let (side, limit, step) = (sides[at], limits[at], task.steps[at]);
            legs[at] = EntryLeg { account, instrument, side, qty, limit, step };
        }
        Some(legs)
    }

    fn enter(&mut self, now: Nanos, at: usize, legs: [EntryLeg; ENTRY_LEGS_MAX]) {
        let id = TaskId(at as u16);
        let Task { spec, scale, align, .. } = &self.tasks.all[at];
        if let Some((net, target)) = self.shortfall(spec.policy, (*scale, align), &legs) {
            let task = &mut self.tasks.all[at];
            let (refused, scale) = (task.spec.unreachable == Unreachable::Refuse, task.scale);
            let amount = |mantissa| Decimal { mantissa, scale };
            if task.spec.unreachable != Unreachable::Allow && !task.told {
                let (net, target) = (amount(net), amount(target));
                let what = TaskNote::Unreachable { net, target, refused };
                self.notes.push(EngineNote::Task { task: id, what });
            }
            task.told = true;
            if refused {
                return;
            }
        }
        let Task { spec, .. } = &self.tasks.all[at];
        let of = (spec.policy, spec.tag);
        if let Err(why) = self.keep_room(id, of, &legs) {
            // What stands against it is looked for again after a while, not at every price.
            let task = &mut self.tasks.all[at];
            task.not_before = now.plus(TASK_RETRY);
            if task.waits.replace(why) != Some(why) {
                let what = TaskNote::Waits { why };
                self.notes.push(EngineNote::Task { task: id, what });
            }
            return;
        }
        let entry = self.raise_entry(now, id, &legs);
        let task = &mut self.tasks.all[at];
        task.waits = None;
        task.state = TaskState::Entering;
        task.entry = Some(entry);
        task.filled_at = None;
        task.books = [EntryBook::NONE; ENTRY_LEGS_MAX];
        task.traded = 0;
        self.notes.push(EngineNote::Task { task: id, what: TaskNote::Entering });
    }

    /// An entry goes out.
    pub(crate) fn raise_entry(&mut self, now: Nanos, id: TaskId, said: &[EntryLeg]) -> EntryIntent {
        self.tasks.seq += 1;
        let (seq, count) = (self.tasks.seq, said.len() as u8);
        let mut legs = [EntryLeg::NONE; ENTRY_LEGS_MAX];
        legs[..said.len()].copy_from_slice(said);
        let entry = EntryIntent { seq, at: now, task: id, count, legs };
        self.tasks.entries.push_back(entry);
        entry
    }

    /// A fill of an entry, or of what undoes a part of it.
    pub(crate) fn on_entry_fill(&mut self, now: Nanos, id: TaskId, leg: u8, fill: EntryFill) {
        if self.on_turn_fill(now, id, leg, fill) {
            return;
        }
        let task = self.tasks.all.get_mut(usize::from(id.0));
        let known = task.and_then(|task| {
            let said = task.entry?.legs().get(usize::from(leg)).copied()?;
            Some((task, said))
        });
        let Some((task, said)) = known else {
            self.stray("a fill of an entry that is not at work", None);
            return;
        };
        let instrument = self.books.instrument(said.instrument).expect("it was checked");
        let EntryFill { price, qty, fee, undoes } = fill;
        let at = usize::from(leg);
        if undoes {
            task.books[at].undo(instrument, price, qty, fee);
        } else {
            task.filled_at = task.filled_at.or(Some(now));
            task.books[at].fill(instrument, price, qty, fee);
        }
        let notional = instrument.notional_nano(price, qty) * task.align[at];
        task.volume = task.volume.saturating_add(notional);
    }

    /// Nothing of an entry is at work any more: a position comes of it, or nothing.
    pub(crate) fn on_entry_ended(&mut self, now: Nanos, id: TaskId, seq: u64, how: EntryOutcome) {
        if self.on_turn_ended(now, id, seq, how) {
            return;
        }
        let task = self.tasks.all.get_mut(usize::from(id.0));
        let entry = task.as_ref().and_then(|task| task.entry).filter(|entry| entry.seq == seq);
        let (Some(task), Some(entry)) = (task, entry) else {
            self.stray("the end of an entry that is not at work", None);
            return;
        };
        task.entry = None;
        // What is left and can be no position counts at the last good price.
        let mut loss = 0i128;
        for (at, leg) in entry.legs().iter().enumerate() {
            let instrument = self.books.instrument(leg.instrument).expect("it was checked");
            let price =
                self.books.quote(leg.instrument).map_or(leg.limit, |quote| match leg.side {
                    Side::Long => quote.bid,
                    Side::Short => quote.ask,
                });
            let own = task.books[at].loss(leg.side, instrument, price);
            loss = loss.saturating_add(own.saturating_mul(task.align[at]));
        }
        let version = self.give_room(id).expect("it was kept for the entry");
        let task = &mut self.tasks.all[usize::from(id.0)];
        let scale = task.scale;
        let nothing = task.books.iter().any(|book| book.left() == Qty::ZERO);
        if nothing || how == EntryOutcome::Nothing {
            task.net = task.net.saturating_sub(loss);
            task.missed += 1;
            task.losing += u32::from(loss > 0);
            task.not_before = now.plus(TASK_RETRY);
            let rest =
                entry.legs().iter().zip(&task.books).any(|(_, book)| book.left() > Qty::ZERO);
            self.notes.push(EngineNote::Task { task: id, what: TaskNote::Missed });
            let state = if rest { TaskState::Failed } else { TaskState::Idle };
            self.portfolio_missed(loss, scale);
            self.rest_task(id, state);
            return;
        }
        let mut legs = ArrayVec::new();
        for (at, leg) in entry.legs().iter().enumerate() {
            let instrument = self.books.instrument(leg.instrument).expect("it was checked");
            legs.push(task.books[at].leg(leg, instrument));
        }
        let TaskSpec { policy, tag, liquidation, .. } = task.spec;
        let opened = task.filled_at.unwrap_or(now);
        let spec = PositionSpec { policy, opened, tag, legs };
        match self.take_in(now, version, &spec) {
            Ok(position) => {
                let task = &mut self.tasks.all[usize::from(id.0)];
                task.state = TaskState::Open;
                task.position = Some(position);
                task.told = false;
                let what = TaskNote::Entered { position };
                self.notes.push(EngineNote::Task { task: id, what });
                self.tasks.entered.push_back(Entered { task: id, of: None, id: position, spec });
                if let Some(above) = liquidation {
                    self.know_liquidation(now, position.slot() as u32, above);
                }
                self.close_late_entry(position.slot() as u32, entry.at);
            }
            Err(_) => {
                self.portfolio_missed(loss, scale);
                self.rest_task(id, TaskState::Failed);
            }
        }
    }

    /// The liquidation price of the futures that a task has sold, rounded towards their entry.
    fn know_liquidation(&mut self, now: Nanos, slot: u32, above: Rate) {
        let futures = &mut self.positions[slot as usize].legs[FUTURES];
        let entry = i128::from(futures.entry.raw());
        let at = entry * i128::from(PPB + above.raw()) / i128::from(PPB);
        futures.liquidation = at.min(i128::from(PRICE_MAX)) as i64;
        self.refresh(slot, now);
    }
}

const _: () = assert!(TASKS_MAX < u16::MAX as usize);
