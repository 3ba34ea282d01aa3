//! The format is pinned, and nothing but what was written is ever read.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::samples::{HEADER, all};
use super::*;
use crate::instrument::InstrumentId;
use crate::limits::LEGS_MAX;
use crate::pricing::{Quotes, Top};
use crate::testing::Random;
use crate::tick::Quote;
use crate::units::Nanos;

fn encode(sequence: u64, record: &Record) -> Vec<u8> {
    let mut bytes = vec![0xaa; RECORD_MAX];
    let at = Nanos(1_700_000_000_000_000_000 + sequence);
    let len = HEADER.encoder().encode(sequence, at, record, &mut bytes).unwrap();
    assert_eq!(len, record.encoded_len());
    bytes.truncate(len);
    bytes
}

/// A segment of the header's size with these records and zeros, and where each record begins.
fn segment(records: &[Record]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = HEADER.encode().to_vec();
    let mut places = Vec::new();
    for (sequence, record) in (HEADER.first_sequence..).zip(records) {
        places.push(bytes.len());
        bytes.extend(encode(sequence, record));
    }
    places.push(bytes.len());
    assert!(bytes.len() as u64 <= HEADER.size);
    bytes.resize(HEADER.size as usize, 0);
    (bytes, places)
}

/// Records of random kinds that fill all but some hundred bytes of a segment.
fn full(random: &mut Random) -> Vec<Record> {
    let kinds = all();
    let mut room = HEADER.size as usize - HEADER_LEN - RECORD_MAX;
    let mut records = Vec::new();
    loop {
        let record = &kinds[random.below(kinds.len() as u64) as usize];
        let Some(left) = room.checked_sub(record.encoded_len()) else { break };
        records.push(record.clone());
        room = left;
    }
    records
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn golden_text() -> String {
    let mut text = format!("header {}\n", hex(&HEADER.encode()));
    for (sequence, record) in (HEADER.first_sequence..).zip(all()) {
        text += &format!("{} {}\n", record.name(), hex(&encode(sequence, &record)));
    }
    text
}

/// A change here is a change of the format: it needs a new version, and the old one must still be
/// read.
#[test]
fn the_bytes_of_every_kind_are_pinned() {
    let actual = golden_text();
    for (actual, expected) in actual.lines().zip(include_str!("golden.txt").lines()) {
        assert_eq!(actual, expected, "the format has changed");
    }
    assert_eq!(actual.len(), include_str!("golden.txt").len(), "this is written:\n{actual}");
}

#[test]
fn what_was_written_is_read() {
    let (bytes, places) = segment(&all());
    let mut reader = Reader::new(&bytes).unwrap();
    assert_eq!(*reader.header(), HEADER);
    let mut read = Vec::new();
    for entry in reader.by_ref() {
        assert_eq!(entry.sequence, HEADER.first_sequence + read.len() as u64);
        assert_eq!(entry.at, Nanos(1_700_000_000_000_000_000 + entry.sequence));
        read.push(entry.record);
    }
    assert_eq!(read, all());
    assert_eq!(reader.end(), End::Clean { at: *places.last().unwrap() });
    assert_eq!(reader.next_sequence(), HEADER.first_sequence + read.len() as u64);
    assert_eq!(reader.next(), None);
    // Every kind is there: the numbers below the first unknown one.
    let mut codes: Vec<u8> = read.iter().map(Record::code).collect();
    codes.sort_unstable();
    codes.dedup();
    let known: Vec<u8> =
        (0..=u8::MAX).filter(|&kind| record::payload_len(kind, 1).is_some()).collect();
    assert_eq!(codes, known);
}

#[test]
fn a_full_segment_ends_clean_and_a_short_buffer_is_refused() {
    let header = SegmentHeader { size: 64 + 32, ..HEADER };
    let mut bytes = header.encode().to_vec();
    let mut record = [0; 32];
    let made = header.encoder().encode(101, Nanos(1), &Record::Timer, &mut record);
    assert_eq!(made, Ok(32));
    let short = header.encoder().encode(101, Nanos(1), &Record::Timer, &mut record[1..]);
    assert_eq!(short, Err(NoRoom { needed: 32, given: 31 }));
    bytes.extend(record);
    let mut reader = Reader::new(&bytes).unwrap();
    assert_eq!(reader.by_ref().count(), 1);
    assert_eq!(reader.end(), End::Clean { at: 96 });
}

#[test]
fn p3_every_truncation_gives_the_records_before_it() {
    let mut random = Random::from_env("truncation");
    let records = full(&mut random);
    let (bytes, places) = segment(&records);
    assert!(places.last().unwrap() > &60_000);
    for len in 0..bytes.len() {
        let Some(mut reader) = Reader::new(&bytes[..len]).ok() else {
            assert!(len < HEADER_LEN);
            continue;
        };
        // The records before are read one by one; only the last few are looked at each time.
        let whole = places.partition_point(|&place| place <= len) - 1;
        let from = whole.min(records.len()).saturating_sub(2);
        reader = reader.at_place(places[from], HEADER.first_sequence + from as u64);
        for record in &records[from..whole] {
            assert_eq!(reader.next().map(|entry| entry.record).as_ref(), Some(record), "{len}");
        }
        assert_eq!(reader.next(), None, "{len}");
        assert_eq!(reader.end(), End::Torn { at: places[whole] }, "{len}");
    }
}

#[test]
fn p3_a_record_whose_end_was_not_written_is_torn() {
    let records = &all()[..9];
    let (bytes, places) = segment(records);
    let last = places[8]..places[9];
    // Every written prefix, as a stopped write leaves it in a preallocated segment, but for the
    // last record's checksum: without a byte of that, it may be bit rot as well.
    for written in last.start + 1..last.end - CRC_LEN {
        let mut bytes = bytes.clone();
        bytes[written..].fill(0);
        let mut reader = Reader::new(&bytes).unwrap();
        assert_eq!(reader.by_ref().count(), 8);
        assert_eq!(reader.end(), End::Torn { at: last.start }, "{written}");
    }
    // Blocks of the disk in another order: the end came first.
    let mut swapped = bytes;
    swapped[last.start..last.end - 64].fill(0);
    let mut reader = Reader::new(&swapped).unwrap();
    assert_eq!(reader.by_ref().count(), 8);
    assert_eq!(reader.end(), End::Torn { at: last.start });
}

#[test]
fn p4_every_bit_flip_is_seen_and_no_record_behind_it_is_given() {
    let mut random = Random::from_env("bit flips");
    let records = full(&mut random);
    let (mut bytes, places) = segment(&records);
    let written = *places.last().unwrap();
    for byte in 0..bytes.len() {
        for bit in 0..8 {
            bytes[byte] ^= 1 << bit;
            match Reader::new(&bytes) {
                Err(error) => {
                    let expected =
                        if byte < 8 { HeaderError::NotALog } else { HeaderError::Corrupt };
                    assert_eq!(error, expected, "{byte}.{bit}");
                    assert!(byte < HEADER_LEN);
                }
                Ok(reader) => {
                    let hit = places.partition_point(|&place| place <= byte) - 1;
                    let at = places[hit];
                    let from = hit.saturating_sub(1);
                    let sequence = HEADER.first_sequence + from as u64;
                    let mut reader = reader.at_place(places[from], sequence);
                    for record in &records[from..hit] {
                        assert_eq!(reader.next().unwrap().record, *record, "{byte}.{bit}");
                    }
                    assert_eq!(reader.next(), None, "{byte}.{bit}");
                    let end = reader.end();
                    assert_eq!(end.at(), at, "{byte}.{bit}");
                    let expected = End::Corrupt { at, followed_by_good: hit + 1 < records.len() };
                    // The last record's length, and the zeros behind it, may as well be what a
                    // write that stopped has left.
                    let torn = hit + 1 >= records.len() && byte < written + RECORD_MAX;
                    assert!(
                        end == expected || torn && end == End::Torn { at },
                        "{byte}.{bit} {end}"
                    );
                }
            }
            bytes[byte] ^= 1 << bit;
        }
    }
}

#[test]
fn p4_whole_logs_with_damage_read_up_to_it() {
    let mut random = Random::from_env("damage");
    let records = full(&mut random);
    let (bytes, places) = segment(&records);
    for _ in 0..300 {
        let mut bytes = bytes.clone();
        let from = HEADER_LEN + random.below((bytes.len() - HEADER_LEN) as u64) as usize;
        let len = 1 + random.below(2_000) as usize;
        let end = (from + len).min(bytes.len());
        let damaged: Vec<u8> = (from..end).map(|_| random.next() as u8).collect();
        if damaged == bytes[from..end] {
            continue;
        }
        let first = (from..end).find(|&at| damaged[at - from] != bytes[at]).unwrap();
        bytes[from..end].copy_from_slice(&damaged);
        let good = (places.partition_point(|&place| place <= first) - 1).min(records.len());
        let mut reader = Reader::new(&bytes).unwrap();
        let read: Vec<Record> = reader.by_ref().map(|entry| entry.record).collect();
        assert!(read == records[..good], "{} instead of {good} records", read.len());
        assert!(!matches!(reader.end(), End::Clean { .. }));
    }
}

#[test]
fn any_bytes_end_without_a_panic() {
    let mut random = Random::from_env("any bytes");
    let kinds = all();
    for round in 0..400 {
        let mut bytes = HEADER.encode().to_vec();
        for _ in 0..random.below(20) {
            // Payloads of any bytes under a checksum that holds: what a hostile writer could do.
            let record = &kinds[random.below(kinds.len() as u64) as usize];
            let sequence = HEADER.first_sequence + random.below(3);
            let mut made = encode(sequence, record);
            for _ in 0..random.below(8) {
                let at = random.below(made.len() as u64) as usize;
                made[at] = random.next() as u8;
            }
            let body = made.len() - CRC_LEN;
            let crc = HEADER.encoder().checksum(&made[..body]);
            made[body..].copy_from_slice(&crc.to_le_bytes());
            bytes.extend(made);
        }
        bytes.extend(
            (0..random.below(3_000)).map(|_| if round % 2 == 0 { random.next() as u8 } else { 0 }),
        );
        let mut reader = Reader::new(&bytes).unwrap();
        for entry in reader.by_ref() {
            // What was accepted can be written again, and verified against, without a panic.
            let mut again = [0; RECORD_MAX];
            HEADER.encoder().encode(entry.sequence, entry.at, &entry.record, &mut again).unwrap();
            if let Record::Intent(intent) = entry.record {
                let _ = intent.compiled.holds(&[(1 << 48) - 1; LEGS_MAX]);
            }
        }
        let end = format!("{} {}", reader.end(), reader.at());
        assert!(!end.is_empty());
        let noise: Vec<u8> = (0..random.below(200)).map(|_| random.next() as u8).collect();
        assert!(Reader::new(&noise).is_err());
    }
}

/// Rewrites bytes of a record and makes its checksum right again.
fn forged(sequence: u64, record: &Record, at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = encode(sequence, record);
    bytes[at..at + with.len()].copy_from_slice(with);
    let body = bytes.len() - CRC_LEN;
    let crc = HEADER.encoder().checksum(&bytes[..body]);
    bytes[body..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// How a segment ends that begins with one good record and goes on with these bytes.
fn end_of(tail: &[u8]) -> (usize, End) {
    let (mut bytes, places) = segment(&[Record::Timer]);
    let at = places[1];
    bytes[at..at + tail.len()].copy_from_slice(tail);
    let mut reader = Reader::new(&bytes).unwrap();
    (reader.by_ref().count(), reader.end())
}

#[test]
fn p17_what_a_newer_program_wrote_is_refused_by_name() {
    let at = HEADER_LEN + RECORD_MIN;
    let version = forged(102, &Record::Timer, 3, &[2]);
    assert_eq!(end_of(&version), (1, End::NewerVersion { at, kind: 8, version: 2 }));
    let kind = forged(102, &Record::Stop(StopWhy::Done), 2, &[200]);
    let (count, end) = end_of(&kind);
    assert_eq!((count, end), (1, End::NewerVersion { at, kind: 200, version: 1 }));
    assert!(format!("{end}").contains("use the newer program"));
    let mut header = HEADER.encode();
    header[8] = 2;
    let crc = crc32fast::hash(&header[..60]);
    header[60..].copy_from_slice(&crc.to_le_bytes());
    let refused = SegmentHeader::decode(&header).unwrap_err();
    assert_eq!(refused, HeaderError::NewerVersion { found: 2 });
    assert!(format!("{refused}").contains("version 2"));
}

#[test]
fn whole_records_out_of_place_are_told_apart() {
    let at = HEADER_LEN + RECORD_MIN;
    let later = encode(103, &Record::Timer);
    assert_eq!(end_of(&later), (1, End::SequenceGap { at, expected: 102, found: 103 }));
    let again = encode(101, &Record::Timer);
    assert_eq!(end_of(&again), (1, End::SequenceGap { at, expected: 102, found: 101 }));
    let epoch = forged(102, &Record::Timer, 4, &[9, 0]);
    assert_eq!(end_of(&epoch), (1, End::WrongEpoch { at, found: 9 }));
    let bound = forged(102, &Record::Stop(StopWhy::Done), RECORD_HEAD, &[77]);
    assert_eq!(end_of(&bound), (1, End::Malformed { at, kind: 2 }));
}

#[test]
fn p8_records_of_an_earlier_life_of_the_segment_are_not_read() {
    let records = vec![Record::Timer; 20];
    let lives = [
        SegmentHeader { epoch: 6, ..HEADER },
        SegmentHeader { segment: 2, ..HEADER },
        SegmentHeader { fingerprint: 1, ..HEADER },
        SegmentHeader { created: Nanos(5), ..HEADER },
    ];
    for earlier in lives {
        let (mut bytes, places) = segment(&records);
        // The same sequences, written over only up to the tenth.
        for (sequence, place) in (HEADER.first_sequence..).zip(&places[..20]).skip(10) {
            let at = Nanos(1);
            earlier.encoder().encode(sequence, at, &Record::Timer, &mut bytes[*place..]).unwrap();
        }
        let mut reader = Reader::new(&bytes).unwrap();
        assert_eq!(reader.by_ref().count(), 10);
        assert_eq!(reader.end(), End::Corrupt { at: places[10], followed_by_good: false });
    }
}

#[test]
fn headers_are_told_apart() {
    assert_eq!(SegmentHeader::decode(&[0; 64]), Err(HeaderError::Unused));
    assert_eq!(SegmentHeader::decode(&[0; 63]), Err(HeaderError::Short { len: 63 }));
    assert_eq!(SegmentHeader::decode(&[7; 64]), Err(HeaderError::NotALog));
    assert_eq!(SegmentHeader::decode(&HEADER.encode()), Ok(HEADER));
}

#[test]
fn a_text_is_cut_between_characters() {
    assert_eq!(Text::cut("BTCUSDT").as_str(), "BTCUSDT");
    let long = "µ".repeat(40);
    assert_eq!(Text::cut(&long).as_str(), "µ".repeat(23));
}

struct Moving(core::cell::Cell<i64>);

impl Quotes for Moving {
    fn top(&self, instrument: InstrumentId) -> Option<Top> {
        self.0.set(self.0.get() + 1);
        let quote = Quote::new(self.0.get(), self.0.get(), 1, 1).unwrap();
        (instrument.0 != 3).then_some(Top { quote, received: Nanos(1) })
    }
}

#[test]
fn a_step_sees_each_instrument_once_and_keeps_what_it_saw() {
    let moving = Moving(core::cell::Cell::new(0));
    let mut sights = Sights::new(6);
    for _ in 0..2 {
        moving.0.set(0);
        {
            let quotes = sights.over(&moving);
            let bid = |id| quotes.top(InstrumentId(id)).map(|top| top.quote.bid.raw());
            let first = [5, 3, 0, 5, 3, 1, 2, 6].map(bid);
            assert_eq!(first, [Some(1), None, Some(3), Some(1), None, Some(4), Some(5), None]);
        }
        let seen: Vec<Vec<u16>> = sights
            .saw()
            .map(|saw| saw.sights.iter().map(|sight| sight.instrument.0).collect())
            .collect();
        assert_eq!(seen, [vec![5, 3, 0, 1], vec![2]]);
    }
    let _ = sights.over(&moving);
    assert_eq!(sights.saw().count(), 0);
}
