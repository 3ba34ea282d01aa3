//! What reading allocates: nothing per message without TLS, a constant per record with it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod net;

use net::{Client, Server, text};
use reap_core::units::Nanos;
use reap_feed::transport::{Flushed, ReadState, TransportSettings};

const MESSAGES: u64 = 4_000;

/// Heap allocations of this thread while `MESSAGES` more are read.
fn allocations(client: &mut Client, ack: &std::sync::mpsc::Sender<()>) -> u64 {
    ack.send(()).unwrap(); // the server writes the next batch
    let mut seen = 0;
    let counted = allocation_counter::measure(|| {
        while seen < MESSAGES {
            let state = client.ws.read(Nanos(1), 64, &mut |_| seen += 1);
            match state {
                ReadState::Idle if seen < MESSAGES => client.wait(net::PATIENCE),
                ReadState::Idle | ReadState::More => {}
                ReadState::Closed(closed) => panic!("{closed}"),
            }
        }
    });
    assert_eq!(seen, MESSAGES);
    counted.count_total
}

#[test]
fn reading_allocates_a_constant_per_record_and_nothing_without_tls() {
    for secure in [false, true] {
        let (ack, wait) = std::sync::mpsc::channel();
        let server = Server::ws(secure, move |wire| {
            let message =
                text(&format!("{{\"u\":400900217,\"s\":\"BTCUSDT\",\"b\":\"{:0100}\"}}", 7));
            while wait.recv().is_ok() {
                for _ in 0..MESSAGES {
                    wire.write_all(&message).unwrap(); // one record each
                }
                wire.flush().unwrap();
            }
        });
        let mut client = server.client(&TransportSettings::default());
        allocations(&mut client, &ack); // buffers grow to their size
        let counts: Vec<u64> = (0..4).map(|_| allocations(&mut client, &ack)).collect();
        let per_record: Vec<f64> = counts.iter().map(|n| *n as f64 / MESSAGES as f64).collect();
        println!("tls {secure}: allocations per message {per_record:?}");
        if secure {
            assert!(per_record.iter().all(|per| *per <= 4.0), "{per_record:?}");
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= least / 4, "it does not grow with uptime: {counts:?}");
        } else {
            assert!(counts.iter().all(|count| *count <= 4), "{counts:?}");
        }
        drop(ack);
        drop(client);
        server.join();
    }
}

/// An order costs the copy into the write buffer and, with TLS, the record.
#[test]
fn sending_allocates_a_constant() {
    for secure in [false, true] {
        let server = Server::ws(secure, |wire| while net::read_frame(wire).is_some() {});
        let mut client = server.client(&TransportSettings::default());
        let order: reap_feed::transport::Utf8Bytes = "{\"id\":1,\"params\":{}}".repeat(20).into();
        let mut send = |times: u64| {
            let counted = allocation_counter::measure(|| {
                for _ in 0..times {
                    let mut flushed = client.ws.send(order.clone()).unwrap();
                    while flushed == Flushed::Pending {
                        flushed = client.ws.flush().unwrap();
                    }
                }
            });
            counted.count_total as f64 / times as f64
        };
        send(10);
        let per_order = [send(500), send(500)];
        println!("tls {secure}: allocations per order {per_order:?}");
        assert!(
            per_order.iter().all(|per| *per <= if secure { 4.0 } else { 2.0 }),
            "{per_order:?}"
        );
        drop(client);
        server.join();
    }
}
