//! Candles of one UTC minute by the venue's trade time, with what buyers and sellers were the
//! aggressors of.
//!
//! A candle closes with the first trade of a later minute, or when our clock is [`LATE`] past its
//! end, whichever comes first; trades that come for it after that are left out, as are those whose
//! minute is not due yet by our clock.

use crate::position::Side;
use crate::units::{Nanos, Qty};

const MINUTE: u64 = 60_000_000_000;
/// How long after its end a candle still waits for its trades.
const LATE: Nanos = Nanos::from_secs(2);
/// Closed candles that are kept: the last, and the four before it.
const KEPT: usize = 5;

/// What was traded in a minute, in the instrument's quantity units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Candle {
    buy: u128,
    sell: u128,
}

impl Candle {
    /// Volume against a side, and for it.
    const fn of(&self, side: Side) -> (u128, u128) {
        match side {
            Side::Long => (self.sell, self.buy),
            Side::Short => (self.buy, self.sell),
        }
    }
}

/// One instrument's candles.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Candles {
    /// The minute that is not closed yet.
    minute: u64,
    open: Candle,
    /// Closed ones, the last first.
    closed: [Candle; KEPT],
}

impl Candles {
    /// Takes a trade in; whether a candle closed before it.
    pub(crate) fn on_trade(&mut self, now: Nanos, at: Nanos, qty: Qty, bought: bool) -> bool {
        let minute = at.0 / MINUTE;
        if minute > now.0 / MINUTE + 1 {
            return false;
        }
        let closed = self.close_before(minute.max(self.due(now)));
        if minute == self.minute {
            let side = if bought { &mut self.open.buy } else { &mut self.open.sell };
            *side += qty.raw().unsigned_abs() as u128;
        }
        closed
    }

    /// Closes what is over by our clock.
    pub(crate) fn on_time(&mut self, now: Nanos) -> bool {
        self.close_before(self.due(now))
    }

    /// The first minute that our clock alone does not close.
    fn due(&self, now: Nanos) -> u64 {
        (now.minus(LATE).0 / MINUTE).max(self.minute)
    }

    /// When our clock closes the next one.
    pub(crate) fn next_close(&self, now: Nanos) -> Nanos {
        Nanos((self.due(now) + 1).saturating_mul(MINUTE)).plus(LATE)
    }

    fn close_before(&mut self, minute: u64) -> bool {
        if minute <= self.minute {
            return false;
        }
        for _ in 0..(minute - self.minute).min(KEPT as u64 + 1) {
            self.closed.copy_within(..KEPT - 1, 1);
            self.closed[0] = core::mem::take(&mut self.open);
        }
        self.minute = minute;
        true
    }

    /// First sign against a side: more against it than for it on three closed candles in a row.
    pub(crate) fn reversed(&self, side: Side) -> bool {
        self.closed[..3].iter().all(|candle| {
            let (against, with) = candle.of(side);
            against > with
        })
    }

    /// Second sign: the last closed candle is at least 2.5 : 1 against the side and one of the four
    /// before it was at least 2.5 : 1 for it, each of at least `least` in all.
    pub(crate) fn flipped(&self, side: Side, least: u128) -> bool {
        let leans =
            |more: u128, less: u128| more > 0 && 2 * more >= 5 * less && more + less >= least;
        let (against, with) = self.closed[0].of(side);
        leans(against, with)
            && self.closed[1..].iter().any(|candle| {
                let (against, with) = candle.of(side);
                leans(with, against)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(minute: u64, second: u64) -> Nanos {
        Nanos::from_secs(minute * 60 + second)
    }

    fn lots(count: i64) -> Qty {
        Qty::new(count).expect("a quantity")
    }

    #[test]
    fn a_candle_closes_with_a_later_trade_or_two_seconds_after_its_end() {
        let mut candles = Candles::default();
        candles.on_trade(at(100, 5), at(100, 5), lots(3), false);
        assert!(!candles.on_time(Nanos(at(101, 2).0 - 1)));
        // Trades of the minute still count until then; the venue's time says which minute it is.
        assert!(!candles.on_trade(at(101, 1), at(100, 59), lots(1), false));
        assert!(candles.on_time(at(101, 2)));
        assert_eq!(candles.closed[0], Candle { buy: 0, sell: 4 });
        assert!(!candles.on_trade(at(101, 3), at(100, 59), lots(9), false), "it came too late");
        candles.on_trade(at(101, 4), at(101, 4), lots(2), true);
        assert!(candles.on_trade(at(101, 59), at(102, 0), lots(5), true), "a fast venue");
        assert_eq!(candles.closed[..2], [Candle { buy: 2, sell: 0 }, Candle { buy: 0, sell: 4 }]);
        assert!(!candles.on_trade(at(102, 0), at(104, 0), lots(5), true), "not due by any clock");
        assert_eq!(candles.next_close(at(102, 0)), at(103, 2));
    }

    #[test]
    fn an_empty_minute_is_a_candle() {
        let mut candles = Candles::default();
        for minute in [100, 101, 103] {
            candles.on_trade(at(minute, 1), at(minute, 1), lots(1), false);
        }
        candles.on_time(at(104, 2));
        assert!(!candles.reversed(Side::Long));
        for minute in [104, 105] {
            candles.on_trade(at(minute, 1), at(minute, 1), lots(1), false);
        }
        candles.on_time(at(106, 2));
        assert!(candles.reversed(Side::Long) && !candles.reversed(Side::Short));
        candles.on_time(at(200, 2));
        assert_eq!(candles.closed, [Candle::default(); KEPT]);
    }

    #[test]
    fn a_flip_needs_two_and_a_half_to_one_both_ways() {
        let said = |volumes: &[(i64, i64)]| {
            let mut candles = Candles::default();
            for (nth, &(buy, sell)) in volumes.iter().enumerate() {
                let time = at(100 + nth as u64, 1);
                candles.on_trade(time, time, lots(buy), true);
                candles.on_trade(time, time, lots(sell), false);
            }
            candles.on_time(at(100 + volumes.len() as u64, 2));
            candles
        };
        assert!(said(&[(5, 2), (2, 5)]).flipped(Side::Long, 7));
        assert!(!said(&[(5, 2), (2, 5)]).flipped(Side::Long, 8));
        assert!(!said(&[(5, 2), (3, 7)]).flipped(Side::Long, 7));
        assert!(said(&[(7, 0), (0, 7)]).flipped(Side::Long, 7));
        assert!(said(&[(0, 7), (7, 0)]).flipped(Side::Short, 7));
        assert!(said(&[(5, 2), (1, 1), (1, 1), (1, 1), (2, 5)]).flipped(Side::Long, 1));
        assert!(!said(&[(5, 2), (1, 1), (1, 1), (1, 1), (1, 1), (2, 5)]).flipped(Side::Long, 1));
    }
}
