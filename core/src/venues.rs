//! What each venue lets through: its budget, its wish for patience, and whether it takes orders at
//! all. Decided by what the executor sends and hears, like everything else.

use alloc::vec::Vec;

use arrayvec::ArrayVec;

use crate::breaker::Breaker;
use crate::budget::{Budget, Lane, VenueBudget};
use crate::desk::Desk;
use crate::enter::Enter;
use crate::executor::Executor;
use crate::exit::Exit;
use crate::instrument::{AccountId, Instrument, InstrumentId, VenueId};
use crate::limits::{LIMITED_MAX, READ_PATIENCE};
use crate::note::ExecutorNote;
use crate::order::{Ask, ClientOrderId, HoldingRead, OrderChange, RejectClass};
use crate::pricing::Quotes;
use crate::retry::Retry;
use crate::units::{Nanos, Qty};

pub use crate::budget::{BudgetError, Quota};

/// Accounts of a venue whose reads are told apart; those of further ones count each time.
const ACCOUNTS: usize = 8;

/// The reads of an account. One read tells all that it holds.
#[derive(Clone, Copy, Debug)]
struct Reading {
    account: AccountId,
    /// Asked for then, and not answered yet.
    since: Option<Nanos>,
    /// When the question left to which the newest answer came.
    answered: Nanos,
}

/// One venue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Venue {
    budget: Option<Budget>,
    /// Its own wish: nothing before.
    limited_until: Nanos,
    /// Refusals for too many requests, in a row.
    limits: u8,
    breaker: Breaker,
    readings: ArrayVec<Reading, ACCOUNTS>,
}

/// What a venue lets through now, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VenueView {
    /// Which.
    pub venue: VenueId,
    /// Why it is sent nothing but one order at a time.
    pub held: Option<RejectClass>,
    /// Until when it is sent nothing at all, by its own wish.
    pub limited_until: Option<Nanos>,
    /// Orders that closing everything there takes at least: one of each open leg.
    pub orders: u32,
    /// How many of them could go at once.
    pub at_once: u32,
    /// How long all of them take to be sent at most, as far as the venue lets them through.
    pub wait: Nanos,
}

impl VenueView {
    /// Whether everything there could be closed at once.
    #[must_use]
    pub const fn can_close_now(&self) -> bool {
        self.orders == self.at_once && self.wait.0 == 0
    }
}

impl Venue {
    /// When so many orders may go; `now` when they may at once.
    fn orders_at(&self, now: Nanos, orders: u32, lane: Lane) -> Nanos {
        let by_budget = self.budget.map_or(now, |budget| budget.orders_at(now, orders, lane));
        // One order at a time is tried.
        let held = match self.breaker.held() {
            Some(_) if orders > 1 => now.plus(Nanos(1)),
            _ => self.breaker.order_at(now),
        };
        by_budget.max(held).max(self.limited_until)
    }

    /// A question is about to be asked: when it may be; `now` when at once, and then it counts.
    fn ask_at(&mut self, now: Nanos, ask: &Ask, lane: Lane) -> Nanos {
        let Some(budget) = self.budget else { return now.max(self.limited_until) };
        let reads = match *ask {
            Ask::Forget { .. } => return now,
            Ask::Order { .. } => None,
            Ask::Holding { account, .. } => Some(account),
        };
        let weight = match reads {
            None => budget.query_weight(),
            // What is asked already is not asked again.
            Some(account) if self.is_reading(now, account) => 0,
            Some(_) => budget.read_weight(),
        };
        let at = budget.weight_at(now, weight, lane).max(self.limited_until);
        if at <= now {
            self.take(now, weight);
            if let Some(of) = reads.and_then(|account| self.reading(account)) {
                of.since = of.since.or(Some(now));
            }
        }
        at
    }

    fn take(&mut self, now: Nanos, weight: u32) {
        if let Some(budget) = &mut self.budget {
            budget.take_weight(now, weight);
        }
    }

    fn reading(&mut self, account: AccountId) -> Option<&mut Reading> {
        let at = self.readings.iter().position(|of| of.account == account);
        if at.is_none() {
            let reading = Reading { account, since: None, answered: Nanos(0) };
            self.readings.try_push(reading).ok()?;
        }
        let at = at.unwrap_or(self.readings.len() - 1);
        Some(&mut self.readings[at])
    }

    fn is_reading(&mut self, now: Nanos, account: AccountId) -> bool {
        let Some(of) = self.reading(account) else { return false };
        if of.since.is_some_and(|since| now.since(since) > READ_PATIENCE) {
            of.since = None;
        }
        of.since.is_some()
    }

