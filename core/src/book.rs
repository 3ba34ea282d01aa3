//! When a price may be used (SPEC §4): sources, accepted quotes, update ids, jumps held aside.
//!
//! Freshness is computed from times when somebody asks, so a quote needs no timer to grow old;
//! only a jump that is held aside has one.
//!
//! An instrument has three prices: its best bid and ask, its last trade and its mark price. Each has
//! a book of its own; in those of the last two, which stand behind the instruments' own, bid and ask
//! are the same. A book's index is called a board, as what is watched of it is.

use alloc::vec::Vec;

use crate::event::{GateSettings, SourceChange};
use crate::instrument::{Instrument, InstrumentId, SourceId};
use crate::limits::PPB;
use crate::policy::TriggerSource;
use crate::tick::{Quote, Refusal, Stamp, Tick, TickBody};
use crate::units::{Nanos, Price, Qty};

/// What became of the market data that was consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GateCounters {
    /// Quotes that became an instrument's price.
    pub accepted: u64,
    /// Quotes that repeated the accepted update id: they confirm the price.
    pub refreshed: u64,
    /// Quotes with an older update id: normal with redundant connections.
    pub older: u64,
    /// Refused quotes, by [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
    /// Quotes held aside as a jump.
    pub held: u64,
    /// Jumps that were believed.
    pub jump_believed: u64,
    /// Jumps that were dropped because the price returned.
    pub jump_returned: u64,
    /// Trades, marks and funding rates.
    pub trades: u64,
    /// Mark prices.
    pub marks: u64,
    /// Funding rates.
    pub fundings: u64,
    /// Data frames without anything for the engine.
    pub alive: u64,
    /// Records of an instrument or a source that the engine does not know.
    pub unknown: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Source {
    last_frame: Option<Nanos>,
    generation: u32,
}

/// A quote that is further from the last accepted one than the jump limit.
#[derive(Clone, Copy, Debug)]
struct Held {
    first_at: Nanos,
    received: Nanos,
    update_id: u64,
    quote: Quote,
    agreeing: u8,
    generation: u32,
    /// A refused quote came since: it is nobody's price, only its time goes on.
    refuted: bool,
}

#[derive(Clone, Copy, Debug)]
struct Accepted {
    quote: Quote,
    update_id: u64,
    source: SourceId,
    generation: u32,
    confirmed_at: Nanos,
    changed_at: Nanos,
}

#[derive(Clone, Debug)]
struct Book {
    spec: Instrument,
    accepted: Option<Accepted>,
    /// Newest update id seen in the accepted generation, held quotes included.
    last_id: u64,
    /// No refused quote came since the accepted one.
    good: bool,
    held: Option<Held>,
    last_trade: Option<(Price, Nanos)>,
    last_mark: Option<(Price, Nanos)>,
}

impl Book {
    /// The jump that is held aside, unless it was refuted since.
    fn aside(&self) -> Option<Held> {
        self.held.filter(|held| !held.refuted)
    }

    /// Its price may not be used, and what is held aside is nobody's price.
    fn refute(&mut self) {
        self.good = false;
        if let Some(held) = &mut self.held {
            (held.refuted, held.agreeing) = (true, 0);
        }
    }
}

/// What a record did to its instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing that a rule could see, beside the source's frame.
    None,
    /// The price was confirmed again.
    Refreshed,
    /// There is a new accepted quote; `before` is the source of the last one if it was another.
    Accepted { before: Option<SourceId> },
    /// A jump is held aside since this event: a timer is due then.
    Held(Nanos),
    /// The price was refuted.
    Refused,
}

/// Whether a board's price may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Now.
    Usable,
    /// Within the time that a jump is held aside.
    Held,
    /// Not before something comes.
    Gone,
}

/// What a rule that degrades sees of an instrument: the first price of its ladder that is not gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Which price; `None` when all of them are gone.
    pub(crate) source: Option<TriggerSource>,
    /// Its last accepted value; when all are gone, the last of the first that ever had one.
    pub(crate) quote: Option<Quote>,
    /// Whether it may fire a rule now.
    pub(crate) usable: bool,
}

