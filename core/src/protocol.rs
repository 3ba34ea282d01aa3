//! The life of an order: where it stands, what is heard of it, and what it becomes.
//!
//! One table, [`next`]. The executor runs it, and whoever checks the protocol walks the same one.
//!
//! **Silence is not evidence, and neither is a failure.** An order that was handed out keeps its
//! reservation until the venue has ended it, or until it is proven that the venue never had it:
//! two authoritative answers that there is no such order, [`INGESTION_BOUND`] after it was sent and
//! at least [`NOT_FOUND_APART`] from each other, and then a read of the holding that was asked for
//! after the second one. Until then no other order takes its quantity.
//!
//! [`INGESTION_BOUND`]: crate::limits::INGESTION_BOUND
//! [`NOT_FOUND_APART`]: crate::limits::NOT_FOUND_APART

use crate::order::{OrderState, RejectClass};

/// Answers "no such order" after which a read of the holding decides.
pub const NOT_FOUNDS: u8 = 2;

/// What is heard of an order, as far as its state is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The venue has taken it.
    Acked,
    /// A part of it was filled.
    Part,
    /// All that was left of it was filled.
    Full,
    /// The venue has ended it: what was not filled is cancelled.
    Expired,
    /// The venue has refused it.
    Rejected(RejectClass),
    /// Nobody can say what became of it: no answer in time, a lost connection, or an answer that
    /// leaves it open.
    Doubted,
    /// The venue was asked, late enough, and has no such order.
    NotFound,
    /// The holding was read after that, and every order of it is accounted for.
    Proven,
}

/// What an order becomes by a word. `None` is a word that its state does not expect: it is counted
/// and changes nothing.
#[must_use]
pub const fn next(state: OrderState, word: Word) -> Option<OrderState> {
    use OrderState as State;
    match state {
        State::Sent | State::Acked | State::PartiallyFilled | State::Unknown { .. } => {}
        State::Filled | State::Expired | State::Rejected(_) | State::Dead => return None,
    }
    Some(match word {
        // An ack that comes after a fill takes nothing back.
        Word::Acked => match state {
            State::PartiallyFilled => State::PartiallyFilled,
            _ => State::Acked,
        },
        Word::Part => State::PartiallyFilled,
        Word::Full => State::Filled,
        Word::Expired => State::Expired,
        Word::Rejected(class) => State::Rejected(class),
        // A further doubt takes back nothing that the venue has answered.
        Word::Doubted => match state {
            State::Unknown { not_found } => State::Unknown { not_found },
            _ => State::Unknown { not_found: 0 },
        },
        Word::NotFound => match state {
            State::Unknown { not_found } if not_found < NOT_FOUNDS => {
                State::Unknown { not_found: not_found + 1 }
            }
            State::Unknown { not_found } => State::Unknown { not_found },
            _ => State::Unknown { not_found: 1 },
        },
        Word::Proven => match state {
            State::Unknown { not_found } if not_found >= NOT_FOUNDS => State::Dead,
            _ => return None,
        },
    })
}
