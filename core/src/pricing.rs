//! Limit prices: collars around the best price, and the worst price at which a rule still holds.
//!
//! Safe side: a limit is rounded towards the better price, up for a sale and down for a purchase,
//! so that no fill is ever worse than the price that was computed.

use crate::instrument::{InstrumentId, InstrumentSpec};
use crate::limits::{LEGS_MAX, PPB, PRICE_MAX};
use crate::net::{Cmp, Compiled, NetForm};
use crate::position::Side;
use crate::tick::Quote;
use crate::units::{Nanos, Price, Qty, Rate, div_ceil, div_floor, mul_div_floor};

/// The newest quote of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Top {
    /// Best bid and ask.
    pub quote: Quote,
    /// When a message last confirmed it.
    pub received: Nanos,
}

/// The latest-quote table, as the executor reads it to price and to re-verify.
pub trait Quotes {
    /// The newest quote that may be believed; `None` when there is none.
    fn top(&self, instrument: InstrumentId) -> Option<Top>;
}

/// The price at which a leg of this side closes: the bid of a long one, the ask of a short one.
pub(crate) const fn exit_price(side: Side, quote: &Quote) -> Price {
    match side {
        Side::Long => quote.bid,
        Side::Short => quote.ask,
    }
}

/// The size that is quoted at [`exit_price`].
pub(crate) const fn exit_size(side: Side, quote: &Quote) -> Qty {
    match side {
        Side::Long => quote.bid_qty,
        Side::Short => quote.ask_qty,
    }
}

/// Whether a normal exit waits: spread / bid > limit.
pub(crate) fn is_wide(quote: &Quote, limit: Rate) -> bool {
    let spread = i128::from(quote.ask.raw() - quote.bid.raw());
    spread * i128::from(PPB) > i128::from(quote.bid.raw()) * i128::from(limit.raw())
}

/// The price on the tick grid on the safe side of `price`, or `None` when there is none within the
/// bounds of a price. A sale below the first tick is a sale at the first tick.
fn on_grid(side: Side, price: i128, tick: i64) -> Option<Price> {
    let grid = i128::from(tick);
    let rounded = match side {
        Side::Long => (div_ceil(price, grid) * grid).max(grid),
        Side::Short => {
            let highest = i128::from(PRICE_MAX) / grid * grid;
            (div_floor(price, grid) * grid).min(highest)
        }
    };
    Price::new(i64::try_from(rounded).ok()?).ok()
}

/// The limit of an order that may go `rate` of the price, and at least one tick, beyond the best
/// price.
pub(crate) fn collar(side: Side, quote: &Quote, rate: Rate, tick: i64) -> Price {
    let best = i128::from(exit_price(side, quote).raw());
    let (ppb, rate) = (i128::from(PPB), i128::from(rate.raw()));
    let beyond = match side {
        Side::Long => div_ceil(best * (ppb - rate), ppb).min(best - i128::from(tick)),
        Side::Short => div_floor(best * (ppb + rate), ppb).max(best + i128::from(tick)),
    };
    on_grid(side, beyond, tick).expect("a tick beyond a price the grid has a price")
}

/// What a leg brings to the pricing of an opportunistic clip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LegMarket {
    /// Its side.
    pub(crate) side: Side,
    /// Its exit price now.
    pub(crate) exit: i64,
    /// Ask less bid.
    pub(crate) spread: i64,
    /// Its price grid.
    pub(crate) tick: i64,
    /// Whether an order of it is to be priced; else it counts at its exit price.
    pub(crate) sends: bool,
}

impl LegMarket {
    pub(crate) fn new(side: Side, quote: &Quote, spec: &InstrumentSpec, sends: bool) -> Self {
        Self {
            side,
            exit: exit_price(side, quote).raw(),
            spread: quote.ask.raw() - quote.bid.raw(),
            tick: spec.tick,
            sends,
        }
    }

    /// `exit`, worse by `distance`.
    fn worse(&self, exit: i128, distance: i128) -> i128 {
        match self.side {
            Side::Long => exit - distance,
            Side::Short => exit + distance,
        }
    }
}

