//! The scanner against serde_json, on random values and their corruptions.

use serde_json::value::RawValue;

use super::{Cursor, DEPTH_MAX, JsonError, MESSAGE_MAX};
use crate::test_random::Random;

/// Skips one whole value.
fn skip(text: &[u8]) -> Result<(), JsonError> {
    let mut cursor = Cursor::new(text)?;
    let token = cursor.value()?;
    cursor.end()?;
    assert!(!token.bytes(text).is_empty());
    Ok(())
}

/// Walks one whole object, with everything in it skipped.
fn walk(text: &[u8]) -> Result<usize, JsonError> {
    let mut cursor = Cursor::new(text)?;
    let mut object = cursor.object()?;
    let mut members = 0;
    while cursor.key(&mut object)?.is_some() {
        cursor.value()?;
        members += 1;
    }
    cursor.end()?;
    Ok(members)
}

fn agree(text: &[u8]) {
    let expected = serde_json::from_slice::<&RawValue>(text).is_ok();
    let found = skip(text);
    assert_eq!(found.is_ok(), expected, "{found:?}: {}", text.escape_ascii());
    match walk(text) {
        Ok(_) => assert!(expected, "{}", text.escape_ascii()),
        Err(JsonError::Escape) => {}
        Err(error) => {
            let is_object = text.trim_ascii_start().starts_with(b"{");
            assert!(!expected || !is_object, "{error}: {}", text.escape_ascii());
        }
    }
}

fn space(random: &mut Random, text: &mut Vec<u8>) {
    while random.below(8) == 0 {
        text.push(*random.pick(b" \t\n\r"));
    }
}

fn string(random: &mut Random, text: &mut Vec<u8>) {
    text.push(b'"');
    for _ in 0..random.below(20) {
        match random.below(30) {
            0 => text.extend_from_slice("é币😀".as_bytes()),
            1 => text.extend_from_slice(
                random.pick(&["\\n", "\\\"", "\\\\", "\\u00e9", "\\/"]).as_bytes(),
            ),
            2 => text.extend_from_slice(b"{[,:]}"),
            _ => text.push(b'a' + random.below(26) as u8),
        }
    }
    text.push(b'"');
}

fn value(random: &mut Random, text: &mut Vec<u8>, depth: u64) {
    space(random, text);
    match random.below(if depth > 5 { 5 } else { 8 }) {
        0 => text.extend_from_slice(random.pick(&["true", "false", "null"]).as_bytes()),
        1 | 2 => {
            let numbers =
                ["0", "-0", "17", "-1.5", "1e9", "2.5E-7", "0.25", "12345678901234567890", "1e+3"];
            text.extend_from_slice(random.pick(&numbers).as_bytes());
        }
        3 | 4 => string(random, text),
        kind => {
            let is_object = kind > 5;
            text.push(if is_object { b'{' } else { b'[' });
            for member in 0..random.below(5) {
                if member > 0 {
                    text.push(b',');
                }
                if is_object {
                    space(random, text);
                    string(random, text);
                    space(random, text);
                    text.push(b':');
                }
                value(random, text, depth + 1);
            }
            space(random, text);
            text.push(if is_object { b'}' } else { b']' });
        }
    }
    space(random, text);
}

#[test]
fn random_values_and_their_corruptions() {
    let mut random = Random::from_env("json");
    for _ in 0..20_000 {
        let mut text = Vec::new();
        value(&mut random, &mut text, 0);
        assert_eq!(skip(&text), Ok(()), "{}", text.escape_ascii());
        agree(&text);
        for _ in 0..4 {
            let mut bad = text.clone();
            let at = random.below(bad.len() as u64) as usize;
            match random.below(3) {
                0 => bad.truncate(at),
                1 => bad[at] = *random.pick(b"\"\\{}[]:,0-e.x \n\x00\x1f\x80\xc3\xff"),
                _ => drop(bad.remove(at)),
            }
            agree(&bad);
        }
    }
}

#[test]
fn what_json_is_not() {
    let cases: [&[u8]; 33] = [
        b"",
        b" ",
        b"{",
        b"}",
        b"[",
        b"]",
        b"{]",
        b"[}",
        b"[1,]",
        b"[,1]",
        b"{,}",
        b"{\"a\"}",
        b"{\"a\":}",
        b"{\"a\":1,}",
        b"{\"a\":1 \"b\":2}",
        b"{a:1}",
        b"{1:1}",
        b"01",
        b"-",
        b"1.",
        b".5",
        b"1e",
        b"+1",
        b"nul",
        b"nulll",
        b"tru",
        b"\"",
        b"\"\\x\"",
        b"\"\\u12g4\"",
        b"\"a\nb\"",
        b"\"\xff\"",
        b"1 2",
        b"[1]]",
    ];
    for text in cases {
        assert!(skip(text).is_err(), "{}", text.escape_ascii());
        agree(text);
    }
}

#[test]
fn nesting_and_length_are_bounded() {
    let nested = |depth: u32| "[".repeat(depth as usize) + &"]".repeat(depth as usize);
    assert_eq!(skip(nested(DEPTH_MAX).as_bytes()), Ok(()));
    assert_eq!(skip(nested(DEPTH_MAX + 1).as_bytes()), Err(JsonError::Depth));
    assert_eq!(skip("[".repeat(MESSAGE_MAX).as_bytes()), Err(JsonError::Depth));
    let long = format!("\"{}\"", "x".repeat(MESSAGE_MAX - 2));
    assert_eq!(skip(long.as_bytes()), Ok(()));
    assert_eq!(skip(format!("{long} ").as_bytes()), Err(JsonError::TooLong));
}

#[test]
fn tokens_say_where_and_what() {
    let text = br#" {"a":"x y","b":-12,"c":17,"d":"17","e":true,"f":[1],"g":{},"h":"\n","i":""} "#;
    let mut cursor = Cursor::new(text).unwrap();
    let mut object = cursor.object().unwrap();
    let mut tokens = Vec::new();
    while let Some(key) = cursor.key(&mut object).unwrap() {
        assert_eq!(key.len(), 1);
        tokens.push(cursor.value().unwrap());
    }
    let [a, b, c, d, e, f, g, h, i] = tokens[..] else { panic!("{tokens:?}") };
    assert_eq!(a.string(text), Some(&b"x y"[..]));
    assert_eq!((b.integer(text), b.bytes(text)), (None, &b"-12"[..]));
    assert_eq!((c.integer(text), c.loose_integer(text)), (Some(17), Some(17)));
    assert_eq!((d.integer(text), d.loose_integer(text)), (None, Some(17)));
    assert_eq!((e.boolean(), f.boolean()), (Some(true), None));
    assert!(f.is_array() && g.is_object() && !f.is_object() && !g.is_array());
    assert_eq!((h.string(text), h.bytes(text)), (None, &br#""\n""#[..]));
    assert_eq!(i.string(text), Some(&b""[..]));
}
