//! `tickers` of linear contracts: mark price and funding, as a snapshot and changes in which an
//! absent field means an unchanged one.

use reap_core::tick::{Stamp, Tick};
use reap_core::units::{Nanos, Rate};

use crate::decoded::Rejection;
use crate::json::{Cursor, JsonError, Token};
use crate::symbols::Symbol;
use crate::venues::common::{funding_rate, mark_price, venue_time};

/// What is known of a symbol's funding.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Funding {
    rate: Option<Rate>,
    settles: Option<Nanos>,
}

/// The fields of a ticker that are read.
#[derive(Default)]
pub(super) struct Ticker {
    pub(super) symbol: Token,
    mark_price: Token,
    funding_rate: Token,
    next_funding_time: Token,
}

impl Ticker {
    pub(super) fn scan(cursor: &mut Cursor<'_>) -> Result<Self, JsonError> {
        let mut ticker = Self::default();
        let mut object = cursor.object()?;
        while let Some(key) = cursor.key(&mut object)? {
            let value = cursor.value()?;
            match key {
                b"symbol" => ticker.symbol.fill(value)?,
                b"markPrice" => ticker.mark_price.fill(value)?,
                b"fundingRate" => ticker.funding_rate.fill(value)?,
                b"nextFundingTime" => ticker.next_funding_time.fill(value)?,
                _ => {}
            }
        }
        Ok(ticker)
    }

    /// The ticks of this message, and what is known of the funding after it.
    pub(super) fn read(
        &self,
        raw: &[u8],
        symbol: &Symbol,
        stamp: Stamp,
        mut funding: Funding,
    ) -> Result<([Option<Tick>; 2], Funding), Rejection> {
        let mark = if self.mark_price.is_present() && self.mark_price.string(raw) != Some(b"") {
            let price = mark_price(self.mark_price, raw, symbol.price_scale)?;
            Some(Tick::mark(symbol.instrument, stamp, price))
        } else {
            None
        };
        if self.funding_rate.is_present() {
            funding.rate = funding_rate(self.funding_rate, raw)?;
        }
        if self.next_funding_time.is_present() {
            funding.settles = match self.next_funding_time.string(raw) {
                Some(b"") => None,
                _ => {
                    let time = self.next_funding_time.loose_integer(raw).ok_or(Rejection::Field)?;
                    // Dated futures have no settlement and say 0.
                    (time > 0).then(|| venue_time(time))
                }
            };
        }
        let is_told = self.funding_rate.is_present() || self.next_funding_time.is_present();
        let funding_tick = match funding {
            Funding { rate: Some(rate), settles: Some(settles) } if is_told => {
                Some(Tick::funding(symbol.instrument, stamp, rate, settles))
            }
            _ => None,
        };
        Ok(([mark, funding_tick], funding))
    }
}
