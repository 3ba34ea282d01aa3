//! A seeded market: what venues, operators and the executor send, in regimes that meet every gate
//! and every threshold.

use reap_core::event::{Command, Event, Report, SourceChange, Which};
use reap_core::instrument::{InstrumentId, SourceId, VenueId};
use reap_core::intent::Urgency;
use reap_core::policy::Rule;
use reap_core::position::{LegSpec, PositionId, PositionSpec, Side};
use reap_core::tick::{Quote, Refusal, Stamp, Tick};
use reap_core::units::{Nanos, Price, Rate};

use super::Decision;
use super::correlation::{Sent, drops_of};
use super::player::{Holding, Terms};
use super::portfolio_world;
use super::rng::Rng;
use super::world::World;

/// What happens next.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "a test's record of what happened")]
pub(crate) enum Action {
    /// A position is entered.
    Register(PositionSpec),
    /// The engine consumes an event.
    Event(Event),
}

/// How an instrument's price moves for a while.
#[derive(Clone, Copy, Debug)]
enum Regime {
    Calm,
    /// Each quote a new high.
    Rally,
    Crash,
    /// To and fro around a price, in ticks.
    Whipsaw {
        around: i64,
    },
    /// After a jump: more quotes there, a return, or another jump.
    Gap {
        before: i64,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Ticker {
    pub(super) bid: i64,
    pub(super) spread: i64,
    regime: Regime,
    left: i64,
    next_id: u64,
    pub(super) last: Option<(Quote, u64)>,
    pub(super) high: i64,
    pub(super) low: i64,
    home: SourceId,
    /// Price in ticks that the next quote goes to, since a peer is there.
    pulled: Option<i64>,
}

#[derive(Clone, Debug)]
struct Source {
    with_ids: bool,
    muted_until: Nanos,
    last_received: Nanos,
}

/// The generator.
#[derive(Clone, Debug)]
pub(crate) struct Market {
    pub(super) rng: Rng,
    pub(crate) world: World,
    pub(crate) now: Nanos,
    /// What all positions together lack of a threshold, in units of 10^-18 of money.
    pub(super) missing: Vec<i128>,
    pub(super) tickers: Vec<Ticker>,
    sources: Vec<Source>,
    pub(super) holdings: Vec<Holding>,
    positions: usize,
    redundant: bool,
    lagging: bool,
    /// A signal that finds its position at its threshold.
    pub(super) signal_next: Option<(InstrumentId, Side)>,
    /// By instrument, for those who follow it.
    sent: Vec<Sent>,
    /// What the next quote of an instrument comes back to from a peak.
    pub(super) fall_next: Option<(InstrumentId, Side, i64)>,
}

impl Market {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let start = Nanos(1_700_000_000_000_000_000);
        let world = World::random(&mut rng, start);
        let source = |rng: &mut Rng| Source {
            with_ids: !rng.one_in(4),
            muted_until: Nanos(0),
            last_received: Nanos(0),
        };
        let sources: Vec<Source> = (0..world.sources).map(|_| source(&mut rng)).collect();
        let tickers = world.centre.iter().map(|&bid| Ticker {
            bid,
            spread: rng.within(0, 3),
            regime: Regime::Calm,
            left: 0,
            next_id: 10,
            last: None,
            high: bid,
            low: bid,
            home: SourceId(rng.within(0, world.sources as i64 - 1) as u8),
            pulled: None,
        });
        let tickers: Vec<Ticker> = tickers.collect();
        let sent = vec![Sent::default(); tickers.len()];
        let positions = rng.within(3, 8) as usize;
        let redundant = rng.one_in(3);
        let lagging = rng.one_in(3);
        let (holdings, missing) = (Vec::new(), Vec::new());
        Self {
            rng,
            world,
            now: start,
            missing,
            tickers,
            sources,
            holdings,
            positions,
            redundant,
            lagging,
            signal_next: None,
            sent,
            fall_next: None,
        }
    }

    /// What happens at [`Self::now`].
    pub(crate) fn next(&mut self) -> Action {
        self.holdings.retain(|holding| !holding.closed);
        let few = self.holdings.len() < self.positions;
        if self.holdings.is_empty() || few && self.rng.one_in(8) {
            let ticks: Vec<i64> = self.tickers.iter().map(|ticker| ticker.bid).collect();
            return Action::Register(self.world.position(&mut self.rng, self.now, &ticks));
        }
        Action::Event(self.event())
    }

    pub(crate) fn on_registered(&mut self, id: PositionId, spec: PositionSpec) {
        self.holdings.push(Holding::new(id, spec));
    }

    pub(crate) fn on_decisions(&mut self, decisions: &[Decision]) {
        for decision in decisions {
            let holding = self.holdings.iter_mut().find(|held| held.id == decision.position);
            holding.expect("it is held").on_decision(&mut self.rng, decision);
        }
    }

    /// Moves [`Self::now`] to the time of the next action.
    pub(crate) fn pass_time(&mut self) {
        let micros = match self.rng.within(0, 199) {
            // Now and then the better part of a minute, so that there are many in a world.
            20..=39 if self.world.follows => self.rng.within(10_000_000, 50_000_000),
            0..=4 => 0,
            150..=158 if self.world.slow => self.rng.within(500_000, 3_000_000),
            5..=169 => self.rng.within(1, 8_000),
            170..=189 => self.rng.within(10_000, 60_000),
            190..=197 => self.rng.within(100_000, 400_000),
            195..=198 if self.world.slow => self.rng.within(5_000_000, 30_000_000),
            _ => self.rng.within(1_000_000, 6_000_000),
        };
        self.now = self.now.plus(Nanos(micros as u64 * 1000));
    }

    fn event(&mut self) -> Event {
        if self.rng.one_in(3)
            && let Some(report) = self.report()
        {
            return report;
        }
        if let Some((instrument, side)) = self.signal_next.take()
            && self.rng.one_in(2)
        {
            return Event::Command(Command::Signal { instrument, side });
        }
        if self.rng.one_in(9)
            && let Some(read) = self.read_of_a_hedge()
        {
            return read;
        }
        if self.world.slow && self.rng.one_in(4) {
            return self.side_tick(Other::Trade);
        }
        match self.rng.within(0, 599) {
            0..=3 => self.source_change(),
            4..=6 => self.close(),
            7..=14 => self.amounts(),
            15..=18 => Event::Command(Command::ConfirmJump(self.any_instrument())),
            19..=20 => self.mute(),
            21..=34 => {
                let source = SourceId(self.rng.within(0, self.sources.len() as i64 - 1) as u8);
                let stamp = self.stamp(source, 0);
                Event::Tick(Tick::alive(stamp))
            }
            35..=42 => self.side_tick(Other::Refused),
            43..=82 => self.side_tick(Other::Trade),
            83..=122 => self.side_tick(Other::Mark),
            123..=162 => self.funding(),
            163..=164 => Event::Timer,
            165..=169 => self.stray_fill(),
            170..=175 => self.read(),
            176..=179 => self.signal(),
            180..=189 => self.liquidation(),
            190..=199 => self.switch(),
            200..=202 if self.world.portfolio.is_some() => {
                let unit = self.world.unit();
                Event::Command(portfolio_world::command(&mut self.rng, unit))
            }
            _ => self.quote(),
        }
    }

    fn any_instrument(&mut self) -> InstrumentId {
        InstrumentId(self.rng.within(0, self.tickers.len() as i64 - 1) as u16)
    }

    fn report(&mut self) -> Option<Event> {
        let with_plan = |at: &usize| self.holdings[*at].has_plan();
        let planned: Vec<usize> = (0..self.holdings.len()).filter(with_plan).collect();
        if planned.is_empty() {
            return None;
        }
        let at = self.rng.pick(&planned);
        let terms = self.terms(at);
        self.holdings[at].next_report(&mut self.rng, &terms)
    }

    fn stray_fill(&mut self) -> Event {
        let at = self.rng.next() as usize % self.holdings.len();
        let terms = self.terms(at);
        self.holdings[at].stray_fill(&mut self.rng, &terms).unwrap_or(Event::Timer)
    }

    fn read(&mut self) -> Event {
        let at = self.rng.next() as usize % self.holdings.len();
        let terms = self.terms(at);
        self.holdings[at].read(&mut self.rng, &terms)
    }

    /// A read of a position that looks at them.
    fn read_of_a_hedge(&mut self) -> Option<Event> {
        let looks = |at: &usize| {
            let policy = &self.world.policies[usize::from(self.holdings[*at].spec.policy.0)];
            let asks = |rule: &Rule| matches!(rule, Rule::LegLost { .. } | Rule::Imbalance { .. });
            policy.rules.iter().any(|said| asks(&said.rule))
        };
        let hedges: Vec<usize> = (0..self.holdings.len()).filter(looks).collect();
        if hedges.is_empty() {
            return None;
        }
        let at = self.rng.pick(&hedges);
        let terms = self.terms(at);
        if self.rng.one_in(12) {
            return self.holdings[at].stray_fill(&mut self.rng, &terms);
        }
        Some(self.holdings[at].read(&mut self.rng, &terms))
    }

    fn signal(&mut self) -> Event {
        let instrument = self.any_instrument();
        let side = self.rng.pick(&[Side::Long, Side::Short]);
        Event::Command(Command::Signal { instrument, side })
    }

    fn terms(&mut self, holding: usize) -> Vec<Terms> {
        let legs = self.holdings[holding].spec.legs.clone();
        let terms = |leg: LegSpec| {
            let index = usize::from(leg.instrument.0);
            let spec = self.world.instruments[index].spec();
            let slipped = self.tickers[index].bid + self.rng.within(-3, 3);
            let price = slipped.max(1) * spec.tick;
            let free = self.world.plain;
            Terms { lot: spec.lot, price, multiplier: spec.multiplier.mantissa, free }
        };
        legs.into_iter().map(terms).collect()
    }

    fn source_change(&mut self) -> Event {
        let source = SourceId(self.rng.within(0, self.sources.len() as i64 - 1) as u8);
        let change = self.rng.pick(&[SourceChange::Connected, SourceChange::Lost]);
        if change == SourceChange::Connected {
            for ticker in self.tickers.iter_mut().filter(|ticker| ticker.home == source) {
                if self.rng.one_in(2) {
                    ticker.next_id = 2;
                }
            }
        }
        Event::Source(source, change)
    }

    fn close(&mut self) -> Event {
        let one = self.rng.next() as usize % self.holdings.len();
        let which = match self.rng.within(0, 7) {
            0 => Which::Venue(VenueId(self.rng.within(0, 2) as u8)),
            1 => Which::Tag(self.rng.within(1, 3) as u32),
            2 => Which::All,
            _ => Which::Position(self.holdings[one].id),
        };
        let urgency = self.rng.pick(&[
            Urgency::Opportunistic,
            Urgency::Normal,
            Urgency::Protective,
            Urgency::Critical,
        ]);
        Event::Command(Command::Close { which, urgency })
    }

    fn amounts(&mut self) -> Event {
        let one = self.rng.next() as usize % self.holdings.len();
        let holding = &self.holdings[one];
        let leg = self.rng.next() as usize % holding.spec.legs.len();
        let spec = holding.spec.legs[leg];
        let (entry, qty) = (spec.entry.raw(), spec.qty.raw());
        let position = holding.id;
        let (fees_paid, funding) = self.world.amounts(&mut self.rng, spec.instrument, entry, qty);
        Event::Command(Command::Amounts { position, leg: leg as u8, fees_paid, funding })
    }

    fn mute(&mut self) -> Event {
        let span = Nanos::from_millis(self.rng.within(50, 4000) as u64);
        let at = self.rng.next() as usize % self.sources.len();
        self.sources[at].muted_until = self.now.plus(span);
        Event::Timer
    }

    fn stamp(&mut self, source: SourceId, update_id: u64) -> Stamp {
        let state = &mut self.sources[usize::from(source.0)];
        let lag =
            if self.lagging && self.rng.one_in(10) { self.rng.within(0, 3_000_000) } else { 0 };
        let received = self.now.minus(Nanos(lag as u64)).max(state.last_received);
        state.last_received = received;
        Stamp { source, received, update_id, venue_lag_us: 0, reset: false }
    }

    fn side_tick(&mut self, kind: Other) -> Event {
        let id = self.any_instrument();
        let ticker = &self.tickers[usize::from(id.0)];
        let (home, bid, spread) = (ticker.home, ticker.bid, ticker.spread);
        let stamp = self.stamp(home, 0);
        let tick = self.world.instruments[usize::from(id.0)].spec().tick;
        let off = self.rng.within(-2, spread + 2);
        let mut price = (bid + off).max(1) * tick;
        if self.rng.one_in(2)
            && let Some(at) = self.liquidation_price(id).filter(|_| kind == Other::Mark)
        {
            price = at;
        } else if self.rng.one_in(3)
            && let Some((_, at)) = self.threshold_price(id)
        {
            price = at;
        }
        let price = Price::new(price).expect("a small price");
        let rng = &mut self.rng;
        Event::Tick(match kind {
            Other::Refused => Tick::refused(id, stamp, rng.pick(&Refusal::ALL)),
            Other::Trade => {
                let (qty, bought, at) = super::dump::trade(rng, id, self.now);
                Tick::trade(id, stamp, price, qty, bought, at)
            }
            Other::Mark => Tick::mark(id, stamp, price),
        })
    }

    /// A prediction of funding, soon to be settled; now and then a mark at somebody's entry, where a
    /// round rate meets a round threshold.
    fn funding(&mut self) -> Event {
        let looks = |at: &usize| {
            let policy = usize::from(self.holdings[*at].spec.policy.0);
            super::funding::looks(&self.world.policies[policy])
        };
        let all: Vec<usize> = (0..self.holdings.len()).collect();
        let concerned: Vec<usize> = all.iter().copied().filter(looks).collect();
        let narrow = !concerned.is_empty() && !self.rng.one_in(6);
        let at = self.rng.pick(if narrow { &concerned } else { &all });
        let leg = self.rng.pick(&self.holdings[at].spec.legs);
        let policy = &self.world.policies[usize::from(self.holdings[at].spec.policy.0)];
        let (rate, settles) = super::funding::prediction(&mut self.rng, &leg, policy, self.now);
        let stamp = self.stamp(self.tickers[usize::from(leg.instrument.0)].home, 0);
        Event::Tick(match !self.rng.one_in(3) {
            true => Tick::mark(leg.instrument, stamp, leg.entry),
            false => Tick::funding(leg.instrument, stamp, rate, settles),
        })
    }

    fn quote(&mut self) -> Event {
        let mut id = self.any_instrument();
        if let Some((falls, ..)) = self.fall_next {
            id = falls;
        } else if self.rng.one_in(2) {
            let held: Vec<InstrumentId> = self
                .holdings
                .iter()
                .flat_map(|holding| holding.spec.legs.iter().map(|leg| leg.instrument))
                .collect();
            id = self.rng.pick(&held);
        }
        let index = usize::from(id.0);
        let mut source = self.tickers[index].home;
        if self.redundant && self.rng.one_in(30) {
            source = SourceId(self.rng.within(0, self.sources.len() as i64 - 1) as u8);
        }
        if self.sources[usize::from(source.0)].muted_until > self.now {
            self.fall_next = None;
            return Event::Timer;
        }
        let with_ids = self.sources[usize::from(source.0)].with_ids;
        if with_ids && let Some(event) = self.known_id(id, source) {
            return event;
        }
        let quote = self.new_quote(id);
        if self.world.follows {
            self.sent[index].note(self.now, quote);
        }
        let ticker = &mut self.tickers[index];
        let mut reset = false;
        if with_ids && self.rng.one_in(200) {
            reset = true;
            ticker.next_id = 1;
        }
        let update_id = if with_ids { ticker.next_id } else { 0 };
        ticker.next_id += self.rng.within(1, 3) as u64;
        ticker.last = Some((quote, update_id));
        let mut stamp = self.stamp(source, update_id);
        stamp.reset = reset;
        Event::Tick(Tick::quote(id, stamp, quote))
    }

    /// Sometimes a repetition or an older message.
    fn known_id(&mut self, id: InstrumentId, source: SourceId) -> Option<Event> {
        let ticker = &self.tickers[usize::from(id.0)];
        let (quote, last) = ticker.last?;
        match self.rng.within(0, 19) {
            0 => {
                let stamp = self.stamp(source, last);
                Some(Event::Tick(Tick::quote(id, stamp, quote)))
            }
            1 if last > 2 => {
                let older = last - self.rng.within(1, 2) as u64;
                let quote = shifted(quote, self.rng.within(-200, 200));
                let stamp = self.stamp(source, older);
                Some(Event::Tick(Tick::quote(id, stamp, quote)))
            }
            _ => None,
        }
    }

    fn new_quote(&mut self, id: InstrumentId) -> Quote {
        let index = usize::from(id.0);
        let tick = self.world.instruments[index].spec().tick;
        let falls = self.fall_next.take().filter(|(falls, ..)| *falls == id);
        let exit = match falls {
            Some((_, side, price)) => Some((side, price)),
            None if self.rng.one_in(4) => self.threshold_price(id),
            None => None,
        };
        if let Some((side, price)) = exit {
            let spread = self.tickers[index].spread * tick;
            let (bid, ask) = match side {
                Side::Long => (price, price + spread),
                Side::Short => ((price - spread).max(1), price),
            };
            self.tickers[index].bid = (bid / tick).max(1);
            return quote_of(bid, ask, &mut self.rng);
        }
        if self.world.plain
            && !self.missing.is_empty()
            && self.rng.one_in(6)
            && let Some(quote) = self.aimed_quote(id)
        {
            return quote;
        }
        if self.world.plain
            && self.world.follows
            && self.rng.one_in(3)
            && let Some(quote) = self.leading_quote(id)
        {
            return quote;
        }
        self.move_ticker(index);
        let ticker = &mut self.tickers[index];
        ticker.high = ticker.high.max(ticker.bid);
        ticker.low = ticker.low.min(ticker.bid);
        if self.rng.one_in(20) {
            ticker.spread = self.rng.within(0, 3);
        }
        let (bid, ask) = (ticker.bid * tick, (ticker.bid + ticker.spread) * tick);
        quote_of(bid, ask, &mut self.rng)
    }

    /// A quote of a leader at the threshold of somebody who follows it.
    fn leading_quote(&mut self, id: InstrumentId) -> Option<Quote> {
        let policy = |held: &Holding| &self.world.policies[usize::from(held.spec.policy.0)];
        let held = self.holdings.iter().flat_map(|held| drops_of(policy(held), id));
        let drops: Vec<Rate> = held.collect();
        if drops.is_empty() {
            return None;
        }
        let drop = self.rng.pick(&drops);
        let twice = self.sent[usize::from(id.0)].aim(&mut self.rng, self.now, drop)?;
        let bid = twice / 2;
        // The ticks of a plain world are units.
        self.tickers[usize::from(id.0)].bid = bid;
        Some(quote_of(bid, twice - bid, &mut self.rng))
    }

    fn move_ticker(&mut self, index: usize) {
        let centre = self.world.centre[index];
        let spec = *self.world.instruments[index].spec();
        let limit = {
            let bid = self.tickers[index].bid * spec.tick;
            let share = bid as i128 * i128::from(spec.jump_limit.raw()) / 1_000_000_000;
            (share as i64 / spec.tick).max(spec.jump_ticks)
        };
        let rng = &mut self.rng;
        let ticker = &mut self.tickers[index];
        if let Some(pulled) = ticker.pulled.take() {
            ticker.bid = (pulled + rng.within(-1, 1)).max(2);
            return;
        }
        ticker.left -= 1;
        if ticker.left < 0 {
            ticker.left = rng.within(5, 40);
            ticker.regime = match rng.within(0, 11) {
                0..=3 => Regime::Calm,
                4 | 5 => Regime::Rally,
                6 | 7 => Regime::Crash,
                8 | 9 => Regime::Whipsaw { around: ticker.bid + rng.within(-3, 3) },
                _ => {
                    ticker.left = rng.within(2, 6);
                    Regime::Gap { before: ticker.bid }
                }
            };
            if ticker.bid < centre * 7 / 10 {
                ticker.regime = Regime::Rally;
            } else if ticker.bid > centre * 13 / 10 {
                ticker.regime = Regime::Crash;
            }
            // Marks of older positions are forgotten now and then, so that targets stay near.
            (ticker.high, ticker.low) = (ticker.bid, ticker.bid);
            if matches!(ticker.regime, Regime::Gap { .. }) {
                self.jump(index, limit);
                return;
            }
        }
        let step = (centre / 1000).max(1);
        ticker.bid = match ticker.regime {
            Regime::Calm => ticker.bid + rng.within(-1, 1),
            Regime::Rally => ticker.bid + rng.within(1, 2 * step),
            Regime::Crash => ticker.bid - rng.within(1, 2 * step),
            Regime::Whipsaw { around } => around + rng.within(-2, 2),
            Regime::Gap { before } => match rng.within(0, 5) {
                0 => before,
                1 => {
                    self.jump(index, limit);
                    return;
                }
                // About a quarter of the limit decides whether a quote agrees.
                2 => ticker.bid + rng.pick(&[limit / 4, limit / 4 + 1, -limit / 4]),
                _ => ticker.bid + rng.within(-1, 1),
            },
        }
        .max(2);
    }

    /// To just within, just beyond or far beyond the jump limit; peers may follow.
    fn jump(&mut self, index: usize, limit: i64) {
        let rng = &mut self.rng;
        let by = rng.pick(&[limit, limit + 1, limit + 3, limit * 2, limit * 3 / 2]);
        let by = if rng.one_in(2) { by } else { -by };
        let to = (self.tickers[index].bid + by).max(2);
        self.tickers[index].bid = to;
        if rng.one_in(2) {
            let id = Some(InstrumentId(index as u16));
            for (other, ticker) in self.tickers.iter_mut().enumerate() {
                let peer = self.world.instruments[other].spec().peer;
                if peer == id
                    || self.world.instruments[index].spec().peer == Some(InstrumentId(other as u16))
                {
                    ticker.pulled = Some(to);
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Other {
    Refused,
    Trade,
    Mark,
}

pub(super) fn quote_of(bid: i64, ask: i64, rng: &mut Rng) -> Quote {
    Quote::new(bid, ask, rng.within(1, 90), rng.within(1, 90)).expect("positive and not crossed")
}

fn shifted(quote: Quote, by: i64) -> Quote {
    let bid = (quote.bid.raw() + by).max(1);
    let ask = (quote.ask.raw() + by).max(1);
    Quote::new(bid, ask, 1, 1).expect("as good as the one before")
}

/// The position that an event is about, where it is about one.
pub(crate) fn position_of(event: &Event) -> Option<PositionId> {
    match *event {
        Event::Report(
            Report::Fill { position, .. }
            | Report::PlanEnded { position, .. }
            | Report::LegRead { position, .. }
            | Report::LegLost { position, .. },
        )
        | Event::Command(
            Command::Close { which: Which::Position(position), .. }
            | Command::Policy { which: Which::Position(position), .. }
            | Command::Rule { which: Which::Position(position), .. }
            | Command::Amounts { position, .. }
            | Command::Liquidation { position, .. },
        ) => Some(position),
        _ => None,
    }
}
