//! What a log can say: one closed enum.

use core::fmt;

use arrayvec::ArrayVec;

use super::inputs::Inputs;
use super::wire::{Put, Take, Wire, codes, fields};
use super::{RECORD_MAX, VERSION, whole};
use crate::budget::VenueBudget;
use crate::entry::EntryIntent;
use crate::event::{Command, Report, SourceChange};
use crate::instrument::{AccountId, InstrumentId, InstrumentSpec, SourceId, VenueId};
use crate::intent::Intent;
use crate::limits::LEGS_MAX;
use crate::order::{ClientOrderId, HoldingRead, Order, OrderEvent};
use crate::policy::{ExitSettings, PolicyId};
use crate::position::{PositionId, PositionSpec};
use crate::pricing::Top;
use crate::tick::Tick;
use crate::units::{Decimal, Nanos};

/// One record. See the module above for the order in which they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A run begins.
    Start(Start),
    /// A run ends of its own will: what follows in a later epoch need not ask why.
    Stop(StopWhy),
    /// What an index means to people and venues. Indices are those of a configuration, which may
    /// have changed when the log is read: names have not.
    Name {
        /// What is named.
        of: Named,
        /// Its name: a symbol, the configuration's name.
        text: Text,
    },
    /// An instrument as the executor knows it.
    Instrument {
        /// Its index.
        id: InstrumentId,
        /// Everything said of it.
        spec: InstrumentSpec,
    },
    /// The executor takes a position on.
    Position {
        /// Under this id.
        id: PositionId,
        /// The position.
        spec: PositionSpec,
        /// How it is closed.
        exit: ExitSettings,
    },
    /// A leg's fees or funding became known or changed.
    Amounts {
        /// The position.
        position: PositionId,
        /// Index of the leg.
        leg: u8,
        /// Fees paid, in the quote currency.
        fees_paid: Decimal,
        /// Funding settled, in the quote currency.
        funding: Decimal,
    },
    /// The engine's decision came in.
    Intent(Intent),
    /// The executor was asked to look after plans whose time has come.
    Timer,
    /// What it read of the latest quotes while it worked on the input before this record.
    Saw(Saw),
    /// An order that is about to be sent.
    Order(Order),
    /// That order was not sent: nothing of it left our hands.
    NotSent {
        /// Which.
        id: ClientOrderId,
        /// Why.
        why: NotSentWhy,
    },
    /// What a venue said of an order.
    Answer(OrderEvent),
    /// What the executor told the engine.
    Report(Report),
    /// What a venue says that an account holds: an answer to a query.
    Read(HoldingRead),
    /// The engine's decision to enter came in.
    Entry(EntryIntent),
    /// The trading state is stopped, or no more.
    Stopped {
        /// Whether nothing may be sent.
        stopped: bool,
    },
    /// The run carries on what the runs before it have left: see [`crate::restart`]. One that has
    /// inputs without this has begun with nothing.
    Resumed {
        /// The run before it that decided something last.
        from: u16,
        /// Running hash of its executor, to the end of its records.
        hash: u64,
    },
    /// What a venue takes within a time, as the executor knows it.
    Budget {
        /// The venue.
        venue: VenueId,
        /// What it takes.
        budget: VenueBudget,
    },
    /// A venue wanted to be left alone.
    Limited {
        /// Which.
        venue: VenueId,
        /// For how long.
        wait: Nanos,
    },
    /// An input log begins.
    Inputs(Inputs),
    /// The engine was given market data.
    Tick(Tick),
    /// The engine was given a command.
    Command(Command),
    /// The engine was told of a connection.
    Source {
        /// Which.
        source: SourceId,
        /// What.
        change: SourceChange,
    },
    /// The engine was asked to take a position on.
    Register(PositionSpec),
    /// Inputs that had no room and are missing here.
    Lost {
        /// How many.
        count: u64,
    },
    /// The engine's hash over its decisions, after everything before.
    Hash {
        /// The hash.
        hash: u64,
    },
}

/// The beginning of a run: the epoch stands in the record's own head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Version of the program.
    pub build: [u16; 3],
    /// Fingerprint of the configuration; 0 when there is none.
    pub config: u64,
    /// Positions that the executor has room for.
    pub positions: u32,
    /// Orders that it has room for.
    pub orders: u32,
}

/// Why a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopWhy {
    /// Someone asked for it.
    Asked,
    /// Everything is closed.
    Done,
    /// Something is wrong that the run could not go on with.
    Failed,
}

/// What a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// A venue.
    Venue(VenueId),
    /// An account.
    Account(AccountId),
    /// An instrument.
    Instrument(InstrumentId),
    /// A position.
    Position(PositionId),
    /// A policy.
    Policy(PolicyId),
}

/// Why an order was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSentWhy {
    /// The connection is not logged in.
    NotReady,
    /// Too many requests are in flight.
    Busy,
    /// The venue's protocol cannot say it.
    Unencodable,
    /// Nothing is sent in this trading state.
    Stopped,
}

