//! From a name to an open connection, on a thread that may wait.
//!
//! Deadlines are kernel timers, read in slices short enough that `stop` is seen: no clock is read.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_gettime, timerfd_settime,
};
use socket2::SockRef;

use super::TransportSettings;
use super::error::{ConnectError, Stage};
use super::http_connection::HttpConnection;
use super::stream::Stream;
use super::trust::Trust;
use super::upgrade::Upgrade;
use super::ws::WsConnection;
use crate::endpoint::Endpoint;

/// How long `stop` may go unseen.
const SLICE: Duration = Duration::from_millis(20);

/// More addresses than any venue has; a hostile resolver cannot keep us busy for longer.
const ADDRESSES_MAX: usize = 16;

/// Opens a WebSocket: name, TCP, TLS, upgrade. Blocks; for a cold thread.
///
/// Every address of the name is tried until one works; an HTTP answer other than 101 ends it.
///
/// # Errors
/// [`ConnectError`]; of several addresses' errors the one that came furthest.
pub fn connect_ws(
    endpoint: &Endpoint,
    path: &str,
    trust: &Trust,
    settings: &TransportSettings,
    stop: &AtomicBool,
) -> Result<WsConnection, ConnectError> {
    let addresses = resolve(endpoint, settings, stop)?;
    connect_ws_at(&addresses, endpoint, path, trust, settings, stop)
}

/// As [`connect_ws`], at addresses the caller has: the endpoint's host is still what its certificate
/// must name.
///
/// # Errors
/// [`ConnectError`].
pub fn connect_ws_at(
    addresses: &[SocketAddr],
    endpoint: &Endpoint,
    path: &str,
    trust: &Trust,
    settings: &TransportSettings,
    stop: &AtomicBool,
) -> Result<WsConnection, ConnectError> {
    Upgrade::new(endpoint, path)?; // a bad path is no reason to connect
    let mut attempt = Attempt::new(endpoint, trust, settings, stop)?;
    attempt.first(addresses, |attempt, mut stream, deadline| {
        let early = attempt.upgrade(&mut stream, path, deadline)?;
        attempt.release(&mut stream)?;
        Ok(WsConnection::new(stream, early, settings))
    })
}

/// Opens a connection for HTTP requests: name, TCP, TLS. Blocks; for a cold thread.
///
/// # Errors
/// [`ConnectError`]; of several addresses' errors the one that came furthest.
pub fn connect_http(
    endpoint: &Endpoint,
    trust: &Trust,
    settings: &TransportSettings,
    stop: &AtomicBool,
) -> Result<HttpConnection, ConnectError> {
    let addresses = resolve(endpoint, settings, stop)?;
    connect_http_at(&addresses, endpoint, trust, settings, stop)
}

/// As [`connect_http`], at addresses the caller has.
///
/// # Errors
/// [`ConnectError`].
pub fn connect_http_at(
    addresses: &[SocketAddr],
    endpoint: &Endpoint,
    trust: &Trust,
    settings: &TransportSettings,
    stop: &AtomicBool,
) -> Result<HttpConnection, ConnectError> {
    let mut attempt = Attempt::new(endpoint, trust, settings, stop)?;
    attempt.first(addresses, |attempt, mut stream, _| {
        attempt.release(&mut stream)?;
        Ok(HttpConnection::new(stream, settings))
    })
}

/// The addresses of the endpoint, in the resolver's order.
fn resolve(
    endpoint: &Endpoint,
    settings: &TransportSettings,
    stop: &AtomicBool,
) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(ip) = endpoint.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, endpoint.port)]);
    }
    let host = || endpoint.host.clone();
    let (sender, receiver) = mpsc::channel();
    let asked = (host(), endpoint.port);
    // The system's resolver cannot be interrupted: it gets a thread, which outlives a timeout by as
    // long as the resolver takes and then finds nobody listening.
    thread::Builder::new()
        .name("resolve".into())
        .spawn(move || {
            let found = asked.to_socket_addrs().map(|all| all.take(ADDRESSES_MAX).collect());
            let _ = sender.send(found);
        })
        .map_err(|error| ConnectError::System { what: "thread", kind: error.kind() })?;
    let slices = settings.connect_timeout.as_millis().div_ceil(SLICE.as_millis()).max(1);
    for _ in 0..slices {
        check_stop(stop)?;
        match receiver.recv_timeout(SLICE) {
            Ok(Ok::<Vec<_>, _>(found)) if !found.is_empty() => return Ok(found),
            Ok(Ok(_)) => {
                let why = "no address".to_owned();
                return Err(ConnectError::Resolve { host: host(), why });
            }
            Ok(Err(error)) => {
                return Err(ConnectError::Resolve { host: host(), why: error.to_string() });
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                let why = "the resolver failed".to_owned();
                return Err(ConnectError::Resolve { host: host(), why });
            }
        }
    }
    Err(ConnectError::Timeout { stage: Stage::Resolve })
}

