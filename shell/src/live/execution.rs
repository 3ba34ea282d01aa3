//! The execution agent: intents in, orders out, each in the order log before its bytes leave.
//!
//! One step is one input of the executor and everything that comes of it. Input, what was seen of
//! the quotes, orders and reports are written to the log together, then the orders are sent. When
//! the log cannot be written nothing is sent any more: an order without its record would be lost in
//! a crash.

mod entered;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arrayvec::ArrayVec;
use reap_core::entry::{ENTRY_LEGS_MAX, EntryIntent};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{Instrument, InstrumentId, VenueId};
use reap_core::intent::Intent;
use reap_core::limits::{ENTRIES_MAX, LEGS_MAX};
use reap_core::log::{Named, NotSentWhy, Record, Sights, StopWhy, Text};
use reap_core::note::ExecutorNote;
use reap_core::order::{ClientOrderId, HoldingRead, Order, OrderChange, OrderEvent};
use reap_core::policy::ExitSettings;
use reap_core::position::{PositionId, PositionSpec};
use reap_core::recovery::OpenPosition;
use reap_core::units::Nanos;
use reap_ring::{Consumer, Producer};

use super::closing::Closing;
use super::gateway::{Gateway, GatewayEvent};
use super::journal::Journal;
use super::runner::Agent;
use super::stats::Stats;
pub use super::wires::ExecutionView;
use super::wires::{Doorbell, Halt, HaltReason, Opening, TableReader, ToEngine, ToExecution, Told};
use crate::clock::LiveClock;
use crate::funding::{Booking, Settlement};
use crate::order_log::OrderLog;
use crate::pipeline::Stage;
use crate::story::Note;

/// Token of the doorbell among the sockets.
pub const BELL: mio::Token = mio::Token(usize::MAX);
/// Orders of one step: a step concerns one position, or the timers of many.
const STEP_ORDERS: usize = 64;

/// The wires of execution.
pub struct ExecutionWires {
    /// Intents and registrations.
    pub from_engine: Consumer<ToExecution>,
    /// Reports and registrations.
    pub to_engine: Producer<ToEngine>,
    /// Positions to be opened.
    pub openings: Consumer<Opening>,
    /// Everything that happens, for main.
    pub notes: Producer<Told>,
    /// The latest quotes.
    pub table: TableReader,
    /// Rung by whoever pushes into one of these.
    pub bell: Arc<Doorbell>,
    /// Set when something that must not be lost has no room.
    pub halt: Arc<Halt>,
    /// What others see.
    pub view: Arc<ExecutionView>,
    /// Nothing new is begun; what is under way is waited for.
    pub stop: Arc<AtomicBool>,
}

/// When the newest order of a leg left and what was heard of it, for the stages.
#[derive(Clone, Copy, Debug, Default)]
struct Watched {
    id: Option<ClientOrderId>,
    sent: u64,
    acked: bool,
    filled: bool,
}

/// A position that is watched.
struct Held {
    id: PositionId,
    name: Text,
    spec: PositionSpec,
    /// Funding settled since it was opened, by leg.
    settled: [i128; LEGS_MAX],
}

/// See the module.
pub struct ExecutionAgent {
    executor: Executor,
    policies: Vec<ExitSettings>,
    names: Vec<Text>,
    tasks: Vec<Text>,
    instruments: Vec<Instrument>,
    gateway: Box<dyn Gateway>,
    journal: Journal,
    sights: Sights,
    wires: ExecutionWires,
    clock: LiveClock,
    poll: mio::Poll,
    events: mio::Events,
    /// The sockets were looked at while parked; they need not be looked at again.
    polled: bool,
    inbox: Vec<GatewayEvent>,
    orders: ArrayVec<Order, STEP_ORDERS>,
    /// By position slot and leg.
    watched: Vec<[Watched; LEGS_MAX]>,
    /// By the number under which an entry goes, and leg.
    watched_entries: Vec<[Watched; ENTRY_LEGS_MAX]>,
    /// By position slot.
    positions: Vec<Option<Held>>,
    /// Reports for which the ring to the engine had no room: never any, or the process is in alarm.
    held: VecDeque<ToEngine>,
    /// Orders that were not sent, of which the executor hears right after the step.
    unsent: VecDeque<(ClientOrderId, NotSentWhy)>,
    /// Why no order could be sent, once that was told; until one is.
    silenced: Option<NotSentWhy>,
    closing: Closing,
    /// How long orders in flight are waited for in the end.
    stop_timeout: Nanos,
    /// Set when it was asked to stop: nothing is sent any more, and answers are waited for until
    /// then.
    stop_by: Option<Nanos>,
    stopped: bool,
}

