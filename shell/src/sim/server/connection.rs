//! One connection: plain or TLS by its first byte, HTTP first, perhaps a WebSocket afterwards.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::TcpStream;
use rustls::{ServerConnection, StreamOwned};
use tungstenite::error::Error as WsError;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use super::SimTls;
use super::desk::Out;
use super::http::{self, BadRequest, Request};

/// Bytes that one connection may give the venue to read before it is another's turn.
const TURN_BYTES: usize = 64 * 1024;
/// Frames of one connection in one turn.
const TURN_FRAMES: usize = 64;
const MESSAGE_MAX: usize = 64 * 1024;
/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// The client left, or asked to.
    Left,
    /// What it sent is no HTTP, no WebSocket, or too much.
    Hostile,
    /// It does not read.
    Slow,
}

/// What a connection received.
#[derive(Debug)]
pub(super) enum Received {
    Request(Request),
    Text(String),
    Ping,
    Pong,
}

/// A connection.
pub(super) struct Connection {
    link: Link,
    tls: Option<SimTls>,
    output_max: usize,
    /// Something was written that may still have to be flushed.
    pub(super) is_dirty: bool,
    /// More can be read without a further event.
    pub(super) is_hot: bool,
    /// Since when, in real time, a request or a response has been under way; `None` between them
    /// and for WebSockets.
    pub(super) busy_since: Option<u64>,
    /// When it was last between two requests, in real time.
    pub(super) idle_since: u64,
}

enum Link {
    /// Nothing has come yet.
    New(TcpStream),
    Http(Box<Http>),
    Ws(Box<WebSocket<Stream>>),
    Closed,
}

