//! One venue that lies, and the gateway before it: an honest matching core behind a wire that loses,
//! delays and repeats, and answers to questions that are late, missing or "no such order".
//!
//! What a gateway promises of its events holds here too: an order's end comes after all of its
//! fills, so that what is lost of its answers is lost from some point on.

use std::collections::BTreeMap;

use reap_core::budget::{Quota, VenueBudget};
use reap_core::instrument::{AccountId, Instrument, InstrumentId};
use reap_core::order::{
    Ask, ClientOrderId, HoldingRead, Order, OrderChange, OrderEvent, RejectClass,
};
use reap_core::tick::Quote;
use reap_core::units::Nanos;

use super::met::{Kind, Met};
use super::wire::Wire;
use crate::sim::{Matching, Random};

/// Patience of a gateway with an order that nothing is heard of.
const PATIENCE: Nanos = Nanos::from_secs(2);
/// Pause after a question for a holding that was not answered.
const ASK_AGAIN: Nanos = Nanos::from_millis(500);
/// An order that is held back arrives within this, or never: below the ingestion bound with the
/// answers' own delay.
const LATE_MAX_MS: u64 = 25_000;
/// Answers that come at all come within this.
const ANSWER_MAX_MS: u64 = 2_000;

/// What a venue takes within a time: two of three say so, and some of them little.
pub(super) fn budget(random: &mut Random) -> Option<VenueBudget> {
    let budget = VenueBudget {
        orders: Quota { max: 8 + random.below(30) as u32, span: Nanos::from_secs(10) },
        weight: Quota { max: 60 + random.below(300) as u32, span: Nanos::from_secs(60) },
        order_weight: 1,
        query_weight: 1 + random.below(4) as u32,
        read_weight: 5,
    };
    (random.below(3) > 0).then_some(budget)
}

/// What leaves the desk.
#[derive(Clone, Copy, Debug)]
enum Out {
    Order(Order),
    AskOrder(ClientOrderId),
    AskHolding(AccountId, InstrumentId, Nanos),
}

/// What reaches the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum In {
    Event(OrderEvent),
    Read(HoldingRead),
    /// It wants to be left alone for so long.
    Limited(Nanos),
}

/// How often, in a thousand, things go wrong at a venue.
#[derive(Clone, Copy, Debug)]
struct Faults {
    lose_order: u64,
    late_order: u64,
    cut_answers: u64,
    late_answer: u64,
    repeat: u64,
    refuse: u64,
    hang_up: u64,
    maintain: u64,
    lose_ask: u64,
    /// It forgets an order once that has ended: asked for it, it has no such order.
    forgets: bool,
}

impl Faults {
    const NONE: Self = Self {
        lose_order: 0,
        late_order: 0,
        cut_answers: 0,
        late_answer: 0,
        repeat: 0,
        refuse: 0,
        hang_up: 0,
        maintain: 0,
        lose_ask: 0,
        forgets: false,
    };

    /// Each venue has troubles of its own, and some have few.
    fn of(random: &mut Random) -> Self {
        let mut some = |most: u64| if random.below(2) == 0 { 0 } else { random.below(most) };
        Self {
            lose_order: some(200),
            late_order: some(200),
            cut_answers: some(250),
            late_answer: some(300),
            repeat: some(300),
            refuse: some(300),
            hang_up: some(40),
            maintain: some(4),
            lose_ask: some(400),
            forgets: some(4) > 1,
        }
    }
}

/// An order as this venue and its gateway remember it.
#[derive(Debug)]
struct Record {
    order: Order,
    sent: Nanos,
    /// What happened to it, in order; empty until it arrives.
    history: Vec<OrderChange>,
    /// Something of it has reached the desk, or its gateway has given up waiting.
    heard: bool,
    /// It has not arrived yet and still may.
    under_way: bool,
}

impl Record {
    fn is_over(&self) -> bool {
        self.history
            .iter()
            .any(|what| matches!(what, OrderChange::Expired | OrderChange::Rejected(_)))
            || self.filled() == self.order.qty.raw()
    }

