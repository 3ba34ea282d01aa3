//! Trailing groups: positions of equal instrument, side, step and high-water mark share one mark.
//!
//! A new high passes the groups with the lowest marks, melds them into one and moves one number, so
//! that a rally costs the same for one position as for ten thousand. Within a group the member with
//! the smallest distance has the nearest stop; the group stands in the instrument's price heap with
//! that stop.

use alloc::vec::Vec;

use crate::compile::{TrackDistance, trail};
use crate::heap::{Heaps, NIL, NodeId, Root};
use crate::instrument::InstrumentId;
use crate::limits::PPB;
use crate::net::Cmp;
use crate::position::Side;
use crate::rules::erosion;
use crate::trigger::{Condition, TriggerId};

/// How a track's distances are meant: a group compares only distances of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DistanceKind {
    Rate,
    Units,
    /// A share in ppb of the net at the mark: the member's distance is its break-even price, see
    /// [`crate::rules::erosion`].
    Erosion(i64),
}

/// All groups of one instrument with equal side, step and kind of distance, by mark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Track {
    pub(crate) side: Side,
    /// The mark moves only beyond this share of itself, in ppb.
    pub(crate) step: i64,
    pub(crate) kind: DistanceKind,
    /// Triggers that belong here, attached or not; the track goes with the last.
    pub(crate) users: u32,
    /// Groups by mark, the one that a new high passes first at the root.
    by_mark: Root,
    /// The mark of that group.
    first: Option<i64>,
}

impl Track {
    pub(crate) const fn new(side: Side, step: i64, kind: DistanceKind) -> Self {
        Self { side, step, kind, users: 0, by_mark: Root::EMPTY, first: None }
    }

    pub(crate) fn is(&self, side: Side, step: i64, kind: DistanceKind) -> bool {
        self.side == side && self.step == step && self.kind == kind
    }

    /// Marks in the order in which a new high passes them.
    const fn signed(&self, mark: i64) -> i64 {
        match self.side {
            Side::Long => mark,
            Side::Short => -mark,
        }
    }

    /// Whether `x` moves the first mark.
    #[inline]
    pub(crate) fn moves(&self, x: i64) -> bool {
        self.first.is_some_and(|mark| self.passes(mark, x))
    }

