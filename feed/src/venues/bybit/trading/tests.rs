//! Whole conversations with the venue, after the facts' sheet.

use reap_core::order::{OrderChange, RejectClass};
use reap_core::units::{Nanos, Qty};

use super::*;
use crate::trading::testing::{
    BTC, ETH, KEY, Play, SECRET, WALL_MS, buy, filled, fixture, hostile, id, order_event, quoted,
    recorded, sell, setup, standing,
};
use crate::trading::{Keys, RefusedWhat, Standing, UnknownWhy};
use crate::venues::MakeTrading;

const MAKE: MakeTrading = |setup| Ok(Box::new(LinearTrading::new(setup)?));
const AUTH_TRADE: &str = r#"{"retCode":0,"retMsg":"OK","op":"auth","connId":"x"}"#;
const AUTH: &str = r#"{"success":true,"ret_msg":"","op":"auth","conn_id":"x"}"#;
const SUBSCRIBED: &str = r#"{"success":true,"ret_msg":"","op":"subscribe","conn_id":"x"}"#;

fn ready() -> Play {
    let mut play = Play::new(MAKE);
    for ch in [2, 0, 1] {
        play.open(ch);
    }
    play.tell(0, AUTH_TRADE);
    play.tell(1, AUTH);
    assert!(!play.trading.is_ready());
    play.tell(1, SUBSCRIBED);
    assert_eq!(play.events(), [TradingEvent::Ready]);
    play.sent();
    play
}

fn receipt(request: &str, order: ClientOrderId, number: &str) -> String {
    let request = quoted(request, "reqId");
    format!(
        r#"{{"reqId":"{request}","retCode":0,"retMsg":"OK","op":"order.create","data":{{"orderId":"{number}","orderLinkId":"{order}"}},"retExtInfo":{{}},"connId":"x"}}"#
    )
}

/// Orders 1 and 2 are live and known.
fn two_live() -> Play {
    let mut play = ready();
    for (order, number) in [(sell(1), "5cf98598-39a7"), (buy(2), "77777777-39a7")] {
        play.place(&order);
        let request = play.sent_one(0);
        play.tell(0, receipt(&request, order.id, number));
        assert_eq!(play.events(), [order_event(order.id, OrderChange::Acked)]);
    }
    play
}

fn order_row(status: &str, executed: &str) -> String {
    format!(
        r#"{{"category":"linear","symbol":"BTCUSDT","orderId":"5cf98598-39a7","orderLinkId":"{}","side":"Sell","qty":"0.010","orderStatus":"{status}","rejectReason":"EC_NoImmediateQtyToFill","cumExecQty":"{executed}","avgPrice":""}}"#,
        id(1)
    )
}

fn order_message(status: &str, executed: &str) -> String {
    format!(
        r#"{{"id":"1","topic":"order","creationTime":1,"data":[{}]}}"#,
        order_row(status, executed)
    )
}

fn execution_row(number: &str, qty: &str) -> String {
    format!(
        r#"{{"symbol":"BTCUSDT","execFee":"0.0049","execId":"{number}","execPrice":"9910.5","execQty":"{qty}","execType":"Trade","orderId":"5cf98598-39a7","orderLinkId":"{}","side":"Sell","isMaker":false,"feeCurrency":""}}"#,
        id(1)
    )
}

