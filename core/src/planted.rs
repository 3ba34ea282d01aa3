//! Bugs that tests plant, to see that the simulation finds them. None of it is in a release: the
//! feature is asked for by tests alone.

use crate::event::{Outcome, Report};
use crate::executor::Executor;
use crate::instrument::InstrumentId;
use crate::limits::QTY_MAX;
use crate::order::{
    Ask, HoldingRead, Order, OrderChange, OrderEvent, OrderSide, OrderState, RejectClass,
};
use crate::units::{Price, Qty};

/// What an executor does wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// An order of unknown fate is taken for failed, and tried again under a new id.
    UnknownTakenAsFailed,
    /// "No such order" counts however soon it comes.
    NotFoundTooSoon,
    /// "No such order" twice is proof enough, without a read.
    DeadWithoutRead,
    /// A read counts that was asked for before something was learnt.
    StaleReadBelieved,
    /// A read counts while another order of the holding is in flight.
    ReadWhileInFlight,
    /// What a read shows to be filled is not booked.
    InferredForgotten,
    /// What is missing explains every unknown order again.
    InferredTwice,
    /// A read of a short holding is taken for one of a long one.
    ReadOfTheOtherSide,
    /// A fill that comes again counts again.
    FillCountedTwice,
    /// A fill of an order of unknown fate does not count.
    FillOfUnknownIgnored,
    /// Half of a fill is booked.
    FillHalved,
    /// An order that expires is taken for filled.
    ExpiredTakenAsFilled,
    /// An order that is taken is taken for over.
    AckEndsOrder,
    /// Orders are for one lot more than is wanted.
    SizeTooLarge,
    /// The attempt's number stays.
    IdUsedAgain,
    /// A later intent makes a plan less urgent.
    UrgencyPutBack,
    /// The gate admits everything.
    GateOff,
    /// A second order leaves while the first may still trade.
    TwoOrdersAtATime,
    /// A reservation is not given back.
    ReservationKept,
    /// A reservation is given back when an order is doubted.
    ReservationForgotten,
    /// Nobody is asked.
    NeverAsks,
    /// Each question is asked once.
    AsksOnce,
    /// A refusal for good ends all attempts.
    FatalGivesUp,
    /// A plan that is stuck does nothing more.
    StuckGivesUp,
    /// The engine hears of no fills.
    FillsNotReported,
    /// The engine does not hear that a plan has ended.
    EndNotReported,
    /// Nothing is done when its time comes.
    TimersLost,
    /// An order goes the wrong way.
    WrongSide,
    /// An order goes to another instrument.
    WrongInstrument,
    // Those below were devised when the simulation stood, and found without a change of it.
    /// What is said again of an earlier order is believed of the newest.
    OldAnswerBelieved,
    /// The end of an order that expires is not heard.
    ExpiredIgnored,
    /// A fill is reported twice.
    FillReportedTwice,
    /// A fill counts double.
    FillDoubled,
    /// The first rejection is waited out for ever.
    WaitsForEver,
    /// A position that is closed is reported as missed.
    ClosedTakenAsMissed,
    /// A holding that is read as nothing is no holding that was read.
    FlatReadIgnored,
    /// Nothing is done about a leg without its counterpart.
    NakedForEver,
    /// What an order of unknown fate may take is ordered again beside it.
    AsideNotReserved,
    /// What is heard of an order that was set aside is not heard.
    AsideNotHeard,
    /// No venue's budget counts.
    BudgetOff,
    /// A venue that was held once is held for ever.
    HeldForEver,
    // Those below are of restarts.
    /// The orders of a new run have the ids of the one before.
    EpochStaysAtRestart,
    /// What orders in flight may still take is free after a restart.
    ReservationForgottenAtRestart,
    /// What was being closed is not any more after a restart.
    PlanForgottenAtRestart,
    /// What is said of orders of earlier runs is not heard.
    EarlierAnswersIgnored,
    /// What was stopped is not any more after a restart.
    StopForgottenAtRestart,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 46] = [
        Self::UnknownTakenAsFailed,
        Self::NotFoundTooSoon,
        Self::DeadWithoutRead,
        Self::StaleReadBelieved,
        Self::ReadWhileInFlight,
        Self::InferredForgotten,
        Self::InferredTwice,
        Self::ReadOfTheOtherSide,
        Self::FillCountedTwice,
        Self::FillOfUnknownIgnored,
        Self::FillHalved,
        Self::ExpiredTakenAsFilled,
        Self::AckEndsOrder,
        Self::SizeTooLarge,
        Self::IdUsedAgain,
        Self::UrgencyPutBack,
        Self::GateOff,
        Self::TwoOrdersAtATime,
        Self::ReservationKept,
        Self::ReservationForgotten,
        Self::NeverAsks,
        Self::AsksOnce,
        Self::FatalGivesUp,
        Self::StuckGivesUp,
        Self::FillsNotReported,
        Self::EndNotReported,
        Self::TimersLost,
        Self::WrongSide,
        Self::WrongInstrument,
        Self::OldAnswerBelieved,
        Self::ExpiredIgnored,
        Self::FillReportedTwice,
        Self::FillDoubled,
        Self::WaitsForEver,
        Self::ClosedTakenAsMissed,
        Self::FlatReadIgnored,
        Self::NakedForEver,
        Self::AsideNotReserved,
        Self::AsideNotHeard,
        Self::BudgetOff,
        Self::HeldForEver,
        Self::EpochStaysAtRestart,
        Self::ReservationForgottenAtRestart,
        Self::PlanForgottenAtRestart,
        Self::EarlierAnswersIgnored,
        Self::StopForgottenAtRestart,
    ];
}

