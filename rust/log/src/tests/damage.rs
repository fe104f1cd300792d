//! Every cut and every flipped bit. Damage to durable records is never called clean or torn, and
//! no wrong byte is accepted.

use super::golden::{sample_lines, SAMPLE};
use super::{append, lines, open_on, read};
use crate::failure::Failure;
use crate::recover::Verdict;
use crate::vfs::memory::MemoryVfs;
use crate::vfs::Vfs;

fn disk_with(bytes: &[u8]) -> MemoryVfs {
    let disk = MemoryVfs::new();
    disk.put("00000001.jsonl", bytes);
    disk
}

#[test]
fn a_log_cut_anywhere_loads_to_the_records_that_are_whole() {
    let header = sample_lines()[0].len();
    for cut in 0..SAMPLE.len() {
        let bytes = &SAMPLE[..cut];
        let whole = bytes.iter().filter(|&&b| b == b'\n').count();
        let disk = disk_with(bytes);
        if cut < header {
            assert!(
                matches!(read(&disk), Err(Failure::NotFound(_))),
                "cut at {cut}"
            );
            continue;
        }
        let mut reader = read(&disk).expect("a log");
        assert_eq!(reader.len(), whole - 1, "cut at {cut}");
        let expected: Vec<Vec<u8>> = sample_lines()[1..whole]
            .iter()
            .map(|l| l.to_vec())
            .collect();
        assert_eq!(lines(&mut reader), expected);
        match &reader.analysis.verdict {
            Verdict::Unclean => assert_eq!(bytes.last(), Some(&b'\n')),
            Verdict::Torn(torn) => {
                let torn_bytes = bytes.len() - bytes.iter().rposition(|&b| b == b'\n').unwrap_or(0);
                assert_eq!(torn.bytes, torn_bytes as u64 - 1, "cut at {cut}");
            }
            Verdict::Clean => panic!("cut at {cut}: called clean"),
        }
    }
}

#[test]
fn a_log_cut_anywhere_can_be_gone_on_with() {
    for cut in 0..SAMPLE.len() {
        let disk = disk_with(&SAMPLE[..cut]);
        let whole = SAMPLE[..cut].iter().filter(|&&b| b == b'\n').count();
        let (mut writer, _) = open_on(&disk).expect("opened");
        assert_eq!(
            writer.written(),
            whole.saturating_sub(1) as u64,
            "cut at {cut}"
        );
        append(&mut writer, 2, "more").expect("appended");
        writer.close("close", 1).expect("closed");
        let reader = read(&disk).expect("a log");
        assert_eq!(reader.analysis.next, whole.saturating_sub(1) as u64 + 3);
        let all_tidy = whole > 0 || cut == 0;
        assert_eq!(
            reader.analysis.verdict == Verdict::Clean,
            all_tidy,
            "cut at {cut}"
        );
    }
}

#[test]
fn after_going_on_each_record_is_shown_once_and_the_torn_end_is_set_aside() {
    let cut = SAMPLE.len() - 250;
    let disk = disk_with(&SAMPLE[..cut]);
    drop(open_on(&disk).expect("opened"));
    let mut names = disk.list().expect("names");
    names.sort();
    let expected = [
        "00000001.jsonl",
        "00000001.tail-2",
        "00000002.jsonl",
        "LOCK",
        "RESERVE",
    ];
    assert_eq!(names, expected);
    let mut shown = Vec::new();
    for name in ["00000001.jsonl", "00000002.jsonl"] {
        let bytes = disk.read(name).expect("bytes");
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            shown.extend(crate::record::parse(line).map(|record| record.seq));
        }
    }
    assert_eq!(shown, (1..=16).collect::<Vec<u64>>());
    let first = disk.read("00000001.jsonl").expect("bytes");
    let aside = disk.read("00000001.tail-2").expect("bytes");
    assert_eq!([first, aside].concat(), &SAMPLE[..cut]);
}

