//! A link, a venue that answers it, and an account of what must never happen.

use std::collections::BTreeSet;

use reap_core::instrument::{InstrumentId, SourceId};
use reap_core::tick::{Tick, TickKind};
use reap_core::units::Nanos;
use reap_feed::session::{
    BudgetSettings, ConnectBudget, Link, LinkAction, LinkEvent, LinkReason, LinkSettings, Slot,
    StreamPlan, Wanted,
};
use reap_feed::symbols::{Symbol, Symbols};
use reap_feed::venues::{MarketCodec, Venue};

pub const SECOND: u64 = 1_000_000_000;

/// How the test knows a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Idle,
    Connecting,
    Open,
}

pub struct Rig {
    pub link: Link,
    pub budget: ConnectBudget,
    pub now: Nanos,
    pub phases: [Phase; 2],
    codecs: [Box<dyn MarketCodec>; 2],
    venue: &'static Venue,
    symbols: Vec<String>,
    /// Everything that the link wanted, with its time.
    pub log: Vec<(Nanos, LinkAction)>,
    /// What went to the engine: instrument, update id.
    pub engine: Vec<(InstrumentId, u64)>,
    /// Connections are opened as soon as they are asked for.
    pub accepts: bool,
    /// Requests are answered as soon as they are sent.
    pub answers: bool,
    /// Topics that the venue refuses, and all requests with one of them.
    pub refused: BTreeSet<String>,
    update_id: u64,
}

pub fn symbols(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("C{at}USDT")).collect()
}

pub fn plans(venue: &str, symbols: &[String]) -> Vec<StreamPlan> {
    let wanted: Vec<Wanted<'_>> = symbols
        .iter()
        .enumerate()
        .map(|(at, symbol)| Wanted { instrument: InstrumentId(at as u16), symbol })
        .collect();
    (Venue::find(venue).unwrap().streams)(&wanted)
}

impl Rig {
    /// The first plan of a venue with so many instruments.
    pub fn new(venue: &str, instruments: usize, settings: LinkSettings) -> Self {
        Self::with(venue, instruments, 0, settings, 1)
    }

    pub fn with(
        venue: &str,
        instruments: usize,
        plan: usize,
        settings: LinkSettings,
        seed: u64,
    ) -> Self {
        let names = symbols(instruments);
        let plan = plans(venue, &names).swap_remove(plan);
        let venue = Venue::find(venue).unwrap();
        let codec = || {
            let rows = names.iter().enumerate().map(|(at, name)| {
                let instrument = InstrumentId(at as u16);
                (name.as_str(), Symbol { instrument, price_scale: 2, qty_scale: 3 })
            });
            (venue.market)(Symbols::new(rows).unwrap())
        };
        let now = Nanos(1_700_000_000 * SECOND);
        Self {
            link: Link::new(plan, settings, seed, now),
            budget: ConnectBudget::new(BudgetSettings::default()),
            now,
            phases: [Phase::Idle; 2],
            codecs: [codec(), codec()],
            venue,
            symbols: names,
            log: Vec::new(),
            engine: Vec::new(),
            accepts: true,
            answers: true,
            refused: BTreeSet::new(),
            update_id: 1,
        }
    }

    /// A rig that is live.
    pub fn live(venue: &str, instruments: usize) -> Self {
        let mut rig = Self::new(venue, instruments, LinkSettings::default());
        rig.advance(SECOND);
        rig.tick_all(rig.main());
        assert_eq!(rig.events(), [LinkEvent::Connected, LinkEvent::Live]);
        rig.log.clear();
        rig
    }

    pub fn main(&self) -> Slot {
        self.link.forwarding().unwrap()
    }

    fn phase(&mut self, slot: Slot) -> &mut Phase {
        &mut self.phases[slot as usize]
    }

    /// Carries out what the link wants, and holds it to its rules.
    pub fn drain(&mut self) {
        while let Some(action) = self.link.poll_action() {
            self.log.push((self.now, action.clone()));
            match action {
                LinkAction::Connect(slot) => {
                    assert_eq!(*self.phase(slot), Phase::Idle, "{slot:?} is connected once");
                    *self.phase(slot) = Phase::Connecting;
                    if self.accepts {
                        self.open(slot);
                    }
                }
                LinkAction::Send(slot, text) => {
                    assert_eq!(*self.phase(slot), Phase::Open, "sent on an open connection");
                    if self.answers {
                        self.answer(slot, &text);
                    }
                }
                LinkAction::Ping(slot) => {
                    assert_eq!(*self.phase(slot), Phase::Open, "pinged on an open connection");
                }
                LinkAction::Close(slot, reason) => {
                    assert_ne!(*self.phase(slot), Phase::Idle, "nothing to close: {reason}");
                    *self.phase(slot) = Phase::Idle;
                }
                LinkAction::Replay(tick) => self.give(&tick),
                LinkAction::Changed(event) => {
                    assert!(!self.link.tell(event).to_string().is_empty());
                }
            }
        }
        if let Some(slot) = self.link.forwarding() {
            assert_eq!(*self.phase(slot), Phase::Open, "only an open connection gives ticks");
        }
    }

    fn give(&mut self, tick: &Tick) {
        if tick.kind() == TickKind::Quote {
            self.engine.push((tick.instrument(), tick.stamp().update_id));
        }
    }

    pub fn open(&mut self, slot: Slot) {
        *self.phase(slot) = Phase::Open;
        self.codecs[slot as usize].reset();
        self.link.on_open(slot, self.now);
        self.drain();
    }

