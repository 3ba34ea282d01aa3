//! `reap run`: connections are changed before the venue ends them, without a gap.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod common;

use std::path::{Path, PathBuf};

use common::{assert_calm, reap, text};

/// The example of a simulated run, with connections that live for three seconds.
fn config(folder: &Path) -> PathBuf {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config/run-sim.toml");
    let example = std::fs::read_to_string(example).unwrap();
    let log = format!("[run]\nlog = {:?}", folder.join("orders"));
    let short = example
        .replace("kind = \"binance_usdm\"", "kind = \"binance_usdm\"\nmax_life = \"3s\"")
        .replace("kind = \"bybit_linear\"", "kind = \"bybit_linear\"\nmax_life = \"3s\"")
        .replace("[run]", &log);
    let path = folder.join("rotation.toml");
    std::fs::write(&path, short).unwrap();
    path
}

#[test]
fn f25_a_planned_change_leaves_no_moment_without_a_connection() {
    let folder = std::env::temp_dir().join(format!("reap-rotation-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = config(&folder);
    let output = reap(&["run", "--config", config.to_str().unwrap(), "--for", "9"]);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_calm(&output, "a run");
    let shown = text(&output.stdout);
    for line in ["binance public", "binance market", "bybit public"] {
        let begun = format!("{line}: the connection nears the end of its life");
        let done = format!("{line}: the replacement took over without a gap");
        assert!(shown.matches(&begun).count() >= 2, "{begun}\n{shown}");
        assert!(shown.matches(&done).count() >= 2, "{done}\n{shown}");
    }
    assert!(!shown.contains("lost:"), "{shown}");
}
