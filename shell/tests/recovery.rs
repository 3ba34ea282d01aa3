//! Runs that carry on what the ones before them have left, through a real folder: engine and
//! execution on their rings, stepped by hand, and killed between two steps. Ids in brackets are
//! faults: P3 a torn record, P4 damage in the middle, P8 stale data, P22 restarts,
//! X1 unknown orders, X26 order ids.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod desk;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use reap_core::log::HEADER_LEN;
use reap_core::order::{Ask, Order, OrderChange, OrderEvent};
use reap_core::position::PositionId;
use reap_core::units::Nanos;
use reap_shell::clock::rest;
use reap_shell::config::Config;
use reap_shell::live::engine::Sink;
use reap_shell::order_log::{LogError, LogSettings, OrderLog, STARTS_MAX};

use desk::{CONFIG, Desk, Folder, START};

/// Below the stops of all positions.
const STOP: i64 = 9_850;

fn config() -> Config {
    Config::parse("desk.toml", CONFIG).unwrap()
}

fn push(desk: &mut Desk, at: u16, bid: i64) {
    let soon = desk.soon();
    let tick = desk.quote(at, bid, soon);
    desk.sink.tick(soon, &tick);
    desk.settle();
}

/// Three positions open, an order of the first one under way.
fn first_run() -> (Folder, Order) {
    let mut desk = Desk::carrying_on(config(), Folder::new()).unwrap();
    desk.venue.lock().fills = false;
    for at in 0..3 {
        push(&mut desk, at, 10_000);
        desk.open(usize::from(at));
        desk.settle();
    }
    push(&mut desk, 0, STOP);
    let sent = desk.venue.lock().sent.clone();
    assert_eq!(sent.len(), 1);
    (desk.kill(), sent[0])
}

fn files(folder: &Folder) -> Vec<PathBuf> {
    let entries = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    files.sort();
    files
}

/// Passes the rest after a restart.
fn pass(desk: &mut Desk) {
    rest(Duration::from_millis(60));
    desk.settle();
}

/// [X1] [X26] A killed run's positions, plan and order are there again, under their ids.
#[test]
fn x1_a_run_goes_on_where_the_one_before_it_was_killed() {
    let (folder, order) = first_run();
    let mut desk = Desk::carrying_on(config(), folder).unwrap();
    let open = &desk.carried.open;
    assert_eq!(open.iter().map(|one| one.at).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(open[0].position.plan.is_some() && open[1].position.plan.is_none());
    assert!(desk.carried.said.iter().any(|(_, text)| text.contains("3 positions open, 1 of them")));
    desk.settle();
    let asked = desk.venue.lock().asked.clone();
    let of_order = |ask: &Ask| matches!(ask, Ask::Order { id, .. } if *id == order.id);
    assert!(asked.iter().any(of_order), "its order is asked for");
    assert_eq!(asked.iter().filter(|ask| matches!(ask, Ask::Holding { .. })).count(), 3);
    pass(&mut desk);
    push(&mut desk, 0, STOP);
    assert!(desk.venue.lock().sent.is_empty(), "nothing is sent beside it");
    // Its end is heard of, and the plan goes on; the other positions are watched.
    desk.venue.lock().fills = true;
    let what = OrderChange::Expired;
    desk.venue.lock().inbox.push_back(OrderEvent { id: order.id, what });
    desk.settle();
    let sent = desk.venue.lock().sent.clone();
    assert_eq!(sent.len(), 1);
    assert_eq!((sent[0].id.position, sent[0].id.epoch), (order.id.position, order.id.epoch + 1));
    assert_eq!(sent[0].qty, order.qty);
    push(&mut desk, 1, STOP);
    assert_eq!(desk.venue.lock().sent.len(), 2);
    let folder = desk.kill();
    let desk = Desk::carrying_on(config(), folder).unwrap();
    assert_eq!(desk.carried.open.iter().map(|one| one.at).collect::<Vec<_>>(), [2]);
    assert_eq!(desk.carried.closed, [0, 1], "what is closed is not opened again");
    assert_eq!(desk.carried.open[0].position.id, PositionId(2));
}

/// A position that the configuration has no more is watched all the same.
#[test]
fn a_position_without_its_configuration_is_watched() {
    let (folder, _) = first_run();
    let at = CONFIG.find("[[position]]\nname = \"pc\"").unwrap();
    let mut desk =
        Desk::carrying_on(Config::parse("desk.toml", &CONFIG[..at]).unwrap(), folder).unwrap();
    assert_eq!(desk.carried.open.len(), 3);
    assert_eq!(desk.config.positions[2].name, "pc");
    desk.settle();
    pass(&mut desk);
    push(&mut desk, 2, 10_000);
    push(&mut desk, 2, STOP);
    let sent = desk.venue.lock().sent.clone();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].id.position, PositionId(2));
}

