//! What earlier runs have left in a directory: their files read in order, and their records decided
//! again ([`reap_core::recovery`]).

use std::fs;
use std::path::{Path, PathBuf};

use reap_core::log::{End, HEADER_LEN, HeaderError, Reader};
use reap_core::recovery::{Recovered, Recovery};

use super::{FoundSegment, LogError};

/// Behind the name of a file that was set aside.
const SET_ASIDE: &str = "damaged";

/// See the module.
#[derive(Debug, Default)]
pub struct Earlier {
    /// What the runs have left; `None` when none has decided anything.
    pub recovered: Option<Recovered>,
    /// Files whose last record was cut while it was written.
    pub torn: Vec<PathBuf>,
}

/// Recovers from all files that earlier runs have left, oldest first.
///
/// # Errors
/// When the files are not all there, are damaged, were written by a newer program, or do not fit each
/// other. A damaged file is set aside under another name first, so that nothing goes on in its
/// directory until somebody has looked at it.
pub fn recover(dir: &Path, found: &[FoundSegment]) -> Result<Earlier, LogError> {
    if let Some(path) = set_aside(dir)? {
        return Err(LogError::SetAside { path });
    }
    let mut earlier = Earlier::default();
    let mut recovery = Recovery::new();
    for FoundSegment { path, .. } in found {
        let bytes = fs::read(path)
            .map_err(|cause| LogError::Unreadable { path: path.clone(), error: cause.into() })?;
        match take(&mut recovery, path, &bytes) {
            Ok(Left::Whole) => {}
            Ok(Left::Torn) => earlier.torn.push(path.clone()),
            Err(LogError::Damaged { why, .. }) => {
                let mut name = path.clone().into_os_string();
                name.push(format!(".{SET_ASIDE}"));
                let aside = PathBuf::from(name);
                fs::rename(path, &aside)
                    .map_err(|cause| LogError::system("set aside", path, 0, cause))?;
                return Err(LogError::Damaged { path: aside, why });
            }
            Err(error) => return Err(error),
        }
    }
    let refused = |error| LogError::Unrecovered { dir: dir.to_owned(), error: Box::new(error) };
    earlier.recovered = recovery.finish().map_err(refused)?;
    Ok(earlier)
}

/// How a file ends that can be gone on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// As its writer left it.
    Whole,
    /// Its last record was cut while it was written.
    Torn,
}

/// Takes the records of one file.
///
/// # Errors
/// As [`recover`]; the file stays where it is.
pub fn take(recovery: &mut Recovery<'_>, path: &Path, bytes: &[u8]) -> Result<Left, LogError> {
    let damaged = |why: String| LogError::Damaged { path: path.to_owned(), why };
    let mut reader = match Reader::new(bytes) {
        Ok(reader) => reader,
        Err(error @ HeaderError::NewerVersion { .. }) => {
            return Err(LogError::Newer { path: path.to_owned(), error });
        }
        // Reserved and never begun, or begun by a write that stopped in the header: its first records
        // are written together with it.
        Err(_) if bytes.iter().skip(HEADER_LEN).all(|&byte| byte == 0) => return Ok(Left::Whole),
        Err(error) => return Err(damaged(error.to_string())),
    };
    let epoch = reader.header().epoch;
    for entry in reader.by_ref() {
        recovery.take(epoch, &entry).map_err(|error| LogError::Unrecovered {
            dir: path.parent().unwrap_or(path).to_owned(),
            error: Box::new(error),
        })?;
    }
    match reader.end() {
        End::Clean { .. } => Ok(Left::Whole),
        End::Torn { .. } => Ok(Left::Torn),
        end @ End::NewerVersion { .. } => {
            Err(LogError::NewerRecord { path: path.to_owned(), why: end.to_string() })
        }
        end => Err(damaged(end.to_string())),
    }
}

/// A file that was set aside before.
fn set_aside(dir: &Path) -> Result<Option<PathBuf>, LogError> {
    let unreadable =
        |cause: std::io::Error| LogError::Unreadable { path: dir.to_owned(), error: cause.into() };
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|end| end == SET_ASIDE) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
