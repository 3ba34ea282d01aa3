//! What is compared on a tick: per instrument the heads of four price heaps and the first mark of
//! each trailing track. Whatever lies below them is not looked at, and the heads' keys stand in one
//! place, so that a calm tick touches a few cache lines however many positions there are.

use alloc::vec::Vec;

use arrayvec::ArrayVec;

use crate::dump::dumps_max;
use crate::engine::EngineLimits;
use crate::guard::GuardSlab;
use crate::heap::{Heaps, NodeId, Root};
use crate::instrument::InstrumentId;
use crate::limits::{PAIR_CLASSES_MAX, TRACKS_MAX};
use crate::net::Cmp;
use crate::pair::Pairs;
use crate::policy::TriggerSource;
use crate::position::Side;
use crate::tick::Quote;
use crate::trailing::{Group, Groups, Track};
use crate::trigger::TriggerId;

/// Kinds of a price entry, in the top bits of its item.
const GROUP: u32 = 1 << 31;
const CLASS: u32 = 1 << 30;
const _: () = assert!(crate::pair::CLASSES_MAX * 2 <= CLASS as usize);

/// One instrument's heaps, tracks and pair classes.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    /// Keys of the heads of `prices`; `i64::MAX` where a heap is empty.
    heads: [i64; 4],
    /// bid ≥, bid ≤, ask ≥, ask ≤. Keys of the ≤ heaps are negated, so that every head is due when
    /// it is at most the (equally negated) price.
    prices: [Root; 4],
    pub(crate) tracks: ArrayVec<Track, TRACKS_MAX>,
    /// Pair classes with a leg here, to find the one that a new pair fits.
    pub(crate) classes: ArrayVec<u16, PAIR_CLASSES_MAX>,
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
    pub(crate) guarded: GuardSlab,
    timers: Heaps<u64>,
    timer_root: Root,
}

/// A trigger that a quote has crossed, and where it came from: eight bytes, for every price entry has
/// room for one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    pub(crate) trigger: TriggerId,
    /// A price entry's index, or a group's below the bit.
    from: u32,
}

/// Where a crossed trigger came from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum From {
    /// Its price entry, which has left the heap.
    Entry(NodeId),
    /// The trailing group that it was a member of. Its mark stands there until another is opened.
    Group(u32),
}

impl Due {
    const fn of_entry(trigger: TriggerId, entry: NodeId) -> Self {
        Self { trigger, from: entry.index() as u32 }
    }

    const fn of_group(trigger: TriggerId, group: u32) -> Self {
        Self { trigger, from: GROUP | group }
    }

    pub(crate) const fn from(self) -> From {
        if self.from & GROUP == 0 {
            From::Entry(NodeId::at(self.from))
        } else {
            From::Group(self.from & !GROUP)
        }
    }
}

/// A pair class whose guard a quote has crossed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DueClass {
    pub(crate) class: u16,
    pub(crate) cmp: Cmp,
    /// The guard's price entry that left the heap.
    pub(crate) entry: NodeId,
}

fn class_of(item: u32) -> (u16, Cmp) {
    let cmp = if item & 1 == Cmp::AtLeast as u32 { Cmp::AtLeast } else { Cmp::AtMost };
    ((item >> 1) as u16, cmp)
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
    /// One of a part of the engine that is no trigger, and which of its things: below 2^24.
    System(SystemTimer, u32),
}

/// A timer that belongs to no trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SystemTimer {
    /// A signal has waited long enough: by instrument.
    Signal,
    /// Something of all positions together is due.
    Portfolio,
    /// A position, by its slot, reaches the portfolio's maximum age.
    Age,
    /// An instrument's funding settles.
    Settlement,
    /// The end of an instrument's minute of trades.
    Candle,
    /// A minute begins: correlations are computed anew.
    Minute,
    /// A position, by its slot, comes of an age that health counts.
    Health,
    /// A price of an instrument that counts may have lapsed.
    Lapse,
    /// A position that is blind.
    Blind,
    /// Nobody waits for a settlement of an instrument's funding any longer.
    Held,
}

impl SystemTimer {
    /// In the order of their numbers.
    const ALL: [Self; 10] = [
        Self::Signal,
        Self::Portfolio,
        Self::Age,
        Self::Settlement,
        Self::Candle,
        Self::Minute,
        Self::Health,
        Self::Lapse,
        Self::Blind,
        Self::Held,
    ];
}

