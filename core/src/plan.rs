//! The one live process that closes a position: how much stays, how urgently, why.

use crate::intent::{Intent, Reason, Urgency};
use crate::limits::LEGS_MAX;
use crate::net::Compiled;
use crate::units::{Decimal, Nanos, Qty};

/// Legs that stand without their counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Naked {
    /// Index of the leg that has too much, the most of them.
    pub leg: u8,
    /// Since when.
    pub since: Nanos,
    /// Notional of what is too much, at the prices of the last event of the position and its nano
    /// scale.
    pub notional: Decimal,
    /// The most that it was.
    pub most: Decimal,
    /// People were told.
    pub told: bool,
    /// How often a bound of it has passed.
    pub(crate) overdue: u8,
}

/// A live plan. Its urgency and its target never fall.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Number of the plan in its orders' ids.
    pub(crate) number: u32,
    pub(crate) started: Nanos,
    /// The last fill, or the start.
    pub(crate) progress_at: Nanos,
    pub(crate) urgency: Urgency,
    /// Of the intent that last raised the plan at its urgency; so are the two below.
    pub(crate) reason: Reason,
    pub(crate) intent: u64,
    pub(crate) compiled: Compiled,
    /// Number of the last intent that it took in, whether that raised it or not.
    pub(crate) seen: u64,
    /// What each leg keeps: the smallest that any intent asked for.
    pub(crate) keep: [Qty; LEGS_MAX],
    /// Orders sent.
    pub(crate) attempts: u32,
    /// Whether anything was filled, in the plan and in its current clip.
    pub(crate) filled: bool,
    pub(crate) clip_filled: bool,
    /// No progress for too long, or refused for good.
    pub(crate) stuck: bool,
    /// Some legs stand without their counterpart.
    pub(crate) naked: Option<Naked>,
}

impl Plan {
    pub(crate) fn new(now: Nanos, number: u32, intent: &Intent) -> Self {
        Self {
            number,
            started: now,
            progress_at: now,
            urgency: intent.urgency,
            reason: intent.reason,
            intent: intent.seq,
            compiled: intent.compiled,
            seen: intent.seq,
            keep: intent.keep,
            attempts: 0,
            filled: false,
            clip_filled: false,
            stuck: false,
            naked: None,
        }
    }

    /// Takes a further intent in. Returns whether the urgency rose.
    pub(crate) fn raise(&mut self, intent: &Intent) -> bool {
        let rose = intent.urgency > self.urgency;
        self.seen = intent.seq;
        let mut lowered = false;
        for (keep, &asked) in self.keep.iter_mut().zip(&intent.keep).take(intent.legs.into()) {
            lowered |= asked < *keep;
            *keep = asked.min(*keep);
        }
        if rose || (lowered && intent.urgency == self.urgency) {
            self.urgency = intent.urgency;
            self.reason = intent.reason;
            self.intent = intent.seq;
            self.compiled = intent.compiled;
        }
        rose
    }
}

/// A live plan, as reports show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanView {
    /// Its number, as in the ids of its orders.
    pub number: u32,
    /// When it began.
    pub started: Nanos,
    /// How urgently it is worked now.
    pub urgency: Urgency,
    /// Why.
    pub reason: Reason,
    /// Number of the intent that gave it its reason.
    pub intent: u64,
    /// What each leg keeps.
    pub keep: [Qty; LEGS_MAX],
    /// Orders sent.
    pub attempts: u32,
    /// Without progress for `stuck_after`, or refused for good by a venue. Still worked.
    pub stuck: bool,
    /// Legs that stand without their counterpart.
    pub naked: Option<Naked>,
}

impl From<&Plan> for PlanView {
    fn from(plan: &Plan) -> Self {
        Self {
            number: plan.number,
            started: plan.started,
            urgency: plan.urgency,
            reason: plan.reason,
            intent: plan.intent,
            keep: plan.keep,
            attempts: plan.attempts,
            stuck: plan.stuck,
            naked: plan.naked,
        }
    }
}
