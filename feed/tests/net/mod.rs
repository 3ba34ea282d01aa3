//! A server that does as the test says, good or evil, and a client that waits for edges.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use reap_core::units::Nanos;
use reap_feed::endpoint::Endpoint;
use reap_feed::transport::{
    Closed, ConnectError, HttpConnection, Incoming, ReadState, TransportSettings, Trust,
    WsConnection, connect_http, connect_ws,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tungstenite::handshake::derive_accept_key;

#[path = "../../src/test_random.rs"]
mod test_random;
#[allow(unused_imports, reason = "each test file uses its part")]
pub(crate) use test_random::Random;

/// Nothing here takes longer unless it is broken.
pub const PATIENCE: Duration = Duration::from_secs(15);

pub trait Wire: Read + Write + Send {
    fn tcp(&self) -> &TcpStream;
}
impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}
impl Wire for StreamOwned<ServerConnection, TcpStream> {
    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

/// A root and a server certificate it signed.
pub struct Certificates {
    pub root_pem: String,
    pub config: Arc<ServerConfig>,
}

pub enum Flaw {
    None,
    Expired,
    NotYetValid,
    OtherHost,
}

pub fn certificates(flaw: Flaw) -> Certificates {
    let mut root = CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let names = match flaw {
        Flaw::OtherHost => vec!["other.example".to_owned()],
        _ => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
    };
    let mut leaf = CertificateParams::new(names).unwrap();
    match flaw {
        Flaw::Expired => leaf.not_after = date_time_ymd(2001, 1, 1),
        Flaw::NotYetValid => leaf.not_before = date_time_ymd(2999, 1, 1),
        Flaw::None | Flaw::OtherHost => {}
    }
    let key = KeyPair::generate().unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    Certificates { root_pem: issuer.pem(), config: Arc::new(config) }
}

/// Serves one connection on a thread of its own.
pub struct Server<T = ()> {
    pub addr: SocketAddr,
    pub trust: Trust,
    pub secure: bool,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Server<T> {
    /// Raw bytes after accept.
    pub fn raw(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let tcp = accept(&listener);
            drop(listener); // one connection: the next is refused from here on
            serve(tcp)
        });
        Self { addr, trust: Trust::webpki(), secure: false, thread }
    }

    /// Raw bytes after TLS where `secure`.
    pub fn stream(secure: bool, serve: impl FnOnce(&mut dyn Wire) -> T + Send + 'static) -> Self {
        if !secure {
            return Self::raw(move |mut tcp| serve(&mut tcp));
        }
        let certificates = certificates(Flaw::None);
        let config = certificates.config;
        let mut server = Self::raw(move |tcp| {
            let tls = ServerConnection::new(config).unwrap();
            serve(&mut StreamOwned::new(tls, tcp))
        });
        server.trust = Trust::with_roots_pem(certificates.root_pem.as_bytes()).unwrap();
        server.secure = true;
        server
    }

    /// Bytes after the upgrade.
    pub fn ws(secure: bool, serve: impl FnOnce(&mut dyn Wire) -> T + Send + 'static) -> Self {
        Self::stream(secure, move |wire| {
            upgrade(wire, b"");
            serve(wire)
        })
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint { secure: self.secure, host: "127.0.0.1".into(), port: self.addr.port() }
    }

    pub fn join(self) -> T {
        self.thread.join().unwrap()
    }

    pub fn try_ws(&self, settings: &TransportSettings) -> Result<WsConnection, ConnectError> {
        let stop = AtomicBool::new(false);
        connect_ws(&self.endpoint(), "/ws?a=b", &self.trust, settings, &stop)
    }

    pub fn client(&self, settings: &TransportSettings) -> Client {
        Client::new(self.try_ws(settings).unwrap())
    }

    pub fn http(&self, settings: &TransportSettings) -> HttpConnection {
        let stop = AtomicBool::new(false);
        connect_http(&self.endpoint(), &self.trust, settings, &stop).unwrap()
    }
}

pub fn accept(listener: &TcpListener) -> TcpStream {
    let (tcp, _) = listener.accept().unwrap();
    tcp.set_nodelay(true).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    tcp.set_write_timeout(Some(PATIENCE)).unwrap();
    tcp
}