#[test]
fn any_flipped_bit_of_a_closed_log_is_corrupt_but_for_its_seal() {
    let seal = SAMPLE.len() - sample_lines()[19].len();
    for at in 0..SAMPLE.len() {
        for bit in 0..8 {
            let mut bytes = SAMPLE.to_vec();
            bytes[at] ^= 1 << bit;
            match read(&disk_with(&bytes)) {
                Err(Failure::Corrupt(message, path, _, offset)) => {
                    assert!(at < seal, "byte {at} bit {bit}: {message}");
                    assert_eq!(path, "disk/00000001.jsonl");
                    assert!(offset <= at as u64, "byte {at} bit {bit}: {message}");
                }
                Err(other) => panic!("byte {at} bit {bit}: {other}"),
                Ok(reader) => {
                    // Every record is there; only that the log was closed is not known any more.
                    assert!(at >= seal, "byte {at} bit {bit} accepted");
                    assert!(matches!(reader.analysis.verdict, Verdict::Torn(_)));
                    assert_eq!(reader.len(), 18);
                }
            }
        }
    }
}

/// Three epochs: a torn end, taken over; a crash, taken over; a rotation; a clean close.
fn long_log() -> MemoryVfs {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 3, "one").expect("appended");
    writer.sync().expect("synced");
    append(&mut writer, 2, "one").expect("appended");
    drop(writer);
    let mut torn = disk.read("00000001.jsonl").expect("bytes");
    torn.truncate(torn.len() - 9);
    disk.put("00000001.jsonl", &torn);
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 2, "two").expect("appended");
    writer.rotate().expect("rotated");
    append(&mut writer, 2, "two").expect("appended");
    drop(writer);
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 2, "three").expect("appended");
    writer.close("close", 9).expect("closed");
    disk
}

#[test]
fn any_flipped_bit_of_a_log_of_several_openings_is_refused_or_costs_no_record() {
    let disk = long_log();
    let intact = lines(&mut read(&disk).expect("a log"));
    assert_eq!(intact.len(), 10);
    let names = disk.list().expect("names");
    let segments = names.iter().filter(|name| name.ends_with(".jsonl"));
    for name in segments {
        let bytes = disk.read(name).expect("bytes");
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                let broken = disk.copy();
                broken.put(name, &flipped);
                match read(&broken) {
                    Err(Failure::Corrupt(..)) => {}
                    Err(other) => panic!("{name} byte {at} bit {bit}: {other}"),
                    Ok(mut reader) => {
                        assert_ne!(reader.analysis.verdict, Verdict::Clean, "{name} byte {at}");
                        assert_eq!(lines(&mut reader), intact, "{name} byte {at} bit {bit}");
                    }
                }
            }
        }
    }
}

#[test]
fn lines_that_are_swapped_dropped_doubled_or_foreign_are_refused() {
    let lines = sample_lines();
    for index in 1..18 {
        let mut swapped = lines.clone();
        swapped.swap(index, index + 1);
        let mut dropped = lines.clone();
        dropped.remove(index);
        let mut doubled = lines.clone();
        doubled.insert(index, lines[index]);
        let foreign_line = super::batch(0, index as u64, index as u64, "foreign").lines;
        let mut foreign = lines.clone();
        foreign[index] = &foreign_line;
        foreign.insert(index, lines[index]);
        for broken in [swapped, dropped, doubled, foreign] {
            let failure = read(&disk_with(&broken.concat())).expect_err("refused");
            assert!(
                matches!(failure, Failure::Corrupt(..)),
                "line {index}: {failure}"
            );
        }
    }
}

#[test]
fn a_record_edited_by_hand_is_called_that() {
    let text = String::from_utf8_lossy(SAMPLE).replace("Remind Ann", "Remind Bob");
    let failure = read(&disk_with(text.as_bytes())).expect_err("refused");
    let message = failure.to_string();
    assert!(message.contains("edited by hand?"), "{message}");
    assert!(message.contains("expected c7617ef3"), "{message}");
    assert!(
        message.contains("disk/00000001.jsonl: byte 572"),
        "{message}"
    );
}

#[test]
fn a_missing_segment_is_named_by_its_records() {
    let disk = long_log();
    disk.remove("00000002.jsonl").expect("removed");
    let message = read(&disk).expect_err("refused").to_string();
    assert!(message.contains("records 4..6 are missing"), "{message}");
}

