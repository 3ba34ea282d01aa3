//! The engine's agent: ticks, reports and commands in, intents out, and the table of latest quotes
//! kept for those who do not hear every tick.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reap_core::engine::Engine;
use reap_core::event::{Command, Event, SourceChange, TradingState};
use reap_core::instrument::{Instrument, InstrumentId, SourceId};
use reap_core::log::Text;
use reap_core::tick::{Tick, TickKind};
use reap_core::units::Nanos;
use reap_feed::conflate::Conflator;
use reap_ring::{Consumer, Producer};

use super::LiveError;
use super::carried::{Carried, Watched};
use super::runner::Agent;
use super::stats::Stats;
use super::tap::Tap;
use super::wires::{
    Doorbell, Halt, HaltReason, Opening, SourceNote, TableWriter, ToEngine, ToExecution,
};
use crate::clock::LiveClock;
use crate::funding::Funding;
use crate::pipeline::Stage;
use crate::story::Arrival;

/// Where ticks go: into a ring, or straight to the engine in the same loop.
pub trait Sink {
    /// A tick that was decoded.
    fn tick(&mut self, now: Nanos, tick: &Tick);
    /// A source's connection changed.
    fn source(&mut self, now: Nanos, source: SourceId, change: SourceChange);
    /// Everything of one message was handed over; its time of receipt, real.
    fn message_done(&mut self, received: u64, decoded: u64, stats: &mut Stats);
}

/// The engine and its wires, on whatever thread.
pub struct EngineDesk {
    engine: Engine,
    clock: LiveClock,
    instruments: Vec<Instrument>,
    table: TableWriter,
    to_execution: Producer<ToExecution>,
    /// What had no room in the ring to execution: never anything, or the process is in alarm.
    held: VecDeque<ToExecution>,
    from_execution: Consumer<ToEngine>,
    commands: Consumer<Command>,
    bell: Arc<Doorbell>,
    /// Something was pushed, and execution has not been woken for it yet.
    rings: bool,
    halt: Arc<Halt>,
    view: Arc<EngineView>,
    tap: Tap,
    /// By instrument.
    funding: Vec<Funding>,
    /// The latest time that the engine was told; never decreases.
    now: Nanos,
    /// What execution was told last of the trading state.
    stopped: bool,
}

/// What others see of the engine.
#[derive(Debug, Default)]
pub struct EngineView {
    /// Quotes that reached it.
    pub quotes: AtomicU64,
    /// Ticks that came so late that only the newest of each instrument were looked at.
    pub lagged: AtomicU64,
    /// It is behind and looks at the newest only.
    pub behind: AtomicBool,
}

/// The wires of an engine.
pub struct EngineWires {
    /// The table of latest quotes.
    pub table: TableWriter,
    /// Intents.
    pub to_execution: Producer<ToExecution>,
    /// Reports.
    pub from_execution: Consumer<ToEngine>,
    /// Commands.
    pub commands: Consumer<Command>,
    /// Wakes execution.
    pub bell: Arc<Doorbell>,
    /// Set when something that must not be lost has no room.
    pub halt: Arc<Halt>,
    /// What others see.
    pub view: Arc<EngineView>,
    /// Where its inputs are written down.
    pub tap: Tap,
}

impl EngineDesk {
    /// An engine on its wires.
    #[must_use]
    pub fn new(
        engine: Engine,
        clock: LiveClock,
        instruments: &[Instrument],
        wires: EngineWires,
    ) -> Self {
        let EngineWires { table, to_execution, from_execution, commands, bell, halt, view, tap } =
            wires;
        Self {
            engine,
            clock,
            instruments: instruments.to_vec(),
            table,
            to_execution,
            held: VecDeque::new(),
            from_execution,
            commands,
            bell,
            rings: false,
            halt,
            view,
            tap,
            funding: vec![Funding::default(); instruments.len()],
            now: Nanos(0),
            stopped: false,
        }
    }

    #[inline]
    fn on_event(&mut self, now: Nanos, event: &Event) {
        self.now = self.now.max(now);
        self.engine.on_event(self.now, event);
        self.pass_on();
        // After the decision: it is not later for it, and the order is the same.
        self.tap.event(self.now, event);
    }

    /// Everything that the engine has decided, in the order in which execution must hear it.
    #[inline]
    fn pass_on(&mut self) {
        while let Some(entered) = self.engine.poll_entered() {
            self.push(ToExecution::Entered(Arrival::from(&entered)));
        }
        while let Some(intent) = self.engine.poll_intent() {
            self.push(ToExecution::Intent(intent));
        }
        while let Some(entry) = self.engine.poll_entry() {
            self.push(ToExecution::Entry(entry));
        }
        while let Some(note) = self.engine.poll_note() {
            self.push(ToExecution::Said(note));
        }
        let stopped = self.engine.trading_state() == TradingState::Stopped;
        if stopped != self.stopped {
            self.stopped = stopped;
            self.push(ToExecution::Stopped(stopped));
        }
    }

