//! How one speaks with Binance's streams, spot and USD-M alike.
//!
//! The venue pings and the transport answers; pings of ours find half-open connections. Spot takes
//! five messages a second, pings and pongs included, USD-M ten; a connection lives 24 hours.

use reap_core::units::Nanos;

use crate::decoded::Kind;
use crate::json::{Cursor, JsonError, Token};
use crate::session::{Answer, Dialect, Heartbeat, Operation};

/// Most streams of one connection: the older of two limits that the documentation gives for USD-M
/// (200 and 1024), and below the 1024 of spot.
pub(super) const STREAMS_MAX: usize = 200;

pub(super) static DIALECT: Dialect = Dialect {
    topics_per_request: STREAMS_MAX,
    // Three requests a second leave room for a ping and a pong.
    spacing: Nanos::from_millis(400),
    heartbeat: Heartbeat { every: Nanos::from_secs(20), text: None },
    silence: Nanos::from_secs(30),
    // Quotes come with changes only: a quiet instrument is silent for long.
    mute: Nanos::from_secs(60),
    life: Some(Nanos::from_secs(24 * 3600)),
    request,
    answer,
};

fn request(operation: Operation, id: u64, topics: &str) -> String {
    let method = match operation {
        Operation::Subscribe => "SUBSCRIBE",
        Operation::Unsubscribe => "UNSUBSCRIBE",
    };
    format!(r#"{{"method":"{method}","params":[{topics}],"id":{id}}}"#)
}

/// `{"result":null,"id":1}`; `{"code":2,"msg":"…"}` with or without an id, or the same inside of
/// `error`.
fn answer(raw: &[u8], kind: Kind) -> Answer {
    let Ok(fields) = Fields::scan(raw) else { return Answer::None };
    let id = fields.id.loose_integer(raw);
    if kind == Kind::Ack {
        return Answer::Accepted { id };
    }
    let inner = if fields.error.is_object() {
        Fields::walk(&mut Cursor::at(raw, fields.error)).unwrap_or_default()
    } else {
        Fields::default()
    };
    let either = |outer: Token, inner: Token| if outer.is_present() { outer } else { inner };
    let code = either(fields.code, inner.code).bytes(raw);
    let words = either(fields.msg, inner.msg).string(raw);
    Answer::refused(id, Some(code), words)
}

#[derive(Default)]
struct Fields {
    id: Token,
    code: Token,
    msg: Token,
    error: Token,
}

impl Fields {
    fn scan(raw: &[u8]) -> Result<Self, JsonError> {
        Self::walk(&mut Cursor::new(raw)?)
    }

    fn walk(cursor: &mut Cursor<'_>) -> Result<Self, JsonError> {
        let mut fields = Self::default();
        let mut object = cursor.object()?;
        while let Some(key) = cursor.key(&mut object)? {
            let value = cursor.value()?;
            match key {
                b"id" => fields.id.fill(value)?,
                b"code" => fields.code.fill(value)?,
                b"msg" => fields.msg.fill(value)?,
                b"error" => fields.error.fill(value)?,
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
        let refused = |id, why: &str| Answer::Refused { id, why: why.into() };
        let cases: [(&str, Kind, Answer); 7] = [
            (r#"{"result":null,"id":1}"#, Kind::Ack, Answer::Accepted { id: Some(1) }),
            (r#"{"result":null,"id":"12"}"#, Kind::Ack, Answer::Accepted { id: Some(12) }),
            (r#"{"id":null,"result":null}"#, Kind::Ack, Answer::Accepted { id: None }),
            (
                r#"{"code":2,"msg":"Invalid request: unknown stream"}"#,
                Kind::Error,
                refused(None, "2 Invalid request: unknown stream"),
            ),
            (
                r#"{"error":{"code":-1121,"msg":"Invalid symbol."},"id":7}"#,
                Kind::Error,
                refused(Some(7), "-1121 Invalid symbol."),
            ),
            (r#"{"error":"x"}"#, Kind::Error, refused(None, "no reason given")),
            (r#"{"id":1"#, Kind::Error, Answer::None),
        ];
        for (raw, kind, expected) in cases {
            assert_eq!(answer(raw.as_bytes(), kind), expected, "{raw}");
        }
    }
}
