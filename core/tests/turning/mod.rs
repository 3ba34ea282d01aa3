//! What the tests of turns share: engine and executor together, and a venue that does what a case says.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::{BTreeMap, VecDeque};

use reap_core::engine::{Engine, EngineLimits};
use reap_core::entry::{Entered, EntryIntent};
use reap_core::event::{Command, Event, GateSettings, Report};
use reap_core::executor::{Executor, ExecutorLimits};
use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, SourceId,
    VenueId,
};
use reap_core::note::{EngineNote, SignalDrop};
use reap_core::order::{Order, OrderChange, OrderEvent, OrderSide};
use reap_core::policy::{Policy, PolicyId, Rule};
use reap_core::position::{LegSpec, PositionId, PositionSpec, RegisterError, Side};
use reap_core::pricing::{Quotes, Top};
use reap_core::tick::{Quote, Stamp, Tick};
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

pub(crate) const START: Nanos = Nanos(1_700_000_000_000_000_000);
const NOUGHT: Decimal = Decimal { mantissa: 0, scale: 0 };

/// Prices to a cent in steps of five, lots of a hundredth, no fees.
fn instrument() -> Instrument {
    Instrument::new(InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 2,
        qty_scale: 3,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: 5,
        lot: 10,
        min_qty: 10,
        min_notional: Decimal { mantissa: 20, scale: 0 },
        taker: Rate::ZERO,
        maker: Rate::ZERO,
        min_fee: NOUGHT,
        max_quote_age: Nanos::from_secs(3),
        jump_limit: Rate::from_bps(9_000),
        jump_ticks: 5,
        reduce_only: true,
        min_notional_on_reduce: false,
        peer: None,
    })
    .unwrap()
}

fn reversal(enter: bool) -> Rule {
    Rule::Reversal { at: Rate::from_bps(1_000), base: None, enter }
}

/// What turns, what does not, and what stops and turns.
fn policies() -> [Policy; 3] {
    let stop = Rule::StopLoss { distance: Rate::from_bps(500), base: None };
    [
        Policy::of([reversal(true)]),
        Policy::of([reversal(false)]),
        Policy::of([stop, reversal(true)]),
    ]
}

pub(crate) struct Table<'e>(pub(crate) &'e Engine);

impl Quotes for Table<'_> {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        self.0.quote(instrument).map(|(quote, received)| Top { quote, received })
    }
}

