//! Simulated venues on sockets: Binance USD-M and Bybit v5 linear, market data and order entry, on
//! loopback, in the market's own time.
//!
//! Written from the venues' sheets, apart from the feed: no codec and no signer is shared, so that
//! the two sides can disagree. Orders are immediate-or-cancel: limit with `IOC`, or market.
//!
//! ```text
//! sockets ── Reactor ── Venue ── Dialect (Binance | Bybit) ── Desk ── Matching
//!            bytes      time     the venue's words             books, accounts, orders
//! ```
//!
//! Below the reactor nothing knows sockets or clocks: requests and times in, answers out.

mod binance;
mod bybit;
mod connection;
mod decimal;
mod desk;
mod feed;
mod http;
mod orders;
mod quotes;
mod reactor;
mod sign;
mod tls;
mod venue;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use reap_core::instrument::{AccountId, Instrument, InstrumentId};
use reap_core::units::Nanos;

pub use self::feed::{market_feed, recording_feed};
use self::reactor::{Command, Reactor, Shared};
pub use self::tls::SimTls;
use crate::sim::Counts;

/// Which venue is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimKind {
    /// Binance USD-M futures.
    BinanceUsdm,
    /// Bybit v5, linear contracts.
    Bybit,
}

/// An instrument that the venue lists.
#[derive(Clone, Debug)]
pub struct SimInstrument {
    /// As the venue writes it.
    pub symbol: String,
    /// Its id in [`SimVenue::deposit`].
    pub id: InstrumentId,
    /// Its grid, limits and fees.
    pub instrument: Instrument,
    /// Nothing can be sold that is not held.
    pub spot: bool,
}

/// The keys of an account. Debug shows neither.
#[derive(Clone)]
pub struct SimKeys {
    /// API key.
    pub key: String,
    /// API secret.
    pub secret: String,
}

impl fmt::Debug for SimKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimKeys")
    }
}

/// What goes wrong on purpose. Nothing by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SimFaults {
    /// Private streams are cut and refused; all else works.
    pub drop_private: bool,
    /// Answers to requests come this much later, in market time.
    pub delay_answers: Nanos,
    /// The answers to the next orders are lost; the orders are executed.
    pub swallow_acks: u32,
    /// Logins and listen keys are refused.
    pub refuse_logins: bool,
}

/// Limits of a venue; the defaults are the sheets'. Times are in market time.
#[derive(Clone, Copy, Debug)]
pub struct SimOptions {
    /// What goes wrong on purpose.
    pub faults: SimFaults,
    /// Binance: interval of ping frames.
    pub ping_every: Nanos,
    /// Binance: a ping that is not answered for this long ends the connection.
    pub pong_within: Nanos,
    /// Binance: life of a WebSocket connection.
    pub connection_life: Nanos,
    /// Binance: messages that a stream connection may receive within a second.
    pub messages_per_second: u32,
    /// Binance: life of a listen key without a keep-alive.
    pub listen_key_life: Nanos,
    /// Bybit: a private or trade connection whose client is silent for this long is cut.
    pub idle_limit: Nanos,
    /// Bybit: a book that does not change is repeated after this long.
    pub repeat_after: Nanos,
    /// Bytes that may wait for a client which does not read.
    pub output_max: usize,
    /// How many times as fast as real time the venue's clock runs: how late a request may arrive is
    /// a matter of the network, which runs no faster.
    pub rate: u32,
}

impl SimOptions {
    /// A receive window, or the life of a login, by the venue's clock.
    pub(crate) fn window(&self, millis: u64) -> u64 {
        millis.saturating_mul(u64::from(self.rate.max(1)))
    }
}

impl Default for SimOptions {
    fn default() -> Self {
        let minutes = |count: u64| Nanos::from_secs(60 * count);
        Self {
            faults: SimFaults::default(),
            ping_every: minutes(3),
            pong_within: minutes(10),
            connection_life: minutes(24 * 60),
            messages_per_second: 10,
            listen_key_life: minutes(60),
            idle_limit: minutes(10),
            repeat_after: Nanos::from_secs(3),
            output_max: 1 << 20,
            rate: 1,
        }
    }
}

/// A venue to be started.
#[derive(Clone, Debug)]
pub struct SimVenueConfig {
    /// Which.
    pub kind: SimKind,
    /// Where it listens: a loopback address; port 0 takes any free one.
    pub listen: SocketAddr,
    /// With a certificate, clients may speak TLS; plain connections are taken in any case.
    pub tls: Option<SimTls>,
    /// What it lists.
    pub instruments: Vec<SimInstrument>,
    /// Who trades there; told apart by their API keys.
    pub accounts: Vec<(AccountId, SimKeys)>,
    /// From a request to its answer.
    pub latency: Nanos,
    /// Limits and faults.
    pub options: SimOptions,
}

/// The market's own time.
pub trait SimClock: Send + Sync {
    /// Nanoseconds since the Unix epoch, in the market's time; never decreases.
    fn now(&self) -> Nanos;
    /// How long until that time comes, in real time.
    fn until(&self, at: Nanos) -> Duration;
}

/// Raw messages of the venue and when they are due.
pub type Feed = Box<dyn Iterator<Item = (Nanos, Vec<u8>)> + Send>;

