//! A disk that says no: at any operation, once or for good, or because it is full.

use std::time::Duration;

use super::tally::{is_long, Tally};
use super::{append, lines, open_on, read};
use crate::failure::Failure;
use crate::queue::{Durability, Limits, Queue};
use crate::record::Record;
use crate::recover::Verdict;
use crate::vfs::fault::{FaultVfs, Plan};
use crate::vfs::memory::{Dice, MemoryVfs};
use crate::vfs::Vfs;
use crate::writer::Takeover;

/// Two openings with all that a writer does; returns what was acknowledged as durable, and what
/// was accepted, before something failed.
fn session(vfs: &FaultVfs) -> (u64, u64, Result<(), Failure>) {
    let (mut durable, mut accepted) = (0, 0);
    let mut run = || -> Result<(), Failure> {
        for _ in 0..2 {
            let (mut writer, _) = open_on(vfs)?;
            durable = durable.max(writer.durable());
            let mut step = |writer: &mut Writer, count: u64| {
                accepted = writer.written() + count;
                let outcome = append(writer, count, "text");
                outcome.and_then(|()| writer.sync())?;
                durable = writer.durable();
                Ok(())
            };
            step(&mut writer, 3)?;
            step(&mut writer, 1)?;
            writer.rotate()?;
            step(&mut writer, 2)?;
            accepted = writer.written() + 2;
            append(&mut writer, 2, "text")?;
        }
        let (mut writer, _) = open_on(vfs)?;
        durable = durable.max(writer.durable());
        writer.close("close", 1)
    };
    let outcome = run();
    (durable, accepted, outcome)
}

use crate::writer::Writer;

fn expected_line(disk: &MemoryVfs, seq: u64) -> Vec<u8> {
    let mut reader = read(disk).expect("a log");
    let index = reader.index_of(seq);
    reader.line(index).expect("a line")
}

/// What must hold of *disk*: everything acknowledged is there, nothing more than was accepted.
fn check(disk: &MemoryVfs, durable: u64, accepted: u64, what: &str) {
    match read(disk) {
        Ok(mut reader) => {
            let count = reader.len() as u64;
            assert!(
                durable <= count && count <= accepted,
                "{what}: {durable} {count} {accepted}"
            );
            for (index, line) in lines(&mut reader).iter().enumerate() {
                let text = format!("{{\"text\":\"text {}\"}}", index + 1);
                let record = crate::record::parse(line).expect("a record");
                assert_eq!(record.payload, text.as_bytes(), "{what}");
            }
        }
        Err(Failure::NotFound(_)) => assert_eq!(durable, 0, "{what}"),
        Err(failure) => panic!("{what}: {failure}"),
    }
    let (writer, _) = open_on(disk).unwrap_or_else(|failure| panic!("{what}: {failure}"));
    assert!(writer.written() >= durable, "{what}");
}

#[test]
fn a_failed_fsync_is_not_retried_but_taken_over_by_the_next_segment() {
    let disk = MemoryVfs::new();
    let vfs = FaultVfs::new(&disk, Plan::default());
    let (mut writer, _) = open_on(&vfs).expect("opened");
    append(&mut writer, 2, "text").expect("appended");
    writer.sync().expect("synced");
    append(&mut writer, 3, "text").expect("appended");
    vfs.plan(Plan {
        fail_at: 1,
        ..Plan::default()
    });
    writer.sync().expect("taken over");
    let taken = writer.takeover.as_deref().expect("taken over");
    assert_eq!((taken.copied, taken.segment), (3, 2));
    assert_eq!(writer.durable(), 5);
    assert_eq!((writer.header().first, writer.header().tail), (3, 5));
    let synced: Vec<String> = vfs
        .asked()
        .into_iter()
        .filter(|(what, _)| *what == "sync")
        .map(|(_, name)| name)
        .collect();
    assert_eq!(synced, ["00000001.jsonl", "00000002.jsonl"]);
    for seed in 0..50 {
        let cut = disk.power_cut(&mut Dice::new(seed));
        check(&cut, 5, 5, &format!("power cut {seed}"));
    }
}

