//! When a price may be used (SPEC §4): sources, the accepted quote of each instrument, the quote
//! that is held aside as a jump, and the questions the rules ask of them.

use std::collections::BTreeMap;

use reap_core::event::{GateSettings, SourceChange};
use reap_core::instrument::{Instrument, InstrumentId, InstrumentSpec, SourceId};
use reap_core::policy::TriggerSource;
use reap_core::tick::{Quote, Stamp, Tick, TickBody};
use reap_core::units::{Nanos, Price};

use super::exact::Exact;

/// A connection.
#[derive(Clone, Debug, Default)]
struct Source {
    /// Receive time of the last record of any kind.
    last_frame: Nanos,
    /// Whether a record came since the last change of the connection.
    delivers: bool,
    /// Connections so far.
    generation: u32,
}

/// A quote with where it came from.
#[derive(Clone, Copy, Debug)]
struct Received {
    quote: Quote,
    id: u64,
    at: Nanos,
    source: SourceId,
    generation: u32,
}

/// A jump that is not believed yet.
#[derive(Clone, Copy, Debug)]
struct Held {
    /// Nothing when a refused quote was the last that came.
    newest: Option<Received>,
    first_at: Nanos,
    agreeing: u32,
}

/// What is known of one instrument.
#[derive(Clone, Debug)]
struct Book {
    spec: InstrumentSpec,
    accepted: Option<Received>,
    confirmed_at: Nanos,
    changed_at: Nanos,
    good: bool,
    last_id_seen: u64,
    held: Option<Held>,
    mark: Option<(Price, Nanos)>,
    trade: Option<(Price, Nanos)>,
}

/// The gates of all instruments.
#[derive(Clone, Debug)]
pub(crate) struct Gates {
    settings: GateSettings,
    sources: Vec<Source>,
    /// The instruments' quotes; behind them their last trades, and behind those their marks, as
    /// quotes whose bid and ask are the same.
    books: Vec<Book>,
    instruments: usize,
    /// Since when no price of an instrument is left.
    dark: BTreeMap<InstrumentId, Nanos>,
    /// Prices that were replaced since [`Self::take_accepted`].
    accepted_now: Vec<(InstrumentId, TriggerSource)>,
}

/// Whether a price may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usable {
    Yes,
    /// Not before the jump that is held aside is believed or gone.
    Soon,
    No,
}

impl Gates {
    pub(crate) fn new(instruments: &[Instrument], sources: usize, settings: GateSettings) -> Self {
        let book = |instrument: &Instrument, peer: Option<InstrumentId>| Book {
            spec: InstrumentSpec { peer, ..*instrument.spec() },
            accepted: None,
            confirmed_at: Nanos(0),
            changed_at: Nanos(0),
            good: false,
            last_id_seen: 0,
            held: None,
            mark: None,
            trade: None,
        };
        Self {
            settings,
            sources: vec![Source::default(); sources],
            books: [true, false, false]
                .into_iter()
                .flat_map(|quotes| instruments.iter().map(move |of| (quotes, of)))
                .map(|(quotes, of)| book(of, of.spec().peer.filter(|_| quotes)))
                .collect(),
            instruments: instruments.len(),
            dark: BTreeMap::new(),
            accepted_now: Vec::new(),
        }
    }

    /// Believes every jump that has waited long enough.
    pub(crate) fn on_time(&mut self, now: Nanos) {
        for index in 0..self.books.len() {
            self.believe_old(index, now);
        }
    }

    /// Believes a jump that was not taken back for long enough.
    fn believe_old(&mut self, index: usize, now: Nanos) {
        let due = |held: &Held| held.first_at.plus(self.settings.jump_hold) <= now;
        if self.books[index].held.as_ref().is_some_and(due) {
            self.believe(index, now);
        }
    }

    pub(crate) fn on_source(&mut self, source: SourceId, change: SourceChange) {
        for index in 0..self.books.len() {
            let book = &self.books[index];
            if book.held.is_some() && book.accepted.is_some_and(|last| last.source == source) {
                self.refute(index);
            }
        }
        let source = &mut self.sources[usize::from(source.0)];
        source.delivers = false;
        match change {
            SourceChange::Connected => source.generation += 1,
            SourceChange::Lost => {}
        }
    }

    /// Nothing of it may be used, what is held aside included.
    fn refute(&mut self, index: usize) {
        let book = &mut self.books[index];
        book.good = false;
        if let Some(held) = &mut book.held {
            *held = Held { newest: None, first_at: held.first_at, agreeing: 0 };
        }
    }

