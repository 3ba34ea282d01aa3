//! Orders to venues: the accounts' trading state machines on their sockets.
//!
//! Protocol times (answers, heartbeats, back-off) are real time, also where a simulated market runs
//! faster; only what venues are told is the market's wall clock.

use std::sync::Arc;

use reap_core::instrument::{AccountId, Instrument, InstrumentId, VenueId};
use reap_core::log::NotSentWhy;
use reap_core::order::{Ask, HoldingRead, Order, OrderChange, OrderEvent};
use reap_core::position::PositionSpec;
use reap_core::units::Nanos;
use reap_feed::session::{Backoff, Jitter};
use reap_feed::trading::{
    Channel, ChannelKind, NotReadyReason, NotSent, Output, RefusedWhat, Standing, Trading,
    TradingEvent,
};
use reap_feed::transport::{HttpConnection, Incoming, ReadState, Utf8Bytes, WsConnection};

use super::patience::patience;
use super::{Gateway, GatewayEvent, TableReader};
use crate::clock::{LiveClock, WallClock};
use crate::live::connector::{ConnectRequest, Connected, ConnectorPort, Kind, Target};

/// Messages of one connection at a time: the others are read between.
const MESSAGES: usize = 64;
/// Tokens of an account's channels.
const CHANNELS: usize = 8;
const BACKOFF_FIRST: Nanos = Nanos::from_millis(250);
const BACKOFF_MAX: Nanos = Nanos::from_secs(30);
/// A connection that lived for this long ends the back-off's growth.
const STABLE: Nanos = Nanos::from_secs(60);
/// The same for HTTP: servers hang up on those that ask for nothing, after a few seconds already.
const STABLE_HTTP: Nanos = Nanos::from_secs(4);
/// A message that never ends is noticed by reading, and raises no event.
const READ_ALL_EVERY: Nanos = Nanos::from_secs(1);
/// Pause after holdings that could not be read.
const ASK_AGAIN: Nanos = Nanos::from_millis(500);
/// Between the end of a read of an account's holdings and the next.
const READ_EVERY: Nanos = Nanos::from_secs(5);
/// RFC 6455: the purpose is fulfilled.
const NORMAL_CLOSE: u16 = 1000;

/// An account at a venue.
pub struct VenueAccount {
    /// The venue.
    pub venue: VenueId,
    /// The account.
    pub account: AccountId,
    /// For people: venue and account.
    pub name: String,
    /// Its trading.
    pub trading: Box<dyn Trading>,
    /// Where each of its channels connects to.
    pub targets: Vec<Arc<Target>>,
}

enum Connection {
    WebSocket(Box<WsConnection>),
    Http(Box<HttpConnection>),
}

struct Wire {
    target: Arc<Target>,
    kind: ChannelKind,
    connection: Option<Connection>,
    /// There may be something to read.
    ready: bool,
    /// Number of the newest wish for a connection; results of older ones are dropped.
    wish: u32,
    /// The path to connect at.
    path: Arc<str>,
    /// When to connect; real time.
    connect_at: Option<Nanos>,
    backoff: Backoff,
    /// When it was opened, while it is open; real time.
    opened: Option<Nanos>,
    /// It is gone and its trading has not been told yet.
    gone: bool,
}

impl Wire {
    fn new(target: &Arc<Target>, kind: ChannelKind) -> Self {
        Self {
            target: Arc::clone(target),
            kind,
            connection: None,
            ready: false,
            wish: 0,
            path: Arc::from("/"),
            connect_at: None,
            backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_MAX),
            opened: None,
            gone: false,
        }
    }

    /// The connection ends, whoever ended it. A venue that accepts and hangs up is not connected to
    /// without a pause; one that has served is.
    fn end(&mut self, real: Nanos) {
        let stable = match self.kind {
            ChannelKind::WebSocket => STABLE,
            ChannelKind::Http => STABLE_HTTP,
        };
        if self.opened.take().is_some_and(|opened| real.since(opened) > stable) {
            self.backoff.reset();
        }
        self.connection = None;
        self.gone = true;
    }
}

/// Whether an account was asked what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    No,
    Yes,
    Answered,
}

struct Desk {
    of: VenueAccount,
    wires: Vec<Wire>,
    asked: Asked,
    /// Connecting failed and that was said; not again before it is ready.
    said: bool,
    /// Not before this time is it asked again; real time.
    ask_at: Nanos,
    /// When the newest question left; the executor's time.
    asked_at: Nanos,
    /// The executor waits for what it holds.
    wanted: bool,
}

