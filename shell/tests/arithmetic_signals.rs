//! Exits by signals that are no price, computed a second time from the raw lines of recordings: dump
//! by the trades of 2024, `funding_flip` by the marks and predicted rates of 2023.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod by_hand;
mod common;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use toml::{Table, Value as Toml};

use by_hand::{Feeds, ONE, decimal, lines, rate, text};
use common::{RECORDINGS_2023, Scratch, data, recorded, replay_json, unpacked};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

/// When each position closed, by name; each closes for the same reason.
fn closed(json: &Value, reason: &str) -> BTreeMap<String, u64> {
    let exits = json["exits"].as_array().unwrap().iter();
    let exits = exits.map(|exit| {
        assert_eq!((&exit["reason"], &exit["outcome"]), (&reason.into(), &"closed".into()));
        (exit["position"].as_str().unwrap().to_owned(), exit["at_ns"].as_u64().unwrap())
    });
    exits.collect()
}

/// What buyers and sellers took in each minute of the venue's time.
#[derive(Default)]
struct Minutes {
    current: u64,
    open: [i128; 2],
    /// The newest last.
    over: Vec<[i128; 2]>,
}

impl Minutes {
    fn on_trade(&mut self, message: &str) {
        let message: Value = serde_json::from_str(message).unwrap();
        let trade = &message["data"];
        let minute = trade["T"].as_u64().unwrap() / 60_000;
        assert!(self.current == 0 || minute >= self.current, "a trade that comes too late");
        if self.current > 0 {
            for _ in self.current..minute {
                self.over.push(std::mem::take(&mut self.open));
            }
        }
        self.current = minute;
        let sold = usize::from(trade["m"].as_bool().unwrap());
        self.open[sold] += decimal(trade["q"].as_str().unwrap());
    }

    /// Against a side and for it, the newest minute first.
    fn seen_by(&self, side: i128) -> impl Iterator<Item = (i128, i128)> + Clone {
        let [against, with] = if side == 1 { [1, 0] } else { [0, 1] };
        self.over.iter().rev().map(move |minute| (minute[against], minute[with]))
    }

    /// More against the side in each of the last three.
    fn reversed(&self, side: i128) -> bool {
        self.over.len() >= 3 && self.seen_by(side).take(3).all(|(against, with)| against > with)
    }

    /// 2.5 : 1 against the side, and for it in one of the four before.
    fn flipped(&self, side: i128, least: i128) -> bool {
        let leans =
            |more: i128, less: i128| more > 0 && more * 10 >= less * 25 && more + less >= least;
        let mut seen = self.seen_by(side);
        let last = seen.next().is_some_and(|(against, with)| leans(against, with));
        last && seen.take(4).any(|(against, with)| leans(with, against))
    }
}