/// The worst prices at which a rule still holds, one for each leg that sends: at these limits
/// together the rule's own comparison is true. The caller has seen it hold at the exit prices.
/// `None` when the tick grid has no such prices.
pub(crate) fn rule_limits(
    compiled: &Compiled,
    legs: &[LegMarket],
) -> Option<[Option<Price>; LEGS_MAX]> {
    let mut limits = [None; LEGS_MAX];
    match compiled {
        Compiled::Price { cmp, limit } => {
            let leg = legs.first()?;
            // A profit rule bounds the price from the side that hurts. Anything else has no worst
            // price of its own, and what is quoted now must do.
            let bound = match (leg.side, cmp) {
                (Side::Long, Cmp::AtLeast) | (Side::Short, Cmp::AtMost) => *limit,
                _ => leg.exit,
            };
            limits[0] = Some(on_grid(leg.side, i128::from(bound), leg.tick)?);
        }
        Compiled::Net(form) if form.cmp == Cmp::AtLeast => return split(form, legs),
        Compiled::Net(_) | Compiled::Unconditional => {
            for (limit, leg) in limits.iter_mut().zip(legs).filter(|(_, leg)| leg.sends) {
                *limit = Some(on_grid(leg.side, i128::from(leg.exit), leg.tick)?);
            }
        }
    }
    Some(limits)
}

/// Splits a form's slack over the legs: one tick each when the slack affords it, the rest by their
/// current spreads in money. Each leg's concession is measured with its steepest slope, so their
/// sum, fees included, never exceeds the slack; what rounding leaves over buys further ticks.
fn split(form: &NetForm, legs: &[LegMarket]) -> Option<[Option<Price>; LEGS_MAX]> {
    let mut exits = [0; LEGS_MAX];
    for (exit, leg) in exits.iter_mut().zip(legs) {
        *exit = leg.exit;
    }
    let slack = form.value(&exits) - form.bound;
    assert!(slack >= 0, "the rule was verified at these prices");

    let shares = shares(form, legs, slack);
    let mut prices = exits;
    for (i, leg) in legs.iter().enumerate().filter(|(_, leg)| leg.sends) {
        let steepest = form.legs[i].steepest();
        let distance = if steepest == 0 { 0 } else { shares[i] / steepest };
        prices[i] = on_grid(leg.side, leg.worse(i128::from(leg.exit), distance), leg.tick)?.raw();
    }
    for (i, leg) in legs.iter().enumerate().filter(|(_, leg)| leg.sends) {
        let left = form.value(&prices) - form.bound;
        let step = form.legs[i].steepest() * i128::from(leg.tick);
        let ticks = if step == 0 { 0 } else { left.max(0) / step };
        let worse = leg.worse(i128::from(prices[i]), ticks * i128::from(leg.tick));
        prices[i] = on_grid(leg.side, worse, leg.tick)?.raw();
    }
    // Rounding to the grid only ever improves a limit.
    assert!(form.holds(&prices), "concessions exceed the slack");

    let mut limits = [None; LEGS_MAX];
    for (i, _) in legs.iter().enumerate().filter(|(_, leg)| leg.sends) {
        limits[i] = Some(Price::new(prices[i]).ok()?);
    }
    Some(limits)
}