struct Http {
    stream: Stream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// A request was handed out and is not yet answered.
    waits: bool,
    /// Closes when the output is written.
    last: bool,
    /// The key of a handshake that is not yet answered.
    key: Option<String>,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, tls: Option<SimTls>, output_max: usize, now: u64) -> Self {
        Self {
            link: Link::New(stream),
            tls,
            output_max,
            is_dirty: false,
            is_hot: false,
            busy_since: Some(now),
            idle_since: now,
        }
    }

    pub(super) const fn is_websocket(&self) -> bool {
        matches!(self.link, Link::Ws(_))
    }

    /// Reads what is there, within the bounds of a turn.
    pub(super) fn read(&mut self, now: u64, into: &mut Vec<Received>) -> Result<(), Gone> {
        self.is_hot = false;
        if matches!(self.link, Link::New(_)) {
            self.sniff()?;
        }
        match &mut self.link {
            Link::New(_) => Ok(()),
            Link::Closed => Err(Gone::Left),
            Link::Http(http) => {
                let read = http.read();
                self.is_hot = http.stream.is_exhausted();
                read?;
                if !http.waits && http.output.is_empty() {
                    if let Some(request) = http.next_request()? {
                        into.push(Received::Request(request));
                    }
                    let is_busy = http.waits || !http.input.is_empty();
                    self.busy_since = is_busy.then(|| self.busy_since.unwrap_or(now));
                }
                Ok(())
            }
            Link::Ws(socket) => {
                socket.get_mut().turn();
                let read = read_frames(socket, into);
                // Pongs are written by reading; they leave with the flush.
                self.is_dirty = true;
                self.is_hot = matches!(read, Ok(true)) || socket.get_ref().is_exhausted();
                read.map(|_| ())
            }
        }
    }

    /// Whether it is TLS is told by the first byte.
    fn sniff(&mut self) -> Result<(), Gone> {
        let Link::New(stream) = &self.link else { return Ok(()) };
        let mut first = [0];
        match stream.peek(&mut first) {
            Ok(0) => return Err(Gone::Left),
            Ok(_) => {}
            Err(error) if is_waiting(&error) => return Ok(()),
            Err(_) => return Err(Gone::Left),
        }
        let Link::New(stream) = std::mem::replace(&mut self.link, Link::Closed) else {
            return Ok(());
        };
        let inner = match &self.tls {
            Some(tls) if first[0] == TLS_HANDSHAKE => {
                let session =
                    ServerConnection::new(tls.config.clone()).map_err(|_| Gone::Hostile)?;
                Inner::Tls(Box::new(StreamOwned::new(session, stream)))
            }
            _ => Inner::Plain(stream),
        };
        let stream = Stream { inner, budget: TURN_BYTES };
        self.link = Link::Http(Box::new(Http {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            waits: false,
            last: false,
            key: None,
        }));
        Ok(())
    }

    /// Writes something, or as much of it as goes.
    pub(super) fn write(&mut self, out: Out) -> Result<(), Gone> {
        self.is_dirty = true;
        match (&mut self.link, out) {
            (Link::Ws(socket), Out::Text(text)) => write_frame(socket, Message::text(text)),
            (Link::Ws(socket), Out::Ping) => write_frame(socket, Message::Ping(Vec::new().into())),
            (Link::Http(http), Out::Response { status, body }) => {
                http.output.extend(http::response(status, &body, http.last));
                http.waits = false;
                Ok(())
            }
            (_, Out::Close) => Err(Gone::Left),
            // The connection became something else since; that message has no reader any more.
            (_, Out::Text(_) | Out::Ping | Out::Response { .. }) => Ok(()),
        }
    }

    /// Completes a WebSocket handshake.
    pub(super) fn upgrade(&mut self) -> Result<(), Gone> {
        let Link::Http(mut http) = std::mem::replace(&mut self.link, Link::Closed) else {
            return Err(Gone::Hostile);
        };
        let key = http.key.take().ok_or(Gone::Hostile)?;
        let answer = http::switching(&derive_accept_key(key.as_bytes()));
        // Nothing is queued before the first answer, and this one fits every socket's buffer.
        http.stream
            .write_all(&answer)
            .and_then(|()| http.stream.flush())
            .map_err(|_| Gone::Slow)?;
        let config = WebSocketConfig::default()
            .read_buffer_size(8 * 1024)
            .write_buffer_size(8 * 1024)
            .max_write_buffer_size(self.output_max.max(16 * 1024))
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        let socket =
            WebSocket::from_partially_read(http.stream, http.input, Role::Server, Some(config));
        self.link = Link::Ws(Box::new(socket));
        self.busy_since = None;
        self.is_hot = true;
        Ok(())
    }

    /// Writes what waits. A request that waited behind the response makes the connection hot.
    pub(super) fn flush(&mut self, now: u64) -> Result<(), Gone> {
        match &mut self.link {
            Link::New(_) | Link::Closed => Ok(()),
            Link::Http(http) => {
                if http.flush()? && !http.waits {
                    if http.last {
                        return Err(Gone::Left);
                    }
                    if self.is_dirty {
                        self.idle_since = now;
                        self.busy_since = (!http.input.is_empty()).then_some(now);
                        self.is_hot |= !http.input.is_empty();
                    }
                    self.is_dirty = false;
                }
                Ok(())
            }
            Link::Ws(socket) => match socket.flush() {
                Ok(()) => {
                    self.is_dirty = false;
                    Ok(())
                }
                Err(error) => frame_error(&error),
            },
        }
    }

    pub(super) fn source(&mut self) -> Option<&mut TcpStream> {
        match &mut self.link {
            Link::New(stream) => Some(stream),
            Link::Http(http) => Some(http.stream.tcp()),
            Link::Ws(socket) => Some(socket.get_mut().tcp()),
            Link::Closed => None,
        }
    }
}

