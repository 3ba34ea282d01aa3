//! One record of every kind, and of every form of it.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::budget::{Quota, VenueBudget};
use crate::entry::{EntryIntent, EntryLeg, TaskId};
use crate::event::{
    Command, EntryOutcome, Latch, Outcome, Report, SourceChange, TaskCommand, TradingState, Which,
};
use crate::instrument::{
    AccountId, ContractKind, CurrencyId, InstrumentId, InstrumentSpec, SourceId, VenueId,
};
use crate::intent::{Input, Intent, Reason, Urgency};
use crate::limits::{AMOUNT_MAX, LEGS_MAX};
use crate::net::{Cmp, Compiled, LegForm, NetForm};
use crate::order::{
    ClientOrderId, HoldingRead, Order, OrderChange, OrderEvent, OrderSide, RejectClass,
};
use crate::policy::{ExitSettings, PolicyId};
use crate::position::{LegSpec, PositionId, PositionSpec, Side};
use crate::pricing::Top;
use crate::tick::{Quote, Refusal, Stamp, Tick};
use crate::units::{Decimal, Nanos, Price, Qty, Rate};

pub(super) const HEADER: SegmentHeader = SegmentHeader {
    epoch: 7,
    segment: 3,
    first_sequence: 101,
    fingerprint: 0x0123_4567_89ab_cdef,
    size: 65_536,
    created: Nanos(1_700_000_000_000_000_000),
};

pub(super) fn price(raw: i64) -> Price {
    Price::new(raw).unwrap()
}

pub(super) fn qty(raw: i64) -> Qty {
    Qty::new(raw).unwrap()
}

pub(super) fn decimal(mantissa: i128, scale: u8) -> Decimal {
    Decimal { mantissa, scale }
}

pub(super) fn id() -> ClientOrderId {
    ClientOrderId { epoch: 7, position: PositionId(0x0030_0002), leg: 1, plan: 70_000, attempt: 3 }
}

pub(super) fn quote() -> Quote {
    Quote::new(6_180_030, 6_180_040, 1_250, 900).unwrap()
}

pub(super) fn intent(compiled: Compiled) -> Record {
    let input = Input {
        instrument: InstrumentId(258),
        quote: Some(quote()),
        update_id: 0x1122_3344_5566_7788,
        age: Nanos(250_000),
    };
    let blind = Input { quote: None, update_id: 0, ..input };
    Record::Intent(Intent {
        seq: 9,
        at: Nanos(1_700_000_000_000_000_123),
        position: id().position,
        policy_version: 4,
        rule: 255,
        part: 2,
        reason: Reason::TrailingStop,
        urgency: Urgency::Protective,
        legs: 2,
        keep: [qty(0), qty(5), qty(0), qty(0)],
        compiled,
        inputs: [Some(input), Some(blind), None, None],
    })
}

pub(super) fn net() -> Compiled {
    let mut legs = [LegForm::NONE; LEGS_MAX];
    legs[0] = LegForm::new(Side::Long, 750, Rate::from_bps(5), Rate::from_bps(1), 0);
    legs[1] = LegForm::new(Side::Short, 751, Rate::from_bps(-1), Rate::ZERO, 10_000_000);
    Compiled::Net(NetForm { legs, count: 2, cmp: Cmp::AtLeast, bound: -123_456_789_012_345 })
}

pub(super) fn position() -> Record {
    let long = LegSpec {
        account: AccountId(1),
        instrument: InstrumentId(2),
        side: Side::Long,
        entry: price(6_180_030),
        qty: qty(750),
        fees_paid: decimal(2_318, 2),
        funding: decimal(-5, 4),
        margin: Some(decimal(1_000, 0)),
    };
    let short = LegSpec { side: Side::Short, margin: None, ..long };
    Record::Position {
        id: id().position,
        spec: PositionSpec {
            policy: PolicyId(6),
            opened: Nanos(1_699_000_000_000_000_000),
            tag: 12,
            legs: [long, short].into_iter().collect(),
        },
        exit: ExitSettings { max_unhedged: Some(decimal(400_000, 2)), ..ExitSettings::default() },
    }
}