    pub(crate) fn on_tick(&mut self, now: Nanos, tick: &Tick) {
        let stamp = tick.stamp();
        let source = &mut self.sources[usize::from(stamp.source.0)];
        source.last_frame = stamp.received;
        source.delivers = true;
        let generation = source.generation;
        let index = usize::from(tick.instrument().0);
        match tick.body() {
            TickBody::Quote(quote) => {
                let received = Received {
                    quote,
                    id: stamp.update_id,
                    at: stamp.received,
                    source: stamp.source,
                    generation,
                };
                self.on_quote(now, index, received, stamp.reset);
            }
            TickBody::Trade { price, .. } => {
                self.books[index].trade = Some((price, stamp.received));
                self.on_third(now, index, price);
                self.on_price(now, index + self.instruments, stamp, price);
            }
            TickBody::Mark { price } => {
                self.books[index].mark = Some((price, stamp.received));
                self.on_third(now, index, price);
                self.on_price(now, index + 2 * self.instruments, stamp, price);
            }
            TickBody::Refused(_) => self.refute(index),
            TickBody::Funding { .. } | TickBody::Alive => {}
        }
    }

    /// A last trade or a mark price.
    fn on_price(&mut self, now: Nanos, index: usize, stamp: Stamp, price: Price) {
        let generation = self.sources[usize::from(stamp.source.0)].generation;
        let quote = Quote::new(price.raw(), price.raw(), 1, 1).expect("a price");
        let received =
            Received { quote, id: 0, at: stamp.received, source: stamp.source, generation };
        self.on_quote(now, index, received, stamp.reset);
    }

    fn index(&self, instrument: InstrumentId, source: TriggerSource) -> usize {
        let kind = match source {
            TriggerSource::Bbo => 0,
            TriggerSource::Last => 1,
            TriggerSource::Mark => 2,
        };
        usize::from(instrument.0) + kind * self.instruments
    }

    /// The last accepted price of a kind.
    pub(crate) fn price(&self, instrument: InstrumentId, source: TriggerSource) -> Option<Quote> {
        self.books[self.index(instrument, source)].accepted.map(|received| received.quote)
    }

    /// Whether a price of a kind may be used.
    pub(crate) fn usable_of(
        &self,
        instrument: InstrumentId,
        source: TriggerSource,
        now: Nanos,
    ) -> Usable {
        let book = &self.books[self.index(instrument, source)];
        let Some(accepted) = book.accepted else { return Usable::No };
        let source = &self.sources[usize::from(accepted.source.0)];
        let live = source.delivers && now.since(source.last_frame) <= self.settings.liveness;
        if !live || accepted.generation != source.generation {
            return Usable::No;
        }
        let confirmed = now.since(book.confirmed_at) <= book.spec.max_quote_age;
        match book.held.and_then(|held| held.newest) {
            Some(_) => Usable::Soon,
            None if book.good && confirmed => Usable::Yes,
            None => Usable::No,
        }
    }

    /// The kind of price that a protective rule looks at which wants `source`, and whether it may.
    pub(crate) fn left(
        &self,
        instrument: InstrumentId,
        source: TriggerSource,
        now: Nanos,
    ) -> Option<(TriggerSource, bool)> {
        let rest = [TriggerSource::Bbo, TriggerSource::Last, TriggerSource::Mark];
        let rest = rest.into_iter().filter(|&other| other != source);
        std::iter::once(source).chain(rest).find_map(|kind| {
            match self.usable_of(instrument, kind, now) {
                Usable::Yes => Some((kind, true)),
                Usable::Soon => Some((kind, false)),
                Usable::No => None,
            }
        })
    }

    /// Notes of which instruments no price is left.
    pub(crate) fn look(&mut self, now: Nanos) {
        for id in (0..self.instruments as u16).map(InstrumentId) {
            if self.left(id, TriggerSource::Bbo, now).is_some() {
                self.dark.remove(&id);
            } else {
                self.dark.entry(id).or_insert(now);
            }
        }
    }

    /// Since when no price of an instrument is left, where that is so.
    pub(crate) fn dark_since(&self, instrument: InstrumentId) -> Option<Nanos> {
        self.dark.get(&instrument).copied()
    }

    /// When the price that is left now will not be any more, if nothing comes.
    pub(crate) fn lapses(
        &self,
        instrument: InstrumentId,
        source: TriggerSource,
        now: Nanos,
    ) -> Option<Nanos> {
        let (kind, usable) = self.left(instrument, source, now)?;
        let book = &self.books[self.index(instrument, kind)];
        let from = self.sources[usize::from(book.accepted?.source.0)].last_frame;
        let silent = from.plus(self.settings.liveness);
        let old = book.confirmed_at.plus(book.spec.max_quote_age);
        Some(if usable { silent.min(old) } else { silent }.plus(Nanos(1)))
    }

