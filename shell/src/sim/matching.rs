//! The matching core of one simulated venue: immediate-or-cancel orders against the displayed best
//! bid and ask, in virtual time.
//!
//! An order travels half of the latency, is judged against the book of that moment, and its answers
//! travel back. Only what is displayed can be had, once: size that was taken stays taken until the
//! quote of that side changes. The venue keeps its own books, of which flatness can be asked.

use std::collections::{BTreeMap, HashSet, VecDeque};

use reap_core::instrument::{AccountId, Instrument, InstrumentId};
use reap_core::order::{ClientOrderId, Order, OrderChange, OrderEvent, OrderSide, RejectClass};
use reap_core::tick::Quote;
use reap_core::units::{Nanos, Price, Qty};

/// What happened at a venue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Orders that arrived.
    pub orders: u64,
    /// Fills.
    pub fills: u64,
    /// Orders that traded less than they wanted, or nothing.
    pub expired: u64,
    /// Orders refused, by [`RejectClass`] in its order.
    pub rejected: [u64; 5],
}

/// One venue.
#[derive(Debug)]
pub struct Matching {
    there: Nanos,
    back: Nanos,
    books: BTreeMap<InstrumentId, Book>,
    /// Orders on their way, in the order of their arrival: the latency is the same for all.
    arriving: VecDeque<(Nanos, Order)>,
    /// Answers on their way, likewise.
    answers: VecDeque<(Nanos, OrderEvent)>,
    ids: HashSet<ClientOrderId>,
    holdings: BTreeMap<(AccountId, InstrumentId), i64>,
    counts: Counts,
    trades: u64,
    /// The latest time that was told; never decreases.
    now: Nanos,
}

/// One instrument's best prices. `None` before its first quote.
#[derive(Debug)]
struct Book {
    instrument: Instrument,
    /// Nothing can be sold that is not held, and no order is reduce-only.
    spot: bool,
    best: Option<[Best; 2]>,
}

/// One side's best price.
#[derive(Clone, Copy, Debug)]
struct Best {
    price: Price,
    shown: Qty,
    /// In 0 ..= `shown`: what nobody has taken yet.
    left: Qty,
}

const BID: usize = 0;
const ASK: usize = 1;

impl Best {
    const fn new(price: Price, shown: Qty) -> Self {
        Self { price, shown, left: shown }
    }
}

impl Matching {
    /// A venue that answers after `latency`: half of it there, the rest back.
    #[must_use]
    pub fn new(latency: Nanos) -> Self {
        let there = Nanos(latency.0 / 2);
        Self {
            there,
            back: latency.minus(there),
            books: BTreeMap::new(),
            arriving: VecDeque::new(),
            answers: VecDeque::new(),
            ids: HashSet::new(),
            holdings: BTreeMap::new(),
            counts: Counts::default(),
            trades: 0,
            now: Nanos(0),
        }
    }

    /// Lists an instrument; `spot` where nothing can be sold that is not held.
    pub fn list(&mut self, id: InstrumentId, instrument: Instrument, spot: bool) {
        self.books.insert(id, Book { instrument, spot, best: None });
    }

    /// Credits what an account already holds: positive is long.
    pub fn deposit(&mut self, account: AccountId, instrument: InstrumentId, qty: i64) {
        *self.holdings.entry((account, instrument)).or_default() += qty;
    }

    /// The displayed best prices of an instrument change at `now`. Orders that arrived earlier met
    /// the old ones; an order that arrives at this very time meets the new ones. A side whose price
    /// and size are as before is not a new quote of that side.
    ///
    /// # Panics
    /// When time runs backwards, or the instrument is not listed.
    pub fn on_quote(&mut self, now: Nanos, id: InstrumentId, quote: Quote) {
        self.tell(now);
        while self.arriving.front().is_some_and(|(due, _)| *due < now) {
            self.arrive();
        }
        self.show(id, quote);
    }

    /// The displayed best prices of an instrument as somebody knows them who does not hear of every
    /// change: every order that has not met a book yet meets these, whenever it arrived.
    ///
    /// # Panics
    /// When the instrument is not listed.
    pub fn show(&mut self, id: InstrumentId, quote: Quote) {
        let book = self.books.get_mut(&id).expect("a quoted instrument is listed");
        let new = [Best::new(quote.bid, quote.bid_qty), Best::new(quote.ask, quote.ask_qty)];
        let unchanged = |new: &Best, old: &Best| new.price == old.price && new.shown == old.shown;
        book.best = Some(match book.best {
            None => new,
            Some(old) => [BID, ASK]
                .map(|side| if unchanged(&new[side], &old[side]) { old[side] } else { new[side] }),
        });
    }

    /// An order is sent at `now`.
    ///
    /// # Panics
    /// When time runs backwards.
    pub fn on_order(&mut self, now: Nanos, order: Order) {
        self.tell(now);
        self.arriving.push_back((now.plus(self.there), order));
    }

