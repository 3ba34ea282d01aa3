//! One segment file that is being written.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use reap_core::log::{Encoder, HEADER_LEN, SegmentHeader};
use reap_core::units::Nanos;
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::files::Files;
use super::{LogError, write_at};

/// See the module.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: File,
    path: PathBuf,
    number: u32,
    size: u64,
    /// Where the next write goes.
    at: u64,
    encoder: Encoder,
}

impl Segment {
    /// A new file of this many zeros, whose space and name are on the disk.
    pub(super) fn reserve(files: &Files, number: u32, size: u64) -> Result<Self, LogError> {
        let path = files.segment_path(number);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|cause| LogError::system("made", &path, size, cause))?;
        let header = SegmentHeader {
            epoch: files.epoch(),
            segment: number,
            first_sequence: 0,
            fingerprint: 0,
            size,
            created: Nanos(0),
        };
        let segment = Self { file, path, number, size, at: 0, encoder: header.encoder() };
        let reserved = segment.fill_with_zeros().and_then(|()| segment.sync_all());
        match reserved.and_then(|()| files.sync()) {
            Ok(()) => Ok(segment),
            Err(error) => {
                segment.discard();
                Err(error)
            }
        }
    }

    /// Reserves the space; where the file system cannot, writes the zeros, which is the same to
    /// everyone but the clock.
    fn fill_with_zeros(&self) -> Result<(), LogError> {
        match fallocate(&self.file, FallocateFlags::empty(), 0, self.size) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write_zeros(),
            Err(cause) => Err(LogError::system("reserved", &self.path, self.size, cause)),
        }
    }

    pub(super) fn write_zeros(&self) -> Result<(), LogError> {
        let zeros = vec![0; 1 << 16];
        let mut at = 0;
        while at < self.size {
            let len = (self.size - at).min(zeros.len() as u64);
            write_at(&self.file, &zeros[..len as usize], at)
                .map_err(|cause| LogError::system("reserved", &self.path, self.size, cause))?;
            at += len;
        }
        Ok(())
    }

    /// Begins the segment: the bytes of its header, which are to be written before its records.
    pub(super) fn head(
        &mut self,
        files: &Files,
        first_sequence: u64,
        now: Nanos,
        fingerprint: u64,
    ) -> [u8; HEADER_LEN] {
        let header = SegmentHeader {
            epoch: files.epoch(),
            segment: self.number,
            first_sequence,
            fingerprint,
            size: self.size,
            created: now,
        };
        self.encoder = header.encoder();
        header.encode()
    }

    pub(super) const fn number(&self) -> u32 {
        self.number
    }

    pub(super) const fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    pub(super) const fn has_room(&self, len: usize) -> bool {
        self.at + len as u64 <= self.size
    }

    /// Writes behind what was written before: one call of the system.
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        write_at(&self.file, bytes, self.at)
            .map_err(|cause| LogError::system("written", &self.path, bytes.len() as u64, cause))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    pub(super) fn sync_data(&self) -> Result<(), LogError> {
        self.file.sync_data().map_err(|cause| LogError::system("synced", &self.path, 0, cause))
    }

    pub(super) fn sync_all(&self) -> Result<(), LogError> {
        self.file.sync_all().map_err(|cause| LogError::system("synced", &self.path, 0, cause))
    }

    /// Removes a file that could not be used. When that fails too, it is found and judged as a
    /// segment that was never begun.
    pub(super) fn discard(&self) {
        let _ = fs::remove_file(&self.path);
    }
}
