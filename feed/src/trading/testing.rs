//! Plays the driver of a trading, with both ends of the wire in the test's hands.

use reap_core::instrument::{
    AccountId, ContractKind, CurrencyId, Instrument, InstrumentId, InstrumentSpec, VenueId,
};
use reap_core::order::{ClientOrderId, Order, OrderChange, OrderEvent, OrderSide};
use reap_core::position::PositionId;
use reap_core::units::{Decimal, Nanos, Price, Qty, Rate};

use super::{
    Channel, Keys, Output, SetupError, Standing, Trading, TradingEvent, TradingInstrument,
    TradingSetup,
};
use crate::venues::MakeTrading;

pub(crate) const KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
pub(crate) const SECRET: &str = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
/// Where the clocks stand at first.
pub(crate) const WALL_MS: u64 = 1_700_000_000_000;
pub(crate) const BTC: InstrumentId = InstrumentId(3);
pub(crate) const ETH: InstrumentId = InstrumentId(5);

fn instrument(id: InstrumentId, symbol: &str) -> TradingInstrument {
    let spec = InstrumentSpec {
        venue: VenueId(0),
        currency: CurrencyId(0),
        contract: ContractKind::Linear,
        price_scale: 2,
        qty_scale: 3,
        multiplier: Decimal { mantissa: 1, scale: 0 },
        tick: 10,
        lot: 1,
        min_qty: 1,
        min_notional: Decimal { mantissa: 5, scale: 0 },
        taker: Rate::from_bps(5),
        maker: Rate::from_bps(2),
        min_fee: Decimal { mantissa: 0, scale: 0 },
        max_quote_age: Nanos::from_secs(5),
        jump_limit: Rate::from_bps(1000),
        jump_ticks: 5,
        reduce_only: true,
        min_notional_on_reduce: false,
        peer: None,
    };
    let instrument = Instrument::new(spec).expect("a sound specification");
    TradingInstrument { id, symbol: symbol.into(), instrument }
}

pub(crate) fn setup() -> TradingSetup {
    TradingSetup {
        keys: Keys::new(KEY.into(), SECRET.into()),
        instruments: vec![instrument(BTC, "BTCUSDT"), instrument(ETH, "ETHUSDT")],
        account: AccountId(1),
        seed: 7,
        rest_host: "rest.example.com".into(),
        orders_max: 4,
    }
}

pub(crate) fn id(attempt: u16) -> ClientOrderId {
    ClientOrderId { epoch: 9, position: PositionId(1), leg: 0, plan: 2, attempt }
}

/// Sells 0.010 at 9910.10 or better, reduce-only.
pub(crate) fn sell(attempt: u16) -> Order {
    Order {
        id: id(attempt),
        account: AccountId(1),
        instrument: BTC,
        side: OrderSide::Sell,
        qty: Qty::new(10).expect("a quantity"),
        limit: Some(Price::new(991_010).expect("a price")),
        reduce_only: true,
    }
}

/// Buys 1.5 at the market.
pub(crate) fn buy(attempt: u16) -> Order {
    let qty = Qty::new(1500).expect("a quantity");
    Order {
        instrument: ETH,
        side: OrderSide::Buy,
        qty,
        limit: None,
        reduce_only: false,
        ..sell(attempt)
    }
}

pub(crate) fn order_event(id: ClientOrderId, what: OrderChange) -> TradingEvent {
    TradingEvent::Order(OrderEvent { id, what })
}

pub(crate) fn filled(
    id: ClientOrderId,
    trade_id: u64,
    price: i64,
    qty: i64,
    fee: i128,
) -> TradingEvent {
    let (price, qty) = (Price::new(price).expect("a price"), Qty::new(qty).expect("a quantity"));
    order_event(id, OrderChange::Filled { trade_id, price, qty, fee })
}

pub(crate) fn standing(id: ClientOrderId, standing: Standing) -> TradingEvent {
    TradingEvent::Standing { id, standing }
}

/// A trading and what it said since it was last asked.
pub(crate) struct Play {
    pub(crate) trading: Box<dyn Trading>,
    pub(crate) now: Nanos,
    pub(crate) sent: Vec<(u8, String)>,
    pub(crate) opened: Vec<(u8, String)>,
    pub(crate) closed: Vec<u8>,
    events: Vec<TradingEvent>,
}

impl Play {
    pub(crate) fn new(make: MakeTrading) -> Self {
        Self::with(make, setup()).expect("a sound setup")
    }

    pub(crate) fn with(make: MakeTrading, setup: TradingSetup) -> Result<Self, SetupError> {
        let trading = make(setup)?;
        let now = Nanos::from_secs(1_000_000);
        let mut play =
            Self { trading, now, sent: vec![], opened: vec![], closed: vec![], events: vec![] };
        play.drain();
        Ok(play)
    }

    pub(crate) fn wall(&self) -> u64 {
        WALL_MS + self.now.since(Nanos::from_secs(1_000_000)).0 / 1_000_000
    }

    fn drain(&mut self) {
        while let Some(output) = self.trading.poll_output() {
            match output {
                Output::Open { ch, path } => self.opened.push((ch.0, path.into())),
                Output::Send { ch, text } => self.sent.push((ch.0, text.into())),
                Output::Close { ch } => self.closed.push(ch.0),
            }
        }
        while let Some(event) = self.trading.poll_event() {
            self.events.push(event);
        }
    }

    pub(crate) fn open(&mut self, ch: u8) {
        self.trading.on_open(Channel(ch), self.now, self.wall());
        self.drain();
    }

    pub(crate) fn lose(&mut self, ch: u8) {
        self.trading.on_closed(Channel(ch), self.now);
        self.drain();
    }

