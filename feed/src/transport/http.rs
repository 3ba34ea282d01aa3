//! The client's half of HTTP/1.1 without a socket: bytes in, answers out.
//!
//! One request at a time. Whatever two readers of the same bytes might read differently is refused:
//! both or several lengths, unknown transfer codings, bare line feeds, folded headers.

use reap_core::units::Nanos;
use thiserror::Error;

/// Interim answers before the real one.
const INTERIM_MAX: u32 = 8;
const HEADERS_MAX: usize = 96;
/// A chunk's size line, with extensions.
const CHUNK_LINE_MAX: usize = 256;

/// Bounds of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Status line and headers together, bytes; trailers again as much.
    pub head_max: usize,
    /// Body, bytes.
    pub body_max: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self { head_max: 16 * 1024, body_max: 256 * 1024 }
    }
}

/// One whole answer; borrowed until the session's next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpResponse<'b> {
    /// The status; redirects are told, never followed.
    pub status: u16,
    /// `Retry-After` in seconds; a date there counts as none.
    pub retry_after: Option<Nanos>,
    /// The body, its chunks joined.
    pub body: &'b [u8],
}

/// How an answer broke the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HttpError {
    /// Not a head of HTTP/1.
    #[error("the answer is no valid HTTP/1.1")]
    Head,
    /// The head's bound.
    #[error("the answer's headers are longer than {0} bytes")]
    HeadTooLarge(usize),
    /// The body's bound.
    #[error("the answer's body is longer than {0} bytes")]
    BodyTooLarge(usize),
    /// Content-Length missing digits, told twice, or beside a transfer coding.
    #[error("the answer's length is ambiguous")]
    Length,
    /// A transfer or content coding that was not asked for.
    #[error("the answer is encoded in a way that was not asked for")]
    Encoding,
    /// A malformed chunk.
    #[error("the answer's chunks are malformed")]
    Chunk,
    /// 101, or interim answers without end.
    #[error("the answer is not final, or switches protocols")]
    Interim,
    /// Bytes while nothing was asked.
    #[error("the server sent bytes that no request asked for")]
    Unasked,
    /// The stream ended within an answer, or before it.
    #[error(
        "the stream ended before the answer was complete: its fate is unknown, query before asking again"
    )]
    Cut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No request is in flight.
    Idle,
    Head,
    /// Bytes left of a body whose length is known.
    Length(usize),
    ChunkSize,
    /// Bytes left of a chunk.
    Chunk(usize),
    ChunkEnd,
    Trailers,
    UntilEnd,
    /// The answer is complete and was not taken.
    Ready,
    Failed(HttpError),
}

/// The parser of one connection's answers.
#[derive(Debug)]
pub struct HttpSession {
    limits: HttpLimits,
    state: State,
    /// The request was a HEAD: its answer has no body.
    bodiless: bool,
    interim: u32,
    /// The current head, chunk line or trailer; kept for its capacity.
    line: Vec<u8>,
    trailer_bytes: usize,
    body: Vec<u8>,
    status: u16,
    retry_after: Option<Nanos>,
    closing: bool,
}

impl HttpSession {
    /// A session on a fresh connection.
    #[must_use]
    pub fn new(limits: HttpLimits) -> Self {
        Self {
            limits,
            state: State::Idle,
            bodiless: false,
            interim: 0,
            line: Vec::with_capacity(1024),
            trailer_bytes: 0,
            body: Vec::with_capacity(4096),
            status: 0,
            retry_after: None,
            closing: false,
        }
    }

