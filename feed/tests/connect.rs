//! Connecting to servers that are absent, silent, slow, endless or wrong.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod net;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use net::{Got, Server, text};
use reap_core::units::Nanos;
use reap_feed::endpoint::Endpoint;
use reap_feed::transport::{
    ConnectError, Stage, TransportSettings, Trust, UpgradeFault, connect_ws, connect_ws_at,
};

/// Short deadlines, for servers that never answer.
fn hasty() -> TransportSettings {
    let short = Duration::from_millis(150);
    TransportSettings { connect_timeout: short, handshake_timeout: short, ..Default::default() }
}

/// How the upgrade ends against a server that does this after the request.
fn ended(
    settings: &TransportSettings,
    serve: impl FnOnce(&mut TcpStream, String) + Send + 'static,
) -> ConnectError {
    let server = Server::raw(move |mut tcp| {
        let request = net::request(&mut tcp);
        serve(&mut tcp, request);
    });
    let started = Instant::now();
    let error = server.try_ws(settings).map(|_| ()).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(8), "deadlines hold");
    server.join();
    error
}

/// The rest of what a client says: returns when it is gone.
fn until_gone(tcp: &mut TcpStream) {
    let _ = tcp.read_to_end(&mut Vec::new());
}

/// An address nobody listens on.
fn dead() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn f28_one_bad_address_is_passed_over() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap(); // accepts by backlog, says nothing
    let wrong = Server::raw(|mut tcp| tcp.write_all(b"SSH-2.0-wrong\r\n").unwrap());
    for bad in [dead(), mute.local_addr().unwrap(), wrong.addr] {
        let server = Server::ws(false, |wire| {
            wire.write_all(&text("here")).unwrap();
            net::close_code(wire)
        });
        let stop = AtomicBool::new(false);
        let settings = hasty();
        let settings = TransportSettings { handshake_timeout: Duration::from_secs(1), ..settings };
        let addresses = [bad, server.addr, dead()];
        let ws =
            connect_ws_at(&addresses, &server.endpoint(), "/", &Trust::webpki(), &settings, &stop);
        let mut client = net::Client::new(ws.unwrap());
        assert_eq!(client.ws.peer(), server.addr);
        assert_eq!(client.take(1), [Got::Text("here".into())]);
        client.ws.close(1000);
        assert_eq!(server.join(), 1000);
    }
}

#[test]
fn f28_of_several_failures_the_furthest_is_told() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let stop = AtomicBool::new(false);
    let endpoint = Endpoint::parse("ws://localhost").unwrap();
    let at = |addresses: &[SocketAddr]| {
        connect_ws_at(addresses, &endpoint, "/", &Trust::webpki(), &hasty(), &stop).map(|_| ())
    };
    let timeout = ConnectError::Timeout { stage: Stage::Upgrade };
    assert_eq!(at(&[mute.local_addr().unwrap(), dead()]), Err(timeout));
    assert!(matches!(at(&[dead()]), Err(ConnectError::Refused { .. })));
    assert!(matches!(at(&[]), Err(ConnectError::Resolve { .. })));
}