#[test]
fn what_is_open_must_mean_the_same_in_the_configuration() {
    let refused = |from: &str, to: &str| {
        let (folder, _) = first_run();
        let changed = CONFIG.replacen(from, to, 1);
        assert_ne!(changed, CONFIG);
        Desk::carrying_on(Config::parse("desk.toml", &changed).unwrap(), folder).err().unwrap()
    };
    let error = refused("tick = \"0.01\"", "tick = \"0.001\"");
    assert!(error.contains("instrument 0: price_scale is 3, and was 2"), "{error}");
    let renamed = CONFIG.replace("instrument.a]", "instrument.aa]");
    let renamed = renamed.replace("instrument = \"a\"", "instrument = \"aa\"");
    let (folder, _) = first_run();
    let error = Desk::carrying_on(Config::parse("desk.toml", &renamed).unwrap(), folder);
    let error = error.err().unwrap();
    assert!(error.contains("instrument 0 is \"aa\", and was \"a\""), "{error}");
    let renamed =
        CONFIG.replace("policy.p]", "policy.q]").replace("policy = \"p\"", "policy = \"q\"");
    let (folder, _) = first_run();
    let error = Desk::carrying_on(Config::parse("desk.toml", &renamed).unwrap(), folder);
    let error = error.err().unwrap();
    assert!(error.contains("pa is open under policy \"p\""), "{error}");
}

/// [P3] A torn last record is told and gone on without.
#[test]
fn p3_a_torn_record_is_told() {
    let (folder, _) = first_run();
    let path = &files(&folder)[0];
    let mut bytes = fs::read(path).unwrap();
    let end = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes[end - 9..].fill(0);
    fs::write(path, &bytes).unwrap();
    let desk = Desk::carrying_on(config(), folder).unwrap();
    let told = &desk.carried.said[0];
    assert!(told.0 && told.1.contains("was cut while it was written"), "{told:?}");
    assert_eq!(desk.carried.open.len(), 3);
}

/// [P4] Damage with good records behind it: the file is set aside, and nothing starts until somebody
/// has looked.
#[test]
fn p4_damage_in_the_middle_stops_every_start() {
    let (folder, _) = first_run();
    let path = files(&folder)[0].clone();
    let mut bytes = fs::read(&path).unwrap();
    bytes[HEADER_LEN + 700] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let dir = folder.0.clone();
    let open = |now: u64| OrderLog::open(&dir, Nanos(now), LogSettings::default()).unwrap();
    let log = open(1);
    let error = log.recover().err().unwrap();
    assert!(matches!(&error, LogError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("move the folder away"), "{error}");
    assert!(!path.exists());
    log.abandon();
    let log = open(2);
    let error = log.recover().err().unwrap();
    assert!(matches!(&error, LogError::SetAside { .. }), "{error}");
    log.abandon();
}

/// [P8] A file that is gone from the middle is missed.
#[test]
fn p8_a_missing_file_is_missed() {
    let folder = Folder::new();
    let settings = LogSettings { segment_bytes: 64 << 10, ..LogSettings::default() };
    let mut log = OrderLog::open(&folder.0, START, settings).unwrap();
    let config = config();
    let limits = reap_shell::pipeline::executor_limits(&config);
    reap_shell::live::journal::begin(&mut log, START, &config, limits).unwrap();
    for _ in 0..5_000 {
        log.append(START, &reap_core::log::Record::Timer).unwrap();
    }
    drop(log);
    let files = files(&folder);
    assert!(files.len() >= 3);
    fs::remove_file(&files[1]).unwrap();
    let log = OrderLog::open(&folder.0, START, settings).unwrap();
    let error = log.recover().err().unwrap();
    assert!(error.to_string().contains("is missing"), "{error}");
}

/// [P22] A process that dies at each start does not trade at each start.
#[test]
fn p22_too_many_starts_are_refused_for_a_while() {
    let folder = Folder::new();
    let settings = LogSettings { segment_bytes: 64 << 10, ..LogSettings::default() };
    let open = |after: u64| {
        let now = START.plus(Nanos::from_secs(after));
        let log = OrderLog::open(&folder.0, now, settings).unwrap();
        let refused = log.refuse_restarts(now);
        if refused.is_err() {
            log.abandon();
        }
        refused
    };
    for at in 0..STARTS_MAX {
        open(at as u64).unwrap();
    }
    let error = open(20).unwrap_err().to_string();
    assert!(error.contains("10 runs were started within ten minutes"), "{error}");
    open(599).unwrap_err();
    open(600).unwrap();
}