/// See the module.
pub struct Venues {
    desks: Vec<Desk>,
    instruments: Vec<Instrument>,
    connector: ConnectorPort,
    registry: mio::Registry,
    clock: LiveClock,
    wall: WallClock,
    jitter: Jitter,
    /// Why connecting failed.
    news: Vec<Box<str>>,
    /// Venues that want to be left alone, and for how long.
    limited: Vec<(VenueId, Nanos)>,
    read_all_at: Nanos,
    /// What accounts hold is asked for again and again.
    keeps_reading: bool,
}

impl Venues {
    /// A gateway to these accounts.
    #[must_use]
    pub fn new(
        accounts: Vec<VenueAccount>,
        instruments: &[Instrument],
        connector: ConnectorPort,
        registry: mio::Registry,
        clock: LiveClock,
        wall: WallClock,
    ) -> Self {
        let desk = |of: VenueAccount| {
            let plans = of.trading.channels();
            let wires = of.targets.iter().zip(plans);
            let wires = wires.map(|(target, plan)| Wire::new(target, plan.kind)).collect();
            Desk {
                wires,
                of,
                asked: Asked::No,
                said: false,
                ask_at: Nanos(0),
                asked_at: Nanos(0),
                wanted: false,
            }
        };
        Self {
            desks: accounts.into_iter().map(desk).collect(),
            instruments: instruments.to_vec(),
            connector,
            registry,
            clock,
            wall,
            jitter: Jitter::new(0x7265_6170),
            news: Vec::new(),
            limited: Vec::new(),
            read_all_at: Nanos(0),
            keeps_reading: false,
        }
    }

    /// Reads what accounts hold every few seconds, for rules that look at it.
    #[must_use]
    pub const fn reading(mut self, reads: bool) -> Self {
        self.keeps_reading = reads;
        self
    }

    fn real(&self) -> Nanos {
        Nanos(self.clock.real())
    }

    /// Asks every account that has not been asked what it holds, as soon as it can be asked.
    pub fn ask_positions(&mut self) {
        self.ask_those(|_| true);
    }

    fn ask_those(&mut self, which: impl Fn(&Desk) -> bool) {
        let (real, wall) = (self.real(), self.wall.millis());
        for at in 0..self.desks.len() {
            let desk = &mut self.desks[at];
            let is_due = desk.asked == Asked::No && desk.ask_at <= real;
            if !is_due || !which(desk) {
                continue;
            }
            if desk.of.trading.query_positions(real, wall).is_err() {
                desk.ask_at = real.plus(ASK_AGAIN);
            } else {
                desk.asked = Asked::Yes;
                desk.asked_at = self.clock.at(real.0);
                self.carry_out(at, real);
            }
        }
    }

    /// The desk of an order.
    fn desk_of(&self, instrument: InstrumentId, account: AccountId) -> Option<usize> {
        let venue = self.instruments.get(usize::from(instrument.0))?.spec().venue;
        self.desks.iter().position(|desk| desk.of.venue == venue && desk.of.account == account)
    }

    fn take_results(&mut self, real: Nanos) -> usize {
        let mut work = 0;
        while let Some(result) = self.connector.poll() {
            work += 1;
            let (token, wish) = ((result.key >> 32) as usize, result.key as u32);
            let Some(desk) = self.desks.get_mut(token / CHANNELS) else { continue };
            let Some(wire) = desk.wires.get_mut(token % CHANNELS) else { continue };
            if wire.wish != wish {
                continue;
            }
            let ch = Channel((token % CHANNELS) as u8);
            match result.connected {
                Ok(connected) => {
                    let (registered, connection) = match connected {
                        Connected::WebSocket(mut one) => {
                            let done = one.register(&self.registry, mio::Token(token));
                            (done, Connection::WebSocket(one))
                        }
                        Connected::Http(mut one) => {
                            let done = one.register(&self.registry, mio::Token(token));
                            (done, Connection::Http(one))
                        }
                    };
                    if registered.is_err() {
                        wire.gone = true;
                        continue;
                    }
                    wire.connection = Some(connection);
                    // What came with the handshake is no event of the socket.
                    wire.ready = true;
                    wire.opened = Some(real);
                    desk.of.trading.on_open(ch, real, self.wall.millis());
                }
                Err(failure) => {
                    if !std::mem::replace(&mut desk.said, true) {
                        let text = format!("{}: {}; trying again", desk.of.name, failure.why);
                        self.news.push(text.into_boxed_str());
                    }
                    if let Some(wait) = failure.retry_after {
                        wire.connect_at = Some(real.plus(wait));
                    }
                    desk.of.trading.on_closed(ch, real);
                }
            }
        }
        work
    }

