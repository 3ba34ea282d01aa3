//! The simulated Bybit v5 venue, over real sockets.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod venue_client;

use std::sync::Arc;

use reap_core::units::Nanos;
use reap_shell::sim::server::{SimFaults, SimKind, SimVenue};
use serde_json::{Value, json};

use venue_client::*;

/// A venue whose Bitcoin is 100.0 to 100.5.
fn venue() -> (SimVenue, Arc<HandClock>) {
    start(SimKind::Bybit, vec![(0, bybit_best("BTCUSDT", "100.00", "100.50", 1))])
}

fn login(account: &str) -> Value {
    let expires = START_MS + 10_000;
    let signature = sign(account, &format!("GET/realtime{expires}"));
    json!({"op": "auth", "args": [format!("key-{account}"), expires, signature], "req_id": "l"})
}

/// A trade socket that is logged in.
fn trade(venue: &SimVenue, account: &str) -> Ws {
    let mut ws = Ws::open(venue.addr(), "/v5/trade");
    let answer = ws.ask(login(account));
    assert_eq!((&answer["retCode"], &answer["op"]), (&json!(0), &json!("auth")));
    ws
}

/// A private socket with the topics an executor needs.
fn private(venue: &SimVenue, account: &str) -> Ws {
    let mut ws = Ws::open(venue.addr(), "/v5/private");
    let answer = ws.ask(login(account));
    assert_eq!((&answer["success"], &answer["op"]), (&json!(true), &json!("auth")));
    let answer =
        ws.ask(json!({"op": "subscribe", "args": ["order", "execution.linear"], "req_id": "s"}));
    assert_eq!((&answer["success"], &answer["req_id"]), (&json!(true), &json!("s")));
    ws
}

fn order(id: &str, changes: Value) -> Value {
    let mut order = json!({
        "category": "linear", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Limit",
        "qty": "0.3", "price": "100", "timeInForce": "IOC", "positionIdx": 0, "orderLinkId": id,
    });
    for (name, value) in changes.as_object().unwrap() {
        order[name] = value.clone();
        if value.is_null() {
            order.as_object_mut().unwrap().remove(name);
        }
    }
    order
}

fn create(request: &str, args: &Value) -> Value {
    json!({
        "reqId": request, "op": "order.create", "args": [args],
        "header": {"X-BAPI-TIMESTAMP": START_MS.to_string(), "X-BAPI-RECV-WINDOW": "5000"},
    })
}

/// The headers of a signed REST request.
fn headers(account: &str, sent: &str) -> String {
    let signature = sign(account, &format!("{START_MS}key-{account}5000{sent}"));
    format!(
        "X-BAPI-API-KEY: key-{account}\r\nX-BAPI-TIMESTAMP: {START_MS}\r\nX-BAPI-RECV-WINDOW: 5000\r\nX-BAPI-SIGN: {signature}\r\n"
    )
}

fn query(http: &mut Http, account: &str, path: &str, query: &str) -> Value {
    let (status, body) = http.get(&format!("{path}?{query}"), &headers(account, query));
    assert_eq!((status, &body["retCode"]), (200, &json!(0)), "{body}");
    body["result"]["list"].clone()
}

