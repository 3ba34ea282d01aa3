//! Signals to the other side, as SPEC §5 says of reversal: exit first, then the entry.

use reap_core::event::TradingState;
use reap_core::instrument::InstrumentId;
use reap_core::intent::Urgency;
use reap_core::note::{EngineNote, SignalDrop, SignalRefusal};
use reap_core::policy::{Rule, TriggerSource};
use reap_core::position::{PositionId, PositionState, Side};
use reap_core::units::Nanos;

use super::Reference;
use super::exact::Exact;
use super::formulas;
use super::life::{Firing, Life};
use super::sight::Market;

const TTL: Nanos = Nanos::from_secs(5);

/// Signals that wait, and what was said of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals {
    waiting: Vec<(InstrumentId, Side, Nanos)>,
    said: Vec<EngineNote>,
}

impl Signals {
    pub(crate) fn take_said(&mut self) -> Vec<EngineNote> {
        std::mem::take(&mut self.said)
    }

    pub(crate) fn on_time(&mut self, now: Nanos) {
        let late = |one: &(InstrumentId, Side, Nanos)| now.0 - one.2.0 > TTL.0;
        self.forget(late, SignalDrop::Expired);
    }

    fn forget(&mut self, which: impl Fn(&(InstrumentId, Side, Nanos)) -> bool, why: SignalDrop) {
        for one in self.waiting.extract_if(.., |one| which(one)) {
            let (instrument, side, _) = one;
            self.said.push(EngineNote::SignalDropped { instrument, side, why });
        }
    }

    /// The next time at which one is dropped.
    pub(crate) fn next_timer(&self) -> Option<Nanos> {
        self.waiting.iter().map(|one| one.2.plus(TTL).plus(Nanos(1))).min()
    }
}

/// Whether a position stands against a signal to `side`.
fn conflicts(life: &Life, instrument: InstrumentId, side: Side) -> bool {
    let held = life.state != PositionState::Closed;
    let exiting = life.state == PositionState::Exiting;
    held && life.legs.iter().any(|leg| {
        leg.spec.instrument == instrument && leg.spec.side != side && (leg.open > 0 || exiting)
    })
}

impl Reference {
    pub(crate) fn on_signal(
        &mut self,
        now: Nanos,
        instrument: InstrumentId,
        side: Side,
        fired: &mut Vec<(PositionId, Firing)>,
    ) {
        self.signals.forget(|one| one.0 == instrument, SignalDrop::Replaced);
        let against: Vec<PositionId> = self
            .lives
            .iter()
            .filter(|(_, life)| conflicts(life, instrument, side))
            .map(|(&id, _)| id)
            .collect();
        let mut refused = false;
        for &id in &against {
            let life = self.lives.get_mut(&id).expect("it was found");
            let exits = life.state == PositionState::Exiting;
            let closing = life.plan.as_ref().is_some_and(|plan| {
                plan.urgency != Urgency::Opportunistic
                    && plan.keep.iter().all(|keep| keep.raw() == 0)
            });
            if exits && (closing || life.is_flat()) {
                continue;
            }
            let market = Market::own(life, now, &self.gates, TriggerSource::Bbo);
            match reverses(life, market.as_ref()) {
                Ok((rule, boundary)) => {
                    let firing = life.fire(rule, 0, boundary);
                    self.tally.note(&firing, life.legs.len());
                    fired.push((id, firing));
                }
                // What is under way may close it.
                Err(_) if exits => {}
                Err(why) => {
                    refused = true;
                    let note = EngineNote::SignalRefused { position: id, why };
                    self.signals.said.push(note);
                }
            }
        }
        if refused {
            let why = SignalDrop::Refused;
            self.signals.said.push(EngineNote::SignalDropped { instrument, side, why });
        } else if against.is_empty() {
            let entry = entry(self.trading_state(), instrument, side);
            self.signals.said.push(entry);
        } else {
            self.signals.waiting.push((instrument, side, now));
        }
    }

    /// After a position has closed.
    pub(crate) fn signals_may_enter(&mut self) {
        let state = self.trading_state();
        let lives = &self.lives;
        let free = |one: &mut (InstrumentId, Side, Nanos)| {
            !lives.values().any(|life| conflicts(life, one.0, one.1))
        };
        for (instrument, side, _) in self.signals.waiting.extract_if(.., free) {
            self.signals.said.push(entry(state, instrument, side));
        }
    }
}

/// An entry that nothing conflicts with: allowed while trading is active.
fn entry(state: TradingState, instrument: InstrumentId, side: Side) -> EngineNote {
    match state {
        TradingState::Active => EngineNote::EntryAllowed { instrument, side },
        _ => EngineNote::SignalDropped { instrument, side, why: SignalDrop::NotActive },
    }
}

/// The rule by which a position makes way, and whether by equality.
fn reverses(life: &Life, market: Option<&Market>) -> Result<(usize, bool), SignalRefusal> {
    if life.state == PositionState::DustResidual {
        return Err(SignalRefusal::Dust);
    }
    let rules = life.policy.rules.iter().enumerate();
    let found = rules.filter_map(|(at, said)| match said.rule {
        Rule::Reversal { at: rate, base, .. } => Some((at, rate, base)),
        _ => None,
    });
    let (rule, rate, base) = found.min_by_key(|(at, ..)| *at).ok_or(SignalRefusal::NoRule)?;
    if life.rules[rule].off {
        return Err(SignalRefusal::NoRule);
    }
    let market = market.filter(|market| market.usable && market.in_step);
    let net = &market.ok_or(SignalRefusal::NoPrice)?.net;
    let beyond = formulas::profit_rate(net, &life.legs, rate, base);
    if beyond >= Exact::zero() {
        return Ok((rule, beyond.is_zero()));
    }
    Err(if *net < Exact::zero() {
        SignalRefusal::PositionLosing
    } else {
        SignalRefusal::InsufficientProfit
    })
}
