//! Configurations as data: what is refused and with which words, what is understood and how.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::path::{Path, PathBuf};

use reap_core::instrument::InstrumentId;
use reap_core::tick::Quote;
use reap_core::units::Nanos;
use reap_shell::config::{
    Config, ConfigError, Connection, Cores, KeyNames, Layout, Mode, RunConfig, SimConfig,
    SimMarket, Sync, Waiting,
};
use reap_shell::sim::Random;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(data(name)).unwrap()
}

/// The files of cases whose names begin so.
fn files(prefix: &str) -> Vec<String> {
    let entries = std::fs::read_dir(data("")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

/// Compares with the file, or writes it anew when `UPDATE=1` asks for it.
fn compare(name: &str, expected: &str, found: &str) {
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(data(name), found).unwrap();
        return;
    }
    for (index, (expected, found)) in expected.lines().zip(found.lines()).enumerate() {
        assert_eq!(found, expected, "{name}:{}; UPDATE=1 writes it anew", index + 1);
    }
    assert_eq!(found.lines().count(), expected.lines().count(), "{name}");
}

/// A case: its name and its lines, expectations apart.
fn cases(text: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    text.split("\n== ").skip(1).map(|case| {
        let mut lines = case.lines();
        let name = lines.next().unwrap();
        let is_input = |line: &&str| !line.is_empty() && !line.starts_with(['!', '>']);
        (name, lines.filter(is_input).collect())
    })
}

fn preamble(text: &str) -> &str {
    text.split("== ").next().unwrap()
}

fn edited(base: &str, edits: &[&str], case: &str) -> String {
    let mut text = base.to_owned();
    for edit in edits {
        let (verb, rest) = edit.split_at_checked(2).unwrap_or((edit, ""));
        let rest = rest.replace("\\n", "\n");
        text = match verb {
            "~ " => {
                let (old, new) = rest.split_once(" => ").expect("~ old => new");
                assert!(text.contains(old), "{case}: base.toml has no {old}");
                text.replacen(old, new, 1)
            }
            "- " => {
                assert!(text.lines().any(|line| line == rest), "{case}: no line {rest}");
                text.replacen(&format!("{rest}\n"), "", 1)
            }
            "+ " => format!("{text}\n{rest}\n"),
            _ => panic!("{case}: {edit} is not an edit"),
        };
    }
    text
}

/// FAULTS E15 too: a bare number, per cent where basis points are meant, an amount without a currency.
#[test]
fn e15_every_mistake_is_refused_with_its_place_and_its_remedy() {
    let cases = check_refused("base.toml", "refused.txt");
    assert!(cases >= 100, "only {cases} cases");
    for name in files("refused-") {
        assert!(check_refused("base.toml", &name) > 0, "{name} has no case");
    }
}

#[test]
fn every_mistake_of_a_portfolio_is_refused_with_its_place_and_its_remedy() {
    let cases = check_refused("base.toml", "portfolio-refused.txt");
    assert!(cases >= 25, "only {cases} cases");
}

#[test]
fn a_portfolio_is_understood_with_every_default() {
    let base = read("base.toml");
    let expected = read("portfolio-understood.txt");
    let mut found = preamble(&expected).to_owned();
    for (name, lines) in cases(&expected) {
        let text = format!("{base}\n{}\n", lines.join("\n"));
        let summary = Config::parse("base.toml", &text).expect(name).summary();
        let begin = summary.iter().position(|line| line == "portfolio:").expect(name);
        found += &format!("== {name}\n{}\n", lines.join("\n"));
        for line in summary[begin + 1..].iter().take_while(|line| line.starts_with("  ")) {
            found += &format!("> {}\n", line.trim_start());
        }
        found.push('\n');
    }
    compare("portfolio-understood.txt", &expected, &found);
}

#[test]
fn tasks_are_understood_with_every_default() {
    let base = read("base.toml");
    let expected = read("tasks-understood.txt");
    let mut found = preamble(&expected).to_owned();
    for (name, lines) in cases(&expected) {
        let text = format!("{base}\n{}\n", lines.join("\n"));
        let summary = Config::parse("base.toml", &text).expect(name).summary();
        let begin = summary.iter().position(|line| line == "tasks:").expect(name);
        found += &format!("== {name}\n{}\n", lines.join("\n"));
        for line in summary[begin + 1..].iter().take_while(|line| line.starts_with("  ")) {
            found += &format!("> {}\n", line.trim_start());
        }
        found.push('\n');
    }
    compare("tasks-understood.txt", &expected, &found);
}

#[test]
fn p13_every_mistake_of_a_run_is_refused_with_its_place_and_its_remedy() {
    let cases = check_refused("run.toml", "run-refused.txt");
    assert!(cases >= 50, "only {cases} cases");
    // Whatever looked like a key or a password in a case is in none of the answers.
    for line in read("run-refused.txt").lines().filter(|line| line.starts_with('!')) {
        for secret in ["vmPUZE6", "XOyJ1a2B", "hunter2"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}

/// Compares what is said of the mistakes of every case that edits `base`; gives their number.
fn check_refused(base_name: &str, cases_name: &str) -> usize {
    let (base, expected) = (read(base_name), read(cases_name));
    let mut found = preamble(&expected).to_owned();
    let mut count = 0;
    for (name, edits) in cases(&expected) {
        let problems = match Config::parse(base_name, &edited(&base, &edits, name)) {
            Err(ConfigError::Refused { problems, .. }) => problems,
            other => panic!("{name}: {other:?}"),
        };
        found += &format!("== {name}\n{}\n", edits.join("\n"));
        for problem in problems {
            assert!(!problem.remedy.is_empty(), "{name}: {problem} names no remedy");
            found += &format!("! {base_name}:{problem}\n");
        }
        found.push('\n');
        count += 1;
    }
    compare(cases_name, &expected, &found);
    count
}

#[test]
fn the_bases_of_all_cases_have_no_mistake() {
    for name in ["base", "run"] {
        let file = format!("{name}.toml");
        let summary = Config::parse(&file, &read(&file)).unwrap().summary().join("\n");
        let file = format!("{name}.summary");
        let expected = std::fs::read_to_string(data(&file)).unwrap_or_default();
        compare(&file, &expected, &summary);
    }
}

/// What `reap check` prints of a run, where nothing but `[run]` is given.
#[test]
fn the_defaults_of_a_run_are_shown() {
    let summary = Config::parse("run.toml", &format!("[run]\n{}", read("base.toml"))).unwrap();
    let summary = summary.summary().join("\n");
    let (run, rest) = summary.split_once("\nvenues:").unwrap();
    let expected = std::fs::read_to_string(data("run-defaults.summary")).unwrap_or_default();
    compare("run-defaults.summary", &expected, run);
    // Without [run] nothing of it is said.
    assert_eq!(format!("venues:{rest}"), read("base.summary"));
}

#[test]
fn a_run_is_understood_as_it_is_written() {
    let config = Config::parse("run.toml", &read("run.toml")).unwrap();
    let run = RunConfig {
        input_log_mib: 1024,
        mode: Mode::Live,
        layout: Layout::Split,
        cores: Cores { feed: Some(2), engine: Some(3), execution: Some(4) },
        execution: Some(Waiting::Spin),
        log: "orders".into(),
        sync: Sync::BeforeSend,
        stop_timeout: Nanos::from_secs(20),
        engine_late: Nanos::from_millis(5),
    };
    assert_eq!(config.run, Some(run));
    let connection = Connection {
        endpoint: Some("wss://fstream.binance.com:443".into()),
        orders_endpoint: Some("wss://ws-fapi.binance.com".into()),
        rest_endpoint: Some("https://fapi.binance.com".into()),
        root: Some("own-ca.pem".into()),
        busy_poll: Some(Nanos(50_000)),
        silence: Some(Nanos::from_secs(3)),
        max_life: Some(Nanos::from_secs(23 * 3600)),
    };
    assert_eq!(config.venues[0].connection, connection);
    assert_eq!(config.venues[1].connection, Connection::default());
    let keys =
        |key: &str, secret: &str| Some(KeyNames { key_env: key.into(), secret_env: secret.into() });
    let found: Vec<_> =
        config.accounts.iter().map(|one| (&*one.name, one.venue.0, one.keys.clone())).collect();
    let expected = [
        ("main", 0, keys("BINANCE_KEY", "BINANCE_SECRET")),
        ("second", 1, keys("BYBIT_SECOND_KEY", "BYBIT_SECOND_SECRET")),
    ];
    assert_eq!(found, expected);

    // Every mode and layout by its name, and the defaults.
    let base = read("base.toml");
    let run =
        |body: &str| Config::parse("run.toml", &format!("[run]\n{body}\n{base}")).unwrap().run;
    assert_eq!(run(""), Some(RunConfig::default()));
    assert_eq!(Config::parse("base.toml", &base).unwrap().run, None);
    for (name, mode) in
        Mode::ALL.into_iter().filter(|(_, mode)| matches!(mode, Mode::DryRun | Mode::Paper))
    {
        assert_eq!(mode.name(), name);
        assert_eq!(run(&format!("mode = {name:?}")).unwrap().mode, mode);
    }
    for (name, layout) in Layout::ALL {
        assert_eq!(layout.name(), name);
        assert_eq!(run(&format!("layout = {name:?}")).unwrap().layout, layout);
    }
    let fused = run("layout = \"fused\"\ncores = { engine = 0 }\nexecution = \"park\"").unwrap();
    assert_eq!(fused.cores, Cores { feed: None, engine: Some(0), execution: None });
    assert_eq!(fused.execution, Some(Waiting::Park));
}

#[test]
fn a_simulated_market_is_understood_as_it_is_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let seeded = Config::load(&folder.join("run-sim.toml")).unwrap();
    assert_eq!(seeded.run.unwrap().mode, Mode::Sim);
    let sim =
        SimConfig { market: SimMarket::Seed(7), speed: 30, tls: true, lead: Nanos::from_secs(1) };
    assert_eq!(seeded.sim, Some(sim));
    let paper = Config::load(&folder.join("run-paper.toml")).unwrap();
    assert_eq!((paper.run.unwrap().mode, paper.sim), (Mode::Paper, None));
    // Recordings, in mode paper, at their own speed.
    let text = read("run.toml");
    let text = text.replace("mode = \"live\"", "mode = \"paper\"");
    let given = ["endpoint", "orders_endpoint", "rest_endpoint", "root"];
    let kept = |line: &&str| !given.iter().any(|key| line.starts_with(&format!("{key} =")));
    let text: Vec<&str> = text.lines().filter(kept).collect();
    let text = text.join("\n")
        + "\n[sim]\nrecordings = [\"data/a-usdm.gz\", \"b-bybit\"]\ntls = false\nlead = \"0s\"\n\
           [[source]]\nvenue = \"binance\"\nmatch = \"usdm\"\n\
           [[source]]\nvenue = \"bybit\"\nmatch = \"bybit\"\n";
    let config = Config::parse("run.toml", &text).unwrap();
    let sim = SimConfig {
        market: SimMarket::Recordings(vec!["data/a-usdm.gz".into(), "b-bybit".into()]),
        speed: 1,
        tls: false,
        lead: Nanos(0),
    };
    assert_eq!(config.sim, Some(sim));
    let summary = config.summary().join("\n");
    let said = "recorded in data/a-usdm.gz, b-bybit, at its own speed, not encrypted, from 0 s after the start";
    assert!(summary.contains(said), "{summary}");
}

#[test]
fn rules_are_understood_as_they_are_written() {
    check_understood("understood.txt");
    for name in files("understood-") {
        check_understood(&name);
    }
}

fn check_understood(cases_name: &str) {
    let (base, expected) = (read("base.toml"), read(cases_name));
    let mut found = preamble(&expected).to_owned();
    for (name, lines) in cases(&expected) {
        let policy = format!("{base}\n[policy.case]\n{}\n", lines.join("\n"));
        let config =
            Config::parse("base.toml", &policy).unwrap_or_else(|error| panic!("{name}:\n{error}"));
        found += &format!("== {name}\n{}\n", lines.join("\n"));
        let summary = config.summary();
        let from = summary.iter().position(|line| line.starts_with("  case (")).unwrap();
        let body = summary[from + 1..].iter().take_while(|line| line.starts_with("    "));
        let default = Config::parse("base.toml", &base).unwrap().summary();
        for line in body.filter(|line| line.contains(": ") || !default.contains(*line)) {
            found += &format!("> {}\n", line.trim_start());
        }
        found.push('\n');
    }
    compare(cases_name, &expected, &found);
}

#[test]
fn the_shipped_configurations_have_no_mistake() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() >= 4);
    for name in names {
        let config = Config::load(&name).unwrap_or_else(|error| panic!("{error}"));
        assert!(!config.positions.is_empty() && !config.summary().is_empty());
    }
}

