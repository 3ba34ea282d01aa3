//! The order history of a venue: what was asked, what became of it, and every trade; bounded.

use std::collections::{BTreeMap, HashMap, VecDeque};

use reap_core::instrument::AccountId;
use reap_core::order::{OrderChange, OrderSide, RejectClass};

use super::desk::Reply;

/// Orders, and trades, that are remembered.
const HISTORY_MAX: usize = 100_000;

/// Where an order stands at its venue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// On its way: no query knows it yet.
    Sent,
    New,
    Filled,
    /// What was not filled is cancelled.
    Expired,
    Rejected(RejectClass),
}

/// What a client asked for, after the checks of the gateway.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) account: AccountId,
    /// Index of the instrument in the venue's list.
    pub(super) listed: usize,
    pub(super) client_id: String,
    pub(super) side: OrderSide,
    pub(super) qty: i64,
    pub(super) limit: Option<i64>,
    pub(super) reduce_only: bool,
    /// The answer waits for the outcome instead of the acceptance.
    pub(super) answer_outcome: bool,
    pub(super) reply: Reply,
}

/// An order and what became of it.
#[derive(Debug)]
pub(super) struct OrderRecord {
    pub(super) number: u64,
    pub(super) wish: Wish,
    pub(super) standing: Standing,
    pub(super) filled: i64,
    /// Fill price; an order meets one price only.
    pub(super) price: Option<i64>,
    /// At the instrument's nano scale.
    pub(super) fee: i128,
    pub(super) created: u64,
    pub(super) updated: u64,
}

impl OrderRecord {
    /// Whether queries know it: not on its way, and not refused at the door.
    pub(super) const fn is_public(&self) -> bool {
        !matches!(self.standing, Standing::Sent | Standing::Rejected(_))
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.standing, Standing::Sent | Standing::New)
    }
}

/// A trade.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trade {
    pub(super) id: u64,
    pub(super) order: u64,
    pub(super) price: i64,
    pub(super) qty: i64,
    pub(super) fee: i128,
    /// Milliseconds.
    pub(super) at: u64,
}

/// All orders that are remembered.
#[derive(Debug, Default)]
pub(super) struct Orders {
    orders: BTreeMap<u64, OrderRecord>,
    trades: VecDeque<Trade>,
    /// The latest order of each client id.
    by_client_id: HashMap<(AccountId, String), u64>,
    last: u64,
}

impl Orders {
    /// The number of the next order.
    pub(super) const fn next(&self) -> u64 {
        self.last + 1
    }

    pub(super) fn add(&mut self, wish: Wish, at: u64) -> u64 {
        self.last += 1;
        let number = self.last;
        self.by_client_id.insert((wish.account, wish.client_id.clone()), number);
        let record = OrderRecord {
            number,
            wish,
            standing: Standing::Sent,
            filled: 0,
            price: None,
            fee: 0,
            created: at,
            updated: at,
        };
        self.orders.insert(number, record);
        if self.orders.len() > HISTORY_MAX
            && let Some((number, old)) = self.orders.pop_first()
        {
            let key = (old.wish.account, old.wish.client_id);
            if self.by_client_id.get(&key) == Some(&number) {
                self.by_client_id.remove(&key);
            }
        }
        number
    }

    /// Notes what the matching core said of an order.
    pub(super) fn apply(&mut self, number: u64, what: OrderChange, at: u64) {
        let Some(record) = self.orders.get_mut(&number) else { return };
        record.updated = at;
        match what {
            OrderChange::Acked => record.standing = Standing::New,
            OrderChange::Filled { trade_id, price, qty, fee } => {
                record.filled += qty.raw();
                record.price = Some(price.raw());
                record.fee += fee;
                if record.filled == record.wish.qty {
                    record.standing = Standing::Filled;
                }
                let (price, qty) = (price.raw(), qty.raw());
                self.trades.push_back(Trade { id: trade_id, order: number, price, qty, fee, at });
                if self.trades.len() > HISTORY_MAX {
                    self.trades.pop_front();
                }
            }
            OrderChange::Expired => record.standing = Standing::Expired,
            OrderChange::Rejected(class) => record.standing = Standing::Rejected(class),
            // A venue knows its orders.
            OrderChange::Doubted | OrderChange::NotFound => {}
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<&OrderRecord> {
        self.orders.get(&number)
    }

    /// The latest order of an account with a client id, even on its way.
    pub(super) fn by_client_id(&self, account: AccountId, id: &str) -> Option<&OrderRecord> {
        self.get(*self.by_client_id.get(&(account, id.to_owned()))?)
    }

    /// All orders of an account, the newest first.
    pub(super) fn of(&self, account: AccountId) -> impl Iterator<Item = &OrderRecord> {
        self.orders.values().rev().filter(move |order| order.wish.account == account)
    }

    /// All trades of an account with their orders, the newest first.
    pub(super) fn trades_of(
        &self,
        account: AccountId,
    ) -> impl DoubleEndedIterator<Item = (&Trade, &OrderRecord)> {
        let with_order = |trade| self.get(trade_order(trade)).map(|order| (trade, order));
        let trades = self.trades.iter().rev().filter_map(with_order);
        trades.filter(move |(_, order)| order.wish.account == account)
    }

    /// The last trade of an order.
    pub(super) fn trade_of(&self, number: u64) -> Option<&Trade> {
        self.trades.iter().rev().take(1_000).find(|trade| trade.order == number)
    }
}

const fn trade_order(trade: &Trade) -> u64 {
    trade.order
}
