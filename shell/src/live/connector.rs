//! The cold side of connections: names, TCP, TLS and handshakes are done here, and the open
//! connection is handed to the hot thread that asked for it.
//!
//! Every attempt has a thread of its own for as long as it takes: a venue whose name does not
//! resolve, or which accepts and then says nothing, delays no other venue.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use reap_core::units::Nanos;
use reap_feed::endpoint::Endpoint;
use reap_feed::transport::{
    ConnectError, HttpConnection, TransportSettings, Trust, WsConnection, connect_http, connect_ws,
};
use reap_ring::{Consumer, Producer, ring};

use super::wires::Doorbell;

/// Where to connect to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The host.
    pub endpoint: Endpoint,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Limits and deadlines.
    pub settings: TransportSettings,
}

/// What is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A WebSocket.
    WebSocket,
    /// HTTP requests.
    Http,
}

/// A wish for a connection.
#[derive(Clone, Debug)]
pub struct ConnectRequest {
    /// Comes back with the result; whoever has changed his mind ignores it.
    pub key: u64,
    /// Where.
    pub target: Arc<Target>,
    /// What.
    pub kind: Kind,
    /// The path of a WebSocket's handshake.
    pub path: Arc<str>,
}

/// An open connection.
#[derive(Debug)]
pub enum Connected {
    /// A WebSocket after its handshake.
    WebSocket(Box<WsConnection>),
    /// A connection for HTTP.
    Http(Box<HttpConnection>),
}

/// What became of a wish.
#[derive(Debug)]
pub struct ConnectResult {
    /// The wish.
    pub key: u64,
    /// The connection, or why there is none.
    pub connected: Result<Connected, ConnectFailure>,
}

/// Why there is no connection.
#[derive(Clone, Debug)]
pub struct ConnectFailure {
    /// The venue asked for this much patience.
    pub retry_after: Option<Nanos>,
    /// For people.
    pub why: Box<str>,
}

/// A hot thread's end of the connector.
pub struct ConnectorPort {
    requests: Producer<ConnectRequest>,
    results: Consumer<ConnectResult>,
}

impl ConnectorPort {
    /// Asks for a connection; returns at once. False when too many wishes wait already.
    pub fn request(&mut self, request: ConnectRequest) -> bool {
        self.requests.push(request).is_ok()
    }

    /// The next result.
    #[inline]
    pub fn poll(&mut self) -> Option<ConnectResult> {
        self.results.pop()
    }

    /// Whether a result waits.
    #[must_use]
    pub fn has_next(&self) -> bool {
        self.results.has_next()
    }
}

struct Client {
    requests: Consumer<ConnectRequest>,
    results: Producer<ConnectResult>,
    bell: Option<Arc<Doorbell>>,
}

/// Collects the clients; then [`Self::start`].
#[derive(Default)]
pub struct ConnectorBuilder {
    clients: Vec<Client>,
}

/// Wishes and results of one client that may wait.
const WAITING_MAX: usize = 512;
/// How often the connector looks for wishes.
const LOOK: Duration = Duration::from_millis(1);
/// Attempts under way at once; further wishes wait.
const ATTEMPTS_MAX: usize = 64;

impl ConnectorBuilder {
    /// A port for a hot thread; `bell` wakes it when a result comes.
    pub fn client(&mut self, bell: Option<Arc<Doorbell>>) -> ConnectorPort {
        let (wish, requests) = ring(WAITING_MAX);
        let (results, result) = ring(WAITING_MAX);
        self.clients.push(Client { requests, results, bell });
        ConnectorPort { requests: wish, results: result }
    }

    /// Starts the connector's thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(self) -> std::io::Result<Connector> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let (sender, receiver) = channel();
        let body = Body { clients: self.clients, stop: stopped, sender, receiver, under_way: 0 };
        let thread = Builder::new().name("reap-connector".into()).spawn(move || body.run())?;
        Ok(Connector { stop, thread: Some(thread) })
    }
}

/// The running connector; stops when it is dropped.
pub struct Connector {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Connector {
    fn drop(&mut self) {
        // Attempts look at it every few milliseconds.
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing to say in the end, and its panic would have ended the process.
            drop(thread.join());
        }
    }
}

type Done = (usize, ConnectResult);

struct Body {
    clients: Vec<Client>,
    stop: Arc<AtomicBool>,
    sender: Sender<Done>,
    receiver: Receiver<Done>,
    under_way: usize,
}

impl Body {
    fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            match self.receiver.recv_timeout(LOOK) {
                Ok(done) => self.hand_over(done),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            for at in 0..self.clients.len() {
                while self.under_way < ATTEMPTS_MAX
                    && let Some(request) = self.clients[at].requests.pop()
                {
                    self.attempt(at, request);
                }
            }
        }
    }

    fn attempt(&mut self, client: usize, request: ConnectRequest) {
        let key = request.key;
        let (sender, stop) = (self.sender.clone(), Arc::clone(&self.stop));
        let attempt = move || {
            let connected = connect(&request, &stop).map_err(|error| ConnectFailure {
                retry_after: error.retry_after(),
                why: error.to_string().into_boxed_str(),
            });
            // Nobody listens any more when the connector has stopped.
            drop(sender.send((client, ConnectResult { key, connected })));
        };
        self.under_way += 1;
        if let Err(error) = Builder::new().name("reap-connect".into()).spawn(attempt) {
            let why = format!("no thread for the attempt: {error}").into_boxed_str();
            let failure = ConnectFailure { retry_after: None, why };
            self.hand_over((client, ConnectResult { key, connected: Err(failure) }));
        }
    }

    fn hand_over(&mut self, (client, result): Done) {
        self.under_way -= 1;
        let client = &mut self.clients[client];
        // As many results as wishes fit; beyond that the wisher's own deadline ends the matter.
        drop(client.results.push(result));
        if let Some(bell) = &client.bell {
            bell.ring();
        }
    }
}

fn connect(request: &ConnectRequest, stop: &AtomicBool) -> Result<Connected, ConnectError> {
    let Target { endpoint, trust, settings } = &*request.target;
    Ok(match request.kind {
        Kind::WebSocket => {
            let connection = connect_ws(endpoint, &request.path, trust, settings, stop)?;
            Connected::WebSocket(Box::new(connection))
        }
        Kind::Http => Connected::Http(Box::new(connect_http(endpoint, trust, settings, stop)?)),
    })
}