    /// Never drops: what has no room waits here, and that is an alarm.
    fn push(&mut self, message: ToExecution) {
        if !self.held.is_empty() {
            self.held.push_back(message);
        } else if let Err(full) = self.to_execution.push(message) {
            self.halt.set(HaltReason::Intents);
            self.held.push_back(full.0);
        }
        self.rings = true;
    }

    /// Wakes execution when something was pushed: after what pushed it was measured, for waking a
    /// thread that sleeps is a system call.
    #[inline]
    fn wake(&mut self) {
        if std::mem::take(&mut self.rings) {
            self.bell.ring();
        }
    }

    fn push_held(&mut self) {
        while let Some(message) = self.held.pop_front() {
            if let Err(full) = self.to_execution.push(message) {
                self.held.push_front(full.0);
                return;
            }
            self.rings = true;
        }
    }

    /// Everything but market data; returns how much there was.
    fn work(&mut self, now: Nanos) -> usize {
        let mut work = 0;
        if !self.held.is_empty() {
            self.push_held();
        }
        while let Some(message) = self.from_execution.pop() {
            match message {
                ToEngine::Report(report) => self.on_event(now, &Event::Report(report)),
                ToEngine::Register(opening) => self.register(now, opening),
                ToEngine::Amounts(command) => self.on_event(now, &Event::Command(command)),
            }
            work += 1;
        }
        while let Some(command) = self.commands.pop() {
            self.on_event(now, &Event::Command(command));
            work += 1;
        }
        if self.engine.next_timer().is_some_and(|due| due <= now.max(self.now)) {
            self.on_event(now, &Event::Timer);
            // A held jump may have become believable.
            self.refresh_table();
            work += 1;
        }
        self.wake();
        work
    }

    fn register(&mut self, now: Nanos, opening: Opening) {
        self.now = self.now.max(now);
        self.tap.register(self.now, &opening.spec);
        match self.engine.register(self.now, &opening.spec) {
            Ok(id) => self.push(ToExecution::Registered(id, opening)),
            Err(error) => {
                let why = error.to_string().into_boxed_str();
                self.push(ToExecution::Refused(opening, why));
            }
        }
        self.pass_on();
    }

    /// Takes up what earlier runs have left, before anything else happens.
    ///
    /// # Errors
    /// The position that the engine refuses, and why.
    pub fn carry_on(&mut self, carried: &Carried) -> Result<(), LiveError> {
        let now = self.clock.now();
        self.now = self.now.max(now);
        self.engine.count_on_from(carried.intents);
        carried.gone.iter().for_each(|id| self.engine.pass_over(*id));
        for Watched { position, .. } in &carried.open {
            self.engine.take_up(self.now, position).map_err(|error| {
                let name = position.name.as_ref().map_or("", Text::as_str);
                LiveError::Carried(format!("{name}: {error}"))
            })?;
            self.pass_on();
        }
        if carried.stopped {
            self.on_event(now, &Event::Command(Command::SetState(TradingState::Stopped)));
        }
        self.wake();
        Ok(())
    }

    fn refresh_table(&mut self) {
        for at in 0..self.instruments.len() {
            self.show(InstrumentId(at as u16));
        }
    }

    #[inline]
    fn show(&mut self, instrument: InstrumentId) {
        self.table.write(instrument, self.engine.quote(instrument));
    }

    /// Whether execution has, or can have, everything that was decided; who is gone takes nothing.
    fn all_passed_on(&self) -> bool {
        self.held.is_empty() || self.to_execution.is_abandoned()
    }
}

