//! Reads a segment's records, and says exactly how they end. Any bytes will do: nothing panics, and
//! no record is given that was not written as it stands.

use super::record::{Record, payload_len};
use super::segment::{Encoder, HeaderError, SegmentHeader};
use super::wire::Take;
use super::{ALIGN, CRC_LEN, HEADER_LEN, RECORD_HEAD, RECORD_MAX, RECORD_MIN, VERSION, whole};
use crate::units::Nanos;

/// A record and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number in the log.
    pub sequence: u64,
    /// The time at which it was written, and decided.
    pub at: Nanos,
    /// What it says.
    pub record: Record,
}

/// How a segment's records end. `at` counts bytes from the segment's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Zeros up to the reserved size, or a full segment.
    Clean {
        /// Where the next record would begin.
        at: usize,
    },
    /// The last record was not written to its end, or the file is shorter than what was reserved:
    /// what stands before is good, and nothing good stands behind.
    Torn {
        /// Where the last good record ends.
        at: usize,
    },
    /// Bytes that were never written like this.
    Corrupt {
        /// Where the last good record ends.
        at: usize,
        /// Whether good records follow: then orders are missing in the middle, and the log may not
        /// be trusted.
        followed_by_good: bool,
    },
    /// A whole record of a kind or version that a newer program wrote.
    NewerVersion {
        /// Where it begins.
        at: usize,
        /// Number of its kind.
        kind: u8,
        /// Its version.
        version: u8,
    },
    /// A whole record that says it is of another run.
    WrongEpoch {
        /// Where it begins.
        at: usize,
        /// What it says.
        found: u16,
    },
    /// A whole record that does not follow the one before it.
    SequenceGap {
        /// Where it begins.
        at: usize,
        /// The number that was due.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// A whole record whose payload is out of bounds: no program of ours wrote it.
    Malformed {
        /// Where it begins.
        at: usize,
        /// Number of its kind.
        kind: u8,
    },
}

impl End {
    /// Where the good records end.
    #[must_use]
    pub const fn at(self) -> usize {
        match self {
            Self::Clean { at }
            | Self::Torn { at }
            | Self::Corrupt { at, .. }
            | Self::NewerVersion { at, .. }
            | Self::WrongEpoch { at, .. }
            | Self::SequenceGap { at, .. }
            | Self::Malformed { at, .. } => at,
        }
    }
}

impl core::fmt::Display for End {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::Clean { at } => write!(f, "ends clean at byte {at}"),
            Self::Torn { at } => write!(f, "was cut while byte {at} was written"),
            Self::Corrupt { at, followed_by_good: false } => {
                write!(f, "is damaged from byte {at} on, nothing good follows")
            }
            Self::Corrupt { at, followed_by_good: true } => {
                write!(f, "is damaged at byte {at} and goes on behind it: orders are missing")
            }
            Self::NewerVersion { at, kind, version } => write!(
                f,
                "has a record of kind {kind} version {version} at byte {at}; this program reads \
                 up to version {VERSION}: use the newer program that wrote it"
            ),
            Self::WrongEpoch { at, found } => {
                write!(f, "has a record of epoch {found} at byte {at}, which is not its own")
            }
            Self::SequenceGap { at, expected, found } => {
                write!(f, "jumps from sequence {expected} to {found} at byte {at}")
            }
            Self::Malformed { at, kind } => {
                write!(f, "has a record of kind {kind} out of bounds at byte {at}")
            }
        }
    }
}

/// A record whose checksum holds.
struct Whole<'a> {
    kind: u8,
    version: u8,
    epoch: u16,
    sequence: u64,
    at: Nanos,
    payload: &'a [u8],
    len: usize,
}

/// An iterator over one segment's records. When it has given the last one, [`Self::end`] says how
/// they end.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    header: SegmentHeader,
    encoder: Encoder,
    at: usize,
    /// The number that is due.
    sequence: u64,
    end: Option<End>,
}

impl<'a> Reader<'a> {
    /// A reader over a segment's bytes: the whole file.
    ///
    /// # Errors
    /// When they do not begin with a segment's header that can be read.
    pub fn new(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        let header = SegmentHeader::decode(bytes)?;
        Ok(Self {
            bytes,
            header,
            encoder: header.encoder(),
            at: HEADER_LEN,
            sequence: header.first_sequence,
            end: None,
        })
    }

