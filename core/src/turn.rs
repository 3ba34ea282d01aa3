//! Turns: a `reversal` with `enter` goes over to the side that a signal wants.
//!
//! A turn is noted when the signal comes, for each position of one leg that makes way for it or is on
//! its way out already. It enters when nothing conflicts with the signal any more and every lot of
//! its position was closed by a fill: the position's policy, account, tag and first quantity, on the
//! other side, one order at the best price and a collar. What cannot be entered then is dropped.

use alloc::vec::Vec;

use crate::clip::min_entry;
use crate::engine::Engine;
use crate::entry::{ENTRY_LEGS_MAX, Entered, EntryBook, EntryFill, EntryIntent, EntryLeg, TaskId};
use crate::event::EntryOutcome;
use crate::instrument::{AccountId, InstrumentId};
use crate::limits::{TASKS_MAX, TURNS_MAX};
use crate::note::{EngineNote, SignalDrop};
use crate::policy::{Policy, PolicyId, Rule};
use crate::position::{PositionId, PositionSpec, Side};
use crate::pricing::collar;
use crate::units::{Nanos, Qty};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its place is free.
    Free,
    /// Its position is not closed yet.
    Waiting,
    /// Every lot of its position was closed by a fill.
    Closed,
    /// Its order is at work.
    Entering,
}

#[derive(Clone, Copy, Debug)]
struct Turn {
    stage: Stage,
    /// The position that it takes the place of.
    of: PositionId,
    policy: PolicyId,
    tag: u32,
    account: AccountId,
    instrument: InstrumentId,
    /// The side that the signal wants.
    side: Side,
    qty: Qty,
    entry: Option<EntryIntent>,
    filled_at: Option<Nanos>,
    book: EntryBook,
}

impl Turn {
    const FREE: Self = Self {
        stage: Stage::Free,
        of: PositionId(0),
        policy: PolicyId(0),
        tag: 0,
        account: AccountId(0),
        instrument: InstrumentId(0),
        side: Side::Long,
        qty: Qty::ZERO,
        entry: None,
        filled_at: None,
        book: EntryBook::NONE,
    };
}

/// All turns; empty when no policy asks for one.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Vec<Turn>,
    /// By policy: the one that it was committed as a version of, at first itself.
    families: Vec<PolicyId>,
}

impl Turns {
    pub(crate) fn with_capacity(policies: usize) -> Self {
        Self { all: Vec::new(), families: Vec::with_capacity(policies) }
    }

    /// A policy is a version of another from now on.
    pub(crate) fn commit(&mut self, of: PolicyId, policy: PolicyId) {
        self.families[usize::from(policy.0)] = of;
    }

    /// A further policy: room for its turns, if it has any.
    pub(crate) fn make_room(&mut self, policy: &Policy) -> bool {
        self.families.push(PolicyId(self.families.len() as u16));
        let turns = policy.rules.iter().any(|one| enters(&one.rule));
        if turns && self.all.is_empty() {
            self.all.reserve_exact(TURNS_MAX);
            self.all.resize(TURNS_MAX, Turn::FREE);
        }
        turns
    }

    /// Whether an entry of one is at work on an instrument.
    pub(crate) fn enters_on(&self, instrument: InstrumentId) -> bool {
        self.all.iter().any(|turn| turn.stage == Stage::Entering && turn.instrument == instrument)
    }

    /// The turn of the lowest id that waits for the signal for an instrument.
    fn next(&self, instrument: InstrumentId) -> Option<usize> {
        let waits = |turn: &Turn| {
            turn.instrument == instrument && !matches!(turn.stage, Stage::Free | Stage::Entering)
        };
        let all = self.all.iter().enumerate().filter(|(_, turn)| waits(turn));
        all.min_by_key(|(_, turn)| turn.of).map(|(at, _)| at)
    }

    /// The turns' entries that are at work.
    pub(crate) fn at_work(&self) -> impl Iterator<Item = EntryIntent> {
        self.all.iter().filter_map(|turn| turn.entry)
    }

    /// Whether one is at work there that is not for this side.
    pub(crate) fn enters_against(&self, instrument: InstrumentId, side: Side) -> bool {
        let mut at_work = self.all.iter().filter(|turn| turn.stage == Stage::Entering);
        at_work.any(|turn| turn.instrument == instrument && turn.side != side)
    }
}

const fn enters(rule: &Rule) -> bool {
    matches!(rule, Rule::Reversal { enter: true, .. })
}

/// The number under which a turn's entry goes: those of the tasks come before.
const fn entry_id(at: usize) -> TaskId {
    TaskId((TASKS_MAX + at) as u16)
}