impl NotSentWhy {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotReady => "the connection is not logged in",
            Self::Busy => "too many requests are in flight",
            Self::Unencodable => "the venue's protocol cannot say it",
            Self::Stopped => "nothing is sent any more",
        }
    }
}

/// A quote that the executor read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    /// Of this instrument.
    pub instrument: InstrumentId,
    /// What stood there.
    pub top: Option<Top>,
}

/// Up to as many quotes as a position has legs; several of these may follow one input.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saw {
    /// Each instrument once for one input.
    pub sights: ArrayVec<Sight, LEGS_MAX>,
}

/// A short text of fixed room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text {
    bytes: [u8; Self::ROOM],
    len: u8,
}

impl Text {
    /// Bytes of room.
    pub const ROOM: usize = 47;

    /// As much of `text` as there is room for, cut between characters.
    #[must_use]
    pub fn cut(text: &str) -> Self {
        let len = text.floor_char_boundary(Self::ROOM);
        let mut bytes = [0; Self::ROOM];
        bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
        Self { bytes, len: len as u8 }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)])
            .expect("checked where it entered")
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The given bytes are too few for the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of {needed} bytes does not fit {given}")]
pub struct NoRoom {
    /// What it takes.
    pub needed: usize,
    /// What there is.
    pub given: usize,
}

codes!(StopWhy { Asked = 1, Done = 2, Failed = 3 });
codes!(NotSentWhy { NotReady = 1, Busy = 2, Unencodable = 3, Stopped = 4 });
fields!(Start { build: [u16; 3], config: u64, positions: u32, orders: u32 });
fields!(Sight { instrument: InstrumentId, top: Option<Top> });
fields!(Saw { sights: ArrayVec<Sight, LEGS_MAX> });

impl Wire for Text {
    const LEN: usize = 1 + Self::ROOM;

    fn put(&self, out: &mut Put<'_>) {
        self.len.put(out);
        self.bytes.put(out);
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        let (len, bytes): (u8, [u8; Self::ROOM]) = (Wire::take(from)?, Wire::take(from)?);
        let text = bytes.get(..usize::from(len))?;
        core::str::from_utf8(text).ok()?;
        Some(Self { bytes, len })
    }
}

impl Wire for Named {
    const LEN: usize = 5;

    fn put(&self, out: &mut Put<'_>) {
        let (kind, index): (u8, u32) = match *self {
            Self::Venue(id) => (1, id.0.into()),
            Self::Account(id) => (2, id.0.into()),
            Self::Instrument(id) => (3, id.0.into()),
            Self::Position(id) => (4, id.0),
            Self::Policy(id) => (5, id.0.into()),
        };
        kind.put(out);
        index.put(out);
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        let (kind, index): (u8, u32) = (Wire::take(from)?, Wire::take(from)?);
        Some(match kind {
            1 => Self::Venue(VenueId(index.try_into().ok()?)),
            2 => Self::Account(AccountId(index.try_into().ok()?)),
            3 => Self::Instrument(InstrumentId(index.try_into().ok()?)),
            4 => Self::Position(PositionId(index)),
            5 => Self::Policy(PolicyId(index.try_into().ok()?)),
            _ => return None,
        })
    }
}

/// Number, name and payload of each kind. A number is never given to another kind.
macro_rules! kinds {
    ($( $code:literal $name:literal $pattern:pat => [$($field:expr, $kind:ty);*] $make:expr; )*) => {
        /// Bytes of the payload of this kind and version; `None` when they are not known here.
        pub(super) const fn payload_len(kind: u8, version: u8) -> Option<usize> {
            if version == 0 || version as u16 > VERSION {
                return None;
            }
            match kind {
                $( $code => Some(0 $(+ <$kind as Wire>::LEN)*), )*
                _ => None,
            }
        }

        impl Record {
            /// Number of the kind.
            pub(super) const fn code(&self) -> u8 {
                #[allow(unused_variables, reason = "the number needs no payload")]
                match self { $( $pattern => $code, )* }
            }

            /// What reports call the kind.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                #[allow(unused_variables, reason = "the name needs no payload")]
                match self { $( $pattern => $name, )* }
            }

            pub(super) fn put_payload(&self, out: &mut Put<'_>) {
                match self { $( $pattern => { $( Wire::put($field, out); )* } )* }
            }

            #[allow(unused_variables, reason = "a timer has no payload")]
            pub(super) fn take_payload(kind: u8, from: &mut Take<'_>) -> Option<Self> {
                match kind { $( $code => { let make = $make; make(from) } )* _ => None }
            }
        }

        // No record is longer than the bound that buffers are made for.
        $( const _: () = assert!(whole(0 $(+ <$kind as Wire>::LEN)*) <= RECORD_MAX); )*
    };
}

type From<'a, 'b> = &'a mut Take<'b>;

