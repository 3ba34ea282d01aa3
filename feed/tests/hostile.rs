//! Every byte of a message may be hostile: the codecs beside their oracles on messages that are
//! shuffled, cut, flipped, doubled and invented. Nothing panics, and nothing is accepted that the
//! oracle refuses.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use reap_core::units::Nanos;
use reap_feed::decoded::{Kind, Outcome, Rejection};
use reap_feed::json::{DEPTH_MAX, MESSAGE_MAX};

mod support;
use support::{Pair, Random, Row, codec, decode, fixture_messages, venues};

const RECEIVED: Nanos = Nanos(1_723_161_255_030_314_667);
const SYMBOLS: &[Row] = &[("BTCUSDT", 2, 3), ("ETHUSDT", 4, 2), ("BNBUSDT", 4, 2)];

/// F8, F30: cut behind every byte.
#[test]
fn f8_f30_messages_cut_anywhere() {
    let messages = fixture_messages();
    assert!(messages.len() > 100);
    for venue in venues() {
        let mut pair = Pair::new(venue, SYMBOLS);
        for message in &messages {
            if pair.check(message, RECEIVED).0.kind == Kind::Malformed {
                continue;
            }
            for end in 0..message.len() {
                let (decoded, ticks) = pair.check(&message[..end], RECEIVED);
                assert_eq!(decoded.kind, Kind::Malformed, "{}", message[..end].escape_ascii());
                assert!(ticks.is_empty());
            }
        }
    }
}

/// F8, F30: every byte replaced by bytes that mean something in JSON, and by some that do not.
#[test]
fn f8_f30_messages_with_one_other_byte() {
    for venue in venues() {
        let mut pair = Pair::new(venue, SYMBOLS);
        for message in fixture_messages() {
            for at in 0..message.len() {
                let mut bad = message.clone();
                for byte in *b"\"\\{}[]:,09-.eE nT\x00\x1f\x7f\x80\xc3\xff" {
                    bad[at] = byte;
                    pair.check(&bad, RECEIVED);
                }
            }
        }
    }
}

