//! One leg at work: what is open, what a live order may still take of it, and how its venue has
//! answered so far.

use crate::admission::LegTerms;
use crate::desk::Desk;
use crate::holding::{HoldingKey, HoldingPlace};
use crate::instrument::{AccountId, Instrument, InstrumentId};
use crate::intent::Urgency;
use crate::limits::POLL_EVERY;
use crate::order::{HoldingRead, RejectClass};
use crate::position::{LegSpec, Side};
use crate::pricing::{Top, exit_price};
use crate::protocol::Word;
use crate::retry::Retry;
use crate::throttle::Throttle;
use crate::units::{Nanos, Price, Qty, mul_div_ceil, mul_div_floor};
use crate::working::WorkingOrder;

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Filled,
    Expired,
    Rejected(RejectClass),
    /// Proven never to have traded more than what was counted.
    Dead,
}

impl Ending {
    const fn word(self) -> Word {
        match self {
            Self::Filled => Word::Full,
            Self::Expired => Word::Expired,
            Self::Rejected(class) => Word::Rejected(class),
            Self::Dead => Word::Proven,
        }
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leg {
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
    pub(crate) side: Side,
    pub(crate) entry: Price,
    pub(crate) original: Qty,
    /// What matches the other legs: the hedge ratio.
    pub(crate) ratio: Qty,
    /// What the last read showed for this leg, less what was filled since.
    pub(crate) read: Option<Qty>,
    /// It was called lost while its order was in flight.
    pub(crate) lost_meanwhile: bool,
    pub(crate) place: HoldingPlace,
    /// From the instrument's to the position's money scale: 10^(S − s).
    pub(crate) align: i64,
    /// Totals for `original`, at the position's nano scale.
    pub(crate) fees_paid: i128,
    pub(crate) funding: i128,
    /// Trading result less exit fees of what was filled, at the position's nano scale.
    pub(crate) traded: i128,
    pub(crate) open: Qty,
    /// In `0 ..= open − aside`: what the live order may still take.
    pub(crate) live: Qty,
    /// What orders that were set aside may still take.
    pub(crate) aside: Qty,
    pub(crate) order: Option<WorkingOrder>,
    /// Orders sent within the present plan number.
    pub(crate) attempt: u16,
    /// Consecutive orders at the plan's urgency without a fill.
    pub(crate) failed: u8,
    /// Next collar of a protective exit; beyond the last one it is the market.
    pub(crate) rung: u8,
    /// The order of the current clip ended before it was full.
    pub(crate) short: bool,
    /// Consecutive refusals.
    errors: u8,
    /// Nothing is sent before.
    pub(crate) not_before: Nanos,
    /// `not_before` is the venue's wish (rate limit, unavailable), which no urgency overrides.
    venue_waits: bool,
    pub(crate) throttle: Throttle,
}

impl Leg {
    pub(crate) fn new(spec: &LegSpec, place: HoldingPlace, terms: &LegTerms) -> Self {
        Self {
            account: spec.account,
            instrument: spec.instrument,
            side: spec.side,
            entry: spec.entry,
            original: spec.qty,
            ratio: spec.qty,
            read: None,
            lost_meanwhile: false,
            place,
            align: terms.align,
            fees_paid: terms.fees_paid,
            funding: terms.funding,
            traded: 0,
            open: spec.qty,
            live: Qty::ZERO,
            aside: Qty::ZERO,
            order: None,
            attempt: 0,
            failed: 0,
            rung: 0,
            short: false,
            errors: 0,
            not_before: Nanos(0),
            venue_waits: false,
            throttle: Throttle::default(),
        }
    }

    /// The holding that it is part of.
    pub(crate) const fn key(&self) -> HoldingKey {
        HoldingKey { account: self.account, instrument: self.instrument, side: self.side }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.order.is_some_and(|order| order.state.is_live())
    }

    /// Whether any order of it may still trade.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_live() || self.aside > Qty::ZERO
    }

    /// What orders of it may still take.
    pub(crate) fn reserved(&self) -> Qty {
        Qty::new(self.live.raw() + self.aside.raw()).expect("at most what is open")
    }

    pub(crate) fn awaits_read(&self) -> bool {
        self.order.is_some_and(|order| order.awaits_read())
    }

    /// Whether a read decides on its order.
    pub(crate) fn is_decided_by(&self, read: &HoldingRead) -> bool {
        self.order.is_some_and(|order| order.is_decided_by(read))
    }

    /// The exit price that sizes are judged at: the newest one however old, else the entry. What a
    /// venue would call too small is no matter of milliseconds.
    pub(crate) fn size_price(&self, top: Option<Top>) -> Price {
        top.map_or(self.entry, |top| exit_price(self.side, &top.quote))
    }

    /// Trading result of what was filled, less its exit fees, less its share of the paid fees, plus
    /// its share of the funding; at the position's nano scale. The shares are what the open
    /// quantity's shares (fees rounded up, funding down) leave of the totals, so that realised and
    /// open add up exactly.
    pub(crate) fn realised(&self) -> i128 {
        let (open, original) = (self.open.raw(), self.original.raw());
        let fees_open = mul_div_ceil(self.fees_paid, open, original);
        let funding_open = mul_div_floor(self.funding, open, original);
        self.traded - (self.fees_paid - fees_open) + (self.funding - funding_open)
    }

    /// A new order takes its reservation.
    pub(crate) fn reserve(&mut self, order: WorkingOrder, desk: &mut Desk) {
        assert!(!self.is_live(), "a leg has one order at a time");
        self.live = order.qty;
        assert!(self.reserved() <= self.open, "live exits exceed the leg");
        desk.holdings.reserve(self.place, order.qty);
        self.order = Some(order);
    }

    /// Counts a fill of the live order, at most what is left of it. `fee` is at the instrument's
    /// nano scale and within bounds.
    pub(crate) fn fill(
        &mut self,
        now: Nanos,
        price: Price,
        qty: Qty,
        fee: i128,
        instrument: &Instrument,
        desk: &mut Desk,
    ) {
        const KEPT: &str = "a fill is at most what is live, and that at most what is open";
        let order = self.order.as_mut().expect("only live orders are filled");
        order.fill(now, qty);
        self.live = self.live.checked_sub(qty).expect(KEPT);
        self.open = self.open.checked_sub(qty).expect(KEPT);
        self.read = self.read.map(|read| read.checked_sub(qty).unwrap_or(Qty::ZERO));
        assert!(self.reserved() <= self.open, "live exits exceed the leg");
        desk.holdings.fill(now, self.place, qty);

        let align = i128::from(self.align);
        let moved = i128::from(price.raw() - self.entry.raw()) * self.side.sign();
        let weight = i128::from(qty.raw()) * instrument.spec().multiplier.mantissa * align;
        let gain = moved * weight * i128::from(crate::limits::PPB);
        self.traded = self.traded.saturating_add(gain).saturating_sub(fee * align);
        self.failed = 0;
        self.errors = 0;
    }

    /// The order is over: what it did not take is free again, and the next one waits as the
    /// ending asks. `urgency` is the plan's present one.
    pub(crate) fn settle(&mut self, now: Nanos, ending: Ending, urgency: Urgency, desk: &mut Desk) {
        let order = self.order.as_mut().expect("only live orders end");
        // One that was filled has heard of it with its last fill.
        let heard = ending == Ending::Filled || order.hear(now, ending.word());
        assert!(heard, "only live orders end");
        desk.trades.forget(&mut order.trades);
        if !planted!(desk, ReservationKept) {
            desk.holdings.release(self.place, self.live);
        }
        self.live = Qty::ZERO;

        let unfilled = order.filled == Qty::ZERO;
        let (limited, current) = (order.limit.is_some(), order.urgency == urgency);
        self.short |= order.filled < order.qty;
        match ending {
            Ending::Filled => {}
            Ending::Expired => {
                self.errors = 0;
                desk.counters.expired_unfilled += u64::from(unfilled);
                if current {
                    self.count_attempt(unfilled);
                    self.space(now, urgency, limited, unfilled);
                }
            }
            Ending::Dead => {
                desk.counters.dead += 1;
                if current {
                    self.count_attempt(unfilled);
                }
            }
            Ending::Rejected(class) => {
                desk.counters.rejected[class as usize] += 1;
                self.back_off(now, class, unfilled && current);
                if planted!(desk, WaitsForEver) {
                    (self.not_before, self.venue_waits) = (Nanos(u64::MAX), true);
                }
            }
        }
    }

    fn count_attempt(&mut self, unfilled: bool) {
        self.rung = self.rung.saturating_add(1);
        if unfilled {
            self.failed = self.failed.saturating_add(1);
        }
    }

    /// Normal attempts are spaced, so that the next one sees another market. Protective ones are
    /// not; but a market order that found nobody at all gives the book a moment.
    fn space(&mut self, now: Nanos, urgency: Urgency, limited: bool, unfilled: bool) {
        let spaced = match urgency {
            Urgency::Opportunistic => false,
            Urgency::Normal => true,
            Urgency::Protective | Urgency::Critical => !limited && unfilled,
        };
        if spaced {
            // What rests after a restart goes on resting.
            self.venue_waits &= self.not_before > now;
            self.not_before = self.not_before.max(now.plus(POLL_EVERY));
        }
    }

    /// The next order waits as the table says of this class.
    fn back_off(&mut self, now: Nanos, class: RejectClass, failed: bool) {
        let retry = Retry::of(class);
        self.errors = self.errors.saturating_add(1);
        self.venue_waits = retry.binds_all || self.not_before > now;
        self.not_before = self.not_before.max(now.plus(retry.pause(self.errors)));
        if failed && retry.is_attempt {
            self.count_attempt(true);
        }
    }

    /// Nothing is sent before this time, however urgent.
    pub(crate) fn rest_until(&mut self, at: Nanos) {
        self.not_before = self.not_before.max(at);
        self.venue_waits = true;
    }

    /// The plan became more urgent: it starts at the first rung, and only the venue's own wish
    /// still holds it back.
    pub(crate) fn on_raise(&mut self) {
        self.rung = 0;
        self.failed = 0;
        if !self.venue_waits {
            self.not_before = Nanos(0);
        }
    }
}
