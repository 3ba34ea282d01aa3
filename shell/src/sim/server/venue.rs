//! One venue without its sockets: a dialect over a desk, stepped by time.

use reap_core::order::OrderChange;
use reap_core::units::Nanos;

use super::desk::{ConnId, Desk, Out};
use super::http::Request;
use super::{SimKind, SimOptions, SimVenueConfig, binance, bybit};

/// Why a WebSocket handshake is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Refusal {
    pub(super) fn not_found() -> Self {
        Self { status: 404, body: r#"{"msg":"Not Found"}"#.to_owned() }
    }
}

/// A venue's way to speak.
pub(super) trait Dialect: Send {
    /// A WebSocket handshake at a path; the connection is open when this returns.
    fn on_open(&mut self, desk: &mut Desk, conn: ConnId, request: &Request) -> Result<(), Refusal>;
    /// A text message.
    fn on_text(&mut self, desk: &mut Desk, conn: ConnId, text: &str);
    /// A ping or pong frame.
    fn on_frame(&mut self, desk: &mut Desk, conn: ConnId, is_pong: bool);
    /// A REST request; answered once.
    fn on_request(&mut self, desk: &mut Desk, conn: ConnId, request: &Request);
    /// The connection is gone.
    fn on_closed(&mut self, conn: ConnId);
    /// A message of the feed.
    fn on_market(&mut self, desk: &mut Desk, raw: &str);
    /// The matching core decided something of an order; the desk has noted it.
    fn on_order(&mut self, desk: &mut Desk, number: u64, what: OrderChange);
    /// Whether a connection is a private stream.
    fn is_private(&self, conn: ConnId) -> bool;
    /// Time passed.
    fn on_timer(&mut self, desk: &mut Desk);
    /// When [`Self::on_timer`] is due.
    fn next_timer(&self, options: &SimOptions) -> Option<Nanos>;
}

/// See the module.
pub(super) struct Venue {
    pub(super) desk: Desk,
    dialect: Box<dyn Dialect>,
}

impl Venue {
    pub(super) fn new(config: SimVenueConfig, now: Nanos) -> Self {
        let dialect: Box<dyn Dialect> = match config.kind {
            SimKind::BinanceUsdm => Box::new(binance::Binance::default()),
            SimKind::Bybit => Box::new(bybit::Bybit::default()),
        };
        Self { desk: Desk::new(config, now), dialect }
    }

    /// A message of the feed, due at `at`. What the matching core decided before comes first.
    pub(super) fn on_market(&mut self, at: Nanos, raw: &[u8]) {
        self.advance(Nanos(at.0.saturating_sub(1)));
        self.desk.on_time(at);
        self.desk.counts.market += 1;
        match std::str::from_utf8(raw) {
            Ok(raw) => self.dialect.on_market(&mut self.desk, raw),
            Err(_) => self.desk.counts.unknown_market += 1,
        }
    }

    /// Everything that is due by `now` happens, each at its own time.
    pub(super) fn advance(&mut self, now: Nanos) {
        while let Some(due) = self.desk.next_matching().filter(|due| *due <= now) {
            self.desk.on_time(due);
            self.pump();
        }
        self.desk.on_time(now);
        if self.dialect.next_timer(&self.desk.options).is_some_and(|due| due <= self.desk.now()) {
            self.dialect.on_timer(&mut self.desk);
        }
    }

    pub(super) fn on_open(&mut self, conn: ConnId, request: &Request) -> Result<(), Refusal> {
        self.dialect.on_open(&mut self.desk, conn, request)
    }

    pub(super) fn on_text(&mut self, conn: ConnId, text: &str) {
        self.desk.counts.messages += 1;
        self.dialect.on_text(&mut self.desk, conn, text);
        self.pump();
    }

    pub(super) fn on_frame(&mut self, conn: ConnId, is_pong: bool) {
        self.dialect.on_frame(&mut self.desk, conn, is_pong);
    }

    pub(super) fn on_request(&mut self, conn: ConnId, request: &Request) {
        self.desk.counts.requests += 1;
        self.dialect.on_request(&mut self.desk, conn, request);
        self.pump();
    }

    pub(super) fn on_closed(&mut self, conn: ConnId) {
        self.dialect.on_closed(conn);
    }

    pub(super) fn is_private(&self, conn: ConnId) -> bool {
        self.dialect.is_private(conn)
    }

    pub(super) fn poll_out(&mut self) -> Option<(ConnId, Out)> {
        self.desk.poll_out()
    }

    pub(super) fn next_due(&self) -> Option<Nanos> {
        [self.desk.next_due(), self.dialect.next_timer(&self.desk.options)]
            .into_iter()
            .flatten()
            .min()
    }

    /// Passes on what the matching core says by now.
    fn pump(&mut self) {
        while let Some((number, what)) = self.desk.poll_matching() {
            self.dialect.on_order(&mut self.desk, number, what);
        }
    }
}