/// What an execution agent is made of.
pub struct ExecutionParts {
    /// The executor.
    pub executor: Executor,
    /// Exit settings by policy.
    pub policies: Vec<ExitSettings>,
    /// Names of the configured positions, for the log.
    pub names: Vec<Text>,
    /// Names of the tasks, which are those of their positions.
    pub tasks: Vec<Text>,
    /// Where orders go.
    pub gateway: Box<dyn Gateway>,
    /// The order log.
    pub log: OrderLog,
    /// What the executor has room for.
    pub limits: ExecutorLimits,
    /// Instruments.
    pub instruments: Vec<Instrument>,
    /// The time.
    pub clock: LiveClock,
    /// How long orders in flight are waited for in the end.
    pub stop_timeout: Nanos,
    /// The sockets, with the doorbell registered as [`BELL`].
    pub poll: mio::Poll,
    /// Positions that are carried on from earlier runs.
    pub carried: Vec<OpenPosition>,
}

/// An input of the executor.
#[expect(clippy::large_enum_variant, reason = "it is handed down and forgotten")]
enum Input {
    Intent(Intent),
    Entry(EntryIntent),
    Answer(OrderEvent),
    NotSent(ClientOrderId, NotSentWhy),
    Read(HoldingRead),
    Stopped(bool),
    Limited(VenueId, Nanos),
    Timer,
}

impl ExecutionAgent {
    /// Execution on its wires.
    #[must_use]
    pub fn new(mut parts: ExecutionParts, wires: ExecutionWires) -> Self {
        let carried = std::mem::take(&mut parts.carried);
        let mut agent = Self::with_nothing(parts, wires);
        carried.into_iter().for_each(|position| agent.carry_on(position));
        agent
    }

    fn with_nothing(parts: ExecutionParts, wires: ExecutionWires) -> Self {
        Self {
            executor: parts.executor,
            policies: parts.policies,
            names: parts.names,
            tasks: parts.tasks,
            gateway: parts.gateway,
            journal: Journal::new(parts.log),
            sights: Sights::new(parts.instruments.len()),
            instruments: parts.instruments,
            wires,
            clock: parts.clock,
            poll: parts.poll,
            events: mio::Events::with_capacity(128),
            polled: false,
            inbox: Vec::with_capacity(256),
            orders: ArrayVec::new(),
            watched: vec![[Watched::default(); LEGS_MAX]; parts.limits.positions],
            watched_entries: vec![[Watched::default(); ENTRY_LEGS_MAX]; ENTRIES_MAX],
            positions: std::iter::repeat_with(|| None).take(parts.limits.positions).collect(),
            held: VecDeque::new(),
            // A leg has at most one order that may still trade.
            unsent: VecDeque::with_capacity(parts.limits.orders),
            silenced: None,
            closing: Closing::new(),
            stop_timeout: parts.stop_timeout,
            stop_by: None,
            stopped: false,
        }
    }

    /// The executor itself, when its thread has ended.
    #[must_use]
    pub fn into_executor(self) -> Executor {
        self.executor
    }

