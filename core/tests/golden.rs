//! The golden cases of SPEC §12, one file each in `golden/`; `UPDATE=1` writes what is decided now.
//!
//! Every case runs through the engine and through the reference at once, and the two must agree.

mod reference;

use std::fs;
use std::path::Path;

fn check(path: &Path) -> Result<(), String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let decided = reference::scenario::run(&text);
    if decided == text {
        return Ok(());
    }
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        return fs::write(path, decided).map_err(|error| error.to_string());
    }
    Err(format!("{}: UPDATE=1 would write\n{decided}", path.display()))
}

#[test]
fn golden_cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let entries = fs::read_dir(&folder).expect("the folder of cases");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a readable folder").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    paths.sort();
    assert!(paths.len() >= 15, "the cases of SPEC §12 are there");
    let failures: Vec<String> = paths.iter().filter_map(|path| check(path).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
