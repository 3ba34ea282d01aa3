//! Recovery: from the records of all earlier runs to the executor as it stood at the last of them.
//!
//! Each recorded input is decided again, at its time, with the quotes that were seen then; the orders
//! and reports that stand in the log must come out again, one for one. What differs is an error and
//! never passed over. Where a run says that it carried on what was there, [`Executor::restart`] is
//! called as that run called it.
//!
//! **The end of a run.** A process may die at any byte, so the last step of a run may be cut. Records
//! are written in the order input, quotes seen, reports, orders, and all of them before the first
//! byte of an order leaves. Hence, of the last step, orders that are in the log may have left, and are
//! treated so; orders that are not never did, and are settled as not sent. Quotes that the step saw
//! and the log has not are taken for none: then no order of the step is in the log, and whatever is
//! decided without them is not sent either. What the input told (a fill, a read, a position) counts.

mod found;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cell::Cell;

use crate::budget::VenueBudget;
use crate::entry::{EntryIntent, TaskId};
use crate::event::{EntryOutcome, Outcome, Report};
use crate::executor::{Executor, ExecutorLimits};
use crate::instrument::{Instrument, InstrumentId, InstrumentSpec, VenueId};
use crate::limits::{INSTRUMENTS_MAX, LEGS_MAX, POSITIONS_MAX};
use crate::log::{Entry, Named, Record, Sight, Start, Text};
use crate::order::{ClientOrderId, Order, OrderEvent};
use crate::position::{PositionId, PositionSpec};
use crate::pricing::{Quotes, Top};
use crate::restart::Restart;
use crate::units::{Nanos, Price, Qty};

pub use found::{OpenPlan, OpenPosition, PlanFills, Recovered, RecoveryError, Unwatched};

/// One input and what came of it.
#[derive(Debug)]
struct Step {
    at: Nanos,
    epoch: u16,
    sequence: u64,
    input: Record,
}

/// What a run begins with, until its first input.
#[derive(Debug)]
struct Head {
    start: Start,
    instruments: Vec<Instrument>,
    names: BTreeMap<(u8, u32), Text>,
    budgets: Vec<(VenueId, VenueBudget)>,
}

impl Head {
    /// Of venues without instruments the executor knows nothing, then as now.
    fn set_budgets(&self, executor: &mut Executor) {
        for (venue, budget) in &self.budgets {
            let _ = executor.set_budget(*venue, *budget);
        }
    }
}

/// What is kept of a position beside the executor.
#[derive(Debug)]
struct Kept {
    id: PositionId,
    name: Option<Text>,
    policy: Option<Text>,
    spec: PositionSpec,
    plan: Option<OpenPlan>,
    dust: bool,
}

/// See the module.
pub struct Recovery<'h> {
    prepare: &'h dyn Fn(&mut Executor),
    executor: Option<Executor>,
    /// The run that is read.
    epoch: u16,
    /// The newest run that has decided something.
    decided: u16,
    /// The number that is due.
    due: u64,
    head: Option<Head>,
    /// Of the run that decided last: its instruments, and the names that it gave.
    specs: Vec<InstrumentSpec>,
    names: BTreeMap<(u8, u32), Text>,
    positions: BTreeSet<Box<str>>,
    /// The step that is read.
    step: Option<Step>,
    sights: Vec<Sight>,
    orders: Vec<Order>,
    reports: Vec<Report>,
    /// By slot.
    kept: Vec<Option<Kept>>,
    /// Entries at work, and what is left of each leg.
    entries: Vec<(EntryIntent, [i64; 2])>,
    unwatched: Vec<Unwatched>,
    last: Nanos,
    /// The last time of the runs before this one.
    before: Nanos,
    records: u64,
    intents: u64,
    unsent: u64,
}

/// What one step saw, and whether it looked at more.
struct Seen<'s> {
    sights: &'s [Sight],
    missing: Cell<bool>,
}

impl Quotes for Seen<'_> {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        let found = self.sights.iter().find(|sight| sight.instrument == instrument);
        if found.is_none() {
            self.missing.set(true);
        }
        found.and_then(|sight| sight.top)
    }
}

