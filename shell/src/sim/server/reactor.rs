//! The thread of a venue: sockets, commands and the feed, one after the other, parked in between.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::iter::Peekable;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use parking_lot::Mutex;
use reap_core::instrument::{AccountId, InstrumentId};

use super::connection::{Connection, Gone, Received};
use super::desk::{ConnId, Out};
use super::venue::Venue;
use super::{Feed, SimClock, SimCounts, SimError, SimFaults, SimTls, SimVenueConfig};
use crate::clock::Clock;

const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
/// Tokens below are not connections.
const FIRST_CONN: ConnId = 2;

const CONNECTIONS_MAX: usize = 256;
/// Feed messages before sockets have their turn again.
const FEED_TURN: usize = 256;
/// Nanoseconds, real time, that a client has for a request, and a response to leave.
const REQUEST_TIME: u64 = 10_000_000_000;
/// Nanoseconds, real time, that a connection may stay between two requests.
const IDLE_TIME: u64 = 120_000_000_000;
/// How often deadlines of clients are looked at.
const SWEEP: Duration = Duration::from_secs(1);
/// The kernel's share of what waits for a slow client.
const KERNEL_BUFFER: usize = 128 * 1024;

/// What other threads ask for; `done` hears when it is so.
pub(super) enum Command {
    Deposit { account: AccountId, instrument: InstrumentId, qty: i64, done: mpsc::Sender<()> },
    Position { account: AccountId, instrument: InstrumentId, told: mpsc::Sender<i64> },
    Cut { for_: Duration, done: mpsc::Sender<()> },
    Faults { faults: SimFaults, done: mpsc::Sender<()> },
}

/// What the thread and its owner both see.
#[derive(Debug)]
pub(super) struct Shared {
    commands: Mutex<mpsc::Sender<Command>>,
    waker: Waker,
    stop: AtomicBool,
    finished: AtomicBool,
    counts: Mutex<SimCounts>,
}

impl Shared {
    pub(super) fn tell(&self, command: Command) {
        // A thread that is gone drops the command, which its sender sees.
        let _ = self.commands.lock().send(command);
        self.wake();
    }

