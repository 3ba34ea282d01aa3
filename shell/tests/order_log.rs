//! Order logs on real files: what is written is read back, and what must not be is refused by name.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]
mod alone;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use alone::Scratch;
use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::log::{End, Entry, HeaderError, Reader, Record, SegmentHeader, StopWhy};
use reap_core::order::{ClientOrderId, Order, OrderSide};
use reap_core::position::PositionId;
use reap_core::units::{Nanos, Price, Qty};
use reap_shell::order_log::{Found, LogError, LogSettings, OrderLog, SEGMENT_MIN, Sync};

const SMALL: LogSettings =
    LogSettings { segment_bytes: SEGMENT_MIN, sync: Sync::None, fingerprint: 42 };

fn order(attempt: u16) -> Record {
    Record::Order(Order {
        id: ClientOrderId { epoch: 1, position: PositionId(3), leg: 0, plan: 1, attempt },
        account: AccountId(0),
        instrument: InstrumentId(0),
        side: OrderSide::Sell,
        qty: Qty::new(5).unwrap(),
        limit: Some(Price::new(100).unwrap()),
        reduce_only: true,
    })
}

/// The records of one epoch over all its segments, and how the last one that was begun ends.
fn read(dir: &Path, epoch: u16) -> (Vec<Entry>, End) {
    let mut files: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().contains(&format!("orders-{epoch:05}-")))
        .collect();
    files.sort();
    let (mut entries, mut last) = (Vec::new(), None);
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let mut reader = match Reader::new(&bytes) {
            Err(HeaderError::Unused) => continue,
            reader => reader.unwrap(),
        };
        assert_eq!(reader.header().first_sequence, entries.len() as u64 + 1);
        entries.extend(reader.by_ref());
        last = Some(reader.end());
    }
    (entries, last.unwrap())
}

#[test]
fn what_is_appended_is_read_back_over_many_segments() {
    let scratch = Scratch::new("rotate");
    let dir = scratch.0.join("log");
    let mut log = OrderLog::open(&dir, Nanos(1), SMALL).unwrap();
    assert_eq!((log.epoch(), log.next_sequence(), log.found().len()), (1, 1, 0));
    for n in 1..=5_000u16 {
        assert_eq!(log.append(Nanos(n.into()), &order(n)), Ok(n.into()));
        if n.is_multiple_of(2_000) {
            assert_eq!(log.prepare(), Ok(true));
            assert_eq!(log.prepare(), Ok(false));
        }
    }
    let counters = *log.counters();
    assert_eq!((counters.records, counters.bytes), (5_000, 5_000 * 64));
    assert_eq!((counters.rotations, counters.rotations_unprepared), (4, 1));
    assert_eq!(log.append(Nanos(9_999), &Record::Stop(StopWhy::Asked)), Ok(5_001));
    log.sync().unwrap();
    drop(log);
    let (entries, end) = read(&dir, 1);
    assert_eq!(entries.len(), 5_001);
    for (entry, n) in entries.iter().zip(1..=5_000u16) {
        let expected = Entry { sequence: n.into(), at: Nanos(n.into()), record: order(n) };
        assert_eq!(*entry, expected);
    }
    assert_eq!(entries[5_000].record, Record::Stop(StopWhy::Asked));
    assert!(matches!(end, End::Clean { .. }), "{end}");
}

/// What was appended is in the file before `append` returns: nothing waits in the process.
#[test]
fn p11_a_record_survives_a_process_that_says_nothing_more() {
    let scratch = Scratch::new("kill");
    let dir = scratch.0.join("log");
    let mut log = OrderLog::open(&dir, Nanos(1), SMALL).unwrap();
    for n in 1..=3 {
        log.append(Nanos(1), &order(n)).unwrap();
        assert_eq!(read(&dir, 1).0.len(), usize::from(n));
    }
    std::mem::forget(log);
}

#[test]
fn x26_every_run_takes_the_next_epoch_even_when_its_files_are_gone() {
    let scratch = Scratch::new("epochs");
    let dir = scratch.0.join("log");
    for epoch in 1..=3 {
        let mut log = OrderLog::open(&dir, Nanos(1), SMALL).unwrap();
        assert_eq!(log.epoch(), epoch);
        assert_eq!(log.found().len(), usize::from(epoch - 1) * 2);
        log.append(Nanos(1), &Record::Timer).unwrap();
    }
    for file in fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().unwrap() == "log" {
            fs::remove_file(file).unwrap();
        }
    }
    assert_eq!(OrderLog::open(&dir, Nanos(1), SMALL).unwrap().epoch(), 4);
    // A lock file that a crash has cut: the names say it.
    fs::write(dir.join("orders.lock"), "epo").unwrap();
    assert_eq!(OrderLog::open(&dir, Nanos(1), SMALL).unwrap().epoch(), 5);
    // A renamed file: its header says it.
    fs::rename(dir.join("orders-00005-000001.log"), dir.join("orders-00001-000001.log")).unwrap();
    fs::remove_file(dir.join("orders-00005-000002.log")).unwrap();
    fs::write(dir.join("orders.lock"), "").unwrap();
    let log = OrderLog::open(&dir, Nanos(1), SMALL).unwrap();
    assert_eq!(log.epoch(), 6);
    let begun = log.found().iter().filter(|one| matches!(one.found, Found::Header(_))).count();
    assert_eq!(begun, 2);
}

