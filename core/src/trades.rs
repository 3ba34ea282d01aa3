//! Trade ids of live orders: a fill that comes twice counts once.

use alloc::vec::Vec;

/// End of a list.
const NONE: u32 = u32::MAX;

/// The trades that one order has counted: the head of a list in [`TradeIds`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TradeList(u32);

impl TradeList {
    /// No trades.
    pub(crate) const EMPTY: Self = Self(NONE);
}

/// What became of a trade id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Never seen for this order; remembered now.
    First,
    /// Never seen, but there was no room to remember it.
    FirstForgotten,
    /// Seen before.
    Again,
}

/// A pool of trade ids, shared by all live orders. An order's ids are given back when it is
/// terminal, because nothing is counted for it after that.
#[derive(Debug)]
pub(crate) struct TradeIds {
    /// Trade id and the next of its list.
    nodes: Vec<(u64, u32)>,
    free: u32,
}

impl TradeIds {
    pub(crate) fn new(trades_max: usize) -> Self {
        let next = |i: usize| if i + 1 == trades_max { NONE } else { i as u32 + 1 };
        Self {
            nodes: (0..trades_max).map(|i| (0, next(i))).collect(),
            free: if trades_max == 0 { NONE } else { 0 },
        }
    }

    /// Room for this many in all.
    pub(crate) fn grow(&mut self, trades_max: usize) {
        for node in self.nodes.len()..trades_max {
            self.nodes.push((0, self.free));
            self.free = node as u32;
        }
    }

    /// Looks a trade up in an order's list and adds it. The walk is as long as the order has fills.
    pub(crate) fn see(&mut self, list: &mut TradeList, trade_id: u64) -> Seen {
        let mut at = list.0;
        while at != NONE {
            let (id, next) = self.nodes[at as usize];
            if id == trade_id {
                return Seen::Again;
            }
            at = next;
        }
        if self.free == NONE {
            return Seen::FirstForgotten;
        }
        let node = self.free;
        self.free = self.nodes[node as usize].1;
        self.nodes[node as usize] = (trade_id, list.0);
        list.0 = node;
        Seen::First
    }

    /// Gives an order's list back.
    pub(crate) fn forget(&mut self, list: &mut TradeList) {
        while list.0 != NONE {
            let node = list.0;
            list.0 = self.nodes[node as usize].1;
            self.nodes[node as usize].1 = self.free;
            self.free = node;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trade_counts_once_per_order_and_room_comes_back() {
        let mut ids = TradeIds::new(3);
        let (mut a, mut b) = (TradeList::EMPTY, TradeList::EMPTY);
        assert_eq!(ids.see(&mut a, 7), Seen::First);
        assert_eq!(ids.see(&mut b, 7), Seen::First);
        assert_eq!(ids.see(&mut a, 8), Seen::First);
        assert_eq!(ids.see(&mut a, 7), Seen::Again);
        assert_eq!(ids.see(&mut b, 9), Seen::FirstForgotten);
        assert_eq!(ids.see(&mut b, 7), Seen::Again);
        ids.forget(&mut a);
        assert_eq!(a, TradeList::EMPTY);
        assert_eq!(ids.see(&mut b, 9), Seen::First);
        assert_eq!(ids.see(&mut a, 7), Seen::First);
        assert_eq!(ids.see(&mut a, 8), Seen::FirstForgotten);
    }
}
