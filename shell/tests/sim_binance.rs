//! The simulated Binance USD-M venue, over real sockets.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod venue_client;

use std::collections::BTreeMap;

use reap_core::units::Nanos;
use reap_shell::sim::MarketVenue;
use reap_shell::sim::server::{SimFaults, SimKind, SimVenue, market_feed};
use serde_json::{Value, json};

use venue_client::*;

/// A venue whose Bitcoin is 100.0 to 100.5.
fn venue() -> (SimVenue, std::sync::Arc<HandClock>) {
    start(SimKind::BinanceUsdm, vec![(0, binance_best("BTCUSDT", "100.00", "100.50", 1))])
}

fn signed_params(account: &str, params: Value) -> Value {
    let mut sorted: BTreeMap<String, Value> = serde_json::from_value(params).unwrap();
    sorted.entry("timestamp".to_owned()).or_insert(json!(START_MS));
    sorted.insert("apiKey".to_owned(), json!(format!("key-{account}")));
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let pairs: Vec<String> =
        sorted.iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    sorted.insert("signature".to_owned(), json!(sign(account, &pairs.join("&"))));
    json!(sorted)
}

fn call(api: &mut Ws, method: &str, params: Value) -> Value {
    api.ask(json!({"id": "x1", "method": method, "params": params}))
}

fn signed(api: &mut Ws, account: &str, method: &str, params: Value) -> Value {
    call(api, method, signed_params(account, params))
}

/// A good order; what differs is told.
fn order(id: &str, changes: Value) -> Value {
    let mut order = json!({
        "symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "timeInForce": "IOC",
        "quantity": "0.3", "price": "100.0", "newClientOrderId": id,
    });
    for (name, value) in changes.as_object().unwrap() {
        order[name] = value.clone();
        if value.is_null() {
            order.as_object_mut().unwrap().remove(name);
        }
    }
    order
}

fn rest(account: &str, query: &str) -> (String, String) {
    let query = format!("{query}&timestamp={START_MS}");
    let target = format!("{query}&signature={}", sign(account, &query));
    (target, format!("X-MBX-APIKEY: key-{account}\r\n"))
}

/// A private stream of an account.
fn private(venue: &SimVenue, account: &str) -> Ws {
    let headers = format!("X-MBX-APIKEY: key-{account}\r\n");
    let (status, body) =
        Http::open(venue.addr()).request("POST", "/fapi/v1/listenKey", &headers, "");
    assert_eq!(status, 200);
    Ws::open(venue.addr(), &format!("/private/ws/{}", body["listenKey"].as_str().unwrap()))
}

