//! The keys of an account.

use std::fmt::{self, Write as _};

use ring::hmac;

/// Key and secret of an account. Neither is ever shown; the secret cannot be read back.
#[derive(Clone)]
pub struct Keys {
    key: String,
    secret: hmac::Key,
    /// Whether both can stand in a header and in JSON as they are.
    plain: bool,
}

impl Keys {
    /// Keys as the venue gave them.
    #[must_use]
    pub fn new(key: String, secret: String) -> Self {
        let plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'))
        };
        let plain = plain(&key) && plain(&secret) && key.len() <= 256;
        Self { key, secret: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), plain }
    }

    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }

    /// The public half, for requests.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// A signature to be fed piece by piece.
    pub(crate) fn signer(&self) -> Signer {
        Signer(hmac::Context::with_key(&self.secret))
    }

    /// Appends the signature of `text` in hex.
    #[cfg(test)]
    pub(crate) fn sign(&self, text: &str, out: &mut String) {
        let mut signer = self.signer();
        signer.update(text);
        signer.finish(out);
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(hidden)")
    }
}

/// HMAC-SHA256 in progress.
pub(crate) struct Signer(hmac::Context);

impl Signer {
    pub(crate) fn update(&mut self, text: &str) {
        self.0.update(text.as_bytes());
    }

    /// Appends the signature in lower-case hex.
    pub(crate) fn finish(self, out: &mut String) {
        for byte in self.0.sign().as_ref() {
            write!(out, "{byte:02x}").expect("a string takes everything");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
    const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";

    /// The vectors that Binance publishes.
    #[test]
    fn published_signatures() {
        let keys = Keys::new(KEY.into(), SECRET.into());
        for (text, signature) in [
            (
                "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1\
                 &recvWindow=5000&timestamp=1499827319559",
                "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
            ),
            (
                "apiKey=vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A\
                 &price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT\
                 &timeInForce=GTC&timestamp=1645423376532&type=LIMIT",
                "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
            ),
        ] {
            let mut out = String::new();
            keys.sign(text, &mut out);
            assert_eq!(out, signature);
        }
    }

    #[test]
    fn keys_are_never_shown() {
        let keys = Keys::new(KEY.into(), SECRET.into());
        for text in [format!("{keys:?}"), format!("{keys:#?}")] {
            assert!(!text.contains(&KEY[..6]) && !text.contains(&SECRET[..6]), "{text}");
        }
    }
}