    /// The segment's header.
    #[must_use]
    pub const fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The number of the next record: the first one of the next segment, once this one has ended.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.sequence
    }

    /// How the records end; reads what was not read yet.
    pub fn end(&mut self) -> End {
        loop {
            if let Some(end) = self.end {
                return end;
            }
            self.next();
        }
    }

    /// Goes on from a place where a record of this number begins.
    #[cfg(test)]
    pub(super) fn at_place(mut self, at: usize, sequence: u64) -> Self {
        (self.at, self.sequence) = (at, sequence);
        self
    }

    #[cfg(test)]
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    fn step(&mut self) -> Result<Entry, End> {
        let at = self.at;
        let Some(whole) = self.record_at(at) else { return Err(self.ending()) };
        if whole.epoch != self.header.epoch {
            return Err(End::WrongEpoch { at, found: whole.epoch });
        }
        if whole.sequence != self.sequence {
            return Err(End::SequenceGap { at, expected: self.sequence, found: whole.sequence });
        }
        let (kind, version) = (whole.kind, whole.version);
        if payload_len(kind, version).is_none() {
            return Err(End::NewerVersion { at, kind, version });
        }
        let record = Record::take_payload(kind, &mut Take::new(whole.payload))
            .ok_or(End::Malformed { at, kind })?;
        // 2^64 records are never reached by writing; a file can claim any number.
        self.sequence = self.sequence.checked_add(1).ok_or(End::Malformed { at, kind })?;
        self.at += whole.len;
        Ok(Entry { sequence: whole.sequence, at: whole.at, record })
    }

    /// The record at this place, when its length and its checksum hold.
    fn record_at(&self, at: usize) -> Option<Whole<'a>> {
        let rest = self.bytes.get(at..)?;
        let head = rest.first_chunk::<RECORD_HEAD>()?;
        let [l0, l1, kind, version, e0, e1, _, _, numbers @ ..] = *head;
        let len = usize::from(u16::from_le_bytes([l0, l1]));
        if len < RECORD_MIN || !len.is_multiple_of(ALIGN) {
            return None;
        }
        if payload_len(kind, version).is_some_and(|payload| len != whole(payload)) {
            return None;
        }
        let (body, crc) = rest.get(..len)?.split_last_chunk::<CRC_LEN>()?;
        if self.encoder.checksum(body).to_le_bytes() != *crc {
            return None;
        }
        let (sequence, time) = numbers.split_first_chunk::<8>()?;
        Some(Whole {
            kind,
            version,
            epoch: u16::from_le_bytes([e0, e1]),
            sequence: u64::from_le_bytes(*sequence),
            at: Nanos(u64::from_le_bytes(*time.first_chunk()?)),
            payload: &body[RECORD_HEAD..],
            len,
        })
    }

    /// What stands where no record does.
    fn ending(&self) -> End {
        let at = self.at;
        let rest = &self.bytes[at..];
        let cut = (self.bytes.len() as u64) < self.header.size;
        let Some(last) = rest.iter().rposition(|&byte| byte != 0) else {
            return if cut { End::Torn { at } } else { End::Clean { at } };
        };
        let good = |place| {
            self.record_at(place).is_some_and(|whole| {
                whole.epoch == self.header.epoch && whole.sequence >= self.sequence
            })
        };
        // Records stand at multiples of eight, so the next good one is found from any of them.
        let followed_by_good = (at + ALIGN..self.bytes.len())
            .step_by(ALIGN)
            .take_while(|&to| to <= at + last)
            .any(good);
        // A write that stopped leaves zeros, or the end of the file, where the rest belongs: at the
        // record's end, or, when the disk wrote its blocks in another order, at its beginning.
        let claimed = rest.first_chunk().map_or(0, |len| usize::from(u16::from_le_bytes(*len)));
        let stopped = match claimed {
            0 => last < RECORD_MAX,
            _ => {
                last + CRC_LEN < claimed
                    || (cut && claimed > rest.len())
                    || (last < claimed && self.is_checksum_cut(rest, claimed))
            }
        };
        if !followed_by_good && stopped && claimed <= RECORD_MAX {
            return End::Torn { at };
        }
        End::Corrupt { at, followed_by_good }
    }

    /// Whether a record is whole but for its checksum, of which only the first bytes were written.
    fn is_checksum_cut(&self, rest: &[u8], claimed: usize) -> bool {
        let record = rest.get(..claimed).and_then(|record| record.split_last_chunk::<CRC_LEN>());
        let Some((body, found)) = record else { return false };
        let due = self.encoder.checksum(body).to_le_bytes();
        (0..CRC_LEN)
            .any(|len| found[..len] == due[..len] && found[len..].iter().all(|&byte| byte == 0))
    }
}

impl Iterator for Reader<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        if self.end.is_some() {
            return None;
        }
        match self.step() {
            Ok(entry) => Some(entry),
            Err(end) => {
                self.end = Some(end);
                None
            }
        }
    }
}
