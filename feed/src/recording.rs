//! Recorded messages: `<receive time> <raw message>` a line, in a gzip file, written and read; and
//! one reader that also opens captures (see [`crate::capture`]) and plain files, told apart by
//! their content.
//!
//! A recording is written as one gzip member after the other, each of them whole: wherever the
//! writing process ends, the file is readable up to its last flush.
//!
//! The receive time is written in nanoseconds since the epoch. Old recordings have microseconds:
//! the first line's magnitude decides for its file (see [`NANOS_FROM`]).

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use reap_core::units::Nanos;
use thiserror::Error;

use crate::capture;
use crate::decimal;
use crate::lines::{LINE_MAX, LineError, Lines};

/// Receive times from here on are nanoseconds (1973), those below microseconds (until 5138).
pub const NANOS_FROM: u64 = 100_000_000_000_000_000;
/// Receive times below this are no microseconds of any recording (1973).
const MICROS_FROM: u64 = 100_000_000_000_000;

/// What a recording or a capture holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A message of the venue.
    Received {
        /// Our receive time.
        received: Nanos,
        /// The message.
        raw: &'a [u8],
    },
    /// A connection was made (captures only).
    Connected {
        /// When.
        at: Nanos,
        /// To where.
        url: &'a str,
    },
    /// A message of ours (captures only).
    Sent {
        /// When.
        at: Nanos,
        /// To where.
        url: &'a str,
        /// The message.
        raw: &'a [u8],
    },
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LineFault {
    /// Neither of the two formats.
    #[error("is neither `<time> <message>` nor a line of a capture")]
    Shape,
    /// The time is no number, or not of this file's magnitude.
    #[error("has a receive time that cannot be read")]
    Time,
    /// Longer than any message.
    #[error("is longer than {LINE_MAX} bytes")]
    TooLong,
    /// A message to be written contains a line end.
    #[error("would contain a line end")]
    LineEnd,
}

/// What is wrong with a file.
#[derive(Debug, Error)]
pub enum RecordingFault {
    /// There is no such file.
    #[error("no such file")]
    Missing,
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// A compressed file that cannot be unpacked.
    #[error("broken gzip behind line {line}: {error}")]
    Gzip {
        /// The last line that could be read.
        line: u64,
        /// What the decoder says.
        error: io::Error,
    },
    /// A compressed file that ends too early.
    #[error("gzip cut short behind line {line}")]
    Truncated {
        /// The last line that could be read.
        line: u64,
    },
    /// A line that cannot be read or written.
    #[error("line {line} {fault}")]
    Line {
        /// Its number, from 1.
        line: u64,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// The system refuses to read or write it.
    #[error("{0}")]
    Io(io::Error),
}

/// A file that cannot be read or written as a recording.
#[derive(Debug, Error)]
#[error("{}: {fault}", path.display())]
pub struct RecordingError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: RecordingFault,
}

#[derive(Clone, Copy, Debug)]
enum Format {
    /// Lines with times in units of this many nanoseconds.
    Timed {
        unit: u64,
    },
    Capture,
}

/// A recording or a capture being read.
pub struct Recording {
    path: PathBuf,
    lines: Lines,
    format: Format,
    is_gzip: bool,
    /// The first line was read to tell the format and has not been given out.
    is_ahead: bool,
}

