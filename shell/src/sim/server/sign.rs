//! Signatures as the venues check them: HMAC-SHA256 in hexadecimal digits.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Whether `signature` is the one of `payload` under `secret`, in constant time.
pub(super) fn is_valid(secret: &str, payload: &[u8], signature: &str) -> bool {
    let Some(bytes) = from_hex(signature) else { return false };
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(payload);
    mac.verify_slice(&bytes).is_ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != 32 {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two vectors that Binance publishes.
    #[test]
    fn the_published_vectors_hold() {
        let secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
        let query = b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559";
        let signature = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71";
        assert!(is_valid(secret, query, signature));
        assert!(!is_valid(secret, &query[1..], signature));
        assert!(!is_valid("another", query, signature));
        assert!(!is_valid(secret, query, &signature[2..]));
        assert!(!is_valid(secret, query, "é"));
        let sorted = b"apiKey=vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT&timeInForce=GTC&timestamp=1645423376532&type=LIMIT";
        let signature = "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24";
        assert!(is_valid(secret, sorted, signature));
    }
}
