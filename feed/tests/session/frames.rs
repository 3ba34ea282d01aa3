//! What is subscribed where, and the exact messages.

use reap_core::units::Nanos;
use reap_feed::session::{LinkAction, LinkSettings, PlanBuilder};
use reap_feed::venues::{Host, VENUES, Venue};

use crate::rig::{Rig, SECOND, plans, symbols};

/// Everything sent in the first half minute, with pings by their name.
fn frames(venue: &str, plan: usize) -> Vec<String> {
    let mut rig = Rig::with(venue, 2, plan, LinkSettings::default(), 1);
    rig.advance(0);
    for _ in 0..25 {
        rig.advance(SECOND);
        rig.tick(rig.main(), 0);
    }
    let text = |(_, action): &(Nanos, LinkAction)| match action {
        LinkAction::Send(_, text) => Some(text.to_string()),
        LinkAction::Ping(_) => Some("<ping>".to_owned()),
        _ => None,
    };
    rig.log.iter().filter_map(text).take(2).collect()
}

#[test]
fn golden_binance_usdm() {
    assert_eq!(
        frames("binance_usdm", 0),
        [
            r#"{"method":"SUBSCRIBE","params":["c0usdt@bookTicker","c1usdt@bookTicker"],"id":1}"#,
            "<ping>"
        ]
    );
    assert_eq!(
        frames("binance_usdm", 1),
        [
            r#"{"method":"SUBSCRIBE","params":["c0usdt@aggTrade","c0usdt@markPrice@1s","c1usdt@aggTrade","c1usdt@markPrice@1s"],"id":1}"#,
            "<ping>"
        ]
    );
    let plans = plans("binance_usdm", &symbols(2));
    let paths: Vec<_> = plans.iter().map(|plan| (plan.name, plan.path.as_str())).collect();
    assert_eq!(paths, [("public", "/public/ws"), ("market", "/market/ws")]);
}

#[test]
fn golden_binance_spot() {
    assert_eq!(
        frames("binance_spot", 0),
        [
            r#"{"method":"SUBSCRIBE","params":["c0usdt@bookTicker","c0usdt@aggTrade","c1usdt@bookTicker","c1usdt@aggTrade"],"id":1}"#,
            "<ping>"
        ]
    );
    assert_eq!(plans("binance_spot", &symbols(1))[0].path, "/ws");
    // The second instrument does not tick.
    let mut rig = Rig::live("binance_spot", 2);
    rig.advance_ticking(62, &[0]);
    assert_eq!(
        rig.sent(),
        [
            r#"{"method":"UNSUBSCRIBE","params":["c1usdt@bookTicker"],"id":2}"#,
            r#"{"method":"SUBSCRIBE","params":["c1usdt@bookTicker"],"id":3}"#,
        ]
    );
}