const fn key(of: Named) -> (u8, u32) {
    match of {
        Named::Venue(id) => (1, id.0 as u32),
        Named::Account(id) => (2, id.0 as u32),
        Named::Instrument(id) => (3, id.0 as u32),
        Named::Position(id) => (4, id.0),
        Named::Policy(id) => (5, id.0 as u32),
    }
}

impl Default for Recovery<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'h> Recovery<'h> {
    /// Nothing read yet.
    #[must_use]
    pub fn new() -> Self {
        Self::preparing(&|_| {})
    }

    /// As [`Self::new`], and does something to each executor before its first input.
    #[must_use]
    pub fn preparing(prepare: &'h dyn Fn(&mut Executor)) -> Self {
        Self {
            prepare,
            executor: None,
            epoch: 0,
            decided: 0,
            due: 1,
            head: None,
            specs: Vec::new(),
            names: BTreeMap::new(),
            positions: BTreeSet::new(),
            step: None,
            sights: Vec::new(),
            orders: Vec::new(),
            reports: Vec::new(),
            kept: Vec::new(),
            entries: Vec::new(),
            unwatched: Vec::new(),
            last: Nanos(0),
            before: Nanos(0),
            records: 0,
            intents: 0,
            unsent: 0,
        }
    }

    /// Takes a record of a run. They come in the order in which they were written, run by run.
    ///
    /// # Errors
    /// The first record that does not fit those before it. Nothing can be recovered then.
    pub fn take(&mut self, epoch: u16, entry: &Entry) -> Result<(), RecoveryError> {
        let Entry { sequence, at, ref record } = *entry;
        if epoch != self.epoch {
            self.end_run()?;
            if epoch < self.epoch {
                let what = "of an earlier run than the one before it";
                return Err(RecoveryError::OutOfPlace { epoch, sequence, what });
            }
            (self.epoch, self.due, self.head) = (epoch, 1, None);
            self.before = self.last;
        }
        if sequence != self.due {
            return Err(RecoveryError::Missing { epoch, expected: self.due, sequence });
        }
        self.due += 1;
        self.records += 1;
        self.last = at;
        let out_of_place = RecoveryError::OutOfPlace { epoch, sequence, what: record.name() };
        match record {
            Record::Saw(_) | Record::Order(_) | Record::Report(_) => {
                if self.step.as_ref().is_none_or(|step| step.at != at) {
                    return Err(out_of_place);
                }
                match record {
                    Record::Saw(saw) => self.sights.extend_from_slice(&saw.sights),
                    Record::Order(order) => self.orders.push(*order),
                    Record::Report(report) if self.orders.is_empty() => self.reports.push(*report),
                    _ => return Err(out_of_place),
                }
                return Ok(());
            }
            _ => self.end_step(false)?,
        }
        match record {
            Record::Start(start) => {
                if sequence != 1
                    || start.positions as usize > POSITIONS_MAX
                    || start.orders as usize > LEGS_MAX * POSITIONS_MAX
                {
                    return Err(out_of_place);
                }
                let (instruments, names) = (Vec::new(), BTreeMap::new());
                let budgets = Vec::new();
                self.head = Some(Head { start: *start, instruments, names, budgets });
            }
            Record::Instrument { id, spec } => {
                let head = self.head.as_mut().ok_or(out_of_place.clone())?;
                if usize::from(id.0) != head.instruments.len()
                    || usize::from(id.0) >= INSTRUMENTS_MAX
                {
                    return Err(out_of_place);
                }
                let made = Instrument::new(*spec);
                let made =
                    made.map_err(|error| RecoveryError::Instrument { epoch, sequence, error })?;
                head.instruments.push(made);
            }
            Record::Name { of, text } => {
                let names = self.head.as_mut().map_or(&mut self.names, |head| &mut head.names);
                names.insert(key(*of), *text);
            }
            Record::Budget { venue, budget } => {
                let head = self.head.as_mut().ok_or(out_of_place)?;
                head.budgets.push((*venue, *budget));
            }
            Record::Stop(_) => {}
            Record::Resumed { from, hash } => {
                let head = self.head.take().ok_or(out_of_place.clone())?;
                let Some(executor) = self.executor.as_mut() else { return Err(out_of_place) };
                if *from != self.decided || *hash != executor.hash() {
                    let what = "orders and reports before it";
                    return Err(RecoveryError::Differs { epoch, sequence, what });
                }
                let next = Restart {
                    epoch,
                    limits: limits(&head.start),
                    instruments: &head.instruments,
                    last: self.before,
                };
                let done = executor.restart(at, &next);
                done.map_err(|error| RecoveryError::Restart { epoch, sequence, error })?;
                head.set_budgets(executor);
                drain(executor);
                self.take_over(head);
            }
            _ => {
                if let Some(head) = self.head.take() {
                    self.begin(&head);
                    self.take_over(head);
                }
                if self.executor.is_none() || !self.fits(record) {
                    return Err(out_of_place);
                }
                self.step = Some(Step { at, epoch, sequence, input: record.clone() });
            }
        }
        Ok(())
    }

