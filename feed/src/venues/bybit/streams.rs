//! The connections of Bybit, and how one speaks there.
//!
//! The client pings in JSON every 20 seconds. The best bid and offer are sent again after three
//! quiet seconds, so silence is told soon. No age ends a connection.

use reap_core::units::Nanos;

use crate::decoded::Kind;
use crate::json::{Cursor, JsonError, Token};
use crate::session::{
    Answer, Dialect, Heartbeat, Operation, PlanBuilder, StreamPlan, Utf8Bytes, Wanted,
};

/// Most bytes of the topics of one connection: 21,000 characters, brackets included.
const ARGS_BYTES_MAX: usize = 21_000 - 2;

static LINEAR: Dialect = dialect(100);
/// Spot takes at most ten topics in a request.
static SPOT: Dialect = dialect(10);

const fn dialect(topics_per_request: usize) -> Dialect {
    Dialect {
        topics_per_request,
        spacing: Nanos::from_millis(100),
        heartbeat: Heartbeat {
            every: Nanos::from_secs(20),
            text: Some(Utf8Bytes::from_static(r#"{"req_id":"ping","op":"ping"}"#)),
        },
        silence: Nanos::from_secs(10),
        mute: Nanos::from_secs(7),
        life: None,
        request,
        answer,
    }
}

/// `orderbook.1`, `publicTrade` and `tickers` (mark price, funding).
pub(super) fn linear(wanted: &[Wanted<'_>]) -> Vec<StreamPlan> {
    plans("/v5/public/linear", &LINEAR, true, wanted)
}

/// `orderbook.1` and `publicTrade`; there is no mark price on spot.
pub(super) fn spot(wanted: &[Wanted<'_>]) -> Vec<StreamPlan> {
    plans("/v5/public/spot", &SPOT, false, wanted)
}

fn plans(
    path: &str,
    dialect: &'static Dialect,
    has_marks: bool,
    wanted: &[Wanted<'_>],
) -> Vec<StreamPlan> {
    let mut public = PlanBuilder::new("public", path, dialect, usize::MAX, ARGS_BYTES_MAX);
    for Wanted { instrument, symbol } in wanted {
        let mut topics =
            vec![(format!("orderbook.1.{symbol}"), true), (format!("publicTrade.{symbol}"), false)];
        if has_marks {
            topics.push((format!("tickers.{symbol}"), false));
        }
        public.add(*instrument, &topics);
    }
    public.finish()
}

fn request(operation: Operation, id: u64, topics: &str) -> String {
    let op = match operation {
        Operation::Subscribe => "subscribe",
        Operation::Unsubscribe => "unsubscribe",
    };
    format!(r#"{{"req_id":"{id}","op":"{op}","args":[{topics}]}}"#)
}

/// `{"success":…,"ret_msg":…,"req_id":…,"op":…}`; the documentation has answers with an empty id.
fn answer(raw: &[u8], kind: Kind) -> Answer {
    let Ok(fields) = Fields::scan(raw) else { return Answer::None };
    // Refusals of what is no valid operation at all carry an empty one.
    if let Some(b"ping" | b"pong" | b"auth") = fields.op.string(raw) {
        return Answer::None;
    }
    let id = fields.req_id.loose_integer(raw);
    if kind == Kind::Ack {
        return Answer::Accepted { id };
    }
    let words = fields.ret_msg.string(raw);
    if words.is_some_and(|words| words.starts_with(b"error:already subscribed")) {
        return Answer::Already { id };
    }
    Answer::refused(id, None, words)
}

#[derive(Default)]
struct Fields {
    op: Token,
    req_id: Token,
    ret_msg: Token,
}

impl Fields {
    fn scan(raw: &[u8]) -> Result<Self, JsonError> {
        let mut fields = Self::default();
        let mut cursor = Cursor::new(raw)?;
        let mut object = cursor.object()?;
        while let Some(key) = cursor.key(&mut object)? {
            let value = cursor.value()?;
            match key {
                b"op" => fields.op.fill(value)?,
                b"req_id" => fields.req_id.fill(value)?,
                b"ret_msg" => fields.ret_msg.fill(value)?,
                _ => {}
            }
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_and_without_ids() {
        let accepted = |id| Answer::Accepted { id };
        let unknown = "error:handler not found,topic:orderbook.1.X";
        let refused = |id| Answer::Refused { id, why: unknown.into() };
        let message = |success: bool, words: &str, id: &str, op: &str| {
            format!(
                r#"{{"success":{success},"ret_msg":"{words}","conn_id":"3c","req_id":"{id}","op":"{op}"}}"#
            )
        };
        let already = "error:already subscribed,topic:orderbook.1.X";
        let cases = [
            (message(true, "", "", "subscribe"), Kind::Ack, accepted(None)),
            (message(true, "subscribe", "10001", "subscribe"), Kind::Ack, accepted(Some(10001))),
            (message(true, "", "3", "unsubscribe"), Kind::Ack, accepted(Some(3))),
            (message(false, unknown, "4", "subscribe"), Kind::Error, refused(Some(4))),
            (message(false, unknown, "", ""), Kind::Error, refused(None)),
            (
                message(false, already, "5", "subscribe"),
                Kind::Error,
                Answer::Already { id: Some(5) },
            ),
            (message(true, "", "", "auth"), Kind::Ack, Answer::None),
            (message(false, "no", "ping", "ping"), Kind::Error, Answer::None),
            ("[1]".to_owned(), Kind::Error, Answer::None),
        ];
        for (raw, kind, expected) in cases {
            assert_eq!(answer(raw.as_bytes(), kind), expected, "{raw}");
        }
    }
}
