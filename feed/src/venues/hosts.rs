//! The hosts of a venue.

/// Which host of a venue a connection goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Streams: market data and the private stream.
    Stream,
    /// Orders by WebSocket.
    Orders,
    /// Requests by HTTP.
    Rest,
}

/// Default hosts of a venue: names without a scheme, always TLS on port 443 unless the
/// configuration names another endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// Streams.
    pub stream: &'static str,
    /// Orders by WebSocket.
    pub orders: &'static str,
    /// Requests by HTTP.
    pub rest: &'static str,
}

impl Hosts {
    /// The name of a host.
    #[must_use]
    pub const fn get(&self, host: Host) -> &'static str {
        match host {
            Host::Stream => self.stream,
            Host::Orders => self.orders,
            Host::Rest => self.rest,
        }
    }
}
