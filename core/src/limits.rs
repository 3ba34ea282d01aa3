//! Every bound of the core in one place, and the proof that they fit each other.
//!
//! A bound that is exceeded is refused where the value enters, with the field and the bound in the
//! error. Behind that border the arithmetic below cannot overflow.

use crate::units::Nanos;

/// Largest price mantissa (exclusive bound 2^48).
pub const PRICE_MAX: i64 = (1 << 48) - 1;
/// Largest quantity mantissa times multiplier times scale alignment (exclusive bound 2^46).
pub const QTY_MAX: i64 = (1 << 46) - 1;
/// Largest magnitude of a rate in parts per billion (exclusive bound 2^30, about 107 %).
pub const RATE_MAX: i64 = (1 << 30) - 1;
/// Largest magnitude of an amount of money (fees paid, funding settled, absolute thresholds), in
/// nano units of the position's money scale.
pub const AMOUNT_MAX: i128 = 1 << 119;
/// Parts per billion in one.
pub const PPB: i64 = 1_000_000_000;
/// Decimal digits that [`PPB`] adds to a money scale.
pub const PPB_DIGITS: u8 = 9;

/// Legs of one position.
pub const LEGS_MAX: usize = 4;
/// Rules of one policy.
pub const RULES_MAX: usize = 64;
/// Tiers of one `tiers` rule.
pub const TIERS_MAX: usize = 8;
/// Steps of one `decay` rule.
pub const DECAY_MAX: usize = 8;
/// Triggers that one position's rules compile to: a tier is one, a trailing rule up to four.
pub const TRIGGERS_MAX: usize = 128;
/// Longest time before a settlement of funding for which an exit waits: settlements are an hour apart
/// at least, so that nothing waits from one to the next.
pub const FUNDING_HOLD_MAX: Nanos = Nanos::from_secs(30 * 60);
/// How long after a settlement of funding an exit still waits: the venue has paid by then.
pub const FUNDING_GRACE: Nanos = Nanos::from_secs(15);
/// How long an instrument is without any price at most before its holders are told: what comes and goes
/// in less concerns none of them.
pub const BLIND_GRACE: Nanos = Nanos::from_millis(250);
/// Rungs of a protective exit's collar ladder before the market rung.
pub const COLLARS_MAX: usize = 4;

/// Instruments of one engine; an instrument's id fits its two bytes in a tick.
pub const INSTRUMENTS_MAX: usize = 1 << 12;
/// Sources (connections) of one engine; a source's id is one byte of a tick.
pub const SOURCES_MAX: usize = 256;
/// Positions of one engine at a time; a position's slot takes 20 bits of its id.
pub const POSITIONS_MAX: usize = 1 << 20;
/// Policies of one engine.
pub const POLICIES_MAX: usize = 1 << 12;
/// Pair classes (equal instruments, sides and reduced weights) of one instrument; the pairs of
/// further ratios are guarded one by one.
pub const PAIR_CLASSES_MAX: usize = 16;
/// Trailing tracks (equal side, step and kind of distance) of one instrument.
pub const TRACKS_MAX: usize = 16;
/// Distinct (side, least volume) of the `dump` rules on one instrument.
pub const DUMP_CLASSES_MAX: usize = 4;
/// The same of one engine.
pub const DUMPS_MAX: usize = 256;
/// Leaders of one `correlation` rule.
pub const RULE_LEADERS_MAX: usize = 4;
/// Leaders of one engine's `correlation` rules.
pub const LEADERS_MAX: usize = 16;
/// Distinct drops of the rules that follow one leader.
pub const LEADER_DROPS_MAX: usize = 8;
/// Distinct (instrument, side, leader, parameters) of one engine's `correlation` rules.
pub const CORRELATIONS_MAX: usize = 1024;
/// Settlements in a row of one `funding_flip` rule.
pub const SAMPLES_MAX: u8 = 100;
/// Largest decimal scale of a price, a quantity or a multiplier.
pub const SCALE_MAX: u8 = 12;

