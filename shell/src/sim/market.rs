//! A market for the demonstration: the messages of two venues, from a seed, in the order of time.
//!
//! Three underlyings, each on both venues. Bitcoin is calm while its two prices part, come back,
//! part the other way and come back; ether rallies by about a fifth and gives a third of it back;
//! solana falls by about a tenth and recovers. The same seed gives the same bytes on every machine
//! and in every build: integers only.

use reap_core::units::Nanos;

use super::messages::{Best, Message, Number, Print};
use super::path::Path;
use super::random::Random;

/// Parts per billion.
const PPB: i128 = 1_000_000_000;
const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;
/// Age of a message when it is received.
const TRAVEL: u64 = 4 * MILLI;
/// Bybit repeats a snapshot after this long without a change.
const REPEAT: u64 = 3 * SECOND;
/// When, in thousandths of the length, Bybit's solana is so quiet that it only repeats.
const QUIET: (u64, u64) = (930, 960);
/// Interval of funding settlements.
const FUNDING: u64 = 8 * 3_600 * SECOND;
/// Decimals of a mark price.
const MARK_SCALE: u8 = 8;
/// Predicted funding rate of all instruments: 0.01 %.
const FUNDING_RATE: Number = Number { mantissa: 10_000, scale: 8 };

/// Which venue a message is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarketVenue {
    /// Binance USD-M futures.
    Binance,
    /// Bybit linear futures.
    Bybit,
}

impl MarketVenue {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Binance, Self::Bybit];
}

/// One message as it is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'m> {
    /// When it is received; never earlier than the one before.
    pub at: Nanos,
    /// From where.
    pub venue: MarketVenue,
    /// The raw message.
    pub raw: &'m [u8],
}

/// An underlying and its course.
struct Sketch {
    symbol: &'static str,
    /// Price at the start, in ticks of `10^-price_scale`.
    price: i64,
    price_scale: u8,
    /// Sizes by venue: decimals, and the largest that is displayed.
    sizes: [(u8, u64); 2],
    /// Course of the price: (thousandths of the length, basis points).
    trend: &'static [(u64, i64)],
    /// What Bybit is above Binance, likewise.
    premium: &'static [(u64, i64)],
}

const SKETCHES: [Sketch; 3] = [
    Sketch {
        symbol: "BTCUSDT",
        price: 600_000,
        price_scale: 1,
        sizes: [(3, 4_000), (3, 3_000)],
        trend: &[(0, 0), (200, 30), (500, -25), (800, 20), (1000, 10)],
        premium: &[(0, 55), (60, 55), (350, 0), (600, -50), (850, 0), (1000, 0)],
    },
    Sketch {
        symbol: "ETHUSDT",
        price: 250_000,
        price_scale: 2,
        sizes: [(3, 60_000), (2, 5_000)],
        trend: &[(0, 0), (80, 0), (640, 2_000), (850, 1_250), (1000, 1_350)],
        premium: &[(0, -50), (150, -50), (450, 2), (1000, 0)],
    },
    Sketch {
        symbol: "SOLUSDT",
        price: 15_000,
        price_scale: 2,
        sizes: [(0, 900), (1, 8_000)],
        trend: &[(0, 0), (60, 0), (450, -900), (900, -200), (1000, -220)],
        premium: &[(0, 60), (200, 60), (550, 0), (750, -30), (950, 0), (1000, 0)],
    },
];

/// An underlying as it moves.
#[derive(Debug)]
struct Underlying {
    trend: Path,
    premium: Path,
    /// Mean-reverting noise of the price, and of each venue, in parts per billion.
    noise: i64,
    own: [i64; 2],
}

/// One instrument's state at one venue.
#[derive(Clone, Copy, Debug, Default)]
struct Listing {
    /// Best prices and sizes as mantissas; none before the first quote.
    best: Option<[i64; 4]>,
    update: u64,
    trade: u64,
}

/// What is due next of one kind.
#[derive(Clone, Copy, Debug)]
struct Stream {
    /// Nanoseconds since the start.
    due: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Ack(MarketVenue),
    Pong,
    Best { underlying: usize, venue: MarketVenue },
    Trade { underlying: usize, venue: MarketVenue },
    Mark { underlying: usize },
}

