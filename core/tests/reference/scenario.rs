//! Golden cases as text: one input per line, what it decides below it behind `>`.
//!
//! | line | meaning |
//! |---|---|
//! | `sources 2` | number of connections; 1 when left out |
//! | `instrument A price=2 qty=3 taker=0.05% …` | scales; then `mult tick lot min_fee age jump jump_ticks source peer` |
//! | `policy P fees=net blind=30s hold=10m: stop_loss 25% by mark; tiers 0.2%:50% 0.5%:100%` | rules in order |
//! | `open p P: long A 1 @ 100.5 paid 0.1 funding 0; short B …` | registers a position |
//! | `quote A 1.5 1.6 [id=7] [reset] [source=1]`, `trade A 1.5 [0.3 buy|sell [back=2s]] [source=1]`, `mark A 1.5`, `refused A`; of these `[late=2s]`: when it was received | market data |
//! | `funding A 0.01% in=8h`, `funding A 0.01% gap=4h` | a predicted rate, and when it settles: from now, or from the last settlement that was named |
//! | `alive 0`, `lost 0`, `connected 0` | sources |
//! | `fill p 0 0.5 [@ 101] [fee 0.05]`, `ended p done`, `read p 0 0.5`, `lost p 0 0.5` | the executor |
//! | `signal A short` | a signal; what is said of it is shown |
//! | `close p normal`, `close all critical`, `amounts p 0 50 0`, `confirm A` | the operator |
//! | `portfolio profit=1.1 loss=-10 …` | rules over all positions, see `portfolio_line` |
//! | `set reducing`, `reset loss`, `equity 9000`, `transfer -100` | the operator, for all positions |
//! | `total`, `notes` | prints total net and what may be done; what the engine said |
//! | `switch p Q`, `switch all Q`, `commit P Q` | policies; P is what is registered, Q what it gets |
//! | `rule p P 0 off`, `rule all P 0 on` | rules; one that a policy writes as `off stop_loss 2%` begins so |
//! | `liquidation p 0 41000`, `liquidation p 0 none` | where the venue liquidates a leg |
//! | `wait 60s` | time passes, timers run |
//! | `repeat 100` … `end` | the lines between, so often |
//! | `state p` | prints where the position stands |
//! | `show near`, `show lost` | from here on also near misses, or rules that held and lost |
//!
//! Every line takes one millisecond. Both the engine and the reference run the case.

use std::collections::BTreeMap;

use reap_core::event::{Command, Event, GateSettings, Outcome, Report, SourceChange, Which};
use reap_core::follower::NearMiss;
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
    VenueId,
};
use reap_core::intent::Urgency;
use reap_core::note::EngineNote;
use reap_core::policy::PolicyId;
use reap_core::position::{LegSpec, PositionId, PositionSpec, Side};
use reap_core::tick::{Quote, Refusal, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

use super::duel::{Duel, Mismatch};
use super::policy_line;
use super::portfolio_line;
use super::world::World;
use super::{Decision, Loser};

const START: Nanos = Nanos(1_700_000_000_000_000_000);
const STEP: Nanos = Nanos::from_millis(1);

/// Runs a case and returns it with what was decided.
pub(crate) fn run(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('>')).collect();
    let mut scenario = Scenario::declared(&lines);
    let mut output = String::new();
    let mut at = 0;
    while at < lines.len() {
        let decided = if let Some(times) = lines[at].strip_prefix("repeat ") {
            let length = lines[at..].iter().position(|&line| line == "end").expect("an end");
            let body = &lines[at + 1..at + length];
            for line in &lines[at..at + length] {
                output.push_str(&format!("{line}\n"));
            }
            at += length;
            let times = times.parse().expect("a number of times");
            let mut decided = Vec::new();
            for _ in 0..times {
                for line in body {
                    decided.append(&mut scenario.line(line));
                }
            }
            decided
        } else {
            scenario.line(lines[at])
        };
        output.push_str(&format!("{}\n", lines[at]));
        for line in decided {
            output.push_str(&format!("> {line}\n"));
        }
        at += 1;
    }
    output
}

