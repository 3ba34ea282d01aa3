//! The one place that prints. A reader who has gone away is not an error: what is left is dropped,
//! and a long command may ask and stop.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

/// Standard output.
#[derive(Debug)]
pub struct Output {
    out: BufWriter<Stdout>,
    /// Nobody reads any more.
    closed: bool,
    /// The first failure that is not a closed pipe.
    error: Option<io::Error>,
}

impl Output {
    /// Standard output of this process.
    #[must_use]
    pub fn stdout() -> Self {
        Self { out: BufWriter::new(io::stdout()), closed: false, error: None }
    }

    /// Writes a line.
    pub fn line(&mut self, line: impl fmt::Display) {
        if !self.closed {
            let done = writeln!(self.out, "{line}");
            self.note(done);
        }
    }

    /// Shows what was written so far.
    pub fn flush(&mut self) {
        if !self.closed {
            let done = self.out.flush();
            self.note(done);
        }
    }

    /// Whether the reader has gone away.
    #[must_use]
    pub const fn closed(&self) -> bool {
        self.closed
    }

    /// Writes everything out.
    ///
    /// # Errors
    /// What the system said, unless it was only that nobody reads any more.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush();
        match self.error.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn note(&mut self, done: io::Result<()>) {
        let Err(error) = done else { return };
        self.closed = true;
        if error.kind() != ErrorKind::BrokenPipe {
            self.error = Some(error);
        }
    }
}

/// Tells a person what went wrong, on standard error.
pub fn complain(message: impl fmt::Display) {
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(io::stderr(), "{message}");
}
