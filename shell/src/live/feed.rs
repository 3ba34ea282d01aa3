//! The feed's agent: reads sockets, decodes, keeps the links, hands ticks on.
//!
//! Links live in real time, also where a simulated market runs faster: heartbeats, silence and
//! back-off are matters of the connection. Only ticks carry the market's time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use reap_core::event::SourceChange;
use reap_core::instrument::{InstrumentId, SourceId};
use reap_core::tick::Tick;
use reap_core::units::Nanos;
use reap_feed::conflate::Conflator;
use reap_feed::decoded::{Counts, Decoded};
use reap_feed::session::{ConnectBudget, Link, LinkAction, LinkEvent, LinkReason, Slot};
use reap_feed::transport::{Closed, Incoming, ReadState, WsConnection};
use reap_feed::venues::MarketCodec;
use reap_ring::Producer;

use super::connector::{ConnectRequest, Connected, ConnectorPort, Kind, Target};
use super::engine::{Feed, Sink};
use super::runner::Agent;
use super::stats::Stats;
use super::wires::SourceNote;
use crate::clock::LiveClock;
use crate::config::Config;
use crate::pipeline::Stage;

/// Messages of one connection in one duty cycle: the others are read between.
const MESSAGES: usize = 64;
/// Up to this many open connections each is simply read, which costs no more than to ask the system
/// which of them is ready, and what has come is in hand a system call earlier.
const DIRECT_MAX: usize = 2;
/// Ticks of one message: venues bundle up to 1,024 trades.
const TICKS: usize = 1_100;

/// What a link tells main.
#[derive(Debug)]
pub struct FeedNote {
    /// When.
    pub at: Nanos,
    /// Index of the line.
    pub line: usize,
    /// What.
    pub event: LinkEvent,
    /// More than the event says: names of topics, why a connect failed.
    pub detail: Option<Box<str>>,
}

impl FeedNote {
    /// In words, with the names of the line and of the instrument that it is about.
    #[must_use]
    pub fn text(&self, lines: &[String], config: &Config) -> String {
        let line = &lines[self.line];
        let name = |id: InstrumentId| &config.instruments[usize::from(id.0)].name;
        match (&self.detail, self.event) {
            (Some(detail), _) => format!("{line}: {detail}"),
            (None, LinkEvent::Mute(id)) => {
                format!("{line}: {} is silent; subscribing it anew", name(id))
            }
            (None, LinkEvent::Recovered(id)) => format!("{line}: {} delivers again", name(id)),
            (None, event) => format!("{line}: {event}"),
        }
    }
}

/// Sees every message beside the codecs, on the feed's thread: it never waits.
pub trait Tap: Send {
    /// A message came on this line, and was decoded.
    fn on_message(&mut self, line: usize, received: Nanos, raw: &[u8], decoded: Decoded);
}

/// One connection of market data that is wanted, with its replacement.
pub struct Line {
    /// The link's state.
    pub link: Link,
    /// A codec for each slot.
    pub codecs: [Box<dyn MarketCodec>; 2],
    /// The engine's number of it.
    pub source: SourceId,
    /// Where it connects to.
    pub target: Arc<Target>,
    /// The path of its handshake.
    pub path: Arc<str>,
    /// Which of the feed's budgets its host has.
    pub budget: usize,
}

struct Wire {
    line: Line,
    connections: [Option<Box<WsConnection>>; 2],
    /// There may be something to read.
    ready: [bool; 2],
    /// Number of the newest wish for a connection: results of older ones are dropped.
    wishes: [u32; 2],
    /// Why the last connection ended, until its loss is told.
    ended: Option<Closed>,
    /// Attempts to connect that failed since the last that did not.
    failures: u32,
    counts: Counts,
}

impl Wire {
    /// A connection has ended.
    fn lose(&mut self, slot: Slot, real: Nanos, closed: Closed) {
        self.connections[slot.index()] = None;
        self.ended = Some(closed);
        self.line.link.on_closed(slot, real);
    }
}