pub(super) fn instrument() -> Record {
    Record::Instrument {
        id: InstrumentId(2),
        spec: InstrumentSpec {
            venue: VenueId(3),
            currency: CurrencyId(1),
            contract: ContractKind::Linear,
            price_scale: 2,
            qty_scale: 3,
            multiplier: decimal(1, 0),
            tick: 10,
            lot: 1,
            min_qty: 1,
            min_notional: decimal(100, 0),
            taker: Rate::from_bps(5),
            maker: Rate::from_bps(-1),
            min_fee: decimal(1, 6),
            max_quote_age: Nanos::from_secs(5),
            jump_limit: Rate::from_bps(1_000),
            jump_ticks: 5,
            reduce_only: true,
            min_notional_on_reduce: false,
            peer: Some(InstrumentId(9)),
        },
    }
}

/// Every kind, and every shape of those that have several.
pub(super) fn all() -> Vec<Record> {
    let order = Order {
        id: id(),
        account: AccountId(1),
        instrument: InstrumentId(2),
        side: OrderSide::Sell,
        qty: qty(750),
        limit: Some(price(6_179_000)),
        reduce_only: true,
    };
    let answer = |what| Record::Answer(OrderEvent { id: id(), what });
    let fill = OrderChange::Filled {
        trade_id: u64::MAX - 1,
        price: price(6_179_990),
        qty: qty(7),
        fee: -3,
    };
    let seen = Sight {
        instrument: InstrumentId(2),
        top: Some(Top { quote: quote(), received: Nanos(1_700_000_000_000_000_001) }),
    };
    let unseen = Sight { instrument: InstrumentId(3), top: None };
    vec![
        Record::Start(Start { build: [0, 1, 2], config: 0xfeed, positions: 1_024, orders: 2_048 }),
        Record::Stop(StopWhy::Asked),
        Record::Name { of: Named::Instrument(InstrumentId(2)), text: Text::cut("BTCUSDT") },
        instrument(),
        position(),
        Record::Amounts {
            position: id().position,
            leg: 1,
            fees_paid: decimal(2_318, 2),
            funding: decimal(-1, 9),
        },
        intent(Compiled::Unconditional),
        intent(Compiled::Price { cmp: Cmp::AtMost, limit: 6_180_000 }),
        intent(net()),
        Record::Timer,
        Record::Saw(Saw { sights: [seen, unseen].into_iter().collect() }),
        Record::Order(order),
        Record::Order(Order { limit: None, side: OrderSide::Buy, reduce_only: false, ..order }),
        Record::NotSent { id: id(), why: NotSentWhy::Busy },
        answer(OrderChange::Acked),
        answer(fill),
        answer(OrderChange::Expired),
        answer(OrderChange::Rejected(RejectClass::RateLimit)),
        Record::Report(Report::Fill {
            position: id().position,
            leg: 1,
            price: price(6_179_990),
            qty: qty(7),
            fee: AMOUNT_MAX,
        }),
        Record::Report(Report::PlanEnded {
            position: id().position,
            intent: 0x0102_0304_0506_0708,
            outcome: Outcome::Missed,
        }),
        Record::Report(Report::LegLost { position: id().position, leg: 3, qty: qty(7) }),
        answer(OrderChange::Doubted),
        answer(OrderChange::NotFound),
        Record::Read(HoldingRead {
            account: AccountId(3),
            instrument: InstrumentId(2),
            qty: -7,
            asked: Nanos(1_700_000_000_000_000_002),
        }),
        entry(2),
        entry(1),
        Record::Report(Report::EntryFill {
            task: TaskId(63),
            leg: 1,
            price: price(6_179_990),
            qty: qty(7),
            fee: -3,
        }),
        Record::Report(Report::EntryUndone {
            task: TaskId(63),
            leg: 0,
            price: price(6_179_990),
            qty: qty(7),
            fee: AMOUNT_MAX,
        }),
        Record::Report(Report::EntryEnded {
            task: TaskId(63),
            entry: 0x0102_0304_0506_0708,
            outcome: EntryOutcome::Partial,
        }),
        Record::Stopped { stopped: true },
        Record::Stopped { stopped: false },
    ]
    .into_iter()
    .chain(inputs())
    .chain([
        Record::Resumed { from: 6, hash: 0x0123_4567_89ab_cdef },
        Record::Name { of: Named::Policy(PolicyId(2)), text: Text::cut("pairs") },
    ])
    .collect()
}