    /// When something happens next without a further quote or order.
    #[must_use]
    pub fn next_due(&self) -> Option<Nanos> {
        let arrival = self.arriving.front().map(|(due, _)| *due);
        let answer = self.answers.front().map(|(due, _)| *due);
        [arrival, answer].into_iter().flatten().min()
    }

    /// The next answer that has reached the sender by `now`.
    ///
    /// # Panics
    /// When time runs backwards.
    pub fn poll_event(&mut self, now: Nanos) -> Option<OrderEvent> {
        self.tell(now);
        while self.arriving.front().is_some_and(|(due, _)| *due <= now) {
            self.arrive();
        }
        self.answers.pop_front_if(|(due, _)| *due <= now).map(|(_, event)| event)
    }

    /// What the venue's books say an account holds: positive is long.
    #[must_use]
    pub fn position(&self, account: AccountId, instrument: InstrumentId) -> i64 {
        self.holdings.get(&(account, instrument)).copied().unwrap_or_default()
    }

    /// Every holding that is not flat.
    pub fn positions(&self) -> impl Iterator<Item = (AccountId, InstrumentId, i64)> {
        let open = self.holdings.iter().filter(|(_, qty)| **qty != 0);
        open.map(|(&(account, instrument), &qty)| (account, instrument, qty))
    }

    /// What happened so far.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    fn tell(&mut self, now: Nanos) {
        assert!(now >= self.now, "time runs forwards");
        self.now = now;
    }

    /// The first order on its way meets the book.
    fn arrive(&mut self) {
        let Some((at, order)) = self.arriving.pop_front() else { return };
        let due = at.plus(self.back);
        let mut answer = |what| self.answers.push_back((due, OrderEvent { id: order.id, what }));
        self.counts.orders += 1;
        let fresh = self.ids.insert(order.id);
        let held = self.holdings.entry((order.account, order.instrument)).or_default();
        let book = self.books.get_mut(&order.instrument).ok_or(RejectClass::Fatal);
        let book = match book.and_then(|book| book.admit(&order, *held, fresh).map(|()| book)) {
            Ok(book) => book,
            Err(class) => {
                self.counts.rejected[class as usize] += 1;
                answer(OrderChange::Rejected(class));
                return;
            }
        };
        answer(OrderChange::Acked);
        let mut open = order.qty.raw();
        if let Some((price, qty)) = book.take(&order) {
            self.trades += 1;
            self.counts.fills += 1;
            open -= qty.raw();
            *held += match order.side {
                OrderSide::Buy => qty.raw(),
                OrderSide::Sell => -qty.raw(),
            };
            let fee = book.instrument.fee_nano(price, qty, book.instrument.spec().taker);
            answer(OrderChange::Filled { trade_id: self.trades, price, qty, fee });
        }
        if open > 0 {
            self.counts.expired += 1;
            answer(OrderChange::Expired);
        }
    }
}

impl Book {
    /// Whether the venue takes an order of an account that holds `held`.
    fn admit(&self, order: &Order, held: i64, fresh: bool) -> Result<(), RejectClass> {
        let spec = self.instrument.spec();
        if !fresh || order.reduce_only && self.spot {
            return Err(RejectClass::Fatal);
        }
        let best = self.best.ok_or(RejectClass::Unavailable)?[Self::taken_side(order)];
        let qty = order.qty.raw();
        if qty == 0 || qty % spec.lot != 0 || qty < spec.min_qty {
            return Err(RejectClass::Size);
        }
        if order.limit.is_some_and(|limit| limit.raw() % spec.tick != 0) {
            return Err(RejectClass::Price);
        }
        let price = order.limit.unwrap_or(best.price);
        let small = self.instrument.notional_nano(price, order.qty);
        let exempt = order.reduce_only && !spec.min_notional_on_reduce;
        if !exempt && small < self.instrument.min_notional_nano() {
            return Err(RejectClass::Size);
        }
        let closable = match order.side {
            OrderSide::Buy => -held,
            OrderSide::Sell => held,
        };
        let bounded = order.reduce_only || self.spot && order.side == OrderSide::Sell;
        if bounded && qty > closable { Err(RejectClass::Size) } else { Ok(()) }
    }

    /// What the order gets: the displayed best price, as much as is left of it, in whole lots.
    fn take(&mut self, order: &Order) -> Option<(Price, Qty)> {
        let best = &mut self.best.as_mut()?[Self::taken_side(order)];
        let worse = |limit: Price| match order.side {
            OrderSide::Buy => best.price > limit,
            OrderSide::Sell => best.price < limit,
        };
        if order.limit.is_some_and(worse) {
            return None;
        }
        let qty = self.instrument.round_lot(order.qty.min(best.left));
        best.left = best.left.checked_sub(qty).expect("no more is taken than is left");
        (qty > Qty::ZERO).then_some((best.price, qty))
    }

    const fn taken_side(order: &Order) -> usize {
        match order.side {
            OrderSide::Buy => ASK,
            OrderSide::Sell => BID,
        }
    }
}

#[cfg(test)]
mod tests;
