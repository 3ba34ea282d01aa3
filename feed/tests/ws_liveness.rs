//! Pings, pongs and writes against a peer that floods, stalls or is gone.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod net;

use std::time::Duration;

use net::{Client, Got, Server, close_code, frame, read_frame, text};
use reap_core::units::Nanos;
use reap_feed::transport::{Closed, ConnectError, Flushed, Incoming, ReadState, TransportSettings};
use socket2::SockRef;

/// A peer pings `pings` times without reading, so that our socket and then our queue fill, and then
/// reads: which pings it saw answered and which texts it got, until the last of both.
fn jam(
    secure: bool,
    pings: u32,
    write_buffer_max: usize,
    orders: &[&str],
) -> (Vec<u32>, Vec<String>) {
    let last = (*orders.last().unwrap_or(&"")).to_owned();
    let (drain, drained) = std::sync::mpsc::channel();
    let (written, all_written) = std::sync::mpsc::channel();
    let server = Server::ws(secure, move |wire| {
        SockRef::from(wire.tcp()).set_recv_buffer_size(4_096).unwrap();
        for number in 0..pings {
            wire.write_all(&frame(0x89, format!("{number:0120}").as_bytes())).unwrap();
        }
        wire.write_all(&text("pinged")).unwrap();
        wire.flush().unwrap();
        written.send(()).unwrap();
        drained.recv().unwrap();
        // Through the small window it would take seconds.
        SockRef::from(wire.tcp()).set_recv_buffer_size(1 << 20).unwrap();
        let (mut pongs, mut texts) = (Vec::new(), Vec::new());
        while let Some((opcode @ (1 | 10), payload)) = read_frame(wire) {
            let payload = String::from_utf8(payload).unwrap();
            if opcode == 10 {
                pongs.push(payload.parse::<u32>().unwrap());
            } else {
                texts.push(payload);
            }
            let ordered = last.is_empty() || texts.last() == Some(&last);
            if pongs.last() == Some(&(pings - 1)) && ordered {
                wire.write_all(&text("done")).unwrap();
                wire.flush().unwrap();
            }
        }
        (pongs, texts)
    });
    let mut client =
        server.client(&TransportSettings { write_buffer_max, ..TransportSettings::default() });
    SockRef::from(&client.ws).set_send_buffer_size(4_096).unwrap();
    // Everything is on its way before anything is answered: with its own buffer overfull the server's
    // kernel drops segments, and pings that are still to be sent would wait for their repetition.
    all_written.recv().unwrap();
    let mut pinged = false;
    loop {
        assert_eq!(client.read(&mut |incoming| pinged |= incoming != Incoming::Ping), None);
        if pinged {
            break;
        }
        client.wait(net::PATIENCE);
    }
    for order in orders {
        assert_eq!(client.ws.send((*order).into()), Ok(Flushed::Pending), "the socket is full");
    }
    drain.send(()).unwrap();
    assert_eq!(client.take(1), [Got::Text("done".into())]);
    assert_eq!(client.ws.counters().pings, u64::from(pings));
    assert!(client.ws.counters().partial_writes > 0);
    client.ws.close(1000);
    server.join()
}

/// Orders behind a full socket arrive once, in order; every ping is answered; no edge is missed.
#[test]
fn f23_pongs_and_orders_queued_behind_a_full_socket_leave_when_it_drains() {
    for secure in [false, true] {
        let orders = ["order 1", "order 2", "order 3"];
        let (pongs, texts) = jam(secure, 400, 256 * 1024, &orders);
        assert_eq!(texts, orders, "each once, in order");
        assert_eq!(pongs, (0..400).collect::<Vec<_>>());
    }
}

/// More pongs than the queue holds: the newest stands for those before it (RFC 6455, 5.5.3), and
/// leaves without another event.
#[test]
fn f23_the_last_ping_is_answered_when_the_queue_was_full() {
    for secure in [false, true] {
        let (pongs, _) = jam(secure, 400, 16 * 1024, &[]);
        assert!(pongs.len() < 400 && pongs.last() == Some(&399), "{}", pongs.len());
        assert!(pongs.windows(2).all(|pair| pair[0] < pair[1]), "none twice");
    }
}

#[test]
fn f23_a_pong_leaves_within_the_read_that_saw_the_ping() {
    for secure in [false, true] {
        let server = Server::ws(secure, |wire| {
            wire.write_all(&frame(0x89, b"are you there")).unwrap();
            wire.flush().unwrap();
            let pong = read_frame(wire);
            wire.write_all(&text("seen")).unwrap();
            wire.flush().unwrap();
            (pong, close_code(wire))
        });
        let mut client = server.client(&TransportSettings::default());
        assert_eq!(client.take(2), [Got::Ping, Got::Text("seen".into())]);
        client.ws.close(1000);
        assert_eq!(server.join(), (Some((10, b"are you there".to_vec())), 1000));
    }
}

