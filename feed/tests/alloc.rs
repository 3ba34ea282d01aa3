//! Decoding allocates nothing, whatever comes: good, bad and unknown messages alike.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use reap_core::units::Nanos;
use reap_feed::recording::{Item, Recording};

mod support;
use support::{Row, SOURCE, codec, fixture_messages, recorded, venues};

const SYMBOLS: &[Row] =
    &[("BTCUSDT", 2, 3), ("ETHUSDT", 2, 4), ("BNBUSDT", 4, 2), ("BNBBTC", 3, 0)];

/// Heap allocations of decoding these messages with every venue's codec, the first pass included.
fn allocations(messages: &[Vec<u8>]) -> u64 {
    let (mut total, mut ticks) = (0, 0u64);
    for venue in venues() {
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
    let mut messages = Vec::new();
    for raw in fixture_messages() {
        messages.extend((0..=raw.len()).map(|end| raw[..end].to_vec()));
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

/// Queues an order, takes its bytes, and hears the receipt, the fill and the end.
#[test]
fn an_order_from_its_bytes_to_its_end_allocates_nothing() {
    use reap_core::instrument::{AccountId, InstrumentId};
    use reap_core::order::{ClientOrderId, Order, OrderSide};
    use reap_core::position::PositionId;
    use reap_core::units::{Price, Qty};
    use reap_feed::trading::{Channel, Keys, Output, TradingInstrument, TradingSetup};
    use reap_feed::venues::Venue;

    const WALL: u64 = 1_700_000_000_000;
    for venue in ["binance_usdm", "bybit_linear"] {
        let setup = TradingSetup {
            keys: Keys::new("key".repeat(21), "secret".repeat(10)),
            instruments: vec![TradingInstrument {
                id: InstrumentId(0),
                symbol: "BTCUSDT".into(),
                instrument: support::instrument(2, 3),
            }],
            account: AccountId(0),
            seed: 1,
            rest_host: "rest.example.com".into(),
            orders_max: 8,
        };
        let mut trading = Venue::find(venue).unwrap().trading.unwrap()(setup).unwrap();
        let now = Nanos::from_secs(1);
        let steps: &[(u8, &str)] = match venue {
            "binance_usdm" => {
                &[(0, r#"{"id":"17000000000000","status":200,"result":{"listenKey":"k"}}"#)]
            }
            _ => &[
                (0, r#"{"retCode":0,"op":"auth"}"#),
                (1, r#"{"success":true,"op":"auth"}"#),
                (1, r#"{"success":true,"op":"subscribe"}"#),
            ],
        };
        for ch in [0, 2] {
            trading.on_open(Channel(ch), now, WALL);
        }
        if venue == "bybit_linear" {
            trading.on_open(Channel(1), now, WALL);
        }
        for (ch, raw) in steps {
            trading.on_message(Channel(*ch), now, WALL, raw.as_bytes());
        }
        if venue == "binance_usdm" {
            trading.on_open(Channel(1), now, WALL);
        }
        while trading.poll_output().is_some() {}
        while trading.poll_event().is_some() {}
        assert!(trading.is_ready(), "{venue}");
        let order = |attempt| Order {
            id: ClientOrderId { epoch: 1, position: PositionId(2), leg: 0, plan: 3, attempt },
            account: AccountId(0),
            instrument: InstrumentId(0),
            side: OrderSide::Sell,
            qty: Qty::new(10).unwrap(),
            limit: Some(Price::new(991_010).unwrap()),
            reduce_only: true,
        };
        let messages: Vec<[String; 2]> = (0..50)
            .map(|attempt| {
                let id = order(attempt).id;
                match venue {
                    "binance_usdm" => ["TRADE\",\"X\":\"PARTIALLY_FILLED", "EXPIRED\",\"X\":\"EXPIRED"].map(|what| {
                        format!(r#"{{"e":"ORDER_TRADE_UPDATE","o":{{"s":"BTCUSDT","c":"{id}","S":"SELL","x":"{what}","i":7,"z":"0.004","t":{attempt},"L":"9910.5","l":"0.004","n":"0.01","N":"USDT","m":false}}}}"#)
                    }),
                    _ => [
                        format!(r#"{{"topic":"execution","data":[{{"category":"linear","symbol":"BTCUSDT","orderId":"7","orderLinkId":"{id}","side":"Sell","execId":"{attempt}","execType":"Trade","execPrice":"9910.5","execQty":"0.004","execFee":"0.01","feeCurrency":"USDT","isMaker":false}}]}}"#),
                        format!(r#"{{"topic":"order","data":[{{"category":"linear","symbol":"BTCUSDT","orderId":"7","orderLinkId":"{id}","side":"Sell","orderStatus":"Cancelled","rejectReason":"EC","qty":"0.010","cumExecQty":"0.004"}}]}}"#),
                    ],
                }
            })
            .collect();
        let (mut sent, mut events) = (0, 0);
        let counted = allocation_counter::measure(|| {
            for (attempt, messages) in (0..).zip(&messages) {
                trading.place(now, WALL, &order(attempt)).unwrap();
                while let Some(output) = trading.poll_output() {
                    sent += usize::from(matches!(output, Output::Send { .. }));
                }
                for raw in messages {
                    trading.on_message(Channel(1), now, WALL, raw.as_bytes());
                }
                while trading.poll_event().is_some() {
                    events += 1;
                }
            }
        });
        assert_eq!((sent, events), (50, 150), "{venue}");
        assert_eq!(counted.count_total, 0, "{venue}");
    }
}
