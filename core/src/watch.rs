//! What is compared on a tick: per instrument four price heaps, the heads of its pair classes and
//! the marks of its trailing tracks. Only heads are looked at, whatever lies below them.

use alloc::vec::Vec;

use arrayvec::ArrayVec;

use crate::heap::{Heaps, NodeId, Root};
use crate::instrument::InstrumentId;
use crate::limits::{PAIR_CLASSES_MAX, TRACKS_MAX};
use crate::net::Cmp;
use crate::pair::Pairs;
use crate::position::Side;
use crate::tick::Quote;
use crate::trailing::{Group, Groups, Track};
use crate::trigger::TriggerId;

/// Set in a price heap's item when it is a trailing group and not a trigger.
const GROUP: u32 = 1 << 31;

/// One instrument's heaps, pair classes and tracks.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    /// bid ≥, bid ≤, ask ≥, ask ≤. Keys of the ≤ heaps are negated, so that every head is due when
    /// it is at most the (equally negated) price.
    pub(crate) prices: [Root; 4],
    pub(crate) classes: ArrayVec<u16, PAIR_CLASSES_MAX>,
    pub(crate) tracks: ArrayVec<Track, TRACKS_MAX>,
}

/// The price heap of a side and a direction.
pub(crate) const fn heap_of(side: Side, cmp: Cmp) -> usize {
    (match side {
        Side::Long => 0,
        Side::Short => 2,
    }) + match cmp {
        Cmp::AtLeast => 0,
        Cmp::AtMost => 1,
    }
}

const fn signed(cmp: Cmp, limit: i64) -> i64 {
    match cmp {
        Cmp::AtLeast => limit,
        Cmp::AtMost => -limit,
    }
}

/// All instruments' boards over shared slabs.
#[derive(Debug)]
pub(crate) struct Watch {
    boards: Vec<Board>,
    prices: Heaps<i64>,
    pub(crate) groups: Groups,
    pub(crate) pairs: Pairs,
    timers: Heaps<u64>,
    timer_root: Root,
}

/// A trigger that a quote has crossed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) trigger: TriggerId,
    /// Its price entry that left the heap; `NONE` for a member of a trailing group.
    pub(crate) entry: NodeId,
    /// The mark of the group that it was a member of.
    pub(crate) mark: i64,
}

/// What a timer stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// A trigger with a time.
    Trigger(TriggerId),
    /// The end of a jump's hold.
    Hold(InstrumentId),
    /// The end of a position's back-off.
    Rest(u32),
}

impl Timer {
    const fn item(self) -> u32 {
        match self {
            Self::Trigger(id) => id.0,
            Self::Hold(id) => 1 << 30 | id.0 as u32,
            Self::Rest(slot) => 2 << 30 | slot,
        }
    }

    const fn from_item(item: u32) -> Self {
        let rest = item & ((1 << 30) - 1);
        match item >> 30 {
            0 => Self::Trigger(TriggerId(rest)),
            1 => Self::Hold(InstrumentId(rest as u16)),
            _ => Self::Rest(rest),
        }
    }
}

impl Watch {
    /// Room for `triggers` triggers, each with up to `nodes` price entries, and their timers.
    pub(crate) fn new(instruments: usize, triggers: usize, nodes: usize, positions: usize) -> Self {
        let board =
            Board { prices: [Root::EMPTY; 4], classes: ArrayVec::new(), tracks: ArrayVec::new() };
        Self {
            boards: alloc::vec![board; instruments],
            prices: Heaps::with_capacity(triggers * nodes + triggers),
            groups: Groups::with_capacity(triggers),
            pairs: Pairs::with_capacity(triggers, instruments),
            timers: Heaps::with_capacity(triggers + instruments + positions),
            timer_root: Root::EMPTY,
        }
    }

    pub(crate) fn board(&self, id: InstrumentId) -> &Board {
        &self.boards[usize::from(id.0)]
    }

    pub(crate) fn board_mut(&mut self, id: InstrumentId) -> &mut Board {
        &mut self.boards[usize::from(id.0)]
    }

    /// Watches a limit on an instrument's exit price for `side`.
    pub(crate) fn add_price(
        &mut self,
        instrument: InstrumentId,
        side: Side,
        cmp: Cmp,
        limit: i64,
        trigger: TriggerId,
    ) -> NodeId {
        debug_assert!(trigger.0 < GROUP);
        let root = &mut self.boards[usize::from(instrument.0)].prices[heap_of(side, cmp)];
        self.prices.insert(root, signed(cmp, limit), trigger.0)
    }

    /// Ends watching a limit.
    pub(crate) fn remove_price(
        &mut self,
        instrument: InstrumentId,
        side: Side,
        cmp: Cmp,
        node: NodeId,
    ) {
        let root = &mut self.boards[usize::from(instrument.0)].prices[heap_of(side, cmp)];
        self.prices.remove(root, node);
    }

    /// Moves every trigger that a new quote crosses into `due`, with the price entry that left its
    /// heap for it. A guarded trigger may come more than once and its other entries stay behind.
    #[inline]
    pub(crate) fn cross(&mut self, id: InstrumentId, quote: &Quote, due: &mut Vec<Due>) {
        let (bid, ask) = (quote.bid.raw(), quote.ask.raw());
        for (heap, price) in [bid, -bid, ask, -ask].into_iter().enumerate() {
            loop {
                let root = &mut self.boards[usize::from(id.0)].prices[heap];
                let Some((key, item)) = self.prices.peek(*root) else { break };
                if key > price {
                    break;
                }
                let entry = root.node();
                self.prices.remove(root, entry);
                if item & GROUP == 0 {
                    due.push(Due { trigger: TriggerId(item), entry, mark: 0 });
                } else {
                    self.cross_group(item & !GROUP, price.abs(), due);
                }
            }
        }
    }

