//! The directory of an order log: its lock, its epoch, and what earlier runs left there.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use reap_core::log::{HEADER_LEN, HeaderError, SegmentHeader};
use rustix::fs::{FlockOperation, flock};

use super::LogError;
use super::files::{Files, ORDERS, parse_name};

/// Carries the lock, and the newest epoch even when its segments are deleted.
const LOCK_NAME: &str = "orders.lock";

/// What stands where a segment's header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A header.
    Header(SegmentHeader),
    /// Reserved in advance and never begun, or something that recovery must judge.
    Without(HeaderError),
}

/// A segment file of an earlier run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSegment {
    /// The file.
    pub path: PathBuf,
    /// Its run, by its name.
    pub epoch: u16,
    /// Its number within the run, by its name.
    pub segment: u32,
    /// How it begins.
    pub found: Found,
}

/// A directory that this process holds.
#[derive(Debug)]
pub(super) struct Directory {
    files: Files,
    found: Vec<FoundSegment>,
    /// The lock goes when this is closed, at the latest with the process.
    _lock: File,
}

impl Directory {
    /// Locks the directory and takes its next epoch.
    pub(super) fn take(path: &Path, fingerprint: u64) -> Result<Self, LogError> {
        let error = |what, error: io::Error| LogError::system(what, path, 0, error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|cause| error("made", cause))?;
        let mut lock = lock(path)?;
        let file = File::open(path).map_err(|cause| error("opened", cause))?;
        let found = survey(path, fingerprint)?;
        let newest = found.iter().map(|one| one.epoch).max().unwrap_or(0);
        let epoch = newest
            .max(written_epoch(&mut lock))
            .checked_add(1)
            .ok_or_else(|| LogError::NoEpoch { dir: path.to_owned() })?;
        let text = format!("epoch {epoch}\nprocess {}\n", std::process::id());
        let lock_path = path.join(LOCK_NAME);
        lock.rewind()
            .and_then(|()| lock.write_all(text.as_bytes()))
            .and_then(|()| lock.set_len(text.len() as u64))
            .and_then(|()| lock.sync_all())
            .map_err(|cause| LogError::system("written", &lock_path, text.len() as u64, cause))?;
        let files = Files::new(path.to_owned(), file, epoch, ORDERS);
        Ok(Self { files, found, _lock: lock })
    }

    /// Its segments of this run.
    pub(super) const fn files(&self) -> &Files {
        &self.files
    }

    pub(super) fn found(&self) -> &[FoundSegment] {
        &self.found
    }
}

fn lock(dir: &Path) -> Result<File, LogError> {
    let path = dir.join(LOCK_NAME);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|cause| LogError::system("opened", &path, 0, cause))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let text = read_some(&mut file);
            let holder = text.lines().find(|line| line.starts_with("process "));
            let holder = holder.unwrap_or("it has not said which yet").to_owned();
            Err(LogError::Held { dir: dir.to_owned(), holder })
        }
        Err(cause) => Err(LogError::system("locked", &path, 0, cause)),
    }
}

/// The first bytes of a small text file; what cannot be read is no text.
fn read_some(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let read = file.take(256).read_to_end(&mut bytes);
    if read.is_err() {
        bytes.clear();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The epoch that the lock file remembers. A lock file cut by a crash remembers none: the names of
/// the segments do.
fn written_epoch(lock: &mut File) -> u16 {
    let text = read_some(lock);
    text.lines().find_map(|line| line.strip_prefix("epoch ")?.parse().ok()).unwrap_or(0)
}

fn survey(dir: &Path, own: u64) -> Result<Vec<FoundSegment>, LogError> {
    let unreadable = |path: &Path, cause| LogError::system("read", path, 0, cause);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(|cause| unreadable(dir, cause))? {
        let path = entry.map_err(|cause| unreadable(dir, cause))?.path();
        let Some((mut epoch, segment)) =
            path.file_name().and_then(|name| parse_name(ORDERS, name.to_str()?))
        else {
            continue;
        };
        let mut head = Vec::with_capacity(HEADER_LEN);
        File::open(&path)
            .and_then(|file| file.take(HEADER_LEN as u64).read_to_end(&mut head))
            .map_err(|cause| unreadable(&path, cause))?;
        let begins = match SegmentHeader::decode(&head) {
            Err(error @ HeaderError::NewerVersion { .. }) => {
                return Err(LogError::Newer { path, error });
            }
            Ok(header) if header.fingerprint != own => {
                return Err(LogError::Foreign { path, found: header.fingerprint, own });
            }
            // A file may have been renamed. What its orders' ids carry is never used again.
            Ok(header) => {
                epoch = epoch.max(header.epoch);
                Found::Header(header)
            }
            Err(error) => Found::Without(error),
        };
        found.push(FoundSegment { path, epoch, segment, found: begins });
    }
    found.sort_by_key(|one| (one.epoch, one.segment));
    Ok(found)
}