/// What others see of the feed.
#[derive(Debug, Default)]
pub struct FeedView {
    /// Messages so far, by kind and reason; copied about once a second, and in the end.
    pub counts: Mutex<Counts>,
    /// Ticks that waited because the ring to the engine was full.
    pub conflated: AtomicU64,
    /// Notes for which there was no room.
    pub notes_lost: AtomicU64,
}

/// See the module.
pub struct LiveFeed {
    wires: Vec<Wire>,
    budgets: Vec<ConnectBudget>,
    connector: ConnectorPort,
    notes: Producer<FeedNote>,
    view: Arc<FeedView>,
    clock: LiveClock,
    poll: mio::Poll,
    events: mio::Events,
    polled: bool,
    ticks: Vec<Tick>,
    tap: Option<Box<dyn Tap>>,
    /// Real time of this duty cycle.
    real: Nanos,
    counted_at: Nanos,
}

impl LiveFeed {
    /// A feed of these lines.
    #[must_use]
    pub fn new(
        lines: Vec<Line>,
        budgets: Vec<ConnectBudget>,
        connector: ConnectorPort,
        notes: Producer<FeedNote>,
        view: Arc<FeedView>,
        clock: LiveClock,
        poll: mio::Poll,
    ) -> Self {
        let wire = |line| Wire {
            line,
            connections: [None, None],
            ready: [false; 2],
            wishes: [0; 2],
            ended: None,
            failures: 0,
            counts: Counts::default(),
        };
        Self {
            wires: lines.into_iter().map(wire).collect(),
            budgets,
            connector,
            notes,
            view,
            clock,
            poll,
            events: mio::Events::with_capacity(256),
            polled: false,
            ticks: Vec::with_capacity(TICKS),
            tap: None,
            real: Nanos(0),
            counted_at: Nanos(0),
        }
    }

    /// Lets somebody see every message.
    pub fn tap(&mut self, tap: Box<dyn Tap>) {
        self.tap = Some(tap);
    }

    fn look_at_sockets(&mut self) {
        if !std::mem::take(&mut self.polled) {
            let open = |wire: &Wire| wire.connections.iter().flatten().count();
            if self.wires.iter().map(open).sum::<usize>() <= DIRECT_MAX {
                self.wires.iter_mut().for_each(|wire| wire.ready = [true; 2]);
                return;
            }
            // Interrupted by a signal: the next round looks again.
            drop(self.poll.poll(&mut self.events, Some(Duration::ZERO)));
        }
        for event in &self.events {
            let token = event.token().0;
            if let Some(wire) = self.wires.get_mut(token / 2) {
                wire.ready[token % 2] = true;
            }
        }
        self.events.clear();
    }

    fn take_results(&mut self, now: Nanos, sink: &mut dyn Sink) -> usize {
        let mut work = 0;
        while let Some(result) = self.connector.poll() {
            work += 1;
            let (at, slot, wish) = split_key(result.key);
            let Some(wire) = self.wires.get_mut(at) else { continue };
            if wire.wishes[slot.index()] != wish {
                continue;
            }
            match result.connected {
                Ok(Connected::WebSocket(mut connection)) => {
                    let token = mio::Token(at * 2 + slot.index());
                    if connection.register(self.poll.registry(), token).is_err() {
                        wire.line.link.on_failed(slot, self.real, None);
                        continue;
                    }
                    wire.connections[slot.index()] = Some(connection);
                    // What came with the handshake is no event of the socket.
                    wire.ready[slot.index()] = true;
                    wire.failures = 0;
                    wire.line.codecs[slot.index()].reset();
                    wire.line.link.on_open(slot, self.real);
                    // The engine hears of the connection before it hears anything from it.
                    self.act(at, now, sink);
                }
                Ok(Connected::Http(_)) => wire.line.link.on_failed(slot, self.real, None),
                Err(failure) => {
                    if let Some(wait) = failure.retry_after {
                        self.budgets[wire.line.budget].ban(self.real, self.real.plus(wait));
                    }
                    wire.line.link.on_failed(slot, self.real, failure.retry_after);
                    // Said here, and once until it is open again: the link itself only counts.
                    wire.failures += 1;
                    if wire.failures == 1 {
                        let event = LinkEvent::Failed(1);
                        let detail = Some(format!("{}; trying again", failure.why).into());
                        self.note(FeedNote { at: now, line: at, event, detail });
                    }
                }
            }
        }
        work
    }

