//! Lines of a stream, one at a time in one buffer, none longer than its bound.

use std::io::{self, BufRead};

use crate::json::MESSAGE_MAX;

/// Longest line: a message with its time.
pub(crate) const LINE_MAX: usize = MESSAGE_MAX + 64;

/// Why there is no next line.
#[derive(Debug)]
pub(crate) enum LineError {
    Io(io::Error),
    /// Longer than [`LINE_MAX`].
    TooLong,
}

/// A reader of lines.
pub(crate) struct Lines {
    input: Box<dyn BufRead + Send>,
    /// Number of the line in `buffer`, from 1.
    number: u64,
    /// The line without its end. Grows to the longest line and is used again.
    buffer: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self { input, number: 0, buffer: Vec::new() }
    }

    /// Number of the line that was read last, from 1; 0 before the first.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The line that was read last.
    pub(crate) fn line(&self) -> &[u8] {
        &self.buffer
    }

    /// Reads the next line. False at the end.
    pub(crate) fn read(&mut self) -> Result<bool, LineError> {
        self.buffer.clear();
        self.number += 1;
        loop {
            let available = match self.input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(LineError::Io(error)),
            };
            if available.is_empty() {
                return Ok(!self.buffer.is_empty());
            }
            let end = memchr::memchr(b'\n', available);
            let part = end.unwrap_or(available.len());
            if self.buffer.len() + part > LINE_MAX {
                return Err(LineError::TooLong);
            }
            self.buffer.extend_from_slice(&available[..part]);
            self.input.consume(part + usize::from(end.is_some()));
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}
