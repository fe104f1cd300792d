//! A fork in a folder: its own records, numbered on from the cut.

use std::sync::Arc;

use super::tally::{ensure, wherever, Outcome, Tally};
use super::{all, append, batch, lines, options, read, shared, AT};
use crate::blobs::blob_name;
use crate::chain::{self, Fork};
use crate::checksum::LogId;
use crate::failure::Failure;
use crate::open::{open, OpenOptions};
use crate::pruning::detach;
use crate::recover::Verdict;
use crate::reserve::RESERVE;
use crate::vfs::fault::{Fault, FaultVfs, Plan};
use crate::vfs::memory::{Dice, MemoryVfs};
use crate::vfs::Vfs;
use crate::writer::Writer;

fn fork() -> Fork {
    Fork {
        log: LogId::new([7; 16]),
        at: 17,
        head: [9; 32],
        root: None,
    }
}

fn forked(disk: &MemoryVfs) -> Result<Writer, Failure> {
    let options = OpenOptions {
        fork: Some(fork()),
        ..options()
    };
    open(Arc::new(disk.clone()), &options).map(|(writer, _)| writer)
}

#[test]
fn an_empty_fork_is_at_its_cut_and_says_so_in_its_header() {
    let disk = MemoryVfs::default();
    let writer = forked(&disk).expect("opened");
    assert_eq!((writer.written(), writer.durable()), (17, 17));
    let reader = read(&disk).expect("a log");
    assert_eq!((reader.header.first, reader.header.tail), (18, 17));
    assert_eq!(reader.header.forked(), Some(fork()));
    let analysis = &reader.analysis;
    assert_eq!(
        (analysis.base, analysis.next, analysis.evidence),
        (18, 18, 17)
    );
    assert!(reader.is_empty());
}

#[test]
fn a_fork_lives_like_any_log() {
    let disk = MemoryVfs::default();
    let mut writer = forked(&disk).expect("opened");
    append(&mut writer, 2, "own").expect("written");
    writer.rotate().expect("rotated");
    append(&mut writer, 1, "own").expect("written");
    writer.sync().expect("synced");
    append(&mut writer, 1, "late").expect("written");
    drop(writer);
    // Whoever opens it again need not know that it is a fork.
    let (mut writer, recovered) = super::open_on(&disk).expect("reopened");
    assert_eq!((writer.written(), recovered.copied), (21, 1));
    assert_eq!(writer.header().forked(), Some(fork()));
    writer.close("close", AT).expect("closed");
    let mut reader = read(&disk).expect("a log");
    assert_eq!(reader.analysis.verdict, Verdict::Clean);
    let numbers: Vec<u64> = (0..4)
        .map(|i| reader.analysis.records[i].place.seq)
        .collect();
    assert_eq!(numbers, [18, 19, 20, 21]);
    assert_eq!(lines(&mut reader).len(), 4);
}

#[test]
fn a_fork_whose_first_segment_is_gone_is_corrupt_although_the_next_one_names_the_fork() {
    let disk = MemoryVfs::default();
    let mut writer = forked(&disk).expect("opened");
    append(&mut writer, 2, "own").expect("written");
    writer.rotate().expect("rotated");
    append(&mut writer, 1, "own").expect("written");
    writer.close("close", AT).expect("closed");
    crate::vfs::Vfs::remove(&disk, "00000001.jsonl").expect("removed");
    let Err(Failure::Corrupt(what, _, 18, 0)) = read(&disk) else {
        panic!("not corrupt");
    };
    assert!(what.contains("records 18..19 are missing"), "{what}");
}

#[test]
fn a_folder_with_another_log_does_not_become_the_fork() {
    let disk = MemoryVfs::default();
    super::open_on(&disk).expect("opened");
    let Err(Failure::Invalid(what)) = forked(&disk) else {
        panic!("opened");
    };
    assert!(what.contains("the log here is no fork"), "{what}");
}

#[test]
fn where_a_fork_left_comes_back_from_its_json() {
    let nested = Fork {
        root: Some(LogId::new([1; 16])),
        ..fork()
    };
    assert_eq!(Fork::parse(&nested.json()), Some(nested));
    assert_eq!(Fork::parse(&fork().json()), Some(fork()));
    assert_eq!(Fork::parse("{\"log\":\"x\"}"), None);
}

