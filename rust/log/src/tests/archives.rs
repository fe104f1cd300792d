//! Archives: read like the segments in them, made without a moment at which anything is missing.

use super::tally::{ensure, first_seed, pass, wherever, Outcome, Tally};
use super::{all, append, lines, open_on, read, shared, AT};
use crate::archive::{pack, unpack, ARCHIVE_BYTES_MAX, FRAME_BYTES_MAX};
use crate::archiving::{archive, Archived};
use crate::failure::Failure;
use crate::recover::Verdict;
use crate::reserve::RESERVE;
use crate::salvage::Salvage;
use crate::verify::verify;
use crate::vfs::fault::{Fault, FaultVfs, Plan};
use crate::vfs::memory::{Dice, MemoryVfs};
use crate::vfs::{ordinals, Vfs};

/// A log of three segments and seven records, closed.
fn log() -> MemoryVfs {
    let disk = MemoryVfs::new();
    disk.put(RESERVE, b"");
    let (mut writer, _) = open_on(&disk).expect("opened");
    for count in [3, 2, 2] {
        append(&mut writer, count, "said").expect("written");
        if count != 2 || writer.written() == 5 {
            writer.rotate().expect("rotated");
        }
    }
    writer.close("close", AT).expect("closed");
    disk
}

fn archived(disk: &MemoryVfs) -> Vec<Archived> {
    archive(&shared(disk)).expect("archived")
}

fn segments(disk: &MemoryVfs) -> Vec<String> {
    let mut names = disk.list().expect("a folder");
    names.retain(|name| name.starts_with("0000"));
    names.sort();
    names
}

#[test]
fn an_archive_holds_the_bytes_of_its_segments_and_reads_like_them() {
    let disk = log();
    let before = all(&disk);
    let bytes: Vec<u8> = segments(&disk)
        .iter()
        .flat_map(|name| disk.read(name).expect("bytes"))
        .collect();
    let made = archived(&disk);
    assert_eq!(segments(&disk), ["00000003.jsonl.zst"]);
    let packed = disk.read("00000003.jsonl.zst").expect("bytes");
    assert_eq!(unpack(&packed, ARCHIVE_BYTES_MAX), bytes);
    assert_eq!(
        made,
        [Archived {
            name: "00000003.jsonl.zst".to_owned(),
            segments: 3,
            bytes: (bytes.len() as u64, packed.len() as u64),
        }]
    );
    assert_eq!(all(&disk), before);
    assert_eq!(read(&disk).expect("a log").analysis.verdict, Verdict::Clean);
    let report = verify(&shared(&disk), None, None).expect("a report");
    assert_eq!(report.verdict, "clean");
    let told = |at: usize| {
        (
            report.segments[at].name.as_str(),
            report.segments[at].verdict,
        )
    };
    assert_eq!(told(1), ("00000003.jsonl.zst/00000002.jsonl", "sealed"));
    let salvage = Salvage::of(shared(&disk), None).expect("salvaged");
    assert!(salvage.damage.is_none());
}

#[test]
fn a_log_goes_on_behind_its_archive_and_the_next_one_joins_both() {
    let disk = log();
    archived(&disk);
    let (mut writer, _) = open_on(&disk).expect("opened");
    assert_eq!((writer.header().seg, writer.written()), (4, 7));
    append(&mut writer, 1, "more").expect("written");
    writer.close("close", AT).expect("closed");
    drop(writer);
    let before = all(&disk);
    assert_eq!(archived(&disk)[0].segments, 4);
    assert_eq!(segments(&disk), ["00000004.jsonl.zst"]);
    assert_eq!(all(&disk), before);
    assert_eq!(archived(&disk), []);
}

#[test]
fn a_segment_that_is_there_twice_counts_once_and_the_next_time_it_is_cleaned_up() {
    let disk = log();
    let before = all(&disk);
    let old = disk.copy();
    archived(&disk);
    for name in ["00000001.jsonl", "00000003.jsonl"] {
        disk.put(name, &old.read(name).expect("bytes"));
    }
    assert_eq!(all(&disk), before);
    assert_eq!(read(&disk).expect("a log").analysis.copies, 0);
    archived(&disk);
    assert_eq!(segments(&disk), ["00000003.jsonl.zst"]);
    assert_eq!(all(&disk), before);
    // Of two archives the smaller one is not needed any more.
    let smaller = disk.copy();
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 1, "more").expect("written");
    writer.close("close", AT).expect("closed");
    drop(writer);
    archived(&disk);
    let name = "00000003.jsonl.zst";
    disk.put(name, &smaller.read(name).expect("bytes"));
    assert_eq!(all(&disk).len(), 8);
    archived(&disk);
    assert_eq!(segments(&disk), ["00000004.jsonl.zst"]);
}

