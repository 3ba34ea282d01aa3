//! The story of a run, told by notes alone.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use reap_core::GateCounters;
use reap_core::event::{Outcome, Report as Said};
use reap_core::instrument::{AccountId, InstrumentId};
use reap_core::intent::{Intent, Reason, Urgency};
use reap_core::limits::LEGS_MAX;
use reap_core::net::Compiled;
use reap_core::order::{ClientOrderId, Order, OrderChange, OrderEvent, OrderSide, RejectClass};
use reap_core::plan::PlanView;
use reap_core::position::PositionId;
use reap_core::tick::Quote;
use reap_core::units::{Decimal, Nanos, Price, Qty};
use reap_feed::decoded::Counts;
use reap_shell::config::Config;
use reap_shell::pipeline::Stages;
use reap_shell::report::{Driver, Report, VenueBook};
use reap_shell::story::{Happening, Note, Story};

const TWO: &str = r#"
[venue.usdm]
kind = "binance_usdm"
taker = "5bps"
maker = "2bps"

[instrument.perp]
venue = "usdm"
symbol = "BTCUSDT"
quote = "USDT"
tick = "0.1"
lot = "0.001"

[policy.single]
take_profit = "1%"

[[position]]
name = "one"
policy = "single"
opened = "2026-01-01T00:00:00Z"
legs = [{ instrument = "perp", side = "long", entry = "10000", qty = "0.5" }]

[[position]]
name = "two"
policy = "single"
opened = "2026-01-01T00:00:00Z"
legs = [{ instrument = "perp", side = "long", entry = "10000", qty = "0.25" }]
"#;

/// A story and what it has told, in lines.
struct Told {
    story: Story,
    now: u64,
    lines: Vec<String>,
}

impl Told {
    /// Both positions are opened.
    fn new() -> Self {
        let mut told = Self::unopened();
        for at in 0..2 {
            told.resolve(at);
            told.note(Note::Opened { at, id: id(at) });
        }
        told.lines.clear();
        told
    }

    fn unopened() -> Self {
        let config = Config::parse("two.toml", TWO).unwrap();
        Self { story: Story::new(config), now: 0, lines: Vec::new() }
    }

    fn resolve(&mut self, at: usize) {
        let config = self.story.config();
        let spec = config.positions[at].resolve(&config.instruments, |_| None).unwrap();
        self.story.resolved(at, spec);
    }

    fn note(&mut self, note: Note) {
        self.now += 1;
        let config = self.story.config().clone();
        let lines = &mut self.lines;
        self.story.on_note(Nanos(self.now), &note, &mut |at_time, at, happening| {
            let line = Report::line(&config, at, &happening).unwrap_or_else(|| "-".into());
            lines.push(format!("{} {line}", at_time.0));
        });
    }

    fn report(&mut self, report: Said, realised: i128, open: i64) {
        let mut left = [Qty::ZERO; LEGS_MAX];
        left[0] = Qty::new(open).unwrap();
        let realised = Some(Decimal { mantissa: realised, scale: 13 });
        self.note(Note::Report { report, realised, open: Some(left) });
    }

    fn plan_ended(&mut self, at: usize, outcome: Outcome, realised: i128, open: i64) {
        self.report(
            Said::PlanEnded { position: id(at), intent: u64::MAX, outcome },
            realised,
            open,
        );
    }

    fn fill(&mut self, at: usize, qty: i64, open: i64) {
        let price = Price::new(101_000).unwrap();
        let qty = Qty::new(qty).unwrap();
        self.report(Said::Fill { position: id(at), leg: 0, price, qty, fee: 7 }, 0, open);
    }

    fn miss(&mut self, at: usize) {
        self.note(Note::Intent(intent(at)));
        self.plan_ended(at, Outcome::Missed, 0, 500);
    }
}

/// Ids are the engine's: no index of anything.
fn id(at: usize) -> PositionId {
    PositionId(7_000 + at as u32)
}

fn intent(at: usize) -> Intent {
    Intent {
        seq: 1,
        at: Nanos(1),
        position: id(at),
        policy_version: 1,
        rule: 0,
        part: 0,
        reason: Reason::TakeProfit,
        urgency: Urgency::Opportunistic,
        legs: 1,
        keep: [Qty::ZERO; LEGS_MAX],
        compiled: Compiled::Unconditional,
        inputs: [None; LEGS_MAX],
    }
}