impl Timer {
    const fn item(self) -> u32 {
        match self {
            Self::Trigger(id) => id.0,
            Self::Hold(id) => 1 << 30 | id.0 as u32,
            Self::Rest(slot) => 2 << 30 | slot,
            Self::System(timer, index) => 3 << 30 | (timer as u32) << 24 | index,
        }
    }

    const fn from_item(item: u32) -> Self {
        let rest = item & ((1 << 30) - 1);
        match item >> 30 {
            0 => Self::Trigger(TriggerId(rest)),
            1 => Self::Hold(InstrumentId(rest as u16)),
            2 => Self::Rest(rest),
            _ => Self::System(SystemTimer::ALL[(rest >> 24) as usize], rest & ((1 << 24) - 1)),
        }
    }
}

impl Watch {
    /// Room for what the limits say of triggers, and for the timers of positions and instruments.
    pub(crate) fn new(instruments: usize, limits: &EngineLimits) -> Self {
        let board = Board {
            heads: [i64::MAX; 4],
            prices: [Root::EMPTY; 4],
            tracks: ArrayVec::new(),
            classes: ArrayVec::new(),
        };
        Self {
            // Behind the books' own stand those of the dump classes.
            boards: alloc::vec![
                board;
                TriggerSource::ALL.len() * instruments + dumps_max(instruments)
            ],
            // A trigger's own entries or its group's, and two guards in each direction of a class.
            prices: Heaps::with_capacity(limits.prices + 4 * crate::pair::classes_max(instruments)),
            groups: Groups::with_capacity(limits.trails),
            pairs: Pairs::with_capacity(limits.nets, instruments),
            guarded: GuardSlab::with_capacity(limits.nets),
            // Of each instrument the holds of three prices, a lapse, a signal, a settlement, the end of
            // those that wait for it and a candle, of each position a back-off and its blindness, and
            // two of all together. Ages are the portfolio's, which makes room for them.
            timers: Heaps::with_capacity(
                limits.timers + 8 * instruments + 2 * limits.positions + 2,
            ),
            timer_root: Root::EMPTY,
        }
    }

    /// Timers that there is room for.
    #[cfg(test)]
    pub(crate) fn timer_room(&self) -> usize {
        self.timers.room()
    }

    /// Room for `more` timers.
    pub(crate) fn add_timer_room(&mut self, more: usize) {
        self.timers.add_room(more);
    }

    pub(crate) fn board(&self, id: InstrumentId) -> &Board {
        &self.boards[usize::from(id.0)]
    }

    pub(crate) fn board_mut(&mut self, id: InstrumentId) -> &mut Board {
        &mut self.boards[usize::from(id.0)]
    }

    fn insert(&mut self, id: InstrumentId, heap: usize, key: i64, item: u32) -> NodeId {
        let board = &mut self.boards[usize::from(id.0)];
        board.heads[heap] = board.heads[heap].min(key);
        self.prices.insert(&mut board.prices[heap], key, item)
    }

    fn remove(&mut self, id: InstrumentId, heap: usize, entry: NodeId) {
        let board = &mut self.boards[usize::from(id.0)];
        self.prices.remove(&mut board.prices[heap], entry);
        board.heads[heap] = self.prices.peek(board.prices[heap]).map_or(i64::MAX, |(key, _)| key);
    }

    fn change(&mut self, id: InstrumentId, heap: usize, entry: NodeId, key: i64) -> NodeId {
        let board = &mut self.boards[usize::from(id.0)];
        let entry = self.prices.change_key(&mut board.prices[heap], entry, key);
        board.heads[heap] = self.prices.peek(board.prices[heap]).map_or(i64::MAX, |(key, _)| key);
        entry
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
        debug_assert!(trigger.0 < CLASS);
        self.insert(instrument, heap_of(side, cmp), signed(cmp, limit), trigger.0)
    }

    /// Ends watching a limit.
    pub(crate) fn remove_price(
        &mut self,
        instrument: InstrumentId,
        side: Side,
        cmp: Cmp,
        node: NodeId,
    ) {
        self.remove(instrument, heap_of(side, cmp), node);
    }

    /// Moves every trigger that a new quote crosses into `due`, with the price entry that left its
    /// heap for it. A guarded trigger may come more than once and its other entries stay behind.
    /// Pair classes whose guard is crossed come into `classes`.
    #[inline]
    pub(crate) fn cross(
        &mut self,
        id: InstrumentId,
        quote: &Quote,
        due: &mut Vec<Due>,
        classes: &mut Vec<DueClass>,
    ) {
        let (bid, ask) = (quote.bid.raw(), quote.ask.raw());
        self.cross_heaps(id, [(0, bid), (1, -bid), (2, ask), (3, -ask)], due, classes);
    }

