//! The exits of recordings, computed a second time from the raw lines: the formulas of profit and
//! loss, of stops, trailing stops, take profit and basis.
//!
//! Every decimal is an `i128` in billionths; a product of two is in 10⁻¹⁸, of three in 10⁻²⁷.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod by_hand;
mod common;

use std::path::{Path, PathBuf};

use serde_json::Value;
use toml::{Table, Value as Toml};

use by_hand::{Best, Feeds, ONE, amount, decimal, lines, money, rate, text};
use common::{RECORDINGS_2023, data, recorded, replay_json};

const SKEW: u64 = 250_000_000;
/// Half of the latency that the configuration gives its venues.
const THERE: u64 = 500_000;

/// Instruments and sources at once: the first recording is spot, the second USD-M.
const MARKETS: [&str; 2] = ["spot", "usdm"];
const TICKS: [i128; 2] = [ONE / 100, ONE / 10];

struct Leg {
    market: usize,
    /// 1 is long.
    side: i128,
    entry: i128,
    qty: i128,
    paid: i128,
    funding: i128,
    taker: i128,
}

impl Leg {
    /// What an exit pays or gets.
    fn exit(&self, best: Best) -> i128 {
        if self.side == 1 { best.bid } else { best.ask }
    }

    /// side·(exit − entry)·quantity + funding − paid fees − exit·quantity·taker, in 10⁻²⁷.
    fn net(&self, exit: i128) -> i128 {
        self.side * (exit - self.entry) * self.qty * ONE + (self.funding - self.paid) * ONE * ONE
            - exit * self.qty * self.taker
    }
}

#[derive(Clone, Copy, Debug)]
enum Rule {
    TakeProfit(i128),
    Basis(i128),
    StopLoss(i128),
    TrailRate(i128),
    TrailPrice(i128),
}

struct Position {
    name: String,
    legs: Vec<Leg>,
    rule: Rule,
    /// High-water mark of the exit price; for a short leg the low.
    mark: i128,
    /// When the rule first held, and the exit prices then.
    held: Option<(u64, Vec<i128>)>,
}

impl Position {
    fn net(&self, exits: &[i128]) -> i128 {
        self.legs.iter().zip(exits).map(|(leg, exit)| leg.net(*exit)).sum()
    }

    /// Entry notional of the larger leg, in 10⁻¹⁸.
    fn base(&self) -> i128 {
        self.legs.iter().map(|leg| leg.entry * leg.qty).max().unwrap()
    }

    /// Whether the rule holds at these prices; a trailing mark includes them.
    fn holds(&self, exits: &[i128]) -> bool {
        let (leg, x) = (&self.legs[0], exits[0]);
        match self.rule {
            Rule::TakeProfit(rate) | Rule::Basis(rate) => self.net(exits) >= rate * self.base(),
            Rule::StopLoss(rate) if self.legs.len() > 1 => self.net(exits) <= -rate * self.base(),
            Rule::StopLoss(rate) => leg.side * x * ONE <= leg.entry * (leg.side * ONE - rate),
            Rule::TrailRate(rate) => leg.side * x * ONE <= self.mark * (leg.side * ONE - rate),
            Rule::TrailPrice(distance) => leg.side * x <= leg.side * self.mark - distance,
        }
    }

    fn is_profit_rule(&self) -> bool {
        matches!(self.rule, Rule::TakeProfit(_) | Rule::Basis(_))
    }
}

fn positions(config: &Path) -> Vec<Position> {
    let config: Table = common::read(config).parse().unwrap();
    let taker = |venue: &str| {
        let percent = config["venue"][venue]["taker"].as_str().unwrap();
        decimal(percent.strip_suffix('%').unwrap()) / 100
    };
    let position = |position: &Toml| {
        let leg = |leg: &Toml| {
            let market = text(leg, "instrument").unwrap();
            Leg {
                market: MARKETS.iter().position(|name| *name == market).unwrap(),
                side: if text(leg, "side") == Some("long") { 1 } else { -1 },
                entry: decimal(text(leg, "entry").unwrap()),
                qty: decimal(text(leg, "qty").unwrap()),
                paid: amount(text(leg, "fees_paid").unwrap()),
                funding: text(leg, "funding").map_or(0, amount),
                taker: taker(market),
            }
        };
        let legs: Vec<Leg> = position["legs"].as_array().unwrap().iter().map(leg).collect();
        let policy = &config["policy"][text(position, "policy").unwrap()];
        let (rule, threshold) = policy.as_table().unwrap().iter().next().unwrap();
        let threshold = threshold.as_str().unwrap();
        let rule = match rule.as_str() {
            "take_profit" => Rule::TakeProfit(rate(threshold)),
            "basis" => Rule::Basis(rate(threshold)),
            "stop_loss" => Rule::StopLoss(rate(threshold)),
            "trailing_stop" if threshold.ends_with("USDT") => Rule::TrailPrice(amount(threshold)),
            "trailing_stop" => Rule::TrailRate(rate(threshold)),
            other => panic!("{other} is not computed here"),
        };
        let name = text(position, "name").unwrap().to_owned();
        Position { name, mark: legs[0].entry, legs, rule, held: None }
    };
    config["position"].as_array().unwrap().iter().map(position).collect()
}