/// The market.
#[derive(Debug)]
pub struct Market {
    start: Nanos,
    length: u64,
    random: Random,
    underlyings: Vec<Underlying>,
    listings: Vec<[Listing; 2]>,
    streams: Vec<Stream>,
    message: String,
}

impl Market {
    /// How long the demonstration's market is: `config/demo.toml` is made for it.
    pub const DEMO_LENGTH: Nanos = Nanos::from_secs(600);

    /// What it quotes, at both venues.
    pub const SYMBOLS: [&str; SKETCHES.len()] =
        [SKETCHES[0].symbol, SKETCHES[1].symbol, SKETCHES[2].symbol];

    /// A market from `start` for `length`; messages are received within that span.
    #[must_use]
    pub fn new(seed: u64, start: Nanos, length: Nanos) -> Self {
        let mut random = Random::new(seed);
        let underlyings = SKETCHES
            .iter()
            .map(|sketch| Underlying {
                trend: Path::new(sketch.trend, length.0, (900, 1_100), &mut random),
                premium: Path::new(sketch.premium, length.0, (950, 1_100), &mut random),
                noise: 0,
                own: [0; 2],
            })
            .collect();
        let mut streams: Vec<Stream> =
            MarketVenue::ALL.map(|venue| Stream { due: 0, kind: Kind::Ack(venue) }).to_vec();
        streams.push(Stream { due: 20 * SECOND, kind: Kind::Pong });
        let mut listings = Vec::new();
        for underlying in 0..SKETCHES.len() {
            for venue in MarketVenue::ALL {
                let due = 10 * MILLI + random.below(80 * MILLI);
                streams.push(Stream { due, kind: Kind::Best { underlying, venue } });
                streams.push(Stream { due: due + 1, kind: Kind::Trade { underlying, venue } });
            }
            let due = 500 * MILLI + random.below(MILLI);
            streams.push(Stream { due, kind: Kind::Mark { underlying } });
            listings.push([(); 2].map(|()| Listing {
                update: 1_000_000 + random.below(1_000_000),
                trade: 10_000 + random.below(10_000),
                best: None,
            }));
        }
        let message = String::with_capacity(512);
        Self { start, length: length.0, random, underlyings, listings, streams, message }
    }

