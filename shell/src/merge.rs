//! Several recordings as one stream, ordered by receive time, then file, then line.

use std::path::{Path, PathBuf};

use reap_core::units::Nanos;
use reap_feed::recording::{Item, Recording, RecordingError};

/// What the merged stream gives next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merged {
    /// A message of this file; [`Merge::raw`] holds its bytes.
    Message(Nanos, usize),
    /// A connection of this file was made.
    Connected(Nanos, usize),
}

/// One file with its next item.
struct Reader {
    recording: Recording,
    next: Option<Merged>,
    raw: Vec<u8>,
}

/// Recordings merged by receive time.
pub struct Merge {
    readers: Vec<Reader>,
    current: Vec<u8>,
}

impl Merge {
    /// Opens every file.
    ///
    /// # Errors
    /// The first file that cannot be read as a recording.
    pub fn open(paths: &[PathBuf]) -> Result<Self, RecordingError> {
        let mut readers = Vec::new();
        for (file, path) in paths.iter().enumerate() {
            let recording = Recording::open(path)?;
            let mut reader = Reader { recording, next: None, raw: Vec::new() };
            reader.advance(file)?;
            readers.push(reader);
        }
        Ok(Self { readers, current: Vec::new() })
    }

    /// The next item of all files.
    ///
    /// # Errors
    /// When a file turns out to be broken.
    pub fn advance(&mut self) -> Result<Option<Merged>, RecordingError> {
        let at = |merged: Merged| match merged {
            Merged::Message(at, _) | Merged::Connected(at, _) => at,
        };
        // Files are few: a look at each is cheaper than a heap, and ties go to the first file.
        let due = self
            .readers
            .iter()
            .enumerate()
            .filter_map(|(file, reader)| Some((at(reader.next?), file)));
        let Some((_, file)) = due.min() else { return Ok(None) };
        let reader = &mut self.readers[file];
        let merged = reader.next.take();
        std::mem::swap(&mut self.current, &mut reader.raw);
        reader.advance(file)?;
        Ok(merged)
    }

    /// Bytes of the last message.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.current
    }

    /// The files' paths, in their order.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.readers.iter().map(|reader| reader.recording.path())
    }
}

impl Reader {
    fn advance(&mut self, file: usize) -> Result<(), RecordingError> {
        self.next = loop {
            match self.recording.next()? {
                None => break None,
                Some(Item::Received { received, raw }) => {
                    self.raw.clear();
                    self.raw.extend_from_slice(raw);
                    break Some(Merged::Message(received, file));
                }
                Some(Item::Connected { at, .. }) => break Some(Merged::Connected(at, file)),
                Some(Item::Sent { .. }) => {}
            }
        };
        Ok(())
    }
}
