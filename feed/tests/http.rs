//! HTTP/1.1 answers, right and wrong, without a socket and with one.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod net;

use net::{Random, Server};
use reap_core::units::Nanos;
use reap_feed::transport::{
    Closed, Flushed, HttpConnection, HttpError, HttpLimits, HttpSession, ReadState, RequestError,
    TransportSettings,
};

const LIMITS: HttpLimits = HttpLimits { head_max: 512, body_max: 64 };
const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// What becomes of one request answered by `parts`, then the end of the stream.
fn answer(request: &[u8], parts: &[&[u8]]) -> String {
    let mut session = HttpSession::new(LIMITS);
    session.on_request(request);
    let mut seen = String::new();
    let take = |session: &mut HttpSession, seen: &mut String| {
        if let Some(response) = session.poll_response() {
            let body = String::from_utf8_lossy(response.body);
            seen.push_str(&format!("{} {body:?}", response.status));
            if let Some(wait) = response.retry_after {
                seen.push_str(&format!(" wait {}", wait.0 / 1_000_000_000));
            }
            true
        } else {
            false
        }
    };
    for part in parts {
        let mut rest = *part;
        while !rest.is_empty() {
            match session.on_bytes(rest) {
                Ok(taken) => rest = &rest[taken..],
                Err(error) => {
                    assert_eq!(session.on_bytes(b"x"), Err(error), "an error stays");
                    assert!(!session.is_idle());
                    return format!("{seen}{error:?}");
                }
            }
            take(&mut session, &mut seen);
        }
    }
    if session.is_waiting() {
        if let Err(error) = session.on_end() {
            return format!("{seen}{error:?}");
        }
        take(&mut session, &mut seen);
    }
    if session.is_closing() {
        seen.push_str(" closing");
    }
    seen
}

