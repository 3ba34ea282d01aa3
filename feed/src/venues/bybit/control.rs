//! Acks, errors and pongs of the public streams.

use crate::decoded::{Decoded, Ignored, Kind};
use crate::json::Token;

/// The fields of a message that is not of a topic.
#[derive(Default)]
pub(super) struct Control {
    pub(super) op: Token,
    pub(super) success: Token,
    pub(super) ret_msg: Token,
    pub(super) ret_code: Token,
}

impl Control {
    /// What the message is. A public pong says `"op":"ping","ret_msg":"pong"`, a private one
    /// `"op":"pong"`.
    pub(super) fn decode(&self, raw: &[u8]) -> Decoded {
        let accepted = match self.success.boolean() {
            None if self.ret_code.is_present() => Some(self.ret_code.integer(raw) == Some(0)),
            success => success,
        };
        let kind = match (self.op.string(raw), accepted) {
            (_, Some(false)) => Kind::Error,
            (Some(b"pong"), _) => Kind::Pong,
            (Some(b"ping"), _) if self.ret_msg.string(raw) == Some(b"pong") => Kind::Pong,
            (Some(b"subscribe" | b"unsubscribe" | b"auth"), Some(true)) => Kind::Ack,
            _ => return Decoded::ignored(Kind::Unknown, Ignored::UnknownShape),
        };
        Decoded::control(kind)
    }
}