#[test]
fn the_last_epoch_is_refused() {
    let scratch = Scratch::new("wrap");
    let dir = scratch.0.join("log");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("orders-65535-000001.log"), [0; 64]).unwrap();
    let error = OrderLog::open(&dir, Nanos(1), SMALL).unwrap_err();
    assert_eq!(error, LogError::NoEpoch { dir });
    assert!(error.to_string().contains("archive it whole"), "{error}");
}

#[test]
fn p15_a_second_holder_is_refused_by_name() {
    let scratch = Scratch::new("second");
    let dir = scratch.0.join("log");
    let log = OrderLog::open(&dir, Nanos(1), SMALL).unwrap();
    let error = OrderLog::open(&dir, Nanos(1), SMALL).unwrap_err();
    let holder = format!("process {}", std::process::id());
    assert_eq!(error, LogError::Held { dir: dir.clone(), holder: holder.clone() });
    assert!(error.to_string().contains(&holder), "{error}");
    drop(log);
    // A real other process, which tells that it has the lock by a file.
    let ready = dir.join("ready");
    let script = format!("touch {}; read line", ready.display());
    let child = Command::new("flock")
        .args(["--exclusive", "--nonblock", "--no-fork"])
        .arg(dir.join("orders.lock"))
        .args(["sh", "-c", &script])
        .stdin(std::process::Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("skipped: there is no flock command for the second process");
        return;
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !ready.exists() && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(matches!(OrderLog::open(&dir, Nanos(1), SMALL), Err(LogError::Held { .. })));
    drop(child.stdin.take());
    child.wait().unwrap();
    assert_eq!(OrderLog::open(&dir, Nanos(1), SMALL).unwrap().epoch(), 2);
}

#[test]
fn p17_a_newer_version_in_the_directory_is_refused() {
    let scratch = Scratch::new("newer");
    let dir = scratch.0.join("log");
    drop(OrderLog::open(&dir, Nanos(1), SMALL).unwrap());
    let path = dir.join("orders-00001-000001.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    let crc = crc32(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let error = OrderLog::open(&dir, Nanos(1), SMALL).unwrap_err();
    let newer = HeaderError::NewerVersion { found: 9 };
    assert_eq!(error, LogError::Newer { path, error: newer });
    assert!(error.to_string().contains("version 9"), "{error}");
}

/// The checksum of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

#[test]
fn other_accounts_and_damaged_headers_are_told_apart() {
    let scratch = Scratch::new("foreign");
    let dir = scratch.0.join("log");
    drop(OrderLog::open(&dir, Nanos(1), SMALL).unwrap());
    let other = LogSettings { fingerprint: 43, ..SMALL };
    let error = OrderLog::open(&dir, Nanos(1), other).unwrap_err();
    assert!(matches!(error, LogError::Foreign { found: 42, own: 43, .. }), "{error}");
    // Damage is for recovery to judge; the file's epoch is taken nevertheless.
    let path = dir.join("orders-00001-000001.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    fs::write(dir.join("orders.lock"), "").unwrap();
    let log = OrderLog::open(&dir, Nanos(1), SMALL).unwrap();
    assert_eq!(log.epoch(), 2);
    assert_eq!(log.found()[0].found, Found::Without(HeaderError::Corrupt));
    assert_eq!(log.found()[1].found, Found::Without(HeaderError::Unused));
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let scratch = Scratch::new("settings");
    for segment_bytes in [0, SEGMENT_MIN - 1, u64::MAX] {
        let settings = LogSettings { segment_bytes, ..SMALL };
        let error = OrderLog::open(&scratch.0.join("log"), Nanos(1), settings).unwrap_err();
        assert_eq!(error, LogError::SegmentBytes { bytes: segment_bytes });
    }
    assert!(!scratch.0.join("log").exists());
}

#[test]
fn s10_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("rights");
    drop(OrderLog::open(&scratch.0.join("log"), Nanos(1), SMALL).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&scratch.0.join("log")), 0o700);
    assert_eq!(mode(&scratch.0.join("log").join("orders.lock")), 0o600);
    assert_eq!(mode(&scratch.0.join("log").join("orders-00001-000001.log")), 0o600);
}

/// A user who may do everything is stopped by no rights, but by a file system without files.
#[test]
fn p6_missing_rights_and_no_directory_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new("denied");
    let dir = scratch.0.join("log");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o500)).unwrap();
    match OrderLog::open(&dir, Nanos(1), SMALL) {
        Err(error) => {
            assert!(matches!(error, LogError::Denied { .. }), "{error}");
            assert!(error.to_string().contains("give this user the right"), "{error}");
        }
        Ok(_) => println!("skipped: this user may write everywhere"),
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    let error = OrderLog::open(Path::new("/proc/self/reap"), Nanos(1), SMALL).unwrap_err();
    assert!(error.to_string().contains("/proc/self/reap cannot be made"), "{error}");
    let file = scratch.0.join("file");
    fs::write(&file, "").unwrap();
    let error = OrderLog::open(&file, Nanos(1), SMALL).unwrap_err();
    assert!(matches!(error, LogError::System { what: "made", .. }), "{error}");
}

