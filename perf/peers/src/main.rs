//! Quotes a second through Reap's engine and through barter's, on the same events:
//! `cargo run --release --manifest-path perf/peers/Cargo.toml [QUOTES]`.
//!
//! ```text
//!   1,000 symbols, one position each ── quotes in random order ──▶ Engine::on_event   (Reap)
//!                                                              └─▶ Engine::process    (barter)
//! ```
//!
//! barter keeps one position for each instrument, so that is the shape. Reap's positions have two to
//! six rules each. barter has no exit rules of its own: once it runs bare (it updates the price and
//! the position's unrealised profit), once with a strategy that looks at a stop and a target of every
//! position, as its interface asks for: the strategy is shown the whole state after each event. No
//! rule fires in either. Events are made beforehand; the engines take turns in rounds.
#![expect(clippy::print_stdout, reason = "the report is what it is for")]

mod peer;
mod reap;

use std::time::{Duration, Instant};

/// Symbols, and positions.
const SYMBOLS: usize = 1000;
/// Quotes of one round.
const ROUND: usize = 20_000;
/// The mid that every symbol begins at, in hundredths.
const MID: i64 = 5_000_000;

/// One quote: symbol, bid in hundredths (the ask is one above), its number from 1.
#[derive(Clone, Copy)]
struct Quoted {
    symbol: usize,
    bid: i64,
    number: u64,
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        low + ((z ^ (z >> 31)) % (high - low + 1) as u64) as i64
    }
}

/// Time of the rounds that count.
#[derive(Default)]
struct Spent {
    quotes: usize,
    time: Duration,
}

impl Spent {
    fn round(&mut self, counts: bool, quotes: usize, run: impl FnOnce()) {
        let begun = Instant::now();
        run();
        if counts {
            self.quotes += quotes;
            self.time += begun.elapsed();
        }
    }

    fn print(&self, name: &str) {
        let nanos = self.time.as_nanos() as f64 / self.quotes.max(1) as f64;
        println!("{name:<44} {nanos:>10.1} ns a quote {:>14.0} quotes a second", 1e9 / nanos);
    }
}

fn main() {
    let wanted = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let rounds = (wanted / ROUND).max(2);
    let mut reap = reap::Engine::new();
    let mut bare = peer::Engine::new(false);
    let mut strategic = peer::Engine::new(true);
    let mut random = Random(7);
    let mut bids = vec![MID; SYMBOLS];
    let mut number = 0;
    let mut spent: [Spent; 3] = Default::default();
    for round in 0..=rounds {
        let quotes: Vec<Quoted> = (0..ROUND)
            .map(|_| {
                number += 1;
                let symbol = random.between(0, SYMBOLS as i64 - 1) as usize;
                let bid = bids[symbol] + random.between(-20, 20);
                bids[symbol] = bid.clamp(MID - 5_000, MID + 5_000);
                Quoted { symbol, bid: bids[symbol], number }
            })
            .collect();
        // The first round warms up.
        let counts = round > 0;
        let events = reap::events(&quotes);
        spent[0].round(counts, ROUND, || reap.process(&events));
        let events = peer::events(&quotes);
        spent[1].round(counts, ROUND, || bare.process(events));
        // It looks at a thousand positions for each quote: a twentieth of the round will do.
        let few = &quotes[..ROUND / 20];
        let events = peer::events(few);
        spent[2].round(counts, few.len(), || strategic.process(events));
    }
    assert_eq!(reap.intents(), 0, "no rule fires in this market");
    assert_eq!(strategic.orders(), 0, "no rule fires in this market");
    spent[0].print("reap, two to six rules a position");
    spent[1].print("barter, bare");
    spent[2].print("barter, a stop and a target a position");
}
