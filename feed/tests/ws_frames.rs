//! WebSocket frames of a server that cuts, floods and lies.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod net;

use std::sync::mpsc;

use net::{Client, Got, Random, Server, close_code, flood, frame, text};
use reap_core::units::Nanos;
use reap_feed::transport::{
    Closed, Counters, FrameFault, FrameFollower, ProtocolFault, TransportSettings,
};

/// What a connection may hold beyond a message at its bound and the library's copies of it.
const MEMORY_MAX: u64 = 1024 * 1024;

/// How the connection ends when the server writes `before` once and then `repeat` for ever, and the
/// most memory the client held.
fn end_of_flood(secure: bool, before: Vec<u8>, repeat: Vec<u8>) -> (Closed, u64) {
    let server = Server::ws(secure, move |wire| {
        let _ = wire.write_all(&before);
        flood(wire, &repeat)
    });
    let mut client = server.client(&TransportSettings::default());
    let mut closed = None;
    let memory = allocation_counter::measure(|| {
        closed = client.until(&mut |_| {}, &mut || false);
    });
    drop(client);
    server.join();
    (closed.unwrap(), memory.bytes_max)
}

#[test]
fn f18_a_huge_frame_ends_with_too_large_before_it_is_read() {
    for secure in [false, true] {
        let mut header = vec![0x82, 127];
        header.extend_from_slice(&(1u64 << 40).to_be_bytes());
        let (closed, memory) = end_of_flood(secure, header, vec![7; 65_536]);
        assert_eq!(closed, Closed::TooLarge { size: 1 << 40, bound: 64 * 1024 });
        assert!(memory < MEMORY_MAX, "{memory}");
    }
}

#[test]
fn f18_an_endless_message_ends_with_too_large() {
    for secure in [false, true] {
        let (closed, memory) =
            end_of_flood(secure, frame(0x02, b"begin"), frame(0x00, &[7; 60_000]));
        assert!(matches!(closed, Closed::TooLarge { bound: 262_144, .. }), "{closed}");
        assert!(memory < MEMORY_MAX, "{memory}");
    }
}

#[test]
fn f18_messages_at_the_bound_pass_for_ever_in_bounded_memory() {
    let server = Server::ws(false, |wire| {
        let text = frame(0x81, "x".repeat(65_536).as_bytes());
        for _ in 0..400 {
            wire.write_all(&text).unwrap();
        }
        close_code(wire)
    });
    let mut client = server.client(&TransportSettings::default());
    let seen = std::cell::Cell::new(0);
    let memory = allocation_counter::measure(|| {
        let closed = client.until(&mut |_| seen.set(seen.get() + 1), &mut || seen.get() == 400);
        assert_eq!(closed, None);
    });
    assert!(memory.bytes_max < MEMORY_MAX, "{}", memory.bytes_max);
    client.ws.close(1000);
    assert_eq!(server.join(), 1000);
}

#[test]
fn f19_tiny_fragments_for_ever_end_with_fragments() {
    for (secure, piece) in [(false, &b""[..]), (true, b""), (false, b"x")] {
        let (closed, memory) = end_of_flood(secure, frame(0x01, b"{"), frame(0x00, piece));
        assert_eq!(closed, Closed::Fragments { bound: 256 });
        assert!(memory < MEMORY_MAX, "{memory}");
    }
}

#[test]
fn f19_a_message_that_never_ends_is_slow_even_while_pings_come() {
    let server = Server::ws(false, |wire| {
        wire.write_all(&frame(0x01, b"{")).unwrap();
        wire.write_all(&frame(0x89, b"alive")).unwrap();
        close_code(wire)
    });
    let fragments_time = Nanos::from_millis(50);
    let settings = TransportSettings { fragments_time, ..TransportSettings::default() };
    let mut client = server.client(&settings);
    assert_eq!(client.take(1), [Got::Ping]);
    let mut now = Nanos(0);
    let closed = loop {
        now = now.plus(Nanos::from_secs(1)); // time is an argument: nobody waits
        if let reap_feed::transport::ReadState::Closed(closed) =
            client.ws.read(client.now().plus(now), 1, &mut |_| {})
        {
            break closed;
        }
    };
    assert_eq!(closed, Closed::Slow { bound: fragments_time });
    assert_eq!(server.join(), 1008);
}