fn order(at: usize, attempt: u16) -> Order {
    Order {
        id: ClientOrderId { epoch: 1, position: id(at), leg: 0, plan: 1, attempt },
        account: AccountId(0),
        instrument: InstrumentId(0),
        side: OrderSide::Sell,
        qty: Qty::new(500).unwrap(),
        limit: Some(Price::new(101_000).unwrap()),
        reduce_only: true,
    }
}

fn filled(qty: i64) -> OrderChange {
    let (price, qty) = (Price::new(101_000).unwrap(), Qty::new(qty).unwrap());
    OrderChange::Filled { trade_id: 1, price, qty, fee: 7 }
}

/// A driver that knows one quote and one holding.
struct Knows(Stages, i64);

impl Driver for Knows {
    fn quote(&self, _: InstrumentId) -> Option<Quote> {
        Quote::new(100_500, 100_501, 1, 1).ok()
    }

    fn plan(&self, _: PositionId) -> Option<PlanView> {
        None
    }

    fn books(&self) -> Vec<VenueBook> {
        let holdings = vec![(AccountId(0), InstrumentId(0), self.1)];
        vec![VenueBook { holdings, ..VenueBook::default() }]
    }

    fn counts(&self) -> Counts {
        Counts::default()
    }

    fn gates(&self) -> GateCounters {
        GateCounters::default()
    }

    fn stages(&self) -> &Stages {
        &self.0
    }
}

#[test]
fn an_exit_is_told_from_its_notes() {
    let mut told = Told::new();
    told.note(Note::Intent(intent(0)));
    told.note(Note::Sent(order(0, 1)));
    told.note(Note::Answer(OrderEvent { id: order(0, 1).id, what: OrderChange::Acked }));
    told.note(Note::Answer(OrderEvent { id: order(0, 1).id, what: filled(300) }));
    told.note(Note::Answer(OrderEvent { id: order(0, 1).id, what: OrderChange::Expired }));
    assert_eq!(told.story.order(order(0, 1).id).unwrap().said.len(), 3);
    told.fill(0, 300, 200);

    // In the middle of it, with a driver that does not see the plan.
    assert!(told.story.is_closing() && told.story.live_plan(0).is_some());
    assert_eq!(told.story.index_of(id(1)), Some(1));
    let driver = Knows(Stages::default(), 200 + 250);
    let report = Report::new(&told.story, &driver);
    let open = report.open_json();
    assert_eq!(open[0]["why"], "closing for take_profit (opportunistic, 1 orders)");
    assert_eq!((&open[0]["open"][0], &open[1]["open"][0]), (&"0.2".into(), &"0.25".into()));
    // (10050 - 10000) × 0.2, × 0.25
    assert_eq!(open[0]["unrealised"], "10.00000000");
    assert_eq!(open[1]["unrealised"], "12.50000000");
    assert!(report.books_agree());
    assert!(!Report::new(&told.story, &Knows(Stages::default(), 500)).books_agree());

    told.note(Note::Sent(order(0, 2)));
    let refused = OrderChange::Rejected(RejectClass::Price);
    told.note(Note::Answer(OrderEvent { id: order(0, 2).id, what: refused }));
    told.fill(0, 200, 0);
    told.plan_ended(0, Outcome::Closed, 480_000_000_000_000, 0);
    let order = |attempt| order(0, attempt).id.to_string();
    assert_eq!(
        told.lines,
        [
            "3 one: take_profit holds (opportunistic)".to_owned(),
            format!("4 one: sell 0.5 perp limit 10100, {}", order(1)),
            "5 -".into(),
            "6 one: filled 0.3 perp at 10100".into(),
            "7 one: the rest of perp expired".into(),
            format!("9 one: sell 0.5 perp limit 10100, {}", order(2)),
            "10 one: perp rejected (Price)".into(),
            "12 one: closed, net 48.0000 USDT".into(),
        ]
    );
    let standing = &told.story.standings()[0];
    assert!(standing.closed && !standing.dust && standing.open[0] == Qty::ZERO);
    assert!(!told.story.is_closing());
    let [plan] = told.story.plans() else { panic!("{:?}", told.story.plans()) };
    assert_eq!((plan.position, plan.orders.len(), plan.fills.len()), (0, 2, 2));
    assert_eq!(plan.ended, Some((Nanos(12), Outcome::Closed)));
    // An answer that comes after the end changes nothing.
    told.note(Note::Answer(OrderEvent { id: self::order(0, 2).id, what: filled(1) }));
    assert_eq!(told.lines.len(), 8);
}