/// What an attempt needs; one poll for all addresses.
struct Attempt<'a> {
    endpoint: &'a Endpoint,
    trust: &'a Trust,
    settings: &'a TransportSettings,
    stop: &'a AtomicBool,
    poll: Poll,
    events: Events,
}

impl<'a> Attempt<'a> {
    fn new(
        endpoint: &'a Endpoint,
        trust: &'a Trust,
        settings: &'a TransportSettings,
        stop: &'a AtomicBool,
    ) -> Result<Self, ConnectError> {
        let poll = Poll::new()
            .map_err(|error| ConnectError::System { what: "poll", kind: error.kind() })?;
        Ok(Self { endpoint, trust, settings, stop, poll, events: Events::with_capacity(4) })
    }

    /// The first address with which everything works, `finish` included.
    fn first<T>(
        &mut self,
        addresses: &[SocketAddr],
        mut finish: impl FnMut(&mut Self, Stream, &Deadline) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let why = || "no address".to_owned();
        let mut furthest: Option<ConnectError> = None;
        for address in addresses.iter().take(ADDRESSES_MAX) {
            let error = match self.open(*address, &mut finish) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            match error {
                // A lower-level failure may be this address's alone; these are not.
                ConnectError::Stopped
                | ConnectError::Handshake { .. }
                | ConnectError::Name { .. }
                | ConnectError::Path { .. }
                | ConnectError::Socket { .. }
                | ConnectError::System { .. } => return Err(error),
                error if furthest.as_ref().is_none_or(|old| old.stage() <= error.stage()) => {
                    furthest = Some(error);
                }
                _ => {}
            }
        }
        let host = self.endpoint.host.clone();
        Err(furthest.unwrap_or_else(|| ConnectError::Resolve { host, why: why() }))
    }

    fn open<T>(
        &mut self,
        address: SocketAddr,
        finish: &mut impl FnMut(&mut Self, Stream, &Deadline) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let deadline = Deadline::after(self.settings.connect_timeout)?;
        let socket = self.connect(address, &deadline)?;
        set_options(&socket, self.settings)?;
        let mut stream = Stream::new(socket, address);
        let deadline = Deadline::after(self.settings.handshake_timeout)?;
        if self.endpoint.secure {
            stream.start_tls(&self.endpoint.host, self.trust)?;
            while !stream.handshake()? {
                self.wait(&deadline, Stage::Tls)?;
            }
        }
        finish(self, stream, &deadline)
    }

    fn connect(
        &mut self,
        address: SocketAddr,
        deadline: &Deadline,
    ) -> Result<TcpStream, ConnectError> {
        check_stop(self.stop)?;
        let told = |error: io::Error| refused(address, &error);
        let mut socket = TcpStream::connect(address).map_err(told)?;
        self.poll
            .registry()
            .register(&mut socket, Token(0), Interest::READABLE | Interest::WRITABLE)
            .map_err(|error| ConnectError::System { what: "poll", kind: error.kind() })?;
        loop {
            self.wait(deadline, Stage::Connect)?;
            if let Some(error) = socket.take_error().map_err(told)? {
                return Err(told(error));
            }
            match socket.peer_addr() {
                Ok(_) => return Ok(socket),
                Err(error) if error.kind() == ErrorKind::NotConnected => {}
                Err(error) => return Err(told(error)),
            }
        }
    }

