//! Why a connection did not come to be, and why it ended: closed sets, told with cause and remedy.

use std::io;
use std::net::SocketAddr;

use reap_core::units::Nanos;
use rustls::CertificateError;
use thiserror::Error;
use tungstenite::error::ProtocolError;

use super::http::HttpError;

/// How far an attempt to connect had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Stage {
    /// The name is looked up.
    #[error("name resolution")]
    Resolve,
    /// TCP.
    #[error("the TCP connection")]
    Connect,
    /// TLS.
    #[error("the TLS handshake")]
    Tls,
    /// The WebSocket upgrade.
    #[error("the WebSocket handshake")]
    Upgrade,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("{host} cannot be resolved ({why}): check the host name and this machine's DNS")]
    Resolve {
        /// The host asked for.
        host: String,
        /// What the resolver said.
        why: String,
    },
    /// Nobody listens there.
    #[error(
        "{addr} refused the connection: nothing listens on that port, or a firewall rejects it"
    )]
    Refused {
        /// The address tried last.
        addr: SocketAddr,
    },
    /// The network has no way there.
    #[error("{addr} cannot be reached ({kind}): check the network and its routes")]
    Unreachable {
        /// The address tried last.
        addr: SocketAddr,
        /// The kernel's reason.
        kind: io::ErrorKind,
    },
    /// A deadline passed.
    #[error("{stage} took longer than its limit: the peer or the network is down or overloaded")]
    Timeout {
        /// What was under way.
        stage: Stage,
    },
    /// The peer hung up.
    #[error(
        "the peer closed the connection during {stage}: it may be overloaded or refuse this address"
    )]
    Gone {
        /// What was under way.
        stage: Stage,
    },
    /// TLS was refused; there is no way around it.
    #[error("TLS: {0}")]
    Tls(TlsFault),
    /// The host is no name a certificate can be checked for.
    #[error("{host} is no name a certificate can be checked for: give a DNS name or an IP address")]
    Name {
        /// The host asked for.
        host: String,
    },
    /// The server answered the upgrade with something other than 101.
    #[error("the server answered the WebSocket handshake with status {status}{}", told_wait(.retry_after))]
    Handshake {
        /// The HTTP status.
        status: u16,
        /// How long the server asks to stay away; `None` when it did not say, or said a date.
        retry_after: Option<Nanos>,
    },
    /// The answer to the upgrade is no answer to it.
    #[error("the answer to the WebSocket handshake is invalid: {0}")]
    Upgrade(UpgradeFault),
    /// The path cannot stand in a request.
    #[error("path {path:?}: must begin with / and hold visible ASCII only")]
    Path {
        /// The path given.
        path: String,
    },
    /// The kernel refused a socket option.
    #[error(
        "socket option {option}: {kind}; SO_BUSY_POLL needs CAP_NET_ADMIN, leave it out without"
    )]
    Socket {
        /// The option's name.
        option: &'static str,
        /// The kernel's reason.
        kind: io::ErrorKind,
    },
    /// No poll, timer or thread could be had.
    #[error("the system gave no {what} ({kind}): check the limits of open files and threads")]
    System {
        /// What was asked for.
        what: &'static str,
        /// The kernel's reason.
        kind: io::ErrorKind,
    },
    /// The caller asked to stop.
    #[error("connecting was stopped")]
    Stopped,
}