impl Recording {
    /// Opens a recording or a capture, packed or plain.
    ///
    /// # Errors
    /// When it is missing, empty, unreadable, or of neither format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RecordingError> {
        let path = path.as_ref().to_owned();
        match Self::open_at(&path) {
            Ok((lines, format, is_gzip)) => {
                Ok(Self { path, lines, format, is_gzip, is_ahead: true })
            }
            Err(fault) => Err(RecordingError { path, fault }),
        }
    }

    fn open_at(path: &Path) -> Result<(Lines, Format, bool), RecordingFault> {
        const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
        let file = File::open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => RecordingFault::Missing,
            _ => RecordingFault::Io(error),
        })?;
        let mut input = BufReader::with_capacity(1 << 16, file);
        let is_gzip = input.fill_buf().map_err(RecordingFault::Io)?.starts_with(&GZIP_MAGIC);
        let input: Box<dyn BufRead + Send> = if is_gzip {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(input)))
        } else {
            Box::new(input)
        };
        let mut lines = Lines::new(input);
        if !lines.read().map_err(|error| read_fault(error, lines.number(), is_gzip))? {
            return Err(RecordingFault::Empty);
        }
        let format = if capture::is_capture(lines.line()) {
            Format::Capture
        } else {
            let (time, _) = timed(lines.line()).map_err(|fault| bad_line(1, fault))?;
            match time {
                NANOS_FROM.. => Format::Timed { unit: 1 },
                MICROS_FROM.. => Format::Timed { unit: 1000 },
                _ => return Err(bad_line(1, LineFault::Time)),
            }
        };
        Ok((lines, format, is_gzip))
    }

    /// The next item; `None` at the end. Allocates only when a line is longer than all before.
    ///
    /// # Errors
    /// When the file is broken or a line of it cannot be read. What came before is good.
    #[expect(clippy::should_implement_trait, reason = "items borrow the line buffer")]
    pub fn next(&mut self) -> Result<Option<Item<'_>>, RecordingError> {
        loop {
            if !std::mem::take(&mut self.is_ahead) {
                match self.lines.read() {
                    Ok(true) => {}
                    Ok(false) => return Ok(None),
                    Err(error) => {
                        let fault = read_fault(error, self.lines.number(), self.is_gzip);
                        return Err(RecordingError { path: self.path.clone(), fault });
                    }
                }
            }
            if !self.lines.line().is_empty() {
                break;
            }
        }
        let line = self.lines.line();
        let item = match self.format {
            Format::Timed { unit } => timed(line).and_then(|(time, raw)| {
                let received = Nanos(time.checked_mul(unit).ok_or(LineFault::Time)?);
                Ok(Item::Received { received, raw })
            }),
            Format::Capture => capture::parse(line).and_then(|item| item.ok_or(LineFault::Shape)),
        };
        match item {
            Ok(item) => Ok(Some(item)),
            Err(fault) => {
                let fault = bad_line(self.lines.number(), fault);
                Err(RecordingError { path: self.path.clone(), fault })
            }
        }
    }

    /// Number of the line that the last item stood in, from 1.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.lines.number()
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording")
            .field("path", &self.path)
            .field("format", &self.format)
            .field("line", &self.line())
            .finish_non_exhaustive()
    }
}

/// `<time> <message>`.
fn timed(line: &[u8]) -> Result<(u64, &[u8]), LineFault> {
    let space = memchr::memchr(b' ', line).ok_or(LineFault::Shape)?;
    let time = decimal::parse_integer(&line[..space]).ok_or(LineFault::Time)?;
    Ok((time, &line[space + 1..]))
}

fn bad_line(line: u64, fault: LineFault) -> RecordingFault {
    RecordingFault::Line { line, fault }
}

/// The fault of a line that could not be read.
fn read_fault(error: LineError, line: u64, is_gzip: bool) -> RecordingFault {
    match error {
        LineError::TooLong => bad_line(line, LineFault::TooLong),
        LineError::Io(error) if !is_gzip => RecordingFault::Io(error),
        LineError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            RecordingFault::Truncated { line: line - 1 }
        }
        LineError::Io(error) => RecordingFault::Gzip { line: line - 1, error },
    }
}

/// Bytes of lines in one gzip member, at most about.
const MEMBER_MAX: usize = 1 << 20;

/// What is in a file for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Messages.
    pub messages: u64,
    /// Bytes of the file.
    pub bytes: u64,
}

/// A recording being written.
#[derive(Debug)]
pub struct RecordingWriter {
    path: PathBuf,
    file: File,
    /// The gzip member that is not in the file yet.
    member: GzEncoder<Vec<u8>>,
    /// Bytes of lines in it.
    pending: usize,
    /// Lines so far, with those in it.
    lines: u64,
    /// What of the file is whole members.
    flushed: Flushed,
}