struct Scenario {
    duel: Duel,
    now: Nanos,
    instruments: Vec<(String, InstrumentSpec, SourceId)>,
    policies: Vec<String>,
    positions: BTreeMap<String, (PositionId, PositionSpec)>,
    next_id: u64,
    /// The last settlement that was named for an instrument.
    settles: BTreeMap<InstrumentId, Nanos>,
    /// Whether near misses, and rules that lost, are told.
    show: (bool, bool),
}

impl Scenario {
    /// Instruments, policies and sources stand first in the engine, wherever they stand in the text.
    fn declared(lines: &[&str]) -> Self {
        let mut instruments: Vec<(String, InstrumentSpec, SourceId)> = Vec::new();
        let mut policies = Vec::new();
        let mut names = Vec::new();
        let mut sources = 1;
        let mut portfolio = None;
        for line in lines {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match word {
                "sources" => sources = rest.parse().expect("a number of sources"),
                "portfolio" => portfolio = Some(portfolio_line::settings(rest)),
                "instrument" => instruments.push(instrument(rest, &instruments)),
                "policy" => {
                    let (name, policy) = policy_line::policy(rest, &instruments);
                    names.push(name);
                    policies.push(policy);
                }
                _ => {}
            }
        }
        let checked = |(_, spec, _): &(String, InstrumentSpec, SourceId)| {
            Instrument::new(*spec).expect("a valid instrument")
        };
        let table: Vec<Instrument> = instruments.iter().map(checked).collect();
        let world = World::given(table, sources, GateSettings::default(), policies, portfolio);
        Self {
            duel: Duel::new(&world),
            now: START,
            instruments,
            policies: names,
            positions: BTreeMap::new(),
            next_id: 100,
            settles: BTreeMap::new(),
            show: (false, false),
        }
    }

    fn line(&mut self, line: &str) -> Vec<String> {
        let line = line.trim();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word.is_empty() || word.starts_with('#') {
            return Vec::new();
        }
        match word {
            "sources" | "instrument" | "policy" | "portfolio" => return Vec::new(),
            "total" => return vec![self.duel.standing()],
            "notes" => return self.duel.told(),
            "show" => {
                self.show.0 |= rest == "near";
                self.show.1 |= rest == "lost";
                return Vec::new();
            }
            "state" => {
                let state = self.duel.reference.state(self.positions[rest].0);
                let name = state.map(|state| format!("{state:?}").to_lowercase());
                return vec![format!("{rest} is {}", name.unwrap_or_default())];
            }
            _ => {}
        }
        let span = if word == "wait" { span(rest) } else { STEP };
        self.now = self.now.plus(span);
        let mut decided = agreed(line, self.duel.pass(self.now));
        match word {
            "wait" => {}
            "open" => decided.append(&mut self.open(line, rest)),
            _ => {
                let event = self.event(word, rest);
                decided.append(&mut agreed(line, self.duel.event(self.now, &event)));
            }
        }
        assert!(!self.duel.reference.inconsistent, "{line}: not in this state");
        let mut said: Vec<String> = decided.iter().map(|decision| self.render(decision)).collect();
        let notes = std::mem::take(&mut self.duel.said);
        said.extend(notes.iter().map(|note| self.said(note)));
        if self.show.1 {
            said.extend(self.duel.reference.losers.iter().map(|loser| self.loser(loser)));
        }
        let near = std::mem::take(&mut self.duel.near);
        if self.show.0 {
            said.extend(near.iter().map(|near| self.near(near)));
        }
        said
    }

