//! Legs that stand without their counterpart while a plan closes several (SPEC §7).
//!
//! All legs are ordered at once; what one of them fills earlier than the others is naked until they
//! follow. Nothing is done about that while answers are merely on their way. A leg whose order was
//! refused or expired is ordered again at once, as its urgency has it; a silent one has its venue
//! asked after [`LEG_TIMEOUT`]. What lasts longer than the policy's `max_unhedged_time`, or is of
//! more notional than its `max_unhedged` with no answer to wait for, makes the plan protective: the
//! rest of all legs is closed, and clips no longer hold one leg back for the other. What still
//! lasts after as long again is closed at the market.
//!
//! An order of unknown fate blocks no more than its own rest ([`crate::aside`]).

use crate::desk::Desk;
use crate::exit::Exit;
use crate::intent::Urgency;
use crate::limits::LEG_TIMEOUT;
use crate::note::ExecutorNote;
use crate::plan::Naked;
use crate::pricing::Quotes;
use crate::units::{Decimal, Nanos, Qty, div_ceil};

impl Exit {
    /// Looks after legs without counterpart; when it must be called again at the latest.
    pub(crate) fn mind_legs(
        &mut self,
        now: Nanos,
        desk: &mut Desk,
        quotes: &impl Quotes,
    ) -> Option<Nanos> {
        let Some((leg, notional)) = self.naked(desk, quotes) else {
            self.hedged(now, desk);
            return None;
        };
        let waits = self.legs[usize::from(leg)].is_live();
        let most = self.max_unhedged;
        let bound = self.settings.max_unhedged_time;
        let plan = self.plan.as_mut().expect("only plans have legs to mind");
        let nothing = Decimal { mantissa: 0, scale: self.scale };
        let naked = plan.naked.get_or_insert(Naked {
            leg,
            since: now,
            notional: nothing,
            most: nothing,
            told: false,
            overdue: 0,
        });
        naked.leg = leg;
        naked.notional.mantissa = notional;
        naked.most.mantissa = naked.most.mantissa.max(notional);
        let asked_at = naked.since.plus(LEG_TIMEOUT);
        if !naked.told && (!waits || now >= asked_at) {
            naked.told = true;
            desk.counters.legging += 1;
            let (position, notional) = (self.id, naked.notional);
            desk.push_note(ExecutorNote::Legging { position, leg, notional });
        }
        if planted!(desk, NakedForEver) {
            return None;
        }
        let overdue_at = |times: u8| naked.since.plus(Nanos(bound.0.saturating_mul(times.into())));
        let too_much = !waits && most.is_some_and(|most| notional > most);
        let due = match naked.overdue {
            0 if too_much || now >= overdue_at(1) => Some(Urgency::Protective),
            1 if now >= overdue_at(2) => Some(Urgency::Critical),
            _ => None,
        };
        if due.is_some() {
            naked.overdue += 1;
        }
        let next = match naked.overdue {
            done @ 0..2 => Some(overdue_at(done + 1)),
            _ => None,
        };
        let told = (!naked.told).then_some(asked_at);
        let said = *naked;
        self.legs.iter_mut().filter_map(|leg| leg.order.as_mut()).for_each(|order| {
            order.hurry(LEG_TIMEOUT);
        });
        if let Some(urgency) = due {
            let position = self.id;
            let (lasted, notional) = (now.since(said.since), said.notional);
            desk.counters.unhedged += 1;
            desk.push_note(ExecutorNote::Unhedged { position, lasted, notional });
            if self.plan.as_ref().is_some_and(|plan| plan.urgency < urgency) {
                self.escalate_to(urgency, desk);
            }
        }
        // What is overdue already was so by its notional, and goes on at the next bound.
        [next, told].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// No leg stands without its counterpart any more.
    pub(crate) fn hedged(&mut self, now: Nanos, desk: &mut Desk) {
        let Some(naked) = self.plan.as_mut().and_then(|plan| plan.naked.take()) else { return };
        let lasted = now.since(naked.since);
        desk.counters.naked_ns = desk.counters.naked_ns.saturating_add(lasted.0);
        if naked.told {
            let (position, most) = (self.id, naked.most);
            desk.push_note(ExecutorNote::Hedged { position, lasted, most });
        }
    }

    /// What is open of some legs beyond the share that is open of every leg, as far as it could be
    /// sold: the leg with the most of it, and the notional of all of it at the position's scale.
    fn naked(&self, desk: &Desk, quotes: &impl Quotes) -> Option<(u8, i128)> {
        let share = |i: usize, j: usize| {
            i128::from(self.legs[i].open.raw()) * i128::from(self.legs[j].ratio.raw())
        };
        let least = (0..self.legs.len()).min_by(|&i, &j| share(i, j).cmp(&share(j, i)))?;
        let (mut worst, mut sum) = ((0, 0), 0);
        for (i, leg) in self.legs.iter().enumerate() {
            let matched = div_ceil(share(least, i), i128::from(self.legs[least].ratio.raw()));
            let beyond = i128::from(leg.open.raw()) - matched;
            let Ok(beyond) = Qty::new(beyond.max(0) as i64) else { continue };
            if beyond == Qty::ZERO || !self.is_sellable(i, beyond, desk, quotes) {
                continue;
            }
            let instrument = desk.instrument(leg.instrument);
            let price = leg.size_price(quotes.top(leg.instrument));
            let notional = instrument.notional_nano(price, beyond) * i128::from(leg.align);
            sum += notional;
            if notional > worst.1 {
                worst = (i as u8, notional);
            }
        }
        (sum > 0).then_some((worst.0, sum))
    }
}