#[test]
fn after_a_second_failed_fsync_the_log_is_poisoned_and_says_what_is_durable() {
    let disk = MemoryVfs::new();
    let vfs = FaultVfs::new(&disk, Plan::default());
    let (mut writer, _) = open_on(&vfs).expect("opened");
    append(&mut writer, 2, "text").expect("appended");
    writer.sync().expect("synced");
    append(&mut writer, 3, "text").expect("appended");
    vfs.plan(Plan {
        fail_at: 1,
        is_sticky: true,
        ..Plan::default()
    });
    let failure = writer.sync().expect_err("poisoned");
    assert!(matches!(failure, Failure::Failed(_, 2)), "{failure}");
    let message = failure.to_string();
    assert!(
        message.contains("disk/00000001.jsonl: fsync failed"),
        "{message}"
    );
    assert!(
        message.contains("records 1..2 are durable; reopen"),
        "{message}"
    );
}

#[test]
fn a_full_disk_ends_the_log_with_a_seal_and_whole_lines() {
    let line = super::batch(0, 1, 1, "text").lines.len();
    for room in [0, 1, line - 1, line, line + 7, 3 * line + 5] {
        let disk = MemoryVfs::new();
        let vfs = FaultVfs::new(&disk, Plan::default());
        let (mut writer, _) = open_on(&vfs).expect("opened");
        vfs.plan(Plan {
            room: Some(room),
            ..Plan::default()
        });
        let failure = append(&mut writer, 5, "text").expect_err("full");
        assert!(matches!(failure, Failure::Full(_)), "{failure}");
        let whole = room.div_ceil(line) as u64;
        assert_eq!(writer.durable(), whole, "room {room}");
        drop(writer);
        let reader = read(&disk).expect("a log");
        assert_eq!(reader.analysis.verdict, Verdict::Clean, "room {room}");
        assert_eq!(reader.len() as u64, whole, "room {room}");
        assert!(!disk.exists("RESERVE").expect("known"));
    }
}

#[test]
fn a_disk_that_is_full_even_with_the_reserve_leaves_a_torn_end_and_says_so() {
    let disk = MemoryVfs::new();
    let vfs = FaultVfs::new(&disk, Plan::default());
    let (mut writer, _) = open_on(&vfs).expect("opened");
    append(&mut writer, 1, "text").expect("appended");
    writer.sync().expect("synced");
    disk.remove("RESERVE").expect("removed");
    vfs.plan(Plan {
        room: Some(30),
        ..Plan::default()
    });
    let failure = append(&mut writer, 1, "text").expect_err("full");
    assert!(
        failure.to_string().contains("there was no reserve"),
        "{failure}"
    );
    drop(writer);
    check(&disk, 1, 2, "full for good");
}

#[test]
fn short_and_interrupted_writes_are_finished() {
    let disk = MemoryVfs::new();
    let plan = Plan {
        is_short: true,
        ..Plan::default()
    };
    let (durable, accepted, outcome) = session(&FaultVfs::new(&disk, plan));
    outcome.expect("all written");
    assert_eq!((durable, accepted), (16, 16));
    let reader = read(&disk).expect("a log");
    assert_eq!(
        (reader.len(), &reader.analysis.verdict),
        (16, &Verdict::Clean)
    );
}

#[test]
fn all_ways_to_lose_sectors_of_the_last_batch_leave_what_was_acknowledged() {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 4, "text").expect("appended");
    writer.sync().expect("synced");
    let count = if is_long() { 68 } else { 44 };
    append(&mut writer, count - 4, "text").expect("appended");
    drop(writer);
    let bytes = disk.read("00000001.jsonl").expect("bytes");
    let header_and_four = bytes.len() - super::batch(4, 5, count, "text").lines.len();
    let first = header_and_four / 512;
    let sectors = bytes.len().div_ceil(512) - first;
    let mut tally = Tally::new("subsets of lost sectors", 1 << 10, 1 << 15);
    let intact = lines(&mut read(&disk).expect("a log"));
    for lost in 0_u32..1 << sectors {
        for garbage in [0_u8, b'x'] {
            let mut broken = bytes.clone();
            for sector in (0..sectors).filter(|sector| lost >> sector & 1 == 1) {
                let start = ((first + sector) * 512).max(header_and_four);
                let end = ((first + sector + 1) * 512).min(bytes.len());
                broken[start..end].fill(garbage);
            }
            let after = disk.copy();
            after.put("00000001.jsonl", &broken);
            let mut reader = read(&after).expect("never corrupt");
            let found = lines(&mut reader);
            assert!(found.len() >= 4);
            assert_eq!(lost == 0, found.len() as u64 == count);
            assert_eq!(found, intact[..found.len()]);
            tally.add(1);
        }
    }
    tally.end();
    assert_eq!(
        expected_line(&disk, count),
        super::batch(4, count, count, "text").lines
    );
}

