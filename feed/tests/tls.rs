//! F27: what is wrong with TLS is refused by name; nothing falls back to less.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod net;

use std::io::{Read, Write};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use net::{Certificates, Flaw, Server, certificates, text};
use reap_feed::endpoint::Endpoint;
use reap_feed::transport::{
    Closed, ConnectError, Stage, TlsFault, TransportSettings, Trust, TrustError, connect_http,
    connect_ws,
};
use rustls::{ServerConnection, StreamOwned};

/// A TLS server with these certificates that tells how many bytes of plaintext it was given.
fn server(certificates: &Certificates) -> Server<usize> {
    let config = certificates.config.clone();
    let mut server = Server::raw(move |tcp| {
        let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
        let mut buffer = [0; 1024];
        tls.read(&mut buffer).unwrap_or(0)
    });
    server.secure = true;
    server
}

fn check(flaw: Flaw, trust: impl Fn(&Certificates) -> Trust, expected: TlsFault) {
    let certificates = certificates(flaw);
    let mut server = server(&certificates);
    server.trust = trust(&certificates);
    assert_eq!(
        server.try_ws(&TransportSettings::default()).map(|_| ()),
        Err(ConnectError::Tls(expected))
    );
    assert_eq!(server.join(), 0, "nothing was said to it");
}

fn own_root(certificates: &Certificates) -> Trust {
    Trust::with_roots_pem(certificates.root_pem.as_bytes()).unwrap()
}

#[test]
fn f27_an_expired_certificate_is_refused() {
    check(Flaw::Expired, own_root, TlsFault::Expired);
}

#[test]
fn f27_a_certificate_of_the_future_is_refused() {
    check(Flaw::NotYetValid, own_root, TlsFault::NotYetValid);
}

#[test]
fn f27_a_certificate_for_another_host_is_refused() {
    check(Flaw::OtherHost, own_root, TlsFault::WrongHost);
}

#[test]
fn f27_an_unknown_issuer_is_refused() {
    check(Flaw::None, |_| Trust::webpki(), TlsFault::UnknownIssuer);
    // A root of the same name with another key.
    check(Flaw::None, |_| own_root(&certificates(Flaw::None)), TlsFault::Certificate);
}

#[test]
fn f27_http_is_verified_too() {
    let certificates = certificates(Flaw::Expired);
    let server = server(&certificates);
    let stop = AtomicBool::new(false);
    let settings = TransportSettings::default();
    let ended = connect_http(&server.endpoint(), &own_root(&certificates), &settings, &stop);
    assert_eq!(ended.map(|_| ()), Err(ConnectError::Tls(TlsFault::Expired)));
    assert_eq!(server.join(), 0);
}

/// What a client says to a server that answers its hello with `answer` and then waits.
fn answered(answer: &'static [u8]) -> Result<(), ConnectError> {
    let mut server = Server::raw(move |mut tcp| {
        let _ = tcp.write_all(answer);
        let mut rest = Vec::new();
        let _ = tcp.read_to_end(&mut rest);
        rest
    });
    server.secure = true;
    let settings =
        TransportSettings { handshake_timeout: Duration::from_secs(5), ..Default::default() };
    let ended = server.try_ws(&settings).map(|_| ());
    let said = server.join();
    assert!(!said.windows(4).any(|part| part == b"GET "), "no request in the open");
    ended
}

#[test]
fn f27_a_downgrade_to_tls_1_1_is_refused() {
    // ServerHello of TLS 1.1 that picks an old suite.
    let hello: &[u8] = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02\
        0123456789abcdef0123456789abcdef\x00\x00\x2f\x00";
    assert_eq!(answered(hello), Err(ConnectError::Tls(TlsFault::Version)));
    // The alert of a server that knows nothing newer.
    assert_eq!(
        answered(b"\x15\x03\x02\x00\x02\x02\x46"),
        Err(ConnectError::Tls(TlsFault::Version))
    );
}

#[test]
fn f27_a_plain_answer_on_a_tls_port_is_refused() {
    let bad_request = b"HTTP/1.1 400 Bad Request\r\n\r\nplain HTTP here";
    assert_eq!(answered(bad_request), Err(ConnectError::Tls(TlsFault::NotTls)));
}

#[test]
fn f27_an_alert_in_the_handshake_has_its_number() {
    let internal_error = b"\x15\x03\x03\x00\x02\x02\x50";
    assert_eq!(answered(internal_error), Err(ConnectError::Tls(TlsFault::Alert(80))));
}

#[test]
fn f27_silence_in_the_handshake_ends() {
    let mut server = Server::raw(|mut tcp| {
        let _ = tcp.read_to_end(&mut Vec::new());
    });
    server.secure = true;
    let handshake_timeout = Duration::from_millis(150);
    let ended = server.try_ws(&TransportSettings { handshake_timeout, ..Default::default() });
    assert_eq!(ended.map(|_| ()), Err(ConnectError::Timeout { stage: Stage::Tls }));
}

