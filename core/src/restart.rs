//! A restart: what carries an executor of earlier runs on into the next one.
//!
//! Everything that a restart does to the state is done by [`Executor::restart`], and the log says
//! when it was: whoever recovers a row of runs calls the same function in the same places, so that a
//! recovered run can itself be recovered.
//!
//! Of an order that may have left and was not heard to end nobody knows the fate: it keeps its
//! reservation, is asked for at once, and is settled like any other of unknown fate. Plans go on
//! after [`RESTART_PAUSE`], in which holdings are read and quotes come. An entry at work is taken
//! back: its task has forgotten it, and nobody would watch what it leaves.

use crate::desk::Desk;
use crate::enter::Enter;
use crate::executor::{Executor, ExecutorLimits};
use crate::exit::Exit;
use crate::instrument::{Instrument, InstrumentId, InstrumentSpec};
use crate::leg::Leg;
use crate::limits::{POSITIONS_MAX, RESTART_PAUSE};
use crate::units::Nanos;

/// Into what an executor is carried on.
#[derive(Clone, Copy, Debug)]
pub struct Restart<'a> {
    /// The new run, for order ids: above all that were before.
    pub epoch: u16,
    /// What it shall have room for; no table ever becomes smaller.
    pub limits: ExecutorLimits,
    /// Its instruments. Those of which something is open mean what they meant.
    pub instruments: &'a [Instrument],
    /// The last time that the runs before it knew. When the clock has been set back since, all times
    /// are moved by as much.
    pub last: Nanos,
}

/// Why an executor cannot be carried on. Nothing of it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestartError {
    /// The run's number is not above the earlier ones: order ids would come again.
    #[error("run {epoch} does not come after run {before}")]
    Epoch {
        /// Its number.
        epoch: u16,
        /// The one before it.
        before: u16,
    },
    /// An instrument of which something is open is gone.
    #[error(
        "instrument {instrument} is gone from the configuration, and something of it is open; put \
         it back at the same place until that is closed"
    )]
    Gone {
        /// Its index.
        instrument: u16,
    },
    /// An instrument of which something is open means something else.
    #[error(
        "instrument {instrument}: {field} is {now}, and was {was} when what is open of it was taken \
         on; put it back until that is closed"
    )]
    Changed {
        /// Its index.
        instrument: u16,
        /// The field.
        field: &'static str,
        /// What it was.
        was: i128,
        /// What it is now.
        now: i128,
    },
}

impl Executor {
    /// Carries everything on into the next run. Take all questions after it; a timer is due soon.
    ///
    /// # Errors
    /// When what is open would mean something else in it; nothing is changed then.
    ///
    /// # Panics
    /// When more positions are asked for than ids can name.
    pub fn restart(&mut self, now: Nanos, next: &Restart<'_>) -> Result<(), RestartError> {
        let (epoch, before) = (next.epoch, self.desk.epoch);
        if epoch <= before {
            return Err(RestartError::Epoch { epoch, before });
        }
        self.refuse_changed(next.instruments)?;
        self.grow(next.limits);
        self.desk.instruments.clear();
        self.desk.instruments.extend_from_slice(next.instruments);
        if !planted!(self.desk, EpochStaysAtRestart) {
            self.desk.epoch = epoch;
        }
        if planted!(self.desk, StopForgottenAtRestart) {
            self.desk.stopped = false;
        }
        let back = next.last.since(now);
        if back > Nanos(0) {
            self.desk.holdings.set_back(back);
            self.desk.asides.set_back(back);
            self.desk.venues.set_back(back, now);
            self.desk.now = now;
            self.exits.iter_mut().flatten().for_each(|exit| exit.set_back(back));
            self.entries.iter_mut().for_each(|entry| entry.set_back(back));
        }
        self.desk.now = self.desk.now.max(now);
        self.desk.venues.restart(next.instruments);
        self.desk.asides.restart(now);
        for slot in 0..self.exits.len() {
            let Some(exit) = self.exits[slot].as_mut().filter(|exit| !exit.closed) else {
                continue;
            };
            let wake = exit.restart(now, &mut self.desk);
            self.wakes.set(slot, wake);
        }
        for entry in &mut self.entries {
            entry.restart(now, &mut self.desk);
        }
        Ok(())
    }

