//! What torture found, each as small as it can be said.

use super::{append, lines, open_on, push, read};
use crate::blobs::digests;
use crate::failure::Failure;
use crate::marks::Header;
use crate::recover::Verdict;
use crate::vfs::fault::{Fault, FaultVfs, Plan};
use crate::vfs::memory::{Dice, MemoryVfs};
use crate::vfs::Vfs;
use crate::writer::Batch;

/// A disk with one record that was written but not synced; its value lies in a blob.
fn unsynced_blob() -> (MemoryVfs, String) {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    let payload = format!("{{\"a\":\"{}\"}}", "z".repeat(5_000));
    let mut batch = Batch {
        last: 1,
        ..Batch::default()
    };
    push(&mut batch, 1, 0, payload.as_bytes());
    let digest = digests(&batch.lines).remove(0);
    writer.write(&batch).expect("written");
    (disk.clone(), digest)
}

#[test]
fn a_record_that_is_taken_over_has_its_value_after_any_power_cut() {
    let (disk, _) = unsynced_blob();
    let (writer, recovered) = open_on(&disk).expect("opened");
    assert_eq!((writer.durable(), recovered.copied), (1, 1));
    for seed in 0..50 {
        let cut = disk.power_cut(&mut Dice::new(seed));
        let reader = read(&cut).expect("a log");
        assert_eq!(reader.len(), 1, "power cut {seed}");
        let value = reader.blob(&unsynced_blob().1).expect("the value");
        assert_eq!(value, "z".repeat(5_000).as_bytes());
    }
}

#[test]
fn a_value_that_cannot_be_read_now_is_not_called_torn() {
    let (disk, digest) = unsynced_blob();
    let well = FaultVfs::new(&disk, Plan::default());
    drop(open_on(&well.clone()).map(drop));
    let (disk, _) = unsynced_blob();
    let asked = well.asked();
    let name = crate::blobs::blob_name("blobs", &digest);
    let at = asked.iter().position(|it| *it == ("read", name.clone()));
    let ill = FaultVfs::new(
        &disk,
        Plan {
            fail_at: at.expect("it is read") as u64 + 1,
            fault: Fault::Io,
            ..Plan::default()
        },
    );
    let failure = open_on(&ill).map(drop).expect_err("failed");
    assert!(matches!(failure, Failure::Failed(..)), "{failure}");
    let (writer, recovered) = open_on(&disk).expect("opened");
    assert_eq!((writer.durable(), recovered.torn_bytes), (1, 0));
}

#[test]
fn a_segment_that_the_hint_names_is_not_called_an_interrupted_opening() {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 2, "first").expect("appended");
    writer.close("close", 1).expect("closed");
    drop(writer);
    drop(open_on(&disk).expect("opened again"));
    let bytes = disk.read("00000002.jsonl").expect("bytes");
    disk.put("00000002.jsonl", &vec![0; bytes.len()]);
    let message = read(&disk).expect_err("refused").to_string();
    let expected = "disk/00000002.jsonl: byte 0: its header is damaged, although the hint in LOCK";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_log_whose_only_segment_was_zeroed_is_not_called_nothing() {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 2, "first").expect("appended");
    writer.sync().expect("synced");
    drop(writer);
    for bytes in [&[][..], &[0; 700]] {
        disk.put("00000001.jsonl", bytes);
        let failure = read(&disk).expect_err("refused");
        assert!(matches!(failure, Failure::Corrupt(..)), "{failure}");
    }
}

#[test]
fn a_header_behind_bad_bytes_names_its_log_also_when_no_record_is_left() {
    let sample = super::golden::sample_lines();
    let foreign = super::hurt::foreign_line(1);
    let bytes = [b"{\"tinya", sample[0], &foreign].concat();
    assert_eq!(crate::scan::find_id(&bytes), Some(super::id()));
}

