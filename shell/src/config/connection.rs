//! How a venue is reached: the keys of `[venue.NAME]` that only a live run reads.

use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use reap_core::units::Nanos;

use super::run::path;
use super::value::SpanBounds;
use super::walk::{Table, Value};

/// How a venue is reached. What is `None` is as the venue's kind has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Instead of every host of the venue: `wss://host:port`.
    pub endpoint: Option<String>,
    /// Instead of the host for orders; goes before `endpoint`.
    pub orders_endpoint: Option<String>,
    /// Instead of the host for HTTP requests; goes before `endpoint`.
    pub rest_endpoint: Option<String>,
    /// PEM file of the only authorities that are trusted.
    pub root: Option<PathBuf>,
    /// How long the kernel polls the network card for this venue: whole microseconds.
    pub busy_poll: Option<Nanos>,
    /// Silence after which a connection counts as lost.
    pub silence: Option<Nanos>,
    /// Age at which a connection is replaced.
    pub max_life: Option<Nanos>,
}

const MICRO: u64 = 1_000;
const BUSY_POLL: SpanBounds = SpanBounds::new(Nanos(MICRO), Nanos::from_millis(1));
const SILENCE: SpanBounds = SpanBounds::new(Nanos::from_millis(100), Nanos::from_secs(3600));
const MAX_LIFE: SpanBounds = SpanBounds::new(Nanos::from_secs(1), Nanos::from_secs(30 * 86_400));
/// Longest name of a host.
const HOST_MAX: usize = 253;
const STREAM: &str = "write wss://host:port";
const REST: &str = "write https://host:port";

/// Reads the keys of a venue's table; `None` after reporting what is wrong.
pub(super) fn connection(table: &Table<'_>) -> Option<Connection> {
    let endpoint_of = |key, remedy| match table.get(key) {
        Some(value) => endpoint(&value, remedy).map(Some),
        None => Some(None),
    };
    let every = endpoint_of("endpoint", STREAM);
    let orders = endpoint_of("orders_endpoint", STREAM);
    let rest = endpoint_of("rest_endpoint", REST);
    let root = match table.get("root") {
        Some(value) => path(&value, "write the name of a PEM file").map(Some),
        None => Some(None),
    };
    let span = |key, bounds| match table.get(key) {
        Some(value) => value.span(bounds).map(|span| Some((span, value))),
        None => Some(None),
    };
    let busy_poll = span("busy_poll", BUSY_POLL).and_then(|given| {
        let Some((span, value)) = given else { return Some(None) };
        if span.0.is_multiple_of(MICRO) {
            return Some(Some(span));
        }
        value.problem("is finer than a microsecond", "write for example \"50us\"");
        None
    });
    let plain = |given: Option<(Nanos, Value<'_>)>| given.map(|(span, _)| span);
    let silence = span("silence", SILENCE).map(plain);
    let max_life = span("max_life", MAX_LIFE).map(plain);
    Some(Connection {
        endpoint: every?,
        orders_endpoint: orders?,
        rest_endpoint: rest?,
        root: root?,
        busy_poll: busy_poll?,
        silence: silence?,
        max_life: max_life?,
    })
}

/// `scheme://host[:port]`. A path belongs to the stream, a user's name to nobody.
fn endpoint(value: &Value<'_>, remedy: &str) -> Option<String> {
    let text = value.text(remedy)?;
    if text.contains('@') {
        // What stands before it may be a password.
        value.unseen("names a user", "leave out everything before the @");
        return None;
    }
    match parts(text) {
        Ok(_) => Some(text.to_owned()),
        Err(what) => {
            value.problem(what, remedy);
            None
        }
    }
}

/// Whether it is encrypted, and the host; or what is wrong.
fn parts(text: &str) -> Result<(bool, &str), &'static str> {
    let scheme = text.split_once("://");
    let Some((scheme @ ("wss" | "ws" | "https" | "http"), rest)) = scheme else {
        return Err("must begin with wss://, https://, ws:// or http://");
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        return Err("has something after the host and its port");
    }
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => match port.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None => return Err("has something between the address and its port"),
        },
        None => match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let is_host = if rest.starts_with('[') {
        host.parse::<Ipv6Addr>().is_ok()
    } else {
        (1..=HOST_MAX).contains(&host.len())
            && host.bytes().all(plain)
            && host.split('.').all(|part| !part.is_empty())
    };
    if !is_host {
        return Err("has no host: letters, digits, dots and hyphens, or an address");
    }
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    };
    if port.is_some_and(|port| !is_port(port)) {
        return Err("has no port from 1 to 65535");
    }
    Ok((matches!(scheme, "wss" | "https"), host))
}

impl Connection {
    /// Every endpoint that is given, with its key.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("endpoint", &self.endpoint),
            ("orders_endpoint", &self.orders_endpoint),
            ("rest_endpoint", &self.rest_endpoint),
        ]
        .into_iter()
        .filter_map(|(key, text)| Some((key, text.as_deref()?)))
    }
}

/// Whether what goes to this endpoint can be read on its way: not encrypted, and not this machine.
pub(super) fn is_open(endpoint: &str) -> bool {
    let Ok((encrypted, host)) = parts(endpoint) else { return true };
    let own = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|host| host.is_loopback());
    !encrypted && !own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_scheme_host_and_port() {
        for good in [
            "wss://fstream.binance.com",
            "wss://fstream.binance.com:443",
            "wss://stream.bybit.com/",
            "ws://127.0.0.1:8080",
            "https://[::1]:8443",
            "http://localhost",
        ] {
            assert!(parts(good).is_ok(), "{good}: {:?}", parts(good));
        }
        for (bad, said) in [
            ("fstream.binance.com", "begin"),
            ("ftp://host", "begin"),
            ("wss://", "no host"),
            ("wss://:443", "no host"),
            ("wss://ho st", "no host"),
            ("wss://höst", "no host"),
            ("wss://host..com", "no host"),
            ("wss://[::g]:1", "no host"),
            ("wss://[::1]1", "between"),
            ("wss://host:0", "no port"),
            ("wss://host:65536", "no port"),
            ("wss://host:+1", "no port"),
            ("wss://host:", "no port"),
            ("wss://host:1:2", "no port"),
            ("wss://host/ws", "after the host"),
            ("wss://host?x=1", "after the host"),
        ] {
            let found = parts(bad);
            assert!(found.is_err_and(|what| what.contains(said)), "{bad}: {found:?}");
        }
    }

    #[test]
    fn only_this_machine_may_be_spoken_to_in_the_open() {
        for (endpoint, open) in [
            ("ws://127.0.0.1:1", false),
            ("ws://localhost:1", false),
            ("http://localhost", false),
            ("http://[::1]:1", false),
            ("wss://host", false),
            ("ws://host", true),
            ("ws://127.0.0.1.example.com", true),
            ("ws://127.example.com", true),
            ("http://localhost.example.com", true),
            ("http://[::2]:1", true),
        ] {
            assert_eq!(is_open(endpoint), open, "{endpoint}");
        }
    }
}
