//! A WebSocket whose calls never block.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use mio::{Interest, Registry, Token};
use reap_core::units::Nanos;
use tungstenite::error::CapacityError;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Bytes, Error, Message, Utf8Bytes, WebSocket};

use super::error::{Closed, ProtocolFault};
use super::frames::{FrameFault, FrameFollower};
use super::stream::Stream;
use super::{Counters, Flushed, Incoming, ReadState, TransportSettings};

/// A pong and a close frame must fit, whatever was configured.
const WRITE_BUFFER_MIN: usize = 1024;

/// Bytes that weigh as much as one more message in a budget.
const BYTES_PER_MESSAGE: usize = 4096;

/// The code of a close frame that has none (RFC 6455, 7.1.5).
const NO_CODE: u16 = 1005;

/// An open WebSocket; the module's head says how to use it.
#[derive(Debug)]
pub struct WsConnection {
    socket: WebSocket<Followed>,
    /// Once set, every call says it.
    closed: Option<Closed>,
    /// Frames may wait for the socket.
    pending: bool,
    pings_per_read: u32,
    fragments_max: u32,
    fragments_time: Nanos,
    write_buffer_max: usize,
}

impl WsConnection {
    /// After the upgrade; `early` are the bytes that came with its answer.
    pub(super) fn new(stream: Stream, early: Vec<u8>, settings: &TransportSettings) -> Self {
        let write_buffer_max = settings.write_buffer_max.max(WRITE_BUFFER_MIN);
        let config = WebSocketConfig::default()
            .read_buffer_size(settings.read_buffer.max(1))
            .write_buffer_size(0)
            .max_write_buffer_size(write_buffer_max)
            .max_message_size(Some(settings.message_max))
            .max_frame_size(Some(settings.frame_max));
        let follower = FrameFollower::new(settings.fragments_max);
        let followed = Followed { stream, early, taken: 0, follower, now: Nanos(0), fault: None };
        Self {
            socket: WebSocket::from_raw_socket(followed, Role::Client, Some(config)),
            closed: None,
            pending: false,
            pings_per_read: settings.pings_per_read.max(1),
            fragments_max: settings.fragments_max,
            fragments_time: settings.fragments_time,
            write_buffer_max,
        }
    }