    /// The upgrade; gives the bytes that came behind its answer.
    fn upgrade(
        &mut self,
        stream: &mut Stream,
        path: &str,
        deadline: &Deadline,
    ) -> Result<Vec<u8>, ConnectError> {
        let (mut upgrade, request) = Upgrade::new(self.endpoint, path)?;
        let mut sent = 0;
        let mut buffer = [0; 4096];
        loop {
            if sent < request.len() {
                match stream.write(&request[sent..]) {
                    Ok(count) => sent += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(lost(stream, &error)),
                }
            }
            match stream.flush() {
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    return Err(lost(stream, &error));
                }
                _ => {}
            }
            match stream.read(&mut buffer) {
                Ok(0) => return Err(ConnectError::Gone { stage: Stage::Upgrade }),
                Ok(count) => {
                    if let Some(head) = upgrade.on_bytes(&buffer[..count])? {
                        return Ok(buffer[head..count].to_vec());
                    }
                    check_stop(self.stop)?;
                    deadline.check(Stage::Upgrade)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(deadline, Stage::Upgrade)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    deadline.check(Stage::Upgrade)?;
                }
                Err(error) => return Err(lost(stream, &error)),
            }
        }
    }

    /// Takes the socket out of this poll, for the owner's.
    fn release(&self, stream: &mut Stream) -> Result<(), ConnectError> {
        self.poll
            .registry()
            .deregister(stream.socket_mut())
            .map_err(|error| ConnectError::System { what: "poll", kind: error.kind() })
    }

    /// Waits for an event, at most a slice.
    fn wait(&mut self, deadline: &Deadline, stage: Stage) -> Result<(), ConnectError> {
        check_stop(self.stop)?;
        deadline.check(stage)?;
        match self.poll.poll(&mut self.events, Some(SLICE)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                Err(ConnectError::System { what: "poll", kind: error.kind() })
            }
            _ => Ok(()),
        }
    }
}

fn check_stop(stop: &AtomicBool) -> Result<(), ConnectError> {
    // Pairs with nothing: the flag alone is the message.
    if stop.load(Ordering::Relaxed) { Err(ConnectError::Stopped) } else { Ok(()) }
}

fn refused(addr: SocketAddr, error: &io::Error) -> ConnectError {
    match error.kind() {
        ErrorKind::ConnectionRefused => ConnectError::Refused { addr },
        ErrorKind::TimedOut => ConnectError::Timeout { stage: Stage::Connect },
        kind => ConnectError::Unreachable { addr, kind },
    }
}

fn lost(stream: &Stream, _error: &io::Error) -> ConnectError {
    match stream.fault() {
        Some(fault) => ConnectError::Tls(fault),
        None => ConnectError::Gone { stage: Stage::Upgrade },
    }
}

fn set_options(socket: &TcpStream, settings: &TransportSettings) -> Result<(), ConnectError> {
    let refused =
        |option| move |error: io::Error| ConnectError::Socket { option, kind: error.kind() };
    socket.set_nodelay(true).map_err(refused("TCP_NODELAY"))?;
    let options = SockRef::from(socket);
    options
        .set_tcp_user_timeout(Some(settings.user_timeout))
        .map_err(refused("TCP_USER_TIMEOUT"))?;
    if let Some(micros) = settings.busy_poll_us {
        options.set_busy_poll(micros).map_err(refused("SO_BUSY_POLL"))?;
    }
    Ok(())
}

/// A kernel timer that runs once.
struct Deadline(OwnedFd);

impl Deadline {
    fn after(span: Duration) -> Result<Self, ConnectError> {
        let failed = |error: rustix::io::Errno| ConnectError::System {
            what: "timer",
            kind: io::Error::from(error).kind(),
        };
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).map_err(failed)?;
        let span = span.max(Duration::from_millis(1)); // nought would never fire
        let value = Timespec {
            tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: span.subsec_nanos().into(),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once).map_err(failed)?;
        Ok(Self(timer))
    }

    /// A timer that has fired has nothing left.
    fn check(&self, stage: Stage) -> Result<(), ConnectError> {
        match timerfd_gettime(&self.0) {
            Ok(left) if left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0 => {
                Err(ConnectError::Timeout { stage })
            }
            Ok(_) => Ok(()),
            Err(error) => {
                let kind = io::Error::from(error).kind();
                Err(ConnectError::System { what: "timer", kind })
            }
        }
    }
}
