//! Every cut and every flipped bit of the golden logs, and damage of all kinds at random.

use std::path::Path;

use super::golden::SAMPLE;
use super::hurt::hurt_bytes;
use super::tally::{ensure, first_seed, is_long, pass, Outcome, Tally};
use super::{append, id, open_on};
use crate::failure::Failure;
use crate::marks::Seal;
use crate::reader::{Found, Reader};
use crate::record::{is_sound, parse};
use crate::recover::Verdict;
use crate::vfs::memory::{Dice, MemoryVfs};
use crate::vfs::Vfs;

const NAME: &str = "00000001.jsonl";

/// The sample, and all packed logs in `replays/`: each one segment, sealed.
fn golden() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../replays");
    let entries = std::fs::read_dir(folder).expect("the folder of golden logs");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "jsonl"));
    paths.sort();
    let logs = paths.iter().map(|path| std::fs::read(path).expect("bytes"));
    [SAMPLE.to_vec()].into_iter().chain(logs).collect()
}

fn lines_of(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.split_inclusive(|&b| b == b'\n').collect()
}

fn disk_with(bytes: &[u8]) -> MemoryVfs {
    let disk = MemoryVfs::new();
    disk.put(NAME, bytes);
    disk
}

fn read(disk: &MemoryVfs) -> Result<Reader, Failure> {
    match Reader::folder(std::sync::Arc::new(disk.clone()), u64::MAX)? {
        Found::Log(reader) => Ok(*reader),
        Found::Nothing => Err(Failure::NotFound("nothing".to_owned())),
    }
}

/// Up to a whole line, its record is there; half a line is torn.
fn check_cut(log: &[u8], cut: usize) -> Outcome {
    let whole = log[..cut].iter().filter(|&&b| b == b'\n').count();
    let disk = disk_with(&log[..cut]);
    let mut reader = match read(&disk) {
        Err(Failure::NotFound(_)) if whole == 0 => return Ok(()),
        Err(failure) => return Err(format!("I8 {failure}")),
        Ok(reader) => reader,
    };
    let records = &lines_of(log)[1..whole.max(1)];
    let found = reader.len();
    ensure!(
        found == records.len(),
        "I1 {found} records of {}",
        records.len()
    );
    for (index, expected) in records.iter().enumerate() {
        let line = reader.line(index).map_err(|failure| format!("{failure}"))?;
        ensure!(line == *expected, "I1 record {} has other bytes", index + 1);
    }
    let is_torn = log[cut - 1] != b'\n';
    let expected = matches!(reader.analysis.verdict, Verdict::Torn(_)) == is_torn;
    ensure!(expected, "I8 {:?}", reader.analysis.verdict);
    // Opening takes longer than reading: every fourth cut has to do in the short tier.
    if !is_long() && !cut.is_multiple_of(4) {
        return Ok(());
    }
    let (mut writer, _) = open_on(&disk).map_err(|failure| format!("I8 {failure}"))?;
    let written = writer.written();
    ensure!(
        written == found as u64,
        "I1 {written} taken over of {found}"
    );
    append(&mut writer, 1, "more").map_err(|failure| format!("{failure}"))?;
    Ok(())
}

/// A log of a hundred records that was not closed, synced after so many.
fn open_log(synced: u64) -> Vec<u8> {
    let disk = MemoryVfs::new();
    let (mut writer, _) = open_on(&disk).expect("opened");
    for _ in 0..100 / synced {
        append(&mut writer, synced, "open").expect("appended");
        writer.sync().expect("synced");
    }
    drop(writer);
    disk.read(NAME).expect("bytes")
}

#[test]
fn a_golden_log_cut_at_any_byte_loads_and_goes_on() {
    let mut tally = Tally::new("byte cuts", 100_000, 100_000);
    let open: Vec<Vec<u8>> = (1..=8).map(open_log).collect();
    for log in golden().iter().chain(&open) {
        for cut in 0..log.len() {
            let outcome = check_cut(log, cut).map_err(|why| format!("{why}, cut at {cut}"));
            pass(outcome, "a_golden_log_cut", None);
            tally.add(1);
        }
    }
    tally.end();
}

