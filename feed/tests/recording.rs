//! Recordings that are written, read back, and broken in every way a file can be.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use reap_core::units::Nanos;
use reap_feed::json::MESSAGE_MAX;
use reap_feed::recording::{
    Item, LineFault, Recording, RecordingError, RecordingFault, RecordingWriter,
};

/// A file of its own for each test.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("reap-feed-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = path(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Line, receive time in nanoseconds, bytes.
type Message = (u64, u64, Vec<u8>);

/// All messages with their times and lines, and the error that ended them.
fn read(path: &PathBuf) -> (Vec<Message>, Option<RecordingError>) {
    let mut messages = Vec::new();
    let mut recording = match Recording::open(path) {
        Ok(recording) => recording,
        Err(error) => return (messages, Some(error)),
    };
    loop {
        match recording.next() {
            Ok(None) => return (messages, None),
            Err(error) => return (messages, Some(error)),
            Ok(Some(Item::Received { received, raw })) => {
                let raw = raw.to_vec();
                messages.push((recording.line(), received.0, raw));
            }
            Ok(Some(item)) => panic!("{item:?}"),
        }
    }
}

fn fault(path: &PathBuf) -> RecordingFault {
    read(path).1.expect("an error").fault
}

const TIME: u64 = 1_723_161_253_937_085_768;