impl Http {
    fn read(&mut self) -> Result<(), Gone> {
        self.stream.turn();
        let mut chunk = [0; 8 * 1024];
        // One request beyond the one under way is more than a client without pipelining needs.
        while self.input.len() < 2 * TURN_BYTES {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(Gone::Left),
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(error) if is_waiting(&error) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::InvalidData => return Err(Gone::Hostile),
                Err(_) => return Err(Gone::Left),
            }
        }
        Err(Gone::Hostile)
    }

    fn next_request(&mut self) -> Result<Option<Request>, Gone> {
        match Request::parse(&self.input) {
            Ok(None) => Ok(None),
            Ok(Some((request, taken))) => {
                self.input.drain(..taken);
                self.waits = true;
                self.last = request.last;
                self.key = request.websocket_key().map(str::to_owned);
                Ok(Some(request))
            }
            Err(bad) => {
                let status = if bad == BadRequest::TooLarge { 413 } else { 400 };
                // As well as it goes: the connection ends either way.
                let _ = self.stream.write_all(&http::response(status, "{}", true));
                let _ = self.stream.flush();
                Err(Gone::Hostile)
            }
        }
    }

    /// Whether everything is written.
    fn flush(&mut self) -> Result<bool, Gone> {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return Err(Gone::Left),
                Ok(count) => drop(self.output.drain(..count)),
                Err(error) if is_waiting(&error) => return Ok(false),
                Err(_) => return Err(Gone::Left),
            }
        }
        match self.stream.flush() {
            Ok(()) => Ok(true),
            Err(error) if is_waiting(&error) => Ok(false),
            Err(_) => Err(Gone::Left),
        }
    }
}

/// Whether more frames may be there.
fn read_frames(socket: &mut WebSocket<Stream>, into: &mut Vec<Received>) -> Result<bool, Gone> {
    for _ in 0..TURN_FRAMES {
        match socket.read() {
            Ok(Message::Text(text)) => into.push(Received::Text(text.as_str().to_owned())),
            Ok(Message::Ping(_)) => into.push(Received::Ping),
            Ok(Message::Pong(_)) => into.push(Received::Pong),
            Ok(Message::Binary(_)) => return Err(Gone::Hostile),
            Ok(Message::Close(_) | Message::Frame(_)) => {}
            Err(WsError::Io(error)) if is_waiting(&error) => return Ok(false),
            Err(error) => return frame_error(&error).map(|()| false),
        }
    }
    Ok(true)
}

fn write_frame(socket: &mut WebSocket<Stream>, message: Message) -> Result<(), Gone> {
    match socket.write(message) {
        Ok(()) => Ok(()),
        Err(error) => frame_error(&error),
    }
}

fn frame_error(error: &WsError) -> Result<(), Gone> {
    match error {
        WsError::Io(error) if is_waiting(error) => Ok(()),
        WsError::Io(error) if error.kind() == ErrorKind::InvalidData => Err(Gone::Hostile),
        WsError::Io(_) | WsError::ConnectionClosed | WsError::AlreadyClosed => Err(Gone::Left),
        // The client vanished without a closing handshake.
        WsError::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)
        | WsError::Protocol(tungstenite::error::ProtocolError::SendAfterClosing) => Err(Gone::Left),
        WsError::WriteBufferFull(_) => Err(Gone::Slow),
        _ => Err(Gone::Hostile),
    }
}

fn is_waiting(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// A socket whose reading ends after a budget, as if there were nothing more: what reads from it
/// cannot be kept busy for ever by one client.
struct Stream {
    inner: Inner,
    budget: usize,
}

enum Inner {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Stream {
    const fn turn(&mut self) {
        self.budget = TURN_BYTES;
    }

    const fn is_exhausted(&self) -> bool {
        self.budget == 0
    }

    fn tcp(&mut self) -> &mut TcpStream {
        match &mut self.inner {
            Inner::Plain(stream) => stream,
            Inner::Tls(stream) => &mut stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.budget == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = match &mut self.inner {
            Inner::Plain(stream) => stream.read(into)?,
            Inner::Tls(stream) => stream.read(into)?,
        };
        self.budget = self.budget.saturating_sub(count);
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        match &mut self.inner {
            Inner::Plain(stream) => stream.write(from),
            Inner::Tls(stream) => stream.write(from),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.inner {
            Inner::Plain(stream) => stream.flush(),
            Inner::Tls(stream) => stream.flush(),
        }
    }
}