    fn said(&self, note: &EngineNote) -> String {
        let side = |side| if side == Side::Long { "long" } else { "short" };
        let instrument = |id: InstrumentId| &self.instruments[usize::from(id.0)].0;
        match *note {
            EngineNote::SignalRefused { position, why } => {
                let found = self.positions.iter().find(|(_, (id, _))| *id == position);
                format!("{} refuses: {}", found.expect("of the case").0, why.name())
            }
            EngineNote::EntryAllowed { instrument: id, side: of } => {
                format!("entry {} {} allowed", instrument(id), side(of))
            }
            EngineNote::SignalDropped { instrument: id, side: of, why } => {
                format!("signal {} {} dropped: {}", instrument(id), side(of), why.name())
            }
            other => panic!("{other:?}: not said of a signal"),
        }
    }

    fn loser(&self, loser: &Loser) -> String {
        let Loser { rule, part, reason, urgency, why, .. } = loser;
        let rule = if *rule == 255 { "-".to_owned() } else { format!("{rule}.{part}") };
        let name = self.name(loser.position);
        let (reason, urgency, why) = (reason.name(), urgency.name(), why.name());
        format!("{name} lost {reason} {urgency} rule {rule} {why}")
    }

    /// Progress in whole tenths of a per mille, and the times since the first line in milliseconds.
    fn near(&self, near: &NearMiss) -> String {
        let NearMiss { rule, part, reason, progress, reached, nearest, left, .. } = near;
        let name = self.name(near.position);
        let [reached, nearest, left] =
            [reached, nearest, left].map(|at| at.since(START).0 / 1_000_000);
        let progress = Decimal { mantissa: i128::from(*progress), scale: 9 }.round_floor(4);
        format!(
            "{name} near {} rule {rule}.{part} at {progress}, reached {reached} nearest {nearest} \
             left {left}",
            reason.name()
        )
    }

    fn name(&self, position: PositionId) -> &str {
        let of = |(_, (id, _)): &(&String, &(PositionId, PositionSpec))| *id == position;
        let (name, _) = self.positions.iter().find(of).expect("it is a position of the case");
        name
    }

    fn open(&mut self, line: &str, rest: &str) -> Vec<Decision> {
        let (head, legs) = rest.split_once(':').expect("a colon before the legs");
        let (name, policy) = head.split_once(' ').expect("a name and a policy");
        let spec = PositionSpec {
            policy: self.policy(policy),
            opened: self.now,
            tag: 0,
            legs: legs.split(';').map(|leg| self.leg(leg)).collect(),
        };
        let registered = agreed(line, self.duel.register(self.now, &spec));
        let (id, decisions) = registered.unwrap_or_else(|| panic!("{line}: refused"));
        self.positions.insert(name.to_owned(), (id, spec));
        decisions
    }

    /// `long A 1 @ 100 paid 0 funding 0`
    fn leg(&self, text: &str) -> LegSpec {
        let words: Vec<&str> = text.split_whitespace().collect();
        let after = |word: &str| {
            let at = words.iter().position(|&found| found == word)?;
            Some(decimal(words[at + 1]))
        };
        let nought = Decimal { mantissa: 0, scale: 0 };
        let instrument = self.instrument(words[1]);
        let side = if words[0] == "long" { Side::Long } else { Side::Short };
        LegSpec {
            // A one-way account holds one side.
            account: AccountId(u8::from(side == Side::Short)),
            instrument,
            side,
            entry: self.price(instrument, after("@").expect("an entry price")),
            qty: self.qty(instrument, words[2]),
            fees_paid: after("paid").unwrap_or(nought),
            funding: after("funding").unwrap_or(nought),
            margin: after("margin"),
        }
    }