/// The ladder of a rule that looks at a source first: the best price left decides (SPEC §4).
pub(crate) const fn ladder(source: TriggerSource) -> [TriggerSource; 3] {
    use TriggerSource::{Bbo, Last, Mark};
    match source {
        Bbo => [Bbo, Last, Mark],
        Last => [Last, Bbo, Mark],
        Mark => [Mark, Bbo, Last],
    }
}

/// Every instrument's and source's state.
#[derive(Debug)]
pub(crate) struct Books {
    /// By board: the instruments, their last trades, their mark prices.
    books: Vec<Book>,
    instruments: usize,
    sources: Vec<Source>,
    gates: GateSettings,
    /// For each instrument those whose peer it is.
    vouched: Vec<Vec<InstrumentId>>,
    pub(crate) counters: GateCounters,
}

impl Books {
    pub(crate) fn new(instruments: &[Instrument], sources: usize, gates: GateSettings) -> Self {
        let book = |spec: Instrument| Book {
            spec,
            accepted: None,
            last_id: 0,
            good: false,
            held: None,
            last_trade: None,
            last_mark: None,
        };
        let mut vouched = alloc::vec![Vec::new(); instruments.len()];
        for (at, instrument) in instruments.iter().enumerate() {
            let peer = instrument.spec().peer;
            if let Some(of) = peer.and_then(|peer| vouched.get_mut(usize::from(peer.0))) {
                of.push(InstrumentId(at as u16));
            }
        }
        let mut room = Vec::with_capacity(sources);
        room.resize(sources, Source::default());
        Self {
            books: (0..TriggerSource::ALL.len())
                .flat_map(|_| instruments)
                .copied()
                .map(book)
                .collect(),
            instruments: instruments.len(),
            sources: room,
            vouched,
            gates,
            counters: GateCounters::default(),
        }
    }