impl ConnectError {
    /// How long the server asks to stay away.
    #[must_use]
    pub fn retry_after(&self) -> Option<Nanos> {
        match self {
            Self::Handshake { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// How far the attempt came: of several addresses the furthest is reported.
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Resolve { .. } | Self::Name { .. } | Self::Path { .. } => Stage::Resolve,
            Self::Timeout { stage } | Self::Gone { stage } => *stage,
            Self::Tls(_) => Stage::Tls,
            Self::Handshake { .. } | Self::Upgrade(_) | Self::Stopped => Stage::Upgrade,
            _ => Stage::Connect,
        }
    }
}

fn told_wait(retry_after: &Option<Nanos>) -> String {
    match retry_after {
        Some(wait) => format!(": wait {} s before the next attempt", wait.0 / 1_000_000_000),
        None => String::from(
            ": 4xx means the path or this address is refused, 5xx that the venue is in trouble",
        ),
    }
}

/// What is wrong with a server's upgrade answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UpgradeFault {
    /// No valid HTTP head.
    #[error("it is no HTTP/1.1 answer; is this the port of a WebSocket server?")]
    Malformed,
    /// Too many bytes of headers.
    #[error("its headers are longer than {0} bytes")]
    TooLarge(usize),
    /// 101 without the Upgrade and Connection headers.
    #[error("it switches protocols without saying to which")]
    NotWebSocket,
    /// The key's proof is missing or wrong.
    #[error("Sec-WebSocket-Accept does not match; a cache or proxy may have answered")]
    Accept,
    /// An extension or subprotocol nobody asked for.
    #[error("it insists on an extension or subprotocol that was not offered")]
    Extension,
}

/// What TLS refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TlsFault {
    /// The certificate's time is over.
    #[error("the certificate has expired: check this machine's clock, then the server")]
    Expired,
    /// The certificate's time has not begun.
    #[error("the certificate is not valid yet: check this machine's clock")]
    NotYetValid,
    /// The certificate is for others.
    #[error(
        "the certificate is for another host: check the endpoint's host name; someone may be intercepting"
    )]
    WrongHost,
    /// Nobody trusted has signed it.
    #[error(
        "the certificate's issuer is not trusted: someone may be intercepting; a private venue's root must be configured"
    )]
    UnknownIssuer,
    /// Anything else about the certificate.
    #[error("the certificate is not acceptable (encoding, signature, purpose or revocation)")]
    Certificate,
    /// The peer offers only what is too old.
    #[error("the server offers no TLS 1.2 or 1.3 with a safe cipher: a downgrade is refused")]
    Version,
    /// The bytes are not TLS.
    #[error("the answer is not TLS: is this the port of an unencrypted server?")]
    NotTls,
    /// A record could not be decrypted or breaks the protocol.
    #[error("the stream is corrupt or was tampered with")]
    Corrupt,
    /// The peer gave up with an alert.
    #[error("the server ended TLS with alert {0}")]
    Alert(u8),
    /// The end of TCP without the end of TLS: the stream may have been cut.
    #[error("the stream was cut without a closing alert")]
    Truncated,
    /// What cannot be told apart.
    #[error("the TLS library failed (random numbers, time or state)")]
    Other,
}

impl From<&rustls::Error> for TlsFault {
    fn from(error: &rustls::Error) -> Self {
        use rustls::Error as E;
        match error {
            E::InvalidCertificate(cause) => match cause {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Self::Expired
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::NotYetValid
                }
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Self::WrongHost,
                CertificateError::UnknownIssuer => Self::UnknownIssuer,
                _ => Self::Certificate,
            },
            E::PeerIncompatible(_) => Self::Version,
            E::AlertReceived(alert) => match u8::from(*alert) {
                70 | 71 | 86 => Self::Version, // protocol_version, insufficient_security, fallback
                other => Self::Alert(other),
            },
            E::InvalidMessage(_) => Self::NotTls,
            E::DecryptError | E::PeerMisbehaved(_) | E::PeerSentOversizedRecord => Self::Corrupt,
            E::InappropriateMessage { .. } | E::InappropriateHandshakeMessage { .. } => {
                Self::Corrupt
            }
            E::NoCertificatesPresented => Self::Certificate,
            _ => Self::Other,
        }
    }
}

/// How a peer broke the WebSocket protocol (RFC 6455).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProtocolFault {
    /// Reserved bits without an extension.
    #[error("reserved bits are set")]
    ReservedBits,
    /// A server must not mask.
    #[error("a frame from the server is masked")]
    Masked,
    /// No such opcode.
    #[error("opcode {0} does not exist")]
    Opcode(u8),
    /// A control frame in pieces or over 125 bytes.
    #[error("a control frame is fragmented or too long")]
    Control,
    /// A continuation of nothing, or a new message within another.
    #[error("fragments are out of order")]
    Continuation,
    /// A malformed close frame.
    #[error("the close frame is malformed")]
    CloseFrame,
    /// Data after the close frame.
    #[error("frames follow the close frame")]
    AfterClose,
    /// What the library may add.
    #[error("another violation")]
    Other,
}