    fn refuse_changed(&self, instruments: &[Instrument]) -> Result<(), RestartError> {
        let open = self.exits.iter().flatten().filter(|exit| !exit.closed);
        let held = open.flat_map(|exit| exit.legs.iter().map(|leg| leg.instrument));
        let entering = self.entries.iter().flat_map(Enter::instruments);
        for id in held.chain(entering) {
            let was = self.desk.instrument(id).spec();
            let Some(now) = instruments.get(usize::from(id.0)) else {
                return Err(RestartError::Gone { instrument: id.0 });
            };
            same_meaning(id, was, now.spec())?;
        }
        Ok(())
    }

    fn grow(&mut self, limits: ExecutorLimits) {
        let positions = limits.positions.max(self.exits.len());
        assert!(positions <= POSITIONS_MAX, "a position's slot has twenty bits");
        let orders = limits.orders.max(self.orders_max);
        self.exits.resize_with(positions, || None);
        self.wakes.grow(positions);
        self.legs_free += orders - self.orders_max;
        self.orders_max = orders;
        self.desk.grow(positions, orders);
    }
}

/// What gives a quantity and a price their meaning stays; the grid, the fees and the gates are the
/// venue's to change.
fn same_meaning(
    id: InstrumentId,
    was: &InstrumentSpec,
    now: &InstrumentSpec,
) -> Result<(), RestartError> {
    let fields = |spec: &InstrumentSpec| {
        [
            ("venue", i128::from(spec.venue.0)),
            ("currency", i128::from(spec.currency.0)),
            ("price_scale", i128::from(spec.price_scale)),
            ("qty_scale", i128::from(spec.qty_scale)),
            ("multiplier (mantissa)", spec.multiplier.mantissa),
            ("multiplier (scale)", i128::from(spec.multiplier.scale)),
        ]
    };
    for ((field, was), (_, now)) in fields(was).into_iter().zip(fields(now)) {
        if was != now {
            return Err(RestartError::Changed { instrument: id.0, field, was, now });
        }
    }
    Ok(())
}

impl Exit {
    /// Says when it wants to be looked at.
    fn restart(&mut self, now: Nanos, desk: &mut Desk) -> Option<Nanos> {
        for leg in &mut self.legs {
            if planted!(desk, ReservationForgottenAtRestart) && leg.is_live() {
                desk.holdings.release(leg.place, leg.live);
                (leg.live, leg.order) = (crate::units::Qty::ZERO, None);
            }
            if let Some(order) = leg.order.as_mut().filter(|order| order.state.is_live()) {
                desk.counters.doubted += u64::from(order.restart(now));
            }
            leg.rest_until(now.plus(RESTART_PAUSE));
            if leg.open > crate::units::Qty::ZERO {
                let (account, instrument) = (leg.account, leg.instrument);
                desk.read_soon(now, account, instrument);
            }
        }
        if planted!(desk, PlanForgottenAtRestart) && !self.legs.iter().any(Leg::is_busy) {
            self.plan = None;
        }
        let asks = [self.look_after(now, desk), self.look_after_asides(now, desk)];
        let asks = asks.into_iter().flatten().min();
        self.plan.as_ref()?;
        let begins = now.plus(RESTART_PAUSE);
        Some(asks.map_or(begins, |asks| asks.min(begins)))
    }

    fn set_back(&mut self, by: Nanos) {
        if let Some(plan) = &mut self.plan {
            plan.started = plan.started.since(by);
            plan.progress_at = plan.progress_at.since(by);
            if let Some(naked) = &mut plan.naked {
                naked.since = naked.since.since(by);
            }
        }
        for leg in &mut self.legs {
            leg.not_before = leg.not_before.since(by);
            leg.throttle.set_back(by);
            if let Some(order) = &mut leg.order {
                order.set_back(by);
            }
        }
    }
}
