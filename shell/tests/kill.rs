//! A process that is killed again and again while it closes positions at a venue that lives on:
//! nothing is left open, nothing is closed twice, by the venue's own books.
//!
//! `KILLS=10000 cargo test --release -p reap-shell --test kill -- --nocapture` for more of them,
//! `SEED=n` for others.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

mod common;

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::order::RejectClass;
use reap_core::units::Nanos;
use reap_shell::clock::LiveClock;
use reap_shell::config::Config;
use reap_shell::sim::Random;
use reap_shell::sim::server::{
    Feed, SimInstrument, SimKeys, SimKind, SimOptions, SimVenue, SimVenueConfig,
};

use common::Scratch;

/// Positions, each on its own instrument.
const POSITIONS: usize = 6;
/// What is open of each, in lots; the venue shows a tenth of it at a time.
const OPEN: i64 = 50;
const SHOWN: i64 = 5;
/// Kills of one trial, after which the process is left alone: ten starts within ten minutes are refused.
const KILLS: u64 = 8;
/// How long it may take then: an order that never left is proven so after half a minute.
const CLOSES_WITHIN: Duration = Duration::from_secs(120);
const ACCOUNT: AccountId = AccountId(0);

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}

fn config(venue: &SimVenue, log: &Path) -> String {
    let mut text = format!(
        "[run]\nmode = \"live\"\nlog = {log:?}\nlayout = \"fused\"\n\n[venue.v]\n\
         kind = \"binance_usdm\"\ntaker = \"0.05%\"\nmaker = \"0.02%\"\nendpoint = \"ws://{}\"\n\n\
         [account.main.v]\nkey_env = \"REAP_KILL_KEY\"\nsecret_env = \"REAP_KILL_SECRET\"\n\n",
        venue.addr()
    );
    for at in 0..POSITIONS {
        // Some stop early, some late.
        let stop = 20 + 15 * at;
        write!(
            text,
            "[instrument.i{at}]\nvenue = \"v\"\nsymbol = \"K{at}USDT\"\nquote = \"USDT\"\n\
             tick = \"0.01\"\nlot = \"1\"\nmin_notional = \"5 USDT\"\n\n\
             [policy.p{at}]\nstop_loss = \"{}.{:02}%\"\n\n\
             [[position]]\nname = \"k{at}\"\npolicy = \"p{at}\"\n\
             opened = \"2026-01-05T08:00:00Z\"\n\
             legs = [{{ account = \"main\", instrument = \"i{at}\", side = \"long\", entry = \"100\", qty = \"{OPEN}\" }}]\n\n",
            stop / 100,
            stop % 100,
        )
        .unwrap();
    }
    text
}

/// Bids that fall from 100 to 98 within some seconds and stay there, a few hundred a second.
fn market(begin: Nanos, seconds: u64, mut random: Random) -> Feed {
    let mut n = 0u64;
    Box::new(std::iter::from_fn(move || {
        n += 1;
        let at = begin.plus(Nanos::from_millis(4 * n));
        let fallen = (4 * n * 200 / (seconds * 1_000)).min(200);
        let bid = 10_000 - fallen - random.below(4);
        let symbol = n % POSITIONS as u64;
        let millis = at.0 / 1_000_000;
        let text = format!(
            r#"{{"e":"bookTicker","u":{n},"s":"K{symbol}USDT","b":"{}.{:02}","B":"{SHOWN}","a":"{}.{:02}","A":"{SHOWN}","T":{millis},"E":{millis}}}"#,
            bid / 100,
            bid % 100,
            (bid + 1) / 100,
            (bid + 1) % 100,
        );
        Some((at, text.into_bytes()))
    }))
}

