//! Whole conversations with the venue, after the facts' sheet.

use reap_core::order::{OrderChange, RejectClass};
use reap_core::units::{Nanos, Qty};

use super::*;
use crate::trading::testing::{
    BTC, ETH, KEY, Play, SECRET, WALL_MS, buy, filled, fixture, hostile, id, order_event, quoted,
    recorded, sell, setup, standing,
};
use crate::trading::{Standing, UnknownWhy};
use crate::venues::MakeTrading;
use crate::venues::binance_usdm::VENUE;

mod account;

const MAKE: MakeTrading = |setup| Ok(Box::new(UsdmTrading::new(setup)?));

fn answer(request: &str, rest: &str) -> String {
    format!("{{\"id\":\"{}\",{rest}}}", quoted(request, "id"))
}

fn ready() -> Play {
    let mut play = Play::new(MAKE);
    play.open(2);
    play.open(0);
    let start = play.sent_one(0);
    play.tell(0, answer(&start, r#""status":200,"result":{"listenKey":"abcKEY1"}"#));
    play.open(1);
    assert_eq!(play.events(), [TradingEvent::Ready]);
    play
}

/// Orders 1 and 2 are live and known.
fn two_live() -> Play {
    let mut play = ready();
    for order in [sell(1), buy(2)] {
        play.place(&order);
        let request = play.sent_one(0);
        let (symbol, number) =
            if order.instrument == BTC { ("BTCUSDT", 8_886_774) } else { ("ETHUSDT", 8_886_999) };
        let result = format!(
            r#""status":200,"result":{{"orderId":{number},"symbol":"{symbol}","status":"NEW","clientOrderId":"{}"}}"#,
            order.id
        );
        play.tell(0, answer(&request, &result));
        assert_eq!(play.events(), [order_event(order.id, OrderChange::Acked)]);
    }
    play
}

/// An event of order 1.
fn update(what: &str, status: &str, executed: &str, rest: &str) -> String {
    format!(
        r#"{{"e":"ORDER_TRADE_UPDATE","E":1,"T":1,"o":{{"s":"BTCUSDT","c":"{}","S":"SELL","x":"{what}","X":"{status}","i":8886774,"z":"{executed}","t":0{rest}}}}}"#,
        id(1)
    )
}

fn trade(number: u64, status: &str, executed: &str, qty: &str, fee: &str) -> String {
    update("TRADE", status, executed, &format!(r#","l":"{qty}","L":"9910.50","m":false,{fee}"#))
        .replace(r#""t":0"#, &format!(r#""t":{number}"#))
}

const FEE: &str = r#""n":"0.0049","N":"USDT""#;
/// 0.0049 at the nano scale of 2 + 3 + 9 decimals.
const FEE_NANO: i128 = 490_000_000_000;

fn status_body(status: &str, executed: &str) -> String {
    format!(
        r#"{{"orderId":8886774,"symbol":"BTCUSDT","status":"{status}","clientOrderId":"{}","price":"9910.10","avgPrice":"0.00","origQty":"0.010","executedQty":"{executed}","side":"SELL","type":"LIMIT"}}"#,
        id(1)
    )
}

fn trade_row(number: u64, qty: &str) -> String {
    format!(
        r#"{{"buyer":false,"commission":"0.0049","commissionAsset":"USDT","id":{number},"maker":false,"orderId":8886774,"price":"9910.50","qty":"{qty}","quoteQty":"1","realizedPnl":"0","side":"SELL","positionSide":"BOTH","symbol":"BTCUSDT","time":1569514978020}}"#
    )
}

#[test]
fn requests_byte_by_byte() {
    let mut play = Play::new(MAKE);
    assert_eq!(play.opened, [(0, "/ws-fapi/v1".to_owned()), (2, "/".to_owned())]);
    play.open(0);
    assert_eq!(
        play.sent_one(0),
        format!(
            r#"{{"id":"17000000000000","method":"userDataStream.start","params":{{"apiKey":"{KEY}"}}}}"#
        )
    );
    play.tell(0, r#"{"id":"17000000000000","status":200,"result":{"listenKey":"abcKEY1"}}"#);
    assert_eq!(play.opened.last(), Some(&(1, "/private/ws/abcKEY1".to_owned())));
    play.open(1);
    play.open(2);
    play.place(&sell(1));
    let text = play.sent_one(0);
    let (signed, mut signature) = (
        format!(
            "apiKey={KEY}&newClientOrderId={}&newOrderRespType=ACK&price=9910.1&quantity=0.01\
             &recvWindow=5000&reduceOnly=true&side=SELL&symbol=BTCUSDT&timeInForce=IOC\
             &timestamp={WALL_MS}&type=LIMIT",
            id(1)
        ),
        String::new(),
    );
    crate::trading::Keys::new(KEY.into(), SECRET.into()).sign(&signed, &mut signature);
    assert_eq!(
        text,
        format!(
            r#"{{"id":"17000000000013","method":"order.place","params":{{"apiKey":"{KEY}","newClientOrderId":"{}","newOrderRespType":"ACK","price":"9910.1","quantity":"0.01","recvWindow":5000,"reduceOnly":"true","side":"SELL","symbol":"BTCUSDT","timeInForce":"IOC","timestamp":{WALL_MS},"type":"LIMIT","signature":"{signature}"}}}}"#,
            id(1)
        )
    );
    play.place(&buy(2));
    let text = play.sent_one(0);
    assert!(text.contains(r#""newOrderRespType":"ACK","quantity":"1.5","recvWindow":5000,"side":"BUY","symbol":"ETHUSDT","timestamp":1700000000000,"type":"MARKET","#), "{text}");
    play.query(id(1), BTC);
    let text = play.sent_one(2);
    let query =
        format!("symbol=BTCUSDT&origClientOrderId={}&recvWindow=5000&timestamp={WALL_MS}", id(1));
    let mut signature = String::new();
    crate::trading::Keys::new(KEY.into(), SECRET.into()).sign(&query, &mut signature);
    assert_eq!(
        text,
        format!(
            "GET /fapi/v1/order?{query}&signature={signature} HTTP/1.1\r\nHost: rest.example.com\r\n\
             User-Agent: reap\r\nAccept: application/json\r\nX-MBX-APIKEY: {KEY}\r\n\r\n"
        )
    );
}

/// X22: the fills may come before the answer, twice, and in a second wording.
#[test]
fn x22_an_order_is_acked_once_filled_once_and_done() {
    let mut play = ready();
    play.place(&sell(1));
    let request = play.sent_one(0);
    play.tell(1, trade(9001, "PARTIALLY_FILLED", "0.004", "0.004", FEE));
    play.tell(1, trade(9001, "PARTIALLY_FILLED", "0.004", "0.004", FEE));
    let result = format!(
        r#""status":200,"result":{{"orderId":8886774,"symbol":"BTCUSDT","status":"NEW","clientOrderId":"{}"}}"#,
        id(1)
    );
    play.tell(0, answer(&request, &result));
    play.tell(1, update("NEW", "NEW", "0", ""));
    play.tell(1, format!(r#"{{"e":"TRADE_LITE","s":"BTCUSDT","c":"{}","L":"9910.50","l":"0.006","t":9002,"i":8886774}}"#, id(1)));
    play.tell(1, trade(9002, "FILLED", "0.010", "0.006", r#""n":"0.00001","N":"BNB""#));
    // 9910.50 × 0.006 × 0.05 %, since BNB cannot be converted.
    let estimate = 991_050 * 6 * 500_000;
    assert_eq!(
        play.events(),
        [
            order_event(id(1), OrderChange::Acked),
            filled(id(1), 9001, 991_050, 4, FEE_NANO),
            filled(id(1), 9002, 991_050, 6, estimate),
        ]
    );
    // It has left the table: nothing more is said of it, and nothing is asked.
    play.tell(1, update("EXPIRED", "EXPIRED", "0.010", ""));
    play.wait(Nanos::from_secs(60));
    assert_eq!((play.events(), play.sent()), (vec![], vec![]));
    let counters = play.trading.counters();
    assert_eq!((counters.duplicates, counters.fees_estimated, counters.foreign), (1, 1, 1));
}

#[test]
fn an_unfilled_order_expires() {
    let mut play = two_live();
    play.tell(1, update("EXPIRED", "EXPIRED", "0.000", ""));
    assert_eq!(play.events(), [order_event(id(1), OrderChange::Expired)]);
}

/// The stream tells the end, but not the fill: the trades are asked for, and given before the end.
#[test]
fn x22_an_end_waits_for_the_fills_that_the_stream_lost() {
    let mut play = two_live();
    play.tell(1, update("EXPIRED", "EXPIRED", "0.004", ""));
    play.wait(Nanos::from_millis(499));
    assert_eq!((play.events(), play.sent()), (vec![], vec![]));
    play.wait(Nanos::from_millis(1));
    let asked = play.sent_one(2);
    assert!(
        asked.starts_with("GET /fapi/v1/userTrades?symbol=BTCUSDT&orderId=8886774&limit=1000&recv"),
        "{asked}"
    );
    play.respond(200, format!("[{},{}]", trade_row(9001, "0.001"), trade_row(9002, "0.003")));
    assert_eq!(
        play.events(),
        [
            filled(id(1), 9001, 991_050, 1, FEE_NANO),
            filled(id(1), 9002, 991_050, 3, FEE_NANO),
            order_event(id(1), OrderChange::Expired),
        ]
    );
}

/// Never rounded, never invented: the order stays until somebody gives it up.
#[test]
fn a_fill_that_is_not_exact_is_not_given_and_holds_the_end() {
    let mut play = two_live();
    play.trading.forget(id(2));
    play.tell(1, trade(9001, "EXPIRED", "0.004", "0.0041", FEE));
    assert_eq!(play.trading.counters().inexact, 1);
    for _ in 0..4 {
        play.wait(Nanos::from_secs(3));
        assert!(play.sent_one(2).contains("userTrades"));
        play.respond(200, "[]");
    }
    let why = UnknownWhy::FillsMissing;
    assert_eq!(play.events(), [TradingEvent::Unknown { id: id(1), why }]);
    play.trading.forget(id(1));
    play.wait(Nanos::from_secs(60));
    assert_eq!((play.events(), play.sent()), (vec![], vec![]));
}

#[test]
fn refusals_by_class_and_what_an_operator_must_know() {
    for (rest, event) in [
        (
            r#""status":400,"error":{"code":-2022,"msg":"ReduceOnly Order is rejected."}"#,
            order_event(id(1), OrderChange::Rejected(RejectClass::Size)),
        ),
        (
            r#""status":429,"error":{"code":-1003,"msg":"Too many requests."}"#,
            order_event(id(1), OrderChange::Rejected(RejectClass::RateLimit)),
        ),
        (
            r#""status":503,"error":{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#,
            TradingEvent::Unknown { id: id(1), why: UnknownWhy::Code(-1000) },
        ),
        (
            r#""status":400,"error":{"code":-4116,"msg":"ClientOrderId is duplicated."}"#,
            TradingEvent::Unknown { id: id(1), why: UnknownWhy::Duplicate },
        ),
        (
            r#""status":200,"result":{"orderId":1,"symbol":"BTCUSDT","clientOrderId":"reap-000000000000000000000"}"#,
            TradingEvent::Unknown { id: id(1), why: UnknownWhy::Code(0) },
        ),
        (r#""status":200"#, TradingEvent::Unknown { id: id(1), why: UnknownWhy::Code(0) }),
    ] {
        let mut play = ready();
        play.place(&sell(1));
        let request = play.sent_one(0);
        play.tell(0, answer(&request, rest));
        assert_eq!(play.events(), [event], "{rest}");
        let unknown = matches!(event, TradingEvent::Unknown { .. });
        assert_eq!(!play.sent().is_empty(), unknown, "an unknown order is asked for at once");
    }
    let mut play = ready();
    for attempt in [1, 2] {
        play.place(&sell(attempt));
        let request = play.sent_one(0);
        play.tell(
            0,
            answer(&request, r#""status":400,"error":{"code":-2015,"msg":"Invalid API-key"}"#),
        );
    }
    let rejected = |n| order_event(id(n), OrderChange::Rejected(RejectClass::Fatal));
    let refused = TradingEvent::Refused { what: RefusedWhat::Login, code: -2015 };
    assert_eq!(play.events(), [rejected(1), refused, rejected(2)]);
}

/// X1: silence, then lag, then the truth.
#[test]
fn x1_an_unanswered_order_is_asked_for_until_it_is_known() {
    let mut play = ready();
    play.place(&sell(1));
    play.sent();
    play.wait(Nanos::from_millis(2000));
    assert_eq!(play.events(), [TradingEvent::Unknown { id: id(1), why: UnknownWhy::Timeout }]);
    for _ in 0..3 {
        assert!(play.sent_one(2).starts_with("GET /fapi/v1/order?"));
        play.respond(400, r#"{"code":-2013,"msg":"Order does not exist."}"#);
        play.wait(Nanos::from_millis(1200));
    }
    assert_eq!(play.events(), []);
    play.sent();
    play.respond(200, status_body("EXPIRED", "0.004"));
    assert!(play.events().is_empty());
    play.wait(Nanos::from_millis(500));
    assert!(play.sent_one(2).contains("orderId=8886774"));
    play.respond(200, format!("[{}]", trade_row(9001, "0.004")));
    assert_eq!(
        play.events(),
        [
            order_event(id(1), OrderChange::Acked),
            filled(id(1), 9001, 991_050, 4, FEE_NANO),
            order_event(id(1), OrderChange::Expired),
        ]
    );
}

#[test]
fn x1_not_found_is_lag_until_its_bound_and_then_the_callers_to_judge() {
    let mut play = ready();
    play.place(&sell(1));
    play.sent();
    let (mut asked, mut seen) = (0, vec![]);
    for _ in 0..200 {
        play.wait(Nanos::from_millis(200));
        if !play.sent().is_empty() {
            asked += 1;
            play.respond(400, r#"{"code":-2013,"msg":"Order does not exist."}"#);
            for event in play.events() {
                seen.push((event, play.now.since(Nanos::from_secs(1_000_000))));
            }
        }
    }
    assert!((6..20).contains(&asked), "{asked}");
    assert_eq!(seen[0].0, TradingEvent::Unknown { id: id(1), why: UnknownWhy::Timeout });
    assert_eq!(seen[1].0, standing(id(1), Standing::NotFound));
    assert!(seen[1].1 >= crate::trading::NOT_FOUND_AFTER, "{seen:?}");
    assert_eq!(seen.len(), 2);
    // A second reading, when the caller wants one; a late event is still its order's.
    play.query(id(1), BTC);
    play.respond(400, r#"{"code":-2013,"msg":"Order does not exist."}"#);
    assert_eq!(play.events(), [standing(id(1), Standing::NotFound)]);
    play.tell(1, update("EXPIRED", "EXPIRED", "0", ""));
    assert_eq!(play.events(), [order_event(id(1), OrderChange::Expired)]);
}

#[test]
fn x1_a_lost_connection_makes_unanswered_orders_unknown_and_unsent_ones_refused() {
    let mut play = ready();
    play.place(&sell(1));
    play.sent();
    let wall = play.wall();
    // Queued, but the driver did not take it.
    assert_eq!(play.trading.place(play.now, wall, &buy(2)), Ok(()));
    play.lose(0);
    assert_eq!(
        play.events(),
        [
            order_event(id(2), OrderChange::Rejected(RejectClass::Unavailable)),
            TradingEvent::Unknown { id: id(1), why: UnknownWhy::ConnectionLost },
            TradingEvent::NotReady(NotReadyReason::OrdersLost),
        ]
    );
    assert!(play.sent().is_empty());
    assert_eq!(play.trading.place(play.now, wall, &sell(3)), Err(NotSent::NotReady));
    play.wait(Nanos(0));
    assert!(play.sent_one(2).contains("/fapi/v1/order?"));
    play.respond(200, status_body("NEW", "0"));
    assert_eq!(play.events(), [order_event(id(1), OrderChange::Acked)]);
    assert_eq!(play.opened.last(), Some(&(0, "/ws-fapi/v1".to_owned())));
    play.open(0);
    assert_eq!(play.events(), [TradingEvent::Ready]);
}

/// X22: a stream that is lost makes trading not ready; back again, every live order is asked for.
#[test]
fn x22_a_lost_stream_is_not_ready_and_asks_for_every_order_when_it_is_back() {
    let mut play = two_live();
    play.lose(1);
    assert_eq!(play.events(), [TradingEvent::NotReady(NotReadyReason::StreamLost)]);
    assert_eq!(play.trading.place(play.now, play.wall(), &sell(3)), Err(NotSent::NotReady));
    play.wait(Nanos(0));
    let start = play.sent_one(0);
    assert!(start.contains("userDataStream.start"));
    play.tell(0, answer(&start, r#""status":200,"result":{"listenKey":"abcKEY2"}"#));
    assert_eq!(play.opened.last(), Some(&(1, "/private/ws/abcKEY2".to_owned())));
    play.open(1);
    assert_eq!(play.events(), [TradingEvent::Ready]);
    assert!(play.sent_one(2).contains(&id(1).to_string()));
    play.respond(200, status_body("FILLED", "0.010"));
    assert!(play.sent_one(2).contains(&id(2).to_string()));
    play.respond(500, "");
    play.wait(Nanos::from_millis(600));
    assert!(play.sent().iter().any(|(_, text)| text.contains("ETHUSDT")));
}

/// An order of a former run is taken up with all of its trades.
#[test]
fn an_order_that_is_not_in_the_table_can_be_asked_for() {
    let mut play = ready();
    play.query(id(1), BTC);
    play.sent();
    play.respond(200, status_body("FILLED", "0.010"));
    play.wait(Nanos::from_millis(500));
    assert!(play.sent_one(2).contains("userTrades"));
    play.respond(200, format!("[{}]", trade_row(9001, "0.010")));
    let executed = Qty::new(10).unwrap();
    assert_eq!(
        play.events(),
        [
            order_event(id(1), OrderChange::Acked),
            filled(id(1), 9001, 991_050, 10, FEE_NANO),
            standing(id(1), Standing::Done { executed }),
        ]
    );
    play.place(&sell(2));
    play.query(id(2), BTC);
    let body =
        status_body("PARTIALLY_FILLED", "0.004").replace(&id(1).to_string(), &id(2).to_string());
    play.respond(200, body);
    let executed = Qty::new(4).unwrap();
    let acked = order_event(id(2), OrderChange::Acked);
    assert_eq!(play.events(), [acked, standing(id(2), Standing::Live { executed })]);
}

#[test]
fn what_is_not_taken_is_said_and_nothing_is_sent() {
    let mut play = Play::new(MAKE);
    let wall = play.wall();
    assert_eq!(play.trading.place(play.now, wall, &sell(1)), Err(NotSent::NotReady));
    let mut play = ready();
    let other = reap_core::instrument::AccountId(2);
    let strange = Order { account: other, ..sell(1) };
    assert_eq!(play.trading.place(play.now, wall, &strange), Err(NotSent::Account(2)));
    let strange = Order { instrument: InstrumentId(77), ..sell(1) };
    assert_eq!(play.trading.place(play.now, wall, &strange), Err(NotSent::Instrument(77)));
    let strange = Order { qty: Qty::ZERO, ..sell(1) };
    assert_eq!(play.trading.place(play.now, wall, &strange), Err(NotSent::Empty));
    for attempt in 1..=4 {
        play.place(&sell(attempt));
    }
    assert_eq!(play.trading.place(play.now, wall, &sell(1)), Err(NotSent::Twice));
    assert_eq!(play.trading.place(play.now, wall, &sell(5)), Err(NotSent::TooMany { max: 4 }));
    assert_eq!(play.sent().len(), 4);
}

/// Other programs' orders, and messages that contradict what is known.
#[test]
fn foreign_and_contradicting_messages_move_nothing() {
    let mut play = two_live();
    let message = trade(9001, "PARTIALLY_FILLED", "0.004", "0.004", FEE);
    for (from, to) in [
        (id(1).to_string(), id(7).to_string()),
        (id(1).to_string(), "web_1234".to_owned()),
        ("SELL".to_owned(), "BUY".to_owned()),
        ("8886774".to_owned(), "8886775".to_owned()),
        ("BTCUSDT".to_owned(), "ETHUSDT".to_owned()),
        ("\"0.004\"".to_owned(), "\"0.011\"".to_owned()),
    ] {
        play.tell(1, message.replace(&from, &to));
        assert_eq!(play.events(), [], "{from} {to}");
    }
    let counters = play.trading.counters();
    assert_eq!(counters.foreign, 2);
    assert!(counters.mismatched >= 4, "{counters:?}");
    play.tell(1, message);
    assert_eq!(play.events().len(), 1);
}

#[test]
fn f8_f30_hostile_messages_move_no_other_order() {
    let messages = fixture(include_str!("../fixtures/trading.txt"));
    let (answers, messages): (Vec<_>, Vec<_>) = messages.into_iter().partition(|(ch, _)| *ch == 0);
    assert!(messages.len() > 6 && !answers.is_empty());
    assert!(hostile(&two_live, &messages) > 500);
    // Two placements wait: an answer to one never becomes one to the other.
    let waiting = || {
        let mut play = ready();
        play.place(&sell(1));
        play.place(&sell(3));
        play
    };
    let request = quoted(&waiting().sent[0].1, "id").to_owned();
    let mut answers: Vec<_> =
        answers.into_iter().map(|(ch, raw)| (ch, raw.replace("$PLACE_A", &request))).collect();
    let refusal =
        format!(r#"{{"id":"{request}","status":400,"error":{{"code":-2022,"msg":"{}"}}}}"#, id(1));
    answers.push((0, refusal));
    assert!(hostile(&waiting, &answers) > 100);
    let asked = || {
        let mut play = two_live();
        play.query(id(1), BTC);
        play
    };
    let answers = [(2, status_body("EXPIRED", "0.000")), (2, status_body("NEW", "0.000"))];
    assert!(hostile(&asked, &answers) > 100);
}

/// Messages that another client of the venue is tested with.
#[test]
fn recorded_private_messages() {
    let Some(placed) =
        recorded("binance/Binance.Net.UnitTests/Socket/UsdFutures/Trading/PlaceOrder.txt")
    else {
        return;
    };
    let mut play = ready();
    play.place(&sell(1));
    let request = quoted(&play.sent_one(0), "id").to_owned();
    let placed =
        placed.replace("|1|", &request).replace("iCXL1BywlBaf2sesNUrVl3", &id(1).to_string());
    play.tell(0, placed);
    assert_eq!(play.events(), [order_event(id(1), OrderChange::Acked)]);
    let Some(update) =
        recorded("binance/Binance.Net.UnitTests/Subscriptions/UsdFutures/OrderUpdate.txt")
    else {
        return;
    };
    play.tell(
        1,
        update
            .replace("TEST", &id(1).to_string())
            .replace("8886774", "325078477")
            .replace("\"EXPIRE_TAKER\"", "\"NONE\""),
    );
    play.tell(1, update);
    assert_eq!(play.events(), []);
    assert_eq!((play.trading.counters().foreign, play.trading.counters().malformed), (1, 0));
    play.tell(
        1,
        super::tests::update("EXPIRED", "EXPIRED", "0.002", "").replace("8886774", "325078477"),
    );
    play.wait(Nanos::from_millis(500));
    play.sent();
    let Some(trades) =
        recorded("binance/Binance.Net.UnitTests/Endpoints/UsdFutures/Trading/GetUserTrades.txt")
    else {
        return;
    };
    play.respond(200, trades.replace("25851813", "325078477"));
    assert_eq!(
        play.events(),
        [
            filled(id(1), 698_759, 781_901, 2, -7_819_010_000_000),
            order_event(id(1), OrderChange::Expired),
        ]
    );
    let Some(positions) =
        recorded("binance/Binance.Net.UnitTests/Socket/UsdFutures/Trading/GetPositions.txt")
    else {
        return;
    };
    play.query_positions();
    let rows = &positions[positions.find('[').unwrap()..positions.find("],").unwrap() + 1];
    play.respond(200, rows);
    assert_eq!(play.events()[0], TradingEvent::Position { instrument: BTC, qty: 1000 });
}
