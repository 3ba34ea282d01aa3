//! HTTP/1.1 as far as the venues' REST interfaces and WebSocket handshakes need it.

use httparse::Status;

/// The longest request head.
const HEAD_MAX: usize = 16 * 1024;
/// The longest body.
const BODY_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 64;

/// A whole request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// As it was sent.
    pub(super) query: String,
    pub(super) body: String,
    headers: Vec<(String, String)>,
    /// The client closes after this one, or speaks HTTP/1.0.
    pub(super) last: bool,
}

/// Why a request is not answered but cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadRequest {
    /// Not HTTP.
    Malformed,
    /// Head or body beyond the limits, or a body whose length is not stated.
    TooLarge,
}

impl Request {
    /// The first request in `input` with the bytes it takes; `None` while it is incomplete.
    pub(super) fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, BadRequest> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        let head = match parsed.parse(input) {
            Ok(Status::Complete(head)) if head <= HEAD_MAX => head,
            Ok(Status::Partial) if input.len() <= HEAD_MAX => return Ok(None),
            Ok(_) => return Err(BadRequest::TooLarge),
            Err(_) => return Err(BadRequest::Malformed),
        };
        let text = |bytes: &[u8]| {
            std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| BadRequest::Malformed)
        };
        let mut fields = Vec::with_capacity(parsed.headers.len());
        for header in parsed.headers.iter() {
            fields.push((header.name.to_ascii_lowercase(), text(header.value)?));
        }
        let target = parsed.path.ok_or(BadRequest::Malformed)?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self {
            method: parsed.method.ok_or(BadRequest::Malformed)?.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: String::new(),
            headers: fields,
            last: parsed.version == Some(0),
        };
        request.last |= request.has("connection", "close");
        if request.header("transfer-encoding").is_some() {
            return Err(BadRequest::TooLarge);
        }
        let length = match request.header("content-length") {
            None => 0,
            Some(length) => length.parse::<usize>().map_err(|_| BadRequest::Malformed)?,
        };
        if length > BODY_MAX {
            return Err(BadRequest::TooLarge);
        }
        let Some(body) = input.get(head..head + length) else { return Ok(None) };
        request.body = text(body)?;
        Ok(Some((request, head + length)))
    }

    /// A header by its lower-case name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a header's list of words holds one, in any case.
    fn has(&self, name: &str, word: &str) -> bool {
        self.header(name).is_some_and(|list| {
            list.split([',', ' ']).any(|one| one.trim().eq_ignore_ascii_case(word))
        })
    }

    /// The key of a WebSocket handshake; `None` when this is none.
    pub(super) fn websocket_key(&self) -> Option<&str> {
        let is_handshake = self.method == "GET"
            && self.has("connection", "upgrade")
            && self.has("upgrade", "websocket")
            && self.header("sec-websocket-version") == Some("13");
        self.header("sec-websocket-key").filter(|key| is_handshake && key.len() == 24)
    }
}

/// A whole response with a JSON body.
pub(super) fn response(status: u16, body: &str, last: bool) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        413 => "Payload Too Large",
        _ => "Error",
    };
    let connection = if last { "close" } else { "keep-alive" };
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The answer to a WebSocket handshake.
pub(super) fn switching(accept: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
    .into_bytes()
}

/// The pairs of a query or form, decoded; in the order in which they were sent.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                digit(*high).zip(digit(*low)).map(|(high, low)| (high << 4 | low) as u8)
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_the_same_at_every_split() {
        let raw =
            b"POST /a/b?x=1&y=a%2Fb HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbodyGET / HTTP";
        let whole = raw.len() - "GET / HTTP".len();
        for end in 0..raw.len() {
            let parsed = Request::parse(&raw[..end]).unwrap();
            assert_eq!(parsed.is_some(), end >= whole, "{end}");
            let Some((request, taken)) = parsed else { continue };
            assert_eq!((request.path.as_str(), request.body.as_str()), ("/a/b", "body"));
            assert_eq!(taken, whole);
            let pairs: Vec<_> = pairs(&request.query).collect();
            assert_eq!(pairs[1], ("y".to_owned(), "a/b".to_owned()));
        }
    }

    #[test]
    fn what_is_no_request_or_too_large_is_refused() {
        let refused = |raw: &[u8]| Request::parse(raw).unwrap_err();
        assert_eq!(refused(b"\x16\x03\x01\x02\x00"), BadRequest::Malformed);
        assert_eq!(
            refused(b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"),
            BadRequest::TooLarge
        );
        assert_eq!(refused(b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), BadRequest::Malformed);
        assert_eq!(
            refused(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            BadRequest::TooLarge
        );
        let endless = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &[b'x'; HEAD_MAX]].concat();
        assert_eq!(refused(&endless), BadRequest::TooLarge);
        assert_eq!(decode("%zz%4"), "%zz%4");
    }
}