    pub(crate) fn tell(&mut self, ch: u8, raw: impl AsRef<[u8]>) {
        self.trading.on_message(Channel(ch), self.now, self.wall(), raw.as_ref());
        self.drain();
    }

    /// Answers the HTTP request under way.
    pub(crate) fn respond(&mut self, status: u16, body: impl AsRef<[u8]>) {
        self.trading.on_response(Channel(2), self.now, self.wall(), status, body.as_ref());
        self.drain();
    }

    /// Lets time pass, timer by timer, as a driver does.
    pub(crate) fn wait(&mut self, span: Nanos) {
        let end = self.now.plus(span);
        let mut turns = 0;
        while let Some(due) = self.trading.next_timer().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.trading.on_timer(self.now, self.wall());
            self.drain();
            turns += 1;
            assert!(turns < 10_000, "a timer that never passes");
        }
        self.now = end;
    }

    pub(crate) fn place(&mut self, order: &Order) {
        let wall = self.wall();
        assert_eq!(self.trading.place(self.now, wall, order), Ok(()));
        self.drain();
    }

    pub(crate) fn query(&mut self, id: ClientOrderId, instrument: InstrumentId) {
        let wall = self.wall();
        assert_eq!(self.trading.query(self.now, wall, id, instrument), Ok(()));
        self.drain();
    }

    pub(crate) fn query_positions(&mut self) {
        let wall = self.wall();
        assert_eq!(self.trading.query_positions(self.now, wall), Ok(()));
        self.drain();
    }

    /// What happened since the last call.
    pub(crate) fn events(&mut self) -> Vec<TradingEvent> {
        std::mem::take(&mut self.events)
    }

    /// What was sent since the last call.
    pub(crate) fn sent(&mut self) -> Vec<(u8, String)> {
        std::mem::take(&mut self.sent)
    }

    /// The only thing sent since the last call.
    pub(crate) fn sent_one(&mut self, ch: u8) -> String {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "{sent:?}");
        let (on, text) = sent.remove(0);
        assert_eq!(on, ch);
        text
    }
}

/// The value behind `key` in quotes.
pub(crate) fn quoted<'a>(text: &'a str, key: &str) -> &'a str {
    let mark = format!("\"{key}\":\"");
    let start = text.find(&mark).expect("the key") + mark.len();
    text[start..].split('"').next().expect("a value")
}

/// The messages of a fixture, `$A` and `$B` being the ids of the orders that are live.
pub(crate) fn fixture(text: &str) -> Vec<(u8, String)> {
    text.lines()
        .filter_map(|line| {
            let (ch, raw) = line.split_once("> ")?;
            let raw = raw.replace("$A", &id(1).to_string()).replace("$B", &id(2).to_string());
            Some((ch.parse().ok()?, raw))
        })
        .collect()
}

/// Tells every message of a fixture cut behind every byte and with every byte changed to plays
/// that are made anew, with orders 1 (a sale of BTC) and 2 (a purchase of ETH) live. Whatever comes
/// of it is about those orders and can be: nothing more is filled than was ordered, nothing comes
/// after an end. A message that spoke of one of them never moves the other.
pub(crate) fn hostile(make: &dyn Fn() -> Play, messages: &[(u8, String)]) -> usize {
    let mut events = 0;
    for (ch, message) in messages {
        let mut variants: Vec<Vec<u8>> =
            (0..message.len()).map(|end| message.as_bytes()[..end].to_vec()).collect();
        for at in 0..message.len() {
            for byte in [
                b'"',
                b'0',
                b'1',
                b'2',
                b'9',
                b'}',
                b',',
                b'-',
                0xff,
                b'v',
                message.as_bytes()[at] ^ 1,
            ] {
                let mut variant = message.as_bytes().to_vec();
                variant[at] = byte;
                variants.push(variant);
            }
        }
        let (one, two) = (id(1).to_string(), id(2).to_string());
        let of = [(1, message.contains(&one)), (2, message.contains(&two))];
        // One play takes many variants, as a connection does; it is made anew when it has changed.
        let mut play = make();
        play.events();
        for variant in variants {
            match ch {
                2 => play.respond(200, &variant),
                ch => play.tell(*ch, &variant),
            }
            let seen = play.events();
            if seen.is_empty() && *ch != 2 && play.closed.is_empty() {
                continue;
            }
            events += seen.len();
            for event in seen {
                let about = match event {
                    TradingEvent::Order(event) => event.id,
                    TradingEvent::Unknown { id, .. } | TradingEvent::Standing { id, .. } => id,
                    _ => continue,
                };
                let allowed = of.iter().any(|(attempt, named)| *named && id(*attempt) == about);
                assert!(allowed, "{event:?} of {}", variant.escape_ascii());
                if let TradingEvent::Order(OrderEvent {
                    what: OrderChange::Filled { qty, .. },
                    ..
                }) = event
                {
                    assert!(qty.raw() <= 1500, "{event:?}");
                }
            }
            play = make();
            play.events();
        }
    }
    events
}

/// The last JSON value of a file of recorded private messages; `None`, with a line that says so,
/// where there is none.
pub(crate) fn recorded(name: &str) -> Option<String> {
    let folder =
        std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/private");
    let path = folder.join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: no {}", path.display());
        return None;
    };
    let start = text.find("\n= ").map(|at| at + 3).or_else(|| text.find("\n=\n").map(|at| at + 3));
    let body = start.or_else(|| text.find("true\n").map(|at| at + 5)).unwrap_or(0);
    Some(text[body..].trim().to_owned())
}
