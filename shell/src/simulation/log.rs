//! The order log of a trial: the true bytes in memory, on a disk that may lose what was not synced.

use reap_core::executor::ExecutorLimits;
use reap_core::instrument::{Instrument, InstrumentId};
use reap_core::log::{End, HEADER_LEN, RECORD_MAX, Reader, Record, SegmentHeader, Start};
use reap_core::recovery::{Recovery, RecoveryError};
use reap_core::units::Nanos;

use crate::sim::Random;

/// Bytes of a segment: so few that a trial has several.
const SEGMENT: usize = 1 << 15;
/// What a disk writes at once.
const BLOCK: usize = 64;

/// One segment: zeros behind what was written.
#[derive(Debug)]
struct Segment {
    header: SegmentHeader,
    bytes: Vec<u8>,
    written: usize,
    /// What survives a loss of power.
    synced: usize,
}

/// Why a log was not recovered from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// A segment does not end as a writer or a crash leaves it.
    Damaged(End),
    /// Its records do not fit each other.
    Refused(RecoveryError),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) epoch: u16,
    sequence: u64,
    segments: Vec<Segment>,
    staged: Vec<u8>,
    /// Something that must not be lost is among it.
    syncs: bool,
    /// A write has failed: nothing is written any more.
    pub(super) poisoned: bool,
}

impl Log {
    pub(super) const fn new() -> Self {
        Self {
            epoch: 0,
            sequence: 1,
            segments: Vec::new(),
            staged: Vec::new(),
            syncs: false,
            poisoned: false,
        }
    }

    /// Begins a run: its first records are ready to be written.
    pub(super) fn begin(
        &mut self,
        now: Nanos,
        limits: ExecutorLimits,
        instruments: &[Instrument],
    ) -> u16 {
        self.epoch += 1;
        self.sequence = 1;
        self.staged.clear();
        self.poisoned = false;
        self.rotate(now);
        let (positions, orders) = (limits.positions as u32, limits.orders as u32);
        self.stage(now, &Record::Start(Start { build: [0; 3], config: 0, positions, orders }));
        for (at, one) in instruments.iter().enumerate() {
            let id = InstrumentId(at as u16);
            self.stage(now, &Record::Instrument { id, spec: *one.spec() });
        }
        self.epoch
    }

    fn rotate(&mut self, now: Nanos) {
        let header = SegmentHeader {
            epoch: self.epoch,
            segment: self.segments.len() as u32 + 1,
            first_sequence: self.sequence,
            fingerprint: 0,
            size: SEGMENT as u64,
            created: now,
        };
        let mut bytes = vec![0; SEGMENT];
        bytes[..HEADER_LEN].copy_from_slice(&header.encode());
        self.segments.push(Segment { header, bytes, written: HEADER_LEN, synced: HEADER_LEN });
    }

    pub(super) fn stage(&mut self, now: Nanos, record: &Record) {
        if self.poisoned {
            return;
        }
        let last = self.segments.last().expect("a run has begun");
        if last.written + self.staged.len() + RECORD_MAX > SEGMENT {
            self.commit();
            self.sync();
            self.rotate(now);
        }
        let at = self.staged.len();
        self.staged.resize(at + RECORD_MAX, 0);
        let encoder = self.segments.last().expect("a run has begun").header.encoder();
        let len = encoder.encode(self.sequence, now, record, &mut self.staged[at..]);
        self.staged.truncate(at + len.expect("room for any record"));
        self.sequence += 1;
        self.syncs |=
            matches!(record, Record::Order(_) | Record::Position { .. } | Record::Stopped { .. });
    }

    /// Writes what is ready.
    pub(super) fn commit(&mut self) {
        self.write(self.staged.len());
        if std::mem::take(&mut self.syncs) {
            self.sync();
        }
    }

    /// The process dies while it writes: so much of what is ready is written.
    pub(super) fn tear(&mut self, random: &mut Random) {
        let len = random.below(self.staged.len() as u64 + 1) as usize;
        self.write(len);
    }

    fn write(&mut self, len: usize) {
        let last = self.segments.last_mut().expect("a run has begun");
        let staged = &self.staged[..len];
        last.bytes[last.written..last.written + len].copy_from_slice(staged);
        last.written += len;
        self.staged.clear();
    }

    pub(super) fn sync(&mut self) {
        let last = self.segments.last_mut().expect("a run has begun");
        last.synced = last.written;
    }

    /// The power fails: what was not synced is there up to some byte, or but for a block. Whether
    /// anything was lost.
    pub(super) fn lose_power(&mut self, random: &mut Random) -> bool {
        let last = self.segments.last_mut().expect("a run has begun");
        let unsynced = last.written - last.synced;
        if unsynced == 0 {
            return false;
        }
        let from = last.synced + random.below(unsynced as u64) as usize;
        let blocks = random.below(2) == 0;
        let to = if blocks { last.written.min(from + BLOCK) } else { last.written };
        last.bytes[from..to].fill(0);
        true
    }

    /// All that is there, run by run.
    pub(super) fn read(&self, recovery: &mut Recovery<'_>) -> Result<(), Unread> {
        for segment in &self.segments {
            let mut reader = Reader::new(&segment.bytes).expect("headers are synced");
            let epoch = reader.header().epoch;
            for entry in reader.by_ref() {
                recovery.take(epoch, &entry).map_err(Unread::Refused)?;
            }
            let end = reader.end();
            if !matches!(end, End::Clean { .. } | End::Torn { .. }) {
                return Err(Unread::Damaged(end));
            }
        }
        Ok(())
    }
}