    pub(super) fn stop(&self) {
        // pairs with the Acquire in Reactor::run
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn finished(&self) -> bool {
        // pairs with the Release in Reactor::take_feed
        self.finished.load(Ordering::Acquire)
    }

    pub(super) fn counts(&self) -> SimCounts {
        *self.counts.lock()
    }

    fn wake(&self) {
        // Waking fails only when the thread's poll is gone.
        let _ = self.waker.wake();
    }
}

/// See the module.
pub(super) struct Reactor {
    poll: Poll,
    listener: TcpListener,
    tls: Option<SimTls>,
    output_max: usize,
    connections: BTreeMap<ConnId, Connection>,
    next_conn: ConnId,
    hot: BTreeSet<ConnId>,
    dirty: BTreeSet<ConnId>,
    venue: Venue,
    feed: Peekable<Feed>,
    clock: Arc<dyn SimClock>,
    real: Clock,
    cut_until: u64,
    next_sweep: u64,
    commands: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
}

impl Reactor {
    pub(super) fn new(
        config: SimVenueConfig,
        feed: Feed,
        clock: Arc<dyn SimClock>,
    ) -> Result<(Self, SocketAddr, Arc<Shared>), SimError> {
        let addr = config.listen;
        let failed = |source: io::Error| match source.kind() {
            ErrorKind::AddrInUse => SimError::Port(addr),
            _ => SimError::Io { addr, source },
        };
        let poll = Poll::new().map_err(failed)?;
        let mut listener = TcpListener::bind(addr).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE).map_err(failed)?;
        let waker = Waker::new(poll.registry(), WAKER).map_err(failed)?;
        let (sender, commands) = mpsc::channel();
        let shared = Arc::new(Shared {
            commands: Mutex::new(sender),
            waker,
            stop: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            counts: Mutex::default(),
        });
        let reactor = Self {
            poll,
            listener,
            tls: config.tls.clone(),
            output_max: config.options.output_max,
            connections: BTreeMap::new(),
            next_conn: FIRST_CONN,
            hot: BTreeSet::new(),
            dirty: BTreeSet::new(),
            venue: Venue::new(config, clock.now()),
            feed: feed.peekable(),
            clock,
            real: Clock::start(),
            cut_until: 0,
            next_sweep: 0,
            commands,
            shared: shared.clone(),
        };
        Ok((reactor, bound, shared))
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(256);
        // pairs with the Release in Shared::stop
        while !self.shared.stop.load(Ordering::Acquire) {
            let more = self.take_feed();
            self.deliver();
            self.sweep();
            *self.shared.counts.lock() = self.venue.desk.counts;
            let timeout = if more || !self.hot.is_empty() { Duration::ZERO } else { self.park() };
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != ErrorKind::Interrupted
            {
                // Without a poll there is no venue; its clients see it go.
                return;
            }
            self.take_commands();
            // What a client does now meets the market of now.
            self.take_feed();
            let mut ready = std::mem::take(&mut self.hot);
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(),
                    WAKER => {}
                    Token(conn) => {
                        ready.insert(conn);
                        self.dirty.insert(conn);
                    }
                }
            }
            for conn in ready {
                self.read(conn);
            }
        }
    }

    /// How long nothing happens by itself.
    fn park(&mut self) -> Duration {
        let feed = self.feed.peek().map(|(due, _)| *due);
        let due = [feed, self.venue.next_due()].into_iter().flatten().min();
        due.map_or(SWEEP, |due| self.clock.until(due)).min(SWEEP)
    }

    /// Market data that is due. Whether there is more of it at once.
    fn take_feed(&mut self) -> bool {
        let now = self.clock.now();
        for _ in 0..FEED_TURN {
            let Some((due, raw)) = self.feed.next_if(|(due, _)| *due <= now) else {
                if self.feed.peek().is_none() {
                    // pairs with the Acquire in Shared::finished
                    self.shared.finished.store(true, Ordering::Release);
                }
                self.venue.advance(now);
                return false;
            };
            self.venue.on_market(due, &raw);
        }
        true
    }

    fn take_commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            let done = match command {
                Command::Deposit { account, instrument, qty, done } => {
                    self.venue.desk.deposit(account, instrument, qty);
                    done
                }
                Command::Position { account, instrument, told } => {
                    // Who asked may have stopped waiting.
                    let _ = told.send(self.venue.desk.holds(account, instrument));
                    continue;
                }
                Command::Cut { for_, done } => {
                    let nanos = u64::try_from(for_.as_nanos()).unwrap_or(u64::MAX);
                    self.cut_until = self.real.nanos().saturating_add(nanos);
                    for conn in self.connections.keys().copied().collect::<Vec<_>>() {
                        self.close(conn);
                    }
                    done
                }
                Command::Faults { faults, done } => {
                    *self.venue.desk.faults() = faults;
                    if faults.drop_private {
                        let all = self.connections.keys().copied();
                        let private: Vec<_> =
                            all.filter(|conn| self.venue.is_private(*conn)).collect();
                        for conn in private {
                            self.close(conn);
                        }
                    }
                    done
                }
            };
            // Who asked may have stopped waiting.
            let _ = done.send(());
        }
    }

    fn accept(&mut self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(stream),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // That client vanished, or the process has no descriptor left: the next event
                // tries again.
                Err(_) => return,
            }
        }
    }

    fn welcome(&mut self, mut stream: TcpStream) {
        let now = self.real.nanos();
        if now < self.cut_until || self.connections.len() >= CONNECTIONS_MAX {
            self.venue.desk.counts.turned_away += 1;
            return;
        }
        let conn = self.next_conn;
        self.next_conn += 1;
        // Both are tuning; a connection without them works.
        let _ = stream.set_nodelay(true);
        let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, KERNEL_BUFFER);
        let both = Interest::READABLE | Interest::WRITABLE;
        if self.poll.registry().register(&mut stream, Token(conn), both).is_err() {
            self.venue.desk.counts.turned_away += 1;
            return;
        }
        self.venue.desk.counts.connections += 1;
        let connection = Connection::new(stream, self.tls.clone(), self.output_max, now);
        self.connections.insert(conn, connection);
    }

    fn read(&mut self, conn: ConnId) {
        let mut received = Vec::new();
        let now = self.real.nanos();
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let read = connection.read(now, &mut received);
        self.mark(conn);
        let market = self.clock.now();
        if self.feed.peek().is_none_or(|(due, _)| *due > market) {
            self.venue.advance(market);
        }
        for one in received {
            match one {
                Received::Text(text) => self.venue.on_text(conn, &text),
                Received::Ping => self.venue.on_frame(conn, false),
                Received::Pong => self.venue.on_frame(conn, true),
                Received::Request(request) if request.websocket_key().is_some() => {
                    match self.venue.on_open(conn, &request) {
                        Ok(()) => self.upgrade(conn),
                        Err(refusal) => {
                            let (status, body) = (refusal.status, refusal.body);
                            self.venue.desk.send(conn, Out::Response { status, body });
                        }
                    }
                }
                Received::Request(request) => self.venue.on_request(conn, &request),
            }
        }
        self.settle(conn, read);
    }

    fn upgrade(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let upgraded = connection.upgrade();
        self.settle(conn, upgraded);
        self.mark(conn);
    }

    /// Hands out what the venue says, and flushes. What could not leave stays dirty and is tried
    /// again when the socket takes more.
    fn deliver(&mut self) {
        while let Some((conn, out)) = self.venue.poll_out() {
            let Some(connection) = self.connections.get_mut(&conn) else { continue };
            let written = connection.write(out);
            self.dirty.insert(conn);
            self.settle(conn, written);
        }
        let now = self.real.nanos();
        for conn in std::mem::take(&mut self.dirty) {
            let Some(connection) = self.connections.get_mut(&conn) else { continue };
            let flushed = connection.flush(now);
            let is_hot = connection.is_hot;
            if is_hot {
                self.hot.insert(conn);
            }
            self.settle(conn, flushed);
        }
    }

    /// Notes what a connection has to do next.
    fn mark(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get(&conn) else { return };
        if connection.is_hot {
            self.hot.insert(conn);
        }
        if connection.is_dirty {
            self.dirty.insert(conn);
        }
    }

    /// Cuts the clients that do not get on.
    fn sweep(&mut self) {
        let now = self.real.nanos();
        if now < self.next_sweep {
            return;
        }
        self.next_sweep = now + SWEEP.as_nanos() as u64;
        let is_late = |connection: &Connection| match connection.busy_since {
            Some(since) => now.saturating_sub(since) > REQUEST_TIME,
            None if connection.is_websocket() => false,
            None => now.saturating_sub(connection.idle_since) > IDLE_TIME,
        };
        let late = self.connections.iter().filter(|(_, connection)| is_late(connection));
        for conn in late.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.settle(conn, Err(Gone::Slow));
        }
    }

    /// Ends a connection that failed.
    fn settle(&mut self, conn: ConnId, result: Result<(), Gone>) {
        let Err(gone) = result else { return };
        let counts = &mut self.venue.desk.counts;
        match gone {
            Gone::Left => {}
            Gone::Hostile => counts.cut_hostile += 1,
            Gone::Slow => counts.cut_slow += 1,
        }
        self.close(conn);
    }

    fn close(&mut self, conn: ConnId) {
        let Some(mut connection) = self.connections.remove(&conn) else { return };
        if let Some(source) = connection.source() {
            // The descriptor is closed next, which takes it out of the poll as well.
            let _ = self.poll.registry().deregister(source);
        }
        self.hot.remove(&conn);
        self.venue.on_closed(conn);
    }
}