struct Dumped {
    name: String,
    market: usize,
    /// 1 is long.
    side: i128,
    least: i128,
    drop: i128,
    /// Best exit price since the entry.
    mark: i128,
    /// When two signs first stood; which the last of them to come was.
    held: Option<(u64, &'static str)>,
}

const MARKETS: [&str; 2] = ["spot", "usdm"];

fn dumped() -> Vec<Dumped> {
    let config: Table = common::read(&data("data/arithmetic-dump.toml")).parse().unwrap();
    let position = |position: &Toml| {
        let leg = &position["legs"].as_array().unwrap()[0];
        let dump = &config["policy"][text(position, "policy").unwrap()]["dump"];
        let market = text(leg, "instrument").unwrap();
        Dumped {
            name: text(position, "name").unwrap().to_owned(),
            market: MARKETS.iter().position(|name| *name == market).unwrap(),
            side: if text(leg, "side") == Some("long") { 1 } else { -1 },
            least: decimal(text(dump, "min_volume").unwrap()),
            drop: rate(text(dump, "drop").unwrap()),
            mark: decimal(text(leg, "entry").unwrap()),
            held: None,
        }
    };
    config["position"].as_array().unwrap().iter().map(position).collect()
}

#[test]
fn dumps_are_those_of_the_trades() {
    let Some(files) = recorded(&[
        "recordings/binance_spot_btcusdt_20240808.gz",
        "recordings/binance_usdm_ethusdt_20240808.gz",
    ]) else {
        return;
    };
    let unpacked = files.iter().map(|file| unpacked(file)).collect::<Vec<_>>();
    let mut feeds = Feeds::default();
    let mut minutes = [Minutes::default(), Minutes::default()];
    let mut positions = dumped();
    for (now, market, message) in lines(&unpacked, 1) {
        let is_quote = feeds.on_line(now, market, message);
        let seen = &mut minutes[market];
        if message.contains("@trade\"") {
            seen.on_trade(message);
        }
        // The recorder's clock is behind the venue's: a trade closes every minute before it does.
        assert!(seen.current == 0 || now < (seen.current + 1) * MINUTE + 2 * SECOND);
        let Some(best) = feeds.fresh(market, now) else { continue };
        let here = positions.iter_mut().filter(|one| one.market == market && one.held.is_none());
        for one in here {
            let x = if one.side == 1 { best.bid } else { best.ask };
            if is_quote && one.side * x > one.side * one.mark {
                one.mark = x;
            }
            let signs = [seen.reversed(one.side), seen.flipped(one.side, one.least)];
            let down = one.side * x * ONE <= one.mark * (one.side * ONE - one.drop);
            if signs.into_iter().chain([down]).filter(|sign| *sign).count() >= 2 {
                one.held = Some((now, if is_quote { "price" } else { "volumes" }));
            }
        }
    }
    let json = replay_json(&data("data/arithmetic-dump.toml"), &files);
    let fired = positions.iter().filter_map(|one| Some((one.name.clone(), one.held?.0)));
    assert_eq!(closed(&json, "dump"), fired.collect());
    let by = |last: &str| {
        let held = positions.iter().filter_map(|one| one.held);
        held.filter(|held| held.1 == last).count()
    };
    let never = positions.iter().filter(|one| one.held.is_none()).count();
    assert_eq!([by("price"), by("volumes"), never], [3, 4, 3], "how they come about");
}

/// A position of one Bitcoin of the perpetual and when its funding flips.
struct Flips {
    name: &'static str,
    side: i128,
    /// Parts per billion of the entry a day.
    threshold: i128,
    samples: usize,
    row: usize,
    held: Option<u64>,
}

/// The entry of all of them.
const ENTRY: i128 = 28_150;

/// Two digits: those of the instrument's prices.
fn cut(price: i128) -> i128 {
    price.div_euclid(ONE / 100) * (ONE / 100)
}

/// The real lines, but with a settlement at the end of every minute instead of every eight hours.
fn hurried(file: &str) -> String {
    let line = |line: &str| {
        let (at, message) = line.split_once(' ').unwrap();
        if !message.contains("@markPrice") {
            return format!("{line}\n");
        }
        let mut message: Value = serde_json::from_str(message).unwrap();
        let data = &mut message["data"];
        data["T"] = ((data["E"].as_u64().unwrap() / 60_000 + 1) * 60_000).into();
        format!("{at} {message}\n")
    };
    file.lines().map(line).collect()
}

/// Rate and time that are named for a settlement, with the mark.
fn prediction(message: &str) -> Option<(i128, u64, i128)> {
    let message: Value =
        message.contains("@markPrice").then(|| serde_json::from_str(message).unwrap())?;
    let data = &message["data"];
    let number = |key: &str| decimal(data[key].as_str().unwrap());
    Some((number("r"), data["T"].as_u64().unwrap() * 1_000_000, cut(number("p"))))
}

/// What one Bitcoin held long pays a day at each settlement of the lines, in 10⁻¹⁸: the rate and the
/// mark of the last message before it.
fn settlements(file: &str) -> Vec<(u64, i128)> {
    let (mut all, mut last) = (Vec::<(u64, i128)>::new(), None);
    for line in file.lines() {
        let (at, message) = line.split_once(' ').unwrap();
        let at = at.parse::<u64>().unwrap() * 1_000;
        if let Some((rate, settles, mark)) =
            last.filter(|(_, settles, _): &(i128, u64, i128)| *settles <= at)
        {
            // Until two are known it is taken for one of three a day.
            let a_day = if all.is_empty() { 3 } else { 24 * 60 };
            all.push((settles, rate * mark * a_day));
            last = None;
        }
        if let Some(named) = prediction(message).filter(|(_, settles, _)| *settles > at) {
            last = Some(named);
        }
    }
    all
}

fn flips_config(all: &[Flips]) -> String {
    let base = common::read(&data("data/arithmetic-dump.toml"));
    let (head, _) = base.split_once("[policy.").unwrap();
    let mut config = head.replace("ETHUSDT", "BTCUSDT");
    for Flips { name, side, threshold, samples, .. } in all {
        let side = if *side == 1 { "long" } else { "short" };
        let percent = format!("{}.{:07}", threshold / 10_000_000, threshold % 10_000_000);
        config += &format!(
            r#"
[policy.{name}]
funding_flip = {{ threshold = "{percent}%", settlements = {samples} }}

[[position]]
name = "{name}"
policy = "{name}"
opened = "2023-04-05T00:00:00.001Z"
legs = [{{ instrument = "usdm", account = "{name}", side = "{side}", entry = "{ENTRY}", qty = "1" }}]
"#
        );
    }
    config
}

fn check_flips(scratch: &Scratch, file: &str, mut all: Vec<Flips>, fire: usize) {
    for (at, pays) in settlements(file) {
        for one in &mut all {
            let flips = one.side * pays >= one.threshold * ENTRY * ONE;
            one.row = if flips { one.row + 1 } else { 0 };
            if one.row >= one.samples && one.held.is_none() {
                one.held = Some(at);
            }
        }
    }
    let recording = scratch.write("usdm", file);
    let config = scratch.write("flips.toml", flips_config(&all));
    let json = replay_json(Path::new(&config), &[recording]);
    let held: BTreeMap<String, u64> =
        all.iter().filter_map(|one| Some((one.name.to_owned(), one.held?))).collect();
    assert_eq!(closed(&json, "funding_flip"), held);
    assert_eq!(held.len(), fire, "{held:?}");
}

#[test]
fn flips_are_those_of_the_rates_and_marks() {
    let Some(files) = recorded(&RECORDINGS_2023) else { return };
    let file = unpacked(&files[1]);
    let scratch = Scratch::new();
    let flips = |name, side, threshold, samples| Flips {
        name,
        side,
        threshold,
        samples,
        row: 0,
        held: None,
    };
    // The settlement of that midnight was over when the recorder began: nothing flips at any rate.
    check_flips(&scratch, &file, vec![flips("any", 1, 1, 1)], 0);
    let hurried = hurried(&file);
    let pays: Vec<i128> = settlements(&hurried).iter().map(|(_, pays)| *pays).collect();
    assert_eq!(pays.len(), 6, "{pays:?}");
    // The largest threshold that a settlement still meets; a part per billion more is too much.
    let at = |nth: usize| pays[nth].div_euclid(ENTRY * ONE);
    let all = vec![
        flips("first", 1, at(0), 1),
        flips("next", 1, at(0) + 1, 1),
        flips("third", 1, at(2), 1),
        flips("after", 1, at(2) + 1, 1),
        flips("row", 1, at(1), 3),
        flips("rows", 1, at(2), 3),
        flips("never", 1, pays.iter().max().unwrap().div_euclid(ENTRY * ONE) + 1, 1),
        flips("receives", -1, 1, 1),
    ];
    check_flips(&scratch, &hurried, all, 6);
}
