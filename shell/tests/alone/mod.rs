//! Directories of tests that must run one at a time.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A directory of its own that goes with the test.
///
/// One test at a time: between a child's start and its own program, the child holds this process's
/// locks too, and the log that another test has just closed is held for that moment.
pub(crate) struct Scratch(
    pub(crate) PathBuf,
    #[expect(dead_code, reason = "held while the test runs")] MutexGuard<'static, ()>,
);

static ALONE: Mutex<()> = Mutex::new(());

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = std::env::temp_dir().join(format!("reap-log-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&dir));
        fs::create_dir_all(&dir).unwrap();
        Self(dir, alone)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
