//! The order log on disk: one directory, one process, one write before it returns.
//!
//! The format stands in [`reap_core::log`]. A run takes the next epoch of its directory and writes
//! `orders-<epoch>-<n>.log`, segments whose space is reserved before they are used: a full disk is
//! seen at the start or while there is still room, not with an order in hand. The next segment is
//! reserved by [`OrderLog::prepare`], which idle time calls; when it has not been, rotation does it
//! on the spot and counts that.
//!
//! **After a failed write nothing is ever written again.** What the disk holds after a failed
//! write or sync is not known, so every further append fails with the error of the first, and no
//! order goes out without its record.

mod directory;
mod error;
mod files;
mod inputs;
mod recover;
mod segment;
#[cfg(test)]
mod tests;
mod view;

use std::os::unix::fs::FileExt;
use std::path::Path;

use reap_core::log::{HEADER_LEN, RECORD_MAX, Record};
use reap_core::units::Nanos;

pub use directory::{Found, FoundSegment};
pub use error::{LogError, SystemError};
pub use inputs::{InputLog, config_path};
pub use recover::{Earlier, Left, recover, take};
pub use view::{SegmentView, view, view_inputs};

use directory::Directory;
use segment::Segment;

/// The smallest segment: some hundred records.
pub const SEGMENT_MIN: u64 = 64 << 10;
/// The largest segment: a reader takes it in whole.
pub const SEGMENT_MAX: u64 = 1 << 30;

/// So many runs may be started within [`STARTS_WITHIN`]; one more is refused.
pub const STARTS_MAX: usize = 10;
/// See [`STARTS_MAX`].
pub const STARTS_WITHIN: Nanos = Nanos::from_secs(600);

/// Whether an append waits for the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// It does not: records survive the death of the process, not that of the machine.
    #[default]
    None,
    /// A record of an order waits until it, and everything before it, is on the disk.
    BeforeSend,
}

/// Settings of an order log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Bytes of one segment, [`SEGMENT_MIN`] to [`SEGMENT_MAX`]; 16 MiB hold some hundred
    /// thousand records.
    pub segment_bytes: u64,
    /// Whether orders wait for the disk.
    pub sync: Sync,
    /// Whose log this is: the same for every run of the same accounts. A directory that belongs to
    /// others is refused.
    pub fingerprint: u64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20, sync: Sync::None, fingerprint: 0 }
    }
}

/// What happened to a log since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogCounters {
    /// Records written.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Writes: records that belong together are written together.
    pub writes: u64,
    /// Changes to a next segment.
    pub rotations: u64,
    /// Those for which no segment was ready: an order waited while one was reserved.
    pub rotations_unprepared: u64,
    /// Waits for the disk.
    pub syncs: u64,
    /// Attempts to reserve the next segment that failed: an operator must make room.
    pub prepare_failures: u64,
}

/// Bytes that are written together at most: more than any step of the executor takes.
const BUFFER: usize = 1 << 14;
const _: () = assert!(BUFFER >= HEADER_LEN + RECORD_MAX);

/// See the module.
#[derive(Debug)]
pub struct OrderLog {
    directory: Directory,
    settings: LogSettings,
    current: Segment,
    /// Reserved, its header not yet written.
    next: Option<Segment>,
    sequence: u64,
    /// What is ready to be written, from the beginning.
    buffer: Box<[u8; BUFFER]>,
    /// How much of it.
    staged: usize,
    /// Records among it, and their bytes without headers.
    staged_records: u64,
    staged_bytes: u64,
    /// An order is among it.
    holds_order: bool,
    counters: LogCounters,
    poisoned: Option<LogError>,
}

