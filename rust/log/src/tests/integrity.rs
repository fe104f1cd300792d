//! Chain and signatures: what is written, what is found out.

use std::sync::Arc;

use super::{id, options, read, AT};
use crate::chain::{self, Fork};
use crate::checksum::LogId;
use crate::failure::Failure;
use crate::marks::{Header, Seal};
use crate::open::{open, OpenOptions};
use crate::queue::{Durability, Limits, Queue};
use crate::record::{push_chained, stored_hash, under, Record};
use crate::scan::Item;
use crate::sign::Key;
use crate::vfs::fault::{FaultVfs, Plan};
use crate::vfs::memory::MemoryVfs;
use crate::vfs::Vfs;
use crate::writer::{Batch, Writer};

fn chained() -> OpenOptions {
    OpenOptions {
        level: Some("chain".to_owned()),
        ..options()
    }
}

fn key() -> Key {
    Key::new("ed25519", &[7; 32]).expect("a key")
}

fn signed() -> OpenOptions {
    OpenOptions {
        level: Some("signed".to_owned()),
        key: Some(key()),
        ..options()
    }
}

fn open_as(vfs: &(impl Vfs + Clone + 'static), options: &OpenOptions) -> Result<Writer, Failure> {
    open(Arc::new(vfs.clone()), options).map(|(writer, _)| writer)
}

fn append(writer: &mut Writer, count: u64) {
    let mut batch = Batch {
        at: AT,
        ..Batch::default()
    };
    let mut hash = writer.head().expect("a chain");
    for seq in writer.written() + 1..=writer.written() + count {
        let payload = format!("{{\"n\":{seq}}}");
        let record = Record {
            seq,
            d: writer.durable(),
            ts_us: AT + seq,
            actor: None,
            kind: "user.said",
            v: 1,
            cause: 0,
            payload: payload.as_bytes(),
        };
        hash = push_chained(&mut batch.lines, &id(), &record, &hash);
        batch.last = seq;
    }
    writer.write(&batch).expect("written");
    assert_eq!(writer.head(), Some(hash));
}

fn marks(disk: &MemoryVfs) -> (Vec<Header>, Vec<Seal>) {
    let reader = read(disk).expect("a log");
    let (mut headers, mut seals) = (Vec::new(), Vec::new());
    for item in reader.files.into_iter().flat_map(|file| file.items) {
        match item {
            Item::Header(header, _) => headers.push(*header),
            Item::Seal(seal, _) => seals.push(*seal),
            _ => {}
        }
    }
    (headers, seals)
}

/// Changes *from* to *to* in a file and puts the checksums right again, as a forger would.
fn forge(disk: &MemoryVfs, name: &str, from: &str, to: &str) {
    let text = String::from_utf8(disk.read(name).expect("bytes")).expect("text");
    assert!(text.contains(from), "{from} is not in {text}");
    let forged = text.replace(from, to);
    let lines = forged.as_bytes().split_inclusive(|&b| b == b'\n');
    let lines: Vec<Vec<u8>> = lines.map(|l| under(l, &id()).expect("a line")).collect();
    disk.put(name, &lines.concat());
}

fn convicted(disk: &MemoryVfs, options: &OpenOptions) -> (String, u64) {
    match open_as(disk, options) {
        Err(Failure::Corrupt(what, _, seq, _)) => (what, seq),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn every_record_carries_the_hash_of_the_format() {
    let sample = include_bytes!("sample.jsonl");
    let mut hash = chain::origin(&id());
    for (line, expected) in sample.split_inclusive(|&b| b == b'\n').skip(1).zip([
        "4f7f2fe6104aad1ee22fce95cedce77c",
        "1555b1fe5f1616d4afed44146e72492c",
    ]) {
        let record = crate::record::parse(line).expect("a record");
        let mut chained = Vec::new();
        hash = push_chained(&mut chained, &id(), &record, &hash);
        assert_eq!(stored_hash(&chained), Some(expected.as_bytes()));
        assert_eq!(stored_hash(line), None);
        assert_eq!(crate::record::parse(&chained), Some(record));
        assert!(crate::record::is_sound(&chained, &id()));
    }
}

#[test]
fn headers_and_seals_name_the_full_hash() {
    let disk = MemoryVfs::new();
    let mut writer = open_as(&disk, &chained()).expect("opened");
    append(&mut writer, 2);
    let second = writer.head().map(|head| chain::show(&head));
    writer.rotate().expect("rotated");
    append(&mut writer, 1);
    let third = writer.head().map(|head| chain::show(&head));
    writer.close("close", AT).expect("closed");
    drop(writer);
    let (headers, seals) = marks(&disk);
    assert_eq!(
        (&headers[0].rare().prev, &headers[1].rare().prev),
        (&None, &second)
    );
    assert_eq!((&seals[0].head, &seals[1].head), (&second, &third));
    assert_eq!(headers[1].level, "chain");
}

#[test]
fn the_chain_goes_on_over_openings_crashes_and_a_failed_fsync() {
    let disk = MemoryVfs::new();
    let vfs = FaultVfs::new(&disk, Plan::default());
    let mut writer = open_as(&vfs, &chained()).expect("opened");
    append(&mut writer, 2);
    writer.sync().expect("synced");
    append(&mut writer, 2);
    vfs.plan(Plan {
        fail_at: 1,
        ..Plan::default()
    });
    writer.sync().expect("taken over");
    append(&mut writer, 2);
    let head = writer.head();
    drop(writer);
    // Not closed: the last two are taken over by the next opening, with a hash named before them.
    let mut writer = open_as(&disk, &options()).expect("reopened");
    assert_eq!((writer.written(), writer.head()), (6, head));
    append(&mut writer, 1);
    writer.close("close", AT).expect("closed");
    drop(writer);
    open_as(&disk, &chained()).expect("the chain holds");
    assert_eq!(read(&disk).expect("a log").len(), 7);
}

#[test]
fn a_forged_record_with_a_right_checksum_is_found_out_on_opening() {
    let disk = MemoryVfs::new();
    let mut writer = open_as(&disk, &chained()).expect("opened");
    append(&mut writer, 3);
    writer.close("close", AT).expect("closed");
    drop(writer);
    forge(&disk, "00000001.jsonl", "{\"n\":2}", "{\"n\":9}");
    let (what, seq) = convicted(&disk, &chained());
    assert_eq!(seq, 2);
    assert!(
        what.contains("record 2: it carries the chain hash"),
        "{what}"
    );
    assert_eq!(read(&disk).expect("reading does not ask").len(), 3);
}

#[test]
fn marks_that_name_another_hash_and_records_without_one_are_found_out() {
    let made = |count| {
        let disk = MemoryVfs::new();
        let mut writer = open_as(&disk, &chained()).expect("opened");
        append(&mut writer, count);
        let head = writer
            .head()
            .map(|head| chain::show(&head))
            .expect("a chain");
        writer.close("close", AT).expect("closed");
        drop(writer);
        (disk, head)
    };
    let (disk, head) = made(3);
    forge(
        &disk,
        "00000001.jsonl",
        &format!("\"head\":\"{head}\""),
        &format!("\"head\":\"{}\"", "0".repeat(64)),
    );
    let (what, seq) = convicted(&disk, &chained());
    assert_eq!(seq, 3);
    assert!(what.contains("a mark names chain hash 0000"), "{what}");
    let (disk, head) = made(1);
    forge(
        &disk,
        "00000001.jsonl",
        &format!(",\"h\":\"{}\"", &head[..32]),
        "",
    );
    let (what, _) = convicted(&disk, &chained());
    assert!(
        what.contains("record 1: it carries no chain hash"),
        "{what}"
    );
}

#[test]
fn seals_are_signed_by_the_holder_of_the_key() {
    let disk = MemoryVfs::new();
    let mut writer = open_as(&disk, &signed()).expect("opened");
    append(&mut writer, 3);
    let head = writer.head().expect("a chain");
    writer.close("close", AT).expect("closed");
    drop(writer);
    let (_, seals) = marks(&disk);
    let signature = seals[0].sig.as_deref().expect("signed");
    assert!(key().is_by(signature, &id(), 3, &head));
    let mut without = signed();
    without.key = None;
    let Err(Failure::Invalid(what)) = open_as(&disk, &without) else {
        panic!("opened");
    };
    assert!(what.contains("give the key that can sign it"), "{what}");
}

#[test]
fn a_signed_segment_takes_at_most_a_thousand_records_however_they_are_batched() {
    let disk = MemoryVfs::new();
    let writer = open_as(&disk, &signed()).expect("opened");
    let limits = Limits {
        segment_records_max: 10,
        ..Limits::default()
    };
    let queue = Queue::start(writer, Durability::Interval, limits);
    for seq in 1..=35 {
        let record = Record {
            seq,
            d: 0,
            ts_us: AT,
            actor: None,
            kind: "user.said",
            v: 1,
            cause: 0,
            payload: b"{}",
        };
        queue.append(&record, None).expect("accepted");
    }
    queue.close("close", AT);
    while !queue.want_closed(None) {
        std::thread::yield_now();
    }
    assert_eq!(queue.failure(), None);
    let (_, seals) = marks(&disk);
    let lasts: Vec<u64> = seals.iter().map(|seal| seal.last).collect();
    assert_eq!(lasts, [10, 20, 30, 35]);
    assert!(seals.iter().all(|seal| seal.sig.is_some()));
    assert_eq!(read(&disk).expect("a log").len(), 35);
    open_as(&disk, &signed()).expect("the chain holds");
}

#[test]
fn the_level_is_chosen_once() {
    let disk = MemoryVfs::new();
    open_as(&disk, &options()).expect("opened");
    for (options, expected) in [
        (chained(), "the log here is of integrity level crc"),
        (
            OpenOptions {
                key: Some(key()),
                ..options()
            },
            "a key was given, but a log of integrity level crc is not signed",
        ),
    ] {
        let Err(Failure::Invalid(what)) = open_as(&disk, &options) else {
            panic!("opened");
        };
        assert!(what.contains(expected), "{what}");
    }
    let strange = OpenOptions {
        level: Some("best".to_owned()),
        ..options()
    };
    let Err(Failure::Invalid(what)) = open_as(&MemoryVfs::new(), &strange) else {
        panic!("opened");
    };
    assert!(
        what.contains("best is none of crc, chain, signed"),
        "{what}"
    );
}

#[test]
fn a_fork_goes_on_from_the_hash_of_its_parent() {
    let fork = Fork {
        log: LogId::new([9; 16]),
        at: 5,
        head: [3; 32],
        root: None,
    };
    let disk = MemoryVfs::new();
    let options = OpenOptions {
        fork: Some(fork),
        ..chained()
    };
    let mut writer = open_as(&disk, &options).expect("opened");
    assert_eq!(writer.head(), Some([3; 32]));
    append(&mut writer, 2);
    writer.close("close", AT).expect("closed");
    drop(writer);
    let (headers, _) = marks(&disk);
    assert_eq!(headers[0].rare().prev, Some("03".repeat(32)));
    open_as(&disk, &chained()).expect("the chain holds");
}
