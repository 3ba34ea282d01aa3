//! The life of one order, exhaustively: every order in which a venue, the wire and the desk may act,
//! walked with the very table that the executor runs ([`reap_core::protocol::next`]).
//!
//! An order of two lots travels, is lost, arrives, is filled lot by lot, ends. Its answers are lost,
//! repeated and late; what a venue says is true, and fills come before an end (the gateway's
//! promise). A venue may have forgotten an order that has ended. "No such order" counts only when
//! the ingestion bound has passed, after which no order arrives. In every state that can be reached:
//! an order that is over here is over there, and all that it traded is known. From every state an
//! end can be reached.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use reap_core::order::{OrderState, RejectClass};
use reap_core::protocol::{NOT_FOUNDS, Word, next};

const LOTS: u8 = 2;

/// Where the order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum There {
    UnderWay,
    Lost,
    Live { filled: u8 },
    Over { filled: u8, refused: bool },
}

/// One read of the holding, between question and answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Read {
    None,
    /// Asked for, and nothing was learnt since.
    Asked,
    /// Answered with what the order had traded by then.
    Answered {
        filled: u8,
    },
}

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    there: There,
    bound_passed: bool,
    here: OrderState,
    /// Trades that were counted: a bit each, and what a read has shown beside them.
    trades: u8,
    inferred: u8,
    read: Read,
}

type Table = fn(OrderState, Word) -> Option<OrderState>;

impl State {
    const FIRST: Self = Self {
        there: There::UnderWay,
        bound_passed: false,
        here: OrderState::Sent,
        trades: 0,
        inferred: 0,
        read: Read::None,
    };

    fn key(&self) -> String {
        format!("{self:?}")
    }

    fn known(&self) -> u8 {
        self.trades.count_ones() as u8 + self.inferred
    }

    fn filled(&self) -> u8 {
        match self.there {
            There::UnderWay | There::Lost => 0,
            There::Live { filled } | There::Over { filled, .. } => filled,
        }
    }

    /// The desk hears a word.
    fn hear(self, table: Table, word: Word) -> Option<Self> {
        table(self.here, word).map(|here| Self { here, ..self })
    }

    /// Everything that may happen next.
    fn steps(self, table: Table) -> Vec<(&'static str, Self)> {
        let mut steps = Vec::new();
        let there = |there| Self { there, ..self };
        match self.there {
            There::UnderWay => {
                steps.push(("arrives", there(There::Live { filled: 0 })));
                steps.push(("is refused", there(There::Over { filled: 0, refused: true })));
                steps.push(("is lost", there(There::Lost)));
            }
            There::Live { filled } => {
                if filled + 1 < LOTS {
                    steps.push(("trades", there(There::Live { filled: filled + 1 })));
                } else {
                    let over = There::Over { filled: filled + 1, refused: false };
                    steps.push(("trades the rest", there(over)));
                }
                steps.push(("ends", there(There::Over { filled, refused: false })));
            }
            There::Lost | There::Over { .. } => {}
        }
        if !self.bound_passed && self.there != There::UnderWay {
            steps.push(("the bound passes", Self { bound_passed: true, ..self }));
        }
        if let Read::Asked = self.read {
            let read = Read::Answered { filled: self.filled() };
            steps.push(("the holding is read", Self { read, ..self }));
        }
        if self.here.is_live() {
            steps.extend(self.words(table));
        }
        steps
    }

    /// What the desk may hear or do while the order is live to it.
    fn words(self, table: Table) -> Vec<(&'static str, Self)> {
        let mut steps = Vec::new();
        let mut word = |name, word| {
            steps.extend(self.hear(table, word).map(|state| (name, state)));
        };
        word("is doubted", Word::Doubted);
        match self.there {
            There::Live { .. } | There::Over { refused: false, .. } => {
                word("ack is heard", Word::Acked);
            }
            There::Over { refused: true, .. } => {
                word("refusal is heard", Word::Rejected(RejectClass::Price));
            }
            _ => {}
        }
        let ended = matches!(self.there, There::Over { refused: false, .. });
        if ended && self.known() == self.filled() && self.filled() < LOTS {
            word("end is heard", Word::Expired);
        }
        let forgotten = matches!(self.there, There::Lost | There::Over { .. });
        if self.bound_passed && forgotten {
            word("no such order is heard", Word::NotFound);
        }
        for trade in 0..self.filled() {
            let bit = 1 << trade;
            if self.trades & bit == 0 {
                let all = self.known() + 1 == LOTS;
                let word = if all { Word::Full } else { Word::Part };
                let heard = self.hear(table, word);
                // What is learnt makes an earlier question void.
                let heard = heard.map(|state| Self {
                    trades: self.trades | bit,
                    read: Read::None,
                    ..state
                });
                steps.extend(heard.map(|state| ("fill is heard", state)));
            }
        }
        if self.here == (OrderState::Unknown { not_found: NOT_FOUNDS }) {
            match self.read {
                Read::None => {
                    steps.push(("a read is asked for", Self { read: Read::Asked, ..self }));
                }
                Read::Asked => {}
                Read::Answered { filled } => {
                    let inferred = filled - self.known();
                    let word = match (filled, inferred) {
                        (LOTS, _) => Word::Full,
                        (_, 0) => Word::Proven,
                        _ => Word::Expired,
                    };
                    let settled = self.hear(table, word);
                    let settled = settled.map(|state| Self {
                        inferred: state.inferred + inferred,
                        read: Read::None,
                        ..state
                    });
                    steps.extend(settled.map(|state| ("the read is believed", state)));
                }
            }
        }
        steps
    }

