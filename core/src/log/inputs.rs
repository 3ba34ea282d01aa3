//! How what the engine consumes stands in a record. A line here is a part of the format.

use super::wire::{Put, Take, Wire, codes, fields, newtypes, variants};
use crate::entry::TaskId;
use crate::event::{Command, Latch, SourceChange, TaskCommand, TradingState, Which};
use crate::instrument::{InstrumentId, SourceId, VenueId};
use crate::intent::Urgency;
use crate::policy::PolicyId;
use crate::position::{PositionId, Side};
use crate::tick::{Quote, Refusal, Stamp, Tick, TickBody};
use crate::units::{Decimal, Nanos, Price, Qty, Rate};

/// The beginning of an input log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inputs {
    /// Version of the program.
    pub build: [u16; 3],
    /// Fingerprint of the configuration that the engine was made of.
    pub config: u64,
    /// Sources of market data.
    pub sources: u16,
    /// With real money, where a configuration may mean less.
    pub live: bool,
}

newtypes!(SourceId);
fields!(Inputs { build: [u16; 3], config: u64, sources: u16, live: bool });
codes!(SourceChange { Connected = 1, Lost = 2 });
codes!(Refusal { Malformed = 1, NotPositive = 2, EmptySide = 3, Crossed = 4 });
codes!(TradingState { Active = 1, Reducing = 2, Halted = 3, Stopped = 4 });
codes!(Latch { PortfolioLoss = 1, Drawdown = 2 });
codes!(TaskCommand { Start = 1, Pause = 2, Resume = 3, Stop = 4 });
fields!(Stamp {
    source: SourceId,
    received: Nanos,
    update_id: u64,
    venue_lag_us: i32,
    reset: bool,
});

variants!(Which {
    1 Self::Position(id) => [id: PositionId] Self::Position(id);
    2 Self::Venue(id) => [id: VenueId] Self::Venue(id);
    3 Self::Tag(tag) => [tag: u32] Self::Tag(tag);
    4 Self::All => [] Self::All;
});

variants!(TickBody {
    1 Self::Quote(quote) => [quote: Quote] Self::Quote(quote);
    2 Self::Trade { price, qty, buyer_aggressor, at } =>
        [price: Price, qty: Qty, buyer_aggressor: bool, at: Nanos]
        Self::Trade { price, qty, buyer_aggressor, at };
    3 Self::Mark { price } => [price: Price] Self::Mark { price };
    4 Self::Funding { rate, settles } => [rate: Rate, settles: Nanos]
        Self::Funding { rate, settles };
    5 Self::Alive => [] Self::Alive;
    6 Self::Refused(why) => [why: Refusal] Self::Refused(why);
});

variants!(Command {
    1 Self::Close { which, urgency } => [which: Which, urgency: Urgency]
        Self::Close { which, urgency };
    2 Self::Amounts { position, leg, fees_paid, funding } =>
        [position: PositionId, leg: u8, fees_paid: Decimal, funding: Decimal]
        Self::Amounts { position, leg, fees_paid, funding };
    3 Self::ConfirmJump(instrument) => [instrument: InstrumentId] Self::ConfirmJump(instrument);
    4 Self::Signal { instrument, side } => [instrument: InstrumentId, side: Side]
        Self::Signal { instrument, side };
    5 Self::SetState(state) => [state: TradingState] Self::SetState(state);
    6 Self::Reset(latch) => [latch: Latch] Self::Reset(latch);
    7 Self::Equity(amount) => [amount: Decimal] Self::Equity(amount);
    8 Self::Transfer(amount) => [amount: Decimal] Self::Transfer(amount);
    9 Self::Liquidation { position, leg, price } =>
        [position: PositionId, leg: u8, price: Option<Price>]
        Self::Liquidation { position, leg, price };
    10 Self::Commit { of, policy } => [of: PolicyId, policy: PolicyId]
        Self::Commit { of, policy };
    11 Self::Policy { which, policy } => [which: Which, policy: PolicyId]
        Self::Policy { which, policy };
    12 Self::Rule { which, policy, rule, on } =>
        [which: Which, policy: PolicyId, rule: u8, on: bool]
        Self::Rule { which, policy, rule, on };
    13 Self::Task { task, what } => [task: TaskId, what: TaskCommand] Self::Task { task, what };
});

impl Wire for Tick {
    const LEN: usize = InstrumentId::LEN + Stamp::LEN + TickBody::LEN;

    fn put(&self, out: &mut Put<'_>) {
        self.instrument().put(out);
        self.stamp().put(out);
        self.body().put(out);
    }

    fn take(from: &mut Take<'_>) -> Option<Self> {
        let (instrument, stamp): (InstrumentId, Stamp) = (Wire::take(from)?, Wire::take(from)?);
        Some(match Wire::take(from)? {
            TickBody::Quote(quote) => Self::quote(instrument, stamp, quote),
            TickBody::Trade { price, qty, buyer_aggressor, at } => {
                Self::trade(instrument, stamp, price, qty, buyer_aggressor, at)
            }
            TickBody::Mark { price } => Self::mark(instrument, stamp, price),
            TickBody::Funding { rate, settles } => Self::funding(instrument, stamp, rate, settles),
            TickBody::Alive => Self::alive(stamp),
            TickBody::Refused(why) => Self::refused(instrument, stamp, why),
        })
    }
}