#[test]
fn a_durable_record_that_only_the_hint_knows_of_is_missed() {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 3, "one").expect("appended");
    writer.sync().expect("synced");
    drop(writer);
    let bytes = disk.read("00000001.jsonl").expect("bytes");
    disk.put("00000001.jsonl", &bytes[..bytes.len() - 20]);
    let message = read(&disk).expect_err("refused").to_string();
    assert!(
        message.contains("record 3 is damaged, although record 3 was durable"),
        "{message}"
    );
    disk.remove("LOCK").expect("removed");
    assert!(matches!(
        read(&disk).expect("a log").analysis.verdict,
        Verdict::Torn(_)
    ));
}

#[test]
fn a_newer_format_and_an_unknown_need_are_told_from_damage() {
    let mut header = crate::marks::Header::parse(sample_lines()[0]).expect("a header");
    header.format = 2;
    let mut line = Vec::new();
    header.push_line(&mut line);
    let failure = read(&disk_with(&line)).expect_err("refused");
    assert!(matches!(failure, Failure::Version(_)), "{failure}");
    header.format = 1;
    header.rare_mut().need = Some("[\"moon\"]".to_owned());
    line.clear();
    header.push_line(&mut line);
    let failure = read(&disk_with(&line)).expect_err("refused");
    assert!(matches!(failure, Failure::Version(_)), "{failure}");
}

#[test]
fn garbage_is_refused_if_there_may_have_been_records_in_it() {
    for garbage in [&[0xff; 70_000][..], b"{\"seq\":1,\"d\":0,\n"] {
        let failure = read(&disk_with(garbage)).expect_err("refused");
        assert!(matches!(failure, Failure::Corrupt(..)), "{failure}");
        let failure = open_on(&disk_with(garbage)).map(drop).expect_err("refused");
        assert!(matches!(failure, Failure::Corrupt(..)), "{failure}");
    }
}

#[test]
fn garbage_that_an_interrupted_creation_explains_is_left_aside() {
    let disk = disk_with(b"\xff\xfe{\n");
    assert!(matches!(read(&disk), Err(Failure::NotFound(_))));
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 1, "one").expect("appended");
    writer.close("close", 1).expect("closed");
    assert_eq!(read(&disk).expect("a log").len(), 1);
    assert_eq!(disk.read("00000001.jsonl").expect("bytes"), b"\xff\xfe{\n");
    // But once the log was opened, its header was durable.
    disk.remove("00000002.jsonl").expect("removed");
    assert!(matches!(read(&disk), Err(Failure::Corrupt(..))));
}

#[test]
fn lines_that_are_still_there_are_not_told_to_be_removed() {
    let lines = sample_lines();
    let mut doubled = lines.clone();
    doubled.insert(6, lines[5]);
    let mut early = lines.clone();
    early.insert(3, lines[9]);
    let mut swapped = lines.clone();
    swapped.swap(4, 5);
    let mut dropped = lines.clone();
    dropped.remove(4);
    for (broken, told) in [
        (
            doubled,
            "record 5 follows, expected 6: lines were doubled or moved",
        ),
        (
            early,
            "record 9 follows, expected 3: lines were doubled or moved",
        ),
        (
            swapped,
            "record 5 follows, expected 4: lines were doubled or moved",
        ),
        (dropped, "record 5 follows, expected 4: lines were removed"),
    ] {
        let failure = read(&disk_with(&broken.concat())).expect_err("refused");
        assert!(failure.to_string().contains(told), "{failure}");
    }
}

#[test]
fn a_lost_header_costs_no_more_than_the_records_behind_it() {
    let disk = long_log();
    let bytes = disk.read("00000004.jsonl").expect("bytes");
    for bytes in [&bytes[1..], b""] {
        let broken = disk.copy();
        broken.put("00000004.jsonl", bytes);
        let message = read(&broken).expect_err("refused").to_string();
        assert!(message.contains("its header is damaged"), "{message}");
        assert!(message.ends_with("keep the records before 7"), "{message}");
    }
}

#[test]
fn a_log_whose_segments_are_gone_is_not_begun_anew() {
    let disk = long_log();
    for ordinal in 1..=4 {
        disk.remove(&format!("0000000{ordinal}.jsonl"))
            .expect("removed");
    }
    let failure = open_on(&disk).map(drop).expect_err("refused");
    let told = "LOCK says that a log was written here, but there is no segment";
    assert!(failure.to_string().contains(told), "{failure}");
    for again in [open_on(&disk).map(drop), read(&disk).map(drop)] {
        assert!(matches!(again, Err(Failure::Corrupt(..))));
    }
}
