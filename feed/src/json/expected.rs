//! The fast way through a message whose wording is known: literal pieces are compared, values are
//! read where they must stand, and nothing is searched.
//!
//! A venue writes its hot message with the same keys in the same order each time, so this is the
//! usual case by far. Every method answers `None` for "not as expected", which says nothing about
//! the message: the [`Cursor`](super::Cursor) then decides. What is accepted here is accepted
//! there, with the same values.

use super::special_bytes;
use crate::decimal;

/// What is left of a message.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    rest: &'a [u8],
}

impl<'a> Expected<'a> {
    /// At the start of a message.
    #[must_use]
    #[inline(always)]
    pub fn new(raw: &'a [u8]) -> Self {
        Self { rest: raw }
    }

    /// Takes exactly this text.
    #[inline(always)]
    pub fn literal(&mut self, text: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    /// Takes exactly this text if it is there.
    #[must_use]
    #[inline(always)]
    pub fn found(&mut self, text: &[u8]) -> bool {
        self.literal(text).is_some()
    }

    /// Takes plain text up to a quote, which is left.
    #[inline(always)]
    pub fn text(&mut self) -> Option<&'a [u8]> {
        let mut len = 0;
        loop {
            let special = special_bytes(u64::from_le_bytes(*self.rest.get(len..)?.first_chunk()?));
            if special != 0 {
                len += (special.trailing_zeros() / 8) as usize;
                break;
            }
            len += 8;
        }
        let (text, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        (rest.first() == Some(&b'"')).then_some(text)
    }

    /// Takes an unsigned integer.
    #[inline(always)]
    pub fn integer(&mut self) -> Option<u64> {
        let (value, len) = decimal::leading_integer(self.rest)?;
        self.rest = self.rest.get(len..)?;
        Some(value)
    }

    /// Takes an unsigned decimal, exact at `scale`, up to a quote, which is left.
    #[inline(always)]
    pub fn decimal(&mut self, scale: u8) -> Option<i64> {
        let (value, len) = decimal::leading_decimal(self.rest, scale)?;
        self.rest = self.rest.get(len..)?;
        (self.rest.first() == Some(&b'"')).then_some(value)
    }

    /// Whether nothing is left.
    #[must_use]
    #[inline(always)]
    pub fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}
