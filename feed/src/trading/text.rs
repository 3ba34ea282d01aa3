//! Text of requests, written into buffers that exist.

use std::fmt::Write as _;

use super::keys::Signer;

/// Decimal digits of a `u64` at most.
const DIGITS_MAX: usize = 20;

/// Appends an unsigned integer.
pub(crate) fn push_integer(out: &mut String, value: u64) {
    write!(out, "{value}").expect("a string takes everything");
}

/// Appends `mantissa × 10^-scale` in plain decimals, without zeros at the end of the fraction:
/// venues refuse more digits than they know, even when they say nothing.
pub(crate) fn push_decimal(out: &mut String, mantissa: u64, scale: u8) {
    let scale = usize::from(scale).min(DIGITS_MAX - 1);
    let mut digits = [b'0'; DIGITS_MAX];
    let (mut rest, mut at) = (mantissa, DIGITS_MAX);
    while rest > 0 {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let point = DIGITS_MAX - scale;
    let mut push = |from: usize, to: usize| {
        out.extend(digits[from..to].iter().map(|&digit| char::from(digit)));
    };
    push(at.min(point - 1), point);
    let fraction = digits[point..].iter().rposition(|&digit| digit != b'0');
    if let Some(last) = fraction {
        out.push('.');
        out.extend(digits[point..=point + last].iter().map(|&digit| char::from(digit)));
    }
}

/// Appends a value of a query: everything but unreserved characters is percent-encoded.
pub(crate) fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes everything");
        }
    }
}

/// Params of a signed JSON request: each is written once, and what is written is what is signed,
/// as `key=value&…`.
pub(crate) struct SignedParams<'a> {
    out: &'a mut String,
    signer: Signer,
    first: bool,
}

impl<'a> SignedParams<'a> {
    pub(crate) fn new(out: &'a mut String, signer: Signer) -> Self {
        out.push('{');
        Self { out, signer, first: true }
    }

    /// A param in quotes.
    pub(crate) fn text(&mut self, key: &str, write: impl FnOnce(&mut String)) {
        self.param(key, "\"", write);
    }

    /// A bare number.
    pub(crate) fn number(&mut self, key: &str, value: u64) {
        self.param(key, "", |out| push_integer(out, value));
    }

    fn param(&mut self, key: &str, quote: &str, write: impl FnOnce(&mut String)) {
        if !self.first {
            self.out.push(',');
            self.signer.update("&");
        }
        self.first = false;
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
        self.out.push_str(quote);
        let start = self.out.len();
        write(self.out);
        self.signer.update(key);
        self.signer.update("=");
        self.signer.update(&self.out[start..]);
        self.out.push_str(quote);
    }

    /// Appends the signature and closes the object.
    pub(crate) fn finish(self) {
        self.out.push_str(",\"signature\":\"");
        self.signer.finish(self.out);
        self.out.push_str("\"}");
    }
}

/// Ends a request's head behind its target: version, host, headers.
pub(crate) fn push_head(out: &mut String, host: &str, headers: &[(&str, &str)]) {
    out.push_str(" HTTP/1.1\r\nHost: ");
    out.push_str(host);
    out.push_str("\r\nUser-Agent: reap\r\nAccept: application/json\r\n");
    for (name, value) in headers {
        out.push_str(name);
        out.push_str(": ");
        out.push_str(value);
        out.push_str("\r\n");
    }
    out.push_str("\r\n");
}

/// FNV-1a of 64 bits: the number of a venue's textual id. Stable for ever: it is in logs.
pub(crate) fn fnv64(text: &[u8]) -> u64 {
    text.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decimal;
    use crate::test_random::Random;

    fn decimal_text(mantissa: u64, scale: u8) -> String {
        let mut out = String::new();
        push_decimal(&mut out, mantissa, scale);
        out
    }

    #[test]
    fn decimals_are_plain_and_short() {
        for (mantissa, scale, text) in [
            (0, 0, "0"),
            (0, 3, "0"),
            (7, 0, "7"),
            (100, 0, "100"),
            (5_200_000, 2, "52000"),
            (5_200_010, 2, "52000.1"),
            (1, 8, "0.00000001"),
            (10, 3, "0.01"),
            (u64::MAX, 0, "18446744073709551615"),
            (u64::MAX, 12, "18446744.073709551615"),
            (1, 18, "0.000000000000000001"),
        ] {
            assert_eq!(decimal_text(mantissa, scale), text);
        }
    }

    #[test]
    fn every_decimal_reads_back() {
        let mut random = Random::from_env("every_decimal_reads_back");
        for _ in 0..20_000 {
            let mantissa = random.next() >> (1 + random.below(63));
            let scale = random.below(13) as u8;
            let text = decimal_text(mantissa, scale);
            assert_eq!(decimal::parse(text.as_bytes(), scale), Ok(mantissa as i64), "{text}");
            assert!(!text.contains('.') || !text.ends_with('0'), "{text}");
        }
    }

    #[test]
    fn encoded_and_hashed() {
        let mut out = String::new();
        push_encoded(&mut out, "AZ-09_.~ 币&=");
        assert_eq!(out, "AZ-09_.~%20%E5%B8%81%26%3D");
        // The published vectors of FNV-1a.
        assert_eq!(fnv64(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv64(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv64(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