impl Sink for EngineDesk {
    #[inline]
    fn tick(&mut self, now: Nanos, tick: &Tick) {
        self.on_event(now, &Event::Tick(*tick));
        match tick.kind() {
            TickKind::Quote | TickKind::Refused => {
                let id = tick.instrument();
                if let Some(peer) = self.instruments.get(usize::from(id.0)).map(|i| i.spec().peer) {
                    self.show(id);
                    if let Some(peer) = peer {
                        self.show(peer);
                    }
                }
                let quotes = &self.view.quotes;
                quotes.store(quotes.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
            }
            TickKind::Mark | TickKind::Funding => {
                let funding = self.funding.get_mut(usize::from(tick.instrument().0));
                if let Some(settlement) = funding.and_then(|funding| funding.on_tick(tick)) {
                    self.push(ToExecution::Settled(tick.instrument(), settlement));
                }
            }
            _ => {}
        }
    }

    fn source(&mut self, now: Nanos, source: SourceId, change: SourceChange) {
        self.on_event(now, &Event::Source(source, change));
        self.refresh_table();
    }

    #[inline]
    fn message_done(&mut self, received: u64, decoded: u64, stats: &mut Stats) {
        let decided = self.clock.real();
        stats.stages.record(Stage::Decide, decided.saturating_sub(decoded));
        stats.stages.record(Stage::Tick, decided.saturating_sub(received));
        self.wake();
    }
}

impl EngineDesk {
    /// The engine itself, when its thread has ended.
    #[must_use]
    pub fn into_engine(mut self) -> Engine {
        self.tap.end(self.now, self.engine.hash());
        self.engine
    }
}

/// Where ticks of another thread come from.
pub struct TickWires {
    /// Ticks.
    pub ticks: Consumer<Tick>,
    /// Changes of sources.
    pub sources: Consumer<SourceNote>,
}

/// Ticks that are older than this when they are taken up: the engine was away, and looks at the
/// newest of each instrument only.
const LAG_MAX: Duration = Duration::from_millis(5);
/// Ticks of one duty cycle: reports are looked at between them.
const BURST: usize = 256;
/// Late ticks of one duty cycle: they cost far less, and whoever is behind should catch up.
const BURST_LATE: usize = 1 << 14;

/// The engine on a thread of its own.
pub struct EngineAgent {
    desk: EngineDesk,
    wires: TickWires,
    popped: u64,
    waiting: Option<SourceNote>,
    backlog: Conflator,
    stop: Arc<AtomicBool>,
    done: bool,
}

impl EngineAgent {
    /// An engine that is fed by rings; `sources` is the number of sources.
    #[must_use]
    pub fn new(desk: EngineDesk, wires: TickWires, sources: usize, stop: Arc<AtomicBool>) -> Self {
        let backlog = Conflator::new(desk.instruments.len(), sources);
        Self { desk, wires, popped: 0, waiting: None, backlog, stop, done: false }
    }

    /// The engine itself, when its thread has ended.
    #[must_use]
    pub fn into_engine(self) -> Engine {
        self.desk.into_engine()
    }

    /// Changes of sources that happened before the tick with this number.
    fn sources_before(&mut self, now: Nanos, tick: u64, stats: &mut Stats) {
        loop {
            if self.waiting.is_none() {
                self.waiting = self.wires.sources.pop();
            }
            let Some(note) = self.waiting.take_if(|note| note.after <= tick) else { return };
            if note.change == SourceChange::Connected {
                self.backlog.forget(note.source);
            }
            self.flush(now, stats);
            self.desk.source(now, note.source, note.change);
        }
    }

    fn flush(&mut self, now: Nanos, stats: &mut Stats) {
        while let Some(tick) = self.backlog.take() {
            self.desk.tick(now, &tick);
            // The late ones belong to the latencies more than any other.
            self.note_tick(tick.stamp().received, self.desk.clock.real(), stats);
        }
    }

    fn note_tick(&self, received: Nanos, decided: u64, stats: &mut Stats) {
        let whole = self.desk.clock.at(decided).since(received);
        stats.stages.record(Stage::Tick, self.desk.clock.real_span(whole));
    }

    fn take_ticks(&mut self, now: Nanos, stats: &mut Stats) -> usize {
        let lag = Nanos(LAG_MAX.as_nanos() as u64 * u64::from(self.desk.clock.rate()));
        let mut work = 0;
        while let Some(tick) = self.wires.ticks.pop() {
            // What was pushed before this tick is visible since the tick is.
            self.sources_before(now, self.popped, stats);
            self.popped += 1;
            work += 1;
            let begun = self.desk.clock.real();
            let received = tick.stamp().received;
            let time = self.desk.clock.at(begun);
            if time.since(received) > lag {
                let lagged = &self.desk.view.lagged;
                lagged.store(lagged.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                self.desk.view.behind.store(true, Ordering::Relaxed);
                self.backlog.put(tick);
                if work >= BURST_LATE {
                    break;
                }
                continue;
            }
            if !self.backlog.is_empty() {
                self.flush(time, stats);
            }
            self.desk.tick(time, &tick);
            let decided = self.desk.clock.real();
            stats.stages.record(Stage::Decide, decided.saturating_sub(begun));
            self.note_tick(received, decided, stats);
            self.desk.wake();
            if work >= BURST {
                return work;
            }
        }
        // Nothing is behind any more.
        if !self.backlog.is_empty() {
            self.flush(now, stats);
        }
        if work == 0 {
            self.desk.view.behind.store(false, Ordering::Relaxed);
            self.sources_before(now, self.popped, stats);
        }
        work
    }
}

impl Agent for EngineAgent {
    fn do_work(&mut self, now: Nanos, stats: &mut Stats) -> usize {
        // Looked at before the round: everything that was pushed before it was set is decided.
        let stop = self.stop.load(Ordering::Acquire);
        let work = self.take_ticks(now, stats) + self.desk.work(now);
        if stop && work == 0 && self.desk.all_passed_on() {
            self.done = true;
        }
        work
    }