#[test]
fn a_subscriber_is_shown_the_known_book_and_then_what_changes() {
    let first = bybit_best("BTCUSDT", "100.00", "100.50", 1);
    let second = bybit_best("BTCUSDT", "100.10", "100.50", 2);
    let ticker = r#"{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","markPrice":"1","bid1Price":"2"},"cs":1,"ts":1}"#;
    let delta = r#"{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","markPrice":"3"},"cs":2,"ts":2}"#;
    let trade = r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1,"data":[]}"#;
    let messages = [(0, first.as_str()), (0, ticker), (0, delta), (1_000, &second), (1_000, trade)];
    let messages = messages.map(|(at, text)| (at, text.to_owned())).to_vec();
    let (venue, clock) = start(SimKind::Bybit, messages);
    until("the book is known", || venue.counts().market == 3);
    let mut ws = Ws::open(venue.addr(), "/v5/public/linear");
    let names = json!(["orderbook.1.BTCUSDT", "tickers.BTCUSDT"]);
    let answer = ws.ask(json!({"op": "subscribe", "args": names, "req_id": "a"}));
    assert_eq!(
        (&answer["success"], &answer["op"], &answer["ret_msg"], &answer["req_id"]),
        (&json!(true), &json!("subscribe"), &json!(""), &json!("a"))
    );
    assert_eq!(ws.text(), first);
    let known = ws.json();
    assert_eq!(
        (&known["type"], &known["data"]["markPrice"], &known["data"]["bid1Price"]),
        (&json!("snapshot"), &json!("3"), &json!("2"))
    );
    clock.set(Nanos::from_secs(1));
    assert_eq!(ws.text(), second);
    // Three seconds without a change: the same again.
    clock.set(Nanos::from_secs(4));
    assert_eq!(ws.text(), second);
    let pong = ws.ask(json!({"op": "ping", "req_id": "p"}));
    assert_eq!(
        (&pong["op"], &pong["ret_msg"], &pong["success"]),
        (&json!("ping"), &json!("pong"), &json!(true))
    );
    for bad in
        [json!(["orderbook.1.NOPE"]), json!(["publicTrade.BTCUSDT", "nope"]), json!([]), json!("x")]
    {
        let answer = ws.ask(json!({"op": "subscribe", "args": bad}));
        assert_eq!(answer["success"], false, "{answer}");
    }
    let answer = ws.ask(json!({"op": "unsubscribe", "args": names}));
    assert_eq!((&answer["success"], &answer["op"]), (&json!(true), &json!("unsubscribe")));
    clock.set(Nanos::from_secs(8));
    assert_eq!(ws.ask(json!({"op": "nothing"}))["success"], false);
    assert_eq!(ws.ask("{")["success"], false);
    assert!(Ws::try_open(venue.addr(), "/v5/public/spot", None).is_err());
}

#[test]
fn an_order_is_acknowledged_first_and_the_private_topics_tell_the_end() {
    let (venue, _clock) = venue();
    venue.deposit(MAIN, BTC, 8_000);
    let mut socket = trade(&venue, "main");
    let (mut main, mut second) = (private(&venue, "main"), private(&venue, "second"));
    let answer = socket.ask(create("r1", &order("one", json!({"reduceOnly": true}))));
    assert_eq!(
        (&answer["reqId"], &answer["retCode"], &answer["op"]),
        (&json!("r1"), &json!(0), &json!("order.create"))
    );
    assert_eq!(answer["data"]["orderLinkId"], "one");
    // Both topics, in either order.
    let hear = |ws: &mut Ws| {
        let mut both = [ws.json(), ws.json()];
        both.sort_by_key(|message| message["topic"].to_string());
        both
    };
    let [execution, whole] = hear(&mut main);
    let row = &execution["data"][0];
    assert_eq!(
        (&execution["topic"], &row["execQty"], &row["execPrice"]),
        (&json!("execution.linear"), &json!("0.3000"), &json!("100.00"))
    );
    assert_eq!(
        (&row["execFee"], &row["execType"], &row["feeRate"]),
        (&json!("0.015"), &json!("Trade"), &json!("0.0005"))
    );
    let row = &whole["data"][0];
    assert_eq!(
        (&row["orderStatus"], &row["cumExecQty"], &row["orderId"]),
        (&json!("Filled"), &json!("0.3000"), &answer["data"]["orderId"])
    );
    // Partly: 0.2 are left.
    socket.ask(create("r2", &order("two", json!({}))));
    let [execution, part] = hear(&mut main);
    assert_eq!(execution["data"][0]["execQty"], "0.2000");
    let row = &part["data"][0];
    assert_eq!(
        (&row["orderStatus"], &row["cumExecQty"], &row["leavesQty"], &row["avgPrice"]),
        (&json!("Cancelled"), &json!("0.2000"), &json!("0.0000"), &json!("100.00"))
    );
    // Not at all.
    socket.ask(create("r3", &order("three", json!({"price": "100.10"}))));
    let row = &main.json()["data"][0];
    assert_eq!(
        (&row["orderStatus"], &row["avgPrice"], &row["rejectReason"]),
        (&json!("Cancelled"), &json!(""), &json!("EC_NoImmediateQtyToFill"))
    );
    // No book yet: taken, then rejected on the stream.
    let answer = socket.ask(create("r4", &order("four", json!({"symbol": "ETHUSDT"}))));
    assert_eq!(answer["retCode"], 0);
    assert_eq!(main.json()["data"][0]["orderStatus"], "Rejected");
    // The other account, by REST.
    let mut http = Http::open(venue.addr());
    let body = order(
        "one",
        json!({"side": "Buy", "orderType": "Market", "timeInForce": null, "price": null}),
    )
    .to_string();
    let (status, answer) =
        http.request("POST", "/v5/order/create", &headers("second", &body), &body);
    assert_eq!(
        (status, &answer["retCode"], &answer["result"]["orderLinkId"]),
        (200, &json!(0), &json!("one"))
    );
    let [execution, _] = hear(&mut second);
    assert_eq!(execution["data"][0]["side"], "Buy");
    // Queries.
    let rows = query(
        &mut http,
        "main",
        "/v5/order/realtime",
        "category=linear&symbol=BTCUSDT&orderLinkId=two",
    );
    assert_eq!(rows[0], part["data"][0]);
    let rows = query(&mut http, "second", "/v5/order/realtime", "category=linear&orderLinkId=two");
    assert_eq!(rows, json!([]), "another account's order");
    let rows = query(&mut http, "main", "/v5/order/realtime", "category=linear&symbol=BTCUSDT");
    assert_eq!(rows, json!([]), "nothing is open");
    let rows = query(
        &mut http,
        "main",
        "/v5/order/realtime",
        "category=linear&settleCoin=USDT&openOnly=1",
    );
    assert_eq!(rows.as_array().unwrap().len(), 4);
    let rows = query(&mut http, "main", "/v5/execution/list", "category=linear&limit=1");
    assert_eq!((rows.as_array().unwrap().len(), &rows[0]["orderLinkId"]), (1, &json!("two")));
    let rows = query(&mut http, "main", "/v5/execution/list", "category=linear&limit=1&cursor=1");
    assert_eq!(rows[0]["orderLinkId"], "one");
    let rows = query(&mut http, "main", "/v5/position/list", "category=linear&settleCoin=USDT");
    assert_eq!(
        (rows.as_array().unwrap().len(), &rows[0]["side"], &rows[0]["size"]),
        (1, &json!("Buy"), &json!("0.3000"))
    );
    let rows = query(&mut http, "main", "/v5/position/list", "category=linear&symbol=ETHUSDT");
    assert_eq!((&rows[0]["side"], &rows[0]["size"]), (&json!(""), &json!("0.0000")));
    let (_, time) = http.get("/v5/market/time", "");
    assert_eq!((&time["time"], &time["retCode"]), (&json!(START_MS), &json!(0)));
    let (_, info) = http.get("/v5/market/instruments-info?category=linear", "");
    let row = &info["result"]["list"][0];
    assert_eq!(
        (&row["priceFilter"]["tickSize"], &row["lotSizeFilter"]["minOrderQty"]),
        (&json!("0.10"), &json!("0.0020"))
    );
    let counts = venue.counts().matching;
    assert_eq!((counts.orders, counts.fills, counts.expired), (5, 3, 2));
}

