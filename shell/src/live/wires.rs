//! What travels between the threads.
//!
//! ```text
//! feed ──ticks, changes──▶ engine ──decisions, registrations─▶ execution ──notes──▶ main
//!                            ▲ └──latest quotes (table)──────────▲ │                │
//!                            └────────reports, registrations──────┘                 │
//!                            └────────commands──────────────────────────────────────┘
//! ```
//!
//! A registration goes from main to execution, which must admit it, to the engine, which gives it
//! its id, and back to execution, so that no intent of a position reaches execution before it knows
//! the position. A position that comes of an entry was admitted with its orders: the engine gives it
//! its id, and execution hears of it before any intent for it.
//!
//! Market data may be conflated when a ring is full; everything else is never dropped: full there
//! raises [`Halt`], and what has no room waits with its sender.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};

use reap_core::entry::EntryIntent;
use reap_core::event::{Command, Report, SourceChange};
use reap_core::instrument::{InstrumentId, SourceId};
use reap_core::intent::Intent;
use reap_core::note::EngineNote;
use reap_core::position::{PositionId, PositionSpec};
use reap_core::pricing::{Quotes, Top};
use reap_core::tick::Quote;
use reap_core::units::{Nanos, Price, Qty};
use reap_core::venues::VenueView;
use reap_ring::latest::{Reader, Writer};

use crate::funding::Settlement;
use crate::story::{Arrival, Note};

/// A configured position on its way to being watched. Main keeps a handle of its own, so that no
/// hot thread ever frees it.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Index among the configured positions.
    pub at: usize,
    /// The position.
    pub spec: Arc<PositionSpec>,
}

/// To execution, from the engine.
#[derive(Debug)]
pub enum ToExecution {
    /// A position has its id from now on.
    Registered(PositionId, Opening),
    /// The engine refused a position.
    Refused(Opening, Box<str>),
    /// A decision.
    Intent(Intent),
    /// A decision to enter.
    Entry(EntryIntent),
    /// An entry has become a position: it comes before any intent for it.
    Entered(Arrival),
    /// What the engine says beside its decisions.
    Said(EngineNote),
    /// The trading state is stopped, or no more.
    Stopped(bool),
    /// The market shows that an instrument's funding has been settled.
    Settled(InstrumentId, Settlement),
}

/// To the engine, from execution.
#[derive(Debug)]
pub enum ToEngine {
    /// What became of plans and orders.
    Report(Report),
    /// A position that execution admits.
    Register(Opening),
    /// What became known of a leg's amounts.
    Amounts(Command),
}

/// A change of a source. It happened after `after` ticks were pushed into the ring beside it.
#[derive(Clone, Copy, Debug)]
pub struct SourceNote {
    /// Ticks pushed before it.
    pub after: u64,
    /// Which source.
    pub source: SourceId,
    /// What.
    pub change: SourceChange,
}

/// What execution tells main: the story's notes, in their order, and what is no part of a story.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it goes into a ring as it is: no allocation")]
pub enum Told {
    /// A note of the story.
    Note(Nanos, Note),
    /// A position was refused.
    Refused(Nanos, usize, Box<str>),
    /// Everything at a venue can no more be closed at once, or can again.
    Closing(Nanos, VenueView),
    /// Something that an operator may want to know.
    News(Nanos, Box<str>),
    /// Something that an operator should act on.
    Alarm(Nanos, Box<str>),
}

/// What others see of execution.
#[derive(Debug, Default)]
pub struct ExecutionView {
    /// Notes for which there was no room: the story is incomplete.
    pub notes_lost: AtomicU64,
    /// Orders that the log could not take and that were not sent for that.
    pub unlogged: AtomicU64,
    /// Whether orders could be sent now.
    pub ready: AtomicBool,
}

/// Why no further decision is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HaltReason {
    /// Execution does not take intents up.
    Intents = 1,
    /// The engine does not take reports up.
    Reports = 2,
}

impl HaltReason {
    /// What an operator should know.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Intents => {
                "ALARM: the ring of intents is full, execution does not take them up; what is \
                 decided waits: close by hand what must be closed, and restart"
            }
            Self::Reports => {
                "ALARM: the ring of reports is full, the engine does not take them up; what was \
                 filled is known to execution only: look at the venues, and restart"
            }
        }
    }
}

