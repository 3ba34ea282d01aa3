//! How one speaks with a venue: subscriptions, heartbeats, answers. Plain data and functions, so
//! that a venue's file is a table.

use reap_core::units::Nanos;

use super::Utf8Bytes;
use crate::decoded::Kind;

/// A venue's habits on market data connections.
#[derive(Debug)]
pub struct Dialect {
    /// Most topics in one request.
    pub topics_per_request: usize,
    /// Shortest time between two messages of ours, so that the venue's limit of messages a second
    /// holds with heartbeats and pongs beside them.
    pub spacing: Nanos,
    /// What keeps the connection alive; it is dead after two of its intervals without any frame.
    pub heartbeat: Heartbeat,
    /// Longest time without data on a connection that is well.
    pub silence: Nanos,
    /// Longest time without a quote of one topic that is well.
    pub mute: Nanos,
    /// How long the venue lets a connection live.
    pub life: Option<Nanos>,
    /// Writes a request with this id for these topics. Topics are given as JSON strings, quotes
    /// included.
    pub request: fn(Operation, u64, &str) -> String,
    /// Reads a message of kind [`Kind::Ack`] or [`Kind::Error`].
    pub answer: fn(&[u8], Kind) -> Answer,
}

/// What a request wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Begin.
    Subscribe,
    /// End.
    Unsubscribe,
}

/// A heartbeat of ours.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// How often.
    pub every: Nanos,
    /// A text message; a WebSocket ping when there is none.
    pub text: Option<Utf8Bytes>,
}

/// What the venue says of a request. Without an id it is about the one request that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Accepted {
        /// The request's id.
        id: Option<u64>,
    },
    /// Not done: the topic was subscribed before.
    Already {
        /// The request's id.
        id: Option<u64>,
    },
    /// Not done; maybe because of one of its topics only.
    Refused {
        /// The request's id.
        id: Option<u64>,
        /// The venue's words, shortened.
        why: String,
    },
    /// It is no answer to a subscription.
    None,
}

impl Answer {
    /// Longest text kept of a refusal.
    pub const WHY_MAX: usize = 160;

    /// A refusal in the venue's words, which are cut to [`Answer::WHY_MAX`] bytes; control
    /// characters become spaces.
    #[must_use]
    pub fn refused(id: Option<u64>, code: Option<&[u8]>, words: Option<&[u8]>) -> Self {
        let mut why = String::new();
        let code = code.map(String::from_utf8_lossy);
        let words = words.map(String::from_utf8_lossy);
        let parts = [code.as_deref().unwrap_or(""), words.as_deref().unwrap_or("")];
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            if !why.is_empty() {
                why.push(' ');
            }
            for char in part.chars() {
                if why.len() + char.len_utf8() > Self::WHY_MAX {
                    break;
                }
                why.push(if char.is_control() { ' ' } else { char });
            }
        }
        if why.is_empty() {
            why.push_str("no reason given");
        }
        Self::Refused { id, why }
    }
}

/// Appends text as a JSON string, quotes included.
pub fn quote_json(text: &str, to: &mut String) {
    to.push('"');
    for char in text.chars() {
        match char {
            '"' => to.push_str("\\\""),
            '\\' => to.push_str("\\\\"),
            char if char < ' ' => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let code = char as usize;
                to.push_str("\\u00");
                to.push(DIGITS[code >> 4].into());
                to.push(DIGITS[code & 15].into());
            }
            char => to.push(char),
        }
    }
    to.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_json_strings_whatever_is_in_them() {
        let text = "a\"b\\c\u{1f}\n币";
        let mut quoted = String::new();
        quote_json(text, &mut quoted);
        assert_eq!(quoted, "\"a\\\"b\\\\c\\u001f\\u000a币\"");
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text);
    }

    #[test]
    fn refusals_are_bounded_and_fit_a_terminal() {
        let long = "币".repeat(1000);
        let Answer::Refused { why, .. } =
            Answer::refused(None, Some(b"2"), Some(format!("a\x1b[31m{long}").as_bytes()))
        else {
            panic!("a refusal");
        };
        assert!(why.len() <= Answer::WHY_MAX && why.starts_with("2 a [31m币"), "{why}");
        let empty = Answer::refused(Some(3), None, Some(b""));
        assert_eq!(empty, Answer::Refused { id: Some(3), why: "no reason given".into() });
    }
}
