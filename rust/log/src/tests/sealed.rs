//! Opened to go on from a later record, a log is not looked at where a seal vouches for it.

use super::{append, batch, lines, open_on, options, push_line, shared};
use crate::failure::Failure;
use crate::open::open_since;
use crate::reader::Reader;
use crate::record::Record;
use crate::vfs::memory::MemoryVfs;
use crate::vfs::Vfs;
use crate::writer::{Batch, Writer};

/// Two sealed segments, of records 1..6 and 7..12.
fn two_segments() -> MemoryVfs {
    let disk = MemoryVfs::new();
    for _ in 0..2 {
        let (mut writer, _) = open_on(&disk).expect("opened");
        append(&mut writer, 6, "said").expect("written");
        writer.close("close", 9).expect("closed");
    }
    disk
}

fn opened(disk: &MemoryVfs, since: u64) -> Result<(Writer, Reader), Failure> {
    let (writer, _, reader) = open_since(shared(disk), &options(), since)?;
    Ok((writer, reader.expect("a log")))
}

fn numbers(reader: &Reader) -> Vec<u64> {
    let records = &reader.analysis.records;
    records.iter().map(|record| record.place.seq).collect()
}

/// Changes the text of record *seq*, in whichever segment it lies.
fn damage(disk: &MemoryVfs, seq: u64) {
    let text = format!("said {seq}\"");
    for name in ["00000001.jsonl", "00000002.jsonl"] {
        let mut bytes = disk.read(name).expect("there");
        if let Some(at) = memchr::memmem::find(&bytes, text.as_bytes()) {
            bytes[at] = b'S';
            disk.put(name, &bytes);
        }
    }
}

#[test]
fn only_the_records_from_there_on_are_looked_at_and_the_next_number_is_the_same() {
    for since in 0..=14 {
        let whole = two_segments();
        let (writer, mut reader) = opened(&whole, since).expect("opened");
        assert_eq!((writer.written(), writer.durable()), (12, 12));
        let passed = if since > 1 { since.min(13) - 1 } else { 0 };
        assert_eq!(reader.analysis.vouched, passed, "since {since}");
        assert_eq!(numbers(&reader), (passed + 1..=12).collect::<Vec<u64>>());
        let all = super::all(&two_segments());
        assert_eq!(lines(&mut reader), all[passed as usize..]);
    }
}

#[test]
fn damage_is_refused_at_that_record_and_behind_it_and_before_it_by_who_reads_all() {
    for seq in 1..=12 {
        for since in 0..=13 {
            let disk = two_segments();
            damage(&disk, seq);
            // Of a segment the last record that is passed over is looked at: where it says so, the
            // others start.
            let is_passed = seq + 1 < since && seq != 6;
            let found = opened(&disk, since);
            assert_eq!(found.is_ok(), is_passed, "{seq} damaged, since {since}");
            if let Err(failure) = found {
                assert!(matches!(failure, Failure::Corrupt(_, _, at, _) if at == seq));
            }
            assert!(matches!(super::read(&disk), Err(Failure::Corrupt(..))));
        }
    }
}

#[test]
fn without_a_seal_every_line_is_looked_at() {
    let disk = two_segments();
    let bytes = disk.read("00000002.jsonl").expect("there");
    let sealed = memchr::memmem::find(&bytes, b"{\"tinyagent_seal\"").expect("a seal");
    disk.put("00000002.jsonl", &bytes[..sealed]);
    let (_, reader) = opened(&disk, 12).expect("opened");
    assert_eq!(reader.analysis.vouched, 6);
    assert_eq!(numbers(&reader), (7..=12).collect::<Vec<u64>>());
}

#[test]
fn a_copy_of_what_was_vouched_for_is_compared_with_the_first_line() {
    let disk = two_segments();
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 4, "said").expect("written");
    drop(writer); // 13..16 are written, nobody knows whether they are on disk
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 1, "said").expect("written");
    writer.close("close", 9).expect("closed");
    for since in [13, 15, 17] {
        let (writer, reader) = opened(&disk.copy(), since).expect("opened");
        assert_eq!(writer.written(), 17);
        assert_eq!(numbers(&reader).last(), Some(&17), "since {since}");
    }
}

#[test]
fn records_that_were_lost_are_refused_wherever_they_were() {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    let mut lost = Batch {
        last: 9,
        ..batch(0, 1, 6, "said")
    };
    let record = Record {
        seq: 9,
        d: 0,
        ts_us: 1,
        actor: None,
        kind: "log.lost",
        v: 1,
        cause: 0,
        payload: b"{\"first\":7,\"last\":9}",
    };
    push_line(&mut lost.lines, &super::id(), &record);
    lost.lines.extend(batch(0, 10, 12, "said").lines);
    lost.last = 12;
    writer.write(&lost).expect("written");
    writer.close("close", 9).expect("closed");
    for since in [0, 5, 11, 12] {
        let found = opened(&disk.copy(), since).map(|_| ());
        assert!(
            matches!(found, Err(Failure::Corrupt(_, _, 7, _))),
            "since {since}"
        );
    }
}