    pub(crate) fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        self.books[..self.instruments].get(usize::from(id.0)).map(|book| &book.spec)
    }

    /// Number of instruments.
    pub(crate) const fn len(&self) -> usize {
        self.instruments
    }

    /// The board of one of an instrument's prices.
    #[inline]
    pub(crate) const fn board(&self, id: InstrumentId, source: TriggerSource) -> InstrumentId {
        InstrumentId(id.0 + source as u16 * self.instruments as u16)
    }

    /// The instrument and the source of a board.
    pub(crate) const fn of_board(&self, board: InstrumentId) -> (InstrumentId, TriggerSource) {
        let (at, count) = (board.0 as usize, self.instruments);
        if at < count {
            return (board, TriggerSource::Bbo);
        }
        (InstrumentId((at % count) as u16), TriggerSource::ALL[at / count])
    }

    /// Whether a board's price may be used.
    pub(crate) fn standing(&self, board: InstrumentId, now: Nanos) -> Standing {
        let book = &self.books[usize::from(board.0)];
        let Some(accepted) = &book.accepted else { return Standing::Gone };
        let generation = self.sources[usize::from(accepted.source.0)].generation;
        if accepted.generation != generation || !self.live(accepted.source, now) {
            return Standing::Gone;
        }
        if book.aside().is_some() {
            return Standing::Held;
        }
        let fresh = now.since(accepted.confirmed_at) <= book.spec.spec().max_quote_age;
        if book.good && fresh { Standing::Usable } else { Standing::Gone }
    }

    /// When a board's price that is not gone will be if nothing comes.
    #[inline]
    pub(crate) fn lapses(&self, board: InstrumentId) -> Nanos {
        let book = &self.books[usize::from(board.0)];
        let Some(accepted) = &book.accepted else { return Nanos(0) };
        let silent =
            self.last_frame(accepted.source).map_or(Nanos(0), |at| at.plus(self.gates.liveness));
        let old = accepted.confirmed_at.plus(book.spec.spec().max_quote_age);
        let last = if book.aside().is_some() { silent } else { silent.min(old) };
        last.plus(Nanos(1))
    }

    /// What a rule that looks at `source` first sees of an instrument.
    pub(crate) fn sight(&self, id: InstrumentId, source: TriggerSource, now: Nanos) -> Sight {
        for rung in ladder(source) {
            let board = self.board(id, rung);
            let standing = self.standing(board, now);
            if standing != Standing::Gone {
                let usable = standing == Standing::Usable;
                return Sight { source: Some(rung), quote: self.quote(board), usable };
            }
        }
        let quote = ladder(source).into_iter().find_map(|rung| self.quote(self.board(id, rung)));
        Sight { source: None, quote, usable: false }
    }

    /// When the price of an instrument was last confirmed.
    pub(crate) fn confirmed_at(&self, board: InstrumentId) -> Option<Nanos> {
        self.books[usize::from(board.0)].accepted.map(|accepted| accepted.confirmed_at)
    }

    /// Whether the engine knows the record's source, and its instrument where it has one.
    pub(crate) fn knows(&self, tick: &Tick) -> bool {
        let source = usize::from(tick.stamp().source.0) < self.sources.len();
        let alive = matches!(tick.body(), TickBody::Alive);
        source && (alive || usize::from(tick.instrument().0) < self.instruments)
    }

    /// The last accepted quote.
    #[inline]
    pub(crate) fn quote(&self, id: InstrumentId) -> Option<Quote> {
        self.books[usize::from(id.0)].accepted.map(|accepted| accepted.quote)
    }

    /// The last accepted quote and when it was confirmed, unless it was refuted since: by a refused
    /// quote or a reconnect. A jump that is held aside refutes nothing yet.
    pub(crate) fn believed(&self, id: InstrumentId) -> Option<(Quote, Nanos)> {
        let book = self.books[..self.instruments].get(usize::from(id.0))?;
        let accepted = book.accepted.filter(|_| book.good)?;
        let source = &self.sources[usize::from(accepted.source.0)];
        (accepted.generation == source.generation)
            .then_some((accepted.quote, accepted.confirmed_at))
    }

    /// The last accepted quote with its update id and the time of its last confirmation.
    pub(crate) fn seen(&self, id: InstrumentId) -> Option<(Quote, u64, Nanos)> {
        let accepted = self.books[usize::from(id.0)].accepted?;
        Some((accepted.quote, accepted.update_id, accepted.confirmed_at))
    }

    /// When the accepted price last changed.
    pub(crate) fn changed_at(&self, id: InstrumentId) -> Nanos {
        self.books[usize::from(id.0)].accepted.map_or(Nanos(0), |accepted| accepted.changed_at)
    }

    /// The last mark, else the middle of the accepted bid and ask, rounded down.
    pub(crate) fn mark_or_mid(&self, id: InstrumentId) -> Option<i64> {
        let book = &self.books[usize::from(id.0)];
        let mid = |last: Accepted| i64::midpoint(last.quote.bid.raw(), last.quote.ask.raw());
        book.last_mark.map(|(price, _)| price.raw()).or(book.accepted.map(mid))
    }

    /// The source of the accepted quote.
    pub(crate) fn source_of(&self, id: InstrumentId) -> Option<SourceId> {
        self.books[usize::from(id.0)].accepted.map(|accepted| accepted.source)
    }

    /// Receive time of a source's last data frame since it connected.
    pub(crate) fn last_frame(&self, source: SourceId) -> Option<Nanos> {
        self.sources[usize::from(source.0)].last_frame
    }

    /// Whether a source delivers data.
    pub(crate) fn live(&self, source: SourceId, now: Nanos) -> bool {
        self.last_frame(source).is_some_and(|at| now.since(at) <= self.gates.liveness)
    }

    /// Whether the instrument itself has a price that may be used, its source's life aside: it
    /// changes to yes only with a quote of the instrument.
    #[inline]
    pub(crate) fn quoted(&self, id: InstrumentId, now: Nanos) -> bool {
        let book = &self.books[usize::from(id.0)];
        let Some(accepted) = &book.accepted else { return false };
        book.good
            && book.held.is_none()
            && now.since(accepted.confirmed_at) <= book.spec.spec().max_quote_age
            && accepted.generation == self.sources[usize::from(accepted.source.0)].generation
    }

    pub(crate) const fn liveness(&self) -> Nanos {
        self.gates.liveness
    }

    pub(crate) fn max_leg_skew(&self) -> Nanos {
        self.gates.max_leg_skew
    }

    /// A connection's state changed.
    pub(crate) fn on_source(&mut self, id: SourceId, change: SourceChange) {
        let Some(source) = self.sources.get_mut(usize::from(id.0)) else {
            self.counters.unknown += 1;
            return;
        };
        source.last_frame = None;
        if change == SourceChange::Connected {
            source.generation += 1;
        }
        // That a jump was not taken back says nothing when nothing could come.
        let fed = |book: &&mut Book| book.accepted.is_some_and(|last| last.source == id);
        self.books.iter_mut().filter(fed).filter(|book| book.held.is_some()).for_each(Book::refute);
    }

    /// Takes in one record that [`Books::knows`]: what it did to its instrument's quote, and what to
    /// the board of its last trade or its mark price.
    pub(crate) fn on_tick(
        &mut self,
        now: Nanos,
        tick: &Tick,
    ) -> (Change, Option<(InstrumentId, Change)>) {
        let stamp = tick.stamp();
        let source = &mut self.sources[usize::from(stamp.source.0)];
        source.last_frame =
            Some(source.last_frame.map_or(stamp.received, |at| at.max(stamp.received)));
        let at = usize::from(tick.instrument().0);
        match tick.body() {
            TickBody::Quote(quote) => (self.on_quote(now, at, stamp, quote), None),
            TickBody::Refused(reason) => {
                self.counters.refused[reason as usize] += 1;
                self.books[at].refute();
                (Change::Refused, None)
            }
            TickBody::Trade { price, .. } => {
                self.counters.trades += 1;
                self.books[at].last_trade = Some((price, stamp.received));
                let change = self.confirm_by(at, |held| agrees_price(held, price));
                (change, Some(self.on_price(now, at, TriggerSource::Last, stamp, price)))
            }
            TickBody::Mark { price } => {
                self.counters.marks += 1;
                self.books[at].last_mark = Some((price, stamp.received));
                let change = self.confirm_by(at, |held| agrees_price(held, price));
                (change, Some(self.on_price(now, at, TriggerSource::Mark, stamp, price)))
            }
            TickBody::Funding { .. } => {
                self.counters.fundings += 1;
                (Change::None, None)
            }
            TickBody::Alive => {
                self.counters.alive += 1;
                (Change::None, None)
            }
        }
    }

    /// A last trade or a mark price for the board of its own.
    fn on_price(
        &mut self,
        now: Nanos,
        at: usize,
        source: TriggerSource,
        stamp: Stamp,
        price: Price,
    ) -> (InstrumentId, Change) {
        let board = self.board(InstrumentId(at as u16), source);
        // A venue numbers its trades apart from its quotes; nothing is older than what came before.
        let stamp = Stamp { update_id: 0, ..stamp };
        let quote = Quote { bid: price, ask: price, bid_qty: Qty::ZERO, ask_qty: Qty::ZERO };
        (board, self.on_quote(now, usize::from(board.0), stamp, quote))
    }

    fn on_quote(&mut self, now: Nanos, at: usize, stamp: Stamp, quote: Quote) -> Change {
        let generation = self.sources[usize::from(stamp.source.0)].generation;
        let book = &mut self.books[at];
        let Some(last) = book.accepted else { return self.accept(at, stamp, quote, true) };
        if stamp.reset || last.generation != generation || last.source != stamp.source {
            return self.accept(at, stamp, quote, true);
        }
        if stamp.update_id != 0 && stamp.update_id < book.last_id {
            self.counters.older += 1;
            return Change::None;
        }
        if stamp.update_id != 0 && stamp.update_id == last.update_id {
            let same = last.quote.bid == quote.bid && last.quote.ask == quote.ask;
            if !book.good && book.held.is_none() && same {
                // The venue says again what was refuted: a good quote.
                return self.accept(at, stamp, last.quote, false);
            }
            self.counters.refreshed += 1;
            let last = book.accepted.as_mut().expect("it was there above");
            last.confirmed_at = last.confirmed_at.max(stamp.received);
            // A price that is refuted, or challenged by a jump, stays so: no gate opens.
            return if book.good && book.held.is_none() { Change::Refreshed } else { Change::None };
        }
        book.last_id = stamp.update_id;
        let expired = stamp.received.since(last.confirmed_at) > book.spec.spec().max_quote_age;
        if expired || !is_jump(&book.spec, &last.quote, &quote) {
            return self.accept(at, stamp, quote, expired);
        }
        self.hold(now, at, stamp, quote)
    }

    /// Stores a quote as the instrument's price.
    fn accept(&mut self, at: usize, stamp: Stamp, quote: Quote, reference: bool) -> Change {
        let counts = at < self.instruments;
        self.counters.accepted += u64::from(counts);
        let generation = self.sources[usize::from(stamp.source.0)].generation;
        let book = &mut self.books[at];
        let returned = book.held.take().is_some();
        self.counters.jump_returned += u64::from(returned && counts);
        let before = book.accepted.map(|last| last.source).filter(|&last| last != stamp.source);
        let same_price = book.accepted.filter(|last| {
            !reference && last.quote.bid == quote.bid && last.quote.ask == quote.ask
        });
        book.last_id = stamp.update_id;
        book.good = true;
        book.accepted = Some(Accepted {
            quote,
            update_id: stamp.update_id,
            source: stamp.source,
            generation,
            confirmed_at: stamp.received,
            changed_at: same_price.map_or(stamp.received, |last| last.changed_at),
        });
        Change::Accepted { before }
    }

    /// Holds a jump aside, or believes it when two further quotes or somebody else agree.
    fn hold(&mut self, now: Nanos, at: usize, stamp: Stamp, quote: Quote) -> Change {
        let book = &mut self.books[at];
        let accepted = book.accepted.expect("only an accepted quote makes a jump");
        let (last, last_generation) = (accepted.quote, accepted.generation);
        let received = stamp.received;
        let fresh = Held {
            first_at: received,
            received,
            update_id: stamp.update_id,
            quote,
            agreeing: 0,
            generation: last_generation,
            refuted: false,
        };
        let Some(held) = &mut book.held else {
            self.counters.held += u64::from(at < self.instruments);
            book.held = Some(fresh);
            if self.third_agrees(now, at) {
                return self.believe(at);
            }
            return Change::Held(received.plus(self.gates.jump_hold));
        };
        let due = held.first_at.plus(self.gates.jump_hold);
        let refuted = held.refuted;
        if refuted {
            *held = Held { first_at: held.first_at, ..fresh };
        } else if stamp.update_id != 0 && stamp.update_id == held.update_id {
            // The same quote by another connection, or once more: it agrees with itself.
            held.received = held.received.max(received);
            self.counters.refreshed += u64::from(at < self.instruments);
            return Change::None;
        } else if near(&book.spec, &last, &held.quote, &quote) {
            let agreeing = held.agreeing + 1;
            *held = Held { first_at: held.first_at, agreeing, ..fresh };
            if agreeing >= 2 {
                return self.believe(at);
            }
        } else {
            *held = Held { first_at: held.first_at, ..fresh };
        }
        if refuted && due <= now || self.third_agrees(now, at) {
            return self.believe(at);
        }
        if refuted { Change::Held(due) } else { Change::None }
    }

    /// The held quote becomes the accepted one.
    fn believe(&mut self, at: usize) -> Change {
        let book = &mut self.books[at];
        let held = book.held.take().expect("the caller saw it");
        let last = book.accepted.expect("only an accepted quote makes a jump");
        self.counters.jump_believed += u64::from(at < self.instruments);
        let stamp = Stamp {
            source: last.source,
            received: held.received,
            update_id: held.update_id,
            venue_lag_us: 0,
            reset: false,
        };
        let change = self.accept(at, stamp, held.quote, true);
        self.books[at].accepted.as_mut().expect("just stored").generation = held.generation;
        change
    }

    /// The hold's time is over, or an operator confirms it. What was refuted meanwhile is not believed:
    /// the next quote there is.
    pub(crate) fn end_hold(&mut self, id: InstrumentId) -> Change {
        let at = usize::from(id.0);
        if self.books[at].aside().is_some() {
            return self.believe(at);
        }
        Change::None
    }

    /// An instrument whose jump the accepted quote of `id` confirms, and what that changed there.
    pub(crate) fn confirm_by_peer(
        &mut self,
        now: Nanos,
        id: InstrumentId,
    ) -> Option<(InstrumentId, Change)> {
        // Only quotes vouch for quotes.
        let vouched = self.vouched.get(usize::from(id.0))?;
        let mut vouched = vouched.iter().map(|of| usize::from(of.0));
        let at = vouched.find(|&at| self.peer_agrees(now, at))?;
        Some((InstrumentId(at as u16), self.believe(at)))
    }

    fn confirm_by(
        &mut self,
        at: usize,
        agrees: impl Fn(&(Held, Instrument, Quote)) -> bool,
    ) -> Change {
        let book = &self.books[at];
        let (Some(held), Some(last)) = (book.aside(), book.accepted) else { return Change::None };
        if agrees(&(held, book.spec, last.quote)) { self.believe(at) } else { Change::None }
    }

    /// Whether the last mark, the last trade or the peer's quote agrees with the held quote.
    fn third_agrees(&self, now: Nanos, at: usize) -> bool {
        if at >= self.instruments {
            // A last trade or a mark price has no witness of its own.
            return false;
        }
        let book = &self.books[at];
        let (Some(held), Some(last)) = (book.aside(), book.accepted) else { return false };
        let age_max = book.spec.spec().max_quote_age;
        let context = (held, book.spec, last.quote);
        let recent = |said: Option<(Price, Nanos)>| {
            said.is_some_and(|(price, at)| {
                held.received.since(at) <= age_max && agrees_price(&context, price)
            })
        };
        recent(book.last_mark) || recent(book.last_trade) || self.peer_agrees(now, at)
    }

    /// Whether the peer's accepted mid agrees with the held quote.
    fn peer_agrees(&self, now: Nanos, at: usize) -> bool {
        let book = &self.books[at];
        let (Some(held), Some(last)) = (book.aside(), book.accepted) else { return false };
        let Some(peer) = book.spec.spec().peer else { return false };
        let Some(other) = self.books.get(usize::from(peer.0)) else { return false };
        let Some(said) = other.accepted else { return false };
        if !self.quoted(peer, now) || !self.live(said.source, now) {
            return false;
        }
        let twice_mid = i128::from(said.quote.bid.raw()) + i128::from(said.quote.ask.raw());
        // Both at the finer of the two scales: 2^49 × 10^12 fits with room.
        let (ours, theirs) = (book.spec.spec().price_scale, other.spec.spec().price_scale);
        let finer = ours.max(theirs);
        let ours = 2 * 10i128.pow(u32::from(finer - ours));
        let twice_mid = twice_mid * 10i128.pow(u32::from(finer - theirs));
        agrees(&book.spec, &last.quote, &held.quote, twice_mid, ours)
    }
}

