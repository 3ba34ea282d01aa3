//! One position in the executor's hands: its legs, and the plan that closes it.
//!
//! Events change the legs; after each event [`Exit::advance`] decides what the plan does next. How
//! orders are priced and sized by urgency stands in `work`.

use arrayvec::ArrayVec;

use crate::desk::Desk;
use crate::event::{Outcome, Report};
use crate::intent::{Intent, Urgency};
use crate::leg::{Ending, Leg};
use crate::limits::{AMOUNT_MAX, FAILED_ATTEMPTS_MAX, LEGS_MAX};
use crate::note::ExecutorNote;
use crate::order::{Ask, ClientOrderId, OrderChange, OrderEvent, OrderState};
use crate::plan::Plan;
use crate::policy::ExitSettings;
use crate::position::PositionId;
use crate::pricing::Quotes;
use crate::protocol::Word;
use crate::retry::Retry;
use crate::units::{Nanos, Price, Qty};

/// See the module.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) id: PositionId,
    /// How many positions were taken on up to this one.
    pub(crate) taken: u64,
    /// Decimals of its money: see [`crate::admission::Terms`].
    pub(crate) scale: u8,
    pub(crate) settings: ExitSettings,
    pub(crate) max_unhedged: Option<i128>,
    pub(crate) legs: ArrayVec<Leg, LEGS_MAX>,
    pub(crate) plan: Option<Plan>,
    /// Newest plan number given out, to this position or an earlier one of its slot.
    pub(crate) plans: u32,
    /// Flat, and said so.
    pub(crate) closed: bool,
}

/// What a plan does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It waits for evidence, and at the latest until this time.
    Working(Option<Nanos>),
    /// It is over.
    Ended(Outcome),
}

impl Exit {
    /// Takes the engine's decision in.
    pub(crate) fn on_intent(&mut self, now: Nanos, intent: &Intent, desk: &mut Desk) {
        assert_eq!(usize::from(intent.legs), self.legs.len(), "the engine knows the position");
        self.write_off(intent, desk);
        let rose = match &mut self.plan {
            Some(plan) => {
                let rose = plan.raise(intent);
                if planted!(desk, UrgencyPutBack) {
                    plan.urgency = intent.urgency;
                }
                rose
            }
            None => {
                let number = self.next_number();
                self.plan = Some(Plan::new(now, number, intent));
                self.legs.iter_mut().for_each(|leg| leg.short = false);
                intent.urgency > Urgency::Opportunistic
            }
        };
        if rose {
            self.legs.iter_mut().for_each(Leg::on_raise);
        }
    }

    fn next_number(&mut self) -> u32 {
        self.plans = self.plans.checked_add(1).expect("2^32 plans take a century");
        self.legs.iter_mut().for_each(|leg| leg.attempt = 0);
        self.plans
    }

    /// The id of a leg's next order. A plan that outlives its attempt numbers goes on under a new
    /// plan number, so that no id is ever used twice.
    pub(crate) fn next_id(&mut self, i: usize, desk: &Desk) -> ClientOrderId {
        if self.legs[i].attempt == u16::MAX {
            let number = self.next_number();
            self.plan.as_mut().expect("orders belong to a plan").number = number;
        }
        let plan = self.plan.as_mut().expect("orders belong to a plan");
        plan.attempts = plan.attempts.saturating_add(1);
        self.legs[i].attempt += u16::from(!planted!(desk, IdUsedAgain));
        ClientOrderId {
            epoch: desk.epoch,
            position: self.id,
            leg: i as u8,
            plan: plan.number,
            attempt: self.legs[i].attempt,
        }
    }

    /// Takes evidence in. What fits no live order is counted, changes nothing and returns false.
    pub(crate) fn on_order_event(
        &mut self,
        now: Nanos,
        event: &OrderEvent,
        desk: &mut Desk,
    ) -> bool {
        let i = usize::from(event.id.leg);
        if planted!(desk, EarlierAnswersIgnored) && event.id.epoch != desk.epoch {
            return false;
        }
        if let Some(at) = desk.asides.find(event.id) {
            if planted!(desk, AsideNotHeard) {
                return false;
            }
            return self.with_aside(at, desk, |exit, _, desk| exit.take_word(now, event, desk));
        }
        let Some(order) = self.legs.get(i).and_then(|leg| leg.order) else {
            desk.counters.unknown_orders += 1;
            return false;
        };
        if order.id != event.id || !order.state.is_live() {
            let number = |id: ClientOrderId| (id.epoch, id.plan, id.attempt);
            let sent = number(event.id) <= number(order.id);
            let counter = if sent {
                &mut desk.counters.late_events
            } else {
                &mut desk.counters.unknown_orders
            };
            *counter += 1;
            return false;
        }
        self.take_word(now, event, desk)
    }