/// One read answers a few pings and returns: the thread's other connections get their turn, and the
/// data behind the pings comes.
#[test]
fn f24_a_ping_flood_has_a_budget_and_data_comes_through() {
    let server = Server::ws(false, |wire| {
        let mut burst = frame(0x89, b"").repeat(1_000);
        burst.extend(text("tick"));
        wire.write_all(&burst).unwrap();
        (0..1_000).filter(|_| read_frame(wire).is_some_and(|(opcode, _)| opcode == 10)).count()
    });
    let mut client = server.client(&TransportSettings::default());
    let (mut pings, mut ticks, mut most) = (0, 0, 0);
    while ticks == 0 {
        let mut in_this_read = 0;
        let state = client.ws.read(Nanos(0), 1_000, &mut |incoming| match incoming {
            Incoming::Ping => in_this_read += 1,
            _ => ticks += 1,
        });
        pings += in_this_read;
        most = most.max(in_this_read);
        match state {
            ReadState::Idle if ticks == 0 => client.wait(net::PATIENCE),
            ReadState::Idle | ReadState::More => {}
            ReadState::Closed(closed) => panic!("{closed}"),
        }
    }
    assert_eq!((pings, ticks), (1_000, 1));
    assert!(most <= 8, "{most} pings in one read");
    assert_eq!(server.join(), 1_000, "each is answered");
}

#[test]
fn the_budget_counts_messages() {
    let server = Server::ws(false, |wire| {
        wire.write_all(&text("x").repeat(100)).unwrap();
        close_code(wire)
    });
    let mut client = server.client(&TransportSettings::default());
    let mut seen = 0;
    while seen < 100 {
        let mut now = 0;
        let state = client.ws.read(Nanos(0), 3, &mut |_| now += 1);
        if state == ReadState::Idle && seen + now < 100 {
            client.wait(net::PATIENCE);
        }
        assert!(now <= 3);
        seen += now;
    }
    client.ws.close(1000);
    assert_eq!(server.join(), 1000);
}

#[test]
fn our_ping_is_answered_and_our_close_has_its_code() {
    for secure in [false, true] {
        let server = Server::ws(secure, |wire| {
            assert_eq!(read_frame(wire), Some((9, Vec::new())));
            wire.write_all(&frame(0x8a, b"")).unwrap();
            wire.flush().unwrap();
            assert_eq!(read_frame(wire), Some((1, b"{\"op\":1}".to_vec())));
            close_code(wire)
        });
        let mut client = server.client(&TransportSettings::default());
        assert_eq!(client.ws.ping(), Ok(Flushed::All));
        assert_eq!(client.take(1), [Got::Pong]);
        assert_eq!(client.ws.send("{\"op\":1}".into()), Ok(Flushed::All));
        client.ws.close(3000);
        assert_eq!(client.ws.send("late".into()), Err(Closed::Ours { code: 3000 }));
        assert_eq!(client.ws.closed(), Some(Closed::Ours { code: 3000 }));
        assert_eq!(server.join(), 3000);
    }
}

#[test]
fn f23_a_peer_that_never_reads_ends_with_backlog_in_bounded_memory() {
    for secure in [false, true] {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let server = Server::ws(secure, move |_| wait.recv().is_err());
        let mut client = server.client(&TransportSettings::default());
        let mut ended = None;
        let memory = allocation_counter::measure(|| {
            let message = "x".repeat(10_000);
            for _ in 0..10_000 {
                if let Err(closed) = client.ws.send(message.as_str().into()) {
                    ended = Some(closed);
                    break;
                }
            }
        });
        assert_eq!(ended, Some(Closed::Backlog { bound: 256 * 1024 }));
        assert!(memory.bytes_max < 1024 * 1024, "{}", memory.bytes_max);
        drop(stop);
        assert!(server.join());
    }
}

#[test]
fn the_end_without_goodbye_is_told_from_a_reset() {
    let server = Server::ws(false, |_| ());
    let mut client = server.client(&TransportSettings::default());
    assert_eq!(client.rest(), (Vec::new(), Closed::Ended));
    let server = Server::ws(false, |wire| {
        SockRef::from(wire.tcp()).set_linger(Some(Duration::ZERO)).unwrap();
    });
    let mut client = server.client(&TransportSettings::default());
    assert_eq!(client.rest(), (Vec::new(), Closed::Reset));
}

#[test]
fn a_stopped_server_refuses_the_next_connection() {
    let server = Server::ws(false, |_| ());
    let mut client = server.client(&TransportSettings::default());
    assert_eq!(client.rest().1, Closed::Ended);
    // The listener was gone before the goodbye.
    let again = server.try_ws(&TransportSettings::default());
    assert!(matches!(again, Err(ConnectError::Refused { addr }) if addr == server.addr));
}

#[test]
fn f2_the_socket_has_its_options() {
    let (stop, wait) = std::sync::mpsc::channel::<()>();
    let server = Server::ws(false, move |_| wait.recv().is_err());
    let user_timeout = Duration::from_millis(7_500);
    let settings = TransportSettings { user_timeout, ..TransportSettings::default() };
    let client: Client = server.client(&settings);
    let socket = SockRef::from(&client.ws);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(user_timeout));
    assert!(socket.tcp_nodelay().unwrap());
    assert_eq!(client.ws.peer(), server.addr);
    drop(stop);
    assert!(server.join());
}

/// The kernel may refuse it without the capability; then connecting fails by name.
#[test]
fn busy_polling_is_set_or_refused_by_name() {
    let server = Server::stream(false, |wire| {
        if net::request(wire).contains("Key: ") { close_code(wire) } else { 0 }
    });
    let settings = TransportSettings {
        busy_poll_us: Some(50),
        handshake_timeout: Duration::from_millis(100),
        ..TransportSettings::default()
    };
    match server.try_ws(&settings) {
        Err(ConnectError::Socket { option, .. }) => assert_eq!(option, "SO_BUSY_POLL"),
        Err(ConnectError::Timeout { .. }) => {} // set; the server says nothing
        other => panic!("{other:?}"),
    }
}