#[test]
fn golden_bybit() {
    assert_eq!(
        frames("bybit_linear", 0),
        [
            r#"{"req_id":"1","op":"subscribe","args":["orderbook.1.C0USDT","publicTrade.C0USDT","tickers.C0USDT","orderbook.1.C1USDT","publicTrade.C1USDT","tickers.C1USDT"]}"#,
            // C1 does not tick.
            r#"{"req_id":"2","op":"unsubscribe","args":["orderbook.1.C1USDT"]}"#,
        ]
    );
    assert_eq!(
        frames("bybit_spot", 0)[0],
        r#"{"req_id":"1","op":"subscribe","args":["orderbook.1.C0USDT","publicTrade.C0USDT","orderbook.1.C1USDT","publicTrade.C1USDT"]}"#
    );
    assert_eq!(plans("bybit_linear", &symbols(1))[0].path, "/v5/public/linear");
    assert_eq!(plans("bybit_spot", &symbols(1))[0].path, "/v5/public/spot");
    let mut rig = Rig::live("bybit_linear", 1);
    rig.advance_ticking(20, &[0]);
    assert_eq!(rig.sent(), [r#"{"req_id":"ping","op":"ping"}"#]);
}

#[test]
fn golden_hosts() {
    let hosts = |name: &str| {
        let hosts = Venue::find(name).unwrap().hosts;
        [Host::Stream, Host::Orders, Host::Rest].map(|host| hosts.get(host))
    };
    assert_eq!(
        hosts("binance_usdm"),
        ["fstream.binance.com", "ws-fapi.binance.com", "fapi.binance.com"]
    );
    assert_eq!(
        hosts("binance_spot"),
        ["stream.binance.com", "ws-api.binance.com", "api.binance.com"]
    );
    for bybit in ["bybit_linear", "bybit_spot"] {
        assert_eq!(hosts(bybit), ["stream.bybit.com", "stream.bybit.com", "api.bybit.com"]);
    }
}

#[test]
fn many_instruments_are_divided_within_the_venues_limits() {
    for venue in VENUES {
        let names = symbols(1000);
        let plans = plans(venue.name, &names);
        let mut pulses = vec![0; names.len()];
        let mut labels = Vec::new();
        for plan in &plans {
            labels.push((plan.name, plan.part));
            match venue.name {
                "binance_spot" | "binance_usdm" => assert!(plan.topics.len() <= 200),
                "bybit_linear" | "bybit_spot" => {
                    let args: Vec<&str> = plan.topics.iter().map(|topic| &*topic.name).collect();
                    assert!(serde_json::to_string(&args).unwrap().len() <= 21_000);
                }
                venue => panic!("write the limits of {venue}'s connections here"),
            }
            for topic in plan.topics.iter().filter(|topic| topic.pulse) {
                pulses[usize::from(topic.instrument.0)] += 1;
            }
        }
        assert!(pulses.iter().all(|count| *count == 1), "{}", venue.name);
        assert!(plans.len() > 1, "{}", venue.name);
        labels.dedup();
        assert_eq!(labels.len(), plans.len(), "each has a name of its own");
        assert!((venue.streams)(&[]).is_empty());
    }
}

#[test]
fn bybit_spot_asks_for_ten_topics_at_a_time_and_binance_is_not_flooded() {
    let mut rig = Rig::new("bybit_spot", 30, LinkSettings::default());
    rig.advance(3 * SECOND);
    let sent = rig.sent();
    assert_eq!(sent.len(), 6);
    for text in &sent {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(json["args"].as_array().unwrap().len(), 10);
    }

    // A refusal of one in two hundred: never more than three messages in any second.
    let mut rig = Rig::new("binance_usdm", 200, LinkSettings::default());
    rig.refused = (0..200).step_by(9).map(|at| format!("c{at}usdt@bookTicker")).collect();
    for _ in 0..60 {
        rig.advance(SECOND);
        rig.tick(rig.main(), 1);
    }
    let times: Vec<u64> = rig
        .log
        .iter()
        .filter(|(_, action)| matches!(action, LinkAction::Send(..) | LinkAction::Ping(_)))
        .map(|(at, _)| at.0)
        .collect();
    assert!(times.len() > 50);
    for window in times.windows(5) {
        assert!(window[4] - window[0] >= SECOND, "{window:?}");
    }
}

#[test]
fn symbols_are_written_as_json_whatever_is_in_them() {
    let hostile = vec!["A\"],\"x\":[\"B\\".to_owned(), "币安人生USDT".to_owned()];
    let plan = plans("bybit_linear", &hostile).swap_remove(0);
    let names: Vec<String> = plan.topics.iter().map(|topic| topic.name.clone()).collect();
    let settings = LinkSettings::default();
    let mut link = reap_feed::session::Link::new(plan, settings, 1, Nanos(0));
    let mut budget = reap_feed::session::ConnectBudget::new(Default::default());
    link.on_timer(Nanos(0), &mut budget);
    let Some(LinkAction::Connect(slot)) = link.poll_action() else { panic!("connects") };
    link.on_open(slot, Nanos(1));
    link.poll_action();
    let Some(LinkAction::Send(_, text)) = link.poll_action() else { panic!("subscribes") };
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["args"], serde_json::json!(names));
}

#[test]
fn a_builder_without_room_still_keeps_an_instrument_together() {
    let dialect = plans("binance_spot", &symbols(1))[0].dialect;
    let mut builder = PlanBuilder::new("x", "/", dialect, 1, usize::MAX);
    for at in 0..3 {
        let topics = [("a".to_owned(), true), ("b".to_owned(), false)];
        builder.add(reap_core::instrument::InstrumentId(at), &topics);
    }
    let plans = builder.finish();
    assert!(plans.iter().all(|plan| plan.topics.len() == 2));
    assert_eq!(plans.iter().map(|plan| plan.part).collect::<Vec<_>>(), [1, 2, 3]);
}
