//! What the format promises in so many words: the order of operations, who is told of a failure,
//! the lock's slots, and what two writers leave behind.

use std::sync::Arc;
use std::time::Duration;

use super::{append, batch, id, open_on, options, read, record, AT};
use crate::failure::Failure;
use crate::lock::{read_hint, read_holder, Hint, LOCK};
use crate::marks::{Header, FORMAT};
use crate::open::{open, TORN_BYTES_MAX};
use crate::pace::has_cores;
use crate::queue::{Durability, Limits, Queue};
use crate::record::{push_line, SEQ_MAX};
use crate::shared::Rest;
use crate::vfs::fault::{FaultVfs, Plan};
use crate::vfs::memory::MemoryVfs;
use crate::vfs::Vfs;
use crate::writer::Writer;

fn opened(vfs: &FaultVfs) -> Writer {
    open_on(vfs).expect("opened").0
}

/// What was asked of the disk since the last plan, as `sync 00000001.jsonl`.
fn asked(vfs: &FaultVfs) -> Vec<String> {
    let words = |(what, name): (&str, String)| format!("{what} {name}").trim_end().to_owned();
    vfs.asked().into_iter().map(words).collect()
}

fn header(seg: u64, first: u64, tail: u64) -> Header {
    Header {
        format: FORMAT,
        log: id(),
        seg,
        epoch: seg,
        first,
        tail,
        level: "crc".into(),
        at: AT,
        by: "tinyagent 1.0.0".into(),
        rare: None,
    }
}

fn segment(header: &Header, lines: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    header.push_line(&mut bytes);
    bytes.extend_from_slice(&lines.concat());
    bytes
}

#[test]
fn the_next_segment_is_there_durably_before_anything_is_read() {
    let disk = MemoryVfs::new();
    let vfs = FaultVfs::new(&disk, Plan::default());
    let mut writer = opened(&vfs);
    append(&mut writer, 2, "text").expect("appended");
    drop(writer);
    vfs.plan(Plan::default());
    opened(&vfs);
    let asked = asked(&vfs);
    let place = |what: &str| asked.iter().position(|a| a == what).expect(what);
    assert!(place("lock LOCK") < place("create 00000002.jsonl"));
    assert_eq!(place("create 00000002.jsonl") + 1, place("sync folder"));
    assert!(place("sync folder") < place("read 00000001.jsonl"));
    // What was taken over is on disk before the old segment is cut.
    assert!(place("sync 00000002.jsonl") < place("truncate 00000001.jsonl"));
    assert!(place("sync 00000001.tail-2") < place("truncate 00000001.jsonl"));
}

#[test]
fn a_batch_is_one_write_after_a_look_at_the_length() {
    let vfs = FaultVfs::new(&MemoryVfs::new(), Plan::default());
    let mut writer = opened(&vfs);
    vfs.plan(Plan::default());
    append(&mut writer, 100, "text").expect("appended");
    assert_eq!(
        asked(&vfs),
        ["size 00000001.jsonl", "append 00000001.jsonl"]
    );
}

#[test]
fn after_a_sync_comes_the_fence_check_and_then_the_hint() {
    let vfs = FaultVfs::new(&MemoryVfs::new(), Plan::default());
    let mut writer = opened(&vfs);
    append(&mut writer, 1, "text").expect("appended");
    vfs.plan(Plan::default());
    writer.sync().expect("synced");
    assert_eq!(
        asked(&vfs),
        [
            "sync 00000001.jsonl",
            "exists 00000002.jsonl",
            "exists 00000001.jsonl",
            "write at LOCK"
        ]
    );
}

#[test]
fn a_rotation_seals_what_is_durable_before_the_next_segment_is_made() {
    let vfs = FaultVfs::new(&MemoryVfs::new(), Plan::default());
    let mut writer = opened(&vfs);
    append(&mut writer, 1, "text").expect("appended");
    vfs.plan(Plan::default());
    writer.rotate().expect("rotated");
    assert_eq!(
        asked(&vfs),
        [
            "sync 00000001.jsonl",
            "exists 00000002.jsonl",
            "exists 00000001.jsonl",
            "write at LOCK",
            "append 00000001.jsonl",
            "sync 00000001.jsonl",
            "create 00000002.jsonl",
            "list",
            "append 00000002.jsonl",
            "sync 00000002.jsonl",
            "sync folder",
            "exists 00000003.jsonl",
            "exists 00000002.jsonl",
        ]
    );
}