    /// An operator believes the held quote.
    pub(crate) fn confirm(&mut self, now: Nanos, instrument: InstrumentId) {
        let index = usize::from(instrument.0);
        if self.books[index].held.is_some() {
            self.believe(index, now);
        }
    }

    /// Newly accepted prices since the last call.
    pub(crate) fn take_accepted(&mut self) -> Vec<(InstrumentId, TriggerSource)> {
        std::mem::take(&mut self.accepted_now)
    }

    /// The last accepted quote.
    pub(crate) fn quote(&self, instrument: InstrumentId) -> Option<Quote> {
        self.price(instrument, TriggerSource::Bbo)
    }

    /// What funding is reckoned on: the last mark, else the middle of the accepted quote, mantissas.
    pub(crate) fn funding_price(&self, instrument: InstrumentId) -> Option<i64> {
        let book = &self.books[usize::from(instrument.0)];
        match (book.mark, book.accepted) {
            (Some((mark, _)), _) => Some(mark.raw()),
            (None, Some(last)) => Some((last.quote.bid.raw() + last.quote.ask.raw()) / 2),
            (None, None) => None,
        }
    }

    /// Whether rules may look at the instrument's accepted quote.
    pub(crate) fn usable(&self, instrument: InstrumentId, now: Nanos) -> bool {
        self.usable_of(instrument, TriggerSource::Bbo, now) == Usable::Yes
    }

    /// Whether every leg's source delivered since (almost) the latest price change of any leg.
    pub(crate) fn in_step(&self, legs: impl Iterator<Item = InstrumentId> + Clone) -> bool {
        let books = legs.map(|instrument| &self.books[usize::from(instrument.0)]);
        let Some(latest) = books.clone().map(|book| book.changed_at).max() else { return true };
        let needed = latest.minus(self.settings.max_leg_skew);
        books.into_iter().all(|book| {
            let source = book.accepted.map(|received| usize::from(received.source.0));
            source.is_some_and(|source| self.sources[source].last_frame >= needed)
        })
    }

    /// When the next held quote is believed for want of a return.
    pub(crate) fn next_timer(&self) -> Option<Nanos> {
        let held = self.books.iter().filter_map(|book| book.held.as_ref());
        let held = held.filter(|held| held.newest.is_some());
        held.map(|held| held.first_at.plus(self.settings.jump_hold)).min()
    }

    fn on_quote(&mut self, now: Nanos, index: usize, new: Received, reset: bool) {
        let book = &mut self.books[index];
        let Some(old) = book.accepted else {
            return self.accept_reference(index, new, now);
        };
        if reset || new.source != old.source || new.generation != old.generation {
            return self.accept_reference(index, new, now);
        }
        if new.id != 0 && new.id < book.last_id_seen {
            return;
        }
        if new.id != 0 {
            book.last_id_seen = new.id;
        }
        if new.id != 0 && new.id == old.id {
            book.confirmed_at = new.at;
            let same = (old.quote.bid, old.quote.ask) == (new.quote.bid, new.quote.ask);
            // What was refused in between is over with a good one, even of the same id.
            if same && !book.good && book.held.is_none() {
                self.accept(index, Received { quote: old.quote, ..new }, now, false);
            }
            return;
        }
        if new.at.since(book.confirmed_at) > book.spec.max_quote_age {
            return self.accept_reference(index, new, now);
        }
        let limits = Limits::around(&book.spec, old.quote);
        if limits.allow(old.quote, new.quote, 1) {
            return self.accept(index, new, now, false);
        }
        let held = match book.held {
            Some(Held { newest: Some(newest), first_at, agreeing })
                if new.id != 0 && newest.id == new.id =>
            {
                // It has been counted.
                let newest = Some(Received { at: new.at, ..newest });
                book.held = Some(Held { newest, first_at, agreeing });
                return;
            }
            None => Held { newest: Some(new), first_at: new.at, agreeing: 0 },
            Some(held) => {
                let near = |newest: Received| limits.allow(newest.quote, new.quote, 4);
                let agreeing = if held.newest.is_some_and(near) { held.agreeing + 1 } else { 0 };
                Held { newest: Some(new), first_at: held.first_at, agreeing }
            }
        };
        book.held = Some(held);
        if held.agreeing == 2 || self.third_agrees(index, new.at, now) {
            self.believe(index, now);
        }
        self.believe_old(index, now);
    }

