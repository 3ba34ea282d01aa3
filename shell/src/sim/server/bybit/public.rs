//! The public topics: subscriptions, first snapshots, repeats, and the books of the feed.

use std::collections::BTreeMap;

use reap_core::units::Nanos;
use serde_json::{Value, json};

use super::{conn_id, names};
use crate::sim::server::SimOptions;
use crate::sim::server::desk::{ConnId, Desk, Out};
use crate::sim::server::quotes;

const BOOK: &str = "orderbook.1.";
const TICKERS: &str = "tickers.";
const TRADES: &str = "publicTrade.";

/// The latest whole state of a topic.
struct Known {
    message: Value,
    /// As it was written last; `None` for a ticker put together from changes.
    raw: Option<String>,
    at: Nanos,
}

/// All subscriptions, and what a new subscriber is shown first.
#[derive(Default)]
pub(super) struct Topics {
    subscribers: BTreeMap<ConnId, Vec<String>>,
    known: BTreeMap<String, Known>,
}

impl Topics {
    pub(super) fn open(&mut self, conn: ConnId) {
        self.subscribers.insert(conn, Vec::new());
    }

    pub(super) fn close(&mut self, conn: ConnId) {
        self.subscribers.remove(&conn);
    }

    pub(super) fn on_request(&mut self, desk: &mut Desk, conn: ConnId, request: &Value) {
        let Some(topics) = self.subscribers.get_mut(&conn) else { return };
        let op = request.get("op").and_then(Value::as_str).unwrap_or_default();
        let req_id = request.get("req_id").and_then(Value::as_str).unwrap_or_default();
        let mut fresh = Vec::new();
        let result = match op {
            "ping" => Ok("pong"),
            "subscribe" | "unsubscribe" => match names(request) {
                Err(refused) => Err(refused.text),
                Ok(names) => match names.iter().find(|name| !is_topic(desk, name)) {
                    // One topic that is none fails the whole request.
                    Some(name) => Err(format!("error:handler not found,topic:{name}")),
                    None if op == "subscribe" => {
                        fresh = names;
                        Ok("")
                    }
                    None => {
                        topics.retain(|topic| !names.contains(topic));
                        Ok("")
                    }
                },
            },
            _ => Err("error:request op not found".to_owned()),
        };
        if result.is_err() {
            desk.counts.refused_requests += 1;
        }
        let (success, text) = match &result {
            Ok(text) => (true, *text),
            Err(text) => (false, text.as_str()),
        };
        let answer = json!({"success": success, "ret_msg": text, "conn_id": conn_id(conn), "req_id": req_id, "op": op});
        desk.send(conn, Out::Text(answer.to_string()));
        for name in fresh {
            // Subscribing again brings the snapshot again.
            if let Some(known) = self.known.get(&name) {
                desk.counts.pushed += 1;
                desk.send(conn, Out::Text(known.text()));
            }
            if !topics.contains(&name) {
                topics.push(name);
            }
        }
    }

    pub(super) fn on_market(&mut self, desk: &mut Desk, raw: &str) {
        let parsed: Option<Value> = serde_json::from_str(raw).ok();
        let Some((topic, message)) = parsed.and_then(|message| {
            let topic = message.get("topic")?.as_str()?.to_owned();
            Some((topic, message))
        }) else {
            // An acknowledgement of the recording's own subscription, for example.
            desk.counts.unknown_market += 1;
            return;
        };
        let is_snapshot = message.get("type").and_then(Value::as_str) == Some("snapshot");
        if let Some(symbol) = topic.strip_prefix(BOOK) {
            if is_snapshot {
                take_book(desk, symbol, &message);
                self.note(desk, &topic, message, Some(raw));
            }
        } else if topic.starts_with(TICKERS) {
            if is_snapshot {
                self.note(desk, &topic, message, Some(raw));
            } else {
                self.change(desk, &topic, message);
            }
        }
        self.push(desk, &topic, raw);
    }

    fn note(&mut self, desk: &Desk, topic: &str, message: Value, raw: Option<&str>) {
        let known = Known { message, raw: raw.map(str::to_owned), at: desk.now() };
        self.known.insert(topic.to_owned(), known);
    }

    /// A ticker's changed fields go into its snapshot.
    fn change(&mut self, desk: &Desk, topic: &str, mut message: Value) {
        if let Some(known) = self.known.get(topic)
            && let Some(old) = known.message.get("data").and_then(Value::as_object)
            && let Some(new) = message.get_mut("data").and_then(Value::as_object_mut)
        {
            for (name, value) in old {
                new.entry(name).or_insert_with(|| value.clone());
            }
        }
        message["type"] = json!("snapshot");
        self.note(desk, topic, message, None);
    }

    fn push(&self, desk: &mut Desk, topic: &str, message: &str) {
        for (conn, topics) in &self.subscribers {
            if topics.iter().any(|one| one == topic) {
                desk.counts.pushed += 1;
                desk.send(*conn, Out::Text(message.to_owned()));
            }
        }
    }

    /// Books that did not change for a while are sent again as they were.
    pub(super) fn repeat(&mut self, desk: &mut Desk) {
        let (now, after) = (desk.now(), desk.options.repeat_after);
        let mut quiet = Vec::new();
        for (topic, known) in &mut self.known {
            if topic.starts_with(BOOK) && known.at.plus(after) <= now {
                known.at = now;
                quiet.push((topic.clone(), known.text()));
            }
        }
        for (topic, text) in quiet {
            self.push(desk, &topic, &text);
        }
    }

    pub(super) fn next_repeat(&self, options: &SimOptions) -> Option<Nanos> {
        let books = self.known.iter().filter(|(topic, _)| topic.starts_with(BOOK));
        books.map(|(_, known)| known.at.plus(options.repeat_after)).min()
    }
}

impl Known {
    fn text(&self) -> String {
        self.raw.clone().unwrap_or_else(|| self.message.to_string())
    }
}

/// Whether a topic exists: its kind, and a listed symbol.
fn is_topic(desk: &Desk, name: &str) -> bool {
    let symbol = [BOOK, TICKERS, TRADES].iter().find_map(|kind| name.strip_prefix(kind));
    symbol.is_some_and(|symbol| desk.by_symbol(symbol).is_some())
}

fn take_book(desk: &mut Desk, symbol: &str, message: &Value) {
    let Some(listed) = desk.by_symbol(symbol) else { return };
    let data = &message["data"];
    let first = |side: &str, place: usize| data[side][0][place].as_str();
    let texts = [first("b", 0), first("a", 0), first("b", 1), first("a", 1)];
    let at = message.get("cts").and_then(Value::as_u64).unwrap_or(desk.now_ms());
    match quotes::best(&desk.listed[listed], texts, at) {
        Some(best) => desk.on_quote(listed, best),
        None => desk.counts.refused_quotes += 1,
    }
}