    /// Whether a request may be sent: none is in flight and the server keeps the connection.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle && !self.closing
    }

    /// Whether an answer is due.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !matches!(self.state, State::Idle | State::Failed(_))
    }

    /// Whether the server ends the connection after the answer.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// A request is on its way; call only when [`Self::is_idle`].
    pub fn on_request(&mut self, request: &[u8]) {
        self.bodiless = request.starts_with(b"HEAD ");
        self.state = State::Head;
        self.interim = 0;
        self.line.clear();
        self.body.clear();
    }

    /// Takes bytes until an answer is complete; says how many were taken. The rest is offered again
    /// after [`Self::poll_response`].
    ///
    /// # Errors
    /// [`HttpError`]; every later call says the same.
    pub fn on_bytes(&mut self, bytes: &[u8]) -> Result<usize, HttpError> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Ready {
            match self.step(&bytes[at..]) {
                Ok(taken) => at += taken,
                Err(error) => {
                    self.state = State::Failed(error);
                    return Err(error);
                }
            }
        }
        Ok(at)
    }

    /// The stream is over.
    ///
    /// # Errors
    /// [`HttpError::Cut`] when an answer was expected and is not complete.
    pub fn on_end(&mut self) -> Result<(), HttpError> {
        self.closing = true;
        match self.state {
            State::Idle | State::Ready => Ok(()),
            State::UntilEnd => {
                self.state = State::Ready;
                Ok(())
            }
            State::Failed(error) => Err(error),
            _ => {
                self.state = State::Failed(HttpError::Cut);
                Err(HttpError::Cut)
            }
        }
    }

    /// The complete answer, once.
    pub fn poll_response(&mut self) -> Option<HttpResponse<'_>> {
        if self.state != State::Ready {
            return None;
        }
        self.state = State::Idle;
        Some(HttpResponse { status: self.status, retry_after: self.retry_after, body: &self.body })
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, HttpError> {
        match self.state {
            State::Idle => Err(HttpError::Unasked),
            State::Head => {
                let taken = take_head(&mut self.line, bytes, self.limits.head_max)
                    .ok_or(HttpError::HeadTooLarge(self.limits.head_max))?;
                if self.line.ends_with(b"\r\n\r\n") {
                    self.on_head()?;
                }
                Ok(taken)
            }
            State::Length(left) => {
                let taken = self.take_body(left, bytes)?;
                self.state = if taken == left { State::Ready } else { State::Length(left - taken) };
                Ok(taken)
            }
            State::Chunk(left) => {
                let taken = self.take_body(left, bytes)?;
                self.state =
                    if taken == left { State::ChunkEnd } else { State::Chunk(left - taken) };
                if taken == left {
                    self.line.clear();
                }
                Ok(taken)
            }
            State::ChunkEnd => {
                let expected = if self.line.is_empty() { b'\r' } else { b'\n' };
                if bytes[0] != expected {
                    return Err(HttpError::Chunk);
                }
                if expected == b'\r' {
                    self.line.push(b'\r');
                } else {
                    self.line.clear();
                    self.state = State::ChunkSize;
                }
                Ok(1)
            }
            State::ChunkSize => {
                let taken =
                    take_line(&mut self.line, bytes, CHUNK_LINE_MAX).ok_or(HttpError::Chunk)?;
                if self.line.ends_with(b"\n") {
                    self.on_chunk_size()?;
                }
                Ok(taken)
            }
            State::Trailers => {
                let taken = take_line(&mut self.line, bytes, self.limits.head_max)
                    .ok_or(HttpError::HeadTooLarge(self.limits.head_max))?;
                self.trailer_bytes += taken;
                if self.trailer_bytes > self.limits.head_max {
                    return Err(HttpError::HeadTooLarge(self.limits.head_max));
                }
                if self.line.ends_with(b"\n") {
                    match self.line.as_slice() {
                        b"\r\n" => self.state = State::Ready,
                        line if line.ends_with(b"\r\n") => self.line.clear(),
                        _ => return Err(HttpError::Chunk),
                    }
                }
                Ok(taken)
            }
            State::UntilEnd => self.take_body(usize::MAX, bytes),
            State::Ready => Ok(0),
            State::Failed(error) => Err(error),
        }
    }

    fn take_body(&mut self, left: usize, bytes: &[u8]) -> Result<usize, HttpError> {
        let taken = left.min(bytes.len());
        if taken > self.limits.body_max - self.body.len() {
            return Err(HttpError::BodyTooLarge(self.limits.body_max));
        }
        self.body.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn on_chunk_size(&mut self) -> Result<(), HttpError> {
        let line = self.line.strip_suffix(b"\r\n").ok_or(HttpError::Chunk)?;
        let digits = line.split(|byte| matches!(byte, b';' | b' ' | b'\t')).next();
        let digits = digits.unwrap_or_default();
        if digits.is_empty() || digits.len() > 8 {
            return Err(HttpError::Chunk);
        }
        let mut size = 0;
        for byte in digits {
            let digit = char::from(*byte).to_digit(16).ok_or(HttpError::Chunk)?;
            size = size << 4 | digit as usize;
        }
        if size > self.limits.body_max - self.body.len() {
            return Err(HttpError::BodyTooLarge(self.limits.body_max)); // before it is read
        }
        self.line.clear();
        self.trailer_bytes = 0;
        self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
        Ok(())
    }

    fn on_head(&mut self) -> Result<(), HttpError> {
        let head = Head::parse(&self.line)?;
        self.status = head.status;
        self.retry_after = head.retry_after;
        if head.status == 101 {
            return Err(HttpError::Interim);
        }
        if head.status < 200 {
            self.interim += 1;
            self.line.clear();
            return if self.interim > INTERIM_MAX { Err(HttpError::Interim) } else { Ok(()) };
        }
        self.closing |= head.closing;
        self.state = if self.bodiless || matches!(head.status, 204 | 304) {
            State::Ready
        } else {
            match (head.chunked, head.length) {
                (true, _) => State::ChunkSize,
                (false, Some(0)) => State::Ready,
                (false, Some(length)) if length > self.limits.body_max as u64 => {
                    return Err(HttpError::BodyTooLarge(self.limits.body_max));
                }
                (false, Some(length)) => State::Length(length as usize),
                (false, None) => {
                    self.closing = true;
                    State::UntilEnd
                }
            }
        };
        self.line.clear();
        Ok(())
    }
}