    /// A run that has begun with nothing.
    fn begin(&mut self, head: &Head) {
        let mut executor = Executor::new(limits(&head.start), &head.instruments, self.epoch);
        head.set_budgets(&mut executor);
        (self.prepare)(&mut executor);
        self.executor = Some(executor);
        self.kept.clear();
        self.entries.clear();
        self.unwatched.clear();
        self.positions.clear();
        (self.intents, self.unsent) = (0, 0);
    }

    fn take_over(&mut self, head: Head) {
        self.decided = self.epoch;
        self.specs = head.instruments.iter().map(|one| *one.spec()).collect();
        self.names = head.names;
        // Entries at work are taken back from here on, and nobody is told of them.
        self.entries.clear();
    }

    /// Whether an input can be given to the executor at all.
    fn fits(&self, input: &Record) -> bool {
        match input {
            Record::Intent(intent) => {
                self.kept.get(intent.position.slot()).and_then(Option::as_ref).is_none_or(|kept| {
                    kept.id != intent.position || kept.spec.legs.len() == usize::from(intent.legs)
                })
            }
            Record::Entry(entry) => {
                let legs = entry.legs.get(..usize::from(entry.count)).unwrap_or_default();
                let known = |id: InstrumentId| usize::from(id.0) < self.specs.len();
                !legs.is_empty() && legs.iter().all(|leg| known(leg.instrument))
            }
            _ => true,
        }
    }

    /// Decides the step again that was read. One that is `cut` need not be whole.
    fn end_step(&mut self, cut: bool) -> Result<(), RecoveryError> {
        let Some(step) = self.step.take() else { return Ok(()) };
        let (mut sights, orders) =
            (core::mem::take(&mut self.sights), core::mem::take(&mut self.orders));
        let reports = core::mem::take(&mut self.reports);
        let done = self.decide(&step, cut, &sights, &orders, &reports);
        sights.clear();
        (self.sights, self.orders, self.reports) = (sights, orders, reports);
        self.orders.clear();
        self.reports.clear();
        done
    }

    fn decide(
        &mut self,
        step: &Step,
        cut: bool,
        sights: &[Sight],
        orders: &[Order],
        reports: &[Report],
    ) -> Result<(), RecoveryError> {
        let Step { at, epoch, sequence, ref input } = *step;
        let differs = |what| Err(RecoveryError::Differs { epoch, sequence, what });
        let seen = Seen { sights, missing: Cell::new(false) };
        self.feed(step, &seen)?;
        // What is there of a cut step is there in this order.
        let whole = !cut || !orders.is_empty();
        if seen.missing.get() && (whole || !reports.is_empty()) {
            return differs("quotes");
        }
        self.take_input(input);
        let (mut count, mut same) = (0, true);
        while let Some(report) = self.executor().poll_report() {
            same &= reports.get(count).is_none_or(|said| *said == report);
            count += 1;
            self.take_report(&report);
        }
        if !same || count < reports.len() || (whole && count > reports.len()) {
            return differs("reports");
        }
        let mut stayed = Vec::new();
        let (mut count, mut same) = (0, true);
        while let Some(order) = self.executor().poll_order() {
            match orders.get(count) {
                Some(said) => same &= *said == order,
                None => stayed.push(order.id),
            }
            count += 1;
        }
        if !same || count < orders.len() || (!cut && !stayed.is_empty()) {
            return differs("orders");
        }
        drain(self.executor());
        self.stay(at, stayed);
        Ok(())
    }

