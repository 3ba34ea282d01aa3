//! `reap log` on real files: whole, cut, damaged, of a run that goes on, and not there at all.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

mod alone;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use alone::Scratch;
use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::log::{Record, Start, StopWhy};
use reap_core::order::{ClientOrderId, Order, OrderChange, OrderEvent, OrderSide};
use reap_core::position::PositionId;
use reap_core::units::{Nanos, Price, Qty};
use reap_shell::order_log::{LogSettings, OrderLog, SEGMENT_MIN, Sync};

fn id(attempt: u16) -> ClientOrderId {
    ClientOrderId { epoch: 1, position: PositionId(3), leg: 0, plan: 1, attempt }
}

fn order(attempt: u16) -> Record {
    Record::Order(Order {
        id: id(attempt),
        account: AccountId(0),
        instrument: InstrumentId(0),
        side: OrderSide::Sell,
        qty: Qty::new(5).unwrap(),
        limit: Some(Price::new(100).unwrap()),
        reduce_only: true,
    })
}

fn fill(attempt: u16, qty: i64) -> Record {
    let (price, qty) = (Price::new(100).unwrap(), Qty::new(qty).unwrap());
    let what = OrderChange::Filled { trade_id: u64::from(attempt), price, qty, fee: 1 };
    Record::Answer(OrderEvent { id: id(attempt), what })
}

fn answer(attempt: u16, what: OrderChange) -> Record {
    Record::Answer(OrderEvent { id: id(attempt), what })
}

/// A run that hears of orders which it does not know.
fn run(answers: u16) -> impl Iterator<Item = Record> {
    let start = Start { build: [0; 3], config: 0, positions: 1, orders: 1 };
    let answers = (0..answers).map(|at| answer(at, OrderChange::Acked));
    [Record::Start(start)].into_iter().chain(answers)
}

/// Writes these records as one run.
fn write(dir: &Path, records: impl Iterator<Item = Record>) -> OrderLog {
    let settings = LogSettings { segment_bytes: SEGMENT_MIN, sync: Sync::None, fingerprint: 42 };
    let mut log = OrderLog::open(dir, Nanos(1), settings).unwrap();
    for (at, record) in records.enumerate() {
        log.append(Nanos::from_secs(1_000 + at as u64), &record).unwrap();
    }
    log
}

fn reap(args: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_reap")).arg("log").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn a_whole_log_is_verified_printed_and_counted() {
    let scratch = Scratch::new("whole");
    let dir = scratch.0.to_str().unwrap();
    // 1 is filled, 2 expires in part, 3 is doubted and never heard of again.
    let records = [
        order(1),
        answer(1, OrderChange::Acked),
        fill(1, 5),
        order(2),
        fill(2, 3),
        answer(2, OrderChange::Expired),
        order(3),
        answer(3, OrderChange::Doubted),
    ];
    // The process that writes it still holds it.
    let log = write(&scratch.0, records.into_iter());
    let (code, out, err) = reap(&["verify", dir]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("orders-00001-000001.log: 8 records (1–8), ends clean"), "{out}");
    assert!(out.contains("8 records: whole\n"), "{out}");
    // Its files are whole, and no program has decided like this.
    let why = "cannot be recovered from: record 1:1, order, cannot stand where it stands\n";
    assert!(out.ends_with(why), "{out}");

    let (code, out, _) = reap(&["dump", dir]);
    assert_eq!((code, out.lines().count()), (0, 8));
    assert!(out.starts_with("1:1 00:16:40.000 Order(Order {"), "{out}");
    let (_, out, _) = reap(&["dump", "--json", dir]);
    let first: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!((first["sequence"].as_u64(), first["kind"].as_str()), (Some(1), Some("order")));

    let (code, out, _) = reap(&["stats", dir]);
    assert_eq!(code, 0);
    assert!(out.contains("8 records over 7 s"), "{out}");
    assert!(out.contains(&format!("{} was sent, and its end is not in the log", id(3))), "{out}");
    assert_eq!(out.matches("was sent").count(), 1, "{out}");
    drop(log);
}

#[test]
fn several_runs_and_files_follow_each_other() {
    let scratch = Scratch::new("runs");
    let dir = scratch.0.to_str().unwrap();
    for _ in 0..2 {
        write(&scratch.0, run(1_700).chain([Record::Stop(StopWhy::Asked)]));
    }
    let (code, out, _) = reap(&["verify", "--json", dir]);
    assert_eq!(code, 0, "{out}");
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((last["records"].as_u64(), last["whole"].as_bool()), (Some(3_404), Some(true)));
    assert_eq!(lines.len(), 7, "three files of each run: {out}");
    assert_eq!((last["open"].as_u64(), last["unrecovered"].as_str()), (Some(0), None));
    let (code, out, _) = reap(&["stats", "--json", dir]);
    assert_eq!((code, out.lines().count()), (0, 2));

    // A file in the middle is gone: what follows it is not what was due.
    fs::remove_file(scratch.0.join("orders-00002-000002.log")).unwrap();
    let (code, out, _) = reap(&["verify", dir]);
    assert_eq!(code, 1);
    assert!(out.contains("was due at its beginning: a file is missing"), "{out}");
}

#[test]
fn a_cut_tail_is_whole_and_a_hole_is_not() {
    let scratch = Scratch::new("cut");
    let dir = scratch.0.to_str().unwrap();
    write(&scratch.0, run(99));
    let file = scratch.0.join("orders-00001-000001.log");
    let bytes = fs::read(&file).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;

    fs::write(&file, &bytes[..used - 3]).unwrap();
    let (code, out, _) = reap(&["verify", dir]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("99 records (1–99), was cut while byte"), "{out}");
    assert!(out.contains("whole up to a record that was cut"), "{out}");

    let mut holed = bytes.clone();
    holed[used / 2] ^= 0x10;
    fs::write(&file, &holed).unwrap();
    for what in ["verify", "dump", "stats"] {
        assert_eq!(reap(&[what, dir]).0, 1, "{what}");
    }
    let (_, out, _) = reap(&["verify", dir]);
    assert!(out.contains("goes on behind it: orders are missing"), "{out}");
    assert!(out.contains("not to be trusted: 1 of its files"), "{out}");
}

#[test]
fn what_is_no_log_is_refused_by_name() {
    let scratch = Scratch::new("none");
    let dir = scratch.0.to_str().unwrap();
    for what in ["verify", "dump", "stats"] {
        let (code, out, err) = reap(&[what, dir]);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(err.contains("has no file of an order log"), "{err}");
        let (code, _, err) = reap(&[what, "/nowhere/at/all"]);
        assert_eq!(code, 2);
        assert!(err.contains("/nowhere/at/all cannot be read"), "{err}");
    }
}