#[test]
fn what_is_written_is_read() {
    let path = path("round-trip.gz");
    let mut writer = RecordingWriter::create(&path).unwrap();
    let long = "x".repeat(MESSAGE_MAX);
    let messages = ["{\"a\":1}", "", "not json: 币", "with\r return", &long];
    for (i, message) in messages.iter().enumerate() {
        writer.write(Nanos(TIME + i as u64), message.as_bytes()).unwrap();
    }
    writer.finish().unwrap();
    let (read, error) = read(&path);
    assert!(error.is_none(), "{error:?}");
    let expected: Vec<_> = messages
        .iter()
        .enumerate()
        .map(|(i, message)| (i as u64 + 1, TIME + i as u64, message.as_bytes().to_vec()))
        .collect();
    assert_eq!(read, expected);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn times_by_the_magnitude_of_the_first_line() {
    for (name, text) in [("us", "1680652800004107 {}\n\n1680652800004108 {}\n"), ("plain", "")] {
        let text =
            if text.is_empty() { "1680652800004107000 {}\n1680652800004108000 {}" } else { text };
        let path = file(name, text.as_bytes());
        let (messages, error) = read(&path);
        assert!(error.is_none(), "{error:?}");
        let times: Vec<u64> = messages.iter().map(|message| message.1).collect();
        assert_eq!(times, [1_680_652_800_004_107_000, 1_680_652_800_004_108_000], "{name}");
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn two_packed_parts_are_one_recording() {
    let parts =
        [packed(format!("{TIME} 1\n").as_bytes()), packed(format!("{TIME} 2\n").as_bytes())];
    let path = file("parts.gz", &parts.concat());
    let (messages, error) = read(&path);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(messages.len(), 2);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn files_that_cannot_be_read() {
    assert!(matches!(fault(&path("missing")), RecordingFault::Missing));
    assert!(matches!(fault(&file("empty", b"")), RecordingFault::Empty));
    assert!(matches!(fault(&file("empty.gz", &packed(b""))), RecordingFault::Empty));
    assert!(matches!(fault(&std::env::temp_dir()), RecordingFault::Io(_)));
    let bad_first = |text: &str| match fault(&file("first", text.as_bytes())) {
        RecordingFault::Line { line: 1, fault } => fault,
        fault => panic!("{fault}"),
    };
    assert_eq!(bad_first("hello\n"), LineFault::Shape);
    assert_eq!(bad_first("hello world\n"), LineFault::Time);
    assert_eq!(bad_first("12 {}\n"), LineFault::Time);
    assert_eq!(bad_first(&"7".repeat(2 * MESSAGE_MAX)), LineFault::TooLong);
    let error = read(&path("missing")).1.unwrap();
    assert!(error.to_string().ends_with("missing: no such file"), "{error}");
}

/// What came before the fault is good, and the fault says behind which line it is.
#[test]
fn files_that_break_in_the_middle() {
    let text: String = (0..5000).map(|i| format!("{} {{\"n\":{i}}}\n", TIME + i)).collect();
    let whole = packed(text.as_bytes());
    let cut = file("cut.gz", &whole[..whole.len() / 2]);
    let (messages, error) = read(&cut);
    let RecordingFault::Truncated { line } = error.unwrap().fault else { panic!("not cut") };
    assert_eq!(line, messages.len() as u64);
    assert!(line > 100 && line < 5000, "{line}");

    // A kind of block that does not exist, right behind the header.
    let mut bad = whole.clone();
    bad[10] = 0xff;
    let fault = self::fault(&file("bad.gz", &bad));
    assert!(matches!(fault, RecordingFault::Gzip { line: 0, .. }), "{fault}");

    // Elsewhere the bytes may still unpack, to something that is no line.
    let mut bad = whole.clone();
    let middle = bad.len() / 2;
    bad[middle..middle + 8].fill(0xff);
    assert!(read(&file("noise.gz", &bad)).1.is_some());

    // Only the checksum at the end is wrong.
    let mut bad = whole.clone();
    let checksum = bad.len() - 8;
    bad[checksum] ^= 1;
    let (messages, error) = read(&file("sum.gz", &bad));
    assert_eq!(messages.len(), 5000);
    assert!(matches!(error.unwrap().fault, RecordingFault::Gzip { line: 5000, .. }));

    let text = format!("{TIME} {{}}\n{TIME} {{}}\nx {{}}\n");
    let (messages, error) = read(&file("line", text.as_bytes()));
    assert_eq!(messages.len(), 2);
    let fault = error.unwrap().fault;
    assert!(matches!(fault, RecordingFault::Line { line: 3, fault: LineFault::Time }), "{fault}");
    let long = format!("{TIME} {{}}\n{TIME} {}\n", "x".repeat(2 * MESSAGE_MAX));
    let fault = self::fault(&file("long", long.as_bytes()));
    assert!(
        matches!(fault, RecordingFault::Line { line: 2, fault: LineFault::TooLong }),
        "{fault}"
    );
}

#[test]
fn what_cannot_be_written() {
    let missing = std::env::temp_dir().join("no-such-folder-of-reap/x.gz");
    assert!(matches!(RecordingWriter::create(missing).unwrap_err().fault, RecordingFault::Io(_)));
    let exists = file("exists.gz", b"keep");
    let error = RecordingWriter::create(&exists).unwrap_err();
    assert!(matches!(error.fault, RecordingFault::Io(_)));
    assert_eq!(std::fs::read(&exists).unwrap(), b"keep");

    let mut writer = RecordingWriter::create(path("refused.gz")).unwrap();
    let mut refused = |time: u64, raw: &[u8]| match writer.write(Nanos(time), raw) {
        Err(RecordingError { fault: RecordingFault::Line { fault, .. }, .. }) => fault,
        result => panic!("{result:?}"),
    };
    assert_eq!(refused(TIME, b"{}\n{}"), LineFault::LineEnd);
    assert_eq!(refused(17, b"{}"), LineFault::Time);
    assert_eq!(refused(TIME, "x".repeat(MESSAGE_MAX + 1).as_bytes()), LineFault::TooLong);
}

#[test]
fn captures_tell_what_was_sent() {
    let url = "wss://stream.bybit.com/v5/public/linear";
    let text = format!(
        "{url} <-> 1749833471.8455276\n{url} <- 1749833474.000351: {{\"op\":\"ping\"}}\n\n1749833474.2851315: {{}}\n"
    );
    for path in [file("capture", text.as_bytes()), file("capture.gz", &packed(text.as_bytes()))] {
        let mut recording = Recording::open(&path).unwrap();
        let at = Nanos(1_749_833_471_845_527_600);
        assert_eq!(recording.next().unwrap(), Some(Item::Connected { at, url }));
        let (at, raw) = (Nanos(1_749_833_474_000_351_000), &b"{\"op\":\"ping\"}"[..]);
        assert_eq!(recording.next().unwrap(), Some(Item::Sent { at, url, raw }));
        let received = Nanos(1_749_833_474_285_131_500);
        assert_eq!(recording.next().unwrap(), Some(Item::Received { received, raw: b"{}" }));
        assert_eq!(recording.line(), 4);
        assert_eq!(recording.next().unwrap(), None);
        std::fs::remove_file(path).unwrap();
    }
}

/// Whatever ends the process: what was flushed is a whole file, and nothing is behind it.
#[test]
fn a_recording_that_was_never_finished_is_whole_up_to_its_last_flush() {
    let path = path("killed.gz");
    let mut writer = RecordingWriter::create(&path).unwrap();
    writer.flush().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0, "nothing to flush");
    for number in 0..3 {
        writer.write(Nanos(TIME + number), b"{}").unwrap();
        assert!(writer.write(Nanos(TIME), b"two\nlines").is_err(), "the writer lives on");
    }
    writer.flush().unwrap();
    writer.write(Nanos(TIME + 3), b"{\"lost\":true}").unwrap();
    drop(writer);
    let (messages, error) = read(&path);
    assert!(error.is_none(), "{error:?}");
    let expected: Vec<_> = (0..3).map(|i| (i + 1, TIME + i, b"{}".to_vec())).collect();
    assert_eq!(messages, expected);
}

#[test]
fn large_recordings_are_flushed_on_the_way() {
    let path = path("large.gz");
    let mut writer = RecordingWriter::create(&path).unwrap();
    let raw = vec![b'x'; 100_000];
    for number in 0..25 {
        writer.write(Nanos(TIME + number), &raw).unwrap();
    }
    let flushed = writer.flushed();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), flushed.bytes);
    drop(writer);
    let (messages, error) = read(&path);
    assert!(error.is_none(), "{error:?}");
    assert!(messages.len() >= 20, "{}", messages.len());
    assert_eq!(messages.len() as u64, flushed.messages);
}

#[test]
fn only_replace_overwrites() {
    let path = file("there.gz", b"precious");
    assert!(RecordingWriter::create(&path).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    let mut writer = RecordingWriter::replace(&path).unwrap();
    writer.write(Nanos(TIME), b"{}").unwrap();
    writer.finish().unwrap();
    assert_eq!(read(&path).0.len(), 1);
}