pub(crate) struct Desk {
    pub(crate) engine: Engine,
    pub(crate) executor: Executor,
    pub(crate) now: Nanos,
    pub(crate) ids: u64,
    pub(crate) trades: u64,
    pub(crate) orders: VecDeque<Order>,
    pub(crate) entries: Vec<EntryIntent>,
    pub(crate) entered: Vec<Entered>,
    pub(crate) notes: Vec<EngineNote>,
    /// Filled of each position by its exits.
    pub(crate) closed: BTreeMap<PositionId, i64>,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with([])
    }

    /// With further policies, from the number 3 on.
    pub(crate) fn with(more: impl IntoIterator<Item = Policy>) -> Self {
        let instruments = [instrument(), instrument(), instrument()];
        let limits = EngineLimits::any(32, 32, 128);
        let mut engine = Engine::new(limits, &instruments, 1, GateSettings::default());
        for policy in policies().into_iter().chain(more) {
            engine.add_policy(policy).unwrap();
        }
        let limits = ExecutorLimits { positions: 32, orders: 64 };
        let executor = Executor::new(limits, &instruments, 1);
        Self {
            engine,
            executor,
            now: START,
            ids: 0,
            trades: 0,
            orders: VecDeque::new(),
            entries: Vec::new(),
            entered: Vec::new(),
            notes: Vec::new(),
            closed: BTreeMap::new(),
        }
    }

    pub(crate) fn spec(
        &self,
        policy: u16,
        at: u16,
        side: Side,
        entry: i64,
        qty: i64,
    ) -> PositionSpec {
        let leg = LegSpec {
            account: AccountId(3),
            instrument: InstrumentId(at),
            side,
            entry: Price::new(entry).unwrap(),
            qty: Qty::new(qty).unwrap(),
            fees_paid: NOUGHT,
            funding: NOUGHT,
            margin: None,
        };
        let legs = [leg].into_iter().collect();
        PositionSpec { policy: PolicyId(policy), opened: self.now, tag: 7, legs }
    }

    pub(crate) fn hold(
        &mut self,
        policy: u16,
        at: u16,
        side: Side,
        entry: i64,
        qty: i64,
    ) -> PositionId {
        let mut spec = self.spec(policy, at, side, entry, qty);
        // Where its account holds the other side, it is of another.
        let id = loop {
            match self.engine.register(self.now, &spec) {
                Err(RegisterError::Opposite { .. }) => spec.legs[0].account.0 += 1,
                registered => break registered.unwrap(),
            }
        };
        self.executor.register(id, &spec, &Policy::of([]).exit).unwrap();
        self.pump();
        id
    }

    pub(crate) fn pump(&mut self) {
        loop {
            while let Some(order) = self.executor.poll_order() {
                self.orders.push_back(order);
            }
            while let Some(note) = self.engine.poll_note() {
                self.notes.push(note);
            }
            if let Some(entered) = self.engine.poll_entered() {
                let exit = Policy::of([]).exit;
                self.executor.register(entered.id, &entered.spec, &exit).unwrap();
                self.entered.push(entered);
            } else if let Some(intent) = self.engine.poll_intent() {
                self.executor.on_intent(self.now, &intent, &Table(&self.engine));
            } else if let Some(entry) = self.engine.poll_entry() {
                self.entries.push(entry);
                self.executor.on_entry(self.now, &entry, &Table(&self.engine));
            } else if self.executor.poll_ask().is_some() || self.executor.poll_note().is_some() {
            } else if let Some(report) = self.executor.poll_report() {
                if let Report::Fill { position, qty, .. } = report {
                    *self.closed.entry(position).or_default() += qty.raw();
                }
                self.engine.on_event(self.now, &Event::Report(report));
            } else {
                return;
            }
        }
    }

    pub(crate) fn event(&mut self, event: &Event) {
        self.engine.on_event(self.now, event);
        self.pump();
    }

    pub(crate) fn quote(&mut self, at: u16, bid: i64, ask: i64) {
        self.ids += 1;
        let stamp = Stamp {
            source: SourceId(0),
            received: self.now,
            update_id: self.ids,
            venue_lag_us: 0,
            reset: false,
        };
        let quote = Quote::new(bid, ask, 500, 500).unwrap();
        self.event(&Event::Tick(Tick::quote(InstrumentId(at), stamp, quote)));
    }

    pub(crate) fn signal(&mut self, at: u16, side: Side) {
        let instrument = InstrumentId(at);
        self.event(&Event::Command(Command::Signal { instrument, side }));
    }

    pub(crate) fn wait(&mut self, span: Nanos) {
        self.now = self.now.plus(span);
        self.event(&Event::Timer);
        self.executor.on_timer(self.now, &Table(&self.engine));
        self.pump();
    }

    /// Fills so much of the oldest order at its limit; the rest expires.
    pub(crate) fn fill(&mut self, qty: i64) -> Order {
        let order = self.orders.pop_front().unwrap();
        if qty > 0 {
            self.trades += 1;
            let price = order.limit.or_else(|| {
                let (quote, _) = self.engine.quote(order.instrument)?;
                Some(if order.side == OrderSide::Buy { quote.ask } else { quote.bid })
            });
            let (trade_id, price, qty) = (self.trades, price.unwrap(), Qty::new(qty).unwrap());
            self.say(&order, OrderChange::Filled { trade_id, price, qty, fee: 0 });
        }
        if qty < order.qty.raw() {
            self.say(&order, OrderChange::Expired);
        }
        order
    }

    pub(crate) fn say(&mut self, order: &Order, what: OrderChange) {
        let event = OrderEvent { id: order.id, what };
        self.executor.on_order_event(self.now, &event, &Table(&self.engine));
        self.pump();
    }

    /// Why signals were dropped since the last question.
    pub(crate) fn drops(&mut self) -> Vec<SignalDrop> {
        let notes = std::mem::take(&mut self.notes);
        let why = |note| match note {
            EngineNote::SignalDropped { why, .. } => Some(why),
            _ => None,
        };
        notes.into_iter().filter_map(why).collect()
    }
}
