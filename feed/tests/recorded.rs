//! All recordings and captures of the shared data through the codecs: each message explained by
//! its kind and, where it gave nothing, by its reason; each decoded a second time by the oracle.
//!
//! The numbers were counted in the files with zcat and grep, by stream name and event name, not
//! taken from the codecs. Skipped where the data is absent.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;

use reap_core::tick::{TickBody, TickKind};
use reap_core::units::Nanos;
use reap_feed::decoded::Counts;
use reap_feed::recording::{Item, Recording};

mod support;
use support::{Pair, Row, recorded};

/// What a file must come to: names with numbers, in the order of the names.
struct Expected {
    file: &'static str,
    venue: &'static str,
    symbols: &'static [Row],
    kinds: &'static [(&'static str, u64)],
    ignored: &'static [(&'static str, u64)],
    rejected: &'static [(&'static str, u64)],
    ticks: &'static [(&'static str, u64)],
    /// Lines that are no messages of the venue: connects and our own messages.
    others: u64,
    first: u64,
    last: u64,
}

const RECORDINGS: &[Expected] = &[
    Expected {
        file: "recordings/binance_spot_btcusdt_20230405.gz",
        venue: "binance_spot",
        symbols: &[("BTCUSDT", 2, 5)],
        kinds: &[("depth", 3929), ("quote", 8015), ("trade", 3144)],
        ignored: &[("not_used", 3929)],
        rejected: &[],
        ticks: &[("alive", 3929), ("quote", 8015), ("trade", 3144)],
        others: 0,
        first: 1_680_652_800_004_107_000,
        last: 1_680_653_214_604_980_000,
    },
    Expected {
        file: "recordings/binance_spot_btcusdt_20240808.gz",
        venue: "binance_spot",
        symbols: &[("BTCUSDT", 2, 5)],
        kinds: &[("depth", 3452), ("quote", 28_040), ("trade", 9757)],
        ignored: &[("not_used", 3452)],
        rejected: &[],
        ticks: &[("alive", 3452), ("quote", 28_040), ("trade", 9757)],
        others: 0,
        first: 1_723_161_253_937_085_768,
        last: 1_723_161_599_999_231_384,
    },
    Expected {
        file: "recordings/binance_spot_ethusdt_20240808.gz",
        venue: "binance_spot",
        symbols: &[("ETHUSDT", 2, 4)],
        kinds: &[("depth", 3435), ("quote", 24_077), ("trade", 6106)],
        ignored: &[("not_used", 3435)],
        rejected: &[],
        ticks: &[("alive", 3435), ("quote", 24_077), ("trade", 6106)],
        others: 0,
        first: 1_723_161_254_024_619_568,
        last: 1_723_161_599_900_862_584,
    },
    Expected {
        file: "recordings/binance_usdm_btcusdt_20230405.gz",
        venue: "binance_usdm",
        symbols: &[("BTCUSDT", 2, 3)],
        kinds: &[("depth", 11_788), ("mark", 415), ("quote", 37_440), ("trade", 10_738)],
        // One trade of the insurance fund.
        ignored: &[("not_market", 1), ("not_used", 11_788)],
        rejected: &[],
        ticks: &[
            ("alive", 11_789),
            ("funding", 415),
            ("mark", 415),
            ("quote", 37_440),
            ("trade", 10_737),
        ],
        others: 0,
        first: 1_680_652_800_005_184_000,
        last: 1_680_653_214_683_925_000,
    },
    Expected {
        file: "recordings/binance_usdm_btcusdt_20240808.gz",
        venue: "binance_usdm",
        symbols: &[("BTCUSDT", 2, 3)],
        kinds: &[("depth", 6552), ("quote", 66_089), ("trade", 21_313)],
        ignored: &[("not_used", 6552)],
        rejected: &[],
        ticks: &[("alive", 6552), ("quote", 66_089), ("trade", 21_313)],
        others: 0,
        first: 1_723_161_255_030_314_667,
        last: 1_723_161_599_833_492_584,
    },
    Expected {
        file: "recordings/binance_usdm_ethusdt_20240808.gz",
        venue: "binance_usdm",
        symbols: &[("ETHUSDT", 2, 3)],
        kinds: &[("depth", 6587), ("quote", 53_992), ("trade", 14_076)],
        ignored: &[("not_used", 6587)],
        rejected: &[],
        ticks: &[("alive", 6587), ("quote", 53_992), ("trade", 14_076)],
        others: 0,
        first: 1_723_161_255_088_156_767,
        last: 1_723_161_599_881_488_984,
    },
];