impl Executor {
    /// From now on it does this wrong.
    pub fn plant(&mut self, bug: Bug) {
        self.desk.planted = Some(bug);
    }

    /// What it takes an event for; `None` when it takes no notice.
    pub(crate) fn misheard(&self, event: &OrderEvent) -> Option<OrderEvent> {
        let leg = self.leg(event.id.position, usize::from(event.id.leg));
        let newest = leg.and_then(|leg| leg.order);
        let state = newest.map(|(_, state)| state);
        let id = match (self.desk.planted, newest) {
            (Some(Bug::OldAnswerBelieved), Some((id, _))) => id,
            _ => event.id,
        };
        let unknown = matches!(state, Some(OrderState::Unknown { .. }));
        let what = match (self.desk.planted, event.what) {
            (Some(Bug::UnknownTakenAsFailed), OrderChange::Doubted) => {
                OrderChange::Rejected(RejectClass::Unavailable)
            }
            (Some(Bug::FillOfUnknownIgnored), OrderChange::Filled { .. }) if unknown => {
                return None;
            }
            (Some(Bug::FillHalved), OrderChange::Filled { trade_id, price, qty, fee }) => {
                let qty = Qty::new((qty.raw() + 1) / 2).expect("less than it was");
                OrderChange::Filled { trade_id, price, qty, fee }
            }
            (Some(Bug::ExpiredTakenAsFilled), OrderChange::Expired) => OrderChange::Filled {
                trade_id: u64::MAX,
                price: Price::new(1).expect("a price"),
                qty: Qty::new(QTY_MAX).expect("the bound"),
                fee: 0,
            },
            (Some(Bug::AckEndsOrder), OrderChange::Acked) => OrderChange::Expired,
            (Some(Bug::FatalGivesUp), OrderChange::Rejected(RejectClass::Fatal))
            | (Some(Bug::ExpiredIgnored), OrderChange::Expired) => return None,
            (Some(Bug::FillDoubled), OrderChange::Filled { trade_id, price, qty, fee }) => {
                let qty = Qty::new(2 * qty.raw()).expect("within the bound");
                OrderChange::Filled { trade_id, price, qty, fee }
            }
            (_, what) => what,
        };
        Some(OrderEvent { id, what })
    }

    /// What it takes a read for; `None` when it takes no notice.
    pub(crate) fn misread(&self, read: &HoldingRead) -> Option<HoldingRead> {
        match self.desk.planted {
            Some(Bug::FlatReadIgnored) if read.qty == 0 => None,
            Some(Bug::ReadOfTheOtherSide) => Some(HoldingRead { qty: -read.qty, ..*read }),
            _ => Some(*read),
        }
    }

    /// What it sends instead.
    pub(crate) fn mistaken(&self, mut order: Order) -> Order {
        match self.desk.planted {
            Some(Bug::SizeTooLarge) => {
                let lot = self.desk.instrument(order.instrument).spec().lot;
                order.qty = Qty::new(order.qty.raw() + lot).expect("within the bound");
            }
            Some(Bug::WrongSide) => {
                order.reduce_only = false;
                order.side = match order.side {
                    OrderSide::Buy => OrderSide::Sell,
                    OrderSide::Sell => OrderSide::Buy,
                };
            }
            Some(Bug::WrongInstrument) => {
                let others = self.desk.instruments.len() as u16;
                order.instrument = InstrumentId((order.instrument.0 + 1) % others);
                (order.reduce_only, order.limit) = (false, None);
            }
            _ => {}
        }
        order
    }

    /// What it says instead; `None` when it says nothing.
    pub(crate) fn misreported(&mut self, mut report: Report) -> Option<Report> {
        match (self.desk.planted, &mut report) {
            (Some(Bug::FillsNotReported), Report::Fill { .. })
            | (Some(Bug::EndNotReported), Report::PlanEnded { .. }) => return None,
            (Some(Bug::FillReportedTwice), Report::Fill { .. }) if self.desk.said_twice => {
                self.desk.said_twice = false;
            }
            (Some(Bug::FillReportedTwice), Report::Fill { .. }) => {
                self.desk.said_twice = true;
                self.desk.push_report(report);
            }
            (Some(Bug::ClosedTakenAsMissed), Report::PlanEnded { outcome, .. })
                if *outcome == Outcome::Closed =>
            {
                *outcome = Outcome::Missed;
            }
            _ => {}
        }
        Some(report)
    }

    /// Whether it asks this: the first of an order, when it asks once.
    pub(crate) fn asks(&mut self, ask: &Ask) -> bool {
        match (self.desk.planted, ask) {
            (Some(Bug::NeverAsks), Ask::Order { .. } | Ask::Holding { .. }) => false,
            (Some(Bug::AsksOnce), Ask::Order { id, .. }) => {
                self.desk.asked_once.replace(*id) != Some(*id)
            }
            _ => true,
        }
    }
}
