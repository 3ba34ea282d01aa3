//! Where a value stands in its message.

use super::{JsonError, MESSAGE_MAX};
use crate::decimal::{self, DecimalError};

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Type {
    /// The key is not there.
    Absent = 0,
    /// A string without escapes.
    String,
    /// A string with escapes.
    Escaped,
    /// A number.
    Number,
    /// `true`.
    True,
    /// `false`.
    False,
    /// `null`.
    Null,
    /// An object.
    Object,
    /// An array.
    Array,
}

/// Where a value stands in its message, and its type; `default()` is an absent one.
///
/// One word, so that it travels in a register: the start in the lower half, above it the end and
/// in the highest byte the type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Token(u64);

const END_AT: u32 = 32;
const TYPE_AT: u32 = 56;
const _: () = assert!(MESSAGE_MAX < 1 << (TYPE_AT - END_AT));

impl Token {
    #[inline]
    pub(super) fn new(value: Type, start: usize, end: usize) -> Self {
        Self((value as u64) << TYPE_AT | (end as u64) << END_AT | start as u64)
    }

    #[inline]
    fn is(self, value: Type) -> bool {
        self.0 >> TYPE_AT == value as u64
    }

    #[inline]
    pub(super) fn start(self) -> usize {
        self.0 as u32 as usize
    }

    #[inline]
    pub(super) fn end(self) -> usize {
        (self.0 >> END_AT) as usize & (MESSAGE_MAX * 2 - 1)
    }

    /// Takes a value that may stand once.
    ///
    /// # Errors
    /// [`JsonError::DuplicateKey`] when there is one already.
    #[inline]
    pub fn fill(&mut self, value: Self) -> Result<(), JsonError> {
        if self.is_present() {
            return Err(JsonError::DuplicateKey);
        }
        *self = value;
        Ok(())
    }

    /// Whether the key was there.
    #[must_use]
    #[inline]
    pub fn is_present(self) -> bool {
        self.0 != 0
    }

    /// Whether it is an object.
    #[must_use]
    #[inline]
    pub fn is_object(self) -> bool {
        self.is(Type::Object)
    }

    /// Whether it is an array.
    #[must_use]
    #[inline]
    pub fn is_array(self) -> bool {
        self.is(Type::Array)
    }

    /// The bytes of the value, quotes included; empty when absent.
    #[must_use]
    #[inline]
    pub fn bytes(self, raw: &[u8]) -> &[u8] {
        &raw[self.start()..self.end()]
    }

    /// The content of a string; `None` for other types, when absent, and with escapes.
    #[must_use]
    #[inline]
    pub fn string(self, raw: &[u8]) -> Option<&[u8]> {
        if !self.is(Type::String) {
            return None;
        }
        raw.get(self.start() + 1..self.end() - 1)
    }

    /// An exact unsigned decimal in a string, at `scale`.
    ///
    /// # Errors
    /// `None` when it is no string; otherwise the scanner's refusal.
    #[inline]
    pub fn decimal(self, raw: &[u8], scale: u8) -> Result<i64, Option<DecimalError>> {
        decimal::parse(self.string(raw).ok_or(None)?, scale).map_err(Some)
    }

    /// A bare unsigned integer.
    #[must_use]
    #[inline]
    pub fn integer(self, raw: &[u8]) -> Option<u64> {
        if self.is(Type::Number) { decimal::parse_integer(self.bytes(raw)) } else { None }
    }

    /// An unsigned integer, bare or in quotes: times, which venues write in both ways.
    #[must_use]
    #[inline]
    pub fn loose_integer(self, raw: &[u8]) -> Option<u64> {
        match self.string(raw) {
            Some(text) => decimal::parse_integer(text),
            None => self.integer(raw),
        }
    }

    /// A boolean.
    #[must_use]
    #[inline]
    pub fn boolean(self) -> Option<bool> {
        if self.is(Type::True) {
            Some(true)
        } else if self.is(Type::False) {
            Some(false)
        } else {
            None
        }
    }
}
