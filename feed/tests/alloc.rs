//! Decoding allocates nothing, whatever comes: good, bad and unknown messages alike.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use reap_core::units::Nanos;
use reap_feed::recording::{Item, Recording};

mod support;
use support::{Row, SOURCE, codec, recorded};

const SYMBOLS: &[Row] =
    &[("BTCUSDT", 2, 3), ("ETHUSDT", 2, 4), ("BNBUSDT", 4, 2), ("BNBBTC", 3, 0)];

/// Heap allocations of decoding these messages with every venue's codec, the first pass included.
fn allocations(messages: &[Vec<u8>]) -> u64 {
    let venues = ["binance_spot", "binance_usdm", "bybit_linear", "bybit_spot"];
    let (mut total, mut ticks) = (0, 0u64);
    for venue in venues {
        let mut codec = codec(venue, SYMBOLS);
        let counted = allocation_counter::measure(|| {
            for raw in messages {
                codec.decode(raw, Nanos(1_723_161_255_030_314_667), SOURCE, &mut |_| ticks += 1);
            }
        });
        total += counted.count_total;
    }
    assert!(ticks > 200, "{ticks}");
    total
}

#[test]
fn decoding_fixtures_cut_anywhere_allocates_nothing() {
    let venues = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/venues");
    let mut messages = Vec::new();
    for file in [
        "binance_spot/fixtures/market",
        "binance_usdm/fixtures/market",
        "bybit/fixtures/linear",
        "bybit/fixtures/spot",
    ] {
        let text = std::fs::read_to_string(venues.join(format!("{file}.txt"))).unwrap();
        for raw in text.lines().filter_map(|line| line.strip_prefix("> ")) {
            messages.extend((0..=raw.len()).map(|end| raw.as_bytes()[..end].to_vec()));
        }
    }
    messages.push(format!("{{\"x\":{}", "[".repeat(100_000)).into_bytes());
    assert_eq!(allocations(&messages), 0);
}

#[test]
fn decoding_a_recording_allocates_nothing() {
    let Some(path) = recorded("recordings/binance_usdm_btcusdt_20230405.gz") else { return };
    let mut recording = Recording::open(path).unwrap();
    let mut messages = Vec::new();
    while let Some(item) = recording.next().unwrap() {
        if let Item::Received { raw, .. } = item {
            messages.push(raw.to_vec());
        }
    }
    assert_eq!(allocations(&messages), 0);
}

/// The reader's one buffer grows to the longest line and no further.
#[test]
fn reading_a_recording_allocates_only_for_longer_lines() {
    let Some(path) = recorded("recordings/binance_spot_btcusdt_20230405.gz") else { return };
    let mut recording = Recording::open(path).unwrap();
    let mut lines = 0u64;
    let counted = allocation_counter::measure(|| {
        while recording.next().unwrap().is_some() {
            lines += 1;
        }
    });
    assert_eq!(lines, 15_088);
    assert!(counted.count_total < 20, "{} allocations", counted.count_total);
}