    /// Takes evidence of a leg's live order in.
    fn take_word(&mut self, now: Nanos, event: &OrderEvent, desk: &mut Desk) -> bool {
        let i = usize::from(event.id.leg);
        desk.on_word(now, self.legs[i].instrument, event.id, event.what);
        match event.what {
            OrderChange::Doubted | OrderChange::NotFound => {}
            _ => self.legs[i].throttle.on_evidence(),
        }
        match event.what {
            OrderChange::Acked => drop(self.hear(now, i, Word::Acked)),
            OrderChange::Filled { trade_id, price, qty, fee } => {
                self.on_fill(now, i, trade_id, price, qty, fee, desk);
            }
            OrderChange::Expired => self.settle(now, i, Ending::Expired, desk),
            OrderChange::Rejected(class) => self.settle(now, i, Ending::Rejected(class), desk),
            OrderChange::Doubted => {
                desk.counters.doubted += u64::from(self.hear(now, i, Word::Doubted));
                if planted!(desk, ReservationForgotten) {
                    let leg = &mut self.legs[i];
                    desk.holdings.release(leg.place, leg.live);
                    leg.live = Qty::ZERO;
                }
            }
            OrderChange::NotFound => {
                desk.counters.not_found += u64::from(self.hear(now, i, Word::NotFound));
                if planted!(desk, NotFoundTooSoon) {
                    self.legs[i].order.as_mut().expect("it is live").state =
                        OrderState::Unknown { not_found: crate::protocol::NOT_FOUNDS };
                }
                if planted!(desk, DeadWithoutRead) && self.legs[i].awaits_read() {
                    self.settle(now, i, Ending::Dead, desk);
                }
            }
        }
        true
    }

