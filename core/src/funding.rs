//! Predicted funding of perpetual contracts, as the rules see it.
//!
//! A prediction names the time of its settlement; when that has passed, what was predicted last for
//! it is sampled. It has when the next one is named, though our clock be a little behind. The time
//! between two settlements is what lies between the times that the venue names; eight hours when it
//! has named one only, or leaves a longer gap.

use alloc::vec::Vec;

use arrayvec::ArrayVec;

use crate::book::Books;
use crate::heap::NodeId;
use crate::instrument::InstrumentId;
use crate::limits::{FUNDING_GRACE, LEGS_MAX};
use crate::tracked::Tracked;
use crate::units::{Nanos, Rate, mul_div_floor};

const DAY: u64 = 86_400_000_000_000;
/// How long before a settlement by our clock the next one may be named because it has passed.
const EARLY: Nanos = Nanos::from_secs(5);
/// Longest interval that is believed, and the one that is assumed.
const INTERVAL: u64 = 8 * 3_600_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Prediction {
    rate: Rate,
    settles: Nanos,
    /// The settlement before it, where one was seen, and the rate that was predicted last for it.
    before: Option<(Nanos, Rate)>,
    sampled: bool,
}

impl Prediction {
    /// What was named last, and what passed before it.
    fn settlements(&self) -> impl Iterator<Item = (Nanos, Rate)> {
        self.before.into_iter().chain([(self.settles, self.rate)])
    }

    fn interval(&self) -> u64 {
        let seen = self.before.map(|(before, _)| self.settles.since(before).0);
        seen.filter(|span| (1..=INTERVAL).contains(span)).unwrap_or(INTERVAL)
    }
}

#[derive(Clone, Copy, Debug)]
struct Of {
    last: Option<Prediction>,
    /// Triggers that wait for a settlement.
    users: u32,
    /// The timer of its next settlement, and that time.
    timer: Option<(NodeId, Nanos)>,
    /// Triggers that listen for those that wait for a settlement.
    listeners: u32,
    /// The timer at which nobody waits for one any longer, and that time.
    end: Option<(NodeId, Nanos)>,
    /// A trigger of a position with a leg on it may wait for a settlement.
    waited: bool,
}

/// Every instrument's predictions.
#[derive(Debug)]
pub(crate) struct Fundings {
    of: Vec<Of>,
    /// Triggers of all positions that wait for a settlement now.
    pub(crate) held: u32,
}

impl Fundings {
    pub(crate) fn new(instruments: usize) -> Self {
        let none = Of { last: None, users: 0, timer: None, listeners: 0, end: None, waited: false };
        Self { of: alloc::vec![none; instruments], held: 0 }
    }

    /// A prediction; one for a time that has passed says nothing. Whether it says something new.
    pub(crate) fn on_prediction(
        &mut self,
        now: Nanos,
        id: InstrumentId,
        rate: Rate,
        settles: Nanos,
    ) -> bool {
        let last = &mut self.of[usize::from(id.0)].last;
        if settles <= now {
            return false;
        }
        let before = match last {
            Some(last) if last.settles == settles => {
                return core::mem::replace(&mut last.rate, rate) != rate;
            }
            // It has passed, though not by our clock yet.
            Some(last) if last.before.is_some_and(|(passed, _)| settles <= passed) => return false,
            // What was moved before its time has settled nothing.
            Some(last) if last.settles > now && !last.sampled => last.before,
            Some(last) => Some((last.settles, last.rate)),
            None => None,
        };
        *last = Some(Prediction { rate, settles, before, sampled: false });
        true
    }

    /// So many more, or fewer, triggers wait for an instrument's settlements.
    pub(crate) fn users(&mut self, id: InstrumentId, by: i32) {
        let users = &mut self.of[usize::from(id.0)].users;
        *users = users.checked_add_signed(by).expect("what is closed was opened");
    }

    /// The timer of an instrument's next settlement.
    pub(crate) fn timer(&mut self, id: InstrumentId) -> &mut Option<(NodeId, Nanos)> {
        &mut self.of[usize::from(id.0)].timer
    }

    /// So many more, or fewer, triggers listen to an instrument's predictions.
    pub(crate) fn listeners(&mut self, id: InstrumentId, by: i32) {
        let listeners = &mut self.of[usize::from(id.0)].listeners;
        *listeners = listeners.checked_add_signed(by).expect("what is closed was opened");
    }

    /// The timer at which nobody waits for a settlement of an instrument any longer.
    pub(crate) fn end_timer(&mut self, id: InstrumentId) -> &mut Option<(NodeId, Nanos)> {
        &mut self.of[usize::from(id.0)].end
    }

