//! What both venues share: instruments and their books, accounts, the way to the matching core, and
//! the mail that goes out. Knows no socket; time is told.

use std::collections::{BTreeMap, HashMap, VecDeque};

use reap_core::instrument::{AccountId, Instrument, InstrumentId, InstrumentSpec};
use reap_core::order::{ClientOrderId, Order, OrderChange};
use reap_core::position::PositionId;
use reap_core::tick::Quote;
use reap_core::units::{Nanos, Price, Qty};
use serde_json::Value;

use super::orders::{Orders, Wish};
use super::{
    SimCounts, SimFaults, SimInstrument, SimKeys, SimKind, SimOptions, SimVenueConfig, decimal,
};
use crate::sim::Matching;

/// A connection; never used twice.
pub(super) type ConnId = usize;

/// Messages that wait for their time, at most; beyond it clients are not answered.
const LATER_MAX: usize = 100_000;

/// Something for a connection.
#[derive(Debug)]
pub(super) enum Out {
    Text(String),
    /// A ping frame.
    Ping,
    Response {
        status: u16,
        body: String,
    },
    /// Cut it off.
    Close,
}

/// Where the answer to a request goes.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) conn: ConnId,
    pub(super) via: Via,
}

/// In which envelope.
#[derive(Clone, Debug)]
pub(super) enum Via {
    Http,
    /// The request's own id; whether rate limits are told, where that is asked.
    Socket {
        id: Value,
        limits: bool,
    },
}

/// Best prices and sizes as mantissas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Best {
    pub(super) bid: i64,
    pub(super) ask: i64,
    pub(super) bid_qty: i64,
    pub(super) ask_qty: i64,
    /// Venue time, milliseconds.
    pub(super) at: u64,
}

/// An instrument of the venue.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) symbol: String,
    pub(super) id: InstrumentId,
    pub(super) instrument: Instrument,
    pub(super) best: Option<Best>,
}

impl Listed {
    pub(super) const fn spec(&self) -> &InstrumentSpec {
        self.instrument.spec()
    }

    pub(super) fn price(&self, mantissa: i64) -> String {
        decimal::text(mantissa, self.spec().price_scale)
    }

    pub(super) fn qty(&self, mantissa: i64) -> String {
        decimal::text(mantissa, self.spec().qty_scale)
    }

    /// Price × quantity.
    pub(super) fn value(&self, price: i64, qty: i64) -> String {
        let spec = self.spec();
        let scale = spec.price_scale + spec.qty_scale + spec.multiplier.scale;
        decimal::short(i128::from(price) * i128::from(qty) * spec.multiplier.mantissa, scale)
    }

    pub(super) fn fee(&self, nano: i128) -> String {
        decimal::short(nano, self.instrument.nano_scale())
    }

    /// Whether an order of `qty` at `price` is worth less than the venue takes.
    pub(super) fn is_small(&self, price: i64, qty: i64) -> bool {
        let (Ok(price), Ok(qty)) = (Price::new(price), Qty::new(qty)) else { return false };
        self.instrument.notional_nano(price, qty) < self.instrument.min_notional_nano()
    }
}

/// An account and its keys.
pub(super) struct Account {
    pub(super) id: AccountId,
    pub(super) keys: SimKeys,
}

/// See the module.
pub(super) struct Desk {
    pub(super) listed: Vec<Listed>,
    pub(super) accounts: Vec<Account>,
    pub(super) orders: Orders,
    pub(super) options: SimOptions,
    pub(super) counts: SimCounts,
    /// It lists spot instruments: a category of its own.
    pub(super) is_spot: bool,
    by_symbol: HashMap<String, usize>,
    matching: Matching,
    latency: Nanos,
    now: Nanos,
    out: VecDeque<(ConnId, Out)>,
    later: BTreeMap<(Nanos, u64), (ConnId, Out)>,
    sequence: u64,
}