#[test]
fn the_lock_file_is_two_slots_of_256_bytes_that_outlive_the_writer() {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 2, "text").expect("appended");
    writer.sync().expect("synced");
    let bytes = writer.segment_bytes();
    append(&mut writer, 1, "text").expect("appended");
    drop(writer);
    let lock = disk.read(LOCK).expect("there");
    assert_eq!(lock.len(), 512);
    assert!(lock[255] == b'\n' && lock[511] == b'\n');
    let hint = Hint {
        seg: 1,
        seq: 2,
        bytes,
    };
    assert_eq!(read_hint(&lock, &id()), Some(hint));
    let holder = read_holder(&disk).expect("there");
    assert_eq!((holder.pid, holder.epoch, holder.since), (7, 1, AT));
    assert_eq!(holder.host, "here");
}

#[test]
fn a_failed_write_is_told_to_everyone_with_what_is_durable_and_nothing_more_is_written() {
    let disk = MemoryVfs::new();
    let vfs = FaultVfs::new(&disk, Plan::default());
    let mut writer = opened(&vfs);
    append(&mut writer, 2, "text").expect("appended");
    writer.sync().expect("synced");
    vfs.plan(Plan {
        fail_at: 2,
        ..Plan::default()
    });
    let queue = Queue::start(writer, Durability::Interval, Limits::default());
    queue.append(&record(3), None).expect("accepted");
    while queue.failure().is_none() {
        std::thread::yield_now();
    }
    let before = disk.read("00000001.jsonl").expect("bytes");
    for told in [
        queue.want_written(3, None),
        queue.want_durable(3, None),
        queue.append(&record(4), None).map(|_| true),
    ] {
        assert!(matches!(told, Err(Failure::Failed(_, 2))), "{told:?}");
    }
    // What was there before the failure still counts.
    assert_eq!(queue.want_durable(2, None), Ok(true));
    assert_eq!(disk.read("00000001.jsonl").expect("bytes"), before);
}

#[test]
fn the_modes_group_and_strict_sync_every_batch_unasked() {
    for mode in [Durability::Group, Durability::Strict] {
        let (writer, _) = open_on(&MemoryVfs::new()).expect("opened");
        let queue = Queue::start(writer, mode, Limits::default());
        queue.append(&record(1), None).expect("accepted");
        while queue.durable() < 1 {
            assert_eq!(queue.failure(), None);
            std::thread::yield_now();
        }
    }
}

#[test]
fn who_wants_a_few_lines_written_writes_them_without_the_thread() {
    let disk = MemoryVfs::new();
    let queue = queue_on(&disk, Duration::from_secs(3600));
    for seq in 1..=100 {
        queue.append(&record(seq), None).expect("accepted");
        if queue.want_written(seq, None) == Ok(false) {
            // The thread has just begun to write it, which it may: nobody waits for that here.
            assert!(queue.block_written(Duration::from_secs(60)));
        }
        let bytes = disk.read("00000001.jsonl").expect("bytes");
        assert!(bytes.ends_with(b"\"}\n"));
        assert_eq!((queue.written(), queue.durable()), (seq, 0));
    }
}

#[test]
fn what_nobody_wants_is_written_soon_all_the_same() {
    let queue = queue_on(&MemoryVfs::new(), Duration::from_secs(1));
    queue.append(&record(1), None).expect("accepted");
    while queue.written() < 1 {
        assert_eq!(queue.failure(), None);
        std::thread::yield_now();
    }
}

#[test]
fn what_follows_a_sync_is_written_soon_too_and_then_the_thread_sleeps() {
    let queue = queue_on(&MemoryVfs::new(), Duration::from_secs(3600));
    let wait = |is_so: &dyn Fn() -> bool| {
        while !is_so() {
            assert_eq!(queue.failure(), None);
            std::thread::yield_now();
        }
    };
    // So many quick syncs that both sides stay awake between them.
    for seq in 1..=100 {
        queue.append(&record(seq), None).expect("accepted");
        wait(&|| queue.want_durable(seq, None) == Ok(true));
    }
    queue.append(&record(101), None).expect("accepted");
    wait(&|| queue.written() == 101);
    assert_eq!(queue.durable(), 100);
    wait(&|| queue.rest() == Rest::Sleeps && !queue.is_nearly_durable(101));
}

#[test]
fn whoever_asks_in_a_row_of_quick_syncs_need_not_ask_twice() {
    let queue = queue_on(&MemoryVfs::new(), Duration::from_secs(1));
    let is_told_at_once = |seq| {
        queue.append(&record(seq), None).expect("accepted");
        let first = queue.want_durable(seq, None);
        while queue.want_durable(seq, None) == Ok(false) {
            std::thread::yield_now();
        }
        first == Ok(true)
    };
    assert!((1..=10_000).any(is_told_at_once) || !has_cores());
}

