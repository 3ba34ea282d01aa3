//! A log as it lies on disk, read without its lock: the process that writes it may go on.

use std::fs;
use std::path::{Path, PathBuf};

use reap_core::log::{End, Entry, HEADER_LEN, HeaderError, Reader};

use super::LogError;
use super::files::{INPUTS, ORDERS, parse_name};

/// One segment and everything good in it.
#[derive(Debug)]
pub struct SegmentView {
    /// The file.
    pub path: PathBuf,
    /// Its run.
    pub epoch: u16,
    /// Its number within the run.
    pub segment: u32,
    /// Its records up to the first that is not whole.
    pub entries: Vec<Entry>,
    /// How they end; an error where nothing was begun, or what stands there is no header.
    pub end: Result<End, HeaderError>,
    /// The records' first number is not the one after the segment before it, of the same run.
    pub expected: Option<u64>,
}

impl SegmentView {
    /// Whether a program that starts on it has all that was ever written: it ends as a writer left
    /// it, or was cut while its last record was written.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        let ends =
            matches!(self.end, Ok(End::Clean { .. } | End::Torn { .. }) | Err(HeaderError::Unused));
        ends && self.expected.is_none()
    }
}

/// All segments of a directory's order log, in the order of runs and numbers, one after the other.
///
/// # Errors
/// When the directory or one of its files cannot be read, or there is no segment in it.
pub fn view(dir: &Path) -> Result<impl Iterator<Item = Result<SegmentView, LogError>>, LogError> {
    let files = files(dir, ORDERS)?;
    if files.is_empty() {
        return Err(LogError::Empty { dir: dir.to_owned() });
    }
    Ok(segments(files))
}

/// The same of its input logs, of which there may be none.
///
/// # Errors
/// When the directory or one of its files cannot be read.
pub fn view_inputs(
    dir: &Path,
) -> Result<impl Iterator<Item = Result<SegmentView, LogError>>, LogError> {
    files(dir, INPUTS).map(segments)
}

fn unreadable(path: &Path, cause: std::io::Error) -> LogError {
    LogError::Unreadable { path: path.to_owned(), error: cause.into() }
}

/// Epoch, number and path, in this order.
type Named = (u16, u32, PathBuf);

fn files(dir: &Path, stem: &str) -> Result<Vec<Named>, LogError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).map_err(|cause| unreadable(dir, cause))? {
        let path = entry.map_err(|cause| unreadable(dir, cause))?.path();
        let named = path.file_name().and_then(|name| parse_name(stem, name.to_str()?));
        if let Some((epoch, segment)) = named {
            files.push((epoch, segment, path));
        }
    }
    files.sort();
    Ok(files)
}

fn segments(files: Vec<Named>) -> impl Iterator<Item = Result<SegmentView, LogError>> {
    let mut due: Option<(u16, u64)> = None;
    files.into_iter().map(move |(epoch, segment, path)| {
        let bytes = fs::read(&path).map_err(|cause| unreadable(&path, cause))?;
        let mut entries = Vec::new();
        let (mut epoch, mut expected) = (epoch, None);
        let begun = bytes.iter().skip(HEADER_LEN).any(|&byte| byte != 0);
        let reader = Reader::new(&bytes).map_err(|error| match error {
            HeaderError::NewerVersion { .. } => error,
            // The write that was to begin it has stopped in its header.
            _ if !begun => HeaderError::Unused,
            _ => error,
        });
        let end = reader.map(|mut reader| {
            let header = *reader.header();
            epoch = header.epoch;
            expected = due
                .filter(|(of, next)| *of == epoch && *next != header.first_sequence)
                .map(|(_, next)| next);
            entries.extend(reader.by_ref());
            due = Some((epoch, header.first_sequence + entries.len() as u64));
            reader.end()
        });
        Ok(SegmentView { path, epoch, segment, entries, end, expected })
    })
}