#[test]
fn f28_a_name_is_resolved_or_refused() {
    let server = Server::ws(false, |wire| net::close_code(wire));
    let stop = AtomicBool::new(false);
    let endpoint = Endpoint { host: "localhost".into(), ..server.endpoint() };
    let connect = |endpoint: &Endpoint, settings: &TransportSettings| {
        connect_ws(endpoint, "/", &Trust::webpki(), settings, &stop)
    };
    let mut ws = connect(&endpoint, &TransportSettings::default()).unwrap();
    ws.close(1000);
    assert_eq!(server.join(), 1000);
    let nowhere = Endpoint { host: "no-such-host.invalid".into(), ..endpoint };
    match connect(&nowhere, &hasty()).map(|_| ()) {
        Err(ConnectError::Resolve { host, .. }) => assert_eq!(host, nowhere.host),
        Err(ConnectError::Timeout { stage: Stage::Resolve }) => {} // where no resolver answers
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_at_all_ends() {
    let error = ended(&hasty(), |tcp, _| until_gone(tcp));
    assert_eq!(error, ConnectError::Timeout { stage: Stage::Upgrade });
}

#[test]
fn half_a_handshake_ends() {
    let half = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: webs";
    let error = ended(&hasty(), |tcp, _| {
        tcp.write_all(half).unwrap();
        until_gone(tcp);
    });
    assert_eq!(error, ConnectError::Timeout { stage: Stage::Upgrade });
    let error = ended(&TransportSettings::default(), |tcp, _| tcp.write_all(half).unwrap());
    assert_eq!(error, ConnectError::Gone { stage: Stage::Upgrade });
}

#[test]
fn a_drip_of_bytes_does_not_stretch_the_deadline() {
    let error = ended(&hasty(), |tcp, _| {
        let _ = tcp.write_all(b"HTTP/1.1 101 Switching\r\n");
        while tcp.write_all(b"a").is_ok() {
            thread::sleep(Duration::from_millis(1)); // the pace of the drip
        }
    });
    assert_eq!(error, ConnectError::Timeout { stage: Stage::Upgrade });
}

#[test]
fn s5_gigabytes_of_headers_end_in_bounded_memory() {
    let mut error = None;
    let memory = allocation_counter::measure(|| {
        error = Some(ended(&TransportSettings::default(), |tcp, _| {
            let _ = tcp.write_all(b"HTTP/1.1 101 Switching Protocols\r\n");
            net::flood(tcp, "X-Padding: aaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(2_000).as_bytes());
        }));
    });
    assert_eq!(error, Some(ConnectError::Upgrade(UpgradeFault::TooLarge(16 * 1024))));
    assert!(memory.bytes_max < 4 * 1024 * 1024, "{}", memory.bytes_max); // the roots among it
    let many = format!("HTTP/1.1 101 Switching Protocols\r\n{}\r\n", "A: b\r\n".repeat(200));
    let error = ended(&TransportSettings::default(), move |tcp, _| {
        let _ = tcp.write_all(many.as_bytes());
    });
    assert_eq!(error, ConnectError::Upgrade(UpgradeFault::TooLarge(16 * 1024)));
}

#[test]
fn an_answer_other_than_101_has_its_status_and_wait() {
    let check = |answer: &'static str, status, retry_after| {
        let error = ended(&TransportSettings::default(), move |tcp, _| {
            let _ = tcp.write_all(answer.as_bytes());
        });
        assert_eq!(error, ConnectError::Handshake { status, retry_after });
        assert_eq!(error.retry_after(), retry_after);
    };
    let thirty = Some(Nanos::from_secs(30));
    check("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\n\r\nslow down", 429, thirty);
    check("HTTP/1.1 418 I'm a teapot\r\nretry-after:  30 \r\n\r\n", 418, thirty);
    check("HTTP/1.1 503 x\r\nRetry-After: Fri, 07 Nov 2031 23:59:59 GMT\r\n\r\n", 503, None);
    check("HTTP/1.1 301 x\r\nLocation: wss://evil.example/\r\n\r\n", 301, None);
    check("HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 200, None);
}

#[test]
fn f32_a_wrong_upgrade_is_refused() {
    let check = |change: fn(String) -> String, expected| {
        let error = ended(&TransportSettings::default(), move |tcp, request| {
            let answer = String::from_utf8(net::accepting(&request)).unwrap();
            let _ = tcp.write_all(change(answer).as_bytes());
        });
        assert_eq!(error, ConnectError::Upgrade(expected));
    };
    check(|answer| answer.replace("accept: ", "accept: A"), UpgradeFault::Accept);
    check(|answer| answer.replace("sec-websocket-accept", "x-accept"), UpgradeFault::Accept);
    check(|answer| answer.replace("WebSocket", "h2c"), UpgradeFault::NotWebSocket);
    check(|answer| answer.replace("upgrade\r\n", "close\r\n"), UpgradeFault::NotWebSocket);
    check(|answer| answer.replace("HTTP/1.1", "HTTP/1.0"), UpgradeFault::Malformed);
    check(|_| "\u{0}\u{1}\u{2}".repeat(99), UpgradeFault::Malformed);
    check(
        |answer| {
            answer.replace("\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
        },
        UpgradeFault::Extension,
    );
    check(
        |answer| answer.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: x\r\n\r\n"),
        UpgradeFault::Extension,
    );
}

#[test]
fn a_path_with_anything_but_visible_ascii_is_refused() {
    let server = Server::raw(drop);
    let stop = AtomicBool::new(false);
    for path in ["", "ws", "/a b", "/a\r\nHost: evil", "/é"] {
        let settings = TransportSettings::default();
        let error = connect_ws(&server.endpoint(), path, &Trust::webpki(), &settings, &stop);
        assert!(matches!(error, Err(ConnectError::Path { .. })), "{path}");
    }
}

#[test]
fn the_request_names_host_and_path() {
    let server = Server::raw(|mut tcp| net::request(&mut tcp));
    let port = server.addr.port();
    assert!(server.try_ws(&TransportSettings::default()).is_err());
    let request = server.join();
    assert!(request.starts_with("GET /ws?a=b HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nHost: 127.0.0.1:{port}\r\n")), "{request}");
}

#[test]
fn stop_is_seen_while_a_server_is_silent() {
    for secure in [false, true] {
        let (seen, accepted) = std::sync::mpsc::channel();
        let mut server = Server::raw(move |mut tcp| {
            seen.send(()).unwrap();
            until_gone(&mut tcp);
        });
        server.secure = secure;
        let stop = AtomicBool::new(false);
        let patient = Duration::from_secs(60);
        let settings = TransportSettings {
            connect_timeout: patient,
            handshake_timeout: patient,
            ..TransportSettings::default()
        };
        let error = thread::scope(|scope| {
            let connecting = scope.spawn(|| {
                connect_ws(&server.endpoint(), "/", &Trust::webpki(), &settings, &stop).map(|_| ())
            });
            accepted.recv().unwrap();
            stop.store(true, Ordering::Relaxed);
            connecting.join().unwrap()
        });
        assert_eq!(error, Err(ConnectError::Stopped));
        server.join();
    }
}