impl RecordingWriter {
    /// Starts a new recording. An existing file is not touched.
    ///
    /// # Errors
    /// When the file exists or cannot be made.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, RecordingError> {
        Self::open(path.as_ref(), OpenOptions::new().write(true).create_new(true))
    }

    /// Starts a recording in place of whatever the file holds.
    ///
    /// # Errors
    /// When the file cannot be made or emptied.
    pub fn replace(path: impl AsRef<Path>) -> Result<Self, RecordingError> {
        Self::open(path.as_ref(), OpenOptions::new().write(true).create(true).truncate(true))
    }

    fn open(path: &Path, options: &OpenOptions) -> Result<Self, RecordingError> {
        let path = path.to_owned();
        match options.open(&path) {
            Ok(file) => Ok(Self {
                path,
                file,
                member: GzEncoder::new(Vec::new(), Compression::default()),
                pending: 0,
                lines: 0,
                flushed: Flushed::default(),
            }),
            Err(error) => Err(RecordingError { path, fault: RecordingFault::Io(error) }),
        }
    }

    /// Writes one message. Now and then that flushes.
    ///
    /// # Errors
    /// When it contains a line end, is longer than any message may be, or has a time below
    /// [`NANOS_FROM`]: the next message may be written all the same. When the file cannot be
    /// written, see [`Self::flush`].
    pub fn write(&mut self, received: Nanos, raw: &[u8]) -> Result<(), RecordingError> {
        let fault = if raw.contains(&b'\n') {
            Some(LineFault::LineEnd)
        } else if raw.len() > crate::json::MESSAGE_MAX {
            Some(LineFault::TooLong)
        } else if received.0 < NANOS_FROM {
            Some(LineFault::Time)
        } else {
            None
        };
        if let Some(fault) = fault {
            let fault = bad_line(self.lines + 1, fault);
            return Err(RecordingError { path: self.path.clone(), fault });
        }
        self.lines += 1;
        self.pending += raw.len() + 1;
        self.write_line(received, raw).map_err(|error| self.failed(error))?;
        if self.pending >= MEMBER_MAX { self.flush() } else { Ok(()) }
    }

    fn write_line(&mut self, received: Nanos, raw: &[u8]) -> io::Result<()> {
        write!(self.member, "{} ", received.0)?;
        self.member.write_all(raw)?;
        self.member.write_all(b"\n")
    }

    /// Hands everything to the system, as a whole: from here on it is in the file whatever becomes
    /// of this process.
    ///
    /// # Errors
    /// When it cannot be written. What was written since the flush before is lost then, and taken
    /// out of the file as far as the system allows.
    pub fn flush(&mut self) -> Result<(), RecordingError> {
        if self.pending == 0 { Ok(()) } else { self.end_member() }
    }

    fn end_member(&mut self) -> Result<(), RecordingError> {
        let next = GzEncoder::new(Vec::new(), Compression::default());
        let member = std::mem::replace(&mut self.member, next).finish();
        let written = member.and_then(|member| {
            self.file.write_all(&member)?;
            Ok(member.len())
        });
        match written {
            Ok(bytes) => {
                self.pending = 0;
                self.flushed.messages = self.lines;
                self.flushed.bytes += bytes as u64;
                Ok(())
            }
            Err(error) => {
                // The error is told; a device or a broken disk may refuse this too.
                drop(self.file.set_len(self.flushed.bytes));
                Err(self.failed(error))
            }
        }
    }

    /// Writes what is left. A writer that is dropped instead leaves a file without the messages
    /// since its last flush.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<(), RecordingError> {
        // A recording without messages is an empty member: gzip tools take it for what it is.
        if self.pending > 0 || self.flushed.bytes == 0 { self.end_member() } else { Ok(()) }
    }

    /// What is in the file for good.
    #[must_use]
    pub const fn flushed(&self) -> Flushed {
        self.flushed
    }

    fn failed(&self, error: io::Error) -> RecordingError {
        RecordingError { path: self.path.clone(), fault: RecordingFault::Io(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full disk is an error when the recording is flushed, and when it is finished.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_not_silent() {
        let mut writer = RecordingWriter::replace("/dev/full").unwrap();
        writer.write(Nanos(NANOS_FROM), b"{}").unwrap();
        let error = writer.flush().unwrap_err();
        assert!(matches!(error.fault, RecordingFault::Io(_)), "{error}");
        assert_eq!(writer.flushed(), Flushed::default());
        writer.write(Nanos(NANOS_FROM), b"{}").unwrap();
        let error = writer.finish().unwrap_err();
        assert!(matches!(error.fault, RecordingFault::Io(_)), "{error}");
    }
}