impl Engine {
    /// The turn whose entry goes under this number.
    fn turn_at(&self, id: TaskId) -> Option<usize> {
        let at = usize::from(id.0).checked_sub(TASKS_MAX)?;
        (at < self.turns.all.len()).then_some(at)
    }

    /// Whether an entry is at work, of a task or of a signal.
    #[must_use]
    pub fn is_entering(&self) -> bool {
        self.tasks_enter() || self.turns.all.iter().any(|turn| turn.stage == Stage::Entering)
    }

    /// A position makes way for a signal: when its first reversal rule says so, it is turned.
    pub(crate) fn plan_turn(&mut self, slot: u32, instrument: InstrumentId, side: Side) {
        let position = &self.positions[slot as usize];
        let rules = &self.policies[usize::from(position.policy)].rules;
        let Some(first) = rules.iter().position(|one| matches!(one.rule, Rule::Reversal { .. }))
        else {
            return;
        };
        if !enters(&rules[first].rule) || position.off.has(first as u8) {
            return;
        }
        let leg = &position.legs[0];
        let turn = Turn {
            stage: Stage::Waiting,
            of: PositionId::new(slot, position.generation),
            policy: self.turns.families[usize::from(position.policy)],
            tag: position.tag,
            account: leg.account,
            instrument,
            side,
            qty: leg.original,
            ..Turn::FREE
        };
        match self.turns.all.iter_mut().find(|turn| turn.stage == Stage::Free) {
            Some(free) => *free = turn,
            None => self.drop_entry(instrument, side, SignalDrop::NoRoom),
        }
    }

    fn drop_entry(&mut self, instrument: InstrumentId, side: Side, why: SignalDrop) {
        self.notes.push(EngineNote::SignalDropped { instrument, side, why });
    }

    fn waiting_turn(&mut self, slot: u32) -> Option<&mut Turn> {
        if self.turns.all.is_empty() {
            return None;
        }
        let of = PositionId::new(slot, self.positions[slot as usize].generation);
        self.turns.all.iter_mut().find(|turn| turn.stage == Stage::Waiting && turn.of == of)
    }

    /// Part of a position is gone by no order of ours: what is held elsewhere nobody knows.
    pub(crate) fn turn_lost(&mut self, slot: u32) {
        self.positions[slot as usize].lost = true;
    }

    /// A position is closed: by fills, if nothing of it is open or was lost.
    pub(crate) fn turn_closed(&mut self, slot: u32) {
        let position = &self.positions[slot as usize];
        let filled = position.is_flat() && !position.lost;
        if let Some(turn) = self.waiting_turn(slot).filter(|_| filled) {
            turn.stage = Stage::Closed;
        }
    }

    /// The signal for an instrument enters nothing.
    pub(crate) fn drop_turns(&mut self, instrument: InstrumentId) {
        for turn in &mut self.turns.all {
            if turn.instrument == instrument && turn.stage != Stage::Entering {
                turn.stage = Stage::Free;
            }
        }
    }

    /// Nothing conflicts with the signal for an instrument any more. What is turned enters in the order
    /// of the positions' ids.
    pub(crate) fn enter_turns(&mut self, instrument: InstrumentId) {
        let now = self.now;
        // Each one leaves its stage, so this ends.
        while let Some(at) = self.turns.next(instrument) {
            let turn = self.turns.all[at];
            let kept = self.turn_leg(&turn, now).and_then(|leg| {
                let of = (turn.policy, turn.tag);
                self.keep_room(entry_id(at), of, &[leg]).map(|()| leg)
            });
            match kept {
                Ok(leg) => {
                    let entry = self.raise_entry(now, entry_id(at), &[leg]);
                    let turn = &mut self.turns.all[at];
                    (turn.stage, turn.entry) = (Stage::Entering, Some(entry));
                }
                Err(why) => {
                    self.turns.all[at].stage = Stage::Free;
                    self.drop_entry(instrument, turn.side, why);
                }
            }
        }
    }