    /// Whether `x` moves a mark: long x > H·(1 + step), short x < H·(1 − step).
    fn passes(&self, mark: i64, x: i64) -> bool {
        if self.step == 0 {
            return self.signed(x) > self.signed(mark);
        }
        let (x, mark, one) = (i128::from(x), i128::from(mark), i128::from(PPB));
        let step = i128::from(self.step);
        match self.side {
            Side::Long => x * one > mark * (one + step),
            Side::Short => x * one < mark * (one - step),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    pub(crate) mark: i64,
    pub(crate) instrument: InstrumentId,
    pub(crate) track: u8,
    /// Members by distance, then trigger.
    members: Root,
    /// The group's place in its track.
    by_mark: NodeId,
    /// The group's place in its instrument's price heap.
    pub(crate) entry: NodeId,
    size: u32,
    next_free: u32,
}

/// The slab of groups with their members.
#[derive(Debug)]
pub(crate) struct Groups {
    slab: Vec<Group>,
    free: u32,
    marks: Heaps<i64>,
    members: Heaps<i64>,
    /// Group of each member, by the index of its node.
    group_of: Vec<u32>,
}

impl Groups {
    pub(crate) fn with_capacity(triggers: usize) -> Self {
        Self {
            slab: Vec::with_capacity(triggers),
            free: NIL,
            marks: Heaps::with_capacity(triggers),
            members: Heaps::with_capacity(triggers),
            group_of: alloc::vec![NIL; triggers],
        }
    }

    pub(crate) fn group(&self, group: u32) -> &Group {
        &self.slab[group as usize]
    }

    pub(crate) fn is_empty(&self, group: u32) -> bool {
        self.group(group).members.is_empty()
    }

    pub(crate) fn set_entry(&mut self, group: u32, entry: NodeId) {
        self.slab[group as usize].entry = entry;
    }

    pub(crate) fn entry_gone(&mut self, group: u32) {
        self.set_entry(group, NodeId::NONE);
    }

    /// Keeps a track's first mark beside its heap.
    fn note_first(&self, track: &mut Track) {
        track.first = self.marks.peek(track.by_mark).map(|(_, group)| self.group(group).mark);
    }

    /// A new group with one member.
    pub(crate) fn open(
        &mut self,
        instrument: InstrumentId,
        at: u8,
        track: &mut Track,
        mark: i64,
        distance: i64,
        member: u32,
    ) -> (u32, NodeId) {
        let mut members = Root::EMPTY;
        let node = self.members.insert(&mut members, distance, member);
        let mut group = Group {
            mark,
            instrument,
            track: at,
            members,
            by_mark: NodeId::NONE,
            entry: NodeId::NONE,
            size: 1,
            next_free: NIL,
        };
        let id = if self.free == NIL { self.slab.len() as u32 } else { self.free };
        let key = track.signed(mark);
        group.by_mark = self.marks.insert(&mut track.by_mark, key, id);
        if self.free == NIL {
            assert!(self.slab.len() < self.slab.capacity(), "one group per trigger at most");
            self.slab.push(group);
        } else {
            self.free = self.group(id).next_free;
            self.slab[id as usize] = group;
        }
        self.group_of[node.index()] = id;
        self.note_first(track);
        (id, node)
    }

    /// Gives an empty group back.
    pub(crate) fn close(&mut self, group: u32, track: &mut Track) {
        debug_assert!(self.is_empty(group) && self.group(group).entry == NodeId::NONE);
        let by_mark = self.group(group).by_mark;
        self.marks.remove(&mut track.by_mark, by_mark);
        self.note_first(track);
        self.slab[group as usize].next_free = self.free;
        self.free = group;
    }

    /// Moves the first group of a track to `x`; the caller saw that it moves.
    pub(crate) fn move_first(&mut self, track: &mut Track, x: i64) -> u32 {
        let (_, group) = self.marks.peek(track.by_mark).expect("the caller saw a first group");
        let (node, key) = (self.group(group).by_mark, track.signed(x));
        let node = self.marks.change_key(&mut track.by_mark, node, key);
        let moved = &mut self.slab[group as usize];
        moved.by_mark = node;
        moved.mark = x;
        self.note_first(track);
        group
    }

    /// The next group that `x` passes, beside the one that has moved there.
    pub(crate) fn next_passed(&self, track: &Track, kept: u32, x: i64) -> Option<u32> {
        let (_, group) = self.marks.peek(track.by_mark)?;
        (group != kept && track.passes(self.group(group).mark, x)).then_some(group)
    }

    /// Makes one group of two that have no price entry, at the mark of `kept`; returns which of
    /// them it is. The smaller one's members are told, so that over its life a member is told at
    /// most log₂ n times.
    pub(crate) fn absorb(&mut self, track: &mut Track, kept: u32, other: u32) -> u32 {
        let x = self.group(kept).mark;
        let (large, small) = if self.group(kept).size >= self.group(other).size {
            (kept, other)
        } else {
            (other, kept)
        };
        let (node, key) = (self.group(large).by_mark, track.signed(x));
        let node = self.marks.change_key(&mut track.by_mark, node, key);
        let theirs = core::mem::replace(&mut self.slab[small as usize].members, Root::EMPTY);
        let group_of = &mut self.group_of;
        self.members.for_each(theirs, |node| group_of[node.index()] = large);
        let size = self.group(small).size;
        let group = &mut self.slab[large as usize];
        group.by_mark = node;
        group.mark = x;
        group.size += size;
        let mut members = group.members;
        self.members.meld(&mut members, theirs);
        self.slab[large as usize].members = members;
        self.close(small, track);
        debug_assert!(track.first.is_some());
        large
    }

    /// The group of a member.
    pub(crate) fn group_of(&self, member: NodeId) -> u32 {
        self.group_of[member.index()]
    }

    /// Takes one member out.
    pub(crate) fn leave(&mut self, member: NodeId) {
        let group = &mut self.slab[self.group_of[member.index()] as usize];
        group.size -= 1;
        self.members.remove(&mut group.members, member);
    }

    /// The stop of a group's nearest member, when there is one within bounds.
    pub(crate) fn stop(&self, group: u32, track: &Track) -> Option<(Cmp, i64)> {
        let Group { mark, members, .. } = *self.group(group);
        let (distance, _) = self.members.peek(members)?;
        match stop_of(track, mark, distance) {
            Condition::Price(cmp, limit) => Some((cmp, limit)),
            _ => None,
        }
    }

    /// Takes the nearest member out if its stop is crossed at `x`.
    pub(crate) fn pop_crossed(&mut self, group: u32, track: &Track, x: i64) -> Option<TriggerId> {
        let (cmp, limit) = self.stop(group, track)?;
        if !cmp.holds(x, limit) {
            return None;
        }
        let group = &mut self.slab[group as usize];
        group.size -= 1;
        let (_, member) = self.members.pop(&mut group.members)?;
        Some(TriggerId(member))
    }
}

fn stop_of(track: &Track, mark: i64, distance: i64) -> Condition {
    let distance = match track.kind {
        DistanceKind::Rate => TrackDistance::Rate(distance),
        DistanceKind::Units => TrackDistance::Units(distance),
        DistanceKind::Erosion(fraction) => {
            return erosion::nearest(track.side, mark, fraction, distance);
        }
    };
    trail(track.side, mark, distance)
}
