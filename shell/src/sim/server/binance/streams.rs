//! Market data streams: subscriptions by connection, and who gets what.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::sim::server::desk::{ConnId, Desk, Out};

/// Streams of one connection, at most.
const STREAMS_MAX: usize = 200;

/// Bytes of a stream's name, at most.
const NAME_MAX: usize = 100;

/// Which streams a path serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Category {
    Public,
    Market,
}

impl Category {
    /// The category of a path and what follows it. A path without one serves the public streams.
    pub(super) fn of(path: &str) -> Option<(Self, &str)> {
        let routes = [("/public", Self::Public), ("/market", Self::Market), ("", Self::Public)];
        routes.into_iter().find_map(|(prefix, category)| {
            let rest = path.strip_prefix(prefix)?;
            let is_streams = rest == "/ws" || rest.starts_with("/ws/") || rest == "/stream";
            is_streams.then_some((category, rest))
        })
    }

    /// The only category on which a stream is pushed.
    fn of_stream(name: &str) -> Self {
        let kind = name.split_once('@').map_or(name, |(_, kind)| kind);
        let is_public = ["bookTicker", "depth", "rpiDepth"]
            .iter()
            .any(|public| kind.trim_start_matches('!').starts_with(public));
        if is_public { Self::Public } else { Self::Market }
    }
}

struct Subscriber {
    category: Category,
    combined: bool,
    names: Vec<String>,
}

/// All subscriptions.
#[derive(Default)]
pub(super) struct Streams {
    subscribers: BTreeMap<ConnId, Subscriber>,
}

impl Streams {
    /// A connection whose path may name streams, apart by `/`.
    pub(super) fn open(&mut self, conn: ConnId, category: Category, combined: bool, names: &str) {
        let names = names.split('/').filter(|name| !name.is_empty()).take(STREAMS_MAX);
        let names = names.map(str::to_owned).collect();
        self.subscribers.insert(conn, Subscriber { category, combined, names });
    }

    pub(super) fn close(&mut self, conn: ConnId) {
        self.subscribers.remove(&conn);
    }

    pub(super) fn on_text(&mut self, desk: &mut Desk, conn: ConnId, text: &str) {
        let Some(subscriber) = self.subscribers.get_mut(&conn) else { return };
        let answer = subscriber.answer(text).unwrap_or_else(|(code, why)| {
            desk.counts.refused_requests += 1;
            json!({"code": code, "msg": why})
        });
        desk.send(conn, Out::Text(answer.to_string()));
    }

    /// Sends a message to those who subscribed to exactly that stream on its path.
    pub(super) fn push(&self, desk: &mut Desk, name: &str, message: &str) {
        let category = Category::of_stream(name);
        for (conn, subscriber) in &self.subscribers {
            if subscriber.category == category && subscriber.names.iter().any(|one| one == name) {
                let text = if subscriber.combined {
                    format!(r#"{{"stream":"{name}","data":{message}}}"#)
                } else {
                    message.to_owned()
                };
                desk.counts.pushed += 1;
                desk.send(*conn, Out::Text(text));
            }
        }
    }
}

impl Subscriber {
    /// The answer to a request. A stream that does not exist, or not on this path, is taken all the
    /// same: it only stays silent.
    fn answer(&mut self, text: &str) -> Result<Value, (i64, String)> {
        let invalid = |why: &str| (2, format!("Invalid request: {why}"));
        let request: Value = serde_json::from_str(text)
            .map_err(|_| (3, "Invalid JSON: expected value at line 1 column 1".to_owned()))?;
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        let is_id = match &id {
            Value::Null => true,
            Value::Number(number) => number.is_i64() || number.is_u64(),
            Value::String(text) => text.len() <= 36,
            _ => false,
        };
        if !is_id {
            return Err(invalid("request ID must be an unsigned integer"));
        }
        let method = request.get("method").and_then(Value::as_str);
        let names = || -> Result<Vec<String>, (i64, String)> {
            let list = request.get("params").and_then(Value::as_array);
            let list = list.ok_or_else(|| invalid("missing field `params`"))?;
            let name = |one: &Value| one.as_str().map(str::to_owned);
            let names: Option<Vec<String>> = list.iter().map(name).collect();
            names.ok_or_else(|| invalid("params must be strings"))
        };
        let result = match method {
            Some("SUBSCRIBE") => {
                let names = names()?;
                if names.iter().any(|name| name.len() > NAME_MAX) {
                    return Err(invalid("a stream name is too long"));
                }
                for name in names {
                    if !self.names.contains(&name) {
                        self.names.push(name);
                    }
                }
                if self.names.len() > STREAMS_MAX {
                    self.names.truncate(STREAMS_MAX);
                    return Err(invalid("too many streams for one connection"));
                }
                Value::Null
            }
            Some("UNSUBSCRIBE") => {
                let names = names()?;
                self.names.retain(|one| !names.contains(one));
                Value::Null
            }
            Some("LIST_SUBSCRIPTIONS") => json!(self.names),
            Some("SET_PROPERTY") => {
                let params = request.get("params").and_then(Value::as_array);
                match params.map(Vec::as_slice) {
                    Some([Value::String(name), Value::Bool(value)]) if name == "combined" => {
                        self.combined = *value;
                        Value::Null
                    }
                    Some([Value::String(name), _]) if name == "combined" => {
                        return Err((1, "Invalid value type: expected Boolean".to_owned()));
                    }
                    _ => return Err((0, "Unknown property".to_owned())),
                }
            }
            Some(other) => {
                return Err(invalid(&format!(
                    "unknown variant `{}`, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`",
                    other.chars().take(40).collect::<String>()
                )));
            }
            None => return Err(invalid("missing field `method`")),
        };
        Ok(json!({"result": result, "id": id}))
    }
}
