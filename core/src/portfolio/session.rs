//! The trading session: its baseline, and the drawdown breakers on what it has lost.

use crate::engine::Engine;
use crate::event::Latch;
use crate::units::{Decimal, Nanos, Rate};

use super::average::Average;
use super::close::Cause;
use super::money::{Money, UNIT, money_floor, readable, share_floor};
use super::note::PortfolioNote;
use super::settings::{Breakers, DAY, DrawdownFrom, PORTFOLIO_AMOUNT_MAX, PortfolioSettings};

/// How long a raw figure must stay at a level that the filtered one has not reached.
const RAW_HOLDS: Nanos = Nanos::from_secs(3);

/// The session of a portfolio with breakers; without them nothing of it moves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Session {
    rules: Option<Rules>,
    /// When it began and when the next one does; `None` before the first event.
    span: Option<(Nanos, Nanos)>,
    /// Equity at its start, or at its peak; and the total net then.
    equity: Money,
    total: Money,
    /// Losses at which the breakers trip.
    losses: [Money; 3],
    /// The highest level that tripped in this session.
    fired: u8,
    average: Average,
    /// Since when the raw figure has been at each level.
    since: [Option<Nanos>; 3],
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    levels: [Rate; 3],
    from: DrawdownFrom,
    filter: bool,
    reset: Nanos,
}

impl Session {
    pub(super) fn of(settings: &PortfolioSettings) -> Self {
        let Some(breakers) = settings.breakers else { return Self::default() };
        let Breakers { equity, levels, from, filter, reset } = breakers;
        let mut session = Self {
            rules: Some(Rules { levels, from, filter, reset }),
            equity: money_floor(equity).expect("checked with the settings"),
            ..Self::default()
        };
        session.set_losses();
        session
    }

    pub(super) const fn fired(&self) -> u8 {
        self.fired
    }

    /// Equity at the session's start or peak, and now.
    pub(super) fn equity(&self, total: Money) -> Option<[Money; 2]> {
        self.rules.map(|_| [self.equity, self.equity + (total - self.total)])
    }

    /// Whether what was opened then came into the session from before it.
    pub(super) fn begins_after(&self, opened: Nanos, now: Nanos) -> bool {
        self.rules.is_some() && opened < self.span.map_or(now, |(began, _)| began)
    }

    /// What was there before does not count as a result of the session.
    pub(super) fn shift_total(&mut self, by: Money) {
        self.total += by;
        self.average.shift(by);
    }

    pub(super) fn next_due(&self) -> Option<Nanos> {
        let (_, ends) = self.span?;
        let waiting = self.since.iter().skip(usize::from(self.fired)).flatten();
        let raw = waiting.map(|since| since.plus(RAW_HOLDS)).min();
        Some(raw.map_or(ends, |raw| raw.min(ends)))
    }

    fn set_losses(&mut self) {
        let Some(rules) = &self.rules else { return };
        for (loss, level) in self.losses.iter_mut().zip(rules.levels) {
            // Rounded down, as the total is: a loss that is there is never missed.
            *loss = share_floor(self.equity, level);
        }
    }

    fn measure_from(&mut self, now: Nanos, equity: Money, total: Money) {
        (self.equity, self.total) = (equity, total);
        self.average = Average::new(now, total);
        self.since = [None; 3];
        self.set_losses();
    }

    /// The highest level that the session's loss has reached and that has not tripped yet.
    fn tripped(&mut self, now: Nanos, total: Money) -> Option<(u8, Money)> {
        let rules = self.rules?;
        let figure = if rules.filter { self.average.step(now, total) } else { total };
        // An equity that was used up when the session began: there is nothing to measure from.
        if self.equity <= 0 {
            return None;
        }
        if rules.from == DrawdownFrom::Peak && figure > self.total {
            self.equity += figure - self.total;
            self.total = figure;
            self.set_losses();
        }
        let (loss, raw) = (self.total - figure, self.total - total);
        let mut reached = None;
        for (at, &limit) in self.losses.iter().enumerate() {
            let mut trips = loss >= limit;
            if rules.filter {
                let since = &mut self.since[at];
                *since = if raw >= limit { since.or(Some(now)) } else { None };
                trips |= since.is_some_and(|since| now.since(since) >= RAW_HOLDS);
            }
            if trips && at as u8 >= self.fired {
                reached = Some((at as u8 + 1, if loss >= limit { loss } else { raw }));
            }
        }
        reached
    }
}

