//! What a message was, and what became of it: closed sets, so that everything can be counted.

use reap_core::tick::Refusal;

use crate::json::JsonError;

/// A closed set with a name for each member: the counters' labels.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$case_doc:meta])* $case:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name {
            $($(#[$case_doc])* $case,)*
        }

        impl $name {
            /// Every member, in the order of the counters.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$case),*];

            /// The counter's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$case => $text,)*
                }
            }
        }
    };
}

named! {
    /// What kind of message it was.
    Kind {
        /// Best bid and ask.
        Quote = "quote",
        /// Trades.
        Trade = "trade",
        /// Mark price, funding rate, or both.
        Mark = "mark",
        /// Levels of a book, as a snapshot or a change.
        Depth = "depth",
        /// Candles.
        Candle = "candle",
        /// Statistics of a day.
        Ticker = "ticker",
        /// Liquidations.
        Liquidation = "liquidation",
        /// Data of another stream.
        OtherData = "other_data",
        /// A request of ours was accepted.
        Ack = "ack",
        /// A request of ours was refused.
        Error = "error",
        /// The answer to a ping of ours.
        Pong = "pong",
        /// The venue is about to close the connection.
        Shutdown = "shutdown",
        /// Valid JSON of no known shape.
        Unknown = "unknown",
        /// Not a JSON value that can be told apart.
        Malformed = "malformed",
    }
}

named! {
    /// Why a message that is well-formed gave no tick.
    Ignored {
        /// Data that this engine does not use: its kind says which.
        NotUsed = "not_used",
        /// An instrument that is not watched.
        UnknownSymbol = "unknown_symbol",
        /// A negotiated trade outside the book.
        BlockTrade = "block_trade",
        /// A trade that the venue marks as none of the market: insurance fund, deleveraging.
        NotMarket = "not_market",
        /// A change of fields that are not read.
        Unchanged = "unchanged",
        /// A change older than the book that it would change.
        Older = "older",
        /// No known shape.
        UnknownShape = "unknown_shape",
    }
}

named! {
    /// Why a message was refused.
    Rejection {
        /// A number is not exact at its scale, or out of its bound.
        Malformed = "malformed",
        /// A price, or a size of a trade, that is zero or negative.
        NotPositive = "not_positive",
        /// A side of the book without price or size.
        EmptySide = "empty_side",
        /// Ask below bid.
        Crossed = "crossed",
        /// A field that is read is missing or has another type.
        Field = "field",
        /// A change of a book that is not known.
        NoSnapshot = "no_snapshot",
        /// JSON that ends too early.
        Truncated = "json_truncated",
        /// Not JSON.
        Syntax = "json_syntax",
        /// JSON that is nested too deeply.
        Depth = "json_depth",
        /// An escape in a key or value that is read.
        Escape = "json_escape",
        /// A key that is read stands twice.
        DuplicateKey = "json_duplicate_key",
        /// Longer than any message may be.
        TooLong = "json_too_long",
    }
}

impl Rejection {
    /// The same for a quote's instrument.
    #[must_use]
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::NotPositive => Refusal::NotPositive,
            Self::EmptySide => Refusal::EmptySide,
            Self::Crossed => Refusal::Crossed,
            _ => Refusal::Malformed,
        }
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed => Self::Malformed,
            Refusal::NotPositive => Self::NotPositive,
            Refusal::EmptySide => Self::EmptySide,
            Refusal::Crossed => Self::Crossed,
        }
    }
}

impl From<JsonError> for Rejection {
    fn from(error: JsonError) -> Self {
        match error {
            JsonError::Truncated => Self::Truncated,
            JsonError::Syntax => Self::Syntax,
            JsonError::Depth => Self::Depth,
            JsonError::Escape => Self::Escape,
            JsonError::DuplicateKey => Self::DuplicateKey,
            JsonError::TooLong => Self::TooLong,
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It gave ticks.
    Used,
    /// It belongs to the connection and says nothing of any instrument.
    Control,
    /// It was well-formed and gave nothing.
    Ignored(Ignored),
    /// It was refused.
    Rejected(Rejection),
}

/// The account of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What it was.
    pub kind: Kind,
    /// What became of it.
    pub outcome: Outcome,
}

impl Decoded {
    /// A message that gave ticks.
    #[must_use]
    pub const fn used(kind: Kind) -> Self {
        Self { kind, outcome: Outcome::Used }
    }

    /// A message of the connection.
    #[must_use]
    pub const fn control(kind: Kind) -> Self {
        Self { kind, outcome: Outcome::Control }
    }

    /// A message that gave nothing.
    #[must_use]
    pub const fn ignored(kind: Kind, reason: Ignored) -> Self {
        Self { kind, outcome: Outcome::Ignored(reason) }
    }

    /// A message that was refused.
    #[must_use]
    pub const fn rejected(kind: Kind, reason: Rejection) -> Self {
        Self { kind, outcome: Outcome::Rejected(reason) }
    }
}

/// Counters of messages: by kind all of them, by reason the ignored and the rejected ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    kinds: [u64; Kind::ALL.len()],
    ignored: [u64; Ignored::ALL.len()],
    rejected: [u64; Rejection::ALL.len()],
}

impl Counts {
    /// Counts one message.
    #[inline]
    pub fn record(&mut self, decoded: Decoded) {
        self.kinds[decoded.kind as usize] += 1;
        match decoded.outcome {
            Outcome::Used | Outcome::Control => {}
            Outcome::Ignored(reason) => self.ignored[reason as usize] += 1,
            Outcome::Rejected(reason) => self.rejected[reason as usize] += 1,
        }
    }

    /// Adds the counters of another source.
    pub fn add(&mut self, other: &Self) {
        let sum = |to: &mut [u64], from: &[u64]| {
            for (to, from) in to.iter_mut().zip(from) {
                *to += from;
            }
        };
        sum(&mut self.kinds, &other.kinds);
        sum(&mut self.ignored, &other.ignored);
        sum(&mut self.rejected, &other.rejected);
    }

    /// Messages of a kind.
    #[must_use]
    pub const fn kind(&self, kind: Kind) -> u64 {
        self.kinds[kind as usize]
    }

    /// Messages ignored for a reason.
    #[must_use]
    pub const fn ignored(&self, reason: Ignored) -> u64 {
        self.ignored[reason as usize]
    }

    /// Messages rejected for a reason.
    #[must_use]
    pub const fn rejected(&self, reason: Rejection) -> u64 {
        self.rejected[reason as usize]
    }

    /// All messages.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.kinds.iter().sum()
    }

    /// Names and numbers of the kinds that occurred.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, u64)> {
        seen(Kind::ALL.map(Kind::name), self.kinds)
    }

    /// Names and numbers of the reasons for which messages were ignored.
    pub fn ignored_reasons(&self) -> impl Iterator<Item = (&'static str, u64)> {
        seen(Ignored::ALL.map(Ignored::name), self.ignored)
    }

    /// Names and numbers of the reasons for which messages were rejected.
    pub fn rejected_reasons(&self) -> impl Iterator<Item = (&'static str, u64)> {
        seen(Rejection::ALL.map(Rejection::name), self.rejected)
    }
}

fn seen<const N: usize>(
    names: [&'static str; N],
    numbers: [u64; N],
) -> impl Iterator<Item = (&'static str, u64)> {
    names.into_iter().zip(numbers).filter(|(_, number)| *number > 0)
}