/// A TLS server that, after one message, does `then` to its connection.
fn after_a_message(
    then: impl FnOnce(&mut StreamOwned<ServerConnection, std::net::TcpStream>) + Send + 'static,
) -> Closed {
    let certificates = certificates(Flaw::None);
    let config = certificates.config.clone();
    let mut server = Server::raw(move |tcp| {
        let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
        net::upgrade(&mut tls, b"");
        tls.write_all(&text("before")).unwrap();
        tls.flush().unwrap();
        then(&mut tls);
    });
    server.secure = true;
    server.trust = own_root(&certificates);
    let mut client = server.client(&TransportSettings::default());
    let (got, closed) = client.rest();
    assert_eq!(got, [net::Got::Text("before".into())]);
    closed
}

#[test]
fn f27_a_mid_stream_alert_ends_the_connection() {
    let closed = after_a_message(|tls| {
        // The server is made to see a corrupt record: it gives up with bad_record_mac.
        let junk = [&b"\x17\x03\x03\x00\x20"[..], &[9; 32]].concat();
        tls.conn.read_tls(&mut junk.as_slice()).unwrap();
        assert!(tls.conn.process_new_packets().is_err());
        while tls.conn.wants_write() {
            tls.conn.write_tls(&mut tls.sock).unwrap();
        }
    });
    assert_eq!(closed, Closed::Tls(TlsFault::Alert(20)));
}

#[test]
fn f27_a_tampered_record_ends_the_connection() {
    let closed = after_a_message(|tls| {
        tls.sock.write_all(b"\x17\x03\x03\x00\x20").unwrap();
        tls.sock.write_all(&[9; 32]).unwrap();
    });
    assert_eq!(closed, Closed::Tls(TlsFault::Corrupt));
}

#[test]
fn f27_plain_text_mid_stream_ends_the_connection() {
    let closed = after_a_message(|tls| tls.sock.write_all(&text("{\"forged\":1}")).unwrap());
    assert_eq!(closed, Closed::Tls(TlsFault::Corrupt));
}

#[test]
fn f27_a_cut_without_the_closing_alert_is_told_from_an_end() {
    assert_eq!(after_a_message(|_| ()), Closed::Tls(TlsFault::Truncated));
    let closed = after_a_message(|tls| {
        tls.conn.send_close_notify();
        tls.flush().unwrap();
    });
    assert_eq!(closed, Closed::Ended);
}

/// Records that carry no data are not free either: a flood of them ends.
#[test]
fn f24_a_flood_of_key_updates_ends() {
    let closed = after_a_message(|tls| {
        for _ in 0..5_000 {
            tls.conn.refresh_traffic_keys().unwrap();
            while tls.conn.wants_write() {
                if tls.conn.write_tls(&mut tls.sock).is_err() {
                    return;
                }
            }
        }
        let _ = tls.write_all(&text("never read"));
        let _ = tls.flush();
    });
    assert_eq!(closed, Closed::Tls(TlsFault::Corrupt));
}

#[test]
fn roots_that_are_none_are_refused() {
    assert_eq!(Trust::with_roots_pem(b"").unwrap_err(), TrustError::Empty);
    assert_eq!(Trust::with_roots_pem(b"no pem").unwrap_err(), TrustError::Empty);
    let cut = "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n";
    assert_eq!(Trust::with_roots_pem(cut.as_bytes()).unwrap_err(), TrustError::Pem { entry: 1 });
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let both = format!("{}{junk}", certificates(Flaw::None).root_pem);
    let error = Trust::with_roots_pem(both.as_bytes()).unwrap_err();
    assert_eq!(error, TrustError::Certificate { entry: 2 });
}

#[test]
fn a_host_no_certificate_can_name_is_refused() {
    let server = Server::raw(drop);
    let stop = AtomicBool::new(false);
    let endpoint = Endpoint { host: "_".repeat(300), ..server.endpoint() };
    let endpoint = Endpoint { secure: true, ..endpoint };
    let ended = reap_feed::transport::connect_ws_at(
        &[server.addr],
        &endpoint,
        "/",
        &Trust::webpki(),
        &TransportSettings::default(),
        &stop,
    );
    assert!(matches!(ended, Err(ConnectError::Name { .. })));
    let nobody = connect_ws(
        &Endpoint { port: 1, ..server.endpoint() },
        "/",
        &Trust::webpki(),
        &TransportSettings::default(),
        &stop,
    );
    assert!(matches!(nobody, Err(ConnectError::Refused { .. })));
}
