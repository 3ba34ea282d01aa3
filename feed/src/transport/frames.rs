//! Follows frame headers under the WebSocket library, which shows whole messages only.
//!
//! The library bounds bytes, not pieces: a peer that sends empty continuation frames for ever stays
//! below every size limit. The follower sees each decrypted byte before the library does, counts
//! frames and fragments, and knows since when a message has been under way.

use reap_core::units::Nanos;

use super::Counters;

/// Two bytes, a length of up to eight, a mask of four.
const HEADER_MAX: usize = 14;

/// What the library cannot see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// More fragments in one message than allowed.
    Fragments,
}

/// The follower of one connection's incoming bytes.
#[derive(Clone, Debug)]
pub struct FrameFollower {
    fragments_max: u32,
    header: [u8; HEADER_MAX],
    /// Header bytes seen; nought between frames and within a payload.
    have: usize,
    /// Payload bytes still to come.
    payload: u64,
    /// Within a payload, or at its end.
    in_frame: bool,
    /// Data frames of the open message; nought when none is open.
    fragments: u32,
    /// When the first byte of what is not complete was seen.
    since: Option<Nanos>,
}

impl FrameFollower {
    /// At the start of a stream.
    #[must_use]
    pub fn new(fragments_max: u32) -> Self {
        let header = [0; HEADER_MAX];
        Self {
            fragments_max,
            header,
            have: 0,
            payload: 0,
            in_frame: false,
            fragments: 0,
            since: None,
        }
    }

    /// Since when a message or frame has been incomplete.
    #[must_use]
    pub fn since(&self) -> Option<Nanos> {
        self.since
    }

    /// Follows the next bytes, however they are cut.
    ///
    /// # Errors
    /// The fault, and how many of the bytes came before it: those may be used.
    pub fn follow(
        &mut self,
        bytes: &[u8],
        now: Nanos,
        counters: &mut Counters,
    ) -> Result<(), (usize, FrameFault)> {
        let mut at = 0;
        while at < bytes.len() {
            if self.in_frame {
                let step = self.payload.min((bytes.len() - at) as u64);
                self.payload -= step;
                at += step as usize;
            } else {
                self.since.get_or_insert(now);
                self.header[self.have] = bytes[at];
                self.have += 1;
                at += 1;
                if self.have < self.header_len() {
                    continue;
                }
                self.on_header(counters).map_err(|fault| (at - 1, fault))?;
            }
            if self.payload == 0 {
                self.on_end();
            }
        }
        Ok(())
    }

    /// Bytes of the header, as far as the bytes seen tell.
    fn header_len(&self) -> usize {
        if self.have < 2 {
            return 2;
        }
        let length = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + if self.header[1] & 0x80 == 0 { 0 } else { 4 }
    }

    fn on_header(&mut self, counters: &mut Counters) -> Result<(), FrameFault> {
        let [first, second, rest @ ..] = self.header;
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        self.payload = match second & 0x7f {
            126 => number(&rest[..2]),
            127 => number(&rest[..8]),
            short => u64::from(short),
        };
        self.in_frame = true;
        self.have = 0;
        counters.frames += 1;
        let (last, opcode) = (first & 0x80 != 0, first & 0x0f);
        if opcode >= 8 {
            return Ok(());
        }
        if !last || opcode == 0 {
            counters.fragments += 1;
        }
        self.fragments = if opcode == 0 { self.fragments.saturating_add(1) } else { 1 };
        if self.fragments > self.fragments_max { Err(FrameFault::Fragments) } else { Ok(()) }
    }

    fn on_end(&mut self) {
        self.in_frame = false;
        let (last, control) = (self.header[0] & 0x80 != 0, self.header[0] & 0x08 != 0);
        if last && !control {
            self.fragments = 0;
        }
        if self.fragments == 0 {
            self.since = None;
        }
    }
}