#[test]
fn what_the_gateway_cannot_take_is_refused_by_its_code() {
    let (venue, _clock) = venue();
    let mut ws = trade(&venue, "main");
    let mut number = 0;
    let mut ask = |ws: &mut Ws, change: &dyn Fn(&mut Value), args: Value| {
        number += 1;
        let mut request = create(&format!("r{number}"), &args);
        change(&mut request);
        ws.ask(request)["retCode"].as_i64().unwrap()
    };
    for (changes, code) in [
        (json!({"category": "spot"}), 10001),
        (json!({"symbol": "NOPE"}), 10001),
        (json!({"side": "SELL"}), 10001),
        (json!({"positionIdx": 1}), 10001),
        (json!({"reduceOnly": "true"}), 10001),
        (json!({"reduceOnly": true}), 110_017),
        (json!({"orderType": "LIMIT"}), 10001),
        (json!({"timeInForce": "GTC"}), 10001),
        (json!({"timeInForce": null}), 10001),
        (json!({"qty": 0.3}), 10001),
        (json!({"qty": "0.3005"}), 10001),
        (json!({"qty": "0.001"}), 10001),
        (json!({"qty": "0"}), 10001),
        (json!({"qty": "-1"}), 10001),
        (json!({"price": "100.05"}), 10001),
        (json!({"price": null}), 10001),
        (json!({"qty": "0.002"}), 110_094),
        (json!({"orderLinkId": "a".repeat(37)}), 10001),
        (json!({"orderLinkId": "a.b"}), 10001),
    ] {
        let refused = ask(&mut ws, &|_| (), order("refused", changes.clone()));
        assert_eq!(refused, code, "{changes}");
    }
    let at = |at: u64| {
        move |request: &mut Value| request["header"]["X-BAPI-TIMESTAMP"] = json!(at.to_string())
    };
    assert_eq!(ask(&mut ws, &at(START_MS - 5_001), order("t", json!({}))), 10002);
    assert_eq!(ask(&mut ws, &at(START_MS + 1_000), order("t", json!({}))), 10002);
    assert_eq!(ask(&mut ws, &at(START_MS - 5_000), order("t", json!({"qty": "0.1"}))), 0);
    // A client id is used up for ever; so is a request id.
    assert_eq!(ask(&mut ws, &|_| (), order("t", json!({}))), 110_072);
    assert_eq!(
        ask(&mut ws, &|request| request["reqId"] = json!("r1"), order("u", json!({}))),
        20006
    );
    assert_eq!(
        ask(&mut ws, &|request| request["reqId"] = json!("r".repeat(37)), order("u", json!({}))),
        10001
    );
    assert_eq!(
        ask(&mut ws, &|request| request["op"] = json!("order.nothing"), order("u", json!({}))),
        10404
    );
    assert_eq!(
        ask(&mut ws, &|request| request["op"] = json!("order.cancel"), order("u", json!({}))),
        110_001
    );
    assert_eq!(ask(&mut ws, &|request| *request = login("main"), json!({})), 20001);
    let pong = ws.ask(json!({"op": "ping"}));
    assert_eq!((&pong["op"], &pong["data"]), (&json!("pong"), &json!([START_MS.to_string()])));
    // Without a login nothing is done.
    let mut stranger = Ws::open(venue.addr(), "/v5/trade");
    assert_eq!(ask(&mut stranger, &|_| (), order("v", json!({}))), 10005);
    for (place, value, code) in [
        (0, json!("nobody"), 10003),
        (1, json!(START_MS), 10004),
        (1, json!(START_MS + 20_000), 10004),
        (2, json!("0".repeat(64)), 10004),
        (1, json!("x"), 10001),
    ] {
        let mut bad = login("main");
        bad["args"][place] = value;
        assert_eq!(stranger.ask(&bad)["retCode"], code, "{bad}");
    }
    let mut stranger = Ws::open(venue.addr(), "/v5/private");
    let answer = stranger.ask(json!({"op": "subscribe", "args": ["order"]}));
    assert_eq!(
        (&answer["success"], &answer["ret_msg"]),
        (&json!(false), &json!("Request not authorized"))
    );
    let mut known = private(&venue, "main");
    assert_eq!(known.ask(json!({"op": "subscribe", "args": ["nothing"]}))["success"], false);
    let pong = known.ask(json!({"op": "ping", "req_id": "p"}));
    assert_eq!((&pong["op"], &pong["req_id"]), (&json!("pong"), &json!("p")));
    // REST: status 200 with the refusal inside.
    let mut http = Http::open(venue.addr());
    let query = "category=linear&symbol=BTCUSDT";
    let good = headers("main", query);
    for (headers, code) in [
        (good.clone(), 0),
        (good.replace("5000", "4999"), 10004),
        (good.replace("key-main", "key-second"), 10004),
        (good.replace("key-main", "nobody"), 10003),
        (good.replace(&START_MS.to_string(), "1"), 10002),
        (String::new(), 10003),
    ] {
        let (status, body) = http.get(&format!("/v5/position/list?{query}"), &headers);
        assert_eq!((status, &body["retCode"]), (200, &json!(code)), "{headers}");
    }
    assert_eq!(http.get("/v5/nothing", "").0, 404);
    assert_eq!(venue.counts().matching.orders, 2);
}

#[test]
fn a_silent_private_client_is_cut_and_logins_can_be_refused() {
    let (venue, clock) = venue();
    let mut silent = private(&venue, "main");
    let mut talking = trade(&venue, "main");
    clock.set(Nanos::from_secs(599));
    assert_eq!(talking.ask(json!({"op": "ping"}))["op"], "pong");
    clock.set(Nanos::from_secs(600));
    assert!(silent.is_closed());
    assert_eq!(talking.ask(json!({"op": "ping"}))["op"], "pong");
    clock.set(Nanos(0));
    venue.set_faults(SimFaults { refuse_logins: true, ..SimFaults::default() });
    let mut ws = Ws::open(venue.addr(), "/v5/trade");
    assert_eq!(ws.ask(login("main"))["retCode"], 10003);
    venue.set_faults(SimFaults { drop_private: true, ..SimFaults::default() });
    assert_eq!(Ws::try_open(venue.addr(), "/v5/private", None).err(), Some(403));
}