#[test]
fn of_a_segment_that_is_there_twice_the_whole_one_counts() {
    let before = all(&log());
    for (name, at) in [("00000002.jsonl", 300), ("00000003.jsonl.zst", 60)] {
        let disk = log();
        let old = disk.copy();
        archived(&disk);
        for name in segments(&old) {
            disk.put(&name, &old.read(&name).expect("bytes"));
        }
        let mut bytes = disk.read(name).expect("bytes");
        bytes[at] ^= 1;
        disk.put(name, &bytes);
        assert_eq!(all(&disk), before, "{name}");
    }
}

#[test]
fn two_segments_of_one_number_that_differ_are_of_two_writers() {
    let disk = log();
    archived(&disk);
    let other = MemoryVfs::new();
    let (mut writer, _) = open_on(&other).expect("opened");
    append(&mut writer, 3, "else").expect("written");
    writer.close("close", AT).expect("closed");
    drop(writer);
    disk.put(
        "00000001.jsonl",
        &other.read("00000001.jsonl").expect("bytes"),
    );
    let Err(Failure::Corrupt(what, ..)) = read(&disk) else {
        panic!("not corrupt");
    };
    assert!(what.contains("two writers"), "{what}");
}

#[test]
fn what_was_never_sealed_stays_and_so_does_the_segment_behind_it() {
    let disk = MemoryVfs::new();
    for text in ["one", "two", "three", "four"] {
        let (mut writer, _) = open_on(&disk).expect("opened");
        append(&mut writer, 1, text).expect("written");
        writer.sync().expect("synced");
        if text != "two" {
            writer.close("close", AT).expect("closed");
        }
    }
    let before = all(&disk);
    assert_eq!(archived(&disk).len(), 2);
    let left = [
        "00000001.jsonl.zst",
        "00000002.jsonl",
        "00000003.jsonl",
        "00000004.jsonl.zst",
    ];
    assert_eq!(segments(&disk), left);
    assert_eq!(all(&disk), before);
}

#[test]
fn a_writer_whose_next_segments_are_in_an_archive_is_not_the_owner_any_more() {
    let mut disk = MemoryVfs::new();
    disk.lock_lies = true;
    let (mut old, _) = open_on(&disk).expect("opened");
    append(&mut old, 1, "mine").expect("written");
    old.rotate().expect("rotated");
    let (mut new, _) = open_on(&disk).expect("opened");
    append(&mut new, 1, "theirs").expect("written");
    new.close("close", AT).expect("closed");
    archived(&disk);
    append(&mut old, 1, "late").expect("written");
    assert!(matches!(old.sync(), Err(Failure::Fenced(_))));
}

#[test]
fn nobody_archives_a_log_that_is_being_written_or_none() {
    let disk = log();
    let (writer, _) = open_on(&disk).expect("opened");
    assert!(matches!(archive(&shared(&disk)), Err(Failure::Owned(_))));
    drop(writer);
    let empty = MemoryVfs::new();
    assert!(matches!(
        archive(&shared(&empty)),
        Err(Failure::NotFound(_))
    ));
    assert_eq!(empty.list().expect("a folder"), Vec::<String>::new());
}

/// Archiving on a disk where *plan* goes wrong, and then a kill, or a power cut.
fn interrupted(plan: &Plan, dice: &mut Dice) -> Outcome {
    let disk = log();
    let before = all(&disk);
    let outcome = archive(&shared(&FaultVfs::new(&disk, plan.clone())));
    let dead = outcome.is_err();
    for after in [disk.copy(), disk.power_cut(dice), disk.power_cut(dice)] {
        ensure!(all(&after) == before, "records are missing");
        ensure!(
            read(&after).is_ok_and(|it| it.analysis.verdict == Verdict::Clean),
            "it is not clean any more"
        );
        let (writer, _) = open_on(&after.copy()).map_err(|failure| format!("{failure}"))?;
        ensure!(writer.header().seg == 4, "segment {}", writer.header().seg);
        archived(&after);
        ensure!(
            segments(&after).len() == 1 || !dead,
            "{:?}",
            segments(&after)
        );
        ensure!(all(&after) == before, "records are missing then");
    }
    Ok(())
}

#[test]
fn wherever_archiving_is_interrupted_nothing_is_lost_and_it_can_be_done_again() {
    let tally = Tally::new("interrupted archivings", 400, 40_000);
    let faults = |seed| vec![Fault::Io, Fault::Full, Fault::Short, Fault::Misread(seed)];
    wherever("wherever_archiving", tally, 24, faults, interrupted);
}