#[test]
fn the_chain_of_the_sample_is_the_one_in_the_format() {
    let sample = include_bytes!("sample.jsonl");
    let mut rows = sample.split_inclusive(|&b| b == b'\n').skip(1);
    let mut hash = chain::origin(&super::id());
    assert_eq!(
        chain::show(&hash),
        "3256d72116ec7b70990e7592687fe6e87a944ec65f006c7ec9acf8bf8b01bd93"
    );
    for expected in [
        "4f7f2fe6104aad1ee22fce95cedce77c3e839781be547238df84983e6490788f",
        "1555b1fe5f1616d4afed44146e72492c3ddb97eb207bdfab436911c06b3f506b",
    ] {
        hash = chain::next(&hash, rows.next().expect("a line")).expect("a record");
        assert_eq!(chain::show(&hash), expected);
    }
}

#[test]
fn a_payload_redacted_as_a_whole_leaves_the_chain_as_it_was() {
    use sha2::{Digest, Sha256};
    let digest: [u8; 32] = Sha256::digest(b"{\"secret\":1}").into();
    let left = format!(
        "{{\"$redacted\":\"sha256:{}\",\"n\":12}}",
        chain::show(&digest)
    );
    let head = b"{\"seq\":1";
    let whole = chain::link(&[0; 32], head, b"{\"secret\":1}");
    assert_eq!(chain::link(&[0; 32], head, left.as_bytes()), whole);
    assert_ne!(chain::link(&[0; 32], head, b"{\"secret\":2}"), whole);
}

/// What the fork shares with its parent.
fn shared_lines() -> Vec<u8> {
    batch(0, 1, fork().at, "parent").lines
}

/// The fork, with three records behind its cut, closed.
fn closed() -> MemoryVfs {
    let disk = MemoryVfs::default();
    disk.put(RESERVE, b"");
    let mut writer = forked(&disk).expect("opened");
    append(&mut writer, 3, "child").expect("written");
    writer.close("close", AT).expect("closed");
    drop(writer);
    disk
}

#[test]
fn a_detached_fork_holds_its_beginning_and_is_gone_on_with() {
    let disk = closed();
    let own = all(&disk);
    assert_eq!(detach(&shared(&disk), &shared_lines(), &[]), Ok(()));
    let found = all(&disk);
    assert_eq!((found.len(), &found[17..]), (20, &own[..]));
    let reader = read(&disk).expect("a log");
    assert_eq!((reader.analysis.base, reader.analysis.next), (1, 21));
    assert_eq!(reader.analysis.verdict, Verdict::Clean);
    assert_eq!(reader.header.forked(), Some(fork()));
    let mut writer = forked(&disk).expect("opened");
    append(&mut writer, 1, "more").expect("written");
    writer.close("close", AT).expect("closed");
    drop(writer);
    assert_eq!(all(&disk).len(), 21);
    // A second time there is nothing to do.
    assert_eq!(detach(&shared(&disk), b"anything", &[]), Ok(()));
    assert_eq!(all(&disk).len(), 21);
}

#[test]
fn nobody_detaches_a_fork_that_is_being_written_or_may_be() {
    let disk = MemoryVfs::default();
    let mut writer = forked(&disk).expect("opened");
    append(&mut writer, 1, "child").expect("written");
    let detached = || detach(&shared(&disk), &shared_lines(), &[]);
    assert!(matches!(detached(), Err(Failure::Owned(_))));
    drop(writer);
    assert!(matches!(detached(), Err(Failure::Failed(..))));
    assert_eq!(all(&disk).len(), 1);
}

fn interrupted(plan: &Plan, dice: &mut Dice) -> Outcome {
    let disk = closed();
    let own = all(&disk);
    let blob = b"a large value of the parent".to_vec();
    let blobs = [("ab".repeat(32), blob.clone())];
    let vfs = shared(&FaultVfs::new(&disk, plan.clone()));
    let is_done = detach(&vfs, &shared_lines(), &blobs).is_ok();
    for after in [disk.copy(), disk.power_cut(dice), disk.power_cut(dice)] {
        let reader = read(&after).map_err(|failure| format!("{failure}"))?;
        ensure!(reader.analysis.verdict == Verdict::Clean, "not clean");
        let found = all(&after);
        ensure!(found.ends_with(&own), "its own records are missing");
        ensure!(found.len() == 20 || found == own, "{} records", found.len());
        ensure!(found.len() == 20 || !is_done, "it said that it was done");
        let held = after.read(&blob_name("blobs", &blobs[0].0));
        ensure!(
            found.len() == 3 || held.is_ok_and(|it| it == blob),
            "records without their value"
        );
    }
    Ok(())
}

#[test]
fn wherever_detaching_is_interrupted_the_fork_is_whole_before_or_after() {
    let tally = Tally::new("interrupted detachings", 300, 40_000);
    let faults = |_| vec![Fault::Io, Fault::Full, Fault::Short];
    wherever("wherever_detaching", tally, 40, faults, interrupted);
}