/// Of the input log.
pub(super) fn inputs() -> Vec<Record> {
    let (at, instrument) = (Nanos(1_700_000_000_000_000_003), InstrumentId(2));
    let stamp = Stamp {
        source: SourceId(5),
        received: at,
        update_id: u64::MAX - 2,
        venue_lag_us: -7,
        reset: true,
    };
    let (of, policy) = (id().position, PolicyId(300));
    let commands = [
        Command::Close { which: Which::Tag(7), urgency: Urgency::Critical },
        Command::Amounts {
            position: of,
            leg: 1,
            fees_paid: decimal(5, 1),
            funding: decimal(-6, 2),
        },
        Command::ConfirmJump(instrument),
        Command::Signal { instrument, side: Side::Short },
        Command::SetState(TradingState::Halted),
        Command::Reset(Latch::Drawdown),
        Command::Equity(decimal(1 << 80, 9)),
        Command::Transfer(decimal(-1, 0)),
        Command::Liquidation { position: of, leg: 2, price: Some(price(6_000_000)) },
        Command::Liquidation { position: of, leg: 2, price: None },
        Command::Commit { of: PolicyId(1), policy },
        Command::Policy { which: Which::Venue(VenueId(3)), policy },
        Command::Rule { which: Which::Position(of), policy, rule: 9, on: true },
        Command::Task { task: TaskId(2), what: TaskCommand::Resume },
        Command::Close { which: Which::All, urgency: Urgency::Normal },
    ];
    let ticks = [
        Tick::quote(instrument, stamp, quote()),
        Tick::trade(instrument, Stamp { reset: false, ..stamp }, price(9), qty(8), true, at),
        Tick::mark(instrument, stamp, price(6_180_033)),
        Tick::funding(instrument, stamp, Rate::from_bps(-1), at),
        Tick::alive(stamp),
        Tick::refused(instrument, stamp, Refusal::Crossed),
    ];
    let Record::Position { spec, .. } = position() else { unreachable!() };
    let begin = Inputs { build: [0, 1, 2], config: 0xfeed, sources: 3, live: true };
    let mut all = vec![Record::Inputs(begin)];
    all.extend(ticks.map(Record::Tick));
    all.extend(commands.map(Record::Command));
    for change in [SourceChange::Connected, SourceChange::Lost] {
        all.push(Record::Source { source: SourceId(5), change });
    }
    all.extend([
        Record::Register(spec),
        Record::Lost { count: 1 << 40 },
        Record::Hash { hash: 77 },
        Record::Budget {
            venue: VenueId(3),
            budget: VenueBudget {
                orders: Quota { max: 300, span: Nanos(10_000_000_000) },
                weight: Quota { max: 2_400, span: Nanos(60_000_000_000) },
                order_weight: 1,
                query_weight: 2,
                read_weight: 5,
            },
        },
        Record::Limited { venue: VenueId(3), wait: Nanos(120_000_000_000) },
    ]);
    all
}

/// An entry of one leg or two.
pub(super) fn entry(count: u8) -> Record {
    let spot = EntryLeg {
        account: AccountId(1),
        instrument: InstrumentId(2),
        side: Side::Long,
        qty: qty(750),
        limit: price(6_180_040),
        step: qty(10),
    };
    let futures = EntryLeg { account: AccountId(0), side: Side::Short, step: qty(1), ..spot };
    let legs = if count == 2 { [spot, futures] } else { [spot, EntryLeg::NONE] };
    let at = Nanos(1_700_000_000_000_000_123);
    Record::Entry(EntryIntent { seq: 5, at, task: TaskId(63), count, legs })
}
