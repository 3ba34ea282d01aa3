//! All positions together: total net, the rules on it, and what may be done at all.
//!
//! The total changes by what an event changed: an accepted quote replaces its instrument's value, a
//! fill its position's. At the end of every event the total is compared with a few amounts; only
//! what is reached looks at the positions.

mod average;
mod close;
mod epoch;
mod health;
mod money;
mod note;
mod session;
mod settings;
mod state;
mod sum;

use alloc::vec::Vec;

use crate::engine::Engine;
use crate::heap::NodeId;
use crate::instrument::{Instrument, InstrumentId};
use crate::limits::{LEGS_MAX, PPB, QTY_MAX};
use crate::note::EngineNote;
use crate::policy::Policy;
use crate::position::{PositionState, RegisterError, Side};
use crate::tracked::Tracked;
use crate::units::{Decimal, Nanos, Price, Qty};
use crate::watch::{SystemTimer, Timer};

pub use self::health::{Health, PART_TIGHT};
pub use self::note::{PortfolioNote, PortfolioRule};
pub use self::settings::{
    Breakers, ClosingFee, DrawdownFrom, PORTFOLIO_AMOUNT_MAX, Partial, PortfolioError,
    PortfolioSettings,
};

use self::close::{Cause, Ranked};
use self::epoch::Epoch;
pub(crate) use self::health::HEALTH_PARTS;
use self::health::{GROSS_MAX, Member, Vitals};
use self::money::{CLOSED_MAX, Money, POSITION_MAX, held_within, readable};
use self::session::Session;
use self::state::States;
use self::sum::{Sum, Terms};

/// What is known of one position beside what the engine tracks, by slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// Realised so far, at the position's nano scale.
    banked: i128,
    /// What the total holds of it beside its open legs.
    cash: Money,
    /// Whether the total holds it.
    counted: bool,
    /// Whether its prices must be usable for a profit: not once it is dust.
    live: bool,
    /// What wants it closed until it is.
    causes: u8,
    /// The breaker's level among the causes.
    level: u8,
    /// Whether the close of everything that runs now closes it.
    in_run: bool,
    /// Its maximum age.
    age: NodeId,
}

impl Held {
    const NONE: Self = Self {
        banked: 0,
        cash: 0,
        counted: false,
        live: false,
        causes: 0,
        level: 0,
        in_run: false,
        age: NodeId::NONE,
    };
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Portfolio {
    settings: Option<PortfolioSettings>,
    sums: Vec<Sum>,
    held: Vec<Held>,
    /// By slot; none without health.
    members: Vec<Member>,
    vitals: Option<Vitals>,
    /// Σ of what `sums` and `held` hold.
    open: Money,
    /// What positions that are closed have brought.
    closed: Money,
    epoch: Epoch,
    session: Session,
    pub(crate) states: States,
    /// Positions that reached their maximum age at this event.
    aged: Vec<u32>,
    /// The position whose plan ended at this event although it shall be closed.
    again: Option<u32>,
    /// The last close of everything that allows no entries: when, why and the breaker's level.
    all_closed: Option<(Nanos, Cause, u8)>,
    ranked: Vec<Ranked>,
    /// The next time at which something of all this is due without an event, and its timer.
    wake: Option<(Nanos, NodeId)>,
}

impl Portfolio {
    pub(crate) fn off() -> Self {
        Self {
            settings: None,
            sums: Vec::new(),
            held: Vec::new(),
            members: Vec::new(),
            vitals: None,
            open: 0,
            closed: 0,
            epoch: Epoch::default(),
            session: Session::default(),
            states: States::default(),
            aged: Vec::new(),
            again: None,
            all_closed: None,
            ranked: Vec::new(),
            wake: None,
        }
    }

    fn total(&self) -> Money {
        self.open + self.closed
    }
}

/// Where the positions together stand, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortfolioView {
    /// Total net of every position since it was entered: rule net of what is open and everything
    /// realised, rounded against us at 18 decimals.
    pub total: Decimal,
    /// What of it belongs to this epoch; `None` between two epochs.
    pub epoch: Option<Decimal>,
    /// Equity at the start of the session (or at its peak) and now; `None` without breakers.
    pub equity: Option<[Decimal; 2]>,
    /// The highest breaker of this session, 0 for none.
    pub breaker: u8,
    /// The score of health, 0 to 100 points; `None` without health or with too few positions.
    pub health: Option<Decimal>,
}

