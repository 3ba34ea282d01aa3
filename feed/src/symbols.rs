//! From a venue's symbol, as bytes of a message, to the instrument and its scales.
//!
//! Built at start-up from the instruments that this process watches; looking up allocates nothing.
//! Case is exact: venues write symbols in one way, and `1000CAT` is not `CAT`.

use reap_core::instrument::InstrumentId;
use reap_core::limits::{INSTRUMENTS_MAX, SCALE_MAX};
use thiserror::Error;

/// Longest symbol in bytes.
pub const SYMBOL_MAX: usize = 32;

/// What the codecs need to know of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The instrument.
    pub instrument: InstrumentId,
    /// Decimals of a price mantissa.
    pub price_scale: u8,
    /// Decimals of a quantity mantissa.
    pub qty_scale: u8,
}

/// Why a table was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SymbolError {
    /// Nothing, or more than [`SYMBOL_MAX`] bytes.
    #[error("symbol {0:?} must have 1 to {SYMBOL_MAX} bytes")]
    Length(String),
    /// Twice the same.
    #[error("symbol {0:?} stands twice in the table of one venue")]
    Duplicate(String),
    /// A scale above the core's bound.
    #[error("symbol {symbol:?}: scale {scale} is above {SCALE_MAX}")]
    Scale {
        /// The symbol.
        symbol: String,
        /// Its scale.
        scale: u8,
    },
    /// More symbols than instruments of one engine.
    #[error("more than {INSTRUMENTS_MAX} symbols")]
    TooMany,
}

/// The symbols of one venue.
#[derive(Clone, Debug)]
pub struct Symbols {
    entries: Vec<Entry>,
    /// Open addressing with linear probing: index of the entry plus one, 0 when free. A power of
    /// two, at most half full, so every probe ends.
    slots: Vec<u16>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    print: Print,
    text: [u8; SYMBOL_MAX],
    symbol: Symbol,
}

/// First and last eight bytes and the length: all of a symbol of up to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    first: u64,
    last: u64,
    len: usize,
}

impl Symbols {
    /// A table of symbols, in the venue's spelling.
    ///
    /// # Errors
    /// The first symbol that cannot be in it, and why.
    pub fn new<'a>(
        symbols: impl IntoIterator<Item = (&'a str, Symbol)>,
    ) -> Result<Self, SymbolError> {
        let mut entries: Vec<Entry> = Vec::new();
        for (name, symbol) in symbols {
            if name.is_empty() || name.len() > SYMBOL_MAX {
                return Err(SymbolError::Length(name.to_owned()));
            }
            let scale = symbol.price_scale.max(symbol.qty_scale);
            if scale > SCALE_MAX {
                return Err(SymbolError::Scale { symbol: name.to_owned(), scale });
            }
            let mut text = [0; SYMBOL_MAX];
            text[..name.len()].copy_from_slice(name.as_bytes());
            let print = Print::of(name.as_bytes());
            if entries.iter().any(|entry| entry.is(&print, name.as_bytes())) {
                return Err(SymbolError::Duplicate(name.to_owned()));
            }
            if entries.len() == INSTRUMENTS_MAX {
                return Err(SymbolError::TooMany);
            }
            entries.push(Entry { print, text, symbol });
        }
        let mut slots = vec![0; (entries.len() * 2).next_power_of_two().max(2)];
        for (index, entry) in entries.iter().enumerate() {
            let mut slot = entry.print.slot(slots.len());
            while slots[slot] != 0 {
                slot = (slot + 1) % slots.len();
            }
            slots[slot] = index as u16 + 1;
        }
        Ok(Self { entries, slots })
    }

    /// How many symbols there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The symbol's place in the table, `0 .. len()`, for state that a codec keeps beside it, and
    /// what is known of it.
    #[must_use]
    #[inline]
    pub fn find(&self, text: &[u8]) -> Option<(usize, &Symbol)> {
        if text.is_empty() || text.len() > SYMBOL_MAX {
            return None;
        }
        let print = Print::of(text);
        let mut slot = print.slot(self.slots.len());
        loop {
            let index = usize::from(self.slots[slot]).checked_sub(1)?;
            let entry = &self.entries[index];
            if entry.is(&print, text) {
                return Some((index, &entry.symbol));
            }
            slot = (slot + 1) % self.slots.len();
        }
    }
}

// The index plus one fits a slot.
const _: () = assert!(INSTRUMENTS_MAX < u16::MAX as usize);

impl Entry {
    #[inline]
    fn is(&self, print: &Print, text: &[u8]) -> bool {
        self.print == *print && (text.len() <= 16 || self.text[..text.len()] == *text)
    }
}

impl Print {
    #[inline]
    fn of(text: &[u8]) -> Self {
        let len = text.len();
        let (first, last) = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
                (Some(first), Some(last)) => {
                    (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
                }
                _ => (text.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte)), 0),
            },
        };
        Self { first, last, len }
    }

    #[inline]
    fn slot(&self, slots: usize) -> usize {
        // Multiplication carries every bit upwards; the upper bits choose.
        let mixed = (self.first ^ self.last.rotate_left(29) ^ self.len as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as usize & (slots - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbol(id: u16) -> Symbol {
        Symbol { instrument: InstrumentId(id), price_scale: 2, qty_scale: 5 }
    }

    #[test]
    fn every_symbol_is_found_and_nothing_else() {
        let mut names: Vec<String> =
            (0..INSTRUMENTS_MAX - 40).map(|i| format!("C{i}USDT")).collect();
        // Every length, and pairs that differ only in the middle of a long name.
        names.extend((1..=SYMBOL_MAX).map(|len| "X".repeat(len)));
        names.extend(["币安人生USDT", "AAAAAAAA1AAAAAAAA", "AAAAAAAA2AAAAAAAA"].map(String::from));
        let table = names.iter().enumerate().map(|(i, name)| (name.as_str(), symbol(i as u16)));
        let symbols = Symbols::new(table).unwrap();
        for (i, name) in names.iter().enumerate() {
            assert_eq!(symbols.find(name.as_bytes()), Some((i, &symbol(i as u16))), "{name}");
            assert_eq!(symbols.find(name.to_lowercase().as_bytes()), None, "{name}");
        }
        for unknown in
            ["", "C", "C1USD", "C1USDTT", "AAAAAAAA3AAAAAAAA", &"X".repeat(SYMBOL_MAX + 1)]
        {
            assert_eq!(symbols.find(unknown.as_bytes()), None, "{unknown}");
        }
        assert_eq!(Symbols::new([]).unwrap().find(b"BTCUSDT"), None);
    }

    #[test]
    fn tables_that_contradict_themselves_are_refused() {
        let twice = [("BTCUSDT", symbol(0)), ("BTCUSDT", symbol(1))];
        assert_eq!(Symbols::new(twice).unwrap_err(), SymbolError::Duplicate("BTCUSDT".into()));
        assert!(matches!(Symbols::new([("", symbol(0))]), Err(SymbolError::Length(_))));
        let long = "X".repeat(SYMBOL_MAX + 1);
        assert!(matches!(Symbols::new([(&*long, symbol(0))]), Err(SymbolError::Length(_))));
        let deep = Symbol { qty_scale: SCALE_MAX + 1, ..symbol(0) };
        assert!(matches!(Symbols::new([("A", deep)]), Err(SymbolError::Scale { .. })));
    }
}