/// What a venue saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimCounts {
    /// Connections that were taken.
    pub connections: u64,
    /// Connections that were turned away: cut off, or too many.
    pub turned_away: u64,
    /// Connections that were cut because the client did not read, or did not finish its request.
    pub cut_slow: u64,
    /// Connections that were cut because of what they sent.
    pub cut_hostile: u64,
    /// WebSocket messages received.
    pub messages: u64,
    /// HTTP requests received.
    pub requests: u64,
    /// Market data messages taken from the feed.
    pub market: u64,
    /// Market data messages sent to subscribers.
    pub pushed: u64,
    /// Market data messages that are no JSON or belong to nothing listed.
    pub unknown_market: u64,
    /// Quotes that are none: crossed, empty, off the scale.
    pub refused_quotes: u64,
    /// Requests refused by the gateway.
    pub refused_requests: u64,
    /// Answers lost on purpose.
    pub swallowed: u64,
    /// What the matching core saw.
    pub matching: Counts,
}

/// Why a venue cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// Another program has the port.
    #[error(
        "simulated venue: port {port} of {host} is in use: stop the program that holds it, or choose another port (0 takes any free one)",
        port = .0.port(), host = .0.ip()
    )]
    Port(SocketAddr),
    /// An address that others can reach.
    #[error("simulated venue: {0} is no loopback address: listen on 127.0.0.1 or [::1]")]
    NotLoopback(SocketAddr),
    /// Listed twice, or an account without a key of its own.
    #[error("simulated venue: {what} {name:?} is there twice: each must be there once")]
    Twice {
        /// What is there twice.
        what: &'static str,
        /// Its name.
        name: String,
    },
    /// The operating system refuses.
    #[error("simulated venue: cannot listen on {addr}: {source}")]
    Io {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No certificate.
    #[error("simulated venue: no certificate can be made: {0}")]
    Tls(String),
}

/// A running venue; stops when dropped.
#[derive(Debug)]
pub struct SimVenue {
    addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl SimVenue {
    /// Starts a venue on a thread of its own; it listens when this returns.
    ///
    /// # Errors
    /// The address cannot be listened on, or the configuration contradicts itself.
    pub fn start(
        config: SimVenueConfig,
        feed: Feed,
        clock: Arc<dyn SimClock>,
    ) -> Result<Self, SimError> {
        config.check()?;
        let (reactor, addr, shared) = Reactor::new(config, feed, clock)?;
        let thread = std::thread::Builder::new()
            .name("sim-venue".to_owned())
            .spawn(move || reactor.run())
            .map_err(|source| SimError::Io { addr, source })?;
        Ok(Self { addr, shared, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Credits what an account already holds, before this returns: positive is long.
    pub fn deposit(&self, account: AccountId, instrument: InstrumentId, qty: i64) {
        self.tell(|done| Command::Deposit { account, instrument, qty, done });
    }

    /// What an account holds by the venue's own book: positive is long. 0 when the venue has stopped.
    #[must_use]
    pub fn position(&self, account: AccountId, instrument: InstrumentId) -> i64 {
        let (told, wait) = mpsc::channel();
        self.shared.tell(Command::Position { account, instrument, told });
        wait.recv().unwrap_or(0)
    }

    /// Closes every connection without a word and turns new ones away for that long, in real time.
    pub fn cut(&self, for_: Duration) {
        self.tell(|done| Command::Cut { for_, done });
    }

    /// From now on, these things go wrong.
    pub fn set_faults(&self, faults: SimFaults) {
        self.tell(|done| Command::Faults { faults, done });
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> SimCounts {
        self.shared.counts()
    }

    /// Whether the feed is exhausted.
    #[must_use]
    pub fn finished(&self) -> bool {
        self.shared.finished()
    }

    /// Stops the venue; its connections are closed when this returns.
    pub fn stop(mut self) {
        self.halt();
    }

    /// Hands the thread a command and waits until it is done; a venue that is gone does nothing.
    fn tell(&self, command: impl FnOnce(mpsc::Sender<()>) -> Command) {
        let (done, wait) = mpsc::channel();
        self.shared.tell(command(done));
        // An error says that the thread is gone: there is nothing to wait for.
        let _ = wait.recv();
    }

    fn halt(&mut self) {
        self.shared.stop();
        if let Some(thread) = self.thread.take() {
            // An error is a panic, which was printed where it happened.
            let _ = thread.join();
        }
    }
}

impl Drop for SimVenue {
    fn drop(&mut self) {
        self.halt();
    }
}

impl SimVenueConfig {
    fn check(&self) -> Result<(), SimError> {
        if !self.listen.ip().is_loopback() {
            return Err(SimError::NotLoopback(self.listen));
        }
        let symbols = self.instruments.iter().map(|one| ("symbol", one.symbol.clone()));
        let ids = self.instruments.iter().map(|one| ("instrument id", one.id.0.to_string()));
        let accounts = self.accounts.iter().map(|(id, _)| ("account", id.0.to_string()));
        // The key itself is nobody's business: the account is named.
        let keys = self.accounts.iter().map(|(id, keys)| (id.0, &keys.key));
        let mut seen = std::collections::HashSet::new();
        for (what, name) in symbols.chain(ids).chain(accounts) {
            if !seen.insert((what, name.clone())) {
                return Err(SimError::Twice { what, name });
            }
        }
        let mut seen = std::collections::HashSet::new();
        for (account, key) in keys {
            if !seen.insert(key) {
                let name = account.to_string();
                return Err(SimError::Twice { what: "the API key of account", name });
            }
        }
        Ok(())
    }
}
