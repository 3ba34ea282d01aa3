//! The input log on disk: what the engine consumed, in segments beside those of the order log of the
//! same run, with a copy of the configuration that it ran under.
//!
//! It is written by a thread of its own, some records at a time. A process that is killed loses what
//! that thread had not written yet, which is what a millisecond brings. It ends where the disk or its
//! own limit ends it, and nothing else ends with it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use reap_core::log::{HEADER_LEN, RECORD_MAX, Record};
use reap_core::units::Nanos;

use super::files::{Files, INPUTS};
use super::segment::Segment;
use super::{LogError, OrderLog, SEGMENT_MAX, SEGMENT_MIN};

/// Bytes that are written together at most.
const BUFFER: usize = 1 << 16;

/// See the module.
#[derive(Debug)]
pub struct InputLog {
    files: Files,
    fingerprint: u64,
    segment_bytes: u64,
    /// Bytes of segments that may still be begun.
    left: u64,
    current: Segment,
    sequence: u64,
    buffer: Vec<u8>,
}

impl InputLog {
    /// Begins the input log of an order log's run, with a copy of its configuration's text. All its
    /// segments together take at most `limit` bytes, and one at least.
    ///
    /// # Errors
    /// As [`OrderLog::open`].
    pub fn begin(
        orders: &OrderLog,
        now: Nanos,
        config: &str,
        limit: u64,
    ) -> Result<Self, LogError> {
        let files = orders.directory.files().beside(INPUTS)?;
        let (fingerprint, segment_bytes) =
            (orders.settings.fingerprint, orders.settings.segment_bytes);
        debug_assert!((SEGMENT_MIN..=SEGMENT_MAX).contains(&segment_bytes));
        let path = config_path(files.path(), files.epoch());
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(config.as_bytes()));
        written.map_err(|cause| LogError::system("written", &path, config.len() as u64, cause))?;
        let mut current = Segment::reserve(&files, 1, segment_bytes)?;
        let mut buffer = Vec::with_capacity(BUFFER);
        buffer.extend(current.head(&files, 1, now, fingerprint));
        let left = limit.saturating_sub(segment_bytes);
        Ok(Self { files, fingerprint, segment_bytes, left, current, sequence: 1, buffer })
    }

    /// Number of the next record.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.sequence
    }

    /// Gets a record ready; [`Self::flush`] writes it with those before it.
    ///
    /// # Errors
    /// When the limit is reached, or the disk says no. The log ends there: nothing may follow.
    pub fn append(&mut self, now: Nanos, record: &Record) -> Result<(), LogError> {
        let len = record.encoded_len();
        if self.buffer.len() + HEADER_LEN + RECORD_MAX > BUFFER {
            self.flush()?;
        }
        if !self.current.has_room(self.buffer.len() + len) {
            self.flush()?;
            self.rotate(now)?;
        }
        let at = self.buffer.len();
        self.buffer.resize(at + len, 0);
        self.current
            .encoder()
            .encode(self.sequence, now, record, &mut self.buffer[at..])
            .expect("room was made for it");
        self.sequence += 1;
        Ok(())
    }

    fn rotate(&mut self, now: Nanos) -> Result<(), LogError> {
        let dir = || self.files.path().to_owned();
        self.left = self
            .left
            .checked_sub(self.segment_bytes)
            .ok_or_else(|| LogError::InputsFull { dir: dir() })?;
        let number = self.current.number().checked_add(1);
        let number = number.ok_or_else(|| LogError::NoEpoch { dir: dir() })?;
        self.current = Segment::reserve(&self.files, number, self.segment_bytes)?;
        self.buffer.extend(self.current.head(&self.files, self.sequence, now, self.fingerprint));
        Ok(())
    }

    /// Writes what is ready.
    ///
    /// # Errors
    /// When the disk says no. The log ends there.
    pub fn flush(&mut self) -> Result<(), LogError> {
        if !self.buffer.is_empty() {
            self.current.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

/// Where the configuration of a run stands in its log's directory.
#[must_use]
pub fn config_path(dir: &Path, epoch: u16) -> PathBuf {
    dir.join(format!("config-{epoch:05}.toml"))
}
