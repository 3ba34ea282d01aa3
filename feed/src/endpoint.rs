//! Where to connect: scheme, host and port as one checked value.

use std::fmt;

use thiserror::Error;

/// The longest host name DNS knows.
const HOST_MAX: usize = 253;

/// A host to connect to, and whether the connection is encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// TLS, always with a verified certificate.
    pub secure: bool,
    /// A name or an address; an IPv6 address stands here without its brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EndpointError {
    /// No known scheme in front.
    #[error("endpoint {text:?}: begin with wss://, https://, ws:// or http://")]
    Scheme {
        /// What was given.
        text: String,
    },
    /// The host is missing or has characters a host cannot have.
    #[error(
        "endpoint {text:?}: host must be 1 to 253 letters, digits, dots and hyphens, or an address; IPv6 in [brackets]"
    )]
    Host {
        /// What was given.
        text: String,
    },
    /// The port is no port.
    #[error("endpoint {text:?}: port must be a number from 1 to 65535")]
    Port {
        /// What was given.
        text: String,
    },
    /// Something follows the port.
    #[error(
        "endpoint {text:?}: leave out what follows the port; the path belongs to the stream, not to the endpoint"
    )]
    Path {
        /// What was given.
        text: String,
    },
    /// A user name or password in the address.
    #[error(
        "endpoint: leave out the user name and password before the @; keys belong in the key file"
    )]
    Credentials,
}

impl Endpoint {
    /// An encrypted endpoint on the usual port.
    #[must_use]
    pub fn tls(host: &str) -> Self {
        Self { secure: true, host: host.to_owned(), port: 443 }
    }

    /// Reads `wss://host[:port]`; `https`, `ws` and `http` alike. One closing slash is allowed.
    ///
    /// # Errors
    /// [`EndpointError`] names what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let owned = || text.to_owned();
        if text.contains('@') {
            return Err(EndpointError::Credentials); // the text may hold a password: not shown
        }
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| EndpointError::Scheme { text: owned() })?;
        let (secure, port) = match scheme {
            "wss" | "https" => (true, 443),
            "ws" | "http" => (false, 80),
            _ => return Err(EndpointError::Scheme { text: owned() }),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(EndpointError::Path { text: owned() });
        }
        let (host, port_text) = split_port(rest);
        if !is_host(host, rest.starts_with('[')) {
            return Err(EndpointError::Host { text: owned() });
        }
        let port = match port_text {
            None => port,
            Some(digits) => digits
                .parse()
                .ok()
                .filter(|port| *port > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| EndpointError::Port { text: owned() })?,
        };
        Ok(Self { secure, host: host.to_owned(), port })
    }

    /// The host as it stands in a Host header: brackets around IPv6, the port where it is not the usual one.
    #[must_use]
    pub fn authority(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.secure { "TLS" } else { "no TLS" };
        if self.host.contains(':') {
            write!(out, "[{}]:{} ({tls})", self.host, self.port)
        } else {
            write!(out, "{}:{} ({tls})", self.host, self.port)
        }
    }
}

/// Host and, where there is a colon, the text of the port.
fn split_port(rest: &str) -> (&str, Option<&str>) {
    if let Some(inner) = rest.strip_prefix('[') {
        return match inner.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, tail)) => (host, Some(tail.strip_prefix(':').unwrap_or("not a port"))),
            None => ("", None),
        };
    }
    match rest.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    }
}

fn is_host(host: &str, bracketed: bool) -> bool {
    if bracketed {
        return host.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !host.is_empty()
        && host.len() <= HOST_MAX
        && host.bytes().all(usable)
        && !host.starts_with(['.', '-'])
        && !host.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let seen = match Endpoint::parse(text) {
            Ok(endpoint) => format!("{endpoint} as {}", endpoint.authority()),
            Err(error) => format!("{error:?}").split([' ', '{']).next().unwrap().to_owned(),
        };
        assert_eq!(seen, expected, "{text}");
    }

    #[test]
    fn endpoints_are_read() {
        check("wss://a.example", "a.example:443 (TLS) as a.example");
        check("https://a.example:8443/", "a.example:8443 (TLS) as a.example:8443");
        check("ws://127.0.0.1:9001", "127.0.0.1:9001 (no TLS) as 127.0.0.1:9001");
        check("http://localhost", "localhost:80 (no TLS) as localhost");
        check("wss://[::1]:9443", "[::1]:9443 (TLS) as [::1]:9443");
        check("wss://[::1]", "[::1]:443 (TLS) as [::1]");
    }

    #[test]
    fn what_is_no_endpoint_is_refused_by_name() {
        for text in ["", "a.example", "ftp://a", "WSS://a", "://a", "wss:/a"] {
            check(text, "Scheme");
        }
        for text in [
            "wss://",
            "wss:///",
            "wss://a b",
            "wss://a\r\nX: y",
            "wss://.a",
            "wss://a..b",
            "wss://[::1",
            "wss://[a]:1",
            "wss://:443",
            "wss://\u{e9}",
        ] {
            check(text, "Host");
        }
        for text in [
            "wss://a:",
            "wss://a:0",
            "wss://a:65536",
            "wss://a:-1",
            "wss://a:+1",
            "wss://[::1]9",
            "wss://a:1:2",
        ] {
            check(text, "Port");
        }
        for text in ["wss://a/ws", "wss://a//", "wss://a?x", "wss://a:1/ws/btc"] {
            check(text, "Path");
        }
        check("wss://name:password@a", "Credentials");
        let error = Endpoint::parse("wss://name:hunter2@a").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert!(Endpoint::parse(&format!("wss://{}", "a".repeat(254))).is_err());
    }
}