/// An archive of several frames, damaged: it is said, and what is read is what was written.
fn damaged(disk: &MemoryVfs, before: &[Vec<u8>], dice: &mut Dice) -> Outcome {
    let name = "00000003.jsonl.zst";
    let mut bytes = disk.read(name).expect("bytes");
    let at = dice.roll(bytes.len());
    match dice.roll(4) {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << dice.roll(8),
        2 => drop(bytes.drain(at..(at + 40).min(bytes.len()))),
        _ => bytes.insert(at, 0x28),
    }
    let hurt = disk.copy();
    hurt.put(name, &bytes);
    match read(&hurt) {
        Err(Failure::Corrupt(..)) => {}
        Err(failure) => return Err(format!("{failure}")),
        Ok(mut reader) => ensure!(lines(&mut reader) == before, "clean, with other records"),
    }
    let Ok(salvage) = Salvage::of(shared(&hurt), None) else {
        return Ok(()); // not even the id is left
    };
    for part in salvage.parts {
        if let crate::salvage::Part::Run(run) = part {
            ensure!(run.iter().all(|line| before.contains(line)), "a wrong line");
        }
    }
    let report = verify(&shared(&hurt), None, None).map_err(|failure| format!("{failure}"))?;
    ensure!(
        report.verdict == "corrupt" || read(&hurt).is_ok(),
        "{}",
        report.verdict
    );
    Ok(())
}

#[test]
fn damage_in_an_archive_is_said_and_never_read_over() {
    let disk = MemoryVfs::new();
    disk.put(RESERVE, b"");
    let (mut writer, _) = open_on(&disk).expect("opened");
    let mut dice = Dice::new(1);
    for count in [300, 5, 300] {
        let text: String = (0..4_000)
            .map(|_| (b'a' + dice.roll(26) as u8) as char)
            .collect();
        append(&mut writer, count, &text).expect("written");
        if writer.written() < 605 {
            writer.rotate().expect("rotated");
        }
    }
    writer.close("close", AT).expect("closed");
    drop(writer);
    let before = all(&disk);
    archived(&disk);
    let mut seed = first_seed();
    let mut tally = Tally::new("damaged archives", 60, 20_000);
    while !tally.is_full() {
        let outcome = damaged(&disk, &before, &mut Dice::new(seed));
        pass(outcome, "damage_in_an_archive", Some(seed));
        tally.add(1);
        seed += 1;
    }
    tally.end();
}

#[test]
fn an_archive_that_is_cut_between_two_frames_or_is_empty_is_damaged_too() {
    let disk = log();
    let segment = disk.read("00000001.jsonl").expect("bytes");
    archived(&disk);
    for packed in [pack(&segment).expect("packed"), Vec::new(), b"not".to_vec()] {
        disk.put("00000003.jsonl.zst", &packed);
        assert!(matches!(read(&disk), Err(Failure::Corrupt(..))));
        assert_eq!(ordinals(&disk).expect("a folder"), [3]);
    }
}

#[test]
fn a_frame_that_is_damaged_costs_the_lines_in_it_and_no_more() {
    let text: Vec<u8> = (0..90_000_u32)
        .flat_map(|n| format!("line {n}\n").into_bytes())
        .collect();
    let mut dice = Dice::new(7);
    let noise: Vec<u8> = (0..3 * FRAME_BYTES_MAX)
        .map(|_| b'a' + dice.roll(26) as u8)
        .collect();
    let bytes = [text.clone(), noise, text.clone()].concat();
    let mut packed = pack(&bytes).expect("packed");
    assert_eq!(unpack(&packed, ARCHIVE_BYTES_MAX), bytes);
    let middle = packed.len() / 2;
    packed[middle] ^= 255;
    let left = unpack(&packed, ARCHIVE_BYTES_MAX);
    assert!(left.starts_with(&text) && left.ends_with(&text));
    assert!(left.windows(2).any(|two| two == b"\0\n"));
}

#[test]
fn what_would_unpack_to_more_than_the_limit_takes_no_more_memory_than_that() {
    let bomb = zstd::bulk::compress(&vec![b'0'; 64 << 20], 1).expect("packed");
    assert!(bomb.len() < 20_000);
    let out = unpack(&[bomb.clone(), bomb].concat(), 1 << 20);
    assert!(out.len() <= (1 << 20) + 3, "{}", out.len());
    assert!(out.ends_with(b"\0\n"));
}
