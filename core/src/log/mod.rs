//! The format of the two logs (SPEC §8, §9). The *order log* holds what the executor was told, what
//! it saw and what it sent, so that a process killed at any byte knows its orders again; the *input
//! log* holds what the engine consumed. From them each can be decided once more from its own record.
//!
//! A log is a row of *segments*, files of a fixed size that are zero until they are written. All
//! numbers are little-endian; records begin at multiples of eight.
//!
//! ```text
//! segment   header, 64 bytes │ record │ record │ … │ zeros
//! header    magic 8 │ version 2 │ epoch 2 │ segment 4 │ first sequence 8 │ fingerprint 8 │ size 8
//!           │ created 8 │ zeros 12 │ crc32 4
//! record    length 2 │ kind 1 │ version 1 │ epoch 2 │ zeros 2 │ sequence 8 │ time 8 │ payload
//!           │ zeros up to a multiple of eight │ crc32 4
//! ```
//!
//! A record's checksum covers all of it, its length and the padding included, and begins from the
//! checksum of its segment's header. So it is bound to epoch, segment, account and sequence: a
//! record left from an earlier life of the same disk block never passes for a new one. Each kind
//! has one length in one version; what an [`Option`] or a short list leaves out is zeros.
//!
//! **In the order log**, each input of the executor stands first ([`Record::Intent`], [`Record::Answer`],
//! [`Record::NotSent`], [`Record::Timer`], [`Record::Position`], [`Record::Amounts`],
//! [`Record::Read`], [`Record::Entry`], [`Record::Stopped`]), then what it read of the latest quotes while it worked on that ([`Record::Saw`], gathered by [`Sights`]), then
//! what it gave ([`Record::Order`], [`Record::Report`]). All of it is written before an order's
//! bytes go out.
//!
//! **In the input log** stand [`Record::Inputs`], then each input of the engine in the order and with
//! the time in which it was consumed: [`Record::Tick`], [`Record::Report`], [`Record::Command`],
//! [`Record::Source`], [`Record::Timer`], [`Record::Register`]. [`Record::Lost`] counts inputs that are
//! missing; an end in good order writes [`Record::Hash`] and [`Record::Stop`].
//!
//! **Versions.** The first 64 bytes of a segment keep their layout for ever. A segment or a record of
//! a newer version, or of a kind that is not known here, is refused by name and never skipped.

mod domain;
mod inputs;
mod reader;
mod record;
#[cfg(test)]
mod samples;
mod segment;
mod sights;
#[cfg(test)]
mod tests;
mod wire;

pub use inputs::Inputs;
pub use reader::{End, Entry, Reader};
pub use record::{Named, NoRoom, NotSentWhy, Record, Saw, Sight, Start, StopWhy, Text};
pub use segment::{Encoder, HeaderError, SegmentHeader};
pub use sights::Sights;

/// Version of segments and of every record kind that this program writes, and the newest it reads.
pub const VERSION: u16 = 1;
/// Bytes of a segment's header.
pub const HEADER_LEN: usize = 64;
/// Bytes of a record before its payload.
const RECORD_HEAD: usize = 24;
/// Bytes of a checksum.
const CRC_LEN: usize = 4;
/// Records begin and end at multiples of this.
const ALIGN: usize = 8;
/// The shortest record.
const RECORD_MIN: usize = whole(0);
/// The longest record of this version.
pub const RECORD_MAX: usize = 448;

/// Bytes of a record with a payload of this length.
const fn whole(payload: usize) -> usize {
    (RECORD_HEAD + payload + CRC_LEN).next_multiple_of(ALIGN)
}

const _: () = assert!(HEADER_LEN.is_multiple_of(ALIGN) && RECORD_MAX.is_multiple_of(ALIGN));