    /// Takes the members whose stop is crossed out of a group whose price entry was just popped.
    fn cross_group(&mut self, group: u32, price: i64, due: &mut Vec<Due>) {
        self.groups.entry_gone(group);
        let Group { instrument, track, mark, .. } = *self.groups.group(group);
        let track = self.boards[usize::from(instrument.0)].tracks[usize::from(track)];
        while let Some(member) = self.groups.pop_crossed(group, &track, price) {
            due.push(Due { trigger: member, entry: NodeId::NONE, mark });
        }
        if self.groups.is_empty(group) {
            self.drop_group(group);
        } else {
            self.enter_group(group);
        }
    }

    /// Moves the marks of an instrument's tracks to a new quote: groups that it passes become one.
    #[inline]
    pub(crate) fn move_marks(&mut self, id: InstrumentId, quote: &Quote) {
        for at in 0..self.boards[usize::from(id.0)].tracks.len() {
            let track = self.boards[usize::from(id.0)].tracks[at];
            let x = match track.side {
                Side::Long => quote.bid.raw(),
                Side::Short => quote.ask.raw(),
            };
            if self.groups.moves(&track, x) {
                self.merge_marks(id, at, x);
            }
        }
    }

    fn merge_marks(&mut self, id: InstrumentId, at: usize, x: i64) {
        let mut track = self.boards[usize::from(id.0)].tracks[at];
        let mut kept = self.groups.move_first(&mut track, x);
        while let Some(other) = self.groups.next_passed(&track, kept, x) {
            self.leave_entry(kept);
            self.leave_entry(other);
            kept = self.groups.absorb(&mut track, kept, other);
        }
        self.boards[usize::from(id.0)].tracks[at] = track;
        self.enter_group(kept);
    }

    /// Makes a trigger the only member of a new group with its mark.
    pub(crate) fn attach(
        &mut self,
        id: InstrumentId,
        track: usize,
        mark: i64,
        distance: i64,
        trigger: TriggerId,
    ) -> NodeId {
        let board = &mut self.boards[usize::from(id.0)];
        let (group, node) =
            self.groups.open(id, track as u8, &mut board.tracks[track], mark, distance, trigger.0);
        self.enter_group(group);
        node
    }

    /// The mark of a group's member.
    pub(crate) fn mark_of(&self, member: NodeId) -> i64 {
        self.groups.group(self.groups.group_of(member)).mark
    }

    /// Takes a trigger out of its group; returns the group's mark.
    pub(crate) fn detach(&mut self, member: NodeId) -> i64 {
        let group = self.groups.group_of(member);
        let mark = self.groups.group(group).mark;
        self.groups.leave(member);
        if self.groups.is_empty(group) {
            self.leave_entry(group);
            self.drop_group(group);
        } else {
            self.enter_group(group);
        }
        mark
    }

    fn drop_group(&mut self, group: u32) {
        let Group { instrument, track, .. } = *self.groups.group(group);
        let track = &mut self.boards[usize::from(instrument.0)].tracks[usize::from(track)];
        self.groups.close(group, track);
    }

    /// Puts or moves a group's price entry to the stop of its nearest member.
    fn enter_group(&mut self, group: u32) {
        let Group { instrument, entry, .. } = *self.groups.group(group);
        let board = &mut self.boards[usize::from(instrument.0)];
        let track = &board.tracks[usize::from(self.groups.group(group).track)];
        let Some((cmp, limit)) = self.groups.stop(group, track) else {
            // The nearest stop lies beyond every price.
            self.leave_entry(group);
            return;
        };
        let root = &mut board.prices[heap_of(track.side, cmp)];
        let key = signed(cmp, limit);
        let entry = if entry == NodeId::NONE {
            self.prices.insert(root, key, group | GROUP)
        } else {
            self.prices.change_key(root, entry, key)
        };
        self.groups.set_entry(group, entry);
    }

    fn leave_entry(&mut self, group: u32) {
        let Group { instrument, entry, track, .. } = *self.groups.group(group);
        if entry == NodeId::NONE {
            return;
        }
        let board = &mut self.boards[usize::from(instrument.0)];
        let side = board.tracks[usize::from(track)].side;
        let root = &mut board.prices[heap_of(side, stop_direction(side))];
        self.prices.remove(root, entry);
        self.groups.entry_gone(group);
    }

    /// When the next timer is due.
    #[inline]
    pub(crate) fn next_timer(&self) -> Option<u64> {
        self.timers.peek(self.timer_root).map(|(at, _)| at)
    }

    /// Takes the next timer that is due at `now`.
    #[inline]
    pub(crate) fn pop_timer(&mut self, now: u64) -> Option<Timer> {
        if self.next_timer()? > now {
            return None;
        }
        let (_, item) = self.timers.pop(&mut self.timer_root)?;
        Some(Timer::from_item(item))
    }

    pub(crate) fn add_timer(&mut self, at: u64, timer: Timer) -> NodeId {
        self.timers.insert(&mut self.timer_root, at, timer.item())
    }

    pub(crate) fn remove_timer(&mut self, node: NodeId) {
        self.timers.remove(&mut self.timer_root, node);
    }
}

/// A trailing stop of a long leg waits for the bid to fall, of a short one for the ask to rise.
pub(crate) const fn stop_direction(side: Side) -> Cmp {
    match side {
        Side::Long => Cmp::AtMost,
        Side::Short => Cmp::AtLeast,
    }
}
