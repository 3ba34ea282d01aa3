//! Venues as bytes: what they send becomes ticks, and what they sent can be kept and read again.
//!
//! | module | what lives there | invariant |
//! |---|---|---|
//! | [`venues`] | one folder each: market codec, stream plans, trading, capabilities, fixtures; the registry | a codec holds no socket, clock or thread; a venue imports no other venue |
//! | [`session`] | market data connections kept alive: subscriptions, heartbeats, silence, back-off, replacements | no socket, clock or thread; at most one connection's ticks go to the engine; knows no venue |
//! | [`trading`] | orders of an account: what venues' tradings share | no socket, clock or thread; what is signed is what is sent; no order's fate is invented |
//! | [`decoded`] | what a message was and what became of it | closed sets: every message is counted once |
//! | [`json`], [`decimal`], [`symbols`] | the scanners and the symbol table of the codecs | no allocation after start-up; exact or refused |
//! | [`conflate`] | what waits for room in a ring | the newest of each kind; bounded; counted |
//! | [`endpoint`], [`transport`] | where to connect; WebSocket and HTTP/1.1 over TCP or TLS | never blocks after connecting; memory bounded whatever the peer sends; certificates always verified; knows no venue |
//! | [`recording`], [`capture`] | recorded messages, written and read | a message is never larger than its bound |

pub mod capture;
pub mod conflate;
pub mod decimal;
pub mod decoded;
pub mod endpoint;
pub mod json;
mod lines;
pub mod recording;
pub mod session;
pub mod symbols;
pub mod trading;
pub mod transport;
pub mod venues;

#[cfg(test)]
mod test_random;