impl Engine {
    /// Watches all positions together. Call it once, before the first position is registered and the
    /// first task is added.
    ///
    /// # Errors
    /// When a setting is out of bounds, or positions or tasks are there already.
    pub fn set_portfolio(&mut self, settings: PortfolioSettings) -> Result<(), PortfolioError> {
        settings.check()?;
        let begun = !self.positions.is_empty() || self.has_tasks();
        if begun || self.portfolio.settings.is_some() {
            return Err(PortfolioError::Late);
        }
        let positions = self.limits.positions;
        let portfolio = &mut self.portfolio;
        portfolio.sums = alloc::vec![Sum::default(); self.books.len()];
        portfolio.held = alloc::vec![Held::NONE; positions];
        portfolio.aged = Vec::with_capacity(positions);
        portfolio.ranked = Vec::with_capacity(positions);
        portfolio.epoch = Epoch::of(&settings);
        portfolio.session = Session::of(&settings);
        if let Some(health) = &settings.health {
            portfolio.members = alloc::vec![Member::NONE; positions];
            portfolio.vitals = Some(Vitals::of(health.clone(), positions));
            self.watch.add_timer_room(positions);
        }
        portfolio.settings = Some(settings);
        // In one event a position may be asked for by a breaker, for its age, by a close that becomes
        // protective, by the loss that follows it and for a bad health; one whose plan ended, by
        // every cause again.
        let room = 5 * positions + close::CAUSES;
        // None waits between two events.
        self.candidates.reserve_exact(self.candidates.capacity() + room);
        // An age for each position, and one timer for all of them together.
        self.watch.add_timer_room(positions + 1);
        Ok(())
    }

    /// Where the positions together stand; `None` without a portfolio.
    #[must_use]
    pub fn portfolio(&self) -> Option<PortfolioView> {
        let portfolio = &self.portfolio;
        portfolio.settings.as_ref()?;
        let total = portfolio.total();
        Some(PortfolioView {
            total: readable(total),
            epoch: portfolio.epoch.net(total).map(readable),
            equity: portfolio.session.equity(total).map(|both| both.map(readable)),
            breaker: portfolio.session.fired(),
            health: self.health_score().map(|score| Decimal { mantissa: score.into(), scale: 9 }),
        })
    }

    /// What a position must satisfy beside its own checks to be one of the portfolio.
    pub(crate) fn portfolio_admits(
        &self,
        policy: &Policy,
        position: &Tracked,
    ) -> Result<(), RegisterError> {
        let Some(settings) = &self.portfolio.settings else { return Ok(()) };
        let mut sums: [(Option<InstrumentId>, Sum); LEGS_MAX] = Default::default();
        for (at, leg) in position.legs().iter().enumerate() {
            let instrument = self.books.instrument(leg.instrument).expect("registration knew it");
            self.portfolio_suits(at, instrument, policy)?;
            // Two legs may be on one instrument.
            let found = sums.iter().position(|(id, _)| *id == Some(leg.instrument));
            let place = found.unwrap_or(at);
            if found.is_none() {
                let sum = self.portfolio.sums[usize::from(leg.instrument.0)];
                sums[place] = (Some(leg.instrument), sum);
            }
            let terms = Terms::of(leg, instrument, policy, settings);
            if !sums[place].1.has_room(&terms) {
                return Err(RegisterError::Full {
                    what: "Σ quantity × multiplier of one side of an instrument of the portfolio",
                    max: QTY_MAX as usize,
                });
            }
            sums[place].1.add(&terms);
        }
        if self
            .portfolio
            .vitals
            .as_ref()
            .is_some_and(|vitals| !vitals.has_room(health::gross(position)))
        {
            return Err(RegisterError::Full {
                what: "millionths of the currency of the gross notional that health scores",
                max: GROSS_MAX as usize,
            });
        }
        Ok(())
    }

    /// What a leg must satisfy to be one of the portfolio, however large it is.
    pub(crate) fn portfolio_suits(
        &self,
        leg: usize,
        instrument: &Instrument,
        policy: &Policy,
    ) -> Result<(), RegisterError> {
        let Some(settings) = &self.portfolio.settings else { return Ok(()) };
        let currency = instrument.spec().currency;
        if currency != settings.currency {
            let (field, value) = ("currency", i128::from(currency.0));
            let bound = "the portfolio's: a sum over two currencies needs a conversion, and none \
                         is declared";
            return Err(RegisterError::Leg { leg, field, value, bound });
        }
        let cost = sum::cost_rate(instrument, policy, settings);
        if cost.abs() >= PPB {
            let field = "closing fee × portfolio's buffer + slippage reserve (ppb)";
            let (value, bound) = (i128::from(cost), "below 100 %");
            return Err(RegisterError::Leg { leg, field, value, bound });
        }
        Ok(())
    }

