//! The simulated venues' sockets: TLS beside plain, cuts, and clients that mean no good.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod venue_client;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use reap_core::units::Nanos;
use reap_shell::sim::server::{SimError, SimKind, SimVenue};
use serde_json::json;

use venue_client::*;

const LIST: &str = r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#;

#[test]
fn one_port_speaks_tls_and_plain_websocket_and_http() {
    let (config, root) = with_tls(config(SimKind::BinanceUsdm));
    let best = binance_best("BTCUSDT", "100.00", "100.50", 1);
    let (venue, clock) = start_with(config, vec![(1_000, best.clone())]);
    let path = "/public/ws/btcusdt@bookTicker";
    let mut sockets =
        [Some(root.as_slice()), None].map(|root| Ws::try_open(venue.addr(), path, root).unwrap());
    for ws in &mut sockets {
        assert_eq!(ws.ask(LIST)["id"], 1);
    }
    clock.set(Nanos::from_secs(1));
    for ws in &mut sockets {
        assert_eq!(ws.text(), best);
    }
    for mut http in [Http::open_tls(venue.addr(), &root), Http::open(venue.addr())] {
        for _ in 0..3 {
            let (status, body) = http.get("/fapi/v1/time", "");
            assert_eq!((status, &body["serverTime"]), (200, &json!(START_MS + 1_000)));
        }
    }
    assert_eq!(venue.counts().connections, 4);
}

#[test]
fn a_port_in_use_is_named_with_what_to_do() {
    let (first, clock) = start(SimKind::Bybit, Vec::new());
    let mut config = config(SimKind::Bybit);
    config.listen = first.addr();
    let error = SimVenue::start(config.clone(), feed(Vec::new()), clock.clone()).unwrap_err();
    assert!(matches!(error, SimError::Port(addr) if addr == first.addr()));
    let text = error.to_string();
    assert!(text.contains(&first.addr().port().to_string()), "{text}");
    assert!(text.contains("in use") && text.contains("choose another port"), "{text}");
    first.stop();
    let again = SimVenue::start(config.clone(), feed(Vec::new()), clock.clone()).unwrap();
    assert_eq!(again.addr(), config.listen, "a stopped venue gives its port back");
    config.listen = "0.0.0.0:0".parse().unwrap();
    let error = SimVenue::start(config.clone(), feed(Vec::new()), clock.clone()).unwrap_err();
    assert!(matches!(error, SimError::NotLoopback(_)));
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.accounts[1].1 = config.accounts[0].1.clone();
    let error = SimVenue::start(config, feed(Vec::new()), clock).unwrap_err();
    assert!(matches!(error, SimError::Twice { .. }) && !error.to_string().contains("key-main"));
}

#[test]
fn a_cut_closes_everything_and_ends() {
    let (venue, _clock) = start(SimKind::BinanceUsdm, Vec::new());
    let mut ws = Ws::open(venue.addr(), "/public/ws");
    assert_eq!(ws.ask(LIST)["id"], 1);
    venue.cut(Duration::from_secs(3_600));
    assert!(ws.poll().is_none(), "without a word");
    let mut refused = TcpStream::connect(venue.addr()).unwrap();
    assert!(matches!(refused.read(&mut [0; 16]), Ok(0) | Err(_)));
    assert_eq!(venue.counts().connections, 1);
    until("the cut is counted", || venue.counts().turned_away == 1);
    venue.cut(Duration::ZERO);
    let mut ws = Ws::open(venue.addr(), "/public/ws");
    assert_eq!(ws.ask(LIST)["id"], 1);
    let begin = Instant::now();
    venue.stop();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(ws.poll().is_none());
}

/// A whole WebSocket handshake.
fn upgrade(stream: &mut TcpStream, path: &str) {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1);
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"));
}

#[test]
fn hostile_clients_disturb_nobody_else() {
    let (mut config, _root) = with_tls(config(SimKind::BinanceUsdm));
    config.options.output_max = 32 * 1024;
    let count = 20_000;
    // In batches that fit the buffers of a client which does read.
    let batch = 200;
    let quote =
        |number: u64| (1_000 + number / batch, binance_best("BTCUSDT", "100.00", "100.50", number));
    let (venue, clock) = start_with(config, (0..count).map(quote).collect());
    let path = "/public/ws/btcusdt@bookTicker";
    let mut good = Ws::open(venue.addr(), path);
    let mut held = Vec::new();
    let garbage: [&[u8]; 6] = [
        b"\x00\x01\x02\x03\xff\xfe\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello, this is no handshake at all",
        b"GET /fapi/v1/time HTTP/9.9\r\n\r\n",
        b"POST /fapi/v1/order HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nX: \xff\r\n\r\n",
        &[b'A'; 200 * 1024],
    ];
    for bytes in garbage {
        let mut stream = TcpStream::connect(venue.addr()).unwrap();
        // The venue may have closed before everything is sent.
        let _ = stream.write_all(bytes);
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 0x15 || answer.starts_with(b"HTTP/1.1 4"));
    }
    until("all are cut", || venue.counts().cut_hostile >= garbage.len() as u64);
    // Half requests, half handshakes, and sockets that say nothing.
    for bytes in [b"GET /fapi/v1/ti".as_slice(), b"\x16\x03\x01", b""] {
        let mut stream = TcpStream::connect(venue.addr()).unwrap();
        stream.write_all(bytes).unwrap();
        held.push(stream);
    }
    // WebSockets that send an unmasked frame, a reserved opcode, a frame without end.
    let frames: [&[u8]; 3] =
        [b"\x81\x02hi", b"\x8f\x80\0\0\0\0", b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"];
    for bytes in frames {
        let mut stream = TcpStream::connect(venue.addr()).unwrap();
        upgrade(&mut stream, "/public/ws");
        stream.write_all(bytes).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    // One that fragments a message for ever, and one that never reads.
    let mut endless = TcpStream::connect(venue.addr()).unwrap();
    upgrade(&mut endless, "/public/ws");
    endless.write_all(b"\x01\x80\0\0\0\0").unwrap();
    let mut flood = endless.try_clone().unwrap();
    let flooding = std::thread::spawn(move || {
        let chunk = b"\x00\x80\0\0\0\0".repeat(1_000);
        for _ in 0..2_000 {
            if flood.write_all(&chunk).is_err() {
                return;
            }
        }
    });
    let mut deaf = TcpStream::connect(venue.addr()).unwrap();
    upgrade(&mut deaf, path);
    assert_eq!(good.ask(LIST)["id"], 1);
    for number in 0..count {
        clock.set(Nanos::from_millis(1_000 + number / batch));
        let quote = good.json();
        assert_eq!(quote["u"], number);
    }
    let mut http = Http::open(venue.addr());
    assert_eq!(http.get("/fapi/v1/time", "").0, 200);
    until("the deaf one is cut", || venue.counts().cut_slow == 1);
    drop(endless);
    flooding.join().unwrap();
    assert_eq!(good.ask(LIST)["id"], 1);
}
