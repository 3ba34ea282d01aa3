//! The table of reasons: each one, configured in TOML, closes a position through the binary, and the
//! engine that follows decides the same. With `REAP_OTHER` a second build of the binary decides every
//! case too: continuous integration gives the release build there.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use reap_core::intent::Reason;
use serde_json::Value;

use common::{Case, Scratch, Tape, check_cases, data, read, text};

fn replay_with(binary: &Path, config: &Path, recordings: &[PathBuf]) -> Value {
    let mut args: Vec<&OsStr> = vec!["replay".as_ref(), "--config".as_ref(), config.as_ref()];
    args.extend(recordings.iter().map(|path| path.as_os_str()));
    args.extend(["--json".as_ref(), "--follow".as_ref()] as [&OsStr; 2]);
    let output = Command::new(binary).args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What this build decides; the other build decides the same where there is one.
fn decided(config: &Path, recordings: &[PathBuf]) -> Value {
    let json = replay_with(Path::new(env!("CARGO_BIN_EXE_reap")), config, recordings);
    assert_eq!(json["follower_agrees"], true);
    if let Some(other) = std::env::var_os("REAP_OTHER") {
        let other = replay_with(Path::new(&other), config, recordings);
        for key in ["hashes", "exits", "near_misses"] {
            assert_eq!(other[key], json[key], "{key} of the other build");
        }
    }
    json
}

#[test]
fn every_reason_closes_through_the_binary() {
    let met = RefCell::new(BTreeSet::new());
    check_cases("cases/table.txt", |case: &Case| {
        let json = decided(&case.config, &case.recordings);
        assert_eq!(json["books_agree"], true, "{}", case.name);
        let exits = json["exits"].as_array().unwrap();
        let reasons: Vec<&str> =
            exits.iter().map(|exit| exit["reason"].as_str().unwrap()).collect();
        assert!(reasons.contains(&&*case.name), "{}: closed for {reasons:?}", case.name);
        met.borrow_mut().insert(case.name.clone());
        let line = |exit: &Value| {
            let word = |key: &str| exit[key].as_str().unwrap().to_owned();
            let words = ["position", "reason", "urgency", "outcome", "net"].map(word);
            words.join(" ")
        };
        exits.iter().map(line).collect()
    });
    let met = met.into_inner();
    for reason in Reason::ALL {
        assert!(met.contains(reason.name()), "{}: not in the table", reason.name());
    }
}

/// splitmix64: the market of [`mixed`] is the same on every machine.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Three minutes of a market that wanders, rallies and falls on three instruments.
fn mixed(scratch: &Scratch) -> Vec<PathBuf> {
    let mut tape = Tape::default();
    let mut state = 20_260_105;
    let (mut coin, mut ether, mut basis) = (600_000i64, 300_000i64, 0i64);
    for step in 0..6000u64 {
        let at = step * 30;
        let drift = [12, -14, 3, -4][(step / 1500) as usize];
        let mut noise = |width: i64| (random(&mut state) % (2 * width as u64 + 1)) as i64 - width;
        coin += drift + noise(60);
        ether += drift / 2 + noise(30);
        basis = (basis + noise(12)).clamp(-900, 900);
        let spot = coin - 300 + basis;
        match step % 3 {
            0 => tape.line(&format!("{at} btc-usdm {} {} 2 2", tenths(coin), tenths(coin + 1))),
            1 => tape.line(&format!("{at} btc-spot {} {} 2 2", tenths(spot), tenths(spot + 1))),
            _ => {
                let (bid, ask) = (ether, ether + 1);
                let cents = |price: i64| format!("{}.{:02}", price / 100, price % 100);
                tape.line(&format!("{at} eth-usdm {} {} 20 20", cents(bid), cents(ask)));
            }
        }
    }
    tape.save(scratch)
}

fn tenths(price: i64) -> String {
    format!("{}.{}", price / 10, price % 10)
}

/// Decisions and orders of every rule on a mixed market: pinned, and so the same in every build.
#[test]
fn a_mixed_market_is_decided_alike_by_every_build() {
    let scratch = Scratch::new();
    let config = read(&data("cases/base.toml")) + &read(&data("data/mixed.toml"));
    let config = scratch.write("mixed.toml", config);
    let json = decided(&config, &mixed(&scratch));
    let exits = json["exits"].as_array().unwrap();
    let reasons: BTreeSet<&str> =
        exits.iter().map(|exit| exit["reason"].as_str().unwrap()).collect();
    assert!(reasons.len() >= 9 && exits.len() >= 20, "{} exits for {reasons:?}", exits.len());
    let hashes = json["hashes"].as_array().unwrap();
    let line = |name: &str, at: usize| format!("{name:<10} {}\n", hashes[at].as_str().unwrap());
    let found = [
        line("decisions", 0),
        line("orders", 1),
        format!("{:<10} {}\n", "exits", exits.len()),
        format!("{:<10} {}\n", "near", json["near_misses"]),
    ];
    common::compare("data/mixed.txt", &found.concat());
}
