//! The private stream's key, positions, setups.

use super::*;
use crate::trading::testing::SECRET;

#[test]
fn a_listen_key_is_pinged_and_an_expired_one_replaced() {
    let mut play = ready();
    play.wait(Nanos::from_secs(1799));
    assert!(play.sent().is_empty());
    play.wait(Nanos::from_secs(1));
    let ping = play.sent_one(0);
    assert!(ping.contains("userDataStream.ping"));
    play.tell(0, answer(&ping, r#""status":200,"result":{"listenKey":"abcKEY1"}"#));
    play.wait(Nanos::from_secs(1800));
    let ping = play.sent_one(0);
    play.tell(
        0,
        answer(
            &ping,
            r#""status":400,"error":{"code":-1125,"msg":"This listenKey does not exist."}"#,
        ),
    );
    let not_ready = TradingEvent::NotReady(NotReadyReason::StreamLost);
    assert_eq!((play.events(), play.closed.pop()), (vec![not_ready], Some(1)));
    for expired in [false, true] {
        if expired {
            play.tell(1, r#"{"e":"listenKeyExpired","E":1576653824250,"listenKey":"abcKEY3"}"#);
            assert_eq!((play.events(), play.closed.pop()), (vec![not_ready], Some(1)));
        }
        play.lose(1);
        play.wait(Nanos(0));
        let start = play.sent_one(0);
        assert!(start.contains("userDataStream.start"));
        play.tell(0, answer(&start, r#""status":200,"result":{"listenKey":"abcKEY3"}"#));
        play.open(1);
        assert_eq!(play.events(), [TradingEvent::Ready]);
    }
}

#[test]
fn a_refused_listen_key_is_told_once_and_asked_for_again() {
    let mut play = Play::new(MAKE);
    play.open(0);
    for _ in 0..3 {
        let start = play.sent_one(0);
        play.tell(
            0,
            answer(&start, r#""status":401,"error":{"code":-2015,"msg":"Invalid API-key"}"#),
        );
        play.wait(Nanos::from_secs(60));
    }
    let refused = TradingEvent::Refused { what: RefusedWhat::ListenKey, code: -2015 };
    assert_eq!(play.events(), [refused]);
    assert!(!play.trading.is_ready());
    // Silence, and a key that does not belong into a path.
    play.sent();
    play.wait(Nanos::from_secs(7));
    let start = play.sent_one(0);
    play.tell(0, answer(&start, r#""status":200,"result":{"listenKey":"a/../b\r\n"}"#));
    assert!(play.opened.iter().all(|(ch, _)| *ch != 1));
}

/// X24: an answer that is not understood to its end says nothing of any position.
#[test]
fn x24_positions_are_given_all_or_none() {
    let row = |symbol, side, amount| {
        format!(
            r#"{{"symbol":"{symbol}","positionSide":"{side}","positionAmt":"{amount}","entryPrice":"1"}}"#
        )
    };
    let mut play = ready();
    play.query_positions();
    assert!(play.sent_one(2).starts_with("GET /fapi/v3/positionRisk?recvWindow=5000&timestamp="));
    assert_eq!(play.trading.query_positions(play.now, play.wall()), Err(NotSent::Busy));
    play.respond(
        200,
        format!("[{},{}]", row("ETHUSDT", "BOTH", "-1.500"), row("XRPUSDT", "BOTH", "1")),
    );
    assert_eq!(
        play.events(),
        [
            TradingEvent::Position { instrument: BTC, qty: 0 },
            TradingEvent::Position { instrument: ETH, qty: -1500 },
            TradingEvent::PositionsEnd,
        ]
    );
    let whole = format!("[{}]", row("ETHUSDT", "BOTH", "-1.500"));
    let mut bad: Vec<(u16, String)> =
        (0..whole.len()).map(|end| (200, whole[..end].into())).collect();
    bad.push((200, "{}".into()));
    bad.push((200, format!("[{}]", row("ETHUSDT", "BOTH", "-1.5001"))));
    bad.push((200, format!("[{},{}]", row("ETHUSDT", "BOTH", "1"), row("ETHUSDT", "BOTH", "1"))));
    bad.push((503, whole.clone()));
    for (status, body) in bad {
        play.query_positions();
        play.respond(status, &body);
        let events = play.events();
        assert!(matches!(events[..], [TradingEvent::PositionsFailed { .. }]), "{body} {events:?}");
    }
    play.query_positions();
    play.respond(
        200,
        format!("[{},{}]", row("ETHUSDT", "LONG", "1"), row("ETHUSDT", "SHORT", "-1")),
    );
    let refused = TradingEvent::Refused { what: RefusedWhat::PositionMode, code: 0 };
    assert_eq!(play.events(), [refused, TradingEvent::PositionsFailed { code: 0 }]);
    play.query_positions();
    play.wait(Nanos::from_secs(5));
    assert_eq!(play.events(), [TradingEvent::PositionsFailed { code: 0 }]);
    assert_eq!(play.closed.pop(), Some(2));
    // The late answer is nobody's.
    play.respond(200, &whole);
    assert_eq!(play.events(), []);
    play.lose(2);
    play.open(2);
    play.sent();
    play.query_positions();
    play.lose(2);
    assert_eq!(play.events(), [TradingEvent::PositionsFailed { code: 0 }]);
}

#[test]
fn setups_that_cannot_be_and_keys_that_are_never_shown() {
    let refused = |change: &dyn Fn(&mut TradingSetup)| {
        let mut setup = setup();
        change(&mut setup);
        Play::with(MAKE, setup).err().expect("a refusal")
    };
    let errors = [
        refused(&|setup| setup.keys = crate::trading::Keys::new("a\r\nb".into(), SECRET.into())),
        refused(&|setup| setup.keys = crate::trading::Keys::new(KEY.into(), String::new())),
        refused(&|setup| setup.rest_host = "a b".into()),
        refused(&|setup| setup.orders_max = 0),
        refused(&|setup| setup.orders_max = 5000),
        refused(&|setup| setup.instruments.clear()),
        refused(&|setup| setup.instruments[1].symbol = "BTCUSDT".into()),
        refused(&|setup| setup.instruments[1].symbol = "BTC\"USDT".into()),
    ];
    for error in errors {
        let text = format!("{error} {error:?}");
        assert!(!text.contains(&KEY[..8]) && !text.contains(&SECRET[..8]), "{text}");
    }
    let trading = UsdmTrading::new(setup()).unwrap();
    for text in [format!("{:?}", setup()), format!("{trading:?}")] {
        assert!(!text.contains(&KEY[..8]) && !text.contains(&SECRET[..8]), "{text}");
    }
    let trading = (VENUE.trading.unwrap())(setup()).unwrap();
    assert_eq!(trading.channels().len(), 3);
}
