//! The WebSocket upgrade without a socket: a request out, an answer's head in.
//!
//! Not the library's own: that one refuses answers that come in many small segments, hides the bytes
//! behind the head, and accepts extensions nobody offered.

use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::error::{ConnectError, UpgradeFault};
use super::http::{has_token, seconds, take_head};
use crate::endpoint::Endpoint;

const HEAD_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 96;

/// An upgrade under way.
#[derive(Debug)]
pub(super) struct Upgrade {
    accept: String,
    head: Vec<u8>,
}

impl Upgrade {
    /// The upgrade and the request that starts it.
    pub(super) fn new(endpoint: &Endpoint, path: &str) -> Result<(Self, Vec<u8>), ConnectError> {
        if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ConnectError::Path { path: path.to_owned() });
        }
        let key = generate_key();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\nUser-Agent: reap\r\n\r\n",
            endpoint.authority()
        );
        let upgrade = Self { accept: derive_accept_key(key.as_bytes()), head: Vec::new() };
        Ok((upgrade, request.into_bytes()))
    }

    /// Takes bytes; when the head is complete and right, says how many of them belong to it.
    pub(super) fn on_bytes(&mut self, bytes: &[u8]) -> Result<Option<usize>, ConnectError> {
        let Some(taken) = take_head(&mut self.head, bytes, HEAD_MAX) else {
            return Err(ConnectError::Upgrade(UpgradeFault::TooLarge(HEAD_MAX)));
        };
        let begin = b"HTTP/1.1 ";
        let seen = self.head.len().min(begin.len());
        if self.head[..seen] != begin[..seen] {
            return Err(ConnectError::Upgrade(UpgradeFault::Malformed));
        }
        if !self.head.ends_with(b"\r\n\r\n") {
            return Ok(None);
        }
        self.check().map(|()| Some(taken))
    }

    fn check(&self) -> Result<(), ConnectError> {
        let fault = |fault| Err(ConnectError::Upgrade(fault));
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut answer = httparse::Response::new(&mut headers);
        match answer.parse(&self.head) {
            Ok(httparse::Status::Complete(size)) if size == self.head.len() => {}
            Err(httparse::Error::TooManyHeaders) => return fault(UpgradeFault::TooLarge(HEAD_MAX)),
            _ => return fault(UpgradeFault::Malformed),
        }
        let values = |name: &'static str| {
            let named =
                move |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
            answer.headers.iter().filter(named).map(|header| header.value.trim_ascii())
        };
        let status = answer.code.unwrap_or(0);
        if status != 101 {
            let retry_after = values("retry-after").next().and_then(seconds);
            return Err(ConnectError::Handshake { status, retry_after });
        }
        let says = |name, token: &[u8]| values(name).any(|value| has_token(value, token));
        if !says("upgrade", b"websocket") || !says("connection", b"upgrade") {
            return fault(UpgradeFault::NotWebSocket);
        }
        let mut accepts = values("sec-websocket-accept");
        if accepts.next() != Some(self.accept.as_bytes()) || accepts.next().is_some() {
            return fault(UpgradeFault::Accept);
        }
        let unasked = ["sec-websocket-extensions", "sec-websocket-protocol"];
        if unasked.into_iter().any(|name| values(name).next().is_some()) {
            return fault(UpgradeFault::Extension);
        }
        Ok(())
    }
}
