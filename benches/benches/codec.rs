//! Decoding one message: best bid and ask in the venue's own wording beside the serde_json
//! reference, the same in another order of keys, a trade, and a level of depth that is skipped.
//!
//! Messages are those of the shared recordings where they are, else one written like them.

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use reap_benches::serde_reference;
use reap_core::instrument::{InstrumentId, SourceId};
use reap_core::units::Nanos;
use reap_feed::recording::{Item, Recording};
use reap_feed::symbols::{Symbol, Symbols};
use reap_feed::venues::Venue;

const RECEIVED: Nanos = Nanos(1_723_161_255_030_314_667);
const SOURCE: SourceId = SourceId(0);
/// Enough to be no loop over one message, few enough to stay in the cache.
const MESSAGES_MAX: usize = 1000;

fn symbols(qty_scale: u8) -> Symbols {
    let symbol = Symbol { instrument: InstrumentId(0), price_scale: 2, qty_scale };
    Symbols::new([("BTCUSDT", symbol)]).expect("one symbol is a table")
}

/// Recorded messages that contain `part`, else `sample`.
fn messages(file: &str, part: &str, sample: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let mut messages = Vec::new();
    if let Ok(mut recording) = Recording::open(folder.join(file)) {
        while let Ok(Some(item)) = recording.next() {
            if let Item::Received { raw, .. } = item
                && messages.len() < MESSAGES_MAX
                && raw.windows(part.len()).any(|window| window == part.as_bytes())
            {
                messages.push(raw.to_vec());
            }
        }
    }
    if messages.is_empty() {
        messages.push(sample.as_bytes().to_vec());
    }
    messages
}

fn decode(c: &mut Criterion, name: &str, venue: &str, qty_scale: u8, messages: &[Vec<u8>]) {
    let venue = Venue::find(venue).expect("the registry has it");
    let mut codec = (venue.market)(symbols(qty_scale));
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(messages.len() as u64));
    group.bench_function("codec", |b| {
        b.iter(|| {
            for raw in messages {
                codec.decode(black_box(raw), RECEIVED, SOURCE, &mut |tick| {
                    black_box(tick);
                });
            }
        });
    });
    group.finish();
}

fn reference(c: &mut Criterion, name: &str, qty_scale: u8, messages: &[Vec<u8>]) {
    let symbols = symbols(qty_scale);
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(messages.len() as u64));
    group.bench_function("serde_json", |b| {
        b.iter(|| {
            for raw in messages {
                black_box(serde_reference::decode(black_box(raw), RECEIVED, SOURCE, &symbols));
            }
        });
    });
    group.finish();
}

fn codecs(c: &mut Criterion) {
    let spot = messages(
        "recordings/binance_spot_btcusdt_20240808.gz",
        "@bookTicker",
        r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#,
    );
    decode(c, "spot bookTicker", "binance_spot", 5, &spot);
    reference(c, "spot bookTicker", 5, &spot);

    let file = "recordings/binance_usdm_btcusdt_20240808.gz";
    let usdm = messages(
        file,
        "@bookTicker",
        r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}"#,
    );
    decode(c, "USD-M bookTicker", "binance_usdm", 3, &usdm);
    reference(c, "USD-M bookTicker", 3, &usdm);

    let other = r#"{"stream":"btcusdt@bookTicker","data":{"E":1723161256313,"T":1723161256313,"A":"2.510","a":"61800.30","B":"2.507","b":"61800.20","s":"BTCUSDT","u":5123107839020,"e":"bookTicker"}}"#;
    decode(c, "USD-M bookTicker, another order", "binance_usdm", 3, &[other.as_bytes().to_vec()]);

    let trades = messages(
        file,
        "@trade",
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}"#,
    );
    decode(c, "USD-M trade", "binance_usdm", 3, &trades);

    let depth = messages(
        file,
        "@depth",
        r#"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161601105,"T":1723161601054,"s":"BTCUSDT","U":5123135475514,"u":5123135475514,"pu":5123135221461,"b":[["61631.70","0.283"],["61632.60","0.000"]],"a":[]}}"#,
    );
    decode(c, "USD-M depth, skipped", "binance_usdm", 3, &depth);

    let bybit = r#"{"topic":"orderbook.1.BTCUSDT","type":"snapshot","ts":1749833474773,"data":{"s":"BTCUSDT","b":[["61800.20","2.507"]],"a":[["61800.30","2.510"]],"u":24042997,"seq":209972815373},"cts":1749833474768}"#;
    decode(c, "Bybit orderbook.1", "bybit_linear", 3, &[bybit.as_bytes().to_vec()]);
}

criterion_group!(benches, codecs);
criterion_main!(benches);