/// How far a side may move from `last` without being a jump: max(share of the price, ticks).
fn jump_limit(spec: &Instrument, last: Price) -> i64 {
    let spec = spec.spec();
    let share = i128::from(last.raw()) * i128::from(spec.jump_limit.raw()) / i128::from(PPB);
    (share as i64).max(spec.jump_ticks * spec.tick)
}

/// Whether a side has moved further than its limit.
fn is_far(spec: &Instrument, from: Price, to: Price) -> bool {
    // `distance > ⌊p·limit⌋` without the division: distances are whole numbers.
    let distance = (to.raw() - from.raw()).abs();
    let spec = spec.spec();
    distance > spec.jump_ticks * spec.tick
        && i128::from(distance) * i128::from(PPB)
            > i128::from(from.raw()) * i128::from(spec.jump_limit.raw())
}

fn is_jump(spec: &Instrument, last: &Quote, quote: &Quote) -> bool {
    is_far(spec, last.bid, quote.bid) || is_far(spec, last.ask, quote.ask)
}

/// Whether two quotes aside agree: both sides within a quarter of the limit.
fn near(spec: &Instrument, last: &Quote, held: &Quote, quote: &Quote) -> bool {
    let close =
        |from: Price, a: Price, b: Price| (a.raw() - b.raw()).abs() <= jump_limit(spec, from) / 4;
    close(last.bid, held.bid, quote.bid) && close(last.ask, held.ask, quote.ask)
}

/// Whether a price agrees with a held quote: each side that jumped is within a quarter of the limit of
/// it. Prices are `ours` of the price's units long.
fn agrees(spec: &Instrument, last: &Quote, held: &Quote, price: i128, ours: i128) -> bool {
    let agrees = |from: Price, to: Price| {
        let off = (i128::from(to.raw()) * ours - price).abs();
        !is_far(spec, from, to) || off <= i128::from(jump_limit(spec, from) / 4) * ours
    };
    agrees(last.bid, held.bid) && agrees(last.ask, held.ask)
}

fn agrees_price((held, spec, last): &(Held, Instrument, Quote), price: Price) -> bool {
    agrees(spec, last, &held.quote, i128::from(price.raw()), 1)
}