/// What the rules say when each line is seen at its time; and what was quoted when.
fn judge(lines: &[(u64, usize, &str)], positions: &mut [Position]) -> [Vec<(u64, Best)>; 2] {
    let mut feeds = Feeds::default();
    let mut quoted = [Vec::new(), Vec::new()];
    for &(now, market, message) in lines {
        let is_quote = feeds.on_line(now, market, message);
        if is_quote {
            quoted[market].push((now, feeds.best[market].unwrap()));
        }
        for position in positions.iter_mut().filter(|position| position.held.is_none()) {
            let best: Option<Vec<Best>> =
                position.legs.iter().map(|leg| feeds.fresh(leg.market, now)).collect();
            let Some(best) = best else { continue };
            let exits: Vec<i128> =
                position.legs.iter().zip(&best).map(|(leg, best)| leg.exit(*best)).collect();
            let leg = &position.legs[0];
            if is_quote && leg.market == market && leg.side * exits[0] > leg.side * position.mark {
                position.mark = exits[0];
            }
            let latest = best.iter().map(|best| best.changed).max().unwrap();
            let in_step = position.legs.iter().all(|leg| {
                feeds.last_frame[leg.market].is_some_and(|frame| frame >= latest - SKEW)
            });
            let may = position.legs.len() == 1 || !position.is_profit_rule() || in_step;
            if may && position.holds(&exits) {
                position.held = Some((now, exits));
            }
        }
    }
    quoted
}

/// What a trigger says is true of it: the last price that fulfils the rule, or the distance of the
/// net from its bound.
fn check_trigger(position: &Position, trigger: &str) {
    let (_, exits) = position.held.as_ref().unwrap();
    let Some((_, limit)) = trigger.split_once(['≥', '≤']) else {
        let beyond = match position.rule {
            Rule::StopLoss(rate) => -rate * position.base() - position.net(exits),
            Rule::TakeProfit(rate) | Rule::Basis(rate) => {
                position.net(exits) - rate * position.base()
            }
            _ => panic!("{trigger}"),
        };
        let side = if position.is_profit_rule() { "above target" } else { "below stop" };
        assert_eq!(trigger, format!("net {} USDT {side}", money(beyond, 4)), "{}", position.name);
        return;
    };
    let limit = decimal(limit.trim());
    let leg = &position.legs[0];
    // A tick nearer to the good side of a stop, or to the bad side of a profit, is too little.
    let away = if position.is_profit_rule() { -leg.side } else { leg.side };
    assert!(position.holds(&[limit]), "{} at {trigger}", position.name);
    assert!(
        !position.holds(&[limit + away * TICKS[leg.market]]),
        "{} before {trigger}",
        position.name
    );
}

fn check_exit(position: &Position, exit: &Value, quoted: &[Vec<(u64, Best)>; 2]) {
    let name = &position.name;
    let (at, exits) = position.held.as_ref().unwrap_or_else(|| panic!("{name} never fires"));
    assert_eq!(exit["at_ns"].as_u64(), Some(*at), "{name}: {exit}");
    let reason = match position.rule {
        Rule::TakeProfit(_) => "take_profit",
        Rule::Basis(_) => "basis",
        Rule::StopLoss(_) => "stop_loss",
        Rule::TrailRate(_) | Rule::TrailPrice(_) => "trailing_stop",
    };
    assert_eq!(exit["reason"], reason, "{name}");
    assert_eq!(exit["outcome"], "closed", "{name}");
    check_trigger(position, exit["trigger"].as_str().unwrap());
    let prices = exit["prices"].as_array().unwrap();
    let fills: Vec<i128> = prices.iter().map(|price| decimal(price.as_str().unwrap())).collect();
    let untroubled = exit["orders"] == exit["fills"];
    if position.is_profit_rule() && (position.legs.len() == 1 || untroubled) {
        // Whatever the market did meanwhile: what was filled is within the rule. Only when one leg
        // of a pair is missed, the rest follows at the price that there is.
        assert!(position.holds(&fills), "{name}: {prices:?} for {exits:?}");
    }
    if exit["fills"].as_u64() == Some(position.legs.len() as u64) {
        // One fill for each leg: at the price that was quoted when its order arrived.
        assert_eq!(exit["net"], money(position.net(&fills), 8), "{name}");
        if untroubled {
            for (leg, fill) in position.legs.iter().zip(&fills) {
                let quotes = &quoted[leg.market];
                let next = quotes.partition_point(|(time, _)| *time <= at + THERE);
                assert_eq!(*fill, leg.exit(quotes[next - 1].1), "{name}");
            }
        }
    }
}

