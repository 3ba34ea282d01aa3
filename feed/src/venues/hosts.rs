//! The hosts of a venue. Always TLS on port 443, unless a configuration names other endpoints.

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// Streams: market data, private events.
    Stream,
    /// Orders by WebSocket.
    Orders,
    /// Requests by HTTP.
    Rest,
}

/// A venue's default hosts: names without scheme, port or path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// See [`Host::Stream`].
    pub stream: &'static str,
    /// See [`Host::Orders`].
    pub orders: &'static str,
    /// See [`Host::Rest`].
    pub rest: &'static str,
}

impl Hosts {
    /// The host's name.
    #[must_use]
    pub const fn get(&self, host: Host) -> &'static str {
        match host {
            Host::Stream => self.stream,
            Host::Orders => self.orders,
            Host::Rest => self.rest,
        }
    }
}