    /// Orders that never left, for their records were not written.
    fn stay(&mut self, at: Nanos, mut stayed: Vec<ClientOrderId>) {
        while let Some(id) = stayed.pop() {
            self.unsent += 1;
            let nothing = Seen { sights: &[], missing: Cell::new(false) };
            self.executor().on_order_event(at, &OrderEvent::not_sent(id), &nothing);
            while let Some(report) = self.executor().poll_report() {
                self.take_report(&report);
            }
            while let Some(order) = self.executor().poll_order() {
                stayed.push(order.id);
            }
            drain(self.executor());
        }
    }

    fn executor(&mut self) -> &mut Executor {
        self.executor.as_mut().expect("a run with inputs has one")
    }

    fn feed(&mut self, step: &Step, quotes: &Seen<'_>) -> Result<(), RecoveryError> {
        let Step { at, epoch, sequence, ref input } = *step;
        let executor = self.executor.as_mut().expect("a run with inputs has one");
        match input {
            Record::Position { id, spec, exit } => executor
                .register(*id, spec, exit)
                .map_err(|error| RecoveryError::Position { epoch, sequence, error })?,
            // One that is out of bounds changes nothing, then as now.
            Record::Amounts { position, leg, fees_paid, funding } => {
                let leg = usize::from(*leg);
                if executor.on_amounts(*position, leg, *fees_paid, *funding).is_ok()
                    && let Some(kept) = kept(&mut self.kept, *position)
                {
                    let leg = &mut kept.spec.legs[leg];
                    (leg.fees_paid, leg.funding) = (*fees_paid, *funding);
                }
            }
            Record::Intent(intent) => executor.on_intent(at, intent, quotes),
            Record::Entry(entry) => executor.on_entry(at, entry, quotes),
            Record::Answer(event) => executor.on_order_event(at, event, quotes),
            Record::NotSent { id, .. } => {
                executor.on_order_event(at, &OrderEvent::not_sent(*id), quotes);
            }
            Record::Read(read) => executor.on_read(at, read, quotes),
            Record::Stopped { stopped } => executor.on_stopped(at, *stopped, quotes),
            Record::Limited { venue, wait } => executor.on_limited(at, *venue, *wait),
            Record::Timer => executor.on_timer(at, quotes),
            other => {
                let what = other.name();
                return Err(RecoveryError::OutOfPlace { epoch, sequence, what });
            }
        }
        Ok(())
    }

    fn take_input(&mut self, input: &Record) {
        match input {
            Record::Position { id, spec, .. } => {
                let name = self.names.get(&key(Named::Position(*id))).copied();
                let policy = self.names.get(&key(Named::Policy(spec.policy))).copied();
                if let Some(name) = name {
                    self.positions.insert(name.as_str().into());
                }
                for leg in &spec.legs {
                    let is = |one: &Unwatched| {
                        (one.account, one.instrument, one.side, one.qty)
                            == (leg.account, leg.instrument, leg.side, leg.qty)
                    };
                    if let Some(at) = self.unwatched.iter().position(is) {
                        self.unwatched.remove(at);
                    }
                }
                let slot = id.slot();
                if self.kept.len() <= slot {
                    self.kept.resize_with(slot + 1, || None);
                }
                let spec = spec.clone();
                self.kept[slot] =
                    Some(Kept { id: *id, name, policy, spec, plan: None, dust: false });
            }
            Record::Intent(intent) => {
                self.intents = self.intents.max(intent.seq);
                let Some(kept) = kept(&mut self.kept, intent.position) else { return };
                kept.dust = false;
                match &mut kept.plan {
                    Some(plan) => *plan.intent = *intent,
                    None => {
                        let fills = [PlanFills::default(); LEGS_MAX];
                        let began = intent.reason;
                        kept.plan = Some(OpenPlan { intent: Box::new(*intent), began, fills });
                    }
                }
            }
            Record::Entry(entry) => self.entries.push((*entry, [0; 2])),
            _ => {}
        }
    }