    /// Whether a trigger of a position with a leg on an instrument may wait for a settlement; it does
    /// not when this is not said again.
    pub(crate) fn take_waited(&mut self, id: InstrumentId) -> bool {
        core::mem::take(&mut self.of[usize::from(id.0)].waited)
    }

    pub(crate) fn set_waited(&mut self, id: InstrumentId) {
        self.of[usize::from(id.0)].waited = true;
    }

    /// Where somebody listens: the next time at which a settlement of the instrument is so long ago
    /// that nobody waits for it.
    pub(crate) fn next_end(&self, now: Nanos, id: InstrumentId) -> Option<Nanos> {
        let of = &self.of[usize::from(id.0)];
        let last = of.last?;
        let ends = last.settlements().map(|(settles, _)| settles.plus(FUNDING_GRACE));
        ends.filter(|&end| of.listeners > 0 && end > now).min()
    }

    /// The first settlement that is near, or not long past, and brings the position more than it
    /// takes: of the legs that settle then, Σ −side · rate · entry · open quantity is above nought.
    pub(crate) fn in_favour(&self, position: &Tracked, near: Nanos, now: Nanos) -> Option<Nanos> {
        let mut sums: ArrayVec<(Nanos, i128), { 2 * LEGS_MAX }> = ArrayVec::new();
        for leg in position.legs() {
            let Some(last) = self.of[usize::from(leg.instrument.0)].last else { continue };
            for (settles, rate) in last.settlements() {
                if now >= settles.plus(FUNDING_GRACE) || settles > now.plus(near) {
                    continue;
                }
                // Below 2^30 · 2^48 · 2^46 each.
                let worth = i128::from(leg.entry.raw()) * i128::from(leg.weight());
                let received = -leg.side.sign() * i128::from(rate.raw()) * worth;
                match sums.iter_mut().find(|(at, _)| *at == settles) {
                    Some((_, sum)) => *sum += received,
                    None => sums.push((settles, received)),
                }
            }
        }
        sums.into_iter().filter(|&(_, sum)| sum > 0).map(|(settles, _)| settles).min()
    }

    /// When somebody waits for a settlement that is still to come: its time.
    pub(crate) fn wanted(&self, now: Nanos, id: InstrumentId) -> Option<Nanos> {
        let of = &self.of[usize::from(id.0)];
        let settles = of.last?.settles;
        (of.users > 0 && settles > now).then_some(settles)
    }

    /// The settlement whose time it is now, once. One that was moved while nobody waited is not that
    /// of an older timer.
    pub(crate) fn settled(&mut self, id: InstrumentId, due: Nanos) -> Option<Nanos> {
        let last = self.of[usize::from(id.0)].last.as_mut()?;
        let passed = last.settles == due && !last.sampled;
        last.sampled |= passed;
        passed.then_some(last.settles)
    }

    /// The settlement that has passed by the venue's clock, as the next one is named, but not by ours:
    /// once.
    pub(crate) fn settled_early(
        &mut self,
        now: Nanos,
        id: InstrumentId,
        next: Nanos,
    ) -> Option<Nanos> {
        let last = self.of[usize::from(id.0)].last.as_mut()?;
        let near = last.settles > now && last.settles <= now.plus(EARLY);
        let passed = near && next > last.settles.plus(EARLY) && !last.sampled;
        last.sampled |= passed;
        passed.then_some(last.settles)
    }

    /// What a position is predicted to receive a day, at its nano scale: Σ −side · rate · notional ·
    /// 24 h / interval, each leg rounded down. The notional is at the last mark, else at the middle of
    /// bid and ask, rounded down, of what is judged. A leg that never had a prediction has no funding;
    /// `None` when one that has it was never priced.
    pub(crate) fn a_day(&self, position: &Tracked, books: &Books) -> Option<i128> {
        // What is beyond every real figure is cut off, so that four legs are summed without overflow.
        const LEG_MAX: i128 = 1 << 124;
        let mut sum = 0;
        for leg in position.legs() {
            let Some(last) = self.of[usize::from(leg.instrument.0)].last else { continue };
            let price = books.mark_or_mid(leg.instrument)?;
            let notional = i128::from(price) * i128::from(leg.judged.raw() * leg.unit);
            let received = -leg.side.sign() * i128::from(last.rate.raw()) * notional;
            let interval = last.interval();
            let (whole, rest) = (DAY / interval, DAY % interval);
            let part = mul_div_floor(received, rest as i64, interval as i64);
            let leg = received.saturating_mul(i128::from(whole)).saturating_add(part);
            sum += leg.clamp(-LEG_MAX, LEG_MAX);
        }
        Some(sum)
    }
}