/// The same whole, and cut in two at every byte, and byte by byte.
fn check(bytes: &str, expected: &str) {
    let bytes = bytes.as_bytes();
    assert_eq!(answer(GET, &[bytes]), expected, "{:?}", String::from_utf8_lossy(bytes));
    for cut in 0..=bytes.len() {
        assert_eq!(answer(GET, &[&bytes[..cut], &bytes[cut..]]), expected, "cut at {cut}");
    }
    let each: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(answer(GET, &each), expected);
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn right_answers_are_read_however_they_are_cut() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 \"hello\"");
    check(
        "HTTP/1.1 200 OK\r\ncontent-length:5 \r\nConnection: close\r\n\r\nhello",
        "200 \"hello\" closing",
    );
    check("HTTP/1.1 400 \r\nContent-Length: 0\r\n\r\n", "400 \"\"");
    check("HTTP/1.1 429 x\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}", "429 \"{}\" wait 7");
    check("HTTP/1.1 204 No Content\r\n\r\n", "204 \"\"");
    check("HTTP/1.1 304 x\r\nContent-Length: 9\r\n\r\n", "304 \"\"");
    check("HTTP/1.1 200 OK\r\n\r\nuntil the end", "200 \"until the end\" closing");
    check("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "200 \"x\" closing");
    check(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "200 \"x\"",
    );
    check(&format!("{CHUNKED}5\r\nhello\r\n0\r\n\r\n"), "200 \"hello\"");
    check(&format!("{CHUNKED}3;a=b\r\nhel\r\n02\r\nlo\r\n000\r\nX: y\r\n\r\n"), "200 \"hello\"");
    check(&format!("{CHUNKED}A\r\n0123456789\r\n0\r\n\r\n"), "200 \"0123456789\"");
    check(
        "HTTP/1.1 302 x\r\nLocation: https://evil.example/\r\nContent-Length: 0\r\n\r\n",
        "302 \"\"",
    );
    let full = "x".repeat(64);
    check(
        &format!("HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n{full}"),
        &format!("200 {full:?}"),
    );
    check(&format!("{CHUNKED}40\r\n{full}\r\n0\r\n\r\n"), &format!("200 {full:?}"));
    assert_eq!(
        answer(b"HEAD / HTTP/1.1\r\n\r\n", &[b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"]),
        "200 \"\""
    );
}

#[test]
fn wrong_answers_have_their_name_however_they_are_cut() {
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 999 x\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        "SSH-2.0-x\r\n\r\n",
    ] {
        check(bytes, "Head");
    }
    for length in ["", "-1", "+5", "5, 5", "0x5", "5 5", "99999999999999999999"] {
        check(&format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello"), "Length");
    }
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "Length");
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "Length");
    check("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "Length");
    for coding in ["gzip", "chunked, gzip", "gzip, chunked", "identity"] {
        check(&format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n"), "Encoding");
    }
    check("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\n", "Encoding");
    check("HTTP/1.1 101 Switching\r\n\r\n", "Interim");
    check(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(9), "Interim");
    for chunks in [
        "\r\n",
        "x\r\n",
        "-1\r\n",
        "5\nhello",
        "5\r\nhelloX",
        "5\r\nhello\r5",
        "000000005\r\n",
        "0\r\nA\n",
    ] {
        check(&format!("{CHUNKED}{chunks}"), "Chunk");
    }
    check(&format!("{CHUNKED}{}", "5".repeat(300)), "Chunk");
    check("HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n", "BodyTooLarge(64)");
    check(&format!("{CHUNKED}41\r\n"), "BodyTooLarge(64)");
    check(&format!("{CHUNKED}ffffffff\r\n"), "BodyTooLarge(64)");
    check(&format!("{CHUNKED}20\r\n{}\r\n21\r\n", "x".repeat(32)), "BodyTooLarge(64)");
    check(&format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(65)), "BodyTooLarge(64)");
    check(&format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(600)), "HeadTooLarge(512)");
    check(&format!("{CHUNKED}0\r\n{}", "A: b\r\n".repeat(100)), "HeadTooLarge(512)");
    for bytes in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        check(bytes, "Cut");
    }
    check(&format!("{CHUNKED}5\r\nhello\r\n0\r\n"), "Cut");
    check("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy", "200 \"x\"Unasked");
}

#[test]
fn flipped_bytes_never_panic_and_stay_in_bounds() {
    let mut random = Random::from_env("http flips");
    let whole = format!("{CHUNKED}3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n");
    let known =
        "HTTP/1.1 200 OK\r\nRetry-After: 1\r\nContent-Length: 5\r\nConnection: x\r\n\r\nhello";
    for bytes in [whole.as_bytes(), known.as_bytes()] {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.to_vec();
                flipped[at] ^= 1 << bit;
                let cut = random.below(flipped.len() as u64) as usize;
                let whole = answer(GET, &[&flipped]);
                assert_eq!(
                    whole,
                    answer(GET, &[&flipped[..cut], &flipped[cut..]]),
                    "at {at} bit {bit}"
                );
                assert!(!whole.is_empty());
            }
        }
    }
}

/// Reads until an answer, or the end.
fn read(http: &mut HttpConnection) -> Result<(u16, Vec<u8>), Closed> {
    let mut answer = None;
    let deadline = std::time::Instant::now() + net::PATIENCE;
    loop {
        let state = http.read(Nanos(0), &mut |response| {
            answer = Some((response.status, response.body.to_vec()));
        });
        match (answer.take(), state) {
            (Some(answer), _) => return Ok(answer),
            (None, ReadState::Closed(closed)) => return Err(closed),
            _ => std::thread::yield_now(),
        }
        assert!(std::time::Instant::now() < deadline);
    }
}