    fn note(&mut self, note: FeedNote) {
        if self.notes.push(note).is_err() {
            let lost = &self.view.notes_lost;
            lost.store(lost.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    fn act(&mut self, at: usize, now: Nanos, sink: &mut dyn Sink) {
        while let Some(action) = self.wires[at].line.link.poll_action() {
            let wire = &mut self.wires[at];
            match action {
                LinkAction::Connect(slot) => {
                    let wish = &mut wire.wishes[slot.index()];
                    *wish = wish.wrapping_add(1);
                    let request = ConnectRequest {
                        key: key(at, slot, *wish),
                        target: Arc::clone(&wire.line.target),
                        kind: Kind::WebSocket,
                        path: Arc::clone(&wire.line.path),
                    };
                    if !self.connector.request(request) {
                        wire.line.link.on_failed(slot, self.real, None);
                    }
                }
                LinkAction::Send(slot, text) => {
                    let connection = wire.connections[slot.index()].as_mut();
                    let sent = connection.map_or(Ok(()), |one| one.send(text).map(drop));
                    if let Err(closed) = sent {
                        wire.lose(slot, self.real, closed);
                    }
                }
                LinkAction::Ping(slot) => {
                    let connection = wire.connections[slot.index()].as_mut();
                    if let Err(closed) = connection.map_or(Ok(()), |one| one.ping().map(drop)) {
                        wire.lose(slot, self.real, closed);
                    }
                }
                LinkAction::Close(slot, _) => {
                    let wish = &mut wire.wishes[slot.index()];
                    *wish = wish.wrapping_add(1);
                    if let Some(mut connection) = wire.connections[slot.index()].take() {
                        connection.close(NORMAL_CLOSE);
                    }
                }
                LinkAction::Replay(tick) => sink.tick(now, &tick),
                LinkAction::Changed(event) => self.changed(at, now, event, sink),
            }
        }
    }

    fn changed(&mut self, at: usize, now: Nanos, event: LinkEvent, sink: &mut dyn Sink) {
        let source = self.wires[at].line.source;
        match event {
            LinkEvent::Connected => sink.source(now, source, SourceChange::Connected),
            LinkEvent::Lost(_) => sink.source(now, source, SourceChange::Lost),
            // Told with its cause where the result came in.
            LinkEvent::Failed(_) => return,
            _ => {}
        }
        let wire = &mut self.wires[at];
        let detail = match event {
            LinkEvent::Partial { .. } => Some(wire.line.link.tell(event).to_string()),
            // What the transport saw says more than that it is gone.
            LinkEvent::Lost(LinkReason::Closed) => {
                wire.ended.take().map(|closed| format!("lost: {closed}; connecting again"))
            }
            _ => None,
        };
        let detail = detail.map(String::into_boxed_str);
        self.note(FeedNote { at: now, line: at, event, detail });
    }

    fn read_line(
        &mut self,
        at: usize,
        now: Nanos,
        sink: &mut dyn Sink,
        stats: &mut Stats,
    ) -> usize {
        let mut work = 0;
        for slot in [Slot::A, Slot::B] {
            let wire = &mut self.wires[at];
            if !wire.ready[slot.index()] {
                continue;
            }
            let Some(connection) = &mut wire.connections[slot.index()] else {
                wire.ready[slot.index()] = false;
                continue;
            };
            let Line { link, codecs, source, .. } = &mut wire.line;
            let codec = &mut codecs[slot.index()];
            let (clock, ticks, counts) = (&self.clock, &mut self.ticks, &mut wire.counts);
            let (real, tap) = (self.real, &mut self.tap);
            let state = connection.read(real, MESSAGES, &mut |incoming| {
                work += 1;
                let raw = match incoming {
                    Incoming::Text(raw) | Incoming::Binary(raw) => raw,
                    Incoming::Ping | Incoming::Pong => return link.on_frame(slot, real),
                };
                let received = clock.real();
                let time = clock.at(received).max(now);
                let decoded = codec.decode(raw, time, *source, &mut |tick| ticks.push(tick));
                let decoded_at = clock.real();
                counts.record(decoded);
                if let Some(tap) = tap {
                    tap.on_message(at, time, raw, decoded);
                }
                stats.stages.record(Stage::Decode, decoded_at.saturating_sub(received));
                let mut forwarded = false;
                for tick in ticks.drain(..) {
                    if link.on_tick(slot, Nanos(received), &tick) {
                        sink.tick(time, &tick);
                        forwarded = true;
                    }
                }
                if forwarded {
                    sink.message_done(received, decoded_at, stats);
                }
                link.on_message(slot, Nanos(received), raw, decoded);
            });
            match state {
                ReadState::Idle => wire.ready[slot.index()] = false,
                ReadState::More => {}
                ReadState::Closed(closed) => {
                    wire.ready[slot.index()] = false;
                    wire.lose(slot, self.real, closed);
                }
            }
        }
        work
    }

    fn count(&mut self) {
        if self.real.since(self.counted_at) < Nanos::from_secs(1) {
            return;
        }
        self.counted_at = self.real;
        // A message that never ends is noticed by reading, and raises no event.
        self.wires.iter_mut().for_each(|wire| wire.ready = [true; 2]);
        // Whoever reads holds it for a moment; the next second will do as well.
        if let Some(mut counts) = self.view.counts.try_lock() {
            *counts = self.total();
        }
    }

    fn total(&self) -> Counts {
        let mut sum = Counts::default();
        self.wires.iter().for_each(|wire| sum.add(&wire.counts));
        sum
    }
}

/// Longest sleep: results of the connector ring no bell here.
const PARK_MOST: Duration = Duration::from_millis(5);
/// RFC 6455: the purpose is fulfilled.
const NORMAL_CLOSE: u16 = 1000;

impl Feed for LiveFeed {
    fn read(&mut self, now: Nanos, sink: &mut dyn Sink, stats: &mut Stats) -> usize {
        self.real = Nanos(self.clock.real());
        self.look_at_sockets();
        let mut work = 0;
        for at in 0..self.wires.len() {
            work += self.read_line(at, now, sink, stats);
            let wire = &mut self.wires[at];
            if wire.line.link.next_timer().is_some_and(|due| due <= self.real) {
                wire.line.link.on_timer(self.real, &mut self.budgets[wire.line.budget]);
                work += 1;
            }
            self.act(at, now, sink);
        }
        if self.connector.has_next() {
            work += self.take_results(now, sink);
        }
        self.count();
        work
    }

    fn park(&mut self, most: Duration) {
        // A socket ends it, or the time; results of the connector wait at most that long.
        let most = if self.has_more() { Duration::ZERO } else { most.min(PARK_MOST) };
        drop(self.poll.poll(&mut self.events, Some(most)));
        self.polled = true;
    }

    fn has_more(&self) -> bool {
        let waits = |wire: &Wire| {
            let mut slots = wire.ready.iter().zip(&wire.connections);
            slots.any(|(ready, connection)| *ready && connection.is_some())
        };
        self.connector.has_next() || self.wires.iter().any(waits)
    }

    fn next_timer(&self) -> Option<Nanos> {
        let due = self.wires.iter().filter_map(|wire| wire.line.link.next_timer()).min();
        due.map(|due| self.clock.at(due.0))
    }
}

impl Drop for LiveFeed {
    fn drop(&mut self) {
        *self.view.counts.lock() = self.total();
        for connection in self.wires.iter_mut().flat_map(|wire| &mut wire.connections).flatten() {
            connection.close(NORMAL_CLOSE);
        }
    }
}

fn key(line: usize, slot: Slot, wish: u32) -> u64 {
    (line as u64) << 40 | (slot.index() as u64) << 32 | u64::from(wish)
}

fn split_key(key: u64) -> (usize, Slot, u32) {
    let slot = if key >> 32 & 1 == 0 { Slot::A } else { Slot::B };
    ((key >> 40) as usize, slot, key as u32)
}

/// Ticks into the rings to another thread. Full rings never stop the feed.
pub struct RingSink {
    ticks: Producer<Tick>,
    sources: Producer<SourceNote>,
    /// Changes for which there was no room.
    held: std::collections::VecDeque<SourceNote>,
    backlog: Conflator,
    pushed: u64,
    view: Arc<FeedView>,
}

impl RingSink {
    /// Into these rings.
    #[must_use]
    pub fn new(
        ticks: Producer<Tick>,
        sources: Producer<SourceNote>,
        backlog: Conflator,
        view: Arc<FeedView>,
    ) -> Self {
        Self { ticks, sources, held: std::collections::VecDeque::new(), backlog, pushed: 0, view }
    }

    /// Passes on what waits, as far as there is room.
    pub fn drain(&mut self) {
        while let Some(note) = self.held.pop_front() {
            if let Err(full) = self.sources.push(note) {
                self.held.push_front(full.0);
                // Ticks that came after the change must not arrive before it.
                return;
            }
        }
        while let Some(tick) = self.backlog.take() {
            if let Err(full) = self.ticks.push(tick) {
                self.backlog.put_back(full.0);
                break;
            }
            self.pushed += 1;
        }
        self.view.conflated.store(self.backlog.counts().waited, Ordering::Relaxed);
    }
}

impl Sink for RingSink {
    #[inline]
    fn tick(&mut self, _: Nanos, tick: &Tick) {
        // What waits is older: it goes first, or is replaced.
        if !self.backlog.is_empty() || !self.held.is_empty() {
            self.backlog.put(*tick);
        } else if let Err(full) = self.ticks.push(*tick) {
            self.backlog.put(full.0);
        } else {
            self.pushed += 1;
        }
    }

    fn source(&mut self, _: Nanos, source: SourceId, change: SourceChange) {
        // What waits of it is of a connection that has ended.
        self.backlog.forget(source);
        let note = SourceNote { after: self.pushed, source, change };
        if !self.held.is_empty() {
            self.held.push_back(note);
        } else if let Err(full) = self.sources.push(note) {
            self.held.push_back(full.0);
        }
    }

    fn message_done(&mut self, _: u64, _: u64, _: &mut Stats) {}
}

/// The feed on a thread of its own.
pub struct FeedAgent<F> {
    feed: F,
    sink: RingSink,
    stop: Arc<AtomicBool>,
    done: bool,
}

impl<F: Feed> FeedAgent<F> {
    /// A feed into rings.
    #[must_use]
    pub const fn new(feed: F, sink: RingSink, stop: Arc<AtomicBool>) -> Self {
        Self { feed, sink, stop, done: false }
    }
}

impl<F: Feed> Agent for FeedAgent<F> {
    fn do_work(&mut self, now: Nanos, stats: &mut Stats) -> usize {
        let work = self.feed.read(now, &mut self.sink, stats);
        if !self.sink.backlog.is_empty() || !self.sink.held.is_empty() {
            self.sink.drain();
        }
        self.done = self.stop.load(Ordering::Acquire);
        work
    }

    fn park(&mut self, most: Duration) {
        self.feed.park(most);
    }

    fn next_timer(&self) -> Option<Nanos> {
        self.feed.next_timer()
    }

    fn is_done(&self) -> bool {
        self.done
    }
}
