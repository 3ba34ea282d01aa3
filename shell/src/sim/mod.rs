//! Simulated venues: a matching core that fills orders against the displayed best prices, a market
//! that writes the messages of two venues from a seed, and servers that put both on sockets.
//!
//! Nothing here shares code with the feed or the executor: it is written from the venues' sheets a
//! second time, so that it can disagree.

mod market;
mod matching;
mod messages;
mod path;
mod random;
pub mod server;

pub use self::market::{Frame, Market, MarketVenue};
pub use self::matching::{Counts, Matching};
pub use self::random::Random;
