//! Clients for the simulated venues: blocking WebSocket and HTTP, plain or TLS, and a clock that
//! the test moves.

#![allow(dead_code, reason = "every test file uses a part of it")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, VenueId,
};
use reap_core::units::{Decimal, Nanos, Rate};
use reap_shell::sim::server::{
    Feed, SimClock, SimInstrument, SimKeys, SimKind, SimOptions, SimTls, SimVenue, SimVenueConfig,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use sha2::Sha256;
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::{Error, Message, WebSocket};

/// When the tests' market begins.
pub(crate) const START: Nanos = Nanos(1_700_000_000_000_000_000);
pub(crate) const START_MS: u64 = START.0 / 1_000_000;
pub(crate) const BTC: InstrumentId = InstrumentId(3);
pub(crate) const ETH: InstrumentId = InstrumentId(4);
pub(crate) const MAIN: AccountId = AccountId(0);
pub(crate) const SECOND: AccountId = AccountId(1);
/// The longest wait for anything that must come.
const PATIENCE: Duration = Duration::from_secs(10);

/// A clock that stands until the test moves it.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(START.0)))
    }

    pub(crate) fn set(&self, since_start: Nanos) {
        self.0.store(START.plus(since_start).0, Ordering::SeqCst);
    }
}

impl SimClock for HandClock {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::SeqCst))
    }

    fn until(&self, at: Nanos) -> Duration {
        if at <= self.now() { Duration::ZERO } else { Duration::from_millis(1) }
    }
}

/// Tick 0.1, lot 0.001, smallest order 0.002 and 5 dollars, fee 5 bps.
pub(crate) fn instrument() -> Instrument {
    Instrument::new(InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 2,
        qty_scale: 4,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: 10,
        lot: 10,
        min_qty: 20,
        min_notional: Decimal { mantissa: 5, scale: 0 },
        taker: Rate::from_bps(5),
        maker: Rate::from_bps(2),
        min_fee: Decimal { mantissa: 0, scale: 0 },
        max_quote_age: Nanos::from_secs(60),
        jump_limit: Rate::from_bps(1_000),
        jump_ticks: 5,
        reduce_only: true,
        min_notional_on_reduce: false,
        peer: None,
    })
    .unwrap()
}

pub(crate) fn config(kind: SimKind) -> SimVenueConfig {
    let list = |symbol: &str, id| SimInstrument {
        symbol: symbol.to_owned(),
        id,
        instrument: instrument(),
        spot: false,
    };
    let keys =
        |name: &str| SimKeys { key: format!("key-{name}"), secret: format!("secret-{name}") };
    SimVenueConfig {
        kind,
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        instruments: vec![list("BTCUSDT", BTC), list("ETHUSDT", ETH)],
        accounts: vec![(MAIN, keys("main")), (SECOND, keys("second"))],
        latency: Nanos(0),
        options: SimOptions::default(),
    }
}

pub(crate) fn feed(messages: Vec<(u64, String)>) -> Feed {
    let at = |(millis, text): (u64, String)| (START.plus(Nanos::from_millis(millis)), text.into());
    Box::new(messages.into_iter().map(at))
}

pub(crate) fn binance_best(symbol: &str, bid: &str, ask: &str, update: u64) -> String {
    format!(
        r#"{{"e":"bookTicker","u":{update},"s":"{symbol}","b":"{bid}","B":"0.5000","a":"{ask}","A":"0.7000","T":{START_MS},"E":{START_MS}}}"#
    )
}

pub(crate) fn bybit_best(symbol: &str, bid: &str, ask: &str, update: u64) -> String {
    format!(
        r#"{{"topic":"orderbook.1.{symbol}","ts":{START_MS},"type":"snapshot","data":{{"s":"{symbol}","b":[["{bid}","0.5000"]],"a":[["{ask}","0.7000"]],"u":{update},"seq":7}},"cts":{START_MS}}}"#
    )
}

pub(crate) fn start(kind: SimKind, messages: Vec<(u64, String)>) -> (SimVenue, Arc<HandClock>) {
    start_with(config(kind), messages)
}