    /// What is wrong with it.
    fn violation(&self) -> Option<&'static str> {
        let may_trade = matches!(self.there, There::UnderWay | There::Live { .. });
        if self.known() > self.filled() {
            return Some("more is known than was traded");
        }
        if self.here.is_live() {
            return None;
        }
        if may_trade {
            return Some("it is over here and may still trade there");
        }
        (self.known() != self.filled()).then_some("it is over here, and not all of it is known")
    }
}

/// All states that can be reached; an error is the way to a wrong one.
fn explore(table: Table) -> Result<usize, String> {
    let mut came: BTreeMap<String, (Option<String>, &'static str)> = BTreeMap::new();
    let mut before: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut queue = VecDeque::from([State::FIRST]);
    came.insert(State::FIRST.key(), (None, "is sent"));
    let mut ends = Vec::new();
    while let Some(state) = queue.pop_front() {
        let key = state.key();
        if let Some(violation) = state.violation() {
            let mut way = vec![violation.to_owned()];
            let mut at = Some(key);
            while let Some(key) = at {
                let (from, step) = came[&key].clone();
                way.push(format!("{step}: {key}"));
                at = from;
            }
            way.reverse();
            return Err(way.join("\n"));
        }
        if !state.here.is_live() {
            ends.push(key.clone());
        }
        for (name, to) in state.steps(table) {
            before.entry(to.key()).or_default().push(key.clone());
            if let Entry::Vacant(place) = came.entry(to.key()) {
                place.insert((Some(key.clone()), name));
                queue.push_back(to);
            }
        }
    }
    // Backwards from the ends: nothing waits for ever.
    let mut reaches: BTreeSet<String> = ends.iter().cloned().collect();
    let mut queue = VecDeque::from(ends);
    while let Some(key) = queue.pop_front() {
        for from in before.get(&key).into_iter().flatten() {
            if reaches.insert(from.clone()) {
                queue.push_back(from.clone());
            }
        }
    }
    match came.keys().find(|key| !reaches.contains(*key)) {
        Some(stuck) => Err(format!("no end can be reached from {stuck}")),
        None => Ok(came.len()),
    }
}

#[test]
fn over_here_is_over_there_in_every_state_that_can_be_reached() {
    let states = explore(next).unwrap_or_else(|way| panic!("{way}"));
    assert!(states > 100, "{states} states");
}

/// The model can fail: each of these tables is wrong, and it says how.
#[test]
fn wrong_tables_are_told_from_the_right_one() {
    let cases: [(&str, Table, &str); 5] = [
        (
            "a doubt ends the order",
            |state, word| match word {
                Word::Doubted => next(state, Word::Rejected(RejectClass::Unavailable)),
                _ => next(state, word),
            },
            "may still trade there",
        ),
        (
            "no such order is the end of it",
            |state, word| match word {
                Word::NotFound => state.is_live().then_some(OrderState::Dead),
                _ => next(state, word),
            },
            "not all of it is known",
        ),
        (
            "an ack is the end of it",
            |state, word| match word {
                Word::Acked => next(state, Word::Expired),
                _ => next(state, word),
            },
            "over here",
        ),
        (
            "an unknown order hears no fills",
            |state, word| match (state, word) {
                (OrderState::Unknown { .. }, Word::Part | Word::Full | Word::Expired) => None,
                (OrderState::Unknown { .. }, Word::Acked | Word::NotFound) => None,
                _ => next(state, word),
            },
            "no end can be reached",
        ),
        (
            "no read is proof",
            |state, word| match (state, word) {
                (OrderState::Unknown { .. }, Word::Proven) => None,
                _ => next(state, word),
            },
            "no end can be reached",
        ),
    ];
    for (name, table, wrong) in cases {
        let way = explore(table).expect_err(name);
        assert!(way.contains(wrong), "{name}: {way}");
    }
}