    /// What a turn orders at the quotes of now.
    fn turn_leg(&self, turn: &Turn, now: Nanos) -> Result<EntryLeg, SignalDrop> {
        let Turn { account, instrument, side, .. } = *turn;
        if turn.stage != Stage::Closed {
            return Err(SignalDrop::NotFilled);
        }
        if self.tasks_lock(instrument) {
            return Err(SignalDrop::Locked);
        }
        let source = self.books.source_of(instrument);
        let usable = self.books.quoted(instrument, now)
            && source.is_some_and(|source| self.books.live(source, now));
        let quote = self.books.quote(instrument).filter(|_| usable);
        let quote = quote.ok_or(SignalDrop::NoPrice)?;
        let of = self.books.instrument(instrument).expect("its position knew it");
        let spec = of.spec();
        let policy = &self.policies[usize::from(self.in_force(turn.policy).0)];
        let rate = policy.exit.collar_normal;
        // It buys as the exit of a short does, and sells as that of a long.
        let (closes, price) = match side {
            Side::Long => (Side::Short, quote.ask),
            Side::Short => (Side::Long, quote.bid),
        };
        let limit = collar(closes, &quote, rate, spec.tick);
        let qty = of.round_lot(turn.qty);
        if qty == Qty::ZERO || qty.raw() < min_entry(of, price) {
            return Err(SignalDrop::TooSmall);
        }
        let step = Qty::new(spec.lot).expect("a lot is a quantity");
        Ok(EntryLeg { account, instrument, side, qty, limit, step })
    }

    /// Entries are allowed no more, and this one of the same event has not been seen by anybody.
    /// Whether it was a turn's.
    pub(crate) fn withdraw_turn(&mut self, id: TaskId) -> bool {
        let Some(at) = self.turn_at(id) else { return false };
        let Turn { instrument, side, .. } = core::mem::replace(&mut self.turns.all[at], Turn::FREE);
        self.drop_entry(instrument, side, SignalDrop::NotActive);
        true
    }

    /// A fill of a turn's order. Whether it was for one.
    pub(crate) fn on_turn_fill(
        &mut self,
        now: Nanos,
        id: TaskId,
        leg: u8,
        fill: EntryFill,
    ) -> bool {
        let Some(at) = self.turn_at(id) else { return false };
        let turn = &mut self.turns.all[at];
        if turn.stage != Stage::Entering || leg != 0 {
            self.stray("a fill of an entry that is not at work", None);
            return true;
        }
        let instrument = self.books.instrument(turn.instrument).expect("its position knew it");
        let EntryFill { price, qty, fee, undoes } = fill;
        if undoes {
            turn.book.undo(instrument, price, qty, fee);
        } else {
            turn.filled_at = turn.filled_at.or(Some(now));
            turn.book.fill(instrument, price, qty, fee);
        }
        true
    }

    /// A turn's order has ended: a position comes of it, or nothing. Whether it was one's.
    pub(crate) fn on_turn_ended(
        &mut self,
        now: Nanos,
        id: TaskId,
        seq: u64,
        how: EntryOutcome,
    ) -> bool {
        let Some(at) = self.turn_at(id) else { return false };
        let turn = self.turns.all[at];
        let Some(entry) = turn.entry.filter(|entry| entry.seq == seq) else {
            self.stray("the end of an entry that is not at work", None);
            return true;
        };
        self.turns.all[at] = Turn::FREE;
        let version = self.give_room(id).expect("it was kept for the entry");
        let said = entry.legs()[0];
        let instrument = self.books.instrument(turn.instrument).expect("its position knew it");
        let quote = self.books.quote(turn.instrument);
        let price = quote.map_or(said.limit, |quote| match turn.side {
            Side::Long => quote.bid,
            Side::Short => quote.ask,
        });
        let loss = turn.book.loss(turn.side, instrument, price);
        let (left, scale) = (turn.book.left(), instrument.nano_scale());
        if left == Qty::ZERO || how == EntryOutcome::Nothing {
            // What cannot be sold is no position.
            let dust = left > Qty::ZERO;
            let why = if dust { SignalDrop::Unwatched } else { SignalDrop::Missed };
            self.portfolio_missed(loss, scale);
            self.drop_entry(turn.instrument, turn.side, why);
            return true;
        }
        let legs = [turn.book.leg(&said, instrument)].into_iter().collect();
        let Turn { policy, tag, .. } = turn;
        let spec = PositionSpec { policy, opened: turn.filled_at.unwrap_or(now), tag, legs };
        match self.take_in(now, version, &spec) {
            Ok(position) => {
                let entered = Entered { task: id, of: Some(turn.of), id: position, spec };
                self.tasks.entered.push_back(entered);
                self.close_late_entry(position.slot() as u32, entry.at);
            }
            Err(_) => {
                self.portfolio_missed(loss, scale);
                self.drop_entry(turn.instrument, turn.side, SignalDrop::Unwatched);
            }
        }
        true
    }
}

const _: () = assert!(TASKS_MAX + TURNS_MAX < u16::MAX as usize && ENTRY_LEGS_MAX >= 1);