    fn park(&mut self, most: Duration) {
        crate::clock::rest(most.min(Duration::from_micros(100)));
    }

    fn next_timer(&self) -> Option<Nanos> {
        self.desk.engine.next_timer()
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

/// A thread that was away for longer than this, real time, has sockets full of old quotes: it looks
/// at the newest of each instrument only.
const AWAY_MAX: Duration = Duration::from_millis(50);
/// Rounds of reading after which it looks, even if still more waits.
const CATCH_UP_MAX: u32 = 64;

/// Feed and engine in one loop.
pub struct FusedAgent<F> {
    feed: F,
    desk: EngineDesk,
    /// The duty cycle before.
    last: Option<Nanos>,
    /// Rounds of reading since it was away, until nothing waits any more.
    behind: Option<u32>,
    backlog: Conflator,
    stop: Arc<AtomicBool>,
    done: bool,
}

/// Keeps what is newest while more waits.
struct CatchUp<'a> {
    desk: &'a mut EngineDesk,
    backlog: &'a mut Conflator,
}

impl CatchUp<'_> {
    fn flush(&mut self, now: Nanos) {
        while let Some(tick) = self.backlog.take() {
            self.desk.tick(now, &tick);
        }
    }
}

impl Sink for CatchUp<'_> {
    fn tick(&mut self, _: Nanos, tick: &Tick) {
        let lagged = &self.desk.view.lagged;
        lagged.store(lagged.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.backlog.put(*tick);
    }

    fn source(&mut self, now: Nanos, source: SourceId, change: SourceChange) {
        if change == SourceChange::Connected {
            self.backlog.forget(source);
        }
        self.flush(now);
        self.desk.source(now, source, change);
    }

    fn message_done(&mut self, _: u64, _: u64, _: &mut Stats) {}
}

/// A feed that hands what it reads to a sink.
pub trait Feed: Send {
    /// Reads what there is; returns how much that was.
    fn read(&mut self, now: Nanos, sink: &mut dyn Sink, stats: &mut Stats) -> usize;
    /// Whether more waits than [`Self::read`] took at once.
    fn has_more(&self) -> bool {
        false
    }
    /// Waits in the kernel for a socket.
    fn park(&mut self, most: Duration);
    /// When it has something to do even if nothing comes in.
    fn next_timer(&self) -> Option<Nanos>;
}

impl<F: Feed> FusedAgent<F> {
    /// Both in one loop.
    #[must_use]
    pub fn new(feed: F, desk: EngineDesk, stop: Arc<AtomicBool>) -> Self {
        let backlog = Conflator::new(desk.instruments.len(), usize::from(u8::MAX) + 1);
        Self { feed, desk, last: None, behind: None, backlog, stop, done: false }
    }

    /// Reads on, and straight into the engine unless this thread was away.
    fn read(&mut self, now: Nanos, stats: &mut Stats) -> usize {
        let away_max = Nanos(AWAY_MAX.as_nanos() as u64 * u64::from(self.desk.clock.rate()));
        if self.last.replace(now).is_some_and(|last| now.since(last) > away_max) {
            self.behind = Some(0);
        }
        let Some(rounds) = self.behind else {
            return self.feed.read(now, &mut self.desk, stats);
        };
        let mut newest = CatchUp { desk: &mut self.desk, backlog: &mut self.backlog };
        let work = self.feed.read(now, &mut newest, stats);
        let is_done = !self.feed.has_more();
        if is_done || rounds >= CATCH_UP_MAX {
            newest.flush(now);
        }
        self.behind = (!is_done).then_some(if rounds >= CATCH_UP_MAX { 0 } else { rounds + 1 });
        // It is not over before it was evaluated.
        work.max(1)
    }

    /// The engine itself, when its thread has ended.
    #[must_use]
    pub fn into_engine(self) -> Engine {
        self.desk.into_engine()
    }
}

impl<F: Feed> Agent for FusedAgent<F> {
    fn do_work(&mut self, now: Nanos, stats: &mut Stats) -> usize {
        let stop = self.stop.load(Ordering::Acquire);
        let work = self.read(now, stats) + self.desk.work(now);
        if stop && work == 0 && self.desk.all_passed_on() {
            self.done = true;
        }
        work
    }

    fn park(&mut self, most: Duration) {
        self.feed.park(most);
    }

    fn next_timer(&self) -> Option<Nanos> {
        [self.feed.next_timer(), self.desk.engine.next_timer()].into_iter().flatten().min()
    }

    fn is_done(&self) -> bool {
        self.done
    }
}

#[cfg(test)]
mod tests;