impl Desk {
    pub(super) fn new(config: SimVenueConfig, now: Nanos) -> Self {
        let mut matching = Matching::new(config.latency);
        let is_spot = config.instruments.iter().any(|one| one.spot);
        let is_binance = config.kind == SimKind::BinanceUsdm;
        let list = |SimInstrument { symbol, id, instrument, spot }| {
            // Binance exempts what reduces, whatever the configuration says.
            let spec = *instrument.spec();
            let exempt = InstrumentSpec { min_notional_on_reduce: false, ..spec };
            let instrument = match Instrument::new(exempt) {
                Ok(exempt) if is_binance => exempt,
                _ => instrument,
            };
            matching.list(id, instrument, spot);
            Listed { symbol, id, instrument, best: None }
        };
        let listed: Vec<Listed> = config.instruments.into_iter().map(list).collect();
        let symbols = listed.iter().enumerate().map(|(index, one)| (one.symbol.clone(), index));
        let account = |(id, keys)| Account { id, keys };
        Self {
            by_symbol: symbols.collect(),
            listed,
            accounts: config.accounts.into_iter().map(account).collect(),
            orders: Orders::default(),
            options: config.options,
            counts: SimCounts::default(),
            is_spot,
            matching,
            latency: config.latency,
            now,
            out: VecDeque::new(),
            later: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// The latest time that was told.
    pub(super) const fn now(&self) -> Nanos {
        self.now
    }

    /// The same in milliseconds, as venues state it.
    pub(super) const fn now_ms(&self) -> u64 {
        self.now.0 / 1_000_000
    }

    pub(super) const fn faults(&mut self) -> &mut SimFaults {
        &mut self.options.faults
    }

    pub(super) fn by_symbol(&self, symbol: &str) -> Option<usize> {
        self.by_symbol.get(symbol).copied()
    }

    /// The account that a key belongs to.
    pub(super) fn by_key(&self, key: &str) -> Option<&Account> {
        self.accounts.iter().find(|account| account.keys.key == key)
    }

    /// Credits a holding.
    pub(super) fn deposit(&mut self, account: AccountId, id: InstrumentId, qty: i64) {
        self.matching.deposit(account, id, qty);
    }

    /// What an account holds of an instrument.
    pub(super) fn holds(&self, account: AccountId, instrument: InstrumentId) -> i64 {
        self.matching.position(account, instrument)
    }

    pub(super) fn position(&self, account: AccountId, listed: usize) -> i64 {
        self.matching.position(account, self.listed[listed].id)
    }

    /// Time goes on; it never runs backwards, whatever a clock or a recording says.
    pub(super) fn on_time(&mut self, now: Nanos) {
        self.now = self.now.max(now);
    }

    /// The displayed best prices change; what is no quote is counted and shown nobody.
    pub(super) fn on_quote(&mut self, listed: usize, best: Best) {
        let Ok(quote) = Quote::new(best.bid, best.ask, best.bid_qty, best.ask_qty) else {
            self.counts.refused_quotes += 1;
            return;
        };
        let one = &mut self.listed[listed];
        self.matching.on_quote(self.now, one.id, quote);
        one.best = Some(best);
    }

    /// An order goes to the matching core; its number.
    pub(super) fn place(&mut self, wish: Wish) -> u64 {
        let (account, side, reduce_only) = (wish.account, wish.side, wish.reduce_only);
        let instrument = self.listed[wish.listed].id;
        let qty = Qty::new(wish.qty).expect("the gateway checked the bounds");
        let limit =
            wish.limit.map(|limit| Price::new(limit).expect("the gateway checked the bounds"));
        let at = self.now_ms();
        let number = self.orders.add(wish, at);
        let id = id_of(number);
        let order = Order { id, account, instrument, side, qty, limit, reduce_only };
        self.matching.on_order(self.now, order);
        number
    }

    /// The next thing that the matching core says by now: the order's number, what, and when the
    /// core decides next.
    pub(super) fn poll_matching(&mut self) -> Option<(u64, OrderChange)> {
        let event = self.matching.poll_event(self.now)?;
        let number = number_of(event.id);
        let at = self.now_ms();
        self.orders.apply(number, event.what, at);
        self.counts.matching = self.matching.counts();
        Some((number, event.what))
    }

    /// Sends something now.
    pub(super) fn send(&mut self, conn: ConnId, out: Out) {
        self.out.push_back((conn, out));
    }

    /// Answers a request that the gateway decides: after the venue's latency.
    pub(super) fn answer(&mut self, conn: ConnId, out: Out) {
        let due = self.now.plus(self.latency);
        self.post(due, conn, out);
    }

    /// Answers an order that the matching core took: its latency is over.
    pub(super) fn answer_order(&mut self, conn: ConnId, out: Out) {
        if self.options.faults.swallow_acks > 0 {
            self.options.faults.swallow_acks -= 1;
            self.counts.swallowed += 1;
            return;
        }
        self.post(self.now, conn, out);
    }

    fn post(&mut self, due: Nanos, conn: ConnId, out: Out) {
        let due = due.plus(self.options.faults.delay_answers);
        if due <= self.now {
            self.send(conn, out);
        } else if self.later.len() < LATER_MAX {
            self.sequence += 1;
            self.later.insert((due, self.sequence), (conn, out));
        } else {
            self.send(conn, Out::Close);
        }
    }

    /// What leaves by now, in order.
    pub(super) fn poll_out(&mut self) -> Option<(ConnId, Out)> {
        if let Some(out) = self.out.pop_front() {
            return Some(out);
        }
        let entry = self.later.first_entry()?;
        (entry.key().0 <= self.now).then(|| entry.remove())
    }

    /// When something happens next by itself.
    pub(super) fn next_due(&self) -> Option<Nanos> {
        let later = self.later.keys().next().map(|(due, _)| *due);
        [later, self.matching.next_due()].into_iter().flatten().min()
    }

    /// When the matching core decides next.
    pub(super) fn next_matching(&self) -> Option<Nanos> {
        self.matching.next_due()
    }
}

/// The core's ids carry the order's number; what the client called it is the venue's business.
const fn id_of(number: u64) -> ClientOrderId {
    ClientOrderId {
        epoch: 0,
        position: PositionId((number >> 32) as u32),
        leg: 0,
        plan: number as u32,
        attempt: 0,
    }
}

const fn number_of(id: ClientOrderId) -> u64 {
    (id.position.0 as u64) << 32 | id.plan as u64
}
