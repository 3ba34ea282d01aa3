//! What is left open, and whether the venues' books say the same.

use std::collections::BTreeMap;

use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::position::Side;
use reap_core::units::Decimal;
use serde_json::{Value, json};

use super::{Report, VenueBook, money};
use crate::config::words;
use crate::table::table;

impl Report<'_> {
    /// Positions that are not closed, and why.
    fn open(&self) -> impl Iterator<Item = (usize, String)> {
        let standings = self.story.standings().iter().enumerate();
        standings.filter(|(_, standing)| !standing.closed).map(|(at, _)| (at, self.why_open(at)))
    }

    /// Net of what is open of a position at the latest quotes.
    fn unrealised(&self, at: usize) -> Option<Decimal> {
        self.story.unrealised(at, |instrument| self.driver.quote(instrument))
    }

    fn why_open(&self, at: usize) -> String {
        let standing = &self.story.standings()[at];
        if let Some(refused) = &standing.refused {
            return format!("refused: {refused}");
        }
        let Some(id) = standing.id else {
            return "never opened: its time or its first quotes did not come".into();
        };
        if let Some(plan) = self.driver.plan(id) {
            let stuck = if plan.stuck { ", stuck" } else { "" };
            let (reason, urgency) = (plan.reason.name(), plan.urgency.name());
            return format!("closing for {reason} ({urgency}, {} orders{stuck})", plan.attempts);
        }
        if let Some(plan) = self.story.live_plan(at) {
            let (reason, urgency) = (plan.reason().name(), plan.urgency().name());
            return format!("closing for {reason} ({urgency}, {} orders)", plan.orders.len());
        }
        let missed = match standing.missed {
            0 => String::new(),
            1 => "; missed once".into(),
            times => format!("; missed {times} times"),
        };
        if standing.dust {
            return "dust: what is left is too small to sell".into();
        }
        format!("no rule holds{missed}")
    }

    /// What is left open as data.
    #[must_use]
    pub fn open_json(&self) -> Vec<Value> {
        let one = |(at, why): (usize, String)| {
            let standing = &self.story.standings()[at];
            let legs = &self.story.config().positions[at].legs;
            let open: Vec<String> = legs
                .iter()
                .zip(standing.open)
                .map(|(leg, open)| {
                    let instrument = self.story.instrument(leg.instrument);
                    words::mantissa(open.raw(), instrument.spec().qty_scale)
                })
                .collect();
            json!({
                "position": self.name(at),
                "why": why,
                "open": open,
                "unrealised": self.unrealised(at).map(|net| money(net, 8)),
                "currency": self.currency(at),
            })
        };
        self.open().map(one).collect()
    }

    /// The venues' own books as data.
    #[must_use]
    pub fn venues_json(&self) -> Vec<Value> {
        let config = self.story.config();
        let venue = |(at, book): (usize, &VenueBook)| {
            let holding = |&(account, instrument, qty): &(AccountId, InstrumentId, i64)| {
                let named = &config.instruments[usize::from(instrument.0)];
                json!({
                    "account": config.accounts[usize::from(account.0)].name,
                    "instrument": named.name,
                    "qty": words::mantissa(qty, named.spec().qty_scale),
                })
            };
            json!({
                "venue": config.venues[at].name,
                "orders": book.orders,
                "fills": book.fills,
                "expired": book.expired,
                "rejected": book.rejected,
                "holdings": book.holdings.iter().map(holding).collect::<Vec<_>>(),
            })
        };
        self.driver.books().iter().enumerate().map(venue).collect()
    }

    /// Whether the venues hold exactly what the positions that are not closed should still hold.
    #[must_use]
    pub fn books_agree(&self) -> bool {
        let mut expected = BTreeMap::new();
        let positions = &self.story.config().positions;
        for (standing, position) in self.story.standings().iter().zip(positions) {
            let Some(spec) = &standing.spec else {
                let held = position.legs.iter().filter(|_| self.driver.holds_unopened());
                for leg in held {
                    let sign = if leg.side == Side::Long { 1 } else { -1 };
                    *expected.entry((leg.account, leg.instrument)).or_insert(0) +=
                        sign * leg.qty.raw();
                }
                continue;
            };
            for (leg, open) in spec.legs.iter().zip(standing.open) {
                let sign = if leg.side == Side::Long { 1 } else { -1 };
                *expected.entry((leg.account, leg.instrument)).or_insert(0) += sign * open.raw();
            }
        }
        let mut held = BTreeMap::new();
        for book in self.driver.books() {
            for (account, instrument, qty) in book.holdings {
                held.insert((account, instrument), qty);
            }
        }
        expected.retain(|_, qty| *qty != 0);
        expected == held
    }

    /// Whether a configured position was refused at registration.
    #[must_use]
    pub fn any_refused(&self) -> bool {
        self.story.standings().iter().any(|standing| standing.refused.is_some())
    }

    /// The table of what is left open.
    #[must_use]
    pub fn open_table(&self) -> Vec<String> {
        let rows: Vec<Vec<String>> = self
            .open()
            .map(|(at, why)| {
                let net = self.unrealised(at);
                let net = net.map_or("-".into(), |net| money(net, 2));
                vec![self.name(at).into(), why, format!("{net} {}", self.currency(at))]
            })
            .collect();
        if rows.is_empty() {
            return vec!["nothing is left open".into()];
        }
        table(&["left open", "why", "before fees"], &rows, 2)
    }
}