    /// A word of a leg's live order that moves no quantity.
    fn hear(&mut self, now: Nanos, i: usize, word: Word) -> bool {
        self.legs[i].order.as_mut().is_some_and(|order| order.hear(now, word))
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one fill")]
    fn on_fill(
        &mut self,
        now: Nanos,
        i: usize,
        trade_id: u64,
        price: Price,
        qty: Qty,
        fee: i128,
        desk: &mut Desk,
    ) {
        let leg = &mut self.legs[i];
        let order = leg.order.as_mut().expect("the event is of the live order");
        let counted = order.count(trade_id, qty, desk);
        if counted == Qty::ZERO {
            return;
        }
        let in_bounds = fee
            .checked_mul(i128::from(leg.align))
            .is_some_and(|fee| (-AMOUNT_MAX..=AMOUNT_MAX).contains(&fee));
        desk.counters.absurd_fees += u64::from(!in_bounds);
        let fee = if in_bounds { fee } else { 0 };
        self.take_fill(now, i, price, counted, fee, desk);
        if self.legs[i].live == Qty::ZERO {
            self.settle(now, i, Ending::Filled, desk);
        }
    }

    /// Books a fill of at most what is live.
    fn take_fill(
        &mut self,
        now: Nanos,
        i: usize,
        price: Price,
        qty: Qty,
        fee: i128,
        desk: &mut Desk,
    ) {
        let leg = &mut self.legs[i];
        let instrument = *desk.instrument(leg.instrument);
        leg.fill(now, price, qty, fee, &instrument, desk);
        let plan = self.plan.as_mut().expect("a live order belongs to a plan");
        plan.filled = true;
        plan.clip_filled = true;
        plan.progress_at = now;
        plan.stuck = false;
        desk.push_report(Report::Fill { position: self.id, leg: i as u8, price, qty, fee });
    }

    /// A read of the holding has decided on a leg's order of unknown fate: of what is missing there,
    /// the order has taken as much as it could. What it had no word for is a fill at its limit; one
    /// at the market is priced at the newest quote.
    pub(crate) fn prove(
        &mut self,
        now: Nanos,
        i: usize,
        missing: i128,
        desk: &mut Desk,
        quotes: &impl Quotes,
    ) -> i128 {
        let leg = &self.legs[i];
        let order = leg.order.expect("a read decides on orders");
        let taken = i128::from(leg.live.raw()).min(missing.max(0));
        let inferred = Qty::new(taken as i64).expect("part of what is live");
        let inferred = if planted!(desk, InferredForgotten) { Qty::ZERO } else { inferred };
        if inferred > Qty::ZERO {
            let price = order.limit.unwrap_or_else(|| leg.size_price(quotes.top(leg.instrument)));
            let instrument = desk.instrument(leg.instrument);
            let fee = instrument.fee_nano(price, inferred, instrument.spec().taker);
            desk.counters.inferred += 1;
            self.take_fill(now, i, price, inferred, fee, desk);
        }
        let leg = &mut self.legs[i];
        leg.throttle.on_evidence();
        let (account, instrument) = (leg.account, leg.instrument);
        let ending = match inferred {
            Qty::ZERO => Ending::Dead,
            _ if leg.live == Qty::ZERO => Ending::Filled,
            _ => Ending::Expired,
        };
        self.settle(now, i, ending, desk);
        desk.push_ask(Ask::Forget { id: order.id, account, instrument });
        desk.push_note(ExecutorNote::Proven { id: order.id, inferred });
        taken
    }

    fn settle(&mut self, now: Nanos, i: usize, ending: Ending, desk: &mut Desk) {
        let plan = self.plan.as_mut().expect("a live order belongs to a plan");
        self.legs[i].settle(now, ending, plan.urgency, desk);
        self.lose_now(i, desk);
        let plan = self.plan.as_mut().expect("it goes on");
        let refused = matches!(ending, Ending::Rejected(class) if Retry::of(class).alarms);
        if refused && !plan.stuck {
            plan.stuck = true;
            desk.counters.stuck += 1;
            desk.push_note(ExecutorNote::Stuck { position: self.id });
        }
    }

    /// Decides what the plan does next, and does it. Returns when it wants to be called again
    /// without any event.
    pub(crate) fn advance(
        &mut self,
        now: Nanos,
        desk: &mut Desk,
        quotes: &impl Quotes,
    ) -> Option<Nanos> {
        if self.plan.as_ref()?.stuck && planted!(desk, StuckGivesUp) {
            return None;
        }
        let minds = self.mind_legs(now, desk, quotes);
        self.escalate(desk);
        let step = match self.reached() {
            Some(outcome) => Step::Ended(outcome),
            None => self.work(now, desk, quotes),
        };
        match step {
            Step::Working(wake) => {
                let looks = [wake, minds, self.watch(now, desk), self.look_after(now, desk)];
                let wake = looks.into_iter().flatten().min();
                assert!(wake.is_none_or(|at| at > now), "a plan waits for a later time");
                wake
            }
            Step::Ended(outcome) => {
                self.end(now, outcome, desk);
                None
            }
        }
    }

    /// The outcome when every leg is at its target and nothing is in flight.
    fn reached(&self) -> Option<Outcome> {
        let plan = self.plan.as_ref()?;
        let mut legs = self.legs.iter().zip(&plan.keep);
        if !legs.all(|(leg, &keep)| leg.open <= keep && !leg.is_busy()) {
            return None;
        }
        let flat = self.legs.iter().all(|leg| leg.open == Qty::ZERO);
        Some(if flat { Outcome::Closed } else { Outcome::Done })
    }

    /// A partly filled opportunistic plan is completed at normal urgency as soon as an order of its
    /// clip ended short; a normal one that failed too often becomes protective.
    fn escalate(&mut self, desk: &mut Desk) {
        let Some(plan) = &mut self.plan else { return };
        let urgency = match plan.urgency {
            Urgency::Opportunistic if plan.clip_filled => Urgency::Normal,
            Urgency::Normal => Urgency::Protective,
            _ => return,
        };
        let due = match urgency {
            Urgency::Normal => self.legs.iter().any(|leg| leg.short),
            _ => self.legs.iter().any(|leg| leg.failed >= FAILED_ATTEMPTS_MAX),
        };
        if due {
            self.escalate_to(urgency, desk);
        }
    }

    /// The plan becomes more urgent by itself.
    pub(crate) fn escalate_to(&mut self, urgency: Urgency, desk: &mut Desk) {
        self.plan.as_mut().expect("only plans escalate").urgency = urgency;
        desk.counters.escalated += 1;
        self.legs.iter_mut().for_each(Leg::on_raise);
    }

    /// Flags a plan without progress, or says when that would be due. A stuck plan goes on.
    fn watch(&mut self, now: Nanos, desk: &mut Desk) -> Option<Nanos> {
        let plan = self.plan.as_mut()?;
        if plan.stuck {
            return None;
        }
        let due = plan.progress_at.plus(self.settings.stuck_after);
        if now < due {
            return Some(due);
        }
        plan.stuck = true;
        desk.counters.stuck += 1;
        desk.push_note(ExecutorNote::Stuck { position: self.id });
        None
    }

    /// Has venues asked for the orders that have not been heard of for long.
    pub(crate) fn look_after(&mut self, now: Nanos, desk: &mut Desk) -> Option<Nanos> {
        let asks = self.legs.iter_mut().filter_map(|leg| {
            let place = (leg.account, leg.instrument);
            leg.order.as_mut()?.look_after(now, place, desk)
        });
        let asks = asks.min();
        asks.into_iter().chain(self.look_after_asides(now, desk)).min()
    }

    fn end(&mut self, now: Nanos, outcome: Outcome, desk: &mut Desk) {
        self.hedged(now, desk);
        assert!(self.legs.iter().all(|leg| !leg.is_busy()), "a plan ends with nothing in flight");
        let flat = self.legs.iter().all(|leg| leg.open == Qty::ZERO);
        assert_eq!(outcome == Outcome::Closed, flat, "closed means flat by fills");
        let plan = self.plan.take().expect("only a live plan ends");
        if flat {
            self.closed = true;
            for leg in &self.legs {
                desk.holdings.leave(leg.key());
            }
        }
        desk.push_report(Report::PlanEnded { position: self.id, intent: plan.seen, outcome });
    }
}