/// Set once, by whoever cannot go on without losing something that must not be lost.
#[derive(Debug, Default)]
pub struct Halt(AtomicU8);

impl Halt {
    /// Halts.
    pub fn set(&self, reason: HaltReason) {
        // A flag for people; the rings order everything else.
        self.0.store(reason as u8, Ordering::Relaxed);
    }

    /// Whether and why.
    #[must_use]
    pub fn get(&self) -> Option<HaltReason> {
        match self.0.load(Ordering::Relaxed) {
            1 => Some(HaltReason::Intents),
            2 => Some(HaltReason::Reports),
            _ => None,
        }
    }
}

/// Wakes a thread that sleeps on its sockets when something was pushed into a ring of its.
#[derive(Debug)]
pub struct Doorbell {
    sleeps: AtomicBool,
    waker: mio::Waker,
}

impl Doorbell {
    /// A bell for the thread that polls `registry`.
    ///
    /// # Errors
    /// When the system has no descriptor left.
    pub fn new(registry: &mio::Registry, token: mio::Token) -> std::io::Result<Arc<Self>> {
        let waker = mio::Waker::new(registry, token)?;
        Ok(Arc::new(Self { sleeps: AtomicBool::new(false), waker }))
    }

    /// Rings, after something was pushed. Costs a system call only when the thread sleeps.
    #[inline]
    pub fn ring(&self) {
        // Pairs with the fence in `sleep_unless`: either the sleeper sees what was pushed, or this
        // sees that it sleeps.
        fence(Ordering::SeqCst);
        if self.sleeps.load(Ordering::Relaxed) && self.sleeps.swap(false, Ordering::Relaxed) {
            // A waker fails only when the system is out of memory; the sleeper looks again anyway.
            drop(self.waker.wake());
        }
    }

    /// Runs `sleep` unless `awake` says that there is something to do.
    pub fn sleep_unless(&self, awake: impl FnOnce() -> bool, sleep: impl FnOnce()) {
        self.sleeps.store(true, Ordering::Relaxed);
        // Pairs with the fence in `ring`.
        fence(Ordering::SeqCst);
        if !awake() {
            sleep();
        }
        self.sleeps.store(false, Ordering::Relaxed);
    }
}

/// The engine's end of the table of latest quotes.
pub struct TableWriter(Writer<TABLE_WORDS>);

/// Words of an entry: whether there is a quote, its four numbers, when it was confirmed. With the
/// table's own it makes a cache line.
const TABLE_WORDS: usize = 6;

/// Whoever needs the newest quotes without hearing every tick.
#[derive(Clone)]
pub struct TableReader(Reader<TABLE_WORDS>);

/// A table for these many instruments.
#[must_use]
pub fn quote_table(instruments: usize) -> (TableWriter, TableReader) {
    let (writer, reader) = reap_ring::latest::table(instruments);
    (TableWriter(writer), TableReader(reader))
}

impl TableWriter {
    /// What may be believed of an instrument now.
    #[inline]
    pub fn write(&mut self, instrument: InstrumentId, believed: Option<(Quote, Nanos)>) {
        let words = believed.map_or([0; TABLE_WORDS], |(quote, confirmed)| {
            let number = |value: i64| value as u64;
            [
                1,
                number(quote.bid.raw()),
                number(quote.ask.raw()),
                number(quote.bid_qty.raw()),
                number(quote.ask_qty.raw()),
                confirmed.0,
            ]
        });
        self.0.write(usize::from(instrument.0), &words);
    }
}

impl Quotes for TableReader {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        const KEPT: &str = "the table holds what the engine believed";
        let [there, bid, ask, bid_qty, ask_qty, confirmed] =
            self.0.read(usize::from(instrument.0))?;
        let price = |word: u64| Price::new(word as i64).expect(KEPT);
        let qty = |word: u64| Qty::new(word as i64).expect(KEPT);
        (there != 0).then(|| {
            let quote = Quote {
                bid: price(bid),
                ask: price(ask),
                bid_qty: qty(bid_qty),
                ask_qty: qty(ask_qty),
            };
            Top { quote, received: Nanos(confirmed) }
        })
    }
}