    /// Hands over what has come, at most `budget` messages (at least one), and flushes. A message of
    /// more than four kilobytes counts as several: a venue that sends long ones does not keep the
    /// others waiting.
    ///
    /// A connection on which nothing came costs one `recv`. After [`ReadState::More`] call again.
    pub fn read(
        &mut self,
        now: Nanos,
        budget: usize,
        on: &mut dyn FnMut(Incoming<'_>),
    ) -> ReadState {
        if let Some(closed) = self.closed {
            return ReadState::Closed(closed);
        }
        self.socket.get_mut().now = now;
        let state = match self.read_messages(budget.max(1), on) {
            ReadState::Closed(closed) => return ReadState::Closed(self.fail(closed)),
            state => state,
        };
        if (self.pending || self.socket.get_ref().stream.is_pending())
            && let Err(closed) = self.flush()
        {
            return ReadState::Closed(closed);
        }
        let since = self.socket.get_ref().follower.since();
        if state == ReadState::Idle
            && since.is_some_and(|since| now.since(since) > self.fragments_time)
        {
            return ReadState::Closed(self.fail(Closed::Slow { bound: self.fragments_time }));
        }
        state
    }

    fn read_messages(&mut self, budget: usize, on: &mut dyn FnMut(Incoming<'_>)) -> ReadState {
        let (mut left, mut pings) = (budget, self.pings_per_read);
        while left > 0 && pings > 0 {
            // Each message is dropped before the next is read: the library's buffer is used again.
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    left = left.saturating_sub(1 + text.len() / BYTES_PER_MESSAGE);
                    self.counters_mut().messages += 1;
                    on(Incoming::Text(text.as_ref()));
                }
                Ok(Message::Binary(bytes)) => {
                    left = left.saturating_sub(1 + bytes.len() / BYTES_PER_MESSAGE);
                    self.counters_mut().messages += 1;
                    on(Incoming::Binary(&bytes));
                }
                Ok(Message::Ping(_)) => {
                    pings -= 1;
                    self.pending = true; // the pong, which the library has queued
                    self.counters_mut().pings += 1;
                    on(Incoming::Ping);
                }
                Ok(Message::Pong(_)) => {
                    left -= 1;
                    self.counters_mut().pongs += 1;
                    on(Incoming::Pong);
                }
                Ok(Message::Close(frame)) => {
                    let code = frame.map_or(NO_CODE, |frame| u16::from(frame.code));
                    return ReadState::Closed(Closed::Peer { code });
                }
                Ok(Message::Frame(_)) => {
                    return ReadState::Closed(Closed::Protocol(ProtocolFault::Other));
                }
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    return ReadState::Idle;
                }
                Err(Error::Io(error)) if error.kind() == ErrorKind::Interrupted => {
                    return ReadState::More;
                }
                Err(error) => return ReadState::Closed(self.cause(error)),
            }
        }
        ReadState::More
    }

    /// Queues a text message and writes what the socket takes.
    ///
    /// # Errors
    /// [`Closed`]: the connection is over. Whether the peer got the message is then unknown, unless
    /// it is [`Closed::Backlog`]: then it never left.
    pub fn send(&mut self, text: Utf8Bytes) -> Result<Flushed, Closed> {
        self.write(Message::Text(text))
    }

    /// Queues an empty ping and writes what the socket takes.
    ///
    /// # Errors
    /// [`Closed`]: the connection is over.
    pub fn ping(&mut self) -> Result<Flushed, Closed> {
        self.write(Message::Ping(Bytes::new()))
    }

    fn write(&mut self, message: Message) -> Result<Flushed, Closed> {
        self.check_open()?;
        match self.socket.write(message) {
            Ok(()) => self.flush(),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                self.pending = true; // queued by the library: sending it again would double it
                Ok(Flushed::Pending)
            }
            Err(error) => {
                let closed = self.cause(error);
                Err(self.fail(closed))
            }
        }
    }

    /// Writes what is queued, as far as the socket takes it.
    ///
    /// # Errors
    /// [`Closed`]: the connection is over.
    pub fn flush(&mut self) -> Result<Flushed, Closed> {
        self.check_open()?;
        // A pong that found the library's buffer full is put back and still there after a flush that
        // emptied the buffer: the second one, which costs nothing otherwise, takes it along.
        let flushed = match self.socket.flush() {
            Ok(()) if self.pending => self.socket.flush(),
            flushed => flushed,
        };
        match flushed {
            Ok(()) => {
                self.pending = false;
                Ok(Flushed::All)
            }
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                self.pending = true;
                Ok(Flushed::Pending)
            }
            Err(error) => {
                let closed = self.cause(error);
                Err(self.fail(closed))
            }
        }
    }

    /// Says goodbye with this code, as far as that goes without blocking. Drop the connection then.
    pub fn close(&mut self, code: u16) {
        if self.closed.is_none() {
            self.goodbye(code);
            self.closed = Some(Closed::Ours { code });
        }
    }

    /// Adds the connection to a poll, for reading and writing.
    ///
    /// # Errors
    /// What the poll says.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let socket = self.socket.get_mut().stream.socket_mut();
        registry.register(socket, token, Interest::READABLE | Interest::WRITABLE)
    }

    /// Takes the connection out of a poll.
    ///
    /// # Errors
    /// What the poll says.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.socket.get_mut().stream.socket_mut())
    }

    /// The address connected to.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.socket.get_ref().stream.peer()
    }

    /// What has passed so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.socket.get_ref().stream.counters
    }

    /// Why the connection is over, once it is.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.closed
    }

    fn counters_mut(&mut self) -> &mut Counters {
        &mut self.socket.get_mut().stream.counters
    }

    fn check_open(&self) -> Result<(), Closed> {
        self.closed.map_or(Ok(()), Err)
    }

    /// Remembers the end, having told the peer where the protocol has a code for it.
    fn fail(&mut self, closed: Closed) -> Closed {
        match closed {
            Closed::Protocol(_) => self.goodbye(1002),
            Closed::Utf8 => self.goodbye(1007),
            Closed::Fragments { .. } | Closed::Slow { .. } => self.goodbye(1008),
            Closed::TooLarge { .. } => self.goodbye(1009),
            Closed::Peer { .. } => {
                let _ = self.socket.flush(); // the answer to its close frame
                self.socket.get_mut().stream.end();
            }
            _ => {}
        }
        self.closed = Some(closed);
        closed
    }

    fn goodbye(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::default() };
        let _ = self.socket.close(Some(frame));
        self.socket.get_mut().stream.end();
    }

    fn cause(&self, error: Error) -> Closed {
        let followed = self.socket.get_ref();
        match error {
            Error::Io(_) if followed.fault == Some(FrameFault::Fragments) => {
                Closed::Fragments { bound: self.fragments_max }
            }
            Error::Io(error) => match followed.stream.fault() {
                Some(fault) => Closed::Tls(fault),
                None => Closed::from_io(&error),
            },
            Error::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                Closed::TooLarge { size, bound: max_size }
            }
            Error::Utf8(_) => Closed::Utf8,
            Error::WriteBufferFull(_) => Closed::Backlog { bound: self.write_buffer_max },
            Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)
            | Error::ConnectionClosed
            | Error::AlreadyClosed => Closed::Ended,
            Error::Protocol(error) => Closed::Protocol(ProtocolFault::from(&error)),
            _ => Closed::Protocol(ProtocolFault::Other),
        }
    }
}

impl AsFd for WsConnection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().stream.socket().as_fd()
    }
}

/// The stream under the library, with a follower on what is read.
#[derive(Debug)]
struct Followed {
    stream: Stream,
    /// Bytes that came with the upgrade's answer.
    early: Vec<u8>,
    /// How many of those were read.
    taken: usize,
    follower: FrameFollower,
    /// The owner's time of this read.
    now: Nanos,
    /// Told after the bytes before it were read.
    fault: Option<FrameFault>,
}

impl Read for Followed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.fault.is_some() {
            return Err(ErrorKind::InvalidData.into());
        }
        let count = if self.taken < self.early.len() {
            let count = (&self.early[self.taken..]).read(buffer)?;
            self.taken += count;
            count
        } else {
            self.stream.read(buffer)?
        };
        match self.follower.follow(&buffer[..count], self.now, &mut self.stream.counters) {
            Ok(()) => Ok(count),
            Err((before, fault)) => {
                self.fault = Some(fault);
                if before > 0 { Ok(before) } else { Err(ErrorKind::InvalidData.into()) }
            }
        }
    }
}

impl Write for Followed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
