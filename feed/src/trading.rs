//! Orders of one account at one venue, without sockets: what is to be sent comes out, what was
//! received goes in, time is an argument.
//!
//! A driver owns the sockets. It opens what [`Output::Open`] asks for and tells the outcome:
//! [`Trading::on_open`], or [`Trading::on_closed`] for an attempt that failed, for a connection
//! that was lost and after every [`Output::Close`]. After each call it takes all outputs and all
//! events.
//!
//! **What an event means.** [`Acked`](reap_core::order::OrderChange::Acked) is given once at most. A fill is given once per
//! trade, exact at the instrument's scales. A terminal event comes after all fills of its order:
//! when the venue says "cancelled, 3 executed" before the executions arrive, it is held until they
//! add up, and after [`FILLS_WAIT`] the executions are asked for. An order that is filled to the
//! last lot has no terminal event of its own. Nothing is invented: an order that the venue does not
//! know is reported as [`Standing::NotFound`], after [`NOT_FOUND_AFTER`] and not before, and the
//! caller decides; [`Trading::forget`] then frees its place.

use reap_core::instrument::{AccountId, Instrument, InstrumentId};
use reap_core::order::{ClientOrderId, Order, OrderEvent};
use reap_core::units::{Nanos, Qty};
use thiserror::Error;

use crate::venues::hosts::Host;

pub(crate) mod desk;
pub(crate) mod fills;
mod keys;
pub(crate) mod orders;
pub(crate) mod outbox;
pub(crate) mod requests;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod text;
pub(crate) mod verdict;
pub(crate) mod walk;

pub use keys::Keys;

/// How long a venue may take to answer an order before its fate counts as unknown.
pub const ANSWER_WAIT: Nanos = Nanos::from_secs(2);
/// How long an order that was taken may live without a word before it is asked for: it is
/// immediate or cancel.
pub const END_WAIT: Nanos = Nanos::from_secs(2);
/// How long a held terminal event waits for the stream's fills before they are asked for.
pub const FILLS_WAIT: Nanos = Nanos::from_millis(500);
/// How long after it was sent an order may still turn up at a venue that does not know it: "no such
/// order" is lag until then.
pub const NOT_FOUND_AFTER: Nanos = reap_core::limits::INGESTION_BOUND;
/// How long a venue may take to answer any other request.
pub const REQUEST_WAIT: Nanos = Nanos::from_secs(5);
/// Most live orders that can be asked for.
pub const LIVE_ORDERS_MAX: usize = 1024;

/// What is traded: an instrument as the venue calls it.
#[derive(Clone, Debug)]
pub struct TradingInstrument {
    /// Its id.
    pub id: InstrumentId,
    /// The venue's name for it, as it writes it in answers.
    pub symbol: String,
    /// Its scales and fees.
    pub instrument: Instrument,
}

/// What an account's trading needs to start.
#[derive(Debug)]
pub struct TradingSetup {
    /// Key and secret.
    pub keys: Keys,
    /// All instruments that may be traded.
    pub instruments: Vec<TradingInstrument>,
    /// The account, which every order must name.
    pub account: AccountId,
    /// Seed of the jitter in repetitions.
    pub seed: u64,
    /// Host (and port, when it is not 443) of HTTP requests.
    pub rest_host: String,
    /// How many orders may be live at once, `1 ..=` [`LIVE_ORDERS_MAX`].
    pub orders_max: usize,
}

/// Why trading cannot start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// A text that goes into requests has characters that would change them. Never shows keys.
    #[error("{field} is empty or has characters other than {allowed}: correct the configuration")]
    Text {
        /// Which one.
        field: &'static str,
        /// What it may consist of.
        allowed: &'static str,
    },
    /// A bound of the table of live orders that cannot be.
    #[error("orders_max is {value} and must be 1 to {LIVE_ORDERS_MAX}")]
    OrdersMax {
        /// The value.
        value: usize,
    },
    /// No instrument, or one twice.
    #[error("instrument {symbol:?} is configured twice: name each symbol and id once")]
    Twice {
        /// Its symbol.
        symbol: String,
    },
    /// Nothing to trade.
    #[error("instruments is empty: name at least one symbol to trade")]
    NoInstruments,
}

