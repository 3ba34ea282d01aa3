//! A segment's header, and how records are written into the segment it heads.

use crc32fast::Hasher;

use super::record::{NoRoom, Record};
use super::wire::{Put, Take, Wire};
use super::{CRC_LEN, HEADER_LEN, RECORD_HEAD, VERSION};
use crate::units::Nanos;

const MAGIC: [u8; 8] = *b"REAPORD\x1a";
const CRC_AT: usize = HEADER_LEN - CRC_LEN;

/// Which part of which log a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Run of the process.
    pub epoch: u16,
    /// Number of the segment within the run, from 1.
    pub segment: u32,
    /// Sequence of its first record. Sequences begin at 1 and go on from segment to segment.
    pub first_sequence: u64,
    /// Whose log it is: instance and accounts.
    pub fingerprint: u64,
    /// Bytes that were reserved for the segment, this header included.
    pub size: u64,
    /// When it was begun.
    pub created: Nanos,
}

/// Why bytes are not a segment that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Nothing but zeros: reserved in advance and never begun. No record is lost with it.
    #[error("the segment was reserved and never begun")]
    Unused,
    /// Too few bytes.
    #[error("{len} bytes are too few for a segment's header of {HEADER_LEN}: the file was cut")]
    Short {
        /// How many there are.
        len: usize,
    },
    /// Something else than a log.
    #[error("this is no order log: it does not begin with its mark")]
    NotALog,
    /// The header's checksum does not fit it.
    #[error("the segment's header is damaged: set the file aside and reconcile with the venue")]
    Corrupt,
    /// Written by a newer program.
    #[error(
        "the segment has version {found}, this program reads up to {VERSION}: use the newer program that wrote it"
    )]
    NewerVersion {
        /// Its version.
        found: u16,
    },
}

impl SegmentHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut out = Put::new(&mut bytes);
        out.all(&MAGIC);
        VERSION.put(&mut out);
        self.epoch.put(&mut out);
        self.segment.put(&mut out);
        self.first_sequence.put(&mut out);
        self.fingerprint.put(&mut out);
        self.size.put(&mut out);
        self.created.put(&mut out);
        let crc = crc32fast::hash(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header from the first bytes of a segment.
    ///
    /// # Errors
    /// What the bytes are instead.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let Some((head, _)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(HeaderError::Short { len: bytes.len() });
        };
        if head.iter().all(|&byte| byte == 0) {
            return Err(HeaderError::Unused);
        }
        if head[..MAGIC.len()] != MAGIC {
            return Err(HeaderError::NotALog);
        }
        if crc32fast::hash(&head[..CRC_AT]).to_le_bytes() != head[CRC_AT..] {
            return Err(HeaderError::Corrupt);
        }
        Self::fields(&mut Take::new(&head[MAGIC.len()..])).ok_or(HeaderError::Corrupt)?
    }

    fn fields(from: &mut Take<'_>) -> Option<Result<Self, HeaderError>> {
        let found = u16::take(from)?;
        if found > VERSION {
            return Some(Err(HeaderError::NewerVersion { found }));
        }
        if found == 0 {
            return None;
        }
        Some(Ok(Self {
            epoch: Wire::take(from)?,
            segment: Wire::take(from)?,
            first_sequence: Wire::take(from)?,
            fingerprint: Wire::take(from)?,
            size: Wire::take(from)?,
            created: Wire::take(from)?,
        }))
    }

    /// What writes this segment's records.
    #[must_use]
    pub fn encoder(&self) -> Encoder {
        let bytes = self.encode();
        let crc = bytes.last_chunk::<CRC_LEN>().expect("a header ends with its checksum");
        Encoder { epoch: self.epoch, seed: u32::from_le_bytes(*crc) }
    }
}

/// Writes the records of one segment. See the module above for their layout.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    pub(super) epoch: u16,
    /// Checksum of the segment's header: where the records' checksums begin.
    pub(super) seed: u32,
}

impl Encoder {
    /// Writes a record to the beginning of `out` and returns its length.
    ///
    /// # Errors
    /// When `out` is too short; [`super::RECORD_MAX`] bytes always do.
    pub fn encode(
        &self,
        sequence: u64,
        at: Nanos,
        record: &Record,
        out: &mut [u8],
    ) -> Result<usize, NoRoom> {
        let (given, needed) = (out.len(), record.encoded_len());
        let bytes = out.get_mut(..needed).ok_or(NoRoom { needed, given })?;
        bytes.fill(0);
        let mut put = Put::new(bytes);
        (needed as u16).put(&mut put);
        record.code().put(&mut put);
        (VERSION as u8).put(&mut put);
        self.epoch.put(&mut put);
        0u16.put(&mut put);
        sequence.put(&mut put);
        at.put(&mut put);
        debug_assert_eq!(put.at(), RECORD_HEAD);
        record.put_payload(&mut put);
        assert!(put.at() + CRC_LEN <= needed, "a payload keeps the length of its kind");
        let (body, crc) = bytes.split_at_mut(needed - CRC_LEN);
        crc.copy_from_slice(&self.checksum(body).to_le_bytes());
        Ok(needed)
    }

    /// Checksum of a record's bytes before its checksum.
    pub(super) fn checksum(&self, body: &[u8]) -> u32 {
        let mut hasher = Hasher::new_with_initial(self.seed);
        hasher.update(body);
        hasher.finalize()
    }
}

const _: () = assert!(VERSION <= u8::MAX as u16);
