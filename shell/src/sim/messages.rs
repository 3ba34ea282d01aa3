//! Venue messages as text, written from the venues' sheets: Binance USD-M combined streams and Bybit
//! v5 public topics.

use std::fmt::{self, Write};

/// A mantissa and its decimals, printed in full as venues do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) mantissa: i64,
    pub(super) scale: u8,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let factor = 10i64.pow(u32::from(self.scale));
        let width = usize::from(self.scale);
        if width == 0 {
            return write!(f, "{}", self.mantissa);
        }
        let (whole, rest) = (self.mantissa / factor, self.mantissa % factor);
        write!(f, "{whole}.{rest:0width$}")
    }
}

/// Best prices with their sizes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    pub(super) bid: Number,
    pub(super) ask: Number,
    pub(super) bid_qty: Number,
    pub(super) ask_qty: Number,
}

/// A trade.
#[derive(Clone, Copy, Debug)]
pub(super) struct Print {
    pub(super) id: u64,
    pub(super) price: Number,
    pub(super) qty: Number,
    pub(super) buyer_aggressor: bool,
}

/// Writes one message into `out`, which is emptied first. Times are venue times in milliseconds.
pub(super) struct Message<'o>(pub(super) &'o mut String);

impl Message<'_> {
    fn put(self, text: fmt::Arguments<'_>) {
        self.0.clear();
        self.0.write_fmt(text).expect("a String takes every text");
    }

    /// Binance: the acknowledgement of a subscription.
    pub(super) fn binance_ack(self) {
        self.put(format_args!(r#"{{"result":null,"id":1}}"#));
    }

    /// Binance USD-M `bookTicker`.
    pub(super) fn binance_best(self, symbol: &str, best: &Best, update: u64, time: u64) {
        let lower = symbol.to_ascii_lowercase();
        let Best { bid, ask, bid_qty, ask_qty } = best;
        self.put(format_args!(
            r#"{{"stream":"{lower}@bookTicker","data":{{"e":"bookTicker","u":{update},"s":"{symbol}","b":"{bid}","B":"{bid_qty}","a":"{ask}","A":"{ask_qty}","T":{time},"E":{time}}}}}"#
        ));
    }

    /// Binance USD-M `aggTrade`: `m` is true when the buyer was the maker.
    pub(super) fn binance_trade(self, symbol: &str, print: &Print, time: u64) {
        let lower = symbol.to_ascii_lowercase();
        let Print { id, price, qty, buyer_aggressor } = print;
        let maker = !buyer_aggressor;
        self.put(format_args!(
            r#"{{"stream":"{lower}@aggTrade","data":{{"e":"aggTrade","E":{time},"s":"{symbol}","a":{id},"p":"{price}","q":"{qty}","nq":"{qty}","f":{id},"l":{id},"T":{time},"m":{maker}}}}}"#
        ));
    }

    /// Binance USD-M `markPrice@1s`, with the predicted funding rate and its next settlement.
    pub(super) fn binance_mark(
        self,
        symbol: &str,
        mark: Number,
        rate: Number,
        settles: u64,
        time: u64,
    ) {
        let lower = symbol.to_ascii_lowercase();
        self.put(format_args!(
            r#"{{"stream":"{lower}@markPrice@1s","data":{{"e":"markPriceUpdate","E":{time},"s":"{symbol}","p":"{mark}","P":"{mark}","i":"{mark}","r":"{rate}","T":{settles}}}}}"#
        ));
    }

    /// Bybit: the acknowledgement of a subscription (`subscribe`), or of a ping (`ping`).
    pub(super) fn bybit_ack(self, op: &str) {
        let message = if op == "ping" { "pong" } else { "" };
        self.put(format_args!(
            r#"{{"success":true,"ret_msg":"{message}","conn_id":"5f3c1b1e-7d52-4f0a-9d0e-2f6f6f0b7c11","req_id":"","op":"{op}"}}"#
        ));
    }

    /// Bybit `orderbook.1`.
    pub(super) fn bybit_best(self, symbol: &str, best: &Best, update: u64, time: u64) {
        let Best { bid, ask, bid_qty, ask_qty } = best;
        let seq = update * 7;
        self.put(format_args!(
            r#"{{"topic":"orderbook.1.{symbol}","ts":{time},"type":"snapshot","data":{{"s":"{symbol}","b":[["{bid}","{bid_qty}"]],"a":[["{ask}","{ask_qty}"]],"u":{update},"seq":{seq}}},"cts":{time}}}"#
        ));
    }

    /// Bybit `publicTrade`.
    pub(super) fn bybit_trade(self, symbol: &str, print: &Print, time: u64) {
        let Print { id, price, qty, buyer_aggressor } = print;
        let side = if *buyer_aggressor { "Buy" } else { "Sell" };
        let seq = id * 7;
        self.put(format_args!(
            r#"{{"topic":"publicTrade.{symbol}","type":"snapshot","ts":{time},"data":[{{"T":{time},"s":"{symbol}","S":"{side}","v":"{qty}","p":"{price}","L":"ZeroPlusTick","i":"00000000-0000-5000-8000-{id:012x}","BT":false,"RPI":false,"seq":{seq}}}]}}"#
        ));
    }
}