    /// The same for the two heaps with what protects, bid ≤ and ask ≥, and a price that stands in
    /// for the board's own.
    pub(crate) fn cross_protective(
        &mut self,
        id: InstrumentId,
        quote: &Quote,
        due: &mut Vec<Due>,
        classes: &mut Vec<DueClass>,
    ) {
        self.cross_heaps(id, [(1, -quote.bid.raw()), (2, quote.ask.raw())], due, classes);
    }

    #[inline]
    fn cross_heaps<const N: usize>(
        &mut self,
        id: InstrumentId,
        heaps: [(usize, i64); N],
        due: &mut Vec<Due>,
        classes: &mut Vec<DueClass>,
    ) {
        for (heap, price) in heaps {
            while self.boards[usize::from(id.0)].heads[heap] <= price {
                let root = self.boards[usize::from(id.0)].prices[heap];
                let Some((_, item)) = self.prices.peek(root) else { break };
                let entry = root.node();
                self.remove(id, heap, entry);
                if item & GROUP != 0 {
                    self.cross_group(item & !GROUP, price.abs(), due);
                } else if item & CLASS != 0 {
                    let (class, cmp) = class_of(item);
                    classes.push(DueClass { class, cmp, entry });
                } else {
                    due.push(Due::of_entry(TriggerId(item), entry));
                }
            }
        }
    }

    /// Guards a pair class at the distance of its head, or leaves it unguarded without one.
    pub(crate) fn guard_class(&mut self, class: u16, cmp: Cmp, quotes: [&Quote; 2]) {
        self.unguard_class(class, cmp);
        let guards = self.pairs.guards(class, cmp, quotes);
        let mut entries = [NodeId::NONE; 2];
        for (at, guard) in guards.into_iter().enumerate() {
            let Some((direction, limit)) = guard else { continue };
            let leg = self.pairs.legs(class)[at];
            let heap = heap_of(leg.side, direction);
            let item = CLASS | u32::from(class) << 1 | cmp as u32;
            entries[at] = self.insert(leg.instrument, heap, signed(direction, limit), item);
        }
        self.pairs.set_entries(class, cmp, entries);
    }

    /// Ends guarding a pair class.
    pub(crate) fn unguard_class(&mut self, class: u16, cmp: Cmp) {
        let entries = self.pairs.entries(class, cmp);
        for (leg, entry) in (*self.pairs.legs(class)).into_iter().zip(entries) {
            if entry != NodeId::NONE {
                let heap = heap_of(leg.side, crate::guard::direction(leg.side, cmp));
                self.remove(leg.instrument, heap, entry);
            }
        }
        self.pairs.set_entries(class, cmp, [NodeId::NONE; 2]);
    }

    /// Takes the members whose stop is crossed out of a group whose price entry was just popped.
    fn cross_group(&mut self, group: u32, price: i64, due: &mut Vec<Due>) {
        self.groups.entry_gone(group);
        let Group { instrument, track, .. } = *self.groups.group(group);
        let track = self.boards[usize::from(instrument.0)].tracks[usize::from(track)];
        while let Some(member) = self.groups.pop_crossed(group, &track, price) {
            due.push(Due::of_group(member, group));
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
            let track = &self.boards[usize::from(id.0)].tracks[at];
            let x = match track.side {
                Side::Long => quote.bid.raw(),
                Side::Short => quote.ask.raw(),
            };
            if track.moves(x) {
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
        let Group { instrument, entry, track, .. } = *self.groups.group(group);
        let track = &self.boards[usize::from(instrument.0)].tracks[usize::from(track)];
        let heap = heap_of(track.side, stop_direction(track.side));
        match self.groups.stop(group, track) {
            Some((cmp, limit)) => {
                let key = signed(cmp, limit);
                let entry = if entry == NodeId::NONE {
                    self.insert(instrument, heap, key, group | GROUP)
                } else {
                    self.change(instrument, heap, entry, key)
                };
                self.groups.set_entry(group, entry);
            }
            // The nearest stop lies beyond every price.
            None => self.leave_entry(group),
        }
    }

    fn leave_entry(&mut self, group: u32) {
        let Group { instrument, entry, track, .. } = *self.groups.group(group);
        if entry == NodeId::NONE {
            return;
        }
        let side = self.boards[usize::from(instrument.0)].tracks[usize::from(track)].side;
        self.remove(instrument, heap_of(side, stop_direction(side)), entry);
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
