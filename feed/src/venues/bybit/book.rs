//! `orderbook.1`: best bid and ask of one symbol, as snapshots and, should the venue send them
//! again, as changes.

use reap_core::tick::{Quote, Refusal};

use crate::decoded::Rejection;
use crate::json::{Cursor, JsonError, Token};
use crate::symbols::Symbol;
use crate::venues::common::number;

/// Best bid and ask of a symbol, as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Book {
    /// Whether a snapshot came, and nothing unreadable since.
    known: bool,
    update_id: u64,
    bid: Level,
    ask: Level,
}

/// A price with its size; no size, no level.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    price: i64,
    size: i64,
}

/// What a change of a book came to.
pub(super) enum Changed {
    /// The book now says this.
    Quote(Quote),
    /// It is older than the book.
    Older,
}

impl Book {
    /// Takes a whole book whose numbers are good.
    #[inline]
    pub(super) fn set(&mut self, update_id: u64, quote: &Quote) {
        let bid = Level { price: quote.bid.raw(), size: quote.bid_qty.raw() };
        let ask = Level { price: quote.ask.raw(), size: quote.ask_qty.raw() };
        self.replace(Self { known: true, update_id, bid, ask });
    }

    /// Takes a book unless it is a late one, which must not undo newer changes. Id 1 restarts.
    #[inline]
    fn replace(&mut self, book: Self) {
        let is_late = self.known && book.update_id < self.update_id && book.update_id != 1;
        if !is_late {
            *self = book;
        }
    }

    /// Forgets the book: something came that may have changed it and could not be read.
    pub(super) fn forget(&mut self) {
        self.known = false;
    }

    /// Takes a snapshot. Its best levels count; at level 1 there are no others.
    ///
    /// # Errors
    /// Why there is no quote. A side without levels is a known book; anything else that is wrong
    /// makes it unknown.
    pub(super) fn snapshot(
        &mut self,
        raw: &[u8],
        symbol: &Symbol,
        update_id: u64,
        sides: [Token; 2],
    ) -> Result<Quote, Rejection> {
        let read = |side: Token| {
            let mut best = None;
            levels(raw, side, symbol, |level| best = best.or(Some(level)))?;
            Ok(best.unwrap_or_default())
        };
        let (bid, ask) = match (read(sides[0]), read(sides[1])) {
            (Ok(bid), Ok(ask)) => (bid, ask),
            (Err(reason), _) | (_, Err(reason)) => {
                self.forget();
                return Err(reason);
            }
        };
        let book = Self { known: true, update_id, bid, ask };
        self.replace(book);
        book.quote()
    }

    /// Takes a change: a size of nought removes a level, any other sets it.
    ///
    /// The book has one level a side, so a new price takes the place of the old one, and removing
    /// a price that is not there changes nothing.
    ///
    /// # Errors
    /// [`Rejection::NoSnapshot`] when the book is not known; else why there is no quote.
    pub(super) fn change(
        &mut self,
        raw: &[u8],
        symbol: &Symbol,
        update_id: u64,
        sides: [Token; 2],
    ) -> Result<Changed, Rejection> {
        if !self.known {
            return Err(Rejection::NoSnapshot);
        }
        if update_id < self.update_id {
            return Ok(Changed::Older);
        }
        let bid = self.bid.changed(raw, sides[0], symbol, |new, best| new.price > best.price);
        let ask = self.ask.changed(raw, sides[1], symbol, |new, best| new.price < best.price);
        let (Ok(bid), Ok(ask)) = (bid, ask) else {
            self.forget();
            return Err(bid.err().or(ask.err()).unwrap_or(Rejection::Malformed));
        };
        *self = Self { known: true, update_id, bid, ask };
        self.quote().map(Changed::Quote)
    }

    fn quote(&self) -> Result<Quote, Rejection> {
        if self.bid.size == 0 || self.ask.size == 0 {
            return Err(Rejection::EmptySide);
        }
        let quote = Quote::new(self.bid.price, self.ask.price, self.bid.size, self.ask.size);
        quote.map_err(Refusal::into)
    }
}

impl Level {
    /// This side after a change.
    fn changed(
        self,
        raw: &[u8],
        side: Token,
        symbol: &Symbol,
        is_better: impl Fn(Self, Self) -> bool,
    ) -> Result<Self, Rejection> {
        let mut best: Option<Self> = None;
        let mut removed = false;
        levels(raw, side, symbol, |level| {
            if level.size == 0 {
                removed |= level.price == self.price;
            } else if best.is_none_or(|best| is_better(level, best)) {
                best = Some(level);
            }
        })?;
        let rest = if removed { Self::default() } else { self };
        Ok(best.unwrap_or(rest))
    }
}

/// Reads `[[price, size], …]`.
fn levels(
    raw: &[u8],
    side: Token,
    symbol: &Symbol,
    mut each: impl FnMut(Level),
) -> Result<(), Rejection> {
    if !side.is_array() {
        return Err(Rejection::Field);
    }
    let mut cursor = Cursor::at(raw, side);
    let mut rows = cursor.array()?;
    while cursor.element(&mut rows)? {
        let mut row = cursor.array().map_err(|_: JsonError| Rejection::Field)?;
        let mut fields = [Token::default(); 2];
        let mut count = 0;
        while cursor.element(&mut row)? {
            let value = cursor.value()?;
            if let Some(field) = fields.get_mut(count) {
                *field = value;
            }
            count += 1;
        }
        let price = number(fields[0], raw, symbol.price_scale)?;
        let size = number(fields[1], raw, symbol.qty_scale)?;
        if price <= 0 {
            return Err(Rejection::NotPositive);
        }
        each(Level { price, size });
    }
    Ok(())
}
