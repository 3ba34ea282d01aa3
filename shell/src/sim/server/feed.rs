//! Sources of market data for a simulated venue.

use std::io::BufRead;

use reap_core::units::Nanos;

use super::Feed;
use crate::sim::{Market, MarketVenue};

/// One venue's messages of the seeded market.
#[must_use]
pub fn market_feed(seed: u64, start: Nanos, length: Nanos, venue: MarketVenue) -> Feed {
    let mut market = Market::new(seed, start, length);
    Box::new(std::iter::from_fn(move || {
        loop {
            let frame = market.next_frame()?;
            if frame.venue == venue {
                return Some((frame.at, frame.raw.to_vec()));
            }
        }
    }))
}

/// A recording: lines of `nanoseconds message`. A line that is none is left out.
#[must_use]
pub fn recording_feed(lines: impl BufRead + Send + 'static) -> Feed {
    Box::new(lines.split(b'\n').map_while(Result::ok).filter_map(|line| {
        let space = line.iter().position(|byte| *byte == b' ')?;
        let at = std::str::from_utf8(&line[..space]).ok()?.parse().ok()?;
        Some((Nanos(at), line[space + 1..].to_vec()))
    }))
}