    fn event(&mut self, word: &str, rest: &str) -> Event {
        let words: Vec<&str> = rest.split_whitespace().collect();
        let source = |text: &str| SourceId(text.parse().expect("a source"));
        match word {
            "quote" => self.quote(&words),
            "trade" | "mark" | "refused" => {
                let id = self.instrument(words[0]);
                let (named, words): (Vec<_>, Vec<_>) =
                    words.into_iter().partition(|word| word.starts_with("source="));
                let named = named.first().and_then(|word| word.strip_prefix("source="));
                let from = named.map_or(self.instruments[usize::from(id.0)].2, source);
                let (late, words): (Vec<_>, Vec<_>) =
                    words.into_iter().partition(|word| word.starts_with("late="));
                let late = late.first().and_then(|word| word.strip_prefix("late="));
                let mut stamp = self.stamp(from, 0);
                stamp.received = stamp.received.minus(late.map_or(Nanos(0), span));
                let price = words.get(1).map(|price| self.price(id, decimal(price)));
                Event::Tick(match (word, price) {
                    ("trade", Some(price)) => {
                        let qty = words.get(2).map_or(Qty::ZERO, |qty| self.qty(id, qty));
                        let back = words.get(4).and_then(|word| word.strip_prefix("back="));
                        let at = self.now.minus(back.map_or(Nanos(0), span));
                        Tick::trade(id, stamp, price, qty, words.get(3) == Some(&"buy"), at)
                    }
                    ("mark", Some(price)) => Tick::mark(id, stamp, price),
                    _ => Tick::refused(id, stamp, Refusal::Crossed),
                })
            }
            "funding" => {
                let id = self.instrument(words[0]);
                let stamp = self.stamp(self.instruments[usize::from(id.0)].2, 0);
                let settles = match words[2].split_once('=').expect("in=8h or gap=4h") {
                    ("gap", by) => self.settles[&id].plus(span(by)),
                    (_, by) => self.now.plus(span(by)),
                };
                self.settles.insert(id, settles);
                Event::Tick(Tick::funding(id, stamp, rate(words[1]), settles))
            }
            "alive" => Event::Tick(Tick::alive(self.stamp(source(words[0]), 0))),
            "lost" => Event::Source(source(words[0]), SourceChange::Lost),
            "connected" => Event::Source(source(words[0]), SourceChange::Connected),
            "fill" => {
                let (position, spec) = &self.positions[words[0]];
                let leg: u8 = words[1].parse().expect("a leg");
                let held = spec.legs[usize::from(leg)];
                let after = |word: &str| {
                    let at = words.iter().position(|&found| found == word)?;
                    Some(decimal(words[at + 1]))
                };
                let price = after("@").map(|price| self.price(held.instrument, price));
                let of = &self.instruments[usize::from(held.instrument.0)].1;
                let scale = of.price_scale + of.qty_scale + of.multiplier.scale + 9;
                let fee = after("fee").map(|fee| fee.at_scale(scale).expect("as exact as money"));
                Event::Report(Report::Fill {
                    position: *position,
                    leg,
                    price: price.unwrap_or(held.entry),
                    qty: self.qty(held.instrument, words[2]),
                    fee: fee.unwrap_or(0),
                })
            }
            "read" | "gone" => {
                let (id, spec) = &self.positions[words[0]];
                let (position, leg) = (*id, words[1].parse().expect("a leg"));
                let qty = self.qty(spec.legs[usize::from(leg)].instrument, words[2]);
                Event::Report(match word {
                    "read" => Report::LegRead { position, leg, qty },
                    _ => Report::LegLost { position, leg, qty },
                })
            }
            "signal" => Event::Command(Command::Signal {
                instrument: self.instrument(words[0]),
                side: if words[1] == "long" { Side::Long } else { Side::Short },
            }),
            "ended" => {
                let outcome = match words[1] {
                    "missed" => Outcome::Missed,
                    "done" => Outcome::Done,
                    "dust" => Outcome::Dust,
                    _ => Outcome::Closed,
                };
                let position = self.positions[words[0]].0;
                Event::Report(Report::PlanEnded { position, intent: u64::MAX, outcome })
            }
            "close" => Event::Command(Command::Close {
                which: self.which(words[0]),
                urgency: urgency(words[1]),
            }),
            "amounts" => Event::Command(Command::Amounts {
                position: self.positions[words[0]].0,
                leg: words[1].parse().expect("a leg"),
                fees_paid: decimal(words[2]),
                funding: decimal(words[3]),
            }),
            "set" | "reset" | "equity" | "transfer" => {
                Event::Command(portfolio_line::command(word, rest))
            }
            "switch" => {
                let policy = self.policy(words[1]);
                Event::Command(Command::Policy { which: self.which(words[0]), policy })
            }
            "commit" => {
                let (of, policy) = (self.policy(words[0]), self.policy(words[1]));
                Event::Command(Command::Commit { of, policy })
            }
            "rule" => Event::Command(Command::Rule {
                which: self.which(words[0]),
                policy: self.policy(words[1]),
                rule: words[2].parse().expect("the index of a rule"),
                on: words[3] == "on",
            }),
            "liquidation" => {
                let (position, spec) = &self.positions[words[0]];
                let leg: u8 = words[1].parse().expect("a leg");
                let instrument = spec.legs[usize::from(leg)].instrument;
                let price = Some(words[2]).filter(|&word| word != "none");
                let price = price.map(|word| self.price(instrument, decimal(word)));
                Event::Command(Command::Liquidation { position: *position, leg, price })
            }
            "confirm" => Event::Command(Command::ConfirmJump(self.instrument(words[0]))),
            _ => panic!("{word}: no such line"),
        }
    }