    /// An entry that no position came of has cost this much, at a nano scale.
    pub(crate) fn portfolio_missed(&mut self, lost: i128, scale: u8) {
        if self.portfolio.settings.is_some() {
            self.portfolio_closed(held_within(-lost, scale, POSITION_MAX));
        }
    }

    fn portfolio_closed(&mut self, net: Money) {
        let closed = self.portfolio.closed + net;
        self.portfolio.closed = closed.clamp(-CLOSED_MAX, CLOSED_MAX);
    }

    /// A position is in its slot: the total holds it from now on.
    pub(crate) fn portfolio_enter(&mut self, slot: u32) {
        let Some(settings) = &self.portfolio.settings else { return };
        let opened = self.positions[slot as usize].opened;
        let due = settings.max_position_age.map(|age| opened.plus(age));
        self.portfolio.held[slot as usize] = Held { live: true, ..Held::NONE };
        self.portfolio_lay(slot);
        self.health_enter(slot);
        // What it had brought before the session began is no result of the session.
        if self.portfolio.session.begins_after(opened, self.now) {
            let before = self.position_net(slot);
            self.portfolio.session.shift_total(before);
        }
        match due {
            Some(due) if due <= self.now => self.portfolio.aged.push(slot),
            Some(due) => {
                let age = self.watch.add_timer(due.0, Timer::System(SystemTimer::Age, slot));
                self.portfolio.held[slot as usize].age = age;
            }
            None => {}
        }
    }

    /// Takes a position out of the sums, before its open quantities, amounts or policy change.
    pub(crate) fn portfolio_lift(&mut self, slot: u32) {
        let held = self.portfolio.held.get_mut(slot as usize);
        let Some(held) = held.filter(|held| held.counted) else { return };
        held.counted = false;
        self.portfolio.open -= held.cash;
        self.health_weigh(slot, false);
        self.portfolio_legs(slot, |sum, terms| sum.take(terms), -1);
    }

    /// Puts a position into the sums as it is now.
    pub(crate) fn portfolio_lay(&mut self, slot: u32) {
        let Some(held) = self.portfolio.held.get_mut(slot as usize) else { return };
        held.counted = true;
        held.cash = sum::cash(&self.positions[slot as usize], held.banked);
        self.portfolio.open += held.cash;
        self.health_weigh(slot, true);
        self.portfolio_legs(slot, |sum, terms| sum.add(terms), 1);
    }

    fn portfolio_legs(&mut self, slot: u32, change: impl Fn(&mut Sum, &Terms), by: i32) {
        let settings = self.portfolio.settings.as_ref().expect("something is held");
        let position = &self.positions[slot as usize];
        let policy = &self.policies[usize::from(position.policy)];
        let live = self.portfolio.held[slot as usize].live;
        for leg in position.legs() {
            let instrument = self.books.instrument(leg.instrument).expect("registration knew it");
            let terms = Terms::of(leg, instrument, policy, settings);
            let sum = &mut self.portfolio.sums[usize::from(leg.instrument.0)];
            change(sum, &terms);
            if live && leg.open > Qty::ZERO {
                sum.live = sum.live.checked_add_signed(by).expect("each leg is counted once");
            }
            let value = sum.at(self.books.quote(leg.instrument), instrument);
            self.portfolio.open += value - sum.value;
            sum.value = value;
        }
    }

    /// An instrument has a new accepted quote.
    #[inline]
    pub(crate) fn portfolio_price(&mut self, id: InstrumentId) {
        if self.portfolio.settings.is_none() {
            return;
        }
        let instrument = self.books.instrument(id).expect("it has a quote");
        let sum = &mut self.portfolio.sums[usize::from(id.0)];
        let value = sum.at(self.books.quote(id), instrument);
        self.portfolio.open += value - sum.value;
        sum.value = value;
    }

    /// A fill of a leg, whose open quantity is less by it already. The fee is at the position's
    /// nano scale.
    pub(crate) fn portfolio_bank(
        &mut self,
        slot: u32,
        leg: usize,
        price: Price,
        qty: Qty,
        fee: i128,
    ) {
        let Some(held) = self.portfolio.held.get_mut(slot as usize) else { return };
        let leg = &self.positions[slot as usize].legs[leg];
        let realised = sum::realised(leg, price.raw(), qty.raw(), fee);
        held.banked = held.banked.saturating_add(realised).clamp(-BANKED_MAX, BANKED_MAX);
    }

    /// A leg has less by no fill: nobody says at which price, so it counts at the last good one.
    pub(crate) fn portfolio_lost(&mut self, slot: u32, leg: usize, qty: Qty) {
        let of = &self.positions[slot as usize].legs[leg];
        let price = self.books.quote(of.instrument).map_or(of.entry, |quote| match of.side {
            Side::Long => quote.bid,
            Side::Short => quote.ask,
        });
        self.portfolio_bank(slot, leg, price, qty, 0);
    }

