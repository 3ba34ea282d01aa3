//! A pull scanner over the bytes of one JSON message: no allocation, no recursion, no copies.
//!
//! The codecs walk the objects they know key by key and keep *where* the values they need stand
//! ([`Token`]); everything else is skipped, but checked: a message that is not one whole JSON
//! value is refused, whatever part of it is of interest. Two things are stricter than the
//! standard, because no venue sends them and both could hide a second meaning:
//!
//! - escapes in keys of walked objects and in strings that a codec reads are refused;
//! - a key that a codec reads may stand once in its object (see [`Token::fill`]).
//!
//! Nesting is bounded by [`DEPTH_MAX`], a message by [`MESSAGE_MAX`].

use thiserror::Error;

pub mod expected;
mod token;

pub use token::{Token, Type};

/// Largest message in bytes.
pub const MESSAGE_MAX: usize = 1 << 20;
/// Deepest nesting of arrays and objects inside one value.
pub const DEPTH_MAX: u32 = u64::BITS;

/// Why a message is not the JSON that its codec expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum JsonError {
    /// Ends too early.
    #[error("truncated")]
    Truncated,
    /// Not JSON, or another kind of value than expected.
    #[error("syntax")]
    Syntax,
    /// Nested too deeply.
    #[error("nested too deeply")]
    Depth,
    /// An escape in a place that is read.
    #[error("escape in a key or value that is read")]
    Escape,
    /// A key that is read stands twice.
    #[error("duplicate key")]
    DuplicateKey,
    /// Longer than [`MESSAGE_MAX`].
    #[error("message too long")]
    TooLong,
}

/// An object being walked.
#[derive(Debug)]
pub struct Object {
    first: bool,
}

/// An array being walked.
#[derive(Debug)]
pub struct Array {
    first: bool,
}