    fn accept_reference(&mut self, index: usize, new: Received, now: Nanos) {
        self.books[index].last_id_seen = new.id;
        self.accept(index, new, now, true);
    }

    fn believe(&mut self, index: usize, now: Nanos) {
        if let Some(newest) = self.books[index].held.and_then(|held| held.newest) {
            self.accept(index, newest, now, false);
        }
    }

    fn accept(&mut self, index: usize, new: Received, now: Nanos, reference: bool) {
        let book = &mut self.books[index];
        let prices = |received: Received| (received.quote.bid, received.quote.ask);
        if reference || book.accepted.map(prices) != Some(prices(new)) {
            book.changed_at = new.at;
        }
        book.accepted = Some(new);
        book.confirmed_at = new.at;
        book.good = true;
        book.held = None;
        let id = InstrumentId((index % self.instruments) as u16);
        let kinds = [TriggerSource::Bbo, TriggerSource::Last, TriggerSource::Mark];
        self.accepted_now.push((id, kinds[index / self.instruments]));
        if index >= self.instruments {
            return;
        }
        for other in 0..self.instruments {
            if self.books[other].spec.peer == Some(id)
                && self.books[other].held.is_some()
                && self.peer_agrees(other, now)
            {
                self.believe(other, now);
            }
        }
    }

    /// A trade or a mark price of the instrument itself arrived.
    fn on_third(&mut self, now: Nanos, index: usize, price: Price) {
        let book = &self.books[index];
        if book.held.is_some() && agrees(book, &exact(book, price)) {
            self.believe(index, now);
        }
    }

    /// Whether something already known agrees with a quote that is now held.
    fn third_agrees(&self, index: usize, at: Nanos, now: Nanos) -> bool {
        let book = &self.books[index];
        let known = [book.mark, book.trade].into_iter().flatten();
        let mut young = known.filter(|(_, seen)| at.since(*seen) <= book.spec.max_quote_age);
        young.any(|(price, _)| agrees(book, &exact(book, price))) || self.peer_agrees(index, now)
    }

    fn peer_agrees(&self, index: usize, now: Nanos) -> bool {
        let book = &self.books[index];
        let Some(peer) = book.spec.peer else { return false };
        let Some(quote) = self.quote(peer).filter(|_| self.usable(peer, now)) else { return false };
        let other = &self.books[usize::from(peer.0)];
        let sum = &exact(other, quote.bid) + &exact(other, quote.ask);
        agrees(book, &(&sum * &Exact::new(5, 1)))
    }
}

fn exact(book: &Book, price: Price) -> Exact {
    Exact::new(price.raw(), book.spec.price_scale)
}

/// What jumped of the held quote, the bid, the ask or both, is within limit/4 of p.
fn agrees(book: &Book, price: &Exact) -> bool {
    let newest = book.held.and_then(|held| held.newest);
    let (Some(held), Some(accepted)) = (newest, book.accepted) else { return false };
    let limits = Limits::around(&book.spec, accepted.quote);
    let (from, to) = (accepted.quote, held.quote);
    let sides = [(from.bid, to.bid, limits.bid), (from.ask, to.ask, limits.ask)];
    sides.into_iter().filter(|&(from, to, limit)| moved(from, to) > limit).all(|(_, to, limit)| {
        let scale = book.spec.price_scale;
        let around = |by: i128| Exact::new(i128::from(to.raw()) + by, scale);
        *price >= around(-(limit / 4)) && *price <= around(limit / 4)
    })
}

fn moved(a: Price, b: Price) -> i128 {
    i128::from(a.raw() - b.raw()).abs()
}

/// How far bid and ask may move without being held aside, in price mantissas.
struct Limits {
    bid: i128,
    ask: i128,
}

impl Limits {
    fn around(spec: &InstrumentSpec, quote: Quote) -> Self {
        let ticks = i128::from(spec.jump_ticks) * i128::from(spec.tick);
        let limit = |price: Price| {
            let share = i128::from(price.raw()) * i128::from(spec.jump_limit.raw());
            (share / 1_000_000_000).max(ticks)
        };
        Self { bid: limit(quote.bid), ask: limit(quote.ask) }
    }

    /// Whether both sides are within limit / `part`.
    fn allow(&self, from: Quote, to: Quote, part: i128) -> bool {
        moved(from.bid, to.bid) <= self.bid / part && moved(from.ask, to.ask) <= self.ask / part
    }
}