impl OrderLog {
    /// Opens the log of a directory, which is made if need be: locks it, takes its next epoch, and
    /// reserves two segments.
    ///
    /// # Errors
    /// Named, with what to do: another process holds the directory, missing rights, a full disk, a
    /// newer version, another owner, no epoch left, a setting out of bounds. Nothing of a failed
    /// open is left behind but the directory and its lock file.
    pub fn open(dir: &Path, now: Nanos, settings: LogSettings) -> Result<Self, LogError> {
        if !(SEGMENT_MIN..=SEGMENT_MAX).contains(&settings.segment_bytes) {
            return Err(LogError::SegmentBytes { bytes: settings.segment_bytes });
        }
        let directory = Directory::take(dir, settings.fingerprint)?;
        let mut current = Segment::reserve(directory.files(), 1, settings.segment_bytes)?;
        let header = current.head(directory.files(), 1, now, settings.fingerprint);
        let begun = current.write_all(&header).and_then(|()| current.sync_all());
        let next =
            begun.and_then(|()| Segment::reserve(directory.files(), 2, settings.segment_bytes));
        let next = next.inspect_err(|_| current.discard())?;
        Ok(Self {
            directory,
            settings,
            current,
            next: Some(next),
            sequence: 1,
            buffer: Box::new([0; BUFFER]),
            staged: 0,
            staged_records: 0,
            staged_bytes: 0,
            holds_order: false,
            counters: LogCounters::default(),
            poisoned: None,
        })
    }

    /// The run's number, which its client order ids carry.
    #[must_use]
    pub const fn epoch(&self) -> u16 {
        self.directory.files().epoch()
    }