#[test]
fn recordings_find_their_venue_by_name() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for (file, recording, venue) in [
        ("spot-futures.toml", "binance_spot_btcusdt_20240808.gz", Some("spot")),
        ("spot-futures.toml", "binance_usdm_ethusdt_20240808.gz", Some("usdm")),
        ("spot-futures.toml", "BYBIT_V5.ws.1.0", None),
        ("captures.toml", "BINANCE.ws.1.0", Some("spot")),
        ("captures.toml", "BINANCE_FUTURES.ws.1.0", Some("usdm")),
        ("bybit.toml", "BYBIT_V5.ws.1.0", Some("bybit")),
    ] {
        let config = Config::load(&folder.join(file)).unwrap();
        let found = config.venue_of_recording(recording);
        let name = found.as_ref().ok().map(|id| config.venues[usize::from(id.0)].name.as_str());
        assert_eq!(name, venue, "{file} {recording} {found:?}");
    }
}

#[test]
fn a_position_waits_for_the_quotes_of_all_its_legs() {
    let text = read("base.toml")
        .replace(
            "entry = \"61837.64\", qty = \"0.5\"",
            "entry = \"first quote\", qty = \"0.5\", fees_paid = \"taker\"",
        )
        .replace("entry = \"61800.2\"", "entry = \"first quote\"");
    let config = Config::parse("base.toml", &text).unwrap();
    let position = &config.positions[0];
    let spot = Quote::new(6_183_763, 6_183_764, 1, 1).unwrap();
    let perp = Quote::new(618_002, 618_003, 1, 1).unwrap();
    let resolve = |latest: &dyn Fn(InstrumentId) -> Option<(Nanos, Quote)>| {
        position.resolve(&config.instruments, latest)
    };
    assert_eq!(resolve(&|_| None), None);
    assert_eq!(resolve(&|id| (id.0 == 0).then_some((Nanos(5), spot))), None);
    let spec = resolve(&|id| Some(if id.0 == 0 { (Nanos(7), spot) } else { (Nanos(6), perp) }));
    let spec = spec.unwrap();
    assert_eq!(spec.opened, Nanos(7));
    assert_eq!(
        spec.legs.iter().map(|leg| leg.entry.raw()).collect::<Vec<_>>(),
        [6_183_764, 618_002]
    );
    // 61837.64 × 0.5 × 0.1 %
    assert_eq!(spec.legs[0].fees_paid.to_string().trim_end_matches('0'), "30.91882");
    // An entry that is known waits for nothing.
    let naked = config.positions[1].resolve(&config.instruments, |_| None).unwrap();
    assert_eq!((naked.opened, naked.tag), (Nanos(1_723_161_254_000_000_000), 1));
}