    fn which(&self, word: &str) -> Which {
        match word {
            "all" => Which::All,
            name => Which::Position(self.positions[name].0),
        }
    }

    fn policy(&self, name: &str) -> PolicyId {
        let at = self.policies.iter().position(|known| known == name);
        PolicyId(at.unwrap_or_else(|| panic!("{name}: no such policy")) as u16)
    }

    fn quote(&mut self, words: &[&str]) -> Event {
        let id = self.instrument(words[0]);
        let mut source = self.instruments[usize::from(id.0)].2;
        self.next_id += 1;
        let mut update_id = self.next_id;
        let mut reset = false;
        for word in &words[3..] {
            match word.split_once('=') {
                Some(("id", value)) => update_id = value.parse().expect("an id"),
                Some(("source", value)) => source = SourceId(value.parse().expect("a source")),
                _ => reset = *word == "reset",
            }
        }
        let price = |word: &str| self.price(id, decimal(word)).raw();
        let quote = Quote::new(price(words[1]), price(words[2]), 1, 1).expect("a good quote");
        let stamp = Stamp { reset, ..self.stamp(source, update_id) };
        Event::Tick(Tick::quote(id, stamp, quote))
    }

    fn stamp(&self, source: SourceId, update_id: u64) -> Stamp {
        Stamp { source, received: self.now, update_id, venue_lag_us: 0, reset: false }
    }

    fn instrument(&self, name: &str) -> InstrumentId {
        let at = self.instruments.iter().position(|(known, ..)| known == name);
        InstrumentId(at.unwrap_or_else(|| panic!("{name}: no such instrument")) as u16)
    }

    fn price(&self, instrument: InstrumentId, value: Decimal) -> Price {
        let scale = self.instruments[usize::from(instrument.0)].1.price_scale;
        let mantissa = value.at_scale(scale).expect("as many decimals as the instrument has");
        Price::new(mantissa as i64).expect("a price")
    }

    fn qty(&self, instrument: InstrumentId, text: &str) -> Qty {
        let scale = self.instruments[usize::from(instrument.0)].1.qty_scale;
        let mantissa = decimal(text).at_scale(scale).expect("the instrument's decimals");
        Qty::new(mantissa as i64).expect("a quantity")
    }

