//! Reading messages of private streams: a few fields of an object, the rest skipped but checked.

use crate::json::{Cursor, JsonError, Token};

/// The values of `keys` in a message that is one object.
pub(crate) fn message<const N: usize>(
    raw: &[u8],
    keys: [&str; N],
) -> Result<[Token; N], JsonError> {
    let mut cursor = Cursor::new(raw)?;
    let found = pick(&mut cursor, keys)?;
    cursor.end()?;
    Ok(found)
}

/// The values of `keys` in an object that was found before.
pub(crate) fn object<const N: usize>(
    raw: &[u8],
    token: Token,
    keys: [&str; N],
) -> Result<[Token; N], JsonError> {
    if !token.is_object() {
        return Err(JsonError::Syntax);
    }
    pick(&mut Cursor::at(raw, token), keys)
}

fn pick<const N: usize>(cursor: &mut Cursor<'_>, keys: [&str; N]) -> Result<[Token; N], JsonError> {
    let mut found = [Token::default(); N];
    let mut walk = cursor.object()?;
    while let Some(key) = cursor.key(&mut walk)? {
        let value = cursor.value()?;
        if let Some(at) = keys.iter().position(|wanted| wanted.as_bytes() == key) {
            found[at].fill(value)?;
        }
    }
    Ok(found)
}

/// The objects of an array that was found before.
pub(crate) fn rows(
    raw: &[u8],
    token: Token,
    mut row: impl FnMut(Token) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    if !token.is_array() {
        return Err(JsonError::Syntax);
    }
    each(&mut Cursor::at(raw, token), &mut row)
}

/// The objects of a message that is one array; all of it is read before the first is given.
pub(crate) fn message_rows(
    raw: &[u8],
    mut row: impl FnMut(Token) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let mut cursor = Cursor::new(raw)?;
    cursor.value()?;
    cursor.end()?;
    each(&mut Cursor::new(raw)?, &mut row)
}

fn each(
    cursor: &mut Cursor<'_>,
    row: &mut dyn FnMut(Token) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let mut walk = cursor.array()?;
    while cursor.element(&mut walk)? {
        row(cursor.value()?)?;
    }
    Ok(())
}

/// A signed whole number, bare.
pub(crate) fn signed(token: Token, raw: &[u8]) -> Option<i64> {
    match token.bytes(raw) {
        [b'-', magnitude @ ..] => crate::decimal::parse_integer(magnitude)
            .and_then(|value| 0i64.checked_sub_unsigned(value)),
        magnitude => crate::decimal::parse_integer(magnitude).and_then(|v| i64::try_from(v).ok()),
    }
}