#[test]
fn a_file_that_another_has_changed_is_not_written_to() {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 2, "text").expect("appended");
    let mut file = disk.open("00000001.jsonl").expect("there");
    file.append(b"foreign").expect("appended");
    let before = disk.read("00000001.jsonl").expect("bytes");
    let failure = append(&mut writer, 1, "text").expect_err("fenced");
    assert!(matches!(failure, Failure::Fenced(_)), "{failure}");
    assert!(
        failure.to_string().contains("bytes long, expected"),
        "{failure}"
    );
    assert_eq!(disk.read("00000001.jsonl").expect("bytes"), before);
}

#[test]
fn whoever_holds_the_handle_hears_of_a_failed_fsync_before_the_barrier_is_passed() {
    let disk = MemoryVfs::new();
    let vfs = FaultVfs::new(&disk, Plan::default());
    let (writer, _) = open_on(&vfs).expect("opened");
    let limits = Limits {
        interval: Duration::from_secs(3600),
        ..Limits::default()
    };
    let queue = Queue::start(writer, Durability::Interval, limits);
    let record = Record {
        seq: 1,
        d: 0,
        ts_us: super::AT,
        actor: None,
        kind: "user.said",
        v: 1,
        cause: 0,
        payload: b"{\"text\":\"text 1\"}",
    };
    queue.append(&record, None).expect("accepted");
    assert!(queue.block_written(Duration::from_secs(60)));
    assert_eq!(queue.takeover(), None);
    // The first thing that a sync asks for, as nothing lies in blobs, is the fsync.
    vfs.plan(Plan {
        fail_at: 1,
        ..Plan::default()
    });
    while !queue.want_durable(1, None).expect("not poisoned") {
        std::thread::yield_now();
    }
    let expected = Takeover {
        copied: 1,
        segment: 2,
    };
    assert_eq!(queue.takeover(), Some(expected));
    queue.close("close", 1);
    while !queue.want_closed(None) {
        std::thread::yield_now();
    }
    check(&disk, 1, 1, "after the takeover");
}

#[test]
fn no_room_for_the_next_segment_or_a_seal_is_a_full_disk_too() {
    for steps in 0..2 {
        let disk = MemoryVfs::new();
        let vfs = FaultVfs::new(&disk, Plan::default());
        let (mut writer, _) = open_on(&vfs).expect("opened");
        append(&mut writer, 2, "text").expect("appended");
        disk.remove("RESERVE").expect("removed");
        vfs.plan(Plan {
            room: Some(0),
            ..Plan::default()
        });
        let failure = match steps {
            0 => writer.rotate(),
            _ => writer.close("close", 1),
        };
        let failure = failure.expect_err("full");
        assert!(matches!(failure, Failure::Full(_)), "{failure}");
        assert!(failure
            .to_string()
            .contains("records 1..2 are durable; make room"));
        drop(writer);
        check(&disk, 2, 2, "full");
    }
}

#[test]
fn a_log_whose_files_are_gone_is_told_from_one_that_another_opened() {
    for is_opened in [false, true] {
        let mut disk = MemoryVfs::new();
        disk.lock_lies = true;
        let (mut writer, _) = open_on(&disk).expect("opened");
        append(&mut writer, 1, "text").expect("appended");
        if is_opened {
            drop(open_on(&disk).expect("opened by another"));
        } else {
            disk.remove("00000001.jsonl").expect("removed");
        }
        let told = writer.sync().expect_err("fenced");
        assert!(matches!(told, Failure::Fenced(_)), "{told}");
        let told = told.to_string();
        let expected = match is_opened {
            true => {
                "00000002.jsonl exists; records after 0 were never acknowledged as durable; \
                     close this log, another process owns it now"
            }
            false => {
                "it was removed or renamed; records after 0 were never acknowledged as \
                      durable; nobody else opened the log: put its files back as they were, and \
                      open it again"
            }
        };
        assert_eq!(told, format!("disk/00000001.jsonl: {expected}"));
    }
}

#[test]
fn a_segment_in_whose_place_another_file_lies_is_not_written_any_more() {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 1, "text").expect("appended");
    let copy = disk.read("00000001.jsonl").expect("read");
    disk.put("00000001.jsonl", &copy);
    let told = writer.sync().expect_err("fenced").to_string();
    let expected = "disk/00000001.jsonl: it was replaced by another; records after 0 were never \
                    acknowledged as durable; nobody else opened the log: put its files back as \
                    they were, and open it again";
    assert_eq!(told, expected);
}