/// How much of the slack each leg may concede.
fn shares(form: &NetForm, legs: &[LegMarket], slack: i128) -> [i128; LEGS_MAX] {
    let mut ticks = [0; LEGS_MAX];
    let mut spreads = [0; LEGS_MAX];
    for (i, leg) in legs.iter().enumerate().filter(|(_, leg)| leg.sends) {
        let steepest = form.legs[i].steepest();
        ticks[i] = steepest * i128::from(leg.tick);
        spreads[i] = steepest * i128::from(leg.spread);
    }
    let each: i128 = ticks.iter().sum();
    let (mut shares, rest) =
        if each <= slack { (ticks, slack - each) } else { ([0; LEGS_MAX], slack) };
    let keys = if spreads.iter().all(|&spread| spread == 0) { ticks } else { spreads };
    // Only the proportions count: they are cut down to what the division takes.
    let total: i128 = keys.iter().sum();
    let excess = (i128::BITS - total.leading_zeros()).saturating_sub(46);
    let keys = keys.map(|key| (key >> excess) as i64);
    let total: i64 = keys.iter().sum();
    if total > 0 {
        for (share, key) in shares.iter_mut().zip(keys) {
            *share += mul_div_floor(rest, key, total);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::println;

    use super::*;
    use crate::net::LegForm;

    fn quote(bid: i64, ask: i64) -> Quote {
        Quote::new(bid, ask, 1, 1).unwrap()
    }

    #[test]
    fn collars_go_beyond_the_best_price_by_the_rate_or_a_tick() {
        let bps = Rate::from_bps;
        let cases = [
            // side, bid, ask, collar, tick, limit
            (Side::Long, 100_000, 100_010, bps(10), 10, 99_900),
            (Side::Short, 100_000, 100_010, bps(10), 10, 100_110),
            // Off the grid: on the safe side.
            (Side::Long, 100_010, 100_020, bps(10), 50, 99_950),
            (Side::Short, 100_010, 100_020, bps(10), 50, 100_100),
            // Less than a tick: a tick.
            (Side::Long, 50, 51, bps(10), 1, 49),
            (Side::Short, 50, 51, bps(10), 1, 52),
            (Side::Long, 1_000, 1_001, Rate::ZERO, 1, 999),
            // At the end of the grid.
            (Side::Long, 1, 2, bps(10), 1, 1),
            (Side::Short, PRICE_MAX - 1, PRICE_MAX, bps(10), 1, PRICE_MAX),
            (Side::Short, PRICE_MAX - 1, PRICE_MAX, bps(10), 10, PRICE_MAX / 10 * 10),
        ];
        for (side, bid, ask, rate, tick, limit) in cases {
            let got = collar(side, &quote(bid, ask), rate, tick).raw();
            assert_eq!(got, limit, "{side:?} {bid} {ask} {rate:?} {tick}");
        }
    }

    #[test]
    fn a_spread_is_wide_above_the_limit_only() {
        let limit = Rate::from_bps(20);
        assert!(!is_wide(&quote(100_000, 100_200), limit));
        assert!(is_wide(&quote(100_000, 100_201), limit));
    }

    #[test]
    fn one_leg_sells_at_the_compiled_limit_rounded_up_and_buys_rounded_down() {
        let leg = |side, exit, tick| LegMarket { side, exit, spread: 1, tick, sends: true };
        let cases = [
            (Side::Long, Cmp::AtLeast, 101, 10, Some(110)),
            (Side::Long, Cmp::AtLeast, 110, 10, Some(110)),
            (Side::Short, Cmp::AtMost, 109, 10, Some(100)),
            (Side::Short, Cmp::AtMost, 9, 10, None),
            (Side::Long, Cmp::AtLeast, PRICE_MAX, 10, None),
            // A stop worked without urgency has no worst price: what is quoted must do.
            (Side::Long, Cmp::AtMost, 500, 10, Some(120)),
        ];
        for (side, cmp, limit, tick, expected) in cases {
            let compiled = Compiled::Price { cmp, limit };
            let got = rule_limits(&compiled, &[leg(side, 120, tick)]);
            assert_eq!(got.and_then(|limits| limits[0]).map(Price::raw), expected, "{limit}");
        }
    }

    /// SPEC §12: entries 100 000 / 100 000, quantity 1, bid 100 500, ask 100 000, two 5 bp exits,
    /// paid 50, threshold 0.2 % of 100 000: net 349.75, slack 149.75. Prices have one decimal.
    #[test]
    fn golden_slack_of_149_75_is_what_two_limits_concede_at_most() {
        let rate = Rate::from_bps(5);
        let mut form =
            NetForm { legs: [LegForm::NONE; LEGS_MAX], count: 2, cmp: Cmp::AtLeast, bound: 0 };
        form.legs[0] = LegForm::new(Side::Long, 1, rate, Rate::ZERO, 0);
        form.legs[1] = LegForm::new(Side::Short, 1, rate, Rate::ZERO, 0);
        // Σ value − Σ entry − paid ≥ 200, in nano units at one decimal; the entries cancel.
        form.bound = (50 + 200) * 10 * i128::from(PPB);
        let leg = |side, exit, spread| LegMarket { side, exit, spread, tick: 1, sends: true };
        let legs = [leg(Side::Long, 1_005_000, 1), leg(Side::Short, 1_000_000, 4)];
        let exits = [1_005_000, 1_000_000, 0, 0];
        assert_eq!(form.value(&exits) - form.bound, 14_975 * i128::from(PPB) / 10);

        let limits = rule_limits(&Compiled::Net(form), &legs).unwrap();
        let [sell, buy] = [limits[0].unwrap().raw(), limits[1].unwrap().raw()];
        // 149.75 over spreads of one to four: about 30 and 120, fees of the worse prices included.
        assert_eq!((sell, buy), (1_004_700, 1_001_197));
        assert!(form.holds(&[sell, buy, 0, 0]));
        assert!(!form.holds(&[sell - 1, buy, 0, 0]));
        assert!(!form.holds(&[sell, buy + 1, 0, 0]));
    }

    #[test]
    fn concessions_never_exceed_the_slack() {
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(81_264);
        println!("SEED={seed}");
        let mut state: u64 = seed;
        let mut random = |below: u64| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut x = state;
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (x ^ (x >> 31)) % below
        };
        let (mut used, mut one_tick_each) = (0, 0);
        for round in 0..100_000 {
            let count = 1 + random(4) as usize;
            let mut form = NetForm {
                legs: [LegForm::NONE; LEGS_MAX],
                count: count as u8,
                cmp: Cmp::AtLeast,
                bound: 0,
            };
            let mut legs = arrayvec::ArrayVec::<LegMarket, LEGS_MAX>::new();
            let mut exits = [0; LEGS_MAX];
            for (form, exit) in form.legs.iter_mut().zip(&mut exits).take(count) {
                let side = if random(2) == 0 { Side::Long } else { Side::Short };
                let bits = random(45);
                let weight = 1 + random(1 << bits) as i64;
                let rate = Rate::new(random(4_000_000) as i64 - 1_000_000).unwrap();
                let min_fee = if random(3) == 0 { random(1 << 50) as i128 } else { 0 };
                *form = LegForm::new(side, weight, rate, Rate::ZERO, min_fee);
                let tick = 10i64.pow(random(4) as u32);
                let bits = random(30);
                *exit = tick * (1_000 + random(1 << bits) as i64);
                let spread = tick * random(20) as i64;
                let sends = random(8) > 0;
                legs.push(LegMarket { side, exit: *exit, spread, tick, sends });
            }
            let ticks: i128 = legs
                .iter()
                .enumerate()
                .filter(|(_, leg)| leg.sends)
                .map(|(i, leg)| form.legs[i].steepest() * i128::from(leg.tick))
                .sum();
            let slack = ticks / 4 * i128::from(random(64)) + i128::from(random(1 << 40));
            form.bound = form.value(&exits) - slack;

            let limits = rule_limits(&Compiled::Net(form), &legs).expect("prices are on the grid");
            let mut conceded = 0;
            let mut prices = exits;
            for (i, leg) in legs.iter().enumerate() {
                assert_eq!(limits[i].is_some(), leg.sends, "round {round}");
                let Some(limit) = limits[i] else { continue };
                assert_eq!(limit.raw() % leg.tick, 0, "round {round}");
                prices[i] = limit.raw();
                let concession = form.legs[i].value(exits[i]) - form.legs[i].value(limit.raw());
                assert!(concession >= 0, "round {round} leg {i}");
                let at_end = limit.raw() == leg.tick;
                if slack >= ticks {
                    one_tick_each += 1;
                    assert!(limit.raw() != exits[i] || at_end, "round {round} leg {i}");
                }
                conceded += concession;
            }
            assert!(conceded <= slack, "round {round}: {conceded} > {slack}");
            assert!(form.holds(&prices), "round {round}");
            used += usize::from(conceded > 0);
        }
        assert!(used > 50_000 && one_tick_each > 50_000);
    }
}
