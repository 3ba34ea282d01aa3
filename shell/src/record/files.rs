//! The files of a recording: how they are named, and the thread that writes them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use reap_core::units::Nanos;
use reap_feed::recording::{Flushed, RecordingError, RecordingFault, RecordingWriter};

use super::tap::Queue;
use crate::clock::{LiveClock, rest};

/// What came is in the file this soon.
const FLUSH_EVERY: u64 = 1_000_000_000;
/// How often the queue is looked at: far more fits into it than comes meanwhile.
const LOOK: Duration = Duration::from_millis(1);

/// The file of a venue: the given one for the only venue, else with the venue's name before its
/// ending.
pub(super) fn path_of(out: &Path, venue: &str, venues: usize) -> PathBuf {
    if venues == 1 {
        return out.to_owned();
    }
    match out.extension() {
        Some(ending) => {
            let mut ending_with_name = std::ffi::OsString::from(venue);
            ending_with_name.push(".");
            ending_with_name.push(ending);
            out.with_extension(ending_with_name)
        }
        None => out.with_extension(venue),
    }
}

/// Makes all files, or none that is new.
pub(super) fn create(
    paths: &[PathBuf],
    force: bool,
) -> Result<Vec<RecordingWriter>, RecordingError> {
    let mut writers = Vec::new();
    for path in paths {
        let made =
            if force { RecordingWriter::replace(path) } else { RecordingWriter::create(path) };
        match made {
            Ok(writer) => writers.push(writer),
            Err(error) => {
                if !force {
                    // Made a moment ago, and empty.
                    paths[..writers.len()].iter().for_each(|path| drop(std::fs::remove_file(path)));
                }
                return Err(error);
            }
        }
    }
    Ok(writers)
}

/// In words why a file cannot be made, and what to do.
pub(super) fn refusal(error: &RecordingError) -> String {
    match &error.fault {
        RecordingFault::Io(fault) if fault.kind() == io::ErrorKind::AlreadyExists => {
            let path = error.path.display();
            format!("{path}: exists already; name another file, or overwrite it with --force")
        }
        _ => format!("{error}; name a file that can be written"),
    }
}

/// What one file came to.
#[derive(Debug, Default)]
pub(super) struct FileFigures {
    /// What is in it.
    pub(super) flushed: Flushed,
    /// Messages that do not fit a recording: with line ends, or too long.
    pub(super) refused: u64,
    /// When the first and the last message came.
    pub(super) span: Option<(Nanos, Nanos)>,
    /// Why the file ends too early.
    pub(super) error: Option<RecordingError>,
}

struct Slot {
    writer: RecordingWriter,
    figures: FileFigures,
}

/// The thread that writes. It ends when the feed has gone and everything of it is written.
pub(super) struct Writing {
    thread: JoinHandle<Vec<FileFigures>>,
    failed: Arc<AtomicBool>,
}

impl Writing {
    /// Starts it.
    pub(super) fn start(
        writers: Vec<RecordingWriter>,
        queue: Queue,
        clock: LiveClock,
    ) -> io::Result<Self> {
        let failed = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&failed);
        let body = move || write(writers, queue, &clock, &told);
        let thread = Builder::new().name("reap-recorder".into()).spawn(body)?;
        Ok(Self { thread, failed })
    }

    /// Whether a file cannot be written any more.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The figures of every file, when all is written.
    pub(super) fn finish(self) -> Vec<FileFigures> {
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn write(
    writers: Vec<RecordingWriter>,
    mut queue: Queue,
    clock: &LiveClock,
    failed: &AtomicBool,
) -> Vec<FileFigures> {
    let slot = |writer| Slot { writer, figures: FileFigures::default() };
    let mut slots: Vec<Slot> = writers.into_iter().map(slot).collect();
    let mut flushed = clock.real();
    loop {
        // Looked at before the queue: what was pushed before the end is taken below.
        let is_last = queue.is_finished();
        while let Some(message) = queue.pop() {
            slots[message.file].write(message.received, &message.raw);
        }
        let now = clock.real();
        if is_last || now.saturating_sub(flushed) >= FLUSH_EVERY {
            flushed = now;
            slots.iter_mut().for_each(Slot::flush);
        }
        if slots.iter().any(|slot| slot.figures.error.is_some()) {
            failed.store(true, Ordering::Relaxed);
        }
        if is_last {
            return slots.into_iter().map(Slot::finish).collect();
        }
        rest(LOOK);
    }
}

impl Slot {
    fn write(&mut self, received: Nanos, raw: &[u8]) {
        let figures = &mut self.figures;
        if figures.error.is_some() {
            return;
        }
        match self.writer.write(received, raw) {
            Ok(()) => {
                let first = figures.span.map_or(received, |(first, _)| first);
                figures.span = Some((first, received));
            }
            Err(RecordingError { fault: RecordingFault::Line { .. }, .. }) => figures.refused += 1,
            Err(error) => figures.error = Some(error),
        }
    }

    fn flush(&mut self) {
        if self.figures.error.is_none() {
            self.figures.error = self.writer.flush().err();
        }
    }

    fn finish(mut self) -> FileFigures {
        self.flush();
        let mut figures = self.figures;
        figures.flushed = self.writer.flushed();
        if figures.error.is_none() {
            figures.error = self.writer.finish().err();
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_venues_name_stands_before_the_ending() {
        let cases = [
            ("out.gz", 1, "out.gz"),
            ("out.gz", 2, "out.binance.gz"),
            ("a.b/out.json.gz", 2, "a.b/out.json.binance.gz"),
            ("a.b/out", 2, "a.b/out.binance"),
        ];
        for (out, venues, expected) in cases {
            let path = path_of(Path::new(out), "binance", venues);
            assert_eq!(path, Path::new(expected), "{out}");
        }
    }
}