    pub fn fail(&mut self, slot: Slot, retry_after: Option<Nanos>) {
        *self.phase(slot) = Phase::Idle;
        self.link.on_failed(slot, self.now, retry_after);
        self.drain();
    }

    pub fn cut(&mut self, slot: Slot) {
        *self.phase(slot) = Phase::Idle;
        self.link.on_closed(slot, self.now);
        self.drain();
    }

    /// The venue's answer to a message of ours.
    fn answer(&mut self, slot: Slot, text: &str) {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        if json["op"] == "ping" {
            let pong = r#"{"success":true,"ret_msg":"pong","conn_id":"3","req_id":"","op":"ping"}"#;
            return self.message(slot, pong);
        }
        let topics = json["params"].as_array().or(json["args"].as_array()).unwrap();
        let bad = topics.iter().filter_map(|topic| topic.as_str());
        let bad: Vec<&str> = bad.filter(|topic| self.refused.contains(*topic)).collect();
        let reply = match (bad.first(), json["op"].as_str()) {
            (None, None) => format!(r#"{{"result":null,"id":{}}}"#, json["id"]),
            (Some(_), None) => r#"{"code":2,"msg":"Invalid request: bad stream"}"#.to_owned(),
            (bad, Some(op)) => {
                let words = bad.map(|topic| format!("error:handler not found,topic:{topic}"));
                format!(
                    r#"{{"success":{},"ret_msg":"{}","conn_id":"3","req_id":{},"op":"{op}"}}"#,
                    bad.is_none(),
                    words.unwrap_or_default(),
                    json["req_id"],
                )
            }
        };
        self.message(slot, &reply);
    }

    /// A message of the venue, through the codec.
    pub fn message(&mut self, slot: Slot, raw: &str) {
        let (link, now) = (&mut self.link, self.now);
        let mut given = Vec::new();
        let decoded =
            self.codecs[slot as usize].decode(raw.as_bytes(), now, SourceId(0), &mut |tick| {
                if link.on_tick(slot, now, &tick) {
                    given.push(tick);
                }
            });
        self.link.on_message(slot, now, raw.as_bytes(), decoded);
        for tick in given {
            self.give(&tick);
        }
        self.drain();
    }

    /// A quote of one instrument with a new update id.
    pub fn tick(&mut self, slot: Slot, instrument: usize) {
        self.update_id += 1;
        self.tick_of(slot, instrument, self.update_id);
    }

    pub fn tick_of(&mut self, slot: Slot, instrument: usize, id: u64) {
        let name = &self.symbols[instrument];
        let raw = quote(self.venue.name, name, id);
        self.message(slot, &raw);
    }

    pub fn tick_all(&mut self, slot: Slot) {
        for instrument in 0..self.symbols.len() {
            self.tick(slot, instrument);
        }
    }

    /// Time passes; timers are called when they are due and at no other time.
    pub fn advance(&mut self, span: u64) {
        let end = self.now.plus(Nanos(span));
        let mut again = 0;
        loop {
            match self.link.next_timer() {
                Some(at) if at <= end => {
                    again = if at <= self.now { again + 1 } else { 0 };
                    assert!(again < 8, "a timer that ran is not due for ever");
                    self.now = at.max(self.now);
                    self.link.on_timer(self.now, &mut self.budget);
                    self.drain();
                }
                _ => break,
            }
        }
        self.now = end;
    }

    /// Time passes while these instruments tick each second on the connection in use.
    pub fn advance_ticking(&mut self, seconds: u64, instruments: &[usize]) {
        for _ in 0..seconds {
            self.advance(SECOND);
            if let Some(slot) = self.link.forwarding() {
                instruments.iter().for_each(|&instrument| self.tick(slot, instrument));
            }
        }
    }

    pub fn events(&self) -> Vec<LinkEvent> {
        let event = |(_, action): &(Nanos, LinkAction)| match action {
            LinkAction::Changed(event) => Some(*event),
            _ => None,
        };
        self.log.iter().filter_map(event).collect()
    }

    pub fn closes(&self) -> Vec<(Slot, LinkReason)> {
        let close = |(_, action): &(Nanos, LinkAction)| match action {
            LinkAction::Close(slot, reason) => Some((*slot, *reason)),
            _ => None,
        };
        self.log.iter().filter_map(close).collect()
    }

    pub fn sent(&self) -> Vec<String> {
        let sent = |(_, action): &(Nanos, LinkAction)| match action {
            LinkAction::Send(_, text) => Some(text.to_string()),
            _ => None,
        };
        self.log.iter().filter_map(sent).collect()
    }

    pub fn connects(&self) -> Vec<Nanos> {
        let is_connect = |action: &LinkAction| matches!(action, LinkAction::Connect(_));
        let at = self.log.iter().filter(|(_, action)| is_connect(action));
        at.map(|(at, _)| *at).collect()
    }
}

/// A quote in the venue's words.
pub fn quote(venue: &str, name: &str, id: u64) -> String {
    match venue {
        "binance_usdm" => format!(
            r#"{{"e":"bookTicker","u":{id},"s":"{name}","b":"25.35","B":"31.2","a":"25.36","A":"40.6","T":1,"E":1}}"#
        ),
        "binance_spot" => {
            format!(r#"{{"u":{id},"s":"{name}","b":"25.35","B":"31.2","a":"25.36","A":"40.6"}}"#)
        }
        _ => format!(
            r#"{{"topic":"orderbook.1.{name}","ts":1672304484978,"type":"snapshot","data":{{"s":"{name}","b":[["25.35","0.006"]],"a":[["25.36","0.007"]],"u":{id},"seq":7}},"cts":1672304484976}}"#
        ),
    }
}