#[test]
fn requests_are_answered_one_after_the_other() {
    for secure in [false, true] {
        let server = Server::stream(secure, |wire| {
            let mut asked = Vec::new();
            for answer in [
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
                &format!("{CHUNKED}3\r\ntwo\r\n0\r\n\r\n"),
                "HTTP/1.1 500 x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nthree",
            ] {
                asked.push(net::request(wire));
                wire.write_all(answer.as_bytes()).unwrap();
                wire.flush().unwrap();
            }
            asked
        });
        let mut http = server.http(&TransportSettings::default());
        for (path, expected) in [("/1", (200, "one")), ("/2", (200, "two")), ("/3", (500, "three"))]
        {
            assert!(http.is_idle());
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_eq!(http.request(request.as_bytes()), Ok(Flushed::All));
            assert_eq!(http.request(request.as_bytes()), Err(RequestError::InFlight));
            let (status, body) = read(&mut http).unwrap();
            assert_eq!((status, body.as_slice()), (expected.0, expected.1.as_bytes()));
        }
        assert_eq!(read(&mut http), Err(Closed::Finished));
        assert_eq!(http.request(GET), Err(RequestError::Closed(Closed::Finished)));
        assert_eq!(http.counters().messages, 3);
        let asked = server.join();
        assert!(asked.iter().zip(["/1", "/2", "/3"]).all(|(asked, path)| asked.contains(path)));
    }
}

/// How a request ends when the server answers with these bytes and hangs up.
fn ended(secure: bool, answer: &str) -> Closed {
    let answer = answer.to_owned();
    let server = Server::stream(secure, move |wire| {
        net::request(wire);
        let _ = wire.write_all(answer.as_bytes());
        let _ = wire.flush();
    });
    let mut http = server.http(&TransportSettings::default());
    http.request(GET).unwrap();
    let closed = loop {
        if let Err(closed) = read(&mut http) {
            break closed;
        }
    };
    assert_eq!(http.flush(), Err(closed));
    server.join();
    closed
}

#[test]
fn x1_an_answer_that_is_cut_is_told_from_one_that_is_wrong() {
    for secure in [false, true] {
        assert_eq!(ended(secure, ""), Closed::Http(HttpError::Cut));
        let half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
        assert_eq!(ended(secure, half), Closed::Http(HttpError::Cut));
        assert_eq!(
            ended(secure, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
            Closed::Http(HttpError::Length)
        );
    }
    assert_eq!(ended(false, "HTTP/1.1 200 OK\r\n\r\nall"), Closed::Finished);
    // Without the closing alert nobody knows whether that was all.
    assert_eq!(ended(true, "HTTP/1.1 200 OK\r\n\r\nall?"), Closed::Http(HttpError::Cut));
    assert_eq!(ended(false, "HTTP/1.1 204 x\r\n\r\nmore"), Closed::Http(HttpError::Unasked));
}

#[test]
fn s6_gigabytes_of_body_end_in_bounded_memory() {
    for head in
        ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n"]
    {
        let server = Server::stream(false, move |wire| {
            net::request(wire);
            let _ = wire.write_all(head.as_bytes());
            net::flood(wire, &[b'x'; 65_536])
        });
        let mut http = server.http(&TransportSettings::default());
        let mut closed = None;
        let memory = allocation_counter::measure(|| {
            http.request(GET).unwrap();
            closed = read(&mut http).err();
        });
        assert_eq!(closed, Some(Closed::Http(HttpError::BodyTooLarge(256 * 1024))));
        assert!(memory.bytes_max < 1024 * 1024, "{}", memory.bytes_max);
        drop(http);
        server.join();
    }
}

#[test]
fn a_request_over_the_bound_is_not_queued() {
    let server = Server::stream(false, |wire| net::request(wire));
    let mut http = server.http(&TransportSettings { write_buffer_max: 10, ..Default::default() });
    let size = GET.len();
    assert_eq!(http.request(GET), Err(RequestError::TooLarge { size, bound: 10 }));
    assert_eq!(http.counters().bytes_out, 0);
    http.close();
    assert_eq!(http.request(GET), Err(RequestError::Closed(Closed::Ours { code: 1000 })));
    assert_eq!(server.join(), "");
}