/// Computes the exits of a configuration on two recordings, and compares with those of the replay:
/// so many, of which so many are one fill for each leg.
fn compare(config: &Path, files: &[PathBuf], unit: u64, counts: [usize; 2]) {
    let unpacked: Vec<String> = files.iter().map(|file| common::unpacked(file)).collect();
    let lines = lines(&unpacked, unit);
    let mut positions = positions(config);
    let quoted = judge(&lines, &mut positions);
    let json = replay_json(config, files);
    let count = quoted.iter().map(Vec::len).sum::<usize>() as u64;
    assert_eq!(json["quotes"].as_u64(), Some(count));
    let exits = json["exits"].as_array().unwrap();
    let fired: Vec<&Position> = positions.iter().filter(|one| one.held.is_some()).collect();
    assert_eq!(exits.len(), fired.len(), "each that fires has one exit: {exits:?}");
    let mut single = 0;
    for position in &fired {
        let exit = exits.iter().find(|exit| exit["position"] == *position.name).unwrap();
        check_exit(position, exit, &quoted);
        single += usize::from(exit["fills"].as_u64() == Some(position.legs.len() as u64));
    }
    assert_eq!([fired.len(), single], counts, "exits, and those of one fill for each leg");
    // Each comes after the one before, as the recording does.
    let times: Vec<u64> = exits.iter().map(|exit| exit["at_ns"].as_u64().unwrap()).collect();
    assert!(times.is_sorted());
}

#[test]
fn exits_are_those_of_the_formulas() {
    let Some(files) = recorded(&[
        "recordings/binance_spot_btcusdt_20240808.gz",
        "recordings/binance_usdm_btcusdt_20240808.gz",
    ]) else {
        return;
    };
    compare(&data("data/arithmetic.toml"), &files, 1, [9, 7]);
}

#[test]
fn basis_exits_of_2023_are_those_of_the_formulas() {
    let Some(files) = recorded(&RECORDINGS_2023) else { return };
    compare(&data("data/arithmetic-basis.toml"), &files, 1_000, [4, 4]);
}

#[test]
fn basis_exits_of_ether_are_those_of_the_formulas() {
    let Some(files) = recorded(&[
        "recordings/binance_spot_ethusdt_20240808.gz",
        "recordings/binance_usdm_ethusdt_20240808.gz",
    ]) else {
        return;
    };
    compare(&data("data/arithmetic-ether.toml"), &files, 1, [3, 3]);
}

#[test]
fn the_arithmetic_of_this_test_is_that_of_the_specification() {
    assert_eq!(decimal("61837.63000000"), 61_837_630_000_000);
    assert_eq!(decimal("-0.0123"), -12_300_000);
    assert_eq!(money(-1, 8), "-0.00000001");
    assert_eq!(money(349_750_000_000 * ONE * ONE, 2), "349.75");
    // 100 000 / 100 000, quantity 1, bid 100 500, ask 100 000, two 5 bp exits, paid 50: 349.75.
    let leg = |side, entry: &str, paid: &str| Leg {
        market: 0,
        side,
        entry: decimal(entry),
        qty: ONE,
        paid: decimal(paid),
        funding: 0,
        taker: 500_000,
    };
    let pair = |rate: &str| Position {
        name: "pair".into(),
        legs: vec![leg(1, "100000", "50"), leg(-1, "100000", "0")],
        rule: Rule::Basis(decimal(rate)),
        mark: 0,
        held: None,
    };
    let exits = [decimal("100500"), decimal("100000")];
    assert_eq!(money(pair("0.002").net(&exits), 2), "349.75");
    assert!(pair("0.0034975").holds(&exits) && !pair("0.003497501").holds(&exits));
}