    /// Number of the next record.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.sequence
    }

    /// What earlier runs left in the directory, oldest first.
    #[must_use]
    pub fn found(&self) -> &[FoundSegment] {
        self.directory.found()
    }

    /// What the earlier runs in the directory have left.
    ///
    /// # Errors
    /// See [`recover`].
    pub fn recover(&self) -> Result<Earlier, LogError> {
        recover(self.directory.files().path(), self.directory.found())
    }

    /// Refuses a start that comes after too many others: see [`STARTS_MAX`].
    ///
    /// # Errors
    /// [`LogError::Restarts`].
    pub fn refuse_restarts(&self, now: Nanos) -> Result<(), LogError> {
        let recent = |found: &&FoundSegment| match found.found {
            Found::Header(header) => {
                header.segment == 1 && now.since(header.created) < STARTS_WITHIN
            }
            Found::Without(_) => false,
        };
        let starts = self.found().iter().filter(recent).count();
        if starts < STARTS_MAX {
            return Ok(());
        }
        Err(LogError::Restarts { dir: self.directory.files().path().to_owned(), starts })
    }

    /// Leaves nothing of a run that cannot begin.
    pub fn abandon(self) {
        self.current.discard();
        if let Some(next) = &self.next {
            next.discard();
        }
    }

    /// What happened so far.
    #[must_use]
    pub const fn counters(&self) -> &LogCounters {
        &self.counters
    }

    /// The error after which nothing is written any more.
    #[must_use]
    pub const fn poisoned(&self) -> Option<&LogError> {
        self.poisoned.as_ref()
    }

    /// Writes a record and returns its number. One write; nothing is allocated.
    ///
    /// # Errors
    /// When it is not written for sure, or an earlier one was not. What was to follow the record
    /// must not happen: its order is not sent.
    pub fn append(&mut self, now: Nanos, record: &Record) -> Result<u64, LogError> {
        let sequence = self.stage(now, record)?;
        self.commit()?;
        Ok(sequence)
    }

    /// Gets a record ready and returns its number; [`Self::commit`] writes it together with those
    /// that follow. Nothing is allocated.
    ///
    /// # Errors
    /// When room had to be made and could not be, or an earlier record was not written.
    pub fn stage(&mut self, now: Nanos, record: &Record) -> Result<u64, LogError> {
        if let Some(error) = &self.poisoned {
            return Err(error.clone());
        }
        self.put(now, record).inspect_err(|error| self.poisoned = Some(error.clone()))
    }

    /// Writes what is ready: one write for all of it.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn commit(&mut self) -> Result<(), LogError> {
        if let Some(error) = &self.poisoned {
            return Err(error.clone());
        }
        self.write().inspect_err(|error| self.poisoned = Some(error.clone()))
    }

    fn put(&mut self, now: Nanos, record: &Record) -> Result<u64, LogError> {
        let len = record.encoded_len();
        if self.staged + HEADER_LEN + len > self.buffer.len() {
            self.write()?;
        }
        if !self.current.has_room(self.staged + len) {
            self.write()?;
            self.rotate()?;
            // The new segment's header goes out in one write with its first record.
            let header = self.current.head(
                self.directory.files(),
                self.sequence,
                now,
                self.settings.fingerprint,
            );
            self.buffer[..HEADER_LEN].copy_from_slice(&header);
            self.staged = HEADER_LEN;
        }
        self.current
            .encoder()
            .encode(self.sequence, now, record, &mut self.buffer[self.staged..])
            .expect("room was made for it");
        self.staged += len;
        self.holds_order |=
            matches!(record, Record::Order(_) | Record::Position { .. } | Record::Stopped { .. });
        let sequence = self.sequence;
        self.sequence += 1;
        self.staged_records += 1;
        self.staged_bytes += len as u64;
        Ok(sequence)
    }

    fn write(&mut self) -> Result<(), LogError> {
        if self.staged == 0 {
            return Ok(());
        }
        self.current.write_all(&self.buffer[..self.staged])?;
        self.counters.bytes += std::mem::take(&mut self.staged_bytes);
        self.counters.records += std::mem::take(&mut self.staged_records);
        self.counters.writes += 1;
        self.staged = 0;
        let holds_order = std::mem::take(&mut self.holds_order);
        if holds_order && self.settings.sync == Sync::BeforeSend {
            self.current.sync_data()?;
            self.counters.syncs += 1;
        }
        Ok(())
    }

    /// Goes on in the next segment.
    fn rotate(&mut self) -> Result<(), LogError> {
        if self.settings.sync == Sync::BeforeSend {
            // A later sync reaches only the file that it is asked for.
            self.current.sync_data()?;
            self.counters.syncs += 1;
        }
        let next = match self.next.take() {
            Some(next) => next,
            None => {
                self.counters.rotations_unprepared += 1;
                self.reserve()?
            }
        };
        self.current = next;
        self.counters.rotations += 1;
        Ok(())
    }

    /// Reserves the segment that comes after the current one, when that is not done yet: for idle
    /// time, because reserving waits for the disk. Returns whether it did something.
    ///
    /// # Errors
    /// When it cannot be reserved. The log goes on in what is left of the current segment, and the
    /// next call tries again; an operator should hear of it at once.
    pub fn prepare(&mut self) -> Result<bool, LogError> {
        if self.next.is_some() || self.poisoned.is_some() {
            return Ok(false);
        }
        match self.reserve() {
            Ok(next) => {
                self.next = Some(next);
                Ok(true)
            }
            Err(error) => {
                self.counters.prepare_failures += 1;
                Err(error)
            }
        }
    }

    fn reserve(&self) -> Result<Segment, LogError> {
        let number = self
            .current
            .number()
            .checked_add(1)
            .ok_or(LogError::NoEpoch { dir: self.directory.files().path().to_owned() })?;
        Segment::reserve(self.directory.files(), number, self.settings.segment_bytes)
    }

    /// Waits until everything is on the disk: for the end of a run, after its last record.
    ///
    /// # Errors
    /// When the disk does not say so, or an earlier append failed.
    pub fn sync(&mut self) -> Result<(), LogError> {
        if let Some(error) = &self.poisoned {
            return Err(error.clone());
        }
        self.commit()?;
        self.counters.syncs += 1;
        self.current.sync_data().inspect_err(|error| self.poisoned = Some(error.clone()))
    }
}

/// One write of all of `bytes`: what a segment does, so that it can be tested on other files.
fn write_at(file: &std::fs::File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    loop {
        return match file.write_at(bytes, at) {
            Ok(written) if written == bytes.len() => Ok(()),
            Ok(_) => Err(std::io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}