/// The first time after `now` at which a day's `time` has come.
fn next_time_of_day(now: Nanos, time: Nanos) -> Nanos {
    let today = Nanos(now.0 / DAY.0 * DAY.0 + time.0);
    if today > now { today } else { today.plus(DAY) }
}

impl Engine {
    pub(super) fn follow_session(&mut self) {
        let (now, total) = (self.now, self.portfolio.total());
        let session = &mut self.portfolio.session;
        let Some(rules) = session.rules else { return };
        match session.span {
            None => {
                session.span = Some((now, next_time_of_day(now, rules.reset)));
                session.average = Average::new(now, total);
            }
            Some((_, ends)) if ends <= now => {
                session.span = Some((now, next_time_of_day(now, rules.reset)));
                session.fired = 0;
                let equity = session.equity + (total - session.total);
                session.measure_from(now, equity, total);
                self.portfolio.states.drawdown = false;
                self.tell(PortfolioNote::Session { equity: readable(equity) });
                self.tell_state();
            }
            Some(_) => {}
        }
        if let Some((level, loss)) = self.portfolio.session.tripped(now, total) {
            self.trip(level, loss);
        }
    }

    /// L1 closes the worse half, L2 and L3 everything.
    fn trip(&mut self, level: u8, loss: Money) {
        self.portfolio.session.fired = level;
        self.tell_stale();
        self.rank_all();
        if level == 1 {
            self.keep_worst_half();
        }
        self.portfolio.states.drawdown |= level >= 2;
        self.portfolio.states.halted |= level == 3;
        if level >= 2 {
            self.portfolio.all_closed = Some((self.now, Cause::Breaker, level));
        }
        let equity = readable(self.portfolio.session.equity);
        let positions = self.close_ranked(Cause::Breaker, level, false);
        let loss = readable(loss);
        self.tell(PortfolioNote::Breaker { level, loss, equity, positions });
        self.tell_state();
    }

    /// The operator lets entries again; what has tripped in this session does not trip again.
    pub(super) fn reset_drawdown(&mut self) {
        let states = &mut self.portfolio.states;
        if !states.halted && !states.drawdown {
            self.stray("a reset of breakers that have not latched", None);
            return;
        }
        (states.halted, states.drawdown) = (false, false);
        self.tell(PortfolioNote::Lifted(Latch::Drawdown));
        self.tell_state();
    }

    pub(crate) fn on_reset(&mut self, latch: Latch) {
        match latch {
            Latch::PortfolioLoss => self.reset_loss(),
            Latch::Drawdown => self.reset_drawdown(),
        }
    }

    /// The accounts hold this now: drawdowns are measured from here on.
    pub(crate) fn on_equity(&mut self, amount: Decimal) {
        if self.portfolio.session.rules.is_none() {
            self.stray("an equity where there are no breakers", None);
            return;
        }
        let Some(equity) = self.equity_of(money_floor(amount)) else { return };
        let (now, total) = (self.now, self.portfolio.total());
        self.portfolio.session.measure_from(now, equity, total);
        self.tell(PortfolioNote::Session { equity: readable(equity) });
    }

    /// Money moved: equity and what it is measured from move alike.
    pub(crate) fn on_transfer(&mut self, amount: Decimal) {
        if self.portfolio.session.rules.is_none() {
            self.stray("a transfer where there are no breakers", None);
            return;
        }
        let moved = money_floor(amount);
        let sum = moved.and_then(|moved| moved.checked_add(self.portfolio.session.equity));
        let Some(equity) = self.equity_of(sum) else { return };
        self.portfolio.session.equity = equity;
        self.portfolio.session.set_losses();
    }

    /// An equity that a drawdown can be measured from; else it is counted and nothing changes.
    fn equity_of(&mut self, equity: Option<Money>) -> Option<Money> {
        let max = UNIT * i128::from(PORTFOLIO_AMOUNT_MAX);
        let equity = equity.filter(|&equity| equity > 0 && equity < max);
        if equity.is_none() {
            self.counters.amounts_refused += 1;
            self.tell(PortfolioNote::EquityRefused);
        }
        equity
    }
}