    /// Reads what has come and tells the state machines; returns how much that was.
    fn read(&mut self, real: Nanos) -> usize {
        let wall = self.wall.millis();
        let mut work = 0;
        let limited = &mut self.limited;
        for Desk { of, wires, .. } in &mut self.desks {
            let venue = of.venue;
            for (at, wire) in wires.iter_mut().enumerate() {
                let ch = Channel(at as u8);
                if std::mem::take(&mut wire.ready)
                    && let Some(connection) = &mut wire.connection
                {
                    let trading = &mut of.trading;
                    let state = match connection {
                        Connection::WebSocket(one) => one.read(real, MESSAGES, &mut |incoming| {
                            if let Incoming::Text(raw) | Incoming::Binary(raw) = incoming {
                                work += 1;
                                trading.on_message(ch, real, wall, raw);
                            }
                        }),
                        Connection::Http(one) => one.read(real, &mut |response| {
                            work += 1;
                            if let Some(wait) = patience(response.status, response.retry_after) {
                                limited.push((venue, wait));
                            }
                            trading.on_response(ch, real, wall, response.status, response.body);
                        }),
                    };
                    match state {
                        ReadState::Idle => {}
                        ReadState::More => wire.ready = true,
                        ReadState::Closed(_) => wire.end(real),
                    }
                }
                if std::mem::take(&mut wire.gone) {
                    work += 1;
                    of.trading.on_closed(ch, real);
                }
            }
            if of.trading.next_timer().is_some_and(|due| due <= real) {
                work += 1;
                of.trading.on_timer(real, wall);
            }
        }
        work
    }

    /// Does what a state machine wants done.
    fn carry_out(&mut self, at: usize, real: Nanos) {
        let Desk { of, wires, .. } = &mut self.desks[at];
        while let Some(output) = of.trading.poll_output() {
            match output {
                Output::Open { ch, path } => {
                    let wire = &mut wires[usize::from(ch.0)];
                    if *wire.path != *path {
                        wire.path = Arc::from(path);
                    }
                    wire.wish = wire.wish.wrapping_add(1);
                    // A wish for patience of the venue itself stands.
                    let first = wire.backoff.waits() == 0;
                    let wait = wire.backoff.next(&mut self.jitter);
                    let at = if first { real } else { real.plus(wait) };
                    wire.connect_at = Some(wire.connect_at.map_or(at, |asked| asked.max(at)));
                }
                Output::Send { ch, text } => {
                    let wire = &mut wires[usize::from(ch.0)];
                    let sent = match &mut wire.connection {
                        Some(Connection::WebSocket(one)) => one.send(Utf8Bytes::from(text)).is_ok(),
                        Some(Connection::Http(one)) => one.request(text.as_bytes()).is_ok(),
                        None => false,
                    };
                    if !sent {
                        wire.end(real);
                    }
                }
                Output::Close { ch } => {
                    let wire = &mut wires[usize::from(ch.0)];
                    wire.wish = wire.wish.wrapping_add(1);
                    close(wire);
                    wire.end(real);
                }
            }
        }
        for (ch, wire) in wires.iter_mut().enumerate() {
            if wire.connect_at.is_none_or(|due| due > real) {
                continue;
            }
            wire.connect_at = None;
            let kind = match wire.kind {
                ChannelKind::Http => Kind::Http,
                ChannelKind::WebSocket => Kind::WebSocket,
            };
            let key = ((at * CHANNELS + ch) as u64) << 32 | u64::from(wire.wish);
            let request = ConnectRequest {
                key,
                target: Arc::clone(&wire.target),
                kind,
                path: Arc::clone(&wire.path),
            };
            if !self.connector.request(request) {
                wire.gone = true;
            }
        }
    }

