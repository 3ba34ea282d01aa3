//! What venues say that accounts hold, against what the executor believes.
//!
//! A venue nets all that an account holds of an instrument. The executor splits such a read over the
//! legs that make the holding up: what is missing is missed from the newest position first. A read
//! that comes while an order of the holding may still trade says nothing, because that order may
//! explain it; with none in flight every fill is counted, and a read that shows less is short. Nor
//! does one that was asked for before something was learnt of the holding: a fill, a position.
//!
//! An order that its venue does not know ([`crate::protocol`]) is settled by the first read of its
//! holding that was asked for after that: what is missing against the last read before it left is
//! what such orders took, up to their rests. An account may hold more than is known here; a holding
//! that was never read before has nothing to compare with, and its orders stay unknown, for people.
//!
//! Nothing else is changed by a read alone. Rules of the engine decide whether enough of them agree,
//! and the intent of `leg_lost` or `imbalance` has the legs that its part names written off here.

use crate::desk::Desk;
use crate::event::Report;
use crate::executor::Executor;
use crate::exit::Exit;
use crate::holding::HoldingKey;
use crate::intent::{Intent, Reason};
use crate::leg::Leg;
use crate::order::HoldingRead;
use crate::position::Side;
use crate::pricing::Quotes;
use crate::units::{Nanos, Qty};

impl Executor {
    /// What an account holds of an instrument, as its venue says. Take everything out after it.
    ///
    /// Orders whose fate only this can settle are settled first, and their plans go on. The engine
    /// hears of the legs of which the read says something: those that are short, or were at the
    /// read before, and those of positions whose legs are out of proportion.
    pub fn on_read(&mut self, now: Nanos, read: &HoldingRead, quotes: &impl Quotes) {
        #[cfg(all(feature = "planted", debug_assertions))]
        let misread = self.misread(read);
        #[cfg(all(feature = "planted", debug_assertions))]
        let Some(read) = misread.as_ref() else { return };
        self.desk.now = self.desk.now.max(now);
        self.desk.on_read(now, read);
        let &HoldingRead { account, instrument, qty, .. } = read;
        for side in [Side::Long, Side::Short] {
            let of = HoldingKey { account, instrument, side };
            self.read_side(now, of, i128::from(qty) * side.sign(), read, quotes);
        }
    }

    fn read_side(
        &mut self,
        now: Nanos,
        of: HoldingKey,
        held: i128,
        read: &HoldingRead,
        quotes: &impl Quotes,
    ) {
        let (mut legs, mut open, mut in_flight, mut awaits) = (0, 0, false, false);
        for exit in self.exits.iter().flatten().filter(|exit| !exit.closed) {
            for leg in exit.legs.iter().filter(|leg| leg.key() == of) {
                legs += 1;
                open += i128::from(leg.open.raw());
                in_flight |= leg.is_live() && !leg.is_decided_by(read);
                awaits |= leg.is_decided_by(read);
            }
            let (undecided, decided) = self.desk.asides_of(exit, of, read);
            in_flight |= undecided;
            awaits |= decided;
        }
        let (mut entered, mut entering) = (0, false);
        for (held, undecided) in self.entries.iter().filter_map(|entry| entry.held(of, read)) {
            entering = true;
            entered += held;
            in_flight |= undecided;
        }
        if legs == 0 && !entering {
            return;
        }
        let settled = self.desk.holdings.is_settled(of, read.asked, now);
        let settled = settled || planted!(self.desk, StaleReadBelieved);
        let in_flight = in_flight && !planted!(self.desk, ReadWhileInFlight);
        if in_flight || !settled {
            // What is held beside it is still to be known.
            if !in_flight && legs > 0 && self.desk.holdings.surplus(of).is_none() {
                let HoldingKey { account, instrument, .. } = of;
                self.desk.read_soon(now, account, instrument);
            }
            return;
        }
        let known = open + entered;
        match self.desk.holdings.surplus(of) {
            // What was there beside ours is there still: only what has changed since is the work of
            // the orders in question.
            Some(surplus) => {
                let missing = known + surplus - held;
                let left = self.prove(now, of, missing, read, quotes);
                self.desk.holdings.set_surplus(of, surplus - left);
                open -= (missing - left).max(0);
            }
            // Nobody knows what was there before they left: they stay as they are, for people.
            None if awaits => return,
            None => self.desk.holdings.set_surplus(of, held - known),
        }
        // A loss is believed only where less is held than is ours, whoever's the rest is.
        self.share(of, legs, (open - held.max(0)).max(0));
    }

