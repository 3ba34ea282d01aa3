//! Sockets: WebSocket and HTTP/1.1 over TCP or TLS, for one thread, without blocking.
//!
//! ```text
//! cold thread: connect_ws / connect_http ── resolve ─ connect ─ TLS ─ upgrade ──▶ connection
//! hot thread:  register ─▶ loop { read(now, budget, on) · send/request · flush } ─▶ Closed ─▶ drop
//! ```
//!
//! The owner's loop, in full:
//! 1. `register` with its poll, then `read` once: bytes that came with the handshake raise no event.
//! 2. `read` whenever the poll reports the token, and again while it says [`ReadState::More`].
//!    Events are edges: after [`ReadState::Idle`] the next byte raises one, before it none may come.
//!    A thread that spins needs no poll: `read` on an idle connection is one system call (the `recv`
//!    that would block; under TLS the decrypted bytes are asked for first, without a call).
//! 3. `flush` whenever [`Flushed::Pending`] was said and the poll reports writable; every `read`
//!    flushes too. A message that was accepted is queued: it is never sent a second time.
//! 4. `read` at least every second even without an event: the cap on the time a message may take
//!    is only seen there.
//! 5. On [`Closed`], drop the connection. Every later call says the same `Closed` again.
//!
//! Invariants: knows no venue; reads no clock (deadlines of the cold part are kernel timers,
//! `now` is an argument elsewhere); certificates are always verified, there is no switch;
//! whatever the peer sends, memory is bounded by [`TransportSettings`].

mod connect;
mod error;
mod frames;
mod http;
mod http_connection;
mod stream;
mod trust;
mod upgrade;
mod ws;

use std::time::Duration;

use reap_core::units::Nanos;

pub use connect::{connect_http, connect_http_at, connect_ws, connect_ws_at};
pub use error::{Closed, ConnectError, ProtocolFault, Stage, TlsFault, UpgradeFault};
pub use frames::{FrameFault, FrameFollower};
pub use http::{HttpError, HttpLimits, HttpResponse, HttpSession};
pub use http_connection::{HttpConnection, RequestError};
pub use trust::{Trust, TrustError};
pub use tungstenite::Utf8Bytes;
pub use ws::WsConnection;

/// Bounds of a connection; every one of them holds against a hostile peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportSettings {
    /// Largest payload of one frame, bytes.
    pub frame_max: usize,
    /// Largest message, all its fragments together, bytes; also the largest HTTP body.
    pub message_max: usize,
    /// Most fragments of one message.
    pub fragments_max: u32,
    /// Longest time from a message's first byte to its last, control frames between included.
    pub fragments_time: Nanos,
    /// Most bytes that wait for a peer that does not read; beyond it the connection is closed.
    pub write_buffer_max: usize,
    /// Bytes asked of the socket at once. Small: the library zeroes it before every read.
    pub read_buffer: usize,
    /// Longest wait for name resolution, and for each address to accept.
    pub connect_timeout: Duration,
    /// Longest time for TLS and the upgrade together, per address.
    pub handshake_timeout: Duration,
    /// `TCP_USER_TIMEOUT`: how long sent bytes may stay unacknowledged before the kernel gives up.
    pub user_timeout: Duration,
    /// `SO_BUSY_POLL` in microseconds; needs `CAP_NET_ADMIN`, and connecting fails without it.
    pub busy_poll_us: Option<u32>,
    /// Pings answered in one `read` before it returns [`ReadState::More`].
    pub pings_per_read: u32,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            frame_max: 64 * 1024,
            message_max: 256 * 1024,
            fragments_max: 256,
            fragments_time: Nanos::from_secs(5),
            write_buffer_max: 256 * 1024,
            read_buffer: 8 * 1024,
            connect_timeout: Duration::from_secs(5),
            handshake_timeout: Duration::from_secs(5),
            user_timeout: Duration::from_secs(10),
            busy_poll_us: None,
            pings_per_read: 8,
        }
    }
}

/// What a WebSocket brought; borrowed until the callback returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming<'m> {
    /// A text message; its bytes are valid UTF-8.
    Text(&'m [u8]),
    /// A binary message.
    Binary(&'m [u8]),
    /// A ping; its pong is on its way.
    Ping,
    /// A pong.
    Pong,
}

/// How a `read` ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadState {
    /// Nothing is left, in the socket or in TLS: wait for the next event.
    Idle,
    /// The budget was used up; there may be more, and no event will say so: read again.
    More,
    /// The connection is over: drop it.
    Closed(Closed),
}

/// Whether everything written has left for the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// Yes.
    All,
    /// Queued here: call `flush` when the socket is writable. Never send it again.
    Pending,
}

/// What passed through a connection since it was opened; the owner reads it without a lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages handed to the owner: text and binary, or HTTP answers.
    pub messages: u64,
    /// WebSocket frames received.
    pub frames: u64,
    /// Frames that were part of a fragmented message.
    pub fragments: u64,
    /// Pings received.
    pub pings: u64,
    /// Pongs received.
    pub pongs: u64,
    /// Bytes received from the socket, TLS included.
    pub bytes_in: u64,
    /// Bytes the socket took, TLS included.
    pub bytes_out: u64,
    /// Writes the socket took in part or not at all.
    pub partial_writes: u64,
}
