//! Triggers: the parts that a position's rules compile to, where each one waits, and the waiting
//! lists of closed gates.

use alloc::vec::Vec;

use crate::guard::GuardsId;
use crate::heap::{NIL, NodeId};
use crate::instrument::{InstrumentId, SourceId};
use crate::intent::Reason;
use crate::net::Cmp;
use crate::policy::TriggerSource;
use crate::signal::{Signal, signals_max};

/// A trigger: its index in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TriggerId(pub(crate) u32);

impl TriggerId {
    pub(crate) const NONE: Self = Self(NIL);
}

/// What happens when a trigger's condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The rule fires.
    Fire,
    /// A trailing rule begins: its mark starts at the present value.
    Activate,
    /// A trailing rule of several legs: its mark moves to the present value.
    Mark,
    /// A trailing rule's stop: fires, and follows the mark.
    Trail,
    /// The next step of a threshold that decays with age has come.
    Step,
    /// Counts for another part of its rule, and never fires itself.
    Sample,
    /// The position's net changes its sign: health counts it, whatever its gates are.
    Sign,
    /// Hears of a leg's funding for those of the position that wait for a settlement.
    Listen,
    /// A stop that health has put closer than the rule's own: fires.
    Tight,
}

/// What the condition compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Cannot hold at any price within bounds.
    Never,
    /// One leg: exit price against a limit.
    Price(Cmp, i64),
    /// Several legs: Σ exit values against a bound at the nano scale.
    Net(Cmp, Wide),
    /// A time in nanoseconds.
    Time(u64),
    /// Something that is no price.
    Signal(Signal),
    /// Holds now, whatever the prices are.
    Always,
}

impl Condition {
    /// Σ exit values against a bound.
    pub(crate) const fn net(cmp: Cmp, bound: i128) -> Self {
        Self::Net(cmp, Wide(bound))
    }
}

/// A wide integer that does not widen what it stands in: a trigger is one cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(Rust, packed(8))]
pub(crate) struct Wide(i128);

impl Wide {
    pub(crate) const fn get(self) -> i128 {
        self.0
    }
}

/// Where a trigger stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not begun: a stop whose activation has not come.
    Asleep,
    /// Watched.
    Armed,
    /// Held and raised an intent, or was covered by one: rests until the plan ends.
    Fired,
    /// Fired in a plan that missed: rests until the back-off ends.
    Resting,
    /// Will not fire again: a filled tier, a passed activation.
    Done,
}

/// Where an armed trigger is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere.
    None,
    /// In a price heap of its leg's instrument.
    Price(NodeId),
    /// In a pair class.
    Pair(u16, NodeId),
    /// Guards in price heaps, one per leg.
    Guards(GuardsId),
    /// Member of a trailing group.
    Member(NodeId),
    /// In the queue of times.
    Timer(NodeId),
    /// On a gate's waiting list.
    Waiting(Gate),
    /// Its condition held with every gate open; it waits for a settlement of funding. The listeners
    /// of its position find it.
    Held,
}

/// A gate that keeps a true condition from firing. It opens only with an event of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// The instrument has no usable quote: opens with its next accepted or confirmed one.
    Instrument(InstrumentId),
    /// The source is silent or behind: opens with its next data frame.
    Source(SourceId),
    /// The signal is off: opens when it comes on.
    Signal(Signal),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Trigger {
    /// Slot of the position.
    pub(crate) position: u32,
    /// Index of the rule in its policy.
    pub(crate) rule: u8,
    /// Index of the tier, or part of a trailing rule.
    pub(crate) part: u8,
    pub(crate) reason: Reason,
    pub(crate) role: Role,
    pub(crate) stage: Stage,
    /// Needs all legs' sources abreast (profit rules and marks on several legs).
    pub(crate) skew: bool,
    /// Which price it looks at first.
    pub(crate) source: TriggerSource,
    pub(crate) condition: Condition,
    /// The trailing mark of a `Trail`: price mantissa, or ratio in ppb for several legs. Of a rule
    /// that decays: how many steps have come.
    pub(crate) mark: i64,
    pub(crate) place: Place,
    /// The position's next trigger, or the next free one.
    pub(crate) next: TriggerId,
    /// Neighbours in a waiting list.
    wait_before: TriggerId,
    wait_after: TriggerId,
}

impl Trigger {
    pub(crate) fn new(position: u32, rule: u8, part: u8, reason: Reason, role: Role) -> Self {
        Self {
            position,
            rule,
            part,
            reason,
            role,
            stage: Stage::Asleep,
            skew: false,
            source: TriggerSource::Bbo,
            condition: Condition::Never,
            mark: 0,
            place: Place::None,
            next: TriggerId::NONE,
            wait_before: TriggerId::NONE,
            wait_after: TriggerId::NONE,
        }
    }