/// A connection: its index in [`Trading::channels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channel(pub u8);

/// How a channel talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// Text frames: [`Trading::on_message`].
    WebSocket,
    /// Whole requests, one at a time: [`Trading::on_response`].
    Http,
}

/// A connection that is kept open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelPlan {
    /// For logs.
    pub name: &'static str,
    /// Where to.
    pub host: Host,
    /// How.
    pub kind: ChannelKind,
}

/// What the driver is to do, in this order.
#[derive(Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// Connect this channel at this path; back-off is the driver's. Answered by `on_open`, or by
    /// `on_closed` when it failed, which asks again.
    Open {
        /// Which.
        ch: Channel,
        /// Path with query.
        path: &'a str,
    },
    /// Send one text frame, or one whole HTTP request: as it stands, it may be signed. May hold
    /// keys: not for logs.
    Send {
        /// Where.
        ch: Channel,
        /// What.
        text: &'a str,
    },
    /// Close this channel, then call `on_closed`.
    Close {
        /// Which.
        ch: Channel,
    },
}

/// Why nothing left our hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotSent {
    /// Not logged in, or the private stream does not stand: fills would not be seen.
    #[error("trading is not ready: wait for Ready")]
    NotReady,
    /// As many orders are live as the setup allows.
    #[error("{max} orders are live, which is orders_max: wait until one has ended or raise it")]
    TooMany {
        /// The bound.
        max: usize,
    },
    /// The order names an instrument that is not configured here.
    #[error("instrument {0} is not configured for this account")]
    Instrument(u16),
    /// The order names another account.
    #[error("the order is of account {0}, which is not this one")]
    Account(u8),
    /// An order of this id is live.
    #[error("an order of this id is live: its id may not be used again")]
    Twice,
    /// The order has no quantity.
    #[error("the order's quantity is 0 and must be at least one lot")]
    Empty,
    /// The same question is being asked.
    #[error("the positions are being asked for: wait for PositionsEnd or PositionsFailed")]
    Busy,
}

/// Why orders cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReadyReason {
    /// The orders' connection is gone.
    OrdersLost,
    /// The private stream is gone, or its key has expired: fills would not be seen.
    StreamLost,
}

/// Why the fate of an order is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownWhy {
    /// No answer within [`ANSWER_WAIT`].
    Timeout,
    /// The connection was lost after the order was handed out.
    ConnectionLost,
    /// The venue says that it does not know, or says something that we do not know.
    Code(i64),
    /// The venue says that an order of this id exists.
    Duplicate,
    /// The order has ended, and not all of its fills can be had.
    FillsMissing,
}

/// What a venue says of an order that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has no such order, although [`NOT_FOUND_AFTER`] has passed. Repeated by each query.
    NotFound,
    /// It may still trade.
    Live {
        /// Quantity executed so far, at the instrument's scale.
        executed: Qty,
    },
    /// It has ended; all of its fills and its terminal event were given.
    Done {
        /// Quantity executed.
        executed: Qty,
    },
}