#[test]
fn each_plan_has_its_own_part_of_the_net() {
    let mut told = Told::new();
    told.note(Note::Intent(intent(0)));
    told.fill(0, 300, 200);
    told.plan_ended(0, Outcome::Done, 1_000, 200);
    // What is counted for quantities that were closed before is not earned by the next plan.
    told.note(Note::Funding { position: id(0), leg: 0, settled: 50, unearned: 30 });
    told.note(Note::Funding { position: id(0), leg: 0, settled: 70, unearned: 12 });
    told.note(Note::Intent(intent(0)));
    told.fill(0, 200, 0);
    told.plan_ended(0, Outcome::Dust, 1_542, 0);
    let nets: Vec<i128> = told.story.plans().iter().map(|plan| plan.net.mantissa).collect();
    assert_eq!(nets, [1_000, 500]);
    let standing = &told.story.standings()[0];
    assert_eq!((standing.funding[0], standing.unearned), (70, 42));
    assert!(standing.dust && !standing.closed);
    let driver = Knows(Stages::default(), 0);
    let open = Report::new(&told.story, &driver).open_json();
    assert_eq!(open[0]["why"], "dust: what is left is too small to sell");
}

#[test]
fn what_misses_all_day_is_counted_and_not_kept() {
    let mut told = Told::new();
    // Plans of two positions overlap, so that neither is always the newest.
    for round in 1..=1_000 {
        told.note(Note::Intent(intent(0)));
        told.note(Note::Intent(intent(1)));
        told.plan_ended(0, Outcome::Missed, 0, 500);
        told.note(Note::Intent(intent(0)));
        told.plan_ended(1, Outcome::Missed, 0, 250);
        told.plan_ended(0, Outcome::Missed, 0, 500);
        assert!(told.story.plans().is_empty(), "round {round}: {}", told.story.plans().len());
    }
    assert_eq!(
        (told.story.standings()[0].missed, told.story.standings()[1].missed),
        (2_000, 1_000)
    );
    // What has closed something stays, whatever misses around it.
    told.note(Note::Intent(intent(1)));
    told.miss(0);
    told.fill(1, 250, 0);
    told.plan_ended(1, Outcome::Closed, 9, 0);
    told.miss(0);
    let exits: Vec<usize> =
        told.story.plans().iter().filter(|plan| plan.is_exit()).map(|plan| plan.position).collect();
    assert_eq!(exits, [1]);
    assert!(told.story.plans().len() <= 2);
}

#[test]
fn notes_of_strangers_are_no_part_of_it() {
    let mut told = Told::unopened();
    let strangers = |told: &mut Told| {
        told.note(Note::Intent(intent(0)));
        told.note(Note::Sent(order(0, 1)));
        told.note(Note::Answer(OrderEvent { id: order(0, 1).id, what: filled(1) }));
        told.fill(0, 1, 1);
        told.note(Note::Funding { position: id(0), leg: 0, settled: 1, unearned: 1 });
        told.plan_ended(0, Outcome::Closed, 1, 1);
    };
    strangers(&mut told);
    told.resolve(0);
    strangers(&mut told);
    assert!(told.lines.is_empty() && told.story.plans().is_empty());
    let standing = &told.story.standings()[0];
    assert!(!standing.closed && standing.unearned == 0 && standing.open[0].raw() == 500);
    // Refused at registration: said once, with the reason.
    let mut said = Vec::new();
    told.story.refused(Nanos(9), 0, "full".into(), &mut |_, at, happening| {
        let Happening::Refused(why) = happening else { panic!("{happening:?}") };
        said.push((at, why.to_owned()));
    });
    assert_eq!(said, [(0, "full".to_owned())]);
    let driver = Knows(Stages::default(), 500);
    let report = Report::new(&told.story, &driver);
    assert!(report.any_refused());
    let open = report.open_json();
    assert_eq!(open[0]["why"], "refused: full");
    assert_eq!(open[1]["why"], "never opened: its time or its first quotes did not come");
}