    /// Whether it degrades to another price when its own is gone (SPEC §4): a stop that would wait
    /// for a price does not protect. Marks and activations wait.
    pub(crate) fn degrades(&self) -> bool {
        let protects = matches!(
            self.reason,
            Reason::StopLoss
                | Reason::TrailingStop
                | Reason::TrailingProfit
                | Reason::BreakEven
                | Reason::Liquidation
        );
        protects && matches!(self.role, Role::Fire | Role::Trail | Role::Tight)
    }

    /// The leg whose price a condition on one price compares.
    pub(crate) fn leg(&self) -> usize {
        if self.reason == Reason::Liquidation { usize::from(self.part) } else { 0 }
    }
}

const _: () = assert!(size_of::<Trigger>() == 64);

/// The slab of triggers with the gates' waiting lists through it.
#[derive(Debug)]
pub(crate) struct Triggers {
    slab: Vec<Trigger>,
    free: TriggerId,
    used: usize,
    capacity: usize,
    by_instrument: Vec<TriggerId>,
    by_source: Vec<TriggerId>,
    by_signal: Vec<TriggerId>,
}

impl Triggers {
    /// Room for so many triggers, and for what waits at so many instruments' boards and sources.
    pub(crate) fn with_capacity(capacity: usize, instruments: usize, sources: usize) -> Self {
        let boards = TriggerSource::ALL.len() * instruments;
        Self {
            slab: Vec::with_capacity(capacity),
            free: TriggerId::NONE,
            used: 0,
            capacity,
            by_instrument: alloc::vec![TriggerId::NONE; boards],
            by_source: alloc::vec![TriggerId::NONE; sources],
            by_signal: alloc::vec![TriggerId::NONE; signals_max(instruments)],
        }
    }

    /// Takes in a trigger; the caller saw that there is room.
    pub(crate) fn add(&mut self, trigger: Trigger) -> TriggerId {
        assert!(self.used < self.capacity, "registration asked for room");
        self.used += 1;
        if self.free == TriggerId::NONE {
            self.slab.push(trigger);
            return TriggerId((self.slab.len() - 1) as u32);
        }
        let id = self.free;
        self.free = self[id].next;
        self[id] = trigger;
        id
    }

    /// Gives a trigger back that is queued nowhere.
    pub(crate) fn release(&mut self, id: TriggerId) {
        debug_assert!(self[id].place == Place::None);
        self[id].next = self.free;
        self.free = id;
        self.used -= 1;
    }

    fn head(&mut self, gate: Gate) -> &mut TriggerId {
        match gate {
            Gate::Instrument(id) => &mut self.by_instrument[usize::from(id.0)],
            Gate::Source(id) => &mut self.by_source[usize::from(id.0)],
            Gate::Signal(signal) => &mut self.by_signal[signal.index()],
        }
    }

    /// Puts an armed trigger on a gate's waiting list.
    pub(crate) fn wait(&mut self, id: TriggerId, gate: Gate) {
        let head = *self.head(gate);
        self[id].place = Place::Waiting(gate);
        self[id].wait_before = TriggerId::NONE;
        self[id].wait_after = head;
        if head != TriggerId::NONE {
            self[head].wait_before = id;
        }
        *self.head(gate) = id;
    }

    /// Takes a trigger off its gate's waiting list.
    pub(crate) fn stop_waiting(&mut self, id: TriggerId, gate: Gate) {
        let Trigger { wait_before, wait_after, .. } = self[id];
        if wait_before == TriggerId::NONE {
            *self.head(gate) = wait_after;
        } else {
            self[wait_before].wait_after = wait_after;
        }
        if wait_after != TriggerId::NONE {
            self[wait_after].wait_before = wait_before;
        }
        self[id].place = Place::None;
    }

    /// The first on a gate's waiting list.
    pub(crate) fn first_waiting(&self, gate: Gate) -> TriggerId {
        match gate {
            Gate::Instrument(id) => self.by_instrument[usize::from(id.0)],
            Gate::Source(id) => self.by_source[usize::from(id.0)],
            Gate::Signal(signal) => self.by_signal[signal.index()],
        }
    }

    /// Who stands behind a trigger on its waiting list.
    pub(crate) fn next_waiting(&self, id: TriggerId) -> TriggerId {
        self[id].wait_after
    }

    /// Moves a gate's whole waiting list into `out`.
    #[inline]
    pub(crate) fn drain(&mut self, gate: Gate, out: &mut Vec<TriggerId>) {
        let mut id = core::mem::replace(self.head(gate), TriggerId::NONE);
        while id != TriggerId::NONE {
            self[id].place = Place::None;
            out.push(id);
            id = self[id].wait_after;
        }
    }
}

impl core::ops::Index<TriggerId> for Triggers {
    type Output = Trigger;

    fn index(&self, id: TriggerId) -> &Trigger {
        &self.slab[id.0 as usize]
    }
}

impl core::ops::IndexMut<TriggerId> for Triggers {
    fn index_mut(&mut self, id: TriggerId) -> &mut Trigger {
        &mut self.slab[id.0 as usize]
    }
}
