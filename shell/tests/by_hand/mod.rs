//! Two recordings computed by hand from their raw lines, on decimal strings, with nothing of the
//! engine, the codecs or the configuration's reader.
//!
//! Every decimal is an `i128` in billionths; a product of two is in 10⁻¹⁸, of three in 10⁻²⁷.
#![allow(dead_code, reason = "each test file uses its part")]

use serde_json::Value;
use toml::Value as Toml;

pub(crate) const ONE: i128 = 1_000_000_000;
const LIVENESS: u64 = 3_000_000_000;
/// Where a venue pushes changes only.
const QUOTE_AGE: u64 = 60_000_000_000;

/// Billionths of a decimal string.
pub(crate) fn decimal(text: &str) -> i128 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    assert!(rest.len() <= 9, "{text}");
    let whole: i128 = whole.parse().unwrap();
    let rest: i128 = format!("{rest:0<9}").parse().unwrap();
    sign * (whole * ONE + rest)
}

/// At most `decimals` of a number in 10⁻²⁷, rounded down, as the report writes it.
pub(crate) fn money(number: i128, decimals: u32) -> String {
    let cut = number.div_euclid(10i128.pow(27 - decimals));
    let unit = 10i128.pow(decimals);
    let sign = if cut < 0 { "-" } else { "" };
    let (whole, rest) = (cut.abs() / unit, cut.abs() % unit);
    format!("{sign}{whole}.{rest:0width$}", width = decimals as usize)
}

#[derive(Clone, Copy)]
pub(crate) struct Best {
    pub(crate) bid: i128,
    pub(crate) ask: i128,
    confirmed: u64,
    /// When bid or ask last changed.
    pub(crate) changed: u64,
}

/// Everything that the two feeds have said until now.
#[derive(Default)]
pub(crate) struct Feeds {
    pub(crate) best: [Option<Best>; 2],
    update: [u64; 2],
    pub(crate) last_frame: [Option<u64>; 2],
}

impl Feeds {
    /// Takes a line in; whether it changed a price.
    pub(crate) fn on_line(&mut self, at: u64, market: usize, message: &str) -> bool {
        self.last_frame[market] = Some(at);
        if !message.contains("@bookTicker") {
            return false;
        }
        let message: Value = serde_json::from_str(message).unwrap();
        let quote = &message["data"];
        let number = |key: &str| decimal(quote[key].as_str().unwrap());
        let (bid, ask) = (number("b"), number("a"));
        let update = quote["u"].as_u64().unwrap();
        assert!(update > self.update[market] && bid > 0 && bid <= ask, "a good recording");
        self.update[market] = update;
        let old = self.best[market];
        let is_new = old.is_none_or(|old| (old.bid, old.ask) != (bid, ask));
        let changed = if is_new { at } else { old.unwrap().changed };
        if let Some(old) = old {
            assert!((bid - old.bid).abs() * 10 <= old.bid, "no jump in this recording");
        }
        self.best[market] = Some(Best { bid, ask, confirmed: at, changed });
        true
    }

    /// A leg's best prices while they are fresh.
    pub(crate) fn fresh(&self, market: usize, now: u64) -> Option<Best> {
        let best = self.best[market]?;
        let is_live = now - self.last_frame[market]? <= LIVENESS;
        (is_live && now - best.confirmed <= QUOTE_AGE).then_some(best)
    }
}

pub(crate) fn rate(text: &str) -> i128 {
    decimal(text.strip_suffix("bps").unwrap()) / 10_000
}

pub(crate) fn amount(text: &str) -> i128 {
    decimal(text.strip_suffix(" USDT").unwrap())
}

pub(crate) fn text<'t>(table: &'t Toml, key: &str) -> Option<&'t str> {
    table.get(key).map(|value| value.as_str().unwrap())
}

/// Receive time, file and message of both files, in the order of the replay. `unit` is that of the
/// recorder's clock in nanoseconds.
pub(crate) fn lines(files: &[String], unit: u64) -> Vec<(u64, usize, &str)> {
    let mut all: Vec<(u64, usize, &str)> = Vec::new();
    for (market, file) in files.iter().enumerate() {
        for line in file.lines() {
            let (at, message) = line.split_once(' ').unwrap();
            let at: u64 = at.parse().unwrap();
            all.push((at * unit, market, message));
        }
    }
    all.sort_by_key(|(at, market, _)| (*at, *market));
    all
}