    /// A position is closed, or dust. What a closed one has brought stays in the total.
    pub(crate) fn portfolio_ended(&mut self, slot: u32, dust: bool) {
        if self.portfolio.settings.is_none() {
            return;
        }
        let net = self.position_net(slot);
        self.portfolio_lift(slot);
        self.health_leave(slot);
        let held = &mut self.portfolio.held[slot as usize];
        held.live = false;
        held.causes = 0;
        let timer = core::mem::replace(&mut held.age, NodeId::NONE);
        if core::mem::take(&mut held.in_run) {
            self.portfolio.epoch.one_ended();
        }
        if timer != NodeId::NONE {
            self.watch.remove_timer(timer);
        }
        self.portfolio.aged.retain(|&aged| aged != slot);
        if dust {
            self.portfolio_lay(slot);
        } else {
            self.portfolio_closed(net);
        }
    }

    /// Total net of one position at the last good prices, rounded down part by part.
    pub(crate) fn position_net(&self, slot: u32) -> Money {
        let settings = self.portfolio.settings.as_ref().expect("the caller saw it");
        let position = &self.positions[slot as usize];
        let policy = &self.policies[usize::from(position.policy)];
        let mut net = self.portfolio.held[slot as usize].cash;
        for leg in position.legs() {
            let instrument = self.books.instrument(leg.instrument).expect("registration knew it");
            let terms = Terms::of(leg, instrument, policy, settings);
            net += terms.value(self.books.quote(leg.instrument), instrument);
        }
        net
    }

    /// The rules over all positions, at the end of every event.
    #[inline]
    pub(crate) fn portfolio_rules(&mut self) {
        if self.portfolio.settings.is_some() {
            self.watch_portfolio();
        }
    }

    fn watch_portfolio(&mut self) {
        self.follow_session();
        self.follow_epoch();
        self.follow_ages();
        self.follow_health();
        self.set_wake();
    }

    /// Timers wake the engine; what is due is looked at, at the end of the event.
    pub(crate) fn on_portfolio_timer(&mut self) {
        self.portfolio.wake = None;
    }

    /// A position has reached the maximum age.
    pub(crate) fn on_age_timer(&mut self, slot: u32) {
        self.portfolio.held[slot as usize].age = NodeId::NONE;
        self.portfolio.aged.push(slot);
    }

    fn set_wake(&mut self) {
        let portfolio = &self.portfolio;
        let health = portfolio.vitals.as_ref().and_then(Vitals::next_due);
        let due = [portfolio.epoch.next_due(), portfolio.session.next_due(), health];
        let due = due.into_iter().flatten().min();
        if due == portfolio.wake.map(|(at, _)| at) {
            return;
        }
        if let Some((_, node)) = self.portfolio.wake.take() {
            self.watch.remove_timer(node);
        }
        self.portfolio.wake = due
            .map(|at| (at, self.watch.add_timer(at.0, Timer::System(SystemTimer::Portfolio, 0))));
    }

    fn tell(&mut self, note: PortfolioNote) {
        self.notes.push(EngineNote::Portfolio(note));
    }

    /// Whether a position has something to close.
    fn is_closable(&self, slot: u32) -> bool {
        let position = &self.positions[slot as usize];
        matches!(position.state, PositionState::Open | PositionState::Exiting)
            && !position.is_flat()
    }
}

/// Realised amounts are held here: with four legs at every bound the sum stays below 2^127.
const BANKED_MAX: i128 = 1 << 125;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineLimits;
    use crate::event::GateSettings;
    use crate::instrument::CurrencyId;

    /// In one event each of four positions may be asked for by five rules beside its triggers, and
    /// one again by every cause; each has a timer of its age and with health another.
    #[test]
    fn there_is_room_for_what_all_rules_ask_for_at_once() {
        for (health, timers) in [(None, 5), (Some(Health::default()), 9)] {
            let limits = EngineLimits::any(4, 1, 16);
            let mut engine = Engine::new(limits, &[], 1, GateSettings::default());
            let room = |engine: &Engine| (engine.candidates.capacity(), engine.watch.timer_room());
            let (candidates, before) = room(&engine);
            let settings = PortfolioSettings { health, ..PortfolioSettings::off(CurrencyId(0)) };
            engine.set_portfolio(settings).unwrap();
            assert_eq!(room(&engine), (candidates + 4 * 5 + 5, before + timers));
        }
    }
}
