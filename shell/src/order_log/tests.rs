//! What needs a file in the log's place that no disk would give.

use std::fs::File;
use std::io::ErrorKind;

use reap_core::log::Record;

use super::*;

fn scratch(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("reap-log-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    dir
}

/// P5, P6: after a failed write every append fails the same, even when there is room again.
#[test]
fn p6_a_log_that_cannot_be_written_is_poisoned() {
    let dir = scratch("full");
    let mut log = OrderLog::open(&dir, Nanos(1), LogSettings::default()).unwrap();
    assert_eq!(log.append(Nanos(2), &Record::Timer), Ok(1));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let file = std::mem::replace(&mut log.current.file, full);
    let first = log.append(Nanos(3), &Record::Timer).unwrap_err();
    assert!(
        matches!(&first, LogError::Full { error, .. } if error.kind() == ErrorKind::StorageFull)
    );
    assert!(first.to_string().contains("free space"), "{first}");
    log.current.file = file;
    assert_eq!(log.append(Nanos(4), &Record::Timer), Err(first.clone()));
    assert_eq!(log.sync(), Err(first.clone()));
    assert_eq!(log.prepare(), Ok(false));
    assert_eq!(log.poisoned(), Some(&first));
    assert_eq!(log.counters().records, 1);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn p5_a_failed_sync_poisons() {
    let dir = scratch("sync");
    let settings = LogSettings { sync: Sync::BeforeSend, ..LogSettings::default() };
    let mut log = OrderLog::open(&dir, Nanos(1), settings).unwrap();
    // What can be written but not synced: a character device.
    log.current.file = File::options().write(true).open("/dev/null").unwrap();
    assert_eq!(log.append(Nanos(2), &Record::Timer), Ok(1));
    let first = log.sync().unwrap_err();
    assert!(matches!(&first, LogError::System { what: "synced", .. }), "{first}");
    assert_eq!(log.append(Nanos(3), &Record::Timer), Err(first));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn zeros_are_written_where_space_cannot_be_reserved() {
    let dir = scratch("zeros");
    let log = OrderLog::open(&dir, Nanos(1), LogSettings::default()).unwrap();
    let next = log.next.as_ref().unwrap();
    next.file.set_len(0).unwrap();
    next.write_zeros().unwrap();
    assert_eq!(next.file.metadata().unwrap().len(), log.settings.segment_bytes);
    std::fs::remove_dir_all(dir).unwrap();
}