    /// Settles the orders on which a read decides; returns what they do not explain.
    fn prove(
        &mut self,
        now: Nanos,
        of: HoldingKey,
        mut missing: i128,
        read: &HoldingRead,
        quotes: &impl Quotes,
    ) -> i128 {
        for slot in 0..self.exits.len() {
            let Some(exit) = self.exits[slot].as_mut().filter(|exit| !exit.closed) else {
                continue;
            };
            let mut any = false;
            for i in 0..exit.legs.len() {
                if exit.legs[i].key() != of {
                    continue;
                }
                let mut prove = |exit: &mut Exit, i: usize, desk: &mut Desk| {
                    let taken = exit.prove(now, i, missing, desk, quotes);
                    missing -= if planted!(desk, InferredTwice) { 0 } else { taken };
                    any = true;
                };
                exit.prove_asides(i, read, &mut prove, &mut self.desk);
                if exit.legs[i].is_decided_by(read) {
                    prove(exit, i, &mut self.desk);
                }
            }
            if any {
                self.advance(now, slot, quotes);
            }
        }
        for at in (0..self.entries.len()).rev() {
            let (left, any) =
                self.entries[at].prove(now, of, read, missing, &mut self.desk, quotes);
            missing = left;
            if any {
                self.advance_entry(now, at, quotes);
            }
        }
        missing
    }

    /// Splits what is missing over the legs of a holding, the newest position first.
    fn share(&mut self, of: HoldingKey, legs: usize, mut missing: i128) {
        let mut before = u64::MAX;
        for _ in 0..legs {
            let Some(at) = self.newest(of, before) else { return };
            let exit = self.exits[at].as_mut().expect("just found");
            before = exit.taken;
            exit.read(of, &mut missing, &mut self.desk);
        }
    }

    /// The newest position with a leg of a holding that was taken on before another.
    fn newest(&self, of: HoldingKey, before: u64) -> Option<usize> {
        let held =
            self.exits.iter().enumerate().filter_map(|(at, exit)| Some((at, exit.as_ref()?)));
        let earlier = held.filter(|(_, exit)| {
            !exit.closed && exit.taken < before && exit.legs.iter().any(|leg| leg.key() == of)
        });
        earlier.max_by_key(|(_, exit)| exit.taken).map(|(at, _)| at)
    }
}

impl Exit {
    /// Takes this position's part of what is missing of a holding.
    fn read(&mut self, of: HoldingKey, missing: &mut i128, desk: &mut Desk) {
        let uneven = self.is_uneven();
        for at in 0..self.legs.len() {
            let leg = &mut self.legs[at];
            if leg.key() != of {
                continue;
            }
            let short = i128::from(leg.open.raw()).min(*missing);
            *missing -= short;
            let qty = Qty::new(leg.open.raw() - short as i64).expect("part of what is open");
            let was_short = leg.read.is_some_and(|read| read < leg.open);
            leg.read = Some(qty);
            if short > 0 || was_short || uneven {
                desk.push_report(Report::LegRead { position: self.id, leg: at as u8, qty });
            }
        }
    }

    /// Whether the legs are not what they were to each other, as far as is known.
    fn is_uneven(&self) -> bool {
        let part = |a: &Leg, b: &Leg| {
            let known = a.read.map_or(a.open, |read| read.min(a.open));
            i128::from(known.raw()) * i128::from(b.ratio.raw())
        };
        self.legs.windows(2).any(|pair| part(&pair[0], &pair[1]) != part(&pair[1], &pair[0]))
    }

    /// Puts the books of the legs that an intent calls lost to what was read last. One that has an
    /// order in flight waits for its end; one that a later read has shown in full keeps what it has.
    pub(crate) fn write_off(&mut self, intent: &Intent, desk: &mut Desk) {
        if !matches!(intent.reason, Reason::LegLost | Reason::Imbalance) {
            return;
        }
        for at in 0..self.legs.len() {
            let leg = &mut self.legs[at];
            let Some(read) = leg.read.filter(|read| *read < leg.open) else { continue };
            if intent.part >> at & 1 == 0 {
                continue;
            }
            if leg.is_busy() {
                leg.lost_meanwhile = true;
            } else {
                self.lose(at, read, desk);
            }
        }
    }

    /// The order that stood in the way of a write-off is over: what is still missing is lost.
    pub(crate) fn lose_now(&mut self, at: usize, desk: &mut Desk) {
        let leg = &mut self.legs[at];
        if leg.is_busy() || !core::mem::take(&mut leg.lost_meanwhile) {
            return;
        }
        if let Some(read) = leg.read.filter(|read| *read < leg.open) {
            self.lose(at, read, desk);
        }
    }

    fn lose(&mut self, at: usize, read: Qty, desk: &mut Desk) {
        let leg = &mut self.legs[at];
        let lost = leg.open.checked_sub(read).expect("it is short");
        leg.open = read;
        desk.holdings.write_off(leg.place, lost);
        desk.counters.written_off += 1;
        let (position, leg) = (self.id, at as u8);
        desk.push_report(Report::LegLost { position, leg, qty: read });
    }
}