#[test]
fn f20_violations_end_with_their_name_and_code() {
    let protocol = Closed::Protocol;
    let cases: Vec<(Vec<u8>, Closed, u16)> = vec![
        (frame(0xc1, b"x"), protocol(ProtocolFault::ReservedBits), 1002),
        (frame(0xa1, b"x"), protocol(ProtocolFault::ReservedBits), 1002),
        (frame(0x91, b"x"), protocol(ProtocolFault::ReservedBits), 1002),
        (frame(0x83, b"x"), protocol(ProtocolFault::Opcode(3)), 1002),
        (frame(0x8b, b"x"), protocol(ProtocolFault::Opcode(11)), 1002),
        (vec![0x81, 0x81, 1, 2, 3, 4, b'x'], protocol(ProtocolFault::Masked), 1002),
        (frame(0x80, b"x"), protocol(ProtocolFault::Continuation), 1002),
        ([frame(0x01, b"x"), text("y")].concat(), protocol(ProtocolFault::Continuation), 1002),
        (frame(0x09, b"x"), protocol(ProtocolFault::Control), 1002),
        (frame(0x89, &[b'x'; 126]), protocol(ProtocolFault::Control), 1002),
        (frame(0x88, b"\x03"), protocol(ProtocolFault::CloseFrame), 1002),
        (frame(0x81, b"\xff"), Closed::Utf8, 1007),
        ([frame(0x01, b"\xe2\x82"), frame(0x80, b"x")].concat(), Closed::Utf8, 1007),
        ([frame(0x01, b"\xe2"), frame(0x80, b"")].concat(), Closed::Utf8, 1007),
        (frame(0x82, &[0; 65_537]), Closed::TooLarge { size: 65_537, bound: 65_536 }, 1009),
        (frame(0x88, b"\x03\xe9bye"), Closed::Peer { code: 1001 }, 1001),
        (frame(0x88, b""), Closed::Peer { code: 1005 }, 1005),
    ];
    for (bytes, expected, code) in cases {
        let sent = [text("before"), bytes].concat();
        let server = Server::ws(false, move |wire| {
            let _ = wire.write_all(&sent);
            close_code(wire)
        });
        let mut client = server.client(&TransportSettings::default());
        let (got, closed) = client.rest();
        assert_eq!(closed, expected);
        assert_eq!(got, [Got::Text("before".into())], "what came before is delivered");
        assert_eq!(client.ws.send("late".into()), Err(expected), "the end is remembered");
        assert_eq!(client.ws.flush(), Err(expected));
        assert_eq!(server.join(), code, "{closed}");
    }
}

/// What `random` makes: bytes of a server, what a reader must see, and the counts.
struct Script {
    bytes: Vec<u8>,
    expected: Vec<Got>,
    counters: Counters,
}

fn script(random: &mut Random, messages: u64) -> Script {
    let mut script =
        Script { bytes: Vec::new(), expected: Vec::new(), counters: Counters::default() };
    for _ in 0..messages {
        let length = *random.pick(&[0, 1, 5, 125, 126, 300, 5_000]);
        let alphabet = ['a', 'é', '€', '𝄞', '"'];
        let message: String = (0..length).map(|_| *random.pick(&alphabet)).collect();
        let binary = random.below(4) == 0;
        let opcode = if binary { 2 } else { 1 };
        let mut rest = message.as_bytes();
        let mut pieces = 1 + random.below(6);
        let mut first = true;
        script.counters.fragments += if pieces > 1 { pieces } else { 0 };
        while pieces > 0 {
            pieces -= 1;
            let cut =
                if pieces == 0 { rest.len() } else { random.below(rest.len() as u64 + 1) as usize };
            let fin = if pieces == 0 { 0x80 } else { 0 };
            script.bytes.extend(frame(fin | if first { opcode } else { 0 }, &rest[..cut]));
            script.counters.frames += 1;
            (rest, first) = (&rest[cut..], false);
            if pieces > 0 && random.below(3) == 0 {
                let ping = random.below(2) == 0;
                script.bytes.extend(frame(if ping { 0x89 } else { 0x8a }, b"between"));
                script.expected.push(if ping { Got::Ping } else { Got::Pong });
                script.counters.frames += 1;
                *(if ping { &mut script.counters.pings } else { &mut script.counters.pongs }) += 1;
            }
        }
        script.counters.messages += 1;
        script.expected.push(if binary {
            Got::Binary(message.into_bytes())
        } else {
            Got::Text(message)
        });
    }
    script
}

#[test]
fn f21_random_fragmentation_with_pings_between_gives_the_same_messages() {
    let mut random = Random::from_env("f21");
    for round in 0..12 {
        let script = script(&mut random, 60);
        let (bytes, seed) = (script.bytes, random.next());
        let server = Server::ws(round % 2 == 1, move |wire| {
            let mut chunks = Random::from_seed(seed);
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let most = *chunks.pick(&[1, 3, 20, 1_000, 20_000]);
                let chunk = rest.len().min(1 + chunks.below(most) as usize);
                wire.write_all(&rest[..chunk]).unwrap();
                wire.flush().unwrap();
                rest = &rest[chunk..];
            }
            close_code(wire)
        });
        let mut client = server.client(&TransportSettings::default());
        let got = client.take(script.expected.len());
        assert!(got == script.expected, "messages differ");
        let seen =
            Counters { bytes_in: 0, bytes_out: 0, partial_writes: 0, ..*client.ws.counters() };
        assert_eq!(seen, script.counters);
        client.ws.close(1000);
        assert_eq!(server.join(), 1000);
    }
}

