//! What may be done at all: the operator's word, and what latches above it.

use crate::engine::Engine;
use crate::event::TradingState;

use super::note::PortfolioNote;

/// Who holds the trading state up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct States {
    pub(super) operator: TradingState,
    /// portfolio_loss, until its reset or cooldown.
    pub(super) loss: bool,
    /// The second breaker, until the session ends.
    pub(super) drawdown: bool,
    /// The third breaker, until an operator resets it.
    pub(super) halted: bool,
    /// The score of health, until it has recovered.
    pub(super) health: bool,
    /// What was told last.
    told: TradingState,
}

impl States {
    fn now(&self) -> TradingState {
        let reducing = |on| if on { TradingState::Reducing } else { TradingState::Active };
        let halted = if self.halted { TradingState::Halted } else { TradingState::Active };
        self.operator.max(reducing(self.loss || self.drawdown || self.health)).max(halted)
    }
}

impl Engine {
    /// What may be done: the strictest of what an operator said and what has latched.
    #[must_use]
    pub fn trading_state(&self) -> TradingState {
        self.portfolio.states.now()
    }

    /// Whether entries are allowed.
    #[must_use]
    pub fn may_enter(&self) -> bool {
        self.trading_state() == TradingState::Active
    }

    pub(crate) fn on_set_state(&mut self, state: TradingState) {
        self.portfolio.states.operator = state;
        self.tell_state();
    }

    pub(super) fn tell_state(&mut self) {
        let state = self.portfolio.states.now();
        if state != self.portfolio.states.told {
            self.portfolio.states.told = state;
            if state != TradingState::Active {
                self.withdraw_entries();
            }
            self.tell(PortfolioNote::State(state));
        }
    }
}
