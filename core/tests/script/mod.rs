//! A script's reader: what happens, each line followed by what must come out.
//!
//! A line that begins with `>` is output, anything else is a command; `run` reads them. Prices and
//! quantities are whole numbers. Instruments: A and B are fine-grained; C has tick 5, lot 10,
//! minimum 20 and a minimum notional of 200000. B is at venue 1, the others at venue 0.

use crate::common::{Table, ZERO, instrument};
use reap_core::budget::{Quota, VenueBudget};
use reap_core::event::Report;
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{AccountId, Instrument, InstrumentId, InstrumentSpec, VenueId};
use reap_core::intent::{Intent, Reason, Urgency};
use reap_core::limits::LEGS_MAX;
use reap_core::net::{Cmp, Compiled, LegForm, NetForm};
use reap_core::note::ExecutorNote;
use reap_core::order::{
    Ask, ClientOrderId, HoldingRead, OrderChange, OrderEvent, OrderSide, RejectClass,
};
use reap_core::policy::{ExitSettings, PolicyId};
use reap_core::position::{LegSpec, PositionId, PositionSpec, Side};
use reap_core::pricing::Top;
use reap_core::tick::Quote;
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

struct Desk {
    executor: Executor,
    quotes: Table,
    now: Nanos,
    positions: Vec<PositionSpec>,
    /// Of each leg the newest order and the two before.
    newest: Vec<[[Option<ClientOrderId>; 3]; LEGS_MAX]>,
    trade_id: u64,
    intents: u64,
    settings: ExitSettings,
    /// Questions and notes, until a line asks for them.
    asked: Vec<String>,
    noted: Vec<String>,
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.trim_start_matches(['@', '#', '+'])
        .parse()
        .unwrap_or_else(|_| panic!("{word} is no number"))
}

impl Desk {
    fn new() -> Self {
        let elsewhere = InstrumentSpec { venue: VenueId(1), ..*instrument(1, 1, 1, 0).spec() };
        let instruments = [
            instrument(1, 1, 1, 0),
            Instrument::new(elsewhere).unwrap(),
            instrument(5, 10, 20, 200_000),
        ];
        let limits = ExecutorLimits { positions: 4, orders: 8 };
        Self {
            executor: Executor::new(limits, &instruments, 7),
            quotes: Table(vec![None; 3]),
            now: Nanos::from_secs(1_000),
            positions: Vec::new(),
            newest: Vec::new(),
            trade_id: 0,
            intents: 0,
            settings: ExitSettings::default(),
            asked: Vec::new(),
            noted: Vec::new(),
        }
    }