    /// An account was read. Reads that nobody asked for here count when they come.
    fn on_read(&mut self, now: Nanos, read: &HoldingRead) {
        let Some(budget) = self.budget else { return };
        let counted = match self.reading(read.account) {
            Some(of) => {
                let counted = of.since.take().is_some() || of.answered == read.asked;
                of.answered = read.asked;
                counted
            }
            None => false,
        };
        if !counted {
            self.take(now, budget.read_weight());
        }
    }
}

/// All venues of the instruments, by id.
#[derive(Debug)]
pub(crate) struct Venues(Vec<Venue>);

impl Venues {
    pub(crate) fn new(instruments: &[Instrument]) -> Self {
        let count = instruments.iter().map(|of| usize::from(of.spec().venue.0) + 1).max();
        Self(alloc::vec![Venue::default(); count.unwrap_or(0)])
    }
}

impl Venues {
    /// The next run: its venues are those of these instruments too, and what was being read is not
    /// any more.
    pub(crate) fn restart(&mut self, instruments: &[Instrument]) {
        let Self(next) = Self::new(instruments);
        self.0.resize_with(next.len().max(self.0.len()), Venue::default);
        let readings = self.0.iter_mut().flat_map(|venue| &mut venue.readings);
        readings.for_each(|reading| reading.since = None);
    }

    /// The clock was set back by this much, to this time.
    pub(crate) fn set_back(&mut self, by: Nanos, now: Nanos) {
        for venue in &mut self.0 {
            venue.limited_until = venue.limited_until.since(by);
            venue.breaker.set_back(by);
            if let Some(budget) = &mut venue.budget {
                budget.set_back(now);
            }
        }
    }
}

impl Desk {
    fn venue_of(&mut self, instrument: InstrumentId) -> &mut Venue {
        let venue = self.instrument(instrument).spec().venue;
        &mut self.venues.0[usize::from(venue.0)]
    }

    /// When so many orders may go to the venue of an instrument; `now` when they may at once.
    pub(crate) fn orders_at(
        &mut self,
        now: Nanos,
        instrument: InstrumentId,
        orders: u32,
        lane: Lane,
    ) -> Nanos {
        if planted!(self, BudgetOff) {
            return now;
        }
        let at = self.venue_of(instrument).orders_at(now, orders, lane);
        self.counters.budget_waits += u64::from(at > now);
        at
    }

    /// An order leaves.
    pub(crate) fn on_sent(&mut self, now: Nanos, instrument: InstrumentId, id: ClientOrderId) {
        let venue = self.venue_of(instrument);
        if let Some(budget) = &mut venue.budget {
            budget.take_order(now);
        }
        venue.breaker.on_sent(now, id);
    }

    /// Asks, when the venue's budget allows it; else says when it will.
    pub(crate) fn ask(
        &mut self,
        now: Nanos,
        instrument: InstrumentId,
        ask: Ask,
        lane: Lane,
    ) -> Result<(), Nanos> {
        let at = self.venue_of(instrument).ask_at(now, &ask, lane);
        if at > now {
            self.counters.budget_waits += 1;
            return Err(at);
        }
        self.push_ask(ask);
        Ok(())
    }

    /// What an account holds is to be read, for what comes later: whatever the budget says, because
    /// nobody asks again.
    pub(crate) fn read_soon(&mut self, now: Nanos, account: AccountId, instrument: InstrumentId) {
        let venue = self.venue_of(instrument);
        if let Some(weight) = venue.budget.map(|budget| budget.read_weight())
            && !venue.is_reading(now, account)
        {
            venue.take(now, weight);
            if let Some(of) = venue.reading(account) {
                of.since = Some(now);
            }
        }
        self.push_ask(Ask::Holding { account, instrument });
    }

    /// An account of an instrument's venue was read.
    pub(crate) fn on_read(&mut self, now: Nanos, read: &HoldingRead) {
        self.venue_of(read.instrument).on_read(now, read);
    }

    /// A venue says something of an order.
    pub(crate) fn on_word(
        &mut self,
        now: Nanos,
        instrument: InstrumentId,
        id: ClientOrderId,
        what: OrderChange,
    ) {
        let stays = planted!(self, HeldForEver);
        let venue = self.instrument(instrument).spec().venue;
        let of = &mut self.venues.0[usize::from(venue.0)];
        match what {
            OrderChange::Doubted | OrderChange::NotFound => {}
            OrderChange::Rejected(RejectClass::RateLimit) => {
                of.limits = of.limits.saturating_add(1);
                let pause = Retry::of(RejectClass::RateLimit).pause(of.limits);
                of.limited_until = of.limited_until.max(now.plus(pause));
            }
            OrderChange::Rejected(why @ (RejectClass::Unavailable | RejectClass::Fatal)) => {
                if of.breaker.on_refused(now, id, instrument, why) {
                    self.counters.venues_held += 1;
                    self.tripped = Some((venue, why));
                }
            }
            OrderChange::Acked
            | OrderChange::Filled { .. }
            | OrderChange::Expired
            | OrderChange::Rejected(RejectClass::Price | RejectClass::Size) => {
                of.limits = 0;
                if !stays && of.breaker.on_evidence() {
                    self.resumed = Some(venue);
                }
            }
        }
    }
}

