//! The way of a tick through the whole pipeline, message by message.

use reap_core::instrument::VenueId;
use reap_core::intent::Reason;
use reap_core::units::Nanos;
use reap_shell::config::Config;
use reap_shell::pipeline::{Happening, Pipeline};

const TWO_SHORTS: &str = r#"
[venue.usdm]
kind = "binance_usdm"
taker = "5bps"
maker = "2bps"

[instrument.perp]
venue = "usdm"
symbol = "BTCUSDT"
quote = "USDT"
tick = "0.10"
lot = "0.001"

[policy.single]
take_profit = "1%"

[[position]]
name = "one"
policy = "single"
opened = "first quote"
legs = [{ instrument = "perp", side = "short", entry = "10000", qty = "0.5" }]

[[position]]
name = "two"
policy = "single"
opened = "first quote"
legs = [{ instrument = "perp", side = "short", entry = "10000", qty = "0.5" }]
"#;

/// Funding that brings several positions to their target closes them all.
#[test]
fn a_settlement_may_close_more_than_one_position() {
    let config = Config::parse("two-shorts.toml", TWO_SHORTS).unwrap();
    let mut pipeline = Pipeline::new(config, &[VenueId(0)]).unwrap();
    let mut reasons = Vec::new();
    let second = 1_000_000_000;
    let funding = |settles: u64, rate: &str| {
        format!(
            r#"{{"e":"markPriceUpdate","E":1,"s":"BTCUSDT","p":"10000.0","P":"10000.0","i":"10000.0","r":"{rate}","T":{settles}}}"#
        )
    };
    let quote = |id: u64| {
        format!(
            r#"{{"e":"bookTicker","u":{id},"s":"BTCUSDT","b":"9999.9","B":"9.000","a":"10000.0","A":"9.000","T":1,"E":1}}"#
        )
    };
    let messages = [
        (1, quote(1)),
        (2, funding(10_000, "0.05")),
        (9, quote(2)),
        (11, funding(20_000, "0.05")),
        (12, quote(3)),
        (13, quote(4)),
    ];
    for (at, message) in messages {
        pipeline.on_message(Nanos(at * second), 0, message.as_bytes(), &mut |_, at, happening| {
            if let Happening::Intent(intent) = happening {
                reasons.push((at, intent.reason));
            }
        });
    }
    assert_eq!(reasons, [(0, Reason::TakeProfit), (1, Reason::TakeProfit)]);
    assert!(pipeline.standings().iter().all(|standing| standing.closed));
}