#[test]
fn market_data_arrives_on_its_own_path_only() {
    let best = binance_best("BTCUSDT", "100.00", "100.50", 1);
    let trade =
        r#"{"e":"aggTrade","E":1,"s":"BTCUSDT","a":1,"p":"100.00","q":"0.1","T":1,"m":true}"#;
    let mark = r#"{"e":"markPriceUpdate","E":1,"s":"BTCUSDT","p":"100.10","r":"0.0001","T":9}"#;
    let other = binance_best("ETHUSDT", "50.00", "50.10", 1);
    let combined = format!(
        r#"{{"stream":"btcusdt@bookTicker","data":{}}}"#,
        best.replace("\"u\":1", "\"u\":2")
    );
    let messages =
        [&best, trade, mark, &other, &combined].map(|text| (1_000, text.to_owned())).to_vec();
    let (venue, clock) = start(SimKind::BinanceUsdm, messages);
    let names =
        json!(["btcusdt@bookTicker", "btcusdt@aggTrade", "btcusdt@markPrice@1s", "no@thing"]);
    let subscribe = json!({"method": "SUBSCRIBE", "params": names, "id": 7});
    let open = |path: &str| Ws::open(venue.addr(), path);
    let (mut public, mut market) = (open("/public/ws"), open("/market/stream"));
    let mut legacy = open("/ws");
    for one in [&mut public, &mut market, &mut legacy] {
        assert_eq!(one.ask(&subscribe), json!({"result": null, "id": 7}));
    }
    let mut named = open("/public/stream?streams=btcusdt@bookTicker/ethusdt@bookTicker");
    let mut raw = open("/market/ws/btcusdt@aggTrade");
    let list = json!({"method": "LIST_SUBSCRIPTIONS", "id": 8});
    assert_eq!(public.ask(&list)["result"], names);
    assert_eq!(raw.ask(&list)["result"], json!(["btcusdt@aggTrade"]));
    assert_eq!(named.ask(&list)["id"], 8);
    clock.set(Nanos::from_secs(1));
    // The exact bytes, the second one out of its envelope; then nothing but the next answer.
    for one in [&mut public, &mut legacy] {
        assert_eq!(one.text(), best);
        assert_eq!(one.text(), best.replace("\"u\":1", "\"u\":2"));
        assert_eq!(one.ask(&list)["id"], 8);
    }
    assert_eq!(market.text(), format!(r#"{{"stream":"btcusdt@aggTrade","data":{trade}}}"#));
    assert_eq!(market.text(), format!(r#"{{"stream":"btcusdt@markPrice@1s","data":{mark}}}"#));
    assert_eq!(market.ask(&list)["id"], 8);
    assert_eq!(raw.text(), trade);
    let streams: Vec<Value> = (0..3).map(|_| named.json()["stream"].clone()).collect();
    assert_eq!(streams, ["btcusdt@bookTicker", "ethusdt@bookTicker", "btcusdt@bookTicker"]);
    let stop = json!({"method": "UNSUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 9});
    assert_eq!(raw.ask(stop), json!({"result": null, "id": 9}));
    assert_eq!(raw.ask(&list)["result"], json!([]));
    until("the feed ends", || venue.finished());
    assert_eq!(venue.counts().market, 5);
}

#[test]
fn requests_that_a_stream_does_not_know_are_refused_by_code() {
    let (venue, _clock) = venue();
    let mut ws = Ws::open(venue.addr(), "/public/ws");
    let long = json!({"method": "SUBSCRIBE", "params": ["x".repeat(101)], "id": 1}).to_string();
    for (text, code) in [
        (r#"{"method":"NOTHING","id":1}"#, 2),
        (r#"{"id":1}"#, 2),
        (r#"{"method":"SUBSCRIBE","params":"x","id":1}"#, 2),
        (r#"{"method":"SUBSCRIBE","params":[],"id":{}}"#, 2),
        (&long, 2),
        ("{", 3),
        (r#"{"method":"SET_PROPERTY","params":["x",1],"id":1}"#, 0),
        (r#"{"method":"SET_PROPERTY","params":["combined",1],"id":1}"#, 1),
    ] {
        let answer = ws.ask(text);
        assert_eq!(answer["code"], code, "{text} {answer}");
        assert!(answer["msg"].is_string());
    }
    for path in ["/nothing", "/public", "/private/ws/unknown", "/public/wsx"] {
        assert!(Ws::try_open(venue.addr(), path, None).is_err(), "{path}");
    }
}

#[test]
fn too_many_messages_within_a_second_end_the_connection() {
    let (venue, clock) = venue();
    let list = json!({"method": "LIST_SUBSCRIPTIONS", "id": 8});
    let mut ws = Ws::open(venue.addr(), "/public/ws");
    for second in 0..2 {
        clock.set(Nanos::from_secs(second));
        for _ in 0..10 {
            assert_eq!(ws.ask(&list)["id"], 8);
        }
    }
    ws.send(&list);
    assert!(ws.is_closed());
}

#[test]
fn a_connection_lives_by_its_pongs_and_for_a_day() {
    let (venue, clock) = venue();
    let mut ws = Ws::open(venue.addr(), "/public/ws");
    let minute = |count: u64| Nanos::from_secs(60 * count);
    let is_ping = |message: Option<tungstenite::Message>| {
        matches!(message, Some(tungstenite::Message::Ping(_)))
    };
    clock.set(minute(3));
    assert!(is_ping(ws.poll()));
    // The pong leaves with the next request.
    let list = json!({"method": "LIST_SUBSCRIPTIONS", "id": 8});
    assert_eq!(ws.ask(&list)["id"], 8);
    clock.set(minute(12));
    assert!(is_ping(ws.poll()), "the first was answered");
    // This one is not answered.
    let addr = venue.addr();
    let mut fresh = Ws::open(addr, "/public/ws");
    assert_eq!(fresh.ask(&list)["id"], 8);
    clock.set(minute(22));
    assert!(ws.is_closed());
    assert!(is_ping(fresh.poll()));
    assert_eq!(fresh.ask(&list)["id"], 8);
    clock.set(minute(12 + 24 * 60));
    assert!(fresh.is_closed());
}

#[test]
fn an_order_goes_round_and_the_private_stream_tells_all_of_it() {
    let (venue, _clock) = venue();
    venue.deposit(MAIN, BTC, 8_000);
    let mut api = Ws::open(venue.addr(), "/ws-fapi/v1");
    let (mut main, mut second) = (private(&venue, "main"), private(&venue, "second"));
    // Filled whole: 0.3 of 0.5 shown. The answer is the acceptance.
    let answer = signed(&mut api, "main", "order.place", order("one", json!({})));
    assert_eq!((&answer["id"], &answer["status"]), (&json!("x1"), &json!(200)));
    assert_eq!(
        (answer["result"]["status"].as_str(), answer["result"]["clientOrderId"].as_str()),
        (Some("NEW"), Some("one"))
    );
    assert!(answer["rateLimits"].is_array());
    let new = main.json();
    assert_eq!(
        (&new["e"], &new["o"]["x"], &new["o"]["X"]),
        (&json!("ORDER_TRADE_UPDATE"), &json!("NEW"), &json!("NEW"))
    );
    let lite = main.json();
    assert_eq!(
        (&lite["e"], &lite["l"], &lite["c"]),
        (&json!("TRADE_LITE"), &json!("0.3000"), &json!("one"))
    );
    assert_eq!(main.json()["a"]["P"][0]["pa"], "0.5000");
    let filled = main.json();
    let o = &filled["o"];
    assert_eq!(
        (&o["x"], &o["X"], &o["z"], &o["L"]),
        (&json!("TRADE"), &json!("FILLED"), &json!("0.3000"), &json!("100.00"))
    );
    assert_eq!((&o["n"], &o["N"], &o["t"]), (&json!("0.015"), &json!("USDT"), &lite["t"]));
    // Partly: 0.2 are left. RESULT waits for the end.
    let changes = json!({"newOrderRespType": "RESULT", "reduceOnly": "true", "quantity": "0.4"});
    let answer = signed(&mut api, "main", "order.place", order("two", changes));
    let result = &answer["result"];
    assert_eq!(
        (&result["status"], &result["executedQty"], &result["cumQuote"]),
        (&json!("EXPIRED"), &json!("0.2000"), &json!("20"))
    );
    let heard: Vec<Value> = (0..5).map(|_| main.json()).collect();
    let last = &heard[4]["o"];
    assert_eq!(
        (&last["x"], &last["X"], &last["z"], &last["R"]),
        (&json!("EXPIRED"), &json!("EXPIRED"), &json!("0.2000"), &json!(true))
    );
    assert_eq!(heard[3]["o"]["X"], "PARTIALLY_FILLED");
    // Nothing at all: the limit is above the bid.
    let answer = signed(
        &mut api,
        "main",
        "order.place",
        order("three", json!({"price": "100.1", "newOrderRespType": "RESULT"})),
    );
    assert_eq!(
        (&answer["result"]["status"], &answer["result"]["executedQty"]),
        (&json!("EXPIRED"), &json!("0.0000"))
    );
    // The other account trades by itself and hears its own only.
    let changes = json!({"side": "BUY", "type": "MARKET", "timeInForce": null, "price": null});
    let answer = signed(&mut api, "second", "order.place", order("one", changes));
    assert_eq!(answer["status"], 200);
    let heard = second.json();
    assert_eq!(
        (&heard["o"]["c"], &heard["o"]["S"], &heard["o"]["o"]),
        (&json!("one"), &json!("BUY"), &json!("MARKET"))
    );
    // Queries by WS-API and by REST say the same.
    let query = json!({"symbol": "BTCUSDT", "origClientOrderId": "two"});
    let status = signed(&mut api, "main", "order.status", query);
    assert_eq!(
        (&status["result"]["status"], &status["result"]["executedQty"]),
        (&json!("EXPIRED"), &json!("0.2000"))
    );
    let mut http = Http::open(venue.addr());
    let (query, headers) = rest("main", "symbol=BTCUSDT&origClientOrderId=two");
    let (code, body) = http.get(&format!("/fapi/v1/order?{query}"), &headers);
    assert_eq!((code, body), (200, status["result"].clone()));
    let (query, headers) = rest("second", "symbol=BTCUSDT&origClientOrderId=two");
    let (code, body) = http.get(&format!("/fapi/v1/order?{query}"), &headers);
    assert_eq!((code, &body["code"]), (400, &json!(-2013)), "another account's order");
    let (query, headers) = rest("main", "symbol=BTCUSDT");
    let (_, trades) = http.get(&format!("/fapi/v1/userTrades?{query}"), &headers);
    let quantities: Vec<&Value> =
        trades.as_array().unwrap().iter().map(|trade| &trade["qty"]).collect();
    assert_eq!(quantities, ["0.3000", "0.2000"]);
    let (query, headers) = rest("main", "recvWindow=5000");
    let (_, held) = http.get(&format!("/fapi/v3/positionRisk?{query}"), &headers);
    assert_eq!((held.as_array().unwrap().len(), &held[0]["positionAmt"]), (1, &json!("0.3000")));
    let all = signed(&mut api, "second", "account.position", json!({}));
    assert_eq!(
        (&all["result"][0]["positionAmt"], &all["result"][1]["positionAmt"]),
        (&json!("0.3000"), &json!("0.0000"))
    );
    let open = signed(&mut api, "second", "v2/account.position", json!({}));
    assert_eq!(open["result"].as_array().unwrap().len(), 1);
    let counts = venue.counts().matching;
    assert_eq!((counts.orders, counts.fills, counts.expired), (4, 3, 2));
}

#[test]
fn what_the_gateway_cannot_take_is_refused_by_its_code() {
    let (venue, _clock) = venue();
    let mut api = Ws::open(venue.addr(), "/ws-fapi/v1?returnRateLimits=false");
    let cases = [
        (json!({"symbol": "NOPE"}), -1121),
        (json!({"symbol": null}), -1102),
        (json!({"side": "Sell"}), -1117),
        (json!({"type": "STOP_MARKET"}), -4120),
        (json!({"type": "NOPE"}), -1116),
        (json!({"timeInForce": "GTC"}), -1115),
        (json!({"timeInForce": null}), -1102),
        (json!({"type": "MARKET"}), -1106),
        (json!({"price": "100.05"}), -4014),
        (json!({"price": "100.001"}), -1111),
        (json!({"price": "1e2"}), -1100),
        (json!({"price": "0"}), -4001),
        (json!({"quantity": "0.3005"}), -4023),
        (json!({"quantity": "0.30001"}), -1111),
        (json!({"quantity": "0.001"}), -4004),
        (json!({"quantity": "0"}), -4003),
        (json!({"quantity": "999999999999"}), -4005),
        (json!({"quantity": "-1"}), -1100),
        (json!({"quantity": "0.002", "price": "100.0"}), -4164),
        (json!({"reduceOnly": true}), -4062),
        (json!({"reduceOnly": "yes"}), -4062),
        (json!({"reduceOnly": "true"}), -2022),
        (json!({"positionSide": "LONG"}), -4061),
        (json!({"newClientOrderId": "a".repeat(37)}), -1100),
        (json!({"newClientOrderId": "ä"}), -1100),
        (json!({"newOrderRespType": "ALL"}), -1130),
        (json!({"timestamp": START_MS - 5_001}), -1021),
        (json!({"timestamp": START_MS - 101, "recvWindow": 100}), -1021),
        (json!({"timestamp": START_MS + 1_000}), -1021),
        (json!({"timestamp": "x"}), -1130),
        (json!({"recvWindow": 60_001}), -1131),
        (json!({"symbol": "ETHUSDT"}), -2020),
    ];
    for (changes, code) in cases {
        let answer = signed(&mut api, "main", "order.place", order("id", changes.clone()));
        assert_eq!(answer["error"]["code"], code, "{changes} {answer}");
        assert_eq!(answer["status"], 400);
        assert!(answer.get("rateLimits").is_none() && answer["error"]["msg"].is_string());
    }
    let good = signed_params("main", order("id", json!({})));
    for (name, value, code) in [
        ("signature", json!("0".repeat(64)), -1022),
        ("quantity", json!("0.4"), -1022),
        ("apiKey", json!("nobody"), -2015),
        ("apiKey", json!("key-second"), -1022),
        ("signature", json!(""), -1022),
    ] {
        let mut bad = good.clone();
        bad[name] = value;
        assert_eq!(call(&mut api, "order.place", bad)["error"]["code"], code, "{name}");
    }
    assert_eq!(call(&mut api, "order.place", json!({}))["error"]["code"], -2014);
    let cancel = json!({"symbol": "BTCUSDT", "origClientOrderId": "id"});
    assert_eq!(signed(&mut api, "main", "order.cancel", cancel)["error"]["code"], -2011);
    assert_eq!(api.ask("{")["error"]["code"], -1135);
    assert_eq!(call(&mut api, "nothing", json!({}))["error"]["code"], -1020);
    // Nothing of all this was an order, but for what the book refused.
    assert_eq!(venue.counts().matching.orders, 2);
    assert_eq!(call(&mut api, "order.place", good)["status"], 200);
}

#[test]
fn latency_is_kept_and_an_open_client_id_is_taken() {
    let mut config = config(SimKind::BinanceUsdm);
    config.latency = Nanos::from_millis(20);
    let quotes = vec![
        (0, binance_best("BTCUSDT", "100.00", "100.50", 1)),
        (15, binance_best("BTCUSDT", "101.00", "101.50", 2)),
    ];
    let (venue, clock) = start_with(config, quotes);
    let mut api = Ws::open(venue.addr(), "/ws-fapi/v1");
    let place = |changes| json!({"id": 1, "method": "order.place", "params": signed_params("main", order("same", changes))});
    let result = json!({"newOrderRespType": "RESULT"});
    api.send(place(result.clone()));
    until("the order arrives", || venue.counts().messages == 1);
    clock.set(Nanos::from_millis(8));
    api.send(place(result.clone()));
    until("the second arrives", || venue.counts().messages == 2);
    clock.set(Nanos::from_millis(28));
    // The answer to the first comes with the price of its arrival.
    let first = api.json();
    assert_eq!(
        (&first["result"]["avgPrice"], &first["result"]["status"]),
        (&json!("100.00"), &json!("FILLED"))
    );
    assert_eq!(api.json()["error"]["code"], -4116);
    // Finished: the id is free again, and names the newer order.
    api.send(place(result));
    until("the third arrives", || venue.counts().messages == 3);
    clock.set(Nanos::from_millis(48));
    assert_eq!(api.json()["result"]["avgPrice"], "101.00");
}

#[test]
fn rest_places_orders_and_tells_the_market() {
    let (venue, _clock) = venue();
    let mut http = Http::open(venue.addr());
    assert_eq!(http.get("/fapi/v1/time", ""), (200, json!({"serverTime": START_MS})));
    let (_, best) = http.get("/fapi/v1/ticker/bookTicker?symbol=BTCUSDT", "");
    assert_eq!((&best["bidPrice"], &best["askQty"]), (&json!("100.00"), &json!("0.7000")));
    assert_eq!(http.get("/fapi/v1/ticker/bookTicker", "").1.as_array().unwrap().len(), 1);
    assert_eq!(http.get("/fapi/v1/ticker/bookTicker?symbol=NOPE", "").1["code"], -1121);
    let (_, info) = http.get("/fapi/v1/exchangeInfo", "");
    assert_eq!(info["symbols"][1]["filters"][0]["tickSize"], "0.10");
    assert_eq!(http.get("/fapi/v1/nothing", "").0, 404);
    let query = "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=IOC&quantity=0.2&price=100.0&newClientOrderId=a%2Fb&newOrderRespType=RESULT";
    let (signed, headers) = rest("main", query);
    let (status, body) = http.request("POST", "/fapi/v1/order", &headers, &signed);
    assert_eq!(
        (status, &body["status"], &body["clientOrderId"]),
        (200, &json!("FILLED"), &json!("a/b"))
    );
    let (status, body) = http.request("POST", &format!("/fapi/v1/order?{signed}"), &headers, "");
    assert_eq!((status, &body["status"]), (200, &json!("FILLED")), "the id is free again");
    let wrong = signed.replace("0.2", "0.3");
    let (status, body) = http.request("POST", "/fapi/v1/order", &headers, &wrong);
    assert_eq!((status, &body["code"]), (400, &json!(-1022)));
    let (status, body) = http.request("POST", "/fapi/v1/order", "", &signed);
    assert_eq!((status, &body["code"]), (401, &json!(-2014)));
    let mut tampered = headers.clone();
    tampered.insert(14, 'x');
    assert_eq!(http.request("POST", "/fapi/v1/order", &tampered, &signed).1["code"], -2015);
}

#[test]
fn a_listen_key_lives_an_hour_and_as_long_as_it_is_kept() {
    let mut config = config(SimKind::BinanceUsdm);
    config.options.ping_every = Nanos::from_secs(24 * 3_600);
    let (venue, clock) = start_with(config, Vec::new());
    let mut http = Http::open(venue.addr());
    let headers = "X-MBX-APIKEY: key-main\r\n";
    let minutes = |count: u64| clock.set(Nanos::from_secs(60 * count));
    let (_, first) = http.request("POST", "/fapi/v1/listenKey", headers, "");
    let mut stream = Ws::open(
        venue.addr(),
        &format!(
            "/private/ws?listenKey={}&events=ORDER_TRADE_UPDATE",
            first["listenKey"].as_str().unwrap()
        ),
    );
    minutes(50);
    assert_eq!(http.request("PUT", "/fapi/v1/listenKey", headers, ""), (200, first.clone()));
    minutes(55);
    let (_, again) = http.request("POST", "/fapi/v1/listenKey", headers, "");
    assert_eq!(again, first, "one key at a time");
    minutes(114);
    assert_eq!(http.get("/fapi/v1/ping", "").0, 200);
    minutes(115);
    let heard = stream.json();
    assert_eq!(
        (&heard["e"], &heard["E"]),
        (&json!("listenKeyExpired"), &json!(START_MS + 115 * 60_000))
    );
    let (status, body) = http.request("PUT", "/fapi/v1/listenKey", headers, "");
    assert_eq!((status, &body["code"]), (400, &json!(-1125)));
    let mut api = Ws::open(venue.addr(), "/ws-fapi/v1");
    let key = json!({"apiKey": "key-main"});
    let started = call(&mut api, "userDataStream.start", key.clone());
    assert_ne!(started["result"]["listenKey"], first["listenKey"]);
    assert_eq!(call(&mut api, "userDataStream.ping", key.clone())["result"], started["result"]);
    assert_eq!(call(&mut api, "userDataStream.stop", key.clone())["result"], json!({}));
    assert_eq!(call(&mut api, "userDataStream.stop", key)["error"]["code"], -1125);
    let path = format!("/private/ws/{}", started["result"]["listenKey"].as_str().unwrap());
    assert_eq!(Ws::try_open(venue.addr(), &path, None).err(), Some(400));
}

#[test]
fn faults_on_purpose() {
    let (venue, clock) = venue();
    venue.set_faults(SimFaults { swallow_acks: 1, ..SimFaults::default() });
    let mut api = Ws::open(venue.addr(), "/ws-fapi/v1");
    let mut stream = private(&venue, "main");
    let place = |id: &str| json!({"id": id, "method": "order.place", "params": signed_params("main", order(id, json!({"quantity": "0.1"})))});
    api.send(place("lost"));
    assert_eq!(stream.json()["o"]["c"], "lost", "the order was executed");
    api.send(place("heard"));
    assert_eq!(api.json()["id"], "heard");
    assert_eq!(venue.counts().swallowed, 1);
    venue.set_faults(SimFaults { delay_answers: Nanos::from_secs(2), ..SimFaults::default() });
    api.send(place("late"));
    until("the order is filled", || venue.counts().matching.fills == 3);
    let mut time = Http::open(venue.addr());
    clock.set(Nanos::from_secs(2));
    assert_eq!(api.json()["result"]["updateTime"], START_MS);
    venue.set_faults(SimFaults { drop_private: true, ..SimFaults::default() });
    while stream.poll().is_some() {}
    assert_eq!(time.get("/fapi/v1/ping", "").0, 200, "all else works");
    venue.set_faults(SimFaults { refuse_logins: true, ..SimFaults::default() });
    let (status, body) =
        time.request("POST", "/fapi/v1/listenKey", "X-MBX-APIKEY: key-main\r\n", "");
    assert_eq!((status, &body["code"]), (401, &json!(-2015)));
    venue.set_faults(SimFaults::default());
    private(&venue, "main");
}

#[test]
fn the_seeded_market_is_a_feed() {
    let all = |venue| market_feed(5, START, Nanos::from_secs(30), venue).collect::<Vec<_>>();
    let (binance, bybit) = (all(MarketVenue::Binance), all(MarketVenue::Bybit));
    assert!(binance.len() > 500 && bybit.len() > 500);
    let mut config = config(SimKind::BinanceUsdm);
    // The market's Bitcoin has one decimal and three; both fit.
    config.instruments.truncate(1);
    let clock = HandClock::new();
    let feed = market_feed(5, START, Nanos::from_secs(30), MarketVenue::Binance);
    let venue = SimVenue::start(config, feed, clock.clone()).unwrap();
    let mut ws = Ws::open(venue.addr(), "/public/stream?streams=btcusdt@bookTicker");
    assert_eq!(ws.ask(json!({"method": "LIST_SUBSCRIPTIONS", "id": 1}))["id"], 1);
    clock.set(Nanos::from_secs(30));
    let is_bitcoin =
        |raw: &&(Nanos, Vec<u8>)| raw.1.starts_with(br#"{"stream":"btcusdt@bookTicker"#);
    let wanted: Vec<_> = binance.iter().filter(is_bitcoin).collect();
    assert!(wanted.len() > 100);
    for (_, raw) in wanted {
        assert_eq!(ws.text().as_bytes(), raw);
    }
    assert!(venue.finished());
    assert_eq!(venue.counts().refused_quotes, 0);
}