/// Sends of one leg without a word of its venue in between (SPEC §7).
pub const LEG_SENDS_UNPROVEN: u8 = 3;
/// Sends of one leg within a minute; the last is reserved for protective and critical exits.
pub const LEG_SENDS_PER_MINUTE: u8 = 60;
/// How long an order may live without a word before its venue is asked for it: orders are immediate
/// or cancel, and gateways wait 2 s for an answer.
pub const ASK_AFTER: Nanos = Nanos::from_secs(5);
/// How long a leg's order may be silent while another leg stands without its counterpart, before its
/// venue is asked for it (SPEC §11).
pub const LEG_TIMEOUT: Nanos = Nanos::from_millis(500);
/// How long legs may stand without their counterpart: the default of positions, and what holds for
/// entries (SPEC §7).
pub const UNHEDGED_TIME: Nanos = Nanos::from_secs(5);
/// First pause between two questions for one order; doubles up to the last.
pub const ASK_FIRST: Nanos = Nanos::from_secs(1);
/// See [`ASK_FIRST`].
pub const ASK_LAST: Nanos = Nanos::from_secs(30);
/// How long after it was sent an order may still turn up at a venue that does not know it: longer
/// than the receive window and the venues' own time-outs (10 s) together. "No such order" is lag
/// until then.
pub const INGESTION_BOUND: Nanos = Nanos::from_secs(30);
/// Least span between two answers "no such order" that count as two.
pub const NOT_FOUND_APART: Nanos = Nanos::from_secs(1);
/// Orders without a fill after which a plan of normal urgency becomes protective.
pub const FAILED_ATTEMPTS_MAX: u8 = 3;
/// Trade ids that the executor can remember for each order that may be live.
pub const TRADES_PER_ORDER: usize = 16;
/// How long plans rest after a restart: holdings are read meanwhile, and quotes come.
pub const RESTART_PAUSE: Nanos = Nanos::from_secs(2);
/// How often a waiting plan looks at the quotes again, and the least span between two normal
/// attempts of a leg.
pub const POLL_EVERY: Nanos = Nanos::from_millis(100);
/// First back-off after an order that a venue refused for a passing reason; doubles.
pub const BACKOFF_FIRST: Nanos = Nanos::from_millis(250);
/// Refusals in a row that say more of a venue than of the orders.
pub const TRIPS_AFTER: u8 = 3;
/// Longest pause between two orders that try a venue which is held.
pub const PROBE_LAST: Nanos = Nanos::from_secs(4);
/// How long the others wait for what becomes of such an order.
pub const PROBE_PATIENCE: Nanos = Nanos::from_secs(5);
/// Longest wish for patience of a venue that is followed: bans last up to three days.
pub const LIMITED_MAX: Nanos = Nanos::from_secs(3 * 86_400);
/// How long an account's read is awaited before it counts as asked for anew.
pub const READ_PATIENCE: Nanos = Nanos::from_secs(10);
/// Tasks of one engine.
pub const TASKS_MAX: usize = 64;
/// Positions at a time that a reversal turns to the other side.
pub const TURNS_MAX: usize = 64;
/// Entries at work at a time: one of each task and of each turn.
pub const ENTRIES_MAX: usize = TASKS_MAX + TURNS_MAX;
/// How long a task waits after an entry of which nothing came.
pub const TASK_RETRY: Nanos = Nanos::from_secs(1);
/// Least span between two reads of a leg that count as two.
pub const READS_APART: Nanos = Nanos::from_secs(1);
/// How long a signal waits for what it conflicts with to be closed.
pub const SIGNAL_TTL: Nanos = Nanos::from_secs(5);
/// Longest of those back-offs.
pub const BACKOFF_LAST: Nanos = Nanos::from_secs(8);
/// Back-off after an order that the venue would refuse again.
pub const BACKOFF_FATAL: Nanos = Nanos::from_secs(10);

// A leg's exit value is price × quantity × (10^9 ± rate); four of them, plus their entry values,
// fees and funding, must fit an i128. Both sides of a comparison are computed apart.
const LEG_VALUE_MAX: i128 =
    (PRICE_MAX as i128) * (QTY_MAX as i128) * (PPB as i128 + RATE_MAX as i128);
const _: () = assert!(LEG_VALUE_MAX < i128::MAX / LEGS_MAX as i128);
const _: () =
    assert!(LEG_VALUE_MAX * LEGS_MAX as i128 <= i128::MAX - 2 * LEGS_MAX as i128 * AMOUNT_MAX);
// A threshold is rate × Σ entry notional; with the entry value, the fees and the funding beside it.
const ENTRY_VALUE_MAX: i128 = (PRICE_MAX as i128) * (QTY_MAX as i128) * (PPB as i128);
const THRESHOLD_MAX: i128 = (PRICE_MAX as i128) * (QTY_MAX as i128) * (RATE_MAX as i128);
const _: () = assert!(
    LEGS_MAX as i128 * (ENTRY_VALUE_MAX / 2 + THRESHOLD_MAX / 2 + AMOUNT_MAX) < i128::MAX / 2,
);
const _: () = assert!(PPB == 10i64.pow(PPB_DIGITS as u32));
const _: () = assert!(INSTRUMENTS_MAX + DUMPS_MAX <= 1 << 16);
const _: () = assert!(TRIGGERS_MAX <= 1 << 8);
const _: () = assert!(POSITIONS_MAX == 1 << 20);
const _: () = assert!(TIERS_MAX >= 4);
const _: () = assert!(BACKOFF_FIRST.0 < BACKOFF_LAST.0 && BACKOFF_LAST.0 < BACKOFF_FATAL.0);
const _: () = assert!(LEG_TIMEOUT.0 < ASK_AFTER.0 && LEG_TIMEOUT.0 < UNHEDGED_TIME.0);
const _: () = assert!(LEG_SENDS_PER_MINUTE > 1 && FAILED_ATTEMPTS_MAX > 0);
