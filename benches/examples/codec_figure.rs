//! p50 and p99 of one bookTicker.
use reap_core::instrument::{InstrumentId, SourceId};
use reap_core::units::Nanos;
use reap_feed::symbols::{Symbol, Symbols};
use reap_feed::venues::Venue;
use std::io::BufRead;
use std::time::Instant;
fn main() {
    for (venue, file, sym, ps, qs) in [
        ("binance-spot", "binance_spot_btcusdt_20240808", "BTCUSDT", 2, 5),
        ("binance-spot", "binance_spot_ethusdt_20240808", "ETHUSDT", 2, 4),
        ("binance-usdm", "binance_usdm_btcusdt_20240808", "BTCUSDT", 2, 3),
        ("binance-usdm", "binance_usdm_ethusdt_20240808", "ETHUSDT", 2, 3),
    ] {
        let path = format!("{}/../../shared/data/recordings/{file}.gz", env!("CARGO_MANIFEST_DIR"));
        let r = std::io::BufReader::new(flate2::read::GzDecoder::new(
            std::fs::File::open(path).unwrap(),
        ));
        let mut msgs: Vec<Vec<u8>> = vec![];
        for l in r.lines() {
            let l = l.unwrap();
            let (_, m) = l.split_once(' ').unwrap();
            if m.contains("bookTicker") {
                msgs.push(m.as_bytes().to_vec());
            }
        }
        let s = Symbol { instrument: InstrumentId(1), price_scale: ps, qty_scale: qs };
        let symbols = Symbols::new([(sym, s)]).unwrap();
        let mut codec = (Venue::find(venue).unwrap().market)(symbols.clone());
        let t = Nanos(1_723_161_255_030_314_667);
        let mut same = 0;
        for m in &msgs {
            let mut x = None;
            codec.decode(m, t, SourceId(0), &mut |k| x = Some(k));
            assert_eq!(x, reap_benches::serde_reference::decode(m, t, SourceId(0), &symbols));
            same += usize::from(x.is_some());
        }
        let mut run = |f: &mut dyn FnMut(&[u8]) -> i64| {
            let mut lat = Vec::new();
            let mut sum = 0i64;
            let mut best = f64::MAX;
            for _ in 0..10 {
                let t0 = Instant::now();
                for m in &msgs {
                    sum = sum.wrapping_add(f(m));
                }
                best = best.min(t0.elapsed().as_nanos() as f64 / msgs.len() as f64);
            }
            for _ in 0..4 {
                for m in &msgs {
                    let t0 = Instant::now();
                    sum = sum.wrapping_add(f(m));
                    lat.push(t0.elapsed().as_nanos() as u64);
                }
            }
            lat.sort_unstable();
            std::hint::black_box(sum);
            (best, lat[lat.len() / 2], lat[lat.len() * 99 / 100])
        };
        let ours = run(&mut |m| {
            let mut x = 0;
            codec.decode(m, t, SourceId(0), &mut |k| x = k.stamp().update_id as i64);
            x
        });
        let theirs = run(&mut |m| {
            reap_benches::serde_reference::decode(m, t, SourceId(0), &symbols)
                .map_or(0, |k| k.stamp().update_id as i64)
        });
        let empty = run(&mut |m| m.len() as i64);
        println!(
            "{file} n={same} ours {ours:?} serde {theirs:?} empty {empty:?} ratio {:.3}",
            ours.0 / theirs.0
        );
    }
}