    fn take_report(&mut self, report: &Report) {
        match *report {
            Report::Fill { position, leg, price, qty, fee } => {
                let kept = kept(&mut self.kept, position);
                if let Some(plan) = kept.and_then(|kept| kept.plan.as_mut()) {
                    let fills = &mut plan.fills[usize::from(leg)];
                    fills.qty += qty.raw();
                    fills.product += product(price, qty);
                    fills.fees = fills.fees.saturating_add(fee);
                }
            }
            Report::PlanEnded { position, outcome, .. } => {
                let Some(of) = kept(&mut self.kept, position) else { return };
                of.plan = None;
                of.dust = outcome == Outcome::Dust;
                if outcome == Outcome::Closed {
                    self.kept[position.slot()] = None;
                }
            }
            Report::LegRead { .. } | Report::LegLost { .. } => {}
            Report::EntryFill { task, leg, qty, .. } => self.enters(task, leg, qty.raw()),
            Report::EntryUndone { task, leg, qty, .. } => self.enters(task, leg, -qty.raw()),
            Report::EntryEnded { task, entry, outcome } => {
                let is = |(one, _): &(EntryIntent, _)| (one.task, one.seq) == (task, entry);
                let Some(at) = self.entries.iter().position(is) else { return };
                let (entry, held) = self.entries.remove(at);
                if outcome == EntryOutcome::Nothing {
                    return;
                }
                let legs = entry.legs().iter().zip(held);
                let left = legs.filter_map(|(leg, held)| {
                    let (account, instrument, side) = (leg.account, leg.instrument, leg.side);
                    let qty = Qty::new(held).ok().filter(|qty| *qty > Qty::ZERO)?;
                    Some(Unwatched { task, account, instrument, side, qty })
                });
                self.unwatched.extend(left);
            }
        }
    }

    fn enters(&mut self, task: TaskId, leg: u8, qty: i64) {
        let entry = self.entries.iter_mut().find(|(one, _)| one.task == task);
        if let Some(held) = entry.and_then(|(_, held)| held.get_mut(usize::from(leg))) {
            *held += qty;
        }
    }

    /// The run that was read has no more records.
    fn end_run(&mut self) -> Result<(), RecoveryError> {
        self.end_step(true)
    }

    /// What was there in the end; `None` when no run has decided anything.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn finish(mut self) -> Result<Option<Recovered>, RecoveryError> {
        self.end_run()?;
        let Some(executor) = self.executor.take() else { return Ok(None) };
        let open = self.kept.into_iter().flatten().map(|kept| {
            let Kept { id, name, policy, spec, plan, dust } = kept;
            let open = executor.open(id).expect("what is not closed is there");
            OpenPosition { id, name, policy, spec, open, plan, dust }
        });
        let open: Vec<_> = open.collect();
        let named = |at: usize| self.names.get(&(3, at as u32)).copied();
        let specs = self.specs.iter().enumerate();
        let accounts = self.names.iter().filter(|((kind, _), _)| *kind == 2);
        let closed = executor.exits.iter().flatten().filter(|exit| exit.closed);
        Ok(Some(Recovered {
            closed: closed.map(|exit| exit.id).collect(),
            open,
            epoch: self.decided,
            last: self.last,
            records: self.records,
            intents: self.intents,
            names: self.positions,
            instruments: specs.map(|(at, spec)| (*spec, named(at))).collect(),
            accounts: accounts.map(|((_, at), name)| (*at as u8, *name)).collect(),
            unwatched: self.unwatched,
            unsent: self.unsent,
            executor,
        }))
    }
}

fn kept(all: &mut [Option<Kept>], id: PositionId) -> Option<&mut Kept> {
    all.get_mut(id.slot())?.as_mut().filter(|kept| kept.id == id)
}

const fn limits(start: &Start) -> ExecutorLimits {
    ExecutorLimits { positions: start.positions as usize, orders: start.orders as usize }
}

fn product(price: Price, qty: Qty) -> i128 {
    i128::from(price.raw()) * i128::from(qty.raw())
}

/// Questions and notes were for that moment.
fn drain(executor: &mut Executor) {
    while executor.poll_ask().is_some() || executor.poll_note().is_some() {}
}
