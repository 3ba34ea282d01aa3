//! One real bookTicker message through the codec, and through serde_json beside it.
//!
//! ```text
//!   recorded message in hand ──▶ codec ──────────────────────▶ tick
//!                            └─▶ serde_json, borrowed strings,
//!                                plain integer decimals ─────▶ the same tick
//! ```
//!
//! Both decode the same messages in the same order, block by block by turns.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use reap_benches::serde_reference;
use reap_core::instrument::{InstrumentId, SourceId};
use reap_core::tick::Tick;
use reap_core::units::Nanos;
use reap_feed::recording::{Item, Recording};
use reap_feed::symbols::{Symbol, Symbols};
use reap_feed::venues::{MarketCodec, Venue};

use super::ScenarioError;
use crate::figures::Figures;
use crate::timing::{Steps, Stopwatch};

const GOAL: f64 = 0.30;
/// Messages of a block: small enough to stay in the caches of both.
const BLOCK: usize = 500;
const GROUP: usize = 25;

/// A recording: label, file, venue, symbol, scales.
const RECORDINGS: [(&str, &str, &str, &str, u8, u8); 4] = [
    ("spot btc", "binance_spot_btcusdt_20240808.gz", "binance_spot", "BTCUSDT", 2, 5),
    ("spot eth", "binance_spot_ethusdt_20240808.gz", "binance_spot", "ETHUSDT", 2, 4),
    ("usdm btc", "binance_usdm_btcusdt_20240808.gz", "binance_usdm", "BTCUSDT", 1, 3),
    ("usdm eth", "binance_usdm_ethusdt_20240808.gz", "binance_usdm", "ETHUSDT", 2, 3),
];

pub(crate) fn run(work: u64) -> Result<Figures, ScenarioError> {
    let folder = Path::new("../shared/data/recordings");
    let stopwatch = Stopwatch::new();
    let mut figures = Figures::default();
    figures.figure("cost of measuring, ns", stopwatch.cost as f64);
    for (label, file, venue, name, price_scale, qty_scale) in RECORDINGS {
        let messages = book_tickers(&folder.join(file))?;
        let symbol = Symbol { instrument: InstrumentId(0), price_scale, qty_scale };
        let symbols = Symbols::new([(name, symbol)]).expect("one constant symbol");
        let venue = Venue::find(venue).expect("a constant venue");
        let mut codec = (venue.market)(symbols.clone());
        let take = (messages.len() * work.min(100) as usize / 100).max(BLOCK).min(messages.len());
        let messages = &messages[..take];
        check(messages, codec.as_mut(), &symbols)?;
        let [ours, theirs] = measure(messages, codec.as_mut(), &symbols, &stopwatch);
        for (side, timing) in [("codec", &ours), ("serde", &theirs)] {
            figures.figure(format!("{label} {side} p50, ns"), timing.typical());
            figures.figure(format!("{label} {side} p99, ns"), timing.single.percentile(99.0));
            figures.figure(format!("{label} {side} p99.9, ns"), timing.single.percentile(99.9));
            figures.figure(format!("{label} {side} max, ns"), timing.single.max());
        }
        figures.figure(format!("{label} messages, count"), messages.len() as f64);
        figures.ratio(format!("{label} p50"), ours.typical() / theirs.typical(), GOAL);
        let tails = [&ours, &theirs].map(|timing| timing.single.percentile(99.0).max(1.0));
        figures.ratio(format!("{label} p99"), tails[0] / tails[1], GOAL);
    }
    Ok(figures)
}

fn book_tickers(path: &PathBuf) -> Result<Vec<(Nanos, Vec<u8>)>, ScenarioError> {
    let missing = |error: &dyn std::fmt::Display| ScenarioError::Missing(error.to_string());
    let mut recording = Recording::open(path).map_err(|error| missing(&error))?;
    let mut messages = Vec::new();
    while let Some(item) = recording.next().map_err(|error| missing(&error))? {
        if let Item::Received { received, raw } = item
            && raw.windows(10).any(|window| window == b"bookTicker")
        {
            messages.push((received, raw.to_vec()));
        }
    }
    Ok(messages)
}

fn decode(codec: &mut dyn MarketCodec, received: Nanos, raw: &[u8]) -> Option<Tick> {
    let mut found = None;
    codec.decode(raw, received, SourceId(0), &mut |tick| found = Some(tick));
    found
}

/// Both give the same tick for every message, or there is nothing to compare.
fn check(
    messages: &[(Nanos, Vec<u8>)],
    codec: &mut dyn MarketCodec,
    symbols: &Symbols,
) -> Result<(), ScenarioError> {
    for (received, raw) in messages {
        let theirs = serde_reference::decode(raw, *received, SourceId(0), symbols);
        if theirs.is_none() || decode(codec, *received, raw) != theirs {
            let message = String::from_utf8_lossy(raw).into_owned();
            return Err(ScenarioError::Disagree(message));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Timing {
    single: Steps,
    /// Means of groups in tenths of a nanosecond: the clock ticks too slowly for one message.
    groups: Steps,
}

impl Timing {
    fn typical(&self) -> f64 {
        self.groups.percentile(50.0) / 10.0
    }
}

fn measure(
    messages: &[(Nanos, Vec<u8>)],
    codec: &mut dyn MarketCodec,
    symbols: &Symbols,
    stopwatch: &Stopwatch,
) -> [Timing; 2] {
    let mut timings = [Timing::default(), Timing::default()];
    for block in messages.chunks(BLOCK) {
        // The first round of a block warms both; the second counts.
        for counts in [false, true] {
            for (side, timing) in timings.iter_mut().enumerate() {
                for group in block.chunks_exact(GROUP.min(block.len())) {
                    let mut sum = 0;
                    for (received, raw) in group {
                        let nanos = stopwatch.time(|| {
                            if side == 0 {
                                black_box(decode(codec, *received, black_box(raw)));
                            } else {
                                let (raw, source) = (black_box(raw), SourceId(0));
                                black_box(serde_reference::decode(raw, *received, source, symbols));
                            }
                        });
                        sum += nanos;
                        if counts {
                            timing.single.record(nanos);
                        }
                    }
                    if counts {
                        timing.groups.record(sum * 10 / group.len() as u64);
                    }
                }
            }
        }
    }
    timings
}