    /// The next message, or `None` when the market has ended.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        let (index, &stream) =
            self.streams.iter().enumerate().min_by_key(|(index, stream)| (stream.due, *index))?;
        if stream.due >= self.length {
            return None;
        }
        let time = (self.start.0 + stream.due).saturating_sub(TRAVEL) / MILLI;
        let (venue, wait) = match stream.kind {
            Kind::Ack(venue) => {
                match venue {
                    MarketVenue::Binance => Message(&mut self.message).binance_ack(),
                    MarketVenue::Bybit => Message(&mut self.message).bybit_ack("subscribe"),
                }
                (venue, u64::MAX)
            }
            Kind::Pong => {
                Message(&mut self.message).bybit_ack("ping");
                (MarketVenue::Bybit, 20 * SECOND)
            }
            Kind::Best { underlying, venue } => {
                (venue, self.write_best(underlying, venue, stream.due, time))
            }
            Kind::Trade { underlying, venue } => (venue, self.write_trade(underlying, venue, time)),
            Kind::Mark { underlying } => {
                self.write_mark(underlying, stream.due, time);
                (MarketVenue::Binance, SECOND)
            }
        };
        self.streams[index].due = stream.due.saturating_add(wait);
        let at = self.start.plus(Nanos(stream.due));
        Some(Frame { at, venue, raw: self.message.as_bytes() })
    }

    /// The price of an underlying at a venue, in thousandths of a tick.
    fn fair(&self, index: usize, venue: MarketVenue, now: u64) -> i64 {
        let (sketch, moving) = (&SKETCHES[index], &self.underlyings[index]);
        let level =
            PPB + i128::from(moving.trend.at(now) + moving.noise + moving.own[venue as usize]);
        let premium = match venue {
            MarketVenue::Binance => 0,
            MarketVenue::Bybit => i128::from(moving.premium.at(now)),
        };
        (i128::from(sketch.price) * 1_000 * level / PPB * (PPB + premium) / PPB) as i64
    }

    /// Writes the next best prices of an instrument and returns how long they stand.
    fn write_best(&mut self, index: usize, venue: MarketVenue, now: u64, time: u64) -> u64 {
        let sketch = &SKETCHES[index];
        let place = (u128::from(now) * 1000 / u128::from(self.length)) as u64;
        let quiet = venue == MarketVenue::Bybit
            && index == SKETCHES.len() - 1
            && (QUIET.0..QUIET.1).contains(&place)
            && self.listings[index][venue as usize].best.is_some();
        if !quiet {
            self.step(index, venue, now);
        }
        let listing = &self.listings[index][venue as usize];
        let [bid, ask, bid_qty, ask_qty] = listing.best.expect("a step sets it");
        let price = |mantissa| Number { mantissa, scale: sketch.price_scale };
        let qty = |mantissa| Number { mantissa, scale: sketch.sizes[venue as usize].0 };
        let best =
            Best { bid: price(bid), ask: price(ask), bid_qty: qty(bid_qty), ask_qty: qty(ask_qty) };
        let message = Message(&mut self.message);
        match venue {
            MarketVenue::Binance => {
                message.binance_best(sketch.symbol, &best, listing.update, time)
            }
            MarketVenue::Bybit => message.bybit_best(sketch.symbol, &best, listing.update, time),
        }
        if quiet { REPEAT } else { 20 * MILLI + self.random.below(80 * MILLI) }
    }

    /// Moves an instrument's best prices.
    fn step(&mut self, index: usize, venue: MarketVenue, now: u64) {
        let moving = &mut self.underlyings[index];
        moving.noise += self.random.around(30_000) - moving.noise / 64;
        let own = &mut moving.own[venue as usize];
        *own += self.random.around(10_000) - *own / 32;
        let fair = self.fair(index, venue, now);
        let spread = 1 + (self.random.below(4) / 3) as i64;
        let bid = (fair / 1_000 - spread / 2).max(1);
        let most = SKETCHES[index].sizes[venue as usize].1;
        let mut size = || 1 + (self.random.below(most).min(self.random.below(most))) as i64;
        let sizes = [size(), size()];
        let listing = &mut self.listings[index][venue as usize];
        // Most messages change one side only.
        let [bid_qty, ask_qty] = match listing.best {
            Some([old_bid, _, old, _]) if old_bid == bid => [old, sizes[1]],
            Some([_, old_ask, _, old]) if old_ask == bid + spread => [sizes[0], old],
            _ => sizes,
        };
        listing.best = Some([bid, bid + spread, bid_qty, ask_qty]);
        listing.update += 1 + self.random.below(40);
    }

    /// Writes a trade at the best price of a side and returns the time until the next.
    fn write_trade(&mut self, index: usize, venue: MarketVenue, time: u64) -> u64 {
        let sketch = &SKETCHES[index];
        let listing = &mut self.listings[index][venue as usize];
        let [bid, ask, bid_qty, ask_qty] = listing.best.expect("quotes begin before trades");
        let buyer_aggressor = self.random.below(2) == 0;
        let (price, shown) = if buyer_aggressor { (ask, ask_qty) } else { (bid, bid_qty) };
        let qty = 1 + self.random.below(shown.unsigned_abs()) as i64;
        listing.trade += 1;
        let print = Print {
            id: listing.trade,
            price: Number { mantissa: price, scale: sketch.price_scale },
            qty: Number { mantissa: qty, scale: sketch.sizes[venue as usize].0 },
            buyer_aggressor,
        };
        let message = Message(&mut self.message);
        match venue {
            MarketVenue::Binance => message.binance_trade(sketch.symbol, &print, time),
            MarketVenue::Bybit => message.bybit_trade(sketch.symbol, &print, time),
        }
        100 * MILLI + self.random.below(600 * MILLI)
    }

    /// Writes a mark price.
    fn write_mark(&mut self, index: usize, now: u64, time: u64) {
        let sketch = &SKETCHES[index];
        let fair = self.fair(index, MarketVenue::Binance, now);
        // On the price grid, with the eight decimals that the venue always writes.
        let decimals = 10i64.pow(u32::from(MARK_SCALE - sketch.price_scale));
        let mark = Number { mantissa: fair / 1_000 * decimals, scale: MARK_SCALE };
        let settles = (self.start.0 / FUNDING + 1) * FUNDING / MILLI;
        Message(&mut self.message).binance_mark(sketch.symbol, mark, FUNDING_RATE, settles, time);
    }
}

#[cfg(test)]
mod tests;