fn has_seal(log: &[u8]) -> bool {
    lines_of(log)
        .last()
        .is_some_and(|line| line.starts_with(b"{\"tinyagent_seal\":"))
}

/// I8: a bit of a sealed log is corrupt, but for those of the seal, which cost no record.
fn check_flip(log: &[u8], at: usize, bit: usize) -> Outcome {
    let seal = log.len() - lines_of(log).last().map_or(0, |line| line.len());
    let mut bytes = log.to_vec();
    bytes[at] ^= 1 << bit;
    match read(&disk_with(&bytes)) {
        Err(Failure::Corrupt(..)) => ensure!(at < seal, "I8 nothing is lost, but refused"),
        Err(failure) => return Err(format!("I8 {failure}")),
        Ok(reader) => {
            ensure!(at >= seal, "I8 a flipped bit is accepted");
            let is_torn = matches!(reader.analysis.verdict, Verdict::Torn(_));
            let records = lines_of(log).len() - 2;
            ensure!(is_torn && reader.len() == records, "I8 the seal is damaged");
        }
    }
    Ok(())
}

#[test]
fn any_flipped_bit_of_the_golden_logs_is_found() {
    let mut tally = Tally::new("flipped bits", 200_000, 200_000);
    for log in golden() {
        assert!(has_seal(&log));
        for at in 0..log.len() {
            for bit in 0..8 {
                let outcome = check_flip(&log, at, bit);
                let why = |why| format!("{why}, byte {at} bit {bit}");
                pass(outcome.map_err(why), "any_flipped_bit_of_the_golden", None);
                tally.add(1);
            }
        }
    }
    tally.end();
}

/// Damage of any kind to a golden log. All of it was durable: what is read is the beginning of
/// what was there, and less than all of it is never clean.
pub(crate) fn any(seed: u64, log: &[u8]) -> Outcome {
    let mut dice = Dice::new(seed);
    let (how, bytes) = hurt_bytes(log, &mut dice);
    let mut reader = match read(&disk_with(&bytes)) {
        Err(Failure::Corrupt(..) | Failure::NotFound(_)) => return Ok(()),
        Err(failure) => return Err(format!("I8 {failure} ({how})")),
        Ok(reader) => reader,
    };
    let records = &lines_of(log)[1..lines_of(log).len() - 1];
    let found = reader.len();
    ensure!(found <= records.len(), "I8 {found} records ({how})");
    for (index, expected) in records[..found].iter().enumerate() {
        let line = reader.line(index).map_err(|failure| format!("{failure}"))?;
        ensure!(
            line == *expected,
            "I8 record {} has other bytes ({how})",
            index + 1
        );
    }
    let is_clean = reader.analysis.verdict == Verdict::Clean;
    let is_whole = found == records.len();
    ensure!(
        is_whole || !is_clean,
        "I8 {found} records are called clean ({how})"
    );
    // Whatever line is left says what was durable.
    let evidence = lines_of(&bytes).into_iter().filter_map(witness).max();
    let known = evidence.unwrap_or(0);
    ensure!(
        known <= found as u64,
        "I8 {found} records, and a line says {known} were durable ({how})"
    );
    Ok(())
}

/// What a valid line of the sample says to be durable.
fn witness(line: &[u8]) -> Option<u64> {
    let seal = Seal::parse(line, &id()).map(|seal| seal.last);
    let d = || {
        parse(line)
            .filter(|_| is_sound(line, &id()))
            .map(|record| record.d)
    };
    seal.or_else(d)
}

#[test]
fn no_damage_to_a_golden_log_goes_unseen() {
    let mut tally = Tally::new("damages at random", 50_000, 10_000_000);
    let logs = golden();
    let mut seed = first_seed();
    while !tally.is_full() {
        let log = &logs[seed as usize % logs.len()];
        pass(any(seed, log), "no_damage_to_a_golden", Some(seed));
        tally.add(1);
        seed += 1;
    }
    tally.end();
}