    fn take_events(&mut self, real: Nanos, out: &mut Vec<GatewayEvent>) {
        for desk in &mut self.desks {
            let name = &desk.of.name;
            while let Some(event) = desk.of.trading.poll_event() {
                let text = match event {
                    TradingEvent::Order(event) => {
                        out.push(GatewayEvent::Order(event));
                        continue;
                    }
                    TradingEvent::Ready => {
                        desk.said = false;
                        format!("{name}: ready for orders")
                    }
                    TradingEvent::NotReady(NotReadyReason::OrdersLost) => {
                        format!(
                            "{name}: no orders can be sent, the connection is lost; connecting again"
                        )
                    }
                    TradingEvent::NotReady(NotReadyReason::StreamLost) => format!(
                        "{name}: no orders are sent, the private stream is lost and fills would not \
                         be seen; connecting again"
                    ),
                    TradingEvent::Unknown { id, why } => {
                        out.push(GatewayEvent::Order(OrderEvent {
                            id,
                            what: OrderChange::Doubted,
                        }));
                        format!("{name}: the fate of {id} is not known ({why:?}); asking the venue")
                    }
                    TradingEvent::Standing { id, standing: Standing::NotFound } => {
                        let what = OrderChange::NotFound;
                        out.push(GatewayEvent::Order(OrderEvent { id, what }));
                        format!(
                            "{name}: the venue does not know {id}, which may have been lost on its \
                             way; nothing more is sent for its quantity before that is certain"
                        )
                    }
                    TradingEvent::Standing { id, standing } => {
                        format!("{name}: the venue says of {id}: {standing:?}")
                    }
                    TradingEvent::Refused { what, code } => {
                        format!("{name}: {} (code {code})", refusal(what))
                    }
                    TradingEvent::Position { instrument, qty } => {
                        let (account, asked) = (desk.of.account, desk.asked_at);
                        let read = HoldingRead { account, instrument, qty, asked };
                        out.push(GatewayEvent::Position(read));
                        continue;
                    }
                    TradingEvent::PositionsEnd => {
                        desk.asked = if self.keeps_reading { Asked::No } else { Asked::Answered };
                        desk.ask_at = real.plus(READ_EVERY);
                        desk.wanted = false;
                        out.push(GatewayEvent::PositionsEnd { account: desk.of.account });
                        continue;
                    }
                    TradingEvent::PositionsFailed { code } => {
                        desk.asked = Asked::No;
                        desk.ask_at = real.plus(ASK_AGAIN);
                        format!("{name}: what it holds cannot be read (code {code}); asking again")
                    }
                };
                let alarming = matches!(
                    event,
                    TradingEvent::Unknown { .. }
                        | TradingEvent::Standing { standing: Standing::NotFound, .. }
                        | TradingEvent::Refused { .. }
                );
                let text = text.into_boxed_str();
                out.push(if alarming {
                    GatewayEvent::Alarm(text)
                } else {
                    GatewayEvent::News(text)
                });
            }
        }
        out.extend(self.news.drain(..).map(GatewayEvent::News));
        let rate = u64::from(self.clock.rate());
        let limited = self.limited.drain(..);
        out.extend(limited.map(|(venue, wait)| {
            let wait = Nanos(wait.0.saturating_mul(rate));
            GatewayEvent::Limited { venue, wait }
        }));
    }
}

/// What was refused and what an operator can do.
const fn refusal(what: RefusedWhat) -> &'static str {
    match what {
        RefusedWhat::Login => {
            "the venue refuses the key: check key, secret, permissions and the addresses it allows"
        }
        RefusedWhat::ListenKey => {
            "the venue gives no key for the private stream: check the key's permissions"
        }
        RefusedWhat::Subscription => "the venue refuses the private stream",
        RefusedWhat::Clock => {
            "the venue refuses our clock: synchronise this machine's time (reap doctor)"
        }
        RefusedWhat::PositionMode => "the account is in hedge mode: set it to one-way mode",
    }
}

fn close(wire: &mut Wire) {
    match wire.connection.take() {
        Some(Connection::WebSocket(mut one)) => one.close(NORMAL_CLOSE),
        Some(Connection::Http(mut one)) => one.close(),
        None => {}
    }
}

impl Gateway for Venues {
    fn on_opened(&mut self, _: &PositionSpec) {}

    fn send(&mut self, _: Nanos, order: &Order) -> Result<(), NotSentWhy> {
        let at = self.desk_of(order.instrument, order.account).ok_or(NotSentWhy::Unencodable)?;
        let (real, wall) = (self.real(), self.wall.millis());
        let placed = self.desks[at].of.trading.place(real, wall, order);
        placed.map_err(|error| match error {
            NotSent::NotReady => NotSentWhy::NotReady,
            NotSent::TooMany { .. } | NotSent::Busy => NotSentWhy::Busy,
            _ => NotSentWhy::Unencodable,
        })?;
        self.carry_out(at, real);
        Ok(())
    }