    fn run(&mut self, line: &str) -> Vec<String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "quote" => self.quote(&words),
            "position" => self.position(&words[1..]),
            "intent" => self.intent(&words),
            "wait" => return self.wait(number(words[1])),
            "read" => self.read(&words),
            "asks" => return vec![list(&mut self.asked)],
            "notes" => return vec![list(&mut self.noted)],
            "leg" => {
                let view = self.executor.leg(PositionId(number(words[1])), number(words[2]));
                let view = view.unwrap();
                let state = view.order.map_or("no order".into(), |(_, state)| format!("{state:?}"));
                return vec![format!("open {} live {} {state}", view.open.raw(), view.live.raw())];
            }
            "stop" | "go" => {
                self.executor.on_stopped(self.now, words[0] == "stop", &self.quotes);
            }
            "plan" => return vec![self.plan(number(words[1]))],
            "limited" => {
                let wait = Nanos::from_millis(number(words[2]));
                self.executor.on_limited(self.now, VenueId(number(words[1])), wait);
            }
            "budget" => self.budget(number(words[1]), number(words[2])),
            "venue" => return vec![self.venue(number(words[1]))],
            "max_unhedged" => {
                self.settings.max_unhedged = Some(Decimal { mantissa: number(words[1]), scale: 0 });
            }
            "realised" => {
                let realised = self.executor.realised(PositionId(number(words[1]))).unwrap();
                return vec![format!("realised {}", realised.at_scale(0).unwrap())];
            }
            "count" => {
                let counters = format!("{:?}", self.executor.counters());
                let at = counters.find(&format!("{}: ", words[1])).expect("a counter's name");
                let end = counters[at..].find(", ").unwrap_or(counters.len() - at);
                return vec![counters[at..at + end].to_owned()];
            }
            _ => self.event(&words),
        }
        self.drain()
    }

    fn quote(&mut self, words: &[&str]) {
        let index = usize::from(words[1].as_bytes()[0] - b'A');
        let size = |i: usize| words.get(i).map_or(1_000_000, |word| number(word));
        let quote = Quote::new(number(words[2]), number(words[3]), size(4), size(5)).unwrap();
        self.quotes.0[index] = Some(Top { quote, received: self.now });
    }

    /// `position A long 10 @100 , B short …`
    fn position(&mut self, words: &[&str]) {
        let legs = words.split(|&word| word == ",").map(|words| LegSpec {
            account: AccountId(1),
            instrument: InstrumentId(u16::from(words[0].as_bytes()[0] - b'A')),
            side: if words[1] == "long" { Side::Long } else { Side::Short },
            entry: Price::new(number(words[3])).unwrap(),
            qty: Qty::new(number(words[2])).unwrap(),
            fees_paid: ZERO,
            funding: ZERO,
            margin: None,
        });
        let spec =
            PositionSpec { policy: PolicyId(0), opened: self.now, tag: 0, legs: legs.collect() };
        let id = PositionId(self.positions.len() as u32);
        self.executor.register(id, &spec, &self.settings).unwrap();
        self.positions.push(spec);
        self.newest.push([[None; 3]; LEGS_MAX]);
    }

    /// `intent 0 take_profit [>=X | <=X | net K] [keep Q] [URGENCY]`
    fn intent(&mut self, words: &[&str]) {
        let position: usize = number(words[1]);
        let legs = &self.positions[position].legs;
        let reason = *Reason::ALL.iter().find(|reason| reason.name() == words[2]).unwrap();
        let mut intent = Intent {
            seq: self.intents,
            at: self.now,
            position: PositionId(position as u32),
            policy_version: 1,
            rule: 0,
            part: 0,
            reason,
            urgency: reason.urgency(),
            legs: legs.len() as u8,
            keep: [Qty::ZERO; LEGS_MAX],
            compiled: Compiled::Unconditional,
            inputs: [None; LEGS_MAX],
        };
        let mut rest = words[3..].iter();
        while let Some(&word) = rest.next() {
            match word {
                "keep" => intent.keep = [Qty::new(number(rest.next().unwrap())).unwrap(); LEGS_MAX],
                "net" => intent.compiled = net(legs, number(rest.next().unwrap())),
                "parts" => intent.part = number(rest.next().unwrap()),
                "normal" => intent.urgency = Urgency::Normal,
                "opportunistic" => intent.urgency = Urgency::Opportunistic,
                _ => {
                    let (cmp, limit) = word.split_at(2);
                    let cmp = if cmp == ">=" { Cmp::AtLeast } else { Cmp::AtMost };
                    intent.compiled = Compiled::Price { cmp, limit: number(limit) };
                }
            }
        }
        self.intents += 1;
        self.executor.on_intent(self.now, &intent, &self.quotes);
    }

    /// Lets time pass, timer by timer.
    fn wait(&mut self, millis: u64) -> Vec<String> {
        let mut out = Vec::new();
        let end = self.now.plus(Nanos::from_millis(millis));
        while let Some(at) = self.executor.next_timer().filter(|&at| at <= end) {
            self.now = at;
            self.executor.on_timer(at, &self.quotes);
            out.append(&mut self.drain());
        }
        self.now = end;
        out
    }

    /// `read A -5 [ago 100]`: what account 1 holds of an instrument, asked for so many milliseconds
    /// before.
    fn read(&mut self, words: &[&str]) {
        let index = words[1].as_bytes()[0] - b'A';
        let ago = words.get(4).map_or(0, |word| number(word));
        let read = HoldingRead {
            account: AccountId(1),
            instrument: InstrumentId(u16::from(index)),
            qty: number(words[2]),
            asked: self.now.minus(Nanos::from_millis(ago)),
        };
        self.executor.on_read(self.now, &read, &self.quotes);
    }

    /// `ack 0.1`, `fill 0.1 5 @100 [#trade]`, `expire 0.1`, `reject 0.1 price`, `doubt 0.1`,
    /// `no_such 0.1`: of the newest order of a position's leg; `0.1~` is the one before,
    /// `0.1~~` the one before that.
    fn event(&mut self, words: &[&str]) {
        let before = words[1].matches('~').count();
        let (position, leg) = words[1].trim_end_matches('~').split_once('.').expect("position.leg");
        let (position, leg): (usize, usize) = (number(position), number(leg));
        let what = match words[0] {
            "ack" => OrderChange::Acked,
            "expire" => OrderChange::Expired,
            "doubt" => OrderChange::Doubted,
            "no_such" => OrderChange::NotFound,
            "reject" => OrderChange::Rejected(match words[2] {
                "price" => RejectClass::Price,
                "size" => RejectClass::Size,
                "rate" => RejectClass::RateLimit,
                "unavailable" => RejectClass::Unavailable,
                _ => RejectClass::Fatal,
            }),
            "fill" => {
                self.trade_id += 1;
                OrderChange::Filled {
                    trade_id: words.get(4).map_or(self.trade_id, |word| number(word)),
                    price: Price::new(number(words[3])).unwrap(),
                    qty: Qty::new(number(words[2])).unwrap(),
                    fee: 0,
                }
            }
            other => panic!("unknown command {other}"),
        };
        let id = self.newest[position][leg][before].expect("an order was sent");
        self.executor.on_order_event(self.now, &OrderEvent { id, what }, &self.quotes);
    }

    /// So many orders within ten seconds, and a weight of 100 within a minute: 1 of an order, 4 of a
    /// question, 20 of a read.
    fn budget(&mut self, venue: u8, orders: u32) {
        let budget = VenueBudget {
            orders: Quota { max: orders, span: Nanos::from_secs(10) },
            weight: Quota { max: 100, span: Nanos::from_secs(60) },
            order_weight: 1,
            query_weight: 4,
            read_weight: 20,
        };
        self.executor.set_budget(VenueId(venue), budget).unwrap();
    }

    fn venue(&self, venue: u8) -> String {
        let view = self.executor.venues(self.now).nth(usize::from(venue)).unwrap();
        let held = view.held.map_or_else(String::new, |why| format!(", held {why:?}"));
        let millis = |of: Nanos| of.0 / 1_000_000;
        format!("{} of {} now, {} ms{held}", view.at_once, view.orders, millis(view.wait))
    }

    fn plan(&self, position: u32) -> String {
        let Some(plan) = self.executor.plan(PositionId(position)) else { return "none".into() };
        let stuck = if plan.stuck { " stuck" } else { "" };
        format!("{} {} number {}{stuck}", plan.urgency.name(), plan.reason.name(), plan.number)
    }

    fn drain(&mut self) -> Vec<String> {
        let mut out = Vec::new();
        let name = |id: ClientOrderId| format!("{}.{}", id.position.0, id.leg);
        let letter = |of: InstrumentId| char::from(b'A' + of.0 as u8);
        while let Some(ask) = self.executor.poll_ask() {
            self.asked.push(match ask {
                Ask::Order { id, .. } => format!("order {}", name(id)),
                Ask::Holding { instrument, .. } => format!("holding {}", letter(instrument)),
                Ask::Forget { id, .. } => format!("forget {}", name(id)),
            });
        }
        while let Some(note) = self.executor.poll_note() {
            self.noted.push(match note {
                ExecutorNote::Proven { id, inferred } => {
                    format!("proven {} {}", name(id), inferred.raw())
                }
                ExecutorNote::Stuck { position } => format!("stuck {}", position.0),
                ExecutorNote::Legging { position, leg, notional } => {
                    format!("legging {}.{leg} {}", position.0, money(notional))
                }
                ExecutorNote::Unhedged { position, lasted, notional } => {
                    let millis = lasted.0 / 1_000_000;
                    format!("unhedged {} {millis} ms {}", position.0, money(notional))
                }
                ExecutorNote::Hedged { position, lasted, most } => {
                    let millis = lasted.0 / 1_000_000;
                    format!("hedged {} {millis} ms {}", position.0, money(most))
                }
                ExecutorNote::EntryUnhedged { task } => format!("entry unhedged {}", task.0),
                ExecutorNote::VenueHeld { venue, why } => format!("held {} {why:?}", venue.0),
                ExecutorNote::HalfHeld { position, leg, venue } => {
                    format!("half held {}.{leg} {}", position.0, venue.0)
                }
                ExecutorNote::VenueResumed { venue } => format!("resumed {}", venue.0),
                ExecutorNote::VenueLimited { venue, until } => {
                    format!("limited {} {} ms", venue.0, until.since(self.now).0 / 1_000_000)
                }
                ExecutorNote::TakenBack { task, .. } => format!("taken back {}", task.0),
            });
        }
        while let Some(report) = self.executor.poll_report() {
            out.push(match report {
                Report::Fill { position, leg, price, qty, .. } => {
                    format!("fill {}.{leg} {} @{}", position.0, qty.raw(), price.raw())
                }
                Report::PlanEnded { position, outcome, .. } => {
                    format!("ended {} {outcome:?}", position.0)
                }
                other => format!("{other:?}"),
            });
        }
        while let Some(order) = self.executor.poll_order() {
            let (position, leg) = (order.id.position.0, order.id.leg);
            let newest = &mut self.newest[position as usize][usize::from(leg)];
            *newest = [Some(order.id), newest[0], newest[1]];
            let side = if order.side == OrderSide::Sell { "sell" } else { "buy" };
            let limit = order.limit.map_or("market".into(), |limit| format!("@{}", limit.raw()));
            out.push(format!("{side} {position}.{leg} {} {limit}", order.qty.raw()));
        }
        out
    }
}