    /// Whether nothing more will be said of it after this.
    fn is_last(&self, what: OrderChange) -> bool {
        match what {
            OrderChange::Expired | OrderChange::Rejected(_) => true,
            OrderChange::Filled { .. } => self.filled() == self.order.qty.raw(),
            OrderChange::Acked | OrderChange::Doubted | OrderChange::NotFound => false,
        }
    }

    fn filled(&self) -> i64 {
        let filled = |what: &OrderChange| match what {
            OrderChange::Filled { qty, .. } => qty.raw(),
            _ => 0,
        };
        self.history.iter().map(filled).sum()
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Venue {
    matching: Matching,
    faults: Faults,
    outgoing: Wire<Out>,
    incoming: Wire<In>,
    records: BTreeMap<ClientOrderId, Record>,
    /// Orders of which the desk has heard the end. A desk that crashes may forget that it has.
    ended: BTreeMap<ClientOrderId, Record>,
    /// No order can be handed to its gateway before.
    ready_at: Nanos,
    /// It refuses every order until then.
    down_until: Nanos,
    /// Holdings that are asked for until they are read, and when next.
    wanted: BTreeMap<(AccountId, InstrumentId), Nanos>,
    pub(super) events: u64,
}

impl Venue {
    pub(super) fn new(random: &mut Random, listed: &[(InstrumentId, Instrument, bool)]) -> Self {
        let mut matching = Matching::new(Nanos(0));
        for &(id, instrument, spot) in listed {
            matching.list(id, instrument, spot);
        }
        Self {
            matching,
            faults: Faults::of(random),
            outgoing: Wire::new(),
            incoming: Wire::new(),
            records: BTreeMap::new(),
            ended: BTreeMap::new(),
            ready_at: Nanos(0),
            down_until: Nanos(0),
            wanted: BTreeMap::new(),
            events: 0,
        }
    }

    pub(super) fn deposit(&mut self, account: AccountId, instrument: InstrumentId, qty: i64) {
        self.matching.deposit(account, instrument, qty);
    }

    /// The truth.
    pub(super) fn position(&self, account: AccountId, instrument: InstrumentId) -> i64 {
        self.matching.position(account, instrument)
    }

    /// What orders that have not arrived yet could take of a holding.
    pub(super) fn under_way(&self, account: AccountId, instrument: InstrumentId) -> i64 {
        let of = |out: &Out| match out {
            Out::Order(order) if (order.account, order.instrument) == (account, instrument) => {
                order.qty.raw()
            }
            _ => 0,
        };
        self.outgoing.iter().map(of).sum()
    }

    /// What orders of a leg that have not arrived yet may still come to take.
    pub(super) fn live_of(&self, id: ClientOrderId) -> i64 {
        let same = |record: &&Record| {
            let other = record.order.id;
            (other.position, other.leg) == (id.position, id.leg) && record.under_way
        };
        self.records.values().filter(same).map(|record| record.order.qty.raw()).sum()
    }

    /// From now on nothing goes wrong any more.
    pub(super) fn heal(&mut self, now: Nanos) {
        self.faults = Faults { forgets: self.faults.forgets, ..Faults::NONE };
        self.ready_at = self.ready_at.min(now);
        self.down_until = self.down_until.min(now);
    }

    /// It takes no orders for a while.
    pub(super) fn maintain(&mut self, now: Nanos, random: &mut Random, met: &mut Met) {
        if random.below(1_000) < self.faults.maintain && now >= self.down_until {
            met.note(Kind::Maintenance);
            self.down_until = now.plus(Nanos::from_millis(random.below(20_000)));
        }
    }

    pub(super) fn show(&mut self, now: Nanos, id: InstrumentId, quote: Quote) {
        self.matching.on_quote(now, id, quote);
    }

    /// An order is handed to the gateway.
    pub(super) fn send(&mut self, now: Nanos, order: Order, random: &mut Random, met: &mut Met) {
        if now < self.ready_at {
            met.note(Kind::NotSent);
            self.incoming.send(now, In::Event(OrderEvent::not_sent(order.id)));
            return;
        }
        let mut record =
            Record { order, sent: now, history: Vec::new(), heard: false, under_way: true };
        if random.below(1_000) < self.faults.lose_order {
            met.note(Kind::OrderLost);
            record.under_way = false;
        } else {
            let late = random.below(1_000) < self.faults.late_order;
            let most = if late { LATE_MAX_MS } else { 20 };
            if late {
                met.note(Kind::OrderLate);
            }
            let due = now.plus(Nanos::from_millis(1 + random.below(most)));
            self.outgoing.send(due, Out::Order(order));
        }
        let earlier = self.records.insert(order.id, record);
        assert!(earlier.is_none(), "an id is used once");
    }

    /// The executor wants something asked.
    pub(super) fn ask(&mut self, now: Nanos, ask: &Ask, random: &mut Random, met: &mut Met) {
        if let Ask::Holding { account, instrument } = *ask {
            self.wanted.insert((account, instrument), now.plus(ASK_AGAIN));
        }
        let forgets = matches!(ask, Ask::Forget { .. });
        if !forgets && (random.below(1_000) < self.faults.lose_ask || now < self.ready_at) {
            met.note(if matches!(ask, Ask::Order { .. }) { Kind::AskLost } else { Kind::ReadLost });
            return;
        }
        let due = now.plus(Nanos::from_millis(1 + random.below(50)));
        match *ask {
            Ask::Order { id, .. } => self.outgoing.send(due, Out::AskOrder(id)),
            Ask::Holding { account, instrument } => {
                self.outgoing.send(due, Out::AskHolding(account, instrument, now));
            }
            Ask::Forget { id, .. } => {
                self.records.retain(|_, record| record.order.id != id || record.under_way);
            }
        }
    }

    pub(super) fn next(&self) -> Option<Nanos> {
        let waits = self.records.values().filter(|record| !record.heard && !record.is_over());
        let patience = waits.map(|record| record.sent.plus(PATIENCE)).min();
        let wanted = self.wanted.values().min().copied();
        [self.outgoing.next(), self.incoming.next(), patience, wanted].into_iter().flatten().min()
    }

    /// When something happens next, while a holding is asked for.
    pub(super) fn reads_due(&self) -> Option<Nanos> {
        if self.wanted.is_empty() { None } else { self.next() }
    }

    /// Everything of this venue up to `now`, one word for the desk at a time.
    pub(super) fn poll(&mut self, now: Nanos, random: &mut Random, met: &mut Met) -> Option<In> {
        while let Some(out) = self.outgoing.take(now) {
            self.events += 1;
            match out {
                Out::Order(order) => self.arrive(now, &order, random, met),
                Out::AskOrder(id) => self.answer(now, id, random, met),
                Out::AskHolding(account, instrument, asked) => {
                    let qty = self.matching.position(account, instrument);
                    let read = HoldingRead { account, instrument, qty, asked };
                    let due = now.plus(Nanos::from_millis(1 + random.below(200)));
                    self.incoming.send(due, In::Read(read));
                }
            }
        }
        let again = self.wanted.iter().find(|(_, at)| **at <= now).map(|(of, _)| *of);
        if let Some((account, instrument)) = again {
            self.ask(now, &Ask::Holding { account, instrument }, random, met);
        }
        if let Some(word) = self.incoming.take(now) {
            self.events += 1;
            if let In::Read(read) = word {
                self.wanted.remove(&(read.account, read.instrument));
            }
            if let In::Event(event) = word
                && let Some(record) = self.records.get_mut(&event.id)
            {
                record.heard = true;
                if record.is_last(event.what)
                    && let Some(ended) = self.records.remove(&event.id)
                {
                    self.ended.insert(event.id, ended);
                }
            }
            return Some(word);
        }
        let silent = |record: &&mut Record| !record.heard && now >= record.sent.plus(PATIENCE);
        let record = self.records.values_mut().find(silent)?;
        record.heard = true;
        met.note(Kind::TimedOut);
        Some(In::Event(OrderEvent { id: record.order.id, what: OrderChange::Doubted }))
    }

    /// The connection is lost: answers under way never come, and nobody knows of orders that are.
    pub(super) fn hang_up(&mut self, now: Nanos, random: &mut Random, met: &mut Met) {
        if random.below(1_000) >= self.faults.hang_up || now < self.ready_at {
            return;
        }
        met.note(Kind::HungUp);
        self.incoming.cut();
        self.ready_at = now.plus(Nanos::from_millis(random.below(5_000)));
        for record in self.records.values_mut() {
            record.heard = true;
            let what = OrderChange::Doubted;
            self.incoming.send(now, In::Event(OrderEvent { id: record.order.id, what }));
        }
    }

    /// The desk is away until then, and everything under way to it or in its gateway is lost. Orders
    /// still arrive.
    pub(super) fn away(&mut self, until: Nanos, random: &mut Random, met: &mut Met) {
        while let Some(due) = self.outgoing.next().filter(|due| *due <= until) {
            if let Some(Out::Order(order)) = self.outgoing.take(due) {
                self.events += 1;
                self.arrive(due, &order, random, met);
            }
        }
        self.incoming.cut();
        self.wanted.clear();
        self.records.values_mut().for_each(|record| record.heard = true);
    }

    /// An order reaches the venue.
    fn arrive(&mut self, now: Nanos, order: &Order, random: &mut Random, met: &mut Met) {
        let record = self.records.get_mut(&order.id).expect("it was sent");
        record.under_way = false;
        if now < self.down_until {
            record.history.push(OrderChange::Rejected(RejectClass::Unavailable));
        } else if random.below(1_000) < self.faults.refuse {
            let (class, kind) = [
                (RejectClass::Price, Kind::RefusedPrice),
                (RejectClass::Size, Kind::RefusedSize),
                (RejectClass::RateLimit, Kind::RefusedRate),
                (RejectClass::Unavailable, Kind::RefusedUnavailable),
                (RejectClass::Fatal, Kind::RefusedFatal),
            ][random.below(5) as usize];
            met.note(kind);
            record.history.push(OrderChange::Rejected(class));
            if class == RejectClass::RateLimit && random.below(2) == 0 {
                let wait = Nanos::from_millis(random.below(5_000));
                self.incoming.send(now, In::Limited(wait));
            }
        } else {
            self.matching.on_order(now, *order);
            while let Some(event) = self.matching.poll_event(now) {
                record.history.push(event.what);
            }
        }
        let mut said = record.history.clone();
        if random.below(1_000) < self.faults.cut_answers {
            met.note(Kind::AnswersCut);
            said.truncate(random.below(said.len() as u64) as usize);
        }
        if let [OrderChange::Acked, OrderChange::Filled { .. }, ..] = said[..]
            && random.below(4) == 0
        {
            met.note(Kind::AckAfterFill);
            said.swap(0, 1);
        }
        self.say(now, order.id, &said, random, met);
    }

    fn say(
        &mut self,
        now: Nanos,
        id: ClientOrderId,
        said: &[OrderChange],
        random: &mut Random,
        met: &mut Met,
    ) {
        let late = random.below(1_000) < self.faults.late_answer;
        let most = if late { ANSWER_MAX_MS } else { 20 };
        if late {
            met.note(Kind::AnswerLate);
        }
        let mut due = now.plus(Nanos::from_millis(1 + random.below(most)));
        for &what in said {
            self.incoming.send(due, In::Event(OrderEvent { id, what }));
            if random.below(1_000) < self.faults.repeat {
                met.note(Kind::AnswerTwice);
                let later = due.plus(Nanos::from_millis(random.below(ANSWER_MAX_MS)));
                self.incoming.send(later, In::Event(OrderEvent { id, what }));
            }
            due = due.plus(Nanos::from_millis(random.below(2)));
        }
    }

    /// The venue is asked for an order.
    fn answer(&mut self, now: Nanos, id: ClientOrderId, random: &mut Random, met: &mut Met) {
        let Some(record) = self.records.get(&id).or_else(|| self.ended.get(&id)) else {
            // It was told to forget it, or it never left.
            self.say(now, id, &[OrderChange::NotFound], random, met);
            return;
        };
        let said = if record.history.is_empty() {
            if record.under_way {
                met.note(Kind::NotArrived);
            }
            vec![OrderChange::NotFound]
        } else if self.faults.forgets {
            met.note(Kind::Forgotten);
            vec![OrderChange::NotFound]
        } else {
            record.history.clone()
        };
        self.say(now, id, &said, random, met);
    }
}