/// The scanner: a position in one message.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    raw: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// At the start of a message.
    ///
    /// # Errors
    /// [`JsonError::TooLong`].
    #[inline]
    pub fn new(raw: &'a [u8]) -> Result<Self, JsonError> {
        if raw.len() > MESSAGE_MAX {
            return Err(JsonError::TooLong);
        }
        Ok(Self { raw, at: 0 })
    }

    /// At the start of a value of a message that was scanned before.
    ///
    /// # Panics
    /// When the token is of another message.
    #[must_use]
    pub fn at(raw: &'a [u8], token: Token) -> Self {
        Self { raw: &raw[..token.end()], at: token.start() }
    }

    /// The next byte that is not white space, without taking it.
    ///
    /// # Errors
    /// [`JsonError::Truncated`] at the end.
    #[inline]
    pub fn peek(&mut self) -> Result<u8, JsonError> {
        loop {
            match self.raw.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                Some(&byte) => return Ok(byte),
                None => return Err(JsonError::Truncated),
            }
        }
    }

    /// Takes one expected byte behind white space.
    #[inline]
    fn take(&mut self, expected: u8) -> Result<(), JsonError> {
        if self.peek()? != expected {
            return Err(JsonError::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    /// Enters an object.
    ///
    /// # Errors
    /// When the next value is none.
    #[inline]
    pub fn object(&mut self) -> Result<Object, JsonError> {
        self.take(b'{')?;
        Ok(Object { first: true })
    }

    /// The end of an object that was walked, as a token: marks that it was there.
    #[must_use]
    #[inline]
    pub fn walked(&self) -> Token {
        self.token(Type::Object, self.at - 1)
    }

    /// The next key of an object, with its colon; the value must be taken next. `None` at the end
    /// of the object.
    ///
    /// # Errors
    /// What is wrong with the JSON up to the colon.
    #[inline]
    pub fn key(&mut self, object: &mut Object) -> Result<Option<&'a [u8]>, JsonError> {
        let first = std::mem::replace(&mut object.first, false);
        // Most keys of venues are one letter, written without white space.
        if !first
            && let Some([b',', b'"', name, b'"', b':']) = self.raw[self.at..].first_chunk::<5>()
            && !matches!(name, b'"' | b'\\' | ..0x20 | 0x80..)
        {
            let at = self.at + 2;
            self.at += 5;
            return Ok(Some(&self.raw[at..=at]));
        }
        if self.separator(first, b'}')? {
            return Ok(None);
        }
        if self.peek()? != b'"' {
            return Err(JsonError::Syntax);
        }
        let token = self.string()?;
        self.take(b':')?;
        token.string(self.raw).ok_or(JsonError::Escape).map(Some)
    }

    /// Enters an array.
    ///
    /// # Errors
    /// When the next value is none.
    #[inline]
    pub fn array(&mut self) -> Result<Array, JsonError> {
        self.take(b'[')?;
        Ok(Array { first: true })
    }

    /// Whether another element follows, which must be taken next.
    ///
    /// # Errors
    /// What is wrong with the JSON up to the element.
    #[inline]
    pub fn element(&mut self, array: &mut Array) -> Result<bool, JsonError> {
        let first = std::mem::replace(&mut array.first, false);
        Ok(!self.separator(first, b']')?)
    }

    /// Takes the comma in front of all members but the first. True when `close` ended them.
    #[inline]
    fn separator(&mut self, first: bool, close: u8) -> Result<bool, JsonError> {
        let byte = self.peek()?;
        if byte == close {
            self.at += 1;
            return Ok(true);
        }
        if !first {
            if byte != b',' {
                return Err(JsonError::Syntax);
            }
            self.at += 1;
            // A comma promises a member.
            if self.peek()? == close {
                return Err(JsonError::Syntax);
            }
        }
        Ok(false)
    }

    /// Takes any value.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn value(&mut self) -> Result<Token, JsonError> {
        match self.peek()? {
            b'"' => self.string(),
            b'{' | b'[' => self.nested(),
            _ => self.scalar(),
        }
    }

    /// Checks that nothing but white space follows.
    ///
    /// # Errors
    /// [`JsonError::Syntax`].
    #[inline]
    pub fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Err(_) => Ok(()),
            Ok(_) => Err(JsonError::Syntax),
        }
    }

    #[inline]
    fn token(&self, value: Type, start: usize) -> Token {
        Token::new(value, start, self.at)
    }

    /// Takes a string; the position is at its opening quote.
    #[inline]
    fn string(&mut self) -> Result<Token, JsonError> {
        let start = self.at;
        self.at += 1;
        let (mut escaped, mut ascii) = (false, true);
        loop {
            self.skip_plain();
            match self.raw.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0x80..) => {
                    ascii = false;
                    self.at += 1;
                }
                Some(_) => return Err(JsonError::Syntax),
                None => return Err(JsonError::Truncated),
            }
        }
        if !ascii && std::str::from_utf8(&self.raw[start + 1..self.at]).is_err() {
            return Err(JsonError::Syntax);
        }
        self.at += 1;
        Ok(self.token(if escaped { Type::Escaped } else { Type::String }, start))
    }

    /// Moves to the next byte of a string that is a quote, a backslash, a control character or not
    /// ASCII, eight bytes at a time.
    #[inline]
    fn skip_plain(&mut self) {
        while let Some(bytes) = self.raw[self.at..].first_chunk::<8>() {
            let special = special_bytes(u64::from_le_bytes(*bytes));
            if special != 0 {
                self.at += (special.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
        let plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | ..0x20 | 0x80..);
        self.at += self.raw[self.at..].iter().take_while(plain).count();
    }

    /// Takes an escape; the position is at its backslash.
    fn escape(&mut self) -> Result<(), JsonError> {
        match self.raw.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                for digit in 2..6 {
                    match self.raw.get(self.at + digit) {
                        Some(byte) if byte.is_ascii_hexdigit() => {}
                        Some(_) => return Err(JsonError::Syntax),
                        None => return Err(JsonError::Truncated),
                    }
                }
                self.at += 6;
            }
            Some(_) => return Err(JsonError::Syntax),
            None => return Err(JsonError::Truncated),
        }
        Ok(())
    }

    /// Takes a number or a literal.
    #[inline]
    fn scalar(&mut self) -> Result<Token, JsonError> {
        let start = self.at;
        let value = match self.raw[self.at] {
            b't' => self.literal(b"true", Type::True)?,
            b'f' => self.literal(b"false", Type::False)?,
            b'n' => self.literal(b"null", Type::Null)?,
            _ => self.number()?,
        };
        Ok(self.token(value, start))
    }

    fn literal(&mut self, word: &[u8], value: Type) -> Result<Type, JsonError> {
        for expected in word {
            match self.raw.get(self.at) {
                Some(byte) if byte == expected => self.at += 1,
                Some(_) => return Err(JsonError::Syntax),
                None => return Err(JsonError::Truncated),
            }
        }
        Ok(value)
    }

    #[inline]
    fn number(&mut self) -> Result<Type, JsonError> {
        if self.raw[self.at] == b'-' {
            self.at += 1;
        }
        let start = self.at;
        self.some_digits()?;
        if self.raw[start] == b'0' && self.at > start + 1 {
            return Err(JsonError::Syntax);
        }
        if self.raw.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.raw.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.raw.get(self.at) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(Type::Number)
    }

    /// Takes at least one digit.
    #[inline]
    fn some_digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.raw.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        match (self.at > start, self.at < self.raw.len()) {
            (true, _) => Ok(()),
            (false, true) => Err(JsonError::Syntax),
            (false, false) => Err(JsonError::Truncated),
        }
    }

    /// Takes an object or array with all that is in it.
    fn nested(&mut self) -> Result<Token, JsonError> {
        let start = self.at;
        // One bit for each open container, the innermost lowest: set for an object.
        let (mut kinds, mut depth) = (0u64, 0u32);
        loop {
            // A value stands here.
            let mut opened = false;
            match self.peek()? {
                open @ (b'{' | b'[') => {
                    if depth == DEPTH_MAX {
                        return Err(JsonError::Depth);
                    }
                    kinds = (kinds << 1) | u64::from(open == b'{');
                    depth += 1;
                    self.at += 1;
                    opened = true;
                }
                b'"' => drop(self.string()?),
                _ => drop(self.scalar()?),
            }
            // Behind it: the end of containers, then a comma or, after an opening, a member.
            loop {
                let is_object = kinds & 1 == 1;
                if !self.separator(opened, if is_object { b'}' } else { b']' })? {
                    break;
                }
                opened = false;
                kinds >>= 1;
                depth -= 1;
                if depth == 0 {
                    let value = if is_object { Type::Object } else { Type::Array };
                    return Ok(self.token(value, start));
                }
            }
            if kinds & 1 == 1 {
                if self.peek()? != b'"' {
                    return Err(JsonError::Syntax);
                }
                self.string()?;
                self.take(b':')?;
            }
        }
    }
}

/// Marks, in their high bits, the bytes of a string that are not plain text: quotes, backslashes,
/// control characters, what is not ASCII. The lowest mark is exact; a borrow may mark bytes above.
#[inline(always)]
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    let equal = |byte: u8| {
        let difference = word ^ (ONES * u64::from(byte));
        difference.wrapping_sub(ONES) & !difference
    };
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | equal(b'"') | equal(b'\\') | word) & HIGHS
}

#[cfg(test)]
mod tests;
