//! HTTP/1.1 over a stream, one request at a time, whose calls never block.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use mio::{Interest, Registry, Token};
use reap_core::units::Nanos;
use thiserror::Error;

use super::error::Closed;
use super::http::{HttpError, HttpLimits, HttpResponse, HttpSession};
use super::stream::Stream;
use super::{Counters, Flushed, ReadState, TransportSettings};

/// Socket reads in one `read` before the owner gets a turn.
const READS_MAX: u32 = 64;

/// Why a request was not queued; nothing of it left our hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// One is in flight.
    #[error("a request is in flight: wait for its answer, or use another connection")]
    InFlight,
    /// The request is over the write buffer's bound.
    #[error("the request has {size} bytes, the bound write_buffer_max is {bound}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The bound.
        bound: usize,
    },
    /// The connection is over.
    #[error("{0}")]
    Closed(Closed),
}

/// An open HTTP connection; used like a WebSocket.
#[derive(Debug)]
pub struct HttpConnection {
    stream: Stream,
    session: HttpSession,
    /// The request; `sent` of its bytes have been taken by the stream.
    out: Vec<u8>,
    sent: usize,
    buffer: Vec<u8>,
    write_buffer_max: usize,
    closed: Option<Closed>,
}

impl HttpConnection {
    pub(super) fn new(stream: Stream, settings: &TransportSettings) -> Self {
        let limits = HttpLimits { body_max: settings.message_max, ..HttpLimits::default() };
        Self {
            stream,
            session: HttpSession::new(limits),
            out: Vec::with_capacity(4096),
            sent: 0,
            buffer: vec![0; settings.read_buffer.max(1)],
            write_buffer_max: settings.write_buffer_max,
            closed: None,
        }
    }

    /// Whether a request would be taken.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.closed.is_none() && self.session.is_idle()
    }

    /// Queues one whole request and writes what the socket takes.
    ///
    /// # Errors
    /// [`RequestError`]: nothing was queued, except that [`RequestError::Closed`] may also mean that
    /// the connection broke while it was written: its fate is then unknown if [`Counters::bytes_out`]
    /// moved.
    pub fn request(&mut self, bytes: &[u8]) -> Result<Flushed, RequestError> {
        if let Some(closed) = self.closed {
            return Err(RequestError::Closed(closed));
        }
        if !self.session.is_idle() {
            return Err(RequestError::InFlight);
        }
        if bytes.len() > self.write_buffer_max {
            let bound = self.write_buffer_max;
            return Err(RequestError::TooLarge { size: bytes.len(), bound });
        }
        self.session.on_request(bytes);
        self.out.clear();
        self.out.extend_from_slice(bytes);
        self.sent = 0;
        self.flush().map_err(RequestError::Closed)
    }

    /// Writes what is queued, as far as the socket takes it.
    ///
    /// # Errors
    /// [`Closed`]: the connection is over.
    pub fn flush(&mut self) -> Result<Flushed, Closed> {
        if let Some(closed) = self.closed {
            return Err(closed);
        }
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return Err(self.fail(Closed::Reset)),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flushed::Pending),
                Err(error) => return Err(self.broken(&error)),
            }
        }
        match self.stream.flush() {
            Ok(()) => Ok(Flushed::All),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Flushed::Pending),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// Hands over the answer when it is complete, and flushes.
    pub fn read(&mut self, _now: Nanos, on: &mut dyn FnMut(HttpResponse<'_>)) -> ReadState {
        if let Some(closed) = self.closed {
            return ReadState::Closed(closed);
        }
        // A server may answer and hang up before it has read everything: its answer comes first.
        let state = self.read_answers(on);
        if matches!(state, ReadState::Closed(_)) {
            return state;
        }
        if (self.sent < self.out.len() || self.stream.is_pending())
            && let Err(closed) = self.flush()
        {
            return ReadState::Closed(closed);
        }
        state
    }

    fn read_answers(&mut self, on: &mut dyn FnMut(HttpResponse<'_>)) -> ReadState {
        for _ in 0..READS_MAX {
            let count = match self.stream.read(&mut self.buffer) {
                Ok(0) => return ReadState::Closed(self.ended(on)),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return ReadState::Idle,
                Err(error) if error.kind() == ErrorKind::Interrupted => return ReadState::More,
                Err(error) => return ReadState::Closed(self.broken(&error)),
            };
            let mut at = 0;
            while at < count {
                match self.session.on_bytes(&self.buffer[at..count]) {
                    Ok(taken) => at += taken,
                    Err(error) => return ReadState::Closed(self.fail(Closed::Http(error))),
                }
                self.deliver(on);
            }
            if self.session.is_closing() && !self.session.is_waiting() {
                return ReadState::Closed(self.fail(Closed::Finished));
            }
        }
        ReadState::More
    }

    /// The clean end of the stream, which may be the end of an answer too.
    fn ended(&mut self, on: &mut dyn FnMut(HttpResponse<'_>)) -> Closed {
        let asked = self.session.is_waiting();
        match self.session.on_end() {
            Err(error) => self.fail(Closed::Http(error)),
            Ok(()) => {
                self.deliver(on);
                self.fail(if asked { Closed::Finished } else { Closed::Ended })
            }
        }
    }

    fn deliver(&mut self, on: &mut dyn FnMut(HttpResponse<'_>)) {
        if let Some(response) = self.session.poll_response() {
            self.stream.counters.messages += 1;
            on(response);
        }
    }

    /// Ends the connection. Drop it then.
    pub fn close(&mut self) {
        if self.closed.is_none() {
            self.stream.end();
            self.closed = Some(Closed::Ours { code: 1000 });
        }
    }

    /// Adds the connection to a poll, for reading and writing.
    ///
    /// # Errors
    /// What the poll says.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(self.stream.socket_mut(), token, interest)
    }

    /// Takes the connection out of a poll.
    ///
    /// # Errors
    /// What the poll says.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.stream.socket_mut())
    }

    /// The address connected to.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.stream.peer()
    }

    /// What has passed so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.stream.counters
    }

    fn broken(&mut self, error: &io::Error) -> Closed {
        let closed = match self.stream.fault() {
            Some(fault) => Closed::Tls(fault),
            // The end of TCP without the end of TLS: a body that ends with the stream may be cut.
            None if error.kind() == ErrorKind::UnexpectedEof && self.session.is_waiting() => {
                Closed::Http(HttpError::Cut)
            }
            None => Closed::from_io(error),
        };
        self.fail(closed)
    }

    fn fail(&mut self, closed: Closed) -> Closed {
        if closed == Closed::Finished {
            self.stream.end();
        }
        self.closed = Some(closed);
        closed
    }
}

impl AsFd for HttpConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.socket().as_fd()
    }
}