    fn ask(&mut self, _: Nanos, ask: &Ask) {
        let (Ask::Order { account, instrument, .. }
        | Ask::Holding { account, instrument }
        | Ask::Forget { account, instrument, .. }) = *ask;
        let Some(at) = self.desk_of(instrument, account) else { return };
        let (real, wall) = (self.real(), self.wall.millis());
        let desk = &mut self.desks[at];
        match *ask {
            // What is not asked now for want of room or of a connection is asked again.
            Ask::Order { id, .. } => drop(desk.of.trading.query(real, wall, id, instrument)),
            // An answer that is under way was asked for too early.
            Ask::Holding { .. } if desk.asked == Asked::Yes => {}
            Ask::Holding { .. } => {
                (desk.asked, desk.wanted) = (Asked::No, true);
                desk.ask_at = desk.ask_at.min(real);
            }
            Ask::Forget { id, .. } => desk.of.trading.forget(id),
        }
        self.carry_out(at, real);
    }

    fn on_ready(&mut self, token: mio::Token) {
        let desk = self.desks.get_mut(token.0 / CHANNELS);
        if let Some(wire) = desk.and_then(|desk| desk.wires.get_mut(token.0 % CHANNELS)) {
            wire.ready = true;
        }
    }

    fn poll(&mut self, _: Nanos, _: &TableReader, out: &mut Vec<GatewayEvent>) -> usize {
        let real = self.real();
        if real.since(self.read_all_at) > READ_ALL_EVERY {
            self.read_all_at = real;
            self.desks.iter_mut().flat_map(|desk| &mut desk.wires).for_each(|w| w.ready = true);
        }
        let mut work = self.take_results(real);
        work += self.read(real);
        for at in 0..self.desks.len() {
            self.carry_out(at, real);
        }
        self.take_events(real, out);
        let keeps_reading = self.keeps_reading;
        self.ask_those(|desk| keeps_reading || desk.wanted);
        work
    }

    fn next_timer(&self) -> Option<Nanos> {
        let tradings = self.desks.iter().filter_map(|desk| desk.of.trading.next_timer());
        let connects =
            self.desks.iter().flat_map(|desk| &desk.wires).filter_map(|wire| wire.connect_at);
        let asks = self
            .desks
            .iter()
            .filter(|desk| self.keeps_reading || desk.wanted)
            .filter(|desk| desk.asked == Asked::No && desk.ask_at > Nanos(0));
        // In real time here; the engine's time is asked for.
        tradings
            .chain(connects)
            .chain(asks.map(|desk| desk.ask_at))
            .min()
            .map(|due| self.clock.at(due.0))
    }

    fn has_sockets(&self) -> bool {
        true
    }

    fn has_next(&self) -> bool {
        let waits = |wire: &Wire| wire.ready && wire.connection.is_some() || wire.gone;
        self.connector.has_next() || self.desks.iter().flat_map(|desk| &desk.wires).any(waits)
    }

    fn is_ready(&self) -> bool {
        self.desks.iter().all(|desk| desk.of.trading.is_ready())
    }

    fn stop(&mut self) {
        self.desks.iter_mut().flat_map(|desk| &mut desk.wires).for_each(close);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reap_feed::endpoint::Endpoint;
    use reap_feed::transport::{TransportSettings, Trust};

    fn wire(kind: ChannelKind) -> Wire {
        let endpoint = Endpoint { secure: false, host: "localhost".into(), port: 1 };
        let (trust, settings) = (Trust::webpki(), TransportSettings::default());
        Wire::new(&Arc::new(Target { endpoint, trust, settings }), kind)
    }

    #[test]
    fn f26_a_connection_that_served_ends_the_back_off_whoever_ends_it() {
        let mut jitter = Jitter::new(1);
        for (kind, brief, long) in [(ChannelKind::WebSocket, 59, 61), (ChannelKind::Http, 3, 5)] {
            let mut wire = wire(kind);
            let mut waits = Vec::new();
            for lived in [brief, brief, long, brief] {
                wire.backoff.next(&mut jitter);
                wire.opened = Some(Nanos::from_secs(100));
                wire.end(Nanos::from_secs(100 + lived));
                waits.push(wire.backoff.waits());
                assert!(std::mem::take(&mut wire.gone));
                // It ends once: a later word of the same end changes nothing.
                wire.end(Nanos::from_secs(1_000));
                assert_eq!(wire.backoff.waits(), *waits.last().expect("just pushed"));
            }
            assert_eq!(waits, [1, 2, 0, 1], "{kind:?}");
        }
    }
}