const CAPTURES: &[Expected] = &[
    Expected {
        file: "captures/BINANCE.ws.1.0",
        venue: "binance_spot",
        symbols: &[("NKNUSDT", 4, 0), ("BLZETH", 8, 0), ("LRCBTC", 8, 0), ("RUNEEUR", 3, 1)],
        kinds: &[("candle", 2), ("depth", 177), ("quote", 84), ("trade", 2)],
        ignored: &[("not_used", 179)],
        rejected: &[],
        ticks: &[("alive", 179), ("quote", 84), ("trade", 2)],
        others: 1,
        first: 1_633_998_512_063_356_900,
        last: 1_633_998_542_077_861_800,
    },
    Expected {
        file: "captures/BINANCE_FUTURES.ws.1.0",
        venue: "binance_usdm",
        symbols: &[("SUSHIUSDT", 4, 0), ("AKROUSDT", 5, 0), ("KEEPUSDT", 4, 0), ("CTKUSDT", 5, 0)],
        kinds: &[("candle", 67), ("depth", 764), ("quote", 613), ("trade", 91)],
        ignored: &[("not_used", 831)],
        rejected: &[],
        ticks: &[("alive", 831), ("quote", 613), ("trade", 91)],
        others: 1,
        first: 1_626_992_741_062_170_000,
        last: 1_626_992_771_201_806_000,
    },
    Expected {
        file: "captures/BYBIT_V5.ws.1.0",
        venue: "bybit_linear",
        symbols: &[("BANDUSDT", 4, 1), ("RADUSDT", 4, 1), ("SNTUSDT", 5, 0), ("AIOZUSDT", 5, 0)],
        kinds: &[("ack", 4), ("quote", 198)],
        ignored: &[],
        rejected: &[],
        ticks: &[("quote", 198)],
        others: 5,
        first: 1_749_833_474_285_131_500,
        last: 1_749_833_502_833_824_900,
    },
];

fn check(expected: &Expected) {
    let Some(path) = recorded(expected.file) else { return };
    let mut pair = Pair::new(expected.venue, expected.symbols);
    let mut recording = Recording::open(path).unwrap();
    let mut counts = Counts::default();
    let mut ticks = BTreeMap::new();
    let (mut others, mut first, mut last) = (0, None, Nanos(0));
    while let Some(item) = recording.next().unwrap() {
        let Item::Received { received, raw } = item else {
            others += 1;
            continue;
        };
        assert!(received >= last, "receive times go back in line {}", recording.line());
        first.get_or_insert(received.0);
        last = received;
        let (decoded, found) = pair.check(raw, received);
        counts.record(decoded);
        for tick in found {
            *ticks.entry(name(tick.kind())).or_insert(0) += 1;
            if let TickBody::Quote(quote) = tick.body() {
                assert!(quote.bid <= quote.ask);
            }
        }
    }
    let file = expected.file;
    let sorted = |seen: &mut dyn Iterator<Item = (&'static str, u64)>| {
        let mut seen: Vec<_> = seen.collect();
        seen.sort_unstable();
        seen
    };
    assert_eq!(sorted(&mut counts.kinds()), expected.kinds, "{file}: kinds");
    assert_eq!(sorted(&mut counts.ignored_reasons()), expected.ignored, "{file}: ignored");
    assert_eq!(sorted(&mut counts.rejected_reasons()), expected.rejected, "{file}: rejected");
    assert_eq!(sorted(&mut ticks.into_iter()), expected.ticks, "{file}: ticks");
    assert_eq!((others, first), (expected.others, Some(expected.first)), "{file}");
    assert_eq!(last.0, expected.last, "{file}");
}

fn name(kind: TickKind) -> &'static str {
    match kind {
        TickKind::Quote => "quote",
        TickKind::Trade => "trade",
        TickKind::Mark => "mark",
        TickKind::Funding => "funding",
        TickKind::Alive => "alive",
        TickKind::Refused => "refused",
    }
}

#[test]
fn recordings_are_explained_message_by_message() {
    RECORDINGS.iter().for_each(check);
}

#[test]
fn captures_are_explained_message_by_message() {
    CAPTURES.iter().for_each(check);
}

/// With a scale that is too small or a symbol that is not watched nothing is lost silently.
#[test]
fn f8_f14_the_same_recording_with_another_table() {
    let Some(path) = recorded("recordings/binance_usdm_btcusdt_20230405.gz") else { return };
    let read = |symbols: &[Row]| {
        let mut pair = Pair::new("binance_usdm", symbols);
        let mut recording = Recording::open(&path).unwrap();
        let mut counts = Counts::default();
        while let Some(item) = recording.next().unwrap() {
            if let Item::Received { received, raw } = item {
                counts.record(pair.check(raw, received).0);
            }
        }
        counts
    };
    let unknown = read(&[("ETHUSDT", 2, 3)]);
    assert_eq!(
        unknown.ignored_reasons().collect::<Vec<_>>(),
        [
            ("not_used", 11_788),
            // Every quote, mark and trade.
            ("unknown_symbol", 37_440 + 415 + 10_738),
        ]
    );
    let coarse = read(&[("BTCUSDT", 0, 3)]);
    let rejected: u64 = coarse.rejected_reasons().map(|(_, count)| count).sum();
    assert!(rejected > 40_000, "{rejected}");
    assert_eq!(coarse.total(), 60_381);
}