#[test]
fn a_header_that_begins_before_the_first_record_is_none() {
    let mut header = Header::parse(super::golden::sample_lines()[0]).expect("a header");
    for (first, tail) in [(0, 0), (1 << 53, 0), (1, 1 << 53)] {
        (header.first, header.tail) = (first, tail);
        let mut line = Vec::new();
        header.push_line(&mut line);
        assert_eq!(Header::parse(&line), None);
    }
}

#[test]
fn who_is_overtaken_while_opening_is_fenced_and_calls_nothing_corrupt() {
    let mut disk = MemoryVfs::new();
    disk.lock_lies = true;
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 2, "first").expect("appended");
    drop(writer);
    let slow = FaultVfs::new(&disk, Plan::default());
    // After the new segment, before anything is read.
    let other = disk.clone();
    slow.pause_at(7, move || {
        let (mut writer, _) = open_on(&other).expect("opened");
        append(&mut writer, 2, "second").expect("appended");
        writer.sync().expect("synced");
    });
    let failure = open_on(&slow).map(drop).expect_err("fenced");
    assert_eq!(slow.asked()[6].0, "read");
    assert!(matches!(failure, Failure::Fenced(_)), "{failure}");
    assert_eq!(lines(&mut read(&disk).expect("a log")).len(), 4);
}

#[test]
fn late_lines_of_a_fenced_writer_are_set_aside_by_the_opening_after_the_next() {
    let mut disk = MemoryVfs::new();
    disk.lock_lies = true;
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 2, "first").expect("appended");
    writer.sync().expect("synced");
    drop(open_on(&disk).expect("opened by another"));
    append(&mut writer, 1, "late").expect("written: the fence is checked after the sync");
    writer.sync().expect_err("fenced");
    drop(open_on(&disk).expect("opened by a third"));
    let first = disk.read("00000001.jsonl").expect("bytes");
    let text = String::from_utf8_lossy(&first);
    assert!(text.contains("first 2") && !text.contains("late"), "{text}");
    let reader = read(&disk).expect("a log");
    assert_eq!((reader.len(), reader.analysis.void_lines), (2, 0));
    assert_eq!(reader.analysis.verdict, Verdict::Unclean);
}

#[test]
fn a_torn_copy_of_a_durable_record_that_is_still_there_is_no_damage() {
    let mut disk = MemoryVfs::new();
    disk.lock_lies = true;
    let (mut owner, _) = open_on(&disk).expect("opened");
    append(&mut owner, 2, "first").expect("appended");
    owner.sync().expect("synced");
    // The next opening knows of nothing durable, copies both, and dies at its sync.
    disk.put("LOCK", b"");
    let well = FaultVfs::new(&disk.copy(), Plan::default());
    drop(open_on(&well).expect("opened"));
    let is_its_sync = |(what, name): &(&str, String)| *what == "sync" && name == "00000002.jsonl";
    let at = well.asked().iter().position(is_its_sync).expect("synced");
    let plan = Plan {
        fail_at: at as u64 + 1,
        is_sticky: true,
        ..Plan::default()
    };
    open_on(&FaultVfs::new(&disk, plan))
        .map(drop)
        .expect_err("died");
    // A late line says that both were durable: it is fenced, and right.
    append(&mut owner, 1, "late").expect("written");
    owner.sync().expect_err("fenced");
    let (originals, copies) = (
        disk.read("00000001.jsonl").expect("bytes"),
        disk.read("00000002.jsonl").expect("bytes"),
    );
    let header = copies.iter().position(|byte| *byte == b'\n').expect("one");
    for cut in header + 1..copies.len() {
        let torn = disk.copy();
        torn.put("00000002.jsonl", &copies[..cut]);
        let mut reader = read(&torn).expect("nothing is lost");
        let found = lines(&mut reader);
        let there: Vec<&[u8]> = originals.split_inclusive(|byte| *byte == b'\n').collect();
        assert_eq!(found, there[1..3]);
        let (writer, _) = open_on(&torn).expect("opened");
        assert_eq!((writer.durable(), writer.written()), (2, 2));
        assert_eq!(lines(&mut read(&torn).expect("a log")), there[1..3]);
    }
}