/// What of a head matters here.
struct Head {
    status: u16,
    retry_after: Option<Nanos>,
    length: Option<u64>,
    chunked: bool,
    closing: bool,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, HttpError> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(bytes) {
            // Shorter than what we found: a bare line feed ended it for one reader and not the other.
            Ok(httparse::Status::Complete(size)) if size == bytes.len() => {}
            _ => return Err(HttpError::Head),
        }
        let (status, version) = (parsed.code.unwrap_or(0), parsed.version.unwrap_or(0));
        if !(100..600).contains(&status) {
            return Err(HttpError::Head);
        }
        let mut head =
            Self { status, retry_after: None, length: None, chunked: false, closing: version == 0 };
        for header in parsed.headers.iter() {
            head.on_header(header.name, header.value.trim_ascii())?;
        }
        if head.chunked && (head.length.is_some() || version == 0) {
            return Err(HttpError::Length);
        }
        Ok(head)
    }

    fn on_header(&mut self, name: &str, value: &[u8]) -> Result<(), HttpError> {
        if name.eq_ignore_ascii_case("content-length") {
            if self.length.is_some() {
                return Err(HttpError::Length);
            }
            self.length = Some(decimal(value).ok_or(HttpError::Length)?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(HttpError::Encoding);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case("content-encoding") {
            if !value.eq_ignore_ascii_case(b"identity") {
                return Err(HttpError::Encoding);
            }
        } else if name.eq_ignore_ascii_case("connection") {
            self.closing |= has_token(value, b"close");
        } else if name.eq_ignore_ascii_case("retry-after") {
            self.retry_after = seconds(value);
        }
        Ok(())
    }
}

/// Appends to `head` up to and with the empty line; the bytes taken, or `None` beyond `max`.
pub(super) fn take_head(head: &mut Vec<u8>, bytes: &[u8], max: usize) -> Option<usize> {
    let before = head.len();
    let part = &bytes[..bytes.len().min(max.saturating_sub(before) + 1)];
    head.extend_from_slice(part);
    let from = before.saturating_sub(3);
    if let Some(at) = memchr::memmem::find(&head[from..], b"\r\n\r\n") {
        head.truncate(from + at + 4);
    }
    (head.len() <= max).then(|| head.len() - before)
}

/// Appends to `line` up to and with the line feed; the bytes taken, or `None` beyond `max`.
fn take_line(line: &mut Vec<u8>, bytes: &[u8], max: usize) -> Option<usize> {
    let taken = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1);
    if line.len() + taken > max {
        return None;
    }
    line.extend_from_slice(&bytes[..taken]);
    Some(taken)
}

/// Whether a comma-separated header has this token.
pub(super) fn has_token(value: &[u8], token: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// `Retry-After` as a span. The other form, a date, needs a wall clock and counts as none.
pub(super) fn seconds(value: &[u8]) -> Option<Nanos> {
    decimal(value).map(|secs| Nanos(secs.saturating_mul(1_000_000_000)))
}

fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0')))
}
