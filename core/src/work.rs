//! What a plan sends, by urgency (SPEC §6).

use arrayvec::ArrayVec;

use crate::budget::Lane;
use crate::clip::{ClipLeg, clip, min_order};
use crate::desk::Desk;
use crate::event::Outcome;
use crate::exit::{Exit, Step};
use crate::intent::Urgency;
use crate::limits::{LEGS_MAX, POLL_EVERY, PPB};
use crate::order::{Order, OrderSide};
use crate::position::Side;
use crate::pricing::{LegMarket, Quotes, Top, collar, exit_size, is_wide, rule_limits};
use crate::throttle::Held;
use crate::tick::Quote;
use crate::units::{Nanos, Price, Qty};
use crate::working::WorkingOrder;

/// What one leg of a normal, protective or critical plan does now.
enum LegStep {
    /// At its target, or nothing of it can be sold.
    Settled,
    /// An order is in flight, or only evidence opens the gate.
    InFlight,
    /// Nothing before this time.
    Waits(Nanos),
}

/// Where an order is to be priced.
enum Pricing {
    At(Price),
    Market,
    NotBefore(Nanos),
}

impl Exit {
    pub(crate) fn work(&mut self, now: Nanos, desk: &mut Desk, quotes: &impl Quotes) -> Step {
        let plan = self.plan.as_ref().expect("only plans are worked");
        if plan.urgency == Urgency::Opportunistic {
            return self.work_clip(now, desk, quotes);
        }
        self.work_legs(now, desk, quotes)
    }

    /// Whether `qty` of a leg is an order that its venue takes, judged at the newest exit price.
    pub(crate) fn is_sellable(&self, i: usize, qty: Qty, desk: &Desk, q: &impl Quotes) -> bool {
        let leg = &self.legs[i];
        let instrument = desk.instrument(leg.instrument);
        let price = leg.size_price(q.top(leg.instrument));
        instrument.round_lot(qty).raw() >= min_order(instrument, price)
    }

    /// What the plan wants of a leg beyond what its orders of unknown fate may take, in whole lots.
    fn wanted(&self, i: usize, desk: &Desk) -> Qty {
        let plan = self.plan.as_ref().expect("only plans are worked");
        let leg = &self.legs[i];
        let reserved = if planted!(desk, TwoOrdersAtATime) { Qty::ZERO } else { leg.reserved() };
        let reserved = if planted!(desk, AsideNotReserved) { leg.live } else { reserved };
        let wanted = leg.open.checked_sub(plan.keep[i]).and_then(|of| of.checked_sub(reserved));
        let wanted = wanted.unwrap_or(Qty::ZERO);
        desk.instrument(self.legs[i].instrument).round_lot(wanted)
    }

    /// How a plan ends that can send nothing more.
    fn spent(&self, desk: &Desk, quotes: &impl Quotes) -> Outcome {
        let plan = self.plan.as_ref().expect("only plans are worked");
        let dust =
            (0..self.legs.len()).all(|i| !self.is_sellable(i, self.legs[i].open, desk, quotes));
        match plan.urgency {
            _ if dust => Outcome::Dust,
            Urgency::Opportunistic if !plan.filled => Outcome::Missed,
            _ => Outcome::Done,
        }
    }

    // Normal, protective, critical: each leg for itself.

    fn work_legs(&mut self, now: Nanos, desk: &mut Desk, quotes: &impl Quotes) -> Step {
        let mut wake: Option<Nanos> = None;
        let mut working = false;
        for i in 0..self.legs.len() {
            match self.work_leg(now, i, desk, quotes) {
                LegStep::Settled => {}
                LegStep::InFlight => working = true,
                LegStep::Waits(at) => {
                    working = true;
                    wake = Some(wake.map_or(at, |wake| wake.min(at)));
                }
            }
        }
        if working { Step::Working(wake) } else { Step::Ended(self.spent(desk, quotes)) }
    }

    fn work_leg(&mut self, now: Nanos, i: usize, desk: &mut Desk, q: &impl Quotes) -> LegStep {
        let is_live = self.legs[i].is_live() && !planted!(desk, TwoOrdersAtATime);
        if is_live && !self.steps_aside(i, desk) {
            return LegStep::InFlight;
        }
        let wanted = self.wanted(i, desk);
        if wanted == Qty::ZERO || !self.is_sellable(i, wanted, desk, q) {
            return if self.legs[i].is_busy() { LegStep::InFlight } else { LegStep::Settled };
        }
        if desk.stopped {
            return LegStep::InFlight;
        }
        if now < self.legs[i].not_before {
            return LegStep::Waits(self.legs[i].not_before);
        }
        let limit = match self.price(now, i, desk, q) {
            Pricing::At(limit) => Some(limit),
            Pricing::Market => None,
            Pricing::NotBefore(at) => return LegStep::Waits(at),
        };
        match self.admit(now, i, 1, desk) {
            Ok(()) => {
                if is_live {
                    self.set_aside(i, desk);
                }
                self.send(now, i, wanted, limit, desk);
                LegStep::InFlight
            }
            Err(Held::Unproven) => LegStep::InFlight,
            Err(Held::Until(at)) => LegStep::Waits(at),
        }
    }