fn executions(rows: &[String]) -> String {
    format!(r#"{{"topic":"execution","id":"1","creationTime":1,"data":[{}]}}"#, rows.join(","))
}

fn list(rows: &[String], cursor: &str) -> String {
    format!(
        r#"{{"retCode":0,"retMsg":"OK","result":{{"nextPageCursor":"{cursor}","category":"linear","list":[{}]}},"retExtInfo":{{}},"time":1}}"#,
        rows.join(",")
    )
}

fn fill(number: &str, qty: i64) -> TradingEvent {
    filled(id(1), fnv64(number.as_bytes()), 991_050, qty, 490_000_000_000)
}

fn sign(text: &str) -> String {
    let mut signature = String::new();
    Keys::new(KEY.into(), SECRET.into()).sign(text, &mut signature);
    signature
}

#[test]
fn requests_byte_by_byte() {
    let mut play = Play::new(MAKE);
    let paths =
        [(0, "/v5/trade"), (1, "/v5/private"), (2, "/")].map(|(ch, path)| (ch, path.to_owned()));
    assert_eq!(play.opened, paths);
    play.open(0);
    let signature = sign("GET/realtime1700000010000");
    assert_eq!(
        play.sent_one(0),
        format!(
            r#"{{"reqId":"17000000000000","op":"auth","args":["{KEY}",1700000010000,"{signature}"]}}"#
        )
    );
    play.open(1);
    assert_eq!(
        play.sent_one(1),
        format!(
            r#"{{"req_id":"17000000000013","op":"auth","args":["{KEY}",1700000010000,"{signature}"]}}"#
        )
    );
    play.tell(0, AUTH_TRADE);
    play.tell(1, AUTH);
    assert_eq!(
        play.sent_one(1),
        r#"{"req_id":"17000000000026","op":"subscribe","args":["order","execution"]}"#
    );
    play.tell(1, SUBSCRIBED);
    play.open(2);
    play.place(&sell(1));
    assert_eq!(
        play.sent_one(0),
        format!(
            r#"{{"reqId":"17000000000039","header":{{"X-BAPI-TIMESTAMP":"{WALL_MS}","X-BAPI-RECV-WINDOW":"5000"}},"op":"order.create","args":[{{"category":"linear","symbol":"BTCUSDT","side":"Sell","orderType":"Limit","qty":"0.01","price":"9910.1","timeInForce":"IOC","reduceOnly":true,"positionIdx":0,"orderLinkId":"{}"}}]}}"#,
            id(1)
        )
    );
    play.place(&buy(2));
    let text = play.sent_one(0);
    assert!(text.ends_with(&format!(
        r#""side":"Buy","orderType":"Market","qty":"1.5","positionIdx":0,"orderLinkId":"{}"}}]}}"#,
        id(2)
    )), "{text}");
    play.query(id(1), BTC);
    let query = format!("category=linear&symbol=BTCUSDT&orderLinkId={}", id(1));
    let signature = sign(&format!("{WALL_MS}{KEY}5000{query}"));
    assert_eq!(
        play.sent_one(2),
        format!(
            "GET /v5/order/realtime?{query} HTTP/1.1\r\nHost: rest.example.com\r\nUser-Agent: reap\r\n\
             Accept: application/json\r\nX-BAPI-API-KEY: {KEY}\r\nX-BAPI-TIMESTAMP: {WALL_MS}\r\n\
             X-BAPI-RECV-WINDOW: 5000\r\nX-BAPI-SIGN: {signature}\r\n\r\n"
        )
    );
    play.wait(Nanos::from_secs(20));
    let pings: Vec<String> = play.sent().into_iter().map(|(_, text)| text).collect();
    assert!(
        pings
            .iter()
            .any(|text| text.starts_with(r#"{"reqId":"#) && text.ends_with(r#","op":"ping"}"#))
    );
    assert!(
        pings
            .iter()
            .any(|text| text.starts_with(r#"{"req_id":"#) && text.ends_with(r#","op":"ping"}"#))
    );
}

/// The order topic is ahead of the execution topic: the end waits for the fills.
#[test]
fn x22_a_cancelled_order_waits_for_its_executions() {
    let mut play = two_live();
    play.tell(1, order_message("Cancelled", "0.004"));
    assert_eq!(play.events(), []);
    play.tell(1, executions(&[execution_row("a", "0.001")]));
    assert_eq!(play.events(), [fill("a", 1)]);
    play.tell(1, executions(&[execution_row("a", "0.001"), execution_row("b", "0.003")]));
    assert_eq!(play.events(), [fill("b", 3), order_event(id(1), OrderChange::Expired)]);
    play.tell(1, order_message("Cancelled", "0.004"));
    assert_eq!(play.events(), []);
    assert_eq!(play.trading.counters().duplicates, 1);
}

/// When the executions do not come, they are asked for, page by page.
#[test]
fn x22_executions_that_do_not_come_are_asked_for() {
    let mut play = two_live();
    play.trading.forget(id(2));
    play.tell(1, order_message("Filled", "0.010"));
    play.wait(Nanos::from_millis(500));
    let asked = play.sent_one(2);
    let query = format!("category=linear&symbol=BTCUSDT&orderLinkId={}&limit=100", id(1));
    assert!(asked.starts_with(&format!("GET /v5/execution/list?{query} HTTP/1.1\r\n")), "{asked}");
    let mut rows = vec![execution_row("a", "0.004"); 100];
    rows[7] = execution_row("a", "0.004").replace("Trade", "Funding");
    play.respond(200, list(&rows, "132766%3A2%2C1 2"));
    assert_eq!(play.events(), [fill("a", 4)]);
    let asked = play.sent_one(2);
    assert!(
        asked
            .starts_with(&format!("GET /v5/execution/list?{query}&cursor=132766%3A2%2C1%202 HTTP")),
        "{asked}"
    );
    // The last page has a cursor too.
    play.respond(200, list(&[execution_row("b", "0.005")], "x"));
    assert_eq!((play.events(), play.sent()), (vec![fill("b", 5)], vec![]));
    play.wait(Nanos::from_secs(2));
    assert!(!play.sent_one(2).contains("cursor"));
    play.respond(200, list(&[execution_row("c", "0.001")], ""));
    // Filled to the last lot: no event of its own.
    assert_eq!(play.events(), [fill("c", 1)]);
    play.wait(Nanos::from_secs(19));
    assert!(play.sent().iter().all(|(_, text)| text.contains("ping")));
}

#[test]
fn an_order_is_acked_once_and_expires() {
    let mut play = ready();
    play.place(&sell(1));
    let request = play.sent_one(0);
    play.tell(1, order_message("New", "0"));
    play.tell(0, receipt(&request, id(1), "5cf98598-39a7"));
    play.tell(1, order_message("Cancelled", "0"));
    assert_eq!(
        play.events(),
        [order_event(id(1), OrderChange::Acked), order_event(id(1), OrderChange::Expired)]
    );
}

#[test]
fn an_order_that_was_taken_may_be_rejected() {
    for (reason, what) in [
        ("EC_LimitOrderInvalidPrice", OrderChange::Rejected(RejectClass::Price)),
        ("EC_SomethingNew", OrderChange::Rejected(RejectClass::Fatal)),
        ("EC_NoImmediateQtyToFill", OrderChange::Expired),
    ] {
        let mut play = two_live();
        play.tell(1, order_message("Rejected", "0").replace("EC_NoImmediateQtyToFill", reason));
        assert_eq!(play.events(), [order_event(id(1), what)], "{reason}");
    }
}

#[test]
fn refusals_by_class() {
    let unknown = |why| TradingEvent::Unknown { id: id(1), why };
    let rejected = |class| order_event(id(1), OrderChange::Rejected(class));
    for (code, event) in [
        (110_017, rejected(RejectClass::Size)),
        (10_006, rejected(RejectClass::RateLimit)),
        (10_019, rejected(RejectClass::Unavailable)),
        (10_016, unknown(UnknownWhy::Code(10_016))),
        (110_072, unknown(UnknownWhy::Duplicate)),
        (4_242, unknown(UnknownWhy::Code(4_242))),
    ] {
        let mut play = ready();
        play.place(&sell(1));
        let request = play.sent_one(0);
        let request = quoted(&request, "reqId");
        play.tell(0, format!(r#"{{"reqId":"{request}","retCode":{code},"retMsg":"x","op":"order.create","data":{{}},"connId":"x"}}"#));
        assert_eq!(play.events(), [event], "{code}");
        assert_eq!(play.sent().len(), usize::from(matches!(event, TradingEvent::Unknown { .. })));
    }
}

/// X1: only the history can say that there is no such order, and only after the bound.
#[test]
fn x1_a_lost_answer_is_asked_for_in_both_places() {
    let mut play = ready();
    play.place(&sell(1));
    play.sent();
    play.lose(0);
    let lost = TradingEvent::NotReady(NotReadyReason::OrdersLost);
    let why = UnknownWhy::ConnectionLost;
    assert_eq!(play.events(), [TradingEvent::Unknown { id: id(1), why }, lost]);
    play.wait(Nanos(0));
    assert!(play.sent_one(2).starts_with("GET /v5/order/realtime?"));
    play.respond(200, list(&[], ""));
    assert!(play.sent_one(2).starts_with("GET /v5/order/history?"));
    play.respond(200, list(&[], ""));
    assert_eq!((play.events(), play.sent()), (vec![], vec![]));
    play.wait(Nanos::from_millis(300));
    play.sent();
    play.respond(200, list(&[order_row("Filled", "0.010")], "x"));
    play.tell(1, executions(&[execution_row("a", "0.010")]));
    assert_eq!(play.events(), [order_event(id(1), OrderChange::Acked), fill("a", 10)]);
    // One that never was.
    play.query(id(7), ETH);
    for _ in 0..60 {
        for _ in 0..2 {
            if play.sent().iter().any(|(ch, _)| *ch == 2) {
                play.respond(200, list(&[], ""));
            }
        }
        for ping in [0, 1] {
            play.tell(ping, r#"{"op":"pong"}"#);
        }
        play.wait(Nanos::from_secs(1));
        if play.now.since(Nanos::from_secs(1_000_000)) < crate::trading::NOT_FOUND_AFTER {
            assert_eq!(play.events(), []);
        }
    }
    play.query(id(7), ETH);
    play.respond(200, list(&[], ""));
    play.respond(200, list(&[], ""));
    assert!(play.events().contains(&standing(id(7), Standing::NotFound)));
}

#[test]
fn x22_a_lost_private_socket_is_not_ready_until_it_is_subscribed_again() {
    let mut play = two_live();
    play.lose(1);
    assert_eq!(play.events(), [TradingEvent::NotReady(NotReadyReason::StreamLost)]);
    assert_eq!(play.trading.place(play.now, play.wall(), &sell(3)), Err(NotSent::NotReady));
    play.open(1);
    play.tell(1, AUTH);
    assert_eq!(play.events(), []);
    play.sent();
    play.tell(1, SUBSCRIBED);
    assert_eq!(play.events(), [TradingEvent::Ready]);
    assert!(play.sent_one(2).contains(&id(1).to_string()));
    play.respond(200, list(&[order_row("PartiallyFilled", "0.004")], ""));
    assert!(play.sent_one(2).contains(&id(2).to_string()));
}

#[test]
fn a_refused_login_is_told_and_a_silent_socket_is_closed() {
    let mut play = Play::new(MAKE);
    play.open(0);
    play.open(1);
    play.tell(0, r#"{"retCode":10004,"retMsg":"bad sign","op":"auth","connId":"x"}"#);
    play.tell(1, r#"{"success":false,"ret_msg":"bad sign","op":"auth","conn_id":"x"}"#);
    let refused = |code| TradingEvent::Refused { what: RefusedWhat::Login, code };
    assert_eq!(play.events(), [refused(10_004), refused(0)]);
    play.sent();
    play.wait(Nanos::from_secs(44));
    assert!(play.closed.is_empty());
    play.wait(Nanos::from_secs(1));
    assert_eq!(play.closed, [0, 1]);
    assert!(play.sent().iter().all(|(_, text)| text.contains("ping")), "no login for a minute");
    // A login without an answer.
    play.closed.clear();
    play.lose(0);
    play.open(0);
    play.wait(Nanos::from_secs(5));
    assert_eq!(play.closed, [0]);
    let mut play = ready();
    play.lose(1);
    play.open(1);
    play.tell(1, AUTH);
    play.events();
    play.tell(1, SUBSCRIBED.replace("true", "false"));
    assert_eq!(play.events(), [TradingEvent::Refused { what: RefusedWhat::Subscription, code: 0 }]);
    assert!(!play.trading.is_ready());
}

/// X24: every symbol must have its row.
#[test]
fn x24_positions_are_given_all_or_none() {
    let row = |symbol: &str, position: u8, side: &str, size: &str| {
        format!(
            r#"{{"symbol":"{symbol}","positionIdx":{position},"side":"{side}","size":"{size}"}}"#
        )
    };
    let mut play = ready();
    play.query_positions();
    assert!(
        play.sent_one(2).starts_with("GET /v5/position/list?category=linear&symbol=BTCUSDT HTTP")
    );
    play.respond(200, list(&[row("BTCUSDT", 0, "", "0")], ""));
    assert_eq!(play.events(), []);
    play.respond(200, list(&[row("ETHUSDT", 0, "Sell", "1.5")], ""));
    assert_eq!(
        play.events(),
        [
            TradingEvent::Position { instrument: BTC, qty: 0 },
            TradingEvent::Position { instrument: ETH, qty: -1500 },
            TradingEvent::PositionsEnd,
        ]
    );
    for body in [
        list(&[], ""),
        list(&[row("ETHUSDT", 0, "Buy", "1")], ""),
        list(&[row("BTCUSDT", 0, "", "1")], ""),
        list(&[row("BTCUSDT", 0, "Buy", "1.0001")], ""),
        list(&[row("BTCUSDT", 0, "Buy", "1"), row("BTCUSDT", 0, "Buy", "1")], ""),
        r#"{"retCode":10006,"retMsg":"Too many visits!","result":{}}"#.to_owned(),
    ] {
        play.query_positions();
        play.respond(200, &body);
        let events = play.events();
        assert!(matches!(events[..], [TradingEvent::PositionsFailed { .. }]), "{body} {events:?}");
    }
    play.query_positions();
    play.respond(200, list(&[row("BTCUSDT", 1, "Buy", "1"), row("BTCUSDT", 2, "Sell", "1")], ""));
    let refused = TradingEvent::Refused { what: RefusedWhat::PositionMode, code: 0 };
    assert_eq!(play.events(), [refused, TradingEvent::PositionsFailed { code: 0 }]);
}

#[test]
fn f8_f30_hostile_messages_move_no_other_order() {
    let messages = fixture(include_str!("../fixtures/trading.txt"));
    let (answers, messages): (Vec<_>, Vec<_>) =
        messages.into_iter().partition(|(_, raw)| raw.contains("$PLACE_A"));
    assert!(messages.len() > 8 && !answers.is_empty());
    assert!(hostile(&two_live, &messages) > 500);
    let waiting = || {
        let mut play = ready();
        play.place(&sell(1));
        play.place(&sell(3));
        play
    };
    let request = quoted(&waiting().sent[0].1, "reqId").to_owned();
    let answers: Vec<_> =
        answers.into_iter().map(|(ch, raw)| (ch, raw.replace("$PLACE_A", &request))).collect();
    assert!(hostile(&waiting, &answers) > 100);
    let asked = || {
        let mut play = two_live();
        play.query(id(1), BTC);
        play
    };
    let answers = ["Cancelled", "New"].map(|status| (2, list(&[order_row(status, "0.000")], "")));
    assert!(hostile(&asked, &answers) > 100);
}

#[test]
fn keys_are_never_shown() {
    let trading = LinearTrading::new(setup()).unwrap();
    let text = format!("{trading:?}");
    assert!(!text.contains(&KEY[..8]) && !text.contains(&SECRET[..8]), "{text}");
}

/// Messages that another client of the venue is tested with.
#[test]
fn recorded_private_messages() {
    let root = "bybit/Bybit.UnitTests";
    let Some(placed) = recorded(&format!("{root}/Socket/V5Api/Private/PlaceOrder.txt")) else {
        return;
    };
    let mut play = ready();
    play.place(&buy(2));
    let request = quoted(&play.sent_one(0), "reqId").to_owned();
    play.tell(0, placed.replace("|2|", &request));
    assert_eq!(play.events(), [order_event(id(2), OrderChange::Acked)]);
    let Some(trades) = recorded(&format!("{root}/Subscriptions/V5/Private/UserTrades.txt")) else {
        return;
    };
    let ours = |text: &str| {
        text.replace(r#""orderLinkId": """#, &format!(r#""orderLinkId": "{}""#, id(2)))
            .replace("ETHPERP", "ETHUSDT")
            .replace("XRPUSDT", "ETHUSDT")
            .replace("f6e324ff-99c2-4e89-9739-3086e47f9381", "a4c1718e-fe53-4659-a118-1f6ecce04ad9")
            .replace("8c065341-7b52-4ca9-ac2c-37e31ac55c94", "a4c1718e-fe53-4659-a118-1f6ecce04ad9")
    };
    play.tell(1, &trades);
    // Of our order, but sold, at a price that is not exact here.
    play.tell(1, ours(&trades));
    assert_eq!(play.events(), []);
    let counters = play.trading.counters();
    assert_eq!((counters.foreign, counters.inexact, counters.malformed), (1, 1, 0));
    let Some(order) = recorded(&format!("{root}/Subscriptions/V5/Private/Order.txt")) else {
        return;
    };
    play.tell(1, &order);
    assert_eq!((play.events(), play.trading.counters().malformed), (vec![], 0));
    let Some(rest) = recorded(&format!("{root}/Endpoints/V5Api/Trading/GetUserTrades.txt")) else {
        return;
    };
    play.tell(1, executions(&[]));
    let end = order_message("Cancelled", "0.100")
        .replace(&id(1).to_string(), &id(2).to_string())
        .replace("BTCUSDT", "ETHUSDT")
        .replace("Sell", "Buy")
        .replace("5cf98598-39a7", "a4c1718e-fe53-4659-a118-1f6ecce04ad9");
    play.tell(1, end);
    play.wait(Nanos::from_millis(500));
    assert!(play.sent_one(2).contains("/v5/execution/list"));
    play.respond(200, ours(&rest));
    let hash = fnv64(b"e0cbe81d-0f18-5866-9415-cf319b5dab3b");
    assert_eq!(
        play.events(),
        [
            filled(id(2), hash, 119_015, 100, 7_140_900_000_000),
            order_event(id(2), OrderChange::Expired),
        ]
    );
}

#[test]
fn an_order_that_is_not_in_the_table_can_be_asked_for() {
    let mut play = ready();
    play.query(id(1), BTC);
    play.respond(200, list(&[order_row("Filled", "0.010")], ""));
    play.wait(Nanos::from_millis(500));
    play.respond(200, list(&[execution_row("a", "0.010")], ""));
    let executed = Qty::new(10).unwrap();
    let done = standing(id(1), Standing::Done { executed });
    assert_eq!(play.events(), [order_event(id(1), OrderChange::Acked), fill("a", 10), done]);
}
