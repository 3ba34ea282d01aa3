//! The golden messages of `src/venues/*/fixtures`: what each becomes.
//!
//! `UPDATE=1` writes the answers anew; look at the difference before you commit it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use reap_core::units::Nanos;
use reap_feed::decoded::{Decoded, Outcome};
use reap_feed::venues::VENUES;

mod support;
use support::{Pair, Row, fixtures, show};

fn describe(decoded: Decoded) -> String {
    let kind = decoded.kind.name();
    match decoded.outcome {
        Outcome::Used => format!("{kind} used"),
        Outcome::Control => format!("{kind} control"),
        Outcome::Ignored(reason) => format!("{kind} ignored {}", reason.name()),
        Outcome::Rejected(reason) => format!("{kind} rejected {}", reason.name()),
    }
}

/// The file with its answers written anew.
fn answered(text: &str) -> String {
    let mut received = Nanos(0);
    let mut venue = "";
    let mut rows: Vec<Row> = Vec::new();
    let mut pair: Option<Pair> = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["received", time] => received = Nanos(time.parse().unwrap()),
            ["venue", name] => venue = VENUES.iter().find(|venue| venue.name == name).unwrap().name,
            ["symbol", name, price, qty] => {
                let name: &'static str = name.to_owned().leak();
                rows.push((name, price.parse().unwrap(), qty.parse().unwrap()));
            }
            _ => {}
        }
        if line.starts_with('=') {
            continue;
        }
        lines.push(line.to_owned());
        if let Some(raw) = line.strip_prefix("> ") {
            let pair = pair.get_or_insert_with(|| Pair::new(venue, &rows));
            let (decoded, ticks) = pair.check(raw.as_bytes(), received);
            lines.push(format!("= {}", describe(decoded)));
            let names: Vec<&str> = rows.iter().map(|row| row.0).collect();
            lines.extend(ticks.iter().map(|tick| format!("=   {}", show(tick, &names))));
        }
    }
    lines.join("\n") + "\n"
}

/// F4, F5, F6, F8, F9, F10, F14, F17, F30, as the files say where.
#[test]
fn every_fixture_becomes_what_its_file_says() {
    for path in fixtures() {
        let text = std::fs::read_to_string(&path).unwrap();
        let answered = answered(&text);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, answered).unwrap();
        } else {
            for (number, (found, expected)) in answered.lines().zip(text.lines()).enumerate() {
                assert_eq!(found, expected, "{}:{}", path.display(), number + 1);
            }
            assert_eq!(answered, text, "{}", path.display());
        }
    }
}
