//! Which faults and states a trial has met.

use reap_core::order::OrderState;

macro_rules! kinds {
    ($($name:ident = $text:literal,)*) => {
        /// A kind of fault, or a state of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Kind { $($name,)* }

        /// Their names, in the order of their numbers.
        const NAMES: &[&str] = &[$($text,)*];
    };
}

kinds! {
    OrderLost = "order_lost",
    OrderLate = "order_late",
    NotSent = "not_sent",
    AnswersCut = "answers_cut",
    AnswerLate = "answer_late",
    AnswerTwice = "answer_twice",
    AckAfterFill = "ack_after_fill",
    RefusedPrice = "refused_price",
    RefusedSize = "refused_size",
    RefusedRate = "refused_rate",
    RefusedUnavailable = "refused_unavailable",
    RefusedFatal = "refused_fatal",
    TimedOut = "timed_out",
    HungUp = "hung_up",
    AskLost = "ask_lost",
    Forgotten = "forgotten",
    NotArrived = "asked_before_it_arrived",
    ReadLost = "read_lost",
    Silence = "market_silent",
    Jump = "market_jumps",
    OperatorCloses = "operator_closes",
    StateSent = "state_sent",
    StateAcked = "state_acked",
    StatePart = "state_partially_filled",
    StateUnknown = "state_unknown",
    StateNotFound = "state_not_found",
    StateFilled = "state_filled",
    StateExpired = "state_expired",
    StateRejected = "state_rejected",
    StateDead = "state_dead",
    Inferred = "fill_inferred",
    Escalated = "plan_escalated",
    Stuck = "plan_stuck",
    Missed = "plan_missed",
    Done = "plan_done",
    Closed = "plan_closed",
    Legging = "legging",
    Unhedged = "unhedged",
    Hedged = "hedged",
    SetAside = "order_set_aside",
    Maintenance = "venue_in_maintenance",
    Limited = "venue_limited",
    Held = "venue_held",
    Resumed = "venue_resumed",
    HalfHeld = "position_half_held",
    BudgetWait = "waited_for_budget",
    CrashBeforeWrite = "crash_before_write",
    CrashTorn = "crash_torn_write",
    CrashBeforeSend = "crash_between_write_and_send",
    CrashAfterSend = "crash_after_send",
    CrashAtStart = "crash_at_start",
    PowerLoss = "power_lost",
    Unsynced = "unsynced_records_lost",
    LogRefused = "damaged_log_refused",
    DiskFull = "disk_full",
    ResumedPlan = "plan_resumed",
    ResumedOrder = "order_in_flight_resumed",
    NeverLeft = "order_without_record",
    Stops = "stopped_and_not",
}

/// Kinds that occurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Met(u64);

const _: () = assert!(NAMES.len() <= 64);

impl Met {
    pub(super) const fn note(&mut self, kind: Kind) {
        self.0 |= 1 << kind as u8;
    }

    pub(super) const fn note_state(&mut self, state: OrderState) {
        self.note(match state {
            OrderState::Sent => Kind::StateSent,
            OrderState::Acked => Kind::StateAcked,
            OrderState::PartiallyFilled => Kind::StatePart,
            OrderState::Unknown { not_found: 0 } => Kind::StateUnknown,
            OrderState::Unknown { .. } => Kind::StateNotFound,
            OrderState::Filled => Kind::StateFilled,
            OrderState::Expired => Kind::StateExpired,
            OrderState::Rejected(_) => Kind::StateRejected,
            OrderState::Dead => Kind::StateDead,
        });
    }
}

/// In how many trials each kind occurred.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally([u64; NAMES.len()]);

impl Default for Tally {
    fn default() -> Self {
        Self([0; NAMES.len()])
    }
}

impl Tally {
    /// Counts a trial in.
    pub fn add(&mut self, met: Met) {
        for (at, count) in self.0.iter_mut().enumerate() {
            *count += met.0 >> at & 1;
        }
    }

    /// Adds what was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
    }

    /// Name and count of each kind.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.iter().copied().zip(self.0)
    }
}