    /// Normal exits need a fresh quote and a fair spread; without them they poll, for the spread
    /// until `polling_deadline`, for a quote as long as it takes: they never go blind. Protective
    /// exits widen their collar with each rung; the market is the rung that needs no price, so it
    /// is also taken when there is none.
    fn price(&self, now: Nanos, i: usize, desk: &Desk, quotes: &impl Quotes) -> Pricing {
        let plan = self.plan.as_ref().expect("only plans are worked");
        let leg = &self.legs[i];
        let tick = desk.instrument(leg.instrument).spec().tick;
        let quote = self.usable(now, i, desk, quotes);
        let rate = match plan.urgency {
            Urgency::Opportunistic | Urgency::Normal => Some(self.settings.collar_normal),
            Urgency::Protective => {
                self.settings.collars_protective.get(usize::from(leg.rung)).copied()
            }
            Urgency::Critical => None,
        };
        if plan.urgency <= Urgency::Normal {
            let Some(quote) = quote else { return Pricing::NotBefore(now.plus(POLL_EVERY)) };
            let deadline = plan.started.plus(self.settings.polling_deadline);
            if now < deadline && is_wide(&quote, self.settings.spread_limit) {
                return Pricing::NotBefore(now.plus(POLL_EVERY).min(deadline));
            }
        }
        match rate.zip(quote) {
            Some((rate, quote)) => Pricing::At(collar(leg.side, &quote, rate, tick)),
            None => Pricing::Market,
        }
    }

    /// The newest quote of a leg, unless it is too old to be priced from.
    fn usable(&self, now: Nanos, i: usize, desk: &Desk, quotes: &impl Quotes) -> Option<Quote> {
        let id = self.legs[i].instrument;
        let age_max = desk.instrument(id).spec().max_quote_age;
        let top: Option<Top> = quotes.top(id);
        top.filter(|top| now.since(top.received) <= age_max).map(|top| top.quote)
    }

    // Opportunistic: all legs together, or not at all.

    /// Sends the next clip when none is in flight, the rule still holds at the newest quotes, and
    /// every leg of it may be sent. Whatever stands against it ends the plan: the engine arms the
    /// rule again after its back-off. The legs are in balance here, because an order that ended
    /// short has made the plan normal.
    fn work_clip(&mut self, now: Nanos, desk: &mut Desk, quotes: &impl Quotes) -> Step {
        if self.legs.iter().any(|leg| leg.is_live()) {
            return Step::Working(None);
        }
        // The last clip is over, and ended short without a fill: with one, the plan is normal.
        if self.legs.iter().any(|leg| leg.short) {
            return Step::Ended(self.spent(desk, quotes));
        }
        if desk.stopped {
            return Step::Working(None);
        }
        let Some((limits, sizes)) = self.next_clip(now, desk, quotes) else {
            return Step::Ended(self.spent(desk, quotes));
        };
        self.plan.as_mut().expect("only plans are worked").clip_filled = false;
        for i in 0..self.legs.len() {
            if let (Some(limit), Some(qty)) = (limits[i], sizes[i]) {
                self.send(now, i, qty, Some(limit), desk);
            }
        }
        Step::Working(None)
    }

    #[expect(clippy::type_complexity, reason = "limits and sizes by leg")]
    fn next_clip(
        &mut self,
        now: Nanos,
        desk: &mut Desk,
        quotes: &impl Quotes,
    ) -> Option<([Option<Price>; LEGS_MAX], [Option<Qty>; LEGS_MAX])> {
        let compiled = self.plan.as_ref().expect("only plans are worked").compiled;
        let markets = self.markets(now, desk, quotes)?;
        let mut exits = [0; LEGS_MAX];
        for (exit, market) in exits.iter_mut().zip(&markets) {
            *exit = market.exit;
        }
        if !compiled.holds(&exits) {
            desk.counters.refuted += 1;
            return None;
        }
        let sends = |i: usize| markets[i].sends;
        if (0..markets.len()).any(|i| sends(i) && now < self.legs[i].not_before) {
            return None;
        }
        let sizes = self.clip_sizes(&markets, desk, quotes)?;
        let limits = rule_limits(&compiled, &markets)?;
        for i in 0..markets.len() {
            let venue = |of: usize| desk.instrument(self.legs[of].instrument).spec().venue;
            let there = (0..markets.len()).filter(|&j| sends(j) && venue(j) == venue(i)).count();
            if sends(i) && self.admit(now, i, there as u32, desk).is_err() {
                return None;
            }
        }
        Some((limits, sizes))
    }