#[test]
fn no_text_makes_it_panic() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_240_808);
    println!("SEED={seed}");
    let mut random = Random::new(seed);
    let bases = [read("base.toml"), read("run.toml") + "[sim]\nseed = 7\nspeed = 30\n"];
    let more = ["-1", "\"\"", "[]", "{}", "1e9"];
    let words: Vec<&str> =
        bases.iter().flat_map(|base| base.split_whitespace()).chain(more).collect();
    for round in 0..4_000 {
        let mut text = bases[round % 2].clone();
        for _ in 0..=random.below(4) {
            let place = |random: &mut Random, text: &str| {
                let at = random.below(text.len() as u64) as usize;
                text.char_indices().map(|(place, _)| place).rfind(|place| *place <= at).unwrap()
            };
            let (from, to) = (place(&mut random, &text), place(&mut random, &text));
            let (from, to) = (from.min(to), from.max(to).min(from.min(to) + 40));
            let word = words[random.below(words.len() as u64) as usize];
            match random.below(3) {
                0 if text.is_char_boundary(to) => text.replace_range(from..to, ""),
                1 => text.insert_str(from, word),
                _ => {
                    text = text.replacen(word, words[random.below(words.len() as u64) as usize], 1)
                }
            }
            if text.is_empty() {
                break;
            }
        }
        // It either understands the text or says what is wrong; it always says something.
        match Config::parse("random.toml", &text) {
            Ok(config) => assert!(!config.summary().is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    for nested in ["[", "{a=", "[[a]]\na=["] {
        assert!(Config::parse("deep.toml", &format!("a = {}", nested.repeat(20_000))).is_err());
    }
}