fn word(random: &mut Random, choices: &[&'static str]) -> &'static str {
    choices[random.below(choices.len() as u64) as usize]
}

type Pairs = Vec<(String, String)>;

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// A number as a venue writes it, mostly.
fn number(random: &mut Random) -> String {
    let hostile = [
        "0",
        "0.000",
        "-1",
        "-0",
        "",
        ".",
        "1.",
        ".1",
        "1e5",
        "1E-5",
        "+1",
        "NaN",
        "1,0",
        "0x1",
        " 1",
        "99999999999999999999",
        "281474976710655",
        "2814749767106.55",
        "0.000000001",
        "1..2",
        "--1",
        "00012.50",
        "1.50000000000000000000000000",
        "9223372036854775807",
        "9223372036854775808",
    ];
    if random.below(12) == 0 {
        return word(random, &hostile).to_owned();
    }
    let decimals = *random.pick(&["", ".5", ".25", ".10", ".500", ".25000000", ".0", ".123"]);
    format!("{}{decimals}", 1 + random.below(200))
}

fn price(random: &mut Random) -> String {
    let text = number(random);
    if random.below(30) == 0 { text } else { quoted(&text) }
}

fn time(random: &mut Random) -> String {
    let times = [
        "1723161255030",
        "\"1723161255030\"",
        "1723161255030123",
        "0",
        "-5",
        "\"\"",
        "null",
        "1e3",
        "99999999999999999999",
        "18446744073709551615",
        "\"x\"",
        "01",
    ];
    if random.below(4) > 0 { times[0].to_owned() } else { word(random, &times).to_owned() }
}

fn name(random: &mut Random) -> String {
    let names = ["BTCUSDT", "ETHUSDT", "BNBUSDT", "btcusdt", "NOPE", "", "币", "BTC\\u0055SDT"];
    quoted(if random.below(5) > 0 { names[random.below(3) as usize] } else { word(random, &names) })
}

fn pairs(list: &[(&str, String)]) -> Pairs {
    list.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// An object in any order, with white space, further keys, missing keys and doubled keys.
fn object(random: &mut Random, mut members: Pairs) -> String {
    if random.below(6) == 0 {
        let extras =
            ["null", "[]", "{\"s\":[{\"b\":\"1\"}]}", "\"a\\nb\"", "-1.5e-7", "true", "[[],[{}]]"];
        members.push(("zz".to_owned(), word(random, &extras).to_owned()));
        members.push(("i".to_owned(), word(random, &extras).to_owned()));
    }
    if random.below(3) == 0 {
        for at in (1..members.len()).rev() {
            members.swap(at, random.below(at as u64 + 1) as usize);
        }
    }
    if random.below(20) == 0 && !members.is_empty() {
        members.remove(random.below(members.len() as u64) as usize);
    }
    if random.below(40) == 0 && !members.is_empty() {
        members.push(random.pick(&members).clone());
    }
    let spaced = random.below(5) == 0;
    let mut space = || match () {
        () if spaced && random.below(3) == 0 => *random.pick(&[" ", "\n", "\t ", "\r\n"]),
        () => "",
    };
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| {
            format!("{}\"{key}\"{}:{}{value}{}", space(), space(), space(), space())
        })
        .collect();
    format!("{}{{{}}}{}", space(), members.join(","), space())
}

fn binance(random: &mut Random) -> String {
    let data = match random.below(8) {
        0 => {
            let origin = ["MARKET", "INSURANCE_FUND", "ADL"];
            let mut members = pairs(&[
                ("e", quoted(word(random, &["trade", "aggTrade"]))),
                ("E", time(random)),
                ("s", name(random)),
                ("t", "17".to_owned()),
                ("p", price(random)),
                ("q", price(random)),
                ("T", time(random)),
                ("m", word(random, &["true", "false", "false", "null", "1"]).to_owned()),
            ]);
            if random.below(2) == 0 {
                members.push(("X".to_owned(), quoted(word(random, &origin))));
            }
            members
        }
        1 => pairs(&[
            ("e", quoted("markPriceUpdate")),
            ("E", time(random)),
            ("s", name(random)),
            ("p", price(random)),
            ("r", quoted(word(random, &["0.0001", "-0.00038167", "", "x", "2", "0.0000000001"]))),
            ("T", time(random)),
        ]),
        2 => {
            let events =
                ["depthUpdate", "kline", "24hrTicker", "forceOrder", "blockTrade", "new", ""];
            pairs(&[
                ("e", quoted(word(random, &events))),
                ("s", name(random)),
                ("b", "[]".to_owned()),
            ])
        }
        kind => {
            let mut members = Vec::new();
            if kind > 4 {
                members.push(("e".to_owned(), quoted("bookTicker")));
            }
            members.extend(pairs(&[
                ("u", word(random, &["17", "5123107839020", "0", "\"5\"", "-1"]).to_owned()),
                ("s", name(random)),
                ("b", price(random)),
                ("B", price(random)),
                ("a", price(random)),
                ("A", price(random)),
            ]));
            if kind > 5 {
                members.extend(pairs(&[("T", time(random)), ("E", time(random))]));
            }
            members
        }
    };
    let data = object(random, data);
    if random.below(2) == 0 {
        return data;
    }
    let stream = quoted(word(random, &["btcusdt@bookTicker", "!serverShutdown", "币@x", "a\\\"b"]));
    let data = if random.below(20) == 0 { "[1]".to_owned() } else { data };
    object(random, pairs(&[("stream", stream), ("data", data)]))
}

fn side(random: &mut Random) -> String {
    let levels: Vec<String> = (0..[1, 1, 1, 1, 0, 2, 3][random.below(7) as usize])
        .map(|_| match random.below(40) {
            0 => "[]".to_owned(),
            1 => "[\"1\"]".to_owned(),
            2 => "{}".to_owned(),
            3 => "[\"1.5\",\"2\",\"9\"]".to_owned(),
            4 | 5 => format!("[{},\"0\"]", price(random)),
            _ => format!("[{},{}]", price(random), price(random)),
        })
        .collect();
    format!("[{}]", levels.join(","))
}

fn bybit(random: &mut Random) -> String {
    let symbol = name(random);
    let bare = symbol.trim_matches('"').to_owned();
    let kind = quoted(word(random, &["snapshot", "snapshot", "delta", "delta", "delta", "full"]));
    let (topic, data) = match random.below(6) {
        0 => {
            let trades: Vec<String> = (0..random.below(4))
                .map(|_| {
                    let mut trade = pairs(&[
                        ("T", time(random)),
                        ("s", symbol.clone()),
                        ("S", quoted(word(random, &["Buy", "Sell", "Sell", "None"]))),
                        ("v", price(random)),
                        ("p", price(random)),
                    ]);
                    if random.below(3) > 0 {
                        let flags = ["false", "false", "false", "true", "0"];
                        trade.push(("BT".to_owned(), word(random, &flags).to_owned()));
                    }
                    object(random, trade)
                })
                .collect();
            (format!("publicTrade.{bare}"), format!("[{}]", trades.join(",")))
        }
        1 => {
            let mut ticker = pairs(&[("symbol", symbol)]);
            if random.below(2) == 0 {
                ticker.push(("markPrice".to_owned(), price(random)));
            }
            if random.below(2) == 0 {
                let rates = ["0.0001", "-0.0001", "", "x", "3"];
                ticker.push(("fundingRate".to_owned(), quoted(word(random, &rates))));
            }
            if random.below(2) == 0 {
                ticker.push(("nextFundingTime".to_owned(), time(random)));
            }
            (format!("tickers.{bare}"), object(random, ticker))
        }
        2 => {
            let topics =
                ["orderbook.50.BTCUSDT", "kline.1.BTCUSDT", "orderbook", "", "new.BTCUSDT"];
            (word(random, &topics).to_owned(), "{}".to_owned())
        }
        _ => {
            let id = word(random, &["1", "17", "18", "19", "20", "\"5\"", "-1"]).to_owned();
            let data = pairs(&[
                ("s", symbol),
                ("b", side(random)),
                ("a", side(random)),
                ("u", id),
                ("seq", "7961638724".to_owned()),
            ]);
            (format!("orderbook.1.{bare}"), object(random, data))
        }
    };
    let data = if random.below(40) == 0 { "null".to_owned() } else { data };
    let mut message = pairs(&[("topic", quoted(&topic)), ("type", kind), ("ts", time(random))]);
    message.extend(pairs(&[("data", data), ("cts", time(random))]));
    object(random, message)
}

/// F8, F10, F30: random messages and their corruptions; Bybit's with what it remembers.
#[test]
fn f8_f10_f30_random_messages_agree_with_the_oracle() {
    let mut random = Random::from_env("hostile");
    let mut used = [0u64; Kind::ALL.len()];
    for venue in venues() {
        let mut pair = Pair::new(venue, SYMBOLS);
        for _ in 0..40_000 {
            let make = match venue {
                "binance_spot" | "binance_usdm" => binance,
                "bybit_linear" | "bybit_spot" => bybit,
                venue => panic!("write a generator of {venue}'s messages above"),
            };
            let message = make(&mut random).into_bytes();
            let (decoded, _) = pair.check(&message, RECEIVED);
            if decoded.outcome == Outcome::Used {
                used[decoded.kind as usize] += 1;
            }
            let mut bad = message;
            let at = random.below(bad.len() as u64) as usize;
            match random.below(3) {
                0 => bad.truncate(at),
                1 => bad[at] = *random.pick(b"\"\\{}[]:,0-.eE \x00\x80\xff"),
                _ => drop(bad.remove(at)),
            }
            pair.check(&bad, RECEIVED);
        }
    }
    for kind in [Kind::Quote, Kind::Trade, Kind::Mark] {
        assert!(used[kind as usize] > 1000, "{}: {used:?}", kind.name());
    }
}

/// Noise gives nothing, and a message that is too deep or too long is refused before it costs.
#[test]
fn noise_depth_and_length() {
    let mut random = Random::from_env("noise");
    for venue in venues() {
        let mut codec = codec(venue, SYMBOLS);
        for _ in 0..20_000 {
            let noise: Vec<u8> = (0..random.below(300)).map(|_| random.next() as u8).collect();
            let (decoded, ticks) = decode(&mut *codec, &noise, RECEIVED);
            assert_eq!((decoded.kind, ticks.len()), (Kind::Malformed, 0));
        }
        let mut refused = |message: &str| {
            let (decoded, ticks) = decode(&mut *codec, message.as_bytes(), RECEIVED);
            assert!(ticks.is_empty());
            decoded.outcome
        };
        let deep = format!("{{\"x\":{}", "[".repeat(DEPTH_MAX as usize + 1));
        assert_eq!(refused(&deep), Outcome::Rejected(Rejection::Depth));
        let deep = format!("{{\"data\":{}", "{\"data\":".repeat(100_000));
        assert_eq!(refused(&deep), Outcome::Rejected(Rejection::Depth));
        let long = format!("{{\"x\":\"{}\"}}", "x".repeat(MESSAGE_MAX));
        assert_eq!(refused(&long), Outcome::Rejected(Rejection::TooLong));
    }
}