    /// Where each leg trades now, all quotes being fresh. A leg sends when something of it is
    /// wanted, unless all of it is dust.
    fn markets(
        &self,
        now: Nanos,
        desk: &Desk,
        quotes: &impl Quotes,
    ) -> Option<ArrayVec<LegMarket, LEGS_MAX>> {
        let mut markets = ArrayVec::new();
        for i in 0..self.legs.len() {
            let leg = &self.legs[i];
            let quote = self.usable(now, i, desk, quotes)?;
            let sends =
                self.wanted(i, desk) > Qty::ZERO && self.is_sellable(i, leg.open, desk, quotes);
            let spec = desk.instrument(leg.instrument).spec();
            markets.push(LegMarket::new(leg.side, &quote, spec, sends));
        }
        Some(markets)
    }

    /// One leg takes all that is wanted, and the book gives what it has. Several legs take the same
    /// fraction, bounded by the quoted sizes and by the largest unhedged notional.
    fn clip_sizes(
        &self,
        markets: &[LegMarket],
        desk: &Desk,
        quotes: &impl Quotes,
    ) -> Option<[Option<Qty>; LEGS_MAX]> {
        let several = self.legs.len() > 1;
        let mut parts = ArrayVec::<ClipLeg, LEGS_MAX>::new();
        for (i, market) in markets.iter().enumerate().filter(|(_, market)| market.sends) {
            let leg = &self.legs[i];
            let instrument = desk.instrument(leg.instrument);
            let price = Price::new(market.exit).ok()?;
            let wanted = self.wanted(i, desk).raw();
            let quoted = quotes.top(leg.instrument)?.quote;
            let unit = instrument.notional(price, Qty::new(1).ok()?)
                * i128::from(PPB)
                * i128::from(leg.align);
            let unhedged = self.max_unhedged.map_or(i128::MAX, |most| most / unit);
            let most = i128::from(exit_size(leg.side, &quoted).raw()).min(unhedged) as i64;
            parts.push(ClipLeg {
                open: leg.open.raw(),
                wanted,
                most: if several { most } else { wanted },
                least: min_order(instrument, price),
                lot: instrument.spec().lot,
            });
        }
        if parts.is_empty() {
            return None;
        }
        let mut cut = clip(&parts)?.into_iter();
        let mut sizes = [None; LEGS_MAX];
        for (size, _) in sizes.iter_mut().zip(markets).filter(|(_, market)| market.sends) {
            *size = cut.next();
        }
        Some(sizes)
    }

    // Sending.

    /// Whether an order of a leg may go, as one of so many to its venue.
    fn admit(&mut self, now: Nanos, i: usize, orders: u32, desk: &mut Desk) -> Result<(), Held> {
        let plan = self.plan.as_ref().expect("only plans are worked");
        let urgent = plan.urgency >= Urgency::Protective;
        let leg = &mut self.legs[i];
        if !planted!(desk, GateOff) {
            leg.throttle.admit(now, urgent).inspect_err(|_| desk.counters.gate_trips += 1)?;
        }
        let at = desk.orders_at(now, leg.instrument, orders, Lane::Exit);
        if at > now { Err(Held::Until(at)) } else { Ok(()) }
    }

    fn send(&mut self, now: Nanos, i: usize, qty: Qty, limit: Option<Price>, desk: &mut Desk) {
        let id = self.next_id(i, desk);
        let plan = self.plan.as_ref().expect("only plans are worked");
        let urgency = plan.urgency;
        let target = self.legs[i].open.checked_sub(qty).expect("no more than is open");
        assert!(target >= plan.keep[i], "no more than the plan wants");
        let leg = &mut self.legs[i];
        let side = match leg.side {
            Side::Long => OrderSide::Sell,
            Side::Short => OrderSide::Buy,
        };
        let order = Order {
            id,
            account: leg.account,
            instrument: leg.instrument,
            side,
            qty,
            limit,
            reduce_only: desk.instrument(leg.instrument).spec().reduce_only,
        };
        leg.reserve(WorkingOrder::new(now, &order, urgency), desk);
        leg.throttle.on_send(now);
        desk.push_order(now, order);
    }
}
