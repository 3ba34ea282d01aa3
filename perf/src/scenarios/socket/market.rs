//! A market in which one quote in ten is an exit, and the configuration that watches it.
//!
//! ```text
//!   entries  60,000.0  59,999.0  59,998.0 …    stop-loss 1 %
//!   stops    59,400.0  59,399.01 59,398.02 …   each crossed by one quote
//! ```

use std::path::Path;

use reap_core::engine::Engine;
use reap_core::units::Nanos;
use reap_shell::config::Config;
use reap_shell::pipeline;

use super::ScenarioError;
use super::venue::frame;

/// One quote in so many crosses a stop.
pub(super) const EVERY: u64 = 10;
/// Room for prices of five digits.
const POSITIONS_MAX: u64 = 30_000;
/// Update ids of ten digits: every frame has the same length.
const FIRST_ID: u64 = 1_000_000_000;
const _: () = assert!(FIRST_ID.is_multiple_of(EVERY));
const _: () = assert!(600_000 > POSITIONS_MAX * 10 + 100_000);

/// A configuration of one instrument at an endpoint, and these many positions.
pub(super) fn config(
    endpoint: &str,
    root: Option<&Path>,
    positions: u64,
) -> Result<Config, ScenarioError> {
    use std::fmt::Write;
    assert!(positions <= POSITIONS_MAX, "prices have five digits");
    let root = root.map(|path| format!("root = {:?}\n", path.display().to_string()));
    let mut text = format!(
        "[venue.usdm]\nkind = \"binance_usdm\"\ntaker = \"0.05%\"\nmaker = \"0.02%\"\n\
         endpoint = \"{endpoint}\"\n{}\
         [instrument.btc]\nvenue = \"usdm\"\nsymbol = \"BTCUSDT\"\nquote = \"USDT\"\n\
         tick = \"0.10\"\nlot = \"0.001\"\nmin_notional = \"100 USDT\"\n\
         [policy.stop]\nstop_loss = \"1%\"\n",
        root.unwrap_or_default()
    );
    for at in 0..positions {
        let _ = write!(
            text,
            "[[position]]\nname = \"p{at}\"\npolicy = \"stop\"\nopened = \"2025-01-01T00:00:00Z\"\n\
             legs = [{{ instrument = \"btc\", side = \"long\", entry = \"{}.0\", qty = \"0.010\", \
             fees_paid = \"taker\" }}]\n",
            60_000 - at
        );
    }
    Config::parse("perf.toml", &text).map_err(|error| ScenarioError::failed(&error))
}

/// An engine that watches the configuration's positions.
pub(super) fn engine(config: &Config, sources: usize) -> Result<Engine, ScenarioError> {
    let instruments: Vec<_> = config.instruments.iter().map(|named| named.instrument).collect();
    let mut engine = pipeline::engine(config, &instruments, sources)
        .map_err(|error| ScenarioError::failed(&error))?;
    for position in &config.positions {
        let spec = position.resolve(&config.instruments, |_| None);
        let spec = spec.ok_or_else(|| ScenarioError::failed(&"a position waits for a quote"))?;
        let registered = engine.register(Nanos(1), &spec);
        registered.map_err(|error| ScenarioError::failed(&error))?;
    }
    Ok(engine)
}

/// The market's messages, one after another.
#[derive(Default)]
pub(super) struct Market {
    sent: u64,
    /// Messages before the first that may cross.
    before: u64,
}

impl Market {
    /// A market that never crosses a stop.
    pub(super) fn calm() -> Self {
        Self { sent: 0, before: u64::MAX }
    }

    /// A market that goes on after so many messages of a calm one.
    pub(super) fn after(before: u64) -> Self {
        Self { sent: before, before }
    }

    /// The id of the next quote.
    pub(super) fn next_id(&self) -> u64 {
        FIRST_ID + self.sent
    }

    /// Whether the quote of this id crosses a stop.
    pub(super) const fn crosses(id: u64) -> bool {
        id % EVERY == EVERY - 1
    }

    /// The next message; all have the same length.
    pub(super) fn message(&mut self) -> Vec<u8> {
        let id = self.next_id();
        self.sent += 1;
        let crossed = self.sent.saturating_sub(self.before) / EVERY;
        // Units of a tenth. The stop of position k lies at 594,000 - 9.9·k.
        let bid = match crossed {
            0 => 594_005,
            crossed => 594_000 - (99 * (crossed - 1)).div_ceil(10),
        };
        let price = |units: u64| format!("{}.{}", units / 10, units % 10);
        let qty = 1_000 + id % 1_000;
        format!(
            "{{\"e\":\"bookTicker\",\"u\":{id},\"s\":\"BTCUSDT\",\"b\":\"{}\",\"B\":\"{}.{:03}\",\
             \"a\":\"{}\",\"A\":\"2.000\",\"T\":1700000000000,\"E\":1700000000000}}",
            price(bid),
            qty / 1_000,
            qty % 1_000,
            price(bid + 1),
        )
        .into_bytes()
    }

    /// The next frames.
    pub(super) fn frames(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| frame(&self.message())).collect()
    }
}