/// A mount that goes with the test.
struct Mount(PathBuf);

impl Mount {
    fn new(at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "reap-test"])
            .arg(&at)
            .stderr(std::process::Stdio::null())
            .status();
        let mounted = mounted.is_ok_and(|status| status.success());
        if !mounted {
            println!("skipped: this user may not mount a small disk");
        }
        mounted.then_some(Self(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// A command that another test starts holds our lock between its fork and its exec.
fn open_when_let_go(dir: &Path) -> OrderLog {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        match OrderLog::open(dir, Nanos(1), SMALL) {
            Err(LogError::Held { .. }) if Instant::now() < until => std::thread::yield_now(),
            opened => return opened.unwrap(),
        }
    }
}

#[test]
fn p6_a_full_disk_is_seen_at_the_start_and_before_it_is_needed() {
    let scratch = Scratch::new("disk");
    let Some(mount) = Mount::new(scratch.0.join("disk"), "size=256k") else { return };
    let dir = mount.0.join("log");
    let large = LogSettings { segment_bytes: 1 << 20, ..SMALL };
    let error = OrderLog::open(&dir, Nanos(1), large).unwrap_err();
    assert!(matches!(error, LogError::Full { bytes: 1_048_576, .. }), "{error}");
    assert!(error.to_string().contains("free space"), "{error}");
    // One segment fits, the second does not: neither is left behind.
    let middle = LogSettings { segment_bytes: 160 << 10, ..SMALL };
    let error = OrderLog::open(&dir, Nanos(1), middle).unwrap_err();
    assert!(
        matches!(&error, LogError::Full { path, .. } if path.ends_with("orders-00002-000002.log"))
    );
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "only the lock file");

    let mut log = open_when_let_go(&dir);
    fs::write(mount.0.join("ballast"), vec![1; 90 << 10]).unwrap();
    let mut written = 0u64;
    while log.counters().rotations == 0 {
        written = log.append(Nanos(1), &order(1)).unwrap();
    }
    // Idle time hears of it while there is still room for a thousand orders.
    assert!(matches!(log.prepare(), Err(LogError::Full { .. })));
    assert_eq!((log.counters().prepare_failures, log.poisoned()), (1, None));
    let first = loop {
        match log.append(Nanos(1), &order(1)) {
            Ok(sequence) => written = sequence,
            Err(error) => break error,
        }
    };
    assert!(matches!(first, LogError::Full { .. }), "{first}");
    fs::remove_file(mount.0.join("ballast")).unwrap();
    assert_eq!(log.append(Nanos(1), &order(1)), Err(first), "poisoned");
    assert_eq!(read(&dir, 3).0.len() as u64, written);
}

#[test]
fn p6_a_read_only_disk_is_named() {
    let scratch = Scratch::new("ro");
    let Some(mount) = Mount::new(scratch.0.join("disk"), "size=64k,ro") else { return };
    let error = OrderLog::open(&mount.0, Nanos(1), SMALL).unwrap_err();
    assert!(matches!(error, LogError::Denied { .. }), "{error}");
    assert!(error.to_string().contains("name another order log directory"), "{error}");
}

#[test]
fn orders_wait_for_the_disk_when_asked_to() {
    let scratch = Scratch::new("fsync");
    let settings = LogSettings { sync: Sync::BeforeSend, ..SMALL };
    let mut log = OrderLog::open(&scratch.0.join("log"), Nanos(1), settings).unwrap();
    log.append(Nanos(1), &Record::Timer).unwrap();
    assert_eq!(log.counters().syncs, 0);
    log.append(Nanos(1), &order(1)).unwrap();
    assert_eq!(log.counters().syncs, 1);
}

#[test]
fn an_append_allocates_nothing_not_even_when_it_rotates() {
    let scratch = Scratch::new("alloc");
    let mut log = OrderLog::open(&scratch.0.join("log"), Nanos(1), SMALL).unwrap();
    let record = order(1);
    let counted = allocation_counter::measure(|| {
        for n in 0..1_500 {
            log.append(Nanos(n), &record).unwrap();
        }
    });
    assert_eq!((counted.count_total, log.counters().rotations), (0, 1));
    let header = fs::read(scratch.0.join("log").join("orders-00001-000002.log")).unwrap();
    assert_eq!(SegmentHeader::decode(&header).unwrap().first_sequence, 1_024);
}