/// A venue that holds the positions, for instruments as a throwaway configuration names them.
fn venue(clock: &LiveClock, random: &mut Random) -> SimVenue {
    let nowhere = SimVenueConfig {
        kind: SimKind::BinanceUsdm,
        listen: "127.0.0.1:0".parse().unwrap(),
        tls: None,
        instruments: Vec::new(),
        accounts: vec![(ACCOUNT, SimKeys { key: "kill-key".into(), secret: "kill-secret".into() })],
        latency: Nanos::from_millis(random.below(12)),
        options: SimOptions::default(),
    };
    let begin = clock.now().plus(Nanos::from_secs(1));
    let seconds = 3 + random.below(4);
    // The configuration needs the venue's address, the venue the instruments: their numbers do.
    let blank = SimVenue::start(
        SimVenueConfig { accounts: Vec::new(), ..nowhere.clone() },
        Box::new(std::iter::empty()),
        Arc::new(clock.clone()),
    );
    let text = config(&blank.unwrap(), Path::new("nowhere"));
    let listed = Config::parse("kill.toml", &text).unwrap().instruments;
    let listed = listed.into_iter().enumerate().map(|(at, named)| SimInstrument {
        symbol: named.symbol.clone(),
        id: InstrumentId(at as u16),
        instrument: named.instrument,
        spot: false,
    });
    let feed = market(begin, seconds, Random::new(random.below(u64::MAX)));
    let config = SimVenueConfig { instruments: listed.collect(), ..nowhere };
    let venue = SimVenue::start(config, feed, Arc::new(clock.clone())).unwrap();
    for at in 0..POSITIONS {
        venue.deposit(ACCOUNT, InstrumentId(at as u16), OPEN);
    }
    venue
}

fn held(venue: &SimVenue) -> [i64; POSITIONS] {
    std::array::from_fn(|at| venue.position(ACCOUNT, InstrumentId(at as u16)))
}

fn start(config: &Path, told: &Path) -> Child {
    let told = File::options().create(true).append(true).open(told).unwrap();
    Command::new(env!("CARGO_BIN_EXE_reap"))
        .args(["run", "--live", "--config"])
        .arg(config)
        .env("REAP_KILL_KEY", "kill-key")
        .env("REAP_KILL_SECRET", "kill-secret")
        .stdout(told.try_clone().unwrap())
        .stderr(told)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// One venue, one log, one process after the other.
fn trial(seed: u64) -> (u64, u64) {
    let mut random = Random::new(seed);
    let scratch = Scratch::new();
    let clock = LiveClock::live();
    let venue = venue(&clock, &mut random);
    let path: PathBuf = scratch.write("run.toml", config(&venue, &scratch.path("orders")));
    let told = scratch.path("told");
    let context = |what: &str| {
        let told = std::fs::read_to_string(&told).unwrap_or_default();
        let from = told.len().saturating_sub(6_000);
        let from = (from..).find(|at| told.is_char_boundary(*at)).unwrap_or(0);
        let counts = venue.counts().matching;
        format!("SEED={seed}: {what}; {:?} {counts:?}\n{}", held(&venue), &told[from..])
    };
    let check = || {
        let held = held(&venue);
        assert!(held.iter().all(|open| (0..=OPEN).contains(open)), "{}", context("flipped"));
        held.iter().all(|open| *open == 0)
    };
    let mut kills = 0;
    while kills < KILLS && !check() {
        let mut child = start(&path, &told);
        let until = Instant::now() + Duration::from_millis(150 + random.below(900));
        while Instant::now() < until {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{}", context(&format!("it ended by itself: {status}")));
            }
            check();
            std::thread::sleep(Duration::from_millis(1 + random.below(5)));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    let mut child = start(&path, &told);
    let until = Instant::now() + CLOSES_WITHIN;
    while !check() {
        if let Some(status) = child.try_wait().unwrap() {
            panic!("{}", context(&format!("it ended by itself: {status}")));
        }
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{}", context("not closed"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // Nothing comes after the end either.
    std::thread::sleep(Duration::from_millis(200));
    assert!(check(), "{}", context("something was opened"));
    child.kill().unwrap();
    child.wait().unwrap();
    let counts = venue.counts().matching;
    // More than is held, and an id that was used, are refused: a second close would be one of these.
    let refused = |class: RejectClass| counts.rejected[class as usize];
    let twice = refused(RejectClass::Size) + refused(RejectClass::Fatal);
    assert_eq!(twice, 0, "{}", context("an order too many"));
    (kills, counts.orders)
}

#[test]
fn p2_p11_killed_again_and_again_everything_is_closed_and_nothing_twice() {
    let (wanted, first) = (number("KILLS", 200), number("SEED", 1));
    println!("SEED={first} KILLS={wanted}");
    let begin = Instant::now();
    let (mut kills, mut orders, mut trials) = (0, 0, 0);
    while kills < wanted {
        let (killed, sent) = trial(first + trials);
        kills += killed;
        orders += sent;
        trials += 1;
    }
    let took = begin.elapsed().as_secs();
    println!("{kills} kills in {trials} trials, {orders} orders, {took} s: 0 lost, 0 twice");
}