impl From<&ProtocolError> for ProtocolFault {
    fn from(error: &ProtocolError) -> Self {
        use ProtocolError as E;
        match error {
            E::NonZeroReservedBits => Self::ReservedBits,
            E::MaskedFrameFromServer => Self::Masked,
            E::InvalidOpcode(code)
            | E::UnknownControlFrameType(code)
            | E::UnknownDataFrameType(code) => Self::Opcode(*code),
            E::FragmentedControlFrame | E::ControlFrameTooBig => Self::Control,
            E::UnexpectedContinueFrame | E::ExpectedFragment(_) => Self::Continuation,
            E::InvalidCloseSequence => Self::CloseFrame,
            E::ReceivedAfterClosing => Self::AfterClose,
            _ => Self::Other,
        }
    }
}

/// Why a connection is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Closed {
    /// The peer said goodbye.
    #[error("the peer closed the WebSocket with code {code}{}", told_code(*.code))]
    Peer {
        /// The close code; 1005 when the frame had none.
        code: u16,
    },
    /// We did.
    #[error("closed by us with code {code}")]
    Ours {
        /// The close code sent.
        code: u16,
    },
    /// End of stream without a goodbye.
    #[error("the peer ended the stream without a closing handshake: reconnect")]
    Ended,
    /// TCP was reset.
    #[error("the connection was reset: the peer crashed or a firewall dropped it; reconnect")]
    Reset,
    /// Sent bytes were not acknowledged in time.
    #[error("the peer acknowledges nothing any more (half-open connection): reconnect")]
    TimedOut,
    /// The peer broke the protocol; answered with 1002.
    #[error("the peer broke the WebSocket protocol: {0}")]
    Protocol(ProtocolFault),
    /// A text is not UTF-8; answered with 1007.
    #[error("the peer sent a text that is not UTF-8")]
    Utf8,
    /// A frame or message is over its bound; answered with 1009.
    #[error(
        "the peer sent a frame or message of {size} bytes, the bound is {bound}: reconnect, or raise frame_max or message_max"
    )]
    TooLarge {
        /// Its size as far as known.
        size: usize,
        /// The bound.
        bound: usize,
    },
    /// A message in too many pieces; answered with 1008.
    #[error("the peer split one message into more than {bound} fragments")]
    Fragments {
        /// The bound.
        bound: u32,
    },
    /// A message that does not end; answered with 1008.
    #[error("a message was not complete {} ms after its first byte", .bound.0 / 1_000_000)]
    Slow {
        /// The bound.
        bound: Nanos,
    },
    /// The peer does not read what we write.
    #[error(
        "{bound} bytes wait for a peer that does not read: nothing was dropped silently; reconnect"
    )]
    Backlog {
        /// The bound.
        bound: usize,
    },
    /// TLS failed mid-stream; nothing unverified was delivered.
    #[error("TLS: {0}")]
    Tls(TlsFault),
    /// An HTTP answer broke the rules.
    #[error("HTTP: {0}")]
    Http(HttpError),
    /// The server ends the connection after its answer; the answer was delivered.
    #[error("the server closes after each answer: connect anew for the next request")]
    Finished,
    /// Any other failure of the socket.
    #[error("the socket failed: {0}")]
    Io(io::ErrorKind),
}

impl Closed {
    pub(super) fn from_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::TimedOut => Self::TimedOut,
            io::ErrorKind::UnexpectedEof => Self::Tls(TlsFault::Truncated),
            kind => Self::Io(kind),
        }
    }
}

fn told_code(code: u16) -> &'static str {
    match code {
        1000 => " (normal): reconnect",
        1001 | 1012 => " (the server goes away or restarts): reconnect",
        1002 | 1003 | 1007 => " (it rejects what we sent): see the log before it",
        1008 => " (policy): too many messages or a refused subscription; slow down",
        1009 => " (it finds our message too large)",
        1011 => " (the server failed): reconnect",
        1013 => " (try again later): back off",
        _ => ": reconnect",
    }
}