    fn render(&self, decision: &Decision) -> String {
        let name = self.name(decision.position);
        let (_, spec) = &self.positions[name];
        let keep = |(qty, leg): (&Qty, &LegSpec)| {
            let scale = self.instruments[usize::from(leg.instrument.0)].1.qty_scale;
            Decimal { mantissa: i128::from(qty.raw()), scale }.to_string()
        };
        let keep: Vec<String> = decision.keep.iter().zip(&spec.legs).map(keep).collect();
        let Decision { rule, part, reason, urgency, .. } = decision;
        let rule = if *rule == 255 { "-".to_owned() } else { format!("{rule}.{part}") };
        format!("{name} {} {} rule {rule} keep {}", reason.name(), urgency.name(), keep.join(" "))
    }
}

fn agreed<T>(line: &str, result: Result<T, Mismatch>) -> T {
    result.unwrap_or_else(|mismatch| panic!("{line}: {}", mismatch.what))
}

pub(super) fn decimal(text: &str) -> Decimal {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let mantissa = format!("{whole}{rest}").parse();
    Decimal {
        mantissa: mantissa.unwrap_or_else(|_| panic!("{text}: not a number")),
        scale: rest.len() as u8,
    }
}

pub(super) fn rate(text: &str) -> Rate {
    let percent = decimal(text.strip_suffix('%').unwrap_or_else(|| panic!("{text}: not in %")));
    let share = Decimal { scale: percent.scale + 2, ..percent };
    Rate::new(share.at_scale(9).expect("whole parts per billion") as i64).expect("a rate")
}

pub(super) fn span(text: &str) -> Nanos {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic());
    let number: u64 = digits.parse().unwrap_or_else(|_| panic!("{text}: not a span"));
    match &text[digits.len()..] {
        "ms" => Nanos::from_millis(number),
        "s" => Nanos::from_secs(number),
        "m" => Nanos::from_secs(number * 60),
        "h" => Nanos::from_secs(number * 3600),
        _ => panic!("{text}: in ms, s, m or h"),
    }
}

fn urgency(text: &str) -> Urgency {
    let all = [Urgency::Opportunistic, Urgency::Normal, Urgency::Protective, Urgency::Critical];
    all.into_iter().find(|urgency| urgency.name() == text).expect("an urgency")
}

fn instrument(
    text: &str,
    before: &[(String, InstrumentSpec, SourceId)],
) -> (String, InstrumentSpec, SourceId) {
    let nought = Decimal { mantissa: 0, scale: 0 };
    let (name, rest) = text.split_once(' ').expect("a name and settings");
    let mut source = SourceId(0);
    // Golden cases assume confirmed prices (SPEC §11): no jump is held unless the case says so.
    let mut spec = InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 2,
        qty_scale: 3,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: 1,
        lot: 1,
        min_qty: 1,
        min_notional: nought,
        taker: Rate::ZERO,
        maker: Rate::ZERO,
        min_fee: nought,
        max_quote_age: Nanos::from_secs(60),
        jump_limit: rate("100%"),
        jump_ticks: 5,
        reduce_only: true,
        min_notional_on_reduce: true,
        peer: None,
    };
    for setting in rest.split_whitespace() {
        let (key, value) = setting.split_once('=').expect("key=value");
        let number = || value.parse::<i64>().expect("a whole number");
        match key {
            "price" => spec.price_scale = number() as u8,
            "qty" => spec.qty_scale = number() as u8,
            "mult" => spec.multiplier = decimal(value),
            "tick" => spec.tick = number(),
            "lot" => spec.lot = number(),
            "min_qty" => spec.min_qty = number(),
            "maker" => spec.maker = rate(value),
            "taker" => spec.taker = rate(value),
            "min_fee" => spec.min_fee = decimal(value),
            "age" => spec.max_quote_age = span(value),
            "jump" => spec.jump_limit = rate(value),
            "jump_ticks" => spec.jump_ticks = number(),
            "source" => source = SourceId(number() as u8),
            "peer" => {
                let at = before.iter().position(|(known, ..)| known == value);
                spec.peer = at.map(|at| InstrumentId(at as u16));
            }
            _ => panic!("{key}: no such setting"),
        }
    }
    (name.to_owned(), spec, source)
}
