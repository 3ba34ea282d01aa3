//! One execution as venues write it: exact, or refused.

use reap_core::order::OrderSide;
use reap_core::units::{Decimal, Price, Qty};

use super::{TradingCounters, TradingInstrument};
use crate::decimal;
use crate::json::Token;

/// Most characters of a fee.
const FEE_TEXT_MAX: usize = 40;

/// A trade of one of our orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fill {
    pub(crate) trade_id: u64,
    pub(crate) price: Price,
    pub(crate) qty: Qty,
    pub(crate) fee: i128,
}

/// Where the parts of a fill stand.
#[derive(Clone, Copy)]
pub(crate) struct FillTokens {
    pub(crate) trade_id: u64,
    pub(crate) price: Token,
    pub(crate) qty: Token,
    /// Positive is paid.
    pub(crate) fee: Token,
    /// Absent or empty: the quote currency.
    pub(crate) fee_asset: Token,
    pub(crate) maker: bool,
}

impl FillTokens {
    /// The fill, or `None` (counted) when price or quantity is not exact at the instrument's
    /// scales: never rounded.
    ///
    /// A fee that is absent is nought. A fee in another asset than the quote currency (BNB)
    /// cannot be converted here: the configured rate stands in for it, which is counted.
    pub(crate) fn read(
        self,
        raw: &[u8],
        of: &TradingInstrument,
        counters: &mut TradingCounters,
    ) -> Option<Fill> {
        let spec = of.instrument.spec();
        let price = self.price.decimal(raw, spec.price_scale).ok().and_then(|p| Price::new(p).ok());
        let qty = self.qty.decimal(raw, spec.qty_scale).ok().and_then(|q| Qty::new(q).ok());
        let (Some(price), Some(qty)) = (price, qty.filter(|qty| *qty > Qty::ZERO)) else {
            counters.inexact += 1;
            return None;
        };
        let fee = self.exact_fee(raw, of).unwrap_or_else(|| {
            counters.fees_estimated += 1;
            let rate = if self.maker { spec.maker } else { spec.taker };
            of.instrument.fee_nano(price, qty, rate)
        });
        Some(Fill { trade_id: self.trade_id, price, qty, fee })
    }

    fn exact_fee(self, raw: &[u8], of: &TradingInstrument) -> Option<i128> {
        if !self.fee.is_present() {
            return Some(0);
        }
        let amount = signed(self.fee.string(raw)?)?;
        if amount.mantissa == 0 {
            return Some(0);
        }
        match self.fee_asset.string(raw) {
            None if self.fee_asset.is_present() => return None,
            Some(asset) if !asset.is_empty() && !is_quote(&of.symbol, asset) => return None,
            _ => {}
        }
        amount.amount_at(of.instrument.nano_scale())
    }
}

/// Whether `symbol` is quoted in `asset`: linear contracts are named base, quote and perhaps an
/// expiry (`BTCUSDT`, `BTCUSDT_260327`, `BTCUSDT-27MAR26`).
fn is_quote(symbol: &str, asset: &[u8]) -> bool {
    let pair = symbol.split(['_', '-']).next().unwrap_or_default().as_bytes();
    asset.len() >= 3 && pair.len() > asset.len() && pair.ends_with(asset)
}

/// A decimal with an optional sign, all of its digits kept.
fn signed(text: &[u8]) -> Option<Decimal> {
    if text.len() > FEE_TEXT_MAX {
        return None;
    }
    let (negative, magnitude) = match text {
        [b'-', magnitude @ ..] => (true, magnitude),
        _ => (false, text),
    };
    let (mut mantissa, mut scale, mut point, mut digits) = (0i128, 0u8, false, 0);
    for byte in magnitude {
        match byte {
            b'.' if !point && digits > 0 => point = true,
            b'0'..=b'9' => {
                mantissa = mantissa.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                scale += u8::from(point);
                digits += 1;
            }
            _ => return None,
        }
    }
    if digits == 0 || magnitude.ends_with(b".") {
        return None;
    }
    Some(Decimal { mantissa: if negative { -mantissa } else { mantissa }, scale })
}

/// A side, in the wording of any venue.
pub(crate) fn side(text: Option<&[u8]>) -> Option<OrderSide> {
    match text? {
        b"BUY" | b"Buy" => Some(OrderSide::Buy),
        b"SELL" | b"Sell" => Some(OrderSide::Sell),
        _ => None,
    }
}

/// A quantity that may be nought, exact at the instrument's scale.
pub(crate) fn quantity(raw: &[u8], token: Token, of: &TradingInstrument) -> Option<Qty> {
    let mantissa = decimal::parse(token.string(raw)?, of.instrument.spec().qty_scale).ok()?;
    Qty::new(mantissa).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees_keep_every_digit() {
        let dec = |mantissa, scale| Some(Decimal { mantissa, scale });
        assert_eq!(signed(b"0.0049"), dec(49, 4));
        assert_eq!(signed(b"-0.07819010"), dec(-7_819_010, 8));
        assert_eq!(signed(b"26"), dec(26, 0));
        for bad in ["", "-", ".5", "5.", "1e-5", "+1", "1.2.3", "--1", " 1"] {
            assert_eq!(signed(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(signed(&[b'9'; 41]), None);
    }

    #[test]
    fn quote_assets() {
        assert!(is_quote("BTCUSDT", b"USDT") && is_quote("BTCUSDT_260327", b"USDT"));
        assert!(is_quote("BTCUSDT-27MAR26", b"USDT"));
        assert!(!is_quote("BTCUSDT", b"BNB") && !is_quote("BTCUSDT", b"DT"));
        assert!(!is_quote("BTCUSDT", b"USDC") && !is_quote("USDT", b"USDT"));
    }
}