/// Reads a request's head.
pub fn request(wire: &mut (impl Read + ?Sized)) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if wire.read(&mut byte).unwrap_or(0) == 0 {
            break;
        }
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// The answer that accepts this request.
pub fn accepting(request: &str) -> Vec<u8> {
    let key = request.split("Sec-WebSocket-Key: ").nth(1).unwrap().split("\r\n").next().unwrap();
    let accept = derive_accept_key(key.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, \
         upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// The server's half of the upgrade; `early` is sent along with the answer.
pub fn upgrade(wire: &mut (impl Wire + ?Sized), early: &[u8]) {
    let request = request(wire);
    assert!(!request.to_lowercase().contains("extensions"), "F32: none are offered");
    let mut answer = accepting(&request);
    answer.extend_from_slice(early);
    wire.write_all(&answer).unwrap();
    wire.flush().unwrap();
}

/// One unmasked frame; `first` is the byte with FIN, reserved bits and opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(len as u8),
        len @ 126..=65_535 => {
            out.push(126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(payload);
    out
}

pub fn text(payload: &str) -> Vec<u8> {
    frame(0x81, payload.as_bytes())
}

/// Reads one masked frame of the client: opcode and payload; `None` at the end.
pub fn read_frame(wire: &mut (impl Read + ?Sized)) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    wire.read_exact(&mut head).ok()?;
    assert_eq!(head[0] & 0x70, 0);
    assert_eq!(head[1] & 0x80, 0x80, "clients mask");
    let length = match head[1] & 0x7f {
        126 => {
            let mut bytes = [0; 2];
            wire.read_exact(&mut bytes).ok()?;
            u64::from(u16::from_be_bytes(bytes))
        }
        127 => {
            let mut bytes = [0; 8];
            wire.read_exact(&mut bytes).ok()?;
            u64::from_be_bytes(bytes)
        }
        short => u64::from(short),
    };
    let mut mask = [0; 4];
    wire.read_exact(&mut mask).ok()?;
    let mut payload = vec![0; length as usize];
    wire.read_exact(&mut payload).ok()?;
    payload.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= mask[at % 4]);
    Some((head[0] & 0x0f, payload))
}

/// The code of the close frame the client sends, other frames skipped; nought when there is none.
pub fn close_code(wire: &mut (impl Read + ?Sized)) -> u16 {
    while let Some((opcode, payload)) = read_frame(wire) {
        if opcode == 8 {
            return payload.get(..2).map_or(1005, |code| u16::from_be_bytes([code[0], code[1]]));
        }
    }
    0
}

/// Writes until the peer is gone.
pub fn flood(wire: &mut (impl Write + ?Sized), bytes: &[u8]) -> u64 {
    let mut sent = 0;
    while wire.write_all(bytes).is_ok() {
        sent += bytes.len() as u64;
    }
    sent
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pong,
}

impl Got {
    pub fn of(incoming: Incoming<'_>) -> Self {
        match incoming {
            Incoming::Text(bytes) => Self::Text(String::from_utf8(bytes.to_vec()).unwrap()),
            Incoming::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Incoming::Ping => Self::Ping,
            Incoming::Pong => Self::Pong,
        }
    }
}

/// A connection in a poll of its own: it reads only when an edge says so, as owners do, so a wrong
/// `Idle` shows as a test that waits in vain.
pub struct Client {
    pub ws: WsConnection,
    poll: Poll,
    events: Events,
    started: Instant,
}

impl Client {
    pub fn new(mut ws: WsConnection) -> Self {
        let poll = Poll::new().unwrap();
        ws.register(poll.registry(), Token(3)).unwrap();
        Self { ws, poll, events: Events::with_capacity(8), started: Instant::now() }
    }

    pub fn now(&self) -> Nanos {
        Nanos(self.started.elapsed().as_nanos() as u64)
    }

    /// Reads until idle or closed.
    pub fn read(&mut self, on: &mut dyn FnMut(Incoming<'_>)) -> Option<Closed> {
        loop {
            match self.ws.read(self.now(), 7, on) {
                ReadState::Idle => return None,
                ReadState::More => {}
                ReadState::Closed(closed) => return Some(closed),
            }
        }
    }

    /// Waits for the next edge.
    pub fn wait(&mut self, longest: Duration) {
        match self.poll.poll(&mut self.events, Some(longest)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => panic!("{error}"),
            _ => {}
        }
    }

    /// Reads until `done` says so or the connection is over.
    pub fn until(
        &mut self,
        on: &mut dyn FnMut(Incoming<'_>),
        done: &mut dyn FnMut() -> bool,
    ) -> Option<Closed> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(closed) = self.read(on) {
                return Some(closed);
            }
            if done() {
                return None;
            }
            assert!(Instant::now() < deadline, "nothing more comes: {:?}", self.ws.counters());
            self.wait(Duration::from_secs(1));
        }
    }

    /// The next `count` of what comes, pings and pongs included.
    pub fn take(&mut self, count: usize) -> Vec<Got> {
        let got = std::cell::RefCell::new(Vec::new());
        let closed = self
            .until(&mut |incoming| got.borrow_mut().push(Got::of(incoming)), &mut || {
                got.borrow().len() >= count
            });
        let got = got.into_inner();
        assert!(closed.is_none(), "{closed:?} after {got:?}");
        assert_eq!(got.len(), count, "{got:?}");
        got
    }

    /// Everything until the end, and the end.
    pub fn rest(&mut self) -> (Vec<Got>, Closed) {
        let mut got = Vec::new();
        let closed = self.until(&mut |incoming| got.push(Got::of(incoming)), &mut || false);
        (got, closed.unwrap())
    }
}