impl Executor {
    /// What a venue takes within a time. Without it nothing bounds what is sent there but the gate
    /// of each leg.
    ///
    /// # Errors
    /// When no instrument is of that venue, or the budget is out of bounds.
    pub fn set_budget(&mut self, venue: VenueId, budget: VenueBudget) -> Result<(), BudgetError> {
        budget.check()?;
        let of = self.desk.venues.0.get_mut(usize::from(venue.0));
        let of = of.ok_or(BudgetError::UnknownVenue { venue: venue.0 })?;
        // The same again forgets nothing of what was used.
        if of.budget.is_none_or(|known| known.spec() != budget) {
            of.budget = Some(Budget::new(budget));
        }
        Ok(())
    }

    /// A venue wants to be sent nothing for so long (429, 418: `Retry-After`), at most
    /// [`LIMITED_MAX`]. Plans and questions wait until then.
    pub fn on_limited(&mut self, now: Nanos, venue: VenueId, wait: Nanos) {
        let Some(of) = self.desk.venues.0.get_mut(usize::from(venue.0)) else { return };
        let until = now.plus(wait.min(LIMITED_MAX));
        if until > of.limited_until {
            of.limited_until = until;
            self.desk.counters.venues_limited += 1;
            self.desk.push_note(ExecutorNote::VenueLimited { venue, until });
        }
    }

    /// What each venue lets through, and whether everything there could be closed now. Looks at all
    /// positions, once for each venue.
    pub fn venues(&self, now: Nanos) -> impl Iterator<Item = VenueView> {
        (0..=u8::MAX).map_while(move |at| self.venue(now, VenueId(at)))
    }

    /// The same at the time of the last event.
    pub fn venues_last(&self) -> impl Iterator<Item = VenueView> {
        self.venues(self.desk.now)
    }

    /// What one venue lets through; `None` when no instrument is of it or a later one.
    #[must_use]
    pub fn venue(&self, now: Nanos, venue: VenueId) -> Option<VenueView> {
        let at = usize::from(venue.0);
        let of = self.desk.venues.0.get(at)?;
        let there = |id| usize::from(self.desk.instrument(id).spec().venue.0) == at;
        let legs = self.exits.iter().flatten().flat_map(|exit| &exit.legs);
        let legs = legs.filter(|leg| leg.open > Qty::ZERO && there(leg.instrument)).count();
        let held_of = self.entries.iter().flat_map(Enter::held_of);
        let orders = (legs + held_of.filter(|id| there(*id)).count()) as u32;
        let every = (orders, Nanos(0));
        let (at_once, wait) = of.budget.map_or(every, |budget| budget.closing(now, orders));
        let limited_until = (of.limited_until > now).then_some(of.limited_until);
        let held = of.breaker.held();
        let held_until = held.map(|_| of.breaker.order_at(now));
        let idle = limited_until.max(held_until).map_or(Nanos(0), |until| until.since(now));
        let at_once = if limited_until.is_some() || held.is_some() { 0 } else { at_once };
        let wait = if orders == 0 { Nanos(0) } else { wait.plus(idle) };
        Some(VenueView { venue, held, limited_until, orders, at_once, wait })
    }

    /// Tells what an order's word has done to its venue, and has everything go on that waited there.
    pub(crate) fn look_at_venues(&mut self, now: Nanos, quotes: &impl Quotes) {
        if let Some((venue, why)) = self.desk.tripped.take() {
            self.desk.push_note(ExecutorNote::VenueHeld { venue, why });
            for exit in self.exits.iter().flatten().filter(|exit| !exit.closed) {
                tell_half_held(exit, venue, &mut self.desk);
            }
        }
        if let Some(venue) = self.desk.resumed.take() {
            self.desk.push_note(ExecutorNote::VenueResumed { venue });
            self.advance_all(now, quotes);
        }
    }
}

/// A position of several legs of which only some are at a venue that is held.
fn tell_half_held(exit: &Exit, venue: VenueId, desk: &mut Desk) {
    let open = |at: &usize| exit.legs[*at].open > Qty::ZERO;
    let there = |at: &usize| desk.instrument(exit.legs[*at].instrument).spec().venue == venue;
    let legs = || (0..exit.legs.len()).filter(open);
    let held = legs().find(there);
    let half = held.is_some() && legs().any(|at| !there(&at));
    if let Some(leg) = held.filter(|_| half) {
        desk.push_note(ExecutorNote::HalfHeld { position: exit.id, leg: leg as u8, venue });
    }
}