#[test]
fn what_is_written_after_a_sync_is_synced_in_its_time_too() {
    for interval_ms in [10, 100] {
        let queue = queue_on(&MemoryVfs::new(), Duration::from_millis(interval_ms));
        for seq in 1..=2 {
            queue.append(&record(seq), None).expect("accepted");
            while queue.durable() < seq {
                assert!(queue.block_written(Duration::from_secs(60)));
            }
        }
    }
}

fn queue_on(disk: &MemoryVfs, interval: Duration) -> Queue {
    let (writer, _) = open_on(disk).expect("opened");
    let limits = Limits {
        interval,
        ..Limits::default()
    };
    Queue::start(writer, Durability::Interval, limits)
}

#[test]
fn a_torn_end_that_no_crash_explains_is_left_to_a_person() {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    append(&mut writer, 2, "text").expect("appended");
    writer.sync().expect("synced");
    drop(writer);
    let whole = disk.read("00000001.jsonl").expect("bytes");
    let torn = |more: u64| {
        let bytes = [&whole[..], &vec![b'x'; more as usize]].concat();
        disk.put("00000001.jsonl", &bytes);
        open_on(&disk.copy()).map(|(writer, recovered)| (writer.written(), recovered.torn_bytes))
    };
    assert_eq!(torn(TORN_BYTES_MAX), Ok((2, TORN_BYTES_MAX)));
    let Err(Failure::Corrupt(what, _, 3, offset)) = torn(TORN_BYTES_MAX + 1) else {
        panic!("opened");
    };
    assert_eq!(offset, whole.len() as u64);
    assert!(
        what.contains("more than the 8388608 that a crash explains"),
        "{what}"
    );
}

#[test]
fn two_writers_are_found_out_whatever_they_left_behind() {
    let one = |seq, d, text| batch(d, seq, seq, text).lines;
    let old = segment(&header(1, 1, 0), &[one(1, 0, "a"), one(2, 1, "a")]);
    let seal = {
        let mut line = Vec::new();
        let seal = crate::marks::Seal {
            seg: 1,
            last: 3,
            d: 3,
            why: "close".to_owned(),
            head: None,
            sig: None,
            at: AT,
            more: Vec::new(),
        };
        seal.push_line(&mut line, &id());
        line
    };
    let cases = [
        // A copy with other bytes.
        (
            old.clone(),
            segment(&header(2, 2, 2), &[one(2, 1, "b")]),
            "is there twice",
        ),
        // A void line that saw a void record durable.
        (
            [&old[..], &one(3, 2, "a"), &one(4, 3, "a")].concat(),
            segment(&header(2, 3, 2), &[one(3, 2, "b")]),
            "record 4 says that 3 was durable, but a later opening went on after 2",
        ),
        // A seal over a void record.
        (
            [&old[..], &one(3, 2, "a"), &seal].concat(),
            segment(&header(2, 3, 2), &[one(3, 2, "b")]),
            "the seal says that record 3 was durable, but a later opening went on after 2",
        ),
    ];
    for (first, second, expected) in cases {
        let disk = MemoryVfs::new();
        disk.put("00000001.jsonl", &first);
        disk.put("00000002.jsonl", &second);
        let failure = read(&disk).expect_err("two writers");
        assert!(matches!(failure, Failure::Corrupt(..)), "{failure}");
        let what = failure.to_string();
        assert!(
            what.contains(expected) && what.contains("two writers"),
            "{what}"
        );
    }
    // A late line that saw nothing durable is void, and no more than that.
    let disk = MemoryVfs::new();
    disk.put("00000001.jsonl", &[&old[..], &one(3, 2, "a")].concat());
    disk.put(
        "00000002.jsonl",
        &segment(&header(2, 3, 2), &[one(3, 2, "b")]),
    );
    let reader = read(&disk).expect("a log");
    assert_eq!((reader.len(), reader.analysis.void_lines), (3, 1));
}

#[test]
fn numbers_end_where_every_reader_still_has_them_exact() {
    let disk = MemoryVfs::new();
    let mut last = record(SEQ_MAX);
    last.d = SEQ_MAX - 1;
    let mut line = Vec::new();
    push_line(&mut line, &id(), &last);
    let mut first = header(1, SEQ_MAX, SEQ_MAX - 1);
    first.rare_mut().pruned = Some(format!(
        "{{\"upto\":{},\"head\":\"{}\"}}",
        SEQ_MAX - 1,
        "0".repeat(64)
    ));
    disk.put("00000001.jsonl", &segment(&first, &[line]));
    let Err(Failure::Limit(what)) = open(Arc::new(disk), &options()) else {
        panic!("opened");
    };
    assert!(what.contains("2^53-1 records; fork it"), "{what}");
}
