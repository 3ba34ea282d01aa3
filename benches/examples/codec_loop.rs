//! loop
use reap_core::instrument::{InstrumentId, SourceId};
use reap_core::units::Nanos;
use reap_feed::symbols::{Symbol, Symbols};
use reap_feed::venues::Venue;
use std::io::BufRead;
fn main() {
    let spot = std::env::args().nth(1).unwrap() == "spot";
    let (venue, file, qs) = if spot {
        ("binance-spot", "binance_spot_btcusdt_20240808", 5)
    } else {
        ("binance-usdm", "binance_usdm_btcusdt_20240808", 3)
    };
    let path = format!("{}/../../shared/data/recordings/{file}.gz", env!("CARGO_MANIFEST_DIR"));
    let r =
        std::io::BufReader::new(flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()));
    let mut msgs: Vec<Vec<u8>> = vec![];
    for l in r.lines() {
        let l = l.unwrap();
        let (_, m) = l.split_once(' ').unwrap();
        if m.contains("bookTicker") {
            msgs.push(m.as_bytes().to_vec());
        }
        if msgs.len() == 20000 {
            break;
        }
    }
    let s = Symbol { instrument: InstrumentId(1), price_scale: 2, qty_scale: qs };
    let symbols = Symbols::new([("BTCUSDT", s)]).unwrap();
    let mut codec = (Venue::find(venue).unwrap().market)(symbols.clone());
    let t = Nanos(1_723_161_255_030_314_667);
    let mut sum = 0u64;
    let t0 = std::time::Instant::now();
    for _ in 0..std::env::args().nth(2).map_or(1000, |n| n.parse().unwrap()) {
        for m in &msgs {
            codec.decode(m, t, SourceId(0), &mut |k| sum ^= k.stamp().update_id);
        }
    }
    println!("{sum} {}", t0.elapsed().as_nanos() / 20_000_000);
}