fn money(amount: Decimal) -> i128 {
    amount.at_scale(0).unwrap()
}

fn list(of: &mut Vec<String>) -> String {
    if of.is_empty() { "nothing".into() } else { std::mem::take(of).join(", ") }
}

/// Σ side·x·quantity ≥ least, without fees.
fn net(legs: &[LegSpec], least: i128) -> Compiled {
    let mut form = NetForm {
        legs: [LegForm::NONE; LEGS_MAX],
        count: legs.len() as u8,
        cmp: Cmp::AtLeast,
        bound: least * 1_000_000_000,
    };
    for (form, leg) in form.legs.iter_mut().zip(legs) {
        *form = LegForm::new(leg.side, leg.qty.raw(), Rate::ZERO, Rate::ZERO, 0);
    }
    Compiled::Net(form)
}

/// Runs a script and compares the whole transcript.
pub(crate) fn check(script: &str) {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    let expected: Vec<&str> = lines.clone().collect();
    let mut desk = Desk::new();
    let mut got = Vec::new();
    for line in lines.filter(|line| !line.starts_with('>')) {
        got.push(line.to_owned());
        got.extend(desk.run(line).into_iter().map(|out| format!("> {out}")));
    }
    assert_eq!(got.join("\n"), expected.join("\n"));
}