kinds! {
    1 "start" Self::Start(start) => [start, Start]
        |from: From<'_, '_>| Some(Self::Start(Wire::take(from)?));
    2 "stop" Self::Stop(why) => [why, StopWhy]
        |from: From<'_, '_>| Some(Self::Stop(Wire::take(from)?));
    3 "name" Self::Name { of, text } => [of, Named; text, Text]
        |from: From<'_, '_>| Some(Self::Name { of: Wire::take(from)?, text: Wire::take(from)? });
    4 "instrument" Self::Instrument { id, spec } => [id, InstrumentId; spec, InstrumentSpec]
        |from: From<'_, '_>| Some(Self::Instrument {
            id: Wire::take(from)?,
            spec: Wire::take(from)?,
        });
    5 "position" Self::Position { id, spec, exit } =>
        [id, PositionId; spec, PositionSpec; exit, ExitSettings]
        |from: From<'_, '_>| Some(Self::Position {
            id: Wire::take(from)?,
            spec: Wire::take(from)?,
            exit: Wire::take(from)?,
        });
    6 "amounts" Self::Amounts { position, leg, fees_paid, funding } =>
        [position, PositionId; leg, u8; fees_paid, Decimal; funding, Decimal]
        |from: From<'_, '_>| Some(Self::Amounts {
            position: Wire::take(from)?,
            leg: Wire::take(from)?,
            fees_paid: Wire::take(from)?,
            funding: Wire::take(from)?,
        });
    7 "intent" Self::Intent(intent) => [intent, Intent]
        |from: From<'_, '_>| Some(Self::Intent(Wire::take(from)?));
    8 "timer" Self::Timer => [] |_: From<'_, '_>| Some(Self::Timer);
    9 "saw" Self::Saw(saw) => [saw, Saw]
        |from: From<'_, '_>| Some(Self::Saw(Wire::take(from)?));
    10 "order" Self::Order(order) => [order, Order]
        |from: From<'_, '_>| Some(Self::Order(Wire::take(from)?));
    11 "not_sent" Self::NotSent { id, why } => [id, ClientOrderId; why, NotSentWhy]
        |from: From<'_, '_>| Some(Self::NotSent { id: Wire::take(from)?, why: Wire::take(from)? });
    12 "answer" Self::Answer(event) => [event, OrderEvent]
        |from: From<'_, '_>| Some(Self::Answer(Wire::take(from)?));
    13 "report" Self::Report(report) => [report, Report]
        |from: From<'_, '_>| Some(Self::Report(Wire::take(from)?));
    14 "read" Self::Read(read) => [read, HoldingRead]
        |from: From<'_, '_>| Some(Self::Read(Wire::take(from)?));
    15 "entry" Self::Entry(entry) => [entry, EntryIntent]
        |from: From<'_, '_>| Some(Self::Entry(Wire::take(from)?));
    16 "stopped" Self::Stopped { stopped } => [stopped, bool]
        |from: From<'_, '_>| Some(Self::Stopped { stopped: Wire::take(from)? });
    17 "resumed" Self::Resumed { from, hash } => [from, u16; hash, u64]
        |bytes: From<'_, '_>| Some(Self::Resumed {
            from: Wire::take(bytes)?,
            hash: Wire::take(bytes)?,
        });
    18 "budget" Self::Budget { venue, budget } => [venue, VenueId; budget, VenueBudget]
        |from: From<'_, '_>| Some(Self::Budget {
            venue: Wire::take(from)?,
            budget: Wire::take(from)?,
        });
    19 "limited" Self::Limited { venue, wait } => [venue, VenueId; wait, Nanos]
        |from: From<'_, '_>| Some(Self::Limited {
            venue: Wire::take(from)?,
            wait: Wire::take(from)?,
        });
    // Of the input log.
    32 "inputs" Self::Inputs(inputs) => [inputs, Inputs]
        |from: From<'_, '_>| Some(Self::Inputs(Wire::take(from)?));
    33 "tick" Self::Tick(tick) => [tick, Tick]
        |from: From<'_, '_>| Some(Self::Tick(Wire::take(from)?));
    34 "command" Self::Command(command) => [command, Command]
        |from: From<'_, '_>| Some(Self::Command(Wire::take(from)?));
    35 "source" Self::Source { source, change } => [source, SourceId; change, SourceChange]
        |from: From<'_, '_>| Some(Self::Source {
            source: Wire::take(from)?,
            change: Wire::take(from)?,
        });
    36 "register" Self::Register(spec) => [spec, PositionSpec]
        |from: From<'_, '_>| Some(Self::Register(Wire::take(from)?));
    37 "lost" Self::Lost { count } => [count, u64]
        |from: From<'_, '_>| Some(Self::Lost { count: Wire::take(from)? });
    38 "hash" Self::Hash { hash } => [hash, u64]
        |from: From<'_, '_>| Some(Self::Hash { hash: Wire::take(from)? });
}

impl Record {
    /// Bytes that the record takes in a log.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match payload_len(self.code(), VERSION as u8) {
            Some(payload) => whole(payload),
            None => unreachable!(),
        }
    }
}
