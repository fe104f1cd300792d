//! Logs whose oldest segments were removed on purpose: at no moment is one damaged.

use super::tally::{ensure, wherever, Outcome, Tally};
use super::{all, append, open_on, read, shared, AT};
use crate::archiving::archive;
use crate::failure::Failure;
use crate::pruning::{prunable, prune, Pruned};
use crate::recover::Verdict;
use crate::reserve::RESERVE;
use crate::verify::verify;
use crate::vfs::fault::{Fault, FaultVfs, Plan};
use crate::vfs::memory::{Dice, MemoryVfs};
use crate::vfs::Vfs;

/// Segments with the records 1..=3, 4..=5, 6..=7, closed.
fn log() -> MemoryVfs {
    let disk = MemoryVfs::new();
    disk.put(RESERVE, b"");
    let (mut writer, _) = open_on(&disk).expect("opened");
    for count in [3, 2, 2] {
        append(&mut writer, count, "said").expect("written");
        if writer.written() < 7 {
            writer.rotate().expect("rotated");
        }
    }
    writer.close("close", AT).expect("closed");
    drop(writer);
    disk
}

#[test]
fn whole_segments_below_are_removed_and_the_first_header_says_so() {
    let disk = log();
    let before = all(&disk);
    let first = disk.read("00000001.jsonl").expect("bytes").len() as u64;
    let found = Pruned {
        upto: 3,
        segments: 1,
        bytes: first,
    };
    assert_eq!(prunable(&shared(&disk), 5), Ok(found.clone()));
    assert_eq!(all(&disk), before);
    assert_eq!(prune(&shared(&disk), 5), Ok(found));
    assert_eq!(all(&disk), before[3..]);
    let reader = read(&disk).expect("a log");
    assert_eq!((reader.analysis.base, reader.analysis.next), (4, 8));
    assert_eq!(reader.analysis.verdict, Verdict::Clean);
    assert_eq!(reader.header.pruned().map(|(upto, _)| upto), Some(3));
    assert!(!disk.exists("00000001.jsonl").expect("looked"));
    assert_eq!(
        verify(&shared(&disk), None, None)
            .expect("a report")
            .verdict,
        "clean"
    );
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 1, "more").expect("written");
    writer.close("close", AT).expect("closed");
    drop(writer);
    assert_eq!(all(&disk).len(), 5);
    assert_eq!(prune(&shared(&disk), 8).map(|found| found.upto), Ok(7));
    assert_eq!(all(&disk).len(), 1);
    assert_eq!(prune(&shared(&disk), 8), Ok(Pruned::default()));
}

#[test]
fn nothing_is_removed_of_a_segment_that_is_needed_in_part() {
    for before in [0, 1, 3] {
        let disk = log();
        assert_eq!(prune(&shared(&disk), before), Ok(Pruned::default()));
        assert_eq!(all(&disk).len(), 7);
    }
    let disk = log();
    assert_eq!(
        prune(&shared(&disk), u64::MAX).map(|found| found.upto),
        Ok(5)
    );
}

#[test]
fn of_an_archive_what_is_left_is_written_anew() {
    let disk = log();
    let before = all(&disk);
    archive(&shared(&disk)).expect("archived");
    assert_eq!(prune(&shared(&disk), 4).map(|found| found.upto), Ok(3));
    assert_eq!(all(&disk), before[3..]);
    let report = verify(&shared(&disk), None, None).expect("a report");
    assert_eq!((report.verdict, report.segments.len()), ("clean", 2));
}

#[test]
fn a_log_whose_pruned_beginning_lies_there_again_reads_without_it() {
    let disk = log();
    let first = disk.read("00000001.jsonl").expect("bytes");
    prune(&shared(&disk), 5).expect("pruned");
    let after = all(&disk);
    disk.put("00000001.jsonl", &first);
    disk.put("00000001.tail-2", b"set aside");
    assert_eq!(all(&disk), after);
    prune(&shared(&disk), 5).expect("pruned");
    assert!(!disk.exists("00000001.jsonl").expect("looked"));
    assert!(!disk.exists("00000001.tail-2").expect("looked"));
}

#[test]
fn a_segment_that_is_missing_behind_a_pruned_beginning_is_missing_all_the_same() {
    let disk = log();
    prune(&shared(&disk), 5).expect("pruned");
    disk.remove("00000002.jsonl").expect("removed");
    assert!(matches!(read(&disk), Err(Failure::Corrupt(..))));
}

#[test]
fn a_writer_whose_segment_was_pruned_with_the_next_one_is_not_the_owner_any_more() {
    let mut disk = MemoryVfs::new();
    disk.lock_lies = true;
    let (mut old, _) = open_on(&disk).expect("opened");
    append(&mut old, 1, "mine").expect("written");
    old.sync().expect("synced");
    for text in ["theirs", "more"] {
        let (mut new, _) = open_on(&disk).expect("opened");
        append(&mut new, 1, text).expect("written");
        new.close("close", AT).expect("closed");
    }
    disk.lock_lies = false;
    assert_eq!(prune(&shared(&disk), 3).map(|found| found.upto), Ok(2));
    append(&mut old, 1, "late").expect("written");
    assert!(matches!(old.sync(), Err(Failure::Fenced(_))));
}

fn interrupted(plan: &Plan, dice: &mut Dice) -> Outcome {
    let disk = log();
    let before = all(&disk);
    let _ = prune(&shared(&FaultVfs::new(&disk, plan.clone())), 6);
    for after in [disk.copy(), disk.power_cut(dice), disk.power_cut(dice)] {
        let found = read(&after).map_err(|failure| format!("{failure}"))?;
        ensure!(found.analysis.verdict == Verdict::Clean, "not clean");
        let left = all(&after);
        ensure!(
            left == before || left == before[5..],
            "{} records",
            left.len()
        );
        prune(&shared(&after), 6).map_err(|failure| format!("{failure}"))?;
        ensure!(all(&after) == before[5..], "records are missing");
        ensure!(
            !after.exists("00000002.jsonl").is_ok_and(|it| it),
            "left behind"
        );
    }
    Ok(())
}

#[test]
fn wherever_pruning_is_interrupted_the_log_is_whole_before_or_after() {
    let tally = Tally::new("interrupted prunings", 300, 40_000);
    let faults = |_| vec![Fault::Io, Fault::Full, Fault::Short];
    wherever("wherever_pruning", tally, 40, faults, interrupted);
}