#[test]
fn f22_a_cut_at_every_byte_gives_the_same_messages() {
    let long = "é".repeat(70);
    let sent = [
        text("{\"a\":1}"),
        frame(0x01, b"\xe2"),
        frame(0x89, b"ping"),
        frame(0x80, b"\x82\xac"),
        text(&long),
        frame(0x82, b""),
    ]
    .concat();
    let expected = [
        Got::Text("{\"a\":1}".into()),
        Got::Ping,
        Got::Text("€".into()),
        Got::Text(long),
        Got::Binary(Vec::new()),
    ];
    for secure in [false, true] {
        let (bytes, (idle, wait)) = (sent.clone(), mpsc::channel());
        let server = Server::stream(secure, move |wire| {
            net::upgrade(wire, &bytes); // the first round comes with the upgrade's answer
            wait.recv().unwrap();
            for cut in 1..bytes.len() {
                for part in [&bytes[..cut], &bytes[cut..]] {
                    wire.write_all(part).unwrap();
                    wire.flush().unwrap();
                    wait.recv().unwrap(); // the client has read this part and is idle
                }
            }
            close_code(wire)
        });
        let mut client = server.client(&TransportSettings::default());
        assert_eq!(client.take(expected.len()), expected);
        idle.send(()).unwrap();
        for cut in 1..sent.len() {
            let mut got = Vec::new();
            for part in 0..2 {
                // The part is written after the last `idle`, and nobody has read since.
                let before = client.ws.counters().bytes_in;
                while client.ws.counters().bytes_in == before {
                    client.wait(net::PATIENCE);
                    assert_eq!(client.read(&mut |incoming| got.push(Got::of(incoming))), None);
                }
                assert!(part == 1 || got.len() < expected.len());
                idle.send(()).unwrap();
            }
            assert_eq!(got, expected, "cut at {cut}");
        }
        client.ws.close(1000);
        assert_eq!(server.join(), 1000);
    }
}

#[test]
fn f22_an_upgrade_byte_by_byte_is_understood() {
    for secure in [false, true] {
        let server = Server::stream(secure, |wire| {
            let request = net::request(wire);
            let answer = [net::accepting(&request), text("first")].concat();
            for byte in answer {
                wire.write_all(&[byte]).unwrap();
                wire.flush().unwrap();
            }
            close_code(wire)
        });
        let mut client = server.client(&TransportSettings::default());
        assert_eq!(client.take(1), [Got::Text("first".into())]);
        client.ws.close(1001);
        assert_eq!(server.join(), 1001);
    }
}

/// The follower counts the same however its bytes are cut, and sees where a message stands open.
#[test]
fn f19_the_follower_does_not_depend_on_the_cuts() {
    let mut random = Random::from_env("follower");
    for _ in 0..300 {
        let script = script(&mut random, 8);
        let mut follower = FrameFollower::new(6);
        let mut counters = Counters::default();
        let mut rest = script.bytes.as_slice();
        while !rest.is_empty() {
            let most = *random.pick(&[1, 2, 16, 700]);
            let chunk = rest.len().min(1 + random.below(most) as usize);
            assert_eq!(follower.follow(&rest[..chunk], Nanos(9), &mut counters), Ok(()));
            rest = &rest[chunk..];
        }
        assert_eq!(follower.since(), None, "every message is complete");
        let counted = (counters.frames, counters.fragments);
        assert_eq!(counted, (script.counters.frames, script.counters.fragments));
        // Cut short anywhere, something is open unless the cut is where a message ends.
        let mut follower = FrameFollower::new(6);
        let end = script.bytes.len() - 1;
        follower.follow(&script.bytes[..end], Nanos(9), &mut counters).unwrap();
        assert_eq!(follower.since(), Some(Nanos(9)));
    }
}

#[test]
fn f19_the_follower_faults_at_the_same_fragment_whatever_the_cut() {
    let bytes = [text("ok"), frame(0x01, b"a"), frame(0x00, b"b"), frame(0x00, b"c")].concat();
    let fault_at = bytes.len() - 2; // the second header byte of the third fragment
    for cut in 0..bytes.len() {
        let mut follower = FrameFollower::new(2);
        let mut counters = Counters::default();
        let first = follower.follow(&bytes[..cut], Nanos(1), &mut counters);
        let seen = match first {
            Err((at, fault)) => (at, fault),
            Ok(()) => {
                let (at, fault) =
                    follower.follow(&bytes[cut..], Nanos(1), &mut counters).unwrap_err();
                (cut + at, fault)
            }
        };
        assert_eq!(seen, (fault_at, FrameFault::Fragments), "cut at {cut}");
    }
}

/// Random bytes after the upgrade: whatever they are, an end with a name and bounded memory.
#[test]
fn f20_random_bytes_never_panic() {
    let mut random = Random::from_env("f20");
    for _ in 0..60 {
        let mut script = script(&mut random, 3).bytes;
        for _ in 0..=random.below(4) {
            let at = random.below(script.len() as u64) as usize;
            script[at] ^= 1 << random.below(8);
        }
        let server = Server::ws(false, move |wire| {
            let _ = wire.write_all(&script);
        });
        let mut client: Client = server.client(&TransportSettings::default());
        let mut closed = None;
        let memory = allocation_counter::measure(|| {
            closed = client.until(&mut |_| {}, &mut || false);
        });
        assert!(memory.bytes_max < MEMORY_MAX);
        assert!(!closed.unwrap().to_string().is_empty());
        server.join();
    }
}
