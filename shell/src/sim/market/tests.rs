use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

const START: Nanos = Nanos(1_767_225_600_000_000_000);

/// FNV-1a over times, venues and bytes.
fn hash(seed: u64, length: Nanos) -> (u64, u64) {
    let mut market = Market::new(seed, START, length);
    let (mut hash, mut count) = (0xcbf2_9ce4_8422_2325u64, 0);
    while let Some(frame) = market.next_frame() {
        let time = frame.at.0.to_le_bytes();
        for byte in time.iter().chain(&[frame.venue as u8]).chain(frame.raw) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
        count += 1;
    }
    (hash, count)
}

#[test]
fn a_seed_gives_the_same_bytes_in_every_build() {
    assert_eq!(hash(1, Nanos::from_secs(60)), (5_334_086_974_940_844_177, 7_036));
    assert_ne!(hash(1, Nanos::from_secs(5)).0, hash(2, Nanos::from_secs(5)).0);
}

/// A decimal as a mantissa at four decimals.
fn number(value: &Value) -> i64 {
    let (whole, fraction) =
        value.as_str().unwrap().split_once('.').unwrap_or((value.as_str().unwrap(), ""));
    format!("{whole}{fraction:0<4}").parse().unwrap()
}

/// What one message says of a best price: venue and symbol, update id, bid, ask.
fn best(venue: MarketVenue, message: &Value) -> Option<((MarketVenue, String), u64, [i64; 4])> {
    let data = &message["data"];
    let symbol = || data["s"].as_str().unwrap().to_owned();
    let update = data["u"].as_u64()?;
    let sides = match venue {
        MarketVenue::Binance => [&data["b"], &data["a"], &data["B"], &data["A"]],
        MarketVenue::Bybit => {
            [&data["b"][0][0], &data["a"][0][0], &data["b"][0][1], &data["a"][0][1]]
        }
    };
    Some(((venue, symbol()), update, sides.map(number)))
}

#[test]
fn every_message_is_json_in_order_and_no_quote_is_crossed_or_jumps() {
    for seed in 0..4 {
        let mut market = Market::new(seed, START, Nanos::from_secs(120));
        let mut last: BTreeMap<(MarketVenue, String), (u64, [i64; 4])> = BTreeMap::new();
        let mut before = START;
        let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
        while let Some(frame) = market.next_frame() {
            assert!(frame.at >= before && frame.at < START.plus(Nanos::from_secs(120)));
            before = frame.at;
            let message: Value = serde_json::from_slice(frame.raw).unwrap();
            let kind = message["stream"].as_str().or(message["topic"].as_str()).unwrap_or("other");
            let kind = kind.split(['@', '.']).find(|part| !part.ends_with("usdt")).unwrap();
            *kinds.entry(kind.to_owned()).or_default() += 1;
            let Some((instrument, update, quote)) = best(frame.venue, &message) else { continue };
            let [bid, ask, bid_qty, ask_qty] = quote;
            assert!(0 < bid && bid < ask && bid_qty > 0 && ask_qty > 0, "{message}");
            if let Some((old_update, old)) = last.insert(instrument, (update, quote)) {
                assert!(update > old_update || update == old_update && quote == old, "{message}");
                assert!((bid - old[0]).abs() < old[0] / 100, "a step is below a percent");
            }
        }
        assert_eq!(last.len(), 6);
        let names: Vec<&str> = kinds.keys().map(String::as_str).collect();
        let expected = ["aggTrade", "bookTicker", "markPrice", "orderbook", "other", "publicTrade"];
        assert_eq!(names, expected);
    }
}

#[test]
fn prices_part_and_come_back() {
    let mut market = Market::new(7, START, Market::DEMO_LENGTH);
    let mut bids: BTreeMap<(MarketVenue, String), i64> = BTreeMap::new();
    let mut widest = [0i64; 2];
    let mut first = None;
    let mut lowest_after = i64::MAX;
    while let Some(frame) = market.next_frame() {
        let message: Value = serde_json::from_slice(frame.raw).unwrap();
        let Some((instrument, _, quote)) = best(frame.venue, &message) else { continue };
        bids.insert(instrument, quote[0]);
        let bid = |venue| bids.get(&(venue, "BTCUSDT".to_owned()));
        if let (Some(a), Some(b)) = (bid(MarketVenue::Binance), bid(MarketVenue::Bybit)) {
            let premium = (b - a) * 10_000 / a;
            first.get_or_insert(premium);
            widest = [widest[0].min(premium), widest[1].max(premium)];
            lowest_after = premium.abs();
        }
    }
    assert!(first.unwrap() > 45, "{first:?}");
    assert!(widest[0] < -40 && widest[1] > 45, "{widest:?}");
    assert!(lowest_after < 6, "{lowest_after}");
}

#[test]
fn the_demonstration_knows_every_symbol_and_its_grid() {
    let config = crate::config::Config::demo();
    assert!(config.positions.len() >= 12);
    let mut market = Market::new(3, START, Nanos::from_secs(60));
    while let Some(frame) = market.next_frame() {
        let message: Value = serde_json::from_slice(frame.raw).unwrap();
        let Some(((_, symbol), _, [bid, ask, bid_qty, ask_qty])) = best(frame.venue, &message)
        else {
            continue;
        };
        let venue = frame.venue as u8;
        let found = |one: &&crate::config::NamedInstrument| {
            one.symbol == symbol && one.spec().venue.0 == venue
        };
        let spec = config.instruments.iter().find(found).unwrap().spec();
        let step = |grid: i64, scale: u8| grid * 10i64.pow(4 - u32::from(scale));
        let (tick, lot) = (step(spec.tick, spec.price_scale), step(spec.lot, spec.qty_scale));
        assert_eq!((bid % tick, ask % tick, bid_qty % lot, ask_qty % lot), (0, 0, 0, 0));
    }
}