pub(crate) fn start_with(
    config: SimVenueConfig,
    messages: Vec<(u64, String)>,
) -> (SimVenue, Arc<HandClock>) {
    let clock = HandClock::new();
    (SimVenue::start(config, feed(messages), clock.clone()).unwrap(), clock)
}

pub(crate) fn with_tls(mut config: SimVenueConfig) -> (SimVenueConfig, Vec<u8>) {
    let (tls, root) = SimTls::self_signed().unwrap();
    config.tls = Some(tls);
    (config, root)
}

/// HMAC-SHA256 in hexadecimal digits.
pub(crate) fn sign(account: &str, payload: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(format!("secret-{account}").as_bytes()).unwrap();
    mac.update(payload.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Waits until something holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

pub(crate) trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

/// A blocking connection; TLS with the venue's root.
pub(crate) fn dial(addr: SocketAddr, root: Option<&[u8]>) -> Box<dyn Duplex> {
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let Some(root) = root else { return Box::new(stream) };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(root).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    Box::new(rustls::StreamOwned::new(session, stream))
}

/// A WebSocket.
pub(crate) struct Ws(WebSocket<Box<dyn Duplex>>);

impl Ws {
    pub(crate) fn open(addr: SocketAddr, path: &str) -> Self {
        Self::try_open(addr, path, None).unwrap()
    }

    /// The connection, or the status with which it was refused.
    pub(crate) fn try_open(addr: SocketAddr, path: &str, root: Option<&[u8]>) -> Result<Self, u16> {
        let request = format!("ws://{addr}{path}").into_client_request().unwrap();
        match tungstenite::client(request, dial(addr, root)) {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(HandshakeError::Failure(Error::Http(response))) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn send(&mut self, text: impl ToString) {
        self.0.send(Message::text(text.to_string())).unwrap();
    }

    pub(crate) fn ping(&mut self) {
        self.0.send(Message::Ping(Vec::new().into())).unwrap();
    }

    /// The next message; `None` when the venue closed.
    pub(crate) fn poll(&mut self) -> Option<Message> {
        match self.0.read() {
            Ok(message) => Some(message),
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
            {
                panic!("nothing came in time")
            }
            Err(_) => None,
        }
    }

    /// The next text.
    pub(crate) fn text(&mut self) -> String {
        loop {
            match self.poll().expect("the venue closed the connection") {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) fn json(&mut self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    pub(crate) fn ask(&mut self, text: impl ToString) -> Value {
        self.send(text);
        self.json()
    }

    /// Whether the venue closes before it says anything else.
    pub(crate) fn is_closed(&mut self) -> bool {
        loop {
            match self.poll() {
                None | Some(Message::Close(_)) => return true,
                Some(Message::Text(_)) => return false,
                Some(_) => {}
            }
        }
    }
}

/// One HTTP connection.
pub(crate) struct Http(Box<dyn Duplex>);

impl Http {
    pub(crate) fn open(addr: SocketAddr) -> Self {
        Self(dial(addr, None))
    }

    pub(crate) fn open_tls(addr: SocketAddr, root: &[u8]) -> Self {
        Self(dial(addr, Some(root)))
    }

    pub(crate) fn get(&mut self, target: &str, headers: &str) -> (u16, Value) {
        self.request("GET", target, headers, "")
    }

    /// One request on this connection, which stays open.
    pub(crate) fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
    ) -> (u16, Value) {
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(head.as_bytes()).unwrap();
        self.0.flush().unwrap();
        self.response()
    }

    pub(crate) fn response(&mut self) -> (u16, Value) {
        let mut bytes = Vec::new();
        loop {
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut response = httparse::Response::new(&mut headers);
            if let httparse::Status::Complete(head) = response.parse(&bytes).unwrap() {
                let length = response.headers.iter().find(|one| one.name == "Content-Length");
                let length = std::str::from_utf8(length.unwrap().value).unwrap();
                let whole = head + length.parse::<usize>().unwrap();
                let status = response.code.unwrap();
                if bytes.len() >= whole {
                    return (status, serde_json::from_slice(&bytes[head..whole]).unwrap());
                }
            }
            let mut chunk = [0; 4096];
            let count = self.0.read(&mut chunk).unwrap();
            assert!(count > 0, "the venue closed the connection");
            bytes.extend_from_slice(&chunk[..count]);
        }
    }
}
