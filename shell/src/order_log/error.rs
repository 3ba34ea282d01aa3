//! What can go wrong with an order log, and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use reap_core::log::HeaderError;
use reap_core::recovery::RecoveryError;

use super::{SEGMENT_MAX, SEGMENT_MIN};

/// What the system said: an [`io::Error`] that can be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemError {
    kind: io::ErrorKind,
    code: Option<i32>,
}

impl SystemError {
    /// What kind of error.
    #[must_use]
    pub const fn kind(&self) -> io::ErrorKind {
        self.kind
    }
}

impl From<io::Error> for SystemError {
    fn from(error: io::Error) -> Self {
        Self { kind: error.kind(), code: error.raw_os_error() }
    }
}

impl From<rustix::io::Errno> for SystemError {
    fn from(error: rustix::io::Errno) -> Self {
        io::Error::from(error).into()
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => io::Error::from_raw_os_error(code).fmt(f),
            None if self.kind == io::ErrorKind::WriteZero => f.write_str("only a part was written"),
            None => self.kind.fmt(f),
        }
    }
}

/// Why a log cannot be opened or written. Repeated word for word by a log that is poisoned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A file is damaged, and was set aside.
    #[error(
        "{}: it {why}; what earlier runs did is not known for sure, so nothing is traded: compare \
         what the venues hold and have open with `reap log dump` of its folder, move the folder \
         away, and give the configuration the positions that are open, under new names",
        path.display()
    )]
    Damaged {
        /// Where it is now.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A damaged file was set aside by an earlier start.
    #[error(
        "{}: this file is damaged and was set aside; nothing is traded until its folder is moved \
         away: compare what the venues hold and have open with `reap log dump` of it first, and \
         give the configuration the positions that are open, under new names", path.display()
    )]
    SetAside {
        /// The file.
        path: PathBuf,
    },
    /// A record was written by a newer program.
    #[error("{}: it {why}", path.display())]
    NewerRecord {
        /// The file.
        path: PathBuf,
        /// What it has.
        why: String,
    },
    /// The records do not fit each other.
    #[error(
        "{}: {error}; what earlier runs did is not known for sure, so nothing is traded: put back \
         what is missing, or compare with the venues, move the folder away, and give the \
         configuration the positions that are open, under new names", dir.display()
    )]
    Unrecovered {
        /// The directory.
        dir: PathBuf,
        /// What does not fit.
        error: Box<RecoveryError>,
    },
    /// It was started again and again.
    #[error(
        "{}: {starts} runs were started within ten minutes; a process that dies again and again \
         must not trade at each start: find out why, then wait ten minutes", dir.display()
    )]
    Restarts {
        /// The directory.
        dir: PathBuf,
        /// How many.
        starts: usize,
    },
    /// A setting is out of bounds.
    #[error(
        "segment_bytes = {bytes} is outside {SEGMENT_MIN} ..= {SEGMENT_MAX}; leave it out for 16 MiB"
    )]
    SegmentBytes {
        /// The setting.
        bytes: u64,
    },
    /// Nothing to read.
    #[error(
        "{} has no file of an order log (orders-<epoch>-<n>.log): name the directory of the log",
        dir.display()
    )]
    Empty {
        /// The directory.
        dir: PathBuf,
    },
    /// The input log has taken all that it may.
    #[error(
        "the input log of {} has reached its limit: this run cannot be decided again from here on; \
         raise [run] input_log_mib, or 0 for none", dir.display()
    )]
    InputsFull {
        /// The directory.
        dir: PathBuf,
    },
    /// A log that is only looked at cannot be read.
    #[error("{} cannot be read: {error}; name a directory that this user may read", path.display())]
    Unreadable {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        error: SystemError,
    },
    /// Another process writes this log.
    #[error(
        "{} is held by another process ({holder}): two instances on one account close twice; stop \
         that one, or give this one a directory and accounts of its own", dir.display()
    )]
    Held {
        /// The directory.
        dir: PathBuf,
        /// What the holder wrote into the lock file.
        holder: String,
    },
    /// Rights are missing, or the file system is read-only.
    #[error(
        "{} cannot be {what}: {error}; no order is sent without its record, so give this user the \
         right to write there, or name another order log directory", path.display()
    )]
    Denied {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        error: SystemError,
    },
    /// No room.
    #[error(
        "no room for {} ({bytes} bytes): {error}; free space or move the order log directory to \
         another disk", path.display()
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// What it was to hold more.
        bytes: u64,
        /// What the system said.
        error: SystemError,
    },
    /// A segment that a newer program wrote.
    #[error("{}: {error}; an older program must not go on in this directory", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        error: HeaderError,
    },
    /// A segment of other accounts.
    #[error(
        "{} belongs to other accounts (fingerprint {found:016x}, this configuration has \
         {own:016x}): name another order log directory for these accounts", path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its fingerprint.
        found: u64,
        /// Ours.
        own: u64,
    },
    /// Epochs or segments are used up.
    #[error(
        "{} has used up its numbers: archive it whole and begin with a new directory, once the \
         venues know no order of its first runs any more", dir.display()
    )]
    NoEpoch {
        /// The directory.
        dir: PathBuf,
    },
    /// Anything else that the system refused.
    #[error(
        "{} cannot be {what}: {error}; nothing more is written and no order is sent: look after \
         the disk, then restart", path.display()
    )]
    System {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        error: SystemError,
    },
}

impl LogError {
    /// The error of a system call, by what can be done about it. `bytes` is what was to be stored.
    pub(super) fn system(
        what: &'static str,
        path: &std::path::Path,
        bytes: u64,
        error: impl Into<SystemError>,
    ) -> Self {
        use io::ErrorKind::{
            FileTooLarge, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
        };
        let (path, error) = (path.to_owned(), error.into());
        match error.kind {
            PermissionDenied | ReadOnlyFilesystem => Self::Denied { what, path, error },
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full { path, bytes, error },
            _ => Self::System { what, path, error },
        }
    }
}