    fn note(&mut self, note: Told) {
        if self.wires.notes.push(note).is_err() {
            let lost = &self.wires.view.notes_lost;
            lost.store(lost.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    /// Orders that may still trade, as far as venues have said.
    fn live_orders(&self) -> usize {
        if !self.gateway.answers() {
            return 0;
        }
        let live = |watched: &&Watched| {
            watched.id.is_some_and(|id| {
                let leg = self.executor.leg(id.position, usize::from(id.leg));
                leg.and_then(|leg| leg.order)
                    .is_some_and(|(one, state)| one == id && state.is_live())
            })
        };
        let entries: usize = self.executor.entries().map(|entry| entry.live).sum();
        entries + self.watched.iter().flatten().filter(live).count()
    }

    fn alarm(&mut self, now: Nanos, alarm: Option<Box<str>>) {
        if let Some(text) = alarm {
            self.note(Told::Alarm(now, text));
        }
    }

    fn append(&mut self, now: Nanos, record: &Record) {
        let alarm = self.journal.append(now, record);
        self.alarm(now, alarm);
    }

    fn commit(&mut self, now: Nanos) {
        let alarm = self.journal.commit();
        self.alarm(now, alarm);
    }

    fn register(&mut self, now: Nanos, id: PositionId, opening: Opening) {
        let exit = &self.policies[usize::from(opening.spec.policy.0)];
        let taken = self.executor.register(id, &opening.spec, exit);
        match taken {
            Ok(()) => {
                let record =
                    Record::Position { id, spec: (*opening.spec).clone(), exit: exit.clone() };
                self.gateway.on_opened(&opening.spec);
                self.ask(now);
                // A position without its name would be opened again by the next run.
                let name = self.names.get(opening.at).copied().unwrap_or(Text::cut(""));
                self.append(now, &Record::Name { of: Named::Position(id), text: name });
                self.append(now, &record);
                self.note(Told::Note(now, Note::Opened { at: opening.at, id }));
                let spec = (*opening.spec).clone();
                self.positions[id.slot()] = Some(Held { id, name, spec, settled: [0; LEGS_MAX] });
            }
            // It was admitted before the engine saw it, and this thread alone takes room.
            Err(error) => {
                let why = error.to_string().into_boxed_str();
                self.note(Told::Refused(now, opening.at, why));
            }
        }
    }

    fn admit(&mut self, now: Nanos, opening: Opening) {
        if self.journal.has_failed() {
            let why = "the order log cannot be written: nothing is taken on that the next run would \
                       not know";
            self.note(Told::Refused(now, opening.at, why.into()));
            return;
        }
        let exit = &self.policies[usize::from(opening.spec.policy.0)];
        match self.executor.admits(&opening.spec, exit) {
            Ok(()) => self.tell_engine(ToEngine::Register(opening)),
            Err(error) => {
                let why = error.to_string().into_boxed_str();
                self.note(Told::Refused(now, opening.at, why));
            }
        }
    }

    fn tell_engine(&mut self, message: ToEngine) {
        if !self.held.is_empty() {
            self.held.push_back(message);
        } else if let Err(full) = self.wires.to_engine.push(message) {
            self.wires.halt.set(HaltReason::Reports);
            self.held.push_back(full.0);
        }
    }

    fn push_held(&mut self) {
        while let Some(message) = self.held.pop_front() {
            if let Err(full) = self.wires.to_engine.push(message) {
                self.held.push_front(full.0);
                return;
            }
        }
    }

    /// One input of the executor, and everything that comes of it, down to the orders that could
    /// not be sent.
    fn step(&mut self, now: Nanos, input: Input, stats: &mut Stats) {
        self.step_once(now, input, stats);
        while let Some((id, why)) = self.unsent.pop_front() {
            self.step_once(now, Input::NotSent(id, why), stats);
        }
    }

    fn step_once(&mut self, now: Nanos, input: Input, stats: &mut Stats) {
        let decided = match &input {
            Input::Intent(intent) => {
                self.note(Told::Note(now, Note::Intent(*intent)));
                self.append(now, &Record::Intent(*intent));
                Some(intent.at)
            }
            Input::Entry(entry) => {
                self.append(now, &Record::Entry(*entry));
                Some(entry.at)
            }
            Input::Answer(event) => {
                self.note(Told::Note(now, Note::Answer(*event)));
                self.append(now, &Record::Answer(*event));
                self.watch_answer(event, stats);
                None
            }
            Input::NotSent(id, why) => {
                self.append(now, &Record::NotSent { id: *id, why: *why });
                None
            }
            Input::Read(read) => {
                self.append(now, &Record::Read(*read));
                None
            }
            Input::Stopped(stopped) => {
                self.append(now, &Record::Stopped { stopped: *stopped });
                None
            }
            Input::Limited(venue, wait) => {
                self.append(now, &Record::Limited { venue: *venue, wait: *wait });
                None
            }
            Input::Timer => {
                self.append(now, &Record::Timer);
                None
            }
        };
        let quotes = self.sights.over(&self.wires.table);
        match &input {
            Input::Intent(intent) => self.executor.on_intent(now, intent, &quotes),
            Input::Entry(entry) => self.executor.on_entry(now, entry, &quotes),
            Input::Answer(event) => self.executor.on_order_event(now, event, &quotes),
            Input::NotSent(id, _) => {
                self.executor.on_order_event(now, &OrderEvent::not_sent(*id), &quotes);
            }
            Input::Read(read) => self.executor.on_read(now, read, &quotes),
            Input::Stopped(stopped) => self.executor.on_stopped(now, *stopped, &quotes),
            Input::Limited(venue, wait) => self.executor.on_limited(now, *venue, *wait),
            Input::Timer => self.executor.on_timer(now, &quotes),
        }
        drop(quotes);
        let alarm = self.journal.append_sights(now, &mut self.sights);
        self.alarm(now, alarm);
        self.carry_out(now, decided, stats);
    }

    fn ask(&mut self, now: Nanos) {
        while let Some(ask) = self.executor.poll_ask() {
            self.gateway.ask(now, &ask);
        }
    }

    fn carry_out(&mut self, now: Nanos, decided: Option<Nanos>, stats: &mut Stats) {
        while let Some(note) = self.executor.poll_note() {
            if let ExecutorNote::TakenBack { task, held } = note {
                self.tell_taken_back(now, task, held);
            }
            self.note(Told::Note(now, Note::Executor(note)));
        }
        self.ask(now);
        while let Some(report) = self.executor.poll_report() {
            self.append(now, &Record::Report(report));
            let note = Note::of_report(report, &self.executor);
            self.tell_engine(ToEngine::Report(report));
            self.note(Told::Note(now, note));
        }
        loop {
            while !self.orders.is_full()
                && let Some(order) = self.executor.poll_order()
            {
                self.append(now, &Record::Order(order));
                self.orders.push(order);
            }
            if self.orders.is_empty() {
                return;
            }
            // All of the step is in the log before any of it leaves.
            self.commit(now);
            for order in std::mem::take(&mut self.orders) {
                self.send(now, &order, decided, stats);
            }
        }
    }

    /// Books what a settlement of funding brings to every leg of an instrument.
    fn settle(&mut self, now: Nanos, instrument: InstrumentId, due: Settlement) {
        if !self.gateway.books_funding() {
            return;
        }
        for slot in 0..self.positions.len() {
            for nth in 0..LEGS_MAX {
                let Some(Held { id, spec, settled, .. }) = &self.positions[slot] else { continue };
                let of = &self.instruments[usize::from(instrument.0)];
                let booking = self.executor.open(*id).and_then(|open| {
                    let position = (*id, spec);
                    due.booking((instrument, of), position, nth, open[nth], settled[nth])
                });
                let Some(booking) = booking else { continue };
                let Booking { position, leg, fees_paid, funding, .. } = booking;
                self.append(now, &Record::Amounts { position, leg, fees_paid, funding });
                let (note, taken) = booking.book(&mut self.executor);
                if let Some(held) = &mut self.positions[slot] {
                    held.settled[nth] = booking.settled;
                }
                self.note(Told::Note(now, note));
                if taken {
                    self.tell_engine(ToEngine::Amounts(booking.command()));
                }
            }
        }
    }

    fn send(&mut self, now: Nanos, order: &Order, decided: Option<Nanos>, stats: &mut Stats) {
        if self.journal.has_failed() {
            let unlogged = &self.wires.view.unlogged;
            unlogged.store(unlogged.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            self.unsent.push_back((order.id, NotSentWhy::Stopped));
            return;
        }
        if self.stop_by.is_some() {
            self.unsent.push_back((order.id, NotSentWhy::Stopped));
            return;
        }
        if let Err(why) = self.gateway.send(now, order) {
            self.unsent.push_back((order.id, why));
            self.tell_unsent(now, order.id, why);
            return;
        }
        self.silenced = None;
        let sent = self.clock.real();
        if let Some(decided) = decided {
            let waited = self.clock.at(sent).since(decided);
            stats.stages.record(Stage::Send, self.clock.real_span(waited));
        }
        if let Some(watched) = self.watched_mut(order.id) {
            *watched = Watched { id: Some(order.id), sent, acked: false, filled: false };
        }
        self.note(Told::Note(now, Note::Sent(*order)));
    }

    /// Says that orders are not sent and why, not each time that one is tried again.
    fn tell_unsent(&mut self, now: Nanos, id: ClientOrderId, why: NotSentWhy) {
        if self.silenced.replace(why) != Some(why) {
            let text = format!("{id} is not sent: {}; it is tried again", why.text());
            self.note(Told::Alarm(now, text.into_boxed_str()));
        }
    }

    /// The leg's newest order, as it is watched: of a position, or of an entry.
    fn watched_mut(&mut self, id: ClientOrderId) -> Option<&mut Watched> {
        match id.entry() {
            Some((task, leg)) => {
                self.watched_entries.get_mut(usize::from(task.0))?.get_mut(usize::from(leg))
            }
            None => self.watched.get_mut(id.position.slot())?.get_mut(usize::from(id.leg)),
        }
    }

    fn watch_answer(&mut self, event: &OrderEvent, stats: &mut Stats) {
        let real = self.clock.real();
        let Some(watched) = self.watched_mut(event.id).filter(|one| one.id == Some(event.id))
        else {
            return;
        };
        let waited = real.saturating_sub(watched.sent);
        match event.what {
            OrderChange::Acked if !watched.acked => {
                watched.acked = true;
                stats.stages.record(Stage::Ack, waited);
            }
            OrderChange::Filled { .. } if !watched.filled => {
                watched.filled = true;
                stats.stages.record(Stage::Fill, waited);
            }
            OrderChange::Acked
            | OrderChange::Filled { .. }
            | OrderChange::Doubted
            | OrderChange::NotFound => {}
            OrderChange::Expired | OrderChange::Rejected(_) => watched.id = None,
        }
    }

    fn end(&mut self, now: Nanos) {
        self.tell_entries(now);
        self.append(now, &Record::Stop(StopWhy::Asked));
        let alarm = self.journal.sync();
        self.alarm(now, alarm);
        self.gateway.stop();
        self.stopped = true;
    }
}

impl Agent for ExecutionAgent {
    fn do_work(&mut self, now: Nanos, stats: &mut Stats) -> usize {
        // Looked at before the round: what was pushed before it was set is in the log.
        if self.stop_by.is_none() && self.wires.stop.load(Ordering::Acquire) {
            self.stop_by = Some(now.plus(self.stop_timeout));
        }
        let mut work = 0;
        // What a run asks that carries on others.
        self.ask(now);
        if !self.held.is_empty() {
            self.push_held();
        }
        if self.gateway.has_sockets() && !std::mem::take(&mut self.polled) {
            // Interrupted by a signal: the next round looks again.
            drop(self.poll.poll(&mut self.events, Some(Duration::ZERO)));
        }
        for event in &self.events {
            if event.token() != BELL {
                self.gateway.on_ready(event.token());
            }
        }
        self.events.clear();
        while let Some(message) = self.wires.from_engine.pop() {
            work += 1;
            match message {
                ToExecution::Intent(intent) => self.step(now, Input::Intent(intent), stats),
                ToExecution::Entry(entry) => self.step(now, Input::Entry(entry), stats),
                ToExecution::Entered(arrival) => self.arrive(now, &arrival),
                ToExecution::Stopped(stopped) => self.step(now, Input::Stopped(stopped), stats),
                ToExecution::Said(note) => self.note(Told::Note(now, Note::Engine(note))),
                ToExecution::Registered(id, opening) => self.register(now, id, opening),
                ToExecution::Settled(instrument, due) => self.settle(now, instrument, due),
                ToExecution::Refused(opening, why) => {
                    self.note(Told::Refused(now, opening.at, why));
                }
            }
        }
        while let Some(opening) = self.wires.openings.pop() {
            work += 1;
            self.admit(now, opening);
        }
        let mut inbox = std::mem::take(&mut self.inbox);
        work += self.gateway.poll(now, &self.wires.table, &mut inbox);
        for event in inbox.drain(..) {
            match event {
                GatewayEvent::Order(event) => self.step(now, Input::Answer(event), stats),
                GatewayEvent::Position(read) => self.step(now, Input::Read(read), stats),
                GatewayEvent::PositionsEnd { .. } => {}
                GatewayEvent::Limited { venue, wait } => {
                    self.step(now, Input::Limited(venue, wait), stats);
                }
                GatewayEvent::News(text) => self.note(Told::News(now, text)),
                GatewayEvent::Alarm(text) => self.note(Told::Alarm(now, text)),
            }
        }
        self.inbox = inbox;
        if self.executor.next_timer().is_some_and(|due| due <= now) {
            work += 1;
            self.step(now, Input::Timer, stats);
        }
        while let Some(view) = self.closing.poll(now, &self.executor) {
            self.note(Told::Closing(now, view));
        }
        self.wires.view.ready.store(self.gateway.is_ready(), Ordering::Relaxed);
        self.commit(now);
        if work == 0 {
            let alarm = self.journal.prepare();
            self.alarm(now, alarm);
        }
        // All intents have been taken up above: a venue that never falls silent delays no end.
        if let Some(stop_by) = self.stop_by
            && (now >= stop_by || work == 0 && self.live_orders() == 0)
        {
            self.end(now);
        }
        work
    }

    fn park(&mut self, most: Duration) {
        let bell = Arc::clone(&self.wires.bell);
        let (poll, events) = (&mut self.poll, &mut self.events);
        let (engine, openings) = (&self.wires.from_engine, &self.wires.openings);
        let gateway = &self.gateway;
        // Interrupted by a signal: the round after it looks at everything.
        bell.sleep_unless(
            || engine.has_next() || openings.has_next() || gateway.has_next(),
            || drop(poll.poll(events, Some(most))),
        );
        self.polled = true;
    }

    fn next_timer(&self) -> Option<Nanos> {
        [self.executor.next_timer(), self.gateway.next_timer(), self.stop_by]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_done(&self) -> bool {
        self.stopped
    }
}