/// What a venue refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedWhat {
    /// The key, its signature, its permissions or its addresses.
    Login,
    /// The key of the private stream.
    ListenKey,
    /// The subscription of the private stream.
    Subscription,
    /// Our clock: it is off by more than the receive window.
    Clock,
    /// The account is in hedge mode; one-way mode is needed.
    PositionMode,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradingEvent {
    /// What the venue said of an order.
    Order(OrderEvent),
    /// Orders may be sent.
    Ready,
    /// No orders may be sent. Everything unanswered is asked for once it is back.
    NotReady(NotReadyReason),
    /// The fate of an order is not known; it is queried until it is.
    Unknown {
        /// Which.
        id: ClientOrderId,
        /// Why.
        why: UnknownWhy,
    },
    /// Answer to [`Trading::query`], and [`Standing::NotFound`] after unknown orders.
    Standing {
        /// Which.
        id: ClientOrderId,
        /// What.
        standing: Standing,
    },
    /// One of the answers to [`Trading::query_positions`], for each configured instrument.
    Position {
        /// Which.
        instrument: InstrumentId,
        /// Signed, at the instrument's quantity scale.
        qty: i64,
    },
    /// All positions were given.
    PositionsEnd,
    /// The positions could not be read; none were given, which says nothing of them.
    PositionsFailed {
        /// The venue's code, or the HTTP status; 0 for a lost connection or an unreadable answer.
        code: i64,
    },
    /// An operator must act.
    Refused {
        /// What was refused.
        what: RefusedWhat,
        /// The venue's code.
        code: i64,
    },
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TradingCounters {
    /// Messages that are not the JSON they should be.
    pub malformed: u64,
    /// Messages of orders that are not in the table: other programs, other runs, or ended.
    pub foreign: u64,
    /// Messages that name one of our orders but another symbol, side or venue order.
    pub mismatched: u64,
    /// Fills whose price or quantity is not exact at the instrument's scales: not given.
    pub inexact: u64,
    /// Fills that were given before.
    pub duplicates: u64,
    /// Fees in another asset, or not exact, or unreadable: the configured rate was used.
    pub fees_estimated: u64,
    /// Messages that are of no interest here.
    pub ignored: u64,
    /// Answers to nothing that was asked.
    pub unasked: u64,
    /// Codes of refusals that no table names.
    pub new_codes: u64,
    /// Orders that ended with fewer executions than fills that were given.
    pub overfilled: u64,
}

/// Orders of one account at one venue.
pub trait Trading: Send {
    /// The connections that are kept.
    fn channels(&self) -> &[ChannelPlan];

    /// That channel is connected.
    fn on_open(&mut self, ch: Channel, now: Nanos, wall_ms: u64);

    /// A text frame came.
    fn on_message(&mut self, ch: Channel, now: Nanos, wall_ms: u64, raw: &[u8]);

    /// The answer to an HTTP request came.
    fn on_response(&mut self, ch: Channel, now: Nanos, wall_ms: u64, status: u16, body: &[u8]);

    /// That channel is gone, or could not be connected.
    fn on_closed(&mut self, ch: Channel, now: Nanos);

    /// Time has passed.
    fn on_timer(&mut self, now: Nanos, wall_ms: u64);

    /// When `on_timer` is to be called at the latest.
    fn next_timer(&self) -> Option<Nanos>;

    /// Queues an order.
    ///
    /// # Errors
    /// Nothing left our hands.
    fn place(&mut self, now: Nanos, wall_ms: u64, order: &Order) -> Result<(), NotSent>;

    /// Asks for an order by its id, whatever run it is of: answered by a [`Standing`], after the
    /// events that it brings to light. An order that is not in the table is taken up: all of its
    /// trades are given.
    ///
    /// # Errors
    /// The table is full, or the instrument is not configured.
    fn query(
        &mut self,
        now: Nanos,
        wall_ms: u64,
        id: ClientOrderId,
        instrument: InstrumentId,
    ) -> Result<(), NotSent>;

    /// Asks for the positions of all configured instruments.
    ///
    /// # Errors
    /// They are being asked for, or there is no connection to ask by.
    fn query_positions(&mut self, now: Nanos, wall_ms: u64) -> Result<(), NotSent>;

    /// Frees the place of an order that the caller has decided to be dead. What the venue says of
    /// it later is foreign.
    fn forget(&mut self, id: ClientOrderId);

    /// Logged in and subscribed: orders may be sent.
    fn is_ready(&self) -> bool;

    /// What was counted.
    fn counters(&self) -> TradingCounters;

    /// The next output; valid until the next call.
    fn poll_output(&mut self) -> Option<Output<'_>>;

    /// The next event.
    fn poll_event(&mut self) -> Option<TradingEvent>;
}
